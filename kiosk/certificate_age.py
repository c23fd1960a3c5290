"""Whether certificates will still be good in a month, and whether the clock can be right.

Only the standard library: the hub looks at this while it works. What cannot be read is the broker fault's to tell.
"""

from collections.abc import Iterable, Iterator
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
RENEW_BROKER = "the store's manager runs: stayby store renew; broker/ is copied to its machine, and mosquitto reloaded"


class Age(NamedTuple):
    """What is wrong with the times of a certificate: the fault's code, where, what, and what to do now."""

    code: str
    where: str
    says: str
    do: str


def look(broker: BrokerSection, now: datetime, broker_ends: datetime | None = None) -> Age | None:
    """Return what is wrong with the unit's certificate, its authority's or the broker's, or with the clock; None: nothing.

    `broker_ends` is when the certificate ends that the broker showed, if it has shown one.
    """
    for path in (broker.cert_file, broker.ca_file):
        for valid in _validities(path):
            if now < valid.begins:
                says = f"the clock says {now:%Y-%m-%d}, and this certificate begins on {valid.begins:%Y-%m-%d}"
                return Age("clock", str(path), says, SET_CLOCK)
            if now > valid.ends - WARN_BEFORE:
                return Age("certificate-ends", str(path), _ends(valid.ends, now), RENEW)
    if broker_ends is not None and now > broker_ends - WARN_BEFORE:
        return Age("certificate-ends", f"broker {broker.host}", _ends(broker_ends, now), RENEW_BROKER)
    return None


def ending(paths: Iterable[Path | None], now: datetime) -> Iterator[tuple[Path, datetime]]:
    """Yield each file whose certificate ends within a month, and when."""
    for path in paths:
        for valid in _validities(path):
            if path is not None and now > valid.ends - WARN_BEFORE:
                yield path, valid.ends


def _ends(ends: datetime, now: datetime) -> str:
    if now < ends:
        return f"it ends on {ends:%Y-%m-%d}, and then no call reaches the staff"
    return f"it ended on {ends:%Y-%m-%d} (here it is {now:%Y-%m-%d}; if that is wrong, set the clock)"


def _validities(path: Path | None) -> Iterator[Validity]:
    if path is None:
        return
    try:
        yield from validities(path.read_text("ascii", errors="replace"))
    except (OSError, BadCertificate):
        return
