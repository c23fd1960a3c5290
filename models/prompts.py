"""Renders what the screen says aloud: each prompt of each language into `kiosk/prompts/<language>/<key>.opus`.

    python -m models.prompts [--language en ...]

Kokoro-82M (Apache-2.0) speaks, and espeak-ng where Kokoro has no voice (Arabic: the texts carry the vowels that it needs).
What is there already and still right stays: beside the recordings, `prompts.json` holds which text each of them says, in which
voice, and how long it is. It needs the extra `train` of this project, `opusenc` (opus-tools), `espeak-ng`, and `npm`.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

from kiosk.messages import Language
from kiosk.texts import prompts
from kiosk.ui.catalogues import faults, load

PROMPTS = Path(__file__).parent.parent / "kiosk" / "prompts"
MANIFEST = PROMPTS / "prompts.json"
CACHE = Path("build/train-cache")
RATE_HZ = 24_000
KBIT_S = 18
SPEECH_DBFS, PEAK_DBFS = -20.0, -4.0
"""Of the speech without its pauses, and of the highest sample: the codec may add a decibel to it."""
QUIET_DB = -45.0
"""What is this much below the loudest sample, at the ends, is no speech."""
LEAD_S, TAIL_S, FADE_S = 0.1, 0.15, 0.01
PAUSE_S = 0.4
"""Between sentences."""
BREAK = " … "
"""What makes Kokoro pause between sentences. Spoken one by one they have sounds at their ends that nobody wrote."""
GAP_DB, GAP_S, GAP_FRAME_S = -40.0, 0.06, 0.01
"""What is this much below the loudest sample for so long is a pause."""
ENDS, CLOSES = ".?!\u3002\uff1f\uff01\u0964\u061f", "\u201d\u2019\u00bb\u300d"
SENTENCE = re.compile(f"[^{ENDS}]+[{ENDS}]*[{CLOSES}]*[{ENDS}]*")
FRAME_S = 0.02
PAUSES_DB = -25.0
ESPEAK_WORDS_A_MINUTE = 140

Floats = npt.NDArray[np.float32]
Speak = Callable[[str], Floats]
Manifest = dict[str, dict[str, "Recording"]]


class RenderError(Exception):
    """A prompt cannot be rendered; one line with what to do."""


@dataclass(frozen=True)
class Voice:
    """Who speaks a language, and how fast; `name` is one of Kokoro's, or empty for espeak-ng."""

    name: str
    speed: float = 1.0

    def __str__(self) -> str:
        """Everything beside the text that shapes the sound: another one means another recording."""
        who = f"kokoro {self.name} {self.speed:g}" if self.name else f"espeak-ng ar {ESPEAK_WORDS_A_MINUTE}"
        return f"{who}, {SPEECH_DBFS:g} dBFS, opus {KBIT_S}"


VOICES: Mapping[Language, Voice] = {
    Language.ENGLISH: Voice("af_heart", 0.85),
    Language.SPANISH: Voice("ef_dora", 0.85),
    Language.FRENCH: Voice("ff_siwis", 0.85),
    Language.CHINESE: Voice("zf_xiaoxiao", 0.85),
    Language.ARABIC: Voice(""),
    Language.HINDI: Voice("hf_alpha", 0.85),
}


@dataclass(frozen=True)
class Recording:
    """One file: which text it says (its hash), in which voice, and how many seconds it lasts."""

    text: str
    voice: str
    seconds: float


# --- what there is, and what there should be --------------------------------------------------------------------------


def texts(language: Language) -> dict[str, str]:
    """Return what is said in a language, by key."""
    tongue = load(language)
    return {key: tongue.say(key) for key in prompts()}


