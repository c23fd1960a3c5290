"""The screen's words, for every state and flag there can be: always a page, always short, never ahead of the facts."""

import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kiosk.guidance import CASES, GROUPS, LONG_SEIZURE_S, Pace, group_of
from kiosk.local import (
    ASIDE_S,
    BREATHLESS,
    CHECK_IN_WAITS_S,
    KEPT_TOUCHES,
    LEFT_OPEN_S,
    NAME_LETTERS,
    PUSHING_S,
    READING_ON_S,
    READING_S,
    REST_S,
    THANKS_S,
    UNDECIDED_S,
)
from kiosk.messages import (
    Choice,
    Entry,
    Face,
    Fault,
    Going,
    HeardPhrase,
    Hearing,
    Language,
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
from kiosk.page import Button, Go, Key, Kind, Look, Page, Style, Theme
from kiosk.pages import HUB_GONE_S, Desk, Local, at_home, dump, load, page, settle, short, touched
from kiosk.pages_call import CODE_BYTES
from kiosk.pages_desk import LETTERS
from kiosk.texts import HEARD_WORD, NEVER_READ_BACK, OWN_NAMES, PHRASES, TEXTS, Plural, every_text, prompts
from kiosk.tongue import ENGLISH
from kiosk.ui.catalogues import load as catalogue
from tests.screen import (
    AWAY,
    CHECK,
    CHEST,
    COMING,
    DESK,
    FACE,
    HEARD,
    LEE,
    PERSON,
    PRIYA,
    PUSHES,
    SAM,
    SCENES,
    VIEW,
    every_button,
    next_step,
    scene_page,
    show,
    snapshot,
)

LATE = (Entry(t_s=3, what="coming", who="Sam"), Entry(t_s=90, what="late", who="Sam"))
OWN_WORDS = {FACE.place, FACE.address}


def view(shown: Show | None, local: Local = Local(), now_s: float = 0.0, desk: Desk = DESK) -> Page:  # noqa: B008 - frozen
    """The page after the facts of `shown`, which came at 0."""
    return page(shown, settle(local, shown, now_s), desk, now_s, 0.0, ENGLISH)


def told(shown: Show | None, local: Local = Local(), now_s: float = 0.0) -> str:  # noqa: B008 - frozen
    return "\n".join(view(shown, local, now_s).texts())


def button(shown: Page, text: str) -> Button:
    return next(one for one in every_button(shown) if one.text == text)


def after(shown: Show | None, *texts: str, local: Local = Local(), now_s: float = 0.0) -> Local:  # noqa: B008 - frozen
    """What is so here after touching buttons, one after the other."""
    local = settle(local, shown, now_s)
    for text in texts:
        local = settle(touched(local, button(view(shown, local, now_s), text).does, now_s), shown, now_s)
    return local


# --- everything there can be ------------------------------------------------------------------------------------------


WORDS = st.text(string.ascii_letters + " -.’é", min_size=1, max_size=40).filter(lambda text: text.strip())
NAMES = st.sampled_from(["Priya", "Sam", "Ødegård", "Anna Maria de la Cruz Montoya", "W" * 40]) | WORDS
PEOPLE = st.builds(Person, id=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), name=NAMES)
CROWDS = st.lists(PEOPLE, max_size=4).map(tuple)
SECONDS = st.floats(0, 4000, allow_nan=False)
STEPS = st.builds(
    NextStep,
    what=st.sampled_from(
        ["ask_next_tier", "raise", "emergency_page", "ask_again", "check_in", "check_in_missed", "remind"]
    ),
    in_s=SECONDS,
)
ENTRIES = st.lists(
    st.builds(
        Entry, t_s=SECONDS, what=st.sampled_from(["opened", "asked_tier", "coming", "late", "here", "x"]), who=NAMES
    ),
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
    covert=st.booleans(),
    drill=st.booleans(),
    choice=st.none() | st.sampled_from(Choice),
    guess=st.none() | st.sampled_from(Choice),
    name=st.none() | NAMES,
    says_fine=st.booleans(),
    check_in_open=st.booleans(),
    check_ins_missed=st.integers(0, 3),
    tier=st.integers(1, 4),
    tiers=st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    asked=CROWDS,
    seen=CROWDS,
    declined=CROWDS,
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
HEARDS = st.lists(
    st.builds(
        HeardPhrase,
        phrase=st.sampled_from([*PHRASES, "a_phrase_of_another_model"]),
        score=st.floats(-9, 9),
        at=st.datetimes(timezones=st.just(UTC), min_value=datetime(2026, 1, 1), max_value=datetime(2030, 1, 1)),  # noqa: DTZ001 - hypothesis wants them naive
    ),
    max_size=6,
).map(tuple)
SHOWS = st.builds(
    Show,
    face=st.sampled_from(
        [FACE, FACE.model_copy(update={"country": "", "defibrillator": "", "refuge": "", "meet": ""})]
    ),
    incident=st.none() | SNAPSHOTS,
    told=st.booleans(),
    hearing=st.sampled_from(Hearing),
    reach=st.sampled_from(Reach),
    listeners=st.integers(0, 3),
    faults=FAULTS,
    heard=HEARDS,
    hearing_back_s=st.none() | st.floats(0, 4000),
)
LOOKS = st.builds(
    Look,
    language=st.sampled_from(Language),
    theme=st.sampled_from(Theme),
    text_percent=st.sampled_from((100, 150, 200)),
    low=st.booleans(),
    voice=st.booleans(),
)
ENGLISH_LOOKS = LOOKS.map(lambda look: replace(look, language=Language.ENGLISH))
TIMES = st.floats(0, 20)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "look": ENGLISH_LOOKS,
    "home": LOOKS,
    "touched_s": TIMES,
    "turned_s": TIMES,
    "greeted": st.none() | st.sampled_from(["i-1", "i-2"]),
    "incident": st.none() | st.sampled_from(["i-1", "i-2"]),
    "opened": st.none() | st.sampled_from(Go),
    "opened_s": TIMES,
    "behind": st.none() | st.sampled_from(Go),
    "code": st.booleans(),
    "voiced": st.booleans(),
    "emergency_put_away": st.booleans(),
    "choice": st.none() | st.sampled_from(Choice),
    "guess": st.none() | st.sampled_from([one for one in Choice if CASES[one].aloud]),
    "step": st.integers(0, 9),
    "timer_s": st.none() | TIMES,
    "entry": st.text(string.ascii_letters + " é", max_size=NAME_LETTERS),
    "drill": st.booleans(),
    "hushed": st.booleans(),
    "attended": st.booleans(),
    "closed_s": st.none() | TIMES,
    "telling": st.booleans(),
    "asking": st.booleans(),
    "unheard": st.booleans(),
    "mine": st.booleans(),
    "name": st.text(string.ascii_letters + " é", max_size=NAME_LETTERS),
    "untold": st.frozensets(st.sampled_from(sorted(KEPT_TOUCHES))),
    "unpaced": st.booleans(),
    "instead": st.none() | st.sampled_from(sorted(BREATHLESS)),
    "breath_s": TIMES,
}
LOCALS = st.builds(Local, **FIELDS)


def speaks(local: Local, language: Language) -> Local:
    return replace(local, look=replace(local.look, language=language))


@settings(max_examples=400)
@given(
    shown=st.none() | SHOWS,
    local=LOCALS,
    now_s=st.floats(0, 90),
    has_button=st.booleans(),
    has_speaker=st.booleans(),
    language=st.sampled_from(Language),
)
def test_whatever_is_so_there_is_a_calm_page_with_a_way_to_call(
    shown: Show | None, local: Local, now_s: float, has_button: bool, has_speaker: bool, language: Language
) -> None:
    desk = Desk(FACE, button=has_button, speaker=has_speaker)
    local = settle(speaks(local, language), shown, now_s)
    found = page(shown, local, desk, now_s, 0.0, catalogue(local.look.language))
    for text in found.texts():
        assert "!" not in text
        assert "{" not in text
    assert found.headline or found.number
    calls = [one for one in every_button(found) if one.does is Go.EMERGENCY]
    assert calls or found.number == FACE.emergency_number
    assert set(found.prompts) <= set(prompts())
    assert has_speaker or not found.prompts


