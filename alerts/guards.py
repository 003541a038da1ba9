"""What must hold before an action may start, pure. The answer is None, or the named reason that forbids it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from remora.config.plans import Guard

__all__ = ["FINAL", "Evidence", "PastAction", "Refusal", "Switches", "explain", "refuse"]

FINAL = ("succeeded", "failed", "timed_out", "rejected", "dry_run")
"""The states in which an action is over, whatever became of it."""

_NEVER_STARTED = ("rejected", "dry_run")


class Refusal(StrEnum):
    """Why an action did not start."""

    SWITCHED_OFF = "actions_disabled"
    MODEL_PAUSED = "model_paused"
    STORM = "alert_storm"
    DRIFT_ALONE = "drift_alone"
    LABEL_COVERAGE_UNKNOWN = "label_coverage_unknown"
    LABEL_COVERAGE = "label_coverage_too_low"
    ALREADY_RUNNING = "already_running"
    COOLDOWN = "cooldown"
    BUDGET = "budget_used_up"


_SENTENCES = {
    Refusal.SWITCHED_OFF: "actions are switched off",
    Refusal.MODEL_PAUSED: "the model is paused",
    Refusal.STORM: "so many incidents at once have one cause, and a new model is not the cure",
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
class Switches:
    """What people have switched off: everything, or single models."""

    enabled: bool = True
    paused: Collection[str] = ()


@dataclass(frozen=True)
class Evidence:
    """What speaks for the action: the jobs whose metrics alarm, and the share of labelled predictions."""

    jobs: Collection[str]
    label_coverage: float | None


def refuse(
    guard: Guard, switches: Switches, model: str, evidence: Evidence, past: Sequence[PastAction], now: datetime,
) -> Refusal | None:  # fmt: skip
    """The first reason against, in the order in which a person would ask.

    Where somebody has to approve it anyhow, drift alone is reason enough to ask.
    """
    coverage = evidence.label_coverage
    alone = set(evidence.jobs) <= {"drift"} and not guard.drift_alone and guard.approval == "none"
    started = [action for action in past if action.state not in _NEVER_STARTED]
    running = any(action.state not in FINAL for action in past)
    questions = {
        Refusal.SWITCHED_OFF: not switches.enabled,
        Refusal.MODEL_PAUSED: model in switches.paused,
        Refusal.DRIFT_ALONE: alone,
        Refusal.LABEL_COVERAGE_UNKNOWN: guard.require_label_coverage > 0 and coverage is None,
        Refusal.LABEL_COVERAGE: coverage is not None and coverage < guard.require_label_coverage,
        Refusal.ALREADY_RUNNING: guard.concurrency == "forbid" and running,
        Refusal.COOLDOWN: any(now - action.requested_at < guard.cooldown for action in started),
        Refusal.BUDGET: sum(now - action.requested_at < guard.per for action in started) >= guard.max_runs,
    }
    return next((refusal for refusal, forbidden in questions.items() if forbidden), None)


def explain(refusal: Refusal) -> str:
    """A sentence for the timeline."""
    return f"{refusal}: {_SENTENCES[refusal]}"
