"""Real parts around the board for tests: a desk that speaks MQTT, the board and the pager as processes."""

import os
import queue
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import (
    BadMessage,
    Person,
    Presence,
    Reach,
    Reply,
    Severity,
    Snapshot,
    StartDrill,
    State,
    Status,
    Trigger,
    UnitState,
    incident_topic,
    parse_presence,
    parse_reply,
    presence_topic,
    reply_topic,
    status_topic,
    tells_presence,
)
from kiosk.mqtt import Connected, MqttLink, Received
from kiosk.pins import store_pin
from tests.broker import STORE

PATIENCE_S = 15.0
PRIYA, SAM = Person(id="priya", name="Priya"), Person(id="sam", name="Sam")
T = TypeVar("T")


def until(condition: Callable[[], T | None], within_s: float = PATIENCE_S) -> T:
    """Return the first true value of `condition`, or fail after `within_s`."""
    deadline_s = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"still not so after {within_s} s"
        time.sleep(0.02)
    return value


class Desk:
    """A unit as the broker sees it: it publishes what a test says and keeps the answers and presences that reach it."""

    def __init__(self, broker: PrivateBroker, unit: str = "desk-3", place: str = "Service desk 3") -> None:
        self.unit, self.place = unit, place
        self.replies: list[Reply] = []
        self.drills: list[StartDrill] = []
        self.presences: dict[str, Presence] = {}
        self.bad: list[str] = []
        self.connections = 0
        self.incident = f"{unit}-{uuid.uuid4().hex[:8]}"
        self._open = 0
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        topics = (reply_topic(STORE, unit, "+"), presence_topic(STORE, "+"))
        self.link = MqttLink(broker.section_for_unit(unit), f"test-{unit}", topics, self._inbox.put, self._inbox.put)
        until(lambda: self.read().connections)

    def read(self) -> "Desk":
        """Take what came in."""
        while not self._inbox.empty():
            event = self._inbox.get()
            assert not isinstance(event, BaseException), event
            self.connections += isinstance(event, Connected)
            if isinstance(event, Received):
                self._take(event)
        return self

    def _take(self, event: Received) -> None:
        try:
            if tells_presence(event.topic):
                presence = parse_presence(event.topic, event.payload)
                self.presences[presence.responder] = presence
            else:
                reply = parse_reply(event.topic, event.payload)
                if isinstance(reply, StartDrill):
                    self.drills.append(reply)
                else:
                    self.replies.append(reply)
        except BadMessage as error:
            self.bad.append(str(error))

    def say(self, **facts: Any) -> Snapshot:
        """Publish a snapshot; an open alert of a pressed button unless `facts` say otherwise."""
        base: dict[str, Any] = {
            "store": STORE, "unit": self.unit, "place": self.place, "id": self.incident, "revision": 1,
            "state": State.RAISED, "severity": Severity.ALERT, "trigger": Trigger.BUTTON, "tier": 1,
            "tiers": ("the staff", "the manager"), "asked": (PRIYA, SAM), "reach": Reach.OK,
            "opened_at": datetime.now(UTC), "elapsed_s": 0.0,
        }  # fmt: skip
        snapshot = Snapshot(**{**base, **facts})
        self.send(incident_topic(STORE, self.unit), snapshot.model_dump_json().encode())
        self._open = 0 if snapshot.state is State.CLOSED else snapshot.revision
        return snapshot

    def close(self) -> None:
        """Close what is open and go."""
        if self._open:
            self.say(revision=self._open + 1, state=State.CLOSED)
        self.link.close()

    def beat(self, number: int = 1, **facts: Any) -> None:
        """Publish a status."""
        base: dict[str, Any] = {"store": STORE, "unit": self.unit, "place": self.place, "state": UnitState.READY}
        status = Status(**{**base, "beat": number, **facts})
        self.send(status_topic(STORE, self.unit), status.model_dump_json().encode())

    def send(self, topic: str, payload: bytes) -> None:
        """Publish retained, once the desk is connected: after a broker that hung it may still be finding its way back."""
        until(lambda: self.link.publish(topic, payload, retain=True) is not None)

    def reply(self, kind: str) -> Reply:
        """Wait for an answer of this kind and return the first."""
        until(lambda: kind in {one.kind for one in self.read().replies})
        return next(one for one in self.replies if one.kind == kind)

    def listening(self, responder: str = "priya") -> bool:
        """Return whether a responder is said to listen."""
        presence = self.read().presences.get(responder)
        return presence is not None and presence.listening


@contextmanager
def desk(broker: PrivateBroker, *args: str) -> Iterator[Desk]:
    """Run a desk."""
    one = Desk(broker, *args)
    try:
        yield one
    finally:
        one.close()


def board_toml(folder: Path, section: BrokerSection, responder: Person = PRIYA) -> Path:
    """Write a pager's board.toml and return its path; where a password is wanted, it is the wrong one."""
    path = folder / f"board-{responder.id}.toml"
    sign_in = (
        f'username = "{section.username}"\npassword = "not the one"\n'
        if section.username
        else f'cert_file = "{section.cert_file}"\nkey_file = "{section.key_file}"\n'
    )
    path.write_text(
        f'[responder]\nstore = "{STORE}"\nid = "{responder.id}"\nname = "{responder.name}"\n'
        f'[broker]\nhost = "{section.host}"\nport = {section.port}\nca_file = "{section.ca_file}"\n'
        f"{sign_in}"
    )
    return path


PINS = {"priya": "2704", "sam": "8315"}
STORED_PINS = {who: store_pin(pin) for who, pin in PINS.items()}


def store_toml(folder: Path, broker: PrivateBroker, *more: str, serve: str = "", password: str = "") -> Path:
    """Write a store.toml with Priya, and Sam who is the manager; return its path. `password`: everybody's at the broker."""

    def signs_in(section: BrokerSection) -> str:
        if section.username:
            return f'username = "{section.username}"\npassword = "{password}"\n'
        return f'cert_file = "{section.cert_file}"\nkey_file = "{section.key_file}"\n'

    def staff(one: Person, role: str) -> str:
        who = f'[[staff]]\nid = "{one.id}"\nname = "{one.name}"\nrole = "{role}"\npin = "{STORED_PINS[one.id]}"\n'
        return who + signs_in(broker.section_for_responder(one.id))

    own = broker.section_for_board()
    path = folder / "store.toml"
    path.write_text(
        f'[store]\nid = "{STORE}"\nname = "Harbour Stores"\nstate_dir = "{folder}/board-state"\n'
        f'[broker]\nhost = "{own.host}"\nport = {own.port}\nca_file = "{own.ca_file}"\n{signs_in(own)}'
        f"[serve]\nport = 0\n{serve}\n{staff(PRIYA, 'staff')}{staff(SAM, 'manager')}" + "\n".join(more)
    )
    path.chmod(0o600)
    return path


class Program:
    """`stayby board` or `stayby pager` as its own process."""

    def __init__(self, command: str, config: Path, log: Path, *options: str) -> None:
        code = "from kiosk.cli import app; app()"
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, command, "--config", str(config), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip

    def first_line(self) -> str:
        """Wait for the first line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.close()
        return code

    def close(self) -> None:
        """Kill what is left and close the pipes."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            if pipe is not None:
                pipe.close()
