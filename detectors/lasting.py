"""What the windows before say of this one: many small steps in one direction are a change that no window shows alone."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from detectors.base import ALARM, OK, Result
from detectors.changes import STEPS, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.limits import ColumnLimits

__all__ = ["WATCH", "watch"]

WATCH = "watch"
"""The key of `details` under which a finding keeps what the next window needs."""


def watch(
    metric: str, result: Result, limits: ColumnLimits, before: Mapping[str, Any] | None, start: datetime,
    detector: str,
) -> Result:  # fmt: skip
    """The same result, or an alarm where a lasting change has become certain; `before` is the last window's `watch`."""
    kept = Watch.from_json(before)
    step = limits.beyond(metric, result, start)
    if step is None or limits.whole is None:
        return _with(result, {WATCH: kept.to_json()} if kept.height else {})
    budget = limits.policy.budget
    if detector == "e_process":
        height = limits.whole.columns / budget.per_window(limits.policy.window)
    else:
        height = limits.whole.height(budget)
    kept = STEPS[detector](kept, step.standing, start.isoformat(), step.effect, height)
    details: dict[str, Any] = {WATCH: kept.to_json()} if kept.height else {}
    effect = math.sqrt(max(0.0, kept.effect / kept.windows)) if kept.windows else 0.0
    lasting = kept.height > height and kept.windows > 1 and effect >= limits.policy.minimum_effect
    if lasting or (result.verdict == ALARM and kept.since):
        details["changed_at"] = kept.since
    if not lasting or result.verdict != OK:
        return _with(result, details)
    reason = (
        f"{kept.windows} windows since {kept.since[:16].replace('T', ' ')} UTC lie farther from the reference than is usual,"
        f" together as far as a shift of {effect:.2f} standard deviations, though none of them far enough alone: see what"
        " changed then. " + result.reason
    )
    return replace(_with(result, details), verdict=ALARM, reason=reason)


def _with(result: Result, details: Mapping[str, Any]) -> Result:
    return replace(result, details={**result.details, **details}) if details else result
