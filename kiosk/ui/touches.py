"""Keeps what a person touched until what the hub shows proves that it arrived: a touch is never lost.

Rules
- A touch is sent, and sent again, until the incident itself shows it; the hub takes the same touch twice without harm.
- A call for help outlives the incident it was touched in: when that one is over, it opens a new one.
- At most one touch of each kind is kept. Times are monotonic seconds and are passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kiosk.messages import Severity, Show, Snapshot, State, Touch, TouchAction

RESEND_S = 2.0
UNHEARD_S = 4.0
"""A call for help that is not confirmed for so long is a unit that cannot call, and the screen says so."""


@dataclass(frozen=True)
class Pending:
    """A touch that is not confirmed: in which state it was touched, since when, and when it is sent next."""

    touch: Touch
    state: State
    since_s: float
    due_s: float


class Touches:
    """The touches that are not confirmed yet. `send(touch)` returns whether the hub was there to take it."""

    def __init__(self, send: Callable[[Touch], bool]) -> None:
        self._send = send
        self._pending: dict[TouchAction, Pending] = {}

    def add(self, touch: Touch, state: State, now_s: float) -> None:
        """Take a touch that was made in `state`, and send it."""
        since_s = now_s
        known = self._pending.get(touch.action)
        if known is not None and known.touch == touch:
            since_s = known.since_s
        self._pending[touch.action] = Pending(touch, state, since_s, now_s)
        self.send_due(now_s)

    def send_due(self, now_s: float) -> None:
        """Send whatever is due, and keep it until it is confirmed."""
        for action, pending in self._pending.items():
            if pending.due_s <= now_s and self._send(pending.touch):
                self._pending[action] = replace(pending, due_s=now_s + RESEND_S)

    def linked(self, now_s: float) -> None:
        """The hub is there again: everything is due."""
        for action, pending in self._pending.items():
            self._pending[action] = replace(pending, due_s=now_s)
        self.send_due(now_s)

    def shown(self, show: Show) -> None:
        """Drop what `show` confirms."""
        incident = show.incident if show.incident and show.incident.state is not State.CLOSED else None
        self._pending = {
            action: _renewed(pending, incident)
            for action, pending in self._pending.items()
            if not _arrived(pending, incident)
        }

    @property
    def telling(self) -> bool:
        """Whether a call for help is not confirmed yet."""
        return TouchAction.HELP in self._pending

    def unheard(self, now_s: float) -> bool:
        """Whether a call for help has waited too long for its confirmation."""
        pending = self._pending.get(TouchAction.HELP)
        return pending is not None and now_s - pending.since_s >= UNHEARD_S


def _renewed(pending: Pending, incident: Snapshot | None) -> Pending:
    stale = pending.touch.incident is not None and (incident is None or incident.id != pending.touch.incident)
    if not stale:
        return pending
    return replace(pending, touch=pending.touch.model_copy(update={"incident": None}), state=State.IDLE)


def _arrived(pending: Pending, incident: Snapshot | None) -> bool:
    touch = pending.touch
    if touch.action is TouchAction.HELP:
        return _help_arrived(pending, incident)
    if incident is None or incident.id != touch.incident:
        return True
    shows: dict[TouchAction, bool] = {
        TouchAction.FINE: incident.says_fine,
        TouchAction.CHOOSE: incident.choice is touch.choice,
        TouchAction.STILL_OK: not incident.check_in_open,
        TouchAction.LATER: not incident.check_in_open,
        TouchAction.WORSE: incident.severity is Severity.GRAVE and not incident.check_in_open,
        TouchAction.NAME: incident.name == touch.name,
    }
    return shows[touch.action]


def _help_arrived(pending: Pending, incident: Snapshot | None) -> bool:
    if incident is None or incident.severity is Severity.CHECK:
        return False
    return incident.state is not State.ATTENDED or pending.state is not State.ATTENDED
