"""What a collector says about itself: to the table `collectors`, and its losses to the model's own findings.

Losses go the way of predictions: as a summary of the minute in which they were noticed, through the spool, once. So the
windows from which something is missing say how much. What was set aside and is tried again is taken off that minute, and
told anew when it is refused again. What has no model (a server's spool) is in the table alone.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from collector.errors import BodyError, SpoolError
from collector.spool import Spool
from collector.spool_file import SpoolFile
from collector.spool_records import UNKEPT, Entry, Unkept, encode_record
from remora import __version__
from remora.records import MAX_NAME, CollectorReport, Profiled
from remora.summaries import TrafficSummary, encode
from remora.summaries.profile import LOST, minute_of

__all__ = ["Reporter", "Reports", "lost_of", "read_reports"]

_EVERY_SECONDS: Final = 15.0
_MOST: Final = 10_000  # collectors whose reports wait to be passed on
_COUNTERS: Final = 100
_NOBODY_KNOWS: Final = 0  # the status of what was lost
_IN_RING: Final = ("dropped_full", "dropped_oversize", "resyncs")
_IN_SPOOL: Final = ("expired", "set_aside")

_decode = msgspec.json.Decoder(list[CollectorReport]).decode


def read_reports(body: bytes) -> list[CollectorReport]:
    """The reports of other collectors. Raises BodyError."""
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BodyError(400, "the body is not a list of reports") from None
    for index, one in enumerate(found):
        names = (one.id, one.host, one.version, one.model or "-")
        if not all(0 < len(name) <= MAX_NAME and name.isprintable() for name in names):
            raise BodyError(400, f"reports[{index}]: has a name that is empty, unprintable or too long")
        if len(one.counters) > _COUNTERS or not all(
            0 < len(name) <= MAX_NAME and name.isprintable() for name in one.counters
        ):
            raise BodyError(
                400, f"reports[{index}]: has more than {_COUNTERS} counters, or one with a bad name"
            )
        if one.started_at.tzinfo is None or not 1900 < one.started_at.year < 2200:
            raise BodyError(400, f"reports[{index}]: `started_at` is no instant of the years 1901 to 2199")
    return found


class Reports:
    """The newest report of each collector that reports here, until it is passed on."""

    def __init__(self) -> None:
        self._waiting: dict[str, CollectorReport] = {}
        self._lock = threading.Lock()

    def take(self, reports: Sequence[CollectorReport]) -> None:
        """Keep the newest of each; the oldest ones go where they are too many."""
        with self._lock:
            for one in reports:
                self._waiting.pop(one.id, None)
                self._waiting[one.id] = one
            for old in list(self._waiting)[:-_MOST]:
                del self._waiting[old]

    def give(self) -> list[CollectorReport]:
        """All that wait; they wait no longer."""
        with self._lock:
            found, self._waiting = list(self._waiting.values()), {}
        return found


def lost_of(counters: Mapping[str, float]) -> float:
    """Records that were seen and will never arrive; a damaged place in the ring counts as one."""
    return sum(counters.get(name, 0) for name in _IN_RING + _IN_SPOOL)


def _sum(counters: Mapping[str, int], names: Sequence[str]) -> int:
    return sum(counters[name] for name in names)


class Reporter:
    """Speaks for one spool; its delivery asks it to. `numbers` gives the counters of all stages, flat."""

    def __init__(
        self, spool: Spool, numbers: Callable[[], dict[str, float]], clock: Callable[[], datetime], *,
        model: str = "", ring: str = "", others: Reports | None = None,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._numbers = numbers
        self._clock = clock
        self._model = model
        self._ring = ring
        self._others = others or Reports()
        self._started = clock()
        self._due = 0.0
        self._last = (time.monotonic(), numbers().get("accepted", 0.0))
        if model:
            spool.tell = self._of_aside

    def note_losses(self) -> None:
        """Put what was lost since the last time into the spool, and in the same transaction that it was."""
        if not self._model:
            return
        numbers = self._numbers()
        in_ring = int(sum(numbers.get(name, 0) for name in _IN_RING))
        if (self._ring, in_ring, _sum(self._spool.counters(), _IN_SPOOL)) == self._spool.lost:
            return

        def action(file: SpoolFile, counts: dict[str, int]) -> None:
            ring, told_in_ring, told_in_spool = file.lost()
            in_spool = _sum(counts, _IN_SPOOL)
            lost = in_ring - (told_in_ring if ring == self._ring else 0) + in_spool - told_in_spool
            if lost >= 0:  # nothing, too: so it is known that somebody looks
                self._spool.write(file, counts, [self._entry(lost, self._clock())])
            file.set_lost(self._ring, in_ring, in_spool)

        with contextlib.suppress(SpoolError):  # full: its own losses are told when there is room again
            self._spool.transact(action).result()

    def _of_aside(self, file: SpoolFile, entries: Sequence[Entry], at: float, sign: int) -> list[Entry]:
        """In the minute in which records were set aside, and off the same one where they are tried again.

        Summaries are no requests: telling of them might be refused as they were, and so on for ever.
        """
        ring, in_ring, in_spool = file.lost()
        file.set_lost(ring, in_ring, in_spool + sign * sum(entry.count for entry in entries))
        requests = sum(entry.count for entry in entries if entry.kind != UNKEPT)
        if not requests or not at:  # a spool of Remora's first form did not know when
            return []
        return [self._entry(sign * requests, datetime.fromtimestamp(at, UTC))]

    def _entry(self, count: int, at: datetime) -> Entry:
        summary = TrafficSummary({_NOBODY_KNOWS: count})
        told = Profiled(
            model=self._model, version="", segment="", start=minute_of(at), column=LOST, kind=summary.kind,
            data=encode(summary),
        )  # fmt: skip
        return encode_record(Unkept(profiles=[told]))

    def due(self, *, last: bool = False) -> list[CollectorReport]:
        """What is to be said now: this collector's report and those of others; nothing while it is too early."""
        now = time.monotonic()
        if now < self._due and not last:
            return []
        self._due = now + _EVERY_SECONDS
        numbers: dict[str, Any] = self._numbers()
        then, accepted = self._last
        self._last = (now, numbers.get("accepted", 0.0))
        rate = (self._last[1] - accepted) / max(1e-9, now - then)
        own = CollectorReport(
            id=self._spool.id, host=socket.gethostname()[:MAX_NAME], model=self._model, version=__version__,
            started_at=self._started,
            counters={**numbers, "records_per_second": round(rate, 3), "lost": lost_of(numbers),
                      "running": 0 if last else 1},
        )  # fmt: skip
        return [own, *self._others.give()]
