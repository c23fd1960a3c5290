"""What the ear makes of a file, kept so that other thresholds cost seconds: stage 1's scores of every hop, and each second look.

A trace comes from `hear_file` itself (`models.hearing`), the code behind `stayby hear`, and is replayed through the very
`Decider` of the loop. Thresholds and the weights of the second look are no part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kiosk.detection import SCORE_LIMIT, Candidate, Decider, Heard, Manifest, Parts, Phrase, Thresholds, Verdict, fuse
from kiosk.listen.features import HOP_S
from models import curves
from models.thresholds import Moment

LOWERED = 8.0
"""How far below its thresholds stage 1 alone is drawn."""

Scores = npt.NDArray[np.float64]


class Look(NamedTuple):
    """One second look: the candidate's time, how much sound was its own, and what was found in it."""

    t_s: float
    sound_s: float
    parts: Parts


@dataclass(frozen=True)
class Trace:
    """One file as the loop heard it; `scores` has a row for each hop and a column for each active phrase."""

    label: str
    path: Path
    duration_s: float
    scores: Scores
    looks: tuple[Look, ...]
    cpu_s: float = 0.0

    def verdict(self, manifest: Manifest, phrases: Sequence[Phrase], candidate: Candidate) -> Verdict | None:
        """The verdict on a candidate from its own look, or from another one at the same moment with more or less sound."""
        near = [one for one in self.looks if abs(one.t_s - candidate.t_s) < HOP_S / 2]
        if not near or manifest.second_look is None:
            return None
        parts = min(near, key=lambda one: abs(one.sound_s - candidate.sound_s)).parts
        return fuse(manifest.second_look.weights, phrases, candidate.scores, parts)


def active_phrases(manifest: Manifest, covert_phrase: str | None = None) -> tuple[Phrase, ...]:
    """The phrases that count, in the order of a trace's columns."""
    return tuple(manifest.phrases[i] for i in manifest.active(covert_phrase))


def replay(manifest: Manifest, one: Trace, *, looked: bool, covert_phrase: str | None = None) -> list[Heard]:
    """What the decider makes of a trace: with its second looks, or by stage 1 alone."""
    decider = Decider(manifest, covert_phrase=covert_phrase, second_look=looked)
    if not _worth(manifest, decider, one):
        return []
    decisions = []
    for hop, scores in enumerate(one.scores.tolist()):
        candidate = decider.hear((hop + 1) * HOP_S, scores)
        if candidate is not None:
            verdict = one.verdict(manifest, decider.phrases, candidate) if looked else None
            heard = decider.judge(candidate, verdict)
            decisions += [heard] if heard is not None else []
    return decisions


def moments(manifest: Manifest, one: Trace, *, looked: bool, covert_phrase: str | None = None) -> list[Moment]:
    """Every candidate of a trace; for stage 1 alone with thresholds so low that all that matter are among them."""
    manifest = manifest if looked else _lowered(manifest)
    decider = Decider(manifest, covert_phrase=covert_phrase, second_look=looked)
    if not _worth(manifest, decider, one):
        return []
    found = []
    for hop, scores in enumerate(one.scores.tolist()):
        candidate = decider.hear((hop + 1) * HOP_S, scores)
        if candidate is None:
            continue
        verdict = one.verdict(manifest, decider.phrases, candidate) if looked else None
        if verdict is not None or not looked:
            found.append(Moment(candidate.t_s, candidate.saying, verdict.scores if verdict else candidate.best))
    return found


def margins(
    phrases: Sequence[Phrase], heard: Sequence[Moment], repeat_s: float, refractory_s: float, *, looked: bool
) -> tuple[float, ...]:
    """By how much each announcement passes its threshold: raise all thresholds by more, and it is gone."""
    ranked = []
    for place, moment in enumerate(heard):
        before = [one for one in heard[:place] if one.saying != moment.saying and moment.t_s - one.t_s <= repeat_s]
        margin = max(_margin(p.bars(looked=looked), i, moment, before) for i, p in enumerate(phrases))
        ranked.append((margin, moment.t_s))
    kept: list[tuple[float, float]] = []
    for margin, t_s in sorted(ranked, reverse=True):
        if all(abs(t_s - other) >= refractory_s for _, other in kept):
            kept.append((margin, t_s))
    return tuple(margin for margin, _ in kept)


def announced(manifest: Manifest, one: Trace, *, looked: bool, covert_phrase: str | None = None) -> curves.Heard:
    """One trace on the common scale of `models.curves`."""
    phrases = active_phrases(manifest, covert_phrase)
    heard = moments(manifest, one, looked=looked, covert_phrase=covert_phrase)
    scores = margins(phrases, heard, manifest.repeat_s, manifest.refractory_s, looked=looked)
    return curves.Heard(one.label, one.duration_s, scores)


def _margin(bars: Thresholds, index: int, moment: Moment, before: Sequence[Moment]) -> float:
    score = moment.scores[index]
    if bars.strong_threshold is None:
        return score - bars.threshold
    repeated = max((min(score, one.scores[index]) for one in before), default=-SCORE_LIMIT)
    return max(score - bars.strong_threshold, repeated - bars.threshold)


def _lowered(manifest: Manifest) -> Manifest:
    lower = [
        phrase.model_copy(update={"alone": Thresholds(threshold=max(-SCORE_LIMIT, phrase.alone.threshold - LOWERED))})
        for phrase in manifest.phrases
    ]
    return manifest.model_copy(update={"phrases": tuple(lower)})


def _worth(manifest: Manifest, decider: Decider, one: Trace) -> bool:
    """Whether any hop could become a candidate: most quiet files need no replay at all."""
    look = manifest.second_look
    if decider.second_look and look is not None:
        return bool((one.scores >= look.gate).any())
    bars = np.array([phrase.alone.threshold for phrase in decider.phrases])
    return bool((one.scores >= bars).any())
