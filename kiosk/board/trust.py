"""Whether the alerts are still worth getting up for, in plain words for the manager.

Rules
- Pure. What counts is what responders closed as a false alarm with one tap, within seven days, for each unit and for each phrase
  or way of calling at a unit; drills never count, nor does a call in the minute of an opening press.
- Nothing is tightened or loosened here: a line says what is so, what the store set itself, and what a person can do now.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo

from kiosk.board.kept import Kept
from kiosk.board.view import phrase_words
from kiosk.messages import Outcome, Record, Trigger
from kiosk.store_config import NormSection

WEEK_S = 7 * 86400.0
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
WAYS: dict[Trigger, str] = {
    Trigger.BUTTON: "the button",
    Trigger.TOUCH: "the screen",
    Trigger.VOICE: "voice",
    Trigger.COVERT: "the secret call",
    Trigger.DRILL: "drill",
}


class Trust(Record):
    """The false alarms of a unit, or of one way of calling there, in the last seven days. `way` is "" for the whole unit."""

    unit: str
    place: str
    way: str
    count: int
    alerts: int
    allowed: float
    hour: int | None = None
    at_hour: int = 0
    says: str
    do: str

    @property
    def over(self) -> bool:
        """Whether it is more than the store set itself."""
        return self.count > self.allowed


def number(count: int) -> str:
    """Return a small count as a word to begin a sentence with."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def times(count: int, one: str, many: str) -> str:
    """Return `1 alert`, `2 alerts`."""
    return f"{count} {one if count == 1 else many}"


def way_of(kept: Kept) -> str:
    """Return how an incident was called for: the phrase as it was spoken, or what was touched."""
    if kept.phrase is not None and kept.trigger in {Trigger.VOICE, Trigger.COVERT}:
        return phrase_words(kept.phrase)
    return WAYS[kept.trigger]


def duration(seconds: float) -> str:
    """Return a time as people say it: `45 s`, `2 min 10 s`, `3 h 5 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole // 60 % 60} min" if whole // 60 % 60 else f"{whole // 3600} h"


def _is_false(kept: Kept) -> bool:
    return kept.outcome is Outcome.FALSE_ALARM and not kept.drill and not kept.maybe_opening


def trust(incidents: Iterable[Kept], now_s: float, zone: tzinfo, norm: NormSection) -> tuple[Trust, ...]:
    """Return the false alarms of each unit and each way of calling there, those over the budget first."""
    lately = [one for one in incidents if now_s - WEEK_S <= one.opened_s <= now_s and not one.drill]
    groups: dict[tuple[str, str], list[Kept]] = {}
    for one in lately:
        for way in ("", way_of(one)):
            groups.setdefault((one.unit, way), []).append(one)
    found = [_line(members, way, zone, norm) for (_, way), members in groups.items() if any(map(_is_false, members))]
    lines = _without_echoes(found)
    return tuple(sorted(lines, key=lambda one: (not one.over, -one.count, one.place, one.way)))


def _without_echoes(found: list[Trust]) -> list[Trust]:
    """Leave out a unit's own line where one way of calling there says the same."""
    said = {(one.unit, one.count) for one in found if one.way}
    return [one for one in found if one.way or (one.unit, one.count) not in said]


def _line(members: list[Kept], way: str, zone: tzinfo, norm: NormSection) -> Trust:
    wrong = [one for one in members if _is_false(one)]
    newest = max(members, key=lambda one: one.opened_s)
    hour, at_hour = _busiest_hour(wrong, zone)
    heard = any(one.trigger is Trigger.VOICE for one in wrong)
    facts = {"unit": newest.unit, "place": newest.place, "way": way, "count": len(wrong), "alerts": len(members)}
    allowed = norm.false_alarms_per_week
    return Trust.model_validate(
        {
            **facts,
            "allowed": allowed,
            "hour": hour,
            "at_hour": at_hour,
            "says": _says(newest.place, way, len(wrong), allowed, hour, at_hour),
            "do": _do(hour, heard=heard) if len(wrong) > allowed else "",
        }
    )


def _says(place: str, way: str, count: int, allowed: float, hour: int | None, at_hour: int) -> str:
    where = f"{place}, {way}" if way else f"{place}, altogether"
    said = f"{where}: {times(count, 'false alarm', 'false alarms')} in 7 days; you said {allowed:g}."
    if hour is None:
        return said
    most = "All of them" if at_hour == count else f"{number(at_hour)} of them"
    return f"{said} {most} between {hour} and {hour + 1} o’clock."


def _do(hour: int | None, *, heard: bool) -> str:
    when = "at that hour" if hour is not None else "there for a while"
    if heard:
        return f"Listen {when}, or ask the technician to calibrate."
    return f"Look {when} who presses, and why; ask the technician if the button stands badly."


def _busiest_hour(wrong: list[Kept], zone: tzinfo) -> tuple[int | None, int]:
    """Return the hour of the day that holds at least half of them, and how many; no hour for fewer than three."""
    if len(wrong) < 3:  # noqa: PLR2004 - two of two can be chance
        return None, 0
    hours = Counter(datetime.fromtimestamp(one.opened_s, zone).hour for one in wrong)
    hour, count = max(hours.items(), key=lambda one: (one[1], -one[0]))
    return (hour, count) if count * 2 >= len(wrong) else (None, 0)


# --- the norm ---------------------------------------------------------------------------------------------------------


def nudges(incidents: Iterable[Kept], now_s: float, zone: tzinfo, norm: NormSection) -> tuple[str, ...]:
    """Return in plain words where the last seven days fell behind what the store set itself; nothing where they did not."""
    lately = [one for one in incidents if now_s - WEEK_S <= one.opened_s <= now_s and one.alert]
    late = [one for one in lately if (one.answer_s or 0.0) > norm.answer_s]
    unanswered = [one for one in lately if one.unanswered]
    lines = []
    if unanswered:
        last = max(unanswered, key=lambda one: one.opened_s)
        lines.append(
            f"{times(len(unanswered), 'alert', 'alerts')} of {len(lately)} had no human answer in the last 7 days. "
            f"The last one: {last.place}, {moment(last.opened_s, zone)}. Look at who was on at that hour."
        )
    if late:
        worst = max(late, key=lambda one: one.answer_s or 0.0)
        lines.append(
            f"{times(len(late), 'alert', 'alerts')} of {len(lately)} waited longer than {norm.answer_s:g} s for a person in the "
            f"last 7 days. The longest: {duration(worst.answer_s or 0.0)}, {worst.place}, {moment(worst.opened_s, zone)}. "
            "Ask who was near, and what was in the way."
        )
    return tuple(lines)


def moment(at_s: float, zone: tzinfo) -> str:
    """Return a moment of the last days: `Tuesday 17:20`."""
    return datetime.fromtimestamp(at_s, zone).strftime("%A %H:%M")


def drill_nudge(last_drill_s: float | None, now_s: float, norm: NormSection) -> str:
    """Return a line when the last drill is longer ago than the store set itself; "" otherwise."""
    if last_drill_s is None:
        return f"No drill is on record. You said: one every {norm.drill_days} days. Five minutes are enough."
    days = timedelta(seconds=max(0.0, now_s - last_drill_s)).days
    if days <= norm.drill_days:
        return ""
    return f"The last drill was {days} days ago. You said: one every {norm.drill_days} days. Five minutes are enough."
