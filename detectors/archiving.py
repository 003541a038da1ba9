"""Move rows that were kept long enough into the archive, by model and day.

Each step is one transaction that nobody else runs at the same time: some rows of the oldest day are written to a file
of their own, the file takes its name, the rows are deleted and the file is noted. A kill in between leaves a file that
the database does not know; the next step of that day removes it. So each row is in one place, and never in none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import Counter

from detectors import queries
from detectors.compaction import KEEPING, judged_after
from detectors.windows import window_of
from remora.archive import folder_of, stored_row, write
from remora.bulk import delete_keys, insert_rows
from remora.config import Config
from remora.database import Database, serialize
from remora.records import new_id
from remora.summaries.granularity import DAY, SPANS
from remora.tables import archives, labels, predictions
from remora.telemetry import REGISTRY

__all__ = ["archive", "expire_files"]

_AT_ONCE = 20_000  # rows in one file and transaction: about a second, in which SQLite has no other writer
_KEY = ("model", "id")

MOVED = Counter("remora_rows_archived", "Predictions moved into the archive", registry=REGISTRY)


def archive(
    database: Database, config: Config, root: Path, *, now: datetime, stop: Callable[[], bool] = bool
) -> int:
    """Move everything that is due at `now` (business time); how many rows.

    `stop` is asked between files. Raises `UnavailableError` when the database is away, `OSError` when the folder cannot
    be written.
    """
    kept = config.retention
    if kept.rows is None or not kept.archive:
        return 0
    with database.read() as connection:
        names = [name for name, _ in queries.known_models(connection)]
    moved = 0
    for model in names:
        before = now - max(kept.rows, judged_after(config.model(model).windows))
        count = 1
        while count and not stop():
            count = _move(database, root, model, window_of(before, SPANS[DAY]).start, now)
            moved += count
    return moved


def _move(database: Database, root: Path, model: str, before: datetime, now: datetime) -> int:
    """One file of the oldest day that ends by `before`; how many rows."""
    with database.read() as connection:  # most rounds find nothing, and need no lock for it
        if queries.first_prediction(connection, model, before) is None:
            return 0
    with database.write() as connection:
        serialize(connection, KEEPING)
        oldest = queries.first_prediction(connection, model, before)
        if oldest is None:
            return 0
        day = window_of(oldest, SPANS[DAY])
        folder = folder_of(root, model, day.start)
        _remove_leftovers(connection, root, folder)
        rows = queries.predictions_between(connection, model, day, _AT_ONCE)
        keys = [(row.model, row.id) for row in rows]
        known = queries.labels_of(connection, keys)
        path = folder / f"part-{new_id()}.parquet"
        size = write(path, [stored_row(row, *known.get(row.id, ())) for row in rows])
        delete_keys(connection, labels, _KEY, keys)
        delete_keys(connection, predictions, _KEY, keys)
        noted = {
            "file": path.relative_to(root).as_posix(), "model": model, "day": day.start, "rows": len(rows), "bytes": size,
            "first": rows[0].timestamp, "last": rows[-1].timestamp, "made_at": now,
        }  # fmt: skip
        insert_rows(connection, archives, [noted])
    MOVED.inc(len(rows))
    return len(rows)


def _remove_leftovers(connection: sa.Connection, root: Path, folder: Path) -> None:
    """Files of a step that was killed before its commit. The lock is ours: nobody is writing one now."""
    if not folder.is_dir():
        return
    inside = folder.relative_to(root).as_posix()
    query = sa.select(archives.c.file).where(archives.c.file.startswith(f"{inside}/", autoescape=True))
    known = set(connection.execute(query).scalars())
    for path in folder.iterdir():
        if path.name.lstrip(".").startswith("part-") and f"{inside}/{path.name}" not in known:
            path.unlink()


def expire_files(database: Database, config: Config, root: Path, *, now: datetime) -> int:
    """Delete files of the archive that were kept long enough; how many. `now` is business time."""
    kept = config.retention.archived
    if kept is None:
        return 0
    with database.write() as connection:
        serialize(connection, KEEPING)
        old = archives.c.last < now - kept
        files = list(connection.execute(sa.select(archives.c.file).where(old)).scalars())
        for (
            file
        ) in files:  # a kill before the commit leaves rows whose file is gone: the next round deletes them
            (root / file).unlink(missing_ok=True)
        connection.execute(sa.delete(archives).where(old))
    return len(files)
