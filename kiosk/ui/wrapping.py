"""Breaks one text into lines, in any of the six languages: at spaces, between Chinese characters, and never inside a letter.

Rules
- A letter is what a reader takes for one: a base with all its marks, a Devanagari conjunct, letters held by a joiner.
- No line begins with a closing mark of punctuation, and none ends with an opening one.
- A line that opens an isolate (U+2068) closes it (U+2069), and the next line opens it again.
- No-break spaces do not break.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from kiosk.tongue import ISOLATE, POP

Width = Callable[[str], float]
"""Width in pixels of a piece of text at the size in question."""

OPENING = frozenset("“‘«（《〈「『【〔([{¿¡")
CLOSING = frozenset("”’»）》〉」』】〕)]}，。、；：？！…·,.;:?!%‰—～")
JOINERS = frozenset("\u200c\u200d")
VIRAMA = 9
"""The canonical combining class of what joins two consonants of an Indic script."""
ROUNDING = 1.004
"""The sum of the widths of pieces may be this much off the width of the whole."""
_SENTENCES = re.compile(r"(?<=[.?:।؟]) |(?<=[。？！：])(?=[^”’」』）])")


def graphemes(text: str) -> list[str]:
    """Return what a reader takes for single letters; isolates stay with the letter that they open or close."""
    parts: list[str] = []
    for letter in text:
        if parts and _joins(parts[-1], letter):
            parts[-1] += letter
        else:
            parts.append(letter)
    return parts


def _joins(before: str, letter: str) -> bool:
    last = before[-1]
    if letter == POP or letter in JOINERS or unicodedata.category(letter).startswith("M"):
        return True
    if last in {ISOLATE, "\u200d"}:
        return True
    return unicodedata.combining(last) == VIRAMA and unicodedata.category(letter) == "Lo"


def reads_rtl(text: str, default: bool) -> bool:
    """Return whether a text as a whole reads from right to left.

    On a page that does (`default`) its first letter outside isolates decides, and what has only isolated letters reads as the
    page does. On any other page it does only if none of its letters reads the other way: a name in Arabic letters turns no
    English sentence round. What has no letters at all, like a clock or a number, reads from left to right.
    """
    depth, letters, outside = 0, False, []
    for letter in text:
        depth += (letter == ISOLATE) - (letter == POP)
        kind = unicodedata.bidirectional(letter)
        if kind in {"L", "R", "AL"}:
            letters = True
            if depth == 0:
                outside.append(kind != "L")
    if not outside:
        return default and letters
    return outside[0] if default else all(outside)


@lru_cache(1024)
def pieces(text: str) -> tuple[tuple[str, str], ...]:
    """Return a text as what may not be broken, each with what stands before it on the same line: a space, or nothing."""
    words = [_within(word) for word in text.replace("\n", " ").split(" ") if word]
    return tuple(("" if at else " ", piece) for word in words for at, piece in enumerate(word))


def _within(word: str) -> list[str]:
    """Return a word in the pieces between which it may be broken: itself, unless it is Chinese."""
    parts: list[str] = []
    for letter in graphemes(word):
        if parts and not _breaks(parts[-1], letter):
            parts[-1] += letter
        else:
            parts.append(letter)
    return parts


def _breaks(before: str, after: str) -> bool:
    last, first = before[-1], after[0]
    if last in OPENING or first in CLOSING:
        return False
    return _wide(last) or _wide(first)


def _wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def wrap(text: str, room: float, width: Width) -> list[str]:
    """Return `text` in lines of at most `room` pixels; a piece that is wider alone is cut between letters."""
    lines, line, taken = [], "", 0.0
    space = width(" ")
    for glue, piece in pieces(text):
        wide = width(piece)
        more = taken + wide + (space if glue else 0.0)
        if line and more * ROUNDING <= room:
            line, taken = line + glue + piece, more
            continue
        if line:
            lines.append(line)
        *full, line = _cut(piece, room, width) if wide > room else [piece]
        lines += full
        taken = width(line) if full else wide
    return balanced([*lines, line] if line else lines)


def widest(text: str, width: Width) -> float:
    """Return the width of the widest piece that should not be cut."""
    return max((width(piece) for _, piece in pieces(text)), default=0.0)


def wrap_evenly(text: str, room: float, width: Width) -> list[str]:
    """Return `text` in as few lines as `wrap`, at ends of sentences if that is enough, else of about equal length."""
    lines = wrap(text, room, width)
    if len(lines) < 2:  # noqa: PLR2004 - nothing to even out
        return lines
    sentences = _SENTENCES.split(text)
    if len(sentences) == len(lines) and all(width(one) <= room for one in sentences):
        return balanced(sentences)
    low, high = min(max(width(text) / len(lines), widest(text, width)), room), room
    while high - low > max(1.0, room / 100):
        middle = (low + high) / 2
        fits = len(wrap(text, middle, width)) <= len(lines)
        low, high = (low, middle) if fits else (middle, high)
    return wrap(text, high, width)


def _cut(word: str, room: float, width: Width) -> list[str]:
    parts = [""]
    for letter in graphemes(word):
        if parts[-1] and width(parts[-1] + letter) > room:
            parts.append("")
        parts[-1] += letter
    return parts


def balanced(lines: list[str]) -> list[str]:
    """Return lines of which each closes the isolates that it opens; what goes on in the next one is opened there again."""
    return list(_balanced(lines)) if any(ISOLATE in line for line in lines) else lines


def _balanced(lines: list[str]) -> Iterator[str]:
    depth = 0
    for line in lines:
        opened = depth
        depth = max(0, depth + line.count(ISOLATE) - line.count(POP))
        yield ISOLATE * opened + line + POP * depth
