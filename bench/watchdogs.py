"""Hangs one part of a running unit after the other, by the times of its unit files: seen on a board, ended, and over again.

Real services under a stand-in for systemd (`supervised.py`), a real broker, the button's machine code, a virtual microphone, and
the station behind a real board. Where the world fails (no microphone, a silent chip) the fault must be shown and the service be
fed: to start it anew would mend nothing. Where a part of ours hangs, nothing may be fed, and the service must come back whole.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.broker_kills import station_of
from bench.measure import Measure
from bench.supervised import Supervised
from kiosk.board.model import Desk
from kiosk.demo.stage import SAM, Stage, StageError

WEDGE = Path(__file__).parent / "wedge"
LOOK_S = 0.05
LIMIT_S = 100.0
STAYS_S = 45.0
"""A service that must be fed is watched for so long: longer than its watchdog waits."""
SEEN_LIMIT_S = 90.0
BUSY = "ear-look_"
"""The second look is too slow: no part hangs, and the machine that measures has other work."""
SERVICES = ("alertd", "listen", "ui")


@dataclass(frozen=True)
class Case:
    """What hangs, how, by what a board knows it, and whether the service must then be started anew.

    `by` is how a fault's code begins, or "" for a unit that is lost. `mend` undoes it, where a start of the service would not.
    """

    name: str
    service: str
    hang: Callable[["Rig"], None]
    by: str
    restarts: bool = True
    mend: Callable[["Rig"], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """Seconds from the hang until a board showed it and until all was well again, and how often the service was killed."""

    seen_s: float
    well_s: float
    kills: int


CASES = (
    Case("MQTT thread", "alertd", lambda rig: rig.wedge("alertd"), ""),
    Case("button thread", "alertd", lambda rig: rig.wedge("alertd"), ""),
    Case("hub frozen", "alertd", lambda rig: rig.stop("alertd"), ""),
    Case("capture thread", "listen", lambda rig: rig.wedge("listen"), "ear-mic_stalled"),
    Case("screen frozen", "ui", lambda rig: rig.stop("ui"), "screen"),
    Case(
        "no microphone",
        "listen",
        lambda rig: rig.microphone(there=False),
        "ear-mic_",
        restarts=False,
        mend=lambda rig: rig.microphone(there=True),
    ),
    Case(
        "silent chip",
        "alertd",
        lambda rig: rig.chip(runs=False),
        "button",
        restarts=False,
        mend=lambda rig: rig.chip(runs=True),
    ),
)
WEDGED = {"MQTT thread": "mqtt", "button thread": "button-link", "capture thread": "capture"}


class Rig:
    """A unit whose services are supervised, and a board. With `quick_s` the times of the watchdogs are that, for a test."""

    def __init__(
        self, folder: Path, case: Case, services: tuple[str, ...] = SERVICES, quick_s: float | None = None
    ) -> None:
        self.case, self._services, self._quick_s = case, services, quick_s
        self.stage = Stage(folder)
        self.services: dict[str, Supervised] = {}
        self._ending = ExitStack()
        self._wake, self._deaths = threading.Event(), list[BaseException]()

    def __enter__(self) -> Self:
        stage = self.stage
        stage.write_config()
        self._ending.callback(stage.__exit__)
        stage.start_broker()
        stage.start_button()
        if "listen" in self._services:
            stage.start_microphone()
        for name in self._services:
            self.services[name] = self._supervised(name)
            self._ending.callback(self.services[name].close)
        self.sam = station_of(stage.broker, SAM, self._wake, self._deaths)
        self._ending.callback(self.sam.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def _supervised(self, name: str) -> Supervised:
        command = [sys.executable, "-m", "kiosk", name, "--config", str(self.stage.config_file)]
        env = {"STAYBY_STATE_DIR": str(self.stage.folder / "state"), **self._env(name)}
        if name == self.case.service and self.case.name in WEDGED:
            env |= {"PYTHONPATH": str(WEDGE), "WEDGE": WEDGED[self.case.name]}
            env |= {"WEDGE_FRESH_S": str(self._quick_s)} if self._quick_s else {}
        return Supervised(name, command, self.stage.folder, env, self._quick_s)

    def _env(self, name: str) -> Mapping[str, str]:
        if name == "listen":
            return self.stage.microphone.env
        if name == "ui":
            return {"SDL_VIDEODRIVER": "offscreen", "MESA_SHADER_CACHE_DIR": str(self.stage.folder / "shaders")}
        return {}

    # --- what hangs ---------------------------------------------------------------------------------------------------

    def wedge(self, name: str) -> None:
        """Make the thread that the case names hang."""
        self.services[name].signal(signal.SIGUSR2)

    def stop(self, name: str) -> None:
        """Freeze a whole process."""
        self.services[name].signal(signal.SIGSTOP)

    def microphone(self, *, there: bool) -> None:
        """Pull the microphone's plug, or plug it in again."""
        if there:
            self.stage.microphone.__enter__()
        else:
            self.stage.microphone.__exit__(None, None, None)

    def chip(self, *, runs: bool) -> None:
        """Stop the clock of the button's chip, or let it go on."""
        self.stage.button.freeze(not runs)

    # --- what a board shows -------------------------------------------------------------------------------------------

    def turn(self) -> Desk | None:
        """Let everybody go on for a moment, and return what the board knows of the unit."""
        now_s = time.monotonic()
        for one in self.services.values():
            one.turn()
        for death in self._deaths:
            raise death
        self.sam.take_inbox(now_s)
        self.sam.tick(now_s)
        self.sam.listen(now_s, listening=True)
        self._wake.wait(LOOK_S)
        self._wake.clear()
        return next(iter(self.sam.model.desks()), None)

    def until(self, what: str, wanted: Callable[[Desk], bool]) -> float:
        """Return how long it took until the board shows this; raise `StageError` when it does not."""
        begun_s, desk = time.monotonic(), None
        while (took_s := time.monotonic() - begun_s) < LIMIT_S:
            desk = self.turn()
            if desk is not None and wanted(desk):
                return took_s
        faults = [f"{one.code}: {one.says}" for one in desk.status.faults] if desk else "an unknown unit"
        said = {name: one.systemd.status for name, one in self.services.items()}
        raise StageError(f"{self.case.name}: waited {LIMIT_S:g} s for {what}, in vain; the board has {faults}; {said}")

    def shows(self, desk: Desk) -> bool:
        """Return whether the board shows the case's fault."""
        lost = desk.lost(time.monotonic())
        return lost if not self.case.by else any(fault.code.startswith(self.case.by) for fault in desk.status.faults)

    def well(self, desk: Desk) -> bool:
        """Return whether every service is on duty, and no fault is left but of what was not started, or of a busy machine."""
        ready = all(one.ready for one in self.services.values())
        faults = {one.code for one in desk.status.faults if not one.code.startswith(BUSY)}
        return ready and not desk.lost(time.monotonic()) and not faults - self.missing

    @property
    def missing(self) -> set[str]:
        """The faults of services that were not started at all."""
        return {code for code, name in {"screen": "ui", "listen": "listen"}.items() if name not in self._services}

    def play(self) -> Outcome:
        """Let it hang, wait until it is seen, and until all is well."""
        self.until("a unit without fault", self.well)
        service, begun_s = self.services[self.case.service], time.monotonic()
        self.case.hang(self)
        seen_s = self.until(f"{self.case.by or 'a lost unit'} on the board", self.shows)
        if not self.case.restarts:
            stays_s = time.monotonic() + (3 * self._quick_s if self._quick_s else STAYS_S)
            self.until("it to stay", lambda desk: time.monotonic() > stays_s or not self.shows(desk))
        if self.case.mend is not None:
            self.case.mend(self)
        self.until("a unit without fault again", lambda desk: self.well(desk) and self._as_it_should(service))
        return Outcome(seen_s, time.monotonic() - begun_s, service.kills)

    def _as_it_should(self, service: Supervised) -> bool:
        return bool(service.kills) or not self.case.restarts


