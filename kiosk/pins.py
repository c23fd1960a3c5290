"""How a PIN is kept: never itself, but what scrypt makes of it, in one line that stands in `store.toml`.

Rules
- `scrypt$n$r$p$salt$digest`, salt and digest in URL-safe base64; the cost stands in the line, so that it can grow.
- A PIN is 4 to 12 digits of any script, and kept as the plain ones. What everybody tries first is none: 7777, 1234, 9876.
"""

import base64
import binascii
import hashlib
import hmac
import itertools
import secrets
import unicodedata

LEAST_DIGITS, MOST_DIGITS = 4, 12
COST, BLOCK, LANES = 2**14, 8, 1
COST_MOST, BLOCK_MOST, LANES_MOST = 2**17, 16, 4
SALT_BYTES = DIGEST_BYTES = 32
MEMORY_BYTES = 512 * 1024 * 1024


class PinError(ValueError):
    """No PIN, or nothing that was made of one; its text is one line that says what to do."""


def digits(pin: str) -> str:
    """Return a PIN as plain digits; raise `PinError` when it is none."""
    plain = "".join(str(unicodedata.digit(char, "")) for char in pin if not char.isspace())
    if len(plain) != len("".join(pin.split())) or not LEAST_DIGITS <= len(plain) <= MOST_DIGITS:
        raise PinError(f"a PIN is {LEAST_DIGITS} to {MOST_DIGITS} digits and nothing else; choose another")
    return plain


def new_digits(pin: str) -> str:
    """Return a PIN that somebody chooses as plain digits; raise `PinError` when it is none, or one that anybody tries first."""
    plain = digits(pin)
    steps = {(int(after) - int(before)) % 10 for before, after in itertools.pairwise(plain)}
    if steps == {0}:
        raise PinError("that is one digit again and again, which anybody tries first; choose another")
    if steps in ({1}, {9}):
        raise PinError("those are digits in a row, which anybody tries first; choose another")
    return plain


def store_pin(pin: str) -> str:
    """Return what `store.toml` keeps of a PIN; raise `PinError` when it is none, or one that anybody tries first."""
    salt = secrets.token_bytes(SALT_BYTES)
    made = _scrypt(new_digits(pin), salt, COST, BLOCK, LANES)
    return f"scrypt${COST}${BLOCK}${LANES}${_text(salt)}${_text(made)}"


def pin_fits(pin: str, stored: str) -> bool:
    """Return whether this is the PIN of which `stored` was made; raise `PinError` when `stored` is broken."""
    cost, block, lanes, salt, kept = _parts(stored)
    try:
        plain = digits(pin)
    except PinError:
        plain = ""  # as dear to look at as a PIN
    return hmac.compare_digest(_scrypt(plain, salt, cost, block, lanes), kept) and plain != ""


def check_stored(stored: str) -> None:
    """Raise `PinError` when a line was not made by `store_pin`."""
    _parts(stored)


def _parts(stored: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        name, cost, block, lanes, salt, kept = stored.split("$")
        numbers = int(cost), int(block), int(lanes)
        blobs = base64.urlsafe_b64decode(salt), base64.urlsafe_b64decode(kept)
    except (ValueError, binascii.Error):
        raise PinError("this is not what `stayby store pin` prints; run it again and copy the whole line") from None
    if name != "scrypt" or not _cost_is_bearable(*numbers) or len(blobs[1]) != DIGEST_BYTES:
        raise PinError("this is not what `stayby store pin` prints; run it again and copy the whole line")
    return *numbers, *blobs


def _cost_is_bearable(cost: int, block: int, lanes: int) -> bool:
    power_of_two = cost & (cost - 1) == 0
    return power_of_two and 2 <= cost <= COST_MOST and 1 <= block <= BLOCK_MOST and 1 <= lanes <= LANES_MOST  # noqa: PLR2004 - scrypt's own least


def _scrypt(plain: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(plain.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=MEMORY_BYTES, dklen=DIGEST_BYTES)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
