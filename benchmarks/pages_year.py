"""A year in the tables: what `benchmarks/pages.py` opens pages over. Findings are made by the database itself."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import sqlalchemy as sa

from remora import tables as t
from remora.summaries import CategoricalSummary, NumericSummary, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.database import Database

__all__ = ["HOUR", "START", "fill", "names_of"]

START, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
SUMMARISED = 48  # the newest hours of each model that have summaries
AT_ONCE = 168  # hours in a transaction
PER_FEATURE = (
    ("psi", 0.02, 0.06, 0.2),
    ("missing_rate", 0.01, 0.01, 0.05),
    ("unseen_rate", 0.001, 0.002, 0.02),
)
PER_MODEL: tuple[tuple[str, float, float, float | None], ...] = (
    ("predictions", 3000, 900, None), ("error_rate", 0.002, 0.002, 0.02), ("latency_p50", 8, 2, None),
    ("latency_p95", 20, 6, 50), ("latency_p99", 40, 20, None), ("capture_lost", 0, 0, None), ("staleness", 0, 0.1, None),
    ("volume_change", 0, 0.3, 3), ("schema_changes", 0, 0, 1), ("auc", 0.68, 0.04, 0.6), ("accuracy", 0.78, 0.03, None),
    ("precision", 0.5, 0.05, None), ("recall", 0.4, 0.05, None), ("f1", 0.45, 0.05, None), ("log_loss", 0.45, 0.05, None),
    ("brier", 0.15, 0.02, None), ("calibration_error", 0.02, 0.02, None), ("base_rate", 0.23, 0.02, None),
    ("label_coverage", 0.9, 0.08, None), ("estimated_auc", 0.68, 0.04, None), ("estimated_accuracy", 0.78, 0.03, None),
    ("estimated_log_loss", 0.45, 0.05, None), ("estimated_base_rate", 0.23, 0.02, None),
)  # fmt: skip
_SCRATCH = sa.MetaData()
_HOURS = sa.Table("scratch_hours", _SCRATCH, sa.Column("starts", t.findings.c.window_start.type), sa.Column("ends", t.findings.c.window_start.type))  # fmt: skip
_LINES = sa.Table(
    "scratch_lines", _SCRATCH, sa.Column("version", sa.Text), sa.Column("metric", sa.Text), sa.Column("feature", sa.Text),
    sa.Column("base", sa.Double), sa.Column("spread", sa.Double), sa.Column("threshold", sa.Double),
)  # fmt: skip


def names_of(features: int) -> list[str]:
    """Two thirds numbers, one third categories."""
    return [f"{'category' if index % 3 == 2 else 'number'}_{index}" for index in range(features)]


def fill(database: Database, models: int, features: int, hours: int) -> int:
    """Everything that pages read, of a year in which nothing much happened; how many findings there are."""
    end = START + hours * HOUR
    names, columns = [f"model-{index}" for index in range(models)], names_of(features)
    _put(database, t.models, [{"name": name, "first_seen": START, "last_seen": end} for name in names])
    spans = {"v1": (START, START + hours // 2 * HOUR), "v2": (START + hours // 2 * HOUR, end)}
    _put(database, t.versions, [
        {"model": name, "version": version, "first_seen": first, "last_seen": last}
        for name in names for version, (first, last) in spans.items()
    ])  # fmt: skip
    count = _findings(database, columns, hours)
    _response(database, names, hours)
    chance = np.random.default_rng(1)
    for name in names:
        _summaries(database, chance, name, columns, hours)
        _reference(database, chance, name, columns)
    if database.dialect == "postgresql":  # as its autovacuum does by itself
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    return count


def _put(database: Database, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    with database.write() as connection:
        for start in range(0, len(rows), 5000):
            connection.execute(sa.insert(table), rows[start : start + 5000])


def _findings(database: Database, features: list[str], hours: int) -> int:
    """Of all versions together and of each, hour by hour as they came; and the runs that made them."""
    with database.write() as connection:
        _SCRATCH.create_all(connection)
        connection.execute(
            sa.insert(_HOURS),
            [{"starts": START + n * HOUR, "ends": START + (n + 1) * HOUR} for n in range(hours)],
        )
        series = [(metric, "", *numbers) for metric, *numbers in PER_MODEL]
        series += [(metric, feature, *numbers) for metric, *numbers in PER_FEATURE for feature in features
                   if metric != "unseen_rate" or feature.startswith("category")]  # fmt: skip
        connection.execute(sa.insert(_LINES), [
            dict(zip(("version", "metric", "feature", "base", "spread", "threshold"), (version, *line), strict=True))
            for version in ("", "v") for line in series
        ])  # fmt: skip
    for job in ("traffic", "drift", "performance"):
        _runs(database, job)
    share = (
        sa.func.random()
        if database.dialect == "postgresql"
        else sa.func.abs(sa.func.random() % 1_000_000) / 1e6
    )
    version = sa.case(
        (_LINES.c.version == "", ""), (_HOURS.c.starts < START + hours // 2 * HOUR, "v1"), else_="v2"
    )
    threshold = _LINES.c.threshold
    made = {
        "model": t.models.c.name, "version": version, "segment": sa.literal(""), "metric": _LINES.c.metric,
        "feature": _LINES.c.feature, "window_start": _HOURS.c.starts, "window_end": _HOURS.c.ends,
        "value": _LINES.c.base + _LINES.c.spread * share, "threshold": threshold, "reference_value": _LINES.c.base,
        "size": sa.literal(3000), "coverage": sa.literal(0.9),
        "verdict": sa.case((sa.and_(threshold.is_not(None), share < 0.005), "alarm"), else_="ok"),
        "reason": sa.literal("within what the reference's own windows do"), "revision": sa.literal(1),
        "latest": sa.true(), "computed_at": _HOURS.c.ends,
    }  # fmt: skip
    query = sa.select(*(value.label(name) for name, value in made.items())).select_from(
        _HOURS.join(t.models, sa.true()).join(_LINES, sa.true())
    )
    count = 0
    for first in range(0, hours, AT_ONCE):
        begin, end = START + first * HOUR, START + (first + AT_ONCE) * HOUR
        some = query.where(_HOURS.c.starts >= begin, _HOURS.c.starts < end).order_by(_HOURS.c.starts)
        with database.write() as connection:
            count += connection.execute(sa.insert(t.findings).from_select(list(made), some)).rowcount
    with database.write() as connection:
        _SCRATCH.drop_all(connection)
    return count


def _runs(database: Database, job: str) -> None:
    made = {
        "job": sa.literal(job), "model": t.models.c.name, "window_start": _HOURS.c.starts, "window_end": _HOURS.c.ends,
        "state": sa.literal("done"), "owner": sa.literal("one"), "lease_until": _HOURS.c.ends, "epoch": sa.literal(1),
        "attempts": sa.literal(1), "revision": sa.literal(1), "watermark": sa.literal(1), "finished_at": _HOURS.c.ends,
    }  # fmt: skip
    query = sa.select(*(value.label(name) for name, value in made.items())).select_from(
        _HOURS.join(t.models, sa.true())
    )
    with database.write() as connection:
        connection.execute(sa.insert(t.job_runs).from_select(list(made), query))


def _response(database: Database, models: list[str], hours: int) -> None:
    """An alert of each model every four days, each with an incident and two messages; two collectors of each."""
    alerts, incidents, deliveries, collectors = [], [], [], []
    for model in models:
        for number, hour in enumerate(range(hours - 2, 0, -96)):
            key, fired = f"{model}-{number}", START + hour * HOUR
            over = None if number == 0 else fired + 5 * HOUR
            labels = {
                "alertname": "Drift",
                "model": model,
                "metric": "psi",
                "severity": "ticket",
                "feature": "number_0",
            }
            alerts.append({
                "id": f"a-{key}", "rule": "Drift", "fingerprint": key, "model": model, "state": "resolved" if over else "firing",
                "severity": "ticket", "labels": labels, "annotations": {"summary": "number_0 has moved"}, "value": 0.4,
                "active_at": fired, "fired_at": fired, "resolved_at": over, "evaluated_at": over or fired,
                "window_start": fired - HOUR, "window_end": fired, "missing": 0,
            })  # fmt: skip
            incidents.append({
                "id": f"i-{key}", "plan": "drift", "group_key": key, "model": model, "severity": "ticket", "quiet_since": None,
                "title": f"{model}: number_0 has moved", "state": "resolved" if over else "open", "alert_ids": [f"a-{key}"],
                "opened_at": fired, "acknowledged_at": over, "acknowledged_by": "ann" if over else None, "resolved_at": over,
            })  # fmt: skip
            deliveries += [{
                "id": f"d-{key}-{turn}", "event_id": f"{key}-{turn}", "receiver": "chat", "kind": "alert.firing", "order_key": key,
                "body": b"{}", "state": "delivered", "attempts": 1, "created_at": fired, "next_attempt_at": fired,
                "expires_at": fired + HOUR, "delivered_at": fired, "last_status": 200,
            } for turn in range(2)]  # fmt: skip
        collectors += [{
            "id": f"{model}-{pod}", "host": f"pod-{pod}", "model": model, "version": "0.1.0", "started_at": START,
            "seen_at": START + hours * HOUR, "counters": {"running": 1, "records_per_second": 9.5, "lost": 0, "lag_seconds": 0.4,
                                                         "bytes": 20_480, "limit_bytes": 1 << 30, "pending": 12, "set_aside": 0},
        } for pod in range(2)]  # fmt: skip
    for table, rows in (
        (t.alerts, alerts),
        (t.incidents, incidents),
        (t.deliveries, deliveries),
        (t.collectors, collectors),
    ):
        _put(database, table, rows)


def _summary(chance: np.random.Generator, column: str, rows: int) -> NumericSummary | CategoricalSummary:
    if column.startswith("category"):
        categories = CategoricalSummary()
        categories.update([f"value-{number}" for number in chance.integers(0, 12, rows)], 3)
        return categories
    numbers = NumericSummary()
    numbers.update(chance.normal(size=rows), 3)
    return numbers


def _summaries(
    database: Database, chance: np.random.Generator, model: str, columns: list[str], hours: int
) -> None:
    made = {column: _summary(chance, column, 3000) for column in columns}
    _put(database, t.summaries, [
        {"model": model, "version": "v2", "segment": "", "granularity": "hour", "start": START + hour * HOUR,
         "column_name": column, "kind": summary.kind, "data": encode(summary), "batch_id": ""}
        for hour in range(max(0, hours - SUMMARISED), hours) for column, summary in made.items()
    ])  # fmt: skip


def _reference(database: Database, chance: np.random.Generator, model: str, columns: list[str]) -> None:
    sample = gzip.compress(msgspec.json.encode(dict.fromkeys(columns, 1.0)))
    _put(database, t.reference_sets, [
        {"id": f"r-{model}", "model": model, "version": "", "source": "training.csv", "rows": 50_000, "built_at": START,
         "active": True, "sample": sample},
    ])  # fmt: skip
    made = [(column, _summary(chance, column, 10_000)) for column in columns]
    _put(database, t.reference_columns, [
        {"reference_id": f"r-{model}", "column_name": column, "kind": summary.kind, "data": encode(summary), "calibration": {},
         "bins": summary.quantiles([tenth / 10 for tenth in range(1, 10)]) if isinstance(summary, NumericSummary)
                 else [f"value-{number}" for number in range(12)]}
        for column, summary in made
    ])  # fmt: skip
