"""Volume against the weeks before, staleness, and repeated rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK
from detectors.methods import duplicates
from detectors.methods.volume import judge_staleness, judge_volume

END = datetime(2013, 3, 2, tzinfo=UTC)


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


@pytest.mark.parametrize(
    ("count", "before", "verdict"),
    [
        (1000, [1000, 1010, 990, 1005], OK),
        (400, [1000, 1010, 990, 1005], ALARM),
        (0, [1000, 1010, 990, 1005], ALARM),
        (2500, [1000, 1010, 990, 1005], ALARM),
        (400, [1000, 500, 2000, 1000], OK),  # these weeks lie as far apart themselves
        (0, [3, 4, 2, 3], OK),  # so few come to none by chance
        (400, [1000], NOT_ENOUGH_DATA),
        (400, [], NOT_ENOUGH_DATA),
        (400, [0, 0, 0, 900], NOT_ENOUGH_DATA),
    ],
)
def test_volume_is_that_of_the_same_time_of_the_weeks_before(count, before, verdict):
    result = judge_volume(count, before)
    assert result.verdict == verdict
    assert result.size == count
    json.dumps(asdict(result), allow_nan=False)
    if verdict != NOT_ENOUGH_DATA:
        assert result.value == pytest.approx(count / np.median(before))


def test_the_ratio_of_counts_is_quiet_by_chance(random):
    alarms = 0
    for mean in (5, 20, 100, 1000):
        for row in random.poisson(mean, (2000, 5)).tolist():
            alarms += judge_volume(row[0], row[1:]).verdict == ALARM
    assert alarms <= 4  # of 8,000


def test_staleness_is_counted_from_the_minute_of_the_last_prediction():
    last = END - timedelta(hours=3, minutes=1)
    assert judge_staleness(END, last, None).value == pytest.approx(3.0)
    assert judge_staleness(END, last, None).verdict == OK
    assert judge_staleness(END, last, timedelta(hours=3)).verdict == OK
    late = judge_staleness(END, last, timedelta(hours=2))
    assert (late.verdict, late.threshold) == (ALARM, 2.0)
    assert judge_staleness(END, END - timedelta(seconds=20), timedelta(hours=2)).value == 0.0
    assert judge_staleness(END, None, timedelta(hours=2)).verdict == NOT_ENOUGH_DATA


def rows_of(random, size):
    return [{"x": float(one), "c": "a"} for one in random.normal(size=size)]


def test_repeated_rows_are_counted_beside_what_is_usual(random):
    reference, rows = rows_of(random, 1000), rows_of(random, 900)
    assert duplicates.judge(reference, rows, ["x", "c"], 200).verdict == OK
    doubled = rows[:450] + rows[:450]
    result = duplicates.judge(reference, doubled, ["x", "c"], 200)
    assert (result.verdict, result.value, result.reference_value) == (ALARM, 0.5, 0.0)
    assert result.low < 0.5 < result.high


def test_equal_rows_are_ordinary_where_features_have_few_values(random):
    reference, rows = ([{"c": str(one)} for one in random.integers(0, 9, 800)] for _ in range(2))
    result = duplicates.judge(reference, rows, ["c"], 200)
    assert (result.verdict, result.value) == (OK, 791 / 800)


def test_three_and_three_point_zero_are_equal_and_null_is_a_value():
    assert duplicates.repeated([{"x": 3}, {"x": 3.0}, {"x": None}, {}, {"x": "3"}, {"x": True}], ["x"]) == 2
    assert duplicates.repeated([{"x": float("nan")}, {"x": [1, {"a": 2}]}, {"x": 2**70}], ["x"]) == 0


@pytest.mark.parametrize("size", [0, 1, 199])
def test_few_rows_say_nothing_of_repetition(random, size):
    result = duplicates.judge(rows_of(random, 500), rows_of(random, size), ["x"], 200)
    assert result.verdict == NOT_ENOUGH_DATA
    assert str(size) in result.reason
