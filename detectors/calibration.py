"""How far ordinary windows lie from the whole reference, learnt from the reference's own windows.

Rows of one window depend on each other: one day has one weather, one sale, one holiday. Its distribution lies far
from two months' without anything having changed. So the reference is cut into windows of the size that will be
judged, each is compared with the whole, and a column's limit is

    max(minimum effect, 1.5 x how far those windows reach)

where they reach as far as the 99 % point of all but the farthest: one blizzard must not blind a column for good.
PSI counts without what chance gives at the window's size (`detectors.methods.psi` adds that again for the window at
hand), and grows with the square of a shift, so the margin of 1.5 is about 22 % of a shift. Below eight windows there
is nothing to learn from, and PSI's customary mark of a major change, 0.25, is the limit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.base import Limit
from detectors.methods import missing, unseen
from detectors.methods.psi import expected, psi
from remora.config.base import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "MINIMUM_EFFECTS",
    "MIN_WINDOWS",
    "WindowTable",
    "calibrate",
    "limits",
    "missing_rates",
    "psi_excess",
    "unseen_rates",
]

MIN_WINDOWS = 8
MARGIN = 1.5
FALLBACK_PSI = 0.25
MINIMUM_EFFECTS = {
    "missing_rate": missing.MINIMUM_EFFECT,
    "unseen_rate": unseen.MINIMUM_EFFECT,
}  # PSI's is configured
_RANKS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class WindowTable:
    """Counts per window and bin, shape (windows, bins); `missing` and `rows` per window, shape (windows,)."""

    counts: NDArray[np.float64]
    missing: NDArray[np.float64]
    rows: NDArray[np.float64]


@dataclass(frozen=True)
class _Spread:
    """What is stored of a metric: quantiles over the reference's windows."""

    windows: int
    p50: float
    p90: float
    p99: float
    max: float
    reach: float  # the 99 % point of all but the farthest


def psi_excess(table: WindowTable, min_samples: int) -> list[float]:
    """Per window with enough values: PSI against the whole, less what chance gives at its size; from 0."""
    whole = table.counts.sum(axis=0)
    found = []
    for counts in table.counts:
        size = counts.sum()
        if size >= min_samples:
            noise = expected(len(whole), size, whole.sum())
            found.append(max(0.0, psi(whole, counts) - noise))
    return found


def missing_rates(table: WindowTable, min_samples: int) -> list[float]:
    """Per window with enough rows: the share without a value."""
    enough = table.rows >= min_samples
    return [float(rate) for rate in table.missing[enough] / table.rows[enough]]


def unseen_rates(windows: NDArray[np.int64], codes: NDArray[np.int64], min_samples: int) -> list[float]:
    """Per window with enough values: the share of rows whose category no other window has.

    `windows` and `codes` give each row's window and category as numbers from 0, both of shape (rows,).
    """
    if len(codes) == 0:
        return []
    pairs = np.unique(np.stack([codes, windows]), axis=1)[0]
    lonely = np.bincount(pairs, minlength=int(codes.max()) + 1) == 1
    rows = np.bincount(windows)
    alone = np.bincount(windows, weights=lonely[codes].astype(float), minlength=len(rows))
    enough = rows >= min_samples
    return [float(rate) for rate in alone[enough] / rows[enough]]


def calibrate(metrics: Mapping[str, Sequence[float]], window: timedelta) -> dict[str, Any]:
    """What `reference_columns.calibration` keeps: the window's size and each metric's spread over the windows."""
    kept: dict[str, Any] = {"window_seconds": window.total_seconds(), "metrics": {}}
    for name, values in metrics.items():
        nearer = sorted(values)[:-1]
        reach = float(np.quantile(nearer, 0.99)) if nearer else 0.0
        quantiles = np.quantile(values, list(_RANKS.values())) if len(values) else np.zeros(len(_RANKS))
        numbers = dict(zip(_RANKS, map(float, quantiles), strict=True))
        kept["metrics"][name] = asdict(_Spread(windows=len(values), reach=reach, **numbers))
    return kept


def limits(calibration: Mapping[str, Any], window: timedelta, minimum_psi: float) -> dict[str, Limit]:
    """Each metric's limit for windows of this size, and in words where it comes from."""
    same = calibration.get("window_seconds") == window.total_seconds()
    minimum = {"psi": minimum_psi, **MINIMUM_EFFECTS}
    found = {}
    for name, effect in minimum.items():
        spread = calibration.get("metrics", {}).get(name)
        windows = 0 if spread is None else spread["windows"]
        if same and windows >= MIN_WINDOWS:
            found[name] = _learnt(effect, spread, window)
        else:
            found[name] = Limit(*_fallback(name, effect, windows, None if same else window))
    return found


def _learnt(effect: float, spread: Mapping[str, Any], window: timedelta) -> Limit:
    usual = MARGIN * spread["reach"]
    size = format_duration(window)
    if usual > effect:
        return Limit(
            usual,
            f"{MARGIN:g} times how far the reference's own {spread['windows']} windows of {size} reach",
        )
    return Limit(
        effect,
        f"the minimum effect, beyond how far the reference's own {spread['windows']} windows of {size} lie",
    )


def _fallback(name: str, effect: float, windows: int, other: timedelta | None) -> tuple[float, str]:
    if other is not None:
        why = f"the reference was not cut into windows of {format_duration(other)}: build it again"
    else:
        why = f"the reference has {windows} windows of its own with enough rows, {MIN_WINDOWS} are needed to learn from"
    if name == "psi":
        return max(effect, FALLBACK_PSI), f"the customary mark of a major change ({why})"
    return effect, f"the minimum effect ({why})"
