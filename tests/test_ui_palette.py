"""Every text differs from its ground by seven to one in every theme, and what carries meaning without words by three to one."""

import pytest

from kiosk.page import Theme
from kiosk.ui.palette import COLOURS, EDGES, PAIRS, contrast


@pytest.mark.parametrize("theme", Theme)
def test_text_and_ground_differ_by_seven_to_one(theme: Theme) -> None:
    assert [pair for pair in PAIRS[theme] if contrast(*pair) < 7.0] == []


@pytest.mark.parametrize("theme", Theme)
def test_what_is_to_be_told_without_words_differs_by_three_to_one(theme: Theme) -> None:
    assert [pair for pair in EDGES[theme] if contrast(*pair) < 3.0] == []


def test_the_strongest_theme_differs_more_than_the_others() -> None:
    lowest = {theme: min(contrast(*pair) for pair in PAIRS[theme]) for theme in Theme}
    assert lowest[Theme.CONTRAST] > max(lowest[Theme.LIGHT], lowest[Theme.DARK])
    ink_on_ground = contrast(COLOURS[Theme.CONTRAST].ink, COLOURS[Theme.CONTRAST].ground)
    assert ink_on_ground == pytest.approx(21.0)
