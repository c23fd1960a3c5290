"""Decisions from scores: thresholds, peaks, repeats, refractory time, grave phrases; and manifests that cannot be used."""

import itertools
import json
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.detection import Decider, Heard, Manifest, ManifestError, ScoreError, parse_manifest, phrase_scores

HOP_S = 0.08
IDS = ("help", "ambulance", "police")


def manifest_dict() -> dict[str, object]:
    return {
        "v": 1,
        "name": "test",
        "language": "en",
        "made": "2026-01-31",
        "licence": "Apache-2.0",
        "model": "test.tflite",
        "sha256": "0" * 64,
        "front_end": "google-speech-embedding",
        "sample_rate_hz": 16000,
        "window": {"frames": 16, "features": 96, "hop_s": 0.08},
        "refractory_s": 3.0,
        "repeat_s": 5.0,
        "phrases": [
            {"id": "help", "threshold": 2.0, "needs_repeat": True, "strong_threshold": 5.0},
            {"id": "ambulance", "threshold": 3.0, "grave": True, "grave_threshold": 6.0},
            {"id": "police", "threshold": 3.0},
        ],
        "never_tested": ["real panic"],
    }


def manifest() -> Manifest:
    return parse_manifest(json.dumps(manifest_dict()), "manifest.json")


def said(decider: Decider, phrase: str, score: float, at_s: float) -> list[Heard]:
    """One saying of a phrase: its score climbs, peaks and falls again; the others stay low."""
    heard = []
    for step, share in enumerate((0.3, 0.7, 1.0, 0.6, 0.0, 0.0, 0.0, 0.0)):
        scores = [-8.0] * len(IDS)
        scores[IDS.index(phrase)] = -8.0 + share * (score + 8.0)
        decision = decider.hear(at_s + step * HOP_S, scores)
        if decision is not None:
            heard.append(decision)
    return heard


def test_a_phrase_is_heard_once_at_its_peak() -> None:
    [heard] = said(Decider(manifest()), "police", 4.0, 10.0)
    assert (heard.phrase, heard.grave, heard.strong) == ("police", False, False)
    assert (heard.t_s, heard.score) == pytest.approx((10.16, 4.0))


def test_below_its_threshold_nothing_is_heard() -> None:
    assert said(Decider(manifest()), "police", 2.9, 0.0) == []


def test_each_phrase_has_its_own_threshold() -> None:
    decider = Decider(manifest())
    assert [h.phrase for h in said(decider, "ambulance", 3.1, 0.0)] == ["ambulance"]


def test_a_grave_phrase_is_strong_only_above_its_own_threshold() -> None:
    assert [(h.grave, h.strong) for h in said(Decider(manifest()), "ambulance", 5.9, 0.0)] == [(True, False)]
    assert [(h.grave, h.strong) for h in said(Decider(manifest()), "ambulance", 6.1, 0.0)] == [(True, True)]


def test_bare_help_once_is_not_enough() -> None:
    assert said(Decider(manifest()), "help", 4.9, 0.0) == []


def test_bare_help_twice_within_five_seconds_is_heard() -> None:
    decider = Decider(manifest())
    assert said(decider, "help", 3.0, 0.0) == []
    assert [h.phrase for h in said(decider, "help", 3.0, 4.0)] == ["help"]


def test_a_long_drawn_call_for_help_counts_as_a_repeat_once() -> None:
    decider = Decider(manifest())
    heard = [h for hop in range(100) if (h := decider.hear(hop * HOP_S, (3.0, -8.0, -8.0)))]
    assert [(h.phrase, 2.0 < h.t_s < 3.5) for h in heard] == [("help", True)]


def test_bare_help_twice_too_far_apart_is_not_heard() -> None:
    decider = Decider(manifest())
    assert said(decider, "help", 3.0, 0.0) == []
    assert said(decider, "help", 3.0, 6.0) == []


def test_loud_and_clear_help_once_is_heard() -> None:
    assert [h.phrase for h in said(Decider(manifest()), "help", 5.1, 0.0)] == ["help"]


