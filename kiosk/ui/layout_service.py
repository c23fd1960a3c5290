"""Where everything stands on the pages of a technician: the keys of a PIN, findings line by line, a mark in a corner.

Rules
- They are in English and of one size: a look that somebody chose for reading does not move them.
- Well is a full disc, wrong a square, not looked at a ring: never by colour alone, and the word in front says it too.
- The mark of a corner is as near to it as a mark can be; "I need help" takes the middle third of the panel both ways, so that it
  lies under a panel that is turned or mirrored where it lies under the picture.
"""

from collections.abc import Sequence

from kiosk.page import Button, Finding, Kind, Page
from kiosk.ui import controls
from kiosk.ui.controls import MAIN_TEXT, PLAIN_TEXT, SMALL_TEXT
from kiosk.ui.shapes import Box, Dot, Fill
from kiosk.ui.sheet import BODY, BUTTON, GAP, PAD, Block, Sheet, scale_of

EDGE = 12.0
MARK, MARK_IN = 30.0, 38.0
"""The radius of a mark, and how far its middle lies from both edges of its corner."""
HELP_SHARE = 0.34
LINE, DO = 20.0, 20.0
INDENT = 34.0
SIGN = 18.0
LEFT_SHARE = 0.5


def marks(width: float, height: float) -> tuple[tuple[float, float], ...]:
    """Return the middles of the four marks as shares of a panel, clockwise from the top left."""
    x, y = (MARK_IN * scale_of(width, height) / side for side in (width, height))
    return ((x, y), (1 - x, y), (1 - x, 1 - y), (x, 1 - y))


def service_area(sheet: Sheet, page: Page) -> None:
    """Lay out a technician's page below the top line; that of the corners has none."""
    if page.kind is Kind.CORNERS:
        _corners(sheet, page)
    elif page.kind is Kind.PIN:
        _pin(sheet, page)
    else:
        _findings(sheet, page)


def _room(sheet: Sheet) -> Box:
    """Return what the top line leaves."""
    top = sheet.top + sheet.px(4)
    return Box(sheet.px(PAD), top, sheet.width - 2 * sheet.px(PAD), sheet.height - sheet.px(EDGE) - top)


def _above_buttons(sheet: Sheet, buttons: Sequence[Button], room: Box) -> Box:
    """Place a page's buttons along the lower edge of its room, in two rows where one is too short; return what is left."""
    least = sum(controls.widths(sheet, buttons, SMALL_TEXT, 0, sheet.px(BUTTON))) + sheet.px(GAP) * (len(buttons) - 1)
    half = len(buttons) if least <= room.w else (len(buttons) + 1) // 2
    rows = [row for row in (buttons[:half], buttons[half:]) if row]
    height, gap = sheet.px(BUTTON), sheet.px(8)
    y = room.bottom - len(rows) * height - gap * (len(rows) - 1)
    for at, row in enumerate(rows):
        line = Box(room.x, y + at * (height + gap), room.w, height)
        controls.place(sheet, controls.along(sheet, row, line, SMALL_TEXT), SMALL_TEXT)
    return Box(room.x, room.y, room.w, y - sheet.px(GAP) - room.y)


# --- the PIN ----------------------------------------------------------------------------------------------------------


def _pin(sheet: Sheet, page: Page) -> None:
    room = _room(sheet)
    if not page.keys:
        _words(sheet, page, _above_buttons(sheet, page.corner, room))
        return
    if sheet.tall:
        keys = Box(room.x, room.bottom - sheet.px(4 * (BUTTON + 12)), room.w, sheet.px(4 * (BUTTON + 12)))
        rest = Box(room.x, room.y, room.w, keys.y - sheet.px(GAP) - room.y)
    else:
        half = room.w * LEFT_SHARE
        keys = Box(room.x + half, room.y, room.w - half, room.h)
        rest = Box(room.x, room.y, half - sheet.px(GAP + 6), room.h)
    _keys(sheet, page, keys)
    words = _above_buttons(sheet, page.corner, rest)
    entry = Box(words.x, words.bottom - sheet.px(64), words.w, sheet.px(60))
    sheet.out.fills.append(Fill(entry, sheet.colours.card, sheet.px(10), sheet.colours.edge))
    if page.entry:
        sheet.place([Block(page.entry, BODY, colour=sheet.colours.ink)], entry.inset(sheet.px(12), sheet.px(2)))
    _words(sheet, page, Box(words.x, words.y, words.w, entry.y - sheet.px(8) - words.y))


