"""After an incident: who calls, who is asked how they are, who may read it; and the manager's pages in a real browser."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

from kiosk.board import afterwards
from kiosk.board.afterwards import QUESTIONS, Task, mine, still_open, tasks_of
from kiosk.board.kept import Kept
from kiosk.board.manage import due_words
from kiosk.board.records import Records
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import OPENING, CloseReply, Entry, Outcome, Severity, Snapshot, State, Trigger
from tests.board_parts import Desk, until
from tests.records_parts import DAY_S, NOW, PRIYA, SAM, kept
from tests.running_board import RunningBoard, broker, browser, unit
from tests.test_board_face import violations

__all__ = ["broker", "browser", "unit"]

AT = NOW.timestamp()


# --- the rules --------------------------------------------------------------------------------------------------------


def test_a_real_one_leaves_a_call_for_who_was_there() -> None:
    (call,) = tasks_of(kept())
    assert (call.kind, call.who, call.day(UTC)) == ("call", "priya", date(2026, 11, 19))


def test_a_grave_one_asks_everybody_who_was_there_how_they_are() -> None:
    found = tasks_of(kept(severity=Severity.GRAVE, closed_by=SAM))
    assert [(one.kind, one.who) for one in found] == [("call", "priya"), ("debrief", "priya"), ("debrief", "sam")]
    assert found[1].day(UTC) == date(2026, 11, 18)


def test_where_nobody_was_there_the_manager_calls() -> None:
    (call,) = tasks_of(kept(attended_by=None, closed_by=None))
    assert (call.who, mine([call], "sam", manager=True), mine([call], "priya", manager=False)) == ("", [call], [])


def test_a_threat_is_grave_however_quietly_it_was_told() -> None:
    assert [one.kind for one in tasks_of(kept(trigger=Trigger.COVERT))] == ["call", "debrief"]


@given(
    st.builds(
        kept,
        drill=st.booleans(),
        outcome=st.none() | st.sampled_from(Outcome),
        closed_s=st.none() | st.floats(0, 9000),
        severity=st.sampled_from(Severity),
    )
)
def test_only_what_was_real_and_is_over_has_an_afterwards(one: Kept) -> None:
    real = one.outcome is Outcome.REAL and one.closed_s is not None and not one.drill
    assert bool(tasks_of(one)) == real
    assert len({task.key for task in tasks_of(one)}) == len(tasks_of(one))


def test_who_may_read_what() -> None:
    call, debrief, _ = tasks_of(kept(severity=Severity.GRAVE, closed_by=SAM))
    assert call.readable_by("priya", manager=False)
    assert call.readable_by("alex", manager=True)
    assert not call.readable_by("alex", manager=False)
    assert debrief.readable_by("priya", manager=False)
    assert not debrief.readable_by("sam", manager=True)
    assert debrief.model_copy(update={"shared": True}).readable_by("sam", manager=True)
    assert not debrief.model_copy(update={"shared": True}).readable_by("alex", manager=False)


def test_a_call_that_nobody_can_make_any_more_is_off_the_list() -> None:
    (call,) = tasks_of(kept())
    assert still_open([call], AT + 14 * DAY_S, 14) == [call]
    assert still_open([call], AT + 15 * DAY_S, 14) == []
    assert still_open([call.model_copy(update={"done_s": AT})], AT, 14) == []


def test_without_a_contact_nothing_else_is_lost() -> None:
    (call,) = tasks_of(kept())
    assert afterwards.without_contact(call.model_copy(update={"contact": "x", "contact_at_s": 1.0})) == call


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "today"), (1, "tomorrow"), (-1, "since yesterday"), (3, "on Saturday"), (-9, "since 9 November")],
)
def test_when_it_is_due_is_said_as_people_say_it(days: int, said: str) -> None:
    today = date(2026, 11, 18)
    assert due_words(today + timedelta(days=days), today) == said


# --- in the browser ---------------------------------------------------------------------------------------------------

NASTY = "<script>alert(1)</script>"
UNITS = '[[unit]]\nid = "desk-3"\nplace = "Service desk 3"\n[[unit]]\nid = "returns"\nplace = "Returns"\n'
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningBoard]:
    running = RunningBoard(tmp_path_factory.mktemp("board"), broker, UNITS)
    yield running
    running.program.close()


def enter(browser: Browser, board: RunningBoard, who: str) -> Page:
    """Open a narrow phone on which somebody is signed in, without any script from here on."""
    page = browser.new_page(viewport=NARROW)
    board.enter(page, who)
    return page


def go(page: Page, board: RunningBoard, path: str) -> None:
    """Open a page of ours: it fits the phone, and its console has nothing to say."""
    said: list[str] = []
    page.once("pageerror", lambda error: said.append(str(error)))
    answer = page.goto(f"{board.url}{path}")
    assert answer is not None
    assert answer.status == 200, page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert said == []


def grave(unit: Desk) -> Snapshot:
    """Let a desk tell of a grave incident from its beginning to its end; who closes it leaves a note full of markup."""
    line: tuple[Entry, ...] = (
        Entry(t_s=0, what="opened", who="button"),
        Entry(t_s=9, what="coming", who="Priya"),
        Entry(t_s=50, what="here", who="Priya"),
    )
    unit.say(elapsed_s=60.0, revision=4, state=State.ATTENDED, severity=Severity.GRAVE, here=PRIYA, timeline=line)
    line = (*line, Entry(t_s=90, what="closed", who="Priya"))
    return unit.say(elapsed_s=90.0, revision=5, state=State.CLOSED, severity=Severity.GRAVE, outcome=Outcome.REAL,
                    closed_by=PRIYA, timeline=line)  # fmt: skip


def peek(board: RunningBoard) -> Records:
    return Records(board.folder / "board-state" / "records.db", pytest.fail)


@pytest.mark.parts
def test_a_grave_incident_and_the_day_after(browser: Browser, board: RunningBoard, unit: Desk) -> None:
    with closing(enter(browser, board, "priya")) as priya, closing(enter(browser, board, "sam")) as sam:
        until(unit.listening)
        closed = grave(unit)
        close = CloseReply(
            reply_id="reply-nasty", incident=closed.id, responder="priya", outcome=Outcome.REAL, note=NASTY
        )
        with closing(peek(board)) as records:
            until(lambda: records.incident(unit.unit, closed.id))
            records.take_reply(unit.unit, close, datetime.now(UTC))

        go(priya, board, "manage")
        assert priya.url.endswith("/manage/follow-ups")
        priya.get_by_role("link", name="A moment for you").click()
        priya.get_by_label(QUESTIONS[0]).fill("Tired. <b>Very</b>.")
        expect(priya.get_by_text("Not sent yet. Kept on this device")).to_be_visible()
        priya.reload()
        expect(priya.get_by_label(QUESTIONS[0])).to_have_value("Tired. <b>Very</b>.")
        expect(priya.get_by_text("What you typed before is back.")).to_be_visible()
        priya.get_by_role("button", name="Keep it").click()
        expect(priya.get_by_role("link", name="A moment for you")).to_have_count(0)
        until(lambda: priya.evaluate("!JSON.stringify(sessionStorage).includes('Tired')"))

        priya.get_by_role("link", name="Call the customer").click()
        expect(priya.locator(".note")).to_have_text(NASTY)
        expect(priya.get_by_text("If somebody else answers, say nothing of it")).to_be_visible()
        priya.get_by_label("Only if they left a way").fill("Ana, 0113 496 0000")
        priya.get_by_role("button", name="Keep it").click()
        expect(priya.get_by_label("Only if they left a way")).to_have_value("Ana, 0113 496 0000")

        go(sam, board, "manage/follow-ups")
        expect(sam.get_by_role("heading", name="Shared with you")).to_have_count(0)
        go(sam, board, f"manage/incident?{urlencode({'unit': unit.unit, 'incident': closed.id})}")
        expect(sam.get_by_text("Priya is at the desk.")).to_be_visible()
        expect(sam.get_by_text(NASTY)).to_be_visible()

        priya.get_by_label("Thank them.").check()
        priya.get_by_role("button", name="Done").click()
        expect(priya.get_by_text("Nothing is on your list.")).to_be_visible()
        state = b"".join(path.read_bytes() for path in (board.folder / "board-state").glob("records.db*"))
        assert b"496 0000" not in state


@pytest.mark.parts
def test_nobody_else_reads_a_debrief_that_was_not_shared(board: RunningBoard, unit: Desk) -> None:
    closed = grave(unit)

    def task() -> Task | None:
        with closing(peek(board)) as records:
            found = [one for one in records.tasks() if one.incident == closed.id and one.kind == "debrief"]
        return found[0] if found else None

    key = until(task).key
    priya, sam = board.signed_in("priya"), board.signed_in("sam")
    path = f"/manage/debrief/{key}"
    assert sam.ask("GET", path, accept="text/html")[0] == 404
    assert priya.form(path, token=priya.token(), words0="It was hard.", shared="on")[0] == 303
    status, _, body = sam.ask("GET", path, accept="text/html")
    assert (status, b"It was hard." in body) == (200, True)
    assert sam.form(path, token=sam.token(), words0="changed")[0] == 403
    assert priya.form(path, token=priya.token(), words0="It was hard.")[0] == 303
    assert sam.ask("GET", path, accept="text/html")[0] == 404


MANAGERS_ONLY = (
    "report",
    "incidents",
    "incident?unit=a&incident=b",
    "export.json",
    "export.pdf",
    "drills",
    "drill?id=x",
)


@pytest.mark.parts
def test_staff_see_no_page_of_the_managers(board: RunningBoard) -> None:
    priya = board.device("priya")
    for path in MANAGERS_ONLY:
        assert priya.ask("GET", f"/manage/{path}", accept="text/html")[0] == 403, path
    stranger = board.signed_in("priya")
    stranger.cookie = ""
    for path in (*MANAGERS_ONLY, "follow-ups", "opening", "debrief/x"):
        assert stranger.ask("GET", f"/manage/{path}", accept="text/html")[0] == 303, path


@pytest.mark.parts
def test_forms_of_other_pages_are_turned_away(board: RunningBoard, unit: Desk) -> None:
    sam = board.device("sam")
    for path in ("/manage/drills", "/manage/opening"):
        assert sam.form(path, unit="desk-3", scenario="chest")[0] == 403
        assert (
            sam.form(path, {"sec_fetch_site": "cross-site"}, token=sam.token(), unit="desk-3", scenario="chest")[0]
            == 403
        )
        assert sam.form(path, token=sam.token(), unit="nowhere", scenario="chest")[0] == 400
    assert sam.form("/manage/drills", token=sam.token(), unit="desk-3", scenario=NASTY)[0] == 400
    assert unit.read().drills == []


NONSENSE = [
    "report?week=x",
    "report?week=2026-W60",
    "incidents?from=x",
    "incidents?from=2026-02-30",
    "incidents?from=2026-03-01&to=2026-02-01",
    "incidents?from=0001-01-01",
    "incidents?to=9999-12-31",
    "report?week=9999-W52",
    "drills?year=0",
    "drills?year=99999",
    "drills?year=%C2%B2",
]


@pytest.mark.parts
@pytest.mark.parametrize("path", NONSENSE)
def test_what_makes_no_sense_is_told_in_plain_words(board: RunningBoard, path: str) -> None:
    status, _, body = board.device("sam").ask("GET", f"/manage/{path}", accept="text/html")
    assert status == 400
    assert b"Write it as" in body or b"Turn them around" in body


@pytest.mark.parts
def test_a_drill_from_the_calendar_to_its_score(browser: Browser, board: RunningBoard, unit: Desk) -> None:
    with closing(enter(browser, board, "sam")) as sam:
        go(sam, board, "manage/drills")
        sam.get_by_label("What is played").select_option("grief")
        sam.get_by_label("At which desk").select_option("desk-3")
        sam.get_by_role("button", name="Begin the drill").click()
        expect(sam.get_by_role("heading", name="Begin this drill now?")).to_be_visible()
        expect(sam.get_by_text("The phone call, at Service desk 3.")).to_be_visible()
        assert unit.read().drills == []
        sam.get_by_role("button", name="Begin the drill").click()
        begun = until(lambda: unit.read().drills)[-1]
        assert (begun.scenario, begun.responder) == ("grief", "sam")
        expect(sam.get_by_text("Waiting for the desk")).to_be_visible()
        line = (Entry(t_s=0, what="opened", who="drill"), Entry(t_s=14, what="coming", who="Priya"))
        unit.incident = begun.drill
        unit.say(
            trigger=Trigger.DRILL,
            drill=True,
            scenario="grief",
            elapsed_s=300,
            revision=7,
            state=State.CLOSED,
            timeline=line,
        )
        until(lambda: (sam.reload(), sam.get_by_text("Answered after 14 s").count())[1])
        sam.get_by_label("Was quiet, and let it be quiet").check()
        sam.get_by_label("What we learned").fill("Nobody knew the quiet room.")
        sam.get_by_role("button", name="Keep the score").click()
        expect(sam.get_by_text("1 of 5")).to_be_visible()
        go(sam, board, "manage/report")
        expect(sam.get_by_text(re.compile("The phone call, Service desk 3. Answered after 14 s"))).to_be_visible()


@pytest.mark.parts
def test_anybody_proves_a_desk_in_the_morning(browser: Browser, board: RunningBoard, unit: Desk) -> None:
    unit.beat(1)
    with closing(enter(browser, board, "priya")) as priya:
        go(priya, board, "manage/opening")
        until(unit.listening)  # while her own link to the desks is not there, the page says that nothing was begun
        begin = priya.get_by_role("button", name="Begin the opening press: Service desk 3")
        begin.click()
        begun = until(lambda: unit.read().drills)[-1]
        assert begun.scenario == OPENING
        expect(priya.get_by_text("Asking the desk to wait for its button…")).to_be_visible()
        expect(begin).to_have_count(0)
        unit.beat(2, opening=True)
        until(lambda: (priya.reload(), priya.get_by_text("Press it now").count())[1])
        unit.beat(3, last_proven=datetime.now(UTC))
        until(lambda: (priya.reload(), priya.get_by_text("Proven today.").count())[1])


@pytest.mark.parts
def test_a_manager_takes_it_away_and_prints_the_week(
    browser: Browser, board: RunningBoard, unit: Desk, tmp_path: Path
) -> None:
    closed = grave(unit)
    until(lambda: closed.id in str(board.device("sam").ask("GET", "/manage/export.json")[2]))
    with closing(enter(browser, board, "sam")) as sam:
        for path in (
            "manage",
            "manage/report",
            "manage/incidents",
            "manage/drills",
            "manage/opening",
            "manage/follow-ups",
        ):
            go(sam, board, path)
        go(sam, board, "manage/incidents")
        with sam.expect_download() as download:
            sam.get_by_role("link", name="Save as PDF").click()
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        assert saved.read_bytes().startswith(b"%PDF-")
        go(sam, board, "manage/report")
        printed = sam.pdf(prefer_css_page_size=True)
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 3


@pytest.mark.parts
def test_the_pages_go_by_keys_alone(browser: Browser, board: RunningBoard) -> None:
    with closing(enter(browser, board, "sam")) as sam:
        go(sam, board, "manage/drills")
        for _ in range(40):
            sam.keyboard.press("Tab")
            if sam.evaluate("document.activeElement.textContent").strip() == "Begin the drill":
                break
        assert sam.evaluate("document.activeElement.textContent").strip() == "Begin the drill"
        assert sam.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parts
def test_axe_finds_nothing_on_any_page(browser: Browser, board: RunningBoard, unit: Desk) -> None:
    closed = grave(unit)
    until(lambda: closed.id in str(board.device("sam").ask("GET", "/manage/export.json")[2]))
    begun = board.device("sam").form(
        "/manage/drills", token=board.device("sam").token(), unit="desk-3", scenario="chest", sure="yes"
    )
    with closing(enter(browser, board, "sam")) as sam, closing(enter(browser, board, "priya")) as priya:
        one = urlencode({"unit": unit.unit, "incident": closed.id})
        paths = [
            "",
            "/report",
            "/report?week=2020-W01",
            "/incidents",
            f"/incident?{one}",
            "/drills",
            "/opening",
            "/follow-ups",
        ]
        for path in [*(f"manage{one}" for one in paths), begun[1]["location"].lstrip("/")]:
            go(sam, board, path)
            assert violations(sam) == [], path
        for name in ("Call the customer", "A moment for you"):
            go(priya, board, "manage/follow-ups")
            assert violations(priya) == []
            priya.get_by_role("link", name=name).first.click()
            expect(priya.get_by_role("heading", level=1, name=name)).to_be_visible()
            assert violations(priya) == [], name
