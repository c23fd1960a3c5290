"""The fleet: what is heard of units, from it one list with the worst first; as a page, in the terminal, and as figures."""

import itertools
import json
import queue
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from prometheus_client.parser import text_string_to_metric_families

from kiosk.board.fault_words import WORDS
from kiosk.board.fleet import (
    BEAT_LEAP,
    FOLD_FROM,
    KINDS,
    LOST_AFTER_S,
    SOON,
    TWIN_SHOWN_S,
    Facts,
    Fleet,
    FleetView,
    Heard,
    Named,
    UnitRow,
    age_words,
    hear,
    make_view,
    usual_version,
)
from kiosk.board.fleet_page import ROWS_MOST, may_read, shown
from kiosk.board.metrics import metrics
from kiosk.board.records import Records, peek
from kiosk.broker_files import board_user
from kiosk.config import ServeSection
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import (
    PREFIX,
    Fault,
    LinkHealth,
    Presence,
    Severity,
    State,
    Status,
    Trigger,
    UnitState,
    parse_status,
    presence_topic,
    status_topic,
)
from kiosk.mqtt import MqttLink, Received
from tests.board_parts import Desk, desk, until
from tests.broker import STORE, private_broker
from tests.records_parts import NOW, kept, snapshot
from tests.running_board import RunningBoard, ask, broker, browser, unit
from tests.test_board_face import violations

__all__ = ["broker", "browser", "unit"]

AT = NOW.timestamp()
GOOD = LinkHealth(drops=0, broker_ms=12, button_ms=9.0, button_bad=0)
CABLE = Fault(code="button", where="button /dev/stayby-button", says="unplugged", do="plug it in")


def status(unit: str = "desk-3", **facts: Any) -> Status:
    base: dict[str, Any] = {
        "store": "harbour", "unit": unit, "place": unit, "state": UnitState.READY, "version": "0.2.0", "beat": 1, "at": NOW,
        "run": f"run {unit}"[:16], "last_proven": NOW - timedelta(hours=2), "link": GOOD, "self_proven": NOW - timedelta(hours=4),
    }  # fmt: skip
    return Status(**{**base, **facts})


def fleet_of(*said: Status, now_s: float = 0.0, retained: bool = False) -> Fleet:
    fleet = Fleet()
    for one in said:
        fleet.take_status(one, now_s, NOW, retained=retained)
    return fleet


def seen(fleet: Fleet, *units: str, **facts: Any) -> FleetView:
    named = [Named(one, one) for one in units]
    return make_view(fleet, Facts(**{"store": "Harbour", "named": named, "now_s": 1.0, "unix_s": AT, **facts}))


def only(view: FleetView) -> UnitRow:
    (row,) = view.rows()
    return row


def said(row: UnitRow) -> str:
    return " ".join(f"{one.what} {one.do}" for one in row.troubles)


# --- one unit ---------------------------------------------------------------------------------------------------------


def test_a_unit_that_is_well_needs_nothing() -> None:
    row = only(seen(fleet_of(status()), "desk-3", alerts={"desk-3": 4}))
    assert (row.kind, row.state, row.troubles, row.alerts) == ("well", "ready", (), 4)
    assert (row.proven, row.link, row.version) == ("2 hours ago", "good, 12 ms", "0.2.0")
    assert row.self_proven == "4 hours ago"


def test_it_is_lost_by_its_will_and_by_its_silence_within_the_limit() -> None:
    by_will = fleet_of(status(), status(state=UnitState.LOST))
    assert only(seen(by_will, "desk-3")).state == "lost"
    silent = fleet_of(status())
    assert only(seen(silent, "desk-3", now_s=LOST_AFTER_S)).state == "ready"
    row = only(seen(silent, "desk-3", now_s=LOST_AFTER_S + 0.1))
    assert (row.state, row.kind, row.link) == ("lost", "hands", "–")
    assert LOST_AFTER_S + 3.0 <= 20.0


