"""Taking one step of a plan: its row, its effect and its line in the timeline commit together, and only once."""

from __future__ import annotations

from datetime import timedelta

from alerts import actions, announcements, incidents, ledger, metrics, pauses, queries
from alerts.guards import Evidence, Refusal, explain, refuse
from alerts.ledger import IncidentRow
from alerts.messages import job_of
from alerts.plans import Due, StepRow, told_receivers
from alerts.turn import Turn
from remora.config.base import format_duration
from remora.config.plans import Step

__all__ = ["take"]


def take(turn: Turn, incident: IncidentRow, due: Due) -> None:
    """Begin the step, or end the wait, that is due."""
    plan = announcements.find_plan(turn.config, incident.plan)
    if plan is None:
        return
    step = plan.steps[due.step]
    if due.ends:
        ledger.finish_step(
            turn.connection, incident.id, (due.step, due.iteration), state="done", detail="", at=turn.at
        )
        _count(turn, incident, step, "step_succeeded", f"{_title(step)}: over")
    elif step.unless == "acknowledged" and incident.state == "acknowledged":
        detail = f"acknowledged by {incident.acknowledged_by}"
        if _begin(turn, incident, step, due, state="skipped", detail=detail):
            _count(turn, incident, step, "step_skipped", f"{_title(step)}: {detail}")
    elif step.kind == "notify":
        _notify(turn, incident, step, due)
    elif step.kind == "action":
        _act(turn, incident, step, due)
    else:
        _plain(turn, incident, step, due)


def _plain(turn: Turn, incident: IncidentRow, step: Step, due: Due) -> None:
    """A wait begins; a checklist stands in the timeline for people to follow."""
    running = step.kind == "wait"
    detail = "" if running else "; ".join(step.checklist or ())
    if _begin(turn, incident, step, due, state="running" if running else "done", detail=detail):
        kind = "step_started" if running else "step_succeeded"
        _count(turn, incident, step, kind, _title(step) + (f": {detail}" if detail else ""))


def _notify(turn: Turn, incident: IncidentRow, step: Step, due: Due) -> None:
    plan = announcements.find_plan(turn.config, incident.plan)
    known = told_receivers(plan, ledger.steps_of(turn.connection, incident.id)) if plan else []
    if not _begin(turn, incident, step, due, state="done", detail=""):
        return
    receiver = step.notify or ""
    again = receiver in known
    announcements.announce(
        turn,
        incident,
        receiver,
        "incident.escalated" if again else "incident.opened",
        reason="nobody has acknowledged" if again else "",
    )
    _count(turn, incident, step, "step_succeeded", _title(step))


def _act(turn: Turn, incident: IncidentRow, step: Step, due: Due) -> None:
    guard = step.guard
    alerts = incidents.firing_of(turn, incident)
    since = turn.at - max(guard.cooldown, guard.per, timedelta(0))
    evidence = Evidence(
        jobs={job_of(row) for row in alerts},
        label_coverage=queries.coverage(turn.connection, incident.model, turn.at),
    )
    past = ledger.past_actions(turn.connection, incident.model, since)
    switches = pauses.switches(turn.connection, turn.config, turn.wall)
    refusal = refuse(guard, switches, incident.model, evidence, past, turn.at)
    if incident.group_key == incidents.STORM:
        refusal = Refusal.STORM
    if refusal is not None:
        if _begin(turn, incident, step, due, state="skipped", detail=explain(refusal)):
            sentence = f"{_title(step)} did not start: {explain(refusal)}"
            _count(turn, incident, step, "step_skipped", sentence)
            announcements.tell(turn, incident, "incident.updated", reason=sentence)
        return
    dry = turn.config.actions.dry_run
    if not _begin(
        turn, incident, step, due, state="done" if dry else "running", detail="dry run" if dry else ""
    ):
        return
    row = actions.request(turn, incident, step, (due.step, due.iteration), alerts)
    if row.state == "waiting":
        sentence = f"{_title(step)} waits for an approval: {row.id}"
        _count(turn, incident, step, "approval_wanted", sentence)
        announcements.tell(turn, incident, "incident.updated", reason=sentence)
        return
    words = "would be requested now (dry run)" if dry else "requested"
    _count(turn, incident, step, "step_started", f"{_title(step)}: {words} as {row.id}")


def _begin(
    turn: Turn,
    incident: IncidentRow,
    step: Step,
    due: Due,
    *,
    state: str,
    detail: str,
) -> bool:
    row = StepRow(
        step=due.step,
        iteration=due.iteration,
        kind=step.kind,
        title=_title(step),
        state=state,
        detail=detail[:1000],
        started_at=turn.at,
        finished_at=None if state == "running" else turn.at,
    )
    return ledger.begin_step(turn.connection, incident.id, row)


def _count(  # a line of the timeline
    turn: Turn, incident: IncidentRow, step: Step, kind: str, text: str
) -> None:
    metrics.STEPS.labels(step.kind, kind.removeprefix("step_")).inc()
    ledger.note(turn.connection, incident.id, turn.at, kind, text)


def _title(step: Step) -> str:
    if step.wait is not None:
        return f"wait {format_duration(step.wait)}"
    return {"notify": f"notify {step.notify}", "action": f"start {step.action}", "checklist": "checklist"}[
        step.kind
    ]
