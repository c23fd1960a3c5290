"""Measures how loud the room is and notices a microphone that is muted, stuck, overdriven, far too quiet, or drowned in hum."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, SAMPLE_RATE_HZ, Samples

FULL_SCALE = 32768.0
CLIPPED = 32700
SILENT_DBFS = -120.0
# How long a condition must last before it is a fault, in seconds.
DEAD_S, SPOILT_S, QUIET_S = 5.0, 5.0, 60.0
CLIPPED_SHARE = 0.02
QUIET_PEAK_DBFS = -66.0
# Mains hum, with its first harmonics, that is louder than speech and nearly all there is. Below this the ear hears through it.
HUM_DBFS, HUM_SHARE = -20.0, 0.8
MAINS_HZ, HUM_HARMONICS = (50.0, 60.0), (1, 2, 3)
OFFSET = 0.1 * FULL_SCALE
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
HUM = LevelFault(
    "mic_hum",
    "mains hum drowns the room",
    "keep its cable away from power cables, and try another USB port, cable or power supply",
)
SHIFTED = LevelFault(
    "mic_dc",
    "the sound sits far off its middle (a DC offset)",
    "check that the socket suits the microphone, or replace it or its adapter",
)
TOO_QUIET = LevelFault(
    "mic_quiet",
    "a minute without any audible sound",
    "check that the microphone is not covered and raise its capture level",
)


def dbfs(rms: float) -> float:
    """An RMS value in int16 steps as dB below full scale; digital silence is -120."""
    return max(SILENT_DBFS, 20 * math.log10(rms / FULL_SCALE)) if rms > 0 else SILENT_DBFS


def _hum_bases() -> tuple[npt.NDArray[np.float32], ...]:
    """For each mains frequency an orthonormal basis of its hum over one chunk, shape (2 × harmonics, 1280)."""
    turns = 2 * np.pi * np.arange(CHUNK_SAMPLES) / SAMPLE_RATE_HZ
    bases = []
    for mains_hz in MAINS_HZ:
        waves = [wave(turns * mains_hz * harmonic) for harmonic in HUM_HARMONICS for wave in (np.sin, np.cos)]
        bases.append(np.linalg.qr(np.stack(waves, axis=1))[0].T.astype(np.float32).copy())
    return tuple(bases)


HUM_BASES = _hum_bases()


def _lasting(seconds: float, *, now: bool) -> float:
    """How long something has lasted that may pause: a pause takes back half of its time."""
    return seconds + HOP_S if now else max(0.0, seconds - HOP_S / 2)


class Meter:
    """Feed it every chunk; it knows the level, the noise floor and what is wrong. Constant memory: one chunk, until `wipe`."""

    def __init__(self) -> None:
        self.level_dbfs = SILENT_DBFS
        self._centred = np.zeros(CHUNK_SAMPLES, np.float32)
        self._dead_s = self._clipping_s = self._quiet_s = self._hum_s = self._shifted_s = 0.0
        self._constant = 0
        self._block_s, self._block_dbfs = 0.0, 0.0
        self._blocks: deque[float] = deque(maxlen=NOISE_BLOCKS)

    def take(self, chunk: Samples) -> None:
        """Measure one chunk of 1280 samples."""
        low, high = int(np.min(chunk)), int(np.max(chunk))
        np.copyto(self._centred, chunk)
        offset = float(self._centred.mean())
        self._centred -= offset
        energy = float(self._centred @ self._centred)
        self.level_dbfs = dbfs(math.sqrt(energy / CHUNK_SAMPLES))
        self._constant = high
        self._dead_s = self._dead_s + HOP_S if low == high else 0.0
        self._quiet_s = self._quiet_s + HOP_S if dbfs((high - low) / 2) < QUIET_PEAK_DBFS else 0.0
        self._shifted_s = _lasting(self._shifted_s, now=abs(offset) > OFFSET and low != high)
        self._hum_s = _lasting(self._hum_s, now=self._hums(energy))
        self._clipping_s = _lasting(self._clipping_s, now=_clips(chunk, low, high))
        self._count_noise()

    def wipe(self) -> None:
        """Put zeros over the last chunk."""
        self._centred.fill(0)

    def _hums(self, energy: float) -> bool:
        if self.level_dbfs < HUM_DBFS:
            return False
        hum = max(float(np.square(basis @ self._centred).sum()) for basis in HUM_BASES)
        return hum > HUM_SHARE * energy

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
        spoilt = ((self._hum_s, HUM), (self._shifted_s, SHIFTED), (self._clipping_s, CLIPPING))
        for seconds, fault in spoilt:
            if seconds >= SPOILT_S:
                return fault
        return TOO_QUIET if self._quiet_s >= QUIET_S else None


def _clips(chunk: Samples, low: int, high: int) -> bool:
    if low > -CLIPPED and high < CLIPPED:
        return False
    return float(np.mean((chunk >= CLIPPED) | (chunk <= -CLIPPED))) > CLIPPED_SHARE
