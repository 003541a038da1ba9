"""One model: its metrics over time, with what happened meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dashboards.charts import Figure, Limit, Line, Mark, Marks, Span, time_figure
from dashboards.periods import Period
from dashboards.sparklines import sparkline
from dashboards.views.overview import QUALITY
from dashboards.views.tiles import LATENCY
from dashboards.words import day_or_minute, reference_name, tight, title_of
from remora.catalogue import METRICS, show

__all__ = [
    "Chart",
    "chart_of",
    "charts",
    "evidence",
    "marks_of",
]

_LABELS = ("base_rate", "label_coverage")
_AT_ONCE = 2
_COLOURS = ("--series-1", "--series-2", "--series-3")


@dataclass(frozen=True)
class Chart:
    """A picture of a metric: the Plotly figure, and for readers without scripts a line and a sentence."""

    key: str
    title: str
    figure: Figure
    line: Markup
    summary: str


def _groups() -> list[tuple[str, list[str]]]:
    """Every metric of the catalogue that is of no feature; an estimate stands in the picture of what it estimates."""
    whole = [name for name, metric in METRICS.items() if not metric.per_feature]
    beside = {name for name in whole if name.removeprefix("estimated_") != name and name[10:] in METRICS}
    performance = [
        name for name in whole if METRICS[name].job == "performance" and name not in {*_LABELS, *beside}
    ]
    performance.sort(key=lambda name: QUALITY.index(name) if name in QUALITY else len(QUALITY))
    service = [
        "latency",
        *(name for name in whole if METRICS[name].job == "traffic" and name not in {*LATENCY, "predictions"}),
    ]
    other = [
        name for name in whole
        if METRICS[name].job not in {"performance", "traffic"} and name not in {*_LABELS, *beside}
    ]  # fmt: skip
    return [("Performance", performance), ("Labels", list(_LABELS)), ("Service", service), ("Traffic", ["predictions"]),
            ("Whole model", other)]  # fmt: skip


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
    for title, metrics in _groups():
        made = [_chart(metric, by_metric, marks) for metric in metrics]
        shown = [chart for chart in made if chart is not None]
        if shown:
            groups.append((title, shown[:_AT_ONCE], shown[_AT_ONCE:]))
    return groups


def _lines(metric: str, by_metric: Mapping[str, list[Any]]) -> list[Line]:
    """The lines of a picture that have a value: three of latency, else the metric and what is estimated of it."""
    if metric == "latency":
        named = [
            (name, name.removeprefix("latency_"), colour)
            for name, colour in zip(LATENCY, _COLOURS, strict=True)
        ]
    else:
        named = [(metric, title_of(metric), _COLOURS[0]), (f"estimated_{metric}", "estimated", _COLOURS[1])]
    return [
        Line(title, by_metric[name], colour)
        for name, title, colour in named
        if any(row.value is not None for row in by_metric.get(name, []))
    ]


def _chart(metric: str, by_metric: dict[str, list[Any]], marks: dict[str, Marks]) -> Chart | None:
    lines = _lines(metric, by_metric)
    if not lines:
        return None
    names = LATENCY if metric == "latency" else (metric, f"estimated_{metric}")
    main = "latency_p95" if metric == "latency" and "latency_p95" in by_metric else names[0]
    rows = by_metric.get(main) or list(lines[0].rows)
    spans = [span for name in names for span in marks.get(name, Marks()).spans]
    limits = [limit for name in names for limit in marks.get(name, Marks()).limits]
    figure = time_figure(main, lines, Marks(spans, marks[""].versions, marks[""].retrains, limits))
    return chart_of(metric, "Latency" if metric == "latency" else title_of(metric), figure, main, rows)


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
