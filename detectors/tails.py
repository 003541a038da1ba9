"""How far ordinary goes beyond what was seen: the upper tail of a sample, and its extrapolation.

Of the values above a high level the excess is about generalised Pareto (Pickands 1975; Balkema and de Haan 1974). Its
scale and shape come from probability-weighted moments (Hosking and Wallis 1987), and are then made wider on purpose:
the shape is never below 0, which would promise an end of the tail, and the scale gets one and a half standard errors more. So few
values give a wide tail and many give the right one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Tail", "fit_tail"]

_SHARE = 0.15  # of the values make the tail
_FEWEST = 8
_ERRORS = 1.5  # so many standard errors the scale is widened by
_LONGEST = 0.3  # a shape beyond is a few stray values rather than a law
_TRUSTED = 40  # so many values above the level let the shape speak for itself


@dataclass(frozen=True)
class Tail:
    """P(X > x) = rate · (1 + shape · (x - level) / scale) ** (-1 / shape), for x above the level."""

    level: float
    rate: float
    scale: float
    shape: float

    def point(self, chance: float) -> float:
        """What is exceeded with this probability; the level itself for whatever lies below it.

        >>> round(Tail(level=2.0, rate=0.1, scale=0.5, shape=0.0).point(0.001), 3)
        4.303
        """
        if chance >= self.rate:
            return self.level
        odds = self.rate / chance
        if self.shape < 1e-9:
            return self.level + self.scale * math.log(odds)
        return float(self.level + self.scale * (odds**self.shape - 1) / self.shape)

    def chance(self, point: float) -> float:
        """How probable it is to exceed a point; the tail's whole rate for whatever lies below the level."""
        beyond = max(0.0, point - self.level) / self.scale
        if self.shape < 1e-9:
            return self.rate * math.exp(-beyond)
        return float(self.rate * (1 + self.shape * beyond) ** (-1 / self.shape))


def fit_tail(values: ArrayLike) -> Tail:
    """The upper tail of at least two finite values."""
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    above = min(count - 1, max(_FEWEST, math.ceil(_SHARE * count)))
    level = float(ordered[-above - 1])
    excess = ordered[-above:] - level
    mean = float(excess.mean())
    scale, shape = _moments(excess, mean)
    trust = above / (above + _TRUSTED)
    shape = trust * shape + (1 - trust) * 0.1
    scale = trust * scale + (1 - trust) * mean
    wider = 1 + _ERRORS / math.sqrt(above)
    return Tail(level, above / count, max(scale * wider, 1e-9), shape)


def _moments(excess: ArrayLike, mean: float) -> tuple[float, float]:
    """Scale and shape after Hosking and Wallis, the shape kept between 0 and `_LONGEST`."""
    ordered = np.sort(np.asarray(excess, dtype=float))
    count = len(ordered)
    weights = (count - np.arange(1, count + 1)) / max(1, count - 1)
    weighted = float((weights * ordered).mean())
    if mean <= 2 * weighted or weighted <= 0:
        return mean, 0.0  # no lighter than exponential is believed
    shape = min(_LONGEST, max(0.0, 2 - mean / (mean - 2 * weighted)))
    return mean * (1 - shape), shape
