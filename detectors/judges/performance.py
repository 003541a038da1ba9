"""Performance, once labels have come: every metric, and which features and segments likely cost it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from detectors.base import Result
from detectors.baselines import task_of
from detectors.causes import Lost, rank_segments
from detectors.judges.work import Found, Work, attempt
from detectors.loading import Slice
from detectors.methods import performance
from detectors.methods.performance import METRICS_OF_KIND, Maturity
from remora.summaries import PerformanceSummary
from remora.summaries.codec import UnreadableSummaryError
from remora.summaries.profile import PERFORMANCE

__all__ = ["judge"]

_SAYS_NOTHING_OF_THE_MODEL = "label_coverage"


def judge(work: Work) -> Iterator[Found]:
    """Every metric of the model's kind, by version and segment."""
    model = work.model
    age = work.now - work.window.end
    maturity = Maturity(model.min_labelled, model.min_coverage, model.windows.mature_after, age)
    task = task_of(model)
    causes, segments = work.causes(), _segments(work)
    for (version, segment), part in work.loaded.slices.items():

        def compute(part: Slice = part, version: str = version, segment: str = segment) -> dict[str, Result]:
            baseline = None if segment else work.baseline(version)
            usual = baseline.performance if baseline else None
            return performance.judge(
                part.get(PERFORMANCE, PerformanceSummary), part.answered, task, maturity, usual
            )

        results = attempt(compute, METRICS_OF_KIND[model.kind])
        why = _why(causes.get(version), {} if version else segments) if not segment else {}
        for metric, result in results.items():
            yield version, segment, metric, "", _explained(metric, result, why)


def _explained(metric: str, result: Result, why: Mapping[str, Any]) -> Result:
    if result.value is None or metric == _SAYS_NOTHING_OF_THE_MODEL or not why:
        return result
    return replace(result, details={**result.details, **why})


def _why(causes: Sequence[Mapping[str, Any]] | None, segments: Mapping[str, Any]) -> dict[str, Any]:
    return {**({"causes": list(causes)} if causes else {}), **segments}


def _segments(work: Work) -> dict[str, Any]:
    """Which segments of all versions together lose more than the others."""
    parts = {segment: part for (version, segment), part in work.loaded.slices.items() if not version}
    try:
        losses = {segment: lost for segment, part in parts.items() if (lost := _lost(part, work)) is not None}
    except UnreadableSummaryError:  # the segment's own metrics say so
        return {}
    whole = losses.pop("", None)
    ranked = rank_segments(whole, losses, work.model.min_labelled) if whole is not None else []
    return {"segments": ranked} if ranked else {}


def _lost(part: Slice, work: Work) -> Lost | None:
    summary = part.get(PERFORMANCE, PerformanceSummary)
    return None if summary is None else performance.loss_of(summary, work.model.kind)
