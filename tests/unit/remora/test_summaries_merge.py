"""Merging is associative and commutative: counts exactly, sketches as long as they keep every value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.summaries import (
    CategoricalSummary,
    LatencySummary,
    NumericSummary,
    PerformanceSummary,
    ScoreSummary,
    TrafficSummary,
    decode,
    encode,
    merge_encoded,
)

numbers = st.floats(-1e9, 1e9) | st.sampled_from([np.nan, np.inf, -np.inf])
few_numbers = st.lists(numbers, max_size=30)
names = st.lists(st.text(max_size=8), max_size=30)
statuses = st.lists(st.integers(100, 599), max_size=30)
waits = st.lists(st.floats(0, 1e6), max_size=30)
unit = st.floats(0, 1)
classified = st.tuples(st.booleans(), st.booleans(), unit, st.sampled_from([1, 1, -1]))
labelled = st.lists(classified, max_size=30)
letters = st.sampled_from("abc")
multiclass = st.lists(
    st.tuples(letters, letters, st.tuples(unit, unit, unit), st.sampled_from([1, 1, -1])), max_size=20
)
ranked = st.lists(
    st.tuples(
        st.lists(letters, max_size=3),
        st.lists(letters, min_size=1, max_size=4),
        st.none(),
        st.sampled_from([1, -1]),
    ),
    max_size=20,
)
scored = st.lists(st.tuples(letters, letters | st.none(), st.floats(-0.5, 1.5)), max_size=30)


def numeric(values):
    summary = NumericSummary()
    summary.update(np.array(values, dtype=float), missing=1)
    return summary


def categorical(values):
    summary = CategoricalSummary()
    summary.update(values, missing=2)
    return summary


def latency(values):
    summary = LatencySummary()
    summary.update(np.array(values, dtype=float))
    return summary


def traffic(values):
    summary = TrafficSummary()
    summary.update(values)
    return summary


def performance(rows):
    summary = PerformanceSummary()
    for label, prediction, score, weight in rows:
        summary.add_row(label, prediction, score, weight=weight)
    return summary


def of_classes(rows):
    return performance(
        (actual, guess, dict(zip("abc", values, strict=True)), weight)
        for actual, guess, values, weight in rows
    )


def scores(rows):
    summary = ScoreSummary()
    summary.add(rows)
    return summary


RANKS = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


def seen(summary):
    """What a reader sees, exactly where it must be exact; the rest apart, to be compared roughly."""
    if isinstance(summary, NumericSummary):
        rough = [summary.mean, summary.std or 0.0]
        return [summary.count, summary.missing, *summary.quantiles(RANKS)], rough
    if isinstance(summary, CategoricalSummary):
        return [summary.count, summary.missing, summary.counts(), summary.error], [summary.distinct]
    if isinstance(summary, LatencySummary):
        return [summary.count, *(summary.quantile(rank) for rank in RANKS)], [summary.total_ms]
    if isinstance(summary, TrafficSummary):
        return [+summary.by_status], []
    if isinstance(summary, ScoreSummary):
        return [summary.fields(), [summary.rows(name) for name in summary.classes]], []
    of_class = [
        bins for _, pair in sorted(summary.class_scores.items()) for bins in pair if any(bins.values())
    ]
    counts = [
        dict(counter)
        for counter in (*of_class, summary.confusion, summary.positive_scores, summary.negative_scores)
    ]
    exact = [{key: count for key, count in counter.items() if count} for counter in counts]
    return [summary.labelled, summary.scored, *exact], [
        summary.log_loss_sum,
        summary.brier_sum,
        *summary.errors,
        *summary.relative,
        *summary.lists,
    ]


def assert_same(first, second):
    (exact, rough), (other_exact, other_rough) = seen(first), seen(second)
    assert exact == other_exact
    assert rough == pytest.approx(other_rough, rel=1e-6, abs=1e-3)


def merged(*summaries):
    return merge_encoded([encode(summary) for summary in summaries])


CASES = pytest.mark.parametrize(
    ("build", "values"),
    [
        (numeric, few_numbers),
        (categorical, names),
        (latency, waits),
        (traffic, statuses),
        (performance, labelled),
        (of_classes, multiclass),
        (performance, ranked),
        (scores, scored),
    ],
    ids=["numeric", "categorical", "latency", "traffic", "performance", "multiclass", "ranking", "scores"],
)


@CASES
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_order_and_grouping_change_nothing(build, values, data):
    a, b, c = (build(data.draw(values)) for _ in range(3))
    assert_same(merged(a, b), merged(b, a))
    assert_same(merged(merged(a, b), c), merged(a, merged(b, c)))


@CASES
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_parts_say_what_the_whole_says(build, values, data):
    rows = data.draw(values)
    cut = data.draw(st.integers(0, len(rows)))
    whole, parts = build(rows), merged(build(rows[:cut]), build(rows[cut:]))
    if hasattr(parts, "missing"):
        parts.missing -= whole.missing - sum(isinstance(row, float) and not np.isfinite(row) for row in rows)
    assert_same(parts, whole)


@CASES
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_keep_everything(build, values, data):
    summary = build(data.draw(values))
    again = decode(encode(summary))
    assert_same(again, summary)
    assert len(encode(again)) == len(encode(summary))


@CASES
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_merging_leaves_the_other_as_it_is(build, values, data):
    first, second = build(data.draw(values)), build(data.draw(values))
    before = encode(second)
    first.merge(second)
    assert encode(second) == before


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(classified.map(lambda row: (*row[:3], 1)), max_size=40))
def test_what_is_taken_back_leaves_nothing(rows):
    nothing = merged(performance(rows), performance([(*row[:3], -1) for row in rows]))
    assert_same(nothing, PerformanceSummary())
    assert (nothing.accuracy, nothing.auc, nothing.base_rate) == (None, None, None)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(classified.map(lambda row: (*row[:3], 1)), min_size=2, max_size=60))
def test_auc_is_within_its_error(rows):
    positive = [score for label, _, score, _ in rows if label]
    negative = [score for label, _, score, _ in rows if not label]
    found = performance(rows)
    if not positive or not negative:
        assert found.auc is None
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    exact = wins / (len(positive) * len(negative))
    assert abs(found.auc - exact) <= found.auc_error + 1e-12
