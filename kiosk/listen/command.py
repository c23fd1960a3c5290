"""`stayby listen`: the ear of a unit, and its calibration to a room."""

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.config import ListenSection
from kiosk.listen.calibrate import CalibrateError, Wanted, calibrate
from kiosk.listen.calibration import LOOSEST, STRICTEST, calibration_path
from kiosk.listen.features import FrontEndError
from kiosk.listen.model import ModelError
from kiosk.listen.process import run

NO_EAR = 3
"""How it ends where there is no ear: systemd is not to start it again (`RestartPreventExitStatus` of its service)."""


def listen_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    calibrating: Annotated[
        bool, typer.Option("--calibrate", help="Listen to the room, say what was heard, propose thresholds; then end.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="How long --calibrate listens.")] = 120,
    offset: Annotated[
        float | None,
        typer.Option(min=LOOSEST, max=STRICTEST, help="With --calibrate: another offset than the proposed one."),
    ] = None,
    read_aloud: Annotated[
        bool,
        typer.Option(
            "--read-aloud", help="With --calibrate: let me hear you read a sentence, for how well I hear here."
        ),
    ] = False,
    accept: Annotated[
        bool | None,
        typer.Option(
            "--accept/--dry-run", help="With --calibrate: use what it proposes, or change nothing; else it asks."
        ),
    ] = None,
) -> None:
    """Listen until it is told to stop."""
    if not calibrating and (offset is not None or accept is not None or read_aloud):
        _fail("--offset, --read-aloud, --accept and --dry-run go with --calibrate")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    unit, file = load_or_exit(config).config, calibration_path(config)
    if not calibrating:
        run(unit, calibration=file)
        raise typer.Exit(NO_EAR if unit.listen is None else 0)
    if unit.listen is None:
        _fail(f"{config}: there is no [listen]: this unit has no ear to calibrate")
    _calibrate(unit.listen, file, Wanted(seconds, offset, accept, read_aloud))


def _calibrate(config: ListenSection, file: Path, wanted: Wanted) -> None:
    if wanted.accept is None and not sys.stdin.isatty():
        _fail("nobody is there to ask: say --accept or --dry-run")
    try:
        calibrate(config, file, wanted, Console())
    except (CalibrateError, ModelError, FrontEndError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{file}: cannot be written ({error.strerror}); run it as root: sudo stayby listen --calibrate")
    except KeyboardInterrupt:
        _fail("stopped; nothing was changed")


def _fail(says: str) -> NoReturn:
    print(says, file=sys.stderr)
    raise typer.Exit(1)
