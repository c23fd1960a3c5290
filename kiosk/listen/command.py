"""`stayby listen`: the ear of a unit."""

import logging
import sys

from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.listen.process import run


def listen_command(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Listen until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    run(load_or_exit(config).config)
