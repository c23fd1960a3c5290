"""Why the chip started, behind boot loaders that hide it, hand it over, or say nothing true; and a chip that is broken."""

import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.build import firmware_elf
from firmware_bridge.protocol import Identity, ResetCause
from firmware_bridge.simulator.optiboot import optiboot_hex
from tests.firmware_bench import Bench, bench

pytestmark = pytest.mark.parts

UNKNOWN = ResetCause(0)
LOADER_STARTS_AT = "0x7e00"
VERSION_AT = "0x7ffe"
HANDS_OVER = "in r2, 0x34"
LIES = "ldi r16, 0x0b\nmov r2, r16"
CLEARS = "clr r16\nout 0x34, r16"


def loader(folder: Path, version: int | None, *does: str) -> Path:
    """Build a boot loader that does this and starts the program; `version` is the flash's last word."""
    source = ["\n".join(does), "jmp 0", *([f'.section .version, "a"\n.word {version}'] if version is not None else [])]
    (folder / "loader.s").write_text("\n".join(source) + "\n")
    elf, hexfile = folder / "loader.elf", folder / "loader.hex"
    sections = (f"-Wl,--section-start=.text={LOADER_STARTS_AT}", f"-Wl,--section-start=.version={VERSION_AT}")
    command = ["avr-gcc", f"-mmcu={build.CHIP}", "-nostdlib", *sections, "-o", str(elf), str(folder / "loader.s")]
    subprocess.run(command, check=True)
    subprocess.run(
        ["avr-objcopy", "-O", "ihex", "-j", ".text", "-j", ".version", str(elf), str(hexfile)],
        check=True,
    )
    return hexfile


def causes(desk: Bench, *, wait_s: float = 0.5) -> list[ResetCause]:
    """Return what it says after power on, a pull of the reset pin, a brown-out and a self-test."""
    said = [desk.identity().reset_cause]
    for act in (desk.unit.reset, desk.unit.brown_out, desk.unit.hang):
        desk.heard.clear()
        act()
        desk.run(wait_s)
        said.append(desk.identity().reset_cause)
    return said


ALL_FOUR = [ResetCause.POWER_ON, ResetCause.PIN, ResetCause.BROWN_OUT, ResetCause.WATCHDOG]
ONLY_THE_PROOF = [UNKNOWN, UNKNOWN, UNKNOWN, ResetCause.WATCHDOG]


@pytest.mark.parametrize(
    ("version", "does", "said"),
    [
        pytest.param(0x0802, [], ALL_FOUR, id="Optiboot 8 leaves MCUSR"),
        pytest.param(0x0602, [HANDS_OVER, CLEARS], ALL_FOUR, id="Optiboot 6.2 hands it over in r2"),
        pytest.param(0x0406, [HANDS_OVER, CLEARS], ALL_FOUR, id="Optiboot 4.6, the first that does"),
        pytest.param(0x0405, [LIES, CLEARS], ONLY_THE_PROOF, id="Optiboot 4.5 loses it"),
        pytest.param(0x0707, [LIES, CLEARS], ONLY_THE_PROOF, id="a version that would not have cleared it"),
        pytest.param(None, [LIES, CLEARS], ONLY_THE_PROOF, id="another loader, without a version"),
    ],
)
def test_the_reset_cause_behind_a_loader(
    tmp_path: Path, version: int | None, does: list[str], said: list[ResetCause]
) -> None:
    firmware = firmware_elf().with_suffix(".hex")
    with bench(bootloader=loader(tmp_path, version, *does), firmware=firmware) as desk:
        assert causes(desk) == said


def test_a_watchdog_in_r2_may_be_the_loaders_own(tmp_path: Path) -> None:
    """After a pull of the reset pin, Optiboot 4.6 to 6.2 ends by its own watchdog, and hands that over."""
    only_watchdog = "ldi r16, 0x08\nmov r2, r16"
    firmware = firmware_elf().with_suffix(".hex")
    with bench(bootloader=loader(tmp_path, 0x0602, only_watchdog, CLEARS), firmware=firmware) as desk:
        assert causes(desk) == ONLY_THE_PROOF


def test_the_optiboot_of_every_uno_hides_all_but_the_proof() -> None:
    with bench(bootloader=optiboot_hex(), firmware=firmware_elf().with_suffix(".hex")) as desk:
        desk.run(2.0)
        assert causes(desk, wait_s=2.5) == ONLY_THE_PROOF


# ---- a chip that is broken ----


def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, works: str, breaks: str) -> Path:
    """Build the firmware with one part that ends to work."""
    sources = tmp_path / "firmware"
    shutil.copytree(build.FIRMWARE_SOURCES, sources)
    text = (sources / file).read_text()
    assert text.count(works) == 1
    (sources / file).write_text(text.replace(works, breaks))
    monkeypatch.setattr(build, "FIRMWARE_SOURCES", sources)
    return build.firmware_elf(tmp_path / "build")


@pytest.mark.parametrize(
    ("file", "works", "breaks"),
    [
        (
            "converter.c",
            "    next = 0;\n",
            "    static uint16_t left = 1000;\n    next = 0;\n    if (!left || !--left) return;\n",
        ),
        ("clock.c", "    tick = true;\n", "    if (milliseconds < 1000) tick = true;\n"),
        ("lid.c", "    bool seen_open", "    if (now_ms > 1000) for (;;) {}\n    bool seen_open"),
    ],
    ids=["no samples", "no milliseconds", "a hang in one part"],
)
def test_the_watchdog_sees_what_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, works: str, breaks: str
) -> None:
    with bench(firmware=broken(tmp_path, monkeypatch, file, works, breaks)) as desk:
        desk.run(3.5)
        starts = desk.told(Identity)
        assert [start.reset_cause for start in starts[:3]] == [ResetCause.POWER_ON] + [ResetCause.WATCHDOG] * 2
