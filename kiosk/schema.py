"""Makes docs/schema/*.json and docs/asyncapi.yaml from the types that travel: `python -m kiosk.schema`.

For whoever writes another reader or responder. The types of `kiosk.messages` are the one source: a test fails when what is
written is not what they say.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import Field, TypeAdapter

from kiosk.messages import (
    MAX_REPLY_BYTES,
    MAX_SNAPSHOT_BYTES,
    PREFIX,
    Presence,
    Reply,
    Snapshot,
    StartDrill,
    Status,
    incident_topic,
    presence_topic,
    reply_topic,
    status_topic,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCHEMA_FORMAT = "application/schema+json;version=draft-07"
STORE, UNIT, RESPONDER, DEVICE = "{store}", "{unit}", "{responder}", "{device}"
PARAMETERS = {
    "store": "The store's id.",
    "unit": "The unit's id.",
    "responder": "The id of one of the staff; the broker lets only them write it.",
    "device": "One of their devices: the same after a restart, another on each machine.",
}


class Kind(NamedTuple):
    """One kind of message: its topic, its type, what it is for, and whether the unit sends it or reads it."""

    topic: str
    adapter: TypeAdapter[Any]
    says: str
    unit_sends: bool
    retained: bool
    most_bytes: int


KINDS = {
    "status": Kind(
        status_topic(STORE, UNIT),
        TypeAdapter(Status),
        "How a unit is. Sent every few seconds with a growing `beat`; it is the unit's will as well, with the state `lost`.",
        unit_sends=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
    ),
    "incident": Kind(
        incident_topic(STORE, UNIT),
        TypeAdapter(Snapshot),
        "The whole of a unit's incident. Of one id the highest revision wins; a reader is right after one message.",
        unit_sends=True,
        retained=True,
        most_bytes=MAX_SNAPSHOT_BYTES,
    ),
    "reply": Kind(
        reply_topic(STORE, UNIT, RESPONDER),
        TypeAdapter(Annotated[Reply | StartDrill, Field(discriminator="kind")]),
        "What a responder answers, or the drill that they begin. Sent again until the incident shows it; taken once.",
        unit_sends=False,
        retained=False,
        most_bytes=MAX_REPLY_BYTES,
    ),
    "presence": Kind(
        presence_topic(STORE, RESPONDER, DEVICE),
        TypeAdapter(Presence),
        "Whether a responder's device shows the board, and on which tier they are. Each device has its own; its will says "
        "`listening` false. A unit asks by all that listen: on break on one is on break, else the lowest tier counts.",
        unit_sends=False,
        retained=True,
        most_bytes=MAX_REPLY_BYTES,
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
    """Return the AsyncAPI 3 document of a unit: what it sends, what it reads, on which topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stayby",
            "version": PREFIX.rpartition("/")[2],
            "description": "What a unit on a desk and the staff's devices tell each other over the store's MQTT broker. "
            "Always TLS; MQTT 5 or 3.1.1. Who may write which topic is the broker's to mind: `stayby store broker`.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
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
    return f"{'send' if kind.unit_sends else 'receive'}{name.title()}"


def _operation(name: str, kind: Kind) -> dict[str, Any]:
    return {
        "action": "send" if kind.unit_sends else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"The unit {'sends' if kind.unit_sends else 'reads'} it.",
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": kind.retained, "bindingVersion": "0.2.0"}},
    }


def _message(name: str, kind: Kind) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.title(),
        "summary": f"At most {kind.most_bytes // 1024} KiB.",
        "contentType": "application/json",
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./schema/{name}.json"}},
    }


def files() -> dict[str, str]:
    """Return what stands below docs/, by path."""
    made = {f"schema/{name}.json": json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n" for name in KINDS}
    text = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return {
        **made,
        "asyncapi.yaml": f"# Made by `python -m kiosk.schema` from kiosk/messages.py: change it there.\n{text}",
    }


def main(folder: Path) -> None:
    """Write them below `folder`."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
