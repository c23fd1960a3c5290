"""`stayby pager`: one responder's terminal. It loads nothing of the board's pages: a till's back-office machine may be small."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk import config_file
from kiosk.board import pager
from kiosk.config import load_board
from kiosk.config_faults import ConfigFaults

CONFIG = Annotated[Path, typer.Option("--config", metavar="FILE", help="The responder's board.toml.")]
DEFAULT_CONFIG = Path("/etc/stayby/board.toml")


def pager_command(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Show alerts in this terminal and answer them by single keys."""
    logging.basicConfig(level=logging.CRITICAL)
    try:
        settings = load_board(config_file.read_text(config))
    except ConfigFaults as wrong:
        for fault in wrong.faults:
            print(f"{config}: {fault}", file=sys.stderr)
        raise typer.Exit(1) from None
    raise typer.Exit(pager.run(settings))
