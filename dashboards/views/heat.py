"""Features by windows: how far each lies from its reference, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from dashboards.listing import Column
from dashboards.sparklines import strip
from dashboards.words import day_or_minute, short, title_of
from remora.catalogue import METRICS, show

__all__ = ["COLUMNS", "WORST", "HeatRow", "heat", "metrics_of"]

WORST = "worst"
"""Not a metric: of each window the one that is farthest beyond its threshold."""
_CELLS = 75  # windows beyond that share a cell, which shows the highest


@dataclass(frozen=True)
class HeatRow:
    """One feature: its cells, its newest value, and how often it alarmed."""

    feature: str
    metric: str
    strip: Markup
    now: float | None
    highest: float | None
    verdict: str
    alarms: int
    severity: float

    @property
    def now_text(self) -> str:
        return show(self.metric, self.now)

    @property
    def highest_text(self) -> str:
        return show(self.metric, self.highest)


COLUMNS = (
    Column("feature", "Feature", lambda row: row.feature, head=True),
    Column("windows", "Windows"),
    Column("metric", "Metric", lambda row: title_of(row.metric), lambda row: short(row.metric)),
    Column("now", "Now", lambda row: row.now, lambda row: row.now_text, number=True),
    Column("highest", "Highest", lambda row: row.highest, lambda row: row.highest_text, number=True),
    Column("alarms", "Alarms", lambda row: row.alarms, lambda row: str(row.alarms or ""), number=True),
    Column("severity", "Highest by threshold", lambda row: row.severity, hidden=True),
)


def metrics_of(choice: str) -> tuple[str, ...]:
    """The metrics that a choice stands for."""
    known = tuple(name for name, metric in METRICS.items() if metric.per_feature)
    return known if choice == WORST else (choice,)


def heat(rows: Sequence[Any]) -> tuple[list[HeatRow], list[str]]:
    """Features by windows, the worst first, and the dates at the ends; rows are of one or of several metrics."""
    ends = sorted({row.window_end for row in rows})
    if not ends:
        return [], []
    cells = min(_CELLS, len(ends))
    column = {end: index * cells // len(ends) for index, end in enumerate(ends)}
    by_feature: dict[str, list[Any]] = {}
    for row in rows:
        by_feature.setdefault(row.feature, []).append(row)
    made = [_row(feature, mine, column, ends[-1]) for feature, mine in by_feature.items()]
    made.sort(key=lambda row: (row.verdict == "alarm", row.severity, row.now or 0.0), reverse=True)
    return made, [day_or_minute(min(row.window_start for row in rows)), day_or_minute(ends[-1])]


def _ratio(row: Any) -> float:
    """How far beyond its threshold; below nothing where there is no value."""
    if row.value is None:
        return -1.0
    return float(row.value) / (row.threshold or (0.2 if METRICS[row.metric].unit == "number" else 1.0))


def _row(feature: str, rows: Sequence[Any], column: dict[datetime, int], last: datetime) -> HeatRow:
    cells: list[Any] = [None] * (max(column.values()) + 1)
    for row in rows:
        index = column[row.window_end]
        if row.value is not None and (cells[index] is None or _rank(row) > _rank(cells[index])):
            cells[index] = row
    newest = max((row for row in rows if row.window_end == last), key=_rank, default=rows[-1])
    mine = [row for row in rows if row.metric == newest.metric and row.value is not None]
    known = [row for row in rows if row.value is not None]
    highest = max((row.value for row in mine), default=None)
    alarms = len({row.window_end for row in rows if row.verdict == "alarm"})
    name = title_of(newest.metric)
    label = f"{feature}: {name} at most {show(newest.metric, highest)}, {alarms} windows alarm"
    return HeatRow(
        feature, newest.metric, strip([_cell(row) for row in cells], label), newest.value, highest, newest.verdict,
        alarms, max((_ratio(row) for row in known), default=0.0),
    )  # fmt: skip


def _rank(row: Any) -> tuple[bool, float]:
    return row.verdict == "alarm", _ratio(row)


def _cell(row: Any | None) -> tuple[int | None, str]:
    """0 to 3 below the threshold, 4 and 5 at or beyond it; a word for the pointer where it is worth one."""
    if row is None:
        return None, ""
    ratio = _ratio(row)
    alarm = row.verdict == "alarm" or ratio >= 1
    level = (5 if ratio >= 1.5 else 4) if alarm else min(3, max(0, int(ratio * 4)))
    text = f"{day_or_minute(row.window_start)}: {title_of(row.metric)} {show(row.metric, row.value)}"
    return level, text if level >= 2 else ""
