"""The colours of the screen, and which of them ever meet: each pair of text and ground is at least 7:1."""

Colour = tuple[float, float, float]


def _hex(text: str) -> Colour:
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return (red, green, blue)


PAPER = _hex("f6f2ea")
WHITE = _hex("ffffff")
INK = _hex("12302d")
MUTED = _hex("3a514d")
SOFT = _hex("dfe8e2")
GREEN = _hex("0f5a54")
PRESSED = _hex("0a3f3b")
PRESSED_SOFT = _hex("c6d6cd")
RED = _hex("9c1c15")
RULE = _hex("8fa39b")

PAIRS: tuple[tuple[Colour, Colour], ...] = (
    (INK, PAPER),
    (MUTED, PAPER),
    (WHITE, GREEN),
    (WHITE, PRESSED),
    (INK, SOFT),
    (INK, PRESSED_SOFT),
    (RED, WHITE),
    (RED, PAPER),
    (WHITE, RED),
    (INK, WHITE),
    (MUTED, WHITE),
    (WHITE, INK),
)
"""Text on ground, wherever the screen puts one on the other."""


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
