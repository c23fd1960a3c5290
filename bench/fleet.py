"""Two hundred and a thousand simulated units on one mosquitto, one board, one page: every alert painted, once, and how soon."""

import random
import resource
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from bench.measure import Measure, cpu_s, not_measured, percentile, rss_mb
from bench.units import Fleet, place_of, unit_ids
from kiosk.demo.broker import PrivateBroker
from kiosk.demo.browser import PHONE, browser
from kiosk.demo.stage import SAM, STAFF, STORE, Stage, StageError, wait_for

SEED = 6
SIZES = ((200, 40.0), (1000, 80.0))
"""How many units, and in how many seconds each raises one alert."""
HOLD_S = 5.0
"""An alert among many is answered and closed after this; without that a thousand would be open at once, which the burst shows."""
PATIENCE_S = 120.0
SETTLE_S = 6.0
"""A unit says how it is every 5 s: after this the board has heard all of them, and the storm of sign-ins is over."""

WATCH = """
window.shown = {};
const known = new WeakMap();
const note = (card) => {
  const key = card.dataset.incident;
  if (!key || known.get(card) === key) return;
  known.set(card, key);
  const one = window.shown[key] ??= { cards: 0, at: 0 };
  one.cards += 1;
  if (one.cards === 1) requestAnimationFrame(() => requestAnimationFrame(() => { one.at = Date.now(); }));
};
new MutationObserver((records) => {
  for (const record of records) {
    if (record.type === "attributes" && record.target.matches("article")) note(record.target);
    for (const node of record.addedNodes) {
      if (node.nodeType !== 1) continue;
      if (node.matches("article[data-incident]")) note(node);
      for (const card of node.querySelectorAll("article[data-incident]")) note(card);
    }
  }
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-incident"] });
"""
"""Notes when each incident was first painted (two frames after its card came), and how many cards were ever made for it."""


@dataclass(frozen=True)
class Painted:
    """What a page did with the alerts of one run: how soon each was painted, how many never were, how many more than once."""

    late_ms: list[float]
    lost: int
    twice: int


class BigStore(Stage):
    """A store with very many units, which are not of the stage: only its broker and its board are."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(folder)
        staff = [one.person.id for one in STAFF]
        self.broker = PrivateBroker(self.folder / "fleet", STORE, unit_ids(number), staff)

    def write_store(self, port: int = 0) -> None:
        """Write the store.toml with every unit in it."""
        super().write_store(port)
        with self.store_file.open("a") as file:
            file.writelines(f'\n[[unit]]\nid = "{unit}"\nplace = "{place_of(unit)}"\n' for unit in self.broker.units)


def measure(folder: Path) -> dict[str, Measure]:
    """Run each size of fleet in `folder` and return its figures."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # two for each connection, here and in the broker
    measures: dict[str, Measure] = {}
    for number, steady_s in SIZES:
        measures |= _fleet(folder / str(number), number, steady_s)
    return measures


def _fleet(folder: Path, number: int, steady_s: float) -> dict[str, Measure]:
    with ExitStack() as stack:
        stage = stack.enter_context(BigStore(folder, number))
        stage.start_broker()
        page = open_page(stack.enter_context(browser()), stage.board_page(SAM))
        board = stage.parts["board"]
        fleet = Fleet(stage.broker, SEED)
        stack.callback(fleet.close)
        wait_for(f"{number} units to be connected", fleet.ready, PATIENCE_S)
        time.sleep(SETTLE_S)
        before_s, started_s = cpu_s(board.pid), time.monotonic()
        steady = _steady(fleet, page, steady_s)
        busy_ms = (cpu_s(board.pid) - before_s) * 1000.0 / (time.monotonic() - started_s)
        calm_mb = rss_mb(board.pid)
        burst = shown_in_burst(fleet, page)
        broke = Measure(fleet.reconnects, "times", number, "connections that units lost and made again")
        figures = _figures(number, steady, burst, (calm_mb, rss_mb(board.pid), rss_mb(stage.broker.pid)))
        busy = Measure(busy_ms, "ms/s", round(steady_s), "the board, alerts coming and going")
        return {**figures, f"fleet_{number}_board_cpu_ms_per_s": busy, f"fleet_{number}_reconnects": broke}


