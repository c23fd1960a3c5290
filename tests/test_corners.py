"""Four touches tell how a panel lies: each of eight ways, by fingers that are not exact; beside its picture, dead, or unclear."""

from math import hypot

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kiosk.corners import (
    BESIDE_SHARE,
    CORNERS,
    RIGHT_SHARE,
    WAYS,
    Point,
    Tapped,
    Turned,
    Verdict,
    arrives,
    classify,
    corrected,
    told,
)
from kiosk.ui.layout_service import marks

SIZES = [(800.0, 480.0), (480.0, 800.0), (1280.0, 720.0), (1024.0, 768.0)]
WHOLE = st.floats(0, 1, allow_nan=False)
POINTS = st.tuples(WHOLE, WHOLE)


def beside(point: Point, off: Point, size: tuple[float, float]) -> Point:
    """A point moved by shares of the shorter side."""
    return point[0] + off[0] * min(size) / size[0], point[1] + off[1] * min(size) / size[1]


def off(most: float) -> st.SearchStrategy[Point]:
    """How far a finger may land beside its mark, as a share of the shorter side."""
    one = st.floats(-most, most, allow_nan=False)
    return st.tuples(one, one).filter(lambda pair: hypot(*pair) <= most)


@given(st.sampled_from(Turned), POINTS)
def test_what_is_corrected_is_where_the_finger_was(turned: Turned, point: Point) -> None:
    assert corrected(turned, arrives(turned, point)) == pytest.approx(point)
    assert arrives(turned, corrected(turned, point)) == pytest.approx(point)


def test_the_eight_ways_are_all_there_are() -> None:
    seen = {tuple(arrives(turned, (x, y)) for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))) for turned in Turned}
    assert len(seen) == len(Turned) == len(WAYS) == 8


@given(st.sampled_from(Turned), st.sampled_from(SIZES), st.tuples(*[off(RIGHT_SHARE * 0.99)] * 4))
def test_each_way_is_told_by_fingers_that_are_not_exact(
    turned: Turned, size: tuple[float, float], offs: tuple[Point, ...]
) -> None:
    taps = [beside(arrives(turned, mark), each, size) for mark, each in zip(marks(*size), offs, strict=True)]
    found = classify(marks(*size), taps, size)
    assert (found.word, found.turned) == ("right" if turned is Turned.RIGHT else "turned", turned)
    assert found.off <= RIGHT_SHARE


@given(st.sampled_from(Turned), st.sampled_from(SIZES), off(BESIDE_SHARE * 0.99))
def test_a_panel_that_is_beside_its_picture_says_by_how_much(
    turned: Turned, size: tuple[float, float], all_off: Point
) -> None:
    assume(hypot(*all_off) > RIGHT_SHARE * 1.02)
    taps = [beside(arrives(turned, mark), all_off, size) for mark in marks(*size)]
    found = classify(marks(*size), taps, size)
    assert (found.word, found.turned) == ("beside", turned)
    assert found.off == pytest.approx(hypot(*all_off), abs=0.001)
    assert not told(found, turned).ok


@given(st.sampled_from(SIZES), st.lists(st.booleans(), min_size=4, max_size=4), st.tuples(*[POINTS] * 4))
def test_a_corner_without_a_touch_is_dead_whatever_the_others_say(
    size: tuple[float, float], came: list[bool], points: tuple[Point, ...]
) -> None:
    assume(not all(came))
    found = classify(marks(*size), [at if there else None for at, there in zip(points, came, strict=True)], size)
    assert found.word == "dead"
    assert found.dead == tuple(name for name, there in zip(CORNERS, came, strict=True) if not there)
    assert not told(found, Turned.RIGHT).ok


@given(st.sampled_from(SIZES), st.tuples(*[st.tuples(st.floats(-3, 3), st.floats(-3, 3))] * 4))
def test_whatever_arrives_gets_one_verdict_in_words(size: tuple[float, float], taps: tuple[Point, ...]) -> None:
    found = classify(marks(*size), taps, size)
    for is_set in Turned:
        words = told(found, is_set)
        assert words.says
        assert words.ok == (found.word in {"right", "turned"} and found.turned is is_set)
        assert words.ok or words.do


def test_four_touches_of_one_place_are_unclear_and_set_nothing() -> None:
    found = classify(marks(800, 480), [(0.5, 0.5)] * 4, (800, 480))
    assert found.word == "unclear"
    assert "[ui]" not in told(found, Turned.RIGHT).do


def test_what_to_do_names_the_setting() -> None:
    mirrored = Verdict(word="turned", turned=Turned.MIRRORED_X)
    assert 'touch = "mirrored-x"' in told(mirrored, Turned.RIGHT).do
    assert told(mirrored, Turned.MIRRORED_X).ok
    assert 'touch = "right"' in told(Verdict(word="right"), Turned.MIRRORED_X).do
    assert "is taken to lie 'turned-180'" in told(mirrored, Turned.TURNED_180).says


def test_what_is_kept_comes_back() -> None:
    kept = '{"at":"2026-01-01T12:00:00Z","verdict":{"word":"turned","turned":"swapped","off":0.02},"use":"swapped"}'
    tapped = Tapped.model_validate_json(kept)
    assert Tapped.model_validate_json(tapped.model_dump_json()) == tapped
    assert told(tapped.verdict, tapped.use).ok
