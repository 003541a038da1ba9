"""Share of the reference's rows whose category does not come any more.

Only categories that hold at least 1 % of the reference are looked at, and only where the window expects so many rows
of one that none would come by chance less than once in 10,000 windows.
"""

from __future__ import annotations

import math

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow, Result, unknown
from detectors.chance import CHANCE

__all__ = ["MINIMUM_EFFECT", "judge"]

MINIMUM_EFFECT = 0.02  # a share of the reference's rows


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The share of the reference that has vanished; only for categories."""
    summary, usual = current.of_kind("categorical"), reference.summary
    size = 0 if summary is None else summary.count
    if summary is None or size < min_samples or usual.count < min_samples:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No share of vanished categories: {size} rows with a category and {usual.count} in the reference, {min_samples} are needed: wait, or choose longer windows.",
            size,
            reference_size=usual.count,
        )
    needed = -math.log(CHANCE)
    masses = reference.bins.masses(summary)
    gone = [
        count / usual.count
        for count, mass in zip(reference.bins.counts[:-1], masses, strict=False)
        if mass == 0 and -size * math.log1p(-min(count / usual.count, 1 - 1e-12)) > needed
    ]
    value = sum(gone)
    said = f"{len(gone)} categories that hold {value:.1%} of the reference do not come any more"
    if value > MINIMUM_EFFECT:
        said += ": see whether their source fell silent or names them otherwise"
    return Result(
        value,
        ALARM if value > MINIMUM_EFFECT else OK,
        f"{said}. The threshold {MINIMUM_EFFECT:.1%} is the minimum effect.".replace("%", " %"),
        size,
        reference_value=0.0,
        threshold=MINIMUM_EFFECT,
        reference_size=usual.count,
    )
