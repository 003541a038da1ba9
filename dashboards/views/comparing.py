"""A model's versions, and the segments of its traffic, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboards.listing import Column
from dashboards.words import title_of
from remora.catalogue import METRICS, show

__all__ = ["COMPARED", "Compared", "columns", "segments", "versions"]

_FIRST = ("predictions", "error_rate", "latency_p95")
COMPARED = (
    *_FIRST,
    *(name for name, metric in METRICS.items() if metric.job == "performance" and not metric.per_feature),
)


@dataclass(frozen=True)
class Compared:
    """A version or a segment, and its value of each metric."""

    name: str
    values: dict[str, float]
    alarms: frozenset[str] = frozenset()
    first: datetime | None = None
    last: datetime | None = None


def columns(kind: str, rows: Sequence[Compared]) -> tuple[Column, ...]:
    """The columns that any row has a value in."""
    seen = (
        Column("first", "First seen", lambda row: row.first, lambda row: f"{row.first:%Y-%m-%d}"),
        Column("last", "Last seen", lambda row: row.last, lambda row: f"{row.last:%Y-%m-%d}"),
    )
    metrics = [metric for metric in COMPARED if any(metric in row.values for row in rows)]
    return (
        Column(kind, kind.capitalize(), lambda row: row.name, head=True),
        *(seen if any(row.first for row in rows) else ()),
        *(_column(metric) for metric in metrics),
    )


def _column(metric: str) -> Column:
    return Column(
        metric, title_of(metric), lambda row: row.values.get(metric),
        lambda row: show(metric, row.values.get(metric)), number=True,
    )  # fmt: skip


def versions(seen: Sequence[Any], means: Sequence[Any]) -> list[Compared]:
    """Each named version's values over the period: predictions summed, everything else a mean."""
    values: dict[str, dict[str, float]] = {}
    for row in means:
        number = row.total if row.metric == "predictions" else row.value
        if number is not None:
            values.setdefault(row.version, {})[row.metric] = float(number)
    return [
        Compared(row.version, values.get(row.version, {}), frozenset(), row.first_seen, row.last_seen)
        for row in seen
        if row.version
    ]


def segments(rows: Sequence[Any]) -> list[Compared]:
    """Each segment's newest values, those with most alarms first, then those with most traffic."""
    values: dict[str, dict[str, float]] = {}
    alarms: dict[str, set[str]] = {}
    for row in sorted(rows, key=lambda row: row.window_end):
        mine = values.setdefault(row.segment, {})
        if row.value is not None:
            mine[row.metric] = row.value
        if row.verdict == "alarm":
            alarms.setdefault(row.segment, set()).add(row.metric)
    made = [Compared(name, mine, frozenset(alarms.get(name, ()))) for name, mine in values.items()]
    return sorted(made, key=lambda one: (-len(one.alarms), -one.values.get("predictions", 0.0), one.name))
