"""What secondary ways are still to be told, and what they know: one SQLite file that outlives kill -9.

WAL and synchronous=FULL: when a call returns, it is on disk. A file that cannot be read is put aside and a new one begun; a disk
that cannot be written makes it go on in memory. Both are told to `on_fault` in one line. No way has more than `WAITING_MOST`
notices waiting, none older than `WAITING_MOST_S`.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kiosk.relay.notice import Facts, Notice

WAITING_MOST = 1000
WAITING_MOST_S = 24 * 3600.0
RETRY_MOST_S = 300.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS told (audience TEXT, unit TEXT, body TEXT, PRIMARY KEY (audience, unit));
CREATE TABLE IF NOT EXISTS announced (topic TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, way TEXT, incident TEXT, body TEXT, at_unix_s REAL, due_unix_s REAL,
    tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS heads ON outbox (way, incident, number);
"""
NEXT = """
SELECT number, body, tries FROM outbox AS one WHERE way = :way AND (due_unix_s <= :now OR due_unix_s > :now + :most)
AND number = (SELECT min(number) FROM outbox WHERE way = :way AND incident = one.incident) ORDER BY number LIMIT 1
"""
"""The first of an incident that is due; a time further off than any pause is a clock that was set back."""
TOO_MANY = """
DELETE FROM outbox WHERE way = ? AND number NOT IN (SELECT number FROM outbox WHERE way = ? ORDER BY number DESC LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that one way is still to be told, and how often that failed."""

    number: int
    way: str
    notice: Notice
    tries: int


class Outbox:
    """The relay's memory at `path`. Times are seconds since 1970 and handed in."""

    def __init__(self, path: Path, on_fault: Callable[[str], None]) -> None:
        self._path, self._on_fault = path, on_fault
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                with contextlib.suppress(OSError, sqlite3.Error):  # then the disk fails as well, and memory is left
                    self._path.replace(self._path.with_suffix(".broken"))
                    database = _connect(self._path)
                    self._on_fault(f"{self._path}: {error}; put aside as .broken, began a new one; look at the disk")
                    return database
            return self._in_memory(error)

    def _in_memory(self, error: sqlite3.Error) -> sqlite3.Connection:
        self._on_fault(
            f"{self._path}: {error}; going on in memory, what waits here would not survive a restart; check "
            "[relay] state_dir, free or replace the disk, then restart stayby-relay"
        )
        return _connect(":memory:")

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> int:
        """Carry out all or none, on disk; on a disk that fails, in memory. Return how many rows the last one touched."""
        try:
            return self._transact(statements)
        except sqlite3.Error as error:
            self._db.close()
            self._db = self._in_memory(error)
            return self._transact(statements)

    def _transact(self, statements: Iterable[tuple[str, tuple[object, ...]]]) -> int:
        rows = 0
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for sql, values in statements:
                rows = self._db.execute(sql, values).rowcount
        return rows

    # --- what is known and what waits ---------------------------------------------------------------------------------

    def told(self) -> dict[tuple[str, str], Facts]:
        """Return what each audience was last told of each unit."""
        found = {}
        for audience, unit, body in self._db.execute("SELECT audience, unit, body FROM told"):
            with contextlib.suppress(ValidationError):  # of another version: it is told anew
                found[audience, unit] = Facts.model_validate_json(body)
        return found

    def take(self, audience: str, facts: Facts, notices: Iterable[tuple[str, Notice]], now_unix_s: float) -> None:
        """Keep what an audience knows from now on, and the notices (way, notice) that say so: all or none."""
        known = ("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (audience, facts.unit, facts.model_dump_json()))
        sql = "INSERT INTO outbox (way, incident, body, at_unix_s, due_unix_s) VALUES (?, ?, ?, ?, ?)"
        rows = [(sql, (way, one.facts.incident, one.model_dump_json(), now_unix_s, now_unix_s)) for way, one in notices]
        self._write(known, *rows)

    def next_due(self, way: str, now_unix_s: float) -> Waiting | None:
        """Return what a way is to be told now: of an incident always the oldest first."""
        row = self._db.execute(NEXT, {"way": way, "now": now_unix_s, "most": RETRY_MOST_S}).fetchone()
        if row is None:
            return None
        try:
            return Waiting(row[0], way, Notice.model_validate_json(row[1]), row[2])
        except ValidationError as error:
            self._on_fault(f"{self._path}: a notice of another version cannot be read ({error.title}); dropped")
            self.done(row[0])
            return None

    def waiting(self) -> dict[str, int]:
        """Return how much waits for each way."""
        return dict(self._db.execute("SELECT way, count(*) FROM outbox GROUP BY way"))

    def done(self, number: int) -> None:
        """Forget one: its way was told."""
        self._write(("DELETE FROM outbox WHERE number = ?", (number,)))

    def again(self, number: int, due_unix_s: float) -> None:
        """Put one off: its way could not be told."""
        self._write(("UPDATE outbox SET due_unix_s = ?, tries = tries + 1 WHERE number = ?", (due_unix_s, number)))

    def drop_old(self, ways: Iterable[str], now_unix_s: float) -> int:
        """Drop what nobody needs to be told any more, or no way is there for; return how many notices that were."""
        ways = list(ways)
        old = self._write(("DELETE FROM outbox WHERE abs(? - at_unix_s) > ?", (now_unix_s, WAITING_MOST_S)))
        marks = ", ".join("?" * len(ways))
        old += self._write((f"DELETE FROM outbox WHERE way NOT IN ({marks})", tuple(ways)))  # noqa: S608 - marks only
        return old + sum(self._write((TOO_MANY, (way, way, WAITING_MOST))) for way in ways)

    # --- what Home Assistant was given --------------------------------------------------------------------------------

    def announced(self) -> set[str]:
        """Return the topics under which Home Assistant holds something of ours."""
        return {topic for (topic,) in self._db.execute("SELECT topic FROM announced")}

    def announce(self, topics: Iterable[str]) -> None:
        """Keep that these topics hold something of ours from now on."""
        self._write(*(("INSERT OR IGNORE INTO announced VALUES (?)", (topic,)) for topic in topics))

    def withdraw(self, topic: str) -> None:
        """Forget a topic that was emptied."""
        self._write(("DELETE FROM announced WHERE topic = ?", (topic,)))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


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
