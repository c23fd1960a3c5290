"""What a technician sets: one `kiosk.toml` for a unit, one `board.toml` for a responder's pager.

Rules
- Every key is known; an unknown one is a fault, with the nearest known name beside it.
- All faults are found at once. A setting that nobody needs to turn is a constant elsewhere.
- Nothing is read here but the text that is handed in: files are opened by the processes.
"""

import ipaddress
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from kiosk.config_faults import (
    BOARD_PATTERN,
    COUNTRY_PATTERN,
    EMERGENCY_PATTERN,
    HOURS_PATTERN,
    OPTIONAL_NUMBER_PATTERN,
    ConfigFault,
    ConfigFaults,
    explain,
    key_lines,
    syntax_fault,
)
from kiosk.corners import Turned
from kiosk.messages import Id, Language, Name
from kiosk.numbers import NUMBERS

PIN = re.compile(r"scrypt\$\d+\$\d+\$\d+\$[\w=-]+\$[\w=-]+", re.ASCII)
"""What `kiosk.pins` makes of a PIN; whether its numbers are sound is said by `stayby check`."""
Seconds = Annotated[float, Field(gt=0, le=3600)]
File = Annotated[Path, Field(strict=False)]
M = TypeVar("M", bound=BaseModel)


class Section(BaseModel):
    """A table of the file: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class UnitSection(Section):
    """Where the unit stands and what it says of the place."""

    store: Id
    """The store's id, as in the topic tree."""
    id: Id
    """The unit's id, unique in its store."""
    place: Name
    """What staff and customers call the desk: "Service desk 3"."""
    address: str = Field(min_length=1, max_length=200)
    """What to tell an emergency service: street, town, entrance, floor."""
    emergency_number: str = Field(default="112", pattern=EMERGENCY_PATTERN)
    """The number that the emergency page shows; that of `country` if unset."""
    phone: str = Field(default="", max_length=30)
    """A phone number at the desk, if there is one."""
    country: str = Field(default="", pattern=COUNTRY_PATTERN)
    """The country, ISO 3166, two letters ("GB"): it gives the two numbers where they are unset, and chooses guidance."""
    police_number: str = Field(default="", pattern=OPTIONAL_NUMBER_PATTERN)
    """The police's number, where it is another one; that of `country` if unset."""
    defibrillator: str = Field(default="", max_length=80)
    """Where the nearest defibrillator hangs, in words that a stranger can follow."""
    refuge: str = Field(default="", max_length=80)
    """Where people are, should this unit be unable to call: "the pharmacy counter"."""
    meet: str = Field(default="", max_length=80)
    """Where an ambulance crew is met: "the east door"."""
    board: str = Field(default="", pattern=BOARD_PATTERN)
    """The staff's board, where the unit fetches its renewed certificate: "https://board.harbour.example:8443"."""
    state_dir: File = Path("/var/lib/stayby")
    """The one writable folder: the open incident and what is still to be sent."""
    run_dir: File = Path("/run/stayby")
    """Where the bus socket lives while the unit runs."""

    @model_validator(mode="before")
    @classmethod
    def _numbers_of_country(cls, given: object) -> object:
        """Fill the numbers that are not set with those of the country; one number for both is said once."""
        country = given.get("country") if isinstance(given, dict) else None
        numbers = NUMBERS.get(country) if isinstance(country, str) else None
        if numbers is None or not isinstance(given, dict):
            return given
        filled = {"emergency_number": numbers.ambulance, **given}
        police = "" if filled["emergency_number"] == numbers.police else numbers.police
        return {"police_number": police, **filled}

    @field_validator("country")
    @classmethod
    def _known_country(cls, country: str) -> str:
        if country and country not in NUMBERS:
            wrong = f"the numbers of {country} are not known here"
            raise ValueError(f"{wrong}: leave country out, and set emergency_number and police_number")
        return country


CREDENTIALS = ("cert_file", "key_file", "username", "password")


