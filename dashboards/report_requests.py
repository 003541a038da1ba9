"""Who wants a report, besides alarms: a schedule, or somebody by page, command line or API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dashboards.errors import BadRequestError, BusyError, NotFoundError
from dashboards.queries import models, wanted
from remora.config import Config
from remora.database import insert_new
from remora.records import new_id
from remora.tables import reports

__all__ = ["LONGEST", "MOST_WAITING", "request", "scheduled", "wish"]

LONGEST = timedelta(days=366)
MOST_WAITING = 20

_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_KEY = ["model", "version", "window_start", "window_end"]


def wish(model: str, start: datetime, end: datetime, wall: datetime) -> dict[str, Any]:
    """A new row of `reports`."""
    return {
        "id": new_id(), "model": model, "version": "", "window_start": start, "window_end": end, "alert_id": None,
        "state": "wanted", "requested_at": wall,
    }  # fmt: skip


def request(
    connection: sa.Connection, model: str, window: tuple[datetime, datetime], wall: datetime, *, again: bool = False
) -> Any:  # fmt: skip
    """Want a report of [start, end); one that failed, or any with `again`, is made anew. The report's row.

    Raises NotFoundError for a model that was never seen, BadRequestError for such a window, BusyError where enough wait.
    """
    start, end = window
    if not timedelta(0) < end - start <= LONGEST:
        raise BadRequestError(f"`start` must lie before `end`, by at most {LONGEST.days} days")
    if model not in {row.name for row in models.models_seen(connection)}:
        raise NotFoundError(f"there is no model {model!r}")
    known = wanted.of_window(connection, model, start, end)
    renewed = known is not None and (known.state == "failed" or (again and known.state == "done"))
    if (known is None or renewed) and wanted.waiting(connection) >= MOST_WAITING:
        raise BusyError(f"{MOST_WAITING} reports wait to be made: ask again when some are done")
    if known is None:
        insert_new(connection, reports, [wish(model, start, end, wall)], _KEY)
    elif renewed:
        wanted.renew(connection, known.id, wall)
    return wanted.of_window(connection, model, start, end)


def scheduled(
    connection: sa.Connection, config: Config, now: datetime, wall: datetime
) -> list[dict[str, Any]]:
    """Wishes for the newest period of each model with `reports.every` whose labels had time to come; weeks begin on Monday."""
    if not any(model.reports.every for model in config.models.values()):
        return []
    found = []
    for row in models.models_seen(connection):
        model = config.model(row.name)
        every = model.reports.every
        if every is None:
            continue
        end = _MONDAY + every * ((now - model.windows.label_lateness - _MONDAY) // every)
        seen = row.first_seen < end and row.last_seen >= end - every
        if seen and wanted.of_window(connection, row.name, end - every, end) is None:
            found.append(wish(row.name, end - every, end, wall))
    return found
