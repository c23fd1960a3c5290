"""`stayby store new`, `add-unit`, `add-staff`, `renew` and `revoke`: what a manager does with the folder of a store."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kiosk import config_file
from kiosk.broker_files import staff_user, unit_user
from kiosk.config_faults import ConfigFaults
from kiosk.messages import ID_PATTERN
from kiosk.numbers import NUMBERS
from kiosk.provision import put
from kiosk.provision.authority import AuthorityError
from kiosk.provision.publish import publish
from kiosk.provision.store_folder import BROKER_FOLDER, NewStore, StoreFolder, create
from kiosk.store_config import StoreConfig

FOLDER = Annotated[Path, typer.Option("--in", metavar="FOLDER", help="The folder that `stayby store new` made.")]
HERE = Path()
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|[0-9a-fA-F:]{2,39}")


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Say what cannot be in one line each, and exit 1."""
    try:
        yield
    except ConfigFaults as wrong:
        for fault in wrong.faults:
            typer.echo(f"{fault}", err=True)
        raise typer.Exit(1) from None
    except AuthorityError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        says = f"{error.filename or 'this folder'}: {error.strerror}; run this as who made the folder, and look for a full disk"
        typer.echo(says, err=True)
        raise typer.Exit(1) from None


def _now() -> datetime:
    return datetime.now(UTC)


# --- new --------------------------------------------------------------------------------------------------------------


def _id(given: str) -> str:
    if not re.fullmatch(ID_PATTERN, given):
        raise typer.BadParameter(f"{given!r} is not an id; use a-z, 0-9, - and _ only, at most 32 of them")
    return given


def _host(given: str) -> str:
    if not HOST.fullmatch(given):
        raise typer.BadParameter(f'{given!r} is no host name or address; write it like "broker.harbour.example"')
    return given.lower()


def _zone(given: str) -> str:
    if not config_file.is_zone(given):
        raise typer.BadParameter(f'{given!r} is no time zone; write it like "Europe/London"')
    return given


def _country(given: str) -> str:
    if given and given.upper() not in NUMBERS:
        raise typer.BadParameter(f'the numbers of {given!r} are not known here; leave it empty, or write it like "GB"')
    return given.upper()


def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, on a machine that you keep.")],
    *,
    store_id: Annotated[
        str, typer.Option("--id", prompt='The store\'s id, such as "harbour"', help="The store's id.", callback=_id)
    ],
    name: Annotated[str, typer.Option(prompt='Its name, "Harbour Stores"', help="What people call it.")],
    broker: Annotated[
        str, typer.Option(prompt="The broker's host name or address", help="The broker's host.", callback=_host)
    ],
    board: Annotated[
        str, typer.Option(prompt="The board's host name or address", help="The board's host.", callback=_host)
    ],
    zone: Annotated[
        str, typer.Option(prompt='Its time zone, "Europe/London"', help="The store's time zone.", callback=_zone)
    ],
    address: Annotated[
        str, typer.Option(prompt="What to tell an ambulance: street, town, entrance", help="The store's address.")
    ],
    manager_id: Annotated[
        str, typer.Option("--manager", prompt='The first manager\'s id, "alex"', help="Their id.", callback=_id)
    ],
    manager_name: Annotated[str, typer.Option(prompt='Their first name, "Alex"', help="Their name.")],
    country: Annotated[
        str,
        typer.Option(
            prompt='Its country, two letters, "GB"; empty if not known here', help="The country.", callback=_country
        ),
    ] = "",
    broker_port: Annotated[int, typer.Option(help="The broker's TLS port.")] = 8883,
    board_port: Annotated[int, typer.Option(help="The board's TLS port.")] = 8443,
    broker_folder: Annotated[Path, typer.Option(help="Where mosquitto will read its files.")] = BROKER_FOLDER,
    broker_user: Annotated[str, typer.Option(help="As whom mosquitto runs.")] = "mosquitto",
) -> None:
    """Make a new store's folder; asks for what is not given."""
    wanted = NewStore(
        id=store_id,
        name=name,
        broker=broker,
        board=board,
        zone=zone,
        country=country,
        address=address,
        manager_id=manager_id,
        manager_name=manager_name,
        broker_port=broker_port,
        board_port=board_port,
        broker_folder=broker_folder,
        broker_user=broker_user,
    )
    with one_line():
        made = create(folder, wanted, _now())
    typer.echo(f"{folder}: made. {folder}/authority lets anybody into this store: it goes to no other machine")
    typer.echo("keep a copy of the whole folder where nobody else can take it")
    typer.echo(f"its fingerprint (SHA-256), to compare on phones: {made.authority.fingerprint}")
    if not country:
        says = "without a country its units show 112; ask who answers for first aid, and set emergency_number and police_number"
        typer.echo(f"{folder}/unit.toml: {says} there")
    _say_where_it_goes(made, board=True, broker=True)
    typer.echo(f"then each unit: stayby store add-unit desk-3 --place 'Service desk 3' --in {folder}")


