"""Take records: parse, put into the spool, answer once they are on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from collector import metrics
from collector.bodies import Limits
from collector.errors import BodyError
from collector.parsing import Parsed, parse_labels, parse_predictions
from collector.spool import Spool, encode_record
from collector.spool_file import Entry
from remora.records import Batch, Label, Prediction, check_label, check_prediction

__all__ = ["Ingest"]

_R = TypeVar("_R", Prediction, Label)
_OFF_THE_LOOP = 256 * 1024  # bodies from this size are parsed in a thread, so that others are still answered

_decode_msgpack = msgspec.msgpack.Decoder(Batch).decode
_decode_json = msgspec.json.Decoder(Batch).decode


class Ingest:
    """The way in for everything that the API takes; `ring_pending` says how many exchanges wait before the spool."""

    def __init__(
        self,
        spool: Spool,
        clock: Callable[[], datetime],
        *,
        limits: Limits | None = None,
        ring_pending: Callable[[], int] | None = None,
    ) -> None:
        self.spool = spool
        self.limits = limits or Limits()
        self._clock = clock
        self._ring_pending = ring_pending or (lambda: 0)

    async def predictions(self, body: bytes, *, lines: bool) -> Parsed:
        """Raises BodyError, SpoolError."""
        return await self._take(parse_predictions, "prediction", body, lines=lines)

    async def labels(self, body: bytes, *, lines: bool) -> Parsed:
        """Raises BodyError, SpoolError."""
        return await self._take(parse_labels, "label", body, lines=lines)

    async def _take(self, parse: Callable[..., Parsed], kind: str, body: bytes, *, lines: bool) -> Parsed:
        now = self._clock()
        if len(body) < _OFF_THE_LOOP:
            parsed = parse(body, lines=lines, now=now, limits=self.limits)
        else:
            parsed = await asyncio.to_thread(parse, body, lines=lines, now=now, limits=self.limits)
        if parsed.entries:
            await asyncio.wrap_future(self.spool.put(parsed.entries))
        metrics.ACCEPTED.labels(kind).inc(len(parsed.entries))
        metrics.REJECTED.labels(kind).inc(len(parsed.rejected))
        return parsed

    async def batch(self, body: bytes, *, packed: bool) -> tuple[int, bool]:
        """A batch of another collector: how many records, and whether its id is new. Raises BodyError, SpoolError."""
        batch, entries = await asyncio.to_thread(_read_batch, body, packed=packed)
        new = await asyncio.wrap_future(self.spool.put(entries, batch=batch.id))
        if new:
            metrics.ACCEPTED.labels("prediction").inc(len(batch.predictions))
            metrics.ACCEPTED.labels("label").inc(len(batch.labels))
        return len(entries), new

    def status(self) -> dict[str, Any]:
        """Counters of the spool; an exchange that still lies in the ring counts as one record."""
        counts, ring = self.spool.counters(), self._ring_pending()
        return {
            "spool": self.spool.id,
            "in_ring": ring,
            "accepted": counts["accepted"] + ring,
            "delivered": counts["delivered"],
            "pending": counts["pending"] + ring,
            "set_aside": counts["set_aside"],
            "bytes": counts["bytes"],
            "limit_bytes": self.spool.limit,
        }


def _read_batch(body: bytes, *, packed: bool) -> tuple[Batch, list[Entry]]:
    """One bad record refuses the whole batch: its sender then halves it until the bad one stands alone."""
    try:
        batch = _decode_msgpack(body) if packed else _decode_json(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BodyError(400, "the body is not a batch of records") from None
    if not batch.id or len(batch.id) > 200:
        raise BodyError(400, "the batch has no id, or one over 200 characters")
    try:
        batch.id.encode()
    except UnicodeEncodeError:
        raise BodyError(400, "the batch's id is not valid Unicode") from None
    entries = [
        *_checked("predictions", batch.predictions, check_prediction),
        *_checked("labels", batch.labels, check_label),
    ]
    return batch, entries


def _checked(kind: str, records: Sequence[_R], check: Callable[[_R], str | None]) -> list[Entry]:
    entries = []
    for index, record in enumerate(records):
        try:
            problem = check(record)
            entries.append(encode_record(record))
        except ValueError as error:
            problem = str(error)
        if problem:
            raise BodyError(400, f"{kind}[{index}]: {problem}")
    return entries
