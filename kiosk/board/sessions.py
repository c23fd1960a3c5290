"""Who is signed in on which device, who is invited, and who guessed wrong: the board's own memory, in one SQLite file.

Only digests of what a browser or a link carries are kept. Another process (`stayby store invite`) may write beside the board.
Times are seconds since 1970, since they must hold through a restart; a clock that was set back makes no wait longer than it was.
A file that cannot be used is told to `on_fault` in one line, and the board goes on: everybody signs in again.
"""

import contextlib
import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kiosk.messages import Id

Kind = Literal["pin", "phone"]
Why = Literal["idle", "ended"]

FILE = "sessions.sqlite3"
TAILS = ("-wal", "-shm")
SECRET_BYTES = 32
CODE_BYTES = 24
INVITATION_S = 24 * 3600.0
LASTS_S: dict[Kind, float] = {"pin": 16 * 3600.0, "phone": 90 * 24 * 3600.0}
"""A PIN is for a shift on the store's own device; an invitation for one's own phone."""
SEEN_EVERY_S = 60.0
FREE_TRIES = {"staff": 5, "here": 5, "from": 15, "all": 50}
"""So many wrong PINs cost no wait: of one person from anywhere new, or at one address that is known; from one address, since
several people share a store's device; of one person altogether."""
PLACE_S = 30 * 24 * 3600.0
"""An address is known for so long after somebody signed in there by a PIN."""
WAIT_FIRST_S, WAIT_MOST_S = 60.0, 3600.0
FORGET_TRIES_S = 24 * 3600.0
ASIDE_S = 14 * 24 * 3600.0
"""A broken file is kept aside for so long: it says who signed in from where."""
BUSY_S, BUSY_EACH_S = 5.0, 0.02
"""How long to wait for another program that has the file, and how often to look."""
WORDS_KEPT = 200
WHYS_KEPT = 200

SCHEMA = """
CREATE TABLE IF NOT EXISTS session (
    digest TEXT PRIMARY KEY, staff TEXT NOT NULL, kind TEXT NOT NULL, mark TEXT NOT NULL, device TEXT NOT NULL,
    address TEXT NOT NULL, began_unix_s REAL NOT NULL, seen_unix_s REAL NOT NULL, ends_unix_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS invitation (digest TEXT PRIMARY KEY, staff TEXT NOT NULL, ends_unix_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS place (address TEXT PRIMARY KEY, last_unix_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS wrong (what TEXT PRIMARY KEY, times INTEGER NOT NULL, last_unix_s REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One device on which somebody is signed in. `mark` stands for the PIN in force then, `device` is what it says of itself."""

    digest: str
    staff: Id
    kind: Kind
    mark: str
    device: str
    address: str
    began_unix_s: float
    seen_unix_s: float
    ends_unix_s: float


@dataclass(frozen=True, slots=True)
class Guesses:
    """Wrong PINs of one person (`staff:sam`) or from one address (`from:10.0.0.7`), and how long the wait still is."""

    what: str
    times: int
    wait_s: float


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def wait_after_s(what: str, times: int) -> float:
    """Return the wait after so many wrong tries: none at first, then a minute, doubling up to an hour."""
    over = times - FREE_TRIES[what.partition(":")[0]]
    return 0.0 if over < 0 else min(WAIT_MOST_S, WAIT_FIRST_S * 2.0 ** min(over, 10))


