"""From phrases to a model: `python -m models.train --config models/distress_en/train.toml`.

Speak, spoil, embed, train, look for the worst mistakes on real speech and train on those again, export, choose
thresholds, measure, write the manifest. Every step's result is cached, so a run that was stopped goes on where it was.
"""

import hashlib
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from kiosk.detection import Manifest, SecondLook, Weights, Window
from kiosk.listen.features import EMBEDDING_SIZE, HOP_S, SAMPLE_RATE_HZ, WINDOW
from kiosk.listen.loop import Loop
from kiosk.listen.model import MANIFEST_NAME, ModelError, load_model
from kiosk.listen.proof import proof_scores
from models import evaluate, look, material, network, thresholds
from models.card import write_card
from models.material import Rows, Spoken
from models.real_speech import Part, check_root
from models.recipe import Recipe, RecipeError, Training, read_recipe
from models.synthesise import plan, synthesise

REAL_STEP = 3
SYNTHETIC = "Synthetic voices of Kokoro-82M (Apache-2.0), spoilt by WORLD, rooms, noise and level."
REAL = "Real speech and sound without distress: half of the recordings that MODEL_CARD.md lists."
NO_REAL = "No real speech at all: the thresholds are a guess, and the model must not be shipped."

NEVER_TESTED = (
    "Real people in real panic: no recording of one was used to train or to choose thresholds.",
    "Real children, and real older people who are ill or out of breath.",
    "Any language but English, and accents beyond those of the synthetic voices.",
    "A real store, and a real microphone at a real distance.",
)


def train(recipe: Recipe, out: Path) -> Manifest:
    """Run the whole recipe and leave model and manifest in `out`; RecipeError when the recipe cannot be followed."""
    real_there = check_root(recipe.real_data)
    if not real_there:
        print(f"{recipe.real_data} is not there: training on synthesised speech alone; thresholds will be a guess.")
    made = _material(recipe)
    stage1 = _train_stage1(recipe, made)
    content, look_content = network.to_tflite(stage1), network.to_tflite(_train_look(recipe, made, stage1))
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{recipe.name}.tflite").write_bytes(content)
    (out / f"{recipe.name}_look.tflite").write_bytes(look_content)
    manifest = _manifest(recipe, content, look_content, real=real_there)
    _write(manifest, out)
    return measure(recipe, out)


def measure(recipe: Recipe, out: Path) -> Manifest:
    """Choose the thresholds of the model in `out` anew, measure it, and write manifest and card."""
    manifest = evaluate.measure(recipe, out)
    manifest = manifest.model_copy(update={"proof": proof_scores(Loop(load_model(out)))})
    _write(manifest, out)
    write_card(manifest, recipe, out)
    return manifest


@dataclass(frozen=True)
class Material:
    """All that both stages learn from."""

    spoken: list[Spoken]
    recorded: dict[Path, material.Halves]


def _material(recipe: Recipe) -> Material:
    clips = synthesise(plan(recipe, "train"), recipe.cache)
    backgrounds = material.noises(recipe, [path for clip, path in clips.items() if clip.label not in recipe.phrases])
    return Material(material.spoken(recipe, clips, backgrounds), material.real(recipe, Part.TRAIN))


def _train_stage1(recipe: Recipe, made: Material) -> list[network.Head]:
    phrases = list(recipe.phrases)
    rng = np.random.default_rng(recipe.seed)
    said_x, said_y = material.training_windows(made.spoken, phrases, rng)
    quiet = material.every_window(made.recorded, REAL_STEP)
    x, y = np.concatenate([said_x, quiet]), np.concatenate([said_y, np.zeros(len(quiet), np.int64)])
    print(f"{(y > 0).sum()} windows with a phrase, {(said_y == 0).sum()} without, {len(quiet)} real", flush=True)
    outputs, training = 1 + len(phrases), recipe.training
    if training.mined and len(quiet):
        first = network.train_head(x, y, outputs, training, recipe.seed)
        again = _worst(first, material.every_window(made.recorded), training)
        x, y = np.concatenate([x, again]), np.concatenate([y, np.zeros(len(again), np.int64)])
    seeds = range(recipe.seed, recipe.seed + training.heads)
    return [network.train_head(x, y, outputs, training, seed) for seed in seeds]


