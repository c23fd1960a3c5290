"""Capture by the real arecord: microphones of every form, none at all, one that is taken away, and a loop that is too slow."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kiosk.demo.microphone import VirtualMicrophone
from kiosk.listen.capture import Capture, Captured
from kiosk.listen.channels import Mixer
from kiosk.listen.features import CHUNK_SAMPLES, Samples
from kiosk.listen.ring import RING_CHUNKS, Ring
from kiosk.sound_cards import SOUND_SYSTEM, devices
from tests.wired import Wired, wired

DEADLINE_S = 20.0
TONE_HZ = 500.0
NOISE = (np.random.default_rng(3).standard_normal(CHUNK_SAMPLES) * 2000).astype(np.int16)
DEAD = np.random.default_rng(4).integers(-3, 4, CHUNK_SAMPLES).astype(np.int16)


def never(error: BaseException) -> None:
    raise AssertionError(error)


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(tmp_path / "microphone") as microphone:
        yield microphone


class Captures:
    """Opens captures that end with the test, whatever becomes of it."""

    def __init__(self, ring: Ring) -> None:
        self.ring, self._opened = ring, contextlib.ExitStack()

    def __call__(self, device: str, env: Mapping[str, str] | None = None, sound_system: Path = SOUND_SYSTEM) -> Capture:
        capture = Capture(device, self.ring, never, env, sound_system)
        self._opened.callback(capture.close)
        return capture

    def wired(self, folder: Path, **form: Any) -> Wired:
        """A microphone of some form."""
        return self._opened.enter_context(wired(folder, **form))

    def close(self) -> None:
        self._opened.close()


@pytest.fixture
def captures() -> Iterator[Captures]:
    ring = Ring.create()
    captures = Captures(ring)
    yield captures
    captures.close()
    ring.close()


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


def fake_arecord(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "arecord").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "arecord").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def sound_system(folder: Path, cards: dict[int, str], pcm: str) -> Path:
    """The kernel's own files about sound cards."""
    for number, name in cards.items():
        (folder / f"card{number}").mkdir(parents=True, exist_ok=True)
        (folder / f"card{number}" / "id").write_text(f"{name}\n")
    (folder / "pcm").write_text(pcm)
    return folder


# --- no microphone ----------------------------------------------------------------------------------------------------


@pytest.mark.parts
def test_a_missing_microphone_is_a_fault_in_one_line(captures: Captures) -> None:
    capture = captures("no_such_microphone")
    until_fault(capture, "mic_missing")
    assert capture.fault is not None
    assert capture.fault.says == "the microphone cannot be opened: No such file or directory"


@pytest.mark.parts
def test_a_missing_microphone_names_those_that_are_there(tmp_path: Path, captures: Captures) -> None:
    there = sound_system(tmp_path, {1: "Webcam"}, "00-00: HDMI : HDMI : playback 1\n01-00: USB : USB : capture 1\n")
    capture = captures("plughw:CARD=Microphone", sound_system=there)
    until_fault(capture, "mic_missing")
    assert capture.fault is not None
    assert capture.fault.do.endswith("what is there now: plughw:CARD=Webcam,DEV=0")


