"""Both loops, the lid and what shows of them at the desk: the firmware's machine code, in virtual time."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from firmware_bridge.protocol import (
    Beacon,
    Heartbeat,
    Input,
    LidReport,
    LoopReport,
    LoopState,
    PressReport,
    ReleaseReport,
    SetBeacon,
    UnitFlag,
)
from firmware_bridge.simulator import OutputChange
from tests.firmware_bench import Bench, bench, lit

pytestmark = pytest.mark.parts

BANDS = [(0, LoopState.SHORT), (500, LoopState.ODD), (750, LoopState.PRESSED), (1760, LoopState.ODD)]
BANDS += [(2000, LoopState.NORMAL), (3130, LoopState.ODD), (4400, LoopState.CUT)]
STEP_MV = 5
"""One step of the converter, rounded up."""
FASTEST_TO_SEE_S = 0.201
BOTH = pytest.mark.parametrize("covert", [False, True], ids=["open", "covert"])


def input_of(covert: bool) -> Input:
    return Input.COVERT if covert else Input.OPEN


def state(beat: Heartbeat, covert: bool) -> LoopState:
    return beat.covert_loop if covert else beat.loop


# ---- bands and debounce ----


@BOTH
@pytest.mark.parametrize("edge", range(1, len(BANDS)), ids=[str(millivolts) for millivolts, _ in BANDS[1:]])
def test_each_band_ends_where_the_drawing_says(covert: bool, edge: int) -> None:
    edge_mv, above = BANDS[edge]
    _, below = BANDS[edge - 1]
    seen = []
    with bench() as desk:
        for millivolts in range(edge_mv - 2 * STEP_MV, edge_mv + 2 * STEP_MV + 1):
            desk.unit.loop_millivolts(millivolts, covert=covert)
            desk.run(FASTEST_TO_SEE_S + 0.01)
            seen.append(state(desk.heartbeat(), covert))
        assert state(desk.heartbeat(), not covert) is LoopState.NORMAL
    switch = seen.index(above)
    assert seen == [below] * switch + [above] * (len(seen) - switch)
    assert abs(switch - 2 * STEP_MV) <= STEP_MV


@BOTH
@pytest.mark.parametrize("millivolts", [10, 640, 1209, 1900, 2500, 3700, 4990])
def test_the_voltage_told_is_the_one_at_the_pin(covert: bool, millivolts: int) -> None:
    with bench() as desk:
        desk.unit.loop_millivolts(millivolts, covert=covert)
        desk.run(0.01)
        beat = desk.heartbeat()
        mine, other = (beat.covert_millivolts, beat.millivolts) if covert else (beat.millivolts, beat.covert_millivolts)
        assert mine == pytest.approx(millivolts, abs=2 * STEP_MV)
        assert other == pytest.approx(2500, abs=2 * STEP_MV)


@BOTH
def test_chatter_of_up_to_8_ms_is_always_one_press(covert: bool) -> None:
    rng = random.Random(3)  # noqa: S311 - the same chatter in every run
    with bench(answers=True) as desk:
        for tenth_ms in range(81):
            desk.unit.press(bounce_ms=tenth_ms / 10, covert=covert)
            desk.run(0.06 + rng.uniform(0, 0.02))
            desk.unit.release(covert=covert)
            desk.run(0.06)
        beat = desk.heartbeat()
        assert (beat.covert_presses if covert else beat.presses) == 81
        assert len(desk.presses(input_of(covert))) == 81
        assert desk.presses(input_of(not covert)) == []


@BOTH
@pytest.mark.parametrize(("closed_ms", "presses"), [(18, 0), (22, 1)])
def test_a_press_is_one_from_20_ms(covert: bool, closed_ms: int, presses: int) -> None:
    for phase_us in range(0, 1000, 100):
        with bench() as desk:
            desk.run(phase_us / 1e6)
            desk.tap(covert=covert, held_s=closed_ms / 1000)
            assert len(desk.presses(input_of(covert))) == presses, f"phase {phase_us} us"


@BOTH
def test_a_trembling_contact_is_one_press(covert: bool) -> None:
    with bench(answers=True) as desk:
        for _ in range(10):
            desk.tap(covert=covert, held_s=0.008, rest_s=0.002)
        desk.run(0.2)
        assert desk.presses(input_of(covert)) == [1]
        assert len(desk.told(ReleaseReport)) == 1


@BOTH
def test_a_loose_wire_hides_no_press(covert: bool) -> None:
    with bench() as desk:
        desk.unit.cut(covert=covert)
        desk.run(0.19)
        desk.tap(covert=covert, held_s=0.06)
        assert desk.presses(input_of(covert)) == [1]
        assert desk.told(LoopReport) == []


@BOTH
def test_a_press_out_of_a_fault_counts(covert: bool) -> None:
    with bench(answers=True) as desk:
        desk.unit.cut(covert=covert)
        desk.run(0.3)
        desk.tap(covert=covert)
        assert desk.presses(input_of(covert)) == [1]
        first, second = desk.told(LoopReport)
        assert (first.before, first.after, first.input) == (LoopState.NORMAL, LoopState.CUT, input_of(covert))
        assert (second.before, second.after) == (LoopState.CUT, LoopState.PRESSED)


@dataclass(frozen=True)
class Flicker:
    """A loop that is now one thing and now another."""

    first_mv: int
    first_ms: int
    second_mv: int
    second_ms: int

    def run(self, desk: Bench, for_s: float, *, covert: bool = False) -> None:
        for _ in range(round(for_s * 1000 / (self.first_ms + self.second_ms))):
            desk.unit.loop_millivolts(self.first_mv, covert=covert)
            desk.run(self.first_ms / 1000)
            desk.unit.loop_millivolts(self.second_mv, covert=covert)
            desk.run(self.second_ms / 1000)


PRESSED_MV, NORMAL_MV, CUT_MV = 1209, 2500, 4990
LOOSE_WHILE_PRESSED = [
    Flicker(PRESSED_MV, on_ms, other_mv, off_ms)
    for other_mv in (CUT_MV, 10, 1880, NORMAL_MV)
    for on_ms, off_ms in ((1, 1), (5, 5), (5, 6), (10, 10), (3, 2), (15, 15))
] + [Flicker(1740, 1, 1780, 1), Flicker(1740, 5, 1780, 5)]


@BOTH
@pytest.mark.parametrize("flicker", LOOSE_WHILE_PRESSED, ids=str)
def test_a_press_through_a_loose_contact_is_one_press(covert: bool, flicker: Flicker) -> None:
    with bench(answers=True) as desk:
        flicker.run(desk, 1.0, covert=covert)
        assert desk.presses(input_of(covert)) == [1]
        flicker.run(desk, 2.0, covert=covert)
        assert desk.told(ReleaseReport) == []
        desk.unit.normal(covert=covert)
        desk.run(0.1)
        assert [report.input for report in desk.told(ReleaseReport)] == [input_of(covert)]
        assert desk.presses(input_of(covert)) == [1]


@pytest.mark.parametrize("off_ms", [1, 5, 10])
def test_a_press_through_a_wire_that_was_cut_before_counts(off_ms: int) -> None:
    with bench(answers=True) as desk:
        desk.unit.cut()
        desk.run(0.5)
        Flicker(PRESSED_MV, off_ms, CUT_MV, off_ms).run(desk, 0.3)
        assert desk.presses(Input.OPEN) == [1]


UNSTEADY = [
    (Flicker(NORMAL_MV, 5, CUT_MV, 5), LoopState.CUT),
    (Flicker(NORMAL_MV, 10, CUT_MV, 10), LoopState.CUT),
    (Flicker(NORMAL_MV, 1, 10, 1), LoopState.SHORT),
    (Flicker(NORMAL_MV, 7, CUT_MV, 3), LoopState.CUT),
    (Flicker(NORMAL_MV, 7, PRESSED_MV, 3), LoopState.ODD),
    (Flicker(1980, 1, 2010, 1), LoopState.ODD),
    (Flicker(1980, 5, 2010, 5), LoopState.ODD),
]


@BOTH
@pytest.mark.parametrize(("flicker", "fault"), UNSTEADY, ids=str)
def test_a_loop_that_is_not_steadily_normal_is_a_fault_within_a_second(
    covert: bool, flicker: Flicker, fault: LoopState
) -> None:
    with bench(answers=True) as desk:
        flicker.run(desk, 1.0, covert=covert)
        assert [report.after for report in desk.told(LoopReport)] == [fault]
        flicker.run(desk, 3.0, covert=covert)
        assert len(desk.told(LoopReport)) == 1, "it stays the fault that it is"
        assert desk.told(PressReport) == []
        desk.unit.normal(covert=covert)
        desk.run(0.05)
        assert [report.after for report in desk.told(LoopReport)] == [fault, LoopState.NORMAL]


@pytest.mark.parametrize("second_mv", [2010, NORMAL_MV])
def test_a_loop_at_the_border_from_the_start_is_known_and_a_fault(second_mv: int) -> None:
    with bench(answers=True) as desk:
        desk.unit.loop_millivolts(1980)
        desk.unit.power(on=False)
        desk.run(0.2)
        desk.unit.power(on=True)
        Flicker(1980, 1, second_mv, 1).run(desk, 1.0)
        assert desk.heartbeat().loop is LoopState.ODD


@BOTH
@pytest.mark.parametrize("millivolts", [10, PRESSED_MV, 1880, CUT_MV])
@pytest.mark.parametrize(("burst_ms", "rest_ms"), [(1, 9), (2, 20), (5, 50), (15, 285)])
def test_glitches_and_bursts_are_nothing(covert: bool, millivolts: int, burst_ms: int, rest_ms: int) -> None:
    """15 ms each 300 ms is how IEC 61000-4-4 sends its bursts."""
    with bench(answers=True) as desk:
        Flicker(millivolts, burst_ms, NORMAL_MV, rest_ms).run(desk, 5.0, covert=covert)
        assert desk.told(PressReport) == []
        assert desk.told(LoopReport) == []
        assert state(desk.heartbeat(), covert) is LoopState.NORMAL


# ---- the two together ----


def test_two_buttons_at_once_are_two_presses() -> None:
    with bench(answers=True) as desk:
        desk.unit.press(bounce_ms=4)
        desk.unit.press(bounce_ms=4, covert=True)
        desk.run(0.3)
        desk.unit.release()
        desk.unit.release(covert=True)
        desk.run(0.2)
        assert [(report.input, report.count) for report in desk.told(PressReport)] == [(0, 1), (1, 1)]
        assert sorted(report.input for report in desk.told(ReleaseReport)) == [Input.OPEN, Input.COVERT]
        beat = desk.heartbeat()
        assert (beat.presses, beat.covert_presses, beat.kept_presses, beat.covert_kept_presses) == (1, 1, 0, 0)


@BOTH
def test_a_press_counts_while_the_other_loop_is_cut(covert: bool) -> None:
    with bench(answers=True) as desk:
        desk.unit.cut(covert=not covert)
        desk.run(0.195)  # the other fault is just being believed
        desk.tap(covert=covert)
        assert desk.presses(input_of(covert)) == [1]
        assert desk.presses(input_of(not covert)) == []
        (fault,) = desk.told(LoopReport)
        assert (fault.input, fault.after) == (input_of(not covert), LoopState.CUT)


@BOTH
def test_each_counts_and_keeps_by_itself(covert: bool) -> None:
    with bench() as desk:
        for _ in range(9):
            desk.tap(covert=covert, held_s=0.05, rest_s=0.05)
        desk.tap(covert=not covert)
        beat = desk.heartbeat()
        mine, other = (beat.presses, beat.kept_presses), (beat.covert_presses, beat.covert_kept_presses)
        assert (other, mine) == ((9, 9), (1, 1)) if covert else (mine, other) == ((9, 9), (1, 1))
        newest = max(
            (report for report in desk.told(PressReport) if report.input == covert), key=lambda report: report.count
        )
        assert (newest.count, newest.merged) == (9, 3)
        assert {report.merged for report in desk.told(PressReport) if report.input != covert} == {0}


# ---- what shows at the desk ----


def life_with(desk: Bench, covert_life: Callable[[Bench], None] | None) -> list[OutputChange]:
    """The same open life each time; with or without a covert one beside it."""
    desk.unit.take_changes()
    desk.tap()
    desk.run(1.0)
    if covert_life:
        covert_life(desk)
    else:
        desk.run(0.3)
    desk.run(4.5)
    return desk.unit.take_changes()


def covert_press(desk: Bench) -> None:
    desk.unit.press(bounce_ms=5, covert=True)
    desk.run(0.2)
    desk.unit.release(covert=True)
    desk.run(0.1)


def covert_cut(desk: Bench) -> None:
    desk.unit.cut(covert=True)
    desk.run(0.3)


@pytest.mark.parametrize("covert_life", [covert_press, covert_cut])
@pytest.mark.parametrize("answers", [False, True], ids=["host gone", "host present"])
@pytest.mark.parametrize("beacon", [Beacon.OFF, Beacon.ALERT, Beacon.COMING, Beacon.FAULT])
def test_the_covert_loop_changes_nothing_at_the_desk(
    answers: bool, beacon: Beacon, covert_life: Callable[[Bench], None]
) -> None:
    lives = []
    for with_it in (None, covert_life):
        with bench(answers=answers) as desk:
            desk.beacon = beacon
            desk.run(2.5)
            lives.append(life_with(desk, with_it))
            assert len(desk.told(PressReport)) >= (2 if with_it is covert_press else 1)
    without, with_covert = lives
    assert without
    assert [(change.name, change.on) for change in with_covert] == [(change.name, change.on) for change in without]
    apart_s = [abs(one.at_s - other.at_s) for one, other in zip(without, with_covert, strict=True)]
    assert max(apart_s) <= WITHIN_S


WITHIN_S = 8e-6
"""Outputs change in the millisecond's interrupt, which waits for at most one other: 8 us, for no eye and no ear."""


