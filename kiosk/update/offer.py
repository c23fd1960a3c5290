"""What a store says of an update: the small signed file beside a package, written and read.

A key that lives for one signature signs it, and the store's authority signs that key's certificate, for updates alone: the
certificate of a unit, of one of the staff or of a server signs no update. The certificate's dates are not looked at: a unit's
clock may be wrong, and an update that is old by date is refused by its version.
"""

import re
from typing import Annotated, Any, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from kiosk.messages import Id, Record, one_line
from kiosk.signatures import NotGenuine, canonical, is_of, name_of, signer

PATH = "/updates"
SUFFIX = ".signed"
PACKAGE = "stayby"
MOST_BYTES = 16 * 1024
SIZE_MOST = 2 * 1024**3
VERSION = r"[0-9][0-9A-Za-z.+~]*(-[0-9A-Za-z.+~]+)*"
FILE_NAME = re.compile(rf"{PACKAGE}_(?P<version>{VERSION})_(?P<architecture>amd64|arm64)\.deb")

Architecture = Literal["amd64", "arm64"]


class BadOffer(ValueError):
    """An update that is not taken; its text says what is wrong, and what to do now."""


class Offer(Record):
    """One package that a store wants on its units."""

    v: Literal[1] = 1
    package: Literal["stayby"] = "stayby"
    version: Annotated[str, StringConstraints(pattern=rf"^{VERSION}$", max_length=60)]
    architecture: Architecture
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: int = Field(gt=0, le=SIZE_MOST)
    store: Id
    signed_at: AwareDatetime

    @property
    def file_name(self) -> str:
        """The name of the package's file."""
        return f"{PACKAGE}_{self.version}_{self.architecture}.deb"


class SignedOffer(Record):
    """The file: the offer, its signature, and the certificate of the key that made it."""

    offer: dict[str, Any]
    signature: str
    certificate: str


def update_user(store: str) -> str:
    """Return to whom the certificate of a signer of updates is made out."""
    return f"update-{store}"


def parse(data: bytes) -> tuple[SignedOffer, Offer]:
    """Return the file and the offer in it, its signature not looked at; raise `BadOffer`."""
    if len(data) > MOST_BYTES:
        raise BadOffer(f"is longer than {MOST_BYTES // 1024} KiB: no signature of an update; copy it again")
    try:
        signed = SignedOffer.model_validate_json(data)
        return signed, Offer.model_validate(signed.offer)
    except ValidationError as error:
        raise BadOffer(f"is no signature of an update ({one_line(error)}); copy it again") from None


def verify(data: bytes, authority: bytes, store: str) -> Offer:
    """Return what the authority (PEM) of this store offers in a signed file; raise `BadOffer`."""
    signed, offer = parse(data)
    if authority.count(b"BEGIN CERTIFICATE") != 1:
        raise BadOffer("[broker] ca_file holds more than the store's own authority: who signs updates is not clear")
    try:
        certificate = signer(signed.certificate, signed.signature, canonical(signed.offer))
    except NotGenuine as error:
        raise BadOffer(f"is not genuine: {error}; have the manager sign it again: stayby store update") from None
    if not is_of(certificate, authority) or offer.store != store:
        raise BadOffer(f"is signed by another store ({offer.store}); this unit is of {store}: take this store's own")
    if name_of(certificate) != update_user(store) or not _signs_updates(certificate):
        raise BadOffer("is signed with a certificate that is not for updates; tell the store's manager: somebody tries")
    return offer


def _signs_updates(certificate: x509.Certificate) -> bool:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return list(uses) == [ExtendedKeyUsageOID.CODE_SIGNING]
