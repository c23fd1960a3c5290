"""Decides from a stream of scores what was heard.

Rules
- Pure: no clock, file, thread or device; times are seconds on any steady clock and are passed in.
- A score is the log-odds of distress: 0 is as likely as not, 3 is 95 %. The likeliest phrase carries the odds that any
  phrase at all was said; another phrase carries its own.
- A decision waits until the score has not risen for `SETTLE_S` (at most `WAIT_S` in all), so that "help" does not answer
  for "help, I can't breathe" and a grave phrase is judged by its peak.
- After a detection the ear is deaf to further ones for `refractory_s`, except that a grave phrase breaks in on a lesser one.
- A phrase with `needs_repeat` counts when it is said twice within `repeat_s`, or once above `strong_threshold`.
- Scores that are not numbers raise `ScoreError`: a broken model must never look like silence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SETTLE_S = 0.24
WAIT_S = 1.2
SCORE_LIMIT = 20.0
# A score must fall this far below its threshold before the next crossing counts as a new saying of the phrase.
REARM_DROP = 1.0
# "Help! Help! Help!" without a breath keeps the score up all along: that long a call counts as a repeat too.
SUSTAINED_S = 2.0

Score = Annotated[float, Field(ge=-SCORE_LIMIT, le=SCORE_LIMIT, allow_inf_nan=False)]


class ManifestError(ValueError):
    """A manifest that cannot be used; its text is one line: what, where, what to do."""


class ScoreError(ValueError):
    """The model gave something that is not a probability."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Phrase(_Table):
    """One phrase that the model knows."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    """The name that detections carry."""
    threshold: Score
    """The score from which it counts."""
    grave: bool = False
    """Heard clearly, it raises the alarm without asking first."""
    grave_threshold: Score | None = None
    """What "clearly" means for a grave phrase."""
    needs_repeat: bool = False
    """Said once it counts only above `strong_threshold`."""
    strong_threshold: Score | None = None
    """The score from which one saying is enough."""
    covert: bool = False
    """It opens the silent mode."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for flag, name, value in (
            (self.grave, "grave_threshold", self.grave_threshold),
            (self.needs_repeat, "strong_threshold", self.strong_threshold),
        ):
            if flag != (value is not None):
                raise ValueError(f"phrase {self.id!r}: give {name} exactly when its flag is set")
            if value is not None and value < self.threshold:
                raise ValueError(f"phrase {self.id!r}: {name} is below threshold")
        return self


class Window(_Table):
    """The shape of what the model reads."""

    frames: int = Field(gt=0)
    features: int = Field(gt=0)
    hop_s: float = Field(gt=0)


class Figure(_Table):
    """One measured number, with what it was measured on."""

    name: str
    value: float
    unit: str
    n: float
    on: str


class Manifest(_Table):
    """What stands beside a model file: what it hears, from which score, and what is known about it."""

    v: Literal[1]
    name: str
    language: str
    made: date
    licence: str
    model: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.tflite$")
    """The file's name, in the manifest's own folder."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the model file."""
    front_end: Literal["google-speech-embedding"]
    sample_rate_hz: Literal[16000]
    window: Window
    refractory_s: float = Field(gt=0)
    repeat_s: float = Field(gt=0)
    phrases: tuple[Phrase, ...] = Field(min_length=1)
    """In the order of the model's outputs, after "none of them"."""
    never_tested: tuple[str, ...] = Field(min_length=1)
    """In plain words, for whoever decides to rely on it."""
    trained_on: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [phrase.id for phrase in self.phrases]
        if len(set(ids)) != len(ids):
            raise ValueError("a phrase id stands twice")
        return self


def parse_manifest(text: str | bytes, where: str) -> Manifest:
    """Return the manifest in `text` (JSON); ManifestError says in one line what is wrong in `where`."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ManifestError(f"{where}: {place}: {first['msg']}{more}; install the model again") from None


@dataclass(frozen=True)
class Heard:
    """One decision: `t_s` is the time of the score's peak; `strong` is set for a grave phrase above its own threshold."""

    t_s: float
    phrase: str
    score: float
    grave: bool
    strong: bool
    covert: bool = False


