"""Drift: every column against the reference, what requests are made of, and what it likely does to the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from detectors.base import NOT_ENOUGH_DATA, ColumnReference, ColumnWindow, FeatureMethod, Result, unknown
from detectors.baselines import Baseline, task_of
from detectors.causes import rank_features
from detectors.judges.work import MOVED, Found, Key, Work, attempt
from detectors.lasting import WATCH, watch
from detectors.limits import ColumnLimits
from detectors.loading import Slice
from detectors.methods import (
    FEATURE_METHODS,
    KINDS,
    MULTIVARIATE,
    direct_loss,
    duplicates,
    estimated,
    schema,
)
from detectors.methods.encoding import encode_rows
from detectors.methods.estimated import ESTIMATES_OF_KIND, PREFIX
from detectors.own import kinds_of, load_own, method_of
from detectors.windows import Window
from remora.summaries import CategoricalSummary, NumericSummary
from remora.summaries.profile import SCORES
from remora.summaries.scores import ScoreSummary

__all__ = ["judge"]

_LASTING = ("psi",)  # the metrics whose small but lasting changes are looked for in every feature
_STANDS_OUT = 2.0  # spreads of ordinary windows from which on a feature is said to have moved
_RANGE = "out_of_range_rate"

_NO_REFERENCE = "No reference to compare with: build one with `remora reference build`."
_NEW_COLUMN = (
    "The reference does not know this feature: build it again from rows that have it, or stop sending it."
)

# A metric and a feature, and what was found of one slice.
_Slice = dict[tuple[str, str], Result]


def judge(work: Work) -> Iterator[Found]:
    """Every metric of every column by version; rows are read only where a metric of all columns together is asked for."""
    for metric, result in _together(work.find(work.serving), work).items():
        yield "", "", metric, "", result
    before = work.before(_LASTING) if work.model.drift.lasting != "off" else {}
    for (version, segment), part in work.loaded.slices.items():
        baseline = work.baseline(version)
        found = _columns((version, segment), part, baseline, work, before)
        whole = {(metric, ""): result for metric, result in _of_all_columns(part, baseline, work).items()}
        for (metric, feature), result in _explained({**found, **whole}, baseline, work).items():
            yield version, segment, metric, feature, result


def _columns(
    slice_: tuple[str, str], part: Slice, baseline: Baseline | None, work: Work, before: Mapping[Key, Any]
) -> _Slice:
    found: _Slice = {}
    for name in sorted({*(baseline.columns if baseline else ()), *part.columns}):
        for metric, result in _column(name, part, baseline, work).items():
            kept = before.get((*slice_, metric, name), {}).get(WATCH)
            found[metric, name] = _watched(metric, name, result, baseline, work, kept)
    if found:
        return found
    nothing = unknown(NOT_ENOUGH_DATA, _NO_REFERENCE)
    return {(metric, ""): nothing for metric in work.model.drift.methods}


def _column(name: str, part: Slice, baseline: Baseline | None, work: Work) -> dict[str, Result]:
    metrics = _metrics_of(name, work)
    reference = baseline.columns.get(name) if baseline else None
    if baseline is None or reference is None:
        reason = _NEW_COLUMN if baseline else _NO_REFERENCE
        return {
            metric: unknown(NOT_ENOUGH_DATA, reason)
            for metric in metrics
            if "numeric" in KINDS.get(metric, ())
        }
    results: dict[str, Result] = {}
    for metric in metrics:

        def compute(metric: str = metric) -> dict[str, Result]:
            kinds, method = _method(metric, work)
            if reference.kind not in kinds:
                return {}
            current = _window(name, part)
            known = _limited(reference, baseline.limits[name].shared(work.families), current, work.window)
            return {metric: method(known, current, work.model.drift.min_samples)}

        results |= attempt(compute, (metric,))
    return results


def _method(metric: str, work: Work) -> tuple[tuple[str, ...], FeatureMethod]:
    """The kinds of columns that it can be asked of, and how; raises UserError where a detector of one's own is not there."""
    parameters = work.model.drift.own.get(metric)
    if parameters is None:
        return KINDS[metric], FEATURE_METHODS[metric]
    detector = load_own(metric)
    return kinds_of(detector), method_of(detector, parameters)


def _metrics_of(name: str, work: Work) -> tuple[str, ...]:
    """A row without a score or a predicted class is no missing input; whoever states a range wants it watched."""
    metrics = tuple(
        metric
        for metric in (*work.model.drift.methods, *work.model.drift.own)
        if not (name.startswith("$") and metric == "missing_rate")
    )
    return (*metrics, _RANGE) if name in work.model.ranges and _RANGE not in metrics else metrics


