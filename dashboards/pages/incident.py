"""One incident: what is wrong, since when, why, what is being done; evidence, plan, timeline, deliveries."""

from __future__ import annotations

from typing import Any

from dashboards.errors import NotFoundError
from dashboards.pages.asked import Asked, Page
from dashboards.periods import Period, sampled
from dashboards.queries import findings, models, response
from dashboards.views import incident as view
from dashboards.views.alert import moved
from dashboards.views.columns import ACTIONS, ALERTS, DELIVERIES
from dashboards.views.limits import limits_of
from dashboards.views.model import Chart, evidence, marks_of
from dashboards.views.overview import MOVED_BY
from remora.catalogue import METRICS

__all__ = ["incident"]

_PICTURES = 6
_DRAWN = 300


def incident(asked: Asked, incident_id: str) -> Page:
    """The page of an incident."""
    connection, found = asked.connection, response.incident(asked.connection, incident_id)
    if found is None:
        msg = "There is no such incident."
        raise NotFoundError(msg)
    alerts_of = response.alerts_by_id(connection, found.alert_ids)
    plan = next((plan for plan in asked.config.plans if plan.name == found.plan), None)
    steps, actions = response.steps_of(connection, incident_id), response.actions_of(connection, incident_id)
    left = view.waiting(plan, steps) if found.state != "resolved" else []
    told = response.deliveries_about(connection, [incident_id, *(row.id for row in actions)])
    versions = models.versions_of(connection, found.model)
    return asked.page(
        asked.listing("alerts", ALERTS, alerts_of),
        asked.listing("actions", ACTIONS, actions),
        asked.listing("deliveries", DELIVERIES, told),
        incident=found, steps=steps, plan=plan, waiting=left,
        glance=_glance(asked, found, alerts_of, versions, view.doing(found, steps, actions, left)),
        evidence=_evidence(asked, found, alerts_of, versions),
        summary=view.summary(found, alerts_of, steps, actions, told),
        events=response.events_of(connection, incident_id),
    )  # fmt: skip


def _glance(asked: Asked, found: Any, alerts_of: Any, versions: Any, under_way: list[str]) -> view.Glance:
    """The findings behind the alerts say what is wrong; what else moved in their windows says why."""
    behind = findings.behind(asked.connection, found.model, alerts_of)
    firing = [row for row in alerts_of if row.state == "firing"] or list(alerts_of)
    newest = max((row.window_end for row in firing), default=None)
    drifted = findings.in_window(asked.connection, found.model, MOVED_BY, newest) if newest else []
    lines = view.wrong(alerts_of, {rule.alert: rule for rule in asked.rules()}, behind)
    reasons = view.causes(behind, moved(drifted), versions, found.opened_at)
    return view.glance(found, lines, reasons, under_way, alerts_of)


def _evidence(asked: Asked, found: Any, alerts_of: Any, versions: Any) -> list[Chart]:
    """The metrics of the incident's alerts, around its time."""
    size = asked.config.model(found.model).windows.size
    end = min(asked.now, (found.resolved_at or asked.now) + 3 * size)
    period = Period(found.opened_at - 30 * size, max(end, found.opened_at + size), "custom")
    sample = sampled(period, size, _DRAWN, period.start + size)
    metrics = sorted({str(row.labels.get("metric", "")) for row in alerts_of} & set(METRICS))[:_PICTURES]
    retrains = response.retrains(asked.connection, found.model)
    fired = [row for row in alerts_of if row.fired_at]
    marks = marks_of(fired, versions, retrains, period, limits_of(asked.rules(), found.model))
    whole = [metric for metric in metrics if not METRICS[metric].per_feature]
    rows = (
        list(findings.series(asked.connection, whole, sample, findings.Slice(found.model))) if whole else []
    )
    features = {str(row.labels["feature"]) for row in alerts_of if row.labels.get("feature")}
    wanted = [metric for metric in metrics if METRICS[metric].per_feature]
    for name in sorted(features)[:4]:
        rows += findings.of_features(
            asked.connection, wanted, sample, findings.Slice(found.model, feature=name)
        )
    return evidence(rows, marks)
