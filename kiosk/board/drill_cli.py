"""`stayby drill`: a responder begins a drill at one unit, and is told whether it began.

It speaks as the responder of a board.toml. It never says that they listen: their board or pager does that.
"""

import queue
import re
import sys
import time
import uuid
from collections.abc import Callable
from typing import Annotated

import typer

from kiosk import config_file
from kiosk.board.drills import SCENARIOS
from kiosk.board.pager_cli import CONFIG, DEFAULT_CONFIG
from kiosk.board.pager_view import printable
from kiosk.board.station import client_id, device_id
from kiosk.config import BoardConfig, load_board
from kiosk.config_faults import ConfigFaults
from kiosk.messages import (
    ID_PATTERN,
    OPENING,
    BadMessage,
    Choice,
    Presence,
    Snapshot,
    StartDrill,
    State,
    Status,
    UnitState,
    incident_topic,
    parse_snapshot,
    parse_status,
    presence_topic,
    reply_topic,
    status_topic,
    tells_presence,
)
from kiosk.mqtt import Connected, LinkEvent, MqttLink, Received, Refused

CONNECT_S = 10.0
STATUS_S = 5.0
"""How long after connecting the broker may take to hand out what it keeps of a unit."""
BEGIN_S = 10.0
KNOWN_SCENARIOS = tuple(dict.fromkeys((OPENING, *(one.id for one in SCENARIOS), *Choice)))


class NotBegun(Exception):
    """The drill did not begin; its text is one line for who wanted it."""


class _Order:
    """One order and what is heard of its unit."""

    def __init__(self, config: BoardConfig, unit: str, scenario: str) -> None:
        self.me, self.unit = config.responder, unit
        self.order = StartDrill(responder=self.me.id, drill=f"drill-{uuid.uuid4().hex}", scenario=scenario)
        self.status: Status | None = None
        self.incident: Snapshot | None = None
        self.refused = ""
        self.connected = self.known = False
        self._inbox: queue.SimpleQueue[LinkEvent | BaseException] = queue.SimpleQueue()
        store = self.me.store
        # the status last: what the broker keeps comes in this order, and with the status all of it is there
        topics = (presence_topic(store, self.me.id), incident_topic(store, unit), status_topic(store, unit))
        self.link = MqttLink(config.broker, client_id("drill", self.me.id), topics, self._inbox.put, self._inbox.put)

    def until(self, wanted: Callable[[], bool], within_s: float, else_says: Callable[[], str]) -> None:
        """Take what comes until `wanted()`; raise `NotBegun` when that lasts too long."""
        deadline_s = time.monotonic() + within_s
        while not wanted():
            try:
                self._take(self._inbox.get(timeout=max(0.0, deadline_s - time.monotonic())))
            except queue.Empty:
                raise NotBegun(else_says()) from None

    def _take(self, event: LinkEvent | BaseException) -> None:
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, Connected):
            self.connected = True
        elif isinstance(event, Refused):
            self.refused = event.reason
        elif isinstance(event, Received) and event.payload:
            self._hear(event)

    def _hear(self, event: Received) -> None:
        try:
            if tells_presence(event.topic):
                self.known = True
            elif event.topic.endswith("/status"):
                self.status = parse_status(event.topic, event.payload)
            else:
                self.incident = parse_snapshot(event.topic, event.payload)
        except BadMessage as error:
            raise NotBegun(f"{error}: see that all run the same version of Stayby") from None

    def send(self) -> None:
        """Say who this is, if no device of theirs ever did, and give the order."""
        if not self.known:
            me, device = self.me, device_id("drill")
            here = Presence(responder=me.id, device=device, name=me.name, tier=me.tier, listening=False)
            self._publish(presence_topic(me.store, me.id, device), here.model_dump_json(), retain=True)
        self._publish(reply_topic(self.me.store, self.unit, self.me.id), self.order.model_dump_json(), retain=False)

    def _publish(self, topic: str, text: str, *, retain: bool) -> None:
        if self.link.publish(topic, text.encode(), retain=retain) is None:
            raise NotBegun("the connection to the broker broke: try again")

    def begun(self) -> bool:
        """Return whether the unit shows that it took the order."""
        if self.order.scenario == OPENING and self.status is not None and self.status.opening:
            return True
        return self.incident is not None and self.incident.id == self.order.drill

    def obstacle(self, status: Status) -> str:
        """Return why it cannot begin now; empty when nothing is known against it."""
        place = printable(status.place)
        if status.state is UnitState.LOST:
            return f"{place} is lost: see to its power and its network, then try again"
        if self.incident is not None and self.incident.state is not State.CLOSED:
            return f"an incident is open at {place}: close it first"
        if status.opening:
            return f"{place} waits for its opening press already: press the button, or wait a minute"
        return ""


def start_drill(config: BoardConfig, unit: str, scenario: str) -> str:
    """Begin a drill; return one line for who began it, or raise `NotBegun`."""
    order = _Order(config, unit, scenario)
    try:
        store = config.responder.store
        order.until(lambda: order.connected, CONNECT_S, lambda: order.refused or f"no broker within {CONNECT_S:g} s")
        no_such = f"no unit {unit!r} of the store {store!r} ever told its status here: check --unit"
        order.until(lambda: order.status is not None, STATUS_S, lambda: no_such)
        status = order.status
        if status is None or order.obstacle(status):
            raise NotBegun(no_such if status is None else order.obstacle(status))
        order.send()
        place = printable(status.place)
        refused = f"{place} did not begin it within {BEGIN_S:g} s: its log (stayby-alertd) says why"
        order.until(order.begun, BEGIN_S, lambda: order.refused or refused)
    finally:
        order.link.close()
    if scenario == OPENING:
        return f"{place} waits for the press: press its button within a minute, touch yes there, then answer it"
    return f"The drill has begun at {place}. It ends by itself; any call there makes it real"


def drill_command(
    unit: Annotated[str, typer.Option("--unit", metavar="ID", help="The unit's id, as on the board.")],
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="ID", help=f"What is played: {', '.join(KNOWN_SCENARIOS)}.")
    ] = OPENING,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Begin a drill at a unit, as the responder of a board.toml; without --scenario the opening press."""
    if not re.fullmatch(ID_PATTERN, unit):
        print(f"--unit {printable(unit)!r} is no unit's id: small letters, digits, - and _", file=sys.stderr)
        raise typer.Exit(2)
    if scenario not in KNOWN_SCENARIOS:
        print(f"--scenario {printable(scenario)!r} is not known; one of: {', '.join(KNOWN_SCENARIOS)}", file=sys.stderr)
        raise typer.Exit(2)
    try:
        settings = load_board(config_file.read_text(config))
    except ConfigFaults as wrong:
        for fault in wrong.faults:
            print(f"{config}: {fault}", file=sys.stderr)
        raise typer.Exit(1) from None
    try:
        print(start_drill(settings, unit, scenario))
    except NotBegun as wrong_one:
        print(wrong_one, file=sys.stderr)
        raise typer.Exit(1) from None
