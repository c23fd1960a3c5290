"""How well a unit is connected, counted where it is felt: at the hub, between its broker and its button.

Rules
- Pure: monotonic seconds are handed in. It measures what is sent anyway, and sends nothing itself.
- The broker's answer to a status counts; the longest of the last minute is told, and one that is missing counts with its age.
"""

from collections import deque

from kiosk.messages import ButtonHealth, LinkHealth

DAY_S = 86400.0
WORST_OF_S = 60.0
DROPS_MOST = 999
TRIPS_MOST = 256


class LinkMeter:
    """Counts breaks of the link to the broker, and how long the broker takes to confirm a status."""

    def __init__(self) -> None:
        self._drops_s: deque[float] = deque(maxlen=DROPS_MOST)
        self._sent_s: dict[int, float] = {}
        self._trips: deque[tuple[float, float]] = deque(maxlen=TRIPS_MOST)

    def sent(self, mid: int | None, now_s: float) -> None:
        """A status was given to the broker under this number."""
        if mid is not None and len(self._sent_s) < TRIPS_MOST:
            self._sent_s[mid] = now_s

    def acknowledged(self, mid: int, now_s: float) -> None:
        """The broker confirmed what has this number."""
        sent_s = self._sent_s.pop(mid, None)
        if sent_s is not None:
            self._trips.append((now_s, now_s - sent_s))

    def broke(self, now_s: float) -> None:
        """A link that stood is gone."""
        self._drops_s.append(now_s)
        self._sent_s.clear()

    def health(self, button: ButtonHealth | None, now_s: float) -> LinkHealth:
        """Return what is told of it."""
        while self._trips and now_s - self._trips[0][0] > WORST_OF_S:
            self._trips.popleft()
        waits = [*(took_s for _, took_s in self._trips), *(now_s - sent_s for sent_s in self._sent_s.values())]
        return LinkHealth(
            drops=sum(now_s - at_s <= DAY_S for at_s in self._drops_s),
            broker_ms=round(1000 * max(waits)) if waits else None,
            button_ms=None if button is None else button.round_trip_worst_ms,
            button_bad=None if button is None else _bad_permille(button),
        )


def _bad_permille(button: ButtonHealth) -> int | None:
    """Return how many of a thousand frames of both sides came damaged or had to be said again."""
    bad = button.bad_frames + button.repeated_frames + button.own_repeats + button.unit_bad_frames
    return min(1000, round(1000 * bad / button.frames)) if button.frames else None
