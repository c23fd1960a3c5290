"""The unit's files: who it is at its store, written so that the last good state stays in force until the new one is whole.

The three files of an identity (authority, certificate, key) lie in a folder of their own, named by the certificate. Everything
is written, checked and proven there; then one rename puts kiosk.toml in its place, and that alone makes it hold. A power cut
before it leaves what was; after it, what is new. The folder before the last is kept: the hub's last good configuration names it.
"""

import grp
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kiosk import signatures
from kiosk.broker_files import unit_user
from kiosk.certificates import common_name
from kiosk.config import UnitConfig, load_unit, parse
from kiosk.config_faults import ConfigFaults
from kiosk.config_file import file_faults, write_durably
from kiosk.provision import toml_lines
from kiosk.provision.claim import BadClaim, Open, Sealed

GROUP = "stayby"
FOLDER = "identity-"
FILES = {"ca_file": "ca.pem", "cert_file": "unit.pem", "key_file": "unit.key"}
BEFORE = ".before"


def group_id() -> int:
    """Return the group whose members may read a unit's files; -1, our own, where there is none or we may not give it."""
    try:
        return grp.getgrnam(GROUP).gr_gid if os.geteuid() == 0 else -1
    except KeyError:
        return -1


def install(
    facts: Open, sealed: Sealed, config: Path, now: datetime, prove: Callable[[UnitConfig], None]
) -> tuple[UnitConfig, bool]:
    """Make this machine the unit of a claim, once `prove` raises nothing; return it, and whether there was one before.

    Raises `BadClaim` for what is wrong with the claim, `OSError` for the disk, and what `prove` raises: nothing has changed then.
    """
    folder = config.parent / f"{FOLDER}{_digest(sealed.certificate)}"
    is_new = not folder.exists()
    text = sealed.kiosk
    for key, name in FILES.items():
        text = toml_lines.with_value(text, ("broker",), key, str(folder / name))
    try:
        _write(folder, sealed)
        unit = _checked(facts, sealed, text, config, now)
        prove(unit)
    except BaseException:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    had_one = config.exists()
    if had_one:
        write_durably(config.with_name(config.name + BEFORE), config.read_bytes(), 0o640, group_id())
    keep = {folder, *_named(config)}
    write_durably(config, text.encode(), 0o640, group_id())
    _drop(config.parent, keep)
    return unit, had_one


def _digest(certificate: str) -> str:
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256()).hex()[:12]
    except ValueError:
        raise BadClaim("the claim holds no certificate; have the store's manager make a new one") from None


def _write(folder: Path, sealed: Sealed) -> None:
    group = group_id()
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.chown(folder, -1, group)
    for name, text in zip(FILES.values(), (sealed.ca, sealed.certificate, sealed.key), strict=True):
        write_durably(folder / name, text.encode(), 0o640, group)


def _checked(facts: Open, sealed: Sealed, text: str, config: Path, now: datetime) -> UnitConfig:
    """Return the configuration of a claim, once it, its files and the names in them fit together; else `BadClaim`."""
    try:
        unit = load_unit(text)
        faults = [fault for fault in file_faults(parse(text), text, config, now) if fault.place.startswith("[broker]")]
    except ConfigFaults as wrong:
        faults = list(wrong.faults)
    if faults:
        raise BadClaim(f"the claim's configuration: {faults[0]}")
    if (unit.unit.store, unit.unit.id) != (facts.store, facts.unit):
        raise BadClaim("the claim names one unit and holds another; have the store's manager make a new one")
    if common_name(sealed.certificate) != unit_user(facts.unit):
        raise BadClaim("the claim's certificate is another unit's; have the store's manager make a new one")
    if not signed_by(sealed.certificate, sealed.ca):
        raise BadClaim("the claim's certificate is another store's; have the store's manager make a new one")
    return unit


def signed_by(certificate: str, authority: str) -> bool:
    """Return whether the authority's own key signed this certificate."""
    signed = x509.load_pem_x509_certificate(certificate.encode())
    return signatures.is_of(signed, authority.encode())


def public_bytes(certificate: str) -> bytes:
    """Return the public key of a certificate, as bytes that can be compared."""
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _named(config: Path) -> set[Path]:
    """Return the folder of the identity that the present kiosk.toml names, if it can be read."""
    try:
        cert_file = load_unit(config.read_text()).broker.cert_file
    except (OSError, ValueError):
        return set()
    return {cert_file.parent} if cert_file else set()


def _drop(folder: Path, keep: set[Path]) -> None:
    for old in folder.glob(f"{FOLDER}*"):
        if old not in keep:
            shutil.rmtree(old)
