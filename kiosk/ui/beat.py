"""The beat of CPR as sound: one click, mixed into whatever else is played.

It is counted in samples: a beat is 26,181.8 of them, and a loop of a file would lose or add some each time that it closes.
"""

import array
import math

from kiosk.guidance import BEATS_PER_MIN
from kiosk.ui.speaker import RATE_HZ

BEAT_SAMPLES = RATE_HZ * 60 / BEATS_PER_MIN
CLICK_S, CLICK_DECAY_S, CLICK_RISE_S, CLICK_LEVEL = 0.07, 0.014, 0.001, 0.4
CLICK_HZ = ((1000.0, 0.7), (2000.0, 0.3))


def click(gain: float) -> tuple[int, ...]:
    """Return one click of the beat: soft at its start, and of tones that a small speaker has."""
    samples = []
    for at in range(round(CLICK_S * RATE_HZ)):
        t_s = at / RATE_HZ
        tone = sum(share * math.sin(2 * math.pi * hz * t_s) for hz, share in CLICK_HZ)
        shape = min(1.0, t_s / CLICK_RISE_S) * math.exp(-t_s / CLICK_DECAY_S)
        samples.append(round(32767 * CLICK_LEVEL * gain * tone * shape))
    return tuple(samples)


def with_beat(block: bytes, at: int, one: tuple[int, ...]) -> bytes:
    """Return a block with the clicks that fall into it; `at` is its first sample since the beat began."""
    mixed = array.array("h", block)
    first = max(0, math.floor((at - len(one)) / BEAT_SAMPLES))
    for count in range(first, math.ceil((at + len(mixed)) / BEAT_SAMPLES)):
        begins = round(count * BEAT_SAMPLES) - at
        for place in range(max(0, begins), min(len(mixed), begins + len(one))):
            mixed[place] = max(-32768, min(32767, mixed[place] + one[place - begins]))
    return mixed.tobytes()
