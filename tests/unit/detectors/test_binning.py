"""Bins: made once on the reference, every value in exactly one, and the same after JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.binning import Bins, categorical_bins, numeric_bins
from remora.summaries import CategoricalSummary, NumericSummary


def numeric(values):
    summary = NumericSummary()
    summary.update(np.asarray(values, dtype=float))
    return summary


def test_bins_of_a_continuous_column_are_of_equal_share():
    values = np.random.default_rng(1).lognormal(size=10_000)
    bins = numeric_bins(values, 10)
    assert bins.counts == (1000.0,) * 10
    assert len(bins.edges) == 9


def test_a_value_that_many_rows_share_has_a_bin_of_its_own():
    bins = numeric_bins(np.array([0.0] * 90 + [1.0, 2.0, 3.0, 4.0, 5.0] * 2), 10)
    for value in (-1.0, 0.0, 1.0, 5.0, 9.0):
        assert bins.masses(numeric([value])).sum() == 1
    assert bins.masses(numeric([-0.001])).tolist() != bins.masses(numeric([0.0])).tolist()
    assert bins.masses(numeric([0.001])).tolist() != bins.masses(numeric([0.0])).tolist()
    assert max(bins.counts) == 90


def test_an_empty_column_has_one_bin():
    assert numeric_bins(np.array([]), 10).counts == (0.0,)
    assert categorical_bins({}).counts == (0.0,)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=150), st.integers(2, 20))
def test_exact_counts_are_those_that_a_small_sketch_gives(values, count):
    bins = numeric_bins(np.array(values), count)
    assert bins.masses(numeric(values)).tolist() == list(bins.counts)
    assert list(bins.edges) == sorted(set(bins.edges))
    assert Bins.from_json(json.loads(json.dumps(bins.to_json()))) == bins


def test_rare_categories_are_the_others():
    bins = categorical_bins({"a": 700, "b": 295, "c": 4, "d": 1})
    assert (bins.categories, bins.counts) == (("a", "b"), (700.0, 295.0, 5.0))
    assert bins.known == {"a", "b", "c", "d"}
    summary = CategoricalSummary()
    summary.update(["a", "c", "new", "new"])
    assert bins.masses(summary).tolist() == [1, 0, 3]


def test_at_most_thirty_categories_have_their_own_bin_and_identifiers_are_not_kept():
    assert len(categorical_bins({f"c{n}": 10 for n in range(60)}).categories) == 30
    ids = categorical_bins({f"id{n}": 1 for n in range(10_001)})
    assert (ids.known, ids.categories, ids.counts) == (None, (), (10_001.0,))
    assert Bins.from_json(json.loads(json.dumps(ids.to_json()))) == ids


@pytest.mark.parametrize("bins", [numeric_bins(np.arange(100.0), 5), categorical_bins({"ü": 3, "": 1})])
def test_bins_survive_json(bins):
    assert Bins.from_json(json.loads(json.dumps(bins.to_json()))) == bins
