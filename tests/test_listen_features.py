"""The streaming front end: equal to a batch over the whole sound, with constant memory."""

import tracemalloc

import numpy as np
import pytest

from kiosk.listen.features import (
    CHUNK_SAMPLES,
    MEL_BANDS,
    MEL_FLOOR,
    MEL_WINDOW,
    PRIME_SAMPLES,
    WINDOW,
    Features,
    Samples,
    chunks,
    front_end_folder,
    quiet,
)
from kiosk.listen.interpreter import Fixed, Floats, interpreter


def speech_like(seconds: float) -> Samples:
    """Noise that comes and goes like syllables, at a level at which a batch's own dynamic range hides nothing."""
    count = int(seconds * 16_000)
    noise = np.random.default_rng(1).standard_normal(count)
    return np.asarray(noise * 200 * (0.1 + np.sin(np.arange(count) / 1500) ** 2), np.int16)


def whole_mel(sound: Floats) -> Floats:
    mel = Fixed(interpreter(front_end_folder() / "melspectrogram.tflite"), (1, len(sound)))
    return np.asarray(np.maximum(mel(sound[None])[0, 0] / 10 + 2, MEL_FLOOR), np.float32)


def batch(sound: Samples) -> Floats:
    """All embeddings of the primed sound in one go: the mel of everything, then every window of 76 frames."""
    before = quiet(PRIME_SAMPLES)
    padded = np.concatenate([np.zeros(480, np.float32), before, sound]).astype(np.float32)
    mel = whole_mel(padded)
    hops = len(sound) // CHUNK_SAMPLES
    ends = [len(mel) - 8 * (hops - 1 - hop) for hop in range(hops)]
    embed = Fixed(interpreter(front_end_folder() / "embedding_model.tflite"), (hops, MEL_WINDOW, MEL_BANDS, 1))
    return embed(np.stack([mel[end - MEL_WINDOW : end] for end in ends])[..., None]).reshape(hops, 96)


def test_streaming_equals_batch() -> None:
    sound = speech_like(4.0)
    features = Features()
    streamed = np.stack([features.push(chunk)[0, -1].copy() for chunk in chunks(sound)])
    whole = batch(sound[: len(streamed) * CHUNK_SAMPLES])
    assert np.abs(streamed - whole).max() < 1e-3 * np.abs(whole).max()


def test_the_window_holds_the_last_sixteen_embeddings_in_order() -> None:
    features = Features()
    rows = [features.push(chunk)[0, -1].copy() for chunk in chunks(speech_like(2.0))]
    assert np.array_equal(features.window[0], np.stack(rows[-WINDOW:]))


def test_a_reset_forgets_everything() -> None:
    features = Features()
    primed = features.window.copy()
    for chunk in chunks(speech_like(1.0)):
        features.push(chunk)
    features.reset()
    assert np.array_equal(features.window, primed)


def test_memory_stays_constant() -> None:
    features = Features()
    sound = speech_like(0.8)
    for chunk in chunks(sound):
        features.push(chunk)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(20):
        for chunk in chunks(sound):
            features.push(chunk)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 64 * 1024


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (1280, 1), (1281, 2)])
def test_chunks_fill_the_last_one_up(count: int, expected: int) -> None:
    cut = list(chunks(np.ones(count, np.int16)))
    assert [len(chunk) for chunk in cut] == [1280] * expected
    assert sum(int(chunk.sum()) for chunk in cut) == count
