"""Curves, thresholds, margins and sets, with answers worked out by hand."""

import math
from pathlib import Path

import pytest

from kiosk.detection import Phrase, Thresholds
from models import curves, thresholds
from models.curves import Heard, Point
from models.recipe import Recipe, read_recipe
from models.sounds import Sound, Sounds, SoundsMissing, read_sounds, spread, voice_group, write_sounds
from models.thresholds import Levels, Moment
from models.traces import margins

HOUR_S = 3600.0


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(Path("models/distress_en/train.toml"))


def quiet(*scores: float, hours: float = 1.0) -> Heard:
    return Heard("quiet", hours * HOUR_S, scores)


def said(*scores: float, label: str = "help") -> Heard:
    return Heard(label, 2.0, scores)


def test_the_threshold_lets_just_as_many_false_alarms_through_as_allowed() -> None:
    files = [quiet(5.0, 1.0), quiet(3.0)]
    assert curves.false_count(files, curves.threshold_at(files, 1.0)) == 2
    assert 1.0 < curves.threshold_at(files, 1.0) <= 3.0
    assert curves.false_count(files, curves.threshold_at(files, 0.5)) == 1
    assert curves.threshold_at(files, 2.0) == -math.inf


def test_equal_scores_are_never_split() -> None:
    files = [quiet(2.0, 2.0, 2.0)]
    assert curves.false_count(files, curves.threshold_at(files, 1.0)) == 0


def test_a_file_without_any_score_is_never_found() -> None:
    spoken = [said(), said(1.0), said(3.0, 4.0)]
    assert curves.found(spoken, -math.inf).hits == 2
    assert curves.found(spoken, 3.5) == curves.share(1, 3)


def test_shares_carry_the_wilson_interval() -> None:
    all_of_ten = curves.share(10, 10)
    assert all_of_ten.value == 1.0
    assert all_of_ten.high == pytest.approx(1.0)
    assert all_of_ten.low == pytest.approx(0.722, abs=0.001)
    half = curves.share(50, 100)
    assert half.low == pytest.approx(0.404, abs=0.001)
    assert half.high == pytest.approx(0.596, abs=0.001)
    assert curves.share(0, 0).value == 0.0


def test_the_curve_goes_through_every_threshold_that_matters() -> None:
    points = curves.curve([said(4.0), said(2.0), said()], [quiet(3.0, 1.0, hours=2.0)])
    assert points == [
        Point(math.inf, 0.0, 0.0),
        Point(4.0, 0.0, 1 / 3),
        Point(3.0, 0.5, 1 / 3),
        Point(2.0, 0.5, 2 / 3),
        Point(1.0, 1.0, 2 / 3),
    ]


def test_a_thinned_curve_keeps_its_ends() -> None:
    points = [Point(-float(i), float(i), 0.0) for i in range(1000)]
    thin = curves.thin(points, 50)
    assert len(thin) == 50
    assert (thin[0], thin[-1]) == (points[0], points[-1])


PHRASES = (
    Phrase(id="help", alone=Thresholds(threshold=1.0, strong_threshold=3.0), needs_repeat=True),
    Phrase(id="police", alone=Thresholds(threshold=2.0)),
)


def margin(*heard: Moment) -> tuple[float, ...]:
    return margins(PHRASES, heard, repeat_s=5.0, refractory_s=3.0, looked=False)


def test_a_bare_call_is_measured_against_its_strong_threshold_and_a_repeat_against_the_lower_one() -> None:
    once = Moment(1.0, 1, (2.0, -5.0))
    assert margin(once) == (-1.0,)
    assert margin(once, Moment(3.0, 2, (2.5, -5.0))) == (1.0,)
    assert margin(once, Moment(3.0, 1, (2.5, -5.0))) == (-0.5,), "the same saying is no repeat"
    assert margin(once, Moment(9.0, 2, (2.5, -5.0))) == (-0.5, -1.0), "too late for a repeat"


