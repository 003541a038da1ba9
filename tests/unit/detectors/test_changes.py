"""Lasting changes: sums that textbooks print, average run lengths, and the window in which it began."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.base import ALARM, OK, Result
from detectors.budget import Budget
from detectors.calibration import calibrate
from detectors.changes import STEPS, Watch, cusum, e_process, page_hinkley
from detectors.lasting import WATCH, watch
from detectors.limits import Policy, limits_of
from detectors.methods.psi import expected
from detectors.observing import WindowTable, psi_distances

DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
BUDGET = Budget(1, timedelta(days=30))

# Montgomery, Introduction to Statistical Quality Control: the CUSUM chapter's thirty observations around 10; from the
# 21st on their mean is 11. With a slack of 0.5 the upper sum is 5.28 at the 29th, for the seventh time above zero.
OBSERVATIONS = [
    9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62, 10.31,
    8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
]  # fmt: skip


def run_length(step, limit, values):
    kept = Watch()
    for number, value in enumerate(values, start=1):
        kept = step(kept, float(value), str(number), 0.0, limit)
        if kept.height > limit:
            return number
    return len(values)


def test_pages_sum_is_the_textbooks():
    kept = Watch()
    for number, value in enumerate(OBSERVATIONS[:29], start=1):
        kept = cusum(kept, value - 10, str(number), 0.0, 5.0)
    assert kept.height == pytest.approx(5.28)
    assert (kept.since, kept.windows) == ("23", 7)


def test_a_change_of_one_spread_is_found_as_fast_as_tables_of_run_lengths_say():
    """10.4 windows at a limit of 5 (Montgomery's table after Hawkins)."""
    random = np.random.default_rng(3)
    found = [run_length(cusum, 5.0, random.normal(1, 1, 200)) for _ in range(1500)]
    assert np.mean(found) == pytest.approx(10.4, abs=0.4)


def test_the_e_processs_average_run_length_is_at_least_its_threshold():
    random = np.random.default_rng(4)
    quiet = [run_length(e_process, 40.0, random.normal(0, 1, 1000)) for _ in range(200)]
    assert np.mean(quiet) > 40
    moved = [run_length(e_process, 40.0, random.normal(1, 1, 1000)) for _ in range(200)]
    assert np.mean(moved) < 12


def test_page_hinkley_needs_no_usual_value():
    random = np.random.default_rng(5)
    values = np.concatenate([random.normal(7, 0.3, 60), random.normal(9, 0.3, 40)])
    kept, height = Watch(), []
    for number, value in enumerate(values):
        kept = page_hinkley(kept, float(value), str(number), 0.0, 5.0)
        height.append(kept.height)
    assert max(height[:60]) < 5 < height[70]


@pytest.mark.parametrize("name", STEPS)
def test_what_is_kept_survives_json(name):
    kept = Watch()
    for number, value in enumerate([0.2, 1.5, 3.0]):
        kept = STEPS[name](kept, value, str(number), 1.0, 5.0)
    assert Watch.from_json(json.loads(json.dumps(kept.to_json(), allow_nan=False))) == kept
    assert Watch.from_json(None) == Watch()


def learnt(random, minimum=0.05):
    counts = random.multinomial(2000, np.full(10, 0.1), 90).astype(float)
    starts = MONDAY.timestamp() + np.arange(90) * DAY.total_seconds()
    seen = psi_distances(WindowTable(counts, np.zeros(90), counts.sum(axis=1), starts))
    made = calibrate({"x": {"psi": seen}}, starts, DAY, BUDGET)
    return limits_of(made.columns["x"], made.whole, 1, Policy(BUDGET, minimum, DAY))


def day(random, limits, shares, before, number, detector):
    window = random.multinomial(2000, shares)
    share = (window + 0.5) / (window.sum() + 5)
    value = float(((share - 0.1) * np.log(share / 0.1)).sum())
    found = Result(value, OK, "Below.", 2000, reference_value=expected(10, 2000, 180_000), threshold=1.0)
    start = MONDAY + number * DAY
    return watch("psi", found, limits, before, start, detector)


@pytest.mark.parametrize("detector", ["cusum", "e_process"])
def test_many_small_steps_become_an_alarm_that_names_their_beginning(detector):
    random = np.random.default_rng(6)
    limits = learnt(random)
    tilted = np.full(10, 0.1) + np.linspace(-0.02, 0.02, 10)
    before, verdicts, found = None, [], None
    for number in range(60):
        result = day(random, limits, tilted if number >= 30 else np.full(10, 0.1), before, number, detector)
        before = result.details.get(WATCH)
        verdicts.append(result.verdict)
        found = result if found is None and result.verdict == ALARM else found
    assert verdicts[:30] == [OK] * 30
    assert found is not None
    began = datetime.fromisoformat(found.details["changed_at"])
    assert abs(began - (MONDAY + 30 * DAY)) <= 3 * DAY
    assert "windows since 2026-02-0" in found.reason


def test_a_change_below_the_minimum_effect_is_never_an_alarm():
    random = np.random.default_rng(7)
    limits = learnt(random, minimum=1.0)
    tilted = np.full(10, 0.1) + np.linspace(-0.02, 0.02, 10)
    before = None
    for number in range(40):
        result = day(random, limits, tilted, before, number, "cusum")
        before = result.details.get(WATCH)
        assert result.verdict == OK
