"""The real listen process on a thread of its own, and a real bus server that keeps what it says."""

import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from kiosk.bus import BusServer, runtime_socket
from kiosk.config import ListenSection
from kiosk.listen.process import ListenProcess
from kiosk.messages import Detection, DetectionTaken, Ear, FromLeaf, ToLeaf
from tests.wired import Floats

DEADLINE_S = 30.0
NOON = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
CALL = "Call an ambulance!"


class Hub:
    """A real bus server that keeps what the ear says and may tell it something."""

    def __init__(self, run_dir: Path) -> None:
        self.said: queue.SimpleQueue[FromLeaf] = queue.SimpleQueue()
        self._ear = 0
        self._server = BusServer(runtime_socket(run_dir), self._message, self._bad, lambda _n: None, self._died)

    def _message(self, number: int, message: FromLeaf) -> None:
        self._ear = number
        self.said.put(message)
        if isinstance(message, Detection):
            self._server.send(number, DetectionTaken(audio_end_s=message.audio_end_s))

    def _bad(self, _number: int, text: str) -> None:
        raise AssertionError(text)

    def _died(self, error: BaseException) -> None:
        raise AssertionError from error

    def tell(self, message: ToLeaf) -> None:
        """Say something to the ear."""
        assert self._server.send(self._ear, message)

    def next(self) -> FromLeaf:
        """The next message."""
        return self.said.get(timeout=DEADLINE_S)

    def messages(self) -> Iterator[FromLeaf]:
        """Everything that the ear says, as it comes, until the deadline."""
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            yield self.next()

    def ears(self) -> Iterator[Ear]:
        """Every report of its own health, as it comes."""
        return (message for message in self.messages() if isinstance(message, Ear))

    def until(self, kind: type, **wanted: object) -> Any:
        """The next message of a kind with these values."""
        for message in self.messages():
            if isinstance(message, kind) and all(getattr(message, name) == value for name, value in wanted.items()):
                return message
        raise AssertionError(kind, wanted)

    def close(self) -> None:
        """Leave the bus."""
        self._server.close()


@contextmanager
def listening(
    run_dir: Path, config: ListenSection, env: Mapping[str, str] | None = None, at: datetime = NOON
) -> Iterator[ListenProcess]:
    """A listen process that turns on a thread of its own; what kills it fails the test."""
    process, stop = ListenProcess(config, runtime_socket(run_dir), env), threading.Event()
    died: list[BaseException] = []

    def turn() -> None:
        try:
            while not stop.is_set():
                process.turn(time.monotonic(), at)
        except BaseException as error:  # noqa: BLE001 - told at the end
            died.append(error)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield process
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        process.close()
    assert died == []


def spoken(text: str, folder: Path) -> Floats:
    """Speech at 16 kHz in a voice that the model hears; full scale is 1."""
    path = folder / "spoken.wav"
    subprocess.run(["espeak-ng", "-v", "en-gb-x-rp", "-p", "80", "-s", "180", "-w", str(path), text], check=True)
    sound, rate_hz = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(sound, rate_hz, 16_000), np.float32)
