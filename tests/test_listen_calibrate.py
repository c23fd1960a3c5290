"""Calibration: the file that the ear reads, what is said of a room, and a quiet, a noisy and a dead microphone."""

import io
import math
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kiosk.bus import runtime_socket
from kiosk.config import ListenSection
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.detection import SCORE_LIMIT, Figure, Manifest
from kiosk.listen.calibrate import SENTENCE, CalibrateError, Wanted, calibrate
from kiosk.listen.calibration import (
    LOOSEST,
    STRICTEST,
    Calibration,
    CalibrationError,
    CalibrationFile,
    calibrated,
    calibration_path,
    now_calibrated,
    parse,
    save,
)
from kiosk.listen.model import packaged_model, read_manifest
from kiosk.listen.process import ListenProcess
from kiosk.listen.room import (
    OFFSETS,
    SPEECH_DBFS,
    Room,
    Tried,
    in_words,
    measured,
    most_an_hour,
    open_hours,
    proposal,
    propose,
    recall_at,
    speech_level,
    week_words,
)
from kiosk.messages import Fault
from tests.looks import model_with_looks, needs_moonshine, say

MODEL = "ab" * 32
NOON = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
DEADLINE_S = 60.0
CALL = "Call an ambulance!"
ACCEPTED = Calibration(offset=0.5, noise_dbfs=-52.1, made=NOON, model_sha256=MODEL)
STAYBY = Path(sys.executable).parent / "stayby"


# --- the file ---------------------------------------------------------------------------------------------------------


def test_what_was_accepted_is_read_again(tmp_path: Path) -> None:
    path = calibration_path(tmp_path / "kiosk.toml")
    save(path, ACCEPTED)
    assert parse(path.read_text()) == ACCEPTED
    assert stat.S_IMODE(path.stat().st_mode) == 0o644, "root writes it, the ear reads it"
    assert [one.name for one in tmp_path.iterdir()] == ["calibration.toml"]


@given(st.floats(LOOSEST, STRICTEST), st.floats(-120, 0))
def test_every_calibration_in_bounds_survives_its_file(offset: float, noise_dbfs: float) -> None:
    made = now_calibrated(round(offset, 2), noise_dbfs, MODEL)
    buffer = f"offset = {made.offset:.2f}\nnoise_dbfs = {made.noise_dbfs:.1f}\nmade = {NOON.isoformat()}\n"
    assert parse(buffer + f'model_sha256 = "{MODEL}"\n').offset == made.offset


GOOD = f'offset = 0.5\nnoise_dbfs = -50.0\nmade = 2026-06-01T12:00:00Z\nmodel_sha256 = "{MODEL}"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "offset: Field required"),
        ("offset = ", "is not TOML"),
        (GOOD.replace("0.5", "-1.1"), "offset: Input should be greater than or equal to -1"),
        (GOOD.replace("0.5", "3.5"), "offset: Input should be less than or equal to 3"),
        (GOOD.replace("0.5", "nan"), "offset: Input should be a finite number"),
        (GOOD.replace("0.5", '"0.5"'), "offset: Input should be a valid number"),
        (GOOD.replace("12:00:00Z", "12:00:00"), "made: Input should have timezone info"),
        (GOOD.replace(MODEL, "0"), "model_sha256: String should match"),
        (GOOD + "more = 1\n", "more: Extra inputs are not permitted"),
        ("a = " + "[" * 9999, "is not TOML"),
    ],
)
def test_a_broken_file_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(CalibrationError) as wrong:
        parse(text)
    assert str(wrong.value).startswith(says)


def test_the_ear_sees_a_file_that_comes_changes_breaks_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    file = CalibrationFile(path)

    def look() -> tuple[float, str]:
        file.look()
        fault = file.fault(MODEL)
        return file.offset(MODEL), fault.says if fault else ""

    assert look() == (0.0, "")
    save(path, ACCEPTED)
    assert look() == (0.5, "")
    save(path, ACCEPTED.model_copy(update={"offset": -1.0}))
    assert look() == (-1.0, "")
    path.write_text("offset")
    offset, says = look()
    assert offset == 0.0
    assert says.startswith("is not TOML")
    assert look() == (0.0, says), "it stays wrong until it changes"
    path.write_bytes(b"\xff\xfe")
    assert "codec can't decode" in look()[1]
    path.unlink()
    assert look() == (0.0, "")
    path.mkdir()
    assert look() == (0.0, "cannot be read (Is a directory)")


def test_another_models_calibration_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    save(path, ACCEPTED)
    file = CalibrationFile(path)
    file.look()
    assert file.offset("0" * 64) == 0.0
    fault = file.fault("0" * 64)
    assert fault is not None
    assert (fault.code, fault.says) == ("calibration_ignored", "was made for another model, on 2026-06-01")
    assert CalibrationFile(None).fault(MODEL) is None


