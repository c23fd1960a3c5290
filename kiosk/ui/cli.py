"""`stayby ui`: the screen."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk import ui
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit

REMOTE = Annotated[
    Path | None, typer.Option(metavar="SOCKET", help="Let tests and demos see and touch the screen here.")
]


def ui_command(config: CONFIG = DEFAULT_CONFIG, remote: REMOTE = None) -> None:
    """Show the screen until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    ui.run(load_or_exit(config).config, remote)
