"""From rows to what people and programs read: the views that receivers render."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

import sqlalchemy as sa

from alerts import queries
from alerts.queries import AlertRow
from alerts.receivers.base import Alert
from remora.catalogue import METRICS, show
from remora.config import Config
from remora.config.alerting import Group, Rule

__all__ = ["NO_DATA", "due_lag", "find_rule", "first_window_start", "job_of", "title_of", "view"]

NO_DATA = "NoData"
"""The alertname of the alert that says that a rule cannot see."""


def find_rule(config: Config, name: str) -> tuple[Group, Rule] | None:
    """A rule and its group by the rule's name."""
    return next(
        ((group, rule) for group in config.groups for rule in group.rules if rule.alert == name), None
    )


def job_of(row: AlertRow) -> str:
    """Which job finds the alert's metric."""
    metric = METRICS.get(row.labels.get("metric", ""))
    return metric.job if metric else ""


def due_lag(config: Config, model: str, job: str) -> timedelta:
    """How long after its end a window of this job is judged."""
    windows = config.model(model).windows
    return windows.label_lateness if job == "performance" else windows.lateness


def first_window_start(config: Config, row: AlertRow) -> datetime:
    """Where the first window begins in which the alert's condition held."""
    size = row.window_end - row.window_start
    return min(row.window_start, row.active_at - due_lag(config, row.model, job_of(row)) - size)


def title_of(rows: Iterable[AlertRow]) -> str:
    """One line for several alerts: the first one's summary, and how many more."""
    every = list(rows)
    first = next((row for row in every if row.state == "firing"), every[0])
    more = f" and {len(every) - 1} more" if len(every) > 1 else ""
    return first.annotations.get("summary", first.rule) + more


def view(connection: sa.Connection, config: Config, row: AlertRow) -> Alert:
    """An alert with what it is compared with and what may have caused it."""
    metric = row.labels.get("metric", "")
    finding = queries.finding_of(connection, row)
    rule = find_rule(config, row.rule)
    threshold = ""
    if row.labels["alertname"] == NO_DATA:
        threshold = ""
    elif rule and rule[1].condition:
        operator, number = rule[1].limit or ("", 0.0)
        threshold = f"alarm at {operator} {show(metric, number)}"
    elif finding and finding.threshold is not None:
        threshold = f"alarm above {show(metric, finding.threshold)}"
    reference = ""
    if finding and finding.reference_value is not None:
        reference = f"reference {show(metric, finding.reference_value)}"
    return Alert(
        fingerprint=row.fingerprint,
        status="resolved" if row.state == "resolved" else "firing",
        labels=row.labels,
        annotations=row.annotations,
        starts_at=row.fired_at or row.active_at,
        ends_at=row.resolved_at,
        window_start=row.window_start,
        window_end=row.window_end,
        url=f"{config.external_url}/alerts?model={quote(row.model)}#{row.id}",
        metric=METRICS[metric].title if metric in METRICS else metric,
        value=row.value,
        shown=show(metric, row.value),
        reference=reference,
        threshold=threshold,
        evidence=_evidence(connection, row),
        runbook_url=row.annotations.get("runbook_url", ""),
    )


def _evidence(connection: sa.Connection, row: AlertRow) -> list[str]:
    """The features that drifted most over the alert's window; names and distances, never values."""
    if row.state == "resolved":
        return []
    moved = queries.drifting(connection, row.model, row.window_start, row.window_end)
    return [f"{finding.feature} drifted (PSI {show('psi', finding.value)})" for finding in moved]
