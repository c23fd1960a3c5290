"""`stayby join`: makes this machine the unit of a claim. It never shows a code, a key or what a claim holds."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kiosk.cli import CONFIG, DEFAULT_CONFIG
from kiosk.config import UnitConfig
from kiosk.provision import identity, source
from kiosk.provision.claim import PATH, BadClaim, Claim, Sealed, check_dates
from kiosk.provision.code import BadCode
from kiosk.provision.proof import NotProven, Proof, prove, runs_here
from kiosk.provision.seal import open_with

TRIES = 3
SOURCE = Annotated[
    str, typer.Argument(metavar="FROM", help="A claim's file, a folder, or the address on the manager's paper.")
]


def join_command(
    source_: SOURCE = "",
    *,
    config: CONFIG = DEFAULT_CONFIG,
    unit: Annotated[str, typer.Option(help="Which unit, where there are claims of several.")] = "",
    later: Annotated[
        bool, typer.Option("--later", help="Keep it without the broker: prepared away from the store.")
    ] = False,
) -> None:
    """Make this machine a unit of its store, from a USB stick or the store's board; asks for the code, shows no secret."""
    try:
        found = _found(source_, unit)
        typer.echo(f"claim of {found.claim.unit}, store {found.claim.store}, from {found.where}")
        check_dates(found.claim, datetime.now(UTC))
        sealed = _opened(found.claim)
        made, had_one = identity.install(
            found.claim,
            sealed,
            config.absolute(),
            datetime.now(UTC),
            lambda it: _say_later() if later else _say_proof(it),
        )
    except (BadClaim, BadCode, NotProven) as error:
        raise _stop(str(error)) from None
    except OSError as error:
        raise _stop(
            f"{error.filename or config}: {error.strerror}; run it with sudo, and look for a full or read-only disk"
        ) from None
    typer.echo(f'{config}: written. This is {made.unit.id}, "{made.unit.place}", of {made.unit.store}')
    if had_one:
        typer.echo(f"what was there before is kept as {config}{identity.BEFORE}")
    typer.echo("now: sudo systemctl restart stayby.target, then: stayby doctor")


def _stop(says: str) -> typer.Exit:
    typer.echo(f"{says}", err=True)
    typer.echo("nothing was changed", err=True)
    return typer.Exit(1)


# --- which claim ------------------------------------------------------------------------------------------------------


def _found(given: str, unit: str) -> source.Found:
    if given and Path(given).is_dir():
        return _chosen([Path(given)], unit)
    if given and Path(given).exists():
        return source.from_file(Path(given))
    if given:
        return source.from_board(_address(given, unit))
    sticks = source.mounted_sticks()
    return _chosen(sticks, unit) if sticks else _asked(unit)


def _address(given: str, unit: str) -> str:
    if PATH in given:
        return given if "://" in given else source.address_of(given)
    return source.address_of(given, unit or typer.prompt("The unit's id, as it stands on the paper"))


def _asked(unit: str) -> source.Found:
    """Say what is with the sticks, and ask for the board's address."""
    for device in source.unmounted_sticks():
        typer.echo(
            f"{device} is plugged in but not mounted; to use it: sudo mount -o ro {device} /mnt, then join again"
        )
    given: str = typer.prompt("No USB stick is mounted here. The address on the paper")
    return source.from_board(_address(given, unit))


def _chosen(folders: list[Path], unit: str) -> source.Found:
    """Return the one claim there is, or the one that is chosen; a file that is none is said and passed by."""
    looked = [source.in_folder(folder) for folder in folders]
    for wrong in (line for _, lines in looked for line in lines):
        typer.echo(f"passed by: {wrong}", err=True)
    found = [one for claims, _ in looked for one in claims if not unit or one.claim.unit == unit]
    places = ", ".join(str(folder) for folder in folders)
    if not found:
        which = f" of {unit}" if unit else ""
        raise BadClaim(f"no claim{which} lies in {places}; copy the file {unit or 'UNIT'}.claim there")
    if len(found) == 1:
        return found[0]
    for number, one in enumerate(found, 1):
        typer.echo(f"{number}: {one.claim.unit}, made {one.claim.made:%Y-%m-%d}, {one.where}")
    chosen: int = typer.prompt("Which one", type=int)
    if not 1 <= chosen <= len(found):
        raise BadClaim(f"{chosen} is none of them; join again, and type a number from 1 to {len(found)}")
    return found[chosen - 1]


def _opened(claim: Claim) -> Sealed:
    """Ask for the code until it opens the claim, three times at most."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return open_with(claim, _typed_code())
        except (BadCode, BadClaim) as error:
            if not left:
                raise
            typer.echo(f"{error}", err=True)
    raise AssertionError("the last try returns or raises")


def _typed_code() -> str:
    """Return what is typed without showing it; from a pipe, its next line."""
    if sys.stdin.isatty():
        return str(typer.prompt("Code (it does not show)", hide_input=True))
    return sys.stdin.readline()


# --- the broker -------------------------------------------------------------------------------------------------------


def _say_later() -> None:
    typer.echo("the broker was not asked: run `stayby doctor` where the unit will stand")


def _say_proof(unit: UnitConfig) -> None:
    where = f"broker {unit.broker.host}:{unit.broker.port}"
    typer.echo(f"{where}: asking …")
    proof = prove(unit, is_us=lambda: runs_here(unit))
    typer.echo(f"{where}: {proof_words(proof)}")


def proof_words(proof: Proof) -> str:
    """Return what was proven, in one line."""
    others = (
        "may not write for others"
        if proof.others_refused
        else "whether it may write for others, MQTT 3.1.1 does not say"
    )
    back_ms = 1000 * proof.there_and_back_s
    return f"signed in after {proof.connected_s:.1f} s; wrote its status and read it back in {back_ms:.0f} ms; {others}"
