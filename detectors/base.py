"""What every method takes and gives.

A method is a pure function of a reference, a current summary and parameters. It returns one frozen `Result` that
also says why; "could not look" is never "all is well".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from remora.summaries import CategoricalSummary, NumericSummary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.binning import Bins

__all__ = [
    "ALARM",
    "COULD_NOT_COMPUTE",
    "LABELS_NOT_MATURE",
    "NOT_ENOUGH_DATA",
    "OK",
    "VERDICTS",
    "Z95",
    "ColumnReference",
    "ColumnWindow",
    "FeatureMethod",
    "Limit",
    "Result",
    "unknown",
    "wilson",
]

OK, ALARM = "ok", "alarm"
NOT_ENOUGH_DATA, LABELS_NOT_MATURE, COULD_NOT_COMPUTE = (
    "not_enough_data",
    "labels_not_mature",
    "could_not_compute",
)
VERDICTS = (OK, ALARM, NOT_ENOUGH_DATA, LABELS_NOT_MATURE, COULD_NOT_COMPUTE)

Z95 = 1.959963984540054  # half a 95 % interval of the normal distribution, in standard errors


@dataclass(frozen=True)
class Result:
    """One metric of one window. `low` and `high` are a 95 % interval; `size` counts the rows behind the value.

    `effect` says how large the difference is in terms that do not grow with the rows (standard deviations, share of
    rows, ratio: the metric says which). `details` are plain JSON for people and alerts: `causes`, `segments`,
    `changed_at`, `expected_false_alarms`; never a value of a feature. `reason` is a sentence that a person can act on, with no value of a feature in it. `value` is None exactly where
    nothing can be said.
    """

    value: float | None
    verdict: str
    reason: str
    size: int = 0
    low: float | None = None
    high: float | None = None
    reference_value: float | None = None
    threshold: float | None = None
    reference_size: int | None = None
    coverage: float | None = None
    effect: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (
            self.value,
            self.low,
            self.high,
            self.reference_value,
            self.threshold,
            self.coverage,
            self.effect,
        )
        if not all(number is None or math.isfinite(number) for number in numbers):
            msg = "a result must be finite: it is stored and sent as JSON"
            raise ValueError(msg)
        if self.verdict not in VERDICTS:
            msg = f"unknown verdict {self.verdict!r}: one of {', '.join(VERDICTS)}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Limit:
    """Where a metric of a column becomes an alarm, and in words where that comes from.

    `chance` is how seldom independent rows alone may go beyond what the method reckons with, `rows` the size of the
    windows that it was learnt from.
    """

    threshold: float
    basis: str
    chance: float = 1e-4
    rows: float = math.inf


@dataclass(frozen=True)
class ColumnReference:
    """What is normal for a column: its summary, its bins, made once, and its limits by metric.

    `allowed` are the lowest and the highest value that remora.yaml lets a number have.
    """

    name: str
    kind: str  # numeric | categorical
    summary: NumericSummary | CategoricalSummary
    bins: Bins
    limits: Mapping[str, Limit] = field(default_factory=dict)
    allowed: tuple[float | None, float | None] | None = None


@dataclass(frozen=True)
class ColumnWindow:
    """A column in a window: `rows` were answered; the summaries hold those that carried a value of their kind."""

    rows: int
    numeric: NumericSummary | None = None
    categorical: CategoricalSummary | None = None

    def of_kind(self, kind: str) -> NumericSummary | CategoricalSummary | None:
        """The values of this kind, or None where there are none."""
        summary = self.numeric if kind == "numeric" else self.categorical
        return summary if summary is not None and summary.count else None

    @property
    def total(self) -> int:
        """The rows that could have carried a value: never fewer than those that did."""
        both = sum(summary.total for summary in (self.numeric, self.categorical) if summary is not None)
        return max(self.rows, both)


class FeatureMethod(Protocol):
    """A metric of one column: compare a window with the reference."""

    def __call__(self, reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
        """`min_samples` rows with a value are needed for a verdict."""


def unknown(verdict: str, reason: str, size: int = 0, **more: Any) -> Result:
    """A result that says why there is no value."""
    return Result(None, verdict, reason, size, **more)


def wilson(hits: float, size: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of `size` rows (Wilson 1927); (0, 1) where there are none."""
    if size <= 0:
        return 0.0, 1.0
    share = hits / size
    scale = 1 + Z95 * Z95 / size
    middle = (share + Z95 * Z95 / (2 * size)) / scale
    half = Z95 / scale * math.sqrt(max(0.0, share * (1 - share) / size + Z95 * Z95 / (4 * size * size)))
    return max(0.0, middle - half), min(1.0, middle + half)
