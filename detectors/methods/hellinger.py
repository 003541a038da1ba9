"""Hellinger distance on the reference's stored bins: H = sqrt(1 - sum sqrt(p q)), from 0 to 1.

Eight times its square is PSI to second order, and so is what chance makes of it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from detectors.base import ColumnReference, ColumnWindow, Result
from detectors.comparing import Distance, Measured, compare
from detectors.methods import psi
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["hellinger", "judge"]


def hellinger(reference: ArrayLike, current: ArrayLike) -> float:
    """The distance between two arrays of counts of one shape (B,).

    >>> round(hellinger([50, 50], [100, 0]), 4)
    0.5412
    """
    first, second = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    roots = np.sqrt(first / first.sum()) - np.sqrt(second / second.sum())
    return math.sqrt(float(np.square(roots).sum()) / 2)


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The Hellinger distance of a window."""
    return compare(_DISTANCE, reference, current, min_samples)


def _measure(reference: ColumnReference, summary: NumericSummary | CategoricalSummary) -> Measured:
    counts, size = reference.bins.counts, summary.count
    return Measured(
        hellinger(counts, reference.bins.masses(summary)),
        _of_psi(psi.expected(len(counts), size, reference.summary.count)),
        _of_psi(psi.chance(len(counts), size, reference.summary.count)),
    )


def _of_psi(value: float) -> float:
    return math.sqrt(value / 8)


_DISTANCE = Distance("hellinger", "Hellinger distance", _measure, _of_psi)
