"""How long a certificate is valid, and to whom it is made out.

Rules
- PEM text in, times and names out; no clock and no file.
- Only the way to the fields Validity and Subject of RFC 5280 section 4.1 is walked; whether a certificate is sound is for
  OpenSSL to say.
"""

import binascii
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

VERSION, UTC_TIME, GENERALIZED_TIME = 0xA0, 0x17, 0x18
COMMON_NAME = b"\x55\x04\x03"
WIDE_TEXT = 0x1E
"""BMPString; the other kinds of text are UTF-8, or ASCII, which is the same."""


class BadCertificate(ValueError):
    """Bytes that are no X.509 certificate in DER."""


@dataclass(frozen=True)
class Validity:
    """From when to when a certificate is valid."""

    begins: datetime
    ends: datetime


def validities(pem: str) -> Iterator[Validity]:
    """Yield the validity of each certificate in PEM text; raise `BadCertificate` at one that is none."""
    for block in PEM.findall(pem):
        try:
            der = ssl.PEM_cert_to_DER_cert(block)
        except (ValueError, binascii.Error):
            raise BadCertificate("a certificate is not PEM") from None
        yield validity(der)


def common_name(pem: str) -> str | None:
    """Return the first common name of the first certificate in PEM text, None if it has none; raise `BadCertificate`."""
    for block in PEM.findall(pem)[:1]:
        try:
            subject = _fields(ssl.PEM_cert_to_DER_cert(block))[4]
            pairs = [_parts(pair) for _, group in _parts(subject) for _, pair in _parts(group)]
            names = [_text(*value) for (_, kind), value in pairs if kind == COMMON_NAME]
        except (ValueError, IndexError, binascii.Error):
            raise BadCertificate("a certificate is not DER") from None
        return names[0] if names else None
    raise BadCertificate("no certificate is there")


def _text(tag: int, value: bytes) -> str:
    return value.decode("utf-16-be" if tag == WIDE_TEXT else "utf-8", errors="replace")


def _fields(der: bytes) -> list[bytes]:
    """Return what a certificate holds after its version: serial number, signature, issuer, validity, subject."""
    (_, certificate), *_ = _parts(der)
    (_, to_be_signed), *_ = _parts(certificate)
    return [value for tag, value in _parts(to_be_signed) if tag != VERSION]


def validity(der: bytes) -> Validity:
    """Return the validity of one certificate in DER; raise `BadCertificate` if it is none."""
    try:
        begins, ends = (_time(tag, value) for tag, value in _parts(_fields(der)[3]))
    except (ValueError, IndexError):
        raise BadCertificate("a certificate is not DER") from None
    return Validity(begins, ends)


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element in a row of DER elements."""
    parts = []
    while der:
        length, start = der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        if len(der) < start + length:
            raise BadCertificate("an element is longer than what holds it")
        parts.append((der[0], der[start : start + length]))
        der = der[start + length :]
    return parts


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise BadCertificate("a time is missing")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
