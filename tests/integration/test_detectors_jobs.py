"""The jobs against real databases: judged once, by whoever comes, and again when something came late."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sklearn.metrics import roc_auc_score

from collector.store import Store, shapes_of
from detectors import jobs
from detectors.clock import clock_state, move_clock, read_clock, settle
from detectors.errors import ClockError
from detectors.jobs import MOST_PER_PASS, run_due
from detectors.judges import JUDGES
from detectors.references import build
from detectors.row_samples import MOST_ROWS, window_rows
from detectors.windows import Window
from remora import cli
from remora.config import parse
from remora.records import Batch, Label, Prediction
from remora.runs import LEASE, LostRunError, RunKey, claim_run, finish_run
from remora.tables import findings, job_runs, reference_columns, summaries

DAY = timedelta(days=1)
START = datetime(2013, 3, 1, tzinfo=UTC)
WALL = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 300

CONFIG = """
version: 1
schedule: {clock: replay}
models:
  m:
    windows: {size: 1d, lateness: 5m, label_lateness: 1d}
    segments: [site]
"""


@pytest.fixture
def config():
    return parse(CONFIG)


@pytest.fixture
def random():
    return np.random.default_rng(3)


def rows_of(random, start, *, count=ROWS, shift=0.0, version="v1", prefix=""):
    scores = random.beta(2, 4, count)
    return [
        Prediction(
            model="m",
            id=f"{prefix}{start:%m%d%H%M}-{number}",
            timestamp=start + timedelta(minutes=5) * (number % 288),
            version=version,
            features={"x": float(random.normal() + shift), "c": str(random.choice(["a", "b", "c"]))},
            prediction=bool(score > 0.5),
            scores=float(score),
            latency_ms=float(random.exponential(20)),
            status=500 if number == 0 else 200,
            tags={"site": "north" if number % 2 else "south"},
        )
        for number, score in enumerate(scores)
    ]


def labels_of(random, rows):
    return [
        Label(model="m", id=row.id, label=bool(random.random() < row.scores), timestamp=row.timestamp + DAY)
        for row in rows
    ]


def write(database, config, name, rows=(), labels=()):
    Store(database, shapes_of(config)).write(
        Batch(id=name, source="test", predictions=list(rows), labels=list(labels)), WALL
    )


def tick(database, config, now, owner="a", wall=WALL):
    done = 0
    while count := run_due(database, config, now=now, wall=wall, owner=owner):
        done += count
    return done


def found(database, **where):
    query = sa.select(findings).where(*(findings.c[name] == value for name, value in where.items()))
    with database.read() as connection:
        return connection.execute(query.order_by(findings.c.window_start, findings.c.revision)).all()


def runs(database):
    query = sa.select(job_runs).where(job_runs.c.job != "revisions")
    with database.read() as connection:
        return connection.execute(query.order_by(job_runs.c.window_start, job_runs.c.job)).all()


def make_reference(database, config, tmp_path, random, version="", shift=0.0):
    count = 6000
    frame = pd.DataFrame(
        {
            "x": random.normal(shift, 1, count),
            "c": random.choice(["a", "b", "c"], count),
            "score": random.beta(2, 4, count),
            "timestamp": [f"2013-02-{1 + number % 20:02d}T10:00:00Z" for number in range(count)],
        }
    )
    frame["prediction"] = frame["score"] > 0.5
    frame["label"] = random.random(count) < frame["score"]
    path = tmp_path / f"reference{version}.csv"
    frame.to_csv(path, index=False)
    return build(database, config, model="m", version=version, path=path, now=WALL)


def test_days_are_judged_and_the_shifted_one_alarms(database, config, random, tmp_path):
    make_reference(database, config, tmp_path, random)
    for number in range(4):
        rows = rows_of(random, START + number * DAY, shift=2.0 if number == 3 else 0.0)
        write(database, config, f"b{number}", rows, labels_of(random, rows))
    assert tick(database, config, START + 4 * DAY + timedelta(minutes=4)) == 3 + 3 + 3
    assert tick(database, config, START + 6 * DAY) == 2 + 2 + 2
    verdicts = [row.verdict for row in found(database, metric="psi", feature="x", version="")]
    assert verdicts == ["ok", "ok", "ok", "alarm", "not_enough_data"]
    assert {row.verdict for row in found(database, metric="psi", feature="c", version="v1")} == {"ok"}
    assert [row.verdict for row in found(database, metric="auc", version="", segment="")] == [
        *["ok"] * 4,
        "not_enough_data",
    ]
    errors = found(database, metric="error_rate", version="", segment="")
    assert [row.value for row in errors] == [1 / ROWS] * 4 + [None]
    assert errors[-1].verdict == "not_enough_data"
    assert [row.value for row in found(database, metric="predictions", version="", segment="")] == [
        ROWS
    ] * 4 + [0]
    segments = found(database, metric="predictions", segment="site=north")
    assert [(row.value, row.version) for row in segments] == [(ROWS / 2, "")] * 4
    assert {
        row.reference_value is not None for row in found(database, metric="auc", version="", segment="")
    } == {True}


def test_performance_is_estimated_before_the_labels_come(database, config, random, tmp_path):
    make_reference(database, config, tmp_path, random)
    rows = rows_of(random, START, count=2000)
    write(database, config, "b", rows)
    write(database, config, "next", rows_of(random, START + DAY))
    tick(database, config, START + DAY + timedelta(minutes=6))
    assert found(database, metric="auc") == []
    whole, of_version = found(database, metric="estimated_auc")
    assert (whole.verdict, whole.size, whole.reference_size) == ("ok", 1999, 6000)
    assert of_version.value == whole.value
    write(database, config, "labels", labels=labels_of(random, rows))
    tick(database, config, START + 2 * DAY + timedelta(minutes=6))
    real = found(database, metric="auc", version="", segment="")[0]
    assert whole.low < whole.value < whole.high
    assert abs(whole.value - real.value) < 3 * (whole.high - whole.low) / 4  # three standard errors
    assert whole.reference_value == real.reference_value


def test_performance_is_that_of_the_rows(database, config, random):
    rows = rows_of(random, START)
    labels = labels_of(random, rows)
    write(database, config, "b", rows, labels)
    tick(database, config, START + 2 * DAY)
    answered = [
        (label.label, row.scores) for row, label in zip(rows, labels, strict=True) if row.status < 400
    ]
    (auc,) = found(database, metric="auc", version="", segment="", window_start=START)
    assert auc.value == pytest.approx(roc_auc_score(*zip(*answered, strict=True)), abs=0.003)
    assert auc.low < auc.value < auc.high
    (coverage,) = found(database, metric="label_coverage", version="", segment="", window_start=START)
    assert (coverage.value, coverage.size) == (1.0, ROWS - 1)


def test_without_a_reference_drift_says_so(database, config, random):
    write(database, config, "b", rows_of(random, START))
    tick(database, config, START + DAY * 1.5)
    (row,) = found(database, metric="psi", feature="x", version="")
    assert (row.value, row.verdict) == (None, "not_enough_data")
    assert "remora reference build" in row.reason


def test_a_version_takes_its_own_reference_and_the_others_the_models(database, config, random, tmp_path):
    make_reference(database, config, tmp_path, random)
    own = make_reference(database, config, tmp_path, random, version="v2")
    assert own.version == "v2"
    rows = rows_of(random, START, prefix="1") + rows_of(random, START, shift=0.0, version="v2", prefix="2")
    write(database, config, "b", rows)
    tick(database, config, START + DAY * 1.5)
    assert {row.version for row in found(database, metric="psi", feature="x")} == {"", "v1", "v2"}
    (both,) = found(database, metric="psi", feature="x", version="")
    assert both.size == 2 * (ROWS - 1)


def test_all_together_are_compared_with_the_reference_of_the_version_in_service(
    database, config, random, tmp_path
):
    make_reference(database, config, tmp_path, random)
    make_reference(database, config, tmp_path, random, version="v2", shift=3.0)
    write(database, config, "b", rows_of(random, START, shift=3.0, version="v2"))
    write(database, config, "c", rows_of(random, START + DAY, shift=3.0, version="v1"))
    tick(database, config, START + DAY * 2.5)
    verdicts = {
        row.window_start: row.verdict for row in found(database, metric="psi", feature="x", version="")
    }
    assert verdicts == {START: "ok", START + DAY: "alarm"}


def test_two_owners_judge_each_window_once(database, config, random):
    for number in range(10):
        write(database, config, f"b{number}", rows_of(random, START + number * DAY, count=30))
    ready = Barrier(2)

    def work(owner):
        ready.wait(timeout=30)
        return tick(database, config, START + 12 * DAY, owner)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(work, ["a", "b"]))
    assert sum(done) == len(runs(database)) == 11 + 11 + 11
    assert {row.state for row in runs(database)} == {"done"}
    assert {row.epoch for row in runs(database)} == {1}
    counted = found(database, metric="predictions", version="", segment="")
    assert len(counted) == len({row.window_start for row in counted}) == 11


def test_a_killed_owners_window_is_taken_over_and_it_stores_nothing_when_it_wakes(database, config, random):
    write(database, config, "b", rows_of(random, START))
    dead = claim_run(database, RunKey("traffic", "m", START, START + DAY), owner="dead", wall=WALL)
    now = START + DAY + timedelta(minutes=5)
    assert tick(database, config, now) == 1  # drift; traffic is under the dead owner's lease
    assert tick(database, config, now, wall=WALL + LEASE) == 1
    with pytest.raises(LostRunError), database.write() as connection:
        finish_run(connection, dead, wall=WALL)
    (row,) = found(database, metric="predictions", version="", segment="")
    assert row.value == ROWS
    assert [(run.job, run.epoch, run.attempts) for run in runs(database)] == [
        ("drift", 1, 1),
        ("traffic", 2, 2),
    ]


def test_late_labels_and_rows_revise_a_window_once(database, config, random):
    rows = rows_of(random, START)
    labels = labels_of(random, rows)
    write(database, config, "b1", rows, labels[:100])
    now = START + 2 * DAY + timedelta(hours=1)
    tick(database, config, now)
    assert (
        found(database, metric="accuracy", version="", segment="", window_start=START)[0].verdict
        == "labels_not_mature"
    )
    write(database, config, "b2", (), labels[100:])
    now += timedelta(hours=1)
    assert run_due(database, config, now=now, wall=WALL, owner="a") == 1
    assert tick(database, config, now) == 0
    first, second = found(database, metric="accuracy", version="", segment="", window_start=START)
    assert (first.revision, first.latest, second.revision, second.latest) == (0, False, 1, True)
    assert (second.verdict, second.coverage) == ("ok", 1.0)
    late = rows_of(random, START, count=10, prefix="late")
    write(database, config, "b3", late)
    assert tick(database, config, now) == 3  # late rows change every job's numbers
    counted = found(database, metric="predictions", version="", segment="", window_start=START)
    assert [(row.value, row.latest) for row in counted] == [(ROWS, False), (ROWS + 10, True)]
    assert {run.state for run in runs(database)} == {"done"}


def test_what_comes_after_the_time_to_revise_changes_nothing(database, config, random):
    write(database, config, "b", rows_of(random, START))
    tick(database, config, START + 30 * DAY)
    write(database, config, "late", rows_of(random, START, count=10, prefix="late"))
    assert tick(database, config, START + 30 * DAY) == 0


def test_under_the_systems_clock_a_window_rests_between_revisions(database, random):
    config = parse(CONFIG.replace("replay", "system"))
    rows = rows_of(random, START)
    write(database, config, "b", rows)
    now = START + 2 * DAY + timedelta(hours=1)
    tick(database, config, now, wall=now)
    labels = labels_of(random, rows)
    write(database, config, "b2", (), labels[:200])
    soon = now + timedelta(minutes=1)
    assert tick(database, config, soon, wall=soon) == 0
    write(database, config, "b3", (), labels[200:])
    later = now + timedelta(hours=4)
    assert tick(database, config, later, wall=later) == 1
    assert [
        row.revision for row in found(database, metric="accuracy", version="", segment="", window_start=START)
    ] == [
        0,
        1,
    ]


def test_damaged_bytes_cost_one_metric_and_not_the_window(database, config, random, tmp_path):
    make_reference(database, config, tmp_path, random)
    write(database, config, "b", rows_of(random, START))
    with database.write() as connection:
        connection.execute(
            sa.update(summaries).where(summaries.c.column_name == "x").values(data=b"\x01damaged"),
        )
    assert tick(database, config, START + DAY * 1.5) == 2
    (broken,) = found(database, metric="psi", feature="x", version="")
    assert (broken.value, broken.verdict) == (None, "could_not_compute")
    assert "UnreadableSummaryError" in broken.reason
    assert found(database, metric="psi", feature="c", version="")[0].verdict == "ok"


def test_a_window_that_fails_is_tried_again_and_stops_no_other(database, config, random, monkeypatch):
    for number in range(2):
        write(database, config, f"b{number}", rows_of(random, START + number * DAY, count=20))
    right = JUDGES["traffic"]
    failures = iter([True])

    def breaks(*arguments):
        if next(failures, False):
            raise RuntimeError("a secret value")
        return right(*arguments)

    monkeypatch.setitem(JUDGES, "traffic", breaks)
    now = START + 2 * DAY + timedelta(minutes=5)
    tick(database, config, now)
    states = [(run.job, run.state, run.error) for run in runs(database) if run.job == "traffic"]
    assert states == [("traffic", "failed", "RuntimeError"), ("traffic", "done", None)]
    assert tick(database, config, now, wall=WALL + timedelta(seconds=10)) == 1
    assert {run.state for run in runs(database)} == {"done"}


def test_after_an_outage_all_windows_are_caught_up_in_bounded_passes(sqlite_database, random):
    config = parse(CONFIG.replace("size: 1d", "size: 5m"))
    write(sqlite_database, config, "b", rows_of(random, START, count=20))
    now = START + DAY
    passes = []
    while count := run_due(sqlite_database, config, now=now, wall=WALL, owner="a"):
        passes.append(count)
    assert passes == [MOST_PER_PASS, 2 * 287 - MOST_PER_PASS]
    counted = found(sqlite_database, metric="predictions", version="", segment="")
    assert [row.window_start for row in counted] == [START + timedelta(minutes=5) * n for n in range(287)]


def test_one_row_of_long_ago_does_not_make_a_century_of_windows_due(sqlite_database, config, random):
    write(sqlite_database, config, "old", rows_of(random, datetime(1950, 1, 1, tzinfo=UTC), count=1))
    write(sqlite_database, config, "new", rows_of(random, START))
    done = 0
    while more := run_due(sqlite_database, config, now=START + DAY, wall=WALL, owner="a"):
        done += more
    assert done <= 3 * 401


def test_the_replayed_clock_only_goes_forward(database, config):
    assert read_clock(database, config, WALL) is None
    assert move_clock(database, config, START).now == START
    assert move_clock(database, config, START).now == START
    with pytest.raises(ClockError, match="does not go back"):
        move_clock(database, config, START - DAY)
    settle(database, config, START)
    settle(database, config, START - DAY)
    state = clock_state(database, config, WALL)
    assert (state.mode, state.now, state.settled) == ("replay", START, START)
    with pytest.raises(ClockError, match="time zone"):
        move_clock(database, config, datetime(2013, 3, 1))  # noqa: DTZ001
    with pytest.raises(ClockError, match="system"):
        move_clock(database, parse("version: 1"), START)


def failing(monkeypatch, database, config, now, times):
    """Let the judging fail at `times` ticks."""

    def boom(*_):
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "judge", boom)
        for _ in range(times):
            run_due(database, config, now=now, wall=WALL, owner="a")


def late_world(database, config, random):
    now = START + timedelta(days=3)
    write(database, config, "b", rows_of(random, START))
    tick(database, config, now)
    write(database, config, "late", rows_of(random, START, count=9, prefix="late"))
    return now


def newest(database):
    return [
        row.value
        for row in found(
            database, metric="predictions", version="", segment="", latest=True, window_start=START
        )
    ]


def test_a_revision_that_fails_keeps_its_late_rows_for_the_next_attempt(
    database, config, random, monkeypatch
):
    now = late_world(database, config, random)
    failing(monkeypatch, database, config, now, 4)
    assert newest(database) == [ROWS]
    tick(database, config, now)
    assert newest(database) == [ROWS + 9]


def test_a_revision_that_always_fails_is_given_up_and_the_next_late_rows_try_it_again(
    database, config, random, monkeypatch
):
    now = late_world(database, config, random)
    failing(monkeypatch, database, config, now, 5)
    assert tick(database, config, now) == 0
    write(database, config, "later", rows_of(random, START, count=1, prefix="later"))
    tick(database, config, now)
    assert newest(database) == [ROWS + 10]


def test_a_feature_that_is_renamed_and_one_out_of_its_range_are_named(database, config, random, tmp_path):
    config = parse(CONFIG + "    ranges: {x: [-50, 50]}\n")
    make_reference(database, config, tmp_path, random)
    write(database, config, "usual", rows_of(random, START))
    renamed = [
        replace(row, features={"x": 999.0 if number == 5 else row.features["x"], "colour": row.features["c"]})
        for number, row in enumerate(rows_of(random, START + DAY))
    ]
    write(database, config, "renamed", renamed)
    tick(database, config, START + 3 * DAY + timedelta(hours=1))
    usual, changed, empty = found(database, metric="schema_changes", version="", segment="")
    assert (usual.verdict, usual.value) == ("ok", 0.0)
    assert (changed.verdict, changed.value) == ("alarm", 2.0)
    assert changed.details == {"appeared": ["colour"], "disappeared": ["c"]}
    assert empty.verdict == "not_enough_data"
    ranges = found(database, metric="out_of_range_rate", version="")
    assert [(row.feature, row.verdict) for row in ranges] == [
        ("x", "ok"), ("x", "alarm"), ("x", "not_enough_data"),
    ]  # fmt: skip
    assert "999" not in ranges[1].reason


def test_a_window_whose_labels_do_not_come_is_judged_once_more_at_its_age(database, config, random):
    config = parse(CONFIG.replace("label_lateness: 1d", "label_lateness: 1d, mature_after: 10d"))
    rows = rows_of(random, START)
    labels = labels_of(random, rows)[:120]
    write(database, config, "b1", rows, labels)
    ripe = START + 11 * DAY
    tick(database, config, ripe - timedelta(seconds=1))
    (young,) = found(database, metric="accuracy", version="", segment="", window_start=START)
    assert young.verdict == "labels_not_mature"
    # It, and the performance of the day that is due at this instant.
    assert tick(database, config, ripe) == 1 + 1
    first, second = found(database, metric="accuracy", version="", segment="", window_start=START)
    assert (first.latest, second.latest, second.revision, second.verdict) == (False, True, 1, "ok")
    assert second.coverage == pytest.approx(119 / (ROWS - 1))  # the first row was an error
    assert second.details["mature_by"] == "age"
    assert tick(database, config, ripe) == 0


def test_a_corrected_label_opens_its_window_again(database, config, random):
    rows = rows_of(random, START)
    labels = labels_of(random, rows)
    write(database, config, "b1", rows, labels)
    now = START + 3 * DAY
    tick(database, config, now)
    corrected = [
        Label(model="m", id=label.id, label=not label.label, timestamp=label.timestamp + timedelta(hours=1))
        for label in labels[1:31]
    ]
    write(database, config, "b2", (), corrected)
    assert tick(database, config, now) == 1
    first, second = found(database, metric="accuracy", version="", segment="", window_start=START)
    right = {row.id: row.prediction == label.label for row, label in zip(rows, labels, strict=True)}
    turned = sum(1 if not right[label.id] else -1 for label in corrected)
    assert (first.latest, second.latest, second.size) == (False, True, first.size)
    assert (second.value - first.value) * first.size == pytest.approx(turned)


def test_a_regressions_error_is_estimated_before_the_labels_come(database, random, tmp_path):
    config = parse(CONFIG.replace("  m:\n", "  m:\n    kind: regression\n"))
    x = random.normal(size=6000)
    frame = pd.DataFrame({"x": x, "prediction": 10 + x})
    frame["label"] = frame["prediction"] + random.normal(0, np.exp(x / 2))
    path = tmp_path / "reference.csv"
    frame.to_csv(path, index=False)
    build(database, config, model="m", version="", path=path, now=WALL)
    rows = [
        replace(row, prediction=10 + row.features["x"], scores=None, features={"x": row.features["x"]})
        for row in rows_of(random, START, shift=0.7)
    ]
    write(database, config, "b", rows)
    labels = [
        Label(
            model="m", id=row.id, label=row.prediction + random.normal(0, np.exp(row.features["x"] / 2)),
            timestamp=row.timestamp + timedelta(hours=1),
        )
        for row in rows
    ]  # fmt: skip
    write(database, config, "l", (), labels)
    tick(database, config, START + 3 * DAY)
    estimated, real = (
        found(database, metric=metric, version="", segment="", window_start=START)[0]
        for metric in ("estimated_mae", "mae")
    )
    assert estimated.low <= real.value <= estimated.high
    assert estimated.value > estimated.reference_value * 1.2
    assert "features as they did in the reference" in estimated.reason


def test_features_that_no_longer_go_together_are_found_from_rows(database, random, tmp_path):
    both = "    drift: {methods: [psi], multivariate: [domain_auc, reconstruction_error]}\n"
    config = parse(CONFIG + both)
    x = random.normal(size=6000)
    frame = pd.DataFrame(
        {"x": x, "y": x + random.normal(0, 0.5, 6000), "c": random.choice(["a", "b", "c"], 6000)}
    )
    path = tmp_path / "reference.csv"
    frame.to_csv(path, index=False)
    build(database, config, model="m", version="", path=path, now=WALL)
    for day, sign in enumerate((1, -1)):
        rows = [
            replace(
                row, features={**row.features, "y": sign * row.features["x"] + float(random.normal(0, 0.5))}
            )
            for row in rows_of(random, START + day * DAY)
        ]
        write(database, config, f"b{day}", rows)
    tick(database, config, START + 3 * DAY + timedelta(hours=1))
    assert [row.verdict for row in found(database, metric="psi", feature="y", version="")] == [
        "ok", "ok", "not_enough_data",
    ]  # fmt: skip
    for metric in ("domain_auc", "reconstruction_error"):
        found_of_it = found(database, metric=metric)
        assert [(row.version, row.segment) for row in found_of_it] == [("", "")] * 3
        assert [row.verdict for row in found_of_it] == ["ok", "alarm", "not_enough_data"]
        assert found_of_it[0].size == ROWS - 1  # one was answered with an error
    named = found(database, metric="domain_auc")[1].details["features"]
    assert {one["feature"] for one in named[:2]} == {"x", "y"}


def test_rows_are_drawn_from_the_whole_window_and_no_more_than_so_many(database, config, random):
    rows = rows_of(random, START, count=5000)
    write(database, config, "b", rows)
    with database.read() as connection:
        drawn = window_rows(connection, "m", Window(START, START + DAY))
    assert len(drawn) == MOST_ROWS
    hours = {row.features["x"]: row.timestamp.hour for row in rows}
    assert len({hours[row["x"]] for row in drawn}) >= 20


def test_a_day_that_falls_silent_is_told_from_a_quiet_weekday(database, random):
    config = parse(CONFIG.replace("label_lateness: 1d", "label_lateness: 1d, stale_after: 12h"))
    sunday = START + 2 * DAY
    for week in range(4):
        day = sunday + 7 * week * DAY
        write(database, config, f"s{week}", rows_of(random, day, count=100 if week < 3 else 20))
        write(database, config, f"m{week}", rows_of(random, day + DAY, count=300))
    tick(database, config, sunday + 23 * DAY + timedelta(hours=1))
    judged = {row.window_start: row for row in found(database, metric="volume_change")}
    assert judged[sunday].verdict == "not_enough_data"
    assert judged[sunday + 14 * DAY].verdict == "ok"
    assert (judged[sunday + 21 * DAY].verdict, judged[sunday + 21 * DAY].value) == ("alarm", 0.2)
    assert judged[sunday + 22 * DAY].verdict == "ok"
    stale = {row.window_start: row for row in found(database, metric="staleness")}
    assert stale[sunday + DAY].verdict == "ok"
    assert (stale[sunday + 2 * DAY].verdict, round(stale[sunday + 2 * DAY].value)) == ("alarm", 24)


def test_rows_that_come_twice_are_found_where_that_is_asked_for(database, random, tmp_path):
    config = parse(CONFIG + "    drift: {multivariate: [duplicate_rate]}\n")
    make_reference(database, config, tmp_path, random)
    rows = rows_of(random, START)
    again = [replace(row, id=f"again{row.id}") for row in rows[:150]]
    write(database, config, "b", [*rows, *again])
    tick(database, config, START + DAY + timedelta(hours=1))
    (result,) = found(database, metric="duplicate_rate")
    assert (result.verdict, result.size) == ("alarm", ROWS + 150 - 2)
    assert result.value == pytest.approx(149 / (ROWS + 148))


def test_people_ask_when_a_metric_changed(sqlite_database, sqlite_url, capsys):
    key = {
        "model": "m",
        "version": "",
        "segment": "",
        "metric": "auc",
        "feature": "",
        "verdict": "ok",
        "reason": "",
    }
    noise = np.random.default_rng(7).normal(0, 0.01, 70)
    rows = [
        {
            **key, "window_start": START + day * DAY, "window_end": START + (day + 1) * DAY, "size": 100, "revision": 0,
            "latest": True, "computed_at": WALL, "details": {}, "value": (0.8 if day < 40 else 0.6) + noise[day],
        }
        for day in range(70)
    ]  # fmt: skip
    with sqlite_database.write() as connection:
        connection.execute(sa.insert(findings), rows)

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["changes", "--database", sqlite_url, "--model", "m", *words])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    code, said = run("--metric", "auc")
    assert code == 0
    assert "2013-04-10 00:00" in said.splitlines()[1]
    assert said.splitlines()[1].split()[2:4] == ["0.796", "0.600"]
    code, said = run("--metric", "auc", "--json")
    assert [one["at"][:10] for one in json.loads(said)] == ["2013-04-10"]
    code, said = run("--metric", "auc", "--to", "2013-04-10")
    assert (code, "40 windows have a value of auc, 56 are needed" in said) == (2, True)
    for words, expected in (
        (("--metric", "acu"), "no metric acu"),
        (("--metric", "psi"), "give --feature"),
        (("--metric", "auc", "--feature", "x"), "not found per feature"),
        (("--metric", "mae"), "0 windows have a value of mae, 8 are needed"),
    ):
        code, said = run(*words)
        assert (code, expected in said) == (2, True), said


def test_a_moved_score_and_lost_performance_name_the_feature_and_the_segment(
    database, config, random, tmp_path
):
    count = 6000
    frame = pd.DataFrame({"x": random.normal(size=count), "y": random.normal(size=count)})
    frame["score"] = 1 / (1 + np.exp(-2 * frame["x"] - 0.2 * frame["y"]))
    frame["prediction"] = frame["score"] > 0.5
    frame["label"] = random.random(count) < frame["score"]
    path = tmp_path / "reference.csv"
    frame.to_csv(path, index=False)
    build(database, config, model="m", version="", path=path, now=WALL)
    x, y = random.normal(1.5, 1, ROWS), random.normal(1.5, 1, ROWS)
    scores = 1 / (1 + np.exp(-2 * x - 0.2 * y))
    rows = [
        replace(row, features={"x": float(x[at]), "y": float(y[at])}, scores=float(scores[at]), status=200,
                prediction=bool(scores[at] > 0.5))
        for at, row in enumerate(rows_of(random, START))
    ]  # fmt: skip
    labels = [  # in the north the model is right, in the south it guesses
        Label(model="m", id=row.id, timestamp=row.timestamp + DAY,
              label=row.prediction if row.tags["site"] == "north" else bool(random.random() < 0.5))
        for row in rows
    ]  # fmt: skip
    write(database, config, "b", rows, labels)
    tick(database, config, START + 3 * DAY)
    named = {"psi": "$score", "estimated_auc": "", "accuracy": ""}
    for metric, feature in named.items():
        (row,) = found(database, metric=metric, feature=feature, version="v1", window_start=START, segment="")
        first, *others = row.details["causes"]
        assert (first["feature"], first["share"] > 0.7, len(others) <= 1) == ("x", True, True), metric
    (whole,) = found(database, metric="accuracy", version="", window_start=START, segment="")
    assert [one["segment"] for one in whole.details["segments"]] == ["site=south"]
    assert whole.details["segments"][0]["share"] == 1.0
    (covered,) = found(database, metric="label_coverage", version="", window_start=START, segment="")
    (of_x,) = found(database, metric="psi", feature="x", version="", window_start=START, segment="")
    assert not {"causes", "segments"} & {*covered.details, *of_x.details}


def test_what_moves_in_every_window_is_no_cause(sqlite_database, config, random, tmp_path):
    """The weekday tells of the score, and a day has only one."""
    count, days = 14_000, 28
    day = np.arange(count) % days
    frame = pd.DataFrame({"x": random.normal(size=count), "weekday": [f"d{number % 7}" for number in day]})
    frame["score"] = 1 / (1 + np.exp(-frame["x"] - (day % 7 == 5)))
    frame["timestamp"] = [f"2013-02-{1 + number:02d}T10:00:00Z" for number in day]
    frame["prediction"] = frame["score"] > 0.5
    path = tmp_path / "reference.csv"
    frame.to_csv(path, index=False)
    build(sqlite_database, config, model="m", version="", path=path, now=WALL)
    for number, shift in enumerate((0.0, 2.0)):
        x = random.normal(shift, 1, ROWS)
        rows = [
            replace(row, features={"x": float(x[at]), "weekday": f"d{number}"}, scores=float(1 / (1 + np.exp(-x[at]))))
            for at, row in enumerate(rows_of(random, START + number * DAY))
        ]  # fmt: skip
        write(sqlite_database, config, f"b{number}", rows)
    tick(sqlite_database, config, START + 2.5 * DAY)
    of_weekday = found(sqlite_database, metric="psi", feature="weekday", version="")[:2]
    assert min(row.effect for row in of_weekday) > 1
    of_score = found(sqlite_database, metric="psi", feature="$score", version="")[:2]
    named = [[one["feature"] for one in row.details.get("causes", ())] for row in of_score]
    assert named == [[], ["x"]]


def test_a_reference_that_was_built_before_influence_was_known_names_no_cause(
    sqlite_database, config, random, tmp_path
):
    make_reference(sqlite_database, config, tmp_path, random)
    with sqlite_database.write() as connection:
        connection.execute(sa.update(reference_columns).values(calibration={}))
    write(sqlite_database, config, "b", rows_of(random, START, shift=2.0))
    tick(sqlite_database, config, START + DAY * 1.5)
    rows = found(sqlite_database, window_start=START)
    assert rows
    assert not [row for row in rows if "causes" in row.details]
