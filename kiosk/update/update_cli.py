"""`stayby update`: looks for an update, checks it, stages it, and has it installed, proven, and kept or put back."""

import contextlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from kiosk.bus import BusError, ask, runtime_socket
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.config import UnitConfig
from kiosk.incident import Incident
from kiosk.messages import AskStatus, BadMessage, StatusAnswer
from kiosk.safe_mode import FILE as SAFE_MODE
from kiosk.store import is_open
from kiosk.update import apply, pull, told
from kiosk.update.offer import BadOffer

APPLIER = "stayby-update-apply.service"
ANSWER_S = 5.0
FOLLOW_S = 1200.0
LOOK_S = 1.0


class NotNow(Exception):
    """It must wait; the text says why."""


EXITS = {NotNow: apply.NOT_NOW, pull.NothingNew: 0}


def update_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    place: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="A folder (a stick), a .deb, or a board's address.")
    ] = "",
    now: Annotated[bool, typer.Option("--now", help="Install it now, and not by night.")] = False,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Also an older one, one that went back, or on a unit that cannot prove itself."),
    ] = False,
    back: Annotated[bool, typer.Option("--back", help="Put back the version before.")] = False,
    wait: Annotated[bool, typer.Option(help="Stay until it is kept, or went back.")] = True,
) -> None:
    """Look for a newer Stayby at the store's board or on a stick, and check it; with --now install it, prove it, keep it."""
    unit = load_or_exit(config).config
    try:
        with apply.alone(_made(told.folder())):
            if _goes_on(other=now and anyway):
                begins = True
            elif back:
                begins = _recall(unit)
            else:
                begins = _take(unit, place, now=now, anyway=anyway)
    except (NotNow, BadOffer, OSError) as error:
        raise _stop(error) from None
    if begins:
        raise typer.Exit(_start(wait=wait))


def _made(where: Path) -> Path:
    where.mkdir(mode=0o755, parents=True, exist_ok=True)
    return where


def _stop(error: Exception) -> typer.Exit:
    """Say in one line why not; return how it ends."""
    if isinstance(error, BlockingIOError):
        error = NotNow("an update is under way: stayby status says how far")
    if isinstance(error, OSError):
        where = error.filename or told.folder()
        says, code = f"{where}: {error.strerror}; run it with sudo, and look for a full or read-only card", 1
    else:
        says, code = (
            str(error),
            apply.NOT_NOW if isinstance(error, NotNow) else 0 if isinstance(error, pull.NothingNew) else 1,
        )
    typer.echo(says, err=code != 0)
    return typer.Exit(code)


def _state() -> apply.State | None:
    try:
        return apply.load(told.folder())
    except apply.Unreadable as error:
        raise BadOffer(str(error)) from None


def _goes_on(*, other: bool) -> bool:
    """Whether an update is under way and merely has to go on; one that is stuck gives way to what a technician brings."""
    state = _state()
    if state is None or state.phase not in apply.UNDER_WAY:
        return False
    return not (other and state.phase is apply.Phase.GOING_BACK and state.trouble)


# --- taking one -------------------------------------------------------------------------------------------------------


def _take(unit: UnitConfig, place: str, *, now: bool, anyway: bool) -> bool:
    """Find, check and stage an update; return whether it is to be installed now."""
    before, here = _known(), pull.present()
    pull.refuse_a_root_that_forgets()
    if now:
        _look_for_calls(unit)
    state = _found(unit, place, before, here, anyway=anyway)
    typer.echo(f"{state.new.version} is checked, and {state.old.version} is kept beside it")
    if not now:
        typer.echo("it is installed by night; at once: sudo stayby update --now")
        return False
    _look_for_calls(unit)
    if not (anyway or _is_safe_mode(unit)):
        _prove_present(here)
    apply.save(told.folder(), apply.after(state, apply.Event.WANTED))
    return True


def _known() -> apply.State | None:
    """Return the state of what is installed; one that is of another version is over."""
    state = _state()
    if state is not None and apply.by_hand(state) is not None:
        (told.folder() / apply.STATE).unlink()
        return None
    if state is not None and state.phase is apply.Phase.GOING_BACK:
        return apply.after(state, apply.Event.DONE)  # stuck, and given up: what goes back stays refused
    return state


