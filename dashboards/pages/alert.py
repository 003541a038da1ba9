"""One alert: numbers, course, reason, what else moved, and who was told."""

from __future__ import annotations

from typing import Any

from dashboards.errors import NotFoundError
from dashboards.pages.asked import Asked, Page
from dashboards.periods import Period, iso
from dashboards.queries import findings, models, response
from dashboards.views import alert as view
from dashboards.views.columns import DELIVERIES, INCIDENTS, REPORTS
from dashboards.views.limits import limits_of
from dashboards.views.model import evidence, marks_of
from dashboards.views.overview import MOVED_BY
from remora.catalogue import METRICS
from remora.leads import leads_of

__all__ = ["alert"]


def alert(asked: Asked, alert_id: str) -> Page:
    """The page of an alert."""
    connection, found = asked.connection, response.alert(asked.connection, alert_id)
    if found is None:
        msg = "There is no such alert."
        raise NotFoundError(msg)
    rule = next((rule for rule in asked.rules() if rule.alert == found.rule), None)
    period = view.around(found, asked.now)
    rows, feature_name = _course(asked, found, rule, period)
    incidents_of = response.incidents_with(connection, found)
    decided = _decided(asked, found, rows)
    ends = (decided or found).window_start, (decided or found).window_end
    told = response.deliveries_naming(connection, found, [row.id for row in incidents_of])
    runbook = found.annotations.get("runbook_url", "")
    return asked.page(
        asked.listing("moved", view.MOVED, _moved(asked, found, ends[1])),
        asked.listing("incidents", INCIDENTS, incidents_of),
        asked.listing("reports", REPORTS, response.reports_about(connection, found)),
        asked.listing("deliveries", DELIVERIES, told),
        alert=found, feature=feature_name, period=period, picture=_picture(asked, found, rule, rows, period), ends=ends,
        facts=view.facts(found, rows, decided, rule, asked.now),
        reason=decided.reason if decided is not None else found.annotations.get("description", ""),
        leads=leads_of(decided.details) if decided is not None else [], window_end=iso(ends[1]), matchers=view.matchers(found),
        runbook=runbook if runbook.startswith(("https://", "http://")) else "",
    )  # fmt: skip


def _decided(asked: Asked, found: Any, rows: list[Any]) -> Any | None:
    metric = METRICS.get(str(found.labels.get("metric", "")))
    windows = asked.config.model(found.model).windows
    return view.decisive(found, rows, windows.lateness_of(metric.job if metric is not None else ""))


def _moved(asked: Asked, found: Any, end: Any) -> list[Any]:
    metric = METRICS.get(str(found.labels.get("metric", "")))
    if metric is not None and metric.job == "traffic":
        return []
    return view.moved(findings.in_window(asked.connection, found.model, MOVED_BY, end))


def _picture(asked: Asked, found: Any, rule: Any, rows: list[Any], period: Period) -> Any | None:
    limits = limits_of([rule], found.model) if rule is not None else {}
    versions = models.versions_of(asked.connection, found.model)
    retrains = response.retrains(asked.connection, found.model)
    marks = marks_of([found] if found.fired_at else [], versions, retrains, period, limits)
    return next(iter(evidence(rows, marks)), None)


def _course(asked: Asked, found: Any, rule: Any | None, period: Period) -> tuple[list[Any], str]:
    """The findings that an alert is about, oldest first, and their feature."""
    metric, labels = str(found.labels.get("metric", "")), found.labels
    select = rule.select if rule is not None else None
    wanted = findings.Filter(
        found.model, metric, labels.get("feature"), start=period.start, end=period.end,
        segment=labels.get("segment", select.segment if select else ""),
        version=labels.get("version", select.version if select else ""),
    )  # fmt: skip
    rows = findings.find(asked.connection, wanted, 2000)
    name = view.feature_of(found, rows)
    return [row for row in rows if row.feature == name], name
