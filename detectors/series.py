"""A metric's series of windows, and when it changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from detectors.methods.change_points import MIN_BLOCKS, ChangePoint, change_points
from remora.tables import findings

if TYPE_CHECKING:
    from remora.database import Database

__all__ = ["Change", "Changes", "Series", "changes_of"]


@dataclass(frozen=True)
class Series:
    """Which findings: the newest revisions of a metric of a model, of one version, segment and feature or, as '', of all."""

    model: str
    metric: str
    version: str = ""
    segment: str = ""
    feature: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Change:
    """The start of the first window after a change, and what changed."""

    at: datetime
    point: ChangePoint


@dataclass(frozen=True)
class Changes:
    """`windows` had a value; `needed` are needed to look for a change."""

    windows: int
    needed: int
    found: tuple[Change, ...]


def changes_of(database: Database, series: Series) -> Changes:
    """When a series changed. Windows without a value are passed over; a day, or of daily windows a week, stays together."""
    f = findings
    query = sa.select(f.c.window_start, f.c.window_end, f.c.value).where(
        f.c.model == series.model, f.c.metric == series.metric, f.c.version == series.version,
        f.c.segment == series.segment, f.c.feature == series.feature, f.c.latest, f.c.value.is_not(None),
    )  # fmt: skip
    if series.start is not None:
        query = query.where(f.c.window_start >= series.start)
    if series.end is not None:
        query = query.where(f.c.window_start < series.end)
    with database.read() as connection:
        rows = connection.execute(query.order_by(f.c.window_start)).all()
    block = _block(rows[-1].window_end - rows[-1].window_start) if rows else 1
    points = change_points([row.value for row in rows], block)
    found = tuple(Change(rows[point.place].window_start, point) for point in points)
    return Changes(len(rows), 2 * MIN_BLOCKS * block, found)


def _block(size: timedelta) -> int:
    """How many windows belong together: those of a day, or of a week where a window is a day."""
    day = timedelta(days=1)
    if size < day:
        return day // size
    return max(1, 7 * day // size)
