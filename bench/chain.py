"""Ten thousand units of a hundred stores at one clustered broker: every alert heard by one reader, once, and how soon.

The chain's broker is RabbitMQ as three nodes on this machine. Each store is one connection, its bridge's, which may write its own
store's topics only; the reader hears every status and every alert. Nodes, stores and reader share this machine's cores.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.measure import Measure, not_measured, percentile
from bench.rabbit_cluster import NODES, READER, RabbitCluster, bridge_user, server
from kiosk.config import BrokerSection
from kiosk.messages import PREFIX, BadMessage, Snapshot, State, parse_snapshot, parse_status, status_topic
from kiosk.mqtt import tls_context

STORES, UNITS_EACH, PROCESSES = 100, 100, 2
UNITS = STORES * UNITS_EACH
OVER_S = 120.0
LEAST_FREE_MB = 4000
PATIENCE_S = 60.0
FOREIGN_S = 5.0
NAMES = ("fleet_units", "fleet_10000_alert_p50_ms", "fleet_10000_alert_p99_ms", "fleet_10000_alerts_lost")


class Reader:
    """The chain's one reader: it parses what it hears as any board does, on paho's thread; the caller reads when all is over."""

    def __init__(self, section: BrokerSection) -> None:
        self.late_ms: dict[str, float] = {}
        self.heard = Counter[str]()
        self.units: set[tuple[str, str]] = set()
        self.ready, self.bad = False, ""
        client = Client(CallbackAPIVersion.VERSION2, client_id="chain-reader", protocol=MQTTProtocolVersion.MQTTv311)
        client.tls_set_context(tls_context(section))
        client.on_connect, client.on_message, client.on_subscribe = (
            self._on_connect,
            self._on_message,
            self._on_subscribe,
        )
        client.connect(section.host, section.port, 60)
        client.loop_start()
        self.client = client

    @staticmethod
    def _on_connect(client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            raise ConnectionError(f"the broker refused the reader ({code})")
        client.subscribe([(f"{PREFIX}/+/+/incident", 1), (f"{PREFIX}/+/+/status", 1)])

    def _on_subscribe(self, *_: Any) -> None:
        self.ready = True

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        now = datetime.now(UTC)
        try:
            self._take(message, now)
        except BadMessage as error:
            self.bad = str(error)

    def _take(self, message: Any, now: datetime) -> None:
        if message.topic.endswith("/status"):
            status = parse_status(message.topic, message.payload)
            self.units.add((status.store, status.unit))
            self.heard["status"] += 1
        else:
            self._alert(parse_snapshot(message.topic, message.payload), now)

    def _alert(self, snapshot: Snapshot, now: datetime) -> None:
        self.heard[snapshot.state] += 1
        if snapshot.state is State.RAISED:
            self.late_ms.setdefault(snapshot.id, (now - snapshot.opened_at).total_seconds() * 1000.0)

    def close(self) -> None:
        """Go."""
        self.client.disconnect()
        self.client.loop_stop()


def measure(folder: Path) -> dict[str, Measure]:
    """Run the chain in `folder` and return its figures."""
    free_mb = _free_mb()
    if server() is None:
        return _none("RabbitMQ is not installed: apt install rabbitmq-server")
    if free_mb < LEAST_FREE_MB:
        return _none(f"{free_mb:.0f} MiB of memory are free; it wants {LEAST_FREE_MB}")
    stores = [f"store-{one:03}" for one in range(1, STORES + 1)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with RabbitCluster(folder, stores) as cluster:
        if cluster.joined() != NODES:
            return _none(f"only {cluster.joined()} nodes joined")
        return _chain(cluster, stores)


def _none(why: str) -> dict[str, Measure]:
    return {name: not_measured("ms" if name.endswith("_ms") else "", why) for name in NAMES}


def _free_mb() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1024


def _chain(cluster: RabbitCluster, stores: list[str]) -> dict[str, Measure]:
    reader = Reader(cluster.section(READER, NODES - 1))
    try:
        _wait("the reader", lambda: reader.ready)
        started_s = time.monotonic()
        done = _play(cluster, stores)
        took_s = time.monotonic() - started_s
        _wait("the last alert", lambda: len(reader.late_ms) >= done["alerts"], give_up=False)
        if reader.bad:
            raise ValueError(reader.bad)
        foreign = _foreign_words(cluster, stores, reader)
        return _figures(cluster, reader, done, took_s, foreign)
    finally:
        reader.close()


def _wait(what: str, condition: Any, *, give_up: bool = True) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition() and (give_up or time.monotonic() < until_s):
        if time.monotonic() > until_s:
            raise TimeoutError(f"no {what} after {PATIENCE_S:g} s")
        time.sleep(0.1)


def _play(cluster: RabbitCluster, stores: list[str]) -> Counter[str]:
    """Let some processes play the stores; return what all of them did."""
    players = [_player(cluster, stores[number::PROCESSES]) for number in range(PROCESSES)]
    try:
        for player in players:
            _said(player)  # connected
        for player in players:
            _tell(player, "begin")
        done = Counter[str]()
        for player in players:
            done.update(_said(player))
        return done
    finally:
        for player in players:
            player.terminate()
            player.communicate()


def _player(cluster: RabbitCluster, stores: list[str]) -> "subprocess.Popen[str]":
    player = subprocess.Popen(
        [sys.executable, "-m", "bench.chain_stores"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    sections = [cluster.section(bridge_user(one), number) for number, one in enumerate(stores)]
    shown = [one.model_dump(mode="json", exclude_none=True) for one in sections]
    _tell(player, json.dumps({"stores": stores, "units": UNITS_EACH, "over_s": OVER_S, "sections": shown}))
    return player


def _tell(player: "subprocess.Popen[str]", line: str) -> None:
    assert player.stdin is not None  # noqa: S101 - it was opened as a pipe
    player.stdin.write(f"{line}\n")
    player.stdin.flush()


def _said(player: "subprocess.Popen[str]") -> dict[str, int]:
    assert player.stdout is not None  # noqa: S101 - it was opened as a pipe
    line = player.stdout.readline()
    if not line:
        raise OSError(f"the stores' process ended with {player.wait()}; its own words stand above")
    told: dict[str, int] = json.loads(line)
    return told


def _foreign_words(cluster: RabbitCluster, stores: list[str], reader: Reader) -> int:
    """Let the first store's bridge say something in the name of the second one's unit; return how much of it was heard."""
    section = cluster.section(bridge_user(stores[0]), 0)
    client = Client(CallbackAPIVersion.VERSION2, client_id="intruder", protocol=MQTTProtocolVersion.MQTTv311)
    client.tls_set_context(tls_context(section))
    client.connect(section.host, section.port, 60)
    client.loop_start()
    words = json.dumps({"store": stores[1], "unit": "intruder", "place": "x", "state": "ready"})
    client.publish(status_topic(stores[1], "intruder"), words, qos=1)
    time.sleep(FOREIGN_S)
    client.disconnect()
    client.loop_stop()
    return sum(unit == "intruder" for _, unit in reader.units)


def _figures(
    cluster: RabbitCluster, reader: Reader, done: Counter[str], took_s: float, foreign: int
) -> dict[str, Measure]:
    late_ms = list(reader.late_ms.values())
    where = f"{NODES} RabbitMQ nodes, {STORES} stores and the reader on one machine"
    rate = round(done["sent"] / took_s)
    load = f"{rate} messages a second; load {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    return {
        "fleet_units": Measure(len(reader.units), "units", UNITS, f"heard by one reader; {where}"),
        "fleet_10000_alert_p50_ms": Measure(percentile(late_ms, 0.5), "ms", len(late_ms), where),
        "fleet_10000_alert_p99_ms": Measure(percentile(late_ms, 0.99), "ms", len(late_ms), load),
        "fleet_10000_alerts_lost": Measure(done["alerts"] - len(late_ms), "alerts", done["alerts"], "design: 0"),
        "fleet_10000_twice": Measure(reader.heard[State.RAISED] - len(late_ms), "alerts", done["alerts"]),
        "fleet_10000_unconfirmed": Measure(done["sent"] - done["confirmed"], "messages", done["sent"]),
        "fleet_10000_messages_per_s": Measure(rate, "1/s", done["sent"], "a status of each unit every 5 s, and alerts"),
        "fleet_10000_behind_ms": Measure(
            done["late_ms"], "ms", PROCESSES, "the simulation itself; worst, all processes"
        ),
        "fleet_10000_broker_mb": Measure(cluster.memory_mb(), "MiB", NODES, "all nodes"),
        "fleet_10000_foreign_heard": Measure(foreign, "messages", 1, "one store in another's name; design: 0"),
    }
