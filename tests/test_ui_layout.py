"""How pages are laid out, with an estimated font: which side, what gives way, what can be reached, and that nothing moves."""

import pytest

from kiosk.guidance import Pace
from kiosk.messages import Choice, Language, Show
from kiosk.page import Button, Go, Kind, Look, Page, Style, Theme
from kiosk.pages import Desk, Local, page, settle
from kiosk.tongue import ENGLISH
from kiosk.ui.layout import Layout, lay_out
from kiosk.ui.palette import COLOURS
from kiosk.ui.sheet import BUTTON
from tests.screen import FACE, PRIYA, SAM, SCENES, show, snapshot
from tests.test_ui_fit import faults

WIDTH, HEIGHT = 800, 480


def estimated(text: str, size: float, bold: bool) -> float:
    return len(text) * size * (0.58 if bold else 0.53)


def laid(shown: Page, look: Look | None = None, width: int = WIDTH, height: int = HEIGHT) -> Layout:
    return lay_out(shown, width, height, estimated, look or Look())


def at(shown: Show, **local: object) -> Page:
    start = settle(Local(**local), shown, 0)  # type: ignore[arg-type]  # the fields of Local, by name
    return page(shown, start, Desk(FACE, button=True), 0, 0, ENGLISH)


IDLE = at(show())
WAITING = at(SCENES["raised"].show)


def words(layout: Layout) -> str:
    return " ".join(text.text for text in layout.texts)


def test_the_idle_page_has_no_fault_and_one_obvious_button() -> None:
    layout = laid(IDLE)
    assert list(faults(IDLE, layout, WIDTH, HEIGHT, Look())) == []
    areas = {hot.button.text: hot.drawn.w * hot.drawn.h for hot in layout.hots}
    main = areas.pop("I need help")
    assert main > 2 * max(areas.values())
    assert main >= 0.15 * WIDTH * HEIGHT


def test_what_can_be_touched_in_the_top_line_is_drawn_small_and_touched_large() -> None:
    hot = next(one for one in laid(IDLE).hots if one.button in IDLE.top)
    assert hot.drawn.h < 0.6 * BUTTON
    assert hot.box.h >= BUTTON
    assert laid(IDLE).hit(hot.box.x + 5, BUTTON - 1) == hot.button


def test_arabic_is_a_mirror_image_and_its_numbers_are_not() -> None:
    shown = at(show(), opened=Go.EMERGENCY)
    english, arabic = laid(shown), laid(shown, Look(language=Language.ARABIC))
    left = {hot.button.text: hot.box.x for hot in english.hots}
    right = {hot.button.text: WIDTH - hot.box.right for hot in arabic.hots}
    assert right == pytest.approx(left)
    number = next(text for text in arabic.texts if text.text == FACE.emergency_number)
    assert not number.rtl
    assert number.box.right > WIDTH * 0.9


@pytest.mark.parametrize("name", sorted(SCENES))
def test_with_low_everything_that_can_be_touched_is_in_the_lower_half(name: str) -> None:
    shown = at(SCENES[name].show)
    for width, height in ((800, 480), (480, 800), (1024, 768)):
        hots = laid(shown, Look(low=True), width, height).hots
        assert hots
        assert min(hot.box.y for hot in hots) >= height / 2 - 0.5


def test_larger_text_shows_fewer_things_larger_and_keeps_what_is_needed() -> None:
    plain, large = laid(WAITING), laid(WAITING, Look(text_percent=200))
    assert plain.left_out == []
    assert {"I asked the staff", "chest", "door"} <= set(large.left_out)
    for text in (WAITING.headline, WAITING.waiting[-1].text, WAITING.ask):
        assert text in words(large)
    sizes = {text.text: text.size for text in plain.texts}
    assert all(text.size >= sizes.get(text.text, 0) for text in large.texts)
    assert {hot.button for hot in large.hots} == {hot.button for hot in plain.hots}


def test_the_emergency_page_keeps_its_number_and_where_at_every_size() -> None:
    shown = at(show(snapshot(seen=(PRIYA, SAM), emergency=True)), opened=Go.EMERGENCY)
    for percent in (100, 150, 200):
        layout = laid(shown, Look(text_percent=percent))
        number = next(text for text in layout.texts if text.text == FACE.emergency_number)
        assert number.size >= 100
        assert FACE.address.split(",")[0] in words(layout)


def test_a_step_keeps_its_words_and_what_moves_but_not_its_picture() -> None:
    shown = at(show(snapshot(choice=Choice.COLLAPSE)), incident="i-1", choice=Choice.COLLAPSE, opened=Go.STEPS, step=1)
    assert shown.pace is Pace.CPR
    layout = laid(shown, Look(text_percent=200))
    assert layout.pace is not None
    assert all(line.split()[0] in words(layout) for line in (shown.headline, *shown.body))
    still = lay_out(shown, WIDTH, HEIGHT, estimated, Look(), still=True)
    assert still.pace is None
    assert len(still.dots) == len(layout.dots) + 1


@pytest.mark.parametrize(("width", "height"), [(800, 480), (480, 800)])
def test_cases_keep_the_pictures_that_they_are_chosen_by(width: int, height: int) -> None:
    local = {"incident": "i-1", "choice": Choice.SOMEONE_HURT, "opened": Go.CASES}
    shown = at(show(snapshot(choice=Choice.SOMEONE_HURT)), **local)
    layout = laid(shown, Look(text_percent=200), width, height)
    assert len(layout.pictures) == sum(bool(button.picture) for button in shown.buttons) == 5


def test_a_code_takes_the_place_of_the_lines() -> None:
    shown = at(show(), opened=Go.EMERGENCY, code=True)
    layout = laid(shown)
    assert shown.card is not None
    assert layout.code is not None
    assert layout.code.content == shown.card.code
    assert layout.code.box.w == layout.code.box.h >= 200
    assert FACE.phone not in words(layout)


@pytest.mark.parametrize("theme", Theme)
def test_a_theme_changes_colours_and_nothing_else(theme: Theme) -> None:
    usual, other = laid(WAITING), laid(WAITING, Look(theme=theme))
    assert other.ground == COLOURS[theme].ground
    assert [text.box for text in other.texts] == [text.box for text in usual.texts]
    assert [fill.box for fill in other.fills] == [fill.box for fill in usual.fills]


def test_a_pressed_button_changes_its_ground_and_nothing_moves() -> None:
    button = next(one for one in IDLE.buttons if one.style is Style.MAIN)
    pressed = lay_out(IDLE, WIDTH, HEIGHT, estimated, Look(), pressed=button)
    changed = [one for one, other in zip(pressed.fills, laid(IDLE).fills, strict=True) if one != other]
    assert [fill.colour for fill in changed] == [COLOURS[Theme.LIGHT].main_pressed]
    assert pressed.texts == laid(IDLE).texts


def test_what_does_not_fit_even_at_its_smallest_is_named() -> None:
    endless = "word " * 400
    layout = laid(Page(Kind.GONE, "Desk", headline=endless, buttons=(Button("Call", Go.EMERGENCY, Style.CALL),)))
    assert layout.cramped == [endless]
