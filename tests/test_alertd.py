"""The hub as a process, between the real firmware, a real broker with TLS, and leaves on a real socket."""

import functools
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import serial

from firmware_bridge.events import (
    DownReason,
    LidOpened,
    LinkDown,
    LinkUp,
    LoopFault,
    MemoryFaulty,
    MemorySound,
    Pressed,
    PressId,
    Stuck,
    UnitRestarted,
    Unstuck,
)
from firmware_bridge.protocol import Beacon, Input, LoopState, ResetCause
from firmware_bridge.simulator import SimulatedButton
from kiosk import mqtt
from kiosk.alertd import (
    DEVICES_MOST,
    HANDLERS,
    LENT_S,
    MISSED_SHOWN_S,
    NOT_IN_THE_LOG,
    PAUSE_AGAIN_S,
    PAUSE_S,
    PAUSES_S,
    REFUSED_AGAIN_S,
    Hub,
    LeafGone,
    _face,
    idle_beacon,
    read_clock,
)
from kiosk.bus import Leaf, ask, encode, runtime_socket
from kiosk.config import load_unit
from kiosk.demo.stage import ALEX, SAM, UNIT, Part, Stage, wait_for
from kiosk.guidance import CASES
from kiosk.incident import DRILL_LIMIT_S, REVISION_LEAP
from kiosk.messages import (
    COVERT_PHRASE,
    HELP_WORD,
    LAST_TIER,
    OPENING,
    PRESENCE_KEPT_S,
    AskButton,
    ButtonAnswer,
    ButtonHealth,
    Choice,
    CloseReply,
    ComingReply,
    Detection,
    DetectionTaken,
    Duty,
    Ear,
    Fault,
    Hearing,
    Hello,
    HereReply,
    Language,
    Outcome,
    PauseEar,
    Presence,
    Reach,
    Reply,
    Role,
    ScreenBeat,
    SeenReply,
    Severity,
    Show,
    Speaking,
    StartDrill,
    State,
    ToLeaf,
    Touch,
    TouchAction,
    Trigger,
    UnitState,
    incident_topic,
    parse_snapshot,
    reply_topic,
)
from kiosk.opening import OPENING_S
from kiosk.page import Page
from kiosk.pages import Desk, Local, page, settle
from kiosk.store import Heard, Store, is_open
from kiosk.tongue import ENGLISH
from tests.staff import Staff

pytestmark = pytest.mark.parts


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.write_config()
        yield made


@pytest.fixture
def unit(stage: Stage) -> Stage:
    """A broker, a button and a hub."""
    stage.start_broker()
    stage.start_button()
    stage.start_hub()
    wait_for("the button", lambda: (health := _health(stage)) is not None and health.up)
    return stage


@pytest.fixture
def sam(unit: Stage) -> Iterator[Staff]:
    with Staff(unit, SAM) as made:
        wait_for("Sam to be known", lambda: _reach(unit) is Reach.OK)
        yield made


def _reach(stage: Stage) -> Reach | None:
    status = stage.status()
    return status.reach if status else None


def _faults(stage: Stage) -> set[str]:
    status = stage.status()
    return {fault.code for fault in status.status.faults} if status else {"hub"}


def _no_fault(stage: Stage, code: str) -> bool:
    return not {code, "hub"} & _faults(stage)


def hub(stage: Stage) -> Part:
    return stage.parts["alertd"]


class Screen:
    """A leaf on the bus that remembers what it is shown."""

    def __init__(self, stage: Stage, role: Role = Role.UI) -> None:
        self.shown: list[ToLeaf] = []
        self.linked: list[bool] = []
        self._leaf = Leaf(
            runtime_socket(stage.run_dir),
            Hello(role=role),
            self.shown.append,
            self.linked.append,
            print,
            print,
        )
        self.send = self._leaf.send
        self.close = self._leaf.close
        wait_for("the bus", lambda: self.linked)

    def wait(self, state: State | None) -> Show:
        def look() -> Show | None:
            last = self.shown[-1] if self.shown else None
            if isinstance(last, Show) and (last.incident.state if last.incident else None) is state:
                return last
            return None

        return wait_for(f"the screen to show {state}", look)


@pytest.fixture
def screen(unit: Stage) -> Iterator[Screen]:
    made = Screen(unit)
    yield made
    made.close()


def test_a_press_reaches_a_person_and_their_answer_reaches_the_desk(unit: Stage, sam: Staff, screen: Screen) -> None:
    unit.button.press()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (raised.trigger, raised.severity, raised.asked) == (Trigger.BUTTON, Severity.ALERT, (SAM.person,))
    wait_for(
        "light at the desk",
        lambda: unit.button.outputs().led,
    )
    sam.reply(SeenReply, raised.id)
    assert sam.wait(lambda snapshot: snapshot.seen).seen == (SAM.person,)
    sam.reply(ComingReply, raised.id, eta_s=60)
    shown = screen.wait(State.COMING)
    assert shown.incident is not None
    assert shown.incident.coming[0].responder.name == "Sam"
    sam.reply(HereReply, raised.id)
    sam.wait(lambda snapshot: snapshot.state is State.ATTENDED)
    sam.reply(CloseReply, raised.id, outcome=Outcome.REAL)
    closed = sam.wait(lambda snapshot: snapshot.state is State.CLOSED)
    assert closed.outcome is Outcome.REAL
    assert {snapshot.id for snapshot in sam.snapshots} == {raised.id}
    revisions = [snapshot.revision for snapshot in sam.snapshots]
    assert revisions == sorted(revisions)


def test_a_close_that_was_overtaken_by_a_call_closes_nothing(unit: Stage, sam: Staff, screen: Screen) -> None:
    """It was given before somebody pressed again, and was under way meanwhile: its board had no link, or the unit had none."""
    unit.tap_button()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    sam.reply(HereReply, raised.id)
    knew = sam.wait(lambda snapshot: snapshot.state is State.ATTENDED).timeline[-1].t_s
    wait_for("the hub to take the touch", lambda: screen.send(Touch(action=TouchAction.HELP)))
    sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    sam.reply(CloseReply, raised.id, outcome=Outcome.FALSE_ALARM, known_s=knew)
    line = "close from sam: somebody called again before it arrived; it stays open"
    wait_for("the line", lambda: line in hub(unit).said())
    sam.reply(HereReply, raised.id)
    again = sam.wait(lambda snapshot: snapshot.state is State.ATTENDED)
    sam.reply(CloseReply, raised.id, outcome=Outcome.REAL, known_s=again.timeline[-1].t_s)
    assert sam.wait(lambda snapshot: snapshot.state is State.CLOSED).outcome is Outcome.REAL


def test_kill_9_of_the_hub_in_mid_incident(unit: Stage, sam: Staff) -> None:
    unit.tap_button()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    before = sam.wait_status(lambda status: status.link is not None and status.link.broker_ms is not None)
    assert before.at is not None
    assert abs(datetime.now(UTC) - before.at) < timedelta(seconds=30)
    hub(unit).kill()
    sam.wait_status(lambda status: status.state == "lost")
    hub(unit).start()
    sam.wait_status(lambda status: status.state != "lost" and status.run not in {"", before.run})
    sam.reply(ComingReply, raised.id, eta_s=60)
    coming = sam.wait(lambda snapshot: snapshot.state is State.COMING)
    assert coming.id == raised.id
    assert {snapshot.id for snapshot in sam.snapshots} == {raised.id}
    assert [entry.what for entry in coming.timeline].count("pressed") == 0


def test_a_press_while_the_hub_is_dead_is_not_lost(unit: Stage, sam: Staff) -> None:
    hub(unit).kill()
    unit.tap_button()
    wait_for("the button's own siren", lambda: unit.button.outputs().buzzer)
    hub(unit).start()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    sam.reply(CloseReply, raised.id, outcome=Outcome.TEST)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)
    hub(unit).kill()
    hub(unit).start()
    wait_for("the third greeting of the button", lambda: hub(unit).said().count("button: firmware") == 3)
    status = wait_for("the hub", unit.status)
    assert status.incident is None, "the same press raised twice"


def test_kill_9_of_the_broker_in_mid_incident(unit: Stage, sam: Staff) -> None:
    unit.button.press()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    sam.snapshots.clear()
    unit.broker.restart()
    again = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert again.id == raised.id
    assert not again.emergency
    sam.reply(ComingReply, raised.id, eta_s=60)
    sam.wait(lambda snapshot: snapshot.state is State.COMING)
    assert {snapshot.id for snapshot in sam.snapshots} == {raised.id}


