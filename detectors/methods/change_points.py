"""When a series changed: where Pettitt's rank statistic is farthest from zero, again in each part (Pettitt 1979).

Ranks do not mind outliers or a metric's unit. Windows that follow each other are alike, so chance is what whole blocks of
windows give in any other order (a block is a day of hourly windows, a week of daily ones): that keeps the pattern of a
day or a week out of it. A change needs p at most .01 there, and means that lie a spread apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["LEVEL", "MIN_BLOCKS", "ChangePoint", "change_points", "rank_sums"]

LEVEL = 0.01
MIN_BLOCKS = 4  # of either half of a series; fewer have hardly another order
_PERMUTATIONS = 999
_MINIMUM_EFFECT = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChangePoint:
    """The first value after a change, by its place; the means of the parts it divides, and how far they lie apart in spreads."""

    place: int
    before: float
    after: float
    effect: float
    p_value: float


def change_points(values: Sequence[float], block: int = 1) -> list[ChangePoint]:
    """Every change of a series of finite values, in order; `block` values belong together."""
    series = np.asarray(values, dtype=float)
    cuts = sorted(_cuts(series, 0, max(1, block)))
    edges = [0, *(place for place, _ in cuts), len(series)]
    found = []
    for number, (place, p_value) in enumerate(cuts):
        before, after = series[edges[number] : place], series[place : edges[number + 2]]
        effect = _apart(before, after)
        found.append(ChangePoint(place, float(before.mean()), float(after.mean()), effect, p_value))
    return found


def rank_sums(ranks: Floats) -> Floats:
    """Pettitt's U after each value but the last: 2 · (sum of ranks so far) - t (n + 1); series along the last axis."""
    size = ranks.shape[-1]
    return np.asarray(2 * np.cumsum(ranks, axis=-1)[..., :-1] - np.arange(1, size) * (size + 1))


def _cuts(series: Floats, offset: int, block: int) -> list[tuple[int, float]]:
    if len(series) < 2 * MIN_BLOCKS * block:
        return []
    ranks = rankdata(series)
    sums = np.abs(rank_sums(ranks))
    inner = slice(block, len(series) - block)  # a part is a block at least
    place = int(np.argmax(sums[inner.start - 1 : inner.stop - 1])) + block
    highest = sums[place - 1]
    drawn = np.abs(rank_sums(_shuffled(ranks, block))).max(axis=1)
    p_value = (1 + int((drawn >= highest).sum())) / (1 + _PERMUTATIONS)
    before, after = series[:place], series[place:]
    if p_value > LEVEL or abs(_apart(before, after)) < _MINIMUM_EFFECT:
        return []
    left, right = _cuts(before, offset, block), _cuts(after, offset + place, block)
    return [*left, (offset + place, p_value), *right]


def _shuffled(ranks: Floats, block: int) -> Floats:
    """The series with its blocks in other orders, shape (permutations, values); what is left over stays at the end."""
    rng = np.random.default_rng(0)
    whole = len(ranks) // block * block
    blocks = ranks[:whole].reshape(-1, block)
    orders = rng.permuted(np.tile(np.arange(len(blocks)), (_PERMUTATIONS, 1)), axis=1)
    rest = np.tile(ranks[whole:], (_PERMUTATIONS, 1))
    return np.concatenate([blocks[orders].reshape(_PERMUTATIONS, whole), rest], axis=1)


def _apart(before: Floats, after: Floats) -> float:
    """Means' distance in the pooled spread of the parts; a million where neither varies and they differ."""
    spread = float(
        np.sqrt((before.var() * len(before) + after.var() * len(after)) / (len(before) + len(after)))
    )
    moved = float(after.mean() - before.mean())
    if spread <= abs(moved) * 1e-6:
        return float(np.sign(moved)) * 1e6 if moved else 0.0
    return moved / spread
