"""What staff see and touch: every scene read by axe-core, the keyboard, the sound's honesty, sleep, crowds, whole journeys."""

import importlib.resources
import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kiosk.board.gate import MANAGER_PAGES
from kiosk.board.sessions import FILE
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import (
    Choice,
    CloseReply,
    Entry,
    Face,
    Fault,
    Going,
    Language,
    NextStep,
    Outcome,
    Severity,
    State,
    Trigger,
    UnitState,
    status_topic,
)
from tests.board_parts import PRIYA, SAM, Desk, desk, until
from tests.running_board import RunningBoard, board, broker, browser, connected

pytestmark = pytest.mark.parts
__all__ = ["board", "broker", "browser"]
PHONE, TABLET, SCREEN = {"width": 360, "height": 740}, {"width": 768, "height": 1024}, {"width": 1280, "height": 800}
FACE = Face(
    store="harbour", unit="desk-3", place="Service desk 3", address="12 Quay Street, Leeds", emergency_number="112",
    phone="0113 496 0000", defibrillator="Red box", meet="the north door",
)  # fmt: skip
FAULT = Fault(code="button-loop", where="panic button", says="the cable is cut", do="Check the plug.")
ANA: dict[str, Any] = {
    "choice": Choice.CHEST_PAIN, "language": Language.SPANISH, "name": "Ana", "next": NextStep(what="ask_next_tier", in_s=20),
    "timeline": (Entry(t_s=0, what="opened", who="button"), Entry(t_s=9, what="told_choice", who="chest_pain")),
}  # fmt: skip


@pytest.fixture
def unit(broker: PrivateBroker) -> Iterator[Desk]:
    with desk(broker) as one:
        one.beat(face=FACE)
        yield one