def test_a_press_while_the_broker_is_dead_reaches_staff_once_it_is_back(
    unit: Stage, sam: Staff, screen: Screen
) -> None:
    unit.broker.kill()
    wait_for("the fault", lambda: "broker" in _faults(unit))
    unit.button.press()
    shown = screen.wait(State.RAISED)
    assert shown.reach is Reach.DISCONNECTED
    wait_for("the siren", lambda: unit.button.outputs().buzzer)
    unit.broker.start()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert raised.trigger is Trigger.BUTTON


def test_bad_replies_are_one_line_each_and_change_nothing(unit: Stage, sam: Staff) -> None:
    unit.button.press()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    good = ComingReply(reply_id="x" * 8, incident=raised.id, responder="alex", eta_s=60)
    sam.raw(b"this is not JSON")
    sam.raw(good.model_dump_json().encode())
    sam.raw(b'{"v": 1, "kind": "coming", "reply_id": "12345678", "incident": "other", "responder": "sam", "eta_s": 60}')
    sam.raw(b'{"kind": "coming", "eta_s": 1e999}' + b" " * 200_000)
    sam.raw(b"\xff\xfe\x00")
    wait_for("five lines in the log", lambda: hub(unit).said().count("ignored") == 5)
    assert max(len(line) for line in hub(unit).said().splitlines()) < 400
    sam.reply(SeenReply, raised.id)
    assert sam.wait(lambda snapshot: snapshot.seen).state is State.RAISED


def test_a_stranger_who_never_signed_on_is_not_believed(unit: Stage, sam: Staff) -> None:
    unit.button.press()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    with Staff(unit, ALEX) as alex:
        alex._say("stayby/1/harbour/staff/alex/phone", alex._presence().model_copy(update={"name": ""}), retain=True)
        sam.raw(
            ComingReply(reply_id="y" * 8, incident=raised.id, responder="alex", eta_s=60).model_dump_json().encode(),
            responder="alex",
        )
        alex.reply(SeenReply, raised.id)
        sam.wait(lambda snapshot: ALEX.person in snapshot.seen)
    assert sam.snapshots[-1].state is State.RAISED, "Sam spoke in Alex's name"


def test_without_any_other_part_touch_still_raises_and_every_lack_is_told(stage: Stage) -> None:
    stage.start_hub()
    screen = Screen(stage)
    screen.send(Touch(action=TouchAction.HELP))
    shown = screen.wait(State.RAISED)
    assert shown.reach is Reach.DISCONNECTED
    wait_for("the emergency page", lambda: screen.wait(State.RAISED).incident.emergency)  # type: ignore[union-attr]  # raised
    wait_for("the faults", lambda: {"broker", "button"} <= _faults(stage))
    screen.close()
    wait_for("the missing leaves", lambda: {"screen", "listen"} <= _faults(stage))


def test_a_leaf_that_does_not_read_is_dropped_and_the_rest_goes_on(unit: Stage, sam: Staff) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.connect(str(runtime_socket(unit.run_dir)))
        frozen.sendall(encode(Hello(role=Role.UI)) + encode(ScreenBeat()))
        wait_for("the fault", lambda: "screen" in _faults(unit))
        unit.button.press()
        sam.wait(lambda snapshot: snapshot.state is State.RAISED)


def test_garbage_on_the_bus_is_one_line(unit: Stage, sam: Staff) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.connect(str(runtime_socket(unit.run_dir)))
        stranger.sendall(b"hello?\n" + b'{"kind": "touch"}\n' + b"x" * 1_000_000 + b"\n")
        wait_for("three lines in the log", lambda: hub(unit).said().count("line from a leaf") == 3)
        unit.button.press()
        sam.wait(lambda snapshot: snapshot.state is State.RAISED)


def test_a_phrase_asks_and_a_touch_raises(unit: Stage, sam: Staff, screen: Screen) -> None:
    ear = Screen(unit, Role.LISTEN)
    ear.send(Ear(state=Hearing.LISTENING))
    ear.send(Detection(phrase="help_me", score=2.0, audio_end_s=0.0))
    checking = sam.wait(lambda snapshot: snapshot.state is State.CHECKING)
    assert (checking.severity, checking.phrase) == (Severity.CHECK, "help_me")
    assert not unit.button.outputs().buzzer
    screen.wait(State.CHECKING)
    screen.send(Touch(action=TouchAction.HELP, incident=checking.id))
    screen.send(Touch(action=TouchAction.CHOOSE, incident=checking.id, choice=Choice.CHEST_OR_BREATHING))
    told = sam.wait(lambda snapshot: snapshot.choice)
    assert (told.state, told.severity) == (State.RAISED, Severity.GRAVE)
    ear.close()


def test_the_ear_is_told_when_the_unit_speaks_and_touch_works_meanwhile(
    unit: Stage, sam: Staff, screen: Screen
) -> None:
    ear = Screen(unit, Role.LISTEN)
    ear.send(Ear(state=Hearing.LISTENING))
    screen.wait(None)
    wait_for(
        "the ear on the screen",
        lambda: isinstance(screen.shown[-1], Show) and screen.shown[-1].hearing is Hearing.LISTENING,
    )
    speaking = Speaking(start_s=time.monotonic(), end_s=time.monotonic() + 10)
    screen.send(speaking)
    wait_for("the ear to be told", lambda: speaking in ear.shown)
    screen.send(Touch(action=TouchAction.HELP))
    sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    ear.close()


def test_a_phrase_suggests_its_case_to_screen_and_staff(sam: Staff, screen: Screen) -> None:
    opens = Choice.CHEST_OR_BREATHING
    screen.send(Detection(phrase="breathe", score=2.0, opens=opens, audio_end_s=0.0))
    assert sam.wait(lambda snapshot: snapshot.state is State.CHECKING).guess is opens
    shown = screen.wait(State.CHECKING)
    assert shown.incident is not None
    assert (shown.incident.guess, shown.incident.choice) == (opens, None)


def test_a_covert_phrase_calls_staff_and_the_screen_shows_only_what_an_idle_one_shows_as_well(
    unit: Stage, sam: Staff, screen: Screen
) -> None:
    desk = Desk(screen.wait(None).face, button=True)
    wait_for("a screen without faults of starting", lambda: "screen" not in _faults(unit))
    ear = Screen(unit, Role.LISTEN)
    ear.send(Ear(state=Hearing.LISTENING))
    idle = wait_for("the ear on the screen", lambda: _listening_page(screen, desk))
    seen = len(screen.shown)
    ear.send(Detection(phrase="angela", score=6.0, covert=True, audio_end_s=0.0))
    silent = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (silent.trigger, silent.silent, silent.phrase) == (Trigger.COVERT, True, COVERT_PHRASE)
    sam.reply(SeenReply, silent.id)
    hidden = screen.wait(State.RAISED).incident
    sam.reply(ComingReply, silent.id, eta_s=60)
    sam.wait(lambda snapshot: snapshot.state is State.COMING)
    sam.reply(HereReply, silent.id)
    sam.wait(lambda snapshot: snapshot.state is State.ATTENDED)
    assert hidden is not None
    assert (hidden.silent, hidden.phrase, hidden.timeline, hidden.seen) == (True, None, (), ())
    assert screen.wait(State.RAISED).incident is not None, "what the screen is told of it stays as it was"
    sam.reply(CloseReply, silent.id, outcome=Outcome.REAL)
    screen.wait(None)
    pages = _pages(screen, desk, seen)
    assert len(pages) >= 4
    turned = replace(idle, headline=ENGLISH.say("hello_other"))
    assert set(pages) == {idle, turned}, (
        "the greeting turns, as it does each minute: the initiated know that it arrived"
    )
    assert not unit.button.outputs().led
    assert not unit.button.outputs().buzzer
    assert "angela" not in "".join(snapshot.model_dump_json() for snapshot in sam.snapshots)
    ear.close()


def _listening_page(screen: Screen, desk: Desk) -> Page | None:
    shows = [one for one in screen.shown if isinstance(one, Show)]
    found = page(shows[-1], Local(), desk, 0.0, 0.0, ENGLISH)
    return found if shows[-1].hearing is Hearing.LISTENING else None


