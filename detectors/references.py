"""Make a reference out of a file: summaries, bins, thresholds and a sample, in one transaction.

Everything is counted exactly, from all rows; only the summaries that are stored beside it are sketches.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors import reference_queries
from detectors.baselines import policy_of
from detectors.binning import Bins, categorical_bins, numeric_bins
from detectors.calibration import calibrate
from detectors.errors import ReferenceFileError
from detectors.observing import WindowTable, missing_rates, psi_distances, unseen_rates
from detectors.ordinary import Observed
from detectors.reference_file import Rows, read_rows
from detectors.reference_influence import influence_of
from detectors.reference_losses import losses_of
from detectors.reference_rows import Stretch, traffic_rows
from remora import __version__
from remora.config import Config
from remora.config.models import Model
from remora.database import Database
from remora.records import new_id
from remora.summaries import CategoricalSummary, NumericSummary, PerformanceSummary, encode
from remora.summaries.categorical import category_name
from remora.summaries.profile import PERFORMANCE, PREDICTION, SCORE

if TYPE_CHECKING:
    from detectors.spark import Profile

__all__ = [
    "SAMPLE_ROWS", "ReferenceSet", "Target", "build", "build_from_traffic", "store_profile", "store_rows",
]  # fmt: skip

SAMPLE_ROWS = 2000


@dataclass(frozen=True)
class ReferenceSet:
    """What was stored; `windows` is how many windows it was cut into, `calibration` what they taught."""

    id: str
    model: str
    version: str
    rows: int
    columns: int
    source: str
    windows: int
    calibration: dict[str, Any]


@dataclass(frozen=True)
class Target:
    """Whose reference it shall be, and its name; version '' serves every version without one of its own.

    `provenance` says where it comes from, beside what is noted anyway.
    """

    model: str
    version: str = ""
    name: str = "default"
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Windows:
    """Each row's window as a number from 0; all rows are in one where there are no timestamps.

    `starts` are in seconds since 1970.
    """

    codes: NDArray[np.int64]
    starts: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.starts)


@dataclass(frozen=True)
class _Column:
    """What is stored of a column, and each metric in each of the reference's windows."""

    stored: dict[str, Any]
    seen: dict[str, Observed]


def build(  # noqa: PLR0913  (what, whose, when and its name)
    database: Database, config: Config, *, model: str, version: str, path: Path, now: datetime,
    name: str = "default",
) -> ReferenceSet:  # fmt: skip
    """Profile a CSV or Parquet file as the reference of a model, or of one version; it replaces the one before.

    Raises `ReferenceFileError` (a `UserError`) where the file cannot be used.
    """
    rows = read_rows(path, version)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = Target(model, version, name, {"kind": "file", "file": path.name, "sha256": digest})
    return store_rows(database, config, target, rows, now)


def build_from_traffic(
    database: Database, config: Config, stretch: Stretch, *, archive: Path | None, now: datetime,
    name: str = "default",
) -> ReferenceSet:  # fmt: skip
    """Make what a model was asked in a stretch of time its reference. Raises `ReferenceFileError`."""
    rows = traffic_rows(database, config.model(stretch.model), stretch, archive)
    span = {"from": stretch.start.isoformat(), "to": stretch.end.isoformat()}
    target = Target(stretch.model, stretch.version, name, {"kind": "window", **span})
    return store_rows(database, config, target, rows, now)


def store_rows(database: Database, config: Config, target: Target, rows: Rows, now: datetime) -> ReferenceSet:
    """Profile rows that were read already; for files whose columns have other names."""
    settings = config.model(target.model)
    absent = sorted(set(settings.features) - set(map(str, rows.features.columns)))
    if absent:
        raise ReferenceFileError(
            f"{rows.source}: there is no column {absent[0]!r}, which remora.yaml names as a feature"
        )
    windows = _windows(rows, settings.windows.size)
    columns = [_column(str(name), rows.features[name], settings, windows) for name in rows.features.columns]
    if rows.score is not None:
        columns.append(_column(SCORE, rows.score, settings, windows))
    if rows.prediction is not None and rows.prediction.notna().any():
        columns.append(_column(PREDICTION, rows.prediction, settings, windows))
    label = (
        [] if rows.label is None else [_performance(rows, settings, [column.stored for column in columns])]
    )
    made, kept = _made(target, settings, windows.starts, columns, label, (len(rows), rows.source))
    _insert(database, made, target, _influential(kept, rows), rows, now)
    return made


def store_profile(
    database: Database, config: Config, target: Target, profile: Profile, now: datetime
) -> ReferenceSet:
    """Store what another engine has profiled."""
    columns = []
    for column in profile.columns:
        missing = profile.rows - column.counts.sum(axis=1)
        table = WindowTable(column.counts, missing, profile.rows, profile.starts)
        columns.append(_Column(_stored(column.name, column.summary, column.bins), _seen(table)))
    settings, counted = config.model(target.model), (profile.total, profile.source)
    made, kept = _made(target, settings, profile.starts, columns, [], counted)
    _insert(database, made, target, _influential(kept, profile.sample), profile.sample, now)
    return made


