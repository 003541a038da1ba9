"""How right a classifier probably is before its labels come: confidence-based performance estimation.

A calibrated score says how probable it is that a row is of its class, so the scores of a window give the expected
confusion counts, and with them every measure (CBPE: NannyML, "Confidence-based Performance Estimation", 2022). It
holds as long as a score means what it meant in the reference: what changes that, changes unseen until the labels come.
Rows are never looked at: the work is the same for a hundred rows and for a hundred million.

The 95 % interval has both sources of chance in it: how well the reference knows what a score means, and how the
window's rows then turn out, independent of each other (flights of one stormy day are not). Its spread comes from
`DRAWS` repetitions of both, always the same for the same window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from detectors.base import COULD_NOT_COMPUTE, NOT_ENOUGH_DATA, OK, Z95, Result, unknown
from detectors.methods.measures import Task
from detectors.methods.performance import value_of
from detectors.methods.probabilities import MIN_CLASS, MIN_LABELLED, Calibrated, Floats, calibrated
from remora.catalogue import METRICS, show
from remora.summaries import PerformanceSummary
from remora.summaries.scores import MIDDLES, ScoreSummary, dense

__all__ = ["ESTIMATES_OF_KIND", "PREFIX", "Meaning", "judge", "meaning_of"]

PREFIX = "estimated_"
DRAWS = 64
MIN_KNOWN = 0.9  # share of the window's rows whose scores the reference knows

ESTIMATES_OF_KIND: dict[str, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "brier", "base_rate"),
    "multiclass": ("accuracy", "f1_macro", "auc_macro", "log_loss"),
    "regression": ("mae", "rmse"),  # by detectors.methods.direct_loss
    "ranking": (),
}


@dataclass(frozen=True)
class Meaning:
    """What the reference says scores mean, by class; a binary model has its positive class alone."""

    maps: Mapping[str, Calibrated] = field(default_factory=dict)
    labelled: int = 0


def meaning_of(reference: PerformanceSummary | None, task: Task) -> Meaning:
    """Learnt from the labelled rows of the reference."""
    if reference is None or task.kind not in {"binary", "multiclass"}:
        return Meaning()
    if task.kind == "binary":
        pairs = {task.positive: (reference.positive_scores, reference.negative_scores)}
    else:
        pairs = reference.class_scores
    maps = {name: calibrated(dense(of_it), dense(rest)) for name, (of_it, rest) in pairs.items()}
    return Meaning({name: found for name, found in maps.items() if found is not None}, reference.rows)


def judge(
    scores: ScoreSummary, task: Task, meaning: Meaning, reference: PerformanceSummary | None
) -> dict[str, Result]:
    """Every estimate of a kind of model, or why there is none; the reference's own value stands beside each."""
    metrics = ESTIMATES_OF_KIND[task.kind]
    classes = [task.positive] if task.kind == "binary" else scores.classes
    size = max((scores.rows(name) for name in classes), default=0)
    why = _cannot_know(scores, classes, size, meaning)
    if why is not None:
        return {PREFIX + metric: unknown(*why, size) for metric in metrics}
    expected = (
        _binary(scores, task.positive, meaning) if task.kind == "binary" else _multiclass(scores, meaning)
    )
    return {
        PREFIX + metric: _result(metric, expected[metric], size, value_of(metric, reference, task), meaning)
        for metric in metrics
    }


def _cannot_know(
    scores: ScoreSummary, classes: list[str], size: int, meaning: Meaning
) -> tuple[str, str] | None:
    """The verdict and reason where no estimate deserves trust, or None."""
    if not size:
        return (
            NOT_ENOUGH_DATA,
            "No prediction of this window carries a score of the classes that the model has.",
        )
    missing = [name for name in classes if name not in meaning.maps]
    if missing:
        return NOT_ENOUGH_DATA, (
            f"The reference has {meaning.labelled} labelled rows with scores; {MIN_LABELLED} are needed, {MIN_CLASS} of each"
            " class and of the rest: build it from rows with labels and scores."
        )
    rows = known = 0.0
    for name in classes:
        every = scores.all_of(name)
        rows, known = rows + every.sum(), known + every[meaning.maps[name].known].sum()
    if known < MIN_KNOWN * rows:
        return COULD_NOT_COMPUTE, (
            f"{1 - known / rows:.0%} of the scores lie where the reference has hardly a labelled row: what they mean is not"
            " known. Wait for the labels, or build the reference from later rows."
        ).replace("%", " %")
    return None


