"""One responder's device, whatever shows it: the link, the inbox, the model, and the answers under way.

The main thread owns a `Station`: it empties the inbox (`take_inbox`), calls `tick` about once a second, and asks for the
`view`. The link's thread only puts into the `Inbox`, which wakes the main thread.
"""

import hashlib
import logging
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from kiosk.board.fault_words import LATE, ODD, REFUSED, STILL, FaultView
from kiosk.board.model import Model
from kiosk.board.replies import Answers, Delivery, called_again, known_s
from kiosk.board.view import (
    DELIVERIES,
    DESKS_UNKNOWN,
    DesksView,
    ReplyKind,
    View,
    buttons_of,
    desks_view,
    make_view,
)
from kiosk.config import BoardConfig
from kiosk.messages import (
    LAST_TIER,
    SAID_MOST,
    BadMessage,
    CallNextReply,
    CloseReply,
    ComingReply,
    Duty,
    HereReply,
    Id,
    Outcome,
    Presence,
    Record,
    Reply,
    SeenReply,
    Snapshot,
    StartDrill,
    State,
    incident_topic,
    parse_presence,
    parse_snapshot,
    parse_status,
    presence_topic,
    reply_topic,
    status_topic,
    tells_presence,
)
from kiosk.mqtt import Acknowledged, Connected, Disconnected, LinkEvent, MqttLink, Received, Refused, Will

INBOX_TOPICS = 4096
INBOX_EVENTS = 256
FAULT_SHOWN_S = 60.0
PRESENCE_AGAIN_S = 1.0
REST_MOST_S = 4 * 3600.0
"""A break that nobody ended is over then."""
PRESENCE_EVERY_S = 15.0
"""A unit counts a listener only when it heard of them within 45 s."""

log = logging.getLogger("stayby.board")

PARSED_KEPT = 512
parse_snapshot_once = lru_cache(PARSED_KEPT)(parse_snapshot)
parse_status_once = lru_cache(PARSED_KEPT)(parse_status)
parse_presence_once = lru_cache(PARSED_KEPT)(parse_presence)
"""One board hears each message once for every person on it; what it says is frozen, and one for all."""


class AnswerRefused(ValueError):
    """An answer that cannot be given now; its text is for the person who gave it."""


class Ask(Record):
    """What a person answered on page or pager."""

    incident: str
    unit: str
    kind: ReplyKind
    eta_s: float | None = None
    outcome: Outcome | None = None
    note: str = Field(default="", max_length=200)


@dataclass(frozen=True, slots=True)
class Standing:
    """On which tier somebody is asked now, at which desks it is another one, and whether they are on duty."""

    tier: int
    desks: dict[Id, int] = field(default_factory=dict)
    duty: Duty = Duty.ON


@dataclass(frozen=True, slots=True)
class Rest:
    """Whether somebody is on break by their own word: `said` orders it among their devices, `since_s` is when it came here."""

    on: bool = False
    said: int = 0
    since_s: float = 0.0

    def over(self, now_s: float) -> bool:
        """Return whether a break has lasted so long that it was forgotten."""
        return self.on and now_s - self.since_s > REST_MOST_S

    def gives_way(self, other: Presence) -> bool:
        """Return whether another device knows a later word; of two alike the one without a break is it."""
        on = other.duty is Duty.BREAK
        return (other.duty_said, not on) > (self.said, not self.on)


class Inbox:
    """What the link said since the last look. Of a topic only the newest message is kept: they are whole states."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._link: deque[LinkEvent] = deque(maxlen=INBOX_EVENTS)
        self._topics: dict[str, Received] = {}
        self.dropped = 0

    def put(self, event: LinkEvent) -> None:
        """Take an event from the link's thread."""
        if isinstance(event, Acknowledged):
            return
        with self._lock:
            if not isinstance(event, Received):
                self._link.append(event)
            elif event.topic in self._topics or len(self._topics) < INBOX_TOPICS:
                self._topics[event.topic] = event
            else:
                self.dropped += 1
        self._wake()

    def take(self) -> list[LinkEvent]:
        """Return what is there, the link's own events first."""
        with self._lock:
            events = [*self._link, *self._topics.values()]
            self._link.clear()
            self._topics.clear()
        return events


def device_id(device: str) -> str:
    """Return an id that is the same after a restart on this machine, and another on the next one."""
    return f"{device}-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}"


