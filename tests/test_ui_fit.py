"""Measures every text of every page with the real font against its real box, on every size of panel.

Run as a program it is the part that needs Kivy, which must never be imported beside pytest; it prints what is wrong.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kiosk.guidance import CASES
from kiosk.messages import Choice, Going, Person, Show
from kiosk.page import Go, Page
from kiosk.pages import Desk, Local, page, settle
from kiosk.ui.layout import BUTTON, Box, Builder, Hot, Layout, Measure, lay_out
from tests.screen import FACE, ROOT, SCENES, show, snapshot

SIZES = ((800, 480), (1280, 720), (480, 800), (1024, 600), (800, 600), (1920, 1080))
LONG = "Wilhelmina Featherstonehaugh-Cholmondeley"[:40]
PEOPLE = tuple(Person(id=f"p{number}", name=f"{LONG[:37]} {number}") for number in range(4))
LONG_FACE = FACE.model_copy(
    update={
        "place": "Customer service and returns desk West 3",
        "address": "Harbour Stores and Garden Centre, Unit 14, Meadowbrook Retail Park, 1200 Great Northern Quay "
        "Street, Leeds LS1 4DL, United Kingdom, ground floor, east entrance, beside the pharmacy counter",
        "emergency_number": "116117",
        "phone": "+44 113 496 0000 ext 12",
    }
)


def lengthened(shown: Show) -> Show:
    """The same, with the longest names and place that the settings allow."""
    incident = shown.incident
    if incident is not None:
        incident = incident.model_copy(
            update={
                "seen": PEOPLE if incident.seen else (),
                "coming": tuple(Going(responder=PEOPLE[0], eta_s=one.eta_s) for one in incident.coming),
                "here": PEOPLE[0] if incident.here else None,
                "tiers": (LONG, LONG),
                "phrase": "a_long_phrase_of_seven_words_here" if incident.phrase else None,
                "name": LONG,
            }
        )
    return shown.model_copy(update={"incident": incident, "face": LONG_FACE})


def pages() -> Iterator[tuple[str, Page]]:
    """Every scene, every step, every page that a touch opens; each with short and with long names."""
    for name, scene in SCENES.items():
        for how, shown in (("short", scene.show), ("long", lengthened(scene.show))):
            desk = Desk(shown.face, button=True)
            for opened in (None, Go.EMERGENCY, Go.CHOICES):
                local = settle(Local(), shown, 0)
                local = Local(incident=local.incident, opened=opened, emergency_put_away=opened is None)
                yield f"{name}/{how}/{opened}", page(shown, local, desk, 0, 0)
            gone = Local(telling=True, choice=Choice.SOMEONE_HURT)
            yield f"{name}/{how}/gone", page(shown, gone, desk, 100, 0)
            yield f"{name}/{how}/thanks", page(show(), Local(incident="x", closed_s=0), desk, 0, 0)
    for choice, case in CASES.items():
        for step in range(len(case.steps)):
            shown = lengthened(show(snapshot(choice=choice, seen=PEOPLE)))
            yield f"{choice}/{step}", page(shown, Local(incident="i-1", step=step), Desk(FACE, button=True), 0, 0)


def overlap(one: Box, other: Box) -> bool:
    slack = 0.5
    return (
        one.x + slack < other.x + other.w
        and other.x + slack < one.x + one.w
        and one.y + slack < other.y + other.h
        and other.y + slack < one.y + one.h
    )


def tight(box: Box) -> Box:
    """The part of a line's box that its letters cover, accents and descenders included."""
    return Box(box.x, box.y + box.h * 0.12, box.w, box.h * 0.76)


def faults(layout: Layout, width: int, height: int, scale: float) -> Iterator[str]:
    """Say everything that is clipped, covered, too small, or too small to touch."""
    for words in layout.cramped:
        yield f"cramped: {words}"
    panel = Box(-0.5, -0.5, width + 1, height + 1)
    for text in layout.texts:
        inside = panel.holds(text.box.x, text.box.y) and panel.holds(text.box.x + text.box.w, text.box.y + text.box.h)
        if not inside:
            yield f"outside the panel: {text.text} {text.box}"
        if text.size < 10 * scale:
            yield f"too small at {text.size:.1f}: {text.text}"
        for hot in layout.hots:
            box = tight(text.box)
            if overlap(box, hot.box) and not (
                box.x >= hot.box.x
                and box.x + box.w <= hot.box.x + hot.box.w
                and box.y >= hot.box.y
                and box.y + box.h <= hot.box.y + hot.box.h
            ):
                yield f"across the edge of a button: {text.text}"
    for one, other in itertools.combinations(layout.texts, 2):
        if overlap(tight(one.box), tight(other.box)):
            yield f"over each other: {one.text} / {other.text}"
    yield from touch_faults(layout.hots, scale)


def touch_faults(hots: list[Hot], scale: float) -> Iterator[str]:
    for hot in hots:
        if min(hot.box.w, hot.box.h) < BUTTON * scale - 0.5:
            yield f"too small to touch: {hot.button.text} {hot.box}"
    for one, other in itertools.combinations(hots, 2):
        if overlap(one.box, other.box):
            yield f"buttons over each other: {one.button.text} / {other.button.text}"


def every_fault(measure: Measure) -> Iterator[str]:
    for (name, shown), (width, height) in itertools.product(pages(), SIZES):
        layout = lay_out(shown, width, height, measure)
        scale = Builder(shown, width, height, measure, None).scale
        for fault in faults(layout, width, height, scale):
            yield f"{name} at {width}x{height}: {fault}"


@pytest.mark.parts
def test_every_text_fits_in_the_real_font_on_every_panel(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_ui_fit", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["pages"] > 150
    assert report["faults"] == []


def test_a_layout_with_an_estimated_font_has_no_overlaps_either() -> None:
    shown = page(show(), Local(), Desk(FACE, button=True), 0, 0)
    layout = lay_out(shown, 800, 480, lambda text, size, bold: len(text) * size * (0.58 if bold else 0.53))
    assert list(faults(layout, 800, 480, 1.0)) == []
    assert [hot.button.text for hot in layout.hots] == ["Call 112 myself", "I need help"]
    help_box = layout.hots[1].box
    assert help_box.w * help_box.h >= 0.24 * 800 * 480  # the main one fills a quarter of the screen


def main(home: str) -> None:
    os.environ |= {"KIVY_HOME": home, "KIVY_NO_ARGS": "1", "KIVY_NO_FILELOG": "1", "KIVY_LOG_MODE": "PYTHON"}
    from functools import lru_cache  # noqa: PLC0415 - only here

    from kivy.core.text import Label  # noqa: PLC0415 - Kivy takes over the process that imports it

    from kiosk.ui.window import find_fonts  # noqa: PLC0415 - needs Kivy

    regular, bold_face = find_fonts()

    @lru_cache(None)
    def measure(text: str, size: float, bold: bool) -> float:
        return float(Label(text="", font_size=size, font_name=bold_face if bold else regular).get_extents(text)[0])

    print(json.dumps({"pages": len(list(pages())), "faults": list(every_fault(measure))}))


if __name__ == "__main__":
    main(sys.argv[1])
