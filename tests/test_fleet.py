"""Many desks call in the same second: the board's page shows each alert, once, and is calm again when they are over."""

from pathlib import Path

import pytest

from bench.fleet import BigStore, open_page, shown_in_burst
from bench.units import Fleet
from kiosk.demo.browser import browser
from kiosk.demo.stage import SAM, wait_for

pytestmark = [pytest.mark.parts, pytest.mark.timeout(300)]
UNITS = 60


def test_many_units_that_call_at_once_are_each_shown_once(tmp_path: Path) -> None:
    with BigStore(tmp_path, UNITS) as stage, browser() as running:
        stage.start_broker()
        page = open_page(running, stage.board_page(SAM))
        fleet = Fleet(stage.broker, seed=1)
        try:
            wait_for(f"{UNITS} units to be connected", fleet.ready)
            painted = shown_in_burst(fleet, page)
            assert (len(painted.late_ms), painted.lost, painted.twice) == (UNITS, 0, 0)
            wait_for("Sam's board to have said that it shows them", lambda: len(fleet.seen_unix_s) == UNITS)
            for unit in fleet.units:
                fleet.ask(0.0, unit.close)
            page.locator("article[data-incident]").last.wait_for(state="detached", timeout=30_000)
            page.wait_for_function("document.querySelectorAll('article[data-incident]').length === 0")
            assert not fleet.reconnects
        finally:
            fleet.close()
