"""One feature: its reference beside a window in the stored bins, and its findings over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dashboards.charts import Figure, Line, Marks, bins_figure, time_figure
from dashboards.views.model import Chart, chart_of
from dashboards.words import title_of
from remora.summaries import CategoricalSummary, NumericSummary, Summary

__all__ = ["METRICS_OF_FEATURES", "Bin", "Comparison", "charts", "compare"]

METRICS_OF_FEATURES = ("psi", "missing_rate", "unseen_rate")
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
    reference_rows: int
    current_rows: int
    most: float  # the highest share, for the bars' scale


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
    figure = bins_figure(
        [one.name for one in found], [one.reference for one in found], [one.current for one in found]
    )
    return Comparison(found, figure, *totals, max(*shares[0], *shares[1]))


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
    return [f"up to {_number(edges[0])}", *inner, f"over {_number(edges[-1])}"]


def _between(low: float, high: float) -> str:
    """A bin of one value lies between it and the next smaller number."""
    return (
        f"exactly {_number(high)}"
        if math.nextafter(high, -math.inf) <= low
        else f"{_number(low)} to {_number(high)}"
    )


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
