"""Summaries against independent truth: exact counts, numpy, scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from remora.summaries import (
    CategoricalSummary,
    LatencySummary,
    NumericSummary,
    PerformanceSummary,
    TrafficSummary,
    decode,
    encode,
    merge_encoded,
)
from remora.summaries.codec import UnreadableSummaryError


@pytest.fixture
def random():
    return np.random.default_rng(7)


def numeric(values, missing=0):
    summary = NumericSummary()
    summary.update(np.asarray(values, dtype=float), missing)
    return summary


def categorical(values, missing=0):
    summary = CategoricalSummary()
    summary.update(values, missing)
    return summary


def latency(values):
    summary = LatencySummary()
    summary.update(np.asarray(values, dtype=float))
    return summary


def performance(labels, scores, threshold=0.5):
    summary = PerformanceSummary()
    for label, score in zip(labels, scores, strict=True):
        summary.add_row(bool(label), bool(score > threshold), float(score))
    return summary


EMPTY = [NumericSummary, CategoricalSummary, LatencySummary, PerformanceSummary, TrafficSummary]


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_summary_goes_through_bytes_and_merges(kind):
    empty = decode(encode(kind()))
    empty.merge(kind())
    assert type(empty) is kind
    assert empty.fields()[0] == kind().fields()[0]
    assert merge_encoded([]) is None


def test_an_empty_summary_says_nothing():
    summary = NumericSummary()
    assert (summary.count, summary.std, summary.minimum, summary.maximum, summary.missing_rate) == (0, None, None, None, None)  # fmt: skip
    assert summary.quantiles([0.5]) == []
    assert summary.masses([1.0, 2.0]).tolist() == [0, 0, 0]
    assert CategoricalSummary().counts() == {}
    assert (LatencySummary().quantile(0.5), LatencySummary().mean) == (None, None)
    nothing = PerformanceSummary()
    assert {nothing.accuracy, nothing.auc, nothing.log_loss, nothing.brier, nothing.mae, nothing.rmse, nothing.bias,
            nothing.base_rate, nothing.auc_error} == {None}  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x91\xa7traffic", b"\xff" * 20])
def test_another_version_is_refused(data):
    with pytest.raises(UnreadableSummaryError, match="version"):
        decode(data)


@pytest.mark.parametrize(
    "data", [b"\x01", b"\x01\x90", b"\x01\x91\xa4none", b"\x01\xc1", b"\x01\x92\xa7numeric\x01"]
)
def test_damaged_bytes_are_refused(data):
    with pytest.raises(UnreadableSummaryError, match="damaged"):
        decode(data)


def test_cut_bytes_are_refused(random):
    for summary in (numeric(random.normal(size=500)), categorical(["a", "b"] * 50), latency([1, 2, 3])):
        data = encode(summary)
        for length in range(1, len(data), max(1, len(data) // 50)):
            with pytest.raises(UnreadableSummaryError):
                decode(data[:length])


def test_numeric_moments_and_range_against_numpy(random):
    values = random.lognormal(size=10_000)
    merged = numeric(values[:3])
    for part in np.array_split(values[3:], 50):
        merged.merge(numeric(part))
    assert merged.count == 10_000
    assert merged.mean == pytest.approx(values.mean(), rel=1e-12)
    assert merged.std == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert (merged.minimum, merged.maximum) == (values.min(), values.max())


def test_numeric_quantiles_are_within_the_stated_rank_error(random):
    values = random.normal(size=200_000)
    merged = merge_encoded(encode(numeric(part)) for part in np.array_split(values, 300))
    ranks = [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999]
    real = np.searchsorted(np.sort(values), merged.quantiles(ranks)) / len(values)
    assert np.abs(real - ranks).max() < 0.0133


def test_numeric_masses_are_exact_while_small_and_count_upper_edges_in():
    summary = numeric([1, 2, 2, 3, 4])
    assert summary.masses([2.0, 3.0]).tolist() == [3, 1, 1]
    assert summary.masses([]).tolist() == [5]


def test_numeric_counts_what_is_not_finite_as_missing():
    summary = numeric([1.0, math.nan, math.inf, -math.inf], missing=2)
    assert (summary.count, summary.missing, summary.total) == (1, 5, 6)
    assert summary.missing_rate == 5 / 6


def test_huge_numbers_neither_overflow_nor_warn():
    summary = numeric([1e308, -1e308, float(2**1000), 5e-324])
    summary.merge(numeric([1.7e308] * 3))
    assert math.isfinite(summary.mean)
    assert math.isfinite(summary.std)
    assert (summary.minimum, summary.maximum) == (-1e308, 1.7e308)
    assert decode(encode(summary)).fields() == summary.fields()


def test_a_million_categories_stay_small_and_within_their_error(random):
    names = [f"c{number}" for number in range(1_000_000)]
    heavy = ["heavy"] * 50_000
    summary = categorical(names)
    summary.merge(categorical(heavy))
    assert summary.count == 1_050_000
    assert summary.distinct == pytest.approx(1_000_001, rel=0.1)
    assert 50_000 - summary.error <= summary.counts()["heavy"] <= 50_000 + summary.error
    assert summary.error <= 0.0034 * summary.count
    assert len(encode(summary)) < 50_000


def test_few_categories_are_counted_exactly(random):
    values = random.choice(["a", "b", "ü", "", "true"], 10_000).tolist()
    merged = merge_encoded([encode(categorical(values[:4000], 3)), encode(categorical(values[4000:], 2))])
    assert merged.counts() == {name: values.count(name) for name in set(values)}
    assert (merged.error, merged.missing, round(merged.distinct)) == (0, 5, 5)


def test_latency_quantiles_are_sharp_at_the_slow_end(random):
    values = random.lognormal(3, 1, size=200_000)
    merged = merge_encoded(encode(latency(part)) for part in np.array_split(values, 200))
    ordered = np.sort(values)
    for rank, error in ((0.5, 0.03), (0.95, 0.005), (0.99, 0.001)):
        real = np.searchsorted(ordered, merged.quantile(rank)) / len(values)
        assert abs(real - rank) < error
    assert merged.mean == pytest.approx(values.mean())


def test_performance_against_scikit_learn(random):
    labels = random.random(5000) < 0.3
    scores = np.clip(random.beta(2, 4, 5000) + 0.15 * labels, 0.0001, 0.9999)
    found = merge_encoded(
        [encode(performance(labels[:9], scores[:9])), encode(performance(labels[9:], scores[9:]))]
    )
    assert abs(found.auc - roc_auc_score(labels, scores)) <= found.auc_error
    assert found.auc_error < 0.005
    assert found.log_loss == pytest.approx(log_loss(labels, scores), rel=1e-12)
    assert found.brier == pytest.approx(brier_score_loss(labels, scores), rel=1e-12)
    assert found.accuracy == pytest.approx(accuracy_score(labels, scores > 0.5))
    assert found.base_rate == labels.mean()
    assert found.labelled == 5000


def test_auc_of_equal_scores_is_a_half_and_of_ties_exact():
    found = performance([1, 0, 1, 0], [0.25, 0.25, 0.75, 0.25])
    assert performance([1, 0], [0.5, 0.5]).auc == 0.5
    assert found.auc == roc_auc_score([1, 0, 1, 0], [0.25, 0.25, 0.75, 0.25])
    assert performance([1, 1], [0.2, 0.7]).auc is None


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_certain_and_wrong_score_costs_a_finite_loss(score):
    found = performance([score < 0.5], [score])
    assert found.log_loss == pytest.approx(-math.log(1e-15))


def test_multiclass_scores_give_accuracy_and_log_loss(random):
    classes = ["a", "b", "c"]
    labels, shares = random.choice(classes, 500), random.dirichlet([1, 1, 1], 500)
    summary = PerformanceSummary()
    for label, share in zip(labels, shares, strict=True):
        scores = dict(zip(classes, share.tolist(), strict=True))
        summary.add_row(str(label), classes[int(share.argmax())], scores)
    assert summary.log_loss == pytest.approx(log_loss(labels, shares, labels=classes))
    assert summary.accuracy == np.mean(labels == np.array(classes)[shares.argmax(axis=1)])
    assert summary.auc is None


def test_binary_scores_by_class_give_auc(random):
    labels = random.random(300) < 0.4
    scores = random.random(300)
    summary = PerformanceSummary()
    for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
        summary.add_row(label, score > 0.5, {"true": score, "false": 1 - score})
    assert abs(summary.auc - roc_auc_score(labels, scores)) <= summary.auc_error
    assert summary.log_loss == pytest.approx(log_loss(labels, scores))
    assert summary.brier == pytest.approx(brier_score_loss(labels, scores))


def test_regression_against_numpy(random):
    actual, predicted = random.normal(size=400), random.normal(0.3, 1, size=400)
    summary = PerformanceSummary()
    for real, guess in zip(actual.tolist(), predicted.tolist(), strict=True):
        summary.add_row(real, guess, None)
    error = predicted - actual
    assert (summary.mae, summary.rmse, summary.bias) == pytest.approx(
        (np.abs(error).mean(), math.sqrt((error**2).mean()), error.mean())
    )
    assert summary.accuracy is None


def test_a_corrected_label_takes_the_first_back():
    right, wrong, both = (PerformanceSummary() for _ in range(3))
    right.add_row(True, True, 0.8)
    wrong.add_row(False, True, 0.8)
    wrong.add_row(True, False, 0.1)
    both.add_row(False, True, 0.8, weight=-1)
    both.add_row(True, False, 0.1, weight=-1)
    for summary in (wrong, both):
        right = merge_encoded([encode(right), encode(summary)])
    alone = PerformanceSummary()
    alone.add_row(True, True, 0.8)
    assert (right.labelled, right.accuracy, right.base_rate, right.auc) == (1, 1.0, 1.0, None)
    assert right.log_loss == pytest.approx(alone.log_loss)
    assert right.brier == pytest.approx(alone.brier)
    assert right.confusion == alone.confusion


def test_traffic_counts_by_status():
    summary = TrafficSummary()
    summary.update([200, 200, 404, 500, 503])
    summary.merge(TrafficSummary({200: 1, 502: 2}))
    assert (summary.count, summary.errors, summary.refused) == (8, 4, 1)
    assert decode(encode(summary)).by_status == summary.by_status


def test_zeros_and_ones_are_classes_where_the_model_is_one_and_numbers_where_it_is_a_regression():
    as_class, as_number, guessed = PerformanceSummary(), PerformanceSummary(), PerformanceSummary()
    for label, prediction in [(0, 0), (1, 1), (1, 0)]:
        as_class.add_row(label, prediction, None, kind="binary")
        as_number.add_row(label, prediction, None, kind="regression")
        guessed.add_row(label, prediction, None)
    assert as_class.accuracy == pytest.approx(2 / 3)
    assert as_class.mae is None
    assert as_number.mae == guessed.mae == pytest.approx(1 / 3)
    assert as_number.accuracy is None


def test_performance_from_before_rows_were_sampled_is_still_read():
    summary = PerformanceSummary()
    for probability in (0.2, 0.9):
        summary.add_row(True, probability > 0.5, probability)
    old = PerformanceSummary.from_fields(summary.fields()[:8])
    assert (old.rows, old.labelled, old.squares) == (2, 2, 2)
    assert old.fields() == summary.fields()
