"""The listen process between a microphone and a hub: what it tells, and that it goes on without either."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from kiosk.bus import runtime_socket
from kiosk.config import ListenSection
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.detection import Heard
from kiosk.listen.hear import file_loop, hear_file
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model, read_manifest
from kiosk.listen.process import READ_S, ListenProcess, detection, in_hours
from kiosk.listen.ring import RING_BYTES, Ring
from kiosk.messages import Detection, Ear, Hearing, Hello, PauseEar
from tests.listening import CALL, DEADLINE_S, NOON, Hub, listening, spoken
from tests.looks import model_with_looks, needs_moonshine, say
from tests.wired import wired


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    yield hub
    hub.close()


@pytest.mark.parametrize(
    ("hours", "clock", "inside"),
    [
        (None, "03:00", True),
        ("08:00-21:00", "08:00", True),
        ("08:00-21:00", "07:59", False),
        ("08:00-21:00", "21:00", False),
        ("22:00-06:00", "23:30", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "12:00", False),
        ("00:00-00:00", "12:00", True),
        ("08:00-08:00", "03:00", True),
    ],
)
def test_hours(hours: str | None, clock: str, inside: bool) -> None:
    assert in_hours(hours, datetime.fromisoformat(f"2026-06-01T{clock}:00+00:00")) is inside


def test_a_detection_says_phrase_score_and_time_and_nothing_else() -> None:
    told = detection(Heard(1.0, "ambulance", 5.12345, grave=True, strong=True), 99.5)
    assert told == Detection(phrase="ambulance", score=5.123, grave=True, strong=True, audio_end_s=99.5)


@pytest.mark.parts
def test_without_a_microphone_the_ear_says_that_it_is_deaf_and_why(tmp_path: Path, hub: Hub) -> None:
    with listening(tmp_path, ListenSection(device="no_such_microphone")):
        assert isinstance(hub.said.get(timeout=DEADLINE_S), Hello)
        deaf = next(ear for ear in hub.ears() if ear.faults)
    assert deaf.state is Hearing.DEAF
    assert [fault.code for fault in deaf.faults] == ["mic_missing"]
    assert deaf.faults[0].where == "microphone no_such_microphone"


def test_outside_its_hours_the_ear_is_off_and_holds_no_microphone(tmp_path: Path, hub: Hub) -> None:
    with listening(tmp_path, ListenSection(device="no_such_microphone", hours="22:00-06:00")):
        off = next(hub.ears())
    assert (off.state, off.faults) == (Hearing.OFF, ())


def test_a_model_with_a_wrong_hash_is_a_fault_in_one_line(tmp_path: Path, hub: Hub) -> None:
    model = tmp_path / "model"
    shutil.copytree(packaged_model(), model)
    path = model / read_manifest(model).model
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with listening(tmp_path, ListenSection(device="no_such_microphone", model_dir=model)):
        deaf = next(ear for ear in hub.ears() if any(fault.code == "model_broken" for fault in ear.faults))
    fault = next(fault for fault in deaf.faults if fault.code == "model_broken")
    assert deaf.state is Hearing.DEAF
    assert (fault.where, fault.do) == (str(path), "install the model again")
    assert "sha256" in fault.says


@pytest.mark.parts
def test_a_call_into_the_microphone_reaches_the_hub_as_it_does_from_the_file(tmp_path: Path, hub: Hub) -> None:
    call = tmp_path / "call.wav"
    subprocess.run(
        ["espeak-ng", "-v", "en-gb-x-rp", "-p", "80", "-s", "180", "-w", str(call), "Call an ambulance!"], check=True
    )
    [from_file] = hear_file(Loop(load_model(packaged_model())), call).detections
    with (
        VirtualMicrophone(tmp_path / "microphone") as microphone,
        listening(tmp_path, ListenSection(device=microphone.device), microphone.env),
    ):
        next(ear for ear in hub.ears() if ear.state is Hearing.LISTENING)
        started_s = time.monotonic()
        microphone.play(call)
        heard = next(message for message in hub.messages() if isinstance(message, Detection))
    assert (heard.phrase, heard.grave) == (from_file.phrase, True)
    assert heard.score == pytest.approx(from_file.score, abs=2.0), "the room's noise and the start of a chunk differ"
    assert started_s < heard.audio_end_s < time.monotonic()


def looked(process: ListenProcess) -> None:
    """Wait until the process of the second look is ready."""
    deadline_s = time.monotonic() + DEADLINE_S
    while process._loop is None or not process._loop.second_look:
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.02)


@needs_moonshine
@pytest.mark.parts
def test_live_a_call_gets_the_same_second_look_as_from_the_file(tmp_path: Path, hub: Hub) -> None:
    folder = model_with_looks(tmp_path / "model")
    call = say(tmp_path / "call.wav", "Call an ambulance!", voice="en-gb-x-rp", pitch=80, speed=180)
    ring = Ring.create()
    from_file = hear_file(file_loop(load_model(folder), ring), call, ring=ring)
    ring.close()
    with (
        VirtualMicrophone(tmp_path / "microphone") as microphone,
        listening(tmp_path, ListenSection(device=microphone.device, model_dir=folder), microphone.env) as process,
    ):
        looked(process)
        next(ear for ear in hub.ears() if ear.state is Hearing.LISTENING)
        microphone.play(call)
        heard = next(message for message in hub.messages() if isinstance(message, Detection))
    assert from_file.second_look
    assert [heard.phrase] == [one.phrase for one in from_file.detections]
    assert heard.score == pytest.approx(from_file.detections[0].score, abs=2.0), "where a chunk starts differs"


@needs_moonshine
def test_a_second_look_that_cannot_start_is_a_fault_and_the_ear_goes_on(tmp_path: Path, hub: Hub) -> None:
    folder = model_with_looks(tmp_path / "model", head="gone.tflite", sha256="0" * 64)
    with listening(tmp_path, ListenSection(device="no_such_microphone", model_dir=folder)):
        ear = next(ear for ear in hub.ears() if any(fault.code == "look_dead" for fault in ear.faults))
    fault = next(fault for fault in ear.faults if fault.code == "look_dead")
    assert "gone.tflite: cannot read the model" in fault.says
    assert ear.model, "stage 1 works"


def arecords() -> list[int]:
    """The microphones that this process holds open: its arecord children."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "arecord"]


