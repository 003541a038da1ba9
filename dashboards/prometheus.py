"""What Prometheus scrapes: the process's own metrics, and gauges read from the database at each scrape.

The number of series is bounded: models times metrics, the 50 features of a model that moved most, rules that are not
resolved. What has no bound (segments, versions, every pod) is in the tables and their views.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dashboards import objectives
from dashboards.queries import exposed, findings, models, response
from remora import __version__
from remora.catalogue import METRICS
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import REGISTRY

__all__ = ["CONTENT_TYPE", "MAX_FEATURES", "exposition"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
MAX_FEATURES = 50

_DRIFT = "psi"  # of the feature metrics the one that every feature has: it says which moved most
_FAILED_SCRAPES = Counter(
    "remora_scrapes_without_database", "Scrapes that found the database away.", registry=REGISTRY
)


class _Collected(Collector):
    """Families that were read already; prometheus_client asks for nothing but `collect`."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def exposition(database: Database, config: Config) -> bytes:
    """The text of one scrape. A database that is away shows as `remora_database_up 0`, not as a failed scrape."""
    up = GaugeMetricFamily("remora_database_up", "1 where the database answered this scrape.")
    try:
        with database.read() as connection:
            families = list(_families(connection, config))
        up.add_metric([], 1)
    except UnavailableError:
        _FAILED_SCRAPES.inc()
        families = []
        up.add_metric([], 0)
    return generate_latest(REGISTRY) + generate_latest(_Collected([up, _info(config), *families]))


def _info(config: Config) -> Metric:
    family = GaugeMetricFamily(
        "remora_info",
        "Always 1: the server's version, and where people reach its pages.",
        labels=["version", "url"],
    )
    family.add_metric([__version__, config.external_url.rstrip("/")], 1)
    return family


def _families(connection: sa.Connection, config: Config) -> Iterator[Metric]:
    newest = findings.newest(connection, tuple(METRICS))
    yield from _values(newest)
    yield _verdicts(newest)
    yield _features(newest)
    yield _predictions(connection)
    yield _alerts(connection)
    yield _judged(connection)
    yield _last_seen(connection)
    yield _deliveries(connection)
    yield from _collectors(connection)
    yield from objectives.families(connection, config)


def _values(newest: Iterable[Any]) -> Iterator[Metric]:
    value = GaugeMetricFamily(
        "remora_metric_value", "A metric's value in the newest judged window, all versions together.",
        labels=["model", "metric"],
    )  # fmt: skip
    threshold = GaugeMetricFamily(
        "remora_metric_threshold", "Where the metric becomes an alarm by its own verdict.",
        labels=["model", "metric"],
    )  # fmt: skip
    for row in newest:
        if row.feature != "" or row.value is None:
            continue
        value.add_metric([row.model, row.metric], row.value)
        if row.threshold is not None:
            threshold.add_metric([row.model, row.metric], row.threshold)
    yield value
    yield threshold


def _verdicts(newest: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(
        "remora_findings", "Findings of the newest judged windows: what was looked at, and whether one could look.",
        labels=["model", "job", "verdict"],
    )  # fmt: skip
    counts = Counts((row.model, METRICS[row.metric].job, row.verdict) for row in newest)
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)
    return family


def _features(newest: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(
        "remora_feature_value", f"A metric of one feature in the newest judged window: of the {MAX_FEATURES} that moved most.",
        labels=["model", "feature", "metric"],
    )  # fmt: skip
    rows = [row for row in newest if row.feature != "" and row.value is not None]
    moved: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        if row.metric == _DRIFT:
            moved.setdefault(row.model, []).append((row.value, row.feature))
    worst = {model: {name for _, name in sorted(pairs)[-MAX_FEATURES:]} for model, pairs in moved.items()}
    for row in rows:
        if row.feature in worst.get(row.model, ()):
            family.add_metric([row.model, row.feature, row.metric], row.value)
    return family


def _predictions(connection: sa.Connection) -> Metric:
    family = CounterMetricFamily("remora_predictions", "Predictions in judged windows.", labels=["model"])
    for row in findings.predictions_judged(connection):
        family.add_metric([row.model], row.total)
    return family


def _alerts(connection: sa.Connection) -> Metric:
    family = GaugeMetricFamily(
        "remora_alerts",
        "Alerts that are pending or firing.",
        labels=["model", "alertname", "severity", "state"],
    )
    for row in models.open_alerts(connection):
        family.add_metric([row.model, row.rule, row.severity, row.state], row.number)
    return family


def _judged(connection: sa.Connection) -> Metric:
    family = GaugeMetricFamily(
        "remora_window_judged_timestamp_seconds", "End of the newest window that a job has judged.",
        labels=["model", "job"],
    )  # fmt: skip
    for (model, job), end in sorted(models.judged_until(connection).items()):
        family.add_metric([model, job], end.timestamp())
    return family


def _last_seen(connection: sa.Connection) -> Metric:
    family = GaugeMetricFamily(
        "remora_model_last_seen_timestamp_seconds",
        "Event time of a model's newest prediction.",
        labels=["model"],
    )
    for row in models.models_seen(connection):
        family.add_metric([row.name], row.last_seen.timestamp())
    return family


def _deliveries(connection: sa.Connection) -> Metric:
    family = GaugeMetricFamily("remora_deliveries", "Messages to receivers by state.", labels=["state"])
    counts = response.deliveries_by_state(connection)
    for state in ("pending", "delivered", "dead"):
        family.add_metric([state], counts.get(state, 0))
    return family


def _collectors(connection: sa.Connection) -> Iterator[Metric]:
    running = GaugeMetricFamily(
        "remora_collectors", "Sidecars (by model) and servers (no model) that have not said goodbye.",
        labels=["model"],
    )  # fmt: skip
    heard = GaugeMetricFamily(
        "remora_collectors_heard_timestamp_seconds", "When the most silent of them was heard of; they report every 15 s.",
        labels=["model"],
    )  # fmt: skip
    lost = GaugeMetricFamily(
        "remora_collectors_lost", "Records that collectors saw and that will never arrive.",
        labels=["model"],
    )  # fmt: skip
    for model, rows in exposed.collectors_by_model(connection).items():
        there = [row.seen_at for row in rows if row.counters.get("running") != 0]
        running.add_metric([model], len(there))
        if there:
            heard.add_metric([model], min(there).timestamp())
        lost.add_metric([model], sum(float(row.counters.get("lost", 0)) for row in rows))
    yield from (running, heard, lost)
