"""What a collector says about itself: to the table `collectors`, and its losses to the model's own findings.

Losses go the way of predictions: as a summary of the minute in which they were noticed, through the spool, once. So the
windows from which something is missing say how much. What has no model (a server's spool) is in the table alone.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from collector.errors import BodyError, SpoolError
from collector.spool import Spool
from collector.spool_file import SpoolFile
from collector.spool_records import Unkept, encode_record
from remora import __version__
from remora.records import MAX_NAME, CollectorReport, Profiled
from remora.summaries import TrafficSummary, encode
from remora.summaries.profile import LOST, minute_of

__all__ = ["Reporter", "Reports", "lost_of", "read_reports"]

_EVERY_SECONDS: Final = 15.0
_MOST: Final = 10_000  # collectors whose reports wait to be passed on
_COUNTERS: Final = 100
_NOBODY_KNOWS: Final = 0  # the status of what was lost

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
    names = ("dropped_full", "dropped_oversize", "resyncs", "expired", "set_aside")
    return sum(counters.get(name, 0) for name in names)


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

    def note_losses(self) -> None:
        """Put what was lost since the last time into the spool, and in the same transaction that it was."""
        if not self._model:
            return
        counts, (ring, told_before, told_in_spool) = self._spool.counters(), self._spool.lost
        in_spool = counts["expired"] + counts["set_aside"]
        before_it = int(lost_of(self._numbers())) - in_spool
        told_before = told_before if ring == self._ring else 0
        # What was set aside and is tried again was told already, also where it is set aside once more.
        marks = (self._ring, max(before_it, told_before), max(in_spool, told_in_spool))
        if marks == self._spool.lost:
            return
        lost = marks[1] - told_before + marks[2] - told_in_spool
        entries = [encode_record(Unkept(profiles=[self._profiled(lost)]))]

        def action(file: SpoolFile, counts: dict[str, int]) -> tuple[str, int, int]:
            self._spool.write(file, counts, entries)
            file.set_lost(*marks)
            return marks

        try:
            self._spool.lost = self._spool.transact(action).result()
        except SpoolError:
            return  # full: its own losses are told when there is room again

    def _profiled(self, count: int) -> Profiled:
        summary = TrafficSummary({_NOBODY_KNOWS: count})
        return Profiled(
            model=self._model, version="", segment="", start=minute_of(self._clock()), column=LOST,
            kind=summary.kind, data=encode(summary),
        )  # fmt: skip

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
