"""Decides from a stream of scores what was heard.

Rules
- Pure: no clock, file, thread or device; times are seconds on any steady clock and are passed in.
- A score is the log-odds of distress: 0 is as likely as not, 3 is 95 %. The likeliest phrase carries the odds that any
  phrase at all was said; another phrase carries its own. Covert phrases that the store did not choose count as no phrase.
- Two steps: `hear` says when the scores are worth a judgement (a `Candidate`), `judge` says what it was (`Heard`), with
  the verdict of a second look or, without one, by stage 1's own, stricter thresholds.
- A candidate waits until the score has not risen for a while (`SETTLE_S`, before a second look `LOOK_SETTLE_S`; at most
  `WAIT_S` in all), so that "help" does not answer for "help, I can't breathe" and a grave phrase is judged by its peak.
- Second looks are bounded: at most one each `LOOK_EVERY_S`, and while the score just hovers, only for a clear rise, for a
  new saying, or after `SUSTAINED_S`.
- A new saying begins when the score rises again after falling `REARM_DROP` below its bar (or below the gate, `GATE_DROP`
  under its peak), when it stayed over for `SUSTAINED_S`, or that long after the last candidate. One cry is never its own
  repeat: the look at a repeat reads only sound that came after the first saying.
- After a detection the ear is deaf to further ones for `refractory_s`, and to the same phrase until the score fell (for
  `STUCK_S` at most); except that a grave phrase heard clearly breaks in on a lesser one.
- A phrase with `needs_repeat` counts when it is said twice within `repeat_s`, or once above `strong_threshold`.
- Scores that are not numbers raise `ScoreError`: a broken model must never look like silence.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kiosk.messages import Choice

SETTLE_S, LOOK_SETTLE_S = 0.24, 0.5
WAIT_S = 1.2
SCORE_LIMIT = 20.0
# A score must fall this far below its bar before the next crossing counts as a new saying.
REARM_DROP = 1.0
# The loose gate lies so low that a room full of talk may never be that far below it: there a fall from a peak counts, too.
GATE_DROP = 3.0
# While the score hovers over the bar, only a rise of this much is worth another judgement of the same saying.
RISE = 0.5
# "Help! Help! Help!" without a breath keeps the score up all along: that long a call counts as a repeat too.
SUSTAINED_S = 2.0
# A dip under the bar that is shorter than this does not end a long call.
GAP_S = 0.32
LOOK_EVERY_S = 1.0
STUCK_S = 30.0
LOOK_SOUND_S = 2.8
"""The sound that a second look reads."""
# The score crosses its bar while the first word is still ending: that much of a long call is not its repeat.
WORD_END_S = 0.3
NO_LOOK_PENALTY = 20.0
"""How far below a looked-at one a position counts that stage 1 did not find worth a look; for ranking only."""
# Times are sums of hops: a wait must not depend on the last bit of a float.
_EXACT_S = 1e-6

Score = Annotated[float, Field(ge=-SCORE_LIMIT, le=SCORE_LIMIT, allow_inf_nan=False)]
PhraseId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.tflite$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ManifestError(ValueError):
    """A manifest that cannot be used; its text is one line: what, where, what to do."""


class ScoreError(ValueError):
    """The model gave something that is not a probability."""


# --- the manifest -----------------------------------------------------------------------------------------------------


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Thresholds(_Table):
    """From which scores a phrase counts."""

    threshold: Score
    """The score from which it counts."""
    strong_threshold: Score | None = None
    """For a phrase that needs a repeat: the score from which one saying is enough."""
    grave_threshold: Score | None = None
    """For a grave phrase: what "clearly" means."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, value in (("strong_threshold", self.strong_threshold), ("grave_threshold", self.grave_threshold)):
            if value is not None and value < self.threshold:
                raise ValueError(f"{name} is below threshold")
        return self


