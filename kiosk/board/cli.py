"""`stayby board` and `stayby pager`: the two commands of a responder's device."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk import config_file
from kiosk.board import page
from kiosk.board import pager as terminal
from kiosk.config import BoardConfig, load_board
from kiosk.config_faults import ConfigFaults

CONFIG = Annotated[Path, typer.Option("--config", metavar="FILE", help="The responder's board.toml.")]
DEFAULT_CONFIG = Path("/etc/stayby/board.toml")


def _load_or_exit(path: Path) -> BoardConfig:
    try:
        return load_board(config_file.read_text(path))
    except ConfigFaults as wrong:
        for fault in wrong.faults:
            print(f"{path}: {fault}", file=sys.stderr)
        raise typer.Exit(1) from None


def board_command(
    config: CONFIG = DEFAULT_CONFIG,
    port: Annotated[int | None, typer.Option(help="Overrides [serve] port; 0 takes a free one and says which.")] = None,
) -> None:
    """Serve the staff's web page of one responder."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    settings = _load_or_exit(config)
    if port is not None:
        settings = settings.model_copy(update={"serve": settings.serve.model_copy(update={"port": port})})
    try:
        page.run(settings)
    except page.BoardError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


def pager_command(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Show alerts in this terminal and answer them by single keys."""
    logging.basicConfig(level=logging.CRITICAL)
    raise typer.Exit(terminal.run(_load_or_exit(config)))


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("board")(board_command)
app.command("pager")(pager_command)
