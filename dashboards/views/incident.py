"""An incident in a screen: what is wrong, since when, why, what is being done; and, once it is over, what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboards.views.limits import alarm_text
from dashboards.words import day_or_minute, duration, title_of, window
from remora.catalogue import METRICS, show
from remora.config.alerting import Rule
from remora.config.plans import Plan
from remora.leads import first_leads

__all__ = ["Glance", "Waiting", "Wrong", "causes", "doing", "glance", "summary", "waiting", "wrong"]

_MOST = 7


@dataclass(frozen=True)
class Wrong:
    """One alert in a line: `Latency p95 171 ms`, and against what."""

    alert_id: str
    what: str
    value: str
    note: str
    firing: bool


@dataclass(frozen=True)
class Waiting:
    """A step of the plan that was not begun."""

    kind: str
    title: str


@dataclass(frozen=True)
class Glance:
    """The four answers."""

    wrong: list[Wrong]
    since: datetime
    causes: list[str]
    doing: list[str]


def wrong(alerts: Sequence[Any], rules: Mapping[str, Rule], found: Sequence[Any]) -> list[Wrong]:
    """What the incident's alerts say, those that fire first; `found` are the findings of their windows."""
    lines = []
    for alert in sorted(alerts, key=lambda one: (one.state != "firing", one.fired_at is None, one.active_at)):
        metric, feature = str(alert.labels.get("metric", "")), alert.labels.get("feature") or ""
        finding = next((row for row in found if row.metric == metric and row.window_end == alert.window_end
                        and row.feature in {feature, ""}), None)  # fmt: skip
        about = [feature, alert.labels.get("segment", ""), alert.labels.get("version", "")]
        named = ", ".join(str(one) for one in about if one)
        what = f"{title_of(metric)}: {named}" if named else title_of(metric)
        lines.append(Wrong(alert.id, what, show(metric, alert.value), _against(alert, rules.get(alert.rule), finding),
                           alert.state == "firing"))  # fmt: skip
    return lines


def _against(alert: Any, rule: Rule | None, finding: Any | None) -> str:
    metric = str(alert.labels.get("metric", ""))
    parts = [alarm_text(rule)] if rule is not None and rule.limit is not None else []
    if not parts and finding is not None and finding.threshold is not None:
        parts.append(f"threshold {show(metric, finding.threshold)}")
    if finding is not None and finding.reference_value is not None and metric != "psi":
        parts.append(f"usually {show(metric, finding.reference_value)}")
    if alert.state == "resolved" and alert.resolved_at is not None:
        parts.append(f"over since {day_or_minute(alert.resolved_at)}")
    return "; ".join(parts)


def causes(
    found: Sequence[Any], moved: Sequence[Any], versions: Sequence[Any], opened: datetime
) -> list[str]:
    """The likeliest reasons: ranked causes of a finding, else what moved most; and a version that had just come."""
    said = first_leads(found)
    if not said:
        said += [
            f"{one.feature} moved: PSI {show('psi', one.value)} of {show('psi', one.threshold)}"
            for one in moved[:3]
            if one.verdict == "alarm"
        ]
    for row in versions:
        if row.version and 0 <= (opened - row.first_seen).total_seconds() < 3 * 86_400:
            said.insert(
                0, f"version {row.version} came into service {duration(opened - row.first_seen)} before"
            )
    changed = [text for row in found if (text := row.details.get("changed_at"))]
    if changed:
        said.append(f"the change is put at {str(min(changed))[:16].replace('T', ' ')} UTC")
    if not said:
        said += [
            f"{window(row.window_start, row.window_end)}: {row.reason}" for row in found[:2] if row.reason
        ]
    return said[:_MOST]


def waiting(plan: Plan | None, steps: Sequence[Any]) -> list[Waiting]:
    """The plan's steps that were not begun."""
    begun = max((row.step for row in steps if row.iteration == max(s.iteration for s in steps)), default=-1)
    return [Waiting(step.kind, _title(step)) for step in plan.steps[begun + 1 :]] if plan is not None else []


def _title(step: Any) -> str:
    if step.kind == "wait":
        return f"wait {duration(step.wait)}"
    if step.kind == "checklist":
        return f"checklist: {', '.join(step.checklist[:3])}"
    given = getattr(step, step.kind, None)
    return f"{step.kind.replace('_', ' ')} {given}" if isinstance(given, str) else step.kind.replace("_", " ")


def doing(incident: Any, steps: Sequence[Any], actions: Sequence[Any], left: Sequence[Waiting]) -> list[str]:
    """Who has it, what runs, what comes next."""
    if incident.state == "resolved":
        return ["nothing more: it is over"]
    by = incident.acknowledged_by or "somebody"
    said = [
        f"{by} has it since {day_or_minute(incident.acknowledged_at)}"
        if incident.acknowledged_at
        else "nobody has acknowledged it"
    ]
    said += [
        f"{row.name} {row.state.replace('_', ' ')}"
        for row in actions
        if row.state in {"requested", "running"}
    ]
    said += [f"under way: {row.title}" for row in steps if row.state == "running"][:2]
    said += [f"failed: {row.title}" for row in steps if row.state == "failed"][-1:]
    said += [f"next: {left[0].title}"] if left else []
    return said


def glance(
    incident: Any, lines: list[Wrong], reasons: list[str], under_way: list[str], alerts: Sequence[Any]
) -> Glance:
    """The four answers, put together."""
    fired = [row.fired_at or row.active_at for row in alerts]
    return Glance(lines, min([*fired, incident.opened_at]), reasons, under_way)


def summary(
    incident: Any, alerts: Sequence[Any], steps: Sequence[Any], actions: Sequence[Any], told: Sequence[Any]
) -> list[tuple[str, str]]:
    """After it is over: how long it took, who took it, what was done; questions and answers."""
    if incident.state != "resolved" or incident.resolved_at is None:
        return []
    begun = min([row.active_at for row in alerts] + [incident.opened_at])
    ended = [
        f"{row.name} {row.state.replace('_', ' ')}" + (f" ({row.model_version})" if row.model_version else "")
        for row in actions
    ]
    states = {name: sum(row.state == name for row in steps) for name in ("done", "failed", "skipped")}
    metrics = sorted(
        {title_of(str(row.labels.get("metric", ""))) for row in alerts if row.labels.get("metric") in METRICS}
    )
    return [
        ("Lasted", f"{duration(incident.resolved_at - incident.opened_at)}, from {day_or_minute(incident.opened_at)} to {day_or_minute(incident.resolved_at)}"),
        ("Seen", f"{duration(incident.opened_at - begun)} after the first sign"),
        ("Acknowledged", f"after {duration(incident.acknowledged_at - incident.opened_at)} by {incident.acknowledged_by or 'somebody'}" if incident.acknowledged_at else "by nobody"),
        ("About", f"{len(alerts)} alert{'s' if len(alerts) != 1 else ''}: {', '.join(metrics) or '-'}"),
        ("Steps", ", ".join(f"{number} {name}" for name, number in states.items() if number) or "none"),
        ("Started", ", ".join(ended) or "nothing"),
        ("Messages", f"{sum(row.state == 'delivered' for row in told)} of {len(told)} delivered"),
    ]  # fmt: skip
