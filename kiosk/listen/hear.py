"""Runs sound files through the streaming loop and says what it heard: how a model is judged."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import soundfile
import soxr

from kiosk.detection import Heard
from kiosk.listen.features import CHUNK_SAMPLES, SAMPLE_RATE_HZ, Samples, chunks, quiet
from kiosk.listen.loop import SCORE_DIGITS, Loop
from kiosk.listen.model import PhraseModel, load_model, packaged_model
from kiosk.listen.moonshine import installed
from kiosk.listen.ring import Ring
from kiosk.listen.second_look import AtOnce, SecondLook

BLOCK_S = 30
# A phrase at the very end of a file still has to travel through the window, settle and wait for its second look.
TRAILING_QUIET_S = 2.0


class SoundFileError(ValueError):
    """A file that is not sound; its text is one line."""


@dataclass(frozen=True)
class FileDetection:
    """One detection: the time of the score's peak from the file's start (it may lie in the quiet after it), log-odds."""

    t_s: float
    phrase: str
    score: float


@dataclass(frozen=True)
class FileReport:
    """What was heard in one file; `best` is each phrase's highest score, on the detections' scale.

    `second_look` says whether candidates got a second look.
    """

    file: str
    duration_s: float
    detections: tuple[FileDetection, ...]
    best: dict[str, float]
    second_look: bool


def read_sound(path: Path) -> Iterator[Samples]:
    """Give a file's sound in blocks of 16 kHz mono int16, with constant memory; SoundFileError if it is not sound."""
    try:
        with path.open("rb") as raw, soundfile.SoundFile(raw) as file:
            resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32")
            for block in file.blocks(BLOCK_S * file.samplerate, dtype="float32", always_2d=True):
                yield _int16(resampler.resample_chunk(block.mean(axis=1)))
            yield _int16(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    except OSError as error:
        raise SoundFileError(f"{path}: cannot read it: {error.strerror}") from None
    except soundfile.SoundFileError as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise SoundFileError(f"{path}: not sound that can be read ({reason}); give a WAV, FLAC or Ogg file") from None


def _int16(sound: np.typing.NDArray[np.float32]) -> Samples:
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)


class _Rechunker:
    """Cuts blocks of any length into 80 ms chunks, counts the samples, and appends the trailing quiet."""

    def __init__(self) -> None:
        self.count = 0

    def chunks(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        rest = np.zeros(0, np.int16)
        for block in blocks:
            self.count += len(block)
            sound = np.concatenate([rest, block])
            whole = len(sound) // CHUNK_SAMPLES * CHUNK_SAMPLES
            yield from chunks(sound[:whole])
            rest = sound[whole:]
        yield from chunks(np.concatenate([rest, quiet(int(TRAILING_QUIET_S * SAMPLE_RATE_HZ))]))


def file_loop(model: PhraseModel, ring: Ring, *, second_look: bool = True) -> Loop:
    """Return a loop for files, with the second look where the model and this machine have one and `second_look` is set.

    MoonshineError or ModelError when it is there and cannot be used.
    """
    if not second_look or model.manifest.second_look is None or not installed():
        return Loop(model)
    return Loop(model, AtOnce(SecondLook(model.folder, model.manifest, model.covert_phrase), ring))


def hear_file(
    loop: Loop, path: Path, on_scores: Callable[[tuple[float, ...]], None] | None = None, ring: Ring | None = None
) -> FileReport:
    """Run one file through the loop, from a fresh start; SoundFileError if it is not sound.

    `ring` is the one that the loop's looker reads, if it has one.

    `on_scores` is called with the scores of every hop: evaluation draws its curves from them.
    """
    loop.reset()
    source = _Rechunker()
    heard = []
    for chunk in source.chunks(read_sound(path)):
        decision = loop.step(chunk, ring.write(chunk) + 1 if ring is not None else 0)
        if decision is not None:
            heard.append(_detection(decision))
        if on_scores is not None:
            on_scores(loop.scores)
    best = {phrase: round(score, SCORE_DIGITS) for phrase, score in loop.best.items()}
    return FileReport(str(path), round(source.count / SAMPLE_RATE_HZ, 3), tuple(heard), best, loop.second_look)


def _detection(heard: Heard) -> FileDetection:
    return FileDetection(round(heard.t_s, 2), heard.phrase, round(heard.score, SCORE_DIGITS))


def hear(
    paths: Iterable[Path],
    *,
    model_dir: Path | None = None,
    covert_phrase: str | None = None,
    second_look: bool = True,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Print what is heard in each file, one line a file (a JSON object with `as_json`), and return the exit code.

    A file that is not sound gives one line on stderr and exit code 1 at the end; the others are still heard.
    ModelError or MoonshineError when the model or the second look cannot be used.
    """
    ring = Ring.create()
    loop = file_loop(load_model(model_dir or packaged_model(), covert_phrase), ring, second_look=second_look)
    failed = 0
    for path in paths:
        try:
            report = hear_file(loop, path, ring=ring)
        except SoundFileError as error:
            print(error, file=sys.stderr)
            failed = 1
            continue
        print(json.dumps(asdict(report)) if as_json else _plain(report), file=out or sys.stdout, flush=True)
    return failed


def _plain(report: FileReport) -> str:
    heard = ", ".join(f"{d.phrase} at {d.t_s:.1f} s (score {d.score:.1f})" for d in report.detections) or "nothing"
    return f"{report.file}: {heard}"
