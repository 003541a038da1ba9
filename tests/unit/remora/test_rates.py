"""A bucket lets a burst pass, then a steady rate, for each caller apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.rates import _MOST, Rates


def test_a_burst_passes_and_then_a_steady_rate():
    rates = Rates(2.0, 3.0)
    assert [rates.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rates.take("b", 0.0) == 0.0
    assert rates.take("a", 0.4) == pytest.approx(0.1)
    assert rates.take("a", 0.5) == 0.0
    assert rates.take("a", 0.5) == pytest.approx(0.5)
    assert [rates.take("a", 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_without_a_rate_everything_passes():
    assert {Rates(0.0, 1.0).take("a", 0.0) for _ in range(1000)} == {0.0}


def test_what_is_remembered_is_bounded():
    rates = Rates(1.0, 1.0)
    for number in range(_MOST + 10):
        rates.take(str(number), 0.0)
    assert len(rates._buckets) == _MOST


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
    st.floats(0.1, 50),
    st.floats(1, 20),
)
def test_no_stretch_of_time_sees_more_than_the_burst_and_the_rate(pauses, rate, burst):
    rates, now, passed = Rates(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        if rates.take("a", now) == 0.0:
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - passed[first]) + 1e-6