@settings(max_examples=200)
@given(shown=st.none() | SHOWS, local=LOCALS, now_s=st.floats(0, 90))
def test_no_line_is_long(shown: Show | None, local: Local, now_s: float) -> None:
    local = speaks(local, Language.ENGLISH)
    local = replace(local, home=local.look)
    for text in view(shown, local, now_s).texts():
        words = text.removeprefix("Meet the ambulance crew here: ").removeprefix("You said: ")
        assert text in OWN_WORDS or len(words.split()) <= 12, text


@settings(max_examples=200)
@given(shown=st.none() | SHOWS, local=LOCALS, now_s=TIMES)
def test_the_languages_are_one_touch_away_from_every_page(shown: Show | None, local: Local, now_s: float) -> None:
    found = view(shown, replace(local, home=local.look), now_s)
    ways = [one for one in every_button(found) if one.does is Go.VIEW]
    assert ways or found.kind in {Kind.VIEW, Kind.NAME}
    if found.kind is Kind.NAME:  # its keys need the whole panel; it is left by one touch
        assert any(one.does is Go.BACK for one in found.corner)


@settings(max_examples=300)
@given(shown=SHOWS, local=LOCALS, now_s=st.floats(0, HUB_GONE_S - 0.01))
def test_nothing_is_claimed_ahead_of_the_facts(shown: Show, local: Local, now_s: float) -> None:
    incident = shown.incident if shown.incident and not shown.incident.silent else None
    local = replace(local, home=local.look, entry="")
    found = view(shown, local, now_s)
    words = "\n".join(found.texts())
    for name in ("Priya", "Sam", "Ødegård"):
        spoke = incident is not None and (
            any(name in one.name for one in (*incident.seen, *(going.responder for going in incident.coming)))
            or (incident.here is not None and name in incident.here.name)
            or any(name in entry.who for entry in incident.timeline if entry.what in {"coming", "late", "here"})
            or any(name in entry.who for entry in incident.timeline if entry.what == "asked_tier")
            or name in (incident.name or "")
            or any(name in tier for tier in incident.tiers)
        )
        assert spoke or not re.search(rf"\b{name}\b", words)
    said = {entry.what for entry in incident.timeline} if incident else set()
    if incident is None or not (incident.coming or "coming" in said):
        assert "coming" not in words
        assert "say_coming" not in found.prompts
    if incident is None or not (incident.here or incident.state is State.ATTENDED or "here" in said):
        assert not re.search(r" is here(?!:)", words)
        assert "say_here" not in found.prompts
    if shown.reach is not Reach.OK:
        assert "I keep asking the staff" not in words
        assert "We are here" not in words


def seen_of(shown: Page) -> Page:
    """What can be seen of a page."""
    return replace(shown, prompts=())


@settings(max_examples=120)
@given(shown=SHOWS, hidden=SNAPSHOTS, now_s=st.floats(0, 10), minute=st.integers(0, 3))
def test_a_silent_incident_looks_like_none(shown: Show, hidden: Snapshot, now_s: float, minute: int) -> None:
    """Every frame is one that the ordinary screen shows too, in one of its two minutes."""
    covert = shown.model_copy(update={"incident": hidden.model_copy(update={"silent": True})})
    ordinary = shown.model_copy(update={"incident": None, "told": False})
    local = Local(turned_s=-60.0 * minute)
    minutes = [view(ordinary, Local(turned_s=turned_s), now_s) for turned_s in (0.0, -60.0)]
    assert minutes[0] != minutes[1] or shown.reach is not Reach.OK or now_s >= HUB_GONE_S
    assert view(covert, local, now_s) in minutes
    opened = replace(local, opened=Go.EMERGENCY)
    assert view(covert, opened, now_s) == view(ordinary, opened, now_s)
    assert view(covert, local, now_s).prompts == () or now_s >= HUB_GONE_S


def test_the_greeting_turns_by_itself_each_minute() -> None:
    assert [view(show(), now_s=at_s).headline for at_s in (0, 3.9)] == ["Hello. We are here."] * 2
    heads = [page(show(), Local(), DESK, at_s, at_s, ENGLISH).headline for at_s in (59, 60, 119, 120)]
    assert heads == [TEXTS["hello"], TEXTS["hello_other"], TEXTS["hello_other"], TEXTS["hello"]]


@settings(max_examples=60)
@given(at_s=st.floats(0, 4000), silent=SNAPSHOTS)
def test_the_initiated_see_that_a_covert_call_arrived(at_s: float, silent: Snapshot) -> None:
    """The greeting turns with it, once, and stays for a whole minute as it always does."""
    hidden = silent.model_copy(update={"silent": True, "state": State.RAISED})

    def greeting(local: Local, shown: Show, now_s: float) -> tuple[Local, str]:
        local = settle(local, shown, now_s)
        return local, page(shown, local, DESK, now_s, now_s, ENGLISH).headline

    local, before = greeting(Local(), show(), at_s)
    local, untold = greeting(local, show(hidden, told=False), at_s)
    local, turned = greeting(local, show(hidden), at_s)
    assert (before == untold, before == turned) == (True, False)
    local, still = greeting(local, show(hidden), at_s + 59.9)
    local, next_minute = greeting(local, show(), at_s + 60.1)
    assert (still, next_minute) == (turned, before)


@settings(max_examples=80)
@given(hidden=SNAPSHOTS, now_s=st.floats(0, 10))
def test_a_covert_call_in_an_open_alert_does_not_show(hidden: Snapshot, now_s: float) -> None:
    plain, covert = (hidden.model_copy(update={"covert": called}) for called in (False, True))
    assert view(show(covert), now_s=now_s) == view(show(plain), now_s=now_s)


def test_who_asks_for_a_person_in_a_silent_alert_sees_what_anybody_sees_who_does() -> None:
    asked = (Entry(t_s=0, what="opened", who="covert"), Entry(t_s=9, what="told_person"))
    facts: dict[str, Any] = {"seen": (SAM,), "timeline": asked, "choice": Choice.PERSON}
    plain = view(show(snapshot(severity=Severity.CHECK, **facts)))
    for emergency in (False, True):
        silent_before = snapshot(severity=Severity.ALERT, covert=True, emergency=emergency, **facts)
        assert view(show(silent_before)) == plain
    more = (*asked, Entry(t_s=12, what="touched_help"))
    assert "Stay here. I am with you." in told(show(snapshot(covert=True, **{**facts, "timeline": more})))


def test_an_alert_that_turns_silent_goes_straight_to_the_ordinary_page() -> None:
    shown = show(snapshot())
    local = settle(Local(), shown, 0)
    silent = show(snapshot(silent=True), told=False)
    assert view(silent, local) == view(show())


@settings(max_examples=100)
@given(hidden=SNAPSHOTS, local=LOCALS)
def test_a_drill_says_so_on_every_page(hidden: Snapshot, local: Local) -> None:
    drill = hidden.model_copy(update={"drill": True, "silent": False, "state": State.RAISED})
    found = view(show(drill), replace(local, unheard=False, home=local.look))
    assert "This is a drill" in found.texts()
    assert found.prompts[:1] in {(), ("say_drill",)}


@settings(max_examples=200)
@given(local=LOCALS, look=LOOKS)
def test_what_was_touched_is_read_back_as_it_was_written(local: Local, look: Look) -> None:
    local = replace(local, look=look)
    assert load(dump(local)) == local


def test_times_of_another_clock_are_forgotten_and_no_more() -> None:
    local = Local(look=Look(language=Language.FRENCH), opened=Go.EAR, touched_s=5000.0, opened_s=5000.0)
    assert settle(local, show(), 4999.0).opened is Go.EAR
    rebooted = settle(local, show(), 3.0)
    assert (rebooted.opened, rebooted.look.language) == (None, Language.FRENCH)
    assert settle(rebooted, show(), 3.0 + REST_S).look == Look()


