"""Judges a model: `python -m models.evaluate --config models/distress_en/train.toml` writes report.json and report.html.

Everything is heard by `stayby hear`'s own code. Thresholds are chosen on one part of the real speech that training never
read, and false alarms counted on the other. Peers hear the same sounds in the same run.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk.detection import Figure, Manifest
from kiosk.listen.features import FrontEndError
from kiosk.listen.model import MANIFEST_NAME, ModelError
from kiosk.listen.moonshine import MoonshineError
from kiosk.listen.moonshine import installed as moonshine_installed
from models import judge, thresholds
from models.figures import OTHER_ENGINES, Report, measured
from models.hearing import Ear
from models.judge import HELD_OUT, SHIPPED, UNASKED, Judged, Traces
from models.measuring import clean, make
from models.peers import PocketSphinx, Words, installed
from models.recipe import Recipe, RecipeError, read_recipe
from models.report import write_report
from models.sounds import QUIET, SPOKEN, Sounds, SoundsMissing, read_sounds
from models.thresholds import UNSET, Levels
from models.traces import active_phrases, moments

OUT = Path("build/ear-report")
WORDS_SETS = (SPOKEN, "espeak", "flite", "festival", "piper", *QUIET, HELD_OUT[1])
UNSEEN_ON = "clips by synthetic voices never trained on"
ENGINES_ON = "clips by four other speech engines"
"""What Moonshine's words are asked about: it has no thresholds to choose, and takes its time."""


def with_thresholds(recipe: Recipe, manifest: Manifest, traces: Traces) -> Manifest:
    """The manifest with thresholds chosen anew on the first held-out part of the real speech."""
    unset = manifest.model_copy(
        update={"phrases": thresholds.phrases(recipe, UNSET, UNSET if manifest.second_look else None)}
    )
    alone = _levels(recipe, unset, traces, looked=False)
    looked = _levels(recipe, unset, traces, looked=True) if manifest.second_look else None
    return manifest.model_copy(update={"phrases": thresholds.phrases(recipe, alone, looked)})


def _levels(recipe: Recipe, manifest: Manifest, traces: Traces, *, looked: bool) -> Levels:
    quiet = traces[HELD_OUT[0]]
    heard = [moments(manifest, one, looked=looked) for one in quiet]
    ids = [phrase.id for phrase in active_phrases(manifest)]
    return thresholds.levels(recipe, ids, heard, sum(one.duration_s for one in quiet) / 3600, looked=looked)


def measure(recipe: Recipe, folder: Path) -> Manifest:
    """Choose the thresholds of the model in `folder` anew, measure it, and write both into its manifest.

    RecipeError, ModelError, FrontEndError or MoonshineError when that cannot be done.
    """
    sounds = make(recipe) if recipe.synthesis.share == 1 else clean(recipe)
    traces = _traces(recipe, folder, sounds)
    manifest = with_thresholds(recipe, Ear(folder, recipe.cache).manifest, traces)
    manifest = manifest.model_copy(update={"figures": manifest_figures(manifest, sounds, traces)})
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _traces(recipe: Recipe, folder: Path, sounds: Sounds) -> Traces:
    sets = judge.sets_of(recipe, sounds, recipe.cache)
    return judge.traces_of(folder, sets, judge.covert_sets(recipe, sounds, recipe.cache), recipe.cache)


def our_ears(manifest: Manifest, traces: Traces) -> list[Judged]:
    """The ear as it is, the best first: with its second look, if it has one that works here, and by stage 1 alone."""
    both = manifest.second_look is not None and moonshine_installed()
    return [judge.heard_by_us(manifest, traces, looked=looked) for looked in ((True, False) if both else (False,))]


