"""Incidents: a firing alert opens one for its plan and group, or joins the one that is open; quiet ones resolve."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import sqlalchemy as sa

from alerts import ledger, metrics, outbox, queries
from alerts.identity import event_id, group_key, new_id
from alerts.ledger import IncidentRow
from alerts.messages import find_rule, title_of, view
from alerts.plans import told_receivers
from alerts.queries import AlertRow
from alerts.receivers.base import Event, Incident
from alerts.turn import Turn
from remora.config import Config
from remora.config.alerting import Plan
from remora.errors import UserError
from remora.telemetry import get_logger

__all__ = [
    "MAX_OPEN",
    "acknowledge",
    "announce",
    "covered",
    "expire_acknowledgement",
    "find_plan",
    "note_quiet",
    "resolve",
    "take_in",
    "tell",
]

MAX_OPEN = 50
"""A storm of alerts opens no more incidents than this; the alerts themselves are still told by their routes."""

log = get_logger("incidents")


def find_plan(config: Config, name: str) -> Plan | None:
    return next((plan for plan in config.plans if plan.name == name), None)


def take_in(turn: Turn, fired: Sequence[AlertRow]) -> None:
    """Open, join or reopen incidents for alerts that have just begun to fire."""
    bundles: dict[tuple[str, str], list[AlertRow]] = {}
    for row in fired:
        for plan in _plans_of(turn.config, row):
            key = group_key({}, {name: row.labels.get(name, "") for name in plan.group_by})
            bundles.setdefault((plan.name, key), []).append(row)
    for (name, key), rows in bundles.items():
        _take_in(turn, next(plan for plan in turn.config.plans if plan.name == name), key, rows)


def _plans_of(config: Config, row: AlertRow) -> list[Plan]:
    rule = find_rule(config, row.rule)
    named = rule[1].plan if rule and row.labels["alertname"] == row.rule else None
    return [
        plan
        for plan in config.plans
        if plan.name == named
        or (plan.open_on and all(row.labels.get(name, "") in values for name, values in plan.open_on.items()))
    ]


def _take_in(turn: Turn, plan: Plan, key: str, rows: list[AlertRow]) -> None:
    latest = ledger.latest_of(turn.connection, plan.name, key)
    if latest is not None and latest.state != "resolved":
        _attach(turn, latest, rows)
    elif latest is not None and latest.resolved_at and turn.at - latest.resolved_at < plan.reopen_within:
        _reopen(turn, latest, rows)
    else:
        _open(turn, plan, key, rows)


def _open(turn: Turn, plan: Plan, key: str, rows: list[AlertRow]) -> None:
    if len(ledger.unresolved(turn.connection)) >= MAX_OPEN:
        metrics.INCIDENTS_REFUSED.labels(plan.name).inc()
        log.warning("incident_not_opened", plan=plan.name, reason=f"{MAX_OPEN} are open already")
        return
    row = IncidentRow(
        id=new_id("inc", turn.at),
        plan=plan.name,
        group_key=key,
        model=rows[0].model,
        title=title_of(rows),
        state="open",
        severity="page" if any(alert.severity == "page" for alert in rows) else rows[0].severity,
        alert_ids=[alert.id for alert in rows],
        opened_at=turn.at,
    )
    ledger.add_incident(turn.connection, row)
    ledger.note(turn.connection, row.id, turn.at, "opened", row.title)
    metrics.INCIDENTS.labels(plan.name, "opened").inc()


def _attach(turn: Turn, incident: IncidentRow, rows: list[AlertRow]) -> None:
    new = [row for row in rows if row.id not in incident.alert_ids]
    ids = [*incident.alert_ids, *(row.id for row in new)]
    ledger.change_incident(turn.connection, incident.id, alert_ids=ids, quiet_since=None)
    for row in new:
        ledger.note(
            turn.connection, incident.id, turn.at, "alert_attached", row.annotations.get("summary", row.rule)
        )
    told = replace(incident, alert_ids=ids, quiet_since=None)
    tell(turn, told, "incident.updated", reason="more alerts")


def _reopen(turn: Turn, incident: IncidentRow, rows: list[AlertRow]) -> None:
    ids = list(dict.fromkeys([*incident.alert_ids, *(row.id for row in rows)]))
    changes = {
        "state": "open",
        "alert_ids": ids,
        "quiet_since": None,
        "resolved_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
    }
    ledger.change_incident(turn.connection, incident.id, **changes)
    ledger.note(turn.connection, incident.id, turn.at, "reopened", title_of(rows))
    metrics.INCIDENTS.labels(incident.plan, "reopened").inc()
    told = replace(incident, state="open", alert_ids=ids, resolved_at=None, acknowledged_by=None)
    tell(turn, told, "incident.opened", reason="reopened")


def note_quiet(turn: Turn) -> None:
    """Remember since when all alerts of an incident are resolved."""
    for incident in ledger.unresolved(turn.connection):
        if incident.quiet_since is None and not firing_of(turn, incident):
            ledger.change_incident(turn.connection, incident.id, quiet_since=turn.at)
            ledger.note(turn.connection, incident.id, turn.at, "quiet", "all alerts are resolved")


def firing_of(turn: Turn, incident: IncidentRow) -> list[AlertRow]:
    """The incident's alerts that still fire."""
    rows = queries.alerts_by_id(turn.connection, incident.alert_ids)
    return [row for row in rows if row.state != "resolved"]


