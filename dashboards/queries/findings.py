"""What was found: single findings by filter, the newest of each metric, and series over a period."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from dashboards.periods import Period
from remora.tables import findings, models

__all__ = [
    "MAX_FINDINGS", "Filter", "alarming_features", "by_version", "find", "in_window", "newest", "of_features", "one",
    "predictions_judged", "series",
]  # fmt: skip

MAX_FINDINGS = 10_000
_MAX_MODELS = 500
_ENDS_AT_ONCE = 20
_MAX_SERIES = 60_000  # a year of hourly windows of seven metrics

Rows = Sequence[Any]


@dataclass(frozen=True)
class Filter:
    """Which findings of a model; None leaves a column open, '' asks for the whole (all versions, all rows)."""

    model: str
    metric: str | None = None
    feature: str | None = None
    segment: str | None = None
    version: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def find(connection: sa.Connection, wanted: Filter, limit: int) -> Rows:
    """The latest revisions, ordered by window: the newest `limit` of them."""
    query = sa.select(findings).where(findings.c.model == wanted.model, findings.c.latest)
    for name in ("metric", "feature", "segment", "version"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(findings.c[name] == value)
    if wanted.start is not None:
        query = query.where(findings.c.window_start >= wanted.start)
    if wanted.end is not None:
        query = query.where(findings.c.window_end <= wanted.end)
    newest_first = (findings.c.window_end.desc(), findings.c.metric, findings.c.feature, findings.c.version,
                    findings.c.segment)  # fmt: skip
    rows = connection.execute(query.order_by(*newest_first).limit(min(limit, MAX_FINDINGS))).all()
    return sorted(rows, key=lambda row: (row.window_start, row.window_end))


def _whole(query: sa.Select[Any], version: str = "") -> sa.Select[Any]:
    return query.where(findings.c.latest, findings.c.version == version, findings.c.segment == "")


def newest(connection: sa.Connection, metrics: Sequence[str], model: str | None = None) -> Rows:
    """The newest window's findings of each (model, metric), all versions together; one row per feature."""
    ends = _newest_ends(connection, metrics, model)
    by_end: dict[datetime, set[str]] = {}
    for (name, _), end in ends.items():
        by_end.setdefault(end, set()).add(name)
    found: list[Any] = []
    for chunk in _chunks(by_end, _ENDS_AT_ONCE):
        names = set[str]().union(*(by_end[end] for end in chunk))
        query = sa.select(findings).where(
            findings.c.model.in_(names), findings.c.metric.in_(metrics), findings.c.window_end.in_(chunk)
        )
        found += connection.execute(_whole(query).limit(_MAX_SERIES)).all()
    return [row for row in found if ends.get((row.model, row.metric)) == row.window_end]


def _chunks(items: Iterable[datetime], size: int) -> Iterator[list[datetime]]:
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk


def _newest_ends(
    connection: sa.Connection, metrics: Sequence[str], model: str | None
) -> dict[tuple[str, str], datetime]:
    """(model, metric) -> end of its newest window: one look into the index for each."""
    last = [
        sa.select(sa.func.max(findings.c.window_end))
        .where(findings.c.model == models.c.name, findings.c.metric == metric)
        .scalar_subquery()
        .label(f"end_{index}")
        for index, metric in enumerate(metrics)
    ]
    query = sa.select(models.c.name, *last)
    if model is not None:
        query = query.where(models.c.name == model)
    rows = connection.execute(query.limit(_MAX_MODELS)).all()
    return {
        (row[0], metric): end
        for row in rows
        for metric, end in zip(metrics, row[1:], strict=True)
        if end is not None
    }


def _of_period(query: sa.Select[Any], period: Period, model: str | None) -> sa.Select[Any]:
    # Both on one column: with a bound on window_start the unique key looks better, and all of history is read.
    query = query.where(findings.c.window_end > period.start, findings.c.window_end <= period.end)
    if model is not None:
        return query.where(findings.c.model == model)
    return query.where(
        findings.c.model.in_(sa.select(models.c.name))
    )  # lets the index on (model, metric, …) serve


