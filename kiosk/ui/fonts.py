"""Finds the fonts of this machine and knows which of them has which letter: Kivy itself never falls back to another font.

The coverage is read from the fonts' own `cmap` tables (OpenType 1.9, formats 4 and 12). fontTools reads them too, in 0.4 s
and 20 MB more for the five fonts of the first page, which a screen that has to be back in 3 s does not have; the tests
hold this reader against it.
"""

import struct
import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from fontTools.unicodedata import script

from kiosk.messages import Fault

FONT_DIRS = tuple(
    Path("/usr/share/fonts", name)
    for name in ("truetype/noto", "opentype/noto", "noto", "noto-cjk", "truetype/droid", "droid")
)
LATIN = "NotoSans-Regular.ttf"
CHAIN = (
    LATIN,
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf",
    "DroidSansFallbackFull.ttf",
    "NotoSansCJK-Regular.ttc",
)
"""Asked first, in this order. The collection comes last: of it Kivy opens the first face only, whose forms are Japanese."""
CORE, HAN, CJK = "fonts-noto-core", "fonts-droid-fallback", "fonts-noto-cjk"
PACKAGES = {"Hani": HAN, "Hira": HAN, "Kana": HAN, "Hang": CJK, "Bopo": CJK}
"""Which Debian package brings letters of a script; CORE where none is named. Debian's Droid has no Hangul."""
MARKS = {CORE: CHAIN[1:2], HAN: ("DroidSansFallbackFull.ttf",), CJK: ("NotoSansCJK-Regular.ttc",)}
"""By which file a package is known to be here."""
INVISIBLE = frozenset({"Cf", "Cc", "Zl", "Zp"})
"""Categories of characters that steer and are never drawn: no font needs them."""
SHOWN = 8
"""How many missing letters a fault names."""
LAST_CODE_POINT = 0x10FFFF
COMMON = frozenset({"Zyyy", "Zinh", "Zzzz"})


@dataclass(frozen=True)
class Face:
    """A typeface: its files, regular and bold (the same where it has no bold), and what it covers."""

    regular: Path
    bold: Path
    covered: bytes = field(repr=False, compare=False)
    """A bit for each code point: a set of the Chinese ones alone would take 3 MB."""

    def file(self, *, bold: bool) -> str:
        """Return the path of the file to draw with."""
        return str(self.bold if bold else self.regular)

    def has(self, letter: str) -> bool:
        """Return whether the face has a glyph for a character, or needs none."""
        at, bit = divmod(ord(letter), 8)
        covered = at < len(self.covered) and self.covered[at] >> bit & 1
        return bool(covered) or unicodedata.category(letter) in INVISIBLE


def coverage(path: Path) -> bytes:
    """Return which code points the font at `path` maps to a glyph, a bit each; OSError or ValueError when it cannot be read."""
    data = path.read_bytes()
    try:
        return _bits(_code_points(data, _table(data, b"cmap")))
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"font {path}: its table of characters is broken ({error!r})") from None


def _table(data: bytes, tag: bytes) -> int:
    start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
    for at in range(struct.unpack_from(">H", data, start + 4)[0]):
        name, _, offset, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * at)
        if name == tag:
            return int(offset)
    raise KeyError(tag)


def _code_points(data: bytes, cmap: int) -> Iterator[int]:
    """Yield what the best Unicode subtable maps: format 12 (all planes) before format 4 (the first one)."""
    found = {}
    for at in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", data, cmap + 4 + 8 * at)
        if platform == 0 or (platform, encoding) in {(3, 1), (3, 10)}:
            found[struct.unpack_from(">H", data, cmap + offset)[0]] = cmap + offset
    if 12 in found:  # noqa: PLR2004 - formats have numbers, not names
        return _format_12(data, found[12])
    return _format_4(data, found[4])


def _format_12(data: bytes, at: int) -> Iterator[int]:
    for number in range(struct.unpack_from(">I", data, at + 12)[0]):
        first, last, _ = struct.unpack_from(">III", data, at + 16 + 12 * number)
        yield from range(first, last + 1)


def _format_4(data: bytes, at: int) -> Iterator[int]:
    half = struct.unpack_from(">H", data, at + 6)[0]
    ends, starts, deltas, offsets = (
        _words(data, at + where, half) for where in (14, 16 + half, 16 + 2 * half, 16 + 3 * half)
    )
    for segment, (first, last) in enumerate(zip(starts, ends, strict=True)):
        if first == 0xFFFF:  # noqa: PLR2004 - the mark of the last segment
            continue
        offset, delta = offsets[segment], deltas[segment]
        if not offset:
            yield from (code for code in range(first, last + 1) if (code + delta) & 0xFFFF)
            continue
        base = at + 16 + 3 * half + 2 * segment + offset
        glyphs = _words(data, base, 2 * (last - first + 1))
        yield from (first + nth for nth, glyph in enumerate(glyphs) if glyph)


