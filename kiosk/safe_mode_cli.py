"""`stayby safe-mode`: says whether safe mode holds, and ends it."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.safe_mode import FILE, held_in


class Wanted(StrEnum):
    """What is to be done."""

    SHOW = "show"
    OFF = "off"


def safe_mode_command(
    wanted: Annotated[Wanted, typer.Argument(metavar="[off]", help="off: try screen and ear again now.")] = Wanted.SHOW,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Say whether safe mode holds, and why; `off` ends it."""
    file = load_or_exit(config).config.unit.state_dir / FILE
    held = held_in(file)
    if held is None:
        typer.echo("safe mode is off")
        return
    since = datetime.fromtimestamp(held.since_unix_s, UTC).astimezone()
    typer.echo(f"safe mode since {since:%Y-%m-%d %H:%M}: {held.why}")
    if wanted is Wanted.SHOW:
        raise typer.Exit(1)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        typer.echo(f"{file}: {error.strerror}; run it with sudo", err=True)
        raise typer.Exit(1) from None
    typer.echo("off: screen and ear start again now")
