"""How wrong a regression probably is before its labels come: direct loss estimation from the shares of bins.

The idea is NannyML's (DLE, 2022): learn from the reference how large the error of a row is to be expected, and ask what
that makes of the window's rows. `detectors.methods.losses` learns it additively, so the window's summaries are enough.
It holds as long as errors depend on the features as they did in the reference; where the window has values that the
reference does not know, it says that it cannot know.

What features do to the error together, beyond what each does alone, it does not see: rows would have to be read.

The 95 % interval is about the realised value: how well the model is known, and how the rows then turn out, independent
of each other and with effects that add up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from detectors.base import (
    COULD_NOT_COMPUTE,
    NOT_ENOUGH_DATA,
    OK,
    Z95,
    ColumnReference,
    ColumnWindow,
    Result,
    unknown,
)
from detectors.methods.losses import MIN_LABELLED, Floats, LossModel
from detectors.methods.measures import Task
from detectors.methods.out_of_range import outside
from detectors.methods.regression import REGRESSION
from remora.catalogue import METRICS, show
from remora.summaries import CategoricalSummary, NumericSummary, PerformanceSummary

__all__ = ["LOSSES", "judge"]

LOSSES = ("estimated_mae", "estimated_rmse")
_MOST_STRANGE = 0.1  # share of a feature's rows where the reference has hardly any
_ANY = Task("regression")
_HARDLY = 10  # rows of the reference in a bin


def judge(
    model: LossModel | None, columns: Mapping[str, ColumnReference], windows: Mapping[str, ColumnWindow], rows: int,
    reference: PerformanceSummary | None,
) -> dict[str, Result]:  # fmt: skip
    """Both estimates over `rows` answered predictions, or why there are none."""
    if model is None:
        labelled = 0 if reference is None else reference.rows
        return _none(NOT_ENOUGH_DATA, (
            f"The reference has {labelled} labelled rows, {MIN_LABELLED} with a prediction are needed: build it from rows"
            " with predictions and labels."
        ), rows)  # fmt: skip
    if not rows:
        return _none(NOT_ENOUGH_DATA, "No prediction was answered with success in this window.", rows)
    shares: dict[str, Floats] = {}
    for name in model.effects:
        window = windows.get(name, ColumnWindow(rows))
        shares[name] = _shares(columns[name], window)
        strange = _strange(columns[name], window, shares[name], model.counts[name])
        if strange > _MOST_STRANGE:
            return _none(COULD_NOT_COMPUTE, (
                f"{strange:.0%} of the rows have a value of {name} that the reference hardly has: how large errors are there"
                " is not known. Wait for the labels, or build the reference from later rows."
            ).replace("%", " %"), rows)  # fmt: skip
    found = model.expected(shares)
    chance = found[1:].var(axis=0) + model.spread / rows
    return {
        metric: _result(metric, found[0, at], float(np.sqrt(chance[at])), rows, model, reference)
        for at, metric in enumerate(LOSSES)
    }


def _none(verdict: str, reason: str, rows: int) -> dict[str, Result]:
    return {metric: unknown(verdict, reason, rows) for metric in LOSSES}


def _shares(column: ColumnReference, window: ColumnWindow) -> Floats:
    """The share of the rows in each bin, and of those without a value."""
    summary = window.of_kind(column.kind)
    masses = np.zeros(len(column.bins.counts)) if summary is None else column.bins.masses(summary)
    total = max(1.0, float(window.total), float(masses.sum()))
    return np.append(masses, total - masses.sum()) / total


def _strange(column: ColumnReference, window: ColumnWindow, shares: Floats, counts: Floats) -> float:
    """The share of the rows where the reference has hardly a row to learn from."""
    found = float(shares[counts < _HARDLY].sum())
    summary, usual = window.of_kind(column.kind), column.summary
    if isinstance(summary, NumericSummary) and isinstance(usual, NumericSummary):
        below, above = outside(summary, usual.minimum, usual.maximum)
        found = max(found, (below + above) * summary.count / max(1, window.total))
    known = column.bins.known
    if isinstance(summary, CategoricalSummary) and known is not None:
        new = sum(count for name, count in summary.counts().items() if name not in known)
        found = max(found, new / max(1, window.total))
    return found


def _result(
    metric: str, loss: float, chance: float, rows: int, model: LossModel, reference: PerformanceSummary | None
) -> Result:
    low, high = max(0.0, loss - Z95 * chance), max(0.0, loss + Z95 * chance)
    value = max(0.0, loss)
    if metric == "estimated_rmse":
        value, low, high = (float(np.sqrt(one)) for one in (value, low, high))
    plain = metric.removeprefix("estimated_")
    title = METRICS[plain].title
    usual = None if reference is None else REGRESSION[plain](reference, _ANY).value
    beside = f"; the reference has {show(plain, usual)}" if usual is not None else ""
    reason = (
        f"{title} of about {show(plain, value)} is to be expected of {rows} predictions, as long as errors depend on the"
        f" features as they did in the reference, which explain {model.explained:.0%} of how errors vary{beside}."
    ).replace("%", " %")
    return Result(
        float(value), OK, reason, rows, float(low), float(high), usual, reference_size=model.rows,
        details={"explained": round(model.explained, 4)},
    )  # fmt: skip