def test_a_beat_that_does_not_change_is_silence() -> None:
    fleet = fleet_of(status())
    fleet.take_status(status(), 15.0, NOW, retained=False)
    assert only(seen(fleet, "desk-3", now_s=18.0)).state == "lost"


def test_while_the_board_is_cut_off_nobody_is_called_lost_and_afterwards_each_has_its_time() -> None:
    fleet = fleet_of(status())
    view = seen(fleet, "desk-3", now_s=500.0, down="the broker is away")
    assert (only(view).state, view.notes[0][:23], "old" in view.headline) == ("ready", "Units are not heard now", True)
    fleet.heard_again(500.0)
    assert only(seen(fleet, "desk-3", now_s=510.0)).state == "ready"


def test_a_unit_of_the_file_that_never_spoke_and_one_that_did_once() -> None:
    assert only(seen(Fleet(), "desk-3")).state == "never"
    assert only(seen(Fleet(), "desk-3", proven_s={"desk-3": AT - 60.0})).state == "lost"


def test_who_was_not_heard_yet_is_not_called_lost_while_listening_has_only_begun() -> None:
    fleet = Fleet()
    fleet.heard_again(100.0)
    for known in ({}, {"desk-3": AT}):
        assert only(seen(fleet, "desk-3", now_s=110.0, proven_s=known)).kind == "look"
        assert only(seen(fleet, "desk-3", now_s=118.0, proven_s=known)).kind == "hands"


def test_a_stranger_is_told_with_the_name_that_was_meant() -> None:
    missing, stranger = seen(fleet_of(status("desk-31")), "desk-3").rows()
    assert (missing.unit, missing.state, stranger.state) == ("desk-3", "never", "stranger")
    assert "Is it desk-3, which does not report?" in said(stranger)


def test_two_units_with_one_identity_take_turns_and_are_told_for_a_while() -> None:
    fleet = fleet_of(status(run="a"), status(run="b"))
    assert "Two units" not in said(only(seen(fleet, "desk-3")))
    fleet.take_status(status(run="a", beat=9), 2.0, NOW, retained=False)
    assert "Two units say that they are desk-3." in said(only(seen(fleet, "desk-3", now_s=3.0)))
    fleet.take_status(status(run="a", beat=99), TWIN_SHOWN_S, NOW, retained=False)
    assert "Two units" not in said(only(seen(fleet, "desk-3", now_s=TWIN_SHOWN_S + 3.0)))


def test_two_older_units_with_one_identity_are_known_by_beats_that_jump() -> None:
    fleet = fleet_of(status(run="", beat=5000), status(run="", beat=50))
    fleet.take_status(status(run="", beat=5005), 5.0, NOW, retained=False)
    assert "Two units" in said(only(seen(fleet, "desk-3", now_s=6.0)))


def test_a_late_will_and_what_the_broker_had_kept_make_no_second_unit() -> None:
    fleet = fleet_of(status(run="a"), status(run="b"), status(run="a", state=UnitState.LOST), status(run="b", beat=5))
    assert "Two units" not in said(only(seen(fleet, "desk-3")))
    older = fleet_of(status(run="", beat=5), retained=True)
    older.take_status(status(run="", beat=90_000), 1.0, NOW, retained=False)
    assert "Two units" not in said(only(seen(older, "desk-3", now_s=2.0)))


def test_a_clock_that_is_off_is_told_of_the_unit_or_of_this_machine() -> None:
    late = [status(f"desk-{one}", at=NOW - timedelta(minutes=7)) for one in range(4)]
    right = [status(f"desk-{one}") for one in range(4, 10)]
    one_late = seen(fleet_of(late[0], *right))
    assert "Its clock is 7 minutes behind." in said(next(iter(one_late.rows())))
    all_late = seen(fleet_of(*late))
    assert "this machine's clock" in all_late.notes[0]
    assert all("clock" not in said(row) for row in all_late.rows())


