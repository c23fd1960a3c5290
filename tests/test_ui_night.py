"""What the screen does by the clock and for itself: night, the panel's light, the wandering picture, what it keeps, its paces."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.guidance import BEATS_PER_MIN, IN_S, OUT_S, Pace
from kiosk.local import Local
from kiosk.messages import Language
from kiosk.page import Go, Kind, Look, Theme
from kiosk.ui.kept import Kept
from kiosk.ui.night import DIM_SHARE, WANDER_PX, WANDER_S, Backlight, aside, dimmed, is_night
from kiosk.ui.pace import SMALLEST, moment


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{clock}")


# --- night ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "clock", "night"),
    [
        (None, "03:00", False),
        ("21:00-07:00", "20:59", False),
        ("21:00-07:00", "21:00", True),
        ("21:00-07:00", "06:59", True),
        ("21:00-07:00", "07:00", False),
        ("01:00-05:00", "04:00", True),
        ("01:00-05:00", "23:00", False),
        ("08:00-08:00", "03:00", True),
    ],
)
def test_night_is_where_the_hours_say_also_over_midnight(hours: str | None, clock: str, night: bool) -> None:
    assert is_night(hours, at(clock)) is night


def test_only_the_resting_page_is_dim_and_only_at_night() -> None:
    assert dimmed(Kind.IDLE, night=True) == DIM_SHARE
    assert {
        dimmed(kind, night=night) for kind in Kind for night in (False, True) if kind is not Kind.IDLE or not night
    } == {1.0}


# --- the panel --------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1e7))
def test_the_resting_picture_wanders_within_three_pixels_and_no_other_page_does(now_s: float) -> None:
    assert max(map(abs, aside(Kind.IDLE, now_s))) <= 3
    assert {aside(kind, now_s) for kind in Kind if kind is not Kind.IDLE} == {(0, 0)}


def test_it_moves_each_minute_to_a_place_that_touches_the_last() -> None:
    places = [aside(Kind.IDLE, minute * WANDER_S) for minute in range(len(WANDER_PX) + 1)]
    assert places[0] == places[-1]
    assert len(set(places)) == len(WANDER_PX)
    for one, other in pairwise(places):
        assert one != other


def switch(folder: Path) -> Path:
    panel = folder / "rpi_backlight"
    panel.mkdir()
    (panel / "max_brightness").write_text("255\n")
    (panel / "brightness").write_text("255\n")
    return panel


def test_the_light_is_set_when_it_changes(tmp_path: Path) -> None:
    panel = switch(tmp_path)
    light = Backlight(tmp_path)
    light.set(DIM_SHARE)
    assert (panel / "brightness").read_text() == "89"
    (panel / "brightness").write_text("10")  # a person turned it down: it stays so until day
    light.set(DIM_SHARE)
    assert (panel / "brightness").read_text() == "10"
    light.set(1.0)
    assert (panel / "brightness").read_text() == "255"
    assert light.fault() is None


def test_a_light_that_may_not_be_set_is_a_fault_until_it_may(tmp_path: Path) -> None:
    panel = switch(tmp_path)
    light = Backlight(tmp_path)
    (panel / "max_brightness").write_text("")
    light.set(DIM_SHARE)
    fault = light.fault()
    assert fault is not None
    assert (fault.code, fault.where) == ("backlight_denied", str(panel / "brightness"))
    (panel / "max_brightness").write_text("255")
    light.set(DIM_SHARE)
    assert light.fault() is None


def test_a_panel_without_a_switch_for_its_light_is_none(tmp_path: Path) -> None:
    light = Backlight(tmp_path)
    light.set(DIM_SHARE)
    assert light.fault() is None


# --- what it keeps ----------------------------------------------------------------------------------------------------


CHANGED = Local(
    look=Look(Language.HINDI, Theme.CONTRAST, 150, low=True), incident="i-1", opened=Go.STEPS, step=2, entry="Ana"
)


def test_what_was_touched_is_there_again_for_the_next_process(tmp_path: Path) -> None:
    Kept(tmp_path).save(CHANGED)
    assert Kept(tmp_path).load() == CHANGED
    assert [path.name for path in tmp_path.iterdir()] == ["screen.json"]
    assert (tmp_path / "screen.json").stat().st_mode & 0o077 == 0  # a name may be in it


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"step": "two"}', None])
def test_what_cannot_be_read_is_as_if_nothing_had_been_touched(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "screen.json").write_bytes(content)
    assert Kept(tmp_path).load() == Local()


def test_it_is_written_whole_or_not_at_all_and_only_when_it_changes(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.save(CHANGED)
    first = (tmp_path / "screen.json").stat()
    kept.save(CHANGED)
    assert (tmp_path / "screen.json").stat() == first
    kept.save(Local())
    assert (tmp_path / "screen.json").stat().st_ino != first.st_ino
    assert json.loads((tmp_path / "screen.json").read_text())["incident"] is None


def test_a_folder_that_cannot_be_written_is_a_fault_until_it_can(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "run")
    kept.save(CHANGED)
    fault = kept.fault()
    assert fault is not None
    assert (fault.code, fault.where) == ("screen_state", str(tmp_path / "run/screen.json"))
    (tmp_path / "run").mkdir()
    kept.save(Local())
    assert kept.fault() is None


# --- paces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [Pace.BREATHING, Pace.CPR])
@given(st.floats(0, 1e5))
def test_a_disc_stays_between_its_sizes_and_never_leaps(pace: Pace, since_s: float) -> None:
    now, next_frame = moment(pace, since_s), moment(pace, since_s + 1 / 60)
    assert SMALLEST <= now.size <= 1
    assert abs(next_frame.size - now.size) < (0.02 if pace is Pace.BREATHING else 0.15)


def test_a_breath_grows_for_four_seconds_and_sinks_for_six_with_its_word() -> None:
    sizes = [moment(Pace.BREATHING, tenth / 10) for tenth in range(100)]
    grows = [later.size > now.size for now, later in pairwise(sizes)]
    assert grows == [True] * int(IN_S * 10) + [False] * int(OUT_S * 10 - 1)
    assert [one.word for one in sizes] == [0] * int(IN_S * 10) + [1] * int(OUT_S * 10)


def test_the_beat_is_110_a_minute_largest_just_after_each_and_no_flicker() -> None:
    times = [frame / 240 for frame in range(240 * 60)]
    sizes = [moment(Pace.CPR, time_s).size for time_s in times]
    peaks = sum(one < two >= three for one, two, three in zip(sizes, sizes[1:], sizes[2:], strict=False))
    assert peaks == BEATS_PER_MIN
    assert BEATS_PER_MIN / 60 <= 3  # WCAG 2.2, 2.3.1
    assert timedelta(seconds=60 / BEATS_PER_MIN) > timedelta(seconds=1 / 3)
