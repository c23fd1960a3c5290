"""Capture by the real arecord: no microphone, no program, a virtual microphone, and one that is taken away."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kiosk.demo.microphone import VirtualMicrophone
from kiosk.listen.capture import QUEUE_CHUNKS, Capture, Captured

DEADLINE_S = 20.0


def never(error: BaseException) -> None:
    raise AssertionError(error)


def until_fault(capture: Capture, code: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while capture.fault is None or capture.fault.code != code:
        assert time.monotonic() < deadline_s, capture.fault
        capture.read(0.05)


def sounds(capture: Capture) -> Iterator[Captured]:
    """What is captured, for as long as it comes within the deadline."""
    while (captured := capture.read(DEADLINE_S)) is not None:
        yield captured


def loudest(captured: Captured) -> int:
    return int(np.abs(captured.sound.astype(np.int32)).max())


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(tmp_path / "microphone") as microphone:
        yield microphone


@pytest.mark.parts
def test_a_missing_microphone_is_a_fault_in_one_line() -> None:
    capture = Capture("no_such_microphone", never)
    until_fault(capture, "mic_missing")
    assert capture.fault is not None
    assert capture.fault.says == "the microphone cannot be opened: No such file or directory"
    capture.close()


def test_a_missing_arecord_is_a_fault_that_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    capture = Capture("default", never)
    until_fault(capture, "mic_no_arecord")
    assert capture.fault is not None
    assert "alsa-utils" in capture.fault.do
    capture.close()


def test_an_arecord_that_hangs_is_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = tmp_path / "starts"
    (tmp_path / "arecord").write_text(f"#!/bin/sh\necho start >> {starts}\nexec sleep 600\n")
    (tmp_path / "arecord").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    capture = Capture("default", never)
    until_fault(capture, "mic_stalled")
    deadline_s = time.monotonic() + DEADLINE_S
    while starts.read_text().count("start") < 2:
        assert time.monotonic() < deadline_s
        capture.read(0.05)
    capture.close()


def test_a_loop_that_does_not_keep_up_loses_the_oldest_and_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "arecord").write_text("#!/bin/sh\nexec cat /dev/zero\n")
    (tmp_path / "arecord").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    capture = Capture("default", never)
    deadline_s = time.monotonic() + DEADLINE_S
    while capture.gaps < 10:
        assert time.monotonic() < deadline_s
    capture.close()
    waiting = 0
    while capture.read(0) is not None:
        waiting += 1
    assert waiting <= QUEUE_CHUNKS


@pytest.mark.parts
def test_what_is_played_into_the_room_is_captured(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16_000) * 0.3), 16_000)
    capture = Capture(microphone.device, never, microphone.env)
    stream = sounds(capture)
    assert loudest(next(stream)) < 100, "the room is quiet, but not digitally silent"
    ended_s = microphone.play(path)
    loud = next(captured for captured in stream if loudest(captured) > 10_000)
    assert loud.end_s - 3 < ended_s
    capture.close()


@pytest.mark.parts
def test_a_microphone_that_is_taken_away_and_comes_back(tmp_path: Path) -> None:
    first = VirtualMicrophone(tmp_path / "microphone")
    with first:
        capture = Capture(first.device, never, first.env)
        next(sounds(capture))
    until_fault(capture, "mic_missing")
    with VirtualMicrophone(tmp_path / "microphone"):
        next(sounds(capture))
        deadline_s = time.monotonic() + DEADLINE_S
        while capture.fault is not None:
            assert time.monotonic() < deadline_s
            capture.read(0.05)
    capture.close()