def test_what_the_broker_had_kept_tells_of_no_clock() -> None:
    view = seen(fleet_of(status(at=NOW - timedelta(days=2)), retained=True), "desk-3")
    assert "clock" not in said(only(view))


def test_an_older_version_than_most_and_never_a_newer_one() -> None:
    units = [status(f"desk-{one}") for one in range(3)]
    view = seen(fleet_of(*units, status("old", version="0.1.9"), status("new", version="0.10.0")))
    told = {row.unit: said(row) for row in view.rows()}
    assert "It runs version 0.1.9; most run 0.2.0." in told["old"]
    assert "version" not in told["new"]
    assert usual_version(["0.9", "0.10", ""]) == "0.10"


def test_a_unit_that_proved_itself_in_a_time_to_come_had_a_wrong_clock() -> None:
    for at, says in ((None, "never"), (NOW + timedelta(days=1), "its clock was wrong"), (NOW, "just now")):
        assert only(seen(fleet_of(status(self_proven=at)), "desk-3")).self_proven == says


@pytest.mark.parametrize(
    ("proven", "says"),
    [
        (None, "Never proven; the store wants it every 36 hours."),
        (NOW - timedelta(hours=37), "Last proven 37 hours ago; the store wants it every 36 hours."),
        (NOW + timedelta(days=9), "Proven in a time to come: its clock was wrong."),
    ],
)
def test_a_unit_that_was_not_proven_in_time(proven: datetime | None, says: str) -> None:
    row = only(seen(fleet_of(status(last_proven=proven)), "desk-3"))
    assert (row.kind, row.proven_bad, says in said(row)) == ("look", True, True)


def test_a_weak_link_says_where_it_is_weak() -> None:
    weak = LinkHealth(drops=12, broker_ms=2300, button_ms=9.0, button_bad=30)
    row = only(seen(fleet_of(status(link=weak)), "desk-3"))
    assert (row.link, row.link_bad, row.kind) == ("weak, 2300 ms", True, "look")
    for words in ("lost the broker 12 times", "only after 2.3 s", "cable of its button"):
        assert words in said(row)
    assert only(seen(fleet_of(status(link=None)), "desk-3")).link == "not told"


def test_a_fault_is_said_in_staffs_words_with_the_technicians_line_behind() -> None:
    row = only(seen(fleet_of(status(state=UnitState.FAULT, faults=(CABLE,))), "desk-3"))
    (one,) = row.troubles
    assert (row.kind, one.what) == ("hands", WORDS["button"][0])
    assert one.do == "Use the touch screen there. Tell your technician."
    assert one.more == ("button /dev/stayby-button: unplugged; plug it in (button)",)


def test_a_desk_that_calls_itself_by_another_name_is_told() -> None:
    view = make_view(fleet_of(status(place="Toys")), Facts("Harbour", [Named("desk-3", "Returns")], 1.0, AT))
    assert "It calls its desk “Toys”; store.toml says “Returns”." in said(only(view))


# --- alerts -----------------------------------------------------------------------------------------------------------


def test_an_open_alert_stands_before_everything_and_names_nobody() -> None:
    fleet = fleet_of(status(), status("dead", state=UnitState.LOST))
    fleet.take_snapshot(snapshot(name="Maria"), 1.0, NOW, retained=False)
    view = seen(fleet, "desk-3", "dead", now_s=11.0)
    assert [row.unit for row in view.rows()] == ["desk-3", "dead"]
    assert next(iter(view.rows())).alert == "An alert is open, 0:10. Nobody goes yet."
    assert "Maria" not in view.model_dump_json()
    assert view.headline == "2 units: 1 with an open alert, 1 needs hands."


