"""`python -m bench.chain_stores`: some stores of a chain as its broker hears them, each by the one connection of its bridge.

A store's bridge passes on what its units say, as often as real ones do: each unit's status every 5 s, an alert, it again after
5 s, its close. The few kinds of packet that this takes are written here by hand: a client library would cost more than what is
measured. Told on standard output, a line of JSON each: what is connected, and at the end what was sent.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kiosk import __version__
from kiosk.alertd import BEAT_S
from kiosk.config import BrokerSection
from kiosk.messages import (
    Face,
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
SETTLE_BEATS = 3
AGAIN_S, HOLD_S, CONNECT_S, REST_S = 5.0, 7.0, 60.0, 5.0
KEEPALIVE_S = 600
SAM = Person(id="sam", name="Sam")


# --- MQTT 3.1.1, as far as it is needed here --------------------------------------------------------------------------


def text(said: str) -> bytes:
    """Return a string as it travels."""
    return len(said.encode()).to_bytes(2) + said.encode()


def packet(kind: int, body: bytes) -> bytes:
    """Return a packet with its length, seven bits a byte, the lowest first."""
    left, length = len(body), bytearray()
    while left > 127:  # noqa: PLR2004 - seven bits
        length.append(left % 128 | 128)
        left //= 128
    return bytes([kind, *length, left]) + body


def connect(client_id: str) -> bytes:
    """Return the first packet of a clean session."""
    return packet(0x10, text("MQTT") + bytes([4, 2]) + KEEPALIVE_S.to_bytes(2) + text(client_id))


def publish(topic: str, payload: bytes, mid: int | None = None) -> bytes:
    """Return a retained message: at QoS 1 with a number, else at QoS 0."""
    return packet(0x31, text(topic) + payload) if mid is None else packet(0x33, text(topic) + mid.to_bytes(2) + payload)


def subscribe(topic: str) -> bytes:
    """Return a subscription at QoS 0."""
    return packet(0x82, (1).to_bytes(2) + text(topic) + b"\0")


# --- the stores -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What one process plays: its stores, how many units each has, and in how many seconds each unit raises one alert."""

    stores: tuple[str, ...]
    units: int
    over_s: float
    sections: tuple[BrokerSection, ...]


