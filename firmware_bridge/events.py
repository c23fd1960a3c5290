"""What the button link tells the hub: frozen events, each with the monotonic time at which the host learnt of it."""

from dataclasses import dataclass
from enum import Enum

from firmware_bridge.protocol import LoopState

PressId = tuple[int, int]
"""(boot_id, count): names one press for ever, across resets of the unit and restarts of the hub."""


class DownReason(Enum):
    """Why the button cannot be relied on right now."""

    NO_PORT = "no port"
    CANNOT_OPEN = "cannot open"
    UNPLUGGED = "unplugged"
    SILENT = "silent"
    WRONG_DEVICE = "wrong device"
    NO_HEARTBEAT = "no heartbeat"
    NO_ANSWER = "no answer"
    OTHER_VERSION = "other version"


@dataclass(frozen=True, slots=True)
class Pressed:
    """Somebody pressed. The unit repeats it until `ButtonLink.ack(event)`: call that once it is stored durably."""

    boot_id: int
    count: int
    at_s: float
    age_s: float | None
    """How long before `at_s` the press was; None when a reset lies between."""

    @property
    def press_id(self) -> PressId:
        """What to store, and to compare with when it comes again."""
        return self.boot_id, self.count


@dataclass(frozen=True, slots=True)
class Released:
    """The button was let go."""

    boot_id: int
    count: int
    held_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class LoopFault:
    """The wire to the button is CUT, SHORT or ODD: a press may not be seen."""

    kind: LoopState
    volts: float
    at_s: float


@dataclass(frozen=True, slots=True)
class LoopRestored:
    """The wire to the button is whole again."""

    at_s: float


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The unit answers, beats and hears us. Comes again after each reset of the unit."""

    firmware: str
    build: str
    reset_cause: str
    boot_id: int
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


ButtonEvent = Pressed | Released | LoopFault | LoopRestored | LinkUp | LinkDown | HostWasLost


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """Counts since the link was made, and the unit's last word about itself."""

    frames: int = 0
    bad_frames: int = 0
    echoes: int = 0
    """Our own frames, come back: two wires touch."""
    bytes_read: int = 0
    repeated_frames: int = 0
    opened: int = 0
    presses_from_heartbeat: int = 0
    loop: LoopState = LoopState.UNKNOWN
    loop_volts: float | None = None
    unit_bad_frames: int = 0
    local_alarm: bool = False
