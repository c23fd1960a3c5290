"""Runs Moonshine-tiny through onnxruntime alone: sound to encoder states, states to tokens, tokens to words.

Source: Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024). The weights (MIT)
come inside PyPI `moonshine-voice` 0.0.4; that package is never imported, for it brings a library and threads of its own.
"""

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kiosk.listen.interpreter import Floats

ENCODER, DECODER, TOKENIZER = "encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"
# A damaged file can crash onnxruntime: the hash keeps damage out.
SHA256 = {
    ENCODER: "e091ae52fc2a912197af8f7b7ae2e8365b656ff58463313e0660cce59d9e81d3",
    DECODER: "b40193912d8f4af041f2f3e9f7ff23d45b63a1c15a9c7d35fcbebeab3c4273b2",
    TOKENIZER: "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
}
STATE_SIZE = 288
MIN_SAMPLES = 1_600
"""The shortest sound that the encoder takes: 0.1 s."""
START_TOKEN, END_TOKEN = 1, 2
PAST = "past_key_values"
HEADS, HEAD_SIZE = 8, 36
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"

FEATURE_SAMPLES = 40_000
FEATURE_FRAMES = 51
INSTALL = "install stayby with its extra [second-look]"

Tensors = dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64] | npt.NDArray[np.bool_]]


class MoonshineError(RuntimeError):
    """Moonshine cannot be used here; its text is one line: what, where, what to do."""


class _Tensor(Protocol):
    @property
    def name(self) -> str: ...


class _Session(Protocol):
    def get_inputs(self) -> Sequence[_Tensor]: ...
    def get_outputs(self) -> Sequence[_Tensor]: ...
    def run(self, names: None, feed: Tensors) -> list[Floats]: ...


class Decoded(NamedTuple):
    """A greedy decode: the tokens without the start, and the log-probabilities of every token at each step."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[Floats, ...]


class Moonshine:
    """Moonshine-tiny on one thread. What it makes out of sound stays with its caller: it keeps and writes nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the three files of `folder` (by default the installed package's); MoonshineError if one cannot be used."""
        place = folder or moonshine_folder()
        for name, sha256 in SHA256.items():
            _check(place / name, sha256)
        self._decoder = _session(place / DECODER)  # the larger one first: loading holds it in memory twice for a moment
        self._encoder = _session(place / ENCODER)
        self._inputs = tuple(tensor.name for tensor in self._decoder.get_inputs())
        self._outputs = tuple(tensor.name for tensor in self._decoder.get_outputs())
        self._vocabulary = _vocabulary((place / TOKENIZER).read_bytes())

    def encode(self, sound: Floats) -> Floats:
        """Turn sound of shape (n,), -1 to 1, 16 kHz, n ≥ 1600, into encoder states of shape (frames, 288)."""
        if sound.ndim != 1 or len(sound) < MIN_SAMPLES:
            raise ValueError(f"Moonshine needs one channel of {MIN_SAMPLES} samples or more, not {sound.shape}")
        feed: Tensors = {
            "input_values": sound[None].astype(np.float32),
            "attention_mask": np.ones((1, len(sound)), np.int64),
        }
        states: Floats = self._encoder.run(None, feed)[0][0]
        return states

    def decode(self, states: Floats, steps: int = 10, *, early: bool = True) -> Decoded:
        """Decode states of shape (frames, 288) greedily, at most `steps` tokens; with `early` it ends at the end token."""
        past: Tensors = {n: np.zeros((1, HEADS, 0, HEAD_SIZE), np.float32) for n in self._inputs if n.startswith(PAST)}
        tokens = [START_TOKEN]
        vectors: list[Floats] = []
        while len(vectors) < steps and not (early and vectors and tokens[-1] == END_TOKEN):
            given = self._step(states, tokens[-1], past, cached=bool(vectors))
            vectors.append(_log_softmax(given["logits"][0, -1]))
            tokens.append(int(np.argmax(vectors[-1])))
            # The cached branch leaves the encoder's keys as they are and gives empty ones back.
            for name in [name for name in past if len(vectors) == 1 or "encoder" not in name]:
                past[name] = given[name.replace(PAST, "present")]
        return Decoded(tuple(tokens[1:]), tuple(vectors))

    def _step(self, states: Floats, token: int, past: Tensors, *, cached: bool) -> dict[str, Floats]:
        feed: Tensors = {
            "encoder_attention_mask": np.ones((1, len(states)), np.int64),
            "input_ids": np.array([[token]], np.int64),
            "encoder_hidden_states": states[None],
            "use_cache_branch": np.array([cached]),
            **past,
        }
        return dict(zip(self._outputs, self._decoder.run(None, {n: feed[n] for n in self._inputs}), strict=True))

    def words(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without start and end."""
        pieces = b"".join(self._vocabulary[token] for token in tokens if token not in {START_TOKEN, END_TOKEN})
        return pieces.decode(errors="replace").replace(WORD_START, " ").strip()


def encoder_features(moonshine: Moonshine, sound: Floats) -> Floats:
    """What the second look's head reads: states of the last 2.5 s (zeros in front of less), two frames averaged: (51, 288)."""
    last = sound[-FEATURE_SAMPLES:]
    states = moonshine.encode(np.pad(last, (FEATURE_SAMPLES - len(last), 0)))
    pooled: Floats = states.reshape(FEATURE_FRAMES, 2, STATE_SIZE).mean(axis=1)
    return pooled


def installed() -> bool:
    """Whether the extra [second-look] is on this machine; says nothing of whether it works."""
    return all(importlib.util.find_spec(package) is not None for package in ("onnxruntime", "moonshine_voice"))


def moonshine_folder() -> Path:
    """The folder of the packaged weights; found without importing the package."""
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or not spec.submodule_search_locations:
        raise MoonshineError(f"the second look: the package moonshine-voice is not installed; {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "assets" / "tiny-en"


def _check(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MoonshineError(f"{path}: cannot read it: {error.strerror}; install moonshine-voice 0.0.4 again") from None
    if found != sha256:
        raise MoonshineError(f"{path}: not the file of moonshine-voice 0.0.4, or damaged; install that version again")


def _session(path: Path) -> _Session:
    # Versions later than ours tell their maker of their use, with an id that they keep in a file, unless this is set.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        ort = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MoonshineError(f"the second look: onnxruntime cannot be loaded ({error}); {INSTALL}") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # it would write to stderr, past our own words
    options.enable_cpu_mem_arena = False  # an arena keeps what the longest sound once needed
    try:
        session: _Session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no base of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MoonshineError(f"{path}: onnxruntime cannot use it ({reason}); {INSTALL}") from None
    return session


def _vocabulary(content: bytes) -> tuple[bytes, ...]:
    """Read the tokenizer file: each token is its length (one byte, or two from 128 on) and its bytes."""
    tokens, at = [], 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 128:  # noqa: PLR2004 - the top bit says that a second byte follows
            length += content[at] * 128 - 128
            at += 1
        tokens.append(content[at : at + length])
        at += length
    return tuple(tokens)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - np.max(logits)
    result: Floats = shifted - np.log(np.exp(shifted).sum())
    return result
