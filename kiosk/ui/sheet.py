"""Places paragraphs in boxes: as large as the person asked for, smaller where room ends, and some give way before others.

Rules
- All sizes are of an 800 x 480 panel (480 x 800 upright) and grow with the panel.
- Headlines are large already: of larger text they take three quarters, so that they stay the largest and leave room.
- A block with `spare` gives way where larger text has no room: 1 goes first, 0 never. Then the rest shrinks, all by one
  factor, and never below what it has at 100 %. At 100 % blocks give way only where nothing else fits.
- What does not fit even at its smallest is named in `Layout.cramped`, what gave way in `Layout.left_out`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from kiosk.messages import Language
from kiosk.page import Button, Line, Look
from kiosk.ui import palette
from kiosk.ui.palette import Colour
from kiosk.ui.shapes import LINE_BOX, Box, Dot, Layout, Measure, Text
from kiosk.ui.wrapping import Width, reads_rtl, widest, wrap, wrap_evenly

BUTTON, PAD, GAP, TOP, TALL_TOP = 84.0, 24.0, 14.0, 52.0, 72.0
"""A button is at least 84 high and wide: 15 mm on a 7-inch panel (85.9 mm for 480 pixels)."""
HEADLINE, BODY, MARGIN, SMALL = 44.0, 23.0, 18.0, 16.0
SMALLEST = 0.5
"""How far text may shrink from its 100 % size, though never below its `least`, before it counts as cramped."""
SHRINK = 0.96
LEFT, CENTRE, RIGHT = 0.0, 0.5, 1.0
HEADLINE_SHARE = 0.75
WORTH = 1.12
"""What gives way has to make the rest at least this much larger."""
NEAR = 0.8
"""With larger text, this much of what was asked for is good enough to leave nothing out."""
HEADLINE_PITCH = {Language.CHINESE: 1.25, Language.ARABIC: 1.34, Language.HINDI: 1.34}
BODY_PITCH = {Language.CHINESE: 1.35, Language.ARABIC: 1.42, Language.HINDI: 1.42}
"""From line to line, for the size; other languages have 1.18 and 1.3. Arabic and Hindi have marks above and below."""


@dataclass(frozen=True)
class Block:
    """A paragraph to be placed: its text, size at full scale, look, the space above it, its dot, when it gives way.

    `tight`: its lines stand closer, as on a button or a card. `least` is its smallest size at full scale.
    """

    text: str
    size: float
    bold: bool = False
    colour: Colour = (0.0, 0.0, 0.0)
    above: float = 0.0
    dot: Line | None = None
    spare: int = 0
    tight: bool = False
    least: float = SMALL


@lru_cache(8)
def factors(grow: float) -> tuple[float, ...]:
    """Return what text is tried at, from what was asked for down to the smallest."""
    steps = [grow]
    while steps[-1] > SMALLEST:
        steps.append(max(SMALLEST, steps[-1] * SHRINK))
        if steps[-2] > 1.0 > steps[-1]:
            steps[-1] = 1.0
    return tuple(steps)


class Sheet:
    """A panel on which a page is laid out: the sizes, the colours, and what has been placed so far."""

    def __init__(self, width: float, height: float, measure: Measure, look: Look, pressed: Button | None) -> None:
        self.width, self.height, self.look, self.pressed = width, height, look, pressed
        self.tall = height > width
        self.scale = scale_of(width, height)
        self.top = self.px(TALL_TOP if self.tall else TOP)
        self.grow = look.text_percent / 100
        self.colours = palette.COLOURS[look.theme]
        self.out = Layout(ground=self.colours.ground)
        self._measure = measure

    def px(self, size: float) -> float:
        """Return a size of the 800 x 480 panel on this one."""
        return size * self.scale

    def width_of(self, text: str, size: float, *, bold: bool) -> float:
        """Return the width of a text at a size in pixels."""
        return self._measure(text, size, bold)

    def size(self, block: Block, factor: float) -> float:
        """Return the size that a block has at a factor: whole pixels, as fonts have them."""
        if factor > 1 and block.size >= HEADLINE:
            factor = max(1.0, HEADLINE_SHARE * factor)
        full = self.px(block.size)
        return float(max(1, int(max(full * factor, min(full, self.px(block.least))))))

    def pitch(self, block: Block, size: float) -> float:
        """Return the distance from line to line."""
        language = self.look.language
        if block.size >= HEADLINE or block.tight:
            return size * HEADLINE_PITCH.get(language, 1.18)
        return size * BODY_PITCH.get(language, 1.3)

    def _indent(self, block: Block) -> float:
        return self.px(36) if block.dot else 0.0

    def _width(self, block: Block, size: float) -> Width:
        return lambda text: self._measure(text, size, block.bold)

    # --- how large ----------------------------------------------------------------------------------------------------

    def tallness(self, blocks: Sequence[Block], width: float, factor: float) -> float:
        """Return the height of blocks below each other at a factor."""
        total = 0.0
        for at, block in enumerate(blocks):
            size = self.size(block, factor)
            lines = len(wrap(block.text, width - self._indent(block), self._width(block, size)))
            total += self.pitch(block, size) * lines + (self._above(block, factor) if at else 0.0)
        return total

    def _above(self, block: Block, factor: float) -> float:
        return self.px(block.above) * min(1.0, factor)

    def _torn(self, blocks: Sequence[Block], width: float, factor: float) -> bool:
        """Return whether a word would have to be cut."""
        return any(
            widest(block.text, self._width(block, self.size(block, factor))) > width - self._indent(block)
            for block in blocks
        )

    def fits(self, blocks: Sequence[Block], box: Box, factor: float, *, torn: bool = False) -> bool:
        """Return whether blocks fit a box at a factor; with `torn`, even if a word has to be cut."""
        return self.tallness(blocks, box.w, factor) <= box.h and (torn or not self._torn(blocks, box.w, factor))

    def largest(self, blocks: Sequence[Block], box: Box) -> float | None:
        """Return the largest factor at which blocks fit a box without a word being cut; None if they fit at none."""
        return self._search(blocks, box, torn=False)

    def _search(self, blocks: Sequence[Block], box: Box, *, torn: bool) -> float | None:
        return self.most(lambda factor: self.fits(blocks, box, factor, torn=torn))

    def most(self, fits: Callable[[float], bool]) -> float | None:
        """Return the largest factor at which something fits, None if it fits at none."""
        tried = factors(self.grow)
        if not fits(tried[-1]):
            return None
        low, high = 0, len(tried) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(tried[middle]) else (middle + 1, high)
        return tried[low]

    def chosen(self, blocks: Sequence[Block], box: Box) -> tuple[Sequence[Block], float]:
        """Return which blocks stay, and their factor, which is 0 where they do not fit at any."""
        best: tuple[Sequence[Block], float] = (blocks, 0.0)
        enough = NEAR * self.grow if self.grow > 1 else 0.0
        for kept in _levels(blocks):
            factor = self.largest(kept, box) or 0.0
            if factor > best[1] * WORTH:
                best = (kept, factor)
            if factor and factor >= enough:
                break
        return best

    # --- placing ------------------------------------------------------------------------------------------------------

    def place(self, blocks: Sequence[Block], box: Box, *, top: bool = False, align: float = LEFT) -> float:
        """Place paragraphs in a box, in its middle unless `top`, as large as they can be; return the end of the last."""
        if not blocks:
            return box.y
        kept, factor = self.chosen(blocks, box)
        if not factor:
            torn = self._search(kept, box, torn=True)
            self.out.cramped += [block.text for block in kept] if torn is None else []
            factor = torn or SMALLEST
        self.out.left_out += [block.text for block in blocks if block not in kept]
        return self.place_at(kept, box, factor, top=top, align=align)

    def place_at(self, blocks: Sequence[Block], box: Box, factor: float, *, top: bool, align: float) -> float:
        """Place paragraphs at a factor that is known to fit."""
        y = box.y if top else box.y + max(0.0, (box.h - self.tallness(blocks, box.w, factor)) / 2)
        for at, block in enumerate(blocks):
            y = self._paragraph(block, box, y + (self._above(block, factor) if at else 0.0), factor, align=align)
        return y

    def _paragraph(self, block: Block, box: Box, y: float, factor: float, *, align: float) -> float:
        size, indent = self.size(block, factor), self._indent(block)
        pitch = self.pitch(block, size)
        rtl = reads_rtl(block.text, default=self.look.language is Language.ARABIC)
        if block.dot:
            self._dot(block.dot, Box(box.x, y, self.px(22), pitch))
        for line in wrap_evenly(block.text, box.w - indent, self._width(block, size)):
            wide = self._measure(line, size, block.bold)
            x = box.x + indent + (box.w - indent - wide) * align
            height = size * LINE_BOX
            self.out.texts.append(
                Text(line, Box(x, y + (pitch - height) / 2, wide, height), size, block.bold, block.colour, rtl)
            )
            y += pitch
        return y

    def _dot(self, line: Line, box: Box) -> None:
        colours = self.colours
        colour = colours.main if line.done else colours.edge
        self.out.dots.append(Dot(box.square(), line.done, colour, colours.ground))

    def mirrored(self) -> Layout:
        """Return what was placed, for a panel that is read from right to left: boxes change sides, texts stay as they are."""
        out, width = self.out, self.width
        return replace(
            out,
            fills=[replace(one, box=one.box.mirrored(width)) for one in out.fills],
            pictures=[replace(one, box=one.box.mirrored(width)) for one in out.pictures],
            code=replace(out.code, box=out.code.box.mirrored(width)) if out.code else None,
            pace=replace(out.pace, box=out.pace.box.mirrored(width)) if out.pace else None,
            dots=[replace(one, box=one.box.mirrored(width)) for one in out.dots],
            texts=[replace(one, box=one.box.mirrored(width)) for one in out.texts],
            hots=[replace(one, box=one.box.mirrored(width), drawn=one.drawn.mirrored(width)) for one in out.hots],
        )


def scale_of(width: float, height: float) -> float:
    """Return how much larger a panel is than 800 x 480, or 480 x 800 where it stands upright."""
    return min(width / 480, height / 800) if height > width else min(width / 800, height / 480)


def _levels(blocks: Sequence[Block]) -> Iterator[Sequence[Block]]:
    """Return the blocks, then without those that give way first, and so on."""
    yield blocks
    for rank in sorted({block.spare for block in blocks} - {0}):
        yield [block for block in blocks if block.spare == 0 or block.spare > rank]
