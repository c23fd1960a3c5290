"""Keeps what a person touched until what the hub shows proves that it arrived: a touch is never lost.

Rules
- A touch is sent, and sent again, until what the hub shows proves it; the hub takes the same touch twice without harm.
- A call for help outlives the incident it was touched in: when that one is over, it opens a new one. So does asking for a person.
- What the person said is happening, their name, and that it is worse are told to each incident that does not show them yet.
- The language of the screen is told to each incident that has another one, if a person touched it. While there is none, nothing
  shows that the hub has it: then it is enough that it was sent, and it is told again to a hub that was away.
- At most one touch of each kind is kept. Times are monotonic seconds and are passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kiosk.local import Local, visible
from kiosk.messages import Choice, Hearing, Language, Severity, Show, Snapshot, State, Touch, TouchAction

RESEND_S = 2.0
UNHEARD_S = 4.0
"""A call for help that is not confirmed for so long is a unit that cannot call, and the screen says so."""


@dataclass(frozen=True)
class Pending:
    """A touch that is not confirmed: in which state it was touched, since when, when it is sent next, and whether it was."""

    touch: Touch
    state: State
    since_s: float
    due_s: float
    sent: bool = False


OPPOSITES = {TouchAction.PAUSE: TouchAction.RESUME, TouchAction.RESUME: TouchAction.PAUSE}


class Touches:
    """The touches that are not confirmed yet. `send(touch)` returns whether the hub was there to take it."""

    def __init__(self, send: Callable[[Touch], bool]) -> None:
        self._send = send
        self._pending: dict[TouchAction, Pending] = {}
        self._told_language: Language | None = None

    def add(self, touch: Touch, state: State, now_s: float) -> None:
        """Take a touch that was made in `state`, and send it."""
        since_s = now_s
        known = self._pending.get(touch.action)
        if known is not None and known.touch == touch:
            since_s = known.since_s
        self._pending.pop(OPPOSITES.get(touch.action, touch.action), None)
        self._pending[touch.action] = Pending(touch, state, since_s, now_s)
        self.send_due(now_s)

    def tells(self, local: Local, show: Show | None, now_s: float) -> None:
        """Tell the hub what was touched here and the open incident lacks, and which language is shown."""
        incident = visible(show)
        if incident is not None and incident.id == local.incident:
            for action in sorted(local.untold - self._pending.keys()):
                if touch := _told_again(action, local, incident):
                    self.add(touch, incident.state, now_s)
        self.speaks(local.look.language, show, now_s, mine=local.mine)

    def speaks(self, language: Language, show: Show | None, now_s: float, *, mine: bool = True) -> None:
        """The screen shows `language`: tell the hub, unless it knows; an incident only what a person touched (`mine`)."""
        incident = _open(show)
        if incident is not None and not mine:
            return
        known = incident.language if incident else self._told_language
        pending = self._pending.get(TouchAction.LANGUAGE)
        wanted = pending.touch.language if pending else known
        if wanted is not language:
            touch = Touch(action=TouchAction.LANGUAGE, incident=incident.id if incident else None, language=language)
            self.add(touch, incident.state if incident else State.IDLE, now_s)

    def send_due(self, now_s: float) -> None:
        """Send whatever is due, and keep it until it is confirmed."""
        for action, pending in self._pending.items():
            if pending.due_s <= now_s and self._send(pending.touch):
                self._pending[action] = replace(pending, due_s=now_s + RESEND_S, sent=True)

    def linked(self, now_s: float) -> None:
        """The hub is there again: everything is due, and it may have forgotten the language."""
        self._told_language = None
        for action, pending in self._pending.items():
            self._pending[action] = replace(pending, due_s=now_s)
        self.send_due(now_s)

    def shown(self, show: Show) -> None:
        """Drop what `show` confirms."""
        incident = _open(show)
        language = self._pending.get(TouchAction.LANGUAGE)
        if language is not None and _arrived(language, show, incident):
            self._told_language = language.touch.language
        self._pending = {
            action: _renewed(pending, incident)
            for action, pending in self._pending.items()
            if not _arrived(pending, show, incident)
        }

    @property
    def telling(self) -> bool:
        """Whether a call for help is not confirmed yet."""
        return TouchAction.HELP in self._pending

    @property
    def asking(self) -> bool:
        """Whether asking for a person is not confirmed yet."""
        return TouchAction.PERSON in self._pending

    def unheard(self, now_s: float) -> bool:
        """Whether either has waited too long for its confirmation."""
        calls = [self._pending.get(action) for action in (TouchAction.HELP, TouchAction.PERSON)]
        return any(pending is not None and now_s - pending.since_s >= UNHEARD_S for pending in calls)


def _told_again(action: TouchAction, local: Local, incident: Snapshot) -> Touch | None:
    """Return a touch as it was made; None where it would raise an alarm that nobody asked for."""
    if action is TouchAction.CHOOSE and local.choice is Choice.PERSON and incident.severity is Severity.CHECK:
        return None
    choice = local.choice if action is TouchAction.CHOOSE else None
    name = local.name if action is TouchAction.NAME else None
    return Touch(action=action, incident=incident.id, choice=choice, name=name)


def _open(show: Show | None) -> Snapshot | None:
    incident = show.incident if show else None
    return incident if incident is not None and incident.state is not State.CLOSED else None


def _renewed(pending: Pending, incident: Snapshot | None) -> Pending:
    stale = pending.touch.incident is not None and (incident is None or incident.id != pending.touch.incident)
    if not stale:
        return pending
    return replace(pending, touch=pending.touch.model_copy(update={"incident": None}), state=State.IDLE)


def _arrived(pending: Pending, show: Show, incident: Snapshot | None) -> bool:
    touch = pending.touch
    paused = show.hearing is Hearing.PAUSED or show.hearing_back_s is not None
    always: dict[TouchAction, bool] = {
        TouchAction.HELP: _help_arrived(pending, incident) or (show.touch_tested and pending.sent),
        TouchAction.PERSON: incident is not None and not incident.silent,
        TouchAction.PAUSE: paused,
        TouchAction.RESUME: not paused,
        TouchAction.LANGUAGE: incident.language is touch.language if incident else pending.sent,
    }
    if touch.action in always:
        return always[touch.action]
    return incident is None or incident.id != touch.incident or _incident_shows(touch, incident)


def _incident_shows(touch: Touch, incident: Snapshot) -> bool:
    shows: dict[TouchAction, bool] = {
        TouchAction.FINE: incident.says_fine,
        TouchAction.CHOOSE: incident.choice is touch.choice,
        TouchAction.STILL_OK: not incident.check_in_open,
        TouchAction.LATER: not incident.check_in_open,
        TouchAction.WORSE: incident.severity is Severity.GRAVE and not incident.check_in_open,
        TouchAction.NAME: incident.name == touch.name,
        TouchAction.TEST: not incident.maybe_test,
    }
    return shows[touch.action]


def _help_arrived(pending: Pending, incident: Snapshot | None) -> bool:
    if incident is None or incident.severity is Severity.CHECK:
        return False
    return incident.state is not State.ATTENDED or pending.state is not State.ATTENDED
