"""The morning's opening press: which call may be it, and what ends the wait for it.

Rules
- A call in the minute is a real alert, at once and in all. That it may be the opening press goes with it, and only a touch at the
  desk turns it into the drill (`incident.py`): a frightened person's press is never shown as a drill because of an order.
- Only the next press of the open button may be it; at a unit without a button, the touch "I need help".
- While no staff can be reached the screen does not ask for it, and nobody is asked whether a press was it (`alertd.py`,
  `Scene.asks_test`): whoever is told the emergency number must not be asked about a drill.
- Whatever else opens an incident meanwhile is real and ends the wait; so does time, and that is told.
- Of a covert call the desk must not tell: staff's side ends the wait at once, the screen goes on asking, and asks of the next
  press whether it was the test, as if there had been no covert call.
"""

from dataclasses import dataclass, replace

from kiosk.events import ButtonPressed, Event, HelpTouched, TestAsked
from kiosk.messages import Person

OPENING_S = 60.0
"""How long a unit waits for the press."""


@dataclass(frozen=True)
class Opening:
    """A wait for the press that may be the drill `drill`, begun by `by` at `since_s`. `armed` until something covert came."""

    drill: str
    by: Person
    since_s: float
    has_button: bool
    armed: bool = True

    @property
    def until_s(self) -> float:
        """When the wait is over."""
        return self.since_s + OPENING_S

    def marked(self, event: Event, now_s: float) -> Event:
        """Return `event` as one that may be the opening press, where it may be. A press may be delivered late."""
        if isinstance(event, ButtonPressed) and self.has_button and not event.covert:
            at_s = now_s - event.age_s
        elif isinstance(event, HelpTouched) and not self.has_button:
            at_s = now_s
        else:
            return event
        in_time = self.since_s <= at_s <= self.until_s
        return replace(event, test=TestAsked(self.drill, self.by)) if in_time else event
