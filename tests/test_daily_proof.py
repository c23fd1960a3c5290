"""The daily proof: each hop is tried, a miss is a fault, and no call is ever late by it, taken for it, or made by it."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.events import Pressed, PressId
from firmware_bridge.protocol import Input
from kiosk import mqtt
from kiosk.alertd import AT_DESK_S, STARTED_S, Hub, LeafGone, LeafSaid, is_loud, read_clock
from kiosk.config import UnitConfig, load_unit
from kiosk.daily_proof import (
    BEGIN_S,
    BOARD_AGAIN_S,
    BOARD_S,
    BROKER_S,
    BUTTON_S,
    FIRST_HEARD_S,
    GAINS_DB,
    HEARD_S,
    OVERDUE_S,
    PHRASE,
    SETTLE_S,
    Answered,
    ButtonTried,
    Confirmed,
    DailyProof,
    Event,
    Facts,
    HeardUs,
    Kept,
    Level,
    Play,
    Played,
    Silent,
    Sounded,
    Sounds,
    TimePassed,
    TryButton,
    Unsent,
    Write,
    is_neighbours,
    kept_after,
    known,
    miss,
    overdue,
)
from kiosk.daily_proof_run import LINGER_S, NEEDED
from kiosk.demo.stage import STORE, UNIT, Stage, wait_for
from kiosk.listen.chirp import CHIRP_S, chirp, chirp_at, chirp_began_s
from kiosk.listen.features import SAMPLE_RATE_HZ, Samples, chunks, quiet
from kiosk.listen.hear import file_loop
from kiosk.listen.model import load_model, packaged_model
from kiosk.listen.ring import Ring
from kiosk.messages import (
    AskProof,
    AskWalk,
    Detection,
    Ear,
    Fault,
    Hearing,
    Hello,
    Hop,
    HopFound,
    PlayProof,
    ProofSays,
    ProofSeen,
    ProofSound,
    Role,
    State,
    StatusAnswer,
    Touch,
    TouchAction,
    Trigger,
    UnitState,
    proof_seen_topic,
)
from kiosk.prove_cli import NOT_NOW
from kiosk.store import Clock, Store
from kiosk.ui.voice import DAILY, PROMPTS

ME, SOMEBODY, SCREEN, EAR = 7, 8, 9, 10
ID = "proof-0123456789abcdef"
NOW_UNIX_S = datetime(2026, 11, 22, 5, 30, tzinfo=UTC).timestamp()
HOUR_S = 3600.0

# --- one proof --------------------------------------------------------------------------------------------------------


def results(proof: DailyProof) -> dict[Hop, str]:
    return {one.hop: one.result for one in proof.found}


def at_hop(hop: Hop) -> DailyProof:
    """Return a proof that tries this hop, begun at 0."""
    proof = DailyProof(ID, {})
    proof.begin(0.0)
    passes: tuple[Event, ...] = (ButtonTried(True, "ok"), HeardUs(9.0), Confirmed())
    for event in itertools.takewhile(lambda _: proof.hop is not hop, passes):
        proof.handle(event, 0.0)
    assert proof.hop is hop
    return proof


def test_a_proof_that_passes_tries_each_hop_in_its_order_and_tells_each() -> None:
    proof = DailyProof(ID, {})
    assert proof.begin(0.0) == [TryButton()]
    told, *more = proof.handle(ButtonTried(True, "restarted"), 1.0)
    assert (told, more) == (HopFound(hop=Hop.BUTTON, result="ok", says="restarted"), [Play(1, GAINS_DB[0])])
    assert proof.handle(Sounds(1, 5.0), 2.0) == []
    told, *more = proof.handle(HeardUs(9.8), 5.0)
    assert isinstance(told, HopFound)
    assert (told.hop, told.result, told.score, more) == (Hop.SOUND, "ok", 9.8, [Write()])
    assert [type(one) for one in proof.handle(Confirmed(), 5.1)] == [HopFound]
    assert [type(one) for one in proof.handle(Answered(ID), 5.2)] == [HopFound]
    assert proof.over
    assert results(proof) == dict.fromkeys(Hop, "ok")
    assert proof.missed == []
    assert proof.handle(TimePassed(), 1e9) == []


WELL: dict[Hop, Event] = {
    Hop.BUTTON: ButtonTried(True, "ok"),
    Hop.SOUND: HeardUs(9.0),
    Hop.BROKER: Confirmed(),
    Hop.BOARD: Answered(ID),
}
BADLY: dict[Hop, Event] = {
    Hop.BUTTON: ButtonTried(False, "replace the board"),
    Hop.SOUND: Silent(1, "no speaker", "plug it in"),
    Hop.BROKER: Unsent("no connection", "look"),
}
EVENTS: list[Event] = [
    *(
        ButtonTried(True, "ok"),
        ButtonTried(False, "bad"),
        HeardUs(9.0),
        Confirmed(),
        Unsent("away", "look"),
        TimePassed(),
    ),
    *(Sounds(1, 4.0), Sounds(2, 4.0), Sounded(1, 4.0), Sounded(2, 4.0), Level(-30.0, -60.0)),
    *(Silent(1, "x", "y"), Silent(2, "x", "y"), Silent(1, "x", "", off=True)),
    *(Answered(ID), Answered("proof-ffffffffffffffff")),
]


@pytest.mark.parametrize("hop", list(Hop))
@pytest.mark.parametrize("event", EVENTS)
def test_each_hop_takes_what_is_its_own_and_nothing_else(hop: Hop, event: Event) -> None:
    proof = at_hop(hop)
    effects = proof.handle(event, 0.5)
    mine = event == WELL[hop] or (hop in BADLY and type(event) is type(BADLY[hop]) and event != Silent(2, "x", "y"))
    both = hop is Hop.BROKER and event == Answered(ID)
    assert (proof.hop is not hop) is (mine or both)
    assert [one for one in effects if isinstance(one, HopFound)] == proof.found[len(at_hop(hop).found) :]


@pytest.mark.parametrize(
    ("hop", "waits_s"), [(Hop.BUTTON, BUTTON_S), (Hop.BROKER, BROKER_S), (Hop.BOARD, BOARD_S), (Hop.SOUND, BEGIN_S)]
)
def test_each_hop_that_stays_silent_is_a_miss_at_its_time_with_something_to_do(hop: Hop, waits_s: float) -> None:
    proof = at_hop(hop)
    proof.handle(TimePassed(), waits_s - 0.1)
    assert proof.hop is hop
    proof.handle(TimePassed(), waits_s)
    assert results(proof)[hop] == "missed"
    assert all(one.do for one in proof.missed)


def test_a_phrase_that_is_not_heard_is_said_once_more_and_louder_and_then_missed() -> None:
    proof = at_hop(Hop.SOUND)
    proof.handle(Sounds(1, 4.0), 1.0)
    proof.handle(Level(-41.0, -60.0), 2.0)
    proof.handle(Sounded(1, 3.0), 3.0)
    again_s = 3.0 + HEARD_S + SETTLE_S
    assert proof.handle(TimePassed(), again_s - 0.1) == []
    assert proof.handle(TimePassed(), again_s) == [Play(2, GAINS_DB[1])]
    proof.handle(Sounds(2, again_s + 3), again_s)
    told, *_ = proof.handle(TimePassed(), again_s + 3 + HEARD_S + SETTLE_S)
    assert isinstance(told, HopFound)
    assert told.result == "missed"
    assert "the microphone rose by 19 dB" in told.says
    assert GAINS_DB[0] < GAINS_DB[1] <= 0.0, "never louder than the screen speaks to customers"


def test_without_a_broker_the_board_is_not_tried_and_an_answer_is_worth_a_confirmation() -> None:
    proof = at_hop(Hop.BROKER)
    proof.handle(Unsent("no connection", "look"), 1.0)
    assert (results(proof)[Hop.BROKER], results(proof)[Hop.BOARD], proof.over) == ("missed", "left_out", True)
    proof = at_hop(Hop.BROKER)
    proof.handle(Answered(ID), 1.0)
    assert (results(proof)[Hop.BROKER], results(proof)[Hop.BOARD], proof.over) == ("ok", "ok", True)


def test_the_board_is_asked_again_until_its_time_is_up() -> None:
    proof = at_hop(Hop.BOARD)
    assert proof.handle(TimePassed(), BOARD_AGAIN_S - 0.1) == []
    assert proof.handle(TimePassed(), BOARD_AGAIN_S) == [Write()]
    assert proof.handle(TimePassed(), BOARD_AGAIN_S + 1) == []
    assert proof.handle(TimePassed(), 2 * BOARD_AGAIN_S) == [Write()]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0.0, 5.0)), max_size=60))
def test_whatever_comes_each_hop_is_told_once_and_time_ends_it(script: list[tuple[Event, float]]) -> None:
    proof, now_s = DailyProof(ID, {}), 0.0
    told = proof.begin(now_s)
    for event, pause_s in script:
        now_s += pause_s
        told += proof.handle(event, now_s)
    for _ in range(200):
        now_s += 1.0
        told += proof.handle(TimePassed(), now_s)
    assert proof.over
    assert [one for one in told if isinstance(one, HopFound)] == proof.found
    assert [one.hop for one in proof.found] == list(Hop)
    assert all(bool(one.do) == (one.result == "missed") for one in proof.found)
    assert len([one for one in told if isinstance(one, Play)]) <= len(GAINS_DB)


# --- what is our own --------------------------------------------------------------------------------------------------


@given(st.sampled_from([PHRASE, "help", "help_me"]), st.floats(0, 60), st.integers(0, 2))
def test_only_the_phrase_in_its_time_is_ours_and_as_often_as_it_was_played(
    phrase: str, audio_end_s: float, before: int
) -> None:
    played = Played(20.0, 23.0)
    for _ in range(before):
        played = played.taken()
    ours = played.takes(phrase, audio_end_s)
    assert ours is (phrase == PHRASE and before == 0 and 20.0 <= audio_end_s <= 23.0 + HEARD_S)


# --- what need not be tried -------------------------------------------------------------------------------------------

BROKEN = Fault(code="x", where="there", says="is broken", do="mend it")
ALL = Facts(True, True, True, Hearing.LISTENING, True)


@pytest.mark.parametrize(
    ("facts", "hop", "result"),
    [
        (ALL._replace(has_button=False), Hop.BUTTON, "left_out"),
        (ALL._replace(button_fault=BROKEN), Hop.BUTTON, "missed"),
        (ALL._replace(has_ear=False), Hop.SOUND, "left_out"),
        (ALL._replace(has_speaker=False), Hop.SOUND, "left_out"),
        (ALL._replace(hearing=Hearing.OFF), Hop.SOUND, "left_out"),
        (ALL._replace(hearing=Hearing.DEAF, ear_fault=BROKEN), Hop.SOUND, "missed"),
        (ALL._replace(hearing=Hearing.DEAF), Hop.SOUND, "missed"),
        (ALL._replace(knows_phrase=False), Hop.SOUND, "left_out"),
        (ALL._replace(screen_fault=BROKEN), Hop.SOUND, "missed"),
    ],
)
def test_what_is_not_there_is_left_out_and_what_should_work_and_does_not_is_missed(
    facts: Facts, hop: Hop, result: str
) -> None:
    assert known(ALL) == {}
    assert {one.hop: one.result for one in known(facts).values()} == {hop: result}
    proof = DailyProof(ID, known(facts))
    proof.begin(0.0)
    for event in WELL.values():
        proof.handle(event, 1.0)
    assert proof.over
    assert results(proof) == dict.fromkeys(Hop, "ok") | {hop: result}


def test_a_unit_without_anything_still_proves_the_way_to_its_board() -> None:
    proof = DailyProof(ID, known(Facts(False, False, False, Hearing.OFF, False)))
    assert [type(one) for one in proof.begin(0.0)] == [HopFound, HopFound, Write]


# --- what is kept -----------------------------------------------------------------------------------------------------


def found(**results: str) -> list[HopFound]:
    usual = {hop.value: "ok" for hop in Hop}
    return [
        HopFound.model_validate({"hop": hop, "result": result, "says": f"{hop} says", "do": f"{hop} do"})
        for hop, result in (usual | results).items()
    ]


def test_the_first_miss_is_the_fault_and_all_of_them_stand_in_it() -> None:
    assert miss(found()) is None
    assert miss(found(sound="left_out")) is None
    fault = miss(found(sound="missed", board="missed"))
    assert fault is not None
    assert (fault.code, fault.where) == ("proof-missed", "sound, board")
    assert "sound says" in fault.says
    assert fault.do.startswith("sound do; then")


def test_a_pass_counts_from_its_time_and_a_miss_leaves_the_last_pass() -> None:
    kept = kept_after(Kept(1.0), found(), 100.0)
    assert kept == Kept(1.0, 100.0, 100.0, None)
    kept = kept_after(kept, found(sound="left_out"), 200.0)
    assert kept == Kept(1.0, 200.0, 100.0, None)
    kept = kept_after(kept, found(board="missed"), 300.0)
    assert (kept.passed_unix_s, kept.sound_unix_s, kept.missed) == (200.0, 300.0, miss(found(board="missed")))


@pytest.mark.parametrize(
    ("kept", "where"),
    [
        (Kept(NOW_UNIX_S - 10), None),
        (Kept(NOW_UNIX_S - OVERDUE_S - 60), "daily proof"),
        (Kept(0.0, NOW_UNIX_S - 10, NOW_UNIX_S - 10), None),
        (Kept(0.0, NOW_UNIX_S - OVERDUE_S - 60, NOW_UNIX_S), "daily proof"),
        (Kept(0.0, NOW_UNIX_S - 10, NOW_UNIX_S - OVERDUE_S - 60), "sound"),
        (Kept(0.0, NOW_UNIX_S - 10, None), "sound"),
        (Kept(0.0, NOW_UNIX_S + 20 * 365 * 86400, None), "daily proof"),
        (Kept(NOW_UNIX_S - 10, NOW_UNIX_S + 20 * 365 * 86400, None), None),
    ],
)
def test_what_was_not_proven_for_49_hours_is_told_and_a_time_to_come_is_none(kept: Kept, where: str | None) -> None:
    fault = overdue(kept, NOW_UNIX_S, has_sound=True)
    assert (fault.where if fault else None) == where
    if where == "sound":
        assert overdue(kept, NOW_UNIX_S, has_sound=False) is None


# --- the sound, at the real model -------------------------------------------------------------------------------------


def played(
    level_dbfs: float, noise_dbfs: float, seed: int, *, phrase: bool = True
) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return the recording, or its chirp alone, in a room with noise."""
    sound, rate_hz = soundfile.read(PROMPTS / DAILY, dtype="float32")
    heard = soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ)
    heard = heard if phrase else heard[: int(0.5 * SAMPLE_RATE_HZ)]
    room = np.concatenate(
        [np.zeros(2 * SAMPLE_RATE_HZ), heard * 10 ** ((level_dbfs + 20) / 20), np.zeros(3 * SAMPLE_RATE_HZ)]
    )
    noise = np.random.default_rng(seed).standard_normal(len(room)) * 10 ** (noise_dbfs / 20)
    return np.asarray(np.clip(room + noise, -1, 1) * 32767, np.int16)


