"""The screen's words, for every state and flag there can be: always a page, always short, never ahead of the facts."""

import re
import string
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.messages import (
    Choice,
    Entry,
    Fault,
    Going,
    Hearing,
    NextStep,
    Person,
    Reach,
    Severity,
    Show,
    Snapshot,
    State,
    Touch,
    TouchAction,
    Trigger,
)
from kiosk.page import Button, Go, Kind, Page, Style
from kiosk.pages import HUB_GONE_S, LEFT_OPEN_S, THANKS_S, Desk, Local, page, settle, short, touched
from kiosk.texts import NEVER_READ_BACK, PHRASES, TEXTS
from tests.screen import CHECK, CHEST, COMING, FACE, LEE, PRIYA, SAM, SCENES, next_step, show, snapshot

DESK = Desk(FACE, button=True)
LATE = (Entry(t_s=3, what="coming", who="Sam"), Entry(t_s=90, what="late", who="Sam"))


def view(shown: Show | None, local: Local = Local(), now_s: float = 0.0) -> Page:  # noqa: B008 - frozen
    """The page after the facts of `shown`, which came at 0."""
    return page(shown, settle(local, shown, now_s), DESK, now_s, 0.0)


def told(shown: Show | None, local: Local = Local(), now_s: float = 0.0) -> str:  # noqa: B008 - frozen
    return "\n".join(view(shown, local, now_s).texts())


def button(shown: Page, text: str) -> Button:
    return next(one for one in (*shown.buttons, *shown.corner) if one.text == text)


# --- everything there can be ------------------------------------------------------------------------------------------

WORDS = st.text(string.ascii_letters + " -.’é", min_size=1, max_size=40).filter(lambda text: text.strip())
NAMES = st.sampled_from(["Priya", "Sam", "Ødegård", "Anna Maria de la Cruz Montoya", "W" * 40]) | WORDS
PEOPLE = st.builds(Person, id=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), name=NAMES)
GROUPS = st.lists(PEOPLE, max_size=4).map(tuple)
SECONDS = st.floats(0, 4000, allow_nan=False)
STEPS = st.builds(
    NextStep,
    what=st.sampled_from(
        ["ask_next_tier", "raise", "emergency_page", "ask_again", "check_in", "check_in_missed", "remind"]
    ),
    in_s=SECONDS,
)
ENTRIES = st.lists(
    st.builds(Entry, t_s=SECONDS, what=st.sampled_from(["opened", "coming", "late", "here", "x"]), who=NAMES),
    max_size=4,
).map(tuple)
SNAPSHOTS = st.builds(
    Snapshot,
    store=st.just("harbour"),
    unit=st.just("desk3"),
    place=st.just(FACE.place),
    id=st.sampled_from(["i-1", "i-2"]),
    revision=st.integers(1, 99),
    state=st.sampled_from(State),
    severity=st.sampled_from(Severity),
    trigger=st.sampled_from(Trigger),
    phrase=st.none()
    | st.sampled_from([*PHRASES, *NEVER_READ_BACK])
    | st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True),
    silent=st.booleans(),
    drill=st.booleans(),
    choice=st.none() | st.sampled_from(Choice),
    guess=st.none() | st.sampled_from(Choice),
    name=st.none() | NAMES,
    says_fine=st.booleans(),
    check_in_open=st.booleans(),
    check_ins_missed=st.integers(0, 3),
    tier=st.integers(1, 4),
    tiers=st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    asked=GROUPS,
    seen=GROUPS,
    declined=GROUPS,
    coming=st.lists(st.builds(Going, responder=PEOPLE, eta_s=SECONDS), max_size=3).map(tuple),
    here=st.none() | PEOPLE,
    reach=st.sampled_from(Reach),
    emergency=st.booleans(),
    opened_at=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    elapsed_s=SECONDS,
    next=st.none() | STEPS,
    timeline=ENTRIES,
)
FAULTS = st.lists(
    st.builds(
        Fault, code=st.sampled_from(["button_cut", "ear"]), where=st.just("x"), says=st.just("x"), do=st.just("x")
    ),
    max_size=2,
).map(tuple)
SHOWS = st.builds(
    Show,
    face=st.just(FACE),
    incident=st.none() | SNAPSHOTS,
    hearing=st.sampled_from(Hearing),
    reach=st.sampled_from(Reach),
    listeners=st.integers(0, 3),
    faults=FAULTS,
)
LOCALS = st.builds(
    Local,
    incident=st.none() | st.sampled_from(["i-1", "i-2"]),
    opened=st.none() | st.sampled_from(Go),
    emergency_put_away=st.booleans(),
    choice=st.none() | st.sampled_from(Choice),
    guess=st.none() | st.sampled_from([one for one in Choice if one is not Choice.NOT_SAFE]),
    step=st.integers(0, 9),
    drill=st.booleans(),
    closed_s=st.none() | st.floats(0, 20),
    telling=st.booleans(),
    unheard=st.booleans(),
)


