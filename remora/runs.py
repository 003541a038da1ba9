"""Who judges which window: a row per (job, model, window), a lease, and a fencing epoch.

A run is claimed by inserting its row, or by taking over one whose lease has run out; each claim raises the epoch.
What was found is stored in one transaction with `finish_run`, which refuses an epoch that is no longer the
row's: an owner that was thought dead and wakes up again cannot store anything. So each window counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from remora.database import Database, insert_new
from remora.errors import RemoraError
from remora.tables import job_runs

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

__all__ = [
    "GIVEN_UP_AFTER", "LEASE", "LostRunError", "Run", "RunKey", "claim_run", "fail_revision", "fail_run", "finish_run",
    "lease_of", "revise_run",
]  # fmt: skip

LEASE = timedelta(seconds=30)
_LONGEST_LEASE = timedelta(minutes=30)
GIVEN_UP_AFTER = 5
"""Attempts after which nothing waits for a window any more (about half a minute of pauses); it is still tried again."""

_LONGEST_PAUSE = timedelta(minutes=5)


class LostRunError(RemoraError):
    """Somebody else has claimed this run since: nothing of the transaction may be committed."""


@dataclass(frozen=True)
class RunKey:
    """A job's turn at one window of one model; `start` and `end` are aware UTC, the end is not in it."""

    job: str
    model: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Run:
    """A claimed run. `revision` counts the recomputations before it, `watermark` is what was read then."""

    key: RunKey
    owner: str
    epoch: int
    attempts: int
    revision: int = 0
    watermark: int = 0


def lease_of(attempts: int) -> timedelta:
    """How long a claim holds: 30 s, and twice as long each time, at most half an hour.

    A window that takes longer than its lease is taken over before it is done, so the next owner must get more time,
    or several would take it from each other for ever.
    """
    return min(LEASE * (1 << min(attempts - 1, 10)), _LONGEST_LEASE)


def claim_run(database: Database, key: RunKey, *, owner: str, wall: datetime) -> Run | None:
    """Claim a run until `wall + lease_of(attempts)` (wall clock), in a transaction of its own.

    None where it is done, or where somebody else's lease still holds.
    """
    with database.write() as connection:
        row = {
            **_columns(key), "state": "running", "owner": owner, "lease_until": wall + LEASE, "epoch": 1,
            "attempts": 1, "revision": 0, "watermark": 0, "finished_at": None, "error": None,
        }  # fmt: skip
        if insert_new(connection, job_runs, [row], ["job", "model", "window_start"]):
            return Run(key, owner, epoch=1, attempts=1)
        attempts = connection.execute(sa.select(job_runs.c.attempts).where(_is(key))).scalar_one()
        taken = connection.execute(
            sa.update(job_runs)
            .where(_is(key), job_runs.c.state.in_(("running", "failed")), job_runs.c.lease_until <= wall)
            .where(job_runs.c.attempts == attempts)
            .values(
                state="running",
                owner=owner,
                lease_until=wall + lease_of(attempts + 1),
                epoch=job_runs.c.epoch + 1,
                attempts=job_runs.c.attempts + 1,
                window_end=key.end,
            )
            .returning(job_runs.c.epoch, job_runs.c.attempts, job_runs.c.revision, job_runs.c.watermark),
        ).first()
    return None if taken is None else Run(key, owner, *taken)


def finish_run(connection: sa.Connection, run: Run, *, wall: datetime, watermark: int = 0) -> None:
    """Mark a claimed run as done, in the transaction that stores its results.

    Raises `LostRunError` when the run was taken over: let it pass through, so that the transaction rolls back.
    """
    _change(
        connection, run, "running", state="done", finished_at=wall, watermark=watermark, error=None,
    )  # fmt: skip


def revise_run(connection: sa.Connection, run: Run, *, wall: datetime, watermark: int) -> None:
    """Count one revision of a run that is done, in the transaction that stores the new results.

    No lease is needed: of several that compute the same revision, the first to commit wins, and the others get
    `LostRunError`. The run stays done all the time.
    """
    _change(
        connection, run, "done", epoch=run.epoch + 1, revision=run.revision + 1, finished_at=wall,
        watermark=watermark, error=None,
    )  # fmt: skip


def fail_revision(database: Database, run: Run, *, error: str) -> int:
    """Note that revising a run that is done failed; how many times it did since it was last stored."""
    failures = sa.case((job_runs.c.error.is_(None), 1), else_=job_runs.c.attempts + 1)
    with database.write() as connection:
        noted = connection.execute(
            sa.update(job_runs)
            .where(_is(run.key), job_runs.c.epoch == run.epoch, job_runs.c.state == "done")
            .values(error=error, attempts=failures)
            .returning(job_runs.c.attempts)
        ).scalar()
    return noted or 0


def fail_run(database: Database, run: Run, *, wall: datetime, error: str) -> None:
    """Note that a claimed run failed; it can be claimed again after a pause that doubles up to five minutes.

    Does nothing when somebody else has claimed it since.
    """
    pause = min(timedelta(seconds=2 ** min(run.attempts, 10)), _LONGEST_PAUSE)
    with database.write() as connection:
        connection.execute(
            sa.update(job_runs)
            .where(_is(run.key), job_runs.c.epoch == run.epoch, job_runs.c.state == "running")
            .values(state="failed", error=error, lease_until=wall + pause),
        )


def _change(connection: sa.Connection, run: Run, before: str, **values: object) -> None:
    changed = connection.execute(
        sa.update(job_runs)
        .where(_is(run.key), job_runs.c.epoch == run.epoch, job_runs.c.state == before)
        .values(**values),
    )
    if changed.rowcount != 1:
        raise LostRunError(
            f"{run.key.job} of {run.key.model} at {run.key.start:%Y-%m-%d %H:%M}: claimed by another"
        )


def _columns(key: RunKey) -> dict[str, object]:
    return {"job": key.job, "model": key.model, "window_start": key.start, "window_end": key.end}


def _is(key: RunKey) -> ColumnElement[bool]:
    return sa.and_(
        job_runs.c.job == key.job, job_runs.c.model == key.model, job_runs.c.window_start == key.start,
    )  # fmt: skip
