"""Turns recordings into sound: `opusdec` decodes one, an `aplay` plays what is written to it. Both hang on our pipes.

A device that is missing, busy or hung, a program or a recording that is not there: each is `Broken`, with what to do now.
"""

import array
import contextlib
import fcntl
import os
import select
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from kiosk.sound_cards import SOUND_SYSTEM, devices

RATE_HZ = 48_000
BYTES = 2
BUFFER_S, PERIOD_S, PIPE_BYTES = 0.16, 0.02, 4096
STALL_S, DRAIN_S, DECODE_S = 2.0, 2.0, 5.0


class Broken(Exception):
    """What cannot be played; `do` is what a technician can do now."""

    def __init__(self, says: str, do: str) -> None:
        super().__init__(says)
        self.do = do


def decoded(path: Path, gain: float, env: Mapping[str, str]) -> bytes:
    """Return a recording as 16-bit samples at 48 kHz, `gain` dB louder; Broken if it cannot be had."""
    if not path.is_file():
        raise Broken(f"the recording {path} is missing", "install this version again")
    command = ["opusdec", "--quiet", "--rate", str(RATE_HZ), "--gain", f"{gain:.2f}", str(path), "-"]
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=DECODE_S, check=False)
    except OSError as error:
        raise Broken(f"opusdec cannot start: {error.strerror}", "install opus-tools") from None
    except subprocess.TimeoutExpired:
        raise Broken(f"opusdec takes more than {DECODE_S:g} s for {path}", "see what else runs here") from None
    if done.returncode != 0 or not done.stdout:
        raise Broken(f"the recording {path} cannot be decoded", "install this version again")
    return done.stdout


class Stream:
    """One `aplay`: what is written to it sounds about `BUFFER_S` later. Broken if it cannot play."""

    def __init__(self, device: str, env: Mapping[str, str], sound_system: Path = SOUND_SYSTEM) -> None:
        self._sound_system = sound_system
        self._complaint = os.fdopen(os.memfd_create("aplay"), "rb")
        self._opened_s = time.monotonic()
        self._written = 0
        try:
            self._child = subprocess.Popen(
                _command(device), env=env, stdin=subprocess.PIPE, stderr=self._complaint, bufsize=0
            )
        except OSError as error:
            self._complaint.close()
            raise Broken(f"aplay cannot start: {error.strerror}", "install alsa-utils") from None
        assert self._child.stdin is not None  # noqa: S101 - it was asked for
        self._pipe = self._child.stdin
        os.set_blocking(self._pipe.fileno(), False)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it at once, whatever has not sounded yet."""
        with contextlib.suppress(OSError):  # what it has not taken is not wanted
            self._pipe.close()
        self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel has no end
            self._child.wait(DRAIN_S)
        self._complaint.close()

    @property
    def plays(self) -> bool:
        """Whether more was taken than fits into the pipe: the device is open."""
        return self._written > 2 * PIPE_BYTES + BUFFER_S * RATE_HZ * BYTES

    @property
    def latency_s(self) -> float:
        """How long it takes until what is written now sounds."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._pipe, termios.FIONREAD, waiting)
        return waiting[0] / BYTES / RATE_HZ + BUFFER_S

    @property
    def ahead_s(self) -> float:
        """How much more was written than could have sounded since it was opened."""
        return self._written / BYTES / RATE_HZ - (time.monotonic() - self._opened_s)

    def write(self, block: bytes) -> None:
        """Play a block after what was written before; waits until there is room for it."""
        self._written += len(block)
        poll = select.poll()
        poll.register(self._pipe, select.POLLOUT)
        while block:
            if not poll.poll(STALL_S * 1000):
                raise Broken("the speaker takes no more sound", _pick(self._sound_system))
            try:
                block = block[os.write(self._pipe.fileno(), block) :]
            except BlockingIOError:
                continue  # room for less than a whole block
            except BrokenPipeError:
                raise self._ended() from None

    def drain(self) -> None:
        """Return when all of it was played."""
        self._pipe.close()
        try:
            if self._child.wait(DRAIN_S) != 0:
                raise self._ended()
        except subprocess.TimeoutExpired:
            raise Broken("the speaker does not come to an end", _pick(self._sound_system)) from None

    def _ended(self) -> Broken:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(DRAIN_S)
        self._complaint.seek(0)
        lines = [line for line in self._complaint.read().decode(errors="replace").splitlines() if "aplay:" in line]
        reason = lines[-1].rpartition("audio open error: ")[2] if lines else "aplay ended without a word"
        return Broken(f"the speaker cannot be opened: {reason}", _pick(self._sound_system))


def _command(device: str) -> list[str]:
    # Through plug, since `aplay` quietly plays at another rate than it was told when the device has no other.
    through = device if "'" in device else f"plug:SLAVE='{device}'"
    form = ["-t", "raw", "-f", "S16_LE", "-r", str(RATE_HZ), "-c", "1"]
    size = [f"--period-time={PERIOD_S * 1e6:.0f}", f"--buffer-time={BUFFER_S * 1e6:.0f}"]
    return ["aplay", "-q", "-D", through, *form, *size]


def _pick(sound_system: Path) -> str:
    there = devices("playback", sound_system)
    if not there:
        return "plug it in: no speaker is there now"
    return f"plug it in, end what else plays on it, or set [speaker] device to what is there now: {', '.join(there)}"
