"""A responder's answers until the unit's snapshot shows them: a broker may die with one in its hands.

Rules
- An answer goes out at once, then every `RESEND_S` with the same `reply_id`, until it is reflected, superseded, or its
  incident is closed; after `GIVE_UP_S` it is given up, and that stays visible until the next answer.
- Of one incident, the newest answer of a human replaces the one before. "Seen" travels beside it.
- An answer may be held for a moment and taken back; after that it goes out by itself, whatever became of the page.
- A close does not outlive its reason: when somebody calls again at that desk before it arrived, it is dropped, and that is said.
- Times are monotonic seconds and handed in.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from kiosk.messages import (
    CallNextReply,
    CloseReply,
    ComingReply,
    HereReply,
    Id,
    Reply,
    SeenReply,
    Snapshot,
    State,
    calls_after,
)

RESEND_S = 2.0
LATE_S = 5.0
GIVE_UP_S = 120.0
HOLD_S = 5.0
"""A close can be taken back for so long."""
ETA_SLACK_S = 25.0


class Delivery(StrEnum):
    """Where a human's answer is. NONE: nothing is under way.

    HELD: it can still be taken back. AGAIN: it was dropped, since somebody called again.
    """

    NONE = ""
    HELD = "held"
    AGAIN = "again"
    SENDING = "sending"
    LATE = "late"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer under way to one unit; `first_s` is when it goes out first, `to` what the person saw when they gave it."""

    reply: Reply
    unit: Id
    first_s: float
    next_s: float
    to: Snapshot | None = None


def _coming_shows(eta_s: float, waited_s: float, snapshot: Snapshot, me: Id) -> bool:
    """Return whether our newest ETA is the one that the snapshot counts down (an older one differs by a minute or more)."""
    least_s = eta_s - waited_s - ETA_SLACK_S
    mine = [one.eta_s for one in snapshot.coming if one.responder.id == me]
    return snapshot.here is not None or any(least_s <= left_s <= eta_s + 1 for left_s in mine)


def reflected(pending: Pending, snapshot: Snapshot, now_s: float) -> bool:
    """Return whether `snapshot` shows that this answer arrived, or leaves nothing more for it to do."""
    me = pending.reply.responder
    match pending.reply:
        case SeenReply():
            there = any(one.id == me for one in snapshot.seen)
        case CallNextReply():
            there = any(one.id == me for one in snapshot.declined)
        case HereReply():
            there = snapshot.here is not None
        case ComingReply(eta_s=eta_s):
            there = _coming_shows(eta_s, now_s - pending.first_s, snapshot, me)
        case CloseReply():
            there = False
    return there or snapshot.state is State.CLOSED


def known_s(snapshot: Snapshot) -> float:
    """Return how far the timeline went that whoever answers has seen."""
    return snapshot.timeline[-1].t_s if snapshot.timeline else -1.0


def called_again(before: Snapshot, after: Snapshot) -> bool:
    """Return whether somebody called again since: whoever closed `before` did not know of it. A drill's pages are played."""
    if after.drill or after.state is State.CLOSED:
        return False
    attended = after.state is State.ATTENDED
    left = before.state is State.ATTENDED and not attended
    return left or calls_after(after.timeline, known_s(before), attended=attended)


def _is_overtaken(pending: Pending, snapshot: Snapshot) -> bool:
    is_close = isinstance(pending.reply, CloseReply)
    return is_close and pending.to is not None and called_again(pending.to, snapshot)


class Answers:
    """The answers under way from this device."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, bool], Pending] = {}
        self._failed: dict[str, Delivery] = {}

    def add(self, reply: Reply, unit: Id, now_s: float, *, hold_s: float = 0.0, to: Snapshot | None = None) -> None:
        """Take an answer that shall go out in `hold_s`; `to` is what it answers."""
        seen = isinstance(reply, SeenReply)
        if not seen:
            self._failed.pop(reply.incident, None)
        self._pending[reply.incident, seen] = Pending(reply, unit, now_s + hold_s, now_s + hold_s, to)

    def held(self, incident: str, now_s: float) -> Pending | None:
        """Return the answer to `incident` that can still be taken back."""
        one = self._pending.get((incident, False))
        return one if one is not None and now_s < one.first_s else None

    def take_back(self, incident: str, now_s: float) -> bool:
        """Drop the answer that is held; return False when it is gone already."""
        found = self.held(incident, now_s) is not None
        if found:
            del self._pending[incident, False]
        return found

    def hold_no_more(self, now_s: float) -> None:
        """Let everything go out now: nobody can take it back any more."""
        for key, one in self._pending.items():
            if now_s < one.first_s:
                self._pending[key] = replace(one, first_s=now_s, next_s=now_s)

    def take_snapshot(self, snapshot: Snapshot, now_s: float) -> None:
        """Drop the answers that `snapshot` reflects, and those to what the unit had open before it."""
        if snapshot.state is State.CLOSED:
            self._failed.pop(snapshot.id, None)
        for key, one in list(self._pending.items()):
            if one.unit != snapshot.unit:
                continue
            again = one.reply.incident == snapshot.id and _is_overtaken(one, snapshot)
            if again:
                self._failed[snapshot.id] = Delivery.AGAIN
            if again or one.reply.incident != snapshot.id or reflected(one, snapshot, now_s):
                del self._pending[key]

    def due(self, now_s: float, *, everything: bool = False) -> list[Pending]:
        """Return what goes out now, and put its next turn off; with `everything`, whatever its turn (a link came back)."""
        out = []
        for key, one in list(self._pending.items()):
            if now_s - one.first_s > GIVE_UP_S:
                del self._pending[key]
                if not isinstance(one.reply, SeenReply):
                    self._failed[one.reply.incident] = Delivery.FAILED
            elif now_s >= one.next_s or (everything and now_s >= one.first_s):
                self._pending[key] = replace(one, next_s=now_s + RESEND_S)
                out.append(one)
        return out

    def delivery(self, incident: str, now_s: float) -> Delivery:
        """Return where the human's answer to `incident` is."""
        if incident in self._failed:
            return self._failed[incident]
        one = self._pending.get((incident, False))
        if one is None:
            return Delivery.NONE
        if now_s < one.first_s:
            return Delivery.HELD
        return Delivery.LATE if now_s - one.first_s >= LATE_S else Delivery.SENDING

    def under_way(self) -> bool:
        """Return whether any answer of a human is still to arrive."""
        return any(not seen for _, seen in self._pending)

    def saw(self, incident: str) -> bool:
        """Return whether a "seen" for `incident` is under way."""
        return (incident, True) in self._pending
