"""How good the labelled predictions were: sums from which every metric follows.

All fields are sums over rows, so a corrected label is taken back by adding its negative. Scores are counted in
1,024 bins of equal width on [0, 1] per actual class; AUC from them is off by at most `auc_error`, half the share
of pairs of a positive and a negative that fall into one bin.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Self

import numpy as np

from remora.summaries.categorical import category_name

__all__ = ["SCORE_BINS", "PerformanceSummary"]

SCORE_BINS = 1024
_SMALLEST = 1e-15  # a probability of 0 for what happened costs 34.5 nats, not infinity (as in scikit-learn)


class PerformanceSummary:
    """Sums over labelled predictions of one kind of task: classification or regression."""

    kind = "performance"

    def __init__(self) -> None:
        self.labelled = 0
        self.confusion: Counter[tuple[str, str]] = Counter()  # (actual, predicted) -> rows
        self.positive_scores: Counter[int] = Counter()  # bin -> rows
        self.negative_scores: Counter[int] = Counter()
        self.scored = 0  # rows with a probability for what happened
        self.log_loss_sum = 0.0
        self.brier_sum = 0.0
        # regression: rows, error, |error|, error squared, actual, actual squared
        self.errors = [0.0] * 6

    def add_class(self, actual: str, predicted: str | None, weight: int = 1) -> None:
        """One labelled row of a classifier; weight -1 takes it back."""
        self.labelled += weight
        if predicted is not None:
            self.confusion[actual, predicted] += weight

    def add_probability(self, probability: float, *, happened: bool, weight: int = 1) -> None:
        """The probability that a binary model gave its positive class, and whether that happened."""
        self.add_binned(probability, happened=happened, weight=weight)
        self.add_confidence(probability if happened else 1.0 - probability, weight)

    def add_binned(self, probability: float, *, happened: bool, weight: int = 1) -> None:
        """The same for AUC and Brier alone, where the log loss is counted per class."""
        bins = self.positive_scores if happened else self.negative_scores
        bins[min(SCORE_BINS - 1, max(0, int(probability * SCORE_BINS)))] += weight
        miss = probability - happened
        self.brier_sum += weight * miss * miss  # not **, which raises where this gives infinity

    def add_confidence(self, probability: float, weight: int = 1) -> None:
        """The probability that a model gave to what happened."""
        self.scored += weight
        self.log_loss_sum -= weight * math.log(min(1.0, max(_SMALLEST, probability)))

    def add_number(self, actual: float, predicted: float, weight: int = 1) -> None:
        """One labelled row of a regression."""
        self.labelled += weight
        error = predicted - actual
        for index, value in enumerate((1.0, error, abs(error), error * error, actual, actual * actual)):
            self.errors[index] += weight * value

    # --- metrics: None where nothing can be said -------------------------------------------------------------------

    @property
    def accuracy(self) -> float | None:
        judged = self.confusion.total()
        right = sum(count for (actual, predicted), count in self.confusion.items() if actual == predicted)
        return right / judged if judged > 0 else None

    def share_of(self, actual: str) -> float | None:
        """The base rate of a class among the labelled rows with a prediction."""
        judged = self.confusion.total()
        of_class = sum(count for (real, _), count in self.confusion.items() if real == actual)
        return of_class / judged if judged > 0 else None

    @property
    def base_rate(self) -> float | None:
        """The share of positives among the rows with a score, of a binary model."""
        positives, negatives = self.positive_scores.total(), self.negative_scores.total()
        return positives / (positives + negatives) if positives + negatives > 0 else None

    @property
    def log_loss(self) -> float | None:
        return self.log_loss_sum / self.scored if self.scored > 0 else None

    @property
    def brier(self) -> float | None:
        scores = self.positive_scores.total() + self.negative_scores.total()
        return self.brier_sum / scores if scores > 0 else None

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve (Mann-Whitney U over P·N; ties and one bin count half)."""
        pairs = self._pairs()
        return None if pairs is None else pairs[0]

    @property
    def auc_error(self) -> float | None:
        """How far `auc` can be from the exact value because scores share bins."""
        pairs = self._pairs()
        return None if pairs is None else pairs[1]

    def _pairs(self) -> tuple[float, float] | None:
        positive, negative = _dense(self.positive_scores), _dense(self.negative_scores)
        total = positive.sum() * negative.sum()
        if total <= 0:
            return None
        below = np.concatenate([[0.0], np.cumsum(negative)[:-1]])
        tied = float((positive * negative).sum()) / 2
        return (float((positive * below).sum()) + tied) / float(total), tied / float(total)

    @property
    def mae(self) -> float | None:
        return self.errors[2] / self.errors[0] if self.errors[0] > 0 else None

    @property
    def rmse(self) -> float | None:
        return math.sqrt(max(0.0, self.errors[3] / self.errors[0])) if self.errors[0] > 0 else None

    @property
    def bias(self) -> float | None:
        """Mean of predicted minus actual."""
        return self.errors[1] / self.errors[0] if self.errors[0] > 0 else None

    # --- merging -----------------------------------------------------------------------------------------------------

    def merge(self, other: PerformanceSummary) -> None:
        self.labelled += other.labelled
        for mine, theirs in (
            (self.confusion, other.confusion),
            (self.positive_scores, other.positive_scores),
            (self.negative_scores, other.negative_scores),
        ):
            _add(mine, theirs)
        self.scored += other.scored
        self.log_loss_sum += other.log_loss_sum
        self.brier_sum += other.brier_sum
        self.errors = [mine + theirs for mine, theirs in zip(self.errors, other.errors, strict=True)]

    def fields(self) -> list[Any]:
        return [
            self.labelled,
            [
                [actual, predicted, count]
                for (actual, predicted), count in sorted(self.confusion.items())
                if count
            ],
            sorted(self.positive_scores.items()),
            sorted(self.negative_scores.items()),
            self.scored,
            self.log_loss_sum,
            self.brier_sum,
            self.errors,
        ]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        summary = cls()
        summary.labelled = fields[0]
        summary.confusion = Counter({(actual, predicted): count for actual, predicted, count in fields[1]})
        summary.positive_scores = Counter(dict(fields[2]))
        summary.negative_scores = Counter(dict(fields[3]))
        summary.scored, summary.log_loss_sum, summary.brier_sum, summary.errors = fields[4:]
        return summary

    # --- from records ------------------------------------------------------------------------------------------------

    def add_row(
        self, label: object, prediction: object, scores: object, *,
        kind: str | None = None, positive: str = "true", weight: int = 1,
    ) -> None:  # fmt: skip
        """A labelled prediction as it was recorded; `weight=-1` takes it back.

        Without a `kind` a number that is predicted for a number, with no score beside it, is a regression; anything
        else is a class.
        `positive` is the class whose probability a single score is; a label of 1 means true to it.
        """
        regression = kind == "regression" or (kind is None and scores is None)
        if regression and _is_number(label) and _is_number(prediction):
            self.add_number(float(label), float(prediction), weight)  # type: ignore[arg-type]
            return
        actual = _class_name(label, positive)
        self.add_class(actual, None if prediction is None else _class_name(prediction, positive), weight)
        if isinstance(scores, dict):
            confidence = {_class_name(name, positive): value for name, value in scores.items()}
            self.add_confidence(confidence.get(actual, 0.0), weight)
            if set(confidence) >= {positive} and len(confidence) <= 2:
                self.add_binned(confidence[positive], happened=actual == positive, weight=weight)
        elif isinstance(scores, int | float):
            self.add_probability(float(scores), happened=actual == positive, weight=weight)


def _class_name(value: object, positive: str) -> str:
    """The class's name; 0 and 1 are what people write for false and true."""
    name = category_name(value)
    if positive in {"true", "false"} and name in {"0", "1", "True", "False"}:
        return "true" if name in {"1", "True"} else "false"
    return name


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dense(bins: Counter[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    dense = np.zeros(SCORE_BINS)
    for index, count in bins.items():
        dense[index] = count
    return dense


def _add(mine: Counter[Any], theirs: Counter[Any]) -> None:
    for key, count in theirs.items():
        mine[key] += count
        if mine[key] == 0:
            del mine[key]
