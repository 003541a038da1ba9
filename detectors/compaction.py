"""Merge minutes into hours and hours into days: fewer rows to read and to keep, and nothing that judging needs is lost.

Each step is one transaction that takes some rows away and puts what they add up to in their place, so late rows, kills
and several servers change nothing: every row counts once. The merged row stands at the highest `seq` of those it was
made of. So whoever remembers how far he has read sees it again exactly where something in it is new to him.

Hours are merged soon after their end where the model's windows are made of whole hours; otherwise minutes stay until
their windows are judged and nothing revises them any more, and at least as long as `retention.minutes` says. Days
likewise follow `retention.hours`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from prometheus_client import Counter

from detectors import queries
from detectors.windows import EPOCH, Span, missing_windows, window_of
from remora.bulk import insert_rows
from remora.catalogue import JOBS
from remora.config import Config
from remora.config.models import Windows
from remora.database import Database, serialize
from remora.summaries import encode, merge_encoded
from remora.summaries.codec import UnreadableSummaryError
from remora.summaries.granularity import DAY, HOUR, MINUTE, SPANS, holds
from remora.tables import summaries
from remora.telemetry import REGISTRY, get_logger

__all__ = ["KEEPING", "Step", "compact", "judged_after", "steps_of"]

log = get_logger("compaction")

KEEPING = 0x6B656570  # PostgreSQL's advisory lock: one at a time merges, moves or deletes
_AT_ONCE = 4000  # rows merged in one transaction: some 100 ms, in which SQLite has no other writer
_REST = timedelta(minutes=10)  # after its end an hour is left alone so long: most late rows are there by then

MERGED = Counter("remora_summaries_merged", "Summaries merged into coarser ones", ["into"], registry=REGISTRY)
DAMAGED = Counter(
    "remora_summaries_damaged", "Summaries that compaction could not read and left", registry=REGISTRY
)

_Group = tuple[str, str, str, str]  # version, segment, column, kind


@dataclass(frozen=True)
class Step:
    """Rows of the granularity `source` that begin before `before` become rows of `into`.

    `blurs`: the model's windows cannot be made of what results, so they must be judged before.
    """

    source: str
    into: str
    before: datetime
    blurs: bool


def steps_of(config: Config, model: str, now: datetime) -> list[Step]:
    """What is to be merged of a model at the instant `now` of business time, finest first."""
    windows, kept = config.model(model).windows, config.retention
    whole = holds(windows.size)
    judged = now - judged_after(windows)
    hours = now - _REST if HOUR in whole else min(now - kept.minutes, judged)
    days = min(now - kept.hours, judged)
    return [
        Step(MINUTE, HOUR, window_of(hours, SPANS[HOUR]).start, HOUR not in whole),
        Step(HOUR, DAY, window_of(days, SPANS[DAY]).start, DAY not in whole),
    ]


def judged_after(windows: Windows) -> timedelta:
    """The age at which nothing judges or revises a window any more."""
    return windows.decided_after + windows.revise_for + 2 * windows.size


def compact(database: Database, config: Config, *, now: datetime, stop: Callable[[], bool] = bool) -> int:
    """Merge everything that is due at `now` (business time); how many rows were merged away.

    `stop` is asked between transactions. Raises `UnavailableError` when the database is away.
    """
    with database.read() as connection:
        known = queries.known_models(connection)
    merged = 0
    for model, first_seen in known:
        windows = config.model(model).windows
        begins = max(first_seen, now - windows.backfill)  # what lies before is never judged
        for step in steps_of(config, model, now):
            merged += _take(database, model, step, (begins, windows.size), stop)
    return merged


def _take(
    database: Database, model: str, step: Step, judged: tuple[datetime, timedelta], stop: Callable[[], bool]
) -> int:
    """One step, unit by unit of the coarser granularity, oldest first.

    `judged`: from when on the model's windows are judged, and their size.
    """
    merged, after = 0, EPOCH - timedelta(days=40_000)
    while not stop():
        with database.read() as connection:
            oldest = queries.first_summary(connection, model, step.source, after, step.before)
            if oldest is None:
                break
            start = window_of(oldest, SPANS[step.into]).start
            after = start + SPANS[step.into]
            if step.blurs and not _decided(connection, model, (start, after), judged):
                break
        taken, seq = 1, 0
        while taken and not stop():
            with database.write() as connection:
                serialize(connection, KEEPING)
                taken, seq = _merge_some(connection, model, step, start, seq)
            merged += taken
    return merged


def _decided(
    connection: sa.Connection, model: str, unit: tuple[datetime, datetime], judged: tuple[datetime, timedelta]
) -> bool:
    """Whether every window that has a part in this stretch of time was judged, or was given up."""
    begins, size = judged
    start = max(window_of(begins, size).start, window_of(unit[0], size).start)
    span = Span(start, size, max(0, -((start - unit[1]) // size)))
    for job in JOBS:
        decided = queries.decided_runs(connection, job, model, (span.start, span.end))
        if any(missing_windows(span, decided)):
            return False
    return True


def _merge_some(
    connection: sa.Connection, model: str, step: Step, start: datetime, after: int
) -> tuple[int, int]:
    """Merge at most `_AT_ONCE` fine rows after a seq into the unit's; how many, and the last one's seq."""
    end = start + SPANS[step.into]
    fine = queries.fine_summaries(connection, model, step.source, (start, end), after, _AT_ONCE)
    if not fine:
        return 0, after
    columns = {row.column_name for row in fine}
    coarse = queries.coarse_summaries(connection, model, step.into, start, columns)
    groups: dict[_Group, list[Any]] = defaultdict(list)
    for row in (*coarse, *fine):
        groups[row.version, row.segment, row.column_name, row.kind].append(row)
    gone: list[int] = []
    made: list[dict[str, Any]] = []
    loose = {(row.version, row.segment, row.column_name, row.kind) for row in fine}
    for key in sorted(loose):
        rows = sorted(groups[key], key=lambda row: row.seq)  # the same rows in one order give the same bytes
        try:
            data = _merged([row.data for row in rows])
        except UnreadableSummaryError:
            DAMAGED.inc(len(rows))
            log.warning("summary_damaged", model=model, column=key[2], start=start.isoformat())
            continue
        gone += [row.seq for row in rows]
        made.append(
            {
                "seq": rows[-1].seq, "model": model, "version": key[0], "segment": key[1], "granularity": step.into,
                "start": start, "column_name": key[2], "kind": key[3], "data": data, "batch_id": "",
            }
        )  # fmt: skip
    queries.delete_summaries(connection, gone)
    insert_rows(connection, summaries, made)
    MERGED.labels(step.into).inc(len(fine))
    return len(fine), fine[-1].seq


def _merged(blobs: list[bytes]) -> bytes:
    if len(blobs) == 1:
        return blobs[0]
    merged = merge_encoded(blobs)
    if merged is None:
        raise AssertionError("a group without summaries")
    return encode(merged)
