"""The board against those who should not be in: sessions, forms, PINs, names and clients that mean harm, on the real process."""

import importlib.resources
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

from kiosk.board.sign_in import device_words
from kiosk.board.web import Listener
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import State
from kiosk.store_cli import app as store_app
from tests.board_parts import PINS, PRIYA, SAM, Desk, until
from tests.running_board import (
    PHONE,
    Browserless,
    RunningBoard,
    ask,
    broker,
    browser,
    connected,
    stream,
    unit,
)

pytestmark = pytest.mark.parts
__all__ = ["broker", "browser", "unit"]
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningBoard]:
    evil = f'[[staff]]\nid = "evil"\nname = "{EVIL}"\nrole = "staff"\nusername = "x"\npassword = "y"'
    bare = '[[staff]]\nid = "bare"\nname = "Bare"'
    running = RunningBoard(tmp_path_factory.mktemp("board"), broker, evil, bare)
    yield running
    running.program.close()


# --- signing in -------------------------------------------------------------------------------------------------------


def test_nobody_gets_anything_without_a_session(board: RunningBoard) -> None:
    stranger = Browserless(board)
    for path in ("/events?page=x", "/manage/sessions", "/manage", "/sign-out"):
        assert stranger.ask("GET", path)[0] in {303, 401}, path
    for path in ("/reply", "/seen", "/alive", "/break"):
        assert stranger.send(path, {})[0] == 401, path
    assert stranger.ask("GET", "/", accept="text/html")[1]["location"] == "/sign-in"
    assert stranger.ask("GET", "/health")[2] == b'{"board":"ok"}'


def test_a_link_on_another_site_leads_to_the_board_all_the_same(board: RunningBoard) -> None:
    kept_back = Browserless(board).ask("GET", "/", accept="text/html", sec_fetch_site="cross-site")
    assert kept_back[0] == 200
    assert b'http-equiv="refresh" content="0; url=/"' in kept_back[2]


def test_who_has_no_sign_in_at_the_broker_is_told_that_no_alert_reaches_them(board: RunningBoard) -> None:
    status, _, page = board.signed_in("bare").ask("GET", "/", accept="text/html")
    assert status == 503
    assert b"[[staff]] bare: no sign-in at the broker" in page


def test_signing_in_by_pin_by_keyboard_and_by_touch(browser: Browser, board: RunningBoard) -> None:
    page = browser.new_page(viewport=PHONE)
    page.goto(board.url)
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
    page.get_by_role("link", name="Priya").click()
    expect(page.get_by_label("PIN", exact=True)).to_be_focused()
    page.keyboard.type("1111")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name and PIN do not fit. Try again.")
    for digit in PINS["priya"]:
        page.locator("#pad").get_by_role("button", name=digit, exact=True).click()
    page.get_by_role("button", name="Sign in").click()
    connected(page)
    expect(page.locator("#headline")).to_contain_text("Priya")
    page.close()


def test_signing_in_works_without_a_script(browser: Browser, board: RunningBoard) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{board.url}sign-in?who=priya")
    expect(page.locator("#pad")).to_be_hidden()
    page.get_by_label("PIN", exact=True).fill(PINS["priya"])
    page.get_by_role("button", name="Sign in").click()
    assert urlsplit(page.url).path == "/"
    assert page.locator("#bar").count() == 1
    context.close()


