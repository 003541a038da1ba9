"""Claims, leases and fencing, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from remora.runs import (
    LEASE,
    LostRunError,
    Run,
    RunKey,
    claim_run,
    fail_run,
    finish_run,
    lease_of,
    revise_run,
)
from remora.tables import job_runs, models

DAY = datetime(2013, 3, 1, tzinfo=UTC)
WALL = datetime(2026, 1, 1, tzinfo=UTC)
KEY = RunKey("drift", "m", DAY, DAY + timedelta(days=1))


def claim(database, owner="a", wall=WALL, key=KEY):
    return claim_run(database, key, owner=owner, wall=wall)


def row(database):
    with database.read() as connection:
        return connection.execute(sa.select(job_runs)).one()


def finish(database, run, **kw):
    with database.write() as connection:
        finish_run(connection, run, wall=WALL, **kw)


def test_first_claim_wins_and_the_second_owner_gets_nothing(database):
    assert claim(database, "a") == Run(KEY, "a", epoch=1, attempts=1)
    assert claim(database, "b") is None
    assert row(database).owner == "a"
    assert row(database).lease_until == WALL + LEASE


def test_a_done_run_is_never_claimed_again(database):
    finish(database, claim(database), watermark=17)
    assert (row(database).state, row(database).watermark, row(database).finished_at) == ("done", 17, WALL)
    assert claim(database, "b", WALL + timedelta(days=400)) is None


def test_an_expired_lease_is_taken_over_with_the_next_epoch(database):
    claim(database, "a")
    assert claim(database, "b", WALL + LEASE - timedelta(seconds=1)) is None
    taken = claim(database, "b", WALL + LEASE)
    assert (taken.owner, taken.epoch, taken.attempts) == ("b", 2, 2)


def test_an_owner_that_was_fenced_off_stores_nothing(database):
    old = claim(database, "a")
    new = claim(database, "b", WALL + LEASE)

    def store():
        with database.write() as connection:
            connection.execute(sa.insert(models).values(name="from a", first_seen=DAY, last_seen=DAY))
            finish_run(connection, old, wall=WALL)

    with pytest.raises(LostRunError, match="drift of m"):
        store()
    with database.read() as connection:
        assert connection.execute(sa.select(models)).all() == []
    finish(database, new)
    with pytest.raises(LostRunError):
        finish(database, new)  # done already: storing twice is refused, too


def test_a_failed_run_waits_longer_each_time(database):
    fail_run(database, claim(database), wall=WALL, error="the disk is full")
    assert (row(database).state, row(database).error) == ("failed", "the disk is full")
    assert claim(database, "b", WALL + timedelta(seconds=1)) is None
    second = claim(database, "b", WALL + timedelta(seconds=2))
    fail_run(database, second, wall=WALL, error="again")
    assert row(database).lease_until == WALL + timedelta(seconds=4)
    fail_run(database, replace(second, attempts=1), wall=WALL, error="late")
    assert row(database).error == "again"  # not running any more: the late word is not heard


def test_the_pause_is_bounded(database):
    run = claim(database)
    fail_run(database, replace(run, attempts=1000), wall=WALL, error="x")
    assert row(database).lease_until == WALL + timedelta(minutes=5)


def test_a_revision_counts_once_however_many_compute_it(database):
    finish(database, claim(database), watermark=5)
    run = Run(KEY, "a", epoch=1, attempts=1, revision=0, watermark=5)
    with database.write() as connection:
        revise_run(connection, run, wall=WALL, watermark=9)
    with pytest.raises(LostRunError), database.write() as connection:
        revise_run(connection, run, wall=WALL, watermark=9)
    assert (row(database).revision, row(database).epoch, row(database).watermark) == (1, 2, 9)
    assert row(database).state == "done"


def test_of_eight_that_claim_at_once_one_wins(database):
    ready = Barrier(8)

    def compete(number):
        ready.wait(timeout=30)
        return claim(database, f"owner {number}")

    with ThreadPoolExecutor(8) as pool:
        won = [run for run in pool.map(compete, range(8)) if run]
    assert len(won) == 1
    assert row(database).owner == won[0].owner


def test_of_eight_that_take_over_at_once_one_wins(database):
    claim(database, "dead")
    ready = Barrier(8)

    def compete(number):
        ready.wait(timeout=30)
        return claim(database, f"owner {number}", WALL + timedelta(minutes=1))

    with ThreadPoolExecutor(8) as pool:
        won = [run for run in pool.map(compete, range(8)) if run]
    assert [run.epoch for run in won] == [2]


def test_two_owners_of_a_window_that_takes_longer_than_a_lease_come_to_an_end(database):
    needs, busy, lost = timedelta(seconds=40), {}, 0
    for second in range(0, 600, 5):
        wall = WALL + timedelta(seconds=second)
        for owner in ("a", "b"):
            began, run = busy.get(owner, (wall, None))
            if run is None:
                busy[owner] = wall, claim(database, owner, wall)
            elif wall - began >= needs:
                busy[owner] = wall, None
                try:
                    finish(database, run)
                except LostRunError:
                    lost += 1
    assert row(database).state == "done"
    assert (lost, row(database).attempts) == (1, 2)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 30), (2, 60), (3, 120), (6, 960), (7, 1800), (10**6, 1800)]
)
def test_a_lease_doubles_with_each_attempt_up_to_half_an_hour(attempts, seconds):
    assert lease_of(attempts) == timedelta(seconds=seconds)
