"""The incident machine: every state × every event, whole stories in virtual time, and the promises under random events."""

import itertools
import re
import typing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kiosk import events as ev
from kiosk.config import EscalationSection, UnitSection
from kiosk.effects import Beacon, Proven, Publish, SetBeacon
from kiosk.incident import DRILL_LIMIT_S, REACH_GRACE_S, TABLE, TIMELINE_LIMIT, Incident, IncidentMachine
from kiosk.messages import (
    COVERT_PHRASE,
    LAST_TIER,
    OPENING,
    Choice,
    Language,
    Outcome,
    Person,
    Reach,
    Severity,
    Snapshot,
    State,
    Trigger,
)

RULES = EscalationSection(tiers=("the staff", "the manager"))
UNIT = UnitSection(store="s1", id="desk3", place="Service desk 3", address="12 Quay Street")
SAM, PRIYA, ALEX = Person(id="sam", name="Sam"), Person(id="priya", name="Priya"), Person(id="alex", name="Alex")
ALL = (ev.Listener(SAM, 1), ev.Listener(PRIYA, 1), ev.Listener(ALEX, 2))
DRILL = ev.DrillStarted("drill-1", "chest_pain", SAM)
EVENT_TYPES = list(typing.get_args(ev.Event))
OPEN_STATES = [State.CHECKING, State.RAISED, State.COMING, State.ATTENDED]
_ids = itertools.count(1)


def reply_id() -> str:
    return f"reply-{next(_ids):06d}"


def machine(listeners: tuple[ev.Listener, ...] = ALL, rules: EscalationSection = RULES) -> IncidentMachine:
    made = IncidentMachine(rules, lambda: f"incident-{next(_ids)}")
    made.handle(ev.ReachChanged(Reach.OK if listeners else Reach.NOBODY, listeners), 0.0)
    return made


def coming(who: Person = SAM, eta_s: float = 60.0) -> ev.ResponderComing:
    return ev.ResponderComing(who, reply_id(), eta_s)


def brought_to(state: State) -> IncidentMachine:
    made = machine()
    steps: dict[State, list[ev.Event]] = {
        State.IDLE: [],
        State.CHECKING: [ev.PhraseHeard("help_me", 3.0)],
        State.RAISED: [ev.ButtonPressed()],
        State.COMING: [ev.ButtonPressed(), coming()],
        State.ATTENDED: [ev.ButtonPressed(), ev.ResponderHere(SAM, reply_id())],
    }
    for event in steps[state]:
        made.handle(event, 1.0)
    assert made.state is state
    return made


def lost_snapshot() -> Snapshot:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ChoiceTouched(Choice.SOMEONE_HURT), 1.0)
    assert made.incident is not None
    return made.snapshot(made.incident, UNIT, 30.0, datetime.now(UTC))


def sample(kind: type) -> ev.Event:
    made: dict[type, ev.Event] = {
        ev.ChoiceTouched: ev.ChoiceTouched(Choice.SOMEONE_HURT),
        ev.NameGiven: ev.NameGiven("Ana"),
        ev.LanguageChosen: ev.LanguageChosen(Language.SPANISH),
        ev.PhraseHeard: ev.PhraseHeard("help_me", 2.0),
        ev.ResponderSeen: ev.ResponderSeen(PRIYA, reply_id()),
        ev.ResponderComing: coming(PRIYA),
        ev.ResponderHere: ev.ResponderHere(PRIYA, reply_id()),
        ev.ResponderClosed: ev.ResponderClosed(PRIYA, reply_id(), Outcome.REAL),
        ev.ResponderDeclined: ev.ResponderDeclined(PRIYA, reply_id()),
        ev.ReachChanged: ev.ReachChanged(Reach.OK, ALL),
        ev.FoundOpen: ev.FoundOpen(lost_snapshot()),
        ev.DrillStarted: DRILL,
    }
    return made[kind] if kind in made else kind()


def run_until(made: IncidentMachine, end_s: float, now_s: float) -> list[tuple[float, object]]:
    """Let time pass as the hub does: call at each deadline up to `end_s`."""
    out: list[tuple[float, object]] = []
    for _ in range(10_000):
        if made.deadline_s is None or made.deadline_s > end_s:
            return out
        now_s = max(now_s, made.deadline_s)
        out += [(now_s, effect) for effect in made.handle(ev.TimePassed(), now_s)]
    raise AssertionError("time does not move on")


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(State) - {State.CLOSED}
    for state, row in TABLE.items():
        assert set(row) == set(EVENT_TYPES), state


NEXT: dict[tuple[State, type], State] = {
    (State.IDLE, ev.ButtonPressed): State.RAISED,
    (State.IDLE, ev.HelpTouched): State.RAISED,
    (State.IDLE, ev.PersonTouched): State.RAISED,
    (State.IDLE, ev.WorseTouched): State.RAISED,
    (State.IDLE, ev.DrillStarted): State.RAISED,
    (State.IDLE, ev.FoundOpen): State.RAISED,
    (State.IDLE, ev.PhraseHeard): State.CHECKING,
    (State.CHECKING, ev.ButtonPressed): State.RAISED,
    (State.CHECKING, ev.HelpTouched): State.RAISED,
    (State.CHECKING, ev.WorseTouched): State.RAISED,
    (State.CHECKING, ev.ChoiceTouched): State.RAISED,
    (State.CHECKING, ev.PhraseHeard): State.RAISED,
    (State.CHECKING, ev.FineTouched): State.IDLE,
    (State.CHECKING, ev.ResponderComing): State.COMING,
    (State.CHECKING, ev.ResponderHere): State.ATTENDED,
    (State.CHECKING, ev.ResponderClosed): State.IDLE,
    (State.RAISED, ev.ResponderComing): State.COMING,
    (State.RAISED, ev.ResponderHere): State.ATTENDED,
    (State.RAISED, ev.ResponderClosed): State.IDLE,
    (State.COMING, ev.ResponderHere): State.ATTENDED,
    (State.COMING, ev.ResponderClosed): State.IDLE,
    (State.ATTENDED, ev.ButtonPressed): State.RAISED,
    (State.ATTENDED, ev.HelpTouched): State.RAISED,
    (State.ATTENDED, ev.ResponderClosed): State.IDLE,
}


@pytest.mark.parametrize("kind", EVENT_TYPES)
@pytest.mark.parametrize("state", list(TABLE))
def test_every_state_knows_every_event(state: State, kind: type) -> None:
    made = brought_to(state)
    made.handle(sample(kind), 2.0)
    assert made.state is NEXT.get((state, kind), state)
    assert (made.deadline_s is None) == (made.state is State.IDLE)


def test_a_press_publishes_lights_up_and_asks_the_first_tier() -> None:
    made = machine()
    assert made.handle(ev.ButtonPressed(), 10.0) == [Publish(), SetBeacon(Beacon.LIGHT)]
    assert made.incident is not None
    assert made.asked(made.incident) == (SAM, PRIYA)
    assert made.incident.severity is Severity.ALERT


def test_an_unanswered_alert_goes_to_the_next_tier_and_then_to_the_emergency_page() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    run_until(made, 29.9, 0.0)
    assert made.incident is not None
    assert made.incident.tier == 1
    run_until(made, 30.0, 29.9)
    assert made.incident.tier == 2
    assert made.asked(made.incident) == (SAM, PRIYA, ALEX)
    effects = run_until(made, 60.0, 30.0)
    assert made.incident.emergency
    assert (60.0, SetBeacon(Beacon.SIREN)) in effects
    assert made.state is State.RAISED


def test_an_unanswered_alert_is_sent_again_until_a_human_answers() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    again = [at for at, effect in run_until(made, 29.0, 0.0) if effect == Publish(again=True)]
    assert again == [5.0, 10.0, 15.0, 20.0, 25.0]
    made.handle(coming(), 29.5)
    assert not [at for at, effect in run_until(made, 50.0, 29.5) if effect == Publish(again=True)]


def test_a_device_that_shows_it_is_not_an_answer() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ResponderSeen(SAM, reply_id()), 1.0)
    run_until(made, 31.0, 1.0)
    assert made.incident is not None
    assert (made.state, made.incident.tier, made.incident.seen) == (State.RAISED, 2, (SAM,))


def test_a_responder_who_does_not_arrive_is_asked_again_and_the_next_tier_with_them() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(eta_s=60), 5.0)
    run_until(made, 94.9, 5.0)
    assert made.state is State.COMING
    run_until(made, 95.0, 94.9)
    assert made.incident is not None
    assert (made.state, made.incident.tier) == (State.RAISED, 2)
    assert SAM in made.asked(made.incident)
    assert "late" in [entry.what for entry in made.incident.timeline]


def test_two_on_the_way_and_one_is_late() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(SAM, 60), 1.0)
    made.handle(coming(PRIYA, 300), 2.0)
    run_until(made, 120.0, 2.0)
    assert made.incident is not None
    assert made.state is State.COMING
    assert [one.responder for one in made.incident.coming] == [PRIYA]


def test_an_unanswered_check_asks_more_people_without_light_or_siren_and_then_raises() -> None:
    made = machine()
    made.handle(ev.PhraseHeard("help_me", 2.0), 0.0)
    effects = run_until(made, 41.9, 0.0)
    assert made.incident is not None
    assert (made.state, made.incident.tier) == (State.CHECKING, 2)
    assert not [effect for _, effect in effects if isinstance(effect, SetBeacon)]
    run_until(made, 42.0, 41.9)
    assert made.state is State.RAISED


def test_a_check_somebody_walks_to_stays_a_check_when_they_are_late() -> None:
    made = machine()
    made.handle(ev.PhraseHeard("help_me", 2.0), 0.0)
    made.handle(coming(eta_s=60), 1.0)
    run_until(made, 91.0, 1.0)
    assert made.incident is not None
    assert (made.state, made.incident.tier, made.incident.severity) == (State.CHECKING, 2, Severity.CHECK)


def test_a_grave_phrase_heard_clearly_raises_at_once() -> None:
    made = machine()
    made.handle(ev.PhraseHeard("breathe", 9.0, strong=True), 0.0)
    assert made.state is State.RAISED


