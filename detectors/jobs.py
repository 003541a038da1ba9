"""What the scheduler ticks: judge every window that is due, then revise those that got late rows or labels.

The ticks may come from any number of processes: the database decides who judges which window.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from detectors import queries
from detectors.baselines import Baselines
from detectors.revisions import late_runs, ripe_runs
from detectors.runner import judge, store
from detectors.windows import due_span, missing_windows
from remora.catalogue import JOBS
from remora.errors import UnavailableError
from remora.runs import GIVEN_UP_AFTER, LostRunError, Run, RunKey, claim_run, fail_revision, fail_run
from remora.telemetry import REGISTRY, get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from detectors.windows import Window
    from remora.config import Config
    from remora.database import Database

__all__ = ["MOST_PER_PASS", "is_behind", "run_due"]

log = get_logger("detectors")

MOST_PER_PASS = (
    288  # what is left is due again at once: a day of five-minute windows between two looks at the rules
)

_STORED, _AGAIN, _GIVEN_UP = "stored", "again", "given up"

RUNS = Counter("remora_window_runs", "Windows by job and outcome", ["job", "outcome"], registry=REGISTRY)
SECONDS = Histogram(
    "remora_window_seconds",
    "How long judging a window took",
    ["job"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


@dataclass
class _Pass:
    """One tick. The wall clock was read at its beginning and moves on with the machine's own."""

    database: Database
    config: Config
    now: datetime
    began: datetime
    owner: str
    stop: Callable[[], bool]
    started: float = field(default_factory=time.monotonic)

    @property
    def wall(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self.started)


def _go_on() -> bool:
    return False


def run_due(
    database: Database, config: Config, *, now: datetime, wall: datetime, owner: str,
    stop: Callable[[], bool] = _go_on,
) -> int:  # fmt: skip
    """Judge due windows, oldest first, at most `MOST_PER_PASS`, then revise; how many runs were done.

    `now` is business time, `wall` the system's (leases). Call again while it is not 0. Raises `UnavailableError`
    when the database is away; a window that fails is tried again later and does not stop the others. `stop` is asked
    before each window: once it says so, nothing new is begun.
    """
    tick = _Pass(database, config, now, wall, owner, stop)
    baselines = Baselines(database, config)
    done = 0
    for key in islice(_due(tick), MOST_PER_PASS):
        if stop():
            return done
        done += _first(tick, key, baselines)
    return done + _revise(tick, baselines)


def is_behind(database: Database, config: Config, now: datetime) -> bool:
    """Whether a window that is due is not judged yet, by whomever; one that was given up does not count."""
    return next(_open(database, config, now, queries.decided_runs), None) is not None


def _due(tick: _Pass) -> Iterator[RunKey]:
    """Windows that nobody has judged or is judging, in the order in which they became due."""

    def taken(connection: sa.Connection, job: str, model: str) -> list[Window]:
        return queries.open_runs(connection, job, model, tick.wall)

    return _open(tick.database, tick.config, tick.now, taken)


def _open(
    database: Database, config: Config, now: datetime,
    taken: Callable[[sa.Connection, str, str], list[Window]],
) -> Iterator[RunKey]:  # fmt: skip
    """The windows due at `now` that are not `taken` (by job and model)."""
    streams = []
    with database.read() as connection:
        for model, first_seen in queries.known_models(connection):
            windows = config.model(model).windows
            # One row with a date of long ago must not make a century of windows due.
            first_seen = max(first_seen, now - windows.backfill)  # noqa: PLW2901
            spans = {job: due_span(first_seen, now, windows.size, windows.lateness_of(job)) for job in JOBS}
            longest = max(spans.values(), key=lambda span: span.count)
            done = queries.done_between(connection, model, longest.start, longest.end)
            for job, span in spans.items():
                # As many done as there are windows: nothing is due, and the list need not be read.
                if done.get(job, 0) != span.count:
                    streams.append(
                        [
                            RunKey(job, model, window.start, window.end)
                            for window in missing_windows(span, taken(connection, job, model))
                        ]
                    )
    return heapq.merge(*streams, key=lambda key: _due_at(config, key))


def _due_at(config: Config, key: RunKey) -> tuple[datetime, str, int]:
    return key.end + config.model(key.model).windows.lateness_of(key.job), key.model, JOBS.index(key.job)


def _first(tick: _Pass, key: RunKey, baselines: Baselines) -> bool:
    run = claim_run(tick.database, key, owner=tick.owner, wall=tick.wall)
    return run is not None and _execute(tick, run, baselines, revision=False) == _STORED


def _execute(tick: _Pass, run: Run, baselines: Baselines, *, revision: bool) -> str:
    """Judge and store one window: the job's edge, where whatever goes wrong is logged, counted and noted.

    Gives what came of it: stored, given up after too many attempts, or neither, to be tried again.
    """
    job = run.key.job
    try:
        with SECONDS.labels(job).time():
            judged = judge(tick.database, tick.config, run.key, baselines, tick.now)
            store(tick.database, run, judged, tick.wall, revision=revision)
    except UnavailableError:
        raise
    except LostRunError:
        RUNS.labels(job, "lost").inc()
        return _AGAIN
    except Exception as error:
        RUNS.labels(job, "failed").inc()
        log.exception("window_failed", job=job, model=run.key.model, window=run.key.start.isoformat())
        name = type(error).__name__
        if revision:
            return _GIVEN_UP if fail_revision(tick.database, run, error=name) >= GIVEN_UP_AFTER else _AGAIN
        fail_run(tick.database, run, wall=tick.wall, error=name)
        return _AGAIN
    RUNS.labels(job, "revised" if revision else "done").inc()
    return _STORED


def _revise(tick: _Pass, baselines: Baselines) -> int:
    """Compute again what got late rows; the cursor stays before the rows of those that are to be tried again."""
    done = 0
    for run in islice(ripe_runs(tick.database, tick.config, now=tick.now), MOST_PER_PASS):
        done += not tick.stop() and _execute(tick, run, baselines, revision=True) == _STORED
    late = late_runs(tick.database, tick.config, now=tick.now, wall=tick.wall)
    if late is None:
        return done
    cursor = late.cursor
    for run, lowest in late.runs:
        outcome = _AGAIN if tick.stop() else _execute(tick, run, baselines, revision=True)
        done += outcome == _STORED
        if outcome == _AGAIN:
            cursor = min(cursor, lowest - 1)
    with tick.database.write() as connection:
        queries.advance_cursor(connection, cursor, tick.owner, tick.wall)
    return done
