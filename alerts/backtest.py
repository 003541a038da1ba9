"""Which alerts the rules would have raised over windows that are judged already, when, and how many by chance alone.

Rules, their conditions and timing are those of the configuration given; what was found in a window, and a finding's own
verdict, are those that were stored when it was judged last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from alerts import queries
from alerts.queries import Window
from alerts.rehearsal import Scene, rehearse
from remora.catalogue import JOBS
from remora.config import Config
from remora.config.alerting import Rule
from remora.config.slo import BurnRule
from remora.tables import findings, job_runs

__all__ = ["Backtest", "Raised", "Tally", "backtest"]

_MONTH = timedelta(days=30)


@dataclass
class Raised:
    """An alert that would have fired; `resolved_at` is None where it still does at the end."""

    rule: str
    labels: dict[str, str]
    metric: str
    value: float | None
    fired_at: datetime
    resolved_at: datetime | None = None


@dataclass
class Tally:
    """One rule: the windows it saw, what it raised, and how many alerts are expected where nothing has changed."""

    rule: Rule
    windows: int = 0
    blind: int = 0  # windows in which it could say nothing of any instance
    raised: list[Raised] = field(default_factory=list)
    by_chance: float | None = None  # None: a condition of yours, whose chance nobody knows


@dataclass(frozen=True)
class Backtest:
    """`start` and `end` are those of the windows, `until` when the last was due; None where there are none."""

    start: datetime | None
    end: datetime | None
    until: datetime | None
    windows: int
    tallies: list[Tally]

    @property
    def raised(self) -> list[Raised]:
        """Every alert, the oldest first."""
        return sorted((one for tally in self.tallies for one in tally.raised), key=lambda one: one.fired_at)


def backtest(
    connection: sa.Connection,
    config: Config,
    *,
    model: str | None,
    start: datetime | None,
    end: datetime | None,
) -> Backtest:
    """Rehearse the rules of the configuration over every judged window, of a model or all, between two instants."""
    windows = _judged(connection, config, model, start, end)
    tallies = {
        rule.alert: Tally(rule)
        for _, rule in config.rules
        if model is None or rule.select.model in {None, model}
    }
    for scene in rehearse(
        config, windows, lambda window, rules: queries.findings_for(connection, window, rules)
    ):
        _count(tallies, scene)
    if not windows:
        return Backtest(None, None, None, 0, list(tallies.values()))
    first, last = min(window.start for window in windows), max(window.end for window in windows)
    for tally in tallies.values():
        tally.by_chance = _by_chance(
            connection, tally.rule, {window.model for window in windows}, last - first
        )
    return Backtest(first, last, windows[-1].ts, len(windows), list(tallies.values()))


def _judged(
    connection: sa.Connection, config: Config, model: str | None, start: datetime | None, end: datetime | None
) -> list[Window]:
    runs = sa.select(job_runs.c.job, job_runs.c.model, job_runs.c.window_start, job_runs.c.window_end).where(
        job_runs.c.job.in_(JOBS), job_runs.c.state == "done"
    )
    if model is not None:
        runs = runs.where(job_runs.c.model == model)
    if start is not None:
        runs = runs.where(job_runs.c.window_start >= start)
    if end is not None:
        runs = runs.where(job_runs.c.window_end <= end)
    windows = [
        Window(job, name, begin, until, until + config.model(name).windows.lateness_of(job))
        for job, name, begin, until in connection.execute(runs)
    ]
    return sorted(windows, key=lambda window: (window.ts, JOBS.index(window.job), window.model))


def _count(tallies: dict[str, Tally], scene: Scene) -> None:
    by_rule: dict[str, list[bool]] = {}
    for decision in scene.decisions:
        tally = tallies[decision.rule.alert]
        by_rule.setdefault(decision.rule.alert, []).append(decision.outcome.signal == "keep")
        for change in decision.changes:
            if change.fired:
                row = change.row
                tally.raised.append(
                    Raised(row.rule, row.labels, row.labels["metric"], row.value, scene.window.ts)
                )
            if change.resolved:
                _resolve(tally.raised, change.row.labels, scene.window.ts)
    for name, kept in by_rule.items():
        tallies[name].windows += 1
        tallies[name].blind += all(kept)


def _resolve(raised: Sequence[Raised], labels: dict[str, str], at: datetime) -> None:
    for one in reversed(raised):
        if one.labels == labels and one.resolved_at is None:
            one.resolved_at = at
            return


def _by_chance(connection: sa.Connection, rule: Rule, models: set[str], length: timedelta) -> float | None:
    """How many alarms the findings' own thresholds raise in so long where nothing changes: what the budget allows."""
    if rule.condition is not None or isinstance(rule, BurnRule):
        return None
    expected = [
        rate
        for model in sorted(models & {rule.select.model} if rule.select.model else models)
        for rate in _expected(connection, rule, model)
    ]
    return sum(expected) * (length / _MONTH) if expected else None


def _expected(connection: sa.Connection, rule: Rule, model: str) -> Iterator[float]:
    """False alarms in 30 days of each feature, as its newest finding says."""
    mine = (findings.c.model == model, findings.c.metric == rule.metric, findings.c.latest,
            findings.c.version == rule.select.version, findings.c.segment == rule.select.segment)  # fmt: skip
    newest = sa.select(sa.func.max(findings.c.window_end)).where(*mine).scalar_subquery()
    query = sa.select(findings.c.feature, findings.c.details).where(*mine, findings.c.window_end == newest)
    for feature, details in connection.execute(query):
        if rule.select.feature in {None, feature} and "expected_false_alarms" in (details or {}):
            yield float(details["expected_false_alarms"])
