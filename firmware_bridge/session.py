"""The talk with one button, without device, thread or clock: bytes and times in, events and bytes out. Pure.

- A press is acknowledged only after `ack()`; all else at once.
- A reset of the unit is normal: a new boot id is greeted anew, nothing is lost by it.
- The unit counts as up when it beats, answers `Hello` and says that it hears us; after 2 s without that it is down.
"""

from collections import OrderedDict
from collections.abc import Iterable

from firmware_bridge.events import (
    ButtonEvent,
    DownReason,
    HostWasLost,
    LinkDown,
    LinkStatistics,
    LinkUp,
    LoopFault,
    LoopRestored,
    Pressed,
    PressId,
    Released,
)
from firmware_bridge.frame import BadFrame, Frame, FrameReader, encode
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
    LoopReport,
    LoopState,
    Message,
    PressReport,
    ReleaseReport,
    ResetCause,
    SelfTest,
    SetBeacon,
    UnitFlag,
    parse,
)

HOST_HEARTBEAT_S = 0.25
HELLO_S = 0.25
DOWN_AFTER_S = 2.0
RETELL_S = 10.0
"""A changed diagnosis on an open port is told again no faster than this."""
LEASE_S = 3.0
RENEW_S = 1.0
RETRY_S = 0.1
REMEMBERED_FRAMES = 64
NEVER_S = float("-inf")

LOOP_FAULTS = frozenset({LoopState.CUT, LoopState.SHORT, LoopState.ODD})

_ADVICE = {
    DownReason.SILENT: "{port} is open but nothing comes: check the unit's power and its cable",
    DownReason.WRONG_DEVICE: "{port} sends bytes but no frame of ours: set button.port to the Stayby button",
    DownReason.NO_HEARTBEAT: "{port} gave no heartbeat for 2 s: check the cable for damage and the unit for a hang",
    DownReason.NO_ANSWER: "the button on {port} does not hear this unit: check the wire to its RX pin",
    DownReason.OTHER_VERSION: "the button on {port} speaks another protocol version: flash the firmware of this release",
}


class BeaconLease:
    """Keeps the wanted beacon leased: at once, repeated until confirmed, then renewed."""

    def __init__(self) -> None:
        self.wanted = Beacon.OFF
        self._confirmed = False
        self._sent_s = NEVER_S
        self._seq = -1

    def want(self, beacon: Beacon) -> None:
        """Show this from now on."""
        if beacon is not self.wanted:
            self.wanted = beacon
            self.doubt()

    def doubt(self) -> None:
        """Say it again now: the unit may not show what we want."""
        self._confirmed = False
        self._sent_s = NEVER_S

    def confirm(self, seq: int) -> None:
        """Note that the unit has taken the command `seq`."""
        self._confirmed = self._confirmed or seq == self._seq

    def seen(self, beacon: Beacon) -> None:
        """Compare with what the unit says that it shows."""
        if beacon is not self.wanted and self._confirmed:
            self.doubt()

    def due(self, now_s: float, seq: int) -> SetBeacon | None:
        """Return the command to send now under `seq`, if any."""
        if self._confirmed and self.wanted is Beacon.OFF:
            return None
        if now_s - self._sent_s < (RENEW_S if self._confirmed else RETRY_S):
            return None
        self._sent_s = now_s
        self._seq = seq
        return SetBeacon(self.wanted, round(LEASE_S * 10))