def _pages(screen: Screen, desk: Desk, start: int) -> list[Page]:
    """What the screen's own model makes of everything that it was shown since `start`."""
    local, found = Local(), []
    for shown in screen.shown[start:]:
        if isinstance(shown, Show):
            local = settle(local, shown, 0.0)
            found.append(page(shown, local, desk, 0.0, 0.0, ENGLISH))
    return found


def test_somebody_asks_for_a_person_and_it_is_no_alarm_until_it_is_more(
    unit: Stage, sam: Staff, screen: Screen
) -> None:
    screen.send(Touch(action=TouchAction.PERSON, incident="one-that-is-over"))
    asked = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (asked.severity, asked.trigger, asked.choice) == (Severity.CHECK, Trigger.TOUCH, Choice.PERSON)
    assert not unit.button.outputs().led
    screen.wait(State.RAISED)
    screen.send(Touch(action=TouchAction.CHOOSE, incident=asked.id, choice=Choice.LOST_CHILD))
    told = sam.wait(lambda snapshot: snapshot.choice is Choice.LOST_CHILD)
    assert (told.id, told.severity) == (asked.id, Severity.ALERT)
    wait_for("light at the desk", lambda: unit.button.outputs().led)


def test_the_language_of_the_screen_reaches_staff(sam: Staff, screen: Screen) -> None:
    screen.send(Touch(action=TouchAction.LANGUAGE, language=Language.ARABIC))
    screen.send(Touch(action=TouchAction.HELP))
    assert sam.wait(lambda snapshot: snapshot.state is State.RAISED).language is Language.ARABIC
    screen.send(Touch(action=TouchAction.LANGUAGE, language=Language.FRENCH))
    told = sam.wait(lambda snapshot: snapshot.language is Language.FRENCH)
    assert (told.timeline[-1].what, told.timeline[-1].who) == ("told_language", "fr")


def _pauses(ear: Screen) -> list[bool]:
    return [one.paused for one in ear.shown if isinstance(one, PauseEar)]


def test_a_pause_of_the_microphone_is_told_to_ear_and_staff_and_outlives_the_hub(
    unit: Stage, sam: Staff, screen: Screen
) -> None:
    ear = Screen(unit, Role.LISTEN)
    wait_for("the ear to be told", lambda: _pauses(ear) == [False])
    screen.send(Touch(action=TouchAction.PAUSE))
    wait_for("the ear to be told", lambda: _pauses(ear) == [False, True])
    status = sam.wait_status(lambda status: "mic-paused" in {fault.code for fault in status.faults})
    (fault,) = (fault for fault in status.faults if fault.code == "mic-paused")
    assert fault.says == "a person at the desk paused the microphone; button and touch work"
    assert re.fullmatch(r"nothing: it listens again by itself at [0-2]\d:[0-5]\d", fault.do)
    ear.send(Ear(state=Hearing.PAUSED))
    shown = wait_for("the screen", lambda: _shown_hearing(screen, Hearing.PAUSED))
    assert shown.hearing_back_s is not None
    assert PAUSE_S - 20 < shown.hearing_back_s <= PAUSE_S
    hub(unit).kill()
    hub(unit).start()
    wait_for("the ear to be told again", lambda: _pauses(ear) == [False, True, True])
    wait_for("the fault", lambda: "mic-paused" in _faults(unit))
    screen.shown.clear()
    wait_for("the screen to be back", lambda: screen.shown)
    screen.send(Touch(action=TouchAction.RESUME))
    wait_for("the ear to be told", lambda: _pauses(ear)[-1] is False)
    wait_for("the end of the fault", lambda: _no_fault(unit, "mic-paused"))
    ear.close()


def _shown_hearing(screen: Screen, hearing: Hearing) -> Show | None:
    last = screen.shown[-1]
    return last if isinstance(last, Show) and last.hearing is hearing else None


def test_the_screen_can_say_what_was_heard_and_never_that_it_was_covert(unit: Stage, screen: Screen) -> None:
    now_s = time.monotonic()
    for at, phrase in enumerate(("help_me", "angela", "blue_suitcase", "chest")):
        covert = phrase == "angela"
        screen.send(Detection(phrase=phrase, score=2.0 + at, covert=covert, audio_end_s=now_s - 2.0 + 0.1 * at))
    shown = wait_for("both phrases", lambda: _with_heard(screen, 2))
    assert [(one.phrase, one.score) for one in shown.heard] == [("chest", 5.0), ("help_me", 2.0)]
    assert 1.0 < datetime.now(UTC).timestamp() - shown.heard[0].at.timestamp() < 60.0
    hub(unit).kill()
    screen.shown.clear()
    hub(unit).start()
    assert wait_for("what was kept", lambda: _with_heard(screen, 2)).heard == shown.heard


def _with_heard(screen: Screen, count: int) -> Show | None:
    last = screen.shown[-1] if screen.shown else None
    return last if isinstance(last, Show) and len(last.heard) == count else None


def test_the_face_of_the_unit_is_what_was_set(stage: Stage) -> None:
    text = stage.config_file.read_text()
    face = _face(load_unit(text).unit)
    assert (face.unit, face.country, face.emergency_number, face.police_number) == (UNIT, "GB", "999", "")
    assert all((face.defibrillator, face.refuge, face.meet, face.phone, face.address))


def test_a_late_touch_means_what_it_meant(unit: Stage, sam: Staff, screen: Screen) -> None:
    screen.send(Detection(phrase="help_me", score=2.0, audio_end_s=0.0))
    first = sam.wait(lambda snapshot: snapshot.state is State.CHECKING)
    sam.reply(CloseReply, first.id, outcome=Outcome.FALSE_ALARM)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)
    screen.send(Detection(phrase="help_me", score=2.0, audio_end_s=10.0))
    second = sam.wait(lambda snapshot: snapshot.state is State.CHECKING)
    screen.send(Touch(action=TouchAction.FINE, incident=first.id))
    wait_for("the line in the log", lambda: "not open now" in hub(unit).said())
    status = unit.status()
    assert status is not None
    assert status.incident is not None
    assert status.incident.id == second.id


def test_an_empty_tier_is_skipped(unit: Stage) -> None:
    with Staff(unit, ALEX) as alex:
        unit.button.press()
        raised = alex.wait(lambda snapshot: snapshot.state is State.RAISED and snapshot.tier == 2)
        assert raised.asked == (ALEX.person,)


def test_an_incident_that_the_unit_lost_comes_back_from_the_broker(unit: Stage, sam: Staff) -> None:
    unit.tap_button()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    hub(unit).kill()
    for path in (unit.folder / "state").glob("state.db*"):
        path.unlink()
    hub(unit).start()
    again = sam.wait(lambda snapshot: snapshot.revision > raised.revision + 1000)
    assert (again.id, again.state) == (raised.id, State.RAISED)
    sam.reply(CloseReply, raised.id, outcome=Outcome.TEST)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)


def test_a_device_that_was_cleared_from_the_broker_listens_no_more(unit: Stage, sam: Staff) -> None:
    sam.forget()
    wait_for("the fault", lambda: "nobody-listening" in _faults(unit))


def test_an_alert_that_the_broker_refuses_is_a_fault_until_it_takes_it(unit: Stage, sam: Staff, screen: Screen) -> None:
    acl = unit.broker.folder / "acl"
    good = acl.read_text()
    acl.write_text(
        good.replace("topic readwrite stayby/1/harbour/desk-3/incident", "topic read stayby/1/harbour/desk-3/incident")
    )
    unit.broker.restart()
    sam.until(lambda: sam.connections == 2)
    wait_for("the broker to be back", lambda: "broker" not in _faults(unit) and _reach(unit) is Reach.OK)
    unit.button.press()
    wait_for("the fault", lambda: "broker-refused" in _faults(unit))
    wait_for("the screen to know", lambda: _told_and_reach(screen) == (False, Reach.DISCONNECTED))
    acl.write_text(good)
    os.kill(unit.broker.pid, signal.SIGHUP)
    sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    wait_for("the end of the fault", lambda: "broker-refused" not in _faults(unit) and _reach(unit) is Reach.OK)
    wait_for("the screen to know", lambda: screen.wait(State.RAISED).told)


def _told_and_reach(screen: Screen) -> tuple[bool, Reach]:
    shown = screen.wait(State.RAISED)
    return shown.told, shown.reach


