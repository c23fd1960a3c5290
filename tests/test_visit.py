"""A technician's visit without pixels: who opens it and who cannot, wrong PINs, what stands on each page, when it shuts."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk import pins
from kiosk.corners import CORNERS, Tapped, Turned, Verdict
from kiosk.doctor.record import Check, untested, well, wrong
from kiosk.local import Local
from kiosk.messages import Language, Touch, TouchAction
from kiosk.page import Button, Key, Kind, Page, Service
from kiosk.pages_service import LINES, MOST_LETTERS, finding, parts_of, service_page
from kiosk.scene import Place
from kiosk.ui import catalogues
from kiosk.visit import (
    APART_SHARE,
    FORGOTTEN_S,
    HOLD_S,
    LEAST_DIGITS,
    LOCKED_MOST_S,
    LOCKED_S,
    MARK_S,
    MOST_DIGITS,
    OPEN_S,
    TOGETHER_S,
    TRIES,
    TYPING_S,
    At,
    Hold,
    Tries,
    Visit,
    answered,
    begun,
    known,
    late,
    moved,
    over,
    ready,
    tapping,
    tried,
    typed,
)
from tests.screen import DESK, FACE, VISITS, every_button

LEFT, LOWER = (0.2, 0.4), (0.2, 0.7)


def shown(visit: Visit, language: Language = Language.ENGLISH) -> Page:
    local = Local()
    local = replace(local, look=replace(local.look, language=language))
    return service_page(visit, Place(FACE, local, DESK, catalogues.load(language), 0.0), Turned.RIGHT)


def does(page: Page) -> list[object]:
    return [button.does for button in every_button(page)]


# --- the gesture ------------------------------------------------------------------------------------------------------


def two_fingers(at_s: float = 0.0, *, second_s: float = 0.3, free: bool = True) -> Hold:
    hold = Hold()
    hold.down("a", LEFT, at_s, free=free)
    hold.down("b", LOWER, at_s + second_s, free=True)
    return hold


def test_two_fingers_that_lie_still_for_five_seconds_open_it_once() -> None:
    hold = two_fingers()
    assert not hold.held(0.3 + HOLD_S - 0.01)
    assert hold.held(0.3 + HOLD_S)
    assert not hold.held(0.3 + 2 * HOLD_S)  # water that stays there opens nothing again
    hold.up("a")
    hold.up("b")
    hold.down("c", LEFT, 20, free=True)
    hold.down("d", LOWER, 20, free=True)
    assert hold.held(20 + HOLD_S)


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("a button", lambda hold: hold.down("c", LOWER, 0.5, free=False)),
        ("a palm", lambda hold: hold.down("c", (0.6, 0.6), 0.5, free=True)),
        ("a cloth", lambda hold: hold.moved("a", (0.3, 0.4))),
        ("a finger that goes", lambda hold: hold.up("a")),
    ],
)
def test_what_is_not_the_gesture_opens_nothing(what: str, spoil: Any) -> None:
    hold = two_fingers()
    spoil(hold)
    assert not any(hold.held(at_s / 10) for at_s in range(200)), what


def test_one_finger_two_at_different_times_on_a_button_or_one_thumb_open_nothing() -> None:
    for hold in (two_fingers(second_s=TOGETHER_S + 0.1), two_fingers(free=False)):
        assert not hold.held(100)
    hold = Hold()
    hold.down("a", LEFT, 0, free=True)
    assert not hold.held(100)
    hold.down("b", (LEFT[0] + APART_SHARE / 2, LEFT[1]), 0.1, free=True)
    assert not hold.held(100)


def test_a_finger_that_never_said_that_it_left_is_forgotten() -> None:
    hold = Hold()
    hold.down("gone", LEFT, 0, free=True)
    hold.down("a", LEFT, FORGOTTEN_S + 1, free=True)
    hold.down("b", LOWER, FORGOTTEN_S + 1, free=True)
    assert hold.held(FORGOTTEN_S + 1 + HOLD_S)


FINGERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 3)),
    max_size=30,
)


@given(FINGERS)
def test_whatever_fingers_do_it_opens_only_for_two_that_were_there_for_five_seconds(
    moves: list[tuple[str, bool, bool, float, float, float]],
) -> None:
    hold, down, now_s = Hold(), dict[str, float](), 0.0
    for finger, lands, free, x, y, after_s in moves:
        now_s += after_s
        if hold.held(now_s):
            assert len(down) == 2
            assert min(now_s - since_s for since_s in down.values()) >= HOLD_S
        if lands and finger not in down:
            hold.down(finger, (x, y), now_s, free=free)
            down[finger] = now_s
        elif not lands and finger in down:
            hold.up(finger)
            del down[finger]


# --- the PIN ----------------------------------------------------------------------------------------------------------


def test_a_pin_is_as_long_here_as_where_it_is_made() -> None:
    assert (LEAST_DIGITS, MOST_DIGITS) == (pins.LEAST_DIGITS, pins.MOST_DIGITS)


def test_five_wrong_pins_lock_and_each_five_more_twice_as_long() -> None:
    tries, locks, now_s = Tries(), [], 0.0
    for _ in range(7 * TRIES):
        tries = tries.tried(now_s)
        if tries.locked_s(now_s):
            locks.append(tries.locked_s(now_s))
            now_s = tries.until_s
    assert locks == [LOCKED_S * factor for factor in (1, 2, 4, 8, 16, 16, 16)]
    assert locks[-1] == LOCKED_MOST_S
    assert Tries.model_validate_json(tries.model_dump_json()) == tries  # so it outlives the screen


def test_digits_show_as_dots_are_never_printed_and_leave_with_the_try() -> None:
    visit = begun(0.0, Tries(), has_pin=True)
    for letter in "271828182845904":
        visit = typed(visit, letter, 1.0)
    assert visit.entry == "271828182845"
    assert "2718" not in repr(visit)
    page = shown(visit)
    assert page.entry == " ".join("●" * 12)
    assert not [text for text in page.texts() if "2718" in text]
    assert ready(visit)
    assert typed(visit, "", 1.0).entry == "27182818284"
    visit = tried(visit, 2.0)
    assert (visit.entry, visit.waits, ready(visit), shown(visit).keys) == ("", True, False, ())


def test_a_wrong_pin_says_how_many_are_left_and_the_fifth_takes_the_keys_away() -> None:
    tries, visit = Tries(), begun(0.0, Tries(), has_pin=True)
    said: list[str] = []
    for at_s in range(TRIES):
        tries = tries.tried(at_s)
        visit = answered(tried(visit, at_s), tries, at_s, fits=False)
        said += shown(visit).body
    assert said[0] == "That is not the PIN. 4 more tries."
    assert said[3] == "That is not the PIN. 1 more try."
    assert said[4] == "Too many wrong PINs. Come back in 5 minutes."
    assert shown(visit).keys == ()
    assert not ready(replace(visit, entry="2718"))
    assert begun(10.0, tries, has_pin=True).locked_s > 0  # another visit does not help


def test_without_a_pin_they_stay_shut_and_say_how_to_set_one() -> None:
    page = shown(begun(0.0, Tries(), has_pin=False))
    assert Service.ENTER not in does(page)
    assert "`stayby store pin`" in " ".join(page.body)


# --- each page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", VISITS)
def test_help_stands_on_every_page_in_the_language_of_the_desk(name: str, language: Language) -> None:
    page = shown(VISITS[name], language)
    calls = [one for one in every_button(page) if isinstance(one.does, Touch)]
    assert [(one.text, one.does) for one in calls] == [
        (catalogues.load(language).say("b_help"), Touch(action=TouchAction.HELP))
    ]
    assert page.prompts == ()
    assert not [text for text in page.texts() if text.strip() == ""]
    assert page.kind is Kind.CORNERS or Service.CLOSE in does(page)


def test_the_page_of_a_corner_has_nothing_to_touch_but_help() -> None:
    visit = moved(Visit(At.FINDINGS, 0.0, part=2), Service.CORNERS, 5.0)
    for at, corner in enumerate(CORNERS):
        page = shown(visit)
        assert (page.mark_at, len(every_button(page))) == (at, 1)
        assert corner in page.headline
        visit = tapping(visit, (0.1, 0.1), 6.0)
    assert visit.corner is None


def test_a_mark_that_nobody_touches_goes_on_by_itself() -> None:
    visit = moved(Visit(At.FINDINGS, 0.0), Service.CORNERS, 100.0)
    assert not late(visit, 100.0 + MARK_S - 0.1)
    assert late(visit, 100.0 + MARK_S)
    assert not late(tapping(visit, None, 100.0 + MARK_S), 100.0 + MARK_S)
    assert not over(visit, 1e6)


def test_what_came_of_the_corners_stands_there_and_whether_it_was_kept() -> None:
    visit = Visit(At.CORNERS, 0.0, taps=(None,) * 4)
    verdict = Verdict(word="turned", turned=Turned.TURNED_180)
    tapped = Tapped(at=datetime(2026, 1, 1, tzinfo=UTC), verdict=verdict)
    page = shown(replace(known(visit, tapped, 1.0), kept=False))
    assert page.headline == "Touch is wrong"
    assert 'touch = "turned-180"' in page.findings[0].do
    assert "could not be written down" in page.body[0]
    assert Service.FINDINGS in does(page)
    # whom root let in without a PIN sees nothing else
    assert Service.FINDINGS not in does(shown(known(replace(visit, trusted=True), tapped, 1.0)))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=400).filter(str.strip)
CHECKS = st.one_of(
    st.builds(well, WORDS, WORDS), st.builds(wrong, WORDS, WORDS, WORDS), st.builds(untested, WORDS, WORDS, WORDS)
)


@given(st.lists(CHECKS, max_size=40))
def test_every_finding_is_on_one_page_the_wrong_ones_first(found: list[Check]) -> None:
    parts = parts_of(found)
    order = [one for part in parts for one in part]
    assert sorted(map(id, order)) == sorted(map(id, found))
    ranks = [{False: 0, None: 1, True: 2}[one.ok] for one in order]
    assert ranks == sorted(ranks)
    assert all(parts) or found == []
    for one in order:
        line = finding(one)
        assert len(line.text) <= MOST_LETTERS
        assert len(line.do) <= MOST_LETTERS


def test_more_goes_round_and_a_short_list_has_no_more() -> None:
    many = Visit(At.FINDINGS, 0.0, found=tuple(well(f"part {n}", "it works") for n in range(30)), done=True)
    seen = []
    pages = len(parts_of(many.found))
    assert pages > 1
    for _ in range(pages):
        seen += [one.text for one in shown(many).findings]
        many = moved(many, Service.MORE, 1.0)
    assert len(set(seen)) == 30
    assert shown(many).findings == shown(replace(many, part=0)).findings
    assert Service.MORE not in does(shown(Visit(At.FINDINGS, 0.0, found=(well("a", "b"),), done=True)))
    assert LINES > 8


def test_to_look_again_is_offered_when_the_look_is_over_and_forgets_what_was_found() -> None:
    visit = Visit(At.FINDINGS, 0.0, found=(well("a", "b"),))
    assert Service.LOOK not in does(shown(visit))
    visit = replace(visit, done=True)
    assert Service.LOOK in does(shown(visit))
    assert moved(visit, Service.LOOK, 1.0).found == ()
    assert shown(replace(visit, done=False, why="Doctor ended.")).headline == "Not everything was looked at"


@pytest.mark.parametrize(
    ("at", "after_s"), [(At.PIN, TYPING_S), (At.SHUT, TYPING_S), (At.FINDINGS, OPEN_S), (At.TAPPED, OPEN_S)]
)
def test_it_shuts_by_itself(at: At, after_s: float) -> None:
    visit = Visit(at, 100.0)
    assert not over(visit, 100.0 + after_s - 0.1)
    assert over(visit, 100.0 + after_s)


def test_a_key_is_a_digit_or_erases() -> None:
    keys = [button for row in shown(VISITS["pin"]).keys for button in row]
    assert sorted(one.does.letter for one in keys if isinstance(one.does, Key)) == ["", *"0123456789"]
    assert isinstance(keys[-1], Button)
