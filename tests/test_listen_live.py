"""Live is as the file: the same detections at the same times; and what a bad microphone does to them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kiosk.config import ListenSection
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.listen.features import HOP_S, SAMPLE_RATE_HZ, Samples
from kiosk.listen.hear import _Rechunker, hear_file, read_sound
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model
from kiosk.listen.ring import Ring
from kiosk.messages import Detection, Ear, Hearing
from tests.listening import CALL, Hub, listening, spoken
from tests.wired import Floats, wired

# When a chunk was read is known to that of arecord's own wake-up.
CLOCK_S = 0.03
CONFIG = ListenSection(device="wired", second_look="off")
TEXTS = (
    "Good morning, where do I find the garden chairs?",
    CALL,
    "They are in aisle four, next to the paint.",
    "Call the police.",
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    yield hub
    hub.close()


def talk(folder: Path) -> Floats:
    """Calls and ordinary sentences with pauses, and a room's noise under it all: about 10 s, in whole chunks."""
    pause = np.zeros(int(0.7 * SAMPLE_RATE_HZ), np.float32)
    sound = np.concatenate([pause, *(part for text in TEXTS for part in (spoken(text, folder), pause))])
    noise = np.random.default_rng(8).standard_normal(len(sound)) * 0.004
    return np.asarray(np.clip(sound + noise, -1, 0.999), np.float32)


def decisions(loop: Loop, path: Path) -> list[tuple[str, float, float]]:
    """What `stayby hear` decides on a file, and when: phrase, score, seconds of sound at the decision."""
    report = hear_file(loop, path)
    loop.reset()
    heard = []
    for chunk in _Rechunker().chunks(read_sound(path)):
        decision = loop.step(chunk)
        if decision is not None:
            heard.append((decision.phrase, decision.score, loop.audio_s))
    assert [one.phrase for one in report.detections] == [phrase for phrase, _, _ in heard]
    return heard


def alike(live: list[Detection], file: list[tuple[str, float, float]], score: float) -> bool:
    """The same phrases, and from the first to each later one the same time within a hop: live has no other start."""
    if [one.phrase for one in live] != [phrase for phrase, _, _ in file]:
        return False
    return all(
        abs(told.audio_end_s - live[0].audio_end_s - (at_s - file[0][2])) <= HOP_S + CLOCK_S
        and abs(told.score - wanted) <= score
        for told, (_, wanted, at_s) in zip(live, file, strict=True)
    )


@pytest.mark.parts
def test_live_hears_what_the_file_gives_when_the_sound_is_the_very_same(tmp_path: Path, hub: Hub) -> None:
    sound, path = talk(tmp_path), tmp_path / "talk.wav"
    soundfile.write(path, sound, SAMPLE_RATE_HZ)
    file = decisions(Loop(load_model(packaged_model())), path)
    assert len(file) == 2
    with wired(tmp_path / "wired", room=0.0) as microphone, listening(tmp_path, CONFIG, microphone.env):
        hub.until(Ear, state=Hearing.LISTENING)
        microphone.say(sound)
        live = [hub.until(Detection) for _ in file]
    assert alike(live, file, 0.05), (live, file)


@contextmanager
def recorded(fd: int) -> Iterator[list[Samples]]:
    """Every chunk that is written to the ring of sound, for as long as the context."""
    chunks: list[Samples] = []
    stop = threading.Event()

    def record() -> None:
        ring = Ring.attach(fd)
        number = ring.position
        while not stop.wait(0.05):
            while (chunk := ring.chunk(number)) is not None:
                chunks.append(chunk)
                number += 1
        ring.close()

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield chunks
    finally:
        stop.set()
        thread.join()


