"""What one responder's device knows of its store: open incidents, desks, colleagues.

Rules
- Of one incident the highest revision wins; an equal one only refreshes the clock; a lower one is old news.
- A unit has one incident at a time: a newer id takes the place of the one before, a closed one leaves.
- Times are monotonic seconds and handed in. The unit's `elapsed_s` counts; the time of day only bridges what a retained
  message has slept at the broker, and only when it is plausible.
- `changes` grows with what is shown anew, and not with what only says that a unit still lives.
- What a unit had open goes when its retained incident is cleared, or when it was answered and its unit is long lost.
- A unit whose beat has not changed for `LOST_S` is lost, whatever its last status said.
"""

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from kiosk.messages import (
    PRESENCE_FRESH_S,
    Id,
    Presence,
    Severity,
    Snapshot,
    State,
    Status,
    UnitState,
    heard_at_s,
)

LOST_S = 20.0
SLEPT_MOST_S = 24 * 3600.0
APART_S = 60.0
"""Two clocks that are set differ by less."""
ANSWERED_KEPT_S = 12 * 3600.0
"""An alert that somebody answered, at a desk that is lost, is asked about for so long: nobody can close it any more."""
IDS_KEPT = 32

SHOWN = attrgetter("place", "state", "faults", "opening", "face")
"""Of a status, what is shown; the rest only says that the unit lives, and how well it is connected."""

_LOUDNESS = {Severity.GRAVE: 0, Severity.ALERT: 1, Severity.CHECK: 2}


@dataclass(frozen=True, slots=True)
class Incident:
    """A snapshot with the moments that its relative times count from.

    `unsure`: it slept at the broker, and the unit's date does not tell for how long. It is at least as old as it says.
    """

    snapshot: Snapshot
    opened_s: float
    said_s: float
    unsure: bool = False

    def elapsed_s(self, now_s: float) -> float:
        """Return how long it has been open."""
        return max(0.0, now_s - self.opened_s)

    def left_s(self, in_s: float, now_s: float) -> float:
        """Return what is left now of a time that the snapshot named; negative when it is over."""
        return in_s - (now_s - self.said_s)


@dataclass(frozen=True, slots=True)
class Desk:
    """A unit's status, and when its beat last changed."""

    status: Status
    fresh_s: float

    def lost(self, now_s: float) -> bool:
        """Return whether the unit is gone, by its will or by its silence."""
        return self.status.state is UnitState.LOST or now_s - self.fresh_s > LOST_S


def _slept_s(snapshot: Snapshot, utc: datetime) -> float | None:
    """Return how long a retained snapshot has slept; None when the two clocks cannot both be right."""
    if snapshot.opened_at.tzinfo is None:
        return None
    slept_s = (utc - snapshot.opened_at).total_seconds() - snapshot.elapsed_s
    return max(0.0, slept_s) if -APART_S <= slept_s <= SLEPT_MOST_S else None


