"""Which models and versions there are, and how far their windows are judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from remora.catalogue import JOBS
from remora.tables import alerts, clock, job_runs, models, versions

__all__ = [
    "business_now",
    "judged_until",
    "model",
    "models_seen",
    "open_alerts",
    "versions_of",
]

MAX_MODELS = 500
MAX_VERSIONS = 200

Rows = Sequence[Any]


def models_seen(connection: sa.Connection) -> Rows:
    """Every model with the event times of its first and last prediction, by name."""
    return connection.execute(sa.select(models).order_by(models.c.name).limit(MAX_MODELS)).all()


def model(connection: sa.Connection, name: str) -> Any | None:
    """One model, or None."""
    return connection.execute(sa.select(models).where(models.c.name == name)).one_or_none()


def versions_of(connection: sa.Connection, name: str | None = None) -> Rows:
    """Versions, those seen last first; of every model where no name is given."""
    query = sa.select(versions).order_by(
        versions.c.model, versions.c.last_seen.desc(), versions.c.first_seen.desc()
    )
    if name is not None:
        query = query.where(versions.c.model == name)
    return connection.execute(query.limit(MAX_VERSIONS if name is not None else MAX_MODELS * 20)).all()


def open_alerts(connection: sa.Connection) -> Rows:
    """(model, rule, severity, state, number) of alerts that are pending or firing."""
    keys = (alerts.c.model, alerts.c.rule, alerts.c.severity, alerts.c.state)
    return connection.execute(
        sa.select(*keys, sa.func.count().label("number"))
        .where(alerts.c.state != "resolved").group_by(*keys).order_by(*keys).limit(5000)
    ).all()  # fmt: skip


def judged_until(connection: sa.Connection, name: str | None = None) -> dict[tuple[str, str], datetime]:
    """(model, job) -> end of the newest window that the detectors' job has judged."""
    ends = [
        sa.select(job_runs.c.window_end)  # not max(): beside a condition it reads every run there was
        .where(job_runs.c.job == job, job_runs.c.model == models.c.name, job_runs.c.state == "done")
        .order_by(job_runs.c.window_start.desc())
        .limit(1)
        .scalar_subquery()
        .label(job)
        for job in JOBS
    ]
    query = sa.select(models.c.name, *ends).limit(MAX_MODELS)
    if name is not None:
        query = query.where(models.c.name == name)
    return {
        (row[0], job): end
        for row in connection.execute(query)
        for job, end in zip(JOBS, row[1:], strict=True)
        if end is not None
    }


def business_now(connection: sa.Connection, *, replay: bool, wall: datetime) -> datetime:
    """The server's business time: the wall clock, or where the replayed clock stands."""
    if not replay:
        return wall
    return (
        connection.execute(sa.select(clock.c.now).where(clock.c.name == "replay")).scalar_one_or_none()
        or wall
    )
