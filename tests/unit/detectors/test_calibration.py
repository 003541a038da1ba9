"""Thresholds from the reference's own windows and a budget, and what is said where there are too few."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.base import ColumnReference, ColumnWindow
from detectors.binning import categorical_bins
from detectors.budget import Budget
from detectors.calibration import MIN_WINDOWS, Whole, calibrate
from detectors.lasting import watch
from detectors.limits import Policy, limits_of
from detectors.methods.psi import expected, judge, psi
from detectors.observing import WindowTable, missing_rates, psi_distances, unseen_rates
from remora.summaries import CategoricalSummary

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BUDGET = Budget(1, timedelta(days=30))
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
BINS = 10


@pytest.fixture
def random():
    return np.random.default_rng(9)


def starts_of(count, size=DAY):
    return MONDAY.timestamp() + np.arange(count) * size.total_seconds()


def table_of(counts, missing=None, size=DAY):
    counts = np.asarray(counts, dtype=float)
    missing = np.zeros(len(counts)) if missing is None else np.asarray(missing, dtype=float)
    return WindowTable(counts, missing, counts.sum(axis=1) + missing, starts_of(len(counts), size))


def limits_from(columns, size=DAY, budget=BUDGET, minimum=0.1):
    """Each column's limits, learnt from tables of counts."""
    tables = {name: table_of(counts, size=size) for name, counts in columns.items()}
    seen = {name: {"psi": psi_distances(table)} for name, table in tables.items()}
    learnt = calibrate(seen, next(iter(tables.values())).starts, size, budget)
    stored = json.loads(json.dumps([learnt.whole, learnt.columns], allow_nan=False))
    policy = Policy(budget, minimum, size)
    return {name: limits_of(stored[1][name], stored[0], len(columns), policy) for name in columns}


def psi_limit(limits, rows=1000, start=MONDAY):
    return limits.at(start, rows, 60_000, BINS)["psi"]


def test_independent_windows_leave_the_minimum_effect_to_decide(random):
    limits = limits_from({"x": random.multinomial(5000, np.full(BINS, 0.1), 60)})
    limit = psi_limit(limits["x"], 5000)
    assert limit.threshold == pytest.approx(0.01)
    assert "minimum effect" in limit.basis
    assert "60 windows of 1d" in limit.basis


def test_a_days_weather_is_part_of_what_is_usual(random):
    """Each window shows a few of the ten bins: far from the whole, and yet an ordinary day."""
    counts = [random.multinomial(900, random.dirichlet(np.full(BINS, 0.3))) for _ in range(60)]
    limits = limits_from({"x": counts})
    limit = psi_limit(limits["x"], 900)
    assert limit.threshold > 1
    assert "as far as windows lie apart" in limit.basis
    later = [random.multinomial(900, random.dirichlet(np.full(BINS, 0.3))) for _ in range(1000)]
    whole = np.sum(counts, axis=0)
    beyond = limit.threshold + expected(BINS, 900, whole.sum())
    alarms = sum(psi(whole, day) > beyond for day in later)
    assert alarms / 1000 * 30 < 1.0  # in thirty days


def test_one_blizzard_does_not_blind_a_column(random):
    counts = random.multinomial(1000, np.full(BINS, 0.1), 60)
    quiet = psi_limit(limits_from({"x": counts})["x"])
    counts[30] = [1000, *[0] * 9]
    assert psi_limit(limits_from({"x": counts})["x"]).threshold < 8 * quiet.threshold + 0.05


def test_the_hours_of_a_day_are_told_apart(random):
    """At night other people ask: every night lies far from the whole, and none is an alarm."""
    hours = np.arange(24 * 30) % 24
    tilt = np.sin(hours / 24 * 2 * np.pi)[:, None] * np.linspace(-1, 1, BINS)
    shares = np.exp(tilt) / np.exp(tilt).sum(axis=1, keepdims=True)
    counts = [random.multinomial(400, one) for one in shares]
    limits = limits_from({"x": counts}, size=HOUR)["x"]
    assert limits.ordinary["psi"].alike == "hour"
    at_noon, at_six = (psi_limit(limits, 400, MONDAY + hour * HOUR).threshold for hour in (12, 6))
    assert at_six > 3 * at_noon
    assert "windows of the same hour" in psi_limit(limits, 400, MONDAY + 6 * HOUR).basis


def weekdays(random, days, rows):
    """A day's rows have one weekday, but for those of the evening before; at the weekend there are fewer."""
    counts = np.zeros((days, 7))
    for number in range(days):
        size = rows * (0.8 if number % 7 > 4 else 1.0) * random.uniform(0.97, 1.03)
        before = random.binomial(int(size), 0.15)
        counts[number, number % 7], counts[number, (number - 1) % 7] = int(size) - before, before
    return counts


