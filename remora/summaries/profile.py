"""From rows to summaries: one pass over a batch, column by column, per model, version, segment and minute.

The number of summaries follows from the number of features and minutes, not from the number of predictions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from remora.summaries.categorical import CategoricalSummary, category_name
from remora.summaries.latency import LatencySummary
from remora.summaries.numeric import NumericSummary
from remora.summaries.traffic import TrafficSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from remora.records import Prediction
    from remora.summaries.codec import Summary

__all__ = ["LATENCY", "PERFORMANCE", "PREDICTION", "SCORE", "TRAFFIC", "Key", "Shape", "minute_of", "profile"]

TRAFFIC, LATENCY, SCORE, PREDICTION, PERFORMANCE = (
    "$traffic",
    "$latency",
    "$score",
    "$prediction",
    "$performance",
)


@dataclass(frozen=True)
class Shape:
    """What must be known of a model to summarise its rows; the default guesses from the values."""

    kind: str | None = None  # binary | multiclass | regression; None guesses from each row
    positive: str = "true"
    segments: tuple[str, ...] = ()  # tags or features whose values are summarised apart
    kinds: Mapping[str, str] = field(default_factory=dict)  # feature -> numeric | categorical


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
    groups: dict[tuple[str, str, str, datetime], list[Prediction]] = defaultdict(list)
    for row in rows:
        minute = minute_of(row.timestamp)
        groups[row.model, row.version, "", minute].append(row)
        for segment in segments_of(row.features, row.tags, shapes.get(row.model, Shape())):
            groups[row.model, row.version, segment, minute].append(row)
    summaries: dict[Key, Summary] = {}
    for (model, version, segment, minute), members in groups.items():
        for column, summary in _columns(members, shapes.get(model, Shape())):
            summaries[Key(model, version, segment, minute, column, summary.kind)] = summary
    return summaries


def segments_of(features: Mapping[str, Any], tags: Mapping[str, str], shape: Shape) -> list[str]:
    """The segments `name=value` that a row belongs to, beside the whole."""
    found = []
    for name in shape.segments:
        value = tags.get(name, features.get(name))
        if value is not None:
            found.append(f"{name}={category_name(value)[:128]}")
    return found


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
    yield from _answers(answered)


def _features(rows: Sequence[Prediction], shape: Shape) -> Iterable[tuple[str, Summary]]:
    names = dict.fromkeys(name for row in rows for name in row.features)
    for name in names:
        values = [row.features.get(name) for row in rows]
        yield from ((name, summary) for summary in summarise(values, shape.kinds.get(name)))


def _answers(rows: Sequence[Prediction]) -> Iterable[tuple[str, Summary]]:
    single = [row.scores for row in rows if isinstance(row.scores, int | float)]
    if single:
        yield from ((SCORE, summary) for summary in summarise(single, "numeric"))
    for name in dict.fromkeys(name for row in rows if isinstance(row.scores, dict) for name in row.scores):
        values = [row.scores.get(name) for row in rows if isinstance(row.scores, dict)]
        yield from ((f"{SCORE}.{name}", summary) for summary in summarise(values, "numeric"))
    predicted = [row.prediction for row in rows if row.prediction is not None]
    if predicted:
        yield from ((PREDICTION, summary) for summary in summarise(predicted, None))


def summarise(values: Sequence[Any], kind: str | None) -> list[NumericSummary | CategoricalSummary]:
    """Summaries of one column. Without a stated kind numbers are numeric and the rest categories.

    A column with both yields both, so that nothing is lost and the mixture is seen; nulls go to the larger one.
    """
    missing = values.count(None)
    present = [value for value in values if value is not None] if missing else values
    numbers, names = _split(present, kind)
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


def _split(values: Sequence[Any], kind: str | None) -> tuple[Sequence[Any], Sequence[str]]:
    """The numbers and the category names among values that are there; most columns hold one type only."""
    types = set(map(type, values))
    if types == {str}:
        return [], values
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
