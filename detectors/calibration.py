"""How far ordinary windows lie apart, learnt from the reference's own, and the thresholds that a budget leaves.

The reference is cut into windows of the size that will be judged. Each is compared with the reference without the day
it lies in, and stands so and so many spreads above what the other windows of its hour or weekday say is usual
(`detectors.ordinary`). The highest standing of all columns in a window is what raises an alarm, so its tail
(`detectors.tails`) gives one limit in spreads that all columns share, however they hang together. Made-up months of the
same windows give the limit for lasting changes (`detectors.resampling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.ordinary import Observed, learn
from detectors.resampling import Heights, heights, steps_of
from detectors.tails import Tail, fit_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.budget import Budget

__all__ = ["MIN_WINDOWS", "Calibrated", "Whole", "calibrate"]

MIN_WINDOWS = 8

Columns = Mapping[str, Mapping[str, Observed]]


@dataclass(frozen=True)
class Whole:
    """What all columns of a reference share: from `windows` windows, the tail of their highest standing.

    `spared` freak windows are not part of the tail; `heights` is None where there are too few windows.
    """

    window: timedelta
    windows: int
    columns: int
    tail: Tail
    spared: int
    heights: Heights

    def spreads(self, budget: Budget) -> float:
        """How many spreads above what is usual one window must stand to raise an alarm."""
        allowed = budget.per_window(self.window)
        return self.tail.point(allowed / 2 if self.spared else allowed)

    def height(self, budget: Budget) -> float:
        """How high the sum of a lasting change must come."""
        return max(1.0, self.heights.point(budget.per_window(self.window)))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for `reference_sets.calibration`."""
        return {
            "window_seconds": self.window.total_seconds(), "windows": self.windows, "columns": self.columns,
            "tail": asdict(self.tail), "spared": self.spared, "heights": self.heights.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Whole | None:
        """What `to_json` wrote; None where nothing could be learnt."""
        if "tail" not in data:
            return None
        return cls(
            timedelta(seconds=data["window_seconds"]),
            data["windows"],
            data["columns"],
            Tail(**data["tail"]),
            data["spared"],
            Heights.from_json(data["heights"]),
        )


@dataclass(frozen=True)
class Calibrated:
    """JSON for `reference_sets.calibration` and, by column, for `reference_columns.calibration`."""

    whole: dict[str, Any]
    columns: dict[str, dict[str, Any]]


def calibrate(columns: Columns, starts: NDArray[np.float64], size: timedelta, budget: Budget) -> Calibrated:
    """Learn from windows that start at these seconds since 1970; fewer than `MIN_WINDOWS` teach nothing."""
    windows = len(starts)
    seconds = size.total_seconds()
    kept: dict[str, dict[str, Any]] = {name: {"window_seconds": seconds, "metrics": {}} for name in columns}
    standings: list[NDArray[np.float64]] = []
    names: list[tuple[str, str]] = []
    for name, metrics in columns.items():
        for metric, seen in metrics.items():
            if int(seen.usable.sum()) < MIN_WINDOWS:
                continue
            ordinary, standing = learn(seen, starts, size)
            kept[name]["metrics"][metric] = ordinary.to_json()
            if seen.squared:
                standings.append(standing)
                names.append((name, metric))
    found: dict[str, Any] = {"window_seconds": seconds, "windows": windows}
    if standings:
        together = np.stack(standings, axis=1)
        whole = _whole(together, size, budget)
        if whole is not None:
            found = whole.to_json() | {"proof": _proof(whole, together, names, starts, budget)}
    return Calibrated(found, kept)


def _whole(standing: NDArray[np.float64], size: timedelta, budget: Budget) -> Whole | None:
    some = np.isfinite(standing).any(axis=1)
    highest = np.nanmax(standing[some], axis=1)
    if len(highest) < MIN_WINDOWS:
        return None
    spared = min(int(budget.per_window(size) * len(highest)), len(highest) // 20)
    tail = fit_tail(np.sort(highest)[: len(highest) - spared])
    every = heights(standing, size, budget.period)
    return Whole(size, len(highest), standing.shape[1], tail, spared, every)


def _proof(
    whole: Whole, standing: NDArray[np.float64], names: list[tuple[str, str]], starts: NDArray[np.float64],
    budget: Budget,
) -> dict[str, Any]:  # fmt: skip
    """What the thresholds would have done in the reference itself: shown before they go live."""
    limit, height = whole.spreads(budget), whole.height(budget)
    far = np.nan_to_num(standing, nan=-np.inf) > limit
    lasting = _lasting(standing, height)
    alarms = far | lasting
    during = np.concatenate([[0], alarms.max(axis=1).astype(int)])
    by_column = sorted(
        ((name, int(count)) for (name, _), count in zip(names, alarms.sum(axis=0), strict=True) if count),
        key=lambda item: (-item[1], item[0]),
    )
    days = len(starts) * whole.window / timedelta(days=1)
    return {
        "budget": str(budget), "spreads": limit, "height": height, "days": days, "alarms": int((np.diff(during) > 0).sum()),
        "allowed": budget.in_days(days), "columns": [{"feature": name, "windows": count} for name, count in by_column[:10]],
    }  # fmt: skip


def _lasting(standing: NDArray[np.float64], height: float) -> NDArray[np.bool_]:
    """In which windows Page's sum of each column lies above the limit, as `detectors.changes.cusum` has it."""
    found = np.zeros(standing.shape, dtype=bool)
    sums = np.zeros(standing.shape[1])
    for window, increments in enumerate(steps_of(standing)):
        sums = np.clip(sums + increments, 0.0, 2 * height)
        found[window] = sums > height
    return found