@pytest.fixture
def open_board(browser: Browser, board: RunningBoard) -> Iterator[Callable[..., Page]]:
    """Return what opens the board as somebody, connected; whatever a page throws fails the test."""
    wrong: list[str] = []
    contexts = []

    def opened(who: str = "priya", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": PHONE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        board.enter(page, who)
        connected(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(open_board: Callable[..., Page]) -> Page:
    return open_board()


# --- axe-core ---------------------------------------------------------------------------------------------------------

AXE = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag2aaa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"color-contrast-enhanced": {"enabled": True}, "target-size": {"enabled": True}},
}


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong on the page as it stands, AAA contrast included."""
    page.evaluate(AXE)
    found = page.evaluate("rules => axe.run(rules)", RULES)["violations"]
    return [f"{one['id']}: {node['html'][:160]} {node['failureSummary']}" for one in found for node in one["nodes"]]


def alert(unit: Desk, **facts: Any) -> None:
    unit.say(**{**ANA, **facts})


COMING: dict[str, Any] = {"state": State.COMING, "next": None}
SCENES: dict[str, Callable[[Desk], object]] = {
    "calm, with a fault": lambda unit: unit.beat(2, state=UnitState.FAULT, faults=(FAULT,), face=FACE, opening=True),
    "raised": alert,
    "grave": lambda unit: alert(unit, severity=Severity.GRAVE, check_ins_missed=1),
    "another is coming": lambda unit: alert(unit, **COMING, coming=(Going(responder=SAM, eta_s=48),)),
    "I am coming": lambda unit: alert(unit, **COMING, coming=(Going(responder=PRIYA, eta_s=48),)),
    "at the desk": lambda unit: alert(unit, state=State.ATTENDED, here=PRIYA, next=None),
    "a check": lambda unit: alert(
        unit, state=State.CHECKING, severity=Severity.CHECK, trigger=Trigger.VOICE, phrase="help"
    ),
    "a request": lambda unit: unit.say(trigger=Trigger.TOUCH, severity=Severity.CHECK, choice=Choice.PERSON),
    "silent": lambda unit: alert(unit, trigger=Trigger.COVERT, silent=True),
    "drill": lambda unit: alert(unit, trigger=Trigger.DRILL, drill=True, scenario="opening"),
    "end of a drill": lambda unit: unit.say(trigger=Trigger.DRILL, drill=True, state=State.ATTENDED, here=PRIYA),
}


@pytest.mark.parametrize("scene", SCENES)
def test_axe_finds_nothing_wrong_in_any_scene_or_size(
    scene: str, open_board: Callable[..., Page], unit: Desk, board: RunningBoard
) -> None:
    page = open_board()
    SCENES[scene](unit)
    expect(page.locator("#faults li" if "calm" in scene else "article")).to_have_count(1)
    if "calm" in scene:
        expect(page.locator("#faults .what")).to_have_text("Service desk 3: The button may not work.")
        page.get_by_text("More, for a technician").click()
        expect(page.get_by_text("panic button: the cable is cut")).to_be_visible()
    expect(page.locator(".answers button[aria-disabled]")).to_have_count(0)
    for size in (PHONE, TABLET, SCREEN):
        page.set_viewport_size(size)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if "calm" in scene:
        return
    page.locator("button.help").click()
    expect(page.locator("#card .say li")).not_to_have_count(0)
    for size in (PHONE, SCREEN):
        page.set_viewport_size(size)
        assert violations(page) == []
    page.goto(f"{board.url}handover/{unit.incident}")
    assert violations(page) == []


def test_axe_finds_nothing_wrong_while_not_connected_and_muted(page: Page, unit: Desk, broker: PrivateBroker) -> None:
    alert(unit)
    expect(page.locator("article")).to_have_count(1)
    page.locator("#hush").click()
    broker.freeze()
    try:
        expect(page.locator("#down")).to_be_visible(timeout=15_000)
        for size in (PHONE, SCREEN):
            page.set_viewport_size(size)
            assert violations(page) == []
    finally:
        broker.thaw()
    connected(page)
    topic = status_topic("harbour", unit.unit)
    until(lambda: unit.link.publish(topic, b"", retain=True))  # the desk may have lost its line too


def test_axe_finds_nothing_wrong_on_the_pages_around_the_board(
    browser: Browser, open_board: Callable[..., Page], board: RunningBoard
) -> None:
    stranger = browser.new_page(viewport=PHONE)
    manager = open_board("sam")
    stranger_sees = [board.invitation(), f"{board.url}sign-in", f"{board.url}sign-in?who=priya"]
    manager_sees = [f"{board.url}{path}" for path in ("sign-out", "nowhere", *(one[1:] for one, _ in MANAGER_PAGES))]
    for page, addresses in ((stranger, stranger_sees), (manager, manager_sees)):
        for address in addresses:
            page.goto(address)
            assert violations(page) == [], address
    stranger.close()


# --- answers ----------------------------------------------------------------------------------------------------------


def test_the_second_sees_at_once_that_the_first_is_going_and_a_line_of_text_goes_with_the_close(
    open_board: Callable[..., Page], unit: Desk
) -> None:
    priya, sam = open_board("priya"), open_board("sam")
    unit.say()
    for page in (priya, sam):
        expect(page.locator("article .who")).to_contain_text("Nobody is going yet.")
    sam.get_by_role("button", name="Coming · 1 min").click()
    unit.reply("coming")
    unit.say(revision=2, state=State.COMING, coming=(Going(responder=SAM, eta_s=49),))
    expect(priya.locator("article .who")).to_contain_text("Sam is coming, 0:4")
    assert priya.evaluate("document.body.dataset.sound") == ""
    expect(priya.get_by_role("button", name="Coming too")).to_be_visible()
    unit.say(revision=3, state=State.ATTENDED, here=SAM)
    sam.get_by_label("What happened?").fill("  Sprained an ankle,\tasked for a call: 0113 496 0001 ")
    sam.get_by_role("button", name="Real").click()
    expect(sam.locator("article .note")).to_contain_text("Closing as real in ")
    expect(sam.locator("#announce")).to_contain_text("Closing as real. You can undo it.")
    sam.close()  # who leaves the page has closed it all the same
    close = unit.reply("close")
    assert isinstance(close, CloseReply)
    assert (close.outcome, close.note) == (Outcome.REAL, "Sprained an ankle, asked for a call: 0113 496 0001")


def test_what_is_typed_stays_while_the_card_goes_on_and_takes_no_keys_for_answers(
    page: Page, unit: Desk, board: RunningBoard
) -> None:
    unit.say(state=State.ATTENDED, here=PRIYA)
    line = page.get_by_label("What happened?")
    line.press_sequentially("rft")
    unit.say(revision=2, state=State.ATTENDED, here=PRIYA, says_fine=True)
    expect(page.locator("article")).to_contain_text("I’m fine now")
    expect(line).to_have_value("rft")
    expect(line).to_be_focused()
    assert [one.kind for one in unit.read().replies if one.kind == "close"] == []
    line.fill("x" * 300)
    assert len(line.input_value()) == 200
    expect(page.get_by_text("Kept on this device until you close the alert.")).to_be_visible()
    page.reload()
    expect(line).to_have_value("x" * 200)
    page.goto(f"{board.url}sign-in")
    assert page.evaluate("Object.keys(sessionStorage).filter((name) => name.startsWith('stayby.draft'))") == []


def test_what_somebody_typed_is_not_shown_to_who_signs_in_after_them_in_another_tab(
    page: Page, unit: Desk, board: RunningBoard
) -> None:
    unit.say(state=State.ATTENDED, here=PRIYA)
    line = page.get_by_label("What happened?")
    line.fill("She was so afraid.")
    other = page.context.new_page()
    board.enter(other, "sam")
    expect(page.locator("#leave")).to_have_text("Sam: sign out")
    expect(line).to_have_value("")
    page.goto(f"{board.url}sign-in")
    assert "afraid" not in page.evaluate("JSON.stringify(sessionStorage)")


def test_a_touch_never_lands_on_a_button_that_just_came(page: Page, unit: Desk) -> None:
    unit.say()
    button = page.get_by_role("button", name="Coming · 1 min")
    expect(button).to_be_visible()
    page.evaluate(
        """() => new MutationObserver((all, watch) => {
             const real = [...document.querySelectorAll("button")].find((one) => one.textContent === "Real");
             if (real) { watch.disconnect(); real.click(); }
           }).observe(document.body, { childList: true, subtree: true })"""
    )
    unit.say(revision=2, state=State.ATTENDED, here=PRIYA)
    page.get_by_role("button", name="False alarm").click()
    expect(page.locator("article .note")).to_contain_text("Closing as a false alarm in ")


def test_the_whole_of_it_by_keyboard(page: Page, unit: Desk) -> None:
    unit.say()
    first = page.get_by_role("button", name="Coming · 1 min")
    expect(first).to_be_enabled()
    labels = []
    for _ in range(6):
        page.keyboard.press("Tab")
        labels.append(page.evaluate("document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert labels == [
        "Coming · 1 min", "2 min", "5 min", "I’m here", "I can’t: ask the next", "Need an ambulance",
    ]  # fmt: skip
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="For the emergency call")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Need an ambulance")).to_be_focused()
    page.keyboard.press("2")
    assert unit.reply("coming")
    unit.say(revision=2, state=State.COMING, coming=(Going(responder=PRIYA, eta_s=119),))
    expect(page.locator("article")).to_contain_text("You are coming")
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("aria-label", "Need an ambulance, Service desk 3")
    expect(page.get_by_role("button", name="I’m here")).to_be_enabled()
    page.keyboard.press("h")
    unit.reply("here")
    unit.say(revision=3, state=State.ATTENDED, here=PRIYA)
    expect(page.get_by_role("button", name="Test")).to_be_enabled()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator("article .note")).to_contain_text("Closing as a test in ")
    undo = page.get_by_role("button", name="Undo: keep it open, Service desk 3")
    expect(undo).to_be_focused()
    expect(undo).to_be_enabled()
    assert violations(page) == []
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Real")).to_be_enabled()
    assert [one.kind for one in unit.read().replies if one.kind == "close"] == []


def test_a_screen_reader_hears_what_is_new_and_knows_each_button_by_its_place(page: Page, unit: Desk) -> None:
    unit.say()
    expect(page.locator("#announce")).to_have_text("HELP NOW, Service desk 3. Nobody is going yet.")
    expect(page.get_by_role("button", name="Coming · 1 min, Service desk 3")).to_be_visible()
    unit.say(revision=2, state=State.COMING, coming=(Going(responder=SAM, eta_s=30),))
    expect(page.locator("#announce")).to_have_text("HELP NOW, Service desk 3. Sam is coming.")
    expect(page.get_by_role("article", name="HELP NOW, Service desk 3")).to_be_visible()


def test_names_in_any_script_stand_as_they_are_written(page: Page, unit: Desk) -> None:
    unit.say(place="مكتب <b>الخدمة</b> 3", name="محمد", coming=())
    expect(page.locator("article h2")).to_have_text("مكتب <b>الخدمة</b> 3")
    assert page.locator("article h2").evaluate("one => getComputedStyle(one).direction") == "rtl"
    page.locator("button.help").click()
    expect(page.locator("#card .say")).to_contain_text("<b>الخدمة</b>")
    assert page.locator("#card b").count() == 0


# --- the card for an emergency call -----------------------------------------------------------------------------------


def test_the_card_dials_copies_and_says_the_address(open_board: Callable[..., Page], unit: Desk) -> None:
    page = open_board(permissions=["clipboard-read", "clipboard-write"])
    alert(unit)
    page.locator("button.help").click()
    card = page.get_by_role("dialog")
    expect(card.get_by_role("link", name="Call 112")).to_have_attribute("href", "tel:112")
    expect(card.locator(".say li").first).to_have_text("The address is 12 Quay Street, Leeds.")
    expect(card.locator(".line li")).to_have_count(2)
    expect(card.locator(".code svg")).to_be_visible()
    card.get_by_role("button", name="Copy").click()
    expect(card.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "They told us: Chest pain." in copied
    assert "The button was pressed." in copied
    alert(unit, revision=2, state=State.ATTENDED, here=PRIYA)
    expect(card.locator(".done")).to_contain_text("Priya is at the desk.")


def test_the_card_of_a_drill_dials_nothing_and_says_so_on_paper_too(page: Page, unit: Desk) -> None:
    alert(unit, trigger=Trigger.DRILL, drill=True)
    page.locator("button.help").click()
    expect(page.locator("#card .drill")).to_have_text("DRILL: do not call")
    assert page.locator("#card a[href^=tel]").count() == 0
    page.emulate_media(media="print")
    expect(page.locator("#card .drill")).to_be_visible()
    expect(page.locator("#alerts")).to_be_hidden()


def test_nothing_of_a_silent_call_goes_on_paper(page: Page, unit: Desk, board: RunningBoard) -> None:
    alert(unit, trigger=Trigger.COVERT, silent=True, timeline=(Entry(t_s=0, what="opened", who="covert"),))
    page.locator("button.help").click()
    expect(page.locator("#card .handover")).to_contain_text("Somebody called for help in secret.")
    assert page.locator("#card svg, #card [data-do=print]").count() == 0
    page.emulate_media(media="print")
    expect(page.locator("#card .handover")).to_be_hidden()
    page.goto(f"{board.url}handover/{unit.incident}")
    expect(page.locator(".handover")).to_be_hidden()


def test_a_card_that_cannot_be_loaded_still_says_number_and_place(page: Page, unit: Desk) -> None:
    alert(unit)
    expect(page.locator("article")).to_have_count(1)
    page.route("**/handover/*", lambda route: route.abort())
    page.locator("button.help").click()
    expect(page.locator("#card .handover")).to_contain_text("Call 112.")
    expect(page.locator("#card .handover")).to_contain_text("12 Quay Street, Leeds, Service desk 3")


def test_whoever_reads_a_card_hears_of_another_alert(page: Page, unit: Desk, broker: PrivateBroker) -> None:
    alert(unit)
    page.locator("button.help").click()
    with desk(broker, "returns", "Returns desk") as other:
        other.say()
        expect(page.locator("#card-more")).to_have_text("Nobody is going yet: HELP NOW, Returns desk")


# --- sound ------------------------------------------------------------------------------------------------------------


def test_it_is_never_quiet_while_it_looks_as_if_it_sounds(page: Page, unit: Desk) -> None:
    bar = page.locator("#mute")
    assert page.evaluate("soundState()") == "on" or bar.is_visible()
    page.get_by_role("button", name="Try the sound").click()
    expect(page.locator("#oops")).to_contain_text("This is the sound of an alert.")
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Mute", exact=True).click()
    expect(bar).to_have_text("Sound is off: you muted it. Touch here to switch it on.")
    unit.say()
    expect(page.locator("body[data-sound=emergency][data-hear=muted]")).to_be_attached()
    bar.click()
    expect(page.locator("body[data-hear=on]")).to_be_attached()
    expect(bar).to_be_hidden()
    page.evaluate("audio.suspend()")
    expect(bar).to_have_text("Sound is off. Touch here to switch it on.")


def test_three_urgencies_sound_apart_and_repeat_until_somebody_answers(page: Page, unit: Desk) -> None:
    assert page.evaluate("Object.values(REPEAT_MS).every((every) => every <= 10000)")
    page.get_by_role("button", name="Try the sound").click()
    says = (
        ("fault", lambda: unit.beat(2, state=UnitState.FAULT, faults=(FAULT,), face=FACE)),
        (
            "check",
            lambda: unit.say(state=State.CHECKING, severity=Severity.CHECK, trigger=Trigger.VOICE, phrase="help"),
        ),
        ("emergency", lambda: unit.say(revision=2)),
    )
    for kind, say in says:
        say()
        expect(page.locator(f"body[data-sound={kind}]")).to_be_attached()
        until(partial(page.evaluate, "(kind) => kind in playedAt", kind))
    unit.say(revision=3, state=State.COMING, coming=(Going(responder=SAM, eta_s=60),))
    expect(page.locator("body[data-sound=fault]")).to_be_attached()
    page.get_by_role("button", name="I have seen these faults").click()
    expect(page.locator("body[data-sound='']")).to_be_attached()
    page.reload()
    connected(page)
    expect(page.locator("#faults li")).to_have_count(1)
    assert page.evaluate("document.body.dataset.sound") == ""
    unit.beat(3, faults=(), face=FACE)


# --- on break, sleep, and a board that cannot be reached --------------------------------------------------------------


def test_a_break_is_said_in_the_headline_and_ends_by_the_same_button(page: Page, unit: Desk) -> None:
    until(unit.listening)
    page.get_by_role("button", name="Take a break").click()
    expect(page.locator("#headline")).to_contain_text("you are on break: asked last")
    until(lambda: unit.read().presences["priya"].duty == "break")
    assert unit.listening()
    page.get_by_role("button", name="End my break").click()
    expect(page.locator("#headline")).not_to_contain_text("break")


def test_a_page_whose_line_is_cut_for_five_minutes_is_red_at_once_and_complete_on_return(
    page: Page, unit: Desk
) -> None:
    unit.say()
    expect(page.locator("article")).to_have_count(1)
    page.clock.install()
    page.context.set_offline(True)
    page.evaluate("source.close()")  # what is open already outlives the switch
    page.clock.fast_forward("05:00")
    expect(page.locator("#down")).to_be_visible()
    expect(page).to_have_title("NOT CONNECTED · Stayby")
    expect(page.locator("#down-why")).to_contain_text("What stands below is old, from ")
    unit.say(revision=2, state=State.CLOSED)
    with_new = unit.incident
    unit.incident = f"{with_new}-again"
    unit.say(place="Another place")
    page.context.set_offline(False)
    page.clock.run_for(3000)
    expect(page.locator("#down")).to_be_hidden(timeout=10_000)
    expect(page.locator("article h2")).to_have_text(["Another place"])


def test_a_tab_that_was_put_to_sleep_is_red_or_fresh(page: Page, unit: Desk) -> None:
    unit.say()
    expect(page.locator("article")).to_have_count(1)
    says = "name => { document.dispatchEvent(new Event(name)); return document.body.className; }"
    assert page.evaluate(says, "freeze") == "down"  # as Chromium says it before it stops a hidden page
    until(lambda: not unit.listening())
    unit.say(revision=2, place="Moved while it slept")
    assert page.locator("article h2").inner_text() == "Service desk 3"
    assert page.evaluate(says, "resume") == "down"
    connected(page)
    expect(page.locator("article h2")).to_have_text("Moved while it slept")


def test_a_page_that_nobody_sees_is_left_red_so_that_the_first_look_is_not_at_old_news(page: Page) -> None:
    look = """([hidden, slept_ms]) => {
        heard.wall -= slept_ms;
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
        return document.body.className;
    }"""
    assert page.evaluate(look, [True, 0]) == "down"
    assert page.evaluate(look, [False, 0]) == ""
    assert page.evaluate(look, [False, 60_000]) == "down"
    connected(page)


def test_a_page_that_cannot_paint_what_the_board_says_is_red(browser: Browser, board: RunningBoard) -> None:
    page = board.open(browser)
    connected(page)
    says = page.evaluate("""() => new Promise((done) => {
      const why = document.getElementById("down-why");
      new MutationObserver(() => done(why.textContent)).observe(why, { childList: true, characterData: true, subtree: true });
      source.onmessage({ data: JSON.stringify({ me: view && view.me }) });
    })""")  # read where it stands: three seconds later the page loads itself again
    assert "This page does not understand the board." in says
    connected(page)
    page.context.close()


def test_a_device_that_lets_the_page_sleep_is_told_once_and_one_whose_session_ends_soon(
    page: Page, board: RunningBoard
) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'wakeLock', { value: undefined })")
    with closing(sqlite3.connect(board.folder / "board-state" / FILE)) as sessions, sessions:
        soon = "UPDATE session SET ends_unix_s = ? WHERE began_unix_s = (SELECT max(began_unix_s) FROM session)"
        sessions.execute(soon, (time.time() + 6.5 * 24 * 3600,))
    page.reload()
    connected(page)
    expect(page.locator("#awake")).to_contain_text("Keep this screen on")
    expect(page.locator("#ends")).to_contain_text("You are signed in on this phone for 6 more days.")
    assert violations(page) == []
    page.get_by_role("button", name="I will").click()
    page.reload()
    connected(page)
    expect(page.locator("#awake")).to_be_hidden()


def test_whoever_is_signed_out_elsewhere_is_red_and_then_at_the_door(page: Page, board: RunningBoard) -> None:
    other = page.context.new_page()
    other.goto(f"{board.url}sign-out")
    other.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{board.url}sign-in", timeout=15_000)
    page.goto(board.url)
    expect(page).to_have_url(f"{board.url}sign-in")


def test_an_installed_board_opens_without_a_board_and_says_so(page: Page, unit: Desk, board: RunningBoard) -> None:
    unit.say(place="Secret place of old")
    expect(page.locator("article")).to_have_count(1)
    page.evaluate("navigator.serviceWorker.ready")
    until(
        lambda: page.evaluate("caches.open('stayby-shell-1').then((one) => one.keys()).then((all) => all.length)") >= 9
    )
    kept = page.evaluate(
        """async () => { const cache = await caches.open("stayby-shell-1");
             return Promise.all((await cache.keys()).map(async (one) => (await cache.match(one)).text())); }"""
    )
    assert not any("Secret place" in text for text in kept)
    board.program.end(signal.SIGKILL)
    page.reload()
    expect(page.locator("#down")).to_contain_text("NOT CONNECTED")
    expect(page.locator("article")).to_have_count(0)
    board.start(board.port)
    connected(page)
    expect(page.locator("article")).to_have_count(1)


def test_it_can_be_installed(page: Page, board: RunningBoard) -> None:
    session = page.context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    says = json.loads(manifest["data"])
    assert {icon["sizes"] for icon in says["icons"]} == {"any", "192x192", "512x512"}
    for icon in says["icons"]:
        assert page.request.get(board.url + icon["src"][1:]).ok


# --- many at once -----------------------------------------------------------------------------------------------------


def test_a_crowd_of_alerts_is_counted_and_every_unanswered_one_can_be_answered(
    tmp_path: Path, browser: Browser
) -> None:
    units = [f"desk-{number:02}" for number in range(12)]
    with PrivateBroker(tmp_path / "broker", "harbour", units, ["priya", "sam"]) as crowded:
        board = RunningBoard(tmp_path, crowded)
        page = board.open(browser)
        desks = [Desk(crowded, unit, f"Place {unit}") for unit in units]
        for one in desks:
            one.say()
        expect(page.locator("article")).to_have_count(12)
        expect(page.locator("#crowd")).to_have_text("12 alerts are open. 12 have nobody on the way yet.")
        expect(page.locator("article.brief")).to_have_count(9)
        expect(page.get_by_role("button", name="Coming · 1 min")).to_have_count(12)
        page.get_by_role("button", name="Coming · 1 min, Place desk-11").click()
        desks[11].reply("coming")
        until(lambda: page.evaluate("[...cards.values()].every(takesTouch)"))
        moved = page.evaluate("settle(5), [...cards.values()].map((card) => [card.at, takesTouch(card)])")
        assert all(takes == (at < 5) for at, takes in moved), "what lies above goes on taking touches"
        page.get_by_role("button", name="Show all of it, Place desk-10").click()
        expect(page.locator("article.brief")).to_have_count(8)
        assert violations(page) == []
        for one in desks:
            one.close()
        page.close()
        board.program.close()
