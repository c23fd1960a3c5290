"""What the night's timers begin refuses by day, by a shell as a unit has it, and the hours can be moved."""

import re
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNITS = ("stayby-proof", "stayby-update")


def condition(unit: str) -> tuple[str, dict[str, str]]:
    """Return the command that systemd would run, and what is in its environment."""
    text = (SYSTEMD / f"{unit}.service").read_text()
    found = re.search(r"^ExecCondition=/bin/sh -c '([^']*)'$", text, re.MULTILINE)
    assert found is not None
    assert not re.search(r"(?<!\$)\$(\$\$)*(?!\$)", found[1]), "systemd would take a single $ for itself"
    assert not re.search(r"(?<!%)%(%%)*(?!%)", found[1]), "systemd would take a single % for itself"
    hours = re.findall(r"\b(FROM_HOUR|TO_HOUR)=(\d+)", text)
    return found[1].replace("$$", "$").replace("%%", "%"), dict(hours)


def open_hours(command: str, hours: dict[str, str]) -> set[int]:
    """Return at which hours of the day it lets the service run: the real `date`, in a place for each hour."""
    at = {}
    for ahead in range(24):
        script = f"date +%H; {command}"
        env = {"PATH": "/usr/bin:/bin", "TZ": f"HERE-{ahead}", **hours}
        done = subprocess.run(["/bin/sh", "-c", script], env=env, capture_output=True, text=True, check=False)
        assert (done.returncode in {0, 1}, done.stderr) == (True, "")
        at[int(done.stdout)] = done.returncode == 0
    assert len(at) in {23, 24}, "an hour may turn meanwhile"
    return {hour for hour, runs in at.items() if runs}


@pytest.mark.parametrize("unit", UNITS)
def test_the_service_runs_by_night_alone_and_its_timer_is_within_its_hours(unit: str) -> None:
    command, hours = condition(unit)
    assert open_hours(command, hours) == {1, 2, 3, 4, 5, 6}
    timer = (SYSTEMD / f"{unit}.timer").read_text()
    found = re.search(r"^OnCalendar=\*-\*-\* (\d\d):(\d\d)$", timer, re.MULTILINE)
    assert found is not None
    assert 1 * 60 <= int(found[1]) * 60 + int(found[2]) <= 7 * 60 - 60, "what is late by an hour still runs"


@pytest.mark.parametrize(
    ("from_hour", "to_hour", "open_at"),
    [(7, 9, {7, 8}), (22, 3, {22, 23, 0, 1, 2}), (0, 24, set(range(24))), (8, 10, {8, 9})],
)
def test_the_hours_can_be_moved_also_over_midnight(from_hour: int, to_hour: int, open_at: set[int]) -> None:
    one, other = (condition(unit)[0] for unit in UNITS)
    assert one == other
    assert open_hours(one, {"FROM_HOUR": str(from_hour), "TO_HOUR": str(to_hour)}) == open_at
