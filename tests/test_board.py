"""The board for real: its own process, mosquitto with TLS, and a headless Chromium that a person's fingers could move."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from kiosk.board.web import host_is_ours
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import CloseReply, ComingReply, Fault, Going, Outcome, Severity, State, Trigger, UnitState
from tests.board_parts import PRIYA, Desk, Program, desk, store_toml, until
from tests.broker import make_broker
from tests.running_board import (
    PHONE,
    Browserless,
    RunningBoard,
    ask,
    board,
    broker,
    browser,
    connected,
    stream,
    unit,
)

pytestmark = pytest.mark.parts
__all__ = ["board", "broker", "browser", "make_broker", "unit"]
RED_S = 10.0


@pytest.fixture
def page(browser: Browser, board: RunningBoard) -> Iterator[Page]:
    """A phone that shows the board and is connected; whatever its console complains of fails the test."""
    complaints: list[str] = []
    one = browser.new_page(viewport=PHONE)
    one.on("pageerror", lambda error: complaints.append(str(error)))
    one.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    board.enter(one)
    connected(one)
    yield one
    one.close()
    assert complaints == []


def test_a_whole_alert_from_the_snapshot_to_its_end(page: Page, unit: Desk) -> None:
    until(unit.listening)
    unit.say(name="Ana", elapsed_s=41)
    card = page.locator("article")
    expect(card).to_contain_text("HELP NOW")
    expect(card.locator("h2")).to_have_text("Service desk 3")
    expect(card).to_contain_text("First name: Ana.")
    expect(card).to_contain_text("Nobody is going yet.")
    expect(page).to_have_title("(1) HELP NOW · Service desk 3")
    assert page.evaluate("document.body.dataset.sound") == "emergency"
    assert unit.reply("seen").incident == unit.incident

    page.get_by_role("button", name="Coming · 1 min").click()
    expect(card.locator(".note")).to_have_text("Sending your answer…")
    coming = unit.reply("coming")
    assert isinstance(coming, ComingReply)
    assert coming.eta_s == 60
    unit.say(revision=2, state=State.COMING, seen=(PRIYA,), coming=(Going(responder=PRIYA, eta_s=59),))
    expect(card).to_contain_text("You are coming")
    expect(card.locator(".note")).to_be_hidden()
    assert page.evaluate("document.body.dataset.sound") == ""

    page.get_by_role("button", name="I’m here").click()
    unit.reply("here")
    unit.say(revision=3, state=State.ATTENDED, seen=(PRIYA,), here=PRIYA)
    expect(card).to_contain_text("You are at the desk.")
    page.get_by_role("button", name="False alarm").click()
    close = unit.reply("close")
    assert isinstance(close, CloseReply)
    assert close.outcome is Outcome.FALSE_ALARM
    unit.say(revision=4, state=State.CLOSED, outcome=Outcome.FALSE_ALARM)
    expect(card).to_have_count(0)
    expect(page.get_by_text("No open alert.")).to_be_visible()
    assert len([one for one in unit.read().replies if one.kind == "seen"]) == 1


def test_a_lost_answer_is_sent_again_with_the_same_id_and_the_page_says_so(page: Page, unit: Desk) -> None:
    unit.say()
    page.get_by_role("button", name="I can’t").click()
    expect(page.locator(".note")).to_have_text("Your answer is not delivered yet. Still trying.", timeout=9000)
    until(lambda: [one.kind for one in unit.read().replies].count("call_next") >= 3)
    assert len({one.reply_id for one in unit.replies if one.kind == "call_next"}) == 1
    unit.say(revision=2, declined=(PRIYA,))
    expect(page.locator(".note")).to_be_hidden()
    expect(page.locator("article")).to_contain_text("Cannot come: you.")


def test_a_killed_broker_is_red_at_once_and_all_is_back_although_it_forgot_everything(
    page: Page, unit: Desk, broker: PrivateBroker
) -> None:
    unit.say()
    expect(page.locator("article")).to_have_count(1)
    until(unit.listening)
    broker.kill()
    expect(page.locator("#down")).to_be_visible(timeout=RED_S * 1000)
    expect(page.locator("#down")).to_contain_text("nothing listens there")
    expect(page).to_have_title("NOT CONNECTED · Stayby")
    page.get_by_role("button", name="2 min").click()
    unit.presences.clear()
    broker.start()
    expect(page.locator("#down")).to_be_hidden(timeout=RED_S * 1000)
    assert unit.reply("coming")
    until(unit.listening)
    expect(page.locator("article")).to_have_count(1)


def test_a_frozen_broker_is_red_within_ten_seconds(page: Page, broker: PrivateBroker) -> None:
    broker.freeze()
    expect(page.locator("#down")).to_be_visible(timeout=RED_S * 1000)
    broker.thaw()
    expect(page.locator("#down")).to_be_hidden(timeout=RED_S * 1000)


def test_a_killed_board_is_red_at_once_and_a_restarted_one_knows_all_again(
    page: Page, unit: Desk, board: RunningBoard
) -> None:
    unit.say()
    expect(page.locator("article")).to_have_count(1)
    until(unit.listening)
    board.program.process.kill()
    board.program.process.wait()
    expect(page.locator("#down")).to_be_visible(timeout=RED_S * 1000)
    expect(page.locator("#down")).to_contain_text("This page has lost the board")
    until(lambda: not unit.listening())
    board.restart()
    expect(page.locator("#down")).to_be_hidden(timeout=RED_S * 1000)
    expect(page.locator("article")).to_have_count(1)
    until(unit.listening)


def test_a_close_that_died_with_its_board_is_not_said_to_be_done(
    page: Page, unit: Desk, board: RunningBoard, broker: PrivateBroker
) -> None:
    unit.say(state=State.ATTENDED, here=PRIYA)
    page.evaluate("""() => {
      const says = document.getElementById("oops");
      window.told = [];
      new MutationObserver(() => window.told.push(says.textContent)).observe(says, { childList: true });
    }""")
    page.get_by_role("button", name="Real").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    broker.freeze()
    board.restart()
    expect(page.locator("article")).to_have_count(0, timeout=RED_S * 1000)
    broker.thaw()
    expect(page.get_by_role("button", name="Real")).to_be_visible(timeout=RED_S * 1000)
    assert not [one for one in page.evaluate("window.told") if one.startswith("Closed")]
    assert not [one for one in unit.read().replies if one.kind == "close"]


def test_a_frozen_board_is_red_within_ten_seconds(page: Page, board: RunningBoard) -> None:
    os.kill(board.program.process.pid, signal.SIGSTOP)
    expect(page.locator("#down")).to_be_visible(timeout=RED_S * 1000)
    os.kill(board.program.process.pid, signal.SIGCONT)
    expect(page.locator("#down")).to_be_hidden(timeout=RED_S * 1000)


def test_presence_is_true_only_while_a_page_is_open(browser: Browser, board: RunningBoard, unit: Desk) -> None:
    until(lambda: "priya" in unit.read().presences and not unit.listening())
    one = board.open(browser)
    until(unit.listening)
    one.reload()
    expect(one.locator("body:not(.down)")).to_be_attached()
    one.close()
    assert unit.listening()
    until(lambda: not unit.listening())


def test_going_away_in_good_order_says_so(page: Page, unit: Desk, board: RunningBoard) -> None:
    until(unit.listening)
    assert board.program.end(signal.SIGTERM) == 0
    until(lambda: not unit.listening())
    expect(page.locator("#down")).to_be_visible(timeout=RED_S * 1000)
    board.start(board.port)
    until(unit.listening)


EVIL = "<img src=x onerror=alert(1)>"


def test_names_are_text_and_never_markup(page: Page, unit: Desk) -> None:
    fault = Fault(code="x", where=EVIL, says=EVIL, do=EVIL)
    unit.beat(state=UnitState.FAULT, place=EVIL, faults=(fault,))
    unit.say(place=EVIL, name=EVIL, phrase=EVIL, trigger=Trigger.VOICE, seen=({"id": "sam", "name": EVIL},))
    expect(page.locator("article h2")).to_have_text(EVIL)
    expect(page.locator("footer")).to_contain_text(EVIL)
    assert page.locator("img").count() == 0


def test_a_phone_and_a_screen_need_no_sideways_scroll(page: Page, broker: PrivateBroker, unit: Desk) -> None:
    with desk(broker, "returns", "Returns desk with a very long name to read") as other:
        unit.say(
            place="W" * 60,
            severity=Severity.GRAVE,
            name="Wolfeschlegelsteinhausenbergerdorffwelt",
            silent=True,
            drill=True,
        )
        other.say(state=State.CHECKING, severity=Severity.CHECK, trigger=Trigger.VOICE, phrase="somebody_help")
        expect(page.locator("article")).to_have_count(2)
        expect(page.locator("article").first).to_contain_text("SILENT: go quietly")
        for width, height in ((390, 760), (320, 568), (1280, 800)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            heights = page.eval_on_selector_all(".answers button", "all => all.map(one => one.offsetHeight)")
            assert min(heights) >= 60


def test_junk_and_giants_on_the_topics_hurt_nothing_and_are_named(page: Page, unit: Desk, board: RunningBoard) -> None:
    unit.send("stayby/1/harbour/desk-3/incident", b"{" + b"x" * 200_000)
    expect(page.locator("#faults")).to_contain_text("more than the 65536 that are allowed")
    unit.say()
    expect(page.locator("article")).to_have_count(1)
    assert board.health()["connected"]


def test_sound_is_off_until_touched_and_says_so(browser: Browser, board: RunningBoard) -> None:
    context = browser.new_context(viewport=PHONE)
    board.enter(context.new_page())
    untouched = context.new_page()
    untouched.goto(board.url)
    hint = untouched.get_by_role("button", name="Sound is off")
    expect(hint).to_be_visible()
    hint.click()
    expect(hint).to_be_hidden()
    context.close()


# --- what the server turns away ---------------------------------------------------------------------------------------


def here(unit: Desk) -> dict[str, str]:
    return {"incident": unit.incident, "unit": unit.unit, "kind": "here"}


@pytest.fixture
def device(board: RunningBoard) -> Iterator[Browserless]:
    """Priya's device, with the board open on it, but without a browser."""
    one = board.device()
    with stream(one) as page:
        page.wait(lambda view: view["connected"])
        yield one


