"""Simulated units by the hundred for measurements: each its own identity and connection, one thread for all of them.

Each says what a real one says, as often: its status every 5 s, an unanswered alert again every 5 s, who has seen it. None has a
button, a screen or a disk.
"""

import heapq
import random
import selectors
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from kiosk import __version__
from kiosk.alertd import BEAT_S
from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import (
    Entry,
    Face,
    NextStep,
    Outcome,
    Person,
    Reach,
    SeenReply,
    Severity,
    Snapshot,
    State,
    Status,
    Trigger,
    UnitState,
    incident_topic,
    parse_reply,
    presence_topic,
    reply_topic,
    status_topic,
)
from kiosk.mqtt import tls_context

RESEND_S = 5.0
KEEPALIVE_S = 30
"""A real unit pings after 4 s. Here one thread is all of them: a busy machine would break them for no fault of theirs."""
MISC_S = 1.0
LOOP_S = 0.05
BACKOFF_S = (0.2, 1.5)
JOIN_S = 10.0
SAM = Person(id="sam", name="Sam")


def unit_ids(number: int) -> list[str]:
    """Return the ids of this many units."""
    return [f"desk-{one:04}" for one in range(1, number + 1)]


def place_of(unit: str) -> str:
    """Return what staff call a unit's desk."""
    return f"Desk {unit.removeprefix('desk-').lstrip('0')}"


class FleetUnit:
    """One simulated unit; all of it runs on its fleet's thread."""

    def __init__(self, fleet: "Fleet", unit: str, section: BrokerSection) -> None:
        self._fleet, self.unit = fleet, unit
        self.place = place_of(unit)
        self._beat = 0
        self._incident = ""
        self._revision = 0
        self._opened_unix_s = 0.0
        self._seen: tuple[Person, ...] = ()
        self._opened = count(1)
        self.ready = False
        self.client = self._new_client(section)
        self.client.connect(section.host, section.port, KEEPALIVE_S)

    def _new_client(self, section: BrokerSection) -> Client:
        name = f"unit-{self._fleet.store}-{self.unit}"
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        client.tls_set_context(tls_context(section))
        client.will_set(self._topic(status_topic), self._status(UnitState.LOST), qos=1, retain=True)
        client.on_connect, client.on_message = self._on_connect, self._on_message
        client.on_subscribe = self._on_subscribe
        return client

    def _topic(self, of: Callable[[str, str], str]) -> str:
        return of(self._fleet.store, self.unit)

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            raise ConnectionError(f"{self.unit}: the broker refused it ({code})")
        store = self._fleet.store
        topics = (presence_topic(store, "+"), reply_topic(store, self.unit, "+"), incident_topic(store, self.unit))
        client.subscribe([(topic, 1) for topic in topics])

    def _on_subscribe(self, *_: Any) -> None:
        if not self.ready:
            self._fleet.later(BEAT_S, self._beat_on)
        self.ready = True
        self._say_status()
        if self._incident:
            self._say(State.RAISED)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if "/reply/" not in message.topic:
            return
        reply = parse_reply(message.topic, bytes(message.payload))
        if isinstance(reply, SeenReply) and reply.incident == self._incident and not self._seen:
            self._seen = (SAM,)
            self._fleet.seen_unix_s[self._incident] = time.time()
            self._revision += 1
            self._say(State.RAISED)

    def _status(self, state: UnitState) -> bytes:
        face = Face(
            store=self._fleet.store,
            unit=self.unit,
            place=self.place,
            address="Harbour Stores, 12 Quay Street, Leeds LS1 4DL. Ground floor, east door.",
            emergency_number="999",
            country="GB",
            meet="the north entrance",
        )
        status = Status(
            store=self._fleet.store,
            unit=self.unit,
            place=self.place,
            state=state,
            version=__version__,
            beat=self._beat,
            face=None if state is UnitState.LOST else face,
        )
        return status.model_dump_json().encode()

    def _beat_on(self) -> None:
        self._fleet.later(BEAT_S, self._beat_on)
        self._beat += 1
        self._fleet.beats += 1
        self._say_status()

    def _say_status(self) -> None:
        self.client.publish(self._topic(status_topic), self._status(UnitState.READY), qos=1, retain=True)

    def open(self) -> None:
        """Raise an alert, as a press does."""
        self._incident = f"{self.unit}-{next(self._opened)}"
        self._revision, self._seen = 1, ()
        self._opened_unix_s = time.time()
        self._fleet.raised_unix_s[self._incident] = self._opened_unix_s
        self._say(State.RAISED)
        self._fleet.later(RESEND_S, partial(self._say_again, self._incident))

    def _say_again(self, incident: str) -> None:
        if incident == self._incident:
            self._say(State.RAISED)
            self._fleet.later(RESEND_S, partial(self._say_again, incident))

    def close(self) -> None:
        """End the alert that is open, as a responder's answer does."""
        if self._incident:
            self._revision += 1
            self._say(State.CLOSED, outcome=Outcome.TEST, closed_by=SAM)
            self._incident = ""

    def _say(self, state: State, **facts: Any) -> None:
        elapsed_s = time.time() - self._opened_unix_s
        snapshot = Snapshot(
            store=self._fleet.store,
            unit=self.unit,
            place=self.place,
            id=self._incident,
            revision=self._revision,
            state=state,
            severity=Severity.ALERT,
            trigger=Trigger.BUTTON,
            tier=1,
            tiers=("the staff", "the manager"),
            asked=(SAM,),
            seen=self._seen,
            reach=Reach.OK,
            opened_at=datetime.fromtimestamp(self._opened_unix_s, UTC),
            elapsed_s=elapsed_s,
            next=NextStep(what="ask_next_tier", in_s=max(0.0, 30.0 - elapsed_s)) if state is State.RAISED else None,
            timeline=(Entry(t_s=0.0, what="pressed"), Entry(t_s=0.0, what="asked", who="Sam")),
            **facts,
        )
        self.client.publish(self._topic(incident_topic), snapshot.model_dump_json().encode(), qos=1, retain=True)


