"""How right the model was, from the sums of labelled predictions: every metric of its kind, or why there is none yet.

Intervals are those of `detectors.methods.classification`, `regression` and `ranking`, over as many rows of equal
weight as say as much as those that were kept; label coverage has Wilson's (1927).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from detectors.base import (
    LABELS_NOT_MATURE,
    NOT_ENOUGH_DATA,
    OK,
    Result,
    unknown,
    wilson,
)
from detectors.causes import Lost
from detectors.methods.classification import BINARY, MULTICLASS
from detectors.methods.measures import Measure, Measured, Task
from detectors.methods.ranking import RANKING
from detectors.methods.regression import REGRESSION
from remora.catalogue import METRICS, show
from remora.config.base import format_duration
from remora.summaries import PerformanceSummary
from remora.summaries.ranking import MEASURES

__all__ = ["METRICS_OF_KIND", "Maturity", "judge", "loss_of", "value_of"]

_NDCG = 1 + MEASURES.index("ndcg")

_MEASURES: dict[str, dict[str, Measure]] = {
    "binary": BINARY,
    "multiclass": MULTICLASS,
    "regression": REGRESSION,
    "ranking": RANKING,
}

METRICS_OF_KIND: dict[str, tuple[str, ...]] = {
    kind: (*measures, "label_coverage") for kind, measures in _MEASURES.items()
}


@dataclass(frozen=True)
class Maturity:
    """From when on labelled rows speak: how many there must be, and which share of the predictions or which age.

    A window that ended `after` ago or longer has the labels that it will have; `age` is how long ago it ended.
    """

    min_labelled: int
    min_coverage: float
    after: timedelta | None = None
    age: timedelta = timedelta(0)

    @property
    def by_age(self) -> bool:
        """Whether the window is old enough, whatever the share."""
        return self.after is not None and self.age >= self.after


def value_of(metric: str, summary: PerformanceSummary | None, task: Task) -> float | None:
    """A metric's value, or None where nothing can be said."""
    return None if summary is None else _MEASURES[task.kind][metric](summary, task).value


def loss_of(summary: PerformanceSummary, kind: str) -> Lost | None:
    """What the rows lost: 1 for a wrong class, |error| of a regression, 1 - NDCG of a ranking; None where nothing is known.

    The rows are those of equal weight that say as much as the ones that were kept (Kish 1965).
    """
    if kind == "regression":
        rows, loss, squares = summary.errors[0], summary.errors[2], summary.errors[3]
    elif kind == "ranking":
        rows, good, squared = summary.lists[0], summary.lists[_NDCG], summary.lists[_NDCG + len(MEASURES)]
        loss, squares = rows - good, rows - 2 * good + squared
    else:
        rows, right = summary.confusion.total(), summary.accuracy or 0.0
        loss = squares = rows * (1 - right)
    if rows <= 0:
        return None
    share = summary.precision
    return Lost(rows * share, loss * share, squares * share)


def judge(
    summary: PerformanceSummary | None, answered: int, task: Task, maturity: Maturity,
    reference: PerformanceSummary | None = None,
) -> dict[str, Result]:  # fmt: skip
    """Every metric of a kind of model over `answered` predictions.

    The reference's own value stands beside each; what is too low is said by a rule, not here.
    """
    found = summary or PerformanceSummary()
    labelled = max(0, found.rows)
    coverage = min(1.0, max(0.0, found.labelled) / answered) if answered else None
    results = {"label_coverage": _coverage(found, answered, coverage)}
    wait = _not_yet(found, answered, coverage, maturity)
    for metric, measure in _MEASURES[task.kind].items():
        usual = value_of(metric, reference, task)
        size = reference.rows if reference is not None else None
        if wait is not None:
            results[metric] = unknown(
                *wait, labelled, coverage=coverage, reference_value=usual, reference_size=size
            )
            continue
        rows = labelled, coverage, size
        result = _result(metric, measure(found, task), rows, usual)
        early = coverage is not None and coverage < maturity.min_coverage
        results[metric] = _by_age(result, maturity) if early and result.verdict == OK else result
    return results


