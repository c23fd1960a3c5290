"""Measures every text of every page in every language and size, with the real fonts, against its real box on every panel.

Run as a program it is the part that needs Kivy, which must never be imported beside pytest; it prints what is wrong.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from kiosk.corners import Turned
from kiosk.guidance import CASES, GROUPS
from kiosk.messages import Choice, Going, Hearing, Language, Person, Severity, Show
from kiosk.page import SERVICE_KINDS, TEXT_PERCENTS, Button, Go, Kind, Look, Page
from kiosk.pages import Desk, Local, page, settle
from kiosk.pages_service import service_page
from kiosk.scene import Place
from kiosk.ui import catalogues
from kiosk.ui.layout import Box, Hot, Layout, Measure, lay_out
from kiosk.ui.layout_pages import CARD_LEAST
from kiosk.ui.sheet import BUTTON, scale_of
from tests.screen import FACE, ROOT, SCENES, VISITS, next_step, show, snapshot

COMMON = ((800, 480), (480, 800))
PANELS = (*COMMON, (720, 1280), (1024, 600), (800, 600), (1280, 720), (1024, 768), (1920, 1080))
LOOKS = ((100, False), (150, False), (200, False), (100, True), (200, True))
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


# --- every page -------------------------------------------------------------------------------------------------------


def at(shown: Show, look: Look, now_s: float = 0.0, **local: Any) -> Page:
    """The page of a desk with a button and a speaker, with `local` as if it had been touched so."""
    start = settle(Local(look=look, home=look), shown, 0)
    tongue = catalogues.load(look.language)
    return page(shown, replace(start, **local), Desk(shown.face, button=True), now_s, 0, tongue)


def of_scenes(look: Look) -> Iterator[tuple[str, Page]]:
    """Every scene of the hub with short and with long names, and the pages that can be opened over it."""
    for name, scene in SCENES.items():
        for how, shown in (("short", scene.show), ("long", lengthened(scene.show))):
            for opened in (None, Go.EMERGENCY, Go.CHOICES):
                if not (how == "short" and opened):
                    yield f"{name}/{how}/{opened}", at(shown, look, opened=opened, emergency_put_away=opened is None)


def of_cases(look: Look) -> Iterator[tuple[str, Page]]:
    """Every group's pictures and every step of every case."""
    for choice, case in CASES.items():
        shown = lengthened(show(snapshot(choice=choice, seen=PEOPLE)))
        local: dict[str, Any] = {"incident": "i-1", "choice": choice}
        for step in range(len(case.steps)):
            yield f"{choice}/{step}", at(shown, look, opened=Go.STEPS, step=step, timer_s=0.0, **local)
        if GROUPS.get(choice):
            yield f"{choice}/cases", at(shown, look, opened=Go.CASES, **local)


def of_touches(look: Look) -> Iterator[tuple[str, Page]]:
    """Pages that a touch opens, and those of a hub that is away."""
    waits, idle = show(snapshot(seen=PEOPLE[:1])), show()
    asked = snapshot(severity=Severity.CHECK, choice=Choice.PERSON, next=next_step("ask_next_tier", 20))
    for how, change in (("short", lambda shown: shown), ("long", lengthened)):
        yield f"view/{how}", at(change(idle), look, opened=Go.VIEW)
        yield f"view/{how}/waiting", at(change(waits), look, opened=Go.VIEW)
        yield f"code/{how}", at(change(waits), look, opened=Go.EMERGENCY, code=True, incident="i-1")
        yield f"ear/{how}", at(change(idle), look, opened=Go.EAR)
        yield f"ear/{how}/paused", at(change(show(hearing=Hearing.PAUSED, hearing_back_s=1700.0)), look, opened=Go.EAR)
        yield f"name/{how}", at(change(waits), look, opened=Go.NAME, incident="i-1", entry="Wilhelmina Feathersto")
        yield f"name/{how}/empty", at(change(waits), look, opened=Go.NAME, incident="i-1")
        yield f"person/{how}", at(change(show(asked)), look)
        yield f"telling/{how}", at(change(idle), look, telling=True)
        yield f"thanks/{how}", at(change(idle), look, incident="x", closed_s=0.0)
        yield f"gone/{how}", at(change(idle), look, 100.0, telling=True)
        yield f"gone/{how}/steps", at(change(idle), look, 100.0, choice=Choice.BLEEDING, opened=Go.STEPS)
        yield f"gone/{how}/emergency", at(change(idle), look, 100.0, opened=Go.EMERGENCY)


