"""From rows to what people and programs read: the views that receivers render."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from alerts import queries
from alerts.finding import Finding
from alerts.queries import AlertRow
from alerts.receivers.base import Alert
from remora.catalogue import METRICS, show
from remora.config import Config
from remora.config.alerting import Group, Rule
from remora.leads import leads_of

__all__ = ["NO_DATA", "find_rule", "first_window_start", "job_of", "title_of", "view", "views"]

_LOOKED_UP = 200
NO_DATA = "NoData"
"""The alertname of the alert that says that a rule cannot see."""


def find_rule(config: Config, name: str) -> tuple[Group, Rule] | None:
    """A rule and its group by the rule's name."""
    return next(((group, rule) for group, rule in config.rules if rule.alert == name), None)


def job_of(row: AlertRow) -> str:
    """Which job finds the alert's metric."""
    metric = METRICS.get(row.labels.get("metric", ""))
    return metric.job if metric else ""


def first_window_start(config: Config, row: AlertRow) -> datetime:
    """Where the first window begins in which the alert's condition held."""
    size = row.window_end - row.window_start
    lag = config.model(row.model).windows.lateness_of(job_of(row))
    return min(row.window_start, row.active_at - lag - size)


def title_of(rows: Iterable[AlertRow]) -> str:
    """One line for several alerts: the first one's summary, and how many more."""
    every = list(rows)
    first = next((row for row in every if row.state == "firing"), every[0])
    more = f" and {len(every) - 1} more" if len(every) > 1 else ""
    return first.annotations.get("summary", first.rule) + more


def views(connection: sa.Connection, config: Config, rows: Sequence[AlertRow]) -> list[Alert]:
    """Several alerts. What is compared and what may have caused it is looked up of the first 200: nobody reads on."""
    return [view(connection if number < _LOOKED_UP else None, config, row) for number, row in enumerate(rows)]


def view(connection: sa.Connection | None, config: Config, row: AlertRow) -> Alert:
    """An alert with what it is compared with and what may have caused it, as far as there is somebody to ask."""
    metric = row.labels.get("metric", "")
    finding = queries.finding_of(connection, row) if connection is not None else None
    reference = ""
    if finding and finding.reference_value is not None:
        words = "chance alone gives" if metric == "psi" else "reference"
        reference = f"{words} {show(metric, finding.reference_value)}"
    return Alert(
        fingerprint=row.fingerprint,
        status="resolved" if row.state == "resolved" else "firing",
        labels=row.labels,
        annotations=row.annotations,
        starts_at=row.fired_at or row.active_at,
        ends_at=row.resolved_at,
        window_start=row.window_start,
        window_end=row.window_end,
        url=f"{config.external_url}/alerts/{row.id}",
        metric=METRICS[metric].title if metric in METRICS else metric,
        value=row.value,
        shown=show(metric, row.value),
        reference=reference,
        threshold=_threshold(config, row, finding),
        now=_measured_now(connection, row) if connection is not None else "",
        evidence=_evidence(connection, row, finding) if connection is not None else [],
        runbook_url=row.annotations.get("runbook_url", ""),
    )


def _threshold(config: Config, row: AlertRow, finding: Finding | None) -> str:
    """From where on the rule alarms: `alarm at < 0.610 in 7 of 10 windows`."""
    metric, found = row.labels.get("metric", ""), find_rule(config, row.rule)
    if row.labels["alertname"] == NO_DATA:
        return ""
    rule = found[1] if found else None
    many = f" in {rule.windows} windows" if rule and rule.windows else ""
    if rule and rule.condition:
        operator, number = rule.limit or ("", 0.0)
        return f"alarm at {operator} {show(metric, number)}{many}"
    if finding and finding.threshold is not None:
        return f"alarm above {show(metric, finding.threshold)}{many}"
    return ""


def _measured_now(connection: sa.Connection, row: AlertRow) -> str:
    """A resolved alert keeps the value it had while its condition held; this is the newest one."""
    metric = METRICS.get(row.labels.get("metric", ""))
    if row.state != "resolved" or row.resolved_at is None or row.labels["alertname"] == NO_DATA:
        return ""
    if metric is None or (metric.per_feature and "feature" not in row.labels):
        return ""
    finding = queries.newest_value(connection, row, row.resolved_at)
    return show(finding.metric, finding.value) if finding else ""


def _evidence(connection: sa.Connection, row: AlertRow, finding: Finding | None) -> list[str]:
    """Where to look first: what the finding ranks, else the features that moved most in its window; never values."""
    if row.state == "resolved" or job_of(row) not in {"drift", "performance"}:
        return []
    if leads := leads_of(finding.details if finding else {}):
        return leads
    moved = queries.drifting(connection, row.model, row.window_start, row.window_end)
    return [_suspect(finding) for finding in moved]


def _suspect(finding: Finding) -> str:
    verb = "drifted" if finding.verdict == "alarm" else "moved"
    beyond = f", threshold {show('psi', finding.threshold)}" if finding.threshold is not None else ""
    return f"{finding.feature} {verb} (PSI {show('psi', finding.value)}{beyond})"
