"""What a page consists of once it is laid out: boxes, fills, lines of text, pictures, and where it can be touched.

Rules
- Coordinates are pixels of the panel, from its top left corner, in every language.
- It is drawn in the order of the fields of `Layout`: fills, pictures, the code, the pacer, dots, texts.
- A `Text` is one logical line in reading order; to shape it and to order its letters is the painter's part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from kiosk.guidance import Pace
from kiosk.page import Button
from kiosk.ui.palette import Colour

Measure = Callable[[str, float, bool], float]
"""Width in pixels of one line of text in any script, given its size in pixels and whether it is bold."""

LINE_BOX = 1.37
"""Height of a line's box for its size: Noto's ascent and descent."""


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, width, height."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """The x of its right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """The y of its lower edge."""
        return self.y + self.h

    def holds(self, x: float, y: float) -> bool:
        """Return whether a point is in the box."""
        return self.x <= x < self.right and self.y <= y < self.bottom

    def inset(self, dx: float, dy: float) -> "Box":
        """Return the box without a margin."""
        return Box(self.x + dx, self.y + dy, self.w - 2 * dx, self.h - 2 * dy)

    def square(self) -> "Box":
        """Return the largest square in its middle."""
        side = min(self.w, self.h)
        return Box(self.x + (self.w - side) / 2, self.y + (self.h - side) / 2, side, side)

    def mirrored(self, width: float) -> "Box":
        """Return where the box stands on a panel of `width` that is read from right to left."""
        return Box(width - self.right, self.y, self.w, self.h)


@dataclass(frozen=True)
class Fill:
    """A filled rectangle with round corners and, if wanted, a border of `border_px` within it."""

    box: Box
    colour: Colour
    radius: float = 0.0
    border: Colour | None = None
    border_px: float = 2.0


@dataclass(frozen=True)
class Picture:
    """A vector picture by its name, drawn into a square box with one ink and one accent."""

    name: str
    box: Box
    colour: Colour
    accent: Colour


@dataclass(frozen=True)
class Code:
    """A QR code in a square box: dark on light in every theme, since a phone must read it. The box includes its quiet edge."""

    content: str
    box: Box
    dark: Colour
    light: Colour


@dataclass(frozen=True)
class Pacer:
    """What moves by wall time, in a square box that holds its largest size: a disc within a ring that stands still.

    A word in the disc has the colour `word`; between disc and ring is `ground`.
    """

    pace: Pace
    box: Box
    disc: Colour
    ring: Colour
    word: Colour
    ground: Colour


@dataclass(frozen=True)
class Dot:
    """A circle of the waiting line: full for a fact, a ring around `hole` for what is still awaited."""

    box: Box
    full: bool
    colour: Colour
    hole: Colour


@dataclass(frozen=True)
class Text:
    """One line of text; its box is what it may cover. `rtl`: its base direction is from right to left."""

    text: str
    box: Box
    size: float
    bold: bool
    colour: Colour
    rtl: bool = False


@dataclass(frozen=True)
class Hot:
    """Where a button can be touched, and what is drawn of it, which may be less."""

    box: Box
    button: Button
    drawn: Box


@dataclass
class Layout:
    """A page laid out. `cramped` names texts that did not fit even at their smallest, `left_out` what gave way to larger text."""

    ground: Colour
    fills: list[Fill] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    code: Code | None = None
    pace: Pacer | None = None
    dots: list[Dot] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    hots: list[Hot] = field(default_factory=list)
    cramped: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def hit(self, x: float, y: float) -> Button | None:
        """Return the button at a point."""
        return next((hot.button for hot in self.hots if hot.box.holds(x, y)), None)
