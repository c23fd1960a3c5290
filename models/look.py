"""Makes what the second look's head learns from: Moonshine's encoder states.

They are of spoilt clips, and of the real speech that stage 1 takes most for distress.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.progress import track

from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, WINDOW
from kiosk.listen.hear import read_sound
from kiosk.listen.moonshine import Moonshine, encoder_features
from models.material import Halves, Labels, Spoken, Windows, every_window
from models.recipe import Recipe

LOOK_FRAMES, LOOK_FEATURES = 51, 288
LOOK_S = 2.5
LOOK_AFTER_HOPS = 6
APART_HOPS = round(1.0 / HOP_S)

Score = Callable[[Windows], Windows]


def said(spoken: list[Spoken], phrases: list[str]) -> tuple[Halves, Labels]:
    """States (n, 51, 288) and labels (n,) of all spoilt clips."""
    labels = [phrases.index(one.label) + 1 if one.label in phrases else 0 for one in spoken for _ in one.states]
    return np.array([state for one in spoken for state in one.states], np.float16), np.array(labels, np.int64)


def mistaken(recipe: Recipe, recorded: dict[Path, Halves], score: Score, most: int) -> Halves:
    """States of the `most` moments of real recordings that stage 1 takes most for distress, at least a second apart."""
    scores = score(every_window(recorded))  # all at once: a call to the network costs more than a recording
    ends = np.cumsum([len(e) - WINDOW + 1 for e in recorded.values()])
    by_path = zip(recorded, np.split(scores, ends[:-1]), strict=True)
    found = [(value, path, hop) for path, one in by_path for value, hop in _peaks(one)]
    worst = sorted(found, key=lambda one: (-one[0], str(one[1]), one[2]))[:most]
    by_file: dict[Path, list[int]] = {}
    for _, path, hop in worst:
        by_file.setdefault(path, []).append(hop)
    return _states(recipe, by_file)


def _peaks(scores: Windows) -> list[tuple[float, int]]:
    """The highest hop, then the highest that is a second away from it, and so on, of the hops with any doubt at all."""
    left = scores.copy()
    peaks = []
    while len(left) and np.max(left) > -np.inf:
        hop = int(np.argmax(left))
        peaks.append((float(scores[hop]), hop))
        left[max(0, hop - APART_HOPS) : hop + APART_HOPS + 1] = -np.inf
    return peaks


def _states(recipe: Recipe, by_file: dict[Path, list[int]]) -> Halves:
    folder = recipe.cache / "real-states"
    folder.mkdir(parents=True, exist_ok=True)
    moonshine = Moonshine()
    rows = []
    for path, hops in track(by_file.items(), description="Looking again at real speech"):
        name = hashlib.sha256(f"{path.relative_to(recipe.real_data)}-{sorted(hops)}".encode()).hexdigest()[:20]
        cached = folder / f"{name}.npy"
        if not cached.exists():
            part = cached.with_suffix(".part.npy")
            np.save(part, _states_of(moonshine, path, sorted(hops)))
            part.replace(cached)
        rows.append(np.load(cached))
    return np.concatenate(rows) if rows else np.zeros((0, LOOK_FRAMES, LOOK_FEATURES), np.float16)


def _states_of(moonshine: Moonshine, path: Path, hops: list[int]) -> Halves:
    sound = np.concatenate(list(read_sound(path))).astype(np.float32) / np.float32(32768)
    sound = np.pad(sound, (0, (LOOK_AFTER_HOPS + 1) * CHUNK_SAMPLES))
    ends = [(hop + 1 + LOOK_AFTER_HOPS) * CHUNK_SAMPLES for hop in hops]
    return np.array([encoder_features(moonshine, sound[:end]) for end in ends], np.float16)
