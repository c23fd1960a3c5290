"""The configuration as a file: read it, look at the files that it names, and keep the last one that was good."""

import os
import ssl
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kiosk.certificates import validities
from kiosk.config import PIN, BoardConfig, UnitConfig, load_board, load_unit
from kiosk.config_faults import ConfigFault, ConfigFaults, Loc, faults_at
from kiosk.covert import wrong_choice
from kiosk.detection import ManifestError, parse_manifest
from kiosk.messages import Fault
from kiosk.pins import PinError, check_stored
from kiosk.store_config import StoreConfig, anchored, load_store

MAX_CONFIG_BYTES = 64 * 1024
MAX_STORE_BYTES = 2 * 1024 * 1024
DEFAULT_STATE_DIR = Path("/var/lib/stayby")
LAST_GOOD = "last-good.toml"
PACKAGED_MODEL = Path(__file__).resolve().parent.parent / "models" / "distress_en"


@dataclass(frozen=True)
class Loaded:
    """The configuration in force, the file that it came from, and what is wrong with the file that was asked for."""

    config: UnitConfig
    path: Path
    faults: tuple[Fault, ...] = ()


def read_store(path: Path) -> StoreConfig:
    """Return the store's configuration in `path`; raise `ConfigFaults` with every fault that it has."""
    return load_store(read_text(path, MAX_STORE_BYTES), path.absolute().parent)


def read_text(path: Path, most_bytes: int = MAX_CONFIG_BYTES) -> str:
    """Return the text of a configuration file; raise `ConfigFaults` when it cannot be read as text."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
    except OSError as error:
        raise _whole(
            f"cannot be read ({error.strerror})", f"put the configuration at {path}, readable for stayby"
        ) from None
    if len(raw) > most_bytes:
        raise _whole(f"is longer than {most_bytes // 1024} KiB", "this is not a configuration; give the right file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _whole("is not UTF-8 text", "save it again as UTF-8", line) from None


def _whole(says: str, do: str, line: int | None = None) -> ConfigFaults:
    return ConfigFaults([ConfigFault("the file", line, says, do)])


# --- the last good one ------------------------------------------------------------------------------------------------


def load_or_last_good(path: Path, state_dir: Path | None = None, *, keep: bool = True) -> Loaded:
    """Return the configuration in `path`, or the last good one and what is wrong with this one.

    A good one is copied to `state_dir` when `keep` is set: the hub does, the leaves only read. `state_dir` if None is
    $STAYBY_STATE_DIR; without that [unit] state_dir, or /var/lib/stayby for a broken file, which cannot say.
    Raises `ConfigFaults` when there is no good copy either.
    """
    named = os.environ.get("STAYBY_STATE_DIR")
    state_dir = state_dir or (Path(named) if named else None)
    try:
        text = read_text(path)
        config = load_unit(text)
    except ConfigFaults as faults:
        return _last_good(path, (state_dir or DEFAULT_STATE_DIR) / LAST_GOOD, faults)
    copy = (state_dir or config.unit.state_dir) / LAST_GOOD
    return Loaded(config, path, tuple(_keep(copy, text)) if keep else ())


def _last_good(path: Path, copy: Path, faults: ConfigFaults) -> Loaded:
    try:
        config = load_unit(read_text(copy))
    except ConfigFaults:
        raise faults from None
    return Loaded(config, copy, tuple(as_fault(fault, path) for fault in faults.faults))


def as_fault(fault: ConfigFault, path: Path) -> Fault:
    """Return a fault of the configuration as staff and technicians get it."""
    line = f" line {fault.line}" if fault.line else ""
    do = f"{fault.do} (until then the last good one is in force)"
    return Fault(code="config", where=f"{path}{line}", says=f"{fault.place} {fault.says}", do=do)


def _keep(copy: Path, text: str) -> Iterator[Fault]:
    try:
        if not copy.exists() or copy.read_bytes() != text.encode():
            write_durably(copy, text.encode())
    except OSError as error:
        says = f"the configuration cannot be kept ({error.strerror}): a broken kiosk.toml would stop the next start"
        yield Fault(code="config", where=str(copy), says=says, do="make the folder writable; check for a full disk")


def write_durably(path: Path, data: bytes, mode: int = 0o640, group: int = -1) -> None:
    """Write a file so that a power cut leaves the old one or the new one, whole; OSError when it cannot be written.

    `group` is the number of the group that it belongs to, -1 for our own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    # the leaves read it too: they share our group, as they share that of kiosk.toml
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        if group >= 0:
            os.fchown(file.fileno(), -1, group)  # the hub may not: its service is shut out of changing owners
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# --- stayby check -----------------------------------------------------------------------------------------------------

