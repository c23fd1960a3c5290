"""The second look: Moonshine reads the last seconds of sound again, and what it finds is joined with stage 1's scores.

The words that it forms are local to `_read` and leave it only as the id of a phrase and as a veto: nothing here keeps, logs or
returns a word.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kiosk.detection import (
    LOOK_SOUND_S,
    Candidate,
    Manifest,
    Parts,
    ScoreError,
    Verdict,
    active_probabilities,
    fuse,
)
from kiosk.listen.features import HOP_S, SAMPLE_RATE_HZ, Samples
from kiosk.listen.interpreter import Fixed, Floats
from kiosk.listen.loop import Answer
from kiosk.listen.model import ModelError, load_network
from kiosk.listen.moonshine import FEATURE_FRAMES, MIN_SAMPLES, STATE_SIZE, Moonshine, encoder_features
from kiosk.listen.ring import Ring

LOOK_SAMPLES = round(LOOK_SOUND_S * SAMPLE_RATE_HZ)
LOOK_CHUNKS = round(LOOK_SOUND_S / HOP_S)
# A call is mostly heard best without what was said before it.
SHORT_SAMPLES = round(1.9 * SAMPLE_RATE_HZ)


class SecondLook:
    """A loaded second look for one model."""

    def __init__(self, folder: Path, manifest: Manifest, covert_phrase: str | None = None) -> None:
        """Load Moonshine and the head in `folder`; MoonshineError or ModelError when one cannot be used."""
        if manifest.second_look is None:
            raise ModelError(f"{folder}: this model has no second look; set [listen] second_look to off")
        self._recipe = manifest.second_look
        self._active = manifest.active(covert_phrase)
        self.phrases = tuple(manifest.phrases[i] for i in self._active)
        """The active phrases, in the order of the scores."""
        self._head = _head(folder, manifest)
        self._moonshine = Moonshine()
        ids = {phrase.id for phrase in self.phrases}
        words = self._recipe.words.items()
        self._words = [(i, re.compile(p)) for i, patterns in words if i in ids for p in patterns]
        self._ordinary = [re.compile(pattern) for pattern in self._recipe.ordinary]
        self._unless = [re.compile(pattern) for pattern in self._recipe.unless]
        self._help_tokens = list(self._recipe.help_tokens)

    def look(self, sound: Samples, scores: Sequence[float]) -> Verdict:
        """Join a look at `sound` (int16, 16 kHz, up to 2.8 s are used) with stage 1's scores of the active phrases.

        ModelError when the head does not give probabilities.
        """
        return self.join(scores, self.parts(sound))

    def join(self, scores: Sequence[float], parts: Parts) -> Verdict:
        """The fused scores; ModelError when the head does not give probabilities."""
        try:
            return fuse(self._recipe.weights, self.phrases, scores, parts)
        except ScoreError as error:
            raise ModelError(f"the second look's head {self._recipe.head}: {error}") from None

    def parts(self, sound: Samples) -> Parts:
        """What Moonshine and the head find in `sound` (int16, 16 kHz, up to 2.8 s are used), in numbers."""
        heard = sound[-LOOK_SAMPLES:].astype(np.float32) / np.float32(32768)
        heard = np.pad(heard, (max(0, MIN_SAMPLES - len(heard)), 0))
        head = None
        if self._head is not None:
            given = [float(p) for p in self._head(encoder_features(self._moonshine, heard)[None])[0]]
            head = active_probabilities(given, self._active)
        log_help, matched, vetoed = self._read(heard)
        return Parts(head, log_help, matched, vetoed)

    def longest(self, sound: Samples) -> None:
        """Do all that a look at `sound` can take, and find nothing: a look at many words takes twice as long as one at none."""
        heard = sound[-LOOK_SAMPLES:].astype(np.float32) / np.float32(32768)
        encoder_features(self._moonshine, heard)
        for window in (heard, heard[-SHORT_SAMPLES:]):
            self._moonshine.decode(self._moonshine.encode(window), early=False)

    def _read(self, heard: Floats) -> tuple[float, str | None, bool]:
        """How likely help is among the tokens, the phrase that the words mean, and whether they are ordinary ones."""
        log_help, matched, vetoed = -np.inf, None, False
        for window in (heard, heard[-SHORT_SAMPLES:]):
            if matched is not None:
                break  # help's likelihood no longer counts
            tokens, vectors = self._moonshine.decode(self._moonshine.encode(window))
            if self._help_tokens:
                log_help = max(log_help, *(float(np.max(vector[self._help_tokens])) for vector in vectors))
            words = self._moonshine.words(tokens).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
            matched = next((phrase for phrase, pattern in self._words if pattern.search(words)), None)
            if window is heard:
                vetoed = _any(self._ordinary, words) and not _any(self._unless, words)
        return max(log_help, self._recipe.weights.help_floor), matched, vetoed


def _any(patterns: Sequence[re.Pattern[str]], words: str) -> bool:
    return any(pattern.search(words) for pattern in patterns)


def _head(folder: Path, manifest: Manifest) -> Fixed | None:
    look = manifest.second_look
    if look is None or look.head is None or look.sha256 is None:
        return None
    shape = (1, FEATURE_FRAMES, STATE_SIZE)
    return load_network(folder / look.head, look.sha256, shape, 1 + len(manifest.phrases))


def own_chunks(candidate: Candidate, position: int) -> int:
    """How many of the chunks before `position` belong to the candidate; at least one."""
    return max(1, min(LOOK_CHUNKS, position, int(candidate.sound_s / HOP_S + 0.5)))


class AtOnce:
    """A looker for files: it looks while the loop waits. `on_parts` is told what each look found."""

    ready = True

    def __init__(
        self, second_look: SecondLook, ring: Ring, on_parts: Callable[[Candidate, Parts], None] | None = None
    ) -> None:
        self._second_look, self._ring, self._on_parts = second_look, ring, on_parts
        self._answers: list[Answer] = []

    def ask(self, candidate: Candidate, position: int) -> None:
        """Look now; the answer waits for `answers`. ModelError when the head is broken."""
        sound = self._ring.last(position, own_chunks(candidate, position))
        if sound is None:
            self._answers.append(Answer(candidate, None))
            return
        parts = self._second_look.parts(sound)
        if self._on_parts is not None:
            self._on_parts(candidate, parts)
        self._answers.append(Answer(candidate, self._second_look.join(candidate.scores, parts)))

    def answers(self) -> list[Answer]:
        """What was asked since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def forget(self) -> None:
        """Drop what was asked."""
        self._answers = []