def test_staff_count_as_out_of_reach_while_a_refused_alert_is_tried_again(alone: Hub) -> None:
    """The refusal of the second try may take longer than a tick."""
    now_s = time.monotonic()
    alone._connected_s = now_s - 60.0
    _signed_on(alone, now_s)
    alone._in_flight[3] = 7
    alone._refused(mqtt.Refused("the broker refused a message", 3))
    reached = [alone._machine.reach]
    for after_s in (1.0, REFUSED_AGAIN_S + 1.0, REFUSED_AGAIN_S + 2.0):
        alone._tick(now_s + after_s)
        reached.append(alone._machine.reach)
    alone._in_flight[4] = 7
    alone._acknowledged(mqtt.Acknowledged(4))
    alone._tick(now_s + REFUSED_AGAIN_S + 3.0)
    assert [*reached, alone._machine.reach] == [*[Reach.DISCONNECTED] * 4, Reach.OK]


def test_a_detection_said_twice_counts_once_and_is_confirmed(unit: Stage, sam: Staff) -> None:
    ear = Screen(unit, Role.LISTEN)
    heard = Detection(phrase="help_me", score=2.0, audio_end_s=5.0)
    ear.send(heard)
    ear.send(heard)
    wait_for("both to be confirmed", lambda: ear.shown.count(DetectionTaken(audio_end_s=5.0)) == 2)
    assert sam.wait(lambda snapshot: snapshot.phrase).state is State.CHECKING
    ear.close()


def test_a_call_that_a_dying_hub_saved_but_did_not_confirm_counts_once(unit: Stage, sam: Staff) -> None:
    heard = Detection(phrase="help_me", score=2.0, audio_end_s=time.monotonic())
    ear = Screen(unit, Role.LISTEN)
    ear.send(heard)
    checking = sam.wait(lambda snapshot: snapshot.state is State.CHECKING)
    hub(unit).kill()
    ear.close()
    hub(unit).start()
    sam.wait_status(lambda status: status.state != "lost")
    again = Screen(unit, Role.LISTEN)
    again.send(heard)
    wait_for("the confirmation", lambda: DetectionTaken(audio_end_s=heard.audio_end_s) in again.shown)
    status = wait_for("the hub", unit.status)
    assert status.incident is not None
    assert (status.incident.id, status.incident.state) == (checking.id, State.CHECKING)
    again.send(heard.model_copy(update={"audio_end_s": time.monotonic()}))
    assert sam.wait(lambda snapshot: snapshot.state is State.RAISED).id == checking.id, "a new call counts"
    again.close()


# ---- who answers, and who does not ----


def _came(made: Hub, reply: Reply) -> None:
    topic = reply_topic("harbour", UNIT, reply.responder)
    made._received(mqtt.Received(topic, reply.model_dump_json().encode(), retained=False))


def _coming(incident: str, responder: str = "sam") -> ComingReply:
    return ComingReply(reply_id=uuid.uuid4().hex, incident=incident, responder=responder, eta_s=60)


def test_a_reply_of_somebody_who_never_signed_on_is_one_line_and_no_more(
    alone: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    _signed_on(alone)
    _press(alone)
    incident = alone._machine.incident
    assert incident is not None
    _came(alone, _coming(incident.id, "mallory"))
    _came(alone, _coming("another-incident"))
    assert alone._machine.incident == incident
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "reply from mallory: nobody of that id has signed on at this store; ignored",
        "reply from sam: incident another-incident is not open here; ignored",
    ]


def test_the_same_reply_from_before_a_restart_counts_once(stage: Stage) -> None:
    made = Hub(load_unit(stage.config_file.read_text()))
    _signed_on(made)
    _press(made)
    assert made._machine.incident is not None
    reply = _coming(made._machine.incident.id)
    _came(made, reply)
    made._close()
    again = Hub(load_unit(stage.config_file.read_text()))
    _signed_on(again)
    _came(again, reply)
    assert again._machine.incident is not None
    assert [entry.what for entry in again._machine.incident.timeline].count("coming") == 1
    again._close()


def test_the_desk_asks_by_the_tiers_that_the_rota_gives_it(alone: Hub) -> None:
    now_s = time.monotonic()
    alone._connected_s = now_s - 60.0
    for name, tier, desks in (("ana", 1, {UNIT: 2}), ("ben", 2, {UNIT: 1}), ("cai", 1, {"elsewhere": 9})):
        _present(alone, name, tier=tier, desks=desks)
    assert {one.person.id: one.tier for one in alone._machine.listeners} == {"ana": 2, "ben": 1, "cai": 1}
    _press(alone)
    incident = alone._machine.incident
    assert incident is not None
    assert {one.id for one in alone._machine.asked(incident)} == {"ben", "cai"}
    _present(alone, "ben", tier=LAST_TIER, duty=Duty.BREAK)
    assert {one.id for one in alone._machine.asked(incident)} == {"cai"}


def test_the_devices_of_one_person_are_one_listener_until_the_last_goes(alone: Hub) -> None:
    alone._connected_s = time.monotonic() - 60.0

    def listeners() -> list[tuple[str, int]]:
        return [(one.person.id, one.tier) for one in alone._machine.listeners]

    _present(alone, "ana", "board", tier=2)
    _present(alone, "ana", "pager", tier=1)
    assert listeners() == [("ana", 1)]
    _present(alone, "ana", "board", tier=LAST_TIER, duty=Duty.BREAK)
    _present(alone, "ana", "pager", tier=1)
    assert listeners() == [("ana", LAST_TIER)]
    _present(alone, "ana", "board", listening=False, tier=LAST_TIER, duty=Duty.BREAK)
    assert listeners() == [("ana", 1)]
    for number in range(2 * DEVICES_MOST):  # what a broker kept of devices that are gone
        _present(alone, "ana", f"other-{number}", listening=False)
        assert listeners() == [("ana", 1)]
    assert len(alone._presences["ana"]) == DEVICES_MOST
    _present(alone, "ana", "pager", listening=False)
    assert listeners() == []


def test_who_is_only_kept_by_the_broker_counts_for_twenty_seconds(alone: Hub) -> None:
    """A broker that lost its power with the devices has no will of theirs to tell."""
    now_s = time.monotonic()
    alone._connected_s = now_s - 60.0
    _present(alone, "ana", retained=True)
    reached = []
    for after_s in (0.0, PRESENCE_KEPT_S - 1.0, PRESENCE_KEPT_S + 1.0):
        alone._check_reach(now_s + after_s)
        reached.append(alone._machine.reach)
    assert reached == [Reach.OK, Reach.OK, Reach.NOBODY]


def test_what_the_broker_took_and_did_not_keep_reaches_who_comes_later(unit: Stage) -> None:
    """An acknowledgement proves nothing about a person: until one answers, the alert is sent again and again."""
    unit.button.press()
    wait_for("the broker's word", lambda: (now := unit.status()) is not None and now.incident and now.unsent == 0)
    came: list[bytes] = []

    def read(event: mqtt.LinkEvent) -> None:
        if isinstance(event, mqtt.Received):
            came.append(event.payload)

    topic = incident_topic("harbour", UNIT)
    reader = mqtt.MqttLink(unit.broker.section_for_board(), "reader", (topic,), read, print)
    wait_for("what the broker keeps", lambda: came)
    wiper = mqtt.MqttLink(unit.broker.section_for_unit(UNIT), "forgetful", (), lambda _: None, print)
    wait_for("the connection", lambda: wiper.publish(topic, b"", retain=True) is not None)
    wait_for("the broker to forget it", lambda: b"" in came)
    wait_for("it to come again", lambda: came[-1] != b"")
    assert parse_snapshot(topic, came[-1]).trigger is Trigger.BUTTON
    wiper.close()
    reader.close()


def test_staff_are_told_what_an_ambulance_needs_to_know_but_in_no_will(alone: Hub) -> None:
    face = alone._status(UnitState.READY).face
    assert face is not None
    assert (face.unit, face.emergency_number, bool(face.address), bool(face.defibrillator)) == (UNIT, "999", True, True)
    assert alone._status(UnitState.LOST).face is None


# ---- drills ----


def test_a_drill_goes_the_whole_way(sam: Staff, screen: Screen, unit: Stage) -> None:
    drill = sam.start_drill("chest_pain")
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (raised.id, raised.drill, raised.scenario, raised.trigger) == (drill, True, "chest_pain", Trigger.DRILL)
    assert ("drill_started", "Sam") in [(entry.what, entry.who) for entry in raised.timeline]
    shown = screen.wait(State.RAISED)
    assert shown.incident is not None
    assert shown.incident.drill
    sam.start_drill("fall")
    wait_for("the line", lambda: "an incident is open here: close it first; ignored" in hub(unit).said())
    sam.reply(HereReply, drill)
    sam.wait(lambda snapshot: snapshot.state is State.ATTENDED)
    sam.reply(CloseReply, drill, outcome=Outcome.TEST)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)


