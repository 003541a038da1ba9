"""Plotly figures as plain dicts. Colours are names of the page's CSS variables; charts.js puts in their values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from dashboards.words import reference_name
from remora.catalogue import METRICS

__all__ = ["Figure", "Limit", "Line", "Mark", "Marks", "Span", "layout_of", "plain", "time_figure", "times"]

Figure = dict[str, Any]

_WIDTH = 500  # pixels: about what a plot of half a page has
_SIGN = 6.0  # a letter's width
_NOTE = 13  # the height of a line of names
_MOST_LINES = 3
_HOVER = {"count": ",.0f", "ratio": ".2%", "ms": ",.1f", "number": ".4f"}
_TICKS = {"count": ",~s", "ratio": ".1~%", "ms": ",.0f", "number": ".3~f"}


@dataclass(frozen=True)
class Line:
    """One metric over windows: rows of findings, oldest first."""

    name: str
    rows: Sequence[Any]
    colour: str = "--series-1"


@dataclass(frozen=True)
class Span:
    """From firing to resolved (or to the end of the picture)."""

    start: datetime
    end: datetime
    text: str


@dataclass(frozen=True)
class Mark:
    """An instant worth a vertical line."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Limit:
    """Where a rule alarms, in the metric's own unit."""

    value: float
    text: str


@dataclass(frozen=True)
class Marks:
    """What happened meanwhile."""

    spans: Sequence[Span] = ()
    versions: Sequence[Mark] = ()
    retrains: Sequence[Mark] = field(default=())
    limits: Sequence[Limit] = ()


@lru_cache(maxsize=32_768)  # every line of every picture of a page has the same instants
def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_figure(metric: str, lines: Sequence[Line], marks: Marks | None = None) -> Figure:
    """Metrics over time with reference, threshold and interval of the first line, alarms, spans and versions."""
    marks = marks or Marks()
    unit = METRICS[metric].unit if metric in METRICS else "number"
    first = lines[0].rows if lines else []
    traces = _usual(first)
    if len(lines) == 1:
        traces += _interval(first)
    for line in lines:
        traces.append(_line(line, unit))
    for line in lines:
        traces += _alarms(line, unit)
    traces += _level(first, "reference_value", reference_name(metric), "dot", "--muted", unit)
    traces += _level(first, "threshold", "threshold", "dash", "--bad", unit)
    times = [row.window_start for line in lines for row in line.rows]
    values = [row.value for line in lines for row in line.rows if row.value is not None]
    if times and values:
        ends = (min(times), max(times))
        traces += [_limit(limit, ends, unit) for limit in marks.limits if _in_sight(limit.value, values)]
        return {"data": traces, "layout": layout_of(unit, marks, legend=len(traces) > 1, ends=ends)}
    return {"data": traces, "layout": layout_of(unit, marks, legend=len(traces) > 1)}


