"""A feature's reference beside one window, and its findings over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboards.errors import NotFoundError
from dashboards.pages.asked import Asked, Page
from dashboards.pages.model import around
from dashboards.periods import parse_instant
from dashboards.queries import distributions, findings
from dashboards.views import feature as view
from dashboards.views.model import marks_of
from remora.errors import RemoraError
from remora.summaries import Summary, decode

__all__ = ["feature"]

_DRAWN = 400
_FAN = 60  # windows whose summaries are merged for the picture of the quantiles


def feature(asked: Asked, name: str, feature_name: str) -> Page:
    """The page; `window` chooses the window that is compared."""
    connection, seen = asked.connection, asked.model(name)
    here = around(asked, seen, _DRAWN)
    of = findings.Slice(name, asked.query.get("version", ""), asked.query.get("segment", ""), feature_name)
    rows = findings.of_features(connection, view.METRICS_OF_FEATURES, here.sample, of)
    reference = distributions.reference_column(connection, name, feature_name)
    if not rows and reference is None:
        msg = f"Nothing was found yet about a feature named {feature_name} of {name}."
        raise NotFoundError(msg)
    psi = [row for row in rows if row.metric == "psi"]
    chosen = _window(psi, asked.query.get("window", ""))
    built = _decoded(reference)
    comparison = _compare(asked, of, reference, built, chosen) if chosen is not None else None
    judged = findings.of_window(connection, of, chosen.window_end) if chosen is not None else []
    position = psi.index(chosen) if chosen is not None else 0
    about_it = [row for row in here.fired if row.labels.get("feature") in {None, feature_name}]
    marks = marks_of(about_it, here.versions, here.retrains, here.period)
    moved = sorted((row for row in psi if row.value is not None), key=lambda row: -row.value)
    return asked.page(
        asked.listing("bins", view.BINS, comparison.bins if comparison else []),
        asked.listing("windows", view.WORST, moved, first=5), of=of,
        model=seen, feature=feature_name, period=here.period, sample=here.sample, reference=reference,
        comparison=comparison, charts=view.charts(rows, marks), chosen=chosen, judged=judged,
        fan=_fan(asked, of, reference, built, psi, marks), weight=_weight(feature_name, judged),
        before=psi[position - 1] if position > 0 else None,
        after=psi[position + 1] if position + 1 < len(psi) else None,
    )  # fmt: skip


def _window(rows: list[Any], wanted: str) -> Any | None:
    """The window that ends at the wanted instant, or the newest one with a value."""
    if wanted:
        end = parse_instant(wanted, "window")
        found = next((row for row in rows if row.window_end == end), None)
        if found is not None:
            return found
    return next((row for row in reversed(rows) if row.value is not None), rows[-1] if rows else None)


def _decoded(reference: Any) -> Summary | None:
    try:
        return decode(reference.data) if reference is not None else None
    except RemoraError:  # damaged bytes: the page shows everything else
        return None


def _compare(
    asked: Asked, of: findings.Slice, reference: Any, built: Summary | None, chosen: Any
) -> Any | None:
    if reference is None or built is None:
        return None
    window = (chosen.window_start, chosen.window_end)
    try:
        current = distributions.window_summary(
            asked.connection, of.model or "", of.feature or "", reference.kind, window
        )
    except RemoraError:
        return None
    return view.compare(reference.bins, built, current)


def _fan(
    asked: Asked, of: findings.Slice, reference: Any, built: Summary | None, psi: list[Any], marks: Any
) -> Any | None:
    """The newest window, and others evenly before it."""
    if reference is None or not psi:
        return None
    step = -(-len(psi) // _FAN)
    ends = [row.window_end for row in psi[::-1][::step]]
    try:
        summaries = distributions.window_summaries(
            asked.connection, of.model or "", of.feature or "", reference.kind, ends,
            asked.config.model(of.model or "").windows.size,
        )  # fmt: skip
    except RemoraError:
        return None
    return view.fan(summaries, built, marks[""])


def _weight(name: str, judged: Sequence[Any]) -> Any | None:
    found = (view.weight_of(name, row.details) for row in judged)
    return next((one for one in found if one is not None), None)
