"""Random and mutated frames at line rate into both ends of the link: neither falls, resets or invents a press."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from firmware_bridge.events import Pressed
from firmware_bridge.frame import ENCODED_MAX, PAYLOAD_MAX, BadFrame, Frame, decode, encode
from firmware_bridge.protocol import (
    BAUD,
    BY_KIND,
    FROM_HOST,
    SELF_TEST_KEY,
    Heartbeat,
    Input,
    PressReport,
    SelfTest,
    parse,
)
from firmware_bridge.session import ButtonSession
from firmware_bridge.simulator.desk import VirtualDesk

CHUNK_BYTES = 960
CHUNK_S = 1.01 * CHUNK_BYTES * 10 / BAUD
"""One part in a hundred is idle: the line's rate is a little less than 38400 baud at 16 MHz."""
CHUNKS_A_LOOK = 8
"""Two seconds: at least one heartbeat must be among what the unit said."""
KEY = SELF_TEST_KEY.to_bytes(2, "little")
TELLS_A_PRESS = {PressReport.KIND, Heartbeat.KIND}
"""With a right CRC these are a press, and no invention; damaged they are sent as well."""


@dataclass
class Outcome:
    """How many frames went in, and what was wrong afterwards."""

    frames: int = 0
    findings: list[str] = field(default_factory=list)


def hostile_frames(rng: random.Random, *, to_host: bool) -> Iterator[bytes]:
    """Yield what a broken, foreign or hostile end may send, frame by frame, without end."""
    kinds = [kind for number, kind in BY_KIND.items() if bool(number & FROM_HOST) is not to_host]
    while True:
        kind = rng.choice(kinds)
        intact = encode(Frame(kind.KIND, rng.randrange(256), rng.randbytes(kind.LAYOUT.size)))
        match rng.randrange(7):
            case 0:
                yield rng.randbytes(rng.randint(1, ENCODED_MAX + 4)) + b"\0"
            case 1:
                yield _damaged(intact, rng)
            case 2:
                yield _intact(rng, to_host=to_host)
            case 3:
                yield bytes(rng.randint(1, 255) for _ in range(rng.randint(ENCODED_MAX + 1, 80))) + b"\0"
            case 4:
                yield intact[: rng.randint(1, len(intact) - 2)] + rng.choice((b"\0", b""))
            case 5:
                yield bytes(rng.choice((0, 0, 0, 1, 2, 255)) for _ in range(rng.randint(1, 30))) + b"\0"
            case _:
                yield _echo(rng, to_host=to_host)


def _echo(rng: random.Random, *, to_host: bool) -> bytes:
    """What the other end has said itself comes back: two wires touch."""
    kind = rng.choice([kind for number, kind in BY_KIND.items() if bool(number & FROM_HOST) is to_host])
    return encode(Frame(kind.KIND, rng.randrange(256), rng.randbytes(kind.LAYOUT.size)))


def _damaged(intact: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(intact)
    for at in rng.sample(range(1, len(damaged)), rng.randint(1, 3)):
        damaged[at] ^= 1 << rng.randrange(8)
    return bytes(damaged) + b"\0"


def _intact(rng: random.Random, *, to_host: bool) -> bytes:
    """Any type with any content and a right CRC, but for what is meant to press or to hang."""
    while True:
        frame = Frame(rng.randrange(256), rng.randrange(256), rng.randbytes(rng.randint(0, PAYLOAD_MAX)))
        if frame.kind == SelfTest.KIND and frame.payload.startswith(KEY):
            continue
        if not (to_host and frame.kind in TELLS_A_PRESS):
            return encode(frame)


def into_the_unit(frames: int, seed: int) -> Outcome:
    """Send so many to the chip, back to back, in virtual time; then press its button."""
    rng, outcome = random.Random(seed), Outcome()  # noqa: S311 - the same frames in every run
    hostile = hostile_frames(rng, to_host=False)
    with VirtualDesk(seed) as desk:
        desk.now_s = desk.unit.step(1.0)
        (first, *_), _ = _beats(desk)
        pending = b""
        for chunk in itertools.count(1):
            while len(pending) < CHUNK_BYTES:
                pending += next(hostile)
                outcome.frames += 1
            desk.unit.send(pending[:CHUNK_BYTES])
            pending = pending[CHUNK_BYTES:]
            desk.now_s = desk.unit.step(CHUNK_S)
            if chunk % CHUNKS_A_LOOK == 0:
                _look(desk, first, outcome)
            if outcome.frames >= frames:
                break
        desk.now_s = desk.unit.step(1.0)
        _look(desk, first, outcome)
        _press_afterwards(desk, outcome)
    return outcome


def _beats(desk: VirtualDesk) -> tuple[list[Heartbeat], int]:
    """Return the heartbeats, and how many press frames there were, since the last look."""
    beats, presses = [], 0
    for sent in desk.unit.take_frames():
        try:
            message = parse(decode(sent.encoded))
        except BadFrame:
            continue
        if isinstance(message, Heartbeat):
            beats.append(message)
        presses += isinstance(message, PressReport)
    return beats, presses


def _look(desk: VirtualDesk, first: Heartbeat, outcome: Outcome) -> None:
    beats, presses = _beats(desk)
    if presses or any(beat.presses or beat.covert_presses for beat in beats):
        outcome.findings.append(f"after {outcome.frames} frames the unit tells of a press that nobody made")
    if any(beat.boot_id != first.boot_id for beat in beats):
        outcome.findings.append(f"after {outcome.frames} frames the unit has been reset")
    if not beats:
        outcome.findings.append(f"after {outcome.frames} frames the unit gives no heartbeat")


def _press_afterwards(desk: VirtualDesk, outcome: Outcome) -> None:
    desk.unit.send(b"\0")
    desk.connect()
    desk.unit.press()
    told = [event for event in desk.run(2.0) if isinstance(event, Pressed)]
    if len(told) != 1 or told[0].count != 1:
        outcome.findings.append(f"a real press afterwards: {told}")


def into_the_hub(frames: int, seed: int) -> Outcome:
    """Feed so many to the host's end, in chunks cut anywhere; then tell it of a press."""
    rng, outcome = random.Random(seed), Outcome()  # noqa: S311 - the same frames in every run
    hostile = hostile_frames(rng, to_host=True)
    session, now_s = ButtonSession("the attacked button"), 0.0
    session.opened(now_s)
    while outcome.frames < frames:
        data = b"".join(next(hostile) for _ in range(20))
        outcome.frames += 20
        cut = rng.randint(0, len(data))
        for part in (data[:cut], data[cut:]):
            session.receive(part, now_s)
            now_s += len(part) * 10 / BAUD
            session.tick(now_s)
            session.take_output()
            if any(isinstance(event, Pressed) for event in session.take_events()):
                outcome.findings.append(f"after {outcome.frames} frames the hub is told of a press that nobody made")
    session.receive(b"\0" + encode(PressReport(7, 7, 1, 0, 0, Input.COVERT).frame(1)), now_s)
    told = [event for event in session.take_events() if isinstance(event, Pressed)]
    if len(told) != 1:
        outcome.findings.append(f"a real press afterwards: {told}")
    return outcome
