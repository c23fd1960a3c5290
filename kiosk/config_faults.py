"""What is wrong with a configuration file, in words a technician can act on: every fault, its line, the name that was meant.

Rules
- One fault, one line: where, what is wrong, what to do now.
- The value of a secret is never repeated.
- A name that is nearly right is one fault, not two: the missing key that it was meant for is not reported as well.
"""

import datetime as dt
import difflib
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from kiosk.messages import ID_PATTERN

Loc = tuple[str | int, ...]
HOURS_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"
EMERGENCY_PATTERN = r"^[0-9]{2,6}$"
OPTIONAL_NUMBER_PATTERN = r"^([0-9]{2,6})?$"
COUNTRY_PATTERN = r"^([A-Z]{2})?$"
BOARD_PATTERN = r"^(https?://[^\s/]+)?$"

PATTERN_WORDS = {
    ID_PATTERN: ("is not an id", "use a-z, 0-9, - and _ only, at most 32 of them, a letter or digit first"),
    HOURS_PATTERN: ("is not a span of hours", 'write it as "08:00-21:00"'),
    EMERGENCY_PATTERN: ("is not an emergency number", 'write 2 to 6 digits, such as "112"'),
    OPTIONAL_NUMBER_PATTERN: ("is not an emergency number", 'write 2 to 6 digits, such as "112"'),
    BOARD_PATTERN: ("is not a board's address", 'write it like "https://board.harbour.example:8443"'),
    COUNTRY_PATTERN: ("is not a country", 'write the two letters of ISO 3166, such as "GB"'),
}
WANTED = {
    "string_type": "text: put it in quotes",
    "path_type": "a path: put it in quotes",
    "int_type": "a whole number without quotes",
    "int_from_float": "a whole number without quotes",
    "float_type": "a number without quotes",
    "bool_type": "true or false, without quotes",
    "tuple_type": 'a list, such as ["one", "two"]',
}
BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
LENGTHS = {
    "string_too_short": ("min_length", "letters"),
    "string_too_long": ("max_length", "letters"),
    "too_short": ("min_length", "entries"),
    "too_long": ("max_length", "entries"),
}
SEE = "see docs/config.md"
CLOSES = re.compile(r"""]|}|\"{3}|'{3}""")
"""One of these is in the last line of whatever stands on several lines."""


@dataclass(frozen=True)
class ConfigFault:
    """One fault: its place ("[broker] port"), its line in the file if it has one, what is wrong, and what to do."""

    place: str
    line: int | None
    says: str
    do: str

    def __str__(self) -> str:
        """Return the fault as one line."""
        line = f"line {self.line}, " if self.line else ""
        return f"{line}{self.place}: {self.says}; {self.do}"


class ConfigFaults(ValueError):
    """A configuration that cannot be used: every fault that it has, in the order of the file."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line or sys.maxsize))
        super().__init__("\n".join(str(fault) for fault in self.faults))


# --- where things stand -----------------------------------------------------------------------------------------------


def key_lines(text: str) -> dict[Loc, int]:
    """Return the line, from 1, of each table and key of valid TOML `text`; the first one where a name stands twice.

    What stands below the third [[staff]] is there as ("staff", 2, "id").
    """
    found: dict[Loc, int] = {}
    table: Loc = ()
    entries: Counter[Loc] = Counter()
    for line, statement in _statements(text):
        paths = list(_paths(tomllib.loads(statement)))
        opens = re.match(r"\s*(\[\[?)", statement)
        if opens:
            table = ()
        for path in paths:
            found.setdefault(table + path, line)
        if opens and paths:
            table = paths[-1]
            if opens[1] == "[[":
                entries[table] += 1
                table = (*table, entries[table] - 1)
                found.setdefault(table, line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Cut TOML at the shortest runs of lines that are TOML by themselves: a value over several lines is one run."""
    start, run = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        ends = not run or CLOSES.search(line)
        run += line + "\n"
        if not ends:
            continue
        try:
            tomllib.loads(run)
        except ValueError:
            continue
        yield start, run
        start, run = number + 1, ""


