"""Which windows there are, and which are due. Pure: nothing here knows a clock or a database.

Windows are [k·size, (k + 1)·size) of event time in UTC, from the one that the model's first prediction lies in.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["EPOCH", "Span", "Window", "due_span", "missing_windows", "revision_pause", "window_of"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST_PAUSE = timedelta(minutes=1)
_PAUSE_BY_AGE = 10


@dataclass(frozen=True, order=True)
class Window:
    """A stretch of event time; `end` is not in it."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Span:
    """`count` adjoining windows of one size from `start`."""

    start: datetime
    size: timedelta
    count: int

    @property
    def end(self) -> datetime:
        return self.start + self.count * self.size

    def windows(self) -> Iterator[Window]:
        """Oldest first."""
        for number in range(self.count):
            start = self.start + number * self.size
            yield Window(start, start + self.size)


def window_of(instant: datetime, size: timedelta) -> Window:
    """The window that an instant lies in."""
    start = EPOCH + (instant - EPOCH) // size * size
    return Window(start, start + size)


def due_span(first_seen: datetime, now: datetime, size: timedelta, lateness: timedelta) -> Span:
    """Every window that has ended at least `lateness` before `now`."""
    start = window_of(first_seen, size).start
    return Span(start, size, max(0, (now - lateness - start) // size))


def missing_windows(span: Span, taken: Iterable[Window]) -> Iterator[Window]:
    """The windows of the span that overlap none of `taken`, oldest first.

    Windows that were judged with another size count as taken: a new size begins where the old one ended.
    """
    ordered = sorted(taken)
    starts = [window.start for window in ordered]
    reach: list[datetime] = []  # the latest end of all windows up to this one
    for window in ordered:
        reach.append(max(window.end, reach[-1]) if reach else window.end)
    for window in span.windows():
        before = bisect_right(starts, window.end - timedelta.resolution)
        if not before or reach[before - 1] <= window.start:
            yield window


def revision_pause(window: Window, now: datetime) -> timedelta:
    """How long a window rests between two revisions: a tenth of its age.

    So labels that trickle in for a week revise it some fifty times, not at every tick.
    """
    return max(_SHORTEST_PAUSE, (now - window.end) / _PAUSE_BY_AGE)
