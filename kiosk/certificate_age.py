"""Whether the unit's own certificate will still be good in a month, and whether its clock can be right.

Only the standard library: the hub looks at this while it works. What cannot be read is the broker fault's to tell.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from kiosk.certificates import BadCertificate, Validity, validities
from kiosk.config import BrokerSection

WARN_BEFORE = timedelta(days=30)
SET_CLOCK = "sudo timedatectl set-time '2026-11-30 14:00' (the true time), and see that it keeps it"
RENEW = (
    "the store's manager runs: stayby store renew; the unit fetches what is new by itself, `sudo stayby renew` at once"
)


class Age(NamedTuple):
    """What is wrong with the times of a certificate: the fault's code, where, what, and what to do now."""

    code: str
    where: str
    says: str
    do: str


def look(broker: BrokerSection, now: datetime) -> Age | None:
    """Return what is wrong with the unit's certificate or its authority's, or with the clock; None when nothing is."""
    for path in (broker.cert_file, broker.ca_file):
        for valid in _validities(path):
            if now < valid.begins:
                says = f"the clock says {now:%Y-%m-%d}, and this certificate begins on {valid.begins:%Y-%m-%d}"
                return Age("clock", str(path), says, SET_CLOCK)
            if now > valid.ends - WARN_BEFORE:
                return Age("certificate-ends", str(path), _ends(valid, now), RENEW)
    return None


def _ends(valid: Validity, now: datetime) -> str:
    if now < valid.ends:
        return f"it ends on {valid.ends:%Y-%m-%d}, and then no call reaches the staff"
    return f"it ended on {valid.ends:%Y-%m-%d} (here it is {now:%Y-%m-%d}; if that is wrong, set the clock)"


def _validities(path: Path | None) -> Iterator[Validity]:
    if path is None:
        return
    try:
        yield from validities(path.read_text("ascii", errors="replace"))
    except (OSError, BadCertificate):
        return
