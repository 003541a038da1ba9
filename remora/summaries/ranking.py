"""How good a ranked list was, of which some items turned out to be relevant.

The first `top` places count. Gains are the relevances themselves, discounted by log2 of the place + 1 (Järvelin and
Kekäläinen 2002, as scikit-learn's `ndcg_score`). A list for which nothing was relevant is a miss: 0 in every measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from remora.summaries.categorical import category_name

__all__ = ["MEASURES", "is_ranking", "quality", "relevances"]

MEASURES = ("ndcg", "average_precision", "reciprocal_rank", "hit")


def is_ranking(prediction: object) -> bool:
    """Whether a prediction is a ranked list of items, the best first."""
    return isinstance(prediction, list | tuple)


def relevances(label: object) -> dict[str, float]:
    """Relevance by item, of a label: one item, a list of items, or item: relevance. What is not above 0 is not relevant."""
    if isinstance(label, Mapping):
        return {category_name(item): float(value) for item, value in label.items() if value > 0}
    items = label if isinstance(label, list | tuple) else [label]
    return {category_name(item): 1.0 for item in items}


def quality(ranked: Sequence[object], relevant: Mapping[str, float], top: int) -> tuple[float, ...]:
    """The `MEASURES` of one list, each from 0 to 1.

    >>> [round(value, 4) for value in quality(["a", "b", "c"], {"b": 1.0, "z": 1.0}, 10)]
    [0.3869, 0.25, 0.5, 1.0]
    """
    names = list(dict.fromkeys(category_name(item) for item in ranked))[:top]
    gains = [relevant.get(name, 0.0) for name in names]
    ideal = _discounted(sorted(relevant.values(), reverse=True)[:top])
    if ideal == 0 or not any(gains):
        return (0.0,) * len(MEASURES)
    hits, precisions = 0, 0.0
    for place, gain in enumerate(gains, start=1):
        if gain > 0:
            hits += 1
            precisions += hits / place
    first = next(place for place, gain in enumerate(gains, start=1) if gain > 0)
    return _discounted(gains) / ideal, precisions / min(len(relevant), top), 1 / first, 1.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))
