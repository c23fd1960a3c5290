"""`python -m bench.chain_stores`: some stores of a chain as its broker hears them, each by the one connection of its bridge.

A store's bridge passes on what its units say, as often as real ones do: each unit's status every 5 s, an alert and its close.
Told on standard output, a line of JSON each: what is connected, and at the end what was sent.
"""

import heapq
import json
import random
import selectors
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from kiosk import __version__
from kiosk.config import BrokerSection
from kiosk.messages import (
    LinkHealth,
    Outcome,
    Person,
    Reach,
    Severity,
    Snapshot,
    State,
    Status,
    Trigger,
    UnitState,
    incident_topic,
    status_topic,
)
from kiosk.mqtt import tls_context

SEED = 7
BEAT_S, HOLD_S, KEEPALIVE_S, MISC_S, LOOP_S = 5.0, 5.0, 60, 5.0, 0.05
SAM = Person(id="sam", name="Sam")


@dataclass(frozen=True)
class Plan:
    """What one process plays: its stores, how many units each has, and in how many seconds each unit raises one alert."""

    stores: tuple[str, ...]
    units: int
    over_s: float
    sections: tuple[BrokerSection, ...]


class Bridge:
    """One store's connection; all of it runs on the one thread."""

    def __init__(self, play: "Play", store: str, section: BrokerSection, units: int) -> None:
        self._play, self.store, self.units = play, store, [f"desk-{one:03}" for one in range(1, units + 1)]
        self.ready, self.confirmed = False, 0
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"bridge-{store}", protocol=MQTTProtocolVersion.MQTTv311)
        client.tls_set_context(tls_context(section))
        client.max_inflight_messages_set(1000)
        client.on_connect, client.on_publish = self._on_connect, self._on_publish
        client.connect(section.host, section.port, KEEPALIVE_S)
        self.client = client

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            raise ConnectionError(f"{self.store}: the broker refused its bridge ({code})")
        self.ready = True

    def _on_publish(self, *_: Any) -> None:
        self.confirmed += 1

    def say(self, topic: str, payload: str) -> None:
        """Pass one message on, as a bridge does: retained, at least once."""
        self._play.sent += 1
        self.client.publish(topic, payload.encode(), qos=1, retain=True)
        if self.client.want_write():
            self.client.loop_write()

    def beat(self, unit: str, number: int) -> None:
        """Say how a unit is, and again after `BEAT_S`."""
        self._play.later(BEAT_S, partial(self.beat, unit, number + 5))
        status = Status(
            store=self.store, unit=unit, place=unit, state=UnitState.READY, version=__version__, beat=number,
            last_proven=datetime.now(UTC), at=datetime.now(UTC), run="0a1b2c3d", link=LinkHealth(broker_ms=9, button_ms=9.0),
        )  # fmt: skip
        self.say(status_topic(self.store, unit), status.model_dump_json())

    def alert(self, unit: str) -> None:
        """Raise an alert; `opened_at` is the moment in which it is handed to the network."""
        self._play.alerts += 1
        self._say(unit, 1, State.RAISED, datetime.now(UTC), 0.0)
        self._play.later(HOLD_S, partial(self._close, unit, datetime.now(UTC)))

    def _close(self, unit: str, opened_at: datetime) -> None:
        self._say(unit, 2, State.CLOSED, opened_at, HOLD_S, outcome=Outcome.TEST, closed_by=SAM)

    def _say(self, unit: str, revision: int, state: State, opened_at: datetime, elapsed_s: float, **facts: Any) -> None:
        snapshot = Snapshot(
            store=self.store, unit=unit, place=unit, id=f"{self.store}-{unit}", revision=revision, state=state,
            severity=Severity.ALERT, trigger=Trigger.BUTTON, tier=1, tiers=("the staff", "the manager"), asked=(SAM,),
            reach=Reach.OK, opened_at=opened_at, elapsed_s=elapsed_s, **facts,
        )  # fmt: skip
        self.say(incident_topic(self.store, unit), snapshot.model_dump_json())