def measure(folder: Path) -> dict[str, Measure]:
    """Play every case by the real times."""
    outcomes: dict[str, Outcome] = {}
    for case in CASES:
        with Rig(folder / case.name.replace(" ", "-"), case) as rig:
            outcomes[case.name] = rig.play()
    return figures(outcomes)


def figures(outcomes: Mapping[str, Outcome]) -> dict[str, Measure]:
    """Return the longest of each as measures."""
    ours = {case.name for case in CASES if case.restarts}
    lines = tuple(
        f"{name}: seen after {one.seen_s:.1f} s, well after {one.well_s:.1f} s, killed {one.kills} times"
        for name, one in outcomes.items()
    )
    needless = sum(one.kills for name, one in outcomes.items() if name not in ours)
    missed = sum(not one.kills for name, one in outcomes.items() if name in ours)
    seen_s = max(one.seen_s for one in outcomes.values())
    well_s = max(one.well_s for name, one in outcomes.items() if name in ours)
    return {
        "watchdog_fault_seen_s": Measure(
            seen_s, "s", len(outcomes), f"from hang to a board, longest; design: {SEEN_LIMIT_S:.0f}", lines
        ),
        "watchdog_well_again_s": Measure(well_s, "s", len(ours), "from hang to all on duty again, longest"),
        "watchdog_wrong": Measure(
            missed + needless,
            "services",
            len(outcomes),
            "not ended though hung, or ended for a fault of the world; design: 0",
        ),
    }
