"""Share of a window's rows whose features are exactly those of another row: retries that count twice, a batch sent again.

Equal rows are ordinary where features have few values, so as many rows of the reference's sample say what is usual. Two
samples of the same size are compared (two proportions, once in 10,000 windows by chance).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, Result, unknown, wilson
from detectors.chance import Z_OF_CHANCE

__all__ = ["METRIC", "MINIMUM_EFFECT", "judge", "repeated"]

METRIC = "duplicate_rate"
MINIMUM_EFFECT = 0.05  # a share of the rows, above the reference's own


def judge(
    reference: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    names: Iterable[str],
    min_samples: int,
) -> Result:
    """The share of repeated rows among these features; the larger sample is cut to the size of the smaller."""
    size = min(len(reference), len(rows))
    ordered = sorted(names)
    if size < min_samples or not ordered:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No share of repeated rows: {len(rows)} rows of the window and {len(reference)} of the reference's sample are kept, {min_samples} are needed: keep more of them, or choose longer windows.",
            len(rows),
            reference_size=len(reference),
        )
    here, there = (repeated(_spread(side, size), ordered) for side in (rows, reference))
    value, usual = here / size, there / size
    pooled = (value + usual) / 2
    chance = Z_OF_CHANCE * math.sqrt(2 * pooled * (1 - pooled) / size)
    threshold = usual + max(MINIMUM_EFFECT, chance)
    alarm = value > threshold
    said = f"{value:.1%} of the rows have exactly the features of another, {usual:.1%} in the reference"
    if alarm:
        said += ": see whether a caller sends its requests again, or a batch was imported twice"
    return Result(
        value,
        ALARM if alarm else OK,
        f"{said}. The threshold {threshold:.1%} is the minimum effect or what chance makes.".replace(
            "%", " %"
        ),
        size,
        *wilson(here, size),
        usual,
        threshold,
        size,
    )


def repeated(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> int:
    """How many rows are equal to one before them, in these features; 3 and 3.0 are equal."""
    seen: set[bytes] = set()
    count = 0
    for row in rows:
        values = [_plain(row.get(name)) for name in names]
        mark = blake2b(msgspec.json.encode(values), digest_size=16).digest()
        count += mark in seen
        seen.add(mark)
    return count


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _spread(rows: Sequence[Mapping[str, Any]], size: int) -> Sequence[Mapping[str, Any]]:
    """So many rows in whole stretches from the beginning: neighbours in time stay neighbours."""
    return rows[:size]
