"""The command `stayby store`: make a store, is store.toml right, what does its broker need, a PIN, and who is asked now."""

import os
import secrets
import shutil
import socket
import sys
import tempfile
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import segno
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kiosk import config_file, config_show, rota
from kiosk.board.authority import PAGE, offered
from kiosk.board.sessions import invite
from kiosk.broker_files import (
    REVOCATIONS,
    SignIn,
    acl_of,
    board_user,
    mosquitto_text,
    relay_user,
    staff_user,
    unit_user,
)
from kiosk.config import ServeSection
from kiosk.config_faults import ConfigFaults
from kiosk.pins import PinError, new_digits, store_pin
from kiosk.provision import store_commands
from kiosk.store_config import StoreConfig
from kiosk.store_notes import notes

DEFAULT_STORE = Path("/etc/stayby/store.toml")
CONFIG = Annotated[Path, typer.Option("--config", metavar="FILE", help="The store's store.toml.")]
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on
CERTIFICATES = ("ca.pem", "broker.pem", "broker.key")
WIDTH = 100

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
store_commands.add_to(app)


@app.callback()
def store() -> None:
    """Make a store, its units and staff; say what is wrong with store.toml, make a PIN, show who is asked."""


def load_or_exit(path: Path) -> StoreConfig:
    """Return the store's configuration; say every fault and exit 1 when there is none."""
    try:
        return config_file.read_store(path)
    except ConfigFaults as wrong:
        _say_faults(path, wrong)
        raise typer.Exit(1) from None


def _say_faults(path: Path, wrong: ConfigFaults) -> None:
    for fault in wrong.faults:
        typer.echo(f"{path}: {fault}", err=True)
    typer.echo(f"{path}: {len(wrong.faults)} fault{'s' if len(wrong.faults) > 1 else ''}", err=True)


# --- stayby store check -----------------------------------------------------------------------------------------------


@app.command()
def check(
    *,
    config: CONFIG = DEFAULT_STORE,
    show: Annotated[
        bool, typer.Option("--show", help="Print what is in force, with defaults; secrets masked.")
    ] = False,
) -> None:
    """Print every fault of store.toml and of the files that it names, and exit 1; or "OK" and what may not be meant."""
    try:
        text, found = config_file.check(config, datetime.now(UTC))
    except ConfigFaults as wrong:
        _say_faults(config, wrong)
        raise typer.Exit(1) from None
    if not isinstance(found, StoreConfig):
        typer.echo(f"{config}: the file has no [store]: it is not a store.toml; give the right file", err=True)
        raise typer.Exit(1)
    if show:
        typer.echo(config_show.show(found, text), nl=False)
        return
    typer.echo(f"{config}: OK")
    for note in notes(found):
        typer.echo(f"note: {note}")


# --- stayby store broker ----------------------------------------------------------------------------------------------


