"""Performance: values and intervals against independent ones, and when nothing may be said."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from detectors.base import LABELS_NOT_MATURE, NOT_ENOUGH_DATA, OK
from detectors.methods.classification import hanley_mcneil
from detectors.methods.measures import Task
from detectors.methods.performance import Maturity, judge
from remora.summaries import PerformanceSummary

MATURE = Maturity(100, 0.5)


def binary(random, size, scores=True):
    labels = random.random(size) < 0.3
    values = np.clip(random.beta(2, 4, size) + 0.15 * labels, 0, 1)
    summary = PerformanceSummary()
    for label, value in zip(labels.tolist(), values.tolist(), strict=True):
        summary.add_row(label, value > 0.5, value if scores else None)
    return summary, labels, values


@pytest.fixture
def random():
    return np.random.default_rng(11)


@pytest.mark.parametrize(("auc", "positives", "negatives"), [(0.6, 40, 160), (0.8, 100, 100), (0.9, 50, 50)])
def test_hanley_and_mcneils_error_is_exact_for_exponential_scores(random, auc, positives, negatives):
    """Their formula is derived from exponential scores, so there it must agree with repeated drawing."""
    scale = auc / (1 - auc)
    high, low = random.exponential(scale, (4000, positives, 1)), random.exponential(1, (4000, 1, negatives))
    drawn = [float((p > n).mean()) for p, n in zip(high, low, strict=True)]
    assert np.mean(drawn) == pytest.approx(auc, abs=0.005)
    assert hanley_mcneil(auc, positives, negatives) == pytest.approx(np.std(drawn), rel=0.04)


def test_the_interval_of_auc_holds_the_truth_about_as_often_as_it_says(random):
    truth = roc_auc_score(*binary(random, 200_000)[1:])
    held = 0
    for _ in range(200):
        result = judge(binary(random, 300)[0], 300, Task("binary"), MATURE)["auc"]
        held += result.low <= truth <= result.high
    assert 0.90 <= held / 200 <= 0.995


def test_labels_that_have_not_come_are_said_to_be_awaited(random):
    results = judge(binary(random, 120)[0], 1000, Task("binary"), MATURE)
    assert results["label_coverage"].value == 0.12
    assert results["label_coverage"].verdict == OK
    assert results["auc"].verdict == LABELS_NOT_MATURE
    assert results["auc"].value is None
    assert "120 of 1000" in results["auc"].reason
    assert "50 %" in results["auc"].reason


def test_too_few_labelled_rows_give_no_verdict(random):
    result = judge(binary(random, 60)[0], 80, Task("binary"), MATURE)["accuracy"]
    assert (result.verdict, result.size, result.coverage) == (NOT_ENOUGH_DATA, 60, 0.75)
    assert "100 are needed" in result.reason


def test_without_scores_accuracy_is_still_known(random):
    results = judge(binary(random, 200, scores=False)[0], 200, Task("binary"), MATURE)
    assert results["accuracy"].verdict == OK
    assert results["auc"].verdict == NOT_ENOUGH_DATA
    assert "scores" in results["auc"].reason


def test_labels_of_rows_that_were_not_seen_do_not_break_coverage(random):
    results = judge(binary(random, 200)[0], 150, Task("binary"), MATURE)
    assert results["label_coverage"].value == 1.0
    assert judge(binary(random, 200)[0], 0, Task("binary"), MATURE)["accuracy"].verdict == OK


def test_the_references_value_stands_beside(random):
    reference = binary(random, 500)[0]
    result = judge(binary(random, 200)[0], 200, Task("binary"), MATURE, reference)["auc"]
    assert (result.reference_value, result.reference_size, result.threshold) == (reference.auc, 500, None)
    assert f"{reference.auc:.3f}" in result.reason


def test_errors_of_a_regression_have_their_interval(random):
    actual, predicted = random.normal(size=1000), random.normal(0.5, 1, 1000)
    summary = PerformanceSummary()
    for real, guess in zip(actual.tolist(), predicted.tolist(), strict=True):
        summary.add_row(real, guess, None)
    error = predicted - actual
    results = judge(summary, 1000, Task("regression"), MATURE)
    for metric, values in (("bias", error), ("mae", np.abs(error))):
        half = 1.96 * values.std() / np.sqrt(1000)
        found = results[metric]
        assert (found.value, found.low, found.high) == pytest.approx(
            (values.mean(), values.mean() - half, values.mean() + half), rel=1e-3
        )
    assert results["rmse"].low is None
    assert judge(binary(random, 200)[0], 200, Task("regression"), MATURE)["mae"].verdict == NOT_ENOUGH_DATA


def test_sampled_rows_weigh_what_they_stand_for_and_count_once():
    """100 rows kept with probability 0.1 are 1,000: coverage is theirs, certainty and the least number that of 100."""
    whole, sampled = PerformanceSummary(), PerformanceSummary()
    for number in range(100):
        whole.add_row(True, number % 5 > 0, None, kind="binary")
        sampled.add_row(True, number % 5 > 0, None, kind="binary", weight=10)
    plain = judge(whole, 100, Task("binary"), Maturity(100, 0.5))
    thin = judge(sampled, 1000, Task("binary"), Maturity(100, 0.5))
    for metric in ("accuracy", "label_coverage"):
        assert (thin[metric].value, thin[metric].low, thin[metric].high) == pytest.approx(
            (plain[metric].value, plain[metric].low, plain[metric].high)
        )
    assert (thin["accuracy"].size, thin["accuracy"].coverage) == (100, 1.0)
    assert judge(sampled, 1000, Task("binary"), Maturity(101, 0.5))["accuracy"].verdict == "not_enough_data"
    assert judge(sampled, 3000, Task("binary"), Maturity(100, 0.5))["accuracy"].verdict == "labels_not_mature"


def test_a_row_that_is_taken_back_leaves_nothing():
    summary = PerformanceSummary()
    summary.add_row(True, True, 0.9, weight=1 / 0.3)
    for weight in (1 / 0.7, -1 / 0.7):
        summary.add_row(False, True, 0.4, weight=weight)
    alone = PerformanceSummary()
    alone.add_row(True, True, 0.9, weight=1 / 0.3)
    assert (summary.rows, summary.precision, summary.accuracy) == (1, pytest.approx(alone.precision), 1.0)
    assert summary.brier == pytest.approx(alone.brier)


@pytest.mark.parametrize(
    ("days", "verdict"), [(0, LABELS_NOT_MATURE), (6.9, LABELS_NOT_MATURE), (7, OK), (90, OK)]
)
def test_an_old_window_is_judged_by_the_labels_it_has_and_says_so(random, days, verdict):
    maturity = Maturity(100, 0.5, timedelta(days=7), timedelta(days=days))
    results = judge(binary(random, 120)[0], 1000, Task("binary"), maturity)
    assert results["auc"].verdict == verdict
    if verdict == OK:
        assert "for its age, 1w or more" in results["auc"].reason
        assert results["auc"].details["mature_by"] == "age"
        enough = judge(binary(random, 600)[0], 1000, Task("binary"), maturity)["auc"]
        assert "age" not in enough.reason
    else:
        assert "120 of 1000" in results["auc"].reason
        assert "or the window be 1w old" in results["auc"].reason


def test_age_does_not_make_few_labels_many(random):
    maturity = Maturity(100, 0.5, timedelta(days=7), timedelta(days=30))
    results = judge(binary(random, 99)[0], 1000, Task("binary"), maturity)
    assert results["auc"].verdict == "not_enough_data"
