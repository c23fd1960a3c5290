"""What the firmware keeps in the EEPROM: through resets, power cuts, and in a chip that somebody else has used before."""

import random
import shutil
import struct
from binascii import crc_hqx
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from firmware_bridge.build import FIRMWARE_SOURCES, firmware_elf
from firmware_bridge.frame import decode
from firmware_bridge.protocol import (
    AGE_UNKNOWN_MS,
    Ack,
    AckStatus,
    Heartbeat,
    HostAck,
    Input,
    PressReport,
    ReleaseReport,
    ResetCause,
    SelfTest,
    UnitFlag,
    parse,
)
from tests.firmware_bench import Bench, bench

pytestmark = pytest.mark.parts

CELLS = 1024
MARK_AT = 8
MARK = b"STY2"
STARTS_AT = 12
PLACES_AT = 14
PLACES = 32
ENTRY_BYTES = 10
ENTRY = struct.Struct("<IHBB")


def entry(origin: int, count: int, merged: int, of: int) -> bytes:
    press = ENTRY.pack(origin, count, merged, of)
    return press + crc_hqx(press, 0xFFFF).to_bytes(2, "little")


def laid_out(entries: list[bytes], starts: int = 0) -> bytes:
    return (bytes(MARK_AT) + MARK + starts.to_bytes(2, "little") + b"".join(entries)).ljust(CELLS, b"\xff")


def first_life(eeprom: Path, content: bytes, for_s: float = 0.2) -> Bench:
    eeprom.write_bytes(content)
    with bench(eeprom) as desk:
        desk.run(for_s)
    return desk


# ---- an EEPROM that is not ours ----


def foreign() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(5)  # noqa: S311 - the same bytes in every run
    for number in range(8):
        yield f"random {number}", rng.randbytes(CELLS)
    yield "zeros", bytes(CELLS)
    yield "erased", b"\xff" * CELLS
    yield "half our mark", bytes(MARK_AT) + MARK[:2] + b"\0\0" + laid_out([entry(7, 1, 0, 0)] * PLACES)[STARTS_AT:]
    yield (
        "every place valid, another mark",
        bytes(MARK_AT) + b"STY9" + laid_out([entry(7, 1, 0, 0)] * PLACES)[STARTS_AT:],
    )


@pytest.mark.parametrize(("what", "content"), [*foreign()], ids=[what for what, _ in foreign()])
def test_a_foreign_eeprom_holds_no_ghost(tmp_path: Path, what: str, content: bytes) -> None:
    eeprom = tmp_path / "eeprom.bin"
    desk = first_life(eeprom, content)
    assert desk.told(PressReport) == [], what
    assert desk.identity().reset_cause is ResetCause.POWER_ON, "it took longer than the watchdog lets it"
    assert desk.identity().boot_id >> 16 == 1
    assert eeprom.read_bytes()[MARK_AT:STARTS_AT] == MARK
    with bench(eeprom) as again:
        assert again.told(PressReport) == []
        assert again.identity().boot_id >> 16 == 2


def old_crc8(data: bytes) -> int:
    crc = 0x5A
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


def test_the_layout_of_firmware_1_holds_no_ghost(tmp_path: Path) -> None:
    places = [ENTRY.pack(0x0003_0000 + at, at + 1, 0, 0)[:7] for at in range(PLACES)]
    old = bytes(8) + (9).to_bytes(2, "little") + b"".join(place + bytes([old_crc8(place)]) for place in places)
    desk = first_life(tmp_path / "eeprom.bin", old.ljust(CELLS, b"\xff"))
    assert desk.told(PressReport) == []
    assert desk.identity().boot_id >> 16 == 1


def test_random_places_behind_our_mark_hold_no_ghost(tmp_path: Path) -> None:
    """The 16-bit check alone, as after damage: 64 x 32 random places."""
    rng = random.Random(6)  # noqa: S311 - the same bytes in every run
    for number in range(8):
        content = laid_out([rng.randbytes(10) for _ in range(PLACES)])
        assert first_life(tmp_path / f"{number}.bin", content, for_s=0.05).told(PressReport) == []


