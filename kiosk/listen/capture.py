"""Captures sound with `arecord` and brings it back when it stops: a missing, pulled or hung microphone is a fault, not an end.

ALSA's plug makes two channels of 16 kHz and 16 bits of whatever the microphone gives. Sound goes into the ring and nowhere else;
a chunk that is not yet whole waits in a buffer of 80 ms. When the loop falls behind more than the ring holds, the lost chunks are
counted and it goes on with the oldest that is whole.
"""

import array
import fcntl
import os
import selectors
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kiosk.listen.channels import CHANNELS, Mixer
from kiosk.listen.features import CHUNK_SAMPLES, SAMPLE_RATE_HZ, Samples
from kiosk.listen.ring import Ring
from kiosk.sound_cards import SOUND_SYSTEM, devices

FRAME_BYTES = 2 * CHANNELS
CHUNK_BYTES = CHUNK_SAMPLES * FRAME_BYTES
# One period is one chunk, so that nothing wakes more often than it must; the buffer rides out 0.8 s of a busy machine.
PERIOD_FRAMES, BUFFER_FRAMES = CHUNK_SAMPLES, CHUNK_SAMPLES * 10
STALL_S = 1.0
RESTART_S = 1.0
MAX_COMPLAINT_BYTES = 4096
DEFAULT_DEVICE = "default"


@dataclass(frozen=True)
class Captured:
    """One chunk of 1280 samples, valid until the next read.

    `end_s` is CLOCK_MONOTONIC at its last sample, `position` what the ring's was just after it. It is `fresh` when the sound
    before it is lost or of another time: whoever listens begins anew.
    """

    sound: Samples
    end_s: float
    position: int
    fresh: bool


@dataclass(frozen=True)
class CaptureFault:
    """Why there is no sound, in the words of a fault."""

    code: str
    says: str
    do: str


