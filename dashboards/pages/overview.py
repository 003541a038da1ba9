"""Every model in a row, the worst first."""

from __future__ import annotations

from datetime import timedelta

from dashboards.pages.asked import Asked, Page
from dashboards.periods import sampled
from dashboards.queries import findings, models, response
from dashboards.views import overview as view
from dashboards.views.columns import ALERTS, INCIDENTS

__all__ = ["overview"]

_POINTS = 1200  # windows of all models together: few models show more of their past
_LATELY = 5


def overview(asked: Asked) -> Page:
    """Every model in a row, the worst first; below, what happened lately."""
    connection = asked.connection
    seen = models.models_seen(connection)
    sizes = [asked.config.model(row.name).windows.size for row in seen] or [timedelta(days=1)]
    newest = max((row.last_seen for row in seen), default=asked.now)
    windows = min(300, max(40, _POINTS // len(sizes)))
    period = asked.period(min(asked.now, newest + max(sizes)), min(sizes) * windows)
    first = min((row.first_seen for row in seen), default=newest)
    sample = sampled(period, min(sizes), windows, first)
    found = view.Found(
        findings.series(connection, view.SERIES, sample),
        findings.newest(connection, (*view.SERIES, *view.DRIFT, *view.HYGIENE)),
        findings.alarming_features(connection, view.DRIFT, period),
        findings.alarming_features(connection, view.HYGIENE, period),
    )
    rows = view.build(
        seen, models.versions_of(connection), models.open_alerts(connection), found,
        lambda name: asked.config.model(name).windows.size,
    )  # fmt: skip
    chosen = asked.chosen()
    return asked.page(
        asked.listing("models", view.COLUMNS, rows),
        asked.listing("incidents", INCIDENTS, response.incident_list(connection, limit=_LATELY, period=chosen)),
        asked.listing("alerts", ALERTS, response.alert_list(connection, limit=_LATELY, period=chosen)),
        period=period, sample=sample, external_url=asked.config.external_url,
    )  # fmt: skip
