"""What comes after an incident: the next day's call to the customer, and a kind question to who was there.

Rules
- Pure. Only what a responder closed as real has an afterwards, and no drill.
- The call belongs to the responder who was there, or to the manager where nobody was. What the customer left to be reached by is
  typed by a person, kept until the call is done, and `contact_days` at the most.
- A debrief belongs to one responder. Nobody else reads it unless they share it; whether it was filled in shows to nobody.
"""

import hashlib
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from kiosk.board.kept import Kept
from kiosk.messages import Outcome, Person, Record

CALL_STEPS = (
    ("thanked", "Thank them.", "“Thank you for telling us. It was right to ask for help.”"),
    ("asked", "Ask.", "“How are you today? Is there anything that we can do, or should have done?” Then listen."),
    ("closed", "Close.", "Say that this was the last call, and that what they left is deleted now."),
)
"""The call, step by step: a key, what to do, and words to begin with."""
CARE = (
    "Who asked for help may be in danger at home. If somebody else answers, say nothing of it, and nothing of the store’s help: "
    "“Sorry, wrong number.” Leave no message. If they called in secret, call only if they said how it is safe."
)
QUESTIONS = (
    "How are you now?",
    "What went well, even if it was small?",
    "What would have made it easier for you?",
)
HELP = (
    "It is normal that this stays for some days: bad sleep, pictures, being on edge. Talk to somebody you trust. If it "
    "lasts longer than two weeks, or gets heavier, talk to your doctor. Your manager can free you from the desk today; just ask."
)


class Task(Record):
    """Something for a person to do after an incident. `who` is empty where it is the manager's.

    `ready_s` is when the incident closed, `done_s` when the task was done (seconds since 1970).
    """

    key: str
    kind: Literal["call", "debrief"]
    unit: str
    incident: str
    place: str
    who: str = ""
    who_name: str = ""
    ready_s: float
    contact: str = ""
    contact_at_s: float | None = None
    ticked: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    shared: bool = False
    done_s: float | None = None

    def day(self, zone: tzinfo) -> date:
        """Return the day on which it is due: a call on the next one, a debrief on the same."""
        closed = datetime.fromtimestamp(self.ready_s, zone).date()
        return closed + timedelta(days=1) if self.kind == "call" else closed

    def readable_by(self, person: str, *, manager: bool) -> bool:
        """Return whether a person may open it."""
        if self.who == person:
            return True
        return manager and (self.kind == "call" or self.shared)


def tasks_of(kept: Kept) -> tuple[Task, ...]:
    """Return what a closed incident leaves to do."""
    if kept.closed_s is None or kept.drill or kept.outcome is not Outcome.REAL:
        return ()
    there = _there(kept)
    debriefs = tuple(_task("debrief", kept, one) for one in there) if kept.grave else ()
    return (_task("call", kept, there[0] if there else None), *debriefs)


def _there(kept: Kept) -> list[Person]:
    """Return who was at the desk, once each, the responder who attended it first."""
    people = {one.id: one for one in (kept.attended_by, kept.closed_by) if one is not None}
    return list(people.values())


def _task(kind: Literal["call", "debrief"], kept: Kept, person: Person | None) -> Task:
    who = person.id if person else ""
    return Task(
        key=hashlib.sha256(f"{kind}\n{kept.unit}\n{kept.id}\n{who}".encode()).hexdigest()[:24],
        kind=kind,
        unit=kept.unit,
        incident=kept.id,
        place=kept.place,
        who=who,
        who_name=person.name if person else "",
        ready_s=kept.opened_s + (kept.closed_s or 0.0),
    )


def without_contact(task: Task) -> Task:
    """Return a task whose contact is gone."""
    return task.model_copy(update={"contact": "", "contact_at_s": None})


def still_open(tasks: list[Task], now_s: float, contact_days: int) -> list[Task]:
    """Return what is to be done; a call that nobody made is over when what the customer left must be deleted."""
    return [one for one in tasks if one.done_s is None and (now_s - one.ready_s <= contact_days * 86400.0)]


def mine(tasks: list[Task], person: str, *, manager: bool) -> list[Task]:
    """Return the tasks that are a person's to do: their own, and for a manager those that are nobody's."""
    return [one for one in tasks if one.who == person or (manager and not one.who)]
