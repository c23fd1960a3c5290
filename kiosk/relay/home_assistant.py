"""What the relay says at the broker: Home Assistant's discovery of each unit, a flat state of it, and how the relay is.

Rules
- Pure: topics and payloads only, each a type, from which docs/asyncapi.yaml is made. Device-based discovery, as Home
  Assistant has it since 2024.11.
- The state is the relay's own topic, never the unit's: what a wall display must not show is not in it.
- Nothing looks safe that is not known: without the relay everything is unavailable, without the unit all but its connection
  and an alert that is still open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kiosk.broker_files import relay_command_topic, relayed_topic
from kiosk.messages import Fault, Record, Severity, State
from kiosk.relay.notice import SECONDARY, Facts, plain, text

Birth = Literal["online"]
"""What Home Assistant says when it has started, as plain text."""
Press = Literal["PRESS"]
"""What it says when somebody touched a unit's drill button, as plain text."""
BIRTH: Birth = "online"
PRESS: Press = "PRESS"
HEALTH_OF = "relay"
"""Stands for a unit in the topic of the relay's own health."""
NONE: Literal["none"] = "none"
STATES = tuple(one.value for one in State if one is not State.CLOSED)
SEVERITIES = (NONE, *(one.value for one in Severity))
OnOff = Literal["ON", "OFF"]
There = Literal["online", "offline"]
FAULTS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Desk:
    """What the relay knows of a unit besides its incident."""

    lives: bool
    faults: tuple[Fault, ...] = ()
    last_proven: datetime | None = None
    version: str = ""
    self_proven: datetime | None = None


class About(Record):
    """The open alert in words, "" without one."""

    says: str
    notice: str


class Wrong(Record):
    """What the unit reports as wrong: where, what, and what to do."""

    count: int
    faults: tuple[str, ...]


class DeviceState(Record):
    """What the entities of a unit's device read."""

    available: There
    connection: OnOff
    alert: OnOff
    state: State
    severity: Severity | Literal["none"]
    drill: OnOff
    faults: OnOff
    last_proven: datetime | None
    self_proven: datetime | None
    about: About
    wrong: Wrong


class Availability(Record):
    """Where an entity looks whether it is available."""

    topic: str
    value_template: str


class Component(Record):
    """One entity of a device; with nothing but its platform, one that goes."""

    platform: Literal["binary_sensor", "sensor", "button"]
    name: str | None = None
    unique_id: str | None = None
    value_template: str | None = None
    device_class: str | None = None
    entity_category: Literal["diagnostic"] | None = None
    options: tuple[str, ...] | None = None
    availability: tuple[Availability, ...] | None = None
    json_attributes_topic: str | None = None
    json_attributes_template: str | None = None
    command_topic: str | None = None
    payload_press: Press | None = None


class Device(Record):
    """A unit as one of Home Assistant's devices."""

    identifiers: tuple[str, ...]
    name: str
    manufacturer: str = "Stayby"
    model: str = "Unit"
    sw_version: str | None = None


class Origin(Record):
    """Who announces."""

    name: str = "stayby-relay"
    sw_version: str


class Discovery(Record):
    """The announcement of a unit's device, as Home Assistant's device discovery has it; what is null is left out."""

    device: Device
    origin: Origin
    availability: tuple[Availability, ...]
    availability_mode: Literal["all"] = "all"
    state_topic: str
    components: dict[str, Component]


class WayHealth(Record):
    """How one way is: `says` is what is wrong now, or ""."""

    way: str
    says: str
    waiting: int


class Health(Record):
    """How the relay is; retained, and its will says "offline"."""

    v: Literal[1] = 1
    state: There
    ways: tuple[WayHealth, ...] = ()
    says: str = ""


def birth_topic(prefix: str) -> str:
    """Return where Home Assistant says that it has started."""
    return f"{prefix}/status"


def discovery_topic(prefix: str, store: str, unit: str) -> str:
    """Return where a unit's device is announced, and with nothing in it removed."""
    return f"{prefix}/device/stayby_{store}_{unit}/config"


def state_topic(store: str, unit: str) -> str:
    """Return where the state of a unit's device is."""
    return relayed_topic(store, unit, "state")


