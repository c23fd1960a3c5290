"""A sound that is the same everywhere, and what the model must score on it: proves that a machine computes as it was measured."""

import numpy as np

from kiosk.listen.features import SAMPLE_RATE_HZ, Samples, chunks
from kiosk.listen.loop import Loop

LENGTH_S = 3.0
GLIDES = ((0.3, 110.0, 240.0), (1.1, 300.0, 180.0), (2.0, 220.0, 520.0))
"""When each voice-like glide begins (s), and its pitch at start and end (Hz)."""
GLIDE_S = 0.6
TOLERANCE = 0.05
"""In log-odds: more than rounding differs by between processors and runtimes, less than any threshold cares for."""


def proof_sound() -> Samples:
    """Three glides of harmonics, each with two formants, over faint noise."""
    t = np.arange(int(LENGTH_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sound = np.random.default_rng(0).standard_normal(len(t)) * 0.001
    for start_s, from_hz, to_hz in GLIDES:
        at = np.clip((t - start_s) / GLIDE_S, 0, 1)
        phase = 2 * np.pi * np.cumsum(from_hz * (to_hz / from_hz) ** at) / SAMPLE_RATE_HZ
        loud = np.sin(np.pi * at) * 0.1
        for harmonic in range(1, 16):
            hz = harmonic * (from_hz + to_hz) / 2
            formants = np.exp(-(((hz - 700) / 250) ** 2)) + np.exp(-(((hz - 1800) / 350) ** 2)) + 0.05
            sound += loud * formants * np.sin(harmonic * phase)
    return np.asarray(np.clip(sound, -1, 1) * 32767, np.int16)


def proof_scores(loop: Loop) -> tuple[float, ...]:
    """The highest stage-1 score of any active phrase at each hop of the proof sound, from a fresh start."""
    loop.reset()
    scores = []
    for chunk in chunks(proof_sound()):
        loop.step(chunk)
        scores.append(round(max(loop.scores), 3))
    loop.reset()
    return tuple(scores)