@pytest.mark.parametrize("growth", [1.0, 1.1, 3.0])
def test_bins_that_are_always_empty_are_no_drift_however_traffic_grows(random, growth):
    """An empty bin costs the more the larger a window is: a weekday in windows of a day had alarms from that alone."""
    counts = weekdays(random, 59, 900)
    counts[38:40] = np.round(counts[38:40] * 0.3)  # two days of blizzard must not hide that weekdays differ
    names = "MTWHFSU"
    reference = summary_of(names, counts.sum(axis=0))
    bins = categorical_bins(reference.counts())
    order = [names.index(name) for name in bins.categories]
    others = np.zeros((len(counts), len(bins.counts) - len(order)))
    limits = limits_from({"weekday": np.hstack([counts[:, order], others])})["weekday"]
    assert limits.ordinary["psi"].alike == "weekday"
    kept = None
    for number, row in enumerate(weekdays(random, 140, 900 * growth)):
        start, window = MONDAY + number * DAY, summary_of(names, row)
        at = limits.at(start, window.count, reference.count, len(bins.counts))
        column = ColumnReference("weekday", "categorical", reference, bins, at)
        found = judge(column, ColumnWindow(window.count, categorical=window), 30)
        found = watch("psi", found, limits, kept, start, "cusum")
        kept = found.details.get("watch")
        assert found.verdict == "ok", (number, found.reason)


def summary_of(names, counts):
    summary = CategoricalSummary()
    summary.update([name for name, count in zip(names, counts, strict=True) for _ in range(int(count))])
    return summary


def test_more_rows_never_raise_a_limit_and_fewer_never_lower_it(random):
    counts = [random.multinomial(300, random.dirichlet(np.full(BINS, 20))) for _ in range(60)]
    limits = limits_from({"x": counts})["x"]
    thresholds = [
        psi_limit(limits, rows).threshold + expected(BINS, rows, 18_000) for rows in (50, 300, 3000)
    ]
    assert thresholds[0] > thresholds[1] > thresholds[2] > 0.01


def test_many_columns_and_a_smaller_budget_make_every_limit_wider(random):
    def counts():
        return random.multinomial(300, np.full(BINS, 0.1), 200)

    one = limits_from({"x": counts()}, minimum=1e-6)["x"]
    forty = limits_from({str(number): counts() for number in range(40)}, minimum=1e-6)["1"]
    seldom = limits_from({"x": counts()}, budget=Budget(1, timedelta(days=365)), minimum=1e-6)["x"]
    assert psi_limit(one, 300).threshold < psi_limit(forty, 300).threshold
    assert psi_limit(one, 300).threshold < psi_limit(seldom, 300).threshold


def test_what_the_thresholds_would_have_done_in_the_reference_is_kept(random):
    counts = random.multinomial(1000, np.full(BINS, 0.1), 60)
    counts[30] = [1000, *[0] * 9]
    table = table_of(counts)
    proof = calibrate({"x": {"psi": psi_distances(table)}}, table.starts, DAY, BUDGET).whole["proof"]
    assert proof["alarms"] == 1
    assert proof["columns"] == [{"feature": "x", "windows": 1}]
    assert (proof["days"], proof["allowed"], proof["budget"]) == (60, 2, "1 false alarm in 30 days")


def test_small_windows_are_left_out():
    table = table_of([[50, 50], [5, 5], [60, 40]], missing=[10, 20, 0])
    assert list(psi_distances(table).usable) == [True, False, True]
    assert missing_rates(table).values == pytest.approx([10 / 110, 20 / 30, 0.0])


def test_unseen_is_what_no_other_window_has():
    windows = np.repeat([0, 1, 2], [60, 40, 40])
    codes = np.concatenate([np.arange(60) % 3, np.arange(40) % 2, np.where(np.arange(40) < 20, 0, 3)])
    assert unseen_rates(windows, codes, 3).values == pytest.approx([1 / 3, 0.0, 1 / 2])
    assert not unseen_rates(np.array([], dtype=int), np.array([], dtype=int), 2).usable.any()


def test_too_few_windows_fall_back_and_the_limit_says_so(random):
    limit = psi_limit(limits_from({"x": random.multinomial(900, np.full(BINS, 0.1), MIN_WINDOWS - 1)})["x"])
    assert limit.threshold == 0.25
    assert "7 windows" in limit.basis
    assert "8 with enough rows are needed" in limit.basis


def test_few_windows_are_trusted_less_than_many(random):
    counts = [random.multinomial(900, random.dirichlet(np.full(BINS, 30))) for _ in range(300)]
    few, many = (psi_limit(limits_from({"x": counts[:count]})["x"], 900).threshold for count in (10, 300))
    assert few > many


def test_another_size_of_window_falls_back_and_asks_for_a_new_reference(random):
    table = table_of(random.multinomial(900, np.full(BINS, 0.1), 60))
    learnt = calibrate({"x": {"psi": psi_distances(table)}}, table.starts, DAY, BUDGET)
    limit = psi_limit(limits_of(learnt.columns["x"], learnt.whole, 1, Policy(BUDGET, 0.1, HOUR)))
    assert limit.threshold == 0.25
    assert "windows of 1h: build it again" in limit.basis


def test_nothing_learnt_is_nothing_stored():
    assert Whole.from_json({"window_seconds": 86_400.0, "windows": 3}) is None


def test_the_columns_share_what_the_budget_allows_in_30_days(random):
    columns = {name: random.multinomial(5000, np.full(BINS, 0.1), 60) for name in "abc"}
    limits = limits_from(columns, budget=Budget(2, timedelta(days=60)))
    assert sum(one.expected_false_alarms() for one in limits.values()) == pytest.approx(1.0)
    assert sum(one.shared(4).expected_false_alarms() for one in limits.values()) == pytest.approx(0.25)
    unlearnt = limits_of({}, {"windows": 3}, 1, Policy(BUDGET, 0.1, DAY))
    assert unlearnt.expected_false_alarms() is None
