"""More or fewer predictions than at the same time of the weeks before, and how long none has come.

The same hour of the week carries day, night and weekend in it. An alarm of volume needs half or twice the median of the
weeks before, more than half again as far as they lie from it themselves, and more than counts differ by chance (Poisson,
once in 10,000 windows, on the logarithm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, Result, unknown
from detectors.chance import Z_OF_CHANCE
from remora.config.base import format_duration

__all__ = ["MIN_WEEKS", "STALENESS", "VOLUME", "WEEKS", "judge_staleness", "judge_volume"]

VOLUME, STALENESS = "volume_change", "staleness"
WEEKS = 4  # looked back at
MIN_WEEKS = 2
_HALF = math.log(2)
_WIDER = 1.5


def judge_volume(count: int, before: Sequence[float]) -> Result:
    """`count` predictions of a window over the median of those `before`, of the same time of so many weeks."""
    usual = median(before) if before else 0.0
    if len(before) < MIN_WEEKS or usual <= 0:
        what = f"{len(before)} of the {WEEKS} weeks before were judged at this time, {MIN_WEEKS} are needed"
        if len(before) >= MIN_WEEKS:
            what = "there were none at this time in most of the weeks before"
        return unknown(NOT_ENOUGH_DATA, f"Nothing to compare {count} predictions with: {what}.", count)
    apart = max(abs(math.log(max(one, 0.5) / usual)) for one in before)
    chance = Z_OF_CHANCE * math.sqrt(1 / max(count, 1) + 1 / usual)
    reach = max(_HALF, _WIDER * apart, chance)
    moved = math.log(max(count, 0.5) / usual)
    alarm = abs(moved) > reach
    return Result(
        count / usual,
        ALARM if alarm else OK,
        _said(count, usual, len(before), reach, alarm=alarm),
        count,
        reference_value=1.0,
        threshold=math.exp(math.copysign(reach, moved)),
        effect=moved,
    )


def _said(count: int, usual: float, weeks: int, reach: float, *, alarm: bool) -> str:
    what = f"{count} predictions, {usual:,.0f} at this time in the median of {weeks} weeks before"
    if alarm and count < usual:
        what += ": see whether callers, a route or a sidecar fell away"
    elif alarm:
        what += ": see whether a caller repeats itself, or a new one came"
    return (
        f"{what}. Less than {math.exp(-reach):.2g} or more than {math.exp(reach):.2g} times that is an alarm."
    )


def judge_staleness(end: datetime, last: datetime | None, stale_after: timedelta | None) -> Result:
    """Hours from the end of the minute of the last prediction to the window's end; an alarm only beyond `stale_after`."""
    if last is None:
        return unknown(
            NOT_ENOUGH_DATA, "No prediction has ever come: see whether the sidecar stands before the model."
        )
    since = max(timedelta(0), end - last - timedelta(minutes=1))
    hours = since / timedelta(hours=1)
    if stale_after is None:
        return Result(hours, OK, f"The last prediction came {hours:.1f} hours before the window's end.")
    alarm = since > stale_after
    what = f"The last prediction came {hours:.1f} hours before the window's end, {format_duration(stale_after)} are allowed"
    if alarm:
        what += ": see whether callers, the model or the sidecar are down"
    return Result(hours, ALARM if alarm else OK, f"{what}.", threshold=stale_after / timedelta(hours=1))
