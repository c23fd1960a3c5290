"""What every answer of the board carries, whom it is given, and how patient it is: headers, names, lengths, slow clients."""

import asyncio
import contextlib
import ipaddress
import mimetypes
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

STATIC = Path(__file__).parent / "static"
REQUEST_S = 10.0
"""A client gets this long to say what it wants."""
HEAD_LIMIT_BYTES = 16 * 1024
CONNECTIONS_MOST = 2000
CONNECTIONS_OF_ONE = 64
"""From one address that is not this machine's; a browser opens a handful."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer a browser hides from us which page a form came from
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), screen-wake-lock=(self)",
    "cache-control": "no-store",
}
ONLY_TLS = {"strict-transport-security": "max-age=31536000"}

mimetypes.add_type("application/manifest+json", ".webmanifest")
mimetypes.add_type("text/javascript", ".js")


def host_is_ours(host: str, names: Collection[str]) -> bool:
    """Return whether a Host header can mean this machine: no foreign name may be rebound to it.

    An address, this machine's own name, `localhost`, or one of the configured `names`.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    own = socket.gethostname().lower()
    if name in {"localhost", own, own.split(".", maxsplit=1)[0] + ".local", *(one.lower() for one in names)}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Turns away requests under a foreign name, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, names: Collection[str], *, tls: bool) -> None:
        self._app, self._names = app, names
        self._headers = {**HEADERS, **ONLY_TLS} if tls else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        app = self._app
        if scope["type"] == "http" and not host_is_ours(Request(scope).headers.get("host", ""), self._names):
            says = {"error": "Open the board by this machine's own name or address, or name it in [serve] names."}
            app = JSONResponse(says, HTTPStatus.MISDIRECTED_REQUEST)
        await app(scope, receive, send_with_headers)


def static_routes() -> list[Route]:
    """Return a route for each file of `static/` but the pages, whose right to be seen is looked at elsewhere."""
    files = sorted(one for one in STATIC.iterdir() if one.is_file() and one.suffix != ".html")
    return [Route(f"/{one.name}", _file(one)) for one in files]


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        return FileResponse(path)

    return endpoint


def wants_page(request: Request) -> bool:
    """Return whether a person reads the answer in a browser, and not a script."""
    return "text/html" in request.headers.get("accept", "")


# --- the server -------------------------------------------------------------------------------------------------------


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before we said goodbye to the broker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the board."""
        yield


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 for a client that says soon what it wants, and for so many connections of one address and no more."""

    open_of: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it when its address has too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._last_asked: object = None
        self._look_due = self.loop.call_later(REQUEST_S, self._look)
        self.open_of[self._address] += 1
        if self.open_of[self._address] > CONNECTIONS_OF_ONE and not is_this_machine(self._address):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._look_due.cancel()
        self.open_of[self._address] -= 1
        if not self.open_of[self._address]:
            del self.open_of[self._address]
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close a connection on which nothing is being answered, and nothing was asked since the last look."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and self.cycle is self._last_asked:
            self.transport.abort()
            return
        self._last_asked = self.cycle
        self._look_due = self.loop.call_later(REQUEST_S, self._look)


def is_this_machine(host: str) -> bool:
    """Return whether a host can only be reached from this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server(app: ASGIApp, *, cert_file: Path | None, key_file: Path | None) -> QuietServer:
    """Return the server of `app`, with TLS where there is a certificate."""
    return QuietServer(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws="none",
            ssl_certfile=cert_file,
            ssl_keyfile=key_file,
            ssl_keyfile_password="" if key_file else None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_LIMIT_BYTES,
            limit_concurrency=CONNECTIONS_MOST,
            timeout_graceful_shutdown=2,
        )
    )


async def at_most(seconds: float, waited: Awaitable[object]) -> None:
    """Wait for something, and no longer than `seconds`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waited, seconds)