def test_the_cookie_is_for_this_board_alone(board: RunningBoard) -> None:
    device = board.signed_in()
    flags = {part.strip().lower() for part in device.set_cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=7776000"} <= flags
    assert not any(flag.startswith("domain") for flag in flags)
    assert len(device.cookie.partition("=")[2]) >= 43  # 256 bit


def test_a_session_that_somebody_planted_is_not_taken_over(board: RunningBoard) -> None:
    device = Browserless(board, "stayby=planted-by-somebody-else")
    assert device.sign_in("priya", PINS["priya"]) == 303
    first = device.cookie
    assert first != "stayby=planted-by-somebody-else"
    assert device.sign_in("priya", PINS["priya"]) == 303
    assert device.cookie != first
    assert Browserless(board, first).ask("GET", "/manage/sessions")[0] == 401  # the one before is over
    assert Browserless(board, "stayby=planted-by-somebody-else").send("/alive", {"page": "x"})[0] == 401


def test_an_invitation_is_used_once_and_looking_does_not_use_it(board: RunningBoard) -> None:
    path = urlsplit(board.invitation()).path
    for _ in range(3):
        status, _, page = Browserless(board).ask("GET", path, accept="text/html")
        assert status == 200
        assert b"Hello Priya" in page
    assert Browserless(board).form(path)[0] == 303
    status, headers, page = Browserless(board).form(path)
    assert status == 410
    assert "set-cookie" not in headers
    assert b"Ask a manager for a new one." in page


def test_a_technician_invites_from_the_command_line(board: RunningBoard) -> None:
    def invite(who: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kiosk", "store", "invite", who, "--config", str(board.config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = invite("priya")
    assert done.returncode == 0, done.stderr
    assert Browserless(board).form(urlsplit(done.stdout.strip()).path)[0] == 303
    refused = invite("nobody")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is no [[staff]] with the id 'nobody'" in refused.stderr


def test_a_restart_of_the_board_signs_nobody_out(board: RunningBoard) -> None:
    device = board.signed_in()
    assert board.restart() == -signal.SIGKILL
    assert device.send("/alive", {"page": "x"})[0] == 204


def test_signing_out_ends_the_session_and_its_streams(board: RunningBoard) -> None:
    device = board.signed_in()
    token = device.token()
    with stream(device) as page:
        page.wait(lambda view: view["connected"])
        assert device.form("/sign-out", token="no")[0] == 403
        cookie = device.cookie
        assert device.form("/sign-out", token=token)[0] == 303
        assert page.ended.wait(5)
    assert device.cookie.endswith('=""')
    assert Browserless(board, cookie).send("/alive", {"page": "x"})[0] == 401


AXE = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
READ_BY_AXE = """async () => {
  const found = await axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag2aaa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    rules: { "color-contrast-enhanced": { enabled: true }, "target-size": { enabled: true } },
  });
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
}"""


def test_the_pages_are_readable_by_everybody_at_any_width(browser: Browser, board: RunningBoard) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, bypass_csp=True)
    page = context.new_page()

    def read() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url
        page.evaluate(AXE)
        assert page.evaluate(READ_BY_AXE) == [], page.url

    for path in ("sign-in", "sign-in?who=priya", "sign-in?why=out", "invite/none", "nothing"):
        page.goto(f"{board.url}{path}")
        read()
    page.goto(board.invitation("sam"))
    read()
    page.locator("#let-me-in").click()
    for path in ("sign-out", "manage/sessions"):
        page.goto(f"{board.url}{path}")
        read()
    page.get_by_role("button", name="Invite Priya’s phone").click()
    page.locator(".invitation").wait_for()
    page.wait_for_load_state()  # the letters stand as they will only when the style sheet is there
    read()
    context.close()


# --- guessing ---------------------------------------------------------------------------------------------------------


def test_guessing_a_pin_is_locked_out_through_a_restart_and_hurts_nobody_else(board: RunningBoard, unit: Desk) -> None:
    assert Browserless(board).sign_in("sam", PINS["sam"]) == 303, "from here people sign in"
    at_work = board.signed_in("priya")
    thief = Browserless(board)
    assert [thief.sign_in("priya", str(number)) for number in range(3000, 3006)] == [403] * 6
    board.restart()
    assert thief.sign_in("priya", PINS["priya"]) == 403, "the right PIN, too, must wait"
    assert thief.cookie == ""
    assert Browserless(board).sign_in("sam", PINS["sam"]) == 303, "another person is not locked out"
    manager = board.signed_in("sam")
    assert "wrong PINs for Priya" in manager.ask("GET", "/manage/sessions")[2].decode()
    with stream(at_work) as page:
        page.wait(lambda view: view["connected"])
        unit.say()
        alert = page.wait(lambda view: view["alerts"])["alerts"][0]
        here = {"incident": alert["incident"], "unit": alert["unit"], "kind": "here"}
        assert at_work.send("/reply", here)[0] == 202, "who is signed in already can answer"
        assert unit.reply("here").responder == "priya"
    token = manager.token()
    assert manager.form("/manage/sessions", token=token, what="here:priya@127.0.0.1", do="forgive")[0] == 303
    assert thief.sign_in("priya", PINS["priya"]) == 303


# --- other sites and other people -------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {}])
def test_no_other_site_ends_a_session_or_invites(board: RunningBoard, headers: dict[str, str]) -> None:
    manager = board.signed_in("sam")
    before = manager.ask("GET", "/manage/sessions")[2]
    for fields in (
        {},
        {"token": ""},
        {"token": board.signed_in("sam").token()},
    ):  # none, an empty one, another session's
        assert manager.form("/manage/sessions", headers, staff="priya", do="end_all", **fields)[0] == 403
    if headers:
        token = manager.token()
        assert manager.form("/manage/sessions", headers, staff="priya", do="end_all", token=token)[0] == 403
        assert Browserless(board).form("/sign-in", headers, who="sam", pin=PINS["sam"])[0] == 403
    assert before.count(b"Sign out</button>") <= manager.ask("GET", "/manage/sessions")[2].count(b"Sign out</button>")


def test_only_a_manager_sees_who_is_signed_in(board: RunningBoard) -> None:
    priya = board.signed_in("priya")
    assert priya.ask("GET", "/manage/sessions", accept="text/html")[0] == 403
    assert priya.form("/manage/sessions", token=priya.token(), staff="sam", do="invite")[0] == 403


def test_a_manager_ends_a_session_and_its_page_is_closed_within_a_second(
    board: RunningBoard, browser: Browser, unit: Desk
) -> None:
    page = board.open(browser)
    connected(page)
    until(unit.listening)
    manager = board.signed_in("sam")
    asked = manager.form("/manage/sessions", token=manager.token(), staff="priya", do="end_all")
    assert (asked[0], b"Sign out Priya everywhere?" in asked[2]) == (200, True)
    assert unit.listening()
    ended_s = time.monotonic()
    assert manager.form("/manage/sessions", token=manager.token(), staff="priya", do="end_all", sure="yes")[0] == 303
    until(lambda: not unit.listening())
    page.wait_for_url("**/sign-in*")
    assert time.monotonic() - ended_s < 10
    page.close()


def test_nobody_answers_in_another_name(board: RunningBoard, unit: Desk) -> None:
    sam = board.signed_in("sam")
    with stream(sam) as page:
        unit.say()
        page.wait(lambda view: view["alerts"])
        forged = {
            "incident": unit.incident,
            "unit": unit.unit,
            "kind": "here",
            "responder": "priya",
            "reply_id": "x" * 32,
        }
        assert sam.send("/reply", forged)[0] == 202
        assert unit.reply("here").responder == "sam"
        assert {one.responder for one in unit.read().replies} == {"sam"}


def test_another_persons_page_is_kept_alive_by_nobody_else(board: RunningBoard) -> None:
    priya, sam = board.signed_in("priya"), board.signed_in("sam")
    with stream(priya, "one-page") as page:
        page.wait(lambda view: view["me"] == "Priya")
        assert sam.send("/alive", {"page": "one-page"})[0] == 204
        with stream(sam, "one-page") as other:
            other.wait(lambda view: view["me"] == "Sam")


def test_two_devices_of_one_person_are_both_shown_and_one_presence(board: RunningBoard, unit: Desk) -> None:
    phone, screen = board.signed_in("priya"), board.signed_in("priya")
    with stream(screen, "screen") as other:
        with stream(phone, "phone") as page:
            until(unit.listening)
            unit.say()
            assert page.wait(lambda view: view["alerts"])["alerts"][0]["incident"] == unit.incident
            assert other.wait(lambda view: view["alerts"])
            assert phone.send("/reply", {"incident": unit.incident, "unit": unit.unit, "kind": "here"})[0] == 202
            unit.reply("here")
            unit.say(revision=2, state=State.ATTENDED, here=PRIYA)
            other.wait(lambda view: view["alerts"][0]["going"])
        until(lambda: board.health("priya")["pages"] == 1)
        assert unit.listening()
    until(lambda: not unit.listening())


def test_a_break_is_told_at_once_and_kept_while_the_page_is_away(board: RunningBoard, unit: Desk) -> None:
    device = board.signed_in("priya")
    with stream(device) as page:
        until(unit.listening)
        assert unit.presences["priya"].tier_at("desk-3") == 1
        assert device.send("/break", {"on": True})[0] == 204
        until(lambda: unit.read().presences["priya"].duty == "break")
        assert unit.presences["priya"].tier_at("desk-3") == 9
        assert page.wait(lambda view: view["duty"] == "break")
    until(lambda: not unit.listening())
    with stream(device, "again") as page:
        page.wait(lambda view: view["duty"] == "break")
        assert device.send("/break", {"on": False})[0] == 204
        until(lambda: unit.read().presences["priya"].duty == "on")


ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0"
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BROWSERS_SAY = [
    (f"{ANDROID} Mobile Safari/537.36", "Phone, Android, Chrome"),
    (f"{ANDROID} Safari/537.36", "Tablet, Android, Chrome"),
    (f"{ANDROID} Mobile Safari/537.36 EdgA/131.0", "Phone, Android, Edge"),
    (
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {APPLE} Version/18.1 Mobile Safari/604.1",
        "iPhone, Safari",
    ),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {APPLE} Version/18.1 Safari/605.1.15", "Mac or iPad, Safari"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0", "Computer, Windows, Firefox"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Computer, Linux, Firefox"),
    (EVIL, "Another device, another browser"),
]


@pytest.mark.parametrize(("says", "words"), BROWSERS_SAY)
def test_a_device_is_named_in_plain_words(says: str, words: str) -> None:
    assert device_words(says) == words


# --- what is sent to harm ---------------------------------------------------------------------------------------------


def test_names_with_markup_are_text_on_every_page(browser: Browser, board: RunningBoard) -> None:
    context = browser.new_context(user_agent=EVIL)
    page = context.new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    board.enter(page, "sam")
    page.goto(f"{board.url}manage/sessions")
    expect(page.get_by_role("heading", name=EVIL)).to_be_visible()
    assert page.locator("img").count() == 0
    page.get_by_role("button", name=f"Invite {EVIL}’s phone").click()
    page.goto(page.locator(".link").inner_text())
    expect(page.get_by_role("heading", name=f"Hello {EVIL}")).to_be_visible()
    assert page.locator("img").count() == 0
    context.close()


def test_the_board_stands_in_no_other_sites_frame(board: RunningBoard) -> None:
    for path in ("/", "/sign-in", "/sign-out", "/manage/sessions"):
        _, headers, _ = board.device("sam").ask("GET", path, accept="text/html")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert "unsafe" not in headers["content-security-policy"]
        assert "strict-transport-security" not in headers


def test_no_page_asks_anybody_else_for_anything(browser: Browser, board: RunningBoard) -> None:
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    board.enter(page, "sam")
    for path in ("manage/sessions", "manage", "sign-out", "sign-in"):
        page.goto(f"{board.url}{path}")
    assert asked
    assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {urlsplit(board.url).netloc}
    context.close()


@pytest.mark.parametrize(
    "path",
    ["/../page.py", "/%2e%2e/page.py", "/..%2fpage.py", "/static/../page.py", "//etc/passwd", "/index.html", "/%00"],
)
def test_no_path_leads_out_of_the_pages(board: RunningBoard, path: str) -> None:
    status, _, page = board.device().ask("GET", path, accept="text/html")
    assert status == 404
    assert b"import" not in page


def test_huge_bodies_and_heads_are_cut_off(board: RunningBoard) -> None:
    device = board.device("sam")
    assert device.send("/reply", b"x" * 1_000_000)[0] == 413
    assert device.form("/sign-in", who="x" * 200_000)[0] == 413
    assert device.form("/sign-in", None, **{f"field{number}": "" for number in range(300)})[0] == 400
    with socket.create_connection((urlsplit(board.url).hostname, int(board.port)), timeout=10) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 40_000)
        assert endless.recv(12) == b"HTTP/1.1 400"
    assert device.ask("GET", "/sign-in")[0] == 200


