"""What must survive a power cut: the incident, what is still to be sent, and the last press. One SQLite file.

WAL and synchronous=FULL: when a call returns, it is on disk. A file that cannot be read is put aside and a new one begun; a disk
that cannot be written makes the store go on in memory. Both are told to `on_fault` in one line, and neither stops the unit.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kiosk.incident import Incident
from kiosk.messages import State, one_line

SCHEMA = """
CREATE TABLE IF NOT EXISTS incident (slot INTEGER PRIMARY KEY CHECK (slot = 1), body TEXT, boot TEXT, at_s REAL, at_unix_s REAL);
CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, incident TEXT UNIQUE, payload BLOB);
CREATE TABLE IF NOT EXISTS press (number INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER, count INTEGER, UNIQUE (boot, count));
"""
PRESSES_KEPT = 64
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


class Store:
    """The unit's memory. `open_clock` is the present; times of a former boot are moved onto it.

    `on_fault(says)` is called once for each thing that is wrong.
    """

    def __init__(self, path: Path, on_fault: Callable[[str], None]) -> None:
        self._path, self._on_fault = path, on_fault
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect(self._path)
        except sqlite3.DatabaseError as error:
            return self._reopen(error)

    @staticmethod
    def _connect(path: Path | str) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _reopen(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Begin anew beside a broken file; go on in memory where that fails too."""
        aside = self._path.with_suffix(".broken")
        if not isinstance(error, sqlite3.OperationalError):
            with contextlib.suppress(OSError, sqlite3.Error):
                self._path.replace(aside)
                for tail in ("-wal", "-shm"):
                    Path(f"{self._path}{tail}").unlink(missing_ok=True)
                database = self._connect(self._path)
                self._on_fault(f"{self._path}: {error}; kept as {aside.name}, began a new one; look at the disk")
                return database
        self._on_fault(
            f"{self._path}: {error}; an open incident would not survive a power cut; check [unit] state_dir and the disk"
        )
        return self._connect(":memory:")

    def _fall_to_memory(self, error: sqlite3.Error) -> None:
        self._on_fault(
            f"{self._path}: {error}; going on in memory only; free or replace the disk, then restart stayby-alertd"
        )
        memory = self._connect(":memory:")
        with contextlib.suppress(
            sqlite3.Error
        ):  # a disk that cannot even be read leaves us with what comes from now on
            for table, columns in (("incident", "*"), ("outbox", "*"), ("press", "*")):
                for row in self._db.execute(f"SELECT {columns} FROM {table}").fetchall():  # noqa: S608 - our own constants
                    memory.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)  # noqa: S608 - our own constants
        self._db.close()
        self._db = memory

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """Carry out all statements or none, on disk; on a disk that fails, in memory."""
        try:
            self._transact(statements)
        except sqlite3.Error as error:
            self._fall_to_memory(error)
            self._transact(statements)

    def _read(self, sql: str) -> list[Any]:
        try:
            return self._db.execute(sql).fetchall()
        except sqlite3.Error as error:
            self._fall_to_memory(error)
            return self._db.execute(sql).fetchall()

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

    def save(
        self, incident: Incident, clock: Clock, outgoing: tuple[str, bytes] | None, press: tuple[int, int] | None
    ) -> None:
        """Keep `incident`, what is to be sent (topic, payload), and the press that caused it, all or none.

        An unsent older snapshot of the same incident is replaced: a reader needs the newest only.
        """
        body = incident.model_dump_json()
        statements: list[tuple[str, tuple[object, ...]]] = [
            ("INSERT OR REPLACE INTO incident VALUES (1, ?, ?, ?, ?)", (body, clock.boot, clock.now_s, clock.unix_s))
        ]
        if outgoing is not None:
            sql = "INSERT OR REPLACE INTO outbox (topic, incident, payload) VALUES (?, ?, ?)"
            statements.append((sql, (outgoing[0], incident.id, outgoing[1])))
        if press is not None:
            statements.append(("INSERT OR IGNORE INTO press (boot, count) VALUES (?, ?)", press))
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

    def sent(self, number: int) -> None:
        """Forget one: a broker acknowledged it."""
        self._write(("DELETE FROM outbox WHERE number = ?", (number,)))

    # --- the button ---------------------------------------------------------------------------------------------------

    def presses(self) -> list[tuple[int, int]]:
        """Return the presses that were taken, oldest first: (boot id of the button, count)."""
        return [(boot, count) for boot, count in self._read("SELECT boot, count FROM press ORDER BY number")]

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def is_open(incident: Incident | None) -> bool:
    """Return whether `incident` still waits for somebody."""
    return incident is not None and incident.state is not State.CLOSED
