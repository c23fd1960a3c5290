"""What is kept: in any order, any number of times, through kill -9, a broken file, a full disk; gone when its time is over."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.board.kept import Kept, fold, kept_of
from kiosk.board.recorder import Recorder, is_over, open_records
from kiosk.board.records import MIGRATIONS, REPLIES_MOST, Records
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import (
    OPENING,
    Choice,
    CloseReply,
    Entry,
    Fault,
    HereReply,
    Outcome,
    Person,
    Presence,
    Proof,
    Severity,
    Snapshot,
    StartDrill,
    State,
    Status,
    Trigger,
    UnitState,
    incident_topic,
    parse_proof_seen,
    presence_topic,
    proof_seen_topic,
    proof_topic,
    reply_topic,
)
from kiosk.mqtt import Acknowledged, Connected, MqttLink, Received
from kiosk.store_config import KeepSection, StoreConfig, load_store
from tests.board_parts import desk, store_toml, until
from tests.broker import STORE, broker
from tests.records_parts import DAY_S, NOW, PRIYA, SAM, arrival, snapshot

__all__ = ["broker"]
KEEP = KeepSection()
NAME = "Zerafina"


@pytest.fixture
def faults() -> list[str]:
    return []


@pytest.fixture
def records(tmp_path: Path, faults: list[str]) -> Iterator[Records]:
    with closing(Records(tmp_path / "records.db", faults.append)) as one:
        yield one
    assert faults == []


def life() -> list[Snapshot]:
    """An alert from its beginning to its end, as the unit says it."""
    opened = Entry(t_s=0, what="opened", who="button")
    seen, coming = Entry(t_s=1.5, what="seen", who="Priya"), Entry(t_s=8, what="coming", who="Priya")
    here, closed = Entry(t_s=40, what="here", who="Priya"), Entry(t_s=300, what="closed", who="Priya")
    grave = Entry(t_s=20, what="severity", who="grave")
    return [
        snapshot(0.0, revision=1, timeline=(opened,)),
        snapshot(1.6, revision=2, timeline=(opened, seen), seen=(PRIYA,)),
        snapshot(8.1, revision=3, state=State.COMING, timeline=(opened, seen, coming), name=NAME, choice=Choice.BREATHING),
        snapshot(21.0, revision=4, state=State.COMING, severity=Severity.GRAVE, tier=2, timeline=(opened, seen, coming, grave)),
        snapshot(40.2, revision=5, state=State.ATTENDED, severity=Severity.GRAVE, here=PRIYA, tier=2,
                 timeline=(opened, seen, coming, grave, here)),
        snapshot(300.3, revision=6, state=State.CLOSED, severity=Severity.GRAVE, tier=2, outcome=Outcome.REAL,
                 closed_by=PRIYA, timeline=(opened, seen, coming, grave, here, closed)),
    ]  # fmt: skip


def folded(said: list[Snapshot]) -> Kept:
    return reduce(fold, [kept_of(one, arrival(one).timestamp()) for one in said])


# --- folding ----------------------------------------------------------------------------------------------------------


def test_the_times_are_the_units_own() -> None:
    whole = folded(life())
    assert (whole.seen_s, whole.answer_s, whole.arrived_s, whole.closed_s) == (1.5, 8, 40, 300)
    assert (whole.severity, whole.tier, whole.outcome) == (Severity.GRAVE, 2, Outcome.REAL)
    assert (whole.attended_by, whole.closed_by, whole.opened_s, whole.live) == (PRIYA, PRIYA, NOW.timestamp(), True)


@given(st.lists(st.integers(0, 5), max_size=12), st.randoms(use_true_random=False))
def test_any_order_and_any_number_of_times_is_the_same(again: list[int], rng: random.Random) -> None:
    said = [*life(), *(life()[index] for index in again)]
    rng.shuffle(said)
    assert folded(said) == folded(life())


def test_only_the_last_one_is_known_and_says_it_all() -> None:
    """A board that was away gets the retained snapshot: the timeline tells what was missed."""
    last = life()[-1]
    whole = kept_of(last, (NOW + timedelta(days=2)).timestamp(), retained=True)
    assert (whole.seen_s, whole.answer_s, whole.arrived_s, whole.closed_s) == (1.5, 8, 40, 300)
    assert (whole.opened_s, whole.live) == (NOW.timestamp(), False)


@pytest.mark.parametrize("skew_h", [-14, -1, 3, 14])
def test_a_units_wrong_clock_moves_nothing(skew_h: int) -> None:
    wrong = snapshot(20.0, opened_at=NOW + timedelta(hours=skew_h))
    assert kept_of(wrong, arrival(wrong).timestamp()).opened_s == NOW.timestamp()


def test_a_machine_that_lost_its_clock_takes_the_units() -> None:
    assert kept_of(snapshot(5.0), 1000.0).opened_s == NOW.timestamp()


def test_a_measured_beginning_wins_over_one_that_slept() -> None:
    slept = kept_of(snapshot(5.0, opened_at=NOW - timedelta(hours=5)), NOW.timestamp() + 60, retained=True)
    measured = kept_of(snapshot(5.0), NOW.timestamp() + 5)
    assert fold(slept, measured).opened_s == fold(measured, slept).opened_s == NOW.timestamp()


def test_found_again_it_is_open_again() -> None:
    """A unit that lost its memory takes the incident back with a much higher revision."""
    closed = folded(life())
    back = snapshot(400.0, revision=10_006, severity=Severity.GRAVE, timeline=(Entry(t_s=400, what="found_again"),))
    both = fold(closed, kept_of(back, arrival(back).timestamp()))
    assert both.closed_s is None
    assert (both.answer_s, both.opened_s) == (8, NOW.timestamp())


def test_who_said_that_they_are_fine_needed_no_answer() -> None:
    fine = snapshot(
        9.0, state=State.CLOSED, severity=Severity.CHECK, trigger=Trigger.VOICE, outcome=Outcome.FALSE_ALARM
    )
    assert not kept_of(fine, NOW.timestamp()).unanswered
    nobody = snapshot(90.0, emergency=True)
    assert kept_of(nobody, NOW.timestamp()).unanswered


def test_who_looked_and_closed_a_check_has_answered() -> None:
    looked = snapshot(9.0, state=State.CLOSED, severity=Severity.CHECK, trigger=Trigger.VOICE, closed_by=SAM,
                      outcome=Outcome.FALSE_ALARM)  # fmt: skip
    assert kept_of(looked, NOW.timestamp()).answer_s == 9.0


# --- the file ---------------------------------------------------------------------------------------------------------


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_nothing_of_the_person_reaches_the_disk(records: Records, tmp_path: Path) -> None:
    told = (Entry(t_s=0, what="opened", who="button"), Entry(t_s=3, what="told_name", who=NAME))
    records.take_snapshot(snapshot(4.0, name=NAME, choice=Choice.BREATHING, timeline=told), NOW)
    assert NAME.encode() not in bytes_of(tmp_path)
    assert b"breathing" not in bytes_of(tmp_path)
    assert b"button" in bytes_of(tmp_path)


def test_the_same_twice_writes_nothing(records: Records) -> None:
    reply = CloseReply(reply_id="reply-0001", incident="one", responder="priya", outcome=Outcome.REAL, note="Sat down.")
    for one in life():
        records.take_snapshot(one, arrival(one))
    records.take_reply("desk-3", reply, NOW)
    before = records._db.total_changes
    for one in life():
        records.take_snapshot(one, arrival(one) + timedelta(seconds=3))
    records.take_reply("desk-3", reply, NOW + timedelta(seconds=3))
    assert records._db.total_changes == before
    assert records.note(records.incidents(0, NOW.timestamp() + 1)[0]) == "Sat down."
    assert [task.kind for task in records.tasks()] == ["call", "debrief"]


def test_a_note_of_somebody_who_did_not_close_it_is_not_its_note(records: Records) -> None:
    reply = CloseReply(reply_id="reply-0002", incident="one", responder="sam", outcome=Outcome.TEST, note="I was it.")
    records.take_reply("desk-3", reply, NOW)
    records.take_snapshot(life()[-1], NOW)
    kept = records.incident("desk-3", "one")
    assert kept is not None
    assert records.note(kept) == ""


def test_a_flood_of_answers_is_bounded(tmp_path: Path, faults: list[str]) -> None:
    with closing(Records(tmp_path / "records.db", faults.append)) as one:

        def flood() -> None:
            for number in range(REPLIES_MOST + 50):
                one.take_reply("desk-3", HereReply(reply_id=f"reply-{number:04}", incident="one", responder="sam"), NOW)

        one.together(flood)
        assert len(one.replies("desk-3", "one")) == REPLIES_MOST
    assert len(faults) == 1
    assert "floods" in faults[0]


def test_faults_have_a_beginning_and_an_end(records: Records) -> None:
    def status(*codes: str, state: UnitState = UnitState.FAULT, beat: int = 1) -> Status:
        wrong = tuple(Fault(code=code, where="microphone", says="It hears nothing.", do="Look.") for code in codes)
        return Status(store=STORE, unit="desk-3", place="Service desk 3", state=state, faults=wrong, beat=beat)

    for second, said in enumerate([status("deaf"), status("deaf", beat=2), status("deaf", "hot"), status("hot")]):
        records.take_status(said, NOW + timedelta(seconds=second))
    at = NOW.timestamp()
    found = {one.code: (one.from_s - at, one.to_s and one.to_s - at) for one in records.faults(0, at + 100)}
    assert found == {"deaf": (0, 3), "hot": (2, None)}
    records.take_status(status(state=UnitState.LOST), NOW + timedelta(seconds=10))
    records.take_status(status(state=UnitState.READY), NOW + timedelta(seconds=30))
    found = {one.code: (one.from_s - at, one.to_s and one.to_s - at) for one in records.faults(0, at + 100)}
    assert found == {"deaf": (0, 3), "hot": (2, 30), "unit_lost": (10, 30)}


def test_times_in_which_nobody_listens_name_nobody(records: Records, tmp_path: Path) -> None:
    def presence(*, listening: bool) -> Presence:
        return Presence(responder="priya", device="phone", name="Priya", tier=1, listening=listening)

    records.watch(NOW, connected=True)
    records.watch(NOW + timedelta(seconds=15), connected=True)
    records.take_presence(presence(listening=True), NOW + timedelta(seconds=20))
    records.watch(NOW + timedelta(seconds=30), connected=True)
    records.watch(NOW + timedelta(seconds=40), connected=False)
    at = NOW.timestamp()
    assert [(one.from_s - at, one.to_s - at) for one in records.spans("nobody", 0, at + 100)] == [(0, 20)]
    assert [(one.from_s - at, one.to_s - at) for one in records.spans("recording", 0, at + 100)] == [(0, 40)]
    assert b"priya" not in bytes_of(tmp_path).lower()


WRITER = """
import sys
from datetime import timedelta
from pathlib import Path
from kiosk.board.records import Records
from tests.records_parts import NOW, snapshot
records = Records(Path(sys.argv[1]), print)
for number in range(100000):
    records.take_snapshot(snapshot(1.0, id=f"i{number}"), NOW)
    print(number, flush=True)
