"""Delete what has been kept long enough, table by table, a few thousand rows in one transaction.

Ages count in business time where a row belongs to a window, in wall-clock time where it belongs to a real call. What
decides about the future stays: runs of windows that could become due again, the newest summary (its number must never
be given twice), what waits to be delivered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import Counter

from detectors import queries
from detectors.compaction import KEEPING, judged_after
from remora.config import Config
from remora.database import Database, serialize
from remora.tables import batches, deliveries, findings, job_runs, labels, predictions, reports, summaries
from remora.telemetry import REGISTRY

__all__ = ["Expiry", "expire", "expiries", "remove_reports"]

_AT_ONCE = 5000
_REPORT = re.compile(r"[0-9a-f]{26}")  # as `new_id` makes them
_RESENT = 2  # a batch may be sent again for `delivery.max_age`: its id is kept twice as long

DELETED = Counter("remora_rows_deleted", "Rows that were kept long enough", ["table"], registry=REGISTRY)


@dataclass(frozen=True)
class Expiry:
    """Rows of a table that may go."""

    table: sa.Table
    old: sa.ColumnElement[bool]


def expire(
    database: Database, config: Config, *, now: datetime, wall: datetime, stop: Callable[[], bool] = bool
) -> int:
    """Delete everything that is due; how many rows. Raises `UnavailableError` when the database is away."""
    with database.read() as connection:
        models = [name for name, _ in queries.known_models(connection)]
    deleted = 0
    for expiry in expiries(config, models, now=now, wall=wall):
        for count in _delete(database, expiry):
            deleted += count
            DELETED.labels(expiry.table.name).inc(count)
            if stop():
                return deleted
    return deleted


def expiries(config: Config, models: Sequence[str], *, now: datetime, wall: datetime) -> Iterator[Expiry]:
    """What may be deleted at `now` of business and `wall` of real time, in order."""
    for model in models:  # model by model: so the indexes begin
        yield from _of_windows(config, model, now)
    kept = config.retention
    if kept.rows is not None:
        yield Expiry(labels, _waiting_in_vain(now - kept.rows - _latest(config)))
        ids = max(kept.rows, _RESENT * config.delivery.max_age)
        yield Expiry(batches, batches.c.committed_at < wall - ids)
    if kept.deliveries is not None:
        settled = deliveries.c.state.in_(("delivered", "dead"))
        yield Expiry(deliveries, settled & (deliveries.c.created_at < wall - kept.deliveries))
    if kept.reports is not None:
        made = reports.c.state.in_(("done", "failed"))
        yield Expiry(reports, made & (reports.c.finished_at < wall - kept.reports))


def _of_windows(config: Config, model: str, now: datetime) -> Iterator[Expiry]:
    kept, windows = config.retention, config.model(model).windows
    if kept.days is not None:
        newest = sa.select(sa.func.max(summaries.c.seq)).scalar_subquery()
        spent = (summaries.c.start < now - kept.days) & (summaries.c.seq < newest)
        yield Expiry(summaries, (summaries.c.model == model) & spent)
    if kept.rows is not None and not kept.archive:
        old = predictions.c.timestamp < now - max(kept.rows, judged_after(windows))
        yield Expiry(predictions, (predictions.c.model == model) & old)
    if kept.findings is not None:
        old = findings.c.window_end < now - kept.findings
        yield Expiry(findings, (findings.c.model == model) & old)
        # a run that is gone makes its window due again, if it is not too old to be judged at all
        ended = now - max(kept.findings, windows.backfill) - 2 * windows.size
        yield Expiry(job_runs, (job_runs.c.model == model) & (job_runs.c.window_end < ended))


def _waiting_in_vain(before: datetime) -> sa.ColumnElement[bool]:
    """Labels of before then without a prediction: it never came, or it was kept long enough."""
    same = (predictions.c.model == labels.c.model) & (predictions.c.id == labels.c.id)
    return (labels.c.timestamp < before) & ~sa.exists().where(same)


def _latest(config: Config) -> timedelta:
    """How late any model's labels may be."""
    lateness = [model.windows.label_lateness for model in config.models.values()]
    return max([timedelta(days=1), *lateness])


def _delete(database: Database, expiry: Expiry) -> Iterator[int]:
    """Some rows a transaction, until none is left; the counts."""
    key = list(expiry.table.primary_key)
    while True:
        with database.write() as connection:
            serialize(connection, KEEPING)
            some = sa.select(*key).where(expiry.old).limit(_AT_ONCE)
            done = connection.execute(sa.delete(expiry.table).where(sa.tuple_(*key).in_(some))).rowcount
        yield done
        if done < _AT_ONCE:
            return


def remove_reports(database: Database, folder: Path) -> int:
    """Remove the files of reports that the database has no more; how many. Other files in the folder are not ours."""
    ours = [path for path in folder.glob("*.html") if _REPORT.fullmatch(path.stem)] if folder.is_dir() else []
    if not ours:
        return 0
    with database.read() as connection:
        known = set(connection.execute(sa.select(reports.c.id)).scalars())
    gone = [path for path in ours if path.stem not in known]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)
