"""A technician's visit at the screen: opens and shuts its pages, has the PIN looked at and doctor asked, keeps what was tapped.

What takes long (a PIN's scrypt, doctor's findings) is done on threads, which only put on the screen's inbox. Doctor runs in a
process of its own with its own rights and limits, which systemd starts for whoever connects to its socket
(`stayby-doctor.socket`): it must speak when the hub is down too, and what it weighs is nobody's duty.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from kiosk.config import UnitConfig
from kiosk.config_file import write_durably
from kiosk.corners import Point, Tapped, Turned, agrees, classify, told
from kiosk.doctor.record import Check, Line, doctor_socket, touch_file
from kiosk.page import Key, Service
from kiosk.pins import PinError, pin_fits
from kiosk.ui.layout_service import marks
from kiosk.visit import (
    NO_DOCTOR,
    At,
    Hold,
    Tries,
    Visit,
    answered,
    begun,
    known,
    late,
    moved,
    once_more,
    over,
    ready,
    tapping,
    tried,
    typed,
)

log = logging.getLogger(__name__)

TRIES = "pin.json"
CONNECT_S = 5.0
DOCTOR_S = 90.0
"""So long doctor may take for its next finding."""
MAX_LINE_BYTES = 64 * 1024
BOUNCE_S = 0.4
"""A second touch of a mark so soon is the same finger."""


@dataclass(frozen=True)
class PinSeen:
    """A PIN was looked at; `wrong` says why none can be."""

    visit: int
    fits: bool
    wrong: str = ""


@dataclass(frozen=True)
class Unkept:
    """What the corners said could not be written down."""

    visit: int


@dataclass(frozen=True)
class Found:
    """Doctor found something."""

    visit: int
    check: Check


@dataclass(frozen=True)
class Looked:
    """Doctor is done; `why` says what ended it before."""

    visit: int
    why: str = ""


Seen = PinSeen | Unkept | Found | Looked


class Technician:
    """The visit that goes on, if one does, and the fingers that may begin one.

    `size` is the panel's, in pixels; `in_force` how touches are taken: as kiosk.toml says, or else as the corners did.
    """

    def __init__(
        self,
        config: UnitConfig,
        own_dir: Path,
        put: Callable[[Seen], None],
        on_death: Callable[[BaseException], None],
    ) -> None:
        self.visit: Visit | None = None
        self.hold = Hold()
        self.size = (float(config.ui.width), float(config.ui.height))
        self._pin = config.service.pin.get_secret_value() if config.service else ""
        self._put, self._on_death = put, on_death
        self._doctor = doctor_socket(config.unit.run_dir)
        state = os.environ.get("STATE_DIRECTORY")
        self._tapped_file = Path(state, touch_file(Path()).name) if state else touch_file(config.unit.state_dir)
        self._set_by_hand = config.ui.touch
        self._last = self._load_tapped()
        self.in_force = self._known_way()
        self._tries_file = own_dir / TRIES
        self._tries = self._load_tries()
        self._number = 0
        self._asked = False
        self._looking = False

    # --- open and shut ------------------------------------------------------------------------------------------------

    def ask_corners(self) -> None:
        """Root asks for the four corners, by a signal: for a panel on which nobody could make the gesture."""
        self._asked = True

    def mind(self, now_s: float, *, may: bool, calls: bool) -> bool:
        """Open, shut or move on what is due; return whether anything changed.

        `may`: a visit may begin on the page that is shown. `calls`: somebody calls, or is called for.
        """
        before = self.visit
        held, asked = self.hold.held(now_s), self._asked
        self._asked = False
        if self.visit is not None:
            self._mind_visit(self.visit, now_s, calls=calls)
        elif asked and may and not calls:
            self._begin(
                moved(Visit(At.CORNERS, now_s, trusted=True), Service.CORNERS, now_s), "by root, for the corners"
            )
        elif held and may and not calls:
            self._begin(begun(now_s, self._tries, has_pin=bool(self._pin)), "by the gesture")
        elif asked or held:
            log.warning("screen: the service pages stay shut: somebody is looked after here")
        return self.visit is not before

    def _begin(self, visit: Visit, how: str) -> None:
        self._number += 1
        self.visit = visit
        log.warning("screen: the service pages are open, %s", how)

    def _mind_visit(self, visit: Visit, now_s: float, *, calls: bool) -> None:
        if calls or over(visit, now_s):
            self.close("somebody calls" if calls else "nobody touches them")
        elif late(visit, now_s):
            self._tap(visit, None, now_s)
        elif visit.locked_s:
            self.visit = replace(visit, locked_s=self._tries.locked_s(now_s))

    def close(self, why: str) -> None:
        """Shut the pages, and forget all that was typed and found."""
        if self.visit is not None:
            self.in_force = self._known_way() if self.visit.trial else self.in_force
            self.visit = None
            log.warning("screen: the service pages are shut: %s", why)

    # --- touches ------------------------------------------------------------------------------------------------------

    def touched(self, does: Key | Service, now_s: float) -> None:
        """A key or a button of a service page was touched."""
        visit = self.visit
        if visit is None:
            return
        if isinstance(does, Key):
            self.visit = typed(visit, does.letter, now_s) if visit.at is At.PIN else visit
        elif does is Service.CLOSE:
            self.close("the technician is done")
        elif does is Service.ENTER:
            self._enter(visit, now_s)
        else:
            self.visit = moved(visit, does, now_s)
            if does is Service.LOOK:
                self._look()

    def tapped(self, at: Point, now_s: float) -> None:
        """A touch landed where nothing is: it is of the mark in the corner, if one waits. `at` is as the panel says it."""
        visit = self.visit
        if visit is not None and visit.corner is not None and now_s - visit.asked_s >= BOUNCE_S:
            self._tap(visit, at, now_s)

    def _tap(self, visit: Visit, at: Point | None, now_s: float) -> None:
        visit = tapping(visit, at, now_s)
        self.visit = visit if visit.corner is not None else self._judged(visit, now_s)

    def _judged(self, visit: Visit, now_s: float) -> Visit:
        """Return it with what the four touches say: kept, or where they say another way than before, to be proven once more."""
        verdict = classify(marks(*self.size), visit.taps, self.size)
        log.warning("screen: four corners tapped: %s", told(verdict, self.in_force).says)
        other = agrees(verdict, verdict.turned) and verdict.turned is not self.in_force
        if visit.trial is None and other and self._set_by_hand is None:
            self.in_force = verdict.turned
            return once_more(visit, verdict.turned, now_s)
        if visit.trial is not None and not agrees(verdict, visit.trial):
            self.in_force = self._known_way()
        tapped = Tapped(at=datetime.now(UTC), verdict=verdict, use=self.in_force)
        self._keep(tapped)
        return known(visit, tapped, now_s)

    def _keep(self, tapped: Tapped) -> None:
        """Write down what the corners said, so that a power cut leaves it, on a thread: a card may take its time."""
        self._last, number = tapped, self._number
        data = tapped.model_dump_json().encode()

        def keep() -> None:
            try:
                write_durably(self._tapped_file, data)
            except OSError as error:
                log.warning("screen: %s: %s", self._tapped_file, error.strerror)
                self._put(Unkept(number))

        self._start("keep", keep)

    def _known_way(self) -> Turned:
        """Return how touches are taken: as kiosk.toml says, or else as the corners did last; the right way when nothing says."""
        return self._set_by_hand or (self._last.use if self._last else Turned.RIGHT)

    def _load_tapped(self) -> Tapped | None:
        try:
            return Tapped.model_validate_json(self._tapped_file.read_bytes())
        except (OSError, ValidationError):
            return None  # nobody has tapped them yet; a damaged file is doctor's to tell

    # --- the PIN ------------------------------------------------------------------------------------------------------

    def _enter(self, visit: Visit, now_s: float) -> None:
        if not ready(visit):
            return
        self._tries = self._tries.tried(now_s)
        if error := _written(self._tries_file, self._tries.model_dump_json()):
            self.visit = replace(visit, entry="", says=f"No PIN is taken: {self._tries_file}: {error}.")
            return
        pin, number = visit.entry, self._number
        self.visit = tried(visit, now_s)
        self._start("pin", lambda: self._put(_seen(number, pin, self._pin)))

    def _load_tries(self) -> Tries:
        try:
            return Tries.model_validate_json(self._tries_file.read_bytes())
        except (OSError, ValidationError):
            return Tries()  # none was wrong since the machine's start

    def _pin_seen(self, seen: PinSeen, visit: Visit, now_s: float) -> None:
        if seen.wrong:
            self.visit = replace(visit, waits=False, says=f"kiosk.toml [service] pin: {seen.wrong}")
            return
        if seen.fits:
            self._tries = Tries()
            _written(self._tries_file, self._tries.model_dump_json())
        else:
            log.warning("screen: a wrong PIN, %d in a row", self._tries.wrong)
        self.visit = answered(visit, self._tries, now_s, fits=seen.fits)
        if seen.fits:
            self._look()

    # --- doctor -------------------------------------------------------------------------------------------------------

    def take(self, seen: Seen, now_s: float) -> None:
        """Take what a thread saw; of a visit that is over it is forgotten."""
        if isinstance(seen, Looked):
            self._looking = False
        visit = self.visit
        if visit is None or seen.visit != self._number:
            return
        match seen:
            case PinSeen():
                self._pin_seen(seen, visit, now_s)
            case Unkept():
                self.visit = replace(visit, kept=False)
            case Found():
                self.visit = replace(visit, found=(*visit.found, seen.check))
            case Looked():
                self.visit = replace(visit, done=not seen.why, why=seen.why)

    def _look(self) -> None:
        """Ask doctor, unless it is asked already."""
        self._number += 1  # what an earlier look still finds is not of this one
        number = self._number
        if self._looking:
            why = "Doctor still looks for an earlier visit. Wait a minute, then look again."
            self.visit = replace(self.visit, why=why) if self.visit else None
            return
        self._looking = True
        self._start("doctor", lambda: self._put(Looked(number, self._ask(number))))

    def _ask(self, number: int) -> str:
        """Hand on each finding; return what went wrong, if anything did."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(CONNECT_S)
                sock.connect(str(self._doctor))
                sock.settimeout(DOCTOR_S)
                with sock.makefile("rb") as lines:
                    while line := lines.readline(MAX_LINE_BYTES):
                        said = Line.model_validate_json(line)
                        if said.check is None:
                            return ""
                        self._put(Found(number, said.check))
        except OSError as error:
            return f"Doctor does not answer at {self._doctor} ({error.strerror or error}): {NO_DOCTOR}."
        except ValidationError:
            return f"Doctor said something that is no finding: {NO_DOCTOR}."
        return f"Doctor ended before it was done: {NO_DOCTOR}, and `journalctl -u 'stayby-doctor@*'`."

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
                self._on_death(error)

        threading.Thread(target=run, name=name, daemon=True).start()


def _seen(number: int, pin: str, stored: str) -> PinSeen:
    try:
        return PinSeen(number, fits=pin_fits(pin, stored))
    except PinError as error:
        return PinSeen(number, fits=False, wrong=str(error))


def _written(path: Path, text: str) -> str:
    """Write a small file, whole or not at all; return what is wrong when it cannot be."""
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.chmod(0o640)
        new.replace(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""
