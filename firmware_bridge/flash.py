"""Puts a firmware into the button through its boot loader, with avrdude, and has the unit itself say that it runs.

A file counts as ours by the mark that firmware/identity.c leaves in it; beside it stands the build that Identity says.
"""

import errno
import fcntl
import os
import queue
import re
import select
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.build import CHIP, FIRMWARE_SOURCES, BuildError, firmware_elf
from firmware_bridge.events import ButtonEvent, LinkDown, LinkUp
from firmware_bridge.link import ButtonLink

PACKAGED = FIRMWARE_SOURCES / "button.hex"
"""What the Debian package brings, built; a checkout builds its own."""

MARK = b"StaybyButton"
_AFTER_MARK = struct.Struct("<IBBB")
FLASH_ROOM_BYTES = 0x7800
"""The chip's 32 kB less the 2 kB of the old Nano's boot loader; Optiboot takes 512 bytes."""

OPTIBOOT_BAUD = 115_200
OLD_LOADER_BAUD = 57_600
OPTIBOOT_FIRST_VERSION = 4
SYNC_ATTEMPTS = 5
AVRDUDE_S = 50.0
"""One run; a good one takes about 3 s. Two runs and the greeting end within the 180 s for which a hub lends its port."""
GREETING_S = 20.0
_ENDS_S = 3.0
_RECORD_BYTES = 5
"""Length, address, type and sum around the data of an Intel HEX record."""
_BAR = re.compile(r"(Writing|Reading) \| (#*)")

Progress = Callable[[str, int], None]
"""Told "writing" or "verifying", and how far it is, in percent."""


class FlashError(RuntimeError):
    """The unit was not flashed, or does not say that it was; one line says why and what to do now."""


class NoBootLoader(FlashError):
    """Nothing that speaks a boot loader's protocol answers on the port at this baud rate."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """A file with a program for the button, and what it says of itself."""

    path: Path
    build: str
    """Eight hexadecimal digits, as `LinkUp.build` says them."""
    version: str
    protocol: int
    flash_bytes: int


@dataclass(frozen=True, slots=True)
class Flashed:
    """What the unit said of itself afterwards, and whether its boot loader is the old one."""

    up: LinkUp
    old_loader: bool


# ---- the file ----


def firmware_file() -> Path:
    """Return the packaged hex file, or build it. Raises FlashError."""
    if PACKAGED.exists():
        return PACKAGED
    try:
        return firmware_elf().with_suffix(".hex")
    except (BuildError, OSError) as error:
        raise FlashError(
            f"no packaged firmware at {PACKAGED}, and none can be built: {error}; or give --hex FILE"
        ) from error


def read_firmware(path: Path) -> Firmware:
    """Read an Intel HEX file of ours. Raises FlashError for any other file."""
    try:
        image = hex_image(path.read_text(encoding="ascii"))
    except OSError as error:
        raise FlashError(f"{path} cannot be read ({error.strerror}): give the path of button.hex") from error
    except ValueError as error:
        raise FlashError(f"{path} is no whole Intel HEX file ({error}): copy or build it again") from error
    at = image.find(MARK)
    if at < 0 or at + len(MARK) + _AFTER_MARK.size > len(image):
        raise FlashError(f"{path} is no firmware of a Stayby button: give the button.hex of this release")
    if len(image) > FLASH_ROOM_BYTES:
        raise FlashError(
            f"{path} has {len(image)} bytes, over the {FLASH_ROOM_BYTES} beside a boot loader: take a smaller build"
        )
    build, major, minor, protocol = _AFTER_MARK.unpack_from(image, at + len(MARK))
    return Firmware(path, f"{build:08x}", f"{major}.{minor}", protocol, len(image))


def hex_image(text: str) -> bytes:
    """Return what an Intel HEX file puts into flash, from address 0, gaps as 0xFF. Raises ValueError."""
    image, base = bytearray(), 0
    for number, line in enumerate(text.split(), 1):
        kind, address, data = _record(line, number)
        if kind == 0:
            start = base + address
            if start + len(data) > FLASH_ROOM_BYTES * 2:
                raise ValueError(f"line {number} is for an address that the chip does not have")
            image.extend(b"\xff" * (start + len(data) - len(image)))
            image[start : start + len(data)] = data
        elif kind == 1:
            return bytes(image)
        elif kind in {2, 4}:
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)  # noqa: PLR2004 - types of the format
    raise ValueError("its end record is missing")


def _record(line: str, number: int) -> tuple[int, int, bytes]:
    try:
        raw = bytes.fromhex(line.removeprefix(":"))
    except ValueError:
        raw = b""
    if not line.startswith(":") or len(raw) < _RECORD_BYTES or len(raw) != raw[0] + _RECORD_BYTES or sum(raw) % 256:
        raise ValueError(f"line {number} is damaged")
    return raw[3], int.from_bytes(raw[1:3], "big"), raw[4:-1]


# ---- the port ----


def flash(port: str, firmware: Firmware, progress: Progress, hold: tuple[int, ...] = ()) -> Flashed:
    """Write, verify, and wait until the unit says that it runs this build. Blocks for at most 2 minutes.

    avrdude holds the lock on the port, and the descriptors `hold` (what the port was borrowed with), until it ends: a
    caller that is killed leaves no half program, and nobody takes the port while it is written.

    Presses that nobody has acknowledged stay in the unit's EEPROM: a boot loader does not touch it. Raises FlashError;
    KeyboardInterrupt passes through after avrdude was ended.
    """
    if shutil.which("avrdude") is None:
        raise FlashError("avrdude is missing: sudo apt-get install avrdude")
    with _held(port) as lock:
        holds = (lock, *hold)
        try:
            said = _run_avrdude(port, OPTIBOOT_BAUD, firmware.path, progress, holds)
        except NoBootLoader:
            said = _run_avrdude(port, OLD_LOADER_BAUD, firmware.path, progress, holds)
    return Flashed(_greeting(port, firmware), _is_old_loader(said))


def _is_old_loader(said: str) -> bool:
    """Whether the loader told avrdude a version below Optiboot's 4: the old Nano's says 1.16."""
    version = re.search(r"firmware version\s*:\s*(\d+)\.", said, re.IGNORECASE)
    return version is not None and int(version[1]) < OPTIBOOT_FIRST_VERSION


@contextmanager
def _held(port: str) -> Iterator[int]:
    """Keep other programs of ours off the port: pyserial's lock, which avrdude itself does not take."""
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise FlashError(_why_not_open(port, error)) from error
    try:
        if not os.isatty(descriptor):
            raise FlashError(f"{port} is no serial port: give --port the button's")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FlashError(_why_not_open(port, error)) from error
        yield descriptor
    finally:
        os.close(descriptor)


