"""Sound lives in one ring and in a few buffers of one chunk, and in no other memory, file, log line or message.

The real process hears a noise that is known sample by sample, and its whole memory is searched for it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from kiosk.bus import encode, runtime_socket
from kiosk.config import ListenSection
from kiosk.listen.features import CHUNK_SAMPLES, MEL_CONTEXT_SAMPLES, Samples
from kiosk.listen.process import ListenProcess
from kiosk.listen.ring import RING_CHUNKS
from kiosk.messages import Ear, Hearing
from tests.listening import NOON, Hub, listening
from tests.wired import wired

DEADLINE_S = 30.0
RUN = 400
BLOCK = RUN // 2
# What the front end takes at once: the longest piece of sound that may stand outside the ring.
LONGEST = MEL_CONTEXT_SAMPLES + CHUNK_SAMPLES
# Of one chunk, as docs/architecture.md names them: what arecord gave, made mono, what the loop reads, the front end's two.
BUFFERS = 5
PIECE_BYTES = 1 << 22
KNOWN = np.random.default_rng(11).integers(-9000, 9000, 7 * 16_000).astype(np.int16)

PROGRAM = """
import logging, sys
from kiosk.config import UnitConfig
from kiosk.listen.process import run
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
run(UnitConfig.model_validate_json(sys.argv[1], strict=False))
"""
CONFIG = """{"unit": {"store": "s", "id": "u", "place": "p", "address": "a", "run_dir": "%s"},
 "broker": {"host": "h", "ca_file": "/c", "cert_file": "/c", "key_file": "/c"},
 "listen": {"device": "wired", "second_look": "off"}}"""


@dataclass(frozen=True)
class Found:
    """A run of known samples in memory."""

    where: str
    address: int
    kind: str
    samples: int


def regions(pid: int) -> Iterator[tuple[str, int, int]]:
    """Every mapping that can have been written: its name, where it starts and where it ends."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, _, _, _, *name = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in span.split("-"))
        if rights.startswith("rw"):
            yield (name[0] if name else "anonymous"), start, end


KINDS: dict[str, tuple[type, float, int]] = {
    "int16": (np.int16, 1.0, 1),
    "int16 twice": (np.int16, 1.0, 2),
    "int32": (np.int32, 1.0, 1),
    "float32": (np.float32, 1.0, 1),
    "float32 of 1": (np.float32, 32768.0, 1),
    "float64": (np.float64, 1.0, 1),
}


def search(pid: int) -> list[Found]:
    """Every run of at least 400 samples of the known sound in the process's memory, whatever its form."""
    found: dict[tuple[str, int], Found] = {}
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for name, start, end in regions(pid):
            for at in range(start, end, PIECE_BYTES - (1 << 16)):
                memory.seek(at)
                try:
                    data = memory.read(min(PIECE_BYTES, end - at))
                except OSError:
                    break  # a mapping that nobody may read, such as a device's
                if data.strip(b"\0"):
                    found |= {(one.kind, one.address): one for one in _search_piece(name, at, data)}
    return [one for one in found.values() if not any(_within(one, other) for other in found.values())]


