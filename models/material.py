"""Makes what training reads: embeddings of spoilt clips and of real recordings, cached file by file."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
from rich.progress import track

from kiosk.listen.features import CHUNK_SAMPLES, EMBEDDING_SIZE, SAMPLE_RATE_HZ, WINDOW, Features, Samples, chunks
from kiosk.listen.hear import SoundFileError, read_sound
from kiosk.listen.moonshine import Moonshine, encoder_features
from models.real_speech import Part, everything, recordings
from models.recipe import Recipe
from models.spoil import BUFFER_SAMPLES, TAIL_SAMPLES, Floats, Noises, Spoilt, spoil, take_apart
from models.synthesise import Clip

Halves = npt.NDArray[np.float16]
Windows = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[Any]
"""Windows or states."""
Labels = npt.NDArray[np.int64]

END_OFFSETS = range(5)
LOOK_OFFSETS = (int(0.2 * SAMPLE_RATE_HZ), int(1.0 * SAMPLE_RATE_HZ))
NEGATIVE_STEP = 3
AMBIENCE_S = 60
RECORDING_TAIL_S = 1.2
"""Quiet behind a real recording, so that its last word travels through the window; longer would only teach quiet."""
BABBLERS = 60


@dataclass(frozen=True)
class Spoken:
    """A clip with its spoilt variants.

    Of each: embeddings (15 + hops, 96), the hop at which its speech ends, and what the second look sees (51, 288).
    """

    label: str
    embeddings: list[Halves]
    ends: list[int]
    states: list[Halves]


def embed(features: Features, sound: Samples) -> Halves:
    """Embeddings of a whole sound from a fresh start, with the 15 of the quiet room before it: (15 + hops, 96)."""
    features.reset()
    rows = [features.window[0, 1:].copy()]
    rows += [features.push(chunk)[0, -1:].copy() for chunk in chunks(sound)]
    return np.asarray(np.concatenate(rows), np.float16)


def windows(embeddings: Halves, hops: Iterable[int]) -> Windows:
    """The windows that end at each of `hops` (0 is the sound's first chunk): (n, 16, 96)."""
    picked = [embeddings[hop : hop + WINDOW] for hop in hops]
    return np.asarray(picked, np.float32).reshape(-1, WINDOW, EMBEDDING_SIZE)


def spoken(recipe: Recipe, clips: dict[Clip, Path], noises: Noises) -> list[Spoken]:
    """Spoil and embed every clip, `variants` times, on all cores; what the cache holds is read instead."""
    folder = recipe.cache / "spoilt"
    folder.mkdir(parents=True, exist_ok=True)
    cached = {clip: folder / f"{path.stem}-{_fingerprint(recipe)}.npz" for clip, path in clips.items()}
    missing = [clip for clip, path in cached.items() if not path.exists()]
    if missing:
        with ProcessPoolExecutor(initializer=_start_spoiling, initargs=(noises, recipe)) as pool:
            jobs = [
                pool.submit(_spoil, clips[clip], cached[clip], is_phrase=clip.label in recipe.phrases)
                for clip in missing
            ]
            for job in track(as_completed(jobs), description="Spoiling", total=len(jobs)):
                job.result()
    return [_read_spoken(clip.label, path) for clip, path in cached.items()]


def _read_spoken(label: str, path: Path) -> Spoken:
    with np.load(path) as stored:
        return Spoken(label, list(stored["embeddings"]), [int(end) for end in stored["ends"]], list(stored["states"]))


def _fingerprint(recipe: Recipe) -> str:
    said = f"{recipe.augmentation.model_dump_json()}-{recipe.seed}-{BUFFER_SAMPLES}-{TAIL_SAMPLES}-{LOOK_OFFSETS}"
    return hashlib.sha256(said.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class _Spoiler:
    """What a spoiling process needs."""

    noises: Noises
    recipe: Recipe
    features: Features
    moonshine: Moonshine


_spoiler: _Spoiler | None = None


def _start_spoiling(noises: Noises, recipe: Recipe) -> None:
    global _spoiler  # noqa: PLW0603 - a worker process of the pool has one
    _spoiler = _Spoiler(noises, recipe, Features(), Moonshine())


def _spoil(path: Path, target: Path, *, is_phrase: bool) -> None:
    if _spoiler is None:
        raise RuntimeError("a spoiling process was not started by its pool")
    clean = np.asarray(soundfile.read(path, dtype="float32")[0], np.float32)
    rng = np.random.default_rng([_spoiler.recipe.seed, int(path.stem[:12], 16)])
    chances = _spoiler.recipe.augmentation
    voice = take_apart(clean)
    made = [spoil(clean, voice, _spoiler.noises, chances, rng) for _ in range(chances.variants)]
    embeddings = np.array([embed(_spoiler.features, one.sound) for one in made])
    ends = np.array([-(-one.end // CHUNK_SAMPLES) - 1 for one in made])
    states = np.array([_seen(_spoiler.moonshine, one, is_phrase=is_phrase, rng=rng) for one in made])
    part = target.with_suffix(".part.npz")
    np.savez(part, embeddings=embeddings, ends=ends, states=states)
    part.replace(target)


def _seen(moonshine: Moonshine, one: Spoilt, *, is_phrase: bool, rng: np.random.Generator) -> Halves:
    """What the second look would see: for a phrase a little after its end, for anything else at any moment."""
    latest = len(one.sound)
    at = one.end + int(rng.integers(*LOOK_OFFSETS)) if is_phrase else int(rng.integers(latest // 3, latest))
    return encoder_features(moonshine, one.sound[: min(at, latest)].astype(np.float32) / np.float32(32768)).astype(
        np.float16
    )


def noises(recipe: Recipe, quiet_clips: list[Path]) -> Noises:
    """Backgrounds from the training part of the real sounds, with voices from the quiet clips as babble."""
    silence = [p for p in recordings(recipe.real_data, "speech", Part.TRAIN) if "_silence_" in str(p)]
    rooms = [p for p in recordings(recipe.real_data, "sound", Part.TRAIN) if "voice" not in str(p)]
    ambience = [sound for path in [*silence, *rooms] if (sound := _read(path)) is not None]
    voices = [np.asarray(soundfile.read(path, dtype="float32")[0], np.float32) for path in quiet_clips[:BABBLERS]]
    return Noises(ambience, voices)


def _read(path: Path) -> Floats | None:
    try:
        sound = np.concatenate(list(read_sound(path)))[: AMBIENCE_S * SAMPLE_RATE_HZ]
    except SoundFileError as error:
        print(error)
        return None
    return sound.astype(np.float32) / np.float32(32768)


def real(recipe: Recipe, part: Part) -> dict[Path, Halves]:
    """Embeddings of the real recordings of one part, raw, by file; cached."""
    features = Features()
    folder = recipe.cache / "real"
    folder.mkdir(parents=True, exist_ok=True)
    paths = everything(recipe.real_data, part, recipe.real_files)
    result = {}
    for path in track(paths, description=f"Reading real speech ({part})"):
        said = f"{path.relative_to(recipe.real_data)}-{RECORDING_TAIL_S}"
        name = hashlib.sha256(said.encode()).hexdigest()[:20]
        cached = folder / f"{name}.npy"
        if not cached.exists() and not _embed_recording(features, path, cached):
            continue
        result[path] = np.load(cached)
    return result


def _embed_recording(features: Features, path: Path, cached: Path) -> bool:
    try:
        sound = np.concatenate(list(read_sound(path)))
    except SoundFileError as error:
        print(error)
        return False
    trailing = np.zeros(int(RECORDING_TAIL_S * SAMPLE_RATE_HZ), np.int16)
    part = cached.with_suffix(".part.npy")
    np.save(part, embed(features, np.concatenate([sound, trailing])))
    part.replace(cached)
    return True


def training_windows(said: list[Spoken], phrases: list[str], rng: np.random.Generator) -> tuple[Windows, Labels]:
    """Labelled windows of the spoken clips: at and just after a phrase's end, and all along quiet speech."""
    rows: list[Windows] = []
    labels: list[int] = []
    for one in said:
        for embeddings, end in zip(one.embeddings, one.ends, strict=True):
            last = len(embeddings) - WINDOW
            if one.label in phrases:
                hops = [end + o for o in END_OFFSETS if end + o <= last]
            else:
                hops = list(range(int(rng.integers(NEGATIVE_STEP)), last + 1, NEGATIVE_STEP))
            rows.append(windows(embeddings, hops))
            labels += [phrases.index(one.label) + 1 if one.label in phrases else 0] * len(hops)
    return np.concatenate(rows), np.array(labels, np.int64)


def every_window(recorded: dict[Path, Halves], step: int = 1) -> Windows:
    """All windows of real recordings, each `step` hops."""
    rows = [windows(e, range(0, len(e) - WINDOW + 1, step)) for e in recorded.values()]
    return np.concatenate(rows) if rows else np.zeros((0, WINDOW, EMBEDDING_SIZE), np.float32)