@pytest.mark.parametrize("second_look", [True, False])
@pytest.mark.parametrize(("level_dbfs", "noise_dbfs"), [(-24.0, -60.0), (-39.0, -60.0), (-60.0, -75.0), (-45.0, -51.0)])
def test_the_real_model_knows_the_phrase_softly_once_and_in_its_time(
    level_dbfs: float, noise_dbfs: float, second_look: bool
) -> None:
    ring = Ring.create()
    loop = file_loop(load_model(packaged_model()), ring, second_look=second_look)
    heard, chirps = [], []
    for number, chunk in enumerate(chunks(played(level_dbfs, noise_dbfs, 1))):
        end_s = (number + 1) * 0.08 - 2.0
        decision = loop.step(chunk, ring.write(chunk, end_s) + 1)
        if decision is not None:
            heard.append((decision.phrase, end_s))
            chirps.append(chirp_began_s(ring))
    ring.close()
    assert chirps == [pytest.approx(0.0, abs=0.02)]
    assert is_neighbours(chirps[0], heard[0][1], [], [])
    assert [phrase for phrase, _ in heard] == [PHRASE]
    length_s = soundfile.info(PROMPTS / DAILY).duration
    assert FIRST_HEARD_S < heard[0][1] < length_s + HEARD_S


def test_a_person_who_says_the_same_has_no_chirp() -> None:
    sound, rate_hz = soundfile.read(PROMPTS / DAILY, dtype="float32")
    spoken = soxr.resample(sound[int(0.45 * rate_hz) :], rate_hz, SAMPLE_RATE_HZ)
    assert chirp_at(np.asarray(spoken * 32767, np.int16)) is None
    ring = Ring.create()
    assert chirp_began_s(ring) is None, "an ear that has just begun"
    ring.close()


