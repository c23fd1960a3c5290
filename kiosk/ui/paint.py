"""Turns a `Layout` into pixels with Kivy, and cross-fades from one page to the next."""

from functools import lru_cache
from typing import Any

from kivy.core.text import Label
from kivy.graphics import BorderImage, ClearBuffers, ClearColor, Color, Fbo, Rectangle
from kivy.graphics.texture import Texture

from kiosk.ui.layout import Box, Dot, Fill, Layout, Text
from kiosk.ui.palette import GREEN, RULE, Colour

SHARP = 4
"""Samples along each side of a pixel when a round edge is made."""
FADE_S = 0.25
TEXTURES = 256
BORDER = 2.0


@lru_cache(16)
def _disc(radius: int) -> Any:
    """Return a white disc with a soft edge, as the texture that round corners and dots are cut from."""
    side = 2 * radius
    steps = [(at + 0.5) / SHARP for at in range(SHARP)]

    def cover(x: int, y: int) -> int:
        inside = sum((x + dx - radius) ** 2 + (y + dy - radius) ** 2 <= radius**2 for dx in steps for dy in steps)
        return round(255 * inside / SHARP**2)

    pixels = bytes(value for y in range(side) for x in range(side) for value in (255, 255, 255, cover(x, y)))
    texture = Texture.create(size=(side, side), colorfmt="rgba")
    texture.blit_buffer(pixels, colorfmt="rgba", bufferfmt="ubyte")
    return texture


class Painter:
    """Draws layouts on a window. A page is drawn once, into a buffer; the window shows one buffer, or two while it fades."""

    def __init__(self, window: Any, regular: str, bold: str) -> None:
        self._window, self._fonts = window, {False: regular, True: bold}
        self.measure = lru_cache(4096)(self._measure)
        self._texture = lru_cache(TEXTURES)(self._render)
        self._buffers: list[Any] = []
        self._fade: Any = None
        self._fade_from_s: float | None = None
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
            self._back = Rectangle(size=size, texture=self._buffers[1].texture)
        self._fade_from_s = None

    def _measure(self, text: str, size: float, bold: bool) -> float:
        label = Label(text="", font_size=size, font_name=self._fonts[bold])
        return float(label.get_extents(text)[0])

    def _render(self, text: str, size: float, bold: bool) -> Any:
        label = Label(text=text, font_size=size, font_name=self._fonts[bold], color=(1, 1, 1, 1))
        label.refresh()
        return label.texture

    def show(self, layout: Layout, now_s: float, *, fade: bool) -> None:
        """Draw `layout`; with `fade`, what was shown before goes slowly."""
        old, new = self._buffers
        self._buffers = [new, old]
        self._draw(new, layout)
        self._front.texture, self._back.texture = new.texture, old.texture
        self._fade_from_s = now_s if fade else None
        self._fade.a = 1.0 if fade else 0.0
        self._window.canvas.ask_update()

    def step(self, now_s: float) -> bool:
        """Move a fade on; return whether the picture stands still."""
        if self._fade_from_s is None:
            return True
        left = 1.0 - (now_s - self._fade_from_s) / FADE_S
        self._fade.a = max(0.0, left)
        if left <= 0:
            self._fade_from_s = None
        return False

    def _draw(self, buffer: Any, layout: Layout) -> None:
        buffer.clear()
        height = buffer.size[1]
        with buffer:
            ClearColor(*layout.ground, 1)
            ClearBuffers()
            for fill in layout.fills:
                self._fill(fill, height)
            for dot in layout.dots:
                self._dot(dot, layout.ground, height)
            for text in layout.texts:
                self._text(text, height)
        buffer.draw()

    @staticmethod
    def _place(box: Box, height: float) -> dict[str, tuple[float, float]]:
        """Return the box for Kivy, on whole pixels, with its origin at the bottom left."""
        left, right = round(box.x), round(box.x + box.w)
        top, bottom = round(height - box.y), round(height - box.y - box.h)
        return {"pos": (left, bottom), "size": (right - left, top - bottom)}

    def _fill(self, fill: Fill, height: float) -> None:
        box = fill.box
        if fill.border:
            self._rounded(box, fill.border, fill.radius, height)
            box = box.inset(BORDER, BORDER)
        self._rounded(box, fill.colour, max(0.0, fill.radius - (BORDER if fill.border else 0)), height)

    def _rounded(self, box: Box, colour: Colour, radius: float, height: float) -> None:
        Color(*colour, 1)
        place = self._place(box, height)
        whole = min(round(radius), *(int(side) // 2 for side in place["size"]))
        if whole <= 0:
            Rectangle(**place)
        else:
            BorderImage(texture=_disc(whole), border=[whole] * 4, **place)

    def _dot(self, dot: Dot, ground: Colour, height: float) -> None:
        self._rounded(dot.box, GREEN if dot.full else RULE, dot.box.h / 2, height)
        if not dot.full:
            hole = dot.box.inset(dot.box.w * 0.14, dot.box.h * 0.14)
            self._rounded(hole, ground, hole.h / 2, height)

    def _text(self, text: Text, height: float) -> None:
        texture = self._texture(text.text, text.size, text.bold)
        middle = height - (text.box.y + text.box.h / 2)
        Color(*text.colour, 1)
        # Whole pixels: a line that stands between two of them is blurred.
        Rectangle(texture=texture, pos=(round(text.box.x), round(middle - texture.size[1] / 2)), size=texture.size)
