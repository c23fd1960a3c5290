"""Judges a model through the very loop that units run: thresholds from one part of the real speech, figures from another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from kiosk.detection import SCORE_LIMIT, Decider, Figure, Heard, Manifest, Phrase, Thresholds
from kiosk.listen.features import HOP_S
from kiosk.listen.hear import SoundFileError, hear_file
from kiosk.listen.loop import Loop
from kiosk.messages import Choice
from models.recipe import Recipe

REPEATS_PER_H = 6.0
GRAVE_MARGIN = 2.0


@dataclass(frozen=True)
class Trace:
    """One file as the loop scored it, hop by hop; `label` is the phrase or the group, `duration_s` the file's own length."""

    label: str
    path: Path
    scores: list[tuple[float, ...]]
    duration_s: float

    @property
    def best(self) -> float:
        """The highest score of any phrase."""
        return max((max(scores) for scores in self.scores), default=-SCORE_LIMIT)


def trace(loop: Loop, files: Sequence[tuple[str, Path]], description: str) -> list[Trace]:
    """Run labelled files through the loop and keep the scores of every hop."""
    traces = []
    for label, path in track(files, description=description):
        scores: list[tuple[float, ...]] = []
        try:
            report = hear_file(loop, path, on_scores=scores.append)
        except SoundFileError as error:
            print(error)
            continue
        traces.append(Trace(label, path, scores, report.duration_s))
    return traces


def replay(manifest: Manifest, one: Trace) -> list[Heard]:
    """What the decider makes of a trace: the same decisions as in the loop that made it."""
    decider = Decider(manifest)
    candidates = (decider.hear((hop + 1) * HOP_S, scores) for hop, scores in enumerate(one.scores))
    heard = (decider.judge(candidate, None) for candidate in candidates if candidate is not None)
    return [decision for decision in heard if decision is not None]


def hours(traces: Sequence[Trace]) -> float:
    """Hours of sound in `traces`."""
    return sum(one.duration_s for one in traces) / 3600


def false_per_h(manifest: Manifest, traces: Sequence[Trace]) -> float:
    """Detections per hour in speech that holds no phrase."""
    total = hours(traces)
    return sum(len(replay(manifest, one)) for one in traces) / total if total else 0.0


def recall(manifest: Manifest, traces: Sequence[Trace], label: str | None = None) -> float:
    """Share of the files spoken with `label` (or any) in which any phrase at all is heard."""
    asked = [one for one in traces if label is None or one.label == label]
    return sum(bool(replay(manifest, one)) for one in asked) / len(asked) if asked else 0.0


def phrases(recipe: Recipe, once: float, repeat: float, grave: float) -> tuple[Phrase, ...]:
    """The recipe's phrases with thresholds for what counts at once, what counts when repeated, and a clear grave phrase."""
    return tuple(
        Phrase(
            id=phrase_id,
            opens=Choice(texts.opens) if texts.opens else None,
            alone=Thresholds(
                threshold=repeat if texts.needs_repeat else once + texts.margin,
                strong_threshold=once + texts.margin if texts.needs_repeat else None,
                grave_threshold=max(grave, once + texts.margin) if texts.grave else None,
            ),
            needs_repeat=texts.needs_repeat,
            grave=texts.grave,
            covert=texts.covert,
        )
        for phrase_id, texts in recipe.phrases.items()
    )


def choose_thresholds(recipe: Recipe, quiet: Sequence[Trace]) -> tuple[Phrase, ...]:
    """Thresholds from real speech that training never read: `false_per_h` at most, and grave ones above all of its peaks."""
    peaks = sorted((one.best for one in quiet), reverse=True)
    lowest, total_h = recipe.thresholds.lowest, hours(quiet)
    once = max(lowest, _level(peaks, recipe.thresholds.false_per_h * total_h))
    repeat = max(lowest, _level(peaks, REPEATS_PER_H * total_h))
    grave = min(max([once, *peaks[:1]]) + GRAVE_MARGIN, SCORE_LIMIT)
    return phrases(recipe, once, repeat, round(grave, 2))


def crossed_false_per_h(manifest: Manifest, recipe: Recipe, halves: Sequence[Sequence[Trace]]) -> float:
    """False alarms per hour when the thresholds chosen on one half are counted on the other, both ways: the honest figure."""
    total_h = sum(hours(half) for half in halves)
    count = 0
    for chosen_on, counted_on in (halves, halves[::-1]):
        chosen = manifest.model_copy(update={"phrases": choose_thresholds(recipe, chosen_on)})
        count += sum(len(replay(chosen, one)) for one in counted_on)
    return count / total_h if total_h else 0.0


def _level(peaks: list[float], allowed: float) -> float:
    """The least score that all but `allowed` of the peaks stay below."""
    return round(peaks[min(int(allowed), len(peaks) - 1)] + 0.01, 2) if peaks else -SCORE_LIMIT


def figures(
    manifest: Manifest, recipe: Recipe, halves: Sequence[Sequence[Trace]], unseen: Sequence[Trace]
) -> tuple[Figure, ...]:
    """What the manifest tells of its model, each number with what it was measured on."""
    said = [one for one in unseen if one.label in recipe.phrases]
    made = [
        _recall_figure(manifest, said, None),
        *(_recall_figure(manifest, said, phrase) for phrase in recipe.phrases),
    ]
    for group in recipe.quiet:
        asked = [one for one in unseen if one.label == group]
        on = "sentences of its own, spoken by synthetic voices never trained on"
        made.append(_figure(f"fired_{group}", recall(manifest, asked), "share", len(asked), on))
    quiet = [one for half in halves for one in half]
    heard_h = round(hours(quiet), 2)
    if quiet:
        rate, crossed = false_per_h(manifest, quiet), crossed_false_per_h(manifest, recipe, halves)
        made.append(
            _figure("false_per_h", rate, "1/h", heard_h, "hours of the real speech that thresholds were chosen on")
        )
        made.append(
            _figure("false_per_h_crossed", crossed, "1/h", heard_h, "hours: chosen on one half, counted on the other")
        )
    return tuple(made)


def _recall_figure(manifest: Manifest, said: Sequence[Trace], phrase: str | None) -> Figure:
    count = sum(phrase is None or one.label == phrase for one in said)
    share = recall(manifest, said, phrase)
    return _figure(f"recall_{phrase or 'all'}", share, "share", count, "synthetic voices never trained on")


def _figure(name: str, value: float, unit: str, n: float, on: str) -> Figure:
    return Figure(name=name, value=round(value, 3), unit=unit, n=n, on=on)
