"""What stands on each page: one function per page, a handful of queries each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dashboards.errors import NotFoundError
from dashboards.periods import PRESETS, Period, parse_instant, parse_period
from dashboards.queries import distributions, findings, models, response
from dashboards.views import alert as alert_view
from dashboards.views import feature as feature_view
from dashboards.views import model as model_view
from dashboards.views import overview as overview_view
from dashboards.views.limits import limits_of
from dashboards.views.tiles import tiles
from remora.catalogue import METRICS
from remora.config import Config
from remora.errors import RemoraError
from remora.summaries import Summary, decode

__all__ = [
    "Asked",
    "alert",
    "alerts",
    "deliveries",
    "feature",
    "incident",
    "incidents",
    "model",
    "overview",
    "report",
    "reports",
]

_OVERVIEW_POINTS = 1200  # windows of all models together: few models show more of their past
_MODEL_WINDOWS = 400
_LATELY = 5
_FIRST = 10  # rows of a table on a page that is about more than it
_WHOLE = tuple(name for name, metric in METRICS.items() if not metric.per_feature)

Page = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a page knows of its request: the open connection, the configuration, the business time, the query string."""

    connection: sa.Connection
    config: Config
    now: datetime
    query: Mapping[str, str]

    def period(self, newest: datetime, recent: timedelta) -> Period:
        return parse_period(self.query, newest=newest, recent=recent)

    def page(self, **more: Any) -> Page:
        return {
            "now": self.now,
            "presets": list(PRESETS),
            "replay": self.config.schedule.clock == "replay",
        } | more


