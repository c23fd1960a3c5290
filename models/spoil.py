"""Spoils clean clips the way a store does: other throats, rooms, noise, cheap microphones, loud and quiet voices.

Every function takes float32 sound at 16 kHz and a numpy Generator; the same generator state gives the same sound.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyworld
from scipy import signal

from kiosk.listen.features import CHUNK_SAMPLES, SAMPLE_RATE_HZ, Samples
from models.recipe import Augmentation

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rng = np.random.Generator

BUFFER_SAMPLES = 45 * CHUNK_SAMPLES
# The second look comes up to a second after the words.
TAIL_SAMPLES = 12 * CHUNK_SAMPLES
FFT_SIZE = 1024
FRAME_S = 0.005
F0_MAX_HZ = 750.0
AT_ONCE = 0.3


@dataclass(frozen=True)
class Voice:
    """A clip taken apart by WORLD (Morise 2016): pitch, log spectral envelope, aperiodicity; 5 ms frames."""

    f0: Doubles
    log_envelope: Doubles
    aperiodicity: Doubles


def take_apart(sound: Floats) -> Voice:
    """Analyse a clip with WORLD."""
    double = sound.astype(np.float64)
    f0, times = pyworld.dio(double, SAMPLE_RATE_HZ, f0_floor=65, f0_ceil=500)
    f0 = pyworld.stonemask(double, f0, times, SAMPLE_RATE_HZ)
    envelope = pyworld.cheaptrick(double, f0, times, SAMPLE_RATE_HZ, fft_size=FFT_SIZE)
    return Voice(f0, np.log(envelope + 1e-16), pyworld.d4c(double, f0, times, SAMPLE_RATE_HZ, fft_size=FFT_SIZE))


def another_throat(voice: Voice, rng: Rng) -> Floats:
    """Say it again from another body and in another mood: pitch ×0.9-1.9, formants ×0.82-1.25, drawn-out vowels, tremor."""
    raised = float(np.exp(rng.uniform(np.log(0.9), np.log(1.9))))
    formants = rng.uniform(0.82, 1.22)
    if rng.random() < 0.5:  # noqa: PLR2004 - a smaller person: both rise together
        formants = float(np.clip(raised ** rng.uniform(0.15, 0.45), 0.85, 1.25))
    frames = _drawn_out(voice.f0, rng)
    f0 = np.clip(_moved(voice.f0[frames] * raised, rng), 0, F0_MAX_HZ)
    bins = np.arange(voice.log_envelope.shape[1])
    envelope = np.exp(np.stack([np.interp(bins / formants, bins, row) for row in voice.log_envelope[frames]]))
    breath = rng.uniform(-0.1, 0.35) if rng.random() < 0.4 else 0.0  # noqa: PLR2004 - four in ten are breathy
    aperiodicity = np.clip(voice.aperiodicity[frames] + breath, 0.001, 0.999)
    return _to_peak(pyworld.synthesize(f0, envelope, aperiodicity, SAMPLE_RATE_HZ).astype(np.float32), 1.0)


def _drawn_out(f0: Doubles, rng: Rng) -> npt.NDArray[np.int64]:
    stretch = rng.uniform(0.8, 1.9) if rng.random() < 0.6 else 1.0  # noqa: PLR2004 - six in ten change pace
    widths = np.where(f0 > 0, stretch, min(stretch, 1.15))
    starts = np.cumsum(widths) - widths
    at = np.interp(np.arange(0, widths.sum()), starts, np.arange(len(f0)))
    return np.clip(np.round(at).astype(np.int64), 0, len(f0) - 1)


def _moved(f0: Doubles, rng: Rng) -> Doubles:
    voiced = f0 > 0
    if not voiced.any() or rng.random() < 0.5:  # noqa: PLR2004 - half keep the melody of the voice
        return f0
    middle = np.exp(np.log(f0[voiced]).mean())
    moved = middle * (f0[voiced] / middle) ** rng.uniform(0.4, 2.0)
    times = np.arange(len(f0))[voiced] * FRAME_S
    moved *= 1 + rng.uniform(0, 0.04) * np.sin(2 * np.pi * rng.uniform(4, 9) * times + rng.uniform(0, 6))
    moved *= 1 + rng.uniform(0, 0.015) * rng.standard_normal(len(moved))
    result = f0.copy()
    result[voiced] = moved
    return result


def tilt(sound: Floats, rng: Rng) -> Floats:
    """Colour the spectrum: darker to much brighter (a shout), with small random bumps."""
    hz = np.array([0, 200, 500, 1000, 2000, 3000, 4500, 8000])
    gain_db = rng.uniform(-4, 9) * np.log2(np.maximum(hz, 200) / 200) / 3 + rng.standard_normal(len(hz)) * 3
    taps = signal.firwin2(129, hz, 10 ** (gain_db / 20), fs=SAMPLE_RATE_HZ)
    return np.asarray(np.convolve(sound, taps)[64 : 64 + len(sound)], np.float32)


def room(sound: Floats, rng: Rng) -> Floats:
    """Put it into a room: a direct path, sparse early reflections, and a decaying tail (RT60 0.15-0.9 s)."""
    rt60_s, direct_db = rng.uniform(0.15, 0.9), rng.uniform(-10, 14)
    count = int(rt60_s * SAMPLE_RATE_HZ)
    decay = 10 ** (-3 * np.arange(count) / count)
    density = np.minimum(1.0, np.arange(count) / (0.08 * SAMPLE_RATE_HZ) + 0.01)
    tail = rng.standard_normal(count) * (rng.random(count) < density) * decay
    tail[:20] = 0
    tail *= 10 ** (-direct_db / 20) / (np.sqrt((tail**2).sum()) + 1e-9)
    tail[0] = 1.0
    return np.asarray(signal.fftconvolve(sound, tail)[: len(sound) + 4800], np.float32)


def clip_off(sound: Floats, rng: Rng) -> Floats:
    """Overdrive the microphone by up to 22 dB, hard or soft."""
    driven = _to_peak(sound, 1.0) * 10 ** (rng.uniform(0, 22) / 20)
    return np.asarray(np.clip(driven, -1, 1) if rng.random() < 0.5 else np.tanh(driven), np.float32)  # noqa: PLR2004


def band(sound: Floats, rng: Rng) -> Floats:
    """Narrow the band: a telephone, a cheap capsule, or a thin speaker."""
    kind = rng.random()
    low, high = rng.uniform(200, 600), 7600.0
    if kind < 0.4:  # noqa: PLR2004 - telephone
        low, high = rng.uniform(150, 450), rng.uniform(2800, 3800)
    elif kind < 0.7:  # noqa: PLR2004 - cheap capsule
        low, high = rng.uniform(50, 300), rng.uniform(3500, 7000)
    sections = signal.butter(int(rng.integers(2, 6)), [low, high], "band", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(sections, sound), np.float32)


class Noises:
    """Where background sound comes from: real rooms if there are any, other people's voices, and coloured noise."""

    def __init__(self, ambience: list[Floats], voices: list[Floats]) -> None:
        self._ambience = [sound for sound in ambience if len(sound) > CHUNK_SAMPLES]
        self._voices = [sound / (sound.std() + 1e-9) for sound in voices if len(sound) > CHUNK_SAMPLES]

    def make(self, count: int, rng: Rng) -> Floats:
        """`count` samples of background with a standard deviation of 1."""
        kind = rng.random()
        noise = coloured(count, rng)
        if kind < 0.45 and self._ambience:  # noqa: PLR2004 - shares of each kind
            noise = _cut(self._ambience[int(rng.integers(len(self._ambience)))], count, rng)
        elif kind < 0.7 and self._voices:  # noqa: PLR2004
            noise = self._babble(count, rng)
        spread = float(noise.std())
        return noise / np.float32(spread) if spread > 1e-6 else coloured(count, rng)  # noqa: PLR2004 - all but silent

    def _babble(self, count: int, rng: Rng) -> Floats:
        noise = np.zeros(count, np.float32)
        for _ in range(int(rng.integers(1, 7))):
            voice = _cut(self._voices[int(rng.integers(len(self._voices)))], count, rng)
            noise += np.float32(rng.uniform(0.2, 1)) * voice
        return noise