class ButtonSession:
    """One end of the link. Call `tick` at least each 50 ms, then take events and output."""

    def __init__(self, port: str, stored: Iterable[PressId] = ()) -> None:
        self._port = port
        self._reader = FrameReader()
        self._presses = PressBook(stored)
        self._beacon = BeaconLease()
        self._events: list[ButtonEvent] = []
        self._output = bytearray()
        self._taken: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._seq = 0
        self._open = False
        self._boot_id: int | None = None
        self._identity: Identity | None = None
        self._up_as: Identity | None = None
        self._told: DownReason | None = None
        self._told_s = NEVER_S
        self._loop_fault: LoopState | None = None
        self._last: Heartbeat | None = None
        self._good_s = self._bytes_s = self._frame_s = self._beat_s = NEVER_S
        self._hello_s = self._host_beat_s = NEVER_S
        self._frames = self._bad_frames = self._echoes = self._bytes = self._repeated = self._opened = (
            self._from_heartbeat
        ) = 0

    # ---- what the caller drives ----

    def opened(self, now_s: float) -> None:
        """Take note that the port is open; the unit may be any, or have been reset."""
        self._open = True
        self._opened += 1
        self._reader = FrameReader()
        self._output.clear()
        self._forget_unit()
        self._good_s = now_s
        self._bytes_s = self._frame_s = self._beat_s = self._told_s = NEVER_S

    def closed(self, kind: DownReason, reason: str, now_s: float) -> None:
        """Take note that the port is gone or did not open; told once for each kind."""
        self._open = False
        self._output.clear()
        if self._told is not kind and (self._told, kind) != (DownReason.UNPLUGGED, DownReason.NO_PORT):
            self._tell_down(kind, reason, now_s)

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the port, however they are cut."""
        self._bytes += len(data)
        if data:
            self._bytes_s = now_s
        for item in self._reader.feed(data):
            if isinstance(item, Frame):
                self._on_frame(item, now_s)
            else:
                self._bad_frames += 1
        self._send_press_acks()

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        if not self._open:
            return
        if now_s - self._host_beat_s >= HOST_HEARTBEAT_S:
            self._host_beat_s = now_s
            self._send(HostHeartbeat())
        if self._identity is None and now_s - self._hello_s >= HELLO_S:
            self._hello_s = now_s
            self._send(Hello())
        if command := self._beacon.due(now_s, self._next_seq()):
            self._send(command, self._seq)
        self._judge(now_s)

    def ack(self, press_id: PressId) -> None:
        """Let the unit forget this press: the hub has it durably."""
        self._presses.store(press_id)
        self._send_press_acks()

    def set_beacon(self, beacon: Beacon, now_s: float) -> None:
        """Show this, and keep it leased."""
        self._beacon.want(beacon)
        self.tick(now_s)

    def self_test(self) -> None:
        """Make the unit hang, so that its watchdog is seen to work."""
        self._next_seq()
        self._send(SelfTest(), self._seq)

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
        """Return the counts so far."""
        last = self._last
        return LinkStatistics(
            frames=self._frames,
            bad_frames=self._bad_frames,
            echoes=self._echoes,
            bytes_read=self._bytes,
            repeated_frames=self._repeated,
            opened=self._opened,
            presses_from_heartbeat=self._from_heartbeat,
            loop=last.loop if last else LoopState.UNKNOWN,
            loop_volts=last.millivolts / 1000 if last else None,
            unit_bad_frames=last.bad_frames if last else 0,
            local_alarm=bool(last and UnitFlag.LOCAL_ALARM in last.flags),
        )

    # ---- what the unit says ----

    def _on_frame(self, frame: Frame, now_s: float) -> None:
        if frame.kind & FROM_HOST:
            self._echoes += 1
            return
        try:
            message = parse(frame)
        except BadFrame:
            self._bad_frames += 1
            return
        self._frames += 1
        self._frame_s = now_s
        match message:
            case Heartbeat():
                self._on_heartbeat(message, now_s)
            case Identity():
                self._on_identity(message)
            case PressReport():
                self._on_press(message, frame.seq, now_s)
            case ReleaseReport() | LoopReport() | HostLostReport():
                self._on_report(message, frame.seq, now_s)
            case Ack():
                self._beacon.confirm(message.seq)

    def _on_heartbeat(self, beat: Heartbeat, now_s: float) -> None:
        self._meet(beat.boot_id)
        self._last = beat
        self._beat_s = now_s
        self._beacon.seen(beat.beacon)
        self._see_loop(beat.loop, beat.millivolts, now_s)
        missing = self._presses.heartbeat(beat)
        self._from_heartbeat += len(missing)
        self._events.extend(Pressed(*press_id, at_s=now_s, age_s=None) for press_id in missing)
        if UnitFlag.HOST_PRESENT in beat.flags and self._identity and self._identity.protocol == PROTOCOL_VERSION:
            self._good_s = now_s
            self._tell_up(self._identity, now_s)

    def _on_identity(self, identity: Identity) -> None:
        self._meet(identity.boot_id)
        self._identity = identity

    def _on_press(self, report: PressReport, seq: int, now_s: float) -> None:
        self._meet(report.boot_id)
        age_s = None if report.age_ms == AGE_UNKNOWN_MS else report.age_ms / 1000
        new = self._presses.report(report, seq)
        self._repeated += not new
        self._events.extend(Pressed(*press_id, at_s=now_s, age_s=age_s) for press_id in new)

    def _on_report(self, report: ReleaseReport | LoopReport | HostLostReport, seq: int, now_s: float) -> None:
        self._meet(report.boot_id)
        self._send(HostAck(seq, AckStatus.DONE, report.boot_id))
        if (report.boot_id, seq) in self._taken:
            self._repeated += 1
            return
        self._taken[report.boot_id, seq] = None
        while len(self._taken) > REMEMBERED_FRAMES:
            self._taken.popitem(last=False)
        match report:
            case ReleaseReport():
                self._events.append(Released(report.origin, report.count, report.held_ms / 1000, now_s))
            case LoopReport():
                self._see_loop(report.after, report.millivolts, now_s)
            case HostLostReport():
                self._events.append(HostWasLost(report.away_ms / 1000, now_s))

    def _see_loop(self, state: LoopState, millivolts: int, now_s: float) -> None:
        if state in LOOP_FAULTS and state is not self._loop_fault:
            self._loop_fault = state
            self._events.append(LoopFault(state, millivolts / 1000, now_s))
        elif state in {LoopState.NORMAL, LoopState.PRESSED} and self._loop_fault is not None:
            self._loop_fault = None
            self._events.append(LoopRestored(now_s))

    # ---- who the unit is, and how it is ----

    def _meet(self, boot_id: int) -> None:
        if boot_id != self._boot_id:
            self._forget_unit()
            self._boot_id = boot_id

    def _forget_unit(self) -> None:
        self._boot_id = None
        self._identity = None
        self._hello_s = NEVER_S
        self._beacon.doubt()

    def _judge(self, now_s: float) -> None:
        if now_s - self._good_s <= DOWN_AFTER_S:
            return
        kind = self._diagnose(now_s)
        if self._told is None or (self._told is not kind and now_s - self._told_s >= RETELL_S):
            self._tell_down(kind, _ADVICE[kind].format(port=self._port), now_s)

    def _diagnose(self, now_s: float) -> DownReason:
        since_s = now_s - DOWN_AFTER_S
        if self._bytes_s < since_s:
            return DownReason.SILENT
        if self._identity and self._identity.protocol != PROTOCOL_VERSION:
            return DownReason.OTHER_VERSION
        if self._frame_s == NEVER_S:
            return DownReason.WRONG_DEVICE
        if self._beat_s < since_s:
            return DownReason.NO_HEARTBEAT
        return DownReason.NO_ANSWER

    def _tell_down(self, kind: DownReason, reason: str, now_s: float) -> None:
        self._told = kind
        self._told_s = now_s
        self._up_as = None
        self._events.append(LinkDown(kind, reason, now_s))

    def _tell_up(self, identity: Identity, now_s: float) -> None:
        if identity == self._up_as:
            return
        self._told = None
        self._up_as = identity
        firmware = f"{identity.major}.{identity.minor}"
        cause = _cause(identity.reset_cause)
        self._events.append(LinkUp(firmware, f"{identity.build:08x}", cause, identity.boot_id, now_s))

    # ---- sending ----

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    def _send(self, message: Message, seq: int = 0) -> None:
        if self._open:
            self._output += encode(message.frame(seq))

    def _send_press_acks(self) -> None:
        if self._open:
            for ack in self._presses.take_acks():
                self._send(ack)


def _cause(cause: ResetCause) -> str:
    names = [flag.name.lower().replace("_", " ") for flag in ResetCause if flag in cause and flag.name]
    return " and ".join(names) or "unknown"
