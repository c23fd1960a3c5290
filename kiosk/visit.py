"""What a technician does at the unit's own screen: the gesture, the PIN, which service page is open, and until when.

Rules
- Two fingers held still for 5 s where nothing can be touched: nobody does that by accident, and nobody who is afraid. A cloth
  moves, a palm is more than two, and a drop that stays opens nothing a second time.
- The pages open only where nothing is asked for, and whatever calls (a touch, a press, a phrase) shuts them at once.
- The digits of a PIN are in `entry` alone, which is neither shown, nor written, nor printed. Each try counts before it is
  looked at, so that no crash makes it free.
- No clock: times are monotonic seconds and are passed in. A place is a share of the panel, from its top left corner.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import hypot
from typing import Any

from kiosk.corners import CORNERS, Point, Tapped, Turned
from kiosk.doctor.record import Check
from kiosk.messages import Record
from kiosk.page import Service

LEAST_DIGITS, MOST_DIGITS = 4, 12
"""Of a PIN; as `kiosk.pins` takes them."""
HOLD_S = 5.0
TOGETHER_S = 1.0
"""So far apart two fingers may land and still be one gesture."""
STILL_SHARE = 0.05
"""So far a finger may creep in those seconds, as a share of the panel's width or height."""
APART_SHARE = 0.08
"""Nearer to each other than this two touches are one thumb."""
FORGOTTEN_S = 60.0
TYPING_S = 30.0
"""So long the page for the PIN stays without a touch."""
OPEN_S = 120.0
MARK_S = 20.0
"""So long a mark in a corner waits for its touch."""
TRIES = 5
LOCKED_S = 300.0
LOCKED_MOST_S = 4800.0
NO_DOCTOR = "run `sudo stayby doctor` in a terminal"


# --- the gesture ------------------------------------------------------------------------------------------------------


@dataclass
class Hold:
    """The fingers that lie on the panel now."""

    _down: dict[Any, tuple[Point, float]] = field(default_factory=dict)
    _spent: bool = False

    def down(self, finger: Any, at: Point, now_s: float, *, free: bool) -> None:
        """A finger landed, `free` where nothing can be touched."""
        self._forget(now_s)
        others = list(self._down.values())
        self._down[finger] = (at, now_s)
        late = any(now_s - since_s > TOGETHER_S for _, since_s in others)
        near = any(_far(at, other) < APART_SHARE for other, _ in others)
        if not free or late or near or len(others) > 1:
            self._spent = True

    def _forget(self, now_s: float) -> None:
        """Forget fingers whose lifting was never said: a panel was unplugged under them."""
        gone = [finger for finger, (_, since_s) in self._down.items() if now_s - since_s > FORGOTTEN_S]
        for finger in gone:
            self.up(finger)

    def moved(self, finger: Any, at: Point) -> None:
        """A finger is somewhere now."""
        began = self._down.get(finger)
        if began is not None and _far(began[0], at) > STILL_SHARE:
            self._spent = True

    def up(self, finger: Any) -> None:
        """A finger has left the panel."""
        self._down.pop(finger, None)
        self._spent = bool(self._down)

    def held(self, now_s: float) -> bool:
        """Return whether the gesture is made; once only for the same fingers."""
        if self._spent or len(self._down) != 2:  # noqa: PLR2004 - two fingers
            return False
        self._spent = now_s - max(since_s for _, since_s in self._down.values()) >= HOLD_S
        return self._spent


def _far(one: Point, other: Point) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])


# --- wrong PINs -------------------------------------------------------------------------------------------------------


