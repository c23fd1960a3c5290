"""The firmware's real machine code on a simulated chip, against the real host end, in virtual time."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.build import BuildError, firmware_elf, simulator_program
from firmware_bridge.events import (
    HostWasLost,
    LinkUp,
    LoopFault,
    LoopRestored,
    Pressed,
    PressId,
    Released,
)
from firmware_bridge.frame import Frame, decode, encode
from firmware_bridge.protocol import (
    BY_KIND,
    FROM_HOST,
    REPEATED,
    Ack,
    AckStatus,
    Beacon,
    Heartbeat,
    HostAck,
    HostHeartbeat,
    Identity,
    Input,
    LoopState,
    Message,
    PressReport,
    ResetCause,
    SelfTest,
    SetBeacon,
    parse,
)
from firmware_bridge.simulator import Outputs, SimulatedButton
from firmware_bridge.simulator.desk import VirtualDesk

pytestmark = pytest.mark.parts

QUIET = Outputs(led=False, buzzer=False, relay=False)


@pytest.fixture
def desk() -> Iterator[VirtualDesk]:
    with VirtualDesk() as desk:
        desk.connect()
        desk.run(1.0)
        yield desk


def presses(desk: VirtualDesk) -> list[int]:
    return [event.count for event in desk.events if isinstance(event, Pressed)]


def tap(desk: VirtualDesk, hold_s: float = 0.1, rest_s: float = 0.1) -> None:
    desk.unit.press()
    desk.run(hold_s)
    desk.unit.release()
    desk.run(rest_s)


def power_cut(desk: VirtualDesk) -> None:
    desk.unit.power(on=False)
    desk.run(0.2)
    desk.unit.power(on=True)


def is_sounding(desk: VirtualDesk, for_s: float = 4.2) -> bool:
    """Within one whole siren pattern, buzzer and relay were on."""
    before = desk.unit.outputs()
    desk.unit.take_changes()
    desk.run(for_s)
    on = {change.name for change in desk.unit.take_changes() if change.on}
    return (before.relay or "relay" in on) and "buzzer" in on


def is_dark(desk: VirtualDesk, for_s: float = 4.2) -> bool:
    desk.unit.take_changes()
    desk.run(for_s)
    return desk.unit.take_changes() == [] and desk.unit.outputs() == QUIET


# ---- presses ----


def test_a_unit_says_who_it_is(desk: VirtualDesk) -> None:
    (up,) = desk.events
    assert isinstance(up, LinkUp)
    assert (up.firmware, up.reset_cause) == ("2.0", "power on")
    assert up.boot_id >> 16 == 1


def test_a_press_and_its_release(desk: VirtualDesk) -> None:
    tap(desk, hold_s=0.5)
    _, pressed, released = desk.events
    assert isinstance(pressed, Pressed)
    assert pressed.count == 1
    assert pressed.age_s is not None
    assert pressed.age_s < 0.01
    assert isinstance(released, Released)
    assert released.held_s == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("garbled", [0.0, 0.01, 0.03, 0.10])
def test_every_press_arrives_once_on_a_bad_wire(garbled: float) -> None:
    rng = random.Random(garbled)  # noqa: S311 - the same presses in every run
    with VirtualDesk(seed=7) as desk:
        desk.connect()
        desk.run(1.0)
        desk.unit.garble(garbled)
        for _ in range(20):
            desk.unit.press(bounce_ms=rng.uniform(0, 8))
            desk.run(rng.uniform(0.06, 1.0))
            desk.unit.release()
            desk.run(rng.uniform(0.06, 1.0))
        desk.unit.garble(0.0)
        desk.run(3.0)
        assert sorted(presses(desk)) == list(range(1, 21))
        assert desk.hub.doubled == []


def test_chatter_is_one_press_and_a_glitch_is_none(desk: VirtualDesk) -> None:
    desk.unit.press(bounce_ms=8)
    desk.run(0.2)
    desk.unit.release()
    desk.run(0.2)
    desk.unit.loop_millivolts(1209)
    desk.run(0.012)
    desk.unit.normal()
    desk.run(0.5)
    assert presses(desk) == [1]


def test_a_press_without_a_host_waits_for_it(desk: VirtualDesk) -> None:
    desk.disconnect()
    tap(desk)
    desk.run(10.0)
    desk.connect()
    told = desk.run(1.0)
    (pressed,) = (event for event in told if isinstance(event, Pressed))
    assert pressed.age_s == pytest.approx(10.2, abs=0.6)
    assert any(isinstance(event, HostWasLost) and event.away_s > 9 for event in told)
    assert presses(desk) == [1]


def test_what_a_random_life_brings_arrives_once(desk: VirtualDesk) -> None:
    """Presses, plugs, resets, power cuts and hub restarts in any order, on a wire that damages 1 % of the bytes."""
    rng = random.Random(11)  # noqa: S311 - the same life in every run
    desk.unit.garble(0.01)
    for pressed in range(1, 101):
        desk.unit.press(bounce_ms=rng.uniform(0, 8))
        desk.run(rng.uniform(0.06, 0.4))
        desk.unit.release()
        desk.run(rng.uniform(0.06, 0.3))
        if pressed % 5 == 0:
            happens: list[Callable[[], None]] = [
                desk.disconnect,
                desk.connect,
                desk.connect,
                desk.unit.reset,
                partial(power_cut, desk),
            ]
            rng.choice(happens)()
            desk.run(0.1)
        desk.hub.stores = rng.random() < 0.8
    desk.hub.stores = True
    desk.connect()
    desk.run(3.0)
    assert len(set(desk.hub.stored)) == len(desk.hub.stored) == 100
    assert desk.hub.doubled == []
    assert last_heartbeat(desk).queued == 0


def test_more_presses_than_slots_all_arrive_through_power_cuts(desk: VirtualDesk) -> None:
    desk.disconnect()
    for _ in range(3):
        for _ in range(15):
            tap(desk, hold_s=0.06, rest_s=0.06)
        power_cut(desk)
        desk.run(0.1)
    desk.connect()
    desk.run(3.0)
    assert sorted(presses(desk)) == sorted([*range(1, 16)] * 3)
    assert len(set(desk.hub.stored)) == 45
    assert desk.hub.doubled == []


def test_an_unstored_press_is_repeated_and_told_once(desk: VirtualDesk) -> None:
    desk.hub.stores = False
    tap(desk)
    desk.run(5.0)
    assert presses(desk) == [1]
    assert desk.session.statistics().repeated_frames > 20


def test_a_restarted_hub_hears_an_unstored_press_again_and_a_stored_one_not(desk: VirtualDesk) -> None:
    desk.hub.stores = False
    tap(desk)
    first = next(event for event in desk.events if isinstance(event, Pressed))
    desk.connect(stored=())
    again = next(event for event in desk.run(1.0) if isinstance(event, Pressed))
    assert again.press_id == first.press_id
    desk.connect(stored=[first.press_id])
    assert not any(isinstance(event, Pressed) for event in desk.run(2.0))
    assert last_heartbeat(desk).kept_presses == 0


def test_a_press_survives_a_power_cut(desk: VirtualDesk) -> None:
    boot_id = desk.events[0].boot_id if isinstance(desk.events[0], LinkUp) else 0
    desk.disconnect()
    tap(desk)
    desk.unit.power(on=False)
    desk.run(1.0)
    desk.unit.power(on=True)
    desk.connect()
    told = desk.run(1.5)
    (pressed,) = (event for event in told if isinstance(event, Pressed))
    assert (pressed.press_id, pressed.age_s) == (PressId(boot_id, Input.OPEN, 1), None)
    desk.unit.power(on=False)
    desk.unit.power(on=True)
    assert not any(isinstance(event, Pressed) for event in desk.run(2.0))


def test_a_reset_with_the_button_held_makes_no_second_press(desk: VirtualDesk) -> None:
    desk.unit.press()
    desk.run(0.5)
    desk.unit.reset()
    desk.run(1.5)
    desk.unit.release()
    desk.run(0.2)
    tap(desk)
    assert len(presses(desk)) == 2


def test_a_reset_between_press_and_acknowledgement_loses_nothing(desk: VirtualDesk) -> None:
    desk.hub.stores = False
    tap(desk)
    desk.unit.reset()
    desk.hub.stores = True
    desk.connect(stored=())
    desk.run(2.0)
    assert len(desk.hub.stored) == 1
    assert last_heartbeat(desk).queued == 0


def test_touching_wires_do_not_answer_for_the_host(desk: VirtualDesk) -> None:
    desk.disconnect()
    desk.unit.press()
    for _ in range(1000):
        desk.now_s = desk.unit.step(0.01)
        for frame in desk.unit.take_frames():
            desk.unit.send(b"\0" + frame.encoded + b"\0")
    assert desk.unit.outputs().relay
    desk.connect()
    desk.run(1.0)
    assert presses(desk) == [1]


def reported(unit: SimulatedButton) -> dict[int, tuple[int, PressReport]]:
    """By count: sequence number and message of the presses that the chip sent since the last look."""
    frames = [decode(frame.encoded) for frame in unit.take_frames()]
    told = ((frame.seq, parse(frame)) for frame in frames if frame.kind == PressReport.KIND)
    return {report.count: (seq, report) for seq, report in told if isinstance(report, PressReport)}


def test_an_acknowledgement_for_another_start_clears_nothing() -> None:
    with SimulatedButton(None, virtual_time=True, seed=1) as unit:
        unit.step(0.5)
        unit.press()
        unit.step(0.2)
        seq, report = reported(unit)[1]
        unit.send(encode(HostAck(seq, AckStatus.DONE, report.boot_id ^ 0x10000).frame()))
        unit.step(0.1)
        reported(unit)
        unit.step(0.3)
        assert 1 in reported(unit)
        unit.send(encode(HostAck(seq, AckStatus.DONE, report.boot_id).frame()))
        unit.step(0.1)
        reported(unit)
        unit.step(0.5)
        assert reported(unit) == {}


def test_an_acknowledgement_on_its_way_does_not_clear_the_press_that_joined() -> None:
    with SimulatedButton(None, virtual_time=True, seed=1) as unit:
        unit.step(0.5)
        for _ in range(6):
            unit.press()
            unit.step(0.1)
            unit.release()
            unit.step(0.1)
        seq, sixth = reported(unit)[6]
        unit.press()
        unit.step(0.1)
        unit.send(encode(HostAck(seq, AckStatus.DONE, sixth.boot_id).frame()))
        unit.step(0.2)
        reported(unit)
        unit.step(0.5)
        _, seventh = reported(unit)[7]
        assert seventh.merged == 1


# ---- the loop ----


@pytest.mark.parametrize(
    ("millivolts", "kind"),
    [(10, LoopState.SHORT), (4990, LoopState.CUT), (600, LoopState.ODD), (1880, LoopState.ODD), (3500, LoopState.ODD)],
)
def test_a_broken_loop_is_seen_and_its_repair_too(desk: VirtualDesk, millivolts: int, kind: LoopState) -> None:
    desk.unit.loop_millivolts(millivolts)
    (fault,) = desk.run(0.3)
    assert isinstance(fault, LoopFault)
    assert fault.kind is kind
    assert fault.volts == pytest.approx(millivolts / 1000, abs=0.03)
    desk.unit.normal()
    assert [type(event) for event in desk.run(0.3)] == [LoopRestored]
    assert presses(desk) == []


@pytest.mark.parametrize("millivolts", [800, 1209, 1700])
def test_pressed_has_a_wide_band(desk: VirtualDesk, millivolts: int) -> None:
    desk.unit.loop_millivolts(millivolts)
    desk.run(0.2)
    assert presses(desk) == [1]


def test_a_cut_while_pressed_is_a_fault_and_a_press(desk: VirtualDesk) -> None:
    desk.unit.press()
    desk.run(0.2)
    desk.unit.cut()
    desk.run(0.4)
    assert [type(event) for event in desk.events[1:]] == [Pressed, Released, LoopFault]


# ---- light, siren, relay ----


def test_a_press_lights_before_any_host_knows(desk: VirtualDesk) -> None:
    desk.disconnect()
    desk.unit.take_changes()
    desk.unit.press()
    desk.run(0.45)
    assert any(change.name == "led" and change.on for change in desk.unit.take_changes())


def test_an_unanswered_press_sounds_after_3_s(desk: VirtualDesk) -> None:
    desk.hub.stores = False
    desk.unit.take_changes()
    desk.unit.press()
    pressed_s = desk.now_s
    desk.run(5.0)
    relay = next(change for change in desk.unit.take_changes() if change.name == "relay")
    assert relay.on
    assert relay.at_s - pressed_s == pytest.approx(3.02, abs=0.05)
    assert is_sounding(desk)
    for event in desk.events:
        if isinstance(event, Pressed):
            desk.session.ack(event.press_id)
    desk.unit.release()
    desk.run(11.0)
    assert is_dark(desk)


def test_a_press_with_no_host_sounds(desk: VirtualDesk) -> None:
    desk.disconnect()
    desk.run(3.0)
    tap(desk)
    assert desk.unit.outputs().relay
    assert is_sounding(desk)


@pytest.mark.parametrize(
    ("beacon", "lit", "sounds"),
    [
        (Beacon.OFF, False, False),
        (Beacon.ALERT, True, True),
        (Beacon.LIGHT, True, False),
        (Beacon.ALERT_SILENT, False, False),
        (Beacon.COMING, True, False),
        (Beacon.FAULT, True, False),
    ],
)
def test_each_beacon(desk: VirtualDesk, beacon: Beacon, lit: bool, sounds: bool) -> None:
    desk.set_beacon(beacon)
    desk.run(0.1)
    desk.unit.take_changes()
    desk.run(10.0)
    changes = desk.unit.take_changes()
    flashes = [change.at_s for change in changes if change.name == "led" and change.on]
    assert bool(flashes) == lit
    assert all(later - earlier >= 1 / 3 for earlier, later in pairwise(flashes))
    assert any(change.name == "buzzer" for change in changes) == sounds
    assert desk.unit.outputs().relay == sounds
    desk.set_beacon(Beacon.OFF)
    desk.run(0.3)
    assert is_dark(desk)


def test_a_lease_that_nobody_renews_ends_and_the_host_loss_shows(desk: VirtualDesk) -> None:
    desk.set_beacon(Beacon.COMING)
    desk.run(1.0)
    desk.disconnect()
    desk.run(4.0)
    desk.unit.take_changes()
    desk.run(3.1)
    changes = [change for change in desk.unit.take_changes() if change.name == "led"]
    lit_s = [off.at_s - on.at_s for on, off in pairwise(changes) if on.on]
    assert lit_s
    assert max(lit_s) == pytest.approx(0.06, abs=0.01)


@pytest.mark.parametrize("beacon", [Beacon.ALERT, Beacon.LIGHT])
def test_an_alert_whose_host_dies_sounds_on_until_a_host_is_back(desk: VirtualDesk, beacon: Beacon) -> None:
    desk.set_beacon(beacon)
    desk.run(1.0)
    desk.disconnect()
    desk.run(10.0)
    assert is_sounding(desk)
    desk.connect()
    desk.run(1.0)
    assert is_dark(desk)


def test_a_silent_alert_whose_host_dies_stays_silent(desk: VirtualDesk) -> None:
    desk.set_beacon(Beacon.ALERT_SILENT)
    desk.run(1.0)
    desk.disconnect()
    desk.unit.take_changes()
    desk.run(10.0)
    assert {change.name for change in desk.unit.take_changes()} <= {"led"}


# ---- watchdog, identity, sizes ----


def test_the_watchdog_ends_a_hang(desk: VirtualDesk) -> None:
    desk.session.self_test(desk.now_s)
    told = desk.run(1.5)
    (up,) = (event for event in told if isinstance(event, LinkUp))
    assert up.reset_cause == "watchdog"


def test_boot_ids_never_repeat(desk: VirtualDesk) -> None:
    for _ in range(20):
        desk.unit.reset()
        desk.run(0.8)
    boot_ids = [event.boot_id for event in desk.events if isinstance(event, LinkUp)]
    assert [boot_id >> 16 for boot_id in boot_ids] == list(range(1, 22))
    assert len({boot_id & 0xFFFF for boot_id in boot_ids}) > 15


def test_a_fresh_unit_does_not_take_another_ones_boot_id() -> None:
    boot_ids = set()
    for seed in range(5):
        with VirtualDesk(seed) as desk:
            desk.connect()
            desk.run(1.0)
            boot_ids |= {event.boot_id for event in desk.events if isinstance(event, LinkUp)}
    assert len(boot_ids) == 5


def test_the_eeprom_outlives_the_simulator(tmp_path: Path) -> None:
    starts = []
    for _ in range(2):
        with SimulatedButton(None, virtual_time=True, eeprom=tmp_path / "eeprom.bin") as unit:
            unit.step(0.1)
            starts.append(identity_of(unit).boot_id >> 16)
    assert starts == [1, 2]


def test_two_runs_are_the_same_to_the_cycle() -> None:
    def run() -> list[tuple[float, bytes]]:
        with SimulatedButton(None, virtual_time=True, seed=3) as unit:
            unit.garble(0.05)
            unit.step(0.5)
            unit.press(bounce_ms=7)
            unit.step(2.0)
            return [(frame.at_s, frame.encoded) for frame in unit.take_frames()]

    assert run() == run()


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="apt-get install gcc-avr avr-libc"):
        firmware_elf(tmp_path / "build")
    with pytest.raises(BuildError, match="apt-get install gcc libsimavr-dev"):
        simulator_program(tmp_path / "build")


# ---- the two machines against each other: Python encodes, C decodes, and back ----


@pytest.fixture(scope="module")
def unit() -> Iterator[SimulatedButton]:
    with SimulatedButton(None, virtual_time=True, seed=5) as unit:
        unit.step(0.5)
        yield unit


def identity_of(unit: SimulatedButton) -> Identity:
    return next(message for message in messages(unit) if isinstance(message, Identity))


def messages(unit: SimulatedButton) -> list[Message]:
    return [parse(decode(frame.encoded)) for frame in unit.take_frames()]


def last_heartbeat(desk: VirtualDesk) -> Heartbeat:
    heard = desk.session._last
    assert heard is not None
    return heard


def exchange(unit: SimulatedButton, data: bytes, for_s: float = 0.02) -> list[Message]:
    unit.take_frames()
    unit.send(data)
    unit.step(for_s)
    return messages(unit)


CHIP = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@CHIP
@given(st.sampled_from(Beacon), st.integers(0, 255), st.integers(0, 255))
def test_the_chip_takes_every_command_that_python_writes(
    unit: SimulatedButton, beacon: Beacon, lease: int, seq: int
) -> None:
    answers = exchange(unit, encode(SetBeacon(beacon, lease).frame(seq)))
    assert [(ack.seq, ack.status) for ack in answers if isinstance(ack, Ack)] == [(seq, AckStatus.DONE)]


def harmless(frame: Frame) -> bool:
    return frame.kind != SelfTest.KIND or frame.payload != SelfTest().frame().payload


@CHIP
@given(
    st.builds(
        Frame,
        st.one_of(st.sampled_from(sorted(BY_KIND)), st.integers(0, 255)),
        st.integers(0, 255),
        st.binary(max_size=24),
    ).filter(harmless)
)
def test_the_chip_answers_any_valid_frame_and_lives(unit: SimulatedButton, frame: Frame) -> None:
    answers = exchange(unit, encode(frame))
    acks = [ack for ack in answers if isinstance(ack, Ack)]
    marks = FROM_HOST | REPEATED
    assert [ack.seq for ack in acks] == ([frame.seq] if frame.kind & marks == marks else [])
    assert not any(isinstance(message, PressReport) for message in answers)
    assert not any(
        isinstance(message, Identity) and message.reset_cause is not ResetCause.POWER_ON for message in answers
    )


@CHIP
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5))
def test_the_chip_finds_a_frame_after_any_garbage(unit: SimulatedButton, garbage: list[bytes]) -> None:
    answers = exchange(unit, b"\0".join(garbage) + encode(SetBeacon(Beacon.OFF, 0).frame(77)), for_s=0.08)
    assert (77, AckStatus.DONE) in [(ack.seq, ack.status) for ack in answers if isinstance(ack, Ack)]
    assert not any(isinstance(message, PressReport | Identity) for message in answers)


def test_the_chip_still_counts_and_presses_after_all_that(unit: SimulatedButton) -> None:
    unit.press()
    answers = exchange(unit, encode(HostHeartbeat().frame()), for_s=0.6)
    assert any(isinstance(message, PressReport) and message.count == 1 for message in answers)
    assert any(isinstance(message, Heartbeat) and message.bad_frames for message in answers)