def test_nothing_tells_of_a_silent_call() -> None:
    calm, fleet = fleet_of(status()), fleet_of(status())
    silent = snapshot(silent=True, trigger=Trigger.COVERT, severity=Severity.GRAVE)
    fleet.take_snapshot(silent, 1.0, NOW, retained=False)
    assert seen(fleet, "desk-3") == seen(calm, "desk-3")


def test_alerts_are_counted_without_drills_requests_and_silent_ones(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.db", pytest.fail)
    records.take_status(status(), NOW)
    shots = [
        snapshot(id="real"),
        snapshot(id="drill", drill=True, trigger=Trigger.DRILL),
        snapshot(id="silent", silent=True, trigger=Trigger.COVERT),
        snapshot(id="person", trigger=Trigger.TOUCH, severity=Severity.CHECK),
        snapshot(id="checked", trigger=Trigger.VOICE, severity=Severity.CHECK),
    ]
    for one in shots:
        records.take_snapshot(one, NOW)
    assert records.alerts(AT - 60.0) == {"desk-3": 2}
    assert peek(tmp_path / "records.db", AT - 60.0) == ({"desk-3": 2}, {"desk-3": (AT - 7200.0)})
    assert records.alerts(AT + 60.0) == {}
    records.close()
    assert kept().alert


# --- many units -------------------------------------------------------------------------------------------------------


def test_two_hundred_units_are_few_lines_the_worst_first() -> None:
    units = [f"desk-{one:03}" for one in range(200)]
    lost = [status(one, state=UnitState.LOST) for one in units[:22]]
    odd = status(units[22], state=UnitState.FAULT, faults=(CABLE,))
    stale = [status(one, last_proven=NOW - timedelta(days=day)) for day, one in enumerate(units[23:33], 3)]
    view = seen(fleet_of(*lost, odd, *stale, *map(status, units[33:])), *units)
    assert view.headline == "200 units: 23 need hands, 10 need a look, 167 well."
    assert [[(one.what, len(one.rows)) for one in part.bundles] for part in view.parts] == [
        [("It does not report.", 22), ("", 1)],
        [("Not proven lately.", 10)],
        [("Nothing is wrong.", 167)],
    ]
    assert [part.kind for part in view.parts] == ["hands", "look", "well"]


def test_a_page_has_room_for_so_many_rows_and_counts_the_rest() -> None:
    units = [f"desk-{one:04}" for one in range(ROWS_MOST + 100)]
    ((_, _, number, (bundle,)),) = shown(seen(Fleet(), *units))
    assert (number, len(bundle.bundle.rows), bundle.left_out) == (ROWS_MOST + 100, ROWS_MOST, 100)


CODES = st.sampled_from([*WORDS, "config-0", "screen-words_ar", "from-the-future"])
FAULTS = st.lists(
    st.builds(Fault, code=CODES, where=st.just("x"), says=st.sampled_from(["x", "\n<b>"]), do=st.just("x")), max_size=3
).map(tuple)
TIMES = st.none() | st.datetimes(timezones=st.none() | st.just(UTC))
LINKS = st.builds(LinkHealth, drops=st.integers(0, 999), broker_ms=st.none() | st.integers(0, 10**6))
STATUSES = st.builds(
    status,
    st.sampled_from(["desk-1", "desk-2", "desk-3", "odd"]),
    state=st.sampled_from(UnitState),
    faults=FAULTS,
    last_proven=TIMES,
    at=TIMES,
    run=st.sampled_from(["", "a", "b"]),
    version=st.text(max_size=9) | st.sampled_from(["0.1.0", "0.2.0"]),
    beat=st.integers(-(10**20), 10**20),
    link=st.none() | LINKS,
)
COURSE = st.lists(st.tuples(STATUSES, st.floats(0, 60), st.booleans()), max_size=6)


@settings(max_examples=60)
@given(COURSE, st.floats(0, 10_000), st.booleans(), st.lists(st.sampled_from(["desk-1", "desk-2"]), unique=True))
def test_whatever_is_heard_each_unit_stands_in_one_place_and_the_worst_first(
    course: list[tuple[Status, float, bool]], later_s: float, down: bool, names: list[str]
) -> None:
    fleet, now_s = Fleet(), 0.0
    for one, gap_s, retained in course:
        now_s += gap_s
        fleet.take_status(one, now_s, NOW, retained=retained)
    view = seen(fleet, *names, now_s=now_s + later_s, down="away" if down else "")
    rows = list(view.rows())
    assert sorted(row.unit for row in rows) == sorted({*names, *(one.unit for one, _, _ in course)})
    assert view.units == len(rows) == sum(part.units for part in view.parts)
    assert [KINDS.index(row.kind) for row in rows] == sorted(KINDS.index(row.kind) for row in rows)
    for row in rows:
        assert (row.kind == "well") == (not row.troubles)
        assert row.state != "lost" or row.kind == "hands"
        assert all(one.what and one.do and "\n" not in one.what + one.do for one in row.troubles)
    assert all(bool(one.what) == (len(one.rows) >= FOLD_FROM) for part in view.parts for one in part.bundles)
    assert FleetView.model_validate_json(view.model_dump_json()) == view
    list(text_string_to_metric_families(metrics(view).decode()))


@given(st.lists(st.tuples(st.sampled_from(["beat", "lost", "restart", "reconnect"]), st.floats(0.1, 30)), max_size=40))
def test_one_unit_is_never_called_two_however_it_restarts(course: list[tuple[str, float]]) -> None:
    heard: Heard | None = None
    now_s, since_s, run, beats_with_runs = 0.0, 0.0, 0, [True, False]
    for with_runs in beats_with_runs:
        heard = None
        for what, gap_s in course:
            now_s += gap_s
            if what == "restart":
                run, since_s = run + 1, now_s
            state = UnitState.LOST if what == "lost" else UnitState.READY
            one = status(run=str(run) if with_runs else "", beat=int(now_s - since_s), state=state)
            heard = hear(heard, one, now_s, NOW, retained=what == "reconnect")
            assert heard.twin_s is None
    assert BEAT_LEAP > 30


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"), (-5, "just now"), (60, "1 minute ago"), (3599, "59 minutes ago"), (3600, "1 hour ago"),
        (86400, "24 hours ago"), (172799, "47 hours ago"), (172800, "2 days ago"), (9e6, "104 days ago"),
    ],
)  # fmt: skip
def test_ages_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert age_words(seconds) == words


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(view: FleetView) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics(view).decode())
    return {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}


