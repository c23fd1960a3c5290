"""Which sound devices the kernel has now, by the names of their cards: for the faults of the ear and of the voice."""

from pathlib import Path
from typing import Literal

SOUND_SYSTEM = Path("/proc/asound")


def devices(kind: Literal["capture", "playback"], sound_system: Path = SOUND_SYSTEM) -> tuple[str, ...]:
    """Return the devices of a kind as `arecord -D` and `aplay -D` take them; none where there is no sound system."""
    try:
        lines = (sound_system / "pcm").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()  # no sound system: no device
    numbers = [line.partition(":")[0].split("-") for line in lines if f": {kind} " in line]
    found = []
    for card, device in numbers:
        try:
            name = (sound_system / f"card{int(card)}" / "id").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue  # pulled at this very moment
        found.append(f"plughw:CARD={name},DEV={int(device)}")
    return tuple(found)
