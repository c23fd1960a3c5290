"""A line changed in a TOML file that people wrote: all else in it, comments too, stays as it stands.

Rules
- Pure: text in, text out. Whoever calls reads the result again as what it should be before it replaces a file.
- What is added stands at the end of the file or of its table's heading; what is taken out takes no comment of another along.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence

from kiosk.config_faults import Loc, key_lines

Value = str | int | Sequence[str]


def literal(value: Value) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value) if isinstance(value, int) else f"[{', '.join(literal(one) for one in value)}]"


def entry(table: str, values: Mapping[str, Value]) -> str:
    """Return a table of this heading, "[unit]" or "[[unit]]"."""
    return "\n".join([table, *(f"{key} = {literal(value)}" for key, value in values.items())]) + "\n"


def with_entry(text: str, table: str, values: Mapping[str, Value]) -> str:
    """Return `text` with one more [[table]] at its end."""
    return f"{text.rstrip()}\n\n{entry(f'[[{table}]]', values)}"


def without_entry(text: str, table: str, number: int) -> str:
    """Return `text` without the [[table]] of this number, from 0, and with every comment above the next heading."""
    lines = text.split("\n")
    found = key_lines(text)
    start = found[table, number] - 1
    headings = [line - 1 for line in found.values() if line - 1 > start and lines[line - 1].lstrip().startswith("[")]
    end = min(headings, default=len(lines))
    while end > start + 1 and end < len(lines) and (not lines[end - 1].strip() or lines[end - 1].lstrip()[0] == "#"):
        end -= 1
    return "\n".join([*lines[:start], *lines[end:]]).rstrip() + "\n"


def with_value(text: str, table: Loc, key: str, value: Value) -> str:
    """Return `text` with this value in a table that it has, in the place of the present one or at the table's heading."""
    lines = text.split("\n")
    found = key_lines(text)
    line = f"{key} = {literal(value)}"
    if (*table, key) not in found:
        return "\n".join([*lines[: found[table]], line, *lines[found[table] :]])
    start = found[*table, key] - 1
    return "\n".join([*lines[:start], line, *lines[start + _height(lines[start:]) :]])


def _height(lines: Sequence[str]) -> int:
    """Return over how many lines the first statement goes: the fewest that are TOML by themselves."""
    for height in range(1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[:height]))
        except ValueError:
            continue
        return height
    raise ValueError("these lines are not TOML")
