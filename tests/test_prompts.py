"""What is said aloud: each prompt is recorded in each language, says its text, and is as loud as the others."""

import numpy as np
import pytest
import soundfile

from kiosk.messages import Language
from kiosk.texts import prompts
from kiosk.ui.voice import DAILY
from models.prompts import (
    LEAD_S,
    PAUSE_S,
    PROMPTS,
    RATE_HZ,
    SPEECH_DBFS,
    TAIL_S,
    VOICES,
    finished,
    hash_of,
    read_manifest,
    recording_file,
    sentences,
    speech_dbfs,
    stale,
    with_pauses,
)

MAX_BYTES = 6_000_000
LONGEST_S = 18.0
"""The ear believes 20 s of a prompt."""
PEAK = 10 ** (-3 / 20)


@pytest.mark.parametrize("language", Language)
def test_each_recording_says_what_its_text_says_now(language: Language) -> None:
    wrong = stale(language, read_manifest())
    assert not wrong, f"run `python -m models.prompts --language {language}`: {sorted(wrong)}"


def test_there_is_nothing_else() -> None:
    there = {path.relative_to(PROMPTS).as_posix() for path in PROMPTS.rglob("*") if path.is_file()}
    wanted = {f"{language}/{key}.opus" for language in Language for key in prompts()} | {DAILY}
    assert there == wanted | {"prompts.json"}
    assert sum(path.stat().st_size for path in PROMPTS.rglob("*.opus")) < MAX_BYTES


@pytest.mark.parametrize("language", Language)
def test_each_is_as_loud_and_as_long_as_it_should_be(language: Language) -> None:
    for key, recording in read_manifest()[language].items():
        sound, rate_hz = soundfile.read(recording_file(language, key), dtype="float64")
        assert len(sound) / rate_hz == pytest.approx(recording.seconds, abs=0.02), key
        assert 0.8 < recording.seconds < LONGEST_S, key
        assert speech_dbfs(sound, rate_hz) == pytest.approx(SPEECH_DBFS, abs=1.5), (
            key
        )  # the highest peaks are turned down after it
        assert np.abs(sound).max() < PEAK, key
        for end in (sound[: int(0.08 * rate_hz)], sound[-int(0.08 * rate_hz) :]):
            assert np.abs(end).max() < 0.02, f"{key}: it starts or ends without a breath of quiet"


def test_a_text_that_changes_makes_its_recording_stale_and_no_other() -> None:
    manifest = read_manifest()
    english = manifest[Language.ENGLISH]
    changed = english | {"say_what": english["say_what"].__class__(hash_of("Where?"), english["say_what"].voice, 2.0)}
    assert list(stale(Language.ENGLISH, {Language.ENGLISH: changed})) == ["say_what"]
    del changed["say_what"]
    assert list(stale(Language.ENGLISH, {Language.ENGLISH: changed})) == ["say_what"]


def test_arabic_alone_is_not_spoken_by_kokoro() -> None:
    assert [language for language, voice in VOICES.items() if not voice.name] == [Language.ARABIC]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Are you still OK? Touch yes.", 2),
        ("Not breathing well? Touch “It is something else”.", 2),
        ("您好吗？请坐下。", 2),
        ("क्या आप ठीक हैं? हाँ छुएँ।", 2),
        ("Ça va ? Dites : « oui ».", 2),
        ("هل أنت بخير؟ نعم.", 2),
        ("Rest", 1),
    ],
)
def test_sentences_are_told_apart_in_each_script(text: str, count: int) -> None:
    said = sentences(text)
    assert len(said) == count
    assert "".join("".join(said).split()) == "".join(text.split()), "nothing is lost"


def test_what_is_too_loud_is_turned_down_and_what_is_too_soft_up() -> None:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    for level in (0.003, 0.9):
        tone = (level * np.sin(2 * np.pi * 200 * time_s)).astype(np.float32)
        tone[RATE_HZ : RATE_HZ + 200] *= 8
        sound = finished(tone)
        assert speech_dbfs(sound) == pytest.approx(SPEECH_DBFS, abs=1.0)
        assert np.abs(sound).max() < PEAK
        assert np.abs(sound[: int(0.9 * LEAD_S * RATE_HZ)]).max() == 0
        assert np.abs(sound[-int(0.9 * TAIL_S * RATE_HZ) :]).max() == 0


def test_the_longest_pauses_are_made_long_enough_and_nothing_of_the_speech_is_lost() -> None:
    word = np.sin(np.arange(RATE_HZ // 2) / 9).astype(np.float32)
    gaps = [np.zeros(round(seconds * RATE_HZ), np.float32) for seconds in (0.2, 0.08, 0.6)]
    sound = np.concatenate([word, gaps[0], word, gaps[1], word, gaps[2], word])
    longer = with_pauses(sound, 2)
    assert len(longer) - len(sound) == pytest.approx((PAUSE_S - 0.2) * RATE_HZ, abs=0.03 * RATE_HZ)
    np.testing.assert_array_equal(longer[longer != 0], sound[sound != 0])
    assert len(with_pauses(sound, 0)) == len(sound)