def _within(one: Found, other: Found) -> bool:
    """Whether a run is the rest of another one, seen where two pieces of memory overlap."""
    form, _, times = KINDS[one.kind]
    length = other.samples * times * np.dtype(form).itemsize
    return one.kind == other.kind and 0 < one.address - other.address < length


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process at one moment."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _search_piece(name: str, at: int, data: bytes) -> Iterator[Found]:
    for kind, (form, scale, times) in KINDS.items():
        size = np.dtype(form).itemsize
        values: npt.NDArray[np.generic] = np.frombuffer(data[: len(data) // size * size], form)
        samples, true = _as_samples(values, scale)
        for start, length in runs(samples, true, np.repeat(KNOWN, times), BLOCK * times):
            if length >= RUN * times:
                yield Found(name, at + start * size, kind, length // times)


def _as_samples(values: npt.NDArray[np.generic], scale: float) -> tuple[Samples, npt.NDArray[np.bool_]]:
    if values.dtype == np.int16:
        return np.asarray(values, np.int16), np.ones(len(values), np.bool_)
    with np.errstate(all="ignore"):
        wide = values.astype(np.float64) * scale
        true = (np.abs(wide) <= 32767) & (wide == np.rint(wide))
        return np.where(true, wide, 0).astype(np.int16), true


def runs(samples: Samples, true: npt.NDArray[np.bool_], known: Samples, block: int) -> Iterator[tuple[int, int]]:
    """Where `samples` hold a run of `known` that covers one of its blocks, and how long each is."""
    blocks = {tuple(known[at : at + 4].tolist()): at for at in range(0, len(known) - 3, block)}
    first = np.zeros(1 << 16, np.bool_)
    first[np.array([key[0] for key in blocks], np.int16).view(np.uint16)] = True
    until = 0
    for here in np.flatnonzero(first[samples.view(np.uint16)] & true):
        at = blocks.get(tuple(samples[here : here + 4].tolist()))
        if at is None or here < until:
            continue
        back = _alike(samples[:here][::-1], known[:at][::-1])
        forward = _alike(samples[here:], known[at:])
        until = int(here) + forward
        yield int(here - back), back + forward


def _alike(one: Samples, other: Samples) -> int:
    count = min(len(one), len(other))
    differ = np.flatnonzero(one[:count] != other[:count])
    return int(differ[0]) if len(differ) else count


def test_the_search_finds_what_is_there() -> None:
    """The search is run on this very process, which holds the sound in every form."""
    held = [KNOWN.astype(np.float32) / 32768, KNOWN.astype(np.int32), KNOWN.astype(np.float64), np.repeat(KNOWN, 2)]
    kinds = {one.kind for one in search(os.getpid()) if one.samples > len(KNOWN) // 4}
    assert kinds >= {"int16", "int32", "float32 of 1", "float64", "int16 twice"}
    assert len(held) == 4


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    yield hub
    hub.close()


def opened_for_writing(pid: int) -> list[str]:
    """The files with a name that a process may write to."""
    names = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        flags = next(
            line for line in Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().splitlines() if "flags" in line
        )
        target = str(link.readlink())
        if (
            int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
            and target.startswith("/")
            and "(deleted)" not in target
        ):
            names.append(target)
    return names


@pytest.mark.parts
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of a process that refuses dumps")
def test_no_memory_but_the_ring_holds_sound(tmp_path: Path, hub: Hub) -> None:
    log = tmp_path / "log"
    sound = (KNOWN / np.float32(32768)).astype(np.float32)
    with wired(tmp_path / "wired", room=0.0) as microphone, log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, CONFIG % tmp_path], env={**os.environ, **microphone.env}, stderr=errors
        )
        try:
            said = [hub.until(Ear, state=Hearing.LISTENING)]
            microphone.say(sound)
            while said[-1].audio_s < said[0].audio_s + 4:
                said.append(hub.until(Ear))
            with stopped(child.pid):
                while_heard = search(child.pid)
                _check_process(child.pid, log)
            while not microphone.silent:
                said.append(hub.until(Ear))
            said += [hub.until(Ear) for _ in range(5)]
            with stopped(child.pid):
                after = search(child.pid)
        finally:
            child.terminate()
            assert child.wait(DEADLINE_S) == 0
    in_ring = [one for one in while_heard if "memfd:stayby-sound" in one.where]
    outside = [one for one in while_heard if one not in in_ring]
    assert sum(one.samples for one in in_ring) > 20 * CHUNK_SAMPLES, "the search sees it where it may be"
    assert sum(one.samples for one in in_ring) <= RING_CHUNKS * CHUNK_SAMPLES
    assert max((one.samples for one in outside), default=0) <= LONGEST, outside
    assert len(outside) <= BUFFERS, outside
    assert after == [], "three seconds later nothing is left anywhere"
    for message in said:
        assert len(encode(message)) < 2_000
    assert hides_nothing(log.read_bytes() + b"".join(encode(one) for one in said))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"log", "asound.conf"}


def hides_nothing(text: bytes) -> bool:
    """Whether no sample of the sound, as bytes or as digits, stands in a row of three in what was written."""
    as_bytes = any(KNOWN[at : at + 3].tobytes() in text for at in range(len(KNOWN)))
    as_digits = any(f"{KNOWN[at]}, {KNOWN[at + 1]}".encode() in text for at in range(len(KNOWN) - 1))
    return not as_bytes and not as_digits


def _check_process(pid: int, log: Path) -> None:
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
    assert Path(f"/proc/{pid}/mem").stat().st_uid == 0, "a process that refuses dumps belongs to root"
    assert set(opened_for_writing(pid)) <= {str(log), "/dev/null"}


@pytest.mark.parts
def test_the_end_of_the_hours_wipes_all_sound(tmp_path: Path) -> None:
    config = ListenSection(device="wired", second_look="off", hours="08:00-21:00")
    with wired(tmp_path / "wired") as microphone:
        process = ListenProcess(config, runtime_socket(tmp_path), microphone.env)
        deadline_s = time.monotonic() + DEADLINE_S
        while process._ring.position < 10:
            assert time.monotonic() < deadline_s
            process.turn(time.monotonic(), NOON)
        capture, ring = process._capture, process._ring.fd
        assert capture is not None
        assert any(os.pread(ring, 1 << 20, 16))
        process.turn(time.monotonic(), NOON + timedelta(hours=12))
        assert not any(os.pread(ring, 1 << 20, 16))
        assert not any(capture._raw)
        assert not capture._chunk.any()
        assert not process._meter._centred.any()
        process.close()


@pytest.mark.parts
def test_the_end_of_the_process_wipes_the_ring(tmp_path: Path, hub: Hub) -> None:
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone:
        with listening(tmp_path, config, microphone.env) as process:
            hub.until(Ear, state=Hearing.LISTENING)
            ring = os.dup(process._ring.fd)
        assert not any(os.pread(ring, 1 << 20, 16))
        os.close(ring)
