"""What each ear makes of the measuring sets: our own with and without its second look, and peers, on the same sounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import track

from kiosk.detection import Manifest
from kiosk.listen.hear import SoundFileError
from models import curves
from models.curves import Share
from models.hearing import Ear, Labelled
from models.peers import Peer, PeerHeard, announced, ask, own_thresholds
from models.real_speech import Part, everything
from models.recipe import Recipe
from models.sounds import BODIES, CONDITIONS, ENGINES, QUIET, SPOKEN, VOICES, Sounds
from models.traces import Trace, replay
from models.traces import announced as margins_of

AT_ONE = "at 1 false an hour"
"""A threshold read off the curve: one false alarm an hour on all the real speech and sound that training never read."""
SHIPPED = "as shipped"
"""The thresholds in the manifest; a peer's are chosen the same way, on the first held-out part."""
UNASKED = "alarm without asking"
"""As shipped, and of grave phrases only those that raise the alarm without asking first."""
BOTH, ALONE = "Stayby, both stages", "Stayby, stage 1 alone"
COVERT = "covert"
Answer = tuple[str, Path, PeerHeard]
Traces = Mapping[str, Sequence[Trace]]
HELD_OUT = (Part.HELD_OUT_1.value, Part.HELD_OUT_2.value)


@dataclass
class Judged:
    """What one ear announced in each file of each set: on its own scale, and how often with its thresholds as they stand."""

    name: str
    files: dict[str, list[curves.Heard]] = field(default_factory=dict)
    paths: dict[str, list[Path]] = field(default_factory=dict)
    shipped: dict[str, list[int]] = field(default_factory=dict)
    named: dict[str, list[str | None]] = field(default_factory=dict)
    """The phrase that was announced first; of our own ear."""
    at_once: dict[str, list[int]] = field(default_factory=dict)
    """How often a grave phrase was so clear that the alarm was raised without asking first; of our own ear."""
    grave: frozenset[str] = frozenset()
    """Its grave phrases."""
    graded: bool = True
    """Whether it has scores, so that there is a curve."""
    cpu_s: float = 0.0
    audio_s: float = 0.0

    @property
    def quiet(self) -> list[curves.Heard]:
        """All real speech and sound that training never read."""
        return [one for part in HELD_OUT for one in self.files.get(part, [])]

    def threshold(self, basis: str) -> float:
        """The threshold of a basis on this ear's scale."""
        return curves.threshold_at(self.quiet, 1.0) if basis == AT_ONE else 0.0

    def found(self, name: str, basis: str, label: str | None = None) -> Share:
        """In how many files of a set, or of one label in it, something was announced."""
        files, counts = self.files.get(name, []), self.shipped.get(name, [])
        asked = [(one, count) for one, count in zip(files, counts, strict=True) if label in {None, one.label}]
        if basis == SHIPPED:
            return curves.share(sum(bool(count) for _, count in asked), len(asked))
        return curves.found([one for one, _ in asked], self.threshold(basis))

    def announcements(self, name: str, basis: str) -> int:
        """How often something was announced in a set."""
        if basis in {SHIPPED, UNASKED}:
            return sum((self.shipped if basis == SHIPPED else self.at_once).get(name, []))
        return curves.false_count(self.files.get(name, []), self.threshold(basis))


def sets_of(recipe: Recipe, sounds: Sounds, cache: Path) -> dict[str, Labelled]:
    """Every set that all ears hear: phrases that every store hears, quiet speech, and the held-out real recordings."""
    sets: dict[str, Labelled] = {}
    for name in (SPOKEN, *BODIES, *CONDITIONS, *ENGINES, *QUIET):
        known = [one for one in sounds.sets.get(name, ()) if not _covert(recipe, one.label)]
        if known:
            sets[name] = [(one.label, cache / one.file) for one in known]
    for group in VOICES:
        sets[group] = [
            (one.label, cache / one.file) for one in sounds.spoken_by(group) if not _covert(recipe, one.label)
        ]
    return sets | {part: _real(recipe, Part(part)) for part in HELD_OUT}


