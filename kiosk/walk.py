"""The walk test: which call may be the technician's, and when it is real after all.

Rules
- Pure: monotonic seconds are handed in.
- All calls are real but one: the next call of the kind that the technician announced, within `EXPECT_S` of the announcement, on
  an idle desk. That one is held and told to the technician alone.
- What is held is the technician's only by their own word. Without it, within `HOLD_S`, it is real; so it is when they say so,
  when a second call comes, when their terminal goes away, when the walk test ends, and when the hub starts again.
- It ends by itself at its time, with the technician's connection, with the hub, and with any real call.
"""

from dataclasses import dataclass, replace

from kiosk.events import ButtonPressed, Event, HelpTouched, PhraseHeard
from kiosk.messages import WalkTrigger

EXPECT_S = 20.0
"""How long an announced call is waited for."""
HOLD_S = 10.0
"""How long a held call waits for the technician's word; then staff are called."""
LONGEST_S = 3600.0


@dataclass(frozen=True)
class Held:
    """A call that may be the technician's. `key` is what tells it when the same one is said again."""

    event: Event
    key: object
    came_s: float


@dataclass(frozen=True)
class Walk:
    """A walk test of `by`, who speaks on the bus as `number`, until `until_s`."""

    by: str
    number: int
    until_s: float
    expects: WalkTrigger | None = None
    since_s: float = 0.0
    held: Held | None = None

    def expecting(self, trigger: WalkTrigger, now_s: float) -> "Walk":
        """Return the walk with a call announced: the next one of this kind may be the technician's."""
        return replace(self, expects=trigger, since_s=now_s)

    def takes(self, event: Event, now_s: float) -> bool:
        """Return whether a call may be the announced one."""
        at_s = now_s - (event.age_s if isinstance(event, ButtonPressed) else 0.0)
        in_time = self.since_s <= at_s <= self.since_s + EXPECT_S and now_s < self.until_s
        return self.held is None and self.expects is not None and in_time and trigger_of(event) is self.expects

    def holding(self, event: Event, key: object, now_s: float) -> "Walk":
        """Return the walk with this call held; the next one is real."""
        return replace(self, held=Held(event, key, now_s), expects=None)

    def free(self) -> "Walk":
        """Return the walk with nothing held and nothing announced."""
        return replace(self, held=None, expects=None)

    def overdue(self, now_s: float) -> bool:
        """Return whether what is held has waited long enough for the technician's word."""
        return self.held is not None and now_s - self.held.came_s >= HOLD_S

    def over(self, now_s: float) -> bool:
        """Return whether its time is up."""
        return now_s >= self.until_s


def trigger_of(event: Event) -> WalkTrigger | None:
    """Return by what a call came; None for what is no call."""
    match event:
        case ButtonPressed(covert=covert):
            return WalkTrigger.COVERT if covert else WalkTrigger.BUTTON
        case HelpTouched():
            return WalkTrigger.TOUCH
        case PhraseHeard(covert=covert):
            return WalkTrigger.SILENT if covert else WalkTrigger.PHRASE
    return None
