"""The unit speaks: real opusdec and aplay into the virtual speaker, and what its microphone then has."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from kiosk.config import ListenSection
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.guidance import BEATS_PER_MIN
from kiosk.listen.features import SAMPLE_RATE_HZ
from kiosk.listen.hear import read_sound
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model
from kiosk.listen.own_voice import OwnVoice
from kiosk.messages import Detection, Ear, Hearing, Language, PlayProof, ProofSound, Speaking
from kiosk.sound_cards import devices
from kiosk.ui.beat import BEAT_SAMPLES, click, with_beat
from kiosk.ui.speaker import RATE_HZ
from kiosk.ui.voice import DAILY, PROMPTS, Row, Told, Voice, gain_db
from tests.listening import Hub, listening
from tests.wired import Floats

DEADLINE_S = 30.0
STEP_S = 0.02
ALIKE = 0.6
"""How much of what was heard is explained by the recording, at least, where it was played: the room's noise is the rest."""
CALLS = ("chest_pain.1.spoken", "lost_child.3.spoken")
"""Prompts that the ear takes for a call if nobody tells it who speaks."""


# --- the beat ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=60), st.integers(0, 10**8))
def test_the_beat_is_the_same_however_it_is_cut(sizes: list[int], begins: int) -> None:
    one = click(0.5)
    whole = with_beat(bytes(2 * sum(sizes)), begins, one)
    parts, at = [], begins
    for size in sizes:
        parts.append(with_beat(bytes(2 * size), at, one))
        at += size
    assert b"".join(parts) == whole


def test_ten_minutes_have_as_many_beats_as_they_should_and_the_last_is_in_its_place() -> None:
    minutes = 10
    sound = np.frombuffer(with_beat(bytes(2 * RATE_HZ * 60 * minutes), 0, (1000,)), "<i2")
    assert list(np.flatnonzero(sound)) == [round(k * BEAT_SAMPLES) for k in range(BEATS_PER_MIN * minutes)]


def test_a_click_and_a_voice_together_are_never_more_than_full_scale() -> None:
    loud = np.full(10_000, 32_000, "<i2").tobytes()
    mixed = np.frombuffer(with_beat(loud, 0, click(1.0)), "<i2")
    assert (mixed.min(), mixed.max()) >= (0, 32_000)
    assert mixed.max() == 32_767


@pytest.mark.parametrize(("percent", "db"), [(100, 0.0), (50, -12.04), (10, -40.0)])
def test_volume(percent: int, db: float) -> None:
    assert gain_db(percent) == pytest.approx(db, abs=0.01)