def test_an_offset_moves_every_threshold_and_nothing_else() -> None:
    shipped = read_manifest(packaged_model())
    moved = calibrated(shipped, 0.5)
    for before, after in zip(shipped.phrases, moved.phrases, strict=True):
        assert after.model_copy(update={"alone": before.alone, "looked": before.looked}) == before
        for old, new in ((before.alone, after.alone), (before.looked, after.looked)):
            if old is None or new is None:
                assert old is new
                continue
            for (_, was), (_, now) in zip(old, new, strict=True):
                assert now is None if was is None else now == pytest.approx(min(SCORE_LIMIT, was + 0.5))
    assert moved.second_look == shipped.second_look
    assert calibrated(shipped, 0.0) is shipped


def test_the_ear_takes_a_calibration_at_its_start_and_when_it_changes(tmp_path: Path) -> None:
    shipped = read_manifest(packaged_model())
    path = tmp_path / "calibration.toml"
    process = ListenProcess(ListenSection(device="no_such"), runtime_socket(tmp_path), None, path)
    now_s = time.monotonic()

    def threshold(at_s: float) -> float:
        process.turn(now_s + at_s, NOON)
        assert process._loop is not None
        return process._loop._decider.phrases[0].alone.threshold - shipped.phrases[0].alone.threshold

    def ignored(at_s: float) -> list[Fault]:
        ear = process._ear(now_s + at_s, open_now=True)
        return [fault for fault in ear.faults if fault.code == "calibration_ignored"]

    try:
        save(path, now_calibrated(0.5, -50.0, shipped.sha256))
        assert threshold(0) == pytest.approx(0.5)
        save(path, now_calibrated(-1.0, -50.0, shipped.sha256))
        assert threshold(11) == pytest.approx(-1.0)
        assert ignored(11) == []
        path.write_text("offset = 9")
        assert threshold(22) == 0.0
        (fault,) = ignored(22)
        assert fault.where == str(path)
        save(path, now_calibrated(0.5, -50.0, "0" * 64))
        assert threshold(33) == 0.0
        assert "another model" in ignored(33)[0].says
    finally:
        process.close()


# --- what is said of a room -------------------------------------------------------------------------------------------


def room(checked: tuple[int, ...] = (0,) * len(OFFSETS), seconds: float = 120.0, usual_dbfs: float = -70.0) -> Room:
    tried = tuple(Tried(offset, count, count) for offset, count in zip(OFFSETS, checked, strict=True))
    return Room(seconds, -75.0, usual_dbfs, -20.0, tried)


def manifest(**figures: float) -> Manifest:
    made = tuple(Figure(name=name, value=value, unit="", n=1, on="") for name, value in figures.items())
    return read_manifest(packaged_model()).model_copy(update={"figures": made})


def test_levels_become_floor_middle_and_loudest() -> None:
    found = measured(8.0, [float(-n) for n in range(1, 101)], ())
    assert (found.noise_dbfs, found.usual_dbfs, found.loudest_dbfs) == (-90.0, -50.0, -1.0)


@pytest.mark.parametrize(
    ("checked", "offset"),
    [
        ((0, 0, 0, 0, 0, 0, 0, 0), 0.0),
        ((3, 1, 0, 0, 0, 0, 0, 0), 0.0),
        ((5, 4, 3, 1, 0, 0, 0, 0), 1.0),
        ((9, 9, 9, 9, 9, 9, 9, 2), 0.0),
    ],
)
def test_the_mildest_offset_without_a_false_call_is_proposed_and_never_a_looser_one(
    checked: tuple[int, ...], offset: float
) -> None:
    assert propose(room(checked)) == offset


def test_a_room_that_no_threshold_quiets_is_said_plainly() -> None:
    assert "do not help: think of a better place" in proposal(room((9,) * len(OFFSETS)))
    assert proposal(room()) == "Proposed: the thresholds as shipped."


def test_nothing_in_two_minutes_proves_less_than_ninety_an_hour() -> None:
    assert most_an_hour(0, 120) == pytest.approx(90.0)
    for count, most in ((1, 4.744), (2, 6.296), (5, 10.51), (10, 16.96), (50, 63.29)):
        assert most_an_hour(count, 3600) == pytest.approx(most, rel=0.01)
    (line,) = [line for line in in_words(room(), manifest(), "09:00-21:00") if "certainty" in line]
    assert line == (
        "At 84 hours a week that makes 0 false checks a week. 2 minutes prove little: up to 7,600 a week (90 an hour) fit as"
        " well, with 95 % certainty."
    )