def test_fine_never_closes_an_alert_and_is_passed_on() -> None:
    for state in (State.RAISED, State.COMING, State.ATTENDED):
        made = brought_to(state)
        made.handle(ev.FineTouched(), 2.0)
        assert made.incident is not None
        assert (made.state, made.incident.says_fine) == (state, True)


def test_no_answer_to_a_check_in_is_worse() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(eta_s=600), 1.0)
    run_until(made, 60.0, 1.0)
    assert made.incident is not None
    assert made.incident.check_in_answer_due_s == 80.0
    run_until(made, 80.0, 60.0)
    assert (made.incident.severity, made.incident.check_ins_missed) == (Severity.GRAVE, 1)
    assert made.incident.check_in_due_s == 140.0


@pytest.mark.parametrize(
    "answer", [ev.StillOkTouched(), ev.LaterTouched(), ev.ButtonPressed(), ev.ChoiceTouched(Choice.SOMEONE_HURT)]
)
def test_any_sign_of_life_answers_a_check_in(answer: ev.Event) -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(eta_s=600), 1.0)
    run_until(made, 61.0, 1.0)
    made.handle(answer, 65.0)
    assert made.incident is not None
    assert (made.incident.check_in_answer_due_s, made.incident.check_in_due_s) == (None, 125.0)
    assert made.incident.severity is Severity.ALERT


def test_an_empty_tier_is_skipped_at_once() -> None:
    made = machine((ev.Listener(ALEX, 2),))
    made.handle(ev.ButtonPressed(), 0.0)
    assert made.incident is not None
    assert made.incident.tier == 2
    assert made.asked(made.incident) == (ALEX,)


def test_nobody_listening_shows_the_emergency_page_at_once() -> None:
    made = machine(())
    made.handle(ev.ButtonPressed(), 0.0)
    assert made.incident is not None
    assert made.incident.emergency


def test_a_lost_broker_gets_a_few_seconds() -> None:
    made = IncidentMachine(RULES, lambda: "one")
    made.handle(ev.ButtonPressed(), 0.0)
    assert made.incident is not None
    assert not made.incident.emergency
    run_until(made, 5.0, 0.0)
    assert made.incident.emergency


def test_a_broker_that_comes_back_in_time_is_no_emergency() -> None:
    made = IncidentMachine(RULES, lambda: "one")
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ReachChanged(Reach.OK, ALL), 3.0)
    run_until(made, 20.0, 3.0)
    assert made.incident is not None
    assert not made.incident.emergency


def test_a_device_that_showed_the_alert_gets_a_few_seconds_to_come_back() -> None:
    made = machine((ev.Listener(SAM, 1),))
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ResponderSeen(SAM, reply_id()), 1.0)
    made.handle(ev.ReachChanged(Reach.NOBODY), 2.0)
    run_until(made, 6.9, 2.0)
    assert made.incident is not None
    assert not made.incident.emergency
    run_until(made, 7.0, 6.9)
    assert made.incident.emergency
    assert made.incident.timeline[-1].what == "nobody_listening"


def test_when_all_asked_decline_the_next_is_asked_at_once() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ResponderDeclined(SAM, reply_id()), 1.0)
    assert made.incident is not None
    assert made.incident.tier == 1
    made.handle(ev.ResponderDeclined(PRIYA, reply_id()), 2.0)
    assert made.incident.tier == 2
    made.handle(ev.ResponderDeclined(ALEX, reply_id()), 3.0)
    assert made.incident.emergency


def test_who_cannot_come_after_all_is_replaced() -> None:
    made = brought_to(State.COMING)
    made.handle(ev.ResponderDeclined(SAM, reply_id()), 2.0)
    assert made.incident is not None
    assert (made.state, made.incident.tier) == (State.RAISED, 2)


def test_a_redelivered_reply_counts_once() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    first = coming(eta_s=60)
    made.handle(first, 1.0)
    run_until(made, 91.0, 1.0)
    assert made.state is State.RAISED
    assert made.handle(first, 92.0) == []
    assert made.state is State.RAISED


def test_silent_means_nothing_at_the_desk() -> None:
    made = machine()
    effects: list[object] = list(made.handle(ev.ButtonPressed(covert=True), 0.0))
    effects += [effect for _, effect in run_until(made, 600.0, 0.0)]
    assert not [effect for effect in effects if isinstance(effect, SetBeacon)]
    assert made.incident is not None
    assert made.incident.check_in_answer_due_s is None
    assert made.incident.check_ins_missed == 0
    assert made.incident.trigger is Trigger.COVERT


@pytest.mark.parametrize("event", [ev.HelpTouched(), ev.ButtonPressed()])
def test_an_open_call_in_a_silent_alert_gets_an_answer_and_still_no_light(event: ev.Event) -> None:
    made = machine()
    made.handle(ev.ButtonPressed(covert=True), 0.0)
    effects = made.handle(event, 1.0)
    assert effects == [Publish()]
    assert made.incident is not None
    assert not made.incident.silent
    assert made.incident.check_in_due_s == 61.0


COVERT_CALLS = [ev.ButtonPressed(covert=True), ev.PhraseHeard("angela", 3.0, strong=True, covert=True)]


@pytest.mark.parametrize("event", COVERT_CALLS)
@pytest.mark.parametrize("state", [State.RAISED, State.COMING])
def test_a_covert_call_in_an_open_alert_is_told_to_staff_and_one_tier_more_without_light_or_siren(
    state: State, event: ev.Event
) -> None:
    made = brought_to(state)
    assert made.incident is not None
    before = made.incident
    effects = made.handle(event, 2.0)
    assert not [effect for effect in effects if isinstance(effect, SetBeacon)]
    assert made.incident.covert
    assert made.incident.tier == before.tier + 1  # more people, at once
    assert (made.state, made.incident.severity, made.incident.silent) == (state, before.severity, False)
    assert {"pressed_covert", "heard"} & {entry.what for entry in made.incident.timeline}


@pytest.mark.parametrize("event", COVERT_CALLS)
def test_a_covert_call_answers_no_check_in(event: ev.Event) -> None:
    made = brought_to(State.RAISED)
    assert made.incident is not None
    due_s = made.incident.check_in_due_s
    assert due_s is not None
    made.handle(ev.TimePassed(), due_s)
    asked_until_s = made.incident.check_in_answer_due_s
    assert asked_until_s is not None
    made.handle(event, due_s + 1)
    assert made.incident.check_in_answer_due_s == asked_until_s


@pytest.mark.parametrize("event", COVERT_CALLS)
def test_a_covert_call_in_a_check_that_somebody_walks_to_makes_it_a_silent_alert(event: ev.Event) -> None:
    made = brought_to(State.CHECKING)
    made.handle(coming(), 2.0)
    effects = made.handle(event, 3.0)
    assert made.incident is not None
    assert (made.incident.severity, made.incident.silent) == (Severity.ALERT, True)
    assert not [effect for effect in effects if isinstance(effect, SetBeacon)]
    assert made.beacon is Beacon.OFF
    assert made.incident.check_in_due_s is None


def test_a_covert_press_at_an_attended_desk_is_a_silent_alert() -> None:
    made = brought_to(State.ATTENDED)
    made.handle(ev.ButtonPressed(covert=True), 2.0)
    assert made.incident is not None
    assert (made.state, made.incident.silent, made.beacon) == (State.RAISED, True, Beacon.OFF)
    assert "pressed_covert" in {entry.what for entry in made.incident.timeline}


def seen_at_the_desk(made: IncidentMachine, now_s: float) -> Snapshot | None:
    return made.desk_snapshot(UNIT, now_s, datetime(2026, 1, 1, tzinfo=UTC))


SHOWING: dict[str, list[ev.Event]] = {
    "a check": [ev.PhraseHeard("help_me", 3.0)],
    "a check that somebody walks to": [ev.PhraseHeard("help_me", 3.0), coming()],
    "a request": [ev.PersonTouched()],
    "a request that somebody walks to": [ev.PersonTouched(), coming()],
    "an alert": [ev.ButtonPressed()],
    "an alert that somebody walks to": [ev.ButtonPressed(), coming()],
    "a responder": [ev.ButtonPressed(), ev.ResponderHere(SAM, reply_id())],
    "a drill": [DRILL],
}


@pytest.mark.parametrize("call", COVERT_CALLS)
@pytest.mark.parametrize("showing", SHOWING)
def test_a_covert_call_goes_to_staff_at_once_and_the_desk_goes_on_showing_what_it_showed(
    showing: str, call: ev.Event
) -> None:
    made = machine()
    for event in SHOWING[showing]:
        made.handle(event, 1.0)
    tier, before = opened(made).tier, seen_at_the_desk(made, 2.0)
    assert before is not None
    effects = made.handle(call, 2.0)
    assert effects == [Publish()]
    assert seen_at_the_desk(made, 2.0) == before
    open_ = opened(made)
    assert (open_.covert, open_.tier, open_.drill) == (True, tier + 1, False)
    assert open_.severity is not Severity.CHECK
    assert open_.state in {State.RAISED, State.COMING}


def test_fine_in_a_check_ends_its_page_and_not_the_covert_call_in_it() -> None:
    made = brought_to(State.CHECKING)
    made.handle(ev.ButtonPressed(covert=True), 2.0)
    assert made.handle(ev.FineTouched(), 3.0) == [Publish()]
    assert made.desk is None
    assert (opened(made).state, opened(made).silent) == (State.RAISED, True)
    hidden = seen_at_the_desk(made, 4.0)
    assert hidden is not None
    assert (hidden.silent, hidden.timeline, hidden.coming) == (True, (), ())


def test_a_responder_stays_at_the_desk_for_who_stands_there_until_staff_close_it() -> None:
    made = brought_to(State.ATTENDED)
    made.handle(ev.ButtonPressed(covert=True), 2.0)
    made.handle(coming(ALEX), 3.0)
    run_until(made, 500.0, 3.0)
    shown = seen_at_the_desk(made, 500.0)
    assert shown is not None
    assert (shown.state, shown.here) == (State.ATTENDED, SAM)
    made.handle(ev.ResponderClosed(ALEX, reply_id(), Outcome.REAL), 501.0)
    assert (made.state, seen_at_the_desk(made, 501.0)) == (State.IDLE, None)
    assert made.last is not None
    assert made.last.desk is None


