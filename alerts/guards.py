"""What must hold before an action may start, pure. The answer is None, or the named reason that forbids it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from remora.config.alerting import Actions, Guard

__all__ = ["Evidence", "PastAction", "Refusal", "explain", "refuse"]

_FINAL = {"succeeded", "failed", "timed_out"}


class Refusal(StrEnum):
    """Why an action did not start."""

    SWITCHED_OFF = "actions_disabled"
    MODEL_PAUSED = "model_paused"
    DRIFT_ALONE = "drift_alone"
    LABEL_COVERAGE_UNKNOWN = "label_coverage_unknown"
    LABEL_COVERAGE = "label_coverage_too_low"
    ALREADY_RUNNING = "already_running"
    COOLDOWN = "cooldown"
    BUDGET = "budget_used_up"


_SENTENCES = {
    Refusal.SWITCHED_OFF: "actions.enabled is false in the configuration",
    Refusal.MODEL_PAUSED: "the model is in actions.paused_models",
    Refusal.DRIFT_ALONE: "only drift speaks for it, nothing that was measured on labels, errors or latency",
    Refusal.LABEL_COVERAGE_UNKNOWN: "nobody knows how many predictions have labels",
    Refusal.LABEL_COVERAGE: "too few predictions have labels",
    Refusal.ALREADY_RUNNING: "an action for this model is running",
    Refusal.COOLDOWN: "the last action for this model was too recently",
    Refusal.BUDGET: "this model has had as many actions as its budget allows",
}


@dataclass(frozen=True)
class PastAction:
    """An action of the same model, of whatever plan."""

    requested_at: datetime
    state: str


@dataclass(frozen=True)
class Evidence:
    """What speaks for the action: the jobs whose metrics alarm, and the share of labelled predictions."""

    jobs: Collection[str]
    label_coverage: float | None


def refuse(
    guard: Guard, actions: Actions, model: str, evidence: Evidence, past: Sequence[PastAction], now: datetime,
) -> Refusal | None:  # fmt: skip
    """The first reason against, in the order in which a person would ask."""
    coverage = evidence.label_coverage
    questions = {
        Refusal.SWITCHED_OFF: not actions.enabled,
        Refusal.MODEL_PAUSED: model in actions.paused_models,
        Refusal.DRIFT_ALONE: not guard.drift_alone and set(evidence.jobs) <= {"drift"},
        Refusal.LABEL_COVERAGE_UNKNOWN: guard.require_label_coverage > 0 and coverage is None,
        Refusal.LABEL_COVERAGE: coverage is not None and coverage < guard.require_label_coverage,
        Refusal.ALREADY_RUNNING: any(action.state not in _FINAL for action in past),
        Refusal.COOLDOWN: any(now - action.requested_at < guard.cooldown for action in past),
        Refusal.BUDGET: sum(now - action.requested_at < guard.per for action in past) >= guard.max_runs,
    }
    return next((refusal for refusal, forbidden in questions.items() if forbidden), None)


def explain(refusal: Refusal) -> str:
    """A sentence for the timeline."""
    return f"{refusal}: {_SENTENCES[refusal]}"
