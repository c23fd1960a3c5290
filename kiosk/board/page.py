"""`stayby board`: the staff's web pages of a whole store, in one process; one asyncio loop owns all but the links' threads.

Each page gets the whole view of its person at every change and once a second, so that a page is right after one event and its own
silence tells it that it is cut off. A page proves that it lives by `/alive`: a sleeping phone keeps its socket, but does not
count as listening. Whose answer it is says the session alone, never what a page sends.
"""

import asyncio
import contextlib
import fcntl
import functools
import json
import logging
import os
import resource
import signal
import socket
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from kiosk.board import authority, claims, fleet_page, handover, manage, updates, web
from kiosk.board.accounts import AccountFault, Accounts, board_config
from kiosk.board.crew import Crew, Page, TooManyPages
from kiosk.board.fault_words import ENDS, FORGETS, STILL, UNWRITTEN, FaultView
from kiosk.board.gate import Door, SignInFirst, Turned, json_body
from kiosk.board.recorder import Recorder, open_records
from kiosk.board.replies import HOLD_S
from kiosk.board.sessions import Session, Sessions
from kiosk.board.sign_in import SignIn, ends_words
from kiosk.board.station import AnswerRefused, Ask, Station
from kiosk.certificate_age import ending
from kiosk.config import ServeSection
from kiosk.duty import Part
from kiosk.messages import Record, one_line
from kiosk.notify import how_it_is, watchdog
from kiosk.store_config import StoreConfig
from kiosk.store_notes import certificates

LOCK = "board.lock"
TICK_S, TICK_MOST_S = 1.0, 3.0
"""A page that hears nothing for 5 s says that it is cut off."""
FLOOD_S = 0.1
REST_MOST_S = 0.25
IDLE_S = 15 * 60.0
IDLE_LOOK_S = 5.0
CERTIFICATES_EVERY_S = 3600.0
RIVAL_S = 300.0
RIVAL = FaultView(
    what="Another board of this store runs elsewhere.",
    do="Tell a technician: stop one of them. Each knows only its own sign-ins, and their records have gaps.",
)

log = logging.getLogger("stayby.board")


class BoardError(OSError):
    """The board cannot run; its text is one line that says why and what to do."""


class Seen(Record):
    """A page painted an alert."""

    incident: str


class Alive(Record):
    """A page's sign of life: whether somebody touched it since the last one, and whether it can be seen or heard there."""

    page: str
    touched: bool = False
    reaches: bool = True


class Break(Record):
    """Somebody goes on break, or comes back."""

    on: bool