@pytest.mark.parametrize("touch", [ev.HelpTouched(), ev.PersonTouched(), ev.ButtonPressed(), ev.WorseTouched()])
def test_an_open_call_in_a_silent_alert_begins_at_the_desk_as_in_an_idle_one(touch: ev.Event) -> None:
    made, ordinary = machine(), machine()
    made.handle(ev.ButtonPressed(covert=True), 0.0)
    made.handle(ev.ResponderSeen(SAM, reply_id()), 1.0)
    run_until(made, 100.0, 1.0)
    made.handle(coming(eta_s=300), 100.0)
    for one in (made, ordinary):
        one.handle(touch, 165.0)
    shown, expected = seen_at_the_desk(made, 165.0), seen_at_the_desk(ordinary, 165.0)
    assert shown is not None
    assert expected is not None
    assert shown.model_copy(update={"id": expected.id}) == expected
    assert (shown.elapsed_s, shown.tier, shown.coming, shown.seen) == (0.0, 1, (), ())
    assert opened(made).state is State.COMING, "staff keep what they know"
    assert opened(made).seen == (), "and say anew whose device shows it"
    run_until(made, 200.0, 165.0)
    shown = seen_at_the_desk(made, 200.0)
    assert shown is not None
    assert opened(made).tier >= shown.tier


def test_what_the_desk_says_of_tiers_after_a_covert_call_is_true() -> None:
    rules = EscalationSection(tiers=("the staff", "the manager", "the guard"))
    made = machine((*ALL, ev.Listener(Person(id="gil", name="Gil"), 3)), rules)
    made.handle(ev.ButtonPressed(covert=True), 0.0)
    made.handle(coming(eta_s=600), 1.0)
    made.handle(ev.HelpTouched(), 2.0)
    run_until(made, 62.0, 2.0)
    shown = seen_at_the_desk(made, 62.0)
    assert shown is not None
    assert (shown.tier, opened(made).tier) == (3, 3)


def test_the_desk_of_a_covert_call_survives_being_written_down() -> None:
    made = brought_to(State.ATTENDED)
    made.handle(ev.ButtonPressed(covert=True), 2.0)
    kept = Incident.model_validate_json(opened(made).model_dump_json()).shifted(100.0)
    resumed = IncidentMachine(RULES, reply_id, kept)
    resumed.handle(ev.ReachChanged(Reach.OK, ALL), 103.0)
    assert seen_at_the_desk(resumed, 103.0) == seen_at_the_desk(made, 3.0)


def test_a_page_that_is_not_there_cannot_be_touched() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(covert=True), 0.0)
    for event in (ev.FineTouched(), ev.NameGiven("Ana"), ev.ChoiceTouched(Choice.FALL), ev.StillOkTouched()):
        assert made.handle(event, 1.0) == []


@pytest.mark.parametrize("phrase", [ev.PhraseHeard("help_me", 3.0), ev.PhraseHeard("breathe", 9.0, strong=True)])
def test_a_phrase_in_a_silent_alert_shows_nothing_at_the_desk(phrase: ev.Event) -> None:
    made = machine()
    made.handle(ev.ButtonPressed(covert=True), 0.0)
    made.handle(phrase, 5.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 6.0)
    made.handle(phrase, 500.0)
    assert (made.desk, opened(made).silent, made.beacon) == (None, True, Beacon.OFF)


def test_a_covert_alert_that_the_unit_lost_is_silent_again() -> None:
    for first in (State.IDLE, State.RAISED):
        made = brought_to(first)
        made.handle(ev.ButtonPressed(covert=True), 2.0)
        lost = made.snapshot(opened(made), UNIT, 30.0, datetime.now(UTC))
        again = machine()
        again.handle(ev.FoundOpen(lost), 500.0)
        assert (again.desk, again.beacon) == (None, Beacon.OFF)


WORSE_AFTER_ALL = [
    ev.WorseTouched(),
    ev.ChoiceTouched(Choice.CHEST_PAIN),
    ev.PhraseHeard("breathe", 9.0, strong=True, opens=Choice.BREATHING),
]


@pytest.mark.parametrize("event", WORSE_AFTER_ALL)
@pytest.mark.parametrize("state", [State.RAISED, State.COMING, State.ATTENDED])
def test_what_turns_grave_is_not_fine_any_more(state: State, event: ev.Event) -> None:
    made = brought_to(state)
    made.handle(ev.FineTouched(), 2.0)
    made.handle(event, 3.0)
    assert not opened(made).says_fine


def test_who_said_to_be_fine_and_then_does_not_answer_is_not_fine() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(eta_s=600), 1.0)
    made.handle(ev.FineTouched(), 2.0)
    run_until(made, 82.0, 2.0)
    assert (opened(made).check_ins_missed, opened(made).says_fine) == (1, False)


def test_the_language_that_a_screen_tells_by_itself_answers_no_check_in() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(eta_s=600), 1.0)
    run_until(made, 61.0, 1.0)
    asked_until_s = opened(made).check_in_answer_due_s
    assert asked_until_s is not None
    made.handle(ev.LanguageChosen(Language.FRENCH), 65.0)
    assert opened(made).check_in_answer_due_s == asked_until_s


def test_a_request_that_nobody_answers_any_more_leaves_the_desk_and_not_the_staff() -> None:
    made = machine()
    made.handle(ev.PersonTouched(), 0.0)
    run_until(made, 599.0, 0.0)
    assert opened(made).check_ins_missed == 5
    assert (made.desk, opened(made).check_in_due_s) == (opened(made), None)
    effects = run_until(made, 2000.0, 599.0)
    assert made.desk is None
    assert (600.0, Publish()) in effects
    assert (1995.0, Publish(again=True)) in effects
    assert (opened(made).request, opened(made).check_ins_missed) == (True, 5)


def test_a_request_of_a_person_who_is_fine_asks_them_nothing_more_and_leaves_the_desk() -> None:
    made = requested()
    made.handle(ev.FineTouched(), 30.0)
    run_until(made, 629.0, 30.0)
    assert (made.desk, opened(made).check_ins_missed) == (opened(made), 0)
    run_until(made, 630.0, 629.0)
    assert made.desk is None


def test_a_touch_keeps_a_request_at_the_desk_and_asking_again_goes_on_asking() -> None:
    made = requested()
    made.handle(ev.FineTouched(), 30.0)
    made.handle(ev.PersonTouched(), 400.0)
    assert (opened(made).says_fine, opened(made).check_in_due_s) == (False, 460.0)
    made.handle(ev.FineTouched(), 410.0)
    run_until(made, 1009.0, 410.0)
    assert made.desk is not None


@pytest.mark.parametrize("event", [ev.HelpTouched(), ev.ButtonPressed(), ev.PhraseHeard("help_me", 3.0)])
def test_a_call_at_a_desk_that_a_request_left_is_shown_as_a_new_one(event: ev.Event) -> None:
    made = requested()
    made.handle(ev.FineTouched(), 1.0)
    run_until(made, 700.0, 1.0)
    made.handle(event, 700.0)
    shown = seen_at_the_desk(made, 700.0)
    assert shown is not None
    assert (shown.elapsed_s, shown.says_fine) == (0.0, False)
    assert opened(made).severity is Severity.ALERT
    heard = isinstance(event, ev.PhraseHeard)
    assert (made.beacon, shown.state) == ((Beacon.OFF, State.CHECKING) if heard else (Beacon.LIGHT, State.RAISED))


def test_a_covert_press_in_a_drill_is_real() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    made.handle(ev.ButtonPressed(covert=True), 1.0)
    assert made.incident is not None
    assert (made.incident.drill, made.incident.covert) == (False, True)


def test_a_kept_press_counts_from_when_it_was_pressed() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(age_s=600.0), 1000.0)
    assert made.incident is not None
    assert made.snapshot(made.incident, UNIT, 1000.0, datetime.now(UTC)).elapsed_s == 600.0
    assert made.incident.escalate_due_s == 1030.0


def test_a_real_press_in_a_drill_is_real() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    assert made.incident is not None
    assert made.incident.drill
    made.handle(ev.ButtonPressed(), 1.0)
    assert not made.incident.drill


def test_what_was_told_leaves_with_the_incident() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.NameGiven("Ana"), 1.0)
    made.handle(ev.ChoiceTouched(Choice.CHEST_OR_BREATHING), 2.0)
    made.handle(ev.ResponderClosed(SAM, reply_id(), Outcome.REAL), 3.0)
    assert made.last is not None
    text = made.snapshot(made.last, UNIT, 3.0, datetime.now(UTC)).model_dump_json()
    assert "Ana" not in text
    assert "chest" not in text
    assert made.last.closed_by == SAM


def test_an_incident_that_the_unit_lost_is_raised_again_ahead_of_what_was_shown() -> None:
    made, lost = machine(), lost_snapshot()
    effects = made.handle(ev.FoundOpen(lost), 500.0)
    assert Publish() in effects
    assert made.incident is not None
    assert (made.incident.id, made.incident.choice, made.incident.opened_s) == (lost.id, Choice.SOMEONE_HURT, 470.0)
    assert made.incident.revision > lost.revision + 1000


def test_a_second_call_in_the_same_incident_starts_with_nobody_having_seen_it() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ResponderSeen(SAM, reply_id()), 1.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 2.0)
    made.handle(ev.ButtonPressed(), 3.0)
    assert made.incident is not None
    assert made.incident.seen == ()


def test_who_does_not_listen_any_more_does_not_show_it() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ResponderSeen(SAM, reply_id()), 1.0)
    made.handle(ev.ReachChanged(Reach.OK, ALL[1:]), 2.0)
    assert made.incident is not None
    assert made.snapshot(made.incident, UNIT, 3.0, datetime.now(UTC)).seen == ()