def test_a_drill_begins_once_ever(unit: Stage, sam: Staff) -> None:
    drill = sam.start_drill("fall")
    sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    hub(unit).kill()
    hub(unit).start()
    sam.wait(lambda snapshot: snapshot.revision > REVISION_LEAP)
    sam.reply(CloseReply, drill, outcome=Outcome.TEST)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)
    sam.start_drill("fall", drill)
    wait_for("the line", lambda: f"drill {drill} from sam: it was begun before; ignored" in hub(unit).said())
    kept = sam.start_drill("fall", retain=True)
    assert sam.wait(lambda snapshot: snapshot.state is State.RAISED).id == kept
    sam.reply(SeenReply, kept)  # takes its place at the broker
    sam.reply(CloseReply, kept, outcome=Outcome.TEST)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)


def test_an_order_that_the_broker_kept_begins_nothing(unit: Stage, sam: Staff) -> None:
    hub(unit).kill()
    drill = sam.start_drill("fall", retain=True)
    hub(unit).start()
    line = f"drill {drill} from sam: it is an old one, which the broker kept; ignored"
    wait_for("the line", lambda: line in hub(unit).said())
    assert not sam.snapshots


def test_the_opening_press_proves_every_hop_by_a_human_answer(unit: Stage, sam: Staff, screen: Screen) -> None:
    assert sam.wait_status(lambda status: status.state != "lost").last_proven is None
    drill = sam.start_drill(OPENING)
    armed = sam.wait_status(lambda status: status.opening)
    assert armed.last_proven is None
    assert not sam.snapshots, "nothing is raised yet"
    wait_for("the screen to ask", lambda: getattr(screen.shown[-1], "opening", None) == "press")
    unit.tap_button()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (raised.id, raised.drill, raised.maybe_test, raised.trigger) == (drill, False, True, Trigger.BUTTON)
    wait_for("light at the desk", lambda: unit.button.outputs().led)
    sam.wait_status(lambda status: not status.opening)
    hub(unit).kill()
    hub(unit).start()
    assert sam.wait(lambda snapshot: snapshot.revision > REVISION_LEAP).maybe_test, "the question outlives a power cut"
    sam.start_drill(OPENING, drill)
    wait_for("the line", lambda: f"drill {drill} from sam: it was begun before; ignored" in hub(unit).said())
    yes = Touch(action=TouchAction.TEST, incident=drill)
    wait_for("the hub to take the touch", lambda: screen.send(yes))
    turned = sam.wait(lambda snapshot: snapshot.drill)
    assert (turned.id, turned.scenario, turned.maybe_test) == (drill, OPENING, False)
    sam.reply(ComingReply, drill, eta_s=60)
    proven = sam.wait_status(lambda status: status.last_proven is not None).last_proven
    assert proven is not None
    assert abs((datetime.now(UTC) - proven).total_seconds()) < 60
    hub(unit).kill()
    hub(unit).start()
    sam.statuses.clear()
    assert sam.wait_status(lambda status: status.state != "lost").last_proven == proven
    sam.reply(CloseReply, drill, outcome=Outcome.TEST)
    sam.wait(lambda snapshot: snapshot.state is State.CLOSED)
    sam.snapshots.clear()
    unit.tap_button()
    again = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (again.drill, again.id == drill) == (False, False)


def test_a_press_in_the_minute_of_the_opening_press_that_nobody_calls_a_test_is_somebodys_call(
    alone: Hub,
) -> None:
    _signed_on(alone)
    order = _order(OPENING)
    alone._answer(order, retained=False)
    _press(alone)
    open_ = alone._machine.incident
    assert open_ is not None
    (row,) = alone._store.unsent()
    told = parse_snapshot(row.topic, row.payload)
    assert (told.id, told.drill, told.maybe_test, told.severity) == (order.drill, False, True, Severity.ALERT)
    alone._touch(Touch(action=TouchAction.CHOOSE, incident=order.drill, choice=Choice.CHEST_PAIN))
    alone._touch(Touch(action=TouchAction.TEST, incident=order.drill))
    assert alone._machine.incident is not None
    assert (alone._machine.incident.drill, alone._machine.incident.maybe_test_due_s) == (False, None)


def test_yes_for_another_incident_than_the_one_that_is_shown_makes_no_drill(alone: Hub) -> None:
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    _press(alone)
    alone._touch(Touch(action=TouchAction.TEST, incident="another"))
    alone._touch(Touch(action=TouchAction.TEST))
    assert alone._machine.incident is not None
    assert not alone._machine.incident.drill


def test_after_a_covert_press_the_desk_asks_and_plays_the_test_while_staffs_incident_stays_real(alone: Hub) -> None:
    _signed_on(alone)
    order = _order(OPENING)
    alone._answer(order, retained=False)
    _press(alone, covert=True)
    assert alone._make_show().opening == "press"
    _press(alone)
    shown = alone._make_show()
    assert shown.incident is not None
    assert (shown.opening, shown.incident.id, shown.incident.maybe_test) == (None, order.drill, True)
    alone._touch(Touch(action=TouchAction.TEST, incident=order.drill))
    shown, open_ = alone._make_show(), alone._machine.incident
    assert shown.incident is not None
    assert open_ is not None
    assert (shown.incident.drill, shown.incident.scenario) == (True, OPENING)
    assert (open_.drill, open_.maybe_test_due_s, open_.id == order.drill) == (False, None, False)
    assert alone._proven_at is None


def test_a_damaged_time_of_the_last_proof_stops_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    made = Hub(load_unit(stage.config_file.read_text()))
    made._store.keep_proven(1e300)
    made._close()
    again = Hub(load_unit(stage.config_file.read_text()))
    assert again._status(UnitState.READY).last_proven is None
    assert "the time of the last proof is damaged; begin an opening press" in caplog.text
    again._close()


def _order(scenario: str, responder: str = "sam") -> StartDrill:
    return StartDrill(responder=responder, drill=f"drill-{uuid.uuid4().hex}", scenario=scenario)


def _signed_on(made: Hub, now_s: float | None = None) -> None:
    sam = Presence(responder="sam", device="phone", name="Sam", tier=1, listening=True)
    made._presences["sam"] = {"phone": (sam, time.monotonic() if now_s is None else now_s)}
    made._machine.reach = Reach.OK


def _present(made: Hub, name: str, device: str = "phone", *, retained: bool = False, **facts: Any) -> None:
    said = {"responder": name, "device": device, "name": name.title(), "tier": 1, "listening": True, **facts}
    payload = Presence.model_validate(said).model_dump_json().encode()
    made._received(mqtt.Received(f"stayby/1/harbour/staff/{name}/{device}", payload, retained=retained))


def _press(made: Hub, count: int = 1, *, covert: bool = False, age_s: float = 0.0) -> None:
    input_ = Input.COVERT if covert else Input.OPEN
    made._pressed(Pressed(PressId(7, input_, count), time.monotonic(), age_s))


def test_a_drill_that_is_over_is_closed_for_staff_and_on_disk(alone: Hub) -> None:
    _signed_on(alone)
    order = _order("fall")
    alone._answer(order, retained=False)
    assert alone._machine.incident is not None
    alone._machine.incident = alone._machine.incident.shifted(-DRILL_LIMIT_S)
    alone._let_time_pass()
    assert alone._machine.incident is None
    (unsent,) = alone._store.unsent()
    closed = parse_snapshot(unsent.topic, unsent.payload)
    assert (closed.id, closed.state, closed.outcome, closed.drill) == (order.drill, State.CLOSED, Outcome.TEST, True)
    assert not is_open(alone._store.load(read_clock()))
    alone._answer(order, retained=False)
    assert alone._machine.incident is None, "begun before"


def test_nobody_who_never_signed_on_begins_a_drill(alone: Hub, caplog: pytest.LogCaptureFixture) -> None:
    alone._answer(_order("fall"), retained=False)
    assert alone._machine.incident is None
    assert "nobody of that id has signed on at this store; ignored" in caplog.text


