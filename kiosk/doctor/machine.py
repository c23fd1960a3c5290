"""Looks at the machine itself: power, heat, disk, clock. Reads /sys, /proc and /run below a root that is handed in.

Undervoltage comes from `vcgencmd get_throttled`, which Raspberry Pi OS brings and which remembers since the start; from the
kernel's `rpi_volt` sensor, which knows only the present moment; and from the firmware's own file, where the kernel has it.
Any of them that says so is believed. https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kiosk.doctor.record import Check, untested, well, wrong

ROOT = Path("/")
LOW_NOW, HOT_NOW, LOW_EVER = 1 << 0, 1 << 3, 1 << 16
ASK_S = 5.0
HOT_C, WARM_C = 80.0, 70.0
"""A Pi slows down from 80 °C (85 °C at the latest); over 70 °C in a closed housing a summer's day takes it there."""
FREE_LEAST_MB, FREE_LEAST_PERCENT = 100.0, 5.0
MB = 1e6
WORN_STEP, WORN_SOON_STEP = 0x0B, 0x09
"""JEDEC eMMC 5.0: in steps of a tenth of its life; 0x0B is over its end."""
EOL_NORMAL = 1
YEAR_LEAST, YEAR_MOST = 2026, 2038
NEW_SUPPLY = "use the official 5 V supply and its own cable, nothing between; then restart the unit and look again"


def read(path: Path) -> str | None:
    """Return the text of a file of the kernel, None where there is none or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return None  # this machine, or this user, has no such reading


def run(*command: str) -> str | None:
    """Return what a program of the system says, None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # it is not installed here, or says nothing
    return done.stdout.strip() if done.returncode == 0 else None


# --- power and heat ---------------------------------------------------------------------------------------------------


def power(root: Path = ROOT) -> Check:
    """Return whether the supply holds 5 V, now and since the start."""
    flags, low_now = _throttled(root), _low_now(root)
    if flags is None and low_now is None:
        return untested("power", "this machine has no reading of its supply", "only a Raspberry Pi tells it")
    bits = (flags or 0) | (LOW_NOW if low_now else 0)
    if bits & LOW_NOW:
        return wrong("power", "the supply is under 4.63 V at this moment", NEW_SUPPLY, flags=bits)
    if bits & LOW_EVER:
        return wrong("power", "the supply fell under 4.63 V since the start", NEW_SUPPLY, flags=bits)
    since = "now and since the start" if flags is not None else "at this moment; what was before is not known here"
    return well("power", f"the supply holds, {since}", flags=bits)


def _throttled(root: Path) -> int | None:
    """Return the firmware's bits, of all that tell any."""
    said = [run("vcgencmd", "get_throttled")] if root == ROOT or shutil.which("vcgencmd") else []
    said += [read(path) for path in root.glob("sys/devices/platform/soc*/soc*firmware/get_throttled")]
    found = [
        int(one.rpartition("=")[2], 16) for one in said if one and re.fullmatch(r"(throttled=)?(0x)?[\da-f]+", one)
    ]
    bits = 0
    for one in found:
        bits |= one
    return bits if found else None


def _low_now(root: Path) -> bool | None:
    for sensor in root.glob("sys/class/hwmon/hwmon*"):
        if read(sensor / "name") == "rpi_volt":
            alarm = read(sensor / "in0_lcrit_alarm")
            return alarm == "1" if alarm is not None else None
    return None


def temperature(root: Path = ROOT) -> Check:
    """Return whether the processor is cool enough, and was."""
    said = (read(path) for path in sorted(root.glob("sys/class/thermal/thermal_zone*/temp")))
    found = [int(one) / 1000 for one in said if one and one.lstrip("-").isdigit()]
    if not found:
        return untested("temperature", "this machine does not tell its temperature")
    hottest_c = max(found)
    do = "give it air: free its vents, take it out of the sun, add a heat sink or a fan"
    if hottest_c >= HOT_C or (_throttled(root) or 0) & HOT_NOW:
        return wrong("temperature", f"{hottest_c:.0f} °C: it slows down", do, celsius=hottest_c)
    if hottest_c >= WARM_C:
        return wrong("temperature", f"{hottest_c:.0f} °C: too warm for a summer's day", do, celsius=hottest_c)
    return well("temperature", f"{hottest_c:.0f} °C", celsius=hottest_c)


# --- disk -------------------------------------------------------------------------------------------------------------


def disk(folder: Path, root: Path = ROOT) -> Iterator[Check]:
    """Yield how the disk is that keeps the unit's state in `folder`."""
    yield _space(folder)
    yield _writable(folder)
    yield _wear(root)
    yield _errors(root)


def _space(folder: Path) -> Check:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        do = "correct [unit] state_dir, or start stayby-alertd once: it makes the folder"
        return wrong("disk space", f"{folder}: {error.strerror}", do)
    free_mb, percent = usage.free / MB, 100 * usage.free / usage.total
    says = f"{folder}: {free_mb:,.0f} MB free, {percent:.0f} %"
    if free_mb < FREE_LEAST_MB or percent < FREE_LEAST_PERCENT:
        do = f"see what fills it: sudo du -xh {folder} /var | sort -h | tail; `sudo apt-get clean` frees some"
        return wrong("disk space", says, do, free_mb=free_mb, free_percent=percent)
    return well("disk space", says, free_mb=free_mb, free_percent=percent)


