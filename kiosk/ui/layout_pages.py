"""What stands between the top line and the bottom line, page by page: what is so, pictures, cards, and what can be done.

Rules
- `main` is the room for all of it; what can be touched begins no higher than `touch_from`, since the top line may be touched
  a little below where it is drawn.
- A picture or a card takes what the words leave: with larger text it gets narrower, then it goes.
- What moves is never left out: it is what the hands or the breath are to follow.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from kiosk.guidance import Pace
from kiosk.page import Card, Kind, Page, Style
from kiosk.ui import controls
from kiosk.ui.controls import MAIN_TEXT, PLAIN_TEXT, SMALL_TEXT
from kiosk.ui.shapes import LINE_BOX, Box, Code, Fill, Pacer, Picture, Text
from kiosk.ui.sheet import BODY, BUTTON, GAP, HEADLINE, LEFT, MARGIN, NEAR, PAD, SMALLEST, WORTH, Block, Sheet

COLUMN_GAP = 20.0
CARD_RADIUS = 22.0
STEP_CARDS = (250.0, 200.0, 150.0)
"""How wide the picture of a step may be; taken as wide as the words beside it allow."""
NUMBER = 112.0
FOUR = 4
CARD_LEAST = 14.0
"""How small a very long address and its card may get before a line of it goes."""
KEPT = 3
"""How many lines of a card are never left out: which desk, its phone, and what is wrong. The rest is asked for by who answers."""


def main_area(sheet: Sheet, page: Page, main: Box, touch_from: float) -> None:
    """Lay out all but the top line and the bottom line."""
    if page.kind is Kind.VIEW:
        _view(sheet, page, main, touch_from)
    elif page.keys:
        _name(sheet, page)
    elif page.number and page.card:
        _emergency(sheet, page, page.card, main, touch_from)
    elif page.kind is Kind.STEPS:
        _steps(sheet, page, main)
    elif page.kind is Kind.CASES:
        _cases(sheet, page, main, touch_from)
    else:
        _columns(sheet, page, main, touch_from)


# --- what is so -------------------------------------------------------------------------------------------------------


def _what_is_so(sheet: Sheet, page: Page) -> list[Block]:
    """Return the paragraphs of a page with the order in which they give way to larger text."""
    colours = sheet.colours
    blocks = [Block(page.kicker, 20, colour=colours.muted, spare=0 if page.mark else 2)] if page.kicker else []
    blocks.append(Block(page.headline, HEADLINE, bold=True, colour=colours.ink, above=4))
    needed = page.kind in {Kind.STEPS, Kind.GONE, Kind.EAR} or (page.kind is Kind.IDLE and len(page.body) > 1)
    blocks += [
        Block(text, BODY, colour=colours.muted, above=6 if at else 12, spare=0 if needed else 3 if at else 4)
        for at, text in enumerate(page.body)
    ]
    blocks.append(Block(page.margin, MARGIN, colour=colours.muted, above=14, spare=1))
    awaited = 0 if page.kind in {Kind.WAITING, Kind.COMING, Kind.TELLING} else 1
    for at, line in enumerate(page.waiting):
        ink = colours.ink if line.done else colours.muted
        spare = 1 if line.done else awaited if line is page.waiting[-1] else 2
        blocks.append(Block(line.text, 22, colour=ink, above=12 if at else 16, dot=line, spare=spare))
    return [block for block in blocks if block.text]


def _ask(sheet: Sheet, page: Page, box: Box) -> Box:
    """Place what is asked above what can be touched; return the room below it."""
    if not page.ask:
        return box
    height = _ask_height(sheet, page, box.w)
    sheet.place([_asked(sheet, page)], Box(box.x, box.y, box.w, height))
    height += sheet.px(6)
    return Box(box.x, box.y + height, box.w, box.h - height)


def _asked(sheet: Sheet, page: Page) -> Block:
    return Block(page.ask, 20, colour=sheet.colours.muted)


def _ask_height(sheet: Sheet, page: Page, width: float) -> float:
    """Return the height of one line of a question, or of two where larger text needs them."""
    one, two = sheet.px(30) * min(sheet.grow, 1.7), sheet.px(60)
    fits = sheet.largest([_asked(sheet, page)], Box(0, 0, width, one)) or 0.0
    return one if fits >= NEAR * sheet.grow else max(one, two)


def _below(box: Box, y: float) -> Box:
    """Return what of a box is not above a height."""
    top = max(box.y, y)
    return Box(box.x, top, box.w, box.bottom - top)


# --- two columns ------------------------------------------------------------------------------------------------------


def _columns(sheet: Sheet, page: Page, main: Box, touch_from: float) -> None:
    blocks = _what_is_so(sheet, page)
    if not page.buttons and not page.card:
        sheet.place(blocks, main, top=bool(page.waiting))
        return
    left, right = _halves(sheet, page, main)
    if page.ask and not sheet.look.low:
        right = _ask(sheet, page, right)
    elif page.ask:
        height = _ask_height(sheet, page, left.w)
        _ask(sheet, page, Box(left.x, left.bottom - height, left.w, height))
        left = Box(left.x, left.y, left.w, left.h - height - sheet.px(4))
    right = _below(right, touch_from)
    if page.card and sheet.look.low:  # it is not touched: it stands above, with what is so
        left, card = _two(sheet, left, 0.5)
        _card(sheet, page.card, card, 20)
    elif page.card:
        height = sheet.px(BUTTON) if page.buttons else -sheet.px(GAP)
        _card(sheet, page.card, Box(right.x, right.y, right.w, right.h - height - sheet.px(GAP)), 20)
        right = Box(right.x, right.bottom - height, right.w, height)
    sheet.place(blocks, left, top=bool(page.waiting or page.kicker) and not sheet.tall)
    _buttons(sheet, page, right)


def _halves(sheet: Sheet, page: Page, main: Box) -> tuple[Box, Box]:
    """Return where what is so and what can be done stand: beside each other, above each other if upright or `low`."""
    if sheet.look.low:
        middle = max(sheet.height / 2, main.y)
        upper = Box(main.x, main.y, main.w, middle - main.y - sheet.px(8))
        return upper, Box(main.x, middle, main.w, main.bottom - middle)
    return _two(sheet, main, 0.4 if page.card else 0.46)


def _two(sheet: Sheet, box: Box, upper: float) -> tuple[Box, Box]:
    """Return the halves of a box beside each other; on an upright panel above each other, the upper one by its share."""
    gap = sheet.px(COLUMN_GAP)
    if sheet.tall:
        half = (box.h - gap) * upper
        return Box(box.x, box.y, box.w, half), Box(box.x, box.y + half + gap, box.w, box.h - half - gap)
    half = (box.w - gap) / 2
    return Box(box.x, box.y, half, box.h), Box(box.x + half + gap, box.y, half, box.h)


def _buttons(sheet: Sheet, page: Page, box: Box) -> None:
    buttons = page.buttons
    if not buttons:
        return
    if sheet.look.low:
        wanted = (
            ceil(len(buttons) / FOUR)
            if not sheet.tall
            else len(buttons)
            if len(buttons) < FOUR
            else ceil(len(buttons) / 2)
        )
        rows = max(1, min(int((box.h + sheet.px(12)) / sheet.px(BUTTON + 12)), wanted))
        controls.place(sheet, controls.tiles(sheet, buttons, box, ceil(len(buttons) / rows), 140), PLAIN_TEXT)
    elif len(buttons) == FOUR:
        controls.place(sheet, controls.tiles(sheet, buttons, box, 2, 400), PLAIN_TEXT)
    else:
        mains = [
            one for one in buttons if one.style is Style.MAIN or (page.kind is Kind.GONE and one.style is Style.CALL)
        ]
        spots = controls.stack(sheet, buttons, box, mains)
        controls.place(sheet, [one for one in spots if one.button in mains], MAIN_TEXT)
        controls.place(sheet, [one for one in spots if one.button not in mains], PLAIN_TEXT)


# --- cases, to be chosen by their pictures ----------------------------------------------------------------------------


def _cases(sheet: Sheet, page: Page, main: Box, touch_from: float) -> None:
    blocks = [replace(one, size=34) if one.bold else one for one in _what_is_so(sheet, page)]
    buttons = page.buttons
    upper = (sheet.height / 2 - main.y) if sheet.look.low else max(main.h * 0.2, touch_from - main.y)
    head = Box(main.x, main.y, main.w, upper - sheet.px(8))
    if not sheet.look.low:
        wanted = min(sheet.tallness(blocks, main.w, sheet.grow), main.h * 0.3)
        head = Box(main.x, main.y, main.w, max(wanted, touch_from - main.y - sheet.px(4)))
    sheet.place(blocks, head)
    rest = _below(main, max(head.bottom + sheet.px(8), touch_from))
    spots = controls.tiles(sheet, buttons, rest, _case_columns(sheet, len(buttons), rest), 190)
    controls.place(sheet, spots, PLAIN_TEXT, keep_pictures=True)


def _case_columns(sheet: Sheet, count: int, box: Box) -> int:
    if sheet.tall or sheet.look.low:
        rows = max(1, int((box.h + sheet.px(12)) / sheet.px(BUTTON + 12)))
        return max(2, ceil(count / rows))
    return 2 if count == FOUR else min(count, 3)


# --- a step -----------------------------------------------------------------------------------------------------------


def _steps(sheet: Sheet, page: Page, main: Box) -> None:
    height = sheet.px(BUTTON) * (1.0 if sheet.grow == 1 else 1.15)
    gap = sheet.px(GAP)
    blocks = _what_is_so(sheet, page)
    full = Box(main.x, main.y, main.w, main.h - height - gap)
    card, text = _beside(sheet, page, blocks, full if sheet.tall else main, height + gap)
    sheet.place(blocks, text, top=True)
    if card is not None:
        _picture_card(sheet, page, card)
    row = Box(main.x if sheet.tall else text.x, main.bottom - height, main.w if sheet.tall else text.w, height)
    spots = controls.along(sheet, page.buttons, row, PLAIN_TEXT, 12)
    controls.place(sheet, [one for one in spots if one.button.style is Style.MAIN], PLAIN_TEXT)
    controls.place(sheet, [one for one in spots if one.button.style is not Style.MAIN], PLAIN_TEXT)


def _beside(sheet: Sheet, page: Page, blocks: Sequence[Block], box: Box, buttons: float) -> tuple[Box | None, Box]:
    """Return where the picture stands and where the words: the widest picture beside which the words are large enough."""
    alone = Box(box.x, box.y, box.w, box.h - (0 if sheet.tall else buttons))
    if not page.picture and page.pace not in {Pace.BREATHING, Pace.CPR}:
        return None, alone
    moves = page.pace in {Pace.BREATHING, Pace.CPR}
    found = [_split(sheet, box, share, buttons) for share in STEP_CARDS]
    if not moves and sheet.grow > 1:
        found.append((None, alone))
    sizes = [sheet.chosen(blocks, text)[1] for _, text in found]
    enough = NEAR * sheet.grow
    at = next((at for at, size in enumerate(sizes) if size >= enough), sizes.index(max(sizes)))
    if found[at][0] is None:
        sheet.out.left_out.append(page.picture)
    return found[at]


def _split(sheet: Sheet, box: Box, share: float, buttons: float) -> tuple[Box | None, Box]:
    side, gap = sheet.px(share), sheet.px(COLUMN_GAP)
    if sheet.tall:
        side *= 0.8
        return Box(box.x, box.y, box.w, side), Box(box.x, box.y + side + gap, box.w, box.h - side - gap)
    text = Box(box.x + side + gap, box.y, box.w - side - gap, box.h - buttons)
    return Box(box.x, box.y, side, box.h), text


def _picture_card(sheet: Sheet, page: Page, card: Box) -> None:
    """Draw the card of a step: its picture, the circle to breathe with, or the picture above the beat."""
    sheet.out.fills.append(Fill(card, sheet.colours.soft, sheet.px(CARD_RADIUS)))
    inner = card.inset(sheet.px(14), sheet.px(14))
    if page.pace is Pace.BREATHING:
        _pacer(sheet, page.pace, inner.square())
        return
    if page.pace is Pace.CPR:
        upright = inner.h >= inner.w
        cut = inner.h * 0.56 if upright else inner.w * 0.52
        rest = (
            Box(inner.x, inner.y + cut, inner.w, inner.h - cut)
            if upright
            else Box(inner.x + cut, inner.y, inner.w - cut, inner.h)
        )
        _pacer(sheet, page.pace, rest.square())
        inner = Box(inner.x, inner.y, inner.w, cut) if upright else Box(inner.x, inner.y, cut, inner.h)
    side = inner.square().inset(inner.square().w * 0.04, inner.square().w * 0.04)
    sheet.out.pictures.append(Picture(page.picture, side, sheet.colours.main, sheet.colours.accent))


def _pacer(sheet: Sheet, pace: Pace, box: Box) -> None:
    colours = sheet.colours
    sheet.out.pace = Pacer(pace, box, colours.main, colours.edge, colours.main_ink, colours.soft)


# --- the emergency page -----------------------------------------------------------------------------------------------


def _emergency(sheet: Sheet, page: Page, card: Card, main: Box, touch_from: float) -> None:
    gap = sheet.px(GAP)
    main = Box(main.x, main.y + sheet.px(4), main.w, main.h - sheet.px(4))
    if sheet.tall:
        height = _number_height(sheet, page, card, main)
        left = Box(main.x, main.y, main.w, height)
        right = Box(main.x, left.bottom + gap, main.w, main.h - height - gap)
    else:
        left = Box(main.x, main.y, sheet.px(210), main.h)
        right = Box(left.right + gap, main.y, main.w - left.w - gap, main.h)
    if page.buttons:
        below = _below(left, max(left.bottom - sheet.px(BUTTON), touch_from))
        left = Box(left.x, left.y, left.w, left.h - below.h - sheet.px(GAP))
        controls.place(sheet, controls.across(sheet, page.buttons, below), SMALL_TEXT)
    _number(sheet, page, left)
    _card(sheet, card, right, 27)


def _number_height(sheet: Sheet, page: Page, card: Card, main: Box) -> float:
    """Return how much of an upright panel the number takes with what is so: a long card leaves it less."""
    blocks = _beside_number(sheet, page)
    needed = (
        sheet.px((34 if sheet.grow == 1 else 60) + NUMBER * 1.26) + sheet.tallness(blocks, main.w, NEAR) + sheet.px(8)
    )
    long = sheet.tallness(_card_head(sheet, card, 27), main.w, SMALLEST) > main.h * 0.16
    return min(max(needed, main.h * 0.3), main.h * (0.34 if long else 0.4 if sheet.grow == 1 else 0.44))


def _beside_number(sheet: Sheet, page: Page) -> list[Block]:
    """Return what stands below the number; what happened so far gives way, the latest of it first."""
    colours, count = sheet.colours, len(page.body)
    blocks = [Block(page.headline, 28, bold=True, colour=colours.ink)] if page.headline else []
    return blocks + [
        Block(text, 20, colour=colours.muted, above=4, spare=count - at if at else 0)
        for at, text in enumerate(page.body)
    ]


def _number(sheet: Sheet, page: Page, box: Box) -> None:
    """Place the number as large as its column is wide, and below it what is so."""
    colours = sheet.colours
    above = [Block(page.kicker, BODY, colour=colours.muted, tight=True)]
    lines = [Box(box.x, box.y, box.w, sheet.px(height)) for height in (34 * min(sheet.grow, 1.4), 58)]
    sizes = [sheet.largest(above, line) or 0.0 for line in lines]
    line = lines[sizes[1] > sizes[0] * WORTH]
    kicker = line.h
    sheet.place(above, line)
    size = sheet.px(NUMBER)
    wide = sheet.width_of(page.number, size, bold=True)
    blocks = _beside_number(sheet, page)
    staying = [block for block in blocks if not block.spare]
    rest = box.h - kicker - sheet.tallness(staying, box.w, 1)
    size = float(int(min(size, size * box.w / wide * 0.99, max(rest / 1.26, sheet.px(BODY)))))
    height = size * LINE_BOX
    y = box.y + kicker + size * 0.6
    width = sheet.width_of(page.number, size, bold=True)
    sheet.out.texts.append(Text(page.number, Box(box.x, y - height / 2, width, height), size, True, colours.red))
    below = y + size * 0.62
    sheet.place(blocks, Box(box.x, below, box.w, box.bottom - below), top=True)


def _card(sheet: Sheet, card: Card, box: Box, lead: float) -> None:
    """Place a sheet to read from: where first, then the rest; or the code for a phone beside what it is."""
    colours = sheet.colours
    sheet.out.fills.append(Fill(box, colours.card, sheet.px(20), colours.rule))
    inner = box.inset(sheet.px(14), sheet.px(7))
    if card.code:
        inner = _code(sheet, card.code, inner)
        blocks = [
            Block(card.title, 27, bold=True, colour=colours.ink),
            Block(card.lead, 20, colour=colours.muted, above=8),
        ]
        sheet.place([block for block in blocks if block.text], inner)
        return
    lines = [
        Block(text, 20, colour=colours.ink, above=3, spare=int(at >= KEPT), tight=True, least=CARD_LEAST)
        for at, text in enumerate(card.lines)
    ]
    _lines(sheet, _card_head(sheet, card, lead), lines, inner)


def _card_head(sheet: Sheet, card: Card, lead: float) -> list[Block]:
    """Return what to do with a card, and where it is."""
    colours = sheet.colours
    title = Block(card.title, MARGIN, colour=colours.muted, tight=True, least=CARD_LEAST)
    where = Block(card.lead, lead, bold=True, colour=colours.ink, above=2, tight=True, least=CARD_LEAST)
    return [block for block in (title, where) if block.text]


def _lines(sheet: Sheet, head: Sequence[Block], lines: Sequence[Block], inner: Box) -> None:
    """Place the lines of a card below its head: in two columns where that makes more of a long card readable."""
    alone = sheet.largest([*head, *lines], inner) or 0.0
    if alone >= NEAR * sheet.grow or len(lines) <= KEPT:
        sheet.place([*head, *lines], inner, top=True)
        return
    factor = sheet.most(lambda one: _fit(sheet, head, lines, inner, one)) or 0.0
    if factor <= alone or factor < 1 < sheet.grow:
        sheet.place([*head, *lines], inner, top=True)
        return
    y = sheet.place_at(head, inner, factor, top=True, align=LEFT) + sheet.px(4)
    columns = _columns_of(sheet, inner, y)
    for part, column in zip(_halved(sheet, lines, columns[0].w, factor), columns, strict=True):
        sheet.place_at(part, column, factor, top=True, align=LEFT)


def _columns_of(sheet: Sheet, inner: Box, y: float) -> tuple[Box, Box]:
    """Return two columns of what is left of a box below a height."""
    gap = sheet.px(GAP)
    width, height = (inner.w - gap) / 2, inner.bottom - y
    return Box(inner.x, y, width, height), Box(inner.x + width + gap, y, width, height)


def _halved(
    sheet: Sheet, lines: Sequence[Block], width: float, factor: float
) -> tuple[Sequence[Block], Sequence[Block]]:
    """Return lines in two parts of about the same height."""
    splits = [(lines[:at], lines[at:]) for at in range(1, len(lines))]
    return min(splits, key=lambda parts: max(sheet.tallness(part, width, factor) for part in parts))


def _fit(sheet: Sheet, head: Sequence[Block], lines: Sequence[Block], inner: Box, factor: float) -> bool:
    """Return whether a head and two columns of lines fit at a factor."""
    left, right = _columns_of(sheet, inner, inner.y + sheet.tallness(head, inner.w, factor) + sheet.px(4))
    parts = _halved(sheet, lines, left.w, factor)
    fit = [sheet.fits(part, column, factor) for part, column in zip(parts, (left, right), strict=True)]
    return sheet.fits(head, inner, factor) and all(fit)


def _code(sheet: Sheet, content: str, inner: Box) -> Box:
    """Place a code as large as it can be; return the room that is left for words."""
    colours, gap = sheet.colours, sheet.px(GAP)
    if sheet.tall:
        side = min(inner.w, inner.h * 0.72)
        code = Box(inner.x + (inner.w - side) / 2, inner.bottom - side, side, side)
        rest = Box(inner.x, inner.y, inner.w, inner.h - side - gap)
    else:
        side = min(inner.h, inner.w * 0.6)
        code = Box(inner.right - side, inner.y + (inner.h - side) / 2, side, side)
        rest = Box(inner.x, inner.y, inner.w - side - gap, inner.h)
    sheet.out.code = Code(content, code, colours.code_dark, colours.code_light)
    return rest


# --- language and look ------------------------------------------------------------------------------------------------


def _view(sheet: Sheet, page: Page, main: Box, touch_from: float) -> None:
    """Place the choices in as few rows as the panel allows: each group keeps together."""
    per_row = 1 if sheet.tall else 2
    rows = [[key for keys in page.keys[at : at + per_row] for key in keys] for at in range(0, len(page.keys), per_row)]
    gap = sheet.px(8)
    height = min(sheet.px(BUTTON) * 1.15, (main.bottom - touch_from - gap * (len(rows) - 1)) / len(rows))
    height = max(height, sheet.px(BUTTON))
    if sheet.look.low:
        height = sheet.px(BUTTON)
    y = main.bottom - len(rows) * height - gap * (len(rows) - 1)
    head = Box(main.x, main.y, main.w, y - main.y - gap)
    sheet.place(_what_is_so(sheet, page), head)
    spots = []
    for row in rows:
        spots += controls.across(sheet, row, Box(main.x, y, main.w, height), 10)
        y += height + gap
    controls.place(sheet, spots, PLAIN_TEXT)


# --- a name -----------------------------------------------------------------------------------------------------------


def _name(sheet: Sheet, page: Page) -> None:
    """Place the keyboard at the very bottom, as high as it has to be, and the rest in the band above it."""
    box = Box(sheet.px(8), 0, sheet.width - 2 * sheet.px(8), sheet.height)
    rows, others = controls.key_rows(sheet, page.keys, box.w)
    buttons = (*others, *page.top, *page.buttons, *page.corner)
    top = sheet.top
    least = sheet.px(BUTTON) * (2 if sheet.tall else 1)
    height = min(len(rows) * sheet.px(BUTTON) * 1.12, sheet.height - top - least)
    height = max(height, len(rows) * sheet.px(BUTTON))
    keys = Box(box.x, sheet.height - height, box.w, height)
    controls.place(sheet, controls.keyboard(sheet, rows, keys), 30)
    band = Box(sheet.px(PAD), top, sheet.width - sheet.px(PAD + 8), keys.y - top)
    if sheet.tall:
        line = Box(keys.x, keys.y - sheet.px(BUTTON), keys.w, sheet.px(BUTTON))
        words = Box(band.x, band.y, band.w - sheet.px(PAD - 8), line.y - band.y)
    else:
        asked = min(band.w * 0.64, sum(controls.natural(sheet, one, SMALL_TEXT, 1) for one in buttons))
        asked = max(asked, sum(controls.widths(sheet, buttons, SMALL_TEXT, 0, sheet.px(BUTTON))))
        wide = max(asked, band.w * 0.5)
        line = Box(band.right - wide, keys.y - sheet.px(BUTTON), wide, sheet.px(BUTTON))
        words = Box(band.x, band.y, band.w - wide - sheet.px(GAP), band.h)
    controls.place(sheet, controls.snug(sheet, buttons, line, SMALL_TEXT), SMALL_TEXT)
    _entry(sheet, page, words)


def _entry(sheet: Sheet, page: Page, box: Box) -> None:
    """Place the question and the field with what was typed."""
    colours = sheet.colours
    height = min(sheet.px(46) * min(sheet.grow, 1.2), box.h * 0.56)
    roomy = box.h > sheet.px(150)
    blocks = [Block(page.headline, 34 if roomy else 20, bold=True, colour=colours.ink)]
    if roomy:
        blocks += [Block(text, BODY, colour=colours.muted, above=6, spare=1) for text in page.body]
    else:
        sheet.out.left_out += page.body
    sheet.place(blocks, Box(box.x, box.y, box.w, box.h - height - sheet.px(4)))
    typed = Box(box.x, box.bottom - height - sheet.px(2), box.w, height)
    sheet.out.fills.append(Fill(typed, colours.card, sheet.px(10), colours.edge))
    if page.entry:
        sheet.place([Block(page.entry, 28, bold=True, colour=colours.ink)], typed.inset(sheet.px(12), sheet.px(2)))
