"""`stayby button` as a technician uses it: the view in words, then the command with the real chip, hub and terminal."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from firmware_bridge.build import FIRMWARE_SOURCES, _compile_firmware
from firmware_bridge.flash import firmware_file, read_firmware
from firmware_bridge.simulator import SimulatedButton
from firmware_bridge.simulator.optiboot import SOURCE, optiboot_hex
from kiosk import button_view as view
from kiosk.button_cli import FromHub, find
from kiosk.demo.stage import Part, Stage, wait_for
from kiosk.messages import ButtonHealth

ROOT = Path(__file__).parent.parent
GOOD = ButtonHealth(
    port="/dev/stayby-button",
    up=True,
    firmware="2.0",
    build="0a1b2c3d",
    reset_cause="power on",
    loop="normal",
    loop_volts=2.5,
    covert_loop="normal",
    covert_volts=2.49,
    frames=100,
    round_trip_ms=7.0,
    round_trip_worst_ms=12.0,
    up_for_s=7_000,
)


def watched(*readings: ButtonHealth, every_s: float = 0.25) -> view.Watch:
    watch = view.Watch(readings[0])
    for number, reading in enumerate(readings):
        watch.take(reading, number * every_s)
    return watch


def but(**changes: Any) -> ButtonHealth:
    return GOOD.model_copy(update=changes)


def metered(**changes: Any) -> ButtonHealth:
    seen = {"loop_low_volts": 2.5, "loop_high_volts": 2.5, "covert_low_volts": 2.5, "covert_high_volts": 2.5}
    return but(meter="running", samples=250, **{**seen, **changes})


def drawn(watch: view.Watch, width: int = 60, *, direct: bool = True) -> list[str]:
    console = Console(width=width, height=24, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(view.render(watch, "/dev/stayby-button, opened here", direct=direct))
    return capture.get().splitlines()


# ---- the view ----


def test_a_good_button_is_good_and_nothing_else() -> None:
    assert view.findings(watched(GOOD)) == []
    assert view.one_line(watched(GOOD)).startswith("GOOD | button 2.50 V normal")


@pytest.mark.parametrize(
    ("reading", "says", "do"),
    [
        (but(loop="cut", loop_volts=5.0), "button: a wire is off", "terminals"),
        (but(covert_loop="short", covert_volts=0.0), "covert button: its two wires touch", "pinched"),
        (but(loop="odd", loop_volts=4.0), "button: its volts fit nothing", "resistors"),
        (but(loop="pressed", loop_volts=1.2), "button: somebody presses it", "Let it go"),
        (but(lid_open=True), "the lid is open", "Close it"),
        (but(says="firmware 1.0 is older: stayby button flash"), "firmware 1.0 is older", "Stayby button flash"),
        (but(up=False, says="/dev/x does not exist: plug it in"), "/dev/x does not exist", "Plug it in"),
        (but(up=False), "nothing from the unit yet", "Wait"),
    ],
)
def test_what_is_wrong_says_what_to_do(reading: ButtonHealth, says: str, do: str) -> None:
    (found,) = view.findings(watched(GOOD, reading))
    assert found.says == says
    assert do in found.do
    assert says in view.one_line(watched(GOOD, reading)).lower()


def test_a_disturbed_line_shows_for_ten_seconds_and_no_longer() -> None:
    readings = [GOOD, but(bad_frames=3), *[but(bad_frames=3)] * 50]
    assert view.findings(watched(*readings[:3])) == [view.LINE]
    assert view.findings(watched(*readings)) == []


def test_lowest_and_highest_and_faults_stay_after_the_wiggle() -> None:
    watch = watched(GOOD, but(loop="cut", loop_volts=4.99), but(loop="cut", loop_volts=4.9), GOOD, but(loop_volts=2.4))
    assert (watch.button.low_v, watch.button.high_v, watch.button.faults) == (2.4, 4.99, 1)
    head, bar, needle = next(
        drawn(watch)[n : n + 3] for n, line in enumerate(drawn(watch)) if line.startswith("Button")
    )
    assert "2.40 V normal" in head
    assert "seen 2.40 to 4.99 V, faults 1" in head
    assert bar.index("normal") < needle.index("^") + 6
    assert needle.rstrip().endswith("-" * 29)


def test_presses_are_counted_through_a_restart_of_the_unit() -> None:
    watch = watched(but(presses=7), but(presses=8), but(presses=0), but(presses=2), every_s=1.0)
    assert (watch.presses.seen, watch.presses.last_s) == (3, 3.0)


def test_what_the_meter_saw_between_two_readings_is_in_lowest_and_highest_and_is_not_good_for_5_s() -> None:
    broke = metered(loop_high_volts=4.99)
    watch = watched(metered(), broke, metered())
    assert (watch.button.low_v, watch.button.high_v, watch.button.faults) == (2.5, 4.99, 0)
    assert [found.says for found in view.findings(watch)] == ["button: its wire broke off for a moment"]
    touched = metered(covert_low_volts=0.0)
    assert [found.says for found in view.findings(watched(metered(), touched))] == [
        "covert button: its wires touched for a moment"
    ]
    assert view.findings(watched(broke, *[metered()] * 19)) != []
    later = watched(broke, *[metered()] * 20)
    assert view.findings(later) == []
    assert later.button.high_v == 4.99


def test_a_press_is_no_break_and_a_break_that_lasts_is_told_once() -> None:
    assert view.findings(watched(metered(), metered(loop_low_volts=1.19), metered(loop_low_volts=0.8))) == []
    cut = but(loop="cut", loop_volts=5.0, meter="running", loop_low_volts=5.0, loop_high_volts=5.0)
    assert [found.says for found in view.findings(watched(metered(), cut))] == ["button: a wire is off"]


@pytest.mark.parametrize(
    ("reading", "says"),
    [
        (metered(), "1000 readings a second, 0.0 s lost; under 1 ms hides."),
        (metered(unseen_s=0.3), "1000 readings a second, 0.6 s lost; under 1 ms hides."),
        (but(meter="missing"), view.NO_METER),
        (but(meter="waiting"), view.NO_METER_NOW),
        (but(), view.NO_METER_NOW),
        (metered(up=False), view.NO_METER_NOW),
    ],
)
def test_what_cannot_be_seen_is_said(reading: ButtonHealth, says: str) -> None:
    watch = watched(reading, reading)
    assert view.sight(watch) == says
    assert says in drawn(watch)
    assert watch.health.up is False or view.one_line(watch).endswith(f"| {says}")


HEALTH = st.builds(
    ButtonHealth,
    meter=st.sampled_from(["off", "waiting", "running", "missing"]),
    loop_low_volts=st.none() | st.floats(0, 5),
    loop_high_volts=st.none() | st.floats(0, 5),
    covert_low_volts=st.none() | st.floats(0, 5),
    covert_high_volts=st.none() | st.floats(0, 5),
    unseen_s=st.floats(0, 10**6),
    port=st.just("/dev/stayby-button"),
    says=st.sampled_from(
        ["", "no colon", "/dev/ttyUSB0 is open but nothing comes: check its supply; if good, it hangs"]
    ),
    loop_volts=st.none() | st.floats(0, 5),
    covert_volts=st.none() | st.floats(0, 5),
    presses=st.integers(0, 65535),
    covert_presses=st.integers(0, 65535),
    frames=st.integers(0, 2_000),
    bad_frames=st.integers(0, 999),
    repeated_frames=st.integers(0, 10**5),
    own_repeats=st.integers(0, 10**5),
    unit_bad_frames=st.integers(0, 255),
    firmware=st.sampled_from(["", "2.0"]),
    build=st.just("0a1b2c3d"),
    reset_cause=st.sampled_from(["power on and brown out", "unknown"]),
    round_trip_ms=st.none() | st.floats(0, 9999),
    round_trip_worst_ms=st.none() | st.floats(0, 9999),
    up_for_s=st.none() | st.floats(0, 10**6),
    local_alarm=st.booleans(),
    up=st.booleans(),
    lid_open=st.booleans(),
    loop=st.sampled_from(["normal", "cut", "odd"]),
)


@given(st.lists(HEALTH, min_size=1, max_size=4), st.booleans())
def test_any_reading_fits_a_phone(readings: list[ButtonHealth], direct: bool) -> None:
    lines = drawn(watched(*readings), width=200, direct=direct)  # wide, so that nothing is wrapped that is too long
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("╭")


@given(st.sampled_from(view.BANDS), st.floats(0.1, 0.9))
def test_the_needle_stands_in_the_band_that_it_is_read_as(band: view.Band, share: float) -> None:
    at = view._cell(band.from_v + share * (band.to_v - band.from_v))
    assert view._bar().plain[at] in f" {band.word}"


@pytest.mark.parametrize("volts", [0.6, 1.88, 3.7])
def test_between_the_bands_the_needle_stands_on_nothing(volts: float) -> None:
    assert view._bar().plain[view._cell(volts)] == "."


def test_the_bands_are_those_of_the_firmware_and_of_the_page() -> None:
    board = (ROOT / "firmware_bridge" / "firmware" / "board.h").read_text()
    steps = {name: int(mv) / 1000 for name, mv in re.findall(r"#define (\w+) STEPS\((\d+)\)", board)}
    bands = {band.word: (band.from_v, band.to_v) for band in view.BANDS}
    assert bands == {
        "short": (0.0, steps["SHORT_BELOW"]),
        "pressed": (steps["PRESSED_FROM"], steps["PRESSED_BELOW"]),
        "normal": (steps["NORMAL_FROM"], steps["NORMAL_BELOW"]),
        "cut": (steps["CUT_FROM"], 5.0),
    }
    page = (ROOT / "docs" / "button.md").read_text()
    rows = re.findall(r"^\| (short|pressed|normal|cut):.* \| ([\d.]+) – ([\d.]+) \|$", page, flags=re.MULTILINE)
    assert {word: (float(low), float(high)) for word, low, high in rows} == bands


# ---- the command ----


@dataclass
class Ran:
    status: int
    out: str
    err: str


def stayby(*arguments: str | Path, timeout_s: float = 90.0) -> Ran:
    command = [sys.executable, "-m", "kiosk", "button", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def port(tmp_path: Path) -> Path:
    return tmp_path / "button"


needs_optiboot = pytest.mark.skipif(
    not SOURCE.exists(), reason="arduino-core-avr is not installed: it has the boot loader"
)


@pytest.mark.parts
def test_one_reading_of_a_port_that_nobody_holds(port: Path) -> None:
    with SimulatedButton(port) as unit:
        good = stayby("--port", port, "--once")
        assert (good.status, good.err) == (0, "")
        assert good.out.startswith("GOOD | button 2.50 V normal (2.50 to 2.50), covert 2.50 V normal")
        unit.cut(covert=True)
        wait_for("the fault", lambda: stayby("--port", port, "--once").status == 1)
        bad = stayby("--port", port, "--json")
    assert bad.status == 1
    told = json.loads(bad.out)
    assert (told["covert_loop"], told["meter"]) == ("cut", "running")
    assert told["samples"] >= 100
    assert told["covert_low_volts"] > 4.9
    assert told["loop_low_volts"] == told["loop_high_volts"] == 2.495


def blink(unit: SimulatedButton) -> None:
    """Break the wire for some 10 ms of the chip's time."""
    since_s = unit.now_s()
    unit.cut()
    while unit.now_s() < since_s + 0.01:
        pass
    unit.normal()


