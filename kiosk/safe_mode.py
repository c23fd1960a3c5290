"""Safe mode: what only starts and dies stays down, and hub, button and broker go on. Two small files in the state folder.

`safe-mode` is there while it holds: the services of ear and screen do not start beside it, and `stayby-safe-mode.path` ends them,
or starts them again when it is gone. `starts.json` are the bad starts so far. Both are no part of the hub's database: a hub that
dies of that one must be counted too. A disk that cannot be written costs the counting, and nothing else.
"""

import json
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kiosk.bad_starts import AGAIN_S, GOOD_S, MOST, BadStarts
from kiosk.config_file import write_durably

FILE, STARTS = "safe-mode", "starts.json"
HUB = "hub"
NAMES = {HUB: "the hub", "ui": "the screen", "listen": "the ear"}
log = logging.getLogger("stayby")


@dataclass(frozen=True)
class Held:
    """Why safe mode holds, and since when (seconds since 1970)."""

    why: str
    since_unix_s: float


class SafeMode:
    """Counts the starts of hub and leaves; `held` while safe mode holds."""

    def __init__(self, folder: Path, now_s: float) -> None:
        self._file, self._starts_file = folder / FILE, folder / STARTS
        self._starts = BadStarts(_counts(self._starts_file))
        self.held = held_in(self._file)
        self.begins(HUB, now_s)

    def begins(self, part: str, now_s: float) -> None:
        """A part started; one too many begins safe mode."""
        too_many = self._starts.begins(part, now_s)
        self._keep()
        if too_many and self.held is None:
            why = f"{NAMES.get(part, part)} started {MOST + 1} times, and never ran for {GOOD_S / 60:.0f} minutes"
            log.error("safe mode: %s", why)
            self.held = Held(why, time.time())
            self._write(self._file, {"why": why, "since_unix_s": self.held.since_unix_s})

    def look(self, fresh: Collection[str], now_s: float) -> None:
        """Forgive what runs well; see whether safe mode was ended, and end it when it is tried again."""
        if self._starts.look({HUB, *fresh}, now_s):
            self._keep()
        if self.held is None:
            return
        if not self._file.exists():
            log.warning("safe mode was ended")
            self._try_again()
        elif not 0 <= time.time() - self.held.since_unix_s < AGAIN_S:
            log.warning("safe mode has held for a day: trying without")
            self._file.unlink(missing_ok=True)
            self._try_again()

    def _try_again(self) -> None:
        self.held = None
        self._starts.once_more()
        self._keep()

    def ends_well(self, parts: Collection[str]) -> None:
        """The hub is ended in good order, and these parts still run."""
        self._starts.ends_well({HUB, *parts})
        self._keep()

    def _keep(self) -> None:
        self._write(self._starts_file, self._starts.counts)

    @staticmethod
    def _write(file: Path, content: object) -> None:
        try:
            write_durably(file, json.dumps(content).encode())
        except OSError as error:
            log.warning("%s: %s; bad starts are not counted", file, error.strerror)


def _counts(file: Path) -> dict[str, int]:
    """Return the bad starts that were kept; none when nothing sound is there."""
    found = _json(file)
    return {part: count for part, count in found.items() if isinstance(count, int) and 0 <= count <= MOST}


def held_in(file: Path) -> Held | None:
    """Return why safe mode holds; of a file that somebody made by hand too."""
    if not file.exists():
        return None
    found = _json(file)
    why, since = found.get("why"), found.get("since_unix_s")
    return Held(
        why if isinstance(why, str) else f"somebody made {file}", since if isinstance(since, float) else time.time()
    )


def _json(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
