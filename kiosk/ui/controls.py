"""Places what can be touched: buttons, one above the other, side by side, in tiles, and as the keys of a keyboard.

Rules
- Nothing that can be touched is smaller than `BUTTON` in either direction, and nothing overlaps; of small buttons less is
  drawn than can be touched.
- The labels of a group have one size. With larger text, the pictures of a group give way before its labels get small.
- A chosen button is told from others by light and dark, never by hue alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from kiosk.page import Button, Style
from kiosk.ui.palette import Colour
from kiosk.ui.shapes import Box, Fill, Hot, Picture
from kiosk.ui.sheet import BUTTON, CENTRE, GAP, NEAR, SMALL, SMALLEST, Block, Sheet
from kiosk.ui.wrapping import widest

RADIUS = 22.0
BORDER = 2.0
MAIN_TEXT, PLAIN_TEXT, SMALL_TEXT, NOTE_TEXT = 36.0, 24.0, 20.0, 18.0
SIDE_BY_SIDE = 1.7
"""A button that is this much wider than high has its picture beside its text, another one above."""
MAIN_SHARE = 1.5
"""How much wider than others a main button is at least."""
SIGN = 38.0
"""How large a picture is that only goes with a word."""
OUTLIER = 0.75
"""A label that would make the others of its group smaller than this is made smaller alone."""


@dataclass(frozen=True)
class Spot:
    """A button and where it goes: what is drawn of it, and where it can be touched."""

    button: Button
    drawn: Box
    hot: Box


def spot(button: Button, box: Box) -> Spot:
    """Return a button that can be touched exactly where it is drawn."""
    return Spot(button, box, box)


# --- arrangements -----------------------------------------------------------------------------------------------------


def across(sheet: Sheet, buttons: Sequence[Button], box: Box, gap: float = GAP) -> list[Spot]:
    """Return buttons side by side, of equal width."""
    space = sheet.px(gap)
    width = (box.w - space * (len(buttons) - 1)) / len(buttons)
    return [spot(one, Box(box.x + at * (width + space), box.y, width, box.h)) for at, one in enumerate(buttons)]


def widths(sheet: Sheet, buttons: Sequence[Button], size: float, room: float, least: float) -> list[float]:
    """Return how wide buttons are that stand beside each other: as wide as their words, or less where room ends."""
    words = [max(least, _longest_word(sheet, button)) for button in buttons]
    wider = [max(least * _share(button), word) for button, word in zip(buttons, words, strict=True)]
    floor = wider if sum(wider) <= room else words
    full = [max(low, natural(sheet, button, size, sheet.grow)) for low, button in zip(floor, buttons, strict=True)]
    over, spare = sum(full) - room, sum(full) - sum(floor)
    part = min(1.0, over / spare) if over > 0 and spare > 0 else 0.0
    return [width - (width - low) * part for low, width in zip(floor, full, strict=True)]


def _share(button: Button) -> float:
    return MAIN_SHARE if button.style is Style.MAIN else 1.0


def _longest_word(sheet: Sheet, button: Button) -> float:
    """Return how wide a button has to be for its longest word at its smallest size."""
    size = sheet.px(SMALL)
    return (
        max(widest(text, lambda word: sheet.width_of(word, size, bold=True)) for text in (button.text, button.note))
        * 1.14
    )


def natural(sheet: Sheet, button: Button, size: float, factor: float) -> float:
    """Return how wide a button is whose label stands in one line at a factor."""
    text = sheet.width_of(button.text, sheet.size(Block(button.text, size), factor), bold=True)
    return text + sheet.px(40) + (sheet.px(SIGN + 8) if button.picture else 0.0)


def along(sheet: Sheet, buttons: Sequence[Button], box: Box, size: float, gap: float = GAP) -> list[Spot]:
    """Return buttons side by side that fill a box, each as wide as its words ask for."""
    space = sheet.px(gap)
    room = box.w - space * (len(buttons) - 1)
    asked = widths(sheet, buttons, size, room, sheet.px(BUTTON))
    more = max(0.0, room - sum(asked)) / len(buttons)
    x, spots = box.x, []
    for button, width in zip(buttons, asked, strict=True):
        spots.append(spot(button, Box(x, box.y, width + more, box.h)))
        x += width + more + space
    return spots


def tiles(sheet: Sheet, buttons: Sequence[Button], box: Box, columns: int, most: float = 200) -> list[Spot]:
    """Return buttons in rows of `columns`, each row at most `most` high; the last row is as wide as the others."""
    gap = sheet.px(12)
    rows = [buttons[at : at + columns] for at in range(0, len(buttons), columns)]
    height = min((box.h - gap * (len(rows) - 1)) / len(rows), sheet.px(most))
    return [
        one
        for at, row in enumerate(rows)
        for one in across(sheet, row, Box(box.x, box.y + at * (height + gap), box.w, height), 12)
    ]


def stack(sheet: Sheet, buttons: Sequence[Button], box: Box, mains: Sequence[Button]) -> list[Spot]:
    """Return buttons one above the other; `mains` take what the others leave, up to a quarter of the screen and a little.

    Two that are not `mains` stand side by side where there is no room for them otherwise.
    """
    gap = sheet.px(GAP)
    rows = [[one] for one in buttons]
    others = [one for one in buttons if one not in mains]
    plain = sheet.px(BUTTON + 4)
    if len(others) == 2 and len(buttons) > 2 and box.h - 2 * (plain + gap) < sheet.px(190):  # noqa: PLR2004 - a pair
        rows = [[one] for one in buttons if one in mains] + [others]
    heights = _heights(sheet, rows, box, mains)
    y = box.y + max(0.0, box.h - sum(heights) - gap * (len(rows) - 1)) / 2
    spots = []
    for row, height in zip(rows, heights, strict=True):
        spots += across(sheet, row, Box(box.x, y, box.w, height))
        y += height + gap
    return spots


def _heights(sheet: Sheet, rows: Sequence[Sequence[Button]], box: Box, mains: Sequence[Button]) -> list[float]:
    room = box.h - sheet.px(GAP) * (len(rows) - 1)
    big = [any(one in mains for one in row) for row in rows]
    noted = any(one.note for row in rows for one in row) and sheet.grow == 1
    least = sheet.px(BUTTON + (14 if noted else 4))
    plain = min(least * min(1.3, sheet.grow), max(sheet.px(BUTTON), room / len(rows)))
    rest = room - plain * big.count(False)
    main = min(rest / max(1, big.count(True)), sheet.px(262))
    return [max(sheet.px(BUTTON), main) if one else plain for one in big]


def side_by_side(sheet: Sheet, buttons: Sequence[Button], box: Box) -> list[Spot]:
    """Return small buttons in rows as full as they may be: touched without a gap between them, drawn with one."""
    rows = rows_for(sheet, len(buttons), box.w)
    columns = ceil(len(buttons) / rows)
    width, height = box.w / columns, box.h / rows
    spots = []
    for at, button in enumerate(buttons):
        row, column = divmod(at, columns)
        hot = Box(box.x + column * width, box.y + row * height, width, height)
        spots.append(Spot(button, hot.inset(sheet.px(4), max(sheet.px(4), (height - sheet.px(76)) / 2)), hot))
    return spots


def snug(sheet: Sheet, buttons: Sequence[Button], box: Box, size: float) -> list[Spot]:
    """Return small buttons that fill a line, each as wide as its words ask for, touched without a gap between them."""
    return [replace(one, drawn=one.hot.inset(sheet.px(4), sheet.px(4))) for one in along(sheet, buttons, box, size, 0)]


def rows_for(sheet: Sheet, count: int, width: float) -> int:
    """Return how many rows `side_by_side` needs."""
    return ceil(count / max(1, int((width + 0.5) / sheet.px(BUTTON)))) if count else 0


def keyboard(sheet: Sheet, rows: Sequence[Sequence[Button]], box: Box) -> list[Spot]:
    """Return a keyboard: letters of one width, what is longer than a letter shares what its row leaves."""
    unit, height = box.w / max(len(row) for row in rows), box.h / len(rows)
    spots = []
    for at, row in enumerate(rows):
        wide = [key for key in row if not _letter(key)]
        stretched = (box.w - unit * (len(row) - len(wide))) / len(wide) if wide else unit
        x = box.x if wide else box.x + (box.w - unit * len(row)) / 2
        for key in row:
            width = stretched if key in wide else unit
            hot = Box(x, box.y + at * height, width, height)
            spots.append(Spot(key, hot.inset(sheet.px(3), sheet.px(4)), hot))
            x += width
    return spots


def key_rows(
    sheet: Sheet, keys: Sequence[Sequence[Button]], width: float
) -> tuple[list[Sequence[Button]], Sequence[Button]]:
    """Return the rows of a keyboard, filled anew where they are too long for the panel, and keys for which no row is left."""
    columns = int(width / sheet.px(BUTTON))
    if max(len(row) for row in keys) <= columns:
        return list(keys), ()
    every = [key for row in keys for key in row]
    letters, others = [key for key in every if _letter(key)], [key for key in every if not _letter(key)]
    rows: list[Sequence[Button]] = [letters[at : at + columns] for at in range(0, len(letters), columns)]
    if len(rows[-1]) + len(others) <= columns:
        return [*rows[:-1], [*rows[-1], *others]], ()
    return rows, others


def _letter(key: Button) -> bool:
    return len(key.text) == 1


# --- drawing ----------------------------------------------------------------------------------------------------------


def place(sheet: Sheet, spots: Sequence[Spot], size: float, *, keep_pictures: bool = False) -> None:
    """Place buttons whose labels have one size, `size` at full scale if they fit.

    With `keep_pictures` the pictures are what is chosen by, and go only where no label fits beside them.
    """
    if not spots:
        return
    pictures = any(one.button.picture for one in spots)
    tightest, factor = _group(sheet, spots, size, pictures=pictures)
    if pictures and tightest < (SMALLEST if keep_pictures else NEAR * sheet.grow):
        without, larger = _group(sheet, spots, size, pictures=False)
        if without > tightest * 1.1:
            pictures, factor = False, larger
            sheet.out.left_out += [one.button.picture for one in spots if one.button.picture]
    for one in spots:
        _draw(sheet, one, size, factor, pictures=pictures)


def _group(sheet: Sheet, spots: Sequence[Spot], size: float, *, pictures: bool) -> tuple[float, float]:
    """Return the factor of the tightest label of a group, and that of the group: the same unless it is far off the others."""
    each = sorted(_factor(sheet, one, size, pictures=pictures) for one in spots)
    return each[0], max(each[0], each[-1] * OUTLIER)


def _factor(sheet: Sheet, one: Spot, size: float, *, pictures: bool) -> float:
    _, box = _parts(sheet, one, pictures=pictures)
    return sheet.largest(_label(sheet, one.button, size), box) or SMALLEST / 2


def _label(sheet: Sheet, button: Button, size: float) -> list[Block]:
    _, ink, _ = look(sheet, button)
    blocks = [Block(button.text, size, bold=True, colour=ink, tight=True)]
    if button.note:
        blocks.append(Block(button.note, min(size, NOTE_TEXT), colour=ink, tight=True))
    return blocks


def _parts(sheet: Sheet, one: Spot, *, pictures: bool) -> tuple[Box | None, Box]:
    """Return where the picture and the label of a button go."""
    inner = one.drawn.inset(min(sheet.px(10), one.drawn.w * 0.05), min(sheet.px(6), one.drawn.h * 0.02))
    if not (pictures and one.button.picture):
        return None, inner
    gap = sheet.px(8)
    if inner.w > inner.h * SIDE_BY_SIDE:
        side = min(inner.h, inner.w * 0.36) if one.button.style is not Style.CALL else sheet.px(SIGN)
        picture = Box(inner.x, inner.y + (inner.h - side) / 2, side, side)
        return picture, Box(inner.x + side + gap, inner.y, inner.w - side - gap, inner.h)
    side = min(inner.h * 0.5, inner.w)
    picture = Box(inner.x + (inner.w - side) / 2, inner.y + sheet.px(2), side, side)
    return picture, Box(inner.x, picture.bottom, inner.w, inner.bottom - picture.bottom - sheet.px(4))


def _draw(sheet: Sheet, one: Spot, size: float, factor: float, *, pictures: bool) -> None:
    ground, ink, border = look(sheet, one.button)
    picture, box = _parts(sheet, one, pictures=pictures)
    radius = min(sheet.px(RADIUS), min(one.drawn.h, one.drawn.w) / 2)
    sheet.out.fills.append(Fill(one.drawn, ground, radius, border, sheet.px(BORDER)))
    sheet.out.hots.append(Hot(one.hot, one.button, one.drawn))
    if picture is not None:
        sheet.out.pictures.append(Picture(one.button.picture, picture, ink, ink))
    blocks = _label(sheet, one.button, size)
    if sheet.fits(blocks, box, factor):
        sheet.place_at(blocks, box, factor, top=False, align=CENTRE)
    else:
        sheet.place(blocks, box, align=CENTRE)


def look(sheet: Sheet, button: Button) -> tuple[Colour, Colour, Colour | None]:
    """Return a button's ground, ink and border."""
    colours, pressed = sheet.colours, button == sheet.pressed
    match button.style:
        case Style.MAIN:
            return (colours.main_pressed if pressed else colours.main), colours.main_ink, None
        case Style.CHOSEN:
            return colours.chosen, colours.chosen_ink, None
        case Style.CALL:
            return (
                (colours.band, colours.band_ink, colours.red) if pressed else (colours.card, colours.red, colours.red)
            )
        case Style.SMALL:
            return (colours.soft_pressed if pressed else colours.card), colours.ink, colours.edge
        case Style.PLAIN:
            return (colours.soft_pressed if pressed else colours.soft), colours.ink, colours.edge
