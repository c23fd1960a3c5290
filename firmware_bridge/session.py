"""The talk with one button, without device, thread or clock: bytes and times in, events and bytes out. Pure.

- A press is acknowledged only after `ack()`; all else at once.
- A reset of the unit is normal: a new boot id is greeted anew, nothing is lost by it.
- The unit is up when it has said who it is, and both ways are proven; after 2 s without proof it is down (`diagnosis.py`).
- An older or a newer firmware works in what both know, and `LinkUp.version_note` says what is missing.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from firmware_bridge.diagnosis import Diagnosis
from firmware_bridge.events import (
    ButtonEvent,
    DownReason,
    HostWasLost,
    LidClosed,
    LidOpened,
    LinkDown,
    LinkStatistics,
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
from firmware_bridge.frame import BadFrame, Frame, FrameReader, OldFrame, encode
from firmware_bridge.lease import BeaconLease, MeterLease
from firmware_bridge.presses import PressBook
from firmware_bridge.protocol import (
    AGE_UNKNOWN_MS,
    FROM_HOST,
    PROTOCOL_VERSION,
    Ack,
    AckStatus,
    Beacon,
    Heartbeat,
    Hello,
    HostAck,
    HostHeartbeat,
    HostLostReport,
    Identity,
    Input,
    LidReport,
    LoopReport,
    LoopState,
    Message,
    PressReport,
    Readings,
    ReleaseReport,
    ResetCause,
    UnitFlag,
    UnitMessage,
    UnknownMessage,
    parse,
)
from firmware_bridge.watchdog import Verdict, WatchdogTest

HOST_HEARTBEAT_S = 0.25
HELLO_S = 0.1
"""So often that noise which spoils half of the answers does not bring the link down after a reset of the unit."""
REMEMBERED_FRAMES = 64
NEVER_S = float("-inf")
COUNTER_WRAPS = 256
STUCK_S = 30.0
"""Nobody holds a button for so long."""
SETTLED_MS = 1000
"""A loop that the unit cannot name for longer is odd."""
LOOP_FAULTS = frozenset({LoopState.CUT, LoopState.SHORT, LoopState.ODD})
COVERT_SINCE_PROTOCOL = 2
Report = ReleaseReport | LoopReport | HostLostReport | LidReport


class ButtonSession:
    """One end of the link. Call `tick` at least each 50 ms, then take events and output."""

    def __init__(self, port: str, stored: Iterable[PressId] = ()) -> None:
        self._reader = FrameReader()
        self._presses = PressBook(stored)
        self._beacon = BeaconLease()
        self._meter = MeterLease()
        self._diagnosis = Diagnosis(port)
        self._watchdog = WatchdogTest()
        self._events: list[ButtonEvent] = []
        self._output = bytearray()
        self._taken: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._seq = 0
        self._open = False
        self._mute = False
        self._boot_id: int | None = None
        self._identity: Identity | None = None
        self._up_as: Identity | None = None
        self._up_since_s: float | None = None
        self._down_says = ""
        self._greeted_boot: int | None = None
        self._tested_boot: int | None = None
        self._test_asked = False
        self._now_s = NEVER_S
        self._loop_faults: dict[Input, LoopState] = {}
        self._pressed_s: dict[Input, float] = {}
        self._stuck: set[Input] = set()
        self._lid_open = False
        self._memory_faulty = False
        self._last: Heartbeat | None = None
        self._hello_s = self._host_beat_s = NEVER_S
        self._frames = self._bad_frames = self._unit_bad_frames = self._echoes = self._bytes = 0
        self._repeated = self._opened = self._from_heartbeat = 0
        self._heard_s: float | None = None

    # ---- what the caller drives ----

    def opened(self, now_s: float) -> None:
        """Take note that the port is open; the unit may be any, or have been reset."""
        self._open = True
        self._opened += 1
        self._reader = FrameReader()
        self._output.clear()
        self._forget_unit()
        self._greeted_boot = None  # opening the port resets most boards
        self._diagnosis.opened(now_s)

    def closed(self, kind: DownReason, reason: str, now_s: float) -> None:
        """Take note that the port is gone or did not open; told once for each kind."""
        self._open = False
        self._output.clear()
        self._test_ends(self._watchdog.broken_off(), now_s)
        told = self._diagnosis.told
        if told is not kind and (told, kind) != (DownReason.UNPLUGGED, DownReason.NO_PORT):
            self._tell_down(kind, reason, now_s)

    def mute(self, now_s: float, *, on: bool) -> None:
        """Say nothing at all, so that the unit helps itself: nobody is there to act on what it says. Or go on."""
        if self._mute and not on:
            self._beacon.begin_anew()
            self._diagnosis.proven(now_s)  # the unit could not know that we hear it
        self._mute = on

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the port, however they are cut."""
        self._bytes += len(data)
        if data:
            self._diagnosis.bytes_came(now_s)
        for item in self._reader.feed(data):
            if isinstance(item, Frame):
                self._on_frame(item, now_s)
            else:
                if isinstance(item, OldFrame):
                    self._diagnosis.old_frame_came()
                self._on_bad_frame(now_s)
        self._send_press_acks()

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        self._now_s = now_s
        if not self._open or self._mute:
            return
        if now_s - self._host_beat_s >= HOST_HEARTBEAT_S:
            self._host_beat_s = now_s
            self._send(HostHeartbeat())
        if self._identity is None and now_s - self._hello_s >= HELLO_S:
            self._hello_s = now_s
            self._send(Hello())
        if command := self._beacon.due(now_s, self._next_seq()):
            self._send(command, self._seq)
        if self._identity is not None and self._meter.is_due(now_s):
            self._send(self._meter.command(now_s, self._next_seq()), self._seq)
        if test := self._watchdog.due(now_s, self._next_seq()):
            self._send(test, self._seq)
        self._test_ends(self._watchdog.late(now_s), now_s)
        if kind := self._diagnosis.failing(now_s, deaf=self._is_deaf(now_s)):
            self._tell_down(kind, self._diagnosis.says(kind, now_s), now_s)

    def ack(self, press_id: PressId) -> None:
        """Let the unit forget this press: the hub has it durably."""
        self._presses.store(press_id)
        self._send_press_acks()

    def set_beacon(self, beacon: Beacon, now_s: float) -> None:
        """Show this, and keep it leased."""
        self._beacon.want(beacon)
        self.tick(now_s)

    def meter(self, until_s: float) -> None:
        """Have the unit tell lowest and highest volts until then: `Metered` follows ten times a second."""
        self._meter.want(until_s)

    def self_test(self, now_s: float) -> None:
        """Make the unit hang, so that its watchdog is seen to work; `SelfTested` follows within 3 s, after a start within 5 s."""
        self._test_asked = self._up_as is None and not self._down_says
        if self._test_asked:
            return  # it waits for the first word, or for why there is none
        if self._up_as is None:
            self._refuse_test(now_s)
            return
        if not self._watchdog.runs:
            self._tested_boot = self._boot_id
        self._watchdog.begin(now_s)
        self.tick(now_s)

    def wants_reopening(self, now_s: float) -> bool:
        """Return whether to close the port and open it again: nothing comes, and a pulse on DTR may wake the unit."""
        return self._open and self._diagnosis.wants_reopening(now_s)

    def take_events(self) -> list[ButtonEvent]:
        """Return what happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def take_output(self) -> bytes:
        """Return the bytes to write to the port now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def statistics(self) -> LinkStatistics:
        """Return the counts so far, and the unit's last word about itself."""
        last = self._last or Heartbeat.from_payload(bytes(Heartbeat.LEAST_BYTES))
        identity = self._up_as
        return LinkStatistics(
            frames=self._frames,
            bad_frames=self._bad_frames,
            unit_bad_frames=self._unit_bad_frames,
            repeated_frames=self._repeated,
            own_repeats=self._beacon.repeats,
            echoes=self._echoes,
            bytes_read=self._bytes,
            opened=self._opened,
            presses_from_heartbeat=self._from_heartbeat,
            round_trip_s=self._beacon.round_trip.smoothed_s,
            round_trip_worst_s=self._beacon.round_trip.worst_s(self._now_s),
            up_since_s=self._up_since_s,
            says=(_version_note(identity) or "") if identity else self._down_says,
            firmware=_firmware(identity) if identity else "",
            build=f"{identity.build:08x}" if identity else "",
            reset_cause=_cause(identity.reset_cause) if identity else "",
            loop=last.loop,
            loop_volts=_volts(last.loop, last.millivolts),
            covert_loop=last.covert_loop,
            covert_volts=_volts(last.covert_loop, last.covert_millivolts),
            lid_open=UnitFlag.LID_OPEN in last.flags,
            presses=last.presses,
            covert_presses=last.covert_presses,
            local_alarm=UnitFlag.LOCAL_ALARM in last.flags,
            meter=self._meter.state(self._now_s),
            heard_s=self._heard_s,
        )

    # ---- what the unit says ----

    def _on_frame(self, frame: Frame, now_s: float) -> None:
        if frame.kind & FROM_HOST:
            self._echoes += 1
            return
        try:
            message = parse(frame)
        except UnknownMessage:  # a newer firmware's: a press of a kind that we cannot take is not acknowledged either
            self._diagnosis.frame_came(now_s, damaged=False)
            return
        except BadFrame:
            self._on_bad_frame(now_s)
            return
        self._frames += 1
        self._diagnosis.frame_came(now_s, damaged=False)
        if isinstance(message, UnitMessage):
            self._meet(message.boot_id)
            self._diagnosis.lives(now_s)
            self._heard_s = now_s
        self._on_message(message, frame.seq, now_s)

    def _on_bad_frame(self, now_s: float) -> None:
        self._bad_frames += 1
        self._diagnosis.frame_came(now_s, damaged=True)

    def _on_message(self, message: Message, seq: int, now_s: float) -> None:
        match message:
            case Heartbeat():
                self._on_heartbeat(message, now_s)
            case Identity():
                self._on_identity(message, now_s)
            case PressReport():
                self._on_press(message, seq, now_s)
            case ReleaseReport() | LoopReport() | HostLostReport() | LidReport():
                self._on_report(message, seq, now_s)
            case Readings():
                self._on_readings(message, seq, now_s)
            case Ack():
                self._on_ack(message, now_s)

    def _on_heartbeat(self, beat: Heartbeat, now_s: float) -> None:
        self._count_unit_bad_frames(beat)
        self._last = beat
        self._beacon.seen(beat.beacon)
        if beat.boot_id == self._tested_boot:
            self._watchdog.beats(now_s)
        for input_, state, millivolts in (
            (Input.OPEN, beat.loop, beat.millivolts),
            (Input.COVERT, beat.covert_loop, beat.covert_millivolts),
        ):
            self._see_loop(input_, self._settled(input_, state, beat.uptime_ms), millivolts, now_s)
            self._see_stuck(input_, state, now_s)
        self._see_lid(now_s, opened=UnitFlag.LID_OPEN in beat.flags)
        self._see_memory(now_s, faulty=UnitFlag.JOURNAL in beat.flags)
        missing = self._presses.heartbeat(beat)
        self._from_heartbeat += len(missing)
        self._events.extend(Pressed(press_id, at_s=now_s, age_s=None) for press_id in missing)
        if UnitFlag.HOST_PRESENT in beat.flags and not self._is_deaf(now_s):  # it says so for 2 s more
            self._proven(now_s)

    def _on_identity(self, identity: Identity, now_s: float) -> None:
        if self._watchdog.runs and identity.boot_id != self._tested_boot:
            self._test_ends(self._watchdog.restarted(identity.reset_cause, now_s), now_s)
        elif self._greeted_boot not in {None, identity.boot_id}:
            self._events.append(UnitRestarted(identity.reset_cause, now_s))
        self._greeted_boot = identity.boot_id
        self._identity = identity
        if identity.protocol < COVERT_SINCE_PROTOCOL:
            # what another unit said at this port, this one will never take back
            self._see_loop(Input.COVERT, LoopState.NORMAL, 0, now_s)

    def _on_readings(self, told: Readings, seq: int, now_s: float) -> None:
        if self._last is not None:  # its volts are half a second old at most, these are newer
            self._last = replace(self._last, millivolts=told.millivolts, covert_millivolts=told.covert_millivolts)
        unseen_s = self._meter.readings_came(seq, told.samples, now_s)
        if unseen_s is not None:
            low, high = told.lowest / 1000, told.highest / 1000
            covert_low, covert_high = told.covert_lowest / 1000, told.covert_highest / 1000
            self._events.append(Metered(low, high, covert_low, covert_high, told.samples, unseen_s, now_s))

    def _on_ack(self, ack: Ack, now_s: float) -> None:
        self._test_ends(self._watchdog.taken(ack.seq, ack.status, now_s), now_s)
        self._meter.answered(ack.seq, ack.status)
        if self._beacon.confirm(ack.seq, now_s):
            self._proven(now_s)

    def _on_press(self, report: PressReport, seq: int, now_s: float) -> None:
        age_s = None if report.age_ms == AGE_UNKNOWN_MS else report.age_ms / 1000
        new = self._presses.report(report, seq)
        self._repeated += not new
        self._events.extend(Pressed(press_id, at_s=now_s, age_s=age_s) for press_id in new)

    def _on_report(self, report: Report, seq: int, now_s: float) -> None:
        self._send(HostAck(seq, AckStatus.DONE, report.boot_id))
        if (report.boot_id, seq) in self._taken:
            self._repeated += 1
            return
        self._taken[report.boot_id, seq] = None
        while len(self._taken) > REMEMBERED_FRAMES:
            self._taken.popitem(last=False)
        match report:
            case ReleaseReport(origin=origin, input=input_, count=count, held_ms=held_ms):
                self._events.append(Released(origin, input_, count, held_ms / 1000, now_s))
            case LoopReport():
                self._see_loop(report.input, report.after, report.millivolts, now_s)
            case HostLostReport():
                self._events.append(HostWasLost(report.away_ms / 1000, now_s))
            case LidReport():
                self._see_lid(now_s, opened=bool(report.opened))

    def _see_loop(self, input_: Input, state: LoopState, millivolts: int, now_s: float) -> None:
        told = self._loop_faults.get(input_)
        if state in LOOP_FAULTS and state is not told:
            self._loop_faults[input_] = state
            self._events.append(LoopFault(input_, state, millivolts / 1000, now_s))
        elif state is LoopState.NORMAL and told is not None:  # a wire that was cut may now touch, and read as pressed
            del self._loop_faults[input_]
            self._events.append(LoopRestored(input_, now_s))

    def _settled(self, input_: Input, state: LoopState, uptime_ms: int) -> LoopState:
        """Return the state, odd where the unit should know by now; an older firmware knows no covert input."""
        watches = self._identity is not None and self._identity.protocol >= COVERT_SINCE_PROTOCOL
        unknown = state is LoopState.UNKNOWN and uptime_ms > SETTLED_MS and (watches or input_ is Input.OPEN)
        return LoopState.ODD if unknown else state

    def _see_stuck(self, input_: Input, state: LoopState, now_s: float) -> None:
        if state is LoopState.PRESSED:
            for_s = now_s - self._pressed_s.setdefault(input_, now_s)
            if for_s >= STUCK_S and input_ not in self._stuck:
                self._stuck.add(input_)
                self._events.append(Stuck(input_, for_s, now_s))
            return
        self._pressed_s.pop(input_, None)
        if state is LoopState.NORMAL and input_ in self._stuck:
            self._stuck.remove(input_)
            self._events.append(Unstuck(input_, now_s))

    def _see_lid(self, now_s: float, *, opened: bool) -> None:
        if opened != self._lid_open:
            self._lid_open = opened
            self._events.append(LidOpened(now_s) if opened else LidClosed(now_s))

    def _see_memory(self, now_s: float, *, faulty: bool) -> None:
        if faulty != self._memory_faulty:
            self._memory_faulty = faulty
            self._events.append(MemoryFaulty(now_s) if faulty else MemorySound(now_s))

    def _count_unit_bad_frames(self, beat: Heartbeat) -> None:
        """Add up a counter that wraps, and that each start of the unit begins anew."""
        before = self._last
        if before is None:
            return  # what it counted before this session is another's
        since = before.bad_frames if before.boot_id == beat.boot_id else 0
        self._unit_bad_frames += (beat.bad_frames - since) % COUNTER_WRAPS

    # ---- who the unit is, and how it is ----

    def _meet(self, boot_id: int) -> None:
        if boot_id != self._boot_id:
            self._forget_unit()
            self._boot_id = boot_id

    def _forget_unit(self) -> None:
        self._boot_id = None
        self._identity = None
        self._hello_s = NEVER_S
        self._beacon.begin_anew()
        self._meter.doubt()

    def _is_deaf(self, now_s: float) -> bool:
        return self._identity is not None and self._diagnosis.is_deaf(self._beacon.asked_since_s(), now_s)

    def _proven(self, now_s: float) -> None:
        if self._identity is None:
            return
        self._diagnosis.proven(now_s)
        if self._identity != self._up_as and self._diagnosis.may_rise(now_s):
            self._tell_up(self._identity, now_s)

    def _refuse_test(self, now_s: float) -> None:
        self._events.append(SelfTested(False, f"no link to the button: {self._down_says}", now_s))

    def _test_ends(self, verdict: Verdict | None, now_s: float) -> None:
        if verdict is not None:
            self._events.append(SelfTested(verdict.passed, verdict.reason, now_s))

    def _tell_down(self, kind: DownReason, reason: str, now_s: float) -> None:
        self._pressed_s.clear()  # nobody knows whether it was let go meanwhile
        self._diagnosis.tell(kind, now_s)
        self._up_as = self._up_since_s = None
        self._down_says = reason
        self._events.append(LinkDown(kind, reason, now_s))
        if self._test_asked:
            self._test_asked = False
            self._refuse_test(now_s)

    def _tell_up(self, identity: Identity, now_s: float) -> None:
        self._diagnosis.tell(None, now_s)
        if self._up_since_s is None:
            self._up_since_s = now_s
        self._up_as = identity
        self._down_says = ""
        self._events.append(
            LinkUp(
                firmware=_firmware(identity),
                build=f"{identity.build:08x}",
                reset_cause=_cause(identity.reset_cause),
                boot_id=identity.boot_id,
                protocol=identity.protocol,
                version_note=_version_note(identity),
                at_s=now_s,
            )
        )
        if self._test_asked:
            self.self_test(now_s)

    # ---- sending ----

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    def _send(self, message: Message, seq: int = 0) -> None:
        if self._open and not self._mute:
            self._output += encode(message.frame(seq))

    def _send_press_acks(self) -> None:
        if self._open and not self._mute:
            for ack in self._presses.take_acks():
                self._send(ack)


def _firmware(identity: Identity) -> str:
    return f"{identity.major}.{identity.minor}"


def _cause(cause: ResetCause) -> str:
    names = [flag.name.lower().replace("_", " ") for flag in ResetCause if flag in cause and flag.name]
    return " and ".join(names) or "unknown"


def _volts(loop: LoopState, millivolts: int) -> float | None:
    return None if loop is LoopState.UNKNOWN else millivolts / 1000


def _version_note(identity: Identity) -> str | None:
    firmware = f"firmware {_firmware(identity)} (protocol {identity.protocol})"
    here = f"this Stayby (protocol {PROTOCOL_VERSION})"
    if identity.protocol < PROTOCOL_VERSION:
        return f"{firmware} is older than {here}: the covert input and the lid are not watched; run stayby button flash"
    if identity.protocol > PROTOCOL_VERSION:
        return f"{firmware} is newer than {here}: what only it knows is left aside; update Stayby"
    return None
