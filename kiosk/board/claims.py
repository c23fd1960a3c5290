"""The claims of units that are to join, and renewed certificates: `/claims/<unit>`, `/claims/<unit>/certificate`.

Nobody signs in for them: a claim opens by its code only, and a certificate is public. Both lie in [store] claims_dir, where the
manager's `stayby store add-unit` and `stayby store renew` put them; a claim that has ended is not handed out.
"""

import asyncio
import logging
import re
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kiosk.board import web
from kiosk.board.gate import Door, Turned
from kiosk.messages import ID_PATTERN
from kiosk.provision.claim import CERTIFICATE_SUFFIX, MOST_BYTES, PATH, SUFFIX, BadClaim, read

log = logging.getLogger("stayby.board")

NO_CLAIM = (
    "There is no claim for this unit here. Ask the store’s manager to make one and to put it on the board’s machine."
)
ENDED = "The claim of this unit has ended. Ask the store’s manager for a new one."
NO_CERTIFICATE = "There is no renewed certificate for this unit."
UNREADABLE = "The board cannot read this file. Tell a technician: its log says why."


def routes(folder: Path, door: Door) -> list[Route]:
    """Return what hands out the claims and certificates in `folder`."""

    async def claim(request: Request) -> Response:
        unit = _unit(request, NO_CLAIM)
        data = await asyncio.to_thread(_claim, folder / f"{unit}{SUFFIX}")
        if web.wants_page(request):
            return door.html(request, "claim.html", unit=unit, host=request.url.netloc)
        return Response(data, media_type="application/json", headers={"cache-control": "no-store"})

    async def file(request: Request) -> Response:
        unit = _unit(request, NO_CLAIM)
        data = await asyncio.to_thread(_claim, folder / f"{unit}{SUFFIX}")
        name = f'attachment; filename="{unit}{SUFFIX}"'
        headers = {"cache-control": "no-store", "content-disposition": name}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def certificate(request: Request) -> Response:
        path = folder / f"{_unit(request, NO_CERTIFICATE)}{CERTIFICATE_SUFFIX}"
        return Response(await asyncio.to_thread(_bytes, path, NO_CERTIFICATE), media_type="application/x-pem-file")

    return [
        Route(f"{PATH}/{{unit}}/file", file),
        Route(f"{PATH}/{{unit}}/certificate", certificate),
        Route(f"{PATH}/{{unit}}", claim),
    ]


def _unit(request: Request, else_says: str) -> str:
    """Return the unit of an address; what is no id names no file either."""
    unit = str(request.path_params["unit"])
    if not re.fullmatch(ID_PATTERN, unit):
        raise Turned(HTTPStatus.NOT_FOUND, else_says)
    return unit


def _claim(path: Path) -> bytes:
    data = _bytes(path, NO_CLAIM)
    try:
        ends = read(data).ends
    except BadClaim as error:
        log.error("%s %s", path, error)
        raise Turned(HTTPStatus.SERVICE_UNAVAILABLE, UNREADABLE) from None
    if ends < datetime.now(UTC):
        raise Turned(HTTPStatus.GONE, ENDED)
    return data


def _bytes(path: Path, else_says: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except FileNotFoundError:
        raise Turned(HTTPStatus.NOT_FOUND, else_says) from None
    except OSError as error:
        log.error("%s: %s; make it readable for the group stayby", path, error.strerror)
        raise Turned(HTTPStatus.SERVICE_UNAVAILABLE, UNREADABLE) from None
