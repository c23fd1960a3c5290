"""Optiboot, the boot loader of the Arduino Uno and of newer Nanos: built from Debian's sources, unchanged.

The hex file that Debian ships beside them (1.8.13) cannot run on any ATmega328P: today's compiler makes 532 bytes of it,
20 more than the boot section holds. Optiboot's authors have since added the two options that bring it down to 500; under
GCC 14 it takes -fno-jump-tables as well.
"""

import os
import shutil
import subprocess
from pathlib import Path

from firmware_bridge.build import CHIP, CLOCK_HZ, BuildError, build_folder

SOURCE = Path("/usr/share/arduino/hardware/arduino/avr/bootloaders/optiboot/optiboot.c")
BAUD = 115_200
_FLAGS = (
    f"-mmcu={CHIP}",
    f"-DF_CPU={CLOCK_HZ}L",
    f"-DBAUD_RATE={BAUD}",
    "-DLED_START_FLASHES=3",
    "-Os",
    "-fno-inline-small-functions",
    "-fno-split-wide-types",
    "-fno-move-loop-invariants",
    "-fno-tree-scev-cprop",
    "-fno-jump-tables",
    "-mrelax",
    "-nostartfiles",
    "-Wl,--section-start=.text=0x7e00",
    "-Wl,--section-start=.version=0x7ffe",
)


def optiboot_hex(folder: Path | None = None) -> Path:
    """Build Optiboot for the ATmega328P at 16 MHz if need be; return its Intel hex file. Raises BuildError."""
    hexfile = (folder or build_folder()) / "optiboot.hex"
    if hexfile.exists():
        return hexfile
    if not SOURCE.exists():
        raise BuildError(
            f"{SOURCE} is missing, so no boot loader can be simulated: sudo apt-get install arduino-core-avr"
        )
    hexfile.parent.mkdir(parents=True, exist_ok=True)
    elf, new = (hexfile.with_name(f"optiboot-{os.getpid()}.{kind}") for kind in ("elf", "new"))
    _run("avr-gcc", *_FLAGS, "-o", str(elf), str(SOURCE))
    _run("avr-objcopy", "-O", "ihex", "-j", ".text", "-j", ".data", "-j", ".version", str(elf), str(new))
    elf.unlink()
    return new.replace(hexfile)


def _run(tool: str, *arguments: str) -> None:
    if shutil.which(tool) is None:
        raise BuildError(
            f"{tool} is missing, so no boot loader can be built: sudo apt-get install gcc-avr binutils-avr"
        )
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{tool} failed on {SOURCE}: {done.stderr.strip()[:200]}")
