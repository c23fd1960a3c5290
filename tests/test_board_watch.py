"""Beside the board: whoever reads a report or a card is still reached by every alert, and told when they are not."""

import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from kiosk.messages import Going, State
from tests.board_parts import SAM, Desk, until
from tests.broker import make_broker
from tests.running_board import RunningBoard, board, broker, browser, unit
from tests.test_board_face import violations

pytestmark = pytest.mark.parts
__all__ = ["board", "broker", "browser", "make_broker", "unit"]
SCREEN = {"width": 1280, "height": 800}
SMALL = {"width": 360, "height": 640}
BESIDE = ("manage", "manage/report", "manage/drills", "manage/sessions", "sign-out", "nowhere")


@pytest.fixture
def page(browser: Browser, board: RunningBoard) -> Iterator[Page]:
    """The manager's phone; whatever goes wrong in its scripts fails the test."""
    complaints: list[str] = []
    one = browser.new_context(viewport=SMALL).new_page()
    one.on("pageerror", lambda error: complaints.append(str(error)))
    board.enter(one, "sam")
    yield one
    one.context.close()
    assert complaints == []


def strip(page: Page, kind: str) -> None:
    expect(page.locator(f"#watch[data-kind={kind}]")).to_be_visible(timeout=10_000)


@pytest.mark.parametrize("path", BESIDE)
def test_an_alert_is_seen_and_heard_on_every_page_beside_the_board(
    path: str, page: Page, unit: Desk, board: RunningBoard
) -> None:
    page.goto(board.url + path)
    until(lambda: unit.listening("sam"))
    expect(page.locator("#watch")).to_be_hidden()
    unit.say()
    strip(page, "urgent")
    expect(page.locator("#watch-says")).to_contain_text("HELP NOW, Service desk 3 Nobody is going yet.")
    expect(page).to_have_title("(1) HELP NOW · Service desk 3")
    assert page.evaluate("document.body.dataset.sound") == "emergency"
    assert unit.reply("seen").incident == unit.incident
    for size in (SCREEN, SMALL):
        page.set_viewport_size(size)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    unit.say(revision=2, state=State.COMING, coming=(Going(responder=SAM, eta_s=60),))
    strip(page, "going")
    assert page.evaluate("document.body.dataset.sound") == ""
    until(lambda: page.evaluate("!guarded"))
    page.evaluate("document.getElementById('watch-sound').hidden = false")  # a first touch takes it away
    page.locator("#watch-open").click()
    expect(page.locator("article")).to_contain_text("You are coming")


def test_the_card_of_an_alert_tells_of_the_others_only(page: Page, unit: Desk, board: RunningBoard) -> None:
    unit.say()
    expect(page.locator("article")).to_have_count(1)
    page.goto(f"{board.url}handover/{unit.incident}")
    until(lambda: unit.reply("seen"))
    until(lambda: page.evaluate("board !== null"))
    expect(page.locator("#watch")).to_be_hidden()
    assert page.evaluate("document.body.dataset.sound") == "emergency"


def test_it_says_when_it_cannot_hear_and_comes_back(page: Page, unit: Desk, board: RunningBoard) -> None:
    page.goto(board.url + "manage/report")
    until(lambda: unit.listening("sam"))
    board.program.end(signal.SIGKILL)
    strip(page, "cut")
    expect(page.locator("#watch-says")).to_contain_text("NOT CONNECTED No alert can reach you here.")
    expect(page).to_have_title("NOT CONNECTED · Stayby")
    assert page.evaluate("document.body.dataset.sound") == "cut"
    board.start(board.port)
    expect(page.locator("#watch")).to_be_hidden(timeout=10_000)


def test_who_is_signed_out_elsewhere_does_not_stay_on_a_page(page: Page, unit: Desk, board: RunningBoard) -> None:
    page.goto(board.url + "manage/report")
    until(lambda: unit.listening("sam"))
    manager = board.signed_in("sam")
    assert manager.form("/manage/sessions", token=manager.token(), staff="sam", do="end_all", sure="yes")[0] == 303
    page.wait_for_url("**/sign-in", timeout=10_000)
    until(lambda: not unit.listening("sam"))


def test_of_many_pages_only_the_one_in_front_holds_a_line(page: Page, board: RunningBoard) -> None:
    page.goto(board.url + "manage/report")
    until(lambda: page.evaluate("line !== null"))
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    other = page.context.new_page()
    other.goto(board.url + "manage/drills")
    until(lambda: page.evaluate("line === null"))
    assert page.evaluate("document.body.dataset.sound") == "", "the one in front sounds"
    until(lambda: other.evaluate("line !== null && !lost"))
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    until(lambda: page.evaluate("line !== null && !lost"))


@pytest.mark.parametrize(("path", "told"), [("", "#missed-says"), ("manage/report", "#watch-missed")])
def test_who_neither_sees_nor_hears_a_page_is_not_counted_and_is_told_so_on_return(
    path: str, told: str, page: Page, unit: Desk, board: RunningBoard
) -> None:
    page.goto(board.url + path)
    until(lambda: unit.listening("sam"))
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("soundOn()")
    assert page.evaluate("soundState() === 'on' && reaches()"), "heard though hidden, as on a locked phone"
    page.evaluate("audio.suspend()")
    assert page.evaluate("reaches()"), "a glance at another page is no absence"
    page.evaluate("unheardSince -= UNHEARD_MS")
    until(lambda: not unit.listening("sam"))
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(told)).to_contain_text("no alert could reach you here")
    assert violations(page) == []
    until(lambda: unit.listening("sam"))


def test_without_a_script_it_says_that_no_alert_is_shown(browser: Browser, board: RunningBoard) -> None:
    one = browser.new_context(java_script_enabled=False).new_page()
    one.goto(board.invitation("sam"))
    one.locator("#let-me-in").click()
    one.goto(board.url + "manage/report")
    expect(one.get_by_text("No alert is shown on this page.")).to_be_visible()
    one.context.close()
