"""What four touches in the corners of the screen say of its touch panel: how it lies, how far beside it is, where it is dead.

Rules
- Pure. A point is a share of the panel, from its top left corner: (0, 0) to (1, 1), whatever its pixels.
- A panel that is built in turned or mirrored lies in one of eight ways; four corners tell them apart, and from a panel that is
  beside its picture, or dead in a corner.
- Touches that fit no way are said to be unclear: nothing is set by a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import hypot
from typing import Literal

from kiosk.messages import Record

Point = tuple[float, float]

CORNERS = ("top left", "top right", "bottom right", "bottom left")
RIGHT_SHARE = 0.07
"""A touch may lie so far from its mark, as a share of the shorter side: 6 mm on a 7-inch panel, as fingers do."""
BESIDE_SHARE = 0.3
"""Beyond this it was no touch of that mark."""


class Turned(StrEnum):
    """How a touch panel lies behind its picture: what becomes of a finger's place. Turns are clockwise."""

    RIGHT = "right"
    MIRRORED_X = "mirrored-x"
    MIRRORED_Y = "mirrored-y"
    TURNED_90 = "turned-90"
    TURNED_180 = "turned-180"
    TURNED_270 = "turned-270"
    SWAPPED = "swapped"
    SWAPPED_180 = "swapped-180"


BACK = {Turned.TURNED_90: Turned.TURNED_270, Turned.TURNED_270: Turned.TURNED_90}
"""What undoes a turn; all else undoes itself."""


def arrives(turned: Turned, point: Point) -> Point:
    """Return where a finger at `point` arrives on a panel that lies so."""
    x, y = point
    return {
        Turned.RIGHT: (x, y),
        Turned.MIRRORED_X: (1 - x, y),
        Turned.MIRRORED_Y: (x, 1 - y),
        Turned.TURNED_90: (1 - y, x),
        Turned.TURNED_180: (1 - x, 1 - y),
        Turned.TURNED_270: (y, 1 - x),
        Turned.SWAPPED: (y, x),
        Turned.SWAPPED_180: (1 - y, 1 - x),
    }[turned]


def corrected(turned: Turned, point: Point) -> Point:
    """Return where the finger was whose touch arrived at `point` on a panel that lies so."""
    return arrives(BACK.get(turned, turned), point)


Word = Literal["right", "turned", "beside", "dead", "unclear"]


class Verdict(Record):
    """What the four touches say. `off` is how far the worst of them lay from its mark, as a share of the shorter side."""

    word: Word
    turned: Turned = Turned.RIGHT
    off: float = 0.0
    dead: tuple[str, ...] = ()


class Tapped(Record):
    """What is kept of it: when, and the way in which the screen takes touches since, where kiosk.toml names none."""

    at: datetime
    verdict: Verdict
    use: Turned = Turned.RIGHT


def classify(marks: Sequence[Point], taps: Sequence[Point | None], size: tuple[float, float]) -> Verdict:
    """Return what touches of the four `marks` say that arrived at `taps` (None: none came), on a panel of `size` pixels."""
    came = [(mark, tap) for mark, tap in zip(marks, taps, strict=True) if tap is not None]
    if len(came) < len(marks):
        return Verdict(word="dead", dead=tuple(name for name, tap in zip(CORNERS, taps, strict=True) if tap is None))
    worst = {way: max(_off(arrives(way, mark), tap, size) for mark, tap in came) for way in Turned}
    way = min(worst, key=lambda one: worst[one])
    off = round(worst[way], 3)
    if off > BESIDE_SHARE:
        return Verdict(word="unclear", off=off)
    if off > RIGHT_SHARE:
        return Verdict(word="beside", turned=way, off=off)
    return Verdict(word="right" if way is Turned.RIGHT else "turned", turned=way, off=off)


def _off(wanted: Point, came: Point, size: tuple[float, float]) -> float:
    """Return how far two points are from each other, as a share of the shorter side."""
    return hypot((wanted[0] - came[0]) * size[0], (wanted[1] - came[1]) * size[1]) / min(size)


# --- in words ---------------------------------------------------------------------------------------------------------

WAYS = {
    Turned.RIGHT: "the right way",
    Turned.MIRRORED_X: "mirrored, left for right",
    Turned.MIRRORED_Y: "mirrored, top for bottom",
    Turned.TURNED_90: "turned by a quarter",
    Turned.TURNED_180: "upside down",
    Turned.TURNED_270: "turned by three quarters",
    Turned.SWAPPED: "with its sides swapped",
    Turned.SWAPPED_180: "upside down, with its sides swapped",
}
RESTART = "sudo systemctl restart stayby-ui"
AGAIN = "then tap the corners again"


@dataclass(frozen=True)
class Told:
    """A verdict in words: whether it is well, what is so, what to do now."""

    ok: bool
    says: str
    do: str = ""


def agrees(verdict: Verdict, way: Turned) -> bool:
    """Return whether four touches say that the panel lies so."""
    return verdict.word in {"right", "turned"} and verdict.turned is way


def told(verdict: Verdict, in_force: Turned) -> Told:
    """Return a verdict in words, for a screen that takes its panel to lie `in_force`; the touches were judged without it."""
    if verdict.word == "dead":
        return _dead(verdict)
    if verdict.word == "unclear":
        says = "the touches fit no way in which a panel can lie"
        return Told(ok=False, says=says, do="tap each mark once, with one finger, in its middle; again")
    if verdict.turned is not in_force:
        return Told(ok=False, says=f"touch comes {WAYS[verdict.turned]}{_but(in_force)}", do=_set(verdict.turned))
    if verdict.word == "beside":
        do = "HDMI: no overscan in the monitor's menu; [ui] width and height as the panel's; else replace the panel"
        return Told(ok=False, says=f"touch comes up to {verdict.off:.0%} of the panel's height beside its place", do=do)
    as_set = "" if in_force is Turned.RIGHT else f"; the panel lies {in_force.value!r}, and is taken so"
    return Told(ok=True, says=f"each corner is where it was touched{as_set}")


def _dead(verdict: Verdict) -> Told:
    everywhere = len(verdict.dead) == len(CORNERS)
    says = "no touch came at all" if everywhere else f"no touch came in the {' and the '.join(verdict.dead)} corner"
    do = "clean and dry the glass, push the touch cable home on both ends; if it stays so, replace the panel"
    return Told(ok=False, says=says, do=do)


def _but(in_force: Turned) -> str:
    return "" if in_force is Turned.RIGHT else f", and is taken to lie {in_force.value!r}"


def _set(way: Turned) -> str:
    """Return how to set the way that was found."""
    return f'put touch = "{way.value}" below [ui] in kiosk.toml; {RESTART}; {AGAIN}'
