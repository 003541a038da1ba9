"""Jensen-Shannon distance on the reference's stored bins, in base 2: from 0 to 1 (Lin 1991; Endres, Schindelin 2003).

It is the root of the mean divergence of both distributions from their middle. Eight times its square, in nats, is PSI
to second order, and so is what chance makes of it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from detectors.base import ColumnReference, ColumnWindow, Result
from detectors.comparing import Distance, Measured, compare
from detectors.methods import psi
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["jensen_shannon", "judge"]


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """The distance between two arrays of counts of one shape (B,).

    >>> round(jensen_shannon([1, 0], [0, 1]), 4), jensen_shannon([5, 5], [2, 2])
    (1.0, 0.0)
    """
    first, second = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    p, q = first / first.sum(), second / second.sum()
    return math.sqrt(max(0.0, _from_middle(p, q) + _from_middle(q, p)) / 2)


def _from_middle(p: np.ndarray, q: np.ndarray) -> float:
    there = p > 0  # an empty bin adds nothing: x ln x goes to 0
    return float((p[there] * np.log2(2 * p[there] / (p[there] + q[there]))).sum())


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The Jensen-Shannon distance of a window."""
    return compare(_DISTANCE, reference, current, min_samples)


def _measure(reference: ColumnReference, summary: NumericSummary | CategoricalSummary) -> Measured:
    counts, size = reference.bins.counts, summary.count
    return Measured(
        jensen_shannon(counts, reference.bins.masses(summary)),
        _of_psi(psi.expected(len(counts), size, reference.summary.count)),
        _of_psi(psi.chance(len(counts), size, reference.summary.count)),
    )


def _of_psi(value: float) -> float:
    return math.sqrt(value / (8 * math.log(2)))


_DISTANCE = Distance("jensen_shannon", "Jensen-Shannon distance", _measure, _of_psi)
