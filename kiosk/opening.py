"""The morning's opening press: which press it is, and what ends the wait for it.

Rules
- Only the next press of the open button within the minute is it; at a unit without a button, the touch "I need help".
- While no staff can be reached the screen does not ask for it, and any press is real (`alertd.py`): whoever sees the emergency
  number must not be told that it is a drill.
- Whatever else opens an incident meanwhile is real and ends the wait; so does time, and that is told.
- Of a covert call the desk must not tell: staff's side ends the wait at once, the screen goes on asking to the end of the minute.
"""

from dataclasses import dataclass

from kiosk.events import ButtonPressed, DrillStarted, Event, HelpTouched
from kiosk.messages import OPENING, Person

OPENING_S = 60.0
"""How long a unit waits for the press."""


@dataclass(frozen=True)
class Opening:
    """A wait for the press that is the drill `drill`, begun by `by` at `since_s`. `armed` until something real came before."""

    drill: str
    by: Person
    since_s: float
    has_button: bool
    armed: bool = True

    @property
    def until_s(self) -> float:
        """When the wait is over."""
        return self.since_s + OPENING_S

    def drill_of(self, event: Event, now_s: float) -> DrillStarted | None:
        """Return the drill that `event` begins, or None when it is something else. A press may be delivered late."""
        if isinstance(event, ButtonPressed):
            age_s, is_it = event.age_s, not event.covert and self.has_button
        else:
            age_s, is_it = 0.0, isinstance(event, HelpTouched) and not self.has_button
        in_time = self.since_s <= now_s - age_s <= self.until_s
        return DrillStarted(self.drill, OPENING, self.by, age_s) if self.armed and is_it and in_time else None
