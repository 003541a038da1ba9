"""What the voyage has brought, read out of Remora's tables with plain queries, as any user could."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from remora import tables as t
from remora.catalogue import show
from remora.database import Database

__all__ = ["Counts", "Event", "Logbook", "Repair", "Totals", "span"]

MODEL = "flights"
QUALITY_DAYS = 14
_NAMES = {"auc": "AUC", "log_loss": "log loss"}
_ORDER = ("resolved", "firing", "incident", "action")  # at one instant


@dataclass(frozen=True)
class Counts:
    """How far things are; cheap to read while the voyage lasts."""

    predictions: int
    labels: int
    windows: int
    reports: int
    deliveries: int


@dataclass(frozen=True)
class Totals:
    """Rows in the tables at the end."""

    predictions: int
    failed: int
    labels: int
    joined: int


@dataclass(frozen=True)
class Event:
    """Something that a person on the bridge would want to hear."""

    at: datetime
    kind: str  # firing | resolved | action | incident
    text: str


@dataclass(frozen=True)
class Repair:
    """A model update and the quality of the model around it, by metric (mean of daily windows)."""

    requested_at: datetime
    reason: str
    state: str
    version: str | None
    before: dict[str, str]
    after: dict[str, str]


class Logbook:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database.only_reading()

    def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        with self._database.read() as connection:
            return connection.execute(query).all()

    def _count(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        return int(self._rows(sa.select(sa.func.count()).select_from(table).where(*where))[0][0])

    def counts(self) -> Counts:
        """How many of everything."""
        judged = (t.job_runs.c.state == "done") & t.job_runs.c.job.in_(["traffic", "drift", "performance"])
        b = t.batches.c  # what each batch brought: a sum over few rows
        brought = sa.select(
            sa.func.coalesce(sa.func.sum(b.predictions), 0), sa.func.coalesce(sa.func.sum(b.labels), 0)
        )
        predictions, labels = self._rows(brought)[0]
        return Counts(
            predictions=int(predictions),
            labels=int(labels),
            windows=self._count(t.job_runs, judged),
            reports=self._count(t.reports, t.reports.c.state == "done"),
            deliveries=self._count(t.deliveries, t.deliveries.c.state == "delivered"),
        )

    def totals(self) -> Totals:
        """The rows themselves, counted one by one."""
        return Totals(
            predictions=self._count(t.predictions),
            failed=self._count(t.predictions, t.predictions.c.status >= 500),
            labels=self._count(t.labels),
            joined=self._count(t.labels, t.labels.c.joined),
        )

    def settled(self) -> datetime | None:
        """The instant up to which everything is judged, evaluated and planned."""
        rows = self._rows(sa.select(t.clock.c.settled).where(t.clock.c.name == "replay"))
        return rows[0][0] if rows else None

    def busy_repairs(self) -> int:
        """Model updates that were asked for and have not ended."""
        return self._count(t.actions, t.actions.c.state.in_(["requested", "running"]))

    def open_reports(self) -> int:
        """Reports that are wanted and not there yet."""
        return self._count(t.reports, t.reports.c.state.in_(["wanted", "running"]))

    def waiting_deliveries(self) -> int:
        """Messages that have not reached their receiver yet."""
        return self._count(t.deliveries, t.deliveries.c.state == "pending")

    def alerts(self) -> Sequence[Any]:
        """Alerts that fired, in the order of their firing."""
        query = sa.select(t.alerts).where(t.alerts.c.fired_at.is_not(None))
        return self._rows(query.order_by(t.alerts.c.fired_at, t.alerts.c.rule))

    def events(self) -> list[Event]:
        """Everything worth a line, oldest first."""
        found = []
        for alert in self.alerts():
            what = " ".join(filter(None, [alert.rule, alert.labels.get("feature", "")]))
            value = show(alert.labels.get("metric", ""), alert.value)
            found.append(Event(alert.fired_at, "firing", f"{what}: {value}"))
            if alert.resolved_at is not None:
                length = span(alert.resolved_at - alert.fired_at)
                found.append(Event(alert.resolved_at, "resolved", f"{what}, after {length}"))
        e = t.incident_events.c
        query = sa.select(e.at, e.kind, e.text, t.incidents.c.plan, t.incidents.c.opened_at)
        joined = query.join(t.incidents, t.incidents.c.id == e.incident_id).order_by(e.id)
        found += filter(None, (_of_incident(*row) for row in self._rows(joined)))
        return sorted(found, key=lambda event: (event.at, _ORDER.index(event.kind)))

    def daily(self, metric: str, last: int = 60) -> list[float]:
        """The newest values of a metric, all versions together, oldest first."""
        f = t.findings.c
        query = (
            sa.select(f.value)
            .where(
                f.model == MODEL,
                f.metric == metric,
                f.version == "",
                f.segment == "",
                f.latest,
                f.value.is_not(None),
            )
            .order_by(f.window_end.desc())
            .limit(last)
        )
        return [float(row[0]) for row in reversed(self._rows(query))]

    def repairs(self) -> list[Repair]:
        """Every model update with the model's AUC and log loss before and after."""
        found = []
        for action in self._rows(sa.select(t.actions).order_by(t.actions.c.requested_at)):
            start = action.finished_at or action.requested_at
            before = self._quality(action.requested_at - timedelta(days=QUALITY_DAYS), action.requested_at)
            after = self._quality(start, start + timedelta(days=QUALITY_DAYS + 1))
            found.append(
                Repair(action.requested_at, action.reason, action.state, action.model_version, before, after)
            )
        return found

    def _quality(self, start: datetime, end: datetime) -> dict[str, str]:
        found = {}
        for metric in ("auc", "log_loss"):
            f = t.findings.c
            rows = self._rows(
                sa.select(sa.func.avg(f.value)).where(
                    f.model == MODEL, f.metric == metric, f.version == "", f.segment == "", f.feature == "", f.latest,
                    f.window_start >= start, f.window_end <= end,
                )
            )  # fmt: skip
            found[_NAMES[metric]] = show(metric, rows[0][0])
        return found


def span(length: timedelta) -> str:
    """`3 d`, or hours where it was less than a day."""
    hours = length / timedelta(hours=1)
    return f"{hours / 24:.0f} d" if hours >= 24 else f"{hours:.0f} h"


def _of_incident(at: datetime, kind: str, text: str, plan: str, opened: datetime) -> Event | None:
    """What an incident's timeline says beyond its alerts: that it is there, what it set going, how that ended, its end."""
    if kind == "opened":
        return Event(at, "incident", f"incident opened, plan {plan}")
    if kind == "resolved":
        return Event(at, "incident", f"incident over, after {span(at - opened)}")
    if kind in {"alert_attached", "quiet", "action_running"}:
        return None
    small = text.startswith(("notify ", "wait ", "checklist"))
    if small and kind in {"step_started", "step_succeeded"}:
        return None
    return Event(at, "action", text.partition(": requested as")[0] or kind.replace("_", " "))
