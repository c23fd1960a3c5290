"""What "the duty is done" means for the watchdog: each part worked within its time, or its fault is known and shown. Pure.

- A part has a time within which it must have done its work. One that has, lacks nothing.
- A fault that is known and shown (status topic, board, screen) gives its part more time: what is broken is outside of it (no
  network, a microphone that is unplugged), and to start the process anew would not mend it.
- No fault gives for ever, where a thread of our own does the work: one that hangs must be ended even when the outside is broken
  as well, or it would never see that it was mended.
- Whoever is asked is alive: the main loop feeds the watchdog itself, so that a loop that hangs feeds nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

FRESH_S = 10.0
"""A thread that turns several times a second on a machine that is very busy."""
PATIENT_S = 180.0
"""For a thread whose fault is shown: a name server that answers nothing holds one for 60 s and more."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the duty. `last_s` is when it last did its work (monotonic seconds), or when it was given it.

    `within_s` is how long it may do nothing, `FRESH_S` if None; `patient_s` while `shown`, which says that its fault is known
    and shown.
    """

    what: str
    last_s: float
    within_s: float | None = None
    shown: bool = False
    patient_s: float = PATIENT_S


def outside(what: str, last_s: float, *, shown: bool) -> Part:
    """Return a part that only the world can deliver (sound, heartbeats): while its fault is shown, it may take for ever."""
    return Part(what, last_s, shown=shown, patient_s=math.inf)


def lacking(parts: Iterable[Part], now_s: float) -> tuple[str, ...]:
    """Return what is lacking, one short phrase for each part; empty when the duty is done."""
    found = []
    for part in parts:
        silent_s = now_s - part.last_s
        within_s = FRESH_S if part.within_s is None else part.within_s
        if silent_s > (part.patient_s if part.shown else within_s):
            found.append(f"{part.what} for {silent_s:.0f} s")
    return tuple(found)


def unfed_line(lacks: Iterable[str]) -> str:
    """Return why the watchdog is not fed, as a line for the journal and for `systemctl status`."""
    return f"the duty is not done: {'; '.join(lacks)}; systemd ends this process and starts it anew"
