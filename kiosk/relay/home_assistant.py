"""What Home Assistant is told by MQTT discovery: a device for each unit, and one flat state that its entities read.

Rules
- Pure: topics and payloads only. Device-based discovery, as Home Assistant has it since 2024.11.
- The state is the relay's own topic, never the unit's: what a wall display must not show is not in it.
- Nothing looks safe that is not known: without the relay everything is unavailable, without the unit all but its connection
  and an alert that is still open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kiosk.broker_files import relay_command_topic, relayed_topic
from kiosk.messages import Fault, State
from kiosk.relay.notice import SECONDARY, Facts, plain, text

BIRTH = b"online"
PRESS = b"PRESS"
HEALTH_OF = "relay"
"""Stands for a unit in the topic of the relay's own health."""
STATES = ["idle", "checking", "raised", "coming", "attended"]
SEVERITIES = ["none", "check", "alert", "grave"]
FAULTS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Desk:
    """What the relay knows of a unit besides its incident."""

    lives: bool
    faults: tuple[Fault, ...] = ()
    last_proven: datetime | None = None
    version: str = ""


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


def _on(so: object) -> str:
    return "ON" if so else "OFF"


def _relay_there(store: str) -> dict[str, Any]:
    return {"topic": health_topic(store), "value_template": "{{ value_json.state }}"}


def _component(platform: str, name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"platform": platform, "name": name, "value_template": f"{{{{ value_json.{key} }}}}", **more}


def _components(store: str, unit: str, *, drill: bool) -> dict[str, dict[str, Any]]:
    diagnostic = {"entity_category": "diagnostic"}
    there = {**diagnostic, "availability": [_relay_there(store)]}
    about = {
        "json_attributes_topic": state_topic(store, unit),
        "json_attributes_template": "{{ value_json.about | tojson }}",
    }
    faults = {
        "json_attributes_topic": state_topic(store, unit),
        "json_attributes_template": "{{ value_json.wrong | tojson }}",
    }
    parts = {
        "alert": _component("binary_sensor", "Alert", "alert", device_class="safety", **about),
        "state": _component("sensor", "State", "state", device_class="enum", options=STATES),
        "severity": _component("sensor", "Severity", "severity", device_class="enum", options=SEVERITIES),
        "drilling": _component("binary_sensor", "Drill", "drill", **diagnostic),
        "faults": _component("binary_sensor", "Faults", "faults", device_class="problem", **diagnostic, **faults),
        "last_proven": _component("sensor", "Last proven", "last_proven", device_class="timestamp", **there),
        "connection": _component("binary_sensor", "Connection", "connection", device_class="connectivity", **there),
    }
    if not drill:
        parts["drill"] = {"platform": "button"}  # nothing but its platform: a button that was there goes
    else:
        ask = {"command_topic": relay_command_topic(store, unit), "payload_press": PRESS.decode()}
        parts["drill"] = {"platform": "button", "name": "Start the opening press", **ask}
    return parts


def discovery(store: str, unit: str, place: str, desk: Desk | None, version: str, *, drill: bool) -> dict[str, Any]:
    """Return the announcement of a unit's device; `drill` adds the button that begins one."""
    device_id = f"stayby_{store}_{unit}"
    state, components = state_topic(store, unit), _components(store, unit, drill=drill)
    for key, component in components.items():
        if "name" in component:
            component["unique_id"] = f"{device_id}_{key}"
    device = {"identifiers": [device_id], "name": f"Stayby {plain(place)}", "manufacturer": "Stayby", "model": "Unit"}
    return {
        "device": {**device, **({"sw_version": plain(desk.version)} if desk and desk.version else {})},
        "origin": {"name": "stayby-relay", "sw_version": version},
        "availability": [
            _relay_there(store),
            {"topic": state, "value_template": "{{ value_json.available }}"},
        ],
        "availability_mode": "all",
        "state_topic": state,
        "components": components,
    }


def _wrong(faults: Sequence[Fault]) -> dict[str, Any]:
    told = [plain(f"{one.where}: {one.says}; {one.do}") for one in faults[:FAULTS_TOLD]]
    return {"count": len(faults), "faults": told}


def state(facts: Facts | None, desk: Desk | None) -> dict[str, Any]:
    """Return the state of a unit's device; of a unit that never reported (None), only that it does not."""
    alert = facts is not None and facts.open
    lives = desk is not None and desk.lives
    faults = desk.faults if desk else ()
    return {
        "available": "online" if lives or alert else "offline",
        "connection": _on(lives),
        "alert": _on(alert),
        "state": facts.state.value if facts and alert else State.IDLE.value,
        "severity": facts.severity.value if facts and alert else "none",
        "drill": _on(facts and alert and facts.drill),
        "faults": _on(faults),
        "last_proven": desk.last_proven.isoformat() if desk and desk.last_proven else None,
        "about": {"says": text(facts) if facts and alert else "", "notice": SECONDARY},
        "wrong": _wrong(faults),
    }
