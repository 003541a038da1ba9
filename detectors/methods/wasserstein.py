"""Wasserstein distance (order 1) by the reference's spread: how far the values moved, in standard deviations.

It is the mean distance of the two quantile functions at 200 ranks, so the farthest quarter of a percent at either end
is left out: there a sketch says little, and one wild value would decide. The spread is that of a normal distribution with
the reference's quartiles (IQR / 1.349), or the standard deviation where half of the values are the same.

By chance the distance is the integral of a Brownian bridge's modulus. Its mean is that of half-normal variables; it
lies above its mean by no more than a normal variable of the trimmed reference's own variance does (Borell 1975).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.base import ColumnReference, ColumnWindow, Result
from detectors.chance import Z_OF_CHANCE, both
from detectors.comparing import Distance, Measured, compare
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["judge", "moved", "spread"]

_RANKS = [float(rank) for rank in (np.arange(200) + 0.5) / 200]
_FAR = 1e140  # what lies beyond counts as this: sums of squares stay finite
_QUARTILES = 1.3489795003921634  # between the quartiles of a normal distribution, in standard deviations


def moved(reference: NumericSummary, current: NumericSummary) -> float:
    """The distance in the column's own unit, both quantile functions at the same ranks."""
    return float(np.abs(_at(reference) - _at(current)).mean())


def spread(reference: NumericSummary) -> float:
    """What is one standard deviation of the reference; 0 for a constant."""
    low, high = np.clip(reference.quantiles([0.25, 0.75]), -_FAR, _FAR)
    width = float(high - low) / _QUARTILES
    return width if width > 0 else (reference.std or 0.0)


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The distance of a window in standard deviations; only for numbers."""
    return compare(_DISTANCE, reference, current, min_samples)


def _at(summary: NumericSummary) -> NDArray[np.float64]:
    return np.clip(summary.quantiles(_RANKS), -_FAR, _FAR)


def _measure(reference: ColumnReference, summary: NumericSummary | CategoricalSummary) -> Measured | str:
    usual = reference.summary
    if not isinstance(usual, NumericSummary) or not isinstance(summary, NumericSummary):
        return "categories have no distance from each other"
    width = spread(usual)
    distance = moved(usual, summary)
    if width == 0:
        return (
            Measured(0.0, 0.0, 0.0)
            if distance == 0
            else "the reference is constant: it gives no unit to measure by"
        )
    quantiles = (_at(usual) - usual.quantiles([0.5])[0]) / width
    noise = math.sqrt(both(summary.count, usual.count))
    mean = _half_normal(quantiles) * noise
    error = (usual.rank_error + summary.rank_error) / 2 * float(quantiles[-1] - quantiles[0])
    return Measured(distance / width, mean, mean + Z_OF_CHANCE * float(quantiles.std()) * noise, error)


def _half_normal(quantiles: NDArray[np.float64]) -> float:
    """The integral of sqrt(2 F (1 - F) / pi) over the values."""
    ranks = np.arange(1, len(quantiles)) / len(quantiles)
    return float((np.sqrt(2 / math.pi * ranks * (1 - ranks)) * np.diff(quantiles)).sum())


_DISTANCE = Distance("wasserstein", "Wasserstein distance", _measure, math.sqrt)
