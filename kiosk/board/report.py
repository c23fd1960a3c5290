"""One week of a store in figures, and then in plain words: how fast a human answered, what was false, broken or practised.

Rules
- `figures`, `compare` and `words` are pure. Figures name nobody, neither staff nor customers: so they may be kept longer.
- A week is an ISO week in the store's own zone. A week in which nothing happened says so; hours in which the board did not record
  are said too, since silence is not calm.
- Requests for a person and drills are counted apart: the norm is for alerts.
"""

import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from kiosk.board.drills import Score, pair
from kiosk.board.kept import Kept
from kiosk.board.plot import Dot
from kiosk.board.records import FaultKept, Records, SpanKept
from kiosk.board.trust import WAYS, Trust, duration, times, trust
from kiosk.board.view import phrase_words
from kiosk.messages import COVERT_PHRASE, Outcome, Record, Trigger
from kiosk.store_config import NormSection, StoreConfig

WEEK = re.compile(r"(19[7-9]\d|20\d\d)-W(\d{2})", re.ASCII)
WEEKS_SHOWN = 8
NOT_ON_PAPER = frozenset({WAYS[Trigger.COVERT], phrase_words(COVERT_PHRASE)})
"""A report hangs on a wall: of the covert button only the overview tells, and an export."""
LOCALTIME = Path("/etc/localtime")
WEEK_DAYS = 7


class NoSuchWeek(ValueError):
    """What is not a week; its text says how one is written."""


class Week(NamedTuple):
    """A week's name ("2026-W47"), its Monday, and when it begins and ends (seconds since 1970)."""

    name: str
    monday: date
    from_s: float
    to_s: float


class Figures(Record):
    """A week as it is kept. Dots are (place in the week 0 to 1, seconds to an answer or None, drill)."""

    week: str
    alerts: int = 0
    requests: int = 0
    real: int = 0
    false: int = 0
    tests: int = 0
    open: int = 0
    unanswered: int = 0
    late: int = 0
    emergency: int = 0
    median_s: float | None = None
    worst_s: float | None = None
    arrival_median_s: float | None = None
    dots: tuple[tuple[float, float | None, bool], ...] = ()
    trust: tuple[str, ...] = ()
    faults: tuple[tuple[str, int, float], ...] = ()
    fault_s: float = 0.0
    drills: tuple[str, ...] = ()
    drills_done: int = 0
    recorded_s: float = 0.0
    nobody_s: float = 0.0
    whole_s: float = 0.0

    @property
    def false_rate(self) -> float | None:
        """The share of false alarms among the alerts that somebody closed as real or false."""
        judged = self.real + self.false
        return self.false / judged if judged else None

    def plotted(self) -> list[Dot]:
        """The dots of the plot."""
        return [Dot(*one) for one in self.dots]


# --- weeks ------------------------------------------------------------------------------------------------------------


def zone_of(name: str) -> tzinfo:
    """Return a store's zone; this machine's own for "" and for a name that is unknown here (told when store.toml is read)."""
    try:
        return ZoneInfo(name) if name else _local()
    except (ZoneInfoNotFoundError, ValueError):
        return _local()


def _local() -> tzinfo:
    """Return this machine's zone, summer time and all; where it says none, its offset of now."""
    try:
        if name := os.environ.get("TZ"):
            return ZoneInfo(name.lstrip(":"))
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.now().astimezone().tzinfo or UTC


def week_named(name: str, zone: tzinfo) -> Week:
    """Return the week "2026-W47"; raise `NoSuchWeek`."""
    found = WEEK.fullmatch(name)
    try:
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1) if found else None
    except ValueError:
        monday = None
    if monday is None:
        raise NoSuchWeek(f"“{name[:20]}” is no week. Write it as 2026-W47.")
    return week_of(monday, zone)


def week_of(day: date, zone: tzinfo) -> Week:
    """Return the week in which a day is."""
    monday = day - timedelta(days=day.weekday())
    year, number, _ = monday.isocalendar()
    begins, ends = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (monday, monday + timedelta(days=WEEK_DAYS)))
    return Week(f"{year:04}-W{number:02}", monday, begins.timestamp(), ends.timestamp())


