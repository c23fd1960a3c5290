"""What of a store.toml is no fault and may not be what was meant, a line each.

The files that it names are read here; a configuration that `config_file.check` took has them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kiosk import rota_gaps
from kiosk.broker_files import board_user, relay_user, staff_user
from kiosk.certificate_age import ending
from kiosk.certificates import common_name
from kiosk.store_config import StoreConfig


def notes(config: StoreConfig) -> Iterator[str]:
    """Yield, a line each, what is no fault and may not be what was meant."""
    if not any(one.role == "manager" for one in config.staff):
        yield 'nobody has role = "manager": nobody can see reports, sessions and follow-ups'
    if not config.unit:
        yield "no [[unit]] is named: the broker's files let none in, and the rota cannot name desks"
    for one in config.staff:
        if one.cert_file is None and one.username is None:
            yield f"{one.name} has nothing to sign in with at the broker, and cannot answer on the board"
    yield from _wrong_names(config)
    for path, ends in ending(certificates(config), datetime.now(UTC)):
        yield f"{path} ends on {ends:%Y-%m-%d}; run `stayby store renew` in the store's folder, and copy it again"
    yield from rota_gaps.warnings(config)


def _wrong_names(config: StoreConfig) -> Iterator[str]:
    """Yield the certificates that are made out to another name than the broker's rules know."""
    named = [(board_user(config.store.id), config.broker.cert_file)]
    named += [(staff_user(one.id), one.cert_file) for one in config.staff]
    named += [(relay_user(config.store.id), config.relay.cert_file)] if config.relay else []
    for user, path in named:
        if path is not None:
            name = common_name(path.read_text("ascii", errors="replace"))
            if name != user:
                yield f"{path} is made out to {name or 'nobody'!r}; the rules of `stayby store broker` know {user!r}"


def certificates(config: StoreConfig) -> list[Path]:
    """Return every certificate that a store.toml names, each once."""
    named = [config.broker.cert_file, config.serve.cert_file, *(one.cert_file for one in config.staff)]
    named += [config.relay.cert_file] if config.relay else []
    named += [config.broker.ca_file, config.serve.ca_file]
    return list(dict.fromkeys(path for path in named if path is not None))