@given(
    text=st.text() | st.sampled_from(["", "[]", "null", '{"step": "x"}', '{"touched_s": NaN}', "\ud800", '{"look": 1}'])
)
def test_what_cannot_be_read_is_as_if_nothing_had_been_touched(text: str) -> None:
    assert load(text) == Local() or text.strip() == "{}"


# --- each state in its own words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SCENES, *AWAY])
def test_a_scene_has_its_page(name: str) -> None:
    scene = SCENES.get(name) or AWAY[name]
    assert scene_page(scene).kind == scene.kind


def test_idle_says_how_it_hears_and_what_a_touch_does() -> None:
    for hearing, words in (
        (Hearing.LISTENING, "I listen for help words · no sound is kept"),
        (Hearing.OFF, "Voice is off · touch or press"),
        (Hearing.DEAF, "I cannot hear now · touch or press"),
        (Hearing.PAUSED, "Microphone off for now · touch or press"),
    ):
        assert button(view(show(hearing=hearing)), words).does is Go.EAR
    found = view(show())
    assert button(found, "I need help").does == Touch(action=TouchAction.HELP)
    assert button(found, "I need a person").does == Touch(action=TouchAction.PERSON)
    assert (button(found, "I need a person").note, button(found, "I need help").style) == ("no alarm", Style.MAIN)


def test_a_broken_button_is_not_offered() -> None:
    for code, offered in (("button", False), ("button-loop", False), ("button-stuck", False), ("button-lid", True)):
        fault = Fault(code=code, where="button", says="the wire is cut", do="mend it")
        assert ("press" in told(show(faults=(fault,)))) == offered


def test_a_broken_covert_button_does_not_show() -> None:
    cut = Fault(code="button-covert-loop", where="button", says="the wire is cut", do="mend it")
    assert view(show(faults=(cut,))) == view(show())


def test_idle_does_not_hide_that_nobody_can_be_told() -> None:
    words = told(show(reach=Reach.NOBODY))
    assert "I cannot reach the staff’s phones now." in words
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
    assert view(show(snapshot(State.COMING, **COMING))).headline == "Sam is coming, in about 1 minute."
    soon = snapshot(State.COMING, coming=(Going(responder=SAM, eta_s=20), Going(responder=PRIYA, eta_s=200)))
    assert view(show(soon)).headline == "Sam is coming, in less than a minute."
    assert "Priya is coming too" in told(show(soon))
    overdue = snapshot(State.COMING, coming=(Going(responder=SAM, eta_s=0),))
    assert view(show(overdue)).headline == "Sam is later than they said."
    assert "Sam is later than they said. I am asking again." in told(show(snapshot(timeline=LATE)))


def test_a_touched_choice_asks_which_and_a_picture_opens_its_steps() -> None:
    shown = show(snapshot(seen=(SAM,)))
    which = view(shown, after(shown, "Chest or breathing"))
    assert (which.kind, which.headline) == (Kind.CASES, "Which is it? Touch the picture.")
    assert [one.text for one in which.buttons] == ["Chest pain", "I cannot breathe", "Choking", "I am not sure"]
    assert all(one.picture for one in which.buttons[:3])
    local = after(shown, "Chest or breathing", "Choking")
    assert view(shown, local).kicker == "Choking · step 1 of 5"
    assert view(shown, touched(local, Go.NEXT, 0)).kicker == "Choking · step 2 of 5"
    assert view(shown, touched(local, Go.CHOICES, 0)).kind is Kind.WAITING
    assert (
        view(show(snapshot(choice=Choice.CHOKING))).kicker == "Choking · step 1 of 5"
    )  # a screen that lost all it knew


def test_who_is_not_sure_or_does_not_decide_gets_the_steps_for_all_of_them() -> None:
    shown = show(snapshot(seen=(SAM,)))
    unsure = view(shown, after(shown, "Chest or breathing", "I am not sure"))
    assert unsure.kicker == "Chest or breathing · step 1 of 4"
    local = after(shown, "Someone is hurt")
    assert settle(local, shown, UNDECIDED_S - 0.1).opened is Go.CASES
    late = settle(local, shown, UNDECIDED_S)
    assert page(shown, late, DESK, UNDECIDED_S, UNDECIDED_S, ENGLISH).kicker == "Someone is hurt · step 1 of 4"


def test_who_does_not_feel_safe_is_asked_nothing_more() -> None:
    shown = show(snapshot(seen=(SAM,)))
    found = view(shown, after(shown, "I don’t feel safe"))
    assert (found.kind, found.headline, found.prompts) == (Kind.STEPS, "Keep your distance.", ())
    assert "Say it again" not in found.texts()


def test_the_group_of_a_case_is_marked_where_it_is_asked_again() -> None:
    shown = show(snapshot(choice=Choice.CHOKING))
    asked = view(shown, after(shown, "It is something else"))
    assert [one.text for one in asked.buttons if one.style is Style.CHOSEN] == ["Chest or breathing"]
    assert button(asked, "Back to the steps").does is Go.STEPS
    assert view(shown, after(shown, "It is something else", "Back to the steps")).kind is Kind.STEPS


def test_feeling_unsafe_is_never_written_on_the_screen_again() -> None:
    shown = show(snapshot(choice=Choice.NOT_SAFE, emergency=True))
    assert "safe" not in told(shown)
    assert "safe" not in told(shown, Local(incident="i-1", emergency_put_away=True))


@pytest.mark.parametrize("choice", [Choice.NOT_SAFE, Choice.ROBBERY])
def test_what_may_give_a_person_away_is_never_marked_as_chosen(choice: Choice) -> None:
    shown = show(snapshot(choice=choice))
    local = after(shown, "It is something else")
    assert {one.style for one in view(shown, local).buttons} == {Style.PLAIN}


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
    local = after(shown, "It is something else", "Chest or breathing", "Chest pain")
    assert view(shown, local).kicker == "Chest pain · step 1 of 4"


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
        assert seen_of(view(shown)) == seen_of(view(plain))
        assert view(shown).prompts == ()  # a voice would be heard by whoever stands beside them


@pytest.mark.parametrize("phrase", sorted(NEVER_READ_BACK))
def test_a_covert_phrase_is_never_read_back(phrase: str) -> None:
    words = told(show(snapshot(State.CHECKING, severity=Severity.CHECK, trigger=Trigger.VOICE, phrase=phrase)))
    assert "heard" not in words
    assert phrase not in PHRASES


def test_the_card_says_that_a_suggestion_is_no_more_than_that() -> None:
    found = view(show(snapshot(emergency=True, guess=Choice.CHEST_OR_BREATHING)))
    assert found.card is not None
    assert "Someone spoke of the chest or of breathing." in found.card.lines
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
        "No one here has answered yet. Call now.",
    )
    assert found.card is not None
    assert found.card.lead == FACE.address
    assert found.card.lines == (
        "Service desk 3",
        "Phone here: 0113 496 0000",
        "Trouble with the chest or with breathing.",
        "Name: Ana",
        "It is 2 minutes since this began.",
        "Say how many people need help.",
        "Say if they are awake and breathing.",
        "Say about how old they are.",
        "Say if there is danger here.",
        "Meet the ambulance crew here: the east door",
        "Defibrillator: on the wall beside the east door",
    )
    local = touched(settle(Local(), shown, 0), Go.BACK, 0)
    assert view(shown, local).kind is Kind.STEPS


def test_somebody_on_the_phone_keeps_the_emergency_page_while_the_world_moves_on() -> None:
    local = settle(Local(), show(snapshot(emergency=True)), 0)
    coming = view(show(snapshot(State.COMING, **COMING)), local)
    assert (coming.kind, coming.headline) == (Kind.EMERGENCY, "Sam is coming, in about 1 minute.")
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


SAYS_TO_CALL = re.compile(r"(?<!not )(?<!how to )\bcall (112|999)(?! myself)|call now|ask anyone near", re.IGNORECASE)