def hash_of(text: str) -> str:
    """Return what stands for a text in the manifest."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recording_file(language: Language, key: str) -> Path:
    """Return where a recording is."""
    return PROMPTS / language / f"{key}.opus"


def read_manifest() -> Manifest:
    """Return the recordings that there are, by language and key."""
    if not MANIFEST.exists():
        return {}
    whole = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return {
        language: {key: Recording(**one) for key, one in recordings.items()} for language, recordings in whole.items()
    }


def stale(language: Language, manifest: Manifest) -> dict[str, str]:
    """Return the texts of a language whose recording is missing, or says something else, or in another voice."""
    there, voice = manifest.get(language, {}), str(VOICES[language])
    return {
        key: text
        for key, text in texts(language).items()
        if key not in there
        or (there[key].text, there[key].voice) != (hash_of(text), voice)
        or not recording_file(language, key).exists()
    }


def _keep(language: Language, recordings: Mapping[str, Recording]) -> None:
    """Write the manifest with these recordings of a language; what another run wrote of the others stays."""
    whole = {**read_manifest(), language.value: recordings}
    lines = {name: {key: vars(one) for key, one in sorted(whole[name].items())} for name in sorted(whole)}
    part = MANIFEST.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    part.replace(MANIFEST)


# --- speaking ---------------------------------------------------------------------------------------------------------


def speaker(language: Language) -> Speak:
    """Return what turns a text of a language into 24 kHz sound."""
    if not VOICES[language].name:
        return lambda text: joined([_espeak(one) for one in sentences(text)])
    from models.synthesise import Speaker  # noqa: PLC0415 - training dependencies

    phonemes, voice, kokoro = _phonemes(language), VOICES[language], Speaker(CACHE)

    def speak(text: str) -> Floats:
        said = [phonemes(one).strip() for one in sentences(text)]
        sound = kokoro.utter(BREAK.join(said), kokoro.voice(voice.name), voice.speed)
        return with_pauses(_trimmed(sound), len(said) - 1)

    return speak


def sentences(text: str) -> list[str]:
    """Return a text sentence by sentence."""
    return [one.strip() for one in SENTENCE.findall(text) if any(letter.isalnum() for letter in one)]


def _phonemes(language: Language) -> Callable[[str], str]:
    """Return the front end with which Kokoro 1.0 was trained for a language."""
    from misaki import espeak  # noqa: PLC0415 - a training dependency

    if language is Language.CHINESE:
        from misaki.zh import ZHG2P  # noqa: PLC0415 - needs the extra `zh` of misaki

        chinese = ZHG2P()
        return lambda text: str(chinese(text)[0])
    if language is Language.ENGLISH:
        english = espeak.EspeakFallback(british=False)
        return lambda text: str(english(SimpleNamespace(text=text))[0])
    other = espeak.EspeakG2P("fr-fr" if language is Language.FRENCH else language.value)
    return lambda text: str(other(text)[0])


def _espeak(text: str) -> Floats:
    import soundfile  # noqa: PLC0415 - beside what makes it
    import soxr  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        _run(["espeak-ng", "-v", "ar", "-s", str(ESPEAK_WORDS_A_MINUTE), "-w", str(path), text])
        sound, rate_hz = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(sound, rate_hz, RATE_HZ), np.float32)


# --- sound ------------------------------------------------------------------------------------------------------------


def joined(said: Sequence[Floats]) -> Floats:
    """Return sentences with a pause between them, without what quiet each of them has at its ends."""
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    parts = [part for one in said for part in (pause, _trimmed(one))]
    return np.asarray(np.concatenate(parts[1:]), np.float32)


def with_pauses(sound: Floats, count: int) -> Floats:
    """Return speech whose `count` longest pauses last `PAUSE_S` at least."""
    size = round(GAP_FRAME_S * RATE_HZ)
    loudest = np.abs(sound[: len(sound) // size * size]).reshape(-1, size).max(axis=1)
    edges = np.flatnonzero(np.diff(np.r_[0, loudest < loudest.max() * _factor(GAP_DB), 0]))
    gaps = sorted(zip(edges[0::2], edges[1::2], strict=True), key=lambda gap: gap[0] - gap[1])[:count]
    for begin, end in sorted(gaps, reverse=True):
        missing = round((PAUSE_S - (end - begin) * GAP_FRAME_S) * RATE_HZ)
        if (end - begin) * GAP_FRAME_S >= GAP_S and missing > 0:
            sound = np.insert(sound, (begin + end) // 2 * size, np.zeros(missing, np.float32))
    return sound


def finished(sound: Floats) -> Floats:
    """Return speech as it is kept: a breath of quiet at both ends, each recording as loud as the others."""
    speech = _trimmed(sound).astype(np.float64)
    speech = _limited(speech * _factor(SPEECH_DBFS - speech_dbfs(speech)))
    quiet = [np.zeros(round(seconds * RATE_HZ)) for seconds in (LEAD_S, TAIL_S)]
    return np.asarray(np.concatenate([quiet[0], speech, quiet[1]]), np.float32)


def _trimmed(sound: Floats) -> Floats:
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * _factor(QUIET_DB))
    if len(loud) == 0:
        raise RenderError("the voice said nothing")
    edge = round(FADE_S * RATE_HZ)
    speech: Floats = sound[max(0, loud[0] - edge) : loud[-1] + edge].copy()
    ramp = np.linspace(0, 1, edge, dtype=np.float32)
    speech[:edge] *= ramp
    speech[-edge:] *= ramp[::-1]
    return np.asarray(speech, np.float32)


def speech_dbfs(sound: npt.NDArray[np.float32] | npt.NDArray[np.float64], rate_hz: int = RATE_HZ) -> float:
    """Return the level of speech without its pauses: RMS of full scale."""
    size = round(FRAME_S * rate_hz)
    frames = np.asarray(sound[: len(sound) // size * size], np.float64).reshape(-1, size)
    power = np.mean(frames**2, axis=1)
    return 10 * float(np.log10(np.mean(power[power > power.max() * _factor(PAUSES_DB) ** 2])))


def _limited(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn down, for some milliseconds around it, what is above the highest level that is allowed."""
    over = np.maximum(1.0, np.abs(sound) / _factor(PEAK_DBFS))
    width = round(0.01 * RATE_HZ) | 1
    padded = np.pad(over, width - 1, constant_values=1.0)
    held = np.lib.stride_tricks.sliding_window_view(padded, width).max(axis=1)
    smooth = np.convolve(held, np.hanning(width + 2)[1:-1] / np.hanning(width + 2).sum(), mode="valid")
    return np.asarray(sound / smooth, np.float64)


