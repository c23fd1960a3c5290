"""Whether the link can be relied on, and if not, why: from the times at which this and that arrived. Pure.

- Up is what was proven both ways within 2 s: the unit says that it hears us, or answers a command.
- A diagnosis is told once. Another one on the same open port comes 10 s after it at the earliest.
- A link that failed by noise stays down until ten seconds were good: it must not flap, and a press passes meanwhile.
"""

from firmware_bridge.events import DownReason
from firmware_bridge.quality import NOISY_OVER_S, Noise

DOWN_AFTER_S = 2.0
QUIET_S = 1.25
"""Two heartbeats and more: silence, even where half a frame came after the last whole one."""
DEAF_AFTER_S = 1.4
"""A command that is repeated each 60 ms for so long without an answer, by a unit that talks, is not heard."""
TALKS_S = 0.8
RETELL_S = 10.0
PULSES_S = (10.0, 60.0, 600.0)
"""So long a port is silent before DTR is pulsed, which on an Arduino pulls the reset pin of a chip that hangs; then no more:
where only the wire from the unit is dead, each pulse takes a unit that works off duty for a second or two."""
PORT_NEW = {None, DownReason.NO_PORT, DownReason.CANNOT_OPEN, DownReason.UNPLUGGED}
"""After these words silence is another one."""
OLD_FRAMES = 3
"""Of the first firmware, before it is known as such: one may be chance."""
NEVER_S = float("-inf")

_ADVICE = {
    DownReason.SILENT: "{port} is open but nothing comes: check the button's supply and cable; if both are good, it hangs",
    DownReason.WRONG_DEVICE: "{port} sends bytes but no frame of ours: set button.port to the Stayby button",
    DownReason.OLDER_FIRMWARE: "the button on {port} has an older firmware: run stayby button flash",
    DownReason.NOISY: (
        "{damaged} of {all} frames on {port} damaged: check the cable's shield and ground, and what runs beside it"
    ),
    DownReason.NO_HEARTBEAT: "{port} gave no frame for 2 s: check the cable for damage and the unit for a hang",
    DownReason.NO_ANSWER: "the button on {port} does not hear this unit: check the wire to its RX pin",
}


class Diagnosis:
    """Of one port."""

    def __init__(self, port: str) -> None:
        self._port = port
        self.noise = Noise()
        self.told: DownReason | None = None
        self._told_s = self._opened_s = NEVER_S
        self._bytes_s = self._frame_s = self._life_s = self._proven_s = NEVER_S
        self._old_frames = 0
        self._pulses = 0

    # ---- what is so ----

    def opened(self, now_s: float) -> None:
        """Take note that the port is open: it has 2 s."""
        self._opened_s = self._proven_s = now_s
        self._pulses += self.told is DownReason.SILENT
        self._old_frames = 0
        self._bytes_s = self._frame_s = self._life_s = self._told_s = NEVER_S
        self.noise = Noise()

    def bytes_came(self, now_s: float) -> None:
        """Take note of any bytes."""
        self._bytes_s = now_s

    def frame_came(self, now_s: float, *, damaged: bool) -> None:
        """Take note of a frame."""
        self.noise.add(damaged=damaged, now_s=now_s)
        if not damaged:
            self._frame_s = now_s

    def old_frame_came(self) -> None:
        """Take note of a frame as the first firmware made them."""
        self._old_frames += 1

    def lives(self, now_s: float) -> None:
        """Take note of a message of the unit's present start."""
        self._life_s = now_s

    def proven(self, now_s: float) -> None:
        """Take note that both ways work."""
        self._proven_s = now_s

    # ---- what follows ----

    def may_rise(self, now_s: float) -> bool:
        """Return whether a proof of both ways is enough to call the link up."""
        return self.told is not DownReason.NOISY or self.noise.is_good(now_s)

    def is_deaf(self, asked_since_s: float | None, now_s: float) -> bool:
        """Return whether the unit talks on and yet answers nothing that it is asked since then."""
        if asked_since_s is None or now_s - asked_since_s < DEAF_AFTER_S:
            return False
        return self._life_s - asked_since_s >= TALKS_S

    def failing(self, now_s: float, *, deaf: bool) -> DownReason | None:
        """Return what has to be told now."""
        if not deaf and now_s - self._proven_s <= DOWN_AFTER_S:
            return None
        kind = self._kind(now_s)
        if self.told is not None and (self.told is kind or now_s - self._told_s < RETELL_S):
            return None
        return kind

    def says(self, kind: DownReason, now_s: float) -> str:
        """Return one line: what, where, what to do."""
        damaged, all_ = self.noise.counts(NOISY_OVER_S, now_s)
        return _ADVICE[kind].format(port=self._port, damaged=damaged, all=all_)

    def tell(self, kind: DownReason | None, now_s: float) -> None:
        """Take note of what was told; None: the link is up."""
        self.told, self._told_s = kind, now_s
        if kind in PORT_NEW:
            self._pulses = 0

    def wants_reopening(self, now_s: float) -> bool:
        """Return whether a pulse on DTR may help."""
        if self.told is not DownReason.SILENT or self._pulses == len(PULSES_S):
            return False
        return now_s - max(self._opened_s, self._told_s) >= PULSES_S[self._pulses]

    def _kind(self, now_s: float) -> DownReason:
        since_s = now_s - QUIET_S
        if self._bytes_s < since_s:
            return DownReason.SILENT
        if self._frame_s == NEVER_S:
            return DownReason.OLDER_FIRMWARE if self._old_frames >= OLD_FRAMES else DownReason.WRONG_DEVICE
        if self.noise.is_noisy(now_s) or not self.may_rise(now_s):
            return DownReason.NOISY
        if self._life_s < since_s:
            return DownReason.NO_HEARTBEAT
        return DownReason.NO_ANSWER
