"""`stayby board`: the staff's web page, fed over server-sent events; one asyncio loop owns everything but the link's thread.

Each page gets the whole view at every change and once a second, so that a page is right after one event and its own silence
tells it that it is cut off. A page proves that it lives by `/alive`: a sleeping phone keeps its socket, but does not count as
listening.
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kiosk.board.station import AnswerRefused, Ask, Station
from kiosk.config import BoardConfig, ServeSection
from kiosk.messages import Record, one_line

STATIC = Path(__file__).parent / "static"
BODY_LIMIT_BYTES = 4096
PAGES_LIMIT = 64
TICK_S = 1.0
ALIVE_S = 15.0
RELOAD_S = 5.0

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

log = logging.getLogger("stayby.board")


class BoardError(OSError):
    """The board cannot run; its text is one line that says why and what to do."""


class Turned(Exception):
    """A request that is turned away, with the plain words that the page shows."""

    def __init__(self, status: HTTPStatus, says: str) -> None:
        super().__init__(says)
        self.status = status


class Seen(Record):
    """A page painted an alert."""

    incident: str


class Alive(Record):
    """A page's sign of life."""

    page: str


@dataclass(slots=True)
class Page:
    """One open browser page: when it last gave a sign of life, and since when its stream is gone."""

    alive_s: float
    left_s: float | None = None
    streams: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def shows(self, now_s: float) -> bool:
        """Return whether a person can be looking at it; a reload gets a moment of grace."""
        if self.left_s is not None:
            return now_s - self.left_s < RELOAD_S
        return now_s - self.alive_s < ALIVE_S


# --- who may ask ------------------------------------------------------------------------------------------------------


def host_is_ours(host: str, serve_host: str) -> bool:
    """Return whether a Host header can mean this machine: no foreign name may be rebound to it.

    An address, this machine's own name, `localhost`, or the configured host.
    """
    name = (urlsplit(f"//{host}").hostname or "").lower()
    own = socket.gethostname().lower()
    if name in {"localhost", serve_host.lower(), own, own.split(".", maxsplit=1)[0] + ".local"}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_foreign(request: Request) -> bool:
    """Return whether another site's page sent this request through the person's browser."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


async def _body(request: Request) -> bytes:
    if is_foreign(request):
        raise Turned(HTTPStatus.FORBIDDEN, "Answers are taken only from the board's own page.")
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise Turned(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise Turned(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is too long.")
    return body


def _turned(_: Request, error: Exception) -> Response:
    if isinstance(error, Turned):
        return JSONResponse({"error": str(error)}, error.status)
    if isinstance(error, ValidationError):
        return JSONResponse({"error": one_line(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
    return JSONResponse({"error": str(error)}, HTTPStatus.CONFLICT)


class Guard:
    """Turns away requests under a foreign name, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, serve_host: str) -> None:
        self._app, self._serve_host = app, serve_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        if scope["type"] == "http" and not host_is_ours(Request(scope).headers.get("host", ""), self._serve_host):
            says = {"error": "Open the board by this machine's own name or address."}
            app = JSONResponse(says, HTTPStatus.MISDIRECTED_REQUEST)
        await app(scope, receive, send_with_headers)


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        return FileResponse(STATIC / name, media_type=media_type)

    return endpoint


