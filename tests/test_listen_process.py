"""The listen process between a microphone and a hub: what it tells, and that it goes on without either."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from kiosk.config import ListenSection
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.detection import Heard
from kiosk.listen.hear import file_loop, hear_file
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model, read_manifest
from kiosk.listen.process import ListenProcess, detection, in_hours
from kiosk.listen.ring import Ring
from kiosk.messages import Detection, Hearing, Hello
from tests.listening import DEADLINE_S, Hub, listening
from tests.looks import model_with_looks, needs_moonshine, say


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
