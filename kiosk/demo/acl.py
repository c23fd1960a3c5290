"""Tries every kind of client on every kind of topic at a real mosquitto, and says which cells are not as they should be.

What should be open is written down here by hand and not taken from `kiosk.broker_files`, which made the broker's rules.
A client's reading is proven by what it receives, its writing by what somebody receives who may read everything: a broker may
acknowledge what it then drops, and grant a subscription that brings nothing.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import trustme
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import SecretStr

from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker
from kiosk.mqtt import tls_context

STORE, UNITS, STAFF, PREFIX = "harbour", ("desk-3", "returns"), ("sam", "priya"), "homeassistant"
PATIENCE_S = 10.0
OVERSEER = "overseer"
MARK = "mark"
VERSIONS = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
WILLS = MQTTProtocolVersion.MQTTv5

TOPICS = (
    *(f"stayby/1/harbour/{unit}/{what}" for unit in UNITS for what in ("status", "incident")),
    *(f"stayby/1/harbour/{unit}/reply/{who}" for unit in UNITS for who in (*STAFF, "relay", "stranger")),
    *(f"stayby/1/harbour/staff/{who}/pager" for who in (*STAFF, "relay", "stranger")),
    *(f"stayby/1/harbour/{unit}/proof{more}" for unit in UNITS for more in ("", "/seen")),
    "stayby/1/harbour/staff/sam",
    "stayby/1/harbour/staff/sam/pager/more",
    "stayby/1/harbour",
    "stayby/1/harbour/desk-3",
    "stayby/1/harbour/desk-3/status/more",
    "stayby/1/harbour/desk-3/proof/seen/more",
    "stayby/1/harbour/desk-3/reply",
    "stayby/1/harbour/desk-3/reply/sam/more",
    "stayby/1/harbour/desk-9/status",
    "stayby/1/quayside/desk-3/status",
    "stayby/1/quayside/desk-3/incident",
    "stayby/1/quayside/desk-3/reply/sam",
    "stayby/1/quayside/staff/sam/pager",
    "stayby/1/quayside/desk-3/proof",
    "stayby/1/quayside/desk-3/proof/seen",
    "stayby/2/harbour/desk-3/status",
    "homeassistant/status",
    "homeassistant/device/stayby_harbour_desk-3/config",
    "stayby/relay/harbour/desk-3/state",
    "stayby/relay/harbour/desk-3/command",
    "stayby/relay/quayside/desk-3/state",
    "something/else",
    "$SYS/broker/version",
)
FILTERS = (
    "#",
    "+/#",
    "stayby/#",
    "stayby/1/#",
    "stayby/1/+/+/+",
    "stayby/1/+/+/+/+",
    "stayby/1/harbour/+/reply/+",
    "stayby/1/harbour/+/proof/#",
    "$SYS/#",
    "$share/all/#",
)

# user -> what it may read, what it may write
OPEN: dict[str, tuple[str, str]] = {
    "unit-desk-3": (
        r"stayby/1/harbour/(desk-3/(status|incident|proof/seen|reply/[a-z]+)|staff/[a-z]+/pager)",
        r"stayby/1/harbour/desk-3/(status|incident|proof)",
    ),
    "unit-returns": (
        r"stayby/1/harbour/(returns/(status|incident|proof/seen|reply/[a-z]+)|staff/[a-z]+/pager)",
        r"stayby/1/harbour/returns/(status|incident|proof)",
    ),
    "staff-sam": (
        r"stayby/1/harbour/([a-z0-9-]+/(status|incident)|staff/[a-z]+/pager)",
        r"stayby/1/harbour/([a-z0-9-]+/reply/sam|staff/sam/pager)",
    ),
    "staff-priya": (
        r"stayby/1/harbour/([a-z0-9-]+/(status|incident)|staff/[a-z]+/pager)",
        r"stayby/1/harbour/([a-z0-9-]+/reply/priya|staff/priya/pager)",
    ),
    "board-harbour": (
        r"stayby/1/harbour/([a-z0-9-]+/(status|incident|proof|reply/[a-z]+)|staff/[a-z]+/pager)",
        r"stayby/1/harbour/[a-z0-9-]+/proof/seen",
    ),
    "relay-harbour": (
        r"stayby/1/harbour/([a-z0-9-]+/(status|incident)|staff/[a-z]+/pager)|(homeassistant/status|stayby/relay/.+/command)",
        r"homeassistant/device/.+/config|stayby/relay/harbour/.+",
    ),
    "home-assistant-harbour": (
        r"homeassistant/.+|stayby/relay/harbour/.+",
        r"homeassistant/.+|stayby/relay/harbour/desk-3/command",
    ),
}
STRANGERS = ("unit-desk-9", "staff-nia", "board-quayside", "relay-quayside", "nobody", "#", "+")
"""Certificates of the right authority with names that the store does not know: another store's among them."""


