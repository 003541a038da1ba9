"""How right the model was, from the sums of labelled predictions.

Intervals (95 %): accuracy, base rate and label coverage after Wilson (1927); AUC after Hanley and McNeil (1982),
widened by what the 1,024 score bins cannot resolve; mean errors by the normal approximation. Log loss, Brier score
and RMSE have none: their spread is not in the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from detectors.base import (
    LABELS_NOT_MATURE,
    NOT_ENOUGH_DATA,
    OK,
    Z95,
    Result,
    unknown,
    wilson,
)
from remora.summaries import PerformanceSummary

__all__ = ["METRICS_OF_KIND", "Maturity", "hanley_mcneil", "judge"]

Interval = tuple[float, float] | None
Measure = tuple[float | None, Interval]


@dataclass(frozen=True)
class Maturity:
    """From when on labelled rows speak: how many there must be, and which share of the predictions."""

    min_labelled: int
    min_coverage: float


def hanley_mcneil(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC of so many positives and negatives (Hanley and McNeil 1982).

    >>> round(hanley_mcneil(0.8, 100, 200), 4)
    0.0291
    """
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    square = auc * auc
    variance = auc * (1 - auc) + (positives - 1) * (first - square) + (negatives - 1) * (second - square)
    return math.sqrt(max(0.0, variance) / (positives * negatives))


def judge(
    summary: PerformanceSummary | None, answered: int, kind: str, maturity: Maturity,
    reference: PerformanceSummary | None = None,
) -> dict[str, Result]:  # fmt: skip
    """Every metric of a kind of model (binary, multiclass, regression) over `answered` predictions.

    The reference's own value stands beside each; what is too low is said by a rule, not here.
    """
    found = summary or PerformanceSummary()
    labelled = max(0, found.labelled)
    coverage = min(1.0, labelled / answered) if answered else None
    results = {"label_coverage": _coverage(labelled, answered, coverage)}
    wait = _not_yet(labelled, answered, coverage, maturity)
    for metric, measure in _MEASURES.items():
        if metric not in METRICS_OF_KIND[kind]:
            continue
        usual = measure(reference)[0] if reference is not None else None
        size = reference.labelled if reference is not None else None
        if wait is not None:
            results[metric] = unknown(
                *wait, labelled, coverage=coverage, reference_value=usual, reference_size=size
            )
            continue
        value, interval = measure(found)
        results[metric] = _result(metric, value, interval, labelled, coverage, usual, size)
    return results


def _result(  # noqa: PLR0913, PLR0917  (the fields of one finding)
    metric: str, value: float | None, interval: Interval, size: int, coverage: float | None, usual: float | None,
    reference_size: int | None,
) -> Result:  # fmt: skip
    if value is None:
        reason = f"No {_NAMES[metric]}: {_MISSING[metric]}."
        return unknown(NOT_ENOUGH_DATA, reason, size, coverage=coverage, reference_value=usual,
                       reference_size=reference_size)  # fmt: skip
    low, high = interval or (None, None)
    share = f" ({coverage:.0%} of the predictions)".replace("%", " %") if coverage is not None else ""
    beside = f"; the reference has {usual:.3f}" if usual is not None else ""
    reason = f"{_NAMES[metric]} {value:.3f} over {size} labelled predictions{share}{beside}."
    return Result(
        value, OK, reason[0].upper() + reason[1:], size, low, high, usual, None, reference_size, coverage
    )


def _coverage(labelled: int, answered: int, coverage: float | None) -> Result:
    if coverage is None:
        return unknown(
            NOT_ENOUGH_DATA, "No label coverage: no prediction was answered with success in this window."
        )
    low, high = wilson(min(labelled, answered), answered)
    reason = f"{labelled} of {answered} predictions have a label."
    return Result(coverage, OK, reason, answered, low, high, coverage=coverage)