@pytest.mark.parametrize("name", [name for name, scene in SCENES.items() if scene.show.incident is not None])
def test_no_scene_that_is_a_drill_tells_anybody_to_call_but_its_steps_which_say_that_it_is_one(name: str) -> None:
    scene = SCENES[name]
    incident = scene.show.incident
    assert incident is not None
    shown = show(incident.model_copy(update={"drill": True}), reach=scene.show.reach)
    found = view(shown, Local(emergency_put_away=incident.emergency))
    says = [text for text in found.texts() if SAYS_TO_CALL.search(text)]
    assert found.mark == "This is a drill"
    assert not says or found.kicker == "Do not call 112 now. In real need:"
    assert not {"say_nobody", "say_unreached", "say_gone"} & set(found.prompts)


@pytest.mark.parametrize(
    "made",
    [
        snapshot(drill=True),
        snapshot(State.COMING, drill=True, **COMING),
        snapshot(State.ATTENDED, drill=True, here=SAM),
        snapshot(drill=True, emergency=True),
        snapshot(drill=True, **CHEST),
        snapshot(drill=True, **PUSHES),
    ],
)
def test_who_does_not_play_is_one_touch_from_a_real_call(made: Snapshot) -> None:
    found = view(show(made))
    real = [one for one in every_button(found) if isinstance(one.does, Touch) and one.does.action is TouchAction.HELP]
    assert [one.text for one in real] in (["I really need help"], ["I still need help"])


def test_the_desk_asks_for_its_opening_press_and_stays_what_it_is() -> None:
    for how, headline in (
        ("press", "Morning test: press the button now."),
        ("touch", "Morning test: touch “I need help” now."),
    ):
        found = view(show(opening=how))
        assert (found.kind, found.headline, found.mark) == (Kind.IDLE, headline, "")
        assert found.body == ("Then touch “Yes, it is the test”.", "If not, it is real.")
        assert found.prompts == (f"say_opening_{how}",)
        assert [one.text for one in found.buttons] == ["I need help", "I need a person", "Call 112 myself"]
    lost = view(show(opening="press", reach=Reach.DISCONNECTED))
    assert (lost.headline, lost.prompts) == ("Hello.", ()), "first comes that nobody can be told"


def test_in_a_walk_test_the_desk_says_so_and_stays_what_it_is() -> None:
    found, plain = view(show(walk_until="10:45")), view(show())
    assert found.body == (*plain.body, "A technician tests this desk until 10:45.")
    assert (found.headline, found.buttons, found.row) == (plain.headline, plain.buttons, plain.row)
    lost = show(reach=Reach.DISCONNECTED)
    both = lost.model_copy(update={"walk_until": "10:45"})
    assert view(both).body == view(lost).body, "first comes that nobody can be told"


def test_while_it_proves_itself_the_desk_says_so_calmly_and_later_that_it_did_today() -> None:
    plain = view(show())
    now, later = view(show(proving="proof-0123456789abcdef")), view(show(tested_at="05:31"))
    assert now.body == (*plain.body, "I test myself now. No one called.")
    assert later == replace(plain, margin="I tested myself today at 05:31")
    assert (now.headline, now.buttons, now.prompts, now.margin) == (plain.headline, plain.buttons, (), "")
    assert view(show(opening="press", tested_at="05:31")).margin == "", "staff press now, and read nothing else"


@pytest.mark.parametrize("name", ["maybe_test", "maybe_test_coming"])
def test_a_call_that_may_be_the_morning_test_is_the_page_of_a_call_and_one_button_more(name: str) -> None:
    shown = SCENES[name].show
    assert shown.incident is not None
    asked = view(shown)
    plain = view(shown.model_copy(update={"incident": shown.incident.model_copy(update={"maybe_test": False})}))
    yes = button(asked, "Yes, it is the test")
    assert yes.does == Touch(action=TouchAction.TEST, incident="i-1")
    assert "Is this the morning test?" in asked.body
    assert tuple(one for one in asked.corner if one is not yes) == plain.corner
    assert (asked.buttons, asked.headline, asked.waiting, asked.bottom, asked.mark) == (
        plain.buttons,
        plain.headline,
        plain.waiting,
        plain.bottom,
        "",
    )
    assert asked.prompts[: len(plain.prompts)] == plain.prompts
    assert "Yes, it is the test" not in plain.texts()


def test_who_is_told_that_nobody_can_be_reached_is_not_asked_whether_it_is_a_test() -> None:
    asked = SCENES["maybe_test_unreached"].show
    assert asked.incident is not None
    plain = asked.model_copy(update={"incident": asked.incident.model_copy(update={"maybe_test": False})})
    assert view(asked) == view(plain)


def test_here_then_over_then_idle() -> None:
    shown = show(snapshot(State.ATTENDED, here=SAM))
    local = settle(Local(), shown, 0)
    assert view(shown, local).headline == "Sam is here."
    assert button(view(shown, local), "I still need help").does == Touch(action=TouchAction.HELP, incident="i-1")
    for over in (show(), show(snapshot(State.CLOSED))):
        closed = settle(local, over, 1)
        assert page(over, closed, DESK, 1, 1, ENGLISH).headline == "Thank you."
        later = settle(closed, over, 1 + THANKS_S)
        assert page(over, later, DESK, 1 + THANKS_S, 1 + THANKS_S, ENGLISH).kind is Kind.IDLE


def test_a_card_that_is_being_read_outlasts_the_incident_and_then_closes_itself() -> None:
    local = touched(settle(Local(), show(snapshot()), 0), Go.EMERGENCY, 0)
    local = settle(local, show(), 10)
    found = page(show(), local, DESK, 10, 10, ENGLISH)
    assert found.kind is Kind.EMERGENCY
    assert button(found, "I need help").does == Touch(action=TouchAction.HELP)
    assert settle(local, show(), 10 + LEFT_OPEN_S).opened is None


def test_a_card_that_was_opened_before_the_alert_stays_in_front_of_it() -> None:
    local = after(show(), "Call 112 myself")
    assert view(show(snapshot()), local).kind is Kind.EMERGENCY


def test_a_card_that_was_left_open_makes_way_for_the_question_to_who_was_heard() -> None:
    check = show(snapshot(State.CHECKING, **CHECK))
    local = after(show(), "Call 112 myself")
    reading = settle(local, check, READING_ON_S - 0.1)
    assert reading.opened is Go.EMERGENCY
    for left in (settle(local, check, READING_ON_S), settle(reading, check, READING_ON_S)):
        found = page(check, left, DESK, READING_ON_S, READING_ON_S, ENGLISH)
        assert (found.kind, found.prompts) == (Kind.CHECKING, ("say_need_help",))
    request = show(snapshot(**PERSON))
    assert settle(after(request, "Call 112 myself"), request, READING_ON_S).opened is Go.EMERGENCY


def test_a_drill_is_one_when_the_hub_goes_too() -> None:
    shown = show(snapshot(drill=True, **CHEST))
    local = settle(Local(), shown, 0)
    gone = view(shown, local, HUB_GONE_S)
    assert (gone.mark, gone.body[0], gone.prompts) == (
        "This is a drill",
        "This is a drill. Do not call 112.",
        ("say_drill", "say_no_call"),
    )
    steps = after(shown, "Show the steps", local=local, now_s=5.0)
    card = after(shown, "Call 112 myself", local=local, now_s=5.0)
    for opened in (steps, card):
        found = view(shown, opened, 5.0)
        assert found.mark == "This is a drill"
        assert {"This is a drill. Do not call 112.", "Do not call 112 now. In real need:"} & set(found.texts())
        assert "Call from any phone:" not in found.texts()
    assert view(shown, steps, 5.0).prompts[:2] == ("say_drill", "say_drill_step")
    pushing = show(snapshot(drill=True, **PUSHES))
    beat = view(pushing, after(pushing, "Next"), 5.0)
    assert (beat.pace, beat.mark, beat.kicker) == (Pace.CPR, "This is a drill", "Do not call 112 now. In real need:")
    assert "say_gone" not in beat.prompts


