"""The SQL of the collector, each statement named. Rows and labels are joined by (model, id)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from remora import tables
from remora.database import insert_new, insert_rows, select_keys, upsert
from remora.records import Label, Prediction

__all__ = [
    "KEY",
    "claim_batch",
    "correct_labels",
    "insert_labels",
    "insert_predictions",
    "insert_summaries",
    "joinable",
    "mark_joined",
    "note_repeated",
    "predictions_of",
    "seen",
    "stored_labels",
    "waiting",
    "waiting_joinable",
]

KEY = ("model", "id")

_p, _l = tables.predictions, tables.labels
_ROW = (_p.c.timestamp, _p.c.version, _p.c.features, _p.c.tags, _p.c.prediction, _p.c.scores, _p.c.status)


def claim_batch(connection: sa.Connection, row: dict[str, Any]) -> bool:
    """Take the batch's id; False when it was committed before (a concurrent writer is waited for)."""
    return bool(insert_new(connection, tables.batches, [row], ["id"]))


def note_repeated(connection: sa.Connection, batch_id: str, repeated: int) -> None:
    """Write down how many records of the batch were there already."""
    batches = tables.batches
    connection.execute(sa.update(batches).where(batches.c.id == batch_id).values(repeated=repeated))


def insert_predictions(
    connection: sa.Connection, rows: Iterable[Prediction], batch_id: str
) -> set[tuple[str, str]]:
    """Insert predictions whose (model, id) is new and return these keys."""
    values = [
        {
            "id": row.id, "model": row.model, "version": row.version, "timestamp": row.timestamp,
            "latency_ms": row.latency_ms, "status": row.status, "features": row.features,
            "prediction": row.prediction, "scores": row.scores, "tags": row.tags, "batch_id": batch_id,
        }
        for row in rows
    ]  # fmt: skip
    return {(str(model), str(key)) for model, key in insert_new(connection, _p, values, KEY)}


def insert_labels(connection: sa.Connection, rows: Iterable[Label], batch_id: str) -> set[tuple[str, str]]:
    """Insert labels whose (model, id) is new, waiting for their prediction, and return these keys."""
    values = [
        {"id": row.id, "model": row.model, "label": row.label, "timestamp": row.timestamp, "joined": False,
         "batch_id": batch_id}
        for row in rows
    ]  # fmt: skip
    return {(str(model), str(key)) for model, key in insert_new(connection, _l, values, KEY)}


def stored_labels(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> list[Any]:
    """The labels that are there, locked against other writers: model, id, label, timestamp, joined."""
    query = sa.select(_l.c.model, _l.c.id, _l.c.label, _l.c.timestamp, _l.c.joined)
    return select_keys(connection, query.order_by(_l.c.model, _l.c.id).with_for_update(of=_l), KEY, keys)


def correct_labels(connection: sa.Connection, rows: Sequence[Label]) -> None:
    """Replace the values of labels that `stored_labels` has locked."""
    if rows:
        statement = (
            sa.update(_l)
            .where(_l.c.model == sa.bindparam("key_model"), _l.c.id == sa.bindparam("key_id"))
            .values(label=sa.bindparam("new_label"), timestamp=sa.bindparam("new_timestamp"))
        )
        connection.execute(
            statement,
            [
                {"key_model": r.model, "key_id": r.id, "new_label": r.label, "new_timestamp": r.timestamp}
                for r in rows
            ],
        )


def waiting(connection: sa.Connection, models: Iterable[str]) -> set[str]:
    """Those of the models that have a label without its prediction."""
    found: set[str] = set()
    for model in sorted(models):
        query = sa.select(_l.c.model).where(_l.c.model == model, sa.not_(_l.c.joined)).limit(1)
        found.update(connection.execute(query).scalars())
    return found


def joinable(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> list[Any]:
    """Labels among `keys` that are not counted yet and whose prediction is there, locked."""
    query = sa.select(_l.c.model, _l.c.id, _l.c.label, *_ROW).join_from(
        _l, _p, sa.and_(_p.c.model == _l.c.model, _p.c.id == _l.c.id)
    )
    query = query.where(sa.not_(_l.c.joined)).order_by(_l.c.model, _l.c.id).with_for_update(of=_l)
    return select_keys(connection, query, KEY, keys)


def waiting_joinable(connection: sa.Connection, limit: int) -> list[Any]:
    """The same for all labels that wait: two concurrent transactions may each have missed the other's row."""
    query = sa.select(_l.c.model, _l.c.id, _l.c.label, *_ROW).join_from(
        _l, _p, sa.and_(_p.c.model == _l.c.model, _p.c.id == _l.c.id)
    )
    query = query.where(sa.not_(_l.c.joined)).limit(limit).with_for_update(of=_l, skip_locked=True)
    return list(connection.execute(query))


def predictions_of(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> list[Any]:
    """The predictions of joined labels that change: model, id and what a summary needs."""
    return select_keys(connection, sa.select(_p.c.model, _p.c.id, *_ROW), KEY, keys)


def mark_joined(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Note that these labels are counted."""
    if keys:
        statement = (
            sa.update(_l)
            .where(_l.c.model == sa.bindparam("key_model"), _l.c.id == sa.bindparam("key_id"))
            .values(joined=True)
        )
        connection.execute(statement, [{"key_model": model, "key_id": key} for model, key in keys])


def seen(connection: sa.Connection, spans: Mapping[tuple[str, str], tuple[datetime, datetime]]) -> None:
    """Widen the times at which models and versions were seen.

    The row of a model stays locked until the end of the transaction, also where nothing changes: so the summaries
    of one model become visible in the order of their `seq`, and a reader that remembers the highest misses none.
    """
    models: dict[str, tuple[datetime, datetime]] = {}
    for (model, _), (first, last) in spans.items():
        known = models.get(model, (first, last))
        models[model] = min(known[0], first), max(known[1], last)
    for name, span in sorted(models.items()):
        _widen(connection, tables.models, {"name": name}, span)
    for (model, version), span in sorted(spans.items()):
        _widen(connection, tables.versions, {"model": model, "version": version}, span)


def _widen(
    connection: sa.Connection, table: sa.Table, key: dict[str, str], span: tuple[datetime, datetime]
) -> None:
    first, last = (sa.literal(instant, tables.Instant()) for instant in span)
    upsert(
        connection,
        table,
        {**key, "first_seen": span[0], "last_seen": span[1]},
        {
            "first_seen": sa.case((table.c.first_seen > first, first), else_=table.c.first_seen),
            "last_seen": sa.case((table.c.last_seen < last, last), else_=table.c.last_seen),
        },
    )


def insert_summaries(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Append summaries; last in the transaction, after `seen`."""
    insert_rows(connection, tables.summaries, rows)
