"""A reference out of stored traffic: the rows of a stretch of event time, from the database and the archive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from detectors import queries
from detectors.errors import ReferenceFileError
from detectors.reference_file import Rows
from remora.archive import between

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from remora.config.models import Model
    from remora.database import Database
    from remora.records import Prediction

__all__ = ["MOST_ROWS", "Stretch", "traffic_rows"]

MOST_ROWS = 1_000_000  # of a longer stretch rows are drawn by the hash of their ids: the same ones each time


@dataclass(frozen=True)
class Stretch:
    """From `start` to before `end`, of one version or, as '', of all."""

    model: str
    version: str
    start: datetime
    end: datetime


def traffic_rows(database: Database, model: Model, stretch: Stretch, archive: Path | None) -> Rows:
    """The answered rows of a stretch with what is known of their labels. Raises `ReferenceFileError`."""
    with database.read() as connection:
        share = MOST_ROWS / max(
            MOST_ROWS, queries.rows_between(connection, stretch.model, stretch.start, stretch.end)
        )
        found = list(_answered(connection, stretch, archive, share))
    where = f"{stretch.start:%Y-%m-%d %H:%M} to {stretch.end:%Y-%m-%d %H:%M}"
    if not found:
        of = f" version {stretch.version}" if stretch.version else ""
        raise ReferenceFileError(
            f"no rows of {stretch.model}{of} are kept from {where}: choose another time, or give a --file"
        )
    rows = [row for row, _ in found]
    scores = [_score(row, model.positive) for row in rows]
    return Rows(
        pd.DataFrame([row.features for row in rows]),
        pd.Series(pd.to_datetime([row.timestamp for row in rows], utc=True)),
        pd.Series(scores, dtype=float) if any(score is not None for score in scores) else None,
        _column([row.prediction for row in rows]),
        _column([label for _, label in found]),
        f"traffic, {where}" + (f", {share:.1%} of the rows" if share < 1 else ""),
    )


def _answered(
    connection: sa.Connection, stretch: Stretch, archive: Path | None, share: float
) -> Iterator[tuple[Prediction, Any]]:
    for row, label in between(connection, archive, stretch.model, stretch.start, stretch.end):
        if row.status >= 400 or not row.features or (stretch.version and row.version != stretch.version):
            continue
        if share == 1 or _draw(row.id) < share:
            yield row, None if label is None else label.label


def _draw(identity: str) -> float:
    """A number from 0 to below 1 that belongs to an id."""
    return int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=8).digest()) / 2.0**64


def _score(row: Prediction, positive: str) -> float | None:
    return row.scores.get(positive) if isinstance(row.scores, dict) else row.scores


def _column(values: list[Any]) -> pd.Series | None:
    return (
        pd.Series(values, dtype=object).infer_objects()
        if any(value is not None for value in values)
        else None
    )