@settings(max_examples=300)
@given(shown=st.none() | SHOWS, local=LOCALS, now_s=st.floats(0, 20), has_button=st.booleans())
def test_whatever_is_so_there_is_a_short_calm_page_with_a_way_to_call(
    shown: Show | None, local: Local, now_s: float, has_button: bool
) -> None:
    found = page(shown, settle(local, shown, now_s), Desk(FACE, button=has_button), now_s, 0.0)
    own_words = {FACE.place, FACE.address}
    for text in found.texts():
        assert text in own_words or len(text.split()) <= 12, text
        assert "!" not in text
        assert "{" not in text
    assert found.headline or found.number
    calls = [one for one in (*found.buttons, *found.corner) if one.does is Go.EMERGENCY]
    assert calls or found.number == FACE.emergency_number


@settings(max_examples=300)
@given(shown=SHOWS, local=LOCALS, now_s=st.floats(0, HUB_GONE_S - 0.01))
def test_nothing_is_claimed_ahead_of_the_facts(shown: Show, local: Local, now_s: float) -> None:
    incident = shown.incident if shown.incident and not shown.incident.silent else None
    words = "\n".join(page(shown, settle(local, shown, now_s), DESK, now_s, 0.0).texts())
    for name in ("Priya", "Sam", "Ødegård"):
        spoke = incident is not None and (
            any(name in one.name for one in (*incident.seen, *(going.responder for going in incident.coming)))
            or (incident.here is not None and name in incident.here.name)
            or any(name in entry.who for entry in incident.timeline if entry.what == "late")
            or name in (incident.name or "")
            or any(name in tier for tier in incident.tiers)
        )
        assert spoke or not re.search(rf"\b{name}\b", words)
    if incident is None or not incident.coming:
        assert "coming" not in words
    if incident is None or (incident.here is None and incident.state is not State.ATTENDED):
        assert " is here." not in words
    if shown.reach is not Reach.OK:
        assert "I keep asking the staff" not in words
        assert "We are here" not in words


@settings(max_examples=120)
@given(shown=SHOWS, hidden=SNAPSHOTS, now_s=st.floats(0, 10))
def test_a_silent_incident_looks_like_none(shown: Show, hidden: Snapshot, now_s: float) -> None:
    covert = shown.model_copy(update={"incident": hidden.model_copy(update={"silent": True})})
    ordinary = shown.model_copy(update={"incident": None})
    assert view(covert, now_s=now_s) == view(ordinary, now_s=now_s)
    opened = Local(opened=Go.EMERGENCY)
    assert view(covert, opened, now_s) == view(ordinary, opened, now_s)


@settings(max_examples=80)
@given(hidden=SNAPSHOTS, now_s=st.floats(0, 10))
def test_a_covert_call_in_an_open_alert_does_not_show(hidden: Snapshot, now_s: float) -> None:
    plain, covert = (hidden.model_copy(update={"covert": called}) for called in (False, True))
    assert view(show(covert), now_s=now_s) == view(show(plain), now_s=now_s)