def client_id(device: str, responder: str) -> str:
    """Return the MQTT client id of one of somebody's devices on this machine."""
    kind, _, here = device_id(device).rpartition("-")
    return f"stayby-{kind}-{responder}-{here}"


class Station:
    """See the module. `wake()` runs on the link's thread and may only wake; `on_death(error)` likewise."""

    def __init__(
        self,
        config: BoardConfig,
        device: Literal["board", "pager"],
        wake: Callable[[], None],
        on_death: Callable[[BaseException], None],
        *,
        stands: Callable[[bool], Standing] | None = None,
        rest: Rest | None = None,
        manager: bool = False,
    ) -> None:
        self.me = config.responder
        self.manager = manager
        self.board_faults: tuple[FaultView, ...] = ()
        self.model = Model()
        self._desks_at: tuple[int, int] | None = None
        self._desks_said = DESKS_UNKNOWN
        self.answers = Answers()
        self.inbox = Inbox(wake)
        self.rest = rest or Rest()
        self._stands = stands or self._by_own_tier
        self.standing = self._stands(self.rest.on)
        self._listening = False
        self._presence_due_s: float | None = None
        self._down = "connecting…"
        self._faults: dict[str, tuple[float, FaultView]] = {}
        store = self.me.store
        self._device = device_id(device)
        self._my_topic = presence_topic(store, self.me.id, self._device)
        topics = (incident_topic(store, "+"), status_topic(store, "+"), presence_topic(store, "+"))
        will = Will(self._my_topic, self._presence(listening=False))
        self.link = MqttLink(config.broker, client_id(device, self.me.id), topics, self.inbox.put, on_death, will=will)

    def _presence(self, *, listening: bool) -> bytes:
        now = self.standing
        presence = Presence(
            responder=self.me.id,
            device=self._device,
            name=self.me.name,
            tier=now.tier,
            desks=now.desks,
            duty=now.duty,
            duty_said=self.rest.said,
            listening=listening,
        )
        return presence.model_dump_json().encode()

    @property
    def connected(self) -> bool:
        """Whether this device can hear."""
        return not self._down

    @property
    def listening(self) -> bool:
        """Whether a device really shows the board now."""
        return self._listening

    @property
    def engaged(self) -> bool:
        """Whether this person is on the way or at a desk, or an answer of theirs is still under way."""
        told = (one.snapshot for one in self.model.open_incidents())
        going = any(self.me.id in {*(one.responder.id for one in it.coming), it.here and it.here.id} for it in told)
        return going or self.answers.under_way()

    @property
    def called(self) -> bool:
        """Whether an alert is open and nobody is at its desk."""
        return any(one.snapshot.here is None for one in self.model.open_incidents())

    # --- from the link ------------------------------------------------------------------------------------------------

    def take_inbox(self, now_s: float) -> bool:
        """Take what the link said; return whether there was more than that desks and colleagues are still there."""
        events, changes, faults = self.inbox.take(), self.model.changes, self._faults
        for event in events:
            self._take(event, now_s)
        if self.inbox.dropped:
            self._fault("inbox", f"{self.inbox.dropped} messages were dropped", "Look for a device that floods.", now_s)
            self.inbox.dropped = 0
        more = any(not isinstance(event, Received) for event in events)
        return more or self.model.changes != changes or self._faults is not faults

    def _take(self, event: LinkEvent, now_s: float) -> None:
        match event:
            case Received():
                self._take_message(event, now_s)
            case Connected():
                log.info("connected to the broker")
                self._down = ""
                self.model.heard_again(now_s)
                self._say_presence(now_s)
                self._send_due(now_s, everything=True)
            case Disconnected(reason):
                log.warning("not connected: %s", reason)
                self._down = reason
            case Refused(reason, None):
                log.warning("not connected: %s", reason)
                self._down = reason
            case Refused(reason, _):
                self._fault("refused", reason, f"Check what the broker allows {self.me.id}.", now_s)
            case Acknowledged():
                pass

    def _take_message(self, event: Received, now_s: float) -> None:
        kind = event.topic.rsplit("/", 1)[-1]
        try:
            if tells_presence(event.topic):
                self._take_presence(event, now_s)
            elif kind == "incident" and event.payload:
                self._take_snapshot(event, now_s)
            elif kind == "incident":
                self.model.forget_incident(event.topic.split("/")[-2])
            elif kind == "status" and event.payload:
                self.model.take_status(parse_status_once(event.topic, event.payload), now_s)
            elif kind == "status":
                self.model.forget_desk(event.topic.split("/")[-2])
        except BadMessage as error:
            self._fault(event.topic, str(error), "Check who writes there, and that all run the same version.", now_s)

    def _take_snapshot(self, event: Received, now_s: float) -> None:
        snapshot = parse_snapshot_once(event.topic, event.payload)
        if self.model.take_snapshot(snapshot, now_s=now_s, utc=datetime.now(UTC), retained=event.retained):
            self.answers.take_snapshot(snapshot, now_s)

    def _take_presence(self, event: Received, now_s: float) -> None:
        if not event.payload:
            self.model.forget_device(*event.topic.rsplit("/", 2)[1:])
            return
        presence = parse_presence_once(event.topic, event.payload)
        self.model.take_presence(presence, now_s, retained=event.retained)
        if presence.responder != self.me.id:
            return
        if presence.device == self._device:
            if self._listening and not presence.listening:  # a former connection's will: it is not so
                self._presence_due_s = now_s + PRESENCE_AGAIN_S
        elif presence.listening and self.rest.gives_way(presence):
            self._rest(presence.duty is Duty.BREAK, presence.duty_said, now_s)

    def _fault(self, key: str, what: str, do: str, now_s: float) -> None:
        if key not in self._faults:
            log.warning("%s %s", what, do)
        self._faults = dict(list(self._faults.items())[-15:])
        plain = {"inbox": LATE, "refused": REFUSED}.get(key, ODD)
        self._faults[key] = (now_s, FaultView(what=plain, do=STILL, more=(f"{what} {do}",)))

    # --- from the person ----------------------------------------------------------------------------------------------

    def answer(self, ask: Ask, now_s: float, *, hold_s: float = 0.0, knew: Snapshot | None = None) -> str:
        """Send a person's answer; return its `reply_id`. Raises `AnswerRefused` when it makes no sense (any more).

        What closes a real alert waits for `hold_s`, in which it can be taken back. `knew` is what they decided on, if not what
        is known now.
        """
        held = self.model.incident(ask.incident)
        if held is None or held.snapshot.unit != ask.unit:
            raise AnswerRefused("This alert is not known here.")
        if held.snapshot.state is State.CLOSED:
            raise AnswerRefused("This alert is already closed.")
        if ask.kind == "undo":
            return self._undo(ask, now_s)
        allowed = {(button.kind, button.outcome) for button in buttons_of(held.snapshot, self.me.id)}
        if (ask.kind, ask.outcome) not in allowed:
            raise AnswerRefused("That answer does not fit any more. Look again.")
        knew = knew or held.snapshot
        if ask.kind == "close" and called_again(knew, held.snapshot):
            raise AnswerRefused(DELIVERIES[Delivery.AGAIN])
        reply = self._reply(ask, knew)
        waits = ask.kind == "close" and not held.snapshot.drill
        self.answers.add(reply, ask.unit, now_s, hold_s=hold_s if waits else 0.0, to=knew)
        self._send_due(now_s)
        return reply.reply_id

    def _undo(self, ask: Ask, now_s: float) -> str:
        if not self.answers.take_back(ask.incident, now_s):
            raise AnswerRefused("That was too late: it is being closed.")
        return ""

    def _reply(self, ask: Ask, knew: Snapshot) -> Reply:
        base = {"reply_id": uuid.uuid4().hex, "incident": ask.incident, "responder": self.me.id}
        match ask.kind:
            case "coming":
                if ask.eta_s is None or not 10 <= ask.eta_s <= 1800:  # noqa: PLR2004 - ComingReply's own limits
                    raise AnswerRefused("Say when you will be there: between 10 s and 30 min.")
                return ComingReply(**base, eta_s=ask.eta_s)
            case "here":
                return HereReply(**base)
            case "call_next":
                return CallNextReply(**base)
            case "close":
                if ask.outcome is None:
                    raise AnswerRefused("Say how it ended: real, false alarm, or test.")
                note = " ".join(ask.note.split())
                return CloseReply(**base, outcome=ask.outcome, note=note, known_s=known_s(knew))
            case "undo":
                raise AnswerRefused("There is nothing to undo.")

    def seen(self, incident: str, now_s: float) -> None:
        """The alert is really on a screen: say so once. Raises `AnswerRefused` for an alert that is not open."""
        held = self.model.incident(incident)
        if held is None or held.snapshot.state is State.CLOSED:
            raise AnswerRefused("This alert is not open.")
        said = any(one.id == self.me.id for one in held.snapshot.seen) or self.answers.saw(incident)
        if not said:
            reply = SeenReply(reply_id=uuid.uuid4().hex, incident=incident, responder=self.me.id)
            self.answers.add(reply, held.snapshot.unit, now_s)
            self._send_due(now_s)

    def start_drill(self, unit: Id, scenario: Id) -> str:
        """Begin a drill at a unit and return its id, which is the incident's; raise `AnswerRefused` when not connected."""
        drill = StartDrill(responder=self.me.id, drill=f"drill-{uuid.uuid4().hex}", scenario=scenario)
        topic = reply_topic(self.me.store, unit, self.me.id)
        if not self.connected or self.link.publish(topic, drill.model_dump_json().encode()) is None:
            raise AnswerRefused("Not connected to the desks. Nothing was begun. Try again in a moment.")
        return drill.drill

    def listen(self, now_s: float, *, listening: bool) -> None:
        """A screen shows the board now, or none does any more."""
        if listening != self._listening:
            self._listening = listening
            self._say_presence(now_s)

    def stand(self, now_s: float) -> None:
        """Look how this person stands now, by the rota and by their own word; a change is said at once."""
        standing = self._stands(self.rest.on)
        if standing != self.standing:
            self.standing = standing
            self._say_presence(now_s)

    def _by_own_tier(self, on_break: bool) -> Standing:
        return Standing(LAST_TIER, duty=Duty.BREAK) if on_break else Standing(self.me.tier)

    def take_break(self, now_s: float, *, on: bool) -> None:
        """Begin or end a break, by the person's own word, on all their devices."""
        known = (one.duty_said for one in self.model.devices(self.me.id))
        said = max(int(time.time()), self.rest.said + 1, *(one + 1 for one in known))
        self._rest(on, min(said, SAID_MOST), now_s)

    def _rest(self, on: bool, said: int, now_s: float) -> None:
        self.rest = Rest(on, said, now_s)
        self.standing = self._stands(on)
        self._say_presence(now_s)

    # --- from the clock -----------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Do what is due: answers again, presence again, the end of a break that was forgotten."""
        if self.rest.over(now_s):
            log.info("%s: the break was not ended for %g hours: it is over", self.me.id, REST_MOST_S / 3600)
            self.take_break(now_s, on=False)
        for one in self.model.end_orphans(now_s):
            log.warning(
                "%s is lost for long: %s, which was answered, is shown no more", one.snapshot.unit, one.snapshot.id
            )
        self._send_due(now_s)
        if self._presence_due_s is not None and now_s >= self._presence_due_s:
            self._say_presence(now_s)
        self._faults = {key: one for key, one in self._faults.items() if now_s - one[0] < FAULT_SHOWN_S}

    def _say_presence(self, now_s: float) -> None:
        """Say how this person stands here; that nobody looks here is said once."""
        mid = self.link.publish(self._my_topic, self._presence(listening=self._listening), retain=True)
        again_s = PRESENCE_AGAIN_S if mid is None else PRESENCE_EVERY_S if self._listening else None
        self._presence_due_s = None if again_s is None else now_s + again_s

    def _send_due(self, now_s: float, *, everything: bool = False) -> None:
        for one in self.answers.due(now_s, everything=everything):
            topic = reply_topic(self.me.store, one.unit, self.me.id)
            self.link.publish(topic, one.reply.model_dump_json().encode())

    # --- to the screen ------------------------------------------------------------------------------------------------

    def view(self, now_s: float) -> View:
        """Return what is to be shown now."""
        faults = (*self.board_faults, *(fault for _, fault in self._faults.values()))
        me, duty, manager = self.me, self.standing.duty, self.manager
        facts: dict[str, Any] = {"down": self._down, "faults": faults, "duty": duty, "manager": manager}
        return make_view(self.model, self.answers, me.id, me.name, now_s, desks=self._desks(now_s), **facts)

    def _desks(self, now_s: float) -> DesksView:
        """Return what is shown of the desks, looked at anew when one changed, and each second: one may have fallen silent."""
        key = (self.model.changes, int(now_s))
        if key != self._desks_at:
            self._desks_at, self._desks_said = key, desks_view(self.model, now_s)
        return self._desks_said

    def close(self) -> None:
        """Say that nobody listens here any more, and stop; what was held goes out first."""
        now_s = time.monotonic()
        self.answers.hold_no_more(now_s)
        self._send_due(now_s)
        self.link.close()
