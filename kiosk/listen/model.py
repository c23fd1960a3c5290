"""Loads a phrase model by its manifest and refuses, in one clear line, anything that is not exactly that model."""

import hashlib
from pathlib import Path

from kiosk.detection import (
    Manifest,
    ManifestError,
    ScoreError,
    active_probabilities,
    parse_manifest,
    phrase_scores,
)
from kiosk.listen.features import EMBEDDING_SIZE, HOP_S, SAMPLE_RATE_HZ, WINDOW
from kiosk.listen.interpreter import Fixed, Floats, Network, interpreter

MANIFEST_NAME = "manifest.json"
TFLITE_IDENTIFIER = b"TFL3"
MAX_MODEL_BYTES = 16 * 1024 * 1024


class ModelError(ValueError):
    """A model that cannot be used; its text is one line: what, where, what to do."""


class PhraseModel:
    """A loaded model: a window of embeddings in, one log-odds score for each active phrase out.

    `folder` is where it came from; `covert_phrase` is the covert phrase that the store chose, if any.
    """

    def __init__(self, manifest: Manifest, network: Fixed, folder: Path, covert_phrase: str | None = None) -> None:
        self.manifest, self.folder, self.covert_phrase = manifest, folder, covert_phrase
        self._network = network
        self._active = manifest.active(covert_phrase)

    def scores(self, window: Floats) -> tuple[float, ...]:
        """Score a window of shape (1, 16, 96); ModelError when the model does not give probabilities."""
        try:
            return phrase_scores(active_probabilities([float(p) for p in self._network(window)[0]], self._active))
        except ScoreError as error:
            raise ModelError(f"{self.folder / self.manifest.model}: {error}") from None


def packaged_model() -> Path:
    """The folder of the model that comes with stayby."""
    return Path(__file__).resolve().parents[2] / "models" / "distress_en"


def load_model(folder: Path, covert_phrase: str | None = None) -> PhraseModel:
    """Load the model of `folder`/manifest.json; ModelError says what is wrong with either file, or with the covert phrase."""
    manifest = read_manifest(folder)
    _check_window(manifest, folder / MANIFEST_NAME)
    network = load_network(
        folder / manifest.model, manifest.sha256, (1, WINDOW, EMBEDDING_SIZE), 1 + len(manifest.phrases)
    )
    try:
        return PhraseModel(manifest, network, folder, covert_phrase)
    except ManifestError as error:
        raise ModelError(f"{folder / MANIFEST_NAME}: {error}; check [listen] covert_phrase") from None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of `folder`; ModelError says what is wrong with it."""
    path = folder / MANIFEST_NAME
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


def load_network(path: Path, sha256: str, shape: tuple[int, ...], outputs: int) -> Fixed:
    """Load the TFLite file `path`, one input of `shape` to (1, outputs); ModelError if it is not exactly that."""
    network = _network(path, _read_model(path, sha256))
    _check_shapes(network, path, [shape, (1, outputs)])
    return Fixed(network, shape)


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


def _check_shapes(network: Network, path: Path, wanted: list[tuple[int, ...]]) -> None:
    found = [tuple(int(n) for n in d["shape"]) for d in (*network.get_input_details(), *network.get_output_details())]
    if found != wanted:
        raise ModelError(
            f"{path}: the model has the shapes {found}, its manifest needs {wanted}; install the model again"
        )


__all__ = [
    "MANIFEST_NAME",
    "SAMPLE_RATE_HZ",
    "ModelError",
    "PhraseModel",
    "load_model",
    "load_network",
    "packaged_model",
    "read_manifest",
]
