"""Rows that have left the database: Parquet files that Spark, DuckDB, Trino or pandas read, by model and day.

    ARCHIVE/model=churn/day=2026-03-01/part-0198f0....parquet

A column per feature, and beside them `id`, `timestamp`, `version`, `score`, `prediction` and `label`, so a file of the
archive is also a reference's file. What else is known of a row stands in columns that begin with `$`, as no feature
does. Numbers are doubles. A column whose values are of several types, or integers that no double holds, is JSON text,
and its field says so. Reading gives back the rows as they were.

Only files that the table `archives` names count: another is what a kill left behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from remora.errors import RemoraError
from remora.records import Label, Prediction
from remora.tables import archives, labels, predictions

__all__ = ["OWN", "ArchiveError", "Row", "between", "folder_of", "read", "stored_row", "write"]

OWN: Final = ("$latency_ms", "$status", "$sample", "$tags", "$scores", "$label_timestamp", "$absent")
_NAMED = ("id", "timestamp", "version", "prediction", "score", "label")
_FEATURE = "$feature."  # before a feature that is called as one of these
_JSON = {b"remora": b"json"}
_INSTANT = pa.timestamp("us", "UTC")
_EXACT = 1 << 53  # integers up to here are doubles without loss
_BATCH = 5000

Row = tuple[Prediction, Label | None]


class ArchiveError(RemoraError):
    """A file of the archive is missing or cannot be read."""


@dataclass(frozen=True)
class _Column:
    name: str
    values: pa.Array
    json: bool


def folder_of(root: Path, model: str, day: datetime) -> Path:
    """Where a model's rows of a day are."""
    return root / f"model={quote(model, safe='')}" / f"day={day:%Y-%m-%d}"


def write(path: Path, rows: Sequence[Row]) -> int:
    """Write rows of one model so that the file is there whole or not at all, also after a power cut; its bytes."""
    found = [*_settled(rows), *_features(rows)]
    fields = [
        pa.field(column.name, column.values.type, metadata=_JSON if column.json else None) for column in found
    ]
    table = pa.Table.from_arrays([column.values for column in found], schema=pa.schema(fields))
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.tmp")  # readers of folders pass over names with a dot
    with hidden.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    size = hidden.stat().st_size
    hidden.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


def _settled(rows: Sequence[Row]) -> Iterator[_Column]:
    """The columns that every file has."""
    made, known = [row for row, _ in rows], [label for _, label in rows]
    plain = [row.scores if isinstance(row.scores, int | float) else None for row in made]
    shared = set().union(*(row.features for row in made))
    yield _Column("id", pa.array([row.id for row in made], pa.string()), json=False)
    yield _Column("timestamp", pa.array([row.timestamp for row in made], _INSTANT), json=False)
    yield _Column("version", pa.array([row.version for row in made], pa.string()), json=False)
    yield _guessed("prediction", [row.prediction for row in made])
    yield _Column("score", pa.array(plain, pa.float64()), json=False)
    yield _guessed("label", [None if label is None else label.label for label in known])
    yield _Column("$latency_ms", pa.array([row.latency_ms for row in made], pa.float64()), json=False)
    yield _Column("$status", pa.array([row.status for row in made], pa.int32()), json=False)
    yield _Column("$sample", pa.array([row.sample for row in made], pa.float64()), json=False)
    yield _as_json("$tags", [row.tags or None for row in made])
    yield _as_json("$scores", [row.scores if isinstance(row.scores, dict) else None for row in made])
    instants = [None if label is None else label.timestamp for label in known]
    yield _Column("$label_timestamp", pa.array(instants, _INSTANT), json=False)
    absent = [
        sorted(shared - row.features.keys()) if len(row.features) < len(shared) else None for row in made
    ]
    yield _as_json("$absent", absent)


def _features(rows: Sequence[Row]) -> Iterator[_Column]:
    names = dict.fromkeys(name for row, _ in rows for name in row.features)
    for name in names:
        shown = _FEATURE + name if name in _NAMED else name
        yield _guessed(shown, [row.features.get(name) for row, _ in rows])


