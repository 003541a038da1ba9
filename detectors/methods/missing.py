"""Share of rows that came without a value, or with one of another type than the reference's.

An alarm needs both: a share above the limit, which is at least 5 % above the reference's own, and a 95 % interval (Wilson) that lies above what the reference shows.
"""

from __future__ import annotations

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

__all__ = ["MINIMUM_EFFECT", "judge"]

MINIMUM_EFFECT = 0.05  # a share of the rows, above the reference's own


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The missing rate of a window's rows against the reference's."""
    size = current.total
    if size < min_samples:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No missing rate: {size} rows, {min_samples} are needed: wait, or choose longer windows.",
            size,
            reference_size=reference.summary.total,
        )
    present = current.of_kind(reference.kind)
    missing = size - (0 if present is None else present.count)
    value, usual = missing / size, reference.summary.missing_rate or 0.0
    low, high = wilson(missing, size)
    limit = reference.limits["missing_rate"]
    threshold = max(limit.threshold, usual + MINIMUM_EFFECT)
    alarm = value > threshold and low > usual
    return Result(
        value,
        ALARM if alarm else OK,
        _reason(value, usual, threshold, limit.basis, alarm=alarm),
        size,
        low,
        high,
        usual,
        threshold,
        reference.summary.total,
    )


def _reason(value: float, usual: float, threshold: float, basis: str, *, alarm: bool) -> str:
    if value == 1.0:
        what = "no row carried a value of the reference's type: the feature was dropped, renamed or changed its type"
    elif alarm:
        what = f"{value:.1%} of the rows are without a value of the reference's type, {usual:.1%} in the reference: look at the source of this feature"
    else:
        what = f"{value:.1%} of the rows are without a value, {usual:.1%} in the reference"
    return f"{what[0].upper()}{what[1:]}. The threshold {threshold:.1%} is {basis}.".replace("%", " %")
