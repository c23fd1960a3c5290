"""Measures and draws lines of text in any script with Kivy: each piece in its own face, all on one baseline.

A width is measured once, large, and scaled: an open font costs 0.4 ms and up to 0.4 MB for each size, and a layout tries many.
What is drawn differs by less than a pixel a word; words are placed by the scaled widths, so that a line ends where it should.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kivy.core.text import Label

from kiosk.ui.fonts import Face, Fonts
from kiosk.ui.shaping import Piece, pieces, words

WIDTHS = 2048
LINES = 512
TEXTURES = 64
MEASURED_PX = 128
STROKE = 24
"""A size by the step that makes a stroke bold."""


class ShapedLabel(Label):  # type: ignore[misc]  # Kivy has no types
    """Kivy's label, whose fonts keep the script and the direction that they were opened for.

    Kivy tells SDL_ttf both only when it draws, and shares one open font among all: a measure taken before would be that of
    unshaped letters, in whichever direction was drawn last.
    """

    def _get_font_id(self) -> str:
        return "|".join((super()._get_font_id(), self.options["font_script_name"], self.options["font_direction"]))

    def get_extents(self, text: str) -> tuple[int, int]:
        """Return width and height in pixels of shaped text."""
        self._size = (1, 1)
        self._render_begin()
        self._render_text(" ", 0, 0)
        width, height = super().get_extents(text)
        return int(width), int(height)


@dataclass(frozen=True)
class Placed:
    """A piece's picture: where it begins right of the line's start, how far its baseline is below its top, and its texture."""

    x: int
    ascent: int
    texture: Any


class Letters:
    """Text with these fonts. Sizes are whole pixels: SDL_ttf knows no others."""

    def __init__(self, fonts: Fonts) -> None:
        self.fonts = fonts
        self._words = lru_cache(LINES)(words)
        self._parts = lru_cache(LINES)(lambda word: pieces(word, fonts.face_of))
        self._line = lru_cache(LINES)(lambda text, rtl: pieces(text, fonts.face_of, rtl=rtl))
        self._width = lru_cache(WIDTHS)(self._width_of)
        self._piece_width = lru_cache(WIDTHS)(self._piece_width_of)
        self._texture = lru_cache(TEXTURES)(self._texture_of)
        self._ascents: dict[tuple[Face, int, bool], int] = {}
        self._below_middle = lru_cache(256)(self._below_middle_of)

    def measure(self, text: str, size: float, bold: bool) -> float:
        """Return the width in pixels of one line of text."""
        return sum(self._width(word, bold) for word in self._words(text)) * int(size)

    def below_middle(self, size: float, bold: bool) -> float:
        """Return how far the baseline of a line is below its middle: the same for every script."""
        return self._below_middle(int(size), bold)

    def placed(self, text: str, size: float, bold: bool, *, rtl: bool) -> list[Placed]:
        """Return the pieces of one line of text from left to right; `rtl` is the direction of the page."""
        placed, x = [], 0.0
        for piece in self._line(text, rtl):
            if piece.face is not None:
                one = Placed(round(x), self._ascent(piece, int(size), bold), self._texture(piece, int(size), bold))
                # A face without a bold file is drawn twice, the second time a little to the right.
                twice = bold and piece.face.bold == piece.face.regular
                placed += [one, replace(one, x=one.x + max(1, round(size / STROKE)))] if twice else [one]
            x += self._piece_width(piece, bold) * int(size)
        return placed

    def _width_of(self, word: str, bold: bool) -> float:
        return sum(self._piece_width(piece, bold) for piece in self._parts(word))

    def _piece_width_of(self, piece: Piece, bold: bool) -> float:
        """Return the width of a piece by the size of its letters."""
        return self._label(piece, MEASURED_PX, bold).get_extents(piece.text)[0] / MEASURED_PX

    def _label(self, piece: Piece, size: int, bold: bool) -> ShapedLabel:
        face = piece.face or self.fonts.first
        return ShapedLabel(
            font_size=size,
            font_name=face.file(bold=bold),
            font_script_name=piece.script,
            font_direction="rtl" if piece.rtl else "ltr",
            color=(1, 1, 1, 1),
        )

    def _texture_of(self, piece: Piece, size: int, bold: bool) -> Any:
        label = self._label(piece, size, bold)
        label.text = piece.text
        label.refresh()
        return label.texture

    def _ascent(self, piece: Piece, size: int, bold: bool) -> int:
        """Return the ascent of a piece's face; asked of the font that draws it, since one for another script is one more open."""
        key = (piece.face or self.fonts.first, size, bold)
        if key not in self._ascents:
            self._ascents[key] = int(self._label(piece, size, bold).get_ascent())
        return self._ascents[key]

    def _below_middle_of(self, size: int, bold: bool) -> float:
        label = self._label(Piece(" ", self.fonts.first), size, bold)
        return float(label.get_ascent() + label.get_descent()) / 2