@pytest.mark.parametrize(
    ("event", "after_s", "state"),
    [
        (ev.PhraseHeard("help_me", 2.0), 60.0, State.ATTENDED),
        (ev.PhraseHeard("help_me", 2.0), 200.0, State.CHECKING),
        (ev.PhraseHeard("breathe", 9.0, strong=True), 60.0, State.RAISED),
        (ev.PhraseHeard("angela", 9.0, covert=True), 60.0, State.RAISED),
    ],
)
def test_a_phrase_at_an_attended_desk(event: ev.PhraseHeard, after_s: float, state: State) -> None:
    made = brought_to(State.ATTENDED)
    made.handle(event, 1.0 + after_s)
    assert made.incident is not None
    told = COVERT_PHRASE if event.covert else event.phrase
    assert (made.state, made.incident.phrase, made.incident.silent) == (state, told, event.covert)


@pytest.mark.parametrize(
    "event",
    [ev.WorseTouched(), ev.ChoiceTouched(Choice.CHEST_OR_BREATHING), ev.PhraseHeard("breathe", 9.0, strong=True)],
)
def test_what_turns_grave_while_somebody_comes_asks_the_next_tier_too(event: ev.Event) -> None:
    made = brought_to(State.COMING)
    made.handle(event, 2.0)
    assert made.incident is not None
    assert (made.state, made.incident.tier, made.incident.severity) == (State.COMING, 2, Severity.GRAVE)


def heard(phrase: str, opens: Choice | None, *, covert: bool = False) -> ev.PhraseHeard:
    return ev.PhraseHeard(phrase, 3.0, covert=covert, opens=opens)


def guess_of(made: IncidentMachine) -> Choice | None:
    assert made.incident is not None
    return made.incident.guess


@pytest.mark.parametrize("state", list(TABLE))
def test_a_phrase_suggests_its_case_in_every_state(state: State) -> None:
    made = brought_to(state)
    made.handle(heard("chest", Choice.CHEST_OR_BREATHING), 2.0)
    assert made.incident is not None
    assert (made.incident.guess, made.incident.choice) == (Choice.CHEST_OR_BREATHING, None)
    assert made.snapshot(made.incident, UNIT, 3.0, datetime.now(UTC)).guess is Choice.CHEST_OR_BREATHING


@pytest.mark.parametrize("state", [State.CHECKING, State.RAISED, State.COMING])
def test_only_a_graver_phrase_changes_what_was_suggested(state: State) -> None:
    made = brought_to(state)
    for phrase, opens, guess in (
        ("help", None, None),
        ("let_go", Choice.NOT_SAFE, Choice.NOT_SAFE),
        ("ambulance", Choice.SOMEONE_HURT, Choice.SOMEONE_HURT),
        ("police", Choice.NOT_SAFE, Choice.SOMEONE_HURT),
        ("breathe", Choice.CHEST_OR_BREATHING, Choice.CHEST_OR_BREATHING),
        ("help_me", None, Choice.CHEST_OR_BREATHING),
    ):
        made.handle(heard(phrase, opens), 2.0)
        assert guess_of(made) is guess, phrase


def test_what_the_person_touched_wins_over_what_was_heard() -> None:
    made = machine()
    made.handle(heard("faint", Choice.SOMEONE_HURT), 1.0)
    made.handle(ev.ChoiceTouched(Choice.NOT_SAFE), 2.0)
    made.handle(heard("breathe", Choice.CHEST_OR_BREATHING), 3.0)
    assert made.incident is not None
    assert (made.incident.choice, made.incident.guess) == (Choice.NOT_SAFE, Choice.SOMEONE_HURT)


def test_a_call_at_an_attended_desk_suggests_anew() -> None:
    made = machine()
    made.handle(heard("breathe", Choice.CHEST_OR_BREATHING), 1.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 2.0)
    made.handle(heard("police", Choice.NOT_SAFE), 300.0)
    assert (made.state, guess_of(made)) == (State.CHECKING, Choice.NOT_SAFE)


def test_which_covert_phrase_it_was_is_never_told() -> None:
    for state in TABLE:
        made = brought_to(state)
        made.handle(heard("angela", Choice.NOT_SAFE, covert=True), 2.0)
        assert made.incident is not None
        assert made.incident.phrase == COVERT_PHRASE
        assert "angela" not in made.incident.model_dump_json()
        assert guess_of(made) is None


def test_a_responder_who_forgets_to_close_is_reminded() -> None:
    made = brought_to(State.ATTENDED)
    run_until(made, 902.0, 2.0)
    assert made.incident is not None
    assert "remind" in [entry.what for entry in made.incident.timeline]


def test_the_state_survives_being_written_down() -> None:
    made = brought_to(State.COMING)
    assert made.incident is not None
    back = Incident.model_validate_json(made.incident.model_dump_json())
    assert back == made.incident


def test_times_move_with_a_clock_that_started_anew() -> None:
    made = brought_to(State.COMING)
    assert made.incident is not None
    moved = made.incident.shifted(-100.0)
    assert moved.opened_s == made.incident.opened_s - 100.0
    assert moved.due_s() == made.incident.due_s() - 100.0  # type: ignore[operator]  # an open incident has one
    assert moved.shifted(100.0) == made.incident


def test_a_resumed_incident_lights_the_beacon_again() -> None:
    made = brought_to(State.RAISED)
    resumed = IncidentMachine(RULES, lambda: "new", made.incident)
    assert SetBeacon(Beacon.LIGHT) in resumed.handle(ev.ReachChanged(Reach.OK, ALL), 2.0)
    assert resumed.incident is not None
    assert made.incident is not None
    assert resumed.incident.id == made.incident.id


def requested() -> IncidentMachine:
    made = machine()
    made.handle(ev.PersonTouched(), 0.0)
    return made


def opened(made: IncidentMachine) -> Incident:
    assert made.incident is not None
    return made.incident


def test_a_request_for_a_person_asks_the_staff_and_is_no_alarm() -> None:
    made = machine()
    assert made.handle(ev.PersonTouched(), 0.0) == [Publish()]
    open_ = opened(made)
    assert (open_.state, open_.severity, open_.trigger) == (State.RAISED, Severity.CHECK, Trigger.TOUCH)
    assert (open_.choice, made.beacon) == (Choice.PERSON, Beacon.OFF)
    assert [entry.what for entry in open_.timeline] == ["opened", "told_person"]


def test_an_unanswered_request_asks_every_tier_at_half_the_pace_and_goes_on_asking() -> None:
    made = requested()
    run_until(made, 59.9, 0.0)
    assert opened(made).tier == 1
    run_until(made, 60.0, 59.9)
    assert opened(made).tier == 2
    effects = run_until(made, 1000.0, 60.0)
    open_ = opened(made)
    assert (open_.state, open_.severity, open_.emergency) == (State.RAISED, Severity.CHECK, False)
    assert not [effect for _, effect in effects if isinstance(effect, SetBeacon)]
    assert (995.0, Publish(again=True)) in effects
    assert [entry.what for entry in open_.timeline].count("nobody_answered") == 1
    assert open_.check_ins_missed > 1


@pytest.mark.parametrize("reach", [Reach.NOBODY, Reach.DISCONNECTED])
def test_a_request_that_reaches_nobody_shows_no_emergency_page_by_itself(reach: Reach) -> None:
    made = requested()
    made.handle(ev.ReachChanged(reach), 1.0)
    run_until(made, 600.0, 1.0)
    assert not opened(made).emergency


def test_no_answer_to_a_check_in_of_a_request_asks_the_next_tier_and_stays_low() -> None:
    rules = EscalationSection(tiers=("the staff", "the manager", "the guard"), escalate_s=1000.0)
    made = machine(rules=rules)
    made.handle(ev.PersonTouched(), 0.0)
    run_until(made, 80.0, 0.0)
    open_ = opened(made)
    assert (open_.tier, open_.severity, open_.check_ins_missed) == (2, Severity.CHECK, 1)
    assert open_.check_in_due_s == 140.0


def test_what_happens_next_in_a_request_is_never_the_emergency_page() -> None:
    made = requested()
    for now_s in range(0, 300, 5):
        run_until(made, float(now_s), float(now_s))
        step = made.snapshot(opened(made), UNIT, float(now_s), datetime.now(UTC)).next
        assert step is not None
        assert step.what in {"ask_next_tier", "check_in", "check_in_missed"}


MORE_THAN_A_PERSON = [
    ev.ButtonPressed(),
    ev.HelpTouched(),
    ev.WorseTouched(),
    ev.ChoiceTouched(Choice.LOST_CHILD),
    ev.PhraseHeard("help_me", 3.0),
    ev.PhraseHeard("breathe", 9.0, strong=True, opens=Choice.BREATHING),
]


@pytest.mark.parametrize("event", MORE_THAN_A_PERSON)
def test_a_request_that_turns_out_to_be_more_is_an_ordinary_alert(event: ev.Event) -> None:
    made = requested()
    effects = made.handle(event, 40.0)
    open_ = opened(made)
    assert (open_.request, open_.state) == (False, State.RAISED)
    assert open_.severity is not Severity.CHECK
    assert SetBeacon(Beacon.LIGHT) in effects
    assert open_.choice is (event.choice if isinstance(event, ev.ChoiceTouched) else None)
    assert open_.guess is (event.opens if isinstance(event, ev.PhraseHeard) else None)
    run_until(made, 200.0, 40.0)
    assert opened(made).emergency


@pytest.mark.parametrize("event", MORE_THAN_A_PERSON)
def test_a_request_that_somebody_walks_to_turns_into_an_alert_too(event: ev.Event) -> None:
    made = requested()
    made.handle(coming(eta_s=600), 1.0)
    made.handle(event, 2.0)
    open_ = opened(made)
    assert (open_.request, open_.state) == (False, State.COMING)
    assert open_.severity is not Severity.CHECK
    assert open_.check_in_due_s == 62.0


def test_a_request_whose_responder_is_late_stays_a_request() -> None:
    made = requested()
    made.handle(coming(eta_s=60), 1.0)
    run_until(made, 91.0, 1.0)
    open_ = opened(made)
    assert (open_.state, open_.tier, open_.severity, open_.request) == (State.RAISED, 2, Severity.CHECK, True)


