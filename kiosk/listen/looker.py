"""Asks the second look's process and never waits for it: an answer comes within 500 ms of asking, or the strict thresholds hold.

A process that is late, hung, dead or answers wrongly is ended and started anew, each time after a longer pause; a fault says
so until it works again. One that would be too slow on this machine is not used.
"""

import logging
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kiosk.config import ListenSection
from kiosk.detection import Candidate, Verdict
from kiosk.listen.look_worker import ANSWER, HELLO, MAX_PHRASES, QUESTION
from kiosk.listen.loop import Answer
from kiosk.listen.model import PhraseModel
from kiosk.listen.moonshine import installed
from kiosk.listen.ring import Ring
from kiosk.listen.second_look import own_chunks
from kiosk.messages import Fault

log = logging.getLogger("stayby")

ANSWER_S = 0.5
SLOW_MS = 400.0
START_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
SLOW_PAUSE_S = 600.0
WHERE = "the second look"
ALONE = "the ear goes on with its first stage alone, and stricter"
LATE = Fault(
    code="look_late",
    where=WHERE,
    says=f"it did not answer within {1000 * ANSWER_S:.0f} ms; {ALONE}",
    do='find what keeps the unit busy, or set [listen] second_look = "off"',
)


def dead(why: str) -> Fault:
    """The fault of a process that ended or answered wrongly."""
    do = 'it is started again; if this stays, install stayby again, or set [listen] second_look = "off"'
    return Fault(code="look_dead", where=WHERE, says=f"{why}; {ALONE}", do=do)


def slow(took_ms: float) -> Fault:
    """The fault of a machine that is too slow for it."""
    says = f"one takes {took_ms:.0f} ms here, more than {SLOW_MS:.0f}; {ALONE}"
    return Fault(code="look_slow", where=WHERE, says=says, do='set [listen] second_look = "off", or use a faster unit')


@dataclass(frozen=True)
class _Asked:
    number: int
    candidate: Candidate
    at_s: float