class Sessions:
    """See the module; `clock` gives the seconds since 1970."""

    def __init__(self, folder: Path, on_fault: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        self._clock, self._on_fault = clock, on_fault
        self._why: dict[str, Why] = {}
        self._path = folder / FILE
        self._on_disk = True
        self._db = self._open(self._path)
        self.forget_aside()

    def forget_aside(self) -> None:
        """Delete a broken file that was put aside long ago."""
        aside = self._path.with_suffix(".broken")
        with contextlib.suppress(OSError):  # there is none, or the folder cannot be used, which is told already
            if self._clock() - aside.stat().st_mtime > ASIDE_S:
                aside.unlink()

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            return _connect(path)
        except sqlite3.DatabaseError as error:
            return self._begin_anew(path, error) if _is_broken(error) else self._in_memory(str(error))
        except OSError as error:
            return self._in_memory(error.strerror or str(error))

    def _in_memory(self, why: str) -> sqlite3.Connection:
        self._on_disk = False
        self._on_fault(_in_memory(self._path, why))
        return _connect(":memory:")

    def _begin_anew(self, path: Path, error: sqlite3.Error) -> sqlite3.Connection:
        try:
            path.replace(path.with_suffix(".broken"))
            for tail in TAILS:
                Path(f"{path}{tail}").unlink(missing_ok=True)
            path.touch(mode=0o600)
            database = _connect(path)
        except (OSError, sqlite3.Error):
            return self._in_memory(str(error))
        self._on_fault(f"{path}: {error}; kept as {path.stem}.broken, began a new one; everybody signs in again")
        return database

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, query: str, facts: tuple[object, ...] = ()) -> list[Any]:
        """Read or write; a file that turns out to be broken is begun anew, or nobody could sign in any more.

        On a disk that takes nothing more, go on in memory with all that is known.
        """
        try:
            return self._db.execute(query, facts).fetchall()
        except sqlite3.DatabaseError as error:
            before = self._db
            if _is_broken(error):
                self._db = self._begin_anew(self._path, error)
            elif isinstance(error, sqlite3.OperationalError):
                self._db = self._in_memory(str(error))
                with contextlib.suppress(sqlite3.Error):  # a disk that cannot be read either: everybody signs in again
                    before.backup(self._db)
            else:
                raise
            before.close()
            return self._db.execute(query, facts).fetchall()

    def make_sure(self) -> None:
        """See that what was just ended does not come back at a restart: a file that takes no writes goes as a whole."""
        if self._on_disk:
            return
        try:
            for tail in ("", *TAILS):
                Path(f"{self._path}{tail}").unlink(missing_ok=True)
        except OSError as error:
            self._on_fault(
                f"{self._path}: {error.strerror}; who was signed out now is in again after a restart; delete it"
            )

    # --- sessions -----------------------------------------------------------------------------------------------------

    def begin(self, staff: Id, kind: Kind, *, mark: str, device: str, address: str) -> str:
        """Sign somebody in on a device; return the secret that its browser keeps."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        self.forget_aside()
        self._run(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (digest(secret), staff, kind, mark, device[:WORDS_KEPT], address, now, now, now + LASTS_S[kind]),
        )
        return secret

    def find(self, secret: str) -> Session | None:
        """Return the session of a browser that shows this secret, if it still holds; note that it was seen."""
        return self.look(digest(secret)) if secret else None

    def look(self, key: str) -> Session | None:
        """Return the session with this digest, if it still holds."""
        rows = self._run("SELECT * FROM session WHERE digest = ?", (key,))
        session = Session(*rows[0]) if rows else None
        now = self._clock()
        if session is None or now >= session.ends_unix_s:
            return None
        if abs(now - session.seen_unix_s) > SEEN_EVERY_S:
            self._run("UPDATE session SET seen_unix_s = ? WHERE digest = ?", (now, key))
        return session

    def end(self, key: str, why: Why = "ended") -> None:
        """Sign one device out; `why_ended` tells that browser why, as long as the board runs."""
        self._why = {**dict(list(self._why.items())[-WHYS_KEPT:]), key: why}
        self._run("DELETE FROM session WHERE digest = ?", (key,))

    def end_all(self, staff: Id) -> None:
        """Sign one person out everywhere."""
        self._run("DELETE FROM session WHERE staff = ?", (staff,))

    def why_ended(self, secret: str) -> Why | None:
        """Return why a browser that shows this secret is not signed in any more; None when it never was, or by its own wish."""
        return self._why.get(digest(secret), "ended") if secret else None

    def all(self) -> list[Session]:
        """Return who is signed in, by person, the device that was seen last first; forget what is over."""
        self._run("DELETE FROM session WHERE ends_unix_s <= ?", (self._clock(),))
        return [Session(*row) for row in self._run("SELECT * FROM session ORDER BY staff, seen_unix_s DESC")]

    def age_s(self, session: Session) -> float:
        """Return how long ago a device was seen."""
        return max(0.0, self._clock() - session.seen_unix_s)

    def left_s(self, session: Session) -> float:
        """Return how long a device stays signed in still."""
        return session.ends_unix_s - self._clock()

    # --- invitations --------------------------------------------------------------------------------------------------

    def invite(self, staff: Id) -> str:
        """Return a code that signs this person in once, within a day, on their own phone."""
        code, now = secrets.token_urlsafe(CODE_BYTES), self._clock()
        self._run("DELETE FROM invitation WHERE ends_unix_s <= ?", (now,))
        self._run("INSERT INTO invitation VALUES (?, ?, ?)", (digest(code), staff, now + INVITATION_S))
        return code

    def invited(self, code: str) -> Id | None:
        """Return whom a code is for, if it still holds; a look does not use it up."""
        query = "SELECT staff FROM invitation WHERE digest = ? AND ends_unix_s > ?"
        rows = self._run(query, (digest(code), self._clock()))
        return str(rows[0][0]) if rows else None

    def use_invitation(self, code: str) -> Id | None:
        """Return whom a code is for, and use it up."""
        query = "DELETE FROM invitation WHERE digest = ? AND ends_unix_s > ? RETURNING staff"
        rows = self._run(query, (digest(code), self._clock()))
        return str(rows[0][0]) if rows else None

    def uninvite(self, staff: Id) -> None:
        """Take back every invitation of one person."""
        self._run("DELETE FROM invitation WHERE staff = ?", (staff,))

    # --- guesses ------------------------------------------------------------------------------------------------------

    def whats(self, staff: str, address: str) -> tuple[str, ...]:
        """Return what a try counts for. Who guesses from elsewhere does not lock out the store's own devices."""
        rows = self._run("SELECT last_unix_s FROM place WHERE address = ?", (address,))
        known = bool(rows) and abs(self._clock() - rows[0][0]) <= PLACE_S
        return f"here:{staff}@{address}" if known else f"staff:{staff}", f"from:{address}", f"all:{staff}"

    def note_place(self, address: str) -> None:
        """Somebody signed in at this address by a PIN."""
        now = self._clock()
        self._run("DELETE FROM place WHERE abs(? - last_unix_s) > ?", (now, PLACE_S))
        self._run("INSERT OR REPLACE INTO place VALUES (?, ?)", (address, now))

    def wait_s(self, whats: Iterable[str]) -> float:
        """Return how long nobody may try a PIN for any of these (`staff:…`, `from:…`)."""
        return max((one.wait_s for one in self.guesses() if one.what in set(whats)), default=0.0)

    def count_try(self, whats: Iterable[str]) -> None:
        """Count a try as wrong, before it is looked at: many at once are still many. `forgive` takes a right one back."""
        query = (
            "INSERT INTO wrong VALUES (?, 1, ?) "
            "ON CONFLICT (what) DO UPDATE SET times = times + 1, last_unix_s = excluded.last_unix_s"
        )
        for what in whats:
            self._run(query, (what, self._clock()))

    def forgive(self, whats: Iterable[str]) -> None:
        """Forget the wrong tries: the PIN was right."""
        for what in whats:
            self._run("DELETE FROM wrong WHERE what = ?", (what,))

    def guesses(self) -> list[Guesses]:
        """Return the wrong tries of the last day, the longest wait first."""
        now = self._clock()
        self._run("DELETE FROM wrong WHERE ? - last_unix_s > ?", (now, FORGET_TRIES_S))
        found = []
        for what, times, last_unix_s in self._run("SELECT what, times, last_unix_s FROM wrong"):
            whole_s = wait_after_s(what, times)
            found.append(Guesses(what, times, min(whole_s, max(0.0, last_unix_s + whole_s - now))))
        return sorted(found, key=lambda one: (-one.wait_s, one.what))


def _is_broken(error: sqlite3.Error) -> bool:
    """Return whether the file itself is no database any more, and not the disk or the question."""
    return type(error) is sqlite3.DatabaseError


def _connect(path: Path | str) -> sqlite3.Connection:
    """Open the file. Who opens it at the same moment (`stayby store invite`) is waited for: SQLite itself does not, here."""
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            return _connect_once(path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(BUSY_EACH_S)


def _connect_once(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _in_memory(path: Path, why: str) -> str:
    return f"{path}: {why}; a restart of the board will sign everybody out; check [store] state_dir and the disk"


def invite(folder: Path, staff: Id) -> str:
    """Return an invitation's code, written beside a running board; raises `OSError` when its memory cannot be written."""
    faults: list[str] = []
    fresh = not (folder / FILE).exists()
    with contextlib.closing(Sessions(folder, faults.append)) as sessions:
        code = sessions.invite(staff)
    if faults:
        raise OSError(faults[0])
    if fresh and os.geteuid() == 0:  # whoever runs the board must be able to write it
        owner = folder.stat()
        os.chown(folder / FILE, owner.st_uid, owner.st_gid)
    return code
