"""Judge one window: load, detect, and give the findings; `store` commits them with the run's own row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detectors import queries
from detectors.baselines import Baselines
from detectors.history import History, history_of
from detectors.judges import JUDGES, Work
from detectors.judges.work import MOVED, Causes, Key
from detectors.loading import load
from detectors.row_samples import reference_rows, window_rows
from detectors.windows import Window
from remora.config import Config
from remora.database import Database
from remora.runs import Run, RunKey, finish_run, revise_run

__all__ = ["Judged", "judge", "store"]


@dataclass(frozen=True)
class Judged:
    """Rows for `findings`, all but their revision, and the summaries they were made of."""

    rows: list[dict[str, Any]]
    watermark: int


def judge(database: Database, config: Config, key: RunKey, baselines: Baselines, now: datetime) -> Judged:
    """Every finding of a job's window. A metric that fails becomes a finding that says so."""
    window = Window(key.start, key.end)
    loaded = load(database, key.model, window, key.job)

    def rows(reference_id: str) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        with database.read() as connection:
            return reference_rows(connection, reference_id), window_rows(connection, key.model, window)

    def history() -> History:
        with database.read() as connection:
            return history_of(connection, key.model, window)

    def before(metrics: Sequence[str]) -> Mapping[Key, Mapping[str, Any]]:
        with database.read() as connection:
            return queries.details_before(connection, key.model, window, metrics)

    def causes() -> Causes:
        with database.read() as connection:
            return queries.causes_of(connection, key.model, window, MOVED)

    work = Work(
        loaded, config.model(key.model), window, now, lambda version: baselines.of(key.model, version),
        rows, history, before, causes,
    )  # fmt: skip
    found = [
        {
            "model": key.model, "version": version, "segment": segment, "metric": metric, "feature": feature,
            "window_start": window.start, "window_end": window.end, "latest": True, "computed_at": now,
            **vars(result), "details": dict(result.details),
        }
        for version, segment, metric, feature, result in JUDGES[key.job](work)
    ]  # fmt: skip
    return Judged(found, loaded.watermark)


def store(database: Database, run: Run, judged: Judged, wall: datetime, *, revision: bool = False) -> None:
    """Commit the findings and the run's new state together; raises `LostRunError` where the run is another's."""
    number = run.revision + 1 if revision else run.revision
    finish = revise_run if revision else finish_run
    with database.write() as connection:
        finish(connection, run, wall=wall, watermark=judged.watermark)
        rows = [{**row, "revision": number} for row in judged.rows]
        queries.store_findings(connection, Window(run.key.start, run.key.end), run.key.model, rows, number)
