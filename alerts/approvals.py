"""What people decide about actions: approve, reject, start again what may not have been started."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from alerts import actions, ledger, pauses, requests
from alerts.announcements import find_plan
from alerts.guards import FINAL, Refusal, explain
from alerts.ledger import ActionRow
from alerts.turn import Turn
from remora.config.plans import Step
from remora.errors import UserError

__all__ = ["approve", "reject", "start_again"]

_TIMEOUT = timedelta(hours=6)


def approve(turn: Turn, action: ActionRow, *, by: str, note: str = "") -> ActionRow:
    """Let a waiting action start; raises `UserError` where it waits no more, or where it must not start now."""
    if action.state != "waiting":
        raise UserError(f"the action does not wait for an approval: it is {action.state}")
    _check(turn, action)
    step = _step(turn, action)
    expires = turn.at + (step.timeout if step else _TIMEOUT)
    changed = replace(action, state="requested", expires_at=expires, decided_by=by)
    ledger.change_action(turn.connection, action.id, state="requested", expires_at=expires, decided_by=by)
    actions.submit(turn, changed)
    _note(turn, action, "approved", f"{by} approves {action.name}" + (f": {note}" if note else ""), by)
    return changed


def reject(turn: Turn, action: ActionRow, *, by: str, note: str = "") -> ActionRow:
    """Let a waiting action never start; raises `UserError` where it waits no more."""
    if action.state != "waiting":
        raise UserError(f"the action does not wait for an approval: it is {action.state}")
    ledger.change_action(turn.connection, action.id, decided_by=by)
    _note(turn, action, "rejected", f"{by} rejects {action.name}" + (f": {note}" if note else ""), by)
    actions.conclude(turn, action, "rejected", f"by {by}" + (f": {note}" if note else ""))
    return replace(action, state="rejected", decided_by=by)


def start_again(turn: Turn, action: ActionRow, *, by: str, note: str = "") -> ActionRow:
    """Ask once more for an action of which nobody knew whether it was started; raises `UserError` for any other."""
    if action.state != "unknown":
        raise UserError(f"only an action in doubt is started again: it is {action.state}")
    _check(turn, action)
    ledger.change_action(turn.connection, action.id, state="requested", decided_by=by)
    requests.again(turn.connection, action.id, turn.wall)
    _note(
        turn, action, "started_again", f"{by} starts {action.name} again" + (f": {note}" if note else ""), by
    )
    return replace(action, state="requested", decided_by=by)


def _check(turn: Turn, action: ActionRow) -> None:
    """Switches hold for approved actions too, and what has begun meanwhile."""
    switches = pauses.switches(turn.connection, turn.config, turn.wall)
    if not switches.enabled:
        raise UserError(explain(Refusal.SWITCHED_OFF))
    if action.model in switches.paused:
        raise UserError(explain(Refusal.MODEL_PAUSED))
    step = _step(turn, action)
    if step is not None and step.guard.concurrency == "forbid":
        others = [
            other
            for other in ledger.unfinished_actions(turn.connection)
            if other.model == action.model
            and other.id != action.id
            and other.state not in {"waiting", *FINAL}
        ]
        if others:
            raise UserError(f"{explain(Refusal.ALREADY_RUNNING)} ({others[0].id})")


def _step(turn: Turn, action: ActionRow) -> Step | None:
    incident = ledger.incident(turn.connection, action.incident_id or "")
    plan = find_plan(turn.config, incident.plan) if incident else None
    place = action.step
    return plan.steps[place] if plan and place is not None and place < len(plan.steps) else None


def _note(turn: Turn, action: ActionRow, kind: str, text: str, by: str) -> None:
    if action.incident_id is not None:
        ledger.note(turn.connection, action.incident_id, turn.at, kind, text, actor=by)
