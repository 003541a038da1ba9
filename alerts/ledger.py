"""SQL for incidents: the incidents, their timeline, their steps and the actions that were started."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alerts.guards import FINAL, PastAction
from alerts.plans import StepRow
from remora.database import insert_new
from remora.tables import (
    actions,
    audit,
    checklist_ticks,
    incident_events,
    incidents,
    plan_steps,
    signing_keys,
)

__all__ = [
    "ActionRow", "EventRow", "IncidentRow", "action", "actions_of", "add_incident", "audit_entry", "begin_step", "change_action",
    "change_incident", "events_of", "finish_step", "has_audit", "incident", "incidents_of_alerts", "last_event", "latest_of", "newest_actions",
    "note", "past_actions", "signing_key", "start_action", "steps_of", "tick", "ticks_of", "unfinished_actions", "unresolved", "untick",
]  # fmt: skip


@dataclass(frozen=True)
class IncidentRow:
    """A row of `incidents`."""

    id: str
    plan: str
    group_key: str
    model: str
    title: str
    state: str
    severity: str
    alert_ids: list[str]
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    quiet_since: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True)
class ActionRow:
    """A row of `actions`."""

    id: str
    name: str
    model: str
    incident_id: str | None
    step: int | None
    iteration: int | None
    state: str
    reason: str
    requested_at: datetime
    expires_at: datetime
    finished_at: datetime | None = None
    model_version: str | None = None
    url: str | None = None
    detail: str | None = None
    run_id: str | None = None
    decided_by: str | None = None
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EventRow:
    """A line of an incident's timeline."""

    at: datetime
    actor: str
    kind: str
    text: str


_INCIDENT = [incidents.c[name] for name in IncidentRow.__dataclass_fields__]
_ACTION = [actions.c[name] for name in ActionRow.__dataclass_fields__]
_STEP = [plan_steps.c[name] for name in StepRow.__dataclass_fields__]


def unresolved(connection: sa.Connection) -> list[IncidentRow]:
    statement = sa.select(*_INCIDENT).where(incidents.c.state != "resolved").order_by(incidents.c.opened_at)
    return [IncidentRow(*row) for row in connection.execute(statement)]


def incident(connection: sa.Connection, identity: str) -> IncidentRow | None:
    row = connection.execute(sa.select(*_INCIDENT).where(incidents.c.id == identity)).first()
    return IncidentRow(*row) if row else None


