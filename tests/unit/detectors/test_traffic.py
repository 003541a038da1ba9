"""Traffic: counts are exact, intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.base import NOT_ENOUGH_DATA, OK
from detectors.methods.traffic import judge
from remora.summaries import LatencySummary, TrafficSummary


def test_errors_are_those_of_the_server():
    results = judge(TrafficSummary({200: 90, 422: 5, 500: 2, 503: 3}), None)
    assert results["predictions"].value == 100
    assert results["error_rate"].value == 0.05
    assert results["error_rate"].low < 0.05 < results["error_rate"].high
    assert results["latency_p50"].verdict == NOT_ENOUGH_DATA
    assert "carried its latency" in results["latency_p50"].reason


def test_no_traffic_is_a_count_of_zero_and_no_rate():
    results = judge(None, None)
    assert (results["predictions"].value, results["predictions"].verdict) == (0.0, OK)
    assert results["error_rate"].verdict == NOT_ENOUGH_DATA
    assert "Nothing was asked" in results["predictions"].reason


@pytest.mark.parametrize(
    ("metric", "rank"), [("latency_p50", 0.5), ("latency_p95", 0.95), ("latency_p99", 0.99)]
)
def test_a_latencys_interval_holds_the_truth(metric, rank):
    random = np.random.default_rng(5)
    truth = float(np.quantile(random.lognormal(3, 0.5, 1_000_000), rank))
    held = 0
    for _ in range(100):
        latency = LatencySummary()
        latency.update(random.lognormal(3, 0.5, 2000))
        result = judge(TrafficSummary({200: 2000}), latency)[metric]
        assert result.low <= result.value <= result.high
        held += result.low <= truth <= result.high
    assert held >= 83  # the sketch is random too: 93 of 100 on average, seldom fewer than 85
