"""Where everything of a `Page` stands on a panel of a given size: boxes and lines of text, but no pixels yet.

Rules
- Left is what is so, right is what can be done; on an upright panel above and below. For a language read from right to
  left all of it is mirrored, but for numbers and clocks.
- The top line says where and how long, the bottom line what happens next; the way to call without us stands at its end.
- `Look.low` moves whatever can be touched into the lower half. Only a keyboard is taller than that, and stands at the bottom.
- A technician's pages are laid out in English and at one size, whatever look was chosen (`layout_service`).
- With larger text a person sees fewer things, larger (`spare` in `_what_is_so`): facts that are done go first, then asides,
  then what happens next. What is never left out: the headline, the question, what is awaited, a step's own words, every
  button, the number and its card, and what a desk says when it is not as usual (nobody reached, the morning's test).
"""

from collections.abc import Sequence

from kiosk.page import SERVICE_KINDS, Button, Kind, Look, Page
from kiosk.tongue import RIGHT_TO_LEFT
from kiosk.ui import controls
from kiosk.ui.controls import SMALL_TEXT, Spot
from kiosk.ui.layout_pages import main_area
from kiosk.ui.layout_service import service_area
from kiosk.ui.shapes import Box, Code, Dot, Fill, Hot, Layout, Measure, Pacer, Picture, Text
from kiosk.ui.sheet import BUTTON, GAP, MARGIN, PAD, RIGHT, Block, Sheet

__all__ = ["Box", "Code", "Dot", "Fill", "Hot", "Layout", "Measure", "Pacer", "Picture", "Text", "lay_out"]

EDGE = 12.0
"""What stays free below the bottom line."""
TYPING_TOP = 50.0
"""How high the top line is above a keyboard."""
DENSE = 10.0
"""What stays free beside a line that is full of buttons."""
CHIP, CHIP_SHARE = 110.0, 0.62
"""How narrow what can be touched in the top line gets where its left text is long: so that its words fit two lines."""
SHARE = 0.64
"""How much of the bottom line the corner may take beside what happens next."""
CLOCK = 8
"""A text of the top line that is no longer than this is a clock, and is never wrapped."""


def lay_out(
    page: Page,
    width: float,
    height: float,
    measure: Measure,
    look: Look | None = None,
    pressed: Button | None = None,
    still: bool = False,
) -> Layout:
    """Return `page` laid out for a panel of `width` x `height` pixels.

    `pressed` is drawn as under a finger; with `still` nothing moves: a pacer is a disc.
    """
    if page.kind in SERVICE_KINDS:
        return _service(page, Sheet(width, height, measure, Look(theme=(look or Look()).theme), pressed))
    sheet = Sheet(width, height, measure, look or Look(), pressed)
    if page.red:
        sheet.out.ground = sheet.colours.card
    typing = page.kind is Kind.NAME
    if typing:
        sheet.top = sheet.px(TYPING_TOP)
    moved = page.top if sheet.look.low or typing or (sheet.tall and page.mark) else ()
    _top_line(sheet, page, () if moved else page.top)
    y = sheet.height - sheet.px(EDGE) if typing else _bottom(sheet, page, moved)
    top = sheet.top + sheet.px(4)
    main = Box(sheet.px(PAD), top, width - 2 * sheet.px(PAD), y - sheet.px(GAP) - top)
    touch_from = sheet.px(BUTTON + 4) if page.top and not moved else top
    main_area(sheet, page, main, touch_from)
    if still and sheet.out.pace is not None:
        sheet.out.dots.append(Dot(sheet.out.pace.box, True, sheet.out.pace.disc, sheet.out.ground))
        sheet.out.pace = None
    return sheet.mirrored() if sheet.look.language in RIGHT_TO_LEFT else sheet.out


def _service(page: Page, sheet: Sheet) -> Layout:
    if page.kind is not Kind.CORNERS:
        _top_line(sheet, page, ())
    service_area(sheet, page)
    return sheet.out


# --- the top line -----------------------------------------------------------------------------------------------------


def _top_line(sheet: Sheet, page: Page, touches: Sequence[Button]) -> None:
    colours = sheet.colours
    if page.red:
        sheet.out.fills.append(Fill(Box(0, 0, sheet.width, sheet.top), colours.band))
    strong, weak = (colours.band_ink, colours.band_ink) if page.red else (colours.ink, colours.muted)
    line = Box(sheet.px(PAD), sheet.px(3), sheet.width - 2 * sheet.px(PAD), sheet.top - sheet.px(6))
    if page.top_right and sheet.tall and sheet.grow > 1:
        sheet.out.left_out.append(page.top_right)
    elif page.top_right:
        line = _at_right(sheet, Block(page.top_right, MARGIN, colour=weak, tight=True), line, touches)
    if touches:
        line = _chips(sheet, touches, line, _chip_room(sheet, page, touches, line))
    if page.mark:
        line = _mark(sheet, page.mark, line)
    sheet.place([Block(page.top_left, MARGIN, bold=True, colour=strong, tight=True)], line)


