"""`stayby doctor`: everything that can be looked at on a unit without alerting anybody, one line each, and what to do now.

It stands beside the running hub and asks it over the bus. When the hub is down it says so, and checks what it can without it.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from kiosk.bus import BusError, ask, runtime_socket
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.config import UnitConfig
from kiosk.config_faults import ConfigFaults
from kiosk.config_file import Loaded, load_or_last_good
from kiosk.doctor import machine, sound
from kiosk.doctor import unit as unit_checks
from kiosk.doctor.machine import ROOT
from kiosk.doctor.network import network
from kiosk.doctor.parts import parts, touch_corners, version_check
from kiosk.doctor.record import COLOURS, Check, Line, summary, text_of, touch_file, untested, well, wrong
from kiosk.messages import AskStatus, BadMessage, StatusAnswer

ANSWER_S = 3.0
SHOW_MARKS = ("systemctl", "kill", "--kill-whom=main", "--signal=SIGUSR1", "stayby-ui.service")
TAPPED_S = 180.0
"""Longer than eight marks wait for their touches."""
WIDTH_MOST = 120


class Report(BaseModel):
    """What `--json` prints."""

    ok: bool
    checks: tuple[Check, ...]


class Hub:
    """The hub of this machine, asked anew each time; `why` is why it did not answer last."""

    def __init__(self, config: UnitConfig) -> None:
        self._socket = runtime_socket(config.unit.run_dir)
        self._unit = (config.unit.store, config.unit.id)
        self.why = ""

    def ask(self) -> StatusAnswer | None:
        """Return how the unit is, None when the hub does not say."""
        try:
            answer = ask(self._socket, AskStatus(), ANSWER_S)
        except (BusError, BadMessage) as error:
            self.why = f"it does not answer: {str(error).partition('; is ')[0]}"
            return None
        return answer if isinstance(answer, StatusAnswer) else None

    def is_us(self) -> bool:
        """Return whether the hub that runs here is the unit of this configuration."""
        answer = self.ask()
        return answer is not None and (answer.status.store, answer.status.unit) == self._unit


def checks(loaded: Loaded, root: Path = ROOT, *, with_sound: bool = False, for_screen: bool = False) -> Iterator[Check]:
    """Yield each finding as it is made. Alerts nobody; `with_sound` plays a soft rush of noise.

    `for_screen`: nothing tells of a silent alert, which must not show at the desk.
    """
    config, hub = loaded.config, Hub(loaded.config)
    yield from _configuration(loaded)
    yield machine.power(root)
    yield machine.temperature(root)
    yield from machine.disk(config.unit.state_dir, root)
    yield from machine.clock(root=root)
    yield from network(config, hub.is_us, root)
    answer = unhidden(hub.ask()) if for_screen else hub.ask()
    if answer is None:
        yield from unit_checks.hub_down(hub.why)
    else:
        yield from unit_checks.unit(answer, has_button=config.button is not None, has_ear=config.listen is not None)
    yield from parts(config, root)
    if with_sound:
        yield sound.loop(config, hub.ask)
    yield version_check(answer, root)


def unhidden(answer: StatusAnswer | None) -> StatusAnswer | None:
    """Return the hub's answer as if no silent alert were open."""
    hidden = answer is not None and answer.incident is not None and answer.incident.silent
    return answer.model_copy(update={"incident": None, "unsent": 0}) if answer and hidden else answer


def _configuration(loaded: Loaded) -> Iterator[Check]:
    if not loaded.faults:
        yield well("configuration", f"{loaded.path}: nothing is wrong with it")
    for fault in loaded.faults:
        yield wrong("configuration", f"{fault.where}: {fault.says}", fault.do)


def doctor_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    with_sound: Annotated[
        bool, typer.Option("--sound", help="Play a soft rush too, and see that the microphone hears it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All findings as one JSON object.")] = False,
    corners: Annotated[
        bool, typer.Option("--corners", help="Have the screen show four marks to be tapped, and say what came of them.")
    ] = False,
    for_screen: Annotated[
        bool,
        typer.Option("--for-screen", help="For the unit's own screen: each finding as a line of JSON, as it is made."),
    ] = False,
) -> None:
    """Look at everything without alerting anybody: a line each, and what to do now. Exit 1 when anything is wrong."""
    if for_screen:
        _tell_screen(config)
        return
    if corners:
        found_there = _tapped(load_or_exit(config).config)
        show(found_there)
        raise typer.Exit(0 if found_there.ok else 1)
    found: list[Check] = []
    for check in _all(config, with_sound=with_sound):
        found.append(check)
        if not as_json:
            show(check)
    well_all = not any(check.ok is False for check in found)
    if as_json:
        print(Report(ok=well_all, checks=tuple(found)).model_dump_json(indent=1))
    else:
        print(summary(found))
    raise typer.Exit(0 if well_all else 1)


def _tell_screen(config: Path) -> None:
    """Print the findings as the screen reads them; it may go away meanwhile."""
    try:
        for check in _all(config, for_screen=True):
            print(Line(check=check).model_dump_json(), flush=True)
        print(Line().model_dump_json(), flush=True)
    except (BrokenPipeError, ConnectionResetError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to be said there


def _tapped(config: UnitConfig) -> Check:
    """Have the running screen show its four marks, and return what came of them."""
    path = touch_file(config.unit.state_dir)
    before = _made(path)
    if machine.run(*SHOW_MARKS) is None:
        says = "the screen could not be asked: `systemctl kill` did not reach stayby-ui"
        return wrong("touch corners", says, "run it with sudo; then: sudo systemctl restart stayby-ui")
    print("Tap the four marks on the screen, one after the other. Nothing else can be touched there but “I need help”.")
    give_up_s = time.monotonic() + TAPPED_S
    while _made(path) == before:
        if time.monotonic() > give_up_s:
            says = "the screen said nothing: it shows no marks while somebody is looked after at the desk"
            return untested("touch corners", says, "look at the screen; journalctl -u stayby-ui -n 5")
        time.sleep(0.2)
    return touch_corners(config)


def _made(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None  # never yet


def _all(path: Path, *, with_sound: bool = False, for_screen: bool = False) -> Iterator[Check]:
    """Yield all findings; without any configuration, those of the machine alone."""
    try:
        loaded = load_or_last_good(path, keep=False)
    except ConfigFaults as faults:
        for fault in faults.faults:
            denied = "Permission denied" in str(fault)
            do = "run it with sudo" if denied else f"correct it; `stayby check {path}` looks again"
            yield wrong("configuration", f"{path}: {fault}", do)
        yield machine.power()
        yield machine.temperature()
        yield from machine.clock()
        return
    yield from checks(loaded, with_sound=with_sound, for_screen=for_screen)


def show(check: Check) -> None:
    """Print one finding; in colour where the terminal has any."""
    width = min(shutil.get_terminal_size().columns, WIDTH_MOST)
    typer.secho(text_of(check, width), fg=COLOURS[check.ok], bold=check.ok is False)
    sys.stdout.flush()
