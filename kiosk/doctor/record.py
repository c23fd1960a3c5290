"""One finding of doctor or walk test, and how it stands in a terminal: the same record is the line and the JSON.

Rules
- Never by colour alone: the word in front says it too.
- What was not looked at is neither well nor wrong, and says why.
"""

import textwrap
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from kiosk.messages import Record

WORDS = {True: "OK", False: "WRONG", None: "not tested"}
COLOURS = {True: "green", False: "red", None: None}
NAME_WIDTH, NARROWEST = 18, 40


class Check(Record):
    """Whether one thing is as it must be: `ok` is None where it was not tested. `measured` has its units in its names."""

    name: str
    ok: bool | None
    says: str
    do: str = ""
    measured: dict[str, float] = Field(default={})


class Line(Record):
    """What doctor says to the unit's own screen, line by line: a finding, or none when it is done."""

    check: Check | None = None


def doctor_socket(run_dir: Path) -> Path:
    """Return where systemd listens for whoever wants doctor's findings: beside the hub's folder, which goes with the hub."""
    return run_dir.with_name(f"{run_dir.name}-doctor.sock")


def touch_file(state_dir: Path) -> Path:
    """Return where the screen keeps what the four corners said: in its own folder within the unit's."""
    return state_dir / "screen" / "touch.json"


def well(name: str, says: str, **measured: float) -> Check:
    """Return that something is as it must be."""
    return Check(name=name, ok=True, says=says, measured=measured)


def wrong(name: str, says: str, do: str, **measured: float) -> Check:
    """Return what is wrong, and what to do now."""
    return Check(name=name, ok=False, says=says, do=do, measured=measured)


def untested(name: str, why: str, do: str = "") -> Check:
    """Return that something was not looked at, and why."""
    return Check(name=name, ok=None, says=why, do=do)


def text_of(check: Check, width: int) -> str:
    """Return the lines of one record without colour, at most `width` wide where its words allow it."""
    head = f"{WORDS[check.ok]:<11}{check.name:<{NAME_WIDTH}} "
    indent = " " * (len(head) if width >= 2 * NARROWEST else 4)
    lines = textwrap.wrap(check.says, width, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)
    if check.do:
        lines += textwrap.wrap(
            check.do, width, initial_indent=f"{indent}do: ", subsequent_indent=indent, break_on_hyphens=False
        )
    return "\n".join(lines)


def summary(checks: Iterable[Check]) -> str:
    """Return the last line: how many of each."""
    found = list(checks)
    bad, left = sum(one.ok is False for one in found), sum(one.ok is None for one in found)
    well_ = len(found) - bad - left
    return f"{well_} OK, {bad} wrong, {left} not tested"