def test_answers_that_make_no_sense_get_plain_words(board: RunningBoard, device: Browserless, unit: Desk) -> None:
    unit.say()
    until(lambda: board.health()["alerts"])
    refused = [
        ({**here(unit), "incident": "other"}, 409, "This alert is not known here."),
        ({**here(unit), "unit": "returns"}, 409, "This alert is not known here."),
        ({**here(unit), "kind": "close", "outcome": "real"}, 409, "That answer does not fit any more. Look again."),
        ({**here(unit), "kind": "coming", "eta_s": 1e9}, 409, "Say when you will be there: between 10 s and 30 min."),
        ({**here(unit), "kind": "dance"}, 422, "kind: "),
        (b"not json", 422, "the whole message: "),
        (b"x" * 5000, 413, "That is too long."),
    ]
    for body, code, says in refused:
        status, text = device.send("/reply", body)
        assert (status, text[: len(says)]) == (code, says)
    assert device.send("/reply", here(unit))[0] == 202
    unit.say(revision=2, state=State.CLOSED)
    until(lambda: not board.health()["alerts"])
    assert device.send("/reply", here(unit)) == (409, "This alert is already closed.")
    assert device.send("/seen", {"incident": unit.incident})[0] == 409
    assert [one.kind for one in unit.read().replies if one.kind != "here"] == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "null"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example"}, 421),
    ],
)
def test_another_site_cannot_answer_for_the_person(
    board: RunningBoard, device: Browserless, unit: Desk, headers: dict[str, str], code: int
) -> None:
    unit.say()
    until(lambda: board.health()["alerts"])
    assert device.send("/reply", here(unit), **headers)[0] == code
    assert unit.read().replies == []


