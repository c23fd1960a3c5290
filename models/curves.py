"""The arithmetic of recall and false alarms.

Rules
- Pure: no file, sound or model; what was heard in a file is a list of scores, one for each thing that would be announced.
- A rate of false alarms is counted in announcements an hour, never in files.
- Shares carry a 95 % interval (Wilson 1927): sixty clips say less than they seem to.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

Z_95 = 1.959964
LOWEST = -math.inf


@dataclass(frozen=True)
class Heard:
    """What was announced in one file: the scores of it, in any order; `label` is what was said in it."""

    label: str
    duration_s: float
    scores: tuple[float, ...]

    @property
    def best(self) -> float:
        """The highest score, or minus infinity when there was nothing at all."""
        return max(self.scores, default=LOWEST)


class Point(NamedTuple):
    """One threshold: false alarms an hour, and the share of phrases heard."""

    threshold: float
    false_per_h: float
    recall: float


class Share(NamedTuple):
    """How many of how many, with the interval that holds the truth 19 times in 20."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing is 0."""
        return self.hits / self.n if self.n else 0.0


def share(hits: int, n: int) -> Share:
    """`hits` of `n` with its Wilson interval; nothing of nothing may be anything."""
    if not n:
        return Share(0, 0, 0.0, 1.0)
    p, z2 = hits / n, Z_95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Share(hits, n, max(0.0, middle - half), min(1.0, middle + half))


def hours(files: Iterable[Heard]) -> float:
    """Hours of sound."""
    return sum(one.duration_s for one in files) / 3600


def false_count(quiet: Iterable[Heard], threshold: float) -> int:
    """Announcements at or above a threshold."""
    return sum(score >= threshold for one in quiet for score in one.scores)


def threshold_at(quiet: Sequence[Heard], per_h: float) -> float:
    """The least threshold at which speech without a phrase causes `per_h` announcements an hour, to the nearest whole one."""
    scores = sorted((score for one in quiet for score in one.scores), reverse=True)
    allowed = round(per_h * hours(quiet))
    if allowed >= len(scores):
        return LOWEST
    return math.nextafter(scores[allowed], math.inf)


def found(spoken: Iterable[Heard], threshold: float) -> Share:
    """In how many files something was announced at or above a threshold."""
    bests = [one.best for one in spoken]
    return share(sum(best >= threshold and best > LOWEST for best in bests), len(bests))


def by_label(files: Iterable[Heard]) -> dict[str, list[Heard]]:
    """The files of each label, in the order in which labels first came."""
    groups: dict[str, list[Heard]] = {}
    for one in files:
        groups.setdefault(one.label, []).append(one)
    return groups


def curve(spoken: Sequence[Heard], quiet: Sequence[Heard]) -> list[Point]:
    """Every threshold that makes a difference, from the strictest on: ROC as it is, DET is what it misses on the same axis."""
    total_h = hours(quiet)
    steps = sorted(
        [(best, 0) for one in spoken if (best := one.best) > LOWEST]
        + [(score, 1) for one in quiet for score in one.scores],
        reverse=True,
    )
    points = [Point(math.inf, 0.0, 0.0)]
    hits = false = 0
    for threshold, group in groupby(steps, key=lambda step: step[0]):
        kinds = [kind for _, kind in group]
        hits, false = hits + kinds.count(0), false + kinds.count(1)
        points.append(Point(threshold, false / total_h if total_h else 0.0, hits / len(spoken) if spoken else 0.0))
    return points


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` of a curve's points, ends included, evenly picked."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(i * step)] for i in range(most)]