def test_figures_tell_each_unit_of_the_file_and_only_count_strangers() -> None:
    odd = Fault(code="made-up-code", where="x", says="x", do="x")
    fleet = fleet_of(
        status(place="Ann's desk", state=UnitState.FAULT, faults=(CABLE, odd)),
        status("spy"),
        status("far", version="<b>"),
    )
    fleet.take_presence(Presence(responder="sam", device="phone", name="Sam", tier=1, listening=True), 0.0)
    view = seen(fleet, "desk-3", "far", "gone", alerts={"desk-3": 2})
    found = figures(view)
    assert found["stayby_unit_up", "desk-3"] == 1.0
    assert found["stayby_unit_up", "gone"] == 0.0
    assert found["stayby_units", "stranger"] == 1.0
    assert found["stayby_unit_fault", "button", "desk-3"] == found["stayby_unit_fault", "desk-3", "other"] == 1.0
    assert found["stayby_unit_alerts_7d", "desk-3"] == 2.0
    assert found["stayby_unit_last_proven_timestamp_seconds", "desk-3"] == AT - 7200.0
    assert found["stayby_unit_self_proven_timestamp_seconds", "desk-3"] == AT - 14400.0
    assert found["stayby_unit_broker_seconds", "desk-3"] == 0.012
    assert found["stayby_units_by_version", "other"] == 1.0
    assert found["stayby_staff_listening",] == 1.0
    text = metrics(view).decode()
    assert not any(word in text for word in ("Sam", "sam", "Ann", "spy", "made-up", "<b>"))


