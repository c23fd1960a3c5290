"""The host's end of the link without chip or port: what it concludes, and that nothing it hears can hurt it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.diagnosis import PULSES_S
from firmware_bridge.events import (
    ButtonEvent,
    DownReason,
    LidClosed,
    LidOpened,
    LinkDown,
    LinkUp,
    LoopFault,
    LoopRestored,
    MemoryFaulty,
    MemorySound,
    Pressed,
    PressId,
    Released,
    SelfTested,
    Stuck,
    UnitRestarted,
    Unstuck,
)
from firmware_bridge.frame import Frame, FrameReader, encode
from firmware_bridge.presses import FRAMES_MAX, STORED_MAX, TOLD_MAX, PressBook
from firmware_bridge.protocol import (
    BY_KIND,
    Ack,
    AckStatus,
    Beacon,
    Heartbeat,
    Hello,
    HostAck,
    HostHeartbeat,
    Identity,
    Input,
    LidReport,
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
from firmware_bridge.session import ButtonSession
from firmware_bridge.watchdog import LIMIT_S

BOOT = 0x0007_1234
IDENTITY = Identity(2, 2, 0, ResetCause.POWER_ON, 0xABCDEF01, BOOT)
HEARD = UnitFlag.HOST_PRESENT
N = LoopState.NORMAL
BEAT = Heartbeat(90_000, BOOT, N, HEARD, 2500, 0, 0, Beacon.OFF, 0, 0, N, 2500, 0, 0)
UP = LinkUp("2.0", "abcdef01", "power on", BOOT, 2, None, 100.0)


def press(count: int, input_: int = Input.OPEN) -> PressId:
    return PressId(BOOT, input_, count)


class Talk:
    """A session and what was said to it and by it; time moves by hand."""

    def __init__(self) -> None:
        self.session = ButtonSession("/dev/button")
        self.now_s = 100.0
        self.session.opened(self.now_s)

    def hear(self, message: Message, seq: int = 0, shorter: int = 0) -> list[ButtonEvent]:
        """Take a message, as an older firmware sends it when `shorter` of its last bytes are missing."""
        frame = message.frame(seq)
        self.session.receive(encode(replace(frame, payload=frame.payload[: len(frame.payload) - shorter])), self.now_s)
        return self.session.take_events()

    def live(self, seconds: float, beat: Heartbeat = BEAT) -> list[ButtonEvent]:
        """Let a unit that works go on for so long."""
        told: list[ButtonEvent] = []
        for _ in range(round(seconds * 2)):
            told += self.wait(0.5) + self.beats(beat)
        return told

    def beats(self, beat: Heartbeat) -> list[ButtonEvent]:
        """Take a heartbeat, and the answer to the last command of a unit that hears us."""
        told = self.hear(beat)
        asked = self.session._beacon._unanswered
        if asked and UnitFlag.HOST_PRESENT in beat.flags:
            told += self.hear(Ack(next(reversed(asked)), AckStatus.DONE, beat.boot_id))
        return told

    def say(self) -> list[Message]:
        self.session.tick(self.now_s)
        frames = FrameReader().feed(self.session.take_output())
        return [parse(frame) for frame in frames if isinstance(frame, Frame)]

    def wait(self, seconds: float) -> list[ButtonEvent]:
        for _ in range(round(seconds * 20)):
            self.now_s += 0.05
            self.session.tick(self.now_s)
            self.session.take_output()
        return self.session.take_events()


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_it_greets_beats_and_sets_the_beacon(talk: Talk) -> None:
    assert [type(message) for message in talk.say()] == [HostHeartbeat, Hello, SetBeacon]


def test_up_needs_identity_heartbeat_and_to_be_heard(talk: Talk) -> None:
    assert talk.hear(BEAT) == []
    assert talk.hear(IDENTITY) == []
    assert talk.hear(replace(BEAT, flags=UnitFlag(0))) == []
    (up,) = talk.hear(BEAT)
    assert up == UP
    assert talk.hear(BEAT) == []


def test_a_new_start_of_the_unit_is_greeted_anew(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    talk.say()
    talk.hear(replace(BEAT, boot_id=BOOT + 1))
    assert Hello() in talk.say()
    talk.hear(replace(IDENTITY, boot_id=BOOT + 1, reset_cause=ResetCause.WATCHDOG | ResetCause.BROWN_OUT))
    (up,) = talk.hear(replace(BEAT, boot_id=BOOT + 1))
    assert isinstance(up, LinkUp)
    assert up.reset_cause == "brown out and watchdog"


def test_an_older_firmware_works_in_what_both_know(talk: Talk) -> None:
    """Protocol 1 knew neither the covert input nor the lid: nothing is invented about them."""
    old = replace(BEAT, covert_loop=LoopState.UNKNOWN, covert_millivolts=0, presses=1, kept_presses=1)
    talk.hear(replace(IDENTITY, protocol=1, major=1))
    (up,) = talk.hear(old, shorter=6)
    assert isinstance(up, LinkUp)
    assert up.version_note == (
        "firmware 1.0 (protocol 1) is older than this Stayby (protocol 2): "
        "the covert input and the lid are not watched; run stayby button flash"
    )
    (pressed,) = talk.hear(PressReport(BOOT, BOOT, 1, 0, 20, 0), seq=1, shorter=1)
    assert isinstance(pressed, Pressed)
    assert (pressed.press_id, pressed.input) == (press(1), Input.OPEN)
    (released,) = talk.hear(ReleaseReport(BOOT, BOOT, 1, 500, Input.OPEN), seq=2, shorter=1)
    assert released == Released(BOOT, Input.OPEN, 1, 0.5, talk.now_s)
    (fault,) = talk.hear(LoopReport(BOOT, N, LoopState.CUT, 5000, Input.OPEN), seq=3, shorter=1)
    assert fault == LoopFault(Input.OPEN, LoopState.CUT, 5.0, talk.now_s)
    assert [type(event) for event in talk.live(10.0, old)] == [LoopRestored], "and it stays up"
    statistics = talk.session.statistics()
    assert (statistics.covert_loop, statistics.covert_volts, statistics.lid_open) == (LoopState.UNKNOWN, None, False)
    assert statistics.says == up.version_note


FIRST_FIRMWARE = (
    "0203030101030101010104297101034b35",
    "020103f4010104297101020103bf090101010101033427",
    "020103e8030104297101020103bf09010101010103e6d4",
    "020103dc050104297101020103bf09010101010103731f",
    "020103d0070104297101020103bf090101010101035313",
)
"""What the first firmware (protocol 1, its CRC not inverted) said in simavr from its start on, between the zeros."""


def test_the_first_firmware_is_known_and_its_remedy_told(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for frame in FIRST_FIRMWARE:
        talk.session.receive(b"\0" + bytes.fromhex(frame) + b"\0", talk.now_s)
        told += talk.wait(0.5)
    (down,) = told
    assert isinstance(down, LinkDown)
    assert (down.kind, down.reason) == (
        DownReason.OLDER_FIRMWARE,
        "the button on /dev/button has an older firmware: run stayby button flash",
    )


def test_a_newer_firmware_works_in_what_both_know(talk: Talk) -> None:
    talk.hear(replace(IDENTITY, protocol=3, major=3))
    (up,) = talk.hear(BEAT)
    assert isinstance(up, LinkUp)
    assert up.version_note == (
        "firmware 3.0 (protocol 3) is newer than this Stayby (protocol 2): "
        "what only it knows is left aside; update Stayby"
    )
    frames = talk.session.statistics().bad_frames
    talk.session.receive(encode(Frame(0x87, 5, b"something newer")), talk.now_s)
    assert talk.session.take_events() == []
    assert talk.session.statistics().bad_frames == frames, "a word that we do not know is not a damaged one"


def test_a_unit_of_another_version_in_the_same_place_takes_back_what_it_cannot_know(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.hear(replace(BEAT, covert_loop=LoopState.CUT, flags=HEARD | UnitFlag.LID_OPEN))
    told = talk.hear(replace(IDENTITY, protocol=1, boot_id=BOOT + 1))
    told += talk.hear(replace(BEAT, boot_id=BOOT + 1), shorter=6)
    assert [type(event) for event in told] == [UnitRestarted, LoopRestored, LidClosed, LinkUp]


@pytest.mark.parametrize(
    ("at", "value", "becomes"),
    [(8, 99, LoopFault(Input.OPEN, LoopState.ODD, 2.5, 100.0)), (9, 0xE1, UP), (15, 99, UP), (18, 77, None)],
    ids=["loop", "flags", "beacon", "covert loop"],
)
def test_a_value_that_only_a_newer_firmware_knows_spoils_no_message(
    talk: Talk, at: int, value: int, becomes: ButtonEvent | None
) -> None:
    talk.hear(IDENTITY)
    payload = bytearray(BEAT.frame().payload)
    payload[at] = value
    talk.session.receive(encode(Frame(Heartbeat.KIND, 0, bytes(payload))), talk.now_s)
    told = talk.session.take_events()
    assert (becomes or LoopFault(Input.COVERT, LoopState.ODD, 2.5, 100.0)) in told
    assert UP in told


def test_a_press_of_an_input_that_only_a_newer_firmware_knows_calls_aloud_and_is_never_taken_for_another(
    talk: Talk,
) -> None:
    talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.OPEN), seq=1)
    talk.session.ack(press(1))
    talk.say()
    (pressed,) = talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, 7), seq=2)
    assert isinstance(pressed, Pressed)
    assert (pressed.press_id, pressed.input) == (press(1, 7), Input.OPEN)
    assert not any(isinstance(message, HostAck) for message in talk.say())
    talk.session.ack(pressed.press_id)
    assert HostAck(2, AckStatus.DONE, BOOT) in talk.say()


def test_an_unknown_status_is_not_done() -> None:
    assert AckStatus(9) is AckStatus.BAD_PAYLOAD


def test_a_unit_that_does_not_hear_us_is_down(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for _ in range(6):
        told += talk.hear(replace(BEAT, flags=UnitFlag(0))) + talk.wait(0.5)
    talk.wait(2.0)
    assert [event.kind for event in told if isinstance(event, LinkDown)] == [DownReason.NO_ANSWER]


def test_garbage_for_an_hour_is_counted_not_told(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for second in range(3600):
        talk.session.receive(b"\x13\x37\0" * 50, talk.now_s)
        told += talk.wait(1.0 if second % 7 else 3.0)
    assert len(told) < 400
    assert talk.session.statistics().bad_frames == 180_000


@pytest.mark.parametrize("input_", Input)
def test_a_count_without_its_frame_becomes_a_press_of_its_input_once(talk: Talk, input_: Input) -> None:
    owed = {
        Input.OPEN: replace(BEAT, presses=3, kept_presses=2),
        Input.COVERT: replace(BEAT, covert_presses=3, covert_kept_presses=2),
    }[input_]
    assert not any(isinstance(event, Pressed) for event in talk.hear(owed))
    told = [event for event in talk.hear(replace(owed, uptime_ms=90_500)) if isinstance(event, Pressed)]
    assert [(event.press_id, event.input) for event in told] == [(press(2, input_), input_), (press(3, input_), input_)]
    assert talk.hear(replace(owed, uptime_ms=91_000)) == []
    assert talk.hear(PressReport(BOOT, BOOT, 3, 1, 1500, input_), seq=9) == []
    talk.session.ack(press(2, input_))
    assert not any(isinstance(message, HostAck) for message in talk.say())
    talk.session.ack(press(3, input_))
    assert HostAck(9, AckStatus.DONE, BOOT) in talk.say()


def test_a_repeated_frame_of_a_stored_press_is_acknowledged_again(talk: Talk) -> None:
    talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.OPEN), seq=4)
    talk.session.ack(press(1))
    assert HostAck(4, AckStatus.DONE, BOOT) in talk.say()
    assert talk.hear(PressReport(BOOT, BOOT, 1, 0, 60, Input.OPEN), seq=4) == []
    assert HostAck(4, AckStatus.DONE, BOOT) in talk.say()


def test_both_inputs_count_by_themselves(talk: Talk) -> None:
    told = talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.OPEN), seq=1)
    told += talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.COVERT), seq=2)
    assert [(event.input, event.count) for event in told if isinstance(event, Pressed)] == [(0, 1), (1, 1)]
    talk.session.ack(press(1, Input.COVERT))
    acks = [message for message in talk.say() if isinstance(message, HostAck)]
    assert acks == [HostAck(2, AckStatus.DONE, BOOT)]


def test_the_count_may_wrap(talk: Talk) -> None:
    told = talk.hear(PressReport(BOOT, BOOT, 1, 3, 0, Input.OPEN), seq=1)
    assert [event.count for event in told if isinstance(event, Pressed)] == [65534, 65535, 0, 1]


def test_the_lid_and_each_loop_are_told_on_change_by_report_or_by_heartbeat(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    assert talk.hear(LidReport(BOOT, 1), seq=1) == [LidOpened(talk.now_s)]
    assert talk.hear(LidReport(BOOT, 1), seq=1) == []
    assert HostAck(1, AckStatus.DONE, BOOT) in talk.say()
    assert talk.hear(replace(BEAT, flags=HEARD | UnitFlag.LID_OPEN)) == []
    assert talk.session.statistics().lid_open
    assert talk.hear(BEAT) == [LidClosed(talk.now_s)]
    cut = replace(BEAT, covert_loop=LoopState.SHORT, covert_millivolts=12)
    assert talk.hear(cut) == [LoopFault(Input.COVERT, LoopState.SHORT, 0.012, talk.now_s)]
    both = replace(cut, loop=LoopState.CUT, millivolts=5000)
    assert talk.hear(both) == [LoopFault(Input.OPEN, LoopState.CUT, 5.0, talk.now_s)]
    assert talk.hear(LoopReport(BOOT, LoopState.SHORT, N, 2500, Input.COVERT), seq=2) == [
        LoopRestored(Input.COVERT, talk.now_s)
    ]
    assert talk.hear(BEAT) == [LoopRestored(Input.OPEN, talk.now_s)]


def loop_of(input_: Input, state: LoopState) -> Heartbeat:
    return replace(BEAT, loop=state) if input_ is Input.OPEN else replace(BEAT, covert_loop=state)


@pytest.mark.parametrize("input_", Input)
def test_a_button_that_reads_pressed_for_30_s_is_stuck_until_it_reads_normal(talk: Talk, input_: Input) -> None:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    held = loop_of(input_, LoopState.PRESSED)
    talk.hear(held)
    assert talk.live(29.0, held) == []
    (stuck,) = talk.live(60.0, held)
    assert isinstance(stuck, Stuck)
    assert stuck.input is input_
    assert stuck.for_s == pytest.approx(30.0, abs=0.6)
    assert [type(event) for event in talk.live(1.0)] == [Unstuck]
    talk.live(25.0, held)
    talk.wait(3.0)
    assert Stuck not in {type(event) for event in talk.live(25.0, held)}, "it may have been let go while nobody heard"


@pytest.mark.parametrize("input_", Input)
def test_only_normal_takes_a_fault_of_a_loop_back(talk: Talk, input_: Input) -> None:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    assert [type(event) for event in talk.hear(loop_of(input_, LoopState.CUT))] == [LoopFault]
    assert talk.hear(LoopReport(BOOT, LoopState.CUT, LoopState.PRESSED, 1600, input_), seq=3) == []
    assert talk.hear(loop_of(input_, LoopState.PRESSED)) == []
    assert [type(event) for event in talk.hear(BEAT)] == [LoopRestored]


@pytest.mark.parametrize("input_", Input)
def test_a_loop_that_stays_unknown_is_odd_a_second_after_the_start(talk: Talk, input_: Input) -> None:
    unknown = loop_of(input_, LoopState.UNKNOWN)
    talk.hear(IDENTITY)
    assert LoopFault not in {type(event) for event in talk.hear(replace(unknown, uptime_ms=600))}
    (fault,) = (event for event in talk.hear(replace(unknown, uptime_ms=1100)) if isinstance(event, LoopFault))
    assert (fault.input, fault.kind) == (input_, LoopState.ODD)


def beacons(talk: Talk, seconds: float, *, answered_after_s: float | None) -> tuple[list[SetBeacon], list[ButtonEvent]]:
    """Let time pass with a unit that answers each command so late, or never; return the commands, and what was told."""
    sent: list[SetBeacon] = []
    told: list[ButtonEvent] = []
    for _ in range(round(seconds * 20)):
        talk.now_s += 0.05
        new = [message for message in talk.say() if isinstance(message, SetBeacon)]
        if new and answered_after_s is not None:
            talk.now_s += answered_after_s
            told += talk.hear(Ack(next(reversed(talk.session._beacon._unanswered)), AckStatus.DONE, BOOT))
        sent += new
    return sent, told


@pytest.mark.parametrize("beacon", [Beacon.OFF, Beacon.ALERT])
def test_the_beacon_is_repeated_until_taken_and_then_renewed_each_second(talk: Talk, beacon: Beacon) -> None:
    talk.session.set_beacon(beacon, talk.now_s)
    sent, _ = beacons(talk, 1.0, answered_after_s=None)
    assert 8 <= len(sent) <= 20
    assert set(sent) == {SetBeacon(beacon, 30)}
    repeats = talk.session.statistics().own_repeats
    assert repeats >= 8
    sent, _ = beacons(talk, 10.0, answered_after_s=0.0)
    assert len(sent) in {10, 11}
    assert talk.session.statistics().own_repeats <= repeats + 1


def test_a_link_that_is_down_counts_few_repeats(talk: Talk) -> None:
    beacons(talk, 600.0, answered_after_s=None)
    assert talk.session.statistics().own_repeats < 40


def test_the_round_trip_is_smoothed_and_its_worst_is_forgotten_after_a_minute(talk: Talk) -> None:
    beacons(talk, 0.1, answered_after_s=0.04)
    assert talk.session.statistics().round_trip_s == pytest.approx(0.04)
    beacons(talk, 50.0, answered_after_s=0.008)
    statistics = talk.session.statistics()
    assert statistics.round_trip_s == pytest.approx(0.008, abs=1e-4)
    assert statistics.round_trip_worst_s == pytest.approx(0.04)
    beacons(talk, 10.0, answered_after_s=0.008)
    assert talk.session.statistics().round_trip_worst_s == pytest.approx(0.008)


def test_an_answer_to_a_command_proves_the_link_as_a_heartbeat_does(talk: Talk) -> None:
    talk.hear(IDENTITY)
    _, told = beacons(talk, 60.0, answered_after_s=0.006)
    assert [type(event) for event in told] == [LinkUp]


def test_an_answer_to_a_command_of_long_ago_proves_nothing(talk: Talk) -> None:
    talk.hear(IDENTITY)
    told: list[ButtonEvent] = []
    for _ in range(6):
        told += talk.wait(0.5) + talk.hear(Ack(250, AckStatus.DONE, BOOT))
    assert [event.kind for event in told if isinstance(event, LinkDown)] == [DownReason.NO_ANSWER]


def test_the_units_own_count_of_damaged_frames_wraps_and_begins_anew(talk: Talk) -> None:
    for boot_id, bad_frames in [(BOOT, 200), (BOOT, 250), (BOOT, 4), (BOOT + 1, 3), (BOOT + 1, 5)]:
        talk.hear(replace(BEAT, boot_id=boot_id, bad_frames=bad_frames))
    assert talk.session.statistics().unit_bad_frames == 50 + 10 + 3 + 2


def test_a_muted_end_says_nothing_whatever_it_hears_and_goes_on_without_a_word_about_the_link(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.OPEN), seq=1)
    talk.session.ack(press(1))
    talk.say()
    talk.session.mute(talk.now_s, on=True)
    for _ in range(10):
        talk.now_s += 0.5
        talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.OPEN), seq=1)
        talk.hear(LidReport(BOOT, 0), seq=2)
        assert talk.hear(replace(BEAT, flags=UnitFlag(0))) == []
        assert talk.say() == []
    talk.session.mute(talk.now_s, on=False)
    assert {HostHeartbeat(), SetBeacon(Beacon.OFF, 30)} <= set(talk.say())
    assert talk.wait(0.4) + talk.hear(BEAT) == []


# ---- noise, silence ----


def noisy(talk: Talk, seconds: float, whole_each_s: float) -> list[ButtonEvent]:
    """Eight damaged frames a second, and now and then a heartbeat that survives."""
    told: list[ButtonEvent] = []
    for second in range(round(seconds)):
        told += talk.wait(1.0)
        talk.session.receive(b"\x13\x37\0" * 8, talk.now_s)
        if second % whole_each_s == 0:
            told += talk.beats(BEAT)
    return told


def test_a_noisy_link_is_told_once_and_stays_told_until_ten_seconds_were_good(talk: Talk) -> None:
    talk.hear(IDENTITY)
    assert [type(event) for event in talk.live(20.0)] == [LinkUp]
    (down,) = noisy(talk, 600.0, whole_each_s=4)
    assert isinstance(down, LinkDown)
    assert down.kind is DownReason.NOISY
    assert down.reason == (
        "16 of 16 frames on /dev/button damaged: check the cable's shield and ground, and what runs beside it"
    )
    (pressed,) = talk.hear(PressReport(BOOT, BOOT, 1, 0, 0, Input.OPEN), seq=1)
    assert isinstance(pressed, Pressed)
    assert talk.live(8.0) == []
    assert [type(event) for event in talk.live(4.0)] == [LinkUp]


def test_noise_that_leaves_enough_whole_is_no_fault(talk: Talk) -> None:
    talk.hear(IDENTITY)
    assert [type(event) for event in noisy(talk, 600.0, whole_each_s=1)] == [LinkUp]


def test_noise_that_becomes_silence_or_a_deaf_unit_is_told_as_such(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.live(5.0)
    noisy(talk, 20.0, whole_each_s=50)
    deaf = talk.live(30.0, replace(BEAT, flags=UnitFlag(0)))
    assert [event.kind for event in deaf if isinstance(event, LinkDown)] == [DownReason.NO_ANSWER]
    assert [event.kind for event in talk.wait(60.0) if isinstance(event, LinkDown)] == [DownReason.SILENT]


def test_a_silent_port_is_pulsed_after_10_s_a_minute_and_ten_and_then_left_alone(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.live(5.0)
    (down,) = talk.wait(2.1)
    assert isinstance(down, LinkDown)
    assert down.reason == (
        "/dev/button is open but nothing comes: check the button's supply and cable; if both are good, it hangs"
    )
    for wait_s in PULSES_S:
        assert talk.wait(wait_s - 0.2) == [], "it is told once"
        assert not talk.session.wants_reopening(talk.now_s)
        talk.wait(0.3)
        assert talk.session.wants_reopening(talk.now_s)
        talk.session.opened(talk.now_s)
    talk.wait(2 * PULSES_S[-1])
    assert not talk.session.wants_reopening(talk.now_s), "where only the wire from it is dead, the unit works"
    talk.hear(replace(IDENTITY, boot_id=BOOT + 1))
    talk.hear(replace(BEAT, boot_id=BOOT + 1))
    talk.wait(2.1 + PULSES_S[0])
    assert talk.session.wants_reopening(talk.now_s), "a new silence"


def test_a_dead_wire_that_picks_up_noise_makes_no_new_silence(talk: Talk) -> None:
    talk.wait(3.0)
    pulses = 0
    for _ in range(200):
        talk.session.receive(b"\x13\x37", talk.now_s)
        talk.wait(15.0)
        if talk.session.wants_reopening(talk.now_s):
            pulses += 1
            talk.session.opened(talk.now_s)
    assert pulses <= len(PULSES_S)


def test_half_a_frame_after_the_last_whole_one_is_silence_all_the_same(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.live(5.0)
    talk.wait(0.2)
    talk.session.receive(b"\0\x13\x37", talk.now_s)
    (down,) = talk.wait(2.0)
    assert isinstance(down, LinkDown)
    assert down.kind is DownReason.SILENT


# ---- restarts ----


@pytest.mark.parametrize("cause", [*ResetCause, ResetCause(0), ResetCause.WATCHDOG | ResetCause.BROWN_OUT])
def test_each_start_on_an_open_port_but_the_first_is_told_once(talk: Talk, cause: ResetCause) -> None:
    assert talk.hear(replace(IDENTITY, reset_cause=cause)) == []
    talk.hear(BEAT)
    again = replace(IDENTITY, boot_id=BOOT + 1, reset_cause=cause)
    assert talk.hear(again) == [UnitRestarted(cause, talk.now_s)]
    told = talk.hear(replace(BEAT, boot_id=BOOT + 1)) + talk.hear(again) + talk.hear(replace(BEAT, boot_id=BOOT + 1))
    assert [type(event) for event in told] == [LinkUp]
    talk.session.closed(DownReason.UNPLUGGED, "gone", talk.now_s)
    talk.session.opened(talk.now_s)
    talk.session.take_events()
    assert talk.hear(replace(IDENTITY, boot_id=BOOT + 2, reset_cause=cause)) == []


def test_a_start_of_which_only_heartbeats_arrive_is_told_once_it_says_who_it_is(talk: Talk) -> None:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    assert talk.hear(replace(BEAT, boot_id=BOOT + 1)) == []
    (told, _) = talk.hear(replace(IDENTITY, boot_id=BOOT + 1)) + talk.hear(replace(BEAT, boot_id=BOOT + 1))
    assert isinstance(told, UnitRestarted)


# ---- the self-test ----


@pytest.fixture
def up(talk: Talk) -> Talk:
    talk.hear(IDENTITY)
    talk.hear(BEAT)
    return talk


def begin_test(talk: Talk) -> int:
    """Start a self-test; return the command's number."""
    talk.say()
    talk.session.self_test(talk.now_s)
    return self_test_seq(talk)