def coloured(count: int, rng: Rng) -> Floats:
    """Noise whose power falls with frequency by a random slope: white to brown, standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum *= np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 40.0) ** (-rng.uniform(0, 1))
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std(), np.float32)


def _cut(sound: Floats, count: int, rng: Rng) -> Floats:
    if len(sound) <= count:
        return np.roll(np.resize(sound, count), int(rng.integers(count)))
    start = int(rng.integers(len(sound) - count))
    return sound[start : start + count]


def _to_peak(sound: Floats, peak: float) -> Floats:
    return np.asarray(sound * (peak / (np.abs(sound).max() + 1e-9)), np.float32)


@dataclass(frozen=True)
class Spoilt:
    """A buffer of 3.6 s and the sample at which the speech in it ends."""

    sound: Samples
    end: int


def spoil(clean: Floats, voice: Voice | None, noises: Noises, chances: Augmentation, rng: Rng) -> Spoilt:
    """Make one training buffer of a clip; `voice` is its WORLD analysis, or None to leave the throat as it is."""
    speech = _to_peak(clean, 1.0)
    if voice is not None and rng.random() < chances.world:
        speech = another_throat(voice, rng)
    if rng.random() < chances.tilt:
        speech = tilt(speech, rng)
    if rng.random() < chances.cut_start:
        speech = speech[min(int(rng.integers(400, 1600)), len(speech) // 4) :]
    placed, end = _place(speech, rng, chances)
    snr_db = rng.uniform(30, 75) if rng.random() < chances.quiet_room else rng.uniform(*chances.snr_db)
    sound = placed + noises.make(len(placed), rng) * np.float32((speech.std() + 1e-9) * 10 ** (-snr_db / 20))
    if rng.random() < chances.clip:
        sound = clip_off(sound, rng)
    if rng.random() < chances.band:
        sound = band(sound, rng)
    loud = _to_peak(sound, 10 ** (rng.uniform(*chances.peak_db) / 20))
    return Spoilt((np.clip(loud, -1, 1) * 32767).astype(np.int16), end)


def _place(speech: Floats, rng: Rng, chances: Augmentation) -> tuple[Floats, int]:
    """Lay the speech into the buffer with its end near the buffer's, or, in three of ten, at the very start of the sound."""
    dry = speech[-(BUFFER_SAMPLES - TAIL_SAMPLES - 1600) :]
    wet = room(dry, rng) if rng.random() < chances.room else dry
    end = int(rng.integers(BUFFER_SAMPLES - TAIL_SAMPLES - CHUNK_SAMPLES, BUFFER_SAMPLES - TAIL_SAMPLES))
    if rng.random() < AT_ONCE:
        end = min(end, len(dry) + int(rng.integers(0, 4800)))
    start = max(0, end - len(dry))
    buffer = np.zeros(BUFFER_SAMPLES, np.float32)
    wet = wet[: BUFFER_SAMPLES - start]
    buffer[start : start + len(wet)] = wet
    return buffer, start + len(dry)
