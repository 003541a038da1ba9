"""Evidently reports."""

from __future__ import annotations

from datetime import timedelta

from dashboards.errors import NotFoundError
from dashboards.pages.asked import Asked, Page
from dashboards.queries import findings, models, response
from dashboards.views.columns import REPORTS
from remora.leads import first_leads

__all__ = ["report", "reports"]

_MOST = 300


def reports(asked: Asked) -> Page:
    """Every report, or a model's."""
    model = asked.query.get("model") or None
    rows = response.report_list(asked.connection, model, limit=_MOST, period=asked.chosen())
    return asked.page(
        asked.listing("reports", REPORTS, rows), model_name=model or "", period=asked.period(asked.now, timedelta(days=30)),
        known=[row.name for row in models.models_seen(asked.connection)], most=_MOST,
    )  # fmt: skip


def report(asked: Asked, report_id: str) -> Page:
    """One report and what to know before its numbers are compared with ours."""
    found = response.report(asked.connection, report_id)
    if found is None:
        msg = "There is no such report."
        raise NotFoundError(msg)
    alert = response.alerts_by_id(asked.connection, [found.alert_id]) if found.alert_id else []
    said = findings.of_the_model(asked.connection, found.model, found.window_end)
    return asked.page(report=found, alert=alert[0] if alert else None, leads=first_leads(said))
