"""What one flipped bit can do to a frame: nothing but spoil it, whatever it holds and whatever stands behind it."""

import pytest

from firmware_bridge.frame import Frame, FrameReader, encode
from firmware_bridge.protocol import Input, PressReport


@pytest.mark.parametrize("which", list(Input))
def test_one_flipped_bit_never_makes_another_frame(which: Input) -> None:
    for seq in range(256):
        frame = PressReport(0x1BEEF, 0x1BEEF, 3, 0, 120, which).frame(seq)
        intact = encode(frame)
        for bit in range(8 * len(intact)):
            damaged = bytearray(intact)
            damaged[bit // 8] ^= 1 << bit % 8
            heard = [item for item in FrameReader().feed(bytes(damaged) + encode(frame)) if isinstance(item, Frame)]
            assert set(heard) <= {frame}, (seq, bit)
