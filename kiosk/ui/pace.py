"""How large the moving disc of a step is at a moment: to breathe with, or to press to.

Rules
- Everything follows from the time since the pace began; whoever draws more or fewer frames shows the same movement.
- 110 beats a minute are 1.8 changes a second: below the three at which flashing endangers people (WCAG 2.2, 2.3.1).
"""

import math
from dataclasses import dataclass

from kiosk.guidance import BEATS_PER_MIN, IN_S, OUT_S, Pace

SMALLEST = 0.62
"""The disc at its smallest, as a share of its largest: a word must fit in it."""
BEAT_S = 60.0 / BEATS_PER_MIN
SWELL = 0.12
"""The share of a beat in which the disc grows."""


@dataclass(frozen=True)
class Moment:
    """The disc's size as a share of its largest, and which of the pace's words stands in it."""

    size: float
    word: int


def moment(pace: Pace, since_s: float) -> Moment:
    """Return how the disc of a pace stands `since_s` seconds after it began; breath and beat begin with what is to be done."""
    if pace is Pace.BREATHING:
        return _breath(since_s % (IN_S + OUT_S))
    return Moment(SMALLEST + (1 - SMALLEST) * _beat(since_s / BEAT_S % 1.0), 0)


def _breath(at_s: float) -> Moment:
    drawn_in = at_s < IN_S
    share = at_s / IN_S if drawn_in else (at_s - IN_S) / OUT_S
    eased = (1 - math.cos(math.pi * share)) / 2
    return Moment(SMALLEST + (1 - SMALLEST) * (eased if drawn_in else 1 - eased), 0 if drawn_in else 1)


def _beat(at: float) -> float:
    """Swell quickly, and sink slowly until the next."""
    return math.sin(math.pi / 2 * at / SWELL) if at < SWELL else ((1 - at) / (1 - SWELL)) ** 1.5
