"""The meter: what lies between two heartbeats is seen, in virtual time; and nobody has to wait for it."""

from itertools import pairwise
from pathlib import Path

import pytest

from firmware_bridge.events import Metered, MeterState
from firmware_bridge.frame import decode
from firmware_bridge.lease import MeterLease
from firmware_bridge.protocol import AckStatus, Heartbeat, Meter, PressReport, Readings
from firmware_bridge.simulator import SimulatedButton
from firmware_bridge.simulator.desk import VirtualDesk
from firmware_bridge.simulator.measure import physical_floor_ms, press_to_host_ms
from tests.firmware_bench import Bench, M, bench

pytestmark = pytest.mark.parts

FULL_MV = 4995
QUIET_MV = 2495
"""2.5 V, as the steps of the converter have it."""
BOTH = pytest.mark.parametrize("covert", [False, True], ids=["open", "covert"])
DIP_OR_SPIKE = pytest.mark.parametrize("millivolts", [0, 5000], ids=["dip", "spike"])


def lease(desk: Bench, tenths: int) -> None:
    """Lease the meter; what was heard before does not count."""
    desk.say(Meter(tenths).frame(1))
    desk.heard.clear()


def moment(desk: Bench, millivolts: int, *, covert: bool) -> None:
    desk.unit.loop_millivolts(millivolts, covert=covert)
    desk.run(0.003)
    desk.unit.normal(covert=covert)


def when(desk: Bench, kind: type[M]) -> list[float]:
    return [at_s for at_s, message in desk.heard if isinstance(message, kind)]


def extremes(told: Readings, *, covert: bool) -> tuple[int, int]:
    return (told.covert_lowest, told.covert_highest) if covert else (told.lowest, told.highest)


# ---- what it sees ----


@BOTH
@DIP_OR_SPIKE
@pytest.mark.parametrize("after_s", [0.02, 0.051, 0.08])
def test_3_ms_between_two_heartbeats_are_in_exactly_one_readings(
    millivolts: int, after_s: float, *, covert: bool
) -> None:
    with bench() as desk:
        lease(desk, 50)
        while not desk.told(Readings):
            desk.run(0.001)
        desk.run(after_s)
        moment(desk, millivolts, covert=covert)
        desk.run(1.0)
        told = [message for _, message in desk.heard if isinstance(message, Readings)]
        (seen,) = [one for one in told if extremes(one, covert=covert) != (QUIET_MV, QUIET_MV)]
        assert extremes(seen, covert=covert) == ((0, QUIET_MV) if millivolts == 0 else (QUIET_MV, FULL_MV))
        assert {extremes(one, covert=not covert) for one in told} == {(QUIET_MV, QUIET_MV)}
        beats = [message for _, message in desk.heard if isinstance(message, Heartbeat)]
        assert len(beats) >= 2
        assert {(beat.millivolts, beat.covert_millivolts) for beat in beats} == {(QUIET_MV, QUIET_MV)}


def test_every_sample_is_in_one_readings_whatever_else_is_said() -> None:
    with bench(answers=True) as desk:
        lease(desk, 100)
        for _ in range(8):
            desk.tap(held_s=0.05, rest_s=0.3)
            moment(desk, 5000, covert=True)
            desk.run(0.5)
        told = [(at_s, message) for at_s, message in desk.heard if isinstance(message, Readings)]
        took_ms = 1000 * (told[-1][0] - told[0][0])
        assert sum(message.samples for _, message in told[1:]) == pytest.approx(took_ms, abs=2)
        assert 0.8 * took_ms / 100 < len(told) <= took_ms / 100 + 2
        assert sum(message.covert_highest > 4900 for _, message in told) == 8
        assert all(message.lowest > 1200 for _, message in told)


@DIP_OR_SPIKE
def test_what_was_before_the_lease_is_not_told(millivolts: int) -> None:
    with bench() as desk:
        moment(desk, millivolts, covert=False)
        desk.run(0.05)
        lease(desk, 10)
        desk.run(2.0)
        moment(desk, millivolts, covert=False)
        desk.run(0.01)
        lease(desk, 10)
        desk.run(0.5)
        assert {(told.lowest, told.highest) for told in desk.told(Readings)} == {(QUIET_MV, QUIET_MV)}


