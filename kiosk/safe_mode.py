"""Safe mode: what only starts and dies stays down, and hub, button and broker go on. Two small files in the state folder.

`safe-mode` is there while it holds: the services of ear and screen do not start beside it, and `stayby-safe-mode.path` ends them,
or starts them again when it is gone. `starts.json` are the bad starts so far. Both are no part of the hub's database: a hub that
dies of that one must be counted too. A disk that cannot be written costs the counting, and nothing else.
"""

import json
import logging
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from kiosk.bad_starts import AGAIN_S, GOOD_S, MOST, BadStarts
from kiosk.config_file import write_durably

FILE, STARTS = "safe-mode", "starts.json"
HUB, ALONE = "hub", "hub alone"
"""A start of the hub; and one while screen and ear are down already."""
ALONE_MOST = 3
"""A hub that starts so often in safe mode, and never runs well, dies by itself: the screen must say then that it cannot call."""
ORDERLY_S = 15.0
"""At the machine's orderly end screen and ear are ended first, and the hub within this time."""
NAMES = {HUB: "the hub", "ui": "the screen", "listen": "the ear"}
log = logging.getLogger("stayby")


@dataclass(frozen=True)
class Held:
    """Why safe mode holds, and since when (seconds since 1970)."""

    why: str
    since_unix_s: float
    part: str = ""


class SafeMode:
    """Counts the starts of hub and leaves; `held` while safe mode holds."""

    def __init__(self, folder: Path, now_s: float) -> None:
        self._file, self._starts_file = folder / FILE, folder / STARTS
        self._starts = BadStarts(_counts(self._starts_file))
        self._told: set[str] = set()
        self._gone_s: dict[str, float] = {}
        self.held = held_in(self._file)
        if self.held is not None:
            self._starts.begins(ALONE, now_s)
        self.begins(HUB, now_s)
        if self.held is not None and self._dies_alone():
            self._end("the hub ends without screen and ear too, so they are not why")

    def begins(self, part: str, now_s: float) -> None:
        """A part started; one too many begins safe mode."""
        self._gone_s.pop(part, None)
        too_many = self._starts.begins(part, now_s)
        self._keep()
        if too_many and self.held is None and not (part == HUB and self._dies_alone()):
            why = f"{NAMES.get(part, part)} started {MOST + 1} times, and never ran for {GOOD_S / 60:.0f} minutes"
            self._hold(Held(why, time.time(), str(part)))

    def _dies_alone(self) -> bool:
        return self._starts.counts.get(ALONE, 0) >= ALONE_MOST

    def gone(self, part: str, now_s: float) -> None:
        """A part went away; whether in good order, the hub's own end tells."""
        self._gone_s[part] = now_s

    def _hold(self, held: Held) -> None:
        why = held.why
        if self._write(self._file, asdict(held)):
            log.error("safe mode: %s", why)
            self.held = held

    def look(self, fresh: Collection[str], now_s: float) -> None:
        """Forgive what runs well; see whether safe mode was ended, and end it when it is tried again."""
        if self._starts.look({HUB, ALONE, *fresh}, now_s):
            self._keep()
        if self.held is None:
            self.held = held_in(self._file)  # somebody may make it by hand
        elif not self._is_there():
            log.warning("safe mode was ended")
            self._try_again()
        elif not 0 <= time.time() - self.held.since_unix_s < AGAIN_S:
            self._end("it has held for a day")
        elif self.held.part == HUB and self._starts.is_good(HUB, now_s) and self._end("the hub runs well again"):
            self._starts.watch(HUB, now_s)
            self._keep()

    def _is_there(self) -> bool:
        try:
            self._file.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            self._tell_once(f"{self._file}: {error.strerror}; safe mode stays as it is")
        return True

    def _end(self, why: str) -> bool:
        """Try without; where the file cannot be removed, it goes on, and False is returned: it is tried at each look."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            self._tell_once(f"{self._file}: {error.strerror}; safe mode goes on, look at the card: stayby doctor")
            return False
        log.warning("safe mode ends: %s", why)
        self._try_again()
        return True

    def _try_again(self) -> None:
        self.held = None
        self._starts.once_more()
        self._keep()

    def ends_well(self, parts: Collection[str], now_s: float) -> None:
        """The hub is ended in good order, and these parts still run, or were ended just before it."""
        before = {part for part, gone_s in self._gone_s.items() if now_s - gone_s <= ORDERLY_S}
        self._starts.ends_well({HUB, ALONE, *parts, *before})
        self._keep()

    def _keep(self) -> None:
        self._write(self._starts_file, self._starts.counts)

    def _write(self, file: Path, content: object) -> bool:
        try:
            write_durably(file, json.dumps(content).encode())
        except OSError as error:
            self._tell_once(f"{file.parent}: {error.strerror}; bad starts are not counted, and no safe mode begins")
            return False
        return True

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            log.warning("%s", text)
        self._told.add(text)


def _counts(file: Path) -> dict[str, int]:
    """Return the bad starts that were kept; none when nothing sound is there."""
    found = _json(file)
    return {part: count for part, count in found.items() if isinstance(count, int) and 0 <= count <= MOST}


def held_in(file: Path) -> Held | None:
    """Return why safe mode holds; of a file that somebody made by hand too, and not of one that cannot be seen."""
    try:
        file.stat()
    except OSError:
        return None
    found = _json(file)
    why, since, part = found.get("why"), found.get("since_unix_s"), found.get("part")
    return Held(
        why if isinstance(why, str) else f"somebody made {file}",
        since if isinstance(since, float) else time.time(),
        part if isinstance(part, str) else "",
    )


def _json(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
