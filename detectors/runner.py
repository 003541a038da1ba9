"""Judge one window: load, detect, and give the findings; `store` commits them with the run's own row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from traceback import extract_tb
from typing import Any

from prometheus_client import Counter

from detectors import queries
from detectors.base import (
    COULD_NOT_COMPUTE,
    NOT_ENOUGH_DATA,
    ColumnReference,
    ColumnWindow,
    Result,
    unknown,
)
from detectors.baselines import Baseline, Baselines
from detectors.loading import Loaded, Slice, load
from detectors.methods import FEATURE_METHODS, KINDS, performance, traffic
from detectors.methods.performance import METRICS_OF_KIND, Maturity
from detectors.windows import Window
from remora.catalogue import METRICS
from remora.config import Config
from remora.config.models import Model
from remora.database import Database
from remora.errors import UnavailableError
from remora.runs import Run, RunKey, finish_run, revise_run
from remora.summaries import (
    CategoricalSummary,
    LatencySummary,
    NumericSummary,
    PerformanceSummary,
    TrafficSummary,
)
from remora.summaries.profile import LATENCY, PERFORMANCE, TRAFFIC
from remora.telemetry import REGISTRY, get_logger

__all__ = ["Judged", "judge", "store"]

log = get_logger("detectors")

FAILURES = Counter(
    "remora_metric_failures", "Metrics of windows that could not be computed", ["metric"], registry=REGISTRY
)

# Version, segment, metric and feature, and what was found.
Found = tuple[str, str, str, str, Result]

_NO_REFERENCE = "No reference to compare with: build one with `remora reference build`."
_NEW_COLUMN = (
    "The reference does not know this feature: build it again from rows that have it, or stop sending it."
)


@dataclass(frozen=True)
class Judged:
    """Rows for `findings`, all but their revision, and the summaries they were made of."""

    rows: list[dict[str, Any]]
    watermark: int


def judge(database: Database, config: Config, key: RunKey, baselines: Baselines, now: datetime) -> Judged:
    """Every finding of a job's window. A metric that fails becomes a finding that says so."""
    window = Window(key.start, key.end)
    loaded = load(database, key.model, window, key.job)
    found = _JOBS[key.job](loaded, config.model(key.model), lambda version: baselines.of(key.model, version))
    rows = [
        {
            "model": key.model, "version": version, "segment": segment, "metric": metric, "feature": feature,
            "window_start": window.start, "window_end": window.end, "latest": True, "computed_at": now,
            **vars(result),
        }
        for version, segment, metric, feature, result in found
    ]  # fmt: skip
    return Judged(rows, loaded.watermark)


def store(database: Database, run: Run, judged: Judged, wall: datetime, *, revision: bool = False) -> None:
    """Commit the findings and the run's new state together; raises `LostRunError` where the run is another's."""
    number = run.revision + 1 if revision else run.revision
    finish = revise_run if revision else finish_run
    with database.write() as connection:
        finish(connection, run, wall=wall, watermark=judged.watermark)
        rows = [{**row, "revision": number} for row in judged.rows]
        queries.store_findings(connection, Window(run.key.start, run.key.end), run.key.model, rows, number)


def _attempt(compute: Callable[[], dict[str, Result]], metrics: tuple[str, ...]) -> dict[str, Result]:
    """The results, or for each metric a word that it failed: one metric must not cost the window."""
    try:
        return compute()
    except UnavailableError:
        raise
    except Exception as error:  # noqa: BLE001  (the metric's edge: logged, counted and shown)
        frame = extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        # The error's own text may hold a value of a feature, so it is not logged.
        log.error("metric_failed", metrics=metrics, error=type(error).__name__, where=where)  # noqa: TRY400
        for metric in metrics:
            FAILURES.labels(metric).inc()
        reason = f"Computing it failed with {type(error).__name__}; the server's log says where."
        return dict.fromkeys(metrics, unknown(COULD_NOT_COMPUTE, reason))


# --- one generator per job -------------------------------------------------------------------------------------------

_Find = Callable[[str], Baseline | None]
_TRAFFIC = tuple(name for name, metric in METRICS.items() if metric.job == "traffic")


def _traffic(loaded: Loaded, _model: Model, _find: _Find) -> Iterator[Found]:
    for (version, segment), part in loaded.slices.items():

        def compute(part: Slice = part) -> dict[str, Result]:
            return traffic.judge(part.get(TRAFFIC, TrafficSummary), part.get(LATENCY, LatencySummary))

        for metric, result in _attempt(compute, _TRAFFIC).items():
            yield version, segment, metric, "", result


def _performance(loaded: Loaded, model: Model, find: _Find) -> Iterator[Found]:
    maturity = Maturity(model.min_labelled, model.min_coverage)
    serving = _serving(loaded)
    for (version, segment), part in loaded.slices.items():

        def compute(part: Slice = part, version: str = version, segment: str = segment) -> dict[str, Result]:
            baseline = None if segment else find(version or serving) or find(version)
            usual = baseline.performance if baseline else None
            summary = part.get(PERFORMANCE, PerformanceSummary)
            return performance.judge(summary, part.answered, model.kind, maturity, usual)

        for metric, result in _attempt(compute, METRICS_OF_KIND[model.kind]).items():
            yield version, segment, metric, "", result


def _drift(loaded: Loaded, model: Model, find: _Find) -> Iterator[Found]:
    serving = _serving(loaded)
    for (version, segment), part in loaded.slices.items():
        baseline = find(version or serving) or find(version)
        references = baseline.columns if baseline else {}
        names = sorted({*references, *part.columns})
        for name in names:
            for metric, result in _column(name, part, references.get(name), baseline, model).items():
                yield version, segment, metric, name, result
        if not names:
            for metric in FEATURE_METHODS:
                yield version, segment, metric, "", unknown(NOT_ENOUGH_DATA, _NO_REFERENCE)


def _serving(loaded: Loaded) -> str:
    """The version that answered most of the window's rows, or ''.

    All versions together are compared with its reference: a retrained model scores otherwise than the one before it,
    and that is no drift.
    """
    answered = {
        version: part.answered
        for (version, segment), part in loaded.slices.items()
        if version and not segment
    }
    most = max(answered, key=lambda version: answered[version], default="")
    return most if most and 2 * answered[most] > sum(answered.values()) else ""


def _column(
    name: str, part: Slice, reference: ColumnReference | None, baseline: Baseline | None, model: Model,
) -> dict[str, Result]:  # fmt: skip
    own = name.startswith("$")  # the score and the predicted class: a row without one is not a missing input
    metrics = tuple(metric for metric in FEATURE_METHODS if not (own and metric == "missing_rate"))
    if reference is None:
        reason = _NEW_COLUMN if baseline else _NO_REFERENCE
        return {metric: unknown(NOT_ENOUGH_DATA, reason) for metric in metrics if "numeric" in KINDS[metric]}
    results: dict[str, Result] = {}
    for metric in metrics:
        if reference.kind not in KINDS[metric]:
            continue

        def compute(metric: str = metric) -> dict[str, Result]:
            numeric = part.get(name, NumericSummary)
            window = ColumnWindow(part.answered, numeric, part.get(name, CategoricalSummary))
            return {metric: FEATURE_METHODS[metric](reference, window, model.drift.min_samples)}

        results |= _attempt(compute, (metric,))
    return results


_JOBS: dict[str, Callable[[Loaded, Model, _Find], Iterator[Found]]] = {
    "traffic": _traffic,
    "drift": _drift,
    "performance": _performance,
}
