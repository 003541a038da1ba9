"""Objectives as Prometheus sees them: how fast each error budget burns, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily, Metric

from dashboards.queries import budgets
from remora.config import Config
from remora.config.base import format_duration

__all__ = ["families"]


def families(connection: sa.Connection, config: Config) -> Iterator[Metric]:
    """Two gauges; no value of a window that is shorter than the model's, nor of one in which nothing was judged."""
    rate = GaugeMetricFamily(
        "remora_slo_burn_rate", "How many times as fast as allowed the error budget burns, over a window.",
        labels=["slo", "model", "window"],
    )  # fmt: skip
    left = GaugeMetricFamily(
        "remora_slo_error_budget_remaining_ratio", "What is left of the period's error budget; below 0 it is overspent.",
        labels=["slo", "model"],
    )  # fmt: skip
    for slo in config.slos:
        size = config.model(slo.model).windows.size
        windows = sorted({long for _, long in slo.windows() if long >= size})
        for length, found in budgets.spent(connection, slo, [*windows, slo.period]).items():
            if not found.events:
                continue
            burning = found.bad / found.events / slo.budget
            if length == slo.period:
                left.add_metric([slo.name, slo.model], 1 - burning)
            else:
                rate.add_metric([slo.name, slo.model, format_duration(length)], burning)
    yield rate
    yield left