@pytest.mark.parametrize("event", [ev.PersonTouched(), ev.ChoiceTouched(Choice.PERSON), ev.FineTouched()])
def test_what_leaves_a_request_a_request(event: ev.Event) -> None:
    made = requested()
    made.handle(event, 2.0)
    assert (opened(made).request, opened(made).severity) == (True, Severity.CHECK)


@pytest.mark.parametrize("event", COVERT_CALLS)
def test_a_covert_call_in_a_request_is_a_silent_alert_from_there(event: ev.Event) -> None:
    made = requested()
    effects = made.handle(event, 2.0)
    open_ = opened(made)
    assert (open_.request, open_.severity, open_.silent) == (False, Severity.ALERT, True)
    assert not [effect for effect in effects if isinstance(effect, SetBeacon)]
    assert open_.escalate_due_s == 32.0
    assert open_.check_in_due_s is None


def test_a_request_in_a_silent_alert_is_answered_as_any_request_and_brings_no_light() -> None:
    for first in (State.IDLE, State.ATTENDED):
        made = brought_to(first)
        made.handle(ev.ButtonPressed(covert=True), 2.0)
        effects = made.handle(ev.PersonTouched(), 3.0)
        open_ = opened(made)
        assert effects == [Publish()]
        assert (open_.silent, open_.covert, open_.choice, open_.severity) == (
            False,
            True,
            Choice.PERSON,
            Severity.ALERT,
        )
        assert made.beacon is Beacon.OFF


@pytest.mark.parametrize("touch", [ev.PersonTouched(), ev.WorseTouched()])
def test_a_touch_in_a_silent_alert_that_somebody_attends_leaves_no_check_in_that_nobody_minds(touch: ev.Event) -> None:
    """Time goes on: a deadline that stays due would keep the hub busy for ever."""
    made = machine()
    made.handle(ev.ButtonPressed(covert=True), 0.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 1.0)
    made.handle(touch, 2.0)
    for now_s in (62.0, 82.0, 500.0):
        run_until(made, now_s, now_s)
        assert (made.state, made.deadline_s and made.deadline_s > now_s) == (State.ATTENDED, True)


def test_a_request_that_the_unit_lost_is_a_request_again() -> None:
    made = requested()
    lost = made.snapshot(opened(made), UNIT, 30.0, datetime.now(UTC))
    again = machine()
    again.handle(ev.FoundOpen(lost), 500.0)
    assert (opened(again).request, opened(again).severity, again.beacon) == (True, Severity.CHECK, Beacon.OFF)


def test_the_language_of_the_screen_goes_with_the_incident_and_leaves_with_it() -> None:
    made = machine()
    assert made.handle(ev.LanguageChosen(Language.HINDI), 0.0) == []
    made.handle(ev.HelpTouched(), 1.0)
    assert opened(made).language is Language.HINDI
    assert made.handle(ev.LanguageChosen(Language.HINDI), 2.0) == []
    assert made.handle(ev.LanguageChosen(Language.ARABIC), 3.0) == [Publish()]
    shown = made.snapshot(opened(made), UNIT, 4.0, datetime.now(UTC))
    assert shown.language is Language.ARABIC
    assert (shown.timeline[-1].what, shown.timeline[-1].who) == ("told_language", "ar")
    made.handle(ev.ResponderClosed(SAM, reply_id(), Outcome.REAL), 5.0)
    assert made.last is not None
    assert made.last.language is Language.ENGLISH
    assert "told_language" not in {entry.what for entry in made.last.timeline}
    assert made.language is Language.ARABIC, "the screen still shows it"


def test_a_resumed_incident_keeps_its_language() -> None:
    made = machine()
    made.handle(ev.HelpTouched(), 1.0)
    made.handle(ev.LanguageChosen(Language.CHINESE), 2.0)
    assert IncidentMachine(RULES, reply_id, made.incident, Language.FRENCH).language is Language.CHINESE


# --- drills -----------------------------------------------------------------------------------------------------------

ASKED = ev.TestAsked("drill-2", SAM)
PRESSED = ev.ButtonPressed(age_s=2.0, test=ASKED)
HELP_TOUCHED = ev.HelpTouched(test=ASKED)


def whats(incident: Incident | None) -> list[str]:
    assert incident is not None
    return [entry.what for entry in incident.timeline]


def ended_s(made: IncidentMachine, until_s: float) -> float:
    """Let time pass; return when it closed as a test, by nobody."""
    out = run_until(made, until_s, 0.0)
    assert made.last is not None
    assert (made.state, made.last.outcome, made.last.closed_by) == (State.IDLE, Outcome.TEST, None)
    assert whats(made.last)[-2:] == ["drill_over", "closed"]
    return out[-1][0]


def test_a_drill_is_the_incident_that_was_ordered() -> None:
    made = machine()
    assert made.handle(DRILL, 0.0) == [Publish(), SetBeacon(Beacon.LIGHT)]
    open_ = opened(made)
    assert (open_.id, open_.drill, open_.scenario, open_.trigger) == ("drill-1", True, "chest_pain", Trigger.DRILL)
    assert whats(open_) == ["opened", "drill_started", "severity", "raised"]
    assert open_.timeline[1].who == "Sam"
    shown = made.snapshot(open_, UNIT, 1.0, datetime.now(UTC))
    assert (shown.drill, shown.scenario, shown.id) == (True, "chest_pain", "drill-1")


def test_a_drill_that_nobody_answers_ends_two_minutes_after_the_last_tier() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    assert ended_s(made, 2000.0) == 2 * RULES.escalate_s + 120.0


def test_a_drill_at_a_desk_that_nobody_hears_ends_too() -> None:
    for made, after_s in ((machine(()), 120.0), (IncidentMachine(RULES, reply_id), REACH_GRACE_S + 120.0)):
        made.handle(DRILL, 0.0)
        assert ended_s(made, 2000.0) == after_s


def test_an_attended_drill_ends_after_five_minutes() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    made.handle(coming(), 10.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 40.0)
    assert ended_s(made, 2000.0) == 340.0


def test_a_drill_ends_after_fifteen_minutes_whatever_comes() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    for at_s in range(20, 900, 20):
        run_until(made, float(at_s), 0.0)
        made.handle(coming(SAM, 1800.0), float(at_s))
    assert ended_s(made, 2000.0) == 900.0


def test_who_says_coming_after_the_last_tier_is_not_left_walking() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    run_until(made, 100.0, 0.0)
    assert opened(made).emergency
    made.handle(coming(eta_s=300), 100.0)
    run_until(made, 390.0, 100.0)
    assert made.state is State.COMING


CALLS_IN_A_DRILL = [
    ev.ButtonPressed(),
    ev.ButtonPressed(covert=True),
    ev.HelpTouched(),
    ev.PersonTouched(),
    ev.WorseTouched(),
    ev.PhraseHeard("help_me", 3.0),
    ev.PhraseHeard("breathe", 9.0, strong=True),
    ev.PhraseHeard("angela", 3.0, covert=True),
]


@pytest.mark.parametrize("drill", [[DRILL], [PRESSED, ev.TestTouched()]])
@pytest.mark.parametrize("call", CALLS_IN_A_DRILL)
@pytest.mark.parametrize("answer", [None, coming, ev.ResponderHere])
def test_any_call_in_a_drill_makes_it_real_and_then_only_people_end_it(
    drill: list[ev.Event], call: ev.Event, answer: type | None
) -> None:
    made = machine()
    for event in drill:
        made.handle(event, 0.0)
    made.handle(ev.ResponderDeclined(PRIYA, reply_id()), 0.5)
    if answer is not None:
        made.handle(coming() if answer is coming else ev.ResponderHere(SAM, reply_id()), 1.0)
    made.handle(call, 10.0 if answer is not ev.ResponderHere else 15.0)
    talk = isinstance(call, ev.PhraseHeard) and not (call.strong or call.covert)
    if drill == [DRILL] and answer is ev.ResponderHere and talk:
        assert opened(made).drill, "talk with a responder who has just come is theirs to judge"
        return
    open_ = opened(made)
    assert (open_.drill, open_.scenario, open_.declined) == (False, None, ())
    assert "drill_became_real" in whats(open_)
    assert open_.severity is not Severity.CHECK
    run_until(made, 5000.0, 15.0)
    assert made.state is not State.IDLE


def test_a_phrase_long_after_a_responder_came_makes_a_drill_real() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 10.0)
    made.handle(ev.PhraseHeard("help_me", 3.0), 140.0)
    assert (opened(made).drill, made.state) == (False, State.CHECKING)


@pytest.mark.parametrize("touch", [ev.ChoiceTouched(Choice.CHEST_PAIN), ev.NameGiven("Ana"), ev.StillOkTouched()])
def test_who_plays_touches_the_pages_of_a_drill_and_it_stays_one(touch: ev.Event) -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    made.handle(touch, 5.0)
    assert opened(made).drill


def test_after_a_covert_call_in_a_drill_the_desk_ends_its_drill_as_if_none_had_come() -> None:
    made, ordinary = machine(), machine()
    for one in (made, ordinary):
        one.handle(DRILL, 0.0)
    made.handle(ev.ButtonPressed(covert=True), 5.0)
    for now_s in range(6, 190):
        for one in (made, ordinary):
            run_until(one, float(now_s), 0.0)
        assert (made.desk is None) == (ordinary.desk is None), now_s
    assert (made.desk, opened(made).state, opened(made).drill) == (None, State.RAISED, False)


def opening_drill() -> IncidentMachine:
    """A press in the minute of the opening press, and a second later the touch that says that it is it."""
    made = machine()
    made.handle(PRESSED, 0.0)
    made.handle(ev.TestTouched(), 1.0)
    assert opened(made).scenario == OPENING
    return made


@pytest.mark.parametrize("call", [PRESSED, HELP_TOUCHED])
def test_a_call_that_may_be_the_opening_press_is_real_in_all_but_its_question(call: ev.Event) -> None:
    made, plain = machine(), machine()
    ordinary = ev.ButtonPressed(age_s=2.0) if call is PRESSED else ev.HelpTouched()
    assert made.handle(call, 10.0) == plain.handle(ordinary, 10.0) == [Publish(), SetBeacon(Beacon.LIGHT)]
    for now_s in range(11, 200):
        for one in (made, plain):
            run_until(one, float(now_s), 0.0)
        begun = opened(made)
        asks_until_s = begun.opened_s + 60.0
        assert (begun.maybe_test_due_s is not None) == (now_s < asks_until_s)
        same = {"id": "", "timeline": (), "revision": 0, "maybe_test_due_s": None}
        assert begun.model_copy(update=same) == opened(plain).model_copy(update=same)
    assert (begun.id, begun.drill, begun.timeline[1].what, begun.timeline[1].who) == (
        "drill-2",
        False,
        "test_asked",
        "Sam",
    )


