"""Where everything of a `Page` stands on a panel of a given size: boxes and lines of text, but no pixels yet.

Rules
- Left is what is so, right is what can be done; on a portrait panel above and below.
- All sizes are of an 800 x 480 panel and grow with the panel. A button is at least 84 high there: 15 mm on a 7-inch panel
  (85.9 mm for 480 pixels).
- Text is wrapped here, line by line, and made smaller until its block fits. `Layout.cramped` names what did not fit even so.
- Coordinates are pixels from the top left corner.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kiosk.page import Button, Card, Kind, Line, Look, Page, Style
from kiosk.ui.palette import GREEN, INK, MUTED, PAPER, PRESSED, PRESSED_SOFT, RED, RULE, SOFT, WHITE, Colour
from kiosk.ui.shapes import Box, Code, Dot, Fill, Hot, Layout, Measure, Pacer, Picture, Text

__all__ = ["Box", "Code", "Dot", "Fill", "Hot", "Layout", "Measure", "Pacer", "Picture", "Text", "lay_out"]

BUTTON = 84.0
PAD = 24.0
GAP = 14.0
TOP = 52.0
HEADLINE, BODY, MARGIN = 44.0, 23.0, 18.0
SMALL = 16.0
MAIN_TEXT, PLAIN_TEXT = 36.0, 24.0
RADIUS = 22.0
LINE_HEIGHT = 1.3
SMALLEST = 0.5
"""How far a block of text may shrink before it counts as cramped."""
SHRINK = 0.96


@dataclass(frozen=True)
class Block:
    """A paragraph to be placed: its text, size at full scale, look, the space above it, and its dot if it has one."""

    text: str
    size: float
    bold: bool = False
    colour: Colour = INK
    above: float = 0.0
    dot: Line | None = None


def wrap(text: str, width: float, size: float, bold: bool, measure: Measure) -> list[str]:
    """Return `text` in lines of at most `width` pixels; a word that is wider alone is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if measure(longer, size, bold) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = _cut(word, width, size, bold, measure)
        lines += full
    return [*lines, line] if line else lines


def wrap_evenly(text: str, width: float, size: float, bold: bool, measure: Measure) -> list[str]:
    """Return `text` in as few lines as `wrap`, at ends of sentences if that is enough, else of about equal length."""
    lines = wrap(text, width, size, bold, measure)
    if len(lines) < 2:  # noqa: PLR2004 - nothing to even out
        return lines
    sentences = re.split(r"(?<=[.?:]) ", text)
    if len(sentences) == len(lines) and all(measure(one, size, bold) <= width for one in sentences):
        return sentences
    widest = max(measure(word, size, bold) for word in text.split())
    low, high = min(max(width / len(lines), widest), width), width
    while high - low > 1:
        middle = (low + high) / 2
        fits = len(wrap(text, middle, size, bold, measure)) <= len(lines)
        low, high = (low, middle) if fits else (middle, high)
    return wrap(text, high, size, bold, measure)


def _cut(word: str, width: float, size: float, bold: bool, measure: Measure) -> list[str]:
    parts = [""]
    for letter in word:
        if parts[-1] and measure(parts[-1] + letter, size, bold) > width:
            parts.append("")
        parts[-1] += letter
    return parts


