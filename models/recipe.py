"""The types of a `train.toml`: one recipe holds every choice that shapes a model, so that the same file gives the same model."""

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class RecipeError(ValueError):
    """A recipe that cannot be trained; one line says what and where."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthesis(_Table):
    """How many clips are spoken, by which voices, and how fast; speeds are ratios of the voice's own pace.

    `planned` are drawn and the first `clips` of them are spoken, so that more can be added without losing any.
    """

    planned: int = Field(gt=0)
    clips: int = Field(gt=0)
    unseen_planned: int = Field(gt=0)
    unseen_clips: int = Field(gt=0)
    speed: tuple[float, float]
    unseen_speed: tuple[float, float]
    english_voices: list[str] = Field(min_length=2)
    accented_voices: list[str] = Field(min_length=1)
    unseen_voices: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.clips > self.planned or self.unseen_clips > self.unseen_planned:
            raise ValueError("clips cannot exceed planned; raise planned as well (the plan is then drawn anew)")
        return self

    def amounts(self, part: Literal["train", "unseen"]) -> tuple[int, int]:
        """How many clips of `part` are planned, and how many of them spoken."""
        return (self.planned, self.clips) if part == "train" else (self.unseen_planned, self.unseen_clips)


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
    """How the heads learn; `mined` worst real windows are shown again `mined_repeat` times in a second round."""

    heads: int = Field(gt=0, le=4)
    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    mined: int = Field(ge=0)
    mined_repeat: int = Field(ge=0)


class Thresholds(_Table):
    """What the thresholds are chosen for: false alarms per hour of real speech that training never read.

    `lowest` is the least score that may ever count, whatever little real speech there was.
    """

    false_per_h: float = Field(gt=0)
    lowest: float = Field(ge=0)
    refractory_s: float = Field(gt=0)
    repeat_s: float = Field(gt=0)


class PhraseTexts(_Table):
    """One phrase: its share of the clips, its spellings, and what a detection of it means.

    `margin` is added to its threshold: for words that ordinary sentences are full of.
    """

    weight: float = Field(gt=0)
    margin: float = Field(default=0.0, ge=0)
    grave: bool = False
    needs_repeat: bool = False
    train: list[str] = Field(min_length=1)
    test: list[str] = Field(min_length=1)


class QuietTexts(_Table):
    """Speech that must raise nothing."""

    weight: float = Field(gt=0)
    train: list[str] = Field(min_length=1)
    test: list[str] = Field(min_length=1)


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
    thresholds: Thresholds
    phrases: dict[str, PhraseTexts] = Field(min_length=1)
    quiet: dict[str, QuietTexts] = Field(min_length=1)

    def small(self) -> "Recipe":
        """The same recipe cut down to a few minutes: it proves the way, not the model."""
        return self.model_copy(
            update={
                "real_files": 80,
                "synthesis": self.synthesis.model_copy(update={"clips": 90, "unseen_clips": 40}),
                "augmentation": self.augmentation.model_copy(update={"variants": 2}),
                "training": self.training.model_copy(update={"heads": 1, "epochs": 30, "mined": 100}),
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
