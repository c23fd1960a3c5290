"""Lines break where a reader of the language would break them, and nothing is lost or torn."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.tongue import ISOLATE, POP
from kiosk.ui.wrapping import CLOSING, OPENING, graphemes, pieces, reads_rtl, wrap, wrap_evenly


def ten_each(text: str) -> float:
    """Ten pixels for each letter that takes room, twenty for a wide one."""
    return sum(
        0
        if unicodedata.category(letter) in {"Mn", "Cf"}
        else 20
        if unicodedata.east_asian_width(letter) in "WF"
        else 10
        for letter in text
    )


HINDI = "मैं कर्मचारियों को बता रहा हूँ। क्षमा करें।"
CHINESE = "我在通知店员。请留在这里，我陪着你。“需要帮助吗？”"
ARABIC = f"اتصل على {ISOLATE}112{POP} الآن. {ISOLATE}Sam Featherstone Smith{POP} قادم."
ENGLISH = "Stay here. I am with you."
TEXTS = st.one_of(
    st.sampled_from([HINDI, CHINESE, ARABIC, ENGLISH, "112", "Qu’est-ce qui se passe\u00a0? Touchez."]),
    st.text(alphabet="ab क्षमािé中文，。“”（）\u00a0 " + ISOLATE + POP, max_size=60),
)


def bare(text: str) -> str:
    return "".join(text.replace(ISOLATE, "").replace(POP, "").replace("\n", " ").split(" "))


@given(TEXTS, st.integers(30, 400))
def test_nothing_is_lost_and_no_line_is_too_wide(text: str, room: int) -> None:
    lines = wrap(text, room, ten_each)
    assert bare("".join(lines)) == bare(text)
    longest = max((ten_each(letter) for letter in graphemes(text)), default=0)
    assert all(ten_each(line) <= max(room, longest) for line in lines)


@given(TEXTS, st.integers(30, 400))
def test_even_lines_are_as_few_and_say_the_same(text: str, room: int) -> None:
    lines = wrap_evenly(text, room, ten_each)
    assert len(lines) <= len(wrap(text, room, ten_each))
    assert bare("".join(lines)) == bare(text)


@pytest.mark.parametrize("text", [HINDI, CHINESE, ARABIC, ENGLISH])
@pytest.mark.parametrize("room", range(40, 400, 30))
def test_no_line_tears_a_letter_or_begins_with_what_closes(text: str, room: int) -> None:
    whole = graphemes(text.replace(ISOLATE, "").replace(POP, ""))
    lines = [line.replace(ISOLATE, "").replace(POP, "") for line in wrap(text, room, ten_each)]
    assert [letter for line in lines for letter in graphemes(line) if letter != " "] == [
        one for one in whole if one != " "
    ]
    if room >= 120:  # else a word must be cut
        assert not [line for line in lines[1:] if line[0] in CLOSING]
        assert not [line for line in lines if line[-1] in OPENING]


@pytest.mark.parametrize("room", range(60, 400, 30))
def test_each_line_closes_the_isolates_that_it_opens(room: int) -> None:
    for line in wrap(ARABIC, room, ten_each):
        depth = 0
        for letter in line:
            depth += (letter == ISOLATE) - (letter == POP)
            assert depth >= 0
        assert depth == 0


def test_a_conjunct_and_its_vowel_are_one_letter() -> None:
    assert graphemes("क्षमा") == ["क्ष", "मा"]
    assert graphemes("e\u0301a") == ["e\u0301", "a"]


def test_chinese_breaks_between_characters_but_not_before_a_comma_nor_within_a_number() -> None:
    parts = [piece for _, piece in pieces("请拨打 112，或大声呼救。")]
    assert parts == [
        "请",
        "拨",
        "打",
        "112，",
        "或",
        "大",
        "声",
        "呼",
        "救。",
    ]


def test_a_no_break_space_does_not_break() -> None:
    assert [piece for _, piece in pieces("passe\u00a0? Oui")] == ["passe\u00a0?", "Oui"]


def test_sentences_get_their_own_lines_where_that_is_enough() -> None:
    assert wrap_evenly(ENGLISH, 200, ten_each) == ["Stay here.", "I am with you."]
    assert wrap_evenly("我在这里。我陪着你。", 120, ten_each) == ["我在这里。", "我陪着你。"]


def test_which_way_a_text_reads() -> None:
    assert reads_rtl(ARABIC, default=False)
    assert reads_rtl(f"{ISOLATE}Sam{POP}", default=True)
    assert not reads_rtl("0:14", default=True)
    assert not reads_rtl(f"{ARABIC} is coming, in about 1 minute.", default=False)
    assert not reads_rtl("Service desk 3", default=True)
