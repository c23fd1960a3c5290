"""What travels: every parser takes its own kind back whole, and anything else is one line that says what and where."""

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk import messages as m

IDS = st.from_regex(m.ID_PATTERN, fullmatch=True)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
NAMES = NAMES.filter(lambda name: name.strip("".join(m.TURNS_TEXT)).strip())
PARSERS = [m.parse_reply, m.parse_presence, m.parse_snapshot, m.parse_status]
REPLY_IDS = st.uuids().map(lambda one: one.hex)
REPLIES: st.SearchStrategy[m.Reply] = st.one_of(
    st.builds(m.SeenReply, reply_id=REPLY_IDS, incident=REPLY_IDS, responder=IDS),
    st.builds(m.ComingReply, reply_id=REPLY_IDS, incident=REPLY_IDS, responder=IDS, eta_s=st.floats(10, 1800)),
    st.builds(m.HereReply, reply_id=REPLY_IDS, incident=REPLY_IDS, responder=IDS),
    st.builds(m.CloseReply, reply_id=REPLY_IDS, incident=REPLY_IDS, responder=IDS, outcome=st.sampled_from(m.Outcome)),
    st.builds(m.CallNextReply, reply_id=REPLY_IDS, incident=REPLY_IDS, responder=IDS),
)
STATUSES = st.builds(m.Status, store=IDS, unit=IDS, last_proven=st.none())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=20,
)


@given(REPLIES, IDS, IDS)
def test_a_reply_comes_back_whole(reply: m.Reply, store: str, unit: str) -> None:
    assert m.parse_reply(m.reply_topic(store, unit, reply.responder), reply.model_dump_json().encode()) == reply


@given(
    st.builds(m.Presence, responder=IDS, device=IDS, name=NAMES, tier=st.integers(1, 9), listening=st.booleans()), IDS
)
def test_a_presence_comes_back_whole(presence: m.Presence, store: str) -> None:
    topic = m.presence_topic(store, presence.responder, presence.device)
    assert m.parse_presence(topic, presence.model_dump_json().encode()) == presence


@pytest.mark.parametrize("parse", PARSERS)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_one_line(parse: object, payload: bytes) -> None:
    with pytest.raises(m.BadMessage) as caught:
        parse("stayby/1/s/u/x", payload)  # type: ignore[operator]  # one of PARSERS
    assert "\n" not in str(caught.value)
    assert "ignored" in str(caught.value)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_on_the_bus_is_one_line(line: bytes) -> None:
    for parse in (m.parse_from_leaf, m.parse_to_leaf):
        with pytest.raises(m.BadMessage):
            parse(line)


@given(REPLIES, IDS)
def test_nobody_speaks_for_another(reply: m.Reply, other: str) -> None:
    if other != reply.responder:
        with pytest.raises(m.BadMessage, match="claims to come from"):
            m.parse_reply(m.reply_topic("s", "u", other), reply.model_dump_json().encode())


@pytest.mark.parametrize("parse", PARSERS)
def test_a_megabyte_is_refused_unread(parse: object) -> None:
    with pytest.raises(m.BadMessage, match="1000000 bytes"):
        parse("t", b"x" * 1_000_000)  # type: ignore[operator]  # one of PARSERS


def test_a_newer_writer_may_add_keys() -> None:
    payload = (
        b'{"v": 1, "responder": "sam", "device": "phone", "name": "Sam", "tier": 1, "listening": true, "shoe_size": 43}'
    )
    assert m.parse_presence("stayby/1/s/staff/sam/phone", payload).name == "Sam"


def test_numbers_that_are_none_are_refused() -> None:
    for score in ("NaN", "Infinity", "1e999"):
        line = b'{"kind": "detection", "phrase": "help", "score": %s, "audio_end_s": 1}' % score.encode()
        with pytest.raises(m.BadMessage, match="score"):
            m.parse_from_leaf(line)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Zoë O’Brien-Łukasz", "Zoë O’Brien-Łukasz"),
        ("مريم", "مريم"),
        ("क्षितिज", "क्षितिज"),
        ("مری\u200cم", "مری\u200cم"),
        ("Sa\u202em\u2066", "Sam"),
        ("Sam\r\nPLEASE  COME\u2028now", "Sam PLEASE COME now"),
        ("\x1b[2JSam \x9b\x00 Li", "[2JSam Li"),
        ("<b onload=x>&amp;", "<b onload=x>&amp;"),
    ],
)
def test_a_name_is_one_line_of_plain_text_in_any_script(given: str, shown: str) -> None:
    payload = json.dumps({"responder": "sam", "device": "phone", "name": given, "tier": 1, "listening": True}).encode()
    assert m.parse_presence("stayby/1/s/staff/sam/phone", payload).name == shown