class Fleet:
    """Many units on one broker, served by one thread; `raised_unix_s` says when each alert was handed to the network."""

    def __init__(self, broker: PrivateBroker, seed: int) -> None:
        self.store = broker.store
        self.raised_unix_s: dict[str, float] = {}
        self.seen_unix_s: dict[str, float] = {}
        self.beats = 0
        self.reconnects = 0
        self.units: list[FleetUnit] = []
        self._broker = broker
        self._random = random.Random(seed)  # noqa: S311 - measured, not guarded
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._asked: SimpleQueue[tuple[float, Callable[[], None]]] = SimpleQueue()
        self._closing = False
        self._death: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._thread.start()

    # --- from the main thread -----------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Return whether every unit is connected; raises what killed the fleet."""
        self.check()
        return len(self.units) == len(self._broker.units) and all(one.ready for one in self.units)

    def check(self) -> None:
        """Raise what killed the fleet's thread, if anything did."""
        if self._death is not None:
            raise self._death

    def ask(self, in_s: float, action: Callable[[], None]) -> None:
        """Let the fleet's thread do something `in_s` seconds from now."""
        self._asked.put((time.monotonic() + in_s, action))

    def close(self) -> None:
        """End every connection; the broker says each one's will."""
        self._closing = True
        self._thread.join(JOIN_S)

    # --- on the fleet's thread ----------------------------------------------------------------------------------------

    def later(self, in_s: float, action: Callable[[], None]) -> None:
        """Do something `in_s` seconds from now."""
        heapq.heappush(self._due, (time.monotonic() + in_s, next(self._number), action))

    def _run(self) -> None:
        try:
            self._connect()
            while not self._closing:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._death = error
        finally:
            for unit in self.units:
                sock = unit.client.socket()
                if sock is not None:
                    sock.close()
            self._selector.close()

    def _connect(self) -> None:
        for name in self._broker.units:
            unit = FleetUnit(self, name, self._broker.section_for_unit(name))
            self.units.append(unit)
            self._listen_to(unit)
            self.later(self._random.uniform(0.0, MISC_S), partial(self._misc, unit))
            self._turn(wait=False)

    def _listen_to(self, unit: FleetUnit) -> None:
        sock: Any = unit.client.socket()
        self._selector.register(sock, selectors.EVENT_READ, unit)

    def _turn(self, *, wait: bool = True) -> None:
        while not self._asked.empty():
            at_s, action = self._asked.get()
            heapq.heappush(self._due, (at_s, next(self._number), action))
        left_s = self._due[0][0] - time.monotonic() if self._due else LOOP_S
        for key, _ in self._selector.select(min(max(left_s, 0.0), LOOP_S) if wait else 0.0):
            self._read(key.data)
        until_s = time.monotonic() + LOOP_S  # then it is the others' turn: a unit must not miss its pings
        while self._due and self._due[0][0] <= time.monotonic() < until_s:
            heapq.heappop(self._due)[2]()

    def _read(self, unit: FleetUnit) -> None:
        client = unit.client
        pending = True
        while pending:
            code = client.loop_read()
            sock: Any = client.socket()
            # what TLS has unpacked already wakes no selector
            pending = code == MQTTErrorCode.MQTT_ERR_SUCCESS and sock is not None and sock.pending() > 0
        self._write(unit, code)

    def _misc(self, unit: FleetUnit) -> None:
        if unit.client.socket() is not None:
            self._write(unit, unit.client.loop_misc())
        self.later(MISC_S, partial(self._misc, unit))

    def _write(self, unit: FleetUnit, code: MQTTErrorCode) -> None:
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS and unit.client.want_write():
            code = unit.client.loop_write()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost(unit)

    def _lost(self, unit: FleetUnit) -> None:
        """A connection broke (a machine too busy for its pings): let go of it and come back, as a real unit does."""
        self.reconnects += 1
        gone = next((key for key in self._selector.get_map().values() if key.data is unit), None)
        if gone is not None:
            self._selector.unregister(gone.fileobj)
        self.later(self._random.uniform(*BACKOFF_S), partial(self._again, unit))

    def _again(self, unit: FleetUnit) -> None:
        unit.client.reconnect()
        self._listen_to(unit)
