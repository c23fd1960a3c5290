"""The hub: one inbox, one thread that owns the truth, and every part that is missing is a fault and no reason to stop.

Threads (bus, MQTT, button) only put on the inbox. The main thread takes one item, tells the incident machine, writes what must
survive, then lets the world know: staff over MQTT, the screen over the bus, light and siren over the button link. In that order,
so that nothing was ever told that a power cut can make untrue.
"""

import contextlib
import functools
import logging
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from firmware_bridge.events import (
    ButtonEvent,
    HostWasLost,
    LidClosed,
    LidOpened,
    LinkDown,
    LinkUp,
    LoopFault,
    LoopRestored,
    MemoryFaulty,
    MemorySound,
    Metered,
    Pressed,
    PressId,
    Released,
    SelfTested,
    Stuck,
    UnitRestarted,
    Unstuck,
)
from firmware_bridge.link import ButtonLink
from firmware_bridge.protocol import Beacon as ButtonBeacon
from firmware_bridge.protocol import Input, LoopState, ResetCause
from kiosk import __version__, certificate_age, events, mqtt
from kiosk.black_box import BlackBox
from kiosk.bus import BusServer, runtime_socket
from kiosk.button_health import METER_S, Extremes, button_health
from kiosk.config import UnitConfig, UnitSection
from kiosk.daily_proof import Answered, ButtonTried, Facts, Level, known
from kiosk.daily_proof_run import Prover
from kiosk.duty import Part, outside
from kiosk.effects import Beacon, Effect, Proven, Publish, SetBeacon
from kiosk.faults import FaultBook
from kiosk.inbox import Inbox
from kiosk.incident import REVISION_LEAP, Incident, IncidentMachine
from kiosk.link_health import LinkMeter
from kiosk.messages import (
    HELP_WORD,
    MAX_SNAPSHOT_BYTES,
    OPENING,
    PRESENCE_FRESH_S,
    AskButton,
    AskProof,
    AskStatus,
    AskWalk,
    BadMessage,
    ButtonAnswer,
    ButtonHealth,
    CallNextReply,
    CloseReply,
    ComingReply,
    Detection,
    DetectionTaken,
    Ear,
    Face,
    Fault,
    FromLeaf,
    HeardPhrase,
    Hearing,
    Hello,
    HereReply,
    Hop,
    LinkHealth,
    PauseEar,
    Person,
    PlayProof,
    Presence,
    Proof,
    ProofSays,
    ProofSound,
    Reach,
    Reply,
    Role,
    ScreenBeat,
    SeenReply,
    Show,
    Snapshot,
    Speaking,
    StartDrill,
    State,
    Status,
    StatusAnswer,
    Touch,
    TouchAction,
    UnitState,
    WalkSays,
    asked_at,
    calls_after,
    heard_at_s,
    incident_topic,
    parse_presence,
    parse_proof_seen,
    parse_reply,
    parse_snapshot,
    presence_topic,
    proof_seen_topic,
    proof_topic,
    reply_topic,
    status_topic,
    tells_presence,
)
from kiosk.notify import how_it_is, watchdog
from kiosk.opening import Opening
from kiosk.safe_mode import SafeMode
from kiosk.store import HEARD_KEPT_S, Clock, Heard, Store, is_open
from kiosk.texts import NEVER_READ_BACK
from kiosk.update.told import STUCK, Told
from kiosk.walk import Walk, trigger_of

log = logging.getLogger("stayby")

TICK_S = 1.0
BEAT_S = 5.0
LEAF_SILENT_S = 5.0
LEAF_START_S = 20.0
"""A leaf that was never seen is a fault only this long after the hub's start."""
REFUSED_AGAIN_S = 5.0
UNANSWERED_S = 20.0
"""A first connection that neither came nor failed within this is a fault: a name server that says nothing, most often."""
TRY_DISK_S = 600.0
"""So often the store is written when nothing else is: a disk that became read-only must not be found by a call for help."""
DEVICES_MOST = 16
"""Devices of one person that are kept; one that does not listen makes room first, then the one heard longest ago."""
PRESENCE_SETTLE_S = 3.0
"""After a reconnect, how long staff devices have to come back before "nobody is listening" is true."""
CLOSED_SHOWN_S = 10.0
MISSED_SHOWN_S = 600.0
"""How long staff are told that nobody pressed at the opening."""
PAUSE_S = 600.0
"""How long a person at the desk may have the microphone paused before it listens again by itself."""
PAUSE_AGAIN_S = 120.0
"""The same for a second pause within `PAUSES_S`; a third one has to wait, so that nobody keeps the microphone off."""
PAUSES_S = 3600.0
PAUSES_LIMIT = 2
NOT_IN_THE_LOG = frozenset({"police", "leave_alone", "let_go"})
"""What a person in fear of another said: the page of what was heard stands at the desk for that one too."""
LATE_DETECTION_S = 60.0
"""A detection that says it is older than this has another clock than ours: it counts as heard now."""
TOUCH_TESTED_S = 3.0
"""So long the screen is told that a touch was a test: it may just be drawing."""
AT_DESK_S = 120.0
"""So long after a touch or a call somebody may still stand there: the unit does not prove itself aloud."""
STARTED_S = 60.0
"""So long after its own start the hub waits for screen and ear, before what they lack is a miss."""
LOUD_DB = 12.0
"""The room is this much louder than in its stillest seconds: somebody is there, or works there."""
LENT_S = 180.0
"""How long somebody may have the button's port, to flash it."""
RESET_SHOWN_S = 60.0
"""A restart of the button that should not have been is a fault until it ran so long without another."""
LOOP_CODES = {Input.OPEN: "button-loop", Input.COVERT: "button-covert-loop"}
STUCK_CODES = {Input.OPEN: "button-stuck", Input.COVERT: "button-covert-stuck"}
NOT_AT_THE_DESK = frozenset({LOOP_CODES[Input.COVERT], STUCK_CODES[Input.COVERT]})
"""Whoever looks at the desk must not learn of the covert button."""
NO_BLINK = NOT_AT_THE_DESK | {"mic-paused", "opening-missed", "certificate-ends", "walk-test", "update-failed"}
"""Faults that make no light blink. A pause is what a person at the desk wanted, and no part is broken where nobody pressed."""
CERTIFICATE_EVERY_S = 600.0
CERTIFICATE_CODES = ("certificate-ends", "clock")
LOOP_NAMES = {Input.OPEN: "the button", Input.COVERT: "the covert button"}
LOOP_ADVICE = {
    LoopState.CUT: "a wire is off: check both ends of its cable and the end-of-line resistor",
    LoopState.SHORT: "its two wires touch: look for a crushed cable or water in the plug",
}
LOOP_ADVICE_ELSE = "look for a wet plug or a bad contact, and measure 4.7 kOhm at the end of its cable"
ALWAYS_MEANT = frozenset({TouchAction.HELP, TouchAction.PERSON, TouchAction.WORSE, TouchAction.LANGUAGE})
"""Touches that mean the same whatever the person saw when they touched."""
BEACONS = {
    Beacon.OFF: ButtonBeacon.OFF,
    Beacon.LIGHT: ButtonBeacon.LIGHT,
    Beacon.SIREN: ButtonBeacon.ALERT,
    Beacon.COMING: ButtonBeacon.COMING,
}


@dataclass(frozen=True)
class LeafSaid:
    """A leaf sent a message."""

    number: int
    message: FromLeaf


@dataclass(frozen=True)
class LeafBad:
    """A leaf sent something that is no message."""

    number: int
    text: str


@dataclass(frozen=True)
class LeafGone:
    """A leaf's connection ended."""

    number: int


@dataclass(frozen=True)
class ThreadDied:
    """A thread of ours ended with an error: the process must end with it."""

    error: BaseException


@dataclass(frozen=True)
class Stop:
    """Somebody asked the process to end."""


@functools.cache
def boot_id() -> str:
    """Return the kernel's id of this boot: while it stays, so does the monotonic clock."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read_clock() -> Clock:
    """Return this boot's id, monotonic seconds and the time of day."""
    return Clock(boot_id(), time.monotonic(), time.time())


E = TypeVar("E", bound=ButtonEvent)


def _while_held(handle: "Callable[[Hub, E], None]") -> "Callable[[Hub, E], None]":
    """Leave out what was still on its way when the port was lent: nobody could take it back. A press is never left out."""

    @functools.wraps(handle)
    def handle_unless_lent(hub: "Hub", event: E) -> None:
        if hub._button is not None:
            handle(hub, event)

    return handle_unless_lent