def self_test_seq(talk: Talk) -> int:
    """Return the number of the command that is just said."""
    talk.session.tick(talk.now_s)
    frames = [frame for frame in FrameReader().feed(talk.session.take_output()) if isinstance(frame, Frame)]
    (seq,) = (frame.seq for frame in frames if frame.kind == SelfTest.KIND)
    return seq


def comes_back(talk: Talk, cause: ResetCause, after_s: float = 0.3) -> list[ButtonEvent]:
    talk.now_s += after_s
    told = talk.hear(replace(IDENTITY, boot_id=BOOT + 1, reset_cause=cause))
    return told + talk.hear(replace(BEAT, boot_id=BOOT + 1, uptime_ms=20))


def test_a_self_test_passes_and_its_hang_is_no_fault(up: Talk) -> None:
    up.hear(Ack(begin_test(up), AckStatus.DONE, BOOT))
    tested, link_up = comes_back(up, ResetCause.WATCHDOG)
    assert tested == SelfTested(True, "the watchdog restarted it 300 ms after it was made to hang", up.now_s)
    assert isinstance(link_up, LinkUp)
    assert up.live(10.0, replace(BEAT, boot_id=BOOT + 1)) == []


def test_a_memory_that_fails_is_told_and_when_it_is_sound_again(up: Talk) -> None:
    faulty = replace(BEAT, flags=BEAT.flags | UnitFlag.JOURNAL)
    assert up.hear(faulty) == [MemoryFaulty(up.now_s)]
    assert up.hear(faulty) == []
    assert up.hear(BEAT) == [MemorySound(up.now_s)]


