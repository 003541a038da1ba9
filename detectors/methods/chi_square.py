"""Pearson's chi-square of a window against the reference, told as an effect: w = sqrt(X² (1/n + 1/m)) (Cohen 1988).

The statistic grows with the number of rows, w does not: it is 0.1 for a small change, 0.3 for a middling one. Bins in
which either sample expects fewer than five rows are judged as one (Cochran 1954): below, chi-square's distribution does not hold.
The p-value stands in the sentence.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from detectors.base import ColumnReference, ColumnWindow, Result
from detectors.chance import both, chi_square_point
from detectors.comparing import Distance, Measured, compare
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["LEAST_EXPECTED", "chi_square", "judge", "pooled"]

LEAST_EXPECTED = 5


def pooled(reference: ArrayLike, current: ArrayLike) -> NDArray[np.float64]:
    """Both arrays of counts as the rows of a table, shape (2, B): bins that expect too few rows are one, the last.

    Where that one still expects too few it joins the bin that expects fewest of the others.
    """
    table = np.stack([np.asarray(reference, dtype=float), np.asarray(current, dtype=float)])
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    few = expected < LEAST_EXPECTED
    if not few.any():
        return table
    kept, rest = table[:, ~few], table[:, few].sum(axis=1, keepdims=True)
    if expected[few].sum() >= LEAST_EXPECTED or kept.shape[1] == 0:
        return np.hstack([kept, rest])
    kept[:, [int(np.argmin(expected[~few]))]] += rest
    return kept


def chi_square(table: NDArray[np.float64]) -> tuple[float, int]:
    """The statistic of a table of counts, shape (2, B), and its degrees of freedom.

    >>> statistic, degrees = chi_square(np.array([[50.0, 30, 20], [40, 30, 30]]))
    >>> round(statistic, 4), degrees
    (3.1111, 2)
    """
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    there = expected > 0
    return float((np.square(table - expected)[there] / expected[there]).sum()), table.shape[1] - 1


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """Cohen's w of a window."""
    return compare(_DISTANCE, reference, current, min_samples)


def _measure(reference: ColumnReference, summary: NumericSummary | CategoricalSummary) -> Measured:
    statistic, degrees = chi_square(pooled(reference.bins.counts, reference.bins.masses(summary)))
    part = both(summary.count, reference.summary.count)
    chance = float(chdtrc(degrees, statistic)) if degrees else 1.0
    return Measured(
        math.sqrt(statistic * part),
        math.sqrt(degrees * part),
        math.sqrt(chi_square_point(degrees) * part),
        said=f"; p = {chance:.2g} with {degrees} degrees of freedom",
    )


_DISTANCE = Distance("chi_square", "chi-square's effect w", _measure, math.sqrt)