def test_every_answer_carries_the_security_headers(board: RunningBoard) -> None:
    for path in (
        "/",
        "/sign-in",
        "/board.js",
        "/board.css",
        "/icon.svg",
        "/health",
        "/events",
        "/nothing",
        "/invite/x",
    ):
        _, headers, _ = ask(board.url, "GET", path, None, {"accept": "text/html"})
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "ours"),
    [("localhost:8080", True), ("127.0.0.1:8080", True), ("[::1]:8080", True), (socket.gethostname(), True),
     ("board.harbour.example", True), ("evil.example", False), ("127.0.0.1.evil.example", False), ("", False),
     ("[::1", False)],
)  # fmt: skip
def test_the_host_header_must_be_this_machine(host: str, ours: bool) -> None:
    assert host_is_ours(host, {"127.0.0.1", "Board.Harbour.example"}) is ours


# --- the process ------------------------------------------------------------------------------------------------------


def refused_start(config: Path, *options: str) -> str:
    """Start a board that must refuse to; return what it says."""
    log = config.with_suffix(".log")
    program = Program("board", config, log, *options)
    assert program.process.wait(20) == 1
    program.close()
    return log.read_text()


def test_a_taken_port_is_one_clear_line(board: RunningBoard, broker: PrivateBroker, tmp_path: Path) -> None:
    says = refused_start(store_toml(tmp_path, broker), "--port", board.port)
    assert says == f"[serve] 127.0.0.1:{board.port}: Address already in use; choose another host or port\n"