class Hub:
    """One unit's hub. `run` returns when asked to stop, and raises what killed one of its threads."""

    def __init__(self, config: UnitConfig, config_faults: tuple[Fault, ...] = ()) -> None:
        self._config = config
        self._unit = config.unit
        self._inbox = Inbox()
        self._black_box = BlackBox()
        self._faults = FaultBook(self._faults_changed)
        self._roles: dict[int, Role] = {}
        self._ear: Ear | None = None
        self._presences: dict[str, dict[str, tuple[Presence, float]]] = {}
        """By responder and device, and when each was last heard."""
        self._connected_s: float | None = None
        self._in_flight: dict[int, int] = {}
        self._given: set[int] = set()
        self._refused_s: dict[int, float] = {}
        self._told_id = ""
        self._detections: deque[tuple[str, float]] = deque(maxlen=8)
        self._paused_until_s: float | None = None
        self._press: PressId | None = None
        self._opening: Opening | None = None
        self._missed_until_s: float | None = None
        self._walk: Walk | None = None
        self._held_is_real: Callable[[], None] | None = None
        self._touch_tested_until_s = 0.0
        self._at_desk_s = float("-inf")
        self._lent_to: int | None = None
        self._lent_until_s = 0.0
        self._tester: int | None = None
        self._meters: dict[int, Extremes] = {}
        self._reset_shown_until_s: dict[str, float] = {}
        self._beat = 0
        self._run = uuid.uuid4().hex[:8]
        self._link_meter = LinkMeter()
        self._status_due = True
        self._closed_s = float("-inf")
        self._certificate_due_s = 0.0
        self._next_tick_s = self._started_s = self._disk_tried_s = time.monotonic()
        self._watchdog = watchdog(time.monotonic)
        self._heard_s = dict.fromkeys(Role, self._next_tick_s + LEAF_START_S - LEAF_SILENT_S)
        self._link: mqtt.MqttLink | None = None
        self._button: ButtonLink | None = None
        self._bus: BusServer | None = None
        for number, fault in enumerate(config_faults):
            self._faults.set(fault.model_copy(update={"code": f"config-{number}"}))
        self._safe_mode = SafeMode(self._unit.state_dir, self._started_s)
        self._update = Told()
        self._store = self._open_store()
        self._machine = self._resume()
        self._heard = self._store.heard()
        self._proven_at = _utc(self._store.proven())
        has_sound = config.listen is not None and config.speaker is not None
        self._prover = Prover(self._store, self, read_clock(), has_sound=has_sound)
        self._resume_pause(read_clock())

    # --- starting -----------------------------------------------------------------------------------------------------

    def _open_store(self) -> Store:
        path = self._unit.state_dir / "state.db"
        with contextlib.suppress(OSError):  # the store itself says what is wrong with the folder
            path.parent.mkdir(parents=True, exist_ok=True)
        return Store(path, lambda says: self._fault("disk", str(path), says, "button, touch and voice go on"))

    def _resume(self) -> IncidentMachine:
        kept = self._store.load(read_clock())
        open_ = kept if is_open(kept) else None
        machine = IncidentMachine(self._config.escalation, lambda: uuid.uuid4().hex, open_, self._config.ui.language)
        machine.last = None if open_ else kept
        if open_ is not None:
            log.warning("resuming incident %s, %s", open_.id, open_.state)
            self._black_box.knows(open_)
            machine.incident = open_.model_copy(update={"revision": open_.revision + REVISION_LEAP})
        self._resumed = open_
        return machine

    def _start_parts(self) -> None:
        self._start_part("bus", self._start_bus)
        self._start_part("button", self._start_button)
        self._start_part("broker", self._start_broker)

    def _start_part(self, code: str, start: Callable[[], None]) -> None:
        try:
            start()
        except OSError as error:
            self._fault(code, code, str(error), "correct it, then restart stayby-alertd")

    def _start_bus(self) -> None:
        self._bus = BusServer(
            runtime_socket(self._unit.run_dir),
            on_message=lambda number, message: self._inbox.put_when_room(LeafSaid(number, message)),
            on_bad=lambda number, text: self._inbox.put_when_room(LeafBad(number, text)),
            on_gone=lambda number: self._inbox.put(LeafGone(number)),
            on_death=self._thread_died,
        )

    def _start_button(self) -> None:
        if self._config.button is not None:
            self._button = ButtonLink(
                self._config.button.port, self._inbox.put, on_death=self._thread_died, stored=self._store.presses()
            ).start()
            self._set_beacon()

    def _start_broker(self) -> None:
        store, unit = self._unit.store, self._unit.id
        self._link = mqtt.MqttLink(
            self._config.broker,
            f"unit-{store}-{unit}",
            (presence_topic(store, "+"), reply_topic(store, unit, "+"), incident_topic(store, unit)),
            self._put_mqtt,
            self._thread_died,
            will=mqtt.Will(status_topic(store, unit), self._status(UnitState.LOST).model_dump_json().encode()),
            wishes=(proof_seen_topic(store, unit),),
        )

    def _put_mqtt(self, event: mqtt.LinkEvent) -> None:
        if not isinstance(event, mqtt.Received):
            self._inbox.put(event)
        elif not self._inbox.offer(event):
            log.warning("flood of messages: one on %s dropped; it is retained or sent again", event.topic)

    def _thread_died(self, error: BaseException) -> None:
        self._inbox.put(ThreadDied(error))

    def stop(self) -> None:
        """Ask `run` to return; may be called from a signal handler or another thread."""
        self._inbox.put(Stop())

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Do the duty until `stop`; raises what killed a thread of ours."""
        self._start_parts()
        log.info("stayby %s on duty: %s/%s, %s", __version__, self._unit.store, self._unit.id, self._unit.place)
        self._tell(events.ReachChanged(Reach.DISCONNECTED))
        self._resume_held()
        try:
            while self._turn():
                pass
        finally:
            self._watchdog.stopping()
            self._close()

    def _close(self) -> None:
        self._store.note_events(self._black_box.due(float("inf")))
        for part in (self._button, self._link, self._bus, self._store):
            if part is not None:
                part.close()

    def _turn(self) -> bool:
        """Take what has come, let time pass, tell the world; return False when asked to stop."""
        item = self._inbox.take(max(0.0, self._wake_s() - time.monotonic()))
        if isinstance(item, Stop):
            self._safe_mode.ends_well(self._roles.values(), time.monotonic())
            return False
        if isinstance(item, ThreadDied):
            raise item.error
        if item is not None:
            HANDLERS[type(item)](self, item)
        self._let_time_pass()
        self._send_outbox()
        return True

    def _wake_s(self) -> float:
        deadline_s = self._machine.deadline_s
        return self._next_tick_s if deadline_s is None else min(deadline_s, self._next_tick_s)

    def _let_time_pass(self) -> None:
        now_s = time.monotonic()
        deadline_s = self._machine.deadline_s
        if deadline_s is not None and deadline_s <= now_s:
            self._tell(events.TimePassed())
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + TICK_S
            self._tick(now_s)

    def _tick(self, now_s: float) -> None:
        self._check_leaves(now_s)
        self._look_at_starts(now_s)
        self._check_reach(now_s)
        self._set_beacon()
        self._give_refused_again(now_s)
        self._check_button(now_s)
        self._check_pause(now_s)
        self._check_opening(now_s)
        self._check_walk(now_s)
        clock_is_right = all(fault.code != "clock" for fault in self._faults.open)
        self._prover.tick(read_clock(), clock_is_right=clock_is_right)
        self._forget_heard()
        self._look_at_certificate(now_s)
        self._store.note_events(self._black_box.due(now_s))
        self._beat += 1
        if self._status_due or self._beat % int(BEAT_S / TICK_S) == 0:
            self._send_status()
        self._show()
        self._watchdog.look(self._duty(now_s), self._how_it_is())

    def _duty(self, now_s: float) -> list[Part]:
        """Return what must be so for this unit to be on duty, or known and shown not to be; `_tick` itself is the main loop."""
        self._try_disk(now_s)
        shown = {fault.code for fault in self._faults.open}
        parts = []
        if self._link is not None:
            if self._connected_s is None and "broker" not in shown and now_s - self._started_s > UNANSWERED_S:
                self._broker_fault("no answer, and no word why; check the network and its name server")
            parts.append(Part("no turn of the MQTT thread", self._link.turned_s, shown=self._connected_s is None))
        if self._button is not None:
            heard_s = self._button.statistics().heard_s or self._button.started_s
            parts.append(Part("no turn of the button's thread", self._button.turned_s, shown="button" in shown))
            parts.append(outside("no heartbeat of the button", heard_s, shown="button" in shown))
        return parts

    def _try_disk(self, now_s: float) -> None:
        """A store that cannot be written says so by its fault `disk`."""
        if now_s - self._disk_tried_s >= TRY_DISK_S:
            self._disk_tried_s = now_s
            if self._store.try_disk(time.time()):
                self._faults.clear("disk")

    def _look_at_certificate(self, now_s: float) -> None:
        """Tell a month ahead that the certificate ends, and at once that the clock cannot be right."""
        if now_s < self._certificate_due_s:
            return
        self._certificate_due_s = now_s + CERTIFICATE_EVERY_S
        ends_unix_s = self._link.broker_ends_unix_s if self._link is not None else None
        broker_ends = None if ends_unix_s is None else datetime.fromtimestamp(ends_unix_s, UTC)
        found = certificate_age.look(self._config.broker, datetime.now(UTC), broker_ends)
        for code in CERTIFICATE_CODES:
            if found is None or found.code != code:
                self._faults.clear(code)
        if found is not None:
            self._fault(*found)

    def _how_it_is(self) -> str:
        return how_it_is(fault.code for fault in self._faults.open)

    # --- telling the machine, and doing what it says ------------------------------------------------------------------

    def _tell(self, event: events.Event) -> None:
        clock = read_clock()
        was_open = self._machine.incident
        if self._opening is not None and self._machine.reach is Reach.OK:  # else the screen asks nobody to press
            event = self._opening.marked(event, clock.now_s)
        effects = self._machine.handle(event, clock.now_s)
        self._mind_opening()
        if was_open is not None and self._machine.incident is None:
            self._closed_s = clock.now_s
        for effect in effects:
            self._do(effect, clock)
        if effects:
            self._show()
        if self._machine.incident is not None:
            self._end_walk("a call is open, and staff are told")
            self._prover.break_off("a call is open, and staff are told", clock, covert=self._machine.incident.silent)

    def _do(self, effect: Effect, clock: Clock) -> None:
        if isinstance(effect, Publish):
            self._publish(clock)
        elif isinstance(effect, SetBeacon):
            self._set_beacon()
        elif isinstance(effect, Proven):
            self._proven_at = _utc(clock.unix_s)
            self._store.keep_proven(clock.unix_s)
            self._tell_status()

    def _publish(self, clock: Clock) -> None:
        incident = self._machine.incident or self._machine.last
        if incident is None:
            return
        payload = _payload(self._snapshot(incident, clock))
        self._store.save(incident, clock, (incident_topic(self._unit.store, self._unit.id), payload), self._press)
        self._send_outbox()
        self._black_box.incident(incident, clock.unix_s - clock.now_s)
        self._store.note_events(self._black_box.due(clock.now_s))

    def _snapshot(self, incident: Incident, clock: Clock) -> Snapshot:
        opened_at = datetime.fromtimestamp(clock.unix_s, UTC) - timedelta(seconds=clock.now_s - incident.opened_s)
        return self._machine.snapshot(incident, self._unit, clock.now_s, opened_at)

    def _set_beacon(self) -> None:
        if self._button is None:
            return
        beacon = BEACONS[self._machine.beacon]
        self._button.set_beacon(idle_beacon(self._faults.open) if beacon is ButtonBeacon.OFF else beacon)

    # --- staff: MQTT --------------------------------------------------------------------------------------------------

    def _send_outbox(self) -> None:
        """Give the broker what it has not acknowledged, oldest first; a number is given once per connection."""
        if self._link is None or self._connected_s is None:
            return
        for row in self._store.unsent():
            if row.number in self._given:
                continue
            mid = self._link.publish(row.topic, row.payload, retain=True)
            if mid is None:
                return
            self._given.add(row.number)
            self._in_flight[mid] = row.number

    def _connected(self, _: mqtt.Connected) -> None:
        self._connected_s = time.monotonic()
        self._presences.clear()
        self._faults.clear("broker")
        self._publish(read_clock())
        self._send_status()

    def _disconnected(self, event: mqtt.Disconnected) -> None:
        self._connected_s = None
        self._link_meter.broke(time.monotonic())
        self._in_flight.clear()
        self._given.clear()
        self._refused_s.clear()
        self._broker_fault(event.reason)
        self._check_reach(time.monotonic())

    def _refused(self, event: mqtt.Refused) -> None:
        number = self._in_flight.pop(event.mid, None) if event.mid is not None else None
        if event.mid is not None and self._prover.refused(event.mid, event.reason, read_clock()):
            log.warning("%s", event.reason)
        elif number is not None:
            self._refused_s[number] = time.monotonic()
            self._fault("broker-refused", "broker", event.reason, "staff are not told until it takes our alerts")
            self._check_reach(time.monotonic())
        elif event.mid is None:
            self._broker_fault(event.reason)
        else:
            log.warning("%s", event.reason)

    def _give_refused_again(self, now_s: float) -> None:
        """Try again; until the broker takes one, staff are not told."""
        for number in [number for number, at_s in self._refused_s.items() if now_s - at_s > REFUSED_AGAIN_S]:
            self._refused_s[number] = now_s
            self._given.discard(number)

    def _broker_fault(self, reason: str) -> None:
        where = f"broker {self._config.broker.host}:{self._config.broker.port}"
        self._fault("broker", where, reason.removeprefix(f"{where}: "), "staff cannot be told until it works")

    def _acknowledged(self, event: mqtt.Acknowledged) -> None:
        self._link_meter.acknowledged(event.mid, time.monotonic())
        self._prover.confirmed(event.mid, read_clock())
        number = self._in_flight.pop(event.mid, None)
        if number is not None:
            self._given.discard(number)
            self._store.sent(number)
            self._refused_s.clear()
            self._faults.clear("broker-refused")
            if self._machine.incident is not None and self._told_id != self._machine.incident.id:
                self._told_id = self._machine.incident.id
                self._show()

    def _received(self, event: mqtt.Received) -> None:
        try:
            if event.topic == incident_topic(self._unit.store, self._unit.id):
                self._own_incident(event)
            elif tells_presence(event.topic):
                self._presence(event)
            elif event.topic == proof_seen_topic(self._unit.store, self._unit.id):
                self._proof_seen(event)
            elif event.payload:
                self._answer(parse_reply(event.topic, event.payload), retained=event.retained)
        except BadMessage as error:
            log.warning("%s", error)

    def _own_incident(self, event: mqtt.Received) -> None:
        """Only what was retained before this connection matters: an open incident that this unit does not know."""
        if not event.retained or not event.payload:
            return
        snapshot = parse_snapshot(event.topic, event.payload)
        if snapshot.state is not State.CLOSED and not self._store.knows(snapshot.id):
            log.warning("the broker holds incident %s, which this unit lost: raising it again", snapshot.id)
            self._tell(events.FoundOpen(snapshot))

    def _proof_seen(self, event: mqtt.Received) -> None:
        """Only what the board answers now counts: nobody else may write there, and what a broker kept is of an earlier proof."""
        if event.payload and not event.retained:
            self._prover.handle(Answered(parse_proof_seen(event.topic, event.payload).proof), read_clock())

    def _presence(self, event: mqtt.Received) -> None:
        presence = parse_presence(event.topic, event.payload) if event.payload else None
        _, responder, device = event.topic.rsplit("/", 2)
        devices, now_s = self._presences.setdefault(responder, {}), time.monotonic()
        devices.pop(device, None)
        if presence is not None:
            while len(devices) >= DEVICES_MOST:  # whatever else the broker kept, who listens is not put out by it
                del devices[min(devices, key=lambda one: _listens(*devices[one], now_s))]
            devices[device] = presence, heard_at_s(now_s, retained=event.retained)
        self._check_reach(now_s)

    def _signed_on(self, responder: str) -> Person | None:
        """Return somebody as the device that they were heard from last calls them; None when no device ever was."""
        said = list(self._presences.get(responder, {}).values())
        return Person(id=responder, name=said[-1][0].name) if said else None

    def _listens(self, responder: str, now_s: float) -> list[Presence]:
        """Return the devices on which somebody listens."""
        said = self._presences[responder].values()
        return [one for one, heard_s in said if _listens(one, heard_s, now_s)]

    def _answer(self, answer: Reply | StartDrill, *, retained: bool) -> None:
        if isinstance(answer, StartDrill):
            self._start_drill(answer, retained=retained)
        else:
            self._reply(answer, retained=retained)

    def _reply(self, reply: Reply, *, retained: bool) -> None:
        person = self._signed_on(reply.responder)
        incident, last = self._machine.incident, self._machine.last
        if incident is None and last is not None and last.id == reply.incident and not retained:
            # A broker that confirms and drops may have lost the end of it: whoever still answers has not heard.
            log.info("reply from %s: incident %s is closed; saying so again", reply.responder, reply.incident)
            self._publish(read_clock())
        elif incident is None or incident.id != reply.incident:
            if not retained:
                log.warning("reply from %s: incident %s is not open here; ignored", reply.responder, reply.incident)
        elif person is None:
            log.warning("reply from %s: nobody of that id has signed on at this store; ignored", reply.responder)
        elif _is_overtaken(reply, incident):
            log.warning("close from %s: somebody called again before it arrived; it stays open", reply.responder)
            self._publish(read_clock())
        else:
            self._tell(_reply_event(reply, person))

    def _check_reach(self, now_s: float) -> None:
        fresh = {one: devices for one in self._presences if (devices := self._listens(one, now_s))}
        found = [
            events.Listener(Person(id=one, name=devices[-1].name), asked_at(devices, self._unit.id))
            for one, devices in fresh.items()
        ]
        listeners = tuple(sorted(found, key=lambda one: (one.tier, one.person.id)))
        if self._connected_s is None or self._refused_s:
            reach, listeners = Reach.DISCONNECTED, ()
        elif listeners:
            reach = Reach.OK
        elif now_s - self._connected_s < PRESENCE_SETTLE_S:
            return
        else:
            reach = Reach.NOBODY
        self._reach_fault(reach)
        if (reach, listeners) != (self._machine.reach, self._machine.listeners):
            self._tell(events.ReachChanged(reach, listeners))

    def _reach_fault(self, reach: Reach) -> None:
        if reach is Reach.NOBODY:
            self._fault(
                "nobody-listening",
                "staff",
                "no staff device shows the board",
                "open the board on a phone or the back-office screen",
            )
        elif reach is Reach.OK:
            self._faults.clear("nobody-listening")

    def _send_status(self) -> None:
        self._status_due = False
        if self._link is not None and self._connected_s is not None:
            state = UnitState.FAULT if self._faults.open else UnitState.READY
            topic = status_topic(self._unit.store, self._unit.id)
            mid = self._link.publish(topic, self._status(state).model_dump_json().encode(), retain=True)
            self._link_meter.sent(mid, time.monotonic())

    def _status(self, state: UnitState) -> Status:
        unit = self._unit
        faults = () if state is UnitState.LOST else self._faults.open
        return Status(
            store=unit.store,
            unit=unit.id,
            place=unit.place,
            state=state,
            faults=faults,
            last_proven=self._proven_at,
            opening=self._opening is not None and self._opening.armed and state is not UnitState.LOST,
            face=None if state is UnitState.LOST else _face(unit),
            version=__version__,
            beat=self._beat,
            at=datetime.now(UTC),
            run=self._run,
            link=None if state is UnitState.LOST else self._link_health(),
            self_proven=self._prover.passed_at,
        )

    def _link_health(self) -> LinkHealth:
        return self._link_meter.health(self._button_health(0, meter=False), time.monotonic())

    # --- drills -------------------------------------------------------------------------------------------------------

    def _start_drill(self, order: StartDrill, *, retained: bool) -> None:
        by = self._signed_on(order.responder)
        refusal = "it is an old one, which the broker kept" if retained else self._drill_refusal(order)
        if by is None or refusal:
            refusal = refusal or "nobody of that id has signed on at this store"
            log.warning("drill %s from %s: %s; ignored", order.drill, order.responder, refusal)
            return
        self._store.note_drill(order.drill)
        if order.scenario == OPENING:
            self._await_press(order.drill, by)
        else:
            log.info("drill %s (%s) begun by %s", order.drill, order.scenario, by.id)
            self._tell(events.DrillStarted(order.drill, order.scenario, by))

    def _drill_refusal(self, order: StartDrill) -> str | None:
        if self._store.knows_drill(order.drill):
            return "it was begun before"
        if self._machine.incident is not None:
            return "an incident is open here: close it first"
        if self._opening is not None:
            return "the opening press is waited for: press the button, or wait a minute"
        return None

    def _await_press(self, drill: str, by: Person) -> None:
        self._prover.break_off("the opening press is waited for", read_clock())
        log.info("opening press %s begun by %s: waiting for it", drill, by.id)
        self._opening = Opening(drill, by, time.monotonic(), has_button=self._config.button is not None)
        self._missed_until_s = None
        self._faults.clear("opening-missed")
        self._tell_status()
        self._show()

    def _mind_opening(self) -> None:
        """An incident ends the wait for the press; of a silent one the screen must not tell."""
        incident, opening = self._machine.incident, self._opening
        if opening is None or incident is None:
            return
        if opening.armed:
            came = "a call came, perhaps it" if incident.id == opening.drill else "another call came first"
            log.info("opening press %s: %s", opening.drill, came)
            self._tell_status()
        self._opening = replace(opening, armed=False) if self._machine.desk is None else None

    def _check_opening(self, now_s: float) -> None:
        opening = self._opening
        if opening is not None and now_s >= opening.until_s:
            self._opening = None
            if opening.armed:
                self._opening_missed(opening)
            self._tell_status()
        if self._missed_until_s is not None and now_s >= self._missed_until_s:
            self._missed_until_s = None
            self._faults.clear("opening-missed")

    def _opening_missed(self, opening: Opening) -> None:
        what = "pressed the button" if opening.has_button else 'touched "I need help"'
        says = f"nobody {what} in the minute after {opening.by.name} began it at {_time_of_day(opening.since_s)}"
        self._missed_until_s = opening.until_s + MISSED_SHOWN_S
        self._fault("opening-missed", "opening press", says, "begin it again when somebody stands at the desk")

    # --- the walk test ------------------------------------------------------------------------------------------------

    def _call(self, event: events.Event, key: object, real: Callable[[], None]) -> bool:
        """Take a call, by `real`; return True where it is held instead, because it may be the technician's."""
        now_s, walk = time.monotonic(), self._walk
        if trigger_of(event) is not None:
            covert = isinstance(event, events.ButtonPressed | events.PhraseHeard) and event.covert
            self._prover.break_off("a call came", read_clock(), covert=covert)
            self._at_desk_s = now_s
        if walk is not None and walk.held is not None and walk.held.key == key:
            return True
        if walk is not None and self._machine.incident is None and self._opening is None and walk.takes(event, now_s):
            self._hold(walk, event, key, real)
            return True
        if walk is not None and walk.held is not None and trigger_of(event) is not None:
            self._call_staff("a second call came")
        real()
        return False

    def _hold(self, walk: Walk, event: events.Event, key: object, real: Callable[[], None]) -> None:
        """Tell the technician alone. A press outlives this hub: the button forgets it once it is acknowledged."""
        now_s, ear = time.monotonic(), self._ear
        self._walk, self._held_is_real = walk.holding(event, key, now_s), real
        if isinstance(event, events.ButtonPressed):
            self._store.keep_held(covert=event.covert)
        told = WalkSays(what="came", trigger=trigger_of(event), after_s=round(now_s - walk.since_s, 2))
        if isinstance(event, events.PhraseHeard):
            levels = {} if ear is None else {"level_dbfs": ear.level_dbfs, "noise_dbfs": ear.noise_dbfs}
            told = told.model_copy(update={"phrase": event.phrase, "score": event.score, **levels})
        self._tell_walker(told)

    def _call_staff(self, why: str) -> None:
        """What was held is a call: staff are told now."""
        real = self._held_is_real
        if self._walk is None or real is None:
            return
        log.warning("walk test: the held call is real: %s", why)
        self._tell_walker(WalkSays(what="real", says=why))
        self._walk, self._held_is_real = self._walk.free(), None
        real()
        self._store.keep_held(covert=None)  # now that it is kept as an incident

    def _resume_held(self) -> None:
        """A press that was held when the last hub died is somebody's."""
        covert = self._store.held()
        if covert is not None:
            log.warning("a press was held in a walk test when the hub ended: it is a call")
            self._tell(events.ButtonPressed(covert=covert))
            self._store.keep_held(covert=None)

    def _ask_walk(self, number: int, ask: AskWalk) -> None:
        walk = self._walk
        if ask.action == "begin":
            self._begin_walk(number, ask)
        elif walk is None or walk.number != number:
            self._say_to(number, WalkSays(what="refused", says="no walk test of yours goes on here: begin one"))
        elif ask.action == "end":
            self._end_walk("the technician ended it")
        elif ask.action == "expect" and ask.trigger is not None and walk.held is None:
            self._walk = walk.expecting(ask.trigger, time.monotonic())
            self._tell_walker(WalkSays(what="expecting", trigger=ask.trigger))
        elif ask.action == "real":
            self._call_staff("the technician says that it was not theirs")
        elif ask.action == "mine" and walk.held is not None:
            self._held_was_test(walk)

    def _begin_walk(self, number: int, ask: AskWalk) -> None:
        refusal = self._walk_refusal()
        if refusal is not None or ask.by is None:
            self._say_to(number, WalkSays(what="refused", says=refusal or "say who tests"))
            return
        self._walk = Walk(ask.by, number, time.monotonic() + ask.for_s)
        until = self._walk_until()
        log.warning("walk test of %s until %s", ask.by, until)
        says = f"{ask.by} tests this desk until {until}; every call that is not theirs reaches staff"
        self._fault("walk-test", "unit", says, "nothing: it ends by itself")
        self._tell_walker(WalkSays(what="begun", until=until))
        self._show()

    def _walk_refusal(self) -> str | None:
        if self._machine.incident is not None:
            return "a call is open here: wait until staff have closed it"
        if self._opening is not None:
            return "the opening press is waited for: wait a minute"
        if self._walk is not None:
            return f"a walk test of {self._walk.by} goes on: end it first"
        if self._prover.proof:
            return "the unit tests itself: wait half a minute"
        return None

    def _held_was_test(self, walk: Walk) -> None:
        held = walk.held
        if held is None:
            return
        if isinstance(held.event, events.PhraseHeard) and isinstance(held.key, tuple):
            self._detections.append(held.key)
        elif isinstance(held.event, events.HelpTouched):
            self._touch_tested_until_s = time.monotonic() + TOUCH_TESTED_S
        self._walk, self._held_is_real = walk.free(), None
        self._store.keep_held(covert=None)
        log.info("walk test: %s was a test", trigger_of(held.event))
        self._tell_walker(WalkSays(what="mine", trigger=trigger_of(held.event)))
        self._show()

    def _check_walk(self, now_s: float) -> None:
        if self._walk is not None and self._walk.overdue(now_s):
            self._call_staff("the technician did not say whose it was")
        if self._walk is not None and self._walk.over(now_s):
            self._end_walk("its time is up")

    def _end_walk(self, why: str) -> None:
        """From now on every call is real, and so is one that is held."""
        walk, real = self._walk, self._held_is_real
        if walk is None:
            return
        if real is not None:
            self._tell_walker(WalkSays(what="real", says=why))
        self._tell_walker(WalkSays(what="over", says=why))
        self._walk, self._held_is_real = None, None
        self._faults.clear("walk-test")
        log.warning("walk test of %s is over: %s", walk.by, why)
        if real is not None:
            real()
            self._store.keep_held(covert=None)
        self._show()

    def _walk_until(self) -> str:
        return "" if self._walk is None else _time_of_day(self._walk.until_s)

    def _tell_walker(self, told: WalkSays) -> None:
        if self._walk is not None:
            self._say_to(self._walk.number, told)

    def _say_to(self, number: int, told: WalkSays) -> None:
        if self._bus is not None:
            self._bus.send(number, told)

    # --- the daily proof ----------------------------------------------------------------------------------------------

    def _ask_proof(self, number: int) -> None:
        refusal = self._proof_refusal(time.monotonic())
        if refusal is not None:
            log.info("the daily proof waits: %s", refusal)
            self.tell_prover(number, ProofSays(what="not_now", says=refusal))
        else:
            self._prover.begin(number, known(self._proof_facts()), read_clock())

    def _proof_refusal(self, now_s: float) -> str | None:
        """Return who needs the desk now; the daily proof is never in anybody's way."""
        if self._prover.proof:
            return "it proves itself already: wait half a minute"
        if now_s - self._started_s < STARTED_S and self._lacks_leaf():
            return f"it has just started, and not all of its parts are there: wait {STARTED_S:.0f} s"
        button = self._button_refusal() if self._config.button is not None else None
        return self._walk_refusal() or self._somebody_there(now_s) or button

    def _somebody_there(self, now_s: float) -> str | None:
        """Return why somebody may stand at the desk."""
        if self._paused_until_s is not None:
            return "a person at the desk paused the microphone: wait until it listens again"
        if now_s - max(self._at_desk_s, self._closed_s) < AT_DESK_S:
            return f"somebody called or touched the screen a moment ago: wait {AT_DESK_S:.0f} s"
        if self._ear is not None and is_loud(self._ear):
            return "it is loud at the desk just now: wait until it is quiet"
        return None

    def _lacks_leaf(self) -> bool:
        """Return whether screen or ear is still to come: the ear counts once it has said how it hears."""
        ear_lacks = self._config.listen is not None and self._hearing() is Hearing.DEAF
        return ear_lacks or Role.UI not in self._roles.values()

    def _proof_facts(self) -> Facts:
        config, ear, open_now = self._config, self._ear, {fault.code: fault for fault in self._faults.open}
        of_ear = (ear.faults if ear is not None else ())[:1]
        return Facts(
            has_button=config.button is not None,
            has_ear=config.listen is not None,
            has_speaker=config.speaker is not None,
            hearing=self._hearing(),
            knows_phrase=ear is not None and ear.knows_proof,
            button_fault=open_now.get("button"),
            ear_fault=open_now.get("listen") or next(iter(of_ear), None),
            screen_fault=open_now.get("screen"),
        )

    def test_button(self) -> None:
        """Have the button test itself, for the daily proof."""
        if self._button is not None:
            self._button.self_test()

    def play_proof(self, order: PlayProof) -> bool:
        """Have the screen play the sound of the daily proof; False where none is there."""
        screens = [number for number, role in self._roles.items() if role is Role.UI]
        return bool(screens) and self._bus is not None and self._bus.send(screens[-1], order)

    def write_proof(self, proof: str) -> int | None:
        """Give the daily proof to the broker; None without a connection."""
        if self._link is None or self._connected_s is None:
            return None
        store, unit = self._unit.store, self._unit.id
        payload = Proof(store=store, unit=unit, proof=proof).model_dump_json().encode()
        return self._link.publish(proof_topic(store, unit), payload)

    def tell_prover(self, number: int, told: ProofSays) -> None:
        """Tell whoever asked for the daily proof."""
        if self._bus is not None:
            self._bus.send(number, told)

    def proof_fault(self, fault: Fault | None) -> None:
        """Set or clear what the daily proof missed."""
        if fault is None:
            self._faults.clear("proof-missed")
        else:
            self._fault("proof-missed", fault.where, fault.says, fault.do)

    def proof_changed(self) -> None:
        """Let staff and screen know how the daily proof stands."""
        self._tell_status()
        self._show()

    def _tell_status(self) -> None:
        """Staff get the status with the next tick, which is now."""
        self._status_due, self._next_tick_s = True, 0.0

    # --- the desk: button ---------------------------------------------------------------------------------------------

    def _pressed(self, event: Pressed) -> None:
        if event.press_id not in self._store.presses():
            said = events.ButtonPressed(covert=event.input is Input.COVERT, age_s=event.age_s or 0.0)
            self._call(said, event.press_id, lambda: self._take_press(said, event.press_id))
        if self._button is not None:
            self._button.ack(event)

    def _take_press(self, said: events.ButtonPressed, press_id: PressId) -> None:
        self._press = press_id
        self._tell(said)
        self._press = None

    def _released(self, _: Released) -> None:
        """A release says nothing about the person."""

    @_while_held
    def _button_up(self, event: LinkUp) -> None:
        log.info("button: firmware %s, build %s, last reset: %s", event.firmware, event.build, event.reset_cause)
        self._faults.clear("button")
        if event.version_note is None:
            self._faults.clear("button-firmware")
        else:
            says, _, do = event.version_note.rpartition("; ")
            self._fault("button-firmware", self._button_port, says, do)
        self._set_beacon()

    @_while_held
    def _button_down(self, event: LinkDown) -> None:
        self._fault("button", self._button_port, event.reason, "touch still works")

    @property
    def _button_port(self) -> str:
        return self._config.button.port if self._config.button else "button"

    @_while_held
    def _loop_fault(self, event: LoopFault) -> None:
        says = f"the wire to {LOOP_NAMES[event.input]} is {event.kind.name.lower()} ({event.volts:.2f} V)"
        self._fault(LOOP_CODES[event.input], "button", says, LOOP_ADVICE.get(event.kind, LOOP_ADVICE_ELSE))

    @_while_held
    def _loop_restored(self, event: LoopRestored) -> None:
        self._faults.clear(LOOP_CODES[event.input])

    @_while_held
    def _stuck(self, event: Stuck) -> None:
        says = f"{LOOP_NAMES[event.input]} has been pressed for {event.for_s:.0f} s: a new press cannot be seen"
        do = "let it go; if nobody holds it, a contact sticks or there is water in it: replace the button"
        self._fault(STUCK_CODES[event.input], "button", says, do)

    @_while_held
    def _unstuck(self, event: Unstuck) -> None:
        self._faults.clear(STUCK_CODES[event.input])

    @_while_held
    def _lid_opened(self, _: LidOpened) -> None:
        says = "the lid of its enclosure is open"
        self._fault("button-lid", "button", says, "see what was done to it and who did it, then close the lid")

    @_while_held
    def _lid_closed(self, _: LidClosed) -> None:
        self._faults.clear("button-lid")

    @_while_held
    def _memory_faulty(self, _: MemoryFaulty) -> None:
        says = "its memory has a worn cell, or is full: a power cut may lose a press that the hub has not taken"
        self._fault(
            "button-memory", "button", says, "see that the hub takes its presses; if it stays, replace the board"
        )

    @_while_held
    def _memory_sound(self, _: MemorySound) -> None:
        self._faults.clear("button-memory")

    @_while_held
    def _unit_restarted(self, event: UnitRestarted) -> None:
        if ResetCause.WATCHDOG in event.cause:
            code, says = "button-hung", "its program hung and its watchdog restarted it"
            do = "replace the board if it comes again"
        elif event.cause & (ResetCause.POWER_ON | ResetCause.BROWN_OUT):
            code, says, do = (
                "button-power",
                "its supply failed and it restarted",
                "check its 5 V supply, plug and cable",
            )
        else:
            code, says = "button-restarted", "it restarted, by its reset pin or by what its boot loader hides,"
            do = "if nobody pressed its reset: check its 5 V supply and cable"
        self._fault(code, "button", f"{says} at {_time_of_day(event.at_s)}", f"it works again; {do}")
        self._reset_shown_until_s[code] = event.at_s + RESET_SHOWN_S

    def _host_was_lost(self, event: HostWasLost) -> None:
        log.warning("button: it did not hear this unit for %.1f s", event.away_s)

    def _check_button(self, now_s: float) -> None:
        for code in [code for code, until_s in self._reset_shown_until_s.items() if now_s >= until_s]:
            del self._reset_shown_until_s[code]
            self._faults.clear(code)
        if self._lent_to is not None and now_s >= self._lent_until_s:
            log.warning("the button's port was lent for %.0f s: taking it back", LENT_S)
            self._take_button_back()

    # --- the button, for a technician ---------------------------------------------------------------------------------

    def _ask_button(self, number: int, ask: AskButton) -> None:
        refusal = self._button_refusal()
        if refusal is not None or self._button is None:
            self._answer_button(number, ok=False, says=refusal or "the button's link did not start: see stayby status")
        elif ask.action == "lend":
            self._lend_button(number, self._button)
        else:
            log.info("button: self-test")
            self._tester = number
            self._button.self_test()

    def _button_refusal(self) -> str | None:
        if self._config.button is None:
            return "this unit has no button: its configuration has no [button]"
        if self._machine.incident is not None:
            return "an incident is open and the button is needed: wait until staff have closed it"
        if self._lent_to is not None:
            return "somebody else is flashing the button: wait until they are done"
        if self._tester is not None or self._prover.hop is Hop.BUTTON:
            return "the button is testing itself: wait 3 s"
        return None

    def _lend_button(self, number: int, button: ButtonLink) -> None:
        """Let the port go. What was told of the button is not watched meanwhile, and is told anew when it is back."""
        button.close()
        self._button = None
        self._lent_to, self._lent_until_s = number, time.monotonic() + LENT_S
        self._faults.replace("button-", ())
        self._reset_shown_until_s.clear()
        self._fault(
            "button", self._button_port, "being flashed", "it comes back by itself; touch still works meanwhile"
        )
        says = f"{self._button_port} is yours while this connection stays open, {LENT_S:g} s at most"
        self._answer_button(number, ok=True, says=says)

    def _take_button_back(self) -> None:
        self._lent_to = None
        self._faults.replace("button-", ())  # the new link tells anew all that is so
        self._start_part("button", self._start_button)

    def _self_tested(self, event: SelfTested) -> None:
        log.info("button: self-test %s: %s", "passed" if event.passed else "failed", event.reason)
        if self._tester is not None:
            self._answer_button(self._tester, ok=event.passed, says=event.reason)
            self._tester = None
        self._prover.handle(ButtonTried(event.passed, event.reason), read_clock())

    def _answer_button(self, number: int, *, ok: bool, says: str) -> None:
        if self._bus is not None:
            self._bus.send(number, ButtonAnswer(ok=ok, says=says))

    def _metered(self, event: Metered) -> None:
        for seen in self._meters.values():
            seen.take(event)

    def _button_health(self, number: int, *, meter: bool) -> ButtonHealth | None:
        if self._config.button is None:
            return None
        if self._button is None:
            return ButtonHealth(port=self._button_port, says="being flashed" if self._lent_to is not None else "")
        seen = None
        if meter:
            self._button.meter(METER_S)
            seen, self._meters[number] = self._meters.get(number), Extremes()
        return button_health(self._button_port, self._button.statistics(), time.monotonic(), seen)

    # --- the leaves ---------------------------------------------------------------------------------------------------

    def _leaf_said(self, item: LeafSaid) -> None:
        message = item.message
        if isinstance(message, Hello):
            self._roles[item.number] = message.role
            if message.role is not Role.STATUS and not message.again:
                self._safe_mode.begins(message.role, time.monotonic())
            self._tell_ears(PauseEar(paused=self._paused_until_s is not None), item.number)
            self._show()
        elif isinstance(message, Detection):
            self._detection(item.number, message)
        elif isinstance(message, Touch):
            self._touch(message)
        elif isinstance(message, Ear):
            self._ear_says(message)
        elif isinstance(message, ScreenBeat):
            self._faults.replace("screen-", message.faults)
        elif isinstance(message, Speaking):
            self._speaking(message)
        elif isinstance(message, ProofSound):
            self._prover.sound(message, read_clock())
        else:
            self._asked(item.number, message)
        role = self._roles.get(item.number)
        if role is not None:
            self._heard_s[role] = time.monotonic()

    def _asked(self, number: int, message: FromLeaf) -> None:
        """A technician asks for something."""
        if isinstance(message, AskStatus):
            self._answer_status(number, message)
        elif isinstance(message, AskButton):
            self._ask_button(number, message)
        elif isinstance(message, AskWalk):
            self._ask_walk(number, message)
        elif isinstance(message, AskProof):
            self._ask_proof(number)

    def _detection(self, number: int, heard: Detection) -> None:
        """Tell the machine once, and the ear that it may forget; it says the same again until it is told."""
        key = heard.phrase, heard.audio_end_s
        if key not in self._detections and self._prover.takes(heard, read_clock()):
            self._detections.append(key)
        if key not in self._detections and not self._told_before(heard):
            strong = heard.grave and heard.strong
            said = events.PhraseHeard(heard.phrase, heard.score, strong, heard.covert, heard.opens)
            if self._call(said, key, lambda: self._take_phrase(said, heard)):
                return  # the ear says it again until it is somebody's
        if self._bus is not None:
            self._bus.send(number, DetectionTaken(audio_end_s=heard.audio_end_s))

    def _take_phrase(self, said: events.PhraseHeard, heard: Detection) -> None:
        self._detections.append((heard.phrase, heard.audio_end_s))
        self._tell(said)
        self._note_heard(heard)

    def _told_before(self, heard: Detection) -> bool:
        """Whether the resumed incident knows this call: the last hub died after saving it, before it could confirm it."""
        kept = self._resumed
        if kept is None or kept.phrase != heard.phrase:
            return False
        return heard.audio_end_s <= kept.opened_s + max((entry.t_s for entry in kept.timeline), default=0.0)

    def _speaking(self, speaking: Speaking) -> None:
        """Let the ear know that what it hears now is us."""
        self._tell_ears(speaking)

    def _tell_ears(self, message: Speaking | PauseEar, only: int | None = None) -> None:
        """Tell every ear that is there, or the one of this number if it is one."""
        for number, role in list(self._roles.items()):
            if role is Role.LISTEN and self._bus is not None and only in {None, number}:
                self._bus.send(number, message)

    def _leaf_bad(self, item: LeafBad) -> None:
        log.warning("%s", item.text)

    def _leaf_gone(self, item: LeafGone) -> None:
        role = self._roles.pop(item.number, None)
        if role is Role.LISTEN:
            self._ear = None
        if role is not None:
            self._safe_mode.gone(role, time.monotonic())
        if item.number == self._lent_to:
            self._take_button_back()
        self._meters.pop(item.number, None)
        if item.number == self._tester:
            self._tester = None
        if self._walk is not None and item.number == self._walk.number:
            self._end_walk("its terminal went away")

    def _ear_says(self, ear: Ear) -> None:
        self._ear = ear
        self._faults.replace("ear-", ear.faults)
        if ear.level_dbfs is not None and ear.noise_dbfs is not None:
            self._prover.handle(Level(ear.level_dbfs, ear.noise_dbfs), read_clock())

    def _touch(self, touch: Touch) -> None:
        if touch.action is not TouchAction.LANGUAGE:  # a screen that starts tells its language by itself
            self._at_desk_s = time.monotonic()
            self._prover.break_off("somebody touches the screen", read_clock())
        event = _touch_event(touch)
        open_id = self._machine.desk.id if self._machine.desk else None
        if touch.action in {TouchAction.PAUSE, TouchAction.RESUME}:
            self._pause_ear(paused=touch.action is TouchAction.PAUSE)
        elif event is None:
            log.warning("touch %s from the screen: what was chosen is missing; ignored", touch.action)
        elif touch.action in ALWAYS_MEANT or touch.incident == open_id:
            self._call(event, touch.action, lambda: self._tell(event))
        else:
            log.info("touch %s was for incident %s, which is not open now; ignored", touch.action, touch.incident)

    # --- the ear: its pause, and what it heard ------------------------------------------------------------------------

    def _pause_ear(self, *, paused: bool) -> None:
        """A person at the desk wants the microphone off for a while, or on again."""
        if self._config.listen is None:
            log.info("touch on the microphone: this unit has none; ignored")
            return
        clock = read_clock()
        if not paused:
            log.info("the microphone is on again from the desk")
            self._store.keep_pause(None)
            self._pause_until(None)
        elif self._paused_until_s is None:  # a touch that comes twice is one
            self._begin_pause(clock)

    def _begin_pause(self, clock: Clock) -> None:
        before = self._store.pauses(clock.unix_s - PAUSES_S, clock.unix_s)
        if before >= PAUSES_LIMIT:
            log.info("the microphone was paused %d times within the hour: not again now", before)
            self._show(self._make_show().model_copy(update={"hearing_back_s": 0.0}))  # the touch has arrived
            self._show()
            return
        pause_s = PAUSE_AGAIN_S if before else PAUSE_S
        log.info("the microphone is paused from the desk for %.0f s", pause_s)
        self._store.keep_pause(clock.unix_s + pause_s, clock.unix_s)
        self._pause_until(clock.now_s + pause_s)

    def _resume_pause(self, clock: Clock) -> None:
        """Go on with a pause from before a restart; of a clock that was set back, no longer than a whole one."""
        until_unix_s = self._store.paused_until() if self._config.listen is not None else None
        if until_unix_s is not None and until_unix_s > clock.unix_s:
            self._pause_until(clock.now_s + min(until_unix_s - clock.unix_s, PAUSE_S))

    def _pause_until(self, until_s: float | None) -> None:
        self._paused_until_s = until_s
        self._tell_ears(PauseEar(paused=until_s is not None))
        if until_s is None:
            self._faults.clear("mic-paused")
        else:
            works = "button and touch work" if self._config.button is not None else "touch works"
            says = f"a person at the desk paused the microphone; {works}"
            back = _time_of_day(until_s)
            self._fault("mic-paused", "microphone", says, f"nothing: it listens again by itself at {back}")
        self._show()

    def _check_pause(self, now_s: float) -> None:
        if self._paused_until_s is not None and now_s >= self._paused_until_s:
            log.info("the pause of the microphone is over")
            self._store.keep_pause(None)
            self._pause_until(None)

    def _note_heard(self, heard: Detection) -> None:
        """Keep phrase, score and time for whoever asks at the desk what was heard; never that it was a covert one."""
        if heard.covert or heard.phrase in NEVER_READ_BACK:
            return
        clock = read_clock()
        age_s = clock.now_s - heard.audio_end_s
        at_unix_s = clock.unix_s - (age_s if 0 <= age_s <= LATE_DETECTION_S else 0.0)
        self._store.note_heard(Heard(heard.phrase, heard.score, at_unix_s))
        self._heard = self._store.heard()
        self._show()

    def _forget_heard(self) -> None:
        unix_s = time.time()
        if any(abs(unix_s - one.at_unix_s) > HEARD_KEPT_S for one in self._heard):
            self._store.forget_heard(unix_s)
            self._heard = self._store.heard()

    def _look_at_starts(self, now_s: float) -> None:
        """Parts that only start and die stay down; an update that went back is told."""
        fresh = {role for role in self._roles.values() if now_s - self._heard_s[role] <= LEAF_SILENT_S}
        self._safe_mode.look(fresh, now_s)
        held = self._safe_mode.held
        if held is None:
            self._faults.clear("safe-mode")
        else:
            says = f"screen and voice are kept off: {held.why}; the button works"
            do = "install the newest version, or: sudo stayby safe-mode off; after a day it is tried again by itself"
            self._fault("safe-mode", "unit", says, do)
        self._tell_update(self._update.fault())

    def _tell_update(self, told: Fault | None) -> None:
        if told is None or told.code == STUCK:
            self._faults.clear("update-failed")
        else:
            self._fault("update-failed", told.where, told.says, told.do)
        if told is not None and told.code == STUCK:
            self._fault("update-stuck", told.where, told.says, told.do)
        else:
            self._faults.clear("update-stuck")

    def _check_leaves(self, now_s: float) -> None:
        if self._safe_mode.held is not None:
            self._faults.clear("screen")
            self._faults.clear("listen")
            return
        self._check_leaf(now_s, Role.UI, "screen", "the screen does not answer", "stayby-ui")
        if self._config.listen is not None:
            self._check_leaf(now_s, Role.LISTEN, "listen", "the voice part does not answer", "stayby-listen")

    def _check_leaf(self, now_s: float, role: Role, code: str, says: str, service: str) -> None:
        if now_s - self._heard_s[role] <= LEAF_SILENT_S:
            self._faults.clear(code)
        else:
            self._fault(code, service, says, f"it restarts by itself; if not, restart {service}")

    def _hearing(self) -> Hearing:
        if self._config.listen is None:
            return Hearing.OFF
        return self._ear.state if self._ear is not None else Hearing.DEAF

    def _show(self, show: Show | None = None) -> None:
        for number, role in list(self._roles.items()):
            if role is Role.UI and self._bus is not None:
                show = show or self._make_show()
                self._bus.send(number, show)

    def _make_show(self) -> Show:
        clock = read_clock()
        back_s = None if self._paused_until_s is None else max(0.0, self._paused_until_s - clock.now_s)
        return Show(
            face=_face(self._unit),
            incident=self._shown(clock),
            told=self._machine.incident is not None and self._machine.incident.id == self._told_id,
            hearing=self._hearing(),
            reach=self._machine.reach,
            listeners=len(self._machine.listeners),
            faults=self._faults.open,
            heard=tuple(_heard_phrase(one) for one in self._heard),
            hearing_back_s=back_s,
            opening=self._shown_opening(),
            walk_until=self._walk_until(),
            touch_tested=clock.now_s < self._touch_tested_until_s,
            proving=self._prover.shown,
            tested_at=_today_at(self._prover.passed_at),
        )

    def _shown_opening(self) -> Literal["press", "touch"] | None:
        if self._opening is None:
            return None
        return "press" if self._opening.has_button else "touch"

    def _shown(self, clock: Clock) -> Snapshot | None:
        """Return what the screen is told; of an incident that is over too, unless the desk may not have known it."""
        last = self._machine.last
        recent = last is not None and clock.now_s - self._closed_s < CLOSED_SHOWN_S
        if self._machine.incident is None and last is not None and recent and not last.parted:
            return self._snapshot(last, clock)
        return self._machine.desk_snapshot(self._unit, clock.now_s, datetime.fromtimestamp(clock.unix_s, UTC))

    def _answer_status(self, number: int, ask: AskStatus) -> None:
        clock = read_clock()
        incident = self._machine.incident
        answer = StatusAnswer(
            status=self._status(UnitState.FAULT if self._faults.open else UnitState.READY),
            incident=self._snapshot(incident, clock) if incident else None,
            reach=self._machine.reach,
            listeners=tuple(one.person for one in self._machine.listeners),
            hearing=self._hearing(),
            own_voice=self._ear is not None and self._ear.own_voice,
            unsent=len(self._store.unsent()),
            button=self._button_health(number, meter=ask.meter),
            ear=self._ear,
            walk_until=self._walk_until(),
            proving=bool(self._prover.proof),
        )
        if self._bus is not None:
            self._bus.send(number, answer)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _fault(self, code: str, where: str, says: str, do: str) -> None:
        self._faults.set(Fault(code=code, where=where, says=says, do=do))

    def _faults_changed(self, fault: Fault, begins: bool) -> None:
        self._black_box.fault(fault, time.time(), begins=begins)
        self._tell_status()


