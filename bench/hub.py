"""A hub's end of the bus, for tests and measurements of the screen: it shows what it is told to, and keeps what it hears."""

import queue
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kiosk.bus import BusServer, runtime_socket
from kiosk.messages import (
    Face,
    FromLeaf,
    Hearing,
    NextStep,
    Person,
    Reach,
    Severity,
    Show,
    Snapshot,
    State,
    ToLeaf,
    Trigger,
)

PRIYA, SAM, LEE = (Person(id=name.lower(), name=name) for name in ("Priya", "Sam", "Lee"))
FACE = Face(
    store="harbour",
    unit="desk3",
    place="Service desk 3",
    address="Harbour Stores, 12 Quay Street, Leeds LS1 4DL, ground floor, east door",
    emergency_number="112",
    police_number="101",
    phone="0113 496 0000",
    country="GB",
    defibrillator="on the wall beside the east door",
    refuge="the pharmacy counter",
    meet="the east door",
)


def snapshot(state: State = State.RAISED, **facts: object) -> Snapshot:
    """Return an alert that two people were asked to answer, with other `facts`."""
    fields: dict[str, object] = {
        "store": "harbour",
        "unit": "desk3",
        "place": FACE.place,
        "id": "i-1",
        "revision": 1,
        "state": state,
        "severity": Severity.ALERT,
        "trigger": Trigger.TOUCH,
        "tier": 1,
        "tiers": ("the staff", "the manager"),
        "reach": Reach.OK,
        "opened_at": datetime(2026, 1, 1, tzinfo=UTC),
        "elapsed_s": 14.2,
        "asked": (PRIYA, SAM),
        **facts,
    }
    return Snapshot.model_validate(fields)


def show(incident: Snapshot | None = None, **facts: object) -> Show:
    """Return what the hub of a sound unit shows, with other `facts`."""
    fields = {
        "face": FACE,
        "hearing": Hearing.LISTENING,
        "reach": Reach.OK,
        "listeners": 2,
        "told": incident is not None,
        **facts,
    }
    return Show.model_validate({**fields, "incident": incident})


def next_step(what: str, in_s: float = 16) -> NextStep:
    """Return what happens next by itself."""
    return NextStep.model_validate({"what": what, "in_s": in_s})


class Hub:
    """Shows what it is told to, again each second, and keeps what it hears."""

    def __init__(self, run_dir: Path) -> None:
        self._path = runtime_socket(run_dir)
        self.heard: queue.Queue[FromLeaf] = queue.Queue()
        self.bad: list[str] = []
        self._peers: list[int] = []
        self._server: BusServer | None = None
        self._last: Show | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._repeat, daemon=True).start()
        self.start()

    def _repeat(self) -> None:
        while not self._closed.wait(1):
            if self._last is not None:
                self._send(self._last)

    def hang(self) -> None:
        """Say nothing more, with the socket open."""
        self._last = None

    def close(self) -> None:
        """End it for good."""
        self._closed.set()
        self.stop()

    def start(self) -> None:
        """Be there for whoever connects."""
        self._server = BusServer(self._path, self._take, lambda _, text: self.bad.append(text), self._gone, self._die)

    def _take(self, number: int, message: FromLeaf) -> None:
        if number not in self._peers:
            self._peers.append(number)
        self.heard.put(message)

    def _gone(self, number: int) -> None:
        if number in self._peers:
            self._peers.remove(number)

    def _die(self, error: BaseException) -> None:
        self.bad.append(repr(error))

    def show(self, what: Show) -> bool:
        """Show this from now on; return whether a screen was there to take it."""
        self._last = what
        return self._send(what)

    def tell(self, what: ToLeaf) -> bool:
        """Say something else to the screen, once; return whether one was there to take it."""
        return self._send(what)

    def _send(self, what: ToLeaf) -> bool:
        server = self._server
        return server is not None and sum(server.send(number, what) for number in list(self._peers)) > 0

    def stop(self) -> None:
        """Go away, until `start`."""
        if self._server is not None:
            self._server.close()
            self._server, self._peers = None, []

    def wait(self, kind: type[Any], wanted: Any = lambda _: True, timeout_s: float = 10.0) -> Any:
        """Return the next message of a kind that is `wanted`; `queue.Empty` when none comes in time."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            message = self.heard.get(timeout=max(0.01, deadline_s - time.monotonic()))
            if isinstance(message, kind) and wanted(message):
                return message