def week_at(at_s: float, zone: tzinfo) -> Week:
    """Return the week in which a moment is."""
    return week_of(datetime.fromtimestamp(at_s, zone).date(), zone)


def week_before(week: Week, zone: tzinfo, by: int = 1) -> Week:
    """Return the week `by` weeks before (after, where it is negative)."""
    return week_of(week.monday - timedelta(days=WEEK_DAYS * by), zone)


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(
    week: Week,
    incidents: Sequence[Kept],
    scores: Iterable[Score],
    faults: Iterable[FaultKept],
    spans: Iterable[SpanKept],
    norm: NormSection,
    zone: tzinfo,
    now_s: float,
) -> Figures:
    """Return a week's figures, as far as it has come by `now_s`."""
    to_s = min(week.to_s, max(now_s, week.from_s))
    within = [one for one in incidents if week.from_s <= one.opened_s < week.to_s]
    alerts = [one for one in within if one.alert]
    answers = [one.answer_s for one in alerts if one.answer_s is not None]
    arrivals = [one.arrived_s for one in alerts if one.arrived_s is not None]
    outcomes = Counter(one.outcome for one in within if not one.drill)
    spans, done = list(spans), [one for one in scores if week.from_s <= one.at_s < week.to_s and _is_drill(one)]
    lost = list(_faults(faults, week.from_s, to_s))
    return Figures(
        week=week.name,
        alerts=len(alerts),
        requests=sum(one.request and not one.drill for one in within),
        real=outcomes[Outcome.REAL],
        false=outcomes[Outcome.FALSE_ALARM],
        tests=outcomes[Outcome.TEST],
        open=sum(one.closed_s is None and not one.drill for one in within),
        unanswered=sum(one.unanswered for one in alerts),
        late=sum(one.answer_s is not None and one.answer_s > norm.answer_s for one in alerts),
        emergency=sum(one.emergency for one in alerts),
        median_s=statistics.median(answers) if answers else None,
        worst_s=max(answers, default=None),
        arrival_median_s=statistics.median(arrivals) if arrivals else None,
        dots=tuple(_dots(within, week)),
        trust=tuple(
            f"{_on_paper(one)} {one.do}".strip() for one in trust(within, week.to_s - 1, zone, norm) if one.over
        ),
        faults=tuple(lost),
        fault_s=sum(one[2] for one in lost),
        drills=tuple(_drill_line(one) for one in done),
        drills_done=len(done),
        recorded_s=_covered("recording", spans, week.from_s, to_s),
        nobody_s=_covered("nobody", spans, week.from_s, to_s),
        whole_s=to_s - week.from_s,
    )


def _on_paper(one: Trust) -> str:
    return one.says.replace(f", {one.way}:", ", by another way:") if one.way in NOT_ON_PAPER else one.says


def _dots(within: Iterable[Kept], week: Week) -> Iterable[tuple[float, float | None, bool]]:
    for one in within:
        if not one.request and (one.answer_s is not None or one.unanswered):
            yield round((one.opened_s - week.from_s) / (week.to_s - week.from_s), 4), one.answer_s, one.drill


def _is_drill(score: Score) -> bool:
    """Whether it counts as a drill: one that a call made real does, a press that nobody called the test does not."""
    return score.began and not (score.opening and score.real)


def _drill_line(one: Score) -> str:
    said = f" Said right: {one.said_right} of {one.said_of}." if one.said_right is not None else ""
    return f"{one.title}, {one.place or one.unit}. {one.says}{said}"


def _faults(faults: Iterable[FaultKept], from_s: float, to_s: float) -> Iterable[tuple[str, int, float]]:
    """Return each fault of each unit: where and what, how often, and for how long altogether."""
    groups: dict[str, list[float]] = {}
    for one in faults:
        lasted_s = min(one.to_s if one.to_s is not None else to_s, to_s) - max(one.from_s, from_s)
        if lasted_s >= 0 and one.from_s < to_s:
            says = "button: a part of it needs a technician" if "covert" in one.code else one.says
            groups.setdefault(f"{one.place}: {says}", []).append(lasted_s)
    return (
        (what, len(all_s), round(sum(all_s), 1)) for what, all_s in sorted(groups.items(), key=lambda g: -sum(g[1]))
    )


