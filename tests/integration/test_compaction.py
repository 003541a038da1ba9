"""Compaction and retention against real databases: what judging reads stays the same, and every row counts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.store import Store, shapes_of
from detectors import compaction
from detectors.compaction import compact
from detectors.jobs import run_due
from detectors.loading import load
from detectors.retention import expire
from detectors.windows import Window
from remora import tables
from remora.config import parse
from remora.records import Batch, Label, Prediction
from remora.summaries import CategoricalSummary, NumericSummary, TrafficSummary
from remora.summaries.profile import PERFORMANCE

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
WALL = datetime(2026, 6, 1, tzinfo=UTC)


def config_of(size, retention="{}"):
    windows = f"{{size: {size}, label_lateness: 1h, revise_for: 2h}}"
    return parse(
        f"version: 1\nretention: {retention}\nmodels: {{m: {{windows: {windows}, segments: [site]}}}}"
    )


def rows_of(start, minutes, *, every=1, prefix=""):
    random = np.random.default_rng(minutes)
    return [
        Prediction(
            model="m", id=f"{prefix}{start:%d%H%M}-{number}", timestamp=start + number * MINUTE, version=f"v{number % 2}",
            features={"x": float(random.normal()), "c": "ab"[number % 2]}, scores=0.5, prediction=True,
            latency_ms=3.0, tags={"site": "north"},
        )
        for number in range(0, minutes, every)
    ]  # fmt: skip


def write(database, config, name, rows=(), labels=()):
    batch = Batch(id=name, source="test", predictions=list(rows), labels=list(labels))
    Store(database, shapes_of(config)).write(batch, WALL)


def stored(database, *columns):
    with database.read() as connection:
        query = sa.select(*(columns or (tables.summaries,))).order_by(tables.summaries.c.seq)
        return connection.execute(query).all()


def granularities(database):
    return {row.granularity for row in stored(database)}


def read(database, start, size, job="drift"):
    return load(database, "m", Window(start, start + size), job).slices


def told(slices):
    """Everything exact that a window's summaries say; sketches of few values are exact too."""
    found = {}
    for (version, segment), part in slices.items():
        for (column, kind), summary in part.merged.items():
            said = summary.fields()
            if isinstance(summary, NumericSummary):
                said = (
                    summary.count,
                    summary.missing,
                    pytest.approx(summary.mean),
                    summary.quantiles([0, 0.5, 1]),
                )
            elif isinstance(summary, CategoricalSummary):
                said = (summary.count, summary.missing, summary.counts())
            elif kind == "latency":
                said = (summary.count, summary.total_ms)
            found[version, segment, column, kind] = said
    return found


def test_minutes_become_hours_and_judging_reads_the_same(database):
    config = config_of("1h")
    write(database, config, "a", rows_of(START, 150))
    before = {job: told(read(database, START, HOUR, job)) for job in ("traffic", "drift", "performance")}
    count = len(stored(database))
    assert compact(database, config, now=START + 2 * HOUR + timedelta(minutes=10)) > 0
    after = stored(database)
    assert {row.start for row in after if row.granularity == "hour"} == {START, START + HOUR}
    assert {row.start for row in after if row.granularity == "minute"} == {
        START + 2 * HOUR + number * MINUTE for number in range(30)
    }
    assert len(after) < count / 3
    assert {job: told(read(database, START, HOUR, job)) for job in before} == before
    assert compact(database, config, now=START + 2 * HOUR + timedelta(minutes=10)) == 0


def test_an_hour_is_left_alone_until_most_late_rows_are_there(database):
    config = config_of("1d")
    write(database, config, "a", rows_of(START, 60))
    assert compact(database, config, now=START + HOUR + timedelta(minutes=9)) == 0
    assert compact(database, config, now=START + HOUR + timedelta(minutes=10)) > 0


