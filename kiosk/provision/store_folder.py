"""A store's folder on its manager's machine: its authority, and what goes to the board's machine, the broker's and the units.

    authority/   the key that lets anybody in; goes nowhere
    board/       /etc/stayby on the machine of the board: store.toml, certificates, claims/, updates/
    broker/      /etc/mosquitto on the machine of the broker
    papers/      one page for each unit, with the code of its claim
    unit.toml    what the kiosk.toml of every unit of this store begins with

Whatever is done here leaves the register first and store.toml last: after a power cut the same command is simply run again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from kiosk.broker_files import (
    REVOCATIONS,
    acl_of,
    board_user,
    home_assistant_user,
    mosquitto_text,
    relay_user,
    staff_user,
    unit_user,
)
from kiosk.config import UnitConfig, load_unit
from kiosk.config_file import MAX_STORE_BYTES, read_store, read_text, write_durably
from kiosk.provision import claim, seal, toml_lines
from kiosk.provision.authority import (
    Authority,
    AuthorityError,
    Entry,
    Use,
    free_folder,
    new_key,
    private_pem,
    public_key,
)
from kiosk.provision.paper import paper
from kiosk.store_config import StoreConfig, load_store

AUTHORITY, BOARD, BROKER, PAPERS, CLAIMS = "authority", "board", "broker", "papers", "claims"
UPDATES = "updates"
HOME = "home-assistant"
STORE_TOML, UNIT_TOML, CA = "store.toml", "unit.toml", "ca.pem"
RENEW_BEFORE = timedelta(days=90)
BROKER_FOLDER = Path("/etc/mosquitto")
BROKER_FILE = "broker.json"
CERTIFICATE = claim.CERTIFICATE_SUFFIX

UNIT_FILES = {"ca_file": "ca.pem", "cert_file": "unit.pem", "key_file": "unit.key"}
"""How a claim's kiosk.toml names its files; the unit that joins says in which folder."""
UNIT_TEXT = """\
# A unit of this store. Every option: docs/config.md. What stands in the unit.toml of the store's folder, every new unit gets.

"""
BUTTON_AND_SOUND = """
[button]
port = "/dev/stayby-button"

[listen]
device = "default"

[speaker]
device = "default"

# The technician's pages on the screen. `stayby store pin` prints the line; without it they stay shut.
# [service]
# pin = "scrypt$…"
"""


class BrokerPlace(BaseModel):
    """Where the broker reads its files, and as whom it runs."""

    folder: Path
    user: str


@dataclass(frozen=True)
class NewStore:
    """What is asked of a new store. `broker` and `board` are the names by which units and phones find them."""

    id: str
    name: str
    broker: str
    board: str
    zone: str
    country: str
    address: str
    manager_id: str
    manager_name: str
    broker_port: int = 8883
    board_port: int = 8443
    broker_folder: Path = BROKER_FOLDER
    broker_user: str = "mosquitto"


@dataclass(frozen=True)
class Claimed:
    """A claim that was made: its code, its file, the page for printing, and the address at which the board hands it out."""

    code: str
    file: Path
    paper: Path
    address: str
    ends: datetime


@dataclass(frozen=True)
class Revoked:
    """What a revocation took back: the user, and how many certificates that still held."""

    user: str
    certificates: int
    rota_lines_gone: int


