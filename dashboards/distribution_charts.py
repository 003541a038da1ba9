"""Figures of a feature's distribution: bins side by side, cumulative shares, and how they moved over the windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from dashboards.charts import Figure, Marks, layout_of, plain
from dashboards.periods import iso

__all__ = ["QUANTILES", "bins_figure", "cumulative_figure", "fan_figure", "shares_figure"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_COLOURS = ("--series-1", "--series-2", "--series-3", "--ok", "--warn", "--muted")


def _categories(layout: dict[str, Any]) -> dict[str, Any]:
    axis = {"type": "category", "linecolor": "--rule", "tickfont": {"size": 11}, "automargin": True}
    return layout | {"xaxis": axis}


def bins_figure(names: Sequence[str], reference: Sequence[float], current: Sequence[float]) -> Figure:
    """Shares per bin, the reference beside the window."""
    names = [plain(name) for name in names]
    bars = (("reference", reference, "--muted"), ("window", current, "--series-1"))
    return {
        "data": [
            {"type": "bar", "name": name, "x": names, "y": list(shares), "marker": {"color": colour},
             "hovertemplate": "%{y:.1%}"}
            for name, shares, colour in bars
        ],
        "layout": _categories(layout_of("ratio", Marks(), legend=True)) | {"barmode": "group"},
    }  # fmt: skip


def cumulative_figure(names: Sequence[str], reference: Sequence[float], current: Sequence[float]) -> Figure:
    """The share of rows up to and with each bin: where the two lines part is where the rows moved."""
    names = [plain(name) for name in names]
    lines = (("reference", reference, "--muted", "dot"), ("window", current, "--series-1", "solid"))
    layout = _categories(layout_of("ratio", Marks(), legend=True))
    layout["yaxis"] = layout["yaxis"] | {"range": [0, 1.02]}
    return {
        "data": [
            {"type": "scatter", "mode": "lines+markers", "name": name, "x": names, "y": list(accumulate(shares)),
             "line": {"color": colour, "width": 1.8, "shape": "hv", "dash": dash}, "marker": {"size": 4, "color": colour},
             "hovertemplate": "%{y:.1%}"}
            for name, shares, colour, dash in lines
        ],
        "layout": layout,
    }  # fmt: skip


def fan_figure(
    windows: Mapping[datetime, Sequence[float]], reference: Sequence[float], marks: Marks
) -> Figure:
    """Quantiles of each window: a band from 5 % to 95 %, one from 25 % to 75 % and the median; the reference's are dotted."""
    ends = list(windows)
    at = [iso(end) for end in ends]
    columns = list(zip(*windows.values(), strict=True))
    traces: list[dict[str, Any]] = []
    for low, high, name in ((0, 4, "5 % to 95 %"), (1, 3, "25 % to 75 %")):
        edge = {
            "type": "scatter",
            "mode": "lines",
            "x": at,
            "line": {"width": 0},
            "hovertemplate": "%{y:,.4~g}",
        }
        traces.append(
            edge | {"y": list(columns[low]), "showlegend": False, "name": name.split(" to ", maxsplit=1)[0]}
        )
        traces.append(
            edge | {"y": list(columns[high]), "fill": "tonexty", "fillcolor": "--band", "name": name}
        )
    traces.append({
        "type": "scatter", "mode": "lines", "name": "median", "x": at, "y": list(columns[2]),
        "line": {"color": "--series-1", "width": 1.8}, "hovertemplate": "%{y:,.4~g}",
    })  # fmt: skip
    for index, value in enumerate(reference):
        traces.append({
            "type": "scatter", "mode": "lines", "name": "reference", "x": [at[0], at[-1]], "y": [value, value],
            "showlegend": index == 0, "hoverinfo": "skip", "line": {"color": "--muted", "width": 1, "dash": "dot"},
        })  # fmt: skip
    layout = layout_of("number", marks, legend=True, ends=(ends[0], ends[-1]))
    layout["yaxis"] = layout["yaxis"] | {"tickformat": ",.4~g"}
    return {"data": traces, "layout": layout}


def shares_figure(
    windows: Mapping[datetime, Mapping[str, float]], names: Sequence[str], marks: Marks
) -> Figure:
    """The share of each of these categories, window by window."""
    ends = list(windows)
    at = [iso(end) for end in ends]
    return {
        "data": [
            {"type": "scatter", "mode": "lines", "name": plain(name), "x": at,
             "y": [shares.get(name, 0.0) for shares in windows.values()], "line": {"color": colour, "width": 1.6},
             "hovertemplate": "%{y:.1%}"}
            for name, colour in zip(names, _COLOURS, strict=False)
        ],
        "layout": layout_of("ratio", marks, legend=True, ends=(ends[0], ends[-1])),
    }  # fmt: skip
