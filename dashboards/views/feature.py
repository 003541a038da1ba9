"""One feature: its reference beside a window in the stored bins, and its findings over time."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from dashboards.charts import Figure, Line, Marks, time_figure
from dashboards.distribution_charts import (
    QUANTILES,
    bins_figure,
    cumulative_figure,
    fan_figure,
    shares_figure,
)
from dashboards.listing import Column
from dashboards.sparklines import sparkline
from dashboards.views.model import Chart, chart_of
from dashboards.words import bin_share, title_of, window
from remora.catalogue import METRICS, show
from remora.summaries import CategoricalSummary, NumericSummary, Summary

__all__ = [
    "BINS",
    "METRICS_OF_FEATURES",
    "WORST",
    "Bin",
    "Comparison",
    "Weight",
    "charts",
    "compare",
    "fan",
    "weight_of",
]

METRICS_OF_FEATURES = tuple(name for name, metric in METRICS.items() if metric.per_feature)
_SHOWN_CATEGORIES = 6
OTHER, MISSING = "other", "missing"


@dataclass(frozen=True)
class Bin:
    """Shares of the rows, from 0 to 1, and how many hundredths of the picture their bars take."""

    name: str
    reference: float
    current: float

    @property
    def change(self) -> float:
        return self.current - self.reference


@dataclass(frozen=True)
class Comparison:
    bins: list[Bin]
    figure: Figure
    cumulative: Figure | None  # None where the bins have no order
    reference_rows: int
    current_rows: int
    most: float  # the highest share, for the bars' scale


BINS = (
    Column("bin", "Bin", lambda one: one.name, head=True),
    Column("shares", "Share of rows"),
    Column(
        "reference", "Reference", lambda one: one.reference, lambda one: bin_share(one.reference), number=True
    ),
    Column("window", "Window", lambda one: one.current, lambda one: bin_share(one.current), number=True),
    Column(
        "change", "Change", lambda one: one.change, lambda one: f"{one.change * 100:+.1f} pts", number=True
    ),
)

WORST = (
    Column(
        "window", "Window", lambda row: row.window_start, lambda row: window(row.window_start, row.window_end)
    ),
    Column("window_end", "Window's end", lambda row: row.window_end, hidden=True),
    Column("value", "Value", lambda row: row.value, lambda row: show(row.metric, row.value), number=True),
    Column(
        "threshold",
        "Threshold",
        lambda row: row.threshold,
        lambda row: show(row.metric, row.threshold),
        number=True,
    ),
    Column("verdict", "Verdict", lambda row: row.verdict),
)


@dataclass(frozen=True)
class Weight:
    """How much of the score's movement is likely this feature's, as the finding ranks it."""

    rank: int
    of: int
    share: float | None
    influence: float | None


def weight_of(feature: str, details: Mapping[str, Any]) -> Weight | None:
    """Out of a finding's causes; None where it ranks none, or not this feature."""
    causes = [one for one in details.get("causes", ()) if isinstance(one, Mapping)]
    for index, cause in enumerate(causes):
        if cause.get("feature") == feature:
            return Weight(index + 1, len(causes), cause.get("share"), cause.get("influence"))
    return None


def fan(summaries: Mapping[datetime, Summary], reference: Summary | None, marks: Marks) -> Chart | None:
    """How the distribution moved: quantiles of a number, shares of the commonest categories."""
    numeric = {
        end: one.quantiles(list(QUANTILES))
        for end, one in summaries.items()
        if isinstance(one, NumericSummary) and one.count
    }
    if len(numeric) > 1:
        usual = reference.quantiles(list(QUANTILES)) if isinstance(reference, NumericSummary) else []
        medians = [values[2] for values in numeric.values()]
        text = f"median {_number(medians[-1])} in the newest window, {_number(min(medians))} to {_number(max(medians))} over {len(medians)}"
        text += f"; reference {_number(usual[2])}" if usual else ""
        line = sparkline(medians, f"Quantiles over time: {text}", size=(640, 160))
        return Chart("fan", "Quantiles", fan_figure(numeric, usual, marks), line, text)
    counts = {end: one for end, one in summaries.items() if isinstance(one, CategoricalSummary) and one.count}
    if len(counts) < 2:
        return None
    return _shares(counts, reference, marks)


