"""A simulated unit and the host's end of the link together in virtual time: exact, repeatable, faster than life."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from firmware_bridge.events import ButtonEvent, DownReason, Pressed, PressId
from firmware_bridge.protocol import Beacon
from firmware_bridge.session import ButtonSession
from firmware_bridge.simulator import SimulatedButton

STEP_S = 0.05
"""The host looks at least this often, and at once when the unit has said something."""
LEAST_S = 1e-6
"""Less is no time: the chip's clock ticks in steps of 62 ns."""


@dataclass
class VirtualHub:
    """The least that a hub has to do: store each press, then acknowledge it. What it stored outlives a restart."""

    stores: bool = True
    stored: list[PressId] = field(default_factory=list)
    doubled: list[PressId] = field(default_factory=list)


class VirtualDesk:
    """Runs chip and host side by side. `events` holds everything that the link told, in order."""

    def __init__(self, seed: int = 1) -> None:
        self.unit = SimulatedButton(None, virtual_time=True, seed=seed)
        self.hub = VirtualHub()
        self.events: list[ButtonEvent] = []
        self.now_s = 0.0
        self.session = ButtonSession("the simulated button")
        self._connected = False
        self.unit_is_heard = self.host_is_heard = True
        """Each of the two wires by itself: False is a broken one."""

    def __enter__(self) -> Self:
        self.unit.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unit.stop()

    def connect(self, stored: Iterable[PressId] | None = None) -> None:
        """Start the host, or start it again: it knows the presses it has stored, and nothing else."""
        self.session = ButtonSession("the simulated button", self.hub.stored if stored is None else stored)
        self.session.opened(self.now_s)
        self._connected = True

    def unplug(self) -> None:
        """Pull the plug: the host learns of it at once, and tells."""
        self.session.closed(DownReason.UNPLUGGED, "the simulated button was unplugged", self.now_s)
        self._take_events()
        self.disconnect()

    def let_hub_store(self, stores: bool) -> None:
        """Have the hub store and acknowledge presses (what it was told meanwhile, too), or not."""
        self.hub.stores = stores
        waiting = [
            event for event in self.events if isinstance(event, Pressed) and event.press_id not in self.hub.stored
        ]
        for pressed in waiting if stores else []:
            self.take(pressed)

    def plug_in(self) -> None:
        """Let the same host go on after `disconnect()`: it has not forgotten anything."""
        self.session.opened(self.now_s)
        self._connected = True

    def disconnect(self) -> None:
        """Let the host be gone: nothing is heard, nothing is said."""
        self._connected = False

    def set_beacon(self, beacon: Beacon) -> None:
        """Have the host show this."""
        self.session.set_beacon(beacon, self.now_s)

    def run(self, seconds: float) -> list[ButtonEvent]:
        """Let time pass; return what the link told meanwhile."""
        first = len(self.events)
        until_s = self.now_s + seconds
        while self.now_s < until_s - LEAST_S:
            self._step(min(STEP_S, until_s - self.now_s))
        return self.events[first:]

    def press(self, bounce_ms: float = 3.0, *, covert: bool = False) -> None:
        """Have somebody press and hold."""
        self.unit.press(bounce_ms, covert=covert)

    def release(self, *, covert: bool = False) -> None:
        """Have somebody let go."""
        self.unit.release(covert=covert)

    def _step(self, seconds: float) -> None:
        self.now_s = self.unit.step(seconds, until_told=True)
        frames = self.unit.take_frames()
        if not self._connected:
            return
        for frame in frames if self.unit_is_heard else []:
            self.session.receive(b"\0" + frame.encoded + b"\0", frame.at_s)
        self.session.tick(self.now_s)
        self._take_events()
        output = self.session.take_output()
        if output and self.host_is_heard and self._connected:
            self.unit.send(output)

    def _take_events(self) -> None:
        for event in self.session.take_events():
            self.events.append(event)
            if isinstance(event, Pressed) and self.hub.stores:
                self.take(event)

    def take(self, pressed: Pressed) -> None:
        """Store a press, then acknowledge it."""
        press_id = pressed.press_id
        (self.hub.doubled if press_id in self.hub.stored else self.hub.stored).append(press_id)
        self.session.ack(press_id)
