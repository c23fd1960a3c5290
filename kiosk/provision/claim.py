"""A claim: all that one unit needs to belong to its store, in one file that only its short code opens.

The file is JSON: what anybody may know (store, unit, from when and until when) stands open, so that a stick with many claims can
be sorted and an old one refused; the rest is sealed. The key comes from the code by scrypt (128 MiB, RFC 7914) and seals by
ChaCha20-Poly1305 (RFC 8439) with the open part as associated data: whoever finds the file can neither read it nor change a word
of it, and a guess at the code's 60 bits costs half a second of a core. Nothing in the file chooses how much work opening it is.
"""

import base64
import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from kiosk.messages import Id
from kiosk.provision.code import BITS, code_of, number_of

SUFFIX = ".claim"
MOST_BYTES = 64 * 1024
LASTS = timedelta(days=14)
CLOCK_SLACK = timedelta(days=1)
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 17, 8, 1
SET_CLOCK = "sudo timedatectl set-time '2026-11-30 14:00' (the true time)"


class BadClaim(ValueError):
    """A claim that cannot be used; its text says why and what to do now, in one line."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Open(_Record):
    """What anybody may read of a claim."""

    stayby_claim: Literal[1] = 1
    store: Id
    unit: Id
    made: Annotated[AwareDatetime, Field(strict=False)]
    ends: Annotated[AwareDatetime, Field(strict=False)]


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


def new_code() -> str:
    """Return a code that was never given."""
    while True:
        code = code_of(secrets.randbits(BITS))
        if code is not None:
            return code


def seal(store: str, unit: str, sealed: Sealed, code: str, now: datetime, lasts: timedelta = LASTS) -> bytes:
    """Return the file of a claim that holds from `now` on; only `code` opens it."""
    made = now.astimezone(UTC).replace(microsecond=0)
    facts = Open(store=store, unit=unit, made=made, ends=made + lasts)
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    box = ChaCha20Poly1305(_key(code, salt)).encrypt(nonce, sealed.model_dump_json().encode(), _said(facts))
    parts = {name: base64.b64encode(value).decode() for name, value in (("salt", salt), ("nonce", nonce), ("box", box))}
    return json.dumps({**facts.model_dump(mode="json"), **parts}, indent=1).encode() + b"\n"


def _key(code: str, salt: bytes) -> bytes:
    number = number_of(code).to_bytes(8, "big")
    return Scrypt(salt=salt, length=KEY_BYTES, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive(number)


def _said(facts: Open) -> bytes:
    """Return the open part as one row of bytes, however its file spells it."""
    moments = (moment.astimezone(UTC).isoformat() for moment in (facts.made, facts.ends))
    return "\n".join(["stayby claim", "1", facts.store, facts.unit, *moments]).encode()


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
        says = (
            "is a claim of another version of Stayby; install the version that the store has"
            if newer
            else ("is no claim, or a damaged one; copy it again from the store's manager")
        )
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


def open_with(claim: Claim, code: str) -> Sealed:
    """Return what a claim holds; raise `BadCode` or `BadClaim`. Takes half a second and 128 MiB."""
    try:
        plain = ChaCha20Poly1305(_key(code, claim.salt)).decrypt(claim.nonce, claim.box, _said(claim))
    except InvalidTag:
        wrong = f"this code does not open the claim of {claim.unit!r}"
        raise BadClaim(f"{wrong}; take the code from the paper of this very claim, or have a new claim made") from None
    try:
        return Sealed.model_validate_json(plain)
    except ValidationError:
        raise BadClaim("is a claim of another version of Stayby; install the version that the store has") from None
