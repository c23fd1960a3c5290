"""The guidance as data: every choice has steps, every step a source and a picture, and nothing says more than the facts allow."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from kiosk.guidance import CASES, GRAVEST_FIRST, GROUPS, Case, Pace, SignOff, Step, gravest, group_of, review
from kiosk.messages import Choice

PICTURES = Path(__file__).parent.parent / "kiosk/ui/pictures"
STEPS = [(choice, step) for choice, case in CASES.items() for step in case.steps]
SLOTS = {"number": "112", "police": "101", "defibrillator": "on the wall"}
BREATHLESS = frozenset({*GROUPS[Choice.CHEST_OR_BREATHING], *GROUPS[Choice.SOMEONE_HURT], *GROUPS, Choice.ROBBERY})
"""Cases in which breathing may be what is wrong, or in which nobody knows what is."""


def said(step: Step) -> list[str]:
    return [*step.lines(), step.spoken]


@pytest.mark.parametrize("choice", Choice)
def test_every_choice_has_a_few_steps_and_a_picture_and_nobody_has_signed_it_off_yet(choice: Choice) -> None:
    case: Case = CASES[choice]
    for country in ("GB", "US", ""):
        assert 3 <= len(case.shown_in(country)) <= 5
    assert (case.title, case.tile, case.picture) > ("", "", "")
    assert case.sign_off is None


@pytest.mark.parametrize(("choice", "step"), STEPS)
def test_a_step_is_short_calm_and_names_its_source(choice: Choice, step: Step) -> None:
    assert step.source, choice
    assert 1 <= len(step.body) <= 2
    for line in step.lines():
        assert len(line.split()) <= 12
        assert "!" not in line
        assert "{" not in line.format(**SLOTS)


@pytest.mark.parametrize(("choice", "step"), STEPS)
def test_what_depends_on_the_place_is_read_aloud_without_it(choice: Choice, step: Step) -> None:
    depends = any("{" in line for line in step.lines())
    assert not depends or step.spoken or not CASES[choice].aloud
    assert "{" not in step.spoken
    for sentence in re.split(r"(?<=[.?:]) ", step.spoken):
        assert len(sentence.split()) <= 12


def test_every_picture_is_drawn() -> None:
    wanted = {case.picture for case in CASES.values()} | {step.picture for _, step in STEPS}
    assert sorted(name for name in wanted if not (PICTURES / f"{name}.svg").is_file()) == []


def test_what_must_not_be_said_is_not_said() -> None:
    cases = [line for case in CASES.values() for line in (case.title, case.tile, case.told, case.heard)]
    words = " ".join([*cases, *(line for _, step in STEPS for line in said(step))]).lower()
    nevers = "aspirin tablet medicine panic calm relax worry fine hurry hospital dead die"
    for never in (*nevers.split(), "on the way", "is coming", "how you feel", "you will be"):
        assert not re.search(rf"\b{never}\b", words), never


def test_the_pace_of_breathing_is_nowhere_near_who_may_not_breathe_well() -> None:
    for choice in BREATHLESS:
        for step in CASES[choice].steps:
            assert step.pace is not Pace.BREATHING
            assert "breathe with" not in " ".join(said(step)).lower()


def test_who_is_overwhelmed_is_asked_for_chest_and_breath_first() -> None:
    first = CASES[Choice.OVERWHELMED].steps[0]
    assert first.pace is None
    assert "Chest pain, or hard to breathe?" in first.body


def test_the_beat_is_where_the_chest_is_pushed_and_the_clock_where_time_counts() -> None:
    paced = {pace: {choice for choice, step in STEPS if step.pace is pace} for pace in Pace}
    assert paced[Pace.CPR] == {Choice.COLLAPSE}
    assert paced[Pace.TIMER] == {Choice.SEIZURE}
    assert all(step.pace is Pace.TIMER for step in CASES[Choice.SEIZURE].steps)


@pytest.mark.parametrize("choice", [Choice.NOT_SAFE, Choice.ROBBERY])
def test_nothing_gives_away_a_person_who_may_not_be_safe(choice: Choice) -> None:
    case = CASES[choice]
    assert (case.told, case.heard, case.aloud) == ("", "", False)
    words = case.title.lower()
    if choice is Choice.NOT_SAFE:
        words = " ".join([words, *(line.lower() for step in case.steps for line in said(step))])
        words = words.replace("{police}", "999")  # a number, as it stands on the screen
    for giveaway in ("safe", "danger", "threat", "rob", "police", "theft", "afraid"):
        assert giveaway not in words


def test_what_is_grave_cannot_wait_in_any_of_its_cases() -> None:
    grave = {choice for choice, case in CASES.items() if case.grave}
    assert {Choice.COLLAPSE, Choice.CHOKING, Choice.CHEST_PAIN, Choice.BREATHING, Choice.STROKE} <= grave
    assert not grave & {Choice.PERSON, Choice.OVERWHELMED, Choice.LOST_CHILD, Choice.NOT_SAFE, Choice.SOMETHING_ELSE}
    for choice in grave:  # and says so, in every country
        for country in ("GB", "US", ""):
            steps = [CASES[choice].steps[at] for at in CASES[choice].shown_in(country)]
            assert any("{number}" in line for step in steps for line in step.lines()), choice


def test_the_inhaler_is_used_as_the_country_advises() -> None:
    def inhaler(country: str) -> list[str]:
        steps = [CASES[Choice.BREATHING].steps[at] for at in CASES[Choice.BREATHING].shown_in(country)]
        return [step.headline for step in steps if step.picture == "inhaler"]

    assert inhaler("GB") == ["Use your own inhaler. One puff."]
    assert inhaler("FR") == inhaler("") == ["Use your own inhaler, if you have one."]


def test_every_case_is_found_under_one_first_choice() -> None:
    assert set(GRAVEST_FIRST) == set(Choice)
    for group, cases in GROUPS.items():
        assert group_of(group) is group
        assert all(group_of(case) is group for case in cases)
    assert gravest([Choice.PERSON, Choice.CHOKING, Choice.FALL]) is Choice.CHOKING


def test_a_technician_is_told_what_a_clinician_has_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert review("GB") == f"guidance: {len(CASES)} cases, not yet reviewed by a clinician"
    signed = replace(CASES[Choice.FALL], sign_off=SignOff(by="Dr Example", country="GB", on="2026-12-01"))
    monkeypatch.setitem(CASES, Choice.FALL, signed)
    assert review("GB") == f"guidance: 1 of {len(CASES)} cases reviewed for GB, last by Dr Example on 2026-12-01"
    assert review("FR").endswith("not yet reviewed by a clinician")
