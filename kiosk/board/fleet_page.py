"""The board's page of all units, for managers, and the figures for a monitoring system: both from one look at the fleet."""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kiosk.board.fleet import Bundle, FleetView
from kiosk.board.gate import Gate, Turned
from kiosk.board.metrics import CONTENT_TYPE, metrics
from kiosk.board.report import zone_of
from kiosk.config import ServeSection
from kiosk.messages import Record
from kiosk.store_config import StoreConfig

LOOK_EVERY_S = 1.0
ROWS_MOST = 500
"""Rows on one page: who has more units in trouble than that looks at the first of them."""


class ShownBundle(Record):
    """A bundle as it stands on the page; `left_out` counts the rows for which there is no room."""

    bundle: Bundle
    left_out: int


def routes(look: Callable[[], FleetView], store: StoreConfig, gate: Gate) -> list[Route]:
    """Return the routes of the page, and that of the figures where the store lets somebody read them."""
    pages = Pages(look, zone_of(store.store.zone), gate, store.serve)
    figures = store.serve.metrics_token is not None or bool(store.serve.metrics_from)
    return [Route("/fleet", pages.fleet), *([Route("/metrics", pages.metrics)] if figures else [])]


class Pages:
    """See the module. Of several who look within a second, one look is for all."""

    def __init__(self, look: Callable[[], FleetView], zone: tzinfo | None, gate: Gate, serve: ServeSection) -> None:
        self._look, self._zone, self._gate, self._serve = look, zone, gate, serve
        self._lock = asyncio.Lock()
        self._view: FleetView | None = None
        self._due_s = 0.0

    async def _seen(self) -> FleetView:
        async with self._lock:
            if self._view is None or time.monotonic() >= self._due_s:
                self._view = await asyncio.to_thread(self._look)
                self._due_s = time.monotonic() + LOOK_EVERY_S
            return self._view

    async def fleet(self, request: Request) -> Response:
        """Every unit, the worst first."""
        self._gate.manager(request)
        view = await self._seen()
        now = datetime.now(self._zone)
        return self._gate.html(request, "fleet.html", view=view, parts=shown(view), at=f"{now:%H:%M:%S}")

    async def metrics(self, request: Request) -> Response:
        """The figures, for whoever the store lets read them."""
        host = request.client.host if request.client else ""
        if not may_read(self._serve, host, request.headers.get("authorization", "")):
            raise Turned(HTTPStatus.FORBIDDEN, "Not from here, or without the token of [serve] metrics_token.")
        body = await asyncio.to_thread(metrics, await self._seen())
        return Response(body, media_type=CONTENT_TYPE)


def may_read(serve: ServeSection, host: str, authorization: str) -> bool:
    """Return whether somebody at this address, with this header, may read the figures: what the store asks for, all of it."""
    token = serve.metrics_token
    if token is None and not serve.metrics_from:
        return False
    wanted = f"Bearer {token.get_secret_value()}" if token else ""
    knows = token is None or hmac.compare_digest(authorization.encode(), wanted.encode())
    return knows and (not serve.metrics_from or any(_is_in(host, one) for one in serve.metrics_from))


def _is_in(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network)
    except ValueError:
        return False


def shown(view: FleetView) -> list[tuple[str, str, int, list[ShownBundle]]]:
    """Return kind, title, number of units and bundles of each part, with as many rows as a page has room for."""
    room = ROWS_MOST
    found: list[tuple[str, str, int, list[ShownBundle]]] = []
    for part in view.parts:
        bundles: list[ShownBundle] = []
        for one in part.bundles:
            rows = one.rows[:room]
            room -= len(rows)
            left_out = len(one.rows) - len(rows)
            if rows or one.what:
                bundles.append(ShownBundle(bundle=one.model_copy(update={"rows": rows}), left_out=left_out))
        found.append((part.kind, part.title, part.units, bundles))
    return found
