"""The walk test: only the technician's own, announced call alerts nobody, and whatever else comes is real."""

import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.events import Pressed, PressId
from firmware_bridge.protocol import Input
from kiosk.alertd import Hub, LeafGone, LeafSaid
from kiosk.bus import Leaf, runtime_socket
from kiosk.config import load_unit
from kiosk.demo.stage import SAM, UNIT, Stage, wait_for
from kiosk.doctor import commissioning
from kiosk.doctor.record import well, wrong
from kiosk.doctor.trials import Plan, Trial, passed, whole_way
from kiosk.events import ButtonPressed, Event, FineTouched, HelpTouched, PersonTouched, PhraseHeard
from kiosk.messages import (
    AskWalk,
    CloseReply,
    Detection,
    Hearing,
    Hello,
    Outcome,
    Reach,
    Role,
    State,
    Status,
    StatusAnswer,
    Touch,
    TouchAction,
    Trigger,
    UnitState,
    WalkSays,
    WalkTrigger,
)
from kiosk.messages import Ear as EarReport
from kiosk.signatures import NotGenuine, canonical
from kiosk.ui.remote import ScreenRemote
from kiosk.walk import EXPECT_S, HOLD_S, Walk, trigger_of
from tests.staff import Staff

TECHNICIAN, SOMEBODY = 7, 8

CALLS: dict[WalkTrigger, Event] = {
    WalkTrigger.BUTTON: ButtonPressed(),
    WalkTrigger.COVERT: ButtonPressed(covert=True),
    WalkTrigger.TOUCH: HelpTouched(),
    WalkTrigger.PHRASE: PhraseHeard("help_me", 3.0, strong=False),
    WalkTrigger.SILENT: PhraseHeard("covert_phrase", 3.0, strong=False, covert=True),
}
EVENTS: list[Event] = [*CALLS.values(), PersonTouched(), FineTouched()]


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", list(WalkTrigger))
@pytest.mark.parametrize("event", EVENTS)
def test_only_the_announced_call_is_taken(expected: WalkTrigger, event: Event) -> None:
    walk = Walk("Kim", TECHNICIAN, 1000.0).expecting(expected, 100.0)
    assert walk.takes(event, 101.0) is (event == CALLS[expected])
    assert not Walk("Kim", TECHNICIAN, 1000.0).takes(event, 101.0)


@given(
    st.sampled_from(EVENTS),
    st.sampled_from([None, *WalkTrigger]),
    st.floats(0, 4000),
    st.floats(0, 4000),
    st.floats(0, 120),
    st.booleans(),
)
def test_nothing_is_taken_outside_its_time_or_twice(
    event: Event, expected: WalkTrigger | None, since_s: float, now_s: float, age_s: float, held: bool
) -> None:
    walk = Walk("Kim", TECHNICIAN, 1800.0)
    walk = walk if expected is None else walk.expecting(expected, since_s)
    walk = walk.holding(event, "a", now_s) if held else walk
    if isinstance(event, ButtonPressed):
        event = ButtonPressed(covert=event.covert, age_s=age_s)
    if walk.takes(event, now_s):
        assert not held
        assert expected is trigger_of(event)
        assert since_s <= now_s <= since_s + EXPECT_S
        assert now_s < walk.until_s
        assert not isinstance(event, ButtonPressed) or now_s - event.age_s >= since_s


# --- a hub whose time is what the test says ---------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.write_config()
        yield made


@pytest.fixture
def alone(stage: Stage) -> Iterator[Hub]:
    made = Hub(load_unit(stage.config_file.read_text()))
    yield made
    made._close()


def asks(made: Hub, action: str, trigger: WalkTrigger | None = None, number: int = TECHNICIAN) -> None:
    ask = AskWalk.model_validate({"action": action, "by": "Kim", "trigger": trigger})
    made._leaf_said(LeafSaid(number, ask))


