"""From what a rule says of an instance to the row that is stored of it, pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from alerts.finding import Finding
from alerts.identity import fingerprint, new_id
from alerts.messages import NO_DATA, find_rule
from alerts.queries import AlertRow, Window
from alerts.rules import Active, Instance, Kind, Outcome
from alerts.state import Phase, Signal, State, step
from alerts.templates import render
from remora.catalogue import METRICS, show
from remora.config import Config
from remora.config.alerting import Group, Rule

__all__ = ["Change", "known_instances", "retired", "transition"]


@dataclass(frozen=True)
class Change:
    """A row to be written, or to be dropped because it was pending only."""

    row: AlertRow
    fired: bool = False
    resolved: bool = False
    dropped: bool = False


def known_instances(
    rule: Rule, stored: Iterable[AlertRow]
) -> dict[tuple[Kind, Instance], tuple[AlertRow, Active]]:
    """The rule's unresolved alerts by the instance they stand for."""
    known = {}
    for row in stored:
        if row.rule != rule.alert:
            continue
        kind = Kind.NO_DATA if row.labels["alertname"] == NO_DATA else Kind.RULE
        dims = (
            ("model", row.model),
            *((name, row.labels.get(name, "")) for name in rule.by if name != "model"),
        )
        known[kind, dims] = (row, Active(firing=row.state == "firing", missing=row.missing))
    return known


def transition(
    group: Group, rule: Rule, outcome: Outcome, row: AlertRow | None, window: Window
) -> list[Change]:
    """What the outcome does to the stored row; nothing where an inactive alert stays inactive."""
    before = _state(row)
    own = outcome.kind is Kind.RULE  # that a rule cannot see is said at once, and unsaid at once
    hold, keep = (rule.for_, rule.keep_firing_for) if own else (timedelta(0), timedelta(0))
    after = step(before, outcome.signal, window.ts, for_=hold, keep_firing_for=keep)
    if after is None:
        return [Change(row, dropped=True)] if row is not None else []
    if row is None:
        row = _new_row(group, rule, outcome, after, window)
    row = replace(
        row,
        state=str(after.phase),
        active_at=after.active_at,
        fired_at=after.fired_at,
        keep_firing_since=after.keep_firing_since,
        resolved_at=after.resolved_at,
        evaluated_at=window.ts,
        missing=outcome.missing,
    )
    if outcome.signal is Signal.ACTIVE:
        row = _refreshed(rule, outcome, row, window)
    was_firing = before is not None and before.phase is Phase.FIRING
    fired = after.phase is Phase.FIRING and not was_firing
    return [Change(row, fired=fired, resolved=after.phase is Phase.RESOLVED)]


def retired(config: Config, stored: Iterable[AlertRow], window: Window) -> list[Change]:
    """Alerts whose rule has left the configuration end with the next evaluation of their model."""
    changes = []
    for row in stored:
        if find_rule(config, row.rule) is None:
            ended = replace(row, state="resolved", resolved_at=window.ts, evaluated_at=window.ts)
            changes.append(Change(ended, resolved=row.state == "firing", dropped=row.state == "pending"))
    return changes


def _state(row: AlertRow | None) -> State | None:
    if row is None:
        return None
    return State(Phase(row.state), row.active_at, row.fired_at, row.keep_firing_since, row.resolved_at)


def _new_row(group: Group, rule: Rule, outcome: Outcome, state: State, window: Window) -> AlertRow:
    labels = _labels(group, rule, outcome)
    return AlertRow(
        id=new_id("alert", window.ts),
        rule=rule.alert,
        fingerprint=fingerprint(labels),
        model=window.model,
        state=str(state.phase),
        severity=labels["severity"],
        labels=labels,
        annotations={},
        value=None,
        active_at=state.active_at,
        fired_at=None,
        keep_firing_since=None,
        resolved_at=None,
        evaluated_at=window.ts,
        window_start=window.start,
        window_end=window.end,
        missing=0,
    )


def _labels(group: Group, rule: Rule, outcome: Outcome) -> dict[str, str]:
    """Which alert it is. Remora's own labels cannot be overridden, so no two instances share a fingerprint."""
    own = {"alertname": rule.alert, "metric": rule.metric, **dict(outcome.instance)}
    labels = {"severity": rule.severity, **group.labels, **rule.labels, **own}
    if outcome.kind is Kind.NO_DATA:
        labels |= {"alertname": NO_DATA, "rule": rule.alert, "severity": "ticket"}
    return labels


def _refreshed(rule: Rule, outcome: Outcome, row: AlertRow, window: Window) -> AlertRow:
    """While the condition holds, value, texts and window are those of the finding that speaks for it."""
    finding = outcome.finding
    value = finding.value if finding else None
    return replace(
        row,
        value=value,
        annotations=_annotations(rule, outcome, row, value),
        window_start=finding.window_start if finding else window.start,
        window_end=finding.window_end if finding else window.end,
    )


def _annotations(rule: Rule, outcome: Outcome, row: AlertRow, value: float | None) -> dict[str, str]:
    variables = {
        "labels": row.labels,
        "value": value,
        "rule": rule.alert,
        "runbook_url": rule.annotations.get("runbook_url", ""),
        "annotations": rule.annotations,
    }
    texts = {name: render(text, variables) for name, text in rule.annotations.items()}
    if outcome.kind is Kind.NO_DATA:
        cannot = f"{rule.alert} cannot see {row.model}: {_words(outcome)}"
        return texts | {"summary": cannot, "description": _reason(outcome.finding)}
    texts.setdefault("summary", _summary(rule, outcome, row, value))
    texts.setdefault("description", _reason(outcome.finding))
    return texts


def _summary(rule: Rule, outcome: Outcome, row: AlertRow, value: float | None) -> str:
    title = METRICS[rule.metric].title
    feature = row.labels.get("feature") or (outcome.finding.feature if outcome.finding else "")
    of = f" of {feature}" if feature else ""
    return f"{row.model}: {title}{of} is {show(rule.metric, value)}"


def _words(outcome: Outcome) -> str:
    return str(outcome.reason).replace("_", " ")


def _reason(finding: Finding | None) -> str:
    return finding.reason if finding else "nothing was found in this window"
