"""Makes docs/schema/*.json and docs/asyncapi.yaml from the types that travel: `python -m kiosk.schema`.

For whoever writes another reader or responder. The types of `kiosk.messages` and, for what the relay says and reads, of
`kiosk.relay.home_assistant` are the one source: a test fails when what is written is not what they say.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import Field, TypeAdapter

from kiosk.broker_files import relay_command_topic
from kiosk.messages import (
    MAX_REPLY_BYTES,
    MAX_SNAPSHOT_BYTES,
    PREFIX,
    Presence,
    Proof,
    ProofSeen,
    Reply,
    Snapshot,
    StartDrill,
    Status,
    incident_topic,
    presence_topic,
    proof_seen_topic,
    proof_topic,
    reply_topic,
    status_topic,
)
from kiosk.relay import home_assistant as ha

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCHEMA_FORMAT = "application/schema+json;version=draft-07"
STORE, UNIT, RESPONDER, DEVICE = "{store}", "{unit}", "{responder}", "{device}"
DISCOVERY = "{prefix}"
JSON, PLAIN = "application/json", "text/plain"
PARAMETERS = {
    "store": "The store's id.",
    "unit": "The unit's id.",
    "responder": "The id of one of the staff; the broker lets only them write it.",
    "prefix": "Home Assistant's discovery prefix, `homeassistant` unless `[home_assistant]` of store.toml says another.",
    "device": "One of their devices: the same after a restart, another on each machine.",
}


class Kind(NamedTuple):
    """One kind of message: its topic, its type, what it is for, and whether the unit (or the relay) sends it or reads it."""

    topic: str
    adapter: TypeAdapter[Any]
    says: str
    is_sent: bool
    retained: bool
    most_bytes: int
    who: Literal["unit", "relay"] = "unit"
    content_type: str = JSON


KINDS = {
    "status": Kind(
        status_topic(STORE, UNIT),
        TypeAdapter(Status),
        "How a unit is. Sent every few seconds with a growing `beat`; it is the unit's will as well, with the state `lost`.",
        is_sent=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
    ),
    "incident": Kind(
        incident_topic(STORE, UNIT),
        TypeAdapter(Snapshot),
        "The whole of a unit's incident. Of one id the highest revision wins; a reader is right after one message.",
        is_sent=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
    ),
    "reply": Kind(
        reply_topic(STORE, UNIT, RESPONDER),
        TypeAdapter(Annotated[Reply | StartDrill, Field(discriminator="kind")]),
        "What a responder answers, or the drill that they begin. Sent again until the incident shows it; taken once.",
        is_sent=False,
        retained=False,
        most_bytes=MAX_REPLY_BYTES,
    ),
    "presence": Kind(
        presence_topic(STORE, RESPONDER, DEVICE),
        TypeAdapter(Presence),
        "Whether a responder's device shows the board, and on which tier they are. Each device has its own; its will says "
        "`listening` false. A unit asks by all that listen: on break on one is on break, else the lowest tier counts.",
        is_sent=False,
        retained=True,
        most_bytes=MAX_REPLY_BYTES,
    ),
    "proof": Kind(
        proof_topic(STORE, UNIT),
        TypeAdapter(Proof),
        "A unit proves its way to the store's board, once a day. No call: nobody is told. Said again, with the same id, until "
        "it is answered or 12 s are over.",
        is_sent=True,
        retained=False,
        most_bytes=MAX_REPLY_BYTES,
    ),
    "proofSeen": Kind(
        proof_seen_topic(STORE, UNIT),
        TypeAdapter(ProofSeen),
        "The store's board answers a unit's proof, once it is through with writing down what came before. Only the board's own "
        "user may write it; what a broker kept, and any other id, counts as no answer.",
        is_sent=False,
        retained=False,
        most_bytes=MAX_REPLY_BYTES,
    ),
    "relayState": Kind(
        ha.state_topic(STORE, UNIT),
        TypeAdapter(ha.DeviceState),
        "A unit and its alert for a wall display: nobody's name, nothing that the person said, and of a covert call nothing "
        "unless store.toml says so. Secondary: no unit waits for it.",
        is_sent=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
        who="relay",
    ),
    "relayHealth": Kind(
        ha.health_topic(STORE),
        TypeAdapter(ha.Health),
        "Whether the relay is there, what is wrong with each way, and how much waits; its will says `offline`.",
        is_sent=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
        who="relay",
    ),
    "relayDiscovery": Kind(
        ha.discovery_topic(DISCOVERY, STORE, UNIT),
        TypeAdapter(ha.Discovery),
        "A unit's device and its entities, by Home Assistant's device discovery (2024.11); empty when it leaves store.toml.",
        is_sent=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
        who="relay",
    ),
    "relayDrill": Kind(
        relay_command_topic(STORE, UNIT),
        TypeAdapter(ha.Press),
        "A touch of a unit's drill button in Home Assistant; only with `drill_by`, in whose name the opening press begins. "
        "Retained ones are ignored; once a minute at most for each unit.",
        is_sent=False,
        retained=False,
        most_bytes=MAX_REPLY_BYTES,
        who="relay",
        content_type=PLAIN,
    ),
    "relayBirth": Kind(
        ha.birth_topic(DISCOVERY),
        TypeAdapter(ha.Birth),
        "Home Assistant has started: the relay says everything anew.",
        is_sent=False,
        retained=False,
        most_bytes=MAX_REPLY_BYTES,
        who="relay",
        content_type=PLAIN,
    ),
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of message: what a reader must take. Keys that it does not know it ignores."""
    kind = KINDS[name]
    made = kind.adapter.json_schema()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Stayby {name}",
        **{key: value for key, value in made.items() if key != "title"},
        "description": kind.says,
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document of a unit and of the store's relay: what each sends, what it reads, on which topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stayby",
            "version": PREFIX.rpartition("/")[2],
            "description": "What a unit on a desk and the staff's devices tell each other over the store's MQTT broker, and "
            "what the store's relay and Home Assistant do. Always TLS; MQTT 5 or 3.1.1. Who may write which topic is the "
            "broker's to mind: `stayby store broker`.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "store": {
                "host": "broker.example:8883",
                "protocol": "secure-mqtt",
                "description": "The store's own broker.",
                "security": [{"$ref": "#/components/securitySchemes/certificate"}],
            }
        },
        "channels": {name: _channel(name, kind) for name, kind in KINDS.items()},
        "operations": {_operation_name(name, kind): _operation(name, kind) for name, kind in KINDS.items()},
        "components": {
            "messages": {name: _message(name, kind) for name, kind in KINDS.items()},
            "securitySchemes": {
                "certificate": {
                    "type": "X509",
                    "description": "Its common name is the user that the broker's rules name.",
                }
            },
        },
    }