class Bridge:
    """One store's connection."""

    def __init__(self, store: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.store, self._reader, self._writer = store, reader, writer
        self.sent = self.asked = self.alerts = self._confirmed_bytes = 0
        self._acks = asyncio.create_task(self._count())

    @property
    def confirmed(self) -> int:
        """How many messages the broker has confirmed."""
        return self._confirmed_bytes // 4

    async def _count(self) -> None:
        while said := await self._reader.read(65536):  # nothing but confirmations, four bytes each
            self._confirmed_bytes += len(said)
        raise ConnectionError(f"{self.store}: the broker closed its bridge's connection")

    def check(self) -> None:
        """Raise what broke the connection, if anything did."""
        if self._acks.done():
            self._acks.result()

    def close(self) -> None:
        """Go."""
        self._acks.cancel()
        self._writer.close()

    def _pass_on(self, message: bytes) -> None:
        if not self._writer.is_closing():
            self.sent += 1
            self._writer.write(message)

    def beat(self, topic: str, payload: bytes, number: int) -> None:
        """Say how a unit is."""
        self._pass_on(publish(topic, payload.replace(b'"beat":0', b'"beat":%d' % number)))

    def alert(self, unit: str) -> None:
        """Raise an alert; `opened_at` is the moment in which it is handed to the network."""
        self.alerts += 1
        opened_at, later = datetime.now(UTC), asyncio.get_running_loop().call_later
        self._say(unit, 1, State.RAISED, opened_at, 0.0)
        later(AGAIN_S, partial(self._say, unit, 1, State.RAISED, opened_at, AGAIN_S))
        closed = {"outcome": Outcome.TEST, "closed_by": SAM}
        later(HOLD_S, partial(self._say, unit, 2, State.CLOSED, opened_at, HOLD_S, **closed))

    def _say(self, unit: str, revision: int, state: State, opened_at: datetime, elapsed_s: float, **facts: Any) -> None:
        snapshot = Snapshot(
            store=self.store, unit=unit, place=unit, id=f"{self.store}-{unit}", revision=revision, state=state,
            severity=Severity.ALERT, trigger=Trigger.BUTTON, tier=1, tiers=("the staff", "the manager"), asked=(SAM,),
            reach=Reach.OK, opened_at=opened_at, elapsed_s=elapsed_s, **facts,
        )  # fmt: skip
        self.asked += 1
        payload = snapshot.model_dump_json().encode()
        self._pass_on(publish(incident_topic(self.store, unit), payload, self.asked % 65535 + 1))


async def _bridge(store: str, section: BrokerSection) -> Bridge:
    stream = asyncio.open_connection(section.host, section.port, ssl=tls_context(section))
    reader, writer = await asyncio.wait_for(stream, CONNECT_S)
    writer.write(connect(f"bridge-{store}"))
    answer = await asyncio.wait_for(reader.readexactly(4), CONNECT_S)
    if answer != b"\x20\x02\0\0":
        raise ConnectionError(f"{store}: the broker refused its bridge ({answer.hex()})")
    return Bridge(store, reader, writer)


def _status(store: str, unit: str) -> bytes:
    face = Face(
        store=store, unit=unit, place=unit, address="Harbour Stores, 12 Quay Street, Leeds LS1 4DL. Ground floor, east door.",
        emergency_number="999", country="GB", meet="the north entrance",
    )  # fmt: skip
    now = datetime.now(UTC)
    status = Status(
        store=store, unit=unit, place=unit, state=UnitState.READY, version=__version__, beat=0, last_proven=now, at=now,
        run="0a1b2c3d", link=LinkHealth(broker_ms=9, button_ms=9.0, button_bad=0), face=face,
    )  # fmt: skip
    return status.model_dump_json().encode()


class Pace:
    """Does each thing when it is due, and knows how late it was."""

    def __init__(self) -> None:
        self._loop, self.late_s = asyncio.get_running_loop(), 0.0

    def at(self, due_s: float, action: Callable[[], None]) -> None:
        """Do something at a moment of the loop's clock."""
        self._loop.call_at(due_s, self._do, due_s, action)

    def every(self, due_s: float, again_s: float, action: Callable[[int], None], number: int = 1) -> None:
        """Do something at a moment, and again and again."""
        self.at(due_s, partial(action, number))
        self._loop.call_at(due_s, self.every, due_s + again_s, again_s, action, number + 1)

    def _do(self, due_s: float, action: Callable[[], None]) -> None:
        self.late_s = max(self.late_s, self._loop.time() - due_s)
        action()


async def play(plan: Plan) -> dict[str, int]:
    """Play a plan once the line "begin" has come; return what was sent."""
    chance, pace = random.Random(SEED + len(plan.stores)), Pace()  # noqa: S311 - measured, not guarded
    bridges = [await _bridge(store, section) for store, section in zip(plan.stores, plan.sections, strict=True)]
    print(json.dumps({"connected": len(bridges)}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    now_s = asyncio.get_running_loop().time()
    for bridge in bridges:
        for unit in (f"desk-{one:03}" for one in range(1, plan.units + 1)):
            say = partial(bridge.beat, status_topic(bridge.store, unit), _status(bridge.store, unit))
            pace.every(now_s + chance.uniform(1.0, 1.0 + BEAT_S), BEAT_S, say)
            raised_s = now_s + SETTLE_BEATS * BEAT_S + chance.uniform(0.0, plan.over_s)
            pace.at(raised_s, partial(bridge.alert, unit))
    await asyncio.sleep(SETTLE_BEATS * BEAT_S + plan.over_s + HOLD_S + 1.0)
    await asyncio.sleep(REST_S)  # the last alerts are confirmed meanwhile
    for bridge in bridges:
        bridge.check()
        bridge.close()
    totals = {name: sum(getattr(one, name) for one in bridges) for name in ("sent", "asked", "confirmed", "alerts")}
    return {**totals, "late_ms": round(1000 * pace.late_s)}


def main() -> None:
    """Play the plan on standard input, as JSON."""
    told = json.loads(sys.stdin.readline())
    sections = tuple(BrokerSection.model_validate_json(json.dumps(one)) for one in told["sections"])
    plan = Plan(tuple(told["stores"]), told["units"], told["over_s"], sections)
    print(json.dumps(asyncio.run(play(plan))), flush=True)


if __name__ == "__main__":
    main()