def test_a_second_board_over_the_same_folder_is_one_clear_line(board: RunningBoard) -> None:
    folder = board.folder / "board-state"
    assert refused_start(board.config, "--port", "0") == (
        f"[store] state_dir {folder}: another board runs with this folder; "
        "use that one, or stop it (systemctl stop stayby-board)\n"
    )


OPEN_TO_ALL = (
    "[serve] host 0.0.0.0: without TLS the board is served to this machine only; set cert_file and key_file in "
    '[serve], or host = "127.0.0.1"\n'
)
NO_CERTIFICATE = (
    "[serve] cert_file /nowhere.pem and key_file /nowhere.key: No such file or directory; both must be there in PEM "
    "form, made together, the key without a passphrase\n"
)


@pytest.mark.parametrize(
    ("serve", "says"),
    [
        ('host = "0.0.0.0"', OPEN_TO_ALL),
        ('cert_file = "/nowhere.pem"\nkey_file = "/nowhere.key"', NO_CERTIFICATE),
    ],
)
def test_what_cannot_be_served_is_one_clear_line(serve: str, says: str, broker: PrivateBroker, tmp_path: Path) -> None:
    assert refused_start(store_toml(tmp_path, broker, serve=serve)) == says


def test_a_zone_that_does_not_exist_is_one_clear_line(broker: PrivateBroker, tmp_path: Path) -> None:
    config = store_toml(tmp_path, broker)
    config.write_text(config.read_text().replace("[store]\n", '[store]\nzone = "Mars/Olympus"\n'))
    assert "Mars/Olympus" in refused_start(config)


def test_a_wrong_password_is_red_on_the_page_and_one_line_in_the_log(
    make_broker: Callable[..., PrivateBroker], tmp_path: Path, browser: Browser
) -> None:
    board = RunningBoard(tmp_path, make_broker(sign_in="password"), password="not the one")
    page = board.open(browser)
    expect(page.locator("#down")).to_contain_text("does not let in our user 'staff-priya'")
    page.close()
    assert board.program.end() == 0
    assert board.log().count("staff-priya") == 1
