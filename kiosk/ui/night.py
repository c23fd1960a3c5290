"""What the screen does for the panel and the room by the clock: the hours of night, the backlight, and a picture that wanders.

Rules
- All of it follows from the clock and from which page is shown, never from what a silent call may hide.
"""

from datetime import datetime
from pathlib import Path

from kiosk.hours import within
from kiosk.messages import Fault
from kiosk.page import Kind

BACKLIGHTS = Path("/sys/class/backlight")
DIM_SHARE = 0.35
"""How bright the resting screen is at night, of the panel's full light. A page of an alert has all of it."""
WANDER_S = 60.0
WANDER_PX = (
    (0, 0),
    (2, 0),
    (3, 2),
    (2, 3),
    (0, 2),
    (-2, 3),
    (-3, 2),
    (-2, 0),
    (-3, -2),
    (-2, -3),
    (0, -2),
    (2, -3),
    (3, -2),
)
"""Where the resting picture stands, minute after minute: within what nobody sees, and no edge burns in."""


def is_night(hours: str | None, now: datetime) -> bool:
    """Return whether it is night at local time `now`; never without hours."""
    return hours is not None and within(hours, now)


def aside(kind: Kind, now_s: float) -> tuple[int, int]:
    """Return by how many pixels the picture of a page stands aside at a moment: only the resting one ever does."""
    return WANDER_PX[int(now_s // WANDER_S) % len(WANDER_PX)] if kind is Kind.IDLE else (0, 0)


class Backlight:
    """The light behind the panel, where the system lets us set it; a panel without such a switch is none of our business."""

    def __init__(self, folder: Path = BACKLIGHTS) -> None:
        self._switches = [path.parent for path in sorted(folder.glob("*/brightness"))]
        self._denied: Path | None = None
        self._share: float | None = None

    def set(self, share: float) -> None:
        """Set the light to a share of its full strength; does nothing when it was set to that last, and took it."""
        if share == self._share and self._denied is None:
            return
        self._share, self._denied = share, None
        for switch in self._switches:
            try:
                full = int((switch / "max_brightness").read_text())
                (switch / "brightness").write_text(str(max(1, round(full * share))))
            except (OSError, ValueError):
                self._denied = switch

    def fault(self) -> Fault | None:
        """Return what is wrong, if the light could not be set."""
        if self._denied is None:
            return None
        return Fault(
            code="backlight_denied",
            where=str(self._denied / "brightness"),
            says="the panel's light cannot be set; it stays as bright at night as by day",
            do="install systemd/60-stayby-backlight.rules, or leave [ui] night out",
        )


def dimmed(kind: Kind, *, night: bool) -> float:
    """Return how bright a page is to be, as a share of the panel's full light."""
    return DIM_SHARE if night and kind is Kind.IDLE else 1.0
