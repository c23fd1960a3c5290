"""What is kept of an incident, and how what arrives is folded into it.

Rules
- Pure: this machine's clock at arrival is handed in. Folding is in any order and any number of times the same: of what changes
  the highest revision wins; of what happened first the earliest; of what got worse the worst.
- How long something took is the unit's own measure (`elapsed_s`, the timeline). When it began is this machine's clock less
  that measure; the unit's own date counts only for a message that slept at the broker.
- Nothing of the person is kept: no name, no words, no case that they touched, not even while it is open.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from kiosk.incident import LEAVES_WITH_IT
from kiosk.messages import Entry, Outcome, Person, Record, Severity, Snapshot, State, Trigger

ANSWERS = frozenset({"coming", "here"})
CLOCK_IS_SET = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
"""A machine whose clock says less has lost its time: Stayby is younger than that."""
_SEVERITIES = list(Severity)


class Kept(Record):
    """One incident as it is kept. Times called `opened_s` are seconds since 1970, the others seconds since it opened.

    `live`: `opened_s` was measured as it happened. `seen_s`, `answer_s`, `arrived_s`: when the first device showed it, the first
    person said "coming" or "here", and somebody was there. `emergency`: it came so far that nobody could be reached or answered.
    """

    unit: str
    id: str
    place: str
    revision: int
    opened_s: float
    live: bool
    trigger: Trigger
    severity: Severity
    phrase: str | None = None
    covert: bool = False
    drill: bool = False
    scenario: str | None = None
    tier: int = 1
    emergency: bool = False
    seen_s: float | None = None
    answer_s: float | None = None
    arrived_s: float | None = None
    closed_s: float | None = None
    attended_by: Person | None = None
    closed_by: Person | None = None
    outcome: Outcome | None = None
    timeline: tuple[Entry, ...] = ()

    @property
    def request(self) -> bool:
        """Whether somebody asked for a person, and it never became more: no alarm."""
        return self.trigger is Trigger.TOUCH and self.severity is Severity.CHECK

    @property
    def alert(self) -> bool:
        """Whether the norm counts it: neither a drill nor a request."""
        return not self.drill and not self.request

    @property
    def maybe_opening(self) -> bool:
        """Whether it began in the minute in which the opening press was asked for."""
        return any(one.what == "test_asked" for one in self.timeline)

    @property
    def unanswered(self) -> bool:
        """Whether no human has answered; who said to the screen's question that they are fine needed none."""
        ended_by_person = self.closed_s is not None and not self.emergency and not self.drill
        return self.answer_s is None and not ended_by_person

    @property
    def grave(self) -> bool:
        """Whether it can weigh on those who came: a life or a threat was at stake."""
        return self.severity is Severity.GRAVE or self.covert or self.trigger is Trigger.COVERT


def _began_s(snapshot: Snapshot, now_s: float, *, retained: bool) -> tuple[float, bool]:
    """Return when it opened, and whether that was measured live."""
    measured_s = now_s - snapshot.elapsed_s
    says_s = snapshot.opened_at.timestamp() if snapshot.opened_at.tzinfo else 0.0
    clock_lost = now_s < CLOCK_IS_SET <= says_s
    if clock_lost or (retained and CLOCK_IS_SET <= says_s <= measured_s):
        return says_s, False
    return measured_s, not retained


def _first_s(timeline: Iterable[Entry], what: frozenset[str]) -> float | None:
    return min((max(0.0, one.t_s) for one in timeline if one.what in what), default=None)


def _earliest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


def kept_of(snapshot: Snapshot, now_s: float, *, retained: bool = False) -> Kept:
    """Return what one snapshot tells, arriving at `now_s` (seconds since 1970)."""
    opened_s, live = _began_s(snapshot, now_s, retained=retained)
    line = tuple(one for one in snapshot.timeline if one.what not in LEAVES_WITH_IT)
    closed = snapshot.state is State.CLOSED
    now = snapshot.elapsed_s
    return Kept(
        unit=snapshot.unit, id=snapshot.id, place=snapshot.place, revision=snapshot.revision,
        opened_s=opened_s, live=live, trigger=snapshot.trigger, severity=snapshot.severity, phrase=snapshot.phrase,
        covert=snapshot.covert or snapshot.silent, drill=snapshot.drill, scenario=snapshot.scenario, tier=snapshot.tier,
        emergency=snapshot.emergency or _first_s(line, NOBODY) is not None,
        seen_s=_earliest(_first_s(line, frozenset({"seen"})), now if snapshot.seen else None),
        answer_s=_answer_s(snapshot, line),
        arrived_s=_earliest(_first_s(line, frozenset({"here"})), now if snapshot.here else None),
        closed_s=_earliest(_first_s(line, frozenset({"closed"})), now) if closed else None,
        attended_by=snapshot.here, closed_by=snapshot.closed_by, outcome=snapshot.outcome, timeline=line,
    )  # fmt: skip


NOBODY = frozenset({"nobody_answered", "nobody_listening", "broker_unreachable"})


def _answer_s(snapshot: Snapshot, line: tuple[Entry, ...]) -> float | None:
    """Return when the first human answered: a word of theirs, or that they looked and closed it."""
    now = snapshot.elapsed_s if snapshot.coming or snapshot.here else None
    closed = (
        _earliest(_first_s(line, frozenset({"closed"})), snapshot.elapsed_s) if _closed_by_human(snapshot) else None
    )
    return _earliest(_first_s(line, ANSWERS), now, closed)


def _closed_by_human(snapshot: Snapshot) -> bool:
    return snapshot.state is State.CLOSED and snapshot.closed_by is not None


def fold(one: Kept | None, other: Kept) -> Kept:
    """Return what both tell together; the order does not matter, and the same twice changes nothing."""
    if one is None:
        return other
    newer, older = (other, one) if other.revision > one.revision else (one, other)
    opened_s, live = _opened(one, other)
    closed_s = newer.closed_s if one.revision != other.revision else _earliest(one.closed_s, other.closed_s)
    return newer.model_copy(
        update={
            "opened_s": opened_s,
            "live": live,
            "closed_s": closed_s,
            "severity": max(one.severity, other.severity, key=_SEVERITIES.index),
            "phrase": newer.phrase or older.phrase,
            "covert": one.covert or other.covert,
            "scenario": newer.scenario or older.scenario,
            "tier": max(one.tier, other.tier),
            "emergency": one.emergency or other.emergency,
            "seen_s": _earliest(one.seen_s, other.seen_s),
            "answer_s": _earliest(one.answer_s, other.answer_s),
            "arrived_s": _earliest(one.arrived_s, other.arrived_s),
            "attended_by": newer.attended_by or older.attended_by,
        }
    )


def _opened(one: Kept, other: Kept) -> tuple[float, bool]:
    """Return the earliest measured beginning; what slept at a broker counts only where nothing was measured."""
    return min((not kept.live, kept.opened_s) for kept in (one, other))[1], one.live or other.live
