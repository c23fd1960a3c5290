"""The store: what was saved is there after kill -9, a full or broken disk is told and stops nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from firmware_bridge.events import PressId
from firmware_bridge.presses import PressBook
from firmware_bridge.protocol import PressReport
from kiosk.incident import Incident
from kiosk.messages import Severity, State, Trigger
from kiosk.store import DRILLS_KNOWN, HEARD_KEPT, HEARD_KEPT_S, PRESSES_KEPT, Clock, Heard, Store, is_open

NOW = Clock("boot-a", 1000.0, 1_700_000_000.0)
OPEN = Incident(
    id="one",
    revision=3,
    state=State.RAISED,
    severity=Severity.ALERT,
    trigger=Trigger.BUTTON,
    opened_s=990.0,
    escalate_due_s=1020.0,
)


@pytest.fixture
def said() -> list[str]:
    return []


def make(path: Path, said: list[str]) -> Store:
    return Store(path, said.append)


def test_what_was_saved_is_there_again(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    store.save(OPEN, NOW, ("a/b", b"payload"), PressId(7, 1, 1))
    store.close()
    again = make(tmp_path / "state.db", said)
    assert again.load(NOW) == OPEN
    assert is_open(again.load(NOW))
    assert [(row.topic, row.payload) for row in again.unsent()] == [("a/b", b"payload")]
    assert again.presses() == [PressId(7, 1, 1)]
    again.close()
    assert not said


def test_a_newer_snapshot_replaces_an_unsent_older_one_of_the_same_incident(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    store.save(OPEN, NOW, ("a", b"1"), None)
    [first] = store.unsent()
    store.save(OPEN, NOW, ("a", b"2"), None)
    store.save(OPEN.model_copy(update={"id": "two"}), NOW, ("a", b"3"), None)
    assert [row.payload for row in store.unsent()] == [b"2", b"3"]
    store.sent(first.number)
    assert [row.payload for row in store.unsent()] == [b"2", b"3"], (
        "an acknowledgement of the old one must not lose the new one"
    )
    store.close()


def test_only_the_newest_presses_are_kept(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    for count in range(PRESSES_KEPT + 20):
        store.save(OPEN, NOW, None, PressId(1, 0, count))
    assert store.presses() == [PressId(1, 0, count) for count in range(20, PRESSES_KEPT + 20)]
    store.close()


def test_a_drill_that_began_is_known_for_ever_and_so_is_the_last_proof(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    assert (store.proven(), store.knows_drill("drill-1")) == (None, False)
    store.note_drill("drill-1")
    store.note_drill("drill-1")
    store.keep_proven(1000.0)
    store.keep_proven(2000.0)
    store.save(OPEN, NOW, None, None)
    store.close()
    again = make(tmp_path / "state.db", said)
    assert (again.proven(), again.knows_drill("drill-1"), again.knows_drill("drill-2")) == (2000.0, True, False)
    assert again.knows_drill(OPEN.id), "no drill takes the id of an incident"
    again._write(*[("INSERT INTO drill (drill) VALUES (?)", (f"old-{number}",)) for number in range(DRILLS_KNOWN)])
    again.note_drill("drill-3")
    assert (again.knows_drill("drill-1"), again.knows_drill("drill-3")) == (False, True), "but the file stays small"
    again.close()
    assert not said


def test_only_the_newest_phrases_are_kept_newest_first_and_none_for_long(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    for second in range(HEARD_KEPT + 5):
        store.note_heard(Heard("help", 2.0, NOW.unix_s + second))
    assert [one.at_unix_s - NOW.unix_s for one in store.heard()] == [24 - at for at in range(HEARD_KEPT)]
    store.close()
    again = make(tmp_path / "state.db", said)
    assert again.heard()[0] == Heard("help", 2.0, NOW.unix_s + HEARD_KEPT + 4)
    again.forget_heard(NOW.unix_s + HEARD_KEPT_S + 20)
    assert len(again.heard()) == 5
    again.forget_heard(NOW.unix_s - HEARD_KEPT_S)
    assert again.heard() == []
    again.close()


def test_a_pause_is_kept_until_it_is_over(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    assert store.paused_until() is None
    store.keep_pause(5.0)
    store.keep_pause(7.0)
    store.close()
    again = make(tmp_path / "state.db", said)
    assert again.paused_until() == 7.0
    again.keep_pause(None)
    assert again.paused_until() is None
    again.close()


def test_a_hub_that_starts_again_knows_every_press_of_one_frame(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    frame = PressReport(7, 7, 256, 255, 0, 0)
    for press in PressBook().report(frame, 1):
        store.save(OPEN, NOW, None, press)
    assert PressBook(store.presses()).report(frame, 1) == []
    store.close()


def test_closed_incidents_stay_known_for_a_while(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    for number in range(210):
        store.save(OPEN.model_copy(update={"id": f"number-{number}"}), NOW, None, None)
    assert [store.knows(f"number-{number}") for number in (9, 10, 209)] == [False, True, True]
    store.close()


@pytest.mark.parametrize(
    ("away_s", "shift_s"),
    [(60.0, 5.0 - 1000.0 - 60.0), (-3600.0, 5.0 - 1000.0), (1e9, 5.0 - 1000.0)],
    ids=["a minute without power", "a clock that went back", "a clock that leapt"],
)
def test_after_a_reboot_times_move_onto_the_new_clock(
    tmp_path: Path, said: list[str], away_s: float, shift_s: float
) -> None:
    store = make(tmp_path / "state.db", said)
    store.save(OPEN, NOW, None, None)
    loaded = store.load(Clock("boot-b", 5.0, NOW.unix_s + away_s))
    assert loaded == OPEN.shifted(shift_s)
    store.close()


def test_a_broken_file_is_put_aside_and_told(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database, but it is long enough to look at" * 100)
    store = make(path, said)
    store.save(OPEN, NOW, None, None)
    store.close()
    assert len(said) == 1
    assert "state.broken" in said[0]
    again = make(path, said)
    assert again.load(NOW) == OPEN
    again.close()


def test_an_unreadable_incident_is_told_and_skipped(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    store.save(OPEN, NOW, None, None)
    store.close()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("UPDATE incident SET body = '{}'")
    database.close()
    store = make(tmp_path / "state.db", said)
    assert store.load(NOW) is None
    assert len(said) == 1
    store.close()


def test_a_folder_that_is_not_there_leaves_memory_and_a_fault(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "missing" / "state.db", said)
    store.save(OPEN, NOW, ("a", b"1"), None)
    assert store.load(NOW) == OPEN
    assert len(said) == 1
    assert "state_dir" in said[0]
    store.close()


def test_a_disk_that_fails_later_leaves_memory_and_a_fault(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    store.save(OPEN, NOW, ("a", b"1"), PressId(1, 0, 1))
    store._db.execute("PRAGMA query_only=ON")  # from here on every write fails, as on a disk that went read-only
    store.save(OPEN.model_copy(update={"revision": 4}), NOW, ("a", b"2"), PressId(1, 0, 2))
    assert len(said) == 1
    assert store.presses() == [(1, 0, 1), (1, 0, 2)]
    assert [row.payload for row in store.unsent()] == [b"2"]
    assert store.load(NOW) == OPEN.model_copy(update={"revision": 4})
    store.close()


def test_a_disk_that_works_again_takes_over_what_was_in_memory(tmp_path: Path, said: list[str]) -> None:
    path, later = tmp_path / "state.db", OPEN.model_copy(update={"revision": 4})
    store = make(path, said)
    store.save(OPEN, NOW, ("a", b"1"), PressId(1, 0, 1))
    store.note_heard(Heard("help", 5.0, 1.0))
    store._db.execute("PRAGMA query_only=ON")
    store.save(later, NOW, ("a", b"2"), PressId(1, 0, 2))
    store.note_heard(Heard("ambulance", 6.0, 2.0))
    [unsent] = store.unsent()
    assert store.try_disk(3.0)
    assert store.unsent() == [unsent], "its number is known to whoever sent it"
    store.close()
    again = make(path, said)
    assert again.load(NOW) == later
    assert again.presses() == [(1, 0, 1), (1, 0, 2)]
    assert [one.phrase for one in again.heard()] == ["ambulance", "help"]
    assert not again.try_disk(4.0), "it never was in memory"
    again.close()


def test_what_was_sent_meanwhile_is_not_sent_again_by_the_disk(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "state.db", said)
    store.save(OPEN, NOW, ("a", b"1"), None)
    store._db.execute("PRAGMA query_only=ON")
    store.sent(store.unsent()[0].number)
    assert store.try_disk(3.0)
    assert store.unsent() == []
    store.close()


def test_a_disk_that_still_fails_leaves_memory(tmp_path: Path, said: list[str]) -> None:
    store = make(tmp_path / "missing" / "state.db", said)
    store.save(OPEN, NOW, ("a", b"1"), None)
    assert not store.try_disk(3.0)
    assert store.load(NOW) == OPEN
    (tmp_path / "missing").mkdir()
    assert store.try_disk(4.0)
    assert store.load(NOW) == OPEN
    assert len(said) == 1
    store.close()


WRITER = """
import sys
from pathlib import Path
from kiosk.store import PRESSES_KEPT, Clock, Store
from tests.test_store import NOW, OPEN, PressId
store = Store(Path(sys.argv[1]), print)
for revision in range(1, 100000):
    store.save(OPEN.model_copy(update={"revision": revision}), NOW, ("a", str(revision).encode()), PressId(1, 0, revision))
    print(revision, flush=True)