# --- units and staff --------------------------------------------------------------------------------------------------


def add_unit(
    unit: Annotated[str, typer.Argument(metavar="ID", help='The unit\'s id, such as "desk-3".')],
    *,
    place: Annotated[str, typer.Option(help='What people call the desk: "Service desk 3".')] = "",
    folder: FOLDER = HERE,
    again: Annotated[bool, typer.Option("--again", help="A new claim; what the unit had is revoked.")] = False,
    phone: Annotated[str, typer.Option(help="A phone number at the desk.")] = "",
    address: Annotated[str, typer.Option(help="What to tell an ambulance, if not the store's.")] = "",
    defibrillator: Annotated[str, typer.Option(help="Where the nearest one hangs.")] = "",
    refuge: Annotated[str, typer.Option(help='Where people are: "the pharmacy counter".')] = "",
    meet: Annotated[str, typer.Option(help='Where an ambulance crew is met: "the east door".')] = "",
) -> None:
    """Add a unit: its certificate, claim and paper."""
    given = {"phone": phone, "address": address, "defibrillator": defibrillator, "refuge": refuge, "meet": meet}
    if not place and not again:
        place = typer.prompt('What people call the desk, "Service desk 3"')
    with one_line():
        made = StoreFolder(folder)
        claimed = made.add_unit(unit, place, {key: value for key, value in given.items() if value}, _now(), again=again)
    typer.echo(f"{unit}: its claim is made, and holds until {claimed.ends.day} {claimed.ends:%B %Y}")
    typer.echo(f"code:   {claimed.code}")
    typer.echo(f"paper:  {claimed.paper} (print it for the technician; keep it from others)")
    typer.echo(f"claim:  {claimed.file} (for a USB stick; the board hands it out at {claimed.address})")
    _say_where_it_goes(made, board=True, broker=True)


def add_staff(
    staff: Annotated[str, typer.Argument(metavar="ID", help='Their id, such as "sam".')],
    *,
    name: Annotated[str, typer.Option(prompt='Their first name, "Sam"', help="What the customer reads.")],
    manager: Annotated[bool, typer.Option("--manager", help="They may see reports, sessions, follow-ups.")] = False,
    folder: FOLDER = HERE,
) -> None:
    """Add one of the staff, with a certificate."""
    with one_line():
        made = StoreFolder(folder)
        made.add_staff(staff, name, "manager" if manager else "staff", _now())
    typer.echo(f"{staff}: added; on the board's machine then: stayby store invite {staff}")
    _say_where_it_goes(made, board=True, broker=True)


def add_relay(
    *,
    home_assistant: Annotated[bool, typer.Option("--home-assistant", help="A certificate for it, too.")] = False,
    folder: FOLDER = HERE,
) -> None:
    """Add the relay, with a certificate.

    Again: a new one, and the former is revoked.
    """
    with one_line():
        made = StoreFolder(folder)
        made.add_relay(_now(), home_assistant=home_assistant)
    typer.echo("the relay has its certificate; on the board's machine then: sudo systemctl enable --now stayby-relay")
    if home_assistant:
        typer.echo(f"{folder}/home-assistant/* are for Home Assistant's MQTT integration")
    _say_where_it_goes(made, board=True, broker=True)


# --- taking back and renewing -----------------------------------------------------------------------------------------


