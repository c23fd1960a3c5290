"""A touch is sent until the hub's own words confirm it, and a call for help outlives what it was touched in."""

from typing import Any

import pytest

from kiosk.messages import Choice, Severity, State, Touch, TouchAction
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


def test_help_waits_for_a_hub_that_is_away(line: Line) -> None:
    touches = Touches(line.send)
    line.up = False
    touches.add(HELP, State.IDLE, 0)
    touches.send_due(50)
    assert (line.sent, touches.telling, touches.unheard(UNHEARD_S)) == ([], True, True)
    line.up = True
    touches.linked(60)
    assert line.sent == [HELP]


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