class Tries(Record):
    """How many PINs in a row were wrong, and until when no other is taken (seconds since the machine's start)."""

    wrong: int = 0
    until_s: float = 0.0

    def tried(self, now_s: float) -> "Tries":
        """Return it with a try more, which counts as wrong until it proves right: each fifth locks, twice as long each time."""
        wrong = self.wrong + 1
        if wrong % TRIES:
            return Tries(wrong=wrong, until_s=self.until_s)
        return Tries(wrong=wrong, until_s=now_s + min(LOCKED_MOST_S, LOCKED_S * 2 ** (wrong // TRIES - 1)))

    def locked_s(self, now_s: float) -> float:
        """Return for how long no PIN is taken yet."""
        return max(0.0, self.until_s - now_s)

    @property
    def left(self) -> int:
        """How many tries are left before the next lock."""
        return TRIES - self.wrong % TRIES


# --- what is open -----------------------------------------------------------------------------------------------------


class At(StrEnum):
    """Which service page is open."""

    SHUT = "shut"
    PIN = "pin"
    FINDINGS = "findings"
    CORNERS = "corners"
    TAPPED = "tapped"


@dataclass(frozen=True)
class Visit:
    """One visit.

    `waits` while a PIN is being looked at, `says` is the line below it. `found` are doctor's findings so far, `done` when they
    are all, `why` why there are none, `part` which of their pages is shown. `taps` are the touches of the marks so far (None:
    none came), each since `asked_s`, `trial` the way that they are to prove once more; `tapped` is what came of all four, `kept`
    whether that could be written down. `trusted`: root opened the corners, without a PIN.
    """

    at: At
    touched_s: float
    entry: str = field(default="", repr=False)
    waits: bool = False
    says: str = ""
    locked_s: float = 0.0
    found: tuple[Check, ...] = ()
    done: bool = False
    why: str = ""
    part: int = 0
    taps: tuple[Point | None, ...] = ()
    asked_s: float = 0.0
    trial: Turned | None = None
    tapped: Tapped | None = None
    kept: bool = True
    trusted: bool = False

    @property
    def corner(self) -> int | None:
        """Which mark is to be touched now, as a number in `CORNERS`."""
        return len(self.taps) if self.at is At.CORNERS and len(self.taps) < len(CORNERS) else None


def begun(now_s: float, tries: Tries, *, has_pin: bool) -> Visit:
    """Return a visit that begins by the gesture."""
    return Visit(At.PIN if has_pin else At.SHUT, now_s, locked_s=tries.locked_s(now_s))


def over(visit: Visit, now_s: float) -> bool:
    """Return whether nobody is there any more."""
    if visit.at is At.CORNERS:
        return False  # it ends by itself: each mark waits 20 s
    return now_s - visit.touched_s >= (TYPING_S if visit.at in {At.PIN, At.SHUT} else OPEN_S)


def typed(visit: Visit, letter: str, now_s: float) -> Visit:
    """Return it with a digit more, or without its last for the letter ""."""
    entry = visit.entry[:-1] if not letter else (visit.entry + letter)[:MOST_DIGITS]
    return replace(visit, entry=entry, says="", touched_s=now_s)


def ready(visit: Visit) -> bool:
    """Return whether what was typed can be a PIN, and may be tried."""
    return len(visit.entry) >= LEAST_DIGITS and not visit.waits and not visit.locked_s


def tried(visit: Visit, now_s: float) -> Visit:
    """Return it while its PIN is looked at: the digits leave it with that."""
    return replace(visit, entry="", waits=True, says="", touched_s=now_s)


def answered(visit: Visit, tries: Tries, now_s: float, *, fits: bool) -> Visit:
    """Return it after the PIN was looked at."""
    if fits:
        return replace(visit, at=At.FINDINGS, waits=False, touched_s=now_s)
    left = tries.left
    says = f"That is not the PIN. {left} more {'try' if left == 1 else 'tries'}."
    return replace(visit, waits=False, says=says, locked_s=tries.locked_s(now_s))


def moved(visit: Visit, does: Service, now_s: float) -> Visit:
    """Return it after a touch that only moves between its pages; to look again forgets what was found."""
    visit = replace(visit, touched_s=now_s)
    match does:
        case Service.MORE:
            return replace(visit, part=visit.part + 1)
        case Service.CORNERS:
            return replace(visit, at=At.CORNERS, taps=(), trial=None, tapped=None, asked_s=now_s)
        case Service.FINDINGS:
            return replace(visit, at=At.FINDINGS, part=0)
        case Service.LOOK:
            return replace(visit, at=At.FINDINGS, part=0, found=(), done=False, why="")
        case _:
            return visit


def tapping(visit: Visit, tap: Point | None, now_s: float) -> Visit:
    """Return it after a touch of the mark that is asked for, or None when none came."""
    touched_s = visit.touched_s if tap is None else now_s
    return replace(visit, taps=(*visit.taps, tap), asked_s=now_s, touched_s=touched_s)


def late(visit: Visit, now_s: float) -> bool:
    """Return whether the mark that is asked for has waited long enough."""
    return visit.corner is not None and now_s - visit.asked_s >= MARK_S


def once_more(visit: Visit, trial: Turned, now_s: float) -> Visit:
    """Return it with the marks to be tapped again, while touches are taken as the first four said."""
    return replace(visit, taps=(), trial=trial, asked_s=now_s)


def known(visit: Visit, tapped: Tapped, now_s: float) -> Visit:
    """Return it with what came of the four touches."""
    return replace(visit, at=At.TAPPED, tapped=tapped, kept=True, touched_s=now_s)