@pytest.mark.parts
def test_a_break_of_10_ms_shows_at_once(port: Path) -> None:
    with SimulatedButton(port) as unit:
        command = [sys.executable, "-m", "kiosk", "button", "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as watching:
            assert watching.stdout
            assert "readings a second" in watching.stdout.readline()
            blink(unit)
            assert any("NOT GOOD: Button: its wire broke off for a moment." in line for line in watching.stdout)
            watching.send_signal(signal.SIGINT)
            assert watching.wait(15) == 0


@pytest.mark.parts
def test_an_older_firmware_has_no_meter_and_the_view_says_so(port: Path, firmware_without_meter: Path) -> None:
    with SimulatedButton(port, firmware=firmware_without_meter):
        done = stayby("--port", port, "--once")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("GOOD | button 2.50 V normal (2.50 to 2.50)")
    assert done.out.endswith(f"| {view.NO_METER}\n")


@pytest.mark.parts
def test_a_missing_port_is_one_line(port: Path) -> None:
    done = stayby("--port", port, "--once")
    assert done.status == 1
    assert done.out == f"NOT GOOD: {port} does not exist. Plug the button in, or set button.port to its path\n"


def test_no_configuration_and_no_port_is_one_line(tmp_path: Path) -> None:
    done = stayby("--config", tmp_path / "none.toml")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "or say --port" in done.err


@pytest.mark.parts
def test_watching_takes_no_press_away(port: Path) -> None:
    with SimulatedButton(port) as unit:
        command = [sys.executable, "-m", "kiosk", "button", "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as watching:
            assert watching.stdout
            assert "GOOD" in watching.stdout.readline()
            unit.press()
            assert any("presses 1+0" in line for line in watching.stdout)
            unit.release()
            watching.send_signal(signal.SIGINT)
            assert watching.wait(15) == 0
        wait_for("the siren", lambda: unit.outputs().relay)


@pytest.mark.parts
def test_the_live_view_in_a_real_terminal(port: Path) -> None:
    with SimulatedButton(port) as unit, terminal("--port", str(port)) as screen:
        screen.wait("GOOD")
        unit.short()
        screen.wait("NOT GOOD", "Button: its two wires touch.", "Look for a pinched cable")


class Terminal:
    """A terminal of 60 × 24 and the command in it."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._said = ""

    def wait(self, *words: str) -> None:
        """Read until all of these were drawn."""
        while not all(word in self._said for word in words):
            self._said += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(self._master, 65536).decode(errors="replace"))


@contextlib.contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "24"}
    command = [sys.executable, "-m", "kiosk", "button", *arguments]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=env) as watching:
        os.close(slave)
        try:
            yield Terminal(master)
            watching.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # its end
                while os.read(master, 65536):
                    pass
            assert watching.wait(15) == 0
        finally:
            watching.kill()
            os.close(master)


@pytest.mark.parts
def test_a_self_test_without_a_hub(port: Path) -> None:
    with SimulatedButton(port):
        done = stayby("self-test", "--port", port)
    assert done.status == 0, done
    assert "watchdog" in done.out
    assert done.out.count("\n") == 1


@pytest.mark.parts
@needs_optiboot
def test_stopped_half_way_it_says_so_and_the_next_flash_works(port: Path) -> None:
    with SimulatedButton(port, bootloader=optiboot_hex(), reset_on_open=True):
        command = [sys.executable, "-m", "kiosk", "button", "flash", "--port", str(port)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as flashing:
            assert flashing.stderr
            assert flashing.stderr.readline() == "writing …\n"
            flashing.send_signal(signal.SIGINT)
            assert "stopped by hand: it holds half a program" in flashing.stderr.read()
        assert flashing.returncode == 130
        again = stayby("flash", "--port", port)
        assert again.status == 0, again
        assert "written, verified, and greeted by the unit." in again.out


def test_the_isp_way_needs_no_button(tmp_path: Path) -> None:
    done = stayby("flash", "--isp", "--config", tmp_path / "none.toml")
    assert done.status == 0
    assert "lock:w:0xFE:m" in done.out


# ---- through the hub ----


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A button with a boot loader and a hub; no broker, which is a fault and no reason to stop."""
    if not SOURCE.exists():
        pytest.skip("arduino-core-avr is not installed: it has the boot loader")
    with Stage(tmp_path) as made:
        made.write_config()
        made.button = SimulatedButton(
            made.folder / "button", bootloader=optiboot_hex(), firmware=firmware_file(), reset_on_open=True
        )
        made.start_button()
        made.start_hub()
        wait_for("the button", lambda: health(made).up)
        yield made


def health(stage: Stage) -> ButtonHealth:
    status = stage.status()
    return (status.button if status else None) or ButtonHealth(port="")


def hub(stage: Stage) -> Part:
    return stage.parts["alertd"]


@pytest.mark.parts
def test_the_hub_lends_its_button_and_gets_it_back_flashed(stage: Stage) -> None:
    reading = stayby("--config", stage.config_file, "--json")
    assert json.loads(reading.out)["build"] == read_firmware(firmware_file()).build
    done = stayby("flash", "--config", stage.config_file)
    assert done.status == 0, done
    assert done.out.splitlines()[-1] == "The hub has the button again."
    tested = stayby("self-test", "--config", stage.config_file)
    assert tested.status == 0, tested


def _high(source: FromHub) -> float:
    return source.read().loop_high_volts or 0.0


@pytest.mark.parts
def test_each_who_watches_through_the_hub_sees_every_break_and_nobody_keeps_the_meter_running(stage: Stage) -> None:
    place = find(None, stage.config_file)
    with contextlib.closing(FromHub(place)) as one, contextlib.closing(FromHub(place)) as other:
        wait_for("the meter", lambda: min(one.read().samples, other.read().samples) > 0)
        blink(stage.button)
        blind = [one, other]

        def both_saw_it() -> bool:
            blind[:] = [source for source in blind if _high(source) < 4.9]
            return not blind

        wait_for("both to see it", both_saw_it)
        wait_for("both to see it no more", lambda: max(_high(one), _high(other)) < 2.6)
        assert health(stage).loop_high_volts is None, "stayby status measures nothing"
    wait_for("the meter to end", lambda: health(stage).meter == "off")


@pytest.mark.parts
def test_a_flash_that_is_killed_half_way_is_finished_before_the_hub_has_the_port(stage: Stage, tmp_path: Path) -> None:
    _compile_firmware(tmp_path / "other.elf", sorted(FIRMWARE_SOURCES.glob("*.c")), build_id="0badf00d")
    command = [sys.executable, "-m", "kiosk", "button", "flash", "--config", str(stage.config_file)]
    command += ["--hex", str(tmp_path / "other.hex")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as flashing:
        assert flashing.stderr
        assert flashing.stderr.readline() == "writing …\n"
        flashing.kill()
    assert health(stage).says == "being flashed"
    wait_for("the button", lambda: health(stage).up and health(stage).build == "0badf00d")


@pytest.mark.parts
def test_no_flash_in_an_incident_and_the_hub_keeps_its_button(stage: Stage) -> None:
    stage.tap_button()
    wait_for("the incident", lambda: (status := stage.status()) and status.incident)
    done = stayby("flash", "--config", stage.config_file)
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "stayby button: an incident is open and the button is needed: wait until staff have closed it\n"
    )
    assert health(stage).up


@pytest.mark.parts
def test_a_flash_that_fails_gives_the_port_back(stage: Stage, tmp_path: Path) -> None:
    other = tmp_path / "avrdude"
    other.write_text("#!/bin/sh\necho 'avrdude error: verification mismatch'\nexit 1\n")
    other.chmod(0o755)
    command = [sys.executable, "-m", "kiosk", "button", "flash", "--config", str(stage.config_file)]
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env, timeout=60)
    assert done.returncode == 1
    assert "reads back is not what was written: flash again" in done.stderr
    wait_for("the hub to have it back", lambda: health(stage).up)
