"""The training pipeline without its heavy dependencies: recipes, plans and the split of real speech."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from kiosk.detection import parse_manifest
from kiosk.listen.model import load_model, packaged_model
from kiosk.messages import Choice
from models.real_speech import Part, check_root, part_of, recordings
from models.recipe import Recipe, RecipeError, read_recipe
from models.synthesise import Clip, plan

RECIPE = Path("models/distress_en/train.toml")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(RECIPE)


def test_the_same_recipe_gives_the_same_plan(recipe: Recipe) -> None:
    assert plan(recipe, "train") == plan(read_recipe(RECIPE), "train")


OPENS = {
    "chest": Choice.CHEST_PAIN,
    "heart": Choice.CHEST_PAIN,
    "breathe": Choice.BREATHING,
    "fallen": Choice.FALL,
    "faint": Choice.SOMEONE_HURT,
    "ambulance": Choice.SOMEONE_HURT,
    "police": Choice.NOT_SAFE,
    "leave_alone": Choice.NOT_SAFE,
    "let_go": Choice.NOT_SAFE,
}


def test_each_phrase_of_recipe_and_model_opens_its_case(recipe: Recipe) -> None:
    assert {name: phrase.opens for name, phrase in recipe.phrases.items() if phrase.opens} == OPENS
    shipped = parse_manifest((RECIPE.parent / "manifest.json").read_bytes(), "manifest.json").phrases
    assert {phrase.id: phrase.opens for phrase in shipped if phrase.opens} == OPENS


def test_a_small_run_speaks_some_of_the_same_clips_of_every_label(recipe: Recipe) -> None:
    small = recipe.small()
    assert set(plan(small, "train")) < set(plan(recipe, "train"))
    assert {clip.label for clip in plan(small, "train")} == {*recipe.phrases, *recipe.quiet}


def test_every_sentence_that_measures_is_spoken(recipe: Recipe) -> None:
    spoken = {clip.text for clip in plan(recipe, "unseen")}
    assert spoken == {text for group in (*recipe.phrases.values(), *recipe.quiet.values()) for text in group.test}


def test_unseen_voices_and_sentences_never_train(recipe: Recipe) -> None:
    trained = {voice for clip in plan(recipe, "train") for voice in (clip.voice, clip.second_voice)}
    assert trained.isdisjoint(recipe.synthesis.unseen_voices)
    assert {clip.voice for clip in plan(recipe, "unseen")} <= set(recipe.synthesis.unseen_voices)
    for name in ("ordinary", "store", "confusable_sentences"):
        assert set(recipe.quiet[name].train).isdisjoint(recipe.quiet[name].test), name


def test_every_choice_that_shapes_a_clip_is_in_its_file_name() -> None:
    clip = Clip("help", "Help!", "af_bella", "am_adam", 0.5, 1.0)
    others = [
        Clip("help", "Help.", "af_bella", "am_adam", 0.5, 1.0),
        Clip("help", "Help!", "af_heart", "am_adam", 0.5, 1.0),
        Clip("help", "Help!", "af_bella", None, 0.5, 1.0),
        Clip("help", "Help!", "af_bella", "am_adam", 0.6, 1.0),
        Clip("help", "Help!", "af_bella", "am_adam", 0.5, 1.1),
    ]
    names = [one.file_name() for one in (clip, *others)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed = 7", "seed = 'seven'", "seed"),
        ("seed = 7", "seed = 7\ncolour = 'red'", "colour"),
        ("tilt = 0.5", "tilt = 1.5", "augmentation.tilt"),
        ("unseen_clips = 20", "unseen_clips = 0", "unseen_clips"),
        ("seed = 7", "seed = ", "not valid TOML"),
    ],
)
def test_a_bad_recipe_is_one_clear_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(RECIPE.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RecipeError, match=says) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_missing_recipe_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        read_recipe(tmp_path / "train.toml")


def test_the_split_is_by_speaker_and_about_half_trains(tmp_path: Path) -> None:
    for speaker, word in itertools.product(range(200), ("yes", "no")):
        path = tmp_path / "speech" / word / f"{speaker:08x}_nohash_0.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    parts = {part: recordings(tmp_path, "speech", part) for part in Part}
    assert sum(len(paths) for paths in parts.values()) == 400
    assert 150 < len(parts[Part.TRAIN]) < 250
    for path in parts[Part.TRAIN]:
        other = path.parent.parent / ("no" if path.parent.name == "yes" else "yes") / path.name
        assert part_of(other, tmp_path) is Part.TRAIN


def test_without_real_recordings_the_pipeline_knows_it(tmp_path: Path) -> None:
    assert not check_root(tmp_path / "nothing")
    assert recordings(tmp_path / "nothing", "speech", Part.TRAIN) == []
    with pytest.raises(RecipeError, match="no sound files"):
        check_root(tmp_path)


def test_the_packaged_model_hears_the_recipes_phrases(recipe: Recipe) -> None:
    manifest = load_model(packaged_model()).manifest
    assert [phrase.id for phrase in manifest.phrases] == list(recipe.phrases)
    assert [phrase.grave for phrase in manifest.phrases] == [texts.grave for texts in recipe.phrases.values()]
    figures = {figure.name: figure for figure in manifest.figures}
    assert figures["false_per_h"].n > 1, "hours of real speech stand beside the figure"


def test_listening_needs_nothing_of_training() -> None:
    code = (
        "import sys, kiosk.listen.process, kiosk.listen.cli; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"tensorflow", "keras", "scipy", "pyworld", "onnxruntime", "models", "kivy"} & set(loaded)
