"""The incident machine: from a press, a touch or a phrase to a person at the desk, as one table.

Rules
- `handle(event, now_s)` is total: every state knows every event. `TABLE` at the end is the whole of it.
- No clock inside: `now_s` is handed in, `deadline_s` says when to call again with `TimePassed`.
- While somebody waits, something is due. An open incident always has a deadline.
- Only a responder's words lead from RAISED or COMING to ATTENDED or closed; a check may also be ended by the person's "I'm fine".
- Voice alone opens a check, which asks ever more staff without siren or light, and raises when nobody looks.
- Silence makes it worse, never better. A responder who does not arrive is asked again, and the next tier with them.
- Silent incidents change nothing at the desk: no light, no sound, no question. An open press or touch ends the silence of the
  screen (somebody there needs to see an answer), and still brings no light and no siren.
- The desk knows of no covert call. From the first one on it has a copy of the incident that hears only what is ordinary (`desk`):
  what it shows goes on, ends and begins as if nobody had called covertly.
- A drill is an alert that ends by itself, whatever it waits for. Any call in it makes it real, and then it ends as any other.
- A call while the morning's opening press was asked for is real, at once and in all. For a minute the desk asks whether it is
  that test: only who touches yes there makes it the drill; whatever else is told or heard, or somebody who comes, keeps it real.
  An answer to that drill proves the way and walks nowhere: when the drill turns real, everybody is asked anew.
- "I need a person" is a request: it asks the staff, tier after tier, with no light, no siren and no emergency page. A press,
  "it is worse", a phrase or another choice turns it into an ordinary alert; nothing else does.
- What a phrase suggests is a guess: the person's own touch always wins, and only a graver phrase changes it.
- Which covert phrase it was is never told: an incident knows only that it was one.
- What a person told of themselves leaves with the incident.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from kiosk.config import EscalationSection, UnitSection
from kiosk.effects import Beacon, Effect, Proven, Publish, SetBeacon
from kiosk.events import (
    ButtonPressed,
    ChoiceTouched,
    DrillStarted,
    Event,
    FineTouched,
    FoundOpen,
    HelpTouched,
    LanguageChosen,
    LaterTouched,
    Listener,
    NameGiven,
    PersonTouched,
    PhraseHeard,
    ReachChanged,
    Reply,
    ResponderClosed,
    ResponderComing,
    ResponderDeclined,
    ResponderHere,
    ResponderSeen,
    StillOkTouched,
    TestAsked,
    TestTouched,
    TimePassed,
    WorseTouched,
)
from kiosk.guidance import CASES, GRAVEST_FIRST
from kiosk.messages import (
    COVERT_PHRASE,
    OPENING,
    Choice,
    Entry,
    Going,
    Language,
    NextStep,
    Outcome,
    Person,
    Reach,
    Record,
    Severity,
    Snapshot,
    State,
    Trigger,
)


class DrillStage(StrEnum):
    """What a drill waits for: who is asked, until the last tier had its time, who is coming, or who is here."""

    ASKED = "asked"
    UNANSWERED = "unanswered"
    COMING = "coming"
    HERE = "here"


REACH_GRACE_S = 5.0
"""How long the way to staff may be gone during an alert before the screen stops hoping."""
SLOW_RESEND_S = 30.0
"""An answered incident is still sent again this often, for a broker that lost its memory."""
ATTENDED_TALK_S = 120.0
"""How long after "here" an ordinary phrase at the desk is taken for the talk between customer and responder."""
REMIND_S = 900.0
"""A responder who is at the desk is reminded to close this often."""
REVISION_LEAP = 10_000
"""Added to the revision of an incident that comes back: some of its later revisions may have been seen and then lost here."""
REQUEST_PATIENCE = 2.0
"""A tier has so many times longer to answer a request for a person than an alert."""
LEFT_ALONE_AFTER = 5
"""So many check-ins in a row that nobody answered end the check-ins of a request: its person has left."""
LEFT_DESK_S = 600.0
"""How long after the last touch a request that is over for its person leaves the desk. Staff have it until they close it."""
DRILL_LIMIT_S = 900.0
"""A drill lasts so long at most, whatever it waits for."""
DRILL_LASTS_S = {DrillStage.UNANSWERED: 120.0, DrillStage.HERE: 300.0}
"""And so long after that began: the last tier had its time, or a responder is at the desk."""
MAYBE_TEST_S = 60.0
"""So long after a call that may be the opening press somebody can say that it is."""
OPENING_LASTS_S = {DrillStage.UNANSWERED: 120.0, DrillStage.COMING: 120.0, DrillStage.HERE: 20.0}
"""The same for the opening press, which is proven by the answer: nobody has to walk, and nobody is called late."""
TIMELINE_LIMIT = 200
"""Entries kept: the first half and the newest half."""
LEAVES_WITH_IT = frozenset({"told_choice", "told_person", "told_name", "told_language"})
"""Entries about the person, which no closed incident keeps."""


class OnTheWay(Record):
    """A responder who said "coming", and when they are due."""

    responder: Person
    due_s: float


class Incident(Record):
    """One incident as the unit keeps it. Times are monotonic seconds; `None` means that nothing is due.

    `scenario` is what a drill plays, `drill_stage` what it waits for, `proven` whether a human answered the opening press.
    `maybe_test_due_s`: it may be the opening press, and until then somebody at the desk can say so.
    `request`: somebody asked for a person, and it is no alarm. `unlit`: it was silent once, so that no light may tell of it.
    `apart`: the desk shows `desk`, which may be nothing, and not this.
    """

    id: str
    revision: int = 0
    state: State
    severity: Severity
    trigger: Trigger
    phrase: str | None = None
    score: float | None = None
    silent: bool = False
    unlit: bool = False
    covert: bool = False
    drill: bool = False
    scenario: str | None = None
    drill_stage: DrillStage | None = None
    proven: bool = False
    choice: Choice | None = None
    guess: Choice | None = None
    name: str | None = None
    language: Language = Language.ENGLISH
    request: bool = False
    says_fine: bool = False
    check_ins_missed: int = 0
    missed_in_a_row: int = 0
    opened_s: float
    touched_s: float | None = None
    tier: int = 1
    emergency: bool = False
    seen: tuple[Person, ...] = ()
    declined: tuple[Person, ...] = ()
    coming: tuple[OnTheWay, ...] = ()
    here: Person | None = None
    attended_s: float | None = None
    reply_ids: tuple[str, ...] = ()
    escalate_due_s: float | None = None
    unreachable_due_s: float | None = None
    check_in_due_s: float | None = None
    check_in_answer_due_s: float | None = None
    remind_due_s: float | None = None
    resend_due_s: float | None = None
    desk_ends_due_s: float | None = None
    drill_ends_due_s: float | None = None
    maybe_test_due_s: float | None = None
    apart: bool = False
    desk: "Incident | None" = None
    timeline: tuple[Entry, ...] = ()
    outcome: Outcome | None = None
    closed_by: Person | None = None

    def due_s(self) -> float | None:
        """Return the next time at which something is due, or None when closed."""
        times = [getattr(self, name) for name in _DUE]
        times += [going.due_s for going in self.coming]
        times.append(self.desk.due_s() if self.desk else None)
        return min((time for time in times if time is not None), default=None)

    def shifted(self, by_s: float) -> "Incident":
        """Return the incident with all its times moved, for a monotonic clock that started anew."""
        moved = {
            name: getattr(self, name) + by_s
            for name in (*_DUE, "opened_s", "attended_s", "touched_s")
            if getattr(self, name) is not None
        }
        coming = tuple(going.model_copy(update={"due_s": going.due_s + by_s}) for going in self.coming)
        desk = self.desk.shifted(by_s) if self.desk else None
        return self.model_copy(update={**moved, "coming": coming, "desk": desk})

    @property
    def parted(self) -> bool:
        """Whether somebody called covertly, or the desk's page ended before this did: the desk shows `desk` then."""
        return self.apart or self.silent


