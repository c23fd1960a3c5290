"""The rota: whatever it says, everybody who listens is asked at some time, and no alert waits on nobody."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk import events as ev
from kiosk.config import EscalationSection
from kiosk.incident import IncidentMachine
from kiosk.messages import LAST_TIER, Duty, Person, Reach, State
from kiosk.rota import DAYS, duty, tier_at
from kiosk.rota_gaps import WEEK_MIN, Span, gaps, warnings
from kiosk.store_config import StoreConfig

STAFF, DESKS = ("alex", "bo", "mo", "sam"), ("desk-3", "pharmacy", "returns")
LONDON = ZoneInfo("Europe/London")
MONDAY = datetime(2026, 11, 23, tzinfo=LONDON)
DAY = timedelta(days=1)


def store(*rota: dict[str, Any], tiers: tuple[str, ...] = ("the staff", "the manager")) -> StoreConfig:
    return StoreConfig.model_validate(
        {
            "store": {"id": "harbour", "name": "Harbour Stores"},
            "broker": {"host": "broker.example", "ca_file": "ca", "cert_file": "cert", "key_file": "key"},
            "tiers": tiers,
            "staff": [{"id": one, "name": one.title()} for one in STAFF],
            "unit": [{"id": one, "place": one.title()} for one in DESKS],
            "rota": list(rota),
        }
    )


clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
lines = st.fixed_dictionaries(
    {"tier": st.integers(1, 9), "staff": st.lists(st.sampled_from(STAFF), min_size=1, max_size=3, unique=True)},
    optional={
        "desks": st.lists(st.sampled_from(DESKS), max_size=2, unique=True),
        "days": st.lists(st.sampled_from(DAYS), max_size=4, unique=True),
        "hours": st.builds("{}-{}".format, clocks, clocks),
    },
)
stores = st.builds(
    lambda rota, tiers: store(*rota, tiers=("first", "second", "third", "fourth")[:tiers]),
    st.lists(lines, max_size=6),
    st.integers(1, 4),
)
# two weeks around each change of the clocks, and one without
moments = st.builds(
    lambda begin, minutes: begin + timedelta(minutes=minutes),
    st.sampled_from([MONDAY, datetime(2026, 3, 23, tzinfo=LONDON), datetime(2026, 10, 19, tzinfo=LONDON)]),
    st.integers(0, 14 * 24 * 60),
)


# --- who is on which tier ---------------------------------------------------------------------------------------------


@given(stores, st.sampled_from(STAFF), st.sampled_from(DESKS), moments, st.booleans())
def test_everybody_has_a_tier_at_every_desk_at_every_time(
    config: StoreConfig, who: str, desk: str, now: datetime, on_break: bool
) -> None:
    tier = tier_at(config, who, desk, now, on_break=on_break)
    assert 1 <= tier <= LAST_TIER
    if on_break:
        assert tier == LAST_TIER
        assert duty(config, who, now, on_break=True) is Duty.BREAK


@given(stores, st.sampled_from(STAFF), st.sampled_from(DESKS), moments)
def test_a_line_more_never_asks_anybody_later(config: StoreConfig, who: str, desk: str, now: datetime) -> None:
    if config.rota:
        fewer = config.model_copy(update={"rota": config.rota[1:]})
        if fewer.rota:
            assert tier_at(config, who, desk, now) <= tier_at(fewer, who, desk, now)


def test_an_empty_rota_asks_everybody_first() -> None:
    assert {tier_at(store(), who, desk, MONDAY) for who in STAFF for desk in DESKS} == {1}
    assert duty(store(), "sam", MONDAY) is Duty.ON


def test_the_lowest_of_the_lines_that_hold_counts() -> None:
    config = store({"tier": 3, "staff": ["sam"]}, {"tier": 2, "staff": ["sam"], "desks": ["returns"]})
    assert [tier_at(config, "sam", desk, MONDAY) for desk in DESKS] == [3, 3, 2]
    assert [tier_at(config, "alex", desk, MONDAY) for desk in DESKS] == [LAST_TIER] * 3
    assert (duty(config, "sam", MONDAY), duty(config, "alex", MONDAY)) == (Duty.ON, Duty.OFF)


@pytest.mark.parametrize(
    ("day", "clock", "tier"),
    [
        (0, "21:59", LAST_TIER),
        (0, "22:00", 1),
        (1, "05:59", 1),
        (1, "06:00", LAST_TIER),
        (1, "22:00", LAST_TIER),
        (0, "03:00", LAST_TIER),
        (7, "03:00", LAST_TIER),
        (7, "23:00", 1),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(day: int, clock: str, tier: int) -> None:
    config = store({"tier": 1, "staff": ["sam"], "days": ["mon"], "hours": "22:00-06:00"})
    hours, minutes = map(int, clock.split(":"))
    assert tier_at(config, "sam", "desk-3", MONDAY + day * DAY + timedelta(hours=hours, minutes=minutes)) == tier


@pytest.mark.parametrize("date", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_the_hours_are_those_of_the_clock_on_the_wall_when_it_changes(date: datetime) -> None:
    config = store({"tier": 1, "staff": ["sam"], "days": ["sat"], "hours": "22:00-06:00"})
    for minute in range(0, 12 * 60, 10):
        local = (date - timedelta(hours=2) + timedelta(minutes=minute)).astimezone(LONDON)
        wall = local.strftime("%a %H:%M")
        on = "Sat 22:00" <= wall < "Sat 24:00" or "Sun 00:00" <= wall < "Sun 06:00"
        assert (tier_at(config, "sam", "desk-3", local) == 1) is on, wall


# --- no alert waits on nobody -----------------------------------------------------------------------------------------


class Desk:
    """A desk with a press, and staff who listen, leave and take breaks, as the rota of their store has them."""

    def __init__(self, config: StoreConfig, desk: str, at: datetime) -> None:
        self.config, self.desk, self.at, self.now_s = config, desk, at, 0.0
        self.listening: dict[str, bool] = {}
        self.machine = IncidentMachine(EscalationSection(tiers=config.tiers), lambda: "one")

    def hear_staff(self) -> None:
        local = (self.at.astimezone(UTC) + timedelta(seconds=self.now_s)).astimezone(LONDON)
        heard = tuple(
            ev.Listener(Person(id=who, name=who), tier_at(self.config, who, self.desk, local, on_break=on_break))
            for who, on_break in sorted(self.listening.items())
        )
        self.machine.handle(ev.ReachChanged(Reach.OK if heard else Reach.NOBODY, heard), self.now_s)

    def run(self, until_s: float) -> None:
        while self.machine.deadline_s is not None and self.machine.deadline_s <= until_s:
            self.now_s = max(self.now_s, self.machine.deadline_s)
            self.machine.handle(ev.TimePassed(), self.now_s)
            self.check()
        self.now_s = until_s

    def check(self) -> None:
        incident = self.machine.incident
        assert incident is not None
        assert incident.state is State.RAISED
        asked = {one.id for one in self.machine.asked(incident)}
        assert asked <= set(self.listening)
        assert asked or incident.emergency, "it waits on nobody"
        assert incident.escalate_due_s is not None or incident.emergency, "nothing is due"


@settings(max_examples=200)
@given(
    stores,
    st.sampled_from(DESKS),
    moments,
    st.dictionaries(st.sampled_from(STAFF), st.booleans(), max_size=4),
    st.lists(
        st.tuples(st.floats(0.5, 90.0), st.sampled_from(STAFF), st.sampled_from(["leaves", "comes", "takes a break"])),
        max_size=5,
    ),
)
def test_in_no_rota_does_an_alert_wait_on_nobody(
    config: StoreConfig,
    desk: str,
    at: datetime,
    listening: dict[str, bool],
    changes: list[tuple[float, str, str]],
) -> None:
    at_desk = Desk(config, desk, at)
    at_desk.listening = dict(listening)
    at_desk.hear_staff()
    at_desk.machine.handle(ev.ButtonPressed(), 0.0)
    at_desk.check()
    for after_s, who, what in changes:
        at_desk.run(at_desk.now_s + after_s)
        if what == "leaves":
            at_desk.listening.pop(who, None)
        else:
            at_desk.listening[who] = what == "takes a break"
        at_desk.hear_staff()
        at_desk.check()
    at_desk.run(at_desk.now_s + at_desk.machine.rules.escalate_s * (len(config.tiers) + 1))
    incident = at_desk.machine.incident
    assert incident is not None
    assert {one.id for one in at_desk.machine.asked(incident)} == set(at_desk.listening)
    assert incident.emergency


# --- what a manager is told of it -------------------------------------------------------------------------------------


@given(stores, st.sampled_from(DESKS), st.integers(1, 4))
def test_a_gap_is_where_nobody_is_on_the_tier(config: StoreConfig, desk: str, tier: int) -> None:
    there = [line for line in config.rota if not line.desks or desk in line.desks]
    spans = gaps(there, tier)
    for minute in itertools.chain(range(7, WEEK_MIN, 187), (span.begin_min for span in spans)):
        now = datetime(2024, 1, 1) + timedelta(minutes=minute % WEEK_MIN)  # noqa: DTZ001 - the wall's clock
        empty = not any(tier_at(config, who, desk, now) == tier for who in STAFF) if config.rota else True
        inside = any(span.begin_min <= at < span.end_min for span in spans for at in (minute, minute + WEEK_MIN))
        assert inside is empty


def test_the_gaps_in_plain_words() -> None:
    weekdays = ["mon", "tue", "wed", "thu", "fri"]
    config = store(
        {"tier": 1, "staff": ["sam"], "days": weekdays, "hours": "08:00-18:00"},
        {"tier": 1, "staff": ["mo"], "desks": ["returns"], "hours": "18:00-08:00"},
        {"tier": 2, "staff": ["alex"]},
        {"tier": 5, "staff": ["alex"]},
    )
    assert list(warnings(config)) == [
        "Bo is in no line of the rota, and is asked only when everyone is",
        "[[rota]] 4: tier 5 has no name in tiers, and who is on it is asked only when everyone is",
        "Mon–Thu 18:00–08:00: nobody is asked first at Desk-3, Pharmacy",
        "Fri 18:00 – Mon 08:00: nobody is asked first at Desk-3, Pharmacy",
        "Sat–Sun 08:00–18:00: nobody is asked first at Returns",
    ]


def test_one_hole_is_named_with_its_day_and_hours() -> None:
    every_day = {"tier": 1, "staff": list(STAFF)}
    config = store(
        {**every_day, "days": list(DAYS[1:])},
        {**every_day, "days": ["mon"], "hours": "00:00-18:00"},
        {**every_day, "days": ["mon"], "hours": "20:00-00:00"},
        {"tier": 2, "staff": ["sam"], "hours": "00:00-00:00"},
        tiers=("the staff",),
    )
    assert list(warnings(config))[1:] == ["Mon 18:00–20:00: nobody is asked first at any desk"]


def test_a_store_without_a_rota_has_no_gap_and_an_empty_tier_is_one_all_week() -> None:
    assert list(warnings(store())) == []
    assert gaps([], 1) == [Span(0, WEEK_MIN)]
    assert "All week: nobody is asked second at any desk" in list(warnings(store({"tier": 1, "staff": list(STAFF)})))
