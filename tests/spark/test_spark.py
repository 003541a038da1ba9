"""Spark's references are the local engine's, shown on a real cluster of two worker processes.

One session and one profile for all tests: starting three JVMs and compiling the queries is what takes the time.
"""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from detectors.baselines import Baselines
from detectors.errors import ReferenceFileError
from detectors.reference_file import read_rows
from detectors.references import Target, store_profile, store_rows
from detectors.spark import profile_with_spark, session
from remora import schema
from remora.cli.reference import app
from remora.config import parse
from remora.database import connect
from remora.summaries import CategoricalSummary, NumericSummary, encode

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS, FILES = 30_000, 6
CONFIG = parse("version: 1\nmodels: {m: {windows: {size: 1d}, features: {code: categorical}}}")
pytestmark = pytest.mark.timeout(600)  # where the processors are shared with others
RANK_ERROR = 0.0267  # of two sketches of k = 200 that are compared, 99 % confidence


@pytest.fixture(scope="module")
def spark():
    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # what lives for seconds need not be compiled well
    plain = {
        "spark.driver.extraJavaOptions": java,
        "spark.executor.extraJavaOptions": java,
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.ui.showConsoleProgress": "false",
    }
    arguments = " ".join(f"--conf {shlex.quote(f'{name}={value}')}" for name, value in plain.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"{arguments} pyspark-shell")
        made = session("local-cluster[2,1,1024]")
    processes = made.sparkContext._jsc.sc().getExecutorMemoryStatus
    until = time.monotonic() + 300
    while processes().size() < 3 and time.monotonic() < until:  # the driver and two workers
        time.sleep(0.05)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    random = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("rows")
    start = pd.Timestamp("2026-01-01", tz="UTC")
    for number in range(FILES):
        count = ROWS // FILES
        x = random.lognormal(sigma=1.5, size=count)
        x[random.random(count) < 0.02] = np.nan
        frame = pd.DataFrame(
            {
                "timestamp": start + pd.to_timedelta(random.integers(0, 30 * 86400, count), unit="s"),
                "x": x,
                "age": random.integers(18, 90, count),
                "city": random.choice(["Ålesund", "Bern", "O'Hara", "a\\b"], count, p=[0.6, 0.3, 0.09, 0.01]),
                "many": random.integers(0, 3000, count).astype(str),
                "code": random.choice([1.0, 2.0, 2.5], count),
                "flag": random.random(count) < 0.3,
                "score": random.beta(2, 5, count),
                "prediction": random.random(count) < 0.5,
            }
        )
        frame.loc[frame.index[::50], "city"] = None
        frame.to_parquet(path / f"part-{number}.parquet", index=False, row_group_size=1_000)
    return path


@pytest.fixture(scope="module")
def both(spark, folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("both")
    database = connect(f"sqlite:///{path / 'remora.db'}")
    schema.prepare(database)
    pd.concat(map(pd.read_parquet, sorted(folder.glob("*.parquet")))).to_parquet(path / "rows.parquet")
    local = store_rows(database, CONFIG, Target("m", "local"), read_rows(path / "rows.parquet"), NOW)
    profile = profile_with_spark(spark, str(folder), CONFIG.model("m"))
    made = store_profile(database, CONFIG, Target("m", "spark"), profile, NOW)
    baselines = Baselines(database, CONFIG)
    yield local, made, baselines.of("m", "local").columns, baselines.of("m", "spark").columns
    database.dispose()


def test_two_processes_work_on_more_than_one_partition(spark, folder):
    assert spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() == 3
    assert spark.read.parquet(str(folder)).rdd.getNumPartitions() > 1


def test_spark_and_the_local_engine_say_the_same(both):
    local, made, ours, theirs = both
    assert (made.rows, made.windows, set(theirs)) == (local.rows, local.windows, set(ours))
    assert made.source.endswith("2026-01-01 to 2026-01-30")
    for name, column in ours.items():
        other = theirs[name]
        assert (column.kind, column.summary.count, column.summary.missing) == (
            other.kind, other.summary.count, other.summary.missing,
        )  # fmt: skip
        assert sum(other.bins.counts) == other.summary.count
        if isinstance(column.summary, NumericSummary):
            _same_numbers(column, other)
        else:
            _same_names(column, other)


def _same_numbers(column, other):
    assert other.summary.mean == pytest.approx(column.summary.mean, rel=1e-9)
    assert other.summary.squares == pytest.approx(column.summary.squares, rel=1e-9)
    assert (other.summary.minimum, other.summary.maximum) == (column.summary.minimum, column.summary.maximum)
    points = np.unique(column.summary.quantiles([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]))
    apart = column.summary.cumulative(points) - other.summary.cumulative(points)
    assert np.abs(apart).max() < RANK_ERROR
    # the edges come from the sketch, what lies between them was counted
    exact = column.summary.cumulative(np.array(other.bins.edges))
    counted = np.cumsum(other.bins.counts)[:-1] / other.summary.count
    assert np.abs(exact - counted).max() < RANK_ERROR


def _same_names(column, other):
    assert isinstance(other.summary, CategoricalSummary)
    assert other.bins == column.bins
    assert other.summary.distinct == pytest.approx(column.summary.distinct, rel=0.1)
    if column.summary.error == 0:
        assert other.summary.counts() == column.summary.counts()


def test_the_bytes_merge_with_those_of_the_collector(both):
    _, _, ours, theirs = both
    merged = theirs["x"].summary
    merged.merge(ours["x"].summary)
    assert merged.count == 2 * ours["x"].summary.count
    assert encode(merged)


def test_mistakes_are_said_in_one_line(spark, folder, tmp_path):
    with pytest.raises(ReferenceFileError, match="Spark cannot read it"):
        profile_with_spark(spark, str(tmp_path / "none"), CONFIG.model("m"))
    height = parse("version: 1\nmodels: {m: {features: {height: numeric}}}")
    with pytest.raises(ReferenceFileError, match="no column 'height'"):
        profile_with_spark(spark, str(folder), height.model("m"))
    pd.DataFrame({"a": [[1, 2]]}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(ReferenceFileError, match="of the type array"):
        profile_with_spark(spark, str(tmp_path / "lists.parquet"), CONFIG.model("m"))


def test_windows_are_the_days_of_the_rows(both):
    assert both[0].windows == both[1].windows == timedelta(days=30) // CONFIG.model("m").windows.size


def test_the_command_stores_what_spark_has_profiled_and_says_where_it_comes_from(spark, tmp_path):
    pd.DataFrame({"a": range(100)}).to_parquet(tmp_path / "rows.parquet")
    database = connect(f"sqlite:///{tmp_path / 'remora.db'}")
    schema.prepare(database)
    database.dispose()
    common = ["--model", "m", "--database", f"sqlite:///{tmp_path / 'remora.db'}"]
    file = ["--engine", "spark", "--file", str(tmp_path / "rows.parquet")]
    built = CliRunner().invoke(app, ["build", *common, *file])  # ends the session: this test is the last
    assert built.exit_code == 0
    assert built.stdout.startswith(
        "reference of m: 100 rows, 1 columns from rows.parquet\nthresholds: the customary"
    )
    shown = CliRunner().invoke(app, ["show", "default@1", *common[2:]])
    assert "spark 4" in shown.stdout
