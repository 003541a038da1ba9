"""Population stability index on the reference's stored bins.

PSI = sum over the bins of (q - p) · ln(q / p), with p the reference's shares and q the window's (Kullback's
symmetric divergence; Siddiqi 2006 gave it its name in credit scoring). Each count gets +1/2, so an empty bin costs
something finite, also in a small window.

Without any drift PSI is not 0: it is distributed about as (1/n + 1/m) times chi-square with B - 1 degrees of
freedom, so (B - 1)(1/n + 1/m) is expected of n rows against m in B bins (Yurdakul 2018). The threshold is therefore
the column's limit plus that expectation, and never below what chance may exceed as seldom as the budget says.

An empty bin costs the more the larger the window: ln n grows. A window that is larger than those from which the limit was
learnt is therefore measured as if it had their size; else growing traffic would look like drift where bins are empty
in every window (a weekday in windows of a day).

A normal column whose mean moves by d standard deviations has a PSI of d squared, so the root of what is beyond chance
is the effect: a shift in standard deviations that would be as far.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow, Result, unknown
from detectors.chance import CHANCE, both, chi_square_point

__all__ = ["chance", "expected", "judge", "psi"]


def psi(reference: ArrayLike, current: ArrayLike) -> float:
    """PSI between two arrays of counts of one shape (B,); symmetric, 0 for equal shares.

    >>> round(psi([500, 300, 200], [400, 300, 300]), 4)
    0.0627
    """
    first, second = np.asarray(reference, dtype=float) + 0.5, np.asarray(current, dtype=float) + 0.5
    p, q = first / first.sum(), second / second.sum()
    return float(((q - p) * np.log(q / p)).sum())


def expected(bins: int, size: float, reference_size: float) -> float:
    """The PSI that is expected where nothing drifted."""
    return (bins - 1) * both(size, reference_size)


def chance(bins: int, size: float, reference_size: float, seldom: float = CHANCE) -> float:
    """The PSI that chance alone exceeds so seldom, once in 10,000 windows if nothing else is asked."""
    return chi_square_point(bins - 1, seldom) * both(size, reference_size)


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """PSI of a window; alarm above the column's limit plus what chance does at this size."""
    summary = current.of_kind(reference.kind)
    size, reference_size = (0 if summary is None else summary.count), reference.summary.count
    if summary is None or size < min_samples or reference_size < min_samples:
        return _too_small(size, reference_size, min_samples)
    limit, bins = reference.limits["psi"], len(reference.bins.counts)
    value = psi(reference.bins.counts, reference.bins.masses(summary) * min(1.0, limit.rows / size))
    noise = expected(bins, size, reference_size)
    threshold = max(limit.threshold + noise, chance(bins, size, reference_size, limit.chance))
    verdict = ALARM if value > threshold else OK
    return Result(
        value,
        verdict,
        _reason(value, threshold, noise, limit.basis),
        size,
        reference_value=noise,
        threshold=threshold,
        reference_size=reference_size,
        effect=math.sqrt(max(0.0, value - noise)),
    )


def _reason(value: float, threshold: float, noise: float, basis: str) -> str:
    if value > threshold:
        said = "the distribution moved away from the reference: see which values grew, and whether their source changed"
    else:
        said = "the distribution is as far from the reference as it usually is"
    return f"PSI {value:.3f} against {threshold:.3f}: {said}. The threshold is {basis}; chance gives {noise:.3f}."


def _too_small(size: int, reference_size: int, min_samples: int) -> Result:
    if reference_size < min_samples:
        what = f"the reference has {reference_size} rows with a value, {min_samples} are needed: build it from more rows"
    else:
        what = f"{size} rows with a value, {min_samples} are needed: wait, or choose longer windows"
    return unknown(NOT_ENOUGH_DATA, f"No PSI: {what}.", size, reference_size=reference_size)
