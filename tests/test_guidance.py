"""The guidance as data: every choice has steps, every step a source, and nothing says more than the facts allow."""

import pytest

from kiosk.guidance import CASES, Case, Step
from kiosk.messages import Choice

STEPS = [(choice, step) for choice, case in CASES.items() for step in case.steps]


@pytest.mark.parametrize("choice", Choice)
def test_every_choice_has_a_few_steps_that_nobody_has_signed_off_yet(choice: Choice) -> None:
    case: Case = CASES[choice]
    assert 3 <= len(case.steps) <= 4
    assert case.sign_off == "none yet"


@pytest.mark.parametrize(("choice", "step"), STEPS)
def test_a_step_is_short_calm_and_names_its_source(choice: Choice, step: Step) -> None:
    assert step.source, choice
    assert 1 <= len(step.body) <= 2
    for line in (step.headline, *step.body):
        assert len(line.split()) <= 12
        assert "!" not in line
        assert "{" not in line.format(number="112")


def test_what_must_not_be_said_is_not_said() -> None:
    words = " ".join(line for _, step in STEPS for line in (step.headline, *step.body)).lower()
    for never in ("aspirin", "tablet", "panic", "on the way", "breathe in", "calm down"):
        assert never not in words


def test_nothing_gives_away_a_person_who_does_not_feel_safe() -> None:
    case = CASES[Choice.NOT_SAFE]
    words = " ".join([case.title, case.told, *(line for step in case.steps for line in (step.headline, *step.body))])
    for giveaway in ("safe", "danger", "threat", "rob", "police"):
        assert giveaway not in words.lower()
