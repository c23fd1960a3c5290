"""The store's own authority, offered to phones and computers that must trust the board's page: `/store-ca`, `/store-ca.crt`.

Only the first certificate of [serve] ca_file is read, and goes out in DER: a key that lies in the same file never does, and the
file's SHA-256 is the certificate's fingerprint. Nobody signs in for it: it is public, and needed before anybody can.
"""

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kiosk.board.gate import Door
from kiosk.certificates import PEM, BadCertificate, common_name
from kiosk.config import ServeSection

PAGE, FILE = "/store-ca", "/store-ca.crt"
MEDIA_TYPE = "application/x-x509-ca-cert"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate of an authority, in DER, and to whom it is made out."""

    der: bytes
    name: str

    @property
    def fingerprint(self) -> str:
        """Its SHA-256 as phones and computers show it: 32 pairs with colons."""
        return hashlib.sha256(self.der).digest().hex(":").upper()

    @property
    def rows(self) -> tuple[str, ...]:
        """The fingerprint in four rows of eight pairs, for eyes that compare."""
        return tuple(self.fingerprint[start : start + 23] for start in range(0, 95, 24))


def parse(pem: str) -> Authority:
    """Return the first certificate of PEM text; raise `BadCertificate` when there is none."""
    block = PEM.search(pem)
    if block is None:
        raise BadCertificate("no certificate is there")
    try:
        return Authority(ssl.PEM_cert_to_DER_cert(block.group()), common_name(pem) or "")
    except ValueError:
        raise BadCertificate("a certificate is not PEM") from None


def offered(serve: ServeSection, say: Callable[[str], None]) -> Authority | None:
    """Return what is offered, None without [serve] ca_file; one that cannot be read is said, and is no reason to stop."""
    if serve.ca_file is None:
        return None
    try:
        return parse(serve.ca_file.read_text("ascii", errors="replace"))
    except (OSError, BadCertificate) as error:
        why = error.strerror if isinstance(error, OSError) else error
        say(
            f"[serve] ca_file {serve.ca_file}: {why}; put the authority's certificate there (until then phones get none)"
        )
        return None


def routes(authority: Authority | None, door: Door) -> list[Route]:
    """Return the page that says how to trust it, and the certificate itself; none without one."""
    if authority is None:
        return []

    async def page(request: Request) -> Response:
        return door.html(request, "store_ca.html", authority=authority, file=FILE)

    async def file(_: Request) -> Response:
        return Response(authority.der, media_type=MEDIA_TYPE)

    return [Route(PAGE, page), Route(FILE, file)]
