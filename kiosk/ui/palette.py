"""The colours of the screen in each theme, and which of them ever meet: each pair of text and ground is at least 7:1.

Rules
- A colour is named by its role, never by its hue: a page is laid out the same in every theme.
- What tells a button from its ground without words (its fill or its border) is at least 3:1 (WCAG 2.2, 1.4.11).
- Red is for the emergency number and its page, and for what is wrong on a technician's page; for nothing else.
"""

from dataclasses import dataclass

from kiosk.page import Theme

Colour = tuple[float, float, float]


def _hex(text: str) -> Colour:
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return (red, green, blue)


@dataclass(frozen=True)
class Colours:
    """A theme.

    `ground`, `ink`, `muted`: a page and its text. `main`, `main_pressed`, `main_ink`: the obvious button. `soft`,
    `soft_pressed` with `ink`: another one, and the card of a picture. `chosen`, `chosen_ink`: what is chosen already, and
    the mark of a drill. `card`: a sheet to read from, the ground of the emergency page, and of a small button. `edge`: the
    border of what can be touched. `rule`: a border that only pleases. `red`: the emergency number and its button. `band`,
    `band_ink`: the band of its page. `accent`: the second colour of a picture. `code_dark`, `code_light`: a QR code.
    """

    ground: Colour
    ink: Colour
    muted: Colour
    main: Colour
    main_pressed: Colour
    main_ink: Colour
    soft: Colour
    soft_pressed: Colour
    chosen: Colour
    chosen_ink: Colour
    card: Colour
    edge: Colour
    rule: Colour
    red: Colour
    band: Colour
    band_ink: Colour
    accent: Colour
    code_dark: Colour = (0.0, 0.0, 0.0)
    code_light: Colour = (1.0, 1.0, 1.0)


COLOURS: dict[Theme, Colours] = {
    Theme.LIGHT: Colours(
        ground=_hex("f6f2ea"),
        ink=_hex("12302d"),
        muted=_hex("374e49"),
        main=_hex("0f5a54"),
        main_pressed=_hex("0a3f3b"),
        main_ink=_hex("ffffff"),
        soft=_hex("dfe8e2"),
        soft_pressed=_hex("c6d6cd"),
        chosen=_hex("12302d"),
        chosen_ink=_hex("ffffff"),
        card=_hex("ffffff"),
        edge=_hex("748d85"),
        rule=_hex("c9d3cc"),
        red=_hex("9c1c15"),
        band=_hex("9c1c15"),
        band_ink=_hex("ffffff"),
        accent=_hex("a35200"),
    ),
    Theme.DARK: Colours(
        ground=_hex("0f1f1d"),
        ink=_hex("f4f1ea"),
        muted=_hex("bccac4"),
        main=_hex("9fdccf"),
        main_pressed=_hex("7cc4b5"),
        main_ink=_hex("0b1f1c"),
        soft=_hex("213b37"),
        soft_pressed=_hex("2d4c47"),
        chosen=_hex("f4f1ea"),
        chosen_ink=_hex("0f1f1d"),
        card=_hex("172a27"),
        edge=_hex("7f9a92"),
        rule=_hex("35504a"),
        red=_hex("ffb3a6"),
        band=_hex("8e1a13"),
        band_ink=_hex("f4f1ea"),
        accent=_hex("f7b756"),
    ),
    Theme.CONTRAST: Colours(
        ground=_hex("000000"),
        ink=_hex("ffffff"),
        muted=_hex("ffffff"),
        main=_hex("ffe600"),
        main_pressed=_hex("d9c400"),
        main_ink=_hex("000000"),
        soft=_hex("000000"),
        soft_pressed=_hex("333333"),
        chosen=_hex("ffffff"),
        chosen_ink=_hex("000000"),
        card=_hex("000000"),
        edge=_hex("ffffff"),
        rule=_hex("ffffff"),
        red=_hex("ffb0a0"),
        band=_hex("ffb0a0"),
        band_ink=_hex("000000"),
        accent=_hex("ffffff"),
    ),
}


def pairs(colours: Colours) -> tuple[tuple[Colour, Colour], ...]:
    """Return each text on each ground, wherever the screen puts one on the other."""
    on_ink = [(colours.ink, ground) for ground in (colours.ground, colours.card, colours.soft, colours.soft_pressed)]
    on_muted = [(colours.muted, ground) for ground in (colours.ground, colours.card, colours.soft)]
    on_main = [(colours.main_ink, ground) for ground in (colours.main, colours.main_pressed)]
    on_band = [(colours.band_ink, colours.band)]
    as_red = [(colours.red, ground) for ground in (colours.ground, colours.card)]
    codes = [(colours.code_dark, colours.code_light), (colours.chosen_ink, colours.chosen)]
    return (*on_ink, *on_muted, *on_main, *on_band, *as_red, *codes)


def edges(colours: Colours) -> tuple[tuple[Colour, Colour], ...]:
    """Return what has to be told from what without words: borders and fills of buttons, circles, strokes of pictures."""
    grounds = (colours.ground, colours.card)
    meant = (colours.main, colours.main_pressed, colours.chosen, colours.edge, colours.red)
    strokes = [(colours.main, colours.soft), (colours.accent, colours.soft), (colours.ink, colours.soft)]
    return (*((one, ground) for one in meant for ground in grounds), *strokes)


PAIRS = {theme: pairs(colours) for theme, colours in COLOURS.items()}
"""Text on ground in each theme, all at least 7:1."""
EDGES = {theme: edges(colours) for theme, colours in COLOURS.items()}
"""What carries meaning without being text, in each theme, all at least 3:1."""


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - WCAG's own


def luminance(colour: Colour) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1 (WCAG 2.2)."""
    red, green, blue = (_linear(channel) for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
