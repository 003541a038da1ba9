"""What came before a window: its counts at the same time of earlier weeks, and when the last prediction came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from detectors.methods.volume import WEEKS
from remora.summaries.profile import TRAFFIC
from remora.tables import Instant, findings, summaries

if TYPE_CHECKING:
    from detectors.windows import Window

__all__ = ["History", "history_of"]

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class History:
    """`counts` of the windows at the same time of the weeks before; `last` is the minute of the last prediction so far."""

    counts: tuple[float, ...] = ()
    last: datetime | None = None


def history_of(connection: sa.Connection, model: str, window: Window) -> History:
    """Read off the findings; windows that do not fit into a week are compared with those just before."""
    size = window.end - window.start
    step = _WEEK if _WEEK % size == timedelta(0) else size
    ends = [window.end - number * step for number in range(1, WEEKS + 1)]
    counts = sa.select(findings.c.value).where(
        findings.c.model == model,
        findings.c.metric == "predictions",
        findings.c.window_end.in_(ends),
        findings.c.version == "",
        findings.c.segment == "",
        findings.c.latest,
        findings.c.value.is_not(None),
    )
    last = sa.select(sa.func.max(summaries.c.start, type_=Instant)).where(
        summaries.c.model == model, summaries.c.start < window.end, summaries.c.column_name == TRAFFIC
    )
    found = tuple(connection.execute(counts).scalars())
    return History(found, connection.execute(last).scalar_one())