_DUE = (
    "escalate_due_s",
    "unreachable_due_s",
    "check_in_due_s",
    "check_in_answer_due_s",
    "remind_due_s",
    "resend_due_s",
    "desk_ends_due_s",
    "drill_ends_due_s",
    "maybe_test_due_s",
)
_SEVERITIES = list(Severity)


class IncidentMachine:
    """The one owner of what is happening at this desk.

    `incident` is the open one or None; `last` the one closed most recently.
    `reach` and `listeners` are what is known of the staff, `language` is what the screen shows.
    """

    def __init__(
        self,
        rules: EscalationSection,
        new_id: Callable[[], str],
        incident: Incident | None = None,
        language: Language = Language.ENGLISH,
    ) -> None:
        self.rules = rules
        self.language = incident.language if incident else language
        self._own_language = language
        self.incident = incident
        self.last: Incident | None = None
        self.reach = Reach.DISCONNECTED
        self.listeners: tuple[Listener, ...] = ()
        self.beacon = Beacon.OFF
        self._new_id = new_id
        self._now_s = 0.0
        self._resend = False
        self._proven = False

    # --- what others ask ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the unit stands; IDLE when nothing is open."""
        return self.incident.state if self.incident else State.IDLE

    @property
    def deadline_s(self) -> float | None:
        """When to call `handle(TimePassed(), now_s)` at the latest; None when nothing is open."""
        return self.incident.due_s() if self.incident else None

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """Take one event at monotonic time `now_s`; return what is to be done, in order."""
        self._now_s = now_s
        if isinstance(event, Reply) and self.incident and event.reply_id in self.incident.reply_ids:
            return []
        before = self._face()
        self._resend = self._proven = False
        if isinstance(event, TimePassed) and self.incident and self._is_due("drill_ends_due_s"):
            self._end_drill()  # first: what else is due in it is due no more
        else:
            self._take(event)
        self._mind_drill()
        return self._effects(before)

    def _take(self, event: Event) -> None:
        if self.incident is not None and _is_covert(event):
            self._part_from_desk()
        if self._makes_real(event):
            self._make_real()
        self._mind_test(event)
        desk_hears = self._desk_hears(event)
        if desk_hears or not self._only_of_a_page(event):
            TABLE[self.state][type(event)](self, event)
        if desk_hears:
            self._tell_desk(event)
        self._mind_left_request(event)

    def asked(self, incident: Incident) -> tuple[Person, ...]:
        """Return the responders whose device should have it: all who listen up to its tier."""
        last = incident.tier >= len(self.rules.tiers)
        return tuple(one.person for one in self.listeners if one.tier <= incident.tier or last)

    def snapshot(self, incident: Incident, unit: UnitSection, now_s: float, opened_at: datetime) -> Snapshot:
        """Return the incident as staff and screen get it; `opened_at` is the time of day that `opened_s` was."""
        coming = tuple(
            Going(responder=one.responder, eta_s=max(0.0, one.due_s - self.rules.eta_grace_s - now_s))
            for one in incident.coming
        )
        listening = {one.person.id for one in self.listeners}
        same = incident.model_dump(include=set(Snapshot.model_fields) & set(Incident.model_fields) - {"coming", "seen"})
        return Snapshot(
            **same,
            store=unit.store,
            unit=unit.id,
            place=unit.place,
            home_language=self._own_language,
            check_in_open=incident.check_in_answer_due_s is not None,
            maybe_test=incident.maybe_test_due_s is not None,
            tiers=self.rules.tiers,
            asked=self.asked(incident),
            seen=tuple(one for one in incident.seen if one.id in listening),
            coming=coming,
            reach=self.reach,
            opened_at=opened_at,
            elapsed_s=max(0.0, now_s - incident.opened_s),
            next=self._next_step(incident, now_s),
        )

    def _next_step(self, incident: Incident, now_s: float) -> NextStep | None:
        last = incident.tier >= len(self.rules.tiers)
        escalate = "raise" if incident.state is State.CHECKING else "emergency_page"
        steps: list[tuple[float | None, str]] = [
            (None if last and incident.request else incident.escalate_due_s, escalate if last else "ask_next_tier"),
            (incident.unreachable_due_s, "emergency_page"),
            (incident.check_in_answer_due_s, "check_in_missed"),
            (max((one.due_s for one in incident.coming), default=None), "ask_again"),
            (incident.check_in_due_s, "check_in"),
            (incident.remind_due_s, "remind"),
        ]
        ends_s = incident.drill_ends_due_s or math.inf
        due = [(due_s, what) for due_s, what in steps if due_s is not None and due_s < ends_s]
        due_s, what = min(due, default=(None, ""))
        return None if due_s is None else NextStep.model_validate({"what": what, "in_s": max(0.0, due_s - now_s)})

    # --- the desk -----------------------------------------------------------------------------------------------------

    @property
    def desk(self) -> Incident | None:
        """The incident as the desk may know it; None when nothing is to be seen there."""
        return self.incident.desk if self.incident and self.incident.parted else self.incident

    def desk_snapshot(self, unit: UnitSection, now_s: float, now: datetime) -> Snapshot | None:
        """Return what the screen gets at `now`: no word of a covert call but that there is one, for its greeting."""
        shown = self.desk
        if shown is None and self.incident is not None and self.incident.silent:
            shown = _hidden(self.incident)
        if shown is None:
            return None
        return self.snapshot(shown, unit, now_s, now - timedelta(seconds=now_s - shown.opened_s))

    def _part_from_desk(self) -> None:
        """From now on the desk shows its own copy, which hears of no covert call."""
        if not self._open().parted:
            self._set(apart=True, desk=self._open().model_copy(update={"resend_due_s": None}))

    def _only_of_a_page(self, event: Event) -> bool:
        """Whether this can only be touched on the page of an incident, and the desk shows none."""
        return self.incident is not None and self.desk is None and type(event) in OF_A_PAGE

    def _desk_hears(self, event: Event) -> bool:
        """Whether the desk's own copy is told: what it shows goes on; a silent desk begins anew only by an open call."""
        open_ = self.incident
        if open_ is None or not open_.parted or _is_covert(event) or isinstance(event, DrillStarted | FoundOpen):
            return False
        if open_.desk is None and type(event) in OF_A_PAGE:
            return False
        return open_.desk is not None or not open_.silent or type(event) in OPEN_CALLS

    def _tell_desk(self, event: Event) -> None:
        desk = IncidentMachine(self.rules, self._new_id, self._open().desk, self._own_language)
        desk.language, desk.reach, desk.listeners = self.language, self.reach, self.listeners
        desk.handle(event, self._now_s)
        shown = desk.incident
        if shown is None or shown.apart or self.state is State.CLOSED:
            self._set(desk=None)
            return
        self._set(desk=shown.model_copy(update={"resend_due_s": None}))
        while self._open().tier < shown.tier:
            self._next_tier()  # the desk says that they are asked

    def _mind_left_request(self, event: Event) -> None:
        """A request whose person is fine or gone leaves the desk some time after the last touch, and stays with staff."""
        open_ = self.incident
        if open_ is None or not open_.request or open_.parted:
            return
        if type(event) in TOUCHES:
            self._set(touched_s=self._now_s)
        over = self._left_alone() and open_.state is State.RAISED
        due_s = (self._open().touched_s or open_.opened_s) + LEFT_DESK_S if over else None
        if due_s is not None and due_s <= self._now_s:
            self._set(apart=True, desk=None, desk_ends_due_s=None)
        else:
            self._set(desk_ends_due_s=due_s)

    # --- drills -------------------------------------------------------------------------------------------------------

    def _makes_real(self, event: Event) -> bool:
        """Whether a drill is none from here: any call does it, but not the talk with a responder who has just come.

        In an opening press what is happening does it too, and talk: "I'm here" may be said from anywhere there.
        """
        open_ = self.incident
        if open_ is None or not open_.drill:
            return False
        if type(event) is ChoiceTouched:
            return open_.scenario == OPENING  # nobody plays a case there: who touched yes by mistake is heard
        if type(event) not in CALLS:
            return False
        talk = isinstance(event, PhraseHeard) and open_.state is State.ATTENDED and not (event.strong or event.covert)
        if talk and open_.scenario != OPENING:
            return self._attended_for_s() > ATTENDED_TALK_S
        return True

    def _make_real(self) -> None:
        """Who saw or declined a drill has not seen or declined this call; who answered an opening press went nowhere."""
        nobody_goes = self._open().scenario == OPENING and self.state in {State.COMING, State.ATTENDED}
        self._set(drill=False, scenario=None)
        self._note("drill_became_real")
        self._forget_answers()
        if nobody_goes:
            self._set(coming=())
            self._enter_raised()

    def _mind_test(self, event: Event) -> None:
        """Ask no more whether it is the opening press: time is up, or more was told, heard or seen at the desk."""
        open_ = self.incident
        if open_ is None or open_.maybe_test_due_s is None:
            return
        if type(event) in NO_TEST or open_.maybe_test_due_s <= self._now_s:
            self._set(maybe_test_due_s=None)

    def _mind_drill(self) -> None:
        """Set when a drill ends by itself, each time that it begins to wait for something else."""
        open_ = self.incident
        if open_ is None or open_.state is State.CLOSED:
            return
        stage = _drill_stage(open_) if open_.drill else None
        if stage != open_.drill_stage:
            self._set(drill_stage=stage, drill_ends_due_s=self._drill_ends_s(stage))
        if open_.drill and open_.scenario == OPENING and stage in ANSWERED:
            self._prove()

    def _drill_ends_s(self, stage: DrillStage | None) -> float | None:
        if stage is None:
            return None
        lasts_s = OPENING_LASTS_S if self._open().scenario == OPENING else DRILL_LASTS_S
        return min(self._open().opened_s + DRILL_LIMIT_S, self._now_s + lasts_s.get(stage, math.inf))

    def _prove(self) -> None:
        """A human answered the opening press: that is all there is to it, so that nobody is waited for until they are late."""
        due_s = min((one.due_s for one in self._open().coming), default=math.inf)
        self._proven = not self._open().proven
        self._set(proven=True, drill_ends_due_s=min(self._open().drill_ends_due_s or math.inf, due_s))

    def _end_drill(self) -> None:
        self._note("drill_over")
        self._close(Outcome.TEST, None)

    # --- small steps --------------------------------------------------------------------------------------------------

    def _open(self) -> Incident:
        assert self.incident is not None  # noqa: S101 - the table calls open-state handlers only with an incident
        return self.incident

    def _set(self, **changes: object) -> None:
        self.incident = self._open().model_copy(update=changes)

    def _note(self, what: str, who: str = "") -> None:
        timeline = (
            *self._open().timeline,
            Entry(t_s=round(self._now_s - self._open().opened_s, 3), what=what, who=who),
        )
        if len(timeline) > TIMELINE_LIMIT:
            timeline = timeline[: TIMELINE_LIMIT // 2] + timeline[-TIMELINE_LIMIT // 2 :]
        self._set(timeline=timeline)

    def _worsen(self, severity: Severity) -> None:
        if _SEVERITIES.index(severity) > _SEVERITIES.index(self._open().severity):
            self._set(severity=severity)
            self._note("severity", severity)

    def _reply(self, event: Reply) -> None:
        self._set(reply_ids=(*self._open().reply_ids, event.reply_id)[-TIMELINE_LIMIT:])

    def _begin(self, trigger: Trigger, **facts: object) -> None:
        self.incident = Incident.model_validate(
            {
                "id": self._new_id(),
                "state": State.CHECKING,
                "severity": Severity.CHECK,
                "trigger": trigger,
                "opened_s": self._now_s,
                "language": self.language,
                **facts,
            }
        )
        self._note("opened", trigger)

    def _begin_test(self, test: TestAsked | None) -> None:
        """Ask, in an alert that has just begun as any other, whether it is the opening press."""
        if test is not None:
            self._set(maybe_test_due_s=self._open().opened_s + MAYBE_TEST_S)
            self._note("test_asked", test.by.name)

    # --- entering states ----------------------------------------------------------------------------------------------

    def _enter_checking(self, answer_s: float) -> None:
        self._end_request()
        self._set(state=State.CHECKING, here=None, remind_due_s=None, escalate_due_s=self._now_s + answer_s)
        self._set(check_in_due_s=None, check_in_answer_due_s=None, resend_due_s=self._now_s + self.rules.resend_s)
        self._skip_empty_tiers()

    def _enter_raised(self) -> None:
        self._end_request()
        self._worsen(Severity.ALERT)
        self._ask()
        self._note("raised")
        self._mind_reach()
        self._skip_empty_tiers()

    def _enter_request(self) -> None:
        """Ask for a person: as an alert is asked, but slower, and quietly to its end."""
        self._ask()
        self._skip_empty_tiers()

    def _ask(self) -> None:
        open_ = self._open()
        self._set(state=State.RAISED, here=None, remind_due_s=None, escalate_due_s=self._now_s + self._answer_s())
        self._set(resend_due_s=self._now_s + self.rules.resend_s)
        if open_.check_in_due_s is None and open_.check_in_answer_due_s is None:
            self._arm_check_in()

    def _answer_s(self) -> float:
        """Return how long a tier has to answer."""
        return self.rules.escalate_s * (REQUEST_PATIENCE if self._open().request else 1.0)

    def _end_request(self) -> None:
        """From now on it is more than a request for a person, and so nobody knows yet what is happening."""
        if self._open().request:
            told = self._open().choice
            self._set(request=False, choice=None if told is Choice.PERSON else told)

    def _arm_check_in(self) -> None:
        open_ = self._open()
        asked_no_more = open_.silent or open_.state is State.ATTENDED or self._left_alone()
        due_s = None if asked_no_more else self._now_s + self.rules.check_in_s
        self._set(check_in_due_s=due_s, check_in_answer_due_s=None)

    def _left_alone(self) -> bool:
        """Whether who asked for a person needs no more asking: they are fine, or gone."""
        open_ = self._open()
        return open_.request and (open_.says_fine or open_.missed_in_a_row >= LEFT_ALONE_AFTER)

    def _enter_coming(self, event: ResponderComing) -> None:
        others = tuple(one for one in self._open().coming if one.responder.id != event.responder.id)
        mine = OnTheWay(responder=event.responder, due_s=self._now_s + event.eta_s + self.rules.eta_grace_s)
        declined = tuple(one for one in self._open().declined if one.id != event.responder.id)
        self._set(state=State.COMING, coming=(*others, mine), declined=declined, emergency=False)
        self._set(escalate_due_s=None, unreachable_due_s=None, resend_due_s=self._now_s + SLOW_RESEND_S)
        self._note("coming", event.responder.name)

    def _enter_attended(self, event: ResponderHere) -> None:
        self._set(state=State.ATTENDED, here=event.responder, attended_s=self._now_s, coming=(), emergency=False)
        self._set(escalate_due_s=None, unreachable_due_s=None, check_in_due_s=None, check_in_answer_due_s=None)
        self._set(remind_due_s=self._now_s + REMIND_S, resend_due_s=self._now_s + SLOW_RESEND_S)
        self._note("here", event.responder.name)

    def _close(self, outcome: Outcome, by: Person | None) -> None:
        self._note("closed", by.name if by else "")
        kept = tuple(entry for entry in self._open().timeline if entry.what not in LEAVES_WITH_IT)
        nothing_due = dict.fromkeys(_DUE)
        self._set(state=State.CLOSED, outcome=outcome, closed_by=by, coming=(), emergency=False, **nothing_due)
        self._set(choice=None, guess=None, name=None, language=self._own_language, timeline=kept, desk=None)

    # --- escalation ---------------------------------------------------------------------------------------------------

    def _mind_reach(self) -> None:
        """In RAISED: say so when nobody can be told.

        A broker, or a device that already showed the alert, gets a few seconds to come back; an empty store gets none.
        """
        due_s = self._open().unreachable_due_s
        if self.reach is Reach.NOBODY and not self._open().seen:
            self._emergency("nobody_listening")
        elif self.reach is Reach.OK:
            self._set(unreachable_due_s=due_s if self._waits_on_nobody() else None)
        elif due_s is None and not self._open().emergency:
            self._set(unreachable_due_s=self._now_s + REACH_GRACE_S)

    def _unreachable(self) -> None:
        """The few seconds are over."""
        if self.reach is not Reach.OK:
            self._emergency("nobody_listening" if self.reach is Reach.NOBODY else "broker_unreachable")
        elif self._waits_on_nobody():
            self._emergency("nobody_answered")
        else:
            self._set(unreachable_due_s=None)

    def _emergency(self, why: str) -> None:
        self._set(unreachable_due_s=None)
        if not self._open().emergency:
            self._set(emergency=True)
            self._note(why)

    def _can_answer(self) -> bool:
        declined = {one.id for one in self._open().declined}
        return any(one.id not in declined for one in self.asked(self._open()))

    def _skip_empty_tiers(self) -> None:
        """Nobody of the asked tiers listens, or all of them said no: ask the next one at once."""
        if self.reach is Reach.DISCONNECTED:
            return
        while not self._can_answer() and self._open().tier < len(self.rules.tiers):
            self._note("tier_empty", self.rules.tiers[self._open().tier - 1])
            self._next_tier()
        if self._waits_on_nobody() and self._open().unreachable_due_s is None:
            self._set(unreachable_due_s=self._now_s + REACH_GRACE_S)

    def _waits_on_nobody(self) -> bool:
        """Whether an alert asks nobody who has not said no, and the screen does not say so yet."""
        open_ = self._open()
        return open_.state is State.RAISED and not (open_.request or open_.emergency or self._can_answer())

    def _next_tier(self) -> None:
        tier = self._open().tier + 1
        self._set(tier=tier)
        self._note("asked_tier", self.rules.tiers[tier - 1])

    def _escalate(self) -> None:
        """One tier up; past the last one a check raises, an alert shows the emergency page, and both go on asking.

        A request for a person goes on asking, and no more.
        """
        last = self._open().tier >= len(self.rules.tiers)
        checking = self._open().state is State.CHECKING
        if last and checking:
            self._note("nobody_looked")
            self._enter_raised()
        elif last:
            self._set(escalate_due_s=None)
            self._nobody_answered()
        else:
            self._next_tier()
            self._set(escalate_due_s=self._now_s + self._answer_s())
            self._skip_empty_tiers()

    def _nobody_answered(self) -> None:
        if self._open().request:
            self._note("nobody_answered")
        else:
            self._emergency("nobody_answered")

    def _ask_more(self) -> None:
        """It got worse: one tier more, at once, whether or not somebody is on the way already."""
        last = self._open().tier >= len(self.rules.tiers)
        if self._open().state is State.RAISED and not last:
            self._escalate()
        elif self._open().state is State.COMING and not last:
            self._next_tier()

    def _fall_back(self) -> None:
        """Nobody is on the way any more: ask again, one tier up."""
        if self._open().tier < len(self.rules.tiers):
            self._next_tier()
        if self._open().request:
            self._enter_request()
        elif self._open().severity is Severity.CHECK:
            self._enter_checking(self.rules.escalate_s)
        else:
            self._enter_raised()

    # --- handlers: a person at the desk -------------------------------------------------------------------------------

    def _ignore(self, event: Event) -> None:
        """Nothing to do in this state."""

    def _start_by_press(self, event: ButtonPressed) -> None:
        opened_s = self._now_s - event.age_s
        trigger = Trigger.COVERT if event.covert else Trigger.BUTTON
        self._begin(trigger, silent=event.covert, apart=event.covert, opened_s=opened_s, **_id_of(event.test))
        self._begin_test(event.test)
        self._enter_raised()

    def _start_by_touch(self, event: HelpTouched) -> None:
        self._begin(Trigger.TOUCH, **_id_of(event.test))
        self._begin_test(event.test)
        self._enter_raised()

    def _start_worse(self, _: Event) -> None:
        self._begin(Trigger.TOUCH)
        self._enter_raised()

    def _start_request(self, _: Event) -> None:
        self._begin(Trigger.TOUCH, choice=Choice.PERSON, request=True)
        self._note("told_person")
        self._enter_request()

    def _start_by_phrase(self, event: PhraseHeard) -> None:
        self._begin(Trigger.COVERT if event.covert else Trigger.VOICE, silent=event.covert, apart=event.covert)
        self._take_phrase(event)
        if event.strong or event.covert:
            self._enter_raised()
        else:
            self._enter_checking(self.rules.check_s)

    def _start_drill(self, event: DrillStarted) -> None:
        self._begin(Trigger.DRILL, id=event.drill, drill=True, scenario=event.scenario)
        self._note("drill_started", event.by.name)
        self._enter_raised()

    def _answered(self) -> None:
        """Any sign of life answers an open check-in and puts off the next."""
        self._set(missed_in_a_row=0)
        if self._open().check_in_due_s is not None or self._open().check_in_answer_due_s is not None:
            self._arm_check_in()

    def _adopt(self, event: FoundOpen) -> None:
        """Staff hold an incident of ours that we lost: it is open until somebody looked."""
        kept = {
            "id",
            "severity",
            "trigger",
            "phrase",
            "score",
            "silent",
            "covert",
            "drill",
            "scenario",
            "choice",
            "guess",
            "name",
            "language",
            "check_ins_missed",
            "timeline",
        }
        self.language = event.snapshot.language
        self.incident = Incident.model_validate(
            {
                **event.snapshot.model_dump(include=kept),
                "state": State.RAISED,
                "request": event.snapshot.request,
                "revision": event.snapshot.revision + REVISION_LEAP,
                "opened_s": self._now_s - event.snapshot.elapsed_s,
            }
        )
        self._note("found_again")
        if event.snapshot.silent or event.snapshot.covert:
            self._set(apart=True, desk=None)  # what the desk showed is lost, and what was covert is not shown
        if self._open().request:
            self._enter_request()
        else:
            self._enter_raised()

    def _press_again(self, event: Event) -> None:
        """More of the same from a person who waits: it counts, and it is told."""
        self._note(_way_of_asking(event))
        if _is_covert(event):
            self._called_covertly()
            return
        self._end_silence()
        self._set(says_fine=False)
        self._answered()
        if self._open().severity is Severity.CHECK:
            self._become_alert()

    def _end_silence(self) -> None:
        """Somebody asked openly: they need to see an answer."""
        if self._open().silent:
            self._set(silent=False, unlit=True, apart=True)
            self._note("no_longer_silent")
            self._forget_answers()  # the desk shows a new call: whose device shows it now?
            self._arm_check_in()

    def _called_covertly(self) -> None:
        """A covert call in an incident that is open already: staff see it, the next tier too, and the desk nothing at all."""
        first = not self._open().silent and not self._open().covert
        if self._open().severity is Severity.CHECK:
            self._set(silent=True, check_in_due_s=None, check_in_answer_due_s=None)
            self._worsen(Severity.ALERT)
            if self._open().request:
                self._end_request()
                self._raise_request()
        if first:
            self._set(covert=True)
            self._ask_more()

    def _raise_covertly(self) -> None:
        """The same in a check, or with a responder at the desk: silent from here."""
        first = not self._open().covert
        self._set(silent=True, covert=True, says_fine=False)
        self._enter_raised()
        if first:
            self._ask_more()

    def _become_alert(self) -> None:
        """A request for a person, or a check that somebody already walks to, turns out to be an alert."""
        self._set(says_fine=False)
        self._end_request()
        self._worsen(Severity.ALERT)
        if self._open().state is not State.ATTENDED:
            self._arm_check_in()
        self._raise_request()

    def _raise_request(self) -> None:
        """What was a request is asked as an alert, unless somebody is on the way or there."""
        if self._open().state is State.RAISED:
            self._enter_raised()

    def _raise_by_press(self, event: Event) -> None:
        self._note(_way_of_asking(event))
        if self._open().state is State.ATTENDED:
            self._forget_answers()
        if _is_covert(event):
            self._raise_covertly()
            return
        self._end_silence()
        self._set(says_fine=False)
        self._enter_raised()

    def _raise_worse(self, _: Event) -> None:
        self._worsen(Severity.GRAVE)
        self._note("told_worse")
        self._set(says_fine=False)
        self._enter_raised()

    def _raise_by_phrase(self, event: PhraseHeard) -> None:
        self._note_phrase(event)
        if event.covert:
            self._raise_covertly()
        else:
            self._enter_raised()

    def _raise_by_choice(self, event: ChoiceTouched) -> None:
        self._tell_choice(event)
        self._enter_raised()

    def _fine_ends_check(self, _: Event) -> None:
        self._note("told_fine")
        self._close(Outcome.FALSE_ALARM, None)

    def _tell_fine(self, _: Event) -> None:
        self._set(says_fine=True)
        self._note("told_fine")
        self._answered()

    def _tell_choice(self, event: ChoiceTouched) -> None:
        self._set(choice=event.choice)
        self._note("told_choice", event.choice)
        self._answered()
        if self._open().request and event.choice is not Choice.PERSON:
            self._become_alert()
        if CASES[event.choice].grave:
            self._turn_grave()

    def _tell_person(self, _: Event) -> None:
        """Noted; in a silent alert they see what one sees who asks for a person, and staff see that it is more."""
        self._note("told_person")
        if self._open().silent:
            self._end_silence()
            self._set(covert=True, choice=self._open().choice or Choice.PERSON)
        self._answered()
        if self._open().request:
            self._ask_for_a_person_again()

    def _ask_for_a_person_again(self) -> None:
        """They are here, and not fine: the check-ins go on; if the desk had ended, staff are asked as anew."""
        was_left = self._left_alone()
        self._set(says_fine=False)
        if was_left and self._open().state is not State.ATTENDED:
            self._arm_check_in()
        if self._open().parted and self.desk is None:
            self._forget_answers()

    def _keep_language(self, event: LanguageChosen) -> None:
        self.language = event.language

    def _tell_language(self, event: LanguageChosen) -> None:
        """A screen that starts tells its language by itself: it is no sign of life."""
        self.language = event.language
        if self._open().language is not event.language:
            self._set(language=event.language)
            self._note("told_language", event.language)

    def _tell_name(self, event: NameGiven) -> None:
        self._set(name=event.name)
        self._note("told_name", event.name)
        self._answered()

    def _tell_ok(self, _: Event) -> None:
        self._note("told_ok")
        self._answered()

    def _tell_test(self, _: Event) -> None:
        """Somebody at the desk says that it is the opening press: from here it is that drill, and who answered has answered.

        Nobody is asked while staff cannot be reached: who is told the emergency number must not be told that it is a drill.
        """
        if self._open().maybe_test_due_s is not None and self.reach is Reach.OK:
            self._set(maybe_test_due_s=None, drill=True, scenario=OPENING)
            self._note("told_test")
            self._answered()

    def _tell_later(self, _: Event) -> None:
        self._note("told_later")
        self._answered()

    def _tell_worse(self, _: Event) -> None:
        self._note("told_worse")
        if self.desk is None:
            self._end_silence()
        self._set(says_fine=False)
        self._answered()
        if self._open().request:
            self._become_alert()
        self._worsen(Severity.GRAVE)
        self._ask_more()

    def _hear_more(self, event: PhraseHeard) -> None:
        """A phrase while an incident is open: told, and worse when it is a grave one."""
        if event.covert:
            self._note("heard", COVERT_PHRASE)
            self._set(phrase=self._open().phrase or COVERT_PHRASE)  # what the screen reads back stays as it is
            self._called_covertly()
            return
        self._end_request()  # first, for what was heard to suggest its case
        self._note_phrase(event)
        if self._open().severity is Severity.CHECK:
            self._become_alert()
        if event.strong:
            self._turn_grave()

    def _take_phrase(self, event: PhraseHeard) -> None:
        self._set(phrase=COVERT_PHRASE if event.covert else event.phrase, score=event.score)
        chosen, kept = self._open().choice, self._open().guess
        if event.opens and not event.covert and not chosen and (kept is None or _graver(event.opens, kept)):
            self._set(guess=event.opens)

    def _note_phrase(self, event: PhraseHeard) -> None:
        self._take_phrase(event)
        self._note("heard", self._open().phrase or "")

    def _turn_grave(self) -> None:
        """What was told or heard is grave: whoever is on the way, the next tier should know."""
        self._set(says_fine=False)
        if self._open().severity is not Severity.GRAVE:
            self._worsen(Severity.GRAVE)
            if self._open().state is State.COMING:
                self._ask_more()

    def _hear_while_attended(self, event: PhraseHeard) -> None:
        """Talk at the desk right after a responder came is theirs to judge; later it may be somebody else's call."""
        self._set(guess=None)  # it may be somebody else's call
        self._note_phrase(event)
        if event.strong or event.covert:
            self._forget_answers()
            self._set(says_fine=False)
            (self._raise_covertly if event.covert else self._enter_raised)()
        elif self._attended_for_s() > ATTENDED_TALK_S:
            self._forget_answers()
            self._enter_checking(self.rules.check_s)

    def _attended_for_s(self) -> float:
        return self._now_s - (self._open().attended_s or self._now_s)

    def _forget_answers(self) -> None:
        """A new call in the same incident: who showed or declined the first one has not answered this one."""
        self._set(seen=(), declined=())

    # --- handlers: responders -----------------------------------------------------------------------------------------

    def _seen(self, event: ResponderSeen) -> None:
        self._reply(event)
        if event.responder.id not in {one.id for one in self._open().seen}:
            self._set(seen=(*self._open().seen, event.responder))
            self._note("seen", event.responder.name)

    def _coming(self, event: ResponderComing) -> None:
        self._reply(event)
        self._enter_coming(event)

    def _also_coming(self, event: ResponderComing) -> None:
        self._reply(event)
        self._note("coming", event.responder.name)

    def _here(self, event: ResponderHere) -> None:
        self._reply(event)
        self._enter_attended(event)

    def _also_here(self, event: ResponderHere) -> None:
        self._reply(event)
        self._note("here", event.responder.name)

    def _closed(self, event: ResponderClosed) -> None:
        self._reply(event)
        self._close(event.outcome, event.responder)

    def _mark_declined(self, event: ResponderDeclined) -> None:
        self._reply(event)
        others = tuple(one for one in self._open().declined if one.id != event.responder.id)
        going = tuple(one for one in self._open().coming if one.responder.id != event.responder.id)
        self._set(declined=(*others, event.responder), coming=going)
        self._note("declined", event.responder.name)

    def _declined(self, event: ResponderDeclined) -> None:
        self._mark_declined(event)
        if not self._can_answer():
            self._escalate()

    def _declined_on_the_way(self, event: ResponderDeclined) -> None:
        self._mark_declined(event)
        if not self._open().coming:
            self._fall_back()

    def _declined_at_desk(self, event: ResponderDeclined) -> None:
        self._mark_declined(event)
        here = self._open().here
        if here is not None and here.id == event.responder.id:
            self._fall_back()

    # --- handlers: reach and time -------------------------------------------------------------------------------------

    def _reach(self, event: ReachChanged) -> None:
        self.reach, self.listeners = event.reach, event.listeners

    def _reach_while_waiting(self, event: ReachChanged) -> None:
        self._reach(event)
        if self._open().state is State.RAISED and not self._open().request:
            self._mind_reach()
        self._skip_empty_tiers()

    def _is_due(self, name: str) -> bool:
        due_s = getattr(self._open(), name)
        return due_s is not None and due_s <= self._now_s

    def _time_checking(self, _: Event) -> None:
        if self._is_due("escalate_due_s"):
            self._escalate()
        self._time_resend(self.rules.resend_s)

    def _time_raised(self, _: Event) -> None:
        if self._is_due("unreachable_due_s"):
            self._unreachable()
        if self._is_due("escalate_due_s"):
            self._escalate()
        self._time_check_in()
        self._time_resend(self.rules.resend_s)

    def _time_coming(self, _: Event) -> None:
        late = [one for one in self._open().coming if one.due_s <= self._now_s]
        for one in late:
            self._note("late", one.responder.name)
        if late:
            self._set(coming=tuple(one for one in self._open().coming if one not in late))
        if not self._open().coming:
            self._fall_back()
        self._time_check_in()
        self._time_resend(SLOW_RESEND_S)

    def _time_attended(self, _: Event) -> None:
        if self._is_due("remind_due_s"):
            self._set(remind_due_s=self._now_s + REMIND_S)
            self._note("remind")
        self._time_resend(SLOW_RESEND_S)

    def _time_check_in(self) -> None:
        if self._is_due("check_in_due_s"):
            self._set(check_in_due_s=None, check_in_answer_due_s=self._now_s + self.rules.check_in_answer_s)
            self._note("check_in")
        elif self._is_due("check_in_answer_due_s"):
            self._check_in_missed()

    def _check_in_missed(self) -> None:
        missed, in_a_row = self._open().check_ins_missed + 1, self._open().missed_in_a_row + 1
        self._set(check_ins_missed=missed, missed_in_a_row=in_a_row, says_fine=False)
        self._note("check_in_missed")
        if not self._open().request:
            self._worsen(Severity.GRAVE)
        self._arm_check_in()
        self._ask_more()

    def _time_resend(self, every_s: float) -> None:
        if self._is_due("resend_due_s"):
            self._set(resend_due_s=self._now_s + every_s)
            self._resend = True

    # --- what comes out -----------------------------------------------------------------------------------------------

    def _face(self) -> object:
        """What others can see of the incident: all but its revision and its resend timer."""
        if self.incident is None:
            return None
        bare = self.incident.model_copy(update={"revision": 0, "resend_due_s": None})
        return bare, self.reach, self.asked(bare)

    def _effects(self, before: object) -> list[Effect]:
        effects: list[Effect] = [Proven()] if self._proven else []  # first, so that a power cut does not lose it
        beacon = self._wanted_beacon()
        if self.incident is not None and self._face() != before:
            self._set(revision=self.incident.revision + 1)
            effects.append(Publish())
        elif self._resend:
            effects.append(Publish(again=True))
        if beacon is not self.beacon:
            self.beacon = beacon
            effects.append(SetBeacon(beacon))
        if self.incident is not None and self.incident.state is State.CLOSED:
            self.last, self.incident = self.incident, None
        return effects

    def _wanted_beacon(self) -> Beacon:
        whole = self.incident
        if whole is None or whole.silent or whole.unlit or whole.trigger is Trigger.COVERT:
            return Beacon.OFF
        open_ = self.desk
        if open_ is None:
            return Beacon.OFF
        if open_.severity is Severity.CHECK:
            return Beacon.OFF
        if open_.state is State.RAISED:
            return Beacon.SIREN if open_.emergency else Beacon.LIGHT
        return Beacon.COMING if open_.state is State.COMING else Beacon.OFF


def _drill_stage(incident: Incident) -> DrillStage:
    if incident.state is State.RAISED:
        return DrillStage.UNANSWERED if incident.emergency else DrillStage.ASKED
    return DrillStage.COMING if incident.state is State.COMING else DrillStage.HERE


def _id_of(test: TestAsked | None) -> dict[str, str]:
    """Return the id of an incident that may be the opening press: that of its order, so that it begins once ever."""
    return {} if test is None else {"id": test.drill}


def _graver(one: Choice, other: Choice) -> bool:
    return GRAVEST_FIRST.index(one) < GRAVEST_FIRST.index(other)


def _is_covert(event: Event) -> bool:
    return isinstance(event, ButtonPressed | PhraseHeard) and event.covert


def _hidden(incident: Incident) -> Incident:
    """Return all that the screen is told of a silent incident that it shows nothing of."""
    return Incident(
        id=f"silent-{incident.id}"[:64],
        revision=1,
        state=State.RAISED,
        severity=Severity.CHECK,
        trigger=Trigger.COVERT,
        silent=True,
        language=incident.language,
        opened_s=incident.opened_s,
    )


def _way_of_asking(event: Event) -> str:
    if not isinstance(event, ButtonPressed):
        return "touched_help"
    return "pressed_covert" if event.covert else "pressed"


OPEN_CALLS = frozenset({ButtonPressed, HelpTouched, PersonTouched, WorseTouched})
"""What ends the silence of a desk that shows nothing."""
OF_A_PAGE = frozenset({FineTouched, ChoiceTouched, NameGiven, StillOkTouched, LaterTouched, TestTouched})
"""What can be touched only where an incident is shown."""
TOUCHES = OPEN_CALLS | OF_A_PAGE
CALLS = OPEN_CALLS | {PhraseHeard}
"""What makes a drill real. Whether somebody only plays, nobody here can tell: a real call must not end with a drill."""
NO_TEST = (CALLS | OF_A_PAGE | {ResponderHere, ResponderClosed}) - {TestTouched}
"""After any of these nobody is asked any more whether a call was the opening press."""
ANSWERED = frozenset({DrillStage.COMING, DrillStage.HERE})

M = IncidentMachine
Handler = Callable[[IncidentMachine, Any], None]

TABLE: dict[State, dict[type[Event], Handler]] = {
    State.IDLE: {
        ButtonPressed: M._start_by_press,
        HelpTouched: M._start_by_touch,
        PersonTouched: M._start_request,
        WorseTouched: M._start_worse,
        PhraseHeard: M._start_by_phrase,
        DrillStarted: M._start_drill,
        FoundOpen: M._adopt,
        ReachChanged: M._reach,
        FineTouched: M._ignore,
        ChoiceTouched: M._ignore,
        NameGiven: M._ignore,
        LanguageChosen: M._keep_language,
        StillOkTouched: M._ignore,
        LaterTouched: M._ignore,
        TestTouched: M._ignore,
        ResponderSeen: M._ignore,
        ResponderComing: M._ignore,
        ResponderHere: M._ignore,
        ResponderClosed: M._ignore,
        ResponderDeclined: M._ignore,
        TimePassed: M._ignore,
    },
    State.CHECKING: {
        ButtonPressed: M._raise_by_press,
        HelpTouched: M._raise_by_press,
        PersonTouched: M._tell_person,
        WorseTouched: M._raise_worse,
        PhraseHeard: M._raise_by_phrase,
        ChoiceTouched: M._raise_by_choice,
        FineTouched: M._fine_ends_check,
        NameGiven: M._tell_name,
        LanguageChosen: M._tell_language,
        StillOkTouched: M._ignore,
        LaterTouched: M._ignore,
        TestTouched: M._ignore,
        ResponderSeen: M._seen,
        ResponderComing: M._coming,
        ResponderHere: M._here,
        ResponderClosed: M._closed,
        ResponderDeclined: M._declined,
        ReachChanged: M._reach_while_waiting,
        TimePassed: M._time_checking,
        DrillStarted: M._ignore,
        FoundOpen: M._ignore,
    },
    State.RAISED: {
        ButtonPressed: M._press_again,
        HelpTouched: M._press_again,
        PersonTouched: M._tell_person,
        WorseTouched: M._tell_worse,
        PhraseHeard: M._hear_more,
        ChoiceTouched: M._tell_choice,
        FineTouched: M._tell_fine,
        NameGiven: M._tell_name,
        LanguageChosen: M._tell_language,
        StillOkTouched: M._tell_ok,
        LaterTouched: M._tell_later,
        TestTouched: M._tell_test,
        ResponderSeen: M._seen,
        ResponderComing: M._coming,
        ResponderHere: M._here,
        ResponderClosed: M._closed,
        ResponderDeclined: M._declined,
        ReachChanged: M._reach_while_waiting,
        TimePassed: M._time_raised,
        DrillStarted: M._ignore,
        FoundOpen: M._ignore,
    },
    State.COMING: {
        ButtonPressed: M._press_again,
        HelpTouched: M._press_again,
        PersonTouched: M._tell_person,
        WorseTouched: M._tell_worse,
        PhraseHeard: M._hear_more,
        ChoiceTouched: M._tell_choice,
        FineTouched: M._tell_fine,
        NameGiven: M._tell_name,
        LanguageChosen: M._tell_language,
        StillOkTouched: M._tell_ok,
        LaterTouched: M._tell_later,
        TestTouched: M._tell_test,
        ResponderSeen: M._seen,
        ResponderComing: M._coming,
        ResponderHere: M._here,
        ResponderClosed: M._closed,
        ResponderDeclined: M._declined_on_the_way,
        ReachChanged: M._reach,
        TimePassed: M._time_coming,
        DrillStarted: M._ignore,
        FoundOpen: M._ignore,
    },
    State.ATTENDED: {
        ButtonPressed: M._raise_by_press,
        HelpTouched: M._raise_by_press,
        PersonTouched: M._tell_person,
        WorseTouched: M._tell_worse,
        PhraseHeard: M._hear_while_attended,
        ChoiceTouched: M._tell_choice,
        FineTouched: M._tell_fine,
        NameGiven: M._tell_name,
        LanguageChosen: M._tell_language,
        StillOkTouched: M._ignore,
        LaterTouched: M._ignore,
        TestTouched: M._ignore,
        ResponderSeen: M._seen,
        ResponderComing: M._also_coming,
        ResponderHere: M._also_here,
        ResponderClosed: M._closed,
        ResponderDeclined: M._declined_at_desk,
        ReachChanged: M._reach,
        TimePassed: M._time_attended,
        DrillStarted: M._ignore,
        FoundOpen: M._ignore,
    },
}
"""The whole machine: what each event does in each state. An `_ignore` is a decision, not a gap."""
