"""The command `stayby`: names every command, and imports only the one that runs.

The hub must not load what the screen needs, so a command stands here by name, and its module is imported when it is called.
"""

import importlib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from kiosk.config_file import Loaded


class Command(NamedTuple):
    """Where a command lives ("module:name" of a function or a Typer app) and what it does, in one line."""

    target: str
    does: str


COMMANDS = {
    "check": Command("kiosk.cli:check", "Say all that is wrong with a configuration file, or show it."),
    "alertd": Command("kiosk.alertd_cli:alertd_command", "Run the hub: panic button, incidents, alerts."),
    "listen": Command("kiosk.listen.command:listen_command", "Run the ear: hears phrases, keeps no sound."),
    "ui": Command("kiosk.ui.cli:ui_command", "Run the screen."),
    "board": Command("kiosk.board.cli:board_command", "Serve the staff's web page of one responder."),
    "pager": Command("kiosk.board.pager_cli:pager_command", "Show alerts in this terminal, answer them by keys."),
    "relay": Command("kiosk.relay.cli:relay_command", "Tell others than the board of alerts, by secondary ways."),
    "store": Command("kiosk.store_cli:app", "Check store.toml, make the broker's files, a PIN; show the rota."),
    "fleet": Command("kiosk.board.fleet_cli:fleet_command", "Show every unit of a store, the worst first."),
    "drill": Command("kiosk.board.drill_cli:drill_command", "Begin a drill at a unit, or its opening press."),
    "join": Command("kiosk.provision.join_cli:join_command", "Make this machine a unit of its store, by a claim."),
    "renew": Command("kiosk.provision.renew_cli:renew_command", "Fetch the unit's renewed certificate from the board."),
    "update": Command("kiosk.update.update_cli:update_command", "Look for a newer version, and take it once proven."),
    "safe-mode": Command("kiosk.safe_mode_cli:safe_mode_command", "Say whether safe mode holds; off ends it."),
    "status": Command("kiosk.alertd_cli:status_command", "Ask the hub how the unit is."),
    "doctor": Command(
        "kiosk.doctor.doctor_cli:doctor_command", "Look at everything on a unit, and say what to do now."
    ),
    "walktest": Command("kiosk.doctor.walk_cli:walktest_command", "Try every way to call, and sign a certificate."),
    "prove": Command("kiosk.prove_cli:prove_command", "Prove button, sound, broker and board now; alerts nobody."),
    "report": Command("kiosk.doctor.report_cli:report_command", "Write one bundle for support, without secrets."),
    "button": Command("kiosk.button_cli:app", "Watch the panic button live, flash it, prove its watchdog."),
    "demo": Command("kiosk.demo.cli:demo_command", "Start a whole store here to try, or play a story."),
    "hear": Command("kiosk.listen.cli:hear_command", "Run sound files through the ear's own loop."),
    "sim": Command("firmware_bridge.simulator.cli:app", "A panic button without hardware, by hand."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are placeholders for the help text until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the real command instead of its placeholder."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        return name, placeholder and load(str(name)), rest


def load(name: str) -> Any:
    """Import the command `name` and return it as Click runs it."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as missing:
        if missing.name is None or not module.startswith(missing.name):
            raise
        typer.echo(f"stayby {name} is not in the installed package; in a clone of Stayby, run: make demo", err=True)
        raise typer.Exit(1) from None
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False, rich_markup_mode=None)
        target.command(name, help=COMMANDS[name].does)(function)
    return typer.main.get_command(target)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stayby {version('stayby')}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def stayby(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Stay by a customer until a person does."""


def _placeholder() -> NoReturn:
    raise AssertionError("a placeholder never runs: LazyGroup puts the command in its place")


for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.does)(_placeholder)


# --- what commands share ---------------------------------------------------------------------------------------------

CONFIG = Annotated[Path, typer.Option("--config", metavar="FILE", help="The unit's kiosk.toml.")]
DEFAULT_CONFIG = Path("/etc/stayby/kiosk.toml")


def load_or_exit(path: Path, *, keep: bool = False) -> "Loaded":
    """Return the configuration in force; say every fault and exit 1 when there is none. The hub keeps a good one."""
    from kiosk import config_file
    from kiosk.config_faults import ConfigFaults

    try:
        return config_file.load_or_last_good(path, keep=keep)
    except ConfigFaults as wrong:
        for fault in wrong.faults:
            typer.echo(f"{path}: {fault}", err=True)
        raise typer.Exit(1) from None


# --- stayby check -----------------------------------------------------------------------------------------------------


def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A unit's kiosk.toml, a store.toml, or a pager's board.toml.")
    ] = DEFAULT_CONFIG,
    *,
    show: Annotated[
        bool, typer.Option("--show", help="Print what is in force, with defaults; secrets masked.")
    ] = False,
) -> None:
    """Print every fault of FILE and of the files that it names, and exit 1; or "OK"."""
    from kiosk import config_file, config_show, guidance
    from kiosk.config import UnitConfig
    from kiosk.config_faults import ConfigFaults
    from kiosk.store_config import StoreConfig
    from kiosk.store_notes import notes

    try:
        text, config = config_file.check(file, datetime.now(UTC))
    except ConfigFaults as wrong:
        for fault in wrong.faults:
            typer.echo(f"{file}: {fault}", err=True)
        typer.echo(f"{file}: {len(wrong.faults)} fault{'s' if len(wrong.faults) > 1 else ''}", err=True)
        raise typer.Exit(1) from None
    typer.echo(config_show.show(config, text), nl=False) if show else typer.echo(f"{file}: OK")
    if isinstance(config, UnitConfig) and not show:
        typer.echo(guidance.review(config.unit.country))
    if isinstance(config, StoreConfig) and not show:
        for note in notes(config):
            typer.echo(f"note: {note}")
