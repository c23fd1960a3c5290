"""The screen in a process of its own, rendered by Kivy without a display, with a hub's end of the bus: for tests."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.hub import FACE, LEE, PRIYA, SAM, Hub, next_step, show, snapshot
from kiosk.corners import CORNERS, Tapped, Turned, Verdict, Word
from kiosk.doctor.machine import NEW_SUPPLY
from kiosk.doctor.record import Check, untested, well, wrong
from kiosk.local import USUAL_LOOK
from kiosk.messages import Choice, Entry, Going, HeardPhrase, Hearing, Reach, Severity, Show, State, Trigger
from kiosk.page import Button, Look, Page
from kiosk.pages import Desk, Local, at_home, page, settle, touched
from kiosk.pages_service import service_page
from kiosk.scene import Place
from kiosk.tongue import ENGLISH, Tongue
from kiosk.ui.remote import ScreenRemote
from kiosk.visit import NO_DOCTOR, At, Visit

__all__ = ["FACE", "LEE", "PRIYA", "SAM", "Hub", "next_step", "show", "snapshot"]

ROOT = Path(__file__).parent.parent
START = """
import json, logging, sys
from pathlib import Path
from kiosk.config import UnitConfig
from kiosk.ui import run
logging.basicConfig(level=logging.INFO)
run(UnitConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
"""


def config(run_dir: Path, width: int, height: int, *, fullscreen: bool = False, **more: dict[str, object]) -> str:
    """Return a unit's settings as JSON; `more` are whole tables beside the usual ones, or more of [ui]."""
    broker = {"host": "localhost", "ca_file": "ca.pem", "username": "desk3", "password": "secret"}
    unit = {
        **FACE.model_dump(exclude={"unit"}),
        "id": FACE.unit,
        "run_dir": str(run_dir),
        "state_dir": str(run_dir / "state"),
    }
    ui = {"width": width, "height": height, "fullscreen": fullscreen, **more.pop("ui", {})}
    return json.dumps({"unit": unit, "broker": broker, "ui": ui, "button": {"port": "/dev/null"}, **more})


DESK = Desk(FACE, button=True)


@dataclass(frozen=True)
class Scene:
    """What the hub shows, what is touched then (by its English text), which page is there after it, and how old the facts are."""

    show: Show
    kind: str
    taps: tuple[str, ...] = ()
    age_s: float = 0.0
    visit: Visit | None = None
    """A technician's, whose page stands there instead."""


def every_button(shown: Page) -> tuple[Button, ...]:
    """Return all that can be touched on a page."""
    keys = (button for row in shown.keys for button in row)
    return (*shown.top, *shown.buttons, *keys, *shown.row, *shown.corner)


def scene_page(scene: Scene, look: Look = USUAL_LOOK, tongue: Tongue = ENGLISH, desk: Desk = DESK) -> Page:
    """Return the page of a scene without a screen, in any language and look: it is touched in English."""
    if scene.visit is not None:
        local = settle(at_home(Local(), look), scene.show, 0.0)
        return service_page(scene.visit, Place(scene.show.face, local, desk, tongue, 0.0), Turned.RIGHT)

    def now(local: Local, spoken: Tongue) -> Page:
        return page(scene.show, settle(local, scene.show, scene.age_s), desk, scene.age_s, 0.0, spoken)

    local = settle(at_home(Local(), look), scene.show, 0.0)
    for text in scene.taps:
        shown = now(local, ENGLISH)
        # a keyboard of other letters: A is its first key, and so on
        other = (
            [key for row in shown.keys for key in row][ord(text) - ord("A")] if shown.keys and len(text) == 1 else None
        )
        button = next((one for one in every_button(shown) if one.text == text), other)
        assert button is not None, (text, shown.texts())
        local = settle(touched(local, button.does, scene.age_s), scene.show, scene.age_s)
    return now(local, tongue)


CHECK: dict[str, Any] = {"severity": Severity.CHECK, "trigger": Trigger.VOICE, "phrase": "breathe"}
COMING: dict[str, Any] = {"coming": (Going(responder=SAM, eta_s=64),), "seen": (PRIYA, SAM), "elapsed_s": 52}
CHEST: dict[str, Any] = {"choice": Choice.CHEST_OR_BREATHING, "severity": Severity.GRAVE}
PUSHES: dict[str, Any] = {"choice": Choice.COLLAPSE, "severity": Severity.GRAVE}
PERSON: dict[str, Any] = {"choice": Choice.PERSON, "severity": Severity.CHECK}
VIEW = "文 ع A Language"
HEARD = tuple(
    HeardPhrase(phrase=phrase, score=score, at=datetime(2026, 1, 1, 14, minute, tzinfo=UTC))
    for phrase, score, minute in (("help_me", 4.2, 31), ("breathe", 3.1, 12), ("help", 2.6, 5), ("police", 5.0, 1))
)
SO_FAR = (
    Entry(t_s=0, what="opened", who="touch"),
    Entry(t_s=30, what="asked_tier", who="the manager"),
    Entry(t_s=52, what="coming", who="Sam"),
    Entry(t_s=150, what="late", who="Sam"),
)
FIT = (Entry(t_s=0, what="opened", who="touch"), Entry(t_s=8, what="told_choice", who="seizure"))
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
    "raised_drill_unreached": Scene(
        show(snapshot(asked=(), drill=True), reach=Reach.DISCONNECTED, listeners=0), "waiting"
    ),
    "opening": Scene(show(opening="press"), "idle"),
    "opening_touch": Scene(show(opening="touch"), "idle"),
    "walk": Scene(show(walk_until="10:45"), "idle"),
    "proving": Scene(show(proving="proof-0123456789abcdef", tested_at="05:31"), "idle"),
    "idle_tested": Scene(show(tested_at="05:31"), "idle"),
    "maybe_test": Scene(
        show(snapshot(asked=(PRIYA, SAM), maybe_test=True, next=next_step("ask_next_tier"))), "waiting"
    ),
    "maybe_test_coming": Scene(
        show(snapshot(State.COMING, seen=(PRIYA,), coming=(Going(responder=PRIYA, eta_s=64),), maybe_test=True)),
        "coming",
    ),
    "maybe_test_unreached": Scene(
        show(snapshot(asked=(), maybe_test=True), reach=Reach.DISCONNECTED, listeners=0), "waiting"
    ),
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
    "emergency_so_far": Scene(
        show(snapshot(seen=(PRIYA, SAM), tier=2, emergency=True, elapsed_s=246, timeline=SO_FAR, **CHEST)), "emergency"
    ),
    "emergency_police": Scene(
        show(snapshot(tier=2, emergency=True, elapsed_s=126, choice=Choice.LOST_CHILD)), "emergency"
    ),
    "emergency_unreached": Scene(
        show(snapshot(asked=(), emergency=True, elapsed_s=12), reach=Reach.DISCONNECTED, listeners=0), "emergency"
    ),
    "code": Scene(show(snapshot(seen=(SAM,), emergency=True, **CHEST)), "emergency", ("Show it for a phone",)),
    "idle_paused": Scene(show(hearing=Hearing.PAUSED, hearing_back_s=840), "idle"),
    "idle_code": Scene(show(), "emergency", ("Call 112 myself", "Show it for a phone")),
    "view": Scene(show(), "view", ("Aa",)),
    "view_in_alert": Scene(show(snapshot(State.COMING, **COMING)), "view", (VIEW,)),
    "ear": Scene(show(heard=HEARD), "ear", ("I listen for help words · no sound is kept",)),
    "ear_empty": Scene(show(), "ear", ("I listen for help words · no sound is kept",)),
    "ear_paused": Scene(
        show(hearing=Hearing.PAUSED, hearing_back_s=840, heard=HEARD[:1]),
        "ear",
        ("Microphone off for now · touch or press",),
    ),
    "name": Scene(show(snapshot(seen=(SAM,))), "name", ("Tell my name",)),
    "name_typed": Scene(show(snapshot(seen=(SAM,))), "name", ("Tell my name", *"ANA")),
    "raised_told": Scene(show(snapshot(seen=(PRIYA, SAM), name="Ana", **CHEST)), "waiting", ("It is something else",)),
    "coming_told": Scene(
        show(snapshot(State.COMING, name="Ana", choice=Choice.FALL, **COMING)), "coming", ("It is something else",)
    ),
    "person_telling": Scene(show(snapshot(asked=(), **PERSON)), "waiting"),
    "person": Scene(show(snapshot(seen=(SAM,), next=next_step("ask_next_tier", 44), **PERSON)), "waiting"),
    "person_coming": Scene(show(snapshot(State.COMING, **COMING, **PERSON)), "waiting"),
    "person_check_in": Scene(show(snapshot(seen=(SAM,), check_in_open=True, **PERSON)), "check_in"),
    "person_steps": Scene(show(snapshot(seen=(SAM,), **PERSON)), "steps", ("Show the steps", "Next", "Next")),
    "cases_chest": Scene(
        show(snapshot(seen=(SAM,), next=next_step("ask_next_tier"))), "cases", ("Chest or breathing",)
    ),
    "cases_hurt": Scene(show(snapshot(seen=(SAM,))), "cases", ("Someone is hurt",)),
    "cases_else": Scene(show(snapshot(State.COMING, **COMING)), "cases", ("Something else",)),
    "steps_seizure": Scene(show(snapshot(seen=(SAM,), choice=Choice.SEIZURE, severity=Severity.GRAVE)), "steps"),
    "steps_seizure_long": Scene(
        show(snapshot(seen=(SAM,), choice=Choice.SEIZURE, severity=Severity.GRAVE, elapsed_s=320, timeline=FIT)),
        "steps",
    ),
    "steps_collapse": Scene(
        show(snapshot(State.COMING, **COMING, choice=Choice.COLLAPSE, severity=Severity.GRAVE)), "steps", ("Next",)
    ),
    "steps_collapse_unanswered": Scene(
        show(snapshot(seen=(SAM,), emergency=True, elapsed_s=126, **PUSHES)), "steps", ("Back to the steps", "Next")
    ),
    "steps_seizure_check_in": Scene(
        show(snapshot(State.COMING, check_in_open=True, **COMING, **{**PUSHES, "choice": Choice.SEIZURE})), "steps"
    ),
    "steps_seizure_unanswered": Scene(
        show(snapshot(seen=(SAM,), emergency=True, check_in_open=True, **{**PUSHES, "choice": Choice.SEIZURE})), "steps"
    ),
    "steps_seizure_asked": Scene(show(snapshot(State.CHECKING, choice=Choice.SEIZURE, **CHECK)), "steps"),
    "steps_seizure_attended": Scene(
        show(snapshot(State.ATTENDED, here=SAM, elapsed_s=200, **{**PUSHES, "choice": Choice.SEIZURE})), "steps"
    ),
    "steps_defibrillator": Scene(
        show(snapshot(State.COMING, **COMING, choice=Choice.COLLAPSE, severity=Severity.GRAVE)),
        "steps",
        ("Next", "Next"),
    ),
    "steps_overwhelmed": Scene(show(snapshot(seen=(SAM,), choice=Choice.OVERWHELMED)), "steps", ("Next",)),
    "steps_missed": Scene(
        show(snapshot(seen=(SAM,), check_ins_missed=1, severity=Severity.GRAVE, choice=Choice.FALL, tier=2)), "steps"
    ),
    "check_in_worse": Scene(show(snapshot(check_in_open=True, seen=(SAM,), **CHEST)), "check_in"),
    "attended_person": Scene(show(snapshot(State.ATTENDED, here=SAM, **PERSON)), "attended"),
}
GONE_S = 5.0
AWAY: dict[str, Scene] = {
    "gone": Scene(show(), "gone", age_s=GONE_S),
    "gone_in_alert": Scene(show(snapshot(seen=(SAM,), **CHEST)), "gone", age_s=GONE_S),
    "gone_emergency": Scene(show(), "emergency", ("Call 112 myself",), age_s=GONE_S),
    "gone_choices": Scene(show(), "cases", ("Show the steps",), age_s=GONE_S),
    "gone_cases": Scene(show(), "cases", ("Show the steps", "Someone is hurt"), age_s=GONE_S),
    "gone_steps": Scene(show(), "steps", ("Show the steps", "Someone is hurt", "Collapsed", "Next"), age_s=GONE_S),
    "gone_beat": Scene(show(snapshot(seen=(SAM,), **PUSHES)), "steps", ("Show the steps", "Next"), age_s=GONE_S),
    "gone_view": Scene(show(), "view", (VIEW,), age_s=GONE_S),
}
"""What stands there when the hub is gone."""