def test_clients_that_say_nothing_starve_nobody(board: RunningBoard) -> None:
    where = (urlsplit(board.url).hostname or "", int(board.port))
    idle = [socket.create_connection(where) for _ in range(200)]
    for number, one in enumerate(idle):
        one.sendall(b"" if number % 2 else b"GET / HTTP/1.1\r\nHost: ")
    assert board.device("sam").ask("GET", "/sign-in")[0] == 200
    idle[0].settimeout(30)
    assert idle[0].recv(1) == b"", "who asks for nothing is hung up on"
    for one in idle:
        one.close()


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_with_tls_the_cookie_never_travels_open(broker: PrivateBroker, tmp_path: Path) -> None:
    certificate = broker.authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "board.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "board.pem")
    private = broker.authority.private_key_pem.bytes() + broker.authority.cert_pem.bytes()
    (tmp_path / "ca.pem").write_bytes(private)  # a careless file: its key must not get out
    serve = f'cert_file = "{tmp_path}/board.pem"\nkey_file = "{tmp_path}/board.key"\nhost = "0.0.0.0"'
    serve += f'\nca_file = "{tmp_path}/ca.pem"\nnames = ["localhost"]'
    board = RunningBoard(tmp_path, broker, serve=serve)
    board.url = f"https://localhost:{board.port}/"
    device = board.signed_in()
    assert device.cookie.startswith("__Host-stayby=")
    assert "secure" in device.set_cookie.lower()
    _, headers, _ = device.ask("GET", "/", accept="text/html")
    assert headers["strict-transport-security"] == "max-age=31536000"
    with pytest.raises((OSError, ValueError)):
        ask(f"http://localhost:{board.port}/", "GET", "/sign-in")
    handshakes_that_never_come_starve_nobody(board)
    assert device.sign_in("priya", "0000", x_forwarded_for="203.0.113.5") == 403
    until(lambda: "wrong PIN for priya from 127.0.0.1" in board.log() and "[serve] proxies" in board.log())
    a_phone_can_get_the_authority_that_it_must_trust(board, board.signed_in("sam"))
    assert board.program.end() == 0