@dataclass
class _Child:
    """The running process; `ready` once it said how fast it is."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    since_s: float
    ready: bool = False


class WorkerLooker:
    """A looker for a unit. `turn` keeps the process going; `fault` is what a technician should know, if anything."""

    def __init__(
        self,
        model: PhraseModel,
        ring: Ring,
        command: Sequence[str] = (sys.executable, "-m", "kiosk.listen.look_worker"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self._ring, self._command, self._clock = model, ring, command, clock
        self._phrases = len(model.manifest.active(model.covert_phrase))
        self._child: _Child | None = None
        self._ending: list[subprocess.Popen[bytes]] = []
        self._asked: _Asked | None = None
        self._answers: list[Answer] = []
        self._number = 0
        self._start_s = -math.inf
        self._pause_s = FIRST_PAUSE_S
        self.fault: Fault | None = None
        self.look_ms: float | None = None
        """How long the last look took."""

    @property
    def ready(self) -> bool:
        """Whether candidates can be given to it now."""
        return self._child is not None and self._child.ready

    @property
    def pid(self) -> int | None:
        """The process's id, if it runs."""
        return self._child.process.pid if self._child else None

    def ask(self, candidate: Candidate, position: int) -> None:
        """Send one question; an earlier one that is still open, or one that nobody takes, is answered with no verdict."""
        self._give_up()
        self._number += 1
        self._asked = _Asked(self._number, candidate, self._clock())
        scores = [*candidate.scores, *[0.0] * (MAX_PHRASES - len(candidate.scores))]
        question = QUESTION.pack(self._number, position, own_chunks(candidate, position), *scores)
        if self._child is None:
            self._give_up()
            return
        try:
            self._child.socket.send(question)
        except OSError as error:
            self._fail(dead(f"its process cannot be asked ({error.strerror})"))

    def answers(self) -> list[Answer]:
        """What came back, or came too late, since the last call."""
        self.turn()
        answers, self._answers = self._answers, []
        return answers

    def forget(self) -> None:
        """Drop what was asked: its answer counts for nothing any more."""
        self._asked, self._answers = None, []

    def turn(self) -> None:
        """Take what the process said, end it if it is late, and start it when it is due; never waits."""
        now_s = self._clock()
        self._ending = [process for process in self._ending if process.poll() is None]
        if self._child is None and now_s >= self._start_s:
            self._start(now_s)
        while self._child is not None and (record := self._record(self._child)) is not None:
            self._take(self._child, record)
        if self._asked is not None and now_s - self._asked.at_s > ANSWER_S:
            self._fail(LATE)
        if self._child is not None and not self._child.ready and now_s - self._child.since_s > START_S:
            self._fail(dead(f"its process did not start within {START_S:.0f} s"))

    def close(self) -> None:
        """End the process and wait for that."""
        self._end()
        for process in self._ending:
            process.wait()
        self._ending = []

    def _start(self, now_s: float) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        covert = [self._model.covert_phrase] if self._model.covert_phrase else []
        model = [str(self._model.folder), self._model.manifest.sha256, *covert]
        try:
            process = subprocess.Popen(
                [*self._command, str(self._ring.fd), str(theirs.fileno()), *model],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(self._ring.fd, theirs.fileno()),
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            )
        except OSError as error:
            ours.close()
            self._fail(dead(f"its process cannot start ({error.strerror})"))
        else:
            self._child = _Child(process, ours, now_s)
        finally:
            theirs.close()

    def _record(self, child: _Child) -> bytes | None:
        """The next thing that the process said, b"" when it is gone, None when it said nothing."""
        try:
            return child.socket.recv(ANSWER.size + 1)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _take(self, child: _Child, record: bytes) -> None:
        if not record:
            self._fail(dead(_last_words(child)))
            return
        if len(record) != ANSWER.size:
            self._fail(dead("its process answered what is no answer"))
            return
        number, took_ms, *scores = ANSWER.unpack(record)
        if number == HELLO and not child.ready:
            self._welcome(child, took_ms)
        elif self._asked is not None and number == self._asked.number:
            self._settle(self._asked, took_ms, scores[: self._phrases])
        elif not 0 < number <= self._number:
            self._fail(dead("its process answered what nobody asked"))

    def _welcome(self, child: _Child, took_ms: float) -> None:
        if not 0 <= took_ms <= SLOW_MS:
            self._fail(slow(took_ms), SLOW_PAUSE_S)
            return
        child.ready = True
        self.look_ms = took_ms
        if self.fault is not None:
            log.info("%s works again: one takes %.0f ms", WHERE, took_ms)
        self.fault = None

    def _settle(self, asked: _Asked, took_ms: float, scores: list[float]) -> None:
        if not all(math.isfinite(score) for score in scores):
            self._fail(LATE)
            return
        self._asked = None
        self._answers.append(Answer(asked.candidate, Verdict(tuple(scores))))
        self.look_ms, self._pause_s = took_ms, FIRST_PAUSE_S

    def _fail(self, fault: Fault, pause_s: float | None = None) -> None:
        """End the process, answer what is open without a verdict, and plan the next start."""
        if fault != self.fault:
            log.warning("%s: %s: %s", fault.where, fault.says, fault.do)
        self.fault = fault
        self._end()
        self._start_s = self._clock() + (self._pause_s if pause_s is None else pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._give_up()

    def _give_up(self) -> None:
        if self._asked is not None:
            self._answers.append(Answer(self._asked.candidate, None))
            self._asked = None

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.process.kill()
        child.socket.close()
        if child.process.stderr is not None:
            child.process.stderr.close()
        self._ending.append(child.process)


def _last_words(child: _Child) -> str:
    """Why it ended, in its own line if it never got ready; later it has no words."""
    if child.ready or child.process.stderr is None:
        return "its process ended"
    os.set_blocking(child.process.stderr.fileno(), False)
    lines = (child.process.stderr.read(4096) or b"").decode(errors="replace").splitlines()
    return lines[-1].partition("; ")[0] if lines else "its process ended at its start"


def looker_for(config: ListenSection, model: PhraseModel, ring: Ring) -> WorkerLooker | None:
    """The second look of this unit; None where it is off, not installed, or not of this model."""
    if config.second_look == "off" or model.manifest.second_look is None or not installed():
        return None
    return WorkerLooker(model, ring)