class Phrase(_Table):
    """One phrase that the model knows."""

    id: PhraseId
    """The name that detections carry."""
    opens: Choice | None = None
    """The case that it suggests."""
    alone: Thresholds
    """For stage 1 without a second look."""
    looked: Thresholds | None = None
    """For the fused score after a second look."""
    grave: bool = False
    """Heard clearly, it raises the alarm without asking first."""
    needs_repeat: bool = False
    """Said once it counts only above `strong_threshold`."""
    covert: bool = False
    """It opens the silent mode, in a store that chose it."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for bars in (self.alone, self.looked):
            if bars is None:
                continue
            if self.grave != (bars.grave_threshold is not None):
                raise ValueError(f"phrase {self.id!r}: give grave_threshold exactly when its flag is set")
            if self.needs_repeat != (bars.strong_threshold is not None):
                raise ValueError(f"phrase {self.id!r}: give strong_threshold exactly when its flag is set")
        return self

    def bars(self, *, looked: bool) -> Thresholds:
        """The thresholds for one kind of score; those of stage 1 where a model has no others."""
        return self.looked if looked and self.looked is not None else self.alone


class Window(_Table):
    """The shape of what the model reads."""

    frames: int = Field(gt=0)
    features: int = Field(gt=0)
    hop_s: float = Field(gt=0)


class Weights(_Table):
    """How much each part of a second look counts in the fused score."""

    stage1: float = 0.6
    head: float = 0.4
    help: float = 0.35
    help_floor: float = Field(default=-10.0, le=0)
    """The log-probability of help below which it makes no more difference."""
    match: float = 1.0
    veto: float = Field(default=12.0, ge=0)


class SecondLook(_Table):
    """What the second look needs besides Moonshine: a head on its encoder, and patterns on the words."""

    head: FileName | None = None
    """A TFLite from (1, 51, 288) encoder features to the same probabilities as the model's; without one, stage 1 stands in."""
    sha256: Sha256 | None = None
    """Of the head."""
    gate: Score
    """Stage 1's score from which a second look is worth its time."""
    weights: Weights = Weights()
    help_tokens: tuple[Annotated[int, Field(ge=0, lt=32768)], ...] = ()
    """Moonshine's tokens for "help" in its spellings."""
    words: dict[PhraseId, tuple[str, ...]] = Field(default_factory=dict)
    """Patterns that mean a phrase, on lower-case words, the most specific phrase first."""
    ordinary: tuple[str, ...] = ()
    """Patterns of what a service desk says all day: they veto."""
    unless: tuple[str, ...] = ()
    """Patterns that forbid the veto."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.head is None) != (self.sha256 is None):
            raise ValueError("give head and sha256 together")
        return self

    @field_validator("words")
    @classmethod
    def _words_compile(cls, words: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for patterns in words.values():
            _compile(patterns)
        return words

    @field_validator("ordinary", "unless")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return _compile(patterns)


def _compile(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}") from None
    return patterns


class Figure(_Table):
    """One measured number, with what it was measured on."""

    name: str
    value: float
    unit: str
    n: float
    on: str


class Manifest(_Table):
    """What stands beside a model file: what it hears, from which score, and what is known about it."""

    v: Literal[2]
    name: str
    language: str
    made: date
    licence: str
    model: FileName
    """The file's name, in the manifest's own folder."""
    sha256: Sha256
    """Of the model file."""
    front_end: Literal["google-speech-embedding"]
    sample_rate_hz: Literal[16000]
    window: Window
    refractory_s: float = Field(gt=0)
    repeat_s: float = Field(gt=0)
    phrases: tuple[Phrase, ...] = Field(min_length=1, max_length=32)
    """In the order of the model's outputs, after "none of them"."""
    second_look: SecondLook | None = None
    never_tested: tuple[str, ...] = Field(min_length=1)
    """In plain words, for whoever decides to rely on it."""
    trained_on: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    proof: tuple[Score, ...] = ()
    """What stage 1 scores at each hop of `kiosk.listen.proof`'s sound, on the machine that trained it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [phrase.id for phrase in self.phrases]
        if len(set(ids)) != len(ids):
            raise ValueError("a phrase id stands twice")
        for phrase in self.phrases:
            if (phrase.looked is None) != (self.second_look is None):
                raise ValueError(f"phrase {phrase.id!r}: give looked exactly when there is a second_look")
        strangers = set(self.second_look.words) - set(ids) if self.second_look else set()
        if strangers:
            raise ValueError(f"second_look.words names no phrase of this model: {', '.join(sorted(strangers))}")
        if all(phrase.covert for phrase in self.phrases):
            raise ValueError("there must be a phrase that is not covert")
        return self

    def active(self, covert_phrase: str | None = None) -> tuple[int, ...]:
        """Which phrases count, by their place in `phrases`: all but the covert ones that the store did not choose.

        ManifestError, without a place, when `covert_phrase` is none of this model's.
        """
        covert = [phrase.id for phrase in self.phrases if phrase.covert]
        if covert_phrase is not None and covert_phrase not in covert:
            known = f"it knows {', '.join(covert)}" if covert else "it knows none"
            raise ManifestError(f"the covert phrase {covert_phrase!r} is not one of this model's; {known}")
        return tuple(i for i, phrase in enumerate(self.phrases) if not phrase.covert or phrase.id == covert_phrase)


def parse_manifest(text: str | bytes, where: str) -> Manifest:
    """Return the manifest in `text` (JSON); ManifestError says in one line what is wrong in `where`."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        says = " ".join(first["msg"].split())
        raise ManifestError(f"{where}: {place}: {says}{more}; install the model again") from None


