"""A package as a file: what it says of itself, its digest, and a copy that survives a power cut."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

FIELDS = ("Package", "Version", "Architecture", "Installed-Size")
LOOK_S = 60.0
CHUNK_BYTES = 1024 * 1024


class BadPackage(ValueError):
    """A file that is no package of ours; its text says why, and what to do now."""


def fields(file: Path) -> dict[str, str]:
    """Return what a package says of itself; raise `BadPackage` for one that is none."""
    ask = ["dpkg-deb", "--field", os.fspath(file), *FIELDS]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=LOOK_S)
    except FileNotFoundError:
        raise BadPackage("there is no dpkg-deb here; run this on Debian or Raspberry Pi OS") from None
    if done.returncode:
        why = (done.stderr.strip() or "no word why").splitlines()[-1].removeprefix("dpkg-deb: error: ")
        raise BadPackage(f"{file} is no whole package ({why}); copy it again")
    return {key: value for key, _, value in (line.partition(": ") for line in done.stdout.splitlines())}


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def chunks(file: Path) -> Iterable[bytes]:
    """Yield what is in a file."""
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            yield chunk


def write_durably(parts: Iterable[bytes], target: Path, mode: int = 0o644) -> None:
    """Write a large file, so that a power cut leaves the old one, none, or the whole new one; what fails leaves no half."""
    half = target.with_name(f"{target.name}.half")
    try:
        with half.open("wb") as writer:
            for part in parts:
                writer.write(part)
            writer.flush()
            os.fsync(writer.fileno())
        half.chmod(mode)
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