def _factor(level_db: float) -> float:
    return float(10.0 ** (level_db / 20))


def _encode(sound: Floats, path: Path) -> None:
    """Write an Opus file; the same sound gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    raw = ["--raw", "--raw-rate", str(RATE_HZ), "--raw-chan", "1", "--raw-bits", "16"]
    form = ["--speech", "--bitrate", str(KBIT_S), "--serial", "1", "--padding", "0", "--discard-comments"]
    samples = np.clip(np.round(sound * 32767), -32768, 32767).astype("<i2")
    _run(["opusenc", "--quiet", *raw, *form, "-", str(part)], samples.tobytes())
    part.replace(path)


def _run(command: list[str], given: bytes = b"") -> None:
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except OSError as error:
        raise RenderError(f"{command[0]}: {error.strerror}; install opus-tools and espeak-ng") from None
    if done.returncode != 0:
        raise RenderError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()}")


# --- the command ------------------------------------------------------------------------------------------------------


def render(language: Language, *, again: bool = False) -> Iterator[tuple[str, Recording]]:
    """Render what is stale in a language, or all of it `again`; the manifest is right after each that it yields."""
    manifest = read_manifest()
    recordings = dict(manifest.get(language.value, {}))
    for key in recordings.keys() - prompts().keys():
        del recordings[key]
        recording_file(language, key).unlink(missing_ok=True)
        _keep(language, recordings)
    missing = texts(language) if again else stale(language, manifest)
    if not missing:
        return
    speak = speaker(language)
    for key, text in missing.items():
        sound = finished(speak(text))
        _encode(sound, recording_file(language, key))
        recordings[key] = Recording(hash_of(text), str(VOICES[language]), round(len(sound) / RATE_HZ, 3))
        _keep(language, recordings)
        yield key, recordings[key]


def main(
    language: Annotated[list[Language] | None, typer.Option(help="Only these; all of them if not given.")] = None,
    *,
    again: Annotated[bool, typer.Option(help="Render all of them anew.")] = False,
    check: Annotated[bool, typer.Option(help="Render nothing; say what does not match its text.")] = False,
) -> None:
    """Render the prompts whose recording is missing or says something else."""
    broken = {fault.code: fault for fault in faults()}
    wrong = 0
    for one in language or list(Language):
        if fault := broken.get(f"words_{one}"):
            print(f"{fault.where}: {fault.says}", file=sys.stderr)
            wrong += 1
        elif check:
            left = stale(one, read_manifest())
            wrong += len(left)
            for key in left:
                print(f"{one} {key}: its recording does not match its text")
        else:
            _render_all(one, again=again)
    if wrong:
        raise typer.Exit(1)


def _render_all(language: Language, *, again: bool) -> None:
    try:
        for key, recording in render(language, again=again):
            print(f"{language} {key}: {recording.seconds} s", flush=True)
    except RenderError as error:
        print(f"{language}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