class StoreFolder:
    """The folder of one store, which `create` made. Raises `AuthorityError`, `ConfigFaults` and `OSError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / AUTHORITY)

    @property
    def store_toml(self) -> Path:
        """Return where the store.toml is."""
        return self.folder / BOARD / STORE_TOML

    def _broker(self) -> BrokerPlace:
        return BrokerPlace.model_validate_json((self.folder / AUTHORITY / BROKER_FILE).read_bytes())

    def store(self) -> StoreConfig:
        """Return the store as it is now."""
        return read_store(self.store_toml)

    # --- units --------------------------------------------------------------------------------------------------------

    def add_unit(
        self, unit: str, place: str, more: Mapping[str, str], now: datetime, *, again: bool = False
    ) -> Claimed:
        """Make the certificate and the claim of a unit, and name it in store.toml; `again`: for a unit that is there."""
        with self.authority.alone():
            text, before = self._text(), self.store()
            known = next((one for one in before.unit if one.id == unit), None)
            _fits(unit, known is not None, again=again)
            if known is None:
                text = toml_lines.with_entry(text, "unit", {"id": unit, "place": place})
            after = load_store(text, self.store_toml.parent)
            kiosk = self._kiosk_text(unit, known.place if known else place, more)
            self.authority.revoke(unit_user(unit), now)
            claimed = self._claim(unit, kiosk, after, now)
            self.finish(after, text, now)
            return claimed

    def _kiosk_text(self, unit: str, place: str, more: Mapping[str, str]) -> str:
        text = _with_identity(read_text(self.folder / UNIT_TOML), unit, place, more)
        load_unit(text)
        return text

    def _claim(self, unit: str, kiosk: str, store: StoreConfig, now: datetime) -> Claimed:
        key, code = new_key(), seal.new_code()
        certificate = self.authority.issue(unit_user(unit), key.public_key(), now)
        sealed = claim.Sealed(
            kiosk=kiosk, ca=self.authority.pem, certificate=certificate, key=private_pem(key).decode()
        )
        file = self.folder / BOARD / CLAIMS / f"{unit}{claim.SUFFIX}"
        write_durably(file, seal.seal(store.store.id, unit, sealed, code, now), 0o640)
        (file.with_suffix(CERTIFICATE)).unlink(missing_ok=True)
        made = Claimed(
            code, file, self.folder / PAPERS / f"{unit}.html", _address(load_unit(kiosk), unit), now + seal.LASTS
        )
        write_durably(made.paper, paper(store, unit, made.code, made.address, made.ends).encode(), 0o600)
        return made

    # --- staff --------------------------------------------------------------------------------------------------------

    def add_staff(self, staff: str, name: str, role: str, now: datetime) -> None:
        """Make the key and the certificate of one of the staff, and name them in store.toml."""
        with self.authority.alone():
            if staff in {one.id for one in self.store().staff}:
                raise AuthorityError(f"{staff} is in store.toml already; choose another id")
            text = toml_lines.with_entry(self._text(), "staff", _staff_values(staff, name, role))
            after = load_store(text, self.store_toml.parent)
            self.authority.revoke(staff_user(staff), now)
            self.make_pair(BOARD, staff_user(staff), staff_user(staff), now)
            self.finish(after, text, now)

    def add_relay(self, now: datetime, *, home_assistant: bool) -> None:
        """Make the relay's key and certificate, and name it in store.toml; for Home Assistant too, in a folder of its own."""
        with self.authority.alone():
            store, text = self.store(), self._text()
            if store.relay is None:
                values = {"cert_file": "relay.pem", "key_file": "relay.key"}
                text = f"{text.rstrip()}\n\n{toml_lines.entry('[relay]', values)}"
            if home_assistant and store.home_assistant is None:
                text = f"{text.rstrip()}\n\n{toml_lines.entry('[home_assistant]', {})}"
            after = load_store(text, self.store_toml.parent)
            users = [(BOARD, "relay", relay_user(store.store.id))]
            users += [(HOME, HOME, home_assistant_user(store.store.id))] if home_assistant else []
            for part, file, user in users:
                self.authority.revoke(user, now)
                self.make_pair(part, file, user, now)
            if home_assistant:
                write_durably(self.folder / HOME / CA, self.authority.pem.encode(), 0o644)
            self.finish(after, text, now)

    # --- taking back --------------------------------------------------------------------------------------------------

    def revoke(self, user: str, now: datetime) -> Revoked:
        """Take back all that a unit or one of the staff has: certificates, claim, rights at the broker, place in store.toml."""
        with self.authority.alone():
            before = self.store()
            text, gone = without_user(self._text(), before, user)
            after = load_store(text, self.store_toml.parent)
            certificates = self.authority.revoke(user, now)
            kind, _, name = user.partition("-")
            files = [self.folder / PAPERS / f"{name}.html", *(self.folder / BOARD / CLAIMS).glob(f"{name}.*")]
            files = files if kind == "unit" else [self.folder / BOARD / f"{user}{tail}" for tail in (".pem", ".key")]
            for file in files:
                file.unlink(missing_ok=True)
            self.finish(after, text, now)
            return Revoked(user, certificates, gone)

    # --- renewing -----------------------------------------------------------------------------------------------------

    def renew(self, now: datetime, before: timedelta = RENEW_BEFORE) -> list[Entry]:
        """Sign anew, for the same keys, whatever ends within `before`; return what was signed."""
        with self.authority.alone():
            store, done = self.store(), []
            for old in self.authority.newest(now):
                place = self._certificate_of(old, store)
                if old.ends - now > before or place is None:
                    continue
                pem = self.authority.issue(old.user, public_key(old.public_key), now, use=old.use, names=old.names)
                write_durably(place, pem.encode(), 0o644)
                done.append(self.authority.register.entries[-1])
            self._drop_ended_claims(now)
            return done

    def _certificate_of(self, entry: Entry, store: StoreConfig) -> Path | None:
        """Return where the certificate of an entry lies; None when nobody needs it any more."""
        if entry.use == "server":
            return self.folder / (BROKER if entry.user == "broker" else BOARD) / f"{entry.user}{CERTIFICATE}"
        if entry.user == board_user(store.store.id):
            return self.folder / BOARD / f"board{CERTIFICATE}"
        if entry.user == relay_user(store.store.id):
            return self.folder / BOARD / f"relay{CERTIFICATE}"
        if entry.user == home_assistant_user(store.store.id):
            return self.folder / HOME / f"{HOME}{CERTIFICATE}"
        if entry.user in {staff_user(one.id) for one in store.staff}:
            return self.folder / BOARD / f"{entry.user}{CERTIFICATE}"
        unit = entry.user.removeprefix(unit_user(""))
        known = entry.use == "client" and unit in {one.id for one in store.unit}
        return self.folder / BOARD / CLAIMS / f"{unit}{CERTIFICATE}" if known else None

    def _drop_ended_claims(self, now: datetime) -> None:
        for file in (self.folder / BOARD / CLAIMS).glob(f"*{claim.SUFFIX}"):
            if _is_over(file, now):
                file.unlink()
                (self.folder / PAPERS / f"{file.stem}.html").unlink(missing_ok=True)

    # --- files --------------------------------------------------------------------------------------------------------

    def make_pair(self, part: str, file: str, user: str, now: datetime, *, names: tuple[str, ...] = ()) -> None:
        """Make a key and its certificate in one of the parts; with `names` it is a server's."""
        key = new_key()
        use: Use = "server" if names else "client"
        certificate = self.authority.issue(user, key.public_key(), now, use=use, names=names)
        write_durably(self.folder / part / f"{file}.key", private_pem(key), 0o600)
        write_durably(self.folder / part / f"{file}{CERTIFICATE}", certificate.encode(), 0o644)

    def _text(self) -> str:
        return read_text(self.store_toml, MAX_STORE_BYTES)

    def finish(self, store: StoreConfig, text: str, now: datetime) -> None:
        """Write the broker's files of a store, and then its store.toml."""
        self._write_broker(store, now)
        write_durably(self.store_toml, text.encode(), 0o640)

    def _write_broker(self, store: StoreConfig, now: datetime) -> None:
        """Write what mosquitto reads: its configuration, who may do what, and what was taken back."""
        runs = self._broker()
        conf = mosquitto_text(
            runs.folder,
            "",
            store.broker.port,
            "certificate",
            run_as=runs.user,
            units=len(store.unit),
            revocations=True,
        )
        for name, text in (
            ("mosquitto.conf", conf),
            ("acl", acl_of(store)),
            (REVOCATIONS, self.authority.revocations(now)),
        ):
            write_durably(self.folder / BROKER / name, text.encode(), 0o600)