def test_late_rows_and_labels_join_the_hour_and_make_one_revision(database):
    config = config_of("1h")
    rows = rows_of(START, 60)
    write(database, config, "a", rows)
    now = START + 2 * HOUR + timedelta(minutes=10)
    judge_all(database, config, now)
    compact(database, config, now=now)
    assert run_due(database, config, now=now + MINUTE, wall=now + MINUTE, owner="a") == 0  # nothing new in it
    labels = [Label(model="m", id=row.id, label=True, timestamp=START + HOUR) for row in rows[:10]]
    write(database, config, "b", rows_of(START, 60, every=7, prefix="late"), labels)
    compact(database, config, now=now)  # before anybody has seen that they came
    assert granularities(database) == {"hour"}
    assert judge_all(database, config, now + 10 * MINUTE) == 3  # traffic, drift and performance again
    assert judge_all(database, config, now + 30 * MINUTE) == 0
    predictions = finding(database, "predictions")
    assert [(row.value, row.revision) for row in predictions] == [(60, 0), (69, 1)]
    performance = read(database, START, HOUR, "performance")["", ""].merged[PERFORMANCE, "performance"]
    assert performance.labelled == 10


def judge_all(database, config, now):
    done = 0
    while count := run_due(database, config, now=now, wall=now, owner="a"):
        done += count
    return done


def finding(database, metric):
    f = tables.findings
    query = sa.select(f).where(
        f.c.metric == metric, f.c.version == "", f.c.segment == "", f.c.window_start == START
    )
    with database.read() as connection:
        return connection.execute(query.order_by(f.c.revision)).all()


@pytest.mark.parametrize("size", ["15m", "1h30m"])
def test_windows_that_hours_cannot_make_keep_their_minutes_until_they_are_judged(sqlite_database, size):
    config = config_of(size, "{minutes: 1h, hours: 2h}")
    write(sqlite_database, config, "a", rows_of(START, 180))
    late = START + 10 * HOUR
    assert compact(sqlite_database, config, now=late) == 0  # nobody has judged them yet
    judge_all(sqlite_database, config, late)
    before = {row.id: row.value for row in found_all(sqlite_database)}
    assert compact(sqlite_database, config, now=late) > 0
    assert granularities(sqlite_database) == {"hour"}
    judge_all(sqlite_database, config, late + HOUR)
    assert {row.id: row.value for row in found_all(sqlite_database) if row.id in before} == before


def found_all(database):
    with database.read() as connection:
        return connection.execute(sa.select(tables.findings)).all()


def test_hours_become_days_and_windows_of_days_read_them(database):
    config = config_of("1d", "{hours: 3d}")
    write(database, config, "a", rows_of(START, 24 * 60, every=20))
    before = told(read(database, START, DAY))
    compact(database, config, now=START + 2 * DAY)
    assert granularities(database) == {"hour"}
    compact(database, config, now=START + 5 * DAY)
    assert granularities(database) == {"day"}
    assert told(read(database, START, DAY)) == before
    assert read(database, START, HOUR)["", ""].merged == {}  # a day says nothing of its first hour


def test_several_servers_and_collectors_at_once_count_every_row_once(database, monkeypatch):
    monkeypatch.setattr(compaction, "_AT_ONCE", 50)  # many small transactions
    config = config_of("1h")
    batches = [rows_of(START, 60, prefix=f"b{number}-") for number in range(6)]
    write(database, config, "first", batches[0])

    def squeeze():
        return sum(compact(database, config, now=START + DAY) for _ in range(4))

    with ThreadPoolExecutor(6) as pool:
        squeezing = [pool.submit(squeeze) for _ in range(3)]
        writing = [
            pool.submit(write, database, config, f"w{number}", rows)
            for number, rows in enumerate(batches[1:])
        ]
        for each in [*squeezing, *writing]:
            each.result()
    compact(database, config, now=START + DAY)
    slices = read(database, START, HOUR)
    assert slices["", ""].get("$traffic", TrafficSummary).count == 360
    assert slices["v0", ""].get("x", NumericSummary).count == 180
    assert slices["", ""].get("c", CategoricalSummary).counts() == {"a": 180, "b": 180}
    assert len(stored(database)) == len(
        {(row.version, row.segment, row.column_name) for row in stored(database)}
    )


