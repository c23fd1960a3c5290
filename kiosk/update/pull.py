"""Looks for an update, checks all that can be checked before anything changes, and stages it with the way back beside it."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kiosk.config import UnitConfig
from kiosk.provision.source import mounted_sticks
from kiosk.update import apply, find, keep, package
from kiosk.update.offer import PACKAGE, PATH, BadOffer, Offer, verify

STARTER = "apply.py"
SLACK_BYTES = 100 * 1024 * 1024
"""Room that is left for all else that the machine writes meanwhile."""
SQUEEZED = 0.7
"""How large a package is at most beside what it installs, quickly compressed."""
ASK_S = 300.0
EAR, SCREEN = "stayby-listen", "stayby-ui"
SERVICES = ("stayby-alertd", EAR, SCREEN, "stayby-board", "stayby-relay")
MOVES = re.compile(r"^(?:Inst|Remv) (\S+)", re.MULTILINE)
FORGETS = ("boot=overlay", "overlayroot=")
"""Words of the kernel's command line by which a root forgets at its next start all that was written."""


@dataclass(frozen=True)
class Present:
    """What runs here now."""

    version: str
    architecture: str


class NothingNew(BadOffer):
    """There is no update to take; its text says so, and nothing is wrong."""


# --- what is here -----------------------------------------------------------------------------------------------------


def present() -> Present:
    """Return what is installed; raise `BadOffer` when dpkg does not know it, or not wholly."""
    version, whole = apply.installed()
    if not version:
        raise BadOffer("dpkg does not know Stayby here: this is no unit that was installed by its package")
    if not whole:
        raise BadOffer(
            f"{version} is half installed; install it again first: sudo apt install --reinstall ./stayby_….deb"
        )
    return Present(version, apply.ask("dpkg", "--print-architecture", errors=subprocess.DEVNULL)[1].strip())


def refuse_a_root_that_forgets(command_line: Path = Path("/proc/cmdline")) -> None:
    """Raise `BadOffer` where what is installed would not be there after the next start."""
    if any(word in command_line.read_text(errors="replace") for word in FORGETS):
        raise BadOffer("this root forgets what is written at its next start (overlay); switch that off for the update")
    if os.statvfs(keep.root() / "usr").f_flag & os.ST_RDONLY and not _in_service():
        raise BadOffer("/usr is read-only; for the update: sudo mount -o remount,rw /")


def _in_service() -> bool:
    """Whether systemd shut us out of /usr ourselves (ProtectSystem=): whether it can be written is for the service that does."""
    return "INVOCATION_ID" in os.environ


def is_newer(one: str, other: str) -> bool:
    """Return whether a version comes after another, as dpkg has it."""
    return apply.ask("dpkg", "--compare-versions", one, "gt", other)[0] == 0


def on_duty(unit: UnitConfig, *, safe_mode: bool) -> tuple[str, ...]:
    """Return the services that must run once an update is in: those that do now, and those that safe mode keeps down."""
    if not apply.has_systemd():
        return ()
    kept_down = {SCREEN, *([EAR] if unit.listen is not None else [])} if safe_mode else set()
    return tuple(one for one in SERVICES if one in kept_down or apply.ask("systemctl", "is-active", "-q", one)[0] == 0)


# --- looking ----------------------------------------------------------------------------------------------------------


Place = Callable[[], Iterable[find.Found]]


def places(unit: UnitConfig, given: str, architecture: str) -> Iterator[Place]:
    """Yield where to look: at the place that was given, or else at the board, then on each stick. A place raises `BadOffer`."""
    if given.startswith(("http://", "https://")):
        yield lambda: [find.at_board(given.removesuffix(PATH), architecture)]
    elif given.endswith(".deb"):
        yield lambda: [find.from_files(Path(given))]
    elif given:
        yield lambda: find.in_folder(Path(given), architecture)
    else:
        if unit.unit.board:
            yield lambda: [find.at_board(unit.unit.board, architecture)]
        for stick in mounted_sticks():
            yield functools.partial(find.in_folder, stick, architecture)