def test_within_the_refractory_time_nothing_more_is_heard() -> None:
    decider = Decider(manifest())
    assert said(decider, "police", 4.0, 0.0)
    assert said(decider, "police", 4.0, 1.5) == []
    assert said(decider, "police", 4.0, 4.0)


def test_a_clear_grave_phrase_breaks_into_the_refractory_time() -> None:
    decider = Decider(manifest())
    assert said(decider, "police", 4.0, 0.0)
    assert [h.phrase for h in said(decider, "ambulance", 7.0, 1.5)] == ["ambulance"]


def test_a_score_that_stays_high_is_one_detection() -> None:
    decider = Decider(manifest())
    heard = [decider.hear(hop * HOP_S, (-8.0, -8.0, 5.0)) for hop in range(200)]
    assert sum(one is not None for one in heard) == 1


def test_a_short_phrase_gives_way_to_a_longer_one_that_follows_at_once() -> None:
    decider = Decider(manifest())
    steps = [(3.0, -8.0, -8.0), (2.5, 1.0, -8.0), (-8.0, 7.0, -8.0), (-8.0, 2.0, -8.0)]
    heard = [h for hop, scores in enumerate(steps) if (h := decider.hear(hop * HOP_S, scores))]
    assert [(h.phrase, h.strong) for h in heard] == [("ambulance", True)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(ScoreError, match="install the model again"):
        Decider(manifest()).hear(0.0, (0.0, bad, 0.0))
    with pytest.raises(ScoreError):
        phrase_scores((0.5, bad, 0.5))


def test_the_likeliest_phrase_carries_the_odds_of_any_phrase() -> None:
    scores = phrase_scores((0.2, 0.5, 0.3))
    assert scores[0] == pytest.approx(math.log(0.8 / 0.2))
    assert scores[1] == pytest.approx(math.log(0.3 / 0.7))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda p: sum(p) > 0))
def test_any_probabilities_give_bounded_scores(weights: list[float]) -> None:
    scores = phrase_scores([w / sum(weights) for w in weights])
    assert all(-20 <= score <= 20 for score in scores)


@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 3), max_size=120))
def test_whatever_comes_detections_keep_their_distance_and_their_thresholds(hops: list[tuple[float, ...]]) -> None:
    decider, record = Decider(manifest()), manifest()
    heard = [h for hop, scores in enumerate(hops) if (h := decider.hear(hop * HOP_S, scores))]
    thresholds = {p.id: p.threshold for p in record.phrases}
    assert all(h.score >= thresholds[h.phrase] for h in heard)
    for before, after in itertools.pairwise(heard):
        assert after.t_s - before.t_s >= record.refractory_s or (after.strong and not before.strong)


def test_the_same_scores_give_the_same_decisions_after_a_reset() -> None:
    decider = Decider(manifest())
    first = said(decider, "ambulance", 7.0, 0.0)
    decider.reset()
    assert said(decider, "ambulance", 7.0, 0.0) == first


def test_a_good_manifest_is_read() -> None:
    assert manifest().made == date(2026, 1, 31)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "abc"}, "sha256"),
        ({"sample_rate_hz": 44100}, "sample_rate_hz"),
        ({"colour": "red"}, "colour"),
        ({"phrases": []}, "phrases"),
        ({"phrases": [{"id": "a", "threshold": 1, "grave": True}]}, "grave_threshold"),
        ({"phrases": [{"id": "a", "threshold": 3, "needs_repeat": True, "strong_threshold": 2}]}, "below threshold"),
        ({"phrases": [{"id": "a", "threshold": 1}, {"id": "a", "threshold": 1}]}, "twice"),
        ({"model": "../elsewhere.tflite"}, "model"),
        ({"never_tested": []}, "never_tested"),
        ({"v": 2}, "v"),
    ],
)
def test_a_bad_manifest_is_one_clear_line(change: dict[str, object], says: str) -> None:
    with pytest.raises(ManifestError, match=says) as caught:
        parse_manifest(json.dumps({**manifest_dict(), **change}), "/models/x/manifest.json")
    assert str(caught.value).startswith("/models/x/manifest.json: ")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_one_clear_line(content: bytes) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(content, "manifest.json")
    assert "\n" not in str(caught.value)