def test_a_place_with_one_damaged_bit_holds_nothing_and_the_others_do(tmp_path: Path) -> None:
    places = []
    for at in range(PLACES):
        place = bytearray(entry(0x0005_1234, 100 + 2 * at, 0, 0))
        place[at % 10] ^= 1 << at % 8
        places.append(bytes(place))
    places[20] = entry(0x0005_1234, 77, 2, 1)
    (report,) = first_life(tmp_path / "eeprom.bin", laid_out(places)).told(PressReport)
    assert (report.origin, report.count, report.merged, report.input) == (0x0005_1234, 77, 2, Input.COVERT)
    assert report.age_ms == AGE_UNKNOWN_MS


# ---- an EEPROM that is ours ----


def test_more_earlier_presses_than_room_are_told_one_after_the_other(tmp_path: Path) -> None:
    """30 presses that no slot can hold together, all of other starts, and no place of theirs is taken for a new press."""
    owed = [entry((at + 1) << 16 | 0xBEEF, 3, 0, at % 2) for at in range(30)]
    eeprom = tmp_path / "eeprom.bin"
    eeprom.write_bytes(laid_out(owed, starts=40))
    with bench(eeprom) as desk:
        for _ in range(4):
            desk.tap()
        desk.answers = True
        desk.run(3.0)
        told = {
            (report.origin >> 16, report.input) for report in desk.told(PressReport) if report.origin & 0xFFFF == 0xBEEF
        }
        assert told == {(at + 1, Input(at % 2)) for at in range(30)}
        assert desk.heartbeat().queued == 0
        assert max(desk.presses(Input.OPEN)) == 4
    with bench(eeprom) as again:
        assert again.told(PressReport) == []


@pytest.mark.parametrize("covert", [False, True])
def test_presses_survive_a_power_cut_each_under_its_input(tmp_path: Path, covert: bool) -> None:
    eeprom = tmp_path / "eeprom.bin"
    with bench(eeprom) as desk:
        desk.tap(covert=covert)
        desk.tap(covert=covert)
        desk.tap(covert=not covert)
        origin = desk.identity().boot_id
    with bench(eeprom, answers=True) as again:
        told = {(report.origin, report.input, report.count, report.merged) for report in again.told(PressReport)}
        assert told == {(origin, Input(covert), 2, 1), (origin, Input(not covert), 1, 0)}
        assert {report.age_ms for report in again.told(PressReport)} == {AGE_UNKNOWN_MS}
        assert again.heartbeat().queued == 0


def test_a_press_is_safe_45_ms_after_it_was_seen(tmp_path: Path) -> None:
    eeprom = tmp_path / "eeprom.bin"
    with bench(eeprom) as desk:
        desk.unit.press(bounce_ms=0)
        desk.run(0.021 + 0.045)
        desk.unit.power(on=False)
    with bench(eeprom) as again:
        assert [report.count for report in again.told(PressReport)] == [1]


@pytest.mark.parametrize("after_ms", range(0, 60, 4))
def test_a_power_cut_at_any_moment_makes_no_ghost(tmp_path: Path, after_ms: int) -> None:
    """While one press is written and another one is spoilt."""
    eeprom = tmp_path / "eeprom.bin"
    with bench(eeprom, answers=True) as desk:
        desk.unit.press(bounce_ms=0)
        desk.run(0.02 + after_ms / 1000)
        desk.unit.power(on=False)
        origin = desk.identity().boot_id
    with bench(eeprom) as again:
        assert {(report.origin, report.count) for report in again.told(PressReport)} <= {(origin, 1)}


@pytest.mark.parametrize("covert", [False, True])
@pytest.mark.parametrize("how", ["reset", "brown_out"])
def test_a_press_held_through_a_reset_is_one_press(covert: bool, how: str) -> None:
    with bench() as desk:
        desk.unit.press(covert=covert)
        desk.run(0.2)
        {"reset": desk.unit.reset, "brown_out": desk.unit.brown_out}[how]()
        desk.run(0.6)
        cause = {"reset": ResetCause.PIN, "brown_out": ResetCause.BROWN_OUT}[how]
        assert desk.identity().reset_cause is cause
        desk.unit.release(covert=covert)
        desk.run(0.2)
        desk.answers = True
        desk.tap(covert=covert)
        assert len({(report.origin, report.count) for report in desk.told(PressReport)}) == 2
        first, second = (report.origin for report in desk.told(ReleaseReport))
        assert first == second == desk.identity().boot_id


