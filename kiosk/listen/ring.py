"""The one place where sound lives: 37 chunks of 80 ms (2.96 s) in anonymous shared memory that is never a file.

One writer; readers in other threads and processes, each with a `Ring` of its own (`attach` maps it for reading only). A reader
never locks and never waits: each slot carries its chunk's number and a checksum, and what is overwritten while it is copied
does not match them. A checksum needs no memory barriers, which Python does not have.
The memory is left out of core dumps, and out of swap where the system permits it.
"""

import contextlib
import ctypes
import fcntl
import logging
import mmap
import os
import resource
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kiosk.listen.features import CHUNK_SAMPLES, Samples

log = logging.getLogger("stayby")

RING_CHUNKS = 37
_HEAD = np.dtype([("position", "<i8"), ("spare", "<i8")])
# `number` is the chunk's number plus one: zeros are no chunk.
_SLOT = np.dtype(
    [("number", "<i8"), ("end_s", "<f8"), ("check", "<u4"), ("spare", "<u4"), ("sound", "<i2", (CHUNK_SAMPLES,))]
)
RING_BYTES = _HEAD.itemsize + RING_CHUNKS * _SLOT.itemsize
_PR_SET_DUMPABLE = 4
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def refuse_dumps() -> None:
    """Let no dump of this process be made: it would hold the last three seconds of sound.

    The limit stops the kernel's own core files; only a process that is not dumpable stops a collector that dumps are piped to.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system does not let this process refuse core dumps")


class Ring:
    """The last 37 chunks written; chunks are numbered from 0 and `position` is how many have been written so far."""

    def __init__(self, fd: int, memory: mmap.mmap, *, owner: bool) -> None:
        self.fd = fd
        self._memory, self._owner = memory, owner
        self._head: npt.NDArray[Any] = np.frombuffer(memory, _HEAD, 1)
        self._slots: npt.NDArray[Any] = np.frombuffer(memory, _SLOT, RING_CHUNKS, _HEAD.itemsize)

    @classmethod
    def create(cls) -> Self:
        """Make the ring that its one writer owns; pass `fd` to the processes that may read it. OSError if there is no memory."""
        fd = os.memfd_create("stayby-sound", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, RING_BYTES)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            memory = mmap.mmap(fd, RING_BYTES)
        except OSError:
            os.close(fd)
            raise
        memory.madvise(mmap.MADV_DONTDUMP)
        _lock(memory)
        return cls(fd, memory, owner=True)

    @classmethod
    def attach(cls, fd: int) -> Self:
        """Map a ring that another thread or process writes, for reading only; `fd` stays the caller's. OSError if it is none."""
        if os.fstat(fd).st_size != RING_BYTES:
            raise OSError(f"file descriptor {fd} is no ring of sound of this version; restart stayby listen")
        memory = mmap.mmap(fd, RING_BYTES, access=mmap.ACCESS_READ)
        memory.madvise(mmap.MADV_DONTDUMP)
        return cls(fd, memory, owner=False)

    @property
    def position(self) -> int:
        """How many chunks have been written so far; the newest is number `position - 1`."""
        return int(self._head["position"][0])

    @property
    def oldest(self) -> int:
        """The number of the oldest chunk that is surely whole: the writer may be at work on the one before it."""
        return max(0, self.position - RING_CHUNKS + 1)

    def write(self, chunk: Samples, end_s: float = 0.0) -> int:
        """Add one chunk of 1280 samples, whose last one was read at `end_s` (CLOCK_MONOTONIC); return its number."""
        number = self.position
        slot = self._slots[number % RING_CHUNKS]
        slot["number"] = 0
        slot["sound"] = chunk
        slot["end_s"] = end_s
        slot["check"] = _check(number, slot["sound"])
        slot["number"] = number + 1
        self._head["position"] = number + 1
        return number

    def chunk(self, number: int, out: Samples | None = None) -> Samples | None:
        """A copy of one chunk (in `out`, of 1280 samples, if given); None if it is overwritten, wiped or not yet written."""
        sound = np.empty(CHUNK_SAMPLES, np.int16) if out is None else out
        return sound if self._copy(number, sound) else None

    def last(self, position: int, count: int, out: Samples | None = None) -> Samples | None:
        """A copy of the `count` chunks before `position` as one sound (in `out` if given); None unless all are there."""
        if not 0 < count <= min(position, RING_CHUNKS):
            return None
        sound = np.empty(count * CHUNK_SAMPLES, np.int16) if out is None else out
        parts = sound.reshape(count, CHUNK_SAMPLES)
        whole = all(self._copy(position - count + index, part) for index, part in enumerate(parts))
        return sound if whole else None

    def end_s(self, number: int) -> float | None:
        """CLOCK_MONOTONIC at which the last sample of a chunk was read; None if the chunk is not there."""
        slot = self._slots[number % RING_CHUNKS]
        end_s = float(slot["end_s"])
        return end_s if number >= 0 and int(slot["number"]) == number + 1 else None

    def wipe(self) -> None:
        """Put zeros over all sound; the numbering goes on. For the writer."""
        self._slots.view(np.uint8)[:] = 0

    def close(self) -> None:
        """Let go of the memory; the writer wipes it first."""
        if self._owner:
            self.wipe()
        del self._head, self._slots
        self._memory.close()
        if self._owner:
            os.close(self.fd)

    def _copy(self, number: int, into: Samples) -> bool:
        slot = self._slots[number % RING_CHUNKS]
        if number < 0 or int(slot["number"]) != number + 1:
            return False
        check = int(slot["check"])
        np.copyto(into, slot["sound"])
        return check == _check(number, into)


def _check(number: int, sound: Samples) -> int:
    return zlib.crc32(sound.data, zlib.crc32(struct.pack("<q", number)))


def _lock(memory: mmap.mmap) -> None:
    """Keep the memory out of swap; where that is not permitted, say so once."""
    with _address(memory) as address:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(RING_BYTES)) != 0:
            reason = os.strerror(ctypes.get_errno())
            log.warning("sound may reach the swap: cannot lock its memory (%s); set LimitMEMLOCK=1M", reason)


@contextlib.contextmanager
def _address(memory: mmap.mmap) -> Iterator[int]:
    """Where the memory lies; it can only be closed after this."""
    first = ctypes.c_char.from_buffer(memory)
    try:
        yield ctypes.addressof(first)
    finally:
        del first
