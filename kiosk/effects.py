"""What the incident machine wants done: every output, as a frozen type.

Rules
- An effect is carried out by the hub, in order, after the machine's state is safely on disk.
- What the screen shows is not an effect: the hub shows the whole state after every event, and each second.
"""

from dataclasses import dataclass
from enum import StrEnum


class Beacon(StrEnum):
    """Light and sound at the desk: nothing, light, light and siren, or "somebody is coming"."""

    OFF = "off"
    LIGHT = "light"
    SIREN = "siren"
    COMING = "coming"


@dataclass(frozen=True)
class Publish:
    """Send the snapshot of the incident to the staff; `again` when its revision was already sent."""

    again: bool = False


@dataclass(frozen=True)
class SetBeacon:
    """Set light and sound at the desk."""

    beacon: Beacon


@dataclass(frozen=True)
class Proven:
    """Keep that a human answered the opening press just now: every hop works."""


Effect = Publish | SetBeacon | Proven
