"""The pages of signing in: name and PIN on the store's device, an invitation on one's own phone, and the manager's list of both.

All are plain forms that work without a script. Looking at an invitation does not use it up: programs that show previews of links
look at them too.
"""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kiosk.board.accounts import Accounts, NotSignedIn
from kiosk.board.authority import PAGE, Authority
from kiosk.board.gate import Door, SignInFirst, Turned, fields
from kiosk.board.sessions import LASTS_S, Guesses, Kind, Session, Sessions
from kiosk.board.web import is_this_machine
from kiosk.config import ServeSection
from kiosk.messages import Id, Record

WHY: dict[str | None, str] = {
    "idle": "Nobody touched this screen for 15 minutes, so you were signed out.",
    "ended": "You were signed out on this device.",
    "out": "You are signed out.",
}
DEVICES = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows Phone", "Phone, Windows"),
    ("Android", "Tablet, Android"),
    ("Windows", "Computer, Windows"),
    ("CrOS", "Computer, Chromebook"),
    ("Macintosh", "Mac or iPad"),
    ("Linux", "Computer, Linux"),
)
"""An iPad may say that it is a Mac, and an Android phone says that it is mobile."""
BROWSERS = (
    ("SamsungBrowser", "Samsung Internet"),
    ("OPR/", "Opera"),
    ("Edg", "Edge"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""Of several that a browser names, the first here: most name others after themselves."""
DAY_S = 24 * 3600.0
WARN_S = 7 * DAY_S
INVITATION_GONE = "This invitation does not hold any more. It works once, within a day. Ask a manager for a new one."


class Device(Record):
    """A session as the manager sees it."""

    key: str
    words: str
    kind: str
    seen: str
    mine: bool


class Row(Record):
    """One of the staff as the manager sees them."""

    id: Id
    name: str
    manager: bool
    pin: bool
    devices: tuple[Device, ...]


def device_words(says: str) -> str:
    """Return what kind of device a browser says it is, in a few words; what it says may be anything."""
    device = next((name for word, name in DEVICES if word in says), "Another device")
    if device == "Tablet, Android" and "Mobile" in says:
        device = "Phone, Android"
    browser = next((name for word, name in BROWSERS if word in says), "another browser")
    return f"{device}, {browser}"


def ago(seconds: float) -> str:
    """Return how long ago something was, in plain words."""
    minutes = max(0, int(seconds)) // 60
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes >= size:
            count = minutes // size
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return "just now"


def ends_words(kind: Kind, left_s: float, *, manager: bool) -> str:
    """Return what somebody is told in the last week of a phone's session; "" before that."""
    if kind != "phone" or left_s > WARN_S:
        return ""
    days = int(left_s // DAY_S)
    until = f"for {days} more day{'s' * (days > 1)}" if days > 0 else "until today only"
    invite = "Go to “Who is signed in” and invite your own phone" if manager else "Ask a manager for a new invitation"
    return f"You are signed in on this phone {until}. Then no alert reaches it. {invite}, and open it on this phone."


def address_of(request: Request) -> str:
    """Return the address from which a request came."""
    return request.client.host if request.client is not None else "unknown"


def _code(link: str) -> Markup:
    return Markup(segno.make(link, error="m").svg_inline(scale=6, border=4, light="#fff") if link else "")  # noqa: S704 - segno's own SVG, of our own link


class SignIn:
    """The pages; `ended()` is called when sessions were ended, so that their streams close at once."""

    def __init__(
        self,
        door: Door,
        accounts: Accounts,
        sessions: Sessions,
        serve: ServeSection,
        ended: Callable[[], None],
        store_ca: Authority | None,
    ) -> None:
        self._door, self._accounts, self._sessions, self._ended = door, accounts, sessions, ended
        self._store_ca = store_ca
        self._name = serve.names[0] if serve.names else ""
        self._scheme = "https" if serve.tls else "http"

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/sign-in", self._ask_sign_in),
            Route("/sign-in", self._sign_in, methods=["POST"]),
            Route("/sign-out", self._ask_sign_out),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/invite/{code}", self._ask_invite),
            Route("/invite/{code}", self._take_invite, methods=["POST"]),
            Route("/manage/sessions", self._list),
            Route("/manage/sessions", self._change, methods=["POST"]),
        ]

    # --- on the store's device ----------------------------------------------------------------------------------------

    async def _ask_sign_in(self, request: Request) -> Response:
        return self._sign_in_page(request, request.query_params.get("who", ""))

    def _sign_in_page(
        self, request: Request, who: str, wrong: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        staff = self._accounts.with_pin()
        chosen = next((one for one in staff if one.id == who), None)
        secret = self._door.secret(request)
        over = self._sessions.why_ended(secret) if self._sessions.find(secret) is None else None
        why = WHY.get(request.query_params.get("why") or over, "")
        return self._door.html(request, "sign_in.html", staff=staff, chosen=chosen, wrong=wrong, why=why, status=status)

    async def _sign_in(self, request: Request) -> Response:
        found = await fields(request)
        who = found.get("who", "")
        try:
            staff = await self._accounts.try_pin(who, found.get("pin", ""), address_of(request))
        except NotSignedIn as error:
            return self._sign_in_page(request, who, str(error), HTTPStatus.FORBIDDEN)
        return self._begin(request, staff, "pin")

    def _begin(self, request: Request, staff: Id, kind: Kind) -> Response:
        """Sign somebody in under a new secret, whatever the browser came with; that one is over."""
        self._forget(request)
        device = request.headers.get("user-agent", "")
        secret = self._sessions.begin(
            staff, kind, mark=self._accounts.mark(staff), device=device, address=address_of(request)
        )
        return self._door.let_in(RedirectResponse("/", HTTPStatus.SEE_OTHER), secret, LASTS_S[kind])

    def _forget(self, request: Request) -> None:
        former = self._sessions.find(self._door.secret(request))
        if former is not None:
            self._sessions.end(former.digest)
            self._ended()

    async def _ask_sign_out(self, request: Request) -> Response:
        try:
            self._door.account(request)
        except SignInFirst:
            return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        return self._door.html(request, "sign_out.html")

    async def _sign_out(self, request: Request) -> Response:
        await self._door.form(request)
        self._forget(request)
        return self._door.let_out(RedirectResponse("/sign-in?why=out", HTTPStatus.SEE_OTHER))

    # --- on one's own phone -------------------------------------------------------------------------------------------

    async def _ask_invite(self, request: Request) -> Response:
        staff = self._sessions.invited(request.path_params["code"])
        if staff is None or staff not in self._accounts.staff:
            raise Turned(HTTPStatus.GONE, INVITATION_GONE)
        store_ca = PAGE if self._store_ca else ""
        return self._door.html(request, "invite.html", person=self._accounts.person(staff), store_ca=store_ca)

    async def _take_invite(self, request: Request) -> Response:
        await fields(request)
        staff = self._sessions.use_invitation(request.path_params["code"])
        if staff is None or staff not in self._accounts.staff:
            raise Turned(HTTPStatus.GONE, INVITATION_GONE)
        return self._begin(request, staff, "phone")

    # --- the manager's list -------------------------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        self._door.manager(request)
        return self._list_page(request)

    def _list_page(self, request: Request, link: str = "", person: str = "") -> Response:
        mine = self._door.session(request).digest
        rows = [self._row(staff, mine) for staff in self._accounts.staff]
        store_ca = f"{self._base(request)}{PAGE}" if self._store_ca else ""
        only_here = link != "" and is_this_machine(urlsplit(link).hostname or "")
        return self._door.html(
            request,
            "sessions.html",
            only_here=only_here,
            rows=sorted(rows, key=lambda row: (row.name.casefold(), row.id)),
            locks=[
                (one.what, self._lock_words(one))
                for one in self._sessions.guesses()
                if one.wait_s or one.what[:4] != "all:"
            ],
            link=link,
            person=person,
            code=_code(link),
            store_ca=store_ca,
            store_ca_code=_code(store_ca),
            fingerprint=self._store_ca.rows if self._store_ca else (),
        )

    def _row(self, staff: Id, mine: str) -> Row:
        one = self._accounts.staff[staff]
        devices = [
            self._device(session, mine)
            for session in self._sessions.all()
            if session.staff == staff and self._accounts.account(session) is not None
        ]
        manager = one.role == "manager"
        return Row(id=staff, name=one.name, manager=manager, pin=one.pin is not None, devices=tuple(devices))

    def _device(self, session: Session, mine: str) -> Device:
        kinds = {"pin": "by PIN", "phone": "by an invitation"}
        return Device(
            key=session.digest,
            words=device_words(session.device),
            kind=kinds[session.kind],
            seen=ago(self._sessions.age_s(session)),
            mine=session.digest == mine,
        )

    def _lock_words(self, one: Guesses) -> str:
        kind, _, name = one.what.partition(":")
        staff, _, address = name.partition("@")
        known = self._accounts.staff.get(staff)
        who = (
            f"for {known.name if known else 'a name that is not here'}" if kind != "from" else f"from the device {name}"
        )
        who += f" on the device {address}" if kind == "here" else ""
        times = f"{one.times} wrong PIN{'s' * (one.times > 1)} {who}"
        wait = f" No new try for {max(1, round(one.wait_s / 60))} min." if one.wait_s else ""
        return f"{times}.{wait}"

    async def _change(self, request: Request) -> Response:
        self._door.manager(request)
        found = await self._door.form(request)
        if found.get("do") == "forgive":
            self._sessions.forgive([found.get("what", "")])
            return RedirectResponse("/manage/sessions", HTTPStatus.SEE_OTHER)
        staff = found.get("staff", "")
        if staff not in self._accounts.staff:
            raise Turned(HTTPStatus.BAD_REQUEST, "Nobody of that name is among the staff.")
        match found.get("do"):
            case "invite":
                link = f"{self._base(request)}/invite/{self._sessions.invite(staff)}"
                return self._list_page(request, link, self._accounts.person(staff).name)
            case "end":
                self._end_one(found.get("key", ""), staff)
            case "end_all" if found.get("sure") != "yes":
                return self._ask_end_all(request, staff)
            case "end_all":
                self._sessions.end_all(staff)
                self._sessions.uninvite(staff)
            case _:
                raise Turned(HTTPStatus.BAD_REQUEST, "This form asks for something unknown.")
        self._sessions.make_sure()
        self._ended()
        return RedirectResponse("/manage/sessions", HTTPStatus.SEE_OTHER)

    def _ask_end_all(self, request: Request, staff: Id) -> Response:
        """Ask once: no alert reaches them after that."""
        name = self._accounts.person(staff).name
        says = f"No alert reaches {name} until they sign in again. An invitation that is not used yet is gone too."
        facts = {"says": says, "fields": {"staff": staff, "do": "end_all"}, "yes": f"Sign out {name} everywhere"}
        return self._door.html(request, "sure.html", ask=f"Sign out {name} everywhere?", **facts)

    def _end_one(self, key: str, staff: Id) -> None:
        session = self._sessions.look(key)
        if session is not None and session.staff == staff:
            self._sessions.end(key)

    def _base(self, request: Request) -> str:
        """Return the address that a phone can open: the configured name, else the one that the manager uses."""
        port = f":{request.url.port}" if request.url.port is not None else ""
        return f"{self._scheme}://{self._name}{port}" if self._name else str(request.base_url).rstrip("/")
