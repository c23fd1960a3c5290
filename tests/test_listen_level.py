"""What the level meter notices: a muted, stuck, overdriven or deaf microphone, and nothing else."""

import numpy as np
import pytest

from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, Samples
from kiosk.listen.level import CLIPPING, DIGITAL_SILENCE, STUCK, TOO_QUIET, LevelFault, Meter, dbfs

NOISE = np.random.default_rng(2).standard_normal(CHUNK_SAMPLES)


def after(chunk: Samples, seconds: float) -> Meter:
    meter = Meter()
    for _ in range(int(seconds / HOP_S) + 1):
        meter.take(chunk)
    return meter


@pytest.mark.parametrize(
    ("chunk", "seconds", "fault"),
    [
        (np.zeros(CHUNK_SAMPLES, np.int16), 6, DIGITAL_SILENCE),
        (np.zeros(CHUNK_SAMPLES, np.int16), 4, None),
        (np.full(CHUNK_SAMPLES, 1234, np.int16), 6, STUCK),
        (np.clip(NOISE * 60_000, -32768, 32767).astype(np.int16), 6, CLIPPING),
        ((NOISE * 3).astype(np.int16), 61, TOO_QUIET),
        ((NOISE * 3).astype(np.int16), 30, None),
        ((NOISE * 60).astype(np.int16), 120, None),
        ((NOISE * 3000).astype(np.int16), 120, None),
    ],
)
def test_faults(chunk: Samples, seconds: float, fault: LevelFault | None) -> None:
    assert after(chunk, seconds).fault == fault


def test_a_fault_ends_when_sound_is_back() -> None:
    meter = after(np.zeros(CHUNK_SAMPLES, np.int16), 6)
    meter.take((NOISE * 300).astype(np.int16))
    assert meter.fault is None


def test_levels_are_below_full_scale_and_ignore_a_constant_offset() -> None:
    wave = (np.sin(np.arange(CHUNK_SAMPLES) * 2 * np.pi / 64) * 16384).astype(np.int16)
    assert after(wave, 0.1).level_dbfs == pytest.approx(-9.03, abs=0.05)
    assert after((wave // 2 + 8000).astype(np.int16), 0.1).level_dbfs == pytest.approx(-15.05, abs=0.05)
    assert dbfs(0) == -120


def test_the_noise_floor_is_known_after_a_second_and_follows_the_quiet_moments() -> None:
    meter = Meter()
    assert meter.noise_dbfs is None
    for second in range(20):
        for hop in range(13):
            loud = 3000 if hop % 3 else 30
            meter.take((NOISE * loud).astype(np.int16))
        assert meter.noise_dbfs is not None or second == 0
    assert meter.noise_dbfs == pytest.approx(dbfs(30), abs=1)
