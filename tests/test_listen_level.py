"""What the level meter notices, and nothing else; and that no spoilt sound is ever taken for a call by itself."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, SAMPLE_RATE_HZ, Samples, chunks, quiet
from kiosk.listen.level import CLIPPING, DIGITAL_SILENCE, HUM, SHIFTED, STUCK, TOO_QUIET, LevelFault, Meter, dbfs
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model

Floats = npt.NDArray[np.float64]
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


# --- spoilt sound -----------------------------------------------------------------------------------------------------

TIME_S = np.arange(10 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
RANDOM = np.random.default_rng(6)
SPEECH_LIKE = RANDOM.standard_normal(len(TIME_S)) * (0.1 + np.sin(TIME_S * 11) ** 2) * 0.1


def steps(sound: Floats) -> Samples:
    return np.asarray(np.clip(np.round(sound * 32768), -32768, 32767), np.int16)


def hum(mains_hz: float, loud: float) -> Floats:
    return np.asarray(loud * np.sin(2 * np.pi * mains_hz * TIME_S) + RANDOM.standard_normal(len(TIME_S)) * 0.001)


def plug(_: Floats) -> Floats:
    """A jack that is pushed in and pulled out, again and again: thumps, silence, hum."""
    thumps = np.where(np.sin(TIME_S * 9) > 0.5, np.sign(np.sin(TIME_S * 314)), 0.0)
    return np.asarray(thumps * RANDOM.uniform(0, 1, len(TIME_S)))


SPOILT: list[tuple[str, Callable[[Floats], Floats], LevelFault | None]] = [
    ("muted", np.zeros_like, DIGITAL_SILENCE),
    ("stuck", lambda t: np.full_like(t, 0.5), STUCK),
    ("hum 50", lambda _: hum(50, 1.0), HUM),
    ("hum 60", lambda _: hum(60, 1.0), HUM),
    ("hum off its frequency", lambda _: hum(49.8, 0.5), HUM),
    ("hum overdriven", lambda _: hum(60, 20.0), HUM),
    ("rectified hum", lambda _: np.abs(hum(50, 0.9)) - 0.5, HUM),
    ("faint hum", lambda _: hum(50, 0.05), None),
    ("bass of music", lambda _: hum(82, 0.5), None),
    ("shifted", lambda _: SPEECH_LIKE + 0.3, SHIFTED),
    ("a little shifted", lambda _: SPEECH_LIKE + 0.02, None),
    ("overdriven", lambda _: SPEECH_LIKE * 100, CLIPPING),
    ("white noise", lambda _: RANDOM.standard_normal(len(TIME_S)) * 0.2, None),
    ("random bytes", lambda _: RANDOM.uniform(-1, 1, len(TIME_S)), None),
    ("8 bits", lambda _: np.round(SPEECH_LIKE * 128) / 128, None),
    ("plugged in and out", plug, None),
    ("a converter's own noise", lambda _: RANDOM.standard_normal(len(TIME_S)) * 1e-5, None),
]


@pytest.fixture(scope="module")
def loop() -> Loop:
    return Loop(load_model(packaged_model()))


@pytest.mark.parametrize(("made", "fault"), [pytest.param(made, fault, id=name) for name, made, fault in SPOILT])
def test_spoilt_sound_is_told_and_never_a_call(
    loop: Loop, made: Callable[[Floats], Floats], fault: LevelFault | None
) -> None:
    sound = steps(made(TIME_S))
    meter = Meter()
    for chunk in chunks(sound):
        meter.take(chunk)
    assert meter.fault == fault
    loop.reset()
    before = quiet(SAMPLE_RATE_HZ) * 16
    assert [loop.step(chunk) for chunk in chunks(np.concatenate([before, sound, before]))].count(None) == 150


def test_speech_is_no_hum() -> None:
    meter = Meter()
    voice = sum(np.sin(2 * np.pi * 105 * k * TIME_S) / k for k in range(1, 9)) * (0.3 + 0.3 * np.sin(TIME_S * 20))
    for chunk in chunks(steps(voice)):
        meter.take(chunk)
    assert meter.fault is None


def test_a_wiped_meter_holds_no_sound() -> None:
    meter = after(steps(SPEECH_LIKE)[:CHUNK_SAMPLES], 0.1)
    meter.wipe()
    assert not meter._centred.any()
