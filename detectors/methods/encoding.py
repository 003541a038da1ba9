"""Rows as a matrix: what looks at several features together needs numbers of one scale.

Numbers are standardised by the reference and clipped at five spreads, so that one wild value is not the whole matrix;
a missing one stands at the mean, and a column of its own says so. Of categories the reference's ten most frequent have a
column each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from remora.summaries.categorical import category_name

__all__ = ["Encoded", "encode_rows", "standardised"]

_MOST_CATEGORIES = 10
_FARTHEST = 5.0

Floats = NDArray[np.float64]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Encoded:
    """The reference's rows and the window's, shape (rows, columns) each, and the feature of every column.

    `numbers` are the places of the columns that are a standardised number.
    """

    reference: Floats
    current: Floats
    features: tuple[str, ...]
    numbers: tuple[int, ...]


def encode_rows(reference: Sequence[Row], current: Sequence[Row], kinds: Mapping[str, str]) -> Encoded:
    """Encode the features of `kinds` (numeric or categorical); columns that never vary are left out."""
    columns: list[tuple[str, bool, Floats, Floats]] = []
    for name, kind in sorted(kinds.items()):
        sides = [row.get(name) for row in reference], [row.get(name) for row in current]
        made = _numeric(*sides) if kind == "numeric" else _categorical(*sides)
        columns += [
            (name, number, there, here)
            for number, there, here in made
            if len(np.unique(np.concatenate([there, here]))) > 1
        ]
    stacked = [
        np.stack([column[side] for column in columns], axis=1) if columns else np.zeros((len(rows), 0))
        for side, rows in ((2, reference), (3, current))
    ]
    names = tuple(column[0] for column in columns)
    return Encoded(stacked[0], stacked[1], names, tuple(at for at, column in enumerate(columns) if column[1]))


def standardised(values: Floats) -> Floats:
    """Columns of mean 0 and variance 1; a constant one is 0."""
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


_Column = tuple[bool, Floats, Floats]


def _numeric(reference: Sequence[Any], current: Sequence[Any]) -> list[_Column]:
    there, here = _floats(reference), _floats(current)
    known = there[np.isfinite(there)]
    if not len(known):
        return []
    middle, spread = float(np.median(known)), float(known.std()) or 1.0
    values = [
        np.where(np.isfinite(side), np.clip((side - middle) / spread, -_FARTHEST, _FARTHEST), 0.0)
        for side in (there, here)
    ]
    return [(True, values[0], values[1]), (False, 1.0 - np.isfinite(there), 1.0 - np.isfinite(here))]


def _floats(values: Sequence[Any]) -> Floats:
    return np.array([_number(value) for value in values])


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e140:
        return np.nan
    return float(value)


def _categorical(reference: Sequence[Any], current: Sequence[Any]) -> list[_Column]:
    there, here = (
        [None if one is None else category_name(one) for one in side] for side in (reference, current)
    )
    frequent = [
        name for name, _ in Counter(name for name in there if name is not None).most_common(_MOST_CATEGORIES)
    ]
    return [_indicator(there, here, partial(eq, name)) for name in frequent] + [
        _indicator(there, here, lambda one: one not in frequent)
    ]


def _indicator(there: Sequence[Any], here: Sequence[Any], holds: Callable[[Any], bool]) -> _Column:
    return (
        False,
        np.array([holds(one) for one in there], float),
        np.array([holds(one) for one in here], float),
    )
