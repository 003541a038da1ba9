"""Share of values below the lowest or above the highest of the reference, or of a range that remora.yaml states.

Of m values the number outside of the range of n others is beta-binomial (m, 2, n - 1) if all come from one continuous
distribution, whichever (Wilks 1941): a bound on it needs no windows to learn from. A range that somebody has stated
needs no bound at all. Lowest and highest are exact, the share is the sketch's.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow, Result, unknown
from detectors.chance import CHANCE
from remora.summaries import NumericSummary

__all__ = ["MINIMUM_EFFECT", "bound", "judge", "outside"]

MINIMUM_EFFECT = 0.01  # a share of the values, where nobody has stated a range


def bound(size: int, reference_size: int) -> float:
    """The share of values outside of the reference's range that chance exceeds once in 10,000 windows.

    >>> round(bound(1000, 1000), 3)
    0.017
    """
    return float(stats.betabinom.isf(CHANCE, size, 2, max(1, reference_size - 1))) / size


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The share of a window's numbers that lie outside; only for numbers."""
    summary, usual = current.of_kind("numeric"), reference.summary
    size = 0 if summary is None else summary.count
    stated = reference.allowed
    too_small = usual.count < min_samples and stated is None
    if not isinstance(summary, NumericSummary) or size < min_samples or too_small:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No share out of range: {size} numbers and {usual.count} in the reference, {min_samples} are needed: wait, or choose longer windows.",
            size,
            reference_size=usual.count,
        )
    low, high = stated or _seen(usual)
    below, above = outside(summary, low, high)
    value = min(1.0, below + above)
    if stated is not None:
        threshold, basis = 0.0, "none, as remora.yaml states the range"
    else:
        threshold = max(MINIMUM_EFFECT, bound(size, usual.count))
        basis = "the minimum effect, or what chance exceeds once in 10,000 windows"
    alarm = value > threshold
    error = summary.rank_error
    return Result(
        value,
        ALARM if alarm else OK,
        _reason(below, above, f"The threshold {threshold:.1%} is {basis}.", stated=stated is not None, alarm=alarm),
        size,
        max(0.0, value - error),
        min(1.0, value + error),
        0.0,
        threshold,
        usual.count,
    )  # fmt: skip


def _seen(summary: object) -> tuple[float | None, float | None]:
    """The reference's own range."""
    return (summary.minimum, summary.maximum) if isinstance(summary, NumericSummary) else (None, None)


def outside(summary: NumericSummary, low: float | None, high: float | None) -> tuple[float, float]:
    """The shares below and above; one value at least value where the exact lowest or highest says that there is one."""
    one = 1 / summary.count
    below = above = 0.0
    if low is not None and summary.minimum is not None and summary.minimum < low:
        under = np.array([np.nextafter(low, -math.inf)])  # the cumulative share counts the point itself in
        below = max(one, float(summary.cumulative(under)[0]))
    if high is not None and summary.maximum is not None and summary.maximum > high:
        above = max(one, 1 - float(summary.cumulative(np.array([high]))[0]))
    return below, above


def _reason(below: float, above: float, threshold: str, *, stated: bool, alarm: bool) -> str:
    whose = "of the range that remora.yaml gives" if stated else "of the reference"
    said = f"{below:.1%} of the values lie below the lowest and {above:.1%} above the highest {whose}"
    if alarm:
        said += ": see whether the source changed its unit, its scale or its mark for a missing value"
    return f"{said}. {threshold}".replace("%", " %")
