"""What ends a hang, what does not starve, and how much of the chip is used: the firmware's machine code, in virtual time."""

import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from firmware_bridge.build import firmware_elf, firmware_sizes
from firmware_bridge.frame import Frame, encode
from firmware_bridge.protocol import (
    BAUD,
    Ack,
    AckStatus,
    Beacon,
    Heartbeat,
    Hello,
    Identity,
    Input,
    PressReport,
    ResetCause,
    SelfTest,
    SetBeacon,
)
from tests.firmware_bench import Bench, bench

pytestmark = pytest.mark.parts

SRAM_BYTES = 2048
FLOOD_BYTES_A_SECOND = 0.97 * BAUD / 10
"""The line takes 3840; the simulator hands bytes over once a millisecond and gets 3780 of them through."""

# ---- the self-test ----


def test_self_tests_work_one_after_the_other() -> None:
    with bench() as desk:
        for starts in range(2, 5):
            desk.heard.clear()
            asked_s = desk.now_s
            desk.say(SelfTest().frame(9))
            desk.run(0.6)
            assert [(ack.seq, ack.status) for ack in desk.told(Ack)] == [(9, AckStatus.DONE)]
            assert desk.identity().reset_cause is ResetCause.WATCHDOG
            assert desk.identity().boot_id >> 16 == starts
            back_s = next(at_s for at_s, message in desk.heard if isinstance(message, Identity)) - asked_s
            assert 0.2 < back_s < 0.4


@pytest.mark.parametrize("covert", [False, True])
@pytest.mark.parametrize("after_ms", [2, 12, 19, 22, 40, 200])
def test_a_self_test_hides_no_press_that_has_begun(covert: bool, after_ms: int) -> None:
    """While it is debounced, held, or not yet written down."""
    with bench() as desk:
        desk.unit.press(bounce_ms=0, covert=covert)
        desk.run(after_ms / 1000)
        desk.say(SelfTest().frame(4))
        desk.run(0.3)
        desk.unit.release(covert=covert)
        desk.run(0.1)
        assert [(ack.seq, ack.status) for ack in desk.told(Ack)] == [(4, AckStatus.NOT_NOW)]
        assert desk.presses(Input(covert)) == [1]
        desk.say(SelfTest().frame(5))
        desk.run(0.6)
        assert desk.identity().reset_cause is ResetCause.WATCHDOG


def test_a_self_test_with_a_wrong_key_does_nothing() -> None:
    with bench() as desk:
        desk.say(SelfTest(0xBEEF).frame(3))
        desk.run(0.5)
        assert [ack.status for ack in desk.told(Ack)] == [AckStatus.BAD_PAYLOAD]
        assert desk.identity().reset_cause is ResetCause.POWER_ON


@pytest.mark.parametrize("extra", range(4))
def test_a_longer_message_than_we_know_keeps_its_meaning(extra: int) -> None:
    more = bytes(range(1, extra + 1))
    with bench() as desk:
        beacon = SetBeacon(Beacon.COMING, 30).frame(1)
        desk.say(Frame(beacon.kind, 1, beacon.payload + more))
        desk.say(Frame(Hello.KIND, 0, bytes([200]) + more))
        desk.run(0.05)
        assert [(ack.seq, ack.status) for ack in desk.told(Ack)] == [(1, AckStatus.DONE)]
        assert desk.told(Heartbeat)[-1].beacon is Beacon.COMING
        short = Frame(beacon.kind, 2, beacon.payload[:1])
        desk.say(short)
        desk.run(0.05)
        assert desk.told(Ack)[-1].status is AckStatus.BAD_PAYLOAD


def test_a_longer_acknowledgement_clears_a_press() -> None:
    with bench() as desk:
        desk.unit.press()
        desk.run(0.1)
        desk.answers = True
        say = desk.say
        desk.say = lambda frame: say(Frame(frame.kind, frame.seq, frame.payload + b"\7\7"))  # type: ignore[method-assign]
        desk.run(0.3)
        assert desk.heartbeat().kept_presses == 0


# ---- floods ----


def random_bytes(rng: random.Random, count: int) -> bytes:
    return rng.randbytes(count)


def zeros(_: random.Random, count: int) -> bytes:
    return bytes(count)


def hellos(_: random.Random, count: int) -> bytes:
    return (encode(Hello().frame()) * count)[:count]


def commands(rng: random.Random, count: int) -> bytes:
    return b"".join(encode(SetBeacon(Beacon.OFF, 0).frame(rng.randrange(256))) for _ in range(count))[:count]