def _is_over(file: Path, now: datetime) -> bool:
    try:
        return claim.read(file.read_bytes()).ends < now
    except claim.BadClaim:
        return True  # nobody can join by it


def _fits(unit: str, known: bool, *, again: bool) -> None:
    if known and not again:
        says = f"{unit} is in store.toml already"
        raise AuthorityError(f"{says}; choose another id, or say --again: a new claim, and what it had is revoked")
    if again and not known:
        raise AuthorityError(f"{unit} is not in store.toml; leave --again out")


def _address(unit: UnitConfig, name: str) -> str:
    return f"{unit.unit.board}{claim.PATH}/{name}"


def without_user(text: str, store: StoreConfig, user: str) -> tuple[str, int]:
    """Return store.toml without a unit or one of the staff, and how many lines of the rota went with them."""
    table = "unit" if user.startswith(unit_user("")) else "staff"
    key, name = ("desks" if table == "unit" else "staff"), user.partition("-")[2]
    gone = 0
    for number in reversed(range(len(store.rota))):
        named = store.rota[number].desks if table == "unit" else store.rota[number].staff
        if name not in named:
            continue
        left = [one for one in named if one != name]
        gone += not left  # a line without desks would hold at all of them
        text = (
            toml_lines.with_value(text, ("rota", number), key, left)
            if left
            else toml_lines.without_entry(text, "rota", number)
        )
    ids = [one.id for one in (store.unit if table == "unit" else store.staff)]
    return toml_lines.without_entry(text, table, ids.index(name)), gone


