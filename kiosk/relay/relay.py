"""The relay's process: one MQTT client that reads a store, an outbox on disk, and a thread for each secondary way.

The main thread alone touches state: it takes what link and tellers put on the inbox, keeps on disk what is news, hands each idle
way its next notice, and says to Home Assistant what is so. It reads only; nothing that a unit does waits for it.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kiosk.broker_files import relay_command_topic
from kiosk.config import CREDENTIALS, BrokerSection, wrong_credentials
from kiosk.duty import Part
from kiosk.messages import (
    BadMessage,
    Snapshot,
    Status,
    UnitState,
    incident_topic,
    parse_snapshot,
    parse_status,
    status_topic,
)
from kiosk.mqtt import Acknowledged, Connected, Disconnected, LinkEvent, MqttLink, Received, Refused, Will
from kiosk.notify import watchdog
from kiosk.relay import home_assistant as ha
from kiosk.relay.command import Command
from kiosk.relay.drill import begin_drill
from kiosk.relay.inbox import DrillCame, Inbox
from kiosk.relay.notice import Facts, change, notice, over, plain, told
from kiosk.relay.notify import Notify
from kiosk.relay.outbox import RETRY_MOST_S, Outbox
from kiosk.relay.way import Came, NotTold, Teller, Way
from kiosk.relay.webhook import Webhook
from kiosk.store_config import HomeAssistantSection, RelaySection, StoreConfig

TICK_S = 1.0
LOST_S = 20.0
DRILL_AGAIN_S = 60.0
CLEAN_S = 600.0
FINISH_S = 1.0
RETRY_FIRST_S = 1.0
BAD_KEPT = 200
EVERYTHING, NOT_COVERT = "everything", "not covert"
"""The two audiences: whoever is told of covert calls too, and whoever is not."""

NO_DRILLS = (
    "has no certificate or password at the broker; set theirs in [[staff]] (until then there is no drill button)"
)

log = logging.getLogger("stayby.relay")


@dataclass(frozen=True, slots=True)
class Life:
    """A unit's status, when its beat last changed (monotonic seconds), and whether it was shown as living."""

    status: Status
    fresh_s: float
    shown_living: bool = True

    def lives(self, now_s: float) -> bool:
        """Return whether the unit is there: neither its will nor its silence says otherwise."""
        return self.status.state is not UnitState.LOST and now_s - self.fresh_s <= LOST_S

    def desk(self, *, silent: bool) -> ha.Desk:
        """Return what Home Assistant is told of it: of the covert button's wiring only where covert calls may show."""
        status = self.status
        faults = tuple(one for one in status.faults if silent or "covert" not in one.code)
        return ha.Desk(self.shown_living, faults, status.last_proven, status.version, status.self_proven)


def broker_of(config: StoreConfig, relay: RelaySection) -> BrokerSection:
    """Return how the relay reaches the broker: the board's way to it, with a name of its own."""
    own = relay.model_dump(include=set(CREDENTIALS))
    return BrokerSection(**{**config.broker.model_dump(include={"host", "port", "ca_file"}), **own})


def drill_broker_of(config: StoreConfig) -> BrokerSection | None:
    """Return how the one who begins drills signs in at the broker; None when store.toml does not say it."""
    by = config.home_assistant.drill_by if config.home_assistant else None
    for one in config.staff:
        own = one.model_dump(include=set(CREDENTIALS), exclude_none=True)
        if one.id == by and not list(wrong_credentials(own)):
            return BrokerSection(**{**config.broker.model_dump(include={"host", "port", "ca_file"}), **own})
    return None


def ways_of(config: StoreConfig) -> Iterator[Way | str]:
    """Yield each way of store.toml, or in one line what is wrong with it."""
    makers: list[tuple[str, Callable[..., Way], tuple[Any, ...]]] = [
        ("webhook", Webhook, config.webhook),
        ("notify", Notify, config.notify),
        ("command", Command, config.command),
    ]
    for table, make, sections in makers:
        for number, section in enumerate(sections, 1):
            try:
                yield make(section, number)
            except ValueError as error:
                yield f"[[{table}]] {number}: {error}; correct it in store.toml (until then this way is off)"


def backoff_s(tries: int) -> float:
    """Return how long to wait after so many tries in vain: 1 s at first, 5 min at most, jittered."""
    return min(RETRY_FIRST_S * 2.0 ** min(tries, 20), RETRY_MOST_S) * random.uniform(0.8, 1.0)  # noqa: S311 - no secret