def overview(asked: Asked) -> Page:
    """Every model in a row, the worst first."""
    connection = asked.connection
    seen = models.models_seen(connection)
    sizes = [asked.config.model(row.name).windows.size for row in seen] or [timedelta(days=1)]
    newest = max((row.last_seen for row in seen), default=asked.now)
    windows = min(300, max(48, _OVERVIEW_POINTS // len(sizes)))
    period = asked.period(min(asked.now, newest + max(sizes)), min(sizes) * windows)
    rows = overview_view.build(
        seen, models.versions_of(connection), models.open_alerts(connection),
        findings.series(connection, overview_view.SERIES, period),
        (findings.alarming_features(connection, period), findings.newest(connection, ("psi",))),
        lambda name: asked.config.model(name).windows.size,
    )  # fmt: skip
    return asked.page(
        rows=rows, period=period, external_url=asked.config.external_url,
        alerts=response.alert_list(connection, limit=_LATELY), incidents=response.incident_list(connection, limit=_LATELY),
    )  # fmt: skip


def _model(asked: Asked, name: str) -> Any:
    found = models.model(asked.connection, name)
    if found is None:
        msg = f"No predictions of a model named {name} were seen."
        raise NotFoundError(msg)
    return found


def _around(asked: Asked, seen: Any) -> tuple[Period, dict[str, Any]]:
    """The period of a model's page, and what happened in it."""
    size = asked.config.model(seen.name).windows.size
    period = asked.period(min(asked.now, seen.last_seen + size), size * _MODEL_WINDOWS)
    period = Period(max(period.start, seen.first_seen - size), period.end, period.choice)
    versions = models.versions_of(asked.connection, seen.name)
    fired = response.fired_between(asked.connection, seen.name, period)
    return period, {
        "versions": versions,
        "fired": fired,
        "retrains": response.retrains(asked.connection, seen.name),
    }


def model(asked: Asked, name: str) -> Page:
    """A model's windows over time, drift by feature, versions, alerts, incidents and reports."""
    connection, seen = asked.connection, _model(asked, name)
    period, happened = _around(asked, seen)
    limits = limits_of((rule for group in asked.config.groups for rule in group.rules), name)
    marks = model_view.marks_of(happened["fired"], happened["versions"], happened["retrains"], period, limits)
    newest = findings.newest(connection, _WHOLE, name)
    series = findings.series(connection, _WHOLE, period, name)
    open_alerts = [row for row in models.open_alerts(connection) if row.model == name]
    heat, ends = model_view.heat(findings.of_features(connection, name, ("psi",), period))
    heads, table = model_view.versions_table(
        happened["versions"], findings.by_version(connection, name, model_view.VERSION_METRICS, period)
    )
    size = asked.config.model(name).windows.size
    return asked.page(
        model=seen, period=period, states=overview_view.state_of(open_alerts, newest),
        in_service=overview_view.in_service(happened["versions"], seen.last_seen, size),
        tiles=tiles(newest, series, limits), heat=heat, heat_ends=ends, version_heads=heads, version_rows=table,
        groups=model_view.charts(series, marks),
        judged=models.judged_until(connection, name), retrains=happened["retrains"],
        unnamed=next((row for row in happened["versions"] if not row.version), None),
        alerts=response.alert_list(connection, model=name, limit=_FIRST + 1), first=_FIRST,
        incidents=response.incident_list(connection, model=name, limit=_FIRST + 1),
        reports=response.report_list(connection, name, limit=_FIRST + 1),
    )  # fmt: skip


def feature(asked: Asked, name: str, feature_name: str) -> Page:
    """A feature's reference beside one window, and its findings over time."""
    connection, seen = asked.connection, _model(asked, name)
    period, happened = _around(asked, seen)
    rows = findings.of_features(connection, name, feature_view.METRICS_OF_FEATURES, period, feature_name)
    reference = distributions.reference_column(connection, name, feature_name)
    if not rows and reference is None:
        msg = f"Nothing was found yet about a feature named {feature_name} of {name}."
        raise NotFoundError(msg)
    psi = [row for row in rows if row.metric == "psi"]
    chosen = _window(psi, asked.query.get("window", ""))
    judged, comparison = None, None
    if chosen is not None:
        judged = findings.one(connection, name, "psi", feature_name, chosen.window_end)
        comparison = _compare(asked, name, feature_name, reference, chosen)
    position = psi.index(chosen) if chosen is not None else 0
    about_it = [row for row in happened["fired"] if row.labels.get("feature") in {None, feature_name}]
    marks = model_view.marks_of(about_it, happened["versions"], happened["retrains"], period)
    return asked.page(
        model=seen, feature=feature_name, period=period, reference=reference, comparison=comparison,
        charts=feature_view.charts(rows, marks), chosen=chosen, judged=judged,
        before=psi[position - 1] if position > 0 else None,
        after=psi[position + 1] if position + 1 < len(psi) else None,
        worst=sorted((row for row in psi if row.value is not None), key=lambda row: -row.value)[:5],
    )  # fmt: skip


def _window(rows: list[Any], wanted: str) -> Any | None:
    """The window that ends at the wanted instant, or the newest one with a value."""
    if wanted:
        end = parse_instant(wanted, "window")
        found = next((row for row in rows if row.window_end == end), None)
        if found is not None:
            return found
    return next((row for row in reversed(rows) if row.value is not None), rows[-1] if rows else None)


def _compare(asked: Asked, name: str, feature_name: str, reference: Any, chosen: Any) -> Any | None:
    if reference is None:
        return None
    window = (chosen.window_start, chosen.window_end)
    try:
        current = distributions.window_summary(asked.connection, name, feature_name, reference.kind, window)
        built: Summary = decode(reference.data)
    except RemoraError:  # damaged bytes: the page shows everything else
        return None
    return feature_view.compare(reference.bins, built, current)


def alerts(asked: Asked) -> Page:
    """Every alert, those that fire first."""
    state, name = asked.query.get("state", ""), asked.query.get("model") or None
    rows = response.alert_list(asked.connection, states=(state,) if state else (), model=name, limit=300)
    return asked.page(alerts=rows, state=state, model_name=name)


def alert(asked: Asked, alert_id: str) -> Page:
    """One alert: numbers, course, reason, what else moved, and who was told."""
    connection, found = asked.connection, response.alert(asked.connection, alert_id)
    if found is None:
        msg = "There is no such alert."
        raise NotFoundError(msg)
    rule = next((r for group in asked.config.groups for r in group.rules if r.alert == found.rule), None)
    period = alert_view.around(found, asked.now)
    rows, feature_name = _course(asked, found, rule, period)
    limits = limits_of([rule], found.model) if rule is not None else {}
    versions, retrains = (
        models.versions_of(connection, found.model),
        response.retrains(connection, found.model),
    )
    marks = model_view.marks_of([found] if found.fired_at else [], versions, retrains, period, limits)
    pictures = model_view.evidence(rows, marks)
    incidents_of = response.incidents_with(connection, found)
    job = METRICS[found.labels["metric"]].job if found.labels.get("metric") in METRICS else ""
    lateness = asked.config.model(found.model).windows
    decided = alert_view.decisive(
        found, rows, lateness.label_lateness if job == "performance" else lateness.lateness
    )
    ends = (decided or found).window_start, (decided or found).window_end
    moved = findings.in_window(connection, found.model, ("psi",), ends[1]) if job != "traffic" else []
    runbook = found.annotations.get("runbook_url", "")
    return asked.page(
        alert=found, feature=feature_name, period=period, picture=pictures[0] if pictures else None, ends=ends,
        facts=alert_view.facts(found, rows, decided, rule, asked.now), moved=alert_view.moved(moved),
        reason=decided.reason if decided is not None else found.annotations.get("description", ""),
        of_window=f"{period.query}&window={ends[1]:%Y-%m-%dT%H:%M:%SZ}",
        incidents=incidents_of, reports=response.reports_about(connection, found),
        deliveries=response.deliveries_naming(connection, found, [row.id for row in incidents_of]),
        runbook=runbook if runbook.startswith(("https://", "http://")) else "",
    )  # fmt: skip


def _course(asked: Asked, found: Any, rule: Any | None, period: Period) -> tuple[list[Any], str]:
    """The findings that an alert is about, oldest first, and their feature."""
    metric, labels = str(found.labels.get("metric", "")), found.labels
    select = rule.select if rule is not None else None
    wanted = findings.Filter(
        found.model, metric, labels.get("feature"), start=period.start, end=period.end,
        segment=labels.get("segment", select.segment if select else ""),
        version=labels.get("version", select.version if select else ""),
    )  # fmt: skip
    rows = findings.find(asked.connection, wanted, findings.MAX_FINDINGS)
    name = alert_view.feature_of(found, rows)
    return [row for row in rows if row.feature == name], name


def incidents(asked: Asked) -> Page:
    """Every incident, open ones first."""
    state = asked.query.get("state", "")
    rows = response.incident_list(asked.connection, states=(state,) if state else (), limit=300)
    return asked.page(incidents=rows, state=state)


def incident(asked: Asked, incident_id: str) -> Page:
    """One incident: evidence, plan, timeline, deliveries."""
    connection, found = asked.connection, response.incident(asked.connection, incident_id)
    if found is None:
        msg = "There is no such incident."
        raise NotFoundError(msg)
    alerts_of = response.alerts_by_id(connection, found.alert_ids)
    plan = next((plan for plan in asked.config.plans if plan.name == found.plan), None)
    steps, actions = response.steps_of(connection, incident_id), response.actions_of(connection, incident_id)
    return asked.page(
        incident=found, alerts=alerts_of, steps=steps, evidence=_evidence(asked, found, alerts_of),
        plan=plan, waiting=_waiting(plan, steps) if found.state != "resolved" else [],
        events=response.events_of(connection, incident_id), actions=actions,
        deliveries=response.deliveries_about(connection, [incident_id, *(row.id for row in actions)]),
    )  # fmt: skip


def _waiting(plan: Any | None, steps: Any) -> list[str]:
    """The kinds of the plan's steps that were not begun."""
    begun = max((row.step for row in steps if row.iteration == max(s.iteration for s in steps)), default=-1)
    return [step.kind for step in plan.steps[begun + 1 :]] if plan is not None else []


def _evidence(asked: Asked, found: Any, alerts_of: Any) -> list[Any]:
    """The metrics of the incident's alerts, around its time."""
    size = asked.config.model(found.model).windows.size
    end = min(asked.now, (found.resolved_at or asked.now) + 3 * size)
    period = Period(found.opened_at - 30 * size, max(end, found.opened_at + size), "custom")
    metrics = sorted({str(row.labels.get("metric", "")) for row in alerts_of} & set(METRICS))[:6]
    versions = models.versions_of(asked.connection, found.model)
    retrains = response.retrains(asked.connection, found.model)
    limits = limits_of((rule for group in asked.config.groups for rule in group.rules), found.model)
    fired = [row for row in alerts_of if row.fired_at]
    marks = model_view.marks_of(fired, versions, retrains, period, limits)
    rows = list(
        findings.series(
            asked.connection, [m for m in metrics if not METRICS[m].per_feature], period, found.model
        )
    )
    features = {str(row.labels["feature"]) for row in alerts_of if row.labels.get("feature")}
    for name in sorted(features)[:4]:
        wanted = [metric for metric in metrics if METRICS[metric].per_feature]
        rows += findings.of_features(asked.connection, found.model, wanted, period, name)
    return model_view.evidence(rows, marks)


def deliveries(asked: Asked) -> Page:
    """Messages to receivers, the newest first."""
    state = asked.query.get("state", "")
    rows = response.delivery_list(asked.connection, states=(state,) if state else (), limit=300)
    attempts: dict[str, list[Any]] = {}
    for row in response.attempts_of(asked.connection, [row.id for row in rows]):
        attempts.setdefault(row.delivery_id, []).append(row)
    counts = response.deliveries_by_state(asked.connection)
    return asked.page(deliveries=rows, attempts=attempts, counts=counts, state=state)


def reports(asked: Asked) -> Page:
    """Every Evidently report."""
    return asked.page(
        reports=response.report_list(asked.connection, asked.query.get("model") or None, limit=300)
    )


def report(asked: Asked, report_id: str) -> Page:
    """One report and what to know before its numbers are compared with ours."""
    found = response.report(asked.connection, report_id)
    if found is None:
        msg = "There is no such report."
        raise NotFoundError(msg)
    alert = response.alerts_by_id(asked.connection, [found.alert_id]) if found.alert_id else []
    return asked.page(report=found, alert=alert[0] if alert else None)