ZEROS = "nothing but zeros came for 12 s from plughw:CARD=Microphone,DEV=0 at 16,000 Hz"


def _found(many: int, says: str = ZEROS) -> tuple[Check, ...]:
    """Findings as doctor makes them, of every length."""
    worst = (
        wrong("power", "the supply fell under 4.63 V since the start", NEW_SUPPLY),
        wrong(
            "network name", "broker.harbour.example: the name is not known here", "ask who runs the network for its DNS"
        ),
        wrong("microphone", says, "push its plug home; `arecord -l` names those that are here"),
    )
    rest = (untested("disk wear", "no card here tells its wear (SD cards do not)"), well("temperature", "51 °C"))
    return (*worst, *(rest * many))


def _tapped(word: Word, **more: Any) -> Visit:
    tapped = Tapped(at=datetime(2026, 1, 1, tzinfo=UTC), verdict=Verdict(word=word, **more))
    return Visit(At.TAPPED, 0.0, tapped=tapped)


VISITS: dict[str, Visit] = {
    "shut": Visit(At.SHUT, 0.0),
    "pin": Visit(At.PIN, 0.0),
    "pin_typed": Visit(At.PIN, 0.0, entry="271828182845"),
    "pin_wrong": Visit(At.PIN, 0.0, says="That is not the PIN. 3 more tries."),
    "pin_waits": Visit(At.PIN, 0.0, waits=True),
    "pin_locked": Visit(At.PIN, 0.0, locked_s=290.0),
    "looking": Visit(At.FINDINGS, 0.0, found=_found(1)[:2]),
    "found": Visit(At.FINDINGS, 0.0, found=_found(8), done=True),
    "found_2": Visit(At.FINDINGS, 0.0, found=_found(8), done=True, part=1),
    "found_long": Visit(
        At.FINDINGS,
        0.0,
        found=_found(1, "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0" * 6),
        done=True,
    ),
    "no_doctor": Visit(At.FINDINGS, 0.0, why=f"Doctor does not answer at /run/stayby-doctor.sock (none): {NO_DOCTOR}."),
    "corner_1": Visit(At.CORNERS, 0.0),
    "corner_4": Visit(At.CORNERS, 0.0, taps=(None, None, None)),
    "corner_again": Visit(At.CORNERS, 0.0, trial=Turned.SWAPPED_180),
    "tapped": _tapped("right"),
    "tapped_mirrored": _tapped("turned", turned=Turned.MIRRORED_X),
    "tapped_dead": replace(_tapped("dead", dead=CORNERS[1:3]), kept=False),
}
SERVICE = {f"service_{name}": Scene(show(), "service", visit=visit) for name, visit in VISITS.items()}
"""What a technician sees."""