def of_visits(look: Look) -> Iterator[tuple[str, Page]]:
    """A technician's pages, with a short and a long name of the desk."""
    for name, visit in VISITS.items():
        for face in (FACE, LONG_FACE):
            place = Place(face, Local(look=look), Desk(face, button=True), catalogues.load(look.language), 0.0)
            yield f"{name}/{face.place}", service_page(visit, place, Turned.RIGHT)


@lru_cache(None)
def pages(look: Look) -> tuple[tuple[str, Page], ...]:
    every = itertools.chain(of_scenes(look), of_cases(look), of_touches(look))
    once = {shown: name for name, shown in every}
    return tuple((name, shown) for shown, name in once.items())


# --- what is wrong with a layout --------------------------------------------------------------------------------------


def overlap(one: Box, other: Box, slack: float = 0.5) -> bool:
    across = one.x + slack < other.right and other.x + slack < one.right
    return across and one.y + slack < other.bottom and other.y + slack < one.bottom


def within(box: Box, other: Box, slack: float = 1.0) -> bool:
    across = box.x >= other.x - slack and box.right <= other.right + slack
    return across and box.y >= other.y - slack and box.bottom <= other.bottom + slack


def tight(box: Box) -> Box:
    """The part of a line's box that its letters cover, accents and descenders included."""
    return Box(box.x, box.y + box.h * 0.12, box.w, box.h * 0.76)


def text_faults(layout: Layout, panel: Box, scale: float) -> Iterator[str]:
    for words in layout.cramped:
        yield f"cramped: {words}"
    for text in layout.texts:
        box = tight(text.box)
        if not within(box, panel):
            yield f"outside the panel: {text.text} {text.box}"
        if text.size < int(CARD_LEAST * scale):
            yield f"too small at {text.size:.1f}: {text.text}"
        if any(overlap(box, hot.drawn) and not within(box, hot.drawn) for hot in layout.hots):
            yield f"across the edge of a button: {text.text}"
        if any(overlap(box, picture.box, 1.0) for picture in layout.pictures):
            yield f"over a picture: {text.text}"
    for one, other in itertools.combinations(layout.texts, 2):
        if overlap(tight(one.box), tight(other.box)):
            yield f"over each other: {one.text} / {other.text}"


def touch_faults(hots: list[Hot], panel: Box, scale: float) -> Iterator[str]:
    for hot in hots:
        if min(hot.box.w, hot.box.h) < BUTTON * scale - 0.5:
            yield f"too small to touch: {hot.button.text} {hot.box}"
        if not within(hot.box, panel, 0.5) or not within(hot.drawn, hot.box, 0.5):
            yield f"outside: {hot.button.text} {hot.box}"
    for one, other in itertools.combinations(hots, 2):
        if overlap(one.box, other.box):
            yield f"buttons over each other: {one.button.text} / {other.button.text}"


def buttons_of(shown: Page) -> list[Button]:
    keys = [key for row in shown.keys for key in row]
    return [*shown.top, *shown.buttons, *keys, *shown.row, *shown.corner]


def kept(shown: Page) -> set[str]:
    """What may never give way."""
    texts = {shown.headline, shown.ask, shown.number, *(button.text for button in buttons_of(shown))}
    texts |= {line.text for line in shown.waiting[-1:] if not line.done and shown.kind in {Kind.WAITING, Kind.COMING}}
    texts |= set(shown.body) if shown.kind in {Kind.STEPS, Kind.GONE} else set()
    texts |= set(shown.body) if shown.kind is Kind.IDLE and len(shown.body) > 1 else set()
    texts |= {shown.card.title, shown.card.lead, *shown.card.lines[:2]} if shown.card else set()
    return texts


def may_go(shown: Page, look: Look) -> set[str]:
    """What may give way at 100 % where it is very long: what has happened so far, and what is written beside a keyboard."""
    if shown.kind in {Kind.EMERGENCY, Kind.NAME}:
        return set(shown.body[1:] if shown.number else shown.body)
    return {line.text for line in shown.waiting[:-1]} | set(shown.body) if look.low else set()


