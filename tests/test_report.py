"""A week in figures and plain words, and false alarms against what the store set itself."""

import math
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.board import plot, report, trust
from kiosk.board.drills import Asked, pair
from kiosk.board.kept import Kept
from kiosk.board.records import FaultKept, Records, SpanKept
from kiosk.board.report import (
    Figures,
    NoSuchWeek,
    compare,
    figures,
    freeze_weeks,
    week_at,
    week_figures,
    week_named,
    words,
)
from kiosk.messages import OPENING, Entry, Outcome, Severity, Trigger
from kiosk.store_config import NormSection
from tests.records_parts import DAY_S, NOW, kept, snapshot, store

NORM = NormSection()
WEEK = week_at(NOW.timestamp(), UTC)
AT = NOW.timestamp()
LONG_AGO, FAR_OFF = datetime(2000, 1, 1), datetime(2099, 1, 1)  # noqa: DTZ001 - the zone is drawn apart
WHOLE = (SpanKept("recording", WEEK.from_s, WEEK.to_s),)


def of(*incidents: Kept, faults: tuple[FaultKept, ...] = (), spans: tuple[SpanKept, ...] = WHOLE) -> Figures:
    return figures(WEEK, incidents, pair((), incidents, {}), faults, spans, NORM, UTC, WEEK.to_s)


def parsed(picture: str) -> ET.Element:
    """Return a picture that we made ourselves as what is in it."""
    return ET.fromstring(picture)  # noqa: S314 - our own


# --- weeks ------------------------------------------------------------------------------------------------------------


def test_a_week_is_named_as_people_write_it() -> None:
    week = week_named("2026-W47", UTC)
    assert (week.monday.isoformat(), week.to_s - week.from_s) == ("2026-11-16", 7 * DAY_S)


@pytest.mark.parametrize("name", ["", "2026-W54", "2026-W00", "2026W47", "W47", "0000-W01", "2026-W47\n", "<b>"])
def test_what_is_no_week_is_told(name: str) -> None:
    with pytest.raises(NoSuchWeek, match="2026-W47"):
        week_named(name, UTC)