def _found(
    unit: UnitConfig, place: str, before: apply.State | None, here: pull.Present, *, anyway: bool
) -> apply.State:
    """Return what is staged: what is found now, or else what was staged before, by a technician with a stick."""
    try:
        found, offer = pull.choose(unit, place, here, before.refused if before else {}, anyway=anyway)
    except BadOffer as error:
        if place or before is None or not pull.is_staged(told.folder(), before, here):
            raise
        typer.echo(f"{error}; what was staged is taken")
        return before
    typer.echo(
        f"{offer.version} from {found.where}: signed by {offer.store} on {offer.signed_at.astimezone():%Y-%m-%d}"
    )
    duty = pull.on_duty(unit, safe_mode=_is_safe_mode(unit))
    return pull.stage(told.folder(), found, offer, here, before, duty)


def _is_safe_mode(unit: UnitConfig) -> bool:
    return (unit.unit.state_dir / SAFE_MODE).exists()


def _look_for_calls(unit: UnitConfig) -> None:
    """Raise `NotNow` while a call is open, by the hub or, where it is away, by what it keeps."""
    try:
        answer = ask(runtime_socket(unit.unit.run_dir), AskStatus(), ANSWER_S)
    except (BusError, BadMessage):
        if is_open(_kept_incident(unit.unit.state_dir / "state.db")):
            raise NotNow(
                "the hub does not answer, and a call is open in its memory: not now; see: stayby doctor"
            ) from None
        return
    if isinstance(answer, StatusAnswer) and answer.incident is not None:
        raise NotNow("a call is open here: not now; it is tried again next night")
    if isinstance(answer, StatusAnswer) and answer.walk_until:
        raise NotNow(f"a walk test goes on until {answer.walk_until}: not now")


def _kept_incident(path: Path) -> Incident | None:
    """Return the incident that the hub keeps; None when none can be read there. A copy is read: we may not write beside it."""
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made) / path.name
        try:
            for tail in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{tail}", f"{copy}{tail}")
            with contextlib.closing(sqlite3.connect(copy)) as database:
                rows = database.execute("SELECT body FROM incident").fetchall()
            return Incident.model_validate_json(rows[0][0]) if rows else None
        except (OSError, sqlite3.Error, ValidationError):
            return None


def _prove_present(here: pull.Present) -> None:
    """Raise unless what runs here can prove itself: else nobody could tell what an update broke."""
    typer.echo(f"{here.version} proves itself first …")
    code, said = apply.ask("stayby", "prove", within_s=apply.PROVE_S)
    if code == apply.NOT_NOW:
        raise NotNow(f"not now: {apply.last_line(said)}")
    if code != 0:
        says = f"{here.version} cannot prove itself ({apply.missed(said)})"
        raise BadOffer(f"{says}; repair the unit first: stayby doctor. A technician may: --anyway")


# --- going back -------------------------------------------------------------------------------------------------------


def _recall(unit: UnitConfig) -> bool:
    state = _state()
    if state is None or state.phase is not apply.Phase.GOOD or state.new.version != pull.present().version:
        raise BadOffer("there is no update to take back: install the version that you want: --from FILE --anyway")
    if not apply.is_whole(told.folder(), state.old):
        raise BadOffer(f"{state.old.version} is no longer kept here: install it: --from FILE --anyway")
    _look_for_calls(unit)
    apply.save(told.folder(), apply.after(state, apply.Event.RECALLED))
    return True


# --- having it done ---------------------------------------------------------------------------------------------------


def _start(*, wait: bool) -> int:
    """Have the update go on; with `wait` say how it goes, and return 1 when it went back."""
    starter = ["/usr/bin/python3", "-I", str(told.folder() / pull.STARTER)]
    if not apply.has_systemd() or shutil.which("systemctl") is None:
        return subprocess.run(starter, check=False).returncode or _ended()
    subprocess.run(["systemctl", "start", "--no-block", APPLIER], check=True)
    return _follow() if wait else 0


def _follow() -> int:
    """Say each step as it comes. What is imported is imported: our own files change meanwhile."""
    said, until_s = "", time.monotonic() + FOLLOW_S
    while time.monotonic() < until_s:
        state = _state()
        if state is None:
            return 1
        if (says := told.line(state)) != said:
            typer.echo(says)
            said = says
        if state.phase not in apply.UNDER_WAY:
            return _ended()
        time.sleep(LOOK_S)
    typer.echo("it goes on by itself; stayby status says how far")
    return 0


def _ended() -> int:
    state = _state()
    return 0 if state is not None and state.phase is apply.Phase.GOOD else 1
