"""The pictures of the guidance: each is there, small, and drawn with nothing but what the screen's rasteriser knows."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from kiosk.guidance import CASES

FOLDER = Path(__file__).parent.parent / "kiosk" / "ui" / "pictures"
FILES = sorted(FOLDER.glob("*.svg"))
STEPS = {step.picture for case in CASES.values() for step in case.steps}
TILES = {case.picture for case in CASES.values()}
SCREEN = {"microphone", "speaker"}
"""What the screen itself shows."""
SVG = "{http://www.w3.org/2000/svg}"
GEOMETRY = {
    "path": {"d"},
    "circle": {"cx", "cy", "r"},
    "ellipse": {"cx", "cy", "rx", "ry"},
    "rect": {"x", "y", "width", "height", "rx", "ry"},
    "line": {"x1", "y1", "x2", "y2"},
    "polyline": {"points"},
    "polygon": {"points"},
}
PAINT = {"fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin"}
COLOURS = {"none", "currentColor", "#c0ffee"}
THINNEST, THICKEST = 6.0, 26.0
MARGIN = 3.0
MOST_BYTES = 4096
Point = tuple[float, float]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def pairs(values: list[float]) -> list[Point]:
    return list(zip(values[::2], values[1::2], strict=True))


def path_points(d: str) -> list[Point]:
    """Every point of a path in absolute commands, the control points of its curves included."""
    assert not set(re.findall(r"[A-Za-z]", d)) - set("MLHVCQZ"), d
    points: list[Point] = []
    for command, rest in re.findall(r"([MLHVCQZ])([^A-Z]*)", d):
        values = numbers(rest)
        if command == "H":
            points += [(x, points[-1][1]) for x in values]
        elif command == "V":
            points += [(points[-1][0], y) for y in values]
        else:
            points += pairs(values)
    return points


def outline(element: ET.Element) -> list[Point]:
    """Points between which an element lies, without its stroke."""
    at = {name: numbers(value) for name, value in element.attrib.items() if name in {"cx", "cy", "r", "rx", "ry"}}
    kind = element.tag.removeprefix(SVG)
    if kind == "path":
        return path_points(element.attrib["d"])
    if kind in {"circle", "ellipse"}:
        (x,), (y,), (wide,), (high,) = at["cx"], at["cy"], at.get("r", at.get("rx", [])), at.get("r", at.get("ry", []))
        return [(x - wide, y - high), (x + wide, y + high)]
    if kind == "rect":
        x, y, wide, high = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
        return [(x, y), (x + wide, y + high)]
    if kind == "line":
        return pairs([float(element.attrib[name]) for name in ("x1", "y1", "x2", "y2")])
    return pairs(numbers(element.attrib["points"]))


def elements(path: Path) -> list[ET.Element]:
    return list(ET.fromstring(path.read_text(encoding="utf-8")))  # noqa: S314 - our own files


def test_every_step_and_every_tile_has_its_picture_and_none_is_left_over() -> None:
    assert {path.stem for path in FILES} == STEPS | TILES | SCREEN


def test_no_two_pictures_are_the_same() -> None:
    assert len({path.read_bytes() for path in FILES}) == len(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_uses_only_what_is_drawn_everywhere(path: Path) -> None:
    root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - our own files
    assert root.tag == SVG + "svg"
    assert root.attrib == {"viewBox": "0 0 200 200"}
    assert len(path.read_bytes()) < MOST_BYTES
    for element in root:
        kind = element.tag.removeprefix(SVG)
        assert set(element.attrib) <= GEOMETRY[kind] | PAINT, kind
        assert not len(element)
        assert not (element.text or "").strip()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_is_ink_and_one_accent_in_strokes_that_can_be_seen_from_afar(path: Path) -> None:
    used = set()
    for element in elements(path):
        fill, stroke = element.attrib["fill"], element.get("stroke", "none")
        assert {fill, stroke} <= COLOURS
        assert {fill, stroke} != {"none"}, "nothing to be seen"
        used |= {fill, stroke}
        if stroke != "none" and fill == "none":
            assert THINNEST <= float(element.attrib["stroke-width"]) <= THICKEST
            assert (element.get("stroke-linecap"), element.get("stroke-linejoin")) == ("round", "round")
    assert used & {"currentColor", "#c0ffee"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_stays_inside_its_box(path: Path) -> None:
    for element in elements(path):
        half = float(element.get("stroke-width", "0")) / 2
        for point in outline(element):
            assert all(abs(value - 100) + half <= 100 - MARGIN for value in point), (path.stem, point)
