"""Splits a line of text into pieces that a font can draw, in the order in which they stand on the screen from left to right.

Rules
- A piece is one word, or the part of it that one face draws in one direction. Its letters stay in reading order: HarfBuzz
  joins, stacks and mirrors them when they are drawn. Between words stands a piece that is a space.
- The order is that of the Unicode bidirectional algorithm (UAX #9) as python-bidi computes it. Isolates, which it does not
  know, are honoured here: each is laid out by itself and stands as one thing in what is around it. They are never drawn.
- Digits that belong together ("911", "10:32", "+44 113 496 0000") are isolated too, whatever stands around them.
- A text without a letter that has a direction runs from left to right.
- A mark stays with the letter that it stands on, and what has no script of its own (digits, dots) with the letter before it,
  where that one's face has it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unicodedata import bidirectional, category

from bidi import algorithm
from fontTools.unicodedata import script

from kiosk.ui.fonts import COMMON, Face

ISOLATES = {"\u2066": 0, "\u2067": 1, "\u2068": None}
"""LRI, RLI and FSI, with the level that each asks for."""
POP = "\u2069"
OBJECT = "\ufffc"
"""What stands for an isolate in the text around it (UAX #9, X5c and N1: a neutral)."""
EMBEDDING = dict.fromkeys([*range(0x202A, 0x202F), 0x200E, 0x200F, 0x061C, 0xFFFC])
"""Direction marks of older texts, and what we put for an isolate: dropped."""
STEERING = EMBEDDING | dict.fromkeys(range(0x2066, 0x206A))
"""With the isolates: what is never drawn."""
SPACES = re.compile(r"[\s\u00a0\u200b]+")
WORDS = re.compile(" |[^ ]+")
NUMBERS = re.compile(r"\+?(?:\d+|\(\d+\))(?:[ \u00a0.,:/-]?(?:\d+|\(\d+\)))*%?")
"""A number, a clock, a date or a phone number: groups of digits with at most one separator between two."""
STRONG = {"L": 0, "R": 1, "AL": 1}
DEFAULT_SCRIPT = "Latn"
HAN = frozenset({"Hani", "Hira", "Kana"})
FaceOf = Callable[[str], Face]


@dataclass(frozen=True)
class Piece:
    """Letters of one face, script (ISO 15924) and direction, in reading order; a space has no face."""

    text: str
    face: Face | None = None
    script: str = DEFAULT_SCRIPT
    rtl: bool = False


@dataclass(frozen=True)
class _Letter:
    text: str
    level: int
    face: Face | None
    script: str


def words(text: str) -> list[str]:
    """Return the parts whose widths add up to that of `text`: words, single spaces, and single ideographs."""
    if text.isascii():
        return WORDS.findall(SPACES.sub(" ", text))
    parts: list[str] = []
    for letter in SPACES.sub(" ", text.translate(STEERING)):
        alone = letter == " " or script(letter) in HAN
        if alone or not parts or parts[-1] == " " or script(parts[-1][-1]) in HAN:
            parts.append(letter)
        else:
            parts[-1] += letter
    return parts


def faces(word: str, face_of: FaceOf) -> Iterator[tuple[str, Face | None, str]]:
    """Yield each letter of a word with its face and script, as the rules above say."""
    face: Face | None = None
    tag = ""
    for letter in word:
        own = script(letter)
        if letter == " ":
            face, tag = None, ""
            yield letter, None, DEFAULT_SCRIPT
            continue
        mark = category(letter)[0] == "M"
        if face is None or not (face.has(letter) and (mark or (own in {tag, *COMMON} and tag not in HAN))):
            face = face_of(letter)
        if own not in COMMON:
            tag = own
        elif tag in HAN and not mark:
            tag = ""
        yield letter, face, tag or DEFAULT_SCRIPT


def pieces(text: str, face_of: FaceOf, *, rtl: bool = False) -> tuple[Piece, ...]:
    """Return one line of text as pieces from left to right; `rtl` is the direction of the page."""
    groups: list[list[_Letter]] = []
    for letter in _letters(SPACES.sub(" ", text), face_of, rtl=rtl):
        if groups and _goes_with(groups[-1][-1], letter):
            groups[-1].append(letter)
        else:
            groups.append([letter])
    return tuple(_piece(group) for group in _reordered(groups))


def _goes_with(before: _Letter, letter: _Letter) -> bool:
    same = (before.level, before.face, before.script) == (letter.level, letter.face, letter.script)
    return same and letter.face is not None


def _piece(group: list[_Letter]) -> Piece:
    first = group[0]
    return Piece("".join(one.text for one in group), first.face, first.script, rtl=bool(first.level % 2))


def _reordered(groups: list[list[_Letter]]) -> list[list[_Letter]]:
    """Return groups from left to right (UAX #9, L2)."""
    levels = [group[0].level for group in groups]
    for level in range(max(levels, default=0), 0, -1):
        at = 0
        while at < len(groups):
            end = at
            while end < len(groups) and levels[end] >= level:
                end += 1
            groups[at:end], levels[at:end] = groups[at:end][::-1], levels[at:end][::-1]
            at = end + 1
    return groups


# --- levels: how deep in which direction -------------------------------------------------------------------------------


def _letters(text: str, face_of: FaceOf, *, rtl: bool) -> Iterator[_Letter]:
    plain = not rtl and not any(STRONG.get(bidirectional(letter)) for letter in text)
    if plain:
        levels = [(letter, 0) for letter in text.translate(STEERING)]
    else:
        with_numbers = NUMBERS.sub(_isolated, text)
        levels = list(_isolates(with_numbers.translate(EMBEDDING), _base(text, rtl=rtl)))
    clean = "".join(letter for letter, _ in levels)
    for (letter, level), (_, face, tag) in zip(levels, faces(clean, face_of), strict=True):
        yield _Letter(letter, level, face, tag)


def _isolated(match: re.Match[str]) -> str:
    """Return a number isolated if its parts would change places: not one group, and after no letter read to the right."""
    number = match[0]
    before = next((kind for kind in map(bidirectional, reversed(match.string[: match.start()])) if kind in STRONG), "R")
    return number if number.isdecimal() or before == "L" else f"\u2066{number}{POP}"


def _base(text: str, *, rtl: bool) -> int:
    """Return the level of a line: 1 on a page read to the left, unless nothing in it is."""
    outside = "".join(_outer(text)[0])
    found = {STRONG[kind] for kind in map(bidirectional, outside) if kind in STRONG}
    return int(rtl and (1 in found or (not found and OBJECT in outside)))


def _outer(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the characters outside every isolate, one OBJECT for each, and each isolate's opener and content."""
    outside: list[str] = []
    isolates: list[tuple[str, str]] = []
    depth = 0
    for letter in text:
        if letter == POP and depth:
            depth -= 1
        if depth:
            opener, content = isolates[-1]
            isolates[-1] = (opener, content + letter)
        elif letter in ISOLATES:
            outside.append(OBJECT)
            isolates.append((letter, ""))
        elif letter != POP:
            outside.append(letter)
        if letter in ISOLATES:
            depth += 1
    return outside, isolates


def _isolates(text: str, base: int) -> Iterator[tuple[str, int]]:
    """Yield each character that is drawn with its level; isolates by themselves, one level deeper than where they stand."""
    outside, isolates = _outer(text)
    inner = iter(isolates)
    for letter, level in zip(outside, _levels("".join(outside), base), strict=True):
        if letter == OBJECT:
            opener, content = next(inner)
            wanted = ISOLATES[opener]
            parity = _first_strong(content) if wanted is None else wanted
            yield from _isolates(content, level + 1 + (level + 1 + parity) % 2)
        else:
            yield letter, level


def _first_strong(text: str) -> int:
    kinds = map(bidirectional, _outer(text)[0])
    return next((STRONG[kind] for kind in kinds if kind in STRONG), 0)


def _levels(text: str, base: int) -> list[int]:
    """Return the embedding level of each character by rules W1 to I2; what joins only (BN) has that of what it follows."""
    # What Unicode has not assigned yet counts as a letter that is read to the right; the library stops at it.
    kept = "".join(letter if bidirectional(letter) else "a" for letter in text if bidirectional(letter) != "BN")
    storage = algorithm.get_empty_storage()
    storage["base_level"], storage["base_dir"] = base % 2, "LR"[base % 2]
    algorithm.get_embedding_levels(kept, storage)
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage)
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    resolved = iter(storage["chars"])
    levels: list[int] = []
    for letter in text:
        if bidirectional(letter) != "BN":
            levels.append(next(resolved)["level"] + base - base % 2)
        else:
            levels.append(levels[-1] if levels else base)
    return levels
