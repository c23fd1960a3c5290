"""The commissioning certificate: who tried what at a unit and what came of it, signed with the unit's own key; JSON, HTML, PDF.

The signature is over the canonical JSON (sorted keys, no blanks, UTF-8), by SHA-256. It proves that this text was signed where
that key is, on the unit; it does not prove that the people named in it were there.
"""

import hashlib
import html
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import ValidationError

from kiosk.board.export import Paper
from kiosk.config import BrokerSection
from kiosk.doctor.record import WORDS, Check, summary
from kiosk.messages import Record, one_line
from kiosk.signatures import NotGenuine, canonical, is_of, name_of, signature_of, signer


class Commissioning(Record):
    """What is certified: one unit, its versions and serial numbers, one walk, and all findings."""

    v: Literal[1] = 1
    store: str
    unit: str
    place: str
    address: str
    by: str
    agreed: str
    began: datetime
    ended: datetime
    ended_by: str
    passed: bool
    versions: dict[str, str]
    network: dict[str, str]
    walk: tuple[Check, ...]
    doctor: tuple[Check, ...]


class Signed(Record):
    """The file: what is certified, its SHA-256, and the signature with the certificate of the key that made it.

    Without a key of its own (a unit that signs in by a password) signature and certificate are empty.
    """

    commissioning: dict[str, Any]
    sha256: str
    signature: str = ""
    certificate: str = ""


# --- signing ----------------------------------------------------------------------------------------------------------


def sign(commissioning: Commissioning, broker: BrokerSection) -> Signed:
    """Return it signed with the unit's own key; raise `OSError` or `ValueError` when the key cannot be used."""
    body = commissioning.model_dump(mode="json")
    text = canonical(body)
    digest = hashlib.sha256(text).hexdigest()
    if broker.key_file is None or broker.cert_file is None:
        return Signed(commissioning=body, sha256=digest)
    signature = signature_of(load_pem_private_key(broker.key_file.read_bytes(), None), text)
    return Signed(
        commissioning=body, sha256=digest, signature=signature, certificate=broker.cert_file.read_text("ascii")
    )


def verify(file: bytes, authority: bytes | None = None) -> tuple[Commissioning, str]:
    """Return what is certified and to whom the signing certificate is made out; raise `NotGenuine`.

    With `authority`, the store's certificate (PEM), it must have signed the unit's.
    """
    try:
        signed = Signed.model_validate_json(file)
        commissioning = Commissioning.model_validate(signed.commissioning)
    except ValidationError as error:
        raise NotGenuine(f"it is no commissioning certificate ({one_line(error)})") from None
    text = canonical(signed.commissioning)
    if hashlib.sha256(text).hexdigest() != signed.sha256:
        raise NotGenuine("its text was changed after it was made")
    if not signed.signature:
        raise NotGenuine("it is not signed: this unit has no key of its own")
    return commissioning, _signer(signed, text, authority)


def _signer(signed: Signed, text: bytes, authority: bytes | None) -> str:
    certificate = signer(signed.certificate, signed.signature, text)
    if authority is not None and not is_of(certificate, authority):
        raise NotGenuine("its certificate is of another store")
    return name_of(certificate)


# --- for people -------------------------------------------------------------------------------------------------------


def title(one: Commissioning) -> str:
    """Return the heading."""
    return f"{one.place}: commissioning of {one.ended.astimezone():%-d %B %Y}"


def result(one: Commissioning) -> str:
    """Return in one sentence what came of it."""
    left = [check.name for check in one.walk if check.ok is None]
    broken = [check.name for check in (*one.walk, *one.doctor) if check.ok is False]
    if broken:
        return f"Not everything works: {', '.join(broken)}"
    if not one.passed:
        return f"Not everything was tried: {', '.join(left)}"
    return "Everything works" if not left else f"Everything that was tried works; left out: {', '.join(left)}"


