"""Makes a package anew out of what is installed, so that the present version can be put back: nobody keeps the first one's file.

What dpkg knows of the package (its files, its scripts) goes into an archive as deb(5) has it, straight from the disk: no second
copy of the files is laid out, and the compression is the quickest, for a card has room and a unit has little time.
"""

import gzip
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from kiosk.update.offer import PACKAGE
from kiosk.update.package import sync_folder

ASK_S = 300.0
MAGIC = b"!<arch>\n"
STATUS_ONLY = ("Status:", "Conffiles:", "Config-Version:")
NOT_CONTROL = frozenset({"list"})


class CannotKeep(ValueError):
    """The present version cannot be kept; its text says why, and what to do now."""


def root() -> Path:
    """Return the root of what dpkg installs, as dpkg(1) has it."""
    return Path(os.environ.get("DPKG_ROOT") or "/")


def rebuild(target: Path) -> None:
    """Write a package of what is installed to `target`, whole or not at all; raise `CannotKeep`, `OSError`."""
    damaged = _said("dpkg", "--verify", PACKAGE, may_fail=True)
    if damaged:
        first = damaged.splitlines()[0].split()[-1]
        raise CannotKeep(
            f"the present version is damaged ({first}); put it in again: apt install --reinstall ./stayby_….deb"
        )
    half = target.with_name(f"{target.name}.half")
    try:
        with half.open("wb") as file:
            _write(file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    sync_folder(target.parent)


def _said(*command: str, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotKeep(f"{command[0]} does not work here ({error}); look at the card: stayby doctor") from None
    if done.returncode and not may_fail:
        raise CannotKeep(f"{' '.join(command)}: {done.stderr.strip()[:200]}; look at the card: stayby doctor")
    return done.stdout


def _write(file: IO[bytes]) -> None:
    file.write(MAGIC)
    _member(file, "debian-binary", b"2.0\n")
    _member(file, "control.tar.gz", _control())
    at = file.tell()
    file.write(_head("data.tar.gz", 0))
    _pack(file, ((_place(name), name) for name in _said("dpkg-query", "--listfiles", PACKAGE).splitlines()))
    end = file.tell()
    size = end - at - len(_head("", 0))
    file.write(b"\n" * (size % 2))
    file.seek(at)
    file.write(_head("data.tar.gz", size))
    file.seek(0, os.SEEK_END)


def _place(name: str) -> Path:
    return root() / name.lstrip("/")


def _member(file: IO[bytes], name: str, content: bytes) -> None:
    file.write(_head(name, len(content)) + content + b"\n" * (len(content) % 2))


def _head(name: str, size: int) -> bytes:
    return f"{name:<16}{int(time.time()):<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode()


def _pack(file: IO[bytes], members: Iterable[tuple[Path, str]]) -> None:
    """Write files, folders and links as a compressed archive, root's."""
    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        for place, name in members:
            if not name.startswith("/"):
                continue  # a diversion, in words
            archive.add(
                place, f".{name.removesuffix('/.')}" if name != "/." else "./", recursive=False, filter=_of_root
            )


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _control() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        fields = _fields().encode()
        head = tarfile.TarInfo("./control")
        head.size, head.mode = len(fields), 0o644
        archive.addfile(_of_root(head), io.BytesIO(fields))
        for name in _said("dpkg-query", "--control-list", PACKAGE).split():
            if name not in NOT_CONTROL:
                place = _said("dpkg-query", "--control-path", PACKAGE, name).strip()
                archive.add(place, f"./{name}", recursive=False, filter=_of_root)
    return made.getvalue()


def _fields() -> str:
    """Return the fields of the package itself, without those of its status here."""
    kept, skips = [], False
    for line in _said("dpkg-query", "--status", PACKAGE).splitlines():
        skips = line.startswith(STATUS_ONLY) or (skips and line.startswith(" "))
        if not skips:
            kept.append(line)
    return "\n".join(kept) + "\n"
