"""Flashing: unmodified avrdude through the real Optiboot on a simulated chip, and every way in which it can go wrong."""

import contextlib
import fcntl
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import flash
from firmware_bridge.build import firmware_elf
from firmware_bridge.events import LinkUp, Pressed
from firmware_bridge.flash import FlashError, NoBootLoader, explain, hex_image, read_firmware
from firmware_bridge.simulator import SimulatedButton
from firmware_bridge.simulator.optiboot import SOURCE, optiboot_hex
from tests.test_link import Inbox, linked, wait_until

OLD_LOADER = SOURCE.parent.parent / "atmega" / "ATmegaBOOT_168_atmega328.hex"
needs_optiboot = pytest.mark.skipif(
    not SOURCE.exists(), reason="arduino-core-avr is not installed: it has the boot loader"
)


def nobody(what: str, percent: int) -> None:
    assert what in {"writing", "verifying"}
    assert 0 <= percent <= 100


@pytest.fixture(scope="module")
def firmware() -> flash.Firmware:
    return read_firmware(flash.firmware_file())


@pytest.fixture
def port(tmp_path: Path) -> Path:
    return tmp_path / "button"


# ---- the file ----


@pytest.mark.parts
def test_a_file_says_the_build_that_it_was_compiled_as(firmware: flash.Firmware) -> None:
    assert firmware.build == firmware_elf().with_name("button.elf.sha256").read_text()[:8]
    assert firmware.path == firmware_elf().with_suffix(".hex")


def hex_of(data: bytes, at: int = 0) -> str:
    """Intel HEX lines for these bytes, with an end."""
    lines = []
    for start in range(0, len(data), 16):
        part = data[start : start + 16]
        raw = bytes((len(part), *(at + start).to_bytes(2, "big"), 0)) + part
        lines.append(f":{(raw + bytes((-sum(raw) % 256,))).hex()}")
    return "\n".join([*lines, ":00000001FF"])


@given(st.binary(max_size=300), st.integers(0, 0x7000))
def test_an_image_comes_back(data: bytes, at: int) -> None:
    assert hex_image(hex_of(data, at)) == (b"\xff" * at + data if data else b"")


@given(st.text(alphabet=":0123456789ABCDEF\n", max_size=200) | st.text(max_size=60))
def test_any_text_is_an_image_or_raises_our_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert len(hex_image(text)) <= 2 * flash.FLASH_ROOM_BYTES


