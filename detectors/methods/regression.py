"""How right a regression was, from the sums of its errors; means with the interval of the normal approximation."""

from __future__ import annotations

from detectors.methods.measures import NOTHING, Measure, Measured, Task, mean_with_interval
from remora.summaries import PerformanceSummary

__all__ = ["REGRESSION"]

_RESOLVED = 1e-9  # a variance below this share of the mean square is lost in the rounding of the sums


def _mae(found: PerformanceSummary, _task: Task) -> Measured:
    count, _, absolute, square, *_ = found.errors
    return mean_with_interval(count, absolute, square, found.precision)


def _bias(found: PerformanceSummary, _task: Task) -> Measured:
    count, error, _, square, *_ = found.errors
    return mean_with_interval(count, error, square, found.precision)


def _mape(found: PerformanceSummary, _task: Task) -> Measured:
    """Rows whose actual value is 0 have no relative error, and are left out."""
    count, share, squares = found.relative
    return mean_with_interval(count, share, squares, found.precision)


def _r2(found: PerformanceSummary, _task: Task) -> Measured:
    """1 - sum of squared errors / sum of squares around the mean; none where the target does not vary."""
    count, _, _, square, actual, squares = found.errors
    if count <= 1:
        return NOTHING
    around = squares - actual * actual / count
    return Measured(1 - square / around) if around > _RESOLVED * squares else NOTHING


REGRESSION: dict[str, Measure] = {
    "mae": _mae,
    "rmse": lambda found, _task: Measured(found.rmse),
    "bias": _bias,
    "mape": _mape,
    "r2": _r2,
}
