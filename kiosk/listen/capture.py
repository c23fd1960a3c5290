"""Captures sound with `arecord` and brings it back when it stops: a missing, pulled or hung microphone is a fault, not an end.

The only sound held is a queue of at most 3 s; when the loop cannot keep up, the oldest is dropped and counted.
"""

import os
import queue
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, SAMPLE_RATE_HZ, Samples

CHUNK_BYTES = CHUNK_SAMPLES * 2
QUEUE_CHUNKS = int(3.0 / HOP_S)
STALL_S = 1.0
RESTART_S = 1.0
MAX_COMPLAINT_BYTES = 4096
PICK_DEVICE = "plug it in, or set [listen] device to one that `arecord -L` lists"


@dataclass(frozen=True)
class Captured:
    """One chunk of 1280 samples and the CLOCK_MONOTONIC time at which its last sample was read."""

    sound: Samples
    end_s: float


@dataclass(frozen=True)
class CaptureFault:
    """Why there is no sound, in the words of a fault."""

    code: str
    says: str
    do: str


class Capture:
    """A thread that keeps one `arecord` running and puts its sound on a bounded queue.

    `on_death` is called from the thread if it ends in a way that was not foreseen: it may only enqueue.
    """

    def __init__(
        self, device: str, on_death: Callable[[BaseException], None], env: Mapping[str, str] | None = None
    ) -> None:
        self._device, self._on_death = device, on_death
        self._env = {**os.environ, **(env or {}), "LC_ALL": "C"}
        self._queue: queue.Queue[Captured] = queue.Queue(QUEUE_CHUNKS)
        self._closing = threading.Event()
        self.fault: CaptureFault | None = None
        self.gaps = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float) -> Captured | None:
        """The next chunk, or None when none came within `timeout_s`."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop `arecord` and the thread."""
        self._closing.set()
        self._thread.join(5)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self.fault = self._record()
                self._closing.wait(RESTART_S)
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _record(self) -> CaptureFault | None:
        """Run one `arecord` until it ends, hangs or is no longer wanted; say why it ended."""
        command = [
            "arecord",
            "-q",
            "-D",
            self._device,
            "-f",
            "S16_LE",
            "-r",
            str(SAMPLE_RATE_HZ),
            "-c",
            "1",
            "-t",
            "raw",
        ]
        command += ["--buffer-time=400000", "--period-time=40000"]
        try:
            child = subprocess.Popen(
                command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            return CaptureFault("mic_no_arecord", f"arecord cannot start: {error.strerror}", "install alsa-utils")
        try:
            return self._pump(child)
        finally:
            child.kill()
            child.communicate()

    def _pump(self, child: subprocess.Popen[bytes]) -> CaptureFault | None:
        sound, complaint = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            for stream, into in ((child.stdout, sound), (child.stderr, complaint)):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, into)
            heard_s = time.monotonic()
            while not self._closing.is_set():
                for key, _ in selector.select(STALL_S / 4):
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data is sound:
                        heard_s = self._take(sound, data)
                    else:
                        self._complain(complaint, data)
                if not selector.get_map():
                    return self._ended(complaint)
                if time.monotonic() - heard_s > STALL_S:
                    return CaptureFault("mic_stalled", "the microphone stopped giving sound", PICK_DEVICE)
        return None

    def _take(self, sound: bytearray, data: bytes) -> float:
        now_s = time.monotonic()
        sound += data
        while len(sound) >= CHUNK_BYTES:
            chunk = np.frombuffer(bytes(sound[:CHUNK_BYTES]), "<i2").astype(np.int16)
            del sound[:CHUNK_BYTES]
            self._put(Captured(chunk, now_s - len(sound) / 2 / SAMPLE_RATE_HZ))
        self.fault = None
        return now_s

    def _put(self, captured: Captured) -> None:
        try:
            self._queue.put_nowait(captured)
        except queue.Full:
            self.gaps += 1
            self._drop_oldest()
            self._queue.put_nowait(captured)

    def _drop_oldest(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return  # the loop took it at this very moment: there is room either way

    def _complain(self, complaint: bytearray, data: bytes) -> None:
        self.gaps += data.count(b"overrun")
        complaint += data
        del complaint[:-MAX_COMPLAINT_BYTES]

    def _ended(self, complaint: bytearray) -> CaptureFault:
        lines = [line for line in complaint.decode(errors="replace").splitlines() if line.startswith("arecord:")]
        reason = lines[-1].rpartition("audio open error: ")[2] if lines else "arecord ended without a word"
        return CaptureFault("mic_missing", f"the microphone cannot be opened: {reason}", PICK_DEVICE)
