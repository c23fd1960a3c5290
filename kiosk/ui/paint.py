"""Turns a `Layout` into pixels with Kivy, cross-fades from one page to the next, and moves what breathes or beats.

A page is drawn once, into a buffer. What moves is one disc and one word over the finished buffer: nothing is laid out,
measured or drawn anew for a frame. All else stands still.
"""

import importlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kivy.graphics import BorderImage, ClearBuffers, ClearColor, Color, Fbo, InstructionGroup, Rectangle
from kivy.graphics.texture import Texture

from kiosk.guidance import Pace
from kiosk.messages import Fault
from kiosk.ui.fonts import Fonts
from kiosk.ui.letters import Letters, Placed
from kiosk.ui.pace import SMALLEST, moment
from kiosk.ui.palette import Colour
from kiosk.ui.pictures import Pictures
from kiosk.ui.shapes import Box, Code, Dot, Fill, Layout, Pacer, Picture, Text

FADE_S = 0.25
QUIET = 4
"""Light modules around a QR code (ISO/IEC 18004)."""
LEAST_MODULE_PX = 3
RING_PX = 3.0
WORD_PITCH = 1.2
"""From line to line, by the size of the letters."""
WORD_SHARE = 0.77
"""How much of the smallest disc a word may take across."""
WORD_SIZE = 0.34
"""The size of its letters by that width."""
MOVING = frozenset({Pace.BREATHING, Pace.CPR})