def _result(metric: str, found: Floats, size: int, usual: float | None, meaning: Meaning) -> Result:
    """`found` is what is expected, and then each repetition."""
    value, title = float(found[0]), METRICS[metric].title
    if not np.isfinite(value):
        why = "the predictions carry no predicted class, or none is of the class that it is about"
        return unknown(NOT_ENOUGH_DATA, f"{title} cannot be estimated: {why}.", size, reference_value=usual)
    drawn = found[1:][np.isfinite(found[1:])]
    half = Z95 * float(drawn.std()) if len(drawn) > 1 else 0.0
    most = 1.0 if metric != "log_loss" else np.inf
    beside = f"; the reference has {show(metric, usual)}" if usual is not None else ""
    reason = (
        f"{title} of about {show(metric, value)} is to be expected of {size} predictions, as long as a score means what it"
        f" meant in the reference{beside}."
    )
    return Result(
        value, OK, reason, size, max(0.0, value - half), min(most, value + half), usual,
        reference_size=meaning.labelled, details={"calibration": sorted({one.method for one in meaning.maps.values()})},
    )  # fmt: skip


# --- expected counts: every array has what is expected first, and then the repetitions --------------------------------


@dataclass(frozen=True)
class _Expected:
    """Rows of a class and of the rest by bin, shape (1 + DRAWS, 1024), and the cells of its table, (1 + DRAWS,)."""

    positive: Floats
    negative: Floats
    both: Floats
    predicted: Floats
    named: float

    @property
    def actual(self) -> Floats:
        return np.asarray(self.positive.sum(axis=1))


def _expect(scores: ScoreSummary, name: str, known: Calibrated) -> _Expected:
    rng = np.random.default_rng(0)
    maps = known.draw(DRAWS, rng)
    own, every = scores.own_of(name), scores.all_of(name)

    def turned_out(rows: Floats) -> Floats:
        drawn = rng.binomial(rows.astype(np.int64), maps)
        return np.vstack([rows * known.probability, drawn])

    both = turned_out(own)
    positive = both + turned_out(every - own)
    named = every.sum() - dense(scores.nameless[name]).sum() if name in scores.nameless else every.sum()
    predicted = np.full(DRAWS + 1, own.sum())
    return _Expected(positive, every - positive, np.asarray(both.sum(axis=1)), predicted, float(named))


def _binary(scores: ScoreSummary, positive: str, meaning: Meaning) -> dict[str, Floats]:
    found = _expect(scores, positive, meaning.maps[positive])
    rows = found.actual + found.negative.sum(axis=1)
    # Rows without a predicted class count for the scores alone.
    share = found.named / rows
    actual = found.actual * share
    wrong = found.predicted - found.both + actual - found.both
    sides = found.positive @ np.log(MIDDLES) + found.negative @ np.log1p(-MIDDLES)
    miss = found.positive @ np.square(1 - MIDDLES) + found.negative @ np.square(MIDDLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "accuracy": 1 - wrong / found.named,
            "precision": found.both / found.predicted,
            "recall": found.both / actual,
            "f1": _f1(found.both, actual, found.predicted),
            "auc": _auc(found.positive, found.negative),
            "log_loss": -sides / rows,
            "brier": miss / rows,
            "base_rate": found.actual / rows,
        }


def _multiclass(scores: ScoreSummary, meaning: Meaning) -> dict[str, Floats]:
    each = {name: _expect(scores, name, meaning.maps[name]) for name in scores.classes}
    rows = max(scores.rows(name) for name in scores.classes)
    named = max(one.named for one in each.values())
    found = list(each.values())
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "accuracy": sum((one.both for one in found), np.zeros(DRAWS + 1)) / named,
            "f1_macro": _mean([_f1(one.both, one.actual, one.predicted) for one in found]),
            "auc_macro": _mean([_auc(one.positive, one.negative) for one in found]),
            "log_loss": -sum((one.positive @ np.log(MIDDLES) for one in found), np.zeros(DRAWS + 1)) / rows,
        }


def _mean(values: list[Floats]) -> Floats:
    """Over the classes that have a value."""
    there = np.isfinite(values)
    return np.asarray(np.where(there, values, 0.0).sum(axis=0) / there.sum(axis=0))


def _f1(both: Floats, actual: Floats, predicted: Floats) -> Floats:
    return np.asarray(2 * both / (actual + predicted))


def _auc(positive: Floats, negative: Floats) -> Floats:
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.asarray((positive * below).sum(axis=1) / np.where(pairs > 0, pairs, np.nan))
