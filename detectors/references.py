"""Make a reference out of a file: summaries, bins, thresholds and a sample, in one transaction.

Everything is counted exactly, from all rows; only the summaries that are stored beside it are sketches.
"""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors import queries
from detectors.binning import Bins, categorical_bins, numeric_bins
from detectors.calibration import WindowTable, calibrate, missing_rates, psi_excess, unseen_rates
from detectors.errors import ReferenceFileError
from detectors.reference_file import Rows, read_rows
from remora.config import Config
from remora.config.models import Model
from remora.database import Database
from remora.records import new_id
from remora.summaries import CategoricalSummary, NumericSummary, PerformanceSummary, encode
from remora.summaries.categorical import category_name
from remora.summaries.profile import PERFORMANCE, PREDICTION, SCORE

__all__ = ["SAMPLE_ROWS", "ReferenceSet", "Target", "build", "store_rows"]

SAMPLE_ROWS = 2000
_MIN_WINDOW_ROWS = 30  # smaller windows of the reference say nothing of ordinary windows


@dataclass(frozen=True)
class ReferenceSet:
    """What was stored; `windows` is how many of its own windows the thresholds were learnt from."""

    id: str
    model: str
    version: str
    rows: int
    columns: int
    source: str
    windows: int


@dataclass(frozen=True)
class Target:
    """Whose reference it shall be; version '' serves every version without one of its own."""

    model: str
    version: str = ""


@dataclass(frozen=True)
class _Windows:
    """Each row's window as a number from 0; all rows are in one where there are no timestamps."""

    codes: NDArray[np.int64]
    count: int


def build(
    database: Database, config: Config, *, model: str, version: str, path: Path, now: datetime,
) -> ReferenceSet:  # fmt: skip
    """Profile a CSV or Parquet file as the reference of a model, or of one version; it replaces the one before.

    Raises `ReferenceFileError` (a `UserError`) where the file cannot be used.
    """
    rows = read_rows(path, version)
    return store_rows(database, config, Target(model, version), rows, now)


def store_rows(database: Database, config: Config, target: Target, rows: Rows, now: datetime) -> ReferenceSet:
    """Profile rows that were read already; for files whose columns have other names."""
    settings = config.model(target.model)
    absent = sorted(set(settings.features) - set(map(str, rows.features.columns)))
    if absent:
        raise ReferenceFileError(
            f"{rows.source}: there is no column {absent[0]!r}, which remora.yaml names as a feature"
        )
    windows = _windows(rows, settings.windows.size)
    columns = [
        _column(str(name), rows.features[name], settings, windows)
        for name in rows.features.columns
    ]  # fmt: skip
    if rows.score is not None:
        columns.append(_column(SCORE, rows.score, settings, windows))
    if rows.prediction is not None and rows.prediction.notna().any():
        columns.append(_column(PREDICTION, rows.prediction, settings, windows))
    if rows.label is not None:
        columns.append(_performance(rows, settings.kind, settings.positive))
    made = ReferenceSet(
        new_id(), target.model, target.version, len(rows), len(columns), rows.source, windows.count
    )
    stored = {
        "id": made.id, "model": made.model, "version": made.version, "source": made.source, "rows": made.rows,
        "built_at": now, "active": True, "sample": _sample(rows),
    }  # fmt: skip
    with database.write() as connection:
        queries.replace_reference(
            connection, stored, [{**column, "reference_id": made.id} for column in columns]
        )
    return made


def _windows(rows: Rows, size: timedelta) -> _Windows:
    if rows.timestamp is None:
        return _Windows(np.zeros(len(rows), dtype=np.int64), 1)
    micros = rows.timestamp.to_numpy(dtype="datetime64[us]").astype(np.int64)
    starts = micros // (size // timedelta(microseconds=1))
    distinct, codes = np.unique(starts, return_inverse=True)
    return _Windows(codes.astype(np.int64), len(distinct))


def _column(name: str, values: pd.Series, model: Model, windows: _Windows) -> dict[str, Any]:
    if _kind(name, values, model) == "numeric":
        return _numeric(name, values, model.drift.bins, model.windows.size, windows)
    return _categorical(name, values, model.windows.size, windows)


def _kind(name: str, values: pd.Series, model: Model) -> str:
    stated = model.features.get(name)
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if stated == "numeric" and not number:
        raise ReferenceFileError(
            f"the feature {name!r} is numeric by remora.yaml, but the file holds other values in it"
        )
    return stated or ("numeric" if number else "categorical")