class Capture:
    """A thread that keeps one `arecord` running and writes its sound into `ring`, whose only writer it is.

    `on_death` is called from the thread if it ends in a way that was not foreseen: it may only enqueue.
    """

    def __init__(
        self,
        device: str,
        ring: Ring,
        on_death: Callable[[BaseException], None],
        env: Mapping[str, str] | None = None,
        sound_system: Path = SOUND_SYSTEM,
    ) -> None:
        self._device, self._ring, self._on_death, self._sound_system = device, ring, on_death, sound_system
        self._env = {**os.environ, **(env or {}), "LC_ALL": "C"}
        self._raw = bytearray(CHUNK_BYTES)
        self._filled = 0
        self._mixer = Mixer()
        self._next = self._begins = ring.position
        self._chunk = np.zeros(CHUNK_SAMPLES, np.int16)
        self._written = threading.Condition()
        self._closing = threading.Event()
        self.fault: CaptureFault | None = None
        self.turned_s = time.monotonic()
        """When the thread last turned; while no device can be opened that is once a second."""
        self._overruns = self._lost = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def gaps(self) -> int:
        """How often sound was lost: chunks that the loop was too slow for, and overruns that `arecord` told of."""
        return self._overruns + self._lost

    def read(self, timeout_s: float) -> Captured | None:
        """The next chunk, or None when none came within `timeout_s`."""
        with self._written:
            if not self._written.wait_for(lambda: self._ring.position > self._next, timeout_s):
                return None
        wanted = self._next
        while self._ring.chunk(self._next, out=self._chunk) is None:
            self._next = max(self._next + 1, self._ring.oldest)
            if self._next >= self._ring.position:
                return None  # it was wiped
        self._lost += self._next - wanted
        end_s = self._ring.end_s(self._next) or time.monotonic()
        fresh = self._next > wanted or self._next == self._begins
        self._next += 1
        return Captured(self._chunk, end_s, self._next, fresh)

    def close(self) -> None:
        """Stop `arecord` and the thread, and leave no sound in memory."""
        self._closing.set()
        self._thread.join(5)
        self._ring.wipe()
        self._chunk.fill(0)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self.turned_s = time.monotonic()
                self.fault = self._record_any()
                self._closing.wait(RESTART_S)
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _record_any(self) -> CaptureFault | None:
        """Record from the configured device; if that is `default` and leads nowhere, from the only one that is there."""
        fault = self._record(self._device)
        there = devices("capture", self._sound_system)
        missing = fault is not None and fault.code == "mic_missing"
        if missing and self._device == DEFAULT_DEVICE and len(there) == 1:
            return self._record(there[0])
        return fault

    def _record(self, device: str) -> CaptureFault | None:
        """Run one `arecord` until it ends, hangs or is no longer wanted; say why it ended."""
        pipe = subprocess.PIPE
        try:
            child = subprocess.Popen(
                _command(device), env=self._env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0
            )
        except OSError as error:
            return CaptureFault("mic_no_arecord", f"arecord cannot start: {error.strerror}", "install alsa-utils")
        self._filled, self._begins = 0, self._ring.position
        with child:
            try:
                fault = self._pump(child)
                self.fault = fault or self.fault  # before the wait for its end: one that hangs in the kernel has none
                return fault
            finally:
                child.kill()
                self._raw[:] = bytes(CHUNK_BYTES)
                self._mixer.wipe()

    def _pump(self, child: subprocess.Popen[bytes]) -> CaptureFault | None:
        complaint = bytearray()
        heard_s = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ)
            while not self._closing.is_set():
                self.turned_s = time.monotonic()
                for key, _ in selector.select(STALL_S / 4):
                    count = self._take(key.fd) if key.fileobj is child.stdout else self._complain(key.fd, complaint)
                    if not count:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is child.stdout:
                        heard_s = time.monotonic()
                if not selector.get_map():
                    return self._ended(complaint)
                if time.monotonic() - heard_s > STALL_S:
                    return CaptureFault("mic_stalled", "the microphone stopped giving sound", self._pick())
        return None

    def _take(self, fd: int) -> int:
        """Read what is still missing of a chunk, and write the chunk when it is whole; return how many bytes came."""
        count = os.readv(fd, [memoryview(self._raw)[self._filled :]])
        self._filled += count
        if self._filled == CHUNK_BYTES:
            self._filled = 0
            end_s = time.monotonic() - _waiting_bytes(fd) / FRAME_BYTES / SAMPLE_RATE_HZ
            frames = np.frombuffer(self._raw, np.int16).reshape(CHUNK_SAMPLES, CHANNELS)
            self._ring.write(self._mixer.mix(frames), end_s)
            self.fault = None
            with self._written:
                self._written.notify()
        return count

    def _complain(self, fd: int, complaint: bytearray) -> int:
        data = os.read(fd, MAX_COMPLAINT_BYTES)
        self._overruns += data.count(b"overrun")
        complaint += data
        del complaint[:-MAX_COMPLAINT_BYTES]
        return len(data)

    def _ended(self, complaint: bytearray) -> CaptureFault:
        lines = [line for line in complaint.decode(errors="replace").splitlines() if line.startswith("arecord:")]
        reason = lines[-1].rpartition("audio open error: ")[2] if lines else "arecord ended without a word"
        reason = reason.removeprefix("arecord: ").rstrip(":")
        return CaptureFault("mic_missing", f"the microphone cannot be opened: {reason}", self._pick())

    def _pick(self) -> str:
        there = devices("capture", self._sound_system)
        if not there:
            return "plug it in: no microphone is there now"
        return f"plug it in, or set [listen] device to what is there now: {', '.join(there)}"


def _command(device: str) -> list[str]:
    # Through plug, since `arecord` quietly records at another rate than it was asked for when the device has no other.
    through = device if "'" in device else f"plug:SLAVE='{device}'"
    form = ["-f", "S16_LE", "-r", str(SAMPLE_RATE_HZ), "-c", str(CHANNELS), "-t", "raw"]
    size = [f"--period-size={PERIOD_FRAMES}", f"--buffer-size={BUFFER_FRAMES}"]
    return ["arecord", "-q", "-D", through, *form, *size]


def _waiting_bytes(fd: int) -> int:
    """How much the pipe holds that is not yet read."""
    waiting = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, waiting)
    return waiting[0]
