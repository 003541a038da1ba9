"""Rows made coarse before they are summarised alone: sketches hold values, and none of these may be a person's own.

In each minute of a version: fewer than `CROWD` rows give traffic and latency only; a text that fewer than `CROWD` rows
share is counted without its name; numbers are rounded to three significant digits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from remora.records import Prediction
from remora.summaries.categorical import NAMELESS
from remora.summaries.profile import Shape, minute_of

__all__ = ["CROWD", "coarse", "rounded"]

CROWD: Final = 5


def coarse(rows: Iterable[Prediction], shapes: Mapping[str, Shape]) -> list[Prediction]:
    """The same number of rows in the same minutes, with nothing of their own."""
    groups: dict[tuple[str, str, Any], list[Prediction]] = defaultdict(list)
    for row in rows:
        groups[row.model, row.version, minute_of(row.timestamp)].append(row)
    made: list[Prediction] = []
    for (model, _, _), members in groups.items():
        made += _bare(members) if len(members) < CROWD else _blurred(members, shapes.get(model, Shape()))
    return made


def _bare(rows: Sequence[Prediction]) -> list[Prediction]:
    return [msgspec.structs.replace(row, features={}, prediction=None, scores=None, tags={}) for row in rows]


def _blurred(rows: Sequence[Prediction], shape: Shape) -> list[Prediction]:
    features = _columns([row.features for row in rows], shape)
    tags = _columns(
        [{name: row.tags[name] for name in shape.sources if name in row.tags} for row in rows], shape
    )
    predicted = _columns([{"": row.prediction} for row in rows], shape)
    items = Counter(item for row in rows if isinstance(row.prediction, list) for item in set(row.prediction))
    lonely = _lonely(features, shape)
    return [
        msgspec.structs.replace(
            row,
            features={
                name: None if name in lonely and value == NAMELESS else value
                for name, value in features[index].items()
            },
            tags={name: value for name, value in tags[index].items() if value != NAMELESS},
            prediction=_items(row.prediction, items)
            if isinstance(row.prediction, list)
            else predicted[index][""],
            scores=_scores(row.scores),
        )
        for index, row in enumerate(rows)
    ]


def _items(ranked: list[Any], counts: Counter[Any]) -> list[Any]:
    """A ranked list with no name of an item that fewer than `CROWD` rows were given."""
    return [item if counts[item] >= CROWD else NAMELESS for item in ranked]


def _lonely(rows: Sequence[dict[str, Any]], shape: Shape) -> set[str]:
    """Features whose nameless rows would be a segment of their own, and too small a one."""
    counts = {name: sum(row.get(name) == NAMELESS for row in rows) for name in shape.sources}
    return {name for name, count in counts.items() if 0 < count < CROWD}


def _columns(rows: Sequence[dict[str, Any]], shape: Shape) -> list[dict[str, Any]]:
    counts = Counter(
        (name, value) for row in rows for name, value in row.items() if _is_category(name, value, shape)
    )
    return [
        {
            name: _named(name, value, counts) if _is_category(name, value, shape) else rounded(value)
            for name, value in row.items()
        }
        for row in rows
    ]


def _is_category(name: str, value: Any, shape: Shape) -> bool:
    return isinstance(value, str) or (value is not None and shape.kinds.get(name) == "categorical")


def _named(name: str, value: Any, counts: Counter[tuple[str, Any]]) -> Any:
    return value if counts[name, value] >= CROWD else NAMELESS


def rounded(value: Any) -> Any:
    """A number with three significant digits; truth and null as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return float(f"{value:.3g}")


def _scores(scores: Any) -> Any:
    if isinstance(scores, dict):
        return {name: rounded(score) for name, score in scores.items()}
    return rounded(scores)