def test_an_alert_that_turns_silent_goes_straight_to_the_ordinary_page() -> None:
    shown = show(snapshot())
    local = settle(Local(), shown, 0)
    silent = show(snapshot(silent=True))
    assert view(silent, local) == view(show())


@settings(max_examples=100)
@given(hidden=SNAPSHOTS, local=LOCALS)
def test_a_drill_says_so_on_every_page(hidden: Snapshot, local: Local) -> None:
    drill = hidden.model_copy(update={"drill": True, "silent": False, "state": State.RAISED})
    assert "This is a drill" in told(show(drill), replace(local, unheard=False))


# --- each state in its own words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_has_its_page(name: str) -> None:
    scene = SCENES[name]
    if not scene.taps:
        assert view(scene.show).kind == scene.kind


def test_idle_says_how_it_hears_and_what_a_touch_does() -> None:
    assert "Listening for help words · nothing is recorded" in told(show())
    assert "Voice is off · touch or press" in told(show(hearing=Hearing.OFF))
    assert "I cannot hear at the moment · touch or press" in told(show(hearing=Hearing.DEAF))
    assert button(view(show()), "I need help").does == Touch(action=TouchAction.HELP)


def test_a_broken_button_is_not_offered() -> None:
    for code, offered in (("button", False), ("button-loop", False), ("button-stuck", False), ("button-lid", True)):
        fault = Fault(code=code, where="button", says="the wire is cut", do="mend it")
        assert ("press" in told(show(faults=(fault,)))) == offered


def test_a_broken_covert_button_does_not_show() -> None:
    cut = Fault(code="button-covert-loop", where="button", says="the wire is cut", do="mend it")
    assert view(show(faults=(cut,))) == view(show())


def test_idle_does_not_hide_that_nobody_can_be_told() -> None:
    words = told(show(reach=Reach.NOBODY))
    assert "I cannot reach the staff’s phones at the moment." in words
    assert "We are here" not in words


def test_a_check_asks_and_says_what_was_heard() -> None:
    found = view(show(snapshot(State.CHECKING, **CHECK)))
    assert (found.headline, found.top_right) == ("Do you need help?", "I heard “I can’t breathe”")
    assert button(found, "Yes, help me").does == Touch(action=TouchAction.HELP, incident="i-1")
    assert button(found, "I’m fine").does == Touch(action=TouchAction.FINE, incident="i-1")


def test_the_waiting_line_grows_with_the_facts() -> None:
    def line(**facts: Any) -> list[tuple[str, bool]]:
        return [(one.text, one.done) for one in view(show(snapshot(**facts))).waiting]

    waiting = ("Waiting for an answer", False)
    assert line(asked=()) == [("Telling the staff", False), ("No phone shows it yet", False), waiting]
    assert line() == [("I asked the staff", True), ("No phone shows it yet", False), waiting]
    assert line(seen=(SAM,))[1] == ("Sam’s phone shows it", True)
    assert line(seen=(PRIYA, SAM))[1] == ("Priya’s and Sam’s phones show it", True)
    assert line(seen=(PRIYA, SAM, LEE))[1] == ("Priya’s, Sam’s and one more phone show it", True)
    assert line(tier=2)[0] == ("I asked the manager too", True)


def test_what_happens_by_itself_is_said_with_name_and_seconds() -> None:
    raised = snapshot(next=next_step("ask_next_tier", 16))
    assert view(show(raised)).bottom == "No answer in 20 seconds: I ask the manager too."
    assert view(show(raised), now_s=3).bottom == "No answer in 15 seconds: I ask the manager too."


def test_nobody_reachable_is_said_plainly() -> None:
    lost = view(show(snapshot(asked=()), reach=Reach.DISCONNECTED))
    assert lost.headline == "I cannot reach the staff’s phones."
    assert lost.body == ("I keep trying. Ask anyone near you, or call 112.",)
    assert view(show(snapshot(asked=()), reach=Reach.NOBODY)).headline == "No staff phone is listening now."