def calls(made: Hub, trigger: WalkTrigger, count: int = 1) -> None:
    """Call by the way that it really takes."""
    match trigger:
        case WalkTrigger.BUTTON | WalkTrigger.COVERT:
            input_ = Input.COVERT if trigger is WalkTrigger.COVERT else Input.OPEN
            made._pressed(Pressed(PressId(1, input_, count), at_s=0.0, age_s=0.0))
        case WalkTrigger.TOUCH:
            made._leaf_said(LeafSaid(SOMEBODY, Touch(action=TouchAction.HELP)))
        case WalkTrigger.PHRASE | WalkTrigger.SILENT:
            covert = trigger is WalkTrigger.SILENT
            phrase = "covert_phrase" if covert else "help_me"
            heard = Detection(phrase=phrase, score=3.0, covert=covert, audio_end_s=float(count))
            made._leaf_said(LeafSaid(SOMEBODY, heard))


def codes(made: Hub) -> set[str]:
    return {fault.code for fault in made._faults.open}


def held(made: Hub) -> Event | None:
    return made._walk.held.event if made._walk is not None and made._walk.held is not None else None


@pytest.fixture
def walking(alone: Hub) -> Hub:
    asks(alone, "begin")
    assert "walk-test" in codes(alone)
    return alone


every_call = pytest.mark.parametrize("trigger", list(WalkTrigger))


@every_call
def test_an_announced_call_that_was_the_technicians_opens_nothing(walking: Hub, trigger: WalkTrigger) -> None:
    asks(walking, "expect", trigger)
    calls(walking, trigger)
    assert held(walking) is not None
    assert walking._machine.incident is None
    asks(walking, "mine")
    assert (held(walking), walking._machine.incident) == (None, None)
    if trigger not in {WalkTrigger.BUTTON, WalkTrigger.COVERT, WalkTrigger.TOUCH}:
        calls(walking, trigger)  # the ear says it again until it hears that it was taken
        assert walking._machine.incident is None
    assert walking._make_show().touch_tested is (trigger is WalkTrigger.TOUCH)


@every_call
def test_a_call_that_nobody_announced_is_real_and_ends_the_walk(walking: Hub, trigger: WalkTrigger) -> None:
    calls(walking, trigger)
    is_open(walking, trigger)


def is_open(made: Hub, trigger: WalkTrigger) -> None:
    """Hold that a real call of this kind is open, and no walk test goes on."""
    by = {
        WalkTrigger.BUTTON: Trigger.BUTTON,
        WalkTrigger.COVERT: Trigger.COVERT,
        WalkTrigger.TOUCH: Trigger.TOUCH,
        WalkTrigger.PHRASE: Trigger.VOICE,
        WalkTrigger.SILENT: Trigger.COVERT,
    }
    incident = made._machine.incident
    assert incident is not None
    assert incident.drill is None or not incident.drill
    assert incident.trigger is by[trigger]
    assert made._walk is None
    assert "walk-test" not in codes(made)


@every_call
@pytest.mark.parametrize("why", ["no word", "not theirs", "second call", "terminal gone", "ended", "time is up"])
def test_a_held_call_is_real_unless_the_technician_says_that_it_was_theirs(
    walking: Hub, trigger: WalkTrigger, why: str
) -> None:
    asks(walking, "expect", trigger)
    calls(walking, trigger)
    walk = walking._walk
    assert walk is not None
    assert walk.held is not None
    walking._check_walk(walk.held.came_s + HOLD_S - 0.1)
    assert walking._machine.incident is None
    match why:
        case "no word":
            walking._check_walk(walk.held.came_s + HOLD_S)
        case "not theirs":
            asks(walking, "real")
        case "second call":
            other = WalkTrigger.COVERT if trigger is WalkTrigger.BUTTON else WalkTrigger.BUTTON
            calls(walking, other, count=2)
        case "terminal gone":
            walking._leaf_gone(LeafGone(TECHNICIAN))
        case "ended":
            asks(walking, "end")
        case "time is up":
            walking._check_walk(walk.until_s)
    is_open(walking, trigger)


