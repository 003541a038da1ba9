"""Scores counted in 1,024 bins of equal width on [0, 1], per class: all that AUC, calibration and their estimates need.

Counts add, so they merge exactly. A score stands anywhere in its bin: what is computed of means is off by at most
1/2048, and AUC by half the share of pairs that fall into one bin.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from remora.summaries.categorical import category_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["MIDDLES", "MOST_CLASSES", "SCORE_BINS", "ScoreSummary", "auc_of", "bin_of", "class_name", "dense"]

SCORE_BINS = 1024
MOST_CLASSES = 50  # beyond, scores are not counted class by class
MIDDLES = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS


def bin_of(score: float) -> int:
    """The bin that a score lies in; what lies outside of [0, 1] is in the first or the last."""
    return min(SCORE_BINS - 1, max(0, int(score * SCORE_BINS)))


def dense(bins: Counter[int]) -> NDArray[np.float64]:
    """All bins as an array of shape (1024,)."""
    made = np.zeros(SCORE_BINS)
    if bins:
        made[list(bins)] = list(bins.values())
    return made


def auc_of(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> tuple[float, float] | None:
    """Area under the ROC curve (Mann-Whitney U over P·N; one bin counts half) and how far it may be off."""
    total = positive.sum() * negative.sum()
    if total <= 0:
        return None
    below = np.concatenate([[0.0], np.cumsum(negative)[:-1]])
    tied = float((positive * negative).sum()) / 2
    return (float((positive * below).sum()) + tied) / float(total), tied / float(total)


def class_name(value: object, positive: str) -> str:
    """The class's name; 0 and 1 are what people write for false and true."""
    name = category_name(value)
    if positive in {"true", "false"} and name in {"0", "1", "True", "False"}:
        return "true" if name in {"1", "True"} else "false"
    return name


class ScoreSummary:
    """Scores of predictions, labelled or not: per class, apart for rows that were predicted so and for the others.

    `own` are rows whose predicted class it is, `others` those with another, `nameless` those without a prediction. A binary model has one
    class here, its positive one.
    """

    kind = "scores"

    def __init__(self) -> None:
        self.own: dict[str, Counter[int]] = {}
        self.others: dict[str, Counter[int]] = {}
        self.nameless: dict[str, Counter[int]] = {}

    def add(self, scored: Iterable[tuple[str, str | None, float]]) -> None:
        """Count rows: class, predicted class, score of the class."""
        for name, predicted, score in scored:
            side = self.nameless if predicted is None else self.own if predicted == name else self.others
            side.setdefault(name, Counter())[bin_of(score)] += 1

    @property
    def classes(self) -> list[str]:
        return sorted({*self.own, *self.others, *self.nameless})

    def rows(self, name: str) -> int:
        """How many rows carried a score of this class."""
        return sum(side[name].total() for side in self._sides() if name in side)

    def all_of(self, name: str) -> NDArray[np.float64]:
        """The scores of a class over all rows, shape (1024,)."""
        return sum((dense(side[name]) for side in self._sides() if name in side), np.zeros(SCORE_BINS))

    def own_of(self, name: str) -> NDArray[np.float64]:
        """The scores of a class over the rows predicted so, shape (1024,)."""
        return dense(self.own.get(name, Counter()))

    def _sides(self) -> tuple[dict[str, Counter[int]], ...]:
        return self.own, self.others, self.nameless

    def merge(self, other: ScoreSummary) -> None:
        for mine, theirs in zip(self._sides(), other._sides(), strict=True):
            for name, bins in theirs.items():
                mine.setdefault(name, Counter()).update(bins)

    def fields(self) -> list[Any]:
        return [
            [[name, sorted(bins.items())] for name, bins in sorted(side.items())] for side in self._sides()
        ]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        summary = cls()
        for side, found in zip(summary._sides(), fields, strict=True):
            side.update({name: Counter(dict(bins)) for name, bins in found})
        return summary