@given(st.datetimes(LONG_AGO, FAR_OFF), st.sampled_from(["UTC", "Europe/London", "Asia/Kolkata"]))
def test_every_moment_is_in_the_week_of_its_name(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    at_s = moment.replace(tzinfo=zone).timestamp()
    week = week_at(at_s, zone)
    assert week.from_s <= at_s < week.to_s
    assert week_named(week.name, zone) == week


def test_a_week_of_summer_time_has_an_hour_less() -> None:
    week = week_named("2026-W13", ZoneInfo("Europe/London"))
    assert week.to_s - week.from_s == 7 * DAY_S - 3600


# --- figures ----------------------------------------------------------------------------------------------------------

TIMES = st.none() | st.floats(0, 90_000)
INCIDENTS = st.builds(
    lambda at, answer, **facts: kept(WEEK.from_s + at, answer_s=answer, **facts),
    st.floats(-3600, 8 * DAY_S),
    TIMES,
    arrived_s=TIMES,
    closed_s=TIMES,
    drill=st.booleans(),
    emergency=st.booleans(),
    trigger=st.sampled_from(Trigger),
    severity=st.sampled_from(Severity),
    outcome=st.none() | st.sampled_from(Outcome),
    phrase=st.none() | st.sampled_from(["help_me", "<b>"]),
)


@given(st.lists(INCIDENTS, max_size=12), st.floats(0, 9 * DAY_S))
def test_a_week_of_anything_has_figures_and_words(incidents: list[Kept], since_s: float) -> None:
    found = figures(WEEK, incidents, (), (), WHOLE, NORM, UTC, WEEK.from_s + since_s)
    assert found.unanswered <= found.alerts
    assert found.late + found.unanswered <= found.alerts
    assert (found.median_s or 0) <= (found.worst_s or 0)
    assert words(found, NORM)[0]
    assert Figures.model_validate_json(found.model_dump_json()) == found
    picture = plot.week_of_dots(found.plotted(), NORM.answer_s, "x")
    shapes = [one for one in parsed(picture) if one.get("class") in {"never", "drill", "late", "quick"}]
    assert len(shapes) == len(found.dots)
    assert "style" not in picture
    assert not re.search(r"nan|inf", picture)


def test_drills_and_requests_are_not_what_the_norm_is_for() -> None:
    request = kept(AT, trigger=Trigger.TOUCH, severity=Severity.CHECK, answer_s=100.0)
    found = of(kept(AT + 60, answer_s=12.0), kept(AT + 120, drill=True, answer_s=300.0), request)
    assert (found.alerts, found.requests, found.late, found.worst_s, found.drills_done) == (1, 1, 0, 12.0, 1)
    assert of(kept(AT, drill=True, closed_s=None, closed_by=None, outcome=None)).open == 0
    assert "Every alert was answered within 30 s" in " ".join(words(found, NORM))


def test_unanswered_and_late_are_said_first() -> None:
    nobody = kept(AT, answer_s=None, emergency=True, closed_s=None, closed_by=None, outcome=None)
    said = words(of(nobody, kept(AT + 60, answer_s=31.0)), NORM)
    assert said[0].startswith("2 alerts in this week.")
    assert said[1] == "1 alert had no human answer at all."
    assert said[2] == "1 alert waited longer than the 30 s that you set yourselves."


def test_an_empty_week_says_so() -> None:
    assert words(of(), NORM) == ("No alert in this week.", "No drill.")


def test_a_week_that_nobody_recorded_is_not_called_quiet() -> None:
    said = words(of(spans=()), NORM)
    assert said[0] == "Nothing was recorded in this week."
    assert "did not record for 168 h" in said[-1]


def test_faults_are_counted_within_the_week_only() -> None:
    faults = (
        FaultKept("desk-3", "deaf", "Desk", "It hears nothing.", WEEK.from_s - DAY_S, WEEK.from_s + 60),
        FaultKept("desk-3", "deaf", "Desk", "It hears nothing.", WEEK.to_s - 60, None),
        FaultKept("desk-3", "deaf", "Desk", "It hears nothing.", WEEK.to_s + 60, None),
    )
    assert of(faults=faults).faults == (("Desk: It hears nothing.", 2, 120.0),)


def test_better_and_worse() -> None:
    now, before = of(kept(AT, answer_s=9.0)), of(kept(AT, answer_s=20.0), kept(AT + 1, outcome=Outcome.FALSE_ALARM))
    found = {line.split(":")[0]: kind for kind, line in compare(now, before)}
    assert found == {"The middle answer": "better", "The longest wait": "better", "False alarms": "better"}
    assert compare(now, now) == (("same", "As the week before."),)
    assert compare(now, of(spans=()))[0][0] == "same"


def test_figures_name_nobody_and_outlive_the_incidents(tmp_path: Path) -> None:
    config = store("[keep]\nincident_days = 10\n")
    with closing(Records(tmp_path / "records.db", pytest.fail)) as records:
        for day in range(3):
            opened = NOW + timedelta(days=day)
            records.take_snapshot(snapshot(1.0, id=f"i{day}", opened_at=opened), opened + timedelta(seconds=1))
        before = week_figures(records, config, WEEK, UTC, WEEK.to_s + 60)
        assert before.alerts == 3
        freeze_weeks(records, config, UTC, WEEK.to_s + 60)
        later_s = AT + 20 * DAY_S
        freeze_weeks(records, config, UTC, later_s)
        records.forget(config.keep, later_s)
        assert records.incidents(0, later_s) == []
        freeze_weeks(records, config, UTC, later_s)
        assert week_figures(records, config, WEEK, UTC, later_s) == before
        assert "riya" not in (records.week(WEEK.name) or "")


def test_what_a_drill_taught_stays_out_of_the_figures() -> None:
    asked = Asked(
        drill="drill-0", unit="desk-3", scenario="grief", by="sam", at_s=AT, ticked=(0, 1), learned="Bob was slow."
    )
    one = kept(AT, id="drill-0", drill=True, scenario="grief")
    found = figures(WEEK, [one], pair([asked], [one], {}), (), WHOLE, NORM, UTC, WEEK.to_s)
    assert found.drills == ("The phone call, Service desk 3. Answered after 8 s. Said right: 2 of 5.",)
    assert "Bob" not in found.model_dump_json()


def test_a_morning_press_of_which_nobody_said_that_it_was_the_test_is_an_alert_and_no_drill() -> None:
    asked = Asked(drill="drill-0", unit="desk-3", scenario=OPENING, by="sam", at_s=AT)
    for drill, counts in ((False, (1, 0)), (True, (0, 1))):
        one = kept(AT, id="drill-0", drill=drill, scenario=OPENING if drill else None)
        found = figures(WEEK, [one], pair([asked], [one], {}), (), WHOLE, NORM, UTC, WEEK.to_s)
        assert (found.alerts, found.drills_done) == counts


# --- plots ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.text(max_size=8), st.none() | st.floats(0, 1e6)), max_size=12),
    st.floats(0.1, 600),
    st.text(max_size=20),
)
def test_medians_of_anything_are_a_picture(weeks: list[tuple[str, float | None]], norm_s: float, says: str) -> None:
    names = [("".join(one for one in name if one.isprintable()), value) for name, value in weeks]
    picture = parsed(plot.weeks_of_medians(names, norm_s, "".join(one for one in says if one.isprintable())))
    marks = [one for one in picture if one.get("class") in {"quick", "late"}]
    assert len(marks) == sum(value is not None for _, value in weeks)


def test_the_slower_the_higher() -> None:
    heights = [plot._y(seconds, 600.0) for seconds in (1, 5, 30, 600)]
    assert heights == sorted(heights, reverse=True)
    assert all(map(math.isfinite, heights))


