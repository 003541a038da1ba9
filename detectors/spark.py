"""Profile a reference where it lies, by Spark SQL over Parquet: files and folders of any size, no row comes here.

Spark's `kll_sketch_agg_double` and `hll_sketch_agg` give the bytes of Apache DataSketches, so what comes back are the same
summaries as the local engine's: counts, means and the counts of bins exact, quantiles and numbers of categories within
the sketches' error. Three queries: one for all sketches, one for frequent categories, one for the bins of each window.
Labels are not read: performance is compared with a reference that the local engine built.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from datasketches import hll_sketch, kll_doubles_sketch

from detectors.binning import Bins, categorical_bins, numeric_edges
from detectors.errors import ReferenceFileError
from detectors.reference_file import Names, Rows
from remora.archive import OWN
from remora.summaries import CategoricalSummary, NumericSummary
from remora.summaries.profile import PREDICTION, SCORE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

    from remora.config.models import Model

__all__ = ["MOST_NAMES", "Profile", "ProfiledColumn", "profile_with_spark", "session"]

MOST_NAMES = 10_000  # categories counted by name; of a column with more, the most frequent ones
_K, _LG_REGISTERS = 200, 11  # as in remora.summaries
_SAMPLE = 2000
_SECONDS = {  # of a row's instant; nanoseconds, as pandas writes them, are read as plain numbers
    "timestamp": "unix_seconds(`timestamp`)",
    "timestamp_ntz": "unix_seconds(CAST(`timestamp` AS TIMESTAMP))",
    "bigint": "(`timestamp` DIV 1000000000)",
}
_NUMBERS = {"tinyint", "smallint", "int", "bigint", "float", "double"}
_MOST_WINDOWS = 5000


@dataclass(frozen=True)
class ProfiledColumn:
    """A column's summary and bins, and per window the counts of its bins: shape (windows, bins)."""

    name: str
    summary: NumericSummary | CategoricalSummary
    bins: Bins
    counts: np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Profile:
    """What Spark saw. `rows` and `starts` (seconds since 1970) are per window; `sample` are some of the rows."""

    columns: list[ProfiledColumn]
    total: int
    rows: np.ndarray[Any, np.dtype[np.float64]]
    starts: np.ndarray[Any, np.dtype[np.float64]]
    sample: Rows
    source: str


@dataclass(frozen=True)
class _Read:
    """A column as it is read: `sql` gives a double, or the category's name."""

    name: str
    sql: str
    numeric: bool


def session(master: str) -> SparkSession:
    """A session on this master: `local[4]`, `spark://host:7077`, `yarn`, … or the one that runs already."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.Builder().appName("remora reference").master(master)
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        made = builder.getOrCreate()
    except PySparkException as error:
        first = str(error).splitlines()[0][:200]
        raise ReferenceFileError(
            f"Spark does not start on {master} (it needs Java 17 or newer): {first}"
        ) from None
    made.sparkContext.setLogLevel("ERROR")
    return made


def profile_with_spark(spark: SparkSession, path: str, model: Model, version: str = "") -> Profile:
    """Profile the Parquet file or folder at a path that Spark knows. Raises `ReferenceFileError`."""
    frame = _frame(spark, path, version)
    reads = _reads(frame, model, path)
    frame.createOrReplaceTempView("remora_rows")
    total, summaries = _summaries(spark, reads)
    names = _names(spark, [read for read in reads if not read.numeric])
    parts = model.drift.bins
    bins = {read.name: _bins(summaries[read.name], names.get(read.name, {}), parts) for read in reads}
    starts, rows, counts = _windows(spark, frame, reads, bins, model.windows.size)
    columns = [
        _column(read, summaries[read.name], bins[read.name], counts[read.name], names) for read in reads
    ]
    if not total:
        raise ReferenceFileError(f"{path}: there are no rows in it")
    return Profile(columns, total, rows, starts, _sample(frame, total), _source(spark, frame, path))


def _frame(spark: SparkSession, path: str, version: str) -> DataFrame:
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as f

    try:
        frame = spark.read.parquet(path)
    except AnalysisException as error:
        first = str(error).splitlines()[0][:200]
        raise ReferenceFileError(f"{path}: Spark cannot read it as Parquet: {first}") from None
    return frame.where(f.col("version") == version) if version and "version" in frame.columns else frame


def _reads(frame: DataFrame, model: Model, path: str) -> list[_Read]:
    names, kinds = Names(), dict(frame.dtypes)
    reads = []
    for name in frame.columns:
        if name in OWN or name in names.all() - {names.score, names.prediction} or name in {"model", "day"}:
            continue
        shown = {names.score: SCORE, names.prediction: PREDICTION}.get(name, name)
        kind = kinds[name].split("(")[0]
        number = kind in _NUMBERS or kind == "decimal"
        if not number and kind not in {"string", "boolean"}:
            raise ReferenceFileError(
                f"{path}: the feature {name!r} is of the type {kind}: text, number, true or false are read"
            )
        quoted = f"`{name.replace('`', '``')}`"
        numeric = number and model.features.get(name) != "categorical"
        reads.append(_Read(shown, _double(quoted) if numeric else _name(quoted, kind), numeric))
    absent = sorted(set(model.features) - {read.name for read in reads})
    if absent:
        raise ReferenceFileError(
            f"{path}: there is no column {absent[0]!r}, which remora.yaml names as a feature"
        )
    return reads


def _double(column: str) -> str:
    value = f"CAST({column} AS DOUBLE)"
    return f"CASE WHEN isnan({value}) OR abs({value}) = double('infinity') THEN NULL ELSE {value} END"


def _name(column: str, kind: str) -> str:
    """The category's name, as `category_name` gives it: 3 and 3.0 alike."""
    if kind in {"float", "double"} or kind == "decimal":
        whole = f"{column} = floor({column}) AND abs({column}) < 1e18"
        return f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS STRING) ELSE CAST({column} AS STRING) END"
    return f"CAST({column} AS STRING)"


