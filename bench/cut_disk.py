"""What a disk holds after a power cut: only what was synced is sure to be there; of the rest some, torn at sectors, or nothing.

Why a library that is preloaded and not dm-flakey or SQLite's own crash VFS: dm-flakey needs a block device and a kernel that may
be told to lie, which no test machine has; SQLite's VFS sees SQLite only, and the configuration is kept by renaming. The library
(`power_cut.c`, compiled here) sees all that the hub writes, in its order, and the hub is the one that ships.

Rules, stricter than ext4's: a file's bytes are sure after fsync or fdatasync of that file; that it is there under its name, or no
longer, is sure after fsync of its folder. At the cut each file's unsynced writes are all there, all gone, or each sector of 512
bytes by itself is there or not; names changed in their order, up to some point.
"""

import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parent / "power_cut.c"
NOTE = struct.Struct("<cQqII")
SECTOR_BYTES = 512


class CutError(RuntimeError):
    """The library could not be built; its text says why."""


def build(folder: Path) -> Path:
    """Compile the library into `folder` and return it."""
    library = folder / "power_cut.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CutError(f"{' '.join(command)}: {done.stderr.strip()}")
    return library


@dataclass
class _File:
    """What is sure to be in a file, and what was written since: (offset, bytes), or (size, None) where it was cut to a size."""

    sure: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, data in self.since:
            _apply(self.sure, offset, data)
        self.since.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        content = bytearray(self.sure)
        fate = chance.choice(("gone", "there", "torn", "torn"))
        for offset, data in self.since if fate != "gone" else ():
            if fate == "there" or data is None:
                _apply(content, offset, data)
                continue
            for start in range(0, len(data), SECTOR_BYTES):
                if chance.random() < 0.5:  # noqa: PLR2004 - a coin
                    _apply(content, offset + start, data[start : start + SECTOR_BYTES])
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


class Disk:
    """One folder, flat, of a program that runs with the library; `cut` makes of it what a power cut leaves."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder, self._library = folder, library
        self._log = folder.with_name(folder.name + ".cut")
        self.written_bytes = self.syncs = 0

    @property
    def env(self) -> dict[str, str]:
        """What the program's environment needs."""
        return {"LD_PRELOAD": str(self._library), "CUT_FOLDER": str(self.folder), "CUT_LOG": str(self._log)}

    def begin(self) -> None:
        """Begin anew with what is in the folder now: all of that is sure. Call it before the program starts."""
        self._log.unlink(missing_ok=True)
        self._names = {str(path): _File(bytearray(path.read_bytes())) for path in self.folder.iterdir()}
        self._numbers = {path.stat().st_ino: self._names[str(path)] for path in self.folder.iterdir()}
        self._renames: list[tuple[str, str | _File | None]] = []

    def cut(self, chance: random.Random) -> int:
        """Leave in the folder what a power cut leaves; return how many writes were not yet sure. The program is dead."""
        for kind, file, offset, first, second in self._notes():
            self._take(kind, file, offset, first, second)
        unsure = sum(len(one.since) for one in self._numbers.values())
        names = dict(self._names)
        for path, what in self._renames[
            : chance.choice((0, len(self._renames), chance.randint(0, len(self._renames))))
        ]:
            _rename(names, path, what)
        left = {path: file.after_cut(chance) for path, file in names.items()}
        for there in self.folder.iterdir():
            there.unlink()
        for name, content in left.items():
            Path(name).write_bytes(content)
        return unsure

    def _notes(self) -> Iterator[tuple[bytes, int, int, bytes, bytes]]:
        raw = self._log.read_bytes() if self._log.exists() else b""
        at = 0
        while at + NOTE.size <= len(raw):
            kind, file, offset, a, b = NOTE.unpack_from(raw, at)
            at += NOTE.size
            if at + a + b > len(raw):
                return  # the program died while it noted this
            yield kind, file, offset, raw[at : at + a], raw[at + a : at + a + b]
            at += a + b

    def _take(self, kind: bytes, number: int, offset: int, first: bytes, second: bytes) -> None:
        if kind == b"M":
            self._numbers[number] = made = _File()
            self._renames.append((first.decode(), made))
        elif kind == b"R":
            self._renames.append((first.decode(), second.decode()))
        elif kind == b"U":
            self._renames.append((first.decode(), None))
        elif kind == b"D":
            self.syncs += 1
            for path, what in self._renames:
                _rename(self._names, path, what)
            self._renames.clear()
        elif kind == b"S":
            self.syncs += 1
            self._numbers[number].sync()
        else:
            self.written_bytes += len(first)
            self._numbers[number].since.append((offset, first if kind == b"W" else None))


def _rename(names: dict[str, _File], path: str, what: "str | _File | None") -> None:
    """Do one change of names: a file made, moved or removed."""
    if isinstance(what, _File):
        names[path] = what
        return
    file = names.pop(path, None)
    if isinstance(what, str) and file is not None:
        names[what] = file