def _why_not_open(port: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"{port} does not exist: plug the button in, or give --port its path"
        case errno.EACCES | errno.EPERM:
            return f"{port} may not be opened: run this with sudo, or add this user to the group dialout"
        case errno.EBUSY | errno.EAGAIN:
            return f"{port} is held by another program: end that program"
    return f"{port} cannot be opened ({error.strerror}): give --port the button's"


def _run_avrdude(port: str, baud: int, hexfile: Path, progress: Progress, holds: tuple[int, ...]) -> str:
    # avrdude spins for ever on a port that has gone; `timeout` ends it even when nobody is left to do so
    command = ["timeout", f"--kill-after={_ENDS_S}", str(AVRDUDE_S + _ENDS_S)]
    command += ["avrdude", "-p", CHIP, "-c", "arduino", "-P", port, "-b", str(baud), "-x", f"attempts={SYNC_ATTEMPTS}"]
    command += ["-v", "-D", "-U", f"flash:w:{hexfile}:i"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        process_group=0,  # Ctrl-C is for us to handle, in order
        pass_fds=holds,
        restore_signals=False,  # a pipe that nobody reads any more does not end it
        env=_plain_words(),
    )
    assert process.stdout  # noqa: S101 - narrows the type, cannot fail
    try:
        said = _follow(process.stdout.fileno(), progress)
        status = process.wait(_ENDS_S)
    except TimeoutError as error:
        raise FlashError(
            f"avrdude on {port} did not end within {AVRDUDE_S:.0f} s: pull the plug, put it in, try again"
        ) from error
    finally:
        _end(process)
    if status != 0:
        raise explain(port, said)
    return said


def _plain_words() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _follow(output: int, progress: Progress) -> str:
    """Return all that avrdude says until its end. Raises TimeoutError after AVRDUDE_S."""
    said, end_s = "", time.monotonic() + AVRDUDE_S
    while True:
        readable, _, _ = select.select([output], [], [], max(0.0, end_s - time.monotonic()))
        if not readable:
            raise TimeoutError
        data = os.read(output, 4096)
        if not data:
            return said
        said += data.decode("utf-8", errors="replace")
        for what, marks in _BAR.findall(said):
            progress("writing" if what == "Writing" else "verifying", min(100, 2 * len(marks)))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def explain(port: str, said: str) -> FlashError:
    """Return, in one line of ours, why avrdude gave up."""
    # said at the end of every failed opening, and true of this one only
    if "ermission denied" in said:
        return FlashError(_why_not_open(port, PermissionError(errno.EACCES, "")))
    if "No such file or directory" in said and "open port" in said:
        return FlashError(_why_not_open(port, FileNotFoundError(errno.ENOENT, "")))
    if "xpected signature" in said:
        found = re.search(r"probably (?:\.?\w+ or )*(\w+)", said)
        what = found[1] if found else "another chip"
        return FlashError(
            f"the chip on {port} is {what}, no ATmega328P: give --port the button's, or take another board"
        )
    if "mismatch" in said:
        return FlashError(
            f"what {port} reads back is not what was written: flash again; then change its supply, then the unit"
        )
    if "initialized" not in said:
        return NoBootLoader(
            f"no boot loader answers on {port}: pull the plug, put it in, try again; "
            "a unit programmed by ISP has none: stayby button flash --isp"
        )
    complaints = re.findall(r"avrdude(?: OS)? error: (.*)", said) or [
        line for line in said.splitlines() if line.strip()
    ]
    last = next((line for line in reversed(complaints) if "TIOCM" not in line), "it ended")
    return FlashError(f"flashing {port} broke off ({last.strip()}): the unit holds half a program, so flash again now")


def _greeting(port: str, firmware: Firmware) -> LinkUp:
    """Wait until the unit greets. No press is acknowledged here: the unit keeps them for the hub."""
    said: queue.SimpleQueue[ButtonEvent | BaseException] = queue.SimpleQueue()
    end_s, last = time.monotonic() + GREETING_S, "nothing came"
    with ButtonLink(port, said.put, on_death=said.put):
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                event = said.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, LinkDown):
                last = event.reason
            if isinstance(event, LinkUp):
                return _same_build(event, port, firmware)
    raise FlashError(
        f"{firmware.path.name} was written and verified, but the unit does not greet ({last}): power it off and on"
    )


