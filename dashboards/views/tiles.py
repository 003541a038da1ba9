"""The newest value of each metric of a model, in a row of tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.charts import Limit
from dashboards.words import VERDICTS, day_or_minute, title_of
from remora.catalogue import METRICS, show

__all__ = ["LATENCY", "Tile", "tiles"]

LATENCY = ("latency_p50", "latency_p95", "latency_p99")


@dataclass(frozen=True)
class Tile:
    """The newest value of a metric."""

    title: str
    value: str
    note: str
    verdict: str


def tiles(newest: Sequence[Any], series: Sequence[Any], limits: Mapping[str, Sequence[Limit]]) -> list[Tile]:
    """The newest value of each metric that is of no feature; metrics that never had one are left out.

    Where the newest window has none, the last that is known, and a word on why.
    """
    order = list(METRICS)
    rows = sorted((row for row in newest if row.feature == ""), key=lambda row: order.index(row.metric))
    last_known = {row.metric: row for row in series if row.value is not None}
    values = {
        row.metric: row.value if row.value is not None else _value(last_known, row.metric) for row in rows
    }
    shown = []
    for row in rows:
        known = row if row.value is not None else last_known.get(row.metric)
        if known is None or (
            row.metric in {"latency_p50", "latency_p99"} and values.get("latency_p95") is not None
        ):
            continue
        note = _tile_note(row, known, limits.get(row.metric, ()))
        if row.metric == "latency_p95":
            others = [
                f"{name[8:]} {show(name, values[name])}"
                for name in LATENCY
                if values.get(name) and name != row.metric
            ]
            note = "; ".join(filter(None, [", ".join(others), note]))
        shown.append(Tile(title_of(row.metric), show(row.metric, known.value), note, row.verdict))
    return shown


def _value(known: Mapping[str, Any], metric: str) -> float | None:
    return known[metric].value if metric in known else None


def _tile_note(row: Any, known: Any, limits: Sequence[Limit]) -> str:
    if row.value is None:
        return (
            f"of {day_or_minute(known.window_start)}; newest window: {VERDICTS.get(row.verdict, row.verdict)}"
        )
    if row.verdict not in {"ok", "alarm"}:
        return str(row.reason)
    parts = [limit.text for limit in limits[:1]]
    if row.threshold is not None and not parts:
        parts.append(f"threshold {show(row.metric, row.threshold)}")
    if row.reference_value is not None:
        parts.append(f"reference {show(row.metric, row.reference_value)}")
    return "; ".join(parts)
