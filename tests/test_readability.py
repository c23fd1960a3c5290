"""Every English text is easy to read: grade 4 at most, 12 words a line at most."""

import pytest

from bench.reading import GRADE_MAX, KNOWN, LINE_WORDS_MAX, figures, grade, lines, passages, shown, unknown, words


@pytest.mark.parametrize(("key", "text"), list(passages()))
def test_a_passage_asks_for_grade_4_at_most(key: str, text: str) -> None:
    assert grade(text) <= GRADE_MAX, (key, text, unknown(text))


@pytest.mark.parametrize(("key", "text"), list(shown()))
def test_a_line_has_12_words_at_most(key: str, text: str) -> None:
    assert len(words(text)) <= LINE_WORDS_MAX, key


def test_a_hard_text_is_found() -> None:
    assert grade("Please remain stationary until assistance is available.") > GRADE_MAX
    assert grade("Immobilise") > GRADE_MAX
    assert unknown("Immobilise the person") == ["Immobilise"]


def test_every_excused_word_is_used() -> None:
    used = {word.lower() for _, text in lines() for word in words(text)}
    assert set(KNOWN) <= used


def test_the_ten_hardest_lines_are_named() -> None:
    found = figures()
    assert found["text_grade_max"] <= GRADE_MAX
    assert len(found["text_hardest"]) == 10