def choose(
    unit: UnitConfig, given: str, here: Present, refused: dict[str, str], *, anyway: bool
) -> tuple[find.Found, Offer]:
    """Return the first offer that may be taken; raise `NothingNew`, or `BadOffer` for the first that was wrong."""
    authority = unit.broker.ca_file.read_bytes()
    wrong: list[BadOffer] = []
    for place in places(unit, given, here.architecture):
        try:
            for found in place():
                try:
                    return found, _judged(found, authority, unit.unit.store, here, refused, anyway=anyway)
                except BadOffer as error:
                    wrong.append(error)
        except BadOffer as error:
            wrong.append(error)
    fine = (NothingNew,) if given else (NothingNew, find.NothingThere)
    bad = [error for error in wrong if not isinstance(error, fine)]
    if bad:
        raise bad[0]
    raise NothingNew(str(wrong[0]) if wrong else "there is no board and no stick to look at; name one: --from")


def _judged(
    found: find.Found, authority: bytes, store: str, here: Present, refused: dict[str, str], *, anyway: bool
) -> Offer:
    try:
        offer = verify(found.signed, authority, store)
    except BadOffer as error:
        raise BadOffer(f"{found.where} {error}") from None
    if offer.architecture != here.architecture:
        raise BadOffer(f"{found.where} is for {offer.architecture}; this machine is {here.architecture}")
    if offer.version == here.version:
        raise NothingNew(f"{found.where}: {offer.version} is what runs here")
    if not anyway and not is_newer(offer.version, here.version):
        raise BadOffer(
            f"{found.where}: {offer.version} is older than {here.version}, which runs here; a technician may: --anyway"
        )
    if not anyway and offer.version in refused:
        why = refused[offer.version]
        raise NothingNew(
            f"{offer.version} was tried and went back ({why}); a newer one is awaited. A technician may: --anyway"
        )
    return offer


# --- staging ----------------------------------------------------------------------------------------------------------


def stage(
    folder: Path, found: find.Found, offer: Offer, here: Present, before: apply.State | None, duty: tuple[str, ...]
) -> apply.State:
    """Put a package into the folder, and the present one beside it; return what is staged. Raises `BadOffer`, `OSError`."""
    at_hand = _staged_before(folder, before, offer)
    keeps = _kept_before(folder, before, here)
    _drop_others(folder, {offer.file_name, *([before.old.file, before.new.file] if before else [])})
    _look_for_room(folder, offer, fetched=at_hand, kept=keeps is not None)
    target = folder / offer.file_name
    if not at_hand:
        package.write_durably(_checked(found, offer), target)
    new_kib = _look_inside(target, offer)
    _look_for_room(folder, offer, fetched=True, kept=keeps is not None, new_kib=new_kib)
    _look_at_dependencies(target)
    kept = keeps or _keep(folder, here)
    refused = before.refused if before else {}
    state = apply.State(
        phase=apply.Phase.STAGED,
        old=kept,
        new=apply.Kept(offer.version, offer.file_name, offer.sha256),
        duty=duty,
        refused={version: why for version, why in refused.items() if version != offer.version},
    )
    package.write_durably(package.chunks(Path(apply.__file__)), folder / STARTER)
    apply.save(folder, state)
    _drop_others(folder, {state.old.file, state.new.file})  # not before: until here the former way back is the only one
    return state


def is_staged(folder: Path, state: apply.State, here: Present) -> bool:
    """Return whether an update lies there that was checked, and still fits what runs here."""
    fits = state.phase is apply.Phase.STAGED and state.old.version == here.version
    return fits and apply.is_whole(folder, state.old) and apply.is_whole(folder, state.new)


def _staged_before(folder: Path, before: apply.State | None, offer: Offer) -> bool:
    new = before.new if before else None
    return new is not None and (new.file, new.sha256) == (offer.file_name, offer.sha256) and apply.is_whole(folder, new)


def _kept_before(folder: Path, before: apply.State | None, here: Present) -> apply.Kept | None:
    """Return the package of what runs here, if an earlier update left it."""
    if before is None:
        return None
    mine = [one for one in (before.old, before.new) if one.version == here.version]
    return next((one for one in mine if apply.is_whole(folder, one)), None)