# --- the server -------------------------------------------------------------------------------------------------------


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before we said goodbye to the broker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the board."""
        yield


class Board:
    """The pages, the station, and the loop between them."""

    def __init__(self, config: BoardConfig) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._death: BaseException | None = None
        self._pages: dict[str, Page] = {}
        self._view_json = ""
        self._closing = False
        self.station = Station(config, "board", self._call_wake, self._call_death)
        self._server = QuietServer(self._uvicorn(config.serve))

    def _uvicorn(self, serve: ServeSection) -> uvicorn.Config:
        routes = [
            Route("/", _file("index.html", "text/html")),
            Route("/board.js", _file("board.js", "text/javascript")),
            Route("/board.css", _file("board.css", "text/css")),
            Route("/icon.svg", _file("icon.svg", "image/svg+xml")),
            Route("/events", self._events),
            Route("/health", self._health),
            Route("/reply", self._reply, methods=["POST"]),
            Route("/seen", self._seen, methods=["POST"]),
            Route("/alive", self._alive, methods=["POST"]),
        ]
        handlers = {Turned: _turned, ValidationError: _turned, AnswerRefused: _turned}
        app = Guard(Starlette(routes=routes, exception_handlers=handlers), serve.host)
        return uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)

    # --- from other threads -------------------------------------------------------------------------------------------

    def _call_wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to wake
            self._loop.call_soon_threadsafe(self._wake.set)

    def _call_death(self, error: BaseException) -> None:
        self._death = error
        self._call_wake()

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def serve(self, sock: socket.socket) -> None:
        """Serve until a signal, or until the link's thread dies (raises `BoardError`)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._stop)
        self._turn(time.monotonic())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._server.serve([sock]))
                group.create_task(self._pump())
        finally:
            await asyncio.to_thread(self.station.close)
        if self._death is not None:
            raise BoardError(f"the MQTT thread died ({self._death!r}); please report this") from self._death

    def _stop(self) -> None:
        self._closing = self._server.should_exit = True
        self._wake.set()

    async def _pump(self) -> None:
        while not self._closing:
            self._turn(time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_S)
            if self._death is not None:
                self._stop()
        for page in self._pages.values():
            page.changed.set()

    def _turn(self, now_s: float) -> None:
        self._wake.clear()
        self.station.take_inbox(now_s)
        self.station.tick(now_s)
        self._mind_pages(now_s)
        self._view_json = self.station.view(now_s).model_dump_json()
        for page in self._pages.values():
            page.changed.set()

    def _mind_pages(self, now_s: float) -> None:
        for name, page in list(self._pages.items()):
            if page.left_s is not None and now_s - page.left_s > RELOAD_S:
                del self._pages[name]
        self.station.listen(now_s, listening=any(page.shows(now_s) for page in self._pages.values()))

    # --- what pages ask -----------------------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        name = request.query_params.get("page", "")[:64]
        page = self._pages.get(name)
        if page is None:
            if len(self._pages) >= PAGES_LIMIT:
                raise Turned(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages are open on this board.")
            page = self._pages[name] = Page(alive_s=time.monotonic(), left_s=time.monotonic())
        return StreamingResponse(self._stream(page), media_type="text/event-stream")

    async def _stream(self, page: Page) -> AsyncIterator[str]:
        page.alive_s, page.left_s = time.monotonic(), None
        page.streams += 1
        self._wake.set()
        try:
            yield "retry: 500\n\n"
            while not self._closing:
                page.changed.clear()
                yield f"data: {self._view_json}\n\n"
                await page.changed.wait()
        finally:
            page.streams -= 1
            if page.streams == 0:
                page.left_s = time.monotonic()

    async def _reply(self, request: Request) -> Response:
        ask = Ask.model_validate_json(await _body(request))
        reply_id = self.station.answer(ask, time.monotonic())
        self._wake.set()
        return JSONResponse({"reply_id": reply_id}, HTTPStatus.ACCEPTED)

    async def _seen(self, request: Request) -> Response:
        seen = Seen.model_validate_json(await _body(request))
        self.station.seen(seen.incident, time.monotonic())
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _alive(self, request: Request) -> Response:
        alive = Alive.model_validate_json(await _body(request))
        page = self._pages.get(alive.page)
        if page is not None:
            page.alive_s = time.monotonic()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _health(self, _: Request) -> Response:
        view = self.station.view(time.monotonic())
        return JSONResponse(
            {
                "connected": view.connected,
                "down": view.down,
                "listening": self.station.listening,
                "pages": len(self._pages),
                "responder": self.station.me.id,
                "desks": view.desks,
                "alerts": [
                    {"incident": one.incident, "revision": one.revision, "state": one.state} for one in view.alerts
                ],
            }
        )


def _listen(serve: ServeSection) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
        return socket.create_server((serve.host, serve.port), family=family, backlog=128)
    except OSError as error:
        raise BoardError(
            f"[serve] {serve.host}:{serve.port}: {os.strerror(error.errno or 0)}; choose another host or port"
        ) from None


async def _run(config: BoardConfig, sock: socket.socket) -> None:
    await Board(config).serve(sock)


def run(config: BoardConfig) -> None:
    """Serve the board of one responder until SIGTERM or Ctrl-C; say where, in one line. Raises `BoardError`."""
    with _listen(config.serve) as sock:
        host, port = sock.getsockname()[:2]
        address = f"[{host}]" if ":" in host else host
        print(f"The board of {config.responder.name} is at http://{address}:{port}/", flush=True)
        asyncio.run(_run(config, sock))