def _limited(
    reference: ColumnReference, column: ColumnLimits, current: ColumnWindow, window: Window
) -> ColumnReference:
    """The column with the limits of this window: they depend on its hour, its weekday and its number of rows."""
    values = current.of_kind(reference.kind)
    limits = column.at(
        window.start, values.count if values else 0, reference.summary.count, len(reference.bins.counts)
    )
    return replace(reference, limits=limits)


def _watched(
    metric: str, name: str, result: Result, baseline: Baseline | None, work: Work,
    kept: Mapping[str, Any] | None,
) -> Result:  # fmt: skip
    """The result, with what the windows before it say of it."""
    detector = work.model.drift.lasting
    if baseline is None or name not in baseline.limits or metric not in _LASTING:
        return result
    limits = baseline.limits[name].shared(work.families)
    expected = limits.expected_false_alarms()
    if expected is not None:
        result = replace(result, details={**result.details, "expected_false_alarms": round(expected, 6)})
    if detector == "off":
        return result
    return watch(metric, result, limits, kept, work.window.start, detector)


def _window(name: str, part: Slice) -> ColumnWindow:
    return ColumnWindow(part.answered, part.get(name, NumericSummary), part.get(name, CategoricalSummary))


# --- all columns together --------------------------------------------------------------------------------------------


def _of_all_columns(part: Slice, baseline: Baseline | None, work: Work) -> dict[str, Result]:
    """What the requests are made of, and the performance that is to be expected; nothing without a reference."""
    if baseline is None:
        return {}
    return {**_schema(part, baseline, work), **_estimates(part, baseline, work)}


def _schema(part: Slice, baseline: Baseline, work: Work) -> dict[str, Result]:
    def compute() -> dict[str, Result]:
        windows = {name: _window(name, part) for name in part.columns}
        judged = schema.judge(baseline.columns, windows, part.answered, work.model.drift.min_samples)
        return {schema.METRIC: judged}

    return attempt(compute, (schema.METRIC,))


def _estimates(part: Slice, baseline: Baseline, work: Work) -> dict[str, Result]:
    """What scores, or a regression's features, say of the performance: long before the labels do."""
    task = task_of(work.model)

    def compute() -> dict[str, Result]:
        if task.kind == "regression":
            windows = {name: _window(name, part) for name in part.columns}
            return direct_loss.judge(
                baseline.losses, baseline.columns, windows, part.answered, baseline.performance
            )
        scores = part.get(SCORES, ScoreSummary)
        if scores is None:
            return {}
        return estimated.judge(scores, task, baseline.meaning, baseline.performance)

    return attempt(compute, tuple(PREFIX + metric for metric in ESTIMATES_OF_KIND[task.kind]))


def _together(baseline: Baseline | None, work: Work) -> dict[str, Result]:
    """What rows say of all features of all versions together."""
    drift = work.model.drift
    metrics = tuple(drift.multivariate)
    if baseline is None:
        return {metric: unknown(NOT_ENOUGH_DATA, _NO_REFERENCE) for metric in metrics}
    kinds = {name: column.kind for name, column in baseline.columns.items() if not name.startswith("$")}

    def compute() -> dict[str, Result]:
        if not metrics:
            return {}
        there, here = work.rows(baseline.reference_id)
        rows = encode_rows(there, here, kinds)
        found: dict[str, Result] = {
            metric: judge_rows(rows, drift.min_samples, drift.minimum_effect)
            for metric, judge_rows in MULTIVARIATE.items()
            if metric in metrics
        }
        if duplicates.METRIC in metrics:
            found[duplicates.METRIC] = duplicates.judge(there, here, kinds, drift.min_samples)
        return found

    return attempt(compute, metrics)


# --- why -------------------------------------------------------------------------------------------------------------


def _explained(found: _Slice, baseline: Baseline | None, work: Work) -> _Slice:
    """The same, with the features that likely moved the score beside what is said of the score and the performance."""
    if baseline is None or not baseline.influence:
        return found
    effects = {
        feature: _moved(feature, result, baseline, work)
        for (metric, feature), result in found.items()
        if metric == MOVED and feature in baseline.influence
    }
    causes = rank_features(effects, baseline.influence, work.model.drift.minimum_effect)
    if not causes:
        return found
    return {key: _with(result, causes) if _is_outcome(*key) else result for key, result in found.items()}


def _moved(feature: str, result: Result, baseline: Baseline, work: Work) -> float:
    """How far a feature moved beyond what is usual, in standard deviations: in windows of a day the weekday always moves."""
    beyond = baseline.limits[feature].beyond(MOVED, result, work.window.start)
    if beyond is None:
        return result.effect or 0.0
    return math.sqrt(max(0.0, beyond.effect)) if beyond.standing >= _STANDS_OUT else 0.0


def _is_outcome(metric: str, feature: str) -> bool:
    return feature.startswith("$") or metric.startswith(PREFIX)


def _with(result: Result, causes: list[dict[str, Any]]) -> Result:
    return result if result.value is None else replace(result, details={**result.details, "causes": causes})
