"""The configuration in force as TOML, each setting with where it came from.

Rules
- What comes out is TOML that says the same, but for secrets, which are masked.
- Settings that are not set are comments, so that a reader sees that they exist.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from kiosk.config_faults import Loc, has_section, is_list, key_lines

MASK = "********"
FILLED = frozenset({("unit", "emergency_number"), ("unit", "police_number")})
"""Settings that `country` gives where they are not set."""


def show(config: BaseModel, text: str) -> str:
    """Return `config`, which was read from `text`, as commented TOML."""
    return "\n".join(_tables(config, key_lines(text))) + "\n"


def _tables(config: BaseModel, lines: Mapping[Loc, int]) -> Iterator[str]:
    fields = type(config).model_fields
    plain = [name for name, field in fields.items() if not has_section(field)]
    for name in plain:
        yield _setting(name, getattr(config, name), _source((name,), lines))
    yield from [""] if plain else []
    for name, field in fields.items():
        section = getattr(config, name)
        if name in plain:
            continue
        if not section:
            yield f"# {f'[[{name}]]' if is_list(field) else f'[{name}]'}  # not set\n"
        elif isinstance(section, tuple):
            for number, one in enumerate(section):
                yield from _table(f"[[{name}]]", (name, number), one, lines)
        else:
            yield from _table(f"[{name}]", (name,), section, lines)


def _table(head: str, loc: Loc, section: BaseModel, lines: Mapping[Loc, int]) -> Iterator[str]:
    yield head
    for key, field in type(section).model_fields.items():
        value, here = getattr(section, key), (*loc, key)
        filled = here in FILLED and value != field.default
        yield _setting(key, value, "from country" if filled and here not in lines else _source(here, lines))
    yield ""


def _source(loc: Loc, lines: Mapping[Loc, int]) -> str:
    return f"line {lines[loc]}" if loc in lines else "default"


def _setting(key: str, value: object, source: str) -> str:
    if value is None:
        return f"# {key} =  # not set"
    return f"{key} = {_toml(value)}  # {source}"


def _toml(value: Any) -> str:
    if isinstance(value, SecretStr):
        return json.dumps(MASK)
    if isinstance(value, str | Path):
        # a JSON string is a TOML basic string, but for DEL
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return json.dumps(value)