def _at_right(sheet: Sheet, block: Block, line: Box, touches: Sequence[Button]) -> Box:
    """Place the right text of the top line; return what is left of the line."""
    share = 0.3 if len(block.text) <= CLOCK else 0.36 if touches else 0.55
    full = sheet.width_of(block.text, sheet.size(block, sheet.grow), bold=False) + 1
    width = min(full, line.w * share)
    sheet.place([block], Box(line.right - width, line.y, width, line.h), align=RIGHT)
    return Box(line.x, line.y, line.w - width - sheet.px(GAP), line.h)


def _wanted(sheet: Sheet, page: Page, factor: float) -> float:
    """Return how much of the top line its left text and the mark ask for at a factor."""
    left, mark = Block(page.top_left, MARGIN, bold=True), Block(page.mark, MARGIN, bold=True)
    width = sum(sheet.width_of(one.text, sheet.size(one, factor), bold=True) for one in (left, mark) if one.text)
    return width + sheet.px(GAP if not page.mark else 3 * GAP + 10)


def _chip_room(sheet: Sheet, page: Page, touches: Sequence[Button], line: Box) -> float:
    """Return how wide what can be touched in the top line is: never narrower for larger text than its own words are at 100 %."""
    plain = [controls.natural(sheet, one, MARGIN, 1) for one in touches]
    least = sum(max(sheet.px(CHIP), CHIP_SHARE * width) for width in plain)
    usual = max(line.w - _wanted(sheet, page, 1), least)
    room = max(line.w - _wanted(sheet, page, sheet.grow), least, min(usual, sum(plain)))
    return min(line.w * 0.62, room)


def _chips(sheet: Sheet, touches: Sequence[Button], line: Box, room: float) -> Box:
    """Place what can be touched in the top line: small to look at, and as large to touch as everything else."""
    widths = controls.widths(sheet, touches, MARGIN, room, sheet.px(BUTTON))
    x, spots = line.right - sum(widths), []
    for button, width in zip(touches, widths, strict=True):
        hot = Box(x, 0, width, sheet.px(BUTTON))
        spots.append(Spot(button, Box(x + sheet.px(4), sheet.px(3), width - sheet.px(8), sheet.top - sheet.px(6)), hot))
        x += width
    controls.place(sheet, spots, MARGIN)
    return Box(line.x, line.y, line.w - sum(widths) - sheet.px(8), line.h)


def _mark(sheet: Sheet, text: str, line: Box) -> Box:
    """Place the mark of a drill; return what is left of the line."""
    block = Block(text, MARGIN, bold=True, colour=sheet.colours.chosen_ink, tight=True)
    full = sheet.width_of(text, sheet.size(block, sheet.grow), bold=True) + 1
    width = min(full, line.w * 0.45)
    pill = Box(line.right - width - sheet.px(24), sheet.px(8), width + sheet.px(24), sheet.top - sheet.px(16))
    sheet.out.fills.append(Fill(pill, sheet.colours.chosen, pill.h / 2))
    sheet.place([block], Box(pill.x + sheet.px(12), pill.y, width, pill.h))
    return Box(line.x, line.y, line.w - pill.w - sheet.px(GAP), line.h)


# --- the bottom line --------------------------------------------------------------------------------------------------


def _bottom(sheet: Sheet, page: Page, moved: Sequence[Button]) -> float:
    """Lay out the bottom line and the row, and return their upper edge. `moved` came down from the top line."""
    buttons = (*moved, *page.corner)
    height = sheet.px(BUTTON)
    line = Box(sheet.px(PAD), sheet.height - height - sheet.px(EDGE), sheet.width - 2 * sheet.px(PAD), height)
    block = _bottom_block(sheet, page)
    dense = Box(sheet.px(DENSE), line.y, sheet.width - 2 * sheet.px(DENSE), height)
    least = sum(controls.widths(sheet, buttons, SMALL_TEXT, 0, height)) + len(page.row) * height
    if page.row and not block and least <= dense.w:
        return _row_and_corner(sheet, page.row, buttons, dense)
    y = _corner_line(sheet, buttons, block, line) if buttons or block else sheet.height - sheet.px(EDGE)
    if page.row:
        rows = controls.rows_for(sheet, len(page.row), dense.w)
        y -= rows * height + (sheet.px(4) if buttons or block else 0.0)
        controls.place(
            sheet, controls.side_by_side(sheet, page.row, Box(dense.x, y, dense.w, rows * height)), SMALL_TEXT
        )
    return y