@pytest.mark.parametrize("covert", [False, True])
def test_a_press_that_was_held_when_the_hub_died_is_real_in_the_next_one(stage: Stage, covert: bool) -> None:
    trigger = WalkTrigger.COVERT if covert else WalkTrigger.BUTTON
    first = Hub(load_unit(stage.config_file.read_text()))
    asks(first, "begin")
    asks(first, "expect", trigger)
    calls(first, trigger)
    assert first._machine.incident is None
    first._close()
    second = Hub(load_unit(stage.config_file.read_text()))
    second._resume_held()
    is_open(second, trigger)
    second._close()
    third = Hub(load_unit(stage.config_file.read_text()))
    assert third._store.held() is None
    third._close()


def test_a_press_that_was_a_test_is_none_after_a_restart(stage: Stage) -> None:
    first = Hub(load_unit(stage.config_file.read_text()))
    asks(first, "begin")
    asks(first, "expect", WalkTrigger.BUTTON)
    calls(first, WalkTrigger.BUTTON)
    asks(first, "mine")
    first._close()
    second = Hub(load_unit(stage.config_file.read_text()))
    second._resume_held()
    assert second._machine.incident is None
    second._close()


def test_a_press_from_before_the_announcement_is_real(walking: Hub) -> None:
    asks(walking, "expect", WalkTrigger.BUTTON)
    walking._pressed(Pressed(PressId(1, Input.OPEN, 1), at_s=0.0, age_s=5.0))
    is_open(walking, WalkTrigger.BUTTON)


def test_in_an_incident_no_walk_test_begins_and_nobody_else_steers_one(alone: Hub) -> None:
    calls(alone, WalkTrigger.BUTTON)
    asks(alone, "begin")
    assert alone._walk is None


def test_only_its_own_terminal_steers_a_walk_test(walking: Hub) -> None:
    asks(walking, "expect", WalkTrigger.BUTTON, number=SOMEBODY)
    calls(walking, WalkTrigger.BUTTON)
    is_open(walking, WalkTrigger.BUTTON)


def test_a_second_walk_test_waits_for_the_first(walking: Hub) -> None:
    asks(walking, "begin", number=SOMEBODY)
    assert walking._walk is not None
    assert walking._walk.number == TECHNICIAN
    walking._leaf_gone(LeafGone(SOMEBODY))
    assert walking._walk is not None
    walking._leaf_gone(LeafGone(TECHNICIAN))
    assert walking._walk is None
    assert "walk-test" not in codes(walking)


def test_it_ends_by_itself(walking: Hub) -> None:
    assert walking._walk is not None
    walking._check_walk(walking._walk.until_s - 1)
    assert walking._make_show().walk_until
    walking._check_walk(walking._walk.until_s)
    assert walking._walk is None
    assert not walking._make_show().walk_until


# --- what was tried ---------------------------------------------------------------------------------------------------


def came(trigger: WalkTrigger) -> WalkSays:
    return WalkSays(what="came", trigger=trigger, after_s=1.0)


def a_plan() -> Plan:
    return Plan([Trial(WalkTrigger.BUTTON), Trial(WalkTrigger.COVERT), Trial(WalkTrigger.TOUCH)])


def test_what_did_not_come_is_to_be_done_again_and_what_was_left_out_is_not() -> None:
    plan = a_plan()
    button, hidden, touch = plan.trials
    plan.missed(button)
    plan.left_out(hidden, "this desk has none")
    assert plan.untested() == [button, touch]
    plan.came(button, came(WalkTrigger.BUTTON))
    assert plan.untested() == [touch]
    assert [one.ok for one in plan.records()] == [True, None, None]
    assert plan.add_spot("at the tills") is not None
    assert plan.add_spot("at the tills") in plan.untested()
    assert len(plan.trials) == 4


