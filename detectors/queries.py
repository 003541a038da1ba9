"""Every question that the detectors ask the database."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from detectors.base import LABELS_NOT_MATURE
from detectors.windows import EPOCH, Window
from remora.bulk import insert_rows, select_keys
from remora.database import insert_new
from remora.runs import GIVEN_UP_AFTER, Run, RunKey
from remora.summaries.granularity import MINUTE, holds
from remora.summaries.profile import PREDICTION, SCORE
from remora.tables import (
    Instant,
    archives,
    clock,
    findings,
    job_runs,
    labels,
    models,
    personal_fields,
    predictions,
    summaries,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "advance_cursor",
    "causes_of",
    "coarse_summaries",
    "cursor",
    "decided_runs",
    "delete_summaries",
    "details_before",
    "done_between",
    "fine_summaries",
    "first_prediction",
    "first_summary",
    "known_models",
    "labels_of",
    "open_runs",
    "personal_fields_of",
    "predictions_between",
    "read_clock_row",
    "rows_between",
    "runs_between",
    "store_findings",
    "summaries_of",
    "touched",
    "unripe_runs",
]


_AT_ONCE = 5000  # parameters in one statement
_REVISIONS = "revisions"  # the job_runs row whose watermark says how far late rows were looked for

_IS_CURSOR = sa.and_(job_runs.c.job == _REVISIONS, job_runs.c.model == "", job_runs.c.window_start == EPOCH)


def known_models(connection: sa.Connection) -> list[tuple[str, datetime]]:
    """Each model's name and first event time."""
    query = sa.select(models.c.name, models.c.first_seen).order_by(models.c.name)
    return [(name, first_seen) for name, first_seen in connection.execute(query)]


