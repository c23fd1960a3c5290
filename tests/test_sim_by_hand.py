"""Simulated units by hand: every fault reaches the chip, two units run at once, and virtual time is exact however it is cut."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_bridge.events import ButtonEvent, LinkUp
from firmware_bridge.link import ButtonLink
from firmware_bridge.simulator import SimulatedButton, SimulatorError
from firmware_bridge.simulator.control import ControlSocket, ask, default_control_path

DEADLINE_S = 20.0
pytestmark = pytest.mark.parts


def wait_until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, "it did not become true in time"
        time.sleep(0.01)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Path]:
    with SimulatedButton(tmp_path / "button") as unit, ControlSocket(unit, tmp_path / "control.sock") as socket:
        yield socket.path


def test_every_fault_shows_in_the_status(control: Path) -> None:
    assert ask(control, "status") == "plugged, loop 2.50 V, covert 2.50 V, lid closed, on: nothing"
    for said, shows in (
        ("odd 3300", "loop 3.30 V"),
        ("cut covert", "covert 4.99 V"),
        ("lid open", "lid open"),
        ("garble 10%", "10.0% of the bytes damaged"),
        ("flood both", "flooded"),
        ("wire down", "wires broken"),
        ("freeze on", "the clock stands"),
        ("unplug", "unplugged"),
        ("power off", "no power"),
    ):
        assert ask(control, said) == ""
        assert shows in ask(control, "status")
    for word in ("power on", "freeze off", "brownout", "hang", "reset", "press covert bounce 8", "release covert"):
        ask(control, word)


@pytest.mark.parametrize(
    ("words", "says"),
    [("odd", "it goes odd"), ("explode", "it knows press, release"), ("flood me", "say which: hub, unit, both, off")],
)
def test_a_wrong_word_is_refused_in_one_line(control: Path, words: str, says: str) -> None:
    with pytest.raises(SimulatorError, match=says):
        ask(control, words)


def test_a_replugged_unit_comes_back_under_another_number(tmp_path: Path) -> None:
    port = tmp_path / "button"
    heard: list[ButtonEvent] = []
    with SimulatedButton(port) as unit, ButtonLink(str(port), heard.append):
        wait_until(lambda: any(isinstance(event, LinkUp) for event in heard))
        before = port.readlink()
        unit.replug()
        assert port.readlink() != before
        wait_until(lambda: sum(isinstance(event, LinkUp) for event in heard) == 2)


def test_two_units_run_at_once_each_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    sim = [sys.executable, "-c", "from firmware_bridge.simulator.cli import app; app()"]
    running = [
        subprocess.Popen(
            [*sim, "run", "--unit", name, "--port", str(tmp_path / name)], stdout=subprocess.PIPE, text=True
        )
        for name in ("till-1", "till-2")
    ]
    try:
        wait_until(default_control_path("till-1").exists)
        wait_until(default_control_path("till-2").exists)
        odd = subprocess.run([*sim, "odd", "3300", "--unit", "till-2"], timeout=DEADLINE_S, check=False)
        assert odd.returncode == 0
        assert "loop 2.50 V" in ask(default_control_path("till-1"), "status")
        assert "loop 3.30 V" in ask(default_control_path("till-2"), "status")
    finally:
        for process in running:
            process.terminate()
            process.communicate(timeout=DEADLINE_S)
    assert [process.returncode for process in running] == [0, 0]


def test_virtual_time_is_exact_however_it_is_cut() -> None:
    def frames(cut: Callable[[SimulatedButton, float], float]) -> list[tuple[float, bytes]]:
        with SimulatedButton(None, virtual_time=True, seed=3) as unit:
            unit.step(1.0)
            unit.press(0)
            now_s = unit.now_s()
            while now_s < 4:
                now_s = cut(unit, 4 - now_s)
            return [(frame.at_s, frame.encoded) for frame in unit.take_frames()]

    always_the_same = random.Random(4)  # noqa: S311 - no secret
    whole = frames(lambda unit, left_s: unit.step(left_s))
    told = frames(lambda unit, left_s: unit.step(min(0.05, left_s), until_told=True))
    small = frames(lambda unit, left_s: unit.step(min(left_s, always_the_same.uniform(0.0001, 0.02))))
    assert len(whole) > 10
    assert told == whole
    assert small == whole
