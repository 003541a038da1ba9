"""A number's distribution: count, missing, mean, variance, range and a KLL quantile sketch.

KLL (Karnin, Lang, Liberty 2016) with k = 200 keeps every value while there are at most about 200 of them and is
then off by at most 1.33 % of ranks (99 % confidence), also after any number of merges. Mean and variance are
exact up to rounding and merge by Chan, Golub and LeVeque (1979).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from datasketches import kll_doubles_sketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NumericSummary"]

_K = 200
_FAR = 1e140  # mean and variance take a value beyond as this: its square times any count is still a double


class NumericSummary:
    """`count` finite values and `missing` ones (null, NaN, infinite)."""

    kind = "numeric"

    def __init__(self) -> None:
        self.count = 0
        self.missing = 0
        self.mean = 0.0
        self.squares = 0.0  # sum of squared distances from the mean
        self.sketch = kll_doubles_sketch(_K)

    def update(self, values: NDArray[np.float64], missing: int = 0) -> None:
        """Take in an array; what is not finite counts as missing, beside `missing` nulls."""
        finite = values[np.isfinite(values)]
        self.missing += missing + len(values) - len(finite)
        if len(finite) == 0:
            return
        self.sketch.update(finite)
        near = np.clip(finite, -_FAR, _FAR)
        mean = float(near.mean())
        self._combine(len(near), mean, float(np.square(near - mean).sum()))

    def _combine(self, count: int, mean: float, squares: float) -> None:
        if count == 0:
            return
        total = self.count + count
        distance = mean - self.mean
        self.squares += squares + distance * distance * self.count * count / total
        self.mean += distance * count / total
        self.count = total

    @property
    def total(self) -> int:
        return self.count + self.missing

    @property
    def missing_rate(self) -> float | None:
        return self.missing / self.total if self.total else None

    @property
    def std(self) -> float | None:
        """Standard deviation of the sample (n - 1), or None below two values."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else None

    @property
    def minimum(self) -> float | None:
        return float(self.sketch.get_min_value()) if self.count else None

    @property
    def maximum(self) -> float | None:
        return float(self.sketch.get_max_value()) if self.count else None

    def quantiles(self, ranks: list[float]) -> list[float]:
        """Values at these ranks from 0 to 1; empty where there are no values."""
        return [float(value) for value in self.sketch.get_quantiles(ranks)] if self.count else []

    def cumulative(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of values at or below each of these ascending points, all different."""
        if self.count == 0 or len(points) == 0:
            return np.zeros(len(points))
        return np.asarray(self.sketch.get_cdf(points.tolist(), True), dtype=float)[:-1]

    @property
    def rank_error(self) -> float:
        """How far a share may be off (99 % confidence); 0 while every value is kept."""
        return float(self.sketch.normalized_rank_error(False)) if self.sketch.is_estimation_mode() else 0.0

    def masses(self, edges: list[float]) -> NDArray[np.float64]:
        """Counts between ascending inner edges, len(edges) + 1 of them: bin i is (edge i-1, edge i]."""
        if self.count == 0:
            return np.zeros(len(edges) + 1)
        if not edges:
            return np.array([float(self.count)])
        shares = np.asarray(self.sketch.get_pmf(edges, True), dtype=float)
        whole: NDArray[np.float64] = np.rint(shares * self.count)  # the sketch's weights are whole numbers
        return whole

    def merge(self, other: NumericSummary) -> None:
        self.missing += other.missing
        self.sketch.merge(other.sketch)
        self._combine(other.count, other.mean, other.squares)

    def fields(self) -> list[Any]:
        return [self.count, self.missing, self.mean, self.squares, self.sketch.serialize()]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        summary = cls()
        summary.count, summary.missing, summary.mean, summary.squares = fields[:4]
        summary.sketch = kll_doubles_sketch.deserialize(fields[4])
        return summary
