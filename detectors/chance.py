"""What chance alone does to a comparison of two samples, and how seldom it goes beyond.

Every bound here is exceeded at most once in 10,000 windows (`CHANCE`) where nothing changed and rows are independent.
That rows of one window are not is what the reference's own windows are for (`detectors.calibration`).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CHANCE",
    "Z_OF_CHANCE",
    "both",
    "chi_square_point",
    "deviation_bound",
    "kolmogorov_bound",
    "kolmogorov_mean",
    "surprising",
    "total_variation_mean",
]

CHANCE = 1e-4
Z_OF_CHANCE = 3.719016485455709  # the standard normal's upper 1/10,000 point


def both(size: float, reference_size: float) -> float:
    """1/n + 1/m: the variance that two samples bring into their difference, per unit of variance."""
    return 1 / size + 1 / reference_size


def chi_square_point(degrees: int, chance: float = CHANCE) -> float:
    """Chi-square's upper point, of 1/10,000 if nothing else is asked, after Wilson and Hilferty 1931: at most 2 % too high, 8 % below four degrees.

    >>> round(chi_square_point(9), 1)
    34.1
    """
    if degrees <= 0:
        return 0.0
    spread = 2 / (9 * degrees)
    point = Z_OF_CHANCE if chance == CHANCE else NormalDist().inv_cdf(1 - chance)
    return degrees * (1 - spread + point * math.sqrt(spread)) ** 3


def kolmogorov_mean(size: float, reference_size: float) -> float:
    """The largest distance of two cumulative shares that is expected: sqrt(pi / 2) ln 2 sqrt(1/n + 1/m)."""
    return math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(both(size, reference_size))


def kolmogorov_bound(size: float, reference_size: float, chance: float = CHANCE) -> float:
    """The largest distance that chance exceeds so seldom: the first term of Kolmogorov's series (1933).

    >>> round(kolmogorov_bound(200, 20_000), 3)
    0.158
    """
    return math.sqrt(math.log(2 / chance) / 2 * both(size, reference_size))


def total_variation_mean(shares: NDArray[np.float64], size: float, reference_size: float) -> float:
    """Half the sum of distances of shares that is expected, each distance half-normal; `shares` has shape (B,)."""
    deviations = np.sqrt(2 / math.pi * shares * (1 - shares) * both(size, reference_size))
    return float(deviations.sum()) / 2


def deviation_bound(size: float, reference_size: float) -> float:
    """How far a measure lies above its mean, where one row moves it by 1/n at most (McDiarmid 1989)."""
    return math.sqrt(-math.log(CHANCE) / 2 * both(size, reference_size))


def surprising(hits: float, size: float, usual: float) -> bool:
    """Whether chance alone makes so large a share of a usual one less than once in 10,000 windows (Chernoff 1952).

    >>> surprising(30, 200, 0.05), surprising(20, 200, 0.05)
    (True, False)
    """
    share = hits / size if size > 0 else 0.0
    if share <= usual:
        return False
    if usual <= 0:
        return True
    distance = share * math.log(share / usual)
    if share < 1:
        distance += (1 - share) * math.log((1 - share) / (1 - usual))
    return size * distance > -math.log(CHANCE)