def handshakes_that_never_come_starve_nobody(board: RunningBoard) -> None:
    """A minute each, which is what asyncio gives them, would be a minute of 500 open files."""
    began_s, files = time.monotonic(), Path(f"/proc/{board.program.process.pid}/fd")
    before = len(list(files.iterdir()))
    silent = [socket.create_connection(("127.0.0.1", int(board.port))) for _ in range(500)]
    until(lambda: len(list(files.iterdir())) >= before + 500)
    assert Browserless(board).ask("GET", "/sign-in")[0] == 200
    silent[-1].settimeout(30)
    assert silent[-1].recv(1) == b"", "who never shakes hands is hung up on"
    until(lambda: len(list(files.iterdir())) < before + 10)
    assert time.monotonic() - began_s < 50.0
    for one in silent:
        one.close()


def test_behind_a_proxy_each_device_counts_for_itself_and_the_cookie_never_travels_open(
    broker: PrivateBroker, tmp_path: Path
) -> None:
    board = RunningBoard(tmp_path, broker, serve='proxies = ["127.0.0.0/8"]\nnames = ["board.harbour.example"]')
    device = board.signed_in()
    assert device.cookie.startswith("__Host-stayby=")
    assert "secure" in device.set_cookie.lower()
    proxied = {"x_forwarded_for": "198.51.100.9, 203.0.113.5", "x_forwarded_proto": "https"}
    assert device.sign_in("priya", "0000", **proxied) == 403
    until(lambda: "wrong PIN for priya from 203.0.113.5" in board.log())
    assert "[serve] proxies" not in board.log()
    assert board.program.end() == 0


