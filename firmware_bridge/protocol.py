"""The words on the wire as frozen types; firmware/protocol.h is the other end, docs/button.md has the table.

Rules
- A message only ever grows at its end, and PROTOCOL_VERSION by one with it. A reader takes the bytes that it knows, ignores the
  rest, and takes the defaults where an older writer says less. So any two versions understand each other in what both know.
- Nothing changes its meaning. What is no longer said keeps its type byte.
- A value that only a newer firmware knows counts as the safest that we know, so that it never makes its whole message worthless.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import ClassVar, Self, TypeVar, get_type_hints

from firmware_bridge.frame import BadFrame, Frame

PROTOCOL_VERSION = 2
BAUD = 38400
REPEATED = 0x80
"""Bit 7 of the type: the sender repeats the frame until it is acknowledged."""
FROM_HOST = 0x40
"""Bit 6 of the type: it comes from the host; each end drops what bears its own mark."""
AGE_UNKNOWN_MS = 0xFFFFFFFF
SELF_TEST_KEY = 0xDEAD


class BadMessage(BadFrame):
    """An intact frame that is no message of this protocol; one line says why."""


class UnknownMessage(BadMessage):
    """An intact frame of a type that we do not know: the other end may be newer."""


class LoopState(IntEnum):
    """What the end-of-line resistor shows."""

    UNKNOWN = 0
    NORMAL = 1
    PRESSED = 2
    CUT = 3
    SHORT = 4
    ODD = 5

    @classmethod
    def _missing_(cls, _: object) -> "LoopState":
        """A state that only a newer firmware knows is none of the good ones that we know: somebody has to look."""
        return cls.ODD


class Input(IntEnum):
    """Which button was pressed; each has a supervised loop of its own."""

    OPEN = 0
    """The big one: everybody may see and hear that it was pressed."""
    COVERT = 1
    """The hidden one: nothing at the desk lights or sounds."""

    @classmethod
    def _missing_(cls, _: object) -> "Input":
        """A button that only a newer firmware knows still calls for help: rather aloud than not at all."""
        return cls.OPEN


class Beacon(IntEnum):
    """What light, buzzer and relay say; the firmware owns the patterns."""

    OFF = 0
    ALERT = 1
    """Fast flashes, siren, relay."""
    ALERT_SILENT = 2
    """An alert is out and nothing may show it."""
    COMING = 3
    """Slow flashes, no sound: somebody is on the way."""
    FAULT = 4
    """A short blink each second."""
    LIGHT = 5
    """Fast flashes, no sound: an alert is out."""

    @classmethod
    def _missing_(cls, _: object) -> "Beacon":
        """What a unit shows and we do not know is nothing that we asked for: whatever we want is sent again."""
        return cls.OFF


class ResetCause(IntFlag):
    """MCUSR of the ATmega328P; 0 where a boot loader has hidden it."""

    POWER_ON = 1
    PIN = 2
    BROWN_OUT = 4
    WATCHDOG = 8


class UnitFlag(IntFlag):
    """What a heartbeat says besides numbers."""

    HOST_PRESENT = 1
    BUZZER = 2
    RELAY = 4
    LOCAL_ALARM = 8
    LID_OPEN = 16
    JOURNAL = 32
    """Kept presses may not survive a power cut."""


class AckStatus(IntEnum):
    """How a command was taken."""

    DONE = 0
    UNKNOWN_TYPE = 1
    BAD_PAYLOAD = 2
    NOT_NOW = 3

    @classmethod
    def _missing_(cls, _: object) -> "AckStatus":
        """What is not known to mean "done" is not done."""
        return cls.BAD_PAYLOAD


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all messages: fields in wire order, packed by LAYOUT."""

    KIND: ClassVar[int]
    LAYOUT: ClassVar[struct.Struct]
    LEAST_BYTES: ClassVar[int]
    """What protocol version 1 said of it; what came later counts as zeros where it is missing."""

    def frame(self, seq: int = 0) -> Frame:
        """Return the frame that carries this message."""
        return Frame(self.KIND, seq, self.LAYOUT.pack(*(getattr(self, field.name) for field in fields(self))))

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Raise BadMessage when even the oldest writer's fields are missing."""
        if len(payload) < cls.LEAST_BYTES:
            raise BadMessage(f"{cls.__name__} has at least {cls.LEAST_BYTES} bytes of payload, not {len(payload)}")
        whole = payload[: cls.LAYOUT.size].ljust(cls.LAYOUT.size, b"\0")
        values = zip(_field_kinds(cls), cls.LAYOUT.unpack(whole), strict=True)
        return cls(*(kind(value) for kind, value in values))


def _field_kinds(message: type[Message]) -> list[Callable[[int], int]]:
    hints = get_type_hints(message)
    return [hints[field.name] for field in fields(message)]


BY_KIND: dict[int, type[Message]] = {}
"""Every message type by the type byte of its frame."""

