"""One simulated unit on the bench in virtual time, and a host that says word for word what a test wants it to say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from firmware_bridge.frame import Frame, decode, encode
from firmware_bridge.protocol import (
    AckStatus,
    Beacon,
    Heartbeat,
    Hello,
    HostAck,
    HostHeartbeat,
    Identity,
    Input,
    LidReport,
    LoopReport,
    Message,
    PressReport,
    ReleaseReport,
    SetBeacon,
    parse,
)
from firmware_bridge.simulator import OutputChange, SimulatedButton

M = TypeVar("M", bound=Message)
HOST_SPEAKS_EVERY_S = 0.25
MOMENT_S = 1e-6
KEPT = PressReport | ReleaseReport | LoopReport | LidReport


class Bench:
    """`answers`: the host lives, and takes whatever the unit keeps. `heard` is all that the unit said, with its time."""

    def __init__(self, unit: SimulatedButton) -> None:
        self.unit = unit
        self.heard: list[tuple[float, Message]] = []
        self.answers = False
        self.beacon = Beacon.OFF
        self.now_s = unit.now_s()
        self._speaks_at_s = 0.0
        self._seq = 0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until_s = self.now_s + seconds
        while self.now_s < until_s - MOMENT_S:
            if not self.answers:
                self._step(until_s)
            elif self.now_s < self._speaks_at_s - MOMENT_S:
                self._step(min(until_s, self._speaks_at_s))
            else:
                self._speak()

    def _step(self, until_s: float) -> None:
        self.now_s = self.unit.step(until_s - self.now_s, until_told=self.answers)
        self._listen()

    def told(self, kind: type[M]) -> list[M]:
        """Return what the unit said of this kind, repeats left out."""
        return list(dict.fromkeys(message for _, message in self.heard if isinstance(message, kind)))

    def presses(self, of: Input) -> list[int]:
        """Return the counts of the presses told, in order; a repeat tells none."""
        told = (message for _, message in self.heard if isinstance(message, PressReport) and message.input == of)
        return list(dict.fromkeys(message.count for message in told))

    def identity(self) -> Identity:
        """Return what the unit said last of itself."""
        return self.told(Identity)[-1]

    def heartbeat(self) -> Heartbeat:
        """Ask for a heartbeat and return it."""
        self.say(Hello().frame())
        self.run(0.03)
        return next(message for _, message in reversed(self.heard) if isinstance(message, Heartbeat))

    def tap(self, *, covert: bool = False, held_s: float = 0.1, rest_s: float = 0.1) -> None:
        """Press and let go."""
        self.unit.press(bounce_ms=0, covert=covert)
        self.run(held_s)
        self.unit.release(covert=covert)
        self.run(rest_s)

    def hold_alive(self) -> None:
        """Let the unit hear a host that says nothing, and takes nothing."""
        self.say(HostHeartbeat().frame())

    def say(self, frame: Frame) -> None:
        """Put one frame on the wire to the unit."""
        self.unit.send(encode(frame))

    def _speak(self) -> None:
        self._speaks_at_s = self.now_s + HOST_SPEAKS_EVERY_S
        self._seq = (self._seq + 1) % 256
        self.say(HostHeartbeat().frame())
        self.say(SetBeacon(self.beacon, 30).frame(self._seq))

    def _listen(self) -> None:
        for sent in self.unit.take_frames():
            frame = decode(sent.encoded)
            message = parse(frame)
            self.heard.append((sent.at_s, message))
            if self.answers and isinstance(message, KEPT):
                self.say(HostAck(frame.seq, AckStatus.DONE, message.boot_id).frame())


@contextmanager
def bench(
    eeprom: Path | None = None,
    *,
    answers: bool = False,
    firmware: Path | None = None,
    bootloader: Path | None = None,
) -> Iterator[Bench]:
    """Run a unit for 0.5 s: it has started, both loops are normal, nothing is wrong."""
    chip = SimulatedButton(None, virtual_time=True, seed=1, eeprom=eeprom, firmware=firmware, bootloader=bootloader)
    with chip as unit:
        under_test = Bench(unit)
        under_test.answers = answers
        under_test.run(0.5)
        yield under_test


def lit(changes: list[OutputChange], name: str = "led") -> list[float]:
    """Return when it went on."""
    return [change.at_s for change in changes if change.name == name and change.on]
