"""Take records: parse, put into the spool, answer once they are on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from collector import metrics
from collector.balance import balance
from collector.batches import read_batch
from collector.bodies import Limits
from collector.capture import Captures
from collector.errors import SpoolError
from collector.events import Events
from collector.events.pairing import Pairing
from collector.exchanges import parse_exchanges
from collector.parsing import Parsed, parse_labels, parse_predictions
from collector.privacy import Gate
from collector.reporting import Reports, read_reports
from collector.spool import Spool, encode_records
from collector.spool_file import Aside, Entry
from collector.spool_records import personal_entries

__all__ = ["Ingest"]

_OFF_THE_LOOP = 256 * 1024  # bodies from this size are parsed in a thread, so that others are still answered


def _shown(one: Aside) -> dict[str, Any]:
    return {"batch": one.batch, "records": one.records, "at": one.at, "reason": one.reason}


class Ingest:
    """The way in for all that the API takes, also CloudEvents (`events`).

    `model` is whose events are that name none; `ring` gives how many exchanges wait in it, and the forwarder's counters.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Callable[[], datetime],
        gate: Gate,
        *,
        model: str = "",
        limits: Limits | None = None,
        ring: Callable[[], tuple[int, dict[str, int]]] = lambda: (0, {}),
    ) -> None:
        self.spool = spool
        self.limits = limits or Limits()
        self._clock = clock
        self._gate = gate
        self.captures = Captures(gate.config)
        self.events = Events(
            spool,
            Pairing(self.captures, gate),
            model=model,
            within=gate.config.delivery.pair_within,
        )
        self.reports = Reports()
        self._ring = ring
        self._api = {"read": 0, "taken": 0, "rejected": 0, "refused": 0}

    async def predictions(self, body: bytes, *, lines: bool) -> Parsed:
        """Raises BodyError, SpoolError."""
        return await self._take(self._redacted, "prediction", body, lines=lines)

    def _redacted(self, body: bytes, **how: Any) -> Parsed:
        parsed = parse_predictions(body, **how)
        parsed.records = self._gate.redact(parsed.records)
        return parsed

    async def exchanges(self, body: bytes, *, lines: bool) -> Parsed:
        """Requests and answers as they were on the wire. Raises BodyError, SpoolError."""
        return await self._take(self._read, "prediction", body, lines=lines)

    def _read(self, body: bytes, **how: Any) -> Parsed:
        parsed = parse_exchanges(body, **how, captures=self.captures)
        parsed.records = self._gate.redact(parsed.records)
        return parsed

    async def labels(self, body: bytes, *, lines: bool) -> Parsed:
        """Raises BodyError, SpoolError."""
        return await self._take(self._joinable, "label", body, lines=lines)

    def _joinable(self, body: bytes, **how: Any) -> Parsed:
        return parse_labels(body, **how, also=self._gate.refuses)

    async def _take(self, parse: Callable[..., Parsed], kind: str, body: bytes, *, lines: bool) -> Parsed:
        if len(body) < _OFF_THE_LOOP:
            parsed, entries = self._encoded(parse, body, lines=lines)
        else:
            parsed, entries = await asyncio.to_thread(self._encoded, parse, body, lines=lines)
        await self._put(entries, len(parsed.records), len(parsed.rejected))
        metrics.ACCEPTED.labels(kind).inc(len(parsed.records))
        metrics.REJECTED.labels(kind).inc(len(parsed.rejected))
        return parsed

    async def _put(self, entries: list[Entry], records: int, rejected: int, batch: str | None = None) -> bool:
        """Into the spool, and count it; False when the batch is there already. Raises SpoolError."""
        new = True
        try:
            if entries or batch:
                new = await asyncio.wrap_future(self.spool.put(entries, batch=batch))
        except SpoolError:
            self._count(records + rejected, rejected=rejected, refused=records)
            raise
        self._count(records + rejected, taken=records, rejected=rejected)
        return new

    def _count(self, read: int, *, taken: int = 0, rejected: int = 0, refused: int = 0) -> None:
        for name, value in (("read", read), ("taken", taken), ("rejected", rejected), ("refused", refused)):
            self._api[name] += value

    def _encoded(
        self, parse: Callable[..., Parsed], body: bytes, *, lines: bool
    ) -> tuple[Parsed, list[Entry]]:
        parsed = parse(body, lines=lines, now=self._clock(), limits=self.limits)
        return parsed, encode_records(parsed.records) + personal_entries(self._gate.found())

    async def batch(self, body: bytes, *, packed: bool) -> tuple[int, bool]:
        """A batch of another collector: how many records, and whether its id is new. Raises BodyError, SpoolError."""
        batch, entries = await asyncio.to_thread(read_batch, body, self._gate, packed=packed)
        records = sum(entry.count for entry in entries)
        new = await self._put(entries, records, 0, batch.id)
        if new:
            metrics.ACCEPTED.labels("prediction").inc(len(batch.predictions))
            metrics.ACCEPTED.labels("label").inc(len(batch.labels))
        return records, new

    async def collectors(self, body: bytes) -> int:
        """What other collectors say about themselves; how many. Raises BodyError."""
        found = read_reports(body)
        self.reports.take(found)
        return len(found)

    def numbers(self) -> dict[str, float]:
        """The counters of every stage under one name each, for a report."""
        ring, requests = self._ring()
        counts = self.spool.counters()
        return {
            **requests,
            **{f"api_{name}": value for name, value in self._api.items()},
            **counts,
            "in_ring": ring,
            "limit_bytes": self.spool.limit,
            "lag_seconds": round(self.spool.age(), 3),
        }

    async def list_aside(self, limit: int, before: int) -> dict[str, Any]:
        """A page of what was set aside, the newest first, and where the next one begins. Raises SpoolError."""
        found = await asyncio.to_thread(self.spool.list_aside, limit + 1, before)
        page = found[:limit]
        return {
            "aside": [_shown(one) for one in page],
            "next": page[-1].number if len(found) > limit else None,
        }

    async def retry_aside(self, batch: str) -> int:
        """Deliver a batch that was set aside after all; how many records. Raises SpoolError."""
        return await asyncio.to_thread(self.spool.retry_aside, batch)

    async def discard_aside(self, batch: str) -> int:
        """Delete a batch that was set aside; how many records. Raises SpoolError."""
        return await asyncio.to_thread(self.spool.discard_aside, batch)

    def now(self) -> datetime:
        """The collector's clock."""
        return self._clock()

    def status(self) -> dict[str, Any]:
        """Counters of every stage; an exchange that still lies in the ring counts as one record."""
        counts, (ring, requests) = self.spool.counters(), self._ring()
        counts["accepted"] += ring
        counts["pending"] += ring
        stages = {"requests": requests, "api": self._api, "records": counts, "deliveries": counts}
        return {
            "spool": self.spool.id,
            "in_ring": ring,
            **counts,
            "limit_bytes": self.spool.limit,
            "oldest_seconds": round(self.spool.age(), 3),
            "requests": requests,
            "balance": balance(stages),
            "aside": [_shown(one) for one in self.spool.aside()],
        }
