"""Many desks call in the same second: the board's page shows each alert, once, and is calm again when they are over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.fleet import BigStore, open_page, shown_in_burst
from bench.units import Fleet
from kiosk.demo.browser import browser
from kiosk.demo.stage import SAM, wait_for

pytestmark = [pytest.mark.parts, pytest.mark.timeout(300)]
UNITS = 60


COUNT_PAINTS = """() => {
  window.paints = 0;
  const paint = window.paint;
  window.paint = () => { window.paints += 1; paint(); };
}"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Fleet, Page]]:
    with BigStore(tmp_path, UNITS) as stage, browser() as running:
        stage.start_broker()
        page = open_page(running, stage.board_page(SAM))
        fleet = Fleet(stage.broker, seed=1)
        try:
            wait_for(f"{UNITS} units to be connected", fleet.ready)
            page.get_by_text(f"{UNITS} of {UNITS} desks ready").wait_for()
            yield fleet, page
        finally:
            fleet.close()


def test_many_units_that_call_at_once_are_each_shown_once(store: tuple[Fleet, Page]) -> None:
    fleet, page = store
    painted = shown_in_burst(fleet, page)
    assert (len(painted.late_ms), painted.lost, painted.twice) == (UNITS, 0, 0)
    wait_for("Sam's board to have said that it shows them", lambda: len(fleet.seen_unix_s) == UNITS)
    for unit in fleet.units:
        fleet.ask(0.0, unit.close)
    expect(page.locator("article[data-incident]")).to_have_count(0, timeout=20_000)
    assert not fleet.reconnects


def test_calm_desks_do_not_wake_a_phone_each_time_they_say_that_they_are_well(store: tuple[Fleet, Page]) -> None:
    fleet, page = store
    page.evaluate(COUNT_PAINTS)
    started_s, beats = time.monotonic(), fleet.beats
    wait_for("a sign of life of each", lambda: fleet.beats >= beats + UNITS)
    paints = page.evaluate("window.paints")
    assert 1 <= paints <= 2 * (time.monotonic() - started_s) + 3
