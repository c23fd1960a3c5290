"""`stayby sim`: a panic button without hardware, by hand."""

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from firmware_bridge.build import BuildError
from firmware_bridge.simulator import SimulatedButton, SimulatorError
from firmware_bridge.simulator.control import ControlSocket, ask, default_control_path

app = typer.Typer(no_args_is_help=True, help="A panic button without hardware: its real firmware on a simulated chip.")

Control = Annotated[Path | None, typer.Option(help="Socket of the running unit; one for each user when left out.")]


def _fail(error: Exception) -> NoReturn:
    print(f"stayby sim: {error}", file=sys.stderr)
    raise typer.Exit(1)


@app.command()
def run(
    port: Annotated[Path, typer.Option(help="Where the unit's serial port appears; set button.port to this path.")],
    control: Control = None,
    eeprom: Annotated[Path | None, typer.Option(help="File that keeps the unit's memory between two runs.")] = None,
) -> None:
    """Run a simulated unit until Ctrl-C."""
    button = SimulatedButton(port, eeprom=eeprom)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with button, ControlSocket(button, control) as socket:
            print(
                f"The button's serial port is {port}. In another terminal: stayby sim tap --control {socket.path}",
                flush=True,
            )
            button.wait()
    except KeyboardInterrupt:
        return
    except (BuildError, SimulatorError) as error:
        _fail(error)


def _add(action: str, text: str) -> None:
    def command(control: Control = None) -> None:
        try:
            answer = ask(control or default_control_path(), action)
        except SimulatorError as error:
            _fail(error)
        if answer:
            print(answer)

    command.__doc__ = text
    app.command(action)(command)


_add("press", "Press the button and hold it.")
_add("release", "Let the button go.")
_add("tap", "Press the button and let it go.")
_add("cut", "Cut one of the button's two wires.")
_add("short", "Let the button's two wires touch.")
_add("normal", "Mend the wires.")
_add("plug", "Plug the data cable in.")
_add("unplug", "Pull the data cable; the unit lives on from its own supply.")
_add("reset", "Pull the chip's reset pin.")
_add("status", "Say what the unit does now.")