class Model:
    """The state behind board and pager; every method is one message or one question."""

    def __init__(self) -> None:
        self.changes = 0
        self._by_place: list[Id] | None = None
        self._incidents: dict[Id, Incident] = {}
        self._revisions: dict[Id, dict[str, int]] = {}
        self._desks: dict[Id, Desk] = {}
        self._presences: dict[tuple[Id, Id], tuple[Presence, float]] = {}

    def take_snapshot(self, snapshot: Snapshot, *, now_s: float, utc: datetime, retained: bool) -> bool:
        """Take an incident's snapshot; return False when it was old news. `utc` is the time of day now."""
        revisions = self._revisions.setdefault(snapshot.unit, {})
        highest = revisions.get(snapshot.id, 0)
        current = self._incidents.get(snapshot.unit)
        again = snapshot.revision == highest and current is not None and current.snapshot.id == snapshot.id
        if snapshot.revision <= highest and not again:
            return False
        if again and retained:
            return True
        revisions[snapshot.id] = snapshot.revision
        while len(revisions) > IDS_KEPT:
            del revisions[next(iter(revisions))]
        known_s = _slept_s(snapshot, utc) if retained else 0.0
        slept_s = known_s or 0.0
        opened_s = now_s - snapshot.elapsed_s - slept_s
        self.changes += not again
        self._incidents[snapshot.unit] = Incident(snapshot, opened_s, now_s - slept_s, unsure=known_s is None)
        return True

    def take_status(self, status: Status, now_s: float) -> None:
        """Take a unit's status; only a changed beat proves that it lives. A will knows no address: the last one stays."""
        before = self._desks.get(status.unit)
        if before is not None and status.face is None:
            status = status.model_copy(update={"face": before.status.face})
        same_beat = before is not None and before.status.beat == status.beat
        desk = Desk(status, before.fresh_s if before and same_beat else now_s)
        if before is None or before.status.place != status.place:
            self._by_place = None
        self.changes += before is None or before.lost(now_s) or SHOWN(before.status) != SHOWN(status)
        self._desks[status.unit] = desk

    def take_presence(self, presence: Presence, now_s: float, *, retained: bool = False) -> None:
        """Take the presence of a responder's device."""
        key = presence.responder, presence.device
        self.changes += key not in self._presences or self._presences[key][0] != presence
        self._presences[key] = presence, heard_at_s(now_s, retained=retained)

    def forget_device(self, responder: Id, device: Id) -> None:
        """Drop a device whose retained presence was cleared."""
        self.changes += self._presences.pop((responder, device), None) is not None

    def forget_desk(self, unit: Id) -> None:
        """Drop a unit that was taken out of service (its retained status was cleared)."""
        self._desks.pop(unit, None)
        self._by_place = None
        self.changes += 1

    def forget_incident(self, unit: Id) -> None:
        """Drop what a unit had open (its retained incident was cleared)."""
        held = self._incidents.pop(unit, None)
        if held is not None:
            self._revisions[unit].pop(held.snapshot.id, None)
            self.changes += 1

    def end_orphans(self, now_s: float) -> list[Incident]:
        """Drop and return the answered alerts of desks that are long lost; one that nobody answered stays."""
        gone = [one for one in self.open_incidents() if self._is_orphan(one, now_s)]
        for one in gone:
            self.forget_incident(one.snapshot.unit)
        return gone

    def _is_orphan(self, held: Incident, now_s: float) -> bool:
        desk = self._desks.get(held.snapshot.unit)
        answered = held.snapshot.here is not None or bool(held.snapshot.coming)
        return answered and (desk is None or desk.lost(now_s)) and now_s - held.said_s > ANSWERED_KEPT_S

    def heard_again(self, now_s: float) -> None:
        """The broker is back after a break of ours: give every unit its time anew."""
        self.changes += 1
        self._desks = {unit: Desk(desk.status, now_s) for unit, desk in self._desks.items()}

    def incident(self, incident_id: str) -> Incident | None:
        """Return the incident with this id if it is a unit's present one, closed or not."""
        return next((one for one in self._incidents.values() if one.snapshot.id == incident_id), None)

    def open_incidents(self) -> list[Incident]:
        """Return what is open, the gravest first, then the oldest."""
        found = [one for one in self._incidents.values() if one.snapshot.state not in {State.CLOSED, State.IDLE}]
        return sorted(found, key=lambda one: (_LOUDNESS[one.snapshot.severity], one.opened_s, one.snapshot.id))

    def desks(self) -> list[Desk]:
        """Return every known unit by its place."""
        if self._by_place is None:
            self._by_place = sorted(self._desks, key=lambda unit: (self._desks[unit].status.place, unit))
        return [self._desks[unit] for unit in self._by_place]

    def desk(self, unit: Id) -> Desk | None:
        """Return a unit if it was ever heard of."""
        return self._desks.get(unit)

    def devices(self, responder: Id) -> list[Presence]:
        """Return what the broker last said of each device of a responder."""
        return [one for one, _ in self._presences.values() if one.responder == responder]

    def listeners(self, now_s: float) -> list[Presence]:
        """Return who listens now, by name; who does on several devices is one."""
        fresh = (one for one, heard_s in self._presences.values() if now_s - heard_s <= PRESENCE_FRESH_S)
        found = {one.responder: one for one in fresh if one.listening}
        return sorted(found.values(), key=lambda one: one.name)
