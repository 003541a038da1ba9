"""When a delivery is tried again, pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

__all__ = ["DELAYS", "next_attempt", "retry_after"]

DELAYS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 2 * 3600, 4 * 3600)
)
"""The first attempt is made at once; then after these, the last one again and again until the delivery expires."""

_JITTER = 0.2
_LONGEST_RETRY_AFTER = timedelta(hours=1)


def next_attempt(
    attempts: int, wall: datetime, asked: timedelta | None, random: Callable[[], float]
) -> datetime:
    """When the next attempt is made after `attempts` failed ones; `random` gives [0, 1).

    The delay of the schedule is stretched or shrunk by up to 20 %; what the receiver asked for is the least.
    """
    delay = DELAYS[min(attempts, len(DELAYS)) - 1] * (1 + _JITTER * (2 * random() - 1))
    return wall + max(delay, asked or timedelta(0))


def retry_after(value: str | None, wall: datetime) -> timedelta | None:
    """Read a `Retry-After` header, in seconds or as a date; capped at an hour; None where it says nothing useful."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text[:9]), 10**6)), _LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - wall, timedelta(0)), _LONGEST_RETRY_AFTER)
