"""A sample of `make gallery` in each run, and proof that it sees what it looks for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kiosk.messages import Language
from kiosk.page import TEXT_PERCENTS, Theme
from tests.gallery import (
    CONTRAST_MIN,
    LIKE,
    OTHER_PANELS,
    Found,
    Job,
    every_job,
    likeness,
    number_shade,
    run,
    screens,
    sheets,
    text_contrast,
)

NOTO = "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf"
MOST_OF_ALL = (
    "idle",
    "raised",
    "cases_hurt",
    "steps_collapse",
    "check_in",
    "emergency",
    "name_zh",
    "name_ar",
    "name_hi",
)


def sample() -> Iterator[Job]:
    """The pages that matter most in every language, the rest once, each theme, size and panel often enough to be seen."""
    yield from (Job(screen, language) for screen in MOST_OF_ALL for language in Language)
    languages, themes, percents = list(Language), list(Theme), list(TEXT_PERCENTS)
    for nth, screen in enumerate(sorted(screens())):
        yield Job(screen, languages[nth % 6], themes[nth % 3], percents[nth // 3 % 3])
    for nth, screen in enumerate(sorted(screens())[::4]):
        width, height = OTHER_PANELS[nth % 2]
        yield Job(screen, languages[nth % 5], width=width, height=height)


@pytest.mark.parts
def test_nothing_is_clipped_missing_faint_or_out_of_order_in_a_sample_of_the_gallery(tmp_path: Path) -> None:
    found = run(list(sample()), tmp_path, keep=False)
    assert [(one.job.file, one.wrong) for one in found if one.wrong] == []
    assert min(one.contrast_min for one in found) >= CONTRAST_MIN
    assert sum(one.numbers for one in found) > 100


def test_the_whole_gallery_is_every_screen_in_every_language_size_and_theme() -> None:
    jobs = list(every_job())
    assert len({job.file for job in jobs}) == len(jobs)
    assert len(jobs) == len(screens()) * len(Language) * (len(Theme) * len(TEXT_PERCENTS) + 1 + len(OTHER_PANELS))


def test_a_number_is_told_from_the_same_digits_in_another_order() -> None:
    drawn = np.pad(number_shade("911", NOTO, 40), 12)
    assert likeness(drawn, number_shade("911", NOTO, 40)) > 0.99
    assert likeness(drawn, number_shade("119", NOTO, 40)) < likeness(drawn, number_shade("911", NOTO, 40))
    assert likeness(drawn, number_shade("000", NOTO, 40)) < LIKE
    assert likeness(drawn[:10], number_shade("911", NOTO, 40)) == 0


def test_faint_text_is_found() -> None:
    ink = number_shade("911", NOTO, 40)
    assert text_contrast(np.pad(1.0 - ink, 12, constant_values=1.0)) == pytest.approx(21, abs=0.1)
    assert text_contrast(np.pad(0.5 - 0.4 * ink, 12, constant_values=0.5)) < CONTRAST_MIN


def test_the_contact_sheets_say_what_is_wrong(tmp_path: Path) -> None:
    sheets(
        [Found(Job("idle", Language.ARABIC), ["outside the panel: <b>"]), Found(Job("raised", Language.ARABIC))],
        tmp_path,
    )
    assert "1 with something wrong" in (tmp_path / "index.html").read_text()
    assert "outside the panel: &lt;b&gt;" in (tmp_path / "800x480-ar-light-100.html").read_text()