def wrong_credentials(given: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with a broker table in which these of the four credentials are given."""
    for pair in (CREDENTIALS[:2], CREDENTIALS[2:]):
        if len(set(pair) & set(given)) == 1:
            yield f"{pair[0]} and {pair[1]} go together: set both or neither"
    if not set(CREDENTIALS) & set(given):
        yield "nothing to sign in with: set cert_file and key_file, or username and password"


class BrokerSection(Section):
    """How to reach the store's MQTT broker. Always TLS; a certificate or a password of our own."""

    host: str = Field(min_length=1)
    """Host name or address, as in the broker's certificate."""
    port: int = Field(default=8883, ge=1, le=65535)
    """TCP port."""
    ca_file: File
    """The certificate authority that signed the broker's certificate (PEM)."""
    cert_file: File | None = None
    """Our own certificate (PEM), unless a password is used."""
    key_file: File | None = None
    """The key to `cert_file` (PEM)."""
    username: str | None = None
    """User name, if the broker wants one."""
    password: SecretStr | None = None
    """Password to `username`."""

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        for wrong in wrong_credentials([name for name in CREDENTIALS if getattr(self, name) is not None]):
            raise ValueError(wrong)
        return self


class ButtonSection(Section):
    """The panic button on its serial port."""

    port: str = Field(min_length=1)
    """A path that survives replugging: /dev/stayby-button by our udev rule, or /dev/serial/by-path/..."""


class ListenSection(Section):
    """The ear."""

    device: str = "default"
    """The ALSA capture device, as `arecord -D` takes it, best by its card's name; `default` finds the only one, too."""
    model_dir: File | None = None
    """The folder of a model and its manifest; the packaged English one if unset."""
    hours: str | None = Field(default=None, pattern=HOURS_PATTERN)
    """When voice listens at all, local time, "08:00-21:00"; always if unset or with equal ends. Button and touch always work."""
    covert_phrase: str | None = None
    """One of the model's covert phrases: it calls staff, and nothing at the desk shows it."""
    second_look: Literal["auto", "off"] = "auto"
    """Look again at what may be distress before it counts: where it is installed, or never."""


class EscalationSection(Section):
    """Who is asked, and how long each has."""

    tiers: tuple[Name, ...] = Field(default=("the staff", "the manager"), min_length=1, max_length=9, strict=False)
    """What each tier is called on the screen, first asked first."""
    check_s: Seconds = 12.0
    """A heard person's time to answer "Do you need help?" before more staff are asked."""
    escalate_s: Seconds = 30.0
    """A tier's time to answer before the next is asked too."""
    eta_grace_s: Seconds = 30.0
    """How late a responder may be before they are asked again, and the next tier with them."""
    check_in_s: Seconds = 60.0
    """Time between two "Are you still OK?" while somebody waits."""
    check_in_answer_s: Seconds = 20.0
    """Time to answer one; silence makes the incident grave."""
    resend_s: Seconds = 5.0
    """An unanswered alert is sent again this often."""


class UiSection(Section):
    """The screen."""

    width: int = Field(default=800, ge=320, le=4096)
    """Width in pixels of the window, or of the panel in fullscreen."""
    height: int = Field(default=480, ge=320, le=4096)
    """Height in pixels."""
    fullscreen: bool = True
    """Fill the panel; false shows a window."""
    language: Language = Field(default=Language.ENGLISH, strict=False)
    """What the screen speaks until somebody chooses another: en, es, fr, zh, ar or hi."""
    night: str | None = Field(default=None, pattern=HOURS_PATTERN)
    """When the screen is dark, dim and quieter, local time, "21:00-07:00"; never if unset, all day with equal ends."""
    touch: Turned | None = Field(default=None, strict=False)
    """How the touch panel lies behind its picture: "right", "mirrored-x", "turned-180", …; as its four corners said if unset."""


class SpeakerSection(Section):
    """The speaker that reads the screen's texts aloud."""

    device: str = "default"
    """The ALSA playback device, as `aplay -D` takes it."""
    volume_percent: int = Field(default=80, ge=0, le=100)
    """How loud by day."""
    night_volume_percent: int = Field(default=40, ge=0, le=100)
    """How loud within [ui] night."""


class ServiceSection(Section):
    """The technician's pages on the screen."""

    pin: SecretStr
    """What `stayby store pin` printed for their PIN; without it the pages stay shut."""

    @field_validator("pin")
    @classmethod
    def _pin_was_made_by_us(cls, pin: SecretStr) -> SecretStr:
        if not PIN.fullmatch(pin.get_secret_value()):
            raise ValueError("is not what `stayby store pin` prints: run it and put its line here")
        return pin


class UnitConfig(Section):
    """A unit's whole `kiosk.toml`. A missing [button], [listen], [speaker] or [service] is a unit without one."""

    unit: UnitSection
    broker: BrokerSection
    button: ButtonSection | None = None
    listen: ListenSection | None = None
    escalation: EscalationSection = EscalationSection()
    ui: UiSection = UiSection()
    speaker: SpeakerSection | None = None
    service: ServiceSection | None = None


class ResponderSection(Section):
    """Whose device this is."""

    store: Id
    """The store whose units this responder answers."""
    id: Id
    """The responder's id, as in the topic tree; the broker lets only them write it."""
    name: Name
    """What the customer reads: "Sam is coming"."""
    tier: int = Field(default=1, ge=1, le=9)
    """1 is asked first."""


class ServeSection(Section):
    """Where the board's page is served."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port; 0 takes a free one and says which."""
    cert_file: File | None = None
    """The page's own certificate (PEM): without one it is served to this machine only."""
    key_file: File | None = None
    """The key to `cert_file` (PEM)."""
    ca_file: File | None = None
    """The store's own authority that signed `cert_file` (PEM): phones get its certificate at /store-ca. Not for a public one."""
    names: tuple[str, ...] = Field(default=(), max_length=20, strict=False)
    """Further names under which people open it, "board.harbour.example"; the first stands in invitations."""
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    """Who sends this as a bearer token may read `/metrics`; without it and `metrics_from` there is no such page."""
    metrics_from: tuple[str, ...] = Field(default=(), max_length=20, strict=False)
    """From which addresses or networks `/metrics` may be read, "10.0.0.5" or "10.0.0.0/24"; with a token as well, both count."""
    proxies: tuple[str, ...] = Field(default=(), max_length=20, strict=False)
    """Addresses of the reverse proxy that serves it by TLS: who asks is believed from these alone."""

    @property
    def tls(self) -> bool:
        """Whether people reach the page by TLS, its own or a proxy's."""
        return self.cert_file is not None or bool(self.proxies)

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for one in proxies:
            try:
                ipaddress.ip_network(one)
            except ValueError:
                raise ValueError(f'{one!r} is no address; write it like "127.0.0.1" or "10.0.0.0/24"') from None
        return proxies

    @field_validator("metrics_from")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            try:
                ip_network(one)
            except ValueError:
                says = f'{one[:40]!r} is no address and no network: write it like "10.0.0.5" or "10.0.0.0/24"'
                raise ValueError(says) from None
        return given

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: set both or neither")
        return self


class BoardConfig(Section):
    """A responder's whole `board.toml`."""

    responder: ResponderSection
    broker: BrokerSection


# --- from text to configuration ---------------------------------------------------------------------------------------


def load_unit(text: str) -> UnitConfig:
    """Return the unit's configuration in the TOML `text`; raise `ConfigFaults` with every fault that it has."""
    return load(UnitConfig, text)


def load_board(text: str) -> BoardConfig:
    """Return the responder's configuration in the TOML `text`; raise `ConfigFaults` with every fault that it has."""
    return load(BoardConfig, text)


def load(model: type[M], text: str, data: dict[str, Any] | None = None) -> M:
    """Return the configuration of this kind in the TOML `text`; raise `ConfigFaults` with every fault that it has.

    `data` are its tables, where the caller has them already.
    """
    data = parse(text) if data is None else data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = explain(model, data, text, error)
        raise ConfigFaults([*faults, *_hidden(data, text, error.errors())]) from None


def parse(text: str) -> dict[str, Any]:
    """Return the tables of the TOML `text`; raise `ConfigFaults` when it is none."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigFaults([syntax_fault(error)]) from None


def _hidden(data: Mapping[str, Any], text: str, errors: list[ErrorDetails]) -> Iterator[ConfigFault]:
    """Yield what pydantic does not look at while a setting of the same table is wrong: whether the credentials fit."""
    broker = data.get("broker")
    of_broker = [each for each in errors if each["loc"][:1] == ("broker",)]
    whole_or_typo = any(len(each["loc"]) == 1 or each["type"] == "extra_forbidden" for each in of_broker)
    if not of_broker or whole_or_typo or not isinstance(broker, dict):
        return
    for wrong in wrong_credentials(broker):
        says, _, do = wrong.partition(": ")
        yield ConfigFault("[broker]", key_lines(text).get(("broker",)), says, do)