def _listens(presence: Presence, heard_s: float, now_s: float) -> bool:
    """Return whether a device listens, which was heard last at `heard_s`."""
    return presence.listening and now_s - heard_s <= PRESENCE_FRESH_S


def _face(unit: UnitSection) -> Face:
    return Face(unit=unit.id, **unit.model_dump(include=set(Face.model_fields) - {"unit"}))


def _utc(unix_s: float | None) -> datetime | None:
    """Return a time of day that was kept; None for one that a damaged disk made up."""
    try:
        return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
    except (OverflowError, ValueError, OSError):
        log.warning("the time of the last proof is damaged; begin an opening press")
        return None


def _heard_phrase(heard: Heard) -> HeardPhrase:
    phrase = HELP_WORD if heard.phrase in NOT_IN_THE_LOG else heard.phrase
    return HeardPhrase(phrase=phrase, score=heard.score, at=datetime.fromtimestamp(heard.at_unix_s, UTC))


def _time_of_day(at_s: float) -> str:
    """Return the local time of a moment of the monotonic clock, as HH:MM."""
    ago = timedelta(seconds=time.monotonic() - at_s)
    return (datetime.now(UTC) - ago).astimezone().strftime("%H:%M")


def _today_at(at: datetime | None) -> str:
    """Return a moment of today as local time, HH:MM; empty for any other day."""
    local, now = at.astimezone() if at is not None else None, datetime.now(UTC).astimezone()
    return local.strftime("%H:%M") if local is not None and local.date() == now.date() and local <= now else ""


