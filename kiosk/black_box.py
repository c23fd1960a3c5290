"""What happened lately at this unit, for whoever looks for the cause of a fault: faults that came and went, steps of incidents.

Rules
- Pure: times are handed in; the hub gives what is due to its store, which keeps the last 1,000.
- Codes only, and of faults the technician's line. No names, no words, no choices of anybody: a fault whose line names a person
  keeps its code alone.
- A step of an incident is due at once. Of faults the first is due at once and what follows within a minute together, so that one
  that flaps does not wear out the disk; a power cut then costs that last minute.
- In SQLite and not in the journal: the journal may lie in memory, is cut by size whatever it holds, and has names in its lines.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from kiosk.incident import LEAVES_WITH_IT, Incident
from kiosk.messages import Entry, Fault

EVERY_S = 60.0
PENDING_MOST = 500
ID_LENGTH = 8
NAMES_PEOPLE = frozenset({"opening-missed", "walk-test"})


@dataclass(frozen=True)
class BoxEvent:
    """A fault that began or ended (`place` and `says` are its line), or a step of an incident (`place` is the incident's id)."""

    at_unix_s: float
    kind: Literal["fault", "over", "incident"]
    code: str
    place: str = ""
    says: str = ""


class BlackBox:
    """Collects what is to be kept."""

    def __init__(self) -> None:
        self._pending: deque[BoxEvent] = deque(maxlen=PENDING_MOST)
        self._due_s = float("-inf")
        self._known: frozenset[Entry] = frozenset()
        self._urgent = False

    def fault(self, fault: Fault, at_unix_s: float, *, begins: bool) -> None:
        """Note that a fault began, said something else, or ended."""
        says = "" if fault.code in NAMES_PEOPLE or not begins else fault.says
        self._pending.append(BoxEvent(at_unix_s, "fault" if begins else "over", fault.code, fault.where, says))

    def incident(self, incident: Incident, unix_from_now_s: float) -> None:
        """Note the steps that are new. `unix_from_now_s` is what makes a time of day of a monotonic one."""
        for entry in incident.timeline:
            if entry not in self._known and entry.what not in LEAVES_WITH_IT:
                at_s = incident.opened_s + entry.t_s + unix_from_now_s
                self._pending.append(BoxEvent(at_s, "incident", entry.what, incident.id[:ID_LENGTH]))
                self._urgent = True
        self.knows(incident)

    def knows(self, incident: Incident) -> None:
        """Take its steps for noted: those of an incident that a former hub began are."""
        self._known = frozenset(incident.timeline)

    def due(self, now_s: float) -> list[BoxEvent]:
        """Return what is to be written now, once."""
        if not self._pending or (now_s < self._due_s and not self._urgent):
            return []
        found = list(self._pending)
        self._pending.clear()
        self._urgent = False
        self._due_s = now_s + EVERY_S
        return found
