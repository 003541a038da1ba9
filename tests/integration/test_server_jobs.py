"""The server's round over detectors and alerts together: after a downtime, after failures, and when it is to end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

import alerts.jobs
import detectors.jobs
from collector.store import Store, shapes_of
from detectors.clock import clock_state, move_clock
from remora.cli.jobs import Jobs
from remora.config import parse
from remora.records import Batch, Prediction
from remora.runs import RunKey, claim_run
from remora.settings import ServerSettings, parse_address
from remora.tables import actions, deliveries, incident_events, job_runs

SIZE = timedelta(minutes=5)
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """
version: 1
schedule: {clock: replay}
models:
  m:
    windows: {size: 5m, lateness: 0s, label_lateness: 0s}
receivers:
  ops: {kind: webhook, url: "http://127.0.0.1:9/"}
  ci: {kind: webhook, url: "http://127.0.0.1:9/"}
routes:
- {receivers: [ops], group_wait: 0s}
plans:
- {name: retrain, stable_for: 30m, steps: [{wait: 2h}, {action: ci}]}
groups:
- name: g
  rules:
  - {alert: Errors, metric: error_rate, condition: "> 0.5", plan: retrain}
"""


@pytest.fixture
def config():
    return parse(CONFIG)


@pytest.fixture
def jobs(database, config, tmp_path):
    settings = ServerSettings(
        listen=parse_address("127.0.0.1:0", "--listen"), database="", spool=tmp_path, spool_bytes=1 << 20,
        config=None, reports=tmp_path / "reports", token=None, external_url=None,
    )  # fmt: skip
    made = Jobs(database, config, settings)
    yield made
    made.sender.close()
    made.reports.close()


def fill(database, config, count, bad=()):
    """Five answers in each of `count` windows; all of them errors in the `bad` ones."""
    rows = [
        Prediction(
            model="m", id=f"{window}-{number}", timestamp=START + window * SIZE + timedelta(seconds=number),
            status=500 if window in bad else 200, latency_ms=1.0, prediction=True,
        )
        for window in range(count) for number in range(5)
    ]  # fmt: skip
    Store(database, shapes_of(config)).write(Batch(id="b", source="test", predictions=rows), START)
    move_clock(database, config, START + count * SIZE)


def read(database, *columns):
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns))]


def test_an_incident_that_ended_in_a_downtime_starts_nothing_and_pages_nobody(
    jobs, database, config, monkeypatch
):
    monkeypatch.setattr(detectors.jobs, "MOST_PER_PASS", 24)
    fill(database, config, 40, bad=range(5, 8))  # over within the second pass; the action would be due later
    jobs.tick()
    assert read(database, incident_events.c.kind)[-1] == ("resolved",)
    assert read(database, actions.c.id) == []
    assert read(database, deliveries.c.kind) == []


def test_a_busy_job_holds_the_others_where_its_list_was_cut(jobs, database, config, monkeypatch):
    monkeypatch.setattr(alerts.jobs.queries, "MOST_WINDOWS", 3)
    fill(database, config, 10, bad=range(4, 20))
    jobs.tick()
    rules = read(database, job_runs.c.job, job_runs.c.window_start)
    assert sum(job.startswith("rules.") for job, _ in rules) == 30
    assert clock_state(database, config, START).settled == START + 10 * SIZE


def fails_at(real, fails):
    """A stand-in for a step of the round that fails as long as `fails(its arguments)`."""

    def step(*arguments, **named):
        if fails(*arguments):
            raise RuntimeError("boom")
        return real(*arguments, **named)

    return step


def lapse(database):
    """As if the pauses and leases of all runs were over."""
    with database.write() as connection:
        connection.execute(sa.update(job_runs).values(lease_until=START))


def evaluated(database):
    query = sa.select(job_runs.c.window_start).where(job_runs.c.job == "rules.traffic")
    with database.read() as connection:
        return [start for (start,) in connection.execute(query.order_by(job_runs.c.window_start))]


def test_rules_wait_for_an_earlier_window_and_settled_is_said_when_it_is_done(
    jobs, database, config, monkeypatch
):
    fill(database, config, 3, bad=range(3))
    real = detectors.jobs.judge
    second = START + SIZE
    monkeypatch.setattr(detectors.jobs, "judge", fails_at(real, lambda _d, _c, key, *_: key.start == second))
    jobs.tick()
    assert evaluated(database) == [START]
    assert clock_state(database, config, START).settled is None
    assert read(database, deliveries.c.id) == []
    monkeypatch.undo()
    lapse(database)
    jobs.tick()
    assert evaluated(database) == [START, second, second + SIZE]
    assert clock_state(database, config, START).settled == START + 3 * SIZE
    assert len(read(database, deliveries.c.id)) == 1


def test_a_window_that_fails_five_times_holds_nothing_up_any_more(jobs, database, config, monkeypatch):
    fill(database, config, 3, bad=range(3))
    real = detectors.jobs.judge
    monkeypatch.setattr(detectors.jobs, "judge", fails_at(real, lambda _d, _c, key, *_: key.start == START))
    attempts = sa.select(sa.func.max(job_runs.c.attempts)).where(job_runs.c.job == "traffic")
    made = 0
    while made < 4:  # a slow round may try again within itself
        jobs.tick()
        lapse(database)
        with database.read() as connection:
            made = connection.execute(attempts).scalar_one()
    assert evaluated(database) == []
    jobs.tick()
    assert evaluated(database) == [START + SIZE, START + 2 * SIZE]
    assert clock_state(database, config, START).settled == START + 3 * SIZE


def test_a_window_under_anothers_lease_and_rules_that_fail_are_not_settled(
    jobs, database, config, monkeypatch
):
    fill(database, config, 2)
    key = RunKey("drift", "m", START, START + SIZE)
    claim_run(database, key, owner="another", wall=datetime.now(UTC))
    jobs.tick()
    assert clock_state(database, config, START).settled is None
    lapse(database)
    monkeypatch.setattr(
        alerts.jobs.pipeline, "evaluate_window",
        fails_at(alerts.jobs.pipeline.evaluate_window, lambda _turn, window: window.job == "drift"),
    )  # fmt: skip
    jobs.tick()
    assert clock_state(database, config, START).settled is None
    monkeypatch.undo()
    jobs.tick()
    assert clock_state(database, config, START).settled == START + 2 * SIZE


def test_a_stop_during_a_long_catch_up_ends_after_the_window_at_hand(jobs, database, config, monkeypatch):
    fill(database, config, 20)
    real, seen = detectors.jobs.judge, []

    def judge(*arguments):
        seen.append(arguments)
        if len(seen) == 7:
            jobs.scheduler.start(paused=True)
            jobs.stop()  # what the signal does, in the middle of a window
        return real(*arguments)

    monkeypatch.setattr(detectors.jobs, "judge", judge)
    jobs.tick()
    assert len(seen) == 7
    assert {state for (state,) in read(database, job_runs.c.state)} == {"done"}
    assert clock_state(database, config, START).settled is None


def test_the_rules_stop_between_windows_too(database, config):
    fill(database, config, 5)
    now = START + 5 * SIZE
    detectors.jobs.run_due(database, config, now=now, wall=now, owner="a")
    answers = iter([False, False, True])
    stopped = alerts.jobs.evaluate(database, config, now=now, wall=now, owner="a", stop=lambda: next(answers))
    assert stopped == 2


def test_every_pass_reads_the_real_time_again(jobs, database, config, monkeypatch):
    monkeypatch.setattr(detectors.jobs, "MOST_PER_PASS", 6)
    fill(database, config, 10)
    walls, real = [], detectors.jobs.run_due

    def run_due(*arguments, wall, **named):
        walls.append(wall)
        return real(*arguments, wall=wall, **named)

    monkeypatch.setattr(detectors.jobs, "run_due", run_due)
    jobs.tick()
    assert len(walls) == len(set(walls)) == 6