class Board:
    """The pages, the crew, and the loop between them."""

    def __init__(self, store: StoreConfig, *, idle_s: float = IDLE_S) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._death: BaseException | None = None
        self._closing = False
        self._ended = False
        self._idle_s, self._idle_due_s = idle_s, 0.0
        self._certificates, self._certificates_due_s = certificates(store), 0.0
        self._touched_s: dict[str, float] = {}
        self._faults: dict[str, FaultView] = {}
        self._watchdog = watchdog(time.monotonic)
        self.sessions = Sessions(store.store.state_dir, self._memory_fault)
        self.accounts = Accounts(store, self.sessions)
        self.crew = Crew(store, self._wake.set, self._call_death)
        self.records = open_records(store, log.error)
        self.recorder = Recorder(store, self.records, self._recorder_died)
        tls = store.serve.tls
        self.door = Door(self.sessions, self.accounts.account, self._touch, store_name=store.store.name, secure=tls)
        app = web.Guard(self._app(store), {store.serve.host, *store.serve.names}, tls=tls, proxies=store.serve.proxies)
        self._server = web.server(app, cert_file=store.serve.cert_file, key_file=store.serve.key_file)

    def _app(self, store: StoreConfig) -> Starlette:
        store_ca = authority.offered(store.serve, log.warning)
        sign_in = SignIn(self.door, self.accounts, self.sessions, store.serve, self._end_sessions, store_ca)
        routes = [
            Route("/", self._board),
            *web.static_routes(),
            Route("/events", self._events),
            Route("/health", self._health),
            Route("/handover/{incident}", self._handover),
            Route("/reply", self._reply, methods=["POST"]),
            Route("/seen", self._seen, methods=["POST"]),
            Route("/alive", self._alive, methods=["POST"]),
            Route("/break", self._break, methods=["POST"]),
            *sign_in.routes(),
            *authority.routes(store_ca, self.door),
            *claims.routes(store.store.claims_dir, self.door),
            *updates.routes(store.store.updates_dir),
            *manage.routes(self.records, store, self.door, self.crew.start_drill),
            *fleet_page.routes(self.recorder.fleet, store, self.door),
        ]
        kinds = (
            Turned,
            SignInFirst,
            ValidationError,
            AnswerRefused,
            AccountFault,
            TooManyPages,
            sqlite3.Error,
            HTTPException,
        )
        return Starlette(routes=routes, exception_handlers=dict.fromkeys(kinds, self._turn_away))

    # --- what is turned away ------------------------------------------------------------------------------------------

    async def _turn_away(self, request: Request, error: Exception) -> Response:
        """Answer in plain words: a page for a person, JSON for a page's script."""
        if isinstance(error, SignInFirst):
            return self._sign_in_first(request)
        status, says = _words(error)
        if isinstance(error, sqlite3.Error):
            log.error("the board's memory: %s", error)
        if web.wants_page(request):
            return self.door.html(request, "turned.html", says=says, status=status)
        return JSONResponse({"error": says}, status)

    def _sign_in_first(self, request: Request) -> Response:
        if not web.wants_page(request):
            return JSONResponse({"error": "Sign in first."}, HTTPStatus.UNAUTHORIZED)
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            # a link on another site: the browser kept the cookie back, and sends it once our own page asks
            return self.door.html(request, "again.html")
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)

    # --- from other threads -------------------------------------------------------------------------------------------

    def _call_death(self, error: BaseException) -> None:
        self._death = error
        self._loop.call_soon_threadsafe(self._wake.set)

    def _recorder_died(self, error: BaseException) -> None:
        """Go on without: who answers must not fall because nobody writes it down."""
        log.error("the recorder died (%r); please report this", error)
        says = FaultView(what=UNWRITTEN, do=STILL, more=(f"The recorder died ({error!r}). Restart stayby-board.",))
        self._loop.call_soon_threadsafe(self._take_fault, "recorder", says)

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def serve(self, sock: socket.socket) -> None:
        """Serve until a signal, or until a link's thread dies (raises `BoardError`)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._stop)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._server.serve([sock]))
                group.create_task(self._pump())
        finally:
            self._watchdog.stopping()
            await self.crew.close()
            await asyncio.to_thread(self.recorder.close)
            self.records.close()
            self.sessions.close()
        if self._death is not None:
            raise BoardError(f"an MQTT thread died ({self._death!r}); please report this") from self._death

    def _memory_fault(self, says: str) -> None:
        log.error("%s", says)
        self._take_fault("memory", FaultView(what=FORGETS, do=STILL, more=(f"{says}.",)))

    def _take_fault(self, key: str, fault: FaultView) -> None:
        self._faults[key] = fault

    def _mind_rival(self, now_s: float) -> None:
        since_s = self.recorder.rival_s
        if since_s is not None and now_s - since_s < RIVAL_S:
            self._faults["rival"] = RIVAL
        else:
            self._faults.pop("rival", None)

    def _stop(self) -> None:
        self._closing = self._server.should_exit = True
        self._wake.set()

    async def _pump(self) -> None:
        """Turn everybody once a second, and at once whom something happened to; in a flood less often, so that all is served."""
        turn_s, gap_s = 0.0, 0.0
        while not self._closing:
            self._wake.clear()
            now_s, before_s = time.monotonic(), time.thread_time()
            if whole := self._ended or now_s - turn_s >= gap_s:
                turn_s = now_s
                await self._turn(now_s)
            else:
                await self.crew.take_news(now_s)
            took_s = time.thread_time() - before_s
            gap_s = min(TICK_MOST_S, max(TICK_S, 4 * took_s)) if whole else gap_s
            if took_s > FLOOD_S:
                await asyncio.sleep(min(took_s, TICK_S))
            await web.at_most(max(0.0, turn_s + gap_s - time.monotonic()), self._wake.wait())
            if self._death is not None:
                self._stop()
        self.crew.hurry_pages()

    async def _turn(self, now_s: float) -> None:
        self._ended = False
        self._end_idle(now_s)
        self._mind_rival(now_s)
        self._look_at_certificates(now_s)
        self.crew.end_sessions(self._still_in)
        self.crew.faults = tuple(self._faults.values())
        await self.crew.turn(now_s)
        self._watchdog.look(self._duty(), how_it_is(self._faults))

    def _duty(self) -> list[Part]:
        """Return what must be so for the board to be on duty: the link of each who has it open. This loop itself feeds."""
        stations = [one.station for one in self.crew.members.values() if one.station is not None]
        return [
            Part(f"no turn of the link of {one.me.id}", one.link.turned_s, shown=not one.connected) for one in stations
        ]

    def _look_at_certificates(self, now_s: float) -> None:
        """Tell a month ahead what certificate of the board or of the staff ends."""
        if now_s < self._certificates_due_s:
            return
        self._certificates_due_s = now_s + CERTIFICATES_EVERY_S
        found = [f"{path} ends on {ends:%Y-%m-%d}." for path, ends in ending(self._certificates, datetime.now(UTC))]
        if found:
            more = (
                *found,
                "The store's manager runs `stayby store renew` and copies board/ again; then restart stayby-board.",
            )
            self._take_fault("certificates", FaultView(what=ENDS, do=STILL, more=more))

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _still_in(self, key: str) -> bool:
        session = self.sessions.look(key)
        return session is not None and self.accounts.account(session) is not None

    def _end_sessions(self) -> None:
        """Sessions were ended: look at once whose pages must close."""
        self._ended, self._idle_due_s = True, 0.0
        self._wake.set()

    def _touch(self, session: Session) -> None:
        self._touched_s[session.digest] = time.monotonic()

    def _end_idle(self, now_s: float) -> None:
        """Sign out who has not touched the store's device for a while; nobody on the way, at a desk, or alone listening.

        One at a look, the longest untouched first: whoever listens alone then is seen to at the next.
        """
        if now_s < self._idle_due_s:
            return
        self._idle_due_s = now_s + min(IDLE_LOOK_S, self._idle_s / 4)
        busy = self.crew.sessions_that_go()
        sessions = self.sessions.all()
        self.crew.end_breaks({one.staff for one in sessions if self.accounts.account(one) is not None}, now_s)
        by_pin = {one.digest: one.staff for one in sessions if one.kind == "pin"}
        self._touched_s = {key: self._touched_s.get(key, now_s) for key in by_pin}
        idle = [key for key, at_s in self._touched_s.items() if now_s - at_s > self._idle_s and key not in busy]
        if idle:
            key = min(idle, key=self._touched_s.__getitem__)
            log.info("%s did not touch the store's device for a while: signed out", by_pin[key])
            self.sessions.end(key, "idle")

    # --- what pages ask -----------------------------------------------------------------------------------------------

    async def _board(self, request: Request) -> Response:
        session = self.door.session(request)
        board_config(self._store, self.accounts.staff[session.staff])  # whom no alert can reach is told so, in words
        self._touch(session)
        return FileResponse(web.STATIC / "index.html", media_type="text/html")

    async def _events(self, request: Request) -> Response:
        session = self.door.session(request)
        name = request.query_params.get("page", "")[:64]
        page = await self.crew.open_page(session.staff, name, session.digest, time.monotonic())
        return StreamingResponse(self._stream(page, session), media_type="text/event-stream")

    async def _stream(self, page: Page, session: Session) -> AsyncIterator[str]:
        member = self.crew.members[session.staff]
        page.alive_s, page.left_s = time.monotonic(), None
        page.streams += 1
        member.turn(page.alive_s)
        told, manager = "", member.staff.role == "manager"
        try:
            yield "retry: 500\n\n"
            while not self._closing and not page.ended:
                page.changed.clear()
                if (says := ends_words(session.kind, self.sessions.left_s(session), manager=manager)) != told:
                    told = says
                    yield f"event: session\ndata: {json.dumps(says)}\n\n"
                yield f"data: {member.view_json}\n\n"
                await page.changed.wait()
        finally:
            page.streams -= 1
            if page.streams == 0:
                page.left_s = time.monotonic()

    def _station(self, session: Session) -> Station:
        station = self.crew.members[session.staff].station
        if station is None:
            raise AnswerRefused("Open the board first.")
        return station

    async def _reply(self, request: Request) -> Response:
        session = self.door.session(request)
        ask = Ask.model_validate_json(await json_body(request))
        reply_id = self._station(session).answer(ask, time.monotonic(), hold_s=HOLD_S)
        self._touch(session)
        self.crew.members[session.staff].turn(time.monotonic())
        return JSONResponse({"reply_id": reply_id}, HTTPStatus.ACCEPTED)

    async def _seen(self, request: Request) -> Response:
        session = self.door.session(request)
        seen = Seen.model_validate_json(await json_body(request))
        self._station(session).seen(seen.incident, time.monotonic())
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _alive(self, request: Request) -> Response:
        session = self.door.session(request)
        alive = Alive.model_validate_json(await json_body(request))
        page = self.crew.members[session.staff].pages.get(alive.page)
        if page is not None and page.session == session.digest:
            page.alive_s, page.reaches = time.monotonic(), alive.reaches
        if alive.touched:
            self._touch(session)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _break(self, request: Request) -> Response:
        session = self.door.session(request)
        asked = Break.model_validate_json(await json_body(request))
        self._touch(session)
        self.crew.take_break(session.staff, on=asked.on, now_s=time.monotonic())
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _handover(self, request: Request) -> Response:
        model = self._station(self.door.session(request)).model
        return handover.respond(request, self.door, model, time.monotonic(), self.crew.now())

    async def _health(self, request: Request) -> Response:
        """Say that the board runs, and to who is signed in how it is for them."""
        try:
            session = self.door.session(request)
        except SignInFirst:
            return JSONResponse({"board": "ok"})
        member = self.crew.members[session.staff]
        health: dict[str, Any] = {"board": "ok", "responder": session.staff, "pages": len(member.pages), "alerts": []}
        if member.station is not None:
            view = member.station.view(time.monotonic())
            alerts = [{"incident": one.incident, "revision": one.revision, "state": one.state} for one in view.alerts]
            says = {"connected": view.connected, "down": view.down, "desks": view.desks, "alerts": alerts}
            health |= {"listening": member.station.listening, **says}
        return JSONResponse(health)


FIXED_WORDS: dict[type[Exception], tuple[HTTPStatus, str]] = {
    TooManyPages: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many pages are open. Close some, here or on your other devices.",
    ),
    sqlite3.Error: (HTTPStatus.SERVICE_UNAVAILABLE, "The board cannot write its memory. Try again, or tell a manager."),
}


def _words(error: Exception) -> tuple[HTTPStatus, str]:
    """Return status and plain words of what is turned away."""
    match error:
        case Turned():
            return error.status, str(error)
        case ValidationError():
            return HTTPStatus.UNPROCESSABLE_ENTITY, one_line(error)
        case HTTPException():
            missing = error.status_code == HTTPStatus.NOT_FOUND
            return HTTPStatus(error.status_code), "There is no such page." if missing else error.detail
    said = HTTPStatus.CONFLICT if isinstance(error, AnswerRefused) else HTTPStatus.SERVICE_UNAVAILABLE
    return next((one for kind, one in FIXED_WORDS.items() if isinstance(error, kind)), (said, str(error)))


# --- starting ---------------------------------------------------------------------------------------------------------


def _listen(serve: ServeSection) -> web.Listener:
    """Return the open port; raise `BoardError` when there cannot be one, or strangers could listen to it."""
    if serve.cert_file is None and not web.is_this_machine(serve.host):
        wrong = f"[serve] host {serve.host}: without TLS the board is served to this machine only"
        raise BoardError(f'{wrong}; set cert_file and key_file in [serve], or host = "127.0.0.1"')
    try:
        family = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
        opened = socket.create_server((serve.host, serve.port), family=family, backlog=web.BACKLOG)
        return web.Listener(opened, functools.partial(web.most_of, serve.proxies))
    except OSError as error:
        raise BoardError(
            f"[serve] {serve.host}:{serve.port}: {os.strerror(error.errno or 0)}; choose another host or port"
        ) from None


def _check_certificate(serve: ServeSection) -> None:
    if serve.cert_file is None or serve.key_file is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(serve.cert_file, serve.key_file, password="")
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or getattr(error, "reason", "") or str(error)
        raise BoardError(
            f"[serve] cert_file {serve.cert_file} and key_file {serve.key_file}: {why}; "
            "both must be there in PEM form, made together, the key without a passphrase"
        ) from None


def _make_room() -> None:
    """Let this process hold as many connections as the machine allows: some clients open many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say_who_is_left_out(store: StoreConfig) -> None:
    for one in store.staff:
        try:
            board_config(store, one)
        except AccountFault as fault:
            log.warning("%s", fault)


async def _run(store: StoreConfig, sock: socket.socket) -> None:
    await Board(store).serve(sock)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process alone; raise `BoardError` when another board has it.

    A folder that cannot be written is said by the memory itself, and the board runs without.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = stack.enter_context((folder / LOCK).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wrong = f"[store] state_dir {folder}: another board runs with this folder"
            raise BoardError(f"{wrong}; use that one, or stop it (systemctl stop stayby-board)") from None
        except OSError as error:
            log.warning("%s: %s; a second board over this folder would not be noticed", folder / LOCK, error.strerror)
        yield


def run(store: StoreConfig) -> None:
    """Serve the board of a store until SIGTERM or Ctrl-C; say where, in one line. Raises `BoardError`."""
    _check_certificate(store.serve)
    _make_room()
    _say_who_is_left_out(store)
    with _alone(store.store.state_dir), _listen(store.serve) as sock:
        host, port = sock.getsockname()[:2]
        address = f"[{host}]" if ":" in host else host
        scheme = "https" if store.serve.cert_file is not None else "http"
        print(f"The board of {store.store.name} is at {scheme}://{address}:{port}/", flush=True)
        try:
            asyncio.run(_run(store, sock))
        except AccountFault as fault:
            raise BoardError(str(fault)) from None
