"""The self-test: the unit is told to hang, and its watchdog has to bring it back. Pure.

The command is said again only to a unit that beats on without having taken it: one that has just come back must not be
told to hang once more.
"""

from dataclasses import dataclass
from enum import Enum

from firmware_bridge.protocol import AckStatus, ResetCause, SelfTest

LIMIT_S = 3.0
NOT_NOW_S = 2.0
"""So long it is asked again while a press, or one that is being written down, forbids it."""
AGAIN_S = 0.3
SOONEST_S = 0.1
LATEST_S = 1.0
"""So long a watchdog of 250 ms takes from the hang to the first word, with its tolerance and the start."""

NOT_NOW = "a button is pressed, or a press is not in its memory yet: let go, see stayby status, then try again"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the test ended, in one line."""

    passed: bool
    reason: str


class _Step(Enum):
    IDLE = "idle"
    ASKED = "asked"
    HANGS = "hangs"


class WatchdogTest:
    """At most one test at a time."""

    def __init__(self) -> None:
        self._step = _Step.IDLE
        self._due = False
        self._begun_s = self._sent_s = self._hung_s = 0.0
        self._seq = -1

    @property
    def runs(self) -> bool:
        """Whether a test is going on: the next restart was asked for."""
        return self._step is not _Step.IDLE

    def begin(self, now_s: float) -> None:
        """Start; a test that already runs goes on."""
        if not self.runs:
            self._step, self._due, self._begun_s = _Step.ASKED, True, now_s

    def due(self, now_s: float, seq: int) -> SelfTest | None:
        """Return the command to send now under `seq`, if any."""
        if not self._due:
            return None
        self._due, self._sent_s, self._seq = False, now_s, seq
        return SelfTest()

    def taken(self, seq: int, status: AckStatus, now_s: float) -> Verdict | None:
        """Take an acknowledgement: from now on the unit hangs, unless it refused."""
        if self._step is not _Step.ASKED or seq != self._seq:
            return None
        if status is AckStatus.NOT_NOW:
            return None if now_s - self._begun_s < NOT_NOW_S else self._fail(NOT_NOW)
        if status is not AckStatus.DONE:
            return self._fail("its firmware does not know the self-test: run stayby button flash")
        self._step, self._hung_s = _Step.HANGS, now_s
        return None

    def beats(self, now_s: float) -> None:
        """Take a heartbeat of a unit that has not started anew: the command was lost."""
        if self._step is _Step.ASKED and now_s - self._sent_s >= AGAIN_S:
            self._due = True

    def restarted(self, cause: ResetCause, now_s: float) -> Verdict | None:
        """Take the first word of a new start."""
        if not self.runs:
            return None
        took_s = now_s - (self._hung_s if self._step is _Step.HANGS else self._sent_s)
        took = f"{took_s * 1000:.0f} ms after it was made to hang"
        if ResetCause.WATCHDOG in cause:
            return self._pass(f"the watchdog restarted it {took}")
        if not cause and SOONEST_S <= took_s <= LATEST_S:
            return self._pass(f"it restarted {took}; its boot loader hides by what")
        return self._fail(f"it restarted {took}, but not by its watchdog: try again; if it stays so, replace the board")

    def late(self, now_s: float) -> Verdict | None:
        """Return the verdict once the time is up."""
        if not self.runs or now_s - self._begun_s < LIMIT_S:
            return None
        if self._step is _Step.HANGS:
            return self._fail(f"it hung and its watchdog did not restart it in {LIMIT_S:g} s: replace the board")
        return self._fail(f"it did not take the command in {LIMIT_S:g} s: check the cable, then try again")

    def broken_off(self) -> Verdict | None:
        """Take note that the port is gone."""
        return self._fail("its port went away meanwhile: check the plug, then try again") if self.runs else None

    def _pass(self, reason: str) -> Verdict:
        self._step, self._due = _Step.IDLE, False
        return Verdict(passed=True, reason=reason)

    def _fail(self, reason: str) -> Verdict:
        self._step, self._due = _Step.IDLE, False
        return Verdict(passed=False, reason=reason)
