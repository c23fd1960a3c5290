"""From the finger on the button to the paint on the board, beside a bare MQTT publish and subscribe in the same run."""

import queue
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from rich.progress import track

from bench.measure import Measure, cpu_s, percentile, rss_mb
from kiosk.demo.broker import PrivateBroker
from kiosk.demo.browser import Phone, browser, open_phone
from kiosk.demo.stage import ALEX, SAM, UNIT, Stage, wait_for
from kiosk.messages import CloseReply, Outcome, Presence, Reach, Snapshot, incident_topic, presence_topic, reply_topic

PRESSES = 100
ROUNDTRIPS_PER_PRESS = 5
LISTEN_S = 20.0
STORE_LIMIT = "design: p99 ≤ 1000 ms"


class Roundtrip:
    """A bare paho client that publishes to itself over the same broker and TLS: the absent Alex says so, again and again.

    As it comes, paho leaves Nagle's algorithm on: of messages that follow each other closely each waits up to 40 ms for the
    broker's kernel to confirm the one before. With `at_once` it is off, as it is in `kiosk.mqtt`.
    """

    def __init__(self, broker: PrivateBroker, *, at_once: bool) -> None:
        self._topic = presence_topic(broker.store, ALEX.person.id, "bench")
        absent = Presence(
            responder=ALEX.person.id, device="bench", name=ALEX.person.name, tier=ALEX.tier, listening=False
        )
        self._payload = absent.model_dump_json().encode()
        self._came: queue.SimpleQueue[float] = queue.SimpleQueue()
        self.client = paho_as_alex(broker, self._topic, lambda _: self._came.put(time.perf_counter()), at_once=at_once)

    def sample_ms(self) -> float:
        """Publish at QoS 1 and wait for it to come back; return the time in milliseconds."""
        while not self._came.empty():
            self._came.get()
        started_s = time.perf_counter()
        self.client.publish(self._topic, self._payload, qos=1)
        return (self._came.get(timeout=10) - started_s) * 1000.0


class Tap:
    """A bare paho client that hears the unit's alerts beside the board: when each was sent, and when the broker handed it on."""

    def __init__(self, broker: PrivateBroker) -> None:
        self._came: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        topic = incident_topic(broker.store, UNIT)
        self._reply_topic = reply_topic(broker.store, UNIT, ALEX.person.id)
        self.client = paho_as_alex(broker, topic, lambda payload: self._came.put((time.time(), payload)), at_once=True)

    def raised(self, incident: str) -> tuple[float, float]:
        """Return when the unit wrote this alert down to send it and when it was here, in seconds since 1970."""
        while True:
            came_unix_s, payload = self._came.get(timeout=10)
            snapshot = Snapshot.model_validate_json(payload)
            if snapshot.id == incident:
                return snapshot.opened_at.timestamp() + snapshot.elapsed_s, came_unix_s

    def close(self, incident: str) -> None:
        """Close the incident at once; a board gives its person 5 s to take that back."""
        reply = CloseReply(reply_id=uuid.uuid4().hex, responder=ALEX.person.id, incident=incident, outcome=Outcome.TEST)
        self.client.publish(self._reply_topic, reply.model_dump_json(), qos=1)