def done_between(connection: sa.Connection, model: str, start: datetime, end: datetime) -> dict[str, int]:
    """How many windows of a model from `start` to before `end` are done, by job."""
    query = (
        sa.select(job_runs.c.job, sa.func.count())
        .where(job_runs.c.model == model, job_runs.c.window_start >= start, job_runs.c.window_start < end)
        .where(job_runs.c.state == "done")
        .group_by(job_runs.c.job)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def open_runs(connection: sa.Connection, job: str, model: str, wall: datetime) -> list[Window]:
    """Windows that need no claim now: done, or under somebody's lease."""
    taken = sa.or_(job_runs.c.state == "done", job_runs.c.lease_until > wall)
    query = sa.select(job_runs.c.window_start, job_runs.c.window_end).where(
        job_runs.c.job == job, job_runs.c.model == model, taken
    )
    return [Window(start, end) for start, end in connection.execute(query)]


def decided_runs(
    connection: sa.Connection, job: str, model: str, span: tuple[datetime, datetime] | None = None
) -> list[Window]:
    """Windows that nothing has to wait for: done, or given up after so many attempts; those that overlap the span."""
    decided = sa.or_(job_runs.c.state == "done", job_runs.c.attempts >= GIVEN_UP_AFTER)
    query = sa.select(job_runs.c.window_start, job_runs.c.window_end).where(
        job_runs.c.job == job, job_runs.c.model == model, decided
    )
    if span is not None:
        query = query.where(job_runs.c.window_start < span[1], job_runs.c.window_end > span[0])
    return [Window(start, end) for start, end in connection.execute(query)]


def personal_fields_of(connection: sa.Connection, model: str, window: Window) -> dict[str, str]:
    """Features that were first seen in a window to look personal, and like what."""
    p = personal_fields
    query = sa.select(p.c.feature, p.c.looks_like).where(
        p.c.model == model, p.c.first_seen >= window.start, p.c.first_seen < window.end
    )
    return {row.feature: row.looks_like for row in connection.execute(query.order_by(p.c.feature))}


def summaries_of(
    connection: sa.Connection, model: str, window: Window, columns: sa.ColumnElement[bool], watermark: int,
) -> list[Any]:  # fmt: skip
    """Rows (version, segment, column_name, kind, data) of a window, up to the watermark.

    Rows that compaction has merged are read whatever their number: some of what is in them may lie below the mark,
    and what lies above is looked at again as late.
    """
    query = (
        sa.select(
            summaries.c.version,
            summaries.c.segment,
            summaries.c.column_name,
            summaries.c.kind,
            summaries.c.data,
        )
        .where(
            summaries.c.model == model,
            summaries.c.start >= window.start,
            summaries.c.start < window.end,
            summaries.c.granularity.in_(holds(window.end - window.start)),
            sa.or_(summaries.c.seq <= watermark, summaries.c.granularity != MINUTE),
            columns,
        )
        .order_by(summaries.c.seq)  # the same rows in the same order give the same sketch
    )
    return list(connection.execute(query))


# --- compaction ------------------------------------------------------------------------------------------------------


def first_summary(
    connection: sa.Connection, model: str, granularity: str, after: datetime, before: datetime
) -> datetime | None:
    """The start of the oldest summary of a granularity with after <= start < before."""
    query = sa.select(sa.func.min(summaries.c.start, type_=Instant)).where(
        summaries.c.granularity == granularity,
        summaries.c.model == model,
        summaries.c.start >= after,
        summaries.c.start < before,
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def fine_summaries(
    connection: sa.Connection, model: str, granularity: str, span: tuple[datetime, datetime], after: int, limit: int,
) -> list[Any]:  # fmt: skip
    """Rows of `summaries` of a granularity whose start lies in the span, by number, those after a number."""
    query = sa.select(summaries).where(
        summaries.c.granularity == granularity,
        summaries.c.model == model,
        summaries.c.start >= span[0],
        summaries.c.start < span[1],
        summaries.c.seq > after,
    )
    return list(connection.execute(query.order_by(summaries.c.seq).limit(limit)))


def coarse_summaries(
    connection: sa.Connection, model: str, granularity: str, start: datetime, columns: set[str]
) -> list[Any]:
    """Rows of `summaries` of a granularity that begin at this start and are of these columns."""
    query = sa.select(summaries).where(
        summaries.c.granularity == granularity, summaries.c.model == model, summaries.c.start == start
    )
    return [row for row in connection.execute(query) if row.column_name in columns]


def delete_summaries(connection: sa.Connection, seqs: Sequence[int]) -> None:
    """Take these rows away."""
    for first in range(0, len(seqs), _AT_ONCE):
        some = seqs[first : first + _AT_ONCE]
        connection.execute(sa.delete(summaries).where(summaries.c.seq.in_(some)))


# --- the archive -----------------------------------------------------------------------------------------------------


def first_prediction(connection: sa.Connection, model: str, before: datetime) -> datetime | None:
    """The event time of a model's oldest row that lies before this instant."""
    query = sa.select(sa.func.min(predictions.c.timestamp, type_=Instant)).where(
        predictions.c.model == model, predictions.c.timestamp < before
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def rows_between(connection: sa.Connection, model: str, start: datetime, end: datetime) -> int:
    """About how many rows of a model lie in a stretch of time, in the database and in files of the archive."""
    stored = sa.select(sa.func.count()).where(
        predictions.c.model == model, predictions.c.timestamp >= start, predictions.c.timestamp < end
    )
    moved = sa.select(sa.func.coalesce(sa.func.sum(archives.c.rows), 0)).where(
        archives.c.model == model, archives.c.first < end, archives.c.last >= start
    )
    return int(connection.execute(stored).scalar_one() + connection.execute(moved).scalar_one())


def predictions_between(connection: sa.Connection, model: str, window: Window, limit: int) -> list[Any]:
    """Rows of `predictions` of a window, oldest first, locked."""
    query = sa.select(predictions).where(
        predictions.c.model == model,
        predictions.c.timestamp >= window.start,
        predictions.c.timestamp < window.end,
    )
    ordered = query.order_by(predictions.c.timestamp, predictions.c.id).limit(limit)
    return list(connection.execute(ordered.with_for_update()))


def labels_of(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> dict[str, tuple[Any, datetime]]:
    """The label of each of these predictions of one model that has one, and when it became known, locked."""
    query = sa.select(labels.c.id, labels.c.label, labels.c.timestamp).with_for_update(of=labels)
    return {
        row.id: (row.label, row.timestamp) for row in select_keys(connection, query, ("model", "id"), keys)
    }


def store_findings(
    connection: sa.Connection, window: Window, model: str, rows: Sequence[dict[str, Any]], revision: int,
) -> None:  # fmt: skip
    """Store a window's findings; where it is a revision, those before are no longer the latest."""
    if revision:
        connection.execute(
            sa.update(findings)
            .where(
                findings.c.model == model,
                findings.c.window_start == window.start,
                findings.c.window_end == window.end,
                findings.c.metric.in_({row["metric"] for row in rows}),
                findings.c.latest,
            )
            .values(latest=False),
        )
    insert_rows(connection, findings, rows)


# --- references ------------------------------------------------------------------------------------------------------


def causes_of(
    connection: sa.Connection, model: str, window: Window, metric: str
) -> dict[str, list[dict[str, Any]]]:
    """The causes that this metric's finding of a window's score or predicted class ranks, by version."""
    query = sa.select(findings.c.version, findings.c.details).where(
        findings.c.model == model,
        findings.c.metric == metric,
        findings.c.feature.in_((SCORE, PREDICTION)),
        findings.c.window_start == window.start,
        findings.c.window_end == window.end,
        findings.c.segment == "",
        findings.c.latest,
    )
    return {
        version: details["causes"] for version, details in connection.execute(query) if "causes" in details
    }


def details_before(
    connection: sa.Connection, model: str, window: Window, metrics: Sequence[str]
) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """`details` of the window just before, by version, segment, metric and feature."""
    query = sa.select(
        findings.c.version, findings.c.segment, findings.c.metric, findings.c.feature, findings.c.details
    ).where(
        findings.c.model == model,
        findings.c.metric.in_(metrics),
        findings.c.window_end == window.start,
        findings.c.latest,
    )
    return {tuple(row[:4]): row[4] for row in connection.execute(query)}


# --- late rows and labels --------------------------------------------------------------------------------------------


def cursor(connection: sa.Connection) -> tuple[int, datetime | None]:
    """Up to which summary late rows were looked for, and when (wall clock)."""
    query = sa.select(job_runs.c.watermark, job_runs.c.finished_at).where(_IS_CURSOR)
    row = connection.execute(query).first()
    return (0, None) if row is None else (row[0], row[1])


def advance_cursor(connection: sa.Connection, seq: int, owner: str, wall: datetime) -> None:
    """Note that late rows were looked for up to here; never goes back."""
    row = {
        "job": _REVISIONS, "model": "", "window_start": EPOCH, "window_end": EPOCH, "state": "done", "owner": owner,
        "lease_until": wall, "epoch": 1, "attempts": 1, "revision": 0, "watermark": seq, "finished_at": wall,
        "error": None,
    }  # fmt: skip
    if not insert_new(connection, job_runs, [row], ["job", "model", "window_start"]):
        connection.execute(
            sa.update(job_runs)
            .where(_IS_CURSOR, job_runs.c.watermark <= seq)
            .values(watermark=seq, owner=owner, finished_at=wall),
        )


def touched(connection: sa.Connection, after: int, upto: int) -> list[tuple[str, datetime, str, int, int]]:
    """(model, minute, kind, lowest seq, highest seq) of the summaries with after < seq <= upto."""
    query = (
        sa.select(
            summaries.c.model,
            summaries.c.start,
            summaries.c.kind,
            sa.func.min(summaries.c.seq),
            sa.func.max(summaries.c.seq),
        )
        .where(summaries.c.seq > after, summaries.c.seq <= upto)
        .group_by(summaries.c.model, summaries.c.start, summaries.c.kind)
    )
    return [tuple(row) for row in connection.execute(query)]


def runs_between(
    connection: sa.Connection, model: str, start: datetime, end: datetime
) -> list[tuple[str, datetime | None, Run]]:
    """State, time of the last result, and run of every window of a model that starts from `start` to before `end`."""
    query = sa.select(job_runs).where(
        job_runs.c.model == model, job_runs.c.window_start >= start, job_runs.c.window_start < end
    )
    return [(row.state, row.finished_at, _run(row)) for row in connection.execute(query)]


def unripe_runs(connection: sa.Connection, model: str, span: tuple[datetime, datetime]) -> list[Run]:
    """Judged windows of a model that end in the span (both ends in it) and whose labels were not mature then."""
    waits = sa.exists().where(
        findings.c.model == job_runs.c.model,
        findings.c.window_start == job_runs.c.window_start,
        findings.c.window_end == job_runs.c.window_end,
        findings.c.verdict == LABELS_NOT_MATURE,
        findings.c.latest,
    )
    going = sa.or_(job_runs.c.error.is_(None), job_runs.c.attempts < GIVEN_UP_AFTER)
    query = sa.select(job_runs).where(
        job_runs.c.job == "performance", job_runs.c.model == model, job_runs.c.state == "done", going, waits,
        job_runs.c.window_end >= span[0], job_runs.c.window_end <= span[1],
    )  # fmt: skip
    return [_run(row) for row in connection.execute(query.order_by(job_runs.c.window_start))]


def _run(row: Any) -> Run:
    key = RunKey(row.job, row.model, row.window_start, row.window_end)
    return Run(key, row.owner, row.epoch, row.attempts, row.revision, row.watermark)


# --- the replayed clock ----------------------------------------------------------------------------------------------


def read_clock_row(connection: sa.Connection) -> tuple[datetime, datetime | None] | None:
    """Where the replayed clock stands, and up to where everything due is done."""
    row = connection.execute(sa.select(clock.c.now, clock.c.settled).where(clock.c.name == "replay")).first()
    return None if row is None else (row[0], row[1])
