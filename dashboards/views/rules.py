"""Rules with their state, and silences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboards.listing import Column
from dashboards.views.columns import attribute, instant
from dashboards.words import duration, title_of
from remora.catalogue import METRICS, show
from remora.config import Config
from remora.config.alerting import Rule
from remora.config.slo import Burn, BurnRule

__all__ = ["RULES", "SILENCES", "RuleRow", "SilenceRow", "next_look", "rules", "silences"]

_STATES = ("firing", "pending")


@dataclass(frozen=True)
class RuleRow:
    """One rule: how it stands now, and what it asks for."""

    name: str
    group: str
    metric: str
    about: str
    condition: str
    severity: str
    plan: str
    state: str
    firing: int
    pending: int
    last_fired: datetime | None
    next_at: datetime | None
    expected: float | None  # false alarms in 30 days


RULES = (
    Column("state", "State", lambda row: row.state),
    Column("rule", "Rule", lambda row: row.name),
    attribute("group", "Group", hidden=True),
    Column("metric", "About", lambda row: title_of(row.metric)),
    Column("condition", "Alarms when", lambda row: row.condition),
    attribute("severity", "Severity"),
    attribute("plan", "Plan", hidden=True),
    instant("last_fired", "Last fired"),
    instant("next_at", "Next look"),
    Column("expected", "False alarms expected in 30 days", lambda row: row.expected,
           lambda row: "-" if row.expected is None else f"{row.expected:.2g}", number=True),
)  # fmt: skip


def rules(
    config: Config, known: Sequence[Any], next_at: Mapping[str, datetime], expected: Mapping[str, float]
) -> list[RuleRow]:
    """Every rule of the file, those that fire first; `next_at` by job, `expected` by metric."""
    counts: dict[str, dict[str, int]] = {}
    fired: dict[str, datetime] = {}
    for row in known:
        counts.setdefault(row.rule, {})[row.state] = row.number
        if row.fired_at is not None:
            fired[row.rule] = max(fired.get(row.rule, row.fired_at), row.fired_at)
    rows = []
    for group, rule in config.rules:
        mine = counts.get(rule.alert, {})
        job = METRICS[rule.metric].job if rule.metric in METRICS else ""
        by_budget = rule.condition is None and not isinstance(rule, BurnRule)
        rows.append(RuleRow(
            rule.alert, group.name, rule.metric, _about(rule), condition(rule), rule.severity, rule.plan or "",
            next((state for state in _STATES if mine.get(state)), "ok"), mine.get("firing", 0), mine.get("pending", 0),
            fired.get(rule.alert), next_at.get(job), expected.get(rule.metric) if by_budget else None,
        ))  # fmt: skip
    return sorted(rows, key=lambda row: (row.state != "firing", row.state != "pending", row.group, row.name))


def _about(rule: Rule) -> str:
    chosen = [f"{name} {value}" for name, value in rule.select.model_dump().items() if value]
    return ", ".join(chosen) or "every model"


def condition(rule: Rule) -> str:
    """`< 0.610 in 5 of 7 windows, for 1h`; of an objective, the rows of its table."""
    if isinstance(rule, BurnRule):
        return " or ".join(_burns(rule.metric, row) for row in rule.rows)
    parts = [rule.condition or "the finding's own verdict is alarm"]
    if rule.windows:
        parts.append(f"in {rule.windows} windows")
    text = " ".join(parts)
    if rule.for_:
        text += f", for {duration(rule.for_)}"
    if rule.min_samples:
        text += f", with {rule.min_samples:,} rows or more"
    if rule.label_coverage:
        text += f", with {rule.label_coverage:.0%} labelled or more".replace("%", " %")
    return text


def _burns(metric: str, row: Burn) -> str:
    return f"{show(metric, row.threshold)} bad in {duration(row.long)} and in {duration(row.short)} ({row.rate:.4g} times the budget)"


def next_look(config: Config, judged: Mapping[tuple[str, str], datetime]) -> dict[str, datetime]:
    """Job -> when the next window of any model is due: its end and the lateness that rows or labels are given."""
    found: dict[str, datetime] = {}
    for (model, job), until in judged.items():
        windows = config.model(model).windows
        due = until + windows.size + windows.lateness_of(job)
        found[job] = min(found.get(job, due), due)
    return found


@dataclass(frozen=True)
class SilenceRow:
    """One silence, as people read it."""

    id: str
    state: str
    matchers: str
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


SILENCES = (
    attribute("state", "State"),
    attribute("matchers", "Which alerts"),
    instant("starts_at", "From"),
    instant("ends_at", "Until"),
    attribute("created_by", "By"),
    attribute("comment", "Why"),
    attribute("id", "Id", hidden=True),
)
_RANK = {"active": 0, "pending": 1, "expired": 2}


def silences(rows: Iterable[Any], now: datetime) -> list[SilenceRow]:
    """Those in force first."""
    made = []
    for row in rows:
        state = "expired" if row.ends_at <= now else "active" if row.starts_at <= now else "pending"
        made.append(SilenceRow(
            row.id, state, ", ".join(_matcher(one) for one in row.matchers), row.starts_at, row.ends_at, row.created_by, row.comment,
        ))  # fmt: skip
    return sorted(made, key=lambda one: _RANK[one.state])


def _matcher(matcher: Mapping[str, Any]) -> str:
    sign = (
        ("=~" if matcher.get("isRegex") else "=")
        if matcher.get("isEqual", True)
        else ("!~" if matcher.get("isRegex") else "!=")
    )
    return f"{matcher['name']}{sign}{matcher['value']}"
