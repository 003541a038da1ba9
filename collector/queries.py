"""The SQL of the collector, each statement named. Rows and labels are joined by (model, id)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from remora import tables
from remora.bulk import insert_block, insert_rows, select_keys, update_keys
from remora.database import insert_new, upsert
from remora.records import CollectorReport, Label, PersonalField, Prediction

__all__ = [
    "KEY",
    "claim_batch",
    "correct_labels",
    "insert_labels",
    "insert_personal_fields",
    "insert_predictions",
    "insert_segments",
    "insert_summaries",
    "joinable",
    "mark_joined",
    "note_collectors",
    "note_repeated",
    "predictions_of",
    "repeated_of",
    "seen",
    "segments_known",
    "stored_labels",
    "waiting",
    "waiting_joinable",
]

KEY = ("model", "id")
_SILENT = timedelta(days=30)

_p, _l = tables.predictions, tables.labels
_ROW = (
    _p.c.timestamp, _p.c.version, _p.c.features, _p.c.tags, _p.c.prediction, _p.c.scores, _p.c.status, _p.c.sample,
)  # fmt: skip
_json = msgspec.json.Encoder().encode


def claim_batch(connection: sa.Connection, row: dict[str, Any]) -> bool:
    """Take the batch's id; False when it was committed before (a concurrent writer is waited for)."""
    return bool(insert_new(connection, tables.batches, [row], ["id"]))


def repeated_of(connection: sa.Connection, batch_id: str) -> int:
    """What `note_repeated` wrote down of a batch."""
    batches = tables.batches
    return int(connection.execute(sa.select(batches.c.repeated).where(batches.c.id == batch_id)).scalar_one())


def note_repeated(connection: sa.Connection, batch_id: str, repeated: int) -> None:
    """Write down how many records of the batch were there already."""
    batches = tables.batches
    connection.execute(sa.update(batches).where(batches.c.id == batch_id).values(repeated=repeated))


def insert_predictions(
    connection: sa.Connection, rows: Mapping[tuple[str, str], Prediction], batch_id: str
) -> list[Prediction]:
    """Insert predictions whose key (model, id) is new and return these."""
    ordered = [rows[key] for key in sorted(rows)]
    inserted = insert_block(connection, _p, _columns(ordered, batch_id), KEY) if ordered else 0
    if inserted == len(ordered):
        return ordered
    # the batch's id is claimed: what carries it was inserted just now
    ours = sa.select(_p.c.model, _p.c.id).where(_p.c.batch_id == batch_id)
    return [rows[row.model, row.id] for row in select_keys(connection, ours, KEY, list(rows))]


def _columns(rows: Sequence[Prediction], batch_id: str) -> dict[str, Sequence[Any]]:
    return {
        "id": [row.id for row in rows],
        "model": [row.model for row in rows],
        "version": [row.version for row in rows],
        "timestamp": [row.timestamp for row in rows],
        "latency_ms": [row.latency_ms for row in rows],
        "status": [row.status for row in rows],
        "features": [_json(row.features) for row in rows],
        "prediction": [_json_or_null(row.prediction) for row in rows],
        "scores": [_json_or_null(row.scores) for row in rows],
        "tags": [_json(row.tags) if row.tags else b"{}" for row in rows],
        "batch_id": [batch_id] * len(rows),
        "sample": [row.sample for row in rows],
    }


def _json_or_null(value: object) -> bytes | None:
    return None if value is None else _json(value)


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
    update_keys(connection, _l, {"joined": True}, KEY, keys)


def seen(
    connection: sa.Connection, spans: Mapping[tuple[str, str], tuple[datetime, datetime]],
    lost: Iterable[tuple[str, datetime]] = (),
) -> None:  # fmt: skip
    """Widen the times at which models and versions were seen, and models of which something was `lost`.

    The row of a model stays locked until the end of the transaction, also where nothing changes: so the summaries
    of one model become visible in the order of their `seq`, and a reader that remembers the highest misses none.
    """
    models: dict[str, tuple[datetime, datetime]] = {}
    for (model, _), (first, last) in spans.items():
        known = models.get(model, (first, last))
        models[model] = min(known[0], first), max(known[1], last)
    for model, at in lost:
        known = models.get(model, (at, at))
        models[model] = min(known[0], at), max(known[1], at)
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


def insert_personal_fields(connection: sa.Connection, fields: Sequence[PersonalField], now: datetime) -> None:
    """Note features that look personal; what is known already stays as it is."""
    rows = [
        {
            "model": one.model,
            "feature": one.feature,
            "looks_like": one.looks_like,
            "first_seen": one.at or now,
        }
        for one in fields
    ]
    insert_new(connection, tables.personal_fields, rows, ["model", "feature"])


def note_collectors(connection: sa.Connection, reports: Sequence[CollectorReport], now: datetime) -> None:
    """The newest report of each collector; those of whom nothing was heard for `_SILENT` are forgotten."""
    c = tables.collectors
    for one in reports:
        row = {
            "id": one.id, "host": one.host, "model": one.model, "version": one.version,
            "started_at": one.started_at, "seen_at": now, "counters": one.counters,
        }  # fmt: skip
        upsert(connection, c, row)
    connection.execute(sa.delete(c).where(c.c.seen_at < now - _SILENT))


def segments_known(connection: sa.Connection, models: Iterable[str]) -> dict[str, set[str]]:
    """The segments that are watched apart, by model."""
    table = tables.segments
    found: dict[str, set[str]] = {model: set() for model in models}
    query = sa.select(table.c.model, table.c.segment).where(table.c.model.in_(sorted(found)))
    for model, segment in connection.execute(query):
        found[model].add(segment)
    return found


def insert_segments(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Watch these segments apart from now on."""
    insert_new(connection, tables.segments, rows, ["model", "segment"])


def insert_summaries(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Append summaries; last in the transaction, after `seen`."""
    insert_rows(connection, tables.summaries, rows)