def test_an_opening_press_that_nobody_makes_is_told_for_ten_minutes(alone: Hub) -> None:
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    assert (alone._status(UnitState.READY).opening, alone._status(UnitState.LOST).opening) == (True, False)
    began_s = time.monotonic()
    alone._check_opening(began_s + OPENING_S - 1.0)
    assert alone._make_show().opening == "press"
    alone._check_opening(began_s + OPENING_S)
    assert (alone._make_show().opening, alone._status(UnitState.READY).opening) == (None, False)
    (fault,) = alone._faults.open
    assert (fault.code, idle_beacon(alone._faults.open)) == ("opening-missed", Beacon.OFF)
    assert re.fullmatch(r"nobody pressed the button in the minute after Sam began it at [0-2]\d:[0-5]\d", fault.says)
    _press(alone)
    assert alone._machine.incident is not None
    assert alone._machine.incident.maybe_test_due_s is None, "too late: it is real"
    alone._check_opening(began_s + OPENING_S + MISSED_SHOWN_S)
    assert _codes(alone) == set()


@pytest.mark.parametrize("reach", [Reach.NOBODY, Reach.DISCONNECTED])
def test_a_press_while_no_staff_can_be_reached_is_real_although_the_opening_press_is_waited_for(
    alone: Hub, reach: Reach
) -> None:
    """The screen shows the emergency number then, and asks nobody to press."""
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    alone._machine.reach = reach
    _press(alone)
    assert alone._machine.incident is not None
    assert (alone._machine.incident.maybe_test_due_s, alone._opening) == (None, None)


def test_a_press_from_before_the_wait_is_real(alone: Hub) -> None:
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    _press(alone, age_s=5.0)
    assert alone._machine.incident is not None
    assert (alone._machine.incident.maybe_test_due_s, alone._make_show().opening) == (None, None)


@pytest.mark.parametrize("action", [TouchAction.HELP, TouchAction.PERSON, TouchAction.WORSE])
def test_a_touch_in_the_minute_of_the_opening_press_is_real_and_ends_the_wait(alone: Hub, action: TouchAction) -> None:
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    alone._touch(Touch(action=action))
    assert alone._machine.incident is not None
    assert (alone._machine.incident.maybe_test_due_s, alone._opening) == (None, None)


def test_a_phrase_in_the_minute_of_the_opening_press_is_real(alone: Hub) -> None:
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    alone._detection(1, Detection(phrase="help_me", score=2.0, audio_end_s=time.monotonic()))
    assert (alone._machine.state, alone._opening) == (State.CHECKING, None)


def test_a_covert_press_in_the_minute_of_the_opening_press_is_silent_and_the_screen_asks_on(alone: Hub) -> None:
    _signed_on(alone)
    alone._answer(_order(OPENING), retained=False)
    _press(alone, covert=True)
    assert alone._machine.incident is not None
    assert (alone._machine.incident.drill, alone._machine.incident.silent) == (False, True)
    assert (alone._status(UnitState.READY).opening, alone._make_show().opening) == (False, "press")
    alone._check_opening(time.monotonic() + OPENING_S)
    assert (alone._make_show().opening, _codes(alone)) == (None, set())


def test_at_a_unit_without_a_button_the_touch_is_the_opening_press(stage: Stage) -> None:
    made = Hub(load_unit(re.sub(r"\[button\]\nport = .*\n", "", stage.config_file.read_text())))
    _signed_on(made)
    order = _order(OPENING)
    made._answer(order, retained=False)
    assert made._make_show().opening == "touch"
    made._touch(Touch(action=TouchAction.HELP))
    assert made._machine.incident is not None
    assert (made._machine.incident.id, made._machine.incident.drill) == (order.drill, False)
    made._touch(Touch(action=TouchAction.TEST, incident=order.drill))
    assert (made._machine.incident.id, made._machine.incident.drill) == (order.drill, True)
    made._close()


def test_a_second_order_while_the_press_is_waited_for_is_refused(alone: Hub, caplog: pytest.LogCaptureFixture) -> None:
    _signed_on(alone)
    first = _order(OPENING)
    alone._answer(first, retained=False)
    alone._answer(_order("fall"), retained=False)
    assert "the opening press is waited for" in caplog.text
    assert alone._machine.incident is None
    _press(alone)
    assert alone._machine.incident is not None
    assert alone._machine.incident.id == first.drill


def test_a_restart_while_the_press_is_waited_for_makes_it_a_real_one(stage: Stage) -> None:
    """Nobody can tell any more what the press was meant for: then it is a call."""
    made = Hub(load_unit(stage.config_file.read_text()))
    _signed_on(made)
    order = _order(OPENING)
    made._answer(order, retained=False)
    made._close()
    again = Hub(load_unit(stage.config_file.read_text()))
    _signed_on(again)
    again._answer(order, retained=False)
    _press(again)
    assert again._machine.incident is not None
    assert again._machine.incident.maybe_test_due_s is None
    again._close()


# ---- the button: every fault of its own, shown and taken back ----


def _fault(stage: Stage, code: str) -> Fault | None:
    status = stage.status()
    return next((fault for fault in status.status.faults if fault.code == code), None) if status else None


def _health(stage: Stage) -> ButtonHealth | None:
    status = stage.status()
    return status.button if status else None


def _button_is_well(stage: Stage) -> bool:
    status = stage.status()
    return status is not None and not any(fault.code.startswith("button") for fault in status.status.faults)


def _odd(button: SimulatedButton, *, covert: bool) -> None:
    button.loop_millivolts(3700, covert=covert)


LOOP_FAULTS: list[tuple[Callable[..., None], str, str]] = [
    (SimulatedButton.cut, "cut (5.00 V)", "a wire is off"),
    (SimulatedButton.short, "short (0.00 V)", "its two wires touch"),
    (_odd, "odd (3.70 V)", "measure 4.7 kOhm"),
]


def test_each_fault_of_each_wire_shows_by_itself_and_is_taken_back(unit: Stage) -> None:
    for covert, code, name in ((False, "button-loop", "the button"), (True, "button-covert-loop", "the covert button")):
        for break_it, says, do in LOOP_FAULTS:
            break_it(unit.button, covert=covert)
            fault = wait_for(f"{code} {says}", functools.partial(_says, unit, code, says))
            assert fault.says.startswith(f"the wire to {name} is ")
            assert do in fault.do
        unit.button.normal(covert=covert)
        wait_for("the end of it", lambda: _button_is_well(unit))
    unit.button.lid(True)
    wait_for("the open lid", lambda: _fault(unit, "button-lid"))
    unit.button.lid(False)
    wait_for("the end of it", lambda: _button_is_well(unit))


def test_the_ring_blinks_for_every_fault_but_those_of_the_covert_button() -> None:
    loop, covert, stuck = (
        Fault(code=code, where="button", says="broken", do="mend it")
        for code in ("button-loop", "button-covert-loop", "button-covert-stuck")
    )
    assert idle_beacon(()) is Beacon.OFF
    assert idle_beacon((covert, stuck)) is Beacon.OFF
    assert idle_beacon((covert, loop)) is Beacon.FAULT


def _says(stage: Stage, code: str, says: str) -> Fault | None:
    """The fault of this code, once it says so (volts settle by a converter's step)."""
    fault = _fault(stage, code)
    word = says.split(maxsplit=1)[0]
    return fault if fault is not None and f" is {word} (" in fault.says else None


def test_each_fault_of_the_link_shows_by_itself_and_is_taken_back(unit: Stage) -> None:
    button = unit.button
    for name, begin, end, says in (
        ("unplugged", button.unplug, button.plug, "plug the button in again"),
        ("a dead wire", lambda: button.wire(False), lambda: button.wire(True), "is open but nothing comes"),
        ("a frozen chip", lambda: button.freeze(True), lambda: button.freeze(False), "is open but nothing comes"),
        ("noise", lambda: button.garble(0.25), lambda: button.garble(0.0), "frames on"),
    ):
        begin()
        fault = wait_for(f"the fault: {name}", lambda: _fault(unit, "button"))
        assert says in fault.says, name
        health = _health(unit)
        assert health is not None
        assert (health.up, says in health.says) == (False, True)
        end()
        wait_for(f"the end of it: {name}", lambda: _button_is_well(unit))
    health = _health(unit)
    assert health is not None
    assert (health.up, health.says, health.port) == (True, "", str(unit.folder / "button"))


