"""From the answer to one row, however it is written, to prediction and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from collector.formats.base import Mapping, at

__all__ = ["Answer", "answer_of", "is_distribution"]

# What servers call these, when the configuration does not say: the first that is there counts.
_PREDICTIONS = (
    "prediction",
    "predict",
    "predicted_label",
    "label",
    "class",
    "output_label",
    "predictions",
    "output",
)
_SCORES = ("probability", "probabilities", "predict_proba", "output_probability", "scores", "score")
_TOLERANCE = 1e-3  # of the sum of a probability vector, which may have been written with few digits


class Answer(msgspec.Struct, frozen=True):
    """As the model wrote it, not tidied yet."""

    prediction: Any = None
    scores: Any = None
    version: Any = None


def answer_of(answer: Any, mapping: Mapping, version: Any) -> Answer:
    """What an answer to one row says; `version` is the one that the whole answer names."""
    if isinstance(answer, dict):
        return _from_object(answer, mapping, version)
    if mapping.ranked:
        return Answer(answer, version=version)
    if mapping.scores == "$":
        return Answer(scores=_named(answer, mapping.classes), version=version)
    if isinstance(answer, list):
        prediction, scores = _from_list(answer, mapping.classes)
        return Answer(prediction, scores, version)
    return Answer(answer, version=version)


def _from_object(answer: dict[str, Any], mapping: Mapping, version: Any) -> Answer:
    prediction = at(answer, mapping.prediction) if mapping.prediction else _first(answer, _PREDICTIONS)
    scores = at(answer, mapping.scores) if mapping.scores else _first(answer, _SCORES)
    if version is None and mapping.version:
        version = at(answer, mapping.version)
    if isinstance(prediction, list) and not mapping.ranked:
        prediction, found = _from_list(prediction, mapping.classes)
        scores = found if scores is None else scores
    return Answer(prediction, _named(scores, mapping.classes), version)


def _first(answer: dict[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        found = answer.get(name)
        if found is not None:
            return found
    return None


def _from_list(answer: list[Any], classes: Sequence[str]) -> tuple[Any, Any]:
    """A probability vector gives scores and the likeliest class, a list of one its value; of others nothing is known."""
    if len(answer) == 1:
        return (answer[0], None) if not isinstance(answer[0], list) else _from_list(answer[0], classes)
    if not is_distribution(answer):
        return answer, None
    scores = _named(answer, classes)
    return max(scores, key=scores.__getitem__), scores


def is_distribution(values: list[Any]) -> bool:
    """Whether a list can be the probabilities of classes."""
    if not all(isinstance(value, float | int) and 0 <= value <= 1 for value in values):
        return False
    return len(values) > 1 and abs(sum(values) - 1) <= _TOLERANCE


def _named(scores: Any, classes: Sequence[str]) -> Any:
    """A list of scores by class; one number in a list is the number."""
    if not isinstance(scores, list):
        return scores
    if len(scores) == 1:
        return _named(scores[0], classes)
    names = classes if len(classes) == len(scores) else [str(index) for index in range(len(scores))]
    return dict(zip(names, scores, strict=True))
