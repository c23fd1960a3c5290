"""Real parts around the relay for tests: its process, its store.toml, a webhook's receiver, a reader at the broker."""

import contextlib
import json
import os
import queue
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker
from kiosk.mqtt import Connected, MqttLink, Received
from tests.board_parts import PATIENCE_S, until
from tests.broker import STORE

SECRET = "whsec_" + "c3RheWJ5LXNlY3JldC1zdGF5Ynktc2VjcmV0"
PLACES = {"desk-3": "Service desk 3", "returns": "Returns desk"}


def sign_in(section: BrokerSection) -> str:
    """Return the lines of a table with which somebody signs in."""
    return f'cert_file = "{section.cert_file}"\nkey_file = "{section.key_file}"\n'


def store_toml(folder: Path, broker: PrivateBroker, ways: str, units: tuple[str, ...] = ("desk-3", "returns")) -> Path:
    """Write a store.toml with these secondary ways and return its path."""
    board, priya = broker.section_for_board(), broker.section_for_responder("priya")
    at = f'host = "{board.host}"\nport = {board.port}\nca_file = "{board.ca_file}"\n'
    parts = [
        f'[store]\nid = "{STORE}"\nname = "Harbour Stores"\n',
        f"[broker]\n{at}{sign_in(board)}",
        f'[relay]\nstate_dir = "{folder / "relay"}"\n{sign_in(broker.section_for_relay())}',
        f'[[staff]]\nid = "priya"\nname = "Priya"\nrole = "manager"\n{sign_in(priya)}',
        *(f'[[unit]]\nid = "{unit}"\nplace = "{PLACES[unit]}"\n' for unit in units),
        ways,
    ]
    path = folder / "store.toml"
    path.write_text("\n".join(parts))
    return path


class RelayRun:
    """`stayby relay` as its own process; it can be killed and started again."""

    def __init__(self, config: Path) -> None:
        self.config, self.log = config, config.with_suffix(".log")
        self.start()

    def start(self) -> None:
        code = "from kiosk.cli import app; app()"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "relay", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "STAYBY_SECRET": "not for programs"},
            )  # fmt: skip

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until its log says so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while words not in self.said():
            assert time.monotonic() < deadline_s, f"no {words!r} in:\n{self.said()[-3000:]}"
            assert self.process.poll() is None, self.said()[-3000:]
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def relay(config: Path) -> Iterator[RelayRun]:
    """Run the relay; it must never end by itself."""
    run = RelayRun(config)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.end(signal.SIGKILL)


class Receiver:
    """An HTTP server that keeps what is posted to it and answers what a test says: `answers` are used up first."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.answer: tuple[int, dict[str, str]] = (200, {})
        self.hold = threading.Event()
        self.hold.set()
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                keeper._post(self)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "https" if context else "http"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{self.scheme}://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        self.posts.append((handler.path, {key.lower(): value for key, value in handler.headers.items()}, body))
        code, headers = self.answers.pop(0) if self.answers else self.answer
        self.hold.wait(PATIENCE_S)
        with contextlib.suppress(OSError):  # whoever was killed in between hears no answer
            handler.send_response(code)
            for key, value in headers.items():
                handler.send_header(key, value)
            handler.send_header("content-length", "0")
            handler.end_headers()

    def bodies(self) -> list[dict[str, Any]]:
        """Return what was posted, as JSON."""
        return [json.loads(body) for _, _, body in self.posts]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many posts and return them all."""
        until(lambda: len(self.posts) >= count)
        return self.bodies()

    def close(self) -> None:
        """Stop serving."""
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Listener:
    """Somebody who signs in at the broker and keeps the newest message of each topic."""

    def __init__(self, section: BrokerSection, *topics: str) -> None:
        self.newest: dict[str, bytes] = {}
        self.connections = 0
        self.count: dict[str, int] = {}
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.link = MqttLink(section, "test-listener", topics, self._inbox.put, self._inbox.put)
        until(lambda: self.read().connections)

    def read(self) -> "Listener":
        """Take what came in."""
        while not self._inbox.empty():
            event = self._inbox.get()
            assert not isinstance(event, BaseException), event
            self.connections += isinstance(event, Connected)
            if isinstance(event, Received):
                self.newest[event.topic] = event.payload
                self.count[event.topic] = self.count.get(event.topic, 0) + 1
        return self

    def json(self, topic: str) -> dict[str, Any]:
        """Return the newest message of a topic, {} if there is none."""
        payload = self.read().newest.get(topic, b"")
        found: dict[str, Any] = json.loads(payload) if payload else {}
        return found

    def close(self) -> None:
        """Go."""
        self.link.close()