def test_a_covert_press_never_sounds_and_never_lights_even_alone_and_unanswered() -> None:
    with bench() as desk:
        desk.run(2.5)  # the host is gone: the unit blinks, once a second
        desk.unit.take_changes()
        desk.unit.press(covert=True)
        desk.run(20.0)
        changes = desk.unit.take_changes()
        assert {change.name for change in changes} == {"led"}
        assert all(0.99 < later - earlier < 1.01 for earlier, later in pairwise(lit(changes)))
        assert UnitFlag.LOCAL_ALARM not in desk.heartbeat().flags


def test_a_press_lights_steadily_at_once_then_flashes_when_nobody_takes_it() -> None:
    with bench() as desk:
        desk.run(0.5)
        desk.unit.take_changes()
        pressed_s = desk.now_s
        desk.unit.press(bounce_ms=0)
        for _ in range(12):
            desk.hold_alive()
            desk.run(0.25)
        first, *others = desk.unit.take_changes()
        assert (first.name, first.on) == ("led", True)
        assert first.at_s - pressed_s < 0.025
        assert others == []
        for _ in range(16):
            desk.hold_alive()
            desk.run(0.25)
        changes = desk.unit.take_changes()
        flashes = lit(changes)
        assert all(later - earlier == pytest.approx(0.4, abs=0.002) for earlier, later in pairwise(flashes[1:]))
        assert next(change for change in changes if change.name == "relay").at_s - pressed_s == pytest.approx(
            3.02, abs=0.01
        )