def resolve(turn: Turn, incident: IncidentRow) -> None:
    """End an incident whose alerts have been quiet for long enough."""
    ledger.change_incident(turn.connection, incident.id, state="resolved", resolved_at=turn.at)
    ledger.note(turn.connection, incident.id, turn.at, "resolved", "all alerts stayed resolved")
    metrics.INCIDENTS.labels(incident.plan, "resolved").inc()
    for row in ledger.steps_of(turn.connection, incident.id):
        if row.state == "running" and row.kind == "wait":
            ledger.finish_step(
                turn.connection,
                incident.id,
                (row.step, row.iteration),
                state="skipped",
                detail="the incident resolved",
                at=turn.at,
            )
    told = replace(incident, state="resolved", resolved_at=turn.at)
    tell(turn, told, "incident.resolved")


def acknowledge(turn: Turn, incident_id: str, *, by: str, note: str) -> IncidentRow | None:
    """Somebody takes the incident: escalation stops, what repairs goes on. None where there is none.

    Raises `UserError` for an incident that is resolved already.
    """
    incident = ledger.incident(turn.connection, incident_id)
    if incident is None:
        return None
    if incident.state == "resolved":
        raise UserError("the incident is resolved already")
    taken = replace(incident, state="acknowledged", acknowledged_at=turn.at, acknowledged_by=by)
    ledger.change_incident(
        turn.connection, incident_id, state="acknowledged", acknowledged_at=turn.at, acknowledged_by=by
    )
    ledger.note(turn.connection, incident_id, turn.at, "acknowledged", note or f"{by} takes it", actor=by)
    if incident.state != "acknowledged" or incident.acknowledged_by != by:
        metrics.INCIDENTS.labels(incident.plan, "acknowledged").inc()
        tell(turn, taken, "incident.acknowledged", reason=note)
    return taken


def expire_acknowledgement(turn: Turn, incident: IncidentRow) -> None:
    """Whoever took it was not heard of again: the incident is open, and the plan goes on."""
    ledger.change_incident(
        turn.connection, incident.id, state="open", acknowledged_at=None, acknowledged_by=None
    )
    ledger.note(
        turn.connection,
        incident.id,
        turn.at,
        "ack_expired",
        f"acknowledged by {incident.acknowledged_by}, not resolved",
    )


def tell(
    turn: Turn,
    incident: IncidentRow,
    kind: str,
    *,
    reason: str = "",
) -> None:
    """Tell every receiver that knows of the incident, and no other, what became of it."""
    plan = find_plan(turn.config, incident.plan)
    if plan is None:
        return
    for receiver in told_receivers(plan, ledger.steps_of(turn.connection, incident.id)):
        announce(turn, incident, receiver, kind, reason=reason)


def announce(
    turn: Turn,
    incident: IncidentRow,
    receiver: str,
    kind: str,
    *,
    reason: str = "",
) -> None:
    """One message about an incident to one receiver."""
    plan = find_plan(turn.config, incident.plan)
    rows = queries.alerts_by_id(turn.connection, incident.alert_ids)
    shown = [row for row in rows if row.state != "resolved"] or rows
    event = Event(
        type=kind,
        timestamp=turn.at,
        receiver=receiver,
        title=incident.title,
        external_url=turn.config.external_url,
        alerts=[view(turn.connection, turn.config, row) for row in shown],
        reason=reason,
        group_key=incident.group_key,
        group_labels={"model": incident.model},
        incident=Incident(
            id=incident.id,
            plan=incident.plan,
            title=incident.title,
            model=incident.model,
            state=incident.state,
            severity=incident.severity,
            opened_at=incident.opened_at,
            url=f"{turn.config.external_url}/incidents/{incident.id}",
            acknowledged_by=incident.acknowledged_by or "",
            runbook_url=(plan.runbook_url if plan else None) or "",
            checklist=[item for step in plan.steps for item in step.checklist or ()] if plan else [],
        ),
    )
    identity = event_id(incident.id, kind, turn.at.isoformat(), reason, len(incident.alert_ids))
    outbox.enqueue(
        turn.connection, turn.config, event, event_id=identity, order_key=incident.id, wall=turn.wall
    )


def covered(connection: sa.Connection, config: Config, alert_ids: Collection[str]) -> dict[str, set[str]]:
    """By alert, the receivers whom its incident's plan tells anyhow.

    Their routes keep still, so that nobody gets two messages for one thing.
    """
    rows = {row.id: row for row in queries.alerts_by_id(connection, list(alert_ids))} if config.plans else {}
    if not rows:
        return {}
    since = min((row.resolved_at for row in rows.values() if row.resolved_at), default=None)
    found: dict[str, set[str]] = {}
    for incident in ledger.incidents_of_alerts(connection, since):
        plan = find_plan(config, incident.plan)
        always = {step.notify for step in plan.steps if step.notify and not step.unless} if plan else set()
        for identity in set(incident.alert_ids) & set(rows):
            found.setdefault(identity, set()).update(always)
    return found
