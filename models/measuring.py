"""Makes the sounds that a model is measured on: `python -m models.measuring --config models/distress_en/train.toml`.

Each set is made once, the same every time, and listed in the cache; nothing in it ever trains. Clean phrases by unseen
voices; the same by other bodies, in noise, babble and rooms; the same by other engines; ordinary speech that must stay quiet.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import soundfile
import typer
from rich.progress import track

from kiosk.listen.features import SAMPLE_RATE_HZ
from kiosk.listen.hear import read_sound
from models import conditions
from models.other_engines import Saying, missing_engines, sayings, spoken
from models.real_speech import Part, recordings
from models.recipe import Recipe, RecipeError, read_recipe
from models.sounds import INDEX, SPOKEN, Sound, Sounds, spread, voice_group, write_sounds
from models.spoil import Floats
from models.synthesise import Clip, plan, synthesise

EACH = 5
"""Clips of each phrase in a set of hard conditions."""
QUIET_SETS = {
    "ordinary": ("ordinary",),
    "confusables": ("confusable_words", "confusable_sentences"),
    "store": ("store",),
}
QUIET_DB = -30.0
SHORTEST_S = 0.3
AMBIENCE = ("ambience", "Ambience_Objects", "Machines", "_silence_")
"""What in the real sounds is a background: rooms, machines and the noise between words, not music or effects."""
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
"""A telephone exchange's prompts, spoken by a woman: apt's asterisk-core-sounds-en-wav (CC BY-SA 3.0), only ever measured on."""
VERSION = 1
"""Part of each made sound's name: raise it when `models.conditions` changes what it makes."""

Make: TypeAlias = Callable[[Floats, "Backgrounds", bool], Floats]


@dataclass(frozen=True)
class Backgrounds:
    """A long stretch of real rooms and machines that training never met, and voices for babble."""

    ambience: Floats
    voices: list[Floats]


def _amid_ambience(snr_db: float) -> Make:
    return lambda sound, back, _: conditions.amid(sound, back.ambience, snr_db)


def _amid_babble(snr_db: float) -> Make:
    def make(sound: Floats, back: Backgrounds, _: bool) -> Floats:
        talk = conditions.babble(back.voices, len(sound) + 2 * SAMPLE_RATE_HZ, seed=len(sound))
        return conditions.amid(sound, talk, snr_db)

    return make


def _away(metres: float) -> Make:
    return lambda sound, back, _: conditions.at_distance(sound, back.ambience, metres)


HARD: Mapping[str, Make] = {
    "children": lambda sound, _, woman: conditions.child(sound, woman=woman),
    "older": lambda sound, _, woman: conditions.older(sound, woman=woman),
    "shouted": lambda sound, _back, _woman: conditions.shouted(sound),
    "store_20_db": _amid_ambience(20),
    "store_10_db": _amid_ambience(10),
    "store_5_db": _amid_ambience(5),
    "babble_20_db": _amid_babble(20),
    "babble_10_db": _amid_babble(10),
    "babble_5_db": _amid_babble(5),
    "room_1_m": _away(1),
    "room_3_m": _away(3),
    "room_5_m": _away(5),
    "quiet_30_db": lambda sound, _back, _woman: conditions.to_peak(sound, 10 ** (QUIET_DB / 20)),
}
"""Each hard set: what is done to a clean clip, the backgrounds, and whether a woman speaks."""


def make(recipe: Recipe) -> Sounds:
    """Make what the cache lacks and list it all; RecipeError when the recipe cannot be followed."""
    sets = dict(clean(recipe).sets)
    quiet = [recipe.cache / one.file for name in QUIET_SETS for one in sets[name]]
    sets |= _hard(recipe, sets[SPOKEN], quiet)
    sets |= _other_engines(recipe) | _prompts(recipe)
    sounds = Sounds(sets=sets)
    write_sounds(sounds, recipe.cache)
    return sounds


def clean(recipe: Recipe) -> Sounds:
    """The clean sets by unseen voices alone; they are not listed in the cache."""
    clips = synthesise(plan(recipe, "unseen"), recipe.cache)
    groups = {SPOKEN: tuple(recipe.phrases), **QUIET_SETS}
    return Sounds(sets={name: _listed(recipe, clips, labels) for name, labels in groups.items()})


def _listed(recipe: Recipe, clips: dict[Clip, Path], labels: Iterable[str]) -> tuple[Sound, ...]:
    wanted = set(labels)
    return tuple(
        Sound(label=clip.label, file=str(path.relative_to(recipe.cache)), text=clip.text, voice=clip.voice)
        for clip, path in clips.items()
        if clip.label in wanted
    )


