"""How long a stretch of event time one stored summary covers, and which windows it can be part of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DAY", "HOUR", "MINUTE", "SPANS", "holds"]

MINUTE, HOUR, DAY = "minute", "hour", "day"
SPANS: Final[Mapping[str, timedelta]] = {
    MINUTE: timedelta(minutes=1),
    HOUR: timedelta(hours=1),
    DAY: timedelta(days=1),
}


def holds(size: timedelta) -> list[str]:
    """The granularities that windows of this size are made of without remainder.

    An hour's summary says nothing of its quarters: windows of 15 or of 90 minutes are made of minutes alone.
    """
    return [name for name, span in SPANS.items() if size % span == timedelta(0)]
