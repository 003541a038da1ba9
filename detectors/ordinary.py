"""What is ordinary for one metric of one column: where a quiet window lies, and how far around it.

Two kinds of metric are learnt. A *distance* (PSI) is a square: its root moves with a shift of the values and has about
the same spread wherever it lies, so roots are compared. A *rate* (missing values, unseen categories) is taken as it is.

A window's rows are few or many, and depend on each other: one day has one weather. What chance makes of independent
rows is known and shrinks with their number; what is beyond it was learnt from windows of the reference's size, and
is assumed to grow in smaller windows and not to shrink in larger ones. So busier traffic never raises alarms by itself.
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
    """Learnt from `windows` windows of about `rows` rows: the usual value by phase, and the spread around it."""

    alike: str
    centers: tuple[float, ...]
    spread: float
    rows: float
    windows: int
    squared: bool

    def center(self, phase: int, rows: float, noise: float) -> float:
        """Where an ordinary window of so many rows lies: a root for distances."""
        usual = self.centers[phase % len(self.centers)]
        if not self.squared:
            return usual
        return math.sqrt(usual * max(1.0, self.rows / rows) + noise)

    def deviation(self, rows: float) -> float:
        """The spread of windows of so many rows."""
        return self.spread * max(1.0, math.sqrt(self.rows / rows))

    def standing(self, value: float, phase: int, rows: float, noise: float) -> float:
        """How far a window lies above what is usual, in spreads."""
        where = math.sqrt(max(0.0, value)) if self.squared else value
        return (where - self.center(phase, rows, noise)) / self.deviation(rows)

    def reach(self, spreads: float, phase: int, rows: float, noise: float) -> float:
        """The value that lies so many spreads above what is usual, less `noise` for distances."""
        edge = self.center(phase, rows, noise) + spreads * self.deviation(rows)
        return edge * edge - noise if self.squared else edge

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, "centers": tuple(data["centers"])})


def learn(
    seen: Observed, starts: NDArray[np.float64], size: timedelta
) -> tuple[Ordinary, NDArray[np.float64]]:
    """What is ordinary, and how far each of the windows stands above what the *others* say is usual (NaN: unusable)."""
    usable = seen.usable
    values, rows, noise = seen.values[usable], seen.rows[usable], seen.noise[usable]
    typical = float(np.median(rows))
    grow = np.maximum(1.0, typical / rows)
    beyond = (values - noise) / grow if seen.squared else values
    where = np.sqrt(np.maximum(values, 0.0)) if seen.squared else values

    def left(usual: NDArray[np.float64]) -> NDArray[np.float64]:
        centers = np.sqrt(np.maximum(usual, 0.0) * grow + noise) if seen.squared else usual
        return np.asarray((where - centers) / np.sqrt(grow))

    best, residuals = "all", left(_others(beyond, np.zeros(len(beyond), dtype=np.int64)))
    for alike in candidates(starts[usable], size)[1:]:
        tried = left(_others(beyond, phases(starts[usable], alike)))
        if np.square(tried).mean() < _BETTER * np.square(residuals).mean():
            best, residuals = alike, tried
    codes = phases(starts[usable], best)
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=beyond) / np.maximum(counts, 1)
    if seen.squared:
        means = np.maximum(means, 0.0)
    near = (
        np.sort(np.square(residuals))[: -max(1, round(_FREAKS * len(values)))]
        if len(values) > 1
        else residuals
    )
    spread = float(np.sqrt(near.mean())) * (1 + 1 / math.sqrt(2 * len(values)))
    floor = _CHANCE_SPREAD if seen.squared else 1.0
    spread = max(spread, floor * float(np.median(seen.unit[usable])), 1e-9)
    standing = np.full(len(seen.values), np.nan)
    standing[usable] = residuals / spread
    made = Ordinary(best, tuple(map(float, means)), spread, typical, len(values), seen.squared)
    return made, standing


def _others(values: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each window the mean of the others of its phase; its own where it has no other."""
    counts = np.bincount(codes)[codes]
    sums = np.bincount(codes, weights=values)[codes]
    return np.where(counts > 1, (sums - values) / np.maximum(counts - 1, 1), values)