@pytest.mark.parametrize(
    ("token", "networks", "host", "header", "may"),
    [
        ("", (), "127.0.0.1", "", False),
        ("a" * 16, (), "10.0.0.9", f"Bearer {'a' * 16}", True),
        ("a" * 16, (), "10.0.0.9", f"Bearer {'a' * 17}", False),
        ("a" * 16, (), "10.0.0.9", "Bearer é", False),
        ("", ("10.0.0.0/24",), "10.0.0.9", "", True),
        ("", ("10.0.0.0/24",), "10.0.1.9", "", False),
        ("", ("10.0.0.0/24",), "a phone", "", False),
        ("a" * 16, ("10.0.0.9",), "10.0.0.9", "", False),
        ("a" * 16, ("10.0.0.9",), "10.0.0.8", f"Bearer {'a' * 16}", False),
        ("a" * 16, ("::1",), "::1", f"Bearer {'a' * 16}", True),
    ],
)
def test_who_may_read_the_figures(token: str, networks: tuple[str, ...], host: str, header: str, may: bool) -> None:
    serve = ServeSection.model_validate({"metrics_token": token or None, "metrics_from": networks})
    assert may_read(serve, host, header) is may


# --- real parts -------------------------------------------------------------------------------------------------------

TOKEN = "a token of some length"
UNITS = '[[unit]]\nid = "desk-3"\nplace = "Service desk 3"\n[[unit]]\nid = "returns"\nplace = "Returns"\n'


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningBoard]:
    running = RunningBoard(tmp_path_factory.mktemp("board"), broker, UNITS, serve=f'metrics_token = "{TOKEN}"')
    yield running
    running.program.close()


