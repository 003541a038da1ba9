"""Total variation distance on the reference's stored bins: the share of rows that would have to move.

TV = 1/2 sum |q - p|, from 0 to 1. It is the one distance that reads as a share of rows.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from detectors.base import ColumnReference, ColumnWindow, Result
from detectors.chance import deviation_bound, total_variation_mean
from detectors.comparing import Distance, Measured, compare
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["judge", "shift_share", "total_variation"]


def total_variation(reference: ArrayLike, current: ArrayLike) -> float:
    """The distance between two arrays of counts of one shape (B,).

    >>> total_variation([50, 30, 20], [40, 30, 30])
    0.1
    """
    first, second = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    return round(float(np.abs(first / first.sum() - second / second.sum()).sum()) / 2, 12)


def shift_share(psi: float) -> float:
    """The distance of two normal distributions whose means lie sqrt(psi) standard deviations apart."""
    return 2 * NormalDist().cdf(math.sqrt(psi) / 2) - 1


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """Total variation of a window."""
    return compare(_DISTANCE, reference, current, min_samples)


def _measure(reference: ColumnReference, summary: NumericSummary | CategoricalSummary) -> Measured:
    counts = np.asarray(reference.bins.counts)
    size, reference_size = summary.count, reference.summary.count
    expected = total_variation_mean(counts / counts.sum(), size, reference_size)
    value = total_variation(counts, reference.bins.masses(summary))
    return Measured(value, expected, expected + deviation_bound(size, reference_size))


_DISTANCE = Distance("total_variation", "total variation", _measure, shift_share)