def evaluate(recipe: Recipe, folder: Path, *, peers: bool = True, words: bool = True) -> Report:
    """All figures of the model in `folder`, beside the peers that are installed here."""
    sounds = read_sounds(recipe.cache)
    sets = judge.sets_of(recipe, sounds, recipe.cache)
    traces = _traces(recipe, folder, sounds)
    manifest = Ear(folder, recipe.cache).manifest
    ears, notes = our_ears(manifest, traces), []
    phrases = [phrase.id for phrase in active_phrases(manifest)]
    if peers and installed("pocketsphinx"):
        ears.append(judge.heard_by_peer(PocketSphinx(phrases), sets, phrases, recipe.cache))
    elif peers:
        notes.append("PocketSphinx is not installed: not measured beside it.")
    if words and moonshine_installed():
        patterns = {phrase: recipe.phrases[phrase].words for phrase in phrases}
        some = {name: files for name, files in sets.items() if name in WORDS_SETS}
        ears.append(judge.heard_by_peer(Words(patterns), some, phrases, recipe.cache))
    return measured(manifest, sounds, ears, notes)


def manifest_figures(manifest: Manifest, sounds: Sounds, traces: Traces) -> tuple[Figure, ...]:
    """What the manifest tells of its model, each number with what it was measured on; as shipped, by its best ear."""
    ears = our_ears(manifest, traces)
    found = measured(manifest, sounds, ears, [])
    return tuple(
        figure for ear, more in zip(ears, ("", "_alone"), strict=False) for figure in _of_ear(found, ear.name, more)
    )


def _of_ear(found: Report, ear: str, more: str) -> list[Figure]:
    made = []
    for group, name, says, on in (
        ("all", SPOKEN, "recall_all", UNSEEN_ON),
        ("all", OTHER_ENGINES, "recall_other_engines", ENGINES_ON),
        *(("phrase", one.name, f"recall_{one.name}", UNSEEN_ON) for one in found.group(ear, "phrase", SHIPPED)),
        *(("voices", one.name, f"recall_{one.name}", UNSEEN_ON) for one in found.group(ear, "voices", SHIPPED)),
        *(("conditions", one.name, f"recall_{one.name}", UNSEEN_ON) for one in found.group(ear, "conditions", SHIPPED)),
        *(
            ("quiet", one.name, f"fired_{one.name}", f"sentences, {UNSEEN_ON}")
            for one in found.group(ear, "quiet", SHIPPED)
        ),
    ):
        row = found.recall(ear, group, name, SHIPPED)
        if row is not None:
            made.append(Figure(name=f"{says}{more}", value=round(row.value, 3), unit="share", n=row.n, on=on))
    return made + _rate_figures(found, ear, more)


def _rate_figures(found: Report, ear: str, more: str) -> list[Figure]:
    made = []
    for part, basis, says, on in (
        (HELD_OUT[0], SHIPPED, "false_per_h_chosen_on", "hours of real speech that thresholds were chosen on"),
        (
            HELD_OUT[1],
            SHIPPED,
            "false_per_h",
            "hours of other real speech; the least threshold was set by hand, knowing them",
        ),
        (HELD_OUT[1], UNASKED, "false_at_once_per_h", "the same hours; alarms that nobody is asked about first"),
    ):
        rate = found.rate(ear, part, basis)
        if rate is not None:
            made.append(Figure(name=f"{says}{more}", value=round(rate.per_h, 3), unit="1/h", n=rate.hours, on=on))
    return made


def main(
    config: Annotated[Path, typer.Option(help="The train.toml of the model.")],
    model_dir: Annotated[Path | None, typer.Option(help="The model's folder; beside the recipe if not given.")] = None,
    out: Annotated[Path, typer.Option(help="Where report.json and report.html go.")] = OUT,
    *,
    choose: Annotated[
        bool, typer.Option(help="First choose thresholds anew and write them into the manifest.")
    ] = False,
    peers: Annotated[bool, typer.Option(help="Let PocketSphinx hear the same sounds.")] = True,
    words: Annotated[bool, typer.Option(help="And Moonshine's words alone: some 20 minutes the first time.")] = True,
) -> None:
    """Judge a model on every measuring set and write the report."""
    folder = model_dir or config.parent
    try:
        recipe = read_recipe(config)
        make(recipe)
        if choose:
            measure(recipe, folder)
        found = evaluate(recipe, folder, peers=peers, words=words)
    except (RecipeError, ModelError, FrontEndError, MoonshineError, SoundsMissing) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    write_report(found, out)
    print(f"{out / 'report.html'}: written")


if __name__ == "__main__":
    typer.run(main)
