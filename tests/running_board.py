"""The board's process for tests, and what asks it: bare HTTP, and phones in Chromium."""

import json
import shutil
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from kiosk.board.sessions import invite
from kiosk.demo.broker import PrivateBroker
from tests.board_parts import PATIENCE_S, Desk, Program, desk, store_toml, until
from tests.broker import private_broker

PHONE = {"width": 390, "height": 760}
CONNECT_S = 10.0
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium; skip the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        one = playwright.chromium.launch(executable_path=found, args=options)
        yield one
        one.close()


def ask(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    ca_file: Path | None = None,
) -> Answer:
    """Return status, headers (names in small letters) and body of one request."""
    where = urlsplit(url)
    connection: HTTPConnection
    if where.scheme == "https":
        trust = ssl.create_default_context(cafile=ca_file)
        connection = HTTPSConnection(where.hostname or "", where.port, timeout=10, context=trust)
    else:
        connection = HTTPConnection(where.hostname or "", where.port, timeout=10)
    with closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()


class Browserless:
    """One device without a browser: it keeps its cookie, sends forms and JSON, and reads what comes back."""

    def __init__(self, board: "RunningBoard", cookie: str = "") -> None:
        self.board, self.cookie, self.set_cookie = board, cookie, ""

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask with the cookie, and take the one that comes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        cookie = {"cookie": self.cookie} if self.cookie else {}
        answer = ask(self.board.url, method, path, body, {**cookie, **named}, self.board.ca_file)
        if "set-cookie" in answer[1]:
            self.set_cookie = answer[1]["set-cookie"]
            self.cookie = self.set_cookie.split(";")[0]
        return answer

    def send(self, path: str, body: object, **headers: str) -> tuple[int, str]:
        """Post JSON; return the status and what the answer says, the error's words if it is one."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = self.ask("POST", path, data, **{"content_type": "application/json", **headers})
        return status, json.loads(answer)["error"] if status >= 400 else answer.decode()

    def form(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        """Post a form."""
        kind = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html"}
        return self.ask("POST", path, urlencode(fields).encode(), **{**kind, **(headers or {})})

    def token(self, path: str = "/sign-out") -> str:
        """Return what a form of this session carries."""
        page = self.ask("GET", path)[2].decode()
        return page.partition('name="token" value="')[2].partition('"')[0]

    def sign_in(self, who: str, pin: str, **headers: str) -> int:
        """Try a PIN; return the status."""
        return self.form("/sign-in", headers, who=who, pin=pin)[0]


class Stream:
    """An open page without a browser: reads the views that the board sends until it ends them."""

    def __init__(self, device: Browserless, page: str = "test-page") -> None:
        parts = urlsplit(device.board.url)
        self.views: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
        self._connection.request("GET", f"/events?page={page}", headers={"cookie": device.cookie})
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._answer:
                if line.startswith(b"data: {"):
                    self.views.append(json.loads(line.removeprefix(b"data: ")))
        except (OSError, ValueError):  # closed, by the board or by `close`
            pass
        self.ended.set()

    def wait(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the newest view once the condition holds for it."""
        return until(lambda: self.views[-1] if self.views and condition(self.views[-1]) else None)

    def close(self) -> None:
        """Close it, as a page that is left."""
        sock = self._connection.sock or getattr(self._answer.fp, "raw", None)
        if sock is not None:
            with suppress(OSError):
                getattr(sock, "_sock", sock).shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._connection.close()
        self._answer.close()


@contextmanager
def stream(device: Browserless, page: str = "test-page") -> Iterator[Stream]:
    """Open a page without a browser."""
    one = Stream(device, page)
    try:
        yield one
    finally:
        one.close()


class RunningBoard:
    """The board's process and its address, the same after a restart."""

    def __init__(self, folder: Path, broker: PrivateBroker, *more: str, **options: str) -> None:
        self.folder, self.ca_file = folder, broker.folder / "ca.pem"
        self.config = store_toml(folder, broker, *more, **options)
        self._log = folder / "board.log"
        self.start("0")
        self._known: dict[str, Browserless] = {}

    def start(self, port: str) -> None:
        """Start it on a port."""
        self.program = Program("board", self.config, self._log, "--port", port)
        self.url = self.program.first_line().split()[-1]

    def restart(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it, start it again on the same port, and return the exit code of the one that ended."""
        code = self.program.end(number)
        self.start(self.port)
        return code

    @property
    def port(self) -> str:
        """Its port."""
        return self.url.rstrip("/").rsplit(":", 1)[-1]

    def invitation(self, who: str = "priya") -> str:
        """Return the address of an invitation."""
        return f"{self.url}invite/{invite(self.folder / 'board-state', who)}"

    def signed_in(self, who: str = "priya") -> Browserless:
        """Return a new device on which somebody is signed in."""
        device = Browserless(self)
        status, _, _ = device.form(urlsplit(self.invitation(who)).path)
        assert status == 303
        return device

    def device(self, who: str = "priya") -> Browserless:
        """Return one device of somebody, the same each time."""
        if who not in self._known:
            self._known[who] = self.signed_in(who)
        return self._known[who]

    def health(self, who: str = "priya") -> dict[str, Any]:
        """Return how it is for somebody."""
        health: dict[str, Any] = json.loads(self.device(who).ask("GET", "/health")[2])
        return health

    def log(self) -> str:
        """Return what it logged."""
        return self._log.read_text()

    def open(self, browser: Browser, who: str = "priya", **options: Any) -> Page:
        """Open the board on a phone of its own, signed in; it may not be connected yet."""
        page = browser.new_page(viewport=PHONE, **options)
        self.enter(page, who)
        return page

    def enter(self, page: Page, who: str = "priya") -> None:
        """Sign somebody in on an open page."""
        page.goto(self.invitation(who))
        page.locator("#let-me-in").click()
        expect(page.locator("#bar")).to_be_attached()


def connected(page: Page) -> None:
    """Wait until a page is connected."""
    expect(page.locator("body:not(.down)")).to_be_attached(timeout=CONNECT_S * 1000)


# --- what a module of tests shares: import it, and name it in `__all__` -----------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module."""
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """One broker of a store for a module."""
    with private_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningBoard]:
    """The one board of a module; a test that ends it starts it again."""
    running = RunningBoard(tmp_path_factory.mktemp("board"), broker)
    yield running
    running.program.close()


@pytest.fixture
def unit(broker: PrivateBroker) -> Iterator[Desk]:
    """A desk at that broker."""
    with desk(broker) as one:
        yield one