def idle_beacon(faults: tuple[Fault, ...]) -> ButtonBeacon:
    """Return what the ring shows while nothing is open: a fault, if the desk may know of it."""
    return ButtonBeacon.FAULT if {fault.code for fault in faults} - NO_BLINK else ButtonBeacon.OFF


def is_loud(ear: Ear) -> bool:
    """Return whether it is much louder now than in the room's stillest seconds."""
    known = ear.level_dbfs is not None and ear.noise_dbfs is not None and ear.state is Hearing.LISTENING
    return known and (ear.level_dbfs or 0.0) - (ear.noise_dbfs or 0.0) > LOUD_DB


def _payload(snapshot: Snapshot) -> bytes:
    """Return the snapshot as readers take it: one that outgrew their limit loses the middle of its timeline, then names."""
    payload = snapshot.model_dump_json().encode()
    if len(payload) > MAX_SNAPSHOT_BYTES:
        short = snapshot.model_copy(update={"timeline": (*snapshot.timeline[:5], *snapshot.timeline[-15:])})
        payload = short.model_dump_json().encode()
    if len(payload) > MAX_SNAPSHOT_BYTES:
        few = {name: getattr(snapshot, name)[:20] for name in ("asked", "seen", "declined")}
        payload = short.model_copy(update=few).model_dump_json().encode()
    return payload


