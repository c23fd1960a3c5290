"""How well a unit is connected, as its hub counts it."""

from hypothesis import given
from hypothesis import strategies as st

from kiosk.link_health import DAY_S, LinkMeter
from kiosk.messages import ButtonHealth


def test_the_longest_answer_of_the_last_minute_is_told_and_then_forgotten() -> None:
    meter = LinkMeter()
    for mid, at_s, took_s in ((1, 0.0, 0.9), (2, 30.0, 0.02)):
        meter.sent(mid, at_s)
        meter.acknowledged(mid, at_s + took_s)
    assert meter.health(None, 31.0).broker_ms == 900
    assert meter.health(None, 70.0).broker_ms == 20
    assert meter.health(None, 200.0).broker_ms is None


def test_an_answer_that_is_missing_counts_with_its_age_until_the_link_breaks() -> None:
    meter = LinkMeter()
    meter.sent(1, 10.0)
    assert meter.health(None, 17.5).broker_ms == 7500
    meter.broke(18.0)
    assert (meter.health(None, 19.0).broker_ms, meter.health(None, 19.0).drops) == (None, 1)
    assert meter.health(None, 18.0 + DAY_S + 1).drops == 0


def test_what_was_not_sent_and_what_is_no_status_do_not_count() -> None:
    meter = LinkMeter()
    meter.sent(None, 1.0)
    meter.acknowledged(7, 2.0)
    assert meter.health(None, 3.0).broker_ms is None


def test_the_buttons_cable_is_told_in_thousandths() -> None:
    button = ButtonHealth(port="x", frames=2000, bad_frames=3, own_repeats=5, round_trip_worst_ms=31.5)
    told = LinkMeter().health(button, 1.0)
    assert (told.button_bad, told.button_ms) == (4, 31.5)
    assert LinkMeter().health(ButtonHealth(port="x"), 1.0).button_bad is None


@given(st.lists(st.tuples(st.sampled_from(["sent", "acknowledged", "broke"]), st.integers(0, 9), st.floats(0, 100))))
def test_any_course_of_events_has_a_health_of_bounded_size(events: list[tuple[str, int, float]]) -> None:
    meter, now_s = LinkMeter(), 0.0
    for what, mid, later_s in events:
        now_s += later_s
        meter.broke(now_s) if what == "broke" else getattr(meter, what)(mid, now_s)
    told = meter.health(None, now_s)
    assert told.drops <= len(events)
    assert (told.broker_ms or 0) >= 0
    assert len(told.model_dump_json()) < 100