def test_a_press_that_the_host_takes_goes_dark_and_then_shows_what_the_host_says() -> None:
    with bench(answers=True) as desk:
        desk.run(1.0)
        desk.unit.take_changes()
        desk.tap()
        desk.run(0.5)
        on, off = desk.unit.take_changes()
        assert (on.on, off.on) == (True, False)
        assert off.at_s - on.at_s < 0.4
        desk.beacon = Beacon.LIGHT
        desk.run(2.0)
        assert 4 <= len(lit(desk.unit.take_changes())) <= 6


def test_the_steady_light_ends_after_10_s_at_the_latest() -> None:
    with bench() as desk:
        desk.unit.take_changes()
        desk.answers = True
        desk.tap()
        desk.answers = False  # it has the press, and never speaks again
        desk.run(1.5)
        assert desk.unit.outputs().led
        assert desk.unit.take_changes()[-1].on
        desk.run(9.5)
        led = [change for change in desk.unit.take_changes() if change.name == "led"]
        assert not led[0].on
        assert led[0].at_s == pytest.approx(0.5 + 10.02, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_the_light_never_flashes_more_than_three_times_in_any_second(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same life in every run
    with bench(answers=True) as desk:
        desk.unit.take_changes()
        for _ in range(150):
            desk.beacon = rng.choice(list(Beacon))
            desk.answers = rng.random() < 0.9
            desk._speaks_at_s = 0.0  # each change is told at once
            rng.choice([desk.unit.press, desk.unit.release, desk.unit.cut, lambda: None])()
            desk.run(rng.uniform(0.01, 0.4))
        flashes = lit(desk.unit.take_changes())
        assert len(flashes) > 50
        assert all(fourth - first > 0.9999 for first, fourth in zip(flashes, flashes[3:], strict=False))


@pytest.mark.parametrize("heard_after_s", [0.5, 0.98, 1.02, 1.5, 2.0, 2.9])
@pytest.mark.parametrize("beacon", [Beacon.ALERT, Beacon.LIGHT])
def test_an_alert_whose_host_dies_sounds_whatever_it_said_last(beacon: Beacon, heard_after_s: float) -> None:
    """Its renewals were lost on the wire, its heartbeats were not: the lease ends while the host still seems to live."""
    with bench() as desk:
        desk.say(SetBeacon(beacon, 30).frame(1))
        desk.run(heard_after_s)
        desk.hold_alive()
        desk.unit.take_changes()
        desk.run(6.0)
        flashes = lit(desk.unit.take_changes())
        assert max(later - earlier for earlier, later in pairwise(flashes)) < 0.41, "it went dark in between"
        assert desk.unit.outputs().relay
        desk.say(SetBeacon(Beacon.OFF, 0).frame(2))
        desk.run(0.1)
        assert not desk.unit.outputs().relay


# ---- lid ----


def test_an_opened_lid_is_told_kept_and_in_each_heartbeat() -> None:
    with bench() as desk:
        assert UnitFlag.LID_OPEN not in desk.heartbeat().flags
        desk.unit.lid(opened=True)
        desk.run(0.3)
        assert len([message for _, message in desk.heard if isinstance(message, LidReport)]) > 1
        assert UnitFlag.LID_OPEN in desk.heartbeat().flags
        desk.answers = True
        desk.unit.lid(opened=False)
        desk.run(0.3)
        assert [report.opened for report in desk.told(LidReport)] == [1, 0]
        beat = desk.heartbeat()
        assert (UnitFlag.LID_OPEN in beat.flags, beat.queued) == (False, 0)


@pytest.mark.parametrize(("open_ms", "told"), [(48, []), (52, [1, 0])])
def test_a_lid_is_open_after_50_ms(open_ms: int, told: list[int]) -> None:
    with bench() as desk:
        desk.unit.lid(opened=True)
        desk.run(open_ms / 1000)
        desk.unit.lid(opened=False)
        desk.run(0.2)
        assert [report.opened for report in desk.told(LidReport)] == told


def test_a_lid_that_is_open_at_the_start_is_told() -> None:
    with bench() as desk:
        desk.unit.lid(opened=True)
        desk.unit.power(on=False)
        desk.run(0.2)
        desk.heard.clear()
        desk.unit.power(on=True)
        desk.run(0.3)
        assert [report.opened for report in desk.told(LidReport)] == [1]