def _train_look(recipe: Recipe, made: Material, stage1: list[network.Head]) -> list[network.Head]:
    """The second look's heads: from all clips, and from the real speech that stage 1 mistakes; the worst of that again."""
    phrases, training = list(recipe.phrases), recipe.look_training
    x, y = look.said(made.spoken, phrases)
    real = look.mistaken(recipe, made.recorded, partial(network.distress, stage1[0]), training.mistaken)
    x, y = np.concatenate([x, real]), np.concatenate([y, np.zeros(len(real), np.int64)])
    outputs = 1 + len(phrases)
    if training.mined and len(real):
        first = network.train_look_head(x, y, outputs, training, recipe.seed)
        again = _worst(first, real, training)
        x, y = np.concatenate([x, again]), np.concatenate([y, np.zeros(len(again), np.int64)])
    seeds = range(recipe.seed, recipe.seed + training.heads)
    return [network.train_look_head(x, y, outputs, training, seed) for seed in seeds]


def _worst(first: network.Head, real: Rows, training: Training) -> Rows:
    """The real moments that a first head takes most for distress, each several times."""
    worst = np.argsort(-network.distress(first, real))[: training.mined]
    return np.repeat(real[worst], training.mined_repeat, axis=0)


def _manifest(recipe: Recipe, content: bytes, look_content: bytes, *, real: bool) -> Manifest:
    return Manifest(
        v=2,
        name=recipe.name,
        language=recipe.language,
        made=datetime.now(tz=UTC).date(),
        licence="Apache-2.0",
        model=f"{recipe.name}.tflite",
        sha256=hashlib.sha256(content).hexdigest(),
        front_end="google-speech-embedding",
        sample_rate_hz=SAMPLE_RATE_HZ,
        window=Window(frames=WINDOW, features=EMBEDDING_SIZE, hop_s=HOP_S),
        refractory_s=recipe.thresholds.refractory_s,
        repeat_s=recipe.thresholds.repeat_s,
        phrases=thresholds.phrases(recipe, thresholds.UNSET, thresholds.UNSET),
        second_look=_second_look(recipe, look_content),
        never_tested=NEVER_TESTED,
        trained_on=(SYNTHETIC, REAL if real else NO_REAL),
    )


def _second_look(recipe: Recipe, content: bytes) -> SecondLook:
    rules = recipe.second_look
    return SecondLook(
        head=f"{recipe.name}_look.tflite",
        sha256=hashlib.sha256(content).hexdigest(),
        gate=rules.gate,
        weights=Weights(stage1=rules.stage1, head=rules.head, help=rules.help, match=rules.match, veto=rules.veto),
        help_tokens=tuple(rules.help_tokens),
        # A recipe names the plainest phrase first; "help, I can't breathe" is known by its last words.
        words={phrase: tuple(texts.words) for phrase, texts in reversed(recipe.phrases.items())},
        ordinary=tuple(rules.ordinary),
        unless=tuple(rules.unless),
    )


def _write(manifest: Manifest, out: Path) -> None:
    (out / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def main(
    config: Annotated[Path, typer.Option(help="The train.toml to follow.")],
    out: Annotated[Path | None, typer.Option(help="Where the model goes; beside the recipe if not given.")] = None,
    *,
    small: Annotated[bool, typer.Option(help="A few minutes only: proves the way, not the model.")] = False,
    only_measure: Annotated[bool, typer.Option(help="Keep the model; choose thresholds and measure again.")] = False,
) -> None:
    """Train a phrase model from its recipe."""
    started_s = time.monotonic()
    try:
        recipe = read_recipe(config)
        recipe = recipe.small() if small else recipe
        folder = out or (Path("build/small-model") if small else config.parent)
        manifest = measure(recipe, folder) if only_measure else train(recipe, folder)
    except (RecipeError, ModelError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    for figure in manifest.figures:
        print(f"{figure.name:32} {figure.value:8.3f} {figure.unit:6} n={figure.n:g}  {figure.on}")
    print(f"{folder / manifest.model}: done in {time.monotonic() - started_s:.0f} s")


if __name__ == "__main__":
    typer.run(main)