def test_a_unit_passes_when_all_was_tried_and_nothing_is_wrong() -> None:
    plan = a_plan()
    for trial in plan.trials[:2]:
        plan.came(trial, came(trial.trigger))
    fine = [well("power", "")]
    assert not passed(plan.records(), fine), "touch was not tried"
    plan.left_out(plan.trials[2], "no screen here")
    assert passed(plan.records(), fine)
    assert not passed(plan.records(), [*fine, wrong("disk", "", "")])
    plan.missed(plan.trials[0])
    assert not passed(plan.records(), fine)


@pytest.mark.parametrize(("ago", "ok"), [(timedelta(hours=3), True), (timedelta(days=2), None), (None, None)])
def test_the_whole_way_is_an_opening_press_that_a_person_answered_lately(
    ago: timedelta | None, ok: bool | None
) -> None:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    at = None if ago is None else now - ago
    status = Status(store="s", unit="u", place="p", state=UnitState.READY, last_proven=at)
    found = whole_way(StatusAnswer(status=status, reach=Reach.OK), now)
    assert found.ok is ok
    assert not passed([found], []) or ok


# --- a real unit and a technician's terminal --------------------------------------------------------------------------


class Terminal:
    """The command at work: what is typed goes in, what it says is waited for."""

    def __init__(self, stage: Stage, *options: str) -> None:
        command = [sys.executable, "-u", "-m", "kiosk", "walktest", "--config", str(stage.config_file), *options]
        self._said = (stage.folder / "terminal.txt").open("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._said, stderr=subprocess.STDOUT, text=True
        )
        self._path, self._seen = stage.folder / "terminal.txt", 0

    def says(self, words: str) -> None:
        """Wait until it says this, after what was waited for before."""
        wait_for(f"the terminal to say {words!r}", lambda: words in self._path.read_text()[self._seen :])
        self._seen = self._path.read_text().index(words, self._seen) + len(words)

    def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ends(self) -> int:
        code = self.process.wait(60)
        self.close()
        return code

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self._said.close()


@pytest.fixture
def unit(stage: Stage) -> Stage:
    stage.start_broker()
    stage.start_button()
    stage.start_hub()
    wait_for("the button", lambda: (said := stage.status()) and said.button and said.button.up)
    return stage


WHO = ("--by", "Kim Ólafsdóttir", "--agreed", "Alex")


@pytest.mark.parts
def test_a_walk_from_the_first_press_to_a_certificate_that_nobody_can_change(unit: Stage) -> None:
    """Nobody of the staff is alerted by it; they see that it goes on, and the certificate holds what was really done."""
    unit.start_screen()
    ear = Leaf(runtime_socket(unit.run_dir), Hello(role=Role.LISTEN), print, print, print, print)
    with Staff(unit, SAM) as sam:
        terminal = Terminal(unit, *WHO, "--out", str(unit.folder / "papers"))
        terminal.says("Walk test until")
        terminal.says("Untested: 1 button, 2 hidden button, 3 touch, 4 phrase in front of the desk.")
        sam.until(lambda: sam.statuses and "walk-test" in {one.code for one in sam.statuses[-1].faults})
        for number, name in (("1", "button"), ("2", "hidden button")):
            terminal.types(number)
            terminal.says("Press the")
            unit.tap_button(covert=number == "2")
            terminal.says("Was it you?")
            terminal.types("")
            terminal.says(f"OK         {name}")
        _touch_the_screen(unit, terminal)
        terminal.types("s behind the tills")
        terminal.says("Go behind the tills")
        ear.send(EarReport(state=Hearing.LISTENING, level_dbfs=-50.0, noise_dbfs=-61.5))
        ear.send(Detection(phrase="help_me", score=4.5, audio_end_s=time.monotonic()))
        terminal.says("Was it you?")
        terminal.types("")
        terminal.says("OK         phrase behind the tills")
        terminal.types("x 4 the room is too small")
        terminal.types("e")
        assert terminal.ends() == 1, "what was left out is not tested"
        sam.until(lambda: not {one.code for one in sam.statuses[-1].faults} & {"walk-test"})
        assert not sam.snapshots
    ear.close()
    papers = {path.suffix: path for path in (unit.folder / "papers").iterdir()}
    assert set(papers) == {".json", ".html", ".pdf"}
    authority = (unit.broker.folder / "ca.pem").read_bytes()
    one, signer = commissioning.verify(papers[".json"].read_bytes(), authority)
    walked = {check.name: check for check in one.walk}
    assert {name: check.ok for name, check in walked.items()} == {
        "button": True, "hidden button": True, "touch": True, "phrase in front of the desk": None,
        "phrase behind the tills": True, "whole way": None,
    }  # fmt: skip
    assert walked["phrase behind the tills"].measured.items() >= {"score": 4.5, "noise_dbfs": -61.5}.items()
    assert (one.by, one.agreed, one.passed, signer) == ("Kim Ólafsdóttir", "Alex", False, f"unit-{UNIT}")
    assert one.versions["button build"]
    page = papers[".html"].read_text()
    assert "Kim Ólafsdóttir" in page
    assert json.loads(papers[".json"].read_text())["sha256"] in page
    assert papers[".pdf"].read_bytes().startswith(b"%PDF")
    _nobody_can_change(papers[".json"].read_text(), authority)