def test_each_has_the_next_number() -> None:
    with bench() as desk:
        lease(desk, 20)
        desk.unit.step(1.0)
        frames = [decode(sent.encoded) for sent in desk.unit.take_frames()]
        assert [frame.seq for frame in frames if frame.kind == Readings.KIND] == list(range(9))


# ---- its lease ----


def test_it_ends_with_its_lease_and_runs_on_with_a_new_one() -> None:
    with bench() as desk:
        desk.run(1.0)
        assert when(desk, Readings) == []
        lease(desk, 10)
        began_s = desk.now_s
        desk.run(0.7)
        desk.say(Meter(10).frame(2))
        desk.run(3.0)
        assert 15 <= len(when(desk, Readings)) <= 17
        assert when(desk, Readings)[-1] - began_s == pytest.approx(1.7, abs=0.11)
        lease(desk, 100)
        desk.run(0.5)
        lease(desk, 0)
        desk.run(0.05)
        desk.heard.clear()
        desk.run(1.0)
        assert when(desk, Readings) == []


def test_a_reset_ends_it() -> None:
    with bench() as desk:
        lease(desk, 100)
        desk.run(0.5)
        desk.unit.reset()
        desk.run(0.01)
        desk.heard.clear()
        desk.run(1.0)
        assert when(desk, Readings) == []


# ---- the lowest in rank ----


def test_a_press_is_told_as_fast_as_without_it() -> None:
    without, metered = (press_to_host_ms(60, metering=metering) for metering in (False, True))
    assert max(metered) == pytest.approx(max(without), abs=0.3)
    assert max(metered) <= 1.15 * physical_floor_ms()


@pytest.fixture(params=[1, 5])
def lives(request: pytest.FixtureRequest) -> tuple[Bench, Bench]:
    """The same life without meter and with it: presses that nobody takes."""
    desks = []
    for tenths in (0, 250):
        with bench() as desk:
            lease(desk, tenths)
            for _ in range(request.param):
                desk.tap(held_s=0.04, rest_s=0.03)
                desk.tap(held_s=0.04, rest_s=0.07, covert=True)
            desk.run(6.0)
            desks.append(desk)
    without, metered = desks
    return without, metered


@pytest.mark.parametrize("kind", [PressReport, Heartbeat])
def test_no_repeat_and_no_heartbeat_waits_for_it(
    lives: tuple[Bench, Bench], kind: type[PressReport] | type[Heartbeat]
) -> None:
    without, metered = lives
    assert len(when(metered, Readings)) > 20
    told = [(when(desk, kind), desk) for desk in lives]
    assert len(told[0][0]) == len(told[1][0]) > 10
    late_ms = [1000 * (with_it - alone) for alone, with_it in zip(told[0][0], told[1][0], strict=True)]
    assert max(late_ms) <= 1.5
    assert all(later - earlier > 0.09 for earlier, later in pairwise(when(metered, Readings)))
    assert when(without, Readings) == []


# ---- the host's end ----


def metered(desk: VirtualDesk, seconds: float) -> list[Metered]:
    return [event for event in desk.run(seconds) if isinstance(event, Metered)]


def unseen_s(told: list[Metered]) -> float:
    return sum(one.unseen_s for one in told)


def test_the_host_leases_it_as_long_as_somebody_wants_it() -> None:
    with VirtualDesk() as desk:
        desk.connect()
        assert metered(desk, 2.0) == []
        assert desk.session.statistics().meter is MeterState.OFF
        desk.session.meter(desk.now_s + 5.0)
        told = metered(desk, 4.9)
        assert 45 <= len(told) <= 49
        assert desk.session.statistics().meter is MeterState.RUNNING
        assert {(one.low_volts, one.high_volts, one.unseen_s) for one in told} == {(2.495, 2.495, 0.0)}
        desk.run(0.2)
        assert metered(desk, 5.0) == []
        assert desk.session.statistics().meter is MeterState.OFF
        desk.session.meter(desk.now_s + 1.0)
        told = metered(desk, 0.5)
        assert len(told) >= 3
        assert sum(one.unseen_s for one in told) == 0, "what nobody wanted is not lost"


