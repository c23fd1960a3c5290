"""The host's end against the unit's machine code, in virtual time: each fault told in time, once, and taken back."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from firmware_bridge.events import (
    ButtonEvent,
    DownReason,
    LidClosed,
    LidOpened,
    LinkDown,
    LinkUp,
    LoopFault,
    LoopRestored,
    Pressed,
    SelfTested,
    Stuck,
    UnitRestarted,
    Unstuck,
)
from firmware_bridge.protocol import Beacon, Input, LoopState, ResetCause
from firmware_bridge.simulator import SimulatedButton
from firmware_bridge.simulator.desk import VirtualDesk

pytestmark = pytest.mark.parts

LOOP_FAULT_S = 0.2
DOWN_S = 2.0
DEAF_S = 2.5
"""A renewal each second, and the time in which one must be answered."""
LATE_S = 0.05
"""The host's own step, the converter's filter, and one frame on the wire."""
E = TypeVar("E", bound=ButtonEvent)


@pytest.fixture
def desk() -> Iterator[VirtualDesk]:
    with VirtualDesk(seed=5) as made:
        made.connect()
        made.run(0.5)
        assert [type(event) for event in made.events] == [LinkUp]
        yield made


def only(events: list[ButtonEvent], kind: type[E]) -> E:
    """Return the one event of this kind."""
    (found,) = (event for event in events if isinstance(event, kind))
    return found


def odd(unit: SimulatedButton, *, covert: bool) -> None:
    unit.loop_millivolts(3700, covert=covert)


# ---- each fault by itself, with its time ----


@pytest.mark.parametrize("covert", [False, True], ids=["open", "covert"])
@pytest.mark.parametrize(
    ("break_it", "kind"),
    [(SimulatedButton.cut, LoopState.CUT), (SimulatedButton.short, LoopState.SHORT), (odd, LoopState.ODD)],
    ids=["cut", "short", "odd"],
)
def test_a_faulty_loop(desk: VirtualDesk, break_it: Callable[..., None], kind: LoopState, covert: bool) -> None:
    began_s = desk.now_s
    break_it(desk.unit, covert=covert)
    fault = only(desk.run(0.4), LoopFault)
    assert (fault.input, fault.kind) == (Input.COVERT if covert else Input.OPEN, kind)
    assert LOOP_FAULT_S <= fault.at_s - began_s < LOOP_FAULT_S + LATE_S
    desk.unit.normal(covert=covert)
    assert only(desk.run(0.4), LoopRestored).input is fault.input


@pytest.mark.parametrize("covert", [False, True], ids=["open", "covert"])
def test_a_contact_that_sticks(desk: VirtualDesk, covert: bool) -> None:
    desk.unit.press(covert=covert)
    stuck = only(desk.run(31.0), Stuck)
    assert stuck.input is (Input.COVERT if covert else Input.OPEN)
    desk.unit.release(covert=covert)
    assert only(desk.run(0.6), Unstuck).input is stuck.input


def test_a_cut_wire_that_begins_to_touch_is_still_a_fault(desk: VirtualDesk) -> None:
    desk.unit.cut()
    only(desk.run(0.4), LoopFault)
    desk.unit.loop_millivolts(1600)
    assert not any(isinstance(event, LoopRestored) for event in desk.run(2.0))
    desk.unit.normal()
    only(desk.run(0.6), LoopRestored)


def test_an_open_lid(desk: VirtualDesk) -> None:
    began_s = desk.now_s
    desk.unit.lid(True)
    assert only(desk.run(0.4), LidOpened).at_s - began_s < LOOP_FAULT_S + LATE_S
    desk.unit.lid(False)
    assert [type(event) for event in desk.run(0.6)] == [LidClosed]


@pytest.mark.parametrize(
    ("unit_is_heard", "host_is_heard", "kind"),
    [
        (False, False, DownReason.SILENT),
        (False, True, DownReason.SILENT),
        (True, False, DownReason.NO_ANSWER),
    ],
    ids=["both", "from the unit", "to the unit"],
)
def test_a_dead_wire(desk: VirtualDesk, unit_is_heard: bool, host_is_heard: bool, kind: DownReason) -> None:
    """The unit itself waits 2 s before it says that it hears nobody; that it answers nothing shows it sooner."""
    began_s = desk.now_s
    desk.unit_is_heard, desk.host_is_heard = unit_is_heard, host_is_heard
    told = desk.run(5.0)
    down = only(told, LinkDown)
    assert down.kind is kind
    assert not any(isinstance(event, LinkUp) for event in told)
    assert down.at_s - began_s < (DOWN_S if kind is DownReason.SILENT else DEAF_S) + LATE_S
    desk.unit_is_heard = desk.host_is_heard = True
    assert only(desk.run(1.0), LinkUp).reset_cause == "power on"


def test_a_frozen_chip(desk: VirtualDesk) -> None:
    began_s = desk.now_s
    desk.unit.freeze(True)
    down = only(desk.run(2.2), LinkDown)
    assert down.kind is DownReason.SILENT
    assert down.at_s - began_s < DOWN_S + LATE_S
    desk.unit.freeze(False)
    assert only(desk.run(1.0), LinkUp)


def test_a_hang_that_the_watchdog_ended_and_nobody_asked_for(desk: VirtualDesk) -> None:
    began_s = desk.now_s
    desk.unit.hang()
    told = desk.run(1.0)
    assert only(told, LinkUp).reset_cause == "watchdog"
    restarted = only(told, UnitRestarted)
    assert restarted.cause is ResetCause.WATCHDOG
    assert restarted.at_s - began_s == pytest.approx(0.26, abs=0.06)
    assert not any(isinstance(event, LinkDown) for event in told)


def test_a_dip_of_the_supply(desk: VirtualDesk) -> None:
    desk.unit.brown_out()
    told = desk.run(0.6)
    assert only(told, LinkUp).reset_cause == "brown out"
    assert only(told, UnitRestarted).cause is ResetCause.BROWN_OUT


def test_a_flickering_supply_and_a_loose_reset_wire_are_told(desk: VirtualDesk) -> None:
    """No gap is long enough to bring the link down."""
    desk.unit.power(False)
    desk.run(0.5)
    desk.unit.power(True)
    told = desk.run(1.0)
    assert only(told, UnitRestarted).cause is ResetCause.POWER_ON
    assert not any(isinstance(event, LinkDown) for event in told)
    desk.unit.reset()
    assert only(desk.run(1.0), UnitRestarted).cause is ResetCause.PIN


def test_the_self_test_passes_and_is_no_fault(desk: VirtualDesk) -> None:
    desk.session.self_test(desk.now_s)
    told = desk.run(1.0)
    tested = only(told, SelfTested)
    assert tested.passed
    assert tested.reason.startswith("the watchdog restarted it 2")
    assert not any(isinstance(event, UnitRestarted | LinkDown) for event in told)


def test_a_chip_whose_watchdog_cannot_act_fails_the_self_test(desk: VirtualDesk) -> None:
    desk.session.self_test(desk.now_s)
    desk.run(0.05)
    desk.unit.freeze(True)
    tested = only(desk.run(3.1), SelfTested)
    assert not tested.passed
    assert "replace the board" in tested.reason


# ---- commands ----


def test_off_renewed_each_second_does_not_end_the_light_of_a_press_that_waits(desk: VirtualDesk) -> None:
    desk.hub.stores = False
    desk.unit.press()
    desk.run(0.2)
    assert desk.session.statistics().round_trip_s is not None
    lit: set[bool] = set()
    for _ in range(20):
        desk.run(0.1)
        lit.add(desk.unit.outputs().led)
    assert True in lit
    assert desk.session.statistics().own_repeats == 0
    desk.hub.stores = True


def test_each_second_one_command_is_obeyed_and_timed(desk: VirtualDesk) -> None:
    desk.set_beacon(Beacon.OFF)
    desk.run(3.0)
    statistics = desk.session.statistics()
    assert statistics.round_trip_s is not None
    assert statistics.round_trip_worst_s is not None
    assert 0.004 < statistics.round_trip_s <= statistics.round_trip_worst_s < 0.02
    assert (statistics.own_repeats, statistics.bad_frames, statistics.unit_bad_frames) == (0, 0, 0)


# ---- noise ----


def changes(events: list[ButtonEvent]) -> list[DownReason | None]:
    """How the link went: why it came down, None for up."""
    return [
        event.kind if isinstance(event, LinkDown) else None for event in events if isinstance(event, LinkDown | LinkUp)
    ]


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_noise_of_a_few_percent_is_no_reason_to_flap(desk: VirtualDesk, share: float) -> None:
    """Measured over 10 minutes each: 0 changes at 1 % and at 3 % of the bytes with a flipped bit, both ways."""
    desk.unit.garble(share)
    assert changes(desk.run(15.0)) == []
    assert desk.session.statistics().bad_frames > 0


def test_noise_of_ten_percent_is_one_fault_and_presses_pass(desk: VirtualDesk) -> None:
    """Measured over 10 minutes: 1 change, to NOISY. The link comes back once ten seconds were good."""
    desk.unit.garble(0.1)
    desk.run(15.0)
    for covert in (False, True):
        desk.unit.press(covert=covert)
        desk.run(0.3)
        desk.unit.release(covert=covert)
    desk.run(5.0)
    assert changes(desk.events) == [None, DownReason.NOISY]
    assert sorted(event.input for event in desk.events if isinstance(event, Pressed)) == [Input.OPEN, Input.COVERT]
    desk.unit.garble(0.0)
    assert changes(desk.run(12.0)) == [None]


# ---- anything in any order ----


class Anything(RuleBasedStateMachine):
    """Presses, faults, resets, noise, restarts of the host; in the end all is mended, and every account is clear."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = VirtualDesk(seed=9).__enter__()
        self.loops = dict.fromkeys(Input, "normal")
        self.presses = dict.fromkeys(Input, 0)
        self.host = True
        self.desk.connect()
        self.desk.run(0.4)
        self.since = 0

    def teardown(self) -> None:
        try:
            self._mend()
            self._settle()
        finally:
            self.desk.__exit__(None, None, None)

    @rule(input_=st.sampled_from(Input))
    def press(self, input_: Input) -> None:
        if self.loops[input_] != "normal":
            return
        covert = input_ is Input.COVERT
        self.desk.unit.press(covert=covert)
        self.desk.run(0.08)
        self.desk.unit.release(covert=covert)
        self.desk.run(0.06)
        self.presses[input_] += 1

    @rule(input_=st.sampled_from(Input), state=st.sampled_from(["cut", "short", "normal"]))
    def loop(self, input_: Input, state: str) -> None:
        getattr(self.desk.unit, state)(covert=input_ is Input.COVERT)
        self.loops[input_] = state
        self.desk.run(0.25)

    @rule(opened=st.booleans())
    def lid(self, opened: bool) -> None:
        self.desk.unit.lid(opened)
        self.desk.run(0.1)

    @rule()
    def reset(self) -> None:
        self.desk.unit.reset()
        self.desk.run(0.3)

    @rule()
    def hang(self) -> None:
        self.desk.unit.hang()
        self.desk.run(0.6)

    @rule(share=st.sampled_from([0.0, 0.03, 0.1]))
    def garble(self, share: float) -> None:
        self.desk.unit.garble(share)
        self.desk.run(0.1)

    @precondition(lambda self: self.host)
    @rule()
    def the_host_dies(self) -> None:
        self.desk.disconnect()
        self.host = False

    @rule()
    def the_host_starts(self) -> None:
        self._start_host()
        self.desk.run(0.2)

    @rule(unit=st.booleans(), host=st.booleans())
    def wires(self, unit: bool, host: bool) -> None:
        self.desk.unit_is_heard, self.desk.host_is_heard = unit, host
        self.desk.run(0.3)

    @rule()
    def a_while(self) -> None:
        self.desk.run(1.0)

    def _start_host(self) -> None:
        self.since = len(self.desk.events)
        self.desk.connect()
        self.host = True

    def _mend(self) -> None:
        self.desk.unit.garble(0.0)
        self.desk.unit.lid(False)
        self.desk.unit_is_heard = self.desk.host_is_heard = True
        for covert in (False, True):
            self.desk.unit.normal(covert=covert)
        if not self.host:
            self._start_host()

    def _settle(self) -> None:
        for _ in range(32):
            self.desk.run(0.5)
            if not self._open_faults() and sum(self.presses.values()) == len(self.desk.hub.stored):
                break
        assert self._open_faults() == set()
        stored = self.desk.hub.stored
        assert {input_: sum(press.input == input_ for press in stored) for input_ in Input} == self.presses
        assert self.desk.hub.doubled == []
        assert len(set(stored)) == len(stored)

    def _open_faults(self) -> set[str]:
        """Replay what this host was told since it started."""
        open_ = {"link"}
        for event in self.desk.events[self.since :]:
            match event:
                case LinkUp():
                    open_.discard("link")
                case LinkDown():
                    open_.add("link")
                case LoopFault(input=input_):
                    open_.add(input_.name)
                case LoopRestored(input=input_):
                    open_.discard(input_.name)
                case LidOpened():
                    open_.add("lid")
                case LidClosed():
                    open_.discard("lid")
        return open_


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
