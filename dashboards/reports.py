"""An Evidently report for the window of each drift or performance alert that fires, made in a process of its own."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from dashboards.errors import ReportError
from dashboards.queries import wanted
from dashboards.report_child import Child
from remora.catalogue import METRICS
from remora.config import Config
from remora.database import Database, insert_new
from remora.records import new_id
from remora.tables import reports
from remora.telemetry import REGISTRY, get_logger

__all__ = ["MAX_PER_RULE", "ReportWorker", "sample_of"]

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
    """Finds alerts that want a report, queues one per window, and makes one report per call."""

    def __init__(
        self, database: Database, folder: Path, config: Config, *, timeout: float = _TIMEOUT_SECONDS
    ) -> None:
        self.database = database
        self.folder = folder.resolve()  # the process beside works in a folder of its own
        self.config = config
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
            found = wanted.alerts_without_report(connection, now - _LOOK_BACK)
            fresh = [alert for alert in found if alert.id not in self._declined]
            rows = [
                _row_for(alert, wall) for alert in fresh
                if _wants_report(alert)
                and wanted.made_since(connection, alert.model, alert.rule, alert.window_end - _PERIOD) < MAX_PER_RULE
            ]  # fmt: skip
        if rows:  # one at a time, so that the next look counts this one
            with self.database.write() as connection:
                insert_new(connection, reports, rows[:1], ["model", "version", "window_start", "window_end"])
        else:
            self._declined = {alert.id for alert in found}

    def _make(self, claimed: Any) -> dict[str, Any]:
        try:
            job = self._job(claimed)
            self.child.make(job, self.timeout)
        except ReportError as error:
            log.warning("report_failed", report=claimed.id, model=claimed.model, error=str(error))
            return {"state": "failed", "error": str(error)}
        return {"state": "done", "path": Path(job["path"]).name, "rows": len(job["current"]), "error": None}

    def _job(self, claimed: Any) -> dict[str, Any]:
        """What the process beside needs: both sides' rows, flat."""
        window = (claimed.window_start, claimed.window_end)
        with self.database.read() as connection:
            packed = wanted.reference_sample(connection, claimed.model)
            if packed is None:
                msg = f"{claimed.model} has no reference to compare with"
                raise ReportError(msg)
            chosen = sample_of(wanted.window_ids(connection, claimed.model, window))
            rows = wanted.window_rows(connection, claimed.model, chosen)
        if not rows:
            msg = "no raw rows of this window are kept"
            raise ReportError(msg)
        model = self.config.model(claimed.model)
        self.folder.mkdir(parents=True, exist_ok=True)
        return {
            "reference": _lines(packed), "current": [_flat(row, model.positive) for row in rows],
            "kind": model.kind, "positive": model.positive, "path": str(self.folder / f"{claimed.id}.html"),
        }  # fmt: skip


def _wants_report(alert: Any) -> bool:
    metric = METRICS.get(str(alert.labels.get("metric", "")))
    return metric is not None and metric.job in {"drift", "performance"}


def _row_for(alert: Any, wall: datetime) -> dict[str, Any]:
    return {
        "id": new_id(), "model": alert.model, "version": "", "window_start": alert.window_start,
        "window_end": alert.window_end, "alert_id": alert.id, "state": "wanted", "requested_at": wall,
    }  # fmt: skip


def sample_of(ids: list[str], most: int = wanted.MAX_ROWS) -> list[str]:
    """At most so many ids, those with the lowest hashes: the same rows each time, whatever their order."""
    if len(ids) <= most:
        return sorted(ids)
    return sorted(ids, key=lambda one: hashlib.blake2b(one.encode(), digest_size=8).digest())[:most]


def _lines(packed: bytes) -> list[dict[str, Any]]:
    with gzip.open(io.BytesIO(packed)) as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    return [_spread(row) for row in rows[: wanted.MAX_ROWS]]


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose features stand in an object of their own, flat."""
    inner = row.get("features")
    if not isinstance(inner, dict):
        return row
    return inner | {name: value for name, value in row.items() if name != "features"}


def _flat(row: Any, positive: str) -> dict[str, Any]:
    score = row.scores
    if isinstance(score, dict):
        score = score.get(positive)
    return row.features | {"prediction": row.prediction, "score": score, "label": row.label}  # type: ignore[no-any-return]