def phrase_scores(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Turn probabilities (none of them, then each phrase) into one log-odds score a phrase; ScoreError if they are not such."""
    if not all(math.isfinite(p) and -0.001 <= p <= 1.001 for p in probabilities):  # noqa: PLR2004 - rounding of a softmax
        raise ScoreError("the model gave scores that are not probabilities; install the model again")
    none, phrases = probabilities[0], probabilities[1:]
    likeliest = max(range(len(phrases)), key=phrases.__getitem__)
    some = sum(phrases)
    return tuple(_log_odds(some, none) if i == likeliest else _log_odds(p, 1 - p) for i, p in enumerate(phrases))


def _log_odds(yes: float, no: float) -> float:
    tiny = math.exp(-SCORE_LIMIT)
    return max(-SCORE_LIMIT, min(SCORE_LIMIT, math.log(max(yes, tiny) / max(no, tiny))))


@dataclass
class _Peak:
    """A crossing that is still settling: when it began and the best of it so far."""

    since_s: float
    t_s: float
    phrase: Phrase
    score: float


class Decider:
    """Feed it the scores of each hop in order; it answers with what was heard, if anything."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self.reset()

    def reset(self) -> None:
        """Forget what was heard so far."""
        self._peak: _Peak | None = None
        self._armed = {phrase.id: True for phrase in self._manifest.phrases}
        self._said_once: dict[str, float] = {}
        self._last: Heard | None = None

    def hear(self, t_s: float, scores: Sequence[float]) -> Heard | None:
        """Take the scores at `t_s`, one for each phrase of the manifest; ScoreError if one is not a number."""
        if not all(math.isfinite(score) for score in scores):
            raise ScoreError("a score is not a number; install the model again")
        best = max(range(len(scores)), key=lambda i: self._margin(i, scores[i]))
        phrase, score = self._manifest.phrases[best], scores[best]
        if score >= phrase.threshold and (self._peak is not None or self._armed[phrase.id]):
            self._climb(t_s, phrase, score)
        self._rearm(t_s, scores)
        if self._peak is not None and self._settled(t_s, scores):
            return self._decide(self._peak)
        return None

    def _margin(self, index: int, score: float) -> float:
        return score - self._manifest.phrases[index].threshold

    def _climb(self, t_s: float, phrase: Phrase, score: float) -> None:
        if self._peak is None:
            self._peak = _Peak(t_s, t_s, phrase, score)
        elif score - phrase.threshold > self._peak.score - self._peak.phrase.threshold:
            self._peak = _Peak(self._peak.since_s, t_s, phrase, score)

    def _rearm(self, t_s: float, scores: Sequence[float]) -> None:
        for phrase, score in zip(self._manifest.phrases, scores, strict=True):
            sustained = t_s - self._said_once.get(phrase.id, t_s) >= SUSTAINED_S
            if score < phrase.threshold - REARM_DROP or sustained:
                self._armed[phrase.id] = True

    def _settled(self, t_s: float, scores: Sequence[float]) -> bool:
        peak = self._peak
        if peak is None:
            return False
        over = any(self._margin(i, score) >= 0 for i, score in enumerate(scores))
        return not over or t_s - peak.t_s >= SETTLE_S or t_s - peak.since_s >= WAIT_S

    def _decide(self, peak: _Peak) -> Heard | None:
        self._peak = None
        for phrase_id in self._armed:
            self._armed[phrase_id] = False
        if not self._enough(peak):
            return None
        phrase = peak.phrase
        strong = phrase.grave_threshold is not None and peak.score >= phrase.grave_threshold
        heard = Heard(peak.t_s, phrase.id, peak.score, phrase.grave, strong, phrase.covert)
        if self._deaf_to(heard):
            return None
        self._last = heard
        self._said_once.clear()
        return heard

    def _enough(self, peak: _Peak) -> bool:
        phrase = peak.phrase
        if not phrase.needs_repeat or (phrase.strong_threshold is not None and peak.score >= phrase.strong_threshold):
            return True
        before_s = self._said_once.get(phrase.id)
        self._said_once[phrase.id] = peak.t_s
        return before_s is not None and peak.t_s - before_s <= self._manifest.repeat_s

    def _deaf_to(self, heard: Heard) -> bool:
        last = self._last
        if last is None or heard.t_s - last.t_s >= self._manifest.refractory_s:
            return False
        return not (heard.strong and not last.strong)