def test_who_waits_for_a_hub_keeps_their_language_however_long_it_takes() -> None:
    french = replace(Look(), language=Language.FRENCH)
    for waits in (Local(look=french, telling=True), Local(look=french, asking=True)):
        assert settle(waits, show(), 5 * REST_S).look == french
    assert settle(Local(look=french), show(), 5 * REST_S).look == Look()


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
        ("Call 112, or call out loud.", "Or go to a person: the pharmacy counter."),
    )
    assert gone.prompts == ("say_gone",)
    assert page(show(), Local(), DESK, 900, 0, ENGLISH).prompts == ()  # nobody has been there for long
    nowhere = FACE.model_copy(update={"refuge": ""})
    assert view(show(face=nowhere), now_s=HUB_GONE_S).body[1] == "Or ask a person near you."
    assert view(show(), Local(opened=Go.EMERGENCY), HUB_GONE_S).card is not None
    for waits in (Local(telling=True), Local(asking=True)):
        assert view(show(), waits, HUB_GONE_S).body[2] == "You asked for help. I keep trying to pass it on."
    assert view(None, now_s=HUB_GONE_S).kind is Kind.GONE
    assert view(None).kind is Kind.STARTING


@pytest.mark.parametrize("way", [(VIEW,), ("Tell my name",), ("Someone is hurt", "A fall"), ("Someone is hurt",)])
def test_a_hub_that_goes_is_said_over_whatever_was_open(way: tuple[str, ...]) -> None:
    shown = show(snapshot())
    assert view(shown, after(shown, *way), HUB_GONE_S).kind is Kind.GONE


def test_without_a_hub_the_steps_of_every_case_can_be_reached() -> None:
    for group, members in GROUPS.items():
        tiles = ("Show the steps", TEXTS_OF[group])
        for case in members or (group,):
            which = (*tiles, TEXTS_OF[case]) if members else tiles
            found = view(show(), after(show(), *which, now_s=5.0), 5.0)
            assert (found.kind, found.choice) == (Kind.STEPS, case)


def test_what_was_told_stays_when_the_hub_goes() -> None:
    shown = show(snapshot(name="Ana", **CHEST))
    found = view(shown, after(shown, "Show the steps", now_s=5.0), 5.0)
    assert found.kicker == "Chest or breathing · step 1 of 4"
    card = view(shown, after(shown, "Call 112 myself", now_s=5.0), 5.0).card
    assert card is not None
    assert {"Name: Ana", "Trouble with the chest or with breathing."} <= set(card.lines)


def test_steps_outlast_a_hub_that_comes_back_with_nothing_open_and_close_themselves() -> None:
    local = after(show(), "Show the steps", "Someone is hurt", "Bleeding", now_s=5.0)
    later = settle(local, show(), READING_S)
    assert page(show(), later, DESK, READING_S, READING_S, ENGLISH).choice is Choice.BLEEDING
    rested = settle(local, show(), READING_S + 5)
    assert (rested.opened, rested.choice) == (None, None)


def test_a_call_that_is_not_confirmed_is_never_a_claim() -> None:
    for local in (Local(telling=True), Local(asking=True)):
        assert [(one.text, one.done) for one in view(show(), local).waiting] == [("Telling the staff", False)]
        assert view(show(), replace(local, unheard=True)).kind is Kind.GONE
    assert view(show(), Local(asking=True)).headline == "I ask for a person to come."


def test_names_are_cut_where_a_word_ends() -> None:
    assert short("Sam") == "Sam"
    assert short("Anna Maria de la Cruz") == "Anna Maria de"
    assert short("Wilhelmina Featherstonehaugh") == "Wilhelmina"
    assert short("W" * 40) == "W" * 21 + "…"


# --- a person, without alarm ------------------------------------------------------------------------------------------


def test_who_wants_a_person_is_asked_nothing_and_can_still_raise_the_alarm() -> None:
    found = view(show(snapshot(seen=(SAM,), next=next_step("ask_next_tier", 44), **PERSON)))
    assert (found.headline, found.body) == ("I ask for a person to come.", ("No alarm. Take your time.",))
    assert found.bottom == "No answer in 45 seconds: I ask the manager too."
    assert not any(isinstance(one.does, Touch) and one.does.choice for one in every_button(found))
    assert button(found, "I need help").does == Touch(action=TouchAction.HELP, incident="i-1")
    assert view(show(snapshot(State.COMING, **COMING, **PERSON))).headline == "Sam is coming, in about 1 minute."


def test_help_from_there_asks_what_is_happening() -> None:
    local = after(show(snapshot(**PERSON)), "I need help")
    assert view(show(snapshot(choice=None)), local).ask == "What is happening? Touch what fits."


# --- steps ------------------------------------------------------------------------------------------------------------

TEXTS_OF = {choice: case.tile for choice, case in CASES.items()}


@pytest.mark.parametrize("country", ["GB", "US", ""])
@pytest.mark.parametrize("choice", Choice)
def test_the_steps_are_those_of_the_country_and_come_round(choice: Choice, country: str) -> None:
    face = FACE.model_copy(update={"country": country, "defibrillator": "", "police_number": ""})
    shown = show(snapshot(choice=choice if choice is not Choice.PERSON else None), face=face)
    local = settle(Local(choice=choice, incident="i-1"), shown, 0)
    wanted = CASES[choice].shown_in(country)
    for number, at in enumerate((*wanted, wanted[0])):
        found = view(shown, replace(local, step=number))
        assert found.picture == CASES[choice].steps[at].picture
        assert found.step == number % len(wanted)
        assert "{" not in "".join(found.texts())
        assert found.pace is CASES[choice].steps[at].pace


def test_the_numbers_and_places_of_the_desk_stand_in_the_steps() -> None:
    shown = show(snapshot(choice=Choice.COLLAPSE))
    local = settle(Local(step=2), shown, 0)
    assert "It is here: on the wall beside the east door" in told(shown, replace(local, step=2))
    unknown = show(snapshot(choice=Choice.COLLAPSE), face=FACE.model_copy(update={"defibrillator": ""}))
    assert "Ask the staff where it is." in told(unknown, replace(local, step=2))
    robbed = show(snapshot(choice=Choice.ROBBERY))
    assert "When they are gone, call 101." in told(robbed, replace(settle(Local(), robbed, 0), step=2))
    same = show(snapshot(choice=Choice.ROBBERY), face=FACE.model_copy(update={"police_number": ""}))
    assert "When they are gone, call 112." in told(same, replace(settle(Local(), same, 0), step=2))


def test_a_seizure_is_timed_from_its_first_touch_through_a_restart_and_another_case() -> None:
    shown = show(snapshot())
    local = after(shown, "Someone is hurt", "A seizure", now_s=1.0)

    def lasted(local: Local, now_s: float) -> str:
        return page(shown, settle(local, shown, now_s), DESK, now_s, now_s, ENGLISH).body[-1]

    assert lasted(local, 63.5) == "It has lasted 1:02."
    assert lasted(load(dump(local)), 121.0) == "It has lasted 2:00."
    away = touched(touched(local, Go.CHOICES, 90), Touch(action=TouchAction.CHOOSE, choice=Choice.FALL), 95)
    back = touched(away, Touch(action=TouchAction.CHOOSE, choice=Choice.SEIZURE), 150)
    assert lasted(back, 151.0) == "It has lasted 2:30."
    assert lasted(local, 1.0 + LONG_SEIZURE_S) == "More than 5 minutes. Call 112 now."
    drill = show(snapshot(drill=True))
    long = page(drill, settle(local, drill, 400), DESK, 400, 400, ENGLISH)
    assert "Call 112 now" not in "".join(long.texts())


def test_a_step_is_read_aloud_and_said_again_where_there_is_a_voice() -> None:
    shown = show(snapshot(choice=Choice.FALL))
    assert view(shown).prompts == ("fall.1.spoken",)
    assert button(view(shown), "Say it again").does is Go.AGAIN
    mute = Local(look=Look(voice=False))
    for found in (view(shown, mute), view(shown, desk=replace(DESK, speaker=False))):
        assert found.prompts == ()
        assert "Say it again" not in found.texts()


def test_a_step_in_a_drill_says_not_to_call() -> None:
    found = scene_page(SCENES["steps_drill"])
    assert (found.kicker, found.headline) == ("Do not call 112 now. In real need:", "Call 112 now.")
    assert found.prompts[:2] == ("say_drill", "say_drill_step")


