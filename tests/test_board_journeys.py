"""Whole journeys of staff: the real button's chip, hub, broker and board, and two phones in Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from kiosk.demo.browser import Phone, browser, open_phone
from kiosk.demo.stage import ADDRESS, ALEX, SAM, Stage, wait_for
from kiosk.messages import Reach, State

pytestmark = [pytest.mark.parts, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


def start(stage: Stage, running: Browser) -> tuple[Phone, Phone]:
    """Start the desk without its screen and ear, the board, and Sam's and Alex's phones; both listen."""
    stage.write_config()
    stage.start_broker()
    stage.start_button()
    stage.start_hub()
    sam = open_phone(running, stage.board_page(SAM), "Sam")
    alex = open_phone(running, stage.board_page(ALEX), "Alex")
    wait_for("both to be known", lambda: listeners(stage) == {"sam", "alex"})
    return sam, alex


def listeners(stage: Stage) -> set[str]:
    status = stage.status()
    return {one.id for one in status.listeners} if status and status.reach is Reach.OK else set()


def test_press_answer_arrive_close_as_two_phones_see_it(tmp_path: Path, chromium: Browser) -> None:
    with Stage(tmp_path / "store", escalation={"escalate_s": 120.0}) as stage:
        sam, alex = start(stage, chromium)
        stage.tap_button()
        for phone in (sam, alex):
            phone.wait_text("HELP NOW")
            phone.wait_text("Nobody is going yet.")
        sam.wait_sounding("emergency")
        sam.touch("Coming · 1 min")
        alex.wait_text("Sam is coming, 0:5")
        sam.wait_text("You are coming")
        expect(sam.page.locator("body[data-sound=emergency]")).to_have_count(0)

        sam.touch("Need an ambulance")
        card = sam.page.get_by_role("dialog")
        expect(card).to_contain_text(ADDRESS.rstrip("."))
        expect(card.get_by_role("link", name="Call 999")).to_have_attribute("href", "tel:999")
        expect(card.locator(".line")).to_contain_text("Sam said: I am coming.")
        card.get_by_role("button", name="Back to the alerts").click()

        sam.touch("I’m here")
        alex.wait_text("Sam is at the desk.")
        sam.page.get_by_label("What happened?").fill("A fall. Sat with her until her daughter came.")
        sam.touch("Real")
        for phone in (sam, alex):
            phone.wait_text("No open alert.")
        wait_for("the end", lambda: (status := stage.status()) and status.incident is None)


def test_nobody_answers_and_the_next_is_asked_then_everybody(tmp_path: Path, chromium: Browser) -> None:
    with Stage(tmp_path / "store", escalation={"escalate_s": 4.0}) as stage:
        sam, alex = start(stage, chromium)
        stage.tap_button()
        sam.wait_sounding("emergency")
        sam.wait_text(": the desk asks the manager too.")
        alex.wait_text("HELP NOW")
        alex.wait_sounding("emergency")
        alex.wait_text("The desk shows the emergency number.")
        alex.touch("2 min")
        sam.wait_text("Alex is coming")
        status = stage.status()
        assert status is not None
        assert status.incident is not None
        assert status.incident.state is State.COMING
        assert [one.what for one in status.incident.timeline].count("asked_tier") == 1


def test_who_cannot_come_is_quiet_and_the_next_one_sounds(tmp_path: Path, chromium: Browser) -> None:
    with Stage(tmp_path / "store", escalation={"escalate_s": 120.0}) as stage:
        sam, alex = start(stage, chromium)
        stage.tap_button()
        sam.wait_sounding("emergency")
        sam.touch("I can’t")
        alex.wait_sounding("emergency")
        alex.wait_text("Cannot come: Sam.")
        expect(sam.page.locator("body[data-sound=emergency]")).to_have_count(0)
        alex.touch("I’m here")
        sam.wait_text("Alex is at the desk.")
        alex.touch("False alarm")
        sam.wait_text("No open alert.")
        status = stage.status()
        assert status is not None
        assert status.incident is None
