"""The ring of sound: what it gives is what was written, whole, or nothing at all."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.listen.features import CHUNK_SAMPLES, Samples
from kiosk.listen.ring import RING_CHUNKS, Ring


def marked(number: int) -> Samples:
    """A chunk that is different for each number, in every sample."""
    return (np.arange(CHUNK_SAMPLES) * 7 + number * 31).astype(np.int16)


def written(count: int) -> Ring:
    ring = Ring.create()
    for number in range(count):
        assert ring.write(marked(number), number / 10) == number
    return ring


@given(st.integers(0, 100), st.integers(-3, 110))
def test_a_chunk_is_what_was_written_or_nothing(count: int, number: int) -> None:
    ring = written(count)
    there = max(0, count - RING_CHUNKS) <= number < count
    chunk = ring.chunk(number)
    assert (chunk is not None) == there
    assert chunk is None or np.array_equal(chunk, marked(number))
    assert ring.end_s(number) == (number / 10 if there else None)
    ring.close()


@given(st.integers(0, 100), st.integers(-3, 110), st.integers(-2, 40))
def test_the_last_chunks_are_all_there_or_nothing(count: int, position: int, wanted: int) -> None:
    ring = written(count)
    there = wanted > 0 and max(0, count - RING_CHUNKS) <= position - wanted and position <= count
    last = ring.last(position, wanted)
    assert (last is not None) == there
    if last is not None:
        assert np.array_equal(last, np.concatenate([marked(n) for n in range(position - wanted, position)]))
    ring.close()


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_wipe_leaves_nothing_and_the_numbering_goes_on(before: int, after: int) -> None:
    ring = written(before)
    ring.wipe()
    assert not any(os.pread(ring.fd, 1 << 20, 16))
    assert all(ring.chunk(number) is None for number in range(before))
    for number in range(before, before + after):
        assert ring.write(marked(number)) == number
    first = max(before, ring.position - RING_CHUNKS)
    assert all(ring.chunk(number) is not None for number in range(first, ring.position))
    ring.close()


def test_it_copies_into_what_it_is_given() -> None:
    ring = written(5)
    one, three = np.zeros(CHUNK_SAMPLES, np.int16), np.zeros(3 * CHUNK_SAMPLES, np.int16)
    assert ring.chunk(4, out=one) is one
    assert ring.last(5, 3, out=three) is three
    assert np.array_equal(three[-CHUNK_SAMPLES:], one)
    ring.close()


def test_a_chunk_that_is_being_overwritten_is_noticed_at_every_step() -> None:
    """Stop the writer after each of its stores: a reader gets the old chunk, the new one, or nothing."""
    ring = written(RING_CHUNKS)
    old, new = marked(0), marked(RING_CHUNKS)
    for half in (0, CHUNK_SAMPLES // 2, CHUNK_SAMPLES):
        ring._slots["sound"][0, :half] = new[:half]
        for number in (0, RING_CHUNKS):
            chunk = ring.chunk(number)
            assert chunk is None or np.array_equal(chunk, old)
    ring.close()


def test_readers_in_other_threads_never_see_a_torn_chunk() -> None:
    ring = written(RING_CHUNKS)
    done = threading.Event()
    seen: list[int] = []
    torn: list[int] = []

    def read() -> None:
        reader = Ring.attach(ring.fd)
        while not done.is_set():
            number = reader.position - RING_CHUNKS
            chunk = reader.chunk(number)
            if chunk is not None:
                (seen if np.array_equal(chunk, marked(number)) else torn).append(number)
        reader.close()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(RING_CHUNKS, 3000):
        ring.write(marked(number))
    done.set()
    for thread in threads:
        thread.join()
    assert not torn
    assert len(seen) > 10
    ring.close()


READER = """
import sys
from kiosk.listen.ring import Ring
ring = Ring.attach(int(sys.argv[1]))
chunk = ring.chunk(ring.position - 1)
assert chunk is not None
print(ring.position, int(chunk[0]), int(chunk[-1]), ring.end_s(ring.position - 1))
"""


def test_another_process_reads_what_was_written() -> None:
    ring = written(50)
    read = subprocess.run(
        [sys.executable, "-c", READER, str(ring.fd)], pass_fds=[ring.fd], capture_output=True, text=True, check=True
    )
    chunk = marked(49)
    assert read.stdout.split() == ["50", str(chunk[0]), str(chunk[-1]), "4.9"]
    ring.close()


def test_a_reader_cannot_write_and_nobody_can_change_the_size() -> None:
    ring = written(1)
    reader = Ring.attach(ring.fd)
    with pytest.raises(ValueError, match="read-only"):
        reader.write(marked(1))
    with pytest.raises(PermissionError):
        os.ftruncate(ring.fd, 10)
    reader.close()
    ring.close()


def test_another_kind_of_memory_is_refused_in_one_line() -> None:
    fd = os.memfd_create("another")
    with pytest.raises(OSError, match="no ring of sound"):
        Ring.attach(fd)
    os.close(fd)


def test_it_is_a_nameless_file_in_memory_that_stays_out_of_core_dumps() -> None:
    ring = written(1)
    address = ring._head.ctypes.data
    lines = Path("/proc/self/smaps").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"{address:x}-"))
    assert "/memfd:stayby-sound (deleted)" in lines[start]
    flags = next(line for line in lines[start:] if line.startswith("VmFlags:")).split()
    assert "dd" in flags, "MADV_DONTDUMP"
    ring.close()