class Play:
    """All bridges of this process and what is due when."""

    def __init__(self, plan: Plan) -> None:
        self.sent = self.alerts = self.late = 0
        self._plan, self._due = plan, list[tuple[float, int, Callable[[], None]]]()
        self._number = count()
        self._random = random.Random(SEED + len(plan.stores))  # noqa: S311 - measured, not guarded
        self._selector = selectors.DefaultSelector()
        self.bridges = [Bridge(self, one, at, plan.units) for one, at in zip(plan.stores, plan.sections, strict=True)]
        for bridge in self.bridges:
            sock: Any = bridge.client.socket()
            self._selector.register(sock, selectors.EVENT_READ, bridge)

    def later(self, in_s: float, action: Callable[[], None]) -> None:
        """Do something `in_s` seconds from now."""
        heapq.heappush(self._due, (time.monotonic() + in_s, next(self._number), action))

    def until(self, done: Callable[[], bool], within_s: float) -> None:
        """Serve everybody until `done`, or raise."""
        until_s = time.monotonic() + within_s
        while not done():
            if time.monotonic() > until_s:
                raise TimeoutError(f"still not so after {within_s:g} s")
            self._turn()

    def _turn(self) -> None:
        left_s = self._due[0][0] - time.monotonic() if self._due else LOOP_S
        for key, _ in self._selector.select(min(max(left_s, 0.0), LOOP_S)):
            self._read(key.data)
        until_s = time.monotonic() + LOOP_S
        while self._due and self._due[0][0] <= time.monotonic() < until_s:
            at_s, _, action = heapq.heappop(self._due)
            self.late = max(self.late, round(1000 * (time.monotonic() - at_s)))
            action()

    @staticmethod
    def _read(bridge: Bridge) -> None:
        pending, client = True, bridge.client
        while pending:
            code = client.loop_read()
            if code == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
                code = client.loop_write()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ConnectionError(f"{bridge.store}: its bridge broke ({code!r})")
            sock: Any = client.socket()
            pending = sock is not None and sock.pending() > 0  # what TLS has unpacked already wakes no selector

    def start_beats(self) -> None:
        """Let every unit begin to say how it is, spread over one beat."""
        for bridge in self.bridges:
            self.later(MISC_S, partial(self._misc, bridge))
            for unit in bridge.units:
                self.later(self._random.uniform(0.0, BEAT_S), partial(bridge.beat, unit, 1))

    def _misc(self, bridge: Bridge) -> None:
        bridge.client.loop_misc()
        self.later(MISC_S, partial(self._misc, bridge))

    def start_alerts(self) -> None:
        """Let each unit raise one alert at a random time."""
        for bridge in self.bridges:
            for unit in bridge.units:
                self.later(self._random.uniform(0.0, self._plan.over_s), partial(bridge.alert, unit))

    def confirmed(self) -> int:
        """Return how many messages the broker has confirmed."""
        return sum(one.confirmed for one in self.bridges)


def main() -> None:
    """Play the plan on standard input, as JSON."""
    told = json.loads(sys.stdin.readline())
    sections = tuple(map(BrokerSection.model_validate, told["sections"]))
    plan = Plan(tuple(told["stores"]), told["units"], told["over_s"], sections)
    play = Play(plan)
    play.until(lambda: all(one.ready for one in play.bridges), 60.0)
    print(json.dumps({"connected": len(play.bridges)}), flush=True)
    sys.stdin.readline()  # the reader is ready
    play.start_beats()
    begun_s = time.monotonic()
    play.until(lambda: time.monotonic() - begun_s > 3 * BEAT_S, 60.0)
    play.start_alerts()
    begun_s = time.monotonic()
    play.until(lambda: time.monotonic() - begun_s > plan.over_s + HOLD_S + 1.0, plan.over_s + 60.0)
    facts = {"sent": play.sent, "confirmed": play.confirmed(), "alerts": play.alerts, "late_ms": play.late}
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
