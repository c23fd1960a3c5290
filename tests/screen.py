"""The screen in a process of its own, rendered by Kivy without a display, with a hub's end of the bus: for tests."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kiosk.bus import BusServer, runtime_socket
from kiosk.messages import (
    Choice,
    Entry,
    Face,
    FromLeaf,
    Going,
    Hearing,
    NextStep,
    Person,
    Reach,
    Severity,
    Show,
    Snapshot,
    State,
    Trigger,
)
from kiosk.ui.remote import ScreenRemote

ROOT = Path(__file__).parent.parent
PRIYA, SAM, LEE = (Person(id=name.lower(), name=name) for name in ("Priya", "Sam", "Lee"))
FACE = Face(
    store="harbour",
    unit="desk3",
    place="Service desk 3",
    address="Harbour Stores, 12 Quay Street, Leeds LS1 4DL, ground floor, east door",
    emergency_number="112",
    phone="0113 496 0000",
)
START = """
import json, logging, sys
from pathlib import Path
from kiosk.config import UnitConfig
from kiosk.ui import run
logging.basicConfig(level=logging.INFO)
run(UnitConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
"""


def config(run_dir: Path, width: int, height: int, *, fullscreen: bool = False) -> str:
    broker = {"host": "localhost", "ca_file": "ca.pem", "username": "desk3", "password": "secret"}
    unit = {**FACE.model_dump(exclude={"unit"}), "id": FACE.unit, "run_dir": str(run_dir)}
    ui = {"width": width, "height": height, "fullscreen": fullscreen}
    return json.dumps({"unit": unit, "broker": broker, "ui": ui, "button": {"port": "/dev/null"}})


def snapshot(state: State = State.RAISED, **facts: object) -> Snapshot:
    fields: dict[str, object] = {
        "store": "harbour",
        "unit": "desk3",
        "place": FACE.place,
        "id": "i-1",
        "revision": 1,
        "state": state,
        "severity": Severity.ALERT,
        "trigger": Trigger.TOUCH,
        "tier": 1,
        "tiers": ("the staff", "the manager"),
        "reach": Reach.OK,
        "opened_at": datetime(2026, 1, 1, tzinfo=UTC),
        "elapsed_s": 14.2,
        "asked": (PRIYA, SAM),
        **facts,
    }
    return Snapshot.model_validate(fields)


def show(incident: Snapshot | None = None, **facts: object) -> Show:
    fields = {
        "face": FACE,
        "hearing": Hearing.LISTENING,
        "reach": Reach.OK,
        "listeners": 2,
        "told": incident is not None,
        **facts,
    }
    return Show.model_validate({**fields, "incident": incident})


def next_step(what: str, in_s: float = 16) -> NextStep:
    return NextStep.model_validate({"what": what, "in_s": in_s})


@dataclass(frozen=True)
class Scene:
    """What the hub shows, what is touched then, and which page is there after it."""

    show: Show
    kind: str
    taps: tuple[str, ...] = ()


CHECK: dict[str, Any] = {"severity": Severity.CHECK, "trigger": Trigger.VOICE, "phrase": "breathe"}
COMING: dict[str, Any] = {"coming": (Going(responder=SAM, eta_s=64),), "seen": (PRIYA, SAM), "elapsed_s": 52}
CHEST: dict[str, Any] = {"choice": Choice.CHEST_OR_BREATHING, "severity": Severity.GRAVE}
SCENES: dict[str, Scene] = {
    "idle": Scene(show(), "idle"),
    "idle_voice_off": Scene(show(hearing=Hearing.OFF), "idle"),
    "idle_deaf_unreached": Scene(show(hearing=Hearing.DEAF, reach=Reach.DISCONNECTED, listeners=0), "idle"),
    "idle_emergency": Scene(show(), "emergency", ("Call 112 myself",)),
    "checking": Scene(show(snapshot(State.CHECKING, next=next_step("ask_next_tier"), **CHECK)), "checking"),
    "checking_coming": Scene(
        show(snapshot(State.COMING, coming=COMING["coming"], next=next_step("ask_again", 94), **CHECK)), "checking"
    ),
    "raised_telling": Scene(show(snapshot(asked=(), next=next_step("ask_next_tier"))), "waiting"),
    "raised": Scene(show(snapshot(seen=(PRIYA, SAM), next=next_step("ask_next_tier"))), "waiting"),
    "raised_fine": Scene(
        show(snapshot(seen=(PRIYA, SAM, LEE), says_fine=True, tier=2, next=next_step("emergency_page"))), "waiting"
    ),
    "raised_declined_late": Scene(
        show(
            snapshot(
                seen=(PRIYA, SAM),
                declined=(PRIYA,),
                tier=2,
                next=next_step("emergency_page"),
                timeline=(Entry(t_s=3, what="coming", who="Sam"), Entry(t_s=90, what="late", who="Sam")),
            )
        ),
        "waiting",
    ),
    "raised_drill": Scene(show(snapshot(seen=(PRIYA,), drill=True, next=next_step("ask_next_tier"))), "waiting"),
    "steps_drill": Scene(show(snapshot(seen=(PRIYA,), drill=True, **CHEST)), "steps"),
    "raised_disconnected": Scene(
        show(snapshot(asked=(), next=next_step("emergency_page", 4)), reach=Reach.DISCONNECTED, listeners=0), "waiting"
    ),
    "raised_nobody": Scene(
        show(snapshot(asked=(), emergency=True), reach=Reach.NOBODY, listeners=0), "waiting", ("Back",)
    ),
    "steps_chest": Scene(show(snapshot(seen=(PRIYA, SAM), next=next_step("ask_next_tier"), **CHEST)), "steps"),
    "steps_heard": Scene(
        show(snapshot(seen=(PRIYA,), trigger=Trigger.VOICE, phrase="chest", guess=Choice.CHEST_OR_BREATHING)), "steps"
    ),
    "checking_not_safe": Scene(
        show(snapshot(State.CHECKING, **{**CHECK, "phrase": "police", "guess": Choice.NOT_SAFE})), "checking"
    ),
    "steps_chest_2": Scene(show(snapshot(State.COMING, **COMING, **CHEST)), "steps", ("Next",)),
    "steps_fine": Scene(show(snapshot(State.COMING, says_fine=True, **COMING, choice=Choice.SOMEONE_HURT)), "steps"),
    "steps_hurt": Scene(show(snapshot(seen=(SAM,), choice=Choice.SOMEONE_HURT)), "steps"),
    "steps_not_safe": Scene(show(snapshot(seen=(SAM,), choice=Choice.NOT_SAFE)), "steps"),
    "steps_else": Scene(show(snapshot(seen=(SAM,), choice=Choice.SOMETHING_ELSE)), "steps", ("Next", "Next")),
    "coming": Scene(show(snapshot(State.COMING, next=next_step("check_in", 8), **COMING)), "coming"),
    "coming_overdue": Scene(
        show(
            snapshot(
                State.COMING, coming=(Going(responder=SAM, eta_s=0),), seen=(SAM,), next=next_step("ask_again", 20)
            )
        ),
        "coming",
    ),
    "coming_lost_line": Scene(show(snapshot(State.COMING, **COMING), reach=Reach.DISCONNECTED), "coming"),
    "check_in": Scene(
        show(snapshot(State.COMING, check_in_open=True, next=next_step("check_in_missed"), **COMING)), "check_in"
    ),
    "attended": Scene(show(snapshot(State.ATTENDED, here=SAM, seen=(PRIYA, SAM), elapsed_s=130)), "attended"),
    "emergency": Scene(
        show(snapshot(seen=(PRIYA, SAM), tier=2, emergency=True, elapsed_s=126, name="Ana", **CHEST)), "emergency"
    ),
    "emergency_heard": Scene(
        show(snapshot(seen=(SAM,), tier=2, emergency=True, elapsed_s=126, guess=Choice.SOMEONE_HURT)), "emergency"
    ),
    "emergency_check_in": Scene(
        show(snapshot(emergency=True, elapsed_s=126, check_in_open=True, reach=Reach.OK)), "emergency"
    ),
    "emergency_drill": Scene(show(snapshot(emergency=True, elapsed_s=126, drill=True)), "emergency"),
    "emergency_coming": Scene(show(snapshot(State.COMING, **COMING)), "emergency", ("Call 112 myself",)),
}


def check(wanted: Any, what: str, timeout_s: float = 10.0) -> Any:
    """Return what `wanted()` returns once it is true; fail when it is not within `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := wanted()):
        assert time.monotonic() < deadline_s, f"no {what} in {timeout_s:g} s"
        time.sleep(0.01)
    return found


class Hub:
    """A hub's end of the bus that shows what it is told to, again each second, and keeps what it hears."""

    def __init__(self, run_dir: Path) -> None:
        self._path = runtime_socket(run_dir)
        self.heard: queue.Queue[FromLeaf] = queue.Queue()
        self.bad: list[str] = []
        self._peers: list[int] = []
        self._server: BusServer | None = None
        self._last: Show | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._repeat, daemon=True).start()
        self.start()

    def _repeat(self) -> None:
        while not self._closed.wait(1):
            if self._last is not None:
                self._send(self._last)

    def hang(self) -> None:
        """Say nothing more, with the socket open."""
        self._last = None

    def close(self) -> None:
        self._closed.set()
        self.stop()

    def start(self) -> None:
        self._server = BusServer(self._path, self._take, lambda _, text: self.bad.append(text), self._gone, self._die)

    def _take(self, number: int, message: FromLeaf) -> None:
        if number not in self._peers:
            self._peers.append(number)
        self.heard.put(message)

    def _gone(self, number: int) -> None:
        if number in self._peers:
            self._peers.remove(number)

    def _die(self, error: BaseException) -> None:
        self.bad.append(repr(error))

    def show(self, what: Show) -> bool:
        self._last = what
        return self._send(what)

    def _send(self, what: Show) -> bool:
        server = self._server
        return server is not None and sum(server.send(number, what) for number in list(self._peers)) > 0

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server, self._peers = None, []

    def wait(self, kind: type[Any], wanted: Any = lambda _: True, timeout_s: float = 10.0) -> Any:
        deadline_s = time.monotonic() + timeout_s
        while True:
            message = self.heard.get(timeout=max(0.01, deadline_s - time.monotonic()))
            if isinstance(message, kind) and wanted(message):
                return message


def _offers(text: str, incident: str | None) -> Callable[[dict[str, Any]], bool]:
    return lambda page: text in page["buttons"] and page["incident"] == incident


@dataclass
class Rig:
    """A hub and a screen in its own process."""

    run_dir: Path
    width: int
    height: int
    display: str | None = None
    number: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None)

    def __enter__(self) -> Self:
        self.hub = Hub(self.run_dir)
        self.remote = ScreenRemote(self.run_dir / "screen.sock")
        self.start()
        return self

    def start(self) -> None:
        env = {**os.environ, "SDL_VIDEODRIVER": "offscreen", "PYTHONPATH": str(ROOT)}
        if self.display is not None:
            env |= {"SDL_VIDEODRIVER": "x11", "DISPLAY": self.display}
        settings = config(self.run_dir, self.width, self.height, fullscreen=self.display is not None)
        arguments = [settings, str(self.run_dir / "screen.sock")]
        self.process = subprocess.Popen([sys.executable, "-c", START, *arguments], env=env, cwd=self.run_dir)
        self.remote.wait(lambda _: True, "page at all", 30)
        check(lambda: self.hub.show(show()), "screen on the bus")

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.hub.close()

    def play(self, scene: Scene) -> dict[str, Any]:
        """Show a scene as an incident of its own, touch what it touches, and return the page."""
        self.number += 1
        shown = scene.show
        if shown.incident is not None:
            shown = shown.model_copy(update={"incident": shown.incident.model_copy(update={"id": f"i-{self.number}"})})
        wanted = shown.incident.id if shown.incident else None
        self.leave()
        self.hub.show(shown)
        for text in scene.taps:
            self.remote.wait(_offers(text, wanted), f"button {text!r}")
            self.hub.show(shown)
            self.remote.tap(text)
        self.hub.show(shown)
        return self.remote.wait(
            lambda page: page["kind"] == scene.kind and page["incident"] == wanted and page["still"], scene.kind
        )

    def leave(self) -> None:
        page = self.remote.page()
        if "Back" in page["buttons"]:
            self.remote.tap("Back")

    def usage(self) -> dict[str, float]:
        """Return what the screen's process uses: resident memory in MB, processor seconds."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        ticks = os.sysconf("SC_CLK_TCK")
        return {"rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6, "cpu_s": (int(stat[11]) + int(stat[12])) / ticks}