def test_yes_makes_it_the_drill_which_is_proven_once_by_the_first_human_answer_and_soon_over() -> None:
    made = machine()
    made.handle(PRESSED, 10.0)
    assert made.snapshot(opened(made), UNIT, 10.0, datetime.now(UTC)).maybe_test
    assert made.handle(ev.TestTouched(), 11.0) == [Publish()], "light and asking stay as they are"
    open_ = opened(made)
    assert (open_.id, open_.drill, open_.scenario, open_.opened_s) == ("drill-2", True, OPENING, 8.0)
    assert not made.snapshot(open_, UNIT, 11.0, datetime.now(UTC)).maybe_test
    assert made.handle(ev.ResponderSeen(SAM, reply_id()), 11.0) == [Publish()], "a device is no human"
    assert made.handle(coming(eta_s=300), 12.0)[:2] == [Proven(), Publish()]
    assert Proven() not in made.handle(coming(PRIYA, 300), 13.0)
    assert ended_s(made, 2000.0) == 132.0


def test_who_answered_before_yes_was_touched_has_proven_it_at_that_touch() -> None:
    made = machine()
    made.handle(PRESSED, 0.0)
    assert Proven() not in made.handle(coming(eta_s=20), 5.0)
    assert made.handle(ev.TestTouched(), 10.0) == [Proven(), Publish()]
    assert (made.state, opened(made).coming[0].responder) == (State.COMING, SAM)
    assert ended_s(made, 2000.0) == 55.0, "and before Sam would be late"


@pytest.mark.parametrize(
    "before",
    [
        *CALLS_IN_A_DRILL,
        ev.ChoiceTouched(Choice.CHEST_PAIN),
        ev.NameGiven("Ana"),
        ev.FineTouched(),
        ev.StillOkTouched(),
        ev.LaterTouched(),
        ev.ResponderHere(SAM, "reply-here"),
        ev.ResponderClosed(SAM, "reply-closed", Outcome.TEST),
    ],
)
def test_whatever_else_was_told_first_keeps_it_real(before: ev.Event) -> None:
    made = machine()
    made.handle(PRESSED, 0.0)
    made.handle(before, 1.0)
    made.handle(ev.TestTouched(), 2.0)
    kept = made.incident or made.last
    assert kept is not None
    assert (kept.id, kept.drill, kept.maybe_test_due_s) == ("drill-2", False, None)


@pytest.mark.parametrize("between", [ev.LanguageChosen(Language.FRENCH), ev.ResponderSeen(SAM, "reply-seen"), DRILL])
def test_what_tells_nothing_of_the_person_leaves_the_question(between: ev.Event) -> None:
    made = machine()
    made.handle(PRESSED, 0.0)
    made.handle(between, 1.0)
    made.handle(ev.TestTouched(), 57.9)
    assert opened(made).drill


def test_after_a_minute_nobody_makes_a_drill_of_it() -> None:
    made = machine()
    made.handle(PRESSED, 10.0)
    made.handle(ev.TestTouched(), 68.0)
    assert not opened(made).drill


def test_the_question_survives_a_power_cut_with_what_is_left_of_its_minute() -> None:
    for away_s, drill in ((10.0, True), (70.0, False)):
        made = machine()
        made.handle(PRESSED, 1000.0)
        kept = Incident.model_validate_json(opened(made).model_dump_json()).shifted(-990.0 - away_s)
        resumed = IncidentMachine(RULES, reply_id, kept)
        resumed.handle(ev.TestTouched(), 10.0)
        assert not opened(resumed).drill, "who is told that nobody can be reached is not asked"
        resumed.handle(ev.ReachChanged(Reach.OK, ALL), 10.0)
        resumed.handle(ev.TestTouched(), 10.0)
        assert opened(resumed).drill is drill


def test_what_the_broker_gives_back_is_no_test() -> None:
    """Of a call that its unit lost nobody at the desk can tell any more what it was."""
    made = machine()
    made.handle(PRESSED, 0.0)
    lost = made.snapshot(opened(made), UNIT, 5.0, datetime.now(UTC))
    again = machine()
    again.handle(ev.FoundOpen(lost), 10.0)
    again.handle(ev.TestTouched(), 11.0)
    assert not opened(again).drill


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("call", [PRESSED, HELP_TOUCHED])
def test_a_press_in_an_open_incident_is_no_opening_press(state: State, call: ev.Event) -> None:
    made = brought_to(state)
    made.handle(call, 2.0)
    made.handle(ev.TestTouched(), 3.0)
    assert (opened(made).drill, opened(made).maybe_test_due_s) == (False, None)


def test_who_is_here_ends_the_opening_press_in_twenty_seconds() -> None:
    made = opening_drill()
    assert Proven() in made.handle(ev.ResponderHere(SAM, reply_id()), 5.0)
    assert ended_s(made, 2000.0) == 25.0


def test_nobody_is_called_late_at_an_opening_press() -> None:
    made = opening_drill()
    made.handle(coming(eta_s=20), 5.0)
    assert ended_s(made, 2000.0) == 55.0
    assert "late" not in whats(made.last)


def test_an_unanswered_opening_press_proves_nothing() -> None:
    made = opening_drill()
    out = [effect for _, effect in run_until(made, 2000.0, 1.0)]
    assert made.state is State.IDLE
    assert Proven() not in out


def test_who_touched_yes_by_mistake_and_then_what_is_happening_is_heard() -> None:
    made = opening_drill()
    made.handle(ev.ChoiceTouched(Choice.CHEST_PAIN), 3.0)
    assert (opened(made).drill, opened(made).choice, opened(made).severity) == (
        False,
        Choice.CHEST_PAIN,
        Severity.GRAVE,
    )
    run_until(made, 5000.0, 3.0)
    assert made.state is State.RAISED


@pytest.mark.parametrize(
    "answer", [ev.ResponderComing(SAM, "reply-coming", 300.0), ev.ResponderHere(SAM, "reply-here")]
)
@pytest.mark.parametrize("call", [*CALLS_IN_A_DRILL, ev.ChoiceTouched(Choice.CHEST_PAIN)])
def test_who_answered_the_opening_press_walks_to_no_real_call_and_everybody_is_asked_anew(
    call: ev.Event, answer: ev.Event
) -> None:
    made = opening_drill()
    made.handle(answer, 2.0)
    made.handle(call, 10.0)
    open_ = opened(made)
    assert (open_.drill, open_.state, open_.coming, open_.here) == (False, State.RAISED, (), None)
    run_until(made, 200.0, 10.0)
    assert (opened(made).tier, opened(made).emergency) == (2, True)


def test_an_opening_press_that_became_real_proves_nothing() -> None:
    made = opening_drill()
    made.handle(ev.HelpTouched(), 2.0)
    assert Proven() not in made.handle(coming(), 3.0)


@pytest.mark.parametrize("covert", COVERT_CALLS)
@pytest.mark.parametrize("when", ["before the press", "before yes", "after yes"])
def test_a_covert_call_around_the_opening_press_stays_real_for_staff_and_is_not_seen_at_the_desk(
    covert: ev.Event, when: str
) -> None:
    made, ordinary = machine(), machine()
    if when == "before the press":
        made.handle(covert, 0.0)
    for one in (made, ordinary):
        one.handle(PRESSED, 5.0)
    if when == "before yes":
        made.handle(covert, 6.0)
    for one in (made, ordinary):
        one.handle(ev.TestTouched(), 7.0)
    if when == "after yes":
        made.handle(covert, 8.0)
    assert made.handle(ev.TestTouched(), 8.5) == []
    for now_s in range(9, 190):
        for one in (made, ordinary):
            run_until(one, float(now_s), 0.0)
        assert _bare(seen_at_the_desk(made, now_s)) == _bare(seen_at_the_desk(ordinary, now_s)), now_s
        assert (opened(made).drill, opened(made).covert or opened(made).silent or opened(made).unlit) == (False, True)
    assert ordinary.state is State.IDLE, "the drill is over there, and the call is not"


def test_a_lost_drill_is_a_drill_again_and_still_ends() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    lost = made.snapshot(opened(made), UNIT, 30.0, datetime.now(UTC))
    again = machine()
    again.handle(ev.FoundOpen(lost), 500.0)
    assert (opened(again).drill, opened(again).scenario) == (True, "chest_pain")
    assert run_until(again, 3000.0, 500.0)
    assert again.state is State.IDLE


@pytest.mark.parametrize("after_s", [0.0, 100.0, 5000.0])
def test_a_drill_ends_by_itself_after_a_power_cut_too(after_s: float) -> None:
    made = machine()
    made.handle(DRILL, 1000.0)
    kept = Incident.model_validate_json(opened(made).model_dump_json()).shifted(-990.0 - after_s)
    resumed = IncidentMachine(RULES, reply_id, kept)
    resumed.handle(ev.ReachChanged(Reach.OK, ALL), 10.0)
    run_until(resumed, 1000.0, 10.0)
    assert resumed.state is State.IDLE


def test_what_comes_next_in_a_drill_is_never_after_its_end() -> None:
    made = machine()
    made.handle(DRILL, 0.0)
    made.handle(ev.ResponderHere(SAM, reply_id()), 5.0)
    assert made.snapshot(opened(made), UNIT, 6.0, datetime.now(UTC)).next is None


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_open_incident_is_no_place_for_a_drill(state: State) -> None:
    made = brought_to(state)
    before = made.incident
    assert made.handle(DRILL, 2.0) == []
    assert made.incident == before


# --- who is asked -----------------------------------------------------------------------------------------------------


