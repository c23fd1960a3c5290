"""Plays a story from the first sign of distress to a person at the desk, on all the real parts, and reports it."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.build import BuildError
from firmware_bridge.simulator import SimulatorError
from kiosk.demo.browser import BrowserError, Phone, browser, open_phone
from kiosk.demo.stage import ALEX, SAM, Responder, Stage, StageError, wait_for
from kiosk.messages import Reach
from kiosk.ui.remote import RemoteError, ScreenRemote

ORDINARY = ("How can I help you today?", "I would like to return this lamp, please.", "Do you need a bag for that?")
DISTRESS = "Call an ambulance!"
VOICE = ("-v", "en-gb-x-rp", "-p", "80", "-s", "180")
"""A voice that the model was not trained on, and one of those that it hears well: MODEL_CARD.md says how many it does not."""
QUIET_S = 3.0
"""How long after an ordinary sentence a detection could still come."""
QUICK = {"escalate_s": 8.0, "check_in_s": 60.0}
"""The unanswered story gives each tier 8 s instead of 30, and says so."""


def speak(stage: Stage, text: str) -> None:
    """Say `text` at the desk with a synthesised voice; return when its last word has been said."""
    sound = stage.folder / "said.wav"
    # a file is all that it writes, and yet it looks for a sound server and leaves a folder in the user's own
    home = {**os.environ, **stage.microphone.env}
    subprocess.run(["espeak-ng", *VOICE, "-w", str(sound), text], check=True, env=home)
    stage.microphone.play(sound)
    sound.unlink()


@dataclass
class Report:
    """What happened, in the words of report.json."""

    story: str
    started_s: float = field(default_factory=time.time)
    ok: bool = False
    events: list[dict[str, object]] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)

    def note(self, source: str, what: str) -> None:
        """Note an event, now."""
        self.events.append({"t_s": round(time.time() - self.started_s, 3), "source": source, "what": what})

    def measure(self, name: str, value_s: float) -> None:
        """Keep a measure, in seconds."""
        self.measures[name] = round(value_s, 3)

    def write(self, folder: Path) -> None:
        """Write report.json."""
        body = {"story": self.story, "ok": self.ok, "events": self.events, "measures": self.measures}
        (folder / "report.json").write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


class Play:
    """One story being played: the store, the screen, the phones, and the report."""

    def __init__(self, story: str, stage: Stage, folder: Path, stack: ExitStack) -> None:
        self.stage, self.folder = stage, folder
        self.report = Report(story)
        self.screen = ScreenRemote(stage.screen_remote)
        self.phones: dict[str, Phone] = {}
        self._stack = stack
        self._step = 0

    def open_store(self, *staff: Responder) -> None:
        """Start everything, and a board for each of `staff`; return when the unit knows that they listen."""
        self.stage.start_unit()
        running = self._stack.enter_context(browser())
        for one in staff:
            self.phones[one.person.id] = open_phone(running, self.stage.board_page(one), one.person.name)
            self.report.note(f"board {one.person.name}", "open and connected")
        wait_for("the unit to know who listens", lambda: self._listening(len(staff)))
        self.wait_screen("We are here.")  # its greeting turns each minute
        self.shot("idle")

    def _listening(self, count: int) -> bool:
        status = self.stage.status()
        return status is not None and status.reach is Reach.OK and len(status.listeners) == count

    def wait_screen(self, *texts: str, timeout_s: float = 30.0) -> None:
        """Wait until the screen shows all of `texts`."""
        page = self.screen.wait(
            lambda page: all(any(text in line for line in page["texts"]) for text in texts),
            f"page with {texts}",
            timeout_s,
        )
        self.report.note("screen", f"{page['kind']}: {' / '.join(page['texts'])}")

    def wait_board(self, who: Responder, text: str, timeout_s: float = 30.0) -> None:
        """Wait until a responder's board shows `text`."""
        self.phones[who.person.id].wait_text(text, timeout_s)
        self.report.note(f"board {who.person.name}", f"shows “{text}”")

    def wait_alert(self, who: Responder) -> float:
        """Wait until a responder's board has painted an alert; return that time of day."""
        painted_unix_s = self.phones[who.person.id].wait_alert()
        self.report.note(f"board {who.person.name}", "painted the alert")
        return painted_unix_s

    def touch_board(self, who: Responder, label: str) -> float:
        """Touch a button of a responder's board; return that time of day."""
        at_unix_s = self.phones[who.person.id].touch(label)
        self.report.note(f"board {who.person.name}", f"{who.person.name} touches “{label}”")
        return at_unix_s

    def tap_screen(self, label: str) -> None:
        """Touch a button of the screen."""
        self.report.note("customer", f"touches “{label}”")
        self.screen.tap(label)

    def press(self) -> float:
        """Press the panic button; return that time of day."""
        self.report.note("customer", "presses the button")
        at_unix_s = time.time()
        self.stage.button.press()
        return at_unix_s

    def say(self, text: str) -> float:
        """Say something into the microphone; return the time of day at which the last word ended."""
        speak(self.stage, text)
        ended_unix_s = time.time()
        self.report.note("customer", f"says “{text}”")
        return ended_unix_s

    def shot(self, step: str) -> None:
        """Keep a picture of the kiosk and of every board."""
        self._step += 1
        name = f"{self._step:02d}-{step}"
        self.screen.shot(self.folder / f"{name}-kiosk.png")
        for who, phone in self.phones.items():
            phone.shot(self.folder / f"{name}-board-{who}.png")

    def answer(self) -> None:
        """Sam answers, comes, is there, and closes; each step shows at the desk."""
        touched_unix_s = self.touch_board(SAM, "Coming · 1 min")
        self.wait_screen("Sam is coming")
        self.report.measure("board_answer_to_screen_s", time.time() - touched_unix_s)
        self.shot("coming")
        self.touch_board(SAM, "I’m here")
        self.wait_screen("Sam is here")
        self.shot("here")
        self.touch_board(SAM, "Real")
        self.wait_screen("Thank you")
        self.shot("closed")