def test_a_missing_arecord_is_a_fault_that_names_the_package(
    tmp_path: Path, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    capture = captures("default")
    until_fault(capture, "mic_no_arecord")
    assert capture.fault is not None
    assert "alsa-utils" in capture.fault.do


def test_an_arecord_that_hangs_is_killed_and_started_again(
    tmp_path: Path, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = tmp_path / "starts"
    fake_arecord(tmp_path, monkeypatch, f"echo start >> {starts}\nexec sleep 600")
    capture = captures("default")
    until_fault(capture, "mic_stalled")
    deadline_s = time.monotonic() + DEADLINE_S
    while starts.read_text().count("start") < 2:
        assert time.monotonic() < deadline_s
        capture.read(0.05)


def test_an_arecord_that_even_a_kill_does_not_end_is_a_fault_all_the_same(
    tmp_path: Path, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, wait = threading.Event(), subprocess.Popen.wait

    def waits_as_for_the_kernel(child: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        ended.wait(DEADLINE_S)
        return wait(child, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", waits_as_for_the_kernel)
    fake_arecord(tmp_path, monkeypatch, "exec sleep 600")
    capture = captures("default")
    try:
        until_fault(capture, "mic_stalled")
        assert not ended.is_set()
    finally:
        ended.set()


@pytest.mark.parts
def test_a_microphone_that_is_taken_away_and_comes_back(tmp_path: Path, captures: Captures) -> None:
    with VirtualMicrophone(tmp_path / "microphone") as first:
        capture = captures(first.device, first.env)
        assert next(sounds(capture)).fresh
        assert not next(sounds(capture)).fresh
    until_fault(capture, "mic_missing")
    with VirtualMicrophone(tmp_path / "microphone"):
        assert next(captured for captured in sounds(capture) if capture.fault is None).fresh, "another time's sound"


# --- which one --------------------------------------------------------------------------------------------------------


def test_capture_devices_are_named_by_their_cards(tmp_path: Path) -> None:
    pcm = "00-00: bcm2835 : bcm2835 : playback 8\n02-01: USB Audio : USB Audio : playback 1 : capture 1\nnonsense\n"
    assert devices("capture", sound_system(tmp_path, {0: "b1", 2: "Microphone_1"}, pcm)) == (
        "plughw:CARD=Microphone_1,DEV=1",
    )
    assert devices("capture", sound_system(tmp_path / "gone", {0: "b1"}, pcm)) == ()
    assert devices("capture", tmp_path / "none") == ()


@pytest.mark.parts
def test_the_only_microphone_is_used_when_the_default_leads_nowhere(tmp_path: Path, captures: Captures) -> None:
    microphone = captures.wired(tmp_path / "wired")
    config = Path(microphone.env["ALSA_CONFIG_PATH"])
    text = config.read_text().replace("</usr/share/alsa/alsa.conf>", PLAIN_ALSA)
    config.write_text(
        text + "pcm.plughw { @args [ CARD DEV ] @args.CARD { type string } @args.DEV { type string } "
        f'type copy slave.pcm "{microphone.device}" }}\n'
    )
    there = sound_system(tmp_path / "proc", {1: "Microphone"}, "01-00: USB Audio : USB Audio : capture 1\n")
    capture = captures("default", microphone.env, there)
    assert loudest(next(sounds(capture))) > 0
    assert capture.fault is None


PLAIN_ALSA = (
    "pcm.plug { @args [ SLAVE ] @args.SLAVE { type string } type plug slave.pcm $SLAVE }\npcm.null { type null }"
)


# --- every form of microphone -----------------------------------------------------------------------------------------


def strength(sound: Samples) -> float:
    """How strong the tone is, as its amplitude in steps of 16 bits."""
    turns = np.exp(-2j * np.pi * TONE_HZ / 16_000 * np.arange(len(sound)))
    return float(2 * np.abs(np.mean(sound * turns)))


@pytest.mark.parts
@pytest.mark.parametrize(
    ("rate_hz", "channels", "form", "gains", "expected"),
    [
        (16_000, 1, "S16_LE", (1.0,), 1.0),
        (48_000, 1, "S16_LE", (1.0,), 1.0),
        (44_100, 2, "S16_LE", (1.0,), 1.0),
        (44_100, 1, "U8", (1.0,), 1.0),
        (48_000, 2, "S16_LE", (1.0, 0.0), 1.0),
        (48_000, 2, "S16_LE", (0.0, 1.0), 1.0),
        (16_000, 2, "S16_LE", (1.0, -1.0), 1.0),
        (16_000, 2, "S16_LE", (1.0, 0.5), 0.75),
        (16_000, 6, "S16_LE", (1.0,), 1.0),
    ],
)
def test_every_form_of_microphone_gives_the_same_sound(
    tmp_path: Path,
    captures: Captures,
    rate_hz: int,
    channels: int,
    form: str,
    gains: tuple[float, ...],
    expected: float,
) -> None:
    microphone = captures.wired(tmp_path / "wired", rate_hz=rate_hz, channels=channels, form=form, gains=gains)
    capture = captures(microphone.device, microphone.env)
    stream = sounds(capture)
    next(stream)
    microphone.say((0.25 * np.sin(2 * np.pi * TONE_HZ / 16_000 * np.arange(24_000))).astype(np.float32))
    heard = [strength(next(captured for captured in stream if loudest(captured) > 4000).sound)]
    heard += [strength(next(stream).sound) for _ in range(8)]
    assert np.median(heard) == pytest.approx(8192 * expected, rel=0.03)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (NOISE, NOISE, NOISE),
        (NOISE, DEAD, NOISE),
        (DEAD, NOISE, NOISE),
        (NOISE, -NOISE, NOISE),
        (NOISE, NOISE // 2, NOISE // 2 + NOISE // 4),
        (NOISE // 16, np.roll(NOISE, 40), NOISE // 32 + np.roll(NOISE, 40) // 2),
        (DEAD, np.zeros_like(DEAD), DEAD // 2),
    ],
)
def test_two_channels_become_the_average_of_what_lives(left: Samples, right: Samples, expected: Samples) -> None:
    mixer = Mixer()
    for _ in range(3):
        mono = mixer.mix(np.stack([left, right], axis=1))
    assert np.abs(mono.astype(int) - expected).max() <= 1


def test_a_channel_that_comes_alive_counts_at_once() -> None:
    mixer = Mixer()
    for _ in range(100):
        mixer.mix(np.stack([DEAD, NOISE // 8], axis=1))
    mono = mixer.mix(np.stack([NOISE, NOISE // 8], axis=1))
    assert np.abs(mono.astype(int) - (NOISE // 2 + NOISE // 16)).max() <= 1


# --- live -------------------------------------------------------------------------------------------------------------


def test_a_loop_that_does_not_keep_up_goes_on_with_the_oldest_whole_chunk_and_counts_the_rest(
    tmp_path: Path, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_arecord(tmp_path, monkeypatch, "exec cat /dev/zero")
    capture = captures("default")
    first = next(sounds(capture))
    missed = capture.gaps
    deadline_s = time.monotonic() + DEADLINE_S
    while captures.ring.position < first.position + 3 * RING_CHUNKS:
        assert time.monotonic() < deadline_s
    late = next(sounds(capture))
    assert late.fresh
    assert capture.gaps - missed == late.position - first.position - 1 > RING_CHUNKS
    capture.close()
    assert capture.read(0) is None, "nothing is left after the end"


def test_a_gap_that_arecord_tells_of_is_counted(
    tmp_path: Path, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint = "overrun!!! (at least 12.345 ms long)"
    fake_arecord(tmp_path, monkeypatch, f"echo '{complaint}' >&2\nhead -c 51200 /dev/zero\nexec sleep 600")
    capture = captures("default")
    next(sounds(capture))
    deadline_s = time.monotonic() + DEADLINE_S
    while capture.gaps < 1:
        assert time.monotonic() < deadline_s


@pytest.mark.parts
def test_what_is_played_into_the_room_is_captured(
    tmp_path: Path, captures: Captures, microphone: VirtualMicrophone
) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16_000) * 0.3), 16_000)
    capture = captures(microphone.device, microphone.env)
    stream = sounds(capture)
    assert loudest(next(stream)) < 100, "the room is quiet, but not digitally silent"
    player = threading.Thread(target=microphone.play, args=(path,))
    player.start()
    loud = next(captured for captured in stream if loudest(captured) > 10_000)
    assert time.monotonic() - 1 < loud.end_s <= time.monotonic()
    player.join()