"""


READER = """
import os, resource, sys
from pathlib import Path
from kiosk.store import Store
from tests.test_store import NOW, OPEN, PressId
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
store = Store(Path(sys.argv[1]), print)
print(store.load(NOW) == OPEN, [tuple(press) for press in store.presses()], [row.payload for row in store.unsent()])
"""


def test_a_disk_that_went_read_only_still_gives_the_open_incident(said: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make(folder / "state.db", said)
        store.save(OPEN, NOW, ("a", b"1"), PressId(1, 0, 1))  # it lies in the write-ahead log, as after a power cut
        (folder / "card").mkdir()
        for tail in ("", "-wal"):
            copy = folder / "card" / f"state.db{tail}"
            copy.write_bytes((folder / f"state.db{tail}").read_bytes())
            copy.chmod(0o444)
        store.close()
        (folder / "card").chmod(0o555)
        folder.chmod(0o755)
        done = _python(READER, folder / "card" / "state.db")
        (folder / "card").chmod(0o755)
    *faults, found = done.splitlines()
    assert found == "True [(1, 0, 1)] [b'1']"
    assert len(faults) == 1
    assert "state_dir" in faults[0]


FILLED = """
import resource, sys
from pathlib import Path
from kiosk.store import Store
from tests.test_store import NOW, OPEN, PressId
store = Store(Path(sys.argv[1]), print)
store.save(OPEN, NOW, ("a", b"1"), PressId(1, 0, 1))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
store.save(OPEN.model_copy(update={"id": "two"}), NOW, ("a", b"2"), PressId(1, 0, 2))
print(store.load(NOW).id, [tuple(press) for press in store.presses()], [row.payload for row in store.unsent()])
"""


def test_a_disk_that_is_full_loses_nothing_that_was_there(tmp_path: Path) -> None:
    *faults, found = _python(FILLED, tmp_path / "state.db").splitlines()
    assert found == "two [(1, 0, 1), (1, 0, 2)] [b'1', b'2']"
    assert len(faults) == 1


def _python(code: str, path: Path) -> str:
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, cwd="/", env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_damaged_page_is_put_aside_and_what_can_be_read_is_kept(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "state.db"
    store = make(path, said)
    store.save(OPEN, NOW, ("a", b"1"), PressId(1, 0, 1))
    store.close()
    with sqlite3.connect(path) as database:
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'press'").fetchone()
    database.close()
    raw = bytearray(path.read_bytes())
    raw[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(raw)
    again = make(path, said)
    assert again.presses() == []
    assert again.load(NOW) == OPEN
    again.close()
    assert (tmp_path / "state.broken").exists()
    assert len(said) == 1


@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_9_loses_nothing_that_was_said_to_be_kept(tmp_path: Path, said: list[str], after: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "state.db")]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as writer:
        assert writer.stdout is not None
        for _ in range(after):
            kept = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        kept = max([kept, *[int(line) for line in writer.stdout.read().split()]])
    store = make(tmp_path / "state.db", said)
    incident = store.load(NOW)
    assert incident is not None
    assert incident.revision >= kept
    assert store.unsent()[0].payload == str(incident.revision).encode()
    assert store.presses()[-1] == PressId(1, 0, incident.revision)
    store.close()
    assert not said


ONE_INPUT = """
CREATE TABLE press (number INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER, count INTEGER, UNIQUE (boot, count));
INSERT INTO press (number, boot, count) VALUES (5, 4294967295, 65535), (6, 7, 1);
"""
OLD_PRESSES = [PressId(4294967295, 0, 65535), PressId(7, 0, 1)]


def _old_file(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.executescript(ONE_INPUT)
    database.close()


def test_a_file_of_one_input_is_brought_to_two(tmp_path: Path, said: list[str]) -> None:
    _old_file(tmp_path / "state.db")
    store = make(tmp_path / "state.db", said)
    assert store.presses() == OLD_PRESSES
    store.save(OPEN, NOW, None, PressId(7, 1, 1))
    store.save(OPEN, NOW, None, PressId(7, 0, 1))
    store.close()
    again = make(tmp_path / "state.db", said)
    assert again.presses() == [*OLD_PRESSES, PressId(7, 1, 1)], "the same count of the other input is another press"
    again.close()
    assert not said


def test_a_file_of_one_input_on_a_disk_that_went_read_only_is_still_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _old_file(folder / "state.db")
        (folder / "state.db").chmod(0o444)
        folder.chmod(0o555)
        *faults, found = _python(READER, folder / "state.db").splitlines()
        folder.chmod(0o755)
    assert found == "False [(4294967295, 0, 65535), (7, 0, 1)] []"
    assert len(faults) == 1
