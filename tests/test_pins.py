"""PINs: weak ones are turned away with a reason, a kept one fits its own PIN and no other, and nonsense is one clear line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.pins import PinError, check_stored, new_digits, pin_fits, store_pin

KEPT = store_pin("2580")


@pytest.mark.parametrize("pin", ["2580", "1212", "907351", "123456789013"])
def test_a_good_pin_is_kept_and_fits(pin: str) -> None:
    assert pin_fits(pin, store_pin(pin))


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("", "4 to 12 digits"),
        ("123", "4 to 12 digits"),
        ("9073519073519", "4 to 12 digits"),
        ("12a4", "nothing else"),
        ("7777", "again and again"),
        ("1234", "in a row"),
        ("9876", "in a row"),
        ("7890", "in a row"),
        ("3210", "in a row"),
        ("१२३४", "in a row"),
    ],
)
def test_a_weak_pin_is_turned_away_with_a_reason(pin: str, why: str) -> None:
    with pytest.raises(PinError, match=why):
        store_pin(pin)


def test_digits_of_another_script_are_the_same_pin() -> None:
    assert new_digits("٢٥٨٠") == "2580"
    assert pin_fits("٢٥٨٠", KEPT)


def test_equal_pins_look_different_and_nothing_shows_the_pin() -> None:
    assert store_pin("2580") != KEPT
    assert "2580" not in KEPT.split("$")[-1]


@settings(max_examples=20, deadline=None)
@given(
    st.text(max_size=14).filter(lambda pin: not any(letter.isnumeric() for letter in pin)) | st.sampled_from(["2581"])
)
def test_no_other_text_fits(pin: str) -> None:
    assert not pin_fits(pin, KEPT)


SHAPED = r"\Ascrypt\$[0-9]{1,6}\$[0-9]{1,3}\$[0-9]\$[A-Za-z0-9_=-]{0,24}\$[A-Za-z0-9_=-]{0,44}\Z"


@given(st.text(max_size=80) | st.from_regex(SHAPED))
def test_what_was_not_made_by_us_is_said_in_one_line(stored: str) -> None:
    with pytest.raises(PinError, match="`stayby store pin`"):
        check_stored(stored)


def test_a_kept_pin_that_would_take_the_machine_s_memory_is_none() -> None:
    with pytest.raises(PinError):
        check_stored(KEPT.replace("scrypt$16384$", "scrypt$1048576$"))
