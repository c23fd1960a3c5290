"""The command line of the ear: `stayby hear FILE…` for sound files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kiosk.listen.features import FrontEndError
from kiosk.listen.hear import hear
from kiosk.listen.model import ModelError
from kiosk.listen.moonshine import MoonshineError


def hear_command(
    files: Annotated[list[Path], typer.Argument(help="Sound files: WAV, FLAC or Ogg, any rate, any channels.")],
    model_dir: Annotated[Path | None, typer.Option(help="The folder of another model with its manifest.json.")] = None,
    covert_phrase: Annotated[str | None, typer.Option(help="The covert phrase that the store chose.")] = None,
    *,
    second_look: Annotated[
        bool, typer.Option("--second-look/--no-second-look", help="Look again where it is installed, or stage 1 alone.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
) -> None:
    """Run sound files through the ear's own streaming loop and print what it hears in each."""
    try:
        code = hear(files, model_dir=model_dir, covert_phrase=covert_phrase, second_look=second_look, as_json=as_json)
    except (ModelError, FrontEndError, MoonshineError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    raise typer.Exit(code)
