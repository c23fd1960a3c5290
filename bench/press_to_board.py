"""From the finger on the button to the paint on the board, beside a bare MQTT publish and subscribe in the same run."""

import queue
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from rich.progress import track

from bench.measure import Measure, cpu_s, percentile, rss_mb
from kiosk.demo.broker import PrivateBroker
from kiosk.demo.browser import Phone, browser, open_phone
from kiosk.demo.stage import ALEX, SAM, UNIT, Stage, wait_for
from kiosk.messages import Presence, Reach, presence_topic

PRESSES = 100
ROUNDTRIPS_PER_PRESS = 5
LISTEN_S = 20.0
STORE_LIMIT = "design: p99 ≤ 1000 ms"

ANSWER = """async (answer) => {
  const body = JSON.stringify(answer);
  const got = await fetch("/reply", { method: "POST", headers: { "content-type": "application/json" }, body });
  if (!got.ok) throw new Error(await got.text());
}"""


class Roundtrip:
    """A bare paho client that publishes to itself over the same broker and TLS: the absent Alex says so, again and again."""

    def __init__(self, broker: PrivateBroker) -> None:
        section = broker.section_for_responder(ALEX.person.id)
        self._topic = presence_topic(broker.store, ALEX.person.id)
        absent = Presence(responder=ALEX.person.id, name=ALEX.person.name, tier=ALEX.tier, listening=False)
        self._payload = absent.model_dump_json().encode()
        self._came: queue.SimpleQueue[float] = queue.SimpleQueue()
        self.client = Client(CallbackAPIVersion.VERSION2)
        context = ssl.create_default_context(cafile=str(section.ca_file))
        context.load_cert_chain(str(section.cert_file), str(section.key_file))
        self.client.tls_set_context(context)
        self.client.on_message = lambda *_: self._came.put(time.perf_counter())
        self.client.connect(section.host, section.port)
        self.client.loop_start()
        self.client.subscribe(self._topic, qos=1)

    def sample_ms(self) -> float:
        """Publish at QoS 1 and wait for it to come back; return the time in milliseconds."""
        started_s = time.perf_counter()
        self.client.publish(self._topic, self._payload, qos=1)
        return (self._came.get(timeout=10) - started_s) * 1000.0

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


def press_ms(stage: Stage, phone: Phone) -> float:
    """Press, wait for the paint, close the incident; return press to paint in milliseconds."""
    phone.page.evaluate("window.painted = {}")
    pressed_unix_s = time.time()
    stage.button.press()
    painted_unix_s = phone.wait_alert()
    stage.button.release()
    incident = phone.page.evaluate("Object.keys(window.painted)[0]")
    phone.page.evaluate(ANSWER, {"incident": incident, "unit": UNIT, "kind": "here"})
    phone.page.locator("article[data-state=attended]").wait_for()
    phone.page.evaluate(ANSWER, {"incident": incident, "unit": UNIT, "kind": "close", "outcome": "test"})
    phone.page.locator("article").wait_for(state="detached")
    return (painted_unix_s - pressed_unix_s) * 1000.0


def measure(folder: Path) -> dict[str, Measure]:
    """Run a whole store in `folder` and return the figures of the way from press to board."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder))
        stage.start_unit()
        _, url = stage.start_board(SAM)
        phone = open_phone(stack.enter_context(browser()), url, "Sam")
        wait_for("Sam to be known", lambda: _reached(stage))
        roundtrip = Roundtrip(stage.broker)
        stack.callback(roundtrip.close)
        presses, roundtrips = _samples(stage, phone, roundtrip)
        return {**_latencies(presses, roundtrips), **_processes(stage)}


def _reached(stage: Stage) -> bool:
    status = stage.status()
    return status is not None and status.reach is Reach.OK


def _samples(stage: Stage, phone: Phone, roundtrip: Roundtrip) -> tuple[list[float], list[float]]:
    presses, roundtrips = [], []
    for _ in track(range(PRESSES), "press to board"):
        presses.append(press_ms(stage, phone))
        roundtrips += [roundtrip.sample_ms() for _ in range(ROUNDTRIPS_PER_PRESS)]
    return presses, roundtrips


def _latencies(presses: list[float], roundtrips: list[float]) -> dict[str, Measure]:
    p99, bare_p99 = percentile(presses, 0.99), percentile(roundtrips, 0.99)
    return {
        "press_to_board_p50_ms": Measure(
            percentile(presses, 0.5), "ms", len(presses), "debounce 20 ms + wire 8 ms + bare MQTT"
        ),
        "press_to_board_p99_ms": Measure(p99, "ms", len(presses), STORE_LIMIT),
        "mqtt_roundtrip_p99_ms": Measure(bare_p99, "ms", len(roundtrips), "peer: bare paho, TLS, same broker and run"),
        "press_to_board_ratio_p99": Measure(
            p99 / bare_p99, "×", len(presses), "press_to_board_p99 / mqtt_roundtrip_p99"
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