def unknown(rng: random.Random, count: int) -> bytes:
    """The largest frames, each of which the unit has to check and to refuse."""
    return b"".join(encode(Frame(0xFA, 1, rng.randbytes(24))) for _ in range(count // 30 + 1))[:count]


@pytest.mark.parametrize("flood", [random_bytes, zeros, hellos, commands, unknown])
def test_a_flood_at_line_rate_hides_no_press_and_resets_nothing(flood: Callable[[random.Random, int], bytes]) -> None:
    rng = random.Random(4)  # noqa: S311 - the same flood in every run
    slice_s = 0.1
    with bench() as desk:
        late_s = []
        for covert in [False, True] * 4:
            for push in (True, False):
                if push:
                    closed_s = desk.now_s
                    desk.unit.press(bounce_ms=0, covert=covert)
                else:
                    desk.unit.release(covert=covert)
                for _ in range(2):
                    desk.unit.send(flood(rng, int(FLOOD_BYTES_A_SECOND * slice_s)))
                    desk.run(slice_s)
            late_s.append(first_told_s(desk, Input(covert), closed_s) - closed_s)
        desk.run(0.5)
        beat = desk.heartbeat()
        assert (beat.presses, beat.covert_presses) == (4, 4)
        assert len({identity.boot_id for identity in desk.told(Identity)}) == 1
        said_s = next(at_s for at_s, message in reversed(desk.heard) if message == beat)
        assert beat.uptime_ms == pytest.approx(1000 * said_s, abs=60)  # no millisecond was left out
        assert max(late_s) < 0.06


def first_told_s(desk: Bench, of: Input, since_s: float) -> float:
    told = (at_s for at_s, message in desk.heard if isinstance(message, PressReport) and message.input == of)
    return next(at_s for at_s in told if at_s > since_s)


# ---- resets ----


def test_each_reset_says_its_cause() -> None:
    with bench() as desk:
        for act, cause in [
            (desk.unit.reset, ResetCause.PIN),
            (desk.unit.brown_out, ResetCause.BROWN_OUT),
            (desk.unit.hang, ResetCause.WATCHDOG),
        ]:
            act()
            desk.run(0.5)
            assert desk.identity().reset_cause is cause


def test_outputs_go_off_in_a_reset_and_a_lease_does_not_outlive_it() -> None:
    with bench(answers=True) as desk:
        desk.beacon = Beacon.ALERT
        desk.run(1.0)
        assert desk.unit.outputs().relay
        desk.answers = False
        desk.unit.reset()
        desk.run(1.0)
        assert not desk.unit.outputs().relay


# ---- how much of the chip ----


def test_flash_and_ram_stay_small() -> None:
    flash, ram = firmware_sizes(firmware_elf())
    assert flash <= 8192
    assert ram <= 1024


def test_static_ram_and_the_deepest_stack_fit_twice_into_the_chip() -> None:
    _, ram = firmware_sizes(firmware_elf())
    stack = deepest_stack(firmware_elf())
    assert stack > 60  # main calls three deep at least: less would mean that we read the listing wrong
    assert ram + stack <= 0.65 * SRAM_BYTES


def deepest_stack(elf: Path) -> int:
    """Return the bytes of the deepest chain of calls from main, and of the deepest interrupt on top of it.

    No function here calls through a pointer or calls itself, and no interrupt lets another one in.
    """
    functions = dict(listing(elf))

    @cache
    def depth(name: str) -> int:
        own, calls = functions[name]
        return own + max((RETURN_BYTES + depth(called) for called in calls), default=0)

    interrupts = [name for name in functions if name.startswith("__vector_") and name != "__vector_default"]
    assert len(interrupts) == 4
    return RETURN_BYTES + depth("main") + RETURN_BYTES + max(depth(name) for name in interrupts)


RETURN_BYTES = 2
FUNCTION = re.compile(r"^[0-9a-f]+ <([^.>][^>]*)>:$")
"""A name with a dot in front is a place within a function: GCC 14 lists those too."""
CALL = re.compile(r"\t(?:r?call|r?jmp)\t.*<([^.+>][^+>]*)>$")
SHARED = re.compile(r"\t(?:r?call|r?jmp)\t.*<__prologue_saves__(?:\+0x([0-9a-f]+))?>$")
"""Pushes for many a function: 18 registers, or less when entered two bytes later for each; then a frame of r26 bytes."""
SHARED_PUSHES = 18
SHARED_FRAME = re.compile(r"\tldi\tr26, 0x([0-9A-Fa-f]+)")
FRAME = re.compile(r"\t(?:sbiw\tr28, 0x([0-9a-f]+)|subi\tr28, 0x([0-9a-f]+))")


def listing(elf: Path) -> Iterator[tuple[str, tuple[int, frozenset[str]]]]:
    """Yield each function, the bytes of stack that it takes itself, and whom it calls or jumps to."""
    done = subprocess.run(["avr-objdump", "-d", str(elf)], capture_output=True, text=True, check=True)
    own: dict[str, int] = defaultdict(int)
    calls: dict[str, set[str]] = defaultdict(set)
    framed: set[str] = set()
    name, frame_bytes = "", 0
    for line in done.stdout.splitlines():
        if start := FUNCTION.match(line):
            name = start[1]
            own[name] += 0
        elif told := SHARED_FRAME.search(line):
            frame_bytes = int(told[1], 16)
        elif shared := SHARED.search(line):
            own[name] += SHARED_PUSHES - int(shared[1] or "0", 16) // 2 + frame_bytes
        elif "\tpush\t" in line:
            own[name] += 1
        elif re.search(r"\trcall\t\.\+0\s", line):  # avr-gcc's short way to two bytes
            own[name] += 2
        elif (frame := FRAME.search(line)) and name not in framed:  # the second one gives it back
            own[name] += int(frame[1] or frame[2], 16)
            framed.add(name)
        elif call := CALL.search(line):
            calls[name].add(call[1])
        assert "icall" not in line
        assert "eicall" not in line
    for function, bytes_taken in own.items():
        yield function, (bytes_taken, frozenset(calls[function] - {function}))
