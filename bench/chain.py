"""Ten thousand units of a hundred stores at one clustered broker: every alert heard by one reader, once, and how soon.

The chain's broker is RabbitMQ as three nodes on this machine. Each store is one connection, its bridge's, which may write its own
store's topics only; one reader hears every alert, another every status. Nodes, stores and readers share this machine's cores.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from bench.chain_stores import connect, publish, subscribe
from bench.measure import Measure, not_measured, percentile
from bench.rabbit_cluster import NODES, READER, RabbitCluster, bridge_user, server
from kiosk.config import BrokerSection
from kiosk.messages import PREFIX, Snapshot, State, parse_snapshot, status_topic
from kiosk.mqtt import Connected, Disconnected, LinkEvent, MqttLink, Received, tls_context

STORES, UNITS_EACH, PROCESSES = 100, 100, 2
UNITS = STORES * UNITS_EACH
OVER_S = 120.0
LEAST_FREE_MB = 4000
PATIENCE_S = 60.0
FOREIGN_S = 2.0
PUBLISH = 0x30
NAMES = ("fleet_units", "fleet_10000_alert_p50_ms", "fleet_10000_alert_p99_ms", "fleet_10000_alerts_lost")


class AlertReader:
    """Who hears every alert of the chain, by the product's link and parsers. Its thread writes, the caller reads later."""

    def __init__(self, section: BrokerSection) -> None:
        self.late_ms: dict[str, float] = {}
        self.breaks = 0
        self.ready = False
        self._death: BaseException | None = None
        self._link = MqttLink(section, "chain-alerts", (f"{PREFIX}/+/+/incident",), self._put, self._died)

    def _died(self, error: BaseException) -> None:
        self._death = error

    def check(self) -> None:
        """Raise what killed the link, if anything did."""
        if self._death is not None:
            raise self._death

    def _put(self, event: LinkEvent) -> None:
        now = datetime.now(UTC)
        if isinstance(event, Connected):
            self.ready = True
        elif isinstance(event, Disconnected):
            self.breaks += 1
        elif isinstance(event, Received):
            self._take(parse_snapshot(event.topic, event.payload), now)

    def _take(self, snapshot: Snapshot, now: datetime) -> None:
        if snapshot.state is State.RAISED:  # the first time that it is heard; it is said again every 5 s
            self.late_ms.setdefault(snapshot.id, (now - snapshot.opened_at).total_seconds() * 1000.0)

    def close(self) -> None:
        """Go."""
        self._link.close()


class StatusReader:
    """Who hears every status of the chain: which units, and how many messages."""

    def __init__(self, section: BrokerSection) -> None:
        self.units: set[bytes] = set()
        self.heard = 0
        plain = socket.create_connection((section.host, section.port))
        self._sock = tls_context(section).wrap_socket(plain, server_hostname=section.host)
        self._sock.sendall(connect("chain-statuses") + subscribe(f"{PREFIX}/+/+/status"))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError), self._sock.makefile("rb") as stream:  # closed when all is over
            while kind := stream.read(1):
                body = stream.read(_length(stream))
                if kind[0] & 0xF0 == PUBLISH:
                    self.heard += 1
                    self.units.add(body[2 : 2 + int.from_bytes(body[:2])])

    def close(self) -> None:
        """Go."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()


def _length(stream: BinaryIO) -> int:
    length = shift = 0
    while True:
        byte = stream.read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:  # noqa: PLR2004 - the last one has no eighth bit
            return length


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
    alerts = AlertReader(cluster.section(READER, NODES - 1))
    statuses = StatusReader(cluster.section(READER, 1))
    try:
        _wait("reader", lambda: alerts.ready)
        started_s = time.monotonic()
        done = _play(cluster, stores)
        took_s = time.monotonic() - started_s
        _wait("last alert", lambda: len(alerts.late_ms) >= done["alerts"], give_up=False)
        alerts.check()
        foreign = _foreign_words(cluster, stores, statuses)
        return _figures(cluster, alerts, statuses, done, took_s, foreign)
    finally:
        alerts.close()
        statuses.close()


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


def _foreign_words(cluster: RabbitCluster, stores: list[str], statuses: StatusReader) -> int:
    """Let the first store's bridge speak for a unit of its own and of the second store; return how much of that was heard."""
    section = cluster.section(bridge_user(stores[0]), 0)
    for store in reversed(stores[:2]):
        plain = socket.create_connection((section.host, section.port))
        with tls_context(section).wrap_socket(plain, server_hostname=section.host) as sock:
            sock.sendall(connect(f"intruder-{store}") + publish(status_topic(store, "intruder"), b"{}", 1))
            sock.settimeout(FOREIGN_S)
            with contextlib.suppress(OSError):
                while sock.recv(4096):  # its confirmation; or the end, where it may not
                    pass
    own, other = (status_topic(store, "intruder").encode() for store in stores[:2])
    _wait(
        "word of a store's own bridge", lambda: own in statuses.units
    )  # without it, that the other is not heard means nothing
    return int(other in statuses.units)


def _figures(
    cluster: RabbitCluster, alerts: AlertReader, statuses: StatusReader, done: Counter[str], took_s: float, foreign: int
) -> dict[str, Measure]:
    late_ms = list(alerts.late_ms.values())
    where = f"{NODES} RabbitMQ nodes, {STORES} stores, two readers on one machine"
    rate = round(done["sent"] / took_s)
    load = f"{rate} messages a second; load {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    return {
        "fleet_units": Measure(len(statuses.units) - 1, "units", UNITS, f"heard by one reader; {where}"),
        "fleet_10000_alert_p50_ms": Measure(percentile(late_ms, 0.5), "ms", len(late_ms), where),
        "fleet_10000_alert_p99_ms": Measure(percentile(late_ms, 0.99), "ms", len(late_ms), load),
        "fleet_10000_alerts_lost": Measure(done["alerts"] - len(late_ms), "alerts", done["alerts"], "design: 0"),
        "fleet_10000_reader_breaks": Measure(
            alerts.breaks, "times", 1, "connections that the reader lost and made again"
        ),
        "fleet_10000_unconfirmed": Measure(
            done["asked"] - done["confirmed"], "messages", done["asked"], "of alerts, 5 s later"
        ),
        "fleet_10000_statuses_heard": Measure(
            statuses.heard, "messages", done["sent"] - done["asked"], "of those sent"
        ),
        "fleet_10000_messages_per_s": Measure(rate, "1/s", done["sent"], "a status of each unit every 5 s, and alerts"),
        "fleet_10000_behind_ms": Measure(done["late_ms"], "ms", PROCESSES, "the simulation itself, at its worst"),
        "fleet_10000_broker_mb": Measure(cluster.memory_mb(), "MiB", NODES, "all nodes"),
        "fleet_10000_foreign_heard": Measure(foreign, "messages", 1, "one store in another's name; design: 0"),
    }
