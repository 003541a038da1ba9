"""The lists: alerts, incidents, deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dashboards.pages.asked import Asked, Page
from dashboards.queries import response
from dashboards.views.columns import ALERTS, DELIVERIES, INCIDENTS

__all__ = ["alerts", "deliveries", "incidents"]

_MOST = 300


def _list(asked: Asked, *tables: Any, **more: Any) -> Page:
    """A list's page: which time, state and model it is about."""
    return asked.page(
        *tables, period=asked.period(asked.now, timedelta(days=30)), state=asked.query.get("state", ""),
        model_name=asked.query.get("model", ""), most=_MOST, **more,
    )  # fmt: skip


def alerts(asked: Asked) -> Page:
    """Every alert, those that fire first."""
    rows = response.alert_list(
        asked.connection, states=asked.one_of("state", ("firing", "pending", "resolved")),
        model=asked.query.get("model") or None, limit=_MOST, period=asked.chosen(),
    )  # fmt: skip
    return _list(asked, asked.listing("alerts", ALERTS, rows))


def incidents(asked: Asked) -> Page:
    """Every incident, open ones first."""
    rows = response.incident_list(
        asked.connection, states=asked.one_of("state", ("open", "acknowledged", "resolved")),
        model=asked.query.get("model") or None, limit=_MOST, period=asked.chosen(),
    )  # fmt: skip
    return _list(asked, asked.listing("incidents", INCIDENTS, rows))


def deliveries(asked: Asked) -> Page:
    """Messages to receivers, the newest first."""
    states = asked.one_of("state", ("pending", "delivered", "dead"))
    rows = response.delivery_list(asked.connection, states=states, limit=_MOST)
    attempts: dict[str, list[Any]] = {}
    for row in response.attempts_of(asked.connection, [row.id for row in rows]):
        attempts.setdefault(row.delivery_id, []).append(row)
    return _list(
        asked, asked.listing("deliveries", DELIVERIES, rows), attempts=attempts,
        counts=response.deliveries_by_state(asked.connection),
    )  # fmt: skip