def _covered(kind: str, spans: Iterable[SpanKept], from_s: float, to_s: float) -> float:
    clipped = sorted((max(one.from_s, from_s), min(one.to_s, to_s)) for one in spans if one.kind == kind)
    covered_s, until_s = 0.0, from_s
    for begins_s, ends_s in clipped:
        covered_s += max(0.0, ends_s - max(begins_s, until_s))
        until_s = max(until_s, ends_s)
    return covered_s


# --- in plain words ---------------------------------------------------------------------------------------------------


def words(now: Figures, norm: NormSection) -> tuple[str, ...]:
    """Return the week in a few plain sentences, the most important first."""
    lines = [*_answer_words(now, norm), *_other_words(now)]
    missing_s = now.whole_s - now.recorded_s
    if missing_s > max(600.0, now.whole_s * 0.01):
        lines.append(
            f"The board did not record for {duration(missing_s)} of this week. What happened then is not in here."
        )
    return tuple(lines)


def _answer_words(now: Figures, norm: NormSection) -> list[str]:
    if not now.alerts:
        return ["No alert in this week." if now.recorded_s else "Nothing was recorded in this week."]
    lines = [f"{times(now.alerts, 'alert', 'alerts')} in this week."]
    if now.median_s is not None and now.worst_s is not None:
        lines[0] += (
            f" Half of them had a human answer within {duration(now.median_s)}; the longest wait was {duration(now.worst_s)}."
        )
    if now.unanswered:
        lines.append(f"{times(now.unanswered, 'alert', 'alerts')} had no human answer at all.")
    if now.late:
        lines.append(
            f"{times(now.late, 'alert', 'alerts')} waited longer than the {norm.answer_s:g} s that you set yourselves."
        )
    if not now.unanswered and not now.late:
        lines.append(f"Every alert was answered within {norm.answer_s:g} s, as you set yourselves.")
    if now.emergency:
        lines.append(
            f"At {times(now.emergency, 'alert', 'alerts')} it went so far that nobody could be reached or answered at first."
        )
    return lines


def _other_words(now: Figures) -> list[str]:
    lines = []
    if now.requests:
        lines.append(f"{times(now.requests, 'person', 'people')} asked for somebody to come, with no alarm.")
    if now.false_rate is not None:
        lines.append(f"False alarms: {now.false} of {now.real + now.false} that were closed as real or false.")
    if now.open:
        lines.append(f"{times(now.open, 'alert is', 'alerts are')} not closed. Close what is over, so that it counts.")
    if now.nobody_s >= 60:  # noqa: PLR2004 - a minute
        lines.append(f"For {duration(now.nobody_s)} no device of the staff was listening.")
    if now.faults:
        lines.append(
            f"{times(len(now.faults), 'thing was', 'things were')} broken, for {duration(now.fault_s)} altogether."
        )
    lines.append(f"{times(now.drills_done, 'drill', 'drills')}." if now.drills_done else "No drill.")
    return lines


def compare(now: Figures, before: Figures | None) -> tuple[tuple[str, str], ...]:
    """Return what got better or worse against the week before, each with "better", "worse" or "same"."""
    if before is None or not before.recorded_s:
        return (("same", "There is no week before to compare with."),)
    lines = [
        _change("The middle answer", now.median_s, before.median_s, as_time=True),
        _change("The longest wait", now.worst_s, before.worst_s, as_time=True),
        _change("Alerts without an answer", now.unanswered, before.unanswered),
        _change("False alarms", now.false, before.false),
        _change("Time with something broken", now.fault_s, before.fault_s, as_time=True),
    ]
    found = tuple(line for line in lines if line is not None)
    return found or (("same", "As the week before."),)


def _change(what: str, now: float | None, before: float | None, *, as_time: bool = False) -> tuple[str, str] | None:
    if now is None or before is None or round(now) == round(before):
        return None
    said, was = (duration(now), duration(before)) if as_time else (f"{now:g}", f"{before:g}")
    return ("better" if now < before else "worse"), f"{what}: {said}, the week before {was}."