def test_what_the_person_told_is_shown_as_told_and_a_fact_once_the_hub_has_it() -> None:
    shown = show(snapshot(seen=(SAM,)))
    local = after(shown, "Someone is hurt", "A fall", "It is something else")
    assert ("You said: A fall", False) in [(one.text, one.done) for one in view(shown, local).waiting]
    known = show(snapshot(seen=(SAM,), choice=Choice.FALL, name="Ana"))
    assert ("You said: A fall. Your name: Ana", True) in [(one.text, one.done) for one in view(known, local).waiting]
    for secret in (Choice.NOT_SAFE, Choice.ROBBERY):
        unsafe = show(snapshot(choice=secret, name="Ana"))
        assert "You said" not in told(unsafe, touched(settle(Local(), unsafe, 0), Go.CHOICES, 0))


# --- what stays while hands push --------------------------------------------------------------------------------------


def test_the_beat_stays_whatever_is_asked_and_shows_it_in_its_own_page() -> None:
    shown = show(snapshot(**PUSHES))
    local = after(shown, "Next")
    for facts, bottom, corner in (
        ({"check_in_open": True}, "Are you still OK?", ["Yes", "It is worse", "Call 112 myself"]),
        ({"severity": Severity.CHECK}, "Do you need help?", ["Yes, help me", "I’m fine", "Call 112 myself"]),
        (
            {"state": State.ATTENDED, "here": SAM},
            "No one there? Touch “I still need help”.",
            ["I still need help", "Call 112 myself"],
        ),
    ):
        found = view(show(snapshot(**{**PUSHES, **facts})), local)
        assert (found.kind, found.pace, found.bottom) == (Kind.STEPS, Pace.CPR, bottom)
        assert [one.text for one in found.corner] == corner
        assert found.prompts == ("collapse.2.spoken",)  # nothing is asked aloud of who has no hand free


def test_that_nobody_answers_stands_above_the_beat_and_the_card_is_one_touch_away_and_back() -> None:
    for reach, top, said in (
        (Reach.OK, "No one here has answered yet. Call now.", "say_nobody"),
        (Reach.NOBODY, "I cannot reach the staff. Call now.", "say_unreached"),
    ):
        shown = show(snapshot(emergency=True, check_in_open=True, **PUSHES), reach=reach)
        local = after(show(snapshot(**PUSHES)), "Next")
        found = view(shown, local)
        assert (found.pace, found.top_left, found.prompts) == (Pace.CPR, top, (said, "collapse.2.spoken"))
        card = after(shown, "Call 112 myself", local=local)
        assert view(shown, card).kind is Kind.EMERGENCY
        answered = show(snapshot(emergency=True, **PUSHES), reach=reach)
        assert view(answered, after(answered, "Back to the steps", local=card)).pace is Pace.CPR
    drill = view(show(snapshot(emergency=True, drill=True, **PUSHES)), after(show(snapshot(**PUSHES)), "Next"))
    assert (drill.pace, drill.kicker) == (Pace.CPR, "Do not call 112 now. In real need:")
    assert "Call now" not in "".join(drill.texts())


def test_a_hub_that_goes_leaves_the_beat_and_is_said_above_it() -> None:
    shown = show(snapshot(**PUSHES))
    for known, before in ((shown, ("Next",)), (show(), ("Show the steps", "Someone is hurt", "Collapsed", "Next"))):
        local = after(known, *before, now_s=0.0 if known is shown else HUB_GONE_S)
        found = view(known, local, 60)
        assert (found.pace, found.top_left, found.prompts) == (
            Pace.CPR,
            "This unit cannot call for you.",
            ("say_gone", "collapse.2.spoken"),
        )
        local = after(known, "Call 112 myself", local=local, now_s=60)
        assert view(known, local, 60).kind is Kind.EMERGENCY
        assert view(known, after(known, "Back to the steps", local=local, now_s=60), 60).pace is Pace.CPR


def test_the_beat_outlasts_an_incident_that_is_closed_from_afar_and_hands_that_touch_nothing() -> None:
    local = after(show(snapshot()), "Someone is hurt", "Collapsed", "Next")
    local = settle(local, show(), 10)
    found = page(show(), local, DESK, 600, 600, ENGLISH)
    assert found.pace is Pace.CPR
    assert settle(local, show(), PUSHING_S).opened is Go.STEPS
    assert settle(local, show(), 10 + PUSHING_S).opened is None
    new = show(snapshot(id="i-2"))
    assert page(new, settle(local, new, 20), DESK, 20, 20, ENGLISH).pace is Pace.CPR


# --- the pace of breathing --------------------------------------------------------------------------------------------


def heard_so(*phrases: str, **facts: Any) -> Show:
    return show(
        snapshot(timeline=tuple(Entry(t_s=5 + at, what="heard", who=one) for at, one in enumerate(phrases)), **facts)
    )


@pytest.mark.parametrize("choice", [Choice.OVERWHELMED, Choice.PERSON])
@pytest.mark.parametrize(("phrase", "opens"), [("breathe", Choice.BREATHING), ("heart", Choice.CHEST_PAIN)])
def test_a_breath_that_is_heard_opens_its_steps_and_ends_the_pace(choice: Choice, phrase: str, opens: Choice) -> None:
    before = show(snapshot())
    local = after(before, "Something else", CASES[choice].tile)
    while view(before, local).pace is not Pace.BREATHING:
        local = touched(local, Go.NEXT, 0)
    worse = heard_so(phrase, choice=choice, severity=Severity.GRAVE)
    found = view(worse, local)
    assert (found.choice, found.step, found.pace) == (opens, 0, None)
    local = after(worse, "It is something else", "Something else", CASES[choice].tile, local=local)
    paces = set()
    for _ in range(6):
        assert view(worse, local).choice is choice
        paces.add(view(worse, local).pace)
        local = settle(touched(local, Go.NEXT, 0), worse, 0)
    assert paces == {None}


def test_what_is_told_of_the_chest_ends_the_pace_for_good_here_and_without_a_hub() -> None:
    shown = show(snapshot())
    local = after(
        shown, "Chest or breathing", "Choking", "It is something else", "Something else", "All too much", "Next"
    )
    assert view(shown, local).pace is None
    assert view(show(snapshot(choice=Choice.OVERWHELMED, guess=Choice.BREATHING)), Local(step=1)).pace is None
    ways = (
        "Show the steps",
        "Chest or breathing",
        "Chest pain",
        "It is something else",
        "Something else",
        "All too much",
    )
    assert view(show(), after(show(), *ways, "Next", now_s=5.0), 5.0).pace is None
    assert view(shown, after(shown, "Something else", "All too much", "Next")).pace is Pace.BREATHING


# --- check-ins --------------------------------------------------------------------------------------------------------


def test_a_check_in_sends_nobody_to_a_button_that_is_not_there() -> None:
    asked = show(snapshot(check_in_open=True))
    assert view(asked).body == ("Touch any of these, or press the button.",)
    assert view(asked, desk=replace(DESK, button=False)).body == ("Touch any of these.",)
    cut = Fault(code="button-loop", where="button", says="the wire is cut", do="mend it")
    assert view(show(snapshot(check_in_open=True), faults=(cut,))).body == ("Touch any of these.",)


def test_a_check_in_waits_for_a_finger_that_is_on_its_way_and_not_for_more() -> None:
    asked = show(snapshot(check_in_open=True))
    for opened in (Go.VIEW, Go.NAME):
        local = replace(settle(Local(), asked, 0), opened=opened, touched_s=10)
        soon, later = 10 + CHECK_IN_WAITS_S - 0.1, 10 + CHECK_IN_WAITS_S
        assert page(asked, settle(local, asked, soon), DESK, soon, soon, ENGLISH).kind is not Kind.CHECK_IN
        assert page(asked, settle(local, asked, later), DESK, later, later, ENGLISH).kind is Kind.CHECK_IN


# --- the emergency page -----------------------------------------------------------------------------------------------


