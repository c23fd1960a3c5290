"""The host's end of the link without chip or port: what it concludes, and that nothing it hears can hurt it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.events import ButtonEvent, DownReason, LinkDown, LinkUp, Pressed
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
    LoopState,
    Message,
    PressReport,
    ResetCause,
    SetBeacon,
    UnitFlag,
    parse,
)
from firmware_bridge.session import ButtonSession

BOOT = 0x0007_1234
IDENTITY = Identity(1, 1, 0, ResetCause.POWER_ON, 0xABCDEF01, BOOT)
BEAT = Heartbeat(5000, BOOT, LoopState.NORMAL, UnitFlag.HOST_PRESENT, 2500, 0, 0, Beacon.OFF, 0, 0)


class Talk:
    """A session and what was said to it and by it; time moves by hand."""

    def __init__(self) -> None:
        self.session = ButtonSession("/dev/button")
        self.now_s = 100.0
        self.session.opened(self.now_s)

    def hear(self, message: Message, seq: int = 0) -> list[ButtonEvent]:
        self.session.receive(encode(message.frame(seq)), self.now_s)
        return self.session.take_events()

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
    assert up == LinkUp("1.0", "abcdef01", "power on", BOOT, talk.now_s)
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


def test_another_protocol_version_says_so(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for _ in range(6):
        told += talk.hear(replace(IDENTITY, protocol=2)) + talk.wait(0.5)
    (down,) = told
    assert isinstance(down, LinkDown)
    assert (down.kind, down.reason) == (
        DownReason.OTHER_VERSION,
        "the button on /dev/button speaks another protocol version: flash the firmware of this release",
    )


def test_a_unit_that_does_not_hear_us_is_down(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for _ in range(6):
        told += talk.hear(replace(BEAT, flags=UnitFlag(0))) + talk.wait(0.5)
    assert [event.kind for event in told if isinstance(event, LinkDown)] == [DownReason.NO_ANSWER]


def test_garbage_for_an_hour_is_counted_not_told(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for second in range(3600):
        talk.session.receive(b"\x13\x37\0" * 50, talk.now_s)
        told += talk.wait(1.0 if second % 7 else 3.0)
    assert len(told) < 400
    assert talk.session.statistics().bad_frames == 180_000


def test_a_count_without_its_frame_becomes_a_press_once(talk: Talk) -> None:
    owed = replace(BEAT, presses=3, kept_presses=2)
    assert not any(isinstance(event, Pressed) for event in talk.hear(owed))
    told = talk.hear(replace(owed, uptime_ms=5500))
    assert [event.press_id for event in told if isinstance(event, Pressed)] == [(BOOT, 2), (BOOT, 3)]
    assert talk.hear(replace(owed, uptime_ms=6000)) == []
    assert talk.hear(PressReport(BOOT, BOOT, 3, 1, 1500), seq=9) == []
    talk.session.ack((BOOT, 2))
    assert not any(isinstance(message, HostAck) for message in talk.say())
    talk.session.ack((BOOT, 3))
    assert HostAck(9, AckStatus.DONE, BOOT) in talk.say()


def test_a_repeated_frame_of_a_stored_press_is_acknowledged_again(talk: Talk) -> None:
    talk.hear(PressReport(BOOT, BOOT, 1, 0, 0), seq=4)
    talk.session.ack((BOOT, 1))
    assert HostAck(4, AckStatus.DONE, BOOT) in talk.say()
    assert talk.hear(PressReport(BOOT, BOOT, 1, 0, 60), seq=4) == []
    assert HostAck(4, AckStatus.DONE, BOOT) in talk.say()


def test_the_count_may_wrap(talk: Talk) -> None:
    told = talk.hear(PressReport(BOOT, BOOT, 1, 3, 0), seq=1)
    assert [event.count for event in told if isinstance(event, Pressed)] == [65534, 65535, 0, 1]


def test_the_beacon_is_repeated_until_taken_and_then_renewed(talk: Talk) -> None:
    talk.say()
    talk.session.set_beacon(Beacon.ALERT, talk.now_s)
    assert SetBeacon(Beacon.ALERT, 30) in talk.say()
    sent = 0
    for _ in range(20):
        talk.now_s += 0.05
        sent += SetBeacon(Beacon.ALERT, 30) in talk.say()
    assert 5 <= sent <= 10
    talk.hear(Ack(talk.session._beacon._seq, AckStatus.DONE, BOOT))
    assert talk.wait(0.05) == []
    sent = 0
    for _ in range(100):
        talk.now_s += 0.05
        sent += SetBeacon(Beacon.ALERT, 30) in talk.say()
    assert sent == pytest.approx(5, abs=1)


def test_an_echo_is_nobody(talk: Talk) -> None:
    told: list[ButtonEvent] = []
    for _ in range(6):
        told += talk.hear(Hello()) + talk.hear(HostHeartbeat()) + talk.wait(0.5)
    assert [event.kind for event in told if isinstance(event, LinkDown)] == [DownReason.WRONG_DEVICE]
    assert talk.session.statistics().echoes == 12


def test_the_press_book_stays_small() -> None:
    book = PressBook()
    for seq in range(10_000):
        book.report(PressReport(BOOT, BOOT, seq, 0, 0), seq % 256)
    assert len(book._told) <= TOLD_MAX
    assert len(book._frames) <= FRAMES_MAX
    for count in range(10_000):
        book.store((BOOT, count))
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
