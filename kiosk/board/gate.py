"""What the board's pages may ask of whoever let a person in: who it is, and whether a form came from our own page."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from kiosk.board.sessions import Session, Sessions
from kiosk.messages import Person

TEMPLATES = Path(__file__).parent / "templates"
JSON_LIMIT_BYTES = 4096
FORM_LIMIT_BYTES = 64 * 1024
BODY_S = 10.0
FIELDS_MOST = 200
MANAGER_PAGES = (("/manage", "Manager"), ("/manage/sessions", "Who is signed in"))


@dataclass(frozen=True)
class Account:
    """A person who is signed in."""

    person: Person
    manager: bool = False


class Gate(Protocol):
    """The one door of the board. What may not be is raised, and answered in plain words."""

    def account(self, request: Request) -> Account:
        """Return who is signed in; who is not is sent to sign in."""

    def manager(self, request: Request) -> Account:
        """Return the manager who is signed in; anybody else is turned away."""

    async def form(self, request: Request) -> Mapping[str, str]:
        """Return the fields of a form that a signed-in person sent from one of our own pages; else turned away."""

    def html(self, request: Request, template: str, **facts: Any) -> Response:
        """Return a page made from `templates/`, with who is signed in, and all that every page carries."""


class Turned(Exception):
    """A request that is turned away, with the plain words that the page shows."""

    def __init__(self, status: HTTPStatus, says: str) -> None:
        super().__init__(says)
        self.status = status


class SignInFirst(Exception):
    """Nobody is signed in on this device."""


# --- what came --------------------------------------------------------------------------------------------------------


def is_foreign(request: Request) -> bool:
    """Return whether another site's page sent this request through the person's browser."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


async def body(request: Request, media_type: str, limit_bytes: int) -> bytes:
    """Return a request's body; raise `Turned` when it is another site's, too long, too slow, or of another kind."""
    if is_foreign(request):
        raise Turned(HTTPStatus.FORBIDDEN, "Answers are taken only from the board's own page.")
    if request.headers.get("content-type", "").split(";")[0].strip() != media_type:
        raise Turned(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {media_type}.")
    found = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                found += chunk
                if len(found) > limit_bytes:
                    raise Turned(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is too long.")
    except TimeoutError:
        raise Turned(HTTPStatus.REQUEST_TIMEOUT, "That took too long. Try again.") from None
    except ClientDisconnect:
        raise Turned(HTTPStatus.BAD_REQUEST, "The rest of it never came.") from None
    return found


async def json_body(request: Request) -> bytes:
    """Return the body of a request that our own page's script sent."""
    return await body(request, "application/json", JSON_LIMIT_BYTES)


async def fields(request: Request) -> dict[str, str]:
    """Return the fields of a form from one of our own pages; who sent it is not looked at here."""
    raw = await body(request, "application/x-www-form-urlencoded", FORM_LIMIT_BYTES)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=FIELDS_MOST, errors="strict")
    except ValueError:
        raise Turned(HTTPStatus.BAD_REQUEST, "This form cannot be read.") from None
    return dict(pairs)


def form_token(secret: str) -> str:
    """Return what a form of this session carries: nobody else can know it."""
    return hmac.new(secret.encode(), b"stayby form", hashlib.sha256).hexdigest()


# --- the door ---------------------------------------------------------------------------------------------------------


def environment() -> Environment:
    """Return what makes pages: every fact is escaped, and one that is missing is an error."""
    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


class Door:
    """The `Gate`: sessions by cookie. `account_of` says whose session it is; `touched` hears of each touch of a person."""

    def __init__(
        self,
        sessions: Sessions,
        account_of: Callable[[Session], Account | None],
        touched: Callable[[Session], None],
        *,
        store_name: str,
        secure: bool,
    ) -> None:
        self._sessions, self._account_of, self._touched = sessions, account_of, touched
        self._store_name, self._secure = store_name, secure
        self._pages = environment()
        self.cookie = "__Host-stayby" if secure else "stayby"

    # --- who it is ----------------------------------------------------------------------------------------------------

    def secret(self, request: Request) -> str:
        """Return what this browser shows; "" when nothing."""
        return request.cookies.get(self.cookie, "")

    def session(self, request: Request) -> Session:
        """Return the session of this browser; raise `SignInFirst` when there is none that holds."""
        session = self._sessions.find(self.secret(request))
        if session is None or self._account_of(session) is None:
            raise SignInFirst
        return session

    def account(self, request: Request) -> Account:
        """Return who is signed in; raise `SignInFirst`."""
        account = self._account_of(self.session(request))
        if account is None:
            raise SignInFirst
        return account

    def manager(self, request: Request) -> Account:
        """Return the manager who is signed in; raise `SignInFirst` or `Turned`."""
        account = self.account(request)
        if not account.manager:
            raise Turned(HTTPStatus.FORBIDDEN, "This page is for managers. Ask one of them.")
        return account

    async def form(self, request: Request) -> Mapping[str, str]:
        """Return the fields of a form that a signed-in person sent from one of our own pages; raise what turns it away."""
        session = self.session(request)
        found = await fields(request)
        if not hmac.compare_digest(found.pop("token", "").encode(), form_token(self.secret(request)).encode()):
            raise Turned(HTTPStatus.FORBIDDEN, "This form is too old. Open the page again and repeat it.")
        self._touched(session)
        return found

    # --- what goes out ------------------------------------------------------------------------------------------------

    def html(self, request: Request, template: str, **facts: Any) -> Response:
        """Return a page. Beside `facts` it knows `account` (None: nobody is signed in), `store_name` and `form_token`."""
        try:
            account: Account | None = self.account(request)
        except SignInFirst:
            account = None
        token = form_token(self.secret(request)) if account is not None else ""
        hidden = Markup('<input type="hidden" name="token" value="{}">').format(token)
        status = facts.pop("status", HTTPStatus.OK)
        everywhere = {
            "account": account,
            "store_name": self._store_name,
            "form_token": hidden,
            "manager_pages": MANAGER_PAGES,
        }
        page = self._pages.get_template(template).render({**everywhere, "path": request.url.path, **facts})
        return HTMLResponse(page, status)

    def let_in(self, answer: Response, secret: str, lasts_s: float) -> Response:
        """Give a browser the secret of its new session."""
        answer.set_cookie(
            self.cookie, secret, max_age=int(lasts_s), path="/", secure=self._secure, httponly=True, samesite="strict"
        )
        return answer

    def let_out(self, answer: Response) -> Response:
        """Take the secret away from a browser."""
        answer.delete_cookie(self.cookie, path="/", secure=self._secure, httponly=True, samesite="strict")
        return answer