def test_fine_in_an_alert_is_passed_on_and_never_closes_it() -> None:
    assert button(view(show(snapshot())), "I’m fine now").does == Touch(action=TouchAction.FINE, incident="i-1")
    after = view(show(snapshot(says_fine=True)))
    assert after.body == ("I told the staff you say you are fine.", "They should still look.")
    assert "told the staff" not in told(show(snapshot(says_fine=True), reach=Reach.NOBODY))
    assert "They should still look." in told(show(snapshot(says_fine=True, **CHEST)))


def test_who_is_coming_and_when_is_what_they_said() -> None:
    assert view(show(snapshot(State.COMING, **COMING))).headline == "Sam is coming, about 1 minute."
    soon = snapshot(State.COMING, coming=(Going(responder=SAM, eta_s=20), Going(responder=PRIYA, eta_s=200)))
    assert view(show(soon)).headline == "Sam is coming, less than a minute."
    assert "Priya is coming too" in told(show(soon))
    overdue = snapshot(State.COMING, coming=(Going(responder=SAM, eta_s=0),))
    assert view(show(overdue)).headline == "Sam is later than they said."
    assert "Sam is later than they said. I am asking again." in told(show(snapshot(timeline=LATE)))


def test_a_touched_choice_opens_its_steps_at_once_and_survives_a_restart() -> None:
    shown = show(snapshot(seen=(SAM,)))
    choose = button(view(shown), "Chest or breathing").does
    assert isinstance(choose, Touch)
    local = touched(settle(Local(), shown, 0), choose, 0)
    assert view(shown, local).kicker == "Chest or breathing · step 1 of 4"
    assert view(shown, touched(local, Go.NEXT, 0)).kicker == "Chest or breathing · step 2 of 4"
    assert view(show(snapshot(**CHEST))).kicker == "Chest or breathing · step 1 of 4"
    assert view(shown, touched(local, Go.CHOICES, 0)).kind is Kind.WAITING


def test_feeling_unsafe_is_never_written_on_the_screen_again() -> None:
    shown = show(snapshot(choice=Choice.NOT_SAFE, emergency=True))
    assert "safe" not in told(shown)
    assert "safe" not in told(shown, Local(incident="i-1", emergency_put_away=True))


# --- what a phrase suggests -------------------------------------------------------------------------------------------


def test_a_voice_is_asked_first_and_gets_the_steps_of_its_case_after() -> None:
    checking = show(snapshot(State.CHECKING, guess=Choice.CHEST_OR_BREATHING, **CHECK))
    assert view(checking).kind is Kind.CHECKING
    raised = show(snapshot(guess=Choice.CHEST_OR_BREATHING, phrase="breathe"))
    found = view(raised, settle(Local(), checking, 0))
    assert (found.kind, found.kicker) == (Kind.STEPS, "Chest or breathing · step 1 of 4")
    assert button(found, "It is something else").does is Go.CHOICES


def test_what_was_suggested_is_not_marked_as_chosen_and_a_touch_wins() -> None:
    shown = show(snapshot(guess=Choice.SOMEONE_HURT))
    asked = view(shown, touched(settle(Local(), shown, 0), Go.CHOICES, 0))
    assert {one.style for one in asked.buttons} == {Style.PLAIN}
    choose = button(asked, "Chest or breathing").does
    assert isinstance(choose, Touch)
    local = touched(settle(Local(), shown, 0), choose, 0)
    assert view(shown, local).kicker == "Chest or breathing · step 1 of 4"


def test_another_suggestion_starts_at_its_first_step() -> None:
    hurt, chest = (show(snapshot(guess=guess)) for guess in (Choice.SOMEONE_HURT, Choice.CHEST_OR_BREATHING))
    local = touched(settle(Local(), hurt, 0), Go.NEXT, 0)
    assert view(hurt, local).kicker == "Someone is hurt · step 2 of 4"
    assert view(chest, local).kicker == "Chest or breathing · step 1 of 4"


