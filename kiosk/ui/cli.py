"""`stayby ui`: the screen of a unit."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.ui import run


def ui_command(
    config: CONFIG = DEFAULT_CONFIG,
    remote: Annotated[
        Path | None,
        typer.Option(metavar="SOCKET", help="Let tests and demos see and touch the screen through this socket."),
    ] = None,
) -> None:
    """Show what is so and pass on what is touched, until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    run(load_or_exit(config).config, remote)
