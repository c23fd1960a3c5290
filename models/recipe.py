"""The types of a `train.toml`: one recipe holds every choice that shapes a model, so that the same file gives the same model."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class RecipeError(ValueError):
    """A recipe that cannot be trained; one line says what and where."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthesis(_Table):
    """Which voices speak, and how fast; speeds are ratios of the voice's own pace.

    Each group of texts says how many clips it trains with; `unseen_clips` are measured of each (or, where a group has more
    test texts, each of its texts once). `share` of them all is spoken.
    """

    unseen_clips: int = Field(gt=0)
    share: float = Field(default=1.0, gt=0, le=1)
    speed: tuple[float, float]
    unseen_speed: tuple[float, float]
    english_voices: list[str] = Field(min_length=2)
    accented_voices: list[str] = Field(min_length=1)
    unseen_voices: list[str] = Field(min_length=1)


class Augmentation(_Table):
    """Chances (0..1) of each way to spoil a clip, and the ranges of noise and level in dB."""

    variants: int = Field(gt=0)
    world: float = Field(ge=0, le=1)
    tilt: float = Field(ge=0, le=1)
    room: float = Field(ge=0, le=1)
    clip: float = Field(ge=0, le=1)
    band: float = Field(ge=0, le=1)
    quiet_room: float = Field(ge=0, le=1)
    cut_start: float = Field(ge=0, le=1)
    snr_db: tuple[float, float]
    peak_db: tuple[float, float]


class Training(_Table):
    """How heads learn; the `mined` worst real windows are shown again `mined_repeat` times in a second round."""

    heads: int = Field(gt=0, le=4)
    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    mined: int = Field(ge=0)
    mined_repeat: int = Field(ge=0)


class LookTraining(Training):
    """How the second look's heads learn; `mistaken` moments of real speech are what stage 1 takes most for distress."""

    mistaken: int = Field(ge=0)


class SecondLookRules(_Table):
    """How the second look weighs what it knows, and the sentences (regular expressions) that are no call for help."""

    gate: float
    stage1: float = Field(ge=0)
    head: float = Field(ge=0)
    help: float = Field(ge=0)
    match: float = Field(ge=0)
    veto: float = Field(ge=0)
    help_tokens: list[int] = Field(min_length=1)
    ordinary: list[str]
    unless: list[str]


class Thresholds(_Table):
    """What the thresholds are chosen for: false alarms per hour of real speech that training never read.

    `lowest` is the least score that may ever count, whatever little real speech there was; `lowest_looked` the same after
    a second look, whose scores run lower (`lowest` if not given).
    """

    false_per_h: float = Field(gt=0)
    lowest: float = Field(ge=0)
    lowest_looked: float | None = None
    refractory_s: float = Field(gt=0)
    repeat_s: float = Field(gt=0)


class Texts(_Table):
    """What is spoken for one label: how many training clips, and the texts that train and that only measure."""

    clips: int = Field(gt=0)
    train: list[str] = Field(min_length=1)
    test: list[str] = Field(min_length=1)

    def unseen(self, at_least: int) -> int:
        """How many clips measure it."""
        return max(at_least, len(self.test))


class PhraseTexts(Texts):
    """One phrase: its spellings, and what a detection of it means.

    `margin` is added to its threshold where stage 1 decides alone: for words that ordinary sentences are full of. `words`
    are regular expressions that the second look knows it by; `opens` is the guidance case that it opens.
    """

    words: list[str] = Field(min_length=1)
    opens: str | None = None

    margin: float = Field(default=0.0, ge=0)
    grave: bool = False
    needs_repeat: bool = False
    covert: bool = False


class QuietTexts(Texts):
    """Speech that must raise nothing."""


class Recipe(_Table):
    """A whole `train.toml`; `real_files` bounds the real recordings of each part (all of them if not given)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    language: str
    seed: int
    cache: Path
    real_data: Path
    real_files: int | None = Field(default=None, gt=0)
    synthesis: Synthesis
    augmentation: Augmentation
    training: Training
    look_training: LookTraining
    second_look: SecondLookRules
    thresholds: Thresholds
    phrases: dict[str, PhraseTexts] = Field(min_length=1)
    quiet: dict[str, QuietTexts] = Field(min_length=1)

    def small(self) -> "Recipe":
        """The same recipe cut down to a few minutes: it proves the way, not the model."""
        return self.model_copy(
            update={
                "real_files": 80,
                "synthesis": self.synthesis.model_copy(update={"share": 0.05}),
                "augmentation": self.augmentation.model_copy(update={"variants": 2}),
                "training": self.training.model_copy(update={"heads": 1, "epochs": 30, "mined": 100}),
                "look_training": self.look_training.model_copy(update={"heads": 1, "mined": 40, "mistaken": 100}),
            }
        )


def read_recipe(path: Path) -> Recipe:
    """Parse `path`; RecipeError names the file, the place and the reason."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the recipe: {error.strerror}; give a train.toml that exists") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{path}: {place}: {first['msg']}") from error