def test_a_self_test_waits_2_s_for_a_button_to_be_let_go_then_says_why_not(up: Talk) -> None:
    up.hear(Ack(begin_test(up), AckStatus.NOT_NOW, BOOT))
    assert up.live(2.5) == []
    up.hear(BEAT)
    (tested,) = up.hear(Ack(self_test_seq(up), AckStatus.NOT_NOW, BOOT))
    assert isinstance(tested, SelfTested)
    assert not tested.passed
    assert tested.reason.startswith("a button is pressed, or a press is not in its memory yet")


def test_a_self_test_knows_a_start_in_time_where_the_cause_is_hidden(up: Talk) -> None:
    up.hear(Ack(begin_test(up), AckStatus.DONE, BOOT))
    tested, _ = comes_back(up, ResetCause(0))
    assert tested == SelfTested(
        True, "it restarted 300 ms after it was made to hang; its boot loader hides by what", up.now_s
    )


@pytest.mark.parametrize(("cause", "after_s"), [(ResetCause.PIN, 0.3), (ResetCause(0), 0.02), (ResetCause(0), 2.0)])
def test_another_start_does_not_pass_for_the_watchdogs(up: Talk, cause: ResetCause, after_s: float) -> None:
    up.hear(Ack(begin_test(up), AckStatus.DONE, BOOT))
    tested, _ = comes_back(up, cause, after_s)
    assert isinstance(tested, SelfTested)
    assert not tested.passed
    assert "not by its watchdog" in tested.reason