def _paths(parsed: Mapping[str, Any]) -> Iterator[Loc]:
    for key, value in parsed.items():
        yield (key,)
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            yield from ((key, *path) for path in _paths(inner))


def _line(lines: Mapping[Loc, int], loc: Loc) -> int | None:
    for length in range(len(loc), 0, -1):
        if loc[:length] in lines:
            return lines[loc[:length]]
    return None


def _printable(name: str) -> str:
    """Return a name as it can stand in one line; a quoted key may hold anything."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def _place(loc: Loc, *, table: bool) -> str:
    if not loc:
        return "the file"
    loc = tuple(_printable(part) if isinstance(part, str) else part for part in loc)
    if len(loc) == 1:
        return f"[{loc[0]}]" if table else str(loc[0])
    if isinstance(loc[1], int):
        return f"[[{loc[0]}]] {loc[1] + 1}{_tail(loc[2:])}"
    return f"[{loc[0]}]{_tail(loc[1:])}"


def _tail(loc: Loc) -> str:
    """Return the place within a table: " key", and what of it."""
    key, rest = loc[:1], loc[1:]
    item = "".join(f", entry {part + 1}" if isinstance(part, int) else f".{part}" for part in rest)
    return "".join(f" {part}" for part in key) + item


# --- the faults -------------------------------------------------------------------------------------------------------


def syntax_fault(error: Exception) -> ConfigFault:
    """Return what `tomllib` found wrong; it stops at the first."""
    message = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    says = re.sub(r"\s*\(at .*\)$", "", message)
    where = f"column {found[2]}" if found else "the file"
    do = "text needs quotes, a table is [name], a setting is key = value"
    return ConfigFault(where, int(found[1]) if found else None, f"is not TOML: {says[:1].lower()}{says[1:]}", do)


def explain(model: type[BaseModel], data: Mapping[str, Any], text: str, error: ValidationError) -> list[ConfigFault]:
    """Return every fault that pydantic found in `data`, which `text` holds, as `model`."""
    lines = key_lines(text)
    errors = error.errors(include_url=False)
    unknown = [_unknown(model, data, lines, each["loc"]) for each in errors if each["type"] == "extra_forbidden"]
    meant = {loc for loc, _ in unknown}
    rest = [each for each in errors if each["type"] != "extra_forbidden" and each["loc"] not in meant]
    return [fault for _, fault in unknown] + [_known(model, lines, dict(each)) for each in rest]


def faults_at(text: str, wrong: Iterable[tuple[Loc, str, str]]) -> Iterator[ConfigFault]:
    """Yield the faults of valid TOML `text` that are given as location, what is wrong, and what to do."""
    lines: dict[Loc, int] | None = None
    for loc, says, do in wrong:
        lines = key_lines(text) if lines is None else lines
        yield ConfigFault(_place(loc, table=True), _line(lines, loc), says, do)


def _known(model: type[BaseModel], lines: Mapping[Loc, int], error: dict[str, Any]) -> ConfigFault:
    loc: Loc = error["loc"]
    field = _field(model, loc)
    table = len(loc) == 1 and field is not None and _section(field) is not None
    if table and field is not None and is_list(field) and error["type"] in {"missing", "tuple_type"}:
        return ConfigFault(_place(loc, table=True), _line(lines, loc), *_no_entries(str(loc[0]), field, error))
    says, do = _missing(loc, field) if error["type"] == "missing" else _reason(error, loc)
    return ConfigFault(_place(loc, table=table), _line(lines, loc), says, do)


def _no_entries(name: str, field: FieldInfo, error: dict[str, Any]) -> tuple[str, str]:
    """Return what is wrong with a list of tables that is none."""
    section = _section(field)
    needs = ", ".join(key for key, each in section.model_fields.items() if each.is_required()) if section else ""
    if error["type"] == "missing":
        return "is missing", f"add [[{name}]], once for each, with {needs}"
    return f"is {_kind(error['input'])}", f"write [[{name}]] with two brackets, once for each"


def _missing(loc: Loc, field: FieldInfo | None) -> tuple[str, str]:
    section = field and _section(field)
    meaning = _first_line((section.__doc__ if section else field and field.description) or "")
    if section is None:
        return "is missing", f"add {loc[-1]} = ... ({meaning.rstrip('.')})"
    needs = ", ".join(name for name, each in section.model_fields.items() if each.is_required())
    return "is missing", f"add this table with {needs}"


def _reason(error: dict[str, Any], loc: Loc) -> tuple[str, str]:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind in WANTED:
        return f"is {_kind(value)}", f"it must be {WANTED[kind]}"
    if kind == "model_type":
        return (
            f"is {_kind(value)}, and must be a table",
            f"write [{loc[-1]}] on a line of its own, its settings below it",
        )
    if kind == "string_pattern_mismatch":
        return _pattern(str(value), context["pattern"])
    if kind == "literal_error":
        return f"is {value!r}"[:60], f"write one of {context['expected']}"
    if kind == "value_error":
        says, _, do = str(context["error"]).partition(": ")
        return says, do or SEE
    return _limit(error) or (str(error["msg"]), SEE)


def _limit(error: dict[str, Any]) -> tuple[str, str] | None:
    kind, value = error["type"], error["input"]
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        return f"is {value}", f"it {words} {error['ctx'][name]:g}"
    if kind in LENGTHS:
        name, unit = LENGTHS[kind]
        unit = "letters" if isinstance(value, str) else unit
        bound = "at least" if name == "min_length" else "at most"
        return f"is {len(value)} {unit} long" if value else "is empty", f"it must have {bound} {error['ctx'][name]}"
    return None


def _pattern(value: str, pattern: str) -> tuple[str, str]:
    says, do = PATTERN_WORDS.get(pattern, ("is not in the right form", f"it must match {pattern}"))
    slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:32]
    if pattern == ID_PATTERN and slug:
        do += f"; did you mean `{slug}`?"
    return f"{value[:40]!r} {says}", do


def _kind(value: object) -> str:
    names: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (str, "text"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "a table"),
        (dt.date, "a date"),
        (dt.time, "a time of day without quotes"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "something else")


# --- did you mean -----------------------------------------------------------------------------------------------------


def _unknown(
    model: type[BaseModel], data: Mapping[str, Any], lines: Mapping[Loc, int], loc: Loc
) -> tuple[Loc, ConfigFault]:
    """Return the fault of an unknown name, and the location that was meant (its own if nobody can tell)."""
    *parents, name = loc
    section = _walk(model, tuple(parents)) or model
    here = tuple(part for part in parents if isinstance(part, str))
    is_table = len(loc) == 1 and isinstance(data.get(str(name)), dict)
    says = "is not a known table" if is_table else "is not a known setting"
    near = difflib.get_close_matches(str(name), section.model_fields, n=1)
    elsewhere = [table for table, each in sections(model) if str(name) in each.model_fields and table not in here]
    if near:
        meant: Loc = (*parents, near[0])
        do = f"did you mean `{near[0]}`?"
    elif elsewhere:
        meant = (elsewhere[0], name)
        brackets = "[[{}]]" if is_list(model.model_fields[elsewhere[0]]) else "[{}]"
        do = f"did you mean to write it below {brackets.format(elsewhere[0])}?"
    else:
        meant = loc
        do = f"remove it; known here: {', '.join(section.model_fields)}"
    return meant, ConfigFault(_place(loc, table=is_table), _line(lines, loc), says, do)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def has_section(field: FieldInfo) -> bool:
    """Whether it is a table, or a list of tables."""
    return _section(field) is not None


def is_list(field: FieldInfo) -> bool:
    """Whether a table may stand there more than once."""
    return get_origin(field.annotation) is tuple


def sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the name and type of each table of a configuration."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is not None:
            yield name, section


def _walk(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(str(part))
        section = field and _section(field)
        if section is None:
            return None
        model = section
    return model


def _field(model: type[BaseModel], loc: Loc) -> FieldInfo | None:
    section = _walk(model, loc[:-1]) if loc else None
    return section.model_fields.get(str(loc[-1])) if section else None