def test_who_is_on_a_break_is_asked_only_with_everyone() -> None:
    """A break, or being off duty, is the last tier: whatever tiers a unit has, who listens is not left out."""
    rules = EscalationSection(tiers=("the staff", "the manager", "everyone"))
    on_break = Person(id="noor", name="Noor")
    made = machine((ev.Listener(SAM, 1), ev.Listener(ALEX, 2), ev.Listener(on_break, LAST_TIER)), rules)
    made.handle(ev.ButtonPressed(), 0.0)
    asked = {now_s: run_until(made, now_s, 0.0) and made.asked(opened(made)) for now_s in (29.0, 30.0, 60.0)}
    assert asked == {29.0: (SAM,), 30.0: (SAM, ALEX), 60.0: (SAM, ALEX, on_break)}
    alone = machine((ev.Listener(on_break, LAST_TIER),), rules)
    alone.handle(ev.ButtonPressed(), 0.0)
    assert (opened(alone).tier, alone.asked(opened(alone))) == (3, (on_break,))


def test_an_alert_that_is_left_to_who_said_no_waits_on_nobody() -> None:
    made = machine((ev.Listener(SAM, 1), ev.Listener(ALEX, 2)))
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(ev.ResponderDeclined(SAM, reply_id()), 1.0)
    for at_s in (2.0, 4.0, 6.0):  # a device that comes and goes puts nothing off
        made.handle(ev.ReachChanged(Reach.OK, (ev.Listener(SAM, int(at_s)),)), at_s)
    run_until(made, 2.0 + REACH_GRACE_S, 6.0)
    assert opened(made).emergency
    assert opened(made).timeline[-1].what == "nobody_answered"


def test_two_who_answer_at_once_are_both_kept_and_the_first_is_named_first() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    made.handle(coming(PRIYA, 60.0), 5.000)
    made.handle(coming(SAM, 60.0), 5.009)
    shown = made.snapshot(opened(made), UNIT, 6.0, datetime.now(UTC))
    assert [one.responder for one in shown.coming] == [PRIYA, SAM]
    assert shown.coming[0].eta_s < shown.coming[1].eta_s
    assert [(entry.what, entry.who) for entry in shown.timeline if entry.what == "coming"] == [
        ("coming", "Priya"),
        ("coming", "Sam"),
    ]


def test_an_old_reply_that_comes_again_after_a_restart_counts_once() -> None:
    made = machine()
    made.handle(ev.ButtonPressed(), 0.0)
    first = coming(eta_s=60)
    made.handle(first, 1.0)
    run_until(made, 91.0, 1.0)
    resumed = IncidentMachine(RULES, reply_id, Incident.model_validate_json(opened(made).model_dump_json()))
    resumed.handle(ev.ReachChanged(Reach.OK, ALL), 92.0)
    assert resumed.handle(first, 93.0) == []
    assert resumed.state is State.RAISED


CREW = tuple(Person(id=f"p{number}", name=f"P{number}") for number in range(5))
ROSTERS = st.dictionaries(st.sampled_from(CREW), st.integers(1, LAST_TIER), max_size=5)
COMINGS_AND_GOINGS = st.one_of(
    ROSTERS,
    st.just("disconnected"),
    st.builds(ev.ResponderDeclined, st.sampled_from(CREW), st.builds(reply_id)),
    st.builds(ev.ResponderSeen, st.sampled_from(CREW), st.builds(reply_id)),
    st.builds(ev.ResponderComing, st.sampled_from(CREW), st.builds(reply_id), st.floats(10, 100)),
    st.sampled_from([*CALLS_IN_A_DRILL, ev.FineTouched(), ev.ChoiceTouched(Choice.FALL), DRILL]),
    st.floats(0.1, 70.0),
)


def roster(listening: dict[Person, int]) -> ev.ReachChanged:
    listeners = tuple(ev.Listener(person, tier) for person, tier in listening.items())
    return ev.ReachChanged(Reach.OK if listeners else Reach.NOBODY, listeners)


def waits_on_somebody(made: IncidentMachine, now_s: float) -> None:
    """While an alert is RAISED, somebody is asked who has not said no; or the emergency page is up, or within seconds."""
    open_ = made.incident
    if open_ is None:
        assert made.deadline_s is None
        return
    assert made.deadline_s is not None
    if open_.state is not State.RAISED or open_.request:
        return
    said_no = {one.id for one in open_.declined}
    reached = made.reach is Reach.OK and any(one.id not in said_no for one in made.asked(open_))
    soon = open_.unreachable_due_s is not None and open_.unreachable_due_s <= now_s + REACH_GRACE_S
    assert reached or open_.emergency or soon, (now_s, open_)


@given(st.integers(1, 9), ROSTERS, st.lists(COMINGS_AND_GOINGS, max_size=25))
@settings(max_examples=400, deadline=None)
def test_there_is_no_roster_in_which_an_alert_waits_on_nobody(
    tiers: int, first: dict[Person, int], happens: list[typing.Any]
) -> None:
    rules = EscalationSection(tiers=tuple(f"tier {number}" for number in range(tiers)))
    made, now_s = IncidentMachine(rules, reply_id), 0.0
    made.handle(roster(first), now_s)
    made.handle(ev.ButtonPressed(), now_s)
    waits_on_somebody(made, now_s)
    for one in happens:
        end_s = now_s + one if isinstance(one, float) else now_s
        while made.deadline_s is not None and made.deadline_s <= end_s:
            due_s = made.deadline_s
            now_s = max(now_s, due_s)
            made.handle(ev.TimePassed(), now_s)
            assert made.deadline_s is None or made.deadline_s > due_s, "every deadline leads on"
            waits_on_somebody(made, now_s)
        now_s = end_s
        if isinstance(one, dict):
            made.handle(roster(one), now_s)
        elif one == "disconnected":
            made.handle(ev.ReachChanged(Reach.DISCONNECTED), now_s)
        elif not isinstance(one, float):
            made.handle(one, now_s)
        waits_on_somebody(made, now_s)


PEOPLE = st.sampled_from([SAM, PRIYA, ALEX])
SUBSETS = st.sets(st.sampled_from(ALL)).map(tuple)
MAYBE_TESTS = st.builds(ev.TestAsked, st.builds(reply_id), st.just(PRIYA))
CALLED_WITH_A_TEST: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.ButtonPressed, test=MAYBE_TESTS), st.builds(ev.HelpTouched, MAYBE_TESTS)
)
EVENTS: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.ButtonPressed, covert=st.booleans()),
    CALLED_WITH_A_TEST,
    st.sampled_from(
        [
            ev.TestTouched(),
            ev.HelpTouched(),
            ev.PersonTouched(),
            ev.FineTouched(),
            ev.StillOkTouched(),
            ev.WorseTouched(),
            ev.LaterTouched(),
        ]
    ),
    st.builds(ev.DrillStarted, st.builds(reply_id), st.just("chest_pain"), st.just(PRIYA)),
    st.builds(ev.ChoiceTouched, st.sampled_from(Choice)),
    st.builds(ev.NameGiven, st.just("Ana")),
    st.builds(ev.LanguageChosen, st.sampled_from(Language)),
    st.builds(
        ev.PhraseHeard,
        st.sampled_from(["help", "breathe"]),
        st.just(3.0),
        st.booleans(),
        st.booleans(),
        st.none() | st.sampled_from(Choice),
    ),
    st.builds(ev.ReachChanged, st.just(Reach.OK), SUBSETS.filter(bool)),
    st.sampled_from([ev.ReachChanged(Reach.NOBODY), ev.ReachChanged(Reach.DISCONNECTED)]),
)
REPLIES: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.ResponderSeen, PEOPLE, st.builds(reply_id)),
    st.builds(ev.ResponderComing, PEOPLE, st.builds(reply_id), st.floats(10, 1800)),
    st.builds(ev.ResponderHere, PEOPLE, st.builds(reply_id)),
    st.builds(ev.ResponderClosed, PEOPLE, st.builds(reply_id), st.sampled_from(Outcome)),
    st.builds(ev.ResponderDeclined, PEOPLE, st.builds(reply_id)),
)


