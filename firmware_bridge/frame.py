"""Frames in and out of bytes, without any device: `00 | COBS(type, seq, payload, CRC-16/GENIBUS) | 00`.

The CRC goes out inverted: without that, zeros at the end of a frame could come and go unseen, and one flipped bit there could
make a press of the open button of a covert one.
"""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from cobs import cobs

PAYLOAD_MAX = 24
_HEAD_BYTES = 2
_CRC_BYTES = 2
ENCODED_MAX = 1 + _HEAD_BYTES + PAYLOAD_MAX + _CRC_BYTES
_CRC_START = 0xFFFF
_CRC_INVERTED = 0xFFFF
_CRC_GOOD = 0x1D0F
"""What is left when an intact frame has gone through with its CRC."""


class BadFrame(ValueError):
    """Bytes between two delimiters that are no frame, or a frame that is no message; one line says why."""


class OldFrame(BadFrame):
    """A frame with the plain CRC-16/IBM-3740 of the first firmware: its unit can do all but be understood."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: type and sequence number (0 to 255 each), payload of at most 24 bytes."""

    kind: int
    seq: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """Bytes for the wire, with both delimiters. Raises BadFrame when the payload is too long."""
    if len(frame.payload) > PAYLOAD_MAX:
        raise BadFrame(f"a payload of {len(frame.payload)} bytes is over the {PAYLOAD_MAX} that a frame holds")
    body = bytes((frame.kind, frame.seq)) + frame.payload
    crc = binascii.crc_hqx(body, _CRC_START) ^ _CRC_INVERTED
    return b"\0" + bytes(cobs.encode(body + crc.to_bytes(_CRC_BYTES, "big"))) + b"\0"


def decode(encoded: bytes) -> Frame:
    """One frame from what stood between two delimiters. Raises BadFrame."""
    if len(encoded) > ENCODED_MAX:
        raise BadFrame(f"{len(encoded)} bytes without a delimiter are over the {ENCODED_MAX} of the longest frame")
    try:
        body = bytes(cobs.decode(encoded))
    except cobs.DecodeError as error:
        raise BadFrame(f"not COBS: {error}") from error
    if len(body) < _HEAD_BYTES + _CRC_BYTES:
        raise BadFrame(f"{len(body)} bytes are too short for type, seq and CRC")
    left = binascii.crc_hqx(body, _CRC_START)
    if left == 0:
        raise OldFrame("the CRC is not inverted: an older firmware: run stayby button flash")
    if left != _CRC_GOOD:
        raise BadFrame("the CRC does not fit: a byte was damaged on the wire")
    return Frame(body[0], body[1], body[_HEAD_BYTES:-_CRC_BYTES])


class FrameReader:
    """Cuts a stream of bytes into frames; keeps at most one frame's bytes, whatever arrives."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._overlong = False

    def feed(self, data: bytes) -> Iterator[Frame | BadFrame]:
        """Yield, for each delimiter that ends something, the frame or the reason why it is none."""
        for byte in data:
            if byte:
                self._keep(byte)
            elif self._pending:
                yield self._take()

    def _keep(self, byte: int) -> None:
        if len(self._pending) < ENCODED_MAX:
            self._pending.append(byte)
        else:
            self._overlong = True

    def _take(self) -> Frame | BadFrame:
        encoded, overlong = bytes(self._pending), self._overlong
        self._pending.clear()
        self._overlong = False
        if overlong:
            return BadFrame(
                f"more than {ENCODED_MAX} bytes without a delimiter: not a Stayby button, or a wrong baud rate"
            )
        try:
            return decode(encoded)
        except BadFrame as bad:
            return bad
