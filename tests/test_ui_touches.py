"""A touch is sent until the hub's own words confirm it, and a call for help outlives what it was touched in."""

from typing import Any

import pytest

from kiosk.local import Local
from kiosk.messages import Choice, Hearing, Language, Severity, State, Touch, TouchAction
from kiosk.page import Look
from kiosk.ui.touches import RESEND_S, UNHEARD_S, Touches
from tests.screen import PRIYA, show, snapshot

HELP = Touch(action=TouchAction.HELP)


class Line:
    """Takes touches while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.sent: list[Touch] = []

    def send(self, touch: Touch) -> bool:
        if self.up:
            self.sent.append(touch)
        return self.up


@pytest.fixture
def line() -> Line:
    return Line()


def test_help_is_sent_again_until_the_hub_shows_an_alert(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(HELP, State.IDLE, 0)
    touches.shown(show())
    touches.send_due(RESEND_S - 0.1)
    assert line.sent == [HELP]
    touches.send_due(RESEND_S)
    assert line.sent == [HELP, HELP]
    touches.shown(show(snapshot()))
    touches.send_due(99)
    assert (len(line.sent), touches.telling) == (2, False)


def test_help_that_was_a_technicians_test_is_over_and_the_next_touch_calls_again(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(HELP, State.IDLE, 0)
    touches.shown(show(walk_until="10:45"))
    assert touches.telling
    touches.shown(show(walk_until="10:45", touch_tested=True))
    assert not touches.telling
    touches.add(HELP, State.IDLE, 5)
    assert (len(line.sent), touches.telling) == (2, True)


def test_help_that_the_hub_never_got_is_no_test(line: Line) -> None:
    touches = Touches(line.send)
    line.up = False
    touches.add(HELP, State.IDLE, 0)
    touches.shown(show(touch_tested=True))
    assert touches.telling


def test_help_waits_for_a_hub_that_is_away(line: Line) -> None:
    touches = Touches(line.send)
    line.up = False
    touches.add(HELP, State.IDLE, 0)
    touches.send_due(50)
    assert (line.sent, touches.telling, touches.unheard(UNHEARD_S)) == ([], True, True)
    line.up = True
    touches.linked(60)
    assert line.sent == [HELP]


def test_yes_it_is_the_test_is_sent_again_until_nobody_is_asked_any_more(line: Line) -> None:
    touches = Touches(line.send)
    yes = Touch(action=TouchAction.TEST, incident="i-1")
    touches.add(yes, State.RAISED, 0)
    touches.shown(show(snapshot(maybe_test=True)))
    touches.send_due(RESEND_S)
    assert line.sent == [yes, yes]
    touches.shown(show(snapshot(drill=True)))
    touches.send_due(99)
    assert len(line.sent) == 2


def test_a_second_touch_of_help_does_not_start_the_wait_anew(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(HELP, State.IDLE, 0)
    touches.add(HELP, State.IDLE, 3)
    assert touches.unheard(UNHEARD_S)


def test_help_in_a_check_is_confirmed_by_the_alert_and_not_by_the_check(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(HELP.model_copy(update={"incident": "i-1"}), State.CHECKING, 0)
    touches.shown(show(snapshot(State.CHECKING, severity=Severity.CHECK)))
    assert touches.telling
    touches.shown(show(snapshot()))
    assert not touches.telling


def test_help_in_an_incident_that_ended_meanwhile_opens_a_new_one(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(HELP.model_copy(update={"incident": "i-1"}), State.CHECKING, 0)
    touches.shown(show())
    touches.send_due(RESEND_S)
    assert line.sent[-1] == HELP


def test_help_beside_a_responder_is_confirmed_when_the_alert_is_raised_again(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(HELP.model_copy(update={"incident": "i-1"}), State.ATTENDED, 0)
    touches.shown(show(snapshot(State.ATTENDED, here=PRIYA)))
    assert touches.telling
    touches.shown(show(snapshot(State.RAISED)))
    assert not touches.telling


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (TouchAction.FINE, {}, {"says_fine": True}),
        (TouchAction.STILL_OK, {"check_in_open": True}, {}),
        (TouchAction.LATER, {"check_in_open": True}, {}),
        (TouchAction.WORSE, {"check_in_open": True}, {"severity": Severity.GRAVE}),
    ],
)
def test_every_other_touch_is_confirmed_by_what_it_changes(
    line: Line, action: TouchAction, before: dict[str, Any], after: dict[str, Any]
) -> None:
    touches = Touches(line.send)
    touches.add(Touch(action=action, incident="i-1"), State.RAISED, 0)
    touches.shown(show(snapshot(**before)))
    touches.send_due(RESEND_S)
    assert len(line.sent) == 2
    touches.shown(show(snapshot(**after)))
    touches.send_due(99)
    assert len(line.sent) == 2


def test_a_choice_is_confirmed_by_itself_and_another_replaces_it(line: Line) -> None:
    touches = Touches(line.send)
    hurt = Touch(action=TouchAction.CHOOSE, incident="i-1", choice=Choice.SOMEONE_HURT)
    chest = Touch(action=TouchAction.CHOOSE, incident="i-1", choice=Choice.CHEST_OR_BREATHING)
    touches.add(hurt, State.RAISED, 0)
    touches.add(chest, State.RAISED, 0.5)
    touches.shown(show(snapshot(choice=Choice.SOMEONE_HURT)))
    touches.send_due(5)
    assert line.sent == [hurt, chest, chest]
    touches.shown(show(snapshot(choice=Choice.CHEST_OR_BREATHING)))
    touches.send_due(9)
    assert len(line.sent) == 3


def test_what_was_said_in_an_incident_ends_with_it(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(Touch(action=TouchAction.FINE, incident="i-1"), State.RAISED, 0)
    touches.shown(show(snapshot(id="i-2")))
    touches.send_due(99)
    assert len(line.sent) == 1


# --- a person, a language, a microphone, a name -----------------------------------------------------------------------


def test_asking_for_a_person_is_confirmed_by_any_incident_that_the_desk_shows(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(Touch(action=TouchAction.PERSON), State.IDLE, 0)
    touches.shown(show())
    touches.shown(show(snapshot(silent=True)))
    assert (touches.asking, touches.telling, touches.unheard(UNHEARD_S)) == (True, False, True)
    touches.shown(show(snapshot(severity=Severity.CHECK, choice=Choice.PERSON)))
    assert not touches.asking


def test_a_name_is_confirmed_by_itself(line: Line) -> None:
    touches = Touches(line.send)
    name = Touch(action=TouchAction.NAME, incident="i-1", name="Ana")
    touches.add(name, State.RAISED, 0)
    touches.shown(show(snapshot()))
    touches.send_due(RESEND_S)
    touches.shown(show(snapshot(name="Ana")))
    touches.send_due(99)
    assert line.sent == [name, name]


def test_a_pause_is_confirmed_by_the_microphone_and_taken_back_by_its_opposite(line: Line) -> None:
    touches = Touches(line.send)
    pause, resume = Touch(action=TouchAction.PAUSE), Touch(action=TouchAction.RESUME)
    touches.add(pause, State.IDLE, 0)
    touches.shown(show())
    touches.send_due(RESEND_S)
    touches.add(resume, State.IDLE, RESEND_S)
    touches.send_due(2 * RESEND_S)
    assert line.sent == [pause, pause, resume, resume]
    touches.shown(show(hearing=Hearing.PAUSED))
    touches.send_due(3 * RESEND_S)
    touches.shown(show())
    touches.send_due(99)
    assert line.sent[4:] == [resume]


def test_a_pause_of_an_ear_that_is_away_is_confirmed_by_its_end(line: Line) -> None:
    touches = Touches(line.send)
    touches.add(Touch(action=TouchAction.PAUSE), State.IDLE, 0)
    touches.shown(show(hearing=Hearing.DEAF, hearing_back_s=900))
    touches.send_due(99)
    assert len(line.sent) == 1


def spoken(language: Language, incident: str | None = None) -> Touch:
    return Touch(action=TouchAction.LANGUAGE, incident=incident, language=language)


def test_the_language_is_told_once_and_again_to_a_hub_that_was_away(line: Line) -> None:
    touches = Touches(line.send)
    for at_s in range(5):
        touches.speaks(Language.HINDI, show(), at_s)
        touches.shown(show())
    assert line.sent == [spoken(Language.HINDI)]
    touches.linked(10)
    touches.speaks(Language.HINDI, show(), 10)
    assert line.sent == [spoken(Language.HINDI)] * 2


def test_a_language_that_could_not_be_sent_is_not_confirmed_by_an_old_page(line: Line) -> None:
    touches = Touches(line.send)
    line.up = False
    touches.speaks(Language.HINDI, None, 0)
    touches.shown(show())
    line.up = True
    touches.linked(5)
    assert line.sent == [spoken(Language.HINDI)]


def test_an_incident_in_another_language_is_told_which_one_the_screen_shows(line: Line) -> None:
    touches = Touches(line.send)
    open_ = show(snapshot(language=Language.ENGLISH))
    for at_s in (0, 1, 2, 3):
        touches.speaks(Language.ARABIC, open_, at_s)
        touches.send_due(at_s)
        touches.shown(open_)
    assert line.sent == [spoken(Language.ARABIC, "i-1")] * 2
    known = show(snapshot(language=Language.ARABIC))
    touches.shown(known)
    touches.speaks(Language.ARABIC, known, 4)
    touches.send_due(99)
    assert len(line.sent) == 2


def test_a_language_changed_back_before_it_arrived_is_told_as_it_is(line: Line) -> None:
    touches = Touches(line.send)
    open_ = show(snapshot())
    touches.speaks(Language.FRENCH, open_, 0)
    touches.speaks(Language.ENGLISH, open_, 1)
    assert line.sent == [spoken(Language.FRENCH, "i-1"), spoken(Language.ENGLISH, "i-1")]


# --- what was touched here, told to each incident that lacks it -------------------------------------------------------


def test_what_an_incident_lacks_is_told_once_it_is_open_and_until_it_shows(line: Line) -> None:
    touches = Touches(line.send)
    untold = frozenset({TouchAction.CHOOSE, TouchAction.NAME, TouchAction.WORSE})
    local = Local(incident="i-1", choice=Choice.FALL, name="Ana", untold=untold)
    for nothing in (None, show(), show(snapshot(silent=True)), show(snapshot(id="i-2"))):
        touches.tells(local, nothing, 0)
    assert [touch.action for touch in line.sent if touch.action is not TouchAction.LANGUAGE] == []
    line.sent.clear()
    touches.tells(local, show(snapshot()), 1)
    touches.tells(local, show(snapshot()), 1.1)
    assert line.sent == [
        Touch(action=TouchAction.CHOOSE, incident="i-1", choice=Choice.FALL),
        Touch(action=TouchAction.NAME, incident="i-1", name="Ana"),
        Touch(action=TouchAction.WORSE, incident="i-1"),
    ]
    touches.shown(show(snapshot(choice=Choice.FALL, name="Ana", severity=Severity.GRAVE)))
    touches.send_due(99)
    assert len(line.sent) == 3


def test_asking_for_a_person_in_guidance_makes_no_alarm_of_a_check(line: Line) -> None:
    touches = Touches(line.send)
    local = Local(incident="i-1", choice=Choice.PERSON, untold=frozenset({TouchAction.CHOOSE}))
    touches.tells(local, show(snapshot(State.CHECKING, severity=Severity.CHECK)), 0)
    assert line.sent == []


@pytest.mark.parametrize("silent", [False, True])
def test_an_incident_is_told_a_language_only_when_a_person_touched_it(line: Line, silent: bool) -> None:
    touches = Touches(line.send)
    spanish = show(snapshot(language=Language.SPANISH, silent=silent))
    touches.tells(Local(incident="i-1"), spanish, 0)
    assert line.sent == []
    touches.tells(Local(incident="i-1", look=Look(language=Language.HINDI), mine=True), spanish, 1)
    assert [touch.language for touch in line.sent] == [Language.HINDI]