def open_page(running: Browser, url: str) -> Page:
    """Open Sam's board with a watch that costs little, however many cards there are."""
    page = running.new_page(viewport=PHONE, has_touch=True)
    page.add_init_script(WATCH)
    page.goto(url)
    page.locator("#let-me-in").click()
    page.locator("body:not(.down)").wait_for()
    return page


def _steady(fleet: Fleet, page: Page, over_s: float) -> Painted:
    """Let each unit raise one alert at a random time, each closed a few seconds later."""
    chance = random.Random(SEED)  # noqa: S311 - measured, not guarded
    for unit in fleet.units:
        at_s = chance.uniform(0.0, over_s)
        fleet.ask(at_s, unit.open)
        fleet.ask(at_s + HOLD_S, unit.close)
    return _watched(fleet, page, over_s + HOLD_S)


def shown_in_burst(fleet: Fleet, page: Page) -> Painted:
    """Let all units raise an alert at once."""
    for unit in fleet.units:
        fleet.ask(0.0, unit.open)
    return _watched(fleet, page, 0.0)


def _watched(fleet: Fleet, page: Page, least_s: float) -> Painted:
    """Wait until every alert that this run raises is painted, or patience is over."""
    before = set(fleet.raised_unix_s)
    least_unix_s, wanted = time.monotonic() + least_s, len(fleet.units)
    deadline_s = least_unix_s + PATIENCE_S
    while time.monotonic() < deadline_s:
        fleet.check()
        painted: int = page.evaluate("Object.values(window.shown).filter((one) => one.at).length")
        if time.monotonic() > least_unix_s and painted >= len(before) + wanted:
            break
        page.wait_for_timeout(500)
    shown = page.evaluate("window.shown")
    mine = {key: at for key, at in fleet.raised_unix_s.items() if key not in before}
    late_ms = [shown[key]["at"] - at * 1000.0 for key, at in mine.items() if shown.get(key, {}).get("at")]
    twice = sum(one["cards"] > 1 for key, one in shown.items() if key in mine)
    if len(mine) != wanted:
        raise StageError(f"{len(mine)} of {wanted} units raised an alert")
    return Painted(late_ms, wanted - len(late_ms), twice + len(set(shown) - set(fleet.raised_unix_s)))


def _figures(number: int, steady: Painted, burst: Painted, memory_mb: tuple[float, float, float]) -> dict[str, Measure]:
    name, calm, all_at_once = f"fleet_{number}", "each unit once, at a random time", "all units in the same instant"
    alerts, board = steady.late_ms, "design: nothing lost, nothing shown twice"
    calm_mb, burst_mb, broker_mb = memory_mb
    return {
        f"{name}_alert_p50_ms": _late(alerts, 0.5, calm),
        f"{name}_alert_p99_ms": _late(alerts, 0.99, f"{calm}; design: ≤ 1000 ms"),
        f"{name}_burst_p50_ms": _late(burst.late_ms, 0.5, all_at_once),
        f"{name}_burst_p99_ms": _late(burst.late_ms, 0.99, all_at_once),
        f"{name}_lost": Measure(steady.lost + burst.lost, "alerts", 2 * number, board),
        f"{name}_twice": Measure(steady.twice + burst.twice, "alerts", 2 * number, board),
        f"{name}_board_mb": Measure(calm_mb, "MiB", 1, "the board, alerts coming and going"),
        f"{name}_board_burst_mb": Measure(burst_mb, "MiB", 1, f"the board with {number} alerts open"),
        f"{name}_broker_mb": Measure(broker_mb, "MiB", 1, "mosquitto"),
    }


def _late(late_ms: list[float], share: float, beside: str) -> Measure:
    if len(late_ms) < 2:  # noqa: PLR2004 - a percentile needs two
        return not_measured("ms", "fewer than two alerts were painted")
    return Measure(percentile(late_ms, share), "ms", len(late_ms), beside)