def test_within_the_refractory_time_only_the_clearest_counts() -> None:
    assert margin(Moment(1.0, 1, (-9.0, 4.0)), Moment(2.0, 2, (-9.0, 6.0)), Moment(8.0, 3, (-9.0, 3.0))) == (4.0, 1.0)


def row(recipe: Recipe, **scores: float) -> Moment:
    return Moment(10.0, 1, tuple(scores.get(phrase, -9.0) for phrase in recipe.phrases))


def test_the_shared_level_lies_just_above_what_may_not_pass(recipe: Recipe) -> None:
    files = [[row(recipe, police=8.0)], [row(recipe, police=6.0)], [row(recipe, chest=5.0)]]
    found = thresholds.levels(recipe, list(recipe.phrases), files, hours=2.0)
    assert found.once == 5.01
    assert found.worst["police"] == 8.0
    assert found.grave == 7.01


def test_everyday_words_must_pass_by_their_margin_more(recipe: Recipe) -> None:
    files = [[row(recipe, help=8.0)]]
    found = thresholds.levels(recipe, list(recipe.phrases), files, hours=0.5)
    assert found.once == pytest.approx(8.01 - recipe.phrases["help"].margin)


def test_a_phrase_that_never_raised_a_false_alarm_may_count_sooner(recipe: Recipe) -> None:
    level = Levels(once=6.0, repeat=4.0, grave=9.0, worst={"police": 2.0, "chest": 5.5, "help": 5.0})
    made = {one.id: one.alone for one in thresholds.phrases(recipe, level, None)}
    assert made["police"].threshold == 3.5
    assert made["chest"].threshold == 6.0
    assert made["chest"].grave_threshold == 9.0
    assert made["faint"].threshold == 6.0, "a phrase of which nothing is known keeps the shared level"
    assert (made["help"].threshold, made["help"].strong_threshold) == (4.0, 6.5)


def test_without_any_alarm_the_lowest_level_of_the_recipe_holds(recipe: Recipe) -> None:
    found = thresholds.levels(recipe, list(recipe.phrases), [[]], hours=3.0)
    assert found.once == found.repeat == recipe.thresholds.lowest


def test_after_a_second_look_a_lower_level_may_hold(recipe: Recipe) -> None:
    lower = recipe.model_copy(update={"thresholds": recipe.thresholds.model_copy(update={"lowest_looked": -0.5})})
    ids = list(recipe.phrases)
    assert thresholds.levels(lower, ids, [[]], hours=3.0, looked=True).once == -0.5
    assert thresholds.levels(lower, ids, [[]], hours=3.0).once == recipe.thresholds.lowest


def test_voices_are_grouped_by_their_names() -> None:
    voices = ["af_nova", "bm_george", "hm_psi", "zf_xiaoyi"]
    assert [voice_group(voice) for voice in voices] == ["women", "men", "accents", "accents"]


def sound(label: str, voice: str, text: str = "Help!", file: str = "clips/a.flac") -> Sound:
    return Sound(label=label, file=file, text=text, voice=voice)


def test_a_spread_takes_other_voices_first() -> None:
    group = [sound("help", "a"), sound("help", "a"), sound("help", "b", "Help me!"), sound("police", "a")]
    assert [(one.label, one.voice) for one in spread(group, 2)] == [("help", "a"), ("help", "b"), ("police", "a")]


def test_the_list_of_sounds_comes_back_as_it_was_written(tmp_path: Path) -> None:
    sounds = Sounds(sets={"unseen": (sound("help", "af_nova"),)})
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.flac").touch()
    write_sounds(sounds, tmp_path)
    assert read_sounds(tmp_path) == sounds


def test_missing_sounds_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SoundsMissing, match=r"no measuring sounds .*; make them with"):
        read_sounds(tmp_path)
    write_sounds(Sounds(sets={"unseen": (sound("help", "af_nova"),)}), tmp_path)
    with pytest.raises(SoundsMissing, match=r"a\.flac: a measuring sound is gone"):
        read_sounds(tmp_path)
