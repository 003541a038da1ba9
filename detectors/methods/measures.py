"""What a measure of labelled predictions gives, and the intervals that several of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detectors.base import Z95, wilson
from remora.summaries import PerformanceSummary

__all__ = ["NOTHING", "Measure", "Measured", "Task", "mean_with_interval", "share_with_interval"]


@dataclass(frozen=True)
class Task:
    """What must be known of a model to say how right it was."""

    kind: str  # binary | multiclass | regression | ranking
    positive: str = "true"
    top: int = 10


@dataclass(frozen=True)
class Measured:
    """A value with its 95 % interval, where there is one; no value where nothing can be said."""

    value: float | None
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


Measure = Callable[[PerformanceSummary, Task], Measured]

NOTHING = Measured(None)


def share_with_interval(hits: float, size: float, precision: float) -> Measured:
    """A share of weighted rows after Wilson; `precision` turns weights into rows that say as much."""
    if size <= 0:
        return NOTHING
    return Measured(hits / size, *wilson(hits * precision, size * precision))


def mean_with_interval(count: float, total: float, squares: float, precision: float) -> Measured:
    """A mean with its normal interval, from sums over weighted rows."""
    if count <= 0:
        return NOTHING
    mean = total / count
    half = Z95 * math.sqrt(max(0.0, squares / count - mean * mean) / (count * precision))
    return Measured(mean, mean - half, mean + half)