def _summaries(
    spark: SparkSession, reads: list[_Read]
) -> tuple[int, dict[str, NumericSummary | CategoricalSummary]]:
    wanted = ["count(*) AS total"]
    for at, read in enumerate(reads):
        wanted.append(f"count({read.sql}) AS n{at}")
        if read.numeric:
            near = f"least(greatest({read.sql}, -1e140D), 1e140D)"  # they pass over NULL: it stays one
            near = f"CASE WHEN {read.sql} IS NOT NULL THEN {near} END"
            wanted.append(f"avg({near}) AS m{at}, var_pop({near}) AS v{at}")
            wanted.append(f"kll_sketch_agg_double({read.sql}, {_K}) AS s{at}")
        else:
            wanted.append(f"hll_sketch_agg({read.sql}, {_LG_REGISTERS}) AS s{at}")
    (row,) = spark.sql(f"SELECT {', '.join(wanted)} FROM remora_rows").collect()
    return row["total"], {read.name: _summary(row, at, read) for at, read in enumerate(reads)}


def _summary(row: Row, at: int, read: _Read) -> NumericSummary | CategoricalSummary:
    summary: NumericSummary | CategoricalSummary = NumericSummary() if read.numeric else CategoricalSummary()
    summary.count = row[f"n{at}"]
    summary.missing = row["total"] - summary.count
    if not summary.count:
        return summary
    if isinstance(summary, NumericSummary):
        summary.mean, summary.squares = row[f"m{at}"], row[f"v{at}"] * summary.count
        summary.sketch = kll_doubles_sketch.deserialize(bytes(row[f"s{at}"]))
    else:
        summary.distinct_sketch = hll_sketch.deserialize(bytes(row[f"s{at}"]))
    return summary


def _names(spark: SparkSession, reads: list[_Read]) -> dict[str, dict[str, int]]:
    """How often the most frequent categories of each column are there, exactly."""
    if not reads:
        return {}
    pairs = ", ".join(f"{at}, {read.sql}" for at, read in enumerate(reads))
    counted = (
        f"SELECT place, name, count(*) AS rows FROM (SELECT stack({len(reads)}, {pairs}) AS (place, name) "
        "FROM remora_rows) WHERE name IS NOT NULL GROUP BY place, name"
    )
    ranked = (
        f"SELECT *, row_number() OVER (PARTITION BY place ORDER BY rows DESC, name) AS rank FROM ({counted})"
    )
    found: dict[str, dict[str, int]] = {read.name: {} for read in reads}
    for row in spark.sql(
        f"SELECT place, name, rows FROM ({ranked}) WHERE rank <= {MOST_NAMES + 1}"
    ).collect():
        found[reads[row["place"]].name][row["name"]] = row["rows"]
    return found