def _shares(windows: Mapping[datetime, CategoricalSummary], reference: Summary | None, marks: Marks) -> Chart:
    shares = {
        end: {name: count / one.count for name, count in one.counts().items()} for end, one in windows.items()
    }
    newest = shares[max(shares)]
    usual = list(reference.counts()) if isinstance(reference, CategoricalSummary) else []
    ranked = sorted({*newest, *usual[:_SHOWN_CATEGORIES]}, key=lambda name: (-newest.get(name, 0.0), name))
    names = ranked[:_SHOWN_CATEGORIES]
    text = (
        ", ".join(f"{name} {bin_share(newest.get(name, 0.0))}" for name in names[:3])
        + " in the newest window"
    )
    line = sparkline(
        [one.get(names[0], 0.0) for one in shares.values()], f"Share of {names[0]}", size=(640, 160)
    )
    return Chart("fan", "Shares of the commonest", shares_figure(shares, names, marks), line, text)


def charts(rows: Sequence[Any], marks: dict[str, Marks]) -> list[Chart]:
    """PSI, missing values and unseen categories over time, as far as there are any."""
    made = []
    for metric in METRICS_OF_FEATURES:
        mine = [row for row in rows if row.metric == metric]
        if any(row.value is not None for row in mine):
            spans = marks.get(metric, Marks()).spans
            figure = time_figure(metric, [Line(title_of(metric), mine)], Marks(spans, marks[""].versions))
            made.append(chart_of(metric, title_of(metric), figure, metric, mine))
    return made


def compare(bins: Any, reference: Summary | None, current: Summary | None) -> Comparison | None:
    """Both distributions in the reference's own bins; None where either has no rows."""
    if isinstance(reference, NumericSummary) and isinstance(current, NumericSummary):
        edges = [float(edge) for edge in _listed(bins, "edges") if isinstance(edge, int | float)]
        names = _ranges(edges)
        pairs = (_stored(bins, len(names)) or list(reference.masses(edges)), list(current.masses(edges)))
    elif isinstance(reference, CategoricalSummary) and isinstance(current, CategoricalSummary):
        categories = [str(name) for name in _listed(bins, "categories")] or list(reference.counts())[:20]
        names = [*categories, OTHER]
        pairs = (_stored(bins, len(names)) or _counts(reference, categories), _counts(current, categories))
    else:
        return None
    totals = reference.total, current.total
    if not totals[0] or not totals[1]:
        return None
    names = [*names, MISSING]
    shares = [
        [float(mass) / total for mass in (*masses, summary.missing)]
        for masses, summary, total in zip(pairs, (reference, current), totals, strict=True)
    ]
    kept = [
        index
        for index, name in enumerate(names)
        if name not in {OTHER, MISSING} or shares[0][index] + shares[1][index] > 0
    ]
    found = [Bin(names[index], shares[0][index], shares[1][index]) for index in kept]
    columns = [one.name for one in found], [one.reference for one in found], [one.current for one in found]
    ordered = cumulative_figure(*columns) if isinstance(reference, NumericSummary) else None
    return Comparison(found, bins_figure(*columns), ordered, *totals, max(*shares[0], *shares[1]))


def _listed(bins: Any, key: str) -> list[Any]:
    """Bins are stored as a list, or as an object with the list in it."""
    found = bins.get(key, []) if isinstance(bins, dict) else bins
    return list(found) if isinstance(found, list) else []


def _stored(bins: Any, number: int) -> list[float]:
    """The reference's exact counts, where they are stored beside the bins."""
    counts = bins.get("counts", []) if isinstance(bins, dict) else []
    return [float(count) for count in counts] if len(counts) == number else []


def _counts(summary: CategoricalSummary, categories: Sequence[str]) -> list[float]:
    counts = summary.counts()
    known = [float(counts.get(name, 0)) for name in categories]
    return [*known, max(0.0, summary.count - sum(known))]


def _ranges(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["all values"]
    inner = [_between(low, high) for low, high in pairwise(edges)]
    fenced = len(edges) > 1 and _is_one_value(edges[0], edges[1])
    first = f"under {_number(edges[1])}" if fenced else f"up to {_number(edges[0])}"
    return [first, *inner, f"over {_number(edges[-1])}"]


def _between(low: float, high: float) -> str:
    return f"exactly {_number(high)}" if _is_one_value(low, high) else f"{_number(low)} to {_number(high)}"


def _is_one_value(low: float, high: float) -> bool:
    """A bin of one value lies between it and the next smaller number."""
    return math.nextafter(high, -math.inf) <= low


def _number(value: float) -> str:
    if abs(value) < sys.float_info.min:  # next to nothing: the neighbour of 0 that fences it in
        return "0"
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
