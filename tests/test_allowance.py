"""So much of any minute and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.allowance import WINDOW_S, Allowance

LIMIT_S = 15.0


def test_it_is_free_until_it_is_used_up_and_again_a_minute_later() -> None:
    one = Allowance(LIMIT_S)
    assert one.wait_s(100.0, 5.0) == 0
    one.use(100.0, 105.0)
    one.use(110.0, 118.0)
    assert one.wait_s(118.0, 2.0) == 0
    assert one.wait_s(118.0, 5.0) == pytest.approx(100.0 + 3.0 + WINDOW_S - 118.0)
    assert one.wait_s(170.0, 5.0) == 0


@given(st.lists(st.tuples(st.floats(0.1, 14.0), st.floats(0.0, 20.0)), min_size=1, max_size=40))
def test_who_waits_as_told_never_has_more_of_any_minute(wishes: list[tuple[float, float]]) -> None:
    one, now_s = Allowance(LIMIT_S), 0.0
    used: list[tuple[float, float]] = []
    for length_s, pause_s in wishes:
        now_s += pause_s
        now_s += one.wait_s(now_s, length_s)
        one.use(now_s, now_s + length_s)
        used.append((now_s, now_s + length_s))
        now_s += length_s
        minute = sum(max(0.0, end_s - max(began_s, now_s - WINDOW_S)) for began_s, end_s in used)
        assert minute <= LIMIT_S + 1e-6
    assert len(one._used) <= WINDOW_S / 0.1
