"""Turns 80 ms chunks of sound into speech embeddings: Google's speech_embedding, streamed with constant memory.

Source: Lin et al., "Training Keyword Spotters with Limited and Synthesized Speech Data" (2020); the two TFLite files
(Apache-2.0) come from PyPI `pyopen-wakeword`. Its wake-word heads have another licence and are never loaded.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kiosk.listen.interpreter import Fixed, Floats, interpreter

Samples = npt.NDArray[np.int16]

SAMPLE_RATE_HZ = 16_000
CHUNK_SAMPLES = 1_280
HOP_S = CHUNK_SAMPLES / SAMPLE_RATE_HZ
MEL_CONTEXT_SAMPLES = 480
MEL_PER_CHUNK = 8
MEL_BANDS = 32
MEL_WINDOW = 76
EMBEDDING_SIZE = 96
WINDOW = 16
"""Embeddings that the phrase model sees at once: about 2 s."""
# Below this the band holds less than one bit of 16-bit sound. Without a floor, digital silence would look unlike any room.
MEL_FLOOR = np.float32(1.0)
PRIME_SAMPLES = CHUNK_SAMPLES * 32


class FrontEndError(RuntimeError):
    """The front end's files are missing or broken."""


class Features:
    """The streaming front end: `push` one chunk, read the last 16 embeddings.

    It starts as if it had listened to a quiet room for 2.5 s: a call in the first second is heard as well as a later one.
    """

    def __init__(self) -> None:
        folder = front_end_folder()
        try:
            mel = interpreter(folder / "melspectrogram.tflite")
            embedding = interpreter(folder / "embedding_model.tflite")
        except (ValueError, RuntimeError, OSError) as error:
            raise FrontEndError(f"{folder}: cannot load the speech front end ({error}); reinstall stayby") from error
        self._to_mel = Fixed(mel, (1, MEL_CONTEXT_SAMPLES + CHUNK_SAMPLES))
        self._to_embedding = Fixed(embedding, (1, MEL_WINDOW, MEL_BANDS, 1))
        self._sound = np.zeros((1, MEL_CONTEXT_SAMPLES + CHUNK_SAMPLES), np.float32)
        self._mel = np.full((1, MEL_WINDOW, MEL_BANDS, 1), MEL_FLOOR, np.float32)
        self._window = np.zeros((1, WINDOW, EMBEDDING_SIZE), np.float32)
        for chunk in chunks(quiet(PRIME_SAMPLES)):
            self.push(chunk)
        self._primed = (self._sound.copy(), self._mel.copy(), self._window.copy())

    def reset(self) -> None:
        """Forget all sound; back to the quiet room."""
        for state, primed in zip((self._sound, self._mel, self._window), self._primed, strict=True):
            np.copyto(state, primed)

    @property
    def window(self) -> Floats:
        """The last 16 embeddings, shape (1, 16, 96), newest last; overwritten by the next push."""
        return self._window

    def push(self, chunk: Samples) -> Floats:
        """Take 1280 samples (int16, 16 kHz) and return the window, shape (1, 16, 96), newest last; valid until the next push."""
        _roll_in(self._mel[0], self.mel(chunk))
        _roll_in(self._window[0], self._to_embedding(self._mel).reshape(1, EMBEDDING_SIZE))
        return self._window

    def mel(self, chunk: Samples) -> Floats:
        """Take 1280 samples and return the 8 mel frames that they complete, shape (8, 32, 1).

        The network floors what it is given 80 dB below its loudest band: chunk by chunk that hides nothing.
        """
        sound = self._sound[0]
        sound[:MEL_CONTEXT_SAMPLES] = sound[-MEL_CONTEXT_SAMPLES:]
        sound[MEL_CONTEXT_SAMPLES:] = chunk
        frames = self._to_mel(self._sound).reshape(MEL_PER_CHUNK, MEL_BANDS, 1)
        floored: Floats = np.maximum(frames / np.float32(10) + np.float32(2), MEL_FLOOR)
        return floored


def _roll_in(state: Floats, new: Floats) -> None:
    state[: -len(new)] = state[len(new) :].copy()
    state[-len(new) :] = new


def quiet(count: int) -> Samples:
    """`count` samples of a very quiet room: the same noise of about one bit each time."""
    return np.random.default_rng(0).integers(-2, 3, count).astype(np.int16)


def chunks(samples: Samples) -> Iterator[Samples]:
    """Cut sound into chunks of 80 ms; the last one is filled up with zeros."""
    whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
    for start in range(0, whole, CHUNK_SAMPLES):
        yield samples[start : start + CHUNK_SAMPLES]
    if whole < len(samples):
        yield np.pad(samples[whole:], (0, CHUNK_SAMPLES - (len(samples) - whole)))


def front_end_folder() -> Path:
    """The folder of the two front-end files; found without importing the package, which would load a library of its own."""
    spec = importlib.util.find_spec("pyopen_wakeword")
    if spec is None or not spec.submodule_search_locations:
        raise FrontEndError(
            "the package pyopen-wakeword is not installed, and the ear needs its front end; reinstall stayby"
        )
    return Path(spec.submodule_search_locations[0]) / "models"
