"""Bins are made once, on the reference, and stored: a window never moves its own baseline.

Numeric bins are (edge i-1, edge i] between quantiles of the reference. A value that many rows share (zero rain, a
constant) gets a bin of its own, so that leaving it in either direction is seen. Categorical bins are the reference's
frequent categories, and one for all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from remora.summaries import CategoricalSummary, NumericSummary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Bins", "categorical_bins", "numeric_bins", "numeric_edges"]

_RARE = 0.01  # a category below this share of the reference is among the others
_MOST_CATEGORIES = 30
_MOST_KNOWN = 10_000  # beyond that a column is an identifier, and "never seen" says nothing


@dataclass(frozen=True)
class Bins:
    """Edges or categories with the reference's counts; the last categorical bin is all others.

    `known` are all categories that the reference has, or None where they are too many to tell.
    """

    counts: tuple[float, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    known: frozenset[str] | None = frozenset()

    def masses(self, summary: NumericSummary | CategoricalSummary) -> NDArray[np.float64]:
        """How many of a summary's values fall into each bin; as many entries as `counts`."""
        if isinstance(summary, NumericSummary):
            return summary.masses(list(self.edges))
        found = summary.counts()
        frequent = [float(found.get(name, 0)) for name in self.categories]
        return np.array([*frequent, max(0.0, summary.count - sum(frequent))])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for `reference_columns.bins`."""
        known = None if self.known is None else sorted(self.known)
        return {
            "counts": list(self.counts), "edges": list(self.edges), "categories": list(self.categories),
            "known": known,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The bins of `to_json`."""
        known = data["known"]
        return cls(
            tuple(map(float, data["counts"])),
            tuple(map(float, data["edges"])),
            tuple(data["categories"]),
            None if known is None else frozenset(known),
        )


def numeric_edges(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Inner edges from ascending quantiles, the smallest value first.

    A value that stands there twice holds at least one bin's share by itself, and is fenced in on both sides.
    """
    edges: set[float] = set(quantiles[1:])
    for before, value in pairwise(quantiles):
        if before == value:
            edges.add(math.nextafter(value, -math.inf))
    return tuple(sorted(edge for edge in edges if math.isfinite(edge)))


def numeric_bins(values: NDArray[np.float64], bins: int) -> Bins:
    """About `bins` bins of equal share of the reference's finite values, counted exactly."""
    if len(values) == 0:
        return Bins((0.0,))
    ranks = np.arange(bins) / bins
    edges = numeric_edges([float(value) for value in np.quantile(values, ranks, method="inverted_cdf")])
    counts = np.bincount(np.searchsorted(np.array(edges), values, side="left"), minlength=len(edges) + 1)
    return Bins(tuple(map(float, counts)), edges=edges)


def categorical_bins(counts: Mapping[str, int]) -> Bins:
    """The categories that hold at least 1 % of the reference, at most 30 of them, and the others."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    frequent = [(name, count) for name, count in ordered if count >= _RARE * total][:_MOST_CATEGORIES]
    rest = total - sum(count for _, count in frequent)
    return Bins(
        (*(float(count) for _, count in frequent), float(rest)),
        categories=tuple(name for name, _ in frequent),
        known=frozenset(counts) if len(counts) <= _MOST_KNOWN else None,
    )
