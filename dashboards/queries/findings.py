"""What was found: single findings by filter, the newest of each metric, and series over a period."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from dashboards.periods import Period, Sample
from remora.catalogue import METRICS
from remora.summaries.profile import PREDICTION, SCORE
from remora.tables import findings, models

__all__ = [
    "MAX_FINDINGS", "Filter", "Slice", "alarming_features", "behind", "by_version", "expected_false_alarms", "find", "in_window", "newest", "of_features",
    "of_segments", "of_the_model", "of_window", "predictions_judged", "series",
]  # fmt: skip

MAX_FINDINGS = 10_000
_MAX_MODELS = 500
_ENDS_AT_ONCE = 20
_MAX_SERIES = 60_000
_MAX_ALARMS = 5000  # beside a sample: where alarms are denser, the sample shows them

PER_FEATURE = tuple(name for name, metric in METRICS.items() if metric.per_feature)

Rows = Sequence[Any]
# Written out: SQLite uses the index of alarms only where it can see that alarms are asked for.
_ALARMED = findings.c.verdict == sa.literal_column("'alarm'")


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


_POINT = (
    findings.c.model, findings.c.metric, findings.c.feature, findings.c.window_start, findings.c.window_end,
    findings.c.value, findings.c.low, findings.c.high, findings.c.reference_value, findings.c.threshold,
    findings.c.size, findings.c.coverage, findings.c.verdict,
)  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """Which findings a picture is of: '' is all versions together, the whole traffic."""

    model: str | None = None
    version: str = ""
    segment: str = ""
    feature: str | None = None


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


def newest(connection: sa.Connection, metrics: Sequence[str], of: Slice | None = None) -> Rows:
    """The newest window's findings of each (model, metric); one row per feature."""
    return _in_newest(connection, metrics, of or Slice(), (*_POINT, findings.c.reason))


def _in_newest(
    connection: sa.Connection, metrics: Sequence[str], of: Slice, columns: Sequence[sa.Column[Any]]
) -> list[Any]:
    """These columns, `model`, `metric` and `window_end` among them, of each metric's newest window."""
    ends = _newest_ends(connection, metrics, of.model)
    by_end: dict[datetime, set[str]] = {}
    for (name, _), end in ends.items():
        by_end.setdefault(end, set()).add(name)
    found: list[Any] = []
    for chunk in _chunks(by_end, _ENDS_AT_ONCE):
        names = set[str]().union(*(by_end[end] for end in chunk))
        query = sa.select(*columns).where(
            findings.c.model.in_(names), findings.c.metric.in_(metrics), findings.c.window_end.in_(chunk),
            findings.c.latest, findings.c.version == of.version, findings.c.segment == of.segment,
        )  # fmt: skip
        found += connection.execute(query.limit(_MAX_SERIES)).all()
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


def series(
    connection: sa.Connection, metrics: Sequence[str], sample: Sample, of: Slice | None = None
) -> Rows:
    """Findings that are of no feature, window by window, oldest first."""
    query = sa.select(*_POINT).where(findings.c.metric.in_(metrics), findings.c.feature == "")
    return _points(connection, query, sample, of or Slice())


def of_features(connection: sa.Connection, metrics: Sequence[str], sample: Sample, of: Slice) -> Rows:
    """Findings that are of a feature, window by window, oldest first."""
    query = sa.select(*_POINT).where(findings.c.metric.in_(metrics), findings.c.feature != "")
    if of.feature is not None:
        query = query.where(findings.c.feature == of.feature)
    return _points(connection, query, sample, of)


def _points(connection: sa.Connection, query: sa.Select[Any], sample: Sample, of: Slice) -> Rows:
    """The sample's windows; where it leaves windows out, those that alarmed are there nevertheless."""
    query = query.where(findings.c.latest, findings.c.version == of.version, findings.c.segment == of.segment)
    query = query.order_by(findings.c.window_end.desc())
    if not sample.ends:
        return connection.execute(_of_period(query, sample.period, of.model).limit(_MAX_SERIES)).all()[::-1]
    alarms = _of_period(query.where(_ALARMED), sample.period, of.model)
    at_ends = query.where(findings.c.window_end.in_(sample.ends))
    at_ends = at_ends.where(
        findings.c.model == of.model
        if of.model is not None
        else findings.c.model.in_(sa.select(models.c.name))
    )
    known = set(sample.ends)
    alarming = connection.execute(alarms.limit(_MAX_ALARMS)).all()
    rows = [
        *connection.execute(at_ends.limit(_MAX_SERIES)),
        *(row for row in alarming if row.window_end not in known),
    ]
    return sorted(rows, key=lambda row: row.window_end)