def test_a_hang_and_a_dip_of_the_supply_show_for_a_minute_and_the_button_works_on(unit: Stage, sam: Staff) -> None:
    unit.button.hang()
    hung = wait_for("the fault", lambda: _fault(unit, "button-hung"))
    assert re.fullmatch(r"its program hung and its watchdog restarted it at [0-2]\d:[0-5]\d", hung.says)
    unit.button.brown_out()
    dipped = wait_for("the fault", lambda: _fault(unit, "button-power"))
    assert dipped.says.startswith("its supply failed and it restarted at ")
    unit.button.reset()
    wait_for("the fault", lambda: _fault(unit, "button-restarted"))
    assert _no_fault(unit, "button")
    unit.tap_button()
    sam.wait(lambda snapshot: snapshot.state is State.RAISED)


def test_a_covert_press_calls_staff_in_silence_and_is_kept_by_its_own_name(unit: Stage, sam: Staff) -> None:
    unit.button.press(covert=True)
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    unit.button.release(covert=True)
    assert (raised.trigger, raised.silent) == (Trigger.COVERT, True)
    wait_for("the count", lambda: (health := _health(unit)) is not None and health.covert_presses == 1)
    outputs = unit.button.outputs()
    assert (outputs.buzzer, outputs.relay) == (False, False)
    hub(unit).kill()
    store = Store(unit.folder / "state" / "state.db", print)
    (press,) = store.presses()
    store.close()
    assert (press.input, press.count) == (Input.COVERT, 1)
    assert isinstance(press, PressId)


def test_a_covert_press_while_the_hub_is_dead_is_told_by_nothing_at_the_desk_and_is_not_lost(
    unit: Stage, sam: Staff
) -> None:
    hub(unit).kill()
    unit.tap_button(covert=True)
    hub(unit).start()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert (raised.trigger, raised.silent) == (Trigger.COVERT, True)


# ---- the button, for a technician ----


def _ask_button(stage: Stage, action: str) -> ButtonAnswer:
    question = AskButton.model_validate({"action": action})
    answer = ask(runtime_socket(stage.run_dir), question, 5.0)
    assert isinstance(answer, ButtonAnswer)
    return answer


def test_the_button_proves_its_watchdog_on_demand_and_that_is_no_fault(unit: Stage) -> None:
    answer = _ask_button(unit, "self_test")
    assert answer.ok, answer.says
    assert answer.says.startswith("the watchdog restarted it ")
    assert _button_is_well(unit)
    wait_for("the link", lambda: (health := _health(unit)) is not None and health.reset_cause == "watchdog")


def test_while_an_incident_is_open_the_button_is_neither_lent_nor_tested(unit: Stage, sam: Staff) -> None:
    unit.tap_button()
    sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    for action in ("lend", "self_test"):
        answer = _ask_button(unit, action)
        assert (answer.ok, answer.says) == (
            False,
            "an incident is open and the button is needed: wait until staff have closed it",
        )
    assert _no_fault(unit, "button")


def test_a_lent_port_is_free_and_comes_back_with_what_was_pressed_meanwhile(unit: Stage, sam: Staff) -> None:
    unit.button.cut(covert=True)
    wait_for("a fault", lambda: _fault(unit, "button-covert-loop"))
    technician = Screen(unit, Role.STATUS)
    technician.send(AskButton(action="lend"))
    answer = wait_for(
        "the answer", lambda: next((one for one in technician.shown if isinstance(one, ButtonAnswer)), None)
    )
    assert answer.ok
    fault = wait_for("the fault", lambda: _fault(unit, "button"))
    assert fault.says == "being flashed"
    assert _no_fault(unit, "button-covert-loop"), "nobody watches it now"
    assert not _ask_button(unit, "lend").ok
    assert not _ask_button(unit, "self_test").ok
    with serial.Serial(str(unit.folder / "button"), exclusive=True):
        unit.button.normal(covert=True)
        unit.tap_button()
    technician.close()
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    assert raised.trigger is Trigger.BUTTON
    wait_for("all to be well", lambda: _button_is_well(unit))


@pytest.fixture
def alone(stage: Stage) -> Iterator[Hub]:
    """A hub in this process whose loop does not run: time is what the test says."""
    made = Hub(load_unit(stage.config_file.read_text()))
    made._start_button()
    yield made
    made._close()


def _codes(made: Hub) -> set[str]:
    return {fault.code for fault in made._faults.open}


@pytest.mark.parametrize(("input_", "code"), [(Input.OPEN, "button-stuck"), (Input.COVERT, "button-covert-stuck")])
def test_a_stuck_button_is_a_fault_of_its_own(alone: Hub, input_: Input, code: str) -> None:
    alone._stuck(Stuck(input_, 30.2, time.monotonic()))
    (fault,) = alone._faults.open
    assert fault.code == code
    assert "has been pressed for 30 s: a new press cannot be seen" in fault.says
    alone._unstuck(Unstuck(input_, time.monotonic()))
    assert _codes(alone) == set()


def test_a_reset_that_should_not_have_been_is_shown_for_a_minute_after_the_last(alone: Hub) -> None:
    now_s = time.monotonic()
    alone._unit_restarted(UnitRestarted(ResetCause.WATCHDOG | ResetCause.BROWN_OUT, now_s - 1.0))
    alone._unit_restarted(UnitRestarted(ResetCause.POWER_ON, now_s - 30.0))
    alone._unit_restarted(UnitRestarted(ResetCause(0), now_s - 30.0))
    alone._check_button(now_s + 29.9)
    assert _codes(alone) == {"button-hung", "button-power", "button-restarted"}
    alone._unit_restarted(UnitRestarted(ResetCause.WATCHDOG, now_s + 29.9))
    alone._check_button(now_s + 59.1)
    assert _codes(alone) == {"button-hung"}, "it hung again"
    alone._check_button(now_s + 89.9)
    assert _codes(alone) == set()


def test_an_older_firmware_is_a_fault_with_its_remedy_until_it_is_flashed(alone: Hub) -> None:
    note = "firmware 1.0 (protocol 1) is older than this Stayby (protocol 2): no lid; run stayby button flash"
    alone._button_up(LinkUp("1.0", "00000001", "pin", 7, 1, note, time.monotonic()))
    (fault,) = alone._faults.open
    assert (fault.code, fault.do) == ("button-firmware", "run stayby button flash")
    alone._button_up(LinkUp("2.0", "00000002", "pin", 8, 2, None, time.monotonic()))
    assert _codes(alone) == set()


def test_a_memory_that_fails_is_a_fault_until_it_is_sound(alone: Hub) -> None:
    alone._memory_faulty(MemoryFaulty(time.monotonic()))
    assert _codes(alone) == {"button-memory"}
    alone._memory_sound(MemorySound(time.monotonic()))
    assert _codes(alone) == set()


def test_a_pause_ends_by_itself(alone: Hub) -> None:
    alone._touch(Touch(action=TouchAction.PAUSE))
    paused_s = time.monotonic()
    assert _codes(alone) == {"mic-paused"}
    assert idle_beacon(alone._faults.open) is Beacon.OFF
    alone._check_pause(paused_s + PAUSE_S - 1.0)
    assert alone._make_show().hearing_back_s is not None
    alone._check_pause(paused_s + PAUSE_S)
    assert (_codes(alone), alone._make_show().hearing_back_s) == (set(), None)
    assert alone._store.paused_until() is None


def test_a_desk_shows_what_it_showed_while_staff_hear_of_a_covert_call(unit: Stage, sam: Staff, screen: Screen) -> None:
    screen.send(Touch(action=TouchAction.HELP))
    raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    sam.reply(HereReply, raised.id)
    assert screen.wait(State.ATTENDED).incident is not None
    start = len(screen.shown)
    unit.tap_button(covert=True)
    told = sam.wait(lambda snapshot: snapshot.state is State.RAISED and snapshot.covert)
    assert (told.id, told.silent, told.severity) == (raised.id, True, Severity.ALERT)
    hub(unit).kill()
    hub(unit).start()
    sam.wait(lambda snapshot: snapshot.revision > told.revision)
    sam.reply(CloseReply, raised.id, outcome=Outcome.REAL)
    screen.wait(None)
    states = [one.incident.state for one in screen.shown[start:] if isinstance(one, Show) and one.incident is not None]
    assert set(states) == {State.ATTENDED}
    assert "pressed_covert" not in "".join(one.model_dump_json() for one in screen.shown[start:])


