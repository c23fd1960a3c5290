"""The commands around the hub: `stayby alertd` runs it, `stayby status` asks it how the unit is."""

import logging
import sys
from typing import Annotated

import typer

from kiosk import alertd
from kiosk.bus import BusError, ask, runtime_socket
from kiosk.button_health import health_line
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.messages import AskStatus, BadMessage, StatusAnswer
from kiosk.update import told

ANSWER_S = 3.0


def alertd_command(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Run the hub until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    loaded = load_or_exit(config, keep=True)
    alertd.run(loaded.config, loaded.faults)


def status_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The hub's whole answer as JSON.")] = False,
) -> None:
    """Say how the unit is: every fault with what to do now, who listens, what is open. Exit 1 when there is a fault."""
    socket_path = runtime_socket(load_or_exit(config).config.unit.run_dir)
    try:
        answer = ask(socket_path, AskStatus(), ANSWER_S)
    except (BusError, BadMessage) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if isinstance(answer, StatusAnswer):
        print(answer.model_dump_json() if as_json else "\n".join([*status_lines(answer), *told.lines()]))
        raise typer.Exit(1 if answer.status.faults else 0)


def status_lines(answer: StatusAnswer) -> list[str]:
    """Return the status as lines for a person."""
    status = answer.status
    who = ", ".join(one.name for one in answer.listeners) or "nobody"
    lines = [
        f"{status.place} ({status.store}/{status.unit}), version {status.version}: {status.state}",
        f"staff: {answer.reach}, listening: {who}; {answer.unsent} unsent",
        f"voice: {answer.hearing}{', not now: the unit itself speaks' if answer.own_voice else ''}",
    ]
    if answer.button is not None:
        lines.append(health_line(answer.button))
    if answer.incident is not None:
        lines.append(
            f"open incident: {answer.incident.state}, {answer.incident.elapsed_s:.0f} s, tier {answer.incident.tier}"
        )
    if status.opening:
        lines.append("opening press: waiting for it")
    if status.last_proven is not None:
        lines.append(f"proven by an answered opening press: {status.last_proven.astimezone():%Y-%m-%d %H:%M}")
    if answer.proving:
        lines.append("the unit proves itself just now")
    if status.self_proven is not None:
        lines.append(f"proved itself by the daily proof: {status.self_proven.astimezone():%Y-%m-%d %H:%M}")
    lines += [f"fault {fault.code}: {fault.where}: {fault.says}; {fault.do}" for fault in status.faults]
    return lines