@pytest.mark.parametrize(
    ("hours", "a_week"),
    [(None, 168.0), ("08:00-21:00", 91.0), ("22:00-06:00", 56.0), ("08:00-08:00", 168.0), ("09:30-18:15", 61.25)],
)
def test_opening_hours(hours: str | None, a_week: float) -> None:
    assert open_hours(hours) == a_week


def test_what_the_model_measured_itself_is_scaled_to_the_week() -> None:
    words = " ".join(in_words(room(), manifest(false_per_h=0.5), "08:00-18:00"))
    assert "0.5 false checks an hour of dense speech, 35 a week" in words
    assert "was not measured" in " ".join(in_words(room(), manifest(), None))
    measured_one = manifest(false_per_h=0.5, **{"false_per_h_offset_+0.5": 0.2})
    assert week_words(measured_one, "08:00-18:00", 0.5) == "14"
    assert [week_words(measured_one, None, offset) for offset in (-0.5, 1.0)] == ["more", "fewer"]
    assert week_words(manifest(), None, 0.0) == "not known"


def test_recall_is_that_of_the_next_worse_noise_that_was_measured() -> None:
    known = manifest(recall_store_20_db=0.9, recall_store_10_db=0.8, recall_store_5_db=0.6, recall_all=0.99)
    assert [recall_at(known, snr) for snr in (30, 20, 19, 7, -3)] == [
        (0.9, 20),
        (0.9, 20),
        (0.8, 10),
        (0.6, 5),
        (0.6, 5),
    ]
    assert recall_at(manifest(), 10) is None
    loud = " ".join(in_words(room(usual_dbfs=SPEECH_DBFS + 3), known, None))
    assert "expect fewer than that" in loud
    assert "was not measured here" in loud
    assert "is not known" in " ".join(in_words(room(), manifest(), None))


def test_speech_is_measured_where_somebody_reads_aloud() -> None:
    spoken = [-70.0] * 60 + [-30.0] * 30 + [-36.0] * 10
    assert speech_level(spoken, room()) == pytest.approx(-30.9, abs=0.01)
    assert speech_level([-70.0] * 90 + [-30.0] * 10, room()) is None, "0.8 s is a cough"
    words = " ".join(in_words(replace(room(), speech_dbfs=-40.0), manifest(recall_store_20_db=0.9), None))
    assert words.endswith(
        "Speech is about 30 dB above this room's noise, as it was read aloud: -40 dB. Of calls 20 dB above the noise the model"
        " heard 90%, of synthetic voices: expect about that here, and fewer of real ones."
    )


@given(st.integers(0, 500), st.floats(5, 3600), st.floats(-120, 0), st.sampled_from([None, "08:00-21:00"]))
def test_whatever_was_measured_there_are_words_for_it(
    count: int, seconds: float, usual_dbfs: float, hours: str | None
) -> None:
    found = room((count,) * len(OFFSETS), seconds, usual_dbfs)
    lines = [*in_words(found, manifest(false_per_h=1.0, recall_store_5_db=0.5), hours), proposal(found)]
    assert all(line and "nan" not in line and "inf" not in line for line in lines)
    assert math.isfinite(most_an_hour(count, seconds))


# --- with a microphone ------------------------------------------------------------------------------------------------


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(tmp_path / "microphone") as made:
        yield made


def calibrate_in(
    microphone: VirtualMicrophone, path: Path, seconds: float = 5.0, *, accept: bool = True, **config: Any
) -> tuple[bool, str]:
    said = io.StringIO()
    console = Console(file=said, width=120)
    wanted = Wanted(seconds, accept=accept)
    section = ListenSection(device=microphone.device, **config)
    written = calibrate(section, path, wanted, console, microphone.env)
    return written, " ".join(said.getvalue().split())


@contextmanager
def over_and_over(microphone: VirtualMicrophone, sound: Path) -> Iterator[None]:
    """Play a sound into the room until the end of the block."""
    stop = threading.Event()

    def again() -> None:
        while not stop.is_set():
            microphone.play(sound)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parts
