"""The board's own ear on its store: one MQTT link that writes down what units and staff say, whether anybody is signed in or not.

The link's thread only puts; one loop takes what is there in one transaction, so that hundreds of messages a second cost a few
writes. What was put while the disk was slow is bounded: of a status the newest counts, and a lost snapshot comes again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from kiosk.board.fleet import DAY_S, Facts, Fleet, FleetView, Named, make_view
from kiosk.board.kept import CLOCK_IS_SET
from kiosk.board.records import Records
from kiosk.board.report import freeze_weeks, zone_of
from kiosk.board.station import parse_presence_once, parse_snapshot_once, parse_status_once
from kiosk.messages import (
    PREFIX,
    BadMessage,
    Proof,
    ProofSeen,
    Snapshot,
    State,
    incident_topic,
    parse_proof,
    parse_reply,
    presence_topic,
    proof_seen_topic,
    proof_topic,
    reply_topic,
    status_topic,
)
from kiosk.mqtt import Acknowledged, Connected, Disconnected, LinkEvent, MqttLink, Received, Refused
from kiosk.store_config import KeepSection, StoreConfig

ROOM = 20_000
"""Snapshots and replies that may wait."""
TOPICS_ROOM = 30_000
WATCH_EVERY_S = 15.0
COUNT_EVERY_S = 3600.0
COUNT_ALERTS_EVERY_S = 30.0
QUIET_HOUR = 3
"""From this hour of the store's day on, once a day: what is deleted has the file written anew, which wears a flash card."""
FILE = "records.db"

log = logging.getLogger("stayby.records")


def open_records(store: StoreConfig, on_fault: Callable[[str], None]) -> Records:
    """Return the records of a store, in its state_dir (made if it is missing); a folder that cannot be is a fault line."""
    folder = store.store.state_dir
    with suppress(OSError):  # then the file cannot be opened either, and that is told
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    records = Records(folder / FILE, on_fault)
    _keep_private(folder / FILE)
    return records


def _keep_private(path: Path) -> None:
    with suppress(OSError):  # a disk that cannot be written was told already
        path.chmod(0o600)


def is_over(snapshot: Snapshot, utc: datetime, keep: KeepSection, *, retained: bool) -> bool:
    """Return whether broker or unit kept the end of an incident for longer than we may: it was deleted here, and stays so."""
    if snapshot.state is not State.CLOSED:
        return False
    dated = snapshot.opened_at.tzinfo is not None and snapshot.opened_at.timestamp() >= CLOCK_IS_SET
    slept_s = (utc - snapshot.opened_at).total_seconds() if retained and dated else 0.0
    return max(slept_s, snapshot.elapsed_s) > keep.incident_days * DAY_S


def fleet_topics(store: str) -> tuple[str, ...]:
    """Return the topics on which a store's units and staff say how they are."""
    return incident_topic(store, "+"), status_topic(store, "+"), presence_topic(store, "+")


def feed(fleet: Fleet, event: Received, now_s: float, utc: datetime) -> None:
    """Give one message to the fleet; raise `BadMessage` when it is none of ours. An empty one takes its unit out of service."""
    _store, unit, kind, *_ = event.topic.removeprefix(f"{PREFIX}/").split("/")
    if not event.payload:
        if kind == "status":
            fleet.forget(unit)
    elif unit == "staff":
        fleet.take_presence(parse_presence_once(event.topic, event.payload), now_s, retained=event.retained)
    elif kind == "status":
        fleet.take_status(parse_status_once(event.topic, event.payload), now_s, utc, retained=event.retained)
    elif kind == "incident":
        fleet.take_snapshot(parse_snapshot_once(event.topic, event.payload), now_s, utc, retained=event.retained)


class Inbox:
    """What the link said and nobody has written down yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[tuple[LinkEvent, datetime]] = deque()
        self._latest: dict[str, tuple[LinkEvent, datetime]] = {}
        self.news = threading.Event()
        self.dropped = 0

    def put(self, event: LinkEvent) -> None:
        """Take an event from the link's thread."""
        if isinstance(event, Acknowledged):
            return
        item = (event, datetime.now(UTC))
        with self._lock:
            if isinstance(event, Received) and event.topic.endswith("/status"):
                self._put_latest(event.topic, item)
            elif len(self._lines) < ROOM:
                self._lines.append(item)
            else:
                self.dropped += 1
        self.news.set()

    def _put_latest(self, topic: str, item: tuple[LinkEvent, datetime]) -> None:
        if topic in self._latest or len(self._latest) < TOPICS_ROOM:
            self._latest[topic] = item
        else:
            self.dropped += 1

    def take(self) -> tuple[list[tuple[LinkEvent, datetime]], int]:
        """Return what is there in its order, statuses last, and how many were dropped."""
        with self._lock:
            self.news.clear()
            items, dropped = [*self._lines, *self._latest.values()], self.dropped
            self._lines.clear()
            self._latest.clear()
            self.dropped = 0
        return items, dropped


