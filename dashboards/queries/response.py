"""What was done about it: alerts, incidents with their plans and timelines, deliveries, reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from dashboards.periods import Period
from remora.tables import (
    actions,
    alerts,
    deliveries,
    delivery_attempts,
    incident_events,
    incidents,
    plan_steps,
    reports,
)

__all__ = [
    "actions_of", "alert", "alert_list", "alerts_by_id", "attempts_of", "deliveries_about", "deliveries_by_state", "deliveries_naming",
    "delivery_list", "events_of", "fired_between", "incident", "incident_list", "incidents_with", "report", "report_list", "reports_about", "retrains",
    "steps_of",
]  # fmt: skip

Rows = Sequence[Any]

_SEARCHED = 500  # messages of groups, whose bodies are looked through

_OPEN_FIRST = {"firing": 0, "open": 0, "pending": 1, "acknowledged": 1}


def _state_rank(column: sa.Column[str]) -> sa.ColumnElement[int]:
    return sa.case(*((column == state, rank) for state, rank in _OPEN_FIRST.items()), else_=9)


def alert_list(
    connection: sa.Connection, *, states: Sequence[str] = (), model: str | None = None, limit: int = 200,
    period: Period | None = None,
) -> Rows:  # fmt: skip
    """Alerts, those that fire first, then the newest; of a period those that were open at some time of it."""
    query = sa.select(alerts)
    if period is not None:
        query = query.where(
            alerts.c.active_at <= period.end,
            sa.or_(alerts.c.resolved_at.is_(None), alerts.c.resolved_at >= period.start),
        )
    if states:
        query = query.where(alerts.c.state.in_(states))
    if model is not None:
        query = query.where(alerts.c.model == model)
    newest = sa.func.coalesce(alerts.c.fired_at, alerts.c.active_at).desc()
    return connection.execute(
        query.order_by(_state_rank(alerts.c.state), newest, alerts.c.id).limit(limit)
    ).all()


def alerts_by_id(connection: sa.Connection, ids: Sequence[str]) -> Rows:
    """The alerts of an incident."""
    if not ids:
        return []
    return connection.execute(
        sa.select(alerts).where(alerts.c.id.in_(list(ids)[:500])).order_by(alerts.c.active_at)
    ).all()


def alert(connection: sa.Connection, alert_id: str) -> Any | None:
    """One alert, or None."""
    return connection.execute(sa.select(alerts).where(alerts.c.id == alert_id)).one_or_none()


def incidents_with(connection: sa.Connection, found: Any) -> Rows:
    """The incidents that an alert belongs to."""
    query = sa.select(incidents).where(
        incidents.c.model == found.model,
        sa.or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at >= found.active_at),
    )
    rows = connection.execute(query.order_by(incidents.c.opened_at).limit(500)).all()
    return [row for row in rows if found.id in row.alert_ids]


def reports_about(connection: sa.Connection, found: Any) -> Rows:
    """Reports that an alert asked for, and the one of its window."""
    of_window = (
        (reports.c.model == found.model)
        & (reports.c.window_start == found.window_start)
        & (reports.c.window_end == found.window_end)
    )
    query = sa.select(reports).where(sa.or_(reports.c.alert_id == found.id, of_window))
    return connection.execute(query.order_by(reports.c.window_end).limit(20)).all()


def deliveries_naming(connection: sa.Connection, found: Any, keys: Sequence[str]) -> Rows:
    """Deliveries with an alert's address in them, oldest first: of these order keys, or among the newest of groups."""
    of_groups = (
        sa.select(deliveries.c.id).where(deliveries.c.kind.like("alert.%"))
        .order_by(deliveries.c.created_at.desc()).limit(_SEARCHED)
    )  # fmt: skip
    either = sa.or_(deliveries.c.order_key.in_(list(keys)[:200]), deliveries.c.id.in_(of_groups))
    query = sa.select(deliveries).where(either).order_by(deliveries.c.created_at, deliveries.c.id)
    sought = found.id.encode()
    return [row for row in connection.execute(query.limit(_SEARCHED + 200)) if sought in row.body][:100]


def fired_between(connection: sa.Connection, model: str, period: Period) -> Rows:
    """Alerts of a model that fired at some time of the period, oldest first."""
    query = sa.select(alerts).where(
        alerts.c.model == model, alerts.c.fired_at.is_not(None), alerts.c.fired_at <= period.end,
        sa.or_(alerts.c.resolved_at.is_(None), alerts.c.resolved_at >= period.start),
    )  # fmt: skip
    return connection.execute(query.order_by(alerts.c.fired_at.desc()).limit(500)).all()[::-1]


