"""Draws the vector pictures of `pictures/`, and round shapes, crisply at any size and in any two colours.

SDL_image, which Kivy brings, rasterises SVG itself (nanosvg): no further library, about half a millisecond a picture, and
soft edges. A picture is drawn at exactly the pixels that it covers, and kept.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from kivy.core.image.img_sdl2 import ImageLoaderSDL2

from kiosk.messages import Fault
from kiosk.ui.palette import Colour

FOLDER = Path(__file__).parent / "pictures"
INK, ACCENT = "currentColor", "#c0ffee"
"""What stands in the files for the two colours of a theme."""
KEPT = 24
DISC = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><circle cx="1" cy="1" r="1" fill="#ffffff"/></svg>'


def hexed(colour: Colour) -> str:
    """Return a colour as SVG writes it."""
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in colour)


def coloured(svg: str, colour: Colour, accent: Colour) -> str:
    """Return the text of a picture in two colours."""
    return svg.replace(INK, hexed(colour)).replace(ACCENT, hexed(accent))


def texture(svg: str, side: int) -> Any:
    """Return an SVG of ours, `side` pixels square, as a texture; ValueError when it cannot be drawn."""
    sized = svg.replace("<svg ", f'<svg width="{side}" height="{side}" ', 1)
    try:
        data = io.BytesIO(sized.encode())
        # Without `nocache` Kivy keeps textures by their file's name, and every picture would be the first one.
        loaded = ImageLoaderSDL2("picture.svg", inline=True, nocache=True, rawdata=data)
    except Exception as error:  # noqa: BLE001 - Kivy raises nothing more exact
        raise ValueError(f"SDL cannot draw it ({error})") from None
    return loaded.texture


class Pictures:
    """The pictures of a folder as textures; one that is missing or broken is a fault, once, and nothing is drawn for it."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._broken: dict[str, str] = {}
        self.texture = lru_cache(KEPT)(self._texture)
        self.disc = lru_cache(32)(lambda side: texture(DISC, side))

    def _texture(self, name: str, side: int, colour: Colour, accent: Colour) -> Any | None:
        try:
            svg = (self._folder / f"{name}.svg").read_text(encoding="utf-8")
            return texture(coloured(svg, colour, accent), side)
        except (OSError, ValueError) as error:
            self._broken[name] = str(error)
            return None

    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong with the pictures that were asked for so far, in one fault."""
        if not self._broken:
            return ()
        name, says = next(iter(self._broken.items()))
        more = f" (and {len(self._broken) - 1} more)" if len(self._broken) > 1 else ""
        where = str(self._folder / f"{name}.svg")
        return (Fault(code="picture_broken", where=where, says=f"{says}{more}", do="install Stayby again"),)
