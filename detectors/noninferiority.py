"""Is one thing at most so much worse than another? Estimates with one-sided bounds, and what follows from them.

Everything is a loss: more is worse. A candidate is good enough when the upper bound of its loss minus the champion's
lies within the margin, and too bad when the lower bound lies beyond it; between the two more rows are needed.
Rows that were kept with a probability weigh its inverse, and count as the rows of equal weight that say as much
(Kish 1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

__all__ = [
    "GOOD", "UNKNOWN", "WORSE", "Estimate", "apart", "effective", "mean", "paired_means", "paired_proportions",
    "proportion", "quantile", "verdict",
]  # fmt: skip

GOOD, WORSE, UNKNOWN = "good", "worse", "not_enough_evidence"


@dataclass(frozen=True)
class Estimate:
    """A value, and the bounds that it keeps to with the given confidence, each of them alone."""

    value: float
    low: float
    high: float


def verdict(difference: Estimate, margin: float) -> str:
    """What the bounds of candidate minus champion say about a margin."""
    if difference.high <= margin:
        return GOOD
    return WORSE if difference.low > margin else UNKNOWN


def effective(weights: np.ndarray) -> float:
    """How many rows of equal weight say as much."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def proportion(bad: float, rows: float, confidence: float) -> Estimate:
    """A share with the bounds of Wilson's score test (1927)."""
    z, share = float(stats.norm.ppf(confidence)), bad / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    width = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return Estimate(share, max(0.0, middle - width), min(1.0, middle + width))


def mean(values: np.ndarray, weights: np.ndarray, confidence: float) -> Estimate:
    """A mean with Student's bounds; at least two rows."""
    rows = effective(weights)
    average = float(np.average(values, weights=weights))
    variance = float(np.average((values - average) ** 2, weights=weights)) / (rows - 1)
    width = float(stats.t.ppf(confidence, rows - 1)) * math.sqrt(variance)
    return Estimate(average, average - width, average + width)


def quantile(values: np.ndarray, weights: np.ndarray, share: float, confidence: float) -> Estimate:
    """A quantile between two of the values, as counting says that are below it (Conover 1999, 3.2)."""
    order = np.argsort(values)
    sorted_values, sums = values[order], np.cumsum(weights[order])
    rows = effective(weights)
    ranks = stats.binom(round(rows), share)
    low, high = float(ranks.ppf(1 - confidence)), float(ranks.ppf(confidence)) + 1

    def at(rank: float) -> float:
        place = int(np.searchsorted(sums, rank / rows * sums[-1] * (1 - 1e-12)))
        return float(sorted_values[min(place, len(sorted_values) - 1)])

    return Estimate(at(share * rows), at(low), at(high) if high <= rows else math.inf)


def apart(candidate: Estimate, champion: Estimate) -> Estimate:
    """Candidate minus champion of estimates that know nothing of each other (Newcombe 1998; Zou and Donner 2008)."""
    value = candidate.value - champion.value
    low = math.hypot(candidate.value - candidate.low, champion.high - champion.value)
    high = math.hypot(candidate.high - candidate.value, champion.value - champion.low)
    return Estimate(value, value - low, value + high)


def paired_means(differences: np.ndarray, weights: np.ndarray, confidence: float) -> tuple[Estimate, float]:
    """The mean of differences row by row with the paired t-test's bounds, and its p-value of there being none."""
    estimate = mean(differences, weights, confidence)
    rows = effective(weights)
    error = (estimate.high - estimate.value) / float(stats.t.ppf(confidence, rows - 1))
    if error == 0:
        return estimate, 1.0 if estimate.value == 0 else 0.0
    return estimate, float(2 * stats.t.sf(abs(estimate.value) / error, rows - 1))


def paired_proportions(worse: float, better: float, rows: float, confidence: float) -> tuple[Estimate, float]:
    """The same for right and wrong: of `rows`, those that the candidate alone got wrong, and those it alone got right.

    The bounds are Tango's score test (1998), which stays honest where few rows or none differ; the p-value McNemar's
    exact one.
    """
    z = float(stats.norm.ppf(confidence))
    value = (worse - better) / rows

    def excess(margin: float, sign: float) -> float:
        return sign * _tango(worse, better, rows, margin) - z

    edge = 1 - 1e-9
    high = 1.0 if value >= edge else optimize.brentq(lambda at: excess(at, -1.0), value, edge)
    low = -1.0 if value <= -edge else optimize.brentq(lambda at: excess(at, 1.0), -edge, value)
    differing = round(worse + better)
    p_value = stats.binomtest(round(worse), differing).pvalue if differing else 1.0
    return Estimate(value, float(low), float(high)), float(p_value)


def _tango(worse: float, better: float, rows: float, margin: float) -> float:
    """How many standard errors the difference lies above `margin`, were that the true one."""
    linear = (2 * rows - worse + better) * margin - worse - better
    root = math.sqrt(max(0.0, linear * linear + 8 * rows * better * margin * (1 - margin)))
    other = max(
        0.0, (root - linear) / (4 * rows)
    )  # the likeliest share of rows that the candidate alone got right
    variance = rows * (2 * other + margin * (1 - margin))
    distance = worse - better - rows * margin
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)
