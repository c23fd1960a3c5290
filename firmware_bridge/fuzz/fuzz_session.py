"""Atheris against the host's end of the link: FrameReader, ButtonSession and PressBook, with what must hold whatever comes.

An input is a script of moments: time, bytes, well-formed frames of any type with any content, stores by the hub, plugs pulled.

- no exception, and nothing in memory grows without end
- only presses that the unit has named are told, and none is told twice
- a frame that tells presses is acknowledged only when the hub has stored every one of them
- what goes to the unit is intact and bears the host's mark

Run by `make fuzz`: python -m firmware_bridge.fuzz.fuzz_session -max_total_time=600
"""

import sys

import atheris

with atheris.instrument_imports():
    from firmware_bridge.events import DownReason, Pressed, PressId
    from firmware_bridge.frame import BadFrame, Frame, FrameReader, encode
    from firmware_bridge.presses import FRAMES_MAX, TOLD_MAX
    from firmware_bridge.protocol import (
        BY_KIND,
        FROM_HOST,
        Beacon,
        Heartbeat,
        HostAck,
        Input,
        LoopReport,
        LoopState,
        Message,
        PressReport,
        UnitFlag,
        parse,
    )
    from firmware_bridge.session import ButtonSession

FROM_UNIT = [kind for number, kind in BY_KIND.items() if not number & FROM_HOST]
BOOTS = (0x0001_BEEF, 0x0002_BEEF, 0xFFFF_FFFF)
COUNTS = 1 << 16
MOMENTS_MAX = 200


class DoesNotHold(AssertionError):
    """An invariant is broken."""


def must(true: bool, what: str) -> None:
    """Raise DoesNotHold unless it is so."""
    if not true:
        raise DoesNotHold(what)


