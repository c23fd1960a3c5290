"""How good the wire is: how long a command takes there and back, and what share of the frames arrives damaged. Pure."""

from collections import deque

WORST_OVER_S = 60.0
SMOOTHING = 1 / 8
"""Weight of the newest round trip (RFC 6298)."""
ROUND_TRIPS_MAX = 1200

BUCKET_S = 0.25
NOISY_OVER_S = 2.0
NOISY_FRAMES = 3
NOISY_FROM = 0.5
"""A link that goes down while so many, and this share of them, are damaged goes down because of it."""
GOOD_OVER_S = 10.0
GOOD_FRAMES = 10
GOOD_BELOW = 0.25
"""A link that was noisy is believed again once so many came, and less than this share was damaged."""


class RoundTrip:
    """From a command to its acknowledgement: smoothed, and the longest of the last minute."""

    def __init__(self) -> None:
        self.smoothed_s: float | None = None
        self._recent: deque[tuple[float, float]] = deque(maxlen=ROUND_TRIPS_MAX)

    def add(self, took_s: float, now_s: float) -> None:
        """Take one measurement."""
        smoothed_s = took_s if self.smoothed_s is None else self.smoothed_s
        self.smoothed_s = smoothed_s + SMOOTHING * (took_s - smoothed_s)
        self._recent.append((now_s, took_s))
        while now_s - self._recent[0][0] > WORST_OVER_S:
            self._recent.popleft()

    def worst_s(self, now_s: float) -> float | None:
        """Return the longest of the last minute; None where there was none."""
        return max((took_s for at_s, took_s in self._recent if now_s - at_s <= WORST_OVER_S), default=None)


class Noise:
    """Frames of the last ten seconds, whole and damaged."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, list[int]]] = deque()

    def add(self, *, damaged: bool, now_s: float) -> None:
        """Take one frame."""
        if not self._buckets or now_s - self._buckets[-1][0] >= BUCKET_S:
            self._buckets.append((now_s, [0, 0]))
        self._buckets[-1][1][damaged] += 1
        while now_s - self._buckets[0][0] > GOOD_OVER_S:
            self._buckets.popleft()

    def counts(self, over_s: float, now_s: float) -> tuple[int, int]:
        """Return how many frames were damaged, and how many there were."""
        recent = [counts for at_s, counts in self._buckets if now_s - at_s <= over_s]
        damaged = sum(counts[True] for counts in recent)
        return damaged, damaged + sum(counts[False] for counts in recent)

    def is_noisy(self, now_s: float) -> bool:
        """Return whether so many are damaged that a link that fails now fails by it."""
        damaged, all_ = self.counts(NOISY_OVER_S, now_s)
        return all_ >= NOISY_FRAMES and damaged >= NOISY_FROM * all_

    def is_good(self, now_s: float) -> bool:
        """Return whether enough came, and nearly all of it whole."""
        damaged, all_ = self.counts(GOOD_OVER_S, now_s)
        return all_ >= GOOD_FRAMES and damaged < GOOD_BELOW * all_