def covert_sets(recipe: Recipe, sounds: Sounds, cache: Path) -> dict[str, Labelled]:
    """Each covert phrase's clean clips, by its id."""
    clips = [(one.label, cache / one.file) for one in sounds.sets.get(SPOKEN, ()) if _covert(recipe, one.label)]
    return {
        phrase: [one for one in clips if one[0] == phrase] for phrase, texts in recipe.phrases.items() if texts.covert
    }


def _covert(recipe: Recipe, label: str) -> bool:
    return label in recipe.phrases and recipe.phrases[label].covert


def _real(recipe: Recipe, part: Part) -> Labelled:
    paths = everything(recipe.real_data, part, recipe.real_files)
    return [(path.relative_to(recipe.real_data).parts[1], path) for path in paths]


def traces_of(folder: Path, sets: Mapping[str, Labelled], covert: Mapping[str, Labelled], cache: Path) -> Traces:
    """Hear every set with the model of `folder`, and each covert phrase's with an ear that listens for it; ModelError."""
    ear = Ear(folder, cache)
    heard = {name: ear.hear(files, f"Listening: {name}") for name, files in sets.items()}
    for phrase, files in covert.items():
        chosen = Ear(folder, cache, phrase)
        heard[f"{COVERT} {phrase}"] = chosen.hear(files, f"Listening for {phrase}")
    return heard


def heard_by_us(manifest: Manifest, traces: Traces, *, looked: bool) -> Judged:
    """Our own ear, with its second look or by stage 1 alone."""
    judged = Judged(BOTH if looked else ALONE, grave=frozenset(one.id for one in manifest.phrases if one.grave))
    for name, group in traces.items():
        covert = name.removeprefix(f"{COVERT} ") if name.startswith(COVERT) else None
        judged.files[name] = [margins_of(manifest, one, looked=looked, covert_phrase=covert) for one in group]
        judged.paths[name] = [one.path for one in group]
        decided = [replay(manifest, one, looked=looked, covert_phrase=covert) for one in group]
        judged.shipped[name] = [len(one) for one in decided]
        judged.at_once[name] = [sum(heard.strong for heard in one) for one in decided]
        judged.named[name] = [one[0].phrase if one else None for one in decided]
    if looked:
        real = [one for part in HELD_OUT for one in traces.get(part, [])]
        judged.cpu_s, judged.audio_s = sum(one.cpu_s for one in real), sum(one.duration_s for one in real)
    return judged


def heard_by_peer(peer: Peer, sets: Mapping[str, Labelled], phrases: Sequence[str], cache: Path) -> Judged:
    """A peer: each of its phrases counted from its own highest false score, then one step for all of them together."""
    answers = {name: _asked(peer, files, cache) for name, files in sets.items()}
    own, own_shipped = _own(peer, answers, HELD_OUT, phrases), _own(peer, answers, HELD_OUT[:1], phrases)
    chosen = 0.0
    if peer.graded:
        chosen = curves.threshold_at(_announced(answers.get(HELD_OUT[0], []), own_shipped), 1.0)
    judged = Judged(peer.name, graded=peer.graded)
    for name, group in answers.items():
        judged.files[name] = _announced(group, own)
        judged.paths[name] = [path for _, path, _ in group]
        judged.shipped[name] = [curves.false_count([one], chosen) for one in _announced(group, own_shipped)]
        judged.cpu_s += sum(heard.cpu_s for _, _, heard in group)
        judged.audio_s += sum(heard.duration_s for _, _, heard in group)
    return judged


def _own(
    peer: Peer, answers: Mapping[str, Sequence[Answer]], parts: Sequence[str], phrases: Sequence[str]
) -> dict[str, float]:
    if not peer.graded:
        return dict.fromkeys(phrases, 0.0)
    return own_thresholds([heard for part in parts for _, _, heard in answers.get(part, [])], phrases)


def _announced(group: Sequence[Answer], own: Mapping[str, float]) -> list[curves.Heard]:
    return [announced(label, heard, own) for label, _, heard in group]


def _asked(peer: Peer, files: Labelled, cache: Path) -> list[Answer]:
    answers = []
    for label, path in track(files, description=peer.name):
        try:
            answers.append((label, path, ask(peer, path, cache)))
        except SoundFileError as error:
            print(error)
    return answers