@pytest.mark.parametrize("given", ["", " \n ", "\u202e\x07", "x" * 41, 7, None, "\ud800"])
def test_a_name_that_is_none_is_refused_in_one_line(given: object) -> None:
    payload = json.dumps({"responder": "sam", "device": "phone", "name": given, "tier": 1, "listening": True}).encode()
    with pytest.raises(m.BadMessage, match=r"^presence on [^\n]*; ignored$"):
        m.parse_presence("stayby/1/s/staff/sam/phone", payload)


@given(st.text(max_size=60))
def test_no_name_reaches_a_screen_with_anything_that_a_terminal_or_a_text_obeys(given: str) -> None:
    payload = json.dumps({"responder": "sam", "device": "phone", "name": given, "tier": 1, "listening": True}).encode(
        "utf-8", "replace"
    )
    try:
        name = m.parse_presence("stayby/1/s/staff/sam/phone", payload).name
    except m.BadMessage:
        return
    assert not set(name) & (set("\n\r\t\x1b\u2028\u2029") | m.TURNS_TEXT)
    assert name == name.strip()


def said(**facts: Any) -> m.Presence:
    return m.Presence(**{"responder": "sam", "device": "phone", "name": "Sam", "tier": 1, "listening": True, **facts})


def test_the_tier_at_a_desk_is_the_rotas_where_it_has_one() -> None:
    presence = said(tier=2, desks={"desk-3": 1})
    back = m.parse_presence("stayby/1/s/staff/sam/phone", presence.model_dump_json().encode())
    assert [back.tier_at(unit) for unit in ("desk-3", "returns")] == [1, 2]
    plain = b'{"responder":"sam","device":"phone","name":"Sam","tier":2,"listening":true}'
    assert m.parse_presence("stayby/1/s/staff/sam/phone", plain) == said(tier=2)


def test_several_devices_of_one_person_are_asked_as_one() -> None:
    rota, own = said(tier=2, desks={"desk-3": 1}), said(tier=1)
    assert [m.asked_at([rota, own], unit) for unit in ("desk-3", "returns")] == [1, 1]
    assert m.asked_at([rota, said(tier=3)], "returns") == 2
    assert m.asked_at([own, said(tier=m.LAST_TIER, duty=m.Duty.BREAK), own], "desk-3") == m.LAST_TIER
    assert m.asked_at([said(tier=m.LAST_TIER, duty=m.Duty.OFF), own], "desk-3") == 1


@pytest.mark.parametrize("topic", ["stayby/1/s/staff/sam", "stayby/1/s/staff/sam/pager", "stayby/1/s/staff/ana/phone"])
def test_a_presence_counts_on_its_own_devices_topic_and_on_no_other(topic: str) -> None:
    with pytest.raises(m.BadMessage, match="claims to come from 'sam/phone'"):
        m.parse_presence(topic, said().model_dump_json().encode())


@pytest.mark.parametrize("drill", ["drill-1", "x" * 20, "drill-" + "g" * 20, "drill-" + "a" * 33, ""])
def test_an_order_of_a_drill_has_an_id_that_no_incident_has(drill: str) -> None:
    order = {"kind": "start_drill", "responder": "sam", "drill": drill, "scenario": "fall"}
    with pytest.raises(m.BadMessage, match="drill"):
        m.parse_reply("stayby/1/s/u/reply/sam", json.dumps(order).encode())


TIMES = st.datetimes(timezones=st.just(UTC))
HEARD = st.builds(m.HeardPhrase, phrase=IDS, score=st.floats(-1000, 1000), at=TIMES)


@given(st.builds(m.Touch, name=st.none() | NAMES))
def test_a_touch_comes_back_whole(touch: m.Touch) -> None:
    assert m.parse_from_leaf(touch.model_dump_json().encode()) == touch


@given(
    st.builds(m.PauseEar)
    | st.builds(
        m.Show,
        incident=st.none(),
        faults=st.just(()),
        heard=st.lists(HEARD, max_size=20).map(tuple),
        hearing_back_s=st.none() | st.floats(0, 600),
    )
)
def test_what_the_hub_tells_screen_and_ear_comes_back_whole(told: m.ToLeaf) -> None:
    assert m.parse_to_leaf(told.model_dump_json().encode()) == told


@given(st.builds(m.AskButton))
def test_a_question_about_the_button_comes_back_whole(question: m.AskButton) -> None:
    assert m.parse_from_leaf(question.model_dump_json().encode()) == question


@given(
    st.builds(m.ButtonAnswer) | st.builds(m.StatusAnswer, status=STATUSES, button=st.none() | st.builds(m.ButtonHealth))
)
def test_an_answer_about_the_button_comes_back_whole(answer: m.ToLeaf) -> None:
    assert m.parse_to_leaf(answer.model_dump_json().encode()) == answer


def test_an_older_hub_says_nothing_of_its_button() -> None:
    line = (
        b'{"kind": "status", "status": {"store": "s", "unit": "u", "place": "p", "state": "ready"}, "reach": "ok",'
        b' "incident": null}'
    )
    answer = m.parse_to_leaf(line)
    assert isinstance(answer, m.StatusAnswer)
    assert answer.button is None
