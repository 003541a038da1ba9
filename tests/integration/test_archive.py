"""Rows leave the database for Parquet files, whole and once, and come back as they were."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store import Store, shapes_of
from dashboards.queries.wanted import archived_rows
from detectors import archiving
from detectors.archiving import archive, expire_files
from detectors.retention import expire, remove_reports
from remora import tables
from remora.archive import ArchiveError, between, read, write
from remora.config import parse
from remora.records import Batch, Label, Prediction, new_id

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG = parse(
    "version: 1\nretention: {rows: 3d}\nmodels: {m: {windows: {label_lateness: 1h, revise_for: 1h}}}"
)
LATER = START + 10 * DAY


@pytest.fixture
def root(tmp_path):
    return tmp_path / "archive"


def rows_of(count, day=0, prefix="r"):
    return [
        Prediction(
            model="m", id=f"{prefix}{day}-{number}", timestamp=START + day * DAY + number * timedelta(minutes=1),
            version="v1", features={"x": number / 3, "city": "Ålesund", "id": number, "gone": None} | ({"odd": 1} if number % 2 else {}),
            prediction=bool(number % 2), scores={"a": 0.25, "b": 0.75} if number % 3 else 0.5, latency_ms=1.5,
            tags={"site": "north"}, sample=0.5,
        )
        for number in range(count)
    ]  # fmt: skip


def fill(database, rows, labels=()):
    Store(database, shapes_of(CONFIG)).write(
        Batch(id=new_id(), source="t", predictions=list(rows), labels=list(labels)), START
    )


def all_rows(database, root):
    with database.read() as connection:
        found = list(between(connection, root, "m", START - DAY, START + 400 * DAY))
    return {row.id: (row, label) for row, label in found}, len(found)


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def count(database, table):
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_rows_and_labels_move_by_day_and_read_the_same(database, root, monkeypatch):
    monkeypatch.setattr(archiving, "_AT_ONCE", 25)
    rows = [*rows_of(60), *rows_of(30, day=1), *rows_of(5, day=9)]
    labels = [Label(model="m", id=row.id, label=row.prediction, timestamp=START + DAY) for row in rows[::2]]
    fill(database, rows, labels)
    before, _ = all_rows(database, root)
    assert archive(database, CONFIG, root, now=START) == 0
    assert archive(database, CONFIG, root, now=LATER) == 90
    assert archive(database, CONFIG, root, now=LATER) == 0
    after, found = all_rows(database, root)
    assert after == before
    assert found == 95
    assert (count(database, tables.predictions), count(database, tables.labels)) == (5, 3)
    days = {name.rsplit("/", 1)[0] for name in files(root)}
    assert days == {"model=m/day=2026-03-02", "model=m/day=2026-03-03"}
    assert count(database, tables.archives) == len(files(root)) == 5
    with database.read() as connection:
        moved = archived_rows(connection, root, "m", (START, START + DAY))
    assert {row.label for row in moved} == {False, None}
    assert len(moved) == 60


def test_pandas_reads_the_folder_as_columns(sqlite_database, root):
    fill(sqlite_database, rows_of(10))
    archive(sqlite_database, CONFIG, root, now=LATER)
    frame = pd.read_parquet(root)
    assert frame["x"].tolist() == [number / 3 for number in range(10)]
    assert frame["$feature.id"].tolist() == list(map(float, range(10)))
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert set(frame["model"]) == {"m"}
    assert set(frame["day"]) == {"2026-03-02"}


@pytest.mark.parametrize("where", ["write", "delete_keys", "insert_rows"])
def test_a_kill_at_any_moment_loses_and_doubles_nothing(database, root, monkeypatch, where):
    fill(database, rows_of(40), [Label(model="m", id="r0-1", label=True, timestamp=START)])
    before, _ = all_rows(database, root)
    real = getattr(archiving, where)

    def die(*given):
        real(*given)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(archiving, where, die)
        with pytest.raises(RuntimeError, match="killed"):
            archive(database, CONFIG, root, now=LATER)
    assert len(files(root)) == 1  # what the kill left behind
    assert all_rows(database, root) == (before, 40)
    (root / "model=m/day=2026-03-02/.part-x.parquet.tmp").write_bytes(b"half")
    assert archive(database, CONFIG, root, now=LATER) == 40
    assert all_rows(database, root) == (before, 40)
    assert len(files(root)) == 1


def test_several_servers_and_late_rows_move_each_row_once(database, root, monkeypatch):
    monkeypatch.setattr(archiving, "_AT_ONCE", 20)
    fill(database, rows_of(100))
    with ThreadPoolExecutor(4) as pool:
        moving = [pool.submit(archive, database, CONFIG, root, now=LATER) for _ in range(3)]
        late = pool.submit(fill, database, rows_of(50, prefix="late"))
        late.result()
        moved = sum(each.result() for each in moving)
    moved += archive(database, CONFIG, root, now=LATER)
    assert moved == 150
    found, counted = all_rows(database, root)
    assert (len(found), counted, count(database, tables.predictions)) == (150, 150, 0)


def test_a_label_that_comes_after_its_row_went_is_let_go_in_time(database, root):
    fill(database, rows_of(3))
    archive(database, CONFIG, root, now=LATER)
    fill(database, [], [Label(model="m", id="r0-1", label=True, timestamp=LATER)])
    expire(database, CONFIG, now=LATER, wall=LATER)
    assert count(database, tables.labels) == 1
    expire(database, CONFIG, now=LATER + 5 * DAY, wall=LATER)
    assert count(database, tables.labels) == 0


def test_old_files_go_and_reports_follow_their_rows(sqlite_database, tmp_path):
    fill(sqlite_database, [*rows_of(10), *rows_of(10, day=5)])
    archive(sqlite_database, CONFIG, tmp_path / "archive", now=LATER)
    kept = CONFIG.model_copy(update={"retention": CONFIG.retention.model_copy(update={"archived": 6 * DAY})})
    assert expire_files(sqlite_database, CONFIG, tmp_path / "archive", now=LATER) == 0
    assert expire_files(sqlite_database, kept, tmp_path / "archive", now=LATER) == 1
    assert len(files(tmp_path / "archive")) == count(sqlite_database, tables.archives) == 1
    for name in (f"{new_id()}.html", "mine.html"):
        (tmp_path / name).write_text("x")
    assert remove_reports(sqlite_database, tmp_path) == 1
    assert (tmp_path / "mine.html").exists()
    assert remove_reports(sqlite_database, tmp_path / "nowhere") == 0


def test_a_file_that_is_gone_or_damaged_is_named(tmp_path):
    with pytest.raises(ArchiveError, match="not there"):
        list(read(tmp_path / "none.parquet", "m"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(ArchiveError, match="cannot be read"):
        list(read(tmp_path / "bad.parquet", "m"))


SCALARS = st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.text(max_size=5) | st.floats(
    allow_nan=False, allow_infinity=False
)  # fmt: skip
NAMES = st.sampled_from(["a", "id", "score", "timestamp", "label", "x.y", "ä"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.dictionaries(NAMES, SCALARS, max_size=5), SCALARS, SCALARS), min_size=1, max_size=6)
)
def test_whatever_a_row_holds_it_comes_back(tmp_path_factory, found):
    rows = [
        (
            Prediction(model="m", id=str(number), timestamp=START, features=features, prediction=answer),
            None if label is None else Label(model="m", id=str(number), label=label, timestamp=START),
        )
        for number, (features, answer, label) in enumerate(found)
    ]
    path = tmp_path_factory.mktemp("archive") / "part-1.parquet"
    assert write(path, rows) == path.stat().st_size
    assert list(read(path, "m")) == rows
