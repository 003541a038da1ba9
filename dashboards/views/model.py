"""One model: charts over time, the heat map of its features, its versions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from dashboards.charts import Figure, Limit, Line, Mark, Marks, Span, time_figure
from dashboards.periods import Period
from dashboards.sparklines import sparkline, strip
from dashboards.views.tiles import LATENCY
from dashboards.words import day_or_minute, reference_name, tight, title_of
from remora.catalogue import show

__all__ = [
    "CHARTS",
    "Chart",
    "HeatRow",
    "charts",
    "evidence",
    "heat",
    "marks_of",
    "versions_table",
]

CHARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Performance", ("auc", "accuracy", "log_loss", "brier", "mae", "rmse", "bias")),
    ("Labels", ("base_rate", "label_coverage")),
    ("Service", ("latency", "error_rate")),
    ("Traffic", ("predictions",)),
)
VERSION_METRICS = (
    "predictions",
    "error_rate",
    "latency_p95",
    "auc",
    "accuracy",
    "log_loss",
    "base_rate",
    "mae",
    "rmse",
)
_AT_ONCE = 2
_COLUMNS = 75  # of the heat map; windows beyond that share a cell, which shows the highest
_COLOURS = ("--series-1", "--series-2", "--series-3")


@dataclass(frozen=True)
class Chart:
    """A picture of a metric: the Plotly figure, and for readers without scripts a line and a sentence."""

    key: str
    title: str
    figure: Figure
    line: Markup
    summary: str


@dataclass(frozen=True)
class HeatRow:
    feature: str
    strip: Markup
    value: str
    highest: str
    verdict: str
    alarms: int


def marks_of(
    fired: Sequence[Any], versions: Sequence[Any], actions: Sequence[Any], period: Period,
    limits: Mapping[str, Sequence[Limit]] | None = None,
) -> dict[str, Marks]:  # fmt: skip
    """What to mark in each metric's picture; `''` is what every picture gets."""
    put_in = [
        Mark(row.first_seen, row.version)
        for row in reversed(versions)
        if row.version and period.start < row.first_seen <= period.end
    ]
    done = [
        Mark(row.finished_at or row.requested_at, row.name)
        for row in actions
        if row.state == "succeeded" and period.start < (row.finished_at or row.requested_at) <= period.end
    ]
    spans: dict[str, list[Span]] = {}
    for alert in fired:
        span = Span(alert.fired_at, alert.resolved_at or period.end, alert.rule)
        spans.setdefault(str(alert.labels.get("metric", "")), []).append(span)
    known = limits or {}
    found = {
        metric: Marks(spans.get(metric, ()), put_in, done, known.get(metric, ()))
        for metric in {*spans, *known}
    }
    return {"": Marks((), put_in, done)} | found


def charts(series: Sequence[Any], marks: dict[str, Marks]) -> list[tuple[str, list[Chart], list[Chart]]]:
    """Groups of charts, those to be seen at once and those to unfold; a metric without any value has none."""
    by_metric: dict[str, list[Any]] = {}
    for row in series:
        by_metric.setdefault(row.metric, []).append(row)
    groups = []
    for title, metrics in CHARTS:
        made = [_chart(metric, by_metric, marks) for metric in metrics]
        shown = [chart for chart in made if chart is not None]
        if shown:
            groups.append((title, shown[:_AT_ONCE], shown[_AT_ONCE:]))
    return groups


def _chart(metric: str, by_metric: dict[str, list[Any]], marks: dict[str, Marks]) -> Chart | None:
    names = LATENCY if metric == "latency" else (metric,)
    lines = [
        Line(
            name.removeprefix("latency_") if metric == "latency" else title_of(name), by_metric[name], colour
        )
        for name, colour in zip(names, _COLOURS, strict=False)
        if any(row.value is not None for row in by_metric.get(name, []))
    ]
    if not lines:
        return None
    main = "latency_p95" if metric == "latency" and "latency_p95" in by_metric else names[0]
    spans = [span for name in names for span in marks.get(name, Marks()).spans]
    limits = [limit for name in names for limit in marks.get(name, Marks()).limits]
    figure = time_figure(main, lines, Marks(spans, marks[""].versions, marks[""].retrains, limits))
    title = "Latency" if metric == "latency" else title_of(metric)
    return chart_of(metric, title, figure, main, by_metric[main])


def chart_of(key: str, title: str, figure: Figure, metric: str, rows: Sequence[Any]) -> Chart:
    """A chart with its plain line and its sentence."""
    summary = tight(describe(metric, rows))
    line = sparkline(
        [row.value for row in rows], f"{title}: {summary}", limit=next((row.threshold for row in reversed(rows)), None),
        alarms=[row.verdict == "alarm" for row in rows], size=(640, 160),
    )  # fmt: skip
    return Chart(key, title, figure, line, summary)