def week_line(now: Figures) -> str:
    """Return a week in one short line."""
    if not now.alerts:
        return "no alert" if now.recorded_s else "nothing recorded"
    parts = [times(now.alerts, "alert", "alerts")]
    if now.median_s is not None and now.worst_s is not None:
        parts.append(f"half answered within {duration(now.median_s)}, the longest wait {duration(now.worst_s)}")
    parts += [f"{now.late} too late"] * bool(now.late) + [f"{now.unanswered} without an answer"] * bool(now.unanswered)
    return "; ".join(parts)


def table(now: Figures, before: Figures, norm: NormSection) -> list[tuple[str, str, str]]:
    """Return the figures: what, in this week, in the week before."""

    def time_of(value: float | None) -> str:
        return duration(value) if value is not None else "–"

    def share(value: float | None) -> str:
        return f"{value:.0%}" if value is not None else "–"

    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("Alerts", lambda one: str(one.alerts)),
        ("Middle time to a human answer", lambda one: time_of(one.median_s)),
        ("Longest time to a human answer", lambda one: time_of(one.worst_s)),
        ("Middle time until a person was there", lambda one: time_of(one.arrival_median_s)),
        (f"Answered later than {norm.answer_s:g} s", lambda one: str(one.late)),
        ("Without a human answer", lambda one: str(one.unanswered)),
        ("Nobody reached or answered at first", lambda one: str(one.emergency)),
        ("Requests for a person", lambda one: str(one.requests)),
        ("Closed as real", lambda one: str(one.real)),
        ("Closed as false alarm", lambda one: str(one.false)),
        ("Share of false alarms", lambda one: share(one.false_rate)),
        ("Closed as test", lambda one: str(one.tests)),
        ("Drills, opening presses included", lambda one: str(one.drills_done)),
        ("Time with something broken", lambda one: time_of(one.fault_s)),
        ("Time in which nobody listened", lambda one: time_of(one.nobody_s)),
        ("Time that was recorded", lambda one: time_of(one.recorded_s)),
    ]
    return [(what, say(now), say(before)) for what, say in rows]


# --- from the records -------------------------------------------------------------------------------------------------


def week_figures(
    records: Records, store: StoreConfig, week: Week, zone: tzinfo, now_s: float, *, fresh: bool = True
) -> Figures:
    """Return a week's figures: as they were kept where the incidents are gone, else from what is there.

    Not `fresh`: of a week that is over, those of an hour ago will do.
    """
    gone = week.from_s < now_s - store.keep.incident_days * 86400.0
    if gone or (not fresh and week.to_s <= now_s):
        kept = _kept_figures(records, week.name)
        if kept is not None:
            return kept
    return _live_figures(records, store, week, zone, now_s)


def _kept_figures(records: Records, name: str) -> Figures | None:
    body = records.week(name)
    try:
        return Figures.model_validate_json(body) if body else None
    except ValidationError:
        return None


def _live_figures(records: Records, store: StoreConfig, week: Week, zone: tzinfo, now_s: float) -> Figures:
    incidents = records.incidents(week.from_s, week.to_s)
    places = {desk.unit: desk.place for desk in records.desks()}
    asked = records.drills_asked(week.from_s - 3600.0, week.to_s)
    spans = [*records.spans("recording", week.from_s, week.to_s), *records.spans("nobody", week.from_s, week.to_s)]
    faults = records.faults(week.from_s, week.to_s)
    return figures(week, incidents, pair(asked, incidents, places), faults, spans, store.norm, zone, now_s)


def freeze_weeks(records: Records, store: StoreConfig, zone: tzinfo, now_s: float | None = None) -> None:
    """Keep the figures of every week that is over and still whole in the records: they outlive its incidents."""
    now_s = time.time() if now_s is None else now_s
    oldest_s = records.oldest_s()
    if oldest_s is None:
        return
    whole_from_s = max(oldest_s - WEEK_DAYS * 86400.0, now_s - store.keep.incident_days * 86400.0)
    week = week_before(week_at(now_s, zone), zone)
    while week.from_s >= whole_from_s:
        kept, live = _kept_figures(records, week.name), _live_figures(records, store, week, zone, now_s)
        if live != kept:
            records.keep_week(week.name, live)
        week = week_before(week, zone)
