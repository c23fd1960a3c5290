"""Keeps what was touched at this screen in a file, so that a screen which dies is back where it was: whole or not at all."""

from pathlib import Path

from kiosk.local import Local, dump, load
from kiosk.messages import Fault

NAME = "screen.json"


class Kept:
    """The file in the run folder; it goes with the folder when the unit is switched off, as a person's choices should."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / NAME
        self._local: Local | None = None
        self._error = ""

    def load(self) -> Local:
        """Return what was kept, or a fresh one."""
        try:
            return load(self._path.read_bytes())
        except OSError:
            return Local()

    def save(self, local: Local) -> None:
        """Write `local`, if it changed: a reader sees the old one or the new one."""
        if local == self._local:
            return
        self._local = local
        new = self._path.with_suffix(".new")
        try:
            new.write_text(dump(local), encoding="utf-8")
            new.chmod(0o600)
            new.replace(self._path)
        except OSError as error:
            self._error = error.strerror or str(error)
        else:
            self._error = ""

    def fault(self) -> Fault | None:
        """Return what is wrong, if the last change could not be written."""
        if not self._error:
            return None
        says = f"cannot be written ({self._error}); a screen that starts again forgets its language and page"
        return Fault(code="screen_state", where=str(self._path), says=says, do="check the folder and its owner")