_POINT = (
    findings.c.model, findings.c.metric, findings.c.feature, findings.c.version, findings.c.window_start,
    findings.c.window_end, findings.c.value, findings.c.low, findings.c.high, findings.c.reference_value,
    findings.c.threshold, findings.c.size, findings.c.coverage, findings.c.verdict,
)  # fmt: skip


def series(
    connection: sa.Connection, metrics: Sequence[str], period: Period, model: str | None = None, version: str = "",
) -> Rows:  # fmt: skip
    """Findings that are of no feature, window by window, oldest first."""
    query = sa.select(*_POINT).where(findings.c.metric.in_(metrics), findings.c.feature == "")
    query = _whole(_of_period(query, period, model), version)
    rows = connection.execute(query.order_by(findings.c.window_end.desc()).limit(_MAX_SERIES)).all()
    return rows[::-1]


def of_features(
    connection: sa.Connection, model: str, metrics: Sequence[str], period: Period, feature: str | None = None,
) -> Rows:  # fmt: skip
    """Findings that are of a feature, window by window, oldest first."""
    query = sa.select(*_POINT).where(findings.c.metric.in_(metrics), findings.c.feature != "")
    if feature is not None:
        query = query.where(findings.c.feature == feature)
    query = _whole(_of_period(query, period, model))
    rows = connection.execute(query.order_by(findings.c.window_end.desc()).limit(_MAX_SERIES)).all()
    return rows[::-1]


def alarming_features(connection: sa.Connection, period: Period) -> Rows:
    """(model, window_end, alarms, worst): how many features' PSI alarms in each window, and the highest PSI."""
    alarm = sa.case((findings.c.verdict == "alarm", 1), else_=0)
    query = sa.select(
        findings.c.model, findings.c.window_end,
        sa.func.sum(alarm).label("alarms"), sa.func.max(findings.c.value).label("worst"),
    ).where(findings.c.metric == "psi")  # fmt: skip
    query = _whole(_of_period(query, period, None)).group_by(findings.c.model, findings.c.window_end)
    return connection.execute(query.order_by(findings.c.window_end).limit(_MAX_SERIES)).all()


def by_version(connection: sa.Connection, model: str, metrics: Sequence[str], period: Period) -> Rows:
    """(version, metric, windows, size, value): each version's mean over its windows, weighted by their rows."""
    weighted = sa.func.sum(findings.c.value * findings.c.size)
    size = sa.func.sum(findings.c.size)
    query = sa.select(
        findings.c.version, findings.c.metric, sa.func.count().label("windows"), size.label("size"),
        (weighted / sa.func.nullif(size, 0)).label("value"), sa.func.sum(findings.c.value).label("total"),
    ).where(
        findings.c.metric.in_(metrics), findings.c.feature == "", findings.c.version != "",
        findings.c.segment == "", findings.c.latest, findings.c.value.is_not(None),
    )  # fmt: skip
    query = _of_period(query, period, model).group_by(findings.c.version, findings.c.metric)
    return connection.execute(query.limit(5000)).all()


def predictions_judged(connection: sa.Connection) -> Rows:
    """(model, total): predictions in judged windows, all versions together."""
    query = sa.select(findings.c.model, sa.func.sum(findings.c.value).label("total"))
    named = findings.c.model.in_(sa.select(models.c.name))  # lets the index serve
    query = _whole(query.where(named, findings.c.metric == "predictions", findings.c.value.is_not(None)))
    return connection.execute(query.group_by(findings.c.model).limit(500)).all()


def in_window(connection: sa.Connection, model: str, metrics: Sequence[str], window_end: datetime) -> Rows:
    """Every feature's findings in one window, all versions together."""
    query = sa.select(findings).where(
        findings.c.model == model, findings.c.metric.in_(metrics), findings.c.feature != "",
        findings.c.window_end == window_end,
    )  # fmt: skip
    return connection.execute(_whole(query).limit(5000)).all()


def one(connection: sa.Connection, model: str, metric: str, feature: str, window_end: datetime) -> Any | None:
    """One window's finding with its reason, or None."""
    query = sa.select(findings).where(
        findings.c.model == model, findings.c.metric == metric, findings.c.feature == feature,
        findings.c.window_end == window_end,
    )  # fmt: skip
    return connection.execute(_whole(query).limit(1)).first()
