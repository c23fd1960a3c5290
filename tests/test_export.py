"""What a manager takes away: an incident or a span, in any script, and in one line what cannot be printed."""

import json
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.board import export
from kiosk.board.export import Exported, as_json, as_pdf, ended, exported, facts, fonts_for
from kiosk.board.kept import Kept
from kiosk.board.records import Records
from kiosk.messages import CloseReply, Entry, Outcome, Person, State
from tests.records_parts import NOW, PRIYA, kept, snapshot, store

ZONE = ZoneInfo("Europe/London")
AT = NOW.timestamp()
STORE = store()
noto = pytest.mark.skipif(not export._fonts(), reason="no Noto fonts: apt install fonts-noto-core")


def one(note: str = "", **more: object) -> Exported:
    return Exported(kept(AT, timeline=(Entry(t_s=8, what="coming", who="Priya"),), **more), note, [])


def test_json_says_what_it_is_and_when() -> None:
    found = json.loads(as_json(STORE, [one("Sat <b>down</b>."), one(drill=True, scenario="grief")], ZONE, AT + 60))
    real, drill = found["incidents"]
    assert (found["store"]["id"], found["made_at"], found["kept_days"]) == ("harbour", "2026-11-18T12:01:00+00:00", 90)
    assert (real["opened_at"], real["answer_s"], real["note"], real["drill"]) == (
        "2026-11-18T12:00:00+00:00",
        8,
        "Sat <b>down</b>.",
        False,
    )
    assert (drill["drill"], drill["scenario"]) == (True, "grief")


def test_it_is_what_the_records_hold(tmp_path: Path) -> None:
    with closing(Records(tmp_path / "records.db", pytest.fail)) as records:
        records.take_snapshot(snapshot(9.0, state=State.CLOSED, outcome=Outcome.REAL, closed_by=PRIYA), NOW)
        reply = CloseReply(
            reply_id="reply-0001", incident="one", responder="priya", outcome=Outcome.REAL, note="Sat down."
        )
        records.take_reply("desk-3", reply, NOW)
        (found,) = exported(records, records.incidents(0, AT + 1))
    assert found.note == "Sat down."
    assert json.loads(as_json(STORE, [found], ZONE, AT))["incidents"][0]["replies"][0]["responder"] == "priya"


def test_how_it_ended_is_said_plainly() -> None:
    assert ended(kept()) == "Real, closed by Priya"
    assert ended(kept(closed_s=None)) == "Not closed"
    assert ended(kept(drill=True, closed_by=None)) == "Over, ended by itself"
    assert dict(facts(one(drill=True, scenario="grief"), ZONE))["What"] == "DRILL: The phone call"


@noto
@pytest.mark.parametrize("name", ["أمينة", "प्रिया", "Αλέξης", "นภา", "Łucja Åström", "דנה"])
def test_every_letter_of_a_name_is_in_the_pdf(name: str) -> None:
    """The fonts that the file embeds hold a glyph for each letter of the name."""
    others, lacking = fonts_for(name)
    assert lacking == ""
    base = export._base()
    assert base is not None
    held = frozenset().union(*(export._letters_of(path) for path in (base, *others)))
    assert {ord(letter) for letter in name} <= held
    body, says = as_pdf(STORE, [one(closed_by=Person(id="x", name=name))], ZONE, AT)
    assert (body[:5], says) == (b"%PDF-", "")


@noto
def test_what_no_font_has_is_told_in_one_line() -> None:
    body, says = as_pdf(STORE, [one("\U000e0fff \U00010a3f ok")], ZONE, AT)
    assert body.startswith(b"%PDF-")
    assert "U+" in says or not says
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "FOLDERS", ())
        export._fonts.cache_clear()
        body, says = as_pdf(STORE, [one("日本")], ZONE, AT)
    export._fonts.cache_clear()
    assert body.startswith(b"%PDF-")
    assert says == export.NO_FONTS


def test_a_file_that_is_no_font_is_no_font(tmp_path: Path) -> None:
    broken = tmp_path / "NotoSansBroken-Regular.ttf"
    broken.write_bytes(b"no font")
    assert export._letters_of(broken) == frozenset()


@noto
@settings(max_examples=8, deadline=None)
@given(st.text(max_size=40), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_any_text_prints(note: str, name: str) -> None:
    body, says = as_pdf(STORE, [one(note, place=name), one(note, drill=True)], ZONE, AT)
    assert body.startswith(b"%PDF-")
    assert "\n" not in says


def test_an_empty_span_says_so_on_paper() -> None:
    body, _ = as_pdf(STORE, [], ZONE, AT)
    assert body.startswith(b"%PDF-")
    assert json.loads(as_json(STORE, [], ZONE, AT))["incidents"] == []


def test_many_incidents_make_many_pages() -> None:
    many = [Exported(Kept.model_validate(kept(AT + number)), "", []) for number in range(60)]
    body, _ = as_pdf(STORE, many, ZONE, AT)
    assert body.count(b"/Type /Page\n") > 10
