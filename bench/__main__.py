"""`python -m bench`: run every measurement, or those that `--only` names, write build/bench.json, print it as a table."""

import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench import (
    acl,
    broker_kills,
    button,
    chain,
    ear,
    fleet,
    lost,
    power_cuts,
    press_to_board,
    screen,
    watchdogs,
    whole_unit,
)
from bench.measure import Measure, merge, show, write

OUT = Path("build/bench.json")


class Part(StrEnum):
    """A measurement that can be run by itself, in the order in which all of them run."""

    PRESS = "press"
    FLEET = "fleet"
    LOST = "lost"
    FLEET_10000 = "fleet_10000"
    KILLS = "kills"
    ACL = "acl"
    BUTTON = "button"
    EAR = "ear"
    SCREEN = "screen"
    UNIT = "unit"
    WATCHDOGS = "watchdogs"
    POWER_CUTS = "power_cuts"


RUN: dict[Part, Callable[[Path], dict[str, Measure]]] = {
    Part.PRESS: press_to_board.measure,
    Part.FLEET: fleet.measure,
    Part.LOST: lost.measure,
    Part.FLEET_10000: chain.measure,
    Part.KILLS: broker_kills.measure,
    Part.ACL: acl.measure,
    Part.BUTTON: lambda _: button.measure(),
    Part.EAR: ear.measure,
    Part.SCREEN: screen.measure,
    Part.UNIT: whole_unit.measure,
    Part.WATCHDOGS: watchdogs.measure,
    Part.POWER_CUTS: power_cuts.measure,
}


def main(
    only: Annotated[
        list[Part] | None, typer.Option(help="Run this measurement; the figures of the others stay as they stand.")
    ] = None,
) -> None:
    """Measure in a throw-away folder, write build/bench.json, and print what was measured."""
    parts = [part for part in Part if not only or part in only]
    measures: dict[str, Measure] = {}
    with tempfile.TemporaryDirectory(prefix="stayby-bench-") as folder:
        for part in parts:
            measures |= RUN[part](Path(folder) / part)
    if only:
        merge(measures, OUT)
    else:
        write(measures, OUT)
    show(measures)
    print(f"written to {OUT}")


typer.run(main)