def _same_build(up: LinkUp, port: str, firmware: Firmware) -> LinkUp:
    if up.build != firmware.build:
        raise FlashError(
            f"the unit on {port} runs build {up.build}, not the {firmware.build} that was written: flash again"
        )
    return up


# ---- in production ----

LOW_FUSE = 0xFF
HIGH_FUSE = 0xC7
EXTENDED_FUSE = 0xFC
LOCK_BITS = 0xFE


def isp_way(firmware: Firmware) -> str:
    """Return the commands that make a new chip a unit, with a programmer at its ISP header, and why."""
    name, build = firmware.path, firmware.build
    return f"""\
In production: a programmer (USBasp, or -c avrisp2, -c stk500v2) at the ISP header, 5 V, no boot loader.
A unit without a boot loader starts at once and says why it was reset; it is flashed by ISP only.

1. Erase, and set the fuses. -B 10: slow, for a chip that still runs at 1 MHz.

    avrdude -p {CHIP} -c usbasp -B 10 -e \\
        -U lfuse:w:0x{LOW_FUSE:02X}:m -U hfuse:w:0x{HIGH_FUSE:02X}:m -U efuse:w:0x{EXTENDED_FUSE:02X}:m

2. Write and verify the firmware {firmware.version}, build {build}; then lock. Keep this order.

    avrdude -p {CHIP} -c usbasp \\
        -U flash:w:{name}:i -U lock:w:0x{LOCK_BITS:02X}:m

3. Plug it in: stayby button --port PORT must show build {build}. Then: stayby button self-test --port PORT.

To flash such a unit again: step 2 with -e before its first -U. Presses in its EEPROM survive (EESAVE).

lfuse 0x{LOW_FUSE:02X}  CKSEL 1111, SUT 11: the 16 MHz crystal, 65 ms for it to settle; CKDIV8 off: full speed.
hfuse 0x{HIGH_FUSE:02X}  WDTON: the watchdog cannot be switched off by any program error.
            EESAVE: an erase leaves the EEPROM alone, and with it the presses that nobody has taken.
            SPIEN: ISP stays possible. RSTDISBL, DWEN off. BOOTRST off: starts at address 0; BOOTSZ 11: no matter.
efuse 0x{EXTENDED_FUSE:02X}  BODLEVEL 100: held in reset below 4.3 V (4.1 to 4.5), so that it never
            runs at 16 MHz, nor writes its EEPROM, on too little.
lock  0x{LOCK_BITS:02X}  LB 10: flash and fuses can be read and compared, but changed only after an erase."""
