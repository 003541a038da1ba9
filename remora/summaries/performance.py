"""How good the labelled predictions were: sums from which every metric follows.

All fields are sums over rows, so a corrected label is taken back by adding its negative. A row that was kept with
probability p counts as 1 / p rows (Horvitz and Thompson 1952); how many rows really stand behind is known, too.
Scores are counted in bins per actual class (`remora.summaries.scores`); a multiclass model's also for each class
against the rest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from remora.summaries.ranking import MEASURES, is_ranking, quality, relevances
from remora.summaries.scores import MOST_CLASSES, auc_of, bin_of, class_name, dense

__all__ = ["PerformanceSummary"]

_MOST_RELATIVE = 1e6  # an error of a million times the actual value: one row must not be the whole mean
_NOTHING = 1e-9  # what is left of weights that were taken back is rounding
_SMALLEST = 1e-15  # a probability of 0 for what happened costs 34.5 nats, not infinity (as in scikit-learn)


class PerformanceSummary:
    """Sums over labelled predictions of one kind of task: classification or regression."""

    kind = "performance"

    def __init__(self) -> None:
        self.rows = 0
        self.labelled: float = 0  # sum of the rows' weights: how many labelled rows they stand for
        self.squares: float = 0  # of the weights
        self.confusion: Counter[tuple[str, str]] = Counter()  # (actual, predicted) -> rows
        self.positive_scores: Counter[int] = Counter()  # bin -> rows
        self.negative_scores: Counter[int] = Counter()
        self.scored: float = 0  # rows with a probability for what happened
        self.log_loss_sum = 0.0
        self.brier_sum = 0.0
        # regression: rows, error, |error|, error squared, actual, actual squared
        self.errors = [0.0] * 6
        # rows whose actual value is not 0, |error| / |actual|, its square
        self.relative = [0.0] * 3
        # multiclass: class -> scores of the rows that are of it, and of the rest
        self.class_scores: dict[str, tuple[Counter[int], Counter[int]]] = {}
        # ranking: rows, each of MEASURES, the square of each
        self.lists = [0.0] * (1 + 2 * len(MEASURES))

    def add_class(self, actual: str, predicted: str | None, weight: float = 1) -> None:
        """One labelled row of a classifier; a negative weight takes it back."""
        self._count(weight)
        if predicted is not None:
            self.confusion[actual, predicted] += weight  # type: ignore[assignment]  # a Counter adds floats, too

    def _count(self, weight: float) -> None:
        self.rows += 1 if weight > 0 else -1
        self.labelled += weight
        self.squares += weight * abs(weight)

    def add_probability(self, probability: float, *, happened: bool, weight: float = 1) -> None:
        """The probability that a binary model gave its positive class, and whether that happened."""
        self.add_binned(probability, happened=happened, weight=weight)
        self.add_confidence(probability if happened else 1.0 - probability, weight)

    def add_binned(self, probability: float, *, happened: bool, weight: float = 1) -> None:
        """The same for AUC and Brier alone, where the log loss is counted per class."""
        bins = self.positive_scores if happened else self.negative_scores
        bins[bin_of(probability)] += weight  # type: ignore[assignment]
        miss = probability - happened
        self.brier_sum += weight * miss * miss  # not **, which raises where this gives infinity

    def add_confidence(self, probability: float, weight: float = 1) -> None:
        """The probability that a model gave to what happened."""
        self.scored += weight
        self.log_loss_sum -= weight * math.log(min(1.0, max(_SMALLEST, probability)))

    def add_number(self, actual: float, predicted: float, weight: float = 1) -> None:
        """One labelled row of a regression."""
        self._count(weight)
        error = predicted - actual
        for index, value in enumerate((1.0, error, abs(error), error * error, actual, actual * actual)):
            self.errors[index] += weight * value
        if actual != 0:
            share = min(abs(error / actual), _MOST_RELATIVE)
            for index, value in enumerate((1.0, share, share * share)):
                self.relative[index] += weight * value

    def add_class_scores(self, actual: str, scores: Mapping[str, float], weight: float = 1) -> None:
        """The scores of one labelled row of a multiclass model, each class against the rest."""
        for name, score in scores.items():
            pair = self.class_scores.setdefault(name, (Counter(), Counter()))
            pair[actual != name][bin_of(score)] += weight  # type: ignore[assignment]

    def add_list(self, ranked: Sequence[object], label: object, top: int, weight: float = 1) -> None:
        """One labelled row of a ranking: the list, and what turned out to be relevant."""
        self._count(weight)
        found = quality(ranked, relevances(label), top)
        for index, value in enumerate((1.0, *found, *(one * one for one in found))):
            self.lists[index] += weight * value

    # --- metrics: None where nothing can be said -------------------------------------------------------------------

    @property
    def precision(self) -> float:
        """Rows of equal weight that say as much as one that is counted here (Kish 1965); 1 where none was sampled."""
        return min(1.0, self.labelled / self.squares) if self.squares > 0 else 1.0

    @property
    def accuracy(self) -> float | None:
        judged = self.confusion.total()
        right = sum(count for (actual, predicted), count in self.confusion.items() if actual == predicted)
        return right / judged if judged > 0 else None

    def classes(self) -> dict[str, tuple[float, float, float]]:
        """Per class: rows that are of it, rows predicted so, rows that are both."""
        actual: Counter[str] = Counter()
        predicted: Counter[str] = Counter()
        for (real, guess), count in self.confusion.items():
            actual[real] += count
            predicted[guess] += count
        both = {name: self.confusion.get((name, name), 0) for name in {*actual, *predicted}}
        return {name: (actual[name], predicted[name], both[name]) for name in sorted(both)}

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
        """Area under the ROC curve of a binary model."""
        found = auc_of(dense(self.positive_scores), dense(self.negative_scores))
        return None if found is None else found[0]

    @property
    def auc_error(self) -> float | None:
        """How far `auc` can be from the exact value because scores share bins."""
        found = auc_of(dense(self.positive_scores), dense(self.negative_scores))
        return None if found is None else found[1]

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
        self.rows += other.rows
        self.labelled += other.labelled
        self.squares += other.squares
        for mine, theirs in (
            (self.confusion, other.confusion),
            (self.positive_scores, other.positive_scores),
            (self.negative_scores, other.negative_scores),
        ):
            _add(mine, theirs)
        self.scored += other.scored
        self.log_loss_sum += other.log_loss_sum
        self.brier_sum += other.brier_sum
        self.errors = _sum(self.errors, other.errors)
        self.relative = _sum(self.relative, other.relative)
        self.lists = _sum(self.lists, other.lists)
        for name, (of_it, rest) in other.class_scores.items():
            pair = self.class_scores.setdefault(name, (Counter(), Counter()))
            _add(pair[0], of_it)
            _add(pair[1], rest)

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
            self.rows,
            self.squares,
            self.relative,
            [
                [name, sorted(of_it.items()), sorted(rest.items())]
                for name, (of_it, rest) in sorted(self.class_scores.items())
            ],
            self.lists,
        ]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        summary = cls()
        summary.labelled = fields[0]
        summary.confusion = Counter({(actual, predicted): count for actual, predicted, count in fields[1]})
        summary.positive_scores = Counter(dict(fields[2]))
        summary.negative_scores = Counter(dict(fields[3]))
        summary.scored, summary.log_loss_sum, summary.brier_sum, summary.errors = fields[4:8]
        # before rows were sampled each counted as one
        summary.rows, summary.squares = fields[8:10] or (fields[0], fields[0])
        if len(fields) > 10:
            summary.relative, classes, summary.lists = fields[10:13]
            summary.class_scores = {
                name: (Counter(dict(of_it)), Counter(dict(rest))) for name, of_it, rest in classes
            }
        return summary

    # --- from records ------------------------------------------------------------------------------------------------

    def _add_ranking(self, label: object, prediction: Any, top: int, weight: float) -> None:
        if prediction is None:
            self._count(weight)
        else:
            self.add_list(prediction if is_ranking(prediction) else [prediction], label, top, weight)

    def add_row(  # noqa: PLR0913  (a row, and what must be known of the model)
        self, label: object, prediction: object, scores: object, *,
        kind: str | None = None, positive: str = "true", weight: float = 1, top: int = 10,
    ) -> None:  # fmt: skip
        """A labelled prediction as it was recorded; a negative `weight` takes it back.

        Without a `kind` a number that is predicted for a number, with no score beside it, is a regression; anything
        else is a class.
        `positive` is the class whose probability a single score is; a label of 1 means true to it. `top` is how many
        places of a ranked list count.
        """
        if kind == "ranking" or is_ranking(prediction):
            self._add_ranking(label, prediction, top, weight)
            return
        regression = kind == "regression" or (kind is None and scores is None)
        if regression and _is_number(label) and _is_number(prediction):
            self.add_number(float(label), float(prediction), weight)  # type: ignore[arg-type]
            return
        actual = class_name(label, positive)
        self.add_class(actual, None if prediction is None else class_name(prediction, positive), weight)
        if isinstance(scores, dict):
            confidence = {class_name(name, positive): value for name, value in scores.items()}
            self.add_confidence(confidence.get(actual, 0.0), weight)
            if set(confidence) >= {positive} and len(confidence) <= 2:
                self.add_binned(confidence[positive], happened=actual == positive, weight=weight)
            elif kind != "binary" and len(confidence) <= MOST_CLASSES:
                self.add_class_scores(actual, confidence, weight)
        elif isinstance(scores, int | float):
            self.add_probability(float(scores), happened=actual == positive, weight=weight)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _add(mine: Counter[Any], theirs: Counter[Any]) -> None:
    for key, count in theirs.items():
        mine[key] += count
        if abs(mine[key]) < _NOTHING:
            del mine[key]


def _sum(mine: list[float], theirs: list[float]) -> list[float]:
    return [one + other for one, other in zip(mine, theirs, strict=True)]