class Builder:
    """Lays one page out."""

    def __init__(self, page: Page, width: float, height: float, measure: Measure, pressed: Button | None) -> None:
        self.page, self.width, self.height, self.measure, self.pressed = page, width, height, measure, pressed
        self.tall = height > width
        self.scale = min(width / 480, height / 800) if self.tall else min(width / 800, height / 480)
        self.out = Layout(ground=WHITE if page.red else PAPER)

    def px(self, size: float) -> float:
        """Return a size of the 800 x 480 panel on this one."""
        return size * self.scale

    def build(self) -> Layout:
        """Return the page laid out."""
        self._top()
        bottom_y = self._bottom()
        main = Box(self.px(PAD), self.px(TOP + 4), self.width - 2 * self.px(PAD), 0)
        main = Box(main.x, main.y, main.w, bottom_y - self.px(GAP) - main.y)
        if self.page.card is not None:
            self._emergency(main, self.page.card)
        else:
            left, right = self._columns(main)
            self._left(left)
            self._right(right)
        return self.out

    def _columns(self, main: Box) -> tuple[Box, Box]:
        gap = self.px(20)
        if self.tall:
            half = (main.h - gap) * 0.46
            return Box(main.x, main.y, main.w, half), Box(main.x, main.y + half + gap, main.w, main.h - half - gap)
        half = (main.w - gap) / 2
        return Box(main.x, main.y, half, main.h), Box(main.x + half + gap, main.y, half, main.h)

    # --- top and bottom line ------------------------------------------------------------------------------------------

    def _top(self) -> None:
        page, red = self.page, self.page.red
        band = Box(0, 0, self.width, self.px(TOP))
        if red:
            self.out.fills.append(Fill(band, RED))
        strong, weak = (WHITE, WHITE) if red else (INK, MUTED)
        line = band.inset(self.px(PAD), 0)
        room = line.w
        if page.top_right:
            room -= self._at_edge(page.top_right, line, weak, line.w * 0.55, right=True)
        if page.mark:
            room -= self._mark(page.mark, Box(line.x, line.y, room, line.h))
        self._at_edge(page.top_left, line, strong, room - self.px(GAP), bold=True)

    def _at_edge(
        self, text: str, line: Box, colour: Colour, room: float, *, bold: bool = False, right: bool = False
    ) -> float:
        """Place a text of the top line, in two smaller lines where one is too long; return what it takes."""
        size, lines = self.px(MARGIN), [text]
        if self.measure(text, size, bold) > room:
            size = self.px(SMALL)
            lines = wrap_evenly(text, room, size, bold, self.measure)
        if len(lines) > 2:  # noqa: PLR2004 - there is no third line
            self.out.cramped.append(text)
        y = line.y + line.h / 2 - size * LINE_HEIGHT * (len(lines) - 1) / 2
        widths = [self.measure(one, size, bold) for one in lines]
        for one, width in zip(lines, widths, strict=True):
            self._line(one, line.x + line.w - width if right else line.x, y, size, bold, colour)
            y += size * LINE_HEIGHT
        return max(widths) + self.px(GAP)

    def _mark(self, text: str, line: Box) -> float:
        size = self.px(MARGIN)
        width = self.measure(text, size, True)
        pill = Box(
            line.x + line.w - width - self.px(24), line.y + self.px(8), width + self.px(24), line.h - self.px(16)
        )
        self.out.fills.append(Fill(pill, INK, pill.h / 2))
        self._line(text, pill.x + self.px(12), line.y + line.h / 2, size, True, WHITE)
        return pill.w + self.px(GAP)

    def _bottom(self) -> float:
        """Lay the bottom line out and return its upper edge."""
        page = self.page
        row = Box(self.px(PAD), self.height - self.px(BUTTON + 12), self.width - 2 * self.px(PAD), self.px(BUTTON))
        left = self._corner(row)
        block = Block(page.bottom, MARGIN, colour=MUTED)
        if page.card is not None and page.ask:
            block = Block(page.ask, 28, bold=True)
        if not block.text:
            return row.y
        if self.tall:
            box = Box(row.x, row.y - self.px(60), row.w, self.px(52))
            self._blocks([block], box)
            return box.y
        self._blocks([block], Box(row.x, row.y, left - self.px(GAP) - row.x, row.h))
        return row.y

    def _corner(self, row: Box) -> float:
        """Place the bottom buttons from the right; return the left edge of the last."""
        right = row.x + row.w
        count = len(self.page.corner)
        for button in reversed(self.page.corner):
            width = self.measure(button.text, self.px(20), True) + self.px(40)
            width = min(max(width, self.px(120)), (row.w - (count - 1) * self.px(GAP)) / count)
            if self.tall:
                width = (row.w - (count - 1) * self.px(GAP)) / count
            self._button(button, Box(right - width, row.y, width, row.h), 20)
            right -= width + self.px(GAP)
        return right + self.px(GAP)

    # --- left: what is so ---------------------------------------------------------------------------------------------

    def _left(self, box: Box) -> None:
        page = self.page
        blocks = [Block(page.kicker, 20, colour=MUTED)] if page.kicker else []
        blocks.append(Block(page.headline, HEADLINE, bold=True, above=4))
        blocks += [Block(text, BODY, colour=MUTED, above=6 if at else 14) for at, text in enumerate(page.body)]
        blocks += [
            Block(line.text, 22, colour=INK if line.done else MUTED, above=12 if at else 18, dot=line)
            for at, line in enumerate(page.waiting)
        ]
        self._blocks(blocks, box, top=bool(page.waiting or page.kicker))

    def _blocks(self, blocks: Sequence[Block], box: Box, *, top: bool = False) -> None:
        """Place paragraphs in a box, all made smaller together until they fit."""
        shrink = 1.0
        while (height := self._height(blocks, box.w, shrink)) > box.h and shrink > SMALLEST:
            shrink *= SHRINK
        if height > box.h:
            self.out.cramped += [block.text for block in blocks]
        y = box.y if top else box.y + max(0.0, (box.h - height) / 2)
        for block in blocks:
            y = self._paragraph(block, box, y, shrink)

    def _shape(self, block: Block, width: float, shrink: float) -> tuple[float, float, float, list[str]]:
        """Return indent, size, line pitch and lines of a paragraph."""
        size = max(self.px(block.size) * shrink, min(self.px(block.size), self.px(SMALL)))
        indent = self.px(36) if block.dot else 0.0
        pitch = size * (1.18 if block.size >= HEADLINE else LINE_HEIGHT)
        return indent, size, pitch, wrap_evenly(block.text, width - indent, size, block.bold, self.measure)

    def _height(self, blocks: Sequence[Block], width: float, shrink: float) -> float:
        total = 0.0
        for block in blocks:
            _, _, pitch, lines = self._shape(block, width, shrink)
            total += self.px(block.above) * shrink + pitch * len(lines)
        return total

    def _paragraph(self, block: Block, box: Box, y: float, shrink: float) -> float:
        indent, size, pitch, lines = self._shape(block, box.w, shrink)
        y += self.px(block.above) * shrink
        if block.dot:
            side = self.px(22)
            self.out.dots.append(
                Dot(
                    Box(box.x, y + (pitch - side) / 2, side, side),
                    block.dot.done,
                    GREEN if block.dot.done else RULE,
                    self.out.ground,
                )
            )
        for line in lines:
            self._line(line, box.x + indent, y + pitch / 2, size, block.bold, block.colour)
            y += pitch
        return y

    # --- right: what can be done --------------------------------------------------------------------------------------

    def _right(self, box: Box) -> None:
        buttons = self.page.buttons
        if not buttons:
            return
        if self.page.ask:
            height = self.px(30)
            self._blocks([Block(self.page.ask, 20, colour=MUTED)], Box(box.x, box.y, box.w, height))
            box = Box(box.x, box.y + height + self.px(8), box.w, box.h - height - self.px(8))
        if len(buttons) == 4:  # noqa: PLR2004 - the four choices
            self._grid(buttons, box)
        else:
            self._stack(buttons, box)

    def _grid(self, buttons: Sequence[Button], box: Box) -> None:
        gap = self.px(12)
        width, height = (box.w - gap) / 2, (box.h - gap) / 2
        for at, button in enumerate(buttons):
            row, column = divmod(at, 2)
            place = Box(box.x + column * (width + gap), box.y + row * (height + gap), width, height)
            self._button(button, place, PLAIN_TEXT)

    def _stack(self, buttons: Sequence[Button], box: Box) -> None:
        """One above the other; the main one takes what the others leave, up to a quarter of the screen and a little."""
        gap = self.px(GAP)
        plain = self.px(BUTTON + 4)
        mains = sum(_is_main(button, self.page) for button in buttons)
        rest = box.h - (len(buttons) - mains) * plain - (len(buttons) - 1) * gap
        main = min(rest / max(mains, 1), self.px(262))
        total = mains * main + (len(buttons) - mains) * plain + (len(buttons) - 1) * gap
        y = box.y + (box.h - total) / 2
        for button in buttons:
            big = _is_main(button, self.page)
            height = main if big else plain
            self._button(button, Box(box.x, y, box.w, height), MAIN_TEXT if big else PLAIN_TEXT)
            y += height + gap

    def _button(self, button: Button, box: Box, size: float) -> None:
        ground, ink, border = _look(button, pressed=button == self.pressed)
        radius = min(self.px(RADIUS), box.h / 2)
        self.out.fills.append(Fill(box, ground, radius, border))
        self.out.hots.append(Hot(box, button))
        self._centred(button.text, box.inset(self.px(12), self.px(6)), size, ink)

    def _centred(self, text: str, box: Box, size: float, colour: Colour) -> None:
        block = Block(text, size, bold=True)
        shrink = 1.0
        while self._overflows(block, box, shrink) and shrink > SMALLEST:
            shrink *= SHRINK
        if self._overflows(block, box, shrink):
            self.out.cramped.append(text)
        _, px, pitch, lines = self._shape(block, box.w, shrink)
        y = box.y + (box.h - pitch * len(lines)) / 2
        for line in lines:
            x = box.x + (box.w - self.measure(line, px, True)) / 2
            self._line(line, x, y + pitch / 2, px, True, colour)
            y += pitch

    def _overflows(self, block: Block, box: Box, shrink: float) -> bool:
        _, size, pitch, lines = self._shape(block, box.w, shrink)
        cut = any(self.measure(word, size, True) > box.w for word in block.text.split())
        return cut or pitch * len(lines) > box.h

    # --- the emergency page -------------------------------------------------------------------------------------------

    def _emergency(self, main: Box, card: Card) -> None:
        gap = self.px(20)
        if self.tall:
            left = Box(main.x, main.y + self.px(8), main.w, main.h * 0.36)
            right = Box(main.x, left.y + left.h + gap, main.w, main.h - left.h - gap - self.px(8))
        else:
            left = Box(main.x, main.y + self.px(8), self.px(240), main.h - self.px(8))
            right = Box(main.x + left.w + gap, left.y, main.w - left.w - gap, left.h)
        self._number(left)
        self.out.fills.append(Fill(right, WHITE, self.px(20), RULE))
        blocks = [Block(card.title, MARGIN, colour=MUTED), Block(card.lead, 27, bold=True, above=4)]
        blocks += [Block(text, 20, above=6) for text in card.lines]
        self._blocks(blocks, right.inset(self.px(20), self.px(14)))

    def _number(self, box: Box) -> None:
        page = self.page
        size = self._one_line(page.number, box.w, 112, bold=True)
        self._blocks([Block(page.kicker, BODY, colour=MUTED)], Box(box.x, box.y, box.w, self.px(34)), top=True)
        y = box.y + self.px(38)
        self._line(page.number, box.x, y + size * 0.6, size, True, RED)
        below = y + size * 1.25
        body = [Block(page.headline, 28, bold=True)] if page.headline else []
        body += [Block(text, 20, colour=MUTED, above=6) for text in page.body]
        if body:
            self._blocks(body, Box(box.x, below, box.w, box.y + box.h - below), top=True)

    # --- lines --------------------------------------------------------------------------------------------------------

    def _one_line(self, text: str, width: float, size: float, *, bold: bool) -> float:
        """Return the size at which `text` fits one line of `width`."""
        full = self.px(size)
        wide = self.measure(text, full, bold)
        fits = full if wide <= width or wide <= 0 else full * width / wide * 0.99
        if fits < self.px(min(size, MARGIN)) * SMALLEST:
            self.out.cramped.append(text)
        return fits

    def _line(self, text: str, x: float, middle: float, size: float, bold: bool, colour: Colour) -> None:
        if not text:
            return
        height = size * 1.37
        box = Box(x, middle - height / 2, self.measure(text, size, bold), height)
        self.out.texts.append(Text(text, box, size, bold, colour))


def _is_main(button: Button, page: Page) -> bool:
    return button.style is Style.MAIN or (page.kind is Kind.GONE and button.style is Style.CALL)


def _look(button: Button, *, pressed: bool) -> tuple[Colour, Colour, Colour | None]:
    if button.style is Style.MAIN:
        return (PRESSED if pressed else GREEN), WHITE, None
    if button.style is Style.CHOSEN:
        return INK, WHITE, None
    if button.style is Style.CALL:
        return (RED, WHITE, RED) if pressed else (WHITE, RED, RED)
    return (PRESSED_SOFT if pressed else SOFT), INK, None


def lay_out(
    page: Page,
    width: float,
    height: float,
    measure: Measure,
    look: Look | None = None,
    pressed: Button | None = None,
    still: bool = False,
) -> Layout:
    """Return `page` laid out for a panel of `width` x `height` pixels; `pressed` is drawn as under a finger."""
    del look, still
    return Builder(page, width, height, measure, pressed).build()