@pytest.mark.parts
def test_live_hears_what_the_file_gives_through_a_sound_server(tmp_path: Path, hub: Hub) -> None:
    """A sound server adds its room and cuts chunks anywhere: the file is what the ring held, chunk by chunk."""
    path = tmp_path / "talk.wav"
    soundfile.write(path, talk(tmp_path), SAMPLE_RATE_HZ)
    with (
        VirtualMicrophone(tmp_path / "microphone") as microphone,
        listening(tmp_path, ListenSection(device=microphone.device, second_look="off"), microphone.env) as process,
    ):
        hub.until(Ear, state=Hearing.LISTENING)
        with recorded(process._ring.fd) as chunks:
            microphone.play(path)
            live = [hub.until(Detection) for _ in range(2)]
    soundfile.write(path, np.concatenate(chunks), SAMPLE_RATE_HZ)
    file = decisions(Loop(load_model(packaged_model())), path)
    assert alike(live, file, 0.1), (live, file)


# --- bad microphones through the whole ear ----------------------------------------------------------------------------


@pytest.mark.parts
@pytest.mark.parametrize(
    ("rate_hz", "channels", "form", "gains"),
    [
        (44_100, 1, "S16_LE", (1.0,)),
        (48_000, 2, "S16_LE", (0.0, 1.0)),
        (48_000, 2, "S16_LE", (1.0, -1.0)),
        (44_100, 2, "U8", (1.0,)),
    ],
)
def test_a_call_is_heard_by_any_form_of_microphone(
    tmp_path: Path, hub: Hub, rate_hz: int, channels: int, form: str, gains: tuple[float, ...]
) -> None:
    call = spoken(CALL, tmp_path)
    microphone = wired(tmp_path / "wired", rate_hz=rate_hz, channels=channels, form=form, gains=gains, room=0.003)
    with microphone as source, listening(tmp_path, CONFIG, source.env):
        hub.until(Ear, state=Hearing.LISTENING)
        source.say(call)
        assert hub.until(Detection).phrase == "ambulance"


@pytest.mark.parts
def test_pulled_in_mid_word_it_is_a_fault_and_no_more_than_was_said_and_it_hears_again_when_it_is_back(
    tmp_path: Path, hub: Hub
) -> None:
    call = spoken(CALL, tmp_path)
    microphone = VirtualMicrophone(tmp_path / "microphone")
    path = tmp_path / "call.wav"
    soundfile.write(path, call[: len(call) // 2], SAMPLE_RATE_HZ)
    half = {one.phrase for one in hear_file(Loop(load_model(packaged_model())), path).detections}
    config = ListenSection(device=microphone.device, second_look="off")
    with listening(tmp_path, config, microphone.env):
        with microphone:
            hub.until(Ear, state=Hearing.LISTENING)
            microphone.play(path)
        while True:
            message = hub.next()
            assert not isinstance(message, Detection) or message.phrase in half
            if isinstance(message, Ear) and message.state is Hearing.DEAF:
                break
        assert [fault.code for fault in message.faults] in ([], ["mic_missing"])
        soundfile.write(path, call, SAMPLE_RATE_HZ)
        with VirtualMicrophone(tmp_path / "microphone") as again:
            hub.until(Ear, state=Hearing.LISTENING, faults=())
            again.play(path)
            assert hub.until(Detection).phrase == "ambulance"


@pytest.mark.parts
def test_a_call_at_whose_end_the_microphone_dies_is_not_lost(tmp_path: Path, hub: Hub) -> None:
    path = tmp_path / "call.wav"
    sound = np.concatenate([np.zeros(2 * SAMPLE_RATE_HZ, np.float32), spoken(CALL, tmp_path)])
    soundfile.write(path, sound, SAMPLE_RATE_HZ)
    peak_s = hear_file(Loop(load_model(packaged_model())), path).detections[0].t_s
    with wired(tmp_path / "wired") as microphone, listening(tmp_path, CONFIG, microphone.env):
        hub.until(Ear, state=Hearing.LISTENING)
        microphone.say(sound[: round((peak_s + HOP_S) * SAMPLE_RATE_HZ)])
        microphone.hang()
        assert hub.until(Detection).phrase == "ambulance"
