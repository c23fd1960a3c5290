"""Makes one channel of two: microphones come as stereo with one channel dead, both alike, or one the other's opposite.

The rule is the average of the channels that are alive. A channel of zeros or of a converter's own noise would cost half the sound
and add its own; two opposite ones (a balanced microphone on a stereo socket) would cancel each other, so the first stands alone.
Nothing is chosen for good: a channel that comes alive counts from that very chunk on, so that no first word is lost to a choice.
"""

import numpy as np

from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, Samples

CHANNELS = 2
# A channel is alive for 1 s after it last moved by 32 steps of 16 bits: below that no microphone is of use (see level.py).
ALIVE_SPAN, ALIVE_S = 32, 1.0
OPPOSITE = -0.5
FORGET = 0.9


class Mixer:
    """Feed it every chunk of two channels; it works in fixed memory and holds no sound but the last chunk."""

    def __init__(self) -> None:
        self._mono = np.zeros(CHUNK_SAMPLES, np.int16)
        self._half = np.zeros(CHUNK_SAMPLES, np.int16)
        self._centred = np.zeros((CHANNELS, CHUNK_SAMPLES), np.float32)
        self._quiet_s = [ALIVE_S] * CHANNELS
        self._alike = np.zeros((CHANNELS, CHANNELS))

    def mix(self, frames: Samples) -> Samples:
        """Take 1280 frames, shape (1280, 2), and return 1280 samples, valid until the next call."""
        left, right = frames[:, 0], frames[:, 1]
        if np.array_equal(left, right):
            np.copyto(self._mono, left)
            return self._mono
        alive = [self._alive(0, left), self._alive(1, right)]
        if alive[0] == alive[1] and not self._opposite(frames):
            np.right_shift(left, 1, out=self._mono)
            np.right_shift(right, 1, out=self._half)
            np.add(self._mono, self._half, out=self._mono)
        else:
            np.copyto(self._mono, left if alive[0] or not alive[1] else right)
        return self._mono

    def wipe(self) -> None:
        """Put zeros over the last chunk."""
        for state in (self._mono, self._half, self._centred):
            state.fill(0)

    def _alive(self, channel: int, sound: Samples) -> bool:
        span = int(np.max(sound)) - int(np.min(sound))
        self._quiet_s[channel] = 0.0 if span >= ALIVE_SPAN else self._quiet_s[channel] + HOP_S
        return self._quiet_s[channel] < ALIVE_S

    def _opposite(self, frames: Samples) -> bool:
        """Whether the channels have been each other's opposite over the last second, weighed by how loud it was."""
        np.copyto(self._centred, frames.T)
        self._centred -= self._centred.mean(axis=1, keepdims=True)
        self._alike = FORGET * self._alike + self._centred @ self._centred.T
        scale = float(np.sqrt(self._alike[0, 0] * self._alike[1, 1]))
        return scale > 0 and float(self._alike[0, 1]) < OPPOSITE * scale
