"""Judge one window: load, detect, and give the findings; `store` commits them with the run's own row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from detectors.baselines import Baseline, Baselines, task_of
from detectors.history import History, history_of
from detectors.lasting import WATCH, watch
from detectors.limits import ColumnLimits
from detectors.loading import Loaded, Slice, load
from detectors.methods import (
    FEATURE_METHODS,
    KINDS,
    MULTIVARIATE,
    direct_loss,
    duplicates,
    estimated,
    performance,
    schema,
    traffic,
    volume,
)
from detectors.methods.encoding import encode_rows
from detectors.methods.estimated import ESTIMATES_OF_KIND, PREFIX
from detectors.methods.measures import Task
from detectors.methods.performance import METRICS_OF_KIND, Maturity
from detectors.row_samples import reference_rows, window_rows
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
from remora.summaries.profile import LATENCY, LOST, PERFORMANCE, SCORES, TRAFFIC
from remora.summaries.scores import ScoreSummary
from remora.telemetry import REGISTRY, get_logger

__all__ = ["Judged", "judge", "store"]

log = get_logger("detectors")

FAILURES = Counter(
    "remora_metric_failures", "Metrics of windows that could not be computed", ["metric"], registry=REGISTRY
)

# A sample of the rows of the window, and of the reference of this id.
Rows = Callable[[str], tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]

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


@dataclass(frozen=True)
class _Job:
    """What a job has to go by: the window's summaries, what they are compared with, and the details of the one before."""

    loaded: Loaded
    model: Model
    window: Window
    now: datetime
    rows: Rows
    history: Callable[[], History]
    find: Callable[[str], Baseline | None]
    families: int
    before: Mapping[tuple[str, str, str, str], Mapping[str, Any]]