def _keep(folder: Path, here: Present) -> apply.Kept:
    name = f"{PACKAGE}_{here.version}_{here.architecture}.deb"
    try:
        keep.rebuild(folder / name)
    except keep.CannotKeep as error:
        raise BadOffer(str(error)) from None
    return apply.Kept(here.version, name, package.digest(folder / name))


def _drop_others(folder: Path, keeps: set[str]) -> None:
    for old in folder.glob(f"{PACKAGE}_*"):
        if old.name not in keeps:
            old.unlink()


def _look_for_room(folder: Path, offer: Offer, *, fetched: bool, kept: bool, new_kib: int = 0) -> None:
    """Raise `BadOffer` unless the card has room for the package, the way back, and all files twice while dpkg unpacks."""
    here_kib = int(_installed_size() or "0")
    there = (0 if fetched else offer.size) + (0 if kept else int(1024 * here_kib * SQUEEZED))
    unpacks = int(1024 * max(here_kib, new_kib) * 1.2)
    for place, wants in _together({folder: there, keep.root() / "usr": unpacks}).items():
        free = shutil.disk_usage(place).free
        if free < wants + SLACK_BYTES:
            raise BadOffer(
                f"{place} has {free / 1e6:.0f} MB free, and {(wants + SLACK_BYTES) / 1e6:.0f} MB are needed; make room"
            )


def _installed_size() -> str:
    show = ("dpkg-query", "--show", "--showformat=${Installed-Size}", PACKAGE)
    return apply.ask(*show, errors=subprocess.DEVNULL)[1].strip()


def _together(wants: dict[Path, int]) -> dict[Path, int]:
    """Return what each file system must have, named by one folder of it."""
    found: dict[int, tuple[Path, int]] = {}
    for place, size in wants.items():
        device = place.stat().st_dev
        first, more = found.get(device, (place, 0))
        found[device] = first, more + size
    return dict(found.values())


def _checked(found: find.Found, offer: Offer) -> Iterator[bytes]:
    """Yield a package as it comes; raise `BadOffer` once it cannot be the one that was signed."""
    digest, size = hashlib.sha256(), 0
    for chunk in found.chunks(offer):
        size += len(chunk)
        if size > offer.size:
            raise BadOffer(
                f"{found.where}: the package is longer than the {offer.size} bytes that were signed; not taken"
            )
        digest.update(chunk)
        yield chunk
    if size < offer.size:
        raise BadOffer(f"{found.where}: the package ends after {size} of {offer.size} bytes; copy it again")
    if digest.hexdigest() != offer.sha256:
        raise BadOffer(f"{found.where}: the package is not the one that was signed; copy it again, or sign it again")


def _look_inside(target: Path, offer: Offer) -> int:
    """Return how many KiB a package says that it installs; raise `BadOffer` where it is not what was signed."""
    try:
        says = package.fields(target)
    except package.BadPackage as error:
        raise BadOffer(str(error)) from None
    named = (says.get("Package"), says.get("Version"), says.get("Architecture"))
    if named != (offer.package, offer.version, offer.architecture):
        raise BadOffer(
            f"{target}: it says {' '.join(filter(None, named))}, and {offer.version} was signed; sign it again"
        )
    size = says.get("Installed-Size", "")
    return int(size) if size.isdecimal() else 0


def _look_at_dependencies(target: Path) -> None:
    """Raise `BadOffer` if it needs what is not here: nothing is downloaded by night, and nothing removed."""
    ask = [
        "apt-get",
        "--simulate",
        "--quiet",
        "--allow-downgrades",
        "--no-install-recommends",
        "install",
        str(target),
    ]
    try:
        done = subprocess.run(
            ask, capture_output=True, text=True, check=False, timeout=ASK_S, env=os.environ | {"LC_ALL": "C"}
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BadOffer(f"apt-get does not answer ({error}); look at the card: stayby doctor") from None
    needs = sorted(set(MOVES.findall(done.stdout)) - {PACKAGE})
    unmet = [line.strip() for line in done.stdout.splitlines() if "Depends:" in line]
    if done.returncode or needs:
        what = ", ".join(needs) or (unmet or [apply.last_line(done.stderr)])[0]
        raise BadOffer(f"it needs what is not here ({what}); a technician installs that first, with apt")
