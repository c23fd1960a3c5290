"""One way to sign what is written, and to look at a signature: of commissioning certificates and of updates.

The signature is over the canonical JSON (sorted keys, no blanks, UTF-8), by SHA-256; the certificate of the key comes with it.
"""

import base64
import binascii
import json
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

COULD_NOT = (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error)


class NotGenuine(ValueError):
    """What is signed does not hold; its text says why."""


def canonical(body: dict[str, Any]) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def signature_of(key: PrivateKeyTypes, text: bytes) -> str:
    """Return the signature of a text, as base64; raise `ValueError` for a key that cannot sign."""
    match key:
        case ec.EllipticCurvePrivateKey():
            made = key.sign(text, ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPrivateKey():
            made = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        case ed25519.Ed25519PrivateKey():
            made = key.sign(text)
        case _:
            raise ValueError("a key of a kind that cannot sign")
    return base64.b64encode(made).decode()


def signer(certificate: str, signature: str, text: bytes) -> x509.Certificate:
    """Return the certificate (PEM) whose key made the signature of this text; raise `NotGenuine`."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        _check(found, base64.b64decode(signature, validate=True), text)
    except InvalidSignature:
        raise NotGenuine("its signature does not fit its text") from None
    except COULD_NOT as error:
        raise NotGenuine(f"its certificate or signature cannot be read ({error})") from None
    return found


def _check(certificate: x509.Certificate, signature: bytes, text: bytes) -> None:
    key = certificate.public_key()
    match key:
        case ec.EllipticCurvePublicKey():
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPublicKey():
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        case ed25519.Ed25519PublicKey():
            key.verify(signature, text)
        case _:
            raise ValueError("a key of an unknown kind")


def is_of(certificate: x509.Certificate, authority: bytes) -> bool:
    """Return whether the key of an authority (PEM) signed this certificate."""
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def name_of(certificate: x509.Certificate) -> str:
    """Return to whom a certificate is made out."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else "nobody"
