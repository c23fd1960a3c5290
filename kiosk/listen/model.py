"""Loads a phrase model by its manifest and refuses, in one clear line, anything that is not exactly that model."""

import hashlib
from pathlib import Path

from kiosk.detection import Manifest, ManifestError, ScoreError, parse_manifest, phrase_scores
from kiosk.listen.features import EMBEDDING_SIZE, HOP_S, SAMPLE_RATE_HZ, WINDOW
from kiosk.listen.interpreter import Fixed, Floats, Network, interpreter

MANIFEST_NAME = "manifest.json"
TFLITE_IDENTIFIER = b"TFL3"
MAX_MODEL_BYTES = 16 * 1024 * 1024


class ModelError(ValueError):
    """A model that cannot be used; its text is one line: what, where, what to do."""


class PhraseModel:
    """A loaded model: a window of embeddings in, one log-odds score a phrase out."""

    def __init__(self, manifest: Manifest, network: Fixed, where: Path) -> None:
        self.manifest = manifest
        self._network = network
        self._where = where

    def scores(self, window: Floats) -> tuple[float, ...]:
        """Score a window of shape (1, 16, 96); ModelError when the model does not give probabilities."""
        try:
            return phrase_scores([float(p) for p in self._network(window)[0]])
        except ScoreError as error:
            raise ModelError(f"{self._where}: {error}") from None


def packaged_model() -> Path:
    """The folder of the model that comes with stayby."""
    return Path(__file__).resolve().parents[2] / "models" / "distress_en"


def load_model(folder: Path) -> PhraseModel:
    """Load the model of `folder`/manifest.json; ModelError says what is wrong with either file."""
    manifest = _read_manifest(folder / MANIFEST_NAME)
    path = folder / manifest.model
    _check_window(manifest, folder / MANIFEST_NAME)
    network = _network(path, _read_model(path, manifest.sha256))
    _check_shapes(network, path, 1 + len(manifest.phrases))
    return PhraseModel(manifest, Fixed(network, (1, WINDOW, EMBEDDING_SIZE)), path)


def _read_manifest(path: Path) -> Manifest:
    try:
        return parse_manifest(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelError(f"{path}: cannot read the manifest: {error.strerror}; check [listen] model_dir") from None
    except ManifestError as error:
        raise ModelError(str(error)) from None


def _check_window(manifest: Manifest, path: Path) -> None:
    window = manifest.window
    if (window.frames, window.features, window.hop_s) != (WINDOW, EMBEDDING_SIZE, HOP_S):
        raise ModelError(
            f"{path}: the model wants windows of {window.frames}×{window.features} each {window.hop_s:g} s, but this version"
            f" of stayby makes {WINDOW}×{EMBEDDING_SIZE} each {HOP_S:g} s; install a model of this version"
        )


def _read_model(path: Path, sha256: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model: {error.strerror}; install the model again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path}: the model's sha256 is {found[:12]}…, its manifest says {sha256[:12]}…; install the model again"
        )
    return content


def _network(path: Path, content: bytes) -> Network:
    # TFLite trusts the inside of a file and crashes on a damaged one: the hash above is what keeps damage out.
    if content[4:8] != TFLITE_IDENTIFIER:
        raise ModelError(f"{path}: not a TFLite model; install the model again")
    try:
        network = interpreter(content)
        network.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path}: the model does not run here ({reason}); install the model again") from None
    return network


def _check_shapes(network: Network, path: Path, outputs: int) -> None:
    found = [tuple(int(n) for n in d["shape"]) for d in (*network.get_input_details(), *network.get_output_details())]
    wanted = [(1, WINDOW, EMBEDDING_SIZE), (1, outputs)]
    if found != wanted:
        raise ModelError(
            f"{path}: the model has the shapes {found}, its manifest needs {wanted}; install the model again"
        )


__all__ = ["MANIFEST_NAME", "SAMPLE_RATE_HZ", "ModelError", "PhraseModel", "load_model", "packaged_model"]
