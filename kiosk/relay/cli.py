"""`stayby relay`: tell others than the board, by the secondary ways of store.toml."""

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk import config_file
from kiosk.config_faults import ConfigFaults
from kiosk.relay.relay import Relay
from kiosk.store_config import RelaySection, StoreConfig

CONFIG = Annotated[Path, typer.Option("--config", metavar="FILE", help="The store's store.toml.")]
DEFAULT_CONFIG = Path("/etc/stayby/store.toml")
OUTBOX = "outbox.sqlite"
NO_RELAY = "[relay]: is missing; add it with the relay's own certificate (cert_file, key_file) or username and password"


def _stop(*says: object) -> typer.Exit:
    for one in says:
        print(one, file=sys.stderr)
    return typer.Exit(1)


def _load(path: Path) -> tuple[StoreConfig, RelaySection]:
    try:
        config = config_file.read_store(path)
    except ConfigFaults as wrong:
        raise _stop(*(f"{path}: {fault}" for fault in wrong.faults)) from None
    if config.relay is None:
        raise _stop(f"{path}: {NO_RELAY}")
    return config, config.relay


def relay_command(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Tell Home Assistant, webhooks, ntfy and programs of the store's alerts, as secondary ways."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log addresses, which may hold passwords
    store, own = _load(config)
    try:
        own.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _stop(
            f"{config}: [relay] state_dir {own.state_dir}: {error.strerror}; make the folder writable"
        ) from None
    relay = Relay(store, own, own.state_dir / OUTBOX)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, relay.stop)
    relay.run()
