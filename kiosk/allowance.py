"""Counts how much of the last minute the unit's own voice had, so that it cannot keep the ear from listening.

Pure: times are monotonic seconds and are passed in, in their order. The screen asks before it speaks, the ear before it is deaf.
"""

from collections import deque

WINDOW_S = 60.0
JOIN_S = 0.1
"""Stretches so near to each other are one: few are kept."""


class Allowance:
    """At most `limit_s` of any `WINDOW_S`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._used: deque[tuple[float, float]] = deque()

    def use(self, began_s: float, ended_s: float) -> None:
        """Note a stretch that was used."""
        if self._used and began_s <= self._used[-1][1] + JOIN_S:
            last_s, until_s = self._used.pop()
            began_s, ended_s = min(last_s, began_s), max(until_s, ended_s)
        self._used.append((began_s, ended_s))
        while self._used[0][1] <= ended_s - WINDOW_S:
            self._used.popleft()

    def wait_s(self, now_s: float, length_s: float) -> float:
        """Return how long to wait until `length_s` more can be used in one go."""
        since_s = now_s - WINDOW_S
        parts = [(max(began_s, since_s), ended_s) for began_s, ended_s in self._used if ended_s > since_s]
        over_s = sum(ended_s - began_s for began_s, ended_s in parts) + length_s - self._limit_s
        wait_s = 0.0
        for began_s, ended_s in parts:
            if over_s <= 0:
                break
            free_s = min(over_s, ended_s - began_s)
            over_s -= free_s
            wait_s = began_s + free_s - since_s
        return wait_s
