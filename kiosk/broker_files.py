"""What the store's mosquitto reads: its mosquitto.conf and its list of who may read and write what, as text.

Rules
- Pure: a store in, text out. `stayby store broker` writes it, the demo and the tests run it.
- Whoever is not named can read and write nothing. Each right stands at a user of its own: mosquitto applies a `pattern` rule to
  every user that gets in, so there is none.
- A broker serves one store: the names of its users do not say the store, so the authority that signs them must be the store's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from kiosk.messages import (
    PREFIX,
    incident_topic,
    presence_topic,
    proof_seen_topic,
    proof_topic,
    reply_topic,
    status_topic,
)
from kiosk.store_config import StoreConfig

SignIn = Literal["certificate", "password"]


# --- the users --------------------------------------------------------------------------------------------------------


def unit_user(unit: str) -> str:
    """Return the name under which a unit signs in."""
    return f"unit-{unit}"


def staff_user(responder: str) -> str:
    """Return the name under which one of the staff signs in."""
    return f"staff-{responder}"


def board_user(store: str) -> str:
    """Return the name under which the store's board reads and records."""
    return f"board-{store}"


def relay_user(store: str) -> str:
    """Return the name under which the store's relay signs in."""
    return f"relay-{store}"


def home_assistant_user(store: str) -> str:
    """Return the name under which Home Assistant signs in."""
    return f"home-assistant-{store}"


def users(store: str, units: Sequence[str], staff: Sequence[str], prefix: str | None = None) -> list[str]:
    """Return every user of a store's broker; with the `prefix` of Home Assistant's discovery it is one of them."""
    home = [home_assistant_user(store)] if prefix else []
    named = [unit_user(unit) for unit in units] + [staff_user(one) for one in staff]
    return [*named, board_user(store), relay_user(store), *home]


# --- what Home Assistant reads ----------------------------------------------------------------------------------------


def relayed_topic(store: str, unit: str, what: str) -> str:
    """Return the topic on which the relay says `what` of a unit ("state", "attributes", …) to Home Assistant."""
    return f"stayby/relay/{store}/{unit}/{what}"


def relay_command_topic(store: str, unit: str) -> str:
    """Return the topic on which Home Assistant asks the relay for a drill at a unit."""
    return relayed_topic(store, unit, "command")


# --- who may read and write what --------------------------------------------------------------------------------------


def _unit_rules(store: str, unit: str) -> list[str]:
    return [
        f"user {unit_user(unit)}",
        f"topic readwrite {status_topic(store, unit)}",
        f"topic readwrite {incident_topic(store, unit)}",
        f"topic read {reply_topic(store, unit, '+')}",
        f"topic read {presence_topic(store, '+')}",
        f"topic write {proof_topic(store, unit)}",
        f"topic read {proof_seen_topic(store, unit)}",
    ]


def _readers_rules(store: str) -> list[str]:
    return [f"topic read {topic(store, '+')}" for topic in (status_topic, incident_topic, presence_topic)]


def _staff_rules(store: str, responder: str) -> list[str]:
    return [
        f"user {staff_user(responder)}",
        *_readers_rules(store),
        f"topic write {reply_topic(store, '+', responder)}",
        f"topic write {presence_topic(store, responder, '+')}",
    ]


def _board_rules(store: str) -> list[str]:
    return [
        f"user {board_user(store)}",
        *_readers_rules(store),
        f"topic read {reply_topic(store, '+', '+')}",
        f"topic read {proof_topic(store, '+')}",
        f"topic write {proof_seen_topic(store, '+')}",
    ]


def _relay_rules(store: str, prefix: str | None) -> list[str]:
    """It answers no unit: a drill that somebody asks for at Home Assistant begins in the name of one of the staff."""
    rules = [f"user {relay_user(store)}", *_readers_rules(store), f"topic write {relayed_topic(store, '+', '+')}"]
    if prefix is None:
        return rules
    return [
        *rules,
        f"topic read {prefix}/status",
        f"topic write {prefix}/device/+/config",
        f"topic read {relay_command_topic(store, '+')}",
    ]


def _home_assistant_rules(store: str, prefix: str) -> list[str]:
    return [
        f"user {home_assistant_user(store)}",
        f"topic readwrite {prefix}/#",
        f"topic read {relayed_topic(store, '+', '+')}",
        f"topic write {relay_command_topic(store, '+')}",
    ]


def _rules(store: str, units: Sequence[str], staff: Sequence[str], prefix: str | None) -> Iterator[list[str]]:
    yield from (_unit_rules(store, unit) for unit in units)
    yield from (_staff_rules(store, one) for one in staff)
    yield _board_rules(store)
    yield _relay_rules(store, prefix)
    if prefix:
        yield _home_assistant_rules(store, prefix)


def acl_text(store: str, units: Sequence[str], staff: Sequence[str], prefix: str | None = None) -> str:
    """Return mosquitto's ACL file of one store; `prefix` is that of Home Assistant's discovery, if it is on this broker."""
    parts = ["\n".join(rules) for rules in _rules(store, units, staff, prefix)]
    return f"# who may read and write what below {PREFIX}/{store}\n" + "\n\n".join(parts) + "\n"


def acl_of(config: StoreConfig) -> str:
    """Return mosquitto's ACL file of a configured store."""
    prefix = config.home_assistant.prefix if config.home_assistant else None
    return acl_text(config.store.id, [one.id for one in config.unit], [one.id for one in config.staff], prefix)


# --- how mosquitto runs -----------------------------------------------------------------------------------------------

NAMES: dict[SignIn, str] = {
    "certificate": "require_certificate true\nuse_identity_as_username true",
    "password": "require_certificate false\npassword_file {folder}/passwords",
}
KEEP = """\
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1"""
FORGET = """\
# nothing rests on what the broker keeps: when it comes back, every unit and everybody on a board says again what is so
persistence false"""
REVOCATIONS = "crl.pem"
LEAST_QUEUED = 2000
RETAINED_OF_UNIT = 4
"""A board that comes in is handed a status and an incident of each unit at once; as much again may follow at once."""


def mosquitto_text(
    folder: Path,
    host: str,
    port: int,
    sign_in: SignIn,
    *,
    run_as: str,
    units: int,
    persistence: bool = False,
    revocations: bool = False,
) -> str:
    """Return a mosquitto.conf that listens on one TLS port only and lets nobody in unnamed.

    It names the files in `folder`: ca.pem, broker.pem, broker.key, acl, passwords where they are used, and with
    `revocations` crl.pem, the list of certificates that were taken back.
    An empty `host` listens on every address.
    """
    return f"""\
listener {port}{" " + host if host else ""}
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key{f"{chr(10)}crlfile {folder}/{REVOCATIONS}" if revocations else ""}
tls_version tlsv1.2
allow_anonymous false
{NAMES[sign_in].format(folder=folder)}
acl_file {folder}/acl
max_packet_size 262144
max_inflight_messages 100
max_queued_messages {max(LEAST_QUEUED, RETAINED_OF_UNIT * units)}
# no part of Stayby asks for a session that outlives its connection; what others leave behind goes after a day
persistent_client_expiration 1d
set_tcp_nodelay true
{(KEEP if persistence else FORGET).format(folder=folder)}
user {run_as}
log_dest stdout
log_type error
log_type warning
log_type notice
"""
