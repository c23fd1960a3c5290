"""The year's drills: due when they should be, never twice in a row, in words that anybody can play."""

import itertools
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.board.drills import BY_ID, SCENARIOS, Asked, Planned, Scenario, next_of, pair, plan, score, title_of
from kiosk.messages import OPENING, Choice
from tests.records_parts import NOW, kept

STORES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
AT = NOW.timestamp()


@settings(max_examples=40)
@given(STORES, st.integers(2020, 2090), st.integers(1, 365))
def test_the_calendar_of_two_years(store: str, year: int, every: int) -> None:
    both = [*plan(store, ("a", "b"), year, every), *plan(store, ("a", "b"), year + 1, every)]
    days = [(later.day - one.day).days for one, later in itertools.pairwise(both)]
    assert set(days) <= {every}
    assert both[0].day.year == year
    assert (both[0].day - date(year, 1, 1)).days < every or year == 2020
    assert all(one.scenario != later.scenario for one, later in itertools.pairwise(both))
    for first in range(len(both) - len(SCENARIOS)):
        assert len({one.scenario for one in both[first : first + len(SCENARIOS)]}) == len(SCENARIOS)
    assert both == [*plan(store, ("a", "b"), year, every), *plan(store, ("a", "b"), year + 1, every)]


def test_two_stores_do_not_play_the_same_on_the_same_day() -> None:
    one, other = plan("harbour", ("a",), 2026, 30), plan("station", ("a",), 2026, 30)
    assert {(drill.day, drill.scenario) for drill in one} != {(drill.day, drill.scenario) for drill in other}


def test_every_desk_has_its_turn() -> None:
    assert {one.unit for one in plan("harbour", ("a", "b", "c"), 2026, 14)} == {"a", "b", "c"}
    assert {one.unit for one in plan("harbour", (), 2026, 14)} == {""}


def test_the_next_one_is_today_or_later() -> None:
    planned = plan("harbour", (), 2026, 30)
    assert next_of(planned, planned[3].day) == planned[3]
    assert next_of(planned, date(2027, 1, 1)) is None
    assert isinstance(planned[0], Planned)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.id)
def test_a_scenario_can_be_played_by_anybody(scenario: Scenario) -> None:
    lines = [*scenario.says, *scenario.does, *scenario.good, *scenario.questions]
    assert all(len(line.split()) <= 16 for line in lines)
    assert 4 <= len(scenario.good) <= 6
    assert scenario.source.startswith("GUIDANCE.md, ")
    assert all(question.endswith("?") for question in scenario.questions)
    assert len(scenario.questions) == 2


def test_every_case_that_staff_must_recognise_is_played() -> None:
    assert {"chest", "breath", "threat", "lost_child", "grief"} <= set(BY_ID)
    medical = {Choice.CHOKING, Choice.COLLAPSE, Choice.BLEEDING, Choice.SEIZURE, Choice.STROKE, Choice.FALL}
    assert {one.value for one in medical | {Choice.ROBBERY, Choice.LOST_CHILD, Choice.OVERWHELMED}} <= set(BY_ID)


# --- how one went -----------------------------------------------------------------------------------------------------


def asked(**facts: object) -> Asked:
    return Asked.model_validate(
        {"drill": "drill-1", "unit": "desk-3", "scenario": "chest", "by": "sam", "at_s": AT, **facts}
    )


def test_a_drill_is_scored_by_what_happened_and_what_was_said() -> None:
    found = score(asked(ticked=(0, 2)), kept(AT, id="drill-1", drill=True))
    assert (found.seen_s, found.answer_s, found.arrived_s, found.said_right, found.said_of) == (1.0, 8.0, 40.0, 2, 5)
    assert found.says == "Answered after 8 s."


def test_a_drill_that_came_to_nothing_says_so() -> None:
    assert score(asked(), None).says == "It did not begin: the desk did not take it."
    assert score(asked(scenario=OPENING), None).says == "Nobody pressed the button."
    unsaid = "Answered after 8 s. Nobody touched “Yes, it is the test”: it stays a call."
    assert score(asked(scenario=OPENING), kept(AT, id="drill-1", drill=False)).says == unsaid
    assert score(asked(scenario=OPENING), kept(AT, id="drill-1", drill=True)).says == "Answered after 8 s."
    silent = kept(AT, id="drill-1", drill=True, answer_s=None, arrived_s=None)
    assert score(asked(), silent).says == "Nobody answered."
    assert score(asked(), silent.model_copy(update={"closed_s": None})).says == "It is running."
    assert score(asked(), kept(AT, drill=True, arrived_s=None)).says == "Answered after 8 s; nobody arrived."


def test_what_was_only_just_begun_is_not_called_failed() -> None:
    assert score(asked(), None, now_s=AT + 2).says == "Waiting for the desk to begin it."
    assert score(asked(), None, now_s=AT + 20).says == "It did not begin: the desk did not take it."
    assert score(asked(scenario=OPENING), None, now_s=AT + 60).says == "Waiting for the press of the button."
    assert not score(asked(), kept(AT, drill=True), now_s=AT + 2).waiting


def test_one_that_the_unit_began_by_itself_is_in_the_list_too() -> None:
    found = pair([asked()], [kept(AT + 60, id="other", drill=True, scenario="made_up_here")], {"desk-3": "Desk 3"})
    assert [(one.title, one.began, one.place) for one in found] == [
        ("made up here", True, "Service desk 3"),
        ("A tight chest", False, "Desk 3"),
    ]


def test_a_drill_that_became_real_is_a_drill_no_more_but_was_asked_for() -> None:
    (found,) = pair([asked()], [kept(AT, id="drill-1", drill=False)], {})
    assert found.began


def test_titles() -> None:
    assert title_of(OPENING) == "Opening press"
    assert title_of(None) == "Drill"


def test_nothing_known_is_no_drill() -> None:
    with pytest.raises(ValueError, match="known"):
        score(None, None)
