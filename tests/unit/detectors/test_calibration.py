"""Thresholds from the reference's own windows, and what is said where there are too few."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest

from detectors.calibration import WindowTable, calibrate, limits, missing_rates, psi_excess, unseen_rates

DAY = timedelta(days=1)


@pytest.fixture
def random():
    return np.random.default_rng(9)


def table_of(counts, missing=None):
    counts = np.asarray(counts, dtype=float)
    missing = np.zeros(len(counts)) if missing is None else np.asarray(missing, dtype=float)
    return WindowTable(counts, missing, counts.sum(axis=1) + missing)


def test_independent_windows_lie_at_no_distance_but_chance(random):
    excess = psi_excess(table_of(random.multinomial(900, np.full(10, 0.1), 60)), 30)
    assert len(excess) == 60
    assert np.median(excess) < 0.002
    assert limits(calibrate({"psi": excess}, DAY), DAY, 0.1)["psi"].threshold == 0.1


def test_a_days_weather_is_part_of_what_is_usual(random):
    """Each window shows a few of the ten bins: far from the whole, and yet an ordinary day."""
    counts = [random.multinomial(900, random.dirichlet(np.full(10, 0.3))) for _ in range(60)]
    excess = psi_excess(table_of(counts), 30)
    limit = limits(calibrate({"psi": excess}, DAY), DAY, 0.1)["psi"]
    assert limit.threshold > 1
    assert "60 windows of 1d" in limit.basis
    later = [random.multinomial(900, random.dirichlet(np.full(10, 0.3))) for _ in range(300)]
    whole = np.sum(counts, axis=0)
    distances = [psi_excess(table_of([whole, day]), 30)[1] for day in later]
    assert np.mean(np.array(distances) > limit.threshold) < 0.01


def test_one_blizzard_does_not_blind_a_column():
    quiet = [0.01] * 58
    assert limits(calibrate({"psi": [*quiet, 9.0]}, DAY), DAY, 0.1)["psi"].threshold == 0.1


def test_small_windows_are_left_out():
    table = table_of([[50, 50], [5, 5], [60, 40]], missing=[10, 20, 0])
    assert len(psi_excess(table, 30)) == 2
    assert missing_rates(table, 30) == pytest.approx([10 / 110, 20 / 30, 0.0])


def test_unseen_is_what_no_other_window_has():
    windows, codes = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 0, 3])
    assert unseen_rates(windows, codes, 1) == pytest.approx([1 / 3, 0.0, 1 / 2])
    assert unseen_rates(windows, codes, 3) == pytest.approx([1 / 3])
    assert unseen_rates(np.array([], dtype=int), np.array([], dtype=int), 1) == []


def test_too_few_windows_fall_back_and_the_limit_says_so():
    limit = limits(calibrate({"psi": [0.5] * 7}, DAY), DAY, 0.1)["psi"]
    assert limit.threshold == 0.25
    assert "7 windows" in limit.basis
    assert "8 are needed" in limit.basis
    assert limits({}, DAY, 0.4)["psi"].threshold == 0.4


def test_another_size_of_window_falls_back_and_asks_for_a_new_reference():
    limit = limits(calibrate({"psi": [0.5] * 30}, DAY), timedelta(hours=1), 0.1)["psi"]
    assert limit.threshold == 0.25
    assert "windows of 1h: build it again" in limit.basis


def test_what_is_stored_is_plain_json():
    kept = calibrate({"psi": [0.1, 0.2, 0.3], "missing_rate": [], "unseen_rate": [0.0]}, DAY)
    again = json.loads(json.dumps(kept, allow_nan=False))
    assert again["window_seconds"] == 86_400
    assert again["metrics"]["psi"]["windows"] == 3
    assert again["metrics"]["psi"]["p50"] == pytest.approx(0.2)
    assert again["metrics"]["missing_rate"]["windows"] == 0