Config = UnitConfig | BoardConfig | StoreConfig


def check(path: Path, now: datetime) -> tuple[str, Config]:
    """Return the text and the configuration of a unit, a store (the one with [store]) or a pager (the one with [responder]).

    `now` is aware of its time zone. Raises `ConfigFaults` with every fault of the text and of the
    files that it names.
    """
    text = read_text(path, MAX_STORE_BYTES)
    data = _tables(text)
    folder = path.absolute().parent
    if "store" in data:
        data = anchored(data, folder)
    else:
        text = read_text(path)
    faults: list[ConfigFault] = []
    config: Config | None = None
    try:
        config = _load(data, text, folder)
    except ConfigFaults as wrong:
        faults += wrong.faults
    faults += file_faults(data, text, path, now)
    if faults or config is None:
        raise ConfigFaults(faults)
    return text, config


def _load(data: Mapping[str, Any], text: str, folder: Path) -> Config:
    if "store" in data:
        return load_store(text, folder)
    return load_board(text) if "responder" in data else load_unit(text)


def _tables(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def file_faults(data: Mapping[str, Any], text: str, path: Path, now: datetime) -> Iterator[ConfigFault]:
    """Yield what is wrong with the files that the tables of a configuration name, as far as they name any."""
    tables = list(_sections(data))
    wrong: list[Wrong] = [fault for table in tables for fault in _credential_faults(*table, now)]
    yield from faults_at(text, [*wrong, *_model_faults(data), *_store_faults(data), *_open_faults(tables, path)])


Wrong = tuple[Loc, str, str]
Section = tuple[Loc, Mapping[str, Any]]


def _sections(data: Mapping[str, Any]) -> Iterator[Section]:
    """Yield each table, with where it stands."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield (name,), value
        elif isinstance(value, list):
            yield from (((name, number), one) for number, one in enumerate(value) if isinstance(one, dict))


def _named(table: Mapping[str, Any], key: str) -> Path | None:
    value = table.get(key)
    return Path(value) if isinstance(value, str) and value else None


def _credential_faults(loc: Loc, table: Mapping[str, Any], now: datetime) -> Iterator[Wrong]:
    readable = {}
    for key in ("ca_file", "cert_file", "key_file"):
        path = _named(table, key)
        if path is None:
            continue
        unreadable = _unreadable(path)
        if unreadable:
            yield (*loc, key), unreadable, "put the file there, readable for stayby"
        else:
            readable[key] = path
    if "ca_file" in readable:
        yield from _authority_faults(loc, readable["ca_file"], now)
    if "cert_file" in readable and "key_file" in readable:
        yield from _pair_faults(loc, readable["cert_file"], readable["key_file"], now)


def _unreadable(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return None


def _authority_faults(loc: Loc, ca_file: Path, now: datetime) -> Iterator[Wrong]:
    here = (*loc, "ca_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        yield here, f"{ca_file} holds no certificate in PEM form", "ask who runs the broker for its CA file"
        return
    if not context.get_ca_certs():
        yield here, f"{ca_file} holds no certificate authority", "name the CA's certificate, not the broker's"
        return
    yield from _expiry_faults(here, ca_file, now)


def _pair_faults(loc: Loc, cert_file: Path, key_file: Path, now: datetime) -> Iterator[Wrong]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # a pass phrase would be asked for on the terminal, where nobody sits when a unit starts
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            says = f"{key_file} is not the key of {cert_file}"
            yield (*loc, "key_file"), says, "name the two that were made together"
        else:
            says = f"{cert_file} and {key_file} do not load"
            yield (*loc, "cert_file"), says, "make both PEM, the key without pass phrase"
        return
    yield from _expiry_faults((*loc, "cert_file"), cert_file, now)


def _expiry_faults(loc: Loc, path: Path, now: datetime) -> Iterator[Wrong]:
    for valid in validities(path.read_text("ascii", errors="replace")):
        if valid.ends < now:
            says = f"{path} expired on {valid.ends:%Y-%m-%d %H:%M}Z"
            yield loc, says, "have it renewed and put the new one there"
        elif valid.begins > now:
            says = f"{path} is valid only from {valid.begins:%Y-%m-%d %H:%M}Z"
            yield loc, says, "check this machine's clock"


def _model_faults(data: Mapping[str, Any]) -> Iterator[Wrong]:
    listen = data.get("listen")
    if not isinstance(listen, dict):
        return
    folder = _named(listen, "model_dir") or PACKAGED_MODEL
    here = ("listen", "model_dir")
    try:
        manifest = parse_manifest((folder / "manifest.json").read_bytes(), "manifest.json")
    except OSError:
        says = f"{folder} holds no manifest.json that can be read"
        yield here, says, "name the folder of a model, or leave the setting out"
    except ManifestError as error:
        says, _, do = str(error).rpartition("; ")
        yield here, f"{folder}: {says}", do
    else:
        chosen = listen.get("covert_phrase")
        wrong = wrong_choice(manifest, chosen) if isinstance(chosen, str) else None
        if wrong is not None:
            yield ("listen", "covert_phrase"), *wrong


def _store_faults(data: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield what of a store or unit is not to be had on this machine: its time zone, the numbers of a PIN, its programs."""
    for loc, table in _sections(data):
        zone, pin, program = table.get("zone"), table.get("pin"), _named(table, "program")
        if loc == ("store",) and isinstance(zone, str) and zone and not is_zone(zone):
            yield ("store", "zone"), f"{zone[:60]!r} is no time zone", 'write it like "Europe/London", or leave it out'
        if loc[0] in {"staff", "service"} and isinstance(pin, str) and not _is_pin(pin):
            yield (*loc, "pin"), "is not what `stayby store pin` prints", "run it and put its line here"
        if loc[0] == "command" and program and not (program.is_file() and os.access(program, os.X_OK)):
            yield (
                (*loc, "program"),
                f"{program} is no program that can be run",
                f"put it there, and run: chmod +x {program}",
            )


def is_zone(zone: str) -> bool:
    """Return whether this machine knows the time zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_pin(stored: str) -> bool:
    try:
        check_stored(stored)
    except PinError:
        return not PIN.fullmatch(stored)  # said already, where the text was read
    return True


SECRETS = ("password", "pin", "secret")


def _open_faults(tables: Iterable[Section], path: Path) -> Iterator[Wrong]:
    """Yield secrets that every user of this machine can read."""
    secrets: list[tuple[Loc, Path]] = []
    own: list[tuple[Loc, Path]] = []
    for loc, table in tables:
        key_file = _named(table, "key_file")
        secrets += [((*loc, "key_file"), key_file)] if key_file else []
        own += [((*loc, key), path) for key in SECRETS if key in table]
    for loc, file in (*secrets, *own[:1]):
        if file.is_file() and file.stat().st_mode & stat.S_IROTH:
            yield loc, f"everybody on this machine can read {file}", f"run: chmod o= {file}"