def _is_overtaken(reply: Reply, incident: Incident) -> bool:
    """Return whether this closes what somebody called in again: who closed did not know of it. A drill's pages are played."""
    if not isinstance(reply, CloseReply) or reply.known_s is None or incident.drill:
        return False
    return calls_after(incident.timeline, reply.known_s, attended=incident.state is State.ATTENDED)


def _reply_event(reply: Reply, person: Person) -> events.Reply:
    """Return what a responder's reply means to the machine."""
    match reply:
        case SeenReply():
            return events.ResponderSeen(person, reply.reply_id)
        case ComingReply():
            return events.ResponderComing(person, reply.reply_id, reply.eta_s)
        case HereReply():
            return events.ResponderHere(person, reply.reply_id)
        case CloseReply():
            return events.ResponderClosed(person, reply.reply_id, reply.outcome)
        case CallNextReply():
            return events.ResponderDeclined(person, reply.reply_id)


def _touch_event(touch: Touch) -> events.Event | None:
    """Return what a touch means to the machine; None when its choice, name or language is missing, or it is not for it."""
    if touch.action is TouchAction.CHOOSE:
        return events.ChoiceTouched(touch.choice) if touch.choice else None
    if touch.action is TouchAction.NAME:
        return events.NameGiven(touch.name) if touch.name else None
    if touch.action is TouchAction.LANGUAGE:
        return events.LanguageChosen(touch.language) if touch.language else None
    simple: dict[TouchAction, events.Event] = {
        TouchAction.HELP: events.HelpTouched(),
        TouchAction.PERSON: events.PersonTouched(),
        TouchAction.FINE: events.FineTouched(),
        TouchAction.STILL_OK: events.StillOkTouched(),
        TouchAction.WORSE: events.WorseTouched(),
        TouchAction.LATER: events.LaterTouched(),
        TouchAction.TEST: events.TestTouched(),
    }
    return simple.get(touch.action)