def _channel(name: str, kind: Kind) -> dict[str, Any]:
    return {
        "address": kind.topic,
        "description": kind.says,
        "parameters": {key: {"description": says} for key, says in PARAMETERS.items() if f"{{{key}}}" in kind.topic},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation_name(name: str, kind: Kind) -> str:
    return f"{'send' if kind.is_sent else 'receive'}{name[0].upper()}{name[1:]}"


def _operation(name: str, kind: Kind) -> dict[str, Any]:
    return {
        "action": "send" if kind.is_sent else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"The {kind.who} {'sends' if kind.is_sent else 'reads'} it.",
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": kind.retained, "bindingVersion": "0.2.0"}},
    }


def _message(name: str, kind: Kind) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"{name[0].upper()}{name[1:]}",
        "summary": f"At most {kind.most_bytes // 1024} KiB.",
        "contentType": kind.content_type,
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./schema/{name}.json"}},
    }


def files() -> dict[str, str]:
    """Return what stands below docs/, by path."""
    made = {f"schema/{name}.json": json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n" for name in KINDS}
    text = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return {
        **made,
        "asyncapi.yaml": f"# Made by `python -m kiosk.schema` from the types that it names: change it there.\n{text}",
    }


def main(folder: Path) -> None:
    """Write them below `folder`."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