def _writable(folder: Path) -> Check:
    """Write, sync and take away one small file; who may not try looks at how the disk is mounted."""
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            do = "the card may be at its end: copy what matters, replace it; first look at `dmesg | grep -i mmc`"
            return wrong("disk writing", f"{folder} is read-only", do)
        begun_s = time.monotonic()
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"stayby\n" * 512)
            file.flush()
            os.fsync(file.fileno())
        took_ms = 1000 * (time.monotonic() - begun_s)
    except PermissionError:
        return untested("disk writing", f"{folder} may not be written by you", "run it with sudo")
    except OSError as error:
        return wrong(
            "disk writing", f"{folder}: {error.strerror}", "free or replace the disk, then restart stayby-alertd"
        )
    return well("disk writing", f"a small file was on disk after {took_ms:.0f} ms", write_ms=took_ms)


def _wear(root: Path) -> Check:
    """Return how much of its life an eMMC has behind it; SD cards do not tell."""
    for card in sorted(root.glob("sys/block/mmcblk*/device")):
        life, end = _numbers(read(card / "life_time")), _numbers(read(card / "pre_eol_info"))
        if not any(life):
            continue
        percent = 10.0 * max(life)
        if max(life) >= WORN_SOON_STEP or max(end, default=0) > EOL_NORMAL:
            past = "at the end of its life" if max(life) >= WORN_STEP else f"worn to about {percent:.0f} %"
            return wrong("disk wear", f"{card.parent.name} is {past}", "replace it soon", worn_percent=percent)
        return well("disk wear", f"{card.parent.name}: at most {percent:.0f} % used up", worn_percent=percent)
    return untested("disk wear", "no card here tells its wear (SD cards do not)")


def _numbers(said: str | None) -> list[int]:
    return [int(word, 16) for word in (said or "").split() if re.fullmatch(r"(0x)?[\da-fA-F]+", word)]


def _errors(root: Path) -> Check:
    said = {path.parent.name: read(path) for path in sorted(root.glob("sys/fs/ext4/*/errors_count"))}
    counts = {name: int(one) for name, one in said.items() if one and one.isdigit()}
    if not counts:
        return untested("disk errors", "no file system here counts its errors (ext4 does)")
    found = sum(counts.values())
    if found:
        where = ", ".join(name for name, count in counts.items() if count)
        do = "restart it with `fsck.mode=force` in /boot/firmware/cmdline.txt; if it comes again, replace the card"
        return wrong("disk errors", f"{found} errors were met on {where}", do, errors=found)
    return well("disk errors", f"none on {', '.join(counts)}", errors=0)


# --- clock ------------------------------------------------------------------------------------------------------------


def clock(now: datetime | None = None, root: Path = ROOT) -> Iterator[Check]:
    """Yield whether the time of day can be true, and whether something keeps it so."""
    now = now or datetime.now(UTC)
    says = f"{now.astimezone():%Y-%m-%d %H:%M}"
    if YEAR_LEAST <= now.year < YEAR_MOST:
        yield well("clock", says, unix_s=now.timestamp())
    else:
        do = "connect it to a network with a time server, or: sudo date -s '2026-12-24 09:30'; certificates fail until then"
        yield wrong("clock", f"{says} cannot be", do, unix_s=now.timestamp())
    yield _kept(root)


def _kept(root: Path) -> Check:
    """Return whether the clock was set by a time server since the start."""
    if (root / "run/systemd/timesync/synchronized").exists():
        return well("clock set", "set by the time server (systemd-timesyncd)")
    said = run("timedatectl", "show", "--property=NTPSynchronized", "--value") if root == ROOT else None
    if said == "yes":
        return well("clock set", "set by a time server")
    if said is None and root == ROOT:
        return untested("clock set", "systemd does not say whether a time server set it")
    do = "see `timedatectl timesync-status`; let UDP port 123 out, or name the store's time server in /etc/systemd/timesyncd.conf"
    return wrong("clock set", "no time server has set it since the start", do)


# --- which machine it is ----------------------------------------------------------------------------------------------


def serial(root: Path = ROOT) -> str:
    """Return the serial number of the computer, "unknown" where it tells none."""
    told = read(root / "sys/firmware/devicetree/base/serial-number")
    with contextlib.suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Serial"):
                told = told or line.partition(":")[2].strip()
    return told or read(root / "sys/class/dmi/id/product_serial") or "unknown"


def model(root: Path = ROOT) -> str:
    """Return which computer this is, as it calls itself."""
    told = read(root / "sys/firmware/devicetree/base/model") or read(root / "sys/class/dmi/id/product_name")
    return told or os.uname().machine


def system(root: Path = ROOT) -> str:
    """Return the name of the operating system."""
    for line in (read(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "unknown"