class Desk:
    """A session, and what an onlooker who sees both wires and the hub's disk knows."""

    def __init__(self, script: atheris.FuzzedDataProvider) -> None:
        self.script = script
        self.now_s = 100.0
        self.session = ButtonSession("the fuzzed button")
        self.session.opened(self.now_s)
        self.reader = FrameReader()
        self.named: set[PressId] = set()
        self.told: dict[PressId, None] = {}
        self.stored: set[PressId] = set()
        self.frames: dict[tuple[int, int], set[PressId]] = {}
        self.others: set[tuple[int, int]] = set()

    # ---- the wire ----

    def hear(self, data: bytes) -> None:
        """Bytes come from the unit."""
        for frame in self.reader.feed(data):
            if isinstance(frame, Frame) and not frame.kind & FROM_HOST:
                self._note(frame)
        self.session.receive(data, self.now_s)
        self.look()

    def _note(self, frame: Frame) -> None:
        try:
            message = parse(frame)
        except BadFrame:
            return
        match message:
            case PressReport():
                ids = {
                    PressId(message.origin, message.input, (message.count - back) % COUNTS)
                    for back in range(message.merged + 1)
                }
                self.frames[message.boot_id, frame.seq] = ids
                self.named |= ids
            case Heartbeat():
                self._count(message, Input.OPEN, message.presses, message.kept_presses)
                self._count(message, Input.COVERT, message.covert_presses, message.covert_kept_presses)
            case _ if hasattr(message, "boot_id"):
                self.others.add((message.boot_id, frame.seq))

    def _count(self, beat: Heartbeat, which: Input, presses: int, kept: int) -> None:
        self.named |= {PressId(beat.boot_id, which, (presses - back) % COUNTS) for back in range(min(kept, presses))}

    # ---- what must hold ----

    def look(self) -> None:
        """Take what the session says, and judge it."""
        for event in self.session.take_events():
            if isinstance(event, Pressed):
                must(event.press_id in self.named, f"{event} was never named")
                must(event.press_id not in self.told, f"{event} was told before")
                self.told[event.press_id] = None
        reader = FrameReader()
        for frame in reader.feed(self.session.take_output()):
            must(isinstance(frame, Frame), f"a broken frame goes to the unit: {frame}")
            if isinstance(frame, Frame):
                self._judge(frame)
        book = self.session._presses  # noqa: SLF001 - how much it remembers is what is judged here
        must(len(book._told) <= TOLD_MAX, "told grows without end")  # noqa: SLF001 - the same
        must(len(book._frames) <= FRAMES_MAX, "frames grow without end")  # noqa: SLF001 - the same
        self.session.statistics()

    def _judge(self, frame: Frame) -> None:
        must(bool(frame.kind & FROM_HOST), f"{frame} does not bear the host's mark")
        message = parse(frame)
        if not isinstance(message, HostAck):
            return
        frame_id = message.boot_id, message.seq
        must(frame_id in self.frames or frame_id in self.others, f"{message} acknowledges nothing")
        if frame_id not in self.others:
            must(self.frames[frame_id] <= self.stored, f"{message} acknowledges what is not stored")

    # ---- moments ----

    def moment(self) -> None:
        """Do the next thing of the script."""
        match self.script.ConsumeIntInRange(0, 9):
            case 0 | 1:
                self.now_s += self.script.ConsumeIntInRange(0, 60) * 0.05
                self.session.tick(self.now_s)
            case 2 | 3 | 4 | 5:
                self.hear(self._frame())
            case 6:
                self.hear(self.script.ConsumeBytes(self.script.ConsumeIntInRange(0, 80)))
            case 7:
                self._store()
            case 8:
                self._plug()
            case 9:
                self._command()
        self.look()

    def _frame(self) -> bytes:
        kind = self.script.PickValueInList(FROM_UNIT)
        length = self.script.ConsumeIntInRange(0, 24) if self.script.ConsumeBool() else kind.LAYOUT.size
        seq = self.script.ConsumeIntInRange(0, 255)
        if self.script.ConsumeBool():
            return encode(Frame(kind.KIND, seq, self.script.ConsumeBytes(length)))
        return encode(self._likely(kind).frame(seq))

    def _likely(self, kind: type[Message]) -> Message:
        boot = self.script.PickValueInList(list(BOOTS))
        number = self.script.ConsumeIntInRange(0, 255)
        if kind is PressReport:
            origin = self.script.PickValueInList(list(BOOTS))
            return PressReport(boot, origin, number, self.script.ConsumeIntInRange(0, 9), number, Input(number & 1))
        if kind is LoopReport:
            return LoopReport(boot, LoopState(number % 6), LoopState(number // 6 % 6), number, Input(number & 1))
        flags = UnitFlag(self.script.ConsumeIntInRange(0, 31))
        loop = LoopState(number % 6)
        kept = self.script.ConsumeIntInRange(0, 9)
        return Heartbeat(
            round(self.now_s * 1000), boot, loop, flags, 2500, number, kept, Beacon.OFF, 0, 0, loop, 2500, number, kept
        )

    def _store(self) -> None:
        for press_id in list(self.told)[: self.script.ConsumeIntInRange(0, 255)]:
            if press_id not in self.stored:
                self.stored.add(press_id)
                self.session.ack(press_id)

    def _plug(self) -> None:
        if self.script.ConsumeBool():
            self.session.closed(DownReason.UNPLUGGED, "the plug is out", self.now_s)
        self.session.opened(self.now_s)
        self.reader = FrameReader()

    def _command(self) -> None:
        if self.script.ConsumeBool():
            self.session.set_beacon(Beacon(self.script.ConsumeIntInRange(0, len(Beacon) - 1)), self.now_s)
        else:
            self.session.self_test(self.now_s)


def one_input(data: bytes) -> None:
    """Play one script."""
    desk = Desk(atheris.FuzzedDataProvider(data))
    for _ in range(MOMENTS_MAX):
        if not desk.script.remaining_bytes() or len(desk.told) + TOLD_MAX > 1000:  # noqa: PLR2004 - STORED_MAX forgets
            return
        desk.moment()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
