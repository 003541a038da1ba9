"""What receivers are told of incidents: whoever a plan told of one hears what becomes of it, and nobody else."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from alerts import ledger, links, outbox, queries
from alerts.identity import event_id
from alerts.ledger import IncidentRow
from alerts.messages import views
from alerts.plans import told_receivers
from alerts.receivers.base import Event, Incident
from alerts.turn import Turn
from remora.config import Config
from remora.config.plans import Plan

__all__ = ["announce", "covered", "find_plan", "signed_links", "tell"]


def find_plan(config: Config, name: str) -> Plan | None:
    return next((plan for plan in config.plans if plan.name == name), None)


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
        alerts=views(turn.connection, turn.config, shown),
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
            links=signed_links(turn, incident),
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


def signed_links(turn: Turn, incident: IncidentRow) -> dict[str, str]:
    """What can be done about the incident without a login, until the links expire. Following one does nothing yet."""
    if incident.state == "resolved":
        return {}
    key = ledger.signing_key(turn.connection, turn.wall)
    expires = turn.wall + turn.config.incidents.links_expire
    wanted = {"silence": incident.id}
    if incident.state == "open":
        wanted = {"acknowledge": incident.id, **wanted}
    for action in ledger.actions_of(turn.connection, incident.id):
        if action.state == "waiting":
            wanted |= {"approve": action.id, "reject": action.id}
    return {
        verb: f"{turn.config.external_url}/act/{links.write(key, links.Permission(verb, subject, expires))}"
        for verb, subject in wanted.items()
    }
