"""Decisions from scores: thresholds, peaks, repeats, second looks, refractory time; and manifests that cannot be used."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.detection import (
    LOOK_EVERY_S,
    LOOK_SOUND_S,
    SUSTAINED_S,
    WAIT_S,
    Candidate,
    Decider,
    Heard,
    Manifest,
    ManifestError,
    Parts,
    ScoreError,
    Verdict,
    Weights,
    active_probabilities,
    fuse,
    parse_manifest,
    phrase_scores,
    posteriors,
)
from kiosk.messages import Choice

HOP_S = 0.08
IDS = ("help", "ambulance", "police")
LOW = -8.0
Judge = Callable[[Candidate], Verdict | None]


def bars(threshold: float, **more: float) -> dict[str, float]:
    return {"threshold": threshold, **more}


def manifest_dict() -> dict[str, object]:
    return {
        "v": 2,
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
            {
                "id": "help",
                "alone": bars(2.0, strong_threshold=5.0),
                "looked": bars(1.0, strong_threshold=4.0),
                "needs_repeat": True,
            },
            {
                "id": "ambulance",
                "opens": "someone_hurt",
                "alone": bars(3.0, grave_threshold=6.0),
                "looked": bars(2.0, grave_threshold=5.0),
                "grave": True,
            },
            {"id": "police", "alone": bars(3.0), "looked": bars(2.0)},
            {"id": "angela", "alone": bars(3.0), "looked": bars(2.0), "covert": True},
            {"id": "umbrella", "alone": bars(3.0), "looked": bars(2.0), "covert": True},
        ],
        "second_look": {
            "gate": -1.0,
            "help_tokens": [1371, 8477],
            "words": {"ambulance": [r"\bambulance\b"], "help": [r"\bhelp\b"]},
            "ordinary": [r"can i help you"],
            "unless": [r"breathe"],
        },
        "never_tested": ["real panic"],
    }


def manifest() -> Manifest:
    return parse_manifest(json.dumps(manifest_dict()), "manifest.json")


def alone() -> Decider:
    return Decider(manifest())


def with_looks() -> Decider:
    return Decider(manifest(), second_look=True)


def strict(_candidate: Candidate) -> Verdict | None:
    return None


def fused(help_score: float = LOW, ambulance: float = LOW, police: float = LOW) -> Judge:
    """A second look that finds these scores whatever it looks at."""
    return lambda _candidate: Verdict((help_score, ambulance, police))


def run(decider: Decider, hops: Sequence[Sequence[float]], judge: Judge = strict, start_s: float = 0.0) -> list[Heard]:
    """Feed scores hop by hop, judge each candidate at once, and give what is heard."""
    heard = []
    for hop, scores in enumerate(hops):
        candidate = decider.hear(start_s + hop * HOP_S, scores)
        decision = decider.judge(candidate, judge(candidate)) if candidate else None
        if decision is not None:
            heard.append(decision)
    return heard


def candidates(decider: Decider, hops: Sequence[Sequence[float]]) -> list[tuple[float, Candidate]]:
    """Every candidate with the time at which it was given."""
    given = ((hop * HOP_S, decider.hear(hop * HOP_S, scores)) for hop, scores in enumerate(hops))
    return [(t_s, candidate) for t_s, candidate in given if candidate is not None]


def saying(phrase: str, score: float, quiet_hops: int = 5) -> list[tuple[float, ...]]:
    """The scores of one saying of a phrase: they climb, peak and fall again; those of the others stay low."""
    at = IDS.index(phrase)
    shares = (0.3, 0.7, 1.0, 0.6, *[0.0] * quiet_hops)
    return [tuple(LOW + share * (score - LOW) if i == at else LOW for i in range(3)) for share in shares]


def steady(seconds: float, help_score: float) -> list[tuple[float, ...]]:
    return [(help_score, LOW, LOW)] * round(seconds / HOP_S)


def said(decider: Decider, phrase: str, score: float, at_s: float, judge: Judge = strict) -> list[Heard]:
    return run(decider, saying(phrase, score), judge, at_s)


# --- stage 1 alone ----------------------------------------------------------------------------------------------------


def test_a_phrase_is_heard_once_at_its_peak() -> None:
    [heard] = said(alone(), "police", 4.0, 10.0)
    assert (heard.phrase, heard.grave, heard.strong) == ("police", False, False)
    assert (heard.t_s, heard.score) == pytest.approx((10.16, 4.0))


def test_below_its_threshold_nothing_is_heard() -> None:
    assert said(alone(), "police", 2.9, 0.0) == []


def test_each_phrase_has_its_own_threshold_and_opens_its_own_case() -> None:
    assert [(h.phrase, h.opens) for h in said(alone(), "ambulance", 3.1, 0.0)] == [("ambulance", Choice.SOMEONE_HURT)]


def test_a_grave_phrase_is_strong_only_above_its_own_threshold() -> None:
    assert [(h.grave, h.strong) for h in said(alone(), "ambulance", 5.9, 0.0)] == [(True, False)]
    assert [(h.grave, h.strong) for h in said(alone(), "ambulance", 6.1, 0.0)] == [(True, True)]


def test_bare_help_once_is_not_enough() -> None:
    assert said(alone(), "help", 4.9, 0.0) == []


def test_bare_help_twice_within_five_seconds_is_heard() -> None:
    decider = alone()
    assert said(decider, "help", 3.0, 0.0) == []
    assert [h.phrase for h in said(decider, "help", 3.0, 4.0)] == ["help"]


def test_a_long_drawn_call_for_help_counts_as_a_repeat_once() -> None:
    heard = run(alone(), steady(8.0, 3.0))
    assert [(h.phrase, 1.9 < h.t_s < 2.5) for h in heard] == [("help", True)]


@pytest.mark.parametrize("phrase", ["ambulance", "police"])
def test_bare_help_that_waits_for_its_repeat_does_not_hide_what_is_said_in_the_same_breath(phrase: str) -> None:
    def breath(score: float) -> list[tuple[float, ...]]:
        hops = zip(
            [*saying("help", 4.9), *steady(HOP_S, LOW)], [*steady(HOP_S, LOW), *saying(phrase, score)], strict=True
        )
        return [tuple(map(max, *both)) for both in hops]

    [heard] = run(alone(), breath(3.5))
    assert (heard.phrase, heard.score) == (phrase, 3.5)
    assert run(alone(), breath(2.9)) == []


def test_bare_help_twice_too_far_apart_is_not_heard() -> None:
    decider = alone()
    assert said(decider, "help", 3.0, 0.0) == []
    assert said(decider, "help", 3.0, 6.0) == []


def test_loud_and_clear_help_once_is_heard() -> None:
    assert [h.phrase for h in said(alone(), "help", 5.1, 0.0)] == ["help"]


def test_within_the_refractory_time_nothing_more_is_heard() -> None:
    decider = alone()
    assert said(decider, "police", 4.0, 0.0)
    assert said(decider, "police", 4.0, 1.5) == []
    assert said(decider, "police", 4.0, 4.0)


def test_a_clear_grave_phrase_breaks_into_the_refractory_time() -> None:
    decider = alone()
    assert said(decider, "police", 4.0, 0.0)
    assert [h.phrase for h in said(decider, "ambulance", 7.0, 1.5)] == ["ambulance"]


def test_a_score_that_stays_high_is_one_detection() -> None:
    assert len(run(alone(), [(LOW, LOW, 5.0)] * 200)) == 1
    assert len(run(with_looks(), [(LOW, LOW, 5.0)] * 200, fused(police=5.0))) == 1


def test_a_score_that_never_falls_does_not_deafen_for_good() -> None:
    assert len(run(with_looks(), [(LOW, LOW, 5.0)] * 500, fused(police=5.0))) == 2


def test_a_short_phrase_gives_way_to_a_longer_one_that_follows_at_once() -> None:
    hops = [(3.0, LOW, LOW), (2.5, 1.0, LOW), (LOW, 7.0, LOW), (LOW, 2.0, LOW)]
    assert [(h.phrase, h.strong) for h in run(alone(), hops)] == [("ambulance", True)]


# --- candidates for a second look -------------------------------------------------------------------------------------


def test_a_candidate_starts_at_the_gate_and_comes_half_a_second_after_its_peak() -> None:
    [(given_s, candidate)] = candidates(with_looks(), saying("police", 0.0, quiet_hops=20))
    assert given_s - candidate.t_s == pytest.approx(0.56), "the first hop at or after 0.5 s"
    assert candidate.scores[2] == candidate.best[2] == pytest.approx(0.0)
    assert candidate.sound_s == LOOK_SOUND_S


def test_below_the_gate_there_is_no_candidate() -> None:
    assert candidates(with_looks(), saying("police", -1.1, quiet_hops=20)) == []


def test_a_score_that_keeps_rising_is_given_at_last() -> None:
    hops = [(-1.0 + 0.1 * i, LOW, LOW) for i in range(20)]
    [(given_s, _)] = candidates(with_looks(), hops)
    assert given_s == pytest.approx(WAIT_S)


def test_while_the_score_hovers_only_a_clear_rise_is_looked_at_again() -> None:
    for step, looks in ((0.4, 1), (0.6, 2)):
        hops = [*steady(0.8, 0.0), *steady(0.9, step)]
        assert len(candidates(with_looks(), hops)) == looks


def test_of_one_saying_risen_candidates_are_no_new_saying() -> None:
    given = [c for _, c in candidates(with_looks(), [*steady(0.8, 0.0), *steady(0.9, 3.0)])]
    assert [(c.run, c.saying) for c in given] == [(1, 1), (1, 1)]


def test_after_a_fall_the_next_crossing_is_another_saying() -> None:
    given = [c for _, c in candidates(with_looks(), [*saying("help", 1.0, 12), *saying("help", 1.0, 12)])]
    assert [(c.run, c.saying) for c in given] == [(1, 1), (2, 2)]


def test_said_again_before_the_first_settled_is_a_candidate_of_its_own() -> None:
    given = [c for _, c in candidates(with_looks(), [*saying("help", 3.0, 1), *saying("help", 3.0, 20)])]
    assert [c.saying for c in given] == [1, 2]


def test_a_dip_that_is_no_fall_needs_two_seconds_for_another_saying() -> None:
    for quiet_s, sayings in ((0.8, [1]), (1.6, [1, 2])):
        hops = [*steady(0.8, 0.0), *steady(quiet_s, -1.5), *steady(0.8, 0.0)]
        assert [c.saying for _, c in candidates(with_looks(), hops)] == sayings


@pytest.mark.parametrize("room", [-2.5, -1.9, -1.2])
def test_in_a_room_that_stays_just_below_the_gate_a_call_right_after_another_sound_is_looked_at(room: float) -> None:
    def said_here(score: float) -> list[tuple[float, ...]]:
        return [(max(room, scores[0]), *scores[1:]) for scores in saying("help", score, 12)]

    given = [c for _, c in candidates(with_looks(), [*said_here(3.5), *said_here(3.5)])]
    assert [(c.run, c.saying) for c in given] == [(1, 1), (2, 2)]
    [heard] = run(with_looks(), [*said_here(3.5), *said_here(3.5)], fused(help_score=3.0))
    assert heard.t_s > 16 * HOP_S, "help twice is a call, and once is not"


def test_looks_start_at_most_once_a_second() -> None:
    hops = [*saying("help", 1.0, 1)] * 20
    times_s = [t_s for t_s, _ in candidates(with_looks(), hops)]
    assert len(times_s) > 5
    assert all(after - before >= LOOK_EVERY_S - 1e-6 for before, after in itertools.pairwise(times_s))


def test_a_model_without_a_second_look_decides_alone_whatever_is_asked() -> None:
    content = manifest_dict()
    content["second_look"] = None
    content["phrases"] = [{"id": i, "alone": bars(3.0)} for i in IDS]
    decider = Decider(parse_manifest(json.dumps(content), "manifest.json"), second_look=True)
    assert candidates(decider, saying("police", 2.9)) == []
    assert [h.phrase for h in said(decider, "police", 3.1, 5.0)] == ["police"]


# --- judging with a second look ---------------------------------------------------------------------------------------

LOUD = saying("help", 6.0, quiet_hops=12)


def test_the_verdict_decides_and_not_the_first_score() -> None:
    assert run(with_looks(), LOUD, fused(police=1.9)) == []
    [heard] = run(with_looks(), LOUD, fused(police=2.1))
    assert (heard.phrase, heard.score) == ("police", 2.1)


def test_a_faint_score_is_heard_when_the_second_look_is_sure() -> None:
    assert [h.phrase for h in run(with_looks(), saying("help", -0.9, 12), fused(help_score=4.1))] == ["help"]


def test_without_a_verdict_the_strict_thresholds_of_stage_1_hold() -> None:
    faint, clear = saying("ambulance", 2.9, 12), saying("ambulance", 3.1, 12)
    assert run(with_looks(), faint) == []
    assert [(h.phrase, h.strong) for h in run(with_looks(), clear)] == [("ambulance", False)]
    assert [h.strong for h in run(with_looks(), saying("ambulance", 6.0, 12))] == [True]


def test_after_a_look_the_highest_phrase_that_passes_its_own_bar_is_it() -> None:
    [heard] = run(with_looks(), LOUD, fused(help_score=0.9, ambulance=5.0, police=4.0))
    assert (heard.phrase, heard.strong) == ("ambulance", True)
    assert run(with_looks(), LOUD, fused(help_score=3.0, police=2.5)) == [], "help once, not a call for the police"


def test_a_look_at_bare_help_needs_a_repeat_or_its_strong_threshold() -> None:
    assert run(with_looks(), LOUD, fused(help_score=3.9)) == []
    assert [h.phrase for h in run(with_looks(), LOUD, fused(help_score=4.0))] == ["help"]
    assert [h.phrase for h in run(with_looks(), [*LOUD, *LOUD], fused(help_score=3.0))] == ["help"]


def test_one_loud_cry_is_never_its_own_repeat() -> None:
    cry = [*steady(0.7, 1.0), *steady(0.7, 4.0), *steady(0.5, 5.5), *steady(2.0, LOW)]
    given = candidates(with_looks(), cry)
    assert len(given) > 1, "it is looked at more than once"
    assert run(with_looks(), cry, fused(help_score=3.9)) == []


def test_the_look_at_a_repeat_reads_only_sound_that_came_after_the_first_saying() -> None:
    decider = with_looks()
    first: list[tuple[float, Candidate]] = []
    second: list[tuple[float, Candidate]] = []
    for hop, scores in enumerate([*LOUD, *LOUD]):
        candidate = decider.hear(hop * HOP_S, scores)
        if candidate is not None:
            (first if not first else second).append((hop * HOP_S, candidate))
            decider.judge(candidate, Verdict((3.0, LOW, LOW)))
    [(_, one)], [(given_s, two)] = first, second
    assert one.sound_s == LOOK_SOUND_S
    assert two.sound_s == pytest.approx(given_s - one.t_s)


def test_after_something_that_was_no_call_a_look_reads_all_of_the_sound() -> None:
    decider = with_looks()
    sounds = []
    for hop, scores in enumerate([*LOUD, *LOUD]):
        candidate = decider.hear(hop * HOP_S, scores)
        if candidate is not None:
            sounds.append(candidate.sound_s)
            decider.judge(candidate, Verdict((LOW, LOW, LOW)))
    assert sounds == [LOOK_SOUND_S] * 2


def test_help_help_help_without_a_breath_counts_within_two_seconds() -> None:
    decider, times_s = with_looks(), []
    for hop, scores in enumerate(steady(6.0, 3.0)):
        candidate = decider.hear(hop * HOP_S, scores)
        if candidate is not None and decider.judge(candidate, Verdict((3.0, LOW, LOW))):
            times_s.append(hop * HOP_S)
            assert 1.0 < candidate.sound_s < SUSTAINED_S, "it is judged without the first word"
    assert times_s == [pytest.approx(SUSTAINED_S)]


def test_a_grave_phrase_after_a_look_breaks_in_and_a_lesser_one_does_not() -> None:
    decider = with_looks()
    assert run(decider, LOUD, fused(police=3.0))
    assert run(decider, LOUD, fused(ambulance=4.9), start_s=1.5) == []
    assert [h.phrase for h in run(decider, LOUD, fused(ambulance=5.0), start_s=2.9)] == ["ambulance"]


def test_losing_the_second_look_in_mid_stream_changes_to_the_strict_thresholds() -> None:
    decider = with_looks()
    assert run(decider, LOUD, fused()) == []
    decider.second_look = False
    assert run(decider, saying("police", 2.9), start_s=3.0) == []
    assert [h.phrase for h in run(decider, saying("police", 3.1), start_s=4.0)] == ["police"]


# --- covert phrases ---------------------------------------------------------------------------------------------------


def test_covert_phrases_that_were_not_chosen_are_not_there() -> None:
    assert [p.id for p in alone().phrases] == list(IDS)
    decider = Decider(manifest(), covert_phrase="umbrella")
    assert [p.id for p in decider.phrases] == [*IDS, "umbrella"]
    [heard] = run(decider, [(LOW, LOW, LOW, 4.0), (LOW,) * 4])
    assert (heard.phrase, heard.covert) == ("umbrella", True)


@pytest.mark.parametrize("wrong", ["police", "nobody"])
def test_an_unknown_covert_phrase_is_refused_with_those_it_knows(wrong: str) -> None:
    with pytest.raises(ManifestError, match="it knows angela, umbrella"):
        Decider(manifest(), covert_phrase=wrong)


def test_what_an_inactive_phrase_has_goes_to_none() -> None:
    assert active_probabilities((0.1, 0.2, 0.3, 0.4), (0, 2)) == pytest.approx((0.4, 0.2, 0.4))


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(ScoreError, match="install the model again"):
        alone().hear(0.0, (0.0, bad, 0.0))
    with pytest.raises(ScoreError):
        phrase_scores((0.5, bad, 0.5))
    [(_, candidate)] = candidates(with_looks(), LOUD)
    with pytest.raises(ScoreError):
        with_looks().judge(candidate, Verdict((0.0, bad, 0.0)))


def test_the_likeliest_phrase_carries_the_odds_of_any_phrase() -> None:
    scores = phrase_scores((0.2, 0.5, 0.3))
    assert scores[0] == pytest.approx(math.log(0.8 / 0.2))
    assert scores[1] == pytest.approx(math.log(0.3 / 0.7))


probabilities = (
    st.lists(st.floats(0, 1), min_size=4, max_size=4)
    .filter(lambda p: sum(p) > 1e-6)
    .map(lambda weights: [w / sum(weights) for w in weights])
)


@given(probabilities)
def test_any_probabilities_give_bounded_scores_and_come_back_from_them(given_: list[float]) -> None:
    scores = phrase_scores(given_)
    assert all(-20 <= score <= 20 for score in scores)
    assert posteriors(scores) == pytest.approx(given_[1:], abs=1e-6)


def parts(head: tuple[float, ...] | None, log_help: float = -3.0, matched: str | None = None) -> Parts:
    return Parts(head, log_help, matched, vetoed=False)


def test_the_fused_score_is_the_weighted_sum() -> None:
    phrases = alone().phrases
    one, two = (0.2, 0.6, 0.1, 0.1), (0.4, 0.3, 0.2, 0.1)
    verdict = fuse(Weights(), phrases, phrase_scores(one), parts(two))
    total = 0.6 * math.log(0.8 / 0.2) + 0.4 * math.log(0.6 / 0.4) - 0.35 * 3.0
    assert verdict.scores == pytest.approx((total, total + math.log(0.15 / 0.45), total + math.log(0.1 / 0.45)))


def test_words_that_mean_a_phrase_stand_for_help_and_raise_it() -> None:
    phrases, scores = alone().phrases, phrase_scores((0.5, 0.25, 0.125, 0.125))
    verdict = fuse(Weights(), phrases, scores, parts(None, matched="police"))
    assert verdict.scores == pytest.approx((1.0, 1.0 + math.log(0.5), 2.0 + math.log(0.5)))


def test_help_that_is_out_of_the_question_counts_no_lower_than_its_floor() -> None:
    phrases, scores = alone().phrases, phrase_scores((0.5, 0.25, 0.125, 0.125))
    assert fuse(Weights(), phrases, scores, parts(None, -50.0)).scores[0] == pytest.approx(-3.5)
    vetoed = Parts(None, -50.0, None, vetoed=True)
    assert fuse(Weights(), phrases, scores, vetoed).scores[0] == pytest.approx(-15.5)


@given(probabilities, probabilities, st.floats(-100, 0), st.sampled_from([None, *IDS]), st.booleans())
def test_any_parts_fuse_to_numbers(
    one: list[float], two: list[float], lp: float, match: str | None, veto: bool
) -> None:
    verdict = fuse(Weights(), alone().phrases, phrase_scores(one), Parts(tuple(two), lp, match, veto))
    assert all(math.isfinite(score) for score in verdict.scores)


def test_a_head_that_gives_nan_is_an_error() -> None:
    with pytest.raises(ScoreError):
        fuse(Weights(), alone().phrases, (0.0, 0.0, 0.0), parts((math.nan, 0.0, 0.0, 0.0)))


# --- promises ---------------------------------------------------------------------------------------------------------

streams = st.lists(st.tuples(*[st.floats(-20, 20)] * 3), max_size=120)


@given(streams, st.booleans())
def test_whatever_comes_detections_keep_their_distance_and_their_thresholds(
    hops: list[tuple[float, ...]], second_look: bool
) -> None:
    record = manifest()
    heard = run(Decider(record, second_look=second_look), hops)
    thresholds = {p.id: p.alone.threshold for p in record.phrases}
    assert all(h.score >= thresholds[h.phrase] and h.phrase in IDS for h in heard)
    for before, after in itertools.pairwise(heard):
        assert after.t_s - before.t_s >= record.refractory_s - 1e-6 or (after.strong and not before.strong)


@given(streams)
def test_whatever_comes_second_looks_are_bounded(hops: list[tuple[float, ...]]) -> None:
    given_ = candidates(with_looks(), hops)
    assert len(given_) <= 1 + len(hops) * HOP_S / LOOK_EVERY_S
    for t_s, candidate in given_:
        assert candidate.since_s <= candidate.t_s <= t_s <= candidate.since_s + max(WAIT_S, LOOK_EVERY_S) + HOP_S
        assert max(candidate.scores) >= -1.0
    numbers = [(c.run, c.saying) for _, c in given_]
    assert numbers == sorted(numbers)


@given(streams, st.lists(st.floats(-40, 20), min_size=3, max_size=3))
def test_whatever_a_look_says_bare_help_alone_needs_two_sayings(
    hops: list[tuple[float, ...]], found: list[float]
) -> None:
    decider = with_looks()
    found = [min(found[0], 3.9), LOW, LOW]
    sayings: set[int] = set()
    for hop, scores in enumerate(hops):
        candidate = decider.hear(hop * HOP_S, scores)
        if candidate is not None:
            sayings.add(candidate.saying)
            heard = decider.judge(candidate, Verdict(tuple(found)))
            assert heard is None or len(sayings) > 1


def test_the_same_scores_give_the_same_decisions_after_a_reset() -> None:
    decider = alone()
    first = said(decider, "ambulance", 7.0, 0.0)
    decider.reset()
    assert said(decider, "ambulance", 7.0, 0.0) == first


# --- manifests --------------------------------------------------------------------------------------------------------


def test_a_good_manifest_is_read() -> None:
    assert manifest().made == date(2026, 1, 31)


def look(**change: object) -> dict[str, object]:
    before = manifest_dict()["second_look"]
    assert isinstance(before, dict)
    return {"second_look": {**before, **change}}


A = {"id": "a", "alone": bars(1), "looked": bars(1)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "abc"}, "sha256"),
        ({"sample_rate_hz": 44100}, "sample_rate_hz"),
        ({"colour": "red"}, "colour"),
        ({"phrases": []}, "phrases"),
        ({"phrases": [{**A, "grave": True}]}, "grave_threshold"),
        ({"phrases": [{**A, "needs_repeat": True, "alone": bars(3, strong_threshold=2)}]}, "below threshold"),
        ({"phrases": [{**A, "needs_repeat": True, "alone": bars(3, strong_threshold=4)}]}, "strong_threshold"),
        ({"phrases": [{**A, "opens": "the door"}]}, "opens"),
        ({"phrases": [{"id": "a", "alone": bars(1)}]}, "give looked exactly when"),
        ({"phrases": [A, A], **look(words={})}, "twice"),
        ({"phrases": [{**A, "covert": True}], **look(words={})}, "not covert"),
        ({"phrases": [A] * 33}, "phrases"),
        ({"second_look": None}, "give looked exactly when"),
        (look(words={"nobody": ["x"]}), "nobody"),
        (look(words={"help": ["(unclosed"]}), "no regular expression"),
        (look(ordinary=["[a-"]), "second_look.ordinary: .* no regular expression"),
        (look(unless=["*"]), "second_look.unless"),
        (look(head="head.tflite"), "head and sha256"),
        (look(gate=99), "gate"),
        ({"model": "../elsewhere.tflite"}, "model"),
        ({"never_tested": []}, "never_tested"),
        ({"v": 1}, "v"),
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
