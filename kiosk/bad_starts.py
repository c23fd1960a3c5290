"""Counts the starts of a unit's parts that no good time followed, so that one that only starts and dies is left down.

Rules
- Pure: monotonic seconds are handed in.
- A start is bad until the part was fresh for `GOOD_S` without a break, or was ended in good order. Each part is forgiven for
  itself: a screen that is away for weeks must not make of ten ordinary starts of the others ten bad ones.
- The start after `MOST` bad ones is one too many. Tried again later, it has one.
"""

from collections.abc import Collection, Mapping

MOST = 10
GOOD_S = 600.0
AGAIN_S = 86400.0
"""So long after it began, safe mode is tried without, by itself."""


class BadStarts:
    """The starts of each part that nothing good followed yet."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = dict(counts)
        self._fresh_since_s: dict[str, float] = {}

    def begins(self, part: str, now_s: float) -> bool:
        """Note a start; return whether it is one too many."""
        self._fresh_since_s[part] = now_s
        bad = self.counts.get(part, 0)
        self.counts[part] = min(bad + 1, MOST)
        return bad >= MOST

    def look(self, fresh: Collection[str], now_s: float) -> bool:
        """Forgive what was fresh for long enough; return whether anything was forgiven."""
        self._fresh_since_s = {part: self._fresh_since_s.get(part, now_s) for part in fresh}
        good = [part for part, since_s in self._fresh_since_s.items() if now_s - since_s >= GOOD_S]
        forgiven = [self.counts.pop(part, 0) for part in good]
        return any(forgiven)

    def is_good(self, part: str, now_s: float) -> bool:
        """Return whether a part has run well for long enough."""
        return now_s - self._fresh_since_s.get(part, now_s) >= GOOD_S

    def watch(self, part: str, now_s: float) -> None:
        """Have a part prove itself anew: from now on it has one more start."""
        self.counts[part] = MOST - 1
        self._fresh_since_s[part] = now_s

    def ends_well(self, parts: Collection[str]) -> None:
        """Note that the machine is ended in good order: the last start of what still runs was no bad one."""
        self.counts = {part: count - (part in parts) for part, count in self.counts.items() if count > (part in parts)}

    def once_more(self) -> None:
        """Give each part one more start."""
        self.counts = {part: min(count, MOST - 1) for part, count in self.counts.items()}