def _hard(recipe: Recipe, clean: Iterable[Sound], quiet: list[Path]) -> dict[str, tuple[Sound, ...]]:
    """The hard sets: the same few clips of every phrase that is no secret word, done over in each way."""
    chosen = spread((one for one in clean if not recipe.phrases[one.label].covert), EACH)
    sets = {name: tuple(_made(one, name) for one in chosen) for name in HARD}
    missing = [
        (name, recipe.cache / source.file, recipe.cache / target.file, voice_group(source.voice) == "women")
        for name, made in sets.items()
        for source, target in zip(chosen, made, strict=True)
        if not (recipe.cache / target.file).exists()
    ]
    if missing:
        with ProcessPoolExecutor(initializer=_start_making, initargs=(_backgrounds(recipe, quiet),)) as pool:
            jobs = [pool.submit(_make_one, *one) for one in missing]
            for job in track(as_completed(jobs), description="Making hard sounds", total=len(jobs)):
                job.result()
    return sets


def _made(source: Sound, name: str) -> Sound:
    return source.model_copy(update={"file": _file(name, f"{source.file}-{VERSION}")})


def _file(set_name: str, said: str) -> str:
    return f"{INDEX.parent}/{set_name}/{hashlib.sha256(said.encode()).hexdigest()[:20]}.flac"


_backs: list[Backgrounds] = []


def _start_making(backgrounds: Backgrounds) -> None:
    _backs.append(backgrounds)


def _make_one(name: str, source: Path, target: Path, woman: bool) -> None:
    clean = np.asarray(soundfile.read(source, dtype="float32")[0], np.float32)
    _write(HARD[name](conditions.to_peak(clean, 0.7), _backs[0], woman), target)


def _write(sound: Floats, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    soundfile.write(part, np.clip(sound, -1, 1), SAMPLE_RATE_HZ, format="FLAC")
    part.replace(target)


def _backgrounds(recipe: Recipe, quiet: list[Path]) -> Backgrounds:
    rooms = [
        path
        for part in (Part.HELD_OUT_1, Part.HELD_OUT_2)
        for kind in ("sound", "speech")
        for path in recordings(recipe.real_data, kind, part)
        if any(word in str(path.relative_to(recipe.real_data)) for word in AMBIENCE)
    ]
    if not rooms:
        raise RecipeError(
            f"{recipe.real_data}: no real rooms in it to make noise of; set real_data to a folder that has"
        )
    voices = [np.asarray(soundfile.read(path, dtype="float32")[0], np.float32) for path in sorted(quiet)]
    return Backgrounds(np.concatenate([_steady(path) for path in rooms]), voices)


def _steady(path: Path) -> Floats:
    """A recording brought to one level, so that no file is quieter than the next."""
    sound = np.concatenate(list(read_sound(path))).astype(np.float32)
    return np.asarray(sound / (sound.std() + 1.0), np.float32)


def _other_engines(recipe: Recipe) -> dict[str, tuple[Sound, ...]]:
    for engine in missing_engines():
        print(f"{engine} is not installed: its voices are not measured")
    sets: dict[str, list[Sound]] = {}
    for saying in track(list(sayings(recipe.phrases)), description="Saying with other engines"):
        sets.setdefault(saying.engine, []).append(_said(recipe, saying))
    return {engine: tuple(sounds) for engine, sounds in sets.items()}


def _said(recipe: Recipe, saying: Saying) -> Sound:
    file = _file(saying.engine, json.dumps([saying.voice, saying.text]))
    if not (recipe.cache / file).exists():
        _write(spoken(saying), recipe.cache / file)
    return Sound(label=saying.label, file=file, text=saying.text, voice=f"{saying.engine} {saying.voice}")


def _prompts(recipe: Recipe) -> dict[str, tuple[Sound, ...]]:
    """Real recorded speech that is short and clear, as calls are; none when the package is not installed."""
    files = sorted(PROMPTS.rglob("*.wav"))
    if not files:
        print(f"{PROMPTS} is not there (apt: asterisk-core-sounds-en-wav): telephone prompts are not measured")
    return {"prompts": tuple(sound for path in files if (sound := _prompt(recipe, path)) is not None)} if files else {}


def _prompt(recipe: Recipe, path: Path) -> Sound | None:
    name = path.relative_to(PROMPTS).with_suffix("").as_posix()
    file = _file("prompts", name)
    if not (recipe.cache / file).exists():
        said = np.concatenate(list(read_sound(path))).astype(np.float32) / np.float32(32768)
        if len(said) < SHORTEST_S * SAMPLE_RATE_HZ:
            return None
        _write(said, recipe.cache / file)
    return Sound(label="prompts", file=file, text=name.replace("-", " "), voice="asterisk")


def main(config: Annotated[Path, typer.Option(help="The train.toml to follow.")]) -> None:
    """Make every measuring sound that the cache lacks, and list them."""
    try:
        recipe = read_recipe(config)
        sounds = make(recipe)
    except RecipeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    for name, group in sounds.sets.items():
        print(f"{name:16} {len(group):4} sounds")
    print(f"{recipe.cache / INDEX}: written")


if __name__ == "__main__":
    typer.run(main)
