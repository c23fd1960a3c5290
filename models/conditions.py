"""Makes the hard sets of the measuring sounds: other bodies by WORLD, a store's noise, babble, rooms and distance.

Every function takes float32 sound at 16 kHz and gives the same sound for the same input: nothing here is drawn anew.
Training's own spoiling (`models.spoil`) is another chain with other numbers, on purpose.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyworld
from scipy import signal

from kiosk.listen.features import SAMPLE_RATE_HZ
from models.spoil import F0_MAX_HZ, FRAME_S, Doubles, Floats, take_apart

LEAD_S, TAIL_S = 1.0, 0.8
RT60_S, CRITICAL_M = 0.6, 1.5
"""A shop of some 400 m³: beyond the critical distance, 0.057·√(V/RT60), the room is louder than the voice itself."""
SNR_AT_1_M_DB = 20.0
"""Raised speech of 65 dBA at 1 m over a shop's 45 dBA."""
PEAK_AT_1_M_DB = -12.0
BABBLERS = 5


def child(sound: Floats, *, woman: bool) -> Floats:
    """A smaller body: formants ×1.25 and F0 ×1.8 from a man's voice, ×1.17 and ×1.4 from a woman's (about 6 to 12 years)."""
    return _say_again(sound, pitch=1.4 if woman else 1.8, formants=1.17 if woman else 1.25)


def older(sound: Floats, *, woman: bool) -> Floats:
    """An older voice: breathy, slow, trembling at 5 Hz, a man's higher and a woman's lower than before, softer on top."""
    said = _say_again(sound, pitch=0.9 if woman else 1.12, stretch=1.35, breath=0.25, tremor=0.05)
    return _tilt(said, -3.0)


def shouted(sound: Floats) -> Floats:
    """Shouted: F0 ×1.5, vowels drawn out ×1.4, formants up a little, 6 dB an octave brighter, the microphone near its end."""
    said = _tilt(_say_again(sound, pitch=1.5, formants=1.05, stretch=1.4), 6.0)
    return np.asarray(np.tanh(2.0 * to_peak(said, 1.0)), np.float32)


def _say_again(
    sound: Floats,
    *,
    pitch: float,
    formants: float = 1.0,
    stretch: float = 1.0,
    breath: float = 0.0,
    tremor: float = 0.0,
) -> Floats:
    voice = take_apart(sound)
    widths = np.where(voice.f0 > 0, stretch, 1.0)
    at = np.interp(np.arange(0, widths.sum()), np.cumsum(widths) - widths, np.arange(len(voice.f0)))
    frames = np.clip(np.round(at).astype(np.int64), 0, len(voice.f0) - 1)
    f0: Doubles = voice.f0[frames] * pitch * (1 + tremor * np.sin(2 * np.pi * 5 * FRAME_S * np.arange(len(frames))))
    bins = np.arange(voice.log_envelope.shape[1])
    envelope = np.exp(np.stack([np.interp(bins / formants, bins, row) for row in voice.log_envelope[frames]]))
    aperiodicity = np.clip(voice.aperiodicity[frames] + breath, 0.001, 0.999)
    made = pyworld.synthesize(np.clip(f0, 0, F0_MAX_HZ), envelope, aperiodicity, SAMPLE_RATE_HZ)
    return to_peak(made.astype(np.float32), 0.7)


def _tilt(sound: Floats, db_per_octave: float) -> Floats:
    hz = np.array([0, 500, 1000, 2000, 4000, 8000])
    gain_db = db_per_octave * np.log2(np.maximum(hz, 500) / 500)
    taps = signal.firwin2(129, hz, 10 ** (gain_db / 20), fs=SAMPLE_RATE_HZ)
    return np.asarray(np.convolve(sound, taps)[64 : 64 + len(sound)], np.float32)


def to_peak(sound: Floats, peak: float) -> Floats:
    """The same sound with another highest sample."""
    return np.asarray(sound * (peak / (np.abs(sound).max() + 1e-9)), np.float32)


def speech_level(sound: Floats) -> float:
    """Root mean square of the 20 ms frames that lie within 30 dB of the loudest: the voice without its pauses."""
    frame = SAMPLE_RATE_HZ // 50
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    power = (frames.astype(np.float64) ** 2).mean(axis=1)
    return float(np.sqrt(power[power >= np.max(power) / 1000].mean()))


def amid(sound: Floats, noise: Floats, snr_db: float) -> Floats:
    """The sound in the middle of noise that starts a second before it; `snr_db` counts speech without its pauses."""
    lead, tail = int(LEAD_S * SAMPLE_RATE_HZ), int(TAIL_S * SAMPLE_RATE_HZ)
    placed = np.pad(sound, (lead, tail))
    under = piece(noise, len(placed), seed=len(sound))
    gain = speech_level(sound) * 10 ** (-snr_db / 20) / (speech_level(under) + 1e-9)
    return to_peak(placed + under * np.float32(gain), 0.5)


def piece(noise: Floats, count: int, *, seed: int) -> Floats:
    """`count` samples of noise, from a place that `seed` alone decides; noise that is too short is repeated."""
    if len(noise) <= count:
        return np.resize(noise, count)
    start = seed * 7919 % (len(noise) - count)
    return noise[start : start + count]


def babble(voices: Sequence[Floats], count: int, *, seed: int) -> Floats:
    """`count` samples of five people talking at once, each sentence after sentence."""
    together = np.zeros(count, np.float32)
    for talker in range(BABBLERS):
        order = np.roll(np.arange(len(voices)), seed * 3 + talker * 17)
        line = np.concatenate([to_peak(voices[i], 1.0) for i in order[: max(1, len(voices) // BABBLERS)]])
        together += piece(line, count, seed=seed + talker)
    return together


def at_distance(sound: Floats, noise: Floats, metres: float) -> Floats:
    """The sound as a microphone gets it from `metres` away in a shop: less direct sound, the same room and the same noise."""
    wet = signal.fftconvolve(np.pad(sound, (0, SAMPLE_RATE_HZ // 2)), _room(metres))[: len(sound) + SAMPLE_RATE_HZ // 2]
    level_db = -20 * np.log10(metres)
    near = amid(np.asarray(wet, np.float32), noise, SNR_AT_1_M_DB + level_db)
    return to_peak(near, float(10 ** ((PEAK_AT_1_M_DB + level_db) / 20)))


def _room(metres: float) -> Doubles:
    """Impulse response: the direct sound, and a decaying tail that is 20·log10(distance / critical distance) dB louder."""
    count = int(RT60_S * SAMPLE_RATE_HZ)
    rng = np.random.default_rng(11)
    tail: npt.NDArray[np.float64] = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail *= np.minimum(1.0, np.arange(count) / (0.05 * SAMPLE_RATE_HZ))
    tail *= metres / CRITICAL_M / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail
