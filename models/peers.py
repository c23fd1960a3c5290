"""What others make of the same sounds: PocketSphinx's keyphrase spotting, and Moonshine's transcript searched for our words.

Each peer runs once over a file with everything let through and gives scores; thresholds are chosen afterwards, so that every
peer gets the threshold that is best for it. What it heard is kept in the cache by the sound's content.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from kiosk.listen.features import SAMPLE_RATE_HZ, Samples, quiet
from kiosk.listen.hear import TRAILING_QUIET_S, read_sound
from models.curves import Heard

REFRACTORY_S = 3.0
"""Two announcements within it count as one, as in the ear itself."""
KEYPHRASES: Mapping[str, tuple[str, ...]] = {
    "help": ("help",),
    "help_me": ("help me",),
    "somebody_help": ("somebody help",),
    "ambulance": ("call an ambulance",),
    "police": ("call the police",),
    "breathe": ("i can't breathe",),
    "chest": ("chest pain", "my chest hurts"),
    "heart": ("heart attack",),
    "faint": ("feel faint", "going to faint"),
    "fallen": ("i've fallen",),
    "leave_alone": ("leave me alone",),
    "let_go": ("let go of me", "let me go"),
    "angela": ("angela",),
    "yellow_umbrella": ("yellow umbrella",),
    "blue_suitcase": ("blue suitcase",),
}
LOOSEST_LOG10 = -40
LOOSEST = f"1e{LOOSEST_LOG10}"
"""Looser than anybody runs it: what is announced at a stricter threshold is found among this by its score."""
FRAME_S = 0.01
SENSCR_SHIFT, KWS_MAX_LOG10 = 1024, 1500 * math.log10(1.0001) * 1024
"""PocketSphinx keeps log scores, base 1.0001, divided by 1024, and takes 1500 of these off before it shows them."""
_AFTER = quiet(int(TRAILING_QUIET_S * SAMPLE_RATE_HZ))
WORDS_WINDOW_S, WORDS_STEP_S, WORDS_TOKENS = 5.0, 3.5, 32


class Event(BaseModel):
    """A phrase that a peer would announce, when, and how sure it is on its own scale."""

    model_config = ConfigDict(frozen=True)

    t_s: float
    phrase: str
    score: float


class PeerHeard(BaseModel):
    """What one peer made of one file, and the processor time that it took."""

    model_config = ConfigDict(frozen=True)

    duration_s: float
    cpu_s: float
    events: tuple[Event, ...]


class Peer(Protocol):
    """Another way to find our phrases in sound."""

    name: str
    version: str
    graded: bool
    """Whether its scores mean anything."""

    def events(self, sound: Samples) -> list[Event]:
        """Everything that could be a phrase in 16 kHz sound."""
        ...


class PocketSphinx:
    """Keyphrase spotting with the English model that comes inside PyPI `pocketsphinx`; scores are log10 of its threshold."""

    name = "PocketSphinx"
    graded = True

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrase_of = {words: phrase for phrase in phrases for words in KEYPHRASES[phrase]}
        listed = "".join(f"{words} /{LOOSEST}/\n" for words in self._phrase_of)
        self.version = f"{importlib.metadata.version('pocketsphinx')} {hashlib.sha256(listed.encode()).hexdigest()[:8]}"
        with tempfile.NamedTemporaryFile("w", suffix=".kws", encoding="utf-8") as file:
            file.write(listed)
            file.flush()
            self._decoder: Any = importlib.import_module("pocketsphinx").Decoder(kws=file.name, loglevel="FATAL")
        self._fresh: str = self._decoder.get_cmn(False)

    def events(self, sound: Samples) -> list[Event]:
        """All keyphrases above the loosest threshold."""
        self._decoder.set_cmn(self._fresh)  # what it learnt of the last microphone is not this file's
        self._decoder.start_utt()
        self._decoder.process_raw(np.concatenate([sound, _AFTER]).tobytes(), full_utt=False)
        self._decoder.end_utt()
        return [
            Event(
                t_s=round(one.end_frame * FRAME_S, 2),
                phrase=self._phrase_of[one.word.strip()],
                score=round(math.log10(one.prob) * SENSCR_SHIFT + KWS_MAX_LOG10, 2),
            )
            for one in self._decoder.seg() or ()
        ]


class Words:
    """Moonshine-tiny's own words of 5 s at a time, searched for each phrase: no scores, so 0 is all there is."""

    name = "Moonshine-tiny, words alone"
    graded = False

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        self._moonshine = importlib.import_module("kiosk.listen.moonshine").Moonshine()
        self._patterns = {phrase: [re.compile(one) for one in patterns] for phrase, patterns in words.items()}
        said = json.dumps([WORDS_WINDOW_S, WORDS_STEP_S, {phrase: list(one) for phrase, one in words.items()}])
        self.version = hashlib.sha256(said.encode()).hexdigest()[:8]

    def events(self, sound: Samples) -> list[Event]:
        """Each phrase whose words stand in the transcript of a window."""
        heard = []
        window, step = int(WORDS_WINDOW_S * SAMPLE_RATE_HZ), int(WORDS_STEP_S * SAMPLE_RATE_HZ)
        for start in range(0, max(1, len(sound) - (window - step)), step):
            piece = sound[start : start + window].astype(np.float32) / np.float32(32768)
            states = self._moonshine.encode(np.pad(piece, (0, max(0, SAMPLE_RATE_HZ // 2 - len(piece)))))
            said = self._moonshine.words(self._moonshine.decode(states, WORDS_TOKENS).tokens).lower()
            heard += [
                Event(t_s=(start + len(piece)) / SAMPLE_RATE_HZ, phrase=phrase, score=0.0)
                for phrase, patterns in self._patterns.items()
                if any(one.search(said) for one in patterns)
            ]
        return heard


def installed(package: str) -> bool:
    """Whether a peer's package is here."""
    return importlib.util.find_spec(package) is not None


def ask(peer: Peer, path: Path, cache: Path) -> PeerHeard:
    """What a peer makes of a file; read from the cache when it heard the same sound before. SoundFileError if it is none."""
    key = hashlib.sha256(
        f"{peer.name} {peer.version} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode()
    ).hexdigest()
    kept = cache / "peers" / f"{key[:24]}.json"
    if kept.exists():
        return PeerHeard.model_validate_json(kept.read_bytes())
    sound = np.concatenate(list(read_sound(path)))
    started_s = time.process_time()
    events = peer.events(sound)
    cpu_s = time.process_time() - started_s
    heard = PeerHeard(duration_s=len(sound) / SAMPLE_RATE_HZ, cpu_s=round(cpu_s, 4), events=tuple(events))
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    part.write_text(heard.model_dump_json(), encoding="utf-8")
    part.replace(kept)
    return heard


def own_thresholds(quiet: Sequence[PeerHeard], phrases: Sequence[str]) -> dict[str, float]:
    """For each phrase its highest score in speech that does not hold it: the fairest start for phrases of unlike length."""
    return {
        phrase: max((e.score for one in quiet for e in one.events if e.phrase == phrase), default=float(LOOSEST_LOG10))
        for phrase in phrases
    }


def announced(label: str, heard: PeerHeard, own: Mapping[str, float]) -> Heard:
    """One file on a common scale: how far each event lies above its phrase's own threshold, the best of each 3 s."""
    left = sorted(((e.score - own[e.phrase], e.t_s) for e in heard.events if e.phrase in own), reverse=True)
    kept: list[tuple[float, float]] = []
    for score, t_s in left:
        if all(abs(t_s - other) >= REFRACTORY_S for _, other in kept):
            kept.append((score, t_s))
    return Heard(label, heard.duration_s, tuple(score for score, _ in kept))