@pytest.mark.parametrize("phrase", ["police", "leave_alone", "let_go"])
@pytest.mark.parametrize("state", [State.CHECKING, State.RAISED, State.COMING, State.ATTENDED])
def test_what_was_heard_never_gives_away_who_may_not_feel_safe(state: State, phrase: str) -> None:
    facts: dict[str, Any] = COMING if state is State.COMING else {"here": SAM} if state is State.ATTENDED else {}
    severity = Severity.CHECK if state is State.CHECKING else Severity.ALERT
    same = {"severity": severity, "trigger": Trigger.VOICE, **facts}
    for emergency in (False, True):
        shown = show(snapshot(state, phrase=phrase, guess=Choice.NOT_SAFE, emergency=emergency, **same))
        plain = show(snapshot(state, emergency=emergency, **same))
        assert view(shown) == view(plain)


@pytest.mark.parametrize("phrase", sorted(NEVER_READ_BACK))
def test_a_covert_phrase_is_never_read_back(phrase: str) -> None:
    words = told(show(snapshot(State.CHECKING, severity=Severity.CHECK, trigger=Trigger.VOICE, phrase=phrase)))
    assert "heard" not in words
    assert phrase not in PHRASES


def test_the_card_says_that_a_suggestion_is_no_more_than_that() -> None:
    found = view(show(snapshot(emergency=True, guess=Choice.CHEST_OR_BREATHING)))
    assert found.card is not None
    assert "Somebody spoke of the chest or of breathing." in found.card.lines
    assert button(found, "Back to the steps").does is Go.BACK


def test_suggested_steps_stay_when_the_hub_goes() -> None:
    shown = show(snapshot(guess=Choice.CHEST_OR_BREATHING))
    local = settle(Local(), shown, 0)
    steps = button(view(shown, local, HUB_GONE_S), "Show the steps")
    found = view(shown, touched(local, steps.does, HUB_GONE_S), HUB_GONE_S)
    assert found.kicker == "Chest or breathing · step 1 of 4"


def test_a_check_in_asks_and_every_answer_is_a_touch() -> None:
    found = view(show(snapshot(check_in_open=True)))
    assert found.headline == "Are you still OK?"
    assert [one.does.action for one in found.buttons if isinstance(one.does, Touch)] == [
        TouchAction.STILL_OK,
        TouchAction.WORSE,
        TouchAction.LATER,
    ]


def test_the_emergency_page_comes_to_the_front_and_can_be_put_away() -> None:
    shown = show(snapshot(emergency=True, name="Ana", elapsed_s=126, **CHEST))
    found = view(shown)
    assert (found.kind, found.number, found.top_left) == (
        Kind.EMERGENCY,
        "112",
        "Nobody here has answered yet. Call now.",
    )
    assert found.card is not None
    assert found.card.lead == FACE.address
    assert found.card.lines == (
        "Service desk 3",
        "Phone here: 0113 496 0000",
        "Trouble with the chest or with breathing.",
        "Name: Ana",
        "This started 2 minutes ago.",
        "Say if the person is awake and breathing.",
    )
    local = touched(settle(Local(), shown, 0), Go.BACK, 0)
    assert view(shown, local).kind is Kind.STEPS


def test_somebody_on_the_phone_keeps_the_emergency_page_while_the_world_moves_on() -> None:
    local = settle(Local(), show(snapshot(emergency=True)), 0)
    coming = view(show(snapshot(State.COMING, **COMING)), local)
    assert (coming.kind, coming.headline) == (Kind.EMERGENCY, "Sam is coming, about 1 minute.")
    asked = view(show(snapshot(emergency=True, check_in_open=True)), local)
    assert (asked.kind, asked.ask) == (Kind.EMERGENCY, "Are you still OK?")
    assert button(asked, "It is worse").style is Style.PLAIN