def judge(database: Database, config: Config, key: RunKey, baselines: Baselines, now: datetime) -> Judged:
    """Every finding of a job's window. A metric that fails becomes a finding that says so."""
    window = Window(key.start, key.end)
    loaded = load(database, key.model, window, key.job)
    model = config.model(key.model)

    def rows_of(reference_id: str) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        with database.read() as connection:
            return reference_rows(connection, reference_id), window_rows(connection, key.model, window)

    def before() -> History:
        with database.read() as connection:
            return history_of(connection, key.model, window)

    job = _Job(
        loaded,
        model,
        window,
        now,
        rows_of,
        before,
        lambda version: baselines.of(key.model, version),
        _families(loaded),
        {},
    )
    if key.job == "drift" and model.drift.lasting != "off":
        with database.read() as connection:
            job = replace(job, before=queries.details_before(connection, key.model, window, _LASTING))
    found = _JOBS[key.job](job)
    rows = [
        {
            "model": key.model, "version": version, "segment": segment, "metric": metric, "feature": feature,
            "window_start": window.start, "window_end": window.end, "latest": True, "computed_at": now,
            **vars(result), "details": dict(result.details),
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

_LASTING = ("psi",)  # the metrics whose small but lasting changes are looked for in every feature
_RANGE = "out_of_range_rate"
_OF_ALL = {
    "capture_lost",
    "personal_data",
    volume.VOLUME,
    volume.STALENESS,
}  # not judged by version and segment
_TRAFFIC = tuple(name for name, metric in METRICS.items() if metric.job == "traffic" and name not in _OF_ALL)


def _traffic(job: _Job) -> Iterator[Found]:
    for (version, segment), part in job.loaded.slices.items():

        def compute(part: Slice = part) -> dict[str, Result]:
            return traffic.judge(part.get(TRAFFIC, TrafficSummary), part.get(LATENCY, LatencySummary))

        for metric, result in _attempt(compute, _TRAFFIC).items():
            yield version, segment, metric, "", result
    whole = job.loaded.slices["", ""]

    def beside() -> dict[str, Result]:
        seen, history = whole.get(TRAFFIC, TrafficSummary), job.history()
        return {
            volume.VOLUME: volume.judge_volume(seen.count if seen is not None else 0, history.counts),
            volume.STALENESS: volume.judge_staleness(
                job.window.end, history.last, job.model.windows.stale_after
            ),
        }

    for metric, result in _attempt(beside, (volume.VOLUME, volume.STALENESS)).items():
        yield "", "", metric, "", result

    def losses() -> dict[str, Result]:
        return traffic.judge_losses(whole.get(TRAFFIC, TrafficSummary), whole.get(LOST, TrafficSummary))

    for metric, result in _attempt(losses, ("capture_lost",)).items():
        yield "", "", metric, "", result
    for feature, result in traffic.judge_personal(job.loaded.personal).items():
        yield "", "", "personal_data", feature, result


def _performance(job: _Job) -> Iterator[Found]:
    loaded, model, find = job.loaded, job.model, job.find
    age = job.now - job.window.end
    maturity = Maturity(model.min_labelled, model.min_coverage, model.windows.mature_after, age)
    task = task_of(model)
    serving = _serving(loaded)
    for (version, segment), part in loaded.slices.items():

        def compute(part: Slice = part, version: str = version, segment: str = segment) -> dict[str, Result]:
            baseline = None if segment else find(version or serving) or find(version)
            usual = baseline.performance if baseline else None
            summary = part.get(PERFORMANCE, PerformanceSummary)
            return performance.judge(summary, part.answered, task, maturity, usual)

        for metric, result in _attempt(compute, METRICS_OF_KIND[model.kind]).items():
            yield version, segment, metric, "", result


def _drift(job: _Job) -> Iterator[Found]:
    serving = _serving(job.loaded)
    for metric, result in _together(job.find(serving), job).items():
        yield "", "", metric, "", result
    for (version, segment), part in job.loaded.slices.items():
        baseline = job.find(version or serving) or job.find(version)
        names = sorted({*(baseline.columns if baseline else ()), *part.columns})
        for name in names:
            for metric, result in _column(name, part, baseline, job).items():
                key = version, segment, metric, name
                yield *key, _watched(key, result, baseline, job)
        for metric, result in _schema(part, baseline, job).items():
            yield version, segment, metric, "", result
        if not names:
            for metric in job.model.drift.methods:
                yield version, segment, metric, "", unknown(NOT_ENOUGH_DATA, _NO_REFERENCE)
        for metric, result in _estimates(part, baseline, task_of(job.model)).items():
            yield version, segment, metric, "", result


def _schema(part: Slice, baseline: Baseline | None, job: _Job) -> dict[str, Result]:
    """What the requests are made of; without a reference there is nothing that could have changed."""

    def compute() -> dict[str, Result]:
        if baseline is None:
            return {}
        windows = {name: _window(name, part) for name in part.columns}
        judged = schema.judge(baseline.columns, windows, part.answered, job.model.drift.min_samples)
        return {schema.METRIC: judged}

    return _attempt(compute, (schema.METRIC,))


def _together(baseline: Baseline | None, job: _Job) -> dict[str, Result]:
    """All features of all versions together; rows are read only where that is asked for."""
    drift = job.model.drift
    metrics = tuple(drift.multivariate)
    if baseline is None:
        return {metric: unknown(NOT_ENOUGH_DATA, _NO_REFERENCE) for metric in metrics}
    kinds = {name: column.kind for name, column in baseline.columns.items() if not name.startswith("$")}

    def compute() -> dict[str, Result]:
        if not metrics:
            return {}
        there, here = job.rows(baseline.reference_id)
        rows = encode_rows(there, here, kinds)
        found: dict[str, Result] = {
            metric: judge_rows(rows, drift.min_samples, drift.minimum_effect)
            for metric, judge_rows in MULTIVARIATE.items()
            if metric in metrics
        }
        if duplicates.METRIC in metrics:
            found[duplicates.METRIC] = duplicates.judge(there, here, kinds, drift.min_samples)
        return found

    return _attempt(compute, metrics)


def _window(name: str, part: Slice) -> ColumnWindow:
    return ColumnWindow(part.answered, part.get(name, NumericSummary), part.get(name, CategoricalSummary))


def _estimates(part: Slice, baseline: Baseline | None, task: Task) -> dict[str, Result]:
    """What scores, or a regression's features, say of the performance: long before the labels do."""

    def compute() -> dict[str, Result]:
        if task.kind == "regression" and baseline is not None:
            windows = {name: _window(name, part) for name in part.columns}
            return direct_loss.judge(
                baseline.losses, baseline.columns, windows, part.answered, baseline.performance
            )
        scores = part.get(SCORES, ScoreSummary)
        if scores is None or baseline is None:
            return {}
        return estimated.judge(scores, task, baseline.meaning, baseline.performance)

    return _attempt(compute, tuple(PREFIX + metric for metric in ESTIMATES_OF_KIND[task.kind]))


def _watched(key: tuple[str, str, str, str], result: Result, baseline: Baseline | None, job: _Job) -> Result:
    """The result, with what the windows before it say of it."""
    metric, name = key[2:]
    detector = job.model.drift.lasting
    if baseline is None or name not in baseline.limits or metric not in _LASTING:
        return result
    limits = baseline.limits[name].shared(job.families)
    expected = limits.expected_false_alarms()
    if expected is not None:
        result = replace(result, details={**result.details, "expected_false_alarms": round(expected, 6)})
    if detector == "off":
        return result
    kept = job.before.get(key, {}).get(WATCH)
    return watch(metric, result, limits, kept, job.window.start, detector)


def _families(loaded: Loaded) -> int:
    """How many slices share the budget: one version alone is the same rows as all together."""
    versions = len({version for version, _ in loaded.slices if version})
    segments = len({segment for _, segment in loaded.slices})
    return max(1, segments) * (1 if versions < 2 else versions + 1)


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


def _column(name: str, part: Slice, baseline: Baseline | None, job: _Job) -> dict[str, Result]:
    own = name.startswith("$")  # the score and the predicted class: a row without one is not a missing input
    metrics: tuple[str, ...] = tuple(
        metric for metric in job.model.drift.methods if not (own and metric == "missing_rate")
    )
    if name in job.model.ranges and _RANGE not in metrics:
        metrics = (*metrics, _RANGE)  # whoever states a range wants it watched
    reference = baseline.columns.get(name) if baseline else None
    if baseline is None or reference is None:
        reason = _NEW_COLUMN if baseline else _NO_REFERENCE
        return {metric: unknown(NOT_ENOUGH_DATA, reason) for metric in metrics if "numeric" in KINDS[metric]}
    results: dict[str, Result] = {}
    for metric in metrics:
        if reference.kind not in KINDS[metric]:
            continue

        def compute(metric: str = metric) -> dict[str, Result]:
            current = _window(name, part)
            known = _limited(reference, baseline.limits[name].shared(job.families), current, job.window)
            return {metric: FEATURE_METHODS[metric](known, current, job.model.drift.min_samples)}

        results |= _attempt(compute, (metric,))
    return results


def _limited(
    reference: ColumnReference, column: ColumnLimits, current: ColumnWindow, window: Window
) -> ColumnReference:
    """The column with the limits of this window: they depend on its hour, its weekday and its number of rows."""
    values = current.of_kind(reference.kind)
    limits = column.at(
        window.start, values.count if values else 0, reference.summary.count, len(reference.bins.counts)
    )
    return replace(reference, limits=limits)


_JOBS: dict[str, Callable[[_Job], Iterator[Found]]] = {
    "traffic": _traffic,
    "drift": _drift,
    "performance": _performance,
}