# --- a new store ------------------------------------------------------------------------------------------------------


def create(folder: Path, new: NewStore, now: datetime) -> StoreFolder:
    """Make the folder of a new store; raise `AuthorityError` or `ConfigFaults`, and then leave none."""
    free_folder(folder)
    store = load_store(_store_text(new))  # whatever of the answers cannot be is said before anything is made
    load_unit(_with_identity(_unit_text(new), "unit-1", "Service desk", {}))
    for part in ("", BOARD, BROKER, PAPERS, f"{BOARD}/{CLAIMS}", f"{BOARD}/{UPDATES}"):
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority.create(folder / AUTHORITY, new.id, new.name, now)
    place = BrokerPlace(folder=new.broker_folder, user=new.broker_user)
    write_durably(folder / AUTHORITY / BROKER_FILE, place.model_dump_json().encode(), 0o600)
    write_durably(folder / UNIT_TOML, _unit_text(new).encode(), 0o600)
    for part in (BOARD, BROKER):
        write_durably(folder / part / CA, authority.pem.encode(), 0o644)
    made = StoreFolder(folder)
    made.make_pair(BROKER, "broker", "broker", now, names=(new.broker,))
    made.make_pair(BOARD, "page", "page", now, names=(new.board,))
    made.make_pair(BOARD, "board", board_user(new.id), now)
    made.make_pair(BOARD, staff_user(new.manager_id), staff_user(new.manager_id), now)
    made.finish(store, _store_text(new), now)
    return made


def _store_text(new: NewStore) -> str:
    tables: dict[str, Mapping[str, toml_lines.Value]] = {
        "[store]": {"id": new.id, "name": new.name, "zone": new.zone, "claims_dir": CLAIMS, "updates_dir": UPDATES},
        "[broker]": {
            "host": new.broker,
            "port": new.broker_port,
            "ca_file": CA,
            "cert_file": "board.pem",
            "key_file": "board.key",
        },
        "[serve]": {
            "host": "0.0.0.0",  # noqa: S104 - what phones are meant to reach, over TLS alone
            "port": new.board_port,
            "cert_file": "page.pem",
            "key_file": "page.key",
            "ca_file": CA,
            "names": [new.board],
        },
        "[[staff]]": _staff_values(new.manager_id, new.manager_name, "manager"),
    }
    return "\n".join(toml_lines.entry(heading, values) for heading, values in tables.items())


def _staff_values(staff: str, name: str, role: str) -> dict[str, toml_lines.Value]:
    user = staff_user(staff)
    return {"id": staff, "name": name, "role": role, "cert_file": f"{user}.pem", "key_file": f"{user}.key"}


def _unit_text(new: NewStore) -> str:
    unit = {"store": new.id, "address": new.address, "country": new.country}
    unit["board"] = f"https://{new.board}:{new.board_port}"
    broker: dict[str, toml_lines.Value] = {"host": new.broker, "port": new.broker_port}
    return UNIT_TEXT + toml_lines.entry("[unit]", unit) + "\n" + toml_lines.entry("[broker]", broker) + BUTTON_AND_SOUND


def _with_identity(text: str, unit: str, place: str, more: Mapping[str, str]) -> str:
    for key, value in {**more, "place": place, "id": unit}.items():
        text = toml_lines.with_value(text, ("unit",), key, value)
    for key, file in reversed(UNIT_FILES.items()):
        text = toml_lines.with_value(text, ("broker",), key, file)
    return text