def revoke(
    who: Annotated[str, typer.Argument(metavar="ID", help="A unit or one of the staff, stolen, lost or gone.")],
    *,
    folder: FOLDER = HERE,
) -> None:
    """Shut out a unit or one of the staff.

    It takes away certificates, rights at the broker, the claim, and the place in store.toml.
    """
    with one_line():
        made = StoreFolder(folder)
        done = made.revoke(_user(made.store(), who), _now())
    typer.echo(f"{done.user}: out of store.toml; {done.certificates} certificate(s) revoked")
    if done.rota_lines_gone:
        typer.echo(f"{done.rota_lines_gone} line(s) of the rota were for nothing else, and are gone too")
    _say_where_it_goes(made, board=True, broker=True)
    typer.echo("that takes every right from it at once; a connection that it still has ends with:")
    typer.echo("  sudo systemctl restart mosquitto    # everybody else is back within seconds")


def _user(store: StoreConfig, who: str) -> str:
    """Return the broker's user of a unit or one of the staff; "unit-desk-3" says which where both have an id."""
    users = [unit_user(one.id) for one in store.unit] + [staff_user(one.id) for one in store.staff]
    found = [user for user in users if who in {user, user.partition("-")[2]}]
    if len(found) == 1:
        return found[0]
    says = f"{who!r} is a unit and one of the staff" if found else f"there is neither a unit nor staff {who!r}"
    do = f"say {' or '.join(found)}" if found else "see them in store.toml"
    typer.echo(f"{says}; {do}", err=True)
    raise typer.Exit(1)


def renew(
    *,
    folder: FOLDER = HERE,
) -> None:
    """Sign anew all that ends within 90 days.

    For the same keys: units fetch theirs from the board by themselves.
    """
    with one_line():
        made = StoreFolder(folder)
        done = made.renew(_now())
    for entry in done:
        typer.echo(f"{entry.user}: renewed until {entry.ends.day} {entry.ends:%B %Y}")
    if not done:
        typer.echo("nothing ends within 90 days")
        return
    _say_where_it_goes(made, board=True, broker=any(entry.user == "broker" for entry in done))


def update(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Packages, one for each architecture.")],
    *,
    folder: FOLDER = HERE,
) -> None:
    """Sign packages for this store's units.

    Each unit fetches the one of its architecture from the board by night, and keeps it once it has proven itself with it.
    """
    with one_line():
        made = StoreFolder(folder)
        offers = publish(made, files, _now())
    for offer in offers:
        typer.echo(f"{offer.version} for {offer.architecture}: signed, {offer.size / 1e6:.0f} MB")
    typer.echo(f"a unit without the board's network takes both files of {folder}/board/updates from a stick")
    _say_where_it_goes(made, board=True, broker=False)


def put_command(
    part: Annotated[put.Part, typer.Argument(help="What this machine runs.")],
    *,
    folder: FOLDER = HERE,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Another folder than the service's own.")] = None,
) -> None:
    """Put board/ or broker/ where its service reads it.

    Run it as root on the machine of that service, and it reads all anew.
    """
    place = put.PLACES[part]
    with one_line():
        files, restart = put.put(folder / part, part, to)
    typer.echo(f"{to or place.folder}: {files} files are in place")
    if to is None:
        typer.echo(put.reread(place.service, restart=restart))


def _say_where_it_goes(made: StoreFolder, *, board: bool, broker: bool) -> None:
    """Print the commands that bring what changed to the machines that need it."""
    folder = made.folder
    if broker:
        typer.echo("on the broker's machine, with a copy of broker/:")
        typer.echo(f"  sudo stayby store put broker --in {folder}")
    if board:
        typer.echo("on the board's machine, with a copy of board/:")
        typer.echo(f"  sudo stayby store put board --in {folder}")


def add_to(app: typer.Typer) -> None:
    """Put these commands into `stayby store`."""
    app.command()(new)
    app.command(name="add-unit")(add_unit)
    app.command(name="add-staff")(add_staff)
    app.command(name="add-relay")(add_relay)
    app.command()(renew)
    app.command()(revoke)
    app.command()(update)
    app.command(name="put")(put_command)