def _guessed(name: str, values: Sequence[Any]) -> _Column:
    """A column of the type that all values have, or of JSON."""
    types = {type(value) for value in values if value is not None}
    if types <= {int, float} and types:
        if all(type(value) is float or -_EXACT <= value <= _EXACT for value in values if value is not None):
            return _Column(name, pa.array(values, pa.float64()), json=False)
    elif types == {bool}:
        return _Column(name, pa.array(values, pa.bool_()), json=False)
    elif types <= {str}:
        return _Column(name, pa.array(values, pa.string()), json=False)
    return _as_json(name, values)


def _as_json(name: str, values: Iterable[Any]) -> _Column:
    texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return _Column(name, pa.array(texts, pa.string()), json=True)


def read(path: Path, model: str) -> Iterator[Row]:
    """The rows of a file, in its order. Raises `ArchiveError`."""
    try:
        with pq.ParquetFile(path) as file:
            coded = {field.name for field in file.schema_arrow if (field.metadata or {}) == _JSON}
            for batch in file.iter_batches(_BATCH):
                yield from _rows(batch, model, coded)
    except FileNotFoundError:
        raise ArchiveError(f"{path} is not there, though the database says so") from None
    except (OSError, pa.ArrowException, KeyError, msgspec.DecodeError) as error:
        raise ArchiveError(
            f"{path} cannot be read as a file of the archive: {type(error).__name__}"
        ) from None


def _rows(batch: pa.RecordBatch, model: str, coded: set[str]) -> Iterator[Row]:
    columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    for name in coded:
        columns[name] = [None if text is None else msgspec.json.decode(text) for text in columns[name]]
    features = {
        name.removeprefix(_FEATURE): values
        for name, values in columns.items()
        if name not in _NAMED and name not in OWN
    }
    for index in range(batch.num_rows):
        of = {name: columns[name][index] for name in (*_NAMED, *OWN)}
        absent = of["$absent"] or ()
        yield (
            Prediction(
                model=model, id=of["id"], timestamp=of["timestamp"], version=of["version"],
                features={name: values[index] for name, values in features.items() if name not in absent},
                prediction=of["prediction"],
                scores=of["$scores"] if of["score"] is None else of["score"],
                latency_ms=of["$latency_ms"], status=of["$status"], tags=of["$tags"] or {}, sample=of["$sample"],
            ),
            None if of["label"] is None else Label(
                model=model, id=of["id"], label=of["label"], timestamp=of["$label_timestamp"]
            ),
        )  # fmt: skip


def stored_row(row: Any, label: Any = None, known_at: datetime | None = None) -> Row:
    """A row of the table `predictions`, and its label where it is known."""
    prediction = Prediction(
        model=row.model, id=row.id, timestamp=row.timestamp, version=row.version, features=row.features,
        prediction=row.prediction, scores=row.scores, latency_ms=row.latency_ms, status=row.status, tags=row.tags,
        sample=row.sample,
    )  # fmt: skip
    if known_at is None:
        return prediction, None
    return prediction, Label(model=row.model, id=row.id, label=label, timestamp=known_at)


def between(
    connection: sa.Connection, root: Path | None, model: str, start: datetime, end: datetime
) -> Iterator[Row]:
    """Every row of a model from `start` to before `end`: first those in the archive, then those in the database.

    Without a `root` those in the database alone. Raises `ArchiveError`.
    """
    if root is not None:
        files = sa.select(archives.c.file).where(
            archives.c.model == model, archives.c.first <= end, archives.c.last >= start
        )
        for file in connection.execute(files.order_by(archives.c.first, archives.c.file)).scalars().all():
            for row, label in read(root / file, model):
                if start <= row.timestamp < end:
                    yield row, label
    same = (labels.c.model == predictions.c.model) & (labels.c.id == predictions.c.id)
    query = (
        sa.select(predictions, labels.c.label, labels.c.timestamp.label("known_at"))
        .outerjoin(labels, same)
        .where(predictions.c.model == model, predictions.c.timestamp >= start, predictions.c.timestamp < end)
        .order_by(predictions.c.timestamp)
    )
    for found in connection.execution_options(yield_per=_BATCH).execute(query):
        yield stored_row(found, found.label, found.known_at)