class Painter:
    """Draws layouts on a window, which shows one buffer, or two while it fades, and over them what moves."""

    def __init__(self, window: Any, fonts: Fonts) -> None:
        self._window = window
        self.letters, self._pictures = Letters(fonts), Pictures()
        self.measure = self.letters.measure
        self._code_texture = lru_cache(4)(_code_texture)
        self._buffers: list[Any] = []
        self._fade_from_s: float | None = None
        self._layout: Layout | None = None
        self._moving = _Moving(self.letters, self._pictures)
        self._shift = (0, 0)
        self._small_code = ""
        self.pace_from_s = 0.0
        self.resized()

    def resized(self) -> None:
        """Make the buffers anew for the window's size."""
        size = tuple(int(side) for side in self._window.size)
        self._buffers = [Fbo(size=size), Fbo(size=size)]
        self._window.canvas.clear()
        with self._window.canvas:
            Color(1, 1, 1, 1)
            self._front = Rectangle(size=size, texture=self._buffers[0].texture)
            self._fade = Color(1, 1, 1, 0)
            self._back = Rectangle(size=(0, 0), texture=self._buffers[1].texture)
            self._moving.instructions()
        self._fade_from_s = None

    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong with fonts, pictures and codes, of all that was drawn so far."""
        found = (*self.letters.fonts.faults(), *self._pictures.faults())
        if not self._small_code:
            return found
        do = "shorten [unit] address in kiosk.toml, or use a larger panel"
        return (*found, Fault(code="code_small", where="screen", says=self._small_code, do=do))

    def show(self, layout: Layout, now_s: float, *, fade: bool, words: Sequence[str] = ()) -> None:
        """Draw `layout`; with `fade`, what was shown before goes slowly. `words` stand in what moves, one for each phase."""
        old, new = self._buffers
        self._buffers = [new, old]
        self._layout = layout
        self._draw(new, layout)
        self._moving.set(layout, words, self._window.size[1])
        self._front.texture, self._back.texture = new.texture, old.texture
        self._fade_from_s = now_s if fade else None
        self._fading(1.0 if fade else 0.0)
        self._window.clearcolor = (*layout.ground, 1)
        self._window.canvas.ask_update()

    def redraw(self, layout: Layout, box: Box) -> None:
        """Draw anew only what stands within a box of the page that is shown."""
        buffer, height = self._buffers[0], self._buffers[0].size[1]
        self._layout = layout
        buffer.clear()
        with buffer:
            for fill in layout.fills:
                if _within(fill.box, box):
                    self._fill(fill, height)
            for picture in layout.pictures:
                if _within(picture.box, box):
                    self._picture(picture, height)
            for text in layout.texts:
                if _within(text.box, box):
                    self._text(text, height)
        buffer.draw()
        self._fade_from_s = None
        self._fading(0.0)
        self._window.canvas.ask_update()

    def _fading(self, share: float) -> None:
        self._fade.a = share
        # What cannot be seen must not be drawn either: on a machine without a GPU each full picture costs.
        self._back.size = self._front.size if share else (0, 0)
        self._moving.seen(1.0 - share)

    def step(self, now_s: float) -> bool:
        """Move on what moves; return whether the picture stands still."""
        fading = self._fade_from_s is not None
        if self._fade_from_s is not None:
            left = 1.0 - (now_s - self._fade_from_s) / FADE_S
            self._fading(max(0.0, left))
            self._fade_from_s = self._fade_from_s if left > 0 else None
        moves = self.moves
        if moves:
            self._moving.at(now_s - self.pace_from_s)
        return not (fading or moves)

    @property
    def fades(self) -> bool:
        """Whether one page is still going over into the next."""
        return self._fade_from_s is not None

    @property
    def moves(self) -> bool:
        """Whether something on the page moves by itself."""
        return self._layout is not None and self._layout.pace is not None and self._layout.pace.pace in MOVING

    def hold(self, since_s: float) -> None:
        """Show what moves as it is `since_s` after its beginning, until the next `step`."""
        self._moving.at(since_s)

    def shift(self, dx: int, dy: int) -> None:
        """Let the whole picture stand a few pixels aside, so that nothing burns into the panel."""
        if (dx, dy) != self._shift:
            self._shift = (dx, dy)
            self._front.pos = self._back.pos = (dx, dy)
            self._window.canvas.ask_update()

    # --- a page -------------------------------------------------------------------------------------------------------

    def _draw(self, buffer: Any, layout: Layout) -> None:
        buffer.clear()
        height = buffer.size[1]
        with buffer:
            ClearColor(*layout.ground, 1)
            ClearBuffers()
            for fill in layout.fills:
                self._fill(fill, height)
            for picture in layout.pictures:
                self._picture(picture, height)
            self._small_code = self._code(layout.code, height) if layout.code else ""
            if layout.pace and layout.pace.pace in MOVING:
                self._ring(layout.pace, layout.pace.ground, height)
            for dot in layout.dots:
                self._dot(dot, height)
            for text in layout.texts:
                self._text(text, height)
        buffer.draw()

    def _fill(self, fill: Fill, height: float) -> None:
        box, radius = fill.box, fill.radius
        if fill.border:
            self._rounded(box, fill.border, radius, height)
            box, radius = box.inset(fill.border_px, fill.border_px), max(0.0, radius - fill.border_px)
        self._rounded(box, fill.colour, radius, height)

    def _rounded(self, box: Box, colour: Colour, radius: float, height: float) -> None:
        Color(*colour, 1)
        place = _place(box, height)
        whole = min(round(radius), *(int(side) // 2 for side in place["size"]))
        if whole <= 0:
            Rectangle(**place)
        else:
            BorderImage(texture=self._pictures.disc(2 * whole), border=[whole] * 4, **place)

    def _dot(self, dot: Dot, height: float) -> None:
        self._rounded(dot.box, dot.colour, dot.box.h / 2, height)
        if not dot.full:
            hole = dot.box.inset(dot.box.w * 0.14, dot.box.h * 0.14)
            self._rounded(hole, dot.hole, hole.h / 2, height)

    def _ring(self, pacer: Pacer, ground: Colour, height: float) -> None:
        self._rounded(pacer.box, pacer.ring, pacer.box.h / 2, height)
        thick = max(RING_PX, pacer.box.h / 80)
        hole = pacer.box.inset(thick, thick)
        self._rounded(hole, ground, hole.h / 2, height)

    def _picture(self, picture: Picture, height: float) -> None:
        side = round(picture.box.square().w)
        texture = self._pictures.texture(picture.name, side, picture.colour, picture.accent) if side > 0 else None
        if texture is not None:
            box = picture.box.square()
            Color(1, 1, 1, 1)
            Rectangle(texture=texture, pos=(round(box.x), round(height - box.y - side)), size=(side, side))

    def _code(self, code: Code, height: float) -> str:
        """Draw a QR code in whole pixels a module; return what is wrong when a phone may fail to read it."""
        self._rounded(code.box, code.light, 0, height)
        texture, modules = self._code_texture(code.content)
        box = code.box.square()
        module = int(box.w // (modules + 2 * QUIET))
        side = max(1, module) * modules
        Color(*code.dark, 1)
        middle = (box.x + box.w / 2, height - box.y - box.h / 2)
        Rectangle(texture=texture, pos=tuple(round(at - side / 2) for at in middle), size=(side, side))
        if module >= LEAST_MODULE_PX:
            return ""
        return f"the QR code has {modules} x {modules} modules of {module} pixels; a phone may not read it"

    def _text(self, text: Text, height: float) -> None:
        Color(*text.colour, 1)
        baseline = round(text.box.y + text.box.h / 2 + self.letters.below_middle(text.size, text.bold))
        _rectangles(self.letters.placed(text.text, text.size, text.bold, rtl=text.rtl), text.box.x, baseline, height)


class _Moving:
    """The one disc that moves, and the word in it."""

    def __init__(self, letters: Letters, pictures: Pictures) -> None:
        self.letters, self._pictures = letters, pictures
        self._pacer: Pacer | None = None
        self._words: list[list[list[Placed]]] = []
        self._word = -1
        self._height = 0.0

    def instructions(self) -> None:
        """Add what is drawn, empty as yet, to the canvas that is open."""
        self._disc_colour, self._disc = Color(1, 1, 1, 1), Rectangle(size=(0, 0))
        self._word_colour, self._written = Color(1, 1, 1, 1), InstructionGroup()

    def set(self, layout: Layout, words: Sequence[str], height: float) -> None:
        """Take the pace of a page, if it has one."""
        self._pacer = layout.pace if layout.pace and layout.pace.pace in MOVING else None
        self._height, self._word = height, -1
        self._disc.size = (0, 0)
        self._written.clear()
        if self._pacer is None:
            return
        side = self._pacer.box.square().w
        self._disc.texture = self._pictures.disc(2 * round(side / 2))
        self._disc_colour.rgb, self._word_colour.rgb = self._pacer.disc, self._pacer.word
        rtl = any(text.rtl for text in layout.texts)
        lines = [_halves(word) for word in words]
        size = self._size([line for both in lines for line in both], side * SMALLEST * WORD_SHARE)
        self._words = [[self.letters.placed(line, size, True, rtl=rtl) for line in both] for both in lines]
        self._below, self._pitch = self.letters.below_middle(size, True), size * WORD_PITCH

    def _size(self, lines: Sequence[str], width: float) -> float:
        """Return the size at which each line fits the smallest disc."""
        full = width * WORD_SIZE
        widest = max((self.letters.measure(line, full, True) for line in lines), default=0.0)
        return full if widest <= width else max(1.0, full * width / widest - 1)

    def seen(self, share: float) -> None:
        """Let it be seen as much as its page is while pages fade."""
        self._disc_colour.a = self._word_colour.a = share

    def at(self, since_s: float) -> None:
        """Move it to where it stands `since_s` after its beginning."""
        if self._pacer is None:
            return
        now = moment(self._pacer.pace, since_s)
        box = self._pacer.box.square()
        side = box.w * now.size
        x, y = box.x + box.w / 2, box.y + box.h / 2
        self._disc.size, self._disc.pos = (side, side), (x - side / 2, self._height - y - side / 2)
        if now.word != self._word and now.word < len(self._words):
            self._word = now.word
            self._write(self._words[now.word], x, y)

    def _write(self, lines: list[list[Placed]], x: float, y: float) -> None:
        self._written.clear()
        top = y - self._pitch * (len(lines) - 1) / 2
        for at, line in enumerate(lines):
            width = max((one.x + one.texture.size[0] for one in line), default=0)
            baseline = round(top + at * self._pitch + self._below)
            for rectangle in _rectangles(line, x - width / 2, baseline, self._height):
                self._written.add(rectangle)


def _halves(text: str) -> list[str]:
    """Return a few words in two lines, as they stand larger in a disc."""
    words = text.split()
    middle = (len(words) + 1) // 2
    return [" ".join(part) for part in (words[:middle], words[middle:]) if part]


def _rectangles(placed: Sequence[Placed], x: float, baseline: float, height: float) -> list[Any]:
    """Return a line of text as what draws it; whole pixels, since a line that stands between two of them is blurred."""
    found = []
    for one in placed:
        pos = (round(x) + one.x, round(height - baseline + one.ascent - one.texture.size[1]))
        found.append(Rectangle(texture=one.texture, pos=pos, size=one.texture.size))
    return found


def _within(inner: Box, outer: Box) -> bool:
    """Return whether a box stands in another one, but for a pixel."""
    across = inner.x >= outer.x - 1 and inner.right <= outer.right + 1
    return across and inner.y >= outer.y - 1 and inner.bottom <= outer.bottom + 1


def _place(box: Box, height: float) -> dict[str, tuple[float, float]]:
    """Return the box for Kivy, on whole pixels, with its origin at the bottom left."""
    left, right = round(box.x), round(box.x + box.w)
    top, bottom = round(height - box.y), round(height - box.y - box.h)
    return {"pos": (left, bottom), "size": (right - left, top - bottom)}


def _code_texture(content: str) -> tuple[Any, int]:
    """Return a QR code as a texture of one pixel a module, white where it is dark, and its modules on a side."""
    segno = importlib.import_module("segno")  # 3 MB that most days do without
    rows = list(segno.make_qr(content, error="m").matrix)
    side = len(rows)
    # The first row of a texture is its lowest.
    pixels = bytes(value for row in reversed(rows) for module in row for value in (255, 255, 255, 255 if module else 0))
    texture = Texture.create(size=(side, side), colorfmt="rgba")
    texture.blit_buffer(pixels, colorfmt="rgba", bufferfmt="ubyte")
    texture.mag_filter = "nearest"
    return texture, side
