"""The second look's own process: it answers as files do, is never waited for, comes back when it fails, and lets no word out."""

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kiosk.config import ListenSection
from kiosk.detection import Candidate
from kiosk.listen.features import chunks
from kiosk.listen.hear import read_sound
from kiosk.listen.look_worker import ANSWER, MAX_PHRASES, QUESTION
from kiosk.listen.looker import ANSWER_S, FIRST_PAUSE_S, SLOW_PAUSE_S, START_S, WorkerLooker, looker_for
from kiosk.listen.loop import Answer
from kiosk.listen.model import PhraseModel, load_model, packaged_model, read_manifest
from kiosk.listen.moonshine import Moonshine
from kiosk.listen.ring import Ring
from kiosk.listen.second_look import AtOnce, SecondLook
from tests.looks import model_with_looks, needs_moonshine, say

DEADLINE_S = 60.0
ACTIVE = len(read_manifest(packaged_model()).active())
SCORES = (0.5, *[-3.0] * (ACTIVE - 1))
SPOKEN = "Somebody call an ambulance!"
# A stand-in for the process: it says hello and then, for each question, what its first argument says.
STAND_IN = f"""
import socket, struct, sys, time
how, asked = sys.argv[1], socket.socket(fileno=int(sys.argv[3]))
answer = struct.Struct({ANSWER.format!r})
say = lambda number, ms=1.0, score=2.5: asked.send(answer.pack(number, ms, *[score] * {MAX_PHRASES}))
if how == "broken": sys.exit("/models/head.tflite: not a TFLite model; install the model again")
if how == "never": time.sleep(1000)
say(-1, 900.0 if how == "slow" else 50.0)
if how == "unasked": say(7)
while question := asked.recv(10000):
    number = struct.unpack_from("<q", question)[0]
    if how == "hung": time.sleep(1000)
    if how == "ends": sys.exit(0)
    if how == "short": asked.send(b"words")
    if how == "long": asked.send(bytes(answer.size + 9))
    if how == "gone": say(number, 1.0, float("nan"))
    if how == "good": say(number)
"""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create()
    for chunk in chunks(np.zeros(51_200, np.int16)):
        ring.write(chunk)
    yield ring
    ring.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PhraseModel:
    return load_model(model_with_looks(tmp_path_factory.mktemp("looks") / "model"))


@contextmanager
def stand_in(model: PhraseModel, ring: Ring, how: str, clock: Clock) -> Iterator[WorkerLooker]:
    looker = WorkerLooker(model, ring, (sys.executable, "-c", STAND_IN, how), clock)
    try:
        yield looker
    finally:
        looker.close()


