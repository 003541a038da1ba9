"""What the scheduler ticks: rules over finished windows and the timers of incidents, in the order of time; then messages."""

from __future__ import annotations

from datetime import datetime

from alerts import metrics, pipeline, queries, timers
from alerts.queries import Window
from alerts.turn import Turn
from remora.catalogue import JOBS
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["run_due"]

log = get_logger("alerts")


def run_due(database: Database, config: Config, *, now: datetime, wall: datetime, owner: str) -> int:
    """Do everything that is due at `now` (business time), each thing in a transaction of its own; how many things.

    Windows are evaluated at the instant at which they were due, oldest first, and what incidents had to do before that
    instant is done before: replaying a year gives what living it would have given. `wall` is the real time.
    """
    done = 0
    for window in _due(database, config, now):
        done += _advance(database, config, horizon=window.ts, inclusive=False, now=now, wall=wall)
        if not _evaluate(database, config, window, owner, wall):
            return done  # the windows after it must not overtake it
        done += 1
    done += _advance(database, config, horizon=now, inclusive=True, now=now, wall=wall)
    done += _notify(database, config, now, wall)
    _gauge(database)
    return done


def _due(database: Database, config: Config, now: datetime) -> list[Window]:
    with database.read() as connection:
        windows = [window for job in JOBS for window in queries.due_windows(connection, config, job, now)]
    return sorted(windows, key=lambda window: (window.ts, JOBS.index(window.job), window.model))


def _evaluate(database: Database, config: Config, window: Window, owner: str, wall: datetime) -> bool:
    """Evaluate one window; False where it failed and is to be tried again."""
    try:
        with database.write() as connection:
            queries.lock_alerts(connection)
            if queries.begin_run(connection, window, owner, wall):
                pipeline.evaluate_window(Turn(connection, config, window.ts, wall), window)
    except UnavailableError:
        raise
    except Exception as error:  # the edge of the job: one bad window must not stop all others for ever
        metrics.EVALUATION_FAILURES.labels(window.job).inc()
        log.exception("evaluation_failed", job=window.job, model=window.model, window=str(window.start))
        with database.write() as connection:
            queries.fail_run(connection, window, owner, wall, f"{type(error).__name__}: {error}")
        return False
    return True


def _advance(
    database: Database, config: Config, *, horizon: datetime, inclusive: bool, now: datetime, wall: datetime,
) -> int:  # fmt: skip
    done = 0
    while _next_timer(database, config, horizon, now, inclusive=inclusive):
        with database.write() as connection:
            queries.lock_alerts(connection)
            timer = timers.first_timer(connection, config, now)  # again: another process may have been faster
            if timer is None or not timers.is_due(timer, horizon, inclusive=inclusive):
                return done
            timers.let_happen(connection, config, timer, wall)
        done += 1
    return done


def _next_timer(
    database: Database, config: Config, horizon: datetime, now: datetime, *, inclusive: bool
) -> bool:
    with database.read() as connection:
        return timers.is_due(timers.first_timer(connection, config, now), horizon, inclusive=inclusive)


def _notify(database: Database, config: Config, now: datetime, wall: datetime) -> int:
    with database.read() as connection:
        if not pipeline.wants_notifying(connection, config, now):
            return 0
    with database.write() as connection:
        queries.lock_alerts(connection)
        return pipeline.notify(connection, config, now=now, wall=wall)


def _gauge(database: Database) -> None:
    with database.read() as connection:
        rows = queries.notifiable(connection, ())
    metrics.ALERTS_FIRING.clear()
    for row in rows:
        metrics.ALERTS_FIRING.labels(row.labels["alertname"], row.model, row.severity).inc()
