"""Chooses the thresholds of a model from speech that holds no phrase.

Rules
- Pure: no file, sound or clock.
- All phrases share one level, at which false alarms are as rare as the recipe asks; a phrase's
  `margin` comes on top where stage 1 decides alone: a second look knows ordinary sentences by their words.
- A phrase whose own worst false alarm lies far below that level may count sooner: from `SAFETY` above that alarm.
- A bare call counts when repeated from a lower level, and once from the shared one. What raises the alarm without asking
  lies above every false alarm that was met.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kiosk.detection import SCORE_LIMIT, Phrase, Thresholds
from models.recipe import PhraseTexts, Recipe

REPEATS_PER_H = 6.0
GRAVE_MARGIN = 2.0
SAFETY = 1.5


class Moment(NamedTuple):
    """A candidate with the scores that it is judged by; only another saying can be a repeat."""

    t_s: float
    saying: int
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Levels:
    """What the quiet speech asks for: the shared level, the one for repeats, the grave one, and each phrase's worst alarm."""

    once: float
    repeat: float
    grave: float
    worst: dict[str, float]


UNSET = Levels(0.0, 0.0, 0.0, {})
"""Before anything was measured."""


def phrases(recipe: Recipe, alone: Levels, looked: Levels | None) -> tuple[Phrase, ...]:
    """The recipe's phrases with thresholds for stage 1 alone and, where there is a second look, after one."""
    return tuple(
        Phrase(
            id=phrase_id,
            opens=texts.opens,
            alone=_thresholds(recipe, phrase_id, alone, looked=False),
            looked=None if looked is None else _thresholds(recipe, phrase_id, looked, looked=True),
            grave=texts.grave,
            needs_repeat=texts.needs_repeat,
            covert=texts.covert,
        )
        for phrase_id, texts in recipe.phrases.items()
    )


def lowest(recipe: Recipe, *, looked: bool) -> float:
    """The least score that may count, after a second look or without one."""
    bound = recipe.thresholds.lowest_looked if looked else None
    return recipe.thresholds.lowest if bound is None else bound


def levels(
    recipe: Recipe, ids: Sequence[str], quiet: Sequence[Sequence[Moment]], hours: float, *, looked: bool = False
) -> Levels:
    """The levels for moments of `hours` of quiet speech, file by file, with a score for each phrase of `ids`."""
    texts = [recipe.phrases[phrase_id] for phrase_id in ids]
    found = [moment for file in quiet for moment in _apart(file, recipe.thresholds.refractory_s)]
    least = lowest(recipe, looked=looked)
    repeats = [index for index, one in enumerate(texts) if one.needs_repeat]
    over = [_over(texts, moment, looked=looked) for moment in found]
    alarms = [max(scores) for scores in over]
    calls = [max(scores[index] for index in repeats) for scores in over] if repeats else []
    once = max(least, _level(alarms, recipe.thresholds.false_per_h * hours))
    return Levels(
        once=once,
        repeat=min(once, max(least, _level(calls, REPEATS_PER_H * hours))),
        grave=_grave(texts, found, once),
        worst={phrase_id: max((m.scores[i] for m in found), default=-SCORE_LIMIT) for i, phrase_id in enumerate(ids)},
    )


def _over(texts: Sequence[PhraseTexts], moment: Moment, *, looked: bool) -> list[float]:
    return [score - _margin(one, looked=looked) for one, score in zip(texts, moment.scores, strict=True)]


def _margin(texts: PhraseTexts, *, looked: bool) -> float:
    return 0.0 if looked else texts.margin


def _grave(texts: Sequence[PhraseTexts], found: Sequence[Moment], once: float) -> float:
    alarms = [moment.scores[index] for moment in found for index, one in enumerate(texts) if one.grave]
    return round(min(SCORE_LIMIT, max([once, *alarms]) + GRAVE_MARGIN), 2)


def _apart(file: Sequence[Moment], refractory_s: float) -> list[Moment]:
    """The highest moment, then the highest that is far enough from it, and so on: what would be announced."""
    kept: list[Moment] = []
    for moment in sorted(file, key=lambda one: max(one.scores), reverse=True):
        if all(abs(moment.t_s - other.t_s) >= refractory_s for other in kept):
            kept.append(moment)
    return kept


def _level(alarms: Sequence[float], allowed: float) -> float:
    """The least score that all but `allowed` of the alarms, to the nearest whole one, stay below."""
    ranked = sorted(alarms, reverse=True)
    over = round(allowed)
    return round(ranked[over] + 0.01, 2) if over < len(ranked) else -SCORE_LIMIT


def _thresholds(recipe: Recipe, phrase_id: str, level: Levels, *, looked: bool) -> Thresholds:
    texts = recipe.phrases[phrase_id]
    once = level.once + _margin(texts, looked=looked)
    sooner = level.worst.get(phrase_id, SCORE_LIMIT) + SAFETY
    once = round(min(once, max(sooner, lowest(recipe, looked=looked))), 2)
    return Thresholds(
        threshold=min(level.repeat, once) if texts.needs_repeat else once,
        strong_threshold=once if texts.needs_repeat else None,
        grave_threshold=max(level.grave, once) if texts.grave else None,
    )