@pytest.mark.parametrize("limit", [3, 0])
def test_of_one_address_so_many_connections_are_open_and_no_more(limit: int) -> None:
    with Listener(socket.create_server(("127.0.0.1", 0)), lambda _: limit) as port:
        port.setblocking(False)
        clients = [socket.create_connection(port.getsockname()) for _ in range(limit + 2)]
        taken = [port.accept()[0] for _ in range(limit)]
        with pytest.raises(BlockingIOError):
            port.accept()
        assert [one.recv(1) for one in clients[limit:]] == [b"", b""]
        for one in taken:
            one.close()
            one.close()
        more = [socket.create_connection(port.getsockname()) for _ in range(limit)]
        again = [port.accept()[0] for _ in range(limit)]
    for one in (*clients, *more, *again):
        one.close()


def a_phone_can_get_the_authority_that_it_must_trust(board: RunningBoard, manager: Browserless) -> None:
    status, headers, der = Browserless(board).ask("GET", "/store-ca.crt")
    assert (status, headers["content-type"]) == (200, "application/x-x509-ca-cert")
    told = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256"], input=der, capture_output=True, check=True
    )  # fmt: skip
    fingerprint = told.stdout.decode().strip().partition("=")[2]
    ssl.create_default_context(cadata=der)
    assert b"PRIVATE" not in der
    page = Browserless(board).ask("GET", "/store-ca", accept="text/html")[2].decode()
    assert fingerprint in page.replace("<br>", "")
    assert 'action="/store-ca.crt"' in page
    done = CliRunner().invoke(store_app, ["invite", "sam", "--config", str(board.config)])
    link = done.stdout.strip()
    assert fingerprint in done.stderr
    assert f"{link.partition('/invite/')[0]}/store-ca\n" in done.stderr
    assert 'href="/store-ca"' in Browserless(board).ask("GET", f"/invite/{link.rpartition('/')[2]}")[2].decode()
    listed = manager.form("/manage/sessions", token=manager.token(), staff="sam", do="invite")[2].decode()
    assert listed.count("<svg") == 2
    assert fingerprint in listed.replace("<br>", "")