def _by_age(result: Result, maturity: Maturity) -> Result:
    """The same, said to be judged for its age: whoever reads it must know that most labels never came."""
    after = format_duration(maturity.after or timedelta(0))
    said = (
        f" Judged for its age, {after} or more: a share of {maturity.min_coverage:.0%} of the labels has not come, and rows"
        " without one may have turned out otherwise."
    ).replace("%", " %")
    return replace(result, reason=result.reason + said, details={**result.details, "mature_by": "age"})


def _result(
    metric: str, found: Measured, rows: tuple[int, float | None, int | None], usual: float | None
) -> Result:
    size, coverage, reference_size = rows
    title = METRICS[metric].title
    if found.value is None:
        return unknown(NOT_ENOUGH_DATA, f"No {_inside(title)}: {_MISSING[metric]}.", size, coverage=coverage,
                       reference_value=usual, reference_size=reference_size)  # fmt: skip
    share = f" ({coverage:.0%} of the predictions)".replace("%", " %") if coverage is not None else ""
    beside = f"; the reference has {show(metric, usual)}" if usual is not None else ""
    return Result(
        found.value,
        OK,
        f"{title} {show(metric, found.value)} over {size} labelled predictions{share}{beside}.",
        size,
        found.low,
        found.high,
        usual,
        None,
        reference_size,
        coverage,
        details=found.details,
    )


def _inside(title: str) -> str:
    """A title in the middle of a sentence: abbreviations stay as they are."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def _coverage(found: PerformanceSummary, answered: int, coverage: float | None) -> Result:
    if coverage is None:
        return unknown(
            NOT_ENOUGH_DATA, "No label coverage: no prediction was answered with success in this window."
        )
    seen = answered * found.precision
    low, high = wilson(coverage * seen, seen)
    reason = f"{_labelled(found)} of {answered} predictions have a label."
    return Result(coverage, OK, reason, answered, low, high, coverage=coverage)


def _labelled(found: PerformanceSummary) -> int:
    """How many predictions have a label, as far as the kept rows tell."""
    return max(0, round(found.labelled))


def _not_yet(
    found: PerformanceSummary, answered: int, coverage: float | None, maturity: Maturity
) -> tuple[str, str] | None:
    """The verdict and reason of a window that cannot be judged, or None."""
    if coverage is None and found.rows <= 0:
        return NOT_ENOUGH_DATA, "No prediction was answered with success in this window: nothing to judge."
    if coverage is not None and coverage < maturity.min_coverage and not maturity.by_age:
        until = "" if maturity.after is None else f", or the window be {format_duration(maturity.after)} old"
        return LABELS_NOT_MATURE, (
            f"{_labelled(found)} of {answered} predictions have a label, {maturity.min_coverage:.0%} must{until}:"
            " wait for the labels, or see why they do not come."
        ).replace("%", " %")
    if found.rows < maturity.min_labelled:
        return NOT_ENOUGH_DATA, (
            f"{max(0, found.rows)} labelled predictions, {maturity.min_labelled} are needed: wait, or choose longer windows."
        )
    return None


_NO_CLASS = "the labelled predictions carry no predicted class"
_NO_SCORES = "the labelled predictions carry no scores: tell the capture where they are in an answer"
_NO_POSITIVE = "none of the labelled predictions {} the positive class: is `positive` its right name?"
_NO_NUMBERS = "the labels or the predictions are not numbers: is the model's kind regression?"
_NO_LISTS = "the labelled predictions are no lists: is the model's kind ranking?"
_MISSING = {
    **dict.fromkeys(("accuracy", "f1_macro"), _NO_CLASS),
    "precision": _NO_POSITIVE.format("was given"), "recall": _NO_POSITIVE.format("is of"),
    "f1": _NO_POSITIVE.format("was given or is of"),
    "auc": f"it needs labels of both classes, and {_NO_SCORES}",
    "auc_macro": f"it needs labels of two classes and a score for each class, and {_NO_SCORES}",
    **dict.fromkeys(("log_loss", "brier", "calibration_error", "base_rate"), _NO_SCORES),
    **dict.fromkeys(("mae", "rmse", "bias"), _NO_NUMBERS),
    "mape": f"every actual value is 0, or {_NO_NUMBERS}",
    "r2": f"the actual values do not vary, or {_NO_NUMBERS}",
    **dict.fromkeys(("ndcg", "map", "mrr", "hit_rate"), _NO_LISTS),
}  # fmt: skip