def test_a_unit_that_never_comes_back_fails_the_self_test_after_3_s(up: Talk) -> None:
    up.hear(Ack(begin_test(up), AckStatus.DONE, BOOT))
    down, tested = up.wait(LIMIT_S + 0.1)
    assert isinstance(down, LinkDown)
    assert isinstance(tested, SelfTested)
    assert tested.at_s == pytest.approx(100.0 + LIMIT_S, abs=0.06)
    assert (tested.passed, tested.reason) == (
        False,
        "it hung and its watchdog did not restart it in 3 s: replace the board",
    )


def test_a_command_that_was_lost_is_said_again_to_a_unit_that_beats_on(up: Talk) -> None:
    begin_test(up)
    said: list[Message] = []
    for _ in range(5):
        up.wait(0.5)
        up.hear(BEAT)
        said += up.say()
    assert said.count(SelfTest()) == 5
    assert [type(event) for event in up.wait(1.0)] == [SelfTested]


def test_a_unit_that_starts_anew_is_not_told_to_hang_again(up: Talk) -> None:
    begin_test(up)
    comes_back(up, ResetCause.WATCHDOG)
    assert SelfTest() not in up.say()


def test_a_unit_whose_new_start_beats_before_it_says_who_it_is_is_not_told_to_hang_again(up: Talk) -> None:
    """The acknowledgement and the new start's first word were lost."""
    begin_test(up)
    up.wait(0.5)
    up.hear(replace(BEAT, boot_id=BOOT + 1, uptime_ms=20))
    assert SelfTest() not in up.say()
    tested, *_ = comes_back(up, ResetCause.WATCHDOG, after_s=0.05)
    assert isinstance(tested, SelfTested)
    assert tested.passed