def _not_yet(
    labelled: int, answered: int, coverage: float | None, maturity: Maturity
) -> tuple[str, str] | None:
    """The verdict and reason of a window that cannot be judged, or None."""
    if coverage is None and labelled == 0:
        return NOT_ENOUGH_DATA, "No prediction was answered with success in this window: nothing to judge."
    if coverage is not None and coverage < maturity.min_coverage:
        return LABELS_NOT_MATURE, (
            f"{labelled} of {answered} predictions have a label, {maturity.min_coverage:.0%} must:"
            " wait for the labels, or see why they do not come."
        ).replace("%", " %")
    if labelled < maturity.min_labelled:
        return NOT_ENOUGH_DATA, (
            f"{labelled} labelled predictions, {maturity.min_labelled} are needed: wait, or choose longer windows."
        )
    return None


# --- one measure each: (value, interval) -----------------------------------------------------------------------------


def _accuracy(found: PerformanceSummary) -> Measure:
    value, size = found.accuracy, found.confusion.total()
    return value, None if value is None else wilson(value * size, size)


def _auc(found: PerformanceSummary) -> Measure:
    value, error = found.auc, found.auc_error
    if value is None or error is None:
        return None, None
    positives, negatives = found.positive_scores.total(), found.negative_scores.total()
    half = Z95 * hanley_mcneil(value, positives, negatives) + error
    return value, (max(0.0, value - half), min(1.0, value + half))


def _base_rate(found: PerformanceSummary) -> Measure:
    value = found.base_rate
    size = found.positive_scores.total() + found.negative_scores.total()
    return value, None if value is None else wilson(value * size, size)


def _mean(value: float | None, mean_square: float, size: float) -> Measure:
    """A mean with its normal interval, from the mean of the squares."""
    if value is None:
        return None, None
    half = Z95 * math.sqrt(max(0.0, mean_square - value * value) / size)
    return value, (value - half, value + half)


def _mae(found: PerformanceSummary) -> Measure:
    return _mean(found.mae, _mean_square(found), found.errors[0])


def _bias(found: PerformanceSummary) -> Measure:
    return _mean(found.bias, _mean_square(found), found.errors[0])


def _mean_square(found: PerformanceSummary) -> float:
    return found.errors[3] / found.errors[0] if found.errors[0] > 0 else 0.0


_MEASURES: dict[str, Callable[[PerformanceSummary], Measure]] = {
    "accuracy": _accuracy,
    "auc": _auc,
    "log_loss": lambda found: (found.log_loss, None),
    "brier": lambda found: (found.brier, None),
    "base_rate": _base_rate,
    "mae": _mae,
    "rmse": lambda found: (found.rmse, None),
    "bias": _bias,
}

METRICS_OF_KIND: dict[str, tuple[str, ...]] = {
    "binary": ("accuracy", "auc", "log_loss", "brier", "base_rate", "label_coverage"),
    "multiclass": ("accuracy", "log_loss", "label_coverage"),
    "regression": ("mae", "rmse", "bias", "label_coverage"),
}

_NAMES = {
    "accuracy": "accuracy", "auc": "ROC AUC", "log_loss": "log loss", "brier": "Brier score",
    "base_rate": "base rate", "mae": "mean absolute error", "rmse": "root mean squared error", "bias": "mean error",
}  # fmt: skip

_NO_SCORES = "the labelled predictions carry no scores: tell the capture where they are in an answer"
_NO_NUMBERS = "the labels or the predictions are not numbers: is the model's kind regression?"
_MISSING = {
    "accuracy": "the labelled predictions carry no predicted class",
    "auc": f"it needs labels of both classes, and {_NO_SCORES}",
    "log_loss": _NO_SCORES, "brier": _NO_SCORES, "base_rate": _NO_SCORES,
    "mae": _NO_NUMBERS, "rmse": _NO_NUMBERS, "bias": _NO_NUMBERS,
}  # fmt: skip
