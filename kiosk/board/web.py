"""What every answer of the board carries, whom it is given, and how patient it is: headers, names, lengths, slow clients."""

import asyncio
import contextlib
import functools
import ipaddress
import logging
import mimetypes
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

STATIC = Path(__file__).parent / "static"
REQUEST_S = 10.0
"""A client gets this long to say what it wants, and as long for its TLS handshake."""
GOODBYE_S = 3.0
BACKLOG = 128
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
STRANGE_PROXY = (
    "requests come through a proxy that [serve] proxies does not name: wrong PINs of all its people count as one device's; "
    "name its address there, or take it away"
)
log = logging.getLogger("stayby.board")
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

    def __init__(self, app: ASGIApp, names: Collection[str], *, tls: bool, proxies: Sequence[str] = ()) -> None:
        believing: Any = ProxyHeadersMiddleware  # typed by asgiref's scopes, and not by starlette's
        self._app: ASGIApp = believing(app, trusted_hosts=list(proxies)) if proxies else app
        self._names, self._knows_proxies = names, bool(proxies)
        self._headers = {**HEADERS, **ONLY_TLS} if tls else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        app = self._app
        if not self._knows_proxies and scope["type"] == "http" and "x-forwarded-for" in Request(scope).headers:
            self._knows_proxies = True
            log.warning(STRANGE_PROXY)
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


class Listener(socket.socket):
    """The open port. Who has too many connections is closed at once, before TLS begins, as is everybody over the whole."""

    def __init__(self, opened: socket.socket, most_of: Callable[[str], int], most: int = CONNECTIONS_MOST) -> None:
        super().__init__(opened.family, opened.type, opened.proto, fileno=opened.detach())
        self._most_of, self._most = most_of, most
        self._open: Counter[str] = Counter()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection of somebody who may have one more; raise `BlockingIOError` when none is left."""
        for _ in range(BACKLOG):
            connection, peer = super().accept()
            if self._open[peer[0]] < self._most_of(peer[0]) and self._open.total() < self._most:
                self._open[peer[0]] += 1
                return Counted(connection, functools.partial(self._let_go, peer[0])), peer
            connection.close()
        raise BlockingIOError

    def _let_go(self, address: str) -> None:
        self._open[address] -= 1
        self._open += Counter()  # an address without a connection is forgotten


class Counted(socket.socket):
    """A connection that says when it is closed."""

    def __init__(self, connection: socket.socket, gone: Callable[[], None]) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._gone: Callable[[], None] | None = gone

    def close(self) -> None:
        """Close it."""
        super().close()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()


def most_of(proxies: Sequence[str], address: str) -> int:
    """Return how many connections an address may have."""
    many = is_this_machine(address) or any(
        ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in proxies
    )
    return CONNECTIONS_MOST if many else CONNECTIONS_OF_ONE


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before we said goodbye to the broker.

    A TLS handshake has `REQUEST_S`, and not asyncio's minute: a client that connects and says nothing holds a connection so long.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on the sockets handed in."""
        await super().startup([])
        config, loop = self.config, asyncio.get_running_loop()
        handshake_s, goodbye_s = (REQUEST_S, GOODBYE_S) if config.ssl else (None, None)

        def protocol() -> asyncio.Protocol:
            return ImpatientProtocol(config, self.server_state, self.lifespan.state)

        for one in sockets or []:
            server = await loop.create_server(
                protocol, sock=one, ssl=config.ssl, backlog=config.backlog,
                ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=goodbye_s,
            )  # fmt: skip
            self.servers.append(server)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the board."""
        yield


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 for a client that says soon what it wants."""

    def connection_made(self, transport: Any) -> None:
        """Take a connection."""
        super().connection_made(transport)
        self._last_asked: object = None
        self._look_due = self.loop.call_later(REQUEST_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._look_due.cancel()
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
