"""Builds the button's firmware and the simulator that runs it; does nothing when both are up to date."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
FIRMWARE_SOURCES = PACKAGE / "firmware"
SIMULATOR_SOURCE = PACKAGE / "simulator" / "avrsim.c"
FOLDER_VARIABLE = "STAYBY_FIRMWARE_BUILD"
"""Environment variable that overrides where the results go."""

CHIP = "atmega328p"
CLOCK_HZ = 16_000_000
BAUD = 38_400
_AVR_FLAGS = (
    f"-mmcu={CHIP}",
    f"-DF_CPU={CLOCK_HZ}UL",
    f"-DBAUD={BAUD}UL",
    "-std=gnu11",
    "-Os",
    "-flto",
    # four that -Os leaves as they are, and that make the program for this chip 500 bytes smaller
    "-mrelax",
    "-mstrict-X",
    "-mcall-prologues",
    "-fno-ipa-sra",
    "-ffunction-sections",
    "-fdata-sections",
    "-fshort-enums",
    "-Wl,--gc-sections",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Werror",
)
_HOST_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-I/usr/include/simavr")
_HOST_LIBRARIES = ("-lsimavr", "-lutil")


class BuildError(RuntimeError):
    """A tool is missing or a source does not compile; one line says which and what to install."""


def build_folder() -> Path:
    """Return where the results go: $STAYBY_FIRMWARE_BUILD, build/firmware of the checkout, or the user's cache."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    checkout = PACKAGE.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "build" / "firmware"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stayby" / "firmware"


def firmware_elf(folder: Path | None = None) -> Path:
    """Build the firmware if need be; return the ELF file. `button.hex` lies beside it."""
    folder = folder or build_folder()
    sources = sorted(FIRMWARE_SOURCES.glob("*.[ch]"))
    stamp = _stamp(sources, _AVR_FLAGS)
    elf = folder / "button.elf"
    with _one_builder(folder):
        if not _is_current(elf, stamp) or not elf.with_suffix(".hex").exists():
            _compile_firmware(elf, [source for source in sources if source.suffix == ".c"], build_id=stamp[:8])
            _mark(elf, stamp)
    return elf


def simulator_program(folder: Path | None = None) -> Path:
    """Build the simulator if need be; return the program."""
    folder = folder or build_folder()
    stamp = _stamp([SIMULATOR_SOURCE], _HOST_FLAGS)
    program = folder / "avrsim"
    with _one_builder(folder):
        if not _is_current(program, stamp):
            _compile_simulator(program)
            _mark(program, stamp)
    return program


def firmware_sizes(elf: Path) -> tuple[int, int]:
    """Return the bytes of flash and of static RAM that the firmware takes."""
    sections = {}
    for line in _run("avr-size", "-A", str(elf), package="binutils-avr").splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit():  # noqa: PLR2004 - name, size, address
            sections[words[0]] = int(words[1])
    data = sections.get(".data", 0)
    return sections.get(".text", 0) + data, data + sections.get(".bss", 0) + sections.get(".noinit", 0)


def _compile_firmware(elf: Path, sources: list[Path], build_id: str) -> None:
    new = elf.with_suffix(".elf.new")
    program = [str(source) for source in sources]
    _run("avr-gcc", *_AVR_FLAGS, f"-DBUILD_ID=0x{build_id}UL", "-o", str(new), *program, package="gcc-avr avr-libc")
    hexfile = elf.with_suffix(".hex")
    sections = ("-R", ".eeprom", "-R", ".fuse", "-R", ".lock")
    _run("avr-objcopy", "-O", "ihex", *sections, str(new), str(hexfile), package="binutils-avr")
    new.replace(elf)


def _compile_simulator(program: Path) -> None:
    if not Path("/usr/include/simavr/sim_avr.h").exists():
        raise BuildError("libsimavr is missing, so the button cannot be simulated: sudo apt-get install libsimavr-dev")
    new = program.with_suffix(".new")
    _run("gcc", *_HOST_FLAGS, "-o", str(new), str(SIMULATOR_SOURCE), *_HOST_LIBRARIES, package="gcc libsimavr-dev")
    new.replace(program)


def _run(tool: str, *arguments: str, package: str) -> str:
    if shutil.which(tool) is None:
        raise BuildError(f"{tool} is missing, so the button cannot be built: sudo apt-get install {package}")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        problem = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
        raise BuildError(f"{tool} failed: {problem}")
    return done.stdout


def _stamp(sources: list[Path], flags: tuple[str, ...]) -> str:
    digest = hashlib.sha256(" ".join(flags).encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _stamp_file(result: Path) -> Path:
    return result.with_name(result.name + ".sha256")


def _is_current(result: Path, stamp: str) -> bool:
    mark = _stamp_file(result)
    return result.exists() and mark.exists() and mark.read_text() == stamp


def _mark(result: Path, stamp: str) -> None:
    _stamp_file(result).write_text(stamp)


@contextmanager
def _one_builder(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Build both and say what came out."""
    try:
        elf, program = firmware_elf(), simulator_program()
        flash, ram = firmware_sizes(elf)
    except BuildError as error:
        raise SystemExit(f"stayby: {error}") from error
    print(f"{elf}: {flash} bytes of flash, {ram} bytes of static RAM")
    print(f"{elf.with_suffix('.hex')}: for avrdude")
    print(program)


if __name__ == "__main__":
    main()
