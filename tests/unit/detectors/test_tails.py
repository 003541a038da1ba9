"""The tail beyond what was seen, and which windows are alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detectors.budget import Budget
from detectors.phases import ALIKE, candidates, phase_of, phases
from detectors.resampling import block_length
from detectors.tails import Tail, fit_tail

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


@given(
    level=st.floats(-5, 5), scale=st.floats(0.01, 10), shape=st.floats(0, 0.3), chance=st.floats(1e-9, 0.1)
)
def test_a_point_is_exceeded_as_seldom_as_was_asked(level, scale, shape, chance):
    tail = Tail(level, 0.1, scale, shape)
    assert tail.chance(tail.point(chance)) == pytest.approx(chance, rel=1e-6)


def test_the_tail_is_scipys():
    tail = Tail(2.0, 0.1, 0.5, 0.2)
    law = stats.genpareto(0.2, loc=2.0, scale=0.5)
    assert tail.point(0.001) == pytest.approx(law.isf(0.01))
    assert tail.chance(4.0) == pytest.approx(0.1 * law.sf(4.0))


def test_many_values_give_the_true_point_and_few_one_beyond_it():
    random = np.random.default_rng(8)
    true = stats.expon.isf(1e-4)
    many = [fit_tail(random.exponential(size=20_000)).point(1e-4) for _ in range(20)]
    assert np.mean(many) == pytest.approx(true, rel=0.15)
    few = [fit_tail(random.exponential(size=30)).point(1e-4) for _ in range(100)]
    assert np.mean(np.array(few) > true) > 0.8


@pytest.mark.parametrize("alike", ALIKE)
def test_one_window_has_the_phase_that_it_has_among_many(alike):
    starts = [MONDAY + number * HOUR for number in range(24 * 15)]
    many = phases(np.array([start.timestamp() for start in starts]), alike)
    assert list(many) == [phase_of(start, alike) for start in starts]


def test_windows_are_told_apart_only_where_each_kind_was_seen_often_enough():
    days = MONDAY.timestamp() + np.arange(30) * 86_400
    assert candidates(days, DAY) == ["all", "weekday"]
    assert candidates(days[:20], DAY) == ["all"]
    hours = MONDAY.timestamp() + np.arange(24 * 30) * 3600
    assert candidates(hours, HOUR) == ["all", "weekday", "hour", "hour of the week"]


def test_a_day_stays_together():
    assert block_length(24 * 60, HOUR) == 72
    assert block_length(3, DAY) == 1


def test_a_budget_is_shared_by_time_and_families():
    budget = Budget(1, 30 * DAY)
    assert budget.per_window(DAY) == pytest.approx(1 / 60)
    assert Budget(1, 30 * DAY, families=5).per_window(HOUR) == pytest.approx(1 / 60 / 24 / 5)
    assert (budget.in_days(365), str(budget)) == (pytest.approx(365 / 30), "1 false alarm in 30 days")
