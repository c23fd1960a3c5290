"""What is kept of a store's incidents: one SQLite file, written as it happens, and really emptied when its time is over.

WAL and synchronous=FULL: when a call returns, it is on disk. A file that cannot be read is put aside and a new one begun with
what could be saved; a disk that cannot be written makes the records go on in memory. Both are told to `on_fault` in one line.
What is deleted is overwritten (`secure_delete`), the file is written anew and the log cut. May be called from any thread.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from kiosk.board.afterwards import Task, tasks_of, without_contact
from kiosk.board.drills import Asked
from kiosk.board.kept import Kept, fold, kept_of
from kiosk.messages import CloseReply, Presence, Record, Reply, Snapshot, StartDrill, Status, UnitState, one_line
from kiosk.store_config import KeepSection

MIGRATIONS = (
    """
    CREATE TABLE incident (unit TEXT, id TEXT, opened_s REAL, body TEXT, PRIMARY KEY (unit, id));
    CREATE INDEX incident_by_time ON incident (opened_s);
    CREATE TABLE reply (
        reply_id TEXT PRIMARY KEY, unit TEXT, incident TEXT, responder TEXT, kind TEXT, at_s REAL, outcome TEXT, note TEXT
    );
    CREATE INDEX reply_by_incident ON reply (unit, incident);
    CREATE TABLE fault (
        unit TEXT, code TEXT, place TEXT, says TEXT, from_s REAL, to_s REAL, PRIMARY KEY (unit, code, from_s)
    );
    CREATE TABLE desk (unit TEXT PRIMARY KEY, place TEXT, proven_s REAL, opening INTEGER);
    CREATE TABLE drill (id TEXT PRIMARY KEY, at_s REAL, body TEXT);
    CREATE TABLE task (key TEXT PRIMARY KEY, unit TEXT, incident TEXT, ready_s REAL, contact_at_s REAL, body TEXT);
    CREATE TABLE span (kind TEXT, from_s REAL, to_s REAL, PRIMARY KEY (kind, from_s));
    CREATE TABLE week (week TEXT PRIMARY KEY, body TEXT);
    """,
)
TABLES = ("incident", "reply", "fault", "desk", "drill", "task", "span", "week")
TAILS = ("", "-wal", "-shm")
DAY_S = 86400.0
REPLIES_MOST = 500
"""Replies kept of one incident: more than people can touch."""
STRAY_REPLY_S = 2 * DAY_S
"""A reply to an incident that never came is kept so long."""
LOST = "unit_lost"
DISK_ADVICE = "; check [store] state_dir, free or replace the disk, then restart the board"


ALERTS = """SELECT unit, count(*) FROM incident WHERE opened_s >= ? AND NOT coalesce(json_extract(body, '$.drill'), 0)
    AND NOT coalesce(json_extract(body, '$.covert'), 0)
    AND NOT (json_extract(body, '$.trigger') = 'touch' AND json_extract(body, '$.severity') = 'check') GROUP BY unit"""
"""How many alerts each unit had: no drills, no requests for a person, and nothing covert, which no list of units may tell."""


class NewerFile(sqlite3.OperationalError):
    """A later version of this program wrote the file."""


class FaultKept(NamedTuple):
    """One fault of a unit: from when to when (seconds since 1970; None while it lasts)."""

    unit: str
    code: str
    place: str
    says: str
    from_s: float
    to_s: float | None


class DeskKept(NamedTuple):
    """A desk as it was last heard: when a press there was last proven to reach a human, and whether it waits for one now."""

    unit: str
    place: str
    proven_s: float | None
    opening: bool


class ReplyKept(NamedTuple):
    """One answer of a responder."""

    reply_id: str
    unit: str
    incident: str
    responder: str
    kind: str
    at_s: float
    outcome: str | None
    note: str


class SpanKept(NamedTuple):
    """A time in which something was so: `recording`, or `nobody` listened."""

    kind: str
    from_s: float
    to_s: float


class Records:
    """The file at `path`. `on_fault(says)` is called once for each thing that is wrong; `troubles` keeps them."""

    def __init__(self, path: Path, on_fault: Callable[[str], None]) -> None:
        self._path, self._tell = path, on_fault
        self.troubles: list[str] = []
        self._lock = threading.RLock()
        self._depth = 0
        self._told: set[str] = set()
        self._spans: dict[str, float] = {}
        self._listening: set[tuple[str, str]] = set()
        self.self_proven_s: dict[str, float] = {}
        """When each desk last proved itself, as it says in its retained status: not kept here."""
        try:
            self._db = _connect(path)
            self._remember()
        except sqlite3.Error as error:
            self._db = self._recover(error)
            self._remember()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # --- the file -----------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        """Read what is compared with each status."""
        self._faults = {
            (row.unit, row.code): row
            for row in map(FaultKept._make, self._all("SELECT * FROM fault WHERE to_s IS NULL"))
        }
        self._desks = {
            row[0]: DeskKept(row[0], row[1], row[2], bool(row[3])) for row in self._all("SELECT * FROM desk")
        }

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._all(sql, values)
            except sqlite3.Error as error:
                self._start_over(error)
                return self._all(sql, values)

    def together(self, work: Callable[[], None]) -> None:
        """Carry out all that `work` takes in one transaction, on disk when this returns; on a disk that fails, in memory."""
        with self._lock:
            if self._depth:
                work()
                return
            try:
                self._transact(work)
            except sqlite3.Error as error:
                self._start_over(error)
                self._transact(work)

    def _transact(self, work: Callable[[], None]) -> None:
        self._depth += 1
        try:
            self._db.execute("BEGIN IMMEDIATE")
            work()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    def _start_over(self, error: sqlite3.Error) -> None:
        broken, self._db = self._db, self._recover(error)
        with contextlib.suppress(sqlite3.Error):  # whatever it still held is rescued or lost already
            broken.close()
        self._remember()

    def _recover(self, error: sqlite3.Error) -> sqlite3.Connection:
        rows = self._rescue()
        broken = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        database = self._begin_anew(error) if broken else None
        if database is None:
            advice = "" if isinstance(error, NewerFile) else DISK_ADVICE
            self._on_fault(f"{self._path}: {error}; records go on in memory and are lost when the board stops{advice}")
            database = _connect(":memory:")
        for table, row in rows:
            marks = ", ".join("?" * len(row))
            with contextlib.suppress(sqlite3.Error):  # a row that is damaged itself stays behind
                database.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)  # noqa: S608 - our own names
        return database

    def _begin_anew(self, error: sqlite3.Error) -> sqlite3.Connection | None:
        aside = self._path.with_suffix(".broken")
        with contextlib.suppress(OSError, sqlite3.Error):  # then the disk fails as well, and memory is what is left
            self._path.replace(aside)
            for tail in TAILS[1:]:
                Path(f"{self._path}{tail}").unlink(missing_ok=True)
            database = _connect(self._path)
            self._on_fault(f"{self._path}: {error}; kept as {aside.name}, began a new one; look at the disk")
            return database
        return None

    def _rescue(self) -> list[tuple[str, tuple[Any, ...]]]:
        rows: list[tuple[str, tuple[Any, ...]]] = []
        with contextlib.suppress(sqlite3.Error):
            database = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(database):
                for table in TABLES:
                    with contextlib.suppress(sqlite3.Error):
                        rows += [(table, row) for row in database.execute(f"SELECT * FROM {table}")]  # noqa: S608 - our own names
        return rows

    def _on_fault(self, says: str) -> None:
        self.troubles.append(says)
        self._tell(says)

    def _once(self, says: str) -> None:
        if says not in self._told:
            self._told.add(says)
            self._on_fault(says)

    # --- what arrives -------------------------------------------------------------------------------------------------

    def take_snapshot(self, snapshot: Snapshot, utc: datetime, *, retained: bool = False) -> None:
        """Take a snapshot; in any order, and any number of times. `retained`: it slept at the broker."""
        new = kept_of(snapshot, utc.timestamp(), retained=retained)
        self.together(lambda: self._fold(new))

    def _fold(self, new: Kept) -> None:
        before = self.incident(new.unit, new.id)
        after = fold(before, new)
        if after == before:
            return
        sql = "INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?)"
        self._db.execute(sql, (after.unit, after.id, after.opened_s, after.model_dump_json(exclude_defaults=True)))
        for task in tasks_of(after):
            self._db.execute("INSERT OR IGNORE INTO task VALUES (?, ?, ?, ?, ?, ?)", _task_row(task))

    def take_reply(self, unit: str, reply: Reply | StartDrill, utc: datetime) -> None:
        """Take an answer of a responder, or the drill that they began; the same one twice is one."""
        self.together(lambda: self._take_reply(unit, reply, utc.timestamp()))

    def _take_reply(self, unit: str, reply: Reply | StartDrill, at_s: float) -> None:
        if isinstance(reply, StartDrill):
            asked = Asked(drill=reply.drill, unit=unit, scenario=reply.scenario, by=reply.responder, at_s=at_s)
            self._db.execute(
                "INSERT OR IGNORE INTO drill VALUES (?, ?, ?)", (asked.drill, at_s, asked.model_dump_json())
            )
            return
        many = self._db.execute("SELECT count(*) FROM reply WHERE unit = ? AND incident = ?", (unit, reply.incident))
        if many.fetchone()[0] >= REPLIES_MOST:
            self._once(
                f"{reply.responder} and others sent over {REPLIES_MOST} answers to one alert at {unit}; see who floods"
            )
            return
        outcome, note = (reply.outcome.value, reply.note) if isinstance(reply, CloseReply) else (None, "")
        row = ReplyKept(reply.reply_id, unit, reply.incident, reply.responder, reply.kind, at_s, outcome, note)
        self._db.execute("INSERT OR IGNORE INTO reply VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def take_status(self, status: Status, utc: datetime) -> None:
        """Take how a unit is: which faults began, and which are over."""
        now_s = utc.timestamp()
        if status.self_proven is not None:
            self.self_proven_s[status.unit] = status.self_proven.timestamp()
        desk = _desk_of(status, self._desks.get(status.unit))
        said = {one.code: f"{one.where}: {one.says}" for one in status.faults}
        if status.state is UnitState.LOST:
            known = {code for unit, code in self._faults if unit == status.unit}
            said = {**dict.fromkeys(known, ""), LOST: "The desk does not report. Look at its power and its network."}
        ended = [row for key, row in self._faults.items() if key[0] == status.unit and key[1] not in said]
        begun = [
            FaultKept(status.unit, code, status.place, says, now_s, None)
            for code, says in said.items()
            if (status.unit, code) not in self._faults
        ]
        if ended or begun or desk != self._desks.get(status.unit):
            self.together(lambda: self._note_faults(ended, begun, desk, now_s))

    def _note_faults(self, ended: list[FaultKept], begun: list[FaultKept], desk: DeskKept, now_s: float) -> None:
        for row in ended:
            values = (max(now_s, row.from_s), row.unit, row.code, row.from_s)
            self._db.execute("UPDATE fault SET to_s = ? WHERE unit = ? AND code = ? AND from_s = ?", values)
            self._faults.pop((row.unit, row.code), None)
        for row in begun:
            self._db.execute("INSERT OR REPLACE INTO fault VALUES (?, ?, ?, ?, ?, ?)", row)
            self._faults[row.unit, row.code] = row
        self._db.execute("INSERT OR REPLACE INTO desk VALUES (?, ?, ?, ?)", desk)
        self._desks[desk.unit] = desk

    def take_presence(self, presence: Presence, utc: datetime) -> None:
        """Take who listens: kept are only the times in which nobody did, and no name."""
        with self._lock:
            if not presence.listening:
                self._listening.discard((presence.responder, presence.device))
                return
            self._listening.add((presence.responder, presence.device))
            self._mark("nobody", utc.timestamp(), on=False)

    def watch(self, utc: datetime, *, connected: bool) -> None:
        """Say, some times a minute, whether the board hears its store: what was not recorded is not called quiet."""
        with self._lock:
            if not connected:
                self._listening.clear()
            self._mark("recording", utc.timestamp(), on=connected)
            self._mark("nobody", utc.timestamp(), on=connected and not self._listening)

    def _mark(self, kind: str, now_s: float, *, on: bool) -> None:
        """Let a span grow to now, or end it now; one that nobody ended has ended where it last grew."""
        since_s = self._spans.get(kind)
        if on:
            since_s = self._spans.setdefault(kind, now_s)
        elif since_s is not None:
            del self._spans[kind]
        if since_s is not None:
            row = (kind, since_s, max(now_s, since_s))
            self.together(lambda: self._put("INSERT OR REPLACE INTO span VALUES (?, ?, ?)", row))

    def _put(self, sql: str, row: Sequence[object]) -> None:
        self._db.execute(sql, row)

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _bodies(self, kind: type[Any], sql: str, values: Sequence[object] = ()) -> list[Any]:
        found = []
        for (body,) in self._read(sql, values):
            try:
                found.append(kind.model_validate_json(body))
            except ValidationError as error:
                self._once(f"{self._path}: one record cannot be read ({one_line(error)}); left out")
        return found

    def incident(self, unit: str, incident_id: str) -> Kept | None:
        """Return one incident."""
        sql = "SELECT body FROM incident WHERE unit = ? AND id = ?"
        return next(iter(self._bodies(Kept, sql, (unit, incident_id))), None)

    def incidents_named(self, incident_id: str) -> list[Kept]:
        """Return the incidents with this id; ids of two units may be the same."""
        return self._bodies(Kept, "SELECT body FROM incident WHERE id = ? ORDER BY unit", (incident_id,))

    def incidents(self, from_s: float, to_s: float) -> list[Kept]:
        """Return the incidents that opened in this time, the oldest first; drills among them."""
        sql = "SELECT body FROM incident WHERE opened_s >= ? AND opened_s < ? ORDER BY opened_s, unit, id"
        return self._bodies(Kept, sql, (from_s, to_s))

    def drilled(self, from_s: float, to_s: float) -> list[Kept]:
        """Return the drills that opened in this time, and what began as one and became real; the oldest first."""
        sql = """SELECT body FROM incident WHERE opened_s >= ? AND opened_s < ?
            AND (json_extract(body, '$.drill') OR id IN (SELECT id FROM drill)) ORDER BY opened_s, unit, id"""
        return self._bodies(Kept, sql, (from_s, to_s))

    def alerts(self, from_s: float) -> dict[str, int]:
        """Return how many alerts each unit had since then; silent ones are not counted."""
        return dict(self._read(ALERTS, (from_s,)))

    def oldest_s(self) -> float | None:
        """Return when the oldest kept incident opened."""
        return self._read("SELECT min(opened_s) FROM incident")[0][0]  # type: ignore[no-any-return]  # sqlite3 is untyped

    def replies(self, unit: str, incident_id: str) -> list[ReplyKept]:
        """Return the answers to an incident, the oldest first."""
        sql = "SELECT * FROM reply WHERE unit = ? AND incident = ? ORDER BY at_s, reply_id"
        return [ReplyKept(*row) for row in self._read(sql, (unit, incident_id))]

    def note(self, kept: Kept) -> str:
        """Return the line that was written as the incident was closed, by who closed it."""
        if kept.closed_by is None:
            return ""
        said = [one for one in self.replies(kept.unit, kept.id) if one.kind == "close" and one.note]
        return next((one.note for one in reversed(said) if one.responder == kept.closed_by.id), "")

    def faults(self, from_s: float, to_s: float) -> list[FaultKept]:
        """Return the faults that were there in this time."""
        sql = "SELECT * FROM fault WHERE from_s < ? AND (to_s IS NULL OR to_s > ?) ORDER BY from_s, unit, code"
        return [FaultKept(*row) for row in self._read(sql, (to_s, from_s))]

    def spans(self, kind: str, from_s: float, to_s: float) -> list[SpanKept]:
        """Return the spans of a kind that touch this time."""
        sql = "SELECT * FROM span WHERE kind = ? AND from_s < ? AND to_s > ? ORDER BY from_s"
        return [SpanKept(*row) for row in self._read(sql, (kind, to_s, from_s))]

    def desks(self) -> list[DeskKept]:
        """Return every desk that was heard of, by place."""
        with self._lock:
            return sorted(self._desks.values(), key=lambda one: (one.place, one.unit))

    # --- drills -------------------------------------------------------------------------------------------------------

    def drills_asked(self, from_s: float, to_s: float) -> list[Asked]:
        """Return the drills that somebody began in this time, the newest first."""
        return self._bodies(
            Asked, "SELECT body FROM drill WHERE at_s >= ? AND at_s < ? ORDER BY at_s DESC", (from_s, to_s)
        )

    def drill(self, drill_id: str) -> Asked | None:
        """Return the drill that somebody began."""
        return next(iter(self._bodies(Asked, "SELECT body FROM drill WHERE id = ?", (drill_id,))), None)

    def keep_drill(self, asked: Asked) -> None:
        """Keep a drill as its leader scored it."""
        row = (asked.drill, asked.at_s, asked.model_dump_json())
        self.together(lambda: self._put("INSERT OR REPLACE INTO drill VALUES (?, ?, ?)", row))

    # --- tasks --------------------------------------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        """Return every task, the oldest first, an incident's call before its debriefs."""
        found = self._bodies(Task, "SELECT body FROM task")
        return sorted(found, key=lambda one: (one.ready_s, one.unit, one.kind, one.who))

    def task(self, key: str) -> Task | None:
        """Return one task."""
        return next(iter(self._bodies(Task, "SELECT body FROM task WHERE key = ?", (key,))), None)

    def keep_task(self, task: Task) -> None:
        """Keep a task as a person left it."""
        row = _task_row(task)
        self.together(lambda: self._put("INSERT OR REPLACE INTO task VALUES (?, ?, ?, ?, ?, ?)", row))

    # --- weeks --------------------------------------------------------------------------------------------------------

    def keep_week(self, week: str, figures: Record) -> None:
        """Keep the figures of a week, which name nobody."""
        row = (week, figures.model_dump_json())
        self.together(lambda: self._put("INSERT OR REPLACE INTO week VALUES (?, ?)", row))

    def week(self, week: str) -> str | None:
        """Return the figures of a week as they were kept (JSON), or None."""
        return next((body for (body,) in self._read("SELECT body FROM week WHERE week = ?", (week,))), None)

    def weeks(self) -> list[str]:
        """Return the weeks of which figures are kept, the oldest first."""
        return [week for (week,) in self._read("SELECT week FROM week ORDER BY week")]

    # --- the end of keeping -------------------------------------------------------------------------------------------

    def forget(self, keep: KeepSection, now_s: float) -> int:
        """Delete what is over its time, so that the file holds none of its bytes; return how many rows went."""
        gone = 0

        def delete() -> None:
            nonlocal gone
            gone = self._delete(keep, now_s)

        self.together(delete)
        if gone:
            self.scrub()
        self._forget_aside(now_s - keep.incident_days * DAY_S)
        return gone

    def _delete(self, keep: KeepSection, now_s: float) -> int:
        cut_s = now_s - keep.incident_days * DAY_S
        before = self._db.total_changes
        run = self._db.execute
        run("DELETE FROM incident WHERE opened_s < ?", (cut_s,))
        strays = "DELETE FROM reply WHERE at_s < ? AND (unit, incident) NOT IN (SELECT unit, id FROM incident)"
        run(strays, (now_s - STRAY_REPLY_S,))
        run("DELETE FROM task WHERE (unit, incident) NOT IN (SELECT unit, id FROM incident)")
        run("DELETE FROM drill WHERE at_s < ?", (cut_s,))
        run("DELETE FROM fault WHERE to_s < ?", (cut_s,))
        run("DELETE FROM span WHERE to_s < ?", (cut_s,))
        run(
            "DELETE FROM week WHERE week NOT IN (SELECT week FROM week ORDER BY week DESC LIMIT ?)",
            (keep.report_weeks,),
        )
        over = [one for one in self.tasks() if _contact_is_over(one, now_s - keep.contact_days * DAY_S)]
        for task in over:
            run("INSERT OR REPLACE INTO task VALUES (?, ?, ?, ?, ?, ?)", _task_row(without_contact(task)))
        return self._db.total_changes - before

    def scrub(self) -> None:
        """Write the file anew without what was deleted, and cut the log."""
        with self._lock:
            try:
                self._db.execute("VACUUM")
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                self._once(
                    f"{self._path}: what was deleted may still be in the file ({error}); free the disk, restart the board"
                )
                return
        if busy:
            self._once(f"{self._path}: another program reads it, so the log cannot be cut; close that program")

    def _forget_aside(self, cut_s: float) -> None:
        """A broken file that was put aside holds names as well."""
        aside = self._path.with_suffix(".broken")
        with contextlib.suppress(FileNotFoundError):
            if aside.stat().st_mtime < cut_s:
                aside.unlink()


def peek(path: Path, from_s: float) -> tuple[dict[str, int], dict[str, float | None]]:
    """Return, of a file that another process writes, each unit's alerts since then, and when each was proven.

    Raises `sqlite3.Error` where it cannot be read; it is never changed.
    """
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return dict(database.execute(ALERTS, (from_s,))), dict(database.execute("SELECT unit, proven_s FROM desk"))


def _connect(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY"):
            database.execute(f"PRAGMA {pragma}")
        _migrate(database)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise NewerFile(f"a newer Stayby wrote it (version {version}); update this board, or move it away")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def _desk_of(status: Status, before: DeskKept | None) -> DeskKept:
    proven_s = status.last_proven.timestamp() if status.last_proven else before.proven_s if before else None
    return DeskKept(status.unit, status.place, proven_s, status.opening)


def _task_row(task: Task) -> tuple[object, ...]:
    return (task.key, task.unit, task.incident, task.ready_s, task.contact_at_s, task.model_dump_json())


def _contact_is_over(task: Task, cut_s: float) -> bool:
    return task.contact_at_s is not None and task.contact_at_s < cut_s