# --- trust ------------------------------------------------------------------------------------------------------------


def false_alarm(hour: int, day: int = 0, **facts: object) -> Kept:
    at = datetime(2026, 11, 18 - day, hour, 30, tzinfo=UTC).timestamp()
    base = {"trigger": Trigger.VOICE, "phrase": "help_me", "severity": Severity.CHECK, "outcome": Outcome.FALSE_ALARM}
    return kept(at, **{**base, **facts})


def test_a_phrase_over_its_budget_is_told_with_its_hour() -> None:
    wrong = [false_alarm(17, day) for day in range(1, 4)] + [false_alarm(9, 1)]
    found = trust.trust(wrong, AT, UTC, NORM)
    (line,) = (f"{one.says} {one.do}" for one in found)
    assert line == (
        "Service desk 3, “help me”: 4 false alarms in 7 days; you said 2. Three of them between 17 and 18 o’clock. "
        "Listen at that hour, or ask the technician to calibrate."
    )


def test_within_the_budget_nothing_is_advised() -> None:
    (found,) = trust.trust([false_alarm(9), false_alarm(10, 1)], AT, UTC, NORM)
    assert (found.over, found.do, found.hour) == (False, "", None)


def test_a_unit_whose_ways_are_each_within_may_be_over_altogether() -> None:
    wrong = [false_alarm(9), false_alarm(9, 2), false_alarm(11, 1, trigger=Trigger.BUTTON, phrase=None)]
    found = trust.trust(wrong, AT, UTC, NORM)
    assert [(one.way, one.count, one.over) for one in found] == [
        ("", 3, True),
        ("“help me”", 2, False),
        ("the button", 1, False),
    ]


def test_drills_old_ones_and_real_ones_do_not_count() -> None:
    morning = false_alarm(9, timeline=(Entry(t_s=0, what="test_asked", who="Sam"),))
    others = [false_alarm(9, drill=True), false_alarm(9, 8), false_alarm(9, outcome=Outcome.REAL), morning]
    assert trust.trust(others, AT, UTC, NORM) == ()


@given(st.lists(INCIDENTS, max_size=12))
def test_the_counts_of_the_ways_add_up(incidents: list[Kept]) -> None:
    found = trust.trust(incidents, WEEK.to_s, UTC, NORM)
    wrong = [
        one for one in incidents if one.outcome is Outcome.FALSE_ALARM and not one.drill and one.opened_s >= WEEK.from_s
    ]
    assert sum(one.count for one in found if one.way) == sum(one.opened_s <= WEEK.to_s for one in wrong)
    assert all(not one.do or one.over for one in found)


def test_the_norm_is_a_nudge_when_it_slips() -> None:
    late, quick = kept(AT - 3600, answer_s=130.0), kept(AT - 7200)
    (line,) = trust.nudges([late, quick], AT, UTC, NORM)
    assert line.startswith("1 alert of 2 waited longer than 30 s for a person")
    assert "The longest: 2 min 10 s, Service desk 3, Wednesday 11:00." in line
    assert trust.nudges([quick], AT, UTC, NORM) == ()
    assert trust.nudges([kept(AT - 8 * DAY_S, answer_s=130.0)], AT, UTC, NORM) == ()


def test_a_drill_is_missed() -> None:
    assert "No drill is on record" in trust.drill_nudge(None, AT, NORM)
    assert "31 days ago" in trust.drill_nudge(AT - 31 * DAY_S, AT, NORM)
    assert trust.drill_nudge(AT - 30 * DAY_S, AT, NORM) == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.6, "1 min"), (130, "2 min 10 s"), (3600, "1 h"), (11100, "3 h 5 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert trust.duration(seconds) == said


def test_a_zone_that_is_unknown_here_is_this_machines() -> None:
    assert report.zone_of("Mars/Base") is not None
    assert report.zone_of("Europe/London") == ZoneInfo("Europe/London")


def test_this_machines_zone_knows_its_summer_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/London")
    zone = report.zone_of("")
    summer, winter = (datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (7, 1))
    assert (summer, winter) == (timedelta(hours=1), timedelta(0))
    monkeypatch.delenv("TZ")
    assert report.zone_of("") is not None


def test_of_the_covert_button_no_report_on_paper_tells() -> None:
    secret = [false_alarm(17, day, trigger=Trigger.COVERT, phrase=None) for day in range(3)]
    spoken = [false_alarm(9, day, trigger=Trigger.COVERT, phrase="covert_phrase") for day in range(3)]
    cut = FaultKept(
        "desk-3", "button-covert-loop", "Service desk 3", "button: the wire to the covert button is cut", AT, None
    )
    found = of(*secret, *spoken, faults=(cut,))
    assert len(found.trust) == 3
    assert len(found.faults) == 1
    assert not re.search("covert|secret", " ".join((*found.trust, found.faults[0][0], *words(found, NORM))))
