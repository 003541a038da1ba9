"""What a version's windows are compared with, read once per pass."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from detectors import reference_queries
from detectors.base import ColumnReference
from detectors.binning import Bins
from detectors.budget import Budget
from detectors.limits import ColumnLimits, Policy, limits_of
from detectors.methods.estimated import Meaning, meaning_of
from detectors.methods.losses import LossModel
from detectors.methods.measures import Task
from remora.summaries import CategoricalSummary, NumericSummary, PerformanceSummary, decode
from remora.summaries.profile import PERFORMANCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remora.config import Config
    from remora.config.models import Model
    from remora.database import Database

__all__ = ["Baseline", "Baselines", "policy_of", "task_of"]


@dataclass(frozen=True)
class Baseline:
    """An active reference: its columns with limits, how good the model was, and what scores and features say of that.

    `influence` is the share of the score's variance that each feature explains.
    """

    columns: Mapping[str, ColumnReference] = field(default_factory=dict)
    performance: PerformanceSummary | None = None
    meaning: Meaning = field(default_factory=Meaning)
    limits: Mapping[str, ColumnLimits] = field(default_factory=dict)
    losses: LossModel | None = None
    influence: Mapping[str, float] = field(default_factory=dict)
    reference_id: str = ""


class Baselines:
    """The active references of all models; one pass reads each at most once."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config
        self._ids: dict[str, dict[str, str]] = {}
        self._read: dict[str, Baseline] = {}

    def of(self, model: str, version: str) -> Baseline | None:
        """The version's own reference, else the model's; all versions together also take an only one."""
        if model not in self._ids:
            with self._database.read() as connection:
                self._ids[model] = reference_queries.active_references(connection, model)
        ids = self._ids[model]
        found = ids.get(version) or ids.get("")
        if found is None and not version and len(ids) == 1:
            found = next(iter(ids.values()))
        if found is None:
            return None
        if found not in self._read:
            with self._database.read() as connection:
                rows = reference_queries.columns_of(connection, found)
                whole = reference_queries.calibration_of(connection, found)
            baseline = _baseline(rows, whole, self._config.model(model))
            self._read[found] = replace(baseline, reference_id=found)
        return self._read[found]


def policy_of(model: Model) -> Policy:
    """What the configuration allows a model."""
    return Policy(Budget(*model.drift.budget), model.drift.minimum_effect, model.windows.size)


def task_of(model: Model) -> Task:
    """What the configuration says of the model itself."""
    return Task(model.kind, model.positive, model.top)


def _baseline(rows: Sequence[Any], whole: Mapping[str, Any], model: Model) -> Baseline:
    columns, limits, influence = {}, {}, {}
    performance, losses = None, None
    policy = policy_of(model)
    watched = sum(row.column_name != PERFORMANCE for row in rows)  # that share the budget
    for row in rows:
        name, summary = row.column_name, decode(row.data)
        if name == PERFORMANCE and isinstance(summary, PerformanceSummary):
            performance = summary
            learnt = row.calibration.get("losses")
            losses = None if learnt is None else LossModel.from_json(learnt)
        elif isinstance(summary, NumericSummary | CategoricalSummary):
            bins = Bins.from_json(row.bins)
            columns[name] = ColumnReference(name, row.kind, summary, bins, allowed=model.ranges.get(name))
            limits[name] = limits_of(row.calibration, whole, watched, policy)
            influence[name] = row.calibration.get("influence", 0.0)
    meaning = meaning_of(performance, task_of(model))
    known = {name: share for name, share in influence.items() if share > 0}
    return Baseline(columns, performance, meaning, limits, losses, known)
