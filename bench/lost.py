"""How soon the board's page of all units shows that one is lost: killed, frozen, and linked with a main loop that stands still.

`python -m bench.lost` is one such unit: the link of a real one, its will and its beat, told what it is on standard input.
"""

import copy
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page

from bench.fleet import BigStore
from bench.measure import Measure
from bench.units import Fleet, place_of, unit_ids
from kiosk import __version__
from kiosk.alertd import BEAT_S
from kiosk.board.fleet import WAITING
from kiosk.config import BrokerSection
from kiosk.demo.browser import PHONE, browser
from kiosk.demo.stage import ALEX, STORE, StageError, wait_for
from kiosk.messages import Status, UnitState, status_topic
from kiosk.mqtt import MqttLink, Will

UNITS, EACH = 200, 4
WAYS = {
    "killed": (signal.SIGKILL, "kill -9: the broker says its will"),
    "frozen": (signal.SIGSTOP, "SIGSTOP: the broker misses its pings and says its will"),
    "stuck": (signal.SIGUSR1, "its link lives and its beats stay out: the board misses them"),
}
LOOK_MS, PATIENCE_S = 200, 90.0


def measure(folder: Path) -> dict[str, Measure]:
    """Run a store of `UNITS` in `folder`, lose some of its units in each way, and return how long that took to be shown."""
    with ExitStack() as stack:
        stage = stack.enter_context(BigStore(folder, UNITS))
        stage.start_broker()
        names, ways = unit_ids(UNITS), [way for way in WAYS for _ in range(EACH)]
        rest = copy.copy(stage.broker)
        rest.units = tuple(names[len(ways) :])
        stack.callback(Fleet(rest, seed=8).close)
        page = stack.enter_context(browser()).new_page(viewport=PHONE)
        page.goto(stage.board_page(ALEX))
        page.locator("#let-me-in").click()
        page.locator("body:not(.down)").wait_for()
        page.goto(f"{stage.board_url}fleet")
        lives = [Life(stage.broker.section_for_unit(name), name) for name in names[: len(ways)]]
        for life in lives:
            stack.callback(life.end)
        wait_for(f"{UNITS} units to report", lambda: not _gone(page) and not _awaits(page), PATIENCE_S)
        took_s = _lose(page, dict(zip(lives, ways, strict=True)))
    worst = Measure(max(took_s.values()), "s", len(took_s), f"on the page, {UNITS} units, any way; design: ≤ 20 s")
    by_way = {way: [took_s[life] for life, of in zip(lives, ways, strict=True) if of == way] for way in WAYS}
    each = {f"fleet_lost_{way}_s": Measure(max(by_way[way]), "s", EACH, WAYS[way][1]) for way in WAYS}
    return {"fleet_lost_seen_s": worst, **each}


def _gone(page: Page) -> set[str]:
    """Return the units that the page says are lost or were never heard."""
    text: str = page.evaluate("document.querySelector('#fleet section.hands')?.textContent ?? ''")
    return {name for name in unit_ids(UNITS) if name in text}


def _awaits(page: Page) -> bool:
    return WAITING.what in page.locator("#fleet").inner_text()


def _lose(page: Page, lives: "dict[Life, str]") -> "dict[Life, float]":
    lost_s: dict[Life, float] = {}
    took_s: dict[Life, float] = {}
    for life, way in lives.items():
        life.process.send_signal(WAYS[way][0])
        lost_s[life] = time.monotonic()
        page.wait_for_timeout(1000.0 * BEAT_S / len(lives))  # at all moments of a beat, and of a look
    until_s = time.monotonic() + PATIENCE_S
    while len(took_s) < len(lives):
        gone, now_s = _gone(page), time.monotonic()
        took_s |= {life: now_s - lost_s[life] for life in lives if life.unit in gone and life not in took_s}
        if now_s > until_s:
            raise StageError(f"{len(lives) - len(took_s)} lost units were never shown")
        page.wait_for_timeout(LOOK_MS)
    return took_s


class Life:
    """One unit as a process of its own."""

    def __init__(self, section: BrokerSection, unit: str) -> None:
        self.unit = unit
        command = [sys.executable, "-m", "bench.lost"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert self.process.stdin is not None  # noqa: S101 - it was opened as a pipe
        self.process.stdin.write(json.dumps([unit, section.model_dump(mode="json", exclude_none=True)]) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """End it, whatever became of it."""
        self.process.kill()
        self.process.communicate()


def live() -> None:
    """Be a unit until killed; after SIGUSR1 the main loop is as if it stood still."""
    unit, told = json.loads(sys.stdin.readline())
    topic, stands_still = status_topic(STORE, unit), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: stands_still.set())

    def status(state: UnitState, beat: int) -> bytes:
        told = Status(store=STORE, unit=unit, place=place_of(unit), state=state, version=__version__, beat=beat)
        return told.model_dump_json().encode()

    section = BrokerSection.model_validate_json(json.dumps(told))
    will = Will(topic, status(UnitState.LOST, 0))
    link = MqttLink(section, f"unit-{STORE}-{unit}", (), lambda _: None, lambda _: os._exit(1), will=will)
    for beat in itertools.count(1):
        if not stands_still.is_set() and link.publish(topic, status(UnitState.READY, beat), retain=True) is None:
            time.sleep(0.2)
            continue
        time.sleep(BEAT_S)


if __name__ == "__main__":
    live()