def _in_sight(limit: float, values: Sequence[float]) -> bool:
    """Whether the line can be drawn without pressing the values flat."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return low - 2 * span <= limit <= high + 2 * span


def _limit(limit: Limit, ends: tuple[datetime, datetime], unit: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": plain(limit.text), "x": [_iso(end) for end in ends],
        "y": [limit.value] * 2, "line": {"color": "--bad", "width": 1.2, "dash": "dash"},
        "hovertemplate": f"%{{y:{_HOVER[unit]}}}",
    }  # fmt: skip


def times(rows: Iterable[Any]) -> list[str]:
    """Where the windows stand on the axis: at their starts."""
    return [_iso(row.window_start) for row in rows]


def _line(line: Line, unit: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines" if len(line.rows) > 1 else "markers", "name": line.name,
        "x": times(line.rows), "y": [row.value for row in line.rows], "connectgaps": False,
        "line": {"color": line.colour, "width": 1.8}, "hovertemplate": f"%{{y:{_HOVER[unit]}}}",
    }  # fmt: skip


def _interval(rows: Sequence[Any]) -> list[dict[str, Any]]:
    known = [row for row in rows if row.low is not None and row.high is not None and row.value is not None]
    if not known:
        return []
    edge = {"type": "scatter", "mode": "lines", "x": times(known), "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        edge | {"y": [row.low for row in known], "showlegend": False, "name": "low"},
        edge
        | {"y": [row.high for row in known], "fill": "tonexty", "fillcolor": "--band", "name": "interval"},
    ]


def _usual(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """The band between the reference and the threshold: in it a value is as usual."""
    known = [row for row in rows if row.reference_value is not None and row.threshold is not None]
    if len(known) < 2:
        return []
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": times(known),
        "line": {"width": 0, "shape": "hv"},
        "hoverinfo": "skip",
    }
    return [
        edge | {"y": [row.threshold for row in known], "showlegend": False, "name": "to"},
        edge
        | {
            "y": [row.reference_value for row in known],
            "fill": "tonexty",
            "fillcolor": "--usual",
            "name": "usual range",
        },
    ]


def _alarms(line: Line, unit: str) -> list[dict[str, Any]]:
    rows = [row for row in line.rows if row.verdict == "alarm" and row.value is not None]
    if not rows:
        return []
    return [{
        "type": "scatter", "mode": "markers", "name": "alarm", "x": times(rows), "y": [row.value for row in rows],
        "marker": {"color": "--bad", "size": 6}, "hovertemplate": f"%{{y:{_HOVER[unit]}}}",
    }]  # fmt: skip


def _level(
    rows: Sequence[Any], column: str, name: str, dash: str, colour: str, unit: str
) -> list[dict[str, Any]]:
    values = [getattr(row, column) for row in rows]
    if all(value is None for value in values):
        return []
    return [{
        "type": "scatter", "mode": "lines", "name": name, "x": times(rows), "y": values,
        "line": {"color": colour, "width": 1.2, "dash": dash, "shape": "hv"},
        "hovertemplate": f"%{{y:{_HOVER[unit]}}}",
    }]  # fmt: skip


def layout_of(
    unit: str, marks: Marks, *, legend: bool, ends: tuple[datetime, datetime] | None = None
) -> dict[str, Any]:
    """What all pictures have in common."""
    suffix = {"ms": " ms"}.get(unit, "")
    notes, lines = _notes(marks.versions, ends) if ends else ([_note(mark, 0) for mark in marks.versions], 1)
    return {
        "height": 230, "margin": {"l": 52, "r": 12, "t": 9 + _NOTE * lines, "b": 32},
        "hovermode": "x unified", "showlegend": False, "legend": {"visible": legend},  # charts.js writes it below
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "--ink-soft"},
        "hoverlabel": {"bgcolor": "--card", "bordercolor": "--rule", "font": {"color": "--ink"}},
        "xaxis": {"type": "date", "gridcolor": "--grid", "linecolor": "--rule", "zeroline": False,
                  "hoverformat": "%Y-%m-%d %H:%M UTC", "tickangle": 0, "nticks": 8},
        "yaxis": {"tickformat": _TICKS[unit], "ticksuffix": suffix, "gridcolor": "--grid", "zeroline": False,
                  "rangemode": "tozero" if unit in {"count", "ms"} else "normal"},
        "shapes": [_span(span) for span in marks.spans]
        + [_vertical(mark, "--accent", "solid") for mark in marks.versions]
        + [_vertical(mark, "--ok", "dot") for mark in marks.retrains],
        "annotations": notes,
    }  # fmt: skip


def _span(span: Span) -> dict[str, Any]:
    return {"type": "rect", "xref": "x", "yref": "paper", "x0": _iso(span.start), "x1": _iso(span.end), "y0": 0,
            "y1": 1, "fillcolor": "--span", "line": {"width": 0}, "layer": "below", "name": span.text}  # fmt: skip


def _vertical(mark: Mark, colour: str, dash: str) -> dict[str, Any]:
    return {"type": "line", "xref": "x", "yref": "paper", "x0": _iso(mark.at), "x1": _iso(mark.at), "y0": 0, "y1": 1,
            "line": {"color": colour, "width": 1, "dash": dash}, "name": mark.text}  # fmt: skip


def _notes(marks: Sequence[Mark], ends: tuple[datetime, datetime]) -> tuple[list[dict[str, Any]], int]:
    """The names of the marks, in as many lines as it takes that none lies on another; and the number of lines.

    The width is a guess, for a chart of half a page; a name that finds no place in three lines is left out.
    """
    span = (ends[1] - ends[0]).total_seconds() or 1.0
    free = [0.0] * _MOST_LINES  # where each line is free from, in pixels
    notes = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        x = max(0.0, (mark.at - ends[0]).total_seconds() / span * _WIDTH)
        width = len(mark.text) * _SIGN
        left = x if x + width <= _WIDTH + _NOTE else x - width  # the margin is room as well
        line = next((number for number, edge in enumerate(free) if left >= edge), None)
        if line is not None:
            free[line] = left + width + 2 * _SIGN
            notes.append(_note(mark, line, right=left < x))
    return notes, max(1, sum(edge > 0 for edge in free))


def _note(mark: Mark, line: int, *, right: bool = False) -> dict[str, Any]:
    return {"x": _iso(mark.at), "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom",
            "xanchor": "right" if right else "left", "yshift": line * _NOTE, "text": plain(mark.text),
            "showarrow": False, "font": {"size": 11, "color": "--accent"}}  # fmt: skip


def plain(text: str) -> str:
    """Plotly reads a few HTML tags and $…$ in texts; a version's name is to be seen as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
