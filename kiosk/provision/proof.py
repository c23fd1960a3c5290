"""Proves a unit's way to the broker and back, before anything rests on it: signed in, its own topic written and read, no other's.

It signs in beside the hub, with the same certificate and another client id, so that a hub that runs is not pushed out. While it
looks, it listens whether another machine already is this unit: a live unit says its status every 5 s.
"""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.enums import MQTTProtocolVersion

from kiosk import __version__
from kiosk.bus import BusError, ask, runtime_socket
from kiosk.config import UnitConfig
from kiosk.messages import AskStatus, BadMessage, Status, StatusAnswer, UnitState, parse_status, status_topic
from kiosk.mqtt import Acknowledged, Connected, Disconnected, LinkEvent, MqttLink, Received, Refused

CONNECT_S, ANSWER_S, HUB_S = 15.0, 10.0, 2.0
LIVE_S = 7.0
"""A unit that lives says so within this."""
NOBODY = "nobody"
"""A unit of no store: its status is what we must not be able to write."""


class NotProven(OSError):
    """The way to the broker is not as it must be; its text says why and what to do now."""


@dataclass(frozen=True)
class Proof:
    """What was found. `others_refused` is None where the broker's MQTT does not tell."""

    connected_s: float
    there_and_back_s: float
    others_refused: bool | None


class _Ears:
    """What the link says, in order, each waited for with a deadline."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[LinkEvent | BaseException] = queue.SimpleQueue()

    def wait(self, wanted: Callable[[LinkEvent], bool], within_s: float) -> LinkEvent | None:
        """Return the next event that is wanted, None after `within_s`; raise `NotProven` when the connection ends."""
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                event = self.inbox.get(timeout=left_s)
            except queue.Empty:
                return None
            if isinstance(event, BaseException):
                raise event
            if wanted(event):
                return event
            if isinstance(event, Disconnected) or (isinstance(event, Refused) and event.mid is None):
                raise NotProven(event.reason)
        return None


def prove(config: UnitConfig, *, is_us: Callable[[], bool]) -> Proof:
    """Return what was found; raise `NotProven`. `is_us` says whether the unit that runs on this machine is the same."""
    store, unit = config.unit.store, config.unit.id
    topic, ears = status_topic(store, unit), _Ears()
    begun_s = time.monotonic()
    link = MqttLink(config.broker, f"join-{store}-{unit}", (topic,), ears.inbox.put, ears.inbox.put)
    try:
        if ears.wait(lambda event: isinstance(event, Connected), CONNECT_S) is None:
            raise NotProven(f"broker {config.broker.host}:{config.broker.port}: no answer; check the network")
        connected_s = time.monotonic() - begun_s
        retained = _heard(ears, topic, 1.0)
        if _lives(retained) and not is_us():
            _nobody_else(ears, topic, retained, unit)
        wrote_s = time.monotonic()
        _there_and_back(link, ears, topic, retained.payload if _lives(retained) and retained else _status(config))
        there_s = time.monotonic() - wrote_s
        return Proof(connected_s, there_s, _others_refused(link, ears, status_topic(store, NOBODY)))
    finally:
        link.close()


def _heard(ears: _Ears, topic: str, within_s: float) -> Received | None:
    event = ears.wait(lambda event: isinstance(event, Received) and event.topic == topic, within_s)
    return event if isinstance(event, Received) else None


def _lives(retained: Received | None) -> bool:
    """Return whether this status is not the will of a unit that is gone."""
    if retained is None:
        return False
    try:
        return parse_status(retained.topic, retained.payload).state is not UnitState.LOST
    except BadMessage:
        return False


def _nobody_else(ears: _Ears, topic: str, retained: Received | None, unit: str) -> None:
    """Raise `NotProven` when another machine is this unit now: it says something newer than what the broker had kept."""
    again = _heard(ears, topic, LIVE_S)
    if again is not None and _lives(again) and (retained is None or again.payload != retained.payload):
        raise NotProven(
            f"another machine is {unit} now, and two cannot be; unplug it, wait 20 s, and join again, "
            "or have the store's manager make a claim with another id"
        )


def _status(config: UnitConfig) -> bytes:
    """Return what is true of a unit whose hub does not run yet: nobody is there."""
    unit = config.unit
    status = Status(store=unit.store, unit=unit.id, place=unit.place, state=UnitState.LOST, version=__version__, beat=0)
    return status.model_dump_json().encode()


def _there_and_back(link: MqttLink, ears: _Ears, topic: str, payload: bytes) -> None:
    mid = link.publish(topic, payload, retain=True)
    taken = back = False
    deadline_s = time.monotonic() + ANSWER_S
    while not (taken and back):
        event = ears.wait(
            lambda event: isinstance(event, Received | Acknowledged | Refused), deadline_s - time.monotonic()
        )
        match event:
            case None:
                what = "the broker took our status and did not give it back" if taken else "the broker took nothing"
                raise NotProven(f"{what}; on the broker's machine: put the newest acl there, and reload mosquitto")
            case Refused(reason=reason):
                raise NotProven(f"{reason}; on the broker's machine: put the newest acl there, and reload mosquitto")
            case Acknowledged(mid=number):
                taken = taken or number == mid
            case Received():
                back = back or (event.topic == topic and event.payload == payload)


def _others_refused(link: MqttLink, ears: _Ears, topic: str) -> bool | None:
    """Return True when the broker refuses what we must not write; None where it cannot say. Raises `NotProven`."""
    if link.version != MQTTProtocolVersion.MQTTv5:
        return None
    mid = link.publish(topic, b"", retain=False)
    event = ears.wait(lambda event: isinstance(event, Acknowledged | Refused) and event.mid == mid, ANSWER_S)
    if isinstance(event, Acknowledged):
        raise NotProven(
            "the broker lets this unit write for others; on the broker's machine: put the newest acl there, and reload mosquitto"
        )
    return True if isinstance(event, Refused) else None


def runs_here(unit: UnitConfig) -> bool:
    """Return whether the hub that runs on this machine is the same unit."""
    try:
        answer = ask(runtime_socket(unit.unit.run_dir), AskStatus(), HUB_S)
    except (BusError, BadMessage):
        return False
    return isinstance(answer, StatusAnswer) and (answer.status.store, answer.status.unit) == (
        unit.unit.store,
        unit.unit.id,
    )
