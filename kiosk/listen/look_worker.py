"""The second look's own process: asked with numbers, it answers with numbers, in records of one fixed size.

It maps the ring of sound for reading, forms words, and has nothing to send or write them with: from its first look on, stdout
and stderr are /dev/null, core dumps are off, and an answer is `ANSWER`, whatever was said. When the listen process ends, so
does it. Run by `kiosk.listen.looker`: python -m kiosk.listen.look_worker RING_FD SOCKET_FD MODEL_DIR
MODEL_SHA256 [COVERT_PHRASE]
"""

import math
import os
import signal
import socket
import statistics
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kiosk.detection import Manifest, Verdict
from kiosk.listen.features import Samples
from kiosk.listen.model import ModelError, read_manifest
from kiosk.listen.moonshine import MoonshineError
from kiosk.listen.ring import Ring, refuse_dumps
from kiosk.listen.second_look import LOOK_SAMPLES, SecondLook

MAX_PHRASES = 32
QUESTION = struct.Struct(f"<qqq{MAX_PHRASES}d")
"""Number of the question, ring position, how many chunks, stage 1's scores (the rest zeros)."""
ANSWER = struct.Struct(f"<qd{MAX_PHRASES}d")
"""Number of the question, ms that the look took, fused scores (the rest zeros; NaN: the sound was gone)."""
HELLO = -1
"""The number of the first answer: it is ready, and a look takes so many ms."""
TIMED_LOOKS = 3
NICE = 5
OOM_SCORE = "800"


class Worker:
    """One second look with its end of the socket."""

    def __init__(self, second_look: SecondLook, ring: Ring) -> None:
        self._second_look, self._ring, self._phrases = second_look, ring, len(second_look.phrases)

    def hello(self) -> bytes:
        """Look at noise, first to warm up and to see that all works, then to know how long a look can take here."""
        noise = np.random.default_rng(0).integers(-2000, 2000, LOOK_SAMPLES).astype(np.int16)
        self._second_look.look(noise, [0.0] * self._phrases)
        took_ms = [self._longest_ms(noise) for _ in range(TIMED_LOOKS)]
        return ANSWER.pack(HELLO, statistics.median(took_ms), *[0.0] * MAX_PHRASES)

    def answer(self, question: bytes) -> bytes:
        """Answer one question."""
        number, position, count, *scores = QUESTION.unpack(question)
        sound = self._sound(position, count)
        if sound is None:
            return ANSWER.pack(number, 0.0, *[math.nan] * MAX_PHRASES)
        took_ms, verdict = self._timed(sound, scores[: self._phrases])
        return ANSWER.pack(number, took_ms, *verdict.scores, *[0.0] * (MAX_PHRASES - len(verdict.scores)))

    def _timed(self, sound: Samples, scores: Sequence[float]) -> tuple[float, Verdict]:
        start_s = time.monotonic()
        verdict = self._second_look.look(sound, scores)
        return 1000 * (time.monotonic() - start_s), verdict

    def _longest_ms(self, sound: Samples) -> float:
        start_s = time.monotonic()
        self._second_look.longest(sound)
        return 1000 * (time.monotonic() - start_s)

    def _sound(self, position: int, count: int) -> Samples | None:
        """The sound asked for, less what was overwritten meanwhile."""
        for _ in range(3):
            sound = self._ring.last(position, min(count, position - self._ring.oldest))
            if sound is not None:
                return sound
        return None


def main(arguments: Sequence[str]) -> int:
    """Serve until the other end is gone; what keeps it from starting is one line on stderr and exit code 1."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _be_modest()
    ring_fd, socket_fd, folder, sha256, *covert = arguments
    try:
        second_look = SecondLook(Path(folder), _manifest(Path(folder), sha256), covert[0] if covert else None)
        worker = Worker(second_look, Ring.attach(int(ring_fd)))
        hello = worker.hello()
    except (MoonshineError, ModelError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    _fall_silent()
    with socket.socket(fileno=int(socket_fd)) as asked:
        asked.send(hello)
        while question := asked.recv(QUESTION.size):
            asked.send(worker.answer(question))
    return 0


def _manifest(folder: Path, sha256: str) -> Manifest:
    """The manifest, if it is still that of the model in the listen process: its phrases give the scores their order."""
    manifest = read_manifest(folder)
    if manifest.sha256 != sha256:
        raise ModelError(f"{folder}: another model than the ear has loaded; restart stayby-listen")
    return manifest


def _be_modest() -> None:
    """Leave no core dump, let stage 1 go first, and be what the kernel ends when memory runs out."""
    os.nice(NICE)
    Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")
    refuse_dumps()  # last: the files in /proc of a process that refuses dumps are root's


def _fall_silent() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
