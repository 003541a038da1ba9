"""What Prometheus scrapes: the process's own metrics, and gauges read from the database at each scrape.

The number of series is bounded: models times metrics, the 50 worst features of a model, rules that are not resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dashboards.queries import findings, models, response
from remora.catalogue import METRICS
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import REGISTRY

__all__ = ["CONTENT_TYPE", "MAX_FEATURES", "exposition"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
MAX_FEATURES = 50

_VALUES = tuple(name for name, metric in METRICS.items() if not metric.per_feature)
_FAILED_SCRAPES = Counter(
    "remora_scrapes_without_database", "Scrapes that found the database away.", registry=REGISTRY
)


class _Collected(Collector):
    """Families that were read already; prometheus_client asks for nothing but `collect`."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def exposition(database: Database) -> bytes:
    """The text of one scrape. A database that is away shows as `remora_database_up 0`, not as a failed scrape."""
    up = GaugeMetricFamily("remora_database_up", "1 where the database answered this scrape.")
    try:
        with database.read() as connection:
            families = list(_families(connection))
        up.add_metric([], 1)
    except UnavailableError:
        _FAILED_SCRAPES.inc()
        families = []
        up.add_metric([], 0)
    return generate_latest(REGISTRY) + generate_latest(_Collected([up, *families]))


def _families(connection: sa.Connection) -> Iterator[Metric]:
    newest = findings.newest(connection, (*_VALUES, "psi"))
    yield _values(newest)
    yield _drift(newest)
    yield _predictions(connection)
    yield _alerts(connection)
    yield _judged(connection)
    yield _last_seen(connection)
    yield _deliveries(connection)


def _values(newest: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(
        "remora_metric_value", "A metric's value in the newest judged window, all versions together.",
        labels=["model", "metric"],
    )  # fmt: skip
    for row in newest:
        if row.feature == "" and row.value is not None:
            family.add_metric([row.model, row.metric], row.value)
    return family


def _drift(newest: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(
        "remora_feature_drift_psi", f"Population stability index of the {MAX_FEATURES} features that moved most.",
        labels=["model", "feature"],
    )  # fmt: skip
    by_model: dict[str, list[tuple[float, str]]] = {}
    for row in newest:
        if row.metric == "psi" and row.value is not None:
            by_model.setdefault(row.model, []).append((row.value, row.feature))
    for model, values in sorted(by_model.items()):
        for value, feature in sorted(values, reverse=True)[:MAX_FEATURES]:
            family.add_metric([model, feature], value)
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
