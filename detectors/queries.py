"""Every question that the detectors ask the database."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from detectors.windows import EPOCH, Window
from remora.database import insert_new
from remora.runs import GIVEN_UP_AFTER, Run, RunKey
from remora.tables import clock, findings, job_runs, models, reference_columns, reference_sets, summaries

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "active_references",
    "advance_cursor",
    "columns_of",
    "cursor",
    "decided_runs",
    "done_between",
    "known_models",
    "open_runs",
    "read_clock_row",
    "replace_reference",
    "runs_between",
    "store_findings",
    "summaries_of",
    "touched",
]


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


def decided_runs(connection: sa.Connection, job: str, model: str) -> list[Window]:
    """Windows that nothing has to wait for: done, or given up after so many attempts."""
    decided = sa.or_(job_runs.c.state == "done", job_runs.c.attempts >= GIVEN_UP_AFTER)
    query = sa.select(job_runs.c.window_start, job_runs.c.window_end).where(
        job_runs.c.job == job, job_runs.c.model == model, decided
    )
    return [Window(start, end) for start, end in connection.execute(query)]


def summaries_of(
    connection: sa.Connection, model: str, window: Window, columns: sa.ColumnElement[bool], watermark: int,
) -> list[Any]:  # fmt: skip
    """Rows (version, segment, column_name, kind, data) of a window, up to the watermark."""
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
            summaries.c.seq <= watermark,
            columns,
        )
        .order_by(summaries.c.seq)  # the same rows in the same order give the same sketch
    )
    return list(connection.execute(query))


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
    connection.execute(sa.insert(findings), list(rows))


# --- references ------------------------------------------------------------------------------------------------------


def active_references(connection: sa.Connection, model: str) -> dict[str, str]:
    """The id of each version's active reference; version '' serves the others."""
    query = sa.select(reference_sets.c.version, reference_sets.c.id).where(
        reference_sets.c.model == model, reference_sets.c.active
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def columns_of(connection: sa.Connection, reference_id: str) -> list[Any]:
    """Rows of `reference_columns`."""
    return list(
        connection.execute(
            sa.select(reference_columns).where(reference_columns.c.reference_id == reference_id),
        ),
    )


def replace_reference(
    connection: sa.Connection, reference: dict[str, Any], columns: Sequence[dict[str, Any]]
) -> None:
    """Store a reference and make it the active one of its model and version."""
    connection.execute(
        sa.update(reference_sets)
        .where(reference_sets.c.model == reference["model"], reference_sets.c.version == reference["version"])
        .values(active=False),
    )
    connection.execute(sa.insert(reference_sets), [reference])
    connection.execute(sa.insert(reference_columns), list(columns))


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
    return [
        (
            row.state,
            row.finished_at,
            Run(
                RunKey(row.job, row.model, row.window_start, row.window_end),
                row.owner,
                row.epoch,
                row.attempts,
                row.revision,
                row.watermark,
            ),
        )
        for row in connection.execute(query)
    ]


# --- the replayed clock ----------------------------------------------------------------------------------------------


def read_clock_row(connection: sa.Connection) -> tuple[datetime, datetime | None] | None:
    """Where the replayed clock stands, and up to where everything due is done."""
    row = connection.execute(sa.select(clock.c.now, clock.c.settled).where(clock.c.name == "replay")).first()
    return None if row is None else (row[0], row[1])