def with_a_stuck_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: int) -> Path:
    """Build the firmware for a chip one cell of whose EEPROM takes nothing."""
    sources = tmp_path / "firmware"
    shutil.copytree(FIRMWARE_SOURCES, sources)
    eeprom_c = sources / "eeprom.c"
    whole = eeprom_c.read_text()
    worn = whole.replace("{ eeprom_update_byte(", f"{{ if (cell != {cell}) eeprom_update_byte(")
    assert worn != whole
    eeprom_c.write_text(worn)
    monkeypatch.setattr("firmware_bridge.build.FIRMWARE_SOURCES", sources)
    return firmware_elf(tmp_path / "build")


@pytest.mark.parametrize("byte", [0, 4, 8, 9])
def test_a_worn_cell_costs_no_press_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, byte: int) -> None:
    elf = with_a_stuck_cell(tmp_path, monkeypatch, PLACES_AT + 3 * ENTRY_BYTES + byte)
    eeprom = tmp_path / "eeprom.bin"
    with bench(eeprom, firmware=elf) as desk:
        assert UnitFlag.JOURNAL not in desk.heartbeat().flags
        for tap in range(8):
            desk.tap(covert=tap % 2 == 1)
        assert UnitFlag.JOURNAL in desk.heartbeat().flags
        origin = desk.identity().boot_id
    with bench(eeprom, firmware=elf, answers=True) as again:
        again.run(1.0)
        told = {
            (report.origin, report.input, count)
            for report in again.told(PressReport)
            for count in range(report.count - report.merged, report.count + 1)
        }
        assert told == {(origin, Input(input_), count) for input_ in (0, 1) for count in range(1, 5)}


def test_a_press_without_a_place_says_so_and_takes_the_next_free_one(tmp_path: Path) -> None:
    owed = [entry((at + 1) << 16 | 0xBEEF, 3, 0, at % 2) for at in range(PLACES)]
    eeprom = tmp_path / "eeprom.bin"
    eeprom.write_bytes(laid_out(owed, starts=40))
    with bench(eeprom) as desk:
        assert UnitFlag.JOURNAL not in beat(desk).flags
        desk.tap()
        desk.tap(covert=True)
        assert UnitFlag.JOURNAL in beat(desk).flags
        desk.say(SelfTest().frame(7))
        desk.run(0.1)
        assert [ack.status for ack in desk.told(Ack)] == [AckStatus.NOT_NOW]
        origin = desk.identity().boot_id
        for seq in earlier_seqs(desk, 2):
            desk.say(HostAck(seq, AckStatus.DONE, origin).frame())
        desk.run(0.3)
        assert UnitFlag.JOURNAL not in beat(desk).flags
    with bench(eeprom, answers=True) as again:
        again.run(4.0)
        told = {(report.origin, report.input) for report in again.told(PressReport)}
        assert {(origin, Input.OPEN), (origin, Input.COVERT)} <= told
        assert len(told) == PLACES  # all 32 and the two new ones, less the two that were taken


def beat(desk: Bench) -> Heartbeat:
    """Wait for one: a line full of repeats leaves no room for an answer."""
    desk.run(0.6)
    return desk.told(Heartbeat)[-1]


def earlier_seqs(desk: Bench, how_many: int) -> list[int]:
    """Return the numbers of frames with presses of earlier starts."""
    desk.unit.take_frames()
    desk.unit.step(0.6)
    frames = [decode(sent.encoded) for sent in desk.unit.take_frames()]
    told = ((frame.seq, parse(frame)) for frame in frames if frame.kind == PressReport.KIND)
    seqs = {seq for seq, report in told if isinstance(report, PressReport) and report.origin & 0xFFFF == 0xBEEF}
    return sorted(seqs)[:how_many]


def test_the_places_are_used_in_turn(tmp_path: Path) -> None:
    eeprom = tmp_path / "eeprom.bin"
    with bench(eeprom, answers=True) as desk:
        for _ in range(PLACES):
            desk.tap(held_s=0.08, rest_s=0.08)
    content = eeprom.read_bytes()[PLACES_AT:]
    counts = [ENTRY.unpack_from(content, at * 10)[1] for at in range(PLACES)]
    assert sorted(counts) == list(range(1, PLACES + 1))
    assert sum(later != earlier + 1 for earlier, later in pairwise(counts)) <= 1
