"""The hours of a week in which the rota leaves a tier empty, in plain words for a manager.

Rules
- Pure. A week is one without a change of the clocks.
- A gap is no fault: nobody who listens is ever left out, and an empty tier is passed over at once. It may not be what was meant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from kiosk.messages import LAST_TIER
from kiosk.rota import DAYS, holds
from kiosk.store_config import RotaSection, StoreConfig

MONDAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a store's own clock, of no place
DAY_MIN, WEEK_MIN = 24 * 60, 7 * 24 * 60
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
NAMED = 3
"""So many desks are named in a line; of more, it says how many."""


@dataclass(frozen=True)
class Span:
    """Minutes of the week, from Monday 00:00; `end_min` may lie in the next week."""

    begin_min: int
    end_min: int


def warnings(store: StoreConfig) -> Iterator[str]:
    """Yield, a line each, what of the rota may not be what was meant."""
    if not store.rota:
        return
    yield from _idle(store)
    for places, lines in _desks(store):
        for tier in range(1, min(len(store.tiers), LAST_TIER - 1) + 1):
            spans = gaps(lines, tier)
            yield from (f"{when}: nobody is asked {ORDINALS[tier - 1]} at {places}" for when in _in_words(spans))


def _idle(store: StoreConfig) -> Iterator[str]:
    asked = {who for line in store.rota for who in line.staff}
    for one in store.staff:
        if one.id not in asked:
            yield f"{one.name} is in no line of the rota, and is asked only when everyone is"
    for number, line in enumerate(store.rota, 1):
        if len(store.tiers) < line.tier < LAST_TIER:
            says = f"[[rota]] {number}: tier {line.tier} has no name in tiers"
            yield f"{says}, and who is on it is asked only when everyone is"


def _desks(store: StoreConfig) -> Iterator[tuple[str, list[RotaSection]]]:
    """Yield the desks that go by the same lines of the rota, named as staff name them, and those lines."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for unit in store.unit:
        groups.setdefault(_lines_at(store, unit.id), []).append(unit.place)
    if not groups:
        groups = {_lines_at(store, ""): []}
    for lines, places in groups.items():
        yield _places(places, everywhere=len(groups) == 1), [store.rota[number] for number in lines]


def _lines_at(store: StoreConfig, unit: str) -> tuple[int, ...]:
    return tuple(number for number, line in enumerate(store.rota) if not line.desks or unit in line.desks)


def _places(places: Sequence[str], *, everywhere: bool) -> str:
    if everywhere and len(places) != 1:
        return "any desk"
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more


def gaps(lines: Sequence[RotaSection], tier: int) -> list[Span]:
    """Return when in a week nobody is on `tier`, by the lines of one desk: whoever is on a lower one then is not on it."""
    empty = [Span(begin, end) for begin, end in pairwise(_moments(lines)) if tier not in _tiers(lines, begin)]
    joined: list[Span] = []
    for span in empty:
        if joined and joined[-1].end_min == span.begin_min:
            span = Span(joined.pop().begin_min, span.end_min)  # noqa: PLW2901 - it is the longer one from here on
        joined.append(span)
    if len(joined) > 1 and joined[0].begin_min == 0 and joined[-1].end_min == WEEK_MIN:
        first, last = joined.pop(0), joined.pop()
        joined.append(Span(last.begin_min, WEEK_MIN + first.end_min))
    return joined


def _moments(lines: Sequence[RotaSection]) -> list[int]:
    """Return the minutes of the week at which somebody's tier may change."""
    clocks = {0} | {_minute(clock) for line in lines for clock in (line.hours or "").split("-") if clock}
    return [*sorted(day * DAY_MIN + clock for day in range(7) for clock in clocks), WEEK_MIN]


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _tiers(lines: Sequence[RotaSection], minute: int) -> set[int]:
    now = MONDAY + timedelta(minutes=minute)
    on: dict[str, int] = {}
    for line in lines:
        if holds(line, now):
            on |= {who: min(line.tier, on.get(who, LAST_TIER)) for who in line.staff}
    return set(on.values())


def _in_words(spans: Sequence[Span]) -> Iterator[str]:
    """Yield the spans as people say them: "Mon–Fri 18:00–20:00"; the same hours of several days in one."""
    if spans == [Span(0, WEEK_MIN)]:
        yield "All week"
        return
    short = [span for span in spans if span.end_min - span.begin_min <= DAY_MIN]
    days: dict[tuple[int, int], list[int]] = {}
    for span in short:
        day, begin_min = divmod(span.begin_min, DAY_MIN)
        days.setdefault((begin_min, span.end_min - span.begin_min), []).append(day)
    for (begin_min, length_min), on in days.items():
        yield f"{_days(sorted(on))} {_clock(begin_min)}–{_clock(begin_min + length_min)}"
    for span in spans:
        if span not in short:
            yield f"{_day(span.begin_min)} {_clock(span.begin_min)} – {_day(span.end_min)} {_clock(span.end_min)}"


def _days(days: Sequence[int]) -> str:
    if len(days) == len(DAYS):
        return "Every day"
    runs = [[day for _, day in run] for _, run in groupby(enumerate(days), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(_name(run[0]) if len(run) == 1 else f"{_name(run[0])}–{_name(run[-1])}" for run in runs)


def _name(day: int) -> str:
    return DAYS[day % 7].capitalize()


def _day(minute: int) -> str:
    return _name(minute // DAY_MIN)


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"
