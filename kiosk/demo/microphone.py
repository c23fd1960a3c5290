"""A microphone without a microphone: a private PulseAudio whose source hears a quiet room and whatever is played to it.

Everything lives in one folder: its socket, its configuration, its home. Nothing of the machine's own sound is touched.
"""

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

from kiosk.listen.features import SAMPLE_RATE_HZ, quiet

START_S = 10.0
SPEAKER, SOURCE, DEVICE = "stayby_air", "stayby_microphone", "stayby_microphone"
# About -60 dBFS: a quiet office. A null sink alone gives digital silence, which a real room never does.
ROOM_GAIN = 16


class MicrophoneError(OSError):
    """The virtual microphone cannot run; its text says why and what to do."""


class VirtualMicrophone:
    """A context manager: inside it, `arecord -D device` with `env` hears what `play` or `aplay -D speaker` plays."""

    device, speaker = DEVICE, SPEAKER

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "native"
        self.env = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(folder),
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._room: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "asound.conf").write_text(self._alsa(), encoding="utf-8")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in (self._room, self._server):
            if child is not None:
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(5)
                child.kill()
                child.wait()
        if self._room is not None and self._room.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # what was not yet played goes with the player
                self._room.stdin.close()

    def play(self, path: Path) -> float:
        """Play a sound file into the room and return when it was played out: CLOCK_MONOTONIC at its end."""
        done = subprocess.run(
            ["paplay", f"--device={SPEAKER}", str(path)],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise MicrophoneError(f"{path}: cannot be played: {done.stderr.strip()}; give a WAV, FLAC or Ogg file")
        return time.monotonic()

    def _start(self) -> None:
        for program in ("pulseaudio", "pacat", "paplay"):
            if shutil.which(program) is None:
                raise MicrophoneError(
                    f"{program} is not installed, and the virtual microphone needs it; install pulseaudio"
                )
        loads = [
            f"module-null-sink sink_name={SPEAKER} norewinds=1 rate={SAMPLE_RATE_HZ} channels=1 format=s16le",
            f"module-remap-source master={SPEAKER}.monitor source_name={SOURCE}",
            f"module-native-protocol-unix socket={self._socket} auth-anonymous=1",
        ]
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
        ]
        command += ["--high-priority=no", "--realtime=no", f"--log-target=file:{self._folder / 'pulse.log'}"]
        command += [f"--load={load}" for load in loads]
        self._server = subprocess.Popen(command, env=self._environment(), stdin=subprocess.DEVNULL)
        self._wait()
        self._fill_room()

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_S
        while self._server is not None and self._server.poll() is None and time.monotonic() < deadline_s:
            asked = subprocess.run(
                ["pactl", "list", "short", "sources"],
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if SOURCE in asked.stdout:
                return
            time.sleep(0.05)
        raise MicrophoneError(f"the private PulseAudio did not start; see {self._folder / 'pulse.log'}")

    def _fill_room(self) -> None:
        """Keep a quiet room's noise in the air for as long as the microphone lives."""
        command = [
            "pacat",
            "--raw",
            f"--device={SPEAKER}",
            f"--rate={SAMPLE_RATE_HZ}",
            "--channels=1",
            "--format=s16le",
        ]
        self._room = subprocess.Popen(
            command, env=self._environment(), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        noise = (quiet(SAMPLE_RATE_HZ * 10) * ROOM_GAIN).tobytes()
        threading.Thread(target=_feed, args=(self._room, noise), name="room", daemon=True).start()

    def _environment(self) -> dict[str, str]:
        home = {
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "PULSE_STATE_PATH": str(self._folder),
        }
        return {**os.environ, **home, "LC_ALL": "C", **self.env}

    def _alsa(self) -> str:
        return (
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm.{DEVICE} {{ type pulse server "unix:{self._socket}" device "{SOURCE}" }}\n'
            f'pcm.{SPEAKER} {{ type pulse server "unix:{self._socket}" device "{SPEAKER}" }}\n'
        )


def _feed(room: subprocess.Popen[bytes], noise: bytes) -> None:
    """Write until the reader ends; the pipe paces it."""
    if room.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ValueError):  # the room was closed: that is the end of it
        while room.poll() is None:
            room.stdin.write(noise)
