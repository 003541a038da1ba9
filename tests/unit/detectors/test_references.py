"""References out of files, and one line for every mistake in them."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from detectors.baselines import Baselines
from detectors.errors import ReferenceFileError
from detectors.reference_file import Names, read_rows
from detectors.references import Target, build, store_rows
from remora.config import parse
from remora.errors import UserError
from remora.tables import reference_columns, reference_sets

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = parse("version: 1")


@pytest.fixture
def frame():
    random = np.random.default_rng(1)
    count = 3000
    score = random.random(count)
    return pd.DataFrame(
        {
            "age": np.where(random.random(count) < 0.02, np.nan, random.normal(40, 10, count)),
            "city": random.choice(["Ålesund", "Bern", "Cork"], count),
            "flag": random.random(count) < 0.5,
            "id": [f"r{n}" for n in range(count)],
            "timestamp": [f"2013-01-{1 + n % 30:02d}T12:00:00Z" for n in range(count)],
            "score": score,
            "prediction": score > 0.5,
            "label": random.random(count) < score,
            "version": ["v1"] * 2000 + ["v2"] * 1000,
        }
    )


def make(database, path, version="", config=CONFIG):
    return build(database, config, model="m", version=version, path=path, now=NOW)


def rows(database, table):
    with database.read() as connection:
        return connection.execute(sa.select(table)).all()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_file_becomes_a_reference(database, frame, tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    made = make(database, path)
    assert (made.rows, made.columns, made.windows) == (3000, 6, 30)
    assert made.source == f"rows.{ending}, 2013-01-01 to 2013-01-30"
    kinds = {row.column_name: row.kind for row in rows(database, reference_columns)}
    assert kinds == {"age": "numeric", "city": "categorical", "flag": "categorical", "$score": "numeric",
                     "$prediction": "categorical", "$performance": "performance"}  # fmt: skip
    baseline = Baselines(database, CONFIG).of("m", "anything")
    age = baseline.columns["age"]
    assert age.summary.count == frame["age"].count() == sum(age.bins.counts)
    assert age.summary.missing == frame["age"].isna().sum()
    assert baseline.columns["city"].bins.known == {"Ålesund", "Bern", "Cork"}
    assert set(baseline.columns["flag"].bins.categories) == {"true", "false"}
    assert baseline.performance.accuracy == pytest.approx((frame["prediction"] == frame["label"]).mean())
    limit = baseline.limits["age"].at(NOW, 100, 3000, 10)["psi"]
    assert limit.threshold >= 0.01
    assert "30 windows of 1d" in limit.basis


def test_the_sample_is_small_plain_and_the_same_each_time(sqlite_database, frame, tmp_path):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    for _ in range(2):
        make(sqlite_database, tmp_path / "rows.csv")
    first, second = (row.sample for row in rows(sqlite_database, reference_sets))
    assert first == second
    lines = [json.loads(line) for line in gzip.decompress(first).splitlines()]
    assert len(lines) == 2000
    assert set(lines[0]) == {"age", "city", "flag", "score", "prediction", "label"}
    assert {type(line["prediction"]) for line in lines} == {bool}
    assert any(line["age"] is None for line in lines)


def test_a_new_reference_takes_the_place_of_the_one_before(database, frame, tmp_path):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    old, new, own = (make(database, tmp_path / "rows.csv", version) for version in ("", "", "v2"))
    active = {row.id: row.active for row in rows(database, reference_sets)}
    assert active == {old.id: False, new.id: True, own.id: True}
    assert (new.rows, own.rows) == (3000, 1000)
    baselines = Baselines(database, CONFIG)
    assert baselines.of("m", "v2").columns["city"].summary.count == 1000
    assert baselines.of("m", "v1").columns["city"].summary.count == 3000
    assert baselines.of("m", "").columns["city"].summary.count == 3000
    assert baselines.of("other", "") is None


def test_all_versions_together_take_the_only_reference_there_is(sqlite_database, frame, tmp_path):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    make(sqlite_database, tmp_path / "rows.csv", "v1")
    baselines = Baselines(sqlite_database, CONFIG)
    assert baselines.of("m", "").columns["city"].summary.count == 2000
    assert baselines.of("m", "v2") is None


def test_without_timestamps_the_limits_fall_back(sqlite_database, frame, tmp_path):
    frame[["age", "city"]].to_csv(tmp_path / "rows.csv", index=False)
    made = make(sqlite_database, tmp_path / "rows.csv")
    assert (made.source, made.columns, made.windows) == ("rows.csv", 2, 1)
    limit = Baselines(sqlite_database, CONFIG).of("m", "").limits["age"].at(NOW, 100, 3000, 10)["psi"]
    assert limit.threshold == 0.25
    assert "8 with enough rows are needed" in limit.basis


def test_columns_may_have_other_names_and_kinds_may_be_stated(sqlite_database, frame, tmp_path):
    path = tmp_path / "rows.csv"
    frame.rename(columns={"score": "p", "label": "truth"}).assign(code=7).to_csv(path, index=False)
    config = parse("version: 1\nmodels: {m: {features: {code: categorical}}}")
    read = read_rows(path, names=Names(score="p", label="truth"))
    store_rows(sqlite_database, config, Target("m"), read, NOW)
    columns = Baselines(sqlite_database, config).of("m", "").columns
    assert set(columns) == {"age", "city", "flag", "code", "$score", "$prediction"}
    assert columns["code"].bins.categories == ("7",)


MISTAKES = {
    "empty.csv": ("", "the file is empty"),
    "header.csv": ("a,b\n", "there are no rows"),
    "ragged.csv": ("a,b\n1,2\n3,4,5\n", "not CSV"),
    "binary.csv": (b"\xff\xfe\x00\x81" * 50, "not CSV"),
    "rows.parquet": ("a,b\n1,2\n", "not a Parquet file"),
    "rows.csv.gz": ("a,b\n1,2\n", "cannot be read"),
    "rows.xlsx": ("a,b\n1,2\n", "ends in .csv"),
    "nothing.csv": ("score,label\n0.5,1\n", "there is no feature"),
    "times.csv": ("a,timestamp\n1,yesterday\n", "no instant"),
    "epoch.csv": ("a,timestamp\n1,1356998400\n", "holds numbers"),
    "gaps.csv": ("a,timestamp\n1,2013-01-01T00:00:00Z\n2,\n", "is empty in 1 rows"),
    "score.csv": ("a,score\n1,high\n", "must hold numbers"),
    "dollar.csv": ("$a,b\n1,2\n", "begins with $"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_stores_nothing(sqlite_database, tmp_path, name):
    content, said = MISTAKES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ReferenceFileError) as caught:
        make(sqlite_database, path)
    assert isinstance(caught.value, UserError)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert rows(sqlite_database, reference_sets) == []


def test_what_is_not_there_is_named(sqlite_database, frame, tmp_path):
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(ReferenceFileError, match="does not exist"):
        make(sqlite_database, tmp_path / "none.csv")
    with pytest.raises(ReferenceFileError, match="is a folder"):
        make(sqlite_database, tmp_path)
    with pytest.raises(ReferenceFileError, match="no row of version 'v9'"):
        make(sqlite_database, path, "v9")
    with pytest.raises(ReferenceFileError, match="no column 'p' for the score"):
        read_rows(path, names=Names(score="p"))
    with pytest.raises(ReferenceFileError, match="no column 'height'"):
        make(sqlite_database, path, config=parse("version: 1\nmodels: {m: {features: {height: numeric}}}"))
    with pytest.raises(ReferenceFileError, match="'city' is numeric by remora"):
        make(sqlite_database, path, config=parse("version: 1\nmodels: {m: {features: {city: numeric}}}"))


def test_lists_and_dates_are_no_features(sqlite_database, tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"a": [[1, 2], [3]]}).to_parquet(path)
    with pytest.raises(ReferenceFileError, match="lists or objects"):
        make(sqlite_database, path)
    pd.DataFrame({"a": pd.to_datetime(["2013-01-01"])}).to_parquet(path)
    with pytest.raises(ReferenceFileError, match="holds dates"):
        make(sqlite_database, path)