def facts(signed: Signed, one: Commissioning) -> list[tuple[str, str]]:
    """Return what stands above the findings, as name and words."""
    began, ended = one.began.astimezone(), one.ended.astimezone()
    return [
        ("Result", result(one)),
        ("Unit", f"{one.store}/{one.unit}, {one.place}"),
        ("Address", one.address),
        ("Tested by", one.by),
        ("Agreed by", one.agreed),
        ("When", f"{began:%Y-%m-%d %H:%M} to {ended:%H:%M}, {one.ended_by}"),
        *((name.capitalize(), value) for name, value in one.versions.items() if value),
        *((f"Network {name}", value) for name, value in one.network.items()),
        ("SHA-256", signed.sha256),
        (
            "Signature",
            "by the unit’s own key, in the JSON file" if signed.signature else "none: the unit has no key of its own",
        ),
    ]


def _line(check: Check) -> str:
    """Return what is so and what to do; the figures behind it are in the JSON."""
    return ". ".join(part for part in (check.says, check.do) if part)


def as_html(signed: Signed) -> str:
    """Return it as one page that needs nothing else."""
    one = Commissioning.model_validate(signed.commissioning)
    head = "".join(f"<tr><th>{html.escape(name)}<td>{html.escape(value)}" for name, value in facts(signed, one))
    parts = f"<table>{head}</table>{_table('The walk', one.walk)}{_table('The unit', one.doctor)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title(one))}</title><style>{STYLE}</style><h1>{html.escape(title(one))}</h1>{parts}</html>\n"
    )


STYLE = (
    "body{font:16px/1.45 system-ui,sans-serif;color:#12302d;background:#fff;max-width:52rem;margin:1.5rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:0 0 1.5rem}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #c9d6d3}"
    "td{overflow-wrap:anywhere}th{font-weight:600}.wrong{color:#8a1420;font-weight:700}.ok{color:#14532d}h1{font-size:1.5rem}h2{font-size:1.15rem}"
)


def _table(heading: str, checks: Iterable[Check]) -> str:
    found = list(checks)
    rows = "".join(map(_row, found))
    return f"<h2>{heading}: {summary(found)}</h2><table>{rows}</table>"


def _row(check: Check) -> str:
    word = WORDS[check.ok]
    return f'<tr><td class="{word.lower()}">{word}<th>{html.escape(check.name)}<td>{html.escape(_line(check))}'


def as_pdf(signed: Signed) -> bytes:
    """Return it as PDF, in any script that this machine has letters for."""
    one = Commissioning.model_validate(signed.commissioning)
    pairs = facts(signed, one)
    text = "".join([title(one), *(part for pair in pairs for part in pair), *map(_line, (*one.walk, *one.doctor))])
    paper = Paper(title(one), f"SHA-256 {signed.sha256}", text)
    if paper.says:
        paper.write_line(paper.says, 10.5, bold=True)
    for name, value in pairs:
        paper.pair(name, value)
    for heading, checks in (("The walk", one.walk), ("The unit", one.doctor)):
        paper.ln(3)
        paper.write_line(f"{heading}: {summary(checks)}", 13, bold=True)
        for check in checks:
            paper.write_line(f"{WORDS[check.ok]}: {check.name}", 10.5, bold=True)
            paper.write_line(_line(check), 10.5, x=6.0)
    return bytes(paper.output())


def write(signed: Signed, folder: Path) -> list[Path]:
    """Write the three files into `folder` and return their paths; raise `OSError`."""
    one = Commissioning.model_validate(signed.commissioning)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"commissioning-{one.unit}-{one.ended.astimezone():%Y%m%d-%H%M}"
    contents = {
        ".json": (signed.model_dump_json(indent=1) + "\n").encode(),
        ".html": as_html(signed).encode(),
        ".pdf": as_pdf(signed),
    }
    for suffix, content in contents.items():
        stem.with_suffix(suffix).write_bytes(content)
    return [stem.with_suffix(suffix) for suffix in contents]
