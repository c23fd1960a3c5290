"""What a store's manager sets, in one `store.toml`: staff, who is asked first and when, units, broker, board.

Rules
- Pure, like `config.py`, and by the same rules: every key known, all faults at once, nothing read but the text handed in.
- Everything that staff's side needs to know of a store is here and nowhere else: the board, the relay and the broker's rules of
  access are made from it.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from kiosk.config import CREDENTIALS, PIN, BrokerSection, File, Section, ServeSection, load, parse, wrong_credentials
from kiosk.config_faults import HOURS_PATTERN, ConfigFaults, Loc, faults_at
from kiosk.messages import PREFIX, Id, Name, Tier

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Role = Literal["staff", "manager"]
FILE_KEYS = ("_file", "_dir", "program")
"""So do the names of the options end that name a file."""
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]


class StoreSection(Section):
    """The store."""

    id: Id
    """The store's id, as in the topic tree."""
    name: Name
    """What people call it: "Harbour Stores"."""
    zone: str = Field(default="", max_length=60)
    """The time zone of its clocks, "Europe/London"; this machine's own if unset."""
    state_dir: File = Path("/var/lib/stayby-board")
    """The folder of the board's own memory: sessions, and what is kept of incidents."""
    claims_dir: File = Path("/etc/stayby/claims")
    """The folder of the claims and renewed certificates that the board hands to the units."""
    updates_dir: File = Path("/etc/stayby/updates")
    """The folder of the signed packages that the board hands to the units."""
    contact: str = Field(default="", max_length=120)
    """Whom a manager or a technician turns to, as printed on reports."""


class StaffSection(Section):
    """One of the staff."""

    id: Id
    """Their id, as in the topic tree; the broker lets only them write it."""
    name: Name
    """What the customer reads: "Sam is coming"."""
    role: Role = "staff"
    """What they may do on the board: answer, or also see reports, sessions and follow-ups (manager)."""
    pin: SecretStr | None = None
    """What `stayby store pin` printed for their PIN; without it they sign in by an invitation only."""
    cert_file: File | None = None
    """Their certificate at the broker (PEM)."""
    key_file: File | None = None
    """The key to `cert_file` (PEM)."""
    username: str | None = None
    """User name at the broker, where it uses passwords."""
    password: SecretStr | None = None
    """Password to `username`."""

    @field_validator("pin")
    @classmethod
    def _pin_was_made_by_us(cls, pin: SecretStr | None) -> SecretStr | None:
        if pin is not None and not PIN.fullmatch(pin.get_secret_value()):
            raise ValueError("is not what `stayby store pin` prints: run it and put its line here")
        return pin


class RotaSection(Section):
    """Some staff, on a tier, at some desks, at some hours. Whoever is in no line that holds now is on the last tier."""

    tier: Tier
    """1 is asked first."""
    staff: tuple[Id, ...] = Field(min_length=1, strict=False)
    """Who."""
    desks: tuple[Id, ...] = Field(default=(), strict=False)
    """At which units; all if unset."""
    days: tuple[Day, ...] = Field(default=(), strict=False)
    """On which days; all if unset. Hours that pass midnight belong to the day on which they begin."""
    hours: str | None = Field(default=None, pattern=HOURS_PATTERN)
    """Local time, "08:00-16:00"; all day if unset or with equal ends."""


class StoreUnitSection(Section):
    """One unit of the store."""

    id: Id
    """The unit's id."""
    place: Name
    """What staff call the desk: "Service desk 3"."""


class KeepSection(Section):
    """How long what is kept of incidents stays. What is over its time is deleted in the night after, or when the board starts."""

    incident_days: int = Field(default=90, ge=1, le=3650)
    """Timelines, outcomes and notes."""
    contact_days: int = Field(default=14, ge=1, le=90)
    """What a customer left for the next day's call."""
    report_weeks: int = Field(default=104, ge=1, le=520)
    """The weekly figures, which name nobody."""


class NormSection(Section):
    """What the store has set itself; the report says how it went. Nothing here changes what the units do."""

    answer_s: float = Field(default=30.0, gt=0, le=600)
    """A human answers within this."""
    false_alarms_per_week: float = Field(default=2.0, ge=0, le=100)
    """So many false alarms of a unit, or of a phrase at a unit, are borne."""
    drill_days: int = Field(default=30, ge=1, le=365)
    """A drill at least this often."""
    proven_hours: int = Field(default=36, ge=1, le=2160)
    """Each unit is proven at least this often; the fleet's list says which were not."""


