"""The thread that carries exchanges from the ring into the spool: read, parse, fsync, release."""

from __future__ import annotations

import threading

import msgspec

from collector import metrics
from collector.capture import Capture
from collector.errors import SpoolError
from collector.exchange import Exchange, decode
from collector.observed import Observed, observe
from collector.privacy import Gate
from collector.ring import Ring
from collector.spool import Spool, encode_record
from collector.spool_file import Entry
from collector.spool_records import personal_entries
from remora.telemetry import get_logger

__all__ = ["RingReader"]

log = get_logger("recorder")

_EXCHANGES = 256
_ROWS = 5000
_SHARE = 16  # a step is at most this part of what the spool may hold, or one exchange
_IDLE_SECONDS = 0.02
_RETRY_SECONDS = 0.5


class RingReader:
    """Goes on where the spool says that the last reader of this ring stopped."""

    def __init__(self, ring: Ring, spool: Spool, capture: Capture, gate: Gate) -> None:
        self._ring = ring
        self._spool = spool
        self._capture = capture
        self._gate = gate
        known = spool.ring
        if known is not None and known[0] == ring.id:
            self._position, self._read = known[1], known[2]
        else:
            self._position, self._read = ring.tail, 0
        self._position = max(self._position, ring.tail)
        ring.release(self._position)
        self._until: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ring", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def pending(self) -> int:
        """Exchanges that lie in the ring and are not in the spool yet."""
        if self._position >= self._ring.head:
            return 0
        return max(1, self._ring.counters()["captured"] - self._read)

    def step(self) -> bool:
        """Carry what is there, within bounds; False when nothing was. Raises SpoolError, and then nothing moved."""
        entries: list[Entry] = []
        position, count, size = self._position, 0, 0
        for payload, after in self._ring.read(self._position, _EXCHANGES):
            new = self._entries(payload)
            size += _size(new)
            if entries and size > self._spool.limit // _SHARE:
                break  # it is read again in the next step: a full spool must be able to take one step at a time
            entries += new
            position, count = after, count + 1
            if len(entries) >= _ROWS:
                break
        if not count:
            return False
        entries += personal_entries(self._gate.found())
        read = self._read + count
        if position == self._ring.head:  # nothing waits: whatever a damaged record cost is settled here
            read = self._ring.counters()["captured"]
        self._spool.put(entries, ring=(self._ring.id, position, read)).result()
        self._position, self._read = position, read
        self._ring.release(position)
        return True

    def _entries(self, payload: bytes) -> list[Entry]:
        try:
            exchange = decode(payload)
        except msgspec.MsgspecError:
            metrics.CAPTURE_UNREADABLE.labels("ring_record").inc()
            return []
        try:
            entries = [
                encode_record(row) for row in self._gate.redact(self._capture.rows(self._observed(exchange)))
            ]
        except Exception:
            metrics.FAULTS.labels("capture").inc()
            log.exception("capture_fault", exchange=exchange.id)
            return self._fitting(self._unread(exchange, "fault"))
        if _size(entries) > self._spool.limit:
            entries = self._unread(exchange, "too_large")
        return self._fitting(entries)

    def _unread(self, exchange: Exchange, reason: str) -> list[Entry]:
        return [encode_record(self._capture.unread(self._observed(exchange), reason))]

    def _observed(self, exchange: Exchange) -> Observed:
        return observe(exchange, trust_timestamp=self._capture.trust_timestamp)

    def _fitting(self, entries: list[Entry]) -> list[Entry]:
        """Nothing instead of what even an empty spool could not take: it would stop everything behind it for ever."""
        if _size(entries) <= self._spool.limit:
            return entries
        metrics.CAPTURE_DROPPED.inc()
        return []

    def _run(self) -> None:
        while not self._done():
            try:
                wait = 0.0 if self.step() else _IDLE_SECONDS
            except SpoolError as error:
                log.warning("ring_waits", reason=str(error), exchanges=self.pending)
                wait = _RETRY_SECONDS
                if self._stop.is_set():
                    return  # it stays in the ring for the next recorder
            if wait and not self._stop.is_set():
                self._stop.wait(wait)

    def _done(self) -> bool:
        return self._until is not None and self._position >= self._until

    def drain(self, seconds: float) -> bool:
        """Carry what lies in the ring now, then end; False when that took too long."""
        self._until = self._ring.head
        self._stop.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()


def _size(entries: list[Entry]) -> int:
    return sum(entry.size for entry in entries)
