"""Evidently reports: on alarm, on schedule, on demand; each made in a process of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from dashboards.errors import ReportError
from dashboards.queries import wanted
from dashboards.report_child import Child
from dashboards.report_requests import scheduled, wish
from dashboards.report_rows import job_of
from remora.catalogue import METRICS
from remora.config import Config
from remora.database import Database, insert_new
from remora.tables import reports
from remora.telemetry import REGISTRY, get_logger

__all__ = ["MAX_PER_RULE", "ReportWorker"]

log = get_logger("reports")

MAX_PER_RULE = (
    6  # reports of one rule and model within _PERIOD of event time; a flood of alarms needs no more
)
_PERIOD = timedelta(days=30)
_LOOK_BACK = timedelta(days=60)  # business time; older alarms were seen long ago
_TIMEOUT_SECONDS = 120.0
_LEASE = timedelta(seconds=_TIMEOUT_SECONDS + 60)
_MEMORY = 4 << 30  # address space, of which numpy's threads reserve a good part

_MADE = Counter("remora_reports", "Evidently reports by outcome.", ["outcome"], registry=REGISTRY)


class ReportWorker:
    """Finds alerts and schedules that want a report, queues one per window, and makes one report per call."""

    def __init__(
        self, database: Database, folder: Path, config: Config, *, archive: Path | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> None:  # fmt: skip
        self.database = database
        self.folder = folder.resolve()  # the process beside works in a folder of its own
        self.config = config
        self.archive = archive
        self.timeout = timeout
        self.child = Child(_MEMORY)
        self._closing = False
        self._declined: set[str] = (
            set()
        )  # alerts that get no report; asked again after a restart, with the same answer

    def run_once(self, now: datetime, wall: datetime) -> int:
        """Queue what fired until `now` (business time) and make at most one report; how many were made or failed."""
        if self._closing:
            return 0
        self._queue(now, wall)
        with self.database.write() as connection:
            claimed = wanted.claim(connection, wall, _LEASE)
        if claimed is None:
            return 0
        changes = self._make(claimed) | {"finished_at": wall}
        if (
            self._closing and changes["state"] == "failed"
        ):  # it was not the report's fault: the next server makes it
            changes = {"state": "wanted"}
        with self.database.write() as connection:
            wanted.finish(connection, claimed.id, wall + _LEASE, changes)
        _MADE.labels(changes["state"]).inc()
        return 1

    def close(self) -> None:
        """End the process beside; a report that it was making is wanted again."""
        self._closing = True
        self.child.close()

    def _queue(self, now: datetime, wall: datetime) -> None:
        with self.database.read() as connection:
            regular = scheduled(connection, self.config, now, wall)
            found = wanted.alerts_without_report(connection, now - _LOOK_BACK)
            fresh = [alert for alert in found if alert.id not in self._declined]
            rows = [
                _row_for(alert, wall) for alert in fresh
                if _wants_report(alert)
                and wanted.made_since(connection, alert.model, alert.rule, alert.window_end - _PERIOD) < MAX_PER_RULE
            ]  # fmt: skip
        if not rows:
            self._declined = {alert.id for alert in found}
        wishes = [*rows[:1], *regular]  # of alarms one at a time, so that the next look counts this one
        if wishes:
            with self.database.write() as connection:
                insert_new(connection, reports, wishes, ["model", "version", "window_start", "window_end"])

    def _make(self, claimed: Any) -> dict[str, Any]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.database.read() as connection:
                job = job_of(connection, self.config, claimed, self.folder, self.archive)
            self.child.make(job, self.timeout)
        except ReportError as error:
            log.warning("report_failed", report=claimed.id, model=claimed.model, error=str(error))
            return {"state": "failed", "error": str(error)}
        return {"state": "done", "path": Path(job["path"]).name, "rows": len(job["current"]), "error": None}


def _wants_report(alert: Any) -> bool:
    metric = METRICS.get(str(alert.labels.get("metric", "")))
    return metric is not None and metric.job in {"drift", "performance"}


def _row_for(alert: Any, wall: datetime) -> dict[str, Any]:
    return wish(alert.model, alert.window_start, alert.window_end, wall) | {"alert_id": alert.id}