class Relay:
    """One run of the relay. Times are monotonic seconds, but for the outbox, which outlives reboots."""

    def __init__(self, config: StoreConfig, relay: RelaySection, outbox: Path) -> None:
        self._config, self._store, self._home = config, config.store.id, config.home_assistant
        self._places = {unit.id: unit.place for unit in config.unit}
        self._wake = threading.Event()
        self._death: BaseException | None = None
        self._closing = False
        self._connected = False
        self._watchdog = watchdog(time.monotonic)
        self._says: dict[str, str] = {}
        self._off: list[str] = []
        self._inbox = Inbox(self._wake.set)
        self._box = Outbox(outbox, self._off_line)
        if not self._places:
            self._off_line("store.toml names no [[unit]], so nothing is relayed; add each with its id and place")
        self._drill_by = (self._home and self._home.drill_by) or ""
        self._drill_broker = drill_broker_of(config)
        if self._drill_by and self._drill_broker is None:
            self._off_line(f"[home_assistant] drill_by: {self._drill_by} {NO_DRILLS}")
        self._told: dict[tuple[str, str], Facts] = self._box.told()
        self._past: dict[str, list[str]] = {}
        self._lives: dict[str, Life] = {}
        self._shown: dict[str, bytes] = {}
        self._emptying: dict[int, str] = {}
        self._drilled_s: dict[str, float] = {}
        self._bad: set[str] = set()
        self._ours = set(self._device_topics())
        self._box.announce(self._ours)
        self._announced = self._box.announced()
        self._stale = set(self._places)
        self._looked_s = 0.0
        self._version = version("stayby")
        self._clean_s = 0.0
        self._tellers = {way.key: Teller(way, self._inbox.put, self._die) for way in self._ways()}
        self._waiting = self._box.waiting()
        will = Will(ha.health_topic(self._store), ha.Health(state="offline").model_dump_json().encode())
        self._link = MqttLink(
            broker_of(config, relay), f"stayby-relay-{self._store}", self._topics(), self._inbox.put, self._die, will=will
        )  # fmt: skip

    def _ways(self) -> Iterator[Way]:
        for way in ways_of(self._config):
            if isinstance(way, str):
                self._off_line(way)
            else:
                yield way

    def _topics(self) -> tuple[str, ...]:
        own = (incident_topic(self._store, "+"), status_topic(self._store, "+"))
        if self._home is None:
            return own
        drills = (relay_command_topic(self._store, "+"),) if self._drill_broker else ()
        return (*own, ha.birth_topic(self._home.prefix), *drills)

    def _device_topics(self) -> Iterator[str]:
        for unit in self._places if self._home else ():
            yield ha.discovery_topic(self._home.prefix, self._store, unit) if self._home else ""
            yield ha.state_topic(self._store, unit)

    def _off_line(self, says: str) -> None:
        log.error("%s", says)
        self._off.append(plain(says))

    def _die(self, error: BaseException) -> None:
        self._death = error
        self._wake.set()

    def stop(self, *_: object) -> None:
        """End the run within a second; it may be called from a signal handler, so it takes no lock."""
        self._closing = True

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Relay until told to stop; raise what killed a thread."""
        log.info("secondary ways: %s; the board is what counts", ", ".join(self._names()) or "none in store.toml")
        try:
            while not self._closing and self._death is None:
                self._turn(time.monotonic(), time.time())
                self._watchdog.look(self._duty(), self._how_it_is())
                self._wake.wait(TICK_S)
            self._watchdog.stopping()
            self._finish(time.monotonic() + FINISH_S)
        finally:
            for teller in self._tellers.values():
                teller.way.stop()
            self._link.close()
            self._box.close()
        if self._death is not None:
            raise self._death

    def _duty(self) -> list[Part]:
        return [Part("no turn of the MQTT thread", self._link.turned_s, shown=not self._connected)]

    def _how_it_is(self) -> str:
        wrong = [*self._off, *(says for says in self._says.values() if says)]
        return "; ".join(["on duty" if self._connected else "not connected to the broker", *wrong])

    def _finish(self, until_s: float) -> None:
        """Wait a moment for what is under way, so that it need not be told twice."""
        while any(one.busy for one in self._tellers.values()) and (now_s := time.monotonic()) < until_s:
            self._wake.wait(until_s - now_s)
            self._wake.clear()
            for event in self._inbox.take():
                self._take(event, now_s, time.time())

    def _names(self) -> list[str]:
        return ["Home Assistant"] * bool(self._home) + [one.way.name for one in self._tellers.values()]

    def _turn(self, now_s: float, unix_s: float) -> None:
        self._wake.clear()
        for event in self._inbox.take():
            self._take(event, now_s, unix_s)
        if now_s >= self._clean_s:
            self._clean_s = now_s + CLEAN_S
            self._clean(unix_s)
        for teller in self._tellers.values():
            if not teller.busy and self._waiting.get(teller.way.key):
                self._give(teller, unix_s)
        self._show(now_s)

    def _clean(self, unix_s: float) -> None:
        if dropped := self._box.drop_old(self._tellers, unix_s):
            log.warning("%d notices were too old, too many, or for a way that is gone: dropped untold", dropped)
        self._waiting = self._box.waiting()

    def _take(self, event: LinkEvent | Came | DrillCame, now_s: float, unix_s: float) -> None:
        match event:
            case Received():
                self._receive(event, now_s, unix_s)
            case Came():
                self._came(event, unix_s)
            case DrillCame(unit, says):
                log.info("drill at %s: %s", unit, says or "begun, the unit waits for its button")
            case Connected():
                log.info("connected to the broker")
                self._connected = True
                self._lives = {unit: replace(life, fresh_s=now_s) for unit, life in self._lives.items()}
                self._say_all_again()
            case Disconnected(reason) | Refused(reason, None):
                log.warning("not connected: %s", reason)
                self._connected = False
            case Refused(reason, _):
                log.warning("%s", reason)
            case Acknowledged(mid):
                if topic := self._emptying.pop(mid, None):
                    self._box.withdraw(topic)
                    self._announced.discard(topic)

    # --- from the store -----------------------------------------------------------------------------------------------

    def _receive(self, event: Received, now_s: float, unix_s: float) -> None:
        if self._home and event.topic == ha.birth_topic(self._home.prefix):
            if event.payload == ha.BIRTH.encode() and not event.retained:
                log.info("Home Assistant has started: it is told everything again")
                self._say_all_again()
            return
        unit, kind = event.topic.split("/")[-2:]
        if unit not in self._places:
            self._bad_line(unit, f"{event.topic}: {unit} is not a [[unit]] of store.toml; nothing of it is relayed")
            return
        try:
            if kind == "command":
                self._drill(unit, event, now_s)
            elif not event.payload:
                self._forget(unit, kind)
            elif kind == "incident":
                self._news(parse_snapshot(event.topic, event.payload), unix_s)
            else:
                self._status(parse_status(event.topic, event.payload), now_s)
        except BadMessage as error:
            self._bad_line(event.topic, f"{error}; check who writes there, and that all run the same version")

    def _forget(self, unit: str, kind: str) -> None:
        if kind == "status" and self._lives.pop(unit, None) is not None:
            self._stale.add(unit)

    def _bad_line(self, key: str, says: str) -> None:
        if key not in self._bad and len(self._bad) < BAD_KEPT:
            self._bad.add(key)
            log.warning("%s", plain(says))

    def _status(self, status: Status, now_s: float) -> None:
        before = self._lives.get(status.unit)
        same = before is not None and before.status.beat == status.beat
        self._lives[status.unit] = Life(status, before.fresh_s if before and same else now_s)
        if before is None or before.status.model_copy(update={"beat": status.beat}) != status:
            self._stale.add(status.unit)

    def _news(self, snapshot: Snapshot, unix_s: float) -> None:
        past = self._past.setdefault(snapshot.unit, [])
        if snapshot.id in past[:-1]:
            return  # an older incident of this unit, delivered late
        if snapshot.id not in past:
            self._past[snapshot.unit] = [*past[-31:], snapshot.id]
        for audience in (EVERYTHING, NOT_COVERT):
            before = self._told.get((audience, snapshot.unit))
            if before is not None and before.incident == snapshot.id and before.revision >= snapshot.revision:
                continue
            now = told(snapshot, self._places[snapshot.unit], before, silent=audience is EVERYTHING)
            if before is not None and before.incident != snapshot.id and before.open:
                self._tell(audience, before, over(before), unix_s)
            if now is not None:
                self._tell(audience, self._told.get((audience, snapshot.unit)), now, unix_s)

    def _tell(self, audience: str, before: Facts | None, now: Facts, unix_s: float) -> None:
        self._stale.add(now.unit)
        kind = change(before, now)
        if kind is None:
            self._told[audience, now.unit] = now
            return
        keys = [key for key, one in self._tellers.items() if one.way.silent == (audience is EVERYTHING)]
        at = datetime.fromtimestamp(unix_s, UTC)
        news = [(key, notice(f"msg_{uuid.uuid4().hex}", kind, now, at)) for key in keys]
        self._box.take(audience, now, news, unix_s)
        self._told[audience, now.unit] = now
        for key in keys:
            self._waiting[key] = self._waiting.get(key, 0) + 1

    # --- to the ways --------------------------------------------------------------------------------------------------

    def _give(self, teller: Teller, unix_s: float) -> None:
        waiting = self._box.next_due(teller.way.key, unix_s)
        if waiting is not None:
            teller.give(waiting)

    def _came(self, came: Came, unix_s: float) -> None:
        teller, error = self._tellers[came.waiting.way], came.error
        teller.busy = False
        if error is None or error.never:
            self._box.done(came.waiting.number)
            self._waiting[teller.way.key] -= 1
        else:
            wait_s = max(error.again_in_s or 0.0, backoff_s(came.waiting.tries))
            self._box.again(came.waiting.number, unix_s + wait_s)
        self._way_says(teller.way, error)

    def _way_says(self, way: Way, error: NotTold | None) -> None:
        """Log when a way begins to fail, fails in another manner, or is well again: once."""
        says, before = plain(str(error)) if error else "", self._says.get(way.key, "")
        if isinstance(way, Command) and way.said and not says:
            log.info("%s said: %s", way.name, way.said)
        if says != before:
            self._says[way.key] = says
            level, words = (logging.WARNING, f"not told: {says}") if says else (logging.INFO, "told again")
            log.log(level, "%s: %s", way.name, words)

    # --- drills -------------------------------------------------------------------------------------------------------

    def _drill(self, unit: str, event: Received, now_s: float) -> None:
        if event.retained or event.payload != ha.PRESS.encode() or self._drill_broker is None:
            raise BadMessage(f"drill on {event.topic}: not a press of the drill button just now; ignored")
        if now_s - self._drilled_s.get(unit, float("-inf")) >= DRILL_AGAIN_S:
            self._drilled_s[unit] = now_s
            who = (self._drill_broker, unit, self._drill_by)
            threading.Thread(target=self._begin_drill, args=who, name="drill", daemon=True).start()

    def _begin_drill(self, broker: BrokerSection, unit: str, by: str) -> None:
        try:
            self._inbox.put(DrillCame(unit, begin_drill(broker, self._store, unit, by)))
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._die(error)

    # --- what is so, at the broker ------------------------------------------------------------------------------------

    def _say_all_again(self) -> None:
        """Say everything anew: the broker or Home Assistant may have forgotten it."""
        self._shown.clear()
        self._stale.update(self._places)

    def _show(self, now_s: float) -> None:
        self._publish(ha.health_topic(self._store), self._health().model_dump_json().encode())
        if self._home is not None:
            self._show_units(self._home, now_s)
        for topic in self._announced - self._shown.keys():
            self._empty(topic)

    def _show_units(self, home: HomeAssistantSection, now_s: float) -> None:
        if now_s >= self._looked_s + TICK_S:
            self._looked_s = now_s
            self._stale.update(unit for unit, life in self._lives.items() if life.lives(now_s) != life.shown_living)
        for unit in sorted(self._stale):
            if not all(self._publish(topic, payload) for topic, payload in self._entities(home, unit, now_s)):
                break  # not connected
            self._stale.discard(unit)

    def _entities(self, home: HomeAssistantSection, unit: str, now_s: float) -> Iterator[tuple[str, bytes]]:
        """Yield the topics of a unit's device and what is so now."""
        life, desk = self._lives.get(unit), None
        if life is not None:
            life = self._lives[unit] = replace(life, shown_living=life.lives(now_s))
            desk = life.desk(silent=home.silent)
        facts = self._told.get((EVERYTHING if home.silent else NOT_COVERT, unit))
        place, drill = self._places[unit], self._drill_broker is not None
        about = ha.discovery(self._store, unit, place, desk, self._version, drill=drill)
        yield ha.discovery_topic(home.prefix, self._store, unit), about.model_dump_json(exclude_none=True).encode()
        yield ha.state_topic(self._store, unit), ha.state(facts, desk).model_dump_json().encode()

    def _publish(self, topic: str, payload: bytes) -> bool:
        """Say what is so, unless that was said already; return whether it is said."""
        if self._shown.get(topic) == payload:
            return True
        if self._link.publish(topic, payload, retain=True) is None:
            return False
        self._shown[topic] = payload
        return True

    def _empty(self, topic: str) -> None:
        """Take back what is no longer so: a unit that left store.toml, or all of them."""
        if topic not in self._ours and (mid := self._link.publish(topic, b"", retain=True)) is not None:
            self._shown[topic] = b""
            self._emptying[mid] = topic

    def _health(self) -> ha.Health:
        ways = [
            ha.WayHealth(way=one.way.name, says=self._says.get(key, ""), waiting=self._waiting.get(key, 0))
            for key, one in self._tellers.items()
        ]
        return ha.Health(state="online", ways=tuple(ways), says=" ".join(self._off))
