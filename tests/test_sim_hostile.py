"""Twenty thousand random and mutated frames into each end; `make bench` sends a million."""

import itertools
import random

import pytest

from firmware_bridge.frame import BadFrame, decode
from firmware_bridge.simulator.hostile import hostile_frames, into_the_hub, into_the_unit

FRAMES = 20_000


@pytest.mark.parts
def test_the_unit_stands_it() -> None:
    outcome = into_the_unit(FRAMES, seed=5)
    assert outcome.findings == []
    assert outcome.frames >= FRAMES


def test_the_hub_stands_it() -> None:
    outcome = into_the_hub(FRAMES, seed=5)
    assert outcome.findings == []
    assert outcome.frames >= FRAMES


@pytest.mark.parametrize("to_host", [True, False])
def test_a_share_of_them_gets_past_the_crc(to_host: bool) -> None:
    def passes(encoded: bytes) -> bool:
        try:
            decode(encoded.strip(b"\0"))
        except BadFrame:
            return False
        return True

    always_the_same = random.Random(1)  # noqa: S311 - no secret
    frames = itertools.islice(hostile_frames(always_the_same, to_host=to_host), 7000)
    assert 0.1 < sum(map(passes, frames)) / 7000 < 0.5
