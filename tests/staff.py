"""A responder's device for tests: a real MQTT client that shows the board, reads snapshots and answers."""

import queue
import time
import uuid
from collections.abc import Callable
from typing import Any, Self

from kiosk.demo.stage import STORE, UNIT, Responder, Stage
from kiosk.messages import (
    Presence,
    Record,
    Snapshot,
    StartDrill,
    Status,
    incident_topic,
    parse_snapshot,
    parse_status,
    presence_topic,
    reply_topic,
    status_topic,
)
from kiosk.mqtt import Connected, MqttLink, Received

PATIENCE_S = 20.0


class Staff:
    """One responder. `snapshots` are all that came, in order."""

    def __init__(self, stage: Stage, who: Responder, patience_s: float = PATIENCE_S) -> None:
        self.who, self._patience_s = who, patience_s
        self.snapshots: list[Snapshot] = []
        self.statuses: list[Status] = []
        self.connections = 0
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        section = stage.broker.section_for_responder(who.person.id)
        topics = (incident_topic(STORE, "+"), status_topic(STORE, "+"))
        self._link = MqttLink(section, f"test-{who.person.id}", topics, self._inbox.put, self._inbox.put)

    def __enter__(self) -> Self:
        self.until(lambda: self.connections > 0, self._patience_s)
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def until(self, wanted: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
        """Read what comes until `wanted()`."""
        deadline_s = time.monotonic() + timeout_s
        while not wanted():
            assert time.monotonic() < deadline_s, f"waited in vain; last snapshot: {self.snapshots[-1:]}"
            try:
                self._take(self._inbox.get(timeout=0.05))
            except queue.Empty:
                continue

    def _take(self, event: object) -> None:
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, Connected):
            self.connections += 1
            self.sign_on()
        elif isinstance(event, Received) and event.topic.endswith("/incident"):
            self.snapshots.append(parse_snapshot(event.topic, event.payload))
        elif isinstance(event, Received):
            self.statuses.append(parse_status(event.topic, event.payload))

    def sign_on(self) -> None:
        """Say that this device listens, as a real one does every 15 s."""
        self._say(presence_topic(STORE, self.who.person.id, "phone"), self._presence(), retain=True)

    def _presence(self) -> Presence:
        one = self.who.person
        return Presence(responder=one.id, device="phone", name=one.name, tier=self.who.tier, listening=True)

    def _say(self, topic: str, record: Record, *, retain: bool) -> None:
        assert self._link.publish(topic, record.model_dump_json().encode(), retain=retain) is not None

    def wait(self, wanted: Callable[[Snapshot], Any], timeout_s: float = PATIENCE_S) -> Snapshot:
        """Return the newest snapshot once it is as wanted."""
        self.until(lambda: self.snapshots and wanted(self.snapshots[-1]), timeout_s)
        return self.snapshots[-1]

    def wait_status(self, wanted: Callable[[Status], Any], timeout_s: float = PATIENCE_S) -> Status:
        """Return the newest status once it is as wanted."""
        self.until(lambda: self.statuses and wanted(self.statuses[-1]), timeout_s)
        return self.statuses[-1]

    def forget(self) -> None:
        """Clear this responder's presence from the broker."""
        assert self._link.publish(presence_topic(STORE, self.who.person.id, "phone"), b"", retain=True) is not None

    def raw(self, payload: bytes, responder: str | None = None) -> None:
        """Answer with anything at all."""
        assert self._link.publish(reply_topic(STORE, UNIT, responder or self.who.person.id), payload) is not None

    def reply(self, kind: type, incident: str, **facts: object) -> Any:
        """Answer; return the reply."""
        made = kind(reply_id=uuid.uuid4().hex, incident=incident, responder=self.who.person.id, **facts)
        self._say(reply_topic(STORE, UNIT, self.who.person.id), made, retain=True)
        return made

    def start_drill(self, scenario: str, drill: str | None = None, *, retain: bool = False) -> str:
        """Begin a drill at the unit; return its id."""
        order = StartDrill(responder=self.who.person.id, drill=drill or f"drill-{uuid.uuid4().hex}", scenario=scenario)
        self._say(reply_topic(STORE, UNIT, self.who.person.id), order, retain=retain)
        return order.drill
