"""Which windows are alike: of the same hour of the week, the same hour, the same day of the week, or all.

In UTC: where summer time moves people's day by an hour, two neighbouring hours are mixed for half a year.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from detectors.windows import EPOCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ALIKE", "candidates", "phase_of", "phases"]

_HOUR, _DAY, _WEEK = 3600, 86_400, 604_800

# Names and (period, step) in seconds; a window's phase is where in the period it begins, in steps.
ALIKE: dict[str, tuple[int, int]] = {
    "all": (_WEEK, _WEEK),
    "weekday": (_WEEK, _DAY),
    "hour": (_DAY, _HOUR),
    "hour of the week": (_WEEK, _HOUR),
}
_FEWEST = 4  # windows of one phase, to learn what is usual in it


def phases(starts: NDArray[np.float64], alike: str) -> NDArray[np.int64]:
    """The phase of each window that starts at these seconds since 1970."""
    period, step = ALIKE[alike]
    return ((starts % period) // step).astype(np.int64)


def phase_of(start: datetime, alike: str) -> int:
    """The phase of one window."""
    period, step = ALIKE[alike]
    return int((start - EPOCH).total_seconds() % period // step)


def candidates(starts: NDArray[np.float64], size: timedelta) -> list[str]:
    """In which ways windows can be told apart: such that every way leaves enough of each kind."""
    seconds = size.total_seconds()
    found, known = ["all"], {1}
    for alike, (period, step) in ALIKE.items():
        whole = period // max(step, int(seconds)) if seconds < period else 0
        if whole > 1 and whole not in known:
            counts = np.bincount(phases(starts, alike))
            if np.count_nonzero(counts) == whole and counts[counts > 0].min() >= _FEWEST:
                found.append(alike)
                known.add(whole)
    return found
