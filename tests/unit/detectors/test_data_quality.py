"""What is wrong with the data themselves: range, type, stuck values and schema."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow
from detectors.binning import numeric_bins
from detectors.methods import out_of_range, schema, stuck, wrong_type
from remora.summaries import CategoricalSummary, NumericSummary


def numbers(values):
    summary = NumericSummary()
    summary.update(np.asarray(values, dtype=float))
    return summary


def names(values):
    summary = CategoricalSummary()
    summary.update(values)
    return summary


def reference_of(values, **more):
    found = np.asarray(values, dtype=float)
    return ColumnReference("x", "numeric", numbers(found), numeric_bins(found, 10), **more)


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


# --- range -----------------------------------------------------------------------------------------------------------


def test_the_number_outside_is_beta_binomial_as_all_orders_of_few_values_say():
    """Of 3 + 2 values in any order, how many of the 2 lie outside of the range of the 3: counted out."""
    seen = [
        sum(not min(order[:3]) <= value <= max(order[:3]) for value in order[3:])
        for order in permutations(range(5))
    ]
    shares = np.bincount(seen, minlength=3) / len(seen)
    assert stats.betabinom.pmf([0, 1, 2], 2, 2, 2) == pytest.approx(shares)


def test_chance_exceeds_the_bound_no_oftener_than_it_says(random):
    limit = out_of_range.bound(200, 300)
    outside = 0
    for _ in range(4000):
        there, here = random.normal(size=300), random.normal(size=200)
        outside += ((here < there.min()) | (here > there.max())).mean() > limit
    assert outside <= 3  # 0.4 are to be expected


def test_a_stated_range_is_broken_by_one_value_that_the_sketch_may_have_lost(random):
    values = random.normal(size=100_000)
    values[5] = -9.0
    reference = reference_of(random.normal(size=1000), allowed=(-8.0, None))
    result = out_of_range.judge(reference, ColumnWindow(len(values), numeric=numbers(values)), 200)
    assert (result.verdict, result.threshold) == (ALARM, 0.0)
    assert result.value == pytest.approx(1 / 100_000)
    assert "remora.yaml" in result.reason


def test_the_bounds_of_a_stated_range_belong_to_it():
    reference = reference_of(np.arange(50.0), allowed=(0.0, 120.0))
    window = ColumnWindow(300, numeric=numbers([0.0, 60.0, 120.0] * 100))
    assert out_of_range.judge(reference, window, 200).value == 0.0
    over = ColumnWindow(300, numeric=numbers([0.0, 60.0, 121.0] * 100))
    assert out_of_range.judge(reference, over, 200).value == pytest.approx(1 / 3)


def test_a_stated_range_needs_no_large_reference_and_a_seen_one_does():
    window = ColumnWindow(300, numeric=numbers([5.0] * 300))
    small = reference_of(np.arange(50.0))
    assert out_of_range.judge(small, window, 200).verdict == NOT_ENOUGH_DATA
    assert out_of_range.judge(replace(small, allowed=(0.0, 10.0)), window, 200).verdict == OK


# --- type and stuck values -------------------------------------------------------------------------------------------


def test_numbers_that_come_as_text_are_counted(random):
    window = ColumnWindow(1000, numbers(random.normal(size=950)), names(["7"] * 50))
    result = wrong_type.judge(reference_of(random.normal(size=500)), window, 200)
    assert (result.verdict, result.value, result.size) == (ALARM, 0.05, 1000)
    assert result.low < 0.05 < result.high


@pytest.mark.parametrize(("size", "held"), [(150, 60), (100_000, 30_000)])
def test_the_share_of_the_most_frequent_value(size, held, random):
    values = random.normal(size=size)
    values[:held] = 3.0
    summary = numbers(random.permutation(values))
    assert stuck.most_frequent(summary) == pytest.approx(held / size, abs=summary.rank_error + 1e-12)
    assert stuck.most_frequent(names(["a"] * 3 + ["b"])) == 0.75
    assert stuck.most_frequent(numbers([])) == 0.0


def test_a_feature_that_mostly_holds_one_value_is_not_stuck_on_it(random):
    values = np.where(random.random(5000) < 0.9, 0.0, random.normal(size=5000))
    reference = reference_of(values)
    window = ColumnWindow(1000, numeric=numbers(values[:1000]))
    assert stuck.judge(reference, window, 200).verdict == OK
    result = stuck.judge(reference, ColumnWindow(1000, numeric=numbers(np.zeros(1000))), 200)
    assert result.verdict == ALARM
    assert result.reason.startswith("Every value is one and the same")


# --- schema ----------------------------------------------------------------------------------------------------------

KNOWN = {
    "age": reference_of(np.arange(300.0)),
    "city": ColumnReference("city", "categorical", names(["a"] * 300), numeric_bins(np.zeros(0), 10)),
    "$score": reference_of(np.arange(300.0)),
}
AS_EVER = {
    "age": ColumnWindow(1000, numeric=numbers(np.arange(1000.0))),
    "city": ColumnWindow(1000, categorical=names(["a"] * 20)),
}


def test_the_same_features_are_no_change():
    result = schema.judge(KNOWN, AS_EVER, 1000, 200)
    assert (result.verdict, result.value, result.details) == (OK, 0.0, {})


def test_what_appears_disappears_and_changes_its_kind_is_named():
    window = {
        "age": ColumnWindow(1000, numbers(np.arange(400.0)), names(["x"] * 600)),
        "income": ColumnWindow(1000, numeric=numbers(np.arange(10.0))),
        "rare": ColumnWindow(1000, numeric=numbers(np.arange(9.0))),
    }
    result = schema.judge(KNOWN, window, 1000, 200)
    assert (result.verdict, result.value) == (ALARM, 3.0)
    assert result.details == {"appeared": ["income"], "disappeared": ["city"], "changed_kind": ["age"]}
    assert result.reason == (
        "The features changed; not in the reference: income; not sent any more: city; of another kind: age."
        " Mend the request, or build the reference again from rows like these."
    )
    json.dumps(asdict(result), allow_nan=False)


def test_a_long_list_is_cut_in_the_sentence():
    window = AS_EVER | {f"new{number:03}": AS_EVER["age"] for number in range(150)}
    result = schema.judge(KNOWN, window, 1000, 200)
    assert result.value == 150
    assert "new000, new001, new002 and 147 more" in result.reason
    assert len(result.details["appeared"]) == 100


@pytest.mark.parametrize(("known", "rows"), [(KNOWN, 199), ({}, 1000)])
def test_too_few_rows_or_no_reference_is_no_verdict(known, rows):
    assert schema.judge(known, AS_EVER, rows, 200).verdict == NOT_ENOUGH_DATA
