"""Quiet months made of the reference's own windows: blocks of adjoining windows, drawn again and again (Künsch 1989).

A block keeps together what depends on each other: the hours of a day, most features of a window. What blocks cannot
show is that the reference itself is a sample: its mean and spread are off by their standard errors, for as long as it is
in use. So every made-up month has its own offset and stretch for each column, and takes each column's block from
whichever column, for one column alone has shown few of its extremes.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from detectors.changes import CAP, SLACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Heights", "block_length", "heights", "steps_of"]

_MONTHS = 200
_LONGEST = 1500  # steps of a made-up month; a shorter stretch than the budget's period has less of its chance
_RANKS = np.linspace(0, 1, 41)


@dataclass(frozen=True)
class Heights:
    """How high the highest of all columns' sums came in `steps` quiet windows: quantiles over made-up months."""

    steps: int
    quantiles: tuple[float, ...]

    def point(self, per_window: float) -> float:
        """The height that quiet windows reach so seldom: alarms come one by one, so in `steps` as Poisson has it."""
        chance = -math.expm1(-per_window * self.steps)
        if chance > 1 - float(_RANKS[-3]):
            return float(np.interp(1 - chance, _RANKS, self.quantiles))
        # Beyond the last of the made-up months: the height of a sum falls off exponentially.
        high, low = self.quantiles[-3], self.quantiles[len(_RANKS) // 2]
        scale = max(1e-9, (high - low) / math.log(0.5 / (1 - float(_RANKS[-3]))))
        return high + scale * math.log((1 - float(_RANKS[-3])) / chance)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["steps"], tuple(data["quantiles"]))


def block_length(windows: int, size: timedelta) -> int:
    """So many adjoining windows stay together: three days of them, so that one is whole, or as many as is usual."""
    of_three_days = 3 * (timedelta(days=1) // size)
    usual = math.ceil(2 * math.cbrt(windows))
    return max(1, min(windows // 4, max(of_three_days, usual)))


def heights(standing: NDArray[np.float64], size: timedelta, period: timedelta) -> Heights:
    """Made-up months of the windows' standings, of shape (windows, columns); NaN is a window that says nothing."""
    windows, columns = standing.shape
    block = block_length(windows, size)
    steps = int(min(_LONGEST, max(block, period // size)))
    random = np.random.default_rng(windows * 1000 + columns)
    count = max(2, windows // block)
    offsets = random.normal(size=(_MONTHS, columns)) * _standard_error(standing, count)
    stretch = np.exp(random.normal(size=(_MONTHS, columns)) / math.sqrt(2 * count))
    filled = np.nan_to_num(standing, nan=0.0)
    sums, highest = np.zeros((_MONTHS, columns)), np.zeros(_MONTHS)
    for step in range(steps):
        if step % block == 0:
            places = random.integers(0, windows, (_MONTHS, 1))
            whose = random.integers(0, columns, (_MONTHS, columns))
        drawn = filled[(places + step % block) % windows, whose]
        sums = np.maximum(sums + steps_of(drawn * stretch + offsets), 0.0)
        np.maximum(highest, sums.max(axis=1), out=highest)
    wider = 1 + 1 / math.sqrt(count)  # few blocks show little of what can happen
    return Heights(steps, tuple(map(float, np.quantile(highest, _RANKS) * wider)))


def steps_of(standing: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each window adds to Page's sum; nothing where it says nothing."""
    return np.asarray(np.minimum(np.nan_to_num(standing, nan=SLACK), CAP) - SLACK)


def _standard_error(standing: NDArray[np.float64], count: int) -> float:
    """Of a column's mean over the reference, from the means of `count` blocks; of all columns together."""
    edges = np.linspace(0, len(standing), count + 1).astype(int)
    filled = np.nan_to_num(standing, nan=0.0)
    means = np.stack([filled[first:last].mean(axis=0) for first, last in pairwise(edges)])
    return math.sqrt(float(means.var(axis=0, ddof=1).mean()) / count)
