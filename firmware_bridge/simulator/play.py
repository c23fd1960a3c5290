"""Plays a scenario in virtual time: each unit is the real machine code with a host's end of the link of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from firmware_bridge.events import ButtonEvent, Pressed
from firmware_bridge.simulator import OutputChange
from firmware_bridge.simulator.desk import VirtualDesk
from firmware_bridge.simulator.scenario import (
    OUTPUTS,
    Expectation,
    ExpectEvent,
    ExpectOutput,
    ExpectStored,
    Scenario,
    Step,
    fields_of,
)

SEED = 1


@dataclass
class Record:
    """What one unit and its host did, and when; times are seconds since the start."""

    steps: list[Step] = field(default_factory=list)
    events: list[ButtonEvent] = field(default_factory=list)
    changes: list[OutputChange] = field(default_factory=list)

    def lines(self) -> Iterator[tuple[float, str]]:
        """The record as text, not in order."""
        yield from ((step.at_s, f"> {step.text}") for step in self.steps)
        yield from ((event.at_s, says(event)) for event in self.events)
        names = {output: name for name, output in OUTPUTS.items()}
        yield from ((change.at_s, f"{names[change.name]} {'on' if change.on else 'off'}") for change in self.changes)

    def was_on(self, output: str, from_s: float, until_s: float) -> bool:
        """Whether the output was on at any moment between the two."""
        on = False
        for change in self.changes:
            if change.name != output:
                continue
            if on and change.at_s >= from_s:
                return True
            if change.at_s > until_s:
                return False
            on = change.on
        return on


def says(event: ButtonEvent) -> str:
    """One line about an event: its name and fields, without the time."""
    return " ".join([type(event).__name__, *(f"{name}={value}" for name, value in fields_of(event) if name != "at_s")])


def play(scenario: Scenario, seed: int = SEED) -> dict[str, Record]:
    """Play it; return what happened, by unit. Each unit is alone with its host, so they run one after the other."""
    return {unit: _play_unit(scenario, unit, seed + number) for number, unit in enumerate(scenario.units)}


def _play_unit(scenario: Scenario, unit: str, seed: int) -> Record:
    record = Record()
    with VirtualDesk(seed) as desk:
        desk.connect()
        for step in (step for step in scenario.steps if step.unit == unit):
            desk.run(max(0.0, step.at_s - desk.now_s))
            step.do(desk)
            record.steps.append(step)
        desk.run(max(0.0, scenario.ends_s - desk.now_s) + 0.001)
        record.events = desk.events
        record.changes = desk.unit.take_changes()
    return record


def first_failure(scenario: Scenario, records: dict[str, Record]) -> str | None:
    """Return what the first expectation says that does not hold, and what was instead; None when all hold."""
    for expectation in scenario.expectations:
        instead = _instead(expectation, records[expectation.unit])
        if instead is not None:
            where = f"line {expectation.line}, {expectation.at_s:g} s, {expectation.unit}"
            return f"{where}: {expectation.text}: instead {instead}"
    return None


def _instead(expectation: Expectation, record: Record) -> str | None:
    match expectation:
        case ExpectEvent():
            return _instead_of_event(expectation, record)
        case ExpectOutput():
            on = record.was_on(expectation.output, expectation.at_s, expectation.until_s)
            return None if on is expectation.on else f"it was {'on' if on else 'off all the time'}"
        case ExpectStored():
            return _instead_of_stored(expectation, record)
    raise TypeError(f"nobody judges {expectation}")


def _instead_of_event(expectation: ExpectEvent, record: Record) -> str | None:
    during = [event for event in record.events if expectation.at_s <= event.at_s <= expectation.until_s]
    fits = [event for event in during if expectation.fits(event)]
    if bool(fits) is expectation.comes:
        return None
    if fits:
        return f"it came at {fits[0].at_s:.3f} s: {says(fits[0])}"
    later = [event for event in record.events if expectation.fits(event) and event.at_s > expectation.until_s]
    if later:
        return f"it came at {later[0].at_s:.3f} s"
    return f"came {'; '.join(says(event) for event in during) or 'nothing'}"


def _instead_of_stored(expectation: ExpectStored, record: Record) -> str | None:
    pressed = [
        event.press_id for event in record.events if isinstance(event, Pressed) and event.at_s <= expectation.at_s
    ]
    once, twice = len(set(pressed)), len(pressed) - len(set(pressed))
    if once == expectation.presses and not twice:
        return None
    return f"{once} were stored" + (f", and {twice} told again" if twice else "")
