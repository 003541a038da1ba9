"""Read a reference's rows from CSV or Parquet, and say what is wrong with the file in one line."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import pyarrow as pa

from detectors.errors import ReferenceFileError
from remora.archive import OWN as ARCHIVED

__all__ = ["Names", "Rows", "read_rows"]

_CSV, _PARQUET = {".csv", ".csv.gz"}, {".parquet", ".pq"}


@dataclass(frozen=True)
class Names:
    """What the columns are called that are no features; one that is not in the file is simply not there."""

    timestamp: str = "timestamp"
    id: str = "id"
    score: str = "score"
    prediction: str = "prediction"
    label: str = "label"
    version: str = "version"

    def all(self) -> set[str]:
        """Every name that is no feature."""
        return {self.timestamp, self.id, self.score, self.prediction, self.label, self.version}


@dataclass(frozen=True)
class Rows:
    """A reference's rows, in the file's order; all series have the same index."""

    features: pd.DataFrame
    timestamp: pd.Series[pd.Timestamp] | None
    score: pd.Series[float] | None
    prediction: pd.Series | None
    label: pd.Series | None
    source: str

    def __len__(self) -> int:
        return len(self.features)


def read_rows(path: Path, version: str = "", names: Names | None = None) -> Rows:
    """Read a file: a column per feature, and those of `names`. Raises `ReferenceFileError`.

    Where the file has a version column and a version is asked for, only its rows are taken.
    """
    names = names or Names()
    frame = _read(path)
    _check_names(names, frame, path)
    if frame.columns.has_duplicates:
        twice = str(frame.columns[frame.columns.duplicated()][0])
        raise ReferenceFileError(f"{path}: the column {twice!r} stands there twice")
    if version and names.version in frame:
        frame = frame[frame[names.version].astype(str) == version]
        if frame.empty:
            raise ReferenceFileError(f"{path}: no row of version {version!r} in the column {names.version!r}")
    if frame.empty:
        raise ReferenceFileError(f"{path}: there are no rows in it")
    frame = frame.reset_index(drop=True)
    features = [str(name) for name in frame.columns if name not in names.all() and name not in ARCHIVED]
    _check_features(frame, features, path)
    timestamp = _timestamps(frame[names.timestamp], path) if names.timestamp in frame else None
    return Rows(
        frame[features],
        timestamp,
        _score(frame[names.score], path) if _filled(frame, names.score) else None,
        frame[names.prediction] if _filled(frame, names.prediction) else None,
        frame[names.label] if _filled(frame, names.label) else None,
        _source(path, timestamp),
    )


def _filled(frame: pd.DataFrame, name: str) -> bool:
    """Whether there is such a column with a value in it."""
    return name in frame and bool(frame[name].notna().any())


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        what = "is a folder: name one file" if path.is_dir() else "does not exist"
        raise ReferenceFileError(f"{path}: {what}")
    name = path.name.lower()
    try:
        if any(name.endswith(end) for end in _CSV):
            return pd.read_csv(path, low_memory=False)
        if path.suffix.lower() in _PARQUET:
            return pd.read_parquet(path)
    except pd.errors.EmptyDataError:
        raise ReferenceFileError(f"{path}: the file is empty: its first line must name the columns") from None
    except (pd.errors.ParserError, UnicodeDecodeError, EOFError) as error:
        first = str(error).splitlines()[0] if isinstance(error, pd.errors.ParserError) else "it is not text"
        raise ReferenceFileError(f"{path}: not CSV: {first}") from None
    except pa.ArrowException:
        raise ReferenceFileError(f"{path}: not a Parquet file") from None
    except OSError as error:
        raise ReferenceFileError(
            f"{path}: cannot be read: {error.strerror or 'not compressed as its name says'}"
        ) from None
    raise ReferenceFileError(f"{path}: write a file that ends in .csv, .csv.gz or .parquet")


def _check_names(names: Names, frame: pd.DataFrame, path: Path) -> None:
    """A column that somebody named, other than by default, must be there."""
    for what in fields(Names):
        name = getattr(names, what.name)
        if name != what.default and name not in frame:
            raise ReferenceFileError(f"{path}: there is no column {name!r} for the {what.name}")


def _check_features(frame: pd.DataFrame, features: list[str], path: Path) -> None:
    if not features:
        raise ReferenceFileError(
            f"{path}: there is no feature in it: every column is a timestamp, id, score or label"
        )
    for name in features:
        column = frame[name]
        if name.startswith("$"):
            raise ReferenceFileError(f"{path}: the column {name!r} begins with $, which no feature may")
        if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
            raise ReferenceFileError(
                f"{path}: the feature {name!r} holds dates: write it as number or text, as the model gets it"
            )
        if column.dtype == object and not column.dropna().map(_is_scalar).all():
            raise ReferenceFileError(
                f"{path}: the feature {name!r} holds lists or objects: a feature is text, number, true or false"
            )


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _timestamps(column: pd.Series, path: Path) -> pd.Series[pd.Timestamp]:
    what = f"{path}: the column {column.name!r}"
    if pd.api.types.is_numeric_dtype(column):
        raise ReferenceFileError(f"{what} holds numbers: write instants such as 2013-01-01T10:00:00Z")
    try:
        read = pd.to_datetime(column, utc=True, format="ISO8601" if column.dtype == object else None)
    except (ValueError, TypeError, OverflowError):
        raise ReferenceFileError(
            f"{what} has a value that is no instant: write 2013-01-01T10:00:00Z"
        ) from None
    if read.isna().any():
        raise ReferenceFileError(
            f"{what} is empty in {int(read.isna().sum())} rows: each row needs its instant, or leave the column out"
        )
    return read


def _score(column: pd.Series, path: Path) -> pd.Series[float]:
    if not pd.api.types.is_numeric_dtype(column) or column.dtype == bool:
        raise ReferenceFileError(
            f"{path}: the column {column.name!r} must hold numbers: the score of the positive class"
        )
    return column.astype(float)


def _source(path: Path, timestamp: pd.Series[pd.Timestamp] | None) -> str:
    if timestamp is None:
        return path.name
    return f"{path.name}, {timestamp.min():%Y-%m-%d} to {timestamp.max():%Y-%m-%d}"
