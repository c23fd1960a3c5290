"""Measures how loud the room is and notices a microphone that is muted, stuck, overdriven or far too quiet."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from kiosk.listen.features import HOP_S, Samples

FULL_SCALE = 32768.0
CLIPPED = 32700
SILENT_DBFS = -120.0
# How long a condition must last before it is a fault, in seconds.
DEAD_S, CLIPPING_S, QUIET_S = 5.0, 5.0, 60.0
CLIPPED_SHARE = 0.02
QUIET_PEAK_DBFS = -66.0
NOISE_BLOCK_S, NOISE_BLOCKS = 1.0, 30


@dataclass(frozen=True)
class LevelFault:
    """What is wrong with the sound itself, in the words of a fault."""

    code: str
    says: str
    do: str


DIGITAL_SILENCE = LevelFault(
    "mic_silent", "the microphone gives nothing but zeros", "unmute it, raise its capture level, or check its cable"
)
STUCK = LevelFault(
    "mic_stuck", "the microphone gives one constant value", "unplug it and plug it in again, or replace it"
)
CLIPPING = LevelFault("mic_clipping", "the sound is overdriven", "lower the capture level in alsamixer")
TOO_QUIET = LevelFault(
    "mic_quiet",
    "a minute without any audible sound",
    "check that the microphone is not covered and raise its capture level",
)


def dbfs(rms: float) -> float:
    """An RMS value in int16 steps as dB below full scale; digital silence is -120."""
    return max(SILENT_DBFS, 20 * math.log10(rms / FULL_SCALE)) if rms > 0 else SILENT_DBFS


class Meter:
    """Feed it every chunk; it knows the level, the noise floor and what is wrong. Constant memory: no sound is kept."""

    def __init__(self) -> None:
        self.level_dbfs = SILENT_DBFS
        self._dead_s = self._clipping_s = self._quiet_s = 0.0
        self._constant = 0
        self._block_s, self._block_dbfs = 0.0, 0.0
        self._blocks: deque[float] = deque(maxlen=NOISE_BLOCKS)

    def take(self, chunk: Samples) -> None:
        """Measure one chunk of 80 ms."""
        wide = chunk.astype(np.float64)
        low, high = int(np.min(chunk)), int(np.max(chunk))
        self.level_dbfs = dbfs(float(np.sqrt(np.mean((wide - wide.mean()) ** 2))))
        self._constant = high
        self._dead_s = self._dead_s + HOP_S if low == high else 0.0
        clipped = float(np.mean((chunk >= CLIPPED) | (chunk <= -CLIPPED)))
        self._clipping_s = (
            self._clipping_s + HOP_S if clipped > CLIPPED_SHARE else max(0.0, self._clipping_s - HOP_S / 2)
        )
        self._quiet_s = self._quiet_s + HOP_S if dbfs(max(abs(low), abs(high))) < QUIET_PEAK_DBFS else 0.0
        self._count_noise()

    def _count_noise(self) -> None:
        self._block_s += HOP_S
        self._block_dbfs = min(self._block_dbfs, self.level_dbfs)
        if self._block_s >= NOISE_BLOCK_S:
            self._blocks.append(self._block_dbfs)
            self._block_s, self._block_dbfs = 0.0, 0.0

    @property
    def noise_dbfs(self) -> float | None:
        """The room's noise floor over the last 30 s, or None in the first second."""
        ordered = sorted(self._blocks)
        return ordered[len(ordered) // 4] if ordered else None

    @property
    def fault(self) -> LevelFault | None:
        """What is wrong with the sound now."""
        if self._dead_s >= DEAD_S:
            return DIGITAL_SILENCE if self._constant == 0 else STUCK
        if self._clipping_s >= CLIPPING_S:
            return CLIPPING
        return TOO_QUIET if self._quiet_s >= QUIET_S else None