def latest_of(connection: sa.Connection, plan: str, group_key: str) -> IncidentRow | None:
    """The newest incident of a plan and group, whatever its state."""
    statement = (
        sa.select(*_INCIDENT)
        .where(incidents.c.plan == plan, incidents.c.group_key == group_key)
        .order_by(incidents.c.opened_at.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    return IncidentRow(*row) if row else None


def incidents_of_alerts(connection: sa.Connection, since: datetime | None) -> list[IncidentRow]:
    """Unresolved incidents, and those that were resolved at or after `since`."""
    statement = sa.select(*_INCIDENT).where(
        sa.or_(incidents.c.state != "resolved", incidents.c.resolved_at >= since)
        if since is not None
        else incidents.c.state != "resolved"
    )
    return [IncidentRow(*row) for row in connection.execute(statement)]


def add_incident(connection: sa.Connection, row: IncidentRow) -> None:
    connection.execute(sa.insert(incidents).values(asdict(row)))


def change_incident(connection: sa.Connection, identity: str, **values: Any) -> None:
    connection.execute(sa.update(incidents).where(incidents.c.id == identity).values(**values))


def note(
    connection: sa.Connection, incident_id: str, at: datetime, kind: str, text: str, *,
    actor: str = "remora",
) -> None:  # fmt: skip
    """One more line in the incident's timeline; lines are never changed."""
    connection.execute(
        sa.insert(incident_events).values(
            incident_id=incident_id, at=at, actor=actor[:200], kind=kind, text=text[:2000]
        )
    )


def last_event(connection: sa.Connection, incident_id: str) -> datetime | None:
    statement = sa.select(incident_events.c.at).where(incident_events.c.incident_id == incident_id)
    return connection.execute(statement.order_by(incident_events.c.at.desc()).limit(1)).scalar()


def steps_of(connection: sa.Connection, incident_id: str) -> list[StepRow]:
    statement = sa.select(*_STEP).where(plan_steps.c.incident_id == incident_id)
    return [
        StepRow(*row)
        for row in connection.execute(statement.order_by(plan_steps.c.iteration, plan_steps.c.step))
    ]


def begin_step(connection: sa.Connection, incident_id: str, row: StepRow) -> bool:
    """Write the step's row; False where the step was begun already, which nobody may do twice."""
    values = {"incident_id": incident_id, **asdict(row)}
    return bool(insert_new(connection, plan_steps, [values], ["incident_id", "step", "iteration"]))


def finish_step(
    connection: sa.Connection,
    incident_id: str,
    place: tuple[int, int],
    *,
    state: str,
    detail: str,
    at: datetime,
) -> None:
    """End a running step; `place` is (step, iteration)."""
    connection.execute(
        sa.update(plan_steps)
        .where(plan_steps.c.incident_id == incident_id, plan_steps.c.step == place[0])
        .where(plan_steps.c.iteration == place[1], plan_steps.c.state == "running")
        .values(state=state, detail=detail[:1000], finished_at=at)
    )


def tick(
    connection: sa.Connection, incident_id: str, place: tuple[int, int], actor: str, at: datetime
) -> bool:
    """Tick an item of a checklist; `place` is (step, item). False where it was ticked already."""
    row = {"incident_id": incident_id, "step": place[0], "item": place[1], "at": at, "actor": actor[:200]}
    return bool(insert_new(connection, checklist_ticks, [row], ["incident_id", "step", "item"]))


def untick(connection: sa.Connection, incident_id: str, place: tuple[int, int]) -> bool:
    """Take a tick back; False where there was none."""
    where = sa.and_(
        checklist_ticks.c.incident_id == incident_id,
        checklist_ticks.c.step == place[0],
        checklist_ticks.c.item == place[1],
    )
    return connection.execute(sa.delete(checklist_ticks).where(where)).rowcount == 1


def ticks_of(connection: sa.Connection, incident_id: str) -> dict[tuple[int, int], tuple[str, datetime]]:
    """By (step, item), who ticked it and when."""
    statement = sa.select(checklist_ticks).where(checklist_ticks.c.incident_id == incident_id)
    return {(row.step, row.item): (row.actor, row.at) for row in connection.execute(statement)}


def events_of(connection: sa.Connection, incident_id: str) -> list[EventRow]:
    """The incident's timeline, oldest first."""
    columns = [incident_events.c[name] for name in EventRow.__dataclass_fields__]
    statement = sa.select(*columns).where(incident_events.c.incident_id == incident_id)
    return [
        EventRow(*row)
        for row in connection.execute(statement.order_by(incident_events.c.at, incident_events.c.id))
    ]


def start_action(connection: sa.Connection, row: ActionRow) -> None:
    connection.execute(sa.insert(actions).values(asdict(row)))


def action(connection: sa.Connection, identity: str) -> ActionRow | None:
    row = connection.execute(sa.select(*_ACTION).where(actions.c.id == identity)).first()
    return ActionRow(*row) if row else None


def change_action(connection: sa.Connection, identity: str, **values: Any) -> None:
    connection.execute(sa.update(actions).where(actions.c.id == identity).values(**values))


def unfinished_actions(connection: sa.Connection) -> list[ActionRow]:
    statement = sa.select(*_ACTION).where(actions.c.state.not_in(FINAL)).order_by(actions.c.expires_at)
    return [ActionRow(*row) for row in connection.execute(statement)]


def actions_of(connection: sa.Connection, incident_id: str) -> list[ActionRow]:
    """What the incident's plan has started, in that order."""
    statement = sa.select(*_ACTION).where(actions.c.incident_id == incident_id)
    return [ActionRow(*row) for row in connection.execute(statement.order_by(actions.c.requested_at))]


def newest_actions(connection: sa.Connection, *, state: str | None, model: str | None) -> list[ActionRow]:
    """The newest 200, of one state or one model where they are given."""
    statement = sa.select(*_ACTION).order_by(actions.c.requested_at.desc(), actions.c.id.desc()).limit(200)
    if state is not None:
        statement = statement.where(actions.c.state == state)
    if model is not None:
        statement = statement.where(actions.c.model == model)
    return [ActionRow(*row) for row in connection.execute(statement)]


def past_actions(connection: sa.Connection, model: str, since: datetime) -> list[PastAction]:
    """What was started for a model since then, by any plan, and what still runs."""
    statement = sa.select(actions.c.requested_at, actions.c.state).where(
        actions.c.model == model,
        sa.or_(actions.c.requested_at > since, actions.c.state.not_in(FINAL)),
    )
    return [PastAction(*row) for row in connection.execute(statement)]


def signing_key(connection: sa.Connection, now: datetime) -> bytes:
    """The key of signed links, the same for every server over this database; the first that needs it makes it."""
    statement = sa.select(signing_keys.c.key).where(signing_keys.c.name == "links")
    found = connection.execute(statement).scalar()
    if found is None:
        row = {"name": "links", "key": os.urandom(32), "created_at": now}
        insert_new(connection, signing_keys, [row], ["name"])
        found = connection.execute(statement).scalar_one()
    return bytes(found)


def audit_entry(connection: sa.Connection, at: datetime, actor: str, what: str, subject: str) -> None:
    connection.execute(sa.insert(audit).values(at=at, actor=actor[:200], what=what, subject=subject[:500]))


def has_audit(connection: sa.Connection, what: str, subject: str) -> bool:
    statement = sa.select(audit.c.id).where(audit.c.what == what, audit.c.subject == subject).limit(1)
    return connection.execute(statement).first() is not None
