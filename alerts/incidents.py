"""Incidents: a firing alert opens one for its plan and group, or joins the one that is open; quiet ones resolve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alerts import actions, ledger, metrics, queries
from alerts.announcements import tell
from alerts.identity import group_key, new_id
from alerts.ledger import IncidentRow
from alerts.messages import find_rule, title_of
from alerts.queries import AlertRow
from alerts.turn import Turn
from remora.config import Config
from remora.config.plans import Plan
from remora.errors import UserError
from remora.telemetry import get_logger

__all__ = ["STORM", "acknowledge", "expire_acknowledgement", "firing_of", "note_quiet", "resolve", "take_in"]

STORM = "{storm}"
"""The group of the one incident of a plan that takes in what comes while `incidents.max_open` are open."""

_STORM_ALERTS = 500  # more are told by their routes alone
_NOTED = 50  # of those that come at once, lines in the timeline

log = get_logger("incidents")


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
    most = turn.config.incidents.max_open
    if len(ledger.unresolved(turn.connection)) < most:
        _begin(turn, plan, key, rows, title_of(rows))
        return
    metrics.INCIDENTS_REFUSED.labels(plan.name).inc()
    storm = ledger.latest_of(turn.connection, plan.name, STORM)
    if storm is None or storm.state == "resolved":
        log.warning("alert_storm", plan=plan.name, open=most)
        title = f"Alert storm: {most} incidents are open already, what comes now is gathered here. {title_of(rows)}"
        _begin(turn, plan, STORM, rows[:_STORM_ALERTS], title)
    else:
        _gather(turn, storm, rows)


def _begin(turn: Turn, plan: Plan, key: str, rows: list[AlertRow], title: str) -> None:
    row = IncidentRow(
        id=new_id("inc", turn.at),
        plan=plan.name,
        group_key=key,
        model=rows[0].model,
        title=title,
        state="open",
        severity="page" if any(alert.severity == "page" for alert in rows) else rows[0].severity,
        alert_ids=[alert.id for alert in rows],
        opened_at=turn.at,
    )
    ledger.add_incident(turn.connection, row)
    ledger.note(turn.connection, row.id, turn.at, "opened", row.title)
    metrics.INCIDENTS.labels(plan.name, "opened").inc()


def _gather(turn: Turn, storm: IncidentRow, rows: list[AlertRow]) -> None:
    """One more alert of a storm; told when their number has doubled, not each time."""
    new = [row for row in rows if row.id not in storm.alert_ids]
    ids = [*storm.alert_ids, *(row.id for row in new)][:_STORM_ALERTS]
    if len(ids) == len(storm.alert_ids):
        return
    ledger.change_incident(turn.connection, storm.id, alert_ids=ids, quiet_since=None)
    if len(ids).bit_length() > len(storm.alert_ids).bit_length():
        text = f"the storm goes on: {len(ids)} alerts so far"
        ledger.note(turn.connection, storm.id, turn.at, "alert_attached", text)
        tell(turn, replace(storm, alert_ids=ids, quiet_since=None), "incident.updated", reason=text)


def _attach(turn: Turn, incident: IncidentRow, rows: list[AlertRow]) -> None:
    new = [row for row in rows if row.id not in incident.alert_ids]
    ids = [*incident.alert_ids, *(row.id for row in new)]
    ledger.change_incident(turn.connection, incident.id, alert_ids=ids, quiet_since=None)
    for row in new[:_NOTED]:
        ledger.note(
            turn.connection, incident.id, turn.at, "alert_attached", row.annotations.get("summary", row.rule)
        )
    if (more := len(new) - _NOTED) > 0:
        ledger.note(turn.connection, incident.id, turn.at, "alert_attached", f"and {more} more alerts")
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


def resolve(turn: Turn, incident: IncidentRow, *, by: str = "remora", note: str = "") -> None:
    """End an incident: its alerts have been quiet for long enough, or somebody says that it is over."""
    text = note or ("all alerts stayed resolved" if by == "remora" else f"{by} says that it is over")
    ledger.change_incident(turn.connection, incident.id, state="resolved", resolved_at=turn.at)
    ledger.note(turn.connection, incident.id, turn.at, "resolved", text, actor=by)
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
    for action in ledger.actions_of(turn.connection, incident.id):
        if action.state == "waiting":
            actions.conclude(turn, action, "rejected", "the incident resolved before anybody approved it")
    told = replace(incident, state="resolved", resolved_at=turn.at)
    tell(turn, told, "incident.resolved", reason=note)


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
