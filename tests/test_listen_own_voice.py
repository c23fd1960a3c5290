"""Deaf while we speak: our own prompts never open a check, and a call right after one is heard."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.config import ListenSection
from kiosk.guidance import CASES
from kiosk.listen.own_voice import LONGEST_S, MOST_S, TAIL_S, OwnVoice
from kiosk.messages import Choice, Detection, Ear, Hearing, Hello, Speaking
from kiosk.texts import TEXTS
from tests.listening import CALL, Hub, listening, spoken
from tests.wired import Floats, wired

OURS = "Call the police."
"""Said by the unit in these tests, and surely a call if a stranger said it."""


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_a_prompt_and_its_echo_are_ours_and_nothing_else_is() -> None:
    own = OwnVoice()
    assert own.speaks(10.0, 12.0, 10.0)
    assert not own.covers(9.9, 10.0)
    assert own.covers(9.95, 10.03)
    assert own.covers(12.2, 12.28)
    assert not own.covers(12.0 + TAIL_S, 12.4)


def test_a_prompt_can_be_given_its_true_end() -> None:
    own = OwnVoice()
    own.speaks(10.0, 18.0, 10.0)
    own.speaks(10.0, 12.0, 12.0)
    assert not own.covers(12.5, 13.0)


@pytest.mark.parametrize("times", [(10.0, 9.0, 10.0), (100.0, 101.0, 10.0), (10.0, 11.0, 100.0)])
def test_times_that_make_no_sense_deafen_nobody(times: tuple[float, float, float]) -> None:
    own = OwnVoice()
    assert not own.speaks(*times)
    assert not own.covers(0.0, 200.0)


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(-2, 100)), max_size=200))
def test_no_player_can_deafen_it_for_good(prompts: list[tuple[float, float]]) -> None:
    """Whatever is told, in whatever order and number: between 60 s of prompts there is sound that counts."""
    own = OwnVoice()
    for start_s, length_s in sorted(prompts):
        own.speaks(start_s, start_s + length_s, start_s)
        assert not own.covers(start_s + LONGEST_S + 0.01, start_s + LONGEST_S + 0.09)
    row_s = 0.0
    for at in range(0, 6500, 8):
        row_s = row_s + 0.08 if own.covers(at / 100, at / 100 + 0.08) else 0.0
        assert row_s <= LONGEST_S + 0.17


def test_a_player_that_never_pauses_is_not_believed_any_longer() -> None:
    own = OwnVoice()
    for second in range(60):
        own.speaks(float(second), second + 1.5, float(second))
    assert own.covers(59.0, 59.1) is False
    own.speaks(70.0, 71.0, 70.0)
    assert own.covers(70.5, 70.6), "after a pause it is"


def test_after_a_prompt_without_an_end_the_next_one_is_ours_again() -> None:
    own = OwnVoice()
    own.speaks(10.0, 1e9, 10.0)
    assert not own.covers(10.0 + LONGEST_S, 10.1 + LONGEST_S)
    own.speaks(100.0, 102.0, 100.0)
    assert own.covers(101.0, 101.1)


HOP_S = 0.08


@pytest.mark.parametrize("length_s", [18.0, 3.0, 0.9])
def test_no_minute_of_prompts_leaves_the_ear_less_than_a_quarter_of_it(length_s: float) -> None:
    """Whoever makes the unit speak again and again, with as short a pause as it may: it listens all the same, and says so."""
    own, deaf, told_s = OwnVoice(), [], 0.0
    for hop in range(round(300 / HOP_S)):
        now_s = hop * HOP_S
        if now_s >= told_s:
            own.speaks(now_s, now_s + length_s, now_s)
            told_s = now_s + length_s + 1.1
        deaf.append(own.deafens(now_s, now_s + HOP_S))
    minute = round(60 / HOP_S)
    most = max(sum(deaf[at : at + minute]) for at in range(len(deaf) - minute)) * HOP_S
    assert most <= MOST_S + 2 * HOP_S
    most_of_it = length_s + TAIL_S > MOST_S / 60 * (length_s + 1.1)
    assert own.too_much(300.0) is most_of_it
    assert not own.too_much(361.0)


def test_a_unit_that_speaks_as_it_should_is_obeyed_and_no_fault() -> None:
    own = OwnVoice()
    for row in range(20):
        own.speaks(row * 30.0, row * 30.0 + 18, row * 30.0)
        for hop in range(round(18 / HOP_S)):
            assert own.deafens(row * 30.0 + hop * HOP_S, row * 30.0 + (hop + 1) * HOP_S)
    assert not own.too_much(600.0)


# --- the real ear -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    yield hub
    hub.close()


def prompts(folder: Path) -> Floats:
    """Some of what a unit may say, with a line in it that the ear surely knows as a call: about 10 s."""
    texts = (TEXTS["need_help"], TEXTS["check_raise"], OURS, CASES[Choice.SOMEONE_HURT].steps[0].body[0])
    pause = np.zeros(6_000, np.float32)
    return np.concatenate([part for text in texts for part in (spoken(str(text), folder), pause)])


@pytest.mark.parts
def test_our_own_prompts_are_no_call_and_the_call_right_after_them_is(tmp_path: Path, hub: Hub) -> None:
    said, call = prompts(tmp_path), spoken(CALL, tmp_path)
    length_s = len(said) / 16_000
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone, listening(tmp_path, config, microphone.env):
        hub.until(Hello)
        hub.until(Ear, state=Hearing.LISTENING)
        start_s = time.monotonic()
        hub.tell(Speaking(start_s=start_s, end_s=start_s + length_s + 2))
        microphone.say(said)
        hub.until(Ear, own_voice=True)
        while not microphone.silent:
            assert not isinstance(hub.next(), Detection)
        end_s = time.monotonic()
        hub.tell(Speaking(start_s=start_s, end_s=end_s))
        microphone.say(np.concatenate([np.zeros(12_800, np.float32), call]))
        heard = hub.until(Detection)
        assert (heard.phrase, heard.audio_end_s > end_s) == ("ambulance", True)
        hub.until(Ear, own_voice=False)
        microphone.say(said)
        assert hub.until(Detection).phrase == "police", "without our word it is a stranger's voice, and a call"


@pytest.mark.parts
def test_an_ear_that_was_told_too_much_of_our_voice_hears_again_and_says_so(tmp_path: Path, hub: Hub) -> None:
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone, listening(tmp_path, config, microphone.env) as process:
        hub.until(Ear, state=Hearing.LISTENING)
        now_s = time.monotonic()
        process._own_voice._allowance.use(now_s - MOST_S, now_s)
        hub.tell(Speaking(start_s=now_s, end_s=now_s + 18))
        microphone.say(spoken(CALL, tmp_path))
        assert hub.until(Detection).phrase == "ambulance"
        ear = next(ear for ear in hub.ears() if ear.faults)
        assert [fault.code for fault in ear.faults] == ["own_voice"]
        assert ear.state is Hearing.LISTENING
        assert not ear.own_voice


@pytest.mark.parts
def test_a_call_just_before_we_speak_is_not_lost(tmp_path: Path, hub: Hub) -> None:
    call = spoken(CALL, tmp_path)
    config = ListenSection(device="wired", second_look="off")
    with wired(tmp_path / "wired") as microphone, listening(tmp_path, config, microphone.env):
        hub.until(Ear, state=Hearing.LISTENING)
        microphone.say(np.concatenate([call, spoken(str(TEXTS["need_help"]), tmp_path)]))
        begins_s = time.monotonic() + len(call) / 16_000 + 0.16
        hub.tell(Speaking(start_s=begins_s, end_s=begins_s + 3))
        assert hub.until(Detection).phrase == "ambulance"
