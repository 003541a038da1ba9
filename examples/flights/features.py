"""From the JSON rows of a request to the numbers a classifier takes: the same code for training and serving."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["BadRowError", "encode"]


class BadRowError(ValueError):
    """A row that the model cannot take; the message names the field."""


def encode(
    rows: Sequence[Mapping[str, Any]], categories: Mapping[str, Mapping[str, int]], numbers: Sequence[str]
) -> np.ndarray:
    """An array of shape (rows, categories + numbers); NaN for a missing number and for a category never seen.

    Every field must be there; ``null`` says that the value is not known.
    """
    matrix = np.empty((len(rows), len(categories) + len(numbers)))
    for r, row in enumerate(rows):
        try:
            codes = [_code(row[name], seen, name) for name, seen in categories.items()]
            matrix[r] = codes + [_number(row[name], name) for name in numbers]
        except KeyError as error:
            raise BadRowError(f"row {r}: `{error.args[0]}` is missing") from None
        except BadRowError as error:
            raise BadRowError(f"row {r}: {error}") from None
    return matrix


def _code(value: Any, seen: Mapping[str, int], name: str) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, str):
        raise BadRowError(f"`{name}` must be a string")
    return seen.get(value, math.nan)


def _number(value: Any, name: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRowError(f"`{name}` must be a number")
    return float(value)