def until(looker: WorkerLooker, true: Callable[[], bool]) -> None:
    """Turn until it is so."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline_s, looker.fault
        looker.turn()
        threading.Event().wait(0.005)


def candidate(t_s: float = 1.0) -> Candidate:
    return Candidate(t_s, t_s, SCORES, SCORES, 1, 1, 2.8)


def answered(looker: WorkerLooker) -> list[Answer]:
    """What came back, as soon as something did."""
    found: list[Answer] = []

    def came() -> bool:
        found.extend(looker.answers())
        return bool(found)

    until(looker, came)
    return found


def test_an_answer_in_time_is_a_verdict(model: PhraseModel, ring: Ring) -> None:
    with stand_in(model, ring, "good", Clock()) as looker:
        until(looker, lambda: looker.ready)
        looker.ask(candidate(), ring.position)
        [answer] = answered(looker)
        assert answer.candidate == candidate()
        assert answer.verdict is not None
        assert answer.verdict.scores == (2.5,) * ACTIVE
        assert looker.fault is None
        assert looker.answers() == []


def test_it_is_not_ready_before_it_said_so(model: PhraseModel, ring: Ring) -> None:
    clock = Clock()
    with stand_in(model, ring, "never", clock) as looker:
        looker.turn()
        assert not looker.ready
        looker.ask(candidate(), ring.position)
        clock.now_s += START_S + 1
        until(looker, lambda: looker.fault is not None)
        assert looker.fault is not None
        assert looker.fault.code in {"look_dead", "look_late"}
        assert [answer.verdict for answer in answered(looker)] == [None]


def test_late_is_no_verdict_and_a_fault_until_it_works_again(model: PhraseModel, ring: Ring) -> None:
    clock = Clock()
    with stand_in(model, ring, "hung", clock) as looker:
        until(looker, lambda: looker.ready)
        hung = looker.pid
        looker.ask(candidate(), ring.position)
        clock.now_s += ANSWER_S
        assert looker.answers() == []
        clock.now_s += 0.01
        assert [answer.verdict for answer in looker.answers()] == [None]
        assert not looker.ready
        assert looker.fault is not None
        assert (looker.fault.code, looker.fault.where) == ("look_late", "the second look")
        clock.now_s += FIRST_PAUSE_S
        until(looker, lambda: looker.ready)
        assert looker.pid != hung
        assert looker.fault is None
    with pytest.raises(ProcessLookupError):
        os.kill(hung or 0, 0)


@pytest.mark.parametrize("how", ["ends", "short", "long"])
def test_a_process_that_ends_or_answers_wrongly_is_no_verdict_and_a_fault(
    model: PhraseModel, ring: Ring, how: str
) -> None:
    with stand_in(model, ring, how, Clock()) as looker:
        until(looker, lambda: looker.ready)
        looker.ask(candidate(), ring.position)
        assert [answer.verdict for answer in answered(looker)] == [None]
        assert looker.fault is not None
        assert looker.fault.code == "look_dead"


def test_an_answer_that_nobody_asked_for_is_a_fault(model: PhraseModel, ring: Ring) -> None:
    with stand_in(model, ring, "unasked", Clock()) as looker:
        until(looker, lambda: looker.fault is not None)
        assert looker.fault is not None
        assert "nobody asked" in looker.fault.says


def test_sound_that_is_gone_is_no_verdict(model: PhraseModel, ring: Ring) -> None:
    with stand_in(model, ring, "gone", Clock()) as looker:
        until(looker, lambda: looker.ready)
        looker.ask(candidate(), ring.position)
        assert [answer.verdict for answer in answered(looker)] == [None]


def test_what_was_forgotten_is_never_answered(model: PhraseModel, ring: Ring) -> None:
    with stand_in(model, ring, "good", Clock()) as looker:
        until(looker, lambda: looker.ready)
        looker.ask(candidate(1.0), ring.position)
        looker.forget()
        looker.ask(candidate(5.0), ring.position)
        assert [answer.candidate.t_s for answer in answered(looker)] == [5.0]
        assert looker.fault is None


def test_a_question_before_the_last_was_answered_gives_that_up(model: PhraseModel, ring: Ring) -> None:
    with stand_in(model, ring, "good", Clock()) as looker:
        until(looker, lambda: looker.ready)
        looker.ask(candidate(1.0), ring.position)
        looker.ask(candidate(2.0), ring.position)
        found = [*answered(looker), *answered(looker)]
        assert [(a.candidate.t_s, a.verdict is None) for a in found] == [(1.0, True), (2.0, False)]


def test_too_slow_a_machine_stays_with_stage_1_and_says_so(model: PhraseModel, ring: Ring) -> None:
    clock = Clock()
    with stand_in(model, ring, "slow", clock) as looker:
        until(looker, lambda: looker.fault is not None)
        assert looker.fault is not None
        assert (looker.fault.code, looker.ready) == ("look_slow", False)
        assert "900 ms" in looker.fault.says
        clock.now_s += SLOW_PAUSE_S - 1
        looker.turn()
        assert looker.pid is None, "a boot may have been busy: it tries again, but not soon"
        clock.now_s += 2
        looker.turn()
        assert looker.pid is not None


def test_each_start_that_fails_waits_longer_than_the_last(model: PhraseModel, ring: Ring) -> None:
    clock, waited_s = Clock(), []
    with stand_in(model, ring, "broken", clock) as looker:
        for _ in range(8):
            until(looker, lambda: looker.pid is not None)
            until(looker, lambda: looker.pid is None)
            assert looker.fault is not None
            assert looker.fault.says.startswith("/models/head.tflite: not a TFLite model; the ear goes on")
            before_s = clock.now_s
            while looker.pid is None:
                clock.now_s += 0.5
                looker.turn()
            waited_s.append(clock.now_s - before_s)
            until(looker, lambda: looker.pid is None)
            clock.now_s += 1000
    assert waited_s == sorted(waited_s)
    assert (waited_s[0], waited_s[-1]) == (2.0 if waited_s[0] == 2.0 else FIRST_PAUSE_S, 60.0)


def test_a_command_that_does_not_exist_is_a_fault(model: PhraseModel, ring: Ring) -> None:
    looker = WorkerLooker(model, ring, ("/no/such/python",))
    looker.turn()
    assert looker.fault is not None
    assert "cannot start (No such file" in looker.fault.says
    looker.close()


def test_it_is_used_where_it_is_installed_wanted_and_of_the_model(
    model: PhraseModel, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kiosk.listen.looker.installed", lambda: True)
    assert looker_for(ListenSection(), model, ring) is not None
    assert looker_for(ListenSection(second_look="off"), model, ring) is None
    assert looker_for(ListenSection(), load_model(packaged_model()), ring) is None or packaged_has_one()
    monkeypatch.setattr("kiosk.listen.looker.installed", lambda: False)
    assert looker_for(ListenSection(), model, ring) is None


def packaged_has_one() -> bool:
    return load_model(packaged_model()).manifest.second_look is not None


# --- the real process -------------------------------------------------------------------------------------------------


def speak(ring: Ring, tmp_path: Path, text: str = SPOKEN) -> None:
    for chunk in chunks(np.concatenate(list(read_sound(say(tmp_path / "spoken.wav", text))))):
        ring.write(chunk)


@needs_moonshine
@pytest.mark.parts
def test_it_answers_as_a_look_at_files_does(tmp_path: Path, model: PhraseModel, ring: Ring) -> None:
    speak(ring, tmp_path)
    looker, at_once = WorkerLooker(model, ring), AtOnce(SecondLook(model.folder, model.manifest), ring)
    try:
        until(looker, lambda: looker.ready)
        at_once.ask(candidate(), ring.position)
        looker.ask(candidate(), ring.position)
        [answer], [expected] = answered(looker), at_once.answers()
        assert expected.verdict is not None
        assert answer.verdict is not None, looker.fault
        assert answer.verdict.scores == pytest.approx(expected.verdict.scores, abs=1e-4)
        assert looker.look_ms is not None
    finally:
        looker.close()


@needs_moonshine
def test_killed_it_comes_back(model: PhraseModel, ring: Ring) -> None:
    clock = Clock()
    looker = WorkerLooker(model, ring, clock=clock)
    try:
        until(looker, lambda: looker.ready)
        first = looker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(looker, lambda: looker.fault is not None)
        assert looker.fault is not None
        assert looker.fault.says.startswith("its process ended")
        clock.now_s += FIRST_PAUSE_S
        until(looker, lambda: looker.ready)
        assert looker.pid != first
        assert looker.fault is None
    finally:
        looker.close()


@needs_moonshine
def test_a_model_that_was_exchanged_meanwhile_is_refused(tmp_path: Path, ring: Ring) -> None:
    model = load_model(model_with_looks(tmp_path / "model"))
    path = model.folder / "manifest.json"
    path.write_text(path.read_text().replace(model.manifest.sha256, "0" * 64))
    looker = WorkerLooker(model, ring)
    try:
        until(looker, lambda: looker.fault is not None)
        assert looker.fault is not None
        assert looker.fault.says.startswith(f"{model.folder}: another model than the ear has loaded")
    finally:
        looker.close()


@contextmanager
def bare_worker(model: PhraseModel, ring: Ring, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """The real process with all that it could write to in the hands of the test."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(DEADLINE_S)
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"), str(home))
    said = home.with_suffix(".said")
    command: Sequence[str] = (sys.executable, "-m", "kiosk.listen.look_worker", str(ring.fd), str(theirs.fileno()))
    with (
        said.open("wb") as words,
        subprocess.Popen(
            [*command, str(model.folder), model.manifest.sha256],
            env={
                **os.environ,
                **folders,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            cwd=home,
            stdout=words,
            stderr=words,
            pass_fds=(ring.fd, theirs.fileno()),
        ) as process,
    ):
        theirs.close()
        with ours:
            yield process, ours
        process.wait(DEADLINE_S)


def question(number: int, ring: Ring) -> bytes:
    return QUESTION.pack(number, ring.position, 35, *SCORES, *[0.0] * (MAX_PHRASES - ACTIVE))


@needs_moonshine
@pytest.mark.parts
def test_no_word_that_was_said_leaves_it(
    tmp_path: Path, model: PhraseModel, ring: Ring, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    records = []
    with bare_worker(model, ring, home) as (process, asked):
        records.append(asked.recv(65536))
        for number, text in enumerate((SPOKEN, "The receipt is in the bag.", "Help! Help! Help!"), start=1):
            speak(ring, tmp_path, text)
            asked.send(question(number, ring))
            records.append(asked.recv(65536))
        opened = {str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()}
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        modest = int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())
    assert home.with_suffix(".said").read_bytes() == b""
    written = b"".join(records)
    for word in ("somebody", "call", "ambulance", "receipt", "help"):
        assert word.encode() not in written.lower()
    assert {len(record) for record in records} == {ANSWER.size}, "no length tells anything"
    assert all(math.isfinite(value) for record in records for value in ANSWER.unpack(record))
    assert list(home.iterdir()) == []
    assert {kind.partition(":")[0] for kind in opened} <= {"/dev/null", "socket", "/memfd"}
    assert sum(kind.startswith("socket:") for kind in opened) == 1, "only ours: not the journal's either"
    assert "Max core file size        0                    0" in limits
    assert modest > 0
    assert process.returncode == 0
    said = capfd.readouterr()
    assert SPOKEN.lower() not in (said.out + said.err).lower()


@needs_moonshine
@pytest.mark.parts
def test_the_words_that_do_not_leave_it_were_really_formed(tmp_path: Path, ring: Ring) -> None:
    speak(ring, tmp_path)
    sound = ring.last(ring.position, 30)
    assert sound is not None
    moonshine = Moonshine()
    tokens = moonshine.decode(moonshine.encode(sound.astype(np.float32) / np.float32(32768))).tokens
    assert "ambulance" in moonshine.words(tokens).lower()


@needs_moonshine
def test_it_ends_when_the_listen_process_ends(model: PhraseModel, ring: Ring, tmp_path: Path) -> None:
    with bare_worker(model, ring, tmp_path) as (process, asked):
        assert len(asked.recv(65536)) == ANSWER.size
    assert process.returncode == 0
