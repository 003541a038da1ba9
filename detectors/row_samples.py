"""A few rows of a window and of its reference, for what summaries cannot say: bounded, however many there are."""

from __future__ import annotations

import gzip
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from remora.tables import predictions, reference_sets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from detectors.windows import Window

__all__ = ["MOST_ROWS", "reference_rows", "window_rows"]

MOST_ROWS = 2000
_SLICES = 20  # equal stretches of the window, the first rows of each: whatever the hour, it is in


def window_rows(connection: sa.Connection, model: str, window: Window) -> list[Mapping[str, Any]]:
    """Features of at most `MOST_ROWS` answered rows, spread over the window; those moved to the archive are not read."""
    step = (window.end - window.start) / _SLICES
    starts = [window.start + number * step for number in range(_SLICES)] + [window.end]
    found: list[Mapping[str, Any]] = []
    for start, end in pairwise(starts):
        found += _first_features(connection, model, (start, end), MOST_ROWS // _SLICES)
    return found


def reference_rows(connection: sa.Connection, reference_id: str) -> list[Mapping[str, Any]]:
    """The rows of the reference's sample: features, and score, prediction and label where it has them."""
    lines = gzip.decompress(_sample_of(connection, reference_id)).splitlines()
    return [msgspec.json.decode(line) for line in lines if line]


def _first_features(
    connection: sa.Connection, model: str, span: tuple[datetime, datetime], limit: int
) -> list[dict[str, Any]]:
    """The features of the first answered rows of a stretch of time."""
    query = sa.select(predictions.c.features).where(
        predictions.c.model == model,
        predictions.c.timestamp >= span[0],
        predictions.c.timestamp < span[1],
        predictions.c.status < 400,
    )
    return list(
        connection.execute(query.order_by(predictions.c.timestamp, predictions.c.id).limit(limit)).scalars()
    )


def _sample_of(connection: sa.Connection, reference_id: str) -> bytes:
    """A reference's sample of rows: gzip of JSON lines."""
    return bytes(
        connection.execute(
            sa.select(reference_sets.c.sample).where(reference_sets.c.id == reference_id)
        ).scalar_one()
    )