def test_a_quiet_room_keeps_what_was_shipped(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    path = tmp_path / "calibration.toml"
    written, said = calibrate_in(microphone, path)
    assert written
    assert "In 5 seconds the ear looked closer not once" in said
    assert "Proposed: the thresholds as shipped." in said
    kept = parse(path.read_text())
    assert (kept.offset, kept.model_sha256) == (0.0, read_manifest(packaged_model()).sha256)
    assert -100 < kept.noise_dbfs < -40


@pytest.mark.parts
def test_a_room_that_is_taken_for_a_call_is_counted_and_dry_run_changes_nothing(
    tmp_path: Path, microphone: VirtualMicrophone
) -> None:
    call, path = (
        say(tmp_path / "call.wav", CALL, voice="en-gb-x-rp", pitch=80, speed=180),
        tmp_path / "calibration.toml",
    )
    folder = model_with_looks(tmp_path / "model")
    with over_and_over(microphone, call):
        _, said = calibrate_in(microphone, path, seconds=6.0, accept=False, model_dir=folder, second_look="off")
    assert "not once" not in said
    assert "What it took for a call: “" in said
    assert "Without a second look: only what the first stage is very sure of counts." in said
    assert "Nothing was changed." in said
    assert not path.exists()


@pytest.mark.parts
@needs_moonshine
def test_second_looks_are_counted_as_the_ear_takes_them(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    folder, path = model_with_looks(tmp_path / "model", gate=-20.0), tmp_path / "calibration.toml"
    ordinary = say(tmp_path / "ordinary.wav", SENTENCE)
    with over_and_over(microphone, ordinary):
        _, said = calibrate_in(microphone, path, 8.0, accept=False, model_dir=folder)
    assert "Without a second look" not in said
    assert "the ear looked closer not once" not in said
    assert "“Do you need help?” not once" in said


class Asked(io.StringIO):
    """A terminal that notices when the technician is asked to read."""

    def __init__(self) -> None:
        super().__init__()
        self.to_read = threading.Event()

    def write(self, text: str) -> int:
        if "read this aloud" in text:
            self.to_read.set()
        return super().write(text)


@pytest.mark.parts
def test_who_reads_aloud_is_measured(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    text, said = say(tmp_path / "text.wav", SENTENCE), Asked()

    def read() -> None:
        if said.to_read.wait(DEADLINE_S):
            microphone.play(text)

    reader = threading.Thread(target=read)
    reader.start()
    wanted, path = Wanted(5.0, accept=False, read_aloud=True), tmp_path / "calibration.toml"
    calibrate(ListenSection(device=microphone.device), path, wanted, Console(file=said, width=300), microphone.env)
    reader.join()
    assert "as it was read aloud: -" in said.getvalue()


@pytest.mark.parts
def test_a_muted_microphone_is_said_and_nothing_is_proposed(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    assert microphone._room is not None
    microphone._room.terminate()
    microphone._room.wait()
    with pytest.raises(CalibrateError, match=r"^microphone \w+: .*(zeros|no sound).*; .*unmute it.* calibrate again$"):
        calibrate_in(microphone, tmp_path / "calibration.toml")


def test_a_microphone_that_another_program_holds_is_said_and_what_to_do(tmp_path: Path) -> None:
    recorder = tmp_path / "arecord"
    recorder.write_text('#!/bin/sh\necho "arecord: main:831: audio open error: Device or resource busy" >&2\nexit 1\n')
    recorder.chmod(0o755)
    wanted, console = Wanted(5, accept=True), Console(file=io.StringIO())
    with pytest.raises(
        CalibrateError, match=r"^microphone hw:1: .* Device or resource busy; .*systemctl stop stayby-listen"
    ):
        calibrate(ListenSection(device="hw:1"), tmp_path / "calibration.toml", wanted, console, {"PATH": str(tmp_path)})


def stayby(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    config = folder / "kiosk.toml"
    config.write_text(
        '[unit]\nstore = "s"\nid = "d"\nplace = "Desk"\naddress = "Street 1"\n[broker]\nhost = "localhost"\n'
        'ca_file = "ca.pem"\nusername = "d"\npassword = "p"\n[listen]\ndevice = "no_such_microphone"\n'
    )
    command = [str(STAYBY), "listen", "--config", str(config), *options]
    environment = {**os.environ, "STAYBY_STATE_DIR": str(folder / "state")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )


@pytest.mark.parts
def test_a_microphone_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = stayby(tmp_path, "--calibrate", "--seconds", "5", "--dry-run")
    assert done.returncode == 1
    *before, line = done.stderr.splitlines()
    assert line.startswith("microphone no_such_microphone: the microphone cannot be opened: ")
    assert all("XNNPACK" in one for one in before), "TFLite's own greeting, and nothing else"
    assert not (tmp_path / "calibration.toml").exists()


def test_nobody_to_ask_and_options_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    asked = stayby(tmp_path, "--calibrate")
    assert (asked.returncode, asked.stderr) == (1, "nobody is there to ask: say --accept or --dry-run\n")
    alone = stayby(tmp_path, "--accept")
    assert (alone.returncode, alone.stderr) == (
        1,
        "--offset, --read-aloud, --accept and --dry-run go with --calibrate\n",
    )


def test_this_moment_has_a_time_zone() -> None:
    assert now_calibrated(0.0, -50.0, MODEL).made.astimezone(UTC) <= datetime.now(UTC)