def alarming_features(connection: sa.Connection, metrics: Sequence[str], period: Period) -> Rows:
    """(model, window_end, alarms): how many features alarm in each window in which any does."""
    query = sa.select(
        findings.c.model,
        findings.c.window_end,
        sa.func.count(sa.distinct(findings.c.feature)).label("alarms"),
    ).where(findings.c.metric.in_(metrics), _ALARMED)
    query = _whole(_of_period(query, period, None)).group_by(findings.c.model, findings.c.window_end)
    return connection.execute(query.order_by(findings.c.window_end).limit(_MAX_SERIES)).all()


def of_segments(
    connection: sa.Connection, model: str, metrics: Sequence[str], ends: Sequence[datetime]
) -> Rows:
    """Findings about segments in the windows that end then, all versions together."""
    query = sa.select(*_POINT, findings.c.segment).where(
        findings.c.model == model, findings.c.metric.in_(metrics), findings.c.window_end.in_(ends),
        findings.c.segment != "", findings.c.version == "", findings.c.feature == "", findings.c.latest,
    )  # fmt: skip
    return connection.execute(query.order_by(findings.c.segment).limit(5000)).all()


def by_version(connection: sa.Connection, model: str, metrics: Sequence[str], sample: Sample) -> Rows:
    """(version, metric, windows, size, value, total): each version's mean over the sample's windows, weighted by rows."""
    weighted = sa.func.sum(findings.c.value * findings.c.size)
    size = sa.func.sum(findings.c.size)
    query = sa.select(
        findings.c.version, findings.c.metric, sa.func.count().label("windows"), size.label("size"),
        (weighted / sa.func.nullif(size, 0)).label("value"), sa.func.sum(findings.c.value).label("total"),
    ).where(
        findings.c.metric.in_(metrics), findings.c.feature == "", findings.c.version != "",
        findings.c.segment == "", findings.c.latest, findings.c.value.is_not(None),
    )  # fmt: skip
    if sample.ends:
        query = query.where(findings.c.model == model, findings.c.window_end.in_(sample.ends))
    else:
        query = _of_period(query, sample.period, model)
    return connection.execute(query.group_by(findings.c.version, findings.c.metric).limit(5000)).all()


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


def of_the_model(connection: sa.Connection, model: str, window_end: datetime) -> Rows:
    """What one window says of the score and the performance, all versions together, labelled findings first."""
    query = sa.select(findings).where(
        findings.c.model == model, findings.c.window_end == window_end, findings.c.value.is_not(None),
        findings.c.feature.in_(("", SCORE, PREDICTION)),
    )  # fmt: skip
    rows = connection.execute(_whole(query).limit(200)).all()
    return sorted(rows, key=lambda row: (row.coverage is None, row.feature, row.metric))


def behind(connection: sa.Connection, model: str, alerts: Sequence[Any]) -> Rows:
    """The findings of the windows that these alerts of a model are about, with reasons; alarms first."""
    if not alerts:
        return []
    about = [
        (str(row.labels.get("metric", "")), row.labels.get("feature"), row.value, row.window_end)
        for row in alerts
    ]
    query = sa.select(findings).where(
        findings.c.model == model, findings.c.metric.in_({one[0] for one in about}),
        findings.c.window_end.in_({one[3] for one in about}),
    )  # fmt: skip
    rows = [
        row for row in connection.execute(_whole(query).limit(2000))
        if any((row.metric, row.window_end) == (metric, end) and (row.feature == feature if feature else row.value == value)
               for metric, feature, value, end in about)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row.verdict != "alarm")


def expected_false_alarms(connection: sa.Connection, metrics: Sequence[str]) -> dict[str, float]:
    """Metric -> false alarms that its newest findings expect in 30 days, of all models and features together."""
    found: dict[str, float] = {}
    columns = (findings.c.model, findings.c.metric, findings.c.window_end, findings.c.details)
    for row in _in_newest(connection, metrics, Slice(), columns):
        if "expected_false_alarms" in row.details:
            found[row.metric] = found.get(row.metric, 0.0) + float(row.details["expected_false_alarms"])
    return found


def of_window(connection: sa.Connection, of: Slice, window_end: datetime) -> Rows:
    """Everything that was found about a feature in one window, with reasons."""
    query = sa.select(findings).where(
        findings.c.model == of.model, findings.c.feature == of.feature, findings.c.window_end == window_end,
        findings.c.metric.in_(PER_FEATURE), findings.c.version == of.version, findings.c.segment == of.segment,
        findings.c.latest,
    )  # fmt: skip
    return connection.execute(query.order_by(findings.c.id).limit(100)).all()