def test_a_second_emergency_comes_to_the_front_again() -> None:
    first = show(snapshot(emergency=True))
    local = touched(settle(Local(), first, 0), Go.BACK, 0)
    local = settle(local, show(snapshot(State.COMING, **COMING)), 5)
    assert view(first, settle(local, first, 9), 0).kind is Kind.EMERGENCY


def test_a_drill_never_tells_to_call() -> None:
    words = told(show(snapshot(emergency=True, drill=True)))
    assert "This is a drill. Do not call 112." in words
    assert "Call now" not in words


def test_here_then_over_then_idle() -> None:
    shown = show(snapshot(State.ATTENDED, here=SAM))
    local = settle(Local(), shown, 0)
    assert view(shown, local).headline == "Sam is here."
    assert button(view(shown, local), "I still need help").does == Touch(action=TouchAction.HELP, incident="i-1")
    for over in (show(), show(snapshot(State.CLOSED))):
        closed = settle(local, over, 1)
        assert page(over, closed, DESK, 1, 1).headline == "Thank you."
        later = settle(closed, over, 1 + THANKS_S)
        assert page(over, later, DESK, 1 + THANKS_S, 1 + THANKS_S).kind is Kind.IDLE


def test_a_card_that_is_being_read_outlasts_the_incident_and_then_closes_itself() -> None:
    local = touched(settle(Local(), show(snapshot()), 0), Go.EMERGENCY, 0)
    local = settle(local, show(), 10)
    assert view(show(), local).kind is Kind.EMERGENCY
    assert button(view(show(), local), "I need help").does == Touch(action=TouchAction.HELP)
    assert settle(local, show(), 10 + LEFT_OPEN_S).opened is None


def test_a_card_closes_with_the_incident_when_somebody_was_at_the_desk() -> None:
    local = settle(Local(opened=Go.EMERGENCY), show(snapshot(State.ATTENDED, here=SAM)), 0)
    thanks = settle(local, show(), 0)
    assert view(show(), thanks).headline == "Thank you."
    reading = touched(thanks, Go.EMERGENCY, 1)
    assert settle(reading, show(), 1 + THANKS_S).opened is Go.EMERGENCY


def test_a_screen_that_starts_after_the_end_thanks_nobody() -> None:
    assert view(show(snapshot(State.CLOSED))).kind is Kind.IDLE


def test_a_hub_that_is_gone_is_said_in_time_and_keeps_the_way_to_call() -> None:
    assert HUB_GONE_S < 5
    gone = view(show(), now_s=HUB_GONE_S)
    assert (gone.headline, gone.body) == (
        "This unit cannot call for you.",
        ("Call 112, or ask a person near you.",),
    )
    assert view(show(), Local(opened=Go.EMERGENCY), HUB_GONE_S).card is not None
    assert view(show(), Local(telling=True), HUB_GONE_S).body[1] == "You asked for help. I keep trying to pass it on."
    assert view(None, now_s=HUB_GONE_S).kind is Kind.GONE
    assert view(None).kind is Kind.STARTING


def test_a_call_that_is_not_confirmed_is_never_a_claim() -> None:
    waiting = view(show(), Local(telling=True)).waiting
    assert [(one.text, one.done) for one in waiting] == [("Telling the staff", False)]
    assert view(show(), Local(telling=True, unheard=True)).kind is Kind.GONE


def test_names_are_cut_where_a_word_ends() -> None:
    assert short("Sam") == "Sam"
    assert short("Anna Maria de la Cruz") == "Anna Maria de"
    assert short("Wilhelmina Featherstonehaugh") == "Wilhelmina"
    assert short("W" * 40) == "W" * 21 + "…"


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_is_short_and_calm(key: str) -> None:
    assert len(TEXTS[key].split()) <= 12
    assert "!" not in TEXTS[key]
    assert "on the way" not in TEXTS[key]


def test_a_step_in_a_drill_says_not_to_call() -> None:
    assert view(SCENES["steps_drill"].show).kicker == "This is a drill. Do not call 112."
