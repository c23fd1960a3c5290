"""Updates of the units: `/updates/<architecture>` is what the store offers now, `/updates/<package>` the package itself.

Nobody signs in for them: a package is no secret, and a unit takes only what its own store's authority signed. They lie in [store]
updates_dir, where the manager's `stayby store update` puts them; nothing else in that folder is handed out, and nothing listed.
"""

import asyncio
import logging
from http import HTTPStatus
from pathlib import Path
from typing import get_args

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from kiosk.board.gate import Turned
from kiosk.update.offer import FILE_NAME, MOST_BYTES, PACKAGE, PATH, SUFFIX, Architecture, BadOffer, parse

log = logging.getLogger("stayby.board")

NONE = "There is no update here."
UNREADABLE = "The board cannot read its updates. Tell a technician: its log says why."
PACKAGE_TYPE = "application/vnd.debian.binary-package"


def routes(folder: Path) -> list[Route]:
    """Return what hands out the updates in `folder`."""

    async def answer(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name in get_args(Architecture):
            return Response(await asyncio.to_thread(newest, folder, name), media_type="application/json")
        if not FILE_NAME.fullmatch(name) or not await asyncio.to_thread(_both, folder / name):
            raise Turned(HTTPStatus.NOT_FOUND, NONE)
        return FileResponse(folder / name, media_type=PACKAGE_TYPE)

    return [Route(f"{PATH}/{{name}}", answer)]


def _both(package: Path) -> bool:
    return package.is_file() and package.with_name(f"{package.name}{SUFFIX}").is_file()


def newest(folder: Path, architecture: str) -> bytes:
    """Return the signed file of what was offered last for an architecture; raise `Turned`."""
    found = []
    for file in sorted(folder.glob(f"{PACKAGE}_*_{architecture}.deb{SUFFIX}")):
        try:
            with file.open("rb") as opened:
                data = opened.read(MOST_BYTES + 1)
            found.append((parse(data)[1].signed_at, data))
        except OSError as error:
            log.error("%s: %s; make it readable for the group stayby", file, error.strerror)
            raise Turned(HTTPStatus.SERVICE_UNAVAILABLE, UNREADABLE) from None
        except BadOffer as error:
            log.error("%s %s", file, error)
    if not found:
        raise Turned(HTTPStatus.NOT_FOUND, NONE)
    return max(found)[1]
