"""How right a ranking was: means over its labelled lists (`remora.summaries.ranking`), with normal intervals."""

from __future__ import annotations

from collections.abc import Callable

from detectors.methods.measures import Measure, Measured, Task, mean_with_interval
from remora.summaries import PerformanceSummary
from remora.summaries.ranking import MEASURES

__all__ = ["RANKING"]


def _mean(place: int) -> Callable[[PerformanceSummary, Task], Measured]:
    def measure(found: PerformanceSummary, _task: Task) -> Measured:
        rows, sums = found.lists[0], found.lists[1:]
        return mean_with_interval(rows, sums[place], sums[place + len(MEASURES)], found.precision)

    return measure


RANKING: dict[str, Measure] = dict(zip(("ndcg", "map", "mrr", "hit_rate"), map(_mean, range(4)), strict=True))
