"""From rows to summaries: one pass over a batch, column by column, per model, version, segment and minute.

The number of summaries follows from the number of features and minutes, not from the number of predictions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from remora.summaries.categorical import CategoricalSummary, category_name
from remora.summaries.latency import LatencySummary
from remora.summaries.numeric import NumericSummary
from remora.summaries.scores import MOST_CLASSES, ScoreSummary, class_name
from remora.summaries.traffic import TrafficSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from remora.records import Prediction
    from remora.summaries.codec import Summary

__all__ = [
    "LATENCY",
    "LOST",
    "PERFORMANCE",
    "PREDICTION",
    "SCORE",
    "SCORES",
    "TRAFFIC",
    "Key",
    "Shape",
    "minute_of",
    "profile",
    "scored_rows",
]

TRAFFIC, LATENCY, SCORE, SCORES, PREDICTION, PERFORMANCE = (
    "$traffic",
    "$latency",
    "$score",  # as a column: a quantile sketch
    "$scores",  # counted in bins per class
    "$prediction",
    "$performance",
)
LOST = "$lost"  # traffic that a collector could not record


CROSSING = "*"  # in the names of segments: no tag's or feature's name that is to be crossed has it
OTHER = "__other__"
_LONGEST = 128  # characters of a value in a segment's name


@dataclass(frozen=True)
class Shape:
    """What must be known of a model to summarise its rows; the default guesses from the values."""

    kind: str | None = None  # binary | multiclass | regression | ranking; None guesses from each row
    positive: str = "true"
    segments: tuple[str, ...] = ()  # tags or features whose values are summarised apart; `a*b` is two at once
    kinds: Mapping[str, str] = field(default_factory=dict)  # feature -> numeric | categorical
    top: int = 10  # places of a ranked list that count

    @property
    def sources(self) -> tuple[str, ...]:
        """Every tag or feature that a segment is made of."""
        return tuple(dict.fromkeys(name for segment in self.segments for name in segment.split(CROSSING)))

    def uncrossed(self) -> Shape:
        """The same without crossings: where two meet there may be few rows."""
        return replace(self, segments=tuple(name for name in self.segments if CROSSING not in name))


_ANY = Shape()


@dataclass(frozen=True, order=True)
class Key:
    """Where a summary belongs."""

    model: str
    version: str
    segment: str
    start: datetime
    column: str
    kind: str


def minute_of(instant: datetime) -> datetime:
    """The minute that an instant lies in, aware UTC."""
    return instant.astimezone(UTC).replace(second=0, microsecond=0)


def profile(rows: Iterable[Prediction], shapes: Mapping[str, Shape]) -> dict[Key, Summary]:
    """Summarise predictions; `shapes` maps a model's name to its shape."""
    groups: dict[tuple[str, str, str, int], list[Prediction]] = defaultdict(list)
    for row in rows:
        minute = int(row.timestamp.timestamp() // 60)  # hashed faster than an aware instant
        groups[row.model, row.version, "", minute].append(row)
        shape = shapes.get(row.model, _ANY)
        if shape.segments:
            for segment in segments_of(row.features, row.tags, shape):
                groups[row.model, row.version, segment, minute].append(row)
    summaries: dict[Key, Summary] = {}
    for (model, version, segment, minute), members in groups.items():
        start = datetime.fromtimestamp(minute * 60, UTC)
        for column, summary in _columns(members, shapes.get(model, _ANY)):
            summaries[Key(model, version, segment, start, column, summary.kind)] = summary
    return summaries


def segments_of(features: Mapping[str, Any], tags: Mapping[str, str], shape: Shape) -> list[str]:
    """The segments `name=value` that a row belongs to, beside the whole; of a crossing `a=x*b=y`.

    A star in a value becomes `_`, so that it is not taken for a crossing.
    """
    found = []
    for segment in shape.segments:
        names = segment.split(CROSSING)
        values = [tags.get(name, features.get(name)) for name in names]
        if all(value is not None for value in values):
            longest = _LONGEST // len(names)
            texts = [category_name(value)[:longest].replace(CROSSING, "_") for value in values]
            parts = zip(names, texts, strict=True)
            found.append(CROSSING.join(f"{name}={text}" for name, text in parts))
    return found


def others_of(segment: str) -> str:
    """Where the rows of a segment go that is one too many: `country=DE` into `country=__other__`."""
    return CROSSING.join(f"{part.split('=', 1)[0]}={OTHER}" for part in segment.split(CROSSING))


def _columns(rows: Sequence[Prediction], shape: Shape) -> Iterable[tuple[str, Summary]]:
    traffic = TrafficSummary()
    traffic.update(row.status for row in rows)
    yield TRAFFIC, traffic
    waits = np.array([row.latency_ms for row in rows if row.latency_ms is not None], dtype=float)
    if len(waits):
        latency = LatencySummary()
        latency.update(waits)
        yield LATENCY, latency
    answered = [row for row in rows if row.status < 400]
    yield from _features([row for row in answered if row.features], shape)  # none at all is not "missing"
    yield from _answers(answered, shape)


def _features(rows: Sequence[Prediction], shape: Shape) -> Iterable[tuple[str, Summary]]:
    for name, values in _turned([row.features for row in rows]):
        yield from ((name, summary) for summary in summarise(values, shape.kinds.get(name)))


def _turned(rows: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, Sequence[Any]]]:
    """Rows as columns; rows that all have the same names are turned without a look at each value."""
    if not rows:
        return []
    names = list(rows[0])
    if len(names) > 1 and all(map(len(names).__eq__, map(len, rows))):
        try:
            return list(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
        except KeyError:
            pass
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    return [(name, [row.get(name) for row in rows]) for name in names]


def _answers(rows: Sequence[Prediction], shape: Shape) -> Iterable[tuple[str, Summary]]:
    single = [row.scores for row in rows if isinstance(row.scores, int | float)]
    if single:
        yield from ((SCORE, summary) for summary in summarise(single, "numeric"))
    for name in dict.fromkeys(name for row in rows if isinstance(row.scores, dict) for name in row.scores):
        values = [row.scores.get(name) for row in rows if isinstance(row.scores, dict)]
        yield from ((f"{SCORE}.{name}", summary) for summary in summarise(values, "numeric"))
    predicted = [
        row.prediction for row in rows if row.prediction is not None and not isinstance(row.prediction, list)
    ]
    if predicted:
        yield from ((PREDICTION, summary) for summary in summarise(predicted, None))
    listed = [row.prediction[: shape.top] for row in rows if isinstance(row.prediction, list)]
    if listed:
        yield from ((PREDICTION, one) for one in summarise(list(chain.from_iterable(listed)), "categorical"))
    scored = scored_rows(rows, shape)
    if scored:
        scores = ScoreSummary()
        scores.add(scored)
        yield SCORES, scores


def scored_rows(rows: Iterable[Any], shape: Shape) -> list[tuple[str, str | None, float]]:
    """(class, predicted class, score) of each row of a classifier; of a binary one the positive class alone."""
    if shape.kind in {"regression", "ranking"}:
        return []
    found: list[tuple[str, str | None, float]] = []
    for row in rows:
        scores = row.scores
        if scores is None:
            continue
        predicted = None if row.prediction is None else class_name(row.prediction, shape.positive)
        if not isinstance(scores, dict):
            found.append((shape.positive, predicted, scores))
            continue
        names = {class_name(name, shape.positive): score for name, score in scores.items()}
        if shape.kind != "multiclass" and len(names) <= 2 and shape.positive in names:
            found.append((shape.positive, predicted, names[shape.positive]))
        elif shape.kind != "binary" and len(names) <= MOST_CLASSES:
            found += ((name, predicted, score) for name, score in names.items())
    return found


def summarise(values: Sequence[Any], kind: str | None) -> list[NumericSummary | CategoricalSummary]:
    """Summaries of one column. Without a stated kind numbers are numeric and the rest categories.

    A column with both yields both, so that nothing is lost and the mixture is seen; nulls go to the larger one.
    """
    types = set(map(type, values))
    missing = 0
    if type(None) in types:
        types.remove(type(None))
        missing = values.count(None)
        values = [value for value in values if value is not None]
    numbers, names = _split(values, types, kind)
    found: list[NumericSummary | CategoricalSummary] = []
    if numbers or (not names and kind == "numeric"):
        numeric = NumericSummary()
        numeric.update(_floats(numbers), missing if len(numbers) >= len(names) else 0)
        found.append(numeric)
    if names or (not numbers and kind != "numeric"):
        categorical = CategoricalSummary()
        categorical.update(names, missing if len(names) > len(numbers) or not numbers else 0)
        found.append(categorical)
    return found


def _split(values: Sequence[Any], types: set[type], kind: str | None) -> tuple[Sequence[Any], Sequence[str]]:
    """The numbers and the category names among values that are there; most columns hold one type only."""
    if types == {str}:
        return [], values
    if types == {bool}:
        return [], ["true" if value else "false" for value in values]
    if kind == "categorical":
        return [], [category_name(value) for value in values]
    if types <= {int, float}:
        return values, []
    numbers = [value for value in values if _is_number(value)]
    return numbers, [category_name(value) for value in values if not _is_number(value)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _floats(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return np.array(values, dtype=float)
    except OverflowError:  # an integer beyond the range of doubles is as good as infinite
        return np.array([value if abs(value) < 1e308 else np.inf for value in values], dtype=float)
