"""Share of the values that are one and the same: a sensor that sticks, a default that fills in for what is missing.

An alarm needs a value that holds a fifth of what other values hold in the reference, beyond what the most frequent one
holds there, and a 95 % interval (Wilson) that lies above that. Which value it is, is never said. Shares come from the
sketches: `rank_error` of a quantile sketch widens the interval.
"""

from __future__ import annotations

from collections import Counter

from detectors.base import (
    ALARM,
    NOT_ENOUGH_DATA,
    OK,
    ColumnReference,
    ColumnWindow,
    Result,
    unknown,
    wilson,
)
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["MINIMUM_EFFECT", "judge", "most_frequent"]

MINIMUM_EFFECT = 0.2  # a share of the rows that the reference's most frequent value leaves to the others


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The share of the most frequent value against that of the reference's."""
    summary, size_there = current.of_kind(reference.kind), reference.summary.count
    size = 0 if summary is None else summary.count
    if summary is None or size < min_samples or size_there < min_samples:
        return unknown(
            NOT_ENOUGH_DATA,
            f"Nothing on stuck values: {size} rows with a value and {size_there} in the reference, {min_samples} are needed: wait, or choose longer windows.",
            size,
            reference_size=size_there,
        )
    value, usual = most_frequent(summary), most_frequent(reference.summary)
    error = summary.rank_error if isinstance(summary, NumericSummary) else 0.0
    low, high = wilson(value * size, size)
    low, high = max(0.0, low - error), min(1.0, high + error)
    threshold = usual + MINIMUM_EFFECT * (1 - usual)
    alarm = value > threshold and low > usual
    return Result(
        value,
        ALARM if alarm else OK,
        _reason(value, usual, threshold, alarm=alarm),
        size,
        low,
        high,
        usual,
        threshold,
        size_there,
    )


def most_frequent(summary: NumericSummary | CategoricalSummary) -> float:
    """The share of the most frequent value, 0 to 1; exact while the sketch keeps every value."""
    if not summary.count:
        return 0.0
    if isinstance(summary, CategoricalSummary):
        return min(1.0, max(summary.counts().values(), default=0) / summary.count)
    weights: Counter[float] = Counter()
    for number, weight in summary.sketch:
        weights[number] += weight
    return min(1.0, max(weights.values()) / summary.count)


def _reason(value: float, usual: float, threshold: float, *, alarm: bool) -> str:
    if value == 1.0 and usual < 1.0:
        what = "every value is one and the same"
    else:
        what = f"one value holds {value:.1%} of the rows, the most frequent one of the reference {usual:.1%}"
    if alarm:
        what += ": see whether the source is stuck, or fills in a default"
    return f"{what[0].upper()}{what[1:]}. The threshold {threshold:.1%} is the minimum effect.".replace(
        "%", " %"
    )
