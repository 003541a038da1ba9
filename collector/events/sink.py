"""Take events: one that completes a pair becomes records, one that does not waits in the spool's file.

Both are one transaction, so a pair is written exactly once, whatever is killed, repeated or out of order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final

import msgspec

from collector import metrics
from collector.errors import SpoolError
from collector.events.envelope import Event
from collector.events.feedback import labels_of
from collector.events.halves import Halves
from collector.events.kinds import ANSWER, FEEDBACK, REQUEST, Side, side_of
from collector.events.pairing import Half, Pairing
from collector.spool import Spool, encode_records
from collector.spool_file import Entry, SpoolFile
from remora.telemetry import get_logger

__all__ = ["Events", "Taken"]

log = get_logger("events")

_OTHER: Final = {REQUEST: ANSWER, ANSWER: REQUEST}
_SWEEP: Final = 500
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Half).decode


class Taken(msgspec.Struct, frozen=True):
    """What became of an event: `records` made of it now; 0 for one that waits, or that was there before."""

    records: int = 0
    repeated: bool = False


class Events:
    """`model` is whose events are that name none; `within` how long one side waits for the other."""

    def __init__(self, spool: Spool, pairing: Pairing, *, model: str = "", within: timedelta) -> None:
        self._spool = spool
        self._pairing = pairing
        self._model = model
        self._within = within.total_seconds()
        self._spool.transact(lambda file, _: Halves(file.connection).prepare()).result()
        metrics.EVENTS_WAITING.set_function(lambda: self._spool.counters()["sides"])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Begin to give up on sides that waited long enough."""
        self._thread.start()

    def stop(self) -> None:
        """Nothing is lost: what waits, waits in the spool's file."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def take(self, event: Event, now: datetime) -> Future[Taken] | str:
        """The future is done once the event is on disk; a text says what is wrong with it.

        The future fails with SpoolError, and then nothing of the event is kept.
        """
        side = side_of(event, self._model, now)
        if isinstance(side, str):
            return side
        if side.kind == FEEDBACK:
            return self._feedback(side)
        half = self._pairing.half(side)
        metrics.EVENTS.labels(side.kind).inc()
        return self._spool.transact(lambda file, counts: self._meet(file, counts, side, half))

    def _feedback(self, side: Side) -> Future[Taken] | str:
        labels = labels_of(side)
        if isinstance(labels, str):
            return labels
        metrics.EVENTS.labels(FEEDBACK).inc()
        return self._spool.transact(lambda file, counts: self._write(file, counts, encode_records(labels)))

    def _meet(self, file: SpoolFile, counts: dict[str, int], side: Side, half: Half) -> Taken:
        halves = Halves(file.connection)
        if halves.is_paired(side.key) or halves.get(side.key, side.kind) is not None:
            return Taken(repeated=True)
        found = halves.get(side.key, _OTHER[side.kind])
        if found is None:
            data = _encode(half)
            self._spool.take_room(counts, len(data))
            halves.put(side.key, side.kind, time.time(), data)
            counts["sides"] += 1
            return Taken()
        asked, answered = (half, _decode(found)) if side.kind == REQUEST else (_decode(found), half)
        entries = encode_records(self._pairing.joined(asked, answered))
        return self._settled(file, counts, side.key, found, entries)

    def _settled(
        self, file: SpoolFile, counts: dict[str, int], key: str, waited: bytes, entries: Sequence[Entry]
    ) -> Taken:
        """Records instead of the side that waited."""
        counts["bytes"] -= len(waited)
        counts["sides"] -= 1
        Halves(file.connection).settle(key)
        return self._write(file, counts, entries)

    def _write(self, file: SpoolFile, counts: dict[str, int], entries: Sequence[Entry]) -> Taken:
        self._spool.write(file, counts, entries)
        return Taken(sum(entry.count for entry in entries))

    def sweep(self, now: float) -> int:
        """Write down what waited too long, as what is known of it; how many sides. Raises SpoolError."""

        def action(file: SpoolFile, counts: dict[str, int]) -> int:
            old = Halves(file.connection).older(now - self._within, _SWEEP)
            for key, kind, data in old:
                rows = self._pairing.lonely(_decode(data), kind)
                self._settled(file, counts, key, data, encode_records(rows))
            return len(old)

        gone = int(self._spool.transact(action).result())
        metrics.EVENTS_UNPAIRED.inc(gone)
        return gone

    def _run(self) -> None:
        while not self._stop.wait(min(1.0, self._within / 4)):
            try:
                while self.sweep(time.time()) == _SWEEP:
                    pass
            except SpoolError as error:
                log.warning("events_wait", reason=str(error), sides=self._spool.counters()["sides"])
            except Exception:
                metrics.FAULTS.labels("events").inc()
                log.exception("events_fault")
