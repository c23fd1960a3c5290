"""How long a press takes to the host's end of the link, in virtual time: what the unit and the wire cost, nothing else."""

import math
import random

from firmware_bridge.events import Pressed
from firmware_bridge.frame import Frame, encode
from firmware_bridge.protocol import BAUD, PressReport
from firmware_bridge.simulator.desk import VirtualDesk

BITS_A_BYTE = 10
DEBOUNCE_MS = 20.0
_BYTE_MS = 1000 * BITS_A_BYTE / BAUD


def physical_floor_ms() -> float:
    """Return what debounce and wire alone cost: 20 ms, and the bytes of one press frame at 38400 baud."""
    frame = encode(Frame(PressReport.KIND, 1, bytes(PressReport.LAYOUT.size)))
    return DEBOUNCE_MS + len(frame) * _BYTE_MS


def press_to_host_ms(presses: int, seed: int = 1, *, metering: bool = False) -> list[float]:
    """Return, in milliseconds, contact closing → last bit of the press frame at the host, for each of `presses`.

    The contact closes without chatter, at a random moment; heartbeats and acknowledgements run as always,
    with `metering` Readings too.
    """
    rng = random.Random(seed)  # noqa: S311 - the same presses in every run
    with VirtualDesk(seed) as desk:
        desk.connect()
        if metering:
            desk.session.meter(math.inf)
        desk.run(1.0)
        return [_one_press_ms(desk, rng) for _ in range(presses)]


def _one_press_ms(desk: VirtualDesk, rng: random.Random) -> float:
    desk.run(rng.uniform(0.05, 0.3))
    closed_s = desk.unit.step(rng.uniform(0, 0.005))  # not in step with anything
    desk.unit.press(bounce_ms=0)
    told = desk.run(0.1)
    desk.unit.release()
    desk.run(0.1)
    (pressed,) = (event for event in told if isinstance(event, Pressed))
    return 1000 * (pressed.at_s - closed_s)