class Promises(RuleBasedStateMachine):
    """Whatever happens in whatever order, the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.made = IncidentMachine(RULES, reply_id)
        self.now_s = 0.0
        self.revision = 0
        self.id = ""

    def _do(self, event: ev.Event) -> None:
        before = self.made.incident
        effects = self.made.handle(event, self.now_s)
        self._only_a_responder_ends_an_alert(before, event)
        self._silence_never_makes_it_better(before)
        self._beacon_only_for_loud_alerts(effects)
        self._revisions_grow(effects)
        self._only_a_touch_chooses(before, event)
        self._only_a_yes_makes_a_drill(before, event)

    def _only_a_yes_makes_a_drill(self, before: Incident | None, event: ev.Event) -> None:
        """A call becomes a drill by that touch alone, in its minute, and never when somebody called covertly in it."""
        after = self.made.incident
        if after and after.maybe_test_due_s is not None:
            assert after.state in {State.RAISED, State.COMING}
            assert not any((after.drill, after.covert, after.parted, after.choice))
        if before and after and before.id == after.id and after.drill and not before.drill:
            assert isinstance(event, ev.TestTouched)
            assert before.maybe_test_due_s is not None
            assert before.maybe_test_due_s > self.now_s

    def _only_a_touch_chooses(self, before: Incident | None, event: ev.Event) -> None:
        after = self.made.incident
        if before and after and before.id == after.id and after.choice is not before.choice:
            was_request = before.request and not after.request and after.choice is None
            assert was_request or isinstance(event, ev.ChoiceTouched | ev.PersonTouched)
        if before and after and before.id == after.id and before.choice and after.choice and after.guess:
            assert after.guess is before.guess

    def _is_a_drill_over(self, was: Incident | None, event: ev.Event) -> bool:
        """A drill, and only a drill, ends by time alone; as a test, and by nobody."""
        last = self.made.last
        if was is None or last is None or not isinstance(event, ev.TimePassed) or self.made.state is not State.IDLE:
            return False
        assert (was.drill, last.id, last.outcome, last.closed_by) == (True, was.id, Outcome.TEST, None)
        assert last.timeline[-2].what == "drill_over"
        return True

    def _only_a_responder_ends_an_alert(self, was: Incident | None, event: ev.Event) -> None:
        before = was.state if was else State.IDLE
        if self._is_a_drill_over(was, event):
            return
        if before in {State.RAISED, State.COMING} and self.made.state in {State.IDLE, State.ATTENDED}:
            assert isinstance(event, ev.ResponderClosed | ev.ResponderHere)
        if before is State.CHECKING and self.made.state is State.IDLE:
            assert isinstance(event, ev.ResponderClosed | ev.FineTouched)
        if before is State.ATTENDED and self.made.state is State.IDLE:
            assert isinstance(event, ev.ResponderClosed)
        if before is not State.COMING and self.made.state is State.COMING:
            assert isinstance(event, ev.ResponderComing)

    def _silence_never_makes_it_better(self, before: Incident | None) -> None:
        after = self.made.incident
        if before and after and before.id == after.id:
            order = list(Severity)
            assert order.index(after.severity) >= order.index(before.severity)
            assert after.tier >= before.tier

    def _beacon_only_for_loud_alerts(self, effects: list[typing.Any]) -> None:
        open_ = self.made.incident
        for effect in effects:
            if isinstance(effect, SetBeacon) and effect.beacon is not Beacon.OFF:
                assert open_ is not None
                assert not open_.silent
                assert open_.trigger is not Trigger.COVERT
                assert open_.severity is not Severity.CHECK

    def _revisions_grow(self, effects: list[typing.Any]) -> None:
        shown = self.made.incident or self.made.last
        if Publish() in effects:
            assert shown is not None
            assert shown.id != self.id or shown.revision > self.revision
            self.id, self.revision = shown.id, shown.revision

    @rule(event=EVENTS)
    def something_happens(self, event: ev.Event) -> None:
        self._do(event)

    @rule(event=REPLIES)
    def somebody_replies(self, event: ev.Event) -> None:
        self._do(event)

    @rule(step_s=st.floats(0.01, 60))
    def time_passes(self, step_s: float) -> None:
        end_s = self.now_s + step_s
        for _ in range(500):
            due_s = self.made.deadline_s
            if due_s is None or due_s > end_s:
                break
            self.now_s = max(self.now_s, due_s)
            self._do(ev.TimePassed())
        else:
            raise AssertionError("time does not move on")
        self.now_s = end_s

    @rule()
    def killed_and_resumed(self) -> None:
        kept = self.made.incident and Incident.model_validate_json(self.made.incident.model_dump_json())
        reach, listeners, last = self.made.reach, self.made.listeners, self.made.last
        self.made = IncidentMachine(RULES, reply_id, kept)
        self.made.last = last
        self._do(ev.ReachChanged(reach, listeners))

    @invariant()
    def while_somebody_waits_something_is_due(self) -> None:
        due_s = self.made.deadline_s
        assert (due_s is None) == (self.made.incident is None)
        if due_s is not None:
            assert due_s <= self.now_s + 2000

    @invariant()
    def the_snapshot_is_whole_and_claims_nothing_ahead_of_the_facts(self) -> None:
        shown = self.made.incident or self.made.last
        if shown is None:
            return
        snapshot = self.made.snapshot(shown, UNIT, self.now_s, datetime.now(UTC))
        assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
        assert bool(snapshot.coming) == (snapshot.state is State.COMING)
        assert (snapshot.here is not None) == (snapshot.state is State.ATTENDED) or snapshot.state is State.CLOSED
        assert len(shown.timeline) <= TIMELINE_LIMIT
        if snapshot.state is State.CLOSED:
            assert snapshot.choice is None
            assert snapshot.guess is None
            assert snapshot.name is None

    @invariant()
    def nothing_at_the_desk_tells_of_a_covert_call(self) -> None:
        desk = self.made.desk
        if desk is not None:
            assert (desk.covert, desk.silent) == (False, False)
            assert desk.trigger is not Trigger.COVERT
            assert desk.phrase != COVERT_PHRASE
            assert not {"pressed_covert", "no_longer_silent"} & {entry.what for entry in desk.timeline}
            assert self.made.incident is not None
            assert self.made.incident.tier >= desk.tier
            assert self.made.beacon in {Beacon.OFF, IncidentMachine(RULES, reply_id, desk)._wanted_beacon()}

    @invariant()
    def a_request_for_a_person_is_no_alarm(self) -> None:
        open_ = self.made.incident
        if open_ is not None and open_.request:
            assert (open_.severity, open_.trigger, open_.choice) == (Severity.CHECK, Trigger.TOUCH, Choice.PERSON)
            assert not open_.emergency
            assert not open_.silent
            assert self.made.beacon is Beacon.OFF
        elif open_ is not None and open_.state is State.RAISED:
            assert open_.severity is not Severity.CHECK

    @precondition(lambda self: self.made.state in {State.RAISED, State.CHECKING})
    @rule()
    def left_alone_it_ends_with_everybody_asked(self) -> None:
        """Nobody ever answers: within a known time every tier is asked, and an alert is raised with its emergency page up."""
        kept = self.made.incident
        assert kept is not None
        alone = IncidentMachine(RULES, reply_id, Incident.model_validate_json(kept.model_dump_json()))
        alone.handle(ev.ReachChanged(Reach.OK, ALL), self.now_s)
        if kept.drill:
            run_until(alone, self.now_s + DRILL_LIMIT_S, self.now_s)
            assert alone.state is State.IDLE
            return
        run_until(alone, self.now_s + 200.0, self.now_s)
        assert alone.incident is not None
        assert (alone.state, alone.incident.tier, alone.incident.emergency) == (State.RAISED, 2, not kept.request)
        assert alone.deadline_s is not None


Promises.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestPromises = Promises.TestCase


ORDINARY = (EVENTS | REPLIES).filter(lambda event: not getattr(event, "covert", False))
STEPS = st.lists(st.tuples(ORDINARY, st.integers(0, 40)), min_size=1, max_size=12)


FIRST = -1


def shown_over(
    steps: list[tuple[ev.Event, int]], covert: ev.Event | None, at: int
) -> tuple[list[Snapshot | None], int | None]:
    """What the desk shows at each second, and since which of them `covert` is known.

    It comes in the middle of the wait `at`, or before everything.
    """
    made, now_s = IncidentMachine(RULES, lambda: "same"), 0.0
    made.handle(ev.ReachChanged(Reach.OK, ALL), now_s)
    views: list[Snapshot | None] = []
    since: int | None = None
    if covert and at == FIRST:
        assert made.handle(covert, now_s) == [Publish()]
        since = 0
    for number, (event, wait_s) in enumerate(steps):
        made.handle(event, now_s)
        for second in range(wait_s):
            if covert and (number, second) == (at, wait_s // 2) and made.desk is not None:
                assert made.handle(covert, now_s) == [Publish()], "light and siren stay as they are"
                since = len(views)
            views.append(_bare(seen_at_the_desk(made, now_s)))
            if since is not None and made.incident is not None and made.incident.parted:
                assert not made.incident.drill, "for staff a covert call stays real, whatever the desk shows"
            now_s += 1.0
            run_until(made, now_s, now_s)
    return views, since


AFTER_THE_PRESS = st.lists(
    st.tuples(st.one_of(st.just(ev.TestTouched()), REPLIES, ORDINARY), st.integers(0, 40)), max_size=8
)


@given(
    st.tuples(st.sampled_from([PRESSED, HELP_TOUCHED]), st.integers(0, 70)),
    AFTER_THE_PRESS,
    st.sampled_from(COVERT_CALLS),
    st.integers(FIRST, 8),
)
@settings(max_examples=300, deadline=None)
def test_a_covert_call_around_an_opening_press_is_never_seen_at_the_desk(
    press: tuple[ev.Event, int], after: list[tuple[ev.Event, int]], covert: ev.Event, at: int
) -> None:
    """Before the press or after it, before the yes or after it, and whatever else is touched, said or answered."""
    unseen_until_the_page_ends([press, *after], covert, at)


def _bare(view: Snapshot | None) -> Snapshot | None:
    """What is to be seen: an incident that the desk shows nothing of is none; `opened_at` is made of floats."""
    if view is None or view.silent:
        return None
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return view.model_copy(update={"revision": 1, "opened_at": at})


@given(STEPS, st.sampled_from(COVERT_CALLS), st.integers(0, 11))
@settings(max_examples=300, deadline=None)
def test_a_covert_call_in_what_the_desk_shows_is_never_seen_there(
    steps: list[tuple[ev.Event, int]], covert: ev.Event, at: int
) -> None:
    """Whatever is touched, said or answered before and after it."""
    unseen_until_the_page_ends(steps, covert, at)


def unseen_until_the_page_ends(steps: list[tuple[ev.Event, int]], covert: ev.Event, at: int) -> None:
    """It is the same page all the time."""
    (without, _), (with_it, since) = shown_over(steps, None, at), shown_over(steps, covert, at)
    ended = (
        len(without) if since is None else without.index(None, since) + 1 if None in without[since:] else len(without)
    )
    assert with_it[:ended] == without[:ended]


@given(st.lists(EVENTS | REPLIES, max_size=30))
@settings(max_examples=100)
def test_two_machines_told_the_same_are_the_same(told: list[ev.Event]) -> None:
    one, two = (IncidentMachine(RULES, lambda: "same") for _ in range(2))
    for number, event in enumerate(told):
        assert one.handle(event, float(number)) == two.handle(event, float(number))
    assert one.incident == two.incident


def test_every_code_of_the_timeline_is_documented() -> None:
    root = Path(__file__).parent.parent
    source = (root / "kiosk" / "incident.py").read_text()
    codes = set(re.findall(r'(?:_note|_emergency)\(\s*"([a-z_]+)"', source))
    codes |= set(re.findall(r'"([a-z_]+)" if ', source)) | set(re.findall(r'(?: else |return )"([a-z_]+)"', source))
    text = (root / "docs" / "architecture.md").read_text()
    listed = re.split(r"[,\s]+", text.split("Codes of the timeline")[1].split(":", 1)[1].split(".", 1)[0].strip())
    assert codes - {"raise", "ask_next_tier", "emergency_page"} == set(listed)
