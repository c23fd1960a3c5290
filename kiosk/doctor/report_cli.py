"""`stayby report`: one bundle for support, without a secret, a person's name, or anything that a customer said or chose.

What goes in is chosen field by field; what is chosen is then searched once more for every secret and name that this unit knows.
"""

import io
import json
import re
import sqlite3
import tarfile
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from kiosk import config_show
from kiosk.black_box import ID_LENGTH, NAMES_PEOPLE
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.config import UnitConfig
from kiosk.config_file import Loaded, read_text
from kiosk.doctor.doctor_cli import Hub, checks
from kiosk.doctor.parts import versions
from kiosk.doctor.record import Check
from kiosk.messages import StatusAnswer
from kiosk.store import kept_events

MASK = config_show.MASK
SHORTEST = 3
"""A name of fewer letters stands in too many words to be searched for."""
LONG = 8
SECRET_SETTINGS = re.compile(r"^(covert_phrase|password|username) = .*$", re.MULTILINE)
INSIDE = "findings of doctor, status, the last 1,000 faults and steps of incidents, versions, the configuration without secrets"


def report_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the bundle goes.")] = Path(),
) -> None:
    """Write one bundle (tar.gz) for support: no secret, no name, no sound, nothing that a customer said or chose."""
    loaded = load_or_exit(config)
    unit, now = loaded.config.unit, datetime.now(UTC)
    path = out / f"stayby-report-{unit.store}-{unit.id}-{now:%Y%m%d-%H%M%S}.tar.gz"
    try:
        _write(path, bundle(loaded, now), now)
    except OSError as error:
        typer.echo(f"{path}: {error.strerror}; name another folder by --out", err=True)
        raise typer.Exit(1) from None
    print(f"written: {path} ({path.stat().st_size // 1024 + 1} KB): {INSIDE}")


def bundle(loaded: Loaded, now: datetime) -> dict[str, str]:
    """Return the files of the bundle, by name."""
    answer = Hub(loaded.config).ask()
    contents: dict[str, Any] = {
        "versions.json": {"made": now.isoformat(), **versions(answer)},
        "doctor.json": [_redacted(one).model_dump(mode="json") for one in checks(loaded)],
        "status.json": _status(answer),
        "events.json": _events(loaded.config.unit.state_dir / "state.db"),
    }
    files = {name: json.dumps(content, indent=1, ensure_ascii=False) for name, content in contents.items()}
    shown = config_show.show(loaded.config, read_text(loaded.path))
    files["config.toml"] = SECRET_SETTINGS.sub(rf'\1 = "{MASK}"', shown)
    hidden = _known_secrets(loaded.config, answer)
    return {name: _without(text, hidden) for name, text in files.items()}


def _write(path: Path, files: dict[str, str], now: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        path.chmod(0o600)
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(now.timestamp()), 0o600
            archive.addfile(entry, io.BytesIO(content))


# --- what is chosen ---------------------------------------------------------------------------------------------------


def _redacted(check: Check) -> Check:
    """Return a finding without the names of people."""
    if check.name == "staff":
        return check.model_copy(update={"says": f"{check.measured.get('listening', 0):.0f} listen"})
    if check.name.removeprefix("fault ") in NAMES_PEOPLE:
        return check.model_copy(update={"says": "its words name a person"})
    return check


def _status(answer: StatusAnswer | None) -> dict[str, Any] | None:
    """Return what the hub says, less the people: whoever listens is a number, an incident its state and steps."""
    if answer is None:
        return None
    said = answer.model_dump(
        mode="json", include={"reach", "hearing", "own_voice", "unsent", "button", "ear", "walk_until"}
    )
    status = answer.status.model_dump(mode="json", exclude={"face", "faults", "place"})
    faults = [{"code": one.code, "where": one.where, "says": one.says} for one in answer.status.faults]
    for fault in faults:
        if fault["code"] in NAMES_PEOPLE:
            fault["says"] = ""
    return {
        **said,
        "status": status,
        "faults": faults,
        "listeners": len(answer.listeners),
        "incident": _incident(answer),
    }


def _incident(answer: StatusAnswer) -> dict[str, Any] | None:
    incident = answer.incident
    if incident is None:
        return None
    told = incident.model_dump(
        mode="json", include={"revision", "state", "severity", "drill", "tier", "reach", "elapsed_s"}
    )
    return {**told, "id": incident.id[:ID_LENGTH], "asked": len(incident.asked), "seen": len(incident.seen)}


def _events(path: Path) -> dict[str, Any]:
    """Return the black box, or why it cannot be read."""
    try:
        return {"events": [{**asdict(one), "at": _when(one.at_unix_s)} for one in kept_events(path)]}
    except sqlite3.Error as error:
        return {"events": [], "unreadable": f"{path}: {error}"}


def _when(unix_s: float) -> str:
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return "no time"


# --- what must not be in it -------------------------------------------------------------------------------------------


def _known_secrets(config: UnitConfig, answer: StatusAnswer | None) -> list[str]:
    """Return every secret and every name that this unit knows now."""
    password = config.broker.password
    found = [password.get_secret_value()] if password is not None else []
    found += [config.listen.covert_phrase] if config.listen is not None and config.listen.covert_phrase else []
    if answer is not None:
        found += [one.name for one in answer.listeners]
        found += _names(answer)
    return sorted({one for one in found if len(one) >= SHORTEST}, key=len, reverse=True)


def _names(answer: StatusAnswer) -> Iterable[str]:
    incident = answer.incident
    if incident is None:
        return ()
    people = [*incident.asked, *incident.seen, *incident.declined, *(one.responder for one in incident.coming)]
    people += [one for one in (incident.here, incident.closed_by) if one is not None]
    return [*(one.name for one in people), *([incident.name] if incident.name else [])]


def _without(text: str, hidden: Iterable[str]) -> str:
    """Mask each of them, as it is and as JSON writes it; a short one only where it is a word of its own."""
    for secret in hidden:
        for form in {secret, json.dumps(secret)[1:-1]}:
            edge = r"\b" if len(form) < LONG else ""
            text = re.sub(f"{edge}{re.escape(form)}{edge}", MASK, text)
    return text
