"""Puts a part of a store's folder where the board or the broker reads it, on their own machine: `stayby store put`.

The part may have come on a stick: the authority is not needed. Each file is replaced whole; store.toml and mosquitto.conf come
last, so that what they name is there before. Of the claims and updates, those that the folder no longer has are taken away.
"""

import filecmp
import grp
import os
import pwd
import shutil
import subprocess
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from kiosk.config_file import read_store, write_durably
from kiosk.provision.authority import AuthorityError
from kiosk.update import package

LAST = ("store.toml", "mosquitto.conf")
DROPPED = ("claims", "updates")
PACKAGE = ".deb"
SYSTEMCTL_S = 60.0


class Part(StrEnum):
    """What of a store's folder a machine needs: what it runs."""

    BOARD = "board"
    BROKER = "broker"


class Place(NamedTuple):
    """Where a part goes: the folder, who owns it, with which rights, and the service that reads it."""

    folder: Path
    user: str
    group: str
    mode: int
    service: str


PLACES: dict[Part, Place] = {
    Part.BOARD: Place(Path("/etc/stayby"), "root", "stayby", 0o640, "stayby-board"),
    Part.BROKER: Place(Path("/etc/mosquitto"), "mosquitto", "mosquitto", 0o600, "mosquitto"),
}


def put(source: Path, part: Part, to: Path | None) -> tuple[int, bool]:
    """Copy the files of a part to its place, or to a folder of our own; return how many, and whether its service must restart.

    Raises `AuthorityError`, `ConfigFaults`, `OSError`; what was there is then there still, or newer file by file.
    """
    files = sorted((one for one in source.rglob("*") if one.is_file()), key=lambda one: one.name in LAST)
    if not any(one.name in LAST for one in files):
        raise AuthorityError(f"{source} is no {part}/ of a store; name the folder that `stayby store new` made")
    if part is Part.BOARD:
        read_store(source / "store.toml")  # its files' rights are no matter here: a stick has none
    owner, group = _owner(PLACES[part]) if to is None else (-1, -1)
    to = to or PLACES[part].folder
    restart = not _same(files[-1], to / files[-1].name)
    for file in files:
        target = to / file.relative_to(source)
        _make_folder(target.parent, owner, group)
        _copy(file, target, PLACES[part].mode, group)
        os.chown(target, owner, -1)
    for folder in DROPPED if part is Part.BOARD else ():
        _drop(to / folder, {one.name for one in files})
    return len(files), restart


def _same(one: Path, other: Path) -> bool:
    return other.exists() and filecmp.cmp(one, other, shallow=False)


def _copy(file: Path, target: Path, mode: int, group: int) -> None:
    if file.suffix != PACKAGE:
        write_durably(target, file.read_bytes(), mode, group)
    elif not _same(file, target):
        package.write_durably(package.chunks(file), target, mode)
        os.chown(target, -1, group)


def _make_folder(folder: Path, owner: int, group: int) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o750, parents=True)
        os.chown(folder, owner, group)


def _drop(folder: Path, keep: set[str]) -> None:
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.is_file() and old.name not in keep:
            old.unlink()


def _owner(place: Place) -> tuple[int, int]:
    """Return the numbers of who is to own the files; -1, ourselves, where we may not give them away."""
    if os.geteuid() != 0:
        return -1, -1
    try:
        return pwd.getpwnam(place.user).pw_uid, grp.getgrnam(place.group).gr_gid
    except KeyError:
        what = f"there is no user {place.user} with a group {place.group} here"
        raise AuthorityError(f"{what}; install what runs as it first, then run this again") from None


def reread(service: str, *, restart: bool) -> str:
    """Have a service read its files anew, from its start where its own settings changed; return what was done, or is to be."""
    how = "restart" if restart else "try-reload-or-restart"
    by_hand = f"now: sudo systemctl {how} {service}"
    if os.geteuid() != 0 or shutil.which("systemctl") is None:
        return by_hand
    done = subprocess.run(["systemctl", how, service], capture_output=True, text=True, check=False, timeout=SYSTEMCTL_S)
    if done.returncode:
        why = (done.stderr.strip() or "no word why").splitlines()[-1]
        return f"{service} did not take it ({why}); {by_hand}"
    return f"{service} reads it"