def _bottom_block(sheet: Sheet, page: Page) -> list[Block]:
    if page.card is not None and page.ask:
        return [Block(page.ask, 28, bold=True, colour=sheet.colours.ink)]
    return [Block(page.bottom, MARGIN, colour=sheet.colours.muted, spare=1)] if page.bottom else []


def _row_and_corner(sheet: Sheet, row: Sequence[Button], corner: Sequence[Button], box: Box) -> float:
    """Place the row and the corner on one line: the corner gets what its words need, if the row leaves it."""
    least = sheet.px(BUTTON)
    taken = sum(controls.widths(sheet, corner, SMALL_TEXT, box.w - len(row) * least, least)) if corner else 0.0
    controls.place(sheet, controls.side_by_side(sheet, row, Box(box.x, box.y, box.w - taken, box.h)), SMALL_TEXT)
    if corner:
        line = Box(box.right - taken, box.y, taken, box.h)
        controls.place(sheet, controls.snug(sheet, corner, line, SMALL_TEXT), SMALL_TEXT)
    return box.y


def _corner_line(sheet: Sheet, buttons: Sequence[Button], blocks: list[Block], line: Box) -> float:
    """Place what happens next and the corner: side by side, on an upright panel above each other."""
    if sheet.tall or (blocks and _needs(sheet, buttons) > line.w * SHARE):
        return _above_corner(sheet, buttons, blocks, line)
    corner = _corner_width(sheet, buttons, line, SHARE if blocks else 1.0)
    room = Box(line.x, line.y, line.w - corner - (sheet.px(GAP) if buttons else 0.0), line.h)
    if blocks and sheet.grow > 1 and blocks[0].spare and (sheet.largest(blocks, room) or 0.0) < 1:
        sheet.out.left_out.append(blocks[0].text)
        blocks, corner = [], _corner_width(sheet, buttons, line, 1.0)
    if blocks:
        sheet.place(blocks, room)
    if buttons:
        box = Box(line.right - corner, line.y, corner, line.h)
        controls.place(sheet, controls.along(sheet, buttons, box, SMALL_TEXT), SMALL_TEXT)
    return line.y


def _above_corner(sheet: Sheet, buttons: Sequence[Button], blocks: list[Block], line: Box) -> float:
    """Place what happens next above the corner, which takes the whole line, or two of them."""
    if buttons:
        rows = _rows(sheet, buttons, line.w)
        line = Box(line.x, line.y - (len(rows) - 1) * (line.h + sheet.px(8)), line.w, line.h)
        for at, row in enumerate(rows):
            box = Box(line.x, line.y + at * (line.h + sheet.px(8)), line.w, line.h)
            controls.place(sheet, controls.along(sheet, row, box, SMALL_TEXT, 10), SMALL_TEXT)
    if not blocks:
        return line.y
    if not sheet.tall and sheet.grow > 1 and blocks[0].spare:
        sheet.out.left_out.append(blocks[0].text)
        return line.y
    height = sheet.px(52) * min(sheet.grow, 1.6) if sheet.tall else sheet.px(30)
    box = Box(line.x, line.y - height - sheet.px(6), line.w, height) if buttons else line
    sheet.place(blocks, box)
    return box.y if sheet.chosen(blocks, box)[0] else line.y


def _rows(sheet: Sheet, buttons: Sequence[Button], width: float) -> list[Sequence[Button]]:
    """Return the corner in one row, or in two where its longest words need them."""
    least = sum(controls.widths(sheet, buttons, SMALL_TEXT, 0, sheet.px(BUTTON))) + sheet.px(10) * (len(buttons) - 1)
    half = len(buttons) // 2
    return [buttons] if least <= width else [buttons[:half], buttons[half:]]


def _needs(sheet: Sheet, buttons: Sequence[Button]) -> float:
    """Return how wide the corner has to be for its words in two lines."""
    each = [max(sheet.px(BUTTON), CHIP_SHARE * controls.natural(sheet, one, SMALL_TEXT, 0.85)) for one in buttons]
    return sum(each) + sheet.px(GAP) * (len(buttons) - 1)


def _corner_width(sheet: Sheet, buttons: Sequence[Button], line: Box, share: float) -> float:
    if not buttons:
        return 0.0
    gaps = sheet.px(GAP) * (len(buttons) - 1)
    return sum(controls.widths(sheet, buttons, SMALL_TEXT, line.w * share - gaps, sheet.px(BUTTON))) + gaps
