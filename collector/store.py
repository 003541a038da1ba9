"""Write a batch into the database: its id, rows, labels and summaries in ONE transaction.

A batch whose id is there already changes nothing. A prediction whose (model, id) is there already is neither
written nor summarised. A label is counted once its prediction is there, in the prediction's minute; a corrected
label takes its old value back. So any order, partition and repetition of batches gives the same numbers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from collector import metrics, queries
from collector.batches import check_profiled
from collector.errors import RefusedError
from collector.segments import placing
from remora.config import Config
from remora.database import Database
from remora.records import Batch, CollectorReport, Label, Prediction, Profiled
from remora.summaries import PerformanceSummary, Summary, encode
from remora.summaries.profile import LOST, PERFORMANCE, Key, Shape, minute_of, profile, segments_of

__all__ = ["Store", "Written", "shapes_of"]

_SWEEP = 5000
_SWEEP_SECONDS = 600.0
_Key = tuple[str, str]


@dataclass(frozen=True)
class Written:
    """What a batch changed; where its id was there already (`known`) nothing was done, and it says what was done then."""

    known: bool = False
    predictions: int = 0
    labels: int = 0
    repeated: int = 0
    corrected: int = 0
    joined: int = 0
    changed: int = 0  # records that made a difference: new rows, new and corrected labels


@dataclass
class _Deltas:
    """Performance sums by (model, version, segment, minute), and how many labels were counted."""

    sums: dict[tuple[str, str, str, datetime], PerformanceSummary] = field(
        default_factory=lambda: defaultdict(PerformanceSummary)
    )
    spans: dict[_Key, tuple[datetime, datetime]] = field(default_factory=dict)

    def add(self, model: str, row: Any, label: object, shape: Shape, sign: int) -> None:
        """Count one label, or take it back (-1); a request that failed has no answer to judge.

        A row that was kept with probability `sample` speaks for 1 / sample of its kind.
        """
        if row.status >= 400:
            return
        minute = minute_of(row.timestamp)
        weight = sign if row.sample == 1 else sign / row.sample
        _widen(self.spans, (model, row.version), row.timestamp)
        for segment in ("", *segments_of(row.features, row.tags, shape)):
            self.sums[model, row.version, segment, minute].add_row(
                label,
                row.prediction,
                row.scores,
                kind=shape.kind,
                positive=shape.positive,
                weight=weight,
                top=shape.top,
            )


def shapes_of(config: Config) -> dict[str, Shape]:
    """What the summaries must know of the configured models."""
    return {
        name: Shape(model.kind, model.positive, tuple(model.segments), dict(model.features), model.top)
        for name, model in config.models.items()
    }


class Store:
    """The one writer of predictions, labels and summaries."""

    def __init__(self, database: Database, shapes: Mapping[str, Shape]) -> None:
        self.database = database
        self.shapes = shapes
        self._sweep_at = (
            0.0  # on the monotonic clock: at once after a start and after whatever is written here
        )

    def write(self, batch: Batch, now: datetime) -> Written:
        """Commit a batch at the instant `now`.

        Raises UnavailableError when the database does not answer and RefusedError when it refuses the data.
        """
        for each in batch.profiles:
            if problem := check_profiled(each):
                raise RefusedError(problem)
        try:
            self._sweep_at = 0.0
            with self.database.write() as connection:
                written = self._write(connection, batch, now)
        except (sa.exc.DataError, sa.exc.IntegrityError) as error:
            code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", "")
            raise RefusedError(
                f"the database refused the data: {type(error).__name__} {code}".strip()
            ) from None
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise RefusedError(f"the data cannot be written: {type(error).__name__}") from None
        _count(written)
        return written

    def _write(self, connection: sa.Connection, batch: Batch, now: datetime) -> Written:
        row = {
            "id": batch.id, "source": batch.source, "predictions": len(batch.predictions),
            "labels": len(batch.labels), "repeated": 0, "unkept": batch.unkept, "committed_at": now,
        }  # fmt: skip
        if not queries.claim_batch(connection, row):
            repeated = queries.repeated_of(connection, batch.id)
            records = len(batch.predictions) + len(batch.labels)
            return Written(known=True, repeated=repeated, changed=records - repeated)
        accepted = self._predictions(connection, batch)
        deltas = _Deltas()
        labels, repeated, corrected = self._labels(connection, batch, deltas)
        joined = self._join(connection, [*labels, *self._awaited(connection, accepted)], deltas)
        queries.insert_personal_fields(connection, batch.personal, now)
        self._summarise(connection, batch, accepted, deltas, now)
        changed = len(accepted) + len(batch.labels) - repeated
        repeated += len(batch.predictions) - len(accepted)
        if repeated:
            queries.note_repeated(connection, batch.id, repeated)
        return Written(
            predictions=len(accepted), labels=len(batch.labels), repeated=repeated, corrected=corrected,
            joined=joined, changed=changed,
        )  # fmt: skip

    def _predictions(self, connection: sa.Connection, batch: Batch) -> list[Prediction]:
        first: dict[_Key, Prediction] = {}
        for row in batch.predictions:
            first.setdefault((row.model, row.id), row)
        return queries.insert_predictions(connection, first, batch.id)

    def _labels(
        self, connection: sa.Connection, batch: Batch, deltas: _Deltas
    ) -> tuple[list[_Key], int, int]:
        """Insert or correct labels; the keys that may be joined now, how many said nothing new, how many corrected."""
        newest: dict[_Key, Label] = {}
        for label in batch.labels:
            known = newest.get((label.model, label.id))
            if known is None or _rank(label) > _rank(known):
                newest[label.model, label.id] = label
        new = queries.insert_labels(connection, newest.values(), batch.id)
        rest = [key for key in newest if key not in new]
        newer: list[Label] = []
        changed: dict[_Key, tuple[Any, Label]] = {}
        for old in queries.stored_labels(connection, rest):
            label = newest[old.model, old.id]
            if _rank(label) > _rank(old):
                newer.append(label)
                if _value(label) != _value(old):
                    changed[old.model, old.id] = old, label
        queries.correct_labels(connection, newer)
        self._take_back(connection, {key: pair for key, pair in changed.items() if pair[0].joined}, deltas)
        waiting = [key for key in newest if key in new]
        repeated = len(batch.labels) - len(new) - len(changed)
        return waiting + rest, repeated, len(changed)

    def _take_back(
        self, connection: sa.Connection, changed: Mapping[_Key, tuple[Any, Label]], deltas: _Deltas
    ) -> None:
        for row in queries.predictions_of(connection, list(changed)):
            old, new = changed[row.model, row.id]
            shape = self._shape(row.model)
            deltas.add(row.model, row, old.label, shape, -1)
            deltas.add(row.model, row, new.label, shape, +1)

    def _awaited(self, connection: sa.Connection, accepted: Sequence[Prediction]) -> list[_Key]:
        models = queries.waiting(connection, {row.model for row in accepted})
        return [(row.model, row.id) for row in accepted if row.model in models]

    def _join(self, connection: sa.Connection, keys: Sequence[_Key], deltas: _Deltas) -> int:
        return self._count_in(connection, queries.joinable(connection, list(dict.fromkeys(keys))), deltas)

    def _count_in(self, connection: sa.Connection, rows: Sequence[Any], deltas: _Deltas) -> int:
        for row in rows:
            deltas.add(row.model, row, row.label, self._shape(row.model), +1)
        queries.mark_joined(connection, [(row.model, row.id) for row in rows])
        return len(rows)

    def _summarise(
        self, connection: sa.Connection, batch: Batch, accepted: Sequence[Prediction], deltas: _Deltas,
        now: datetime,
    ) -> None:  # fmt: skip
        """Append the summaries of what was written, and those that came with the batch, as they are."""
        spans = dict(deltas.spans)
        instants: dict[_Key, list[datetime]] = defaultdict(list)
        for row in accepted:
            instants[row.model, row.version].append(row.timestamp)
        for key, found_at in instants.items():
            _widen(spans, key, min(found_at))
            _widen(spans, key, max(found_at))
        for each in batch.profiles:
            if each.column != LOST:  # of what was lost nobody knows the version
                _widen(spans, (each.model, each.version), each.start)
        found: dict[Key, Summary] = profile(accepted, self.shapes)
        for (model, version, segment, minute), sums in deltas.sums.items():
            found[Key(model, version, segment, minute, PERFORMANCE, sums.kind)] = sums
        segments = {(key.model, key.segment) for key in found}
        place = placing(connection, segments | {(one.model, one.segment) for one in batch.profiles}, now)
        rows = [
            _summary_row(key, place(key.model, key.segment), encode(summary), batch.id)
            for key, summary in found.items()
        ]
        rows += [
            _summary_row(each, place(each.model, each.segment), each.data, batch.id)
            for each in batch.profiles
        ]
        queries.seen(
            connection, spans, [(one.model, one.start) for one in batch.profiles if one.column == LOST]
        )
        queries.insert_summaries(connection, rows)

    def _shape(self, model: str) -> Shape:
        return self.shapes.get(model, _ANY)

    def join_waiting(self, now: datetime) -> int:
        """Join labels whose prediction was written by a transaction that could not see them; how many there were.

        Asks the database only when this store has written since: of two transactions that missed each other, the
        one that ended last sees both afterwards. Once in ten minutes anyway, for a writer that died in between.
        """
        started = time.monotonic()
        if started < self._sweep_at:
            return 0
        with self.database.write() as connection:
            deltas = _Deltas()
            joined = self._count_in(connection, queries.waiting_joinable(connection, _SWEEP), deltas)
            if joined:
                self._summarise(connection, Batch(id="join", source=""), [], deltas, now)
        metrics.JOINED.inc(joined)
        if joined < _SWEEP:
            self._sweep_at = started + _SWEEP_SECONDS
        return joined

    def report(self, reports: Sequence[CollectorReport], now: datetime) -> None:
        """Write down what collectors say about themselves; who has been silent for a month is forgotten."""
        with self.database.write() as connection:
            queries.note_collectors(connection, reports, now)


_ANY = Shape()


def _summary_row(key: Key | Profiled, segment: str, data: bytes, batch_id: str) -> dict[str, Any]:
    return {
        "model": key.model, "version": key.version, "segment": segment, "granularity": "minute",
        "start": key.start, "column_name": key.column, "kind": key.kind, "data": data, "batch_id": batch_id,
    }  # fmt: skip


def _widen(spans: dict[_Key, tuple[datetime, datetime]], key: _Key, instant: datetime) -> None:
    known = spans.get(key)
    if known is None:
        spans[key] = instant, instant
    elif not known[0] <= instant <= known[1]:
        spans[key] = min(known[0], instant), max(known[1], instant)


def _value(label: Any) -> bytes:
    return msgspec.json.encode(label.label)


def _rank(label: Any) -> tuple[datetime, bytes]:
    """The newest label wins; among labels of one instant any fixed order does."""
    return label.timestamp, _value(label)


def _count(written: Written) -> None:
    metrics.BATCHES.inc(not written.known)
    metrics.REPEATED.inc(written.repeated)
    metrics.CORRECTED.inc(written.corrected)
    metrics.JOINED.inc(written.joined)
