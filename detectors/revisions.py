"""Which judged windows got rows or labels since: they are computed again, as a revision.

New summaries are read once, behind a cursor. It is held back at the first one whose window cannot be revised now,
because somebody is judging it or because it was revised a moment ago. A window whose labels are mature for their age
alone got nothing new: it is found by the verdict that it has.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from detectors import queries
from detectors.windows import Window, revision_pause, window_of
from remora.tables import summaries

if TYPE_CHECKING:
    import sqlalchemy as sa

    from remora.config import Config
    from remora.database import Database
    from remora.runs import Run

__all__ = ["Late", "late_runs", "ripe_runs"]

_LOOK_EVERY = timedelta(seconds=15)  # under the system's clock; a replayed one stands still between its steps

# A late prediction also changes the share of missing values and of labels.
_JOBS_OF_KIND = {
    "traffic": ("traffic", "drift", "performance"),
    "latency": ("traffic",),
    "numeric": ("drift",),
    "categorical": ("drift",),
    "scores": ("drift",),
    "performance": ("performance",),
}

_Touched = dict[tuple[str, Window], tuple[int, int]]  # (job, window) -> lowest and highest seq


@dataclass(frozen=True)
class Late:
    """Runs to revise, each with its lowest new summary, and how far the cursor goes when all are done."""

    runs: list[tuple[Run, int]]
    cursor: int


def late_runs(database: Database, config: Config, *, now: datetime, wall: datetime) -> Late | None:
    """What has to be revised; None where nothing new was written, or where it was just looked for."""
    replayed = config.schedule.clock == "replay"
    with database.read() as connection:
        after, looked = queries.cursor(connection)
    if not replayed and looked is not None and wall - looked < _LOOK_EVERY:
        return None
    upto = database.settled(summaries.c.seq)
    if upto <= after:
        return None
    with database.read() as connection:
        rows = queries.touched(connection, after, upto)
        late: list[tuple[Run, int]] = []
        held = [upto + 1]
        for model, touched in _by_window(rows, config).items():
            runs, hold = _of_model(connection, config, model, touched, now)
            late += runs
            held += hold
    return Late(late, min(held) - 1)


def ripe_runs(database: Database, config: Config, *, now: datetime) -> list[Run]:
    """Windows whose labels were not mature when they were judged, and are by now for their age, oldest first."""
    runs: list[Run] = []
    with database.read() as connection:
        for model, _ in queries.known_models(connection):
            windows = config.model(model).windows
            if windows.mature_after is not None:
                oldest = now - windows.decided_after - windows.revise_for
                span = oldest, now - windows.mature_after
                runs += queries.unripe_runs(connection, model, span)
    return runs


def _by_window(rows: list[tuple[str, datetime, str, int, int]], config: Config) -> dict[str, _Touched]:
    models: dict[str, _Touched] = defaultdict(dict)
    sizes = {model: config.model(model).windows.size for model in {row[0] for row in rows}}
    for model, minute, kind, lowest, highest in rows:
        window = window_of(minute, sizes[model])
        for job in _JOBS_OF_KIND.get(kind, ()):
            low, high = models[model].get((job, window), (lowest, highest))
            models[model][job, window] = min(low, lowest), max(high, highest)
    return models


def _of_model(
    connection: sa.Connection, config: Config, model: str, touched: _Touched, now: datetime
) -> tuple[list[tuple[Run, int]], list[int]]:
    """The runs to revise, and the numbers at which the cursor has to wait."""
    windows = config.model(model).windows
    oldest = now - windows.decided_after - windows.revise_for - windows.size
    starts = [window.start for _, window in touched if window.start >= oldest]
    if not starts:
        return [], []
    late, held = [], []
    for state, finished, run in queries.runs_between(
        connection, model, min(starts), max(starts) + windows.size
    ):
        window = Window(run.key.start, run.key.end)
        lowest, highest = touched.get((run.key.job, window), (0, 0))
        if window.start < oldest or highest <= run.watermark:
            continue
        rests = (
            config.schedule.clock == "system"
            and finished is not None
            and now - finished < revision_pause(window, now)
        )
        if state == "running" or rests:
            held.append(lowest)
        elif state == "done":
            late.append((run, lowest))
    return late, held
