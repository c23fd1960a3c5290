"""What is told of an update: by the hub one that went back, or cannot, and by `stayby status` where it stands."""

import os
from pathlib import Path

from kiosk.messages import Fault
from kiosk.update.apply import FOLDER, STATE, Phase, State, Unreadable, load

CODE, STUCK = "update-failed", "update-stuck"
AGAIN = "publish a newer one; the same again: sudo stayby update --now --anyway"
NIGHT = "it is tried again next night; if it stays: look for a full card; at once: sudo stayby update --now"
TRIED = (
    "it is tried again every ten minutes; look for a full or read-only card, or install another version by hand, "
    "with apt, or: sudo stayby update --now --anyway --from FILE"
)


def folder() -> Path:
    """Return where updates are kept on a unit."""
    return Path(os.environ.get("STAYBY_UPDATE_DIR") or FOLDER)


class Told:
    """Looks at the state, and reads it only when it changed."""

    def __init__(self) -> None:
        self._folder = folder()
        self._seen: tuple[int, int] | None = None
        self._fault: Fault | None = None

    def fault(self) -> Fault | None:
        """Return what is to be told now."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._fault = None if seen is None else self._read()
        return self._fault

    def _look(self) -> tuple[int, int] | None:
        try:
            found = (self._folder / STATE).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> Fault | None:
        try:
            state = load(self._folder)
        except (OSError, Unreadable) as error:
            return Fault(code=STUCK, where="update", says=f"its state cannot be read: {error}", do=TRIED)
        if state is None:
            return None
        old, new = state.old.version, state.new.version
        if state.phase is Phase.STAGED and state.why:
            return Fault(code=CODE, where="update", says=f"{new}: {state.why}; {old} runs", do=NIGHT)
        if state.phase is Phase.BACK:
            return Fault(code=CODE, where="update", says=f"{new} went back: {state.why}; {old} runs", do=AGAIN)
        if state.phase is Phase.GOING_BACK and state.trouble:
            says = f"{new} goes back ({state.why}), and {old} is not in yet: {state.trouble}"
            return Fault(code=STUCK, where="update", says=says, do=TRIED)
        return None


def line(state: State) -> str:
    """Return where an update stands, for a person."""
    old, new = state.old.version, state.new.version
    match state.phase:
        case Phase.STAGED:
            again = f"; {state.why}; {old} runs, and it is tried again next night"
            return f"update: {new} is here{again if state.why else ' and checked; it is installed by night'}"
        case Phase.INSTALLING:
            return f"update: {new} is being installed"
        case Phase.PROVING:
            return f"update: {new} is in, and proves itself; it is kept only then"
        case Phase.GOOD:
            return f"update: {new} has proven itself and stays; {old} is kept: stayby update --back"
        case Phase.GOING_BACK:
            trouble = f" (not yet: {state.trouble})" if state.trouble else ""
            return f"update: {new} goes back: {state.why}; {old} is put back{trouble}"
    return f"update: {new} went back: {state.why}; {old} runs"


def lines() -> list[str]:
    """Return where the last update stands, as lines of `stayby status`; what cannot be read is the hub's to tell."""
    try:
        state = load(folder())
    except (OSError, Unreadable):
        return []
    return [line(state)] if state is not None else []