class Recorder:
    """Runs from the moment it is made until `close`. `on_death(error)` is called on its own thread."""

    def __init__(self, store: StoreConfig, records: Records, on_death: Callable[[BaseException], None]) -> None:
        self._store, self._records, self._on_death = store, records, on_death
        self._zone = zone_of(store.store.zone)
        self._inbox = Inbox()
        self._fleet, self._fleet_lock = Fleet(), threading.Lock()
        self._alerts: dict[str, int] = {}
        self._alerts_due_s = 0.0
        self._closing = threading.Event()
        self._count_due_s = self._watch_due_s = 0.0
        self._kept_house: date | None = None
        self._watched = False
        self.down = "connecting…"
        self.rival_s: float | None = None
        """When another board of this store was last noticed (monotonic seconds): both sign in by one name."""
        self.faults: dict[str, str] = {}
        name = store.store.id
        topics = (*fleet_topics(name), reply_topic(name, "+", "+"))
        self._proofs: list[Proof] = []
        self._link = MqttLink(
            store.broker, f"stayby-records-{name}", topics, self._inbox.put, on_death, wishes=(proof_topic(name, "+"),)
        )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write down what is there, and stop. The records stay open: they are the caller's."""
        self._link.close()
        self._closing.set()
        self._inbox.news.set()
        self._thread.join()

    # --- the loop -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._inbox.news.wait(WATCH_EVERY_S)
                self._turn()
            self._turn()
            self._records.watch(datetime.now(UTC), connected=False)
        except BaseException as error:  # whatever it is: nobody records any more, and the board must know
            log.exception("the recorder died")
            self._on_death(error)

    def _turn(self) -> None:
        items, dropped = self._inbox.take()
        if dropped:
            self._fault(
                "inbox", f"{dropped} messages were not recorded: too many at once. Look for a device that floods."
            )
        self._feed(items)
        self._records.together(lambda: self._take_all(items))
        self._answer_proofs()
        self._watch()
        if time.monotonic() >= self._count_due_s:
            self._count_due_s = time.monotonic() + COUNT_EVERY_S
            self._keep_house(time.time())

    def _answer_proofs(self) -> None:
        """Tell units that they were heard, now that what came with it is on disk. An answer that is lost is asked for again."""
        proofs, self._proofs = self._proofs, []
        for one in proofs:
            seen = ProofSeen(store=one.store, unit=one.unit, proof=one.proof)
            self._link.publish(proof_seen_topic(one.store, one.unit), seen.model_dump_json().encode())

    def _watch(self) -> None:
        """Say that the store is heard: seldom, since each time is a write, and at once when it changes."""
        connected, now_s = not self.down, time.monotonic()
        if connected != self._watched or now_s >= self._watch_due_s:
            self._watched, self._watch_due_s = connected, now_s + WATCH_EVERY_S
            self._records.watch(datetime.now(UTC), connected=connected)

    def _keep_house(self, now_s: float) -> None:
        """Count the weeks each hour; delete what is over its time at the start, and then once a night."""
        freeze_weeks(self._records, self._store, self._zone, now_s)
        day = (datetime.fromtimestamp(now_s, self._zone) - timedelta(hours=QUIET_HOUR)).date()
        if day == self._kept_house:
            return
        self._kept_house = day
        gone = self._records.forget(self._store.keep, now_s)
        if gone:
            log.info("%d records were over their time and are deleted", gone)

    # --- the fleet ----------------------------------------------------------------------------------------------------

    def fleet(self) -> FleetView:
        """Return every unit as it is now; may be called from any thread."""
        now_s = time.monotonic()
        if now_s >= self._alerts_due_s:
            self._alerts_due_s = now_s + COUNT_ALERTS_EVERY_S
            self._alerts = self._records.alerts(time.time() - 7 * DAY_S)
        facts = Facts(
            store=self._store.store.name,
            named=[Named(one.id, one.place) for one in self._store.unit],
            now_s=now_s,
            unix_s=time.time(),
            proven_hours=self._store.norm.proven_hours,
            alerts=self._alerts,
            proven_s={one.unit: one.proven_s for one in self._records.desks()},
            down=self.down,
        )
        with self._fleet_lock:
            return make_view(self._fleet, facts)

    def _feed(self, items: Iterable[tuple[LinkEvent, datetime]]) -> None:
        with self._fleet_lock:
            for event, utc in items:
                if isinstance(event, Connected):
                    self._fleet.heard_again(time.monotonic())
                elif isinstance(event, Received):
                    with suppress(BadMessage):  # told where it is written down
                        feed(self._fleet, event, time.monotonic(), utc)

    # --- from the link ------------------------------------------------------------------------------------------------

    def _take_all(self, items: Iterable[tuple[LinkEvent, datetime]]) -> None:
        for event, utc in items:
            match event:
                case Received():
                    self._take_message(event, utc)
                case Connected():
                    log.info("recording")
                    self.down = ""
                case Disconnected(reason, rival):
                    log.warning("not recording: %s", reason)
                    self.down = reason
                    self.rival_s = time.monotonic() if rival else self.rival_s
                case Refused(reason, None):
                    log.warning("not recording: %s", reason)
                    self.down = reason
                case Refused(reason, _):
                    self._fault("refused", reason)

    def _take_message(self, event: Received, utc: datetime) -> None:
        if not event.payload:
            return
        try:
            self._parse(event, utc)
        except BadMessage as error:
            self._fault(event.topic, str(error))

    def _parse(self, event: Received, utc: datetime) -> None:
        _store, unit, kind, *_ = event.topic.removeprefix(f"{PREFIX}/").split("/")
        if unit == "staff":
            self._records.take_presence(parse_presence_once(event.topic, event.payload), utc)
        elif kind == "reply":
            self._records.take_reply(unit, parse_reply(event.topic, event.payload), utc)
        elif kind == "status":
            self._records.take_status(parse_status_once(event.topic, event.payload), utc)
        elif kind == "incident":
            self._take_snapshot(event, utc)
        elif kind == "proof" and not event.retained:
            self._proofs.append(parse_proof(event.topic, event.payload))

    def _take_snapshot(self, event: Received, utc: datetime) -> None:
        snapshot = parse_snapshot_once(event.topic, event.payload)
        if not is_over(snapshot, utc, self._store.keep, retained=event.retained):
            self._records.take_snapshot(snapshot, utc, retained=event.retained)

    def _fault(self, key: str, says: str) -> None:
        if self.faults.get(key) != says:
            log.warning("%s", says)
        self.faults = {**dict(list(self.faults.items())[-15:]), key: says}
