"""Actions: what Remora starts, what it sends to start it, and what becomes of it.

`waiting` for an approval, `requested`, `running`, and then `succeeded`, `failed` or `timed_out`. `unknown`: it may have
been started or not, which a person must find out. `rejected` and `dry_run` never were started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from alerts import ledger, links, metrics, queries, requests
from alerts.guards import FINAL
from alerts.identity import new_id
from alerts.ledger import ActionRow, IncidentRow
from alerts.messages import first_window_start, title_of, view
from alerts.queries import AlertRow
from alerts.receivers.base import iso
from alerts.turn import Turn
from remora.config.plans import Step
from remora.telemetry import get_logger

__all__ = ["FINAL", "conclude", "doubt", "report", "request", "started", "submit"]

log = get_logger("actions")


def request(
    turn: Turn, incident: IncidentRow, step: Step, place: tuple[int, int], alerts: Sequence[AlertRow]
) -> ActionRow:
    """Write the action, and the message that starts it, in the transaction that decided it; `place` is (step, iteration).

    With a guard that wants an approval it waits; in a dry run it is written down, and that is all.
    """
    name = step.action or ""
    manual = step.guard.approval == "manual"
    dry = turn.config.actions.dry_run
    row = ActionRow(
        id=new_id("act", turn.wall),
        name=name,
        model=incident.model,
        incident_id=incident.id,
        step=place[0],
        iteration=place[1],
        state="dry_run" if dry else "waiting" if manual else "requested",
        reason=title_of(alerts),
        requested_at=turn.at,
        expires_at=turn.at + (step.guard.approval_timeout if manual else step.timeout),
        finished_at=turn.at if dry else None,
        detail="a dry run: nothing was started" if dry else None,
    )
    row = replace(row, request=_data(turn, row, step, alerts))
    ledger.start_action(turn.connection, row)
    metrics.ACTIONS.labels(name, row.state).inc()
    log.info("action", state=row.state, action=row.id, name=name, model=row.model)
    if row.state == "requested":
        submit(turn, row)
    return row


def submit(turn: Turn, row: ActionRow) -> None:
    """Put the action's message into the outbox, with a token that lets whoever runs it report back and nothing else."""
    expires = turn.wall + (row.expires_at - turn.at) + timedelta(hours=1)
    token = links.write(
        ledger.signing_key(turn.connection, turn.wall), links.Permission("report", row.id, expires)
    )
    data = row.request | {"callback": {**row.request["callback"], "token": token}}
    requests.put(turn.connection, row.id, row.name, requests.encode(turn.at, data), turn.wall)


def _data(turn: Turn, row: ActionRow, step: Step, alerts: Sequence[AlertRow]) -> dict[str, Any]:
    """Which model, why, which windows, which data to train on, and how to report back."""
    first = min(first_window_start(turn.config, alert) for alert in alerts)
    last = max(alert.window_end for alert in alerts)
    since = last - step.training_window
    base = turn.config.external_url
    return {
        "action_id": row.id,
        "model": row.model,
        "reason": row.reason,
        "alert": alerts[0].labels["alertname"],
        "evidence": {"alerts": [_evidence(turn, alert) for alert in alerts[:20]]},
        "windows": {"from": iso(first), "to": iso(last)},
        "training": {
            "from": iso(since),
            "to": iso(last),
            "archive": queries.archived(turn.connection, row.model, since, last),
        },
        "callback": {"url": f"{base}/v1/actions/{row.id}/status"},
        "dry_run": row.state == "dry_run",
        "links": {"model": f"{base}/models/{row.model}", "incident": f"{base}/incidents/{row.incident_id}"},
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


def started(turn: Turn, action: ActionRow, *, run_id: str | None, url: str | None) -> None:
    """The target has taken it. One that names its run is running; of another the callback says so."""
    known = {name: text for name, text in {"run_id": run_id, "url": url}.items() if text}
    if not known or action.state in FINAL:
        return
    state = "running" if action.state in {"requested", "unknown"} else action.state
    ledger.change_action(turn.connection, action.id, state=state, **known)
    where = f"{action.name} runs as {run_id}" if run_id else f"{action.name} runs"
    _note(turn, action, "action_running", where + (f": {url}" if url else ""))


def doubt(turn: Turn, action: ActionRow, text: str) -> str:
    """Nobody knows whether it was started: it is not asked for again by itself. Returns the sentence that asks a person."""
    sentence = (
        f"{action.name} may have been started or not: {text}. Look there, then say which: start it again, or report "
        f"it as running or failed (remora action report {action.id})"
    )
    ledger.change_action(turn.connection, action.id, state="unknown", detail=text)
    metrics.ACTIONS.labels(action.name, "unknown").inc()
    log.warning("action_unknown", action=action.id, name=action.name, reason=text)
    _note(turn, action, "action_unknown", sentence)
    return sentence


def report(turn: Turn, action: ActionRow, state: str, details: dict[str, str | None]) -> None:
    """Note what the receiver says of an action that is not final: it runs, it succeeded, it failed."""
    known = {name: text for name, text in details.items() if text is not None}
    if state in FINAL:
        conclude(turn, action, state, known.get("detail", ""), **known)
        return
    ledger.change_action(turn.connection, action.id, state=state, **known)
    metrics.ACTIONS.labels(action.name, state).inc()
    if action.state != state:
        _note(turn, action, "action_running", known.get("detail") or f"{action.name} runs", actor=action.name)


def conclude(turn: Turn, action: ActionRow, state: str, text: str, **known: str) -> None:
    """Bring an action to its end, and the step that waits for it."""
    ledger.change_action(
        turn.connection, action.id, **{"detail": text, **known}, state=state, finished_at=turn.at
    )
    metrics.ACTIONS.labels(action.name, state).inc()
    log.info("action_finished", action=action.id, name=action.name, state=state)
    if action.incident_id is None or action.step is None or action.iteration is None:
        return
    outcome = {"succeeded": "done", "rejected": "skipped"}.get(state, "failed")
    version = f", version {known['model_version']}" if known.get("model_version") else ""
    sentence = f"{action.name} {state.replace('_', ' ')}{version}" + (f": {text}" if text else "")
    ledger.finish_step(
        turn.connection,
        action.incident_id,
        (action.step, action.iteration),
        state=outcome,
        detail=sentence,
        at=turn.at,
    )
    kind = {"done": "step_succeeded", "skipped": "step_skipped"}.get(outcome, "step_failed")
    _note(turn, action, kind, sentence)
    metrics.STEPS.labels("action", outcome).inc()


def _note(turn: Turn, action: ActionRow, kind: str, text: str, *, actor: str = "remora") -> None:
    if action.incident_id is not None:
        ledger.note(turn.connection, action.incident_id, turn.at, kind, text, actor=actor)