"""


@pytest.mark.parts
def test_what_was_taken_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    with closing(Records(path, pytest.fail)) as records:
        found = {one.id for one in records.incidents(0, NOW.timestamp() + 1)}
    assert {f"i{int(line)}" for line in lines if line.endswith(b"\n")} <= found


def test_a_broken_file_is_put_aside_and_what_can_be_read_is_saved(tmp_path: Path, faults: list[str]) -> None:
    path = tmp_path / "records.db"
    with closing(Records(path, faults.append)) as records:
        records.take_snapshot(life()[-1], NOW)
    path.write_bytes(b"this is no database, and never was one. " * 100)
    with closing(Records(path, faults.append)) as records:
        records.take_snapshot(life()[0], NOW)
        assert len(records.incidents(0, NOW.timestamp() + 1)) == 1
    assert path.with_suffix(".broken").exists()
    assert len(faults) == 1
    assert "put aside" in faults[0] or "kept as records.broken" in faults[0]


def test_a_page_that_breaks_while_it_runs_loses_only_itself(tmp_path: Path, faults: list[str]) -> None:
    path = tmp_path / "records.db"
    with closing(Records(path, faults.append)) as records:
        for number in range(40):
            records.take_snapshot(snapshot(1.0, id=f"i{number}"), NOW)
        records.scrub()
    whole = bytearray(path.read_bytes())
    whole[:16] = b"SQLite format 3\0"
    middle = len(whole) // 2 // 4096 * 4096
    whole[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(whole)
    with closing(Records(path, faults.append)) as records:
        records.take_snapshot(snapshot(1.0, id="new"), NOW)
        assert records.incident("desk-3", "new") is not None
    assert all("\n" not in one for one in faults)


def test_a_disk_that_cannot_be_written_is_told_once_and_the_duty_goes_on(tmp_path: Path, faults: list[str]) -> None:
    with closing(Records(tmp_path / "no such folder" / "records.db", faults.append)) as records:
        records.take_snapshot(life()[0], NOW)
        assert records.incident("desk-3", "one") is not None
        assert records.troubles == faults
    assert len(faults) == 1
    assert "state_dir" in faults[0]


def test_a_disk_that_fills_up_takes_nothing_back(tmp_path: Path, faults: list[str]) -> None:
    with closing(Records(tmp_path / "records.db", faults.append)) as records:
        records.take_snapshot(snapshot(1.0, id="before"), NOW)
        pages = records._db.execute("PRAGMA page_count").fetchone()[0]
        records._db.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(200):
            records.take_snapshot(snapshot(1.0, id=f"i{number}"), NOW)
        assert len(records.incidents(0, NOW.timestamp() + 1)) == 201
    assert len(faults) == 1
    assert "full" in faults[0]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path, faults: list[str]) -> None:
    path = tmp_path / "records.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with closing(Records(path, faults.append)) as records:
        records.take_snapshot(life()[0], NOW)
    assert path.read_bytes() == before
    assert "newer Stayby" in faults[0]
    assert "disk" not in faults[0]


def test_drills_are_found_and_what_they_became(records: Records) -> None:
    asked = StartDrill(responder="priya", drill=f"drill-{'0' * 32}", scenario="grief")
    records.take_reply("desk-3", asked, NOW)
    for name, drill in (("ordinary", False), ("of the unit", True), (asked.drill, False)):
        records.take_snapshot(snapshot(1.0, id=name, drill=drill), NOW + timedelta(seconds=1))
    assert {one.id for one in records.drilled(0, NOW.timestamp() + 9)} == {"of the unit", asked.drill}


# --- the end of keeping -----------------------------------------------------------------------------------------------


def test_after_its_time_not_a_byte_is_left(records: Records, tmp_path: Path) -> None:
    helper = Person(id="helper", name=NAME)
    line = (Entry(t_s=0, what="opened", who="button"), Entry(t_s=9, what="here", who=NAME))
    note = f"{NAME} sat down and drank."
    for number in range(30):
        one = snapshot(30.0, id=f"i{number}", state=State.CLOSED, outcome=Outcome.REAL, closed_by=helper, timeline=line)
        records.take_snapshot(one, NOW)
        records.take_reply(
            "desk-3",
            CloseReply(
                reply_id=f"reply-{number:04}", incident=one.id, responder="helper", outcome=Outcome.REAL, note=note
            ),
            NOW,
        )
    task = records.tasks()[0]
    phone = "+44 113 496 0000"
    records.keep_task(task.model_copy(update={"contact": phone, "contact_at_s": NOW.timestamp()}))
    assert phone.encode() in bytes_of(tmp_path)

    records.forget(KEEP, NOW.timestamp() + (KEEP.contact_days + 1) * DAY_S)
    assert phone.encode() not in bytes_of(tmp_path)
    assert NAME.encode() in bytes_of(tmp_path)

    records.forget(KEEP, NOW.timestamp() + (KEEP.incident_days + 1) * DAY_S)
    assert NAME.encode() not in bytes_of(tmp_path)
    assert records.incidents(0, NOW.timestamp() + 1) == []
    assert records.tasks() == []


def test_what_is_not_over_stays(records: Records) -> None:
    records.take_snapshot(life()[-1], NOW)
    assert records.forget(KEEP, NOW.timestamp() + 80 * DAY_S) == 0
    assert records.incident("desk-3", "one") is not None


def test_a_broken_file_that_was_put_aside_goes_with_its_time(records: Records, tmp_path: Path) -> None:
    aside = tmp_path / "records.broken"
    aside.write_text(NAME)
    os.utime(aside, (NOW.timestamp(), NOW.timestamp()))
    records.forget(KEEP, NOW.timestamp() + 10 * DAY_S)
    assert aside.exists()
    records.forget(KEEP, NOW.timestamp() + 91 * DAY_S)
    assert not aside.exists()


# --- the recorder -----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, broker: PrivateBroker) -> StoreConfig:
    return load_store(store_toml(tmp_path, broker).read_text())


@pytest.mark.parts
def test_what_is_over_is_deleted_at_the_start_and_once_a_night(config: StoreConfig) -> None:
    with closing(open_records(config, pytest.fail)) as records:
        one = Recorder(config, records, lambda error: pytest.fail(repr(error)))
        one.close()
        night = (NOW + timedelta(days=2 * KEEP.incident_days)).astimezone(one._zone).replace(hour=3, minute=0)
        one._kept_house = None
        kept = []
        for hours in (-3.0, -2.5, -0.1, 0.1, 5.0, 23.0, 24.1):
            records.take_snapshot(life()[-1], NOW)
            one._keep_house(night.timestamp() + hours * 3600.0)
            kept.append(bool(records.incidents(0, NOW.timestamp() + 1)))
        assert kept == [False, True, True, False, True, True, False]


@pytest.mark.parts
def test_it_records_while_nobody_is_signed_in(config: StoreConfig, broker: PrivateBroker) -> None:
    died: list[BaseException] = []
    with closing(open_records(config, pytest.fail)) as records, closing(Recorder(config, records, died.append)) as one:
        until(lambda: not one.down)
        with desk(broker) as unit:
            unit.beat(1, last_proven=NOW)
            unit.say(revision=2)
            until(lambda: records.incident("desk-3", unit.incident))
            unit.send(incident_topic(STORE, "desk-3"), b'{"v": 1, "nonsense": "\xff"}')
            until(lambda: one.faults)
            unit.say(revision=3, state=State.CLOSED, outcome=Outcome.TEST, closed_by=PRIYA)
            until(lambda: getattr(records.incident("desk-3", unit.incident), "outcome", None) is Outcome.TEST)
        until(lambda: records.desks() and records.desks()[0].proven_s == NOW.timestamp())
        assert [line.count("\n") for line in one.faults.values()] == [0]
    assert died == []


@pytest.mark.parts
def test_it_answers_a_units_own_proof_that_is_made_now_and_no_other(config: StoreConfig, broker: PrivateBroker) -> None:
    heard: list[object] = []
    link = MqttLink(
        broker.section_for_unit("desk-3"), "proof", (proof_seen_topic(STORE, "desk-3"),), heard.append, heard.append
    )

    def seen() -> list[str]:
        return [parse_proof_seen(one.topic, one.payload).proof for one in heard if isinstance(one, Received)]

    def say(proof: str, unit: str = "desk-3", *, retain: bool = False) -> None:
        payload = Proof(store=STORE, unit=unit, proof=proof).model_dump_json().encode()
        until(lambda: link.publish(proof_topic(STORE, "desk-3"), payload, retain=retain))

    old, foreign, own = (f"proof-{digit * 16}" for digit in "abc")
    with closing(link):
        say(old, retain=True)
        until(lambda: any(isinstance(one, Acknowledged) for one in heard))
        with (
            closing(open_records(config, pytest.fail)) as records,
            closing(Recorder(config, records, heard.append)) as one,
        ):
            until(lambda: not one.down)
            say(foreign, unit="returns")
            until(lambda: one.faults)
            say(own)
            until(seen)
            assert seen() == [own]
            assert [line.count("\n") for line in one.faults.values()] == [0]


@pytest.mark.parts
def test_it_takes_up_again_after_the_broker_was_away(config: StoreConfig, broker: PrivateBroker) -> None:
    died: list[BaseException] = []
    with closing(open_records(config, pytest.fail)) as records, closing(Recorder(config, records, died.append)) as one:
        until(lambda: not one.down)
        broker.stop()
        until(lambda: one.down)
        broker.start()
        with desk(broker) as unit:
            unit.say()
            until(lambda: records.incident("desk-3", unit.incident))
    assert died == []


@pytest.mark.parts
def test_answers_and_drills_are_kept_as_their_people_sent_them(config: StoreConfig, broker: PrivateBroker) -> None:
    died: list[BaseException] = []
    name = f"drill-{'0' * 32}"
    heard: list[object] = []
    link = MqttLink(broker.section_for_responder("priya"), "test-priya", (), heard.append, died.append)
    with (
        closing(link),
        closing(open_records(config, pytest.fail)) as records,
        closing(Recorder(config, records, died.append)) as one,
    ):
        until(lambda: not one.down and any(isinstance(event, Connected) for event in heard))
        drill = StartDrill(responder="priya", drill=name, scenario=OPENING)
        close = CloseReply(reply_id="reply-0001", incident="one", responder="priya", outcome=Outcome.REAL, note="Well.")
        strange = close.model_copy(update={"responder": "sam", "reply_id": "reply-0002"})
        for said in (drill, close, close, strange):
            assert link.publish(reply_topic(STORE, "desk-3", "priya"), said.model_dump_json().encode()) is not None
        presence = Presence(responder="priya", device="phone", name="Priya", tier=1, listening=True)
        assert link.publish(presence_topic(STORE, "priya", "phone"), presence.model_dump_json().encode()) is not None
        until(lambda: one.faults)
        asked = until(lambda: records.drill(name))
        assert (asked.unit, asked.scenario, asked.by) == ("desk-3", OPENING, "priya")
        assert [(reply.responder, reply.note) for reply in records.replies("desk-3", "one")] == [("priya", "Well.")]
        assert "claims" in "".join(one.faults.values())
    assert died == []


@pytest.mark.parts
def test_two_boards_of_one_store_notice_each_other(config: StoreConfig, tmp_path: Path) -> None:
    elsewhere = config.model_copy(
        update={"store": config.store.model_copy(update={"state_dir": tmp_path / "elsewhere"})}
    )
    with (
        closing(open_records(config, pytest.fail)) as records,
        closing(open_records(elsewhere, pytest.fail)) as others,
        closing(Recorder(config, records, print)) as one,
    ):
        until(lambda: not one.down)
        assert one.rival_s is None
        with closing(Recorder(elsewhere, others, print)) as other:
            until(lambda: one.rival_s is not None and other.rival_s is not None)


def test_what_the_broker_kept_longer_than_we_may_is_not_taken_up_again() -> None:
    old = snapshot(30.0, state=State.CLOSED, opened_at=datetime.now(UTC) - timedelta(days=200))
    assert is_over(old, datetime.now(UTC), KEEP, retained=True)
    assert not is_over(old, datetime.now(UTC), KEEP, retained=False)
    assert not is_over(old.model_copy(update={"state": State.RAISED}), datetime.now(UTC), KEEP, retained=True)
    again = old.model_copy(update={"elapsed_s": 200 * DAY_S})
    assert is_over(again, datetime.now(UTC), KEEP, retained=False), "a unit says its last one at each connection"
    lost = old.model_copy(update={"opened_at": datetime(1970, 1, 1, tzinfo=UTC)})
    assert not is_over(lost, datetime.now(UTC), KEEP, retained=True), "a unit without a date"