def _touch_the_screen(unit: Stage, terminal: Terminal) -> None:
    screen = ScreenRemote(unit.screen_remote)
    told = "A technician tests this desk until"
    page = screen.wait(lambda page: any(told in text for text in page["texts"]), "a walk test", 30.0)
    assert page["cramped"] == []
    screen.shot(unit.folder / "walk.png")
    terminal.types("3")
    terminal.says("Touch “I need help”")
    screen.tap("I need help")
    terminal.says("Was it you?")
    terminal.types("")
    terminal.says("OK         touch")
    screen.wait_page("idle", 10.0)


def _nobody_can_change(text: str, authority: bytes) -> None:
    stranger = trustme.CA().cert_pem.bytes()
    with pytest.raises(NotGenuine, match="another store"):
        commissioning.verify(text.encode(), stranger)
    better = json.loads(text)
    better["commissioning"]["passed"] = True
    with pytest.raises(NotGenuine, match="changed"):
        commissioning.verify(json.dumps(better).encode(), authority)
    better["sha256"] = hashlib.sha256(canonical(better["commissioning"])).hexdigest()
    with pytest.raises(NotGenuine, match="does not fit"):
        commissioning.verify(json.dumps(better).encode(), authority)
    with pytest.raises(NotGenuine, match="no commissioning certificate"):
        commissioning.verify(b"{}", authority)


@pytest.mark.parts
def test_a_press_that_nobody_announced_reaches_staff_and_a_hub_that_goes_ends_the_test_visibly(unit: Stage) -> None:
    with Staff(unit, SAM) as sam:
        wait_for("Sam to be known", lambda: (said := unit.status()) and said.reach is Reach.OK)
        terminal = Terminal(unit, *WHO, "--out", str(unit.folder))
        terminal.says("Walk test until")
        unit.tap_button()
        raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
        assert (raised.drill, raised.trigger) == (False, Trigger.BUTTON)
        terminal.says("The walk test is over: a call is open")
        assert terminal.ends() == 1
        refused = Terminal(unit, *WHO)
        refused.says("no walk test: a call is open here")
        assert refused.ends() == 1
        sam.reply(CloseReply, raised.id, outcome=Outcome.TEST)
        wait_for("the end", lambda: (said := unit.status()) and said.incident is None)
    again = Terminal(unit, *WHO, "--out", str(unit.folder))
    again.says("Walk test until")
    unit.parts["alertd"].kill()
    again.says("the hub went away: every call is real")
    again.close()
