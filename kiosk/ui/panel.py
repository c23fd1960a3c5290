"""Finds the touch panel in sysfs, and says when a unit that should have one cannot be touched."""

import os
from pathlib import Path

from kiosk.messages import Fault

SYS_INPUT = Path("/sys/class/input")
DEV_INPUT = Path("/dev/input")
ABS_MT_POSITION_X = 0x35
"""The capability by which Kivy knows a multi-touch panel (linux/input-event-codes.h)."""
WORD_BITS = 64


def _touches(capabilities: str) -> bool:
    """Return whether a device's `capabilities/abs` (words in hex, highest first) has multi-touch positions."""
    words = [int(word, 16) for word in capabilities.split()]
    at, bit = divmod(ABS_MT_POSITION_X, WORD_BITS)
    return len(words) > at and bool(words[-1 - at] >> bit & 1)


def panels(sys_input: Path = SYS_INPUT) -> tuple[str, ...]:
    """Return the names ("event0") of the touch panels that are plugged in now."""
    found = []
    for device in sorted(sys_input.glob("event*")):
        try:
            capabilities = (device / "device/capabilities/abs").read_text()
        except OSError:
            continue  # unplugged between the listing and the reading
        if _touches(capabilities):
            found.append(device.name)
    return tuple(found)


def panel_fault(names: tuple[str, ...], dev_input: Path = DEV_INPUT) -> Fault | None:
    """Return what is wrong with the panels called `names`, if anything is."""
    if not names:
        return Fault(
            code="panel_missing",
            where="screen",
            says="no touch panel is plugged in; the screen shows, but nobody can touch it",
            do="plug in the panel's USB or ribbon cable",
        )
    denied = [name for name in names if not os.access(dev_input / name, os.R_OK)]
    if denied:
        return Fault(
            code="panel_denied",
            where=str(dev_input / denied[0]),
            says="the touch panel may not be read",
            do="add the screen's user to the group input, and restart it",
        )
    return None
