"""What is ordinary for one metric of one column: where a quiet window lies, and how far around it.

Two kinds of metric are learnt. A *distance* (PSI) is a square: its root moves with a shift of the values and has about
the same spread wherever it lies, so roots are compared. A *rate* (missing values, unseen categories) is taken as it is.

A window's rows are few or many, and depend on each other: one day has one weather. What chance makes of independent
rows is known and shrinks with their number; what is beyond it was learnt from windows of the reference's size, and
in what is judged it is assumed to grow in smaller windows and not to shrink in larger ones. So busier traffic never
raises alarms by itself. How many rows are usual is learnt by phase too: a Saturday is not a small Friday.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from detectors.phases import candidates, phases

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from numpy.typing import NDArray

__all__ = ["Observed", "Ordinary", "learn"]

_BETTER = 0.95  # telling phases apart must shrink the error of prediction by so much
_FREAKS = (
    0.02  # of the windows, and at least one, say nothing of the spread: one blizzard must not blind a column
)
_CHANCE_SPREAD = 0.7  # the standard deviation of chi with two or more degrees of freedom: .66 to .71


@dataclass(frozen=True)
class Observed:
    """A metric in the reference's own windows, each of shape (windows,), NaN where a window had too few rows.

    `noise` is what chance gives on average for so many independent rows, `unit` its standard error.
    """

    values: NDArray[np.float64]
    rows: NDArray[np.float64]
    noise: NDArray[np.float64]
    unit: NDArray[np.float64]
    squared: bool

    @property
    def usable(self) -> NDArray[np.bool_]:
        return np.isfinite(self.values)


@dataclass(frozen=True)
class Ordinary:
    """Learnt from `windows` windows: by phase the usual value and the usual number of rows, and the spread around it."""

    alike: str
    centers: tuple[float, ...]
    spread: float
    rows: tuple[float, ...]
    windows: int
    squared: bool

    def center(self, phase: int, rows: float, noise: float) -> float:
        """Where an ordinary window of so many rows lies: a root for distances."""
        usual = self.centers[phase % len(self.centers)]
        if not self.squared:
            return usual
        return math.sqrt(usual * self._growth(phase, rows) + noise)

    def deviation(self, phase: int, rows: float) -> float:
        """The spread of windows of so many rows."""
        return self.spread * math.sqrt(self._growth(phase, rows))

    def usual_rows(self, phase: int) -> float:
        """How many rows a window of this phase had."""
        return self.rows[phase % len(self.rows)]

    def _growth(self, phase: int, rows: float) -> float:
        return max(1.0, self.usual_rows(phase) / rows)

    def standing(self, value: float, phase: int, rows: float, noise: float) -> float:
        """How far a window lies above what is usual, in spreads."""
        where = math.sqrt(max(0.0, value)) if self.squared else value
        return (where - self.center(phase, rows, noise)) / self.deviation(phase, rows)

    def reach(self, spreads: float, phase: int, rows: float, noise: float) -> float:
        """The value that lies so many spreads above what is usual, less `noise` for distances."""
        edge = self.center(phase, rows, noise) + spreads * self.deviation(phase, rows)
        return edge * edge - noise if self.squared else edge

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        rows = data["rows"]  # one number where it was learnt before phases had their own
        several = (rows,) if isinstance(rows, float) else tuple(rows)
        return cls(**{**data, "centers": tuple(data["centers"]), "rows": several})


def learn(
    seen: Observed, starts: NDArray[np.float64], size: timedelta
) -> tuple[Ordinary, NDArray[np.float64]]:
    """What is ordinary, and how far each of the windows stands above what the *others* say is usual (NaN: unusable)."""
    usable = seen.usable
    best, residuals, centers, rows = "all", *_residuals(seen, np.zeros(int(usable.sum()), dtype=np.int64))
    for alike in candidates(starts[usable], size)[1:]:
        tried = _residuals(seen, phases(starts[usable], alike))
        if _ordinary_square(tried[0]) < _BETTER * _ordinary_square(residuals):
            best, (residuals, centers, rows) = alike, tried
    count = len(residuals)
    spread = math.sqrt(_ordinary_square(residuals)) * (1 + 1 / math.sqrt(2 * count))
    floor = _CHANCE_SPREAD if seen.squared else 1.0
    spread = max(spread, floor * float(np.median(seen.unit[usable])), 1e-9)
    standing = np.full(len(seen.values), np.nan)
    standing[usable] = residuals / spread
    return Ordinary(best, centers, spread, rows, count, seen.squared), standing


def _residuals(
    seen: Observed, codes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], tuple[float, ...], tuple[float, ...]]:
    """How far each usable window lies above what the others of its phase say, and each phase's usual value and rows."""
    values, rows, noise = seen.values[seen.usable], seen.rows[seen.usable], seen.noise[seen.usable]
    typical = np.array(
        [np.median(rows[codes == code]) if (codes == code).any() else 1.0 for code in range(codes.max() + 1)]
    )
    wide = np.sqrt(np.maximum(1.0, typical[codes] / rows))  # the spread of smaller windows
    beyond = values - noise if seen.squared else values
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=beyond) / np.maximum(counts, 1)
    usual = _others(beyond, codes)
    if not seen.squared:
        return (values - usual) / wide, tuple(map(float, means)), tuple(map(float, typical))
    where, there = np.sqrt(np.maximum(values, 0.0)), np.sqrt(np.maximum(usual, 0.0) + noise)
    return (where - there) / wide, tuple(map(float, np.maximum(means, 0.0))), tuple(map(float, typical))


def _ordinary_square(residuals: NDArray[np.float64]) -> float:
    """The mean square of all but the freaks."""
    squares = np.sort(np.square(residuals))
    return float((squares[: -max(1, round(_FREAKS * len(squares)))] if len(squares) > 1 else squares).mean())


def _others(values: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each window the mean of the others of its phase; its own where it has no other."""
    counts = np.bincount(codes)[codes]
    sums = np.bincount(codes, weights=values)[codes]
    return np.where(counts > 1, (sums - values) / np.maximum(counts - 1, 1), values)