def _keys(sheet: Sheet, page: Page, box: Box) -> None:
    gap = sheet.px(12)
    height = (box.h - gap * (len(page.keys) - 1)) / len(page.keys)
    spots = []
    for at, row in enumerate(page.keys):
        spots += controls.across(sheet, row, Box(box.x, box.y + at * (height + gap), box.w, height), 12)
    controls.place(sheet, [one for one in spots if len(one.button.text) == 1], MAIN_TEXT)
    controls.place(sheet, [one for one in spots if len(one.button.text) > 1], PLAIN_TEXT)


def _words(sheet: Sheet, page: Page, box: Box) -> None:
    blocks = [Block(page.headline, 34, bold=True, colour=sheet.colours.ink)]
    blocks += [Block(text, BODY, colour=sheet.colours.muted, above=8) for text in page.body]
    sheet.place(blocks, box)


# --- findings ---------------------------------------------------------------------------------------------------------


def _findings(sheet: Sheet, page: Page) -> None:
    box = _above_buttons(sheet, page.corner, _room(sheet))
    head = [Block(page.headline, 26, bold=True, colour=sheet.colours.ink)]
    head += [Block(text, BODY, colour=sheet.colours.muted, above=4) for text in page.body]
    height = min(sheet.tallness(head, box.w, 1), box.h * (0.4 if page.findings else 1.0))
    sheet.place(head, Box(box.x, box.y, box.w, height), top=True)
    if page.findings:
        top = box.y + height + sheet.px(8)
        _lines(sheet, page.findings, Box(box.x, top, box.w, box.bottom - top))


def _blocks(sheet: Sheet, one: Finding, above: float) -> list[Block]:
    """Return a finding as paragraphs: what is so, and what to do."""
    blocks = [Block(one.text, LINE, colour=sheet.colours.ink, above=above, tight=True)]
    if one.do:
        blocks.append(Block(f"Do: {one.do}", DO, bold=True, colour=sheet.colours.ink, above=1, tight=True))
    return blocks


def _lines(sheet: Sheet, findings: Sequence[Finding], box: Box) -> None:
    """Place findings below each other, all of one size, with their signs."""
    text = Box(box.x + sheet.px(INDENT), box.y, box.w - sheet.px(INDENT), box.h)
    each = [_blocks(sheet, one, 7) for one in findings]
    every = [block for blocks in each for block in blocks]
    factor = sheet.largest(every, text) or sheet.most(lambda one: sheet.fits(every, text, one, torn=True))
    if factor is None:
        sheet.out.cramped += [block.text for block in every]
        factor = 1.0
    y = text.y
    for at, (one, blocks) in enumerate(zip(findings, each, strict=True)):
        y += sheet.px(7) * min(1.0, factor) if at else 0.0
        line = sheet.pitch(blocks[0], sheet.size(blocks[0], factor))
        _sign(sheet, one, Box(box.x, y, sheet.px(SIGN), line))
        y = sheet.place_at(blocks, Box(text.x, y, text.w, text.bottom - y), factor, top=True, align=0.0)


def _sign(sheet: Sheet, one: Finding, line: Box) -> None:
    colours, side = sheet.colours, line.square()
    if one.ok is False:
        sheet.out.fills.append(Fill(side, colours.red, sheet.px(3)))
    else:
        colour = colours.main if one.ok else colours.edge
        sheet.out.dots.append(Dot(side, bool(one.ok), colour, colours.ground))


# --- four corners -----------------------------------------------------------------------------------------------------


def _corners(sheet: Sheet, page: Page) -> None:
    width, height = sheet.width, sheet.height
    middle = Box(width * (1 - HELP_SHARE) / 2, height * (1 - HELP_SHARE) / 2, width * HELP_SHARE, height * HELP_SHARE)
    spots = [controls.spot(button, middle) for button in page.buttons]
    controls.place(sheet, spots, MAIN_TEXT)
    across = width * 0.14 if not sheet.tall else width * 0.2
    words = Box(across, sheet.px(20), width - 2 * across, middle.y - sheet.px(32))
    blocks = [Block(page.headline, 30, bold=True, colour=sheet.colours.ink)]
    blocks += [Block(text, BODY, colour=sheet.colours.muted, above=6) for text in page.body]
    sheet.place(blocks, words, align=0.5)
    if page.mark_at is not None:
        _mark(sheet, *marks(width, height)[page.mark_at])


def _mark(sheet: Sheet, x: float, y: float) -> None:
    """Draw a ring and its middle around a point of the panel."""
    colours = sheet.colours
    for radius, full in ((MARK, False), (MARK / 3, True)):
        side = sheet.px(2 * radius)
        box = Box(x * sheet.width - side / 2, y * sheet.height - side / 2, side, side)
        sheet.out.dots.append(Dot(box, full, colours.main, colours.ground))