def fleet_command(board: RunningBoard, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kiosk", "fleet", "--config", str(board.config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def lives_until(page: Page, unit: Desk, text: str) -> None:
    """Let a desk with a fault beat as it does, until the page says something, by itself."""
    beats, until_s = itertools.count(int(time.monotonic())), time.monotonic() + 40.0
    while text not in page.locator("#fleet").inner_text():
        assert time.monotonic() < until_s, page.locator("#fleet").inner_text()
        now = datetime.now(UTC)
        unit.beat(next(beats), at=now, last_proven=now, state=UnitState.FAULT, faults=(CABLE,))
        page.wait_for_timeout(500)


def opened(page: Page, details: str) -> bool:
    """Touch what is folded, and return whether it is open: what comes between may have moved it from under the finger."""
    if not page.locator(f"{details}[open]").count():
        page.locator(f"{details} summary").click()
    return bool(page.locator(f"{details}[open]").count())


@pytest.mark.parts
def test_page_and_figures_tell_the_same(browser: Browser, board: RunningBoard, unit: Desk) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    board.enter(page, "sam")
    page.goto(f"{board.url}fleet")
    lives_until(page, unit, "It has never reported.")
    lives_until(page, unit, "For your technician")
    until(lambda: opened(page, "#more-desk-3"))
    unit.say()
    lives_until(page, unit, "An alert is open")
    expect(page.locator("#more-desk-3[open]")).to_contain_text("plug it in (button)")  # it stayed open
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    unit.say(revision=2, state=State.CLOSED)
    page.close()

    plain = browser.new_context(java_script_enabled=False, storage_state=None).new_page()
    plain.goto(f"{board.url}fleet")
    assert "/sign-in" in plain.url
    plain.close()
    whole = board.device("sam").ask("GET", "/fleet")[2].decode()
    assert "It has never reported." in whole  # all of it without a script
    assert board.device("priya").ask("GET", "/fleet")[0] == 403

    unit.beat(3, at=datetime.now(UTC), last_proven=datetime.now(UTC))
    headers = {"authorization": f"Bearer {TOKEN}"}
    status_code, kind, body = ask(board.url, "GET", "/metrics", headers=headers)
    assert (status_code, kind["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'stayby_unit_up{unit="returns"} 0.0' in body
    assert ask(board.url, "GET", "/metrics")[0] == 403


@pytest.mark.parts
def test_the_terminal_shows_it_and_its_exit_code_says_whether_all_is_well(board: RunningBoard, unit: Desk) -> None:
    unit.beat(4, at=datetime.now(UTC), last_proven=datetime.now(UTC), state=UnitState.LOST)
    done = fleet_command(board)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Harbour Stores · 2 units: 2 need hands." in done.stdout
    told = json.loads(fleet_command(board, "--json").stdout)
    rows = {row["unit"]: row for part in told["parts"] for bundle in part["bundles"] for row in bundle["rows"]}
    assert {name: row["state"] for name, row in rows.items()} == {"desk-3": "lost", "returns": "never"}


# --- the document -----------------------------------------------------------------------------------------------------

FLEET_MD = (Path(__file__).parent.parent / "docs/fleet.md").read_text()


def test_each_figure_of_the_documented_rules_exists_and_the_yaml_can_be_read() -> None:
    scrape, rules = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", FLEET_MD, flags=re.DOTALL))
    assert scrape["scrape_configs"][0]["job_name"] == "stayby"
    expressions = " ".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    known = {name[0] for name in figures(seen(fleet_of(status(faults=(CABLE,))), "desk-3"))}
    assert set(re.findall(r"stayby_\w+", expressions)) <= known
    left_out = re.search(r'code!~"([^"]+)"', expressions)
    assert left_out
    assert set(left_out[1].split("|")) <= SOON & set(WORDS)
    assert f"{LOST_AFTER_S:g} s" in FLEET_MD


@pytest.mark.parts
def test_the_documented_bridge_passes_on_what_units_say_and_lets_nothing_in(tmp_path: Path) -> None:
    stanza = re.search(r"```\n(connection chain\n.*?)```", FLEET_MD, flags=re.DOTALL)
    assert stanza
    with private_broker(tmp_path / "chain") as chain:
        rights = f"\nuser {board_user(STORE)}\ntopic readwrite {PREFIX}/#\n"
        (chain.folder / "acl").write_text((chain.folder / "acl").read_text() + rights)
        chain.restart()
        own = chain.section_for_board()
        text = stanza[1].replace("mqtt.chain.example:8883", f"{own.host}:{own.port}")
        for name, path in (
            ("chain-ca.pem", own.ca_file),
            ("bridge-harbour.pem", own.cert_file),
            ("bridge-harbour.key", own.key_file),
        ):
            text = text.replace(f"/etc/mosquitto/{name}", str(path))
        store = private_broker(tmp_path / "store")
        with (store.folder / "mosquitto.conf").open("a") as conf:
            conf.write(f"\n{text}")
        with store, desk(store) as one:
            one.beat(7)
            one.say()
            heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
            topics = (f"{PREFIX}/{STORE}/+/status", f"{PREFIX}/{STORE}/+/incident")
            link = MqttLink(own, "reader", topics, heard.put, heard.put)
            got: dict[str, bytes] = {}

            def both() -> bool:
                while not heard.empty():
                    event = heard.get()
                    if isinstance(event, Received):
                        got[event.topic] = event.payload
                return len(got) == 2

            until(both)
            assert parse_status(status_topic(STORE, "desk-3"), got[status_topic(STORE, "desk-3")]).beat == 7
            words = Presence(responder="priya", device="phone", name="Priya", tier=1, listening=True)
            assert link.publish(presence_topic(STORE, "priya", "phone"), words.model_dump_json().encode()) is not None
            one.beat(8)
            until(
                lambda: both() and b'"beat":8' in got[status_topic(STORE, "desk-3")]
            )  # there and back would be quicker
            assert one.read().presences == {}
            link.close()