def test_a_firmware_that_refuses_and_a_port_that_goes_away_fail_the_self_test(up: Talk) -> None:
    (refused,) = up.hear(Ack(begin_test(up), AckStatus.UNKNOWN_TYPE, BOOT))
    assert isinstance(refused, SelfTested)
    assert refused.reason == "its firmware does not know the self-test: run stayby button flash"
    begin_test(up)
    up.session.closed(DownReason.UNPLUGGED, "gone", up.now_s)
    tested, _ = up.session.take_events()
    assert isinstance(tested, SelfTested)
    assert "went away" in tested.reason


def test_a_self_test_without_a_link_fails_at_once(talk: Talk) -> None:
    (down,) = talk.wait(2.1)
    assert isinstance(down, LinkDown)
    talk.session.self_test(talk.now_s)
    assert talk.session.take_events() == [SelfTested(False, f"no link to the button: {down.reason}", talk.now_s)]


def test_a_self_test_before_the_first_word_waits_for_it(talk: Talk) -> None:
    talk.session.self_test(talk.now_s)
    assert talk.wait(0.5) == []
    talk.hear(IDENTITY)
    assert [type(event) for event in talk.hear(BEAT)] == [LinkUp]
    assert SelfTest() in talk.say()
    tested, *_ = comes_back(talk, ResetCause.WATCHDOG)
    assert isinstance(tested, SelfTested)


