"""One frame for every distance between a column's reference and a window: the measures differ, the decision does not.

An alarm needs both: a distance that matters and one that chance does not make. The first is the column's limit; where
none was learnt for the measure itself it is what a shift of the mean makes of it that PSI's limit corresponds to (a
normal column shifted by d standard deviations has a PSI of d squared). What is expected of chance at the window's size
is added to it: variances add, so by squares. The second is a bound that chance exceeds once in 10,000 windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow, Limit, Result, unknown
from remora.summaries import CategoricalSummary, NumericSummary

__all__ = ["Distance", "Measured", "compare"]

_UNLEARNT = 0.25  # PSI's customary mark of a major change, where a column has no limit at all


@dataclass(frozen=True)
class Measured:
    """A distance, what chance makes it on average, and what chance exceeds once in 10,000 windows.

    `error` is how far the sketches may put the distance off; `said` is added to the sentence.
    """

    value: float
    expected: float
    chance: float
    error: float = 0.0
    said: str = ""


@dataclass(frozen=True)
class Distance:
    """A measure: how it is computed, and how large it is where PSI is `psi` (`matches`)."""

    metric: str
    title: str
    measure: Callable[[ColumnReference, NumericSummary | CategoricalSummary], Measured | str]
    matches: Callable[[float], float]


def compare(
    distance: Distance, reference: ColumnReference, current: ColumnWindow, min_samples: int
) -> Result:
    """Judge a window by one distance. A measure that cannot be taken gives a sentence that says why."""
    summary = current.of_kind(reference.kind)
    size, reference_size = (0 if summary is None else summary.count), reference.summary.count
    if summary is None or size < min_samples or reference_size < min_samples:
        return _cannot(distance, _too_small(size, reference_size, min_samples), size, reference_size)
    found = distance.measure(reference, summary)
    if isinstance(found, str):
        return _cannot(distance, found, size, reference_size)
    limit = _limit(distance, reference)
    threshold = max(math.hypot(limit.threshold, found.expected), found.chance) + found.error
    alarm = found.value > threshold
    return Result(
        found.value,
        ALARM if alarm else OK,
        _reason(distance, found, threshold, limit.basis, alarm=alarm),
        size,
        max(0.0, found.value - found.error) if found.error else None,
        found.value + found.error if found.error else None,
        reference_value=found.expected,
        threshold=threshold,
        reference_size=reference_size,
    )


def _limit(distance: Distance, reference: ColumnReference) -> Limit:
    own = reference.limits.get(distance.metric)
    if own is not None:
        return own
    psi = reference.limits.get("psi", Limit(_UNLEARNT, "the customary mark of a major change"))
    return Limit(distance.matches(psi.threshold), f"that of a PSI of {psi.threshold:.3g}, {psi.basis}")


def _reason(distance: Distance, found: Measured, threshold: float, basis: str, *, alarm: bool) -> str:
    if alarm:
        what = "the distribution moved: see which values grew, and whether their source changed"
    else:
        what = "the distribution is as far from the reference as it usually is"
    title = distance.title[0].upper() + distance.title[1:]
    return (
        f"{title} {_shown(found.value)} against {threshold:.3f}: {what}. The threshold is {basis}; "
        f"chance gives {found.expected:.3f}{found.said}."
    )


def _shown(value: float) -> str:
    return f"{value:.3f}" if value < 1e6 else f"{value:.3g}"


def _too_small(size: int, reference_size: int, min_samples: int) -> str:
    if reference_size < min_samples:
        return f"the reference has {reference_size} rows with a value, {min_samples} are needed: build it from more rows"
    return f"{size} rows with a value, {min_samples} are needed: wait, or choose longer windows"


def _cannot(distance: Distance, why: str, size: int, reference_size: int) -> Result:
    return unknown(NOT_ENOUGH_DATA, f"No {distance.title}: {why}.", size, reference_size=reference_size)
