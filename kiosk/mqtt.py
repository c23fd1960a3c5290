"""One MQTT client over TLS that keeps coming back, and says in one plain line why it cannot.

The link owns a thread: it resolves the name, connects, subscribes, reads, and reconnects. That thread only calls `put` with
frozen events; it never calls into the caller's state. `publish` is the caller's, from the one thread that empties the inbox
which `put` fills. So an `Acknowledged(mid)` may be in that inbox before `publish` has returned `mid`, and is still handled
after it: nothing needs a lock.

Nothing rides on MQTT v5 properties: a broker that does not take version 5 is asked in 3.1.1 at the next try. Each connection
is a fresh paho client, so that nothing old is ever sent again behind the caller's back: what must survive belongs in the
caller's outbox.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any, Literal

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from kiosk.config import BrokerSection

KEEPALIVE_S = 4
"""A silent broker is noticed within twice this (paho pings after one, gives up after the second)."""

MAX_PACKET_BYTES = 256 * 1024
CONNECT_S = 5.0
SUBSCRIBE_S = 5.0
FLUSH_S = 1.0
TICK_S = 0.25
STEADY_S = 5.0
"""A connection that breaks before this counts as a failed attempt: two devices with one name would else fight at full speed."""
FIGHT_ATTEMPTS = 3
UNKNOWN_VERSION = "Unsupported protocol version"
BACKOFF_FIRST_S = 0.2
BACKOFF_MOST_S = 1.5

_RANDOM = SystemRandom()


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker let us in and granted every subscription; what it had retained for us follows."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A link that was `Connected` is gone; the link is already trying again. `rival`: another one signs in by our client id."""

    reason: str
    rival: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A message. A payload over `MAX_PACKET_BYTES` is cut just behind that limit, so that every parser refuses it."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has taken the message that `publish` called `mid`. It proves nothing about a person."""

    mid: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No connection, and why, in one line for a technician; put once per reason until `Connected`.

    With `mid`, the broker refused that one message, and the connection stands.
    """

    reason: str
    mid: int | None = None


LinkEvent = Connected | Disconnected | Received | Acknowledged | Refused


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone; `close` says it by itself."""

    topic: str
    payload: bytes
    retain: bool = True


class LinkDown(OSError):
    """This connection cannot be, or is over; its text is one line for a technician."""


# --- faults in words --------------------------------------------------------------------------------------------------

X509_NOT_YET_VALID, X509_EXPIRED, X509_HOSTNAME, X509_ADDRESS = 9, 10, 62, 64
X509_UNKNOWN_CA = (2, 18, 19, 20, 21)

ALERTS = {
    "UNKNOWN_CA": "it does not know the authority of our certificate {cert}; use one that its own authority signed",
    "CERTIFICATE_EXPIRED": "our certificate {cert} has expired; renew it",
    "CERTIFICATE_REVOKED": "our certificate {cert} was revoked; ask for a new one",
    "CERTIFICATE_REQUIRED": "it wants a certificate; set cert_file and key_file in [broker]",
    "BAD_CERTIFICATE": "it does not accept our certificate {cert}; use one that its own authority signed",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate {cert}; use one that its own authority signed",
    "HANDSHAKE_FAILURE": "no common TLS version or cipher; update the broker",
    "PROTOCOL_VERSION": "no common TLS version or cipher; update the broker",
    "WRONG_VERSION_NUMBER": "that port does not speak TLS; set the broker's TLS port in [broker]",
    "RECORD_LAYER_FAILURE": "that port does not speak TLS; set the broker's TLS port in [broker]",
}


