"""What the scheduler ticks: rules over finished windows and the timers of incidents, in the order of time; then messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from alerts import metrics, pipeline, queries, relay, timers
from alerts.queries import Window
from alerts.turn import Turn
from remora.catalogue import JOBS
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["evaluate", "finish", "is_behind", "run_due"]

log = get_logger("alerts")


@dataclass(frozen=True)
class _Round:
    """One call of the scheduler: `now` is business time, `wall` the real one."""

    database: Database
    config: Config
    now: datetime
    wall: datetime
    broken: set[str] = field(
        default_factory=set
    )  # incidents and actions whose timer failed: not again in this round


def _go_on() -> bool:
    return False


def run_due(database: Database, config: Config, *, now: datetime, wall: datetime, owner: str) -> int:
    """Do everything that is due at `now` (business time), each thing in a transaction of its own; how many things.

    Right where the detectors are done with everything that is due at `now`; while they are catching up, call
    `evaluate` after each of their passes and `finish` once at the end.
    """
    done = evaluate(database, config, now=now, wall=wall, owner=owner)
    if is_behind(database, config, now):
        return done
    return done + finish(database, config, now=now, wall=wall)


def evaluate(
    database: Database, config: Config, *, now: datetime, wall: datetime, owner: str,
    stop: Callable[[], bool] = _go_on,
) -> int:  # fmt: skip
    """Evaluate the rules of every finished window; how many things were done.

    Windows are evaluated at the instant at which they were due, oldest first, and what incidents had to do before that
    instant is done before: replaying a year gives what living it would have given. Nothing happens that belongs after
    the last finished window: a window that is not judged yet may show that it is over. `stop` is asked before each
    window: once it says so, nothing new is begun.
    """
    turn, done = _Round(database, config, now, wall), 0
    while windows := _due(database, config, now):
        for window in windows:
            if stop():
                return done
            done += _advance(turn, window.ts, inclusive=False)
            if not _evaluate(turn, window, owner):
                return done  # the windows after it must not overtake it
            done += 1
    return done


def is_behind(database: Database, config: Config, now: datetime) -> bool:
    """Whether a finished window waits for its rules; one that was given up does not."""
    return bool(_due(database, config, now))


def finish(database: Database, config: Config, *, now: datetime, wall: datetime) -> int:
    """Let the timers of incidents run up to `now`, then tell the receivers; how many things were done.

    Only when every window that is due at `now` is judged and evaluated: else a step is taken, or a page sent, for
    something that a later window shows to be over.
    """
    turn = _Round(database, config, now, wall)
    done = _advance(turn, now, inclusive=True)
    done += _notify(turn)
    done += _relay(turn)
    _gauge(database)
    return done


def _due(database: Database, config: Config, now: datetime) -> list[Window]:
    """The oldest windows that are to be evaluated; not all where there are many, so ask again."""
    with database.read() as connection:
        found = {job: queries.due_windows(connection, config, job, now) for job in JOBS}
    windows = [window for part in found.values() for window in part]
    # Of a job with more windows than were read, nothing is known after the last of them: the others wait there.
    ends = [part[-1].ts for part in found.values() if len(part) >= queries.MOST_WINDOWS]
    if ends:
        windows = [window for window in windows if window.ts <= min(ends)]
    return sorted(windows, key=lambda window: (window.ts, JOBS.index(window.job), window.model))


def _evaluate(turn: _Round, window: Window, owner: str) -> bool:
    """Evaluate one window; False where it failed and is to be tried again."""
    database, wall = turn.database, turn.wall
    try:
        with database.write() as connection:
            queries.lock_alerts(connection)
            if queries.begin_run(connection, window, owner, wall):
                pipeline.evaluate_window(Turn(connection, turn.config, window.ts, wall), window)
    except UnavailableError:
        raise
    except Exception as error:  # the edge of the job: one bad window must not stop all others for ever
        metrics.EVALUATION_FAILURES.labels(window.job).inc()
        log.exception("evaluation_failed", job=window.job, model=window.model, window=str(window.start))
        with database.write() as connection:
            queries.fail_run(connection, window, owner, wall, f"{type(error).__name__}: {error}")
        return False
    return True


def _advance(turn: _Round, horizon: datetime, *, inclusive: bool) -> int:
    done = 0
    while _next_timer(turn, horizon, inclusive=inclusive):
        timer = None
        try:
            with turn.database.write() as connection:
                queries.lock_alerts(connection)
                # Again: another process may have been faster.
                timer = timers.first_timer(connection, turn.config, turn.now, turn.broken)
                if timer is None or not timers.is_due(timer, horizon, inclusive=inclusive):
                    return done
                timers.let_happen(connection, turn.config, timer, turn.wall)
        except UnavailableError:
            raise
        except Exception:  # the edge of one incident: the others go on, and the next round tries it again
            if timer is None:
                raise
            metrics.ROUND_FAILURES.labels("timer").inc()
            log.exception("timer_failed", of=timer.of, kind=timer.kind)
            turn.broken.add(timer.of)
        else:
            done += 1
    return done


def _next_timer(turn: _Round, horizon: datetime, *, inclusive: bool) -> bool:
    with turn.database.read() as connection:
        timer = timers.first_timer(connection, turn.config, turn.now, turn.broken)
    return timers.is_due(timer, horizon, inclusive=inclusive)


def _notify(turn: _Round) -> int:
    with turn.database.read() as connection:
        if not pipeline.wants_notifying(connection, turn.config, turn.now):
            return 0
    done = 0
    while True:
        with turn.database.write() as connection:
            queries.lock_alerts(connection)
            told, failed = pipeline.notify(connection, turn.config, now=turn.now, wall=turn.wall)
        for group, error in failed.items():  # the others are told, and the next round tries these again
            metrics.ROUND_FAILURES.labels("group").inc()
            log.error("group_failed", group=group, exc_info=error)
        done += told
        if told < pipeline.MOST_MESSAGES:
            return done


def _relay(turn: _Round) -> int:
    """Tell the Alertmanagers; one that cannot be told keeps no other from it."""
    with turn.database.read() as connection:
        waiting = [send.receiver for send in relay.due(connection, turn.config, turn.now, turn.wall)]
    for receiver in waiting:
        try:
            with turn.database.write() as connection:
                queries.lock_alerts(connection)
                for send in relay.due(connection, turn.config, turn.now, turn.wall):
                    if send.receiver == receiver:  # else another process was faster
                        relay.relay(connection, turn.config, send, now=turn.now, wall=turn.wall)
        except UnavailableError:
            raise
        except Exception:  # the edge of one receiver: the next round tries it again
            metrics.ROUND_FAILURES.labels("relay").inc()
            log.exception("relay_failed", receiver=receiver)
    return len(waiting)


def _gauge(database: Database) -> None:
    with database.read() as connection:
        rows = queries.notifiable(connection, ())
    metrics.ALERTS_FIRING.clear()
    for row in rows:
        metrics.ALERTS_FIRING.labels(row.labels["alertname"], row.model, row.severity).inc()
