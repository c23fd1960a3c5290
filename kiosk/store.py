"""What must survive a power cut: the incident, what is still to be sent, the last presses, what was heard. One SQLite file.

WAL and synchronous=FULL: when a call returns, it is on disk. A file that cannot be read is put aside and a new one begun; a disk
that cannot be written makes the store go on in memory. Both are told to `on_fault` in one line, and neither stops the unit.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from firmware_bridge.events import PressId
from kiosk.black_box import BoxEvent
from kiosk.daily_proof import Kept, Played
from kiosk.incident import Incident
from kiosk.messages import Fault, State, one_line

SCHEMA = """
CREATE TABLE IF NOT EXISTS incident (slot INTEGER PRIMARY KEY CHECK (slot = 1), body TEXT, boot TEXT, at_s REAL, at_unix_s REAL);
CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, incident TEXT UNIQUE, payload BLOB);
CREATE TABLE IF NOT EXISTS known (number INTEGER PRIMARY KEY AUTOINCREMENT, incident TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS heard (number INTEGER PRIMARY KEY AUTOINCREMENT, phrase TEXT, score REAL, at_unix_s REAL);
CREATE TABLE IF NOT EXISTS paused (number INTEGER PRIMARY KEY AUTOINCREMENT, at_unix_s REAL);
CREATE TABLE IF NOT EXISTS drill (number INTEGER PRIMARY KEY AUTOINCREMENT, drill TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS proven (slot INTEGER PRIMARY KEY CHECK (slot = 1), at_unix_s REAL);
CREATE TABLE IF NOT EXISTS tried (slot INTEGER PRIMARY KEY CHECK (slot = 1), at_unix_s REAL);
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_unix_s REAL, kind TEXT, code TEXT, place TEXT, says TEXT
);
CREATE TABLE IF NOT EXISTS held (slot INTEGER PRIMARY KEY CHECK (slot = 1), covert INTEGER);
CREATE TABLE IF NOT EXISTS pause (slot INTEGER PRIMARY KEY CHECK (slot = 1), until_unix_s REAL);
CREATE TABLE IF NOT EXISTS self_proof (
    slot INTEGER PRIMARY KEY CHECK (slot = 1), since_unix_s REAL, passed_unix_s REAL, sound_unix_s REAL, missed TEXT
);
CREATE TABLE IF NOT EXISTS played (slot INTEGER PRIMARY KEY CHECK (slot = 1), boot TEXT, start_s REAL, end_s REAL, count INTEGER);
"""
PRESS_SCHEMA = """
CREATE TABLE press (
    number INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER, count INTEGER, input INTEGER NOT NULL DEFAULT 0,
    UNIQUE (boot, input, count)
)
"""
TABLES = (
    *("incident", "outbox", "known", "press", "heard", "pause", "paused", "drill", "proven", "held", "event"),
    *("self_proof", "played"),
)
PRESENT = frozenset({"incident", "outbox", "pause", "proven", "held", "self_proof", "played"})
"""Of these the latest word counts; the others are lists of what was."""
TAILS = ("", "-wal")
PRESSES_KEPT = 1024
"""One frame of the button may stand for 256 presses, and is acknowledged only when each of them is known."""
INCIDENTS_KNOWN = 200
DRILLS_KNOWN = 10_000
"""Two a day for more than ten years: what began a drill once begins none again."""
HEARD_KEPT = 20
HEARD_KEPT_S = 86400.0
PAUSES_KEPT = 20
EVENTS_KEPT = 1000
MAX_OFFLINE_S = 86400.0
"""A difference between two clocks beyond this is a wrong clock, not a long power cut."""


@dataclass(frozen=True)
class Clock:
    """One reading of the clocks: this boot's id, monotonic seconds, seconds since 1970."""

    boot: str
    now_s: float
    unix_s: float


@dataclass(frozen=True)
class Unsent:
    """A snapshot that no broker has acknowledged yet."""

    number: int
    topic: str
    payload: bytes


@dataclass(frozen=True)
class Heard:
    """A phrase that the ear reported: its id, how sure, and when (seconds since 1970)."""

    phrase: str
    score: float
    at_unix_s: float


class Store:
    """The unit's memory at `path`; times of a former boot are moved onto the present one by `load`.

    `on_fault(says)` is called once for each thing that is wrong.
    """

    def __init__(self, path: Path, on_fault: Callable[[str], None]) -> None:
        self._path, self._on_fault = path, on_fault
        self._in_memory = False
        try:
            self._db = self._connect(path)
        except sqlite3.Error as error:
            self._db = self._recover(error)

    @staticmethod
    def _connect(path: Path | str) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(SCHEMA)
            _make_press_table(database)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _recover(self, error: sqlite3.Error) -> sqlite3.Connection:
        """Save what can be read; put a broken file aside and begin anew, or go on in memory where that fails too."""
        rows = self._rescue()
        broken = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        database = self._begin_anew(error) if broken else None
        if database is None:
            self._on_fault(
                f"{self._path}: {error}; going on in memory, an open incident would not survive a power cut; "
                "check [unit] state_dir, free or replace the disk; it is tried again every ten minutes"
            )
            database = self._connect(":memory:")
            self._in_memory = True
        for table, row in rows:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            with contextlib.suppress(sqlite3.Error):  # a row that is damaged itself stays behind
                database.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - our own names
        return database

    def _begin_anew(self, error: sqlite3.Error) -> sqlite3.Connection | None:
        aside = self._path.with_suffix(".broken")
        with contextlib.suppress(OSError, sqlite3.Error):  # then the disk fails as well, and memory is what is left
            self._path.replace(aside)
            for tail in TAILS[1:]:
                Path(f"{self._path}{tail}").unlink(missing_ok=True)
            database = self._connect(self._path)
            self._on_fault(f"{self._path}: {error}; kept as {aside.name}, began a new one; look at the disk")
            return database
        return None

    def _rescue(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the rows that can still be read, by the first way that yields any; an older file has fewer columns."""
        for database in self._ways_to_read():
            with contextlib.closing(database):
                database.row_factory = sqlite3.Row
                rows: list[tuple[str, dict[str, Any]]] = []
                for table in TABLES:
                    with contextlib.suppress(sqlite3.Error):
                        rows += [(table, dict(row)) for row in database.execute(f"SELECT * FROM {table}")]  # noqa: S608 - our own names
                if rows:
                    return rows
        return []

    def _ways_to_read(self) -> Iterator[sqlite3.Connection]:
        """Yield the file read-only; a copy of it (a read-only disk hides the write-ahead log); the file without its log."""
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with contextlib.suppress(sqlite3.Error):
            yield sqlite3.connect(uri, uri=True)
        with contextlib.suppress(OSError, sqlite3.Error), tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            for tail in TAILS:
                if Path(f"{self._path}{tail}").exists():
                    shutil.copyfile(f"{self._path}{tail}", f"{copy}{tail}")
            yield sqlite3.connect(copy)
        with contextlib.suppress(sqlite3.Error):
            yield sqlite3.connect(f"{uri}&immutable=1", uri=True)

    def _start_over(self, error: sqlite3.Error) -> None:
        broken, self._db = self._db, self._recover(error)
        with contextlib.suppress(sqlite3.Error):  # whatever it still held is rescued or lost already
            broken.close()

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """Carry out all statements or none, on disk; on a disk that fails, in memory."""
        try:
            self._transact(statements)
        except sqlite3.Error as error:
            self._start_over(error)
            self._transact(statements)

    def _read(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._start_over(error)
            return self._db.execute(sql, values).fetchall()

    def _transact(self, statements: tuple[tuple[str, tuple[object, ...]], ...]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    # --- incident and outbox ------------------------------------------------------------------------------------------

    def save(self, incident: Incident, clock: Clock, outgoing: tuple[str, bytes] | None, press: PressId | None) -> None:
        """Keep `incident`, what is to be sent (topic, payload), and the press that caused it, all or none.

        An unsent older snapshot of the same incident is replaced: a reader needs the newest only.
        """
        body = incident.model_dump_json()
        statements: list[tuple[str, tuple[object, ...]]] = [
            ("INSERT OR REPLACE INTO incident VALUES (1, ?, ?, ?, ?)", (body, clock.boot, clock.now_s, clock.unix_s)),
            ("INSERT OR IGNORE INTO known (incident) VALUES (?)", (incident.id,)),
            ("DELETE FROM known WHERE number <= (SELECT max(number) FROM known) - ?", (INCIDENTS_KNOWN,)),
        ]
        if outgoing is not None:
            sql = "INSERT OR REPLACE INTO outbox (topic, incident, payload) VALUES (?, ?, ?)"
            statements.append((sql, (outgoing[0], incident.id, outgoing[1])))
        if press is not None:
            statements.append(("INSERT OR IGNORE INTO press (boot, input, count) VALUES (?, ?, ?)", press))
            statements.append(
                ("DELETE FROM press WHERE number <= (SELECT max(number) FROM press) - ?", (PRESSES_KEPT,))
            )
        self._write(*statements)

    def load(self, clock: Clock) -> Incident | None:
        """Return the incident that was saved last (it may be closed), its times moved onto `clock`; None without one."""
        rows = self._read("SELECT body, boot, at_s, at_unix_s FROM incident")
        if not rows:
            return None
        body, boot, at_s, at_unix_s = rows[0]
        try:
            incident = Incident.model_validate_json(body)
        except ValidationError as error:
            self._on_fault(f"{self._path}: the saved incident cannot be read ({one_line(error)}); starting without it")
            return None
        if boot == clock.boot:
            return incident
        away_s = clock.unix_s - at_unix_s
        return incident.shifted(clock.now_s - at_s - (away_s if 0 <= away_s <= MAX_OFFLINE_S else 0.0))

    def unsent(self) -> list[Unsent]:
        """Return what no broker has acknowledged, oldest first."""
        return [Unsent(*row) for row in self._read("SELECT number, topic, payload FROM outbox ORDER BY number")]

    def knows(self, incident_id: str) -> bool:
        """Return whether this is one of the newest incidents that were saved here, open or closed."""
        return (incident_id,) in self._read("SELECT incident FROM known")

    def sent(self, number: int) -> None:
        """Forget one: a broker acknowledged it."""
        self._write(("DELETE FROM outbox WHERE number = ?", (number,)))

    # --- drills -------------------------------------------------------------------------------------------------------

    def note_drill(self, drill: str) -> None:
        """Keep that this drill was begun."""
        self._write(
            ("INSERT OR IGNORE INTO drill (drill) VALUES (?)", (drill,)),
            ("DELETE FROM drill WHERE number <= (SELECT max(number) FROM drill) - ?", (DRILLS_KNOWN,)),
        )

    def knows_drill(self, drill: str) -> bool:
        """Return whether this drill was begun here before."""
        return bool(self._read("SELECT 1 FROM drill WHERE drill = ?", drill)) or self.knows(drill)

    def keep_proven(self, at_unix_s: float) -> None:
        """Keep when the opening press was answered last."""
        self._write(("INSERT OR REPLACE INTO proven VALUES (1, ?)", (at_unix_s,)))

    def proven(self) -> float | None:
        """Return when the opening press was answered last (seconds since 1970), if ever."""
        rows = self._read("SELECT at_unix_s FROM proven")
        return float(rows[0][0]) if rows else None

    def keep_proof(self, kept: Kept) -> None:
        """Keep what is known of the daily proofs."""
        missed = None if kept.missed is None else kept.missed.model_dump_json()
        row = (kept.since_unix_s, kept.passed_unix_s, kept.sound_unix_s, missed)
        self._write(("INSERT OR REPLACE INTO self_proof VALUES (1, ?, ?, ?, ?)", row))

    def proof(self) -> Kept | None:
        """Return what is known of the daily proofs; None before the first start, and where it is damaged."""
        rows = self._read("SELECT since_unix_s, passed_unix_s, sound_unix_s, missed FROM self_proof")
        try:
            since_s, passed_s, sound_s, missed = rows[0] if rows else (None, None, None, None)
            fault = None if missed is None else Fault.model_validate_json(missed)
            return None if since_s is None else Kept(float(since_s), _number(passed_s), _number(sound_s), fault)
        except (ValueError, TypeError) as error:
            self._on_fault(
                f"{self._path}: what was known of the daily proof cannot be read ({error}); run stayby prove"
            )
            return None

    def keep_played(self, boot: str, played: Played) -> None:
        """Keep that our own speaker is about to say the test phrase, so that another hub does not take it for a call."""
        row = (boot, played.start_s, played.end_s, played.left)
        self._write(("INSERT OR REPLACE INTO played VALUES (1, ?, ?, ?, ?)", row))

    def played(self, boot: str) -> Played | None:
        """Return when our own speaker last said the test phrase, if it was in this boot."""
        rows = self._read("SELECT start_s, end_s, count FROM played WHERE boot = ?", boot)
        return Played(*rows[0]) if rows else None

    def try_disk(self, now_unix_s: float) -> bool:
        """Write one row, so that a disk which can no longer be written is known before it is needed.

        Return whether a disk that could not be written works again and has taken over what was in memory.
        """
        came_back = self._in_memory and self._back_to_disk()
        self._write(("INSERT OR REPLACE INTO tried VALUES (1, ?)", (now_unix_s,)))
        return came_back and not self._in_memory

    def _back_to_disk(self) -> bool:
        """Carry what is in memory to the file, all of it or nothing; return whether it is there now."""
        try:
            database = self._connect(self._path)
        except sqlite3.Error:
            return False
        try:
            self._carry_to(database)
        except sqlite3.Error:
            database.close()
            return False
        self._db.close()
        self._db, self._in_memory = database, False
        return True

    def _carry_to(self, database: sqlite3.Connection) -> None:
        self._db.row_factory = sqlite3.Row
        rows = {table: self._db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 - our own names
        self._db.row_factory = None
        database.execute("BEGIN IMMEDIATE")
        for table, found in rows.items():
            if table in PRESENT:  # what is no longer in memory is over
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            for row in found:
                _add_once(database, table, dict(row))
        database.execute("COMMIT")

    # --- the button ---------------------------------------------------------------------------------------------------

    def keep_held(self, *, covert: bool | None) -> None:
        """Keep the press that a walk test holds, or None when it holds none."""
        if covert is None:
            self._write(("DELETE FROM held", ()))
        else:
            self._write(("INSERT OR REPLACE INTO held VALUES (1, ?)", (covert,)))

    def held(self) -> bool | None:
        """Return whether a press that was held is a covert one; None when none was."""
        rows = self._read("SELECT covert FROM held")
        return bool(rows[0][0]) if rows else None

    def presses(self) -> list[PressId]:
        """Return the presses that were taken, oldest first."""
        return [PressId(*row) for row in self._read("SELECT boot, input, count FROM press ORDER BY number")]

    # --- the ear ------------------------------------------------------------------------------------------------------

    def note_heard(self, heard: Heard) -> None:
        """Keep one phrase, and of the older ones the newest `HEARD_KEPT`."""
        self._write(
            (
                "INSERT INTO heard (phrase, score, at_unix_s) VALUES (?, ?, ?)",
                (heard.phrase, heard.score, heard.at_unix_s),
            ),
            ("DELETE FROM heard WHERE number <= (SELECT max(number) FROM heard) - ?", (HEARD_KEPT,)),
        )

    def heard(self) -> list[Heard]:
        """Return the phrases that are kept, newest first."""
        return [Heard(*row) for row in self._read("SELECT phrase, score, at_unix_s FROM heard ORDER BY number DESC")]

    def forget_heard(self, now_unix_s: float) -> None:
        """Forget what was heard more than a day ago, or more than a day ahead by a clock that was wrong."""
        self._write(("DELETE FROM heard WHERE abs(? - at_unix_s) > ?", (now_unix_s, HEARD_KEPT_S)))

    def keep_pause(self, until_unix_s: float | None, began_unix_s: float | None = None) -> None:
        """Keep until when the microphone is paused, and when that began; None when it is not."""
        if until_unix_s is None:
            self._write(("DELETE FROM pause", ()))
            return
        statements: list[tuple[str, tuple[object, ...]]] = [
            ("INSERT OR REPLACE INTO pause VALUES (1, ?)", (until_unix_s,))
        ]
        if began_unix_s is not None:
            statements.append(("INSERT INTO paused (at_unix_s) VALUES (?)", (began_unix_s,)))
            sql = "DELETE FROM paused WHERE number <= (SELECT max(number) FROM paused) - ?"
            statements.append((sql, (PAUSES_KEPT,)))
        self._write(*statements)

    def pauses(self, since_unix_s: float, now_unix_s: float) -> int:
        """Return how many pauses of the microphone began since then; none that a clock set back puts ahead of `now_unix_s`."""
        return sum(since_unix_s <= at_s <= now_unix_s for (at_s,) in self._read("SELECT at_unix_s FROM paused"))

    def paused_until(self) -> float | None:
        """Return until when the microphone is paused (seconds since 1970), if it is."""
        rows = self._read("SELECT until_unix_s FROM pause")
        return float(rows[0][0]) if rows else None

    # --- the black box ------------------------------------------------------------------------------------------------

    def note_events(self, events: Sequence[BoxEvent]) -> None:
        """Keep what happened, and of all of it the newest `EVENTS_KEPT`; nothing is written for nothing."""
        sql = "INSERT INTO event (at_unix_s, kind, code, place, says) VALUES (?, ?, ?, ?, ?)"
        if events:
            old = "DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?"
            self._write(*((sql, astuple(one)) for one in events), (old, (EVENTS_KEPT,)))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def kept_events(path: Path) -> list[BoxEvent]:
    """Return the black box in the store at `path`, oldest first, while a hub may be writing it; raise `sqlite3.Error`."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT at_unix_s, kind, code, place, says FROM event ORDER BY number").fetchall()
    return [BoxEvent(*row) for row in rows]


def _add_once(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """Add a row unless it is there. Its number is the file's to give, where it only says which was first."""
    if table not in PRESENT:
        row.pop("number", None)
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    same = " AND ".join(f"{name} IS ?" for name in row)
    sql = f"INSERT INTO {table} ({names}) SELECT {marks} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - our own names
    database.execute(sql, (*row.values(), *row.values()))


def _make_press_table(database: sqlite3.Connection) -> None:
    """Make the table of presses, or bring that of a version that knew one input to the present form: all or nothing."""
    columns = {row[1] for row in database.execute("PRAGMA table_info(press)")}
    if "input" in columns:
        return
    database.execute("BEGIN IMMEDIATE")
    if columns:
        database.execute("ALTER TABLE press RENAME TO press_of_one_input")
    database.execute(PRESS_SCHEMA)
    if columns:
        database.execute("INSERT INTO press (number, boot, count) SELECT number, boot, count FROM press_of_one_input")
        database.execute("DROP TABLE press_of_one_input")
    database.execute("COMMIT")


def _number(value: object) -> float | None:
    """Return a time as a disk gave it; raise `ValueError` for what is none."""
    return None if value is None else float(str(value))


def is_open(incident: Incident | None) -> bool:
    """Return whether `incident` still waits for somebody."""
    return incident is not None and incident.state is not State.CLOSED
