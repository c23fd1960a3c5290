"""Real clicks on the real screen of a real unit: a display of its own, the mouse, the hub, a broker, and Sam who listens."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from kiosk.demo.stage import SAM, Part, Stage, wait_for
from kiosk.guidance import CASES, GROUPS
from kiosk.messages import Choice, Language, Reach, Snapshot, State, Trigger
from kiosk.scene import VIEW_SIGNS
from kiosk.texts import OWN_NAMES
from kiosk.ui.catalogues import load
from kiosk.ui.remote import ScreenRemote
from tests.staff import Staff

pytestmark = pytest.mark.parts

WIDTH, HEIGHT = 800, 480
NUMBER = "999"
"""That of Great Britain."""
CALL = f"Call {NUMBER} myself"
OTHER = "It is something else"
PATIENT = {"escalate_s": 600.0, "check_in_s": 600.0, "check_s": 600.0}
"""Nothing happens by itself while somebody clicks through everything."""


@dataclass
class Desk:
    """A unit with a screen that is clicked, as a person would see and click it."""

    stage: Stage
    display: str
    remote: ScreenRemote
    clicks: int = 0

    @property
    def screen(self) -> Part:
        return self.stage.parts["ui"]

    def page(self, text: str) -> dict[str, Any]:
        """The page, once it has a button with this text that may be clicked."""
        page = self.remote.wait(lambda page: page["still"] and text in page["buttons"], f"button {text!r}")
        wait_for("the end of the last click", lambda: time.monotonic() > page["free_s"])
        return page

    def click(self, text: str, *, times: int = 1) -> None:
        """One click on a button, or several in a row, as a hand that trembles does."""
        page = self.page(text)
        x, y = (round(at) for at in page["middles"][page["buttons"].index(text)])
        self._mouse("mousemove", str(x), str(y), "click", "--repeat", str(times), "--delay", "40", "1")
        self.remote.wait(lambda now: now["free_s"] > page["free_s"], "sign that the click was taken")
        self.clicks += 1

    def _mouse(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env={**os.environ, "DISPLAY": self.display}, check=True, timeout=10)

    def wait(self, kind: str, **facts: object) -> dict[str, Any]:
        """The page, once it is of a kind and has these facts."""
        return self.remote.wait(
            lambda page: page["kind"] == kind and all(page[name] == fact for name, fact in facts.items()),
            f"{kind} with {facts}",
        )

    def incident(self) -> Snapshot | None:
        status = self.stage.status()
        return status.incident if status else None

    def says(self, wanted: str, what: Any) -> None:
        """Wait until the hub's own status has this fact of the incident."""
        wait_for(
            f"the hub to say {wanted} {what}", lambda: (now := self.incident()) and getattr(now, wanted) == what, 10
        )

    def alert(self) -> None:
        """An open alert, on the page that asks what is happening."""
        if self.incident() is None:
            self.click("I need help")
        while self.remote.wait(lambda page: page["incident"], "an alert")["kind"] != "waiting":
            self.click(OTHER)

    def steps(self, choice: Choice) -> None:
        """Touch what is happening, and which it is: two clicks at most."""
        self.alert()
        before = self.clicks
        for text in _way(choice):
            self.click(text)
        assert self.clicks - before <= 2
        self.wait("steps", choice=choice, step=0)