def _made(
    target: Target, settings: Model, starts: NDArray[np.float64], columns: Sequence[_Column],
    label: Sequence[dict[str, Any]], counted: tuple[int, str],
) -> tuple[ReferenceSet, list[dict[str, Any]]]:  # fmt: skip
    """The reference and what is stored of its columns, with what its own windows teach."""
    seen = {column.stored["column_name"]: column.seen for column in columns}
    policy = policy_of(settings)
    learnt = calibrate(seen, starts, policy.window, policy.budget)
    kept = [
        {**column.stored, "calibration": learnt.columns[column.stored["column_name"]]} for column in columns
    ]
    kept.extend(label)
    rows, source = counted
    made = ReferenceSet(
        new_id(), target.model, target.version, rows, len(kept), source, len(starts), learnt.whole
    )
    return made, kept


def _influential(columns: Sequence[dict[str, Any]], rows: Rows) -> list[dict[str, Any]]:
    """The same columns; a feature's calibration also holds how much it tells of the score."""
    influence = influence_of(rows, columns)
    return [
        {**column, "calibration": {**column["calibration"], "influence": influence[name]}}
        if (name := column["column_name"]) in influence
        else column
        for column in columns
    ]


def _insert(
    database: Database, made: ReferenceSet, target: Target, columns: Sequence[dict[str, Any]], rows: Rows,
    now: datetime,
) -> None:  # fmt: skip
    stored = {
        "id": made.id, "model": made.model, "version": made.version, "source": made.source, "rows": made.rows,
        "built_at": now, "active": True, "sample": _sample(rows), "calibration": made.calibration, "name": target.name,
        "provenance": {"engine": "local", "remora": __version__, **target.provenance},
    }  # fmt: skip
    with database.write() as connection:
        reference_queries.replace_reference(
            connection, stored, [{**column, "reference_id": made.id} for column in columns]
        )


def _windows(rows: Rows, size: timedelta) -> _Windows:
    if rows.timestamp is None:
        return _Windows(np.zeros(len(rows), dtype=np.int64), np.zeros(1))
    micros = rows.timestamp.to_numpy(dtype="datetime64[us]").astype(np.int64)
    starts = micros // (size // timedelta(microseconds=1))
    distinct, codes = np.unique(starts, return_inverse=True)
    return _Windows(codes.astype(np.int64), distinct.astype(np.float64) * size.total_seconds())


def _column(name: str, values: pd.Series, model: Model, windows: _Windows) -> _Column:
    if _kind(name, values, model) == "numeric":
        return _numeric(name, values, model.drift.bins, windows)
    return _categorical(name, values, windows)


def _kind(name: str, values: pd.Series, model: Model) -> str:
    stated = model.features.get(name)
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if stated == "numeric" and not number:
        raise ReferenceFileError(
            f"the feature {name!r} is numeric by remora.yaml, but the file holds other values in it"
        )
    return stated or ("numeric" if number else "categorical")


def _numeric(name: str, values: pd.Series, bins: int, windows: _Windows) -> _Column:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(numbers)
    summary = NumericSummary()
    summary.update(numbers)
    made = numeric_bins(numbers[finite], bins)
    codes = np.searchsorted(np.array(made.edges), numbers[finite], side="left")
    table = _table(windows, finite, codes, len(made.counts))
    return _Column(_stored(name, summary, made), _seen(table))


def _categorical(name: str, values: pd.Series, windows: _Windows) -> _Column:
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
    seen = _seen(table)
    if seen:
        seen["unseen_rate"] = unseen_rates(windows.codes[present], codes.astype(np.int64), windows.count)
    return _Column(_stored(name, summary, made), seen)


def _table(windows: _Windows, present: NDArray[np.bool_], codes: NDArray[Any], bins: int) -> WindowTable:
    """Counts per window and bin of the present values, whose bins are `codes`."""
    flat = windows.codes[present] * bins + codes
    counts = np.bincount(flat, minlength=windows.count * bins).reshape(windows.count, bins)
    rows = np.bincount(windows.codes, minlength=windows.count)
    return WindowTable(counts.astype(float), rows - counts.sum(axis=1), rows.astype(float), windows.starts)


def _seen(table: WindowTable) -> dict[str, Observed]:
    if len(table.rows) == 1:
        return {}  # one window is the whole: it says nothing of how far windows lie apart
    return {"psi": psi_distances(table), "missing_rate": missing_rates(table)}


def _stored(name: str, summary: NumericSummary | CategoricalSummary, bins: Bins) -> dict[str, Any]:
    return {"column_name": name, "kind": summary.kind, "data": encode(summary), "bins": bins.to_json()}


def _performance(rows: Rows, model: Model, columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    kind, positive = model.kind, model.positive
    losses = losses_of(rows, columns) if kind == "regression" else None
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
        "calibration": {} if losses is None else {"losses": losses},
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
