"""The demo's receiver of the relay's posts: checks each signature as Standard Webhooks (1.0) want it, and says it in one line."""

import contextlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from kiosk.relay.notice import plain
from kiosk.relay.webhook import secret_bytes, signature

PATH = "/stayby"
OLD_S = 300
BODY_MOST_BYTES = 64 * 1024
PATIENCE_S = 5.0
POLL_S = 0.1


class BadPost(ValueError):
    """What is no post of the relay; its text says why."""


def words(headers: dict[str, str], body: bytes, secret: str, now_s: float) -> str:
    """Return what a post says, in one line; raise `BadPost` for one that the relay did not sign just now."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now_s - int(timestamp)) > OLD_S:
        raise BadPost("it is not signed just now")
    expected = signature(secret_bytes(secret), message_id, int(timestamp), body)
    if not hmac.compare_digest(expected.encode(), headers.get("webhook-signature", "").encode()):
        raise BadPost("its signature is wrong")
    try:
        data = json.loads(body)["data"]
        lines = [data["title"], *(line for line in data["text"].splitlines() if line != data["notice"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadPost("it is none of the relay's") from None
    return plain(" ".join([f"{lines[0]}.", *lines[1:]]))


class Receiver:
    """A receiver on this machine; `told` gets one line for each post, on a thread of its own."""

    def __init__(self, secret: str, told: Callable[[str], None]) -> None:
        self._secret, self._told = secret, told
        self._known: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE_S

            def do_POST(self) -> None:
                with contextlib.suppress(OSError):  # whoever goes away before the answer sends it again
                    self.send_response(receiver.take(self))
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing of each request."""

        return Handler

    def take(self, request: BaseHTTPRequestHandler) -> HTTPStatus:
        """Take one post, and return what to answer; a post that was taken before is not said again."""
        length = request.headers.get("content-length", "")
        if request.path != PATH or not length.isdecimal() or int(length) > BODY_MOST_BYTES:
            return HTTPStatus.BAD_REQUEST
        headers = {key.lower(): value for key, value in request.headers.items()}
        try:
            says = words(headers, request.rfile.read(int(length)), self._secret, time.time())
        except BadPost as error:
            self._told(f"a post was refused: {error}")
            return HTTPStatus.BAD_REQUEST
        if headers["webhook-id"] not in self._known:
            self._known.add(headers["webhook-id"])
            self._told(says)
        return HTTPStatus.NO_CONTENT

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
