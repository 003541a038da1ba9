"""How right a classifier was, from its confusion counts and its scores per actual class.

Intervals (95 %): accuracy, precision, recall and base rate after Wilson (1927), F1 as the transformed share that it
is, macro F1 by the delta method (Takahashi et al. 2022), AUC after Hanley and McNeil (1982), widened by what the 1,024
score bins cannot resolve. Log loss, Brier score and calibration error have none: their spread is not in the sums.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.base import Z95
from detectors.methods.measures import NOTHING, Measure, Measured, Task, share_with_interval
from remora.summaries import PerformanceSummary
from remora.summaries.scores import MIDDLES, SCORE_BINS, auc_of, dense

__all__ = ["BINARY", "CALIBRATION_GROUPS", "MULTICLASS", "auc_with_interval", "f1_of", "hanley_mcneil"]

CALIBRATION_GROUPS = 16


def hanley_mcneil(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC of so many positives and negatives (Hanley and McNeil 1982).

    >>> round(hanley_mcneil(0.8, 100, 200), 4)
    0.0291
    """
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    square = auc * auc
    variance = auc * (1 - auc) + (positives - 1) * (first - square) + (negatives - 1) * (second - square)
    return math.sqrt(max(0.0, variance) / (positives * negatives))


def auc_with_interval(positive: np.ndarray, negative: np.ndarray, precision: float) -> Measured:
    """AUC of scores per bin, shape (1024,) each."""
    found = auc_of(positive, negative)
    if found is None:
        return NOTHING
    value, error = found
    half = Z95 * hanley_mcneil(value, positive.sum() * precision, negative.sum() * precision) + error
    return Measured(value, max(0.0, value - half), min(1.0, value + half))


def f1_of(both: float, actual: float, predicted: float, precision: float = 1.0) -> Measured:
    """F1 = 2 s / (1 + s), where s is the share of the rows that are or were called so which are and were."""
    share = share_with_interval(both, actual + predicted - both, precision)
    if share.value is None or share.low is None or share.high is None:
        return NOTHING
    value, low, high = (2 * part / (1 + part) for part in (share.value, share.low, share.high))
    return Measured(value, low, high)


def _accuracy(found: PerformanceSummary, _task: Task) -> Measured:
    judged = found.confusion.total()
    return share_with_interval((found.accuracy or 0.0) * judged, judged, found.precision)


def _of_positive(found: PerformanceSummary, task: Task) -> tuple[float, float, float]:
    """Rows of the positive class, rows predicted so, rows that are both."""
    return found.classes().get(task.positive, (0.0, 0.0, 0.0))


def _precision(found: PerformanceSummary, task: Task) -> Measured:
    _, predicted, both = _of_positive(found, task)
    return share_with_interval(both, predicted, found.precision)


def _recall(found: PerformanceSummary, task: Task) -> Measured:
    actual, _, both = _of_positive(found, task)
    return share_with_interval(both, actual, found.precision)


def _f1(found: PerformanceSummary, task: Task) -> Measured:
    actual, predicted, both = _of_positive(found, task)
    return f1_of(both, actual, predicted, found.precision)


def _auc(found: PerformanceSummary, _task: Task) -> Measured:
    return auc_with_interval(dense(found.positive_scores), dense(found.negative_scores), found.precision)


def _base_rate(found: PerformanceSummary, _task: Task) -> Measured:
    positives, negatives = found.positive_scores.total(), found.negative_scores.total()
    return share_with_interval(positives, positives + negatives, found.precision)


def _calibration_error(found: PerformanceSummary, _task: Task) -> Measured:
    """Expected calibration error over 16 groups of equal width (Naeini et al. 2015)."""
    positive, negative = dense(found.positive_scores), dense(found.negative_scores)
    counts = (positive + negative).reshape(CALIBRATION_GROUPS, -1)
    total = counts.sum()
    if total <= 0:
        return NOTHING
    promised = (counts * MIDDLES.reshape(CALIBRATION_GROUPS, SCORE_BINS // CALIBRATION_GROUPS)).sum(axis=1)
    happened = positive.reshape(CALIBRATION_GROUPS, -1).sum(axis=1)
    return Measured(float(np.abs(promised - happened).sum() / total))


def _f1_macro(found: PerformanceSummary, _task: Task) -> Measured:
    classes = found.classes()
    total = found.confusion.total()
    if not classes or total <= 0:
        return NOTHING
    scores = {name: f1_of(both, actual, predicted) for name, (actual, predicted, both) in classes.items()}
    values = {name: one.value or 0.0 for name, one in scores.items()}
    mean = sum(values.values()) / len(values)
    half = Z95 * math.sqrt(_macro_variance(found, values) / (total * found.precision))
    details = {"classes": [_class(name, values[name], *classes[name]) for name in classes][:_MOST_LISTED]}
    return Measured(mean, max(0.0, mean - half), min(1.0, mean + half), details)


_MOST_LISTED = 100


def _class(name: str, f1: float, actual: float, predicted: float, both: float) -> dict[str, Any]:
    return {
        "class": name, "rows": round(actual), "f1": f1, "precision": both / predicted if predicted > 0 else None,
        "recall": both / actual if actual > 0 else None,
    }  # fmt: skip


def _macro_variance(found: PerformanceSummary, values: dict[str, float]) -> float:
    """Variance of macro F1 per row: that of its gradient over the cells of the table."""
    classes, total = found.classes(), found.confusion.total()
    slopes = {
        name: 1 / ((actual + predicted) / total) / len(values) if actual + predicted > 0 else 0.0
        for name, (actual, predicted, _) in classes.items()
    }
    mean = square = 0.0
    for (actual, predicted), count in found.confusion.items():
        slope = -values[actual] * slopes[actual] - values[predicted] * slopes[predicted]
        if actual == predicted:
            slope += 2 * slopes[actual]
        mean += count / total * slope
        square += count / total * slope * slope
    return max(0.0, square - mean * mean)


def _auc_macro(found: PerformanceSummary, _task: Task) -> Measured:
    """The mean over the classes of each one's AUC against the rest; a class that never came is left out."""
    each = {}
    for name, (of_it, rest) in sorted(found.class_scores.items()):
        measured = auc_with_interval(dense(of_it), dense(rest), found.precision)
        if measured.value is not None and measured.low is not None and measured.high is not None:
            each[name] = measured.value, measured.low, measured.high
    if not each:
        return NOTHING
    # The classes' errors are no more than fully dependent: the mean of the half widths is not too narrow.
    value, low, high = (sum(one[place] for one in each.values()) / len(each) for place in range(3))
    return Measured(
        value, low, high, {"classes": [{"class": name, "auc": one[0]} for name, one in each.items()]}
    )


def _log_loss(found: PerformanceSummary, _task: Task) -> Measured:
    return Measured(found.log_loss)


BINARY: dict[str, Measure] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "auc": _auc,
    "log_loss": _log_loss,
    "brier": lambda found, _task: Measured(found.brier),
    "calibration_error": _calibration_error,
    "base_rate": _base_rate,
}

MULTICLASS: dict[str, Measure] = {
    "accuracy": _accuracy,
    "f1_macro": _f1_macro,
    "auc_macro": _auc_macro,
    "log_loss": _log_loss,
}