def faults(shown: Page, layout: Layout, width: int, height: int, look: Look) -> Iterator[str]:
    """Say everything that is clipped, covered, left out, too small, or too small to touch."""
    panel, scale = Box(0, 0, width, height), scale_of(width, height)
    yield from text_faults(layout, panel, scale)
    yield from touch_faults(layout.hots, panel, scale)
    if sorted(map(repr, buttons_of(shown))) != sorted(repr(hot.button) for hot in layout.hots):
        yield "not every button is there once"
    for text in kept(shown) & set(layout.left_out):
        yield f"left out: {text}"
    words = set(layout.left_out) - {button.picture for button in buttons_of(shown)} - may_go(shown, look)
    if look.text_percent == 100 and words:
        yield f"left out at 100 %: {words}"
    if look.low and shown.kind not in {Kind.NAME, Kind.VIEW, *SERVICE_KINDS}:
        for hot in layout.hots:
            if hot.box.y < height / 2 - 0.5:
                yield f"in the upper half: {hot.button.text}"


def shrunk(layout: Layout, plain: Layout) -> Iterator[str]:
    """Say which text is smaller with larger text than without."""
    before: dict[str, float] = {}
    for text in plain.texts:
        before[text.text] = min(before.get(text.text, text.size), text.size)
    for text in layout.texts:
        if text.size < before.get(text.text, 0.0) - 1:
            yield f"smaller than at 100 %, {before[text.text]:.0f} to {text.size:.0f}: {text.text}"


# --- the measuring ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A page to be measured on a panel."""

    name: str
    shown: Page
    width: int
    height: int
    look: Look


def cases() -> Iterator[Case]:
    """Every page in every language on the two commonest panels, every third on another one.

    With larger text or the touches lower, every third page of a language, on all panels in turn; others in the next one. A
    technician's pages on every panel.
    """
    turn = 0
    for number, language in enumerate(Language):
        for percent, low in LOOKS:
            look = Look(language=language, text_percent=percent, low=low)
            usual = look == Look(language=language)
            for name, shown in pages(look) if usual else pages(look)[number % 3 :: 3]:
                turn += 1
                other = () if usual and turn % 3 else (PANELS[turn // 3 % len(PANELS)],)
                for width, height in dict.fromkeys((*(COMMON if usual else ()), *other)):
                    yield Case(name, shown, width, height, look)
    for number, language in enumerate(Language):
        look = Look(language=language, text_percent=TEXT_PERCENTS[number % 3], low=number % 2 == 1)
        for (name, shown), (width, height) in itertools.product(of_visits(look), PANELS):
            yield Case(name, shown, width, height, look)


def every_fault(measure: Measure) -> Iterator[str]:
    for case in cases():
        layout = lay_out(case.shown, case.width, case.height, measure, case.look)
        where = f"{case.look.language} {case.look.text_percent} %{' low' if case.look.low else ''}"
        for fault in faults(case.shown, layout, case.width, case.height, case.look):
            yield f"{case.name} at {case.width}x{case.height} {where}: {fault}"


def every_shrunk(measure: Measure) -> Iterator[str]:
    """Say what larger text makes smaller where names are of usual length, on every second page.

    Not where cases are chosen by their pictures: on a tall panel these are kept, and long words beside them are what gives way
    (`test_cases_keep_the_pictures_that_they_are_chosen_by`).
    """
    larger = (one for one in cases() if one.look.text_percent > 100 and one.shown.kind is not Kind.CASES)
    usual = (one for one in larger if "/long" not in one.name)
    for case in itertools.islice(usual, 0, None, 2):
        plain, large = (
            lay_out(case.shown, case.width, case.height, measure, look)
            for look in (replace(case.look, text_percent=100), case.look)
        )
        for fault in shrunk(large, plain):
            yield f"{case.name} at {case.width}x{case.height} {case.look.language} {case.look.text_percent} %: {fault}"


@pytest.mark.parts
@pytest.mark.timeout(300)  # 35 s of one core, which others may be using too
def test_every_text_fits_in_the_real_fonts_in_every_language_and_size_on_every_panel(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_ui_fit", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=290,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["layouts"] > 5_000
    assert report["faults"] == []


def main(home: str) -> None:
    os.environ |= {"KIVY_HOME": home, "KIVY_NO_ARGS": "1", "KIVY_NO_FILELOG": "1", "KIVY_LOG_MODE": "PYTHON"}
    from kiosk.ui.fonts import Fonts  # noqa: PLC0415 - only here
    from kiosk.ui.letters import Letters  # noqa: PLC0415 - Kivy takes over the process that imports it

    measure = lru_cache(None)(Letters(Fonts()).measure)
    found = [*every_fault(measure), *every_shrunk(measure)]
    print(json.dumps({"layouts": sum(1 for _ in cases()), "faults": found}))


if __name__ == "__main__":
    main(sys.argv[1])