class RelaySection(Section):
    """As which `stayby relay` signs in at the broker of [broker], with a certificate or a password of its own."""

    cert_file: File | None = None
    """Its certificate (PEM), unless a password is used."""
    key_file: File | None = None
    """The key to `cert_file` (PEM)."""
    username: str | None = None
    """User name, if the broker wants one."""
    password: SecretStr | None = None
    """Password to `username`."""
    state_dir: File = Path("/var/lib/stayby-relay")
    """The folder of what is still to be told."""

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        for wrong in wrong_credentials([name for name in CREDENTIALS if getattr(self, name) is not None]):
            raise ValueError(wrong)
        return self


class HomeAssistantSection(Section):
    """Home Assistant on the same broker: `stayby relay` tells it of the units. A secondary way: no unit waits for it."""

    prefix: str = Field(default="homeassistant", pattern=r"^[A-Za-z0-9_/-]{1,60}$")
    """Its discovery prefix."""
    drill_by: Id | None = None
    """Who of [[staff]] begins the drill when somebody touches a unit's drill button there; without it there is no such button."""
    silent: bool = False
    """Tell it of covert calls too. Only where nobody at a desk can see its screens."""


class WebhookSection(Section):
    """An address that is told of each change of an incident, signed. A secondary way: no unit waits for it."""

    url: Url
    """Where to post."""
    secret: SecretStr = Field(min_length=16)
    """Signs each post (HMAC-SHA256, as Standard Webhooks have it); "whsec_" and Base64, or any text."""
    ca_file: File | None = None
    """The certificate authority of that address (PEM), where it is the store's own."""
    silent: bool = False
    """Tell it of covert calls too. Only where nobody at a desk can see or hear what comes of it."""


class NotifySection(Section):
    """A message by ntfy, Gotify or another service that Apprise knows. A secondary way: no unit waits for it."""

    url: SecretStr = Field(min_length=4)
    """The service as Apprise writes it: "ntfys://host/topic", "gotifys://host/token"."""
    silent: bool = False
    """Tell it of covert calls too. Only where nobody at a desk can see or hear the message."""


class CommandSection(Section):
    """A program that is run on each change of an alert, told as JSON on its standard input and with no arguments."""

    program: File
    """The program's whole path."""
    silent: bool = False
    """Run it for covert calls too. Only where nobody at a desk can see or hear what it does."""


class StoreConfig(Section):
    """A store's whole `store.toml`."""

    store: StoreSection
    broker: BrokerSection
    """As which the board itself reads and records."""
    serve: ServeSection = ServeSection()
    tiers: tuple[Name, ...] = Field(default=("the staff", "the manager"), min_length=1, max_length=9, strict=False)
    """What each tier is called, as in each unit's [escalation]."""
    staff: tuple[StaffSection, ...] = Field(min_length=1, max_length=500, strict=False)
    rota: tuple[RotaSection, ...] = Field(default=(), max_length=500, strict=False)
    unit: tuple[StoreUnitSection, ...] = Field(default=(), max_length=10_000, strict=False)
    keep: KeepSection = KeepSection()
    norm: NormSection = NormSection()
    relay: RelaySection | None = None
    home_assistant: HomeAssistantSection | None = None
    webhook: tuple[WebhookSection, ...] = Field(default=(), max_length=20, strict=False)
    notify: tuple[NotifySection, ...] = Field(default=(), max_length=20, strict=False)
    command: tuple[CommandSection, ...] = Field(default=(), max_length=20, strict=False)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for wrong in wrong_names(self.model_dump()):
            raise ValueError(f"{wrong.says}: {wrong.do}")
        return self


# --- what only the whole can tell -------------------------------------------------------------------------------------


class Wrong(NamedTuple):
    """What does not fit between tables: where, what is wrong, what to do now."""

    loc: Loc
    says: str
    do: str


TAKEN = frozenset({"staff", "board", "relay", "home-assistant"})
"""Names that the topics and the users of the broker have for their own: no unit and nobody is called so."""