def test_a_transaction_that_fails_half_way_changes_nothing(database, monkeypatch):
    config = config_of("1h")
    write(database, config, "a", rows_of(START, 60))
    before = stored(database)

    def die(*_):
        raise RuntimeError("killed")

    monkeypatch.setattr(compaction, "insert_rows", die)
    with pytest.raises(RuntimeError, match="killed"):
        compact(database, config, now=START + DAY)
    assert stored(database) == before


def test_damaged_summaries_stay_and_the_others_are_merged(sqlite_database):
    config = config_of("1h")
    write(sqlite_database, config, "a", rows_of(START, 60))
    s = tables.summaries
    with sqlite_database.write() as connection:
        damaged = connection.execute(sa.select(s.c.seq).where(s.c.column_name == "x").limit(1)).scalar_one()
        connection.execute(sa.update(s).where(s.c.seq == damaged).values(data=b"\x01\x00"))
    compact(sqlite_database, config, now=START + DAY)
    left = [row for row in stored(sqlite_database) if row.granularity == "minute"]
    assert damaged in {row.seq for row in left}
    assert {row.column_name for row in left} == {"x"}
    assert compact(sqlite_database, config, now=START + DAY) > 0  # looked at again, and left again


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40), st.booleans()), min_size=1, max_size=6))
def test_any_order_of_writing_and_merging_gives_the_same_counts(sqlite_database, plan):
    config = config_of("1h")
    with sqlite_database.write() as connection:
        for table in (tables.summaries, tables.predictions, tables.batches):
            connection.execute(sa.delete(table))
    expected = 0
    for number, (hour, minutes, squeeze) in enumerate(plan):
        write(
            sqlite_database, config, f"{number}", rows_of(START + hour * HOUR, minutes, prefix=f"{number}-")
        )
        expected += minutes
        if squeeze:
            compact(sqlite_database, config, now=START + DAY)
    counted = [read(sqlite_database, START + hour * HOUR, HOUR)["", ""] for hour in range(6)]
    numbers = [part.get("x", NumericSummary) for part in counted]
    assert sum(number.count for number in numbers if number) == expected


def test_what_is_old_goes_and_what_decides_about_the_future_stays(database):
    config = config_of(
        "1h", "{rows: 2d, archive: false, days: 3d, findings: 3d, deliveries: 1d, reports: 1d}"
    )
    rows = rows_of(START, 60)
    labels = [Label(model="m", id=row.id, label=True, timestamp=START) for row in rows[:3]]
    orphan = Label(model="m", id="never", label=True, timestamp=START)
    write(database, config, "a", rows, [*labels, orphan])
    judge_all(database, config, START + 3 * HOUR)
    with database.write() as connection:
        connection.execute(
            sa.insert(tables.deliveries), [delivery(state) for state in ("delivered", "dead", "pending")]
        )
        connection.execute(sa.insert(tables.reports), [report("done"), report("wanted")])
    assert expire(database, config, now=START + DAY, wall=WALL) == 0
    assert expire(database, config, now=START + 10 * DAY, wall=WALL + 100 * DAY) > 0
    left = {table.name: count(database, table) for table in (
        tables.predictions, tables.labels, tables.findings, tables.batches, tables.deliveries, tables.reports,
        tables.summaries,
    )}  # fmt: skip
    assert left == {
        "predictions": 0, "labels": 0, "findings": 0, "batches": 0, "deliveries": 1, "reports": 1,
        "summaries": 1,  # the newest number must not be given twice
    }  # fmt: skip
    assert count(database, tables.job_runs) > 0  # younger than `backfill`: else its window were due again
    judged = count(database, tables.job_runs)
    expire(database, config, now=START + 410 * DAY, wall=WALL)
    assert 0 < count(database, tables.job_runs) < judged  # what is left is how far late rows were looked for


def count(database, table):
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def delivery(state):
    return {
        "id": state, "event_id": state, "receiver": "r", "kind": "k", "order_key": "o", "body": b"", "state": state,
        "attempts": 0, "created_at": WALL, "next_attempt_at": WALL, "expires_at": WALL,
    }  # fmt: skip


def report(state):
    return {
        "id": state, "model": "m", "version": state, "window_start": START, "window_end": START + DAY, "state": state,
        "requested_at": WALL, "finished_at": WALL if state == "done" else None,
    }  # fmt: skip