def check(wanted: Any, what: str, timeout_s: float = 10.0) -> Any:
    """Return what `wanted()` returns once it is true; fail when it is not within `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := wanted()):
        assert time.monotonic() < deadline_s, f"no {what} in {timeout_s:g} s"
        time.sleep(0.01)
    return found


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
    more: dict[str, dict[str, object]] = field(default_factory=dict)
    """More tables of the settings."""

    def __enter__(self) -> Self:
        self.hub = Hub(self.run_dir)
        self.remote = ScreenRemote(self.run_dir / "screen.sock")
        self.start()
        return self

    def start(self) -> None:
        """Start the screen, and wait until the hub knows it."""
        self.begin()
        self.remote.wait(lambda _: True, "page at all", 30)
        check(lambda: self.hub.show(show()), "screen on the bus")

    def begin(self) -> None:
        """Start the screen."""
        env = {**os.environ, "SDL_VIDEODRIVER": "offscreen", "PYTHONPATH": str(ROOT)}
        if self.display is not None:
            env |= {"SDL_VIDEODRIVER": "x11", "DISPLAY": self.display}
        settings = config(self.run_dir, self.width, self.height, fullscreen=self.display is not None, **self.more)
        arguments = [settings, str(self.run_dir / "screen.sock")]
        self.process = subprocess.Popen([sys.executable, "-c", START, *arguments], env=env, cwd=self.run_dir)

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
        for back in ("Back to the steps", "Back"):
            if back in self.remote.page()["buttons"]:
                self.remote.tap(back)

    def usage(self) -> dict[str, float]:
        """Return what the screen's process uses: resident memory in MB, processor seconds."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        ticks = os.sysconf("SC_CLK_TCK")
        return {"rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6, "cpu_s": (int(stat[11]) + int(stat[12])) / ticks}