def wrong_names(data: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield what does not fit between the tables of `data`, as far as they are what they should be."""
    yield from _twice(data, "staff")
    yield from _twice(data, "unit")
    yield from _strangers(data)
    yield from _half_given(data)
    yield from _taken(data)


def _entries(data: Mapping[str, Any], table: str) -> list[Mapping[str, Any]]:
    found = data.get(table)
    return [one if isinstance(one, dict) else {} for one in found] if isinstance(found, list | tuple) else []


def _known(data: Mapping[str, Any], table: str) -> list[str]:
    return [str(one.get("id", "")) for one in _entries(data, table)]


def _twice(data: Mapping[str, Any], table: str) -> Iterator[Wrong]:
    seen: dict[str, int] = {}
    for number, one in enumerate(_known(data, table)):
        if one and seen.setdefault(one, number) != number:
            says = f"{one!r} stands at [[{table}]] {seen[one] + 1} already"
            yield Wrong((table, number, "id"), says, "give each an id of their own")


def _strangers(data: Mapping[str, Any]) -> Iterator[Wrong]:
    for key, table in (("staff", "staff"), ("desks", "unit")):
        known = set(_known(data, table))
        for number, line in enumerate(_entries(data, "rota")):
            names = line.get(key)
            for name in names if isinstance(names, list | tuple) and known else ():
                if str(name) not in known:
                    yield _stranger(("rota", number, key), name, table, known)
    home = data.get("home_assistant")
    drill_by = home.get("drill_by") if isinstance(home, dict) else None
    staff = set(_known(data, "staff"))
    if drill_by is not None and str(drill_by) not in staff:
        yield _stranger(("home_assistant", "drill_by"), drill_by, "staff", staff)


def _stranger(loc: Loc, name: object, table: str, known: Collection[str]) -> Wrong:
    near = difflib.get_close_matches(str(name), known, n=1)
    do = f"did you mean `{near[0]}`?" if near else f"add them to [[{table}]], or take them out here"
    return Wrong(loc, f"{str(name)[:40]!r} is not among [[{table}]]", do)


def _half_given(data: Mapping[str, Any]) -> Iterator[Wrong]:
    for number, one in enumerate(_entries(data, "staff")):
        given = [key for key, value in one.items() if value is not None]
        for pair in (CREDENTIALS[:2], CREDENTIALS[2:]):
            if len(set(pair) & set(given)) == 1:
                yield Wrong(("staff", number), f"{pair[0]} and {pair[1]} go together", "set both or neither")


def _taken(data: Mapping[str, Any]) -> Iterator[Wrong]:
    for table in ("staff", "unit"):
        for number, one in enumerate(_known(data, table)):
            if one in TAKEN:
                yield Wrong((table, number, "id"), f"{one!r} is Stayby's own name on the broker", "choose another id")
    home = data.get("home_assistant")
    prefix = home.get("prefix") if isinstance(home, dict) else None
    if isinstance(prefix, str) and ("" in prefix.split("/") or prefix.split("/")[0] == PREFIX.split("/")[0]):
        says = f"{prefix!r} would open other topics to the relay"
        yield Wrong(("home_assistant", "prefix"), says, 'write one like "homeassistant", and no / at either end')


def anchored(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the tables of a store.toml, each file that it names without a leading / as one below `folder`."""

    def whole(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return anchored(value, folder)
        if isinstance(value, list):
            return [whole(key, one) for one in value]
        return str(folder / value) if value and isinstance(value, str) and key.endswith(FILE_KEYS) else value

    return {key: whole(key, value) for key, value in data.items()}


def load_store(text: str, folder: Path | None = None) -> StoreConfig:
    """Return the store's configuration in the TOML `text`; raise `ConfigFaults` with every fault that it has.

    Files that it names without a leading / lie below `folder`, that of the store.toml.
    """
    data = parse(text) if folder is None else anchored(parse(text), folder)
    wrong = list(wrong_names(data))
    try:
        config = load(StoreConfig, text, data)
    except ConfigFaults as faults:
        whole = [fault for fault in faults.faults if fault.place != "the file"]
        raise ConfigFaults([*whole, *faults_at(text, wrong)]) from None
    return config
