"""A drill that somebody asked for at Home Assistant, begun in the name of the one of the staff whom store.toml says.

The relay itself may answer no unit. It signs in once as that person, with their own certificate or password, says `StartDrill`
for the opening press, and goes. The unit then waits a minute for its button: a touch on a wall display alone calls nobody.
"""

import queue
import secrets
import time
from typing import Any

from kiosk.config import BrokerSection
from kiosk.messages import OPENING, StartDrill, reply_topic
from kiosk.mqtt import Acknowledged, Connected, MqttLink, Refused

DRILL_S = 10.0


def begin_drill(broker: BrokerSection, store: str, unit: str, by: str) -> str:
    """Begin the opening press at a unit; return why it did not begin, or "" when the broker has taken it."""
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    link = MqttLink(broker, f"stayby-drill-{by}-{unit}", (), inbox.put, inbox.put)
    drill = StartDrill(responder=by, drill=f"drill-{secrets.token_hex(8)}", scenario=OPENING)
    try:
        return _say(link, inbox, reply_topic(store, unit, by), drill.model_dump_json().encode())
    finally:
        link.close()


def _say(link: MqttLink, inbox: "queue.SimpleQueue[Any]", topic: str, payload: bytes) -> str:
    until_s, mid = time.monotonic() + DRILL_S, None
    while True:
        try:
            event = inbox.get(timeout=max(0.0, until_s - time.monotonic()))
        except queue.Empty:
            return f"the broker did not take it in {DRILL_S:g} s"
        match event:
            case Connected():
                mid = link.publish(topic, payload)
            case Acknowledged(number) if number == mid:
                return ""
            case Refused(reason, _):
                return reason
            case BaseException():
                raise event