def sound_in(fd: int) -> bool:
    return any(os.pread(fd, RING_BYTES, 16))


@pytest.mark.parts
def test_a_pause_ends_the_capture_and_wipes_all_sound_until_it_is_over(tmp_path: Path, hub: Hub) -> None:
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone, listening(tmp_path, config, microphone.env) as process:
        hub.until(Ear, state=Hearing.LISTENING)
        assert arecords()
        assert sound_in(process._ring.fd)
        hub.tell(PauseEar(paused=True))
        paused = hub.until(Ear, state=Hearing.PAUSED)
        assert paused.faults == ()
        assert arecords() == []
        assert not sound_in(process._ring.fd)
        assert not process._meter._centred.any()
        heard_s = paused.audio_s
        for _ in range(2):
            assert hub.until(Ear).audio_s == heard_s
        hub.tell(PauseEar(paused=False))
        assert hub.until(Ear, state=Hearing.LISTENING).audio_s > heard_s
        assert arecords()


@pytest.mark.parts
def test_an_ear_that_starts_in_a_pause_captures_nothing(tmp_path: Path, hub: Hub) -> None:
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone:
        process = ListenProcess(config, runtime_socket(tmp_path), microphone.env)
        assert isinstance(hub.next(), Hello)
        hub.tell(PauseEar(paused=True))
        while process._answers.empty():
            threading.Event().wait(0.01)
        for _ in range(10):
            process.turn(time.monotonic(), NOON)
        assert process._capture is None
        assert (process._ring.position, arecords()) == (0, [])
        assert hub.until(Ear).state is Hearing.PAUSED
        process.close()


@pytest.mark.parts
def test_a_call_from_just_before_the_pause_is_still_told(tmp_path: Path, hub: Hub) -> None:
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone, listening(tmp_path, config, microphone.env):
        hub.until(Ear, state=Hearing.LISTENING)
        call = spoken(CALL, tmp_path)
        microphone.say(call[: np.flatnonzero(np.abs(call) > 0.01)[-1]])
        while not microphone.silent:
            threading.Event().wait(0.005)
        hub.tell(PauseEar(paused=True))
        assert hub.until(Detection).grave


def test_an_ear_that_has_nothing_to_hear_does_not_spin(tmp_path: Path) -> None:
    process = ListenProcess(ListenSection(hours="22:00-06:00"), runtime_socket(tmp_path))
    process.turn(time.monotonic(), NOON)
    began_s = time.monotonic()
    for _ in range(3):
        process.turn(time.monotonic(), NOON)
    assert time.monotonic() - began_s >= 3 * READ_S
    process.close()


@pytest.mark.parts
def test_with_a_microphone_it_listens_and_survives_the_hub(tmp_path: Path) -> None:
    with (
        VirtualMicrophone(tmp_path / "microphone") as microphone,
        listening(tmp_path, ListenSection(device=microphone.device), microphone.env),
    ):
        for _ in range(2):
            hub = Hub(tmp_path)
            good = next(ear for ear in hub.ears() if ear.state is Hearing.LISTENING)
            assert good.faults == ()
            assert good.model.startswith("distress_en ")
            assert good.audio_s > 0
            hub.close()
