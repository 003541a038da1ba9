"""Share of rows with a category that the reference has never had.

Counts come from a frequent-items sketch that is exact up to 768 categories; beyond that the rows it could not keep
are in neither share, and `high` counts them in.
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
from remora.summaries import CategoricalSummary

__all__ = ["MINIMUM_EFFECT", "judge"]

MINIMUM_EFFECT = 0.02  # a share of the rows


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The share of rows with a value that the reference does not know; only for categories."""
    summary, known = current.of_kind("categorical"), reference.bins.known
    size = 0 if summary is None else summary.count
    if known is None:
        return unknown(
            NOT_ENOUGH_DATA,
            "No share of unseen categories: the reference has too many to tell; such a column is an identifier.",
            size,
            reference_size=reference.summary.count,
        )
    if not isinstance(summary, CategoricalSummary) or size < min_samples:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No share of unseen categories: {size} rows with a category, {min_samples} are needed: wait, or choose longer windows.",
            size,
            reference_size=reference.summary.count,
        )
    return _compare(reference, summary, known)


def _compare(reference: ColumnReference, summary: CategoricalSummary, known: frozenset[str]) -> Result:
    counts, size = summary.counts(), summary.count
    new = {name: count for name, count in counts.items() if name not in known}
    unseen, uncounted = min(size, sum(new.values())), max(0, size - sum(counts.values()))
    value = unseen / size
    low = wilson(unseen, size)[0]
    high = wilson(min(size, unseen + uncounted), size)[1]
    limit = reference.limits["unseen_rate"]
    alarm = value > limit.threshold and low > 0
    said = f"{len(new)} categories that the reference does not know hold {value:.1%} of the rows"
    if alarm:
        said += ": add them to the model's training, or mend the source that sends them"
    return Result(
        value,
        ALARM if alarm else OK,
        f"{said}. The threshold {limit.threshold:.1%} is {limit.basis}.".replace("%", " %"),
        size,
        low,
        high,
        0.0,
        limit.threshold,
        reference.summary.count,
    )
