"""What board and pager know and say: the model, the answers under way, the words. Pure: no clock, no broker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.board.model import ANSWERED_KEPT_S, LOST_S, Model
from kiosk.board.replies import GIVE_UP_S, HOLD_S, LATE_S, RESEND_S, Answers, Delivery
from kiosk.board.view import CHOICES, GUESSES, HEADS, LANGUAGES, View, buttons_of, clock, make_view, sound_of
from kiosk.messages import (
    COVERT_PHRASE,
    PRESENCE_FRESH_S,
    PRESENCE_KEPT_S,
    CallNextReply,
    Choice,
    CloseReply,
    ComingReply,
    Duty,
    Entry,
    Face,
    Fault,
    Going,
    HereReply,
    Language,
    NextStep,
    Outcome,
    Person,
    Presence,
    Reach,
    Reply,
    SeenReply,
    Severity,
    Snapshot,
    State,
    Status,
    Trigger,
    UnitState,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRIYA, SAM = Person(id="priya", name="Priya"), Person(id="sam", name="Sam")
OPEN = [state for state in State if state not in {State.IDLE, State.CLOSED}]


def snapshot(**facts: Any) -> Snapshot:
    base: dict[str, Any] = {
        "store": "harbour", "unit": "desk-3", "place": "Service desk 3", "id": "one", "revision": 1,
        "state": State.RAISED, "severity": Severity.ALERT, "trigger": Trigger.BUTTON, "tier": 1,
        "tiers": ("the staff", "the manager"), "asked": (PRIYA, SAM), "reach": Reach.OK, "opened_at": NOON, "elapsed_s": 0.0,
    }  # fmt: skip
    return Snapshot(**{**base, **facts})


def take(model: Model, one: Snapshot, now_s: float = 0.0, *, utc: datetime = NOON, retained: bool = False) -> bool:
    return model.take_snapshot(one, now_s=now_s, utc=utc, retained=retained)


def view_of(*snapshots: Snapshot, now_s: float = 0.0, answers: Answers | None = None) -> View:
    model = Model()
    for one in snapshots:
        take(model, one)
    return make_view(model, answers or Answers(), "priya", "Priya", now_s, down="")


def status(**facts: Any) -> Status:
    base: dict[str, Any] = {"store": "harbour", "unit": "desk-3", "place": "Service desk 3", "state": UnitState.READY}
    return Status(**{**base, **facts})


# --- incidents --------------------------------------------------------------------------------------------------------

REVISIONS = st.lists(st.integers(1, 8), min_size=1, max_size=20)


@given(REVISIONS)
def test_of_one_incident_the_highest_revision_wins_in_whatever_order(revisions: list[int]) -> None:
    model = Model()
    for revision in revisions:
        take(model, snapshot(revision=revision, place=f"said at {revision}"))
    (shown,) = model.open_incidents()
    assert shown.snapshot.place == f"said at {max(revisions)}"


@given(st.permutations([1, 2, 3, 4]), st.lists(st.integers(1, 4)))
def test_a_closed_incident_never_comes_back(order: list[int], again: list[int]) -> None:
    model = Model()
    for revision in [*order, *again]:
        take(model, snapshot(revision=revision, state=State.CLOSED if revision == 4 else State.RAISED))
    assert model.open_incidents() == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(list(Severity)), st.floats(0, 900)), max_size=9
    )
)
def test_the_gravest_stands_first_then_the_oldest(units: list[tuple[str, Severity, float]]) -> None:
    model = Model()
    for number, (unit, severity, elapsed_s) in enumerate(units):
        take(model, snapshot(unit=unit, id=str(number), severity=severity, elapsed_s=elapsed_s))
    shown = [(HEADS[one.snapshot.severity], one.opened_s) for one in model.open_incidents()]
    order = [HEADS[one] for one in (Severity.GRAVE, Severity.ALERT, Severity.CHECK)]
    assert shown == sorted(shown, key=lambda one: (order.index(one[0]), one[1]))
    assert len(shown) == len({unit for unit, _, _ in units})


def test_a_new_incident_takes_the_place_of_the_old_one_and_old_news_of_it_does_not_return() -> None:
    model = Model()
    take(model, snapshot(revision=5))
    assert take(model, snapshot(id="two"))
    assert not take(model, snapshot(revision=5))
    assert [one.snapshot.id for one in model.open_incidents()] == ["two"]


def test_a_retained_snapshot_has_slept_and_its_times_went_on() -> None:
    model = Model()
    slept = snapshot(elapsed_s=10, coming=(Going(responder=SAM, eta_s=60),))
    take(model, slept, 100.0, utc=NOON + timedelta(seconds=40), retained=True)
    (one,) = model.open_incidents()
    assert one.elapsed_s(100.0) == pytest.approx(40)
    assert one.left_s(60, 100.0) == pytest.approx(30)


@pytest.mark.parametrize("skew", [timedelta(days=-400), timedelta(hours=-2), timedelta(days=3)])
def test_a_clock_that_is_wrong_by_hours_changes_nothing(skew: timedelta) -> None:
    model = Model()
    take(model, snapshot(elapsed_s=10), 100.0, utc=NOON + skew, retained=True)
    assert model.open_incidents()[0].elapsed_s(105.0) == pytest.approx(15)


def test_an_alert_of_the_day_before_yesterday_claims_no_age_that_nobody_knows() -> None:
    model = Model()
    take(model, snapshot(elapsed_s=41), utc=NOON + timedelta(days=2), retained=True)
    (alert,) = make_view(model, Answers(), "priya", "Priya", 0.0, down="").alerts
    assert alert.clock == "0:41 or more"
    take(model, snapshot(elapsed_s=50), utc=NOON + timedelta(days=2))  # the unit lives, and says it itself
    (alert,) = make_view(model, Answers(), "priya", "Priya", 0.0, down="").alerts
    assert alert.clock == "0:50"


# --- desks ------------------------------------------------------------------------------------------------------------


def lost(model: Model, now_s: float) -> bool:
    desk = model.desk("desk-3")
    return desk is not None and desk.lost(now_s)


def test_a_desk_without_a_new_beat_is_lost_and_a_new_beat_brings_it_back() -> None:
    model = Model()
    model.take_status(status(beat=1), 0.0)
    model.take_status(status(beat=1), LOST_S)  # the same beat again proves nothing
    assert not lost(model, LOST_S)
    assert lost(model, LOST_S + 0.1)
    model.take_status(status(beat=2), LOST_S + 1)
    assert not lost(model, LOST_S + 2)
    model.take_status(status(state=UnitState.LOST, beat=3), LOST_S + 3)
    assert lost(model, LOST_S + 3)


@pytest.mark.parametrize("cleared", [False, True])
def test_an_answered_alert_of_a_desk_that_is_gone_for_good_ends_and_one_without_an_answer_stays(cleared: bool) -> None:
    model = Model()
    take(model, snapshot(unit="gone", id="answered", state=State.ATTENDED, here=PRIYA))
    take(model, snapshot(unit="gone-too", id="waits"))
    take(model, snapshot(unit="lives", id="long", state=State.ATTENDED, here=PRIYA))
    model.take_status(status(unit="gone", state=UnitState.LOST), 0.0)
    model.take_status(status(unit="lives", beat=1), ANSWERED_KEPT_S)
    assert model.end_orphans(ANSWERED_KEPT_S) == []
    if cleared:
        model.forget_incident("gone")
    assert [one.snapshot.id for one in model.end_orphans(ANSWERED_KEPT_S + 1.0)] == ["answered"] * (not cleared)
    assert {one.snapshot.id for one in model.open_incidents()} == {"waits", "long"}
    assert take(model, snapshot(unit="gone", id="answered", revision=2, state=State.ATTENDED, here=PRIYA))


def test_after_a_break_of_ours_each_desk_gets_its_time_anew() -> None:
    model = Model()
    model.take_status(status(beat=1), 0.0)
    model.heard_again(50.0)
    assert not lost(model, 50.0 + LOST_S)


def test_the_footer_counts_desks_and_says_each_fault_with_what_to_do() -> None:
    model = Model()
    fault = Fault(code="button-loop", where="panic button", says="the cable is cut", do="Check the plug.")
    model.take_status(status(unit="a", place="Desk A"), 30.0)
    model.take_status(status(unit="b", place="Desk B", state=UnitState.FAULT, faults=(fault,)), 30.0)
    model.take_status(status(unit="c", place="Desk C"), 0.0)
    view = make_view(model, Answers(), "priya", "Priya", 31.0, down="")
    assert view.desks == "1 of 3 desks ready · 2 not right"
    assert [one.what for one in view.faults] == ["Desk B: The button may not work.", "Desk C: It does not report."]
    assert view.faults[0].do == "Use the touch screen there. Tell a manager."
    assert view.faults[0].more == ("panic button: the cable is cut; Check the plug. (button-loop)",)


def test_when_we_are_deaf_we_say_so_and_nothing_of_the_desks() -> None:
    model = Model()
    model.take_status(status(), 0.0)
    view = make_view(model, Answers(), "priya", "Priya", 1.0, down="the broker is away")
    assert (view.connected, view.headline, view.title) == (False, "NOT CONNECTED", "NOT CONNECTED · Stayby")
    assert view.desks == "The desks are unknown while not connected."


def test_what_only_says_that_a_desk_lives_changes_nothing_that_is_shown() -> None:
    model = Model()
    model.take_status(status(beat=1), 0.0)
    take(model, snapshot(), 0.0)
    model.take_presence(Presence(responder="sam", device="board-1", name="Sam", tier=1, listening=True), 0.0)
    before = model.changes
    model.take_status(status(beat=2), 5.0)
    take(model, snapshot(), 5.0)
    model.take_presence(Presence(responder="sam", device="board-1", name="Sam", tier=1, listening=True), 0.0)
    assert model.changes == before
    for change in (
        lambda: model.take_status(status(beat=3, opening=True), 6.0),
        lambda: model.take_status(status(beat=4, opening=True), 6.0 + LOST_S + 1),  # it was lost
        lambda: take(model, snapshot(revision=2), 7.0),
        lambda: model.take_presence(
            Presence(responder="sam", device="board-1", name="Sam", tier=1, listening=False), 0.0
        ),
        lambda: model.forget_desk("desk-3"),
        lambda: model.heard_again(8.0),
    ):
        before = model.changes
        change()
        assert model.changes > before


def test_the_headline_names_who_else_listens() -> None:
    model = Model()
    for one in (PRIYA, SAM):
        model.take_presence(Presence(responder=one.id, device="phone", name=one.name, tier=1, listening=True), 0.0)
    assert make_view(model, Answers(), "priya", "Priya", 0, down="").headline == "Connected · Priya and Sam listen"
    model.take_presence(Presence(responder="sam", device="phone", name="Sam", tier=1, listening=False), 0.0)
    assert make_view(model, Answers(), "priya", "Priya", 0, down="").headline == "Connected · only Priya listens"


@pytest.mark.parametrize(("retained", "after_s"), [(False, PRESENCE_FRESH_S), (True, PRESENCE_KEPT_S)])
def test_a_device_that_died_with_its_broker_is_not_said_to_listen_for_long(*, retained: bool, after_s: float) -> None:
    model = Model()
    here = Presence(responder="sam", device="phone", name="Sam", tier=1, listening=True)
    model.take_presence(here, 100.0, retained=retained)
    assert model.listeners(100.0 + after_s) == [here]
    assert model.listeners(100.1 + after_s) == []


# --- answers ----------------------------------------------------------------------------------------------------------

BASE = {"reply_id": "12345678", "incident": "one", "responder": "priya"}
REPLIES: list[tuple[Reply, dict[str, Any]]] = [
    (SeenReply(**BASE), {"seen": (PRIYA,)}),
    (ComingReply(**BASE, eta_s=60), {"state": State.COMING, "coming": (Going(responder=PRIYA, eta_s=58),)}),
    (HereReply(**BASE), {"state": State.ATTENDED, "here": PRIYA}),
    (CloseReply(**BASE, outcome=Outcome.REAL), {"state": State.CLOSED}),
    (CallNextReply(**BASE), {"declined": (PRIYA,)}),
]


@pytest.mark.parametrize(("reply", "shown"), REPLIES, ids=lambda one: getattr(one, "kind", ""))
def test_an_answer_is_sent_again_until_the_snapshot_shows_it(reply: Reply, shown: dict[str, Any]) -> None:
    answers = Answers()
    answers.add(reply, "desk-3", 0.0)
    assert [one.reply for one in answers.due(0.0)] == [reply]
    assert answers.due(RESEND_S - 0.1) == []
    answers.take_snapshot(snapshot(revision=2), 1.0)
    assert [one.reply for one in answers.due(RESEND_S)] == [reply]
    answers.take_snapshot(snapshot(revision=3, **shown), 3.0)
    assert answers.due(60.0) == []
    assert answers.delivery("one", 60.0) is Delivery.NONE


def test_an_answer_is_late_then_given_up_and_that_stays_to_be_seen_until_the_next() -> None:
    answers = Answers()
    answers.add(HereReply(**BASE), "desk-3", 0.0)
    assert answers.delivery("one", LATE_S - 0.1) is Delivery.SENDING
    assert answers.delivery("one", LATE_S) is Delivery.LATE
    assert answers.due(GIVE_UP_S + 1) == []
    assert answers.delivery("one", GIVE_UP_S + 1) is Delivery.FAILED
    answers.add(HereReply(**BASE), "desk-3", GIVE_UP_S + 2)
    assert answers.delivery("one", GIVE_UP_S + 2) is Delivery.SENDING


def test_a_newer_answer_replaces_the_one_before_and_an_older_eta_does_not_count_for_it() -> None:
    answers = Answers()
    answers.add(ComingReply(**BASE, eta_s=60), "desk-3", 0.0)
    answers.add(ComingReply(**BASE, eta_s=300), "desk-3", 1.0)
    answers.take_snapshot(snapshot(state=State.COMING, coming=(Going(responder=PRIYA, eta_s=58),)), 2.0)
    assert answers.delivery("one", 2.0) is Delivery.SENDING
    answers.take_snapshot(snapshot(revision=2, state=State.COMING, coming=(Going(responder=PRIYA, eta_s=299),)), 2.0)
    assert answers.delivery("one", 2.0) is Delivery.NONE


@pytest.mark.parametrize("after", [{"state": State.CLOSED}, {"id": "two"}])
def test_nothing_is_sent_to_what_is_over(after: dict[str, Any]) -> None:
    answers = Answers()
    answers.add(SeenReply(**BASE), "desk-3", 0.0)
    answers.add(CallNextReply(**BASE), "desk-3", 0.0)
    answers.take_snapshot(snapshot(unit="returns", id="other"), 1.0)
    assert len(answers.due(1.0)) == 2
    answers.take_snapshot(snapshot(revision=2, **after), 2.0)
    assert answers.due(1e6) == []


CLOSE = CloseReply(**BASE, outcome=Outcome.REAL)
CALLED_AGAIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"state": State.ATTENDED, "here": PRIYA}, {"state": State.RAISED}),
    ({"state": State.CHECKING}, {"state": State.RAISED, "timeline": (Entry(t_s=9, what="pressed"),)}),
    ({"state": State.CHECKING}, {"state": State.RAISED, "timeline": (Entry(t_s=9, what="heard"),)}),
    ({"state": State.CHECKING}, {"state": State.RAISED, "timeline": (Entry(t_s=9, what="told_choice"),)}),
    (
        {"state": State.ATTENDED, "here": PRIYA},
        {"state": State.ATTENDED, "here": PRIYA, "timeline": (Entry(t_s=9, what="told_person"),)},
    ),
    (
        {"state": State.COMING, "drill": True},
        {"state": State.COMING, "timeline": (Entry(t_s=9, what="drill_became_real"),)},
    ),
]
NOT_CALLED_AGAIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"state": State.ATTENDED, "here": PRIYA},
        {"state": State.ATTENDED, "here": PRIYA, "timeline": (Entry(t_s=9, what="heard"),)},
    ),
    ({"drill": True}, {"drill": True, "timeline": (Entry(t_s=9, what="told_choice"),)}),
]


def test_a_close_waits_goes_out_by_itself_and_can_be_taken_back_until_then() -> None:
    answers = Answers()
    answers.add(CLOSE, "desk-3", 0.0, hold_s=HOLD_S, to=snapshot())
    assert answers.due(HOLD_S - 0.1, everything=True) == []
    assert answers.delivery("one", HOLD_S - 0.1) is Delivery.HELD
    assert answers.under_way()
    assert [one.reply for one in answers.due(HOLD_S)] == [CLOSE]
    assert not answers.take_back("one", HOLD_S)
    answers.add(CLOSE, "desk-3", 0.0, hold_s=HOLD_S, to=snapshot())
    answers.hold_no_more(1.0)
    assert [one.reply for one in answers.due(1.0)] == [CLOSE]
    answers.add(CLOSE, "desk-3", 0.0, hold_s=HOLD_S, to=snapshot())
    assert answers.take_back("one", HOLD_S - 0.1)
    assert answers.due(HOLD_S) == []


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize(("before", "after"), CALLED_AGAIN)
def test_a_close_is_dropped_when_somebody_calls_again(
    before: dict[str, Any], after: dict[str, Any], *, sent: bool
) -> None:
    answers = Answers()
    answers.add(CLOSE, "desk-3", 0.0, hold_s=0.0 if sent else HOLD_S, to=snapshot(**before))
    answers.due(0.0)
    answers.take_snapshot(snapshot(revision=2, **before), 1.0)
    assert answers.under_way()
    answers.take_snapshot(snapshot(revision=3, **after), 1.0)
    assert answers.due(HOLD_S) == []
    assert answers.delivery("one", HOLD_S) is Delivery.AGAIN


@pytest.mark.parametrize(("before", "after"), NOT_CALLED_AGAIN)
def test_talk_with_a_responder_and_the_play_of_a_drill_drop_no_close(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    answers = Answers()
    answers.add(CLOSE, "desk-3", 0.0, to=snapshot(**before))
    answers.take_snapshot(snapshot(revision=2, **after), 1.0)
    assert answers.under_way()


def test_a_check_that_became_an_alert_by_time_alone_is_still_closed_by_who_looked() -> None:
    answers = Answers()
    answers.add(CLOSE, "desk-3", 0.0, hold_s=HOLD_S, to=snapshot(state=State.CHECKING))
    answers.take_snapshot(snapshot(revision=2, timeline=(Entry(t_s=9, what="raised"),)), 1.0)
    assert [one.reply for one in answers.due(HOLD_S)] == [CLOSE]


def test_a_card_that_is_closing_says_so_and_offers_to_undo_it() -> None:
    answers = Answers()
    at_desk = snapshot(state=State.ATTENDED, here=PRIYA)
    answers.add(CLOSE, "desk-3", 0.0, hold_s=HOLD_S, to=at_desk)
    (shown,) = view_of(at_desk, answers=answers).alerts
    assert (shown.closing, shown.note, shown.ask_note) == ("Closing as real.", "Closing as real in 5 s.", "")
    assert [one.kind for one in shown.buttons] == ["undo"]


def test_a_link_that_came_back_sends_everything_at_once() -> None:
    answers = Answers()
    answers.add(HereReply(**BASE), "desk-3", 0.0)
    answers.due(0.0)
    assert len(answers.due(0.1, everything=True)) == 1


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_every_incident_has_words_and_a_way_to_answer(state: State, severity: Severity, trigger: Trigger) -> None:
    (alert,) = view_of(snapshot(state=state, severity=severity, trigger=trigger)).alerts
    assert alert.head
    assert alert.lines
    assert alert.who
    keys = [button.key for button in alert.buttons]
    assert len(keys) == len(set(keys)) >= 3


def test_what_a_person_told_once_is_all_there() -> None:
    told = snapshot(
        trigger=Trigger.VOICE, phrase="call_an_ambulance", choice=Choice.CHEST_OR_BREATHING, name="Ana", says_fine=True,
        check_ins_missed=2, seen=(SAM, PRIYA), next=NextStep(what="ask_next_tier", in_s=12),
    )  # fmt: skip
    (alert,) = view_of(told, now_s=2.0).alerts
    assert alert.lines == (
        "Heard “call an ambulance”.",
        "Touched: chest or breathing.",
        "First name: Ana.",
        "Touched “I’m fine now”. Please look anyway.",
        "Did not answer “Are you still OK?” (2×).",
    )
    assert alert.who == ("Nobody is going yet.", "Has it on screen: you, Sam.")
    assert alert.next == "No answer in 0:10: the desk asks the manager too."
    assert alert.clock == "0:02"


def test_what_comes_next_is_not_said_once_it_is_so() -> None:
    step = NextStep(what="emergency_page", in_s=20)
    (alert,) = view_of(snapshot(next=step)).alerts
    assert alert.next == "No answer in 0:20: the desk shows the emergency number."
    (alert,) = view_of(snapshot(next=step, emergency=True)).alerts
    assert "The desk shows the emergency number." in alert.who
    assert alert.next == ""


def test_what_a_phrase_suggests_is_said_until_the_person_touches() -> None:
    heard = {"trigger": Trigger.VOICE, "phrase": "breathe", "guess": Choice.CHEST_OR_BREATHING}
    (alert,) = view_of(snapshot(**heard)).alerts
    assert alert.lines == ("Heard “I can’t breathe”.", "It may be: chest or breathing.")
    (alert,) = view_of(snapshot(**heard, choice=Choice.SOMEONE_HURT)).alerts
    assert alert.lines == ("Heard “I can’t breathe”.", "Touched: someone is hurt.")


@pytest.mark.parametrize("choice", list(Choice))
def test_every_case_has_words_for_what_was_touched_and_for_what_it_may_be(choice: Choice) -> None:
    (touched,) = view_of(snapshot(choice=choice)).alerts
    assert touched.lines[1].startswith("Touched: ")
    (heard,) = view_of(snapshot(trigger=Trigger.VOICE, phrase="help", guess=choice)).alerts
    assert heard.lines[1].startswith("It may be: ")
    assert heard.lines[1].endswith("The screen does not show it.") == (choice in {Choice.NOT_SAFE, Choice.ROBBERY})


@pytest.mark.parametrize(
    ("choice", "touched", "guess"),
    [
        (Choice.CHEST_PAIN, "Touched: chest pain.", "It may be: chest pain."),
        (Choice.BREATHING, "Touched: I cannot breathe.", "It may be: hard to breathe."),
        (Choice.STROKE, "Touched: face, arm, speech (signs of a stroke).", "It may be: signs of a stroke."),
        (Choice.FALL, "Touched: a fall.", "It may be: a fall."),
        (Choice.PERSON, "Touched: I need a person.", "It may be: they need a person."),
    ],
)
def test_the_words_of_some_cases(choice: Choice, touched: str, guess: str) -> None:
    assert (CHOICES[choice], GUESSES[choice]) == (touched, guess)


REQUEST: dict[str, Any] = {"trigger": Trigger.TOUCH, "severity": Severity.CHECK, "choice": Choice.PERSON}


def test_a_request_for_a_person_is_shown_low() -> None:
    view = view_of(snapshot(**REQUEST, name="Ana"))
    (alert,) = view.alerts
    assert (alert.head, alert.tone, alert.sound) == ("PLEASE COME", "check", "check")
    assert alert.lines == (
        "A person at Service desk 3 would like somebody to come. No alarm.",
        "First name: Ana.",
    )
    assert view.title == "(1) PLEASE COME · Service desk 3"


def test_a_request_that_became_more_says_so() -> None:
    told = (Entry(t_s=0, what="opened", who="touch"), Entry(t_s=0, what="told_person"))
    more = snapshot(**{**REQUEST, "severity": Severity.ALERT, "choice": Choice.LOST_CHILD}, timeline=told)
    (alert,) = view_of(more).alerts
    assert alert.head == "HELP NOW"
    assert alert.lines == ("Asked for a person first. It is more than that now.", "Touched: a lost child.")


def test_a_request_in_a_covert_call_tells_staff_what_the_desk_shows() -> None:
    (alert,) = view_of(snapshot(trigger=Trigger.COVERT, covert=True, choice=Choice.PERSON)).alerts
    assert alert.lines[1] == "The desk shows it as a request for a person. Say nothing there of the covert call."


def test_the_language_of_the_screen_is_said_where_it_is_not_the_boards() -> None:
    (alert,) = view_of(snapshot(language=Language.SPANISH)).alerts
    assert "Screen speaks: Español (Spanish)." in alert.lines
    (alert,) = view_of(snapshot()).alerts
    assert not [line for line in alert.lines if "Screen speaks" in line]
    (alert,) = view_of(snapshot(home_language=Language.FRENCH)).alerts
    assert "Screen speaks: English (English)." in alert.lines
    (alert,) = view_of(snapshot(home_language=Language.FRENCH, language=Language.FRENCH)).alerts
    assert not [line for line in alert.lines if "Screen speaks" in line]
    assert set(LANGUAGES) == set(Language)


def test_marks_say_what_nobody_may_overlook() -> None:
    def marks(**facts: Any) -> tuple[str, ...]:
        return view_of(snapshot(**facts)).alerts[0].marks

    assert marks() == ()
    assert marks(silent=True) == ("SILENT: go quietly. Show nothing at the desk.",)
    assert marks(drill=True, scenario="heart")[0].startswith("This is a drill.")
    asked = (Entry(t_s=0, what="test_asked", who="Sam"),)
    assert marks(maybe_test=True, timeline=asked) == (
        "Maybe the morning’s test: Sam asked for it just before. Until the desk says so, it is real.",
    )
    assert marks(maybe_test=False, timeline=asked) == ()
    (opening,) = marks(drill=True, scenario="opening")
    assert opening.startswith("The morning’s press of the button. If none of you pressed it, go and look.")


def test_a_crowd_is_counted_in_words_and_nobody_is_left_out_of_it() -> None:
    def crowd(number: int, going: int) -> View:
        coming = {"state": State.COMING, "coming": (Going(responder=SAM, eta_s=60),)}
        return view_of(
            *(snapshot(unit=f"u{one}", id=str(one), **(coming if one < going else {})) for one in range(number))
        )

    assert crowd(8, 0).crowd == ""
    assert crowd(200, 50).crowd == "200 alerts are open. 150 have nobody on the way yet."
    assert len(crowd(200, 50).alerts) == 200
    assert crowd(9, 9).crowd == "9 alerts are open. All have somebody."


def test_the_number_is_there_without_any_card_and_a_will_takes_no_address_away() -> None:
    model = Model()
    take(model, snapshot())
    face = Face(store="harbour", unit="desk-3", place="x", address="12 Quay Street", emergency_number="112")
    model.take_status(status(face=face), 0.0)
    model.take_status(status(state=UnitState.LOST, beat=2), 1.0)
    (alert,) = make_view(model, Answers(), "priya", "Priya", 2.0, down="").alerts
    assert alert.call == ("Call 112.", "Say where: 12 Quay Street, Service desk 3")
    take(model, snapshot(revision=2, drill=True))
    (alert,) = make_view(model, Answers(), "priya", "Priya", 2.0, down="").alerts
    assert alert.call[0] == "DRILL: do not call 112."


@pytest.mark.parametrize(
    ("facts", "card"),
    [
        ({}, "Need an ambulance"),
        ({"silent": True}, "Need the police"),
        ({"choice": Choice.ROBBERY}, "Need the police"),
        ({"silent": True, "drill": True}, "Ambulance card (drill)"),
    ],
)
def test_the_card_is_named_for_whom_it_calls(facts: dict[str, Any], card: str) -> None:
    assert view_of(snapshot(**facts)).alerts[0].card == card


def test_who_is_on_break_reads_so_and_many_colleagues_are_counted() -> None:
    model = Model()
    for name in ("Ann", "Bo", "Cem", "Dev", "Eve", "Fay"):
        model.take_presence(Presence(responder=name.lower(), device="phone", name=name, tier=1, listening=True), 0.0)
    view = make_view(model, Answers(), "priya", "Priya", 0.0, down="", duty=Duty.BREAK)
    assert view.headline == "Connected · Priya, Ann, Bo, Cem, Dev and 2 more listen · you are on break: asked last"


def test_a_desk_that_waits_for_its_morning_press_is_named() -> None:
    model = Model()
    model.take_status(status(opening=True), 0.0)
    view = make_view(model, Answers(), "priya", "Priya", 1.0, down="")
    says = "Service desk 3 waits for the morning’s press: press its button, then touch “Yes, it is the test” there."
    assert view.waiting == (says,)


def test_a_covert_phrase_is_told_as_one_and_never_which() -> None:
    (alert,) = view_of(snapshot(trigger=Trigger.COVERT, phrase=COVERT_PHRASE, silent=True)).alerts
    assert alert.lines == ("Called for help in secret.", "Heard the covert phrase.")


def test_a_covert_call_in_an_open_alert_stands_on_the_board() -> None:
    (alert,) = view_of(snapshot(covert=True)).alerts
    assert "A covert call came too: somebody may be threatened. Say nothing of it at the desk." in alert.lines


def test_who_is_coming_counts_down_and_then_says_late() -> None:
    coming = snapshot(state=State.COMING, coming=(Going(responder=SAM, eta_s=60), Going(responder=PRIYA, eta_s=90)))
    (alert,) = view_of(coming, now_s=5.0).alerts
    assert alert.who == ("Sam is coming, 0:55 left.", "You are coming, 1:25 left.")
    (alert,) = view_of(coming, now_s=72.0).alerts
    assert alert.who == ("Sam is 0:12 late.", "You are coming, 0:18 left.")


@pytest.mark.parametrize(
    ("facts", "sound"),
    [
        ({}, "emergency"),
        ({"severity": Severity.CHECK, "state": State.CHECKING}, "check"),
        ({"silent": True}, "check"),
        ({"asked": (SAM,)}, ""),
        ({"asked": (SAM,), "emergency": True}, "emergency"),
        ({"asked": ()}, "emergency"),
        ({"declined": (PRIYA,)}, ""),
        ({"state": State.COMING, "coming": (Going(responder=SAM, eta_s=60),)}, ""),
        ({"state": State.ATTENDED, "here": SAM}, ""),
    ],
)
def test_it_sounds_until_a_person_goes_and_only_where_one_is_asked(facts: dict[str, Any], sound: str) -> None:
    assert sound_of(snapshot(**facts), "priya") == sound


def kinds(**facts: Any) -> set[tuple[str, Outcome | None]]:
    return {(button.kind, button.outcome) for button in buttons_of(snapshot(**facts), "priya")}


def test_an_alert_is_closed_only_by_somebody_at_the_desk_and_a_check_by_a_look() -> None:
    assert not any(kind == "close" for kind, _ in kinds())
    assert ("close", Outcome.FALSE_ALARM) in kinds(state=State.CHECKING, severity=Severity.CHECK)
    assert kinds(state=State.ATTENDED, here=PRIYA) == {("close", outcome) for outcome in Outcome}
    assert kinds(state=State.ATTENDED, here=PRIYA, drill=True) == {("close", Outcome.TEST)}


def test_the_title_counts_and_names_the_gravest() -> None:
    two = view_of(snapshot(), snapshot(unit="b", id="two", place="Till 2", severity=Severity.GRAVE, drill=True))
    assert two.title == "(2) DRILL · GRAVE: HELP NOW · Till 2"


def test_clock() -> None:
    assert [clock(one) for one in (0, 59.9, 61, 3600, -3)] == ["0:00", "0:59", "1:01", "1:00:00", "0:00"]