HANDLERS: dict[type, Callable[[Hub, Any], None]] = {
    LeafSaid: Hub._leaf_said,
    LeafBad: Hub._leaf_bad,
    LeafGone: Hub._leaf_gone,
    mqtt.Connected: Hub._connected,
    mqtt.Disconnected: Hub._disconnected,
    mqtt.Refused: Hub._refused,
    mqtt.Received: Hub._received,
    mqtt.Acknowledged: Hub._acknowledged,
    Pressed: Hub._pressed,
    Released: Hub._released,
    LinkUp: Hub._button_up,
    LinkDown: Hub._button_down,
    LoopFault: Hub._loop_fault,
    LoopRestored: Hub._loop_restored,
    Stuck: Hub._stuck,
    Unstuck: Hub._unstuck,
    LidOpened: Hub._lid_opened,
    LidClosed: Hub._lid_closed,
    MemoryFaulty: Hub._memory_faulty,
    MemorySound: Hub._memory_sound,
    UnitRestarted: Hub._unit_restarted,
    SelfTested: Hub._self_tested,
    Metered: Hub._metered,
    HostWasLost: Hub._host_was_lost,
}
"""What the hub does with each thing on its inbox."""


def run(config: UnitConfig, config_faults: tuple[Fault, ...] = ()) -> None:
    """Be the hub of one unit until SIGTERM or Ctrl-C; raises what killed a thread of ours."""
    hub = Hub(config, config_faults)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: hub.stop())
    hub.run()
