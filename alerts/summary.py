"""The post-incident summary in Markdown: what happened when, what spoke for it, what was done, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from alerts import ledger, queries
from alerts.announcements import find_plan
from alerts.ledger import ActionRow, EventRow, IncidentRow
from alerts.messages import first_window_start, view
from alerts.receivers.base import Alert
from remora.config import Config
from remora.config.base import format_duration

__all__ = ["Story", "of_incident", "write"]

_SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|!"})


@dataclass(frozen=True)
class Story:
    """Everything that the summary tells."""

    incident: IncidentRow
    url: str
    began: datetime  # of the first window in which an alert's condition held
    alerts: Sequence[Alert]
    actions: Sequence[ActionRow]
    events: Sequence[EventRow]
    checklist: Sequence[tuple[str, str]]  # item, and who ticked it
    runbook_url: str = ""


def of_incident(connection: sa.Connection, config: Config, identity: str) -> str | None:
    """The summary of an incident; None where there is none."""
    incident = ledger.incident(connection, identity)
    if incident is None:
        return None
    plan = find_plan(config, incident.plan)
    ticks = ledger.ticks_of(connection, identity)
    rows = queries.alerts_by_id(connection, incident.alert_ids)
    return write(
        Story(
            incident=incident,
            url=f"{config.external_url}/incidents/{incident.id}",
            began=min((first_window_start(config, row) for row in rows), default=incident.opened_at),
            alerts=[view(connection, config, row) for row in rows],
            actions=ledger.actions_of(connection, identity),
            events=ledger.events_of(connection, identity),
            checklist=[
                (item, ticks.get((place, number), ("", None))[0])
                for place, step in enumerate(plan.steps if plan else ())
                for number, item in enumerate(step.checklist or ())
            ],
            runbook_url=(plan.runbook_url if plan else None) or "",
        )
    )


def write(story: Story) -> str:
    """The text, pure."""
    one = story.incident
    parts = [f"# {_plain(one.title)}", _facts(story), "## How long it took", _times(story)]
    if story.alerts:
        parts += ["## Evidence", "\n".join(_evidence(alert) for alert in story.alerts)]
    if story.actions:
        parts += ["## What was started", _actions(story.actions)]
    if story.checklist:
        lines = [f"- [{'x' if by else ' '}] {_plain(item)}" + (f" ({_plain(by)})" if by else "")
                 for item, by in story.checklist]  # fmt: skip
        parts += ["## Checklist", "\n".join(lines)]
    parts += ["## Timeline", _timeline(story.events)]
    parts += [
        "## What we learn",
        "_What went well, what did not, and what is to change: for people to write._",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(story: Story) -> str:
    one = story.incident
    lines = [
        f"- **Model:** {_plain(one.model)}",
        f"- **State:** {one.state}, severity {_plain(one.severity)}, plan {_plain(one.plan)}",
        f"- **Incident:** [{one.id}]({story.url})",
    ]
    if story.runbook_url:
        lines.append(f"- **Runbook:** <{story.runbook_url}>")
    return "\n".join(lines)


def _times(story: Story) -> str:
    one = story.incident
    first = next((event.at for event in story.events if event.kind == "acknowledged"), None)
    who = next((event.actor for event in story.events if event.kind == "acknowledged"), "")
    reopened = sum(event.kind == "reopened" for event in story.events)
    rows = [
        (
            "to detect",
            one.opened_at - story.began,
            f"bad since {_at(story.began)}, opened {_at(one.opened_at)}",
        ),
        (
            "to acknowledge",
            first - one.opened_at if first else None,
            f"by {_plain(who)}" if first else "nobody did",
        ),
        (
            "to resolve",
            one.resolved_at - one.opened_at if one.resolved_at else None,
            f"resolved {_at(one.resolved_at)}" if one.resolved_at else "still open",
        ),
    ]
    lines = ["| time | | |", "| --- | --- | --- |"]
    lines += [f"| {name} | {_long(took)} | {text} |" for name, took, text in rows]
    if reopened:
        lines.append(f"| reopened | {reopened} times | counted from the first opening |")
    return "\n".join(lines)


def _evidence(alert: Alert) -> str:
    end = f" to {_at(alert.ends_at)}" if alert.ends_at else ", still firing"
    parts = [
        f"**{_plain(alert.name)}** ({_at(alert.starts_at)}{end}): {_plain(alert.annotations.get('summary', ''))}"
    ]
    numbers = [
        text
        for text in (alert.shown if alert.value is not None else "", alert.reference, alert.threshold)
        if text
    ]
    if numbers:
        parts.append(_plain("; ".join(numbers)))
    if alert.evidence:
        parts.append("look first at: " + _plain("; ".join(alert.evidence)))
    return f"- [{alert.fingerprint}]({alert.url}) " + " — ".join(parts)


def _actions(actions: Sequence[ActionRow]) -> str:
    lines = [
        "| action | state | requested | took | version | who decided | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in actions:
        took = _long(one.finished_at - one.requested_at) if one.finished_at else "-"
        place = f"[run]({one.url})" if one.url and one.url.startswith(("https://", "http://")) else ""
        cells = (one.name, one.state.replace("_", " "), _at(one.requested_at), took, one.model_version or "-",
                 one.decided_by or "-")  # fmt: skip
        lines.append(
            "| " + " | ".join(_plain(cell) for cell in cells) + f" | {place} {_plain(one.detail or '')} |"
        )
    return "\n".join(lines)


def _timeline(events: Sequence[EventRow]) -> str:
    lines = ["| when (UTC) | who | what | |", "| --- | --- | --- | --- |"]
    for event in events:
        cells = (_at(event.at), event.actor, event.kind.replace("_", " "), event.text)
        lines.append("| " + " | ".join(_plain(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _long(took: timedelta | None) -> str:
    if took is None:
        return "-"
    return format_duration(timedelta(seconds=round(took.total_seconds())))


def _plain(text: str) -> str:
    """One line in which nothing is Markdown."""
    return " ".join(text.split()).translate(_SPECIAL)