# --- scores -----------------------------------------------------------------------------------------------------------


def active_probabilities(probabilities: Sequence[float], active: Sequence[int]) -> tuple[float, ...]:
    """Keep "none of them" and the active phrases; what an inactive phrase had goes to none."""
    kept = [probabilities[1 + i] for i in active]
    return (probabilities[0] + sum(probabilities[1:]) - sum(kept), *kept)


def phrase_scores(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Turn probabilities (none of them, then each phrase) into one log-odds score a phrase; ScoreError if they are not such."""
    if not all(math.isfinite(p) and -0.001 <= p <= 1.001 for p in probabilities):  # noqa: PLR2004 - rounding of a softmax
        raise ScoreError("the model gave scores that are not probabilities; install the model again")
    none, phrases = probabilities[0], probabilities[1:]
    likeliest = max(range(len(phrases)), key=phrases.__getitem__)
    some = sum(phrases)
    return tuple(_log_odds(some, none) if i == likeliest else _log_odds(p, 1 - p) for i, p in enumerate(phrases))


def posteriors(scores: Sequence[float]) -> tuple[float, ...]:
    """Each phrase's probability: what `phrase_scores` made its scores of."""
    likeliest = max(range(len(scores)), key=scores.__getitem__)
    own = [1 / (1 + math.exp(-score)) for score in scores]
    own[likeliest] = max(0.0, 2 * own[likeliest] - sum(own))
    return tuple(own)


def _log_odds(yes: float, no: float) -> float:
    tiny = math.exp(-SCORE_LIMIT)
    return max(-SCORE_LIMIT, min(SCORE_LIMIT, math.log(max(yes, tiny) / max(no, tiny))))


# --- the second look --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What a second look found in the sound: numbers and a phrase, never words."""

    head: tuple[float, ...] | None
    """The head's probabilities: none of them, then each active phrase."""
    help: float
    """The best log-probability of a help token."""
    matched: str | None
    """The id of the phrase that the words mean."""
    vetoed: bool
    """Whether the words are what a service desk says all day."""


@dataclass(frozen=True)
class Verdict:
    """The fused score of each active phrase after a second look."""

    scores: tuple[float, ...]


def fuse(weights: Weights, phrases: Sequence[Phrase], scores: Sequence[float], parts: Parts) -> Verdict:
    """Join stage 1's `scores` of the active `phrases` with a second look; ScoreError if the head gave no probabilities.

    S = stage1·s1 + head·h + help·max(lp, floor) + match - veto, s1 and h being the log-odds of any phrase, and lp 0 where
    the words mean a phrase. A phrase has S + log(q / max q), q the mean of both posteriors, and `match` if it is the one.
    """
    head = phrase_scores(parts.head) if parts.head is not None else tuple(scores)
    log_help = 0.0 if parts.matched else max(parts.help, weights.help_floor)
    total = weights.stage1 * max(scores) + weights.head * max(head) + weights.help * log_help
    total += weights.match * (parts.matched is not None) - weights.veto * parts.vetoed
    mean = [(a + b) / 2 for a, b in zip(posteriors(scores), posteriors(head), strict=True)]
    tiny = math.exp(-SCORE_LIMIT)
    most = max(*mean, tiny)
    return Verdict(
        tuple(
            total + math.log(max(q, tiny) / most) + weights.match * (phrase.id == parts.matched)
            for phrase, q in zip(phrases, mean, strict=True)
        )
    )


# --- decisions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A moment that is worth a judgement."""

    t_s: float
    """When the score peaked."""
    since_s: float
    """When it crossed its bar."""
    scores: tuple[float, ...]
    """Stage 1's scores at the peak, one for each active phrase."""
    best: tuple[float, ...]
    """The highest that each phrase had."""
    run: int
    """Which stretch over the bar it belongs to: a new one begins after the score fell."""
    saying: int
    """Which saying it belongs to: only another saying can be a repeat. A run that lasts holds several."""
    sound_s: float
    """How much of the latest sound is its own: a repeat is not judged by the sound of the first saying."""


@dataclass(frozen=True)
class Heard:
    """One decision: `t_s` is the time of the score's peak; `strong` is set for a grave phrase above its own threshold."""

    t_s: float
    phrase: str
    score: float
    grave: bool
    strong: bool
    covert: bool = False
    opens: Choice | None = None


@dataclass
class _Pending:
    """A candidate that is still settling."""

    since_s: float
    t_s: float
    level: float
    scores: tuple[float, ...]


@dataclass
class _Stretch:
    """Where the stream of scores stands: `run` and `saying` count, the rest is about the present stretch over the bar."""

    run: int = 0
    saying: int = 0
    fell: bool = True
    over_since_s: float | None = None
    over_last_s: float = 0.0
    given_s: float = -math.inf
    given_level: float = math.inf
    best: list[float] = field(default_factory=list)


class _Last(NamedTuple):
    heard: Heard
    run: int


class Decider:
    """Feed it the scores of each hop in order, and what it gives to `judge`; that answers with what was heard, if anything.

    `second_look` says whether candidates get a second look: they then begin at the loose gate instead of the thresholds.
    """

    def __init__(self, manifest: Manifest, *, covert_phrase: str | None = None, second_look: bool = False) -> None:
        self._manifest = manifest
        self.phrases = tuple(manifest.phrases[i] for i in manifest.active(covert_phrase))
        """The active phrases, in the order of the scores."""
        self.second_look = second_look
        self.reset()

    def reset(self) -> None:
        """Forget what was heard so far."""
        self._stretch = _Stretch()
        self._pending: _Pending | None = None
        self._said_once: dict[str, Candidate] = {}
        self._last: _Last | None = None

    def hear(self, t_s: float, scores: Sequence[float]) -> Candidate | None:
        """Take the scores at `t_s`, one for each active phrase; ScoreError if one is not a number."""
        _check_numbers(scores)
        level, here = self._level(scores), self._stretch
        here.best = [max(pair) for pair in zip(here.best or scores, scores, strict=True)]
        self._follow(t_s, level)
        if level >= 0 and self._sustained(t_s):
            return self._give_sustained(t_s, level, scores)
        given = None
        if self._pending is not None and here.fell and level >= 0 and self._may_give(t_s):
            given = self._give(
                t_s, self._pending
            )  # said again before it settled: the next saying is a candidate of its own
        self._start_or_climb(t_s, level, scores)
        if given is None and self._pending is not None and self._settled(t_s, level, self._pending):
            given = self._give(t_s, self._pending)
        return given

    def judge(self, candidate: Candidate, verdict: Verdict | None) -> Heard | None:
        """What the candidate was, after a second look or (None) without one; ScoreError if a score is not a number."""
        scores = candidate.best if verdict is None else verdict.scores
        _check_numbers(scores)
        looked = verdict is not None
        pairs = zip(self.phrases, scores, strict=True)
        passed = [(score, phrase) for phrase, score in pairs if score >= phrase.bars(looked=looked).threshold]
        ranked = sorted(passed, key=lambda one: one[0], reverse=True)
        # Stage 1 heard each of them at its own moment: "help" that waits for its repeat must not hide "I can't breathe".
        # The scores after a look are about one sound: there only the highest is what was said.
        ranked = ranked[:1] if looked else ranked
        enough = [one for one in ranked if self._enough(candidate, one[1], one[0], one[1].bars(looked=looked))]
        if not enough:
            return None
        score, phrase = enough[0]
        bars = phrase.bars(looked=looked)
        strong = bars.grave_threshold is not None and score >= bars.grave_threshold
        heard = Heard(candidate.t_s, phrase.id, score, phrase.grave, strong, phrase.covert, phrase.opens)
        if self._deaf_to(heard, candidate.run):
            return None
        self._last = _Last(heard, candidate.run)
        self._said_once.clear()
        return heard

    @property
    def _looks(self) -> bool:
        return self.second_look and self._manifest.second_look is not None

    def _level(self, scores: Sequence[float]) -> float:
        """How far the scores are above what makes a candidate; negative below it."""
        look = self._manifest.second_look
        if self._looks and look is not None:
            return max(scores) - look.gate
        return max(score - phrase.alone.threshold for phrase, score in zip(self.phrases, scores, strict=True))

    def _follow(self, t_s: float, level: float) -> None:
        here = self._stretch
        if self._falls(level):
            here.fell, here.over_since_s = True, None
        if level >= 0:
            if here.over_since_s is None or _passed(here.over_last_s, t_s, GAP_S):
                here.over_since_s = t_s
            here.over_last_s = t_s

    def _falls(self, level: float) -> bool:
        peak = self._pending.level if self._pending is not None else self._stretch.given_level
        return level < -REARM_DROP or (self._looks and level < 0 and level <= peak - GATE_DROP)

    def _start_or_climb(self, t_s: float, level: float, scores: Sequence[float]) -> None:
        here, pending = self._stretch, self._pending
        if pending is not None:
            if level > pending.level:
                pending.t_s, pending.level, pending.scores = t_s, level, tuple(scores)
            return
        late = _passed(here.given_s, t_s, SUSTAINED_S)
        if level < 0 or not (here.fell or late or level >= here.given_level + RISE):
            return
        here.run += here.fell
        here.saying += here.fell or late
        here.fell, here.best = False, list(scores)
        self._pending = _Pending(t_s, t_s, level, tuple(scores))

    def _sustained(self, t_s: float) -> bool:
        since_s = self._stretch.over_since_s
        return since_s is not None and _passed(since_s, t_s, SUSTAINED_S) and self._may_give(t_s)

    def _give_sustained(self, t_s: float, level: float, scores: Sequence[float]) -> Candidate:
        self._stretch.saying += 1
        self._stretch.over_since_s = t_s
        pending = self._pending or _Pending(t_s, t_s, level, tuple(scores))
        return self._give(t_s, pending, sustained=True)

    def _settled(self, t_s: float, level: float, pending: _Pending) -> bool:
        if _passed(pending.since_s, t_s, WAIT_S):
            return self._may_give(t_s)
        if self._looks:
            return _passed(pending.t_s, t_s, LOOK_SETTLE_S) and self._may_give(t_s)
        return level < 0 or _passed(pending.t_s, t_s, SETTLE_S)

    def _may_give(self, t_s: float) -> bool:
        return not self._looks or _passed(self._stretch.given_s, t_s, LOOK_EVERY_S)

    def _give(self, t_s: float, pending: _Pending, *, sustained: bool = False) -> Candidate:
        here = self._stretch
        best, sound_s = tuple(here.best), self._own_sound_s(t_s, sustained=sustained)
        here.given_s, here.given_level, here.best = t_s, pending.level, []
        self._pending = None
        return Candidate(pending.t_s, pending.since_s, pending.scores, best, here.run, here.saying, sound_s)

    def _own_sound_s(self, t_s: float, *, sustained: bool) -> float:
        """How much of the latest sound came after a bare call that waits for its repeat."""
        here = self._stretch
        starts_s = [
            first.since_s + WORD_END_S if sustained and first.run == here.run else first.t_s
            for first in self._said_once.values()
            if first.saying != here.saying and t_s - first.t_s <= self._manifest.repeat_s
        ]
        return min([LOOK_SOUND_S, *(t_s - start_s for start_s in starts_s)])

    def _enough(self, candidate: Candidate, phrase: Phrase, score: float, bars: Thresholds) -> bool:
        if not phrase.needs_repeat or (bars.strong_threshold is not None and score >= bars.strong_threshold):
            return True
        first = self._said_once.get(phrase.id)
        if first is not None and first.saying == candidate.saying:
            return False
        self._said_once[phrase.id] = candidate
        return first is not None and candidate.t_s - first.t_s <= self._manifest.repeat_s

    def _deaf_to(self, heard: Heard, run: int) -> bool:
        if self._last is None:
            return False
        before = self._last.heard
        same = before.phrase == heard.phrase and self._last.run == run and not _passed(before.t_s, heard.t_s, STUCK_S)
        recent = not _passed(before.t_s, heard.t_s, self._manifest.refractory_s)
        return (same or recent) and not (heard.strong and not before.strong)


def _passed(since_s: float, now_s: float, wait_s: float) -> bool:
    return now_s - since_s >= wait_s - _EXACT_S


def _check_numbers(scores: Sequence[float]) -> None:
    if not all(math.isfinite(score) for score in scores):
        raise ScoreError("a score is not a number; install the model again")
