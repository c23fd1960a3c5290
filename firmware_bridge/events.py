"""What the button link tells the hub: frozen events, each with the monotonic time at which the host learnt of it."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from firmware_bridge.protocol import Input, LoopState, ResetCause


class PressId(NamedTuple):
    """Names one press for ever, across resets of the unit and restarts of the hub.

    `input` is the number on the wire: an `Input`, or one that only a newer firmware knows. As `Input(…)` that would be
    OPEN, and could not be told apart from a press of OPEN with the same count.
    """

    boot_id: int
    input: int
    count: int  # type: ignore[assignment]  # the wire's word; nobody counts what is in a PressId


class DownReason(Enum):
    """Why the button cannot be relied on right now."""

    NO_PORT = "no port"
    CANNOT_OPEN = "cannot open"
    UNPLUGGED = "unplugged"
    SILENT = "silent"
    WRONG_DEVICE = "wrong device"
    OLDER_FIRMWARE = "older firmware"
    NOISY = "noisy"
    NO_HEARTBEAT = "no heartbeat"
    NO_ANSWER = "no answer"


class MeterState(Enum):
    """What the meter does: all samples of a loop, not only those of the heartbeats."""

    OFF = "off"
    WAITING = "waiting"
    """Wanted, and no Readings lately."""
    RUNNING = "running"
    MISSING = "missing"
    """Wanted, and this firmware has none."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """Somebody pressed. The unit repeats it until `ButtonLink.ack(event)`: call that once it is stored durably."""

    press_id: PressId
    """What to store, and to compare with when it comes again."""
    at_s: float
    age_s: float | None
    """How long before `at_s` the press was; None when a reset lies between."""

    @property
    def boot_id(self) -> int:
        """The start of the unit in which it was."""
        return self.press_id.boot_id

    @property
    def input(self) -> Input:
        """Which button."""
        return Input(self.press_id.input)

    @property
    def count(self) -> int:
        """Which press of that input since that start."""
        return self.press_id.count


@dataclass(frozen=True, slots=True)
class Released:
    """The button was let go."""

    boot_id: int
    input: Input
    count: int
    held_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class LoopFault:
    """The wire to a button is CUT, SHORT or ODD: a press may not be seen."""

    input: Input
    kind: LoopState
    volts: float
    at_s: float


@dataclass(frozen=True, slots=True)
class LoopRestored:
    """The wire to a button is whole again."""

    input: Input
    at_s: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """A button reads pressed in every heartbeat since `for_s`: until it reads normal once, a new press cannot be seen."""

    input: Input
    for_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Unstuck:
    """A button that was stuck reads normal."""

    input: Input
    at_s: float


@dataclass(frozen=True, slots=True)
class LidOpened:
    """Somebody opened the unit's enclosure."""

    at_s: float


@dataclass(frozen=True, slots=True)
class LidClosed:
    """The unit's enclosure is closed again."""

    at_s: float


@dataclass(frozen=True, slots=True)
class MemoryFaulty:
    """The unit's EEPROM has a worn cell, or is full of presses that nobody took: a power cut may lose one."""

    at_s: float


@dataclass(frozen=True, slots=True)
class MemorySound:
    """Each press has its place in the EEPROM again."""

    at_s: float


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The unit answers, beats and hears us. Comes again after each reset of the unit."""

    firmware: str
    build: str
    reset_cause: str
    boot_id: int
    protocol: int
    version_note: str | None
    """One line when the firmware is of another version: what that means, and what to do."""
    at_s: float


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The unit cannot be relied on; `reason` says what, where and what to do, in one line."""

    kind: DownReason
    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class HostWasLost:
    """The unit did not hear this host for `away_s`, and helped itself meanwhile."""

    away_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class UnitRestarted:
    """The unit started anew while its port was open and nobody had asked for it: it saw nothing meanwhile."""

    cause: ResetCause
    at_s: float


@dataclass(frozen=True, slots=True)
class SelfTested:
    """The end of a self-test; `reason` is one line that says what was seen and, where it failed, what to do."""

    passed: bool
    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Metered:
    """While somebody wants it, ten times a second: lowest and highest volts of all samples since the last one."""

    low_volts: float
    high_volts: float
    covert_low_volts: float
    covert_high_volts: float
    samples: int
    """Of each input, one a millisecond."""
    unseen_s: float
    """Right before these: a time of which nothing is known, because what told of it was lost, or the unit restarted."""
    at_s: float


ButtonEvent = (
    Pressed
    | Released
    | LoopFault
    | LoopRestored
    | Stuck
    | Unstuck
    | LidOpened
    | LidClosed
    | MemoryFaulty
    | MemorySound
    | LinkUp
    | LinkDown
    | HostWasLost
    | UnitRestarted
    | SelfTested
    | Metered
)


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """Counts since the link was made, and the unit's last word about itself."""

    frames: int = 0
    bad_frames: int = 0
    """From the unit, damaged on the way."""
    unit_bad_frames: int = 0
    """To the unit, damaged on the way."""
    repeated_frames: int = 0
    """The unit said these again: our acknowledgement was lost, or waits for the disk."""
    own_repeats: int = 0
    """Commands that we said again: they or their acknowledgement were lost."""
    echoes: int = 0
    """Our own frames, come back: two wires touch."""
    bytes_read: int = 0
    opened: int = 0
    presses_from_heartbeat: int = 0
    round_trip_s: float | None = None
    """From a command to its acknowledgement, smoothed."""
    round_trip_worst_s: float | None = None
    """The longest of the last minute."""
    up_since_s: float | None = None
    says: str = ""
    """Why the link is down, or what its firmware's version means; empty when all is well."""
    firmware: str = ""
    build: str = ""
    reset_cause: str = ""
    loop: LoopState = LoopState.UNKNOWN
    loop_volts: float | None = None
    covert_loop: LoopState = LoopState.UNKNOWN
    covert_volts: float | None = None
    lid_open: bool = False
    presses: int = 0
    covert_presses: int = 0
    local_alarm: bool = False
    meter: MeterState = MeterState.OFF
    heard_s: float | None = None
    """When the unit last said something whole (monotonic)."""