def glides(from_hz: float, to_hz: float, lasts_s: float, *at_s: float) -> Samples:
    """Return three seconds of a quiet room in which something glides up."""
    sound = np.random.default_rng(2).normal(0, 40, 3 * SAMPLE_RATE_HZ)
    t = np.arange(round(lasts_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    one = 4000 * np.sin(2 * np.pi * (from_hz * t + (to_hz - from_hz) * t**2 / (2 * lasts_s)))
    for start_s in at_s:
        at = round(start_s * SAMPLE_RATE_HZ)
        sound[at : at + len(one)] += one[: len(sound) - at]
    return np.asarray(sound, np.int16)


EVERY_QUARTER = tuple(0.05 + 0.25 * time for time in range(11))


@pytest.mark.parametrize("at_s", [(0.55,), EVERY_QUARTER])
@pytest.mark.parametrize(
    ("from_hz", "to_hz", "lasts_s"),
    [
        (500, 2000, 0.17),
        (800, 2500, 0.2),
        (600, 1500, 0.1),
        (1000, 3000, 0.25),
        (400, 2500, 0.25),
        (300, 3000, 0.2),
        (500, 5000, 0.5),
        (300, 5000, 0.5),
        (3000, 300, 0.3),
        (1000, 1000, 0.08),
        (2000, 2000, 0.2),
        (3100, 3100, 0.1),
    ],
)
def test_no_whoop_siren_gate_or_beep_is_a_units_chirp(
    from_hz: float, to_hz: float, lasts_s: float, at_s: tuple[float, ...]
) -> None:
    assert chirp_at(glides(from_hz, to_hz, lasts_s, *at_s)) is None


def test_half_a_chirp_is_none_and_one_that_comes_again_is_an_alarm() -> None:
    room = glides(0, 0, 0)
    whole = np.asarray(4000 * chirp(SAMPLE_RATE_HZ), np.int16)
    half, at = len(whole) // 2, SAMPLE_RATE_HZ // 2
    room[at : at + len(whole)] += whole
    assert chirp_at(room) == pytest.approx(at, abs=CHIRP_S * 100)
    for hidden in (slice(at, at + half), slice(at + half, at + 2 * half)):
        one = room.copy()
        one[hidden] = 0
        assert chirp_at(one) is None
    room[2 * at : 2 * at + len(whole)] += whole
    assert chirp_at(room) is None
    assert chirp_at(np.zeros(3 * SAMPLE_RATE_HZ, np.int16)) is None
    assert chirp_at(whole) is None, "an ear that has just begun"


def test_the_chirp_alone_is_no_call() -> None:
    loop = file_loop(load_model(packaged_model()), Ring.create(), second_look=False)
    for chunk in chunks(np.concatenate([played(-24.0, -60.0, 1, phrase=False), quiet(SAMPLE_RATE_HZ)])):
        assert loop.step(chunk) is None


# --- a hub whose leaves are the test ----------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.write_config()
        yield made


class Bench(Hub):
    """A hub that keeps what it would say to whoever asked for a proof and to the screen; `broker` confirms nothing by itself."""

    def __init__(self, config: UnitConfig) -> None:
        self.told: list[ProofSays] = []
        self.orders: list[PlayProof] = []
        self.broker: int | None = None
        super().__init__(config)

    def tell_prover(self, number: int, told: ProofSays) -> None:
        assert number == ME
        self.told.append(told)

    def play_proof(self, order: PlayProof) -> bool:
        self.orders.append(order)
        return True

    def write_proof(self, proof: str) -> int | None:
        assert proof == self._prover.proof
        return self.broker


class Desk:
    """A hub without button, and what it says to a screen and to whoever asked for a proof."""

    def __init__(self, stage: Stage) -> None:
        text = stage.config_file.read_text().replace("[button]", "[ignored]")
        start, end = text.index("[ignored]"), text.index("[listen]")
        self.hub = Bench(load_unit(text[:start] + text[end:]))
        self.told, self.orders = self.hub.told, self.hub.orders
        self.says(Hello(role=Role.LISTEN), EAR)
        self.says(Hello(role=Role.UI), SCREEN)
        self.says(Ear(state=Hearing.LISTENING, level_dbfs=-60.0, noise_dbfs=-62.0), EAR)

    def says(self, message: object, number: int = SOMEBODY) -> None:
        self.hub._leaf_said(LeafSaid(number, message))  # type: ignore[arg-type]  # whatever a leaf may say

    def asks(self) -> ProofSays:
        self.says(AskProof(), ME)
        return self.told[-1]

    def plays(self, attempt: int = 1, ago_s: float = 3.0) -> float:
        """Have the screen say that it began so long ago; return when."""
        start_s = time.monotonic() - ago_s
        self.says(
            ProofSound(
                proof=self.hub._prover.proof, attempt=attempt, what="begins", start_s=start_s, end_s=start_s + 4
            ),
            SCREEN,
        )
        return start_s

    def hears(self, phrase: str, at_s: float, **more: object) -> None:
        self.says(Detection.model_validate({"phrase": phrase, "score": 9.0, "audio_end_s": at_s, **more}), EAR)

    def open(self) -> State | None:
        incident = self.hub._machine.incident
        return incident.state if incident else None

    def codes(self) -> set[str]:
        return {fault.code for fault in self.hub._faults.open}


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    made = Desk(stage)
    yield made
    made.hub._close()


@pytest.fixture
def proving(desk: Desk) -> Desk:
    assert desk.asks().what == "hop", "it has no button, and says so"
    assert len(desk.orders) == 1
    desk.plays()
    return desk


def test_our_own_phrase_is_taken_once_and_the_second_one_is_somebody(proving: Desk) -> None:
    now_s = time.monotonic()
    proving.hears(PHRASE, now_s)
    assert (proving.open(), [one.hop.result for one in proving.told if one.hop]) == (
        None,
        ["left_out", "ok", "missed", "left_out"],
    )
    proving.hears(PHRASE, now_s)
    assert proving.open() is None, "the ear says the same again until it is told"
    kept = proving.hub._store.played(read_clock().boot)
    assert kept is not None
    assert kept.left == 0, "a hub that dies now excuses nobody after it"
    proving.hears(PHRASE, now_s + 0.5)
    assert proving.open() is State.CHECKING


def test_a_neighbours_phrase_is_known_by_its_chirp_and_only_the_phrase(desk: Desk) -> None:
    now_s = time.monotonic()
    desk.hears(PHRASE, now_s, chirp_s=now_s - 2.3)
    assert desk.open() is None
    desk.hears("help_me", now_s, chirp_s=now_s - 2.3)
    assert desk.open() is State.CHECKING


def test_a_neighbours_chirp_excuses_one_and_the_next_one_is_a_call(desk: Desk) -> None:
    now_s = time.monotonic()
    desk.hears(PHRASE, now_s, chirp_s=now_s - 2.0)
    desk.hears(PHRASE, now_s + 8.0, chirp_s=now_s + 6.0)
    assert desk.open() is None, "it says it again, louder"
    desk.hears(PHRASE, now_s + 8.5, chirp_s=now_s + 6.01)
    assert desk.open() is State.CHECKING


@pytest.mark.parametrize("lead_s", [0.4, 1.5, 2.9])
def test_a_chirp_at_another_time_excuses_nothing(desk: Desk, lead_s: float) -> None:
    now_s = time.monotonic()
    desk.hears(PHRASE, now_s, chirp_s=now_s - lead_s)
    assert desk.open() is State.CHECKING


@pytest.mark.parametrize("second_s", [2.3, 3.0, 4.1])
def test_two_that_feel_faint_in_our_playing_are_a_call_whichever_came_first(desk: Desk, second_s: float) -> None:
    desk.asks()
    start_s = desk.plays(ago_s=5.0)
    desk.hears(PHRASE, start_s + 1.7, chirp_s=start_s)
    assert desk.open() is None
    desk.hears(PHRASE, start_s + second_s, chirp_s=start_s + second_s - 2.3)
    assert desk.open() is State.CHECKING


@pytest.mark.parametrize(("sounded_s", "state"), [(0.7, State.CHECKING), (1.66, None)])
def test_what_was_cut_before_the_word_never_said_it(desk: Desk, sounded_s: float, state: State | None) -> None:
    desk.asks()
    start_s, proof = desk.plays(), desk.hub._prover.proof
    cut = {"proof": proof, "attempt": 1, "what": "cut", "start_s": start_s, "end_s": start_s + sounded_s}
    desk.says(ProofSound.model_validate(cut), SCREEN)
    desk.hears(PHRASE, start_s + 2.3)
    assert desk.open() is state


@pytest.mark.parametrize("phrase", ["help_me", "somebody_help"])
def test_any_other_phrase_in_the_middle_is_real_at_once(proving: Desk, phrase: str) -> None:
    proving.hears(phrase, time.monotonic())
    assert proving.open() is State.CHECKING
    assert proving.told[-1].what == "broken_off"
    assert proving.hub._prover.proof == ""


@pytest.mark.parametrize("at_s", [-3.0, FIRST_HEARD_S - 0.1, 4.0 + HEARD_S + 0.1])
def test_the_same_phrase_before_or_after_its_time_is_real(desk: Desk, at_s: float) -> None:
    desk.asks()
    start_s = desk.plays()
    desk.hears(PHRASE, start_s + at_s)
    assert desk.open() is State.CHECKING
    assert desk.told[-1].what == "broken_off"


def test_a_covert_call_in_the_middle_is_real_and_silent(proving: Desk) -> None:
    proving.hears("angela", time.monotonic(), covert=True)
    incident = proving.hub._machine.incident
    assert incident is not None
    assert incident.silent
    assert proving.told[-1].what == "broken_off"


@pytest.mark.parametrize("covert", [False, True])
def test_a_press_in_the_middle_is_an_incident_at_once(proving: Desk, covert: bool) -> None:
    pressed = Pressed(PressId(1, Input.COVERT if covert else Input.OPEN, 1), at_s=0.0, age_s=0.0)
    proving.hub._pressed(pressed)
    assert proving.open() is State.RAISED
    assert proving.told[-1].what == "broken_off"
    proving.hears(PHRASE, time.monotonic())
    incident = proving.hub._machine.incident
    assert incident is not None
    assert incident.phrase is None, "our own voice tells staff nothing, also when the proof was broken off"


def calls_covertly(desk: Desk, how: str) -> None:
    if how == "press":
        desk.hub._pressed(Pressed(PressId(1, Input.COVERT, 1), at_s=0.0, age_s=0.0))
    else:
        desk.hears("angela", time.monotonic(), covert=True)


@pytest.mark.parametrize("how", ["press", "phrase"])
def test_a_covert_call_in_the_middle_is_not_seen_at_the_desk_and_whoever_asked_is_told_nothing_of_it(
    proving: Desk, how: str
) -> None:
    proof = proving.hub._prover.proof
    calls_covertly(proving, how)
    incident = proving.hub._machine.incident
    assert incident is not None
    assert (incident.silent, proving.hub._prover.proof) == (True, "")
    assert proving.hub._make_show().proving == proof, "the line stands, and the screen ends no sound"
    assert (proving.told[-1].what, proving.told[-1].says) == ("broken_off", NEEDED)
    clock = read_clock()
    proving.hub._prover.tick(replace(clock, now_s=clock.now_s + LINGER_S - 1), clock_is_right=True)
    assert proving.hub._make_show().proving == proof
    proving.hub._prover.tick(replace(clock, now_s=clock.now_s + LINGER_S + 1), clock_is_right=True)
    assert proving.hub._make_show().proving == ""


def test_a_sound_that_begins_after_a_covert_call_is_let_end_and_a_finger_ends_it(desk: Desk) -> None:
    desk.asks()
    proof = desk.hub._prover.proof
    calls_covertly(desk, "press")
    begins = {
        "proof": proof,
        "attempt": 1,
        "what": "begins",
        "start_s": time.monotonic(),
        "end_s": time.monotonic() + 9,
    }
    desk.says(ProofSound.model_validate(begins), SCREEN)
    clock = read_clock()
    desk.hub._prover.tick(replace(clock, now_s=clock.now_s + 8), clock_is_right=True)
    assert desk.hub._make_show().proving == proof
    desk.says(ProofSound.model_validate(begins | {"what": "touched"}), SCREEN)
    assert desk.hub._make_show().proving == ""


def test_an_open_call_ends_what_is_seen_at_once_and_is_told_in_the_same_word(proving: Desk) -> None:
    proving.hears("help_me", time.monotonic())
    assert proving.hub._make_show().proving == ""
    assert proving.told[-1].says == NEEDED


@pytest.mark.parametrize("action", [TouchAction.HELP, TouchAction.PERSON, TouchAction.PAUSE])
def test_a_touch_in_the_middle_ends_the_proof(proving: Desk, action: TouchAction) -> None:
    proving.says(Touch(action=action), SCREEN)
    assert proving.told[-1].what == "broken_off"
    assert (proving.open() is None) is (action is TouchAction.PAUSE)
    assert proving.asks().what == "not_now"


def test_a_finger_on_the_panel_ends_it_and_says_nothing_of_the_unit(proving: Desk) -> None:
    before = proving.codes()
    proving.says(ProofSound(proof=proving.hub._prover.proof, attempt=1, what="touched"), SCREEN)
    assert proving.told[-1].what == "broken_off"
    assert proving.codes() == before


def test_it_does_not_begin_while_somebody_needs_the_desk(desk: Desk) -> None:
    def refused() -> str:
        said = desk.asks()
        assert said.what == "not_now"
        return said.says

    desk.says(AskWalk(action="begin", by="Kim"), SOMEBODY)
    assert "a walk test of Kim goes on" in refused()
    desk.hub._leaf_gone(LeafGone(SOMEBODY))
    desk.says(Ear(state=Hearing.LISTENING, level_dbfs=-40.0, noise_dbfs=-62.0), EAR)
    assert "it is loud at the desk" in refused()
    desk.says(Ear(state=Hearing.LISTENING, level_dbfs=-60.0, noise_dbfs=-62.0), EAR)
    desk.says(Touch(action=TouchAction.PAUSE), SCREEN)
    assert "paused the microphone" in refused()
    desk.says(Touch(action=TouchAction.RESUME), SCREEN)
    assert "a moment ago" in refused()
    desk.hub._at_desk_s -= AT_DESK_S
    desk.says(Touch(action=TouchAction.HELP), SCREEN)
    assert "a call is open here" in refused()


def test_just_after_its_start_it_waits_for_its_parts_and_later_they_are_missed(desk: Desk) -> None:
    desk.hub._leaf_gone(LeafGone(EAR))
    said = desk.asks()
    assert (said.what, "has just started" in said.says) == ("not_now", True)
    desk.hub._started_s -= STARTED_S
    assert desk.asks().what == "missed", "there is no broker either"
    assert [(one.hop.hop, one.hop.result) for one in desk.told if one.hop][1] == (Hop.SOUND, "missed")


def test_while_it_goes_on_no_second_one_and_no_walk_test_begins(proving: Desk) -> None:
    assert proving.asks().what == "not_now"
    proving.says(AskWalk(action="begin", by="Kim"), SOMEBODY)
    assert proving.hub._walk is None
    assert proving.hub._prover.proof


def test_whoever_asked_may_go_and_it_goes_on(proving: Desk) -> None:
    proving.hub._leaf_gone(LeafGone(ME))
    proving.hears(PHRASE, time.monotonic())
    assert proving.hub._prover.proof == ""
    assert "proof-missed" in proving.codes(), "there is no broker"


def test_a_miss_is_a_fault_that_stays_through_a_restart_and_ends_with_the_next_pass(
    stage: Stage, proving: Desk
) -> None:
    proving.hears(PHRASE, time.monotonic())
    fault = next(one for one in proving.hub._faults.open if one.code == "proof-missed")
    assert (fault.where, proving.hub._status(UnitState.READY).self_proven) == ("broker", None)
    proving.hub._close()
    again = Desk(stage)
    try:
        assert fault in again.hub._faults.open
        again.hub.broker = 5
        again.asks()
        again.plays()
        again.hears(PHRASE, time.monotonic())
        again.hub._acknowledged(mqtt.Acknowledged(5))
        topic = proof_seen_topic(STORE, UNIT)
        for proof, retained in (("proof-ffffffffffffffff", False), (again.hub._prover.proof, True)):
            answer = ProofSeen(store=STORE, unit=UNIT, proof=proof).model_dump_json().encode()
            again.hub._received(mqtt.Received(topic, answer, retained))
            assert again.hub._prover.hop is Hop.BOARD, "another id, or what a broker kept, is no answer"
        answer = ProofSeen(store=STORE, unit=UNIT, proof=again.hub._prover.proof).model_dump_json().encode()
        again.hub._received(mqtt.Received(topic, answer, retained=False))
        assert again.told[-1].what == "passed"
        assert "proof-missed" not in again.codes()
        passed = again.hub._status(UnitState.READY).self_proven
        assert passed is not None
        assert abs((datetime.now(UTC) - passed).total_seconds()) < 60
    finally:
        again.hub._close()
    third = Desk(stage)
    assert third.hub._status(UnitState.READY).self_proven == passed
    assert third.hub._make_show().tested_at == f"{passed.astimezone():%H:%M}"
    third.hub._close()


def test_a_broker_whose_rules_are_older_is_a_miss_that_says_what_to_do(proving: Desk) -> None:
    proving.hub.broker = 5
    proving.hears(PHRASE, time.monotonic())
    proving.hub._refused(mqtt.Refused("the broker refused a message (Not authorized); allow it in its ACL", 5))
    fault = next(one for one in proving.hub._faults.open if one.code == "proof-missed")
    assert (fault.where, "stayby store broker" in fault.do) == ("broker", True)
    assert "broker-refused" not in proving.codes(), "staff are told of calls all the same"


def test_a_speaker_that_fails_is_the_miss_and_one_that_shall_be_silent_is_none(desk: Desk) -> None:
    for what, result in (("broken", "missed"), ("off", "left_out")):
        desk.asks()
        said = {"what": what, "says": "the speaker is gone", "do": "plug it in"}
        desk.says(ProofSound.model_validate({"proof": desk.hub._prover.proof, "attempt": 1, **said}), SCREEN)
        hops = {one.hop.hop: one.hop for one in desk.told if one.hop}
        assert (hops[Hop.SOUND].result, hops[Hop.SOUND].says) == (result, "the speaker is gone")


def test_a_hub_that_dies_while_it_sounds_takes_our_own_phrase_for_no_call(stage: Stage, desk: Desk) -> None:
    desk.asks()
    desk.hub._close()  # the screen has its order, and this hub will not hear that it begins
    again = Desk(stage)
    try:
        again.hears(PHRASE, time.monotonic() + 3)
        assert again.open() is None
        assert again.hub._prover.proof == ""
        again.hears(PHRASE, time.monotonic() + 60)
        assert again.open() is State.CHECKING, "that is too late to be ours"
    finally:
        again.hub._close()


def test_what_was_played_in_another_boot_is_nobodys_excuse(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", pytest.fail)
    store.keep_played("one", Played(10.0, 20.0))
    assert store.played("one") == Played(10.0, 20.0)
    assert store.played("two") is None
    store.close()


def test_a_unit_that_never_proved_itself_says_so_after_49_hours_of_a_right_clock(desk: Desk) -> None:
    prover, clock = desk.hub._prover, read_clock()

    def at(unix_s: float, *, right: bool = True) -> set[str]:
        prover._look_s = 0.0
        prover.tick(Clock(clock.boot, clock.now_s, unix_s), clock_is_right=right)
        return desk.codes() & {"proof-missed"}

    assert at(0.0) == set(), "1970"
    assert at(4e9) == set(), "2096: the clock is ahead when it is set up"
    assert at(NOW_UNIX_S) == set(), "and is set back"
    assert at(NOW_UNIX_S + 48 * HOUR_S) == set()
    assert at(NOW_UNIX_S + 50 * HOUR_S, right=False) == set()
    assert at(NOW_UNIX_S + 50 * HOUR_S) == {"proof-missed"}


def test_a_damaged_row_is_one_line_and_a_unit_without_proofs(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path / "state.db", said.append)
    for row in (("x", None, None, None), (1.0, "never", None, None), (1.0, None, None, "{")):
        store._write(("INSERT OR REPLACE INTO self_proof VALUES (1, ?, ?, ?, ?)", row))
        assert store.proof() is None
    assert len(said) == 3
    assert all("run stayby prove" in line for line in said)
    store.keep_proof(Kept(1.0, 2.0, None, BROKEN))
    assert store.proof() == Kept(1.0, 2.0, None, BROKEN)
    store.close()


def test_loud_is_what_is_much_louder_than_the_still_room() -> None:
    assert is_loud(Ear(state=Hearing.LISTENING, level_dbfs=-40, noise_dbfs=-60))
    assert not is_loud(Ear(state=Hearing.LISTENING, level_dbfs=-55, noise_dbfs=-60))
    assert not is_loud(Ear(state=Hearing.LISTENING))


# --- a real unit that hears itself ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Broker, button, room, hub, screen and ear: everything but a board."""
    with Stage(tmp_path_factory.mktemp("whole"), hears_itself=True) as made:
        made.start_unit()
        wait_for("the button", lambda: (said := made.status()) and said.button and said.button.up)
        wait_for("a quiet room", lambda: (said := made.status()) and said.ear and said.ear.noise_dbfs is not None)
        yield made


def status_when(stage: Stage, what: str, wanted: Callable[[StatusAnswer], object]) -> StatusAnswer:
    """Return what the hub says once it is as wanted."""

    def look() -> StatusAnswer | None:
        said = stage.status()
        return said if said is not None and wanted(said) else None

    return wait_for(what, look)


def prove(stage: Stage, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kiosk", "prove", "--config", str(stage.config_file), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


def fault_codes(stage: Stage) -> set[str]:
    said = stage.status()
    return {fault.code for fault in said.status.faults} if said else {"hub"}


@pytest.mark.parts
@pytest.mark.timeout(180)
def test_a_real_unit_proves_itself_and_a_board_that_is_away_is_missed(whole: Stage) -> None:
    """Speaker, microphone, model, hub, broker and board are the real ones; only room and chip are simulated."""
    done = prove(whole)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "OK        button  the watchdog restarted it" in done.stdout
    assert "OK        sound   heard at score" in done.stdout
    assert "OK        broker" in done.stdout
    assert "MISSED    board   no answer of the store's board" in done.stdout
    said = status_when(whole, "the fault", lambda said: "proof-missed" in {one.code for one in said.status.faults})
    fault = next(one for one in said.status.faults if one.code == "proof-missed")
    assert (fault.where, said.status.self_proven, said.incident) == ("board", None, None)
    whole.start_board()
    wait_for("the board to record", lambda: "recording" in whole.parts["board"].said())
    done = prove(whole, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["result"]) == (0, "passed")
    assert {one["hop"]: one["result"] for one in report["hops"]} == dict.fromkeys(Hop, "ok")
    sound = next(one for one in report["hops"] if one["hop"] == "sound")
    assert sound["score"] > 3.0
    assert "first, soft try" in sound["says"]
    proven = status_when(whole, "the proof", lambda said: said.status.self_proven).status.self_proven
    assert proven is not None
    assert abs((datetime.now(UTC) - proven).total_seconds()) < 60
    assert "proof-missed" not in fault_codes(whole)
    log = whole.parts["alertd"].said()
    assert "fault button" not in log, "a self-test is no fault"
    assert status_when(whole, "the hub", lambda _: True).incident is None


def in_the_middle(stage: Stage) -> tuple[threading.Thread, list[subprocess.CompletedProcess[str]]]:
    """Begin a proof and return once its sound plays."""
    ended: list[subprocess.CompletedProcess[str]] = []
    before = stage.parts["alertd"].said().count("daily proof: button ok")
    thread = threading.Thread(target=lambda: ended.append(prove(stage)))
    thread.start()
    wait_for("the sound", lambda: stage.parts["alertd"].said().count("daily proof: button ok") > before)
    return thread, ended


@pytest.mark.parts
@pytest.mark.timeout(180)
def test_kill_9_of_the_hub_in_the_middle_leaves_no_call_and_the_next_proof_passes(whole: Stage) -> None:
    thread, ended = in_the_middle(whole)
    whole.parts["alertd"].kill()
    thread.join()
    assert (ended[0].returncode, "the hub went away" in ended[0].stderr or "bus" in ended[0].stderr) == (1, True)
    whole.parts["alertd"].start()
    ready = status_when(
        whole, "the hub and its leaves", lambda said: said.button and said.button.up and said.ear is not None
    )
    assert (ready.incident, ready.proving) == (None, False)
    status_when(whole, "the ear", lambda said: said.hearing is Hearing.LISTENING)

    def proven() -> subprocess.CompletedProcess[str] | None:
        """A screen that is not back yet makes it wait."""
        done = prove(whole)
        return None if done.returncode == NOT_NOW else done

    done = wait_for("a proof", proven)
    assert done.returncode == 0, done.stdout
    assert "daily proof: heard ourselves" in whole.parts["alertd"].said()
    said = whole.status()
    assert said is not None
    assert said.incident is None


@pytest.mark.parts
@pytest.mark.timeout(180)
def test_a_neighbour_that_proves_itself_is_heard_by_a_real_ear_and_is_no_call(whole: Stage) -> None:
    sound, rate_hz = soundfile.read(PROMPTS / DAILY, dtype="float32")
    soundfile.write(whole.folder / "neighbour.wav", sound * 10 ** (-15 / 20), rate_hz)
    before = whole.parts["alertd"].said()

    played_s = [0.0]

    def heard() -> bool:
        """An ear that has just heard its own unit takes nothing for 3 s; no unit says it twice in so short a time."""
        if time.monotonic() - played_s[0] > 6:
            played_s[0] = whole.microphone.play(whole.folder / "neighbour.wav")
        return "a unit near here proves itself" in whole.parts["alertd"].said()[len(before) :]

    wait_for("its phrase", heard)
    assert status_when(whole, "the hub", lambda _: True).incident is None


@pytest.mark.parts
@pytest.mark.timeout(180)
def test_a_real_press_in_the_middle_is_an_incident_at_once_and_the_sound_ends(whole: Stage) -> None:
    thread, ended = in_the_middle(whole)
    pressed_s = time.monotonic()
    whole.tap_button()
    said = status_when(whole, "the incident", lambda said: said.incident is not None)
    assert time.monotonic() - pressed_s < 5
    assert said.incident is not None
    assert (said.incident.trigger, said.incident.state, said.proving) == (Trigger.BUTTON, State.RAISED, False)
    thread.join()
    assert (ended[0].returncode, "Broken off: somebody needs the desk" in ended[0].stdout) == (75, True)
    assert prove(whole).returncode == 75