def _way(choice: Choice) -> tuple[str, ...]:
    """What is clicked on the way from an alert to a case."""
    group = next((group for group, cases in GROUPS.items() if choice in cases), None)
    if group is not None:
        return CASES[group].tile, CASES[choice].tile
    return (CASES[choice].tile, "I am not sure") if GROUPS[choice] else (CASES[choice].tile,)


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A bare X server as large as the window."""
    read, write = os.pipe()
    screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    command = ["Xvfb", "-displayfd", str(write), *screen, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, display: str) -> Iterator[Desk]:
    """A unit whose alert goes on from one test to the next: each takes it as it finds it."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(tmp_path_factory.mktemp("desk"), escalation=PATIENT))
        stage.write_config()
        stage.start_broker()
        stage.start_hub()
        stack.enter_context(Staff(stage, SAM))
        wait_for("Sam to be known", lambda: (now := stage.status()) and now.reach is Reach.OK)
        command = ["ui", "--config", str(stage.config_file), "--remote", str(stage.screen_remote)]
        stage._start("ui", command, {"SDL_VIDEODRIVER": "x11", "DISPLAY": display})
        made = Desk(stage, display, ScreenRemote(stage.screen_remote))
        made.remote.wait_page("idle", 30)
        yield made


def test_a_click_on_a_language_changes_the_quiet_page_and_one_more_raises_the_alert_in_it(desk: Desk) -> None:
    spanish = load(Language.SPANISH)
    desk.click(OWN_NAMES[Language.SPANISH])
    desk.page(spanish.say("b_help"))
    assert desk.incident() is None
    desk.click(spanish.say("b_help"))
    raised = wait_for("the alert", desk.incident)
    assert (raised.state, raised.trigger) == (State.RAISED, Trigger.TOUCH)
    desk.says("language", Language.SPANISH)
    desk.wait("waiting")
    desk.click(f"{VIEW_SIGNS} {spanish.say('b_view')}")
    desk.click(OWN_NAMES[Language.ENGLISH])
    desk.says("language", Language.ENGLISH)
    desk.click("Back")
    assert "Stay here. I am with you." in desk.wait("waiting")["texts"]


def test_two_clicks_lead_to_every_case_and_the_emergency_page_is_one_away(desk: Desk) -> None:
    for choice in CASES:
        desk.steps(choice)
        assert CALL in desk.remote.page()["buttons"]
        desk.says("choice", choice)


@pytest.mark.parametrize("way", [(), ("Someone is hurt",), ("Someone is hurt", "Bleeding"), ("Tell my name",)])
def test_one_click_shows_how_to_call_and_one_leads_back(desk: Desk, way: tuple[str, ...]) -> None:
    desk.alert()
    for text in way:
        desk.click(text)
    desk.click(CALL)
    shown = desk.wait("emergency", still=True)
    assert NUMBER in shown["texts"]
    desk.click(next(text for text in shown["buttons"] if text.startswith("Back")))
    desk.remote.wait(lambda page: page["kind"] in {"waiting", "steps"}, "the way back")


def test_a_double_click_counts_once(desk: Desk) -> None:
    desk.steps(Choice.CHEST_PAIN)
    desk.click("Next", times=2)
    desk.wait("steps", step=1)
    desk.click("Next")
    desk.wait("steps", step=2)


def test_a_language_in_the_middle_and_a_screen_that_is_killed_comes_back_to_its_step_in_it(desk: Desk) -> None:
    desk.steps(Choice.CHEST_PAIN)
    desk.click("Next")
    desk.wait("steps", step=1)
    arabic = load(Language.ARABIC)
    desk.click(f"{VIEW_SIGNS} Language")
    desk.click(OWN_NAMES[Language.ARABIC])
    desk.click(arabic.say("b_back"))
    desk.says("language", Language.ARABIC)
    before = desk.wait("steps", step=1)
    desk.screen.signal(signal.SIGKILL)
    desk.screen.kill()
    desk.screen.start()
    again = desk.wait("steps", step=1)
    assert [again[part] for part in ("incident", "choice", "look")] == [
        before[part] for part in ("incident", "choice", "look")
    ]
    assert arabic.say("chest_pain.2.0") in again["texts"]


def test_a_hub_that_dies_is_told_in_five_seconds(desk: Desk) -> None:
    said = load(Language(desk.remote.page()["look"]["language"])).say("gone")
    desk.stage.parts["alertd"].kill()
    desk.remote.wait(lambda page: said in page["texts"], said, 5.0)
