"""Wilson's interval against statsmodels, and what a result refuses to be."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest

from detectors.base import Result, unknown, wilson


@pytest.mark.parametrize(
    ("hits", "size"), [(0, 10), (10, 10), (1, 1), (3, 1000), (499, 1000), (0, 1), (77, 100_000)]
)
def test_wilson_is_scipys(hits, size):
    interval = binomtest(hits, size).proportion_ci(0.95, method="wilson")
    assert wilson(hits, size) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_wilson_of_nothing_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_result_is_finite(number):
    with pytest.raises(ValueError, match="finite"):
        Result(number, "ok", "x.")
    with pytest.raises(ValueError, match="finite"):
        Result(1.0, "ok", "x.", threshold=number)


def test_a_verdict_is_a_known_one():
    with pytest.raises(ValueError, match="unknown verdict"):
        Result(1.0, "fine", "x.")
    assert unknown("not_enough_data", "No rows.").value is None