_M = TypeVar("_M", bound=type[Message])


def _on_wire(kind: int, layout: str, later: str = "") -> Callable[[_M], _M]:
    def register(message: _M) -> _M:
        message.KIND = kind
        message.LEAST_BYTES = struct.calcsize("<" + layout)
        message.LAYOUT = struct.Struct("<" + layout + later)
        BY_KIND[kind] = message
        return message

    return register


@_on_wire(0x01, "IIBBHHBBBB", "BHHB")
@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Unit, twice a second."""

    uptime_ms: int
    boot_id: int
    loop: LoopState
    flags: UnitFlag
    millivolts: int
    presses: int
    kept_presses: int
    beacon: Beacon
    bad_frames: int
    queued: int
    covert_loop: LoopState
    covert_millivolts: int
    covert_presses: int
    covert_kept_presses: int


@_on_wire(0x02, "BBI")
@dataclass(frozen=True, slots=True)
class Ack(Message):
    """Unit: the command `seq` has been taken."""

    seq: int
    status: AckStatus
    boot_id: int


@_on_wire(0x03, "BBBBII")
@dataclass(frozen=True, slots=True)
class Identity(Message):
    """Unit, after a start and as the answer to Hello."""

    protocol: int
    major: int
    minor: int
    reset_cause: ResetCause
    build: int
    boot_id: int


@_on_wire(0x04, "IHHHHHHH")
@dataclass(frozen=True, slots=True)
class Readings(Message):
    """Unit, ten times a second under the lease of `Meter`: the volts now, and of all samples since the last Readings.

    The frame's seq counts them, so that a lost one is known.
    """

    boot_id: int
    samples: int
    """Of each input, one a millisecond."""
    millivolts: int
    lowest: int
    highest: int
    covert_millivolts: int
    covert_lowest: int
    covert_highest: int


@_on_wire(0x42, "BBI")
@dataclass(frozen=True, slots=True)
class HostAck(Message):
    """Host: the frame `seq` of the unit's start `boot_id` has been taken; for a press: is stored."""

    seq: int
    status: AckStatus
    boot_id: int


@_on_wire(0x41, "")
@dataclass(frozen=True, slots=True)
class HostHeartbeat(Message):
    """Host, four times a second; its absence for 2 s is "host gone"."""


@_on_wire(0x43, "B")
@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Host, until the unit has said who it is."""

    protocol: int = PROTOCOL_VERSION


@_on_wire(0x82, "IIHBI", "B")
@dataclass(frozen=True, slots=True)
class PressReport(Message):
    """Unit: a press, named for ever by (origin, input, count); stands also for `merged` presses right before it."""

    boot_id: int
    origin: int
    count: int
    merged: int
    age_ms: int
    input: int
    """As it came: it is part of the press's name."""


@_on_wire(0x83, "IIHI", "B")
@dataclass(frozen=True, slots=True)
class ReleaseReport(Message):
    """Unit: the button was let go."""

    boot_id: int
    origin: int
    count: int
    held_ms: int
    input: Input


@_on_wire(0x84, "IBBH", "B")
@dataclass(frozen=True, slots=True)
class LoopReport(Message):
    """Unit: the loop changed to a fault or back."""

    boot_id: int
    before: LoopState
    after: LoopState
    millivolts: int
    input: Input


@_on_wire(0x85, "II")
@dataclass(frozen=True, slots=True)
class HostLostReport(Message):
    """Unit: the host was silent for more than 2 s, and is back."""

    boot_id: int
    away_ms: int


@_on_wire(0x86, "IB")
@dataclass(frozen=True, slots=True)
class LidReport(Message):
    """Unit: its enclosure was opened (1) or closed (0)."""

    boot_id: int
    opened: int


@_on_wire(0xC2, "BB")
@dataclass(frozen=True, slots=True)
class SetBeacon(Message):
    """Host: show this until the lease (in tenths of a second) ends."""

    beacon: Beacon
    lease_100ms: int


@_on_wire(0xC4, "H")
@dataclass(frozen=True, slots=True)
class SelfTest(Message):
    """Host: hang on purpose, so that the watchdog is proven."""

    key: int = SELF_TEST_KEY


@_on_wire(0xC5, "B")
@dataclass(frozen=True, slots=True)
class Meter(Message):
    """Host: send Readings until the lease (in tenths of a second) ends; 0 ends it."""

    lease_100ms: int


UnitMessage = (
    Heartbeat | Ack | Identity | Readings | PressReport | ReleaseReport | LoopReport | HostLostReport | LidReport
)
"""What a unit says; each bears its boot id."""


def parse(frame: Frame) -> Message:
    """Return the frame's message. Raises UnknownMessage or BadMessage, whatever the frame holds."""
    message = BY_KIND.get(frame.kind)
    if message is None:
        raise UnknownMessage(f"no message has the type 0x{frame.kind:02X}: firmware and hub are of different versions")
    return message.from_payload(frame.payload)