def test_the_card_holds_what_is_asked_in_its_order_and_the_page_what_happened() -> None:
    found = scene_page(SCENES["emergency_so_far"])
    assert found.body == (
        "Police: 101",
        "I keep asking the staff.",
        "So far:",
        "2:30 Sam is late",
        "0:52 Sam said: coming",
        "0:30 the manager asked too",
        "0:00 help was asked for",
        "Steps shown here: Chest or breathing",
    )
    nobody = show(snapshot(emergency=True, timeline=(Entry(t_s=0, what="opened"),)))
    assert "No one has answered." in told(nobody)


def test_the_police_stand_on_every_emergency_page_where_their_number_is_another_one_and_so_tell_nothing() -> None:
    pages = [
        view(show(snapshot(emergency=True, choice=choice)))
        for choice in (None, *Choice)
        if choice is not Choice.SEIZURE
    ]
    pages += [view(shown, Local(opened=Go.EMERGENCY), at_s) for shown in (None, show()) for at_s in (0.0, HUB_GONE_S)]
    assert {(found.kind, found.body[0]) for found in pages} == {(Kind.EMERGENCY, "Police: 101")}
    same = FACE.model_copy(update={"police_number": ""})
    assert "olice" not in told(show(snapshot(emergency=True, choice=Choice.NOT_SAFE), face=same))


def test_who_does_not_feel_safe_is_given_the_number_of_the_police() -> None:
    unsafe = show(snapshot(choice=Choice.NOT_SAFE))
    assert "Call 101 when you can." in told(unsafe, replace(settle(Local(), unsafe, 0), step=2))


def test_the_card_can_be_shown_for_a_phone_and_back() -> None:
    shown = show(snapshot(emergency=True, **CHEST))
    coded = view(shown, after(shown, "Show it for a phone")).card
    assert coded is not None
    assert coded.code.split("\n") == [
        "112",
        FACE.address,
        "Service desk 3",
        "Trouble with the chest or with breathing.",
        "Phone here: 0113 496 0000",
        "Meet the ambulance crew here: the east door",
    ]
    assert view(shown, after(shown, "Show it for a phone", "Show the words")) == view(shown)


@example(address="中" * 200, language=Language.CHINESE)
@given(address=st.text(min_size=1, max_size=200), language=st.sampled_from(Language))
def test_a_code_is_never_too_long_for_a_phone(address: str, language: Language) -> None:
    face = Face(**{**FACE.model_dump(), "address": address})
    shown = show(snapshot(emergency=True, **CHEST), face=face)
    local = settle(Local(opened=Go.EMERGENCY, code=True, incident="i-1"), shown, 0)
    card = page(shown, local, DESK, 0, 0, catalogue(language)).card
    assert card is not None
    assert 3 <= len(card.code.encode()) <= CODE_BYTES
    assert card.code.startswith("112")
    assert not set("\u2068\u2069") & set(card.code)


def test_where_it_cannot_wait_the_way_to_call_has_a_picture() -> None:
    assert [one.picture for one in view(show(snapshot(**CHEST))).corner if one.does is Go.EMERGENCY] == ["call"]
    assert [one.picture for one in view(show(snapshot())).corner if one.does is Go.EMERGENCY] == [""]


# --- languages and look -----------------------------------------------------------------------------------------------


def test_a_touch_on_its_own_name_changes_the_language_and_nothing_else() -> None:
    for language, name in OWN_NAMES.items():
        local = after(show(), name)
        assert local.look == replace(Look(), language=language)
        found = page(show(), local, DESK, 0, 0, catalogue(language))
        assert [one.text for one in found.row if one.style is Style.CHOSEN] == [name]
        assert [one.text for one in found.row[:6]] == list(OWN_NAMES.values())


def test_the_look_has_a_touch_for_each_of_its_sides() -> None:
    shown = show(snapshot())
    local = after(shown, VIEW, "Español")
    found = page(shown, local, DESK, 0, 0, ENGLISH)
    assert (found.kind, len(found.keys)) == (Kind.VIEW, 4)
    for text, changed in (
        ("150 %", {"text_percent": 150}),
        ("200 %", {"text_percent": 200}),
        ("Dark", {"theme": Theme.DARK}),
        ("Strong", {"theme": Theme.CONTRAST}),
        ("Buttons lower", {"low": True}),
        ("Voice off", {"voice": False}),
    ):
        assert button(found, text).does == replace(local.look, **changed)
    silent = page(shown, local, replace(DESK, speaker=False), 0, 0, ENGLISH)
    assert not {"Voice on", "Voice off"} & set(silent.texts())


def test_a_voice_that_was_asked_for_says_that_it_is_there() -> None:
    shown = show()
    assert view(shown, after(shown, "Aa")).prompts == ()
    assert view(shown, after(shown, "Aa", "Voice off")).prompts == ()
    assert view(shown, after(shown, "Aa", "Voice off", "Voice on")).prompts == ("say_voice",)
    assert view(shown, after(shown, "Aa", "Français")).prompts == ("say_voice",)


def test_back_from_the_languages_leads_to_where_it_was() -> None:
    shown = show(snapshot(emergency=True, **CHEST))
    assert view(shown, after(shown, VIEW)).kind is Kind.VIEW
    assert view(shown, after(shown, VIEW, "Back")).kind is Kind.EMERGENCY
    steps = show(snapshot(**CHEST))
    assert view(steps, after(steps, VIEW, "Back")).kind is Kind.STEPS


def test_an_alert_that_nobody_touches_comes_back_to_the_front() -> None:
    shown = show(snapshot())
    for opened in ((VIEW,), ("Tell my name",)):
        local = after(shown, *opened, now_s=1.0)
        assert settle(local, shown, 0.9 + ASIDE_S).opened is not None
        assert settle(local, shown, 1.0 + ASIDE_S).opened is None


def test_the_look_goes_home_a_minute_after_the_last_touch() -> None:
    home = Look(language=Language.FRENCH, theme=Theme.DARK)
    local = at_home(Local(), home)
    assert local.look == home
    mine = touched(local, replace(home, language=Language.HINDI, text_percent=200), 100.0)
    assert settle(mine, show(), 99.9 + REST_S).look.language is Language.HINDI
    assert settle(mine, show(), 100.0 + REST_S).look == home
    busy = settle(mine, show(snapshot()), 100.0 + 5 * REST_S)
    assert busy.look.language is Language.HINDI
    night = replace(home, theme=Theme.CONTRAST)
    assert at_home(mine, night).look == mine.look
    assert settle(at_home(mine, night), show(), 100.0 + REST_S).look == night


def test_a_screen_that_knows_nothing_takes_the_language_of_the_open_incident() -> None:
    french = show(snapshot(language=Language.FRENCH))
    assert settle(Local(), french, 9).look.language is Language.FRENCH
    touched_once = touched(Local(), Look(language=Language.HINDI), 1)
    assert settle(touched_once, french, 9).look.language is Language.HINDI
    assert (
        settle(Local(touched_s=1.0), french, 9).look.language is Language.ENGLISH
    )  # it may be another one's, called covertly


# --- a name -----------------------------------------------------------------------------------------------------------


def test_every_keyboard_fits_and_has_the_letters_of_its_language() -> None:
    shown = show(snapshot())
    for language in Language:
        local = speaks(after(shown, "Tell my name"), language)
        found = page(shown, local, DESK, 0, 0, catalogue(language))
        assert len(found.keys) == 4
        assert max(len(row) for row in found.keys) <= 9
        letters = [one.does.letter for row in found.keys for one in row if isinstance(one.does, Key)]
        assert len(set(letters)) == len(letters)
        assert {"", " "} <= set(letters)
        latin = set(string.ascii_lowercase)
        assert latin <= set(letters) or language is Language.ARABIC
    assert {"ñ", "é"} <= set("".join(LETTERS[Language.SPANISH]))
    assert {"ç", "ë"} <= set("".join(LETTERS[Language.FRENCH]))
    assert len("".join(LETTERS[Language.ARABIC])) >= 34


