"""A column's limits in one window, out of what was learnt, the budget and the minimum effect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detectors.base import Limit, Result
from detectors.budget import Budget
from detectors.calibration import MIN_WINDOWS, Whole
from detectors.methods import missing, unseen
from detectors.methods.psi import expected
from detectors.ordinary import Ordinary
from detectors.phases import phase_of
from detectors.windows import EPOCH
from remora.config.base import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FALLBACK_PSI", "Beyond", "ColumnLimits", "Policy", "limits_of", "unlearnt"]

FALLBACK_PSI = 0.25
_FLOORS = {
    "missing_rate": missing.MINIMUM_EFFECT,
    "unseen_rate": unseen.MINIMUM_EFFECT,
}  # PSI's is configured


@dataclass(frozen=True)
class Policy:
    """What the user allows: so many false alarms, and none for less than this effect (in standard deviations)."""

    budget: Budget
    minimum_effect: float
    window: timedelta


@dataclass(frozen=True)
class Beyond:
    """How far a window stands out from ordinary ones, in their spreads, and its effect beyond theirs: of PSI the square."""

    standing: float
    effect: float


@dataclass(frozen=True)
class ColumnLimits:
    """What is ordinary for a column by metric, and what all columns share; both may be unknown."""

    policy: Policy
    whole: Whole | None = None
    columns: int = 1
    ordinary: Mapping[str, Ordinary] = field(default_factory=dict)
    missing_windows: str = "the reference was not cut into windows"

    def shared(self, families: int) -> ColumnLimits:
        """The limits where so many segments and versions share the budget."""
        return replace(self, policy=replace(self.policy, budget=self.policy.budget.shared(families)))

    def expected_false_alarms(self) -> float | None:
        """This column's part of the alarms that the budget allows in 30 quiet days; None where nothing was learnt."""
        if self.whole is None:
            return None
        return self.policy.budget.in_days(30) / self.policy.budget.families / max(1, self.columns)

    def beyond(self, metric: str, result: Result, start: datetime) -> Beyond | None:
        """What a window that starts there has beyond ordinary ones; None where nothing was learnt or found."""
        ordinary = self.ordinary.get(metric)
        if ordinary is None or result.value is None or result.size <= 0:
            return None
        noise = result.reference_value or 0.0 if ordinary.squared else 0.0
        phase = phase_of(start, ordinary.alike)
        usual = ordinary.center(phase, result.size, noise)
        return Beyond(
            ordinary.standing(result.value, phase, result.size, noise), result.value - usual * usual
        )

    def at(self, start: datetime, rows: int, reference_rows: int, bins: int) -> dict[str, Limit]:
        """Each metric's limit for so many rows of a window that starts there."""
        chance = self.policy.budget.per_window(self.policy.window) / max(1, self.columns)
        psi_floor = self.policy.minimum_effect**2
        found = {}
        for metric, floor in {"psi": psi_floor, **_FLOORS}.items():
            ordinary = self.ordinary.get(metric)
            if self.whole is None or ordinary is None:
                found[metric] = self._unlearnt(metric, floor, chance)
                continue
            rows_at_least = max(1, rows)
            noise = expected(bins, rows_at_least, max(1, reference_rows)) if metric == "psi" else 0.0
            phase = phase_of(start, ordinary.alike)
            spreads = self.whole.spreads(self.policy.budget)
            reach = ordinary.reach(spreads, phase, rows_at_least, noise)
            basis = self._basis(ordinary, learnt=reach > floor)
            found[metric] = Limit(max(floor, reach), basis, chance, ordinary.usual_rows(phase))
        return found

    def _basis(self, ordinary: Ordinary, *, learnt: bool) -> str:
        alike = "" if ordinary.alike == "all" else f" of the same {ordinary.alike}"
        windows = f"the reference's own {ordinary.windows} windows of {format_duration(self.policy.window)}"
        if learnt:
            return f"as far as windows{alike} lie apart in {windows}, with {self.policy.budget} allowed"
        return f"the minimum effect, beyond how far windows{alike} lie apart in {windows}"

    def _unlearnt(self, metric: str, floor: float, chance: float) -> Limit:
        why = f"{self.missing_windows}, {MIN_WINDOWS} with enough rows are needed to learn from"
        if metric == "psi":
            return Limit(max(floor, FALLBACK_PSI), f"the customary mark of a major change ({why})", chance)
        return Limit(floor, f"the minimum effect ({why})", chance)


def unlearnt(minimum_effect: float = 0.1) -> dict[str, Limit]:
    """The limits of a column of which nothing was learnt: for detectors that are tried by themselves."""
    policy = Policy(Budget(1, timedelta(days=30)), minimum_effect, timedelta(days=1))
    return ColumnLimits(policy).at(EPOCH, 0, 0, 1)


def limits_of(
    column: Mapping[str, Any], whole: Mapping[str, Any], columns: int, policy: Policy
) -> ColumnLimits:
    """The limits of a stored column; what was learnt from windows of another size is not used."""
    seconds = column.get("window_seconds", policy.window.total_seconds())
    if seconds != policy.window.total_seconds():
        why = f"it was not cut into windows of {format_duration(policy.window)}: build it again"
        return ColumnLimits(policy, None, columns, {}, why)
    learnt = Whole.from_json(whole)
    ordinary = {name: Ordinary.from_json(data) for name, data in column.get("metrics", {}).items()}
    count = whole.get("windows", 0)
    return ColumnLimits(policy, learnt, columns, ordinary, f"the reference has {count} windows of its own")
