"""What the report worker reads and writes: alerts without a report, the queue of reports, raw rows of a window."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from remora.archive import between
from remora.tables import alerts, labels, predictions, reference_sets, reports

__all__ = [
    "MAX_ROWS",
    "alerts_without_report",
    "archived_rows",
    "claim",
    "drawn",
    "finish",
    "made_since",
    "of_window",
    "reference_sample",
    "renew",
    "waiting",
    "window_rows",
]

MAX_ROWS = 2000
_GIVE_UP = timedelta(minutes=30)
_SCANNED = 200_000  # ids that are read to choose rows from; a window with more is chosen from its first ones

Rows = Sequence[Any]


def alerts_without_report(connection: sa.Connection, since: datetime) -> Rows:
    """Alerts that fired since then and have no report of their window, newest first."""
    known = sa.exists().where(
        reports.c.model == alerts.c.model, reports.c.version == "",
        reports.c.window_start == alerts.c.window_start, reports.c.window_end == alerts.c.window_end,
    )  # fmt: skip
    other = sa.exists().where(reports.c.alert_id == alerts.c.id)
    query = sa.select(alerts).where(
        alerts.c.fired_at.is_not(None), alerts.c.fired_at >= since, ~known, ~other
    )
    return connection.execute(query.order_by(alerts.c.fired_at.desc(), alerts.c.id).limit(200)).all()


def made_since(connection: sa.Connection, model: str, rule: str, since: datetime) -> int:
    """Reports of windows since then that an alert of this rule and model asked for."""
    query = (
        sa.select(sa.func.count())
        .select_from(reports.join(alerts, alerts.c.id == reports.c.alert_id))
        .where(reports.c.model == model, alerts.c.rule == rule, reports.c.window_end > since)
    )
    return int(connection.execute(query).scalar_one())


def claim(connection: sa.Connection, wall: datetime, lease: timedelta) -> Any | None:
    """Take the oldest report that is wanted, or whose maker's lease ran out; None where there is none.

    One that was begun and is not done after half an hour fails: it may be what ends its makers.
    """
    connection.execute(
        reports.update()
        .where(
            reports.c.state == "running",
            reports.c.lease_until < wall,
            reports.c.requested_at < wall - _GIVE_UP,
        )
        .values(
            state="failed",
            error="it was begun several times and never done",
            lease_until=None,
            finished_at=wall,
        )
    )
    free = sa.or_(
        reports.c.state == "wanted", (reports.c.state == "running") & (reports.c.lease_until < wall)
    )
    found = connection.execute(
        sa.select(reports).where(free).order_by(reports.c.requested_at, reports.c.id).limit(1)
    ).first()
    if found is None:
        return None
    taken = connection.execute(
        reports.update()
        .where(reports.c.id == found.id, free)
        .values(state="running", lease_until=wall + lease)
    )
    return found if taken.rowcount == 1 else None


def of_window(connection: sa.Connection, model: str, start: datetime, end: datetime) -> Any | None:
    """The report of a window, all versions together, or None."""
    query = sa.select(reports).where(
        reports.c.model == model, reports.c.version == "", reports.c.window_start == start, reports.c.window_end == end
    )  # fmt: skip
    return connection.execute(query).one_or_none()


def waiting(connection: sa.Connection) -> int:
    """Reports that nobody has begun."""
    query = sa.select(sa.func.count()).select_from(reports).where(reports.c.state == "wanted")
    return int(connection.execute(query).scalar_one())


def renew(connection: sa.Connection, report_id: str, wall: datetime) -> None:
    """Want a report once more."""
    connection.execute(
        reports.update()
        .where(reports.c.id == report_id)
        .values(state="wanted", error=None, requested_at=wall, finished_at=None)
    )


def finish(connection: sa.Connection, report_id: str, lease_until: datetime, changes: dict[str, Any]) -> bool:
    """Write the outcome if the lease is still ours."""
    done = connection.execute(
        reports.update()
        .where(reports.c.id == report_id, reports.c.state == "running", reports.c.lease_until == lease_until)
        .values(lease_until=None, **changes)
    )
    return done.rowcount == 1


def reference_sample(connection: sa.Connection, model: str) -> bytes | None:
    """The stored sample of the active reference: gzip of JSON lines."""
    query = (
        sa.select(reference_sets.c.sample)
        .where(reference_sets.c.model == model, reference_sets.c.active)
        .order_by(reference_sets.c.version, reference_sets.c.built_at.desc())
    )
    return connection.execute(query.limit(1)).scalar_one_or_none()


def window_ids(connection: sa.Connection, model: str, window: tuple[datetime, datetime]) -> list[str]:
    """Ids of the answered predictions of a window."""
    query = sa.select(predictions.c.id).where(
        predictions.c.model == model, predictions.c.timestamp >= window[0], predictions.c.timestamp < window[1],
        predictions.c.status < 400,
    )  # fmt: skip
    return list(connection.execute(query.limit(_SCANNED)).scalars())


def window_rows(connection: sa.Connection, model: str, ids: Sequence[str]) -> Rows:
    """Features, prediction, scores and, where it is known, the label of these predictions."""
    rows: list[Any] = []
    for start in range(0, len(ids), 500):
        query = (
            sa.select(predictions.c.features, predictions.c.prediction, predictions.c.scores, labels.c.label)
            .outerjoin(labels, (labels.c.id == predictions.c.id) & (labels.c.model == predictions.c.model))
            .where(predictions.c.model == model, predictions.c.id.in_(ids[start : start + 500]))
        )
        rows += connection.execute(query).all()
    return rows


def archived_rows(
    connection: sa.Connection, archive: Path, model: str, window: tuple[datetime, datetime]
) -> Rows:
    """The same of a window whose rows have left the database: those with the lowest hashes of their ids."""
    answered = (pair for pair in between(connection, archive, model, *window) if pair[0].status < 400)
    chosen = heapq.nsmallest(MAX_ROWS, answered, key=lambda pair: drawn(pair[0].id))
    return [
        _Archived(row.features, row.prediction, row.scores, None if label is None else label.label)
        for row, label in chosen
    ]


class _Archived(NamedTuple):
    features: dict[str, Any]
    prediction: Any
    scores: Any
    label: Any


def drawn(identity: str) -> bytes:
    """The rank of a row among those of a window: the same each time, whatever their order."""
    return hashlib.blake2b(identity.encode(), digest_size=8).digest()