def test_a_name_is_typed_told_and_then_shown() -> None:
    shown = show(snapshot(seen=(SAM,)))
    local = after(shown, "Tell my name", *"ANB", "Erase", "A", "Space", "Space", "L")
    found = view(shown, local)
    assert found.entry == "Ana L"
    done = button(found, "Done").does
    assert done == Touch(action=TouchAction.NAME, incident="i-1", name="Ana L")
    told_it = touched(local, done, 0)
    assert (told_it.opened, told_it.entry) == (None, "")
    named = view(show(snapshot(seen=(SAM,), name="Ana L")), told_it)
    assert "Your name: Ana L" in named.texts()
    assert "Tell my name" not in named.texts()


def test_a_name_can_be_left_out_and_is_never_too_long() -> None:
    shown = show(snapshot())
    assert "Done" not in view(shown, after(shown, "Tell my name")).texts()
    assert view(shown, after(shown, "Tell my name", "Space", "Leave it out")).kind is Kind.WAITING
    assert len(after(shown, "Tell my name", *("W" * 30)).entry) == NAME_LETTERS


# --- what it hears and keeps ------------------------------------------------------------------------------------------


def test_the_log_is_what_was_kept_in_the_local_time_of_the_desk() -> None:
    shown = show(heard=(*HEARD, HEARD[0]))
    zone = timezone(timedelta(hours=2))
    found = page(shown, Local(opened=Go.EAR), replace(DESK, zone=zone), 0, 0, ENGLISH)
    assert found.card is not None
    assert found.card.lines == (
        "16:31 · “help me” · 4.2",
        "16:12 · “I can’t breathe” · 3.1",
        "16:05 · “help” · 2.6",
        "16:01 · “call the police” · 5.0",
    )
    empty = view(show(), Local(opened=Go.EAR)).card
    assert empty is not None
    assert empty.lines == ("I have heard no help words yet.",)


def test_the_log_does_not_read_back_what_might_give_somebody_away() -> None:
    secret = HEARD[0].model_copy(update={"phrase": HEARD_WORD})
    card = view(show(heard=(secret,)), Local(opened=Go.EAR)).card
    assert card is not None
    assert card.lines == ("14:31 · “a help word” · 4.2",)


def test_a_pause_is_one_touch_and_says_who_sees_it_and_how_long_it_lasts() -> None:
    ear = Local(opened=Go.EAR)
    assert button(view(show(), ear), "Turn the microphone off").does == Touch(action=TouchAction.PAUSE)
    paused = view(show(hearing=Hearing.PAUSED, hearing_back_s=870), ear, 3.0)
    assert button(paused, "Turn the microphone on").does == Touch(action=TouchAction.RESUME)
    assert paused.body[:2] == ("Staff see that the microphone is off.", "I will listen again in 14 minutes.")
    for reach in (Reach.DISCONNECTED, Reach.NOBODY):
        unseen = view(show(hearing=Hearing.PAUSED, hearing_back_s=870, reach=reach), ear, 3.0)
        assert unseen.body[:2] == ("Microphone off for now · touch or press", "I will listen again in 14 minutes.")
    assert view(show(hearing=Hearing.OFF), ear).buttons == ()
    assert "I cannot hear now · touch or press" in view(show(hearing=Hearing.DEAF), ear).body


# --- the voice --------------------------------------------------------------------------------------------------------


def test_each_turn_of_the_page_says_what_is_so() -> None:
    for scene, wanted in (
        ("checking", ("say_need_help",)),
        ("raised_telling", ("say_telling", "say_what")),
        ("raised", ("say_seen",)),
        ("raised_fine", ("say_asking_more",)),
        ("raised_declined_late", ("say_late",)),
        ("raised_disconnected", ("say_unreached",)),
        ("cases_chest", ("say_which",)),
        ("coming", ("say_coming",)),
        ("coming_overdue", ()),
        ("check_in", ("say_still_ok",)),
        ("person_check_in", ()),
        ("attended", ("say_here",)),
        ("emergency", ("say_nobody",)),
        ("emergency_unreached", ("say_unreached",)),
        ("idle_emergency", ()),
        ("person", ("say_person",)),
        ("idle", ()),
        ("ear", ()),
        ("name", ()),
    ):
        assert scene_page(SCENES[scene]).prompts == wanted, scene
    missed = snapshot(check_ins_missed=1, severity=Severity.GRAVE, tier=2)
    assert view(show(missed)).prompts == ("say_missed",)
    assert view(show(), Local(telling=True)).prompts == ("say_telling",)
    assert view(show(), Local(incident="i-1", closed_s=0.0)).prompts == ("say_thanks",)


@pytest.mark.parametrize("choice", [Choice.NOT_SAFE, Choice.ROBBERY])
def test_nothing_is_said_aloud_of_who_may_not_feel_safe_to_the_very_end(choice: Choice) -> None:
    for facts in ({}, {"emergency": True}, {"check_in_open": True}, COMING):
        state = State.COMING if "coming" in facts else State.RAISED
        for told_so in ({"choice": choice}, {"guess": choice}):
            shown = show(snapshot(state, **{**facts, **told_so}))
            local = settle(Local(), shown, 0)
            assert view(shown, local).prompts == ()
            assert view(shown, local, HUB_GONE_S).prompts == ()
            over = settle(local, show(), 1)
            assert page(show(), over, DESK, 1, 1, ENGLISH).prompts == ()


@pytest.mark.parametrize("phrases", [("let_go", "breathe"), ("breathe", "let_go")])
def test_a_voice_that_fell_silent_stays_silent_in_that_incident(phrases: tuple[str, ...]) -> None:
    both = heard_so(*phrases, guess=Choice.BREATHING)
    assert view(both).prompts == ()
    secrets: tuple[dict[str, Any], ...] = ({"guess": Choice.NOT_SAFE}, {"choice": Choice.ROBBERY})
    for secret in secrets:
        local = settle(Local(), show(snapshot(**secret)), 0)
        chest = show(snapshot(**CHEST))
        assert view(chest, local).prompts == ()
        assert view(show(snapshot(id="i-2", **CHEST)), local).prompts == ("chest_or_breathing.1.spoken",)
    unsafe = show(snapshot())
    changed = after(unsafe, "I don’t feel safe", "It is something else", "Something else", "All too much")
    assert view(unsafe, changed).prompts == ()


# --- the table --------------------------------------------------------------------------------------------------------

LINES = [
    (key, line)
    for key, text in every_text().items()
    for line in ((text.one, text.many) if isinstance(text, Plural) else (text,))
]


@pytest.mark.parametrize(("key", "line"), LINES)
def test_a_text_is_short_and_calm(key: str, line: str) -> None:
    heard_only = key.startswith("say_") or key.endswith(".spoken")
    for sentence in re.split(r"(?<=[.?]) ", line) if heard_only else [line]:
        assert len(sentence.split()) <= 12
    assert "!" not in line
    assert "on the way" not in line


def test_every_case_has_its_group() -> None:
    assert {group_of(choice) for choice in Choice} == set(GROUPS)
    assert sorted([*GROUPS, *(case for cases in GROUPS.values() for case in cases)]) == sorted(Choice)
    assert all(len(cases) <= 5 for cases in GROUPS.values())  # and "I am not sure": two rows of three


def test_the_pace_of_breathing_is_far_from_who_cannot_breathe() -> None:
    paced = {choice for choice, case in CASES.items() for step in case.steps if step.pace is Pace.BREATHING}
    assert paced == {Choice.OVERWHELMED, Choice.PERSON}


def test_an_emergency_page_that_came_by_itself_goes_when_somebody_is_at_the_desk() -> None:
    alone = show(snapshot(emergency=True, reach=Reach.NOBODY), reach=Reach.NOBODY)
    here = show(snapshot(State.ATTENDED, here=SAM))
    by_itself = settle(Local(), alone, 1)
    assert view(alone, by_itself, 1).kind is Kind.EMERGENCY
    assert view(here, settle(by_itself, here, 3), 3).kind is Kind.ATTENDED
    opened = touched(settle(Local(), show(snapshot()), 1), Go.EMERGENCY, 2)
    assert view(here, settle(opened, here, 3), 3).kind is Kind.EMERGENCY
