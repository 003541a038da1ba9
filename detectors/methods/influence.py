"""How much a column tells of the score: the share of the score's variance between the column's bins.

The correlation ratio eta² (Pearson 1905) counts any shape of dependence, also of categories, but grows by chance with
the number of bins; Kelley's epsilon² (1935) takes that away:

    epsilon² = 1 - (within / (n - k)) / (total / (n - 1)),    within and total being sums of squares

For a score of several parts, such as one per class, both sums run over all parts; of indicators of classes that is
Goodman and Kruskal's tau (1954), corrected likewise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["correlation_ratio"]


def correlation_ratio(codes: NDArray[np.int64], score: NDArray[np.float64]) -> float:
    """epsilon² from 0 to 1 of rows in bins, `codes` of shape (n,), and their `score` of shape (n,) or (n, parts).

    0 where nothing can be said: fewer than two rows more than bins, or a score that never varies.
    """
    if len(codes) < 2:
        return 0.0
    parts = score.reshape(len(codes), -1)
    _, codes, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    rows, bins = len(codes), len(sizes)
    around = parts - parts.mean(axis=0)
    total = float(np.square(around).sum())
    if rows - bins < 2 or total <= 1e-12 * float(np.square(parts).sum()):
        return 0.0
    between = sum(
        float((np.bincount(codes, weights=around[:, part]) ** 2 / sizes).sum())
        for part in range(parts.shape[1])
    )
    within = max(0.0, total - between)
    return max(0.0, 1 - within / (rows - bins) / (total / (rows - 1)))