def _no_nagle(_client: Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def paho_as_alex(broker: PrivateBroker, topic: str, take: Callable[[bytes], None], *, at_once: bool) -> Client:
    """Return a running bare client, signed in as Alex, that hands on what comes on `topic`."""
    section = broker.section_for_responder(ALEX.person.id)
    client = Client(CallbackAPIVersion.VERSION2)
    context = ssl.create_default_context(cafile=str(section.ca_file))
    context.load_cert_chain(str(section.cert_file), str(section.key_file))
    client.tls_set_context(context)
    client.on_message = lambda _client, _data, message: take(bytes(message.payload))
    if at_once:
        client.on_socket_open = _no_nagle
    client.connect(section.host, section.port)
    client.loop_start()
    client.subscribe(topic, qos=1)
    return client


@dataclass(frozen=True)
class Way:
    """When one press got where, in seconds since 1970: finger, hub (about to write it down), broker's reader, paint."""

    finger: float
    hub: float
    reader: float
    paint: float


def press(stage: Stage, phone: Phone, tap: Tap) -> Way:
    """Press, wait for the paint, close the incident; return when it was where."""
    phone.page.evaluate("window.painted = {}")
    pressed_unix_s = time.time()
    stage.button.press()
    painted_unix_s = phone.wait_alert()
    stage.button.release()
    incident = phone.page.evaluate("Object.keys(window.painted)[0]")
    tap.close(incident)
    phone.page.locator("article").wait_for(state="detached")
    return Way(pressed_unix_s, *tap.raised(incident), painted_unix_s)


def measure(folder: Path) -> dict[str, Measure]:
    """Run a whole store in `folder` and return the figures of the way from press to board."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder))
        stage.start_unit()
        phone = open_phone(stack.enter_context(browser()), stage.board_page(SAM), "Sam")
        wait_for("Sam to be known", lambda: _reached(stage))
        peers = [Roundtrip(stage.broker, at_once=at_once) for at_once in (False, True)]
        tap = Tap(stage.broker)
        for client in (*(peer.client for peer in peers), tap.client):
            stack.callback(client.loop_stop)
            stack.callback(client.disconnect)
        ways, roundtrips = _samples(stage, phone, tap, peers)
        return {**_latencies(ways, *roundtrips), **_processes(stage)}


def _reached(stage: Stage) -> bool:
    status = stage.status()
    return status is not None and status.reach is Reach.OK


def _samples(stage: Stage, phone: Phone, tap: Tap, peers: list[Roundtrip]) -> tuple[list[Way], list[list[float]]]:
    ways: list[Way] = []
    roundtrips: list[list[float]] = [[] for _ in peers]
    for peer in peers:
        peer.sample_ms()  # a desk takes answers only from those who have signed on
    for _ in track(range(PRESSES), "press to board"):
        ways.append(press(stage, phone, tap))
        for peer, samples in zip(peers, roundtrips, strict=True):
            samples += [peer.sample_ms() for _ in range(ROUNDTRIPS_PER_PRESS)]
    return ways, roundtrips


def _pair(name: str, samples: list[float], beside: str) -> dict[str, Measure]:
    """Return the median and the 99th percentile of a time in milliseconds."""
    shares = {"p50": 0.5, "p99": 0.99}
    return {
        f"{name}_{word}_ms": Measure(percentile(samples, share), "ms", len(samples), beside)
        for word, share in shares.items()
    }


def _latencies(ways: list[Way], bare: list[float], at_once: list[float]) -> dict[str, Measure]:
    whole = [(way.paint - way.finger) * 1000.0 for way in ways]
    chip = [(way.hub - way.finger) * 1000.0 for way in ways]
    told = [(way.reader - way.hub) * 1000.0 for way in ways]
    shown = [(way.paint - way.reader) * 1000.0 for way in ways]
    p99 = percentile(whole, 0.99)
    return {
        **_pair("press_to_board", whole, STORE_LIMIT),
        **_pair("press_to_hub", chip, "part of it: debounce 20 ms, wire 8 ms"),
        **_pair("hub_to_reader", told, "part of it: the hub's disk write, and MQTT to a bare reader beside the board"),
        **_pair("reader_to_board", shown, "part of it: board, server-sent event, two frames of Chromium"),
        **_pair("mqtt_roundtrip", bare, "peer: bare paho as it comes, TLS, same broker and run, 5 in a row"),
        **_pair("mqtt_roundtrip_at_once", at_once, "harder peer: the same with TCP_NODELAY"),
        "press_to_board_ratio_p99": Measure(
            p99 / percentile(bare, 0.99), "×", len(whole), "press_to_board_p99 / mqtt_roundtrip_p99; design: ≤ 3"
        ),
        "press_to_board_at_once_ratio_p99": Measure(
            p99 / percentile(at_once, 0.99), "×", len(whole), "the same beside the harder peer; debounce is in it"
        ),
    }


def _processes(stage: Stage) -> dict[str, Measure]:
    listen = stage.parts["listen"].pid
    before_s, started_s = cpu_s(listen), time.monotonic()
    time.sleep(LISTEN_S)
    share_ms = (cpu_s(listen) - before_s) * 1000.0 / (time.monotonic() - started_s)
    limits = {"alertd": "", "listen": "design: one stage ≤ 90 MB", "ui": "design: ≤ 180 MB"}
    memory = {
        f"{name}_rss_mb": Measure(rss_mb(stage.parts[name].pid), "MiB", 1, beside) for name, beside in limits.items()
    }
    return {
        **memory,
        "listen_cpu_ms_per_audio_s": Measure(
            share_ms, "ms/s", round(LISTEN_S), "design: stage 1 ≤ 20, whole process here"
        ),
    }
