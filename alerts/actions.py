"""Actions: what Remora starts, what it sends to start it, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alerts import ledger, metrics, outbox
from alerts.identity import new_id
from alerts.ledger import ActionRow, IncidentRow
from alerts.messages import first_window_start, title_of, view
from alerts.queries import AlertRow
from alerts.receivers.base import Event, iso
from alerts.turn import Turn
from remora.config.alerting import Step
from remora.telemetry import get_logger

__all__ = ["FINAL", "conclude", "report", "request"]

FINAL = ledger.FINAL
log = get_logger("actions")


def request(
    turn: Turn, incident: IncidentRow, step: Step, place: tuple[int, int], alerts: Sequence[AlertRow]
) -> ActionRow:
    """Write the action and the message that starts it, in the transaction that decided it; `place` is (step, iteration)."""
    name = step.action or ""
    row = ActionRow(
        id=new_id("act", turn.wall),
        name=name,
        model=incident.model,
        incident_id=incident.id,
        step=place[0],
        iteration=place[1],
        state="requested",
        reason=title_of(alerts),
        requested_at=turn.at,
        expires_at=turn.at + step.timeout,
    )
    ledger.start_action(turn.connection, row)
    event = Event(
        type="action.requested",
        timestamp=turn.at,
        receiver=name,
        title=f"{name} for {incident.model}",
        external_url=turn.config.external_url,
        action=_body(turn, row, step, alerts),
    )
    outbox.enqueue(turn.connection, turn.config, event, event_id=row.id, order_key=row.id, wall=turn.wall)
    metrics.ACTIONS.labels(name, "requested").inc()
    log.info("action_requested", action=row.id, name=name, model=row.model)
    return row


def _body(turn: Turn, row: ActionRow, step: Step, alerts: Sequence[AlertRow]) -> dict[str, Any]:
    """Which model, why, which windows, which data to train on, and how to report back."""
    first = min(first_window_start(turn.config, alert) for alert in alerts)
    last = max(alert.window_end for alert in alerts)
    return {
        "action_id": row.id,
        "model": row.model,
        "reason": row.reason,
        "alert": alerts[0].labels["alertname"],
        "evidence": {"alerts": [_evidence(turn, alert) for alert in alerts]},
        "windows": {"from": iso(first), "to": iso(last)},
        "training": {"from": iso(last - step.training_window), "to": iso(last)},
        "callback": {"url": f"{turn.config.external_url}/v1/actions/{row.id}/status"},
        "dry_run": False,
        "links": {
            "model": f"{turn.config.external_url}/models/{row.model}",
            "incident": f"{turn.config.external_url}/incidents/{row.incident_id}",
        },
    }


def _evidence(turn: Turn, alert: AlertRow) -> dict[str, Any]:
    seen = view(turn.connection, turn.config, alert)
    return {
        "alert": alert.labels["alertname"],
        "metric": alert.labels.get("metric"),
        "value": alert.value,
        "threshold": seen.threshold,
        "reference": seen.reference,
        "since": iso(seen.starts_at),
        "summary": alert.annotations.get("summary", ""),
        "likely_cause": list(seen.evidence),
    }


def report(turn: Turn, action: ActionRow, state: str, details: dict[str, str | None]) -> None:
    """Note what the receiver says of an action that is not final: it runs, it succeeded, it failed."""
    known = {name: text for name, text in details.items() if text is not None}
    if state in FINAL:
        conclude(turn, action, state, known.get("detail", ""), **known)
        return
    ledger.change_action(turn.connection, action.id, state=state, **known)
    metrics.ACTIONS.labels(action.name, state).inc()
    if action.state != state and action.incident_id is not None:
        ledger.note(
            turn.connection,
            action.incident_id,
            turn.at,
            "action_running",
            known.get("detail") or f"{action.name} runs",
            actor=action.name,
        )


def conclude(turn: Turn, action: ActionRow, state: str, text: str, **known: str) -> None:
    """Bring an action to its end, and the step that waits for it."""
    ledger.change_action(
        turn.connection, action.id, **{"detail": text, **known}, state=state, finished_at=turn.at
    )
    metrics.ACTIONS.labels(action.name, state).inc()
    log.info("action_finished", action=action.id, name=action.name, state=state)
    if action.incident_id is None or action.step is None or action.iteration is None:
        return
    good = state == "succeeded"
    version = f", version {known['model_version']}" if known.get("model_version") else ""
    sentence = f"{action.name} {state.replace('_', ' ')}{version}" + (f": {text}" if text else "")
    ledger.finish_step(
        turn.connection,
        action.incident_id,
        (action.step, action.iteration),
        state="done" if good else "failed",
        detail=sentence,
        at=turn.at,
    )
    kind = "step_succeeded" if good else "step_failed"
    ledger.note(turn.connection, action.incident_id, turn.at, kind, sentence)
    metrics.STEPS.labels("action", "done" if good else "failed").inc()