def test_the_ear_takes_no_beat_for_a_call(tmp_path: Path) -> None:
    """It is not told of the beat, and need not be: otherwise CPR would make it deaf for minutes."""
    path = tmp_path / "beat.wav"
    soundfile.write(path, np.frombuffer(with_beat(bytes(2 * RATE_HZ * 20), 0, click(1.0)), "<i2"), RATE_HZ)
    loop = Loop(load_model(packaged_model()))
    sound = np.concatenate(list(read_sound(path)))
    assert [loop.step(chunk) for chunk in sound[: len(sound) // 1280 * 1280].reshape(-1, 1280)] == [None] * 250


# --- what the ear believes --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.5, 17.0), st.floats(0.0, 2.0)), min_size=1, max_size=40))
def test_the_ear_is_deaf_for_the_whole_of_each_prompt_whatever_is_said(prompts: list[tuple[float, float]]) -> None:
    row, own, now_s = Row(), OwnVoice(), 100.0
    for length_s, pause_s in prompts:
        now_s += pause_s + row.wait_s(now_s + pause_s, length_s)
        row.begins(now_s)
        assert own.speaks(now_s, now_s + length_s + 1.5, now_s)
        end_s = now_s + length_s
        row.ends(end_s)
        own.speaks(now_s, end_s, end_s)
        for at_s in np.arange(now_s, end_s + 0.2, 0.08):
            assert own.deafens(at_s, at_s + 0.08)
        assert not own.too_much(end_s)
        now_s = end_s


# --- the real parts ---------------------------------------------------------------------------------------------------


class Ears:
    """What the virtual microphone hears, and when: CLOCK_MONOTONIC seconds of each sample, as near as can be known."""

    def __init__(self, microphone: VirtualMicrophone) -> None:
        self._parts: list[bytes] = []
        self._count, self._first_s = 0, float("inf")
        command = ["arecord", "-q", "-D", microphone.device, "-f", "S16_LE", "-r", "16000", "-c", "1", "-t", "raw"]
        env = {**os.environ, **microphone.env}
        self._child = subprocess.Popen(
            [*command, "--buffer-time=100000"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        while data := self._child.stdout.read(640):
            self._parts.append(data)
            self._count += len(data) // 2
            self._first_s = min(self._first_s, time.monotonic() - self._count / SAMPLE_RATE_HZ)

    @property
    def heard_s(self) -> float:
        """Until when it has heard."""
        return self._first_s + self._count / SAMPLE_RATE_HZ if self._count else 0.0

    def sound(self) -> tuple[Floats, float]:
        """All of it so far, and the time of its first sample."""
        return np.frombuffer(b"".join(self._parts), "<i2").astype(np.float32) / 32768, self._first_s

    def close(self) -> None:
        self._child.terminate()
        self._thread.join()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()


class Desk:
    """A voice whose loop turns while the test waits, what it told, and when."""

    def __init__(self, device: str, env: dict[str, str], prompts: Path = PROMPTS) -> None:
        self.told: list[tuple[float, Told]] = []
        self.voice = Voice(device, self._send, prompts, env)

    def _send(self, speaking: Told) -> bool:
        self.told.append((time.monotonic(), speaking))
        return True

    def until(self, done: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not done():
            assert time.monotonic() < deadline_s
            self.voice.step(time.monotonic())
            pause.wait(STEP_S)

    def say(self, *keys: str, volume: int = 100) -> None:
        self.voice.say(keys, Language.ENGLISH, volume, time.monotonic())

    def ended(self, count: int) -> bool:
        """Whether so many prompts were told to begin and to end."""
        return len(self.told) >= 2 * count


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(tmp_path_factory.mktemp("air")) as one:
        yield one


@pytest.fixture
def ears(microphone: VirtualMicrophone) -> Iterator[Ears]:
    one = Ears(microphone)
    yield one
    one.close()


@contextmanager
def desk(microphone: VirtualMicrophone, env: dict[str, str] | None = None, prompts: Path = PROMPTS) -> Iterator[Desk]:
    one = Desk(microphone.speaker, {**microphone.env, **(env or {})}, prompts)
    yield one
    one.voice.stop()
    assert not one.voice._player._thread.is_alive()


def recording(key: str) -> Floats:
    sound, rate_hz = soundfile.read(PROMPTS / "en" / f"{key}.opus", dtype="float32")
    return np.asarray(soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ), np.float32)


def found(heard: Floats, wanted: Floats) -> tuple[float, float, float]:
    """Where a sound is in what was heard: second, how alike (0 to 1), and how loud against the original (a factor)."""
    size = 1 << (len(heard) + len(wanted)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size)), size)
    at = int(np.argmax(likeness[: len(heard)]))
    part = heard[at : at + len(wanted)]
    product = float(part @ wanted[: len(part)])
    energy, own = float(part @ part), float(wanted @ wanted)
    return at / SAMPLE_RATE_HZ, product / np.sqrt(energy * own), product / own


@pytest.mark.parts
def test_what_is_said_sounds_in_order_and_the_hub_knows_of_it_before_and_until_its_end(
    microphone: VirtualMicrophone, ears: Ears
) -> None:
    keys = ("say_need_help", "say_thanks")
    with desk(microphone) as one:
        one.until(lambda: ears.heard_s)
        one.say(*keys)
        one.until(lambda: one.ended(2))
        one.until(lambda: ears.heard_s > one.told[-1][1].end_s + 0.3)
        assert one.voice.fault() is None
    sound, first_s = ears.sound()
    begins, ends = one.told[0::2], one.told[1::2]
    for key, (told_s, speaking), (_, over) in zip(keys, begins, ends, strict=True):
        at_s, alike, gain = found(sound, recording(key))
        speech_s = len(recording(key)) / SAMPLE_RATE_HZ
        assert alike > ALIKE, key
        assert gain == pytest.approx(1.0, abs=0.15), key
        assert told_s < first_s + at_s + 0.1, "the hub knew before the first sound: 0.1 s of it are quiet"
        assert (over.start_s, over.end_s < speaking.end_s) == (speaking.start_s, True), "it was told a generous end"
        assert over.start_s < first_s + at_s + 0.1 < first_s + at_s + speech_s - 0.15 < over.end_s + 0.3, key
    assert found(sound, recording(keys[0]))[0] < found(sound, recording(keys[1]))[0]


@pytest.mark.parts
def test_nothing_sounds_before_the_hub_was_told(microphone: VirtualMicrophone, ears: Ears) -> None:
    with desk(microphone) as one:
        one.until(lambda: ears.heard_s)
        one.say("say_drill")
        player, deadline_s = one.voice._player, time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not player._to_tell:  # it is decoded and would begin, but `step` has told nobody
            pause.wait(STEP_S)
            assert time.monotonic() < deadline_s
        waits_s = time.monotonic()
        while ears.heard_s < waits_s + 0.8:
            pause.wait(STEP_S)
            assert time.monotonic() < deadline_s
        assert one.told == []
        assert np.abs(ears.sound()[0]).max() < 0.02
        one.until(lambda: one.ended(1))


@pytest.mark.parts
def test_the_newest_wins_and_the_older_is_not_heard_to_its_end(microphone: VirtualMicrophone, ears: Ears) -> None:
    with desk(microphone) as one:
        one.until(lambda: ears.heard_s)
        one.say("say_gone", "say_what")
        one.until(lambda: one.told and ears.heard_s > one.told[0][1].start_s + 1.0)
        one.say("say_drill")
        one.until(lambda: one.ended(2))
        one.until(lambda: ears.heard_s > one.told[-1][1].end_s + 0.3)
    (_, older), (_, cut), (_, newer), (_, over) = one.told
    assert older.start_s == cut.start_s < cut.end_s <= newer.start_s < over.end_s
    sound, _ = ears.sound()
    gone = recording("say_gone")
    assert found(sound, recording("say_drill"))[1] > ALIKE
    assert found(sound, gone[: SAMPLE_RATE_HZ // 2])[1] > ALIKE
    assert found(sound, gone[-2 * SAMPLE_RATE_HZ :])[1] < ALIKE / 2
    assert found(sound, recording("say_what"))[1] < ALIKE / 2


@pytest.mark.parts
def test_half_the_volume_is_12_db_and_none_is_silence_that_deafens_nobody(
    microphone: VirtualMicrophone, ears: Ears
) -> None:
    with desk(microphone) as one:
        one.until(lambda: ears.heard_s)
        one.say("say_drill", volume=0)
        one.voice.beat(on=True, volume_percent=0, now_s=time.monotonic())
        one.say("say_thanks", volume=50)
        one.until(lambda: one.ended(1))
        one.until(lambda: ears.heard_s > one.told[-1][1].end_s + 0.3)
        assert len(one.told) == 2
        assert one.voice.beat_began_s is None
    sound, _ = ears.sound()
    assert found(sound, recording("say_thanks"))[2] == pytest.approx(0.25, abs=0.05)
    assert found(sound, recording("say_drill"))[1] < ALIKE / 2


@pytest.mark.parts
def test_the_beat_goes_on_while_something_is_said_and_nobody_is_made_deaf_by_it(
    microphone: VirtualMicrophone, ears: Ears
) -> None:
    with desk(microphone) as one:
        one.until(lambda: ears.heard_s)
        one.voice.beat(on=True, volume_percent=100, now_s=time.monotonic())
        one.until(lambda: one.voice.beat_began_s and ears.heard_s > one.voice.beat_began_s + 2)
        assert one.told == []
        one.say("say_coming")
        one.until(lambda: one.ended(1))
        one.voice.beat(on=True, volume_percent=100, now_s=time.monotonic())
        began_s = one.voice.beat_began_s
        one.until(lambda: ears.heard_s > (began_s or 0.0) + 6)
        one.voice.beat(on=False, volume_percent=100, now_s=time.monotonic())
        one.until(lambda: one.voice.beat_began_s is None)
    sound, first_s = ears.sound()
    assert found(sound, recording("say_coming"))[1] > ALIKE
    assert began_s is not None
    one_click = soxr.resample(np.array(click(1.0), np.float32) / 32768, RATE_HZ, SAMPLE_RATE_HZ)
    at_s, alike, _ = found(sound[: int(SAMPLE_RATE_HZ * (began_s - first_s + 0.3))], one_click)
    assert alike > ALIKE
    for beat in range(1, 10):
        begins = round((at_s + beat * 60 / BEATS_PER_MIN - 0.02) * SAMPLE_RATE_HZ)
        place_s, _, gain = found(sound[begins : begins + 1_600], one_click)
        spoken = found(sound, recording("say_coming"))[0] < begins / SAMPLE_RATE_HZ < one.told[1][1].end_s - first_s
        assert spoken or place_s == pytest.approx(0.02, abs=0.01), beat
        assert spoken or gain == pytest.approx(1.0, abs=0.2), beat


ORDER = PlayProof(proof="proof-0123456789abcdef", attempt=1, gain_db=-15.0)


@pytest.mark.parts
def test_the_sound_of_the_daily_proof_is_told_to_the_hub_alone_and_to_no_ear(
    microphone: VirtualMicrophone, ears: Ears
) -> None:
    with desk(microphone) as one:
        one.until(lambda: ears.heard_s)
        one.voice.prove(ORDER, 80, time.monotonic())
        one.until(lambda: one.ended(1))
        one.until(lambda: ears.heard_s > one.told[-1][1].end_s + 0.3)
        begins, ended = (said for _, said in one.told)
        assert isinstance(begins, ProofSound)
        assert isinstance(ended, ProofSound)
        assert (begins.what, ended.what, ended.start_s) == ("begins", "ended", begins.start_s)
        assert begins.end_s > ended.end_s
        sound, first_s = ears.sound()
        opus, rate_hz = soundfile.read(PROMPTS / DAILY, dtype="float32")
        at_s, alike, loud = found(sound, np.asarray(soxr.resample(opus, rate_hz, SAMPLE_RATE_HZ), np.float32))
        assert begins.start_s - 0.1 < first_s + at_s < begins.start_s + 1.0
        assert alike > ALIKE / 2, "softer, and the room's noise is as it was"
        assert 20 * np.log10(loud) == pytest.approx(gain_db(80) - 15, abs=3)
        one.told.clear()
        one.voice.prove(ORDER, 80, time.monotonic())
        one.until(lambda: one.told)
        one.voice.end_proof(time.monotonic())
        one.until(lambda: one.ended(1))
        cut = one.told[-1][1]
        assert isinstance(cut, ProofSound)
        assert cut.what == "cut"
        one.voice.end_proof(time.monotonic())
        one.say("say_here")
        one.until(lambda: one.ended(2))
        assert isinstance(one.told[-1][1], Speaking)


@pytest.mark.parts
def test_a_speaker_that_is_not_there_is_told_as_what_the_proof_found() -> None:
    one = Desk("nowhere", {})
    one.voice.prove(ORDER, 80, time.monotonic())
    one.until(lambda: any(isinstance(said, ProofSound) and said.what == "broken" for _, said in one.told))
    one.voice.stop()
    broken = one.told[-1][1]
    assert isinstance(broken, ProofSound)
    assert "nowhere" in broken.says
    assert broken.do


@pytest.mark.parts
def test_what_fails_is_one_fault_and_over_when_it_works(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    config = tmp_path / "asound.conf"
    there = Path(microphone.env["ALSA_CONFIG_PATH"]).read_text(encoding="utf-8")
    config.write_text("</usr/share/alsa/alsa.conf>\n", encoding="utf-8")
    prompts = tmp_path / "prompts"
    (prompts / "en").mkdir(parents=True)
    shutil.copy(PROMPTS / "en" / "say_voice.opus", prompts / "en")
    with desk(microphone, {"ALSA_CONFIG_PATH": str(config)}, prompts) as one:
        one.until(one.voice.fault)
        assert one.told == []
        fault = one.voice.fault()
        assert fault is not None
        assert (fault.code, fault.where) == ("voice", f"speaker {microphone.speaker}")
        assert (fault.says, fault.do) == (
            "the speaker cannot be opened: No such file or directory",
            "plug it in: no speaker is there now",
        )
        config.write_text(there, encoding="utf-8")
        one.say("say_voice")
        one.until(lambda: one.voice.fault() is None)
        one.until(lambda: one.ended(1))
        one.say("say_drill", "say_voice")
        one.until(one.voice.fault)
        one.until(lambda: one.ended(2))
        fault = one.voice.fault()
        assert fault is not None, "the others are still said"
        assert (fault.says, fault.do) == (
            f"the recording {prompts / 'en' / 'say_drill.opus'} is missing",
            "install this version again",
        )
        shutil.copy(PROMPTS / "en" / "say_drill.opus", prompts / "en")
        one.say("say_drill")
        one.until(lambda: one.voice.fault() is None)


@pytest.mark.parts
@pytest.mark.parametrize(
    ("program", "says", "do"),
    [
        ("aplay", "aplay cannot start: No such file or directory", "install alsa-utils"),
        ("opusdec", "opusdec cannot start: No such file or directory", "install opus-tools"),
    ],
)
def test_a_program_that_is_not_installed(
    microphone: VirtualMicrophone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, says: str, do: str
) -> None:
    for other in {"aplay", "opusdec"} - {program}:
        (tmp_path / other).symlink_to(str(shutil.which(other)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with desk(microphone) as one:
        one.say("say_voice")
        one.until(one.voice.fault)
        fault = one.voice.fault()
        assert fault is not None
        assert (fault.says, fault.do) == (says, do)


def test_playback_devices_are_named_by_their_cards(tmp_path: Path) -> None:
    (tmp_path / "card1").mkdir()
    (tmp_path / "card1" / "id").write_text("Speaker\n", encoding="utf-8")
    (tmp_path / "pcm").write_text("01-00: USB : USB : playback 1\n02-00: Mic : Mic : capture 1\n", encoding="utf-8")
    assert devices("playback", tmp_path) == ("plughw:CARD=Speaker,DEV=0",)
    assert devices("playback", tmp_path / "none") == ()


@pytest.mark.parts
def test_the_children_die_with_their_parent(microphone: VirtualMicrophone) -> None:
    code = (
        "import sys, time\n"
        "from kiosk.ui.voice import Voice\n"
        "voice = Voice(sys.argv[1], lambda speaking: True)\n"
        "voice.beat(True, 50, time.monotonic())\n"
        "while voice.beat_began_s is None: time.sleep(0.05)\n"
        "print('beats', flush=True)\n"
        "time.sleep(60)\n"
    )
    env = {**os.environ, **microphone.env}
    command = [sys.executable, "-c", code, microphone.speaker]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"beats\n"
        children = [int(one) for one in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        children += [
            int(one)
            for task in Path(f"/proc/{parent.pid}/task").iterdir()
            for one in (task / "children").read_text().split()
        ]
        assert children
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline_s = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{child}").exists() and _lives(child) for child in children):
        assert time.monotonic() < deadline_s


def _lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parts
def test_the_unit_never_takes_its_own_voice_for_a_call(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    """What the ear would take for a call is said aloud into the very microphone it listens to, beside the beat."""
    hub, seen = Hub(tmp_path), []
    config = ListenSection(device=microphone.device, second_look="off")
    with listening(tmp_path, config, microphone.env), desk(microphone) as one:
        try:
            hub.until(Ear, state=Hearing.LISTENING)
            forwarded = 0
            one.voice.beat(on=True, volume_percent=60, now_s=time.monotonic())
            one.say(*CALLS)
            while not one.ended(len(CALLS)) or time.monotonic() < one.told[-1][1].end_s + 2.0:
                one.voice.step(time.monotonic())
                for _, speaking in one.told[forwarded:]:
                    assert isinstance(speaking, Speaking)
                    hub.tell(speaking)
                forwarded = len(one.told)
                while not hub.said.empty():
                    seen.append(hub.next())
                threading.Event().wait(STEP_S)
            assert not [message for message in seen if isinstance(message, Detection)]
            assert any(isinstance(message, Ear) and message.own_voice for message in seen)
            microphone.play(_as_wav(CALLS[1], tmp_path))
            assert hub.until(Detection).phrase == "police", "said by a stranger it is a call"
        finally:
            hub.close()


def _as_wav(key: str, folder: Path) -> Path:
    path = folder / "stranger.wav"
    soundfile.write(path, recording(key), SAMPLE_RATE_HZ)
    return path
