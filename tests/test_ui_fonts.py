"""Which font draws what, in which order: every language of the screen, names in any script, and numbers above all."""

import re
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

from kiosk.messages import Language
from kiosk.texts import OWN_NAMES, every_text
from kiosk.ui.catalogues import load
from kiosk.ui.fonts import CHAIN, FONT_DIRS, Fonts, coverage
from kiosk.ui.shaping import STEERING, pieces, words

pytestmark = pytest.mark.parts
FONTS = Fonts()
FSI, PDI = "\u2068", "\u2069"
ARABIC, HEBREW = "شكرًا لكم جميعا", "תודה רבה"
DIGITS = re.compile(r"\d+")


def shown(text: str, *, rtl: bool = False) -> str:
    """The letters from left to right; those of a piece stay in reading order."""
    return "".join(piece.text for piece in pieces(text, FONTS.face_of, rtl=rtl))


# --- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [path for name in CHAIN for folder in FONT_DIRS for path in folder.glob(name)], ids=str
)
def test_the_reader_of_coverage_agrees_with_fonttools(path: Path) -> None:
    with TTFont(path, fontNumber=0, lazy=True) as font:
        bits = coverage(path)
        covered = {code for code in range(8 * len(bits)) if bits[code // 8] >> code % 8 & 1}
        assert covered == set(font.getBestCmap())


@pytest.mark.parametrize("language", Language)
def test_every_letter_of_every_text_has_a_font(language: Language) -> None:
    tongue = load(language).catalogue
    for key, text in every_text().items():
        said = [text] if isinstance(text, str) else [text.one, text.many]
        for one in said:
            assert FONTS.missing(tongue.pgettext(key, one)) == "", key
    assert FONTS.missing("".join(OWN_NAMES.values())) == ""


@pytest.mark.parametrize(
    "name", ["Zoë", "Дмитрий", "Γιώργος", "ישראל", "สมชาย", "ゆき", "გიორგი", "মিতা", "தமிழ்", "አበበ"]
)
def test_a_name_in_another_script_has_a_font(name: str) -> None:
    assert FONTS.missing(name) == ""


def test_letters_without_a_font_are_a_fault_that_names_them_and_what_to_install() -> None:
    fonts = Fonts(FONT_DIRS[:1])
    assert fonts.missing("Hello 中") == "中"
    (fault,) = fonts.faults()
    assert fault.says == "no font here has 中 (U+4E2D)"
    assert fault.do == "apt install fonts-droid-fallback, and restart stayby-ui"


def test_without_noto_another_font_stands_in_and_that_is_a_fault() -> None:
    other = FONT_DIRS[4] / "DroidSansFallbackFull.ttf"
    fonts = Fonts((), stand_in=(other, other))
    assert fonts.face_of("中").regular == other
    assert "apt install fonts-noto-core" in fonts.faults()[0].do


def test_a_broken_font_is_a_fault_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / CHAIN[1]).write_bytes(b"\x00\x01\x00\x00\x00\x09nothing")
    fonts = Fonts((*FONT_DIRS[:1], tmp_path))
    assert fonts.missing("A") == ""
    assert fonts.missing("ش") == ""  # another Arabic face of the same folder
    assert [fault.code for fault in fonts.faults()] == ["font_broken"]


# --- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["911", "112", "10:32", "+44 113 496 0000", "(0113) 496 0000", "1.5", "12/05/2026", "90%"]
)
@pytest.mark.parametrize("rtl", [False, True])
def test_a_number_keeps_its_order_wherever_it_stands(number: str, rtl: bool) -> None:
    for text in (
        number,
        f"{ARABIC} {number}",
        f"{number} {ARABIC}",
        f"{ARABIC} {number} {ARABIC}",
        f"{HEBREW} {number}.",
    ):
        assert number in shown(text, rtl=rtl), text
    assert number in shown(f"{ARABIC} {FSI}{number}{PDI}، {ARABIC}", rtl=True)


def test_arabic_stands_from_right_to_left_and_names_in_it_from_left_to_right() -> None:
    assert (
        shown(f"{FSI}Sam Ray{PDI} في الطريق، حوالي {FSI}3{PDI} دقائق.", rtl=True) == "دقائق. 3 حوالي الطريق، في Sam Ray"
    )
    assert shown("في A4 (الطابق 2)", rtl=True) == ")2 الطابق( A4 في"


def test_a_line_without_a_letter_to_the_left_stands_as_it_is_read() -> None:
    assert shown("Service desk 3.", rtl=True) == "Service desk 3."


def test_an_arabic_name_in_an_english_line_leaves_the_rest_in_its_place() -> None:
    assert shown("محمد علي is coming, about 1 minute.") == "علي محمد is coming, about 1 minute."


def test_hindi_and_arabic_are_drawn_with_their_own_script_and_direction() -> None:
    (hindi,) = pieces("क्षि", FONTS.face_of)
    (arabic,) = pieces("شكرًا", FONTS.face_of, rtl=True)
    assert (hindi.script, hindi.rtl, arabic.script, arabic.rtl) == ("Deva", False, "Arab", True)


ANY = st.text(
    st.one_of(
        st.sampled_from(
            "ابتثم لا ءًّאבגדе-जहिन्दी中文，。（）“”·…'\u2068\u2069\u2067\u2066\u200d\u202e.,:;()%+/ 0123456789٣"
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=40,
)


@given(ANY, st.booleans())
def test_every_letter_is_in_a_piece_and_none_is_there_twice(text: str, rtl: bool) -> None:
    parts = pieces(text, FONTS.face_of, rtl=rtl)
    kept = re.sub(r"[\s\u00a0\u200b\ufffc]+", " ", text.translate(STEERING))
    assert sorted("".join(part.text for part in parts).replace(" ", "")) == sorted(
        kept.replace(" ", "").replace("\ufffc", "")
    )
    assert all((part.face is None) == (part.text == " ") for part in parts)


@given(ANY, st.booleans())
def test_every_letter_is_drawn_by_a_face_that_has_it_or_is_reported(text: str, rtl: bool) -> None:
    missing = FONTS.missing(text)
    for part in pieces(text, FONTS.face_of, rtl=rtl):
        for letter in part.text:
            assert part.face is None or part.face.has(letter) or letter in missing


@given(ANY, st.booleans())
def test_groups_of_digits_survive(text: str, rtl: bool) -> None:
    before = sorted(DIGITS.findall(text.translate(STEERING)))
    after = [part.text for part in pieces(text, FONTS.face_of, rtl=rtl)]
    assert "".join(sorted("".join(before))) == "".join(sorted("".join(DIGITS.findall("".join(after)))))


@given(
    st.lists(st.sampled_from(["911", "112", "ب", "abc", "مرحبا", "10:32", "中", ".", "(5)"]), min_size=1, max_size=8),
    st.booleans(),
)
def test_a_number_between_any_words_is_whole(parts: list[str], rtl: bool) -> None:
    line = shown(" ".join(parts), rtl=rtl)
    for number in ("911", "112", "10:32"):
        assert line.count(number) == parts.count(number)


@given(ANY)
def test_the_words_of_a_text_are_what_is_drawn_of_it(text: str) -> None:
    drawn = "".join(part.text for part in pieces(text, FONTS.face_of))
    assert sorted("".join(words(text)).replace("\ufffc", "")) == sorted(drawn)