class Cell(NamedTuple):
    """One try: who, how (MQTT's version, how it came in), what was done, to which topic."""

    who: str
    version: str
    does: Literal["read", "write", "will"]
    topic: str


@dataclass
class Matrix:
    """What was tried, what is open and should not be, and what is shut and should not be."""

    tried: set[Cell] = field(default_factory=set)
    open: set[Cell] = field(default_factory=set)
    shut: set[Cell] = field(default_factory=set)

    def count(self, who: str, version: str, does: Literal["read", "write", "will"], came: set[str]) -> None:
        """Take in which topics `came` through."""
        for topic in TOPICS:
            cell, allowed = Cell(who, version, does, topic), may(who, does, topic)
            self.tried.add(cell)
            if (topic in came) != allowed:
                (self.shut if allowed else self.open).add(cell)


def may(who: str, does: str, topic: str) -> bool:
    """Return whether a user should be able to read or write a topic."""
    reads, writes = OPEN.get(who, (r"(?!)", r"(?!)"))
    return re.fullmatch(reads if does == "read" else writes, topic) is not None


class Refused(OSError):
    """The broker does not let this client in."""


class Probe:
    """A bare client that keeps every topic that it hears, with its payloads; with `keep` (3.1.1) its session outlives it."""

    def __init__(
        self,
        section: BrokerSection,
        name: str,
        version: MQTTProtocolVersion,
        will: str | None = None,
        *,
        keep: bool = False,
    ) -> None:
        v5 = version == MQTTProtocolVersion.MQTTv5
        self.heard: dict[str, set[bytes]] = {}
        self._in: str | None = None
        self._done: set[int] = set()
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=version, clean_session=None if v5 else not keep
        )
        self.client.tls_set_context(tls_context(section))
        if will is not None:
            self.client.will_set(will, f"{name} will".encode(), qos=1)
        self.client.on_connect, self.client.on_message = self._on_connect, self._on_message
        self.client.on_subscribe = self.client.on_publish = self._on_done
        try:
            self.client.connect(section.host, section.port, keepalive=60, clean_start=True if v5 else 3)
            self._until(lambda: self._in is not None)
        except OSError as error:
            self.client.loop(0)
            raise Refused(str(error)) from None
        if self._in != "Success":
            raise Refused(str(self._in))

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self._in = str(code)

    def _on_done(self, _client: Client, _data: Any, mid: int, *_: object) -> None:
        self._done.add(mid)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.heard.setdefault(message.topic, set()).add(bytes(message.payload))

    def _until(self, done: Callable[[], bool]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not done():
            if self.client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS and not done():
                raise Refused("the broker hung up")
            if time.monotonic() > until_s:
                raise TimeoutError("the broker does not answer")

    def subscribe(self, filters: Iterable[str], qos: int = 0) -> None:
        """Subscribe, and take all that the broker sends before it says that it is done."""
        _, mid = self.client.subscribe([(one, qos) for one in filters])
        self._until(lambda: mid in self._done)

    def write(self, topics: Iterable[str], payload: bytes, *, retain: bool) -> None:
        """Write one payload to each topic, and wait until the broker has answered for all of them."""
        mids = {self.client.publish(topic, payload, qos=1, retain=retain).mid for topic in topics}
        self._until(lambda: mids <= self._done)

    def settle(self) -> None:
        """Take everything that the broker has sent until now: what it answers next comes after that."""
        self.subscribe([MARK])

    def die(self) -> None:
        """Go without a word, so that the broker says the will."""
        sock = self.client.socket()
        if sock is not None:
            sock.close()
        self.close()

    def close(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- who tries --------------------------------------------------------------------------------------------------------


@contextmanager
def acl_broker(folder: Path) -> Iterator[PrivateBroker]:
    """Run a store's broker, and let one more in who may read and write everything."""
    broker = PrivateBroker(folder, STORE, UNITS, STAFF, prefix=PREFIX)
    acl = folder / "acl"
    acl.write_text(acl.read_text() + f"\nuser {OVERSEER}\ntopic readwrite #\ntopic readwrite $SYS/#\n")
    with broker:
        yield broker


def _stranger(broker: PrivateBroker) -> BrokerSection:
    """Return a table with a password and no certificate, which `Probe` does not send: nothing to sign in with at all."""
    return BrokerSection(
        host=broker.host,
        port=broker.port,
        ca_file=broker.folder / "ca.pem",
        username="nobody",
        password=SecretStr("none"),
    )


def _section(
    broker: PrivateBroker, authority: trustme.CA, user: str, not_after: datetime | None = None
) -> BrokerSection:
    path = broker.folder / f"probe-{user.encode().hex()}.pem"
    authority.issue_cert(common_name=user, not_after=not_after).private_key_and_cert_chain_pem.write_to_path(path)
    return BrokerSection(
        host=broker.host, port=broker.port, ca_file=broker.folder / "ca.pem", cert_file=path, key_file=path
    )


def _clients(broker: PrivateBroker) -> Iterator[tuple[str, BrokerSection]]:
    for user in (*OPEN, *STRANGERS):
        yield user, _section(broker, broker.authority, user)
    yield "bad certificate", _section(broker, trustme.CA(), "unit-desk-3 of a stranger's authority")
    past = datetime.now(UTC) - timedelta(days=1)
    yield "old certificate", _section(broker, broker.authority, "staff-sam", past)
    yield "anonymous", _stranger(broker)


# --- the tries --------------------------------------------------------------------------------------------------------


def try_all(folder: Path) -> Matrix:
    """Return what every client can do at a broker of its own in `folder`."""
    matrix = Matrix()
    with acl_broker(folder) as broker:
        overseer = _section(broker, broker.authority, OVERSEER)
        with Probe(overseer, OVERSEER, VERSIONS[0]) as over:
            over.subscribe(["#", "$SYS/broker/version"])
            for who, section in _clients(broker):
                for version in VERSIONS:
                    _try_one(matrix, over, who, section, version)
    return matrix


def _try_one(matrix: Matrix, over: Probe, who: str, section: BrokerSection, version: MQTTProtocolVersion) -> None:
    name = f"{who}, MQTT {version.name}"
    payload = name.encode()
    try:
        with Probe(section, name, version) as probe:
            matrix.count(who, version.name, "write", _written(over, probe, payload))
            matrix.count(who, version.name, "read", _read(over, probe, payload))
    except Refused:
        matrix.count(who, version.name, "write", set())
        matrix.count(who, version.name, "read", set())
    if version is WILLS:
        matrix.count(who, version.name, "will", {topic for topic in TOPICS if _willed(over, section, name, topic)})


def _written(over: Probe, probe: Probe, payload: bytes) -> set[str]:
    probe.write(TOPICS, payload, retain=True)
    over.settle()
    return {topic for topic, payloads in over.heard.items() if payload in payloads}


def _read(over: Probe, probe: Probe, payload: bytes) -> set[str]:
    """Return what `probe` reads of what lies there and of what comes now, by name and by any wildcard."""
    old, new = payload + b" old", payload + b" new"
    over.write(TOPICS, old, retain=True)
    probe.subscribe([*TOPICS, *FILTERS])
    over.write(TOPICS, new, retain=False)
    probe.settle()
    return {topic for topic, payloads in probe.heard.items() if {old, new} & payloads or topic.startswith("$SYS")}


def _willed(over: Probe, section: BrokerSection, name: str, topic: str) -> bool:
    """Return whether what the broker says of this client's death on `topic` arrives."""
    try:
        Probe(section, name, WILLS, will=topic).die()
    except Refused:
        return False
    over.settle()
    return f"{name} will".encode() in over.heard.get(topic, set())
