"""Models that must be refused: wrong hash, cut short, not a model, another version's, giving NaN."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kiosk.listen.model import ModelError, load_model, packaged_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged model that a test may break."""
    copy = tmp_path / "model"
    shutil.copytree(packaged_model(), copy)
    return copy


def change(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def model_file(folder: Path) -> Path:
    return folder / str(json.loads((folder / "manifest.json").read_text())["model"])


def rewrite(folder: Path, content: bytes) -> None:
    """Another model file, with a manifest that vouches for it."""
    model_file(folder).write_bytes(content)
    change(folder, sha256=hashlib.sha256(content).hexdigest())


def flip_a_byte(folder: Path) -> None:
    content = bytearray(model_file(folder).read_bytes())
    content[len(content) // 2] ^= 1
    model_file(folder).write_bytes(content)


def cut_short(folder: Path) -> None:
    model_file(folder).write_bytes(model_file(folder).read_bytes()[:1000])


def one_phrase_less(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(folder, phrases=manifest["phrases"][:-1], second_look={**manifest["second_look"], "words": {}})


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (flip_a_byte, "sha256"),
    (cut_short, "sha256"),
    (lambda folder: rewrite(folder, b"This is no model at all."), "not a TFLite model"),
    (lambda folder: rewrite(folder, b""), "not a TFLite model"),
    (lambda folder: model_file(folder).unlink(), "cannot read the model"),
    (lambda folder: (folder / "manifest.json").unlink(), "cannot read the manifest"),
    (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json"),
    (
        lambda folder: change(folder, window={"frames": 24, "features": 96, "hop_s": 0.08}),
        "install a model of this version",
    ),
    (one_phrase_less, "shapes"),
    (lambda folder: change(folder, v=1), "manifest.json: v"),
]


@pytest.mark.parametrize(("broken", "says"), BROKEN)
def test_a_broken_model_is_one_clear_line(folder: Path, broken: Callable[[Path], object], says: str) -> None:
    broken(folder)
    with pytest.raises(ModelError, match=says) as caught:
        load_model(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(folder))
    assert ";" in line


def test_a_model_that_gives_nan_is_an_error_and_never_silence(folder: Path) -> None:
    model = load_model(folder)
    with pytest.raises(ModelError, match="not probabilities"):
        model.scores(np.full((1, 16, 96), np.nan, np.float32))


def test_the_packaged_model_is_what_its_manifest_says() -> None:
    model = load_model(packaged_model())
    assert len(model.scores(np.zeros((1, 16, 96), np.float32))) == len(model.manifest.active())
    assert any("children" in line for line in model.manifest.never_tested)
    assert {phrase.id for phrase in model.manifest.phrases if phrase.grave} >= {"ambulance", "breathe"}
