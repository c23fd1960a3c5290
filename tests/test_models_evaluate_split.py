"""The split of real speech: no voice that names tell apart both trains and measures."""

from pathlib import Path

import pytest

from models.real_speech import ONE_SPEAKER, Part, part_of

ROOT = Path("/data")


@pytest.mark.parametrize("folder", ONE_SPEAKER)
def test_a_folder_that_one_person_reads_is_never_split(folder: str) -> None:
    parts = {part_of(ROOT / "speech" / folder / f"sentence_{i}.ogg", ROOT) for i in range(50)}
    assert parts == {ONE_SPEAKER[folder]}


def test_one_sitting_is_never_split() -> None:
    folders = ("heycomputer/es", "not-wake-words/es")
    paths = [
        ROOT / "speech" / "precise_community" / f / f"wakeword-es-{i:08x}.flac" for f in folders for i in range(50)
    ]
    assert len({part_of(path, ROOT) for path in paths}) == 1


def test_files_of_unknown_speakers_are_split_half_and_quarters() -> None:
    parts = [part_of(ROOT / "speech" / "barista" / f"data_{i}.ogg", ROOT) for i in range(2000)]
    assert 900 < parts.count(Part.TRAIN) < 1100
    assert 430 < parts.count(Part.HELD_OUT_1) < 570
