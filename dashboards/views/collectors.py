"""Sidecars and servers: whether they are heard, what they carry, what they lost, how far behind they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboards.listing import Column
from dashboards.views.columns import attribute, instant
from dashboards.words import duration

__all__ = ["COLLECTORS", "CollectorRow", "collectors"]

_SILENT = timedelta(minutes=2)


@dataclass(frozen=True)
class CollectorRow:
    """One collector; `wrong` says what is not as it should be."""

    id: str
    state: str
    host: str
    model: str
    version: str
    started_at: datetime
    seen_at: datetime
    rate: float | None
    lost: int
    lag: float | None
    spool: float | None
    limit: float | None
    wrong: list[str]
    counters: list[tuple[str, str]]


COLLECTORS = (
    Column("state", "State", lambda row: row.state),
    Column("host", "Collector", lambda row: row.host),
    Column("model", "Model", lambda row: row.model, lambda row: row.model or "any"),
    Column("rate", "Records a second", lambda row: row.rate, lambda row: "-" if row.rate is None else f"{row.rate:,.1f}", number=True),
    Column("lost", "Lost", lambda row: row.lost, lambda row: f"{row.lost:,}", number=True),
    Column("lag", "Behind", lambda row: row.lag, lambda row: "-" if row.lag is None else duration(timedelta(seconds=row.lag)), number=True),
    Column("spool", "Spool", lambda row: row.spool, lambda row: f"{_size(row.spool)} of {_size(row.limit)}", number=True),
    attribute("version", "Remora"),
    instant("seen_at", "Last heard"),
    instant("started_at", "Started", hidden=True),
    attribute("id", "Id", hidden=True),
)  # fmt: skip
_RANK = {"silent": 0, "losing": 1, "ok": 2, "ended": 3}
_LOSSES = ("dropped_full", "dropped_oversize", "resyncs", "expired", "set_aside")


def collectors(rows: Iterable[Any], wall: datetime, own: str) -> list[CollectorRow]:
    """Those in trouble first; `own` is this server's version of Remora."""
    made = [_row(row, wall, own) for row in rows]
    return sorted(made, key=lambda row: _RANK[row.state])


def _row(row: Any, wall: datetime, own: str) -> CollectorRow:
    numbers = {name: float(value) for name, value in row.counters.items() if isinstance(value, int | float)}
    silence = wall - row.seen_at
    ended = numbers.get("running") == 0
    lost = int(numbers.get("lost", 0))
    wrong = [f"not heard of for {duration(silence)}"] if silence > _SILENT and not ended else []
    wrong += [f"{numbers[name]:,.0f} {name.replace('_', ' ')}" for name in _LOSSES if numbers.get(name)]
    wrong += [f"runs Remora {row.version}, this server {own}"] if row.version != own else []
    state = "ended" if ended else "silent" if silence > _SILENT else "losing" if lost else "ok"
    return CollectorRow(
        row.id, state, row.host, row.model, row.version, row.started_at, row.seen_at, numbers.get("records_per_second"),
        lost, numbers.get("lag_seconds"), numbers.get("bytes"), numbers.get("limit_bytes"), wrong,
        [(name, f"{value:,.10g}") for name, value in sorted(numbers.items())],
    )  # fmt: skip


def _size(number: float | None) -> str:
    if number is None:
        return "-"
    value, units = number, ("B", "kB", "MB", "GB")
    index = 0
    while value >= 1000 and index < len(units) - 1:
        value, index = value / 1000, index + 1
    return f"{value:,.0f} {units[index]}" if index == 0 else f"{value:,.1f} {units[index]}"
