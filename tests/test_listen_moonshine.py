"""Moonshine-tiny through onnxruntime: it runs, says the same each time, and refuses broken files in one line."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from kiosk.listen.interpreter import Floats
from kiosk.listen.moonshine import (
    DECODER,
    ENCODER,
    TOKENIZER,
    Moonshine,
    MoonshineError,
    encoder_features,
    installed,
    moonshine_folder,
)

needs_moonshine = pytest.mark.skipif(not installed(), reason="the extra [second-look] is not installed")


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    return Moonshine()


def said(path: Path, text: str) -> Floats:
    """A sentence of espeak-ng, 16 kHz, -1 to 1."""
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(path), text], check=True, capture_output=True)
    sound, rate = soundfile.read(path, dtype="float32")
    resampled: Floats = soxr.resample(sound, rate, 16_000)
    return resampled


@needs_moonshine
@pytest.mark.parts
def test_it_understands_a_synthetic_call(tmp_path: Path, moonshine: Moonshine) -> None:
    sound = said(tmp_path / "said.wav", "Somebody call an ambulance!")
    tokens, vectors = moonshine.decode(moonshine.encode(sound), steps=16)
    assert "ambulance" in moonshine.words(tokens).lower()
    assert len(tokens) == len(vectors) <= 16
    assert all(np.exp(vector).sum() == pytest.approx(1, abs=1e-3) for vector in vectors)


@needs_moonshine
def test_the_heads_features_are_the_last_two_and_a_half_seconds(moonshine: Moonshine) -> None:
    rng = np.random.default_rng(1)
    sound = (0.05 * rng.standard_normal(44_800)).astype(np.float32)
    features = encoder_features(moonshine, sound)
    assert features.shape == (51, 288)
    assert np.array_equal(features, encoder_features(moonshine, sound[-40_000:]))
    short = sound[:20_000]
    assert np.array_equal(encoder_features(moonshine, short), encoder_features(moonshine, np.pad(short, (20_000, 0))))


@needs_moonshine
def test_decoding_ends_after_its_steps(moonshine: Moonshine) -> None:
    states = moonshine.encode(np.zeros(16_000, np.float32))
    assert states.shape[1] == 288
    assert len(moonshine.decode(states, steps=1).tokens) == 1


@needs_moonshine
def test_the_longest_decode_goes_on_after_the_end(moonshine: Moonshine) -> None:
    states = moonshine.encode(np.zeros(16_000, np.float32))
    early, whole = moonshine.decode(states).tokens, moonshine.decode(states, early=False).tokens
    assert (len(early) < 10, len(whole), whole[: len(early)]) == (True, 10, early)


@needs_moonshine
@pytest.mark.parametrize("shape", [(100,), (1, 16_000)])
def test_a_sound_of_the_wrong_shape_is_refused(moonshine: Moonshine, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one channel"):
        moonshine.encode(np.zeros(shape, np.float32))


@needs_moonshine
@pytest.mark.parametrize("name", [ENCODER, DECODER, TOKENIZER])
def test_a_missing_or_damaged_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    for other in (ENCODER, DECODER, TOKENIZER):
        shutil.copy(moonshine_folder() / other, tmp_path / other)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    assert_one_line(tmp_path, f"{tmp_path / name}: not the file of moonshine-voice 0.0.4")
    (tmp_path / name).unlink()
    assert_one_line(tmp_path, f"{tmp_path / name}: cannot read it: No such file or directory")


def assert_one_line(folder: Path, starts: str) -> None:
    with pytest.raises(MoonshineError) as caught:
        Moonshine(folder)
    assert str(caught.value).startswith(starts)
    assert "\n" not in str(caught.value)
    assert "; install" in str(caught.value)


def test_a_machine_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "moonshine_voice" else found(name))
    assert not installed()
    with pytest.raises(MoonshineError, match=r"moonshine-voice is not installed; install stayby with its extra"):
        moonshine_folder()


@needs_moonshine
def test_the_package_of_the_weights_is_never_imported(moonshine: Moonshine) -> None:
    moonshine.encode(np.zeros(16_000, np.float32))
    assert not any(name.partition(".")[0] == "moonshine_voice" for name in sys.modules)