@app.command()
def broker(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder that mosquitto will read.")],
    config: CONFIG = DEFAULT_STORE,
    user: Annotated[str, typer.Option("--user", help="As whom mosquitto runs.")] = "mosquitto",
) -> None:
    """Write mosquitto.conf and acl for this store into DIR: readable by nobody else, whole or not at all."""
    found = load_or_exit(config)
    sign_in = _sign_in_or_exit(found, config)
    folder = out.resolve()
    revocations = (folder / REVOCATIONS).exists()
    conf = mosquitto_text(
        folder, "", found.broker.port, sign_in, run_as=user, units=len(found.unit), revocations=revocations
    )
    try:
        write_private(folder, {"mosquitto.conf": conf, "acl": acl_of(found)}, user)
    except OSError as error:
        typer.echo(f"{folder}: {error.strerror}; name a folder that you may write, or run this with sudo", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{folder}: mosquitto.conf and acl written; {len(found.unit)} units and {len(found.staff)} staff")
    _say_what_is_left(folder, found, sign_in, user)


def _sign_in_or_exit(found: StoreConfig, path: Path) -> SignIn:
    """Return how everybody signs in; mosquitto asks everybody on one port for the same."""
    names = {board_user(found.store.id): found.broker.username}
    names |= {staff_user(one.id): one.username for one in found.staff if one.username or one.cert_file}
    names |= {relay_user(found.store.id): found.relay.username} if found.relay else {}
    given = {name: username for name, username in names.items() if username is not None}
    if given and len(given) < len(names):
        by_file = min(set(names) - set(given))
        says = f"{min(given)} signs in with a password, and {by_file} with a certificate"
        typer.echo(f"{path}: {says}; mosquitto asks for one of the two on a port: give everybody the same", err=True)
        raise typer.Exit(1)
    for name, username in given.items():
        if username != name:
            typer.echo(f"{path}: username {username!r} must be {name!r}: so the broker's rules name it", err=True)
            raise typer.Exit(1)
    return "password" if given else "certificate"


def write_private(folder: Path, files: dict[str, str], user: str) -> None:
    """Write all `files` into `folder`, readable by `user` alone where we may give them away, or leave it as it is."""
    is_new = not folder.exists()
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    if is_new and os.geteuid() == 0:
        _give(folder, user)  # it reads its rules only after it has become that user
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        for name, text in files.items():
            config_file.write_durably(new / name, text.encode(), 0o600)
            if os.geteuid() == 0:
                _give(new / name, user)
        for name in files:
            (new / name).replace(folder / name)
    finally:
        shutil.rmtree(new)


def _give(path: Path, user: str) -> None:
    try:
        shutil.chown(path, user)
    except LookupError:
        typer.echo(f"{path.name}: there is no user {user!r} here; give the file to whoever runs mosquitto", err=True)


def _say_what_is_left(folder: Path, found: StoreConfig, sign_in: SignIn, user: str) -> None:
    wanted = [*CERTIFICATES, *(["passwords"] if sign_in == "password" else [])]
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        typer.echo(f"still to put there: {', '.join(missing)}, readable for {user}")
    if sign_in == "certificate":
        first = unit_user(found.unit[0].id) if found.unit else unit_user("<unit>")
        typer.echo(f"each certificate's common name is the user: {board_user(found.store.id)}, {first}, …")
        typer.echo("ca.pem signs for this store alone: the broker lets in whoever it signed")
    typer.echo(f"run: mosquitto -c {folder}/mosquitto.conf; after a change of the rules: kill -HUP it")


# --- stayby store pin -------------------------------------------------------------------------------------------------


@app.command()
def pin() -> None:
    """Ask for a PIN twice, and print the line that goes below its [[staff]], or a unit's [service]; the PIN is kept nowhere."""
    first: str = typer.prompt("PIN, 4 to 12 digits", hide_input=True, err=True)
    try:
        plain = new_digits(first)
    except PinError as wrong:
        typer.echo(f"{wrong}", err=True)
        raise typer.Exit(1) from None
    again: str = typer.prompt("the same again", hide_input=True, err=True)
    if not secrets.compare_digest(again.strip().encode(), first.strip().encode()):
        typer.echo("the two are not the same; nothing was made, run it again", err=True)
        raise typer.Exit(1)
    typer.echo(f'pin = "{store_pin(plain)}"')


# --- stayby store invite ----------------------------------------------------------------------------------------------


@app.command(name="invite")
def invite_command(
    staff: Annotated[str, typer.Argument(metavar="STAFF", help="The id of one of [[staff]].")],
    *,
    config: CONFIG = DEFAULT_STORE,
) -> None:
    """Print a link that signs one of the staff in on their own phone, once, within a day; in a terminal a code to scan too."""
    found = load_or_exit(config)
    if staff not in {one.id for one in found.staff}:
        typer.echo(f"{config}: there is no [[staff]] with the id {staff!r}; see them by `stayby store rota`", err=True)
        raise typer.Exit(1)
    try:
        code = invite(found.store.state_dir, staff)
    except OSError as error:
        typer.echo(
            f"{error}; run this as the user of the board: sudo -u stayby-board stayby store invite {staff}", err=True
        )
        raise typer.Exit(1) from None
    address = _board_address(found.serve)
    link = f"{address}/invite/{code}"
    typer.echo(link)
    if sys.stdout.isatty():
        segno.make(link, error="m").terminal(out=sys.stdout, compact=True)
    _say_authority(found.serve, address)


def _say_authority(serve: ServeSection, address: str) -> None:
    """Say where a phone gets the certificate that it must trust, where the store has one of its own."""
    authority = offered(serve, lambda says: typer.echo(f"note: {says}", err=True))
    if authority is not None:
        says = "a phone that warns of the page first needs the store's certificate"
        typer.echo(f"note: {says}: {address}{PAGE}", err=True)
        typer.echo(f"note: its fingerprint (SHA-256): {authority.fingerprint}", err=True)


def _board_address(serve: ServeSection) -> str:
    """Return where a phone opens the board: by its name in [serve], else by the address on which it listens."""
    host = serve.names[0] if serve.names else serve.host
    if host in EVERYWHERE:
        host = socket.gethostname()
        typer.echo(
            f"note: the link says {host!r}, this machine's own name; if phones do not find it, set [serve] names",
            err=True,
        )
    if serve.proxies:
        return f"https://{host}"
    scheme = "http" if serve.cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{serve.port}"


# --- stayby store rota ------------------------------------------------------------------------------------------------


@app.command(name="rota")
def rota_command(
    *,
    config: CONFIG = DEFAULT_STORE,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help='At another time of the store\'s clocks: "2026-11-23T09:00".')
    ] = "",
) -> None:
    """Show who is asked first, second and last at each desk, now or at another time."""
    found = load_or_exit(config)
    now = _moment_or_exit(found, config, at)
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print(
        Text(f"{found.store.name}, {now:%A %Y-%m-%d %H:%M}{' ' + found.store.zone if found.store.zone else ''}")
    )
    console.print(rota_table(found, now))
    console.print(Text("Only whoever has the board or pager open is asked. On a break: when everyone is asked."))


def _moment_or_exit(found: StoreConfig, path: Path, at: str) -> datetime:
    try:
        zone = zoneinfo.ZoneInfo(found.store.zone) if found.store.zone else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        typer.echo(
            f'{path}: [store] zone: {found.store.zone!r} is no time zone; write it like "Europe/London"', err=True
        )
        raise typer.Exit(1) from None
    if not at:
        return datetime.now(zone or UTC).astimezone(zone)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        typer.echo(f'--at {at}: is no time; write it like "2026-11-23T09:00"', err=True)
        raise typer.Exit(1) from None
    return moment if moment.tzinfo is None else moment.astimezone(zone)


def rota_table(found: StoreConfig, now: datetime) -> Table:
    """Return a table of who is asked on which tier at each desk; who has none is in the last column."""
    table = Table("desk", *(f"{number}: {name}" for number, name in enumerate(found.tiers, 1)), "when everyone is")
    for unit, place in [(one.id, one.place) for one in found.unit] or [("", "any desk")]:
        asked: dict[int, list[str]] = {}
        for one in found.staff:
            tier = rota.tier_at(found, one.id, unit, now)
            asked.setdefault(tier if tier <= len(found.tiers) else len(found.tiers) + 1, []).append(one.name)
        cells = [", ".join(asked.get(number, [])) or "nobody" for number in range(1, len(found.tiers) + 2)]
        table.add_row(*(Text(cell) for cell in (place, *cells)))
    return table