def health_topic(store: str) -> str:
    """Return where the relay says how it is."""
    return relayed_topic(store, HEALTH_OF, "health")


def _on(so: object) -> OnOff:
    return "ON" if so else "OFF"


def _relay_there(store: str) -> Availability:
    return Availability(topic=health_topic(store), value_template="{{ value_json.state }}")


def _components(store: str, unit: str, *, drill: bool) -> dict[str, Component]:
    at, reads = state_topic(store, unit), "{{{{ value_json.{} }}}}"
    seen = {
        "alert": Component(
            platform="binary_sensor", name="Alert", device_class="safety",
            json_attributes_topic=at, json_attributes_template="{{ value_json.about | tojson }}",
        ),
        "state": Component(platform="sensor", name="State", device_class="enum", options=STATES),
        "severity": Component(platform="sensor", name="Severity", device_class="enum", options=SEVERITIES),
        "drilling": Component(platform="binary_sensor", name="Drill", entity_category="diagnostic"),
        "faults": Component(
            platform="binary_sensor", name="Faults", device_class="problem", entity_category="diagnostic",
            json_attributes_topic=at, json_attributes_template="{{ value_json.wrong | tojson }}",
        ),
        "last_proven": Component(
            platform="sensor", name="Last proven", device_class="timestamp", entity_category="diagnostic",
            availability=(_relay_there(store),),
        ),
        "self_proven": Component(
            platform="sensor", name="Tested itself", device_class="timestamp", entity_category="diagnostic",
            availability=(_relay_there(store),),
        ),
        "connection": Component(
            platform="binary_sensor", name="Connection", device_class="connectivity", entity_category="diagnostic",
            availability=(_relay_there(store),),
        ),
    }  # fmt: skip
    read = {"drilling": "drill"}
    parts = {
        key: one.model_copy(
            update={"unique_id": f"{_device_id(store, unit)}_{key}", "value_template": reads.format(read.get(key, key))}
        )
        for key, one in seen.items()
    }
    return {**parts, "drill": _drill_button(store, unit) if drill else Component(platform="button")}


def _drill_button(store: str, unit: str) -> Component:
    return Component(
        platform="button",
        name="Start the opening press",
        unique_id=f"{_device_id(store, unit)}_drill",
        command_topic=relay_command_topic(store, unit),
        payload_press=PRESS,
    )


def _device_id(store: str, unit: str) -> str:
    return f"stayby_{store}_{unit}"


def discovery(store: str, unit: str, place: str, desk: Desk | None, version: str, *, drill: bool) -> Discovery:
    """Return the announcement of a unit's device; `drill` adds the button that begins one."""
    told_version = plain(desk.version) if desk and desk.version else None
    state = state_topic(store, unit)
    return Discovery(
        device=Device(identifiers=(_device_id(store, unit),), name=f"Stayby {plain(place)}", sw_version=told_version),
        origin=Origin(sw_version=version),
        availability=(
            _relay_there(store),
            Availability(topic=state, value_template="{{ value_json.available }}"),
        ),
        state_topic=state,
        components=_components(store, unit, drill=drill),
    )


def _wrong(faults: Sequence[Fault]) -> Wrong:
    told = tuple(plain(f"{one.where}: {one.says}; {one.do}") for one in faults[:FAULTS_TOLD])
    return Wrong(count=len(faults), faults=told)


def state(facts: Facts | None, desk: Desk | None) -> DeviceState:
    """Return the state of a unit's device; of a unit that never reported (None), only that it does not."""
    open_now = facts if facts is not None and facts.open else None
    lives = desk is not None and desk.lives
    faults = desk.faults if desk else ()
    return DeviceState(
        available="online" if lives or open_now else "offline",
        connection=_on(lives),
        alert=_on(open_now),
        state=open_now.state if open_now else State.IDLE,
        severity=open_now.severity if open_now else NONE,
        drill=_on(open_now and open_now.drill),
        faults=_on(faults),
        last_proven=desk.last_proven if desk else None,
        self_proven=desk.self_proven if desk else None,
        about=About(says=text(open_now) if open_now else "", notice=SECONDARY),
        wrong=_wrong(faults),
    )
