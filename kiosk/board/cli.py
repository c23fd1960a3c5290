"""`stayby board`: the staff's web pages of a whole store."""

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from kiosk import config_file
from kiosk.board import page
from kiosk.config_faults import ConfigFaults

STORE_CONFIG = Annotated[Path, typer.Option("--config", metavar="FILE", help="The store's store.toml.")]
DEFAULT_STORE = Path("/etc/stayby/store.toml")


def _refuse(path: Path, wrong: ConfigFaults) -> NoReturn:
    for fault in wrong.faults:
        print(f"{path}: {fault}", file=sys.stderr)
    raise typer.Exit(1) from None


def board_command(
    config: STORE_CONFIG = DEFAULT_STORE,
    port: Annotated[int | None, typer.Option(help="Overrides [serve] port; 0 takes a free one and says which.")] = None,
) -> None:
    """Serve the staff's web pages of a store."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        settings = config_file.read_store(config)
    except ConfigFaults as wrong:
        _refuse(config, wrong)
    if port is not None:
        settings = settings.model_copy(update={"serve": settings.serve.model_copy(update={"port": port})})
    try:
        page.run(settings)
    except page.BoardError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("board")(board_command)
