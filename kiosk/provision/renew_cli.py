"""`stayby renew`: fetches the unit's renewed certificate from the store's board, and puts it in place once it is proven.

A timer runs it each day. The store's authority needs no network and the unit sends nothing: the manager's `stayby store renew`
signs a new certificate for the unit's present key, the board hands it out to anybody, and only who has the key can use it. What
comes is taken only when the unit's own authority signed it, for the same key and name, and for longer.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from cryptography import x509

from kiosk.certificate_age import RENEW, WARN_BEFORE
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.config import UnitConfig
from kiosk.config_file import write_durably
from kiosk.provision.claim import CERTIFICATE_SUFFIX, PATH, BadClaim
from kiosk.provision.identity import group_id, public_bytes, signed_by
from kiosk.provision.proof import NotProven, prove, runs_here
from kiosk.provision.source import NotThere, get

SLACK = timedelta(minutes=5)


def renew_command(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Fetch this unit's renewed certificate from the store's board, if there is one, and use it from now on."""
    unit = load_or_exit(config).config
    try:
        typer.echo(renewed(unit, datetime.now(UTC)))
    except (BadClaim, NotProven) as error:
        raise _stop(f"{error}; the present certificate stays in force") from None
    except OSError as error:
        raise _stop(
            f"{error.filename or config}: {error.strerror}; run it with sudo, and look for a full disk"
        ) from None


def _stop(says: str) -> typer.Exit:
    typer.echo(says, err=True)
    return typer.Exit(1)


def renewed(unit: UnitConfig, now: datetime) -> str:
    """Fetch and use the renewed certificate; return what was done. Raises `BadClaim`, `NotProven`, `OSError`."""
    cert_file = unit.broker.cert_file
    if cert_file is None:
        return "this unit signs in with a password: there is no certificate to renew"
    present = cert_file.read_text("ascii", errors="replace")
    if not unit.unit.board:
        raise BadClaim("[unit] board is not set; set it to the board's address, as in docs/config.md")
    address = f"{unit.unit.board}{PATH}/{unit.unit.id}/certificate"
    try:
        pem = get(address).decode("ascii", errors="replace")
    except NotThere:
        return _nothing_new(present, now)
    if _certificate(present, str(cert_file)) == _certificate(pem, address):
        return _nothing_new(present, now)
    _check(pem, present, unit.broker.ca_file.read_text("ascii", errors="replace"), address, now)
    _put(unit, cert_file, pem)
    return f"renewed: {cert_file} holds until {_certificate(pem, address).not_valid_after_utc:%Y-%m-%d}"


def _nothing_new(present: str, now: datetime) -> str:
    ends = _certificate(present, "the present certificate").not_valid_after_utc
    if ends - now < WARN_BEFORE:
        raise BadClaim(f"nothing new is at the board, and the present certificate ends on {ends:%Y-%m-%d}: {RENEW}")
    return f"nothing new; the present certificate holds until {ends:%Y-%m-%d}"


def _certificate(pem: str, where: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        page = pem.lstrip()[:15].lower().startswith(("<!doctype", "<html"))
        what = "is a web page (a captive portal?)" if page else "is damaged"
        raise BadClaim(f"{where} {what}, and no certificate; look at the network, and at the board") from None


def _check(pem: str, present: str, authority: str, address: str, now: datetime) -> None:
    """Raise `BadClaim` unless this is what our own authority made of the present certificate, for longer."""
    new, old = _certificate(pem, address), _certificate(present, "the present certificate")
    if not signed_by(pem, authority):
        wrong = "another store's authority signed it"
    elif public_bytes(pem) != public_bytes(present):
        wrong = "it is for another key"
    elif new.subject != old.subject:
        wrong = "it is another unit's"
    elif new.not_valid_after_utc <= old.not_valid_after_utc:
        wrong = "it ends before the present one"
    elif not new.not_valid_before_utc <= now + SLACK < new.not_valid_after_utc:
        wrong = f"it does not hold today (here it is {now:%Y-%m-%d}; is this clock right?)"
    else:
        return
    raise BadClaim(f"{address}: {wrong}; it is not used. On the manager's machine: stayby store renew, and copy board/")


def _put(unit: UnitConfig, cert_file: Path, pem: str) -> None:
    """Prove the broker with the new certificate beside the present one, and put it in its place."""
    trial = cert_file.with_name(f"next{CERTIFICATE_SUFFIX}")
    write_durably(trial, pem.encode(), 0o640, group_id())
    try:
        broker = unit.broker.model_copy(update={"cert_file": trial})
        prove(unit.model_copy(update={"broker": broker}), is_us=lambda: runs_here(unit))
        write_durably(cert_file, pem.encode(), 0o640, group_id())
    finally:
        trial.unlink(missing_ok=True)
