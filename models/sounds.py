"""What a measuring set is: labelled sounds that never train, and the list of them that `python -m models.measuring` writes."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

INDEX = Path("measuring") / "index.json"
MAKE = "make them with `python -m models.measuring` in the training environment"

SPOKEN = "unseen"
"""The set of clean phrases by voices that training never met."""
QUIET = ("ordinary", "confusables", "store", "prompts")
"""Sets in which no phrase is said."""
ENGINES = ("espeak", "flite", "festival", "piper")
"""Sets of phrases by speech synthesis that training never used."""
VOICES = ("women", "men", "accents")
"""Groups of voices in it."""
BODIES = ("children", "older", "shouted")
CONDITIONS = (
    "store_20_db", "store_10_db", "store_5_db", "babble_20_db", "babble_10_db", "babble_5_db",
    "room_1_m", "room_3_m", "room_5_m", "quiet_30_db",
)  # fmt: skip
"""Sets of phrases as a microphone at the desk gets them."""


class SoundsMissing(ValueError):
    """There are no measuring sounds; its text is one line: what, where, what to do."""


class Sound(BaseModel):
    """One file, with what is said in it and by whom; `label` is a phrase id or a group of quiet speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    file: str
    """Relative to the recipe's cache."""
    text: str
    voice: str


class Sounds(BaseModel):
    """All measuring sets by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: dict[str, tuple[Sound, ...]]

    def spoken_by(self, group: str) -> tuple[Sound, ...]:
        """The clean phrases by one group of voices: women, men, accents."""
        return tuple(one for one in self.sets.get(SPOKEN, ()) if voice_group(one.voice) == group)


def voice_group(voice: str) -> str:
    """Whom a Kokoro voice sounds like, by its name: language, then f or m; other languages speak English with an accent."""
    if voice[0] not in "ab":
        return "accents"
    return "women" if voice[1] == "f" else "men"


def spread(sounds: Iterable[Sound], each: int) -> list[Sound]:
    """At most `each` sounds of each label, in order, no voice twice while others are left."""
    by_label: dict[str, list[Sound]] = {}
    for one in sounds:
        by_label.setdefault(one.label, []).append(one)
    return [one for group in by_label.values() for one in _different(group)[:each]]


def _different(group: list[Sound]) -> list[Sound]:
    """The same sounds, first those whose voice and text were not there yet."""
    rounds: dict[tuple[str, str], int] = {}
    keyed = []
    for place, one in enumerate(group):
        times = sum(rounds.get(key, 0) for key in (("voice", one.voice), ("text", one.text)))
        for key in (("voice", one.voice), ("text", one.text)):
            rounds[key] = rounds.get(key, 0) + 1
        keyed.append((times, place, one))
    return [one for _, _, one in sorted(keyed, key=lambda k: k[:2])]


def read_sounds(cache: Path) -> Sounds:
    """The sets listed in `cache`; SoundsMissing when the list, or a file of it, is not there."""
    path = cache / INDEX
    try:
        sounds = Sounds.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SoundsMissing(f"{path}: no measuring sounds ({error.strerror}); {MAKE}") from None
    except ValidationError:
        raise SoundsMissing(f"{path}: the list of measuring sounds is damaged; {MAKE} again") from None
    for one in (one for group in sounds.sets.values() for one in group):
        if not (cache / one.file).exists():
            raise SoundsMissing(f"{cache / one.file}: a measuring sound is gone; {MAKE} again")
    return sounds


def write_sounds(sounds: Sounds, cache: Path) -> None:
    """Leave the list of sets in `cache`, whole or not at all."""
    path = cache / INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(sounds.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)
