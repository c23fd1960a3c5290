"""What a technician accepted for this room: one offset to every threshold, in `calibration.toml` beside the configuration.

The ear reads it at its start and whenever it changes. A file that is broken or was made for another model counts for nothing
and is a fault; the shipped thresholds are in force until it is right or gone. Nothing else ever moves a threshold.
"""

import os
import tomllib
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kiosk.config_file import write_durably
from kiosk.detection import SCORE_LIMIT, Manifest, Thresholds
from kiosk.messages import Fault

FILE_NAME = "calibration.toml"
LOOSEST, STRICTEST = -1.0, 3.0
"""No room makes the ear looser or stricter than this, in log-odds."""
MAX_FILE_BYTES = 4096
AGAIN = "calibrate again (stayby listen --calibrate) or delete the file; until then the shipped thresholds are in force"


def calibrated(manifest: Manifest, offset: float) -> Manifest:
    """Return `manifest` with `offset` on every threshold; the gate of the second look stays, for it decides nothing."""
    if offset == 0:
        return manifest
    phrases = [
        phrase.model_copy(update={"alone": _moved(phrase.alone, offset), "looked": _moved(phrase.looked, offset)})
        for phrase in manifest.phrases
    ]
    return manifest.model_copy(update={"phrases": tuple(phrases)})


def _moved(bars: Thresholds | None, offset: float) -> Thresholds | None:
    if bars is None:
        return None
    moved = {name: max(-SCORE_LIMIT, min(SCORE_LIMIT, value + offset)) for name, value in bars if value is not None}
    return Thresholds.model_validate(moved)


class CalibrationError(ValueError):
    """A calibration that counts for nothing; its text says why."""


class Calibration(BaseModel):
    """One accepted calibration: for which model, in which noise, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    offset: float = Field(ge=LOOSEST, le=STRICTEST)
    noise_dbfs: float = Field(ge=-130, le=0)
    made: AwareDatetime
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def calibration_path(config: Path) -> Path:
    """Return where the calibration of the unit with this configuration file stands."""
    return config.parent / FILE_NAME


def parse(text: str) -> Calibration:
    """Return the calibration in the TOML `text`; CalibrationError says what is wrong with it."""
    try:
        return Calibration.model_validate(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        raise CalibrationError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"is not TOML: {error}") from None


def save(path: Path, calibration: Calibration) -> None:
    """Write `calibration` so that a power cut leaves the old file or the new one; OSError when it cannot be written."""
    text = (
        "# Written by `stayby listen --calibrate`. Delete this file, and the shipped thresholds are in force again.\n"
        f"offset = {calibration.offset:.2f}  # added to every threshold: above 0 is stricter\n"
        f"noise_dbfs = {calibration.noise_dbfs:.1f}  # the room's noise floor then\n"
        f"made = {calibration.made.isoformat(timespec='seconds')}\n"
        f'model_sha256 = "{calibration.model_sha256}"\n'
    )
    write_durably(path, text.encode(), mode=0o644)


Stamp = tuple[int, int, int]


class CalibrationFile:
    """The file as the ear sees it; `path` if None is a unit without one. `look` again now and then: it costs one stat."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._calibration: Calibration | None = None
        self._wrong = ""

    def look(self) -> None:
        """Read the file if it is another one than at the last look."""
        if self._path is None:
            return
        try:
            self._read_if_changed(self._path)
        except FileNotFoundError:
            self._stamp, self._calibration, self._wrong = None, None, ""
        except OSError as error:
            self._stamp, self._calibration, self._wrong = None, None, f"cannot be read ({error.strerror})"
        except (UnicodeDecodeError, CalibrationError) as error:
            self._calibration, self._wrong = None, str(error)

    def _read_if_changed(self, path: Path) -> None:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            text = file.read(MAX_FILE_BYTES).decode()
        self._calibration, self._wrong = parse(text), ""

    def offset(self, model_sha256: str) -> float:
        """Return what is to be added to every threshold of the model with this sha256."""
        found = self._calibration
        return found.offset if found is not None and found.model_sha256 == model_sha256 else 0.0

    def fault(self, model_sha256: str) -> Fault | None:
        """Return why the file counts for nothing, or None."""
        says = self._wrong
        if self._calibration is not None and self._calibration.model_sha256 != model_sha256:
            says = f"was made for another model, on {self._calibration.made:%Y-%m-%d}"
        if not says:
            return None
        return Fault(code="calibration_ignored", where=str(self._path), says=" ".join(says.split())[:200], do=AGAIN)


def now_calibrated(offset: float, noise_dbfs: float, model_sha256: str) -> Calibration:
    """Return a calibration of this moment."""
    made = datetime.now().astimezone()
    return Calibration(offset=offset, noise_dbfs=round(noise_dbfs, 1), made=made, model_sha256=model_sha256)
