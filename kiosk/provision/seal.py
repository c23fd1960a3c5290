"""Makes a claim and opens it: all that one unit needs to belong to its store, in one file that only its short code opens.

What anybody may know (store, unit, from when and until when) stands open, so that a stick with many claims can be sorted and an
old one refused; the rest is sealed. The key comes from the code by scrypt (128 MiB, RFC 7914) and seals by ChaCha20-Poly1305
(RFC 8439) with the open part as associated data: whoever finds the file can neither read it nor change a word of it, and a guess
at the code's 60 bits costs most of a second of a core.
"""

import base64
import json
import os
import secrets
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import ValidationError

from kiosk.provision.claim import NONCE_BYTES, OTHER_VERSION, SALT_BYTES, BadClaim, Claim, Open, Sealed
from kiosk.provision.code import BITS, code_of, number_of

LASTS = timedelta(days=14)
KEY_BYTES = 32
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 17, 8, 1


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
        raise BadClaim(OTHER_VERSION) from None