def incident_list(
    connection: sa.Connection, *, states: Sequence[str] = (), model: str | None = None, limit: int = 200,
    period: Period | None = None,
) -> Rows:  # fmt: skip
    """Incidents, open ones first, then the newest; of a period those that were open at some time of it."""
    query = sa.select(incidents)
    if period is not None:
        query = query.where(
            incidents.c.opened_at <= period.end,
            sa.or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at >= period.start),
        )
    if states:
        query = query.where(incidents.c.state.in_(states))
    if model is not None:
        query = query.where(incidents.c.model == model)
    order = (_state_rank(incidents.c.state), incidents.c.opened_at.desc(), incidents.c.id)
    return connection.execute(query.order_by(*order).limit(limit)).all()


def incident(connection: sa.Connection, incident_id: str) -> Any | None:
    """One incident, or None."""
    return connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).one_or_none()


def events_of(connection: sa.Connection, incident_id: str) -> Rows:
    """The timeline, oldest first."""
    query = sa.select(incident_events).where(incident_events.c.incident_id == incident_id)
    return connection.execute(query.order_by(incident_events.c.at, incident_events.c.id).limit(1000)).all()


def steps_of(connection: sa.Connection, incident_id: str) -> Rows:
    """The plan's steps that were begun, in order."""
    query = sa.select(plan_steps).where(plan_steps.c.incident_id == incident_id)
    return connection.execute(query.order_by(plan_steps.c.iteration, plan_steps.c.step).limit(500)).all()


def actions_of(connection: sa.Connection, incident_id: str) -> Rows:
    """What the plan started."""
    query = sa.select(actions).where(actions.c.incident_id == incident_id)
    return connection.execute(query.order_by(actions.c.requested_at).limit(200)).all()


def retrains(connection: sa.Connection, model: str) -> Rows:
    """Actions of a model, newest first."""
    query = sa.select(actions).where(actions.c.model == model).order_by(actions.c.requested_at.desc())
    return connection.execute(query.limit(50)).all()


def delivery_list(
    connection: sa.Connection, *, states: Sequence[str] = (), limit: int = 200,
) -> Rows:  # fmt: skip
    """Deliveries without their bodies, the newest first."""
    columns = [column for column in deliveries.c if column.name != "body"]
    query = sa.select(*columns)
    if states:
        query = query.where(deliveries.c.state.in_(states))
    return connection.execute(
        query.order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc()).limit(limit)
    ).all()


def deliveries_about(connection: sa.Connection, keys: Sequence[str]) -> Rows:
    """Deliveries whose order key is one of these (an incident's, its actions'), oldest first."""
    columns = [column for column in deliveries.c if column.name != "body"]
    query = sa.select(*columns).where(deliveries.c.order_key.in_(list(keys)[:200]))
    return connection.execute(query.order_by(deliveries.c.created_at, deliveries.c.id).limit(100)).all()


def deliveries_by_state(connection: sa.Connection) -> dict[str, int]:
    """How many deliveries are pending, delivered and dead."""
    query = sa.select(deliveries.c.state, sa.func.count().label("count")).group_by(deliveries.c.state)
    return {row.state: row[1] for row in connection.execute(query)}


def attempts_of(connection: sa.Connection, ids: Sequence[str]) -> Rows:
    """Attempts of these deliveries."""
    query = sa.select(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(list(ids)[:300]))
    return connection.execute(
        query.order_by(delivery_attempts.c.delivery_id, delivery_attempts.c.attempt)
    ).all()


def report_list(
    connection: sa.Connection, model: str | None = None, limit: int = 100, period: Period | None = None
) -> Rows:
    """Reports, the newest windows first."""
    query = sa.select(reports)
    if period is not None:
        query = query.where(reports.c.window_end > period.start, reports.c.window_start <= period.end)
    if model is not None:
        query = query.where(reports.c.model == model)
    return connection.execute(query.order_by(reports.c.window_end.desc(), reports.c.id).limit(limit)).all()


def report(connection: sa.Connection, report_id: str) -> Any | None:
    """One report, or None."""
    return connection.execute(sa.select(reports).where(reports.c.id == report_id)).one_or_none()