def _words(data: bytes, at: int, size: int) -> "array[int]":
    words = array("H", data[at : at + size])
    words.byteswap()
    return words


def _bits(code_points: Iterable[int]) -> bytes:
    bits = bytearray(LAST_CODE_POINT // 8 + 1)
    last = 0
    for code in code_points:
        bits[code // 8] |= 1 << code % 8
        last = max(last, code)
    return bytes(bits[: last // 8 + 1])


class Fonts:
    """The fonts in some folders, opened when a letter first needs them."""

    def __init__(self, folders: Iterable[Path] = FONT_DIRS, stand_in: tuple[Path, Path] | None = None) -> None:
        """`stand_in` is a regular and a bold file to draw with where Noto Sans is missing."""
        self._files = {path.name: path for folder in folders for path in sorted(folder.glob("*.[to]t[fc]"))}
        self._stand_in = stand_in
        self._faces: dict[str, Face | None] = {}
        self._broken: dict[str, str] = {}
        self._missing: dict[str, None] = {}
        self.face_of = lru_cache(8192)(self._face_of)

    @cached_property
    def first(self) -> Face:
        """The face that everything is aligned to: Noto Sans, or what stands in for it. OSError if there is neither."""
        face = self._face(LATIN)
        if face is None and self._stand_in is not None:
            regular, bold = self._stand_in
            face = Face(regular, bold, coverage(regular))
        if face is None:
            raise OSError(f"no font at all; apt install {CORE}")
        return face

    def _face(self, name: str) -> Face | None:
        if name not in self._faces:
            self._faces[name] = self._open(name)
        return self._faces[name]

    def _open(self, name: str) -> Face | None:
        regular = self._files.get(name)
        if regular is None:
            return None
        try:
            covered = coverage(regular)
        except (OSError, ValueError) as error:
            self._broken[name] = str(error)
            return None
        bold = self._files.get(name.replace("-Regular", "-Bold"), regular)
        return Face(regular, bold, covered)

    def _face_of(self, letter: str) -> Face:
        """Return the face that draws a character; the first one, which then draws its box, where none has it."""
        for name in self._names(letter):
            face = self._face(name)
            if face is not None and face.has(letter):
                return face
        if not self.first.has(letter):
            self._missing[letter] = None
        return self.first

    def _names(self, letter: str) -> Iterator[str]:
        yield from CHAIN
        word = unicodedata.name(letter, "UNKNOWN").split()[0].title()
        yield f"NotoSans{word}-Regular.ttf"
        yield from (name for name in self._files if name.startswith("Noto") and "-Regular." in name)

    def missing(self, text: str) -> str:
        """Return the characters of `text` that no font here has, each once."""
        return "".join(letter for letter in dict.fromkeys(text) if not self.face_of(letter).has(letter))

    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong, of all that was asked for so far: no Noto Sans, a broken file, letters without a font."""
        found = [*self._stand_in_fault(), *self._broken_fault(), *self._missing_fault()]
        return tuple(found)

    def _stand_in_fault(self) -> Iterator[Fault]:
        if self._face(LATIN) is None:
            yield Fault(
                code="font_missing",
                where="fonts",
                says="Noto Sans is missing; another font stands in for it",
                do=f"apt install {CORE}, and restart stayby-ui",
            )

    def _broken_fault(self) -> Iterator[Fault]:
        for says in list(self._broken.values())[:1]:
            yield Fault(code="font_broken", where="fonts", says=says, do="install its package again (apt reinstall)")

    def _missing_fault(self) -> Iterator[Fault]:
        if not self._missing:
            return
        letters = list(self._missing)
        packages = sorted({PACKAGES.get(script(letter), CORE) for letter in letters} - self._installed())
        do = f"apt install {' '.join(packages)}, and restart stayby-ui" if packages else "write it in other letters"
        named = " ".join(f"{letter} (U+{ord(letter):04X})" for letter in letters[:SHOWN])
        yield Fault(code="letters_missing", where="fonts", says=f"no font here has {named}", do=do)

    def _installed(self) -> set[str]:
        """Return the packages whose fonts are here: to name them again would help nobody."""
        return {package for package, names in MARKS.items() if any(self._face(name) for name in names)}