def _numeric(name: str, values: pd.Series, bins: int, size: timedelta, windows: _Windows) -> dict[str, Any]:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(numbers)
    summary = NumericSummary()
    summary.update(numbers)
    made = numeric_bins(numbers[finite], bins)
    codes = np.searchsorted(np.array(made.edges), numbers[finite], side="left")
    table = _table(windows, finite, codes, len(made.counts))
    return _stored(name, summary, made, calibrate(_spreads(table), size))


def _categorical(name: str, values: pd.Series, size: timedelta, windows: _Windows) -> dict[str, Any]:
    present = values.notna().to_numpy()
    factors, distinct = pd.factorize(values[present])
    names = [category_name(value) for value in distinct.tolist()]
    merged, codes = np.unique(np.array(names, dtype=object)[factors], return_inverse=True)
    ordered = [str(one) for one in merged]
    counts = Counter(dict(zip(ordered, np.bincount(codes, minlength=len(ordered)).tolist(), strict=True)))
    summary = CategoricalSummary()
    summary.update(
        (name for name, count in sorted(counts.items()) for _ in range(count)), int((~present).sum())
    )
    made = categorical_bins(counts)
    place = {name: number for number, name in enumerate(made.categories)}
    bins = np.array([place.get(name, len(place)) for name in ordered], dtype=np.int64)
    table = _table(windows, present, bins[codes] if len(codes) else codes, len(made.counts))
    spreads = _spreads(table)
    spreads["unseen_rate"] = unseen_rates(windows.codes[present], codes.astype(np.int64), _MIN_WINDOW_ROWS)
    return _stored(name, summary, made, calibrate(spreads, size))


def _table(windows: _Windows, present: NDArray[np.bool_], codes: NDArray[Any], bins: int) -> WindowTable:
    """Counts per window and bin of the present values, whose bins are `codes`."""
    flat = windows.codes[present] * bins + codes
    counts = np.bincount(flat, minlength=windows.count * bins).reshape(windows.count, bins)
    rows = np.bincount(windows.codes, minlength=windows.count)
    return WindowTable(counts.astype(float), rows - counts.sum(axis=1), rows.astype(float))


def _spreads(table: WindowTable) -> dict[str, list[float]]:
    if len(table.rows) == 1:
        return {}  # one window is the whole: it says nothing of how far windows lie apart
    return {
        "psi": psi_excess(table, _MIN_WINDOW_ROWS),
        "missing_rate": missing_rates(table, _MIN_WINDOW_ROWS),
    }


def _stored(
    name: str, summary: NumericSummary | CategoricalSummary, bins: Bins, calibration: dict[str, Any]
) -> dict[str, Any]:
    return {
        "column_name": name, "kind": summary.kind, "data": encode(summary), "bins": bins.to_json(),
        "calibration": calibration,
    }  # fmt: skip


def _performance(rows: Rows, kind: str, positive: str) -> dict[str, Any]:
    summary = PerformanceSummary()
    for label, prediction, score in zip(
        _plain(rows.label, len(rows)),
        _plain(rows.prediction, len(rows)),
        _plain(rows.score, len(rows)),
        strict=True,
    ):
        if label is not None:
            summary.add_row(label, prediction, score, kind=kind, positive=positive)
    return {
        "column_name": PERFORMANCE,
        "kind": summary.kind,
        "data": encode(summary),
        "bins": {},
        "calibration": {},
    }


def _plain(values: pd.Series | None, count: int) -> list[Any]:
    """Plain Python values, None where there is none."""
    if values is None:
        return [None] * count
    return [None if pd.isna(value) else value for value in values.tolist()]


def _sample(rows: Rows) -> bytes:
    """At most `SAMPLE_ROWS` rows drawn evenly, the same for the same file, as gzip of JSON lines."""
    count = len(rows)
    drawn = np.random.default_rng(0).choice(count, min(SAMPLE_ROWS, count), replace=False)
    frame = rows.features.copy()
    for name, values in (("score", rows.score), ("prediction", rows.prediction), ("label", rows.label)):
        if values is not None:
            frame[name] = values
    chosen = frame.iloc[np.sort(drawn)]
    columns = {str(name): _finite(_plain(chosen[name], len(chosen))) for name in chosen.columns}
    lines = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return gzip.compress(b"\n".join(msgspec.json.encode(line) for line in lines), mtime=0)


def _finite(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and not np.isfinite(value) else value for value in values]
