"""A claim as it lies in its file: what anybody may read of it, and what is sealed.

Rules
- Pure: bytes in, a claim out; `kiosk.provision.seal` makes and opens it.
- Whatever bytes come (a web page of a captive portal, half a file, another version) are one line: what they are, what to do now.
- Nothing in the file chooses how much work opening it is.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from kiosk.messages import Id

SUFFIX = ".claim"
MOST_BYTES = 64 * 1024
CERTIFICATE_SUFFIX = ".pem"
PATH = "/claims"
"""Where a board hands out claims and renewed certificates: /claims/<unit> and /claims/<unit>/certificate."""
OTHER_VERSION = "is a claim of another version of Stayby; install the version that the store has"
CLOCK_SLACK = timedelta(days=1)
SALT_BYTES, NONCE_BYTES = 16, 12
SET_CLOCK = "sudo timedatectl set-time '2026-11-30 14:00' (the true time)"


class BadClaim(ValueError):
    """A claim that cannot be used; its text says why and what to do now, in one line."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Moment = Annotated[
    AwareDatetime, Field(strict=False, ge=datetime(2020, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))
]


class Open(_Record):
    """What anybody may read of a claim."""

    stayby_claim: Literal[1] = 1
    store: Id
    unit: Id
    made: Moment
    ends: Moment


class Sealed(_Record):
    """What only the code opens. `kiosk` is the unit's kiosk.toml, its three files named without a folder."""

    kiosk: str = Field(max_length=MOST_BYTES)
    ca: str = Field(max_length=MOST_BYTES)
    certificate: str = Field(max_length=MOST_BYTES)
    key: str = Field(max_length=MOST_BYTES, repr=False)


class Claim(Open):
    """A claim as it lies in its file."""

    salt: Annotated[Base64Bytes, Field(strict=False, min_length=SALT_BYTES, max_length=SALT_BYTES)]
    nonce: Annotated[Base64Bytes, Field(strict=False, min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    box: Annotated[Base64Bytes, Field(strict=False, max_length=MOST_BYTES)]


# --- reading ----------------------------------------------------------------------------------------------------------


def read(data: bytes) -> Claim:
    """Return the claim in the bytes of a file or an answer; raise `BadClaim` saying what they are instead."""
    if len(data) > MOST_BYTES:
        raise BadClaim("is too long for a claim; take the file that the store's manager made for this unit")
    start = data.lstrip()[:512].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise BadClaim(
            "is a web page and no claim: either this network wants somebody to sign in first (a captive portal), or the "
            "address is not the store's board; use the store's own network, or a USB stick"
        )
    try:
        return Claim.model_validate_json(data)
    except ValidationError:
        newer = isinstance(_version(data), int)
        says = OTHER_VERSION if newer else ("is no claim, or a damaged one; copy it again from the store's manager")
        raise BadClaim(says) from None


def _version(data: bytes) -> object:
    """Return which version of claims these bytes say they are, where it is not ours."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    version = found.get("stayby_claim") if isinstance(found, dict) else None
    return version if version != 1 else None


def check_dates(claim: Open, now: datetime) -> None:
    """Raise `BadClaim` when a claim does not hold now, and say so that a wrong clock is seen as well."""
    here = f"here it is {now.astimezone(UTC):%Y-%m-%d %H:%M}Z"
    if now < claim.made - CLOCK_SLACK:
        wrong = f"the claim was made on {claim.made:%Y-%m-%d}, and {here}: this clock is wrong"
        raise BadClaim(f"{wrong}; set it: {SET_CLOCK}")
    if now > claim.ends:
        wrong = f"the claim ended on {claim.ends:%Y-%m-%d}, and {here}"
        raise BadClaim(f"{wrong}; ask the store's manager for a new one, or if that date is wrong: {SET_CLOCK}")
