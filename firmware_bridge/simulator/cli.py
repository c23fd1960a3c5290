"""`stayby sim`: a panic button without hardware, by hand."""

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from firmware_bridge.build import BuildError
from firmware_bridge.simulator import SimulatedButton, SimulatorError
from firmware_bridge.simulator.actions import ACTIONS
from firmware_bridge.simulator.control import ControlSocket, ask, default_control_path
from firmware_bridge.simulator.play import first_failure
from firmware_bridge.simulator.play import play as play_scenario
from firmware_bridge.simulator.scenario import ScenarioError, read_scenario

app = typer.Typer(no_args_is_help=True, help="A panic button without hardware: its real firmware on a simulated chip.")

Unit = Annotated[str, typer.Option("--unit", help="Name of the unit, when there are several.")]
Control = Annotated[Path | None, typer.Option(help="Socket of the running unit, instead of the one of its name.")]


def _fail(error: Exception) -> NoReturn:
    print(f"stayby sim: {error}", file=sys.stderr)
    raise typer.Exit(1)


@app.command()
def run(
    port: Annotated[Path, typer.Option(help="Where the unit's serial port appears; set button.port to this path.")],
    unit: Unit = "",
    control: Control = None,
    eeprom: Annotated[Path | None, typer.Option(help="File that keeps the unit's memory between two runs.")] = None,
) -> None:
    """Run a simulated unit until Ctrl-C."""
    button = SimulatedButton(port, eeprom=eeprom)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with button, ControlSocket(button, control or default_control_path(unit)) as socket:
            print(
                f"The button's serial port is {port}. In another terminal: stayby sim tap --control {socket.path}",
                flush=True,
            )
            button.wait()
    except KeyboardInterrupt:
        return
    except (BuildError, SimulatorError) as error:
        _fail(error)


@app.command()
def play(
    file: Annotated[Path, typer.Argument(help="The scenario; firmware_bridge/simulator/scenario.py says how.")],
) -> None:
    """Play a scenario in virtual time; end with 1 when something comes otherwise than it says."""
    try:
        scenario = read_scenario(file.read_text(encoding="utf-8"), str(file))
        records = play_scenario(scenario)
    except (BuildError, OSError, ScenarioError, SimulatorError, UnicodeDecodeError) as error:
        _fail(error)
    timeline = [(at_s, unit, line) for unit, record in records.items() for at_s, line in record.lines()]
    for at_s, unit, line in sorted(timeline):
        print(f"{at_s:9.3f}  {unit}  {line}")
    failure = first_failure(scenario, records)
    if failure:
        _fail(ScenarioError(f"{file}, {failure}"))
    print(f"{file}: all {len(scenario.expectations)} expectations hold")


def _add(action: str, takes: str, says: str) -> None:
    def command(
        words: Annotated[list[str] | None, typer.Argument(metavar=takes or "(nothing)", show_default=False)] = None,
        unit: Unit = "",
        control: Control = None,
    ) -> None:
        try:
            answer = ask(control or default_control_path(unit), " ".join([action, *(words or [])]))
        except SimulatorError as error:
            _fail(error)
        if answer:
            print(answer)

    command.__doc__ = f"{says} {action} {takes}".strip()
    app.command(action)(command)


for _name, _action in ACTIONS.items():
    _add(_name, _action.takes, _action.says)
_add("tap", "", "Press the button and let it go.")
_add("status", "", "Say what the unit does now.")