def test_a_microphone_cannot_be_kept_off(alone: Hub) -> None:
    pause, resume = Touch(action=TouchAction.PAUSE), Touch(action=TouchAction.RESUME)
    lasted = []
    for _ in range(3):
        alone._touch(pause)
        alone._touch(pause)  # sent again before it was confirmed
        back_s = alone._make_show().hearing_back_s
        lasted.append(None if back_s is None else round(back_s))
        alone._touch(resume)
    assert lasted == [PAUSE_S, PAUSE_AGAIN_S, None]
    assert _codes(alone) == set()
    now = read_clock()
    alone._begin_pause(replace(now, unix_s=now.unix_s + PAUSES_S + 1.0))
    assert round(alone._make_show().hearing_back_s or 0.0) == PAUSE_S, "the hour is over"


def test_a_pause_of_a_clock_that_was_set_back_lasts_no_longer_than_a_whole_one(alone: Hub) -> None:
    now = read_clock()
    for until_s, left_s in ((3600.0, PAUSE_S), (100.0, 100.0), (-1.0, None)):
        alone._pause_until(None)
        alone._store.keep_pause(now.unix_s + until_s)
        alone._resume_pause(now)
        back_s = alone._make_show().hearing_back_s
        assert (None if back_s is None else round(back_s)) == left_s


def test_the_screen_learns_that_a_refused_pause_arrived(screen: Screen) -> None:
    for _ in range(2):
        screen.send(Touch(action=TouchAction.PAUSE))
        wait_for("the pause", lambda: screen.shown and getattr(screen.shown[-1], "hearing_back_s", None) is not None)
        screen.send(Touch(action=TouchAction.RESUME))
        wait_for("its end", lambda: getattr(screen.shown[-1], "hearing_back_s", 1.0) is None)
    screen.shown.clear()
    screen.send(Touch(action=TouchAction.PAUSE))
    wait_for("the answer", lambda: 0.0 in {getattr(one, "hearing_back_s", None) for one in screen.shown})
    wait_for("its end", lambda: getattr(screen.shown[-1], "hearing_back_s", 1.0) is None)


def test_what_somebody_in_fear_said_stands_in_no_log_at_the_desk(alone: Hub) -> None:
    text = (Path(__file__).parent.parent / "models" / "distress_en" / "train.toml").read_text()
    phrases = tomllib.loads(text)["phrases"]
    told = {name for name, one in phrases.items() if "opens" in one and not CASES[Choice(one["opens"])].aloud}
    assert told == NOT_IN_THE_LOG
    for phrase in (*sorted(told), "help"):
        alone._note_heard(Detection(phrase=phrase, score=3.0, audio_end_s=time.monotonic()))
    assert [one.phrase for one in alone._make_show().heard] == ["help", *[HELP_WORD] * len(told)]
    assert {one.phrase for one in alone._store.heard()} == {*told, "help"}


def test_a_unit_without_a_microphone_has_nothing_to_pause(stage: Stage) -> None:
    text = re.sub(r"\[listen\]\ndevice = .*\n", "", stage.config_file.read_text())
    made = Hub(load_unit(text))
    made._touch(Touch(action=TouchAction.PAUSE))
    assert _codes(made) == set()
    made._close()


def test_what_was_heard_is_kept_for_a_day(alone: Hub) -> None:
    for hours_ago in (25, 23):
        alone._store.note_heard(Heard("help", 2.0, time.time() - hours_ago * 3600))
    alone._heard = alone._store.heard()
    alone._forget_heard()
    assert len(alone._make_show().heard) == 1
    assert len(alone._store.heard()) == 1


def test_a_lent_port_is_taken_back_after_three_minutes_from_whoever_forgot_it(alone: Hub) -> None:
    alone._ask_button(1, AskButton(action="lend"))
    assert alone._button is None
    lent_s = time.monotonic()
    alone._check_button(lent_s + LENT_S - 1.0)
    assert alone._button is None
    alone._check_button(lent_s + LENT_S)
    assert alone._button is not None
    assert _codes(alone) == {"button"}, "until it answers"


def test_an_event_that_was_on_its_way_when_the_port_was_lent_is_no_fault_for_ever(alone: Hub) -> None:
    alone._ask_button(1, AskButton(action="lend"))
    now_s = time.monotonic()
    for event in (
        LinkUp("2.0", "00000002", "pin", 8, 2, None, now_s),
        LinkDown(DownReason.SILENT, "silent", now_s),
        LoopFault(Input.OPEN, LoopState.CUT, 5.0, now_s),
        Stuck(Input.COVERT, 30.0, now_s),
        LidOpened(now_s),
        UnitRestarted(ResetCause.PIN, now_s),
    ):
        HANDLERS[type(event)](alone, event)
    assert [fault.says for fault in alone._faults.open] == ["being flashed"]
    alone._leaf_gone(LeafGone(1))
    assert _codes(alone) == {"button"}, "until it answers"


def test_a_press_that_was_on_its_way_when_the_port_was_lent_counts(alone: Hub) -> None:
    alone._ask_button(1, AskButton(action="lend"))
    press = Pressed(PressId(7, Input.OPEN, 1), time.monotonic(), 0.0)
    HANDLERS[Pressed](alone, press)
    assert alone._machine.incident is not None
    assert alone._store.presses() == [press.press_id]


def test_a_unit_without_a_button_says_so(stage: Stage) -> None:
    text = stage.config_file.read_text()
    stage.config_file.write_text(re.sub(r"\[button\]\nport = .*\n", "", text))
    stage.start_hub()
    assert _ask_button(stage, "lend").says == "this unit has no button: its configuration has no [button]"
    assert _health(stage) is None


def test_a_serial_port_that_is_not_our_firmware(stage: Stage) -> None:
    master, slave = pty.openpty()
    text = stage.config_file.read_text().replace(str(stage.folder / "button"), os.ttyname(slave))
    stage.config_file.write_text(text)
    stage.start_hub()

    def chatter() -> bool:
        os.write(master, b"AT+OK\r\n$GPGGA,1234\r\n\x00\xff" * 5)
        return "button" in _faults(stage)

    wait_for("the fault", chatter)
    os.close(master)
    os.close(slave)


def test_the_status_command_has_a_line_about_the_button(unit: Stage) -> None:
    wait_for("a round trip", lambda: (health := _health(unit)) is not None and health.round_trip_ms is not None)
    command = [sys.executable, "-m", "kiosk", "status", "--config", str(unit.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("button: "))
    assert re.fullmatch(
        r"button: up, firmware 2\.0, last reset [a-z -]+; loop normal 2\.\d\d V, covert normal 2\.\d\d V, lid closed; "
        r"frames \d+ \(0 damaged, \d+ repeated\), ours 0 damaged, \d+ repeated; "
        r"round trip \d+ ms \(worst \d+ ms\)",
        line,
    ), line
    unit.button.unplug()
    wait_for("the fault", lambda: "button" in _faults(unit))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "button: down; " in done.stdout
    assert "plug the button in again" in done.stdout


def test_it_ends_in_good_order_and_leaves_no_socket(unit: Stage, sam: Staff) -> None:
    hub(unit).signal(signal.SIGTERM)
    assert wait_for("the end", lambda: hub(unit).ended() is not None)
    assert hub(unit).ended() == 0
    assert not runtime_socket(unit.run_dir).exists()
    sam.wait_status(lambda status: status.state == "lost")
    assert "Traceback" not in hub(unit).said()


def test_the_status_command_tells_faults_and_what_to_do(unit: Stage) -> None:
    wait_for("a fault", lambda: "nobody-listening" in _faults(unit))
    command = [sys.executable, "-m", "kiosk", "status", "--config", str(unit.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "open the board" in done.stdout
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["status"]["unit"] == UNIT


def test_a_broken_configuration_keeps_the_last_good_one_in_force(unit: Stage, sam: Staff) -> None:
    hub(unit).stop()
    good = unit.config_file.read_text()
    unit.config_file.write_text(good.replace("[escalation]", "[escalaton]"))
    command = [sys.executable, "-m", "kiosk", "alertd", "--config", str(unit.config_file)]
    part = Part("alertd-again", command, unit.folder, {"STAYBY_STATE_DIR": str(unit.folder / "state")})
    part.start()
    try:
        wait_for("the hub", unit.status)
        assert "config-0" in _faults(unit)
        unit.button.press()
        sam.wait(lambda snapshot: snapshot.state is State.RAISED)
    finally:
        part.stop()


def test_the_hub_loads_nothing_heavy() -> None:
    heavy = {"numpy", "kivy", "tflite_runtime", "ai_edge_litert", "starlette", "typer"}
    code = f"import sys, kiosk.alertd; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
