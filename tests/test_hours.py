"""A span of hours means the same for the ear and for the screen."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.hours import within
from kiosk.listen.process import in_hours
from kiosk.listen.room import open_hours
from kiosk.ui.night import is_night

MIDNIGHT = datetime.fromisoformat("2026-06-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("hours", "clock", "inside"),
    [
        ("08:00-21:00", "07:59", False),
        ("08:00-21:00", "08:00", True),
        ("08:00-21:00", "20:59", True),
        ("08:00-21:00", "21:00", False),
        ("21:00-07:00", "20:59", False),
        ("21:00-07:00", "21:00", True),
        ("21:00-07:00", "00:00", True),
        ("21:00-07:00", "06:59", True),
        ("21:00-07:00", "07:00", False),
        ("21:00-00:00", "23:59", True),
        ("21:00-00:00", "00:00", False),
        ("00:00-00:00", "00:00", True),
        ("00:00-00:00", "23:59", True),
        ("08:00-08:00", "07:59", True),
        ("08:00-08:00", "08:00", True),
    ],
)
def test_a_span_over_midnight_and_one_with_equal_ends(hours: str, clock: str, inside: bool) -> None:
    now = datetime.fromisoformat(f"2026-06-01T{clock}:00+00:00")
    assert within(hours, now) is inside
    assert in_hours(hours, now) is inside
    assert is_night(hours, now) is inside


def test_without_hours_the_ear_listens_and_no_night_comes() -> None:
    assert (in_hours(None, MIDNIGHT), is_night(None, MIDNIGHT)) == (True, False)


@given(st.integers(0, 1439), st.integers(0, 1439))
def test_a_span_and_the_rest_of_the_day_are_the_day(start: int, end: int) -> None:
    first, last = (f"{minute // 60:02}:{minute % 60:02}" for minute in (start, end))
    minutes = [MIDNIGHT + timedelta(minutes=minute) for minute in range(1440)]
    inside = sum(within(f"{first}-{last}", now) for now in minutes)
    assert inside == ((end - start) % 1440 or 1440)
    assert inside / 60 * 7 == pytest.approx(open_hours(f"{first}-{last}")), "the week of the calibration is the ear's"