def test_an_invitation_in_a_terminal_shows_a_code_to_scan(board: RunningBoard) -> None:
    command = [sys.executable, "-m", "kiosk", "store", "invite", "sam", "--config", str(board.config)]
    screen, terminal = pty.openpty()
    with open(screen, "rb", buffering=0) as seen:  # noqa: PTH123 - a file descriptor
        subprocess.run(command, stdout=terminal, check=True)
        os.close(terminal)
        shown = seen.read(1 << 16).decode()
    assert shown.startswith("http://")
    assert "▀" in shown


def test_an_authority_that_is_not_there_is_said_and_the_board_serves_on(broker: PrivateBroker, tmp_path: Path) -> None:
    board = RunningBoard(tmp_path, broker, serve=f'ca_file = "{tmp_path}/none.pem"')
    says = f"[serve] ca_file {tmp_path}/none.pem: No such file or directory; put the authority's certificate there"
    until(lambda: says in board.log())
    assert Browserless(board).ask("GET", "/store-ca.crt")[0] == 404
    assert Browserless(board).ask("GET", "/sign-in")[0] == 200
    assert board.program.end() == 0


def test_the_names_in_the_log_are_no_secrets(board: RunningBoard) -> None:
    Browserless(board).sign_in("priya", "1111")
    board.signed_in("sam").ask("GET", "/", accept="text/html")
    until(lambda: "a wrong PIN for priya from 127.0.0.1" in board.log())
    log = board.log()
    assert not re.search(r"stayby=|invite/|scrypt\$", log)
    assert SAM.name not in log