MARKED = flash.MARK + bytes((1, 2, 3, 4, 2, 0, 2))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (hex_of(b"another program"), "is no firmware of a Stayby button: give the button.hex"),
        (hex_of(flash.MARK), "is no firmware of a Stayby button"),
        (hex_of(MARKED).removesuffix(":00000001FF"), "its end record is missing"),
        (hex_of(MARKED).replace("5374", "5375"), "line 1 is damaged"),
        (hex_of(b"\xff" * 0x7800 + MARKED), "over the 30720 beside a boot loader"),
        ("\x7fELF", "line 1 is damaged"),
        ("\u20ac", "is no whole Intel HEX file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "other.hex"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FlashError, match=says) as refused:
        read_firmware(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_good_file_says_who_it_is(tmp_path: Path) -> None:
    file = tmp_path / "button.hex"
    file.write_text(hex_of(b"\x0c" * 40 + MARKED))
    assert read_firmware(file) == flash.Firmware(file, "04030201", "2.0", 2, 40 + len(MARKED))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match=r"none\.hex cannot be read"):
        read_firmware(tmp_path / "none.hex")


# ---- the port ----


@pytest.mark.parts
@needs_optiboot
def test_avrdude_flashes_an_empty_chip_through_optiboot(port: Path, firmware: flash.Firmware) -> None:
    seen: list[tuple[str, int]] = []
    with SimulatedButton(port, bootloader=optiboot_hex(), reset_on_open=True):
        done = flash.flash(str(port), firmware, lambda what, percent: seen.append((what, percent)))
    assert (done.up.build, done.up.firmware, done.old_loader) == (firmware.build, firmware.version, False)
    assert seen[0][0] == "writing"
    assert {("writing", 100), ("verifying", 100)} <= set(seen)


@pytest.mark.parts
@needs_optiboot
def test_a_press_that_nobody_took_survives_a_flash(port: Path, firmware: flash.Firmware) -> None:
    with SimulatedButton(port, bootloader=optiboot_hex(), firmware=firmware.path, reset_on_open=True) as unit:
        before, after = Inbox(), Inbox()
        with linked(port, before):
            before.next(LinkUp)
            unit.press()
            first = before.next(Pressed)
            unit.release()
        flash.flash(str(port), firmware, nobody)
        with linked(port, after) as link:
            again = after.next(Pressed)
            link.ack(again)
            wait_until(lambda: link.statistics().frames > 20)
        assert again.press_id == first.press_id
        assert after.count(Pressed) == 1


ONLY_57600 = """#!/bin/sh
case "$*" in *"-b 57600"*) exec {avrdude} "$@" ;; esac
echo "avrdude warning: attempt 3 of 3: not in sync: resp=0x00" >&2
exit 1
"""


@pytest.mark.parts
@needs_optiboot
def test_the_old_boot_loader_is_found_at_its_own_speed(
    port: Path, tmp_path: Path, firmware: flash.Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulated line has no speed, so what stands before the real avrdude is deaf at the other one."""
    before = tmp_path / "bin" / "avrdude"
    before.parent.mkdir()
    before.write_text(ONLY_57600.format(avrdude=shutil.which("avrdude")))
    before.chmod(0o755)
    monkeypatch.setenv("PATH", f"{before.parent}:{os.environ['PATH']}")
    with SimulatedButton(port, bootloader=OLD_LOADER, reset_on_open=True):
        done = flash.flash(str(port), firmware, nobody)
    assert (done.up.build, done.old_loader) == (firmware.build, True)


@pytest.mark.parts
def test_a_unit_without_boot_loader_is_told_apart(
    port: Path, firmware: flash.Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash, "SYNC_ATTEMPTS", 1)
    with SimulatedButton(port, reset_on_open=True):
        with pytest.raises(NoBootLoader, match="a unit programmed by ISP has none: stayby button flash --isp"):
            flash.flash(str(port), firmware, nobody)
        inbox = Inbox()
        with linked(port, inbox):
            assert inbox.next(LinkUp).build == firmware.build


@pytest.mark.parts
def test_a_silent_port_ends_in_time(port: Path, firmware: flash.Firmware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "AVRDUDE_S", 1.0)
    master, slave = pty.openpty()
    port.symlink_to(os.ttyname(slave))
    with pytest.raises(FlashError, match="did not end within 1 s: pull the plug"):
        flash.flash(str(port), firmware, nobody)
    os.close(slave)
    os.close(master)


@pytest.mark.parts
def test_a_unit_that_says_another_build_is_not_taken_for_flashed(port: Path, firmware: flash.Firmware) -> None:
    other = flash.Firmware(firmware.path, "00000000", "9.9", 2, 1)
    with (
        SimulatedButton(port),
        pytest.raises(FlashError, match=f"runs build {firmware.build}, not the 00000000 that was written"),
    ):
        flash._greeting(str(port), other)


@pytest.mark.parts
def test_a_missing_port_is_said(port: Path, firmware: flash.Firmware) -> None:
    with pytest.raises(FlashError, match="does not exist: plug the button in"):
        flash.flash(str(port), firmware, nobody)


@pytest.mark.parts
def test_a_file_is_no_port(port: Path, firmware: flash.Firmware) -> None:
    port.write_text("")
    with pytest.raises(FlashError, match="is no serial port"):
        flash.flash(str(port), firmware, nobody)


@pytest.mark.parts
def test_a_busy_port_is_left_alone(port: Path, firmware: flash.Firmware) -> None:
    master, slave = pty.openpty()
    port.symlink_to(os.ttyname(slave))
    other = os.open(port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(FlashError, match="is held by another program: end that program"):
        flash.flash(str(port), firmware, nobody)
    for descriptor in (other, slave, master):
        os.close(descriptor)


ASKER = """
from firmware_bridge import flash
flash.AVRDUDE_S = flash._ENDS_S = 0.5
flash._run_avrdude("port", 115200, "button.hex", print, ())
"""


def test_avrdude_ends_even_when_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    spinning = tmp_path / "avrdude"
    spinning.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ >{said}.new\nmv {said}.new {said}\nwhile :; do :; done\n")
    spinning.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    asker = subprocess.Popen([sys.executable, "-c", ASKER], env=env, cwd=Path(__file__).parent.parent)
    wait_until(said.exists)
    asker.kill()
    asker.wait()
    wait_until(lambda: not Path("/proc", said.read_text().strip()).exists())


def test_a_missing_avrdude_is_said(port: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FlashError, match="avrdude is missing: sudo apt-get install avrdude"):
        flash.flash(str(port), flash.Firmware(port, "0", "0", 0, 0), nobody)


INITIALIZED = "avrdude: AVR device initialized and ready to accept instructions\n"


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("avrdude OS error: cannot open port P: Permission denied\n", "sudo, or add this user to the group dialout"),
        ("avrdude OS error: cannot open port P: No such file or directory\n", "P does not exist: plug the button in"),
        (
            INITIALIZED + "avrdude: device signature = 0x1e9406 (probably m168)\n"
            "avrdude error: expected signature for ATmega328P is 1E 95 0F\n",
            "the chip on P is m168, no ATmega328P",
        ),
        (
            INITIALIZED + "avrdude error: verification mismatch\n        device 0xff != input 0x0c at addr 0x0000\n",
            "reads back is not what was written: flash again",
        ),
        ("avrdude warning: attempt 3 of 3: not in sync: resp=0x00\n", "no boot loader answers on P"),
        (
            INITIALIZED
            + 'avrdude OS error: ioctl("TIOCMGET"): bad\navrdude OS error: ser_recv(): read error: I/O error\n',
            r"broke off \(ser_recv\(\): read error: I/O error\): the unit holds half a program",
        ),
        (INITIALIZED, "broke off"),
        ("", "no boot loader answers on P"),
    ],
)
def test_what_avrdude_says_becomes_one_line(said: str, says: str) -> None:
    with pytest.raises(FlashError, match=says) as raised:
        raise explain("P", said)
    assert "\n" not in str(raised.value)


# ---- in production ----

FUSES_OF_THE_HEADER = """
#include <avr/io.h>
_Static_assert((LOW & 0xFF) == 0xFF, "no bit of it is programmed");
_Static_assert((HIGH & 0xFF) == (FUSE_SPIEN & FUSE_WDTON & FUSE_EESAVE & 0xFF), "hfuse");
_Static_assert((EXTENDED & 0xFF) == (FUSE_BODLEVEL1 & FUSE_BODLEVEL0 & 0xFF), "efuse");
_Static_assert((LOCK & 0xFF) == (LB_MODE_2 & 0xFF), "lock");
"""


@pytest.mark.parts
def test_the_fuses_are_what_the_page_says_by_the_chip_s_own_header() -> None:
    values = {"LOW": flash.LOW_FUSE, "HIGH": flash.HIGH_FUSE, "EXTENDED": flash.EXTENDED_FUSE, "LOCK": flash.LOCK_BITS}
    command = ["avr-gcc", "-mmcu=atmega328p", "-fsyntax-only", *(f"-D{name}={value}" for name, value in values.items())]
    subprocess.run([*command, "-x", "c", "-"], input=FUSES_OF_THE_HEADER, text=True, check=True)


def test_the_way_by_isp_names_file_build_and_every_fuse() -> None:
    text = flash.isp_way(flash.Firmware(Path("/x/button.hex"), "04030201", "2.0", 2, 7000))
    for word in ("/x/button.hex", "04030201", "lfuse:w:0xFF", "hfuse:w:0xC7", "efuse:w:0xFC", "lock:w:0xFE", "EESAVE"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120
