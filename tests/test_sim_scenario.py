"""Scenarios: the shipped ones hold, a wrong one fails where it is wrong, and no text breaks the reader."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.actions import ACTIONS, ActionError, read_action
from firmware_bridge.simulator.play import first_failure, play
from firmware_bridge.simulator.scenario import EVENTS, ScenarioError, read_scenario

SHIPPED = sorted((Path(__file__).parent / "scenarios").glob("*.sim"))
WORDS = [
    *ACTIONS,
    *EVENTS,
    "expect",
    "no",
    "within",
    "for",
    "stored",
    "host",
    "stop",
    "hub",
    "stores",
    "show",
    "covert",
]
WORDS += ["on", "off", "open", "light", "count=1", "3", "0.5", "10%"]


@pytest.mark.parts
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_scenario_holds(path: Path) -> None:
    scenario = read_scenario(path.read_text(encoding="utf-8"), path.name)
    assert first_failure(scenario, play(scenario)) is None


@pytest.mark.parts
@pytest.mark.parametrize(
    ("expects", "says"),
    [
        ("expect no Pressed for 1", "it came at 1.0"),
        ("expect Pressed input=covert within 1", "came Pressed boot_id="),
        ("expect LidOpened within 0.3", "came Pressed boot_id="),
        ("expect light off for 0.5", "it was on"),
        ("expect relay on within 0.5", "it was off all the time"),
        ("expect stored 1", "instead 0 were stored"),
    ],
)
def test_what_does_not_hold_is_told(expects: str, says: str) -> None:
    scenario = read_scenario(f"1 press\n1 {expects}\n2 release\n", "wrong")
    failure = first_failure(scenario, play(scenario))
    assert failure
    assert failure.startswith(f"line 2, 1 s, button: {expects}: instead ")
    assert says in failure


@pytest.mark.parts
def test_the_command_line_plays(tmp_path: Path) -> None:
    sim = [sys.executable, "-c", "from firmware_bridge.simulator.cli import app; app()", "play"]
    wrong = tmp_path / "wrong.sim"
    wrong.write_text("0.5 press\n0.5 expect stored 7\n")
    failed = subprocess.run([*sim, str(wrong)], capture_output=True, text=True, timeout=60, check=False)
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert failed.stderr.startswith(
        f"stayby sim: {wrong}, line 2, 0.5 s, button: expect stored 7: instead 0 were stored"
    )
    wrong.write_text("0.5 press\n0.6 expect light on within 0.5\n")
    held = subprocess.run([*sim, str(wrong)], capture_output=True, text=True, timeout=60, check=False)
    assert held.returncode == 0
    assert "    0.500  button  > press\n" in held.stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("press", "is no line: write TIME"),
        ("soon press", "'soon' is not a time"),
        ("0 dance", "nothing is called 'dance': there are press, release"),
        ("0 odd", "odd: a number from 0 to 5000 mV is missing; it goes odd [covert] MILLIVOLTS"),
        ("0 garble 101", "'101' is no number from 0 to 100 % of the bytes"),
        ("0 flood all", "say which: hub, unit, both, off"),
        ("0 host dies", "'dies' is none of stop, start, restart"),
        ("0 show sun", "is none of off, alert, alert-silent"),
        ("0 selftest now", "is too much"),
        ("0 press hard", "'hard' is too much"),
        ("0 expect", "it goes expect EVENT"),
        ("0 expect Rain within 1", "no event is called 'Rain': there are Pressed"),
        ("0 expect Pressed for 1", "it goes EVENT … within SECONDS, or no EVENT"),
        ("0 expect Pressed colour=red within 1", "'colour=red' is no field of Pressed: it has boot_id, input, count"),
        ("0 expect stored many", "'many' is no number of presses"),
        ("0 expect light dim within 1", "it goes light on within SECONDS"),
        ("0 expect no Pressed for ever", "'ever' is not a duration"),
    ],
)
def test_a_wrong_line_is_named(line: str, says: str) -> None:
    with pytest.raises(ScenarioError) as told:
        read_scenario(f"# a scenario\n\n{line}\n0 expect stored 0\n", "some.sim")
    assert str(told.value).startswith("some.sim, line 3: ")
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_time_never_goes_back_and_something_is_expected() -> None:
    with pytest.raises(ScenarioError, match=r"a, line 2: 1 s lies before 2 s"):
        read_scenario("2 press\n1 release", "a")
    with pytest.raises(ScenarioError, match="it would prove nothing"):
        read_scenario("2 press", "a")


@given(st.text() | st.lists(st.lists(st.sampled_from(["0", "1.5", "a:", *WORDS])).map(" ".join)).map("\n".join))
def test_no_text_breaks_the_reader(text: str) -> None:
    refused: list[str] = []
    try:
        scenario = read_scenario(text, "any")
    except ScenarioError as error:
        refused = str(error).splitlines()
    assert len(refused) == 1 or (scenario.expectations and scenario.units)


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=4))
def test_no_words_break_the_actions(words: list[str]) -> None:
    refused = ""
    try:
        read_action(words)
    except ActionError as error:
        refused = str(error)
    assert refused or words[0] in ACTIONS
