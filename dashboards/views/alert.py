"""One alert: what it says in numbers, around which time to look, and what else moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboards.listing import Column
from dashboards.periods import Period
from dashboards.views.limits import alarm_text
from dashboards.views.tiles import Tile
from dashboards.words import day_or_minute, duration, reference_name, window
from remora.catalogue import METRICS, show
from remora.config.alerting import Rule

__all__ = ["MOVED", "Moved", "around", "decisive", "facts", "feature_of", "matchers", "moved"]

_BEFORE, _AFTER, _MOST = 30, 10, 6


@dataclass(frozen=True)
class Moved:
    """A feature's PSI in the alert's window; `share` is of its own threshold."""

    feature: str
    value: float
    threshold: float | None
    verdict: str

    @property
    def share(self) -> float | None:
        return self.value / self.threshold if self.threshold else None


MOVED = (
    Column("feature", "Feature", lambda row: row.feature, head=True),
    Column("share", "PSI as a share of the feature's own threshold", lambda row: row.share),
    Column("psi", "PSI", lambda row: row.value, lambda row: show("psi", row.value), number=True),
    Column(
        "threshold",
        "Threshold",
        lambda row: row.threshold,
        lambda row: show("psi", row.threshold),
        number=True,
    ),
    Column("verdict", "Verdict", lambda row: row.verdict),
)

_SILENCED_BY = ("alertname", "model", "feature", "segment", "version")


def matchers(alert: Any) -> list[dict[str, str]]:
    """What a silence of this alert matches: its rule, its model, and what of it the alert is about."""
    labels = {"alertname": alert.rule, "model": alert.model} | alert.labels
    return [{"name": name, "value": str(labels[name])} for name in _SILENCED_BY if labels.get(name)]


def around(alert: Any, now: datetime) -> Period:
    """From thirty windows before it became active to ten after it resolved."""
    size = alert.window_end - alert.window_start
    end = min(now, (alert.resolved_at or now) + _AFTER * size)
    return Period(alert.active_at - _BEFORE * size, max(end, alert.window_end), "custom")


def feature_of(alert: Any, rows: Sequence[Any]) -> str:
    """The feature it is about: its label, or the one whose value in its window the alert carries."""
    if alert.labels.get("feature"):
        return str(alert.labels["feature"])
    same = (row.feature for row in rows if row.window_end == alert.window_end and row.value == alert.value)
    return next(same, "")


def decisive(alert: Any, rows: Sequence[Any], lag: timedelta) -> Any | None:
    """The finding that made it fire, judged `lag` after its window's end; of a pending one the newest that counts."""
    if alert.fired_at is None:
        return next((row for row in reversed(rows) if row.window_end == alert.window_end), None)
    return next((row for row in reversed(rows) if row.window_end + lag <= alert.fired_at), None)


def facts(
    alert: Any, rows: Sequence[Any], decided: Any | None, rule: Rule | None, now: datetime
) -> list[Tile]:
    """How bad, the worst of it, against what, since when, and what is measured now; `rows` are its findings over time."""
    metric = str(alert.labels.get("metric", ""))
    title = "When it fired" if alert.fired_at else "Now"
    found = []
    if decided is not None:
        span = window(decided.window_start, decided.window_end)
        found.append(Tile(title, show(metric, decided.value), f"window {span}", "alarm"))
    found += _worst(metric, alert, rows)
    found.append(_rule(metric, decided, rule))
    found.append(_length(alert, now))
    known = [row for row in rows if row.value is not None]
    if known and (decided is None or known[-1].window_end != decided.window_end):
        last = known[-1]
        span = window(last.window_start, last.window_end)
        found.append(Tile("Newest here", show(metric, last.value), f"window {span}", last.verdict))
    return found


def _rule(metric: str, decided: Any | None, rule: Rule | None) -> Tile:
    limit = alarm_text(rule).removeprefix("alarm at ") if rule is not None else ""
    if not limit and decided is not None and decided.threshold is not None:
        limit = f"> {show(metric, decided.threshold)}"
    notes = [f"in {rule.windows} windows"] if rule is not None and rule.windows else []
    if decided is not None and decided.reference_value is not None:
        notes.append(f"{reference_name(metric)} {show(metric, decided.reference_value)}")
    return Tile("Alarms at", limit or "-", "; ".join(notes), "")


def _worst(metric: str, alert: Any, rows: Sequence[Any]) -> list[Tile]:
    """The farthest value from the first window of it to the last one in which it held."""
    better = METRICS[metric].better if metric in METRICS else "none"
    size = alert.window_end - alert.window_start
    during = [
        row
        for row in rows
        if row.value is not None and alert.active_at - 2 * size <= row.window_start < alert.window_end
    ]
    if better == "none" or len(during) < 2:
        return []
    worst = (min if better == "up" else max)(during, key=lambda row: row.value)
    return [Tile("Worst", show(metric, worst.value), window(worst.window_start, worst.window_end), "alarm")]


def _length(alert: Any, now: datetime) -> Tile:
    begun = alert.fired_at
    if begun is None:
        return Tile("Pending", duration(now - alert.active_at), f"since {day_or_minute(alert.active_at)}", "")
    if alert.resolved_at is None:
        return Tile("Firing", duration(now - begun), f"since {day_or_minute(begun)}", "alarm")
    return Tile(
        "Fired for",
        duration(alert.resolved_at - begun),
        f"{day_or_minute(begun)} to {day_or_minute(alert.resolved_at)}",
        "",
    )


def moved(rows: Sequence[Any]) -> list[Moved]:
    """Features by how far they moved, measured by their own thresholds: the farthest first."""
    found = [
        Moved(row.feature, row.value, row.threshold, row.verdict) for row in rows if row.value is not None
    ]
    return sorted(found, key=lambda one: (one.verdict != "alarm", -(one.share or one.value)))[:_MOST]
