"""Plain-text scenarios for simulated units: what happens when, and what must come of it. Pure.

    # everything behind a # is a remark
    0.0          press                                      # TIME in seconds since the start, never going back, and what
    0.0          expect Pressed input=open within 0.1       # this must be told within so many seconds from TIME on
    0.5  desk-2: press covert                               # a second unit: its name and a colon; without, it is "button"
    0.5  desk-2: expect no LoopFault for 2                  # this must not
    0.5  desk-2: expect light off for 2                     # light, buzzer, relay: "off for", or "on within"
    9.0          expect stored 1                            # so many presses has the hub by now, each once

Beside the actions of `actions.py` there are: host stop|start|restart, hub stores|hesitates, show BEACON, selftest.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, get_args

from firmware_bridge.events import ButtonEvent, PressId
from firmware_bridge.protocol import Beacon
from firmware_bridge.simulator.actions import ACTIONS, ActionError, Do, read_action

if TYPE_CHECKING:
    from firmware_bridge.simulator.desk import VirtualDesk

EVENTS = {event.__name__: event for event in get_args(ButtonEvent)}
OUTPUTS = {"light": "led", "buzzer": "buzzer", "relay": "relay"}
THE_UNIT = "button"
TIME_MAX_S = 100_000.0
_LINE = re.compile(r"(?P<time>\S+)\s+(?:(?P<unit>[A-Za-z0-9_-]+):\s+)?(?P<rest>.+)")
_TIME = re.compile(r"\d{1,6}(\.\d{1,6})?")

DoDesk = Callable[["VirtualDesk"], None]


class ScenarioError(ValueError):
    """A line that is none; one line of text says where, what, and what is possible."""


@dataclass(frozen=True)
class Line:
    """One line: its number, its time, whom it is about, and its words."""

    line: int
    at_s: float
    unit: str
    text: str


@dataclass(frozen=True)
class Step(Line):
    """Something is done."""

    do: DoDesk


@dataclass(frozen=True)
class Expectation(Line):
    """Something must be seen between `at_s` and `until_s`, or must not."""

    until_s: float


@dataclass(frozen=True)
class ExpectEvent(Expectation):
    """An event, or none, whose fields read so."""

    event: str
    having: tuple[tuple[str, str], ...]
    comes: bool

    def fits(self, event: ButtonEvent) -> bool:
        """Whether this event is meant."""
        said = dict(fields_of(event))
        return type(event).__name__ == self.event and all(said[name] == value for name, value in self.having)


@dataclass(frozen=True)
class ExpectOutput(Expectation):
    """Light, buzzer or relay is on at some moment, or at none."""

    output: str
    on: bool


@dataclass(frozen=True)
class ExpectStored(Expectation):
    """So many presses are with the hub, none of them twice."""

    presses: int


@dataclass(frozen=True)
class Scenario:
    """All lines, in their order."""

    steps: tuple[Step, ...]
    expectations: tuple[Expectation, ...]

    @property
    def units(self) -> tuple[str, ...]:
        """The units by name, in the order of their first line."""
        lines: list[Line] = sorted([*self.steps, *self.expectations], key=lambda line: line.line)
        return tuple(dict.fromkeys(line.unit for line in lines))

    @property
    def ends_s(self) -> float:
        """When the last expectation is decided."""
        return max([step.at_s for step in self.steps] + [expectation.until_s for expectation in self.expectations])


def field_names(event: type[ButtonEvent]) -> list[str]:
    """Return what may be said about such an event; a press is told apart by the parts of its name."""
    names = [field.name for field in fields(event)]
    return [*PressId._fields, *names[1:]] if names[0] == "press_id" else names


def fields_of(event: ButtonEvent) -> list[tuple[str, str]]:
    """Return the fields of an event as a scenario spells them: enums by name, no spaces."""
    return [(name, _spell(getattr(event, name))) for name in field_names(type(event))]


def _spell(value: object) -> str:
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-")
    return str(value).lower().replace(" ", "-")


# ---- reading ----


def read_scenario(text: str, name: str) -> Scenario:
    """Read a scenario; `name` is for errors. Raises ScenarioError."""
    steps: list[Step] = []
    expectations: list[Expectation] = []
    last_s = 0.0
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#", 1)[0].strip()
        if not bare:
            continue
        try:
            at_s, unit, words = _split(bare, last_s)
            last_s = at_s
            if words[0] == "expect":
                expectations.append(_expectation(words[1:], number, at_s, unit))
            else:
                steps.append(Step(number, at_s, unit, " ".join(words), _step(words)))
        except (ScenarioError, ActionError) as error:
            raise ScenarioError(f"{name}, line {number}: {error}") from None
    if not expectations:
        raise ScenarioError(f"{name}: no line says what to expect, so it would prove nothing: add TIME expect …")
    return Scenario(tuple(steps), tuple(expectations))


def _split(line: str, last_s: float) -> tuple[float, str, list[str]]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ScenarioError(f"{line!r} is no line: write TIME [UNIT:] ACTION, or TIME [UNIT:] expect …")
    at_s = _seconds(found["time"], "a time")
    if at_s < last_s:
        raise ScenarioError(f"{at_s:g} s lies before {last_s:g} s of the line above: bring the lines in order")
    return at_s, found["unit"] or THE_UNIT, found["rest"].split()


def _seconds(word: str, what: str) -> float:
    if not _TIME.fullmatch(word) or float(word) > TIME_MAX_S:
        raise ScenarioError(f"{word!r} is not {what}: write seconds from 0 to {TIME_MAX_S:g}, such as 0.25")
    return float(word)


def _on_unit(do: Do) -> DoDesk:
    return lambda desk: do(desk.unit)


def _step(words: list[str]) -> DoDesk:
    desk_action = _DESK_ACTIONS.get(words[0])
    if desk_action is not None:
        return desk_action(words[1:])
    if words[0] == "plug":
        return lambda desk: desk.plug_in()
    if words[0] in {"unplug", "replug"}:
        return _cable(words[0])
    if words[0] not in ACTIONS:
        raise ScenarioError(
            f"nothing is called {words[0]!r}: there are {', '.join([*ACTIONS, *_DESK_ACTIONS, 'expect'])}"
        )
    return _on_unit(read_action(words))


def _cable(word: str) -> DoDesk:
    def do(desk: "VirtualDesk") -> None:
        desk.unplug()
        if word == "replug":
            desk.plug_in()

    return do


def _choice(words: list[str], choices: dict[str, DoDesk]) -> DoDesk:
    if len(words) != 1 or words[0] not in choices:
        raise ScenarioError(f"{' '.join(words)!r} is none of {', '.join(choices)}")
    return choices[words[0]]


def _host(words: list[str]) -> DoDesk:
    return _choice(
        words,
        {
            "stop": lambda desk: desk.disconnect(),
            "start": lambda desk: desk.connect(),
            "restart": lambda desk: desk.connect(),
        },
    )


def _hub(words: list[str]) -> DoDesk:
    def stores(yes: bool) -> DoDesk:
        return lambda desk: desk.let_hub_store(yes)

    return _choice(words, {"stores": stores(True), "hesitates": stores(False)})


def _show(words: list[str]) -> DoDesk:
    def show(beacon: Beacon) -> DoDesk:
        return lambda desk: desk.set_beacon(beacon)

    return _choice(words, {_spell(beacon): show(beacon) for beacon in Beacon})


def _self_test(words: list[str]) -> DoDesk:
    if words:
        raise ScenarioError(f"{' '.join(words)!r} is too much: it goes selftest")
    return lambda desk: desk.session.self_test(desk.now_s)


_DESK_ACTIONS: dict[str, Callable[[list[str]], DoDesk]] = {
    "host": _host,
    "hub": _hub,
    "show": _show,
    "selftest": _self_test,
}


# ---- expectations ----


def _expectation(words: list[str], line: int, at_s: float, unit: str) -> Expectation:
    text = "expect " + " ".join(words)
    if len(words) == 2 and words[0] == "stored":  # noqa: PLR2004 - stored N
        if not words[1].isdecimal() or not words[1].isascii():
            raise ScenarioError(f"{words[1]!r} is no number of presses")
        return ExpectStored(line, at_s, unit, text, at_s, int(words[1]))
    comes = words[:1] != ["no"]
    rest, until_s = _window(words if comes else words[1:], at_s)
    if rest and rest[0][0] in OUTPUTS and comes:
        return _expect_output(*rest, line, at_s, until_s, unit, text)
    (name, *having), how = rest
    if name not in EVENTS:
        raise ScenarioError(f"no event is called {name!r}: there are {', '.join(EVENTS)}, {', '.join(OUTPUTS)}, stored")
    if (how == "within") is not comes:
        raise ScenarioError("it goes EVENT … within SECONDS, or no EVENT … for SECONDS")
    return ExpectEvent(line, at_s, unit, text, until_s, name, _having(name, having), comes)


def _window(words: list[str], at_s: float) -> tuple[tuple[list[str], str], float]:
    if len(words) < 3 or words[-2] not in {"within", "for"}:  # noqa: PLR2004 - what, within, seconds
        raise ScenarioError("it goes expect EVENT|OUTPUT … within|for SECONDS, or expect stored PRESSES")
    return (words[:-2], words[-2]), at_s + _seconds(words[-1], "a duration")


def _expect_output(
    words: list[str], how: str, line: int, at_s: float, until_s: float, unit: str, text: str
) -> ExpectOutput:
    if (words[1:], how) not in ((["on"], "within"), (["off"], "for")):
        raise ScenarioError(f"it goes {words[0]} on within SECONDS, or {words[0]} off for SECONDS")
    return ExpectOutput(line, at_s, unit, text, until_s, OUTPUTS[words[0]], on=how == "within")


def _having(event: str, words: list[str]) -> tuple[tuple[str, str], ...]:
    known = field_names(EVENTS[event])
    having = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise ScenarioError(f"{word!r} is no field of {event}: it has {', '.join(known)}, each as NAME=VALUE")
        having.append((name, value.lower()))
    return tuple(having)