def test_a_self_test_before_the_first_word_fails_when_none_comes(talk: Talk) -> None:
    talk.session.self_test(talk.now_s)
    down, tested = talk.wait(2.1)
    assert isinstance(down, LinkDown)
    assert isinstance(tested, SelfTested)
    assert not tested.passed
    assert talk.wait(20.0) == []


def test_an_echo_is_nobody(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for _ in range(6):
        told += talk.hear(Hello()) + talk.hear(HostHeartbeat()) + talk.wait(0.5)
    assert [event.kind for event in told if isinstance(event, LinkDown)] == [DownReason.WRONG_DEVICE]
    assert talk.session.statistics().echoes == 12


def test_the_press_book_stays_small() -> None:
    book = PressBook()
    for seq in range(10_000):
        book.report(PressReport(BOOT, BOOT, seq, 0, 0, seq % 2), seq % 256)
    assert len(book._told) <= TOLD_MAX
    assert len(book._frames) <= FRAMES_MAX
    for count in range(10_000):
        book.store(press(count))
    assert len(book._stored) <= STORED_MAX


MESSAGES = st.builds(
    Frame,
    st.one_of(st.sampled_from(sorted(BY_KIND)), st.integers(0, 255)),
    st.integers(0, 255),
    st.binary(max_size=24),
).map(encode)


@given(st.lists(st.one_of(st.binary(max_size=80), MESSAGES), max_size=30))
def test_nothing_that_arrives_can_hurt(chunks: list[bytes]) -> None:
    talk = Talk()
    for chunk in chunks:
        talk.session.receive(chunk, talk.now_s)
        talk.wait(0.1)
    assert not talk.session.take_output()


@given(st.data())
def test_any_well_formed_word_of_a_unit_can_come_at_any_time(data: st.DataObject) -> None:
    talk = Talk()
    units = [kind for kind in BY_KIND.values() if not kind.KIND & 0x40]
    for kind in data.draw(st.lists(st.sampled_from(units), max_size=20)):
        size = kind.LAYOUT.size
        payload = data.draw(st.binary(min_size=size, max_size=size))
        talk.session.receive(encode(Frame(kind.KIND, data.draw(st.integers(0, 255)), payload)), talk.now_s)
        talk.wait(0.1)