def _bins(summary: NumericSummary | CategoricalSummary, names: dict[str, int], parts: int) -> Bins:
    """Bins without counts, which the windows give: edges at the sketch's quantiles, or the frequent categories."""
    if isinstance(summary, NumericSummary):
        ranks = [number / parts for number in range(parts)]
        return Bins((), edges=numeric_edges(summary.quantiles(ranks)) if summary.count else ())
    return categorical_bins(names)


def _windows(  # what is counted by which bins, in windows of which size
    spark: SparkSession, frame: DataFrame, reads: list[_Read], bins: dict[str, Bins], size: timedelta
) -> tuple[Any, Any, dict[str, Any]]:
    seconds, instant = int(size.total_seconds()), _instant(frame)
    start = "0" if instant is None else f"(floor({instant} / {seconds}) * {seconds})"
    wanted = [f"{start} AS start", "count(*) AS total"]
    for at, read in enumerate(reads):
        wanted += [f"{sql} AS c{at}_{number}" for number, sql in enumerate(_counted(read, bins[read.name]))]
    query = f"SELECT {', '.join(wanted)} FROM remora_rows GROUP BY 1 ORDER BY 1 LIMIT {_MOST_WINDOWS}"
    found = spark.sql(query).collect()
    counts = {}
    for at, read in enumerate(reads):
        of = bins[read.name]
        parts = len(of.edges) + 1 if read.numeric else len(of.categories) + 1
        cumulative = np.array(
            [[row[f"c{at}_{number}"] for number in range(parts)] for row in found], dtype=float
        )
        if read.numeric:
            counts[read.name] = np.diff(cumulative, axis=1, prepend=0.0)
        else:
            rest = cumulative[:, -1:] - cumulative[:, :-1].sum(axis=1, keepdims=True)
            counts[read.name] = np.hstack([cumulative[:, :-1], rest])
    starts = np.array([row["start"] for row in found], dtype=float)
    return starts, np.array([row["total"] for row in found], dtype=float), counts


def _counted(read: _Read, bins: Bins) -> list[str]:
    """Numbers: how many lie at or below each edge, and all. Categories: how many are each, and all."""
    if read.numeric:
        inner = [f"count_if({read.sql} <= {edge!r}D)" for edge in bins.edges]
    else:
        escaped = (name.replace("\\", "\\\\").replace("'", "\\'") for name in bins.categories)
        inner = [f"count_if({read.sql} = '{name}')" for name in escaped]
    return [*inner, f"count({read.sql})"]


def _column(
    read: _Read, summary: NumericSummary | CategoricalSummary, bins: Bins, counts: Any, names: Any
) -> ProfiledColumn:
    if isinstance(summary, CategoricalSummary):
        for name, count in names[read.name].items():
            summary.items.update(name, count)
    whole = tuple(map(float, counts.sum(axis=0)))
    known = None if len(names.get(read.name, ())) > MOST_NAMES else bins.known
    return ProfiledColumn(read.name, summary, Bins(whole, bins.edges, bins.categories, known), counts)


def _sample(frame: DataFrame, total: int) -> Rows:
    """Some rows, drawn evenly, for reports."""
    names = Names()
    drawn = frame.sample(fraction=min(1.0, 1.2 * _SAMPLE / total), seed=0).limit(_SAMPLE).collect()
    rows = pd.DataFrame([row.asDict() for row in drawn], columns=frame.columns)
    features = [name for name in rows.columns if name not in names.all() and name not in OWN]
    kept = {name: rows.get(name) for name in (names.score, names.prediction, names.label)}
    return Rows(rows[features], None, kept[names.score], kept[names.prediction], kept[names.label], "sample")


def _source(spark: SparkSession, frame: DataFrame, path: str) -> str:
    name = path.rstrip("/").rsplit("/", 1)[-1]
    instant = _instant(frame)
    if instant is None:
        return name
    (row,) = spark.sql(f"SELECT min({instant}), max({instant}) FROM remora_rows").collect()
    first, last = (None if value is None else datetime.fromtimestamp(value, UTC) for value in row)
    return name if first is None or last is None else f"{name}, {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _instant(frame: DataFrame) -> str | None:
    """SQL for the seconds since 1970 of a row."""
    return _SECONDS.get(dict(frame.dtypes).get("timestamp", ""))
