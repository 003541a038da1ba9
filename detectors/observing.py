"""The reference's own windows as counts, and each metric in them: what `detectors.calibration` learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.ordinary import Observed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIN_ROWS", "WindowTable", "missing_rates", "psi_distances", "unseen_rates"]

MIN_ROWS = 30  # smaller windows of the reference say nothing of ordinary windows
_DAY = 86_400


@dataclass(frozen=True)
class WindowTable:
    """Counts per window and bin, shape (windows, bins); `missing` and `rows` per window, shape (windows,).

    Windows start at `starts`, in seconds since 1970.
    """

    counts: NDArray[np.float64]
    missing: NDArray[np.float64]
    rows: NDArray[np.float64]
    starts: NDArray[np.float64]


def psi_distances(table: WindowTable) -> Observed:
    """PSI of each window against the reference without the window's day: no window is its own measure."""
    counts = table.counts
    sizes = counts.sum(axis=1)
    others = _others(table)
    rest = others.sum(axis=1)
    enough = (sizes >= MIN_ROWS) & (rest >= MIN_ROWS)
    smooth, wide = counts + 0.5, others + 0.5
    q, p = smooth / smooth.sum(axis=1, keepdims=True), wide / wide.sum(axis=1, keepdims=True)
    values = ((q - p) * np.log(q / p)).sum(axis=1)
    both = 1 / np.maximum(sizes, 1) + 1 / np.maximum(rest, 1)
    noise = (counts.shape[1] - 1) * both
    return Observed(np.where(enough, values, np.nan), sizes, noise, np.sqrt(both), squared=True)


def _others(table: WindowTable) -> NDArray[np.float64]:
    """The counts of all other days; of all other windows where there is one day only."""
    counts = table.counts
    _, days = np.unique(table.starts // _DAY, return_inverse=True)
    own = np.zeros((int(days.max()) + 1, counts.shape[1]))
    np.add.at(own, days, counts)
    taken = own[days] if len(own) > 1 else counts
    return np.asarray(counts.sum(axis=0) - taken)


def missing_rates(table: WindowTable) -> Observed:
    """The share of each window's rows without a value."""
    return _rates(table.missing, table.rows)


def unseen_rates(windows: NDArray[np.int64], codes: NDArray[np.int64], count: int) -> Observed:
    """The share of each window's rows whose category no other window has.

    `windows` and `codes` give each row's window and category as numbers from 0, both of shape (rows,).
    """
    rows = np.bincount(windows, minlength=count).astype(float)
    if len(codes) == 0:
        return _rates(rows, rows)
    pairs = np.unique(np.stack([codes, windows]), axis=1)[0]
    lonely = np.bincount(pairs, minlength=int(codes.max()) + 1) == 1
    alone = np.bincount(windows, weights=lonely[codes].astype(float), minlength=count).astype(float)
    return _rates(alone, rows)


def _rates(hits: NDArray[np.float64], rows: NDArray[np.float64]) -> Observed:
    sizes = np.maximum(rows, 1)
    values = np.where(rows >= MIN_ROWS, hits / sizes, np.nan)
    usual = hits.sum() / max(1.0, rows.sum())
    unit = np.sqrt((usual * (1 - usual) + 1 / sizes) / sizes)
    return Observed(values, rows, np.zeros(len(rows)), unit, squared=False)