def press(play: Play) -> None:
    """A press; the person says what is wrong; Sam answers."""
    play.open_store(SAM, ALEX)
    pressed_unix_s = play.press()
    play.report.measure("press_to_board_s", play.wait_alert(SAM) - pressed_unix_s)
    play.wait_screen("Sam’s")
    play.stage.button.release()
    play.shot("raised")
    play.tap_screen("Chest or breathing")
    play.wait_board(SAM, "Touched: chest or breathing.")
    play.wait_screen("Which is it?")
    play.shot("which")
    play.tap_screen("Chest pain")
    play.wait_board(SAM, "Touched: chest pain.")
    play.wait_screen("Call 999 now.")
    play.shot("told")
    play.answer()


def voice(play: Play) -> None:
    """Three ordinary sentences raise nothing; a call for an ambulance does."""
    play.open_store(SAM, ALEX)
    for sentence in ORDINARY:
        play.say(sentence)
        _stays_quiet(play)
    ended_unix_s = play.say(DISTRESS)
    play.report.measure("phrase_end_to_board_s", play.wait_alert(SAM) - ended_unix_s)
    play.shot("heard")
    play.answer()


def _stays_quiet(play: Play) -> None:
    until_s = time.monotonic() + QUIET_S
    while time.monotonic() < until_s:
        status = play.stage.status()
        if status is None or status.incident is not None:
            raise StageError("an ordinary sentence opened an incident")
        time.sleep(0.1)
    play.report.note("hub", "nothing open")


def unanswered(play: Play) -> None:
    """Nobody answers: the next tier, then the emergency page; then somebody does."""
    play.report.note("story", f"each tier has {QUICK['escalate_s']:g} s here, not 30")
    play.open_store(SAM, ALEX)
    pressed_unix_s = play.press()
    play.report.measure("press_to_board_s", play.wait_alert(SAM) - pressed_unix_s)
    play.wait_screen("Stay here")
    play.stage.button.release()
    play.shot("raised")
    play.phones[ALEX.person.id].wait_sounding("emergency")
    play.report.measure("press_to_next_tier_s", time.time() - pressed_unix_s)
    play.report.note("board Alex", "sounds: the manager is asked too")
    play.wait_screen("I asked the manager too")
    play.shot("next-tier")
    play.wait_screen("999", "Read this out")
    play.report.measure("press_to_emergency_page_s", time.time() - pressed_unix_s)
    play.shot("emergency")
    play.answer()


STORIES: dict[str, Callable[[Play], None]] = {"press": press, "voice": voice, "unanswered": unanswered}
PROBLEMS = (StageError, BuildError, SimulatorError, RemoteError, BrowserError, OSError, subprocess.SubprocessError)
"""What can go wrong in a play: each says in one line what."""


def play(story: str, folder: Path, store: Path, *, headless: bool) -> Report:
    """Play `story` in the throw-away folder `store`; write report.json and pictures to `folder`; return the report.

    A story that fails has `ok` false and, as its last event, what was waited for in vain.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stage = stack.enter_context(
            Stage(store, escalation=QUICK if story == "unanswered" else None, headless=headless)
        )
        playing = Play(story, stage, folder.resolve(), stack)
        try:
            STORIES[story](playing)
            playing.report.ok = True
        except PROBLEMS as error:
            playing.report.note("story", f"failed: {error}")
            _keep_logs(stage, folder)
        playing.report.write(folder)
    return playing.report


def _keep_logs(stage: Stage, folder: Path) -> None:
    for part in stage.parts.values():
        (folder / part.log.name).write_text(part.said())
