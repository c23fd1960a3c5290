"""Frames and messages: every one survives the wire, nothing that arrives can do harm."""

from collections.abc import Callable
from dataclasses import astuple, fields
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.frame import ENCODED_MAX, PAYLOAD_MAX, BadFrame, Frame, FrameReader, decode, encode
from firmware_bridge.protocol import (
    BY_KIND,
    Ack,
    AckStatus,
    BadMessage,
    Beacon,
    Heartbeat,
    LoopState,
    Message,
    SetBeacon,
    UnitFlag,
    parse,
)

T = TypeVar("T")
BYTE = st.integers(0, 255)
FRAMES = st.builds(Frame, BYTE, BYTE, st.binary(max_size=PAYLOAD_MAX))
CUT, SHORT, HEARD = LoopState.CUT, LoopState.SHORT, UnitFlag.HOST_PRESENT
BEAT = Heartbeat(70_000, 0x0001_ABCD, CUT, HEARD, 4990, 3, 1, Beacon.ALERT, 7, 2, SHORT, 40, 65535, 255)


def outcome(call: Callable[[], T]) -> T | BadFrame:
    """What it returns or the one error that it may raise; any other fails the test."""
    try:
        return call()
    except BadFrame as error:
        return error


def body_of(wire: bytes) -> bytes:
    assert wire[0] == wire[-1] == 0
    return wire[1:-1]


@given(FRAMES)
def test_every_frame_comes_back(frame: Frame) -> None:
    wire = encode(frame)
    assert 0 not in body_of(wire)
    assert len(body_of(wire)) <= ENCODED_MAX
    assert decode(body_of(wire)) == frame


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_raise_our_error(data: bytes) -> None:
    frame = outcome(lambda: decode(data))
    if isinstance(frame, Frame):
        assert decode(body_of(encode(frame))) == frame
    else:
        assert "\n" not in str(frame)


@given(FRAMES)
def test_any_frame_parses_or_raises_our_error(frame: Frame) -> None:
    message = outcome(lambda: parse(frame))
    if isinstance(message, Message):
        assert parse(message.frame(frame.seq)) == message
    else:
        assert isinstance(message, BadMessage)
        assert "\n" not in str(message)


@given(st.data())
def test_every_message_kind_takes_any_payload_of_its_length(data: st.DataObject) -> None:
    """Whatever a newer firmware says in a field that we know, the rest of its message counts."""
    kind = data.draw(st.sampled_from(sorted(BY_KIND)))
    size = BY_KIND[kind].LAYOUT.size
    message = parse(Frame(kind, 9, data.draw(st.binary(min_size=size, max_size=size))))
    assert type(message) is BY_KIND[kind]
    assert parse(message.frame(9)) == message


@given(st.data())
def test_a_message_of_another_version_is_read_as_far_as_both_know_it(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(BY_KIND)))
    layout, least = BY_KIND[kind].LAYOUT, BY_KIND[kind].LEAST_BYTES
    payload = data.draw(st.binary(min_size=least, max_size=PAYLOAD_MAX))
    zeros = bytes(max(0, layout.size - len(payload)))
    assert parse(Frame(kind, 9, payload)) == parse(Frame(kind, 9, payload[: layout.size] + zeros))


@given(st.lists(FRAMES, max_size=5), st.lists(st.integers(1, 7), max_size=40))
def test_frames_arrive_however_the_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    wire = b"".join(encode(frame) for frame in frames)
    reader = FrameReader()
    arrived: list[Frame | BadFrame] = []
    for cut in cuts:
        arrived += reader.feed(wire[:cut])
        wire = wire[cut:]
    arrived += reader.feed(wire)
    assert arrived == frames


@given(st.binary(max_size=200), FRAMES)
def test_the_reader_finds_a_frame_after_any_garbage(garbage: bytes, frame: Frame) -> None:
    *before, last = FrameReader().feed(garbage + encode(frame))
    assert last == frame
    assert all(isinstance(item, Frame | BadFrame) for item in before)


@given(FRAMES, st.integers(0, 200), st.integers(1, 255))
def test_no_single_damaged_byte_gets_through(frame: Frame, at: int, flip: int) -> None:
    wire = bytearray(body_of(encode(frame)))
    wire[at % len(wire)] ^= flip
    assert frame not in list(FrameReader().feed(b"\0" + bytes(wire) + b"\0"))


def test_the_reader_keeps_little_whatever_comes() -> None:
    reader = FrameReader()
    assert list(reader.feed(b"\x55" * 100_000)) == []
    assert len(reader._pending) <= ENCODED_MAX
    (bad,) = reader.feed(b"\0")
    assert isinstance(bad, BadFrame)
    assert "not a Stayby button" in str(bad)


def test_too_long_a_payload_is_refused() -> None:
    with pytest.raises(BadFrame, match="25 bytes is over the 24"):
        encode(Frame(1, 1, bytes(25)))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (Frame(0x7F, 0), "no message has the type 0x7F"),
        (Frame(0x01, 0, b"\0"), "Heartbeat has at least 18 bytes of payload, not 1"),
    ],
)
def test_a_wrong_message_says_what_is_wrong(frame: Frame, says: str) -> None:
    with pytest.raises(BadMessage, match=says):
        parse(frame)


@pytest.mark.parametrize("message", [BEAT, Ack(3, AckStatus.BAD_PAYLOAD, 5), SetBeacon(Beacon.LIGHT, 30)])
def test_a_message_comes_back_with_its_types(message: Message) -> None:
    again = parse(message.frame(4))
    assert again == message
    assert [type(value) for value in astuple(again)] == [type(value) for value in astuple(message)]


def test_every_message_fits_a_frame() -> None:
    assert all(message.LAYOUT.size <= PAYLOAD_MAX for message in BY_KIND.values())


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_every_message_is_in_the_documentation(kind: int) -> None:
    page = (Path(__file__).parent.parent / "docs" / "button.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| 0x{kind:02X} | {BY_KIND[kind].__name__} |"))
    documented = [word.split() for word in row.split("|")[4].split(",")] if BY_KIND[kind].LAYOUT.size else []
    assert [name for name, _ in documented] == [field.name for field in fields(BY_KIND[kind])]
    assert sum(int(size.removeprefix("u")) // 8 for _, size in documented) == BY_KIND[kind].LAYOUT.size
