"""Runs sound files through `stayby hear`'s own code, and keeps what came out by the content of sound, model and code."""

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.progress import track

from kiosk.detection import Candidate, Parts
from kiosk.listen.hear import SoundFileError, hear_file
from kiosk.listen.loop import Loop
from kiosk.listen.model import ModelError, load_model, read_manifest
from kiosk.listen.moonshine import installed
from kiosk.listen.ring import Ring
from kiosk.listen.second_look import AtOnce, SecondLook
from models.traces import Look, Trace

CODE = (
    "kiosk.detection",
    "kiosk.listen.features",
    "kiosk.listen.hear",
    "kiosk.listen.interpreter",
    "kiosk.listen.loop",
    "kiosk.listen.model",
    "kiosk.listen.moonshine",
    "kiosk.listen.second_look",
)
"""Modules on which a trace depends: where one changes, traces are made anew."""
MANY = 40
"""So many files are worth processes of their own."""
Labelled = Sequence[tuple[str, Path]]


class Ear:
    """A model, with its second look where it has one, as `stayby hear` hears files with it."""

    def __init__(self, folder: Path, cache: Path, covert_phrase: str | None = None) -> None:
        """Take the model of `folder`; ModelError when it cannot be used. Traces are kept under `cache`."""
        self.folder, self.covert_phrase = folder, covert_phrase
        self.manifest = read_manifest(folder)
        self._cache = cache
        self.key = self._fingerprint()
        """Of all that shapes a trace."""
        self._looks: list[Look] = []

    def hear(self, files: Labelled, description: str) -> list[Trace]:
        """Hear labelled files, many of them on all cores; what was heard before is read from the cache.

        A file that is not sound is said and left out. ModelError or MoonshineError when the ear cannot be used.
        """
        missing = [path for _, path in files if not self._kept(path).exists()]
        if len(missing) >= MANY:
            given = (self.folder, self._cache, self.covert_phrase)
            # Not forked: whoever calls may hold the threads of TensorFlow.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(mp_context=context, initializer=_start, initargs=given) as pool:
                jobs = [pool.submit(_hear_one, path, self.key) for path in missing]
                for job in track(as_completed(jobs), description=description, total=len(jobs)):
                    job.result()
            missing = []
        for path in track(missing, description=description, disable=not missing):
            self.keep_one(path)
        kept = [(label, path, self._kept(path)) for label, path in files]
        return [kept_trace(label, path, where) for label, path, where in kept if where.exists()]

    def keep_one(self, path: Path) -> None:
        """Hear one file into the cache; one that is not sound is said and left out."""
        try:
            keep(self.fresh("", path), self._kept(path))
        except SoundFileError as error:
            print(error)

    def fresh(self, label: str, path: Path) -> Trace:
        """Hear one file now, whatever the cache holds; SoundFileError if it is not sound."""
        loop, ring = self._loop
        self._looks.clear()
        scores: list[tuple[float, ...]] = []
        started_s = time.process_time()
        report = hear_file(loop, path, on_scores=scores.append, ring=ring)
        cpu_s = time.process_time() - started_s
        return Trace(label, path, report.duration_s, np.array(scores, np.float64), tuple(self._looks), cpu_s)

    def _kept(self, path: Path) -> Path:
        """Where the trace of a file is, or would be."""
        sound = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._cache / "traces" / f"{hashlib.sha256(f'{sound} {self.key}'.encode()).hexdigest()[:24]}.npz"

    @cached_property
    def _loop(self) -> tuple[Loop, Ring]:
        """Made when the first file is not in the cache."""
        model, ring = load_model(self.folder, self.covert_phrase), Ring.create()
        if self.manifest.second_look is None or not installed():
            return Loop(model), ring
        second_look = SecondLook(self.folder, self.manifest, self.covert_phrase)
        return Loop(model, AtOnce(second_look, ring, self._note)), ring

    def _note(self, candidate: Candidate, parts: Parts) -> None:
        self._looks.append(Look(candidate.t_s, candidate.sound_s, parts))

    def _fingerprint(self) -> str:
        """Of all that shapes a trace: the models, what the second look searches for, the code; no thresholds, no weights."""
        manifest, look = self.manifest, self.manifest.second_look
        searched = look.model_dump(mode="json", exclude={"weights"}) if look is not None and installed() else None
        said = [manifest.sha256, self.covert_phrase, [phrase.id for phrase in manifest.phrases], searched]
        return hashlib.sha256(json.dumps([said, [_source(module) for module in CODE]]).encode()).hexdigest()


_ears: list[Ear] = []


def _start(folder: Path, cache: Path, covert_phrase: str | None) -> None:
    _ears.append(Ear(folder, cache, covert_phrase))


def _hear_one(path: Path, key: str) -> None:
    """Hear one file; ModelError when this process is of other code or another model than the one that asks for it."""
    ear = _ears[0]
    if ear.key != key:
        raise ModelError(
            f"{ear.folder}: the model or the code was changed while it was being measured; measure it again"
        )
    ear.keep_one(path)


@cache
def _source(module: str) -> str:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module}: not a part of stayby any more; correct the list in models/hearing.py")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def keep(trace: Trace, path: Path) -> None:
    """Write a trace, whole or not at all."""
    looks = [
        [one.t_s, one.sound_s, one.parts.head, one.parts.help, one.parts.matched, one.parts.vetoed]
        for one in trace.looks
    ]
    about = json.dumps({"duration_s": trace.duration_s, "cpu_s": trace.cpu_s, "looks": looks})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.npz.part")
    with part.open("wb") as file:
        np.savez_compressed(file, scores=trace.scores, about=np.array(about))
    part.replace(path)


def kept_trace(label: str, path: Path, kept: Path) -> Trace:
    """Read what `keep` wrote."""
    with np.load(kept) as stored:
        about = json.loads(str(stored["about"]))
        looks = tuple(Look(t_s, sound_s, _parts(*found)) for t_s, sound_s, *found in about["looks"])
        return Trace(label, path, about["duration_s"], stored["scores"], looks, about["cpu_s"])


def _parts(head: list[float] | None, log_help: float, matched: str | None, vetoed: bool) -> Parts:
    return Parts(None if head is None else tuple(head), log_help, matched, vetoed)
