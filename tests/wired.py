"""A microphone of any rate, format and number of channels, through ALSA's own conversions: its samples come from a FIFO.

`arecord` sees a device that has this one form and no other, as a sound card would, and ALSA's plug converts it.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

FORMATS = {"S16_LE": "<i2", "U8": "u1"}
# What ALSA asks for at once: it takes a short read for a whole one.
BLOCK_S = 0.08
Floats = npt.NDArray[np.float32]


@dataclass
class Wired:
    """A running microphone: `device` and `env` are for arecord; it gives a quiet room until it is told to `say` something."""

    folder: Path
    rate_hz: int = 16_000
    channels: int = 1
    form: str = "S16_LE"
    speed: float = 1.0
    gains: tuple[float, ...] = (1.0,)
    """One gain for each channel: 0 is a dead one, -1 one of the other polarity."""
    room: float = 0.001
    """The room's noise, RMS of full scale."""
    device: str = "wired"

    def __post_init__(self) -> None:
        self._fifo, config = self.folder / "fifo", self.folder / "asound.conf"
        self.env = {"ALSA_CONFIG_PATH": str(config)}
        self.folder.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self._fifo)
        config.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm.fed {{ type file slave.pcm null file /dev/null infile "{self._fifo}" format raw }}\n'
            f"pcm.{self.device} {{ type plug slave {{ pcm fed format {self.form} rate {self.rate_hz} "
            f"channels {self.channels} }} }}\n",
            encoding="utf-8",
        )
        self._stop, self._hanging = threading.Event(), threading.Event()
        self._said: Floats = np.zeros(0, np.float32)
        self._lock = threading.Lock()
        self._noise = np.random.default_rng(5)
        # Open for both: the FIFO never ends, whoever opens and closes its other end.
        self._end = os.open(self._fifo, os.O_RDWR)
        fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, 1 << 20)
        self._thread = threading.Thread(target=self._feed, name="wired", daemon=True)
        self._thread.start()

    def say(self, sound: Floats) -> None:
        """Play 16 kHz sound (full scale is 1) into the microphone, after what it was told before."""
        converted = soxr.resample(sound, 16_000, self.rate_hz) if self.rate_hz != 16_000 else sound
        with self._lock:
            self._said = np.concatenate([self._said, converted.astype(np.float32)])

    @property
    def silent(self) -> bool:
        """Whether everything was said."""
        with self._lock:
            return len(self._said) == 0

    def hang(self) -> None:
        """Once everything was said give nothing any more, not even an end."""
        self._hanging.set()

    def close(self) -> None:
        """Stop feeding."""
        self._stop.set()
        with contextlib.suppress(OSError):  # make room, if nobody reads any more
            os.set_blocking(self._end, False)
            os.read(self._end, 1 << 16)
        self._thread.join()
        os.close(self._end)

    def _feed(self) -> None:
        count = int(self.rate_hz * BLOCK_S)
        next_s = time.monotonic()
        while not self._stop.is_set() and not (self._hanging.is_set() and self.silent):
            with self._lock:
                said, self._said = self._said[:count], self._said[count:]
            sound = self._noise.standard_normal(count) * self.room
            sound[: len(said)] += said
            with contextlib.suppress(BlockingIOError):
                os.write(self._end, self._encode(sound))
            next_s = max(next_s + BLOCK_S / self.speed, time.monotonic() - 1)
            self._stop.wait(max(0.0, next_s - time.monotonic()))

    def _encode(self, sound: npt.NDArray[np.float64]) -> bytes:
        both = np.stack([sound * gain for gain in np.resize(self.gains, self.channels)], axis=1)
        if self.form == "U8":
            return bytes(np.clip(np.round(both * 128 + 128), 0, 255).astype("u1"))
        return bytes(np.clip(np.round(both * 32768), -32768, 32767).astype("<i2"))


@contextlib.contextmanager
def wired(folder: Path, **form: Any) -> Iterator[Wired]:
    """A microphone that runs for as long as the context."""
    microphone = Wired(folder, **form)
    try:
        yield microphone
    finally:
        microphone.close()