def _certificate_fault(broker: BrokerSection, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == X509_EXPIRED:
        return f"its certificate has expired (here it is {_today()}); renew it on the broker, or set this clock"
    if error.verify_code == X509_NOT_YET_VALID:
        return f"its certificate is not valid yet (here it is {_today()}); set this machine's clock"
    if error.verify_code in {X509_HOSTNAME, X509_ADDRESS}:
        return (
            f"its certificate is for another name than {broker.host!r}; set host in [broker] as the certificate has it"
        )
    if error.verify_code in X509_UNKNOWN_CA:
        return f"ca_file {broker.ca_file} did not sign its certificate; set the authority that did"
    return f"its certificate is not accepted ({error.verify_message}); look at it with `openssl s_client`"


def _today() -> str:
    return time.strftime("%Y-%m-%d %H:%M")


def _alert_fault(broker: BrokerSection, text: str) -> str | None:
    for word, says in ALERTS.items():
        if word in text:
            return says.format(cert=broker.cert_file)
    return None


def explain(broker: BrokerSection, error: OSError) -> str:
    """Return why no connection came about, in one line that says what to do now."""
    where = f"broker {broker.host}:{broker.port}"
    if isinstance(error, LinkDown):
        says = str(error)
    elif isinstance(error, ssl.SSLCertVerificationError):
        says = _certificate_fault(broker, error)
    elif isinstance(error, ssl.SSLError):
        says = _alert_fault(broker, str(error)) or f"TLS failed ({error.reason or error}); look at the broker's log"
    elif isinstance(error, socket.gaierror):
        says = f"no such name ({error.strerror}); check host in [broker] and this machine's network"
    elif isinstance(error, ConnectionRefusedError):
        says = "nothing listens there; start the broker, or check host and port in [broker]"
    elif isinstance(error, TimeoutError):
        says = f"no answer in {CONNECT_S:g} s; check the network and the broker"
    else:
        says = f"{error.strerror or error or type(error).__name__}; check the network and the broker"
    return f"{where}: {says}"


def _readable(path: Path, key: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise LinkDown(f"{key} {path}: {error.strerror}; put the file there, or correct {key} in [broker]") from None


def _no_passphrase() -> str:
    raise LinkDown("key_file is locked with a passphrase; use a key without one, readable by this user only")


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave it open until it is collected."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, or close and raise."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(broker: BrokerSection) -> ssl.SSLContext:
    """Return the TLS settings of `broker`, read afresh from its files; raise `LinkDown` when one is missing or broken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TidySocket
    _readable(broker.ca_file, "ca_file")
    try:
        context.load_verify_locations(broker.ca_file)
    except ssl.SSLError:
        raise LinkDown(
            f"ca_file {broker.ca_file}: no PEM certificate in it; put the authority's certificate there"
        ) from None
    if broker.cert_file is None or broker.key_file is None:
        return context
    _readable(broker.cert_file, "cert_file")
    _readable(broker.key_file, "key_file")
    try:
        context.load_cert_chain(broker.cert_file, broker.key_file, _no_passphrase)
    except ssl.SSLError as error:
        raise LinkDown(
            f"cert_file {broker.cert_file} and key_file {broker.key_file} are no pair ({error.reason})"
        ) from None
    return context


def _send_at_once(_client: Client, _data: Any, sock: Any) -> None:
    """Do not let a small message wait for the other end to confirm the one before (Nagle): that takes it 40 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


# --- one connection ---------------------------------------------------------------------------------------------------


class _Session:
    """One connection from its first packet to its last; all of it runs on the link's thread, but for `publish`."""

    def __init__(self, link: "MqttLink", number: int) -> None:
        self._link = link
        self._number = number
        self._subscribe_mid: int | None = None
        self._why = ""
        self._fault = ""
        self._sent = 0
        self._acknowledged = 0
        self._early: list[Received] = []
        self.ready = False
        self.asked = False
        self.understood = False
        self.taken_over = False
        self.client = self._new_client()

    def _new_client(self) -> Client:
        link = self._link
        v5 = link.version == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=link.client_id,
            clean_session=None if v5 else True,
            protocol=link.version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.tls_set_context(tls_context(link.broker))
        if link.broker.username is not None and link.broker.password is not None:
            client.username_pw_set(link.broker.username, link.broker.password.get_secret_value())
        if link.will is not None:
            client.will_set(link.will.topic, link.will.payload, qos=1, retain=link.will.retain)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_disconnect, client.on_log = self._on_disconnect, self._on_log
        # With this set, paho writes only from the thread that runs `loop`, never from the one that publishes.
        client.on_socket_register_write = lambda *_: None
        client.on_socket_open = _send_at_once
        return client

    def run(self, closing: threading.Event) -> None:
        """Serve the connection until it ends (raises `OSError`) or `closing` is set (says goodbye and returns)."""
        link = self._link
        v5 = link.version == MQTTProtocolVersion.MQTTv5
        properties: Properties | None = None
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left it untyped
            properties.MaximumPacketSize = MAX_PACKET_BYTES
        self.client.connect_async(
            link.broker.host, link.broker.port, link.keepalive_s, clean_start=True if v5 else 3, properties=properties
        )
        self.client.reconnect()
        self.asked = True
        ready_by_s = time.monotonic() + CONNECT_S + SUBSCRIBE_S
        while not closing.is_set():
            link.turned_s = time.monotonic()
            self._step()
            if not self.ready and time.monotonic() > ready_by_s:
                raise LinkDown("it took the connection but does not answer; look at the broker's log")
        self._say_goodbye()

    def _step(self) -> None:
        code = self.client.loop(TICK_S)
        if self._why:
            raise LinkDown(self._why)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            fault = _alert_fault(self._link.broker, self._fault)
            raise LinkDown(fault or f"the connection broke ({error_string(code).rstrip('.').lower()}); trying again")

    def _say_goodbye(self) -> None:
        """Publish the will ourselves (a clean disconnect drops it) and wait a moment for what is still under way."""
        if not self.ready:
            return
        if self._link.will is not None:
            self.publish(self._link.will.topic, self._link.will.payload, retain=self._link.will.retain)
        until_s = time.monotonic() + FLUSH_S
        while self._acknowledged < self._sent and time.monotonic() < until_s:
            self._step()

    def hang_up(self) -> None:
        """Close the connection, if it still is one, and let go of the client so that its sockets close now."""
        self.client.disconnect()
        self.client.loop(0)
        self.client.on_connect = self.client.on_subscribe = self.client.on_message = None
        self.client.on_publish = self.client.on_disconnect = self.client.on_log = None

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int | None:
        info = self.client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        self._sent += 1
        return self._mid(info.mid)

    def _mid(self, mid: int) -> int:
        return self._number << 16 | mid

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self.understood = str(code) != UNKNOWN_VERSION
        if code.is_failure:
            self._why = _sign_in_fault(self._link.broker, str(code))
        elif self._link.topics:
            asked = (*self._link.topics, *self._link.wishes)
            _, self._subscribe_mid = client.subscribe([(topic, 1) for topic in asked])
        else:
            self._become_ready()

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if mid != self._subscribe_mid:
            return
        for topic, code in zip(self._link.topics, codes, strict=False):
            if code.is_failure:
                self._why = f"it does not let us read {topic} ({code}); allow it in the broker's ACL"
                return
        self._become_ready()

    def _become_ready(self) -> None:
        self.ready = True
        self._link.broker_ends_unix_s = _ends_unix_s(self.client.socket())
        self._link.put(Connected())
        for message in self._early:
            self._link.put(message)
        self._early.clear()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        received = Received(message.topic, bytes(message.payload[: MAX_PACKET_BYTES + 1]), message.retain)
        if self.ready:
            self._link.put(received)
        else:
            self._early.append(received)  # a broker may send retained messages before it grants the subscription

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self._acknowledged += 1
        if code.is_failure:
            self._link.put(Refused(f"the broker refused a message ({code}); allow it in its ACL", self._mid(mid)))
        else:
            self._link.put(Acknowledged(self._mid(mid)))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._why:
            return
        if str(code) == "Keep alive timeout":
            self._why = f"no answer for {2 * self._link.keepalive_s} s; look whether it hangs, and at the network"
        elif str(code) == "Session taken over":
            self.taken_over = True
            self._why = (
                f"another device signed in as {self._link.client_id}; let each have its own [responder] or [unit] id"
            )
        elif flags.is_disconnect_packet_from_server:
            self._why = f"the broker ended the connection ({code}); trying again"

    def _on_log(self, _client: Client, _data: Any, _level: int, text: str) -> None:
        if "[SSL" in text:
            self._fault = text


def _ends_unix_s(connection: object) -> float | None:
    """Return when the certificate ends that the broker showed."""
    shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    ends = shown.get("notAfter") if shown else None
    return float(ssl.cert_time_to_seconds(ends)) if isinstance(ends, str) else None


def _sign_in_fault(broker: BrokerSection, code: str) -> str:
    if code in {"Bad user name or password", "Not authorized"}:
        who = f"user {broker.username!r} with this password" if broker.username else f"certificate {broker.cert_file}"
        return f"it does not let in our {who} ({code}); correct it in [broker], or add it on the broker"
    if code == UNKNOWN_VERSION:
        return "it does not speak this MQTT version; use a broker with MQTT v5 or 3.1.1"
    return f"it refused us ({code}); look at the broker's log"


# --- the link ---------------------------------------------------------------------------------------------------------


class MqttLink:
    """A connection that stays: connects on its own thread from the moment it is made until `close`.

    `put(event)` and `on_death(error)` run on that thread: they may only enqueue, and must not block. `client_id` must be the
    same after a restart, so that the broker publishes an old connection's will before it takes the new one's word. A broker
    that lets nobody read `topics` is told as a fault; one whose rules are older and do not know `wishes` is not.
    """

    def __init__(
        self,
        broker: BrokerSection,
        client_id: str,
        topics: tuple[str, ...],
        put: Callable[[LinkEvent], None],
        on_death: Callable[[BaseException], None],
        *,
        will: Will | None = None,
        wishes: tuple[str, ...] = (),
        keepalive_s: int = KEEPALIVE_S,
        version: Literal[5, 311] = 5,
    ) -> None:
        self.broker, self.client_id, self.topics, self.put, self.will = broker, client_id, topics, put, will
        self.wishes = wishes
        self.keepalive_s = keepalive_s
        self._wanted = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311  # noqa: PLR2004 - MQTT's name
        self.version = self._wanted
        self.broker_ends_unix_s: float | None = None
        """When the certificate ends that the broker showed last, seconds since 1970."""
        self._on_death = on_death
        self._session: _Session | None = None
        self._said = ""
        self._attempts = 0
        self.turned_s = time.monotonic()
        """When the link's thread last turned; one that does not, while it is connected, hangs."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Send at QoS 1 and return the number that `Acknowledged` will carry; None when not connected: keep it and try later.

        Raises `ValueError` for a payload that no peer would take (`MAX_PACKET_BYTES`).
        """
        if len(payload) >= MAX_PACKET_BYTES:
            raise ValueError(f"a message of {len(payload)} bytes on {topic}: the limit is {MAX_PACKET_BYTES}")
        session = self._session
        if session is None or not session.ready:
            return None
        return session.publish(topic, payload, retain=retain)

    def close(self) -> None:
        """Say goodbye (the will, by ourselves), let what is under way go out for a moment, and stop the thread."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(FLUSH_S + CONNECT_S)

    def _run(self) -> None:
        try:
            number = 0
            while not self._closing.is_set():
                number += 1
                started_s = self.turned_s = time.monotonic()
                steady = self._serve(number) and time.monotonic() - started_s > STEADY_S
                self._attempts = 0 if steady else self._attempts + 1
                self._closing.wait(_backoff_s(self._attempts))
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _serve(self, number: int) -> bool:
        """Run one connection to its end; return whether it ever was `Connected`."""
        try:
            self._session = _Session(self, number)
            self._session.run(self._closing)
        except OSError as error:
            self._tell(explain(self.broker, error))
        session, self._session = self._session, None
        if session is None:
            return False
        session.hang_up()
        self._choose_version(session)
        return session.ready

    def _choose_version(self, session: _Session) -> None:
        """Try the other version after a broker refused this one, or broke off at its first word, as RabbitMQ 3 does.

        A broker that is away says nothing of versions; and in 3.1.1 none says that its ACL refused a message.
        """
        if session.ready:
            self.version = self._wanted
        elif session.asked and not session.understood:
            older = self.version == MQTTProtocolVersion.MQTTv5
            self.version = MQTTProtocolVersion.MQTTv311 if older else MQTTProtocolVersion.MQTTv5

    def _tell(self, reason: str) -> None:
        if self._session is not None and self._session.ready:
            self._said = ""
            fight = f"; does another device sign in as {self.client_id}?" if self._attempts >= FIGHT_ATTEMPTS else ""
            self.put(Disconnected(reason + fight, rival=bool(fight) or self._session.taken_over))
        elif reason != self._said:
            self._said = reason
            self.put(Refused(reason))


def _backoff_s(attempts: int) -> float:
    """Return how long to wait before the next attempt: short at first, never over `BACKOFF_MOST_S`, jittered."""
    most_s = min(BACKOFF_FIRST_S * 2.0 ** min(attempts, 10), BACKOFF_MOST_S)
    return _RANDOM.uniform(most_s / 2, most_s)