def describe(metric: str, rows: Sequence[Any]) -> str:
    """`0.612 in the newest window with a value (2013-09-12); 0.590 to 0.710 over 300 windows; reference 0.700`."""
    known = [row for row in rows if row.value is not None]
    if not known:
        return "no window with a value in this time"
    last, values = known[-1], [row.value for row in known]
    parts = [
        f"{show(metric, last.value)} in the window of {day_or_minute(last.window_start)}",
        f"{show(metric, min(values))} to {show(metric, max(values))} over {len(known)} windows",
    ]
    if last.reference_value is not None:
        parts.append(f"{reference_name(metric)} {show(metric, last.reference_value)}")
    if last.threshold is not None:
        parts.append(f"threshold {show(metric, last.threshold)}")
    if len(known) < len(rows):
        parts.append(f"{len(rows) - len(known)} windows without a value")
    return "; ".join(parts)


def heat(rows: Sequence[Any]) -> tuple[list[HeatRow], list[str]]:
    """Features by windows of PSI, the worst first, and the dates at the ends."""
    ends = sorted({row.window_end for row in rows})
    if not ends:
        return [], []
    column = {end: index * min(_COLUMNS, len(ends)) // len(ends) for index, end in enumerate(ends)}
    by_feature: dict[str, list[Any]] = {}
    for row in rows:
        by_feature.setdefault(row.feature, []).append(row)
    ordered = sorted(by_feature.items(), key=lambda item: _severity(item[1]), reverse=True)
    heads = [day_or_minute(min(row.window_start for row in rows)), day_or_minute(ends[-1])]
    return [_heat_row(feature, mine, column) for feature, mine in ordered], heads


def _severity(rows: Sequence[Any]) -> tuple[bool, float, float]:
    known = [row.value for row in rows if row.value is not None]
    newest, threshold = rows[-1], next((row.threshold for row in reversed(rows) if row.threshold), 1.0)
    return newest.verdict == "alarm", max(known, default=0.0) / threshold, newest.value or 0.0


def _heat_row(feature: str, rows: Sequence[Any], column: dict[datetime, int]) -> HeatRow:
    cells: list[tuple[int | None, str]] = [(None, "")] * (max(column.values()) + 1)
    for row in rows:
        level = _level(row)
        index = column[row.window_end]
        if level is not None and (cells[index][0] is None or level > (cells[index][0] or 0)):
            cells[index] = (
                level,
                f"{day_or_minute(row.window_start)}: {show('psi', row.value)}" if level >= 2 else "",
            )
    known = [row.value for row in rows if row.value is not None]
    highest = max(known, default=None)
    alarms = sum(row.verdict == "alarm" for row in rows)
    label = f"PSI of {feature}: highest {show('psi', highest)}, {alarms} of {len(rows)} windows alarm"
    newest = rows[-1]
    return HeatRow(
        feature, strip(cells, label), show("psi", newest.value), show("psi", highest), newest.verdict, alarms
    )


def _level(row: Any) -> int | None:
    """0 to 3 below the threshold, 4 and 5 at or beyond it."""
    if row.value is None:
        return None
    ratio = row.value / (row.threshold or 0.2)
    if row.verdict == "alarm" or ratio >= 1:
        return 5 if ratio >= 1.5 else 4
    return min(3, int(ratio * 4))


def versions_table(versions: Sequence[Any], means: Sequence[Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Metrics that any named version has, and each version's value of them over the period."""
    values = {(row.version, row.metric): row for row in means}
    versions = [row for row in versions if row.version]
    metrics = [
        metric for metric in VERSION_METRICS if any((row.version, metric) in values for row in versions)
    ]
    table = []
    for row in versions:
        cells = []
        for metric in metrics:
            found = values.get((row.version, metric))
            number = None if found is None else found.total if metric == "predictions" else found.value
            cells.append(show(metric, None if number is None else float(number)))
        table.append({"version": row.version, "first": row.first_seen, "last": row.last_seen, "cells": cells})
    return [title_of(metric) for metric in metrics], table


def evidence(rows: Sequence[Any], marks: dict[str, Marks]) -> list[Chart]:
    """A chart for each metric and feature that an incident's alerts speak of."""
    by_key: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_key.setdefault((row.metric, row.feature), []).append(row)
    made = []
    for (metric, feature), mine in sorted(by_key.items()):
        title = f"{title_of(metric)}: {feature}" if feature else title_of(metric)
        figure = time_figure(metric, [Line(title_of(metric), mine)], marks.get(metric))
        made.append(chart_of(f"{metric}-{feature}", title, figure, metric, mine))
    return made
