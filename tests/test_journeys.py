"""Whole journeys of a person at the desk, without pixels: incident machine, touches and pages together, in virtual time."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kiosk import events as ev
from kiosk.alertd import ALWAYS_MEANT, _touch_event
from kiosk.config import EscalationSection, UnitSection
from kiosk.guidance import CASES, GROUPS, Pace
from kiosk.incident import IncidentMachine
from kiosk.local import THANKS_S, UNDECIDED_S
from kiosk.messages import (
    Choice,
    Hearing,
    Language,
    Outcome,
    Reach,
    Severity,
    Show,
    Snapshot,
    State,
    Touch,
    TouchAction,
)
from kiosk.page import Button, Kind, Page
from kiosk.pages import HUB_GONE_S, Local, dump, load, page, settle, touched
from kiosk.ui.catalogues import load as catalogue
from kiosk.ui.touches import Touches
from tests.screen import DESK, FACE, PRIYA, SAM, every_button

UNIT = UnitSection(store="harbour", id="desk3", place=FACE.place, address=FACE.address)
RULES = EscalationSection(tiers=("the staff", "the manager"))
TICK_S = 0.25
DRILL = ev.DrillStarted("drill-1", "chest_pain", SAM)
_ids = itertools.count(1)


def reply() -> str:
    return f"reply-{next(_ids):06d}"


class Desk3:
    """A desk: the hub's machine, the screen's touches and pages, and a clock that moves when told to."""

    def __init__(self, *, staffed: bool = True) -> None:
        self.now_s = 1000.0
        self.machine = IncidentMachine(RULES, lambda: f"incident-{next(_ids)}")
        self.hub_up = True
        self.local = Local(touched_s=self.now_s)
        self.touches = Touches(self._send)
        self.show: Show | None = None
        self.shown_s = self.now_s
        self.count = 0
        self.said: list[tuple[str, ...]] = []
        listeners = (ev.Listener(SAM, 1), ev.Listener(PRIYA, 1)) if staffed else ()
        self.happens(ev.ReachChanged(Reach.OK if staffed else Reach.NOBODY, listeners))

    # --- the hub ------------------------------------------------------------------------------------------------------

    def happens(self, event: ev.Event) -> None:
        self.machine.handle(event, self.now_s)
        self._hub_shows()

    def _send(self, touch: Touch) -> bool:
        if self.hub_up:
            open_id = self.machine.desk.id if self.machine.desk else None
            event = _touch_event(touch)
            if event is not None and (touch.action in ALWAYS_MEANT or touch.incident == open_id):
                self.machine.handle(event, self.now_s)
        return self.hub_up

    def _hub_shows(self) -> None:
        if not self.hub_up:
            return
        incident = self.machine.incident
        self.show = Show(
            face=FACE,
            incident=self.machine.desk_snapshot(UNIT, self.now_s, datetime(2026, 1, 1, tzinfo=UTC)),
            told=incident is not None,
            hearing=Hearing.LISTENING,
            reach=self.machine.reach,
            listeners=len(self.machine.listeners),
        )
        self.shown_s = self.now_s
        self.touches.shown(self.show)
        self._refresh()

    def snapshot(self) -> Snapshot:
        assert self.machine.incident is not None
        return self.machine.snapshot(self.machine.incident, UNIT, self.now_s, datetime(2026, 1, 1, tzinfo=UTC))

    # --- the screen ---------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        self.local = settle(self.local, self.show, self.now_s)
        touches = self.touches
        touches.tells(self.local, self.show, self.now_s)
        self.local = replace(
            self.local, telling=touches.telling, asking=touches.asking, unheard=touches.unheard(self.now_s)
        )
        prompts = self.page.prompts
        if prompts and prompts != (self.said or [()])[-1]:
            self.said.append(prompts)

    @property
    def page(self) -> Page:
        tongue = catalogue(self.local.look.language)
        return page(self.show, self.local, DESK, self.now_s, self.shown_s, tongue)

    def button(self, text: str) -> Button:
        found = {one.text: one for one in every_button(self.page)}
        assert text in found, f"no {text!r} on {self.page.kind}: {sorted(found)}"
        return found[text]

    def touch(self, *texts: str) -> Page:
        """Touch one button after the other, each on the page that is there then."""
        for text in texts:
            self.count += 1
            shown, does = self.page, self.button(text).does
            self.local = touched(self.local, does, self.now_s)
            if isinstance(does, Touch):
                self.touches.add(does, shown.state, self.now_s)
            self._hub_shows()
            self._refresh()
        return self.page

    def restart_screen(self) -> None:
        """Kill the screen and start it again, with what it wrote down."""
        self.local = load(dump(self.local))
        self.touches = Touches(self._send)
        self._hub_shows()
        self._refresh()

    def wait(self, seconds: float) -> Page:
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            deadline_s = self.machine.deadline_s
            if self.hub_up and deadline_s is not None and deadline_s <= self.now_s:
                self.machine.handle(ev.TimePassed(), self.now_s)
            if self.now_s % 1.0 == 0:
                self._hub_shows()
            self.touches.send_due(self.now_s)
            self._refresh()
        return self.page


# --- how far anything is ----------------------------------------------------------------------------------------------


def test_one_touch_to_an_alert_and_two_more_at_most_to_the_guidance_of_every_case() -> None:
    for group, cases in GROUPS.items():
        for case in cases or (group,):
            desk = Desk3()
            desk.touch("I need help")
            assert (desk.machine.state, desk.count) == (State.RAISED, 1)
            tiles = [CASES[group].tile, CASES[case].tile] if cases else [CASES[group].tile]
            found = desk.touch(*tiles)
            assert (found.kind, found.choice, desk.count - 1 <= 2) == (Kind.STEPS, case, True)
            assert desk.snapshot().choice is case


def test_the_emergency_page_is_one_touch_from_every_page_of_an_alert() -> None:
    for way in ((), ("Someone is hurt",), ("Someone is hurt", "A fall"), ("Tell my name",), ("文 ع A Language",)):
        desk = Desk3()
        desk.touch("I need help", *way)
        assert desk.touch("Call 112 myself").kind is Kind.EMERGENCY


# --- the journeys -----------------------------------------------------------------------------------------------------


def test_press_answered_and_over() -> None:
    desk = Desk3()
    assert desk.page.headline == "Hello. We are here."
    desk.happens(ev.ButtonPressed())
    assert (desk.page.kind, desk.page.headline) == (Kind.WAITING, "Stay here. I am with you.")
    desk.happens(ev.ResponderSeen(SAM, reply()))
    assert ("Sam’s phone shows it", True) in [(line.text, line.done) for line in desk.page.waiting]
    desk.happens(ev.ResponderComing(SAM, reply(), 60.0))
    assert desk.page.headline == "Sam is coming, in about 1 minute."
    desk.wait(20)
    desk.happens(ev.ResponderHere(SAM, reply()))
    assert desk.page.headline == "Sam is here."
    desk.happens(ev.ResponderClosed(SAM, reply(), Outcome.REAL))
    assert desk.page.headline == "Thank you."
    assert desk.wait(THANKS_S + 1).kind is Kind.IDLE
    assert desk.said == [
        ("say_telling", "say_what"),
        ("say_seen",),
        ("say_coming",),
        ("say_here",),
        ("say_thanks",),
    ]


def test_voice_confirmed() -> None:
    desk = Desk3()
    desk.happens(ev.PhraseHeard("chest", 3.0, opens=Choice.CHEST_PAIN))
    assert (desk.page.headline, desk.page.top_right) == ("Do you need help?", "I heard “chest pain”")
    found = desk.touch("Yes, help me")
    assert (desk.machine.state, desk.count) == (State.RAISED, 1)
    assert found.kicker == "Chest pain · step 1 of 4"
    assert desk.touch("It is something else", "Someone is hurt", "Bleeding").choice is Choice.BLEEDING
    assert desk.snapshot().choice is Choice.BLEEDING


def test_voice_dismissed() -> None:
    desk = Desk3()
    desk.happens(ev.PhraseHeard("help", 3.0))
    desk.touch("I’m fine")
    assert (desk.machine.state, desk.page.headline) == (State.IDLE, "Thank you.")
    assert desk.wait(THANKS_S + 1).kind is Kind.IDLE


def test_voice_unanswered_gets_worse_and_not_better() -> None:
    desk = Desk3()
    desk.happens(ev.PhraseHeard("help", 3.0))
    desk.wait(RULES.check_s + 1)
    assert desk.page.kind is Kind.CHECKING
    desk.wait(RULES.escalate_s + 1)
    assert (desk.machine.state, desk.page.kind) == (State.RAISED, Kind.WAITING)


def test_silent() -> None:
    desk, ordinary = Desk3(), Desk3()
    frames = {ordinary.wait(1) for _ in range(130)}
    assert len(frames) == 2
    before = desk.wait(5)
    desk.happens(ev.ButtonPressed(covert=True))
    assert desk.page != before
    for answer in (ev.ResponderSeen(SAM, reply()), ev.ResponderComing(SAM, reply(), 60.0)):
        desk.happens(answer)
        assert {desk.wait(1) for _ in range(70)} <= frames
    assert desk.said == []
    assert desk.machine.incident is not None
    assert desk.machine.incident.silent


def test_no_answer() -> None:
    desk = Desk3()
    desk.touch("I need help", "Chest or breathing", "Chest pain")
    desk.wait(RULES.escalate_s + 1)
    assert desk.page.kicker == "Chest pain · step 1 of 4"
    found = desk.wait(RULES.escalate_s)
    assert (found.kind, found.top_left) == (Kind.EMERGENCY, "No one here has answered yet. Call now.")
    assert found.card is not None
    assert "Chest pain." in found.card.lines
    assert "0:30 the manager asked too" in found.body
    assert ("say_nobody",) in desk.said
    assert found.ask == "Are you still OK?"
    assert desk.touch("Yes", "Back to the steps").kind is Kind.STEPS
    assert desk.wait(10).kind is Kind.STEPS


def test_nobody_there_at_all() -> None:
    desk = Desk3(staffed=False)
    found = desk.touch("I need help")
    assert (found.kind, found.top_left) == (Kind.EMERGENCY, "I cannot reach the staff. Call now.")
    assert desk.touch("Back").headline == "No staff phone is listening now."


def test_answered_and_late() -> None:
    desk = Desk3()
    desk.touch("I need help")
    desk.happens(ev.ResponderComing(SAM, reply(), 20.0))
    assert desk.wait(21).headline == "Sam is later than they said."
    found = desk.wait(RULES.eta_grace_s)
    assert (found.kind, found.body[0]) == (Kind.WAITING, "Sam is later than they said. I am asking again.")
    assert found.waiting[0].text == "I asked the manager too"
    assert ("say_late",) in desk.said


def test_the_hub_dies_and_comes_back() -> None:
    desk = Desk3()
    desk.touch("I need help", "Someone is hurt", "A seizure")
    desk.hub_up = False
    assert desk.wait(HUB_GONE_S - 0.5).kind is Kind.STEPS
    found = desk.wait(1)
    assert (found.choice, found.top_left) == (Choice.SEIZURE, "This unit cannot call for you.")
    assert desk.said[-1] == ("say_gone", "seizure.1.spoken")
    assert desk.wait(60).body[-1] == "It has lasted 1:04."
    assert desk.touch("It is something else", "Chest or breathing", "Choking").choice is Choice.CHOKING
    desk.hub_up = True
    desk.touches.linked(desk.now_s)
    assert desk.wait(1).choice is Choice.CHOKING
    assert desk.snapshot().choice is Choice.CHOKING


def test_a_hub_that_dies_with_a_touch_under_way_is_told_when_it_is_back() -> None:
    desk = Desk3()
    desk.hub_up = False
    desk.touch("I need help")
    assert desk.page.waiting[0].done is False
    assert desk.wait(HUB_GONE_S + 1).body[-1] == "You asked for help. I keep trying to pass it on."
    desk.touch("Show the steps", "Chest or breathing", "Choking")
    desk.hub_up = True
    desk.touches.linked(desk.now_s)
    found = desk.wait(1)
    assert (desk.machine.state, found.choice, found.kind) == (State.RAISED, Choice.CHOKING, Kind.STEPS)


def test_the_beat_goes_on_for_ten_minutes_whoever_answers_or_not() -> None:
    for eta_s in (None, 300.0):
        desk = Desk3()
        desk.touch("I need help", "Someone is hurt", "Collapsed", "Next")
        if eta_s is not None:
            desk.happens(ev.ResponderComing(SAM, reply(), eta_s))
        assert {desk.wait(1).pace for _ in range(400)} == {Pace.CPR}
        desk.hub_up = False
        assert {desk.wait(1).pace for _ in range(200)} == {Pace.CPR}


def test_what_was_told_without_a_hub_reaches_the_incident_that_comes_later() -> None:
    desk = Desk3()
    desk.hub_up = False
    desk.wait(5)
    desk.touch("I need help")
    desk.wait(5)
    desk.touch("Show the steps", "Chest or breathing", "Chest pain")
    desk.restart_screen()
    desk.touches.add(Touch(action=TouchAction.HELP), State.IDLE, desk.now_s)  # as the process does
    desk.hub_up = True
    desk.touches.linked(desk.now_s)
    desk.wait(3)
    told = desk.snapshot()
    assert (told.choice, told.severity) == (Choice.CHEST_PAIN, Severity.GRAVE)
    assert desk.local.untold == frozenset()


def test_what_was_told_is_not_lost_with_a_screen_that_dies_while_the_hub_is_away() -> None:
    desk = Desk3()
    desk.touch("I need help", "Tell my name", *"ANA")
    desk.happens(ev.ResponderComing(SAM, reply(), 300.0))
    desk.wait(10)
    desk.touch("Tell my name") if desk.page.kind is not Kind.NAME else None
    desk.hub_up = False
    desk.touch("Done", "Someone is hurt", "A fall")
    desk.restart_screen()
    desk.hub_up = True
    desk.touches.linked(desk.now_s)
    desk.wait(3)
    assert (desk.snapshot().name, desk.snapshot().choice) == ("Ana", Choice.FALL)
    desk.wait(RULES.check_in_s)
    desk.hub_up = False
    desk.touch("It is worse")
    desk.restart_screen()
    desk.hub_up = True
    desk.touches.linked(desk.now_s)
    desk.wait(2)
    assert desk.snapshot().severity is Severity.GRAVE
    assert desk.local.untold == frozenset()


def test_a_screen_that_lost_all_it_knew_speaks_as_the_person_called() -> None:
    desk = Desk3()
    desk.touch("Español")
    desk.happens(ev.ButtonPressed())
    desk.wait(3)
    desk.local, desk.touches = Local(), Touches(desk._send)
    desk.wait(2)
    assert (desk.local.look.language, desk.snapshot().language) == (Language.SPANISH, Language.SPANISH)


def test_a_silent_caller_keeps_their_language_for_the_staff_when_the_screen_goes_home() -> None:
    desk = Desk3()
    desk.touch("Español")
    desk.wait(2)
    desk.happens(ev.ButtonPressed(covert=True))
    desk.wait(90)
    assert (desk.local.look.language, desk.snapshot().language) == (Language.ENGLISH, Language.SPANISH)
    found = desk.touch("I need help")
    assert found.headline == "Stay here. I am with you."


def test_another_language_in_mid_alert_and_after_a_restart_of_the_screen() -> None:
    desk = Desk3()
    desk.touch("I need help", "Someone is hurt", "A fall", "文 ع A Language", "Español")
    assert desk.snapshot().language is Language.SPANISH
    spanish = catalogue(Language.SPANISH)
    found = desk.touch(spanish.say("b_back"))
    assert (found.headline, found.choice) == (spanish.say("fall.1.0"), Choice.FALL)
    desk.touch(spanish.say("b_next"))
    before = desk.page
    desk.restart_screen()
    assert desk.page == before
    desk.happens(ev.ResponderHere(SAM, reply()))
    desk.happens(ev.ResponderClosed(SAM, reply(), Outcome.REAL))
    assert desk.wait(70).headline in {"Hello. We are here.", "Welcome. We are here."}
    assert desk.machine.language is Language.ENGLISH


def test_a_language_chosen_before_goes_with_the_alert() -> None:
    desk = Desk3()
    desk.touch("العربية")
    desk.wait(2)
    desk.touch(catalogue(Language.ARABIC).say("b_help"))
    assert desk.snapshot().language is Language.ARABIC


def test_collapse_after_a_check_in() -> None:
    desk = Desk3()
    desk.touch("I need help", "Something else", "All too much")
    desk.happens(ev.ResponderComing(SAM, reply(), 400.0))
    found = desk.wait(RULES.check_in_s + 1)
    assert (found.kind, found.headline) == (Kind.CHECK_IN, "Are you still OK?")
    assert desk.said[-1] == ("say_still_ok",)
    found = desk.wait(RULES.check_in_answer_s)
    assert desk.snapshot().severity is Severity.GRAVE
    assert "You did not answer. I asked the staff to hurry." in [line.text for line in found.waiting]
    found = desk.touch("It is something else", "Someone is hurt", "Collapsed")
    assert found.choice is Choice.COLLAPSE
    assert desk.button("Call 112 myself").picture == "call"


@pytest.mark.parametrize("answer", ["Yes", "It is worse", "Ask me later"])
def test_a_check_in_is_answered_by_one_touch(answer: str) -> None:
    desk = Desk3()
    desk.touch("I need help")
    desk.happens(ev.ResponderComing(SAM, reply(), 400.0))
    desk.wait(RULES.check_in_s + 1)
    assert desk.touch(answer).kind is Kind.COMING
    assert (desk.snapshot().severity is Severity.GRAVE) == (answer == "It is worse")


def test_a_person_without_alarm() -> None:
    desk = Desk3()
    found = desk.touch("I need a person")
    assert (desk.count, found.headline, found.body[0]) == (
        1,
        "I ask for a person to come.",
        "No alarm. Take your time.",
    )
    assert desk.snapshot().severity is Severity.CHECK
    assert desk.touch("Show the steps", "Next").kicker == "A person for you · step 2 of 3"
    assert desk.touch("Back").headline == "I ask for a person to come."
    desk.happens(ev.ResponderComing(PRIYA, reply(), 120.0))
    assert desk.page.headline == "Priya is coming, in about 2 minutes."
    found = desk.touch("I need help")
    assert desk.snapshot().severity is Severity.ALERT
    assert found.ask == "What is happening? Touch what fits."


def test_a_person_asked_for_in_a_silent_alert_shows_what_it_always_shows() -> None:
    desk, ordinary = Desk3(), Desk3()
    desk.happens(ev.ButtonPressed(covert=True))
    shown, expected = desk.touch("I need a person"), ordinary.touch("I need a person")
    assert replace(shown, bottom="").texts() == replace(expected, bottom="").texts()


def test_a_name_is_told_and_travels_with_the_alert() -> None:
    desk = Desk3()
    desk.touch("I need help", "Tell my name", *"ANA")
    desk.restart_screen()
    assert desk.page.entry == "Ana"
    found = desk.touch("Done")
    assert desk.snapshot().name == "Ana"
    assert "Your name: Ana" in [line.text for line in found.waiting]


def test_a_hand_that_cannot_decide_is_shown_what_fits_all() -> None:
    desk = Desk3()
    desk.touch("I need help", "Someone is hurt")
    assert desk.wait(UNDECIDED_S).kicker == "Someone is hurt · step 1 of 4"


def test_still_in_need_after_somebody_was_there() -> None:
    desk = Desk3()
    desk.touch("I need help")
    desk.happens(ev.ResponderHere(SAM, reply()))
    desk.touch("I still need help")
    assert (desk.machine.state, desk.page.kind) == (State.RAISED, Kind.WAITING)


def test_a_drill_looks_like_one_from_its_first_page_to_its_last() -> None:
    desk = Desk3()
    desk.happens(DRILL)
    assert desk.page.mark == "This is a drill"
    assert desk.touch("Chest or breathing", "Chest pain").kicker == "Do not call 112 now. In real need:"
    assert all(prompts[0] == "say_drill" for prompts in desk.said)
    desk.happens(ev.ResponderHere(SAM, reply()))
    desk.happens(ev.ResponderClosed(SAM, reply(), Outcome.TEST))
    assert (desk.page.kind, desk.page.mark) == (Kind.CLOSED, "This is a drill")
    assert TouchAction.HELP in {one.does.action for one in every_button(desk.page) if isinstance(one.does, Touch)}


def test_a_customer_in_a_drill_gets_real_help_with_one_touch() -> None:
    desk = Desk3()
    desk.happens(DRILL)
    found = desk.touch("I really need help")
    assert (found.mark, desk.snapshot().drill) == ("", False)
    assert "I’m fine now" in [one.text for one in found.corner]
    desk.wait(RULES.escalate_s * 2)
    assert desk.page.top_left == "No one here has answered yet. Call now."


def test_a_drill_that_nobody_ends_leaves_the_desk_by_itself() -> None:
    desk = Desk3()
    desk.happens(DRILL)
    desk.happens(ev.ResponderHere(SAM, reply()))
    marks = {desk.wait(1.0).mark for _ in range(290)}
    assert marks == {"This is a drill"}
    assert desk.wait(11.0).kind is Kind.CLOSED
    assert (desk.wait(THANKS_S + 1).kind, desk.page.mark) == (Kind.IDLE, "")


MORNING = ev.ButtonPressed(test=ev.TestAsked("drill-2", SAM))


def test_the_morning_press_from_the_press_to_the_end() -> None:
    desk = Desk3()
    desk.happens(MORNING)
    assert (desk.page.mark, desk.page.headline, desk.said[-1][-1]) == ("", "Stay here. I am with you.", "say_test")
    found = desk.touch("Yes, it is the test")
    assert (found.mark, desk.snapshot().drill, desk.snapshot().id) == ("This is a drill", True, "drill-2")
    assert "Yes, it is the test" not in found.texts()
    desk.happens(ev.ResponderHere(SAM, reply()))
    assert desk.wait(19.0).headline == "Sam is here."
    assert desk.wait(2.0).kind is Kind.CLOSED


def test_a_frightened_press_in_the_minute_of_the_morning_test_is_a_call_like_any_other() -> None:
    desk, plain = Desk3(), Desk3()
    desk.happens(MORNING)
    plain.happens(ev.ButtonPressed())
    assert [one.text for one in desk.page.buttons] == [one.text for one in plain.page.buttons]
    for one in (desk, plain):
        one.touch("Chest or breathing", "Chest pain")
    assert desk.page.texts() == plain.page.texts(), "a touch of what is happening takes the question away"
    assert not desk.snapshot().drill
    for one in (desk, plain):
        one.wait(RULES.escalate_s * 2)
        one.happens(ev.ResponderComing(SAM, reply(), 60.0))
    assert desk.page.texts() == plain.page.texts()


def test_who_says_nothing_is_asked_for_a_minute_and_then_no_more() -> None:
    desk = Desk3()
    desk.happens(MORNING)
    desk.happens(ev.ResponderComing(SAM, reply(), 300.0))
    assert "Yes, it is the test" in desk.wait(59.0).texts()
    assert "Yes, it is the test" not in desk.wait(2.0).texts()
    assert (desk.snapshot().drill, desk.machine.state) == (False, State.COMING)


@pytest.mark.parametrize("when", ["before the press", "before yes", "after yes"])
def test_who_threatens_sees_nothing_of_a_covert_call_in_the_morning_test(when: str) -> None:
    for covert in (ev.ButtonPressed(covert=True), ev.PhraseHeard("angela", 5.0, covert=True)):
        desk, ordinary = Desk3(), Desk3()
        if when == "before the press":
            desk.happens(covert)
        for one in (desk, ordinary):
            one.happens(MORNING)
        if when == "before yes":
            desk.happens(covert)
        assert desk.page.texts() == ordinary.page.texts()
        for one in (desk, ordinary):
            one.touch("Yes, it is the test")
        if when == "after yes":
            desk.happens(covert)
        for _ in range(2 * int(RULES.escalate_s) + 125):
            for one in (desk, ordinary):
                one.wait(1.0)
            assert desk.page.texts() == ordinary.page.texts()
        assert desk.said == ordinary.said
        assert (ordinary.machine.state, desk.machine.state) == (State.IDLE, State.RAISED)
        assert not desk.snapshot().drill


def test_who_threatens_sees_nothing_of_a_covert_call_whatever_the_desk_shows() -> None:
    for covert in (ev.ButtonPressed(covert=True), ev.PhraseHeard("angela", 5.0, covert=True)):
        desk, ordinary = Desk3(), Desk3()
        for one in (desk, ordinary):
            one.happens(DRILL)
            one.happens(ev.ResponderSeen(SAM, reply()))
        desk.happens(covert)
        for one in (desk, ordinary):
            one.wait(RULES.escalate_s + 5)
            one.happens(ev.ResponderHere(PRIYA, reply()))
        assert desk.page.texts() == ordinary.page.texts()
        assert desk.said == ordinary.said
        desk.happens(covert)
        assert desk.page.texts() == ordinary.page.texts()
        assert desk.snapshot().state is State.RAISED


def test_fine_in_a_check_is_thanked_for_while_staff_come_to_the_covert_call_in_it() -> None:
    desk, ordinary = Desk3(), Desk3()
    for one in (desk, ordinary):
        one.happens(ev.PhraseHeard("help", 3.0))
    desk.happens(ev.ButtonPressed(covert=True))
    assert desk.touch("I’m fine").texts() == ordinary.touch("I’m fine").texts()
    assert desk.page.kind is Kind.CLOSED
    assert desk.wait(THANKS_S + 1).kind is Kind.IDLE
    assert (desk.machine.state, desk.snapshot().silent) == (State.RAISED, True)