def test_what_was_lost_is_known() -> None:
    with VirtualDesk() as desk:
        desk.connect()
        desk.session.meter(60.0)
        desk.run(2.0)
        desk.unit_is_heard = False
        desk.run(0.3)
        desk.unit_is_heard = True
        assert unseen_s(metered(desk, 0.5)) == pytest.approx(0.3, abs=0.01)
        desk.unit.reset()
        assert 0.05 < unseen_s(metered(desk, 1.5)) < 0.5
        assert desk.session.statistics().meter is MeterState.RUNNING
        desk.unit_is_heard = False
        desk.run(1.5)
        assert desk.session.statistics().meter is MeterState.WAITING
        desk.unit_is_heard = True
        assert unseen_s(metered(desk, 0.5)) == pytest.approx(1.5, abs=0.1)
        desk.host_is_heard = False
        desk.run(4.0)  # the lease ends
        desk.host_is_heard = True
        assert unseen_s(metered(desk, 1.0)) == pytest.approx(1.0, abs=0.5)


def test_the_volts_now_are_those_of_the_newest_readings() -> None:
    with VirtualDesk() as desk:
        desk.connect()
        desk.session.meter(60.0)
        desk.run(2.0)
        for millivolts in range(2100, 2900, 100):
            desk.unit.loop_millivolts(millivolts)
            desk.unit.loop_millivolts(millivolts + 50, covert=True)
            desk.run(0.2)
            now = desk.session.statistics()
            assert now.loop_volts == pytest.approx(millivolts / 1000, abs=0.01)
            assert now.covert_volts == pytest.approx(millivolts / 1000 + 0.05, abs=0.01)


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_it_runs_on_a_disturbed_line(share: float) -> None:
    with VirtualDesk() as desk:
        desk.connect()
        desk.session.meter(60.0)
        desk.run(1.0)
        desk.unit.garble(share)
        told = metered(desk, 20.0)
        assert unseen_s(told) + sum(one.samples for one in told) / 1000 == pytest.approx(20, abs=0.4)
        assert len(told) > 80


@pytest.mark.parametrize(
    ("seq", "at_s", "unseen_s"),
    [(8, 10.1, 0.0), (8, 10.4, 0.0), (8, 12.1, 2.0), (9, 10.2, 0.1), (9, 10.14, 0.0), (7, 10.3, 0.2)],
    ids=["next", "late and not lost", "its lease had lapsed", "one lost", "jitter", "counts anew"],
)
def test_what_is_late_is_not_lost(seq: int, at_s: float, unseen_s: float) -> None:
    meter = MeterLease()
    meter.want(60.0)
    assert meter.readings_came(7, 100, 10.0) == 0.0
    assert meter.readings_came(seq, 100, at_s) == pytest.approx(unseen_s)


def test_it_is_asked_again_until_it_is_confirmed_and_never_again_after_a_refusal() -> None:
    meter = MeterLease()
    assert not meter.is_due(1.0)
    meter.want(60.0)
    meter.command(1.0, seq=5)
    assert [meter.is_due(at_s) for at_s in (1.2, 1.25)] == [False, True]
    meter.answered(4, AckStatus.UNKNOWN_TYPE)
    meter.answered(5, AckStatus.DONE)
    assert [meter.is_due(at_s) for at_s in (1.9, 2.0)] == [False, True]
    meter.command(2.0, seq=6)
    meter.answered(6, AckStatus.UNKNOWN_TYPE)
    assert not meter.is_due(59.0)
    assert meter.state(59.0) is MeterState.MISSING
    meter.doubt()  # another firmware may have come
    assert meter.is_due(59.0)
    assert not meter.is_due(60.0)


# ---- a firmware without it ----


def test_an_older_firmware_says_so_and_is_asked_no_more(firmware_without_meter: Path) -> None:
    with bench(firmware=firmware_without_meter) as desk:
        lease(desk, 50)
        desk.run(1.0)
        assert when(desk, Readings) == []
    desk_of_old = VirtualDesk()
    desk_of_old.unit = SimulatedButton(None, virtual_time=True, seed=1, firmware=firmware_without_meter)
    with desk_of_old as old:
        old.connect()
        old.session.meter(60.0)
        old.run(2.0)
        assert old.session.statistics().meter is MeterState.MISSING
        assert old.session.statistics().loop_volts == pytest.approx(2.5, abs=0.01)
        assert old.session.statistics().up_since_s is not None
