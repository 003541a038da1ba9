"""What every metric of a column promises, and the jobs' other methods where it applies."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, VERDICTS, ColumnReference, ColumnWindow
from detectors.binning import categorical_bins
from detectors.limits import unlearnt
from detectors.methods import FEATURE_METHODS, KINDS, performance, traffic
from detectors.methods.measures import Task
from detectors.methods.performance import METRICS_OF_KIND, Maturity
from detectors.testing import LETTERS, SHARES, contract, draw, reference_of, summary_of, window_of
from remora.catalogue import METRICS
from remora.config.models import Method
from remora.summaries import (
    LatencySummary,
    PerformanceSummary,
    TrafficSummary,
)

MIN = 200
LIMITS = unlearnt()
METHODS_OF = {kind: [m for m in FEATURE_METHODS if kind in KINDS[m]] for kind in ("numeric", "categorical")}
CASES = [(metric, kind) for metric in FEATURE_METHODS for kind in KINDS[metric]]


def shifted(metric, kind, random, size):  # noqa: PLR0911  (one for each metric)
    """The change that the metric is there for."""
    values = draw(kind, random, size)
    if metric == "missing_rate":
        hidden = random.random(size) < 0.3
        if kind == "numeric":
            return np.where(hidden, np.nan, values)
        return [None if gone else value for gone, value in zip(hidden, values, strict=True)]
    if metric == "out_of_range_rate":
        return values * 10.0
    if metric == "wrong_type_rate":
        other = "text" if kind == "numeric" else 1.5
        return [other if random.random() < 0.1 else value for value in values]
    if metric == "stuck_rate":
        stuck = random.random(size) < 0.6
        return [values[0] if held else value for held, value in zip(stuck, values, strict=True)]
    if metric == "unseen_rate":
        return ["new" if random.random() < 0.1 else value for value in values]
    if metric == "vanished_rate":
        return ["b" if value == "c" else value for value in values]
    return values + 1.0 if kind == "numeric" else random.choice(LETTERS, size, p=SHARES[::-1]).tolist()


def judge(metric, reference, window):
    result = FEATURE_METHODS[metric](reference, window, MIN)
    assert json.loads(json.dumps(asdict(result), allow_nan=False))["verdict"] in VERDICTS
    assert result.reason.endswith(".")
    assert len(result.reason) < 400
    assert (result.value is None) == (result.verdict not in {OK, ALARM})
    return result


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


def test_every_metric_of_the_catalogue_has_its_method():
    of_drift = {name for name, metric in METRICS.items() if metric.per_feature and metric.job == "drift"}
    assert set(get_args(Method)) == of_drift
    assert set(FEATURE_METHODS) == set(KINDS) == of_drift
    of_the_collector = {
        "capture_lost",
        "personal_data",
        "volume_change",
        "staleness",
    }  # judged by the runner, without a summary of answers
    assert set(traffic.judge(None, None)) | of_the_collector == {
        name for name, metric in METRICS.items() if metric.job == "traffic"
    }
    assert set().union(*METRICS_OF_KIND.values()) == {
        name for name, metric in METRICS.items() if metric.job == "performance"
    }


def kit(metric):
    """What users run on detectors of their own holds for ours."""

    def own(reference, current, parameters):
        return FEATURE_METHODS[metric](reference, current, parameters["min_samples"])

    own.kinds = KINDS[metric]
    return contract(own, false_alarms=0.001)


@pytest.mark.parametrize("check", [check for metric in FEATURE_METHODS for check in kit(metric)], ids=str)
def test_the_contract_that_is_shipped_holds(check):
    check()


@pytest.mark.parametrize(("metric", "kind"), CASES)
def test_a_shift_raises_an_alarm(metric, kind, random):
    reference = reference_of(draw(kind, random, 5000))
    result = judge(metric, reference, window_of(shifted(metric, kind, random, 1000)))
    assert result.verdict == ALARM
    assert result.value > result.threshold


@pytest.mark.parametrize(("metric", "kind"), CASES)
def test_the_order_of_rows_changes_nothing(metric, kind, random):
    reference = reference_of(draw(kind, random, 5000))
    rows = list(shifted(metric, kind, random, 190 if kind == "numeric" else 5000))  # sketches exact
    values = np.array(rows, dtype=object)
    shuffled = random.permutation(values)
    results = [
        FEATURE_METHODS[metric](reference, window_of(order.tolist()), 50) for order in (values, shuffled)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("size", [200, 1000, 20_000])
@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_quiet_windows_are_quiet(kind, size):
    """False alarms: at most 1 of 400 independent windows per metric (chance is set to 1 in 10,000)."""
    windows = 400 if size < 20_000 else 60
    random = np.random.default_rng(size)
    reference = reference_of(draw(kind, random, 20_000))
    alarms = Counter()
    for _ in range(windows):
        window = window_of(draw(kind, random, size))
        alarms.update(
            metric for metric in METHODS_OF[kind] if judge(metric, reference, window).verdict == ALARM
        )
    assert all(count <= 1 for count in alarms.values()), alarms


@pytest.mark.parametrize(("metric", "kind"), CASES)
@pytest.mark.parametrize("count", [0, 1, MIN - 1])
def test_too_few_rows_are_said_to_be_too_few(metric, kind, count, random):
    reference = reference_of(draw(kind, random, 1000))
    result = judge(metric, reference, ColumnWindow(0) if not count else window_of(draw(kind, random, count)))
    assert result.verdict == NOT_ENOUGH_DATA
    assert str(MIN) in result.reason
    assert result.size == count


@pytest.mark.parametrize(("metric", "kind"), CASES)
def test_a_window_of_nothing_but_missing_values(metric, kind, random):
    reference = reference_of(draw(kind, random, 1000))
    nothing = [None] * 500 if kind == "categorical" else np.full(500, np.nan)
    result = judge(metric, reference, window_of(nothing))
    assert result.verdict == (ALARM if metric == "missing_rate" else NOT_ENOUGH_DATA)


@pytest.mark.parametrize("value", [2.0, np.nextafter(3.0, 9), np.nextafter(3.0, -9), 4.0, 1e308, -1e308])
def test_leaving_a_constant_is_seen(value):
    result = judge("psi", reference_of(np.full(500, 3.0)), window_of(np.full(500, value)))
    assert result.verdict == ALARM


@pytest.mark.parametrize("metric", METHODS_OF["numeric"])
def test_infinite_and_huge_numbers_have_an_outcome(metric, random):
    reference = reference_of(random.normal(size=1000))
    wild = np.array([np.inf, -np.inf, np.nan, 1e308, -1e308, float(2**63), 5e-324] * 100)
    expected = OK if metric == "wrong_type_rate" else ALARM  # numbers they are
    assert judge(metric, reference, window_of(wild)).verdict == expected
    assert judge(metric, reference_of(wild), window_of(wild)).verdict in {OK, NOT_ENOUGH_DATA}


def test_a_million_categories_have_an_outcome():
    names = [f"id{number}" for number in range(1_000_000)]
    window = window_of(names)
    for metric in METHODS_OF["categorical"]:
        judge(metric, reference_of(["a", "b"] * 300), window)
    many = summary_of(names[:20_000])
    reference = ColumnReference(
        "x", "categorical", many, categorical_bins(dict.fromkeys(names[:20_000], 1)), LIMITS
    )
    assert judge("unseen_rate", reference, window).verdict == NOT_ENOUGH_DATA
    assert "identifier" in judge("unseen_rate", reference, window).reason
    assert judge("missing_rate", reference, window).verdict == OK


@pytest.mark.parametrize("kind", METRICS_OF_KIND)
def test_performance_of_nothing_and_of_one_row_has_a_named_outcome(kind):
    for summary, answered in ((None, 0), (None, 50), (PerformanceSummary(), 500), (one_row(kind), 1)):
        found = performance.judge(summary, answered, Task(kind), Maturity(1, 0.5))
        assert set(found) == set(METRICS_OF_KIND[kind])
        for result in found.values():
            assert result.verdict in VERDICTS
            assert (result.value is None) == (result.verdict != OK)
            json.dumps(asdict(result), allow_nan=False)


def one_row(kind):
    summary = PerformanceSummary()
    if kind == "regression":
        summary.add_row(3, 4.5, None)
    elif kind == "ranking":
        summary.add_row("a", ["b", "a"], None)
    else:
        summary.add_row(True, True, 0.8)
    return summary


def test_traffic_has_a_named_outcome_for_nothing_and_for_one_row():
    latency = LatencySummary()
    latency.update(np.array([12.0]))
    for arguments in ((None, None), (TrafficSummary({200: 1}), None), (TrafficSummary({503: 1}), latency)):
        for result in traffic.judge(*arguments).values():
            json.dumps(asdict(result), allow_nan=False)
            assert (result.value is None) == (result.verdict != OK)
