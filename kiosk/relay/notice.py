"""What secondary ways are told of an incident: who may know of it, what is news, and the words.

Rules
- Pure: snapshots in, facts and texts out.
- Nobody's name and nothing that the person said or touched goes out by a secondary way: the place, how urgent it is, and whether
  somebody goes.
- A covert call is told only to a way that is set to be told. To any other it is not there; an incident that was told before
  somebody called covertly stays as it was told, but for who goes and its end.
"""

from datetime import datetime
from typing import Literal

from kiosk.messages import Id, Outcome, Record, Severity, Snapshot, State, Trigger

SECONDARY = "Secondary notice. The board is what counts."

Change = Literal["opened", "changed", "closed"]
Urgency = Literal["emergency", "check", "calm"]
ANSWERED = (State.COMING, State.ATTENDED)
HEADS: dict[Severity, str] = {
    Severity.CHECK: "Please check",
    Severity.ALERT: "Help now",
    Severity.GRAVE: "Grave: help now",
}
STATES: dict[State, str] = {
    State.CHECKING: "The desk asks somebody now if they need help.",
    State.RAISED: "Nobody is going yet.",
    State.COMING: "Somebody is on the way.",
    State.ATTENDED: "Somebody is at the desk.",
    State.CLOSED: "It is over.",
}
OUTCOMES: dict[Outcome, str] = {
    Outcome.REAL: "It is over. It was real.",
    Outcome.FALSE_ALARM: "It is over. It was a false alarm.",
    Outcome.TEST: "It is over. It was a test.",
}
QUIETLY = "Covert call: go quietly. Show nothing at the desk."


class Facts(Record):
    """What is told of one incident; two that differ in more than revision and time are news.

    That nobody is asked any more whether it was the morning's test is none: a drill is.
    """

    store: Id
    unit: Id
    place: str
    incident: str
    revision: int
    state: State
    severity: Severity
    request: bool
    drill: bool
    maybe_test: bool = False
    silent: bool
    nobody_answered: bool
    opened_at: datetime
    outcome: Outcome | None = None

    @property
    def open(self) -> bool:
        """Whether it still waits for somebody."""
        return self.state not in {State.CLOSED, State.IDLE}

    @property
    def urgency(self) -> Urgency:
        """How loud a notice of it may be."""
        if not self.open or self.state in ANSWERED or self.drill:
            return "calm"
        return "check" if self.severity is Severity.CHECK else "emergency"


class Notice(Record):
    """One change as it goes out. `id` is the same however often it is sent, so that a receiver counts it once.

    `at` is when the relay heard of it.
    """

    id: str
    at: datetime
    change: Change
    urgency: Urgency
    facts: Facts
    title: str
    text: str
    secondary: str = SECONDARY


def plain(text: str) -> str:
    """Return `text` on one line, without anything that a terminal or a log would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def _covert(snapshot: Snapshot) -> bool:
    return snapshot.silent or snapshot.covert or snapshot.trigger is Trigger.COVERT


def _facts(snapshot: Snapshot, place: str) -> Facts:
    return Facts(
        store=snapshot.store,
        unit=snapshot.unit,
        place=plain(place),
        incident=snapshot.id,
        revision=snapshot.revision,
        state=snapshot.state,
        severity=snapshot.severity,
        request=snapshot.request,
        drill=snapshot.drill,
        maybe_test=snapshot.maybe_test,
        silent=_covert(snapshot),
        nobody_answered=snapshot.emergency and snapshot.state is State.RAISED,
        opened_at=snapshot.opened_at,
        outcome=snapshot.outcome,
    )


def told(snapshot: Snapshot, place: str, before: Facts | None, *, silent: bool) -> Facts | None:
    """Return what a way may know now that knew `before` of this unit; None when it may know nothing of it.

    `silent` is whether the way is told of covert calls.
    """
    if silent or not _covert(snapshot):
        return _facts(snapshot, place)
    if before is None or before.incident != snapshot.id:
        return None
    moved = snapshot.state if snapshot.state in {*ANSWERED, State.CLOSED} else before.state
    return before.model_copy(update={"state": moved, "revision": snapshot.revision, "outcome": snapshot.outcome})


def over(before: Facts) -> Facts:
    """Return an incident of which no more will be heard: the unit began another meanwhile."""
    return before.model_copy(update={"state": State.CLOSED})


def change(before: Facts | None, now: Facts) -> Change | None:
    """Return what kind of news `now` is to who knew `before`, if it is any."""
    if before is None or before.incident != now.incident or (now.open and not before.open):
        return "opened" if now.open else None
    if not now.open:
        return "closed" if before.open else None
    same = now.model_copy(update=before.model_dump(include={"revision", "place", "opened_at", "maybe_test"}))
    return None if same == before else "changed"


def title(facts: Facts) -> str:
    """Return the notice's first line."""
    head = "Over" if not facts.open else "Please come" if facts.request else HEADS[facts.severity]
    return f"{'DRILL: ' if facts.drill else ''}{head} · {facts.place}"


def text(facts: Facts) -> str:
    """Return the notice in plain words, a sentence a line."""
    where = OUTCOMES[facts.outcome] if facts.outcome and not facts.open else STATES.get(facts.state, "")
    lines = [
        QUIETLY if facts.silent and facts.open else "",
        "This is a drill." if facts.drill else "",
        "Maybe the morning's test. Until the desk says so, it is real." if facts.maybe_test and facts.open else "",
        "A person would like somebody to come. No alarm." if facts.request and facts.open else "",
        "Nobody has answered." if facts.nobody_answered else where,
        SECONDARY,
    ]
    return "\n".join(line for line in lines if line)


def notice(notice_id: str, kind: Change, facts: Facts, at: datetime) -> Notice:
    """Return the notice of a change that was heard of at this time."""
    return Notice(
        id=notice_id, at=at, change=kind, urgency=facts.urgency, facts=facts, title=title(facts), text=text(facts)
    )
