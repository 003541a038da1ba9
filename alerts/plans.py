"""Which step of a plan comes next and when, pure.

Steps follow one another: a wait ends after its time, an action when it has succeeded, failed or timed out. `repeat`
goes through them again, counted from the opening, while nobody acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remora.config.plans import Plan

__all__ = ["Due", "StepRow", "next_due", "told_receivers"]


@dataclass(frozen=True)
class StepRow:
    """A row of `plan_steps`, without its incident."""

    step: int
    iteration: int
    kind: str
    title: str
    state: str  # running | done | failed | skipped
    detail: str
    started_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Due:
    """A step that is to begin at `at`, or a wait that ends then."""

    at: datetime
    step: int
    iteration: int
    ends: bool = False


def next_due(plan: Plan, opened_at: datetime, rows: Sequence[StepRow], *, acknowledged: bool) -> Due | None:
    """The one thing that the plan does next; None while an action runs, and at the end."""
    iteration = max((row.iteration for row in rows), default=0)
    known = {row.step: row for row in rows if row.iteration == iteration}
    begins = opened_at if plan.repeat is None else opened_at + iteration * plan.repeat.every
    cursor = max([begins, *(row.finished_at for row in rows if row.finished_at)])
    for index, step in enumerate(plan.steps):
        row = known.get(index)
        if row is None:
            return Due(cursor, index, iteration)
        if row.state == "running":
            return Due(row.started_at + step.wait, index, iteration, ends=True) if step.wait else None
        if row.state == "failed" and step.on_failure == "stop":
            return None
    if plan.repeat is None or acknowledged or iteration >= plan.repeat.times:
        return None
    return Due(max(cursor, opened_at + (iteration + 1) * plan.repeat.every), 0, iteration + 1)


def told_receivers(plan: Plan, rows: Sequence[StepRow]) -> list[str]:
    """The receivers that the plan's steps have told of the incident, in that order."""
    names = [
        plan.steps[row.step].notify
        for row in rows
        if row.kind == "notify" and row.state == "done" and row.step < len(plan.steps)
    ]
    return list(dict.fromkeys(name for name in names if name is not None))
