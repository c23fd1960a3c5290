"""Unmodified avrdude flashes the firmware through an unmodified Optiboot on the simulated chip; the link then greets it."""

import subprocess
import time
from pathlib import Path

import pytest

from firmware_bridge.build import BuildError, firmware_elf
from firmware_bridge.events import ButtonEvent, LinkUp
from firmware_bridge.link import ButtonLink
from firmware_bridge.simulator import SimulatedButton, SimulatorError, optiboot

DEADLINE_S = 30.0
TRIES = 4
pytestmark = pytest.mark.parts


def avrdude(port: Path, hexfile: Path) -> str:
    """Flash, again if need be: avrdude gives the chip 0.5 s to answer, which a machine that runs much else may not hold."""
    words = f"-c arduino -p m328p -P {port} -b {optiboot.BAUD} -D -U flash:w:{hexfile}:i".split()
    for _ in range(TRIES):
        done = subprocess.run(["avrdude", *words], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    return done.stderr


def greeting(port: Path) -> LinkUp:
    heard: list[ButtonEvent] = []
    with ButtonLink(str(port), heard.append):
        end_s = time.monotonic() + DEADLINE_S
        while not (up := [event for event in heard if isinstance(event, LinkUp)]):
            assert time.monotonic() < end_s, heard
            time.sleep(0.02)
    return up[0]


def test_an_empty_chip_is_flashed_and_greeted(tmp_path: Path) -> None:
    port, hexfile = tmp_path / "button", firmware_elf().with_suffix(".hex")
    with SimulatedButton(port, bootloader=optiboot.optiboot_hex(), reset_on_open=True):
        assert "bytes of flash verified" in avrdude(port, hexfile)
        up = greeting(port)
    assert up.reset_cause == "unknown", "Optiboot 4 hides it"


def test_a_hex_file_runs_as_the_elf_does(tmp_path: Path) -> None:
    with SimulatedButton(tmp_path / "button", firmware=firmware_elf().with_suffix(".hex")) as unit:
        assert unit.port
        assert greeting(unit.port).reset_cause == "power on"


@pytest.mark.parametrize(
    "lines", [":00000001FF\n", "not hex\n", ":0480100011223344C3\n", ":04801000FF270994A9\n", ":01000000FF01\n"]
)
def test_a_broken_hex_file_is_refused(tmp_path: Path, lines: str) -> None:
    broken = tmp_path / "broken.hex"
    broken.write_text(lines)
    with (
        pytest.raises(SimulatorError, match="did not start"),
        SimulatedButton(None, virtual_time=True, firmware=broken),
    ):
        pass


def test_without_debians_sources_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optiboot, "SOURCE", tmp_path / "optiboot.c")
    with pytest.raises(BuildError, match=r"optiboot\.c is missing.*apt-get install arduino-core-avr"):
        optiboot.optiboot_hex(tmp_path)
