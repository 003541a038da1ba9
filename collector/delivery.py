"""Empty the spool: seal a batch, hand it over, remove it; in order, for as long as it takes."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from collector import metrics
from collector.errors import BusyError, RefusedError, SpoolError
from collector.reporting import Reporter
from collector.sinks import Sink
from collector.spool import Receipt, Spool, to_batch
from collector.spool_file import Place, Sealed
from remora.config.load import Delivery as Settings
from remora.errors import UnavailableError
from remora.records import Batch
from remora.telemetry import get_logger

__all__ = ["Delivery", "Pace", "backoff"]

log = get_logger("delivery")

_LONGEST = 30.0
_LONGEST_ASKED = 300.0
_TIDY_SECONDS = 3.0
_POLL = 0.05
_SAME_FAULTS = 5  # in a row: then it is the data, not the moment


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait after `attempt` failures in a row: 0.25 s doubled up to 30 s, less up to half by `chance`."""
    return min(_LONGEST, 0.25 * 2.0 ** min(attempt, 10)) * (1 - chance / 2)


@dataclass(frozen=True)
class Pace:
    """`rows` records at a time, or what is there after `interval` seconds; what waits over `max_age` seconds is dropped."""

    rows: int = 5000
    interval: float = 1.0
    max_age: float = 7 * 86_400.0

    @classmethod
    def of(cls, settings: Settings) -> Pace:
        return cls(settings.batch_rows, settings.interval.total_seconds(), settings.max_age.total_seconds())


def _as_it_is(batch: Batch) -> Batch:
    return batch


class Delivery:
    """A thread that delivers at a pace.

    `prepare` is given every batch before the sink is: it may move predictions into `profiles` and `unkept`, and must do
    the same to the same batch whenever it is sent again.
    """

    def __init__(
        self, spool: Spool, sink: Sink, *, source: str, pace: Pace = Pace(),
        prepare: Callable[[Batch], Batch] = _as_it_is, reporter: Reporter | None = None,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._sink = sink
        self._source = source
        self._pace = pace
        self._prepare = prepare
        self._reporter = reporter
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._failures = 0
        self._fault, self._faults = "", 0
        self._suspect = Place(0, 0), Place(0, 0), ""  # ends of the batch that is being halved, and its fault
        self._asked_wait = 0.0
        self._tidy_at = 0.0
        self.last_error = ""

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def step(self) -> bool:
        """Deliver one batch; False when nothing waits. Raises UnavailableError."""
        sealed = self._spool.seal(self._pace.rows)
        if sealed is None:
            return False
        started = time.monotonic()
        try:
            receipt = self._write(sealed)
        except (RefusedError, msgspec.MsgspecError) as error:
            self._refused(sealed, str(error))
            return True
        except (UnavailableError, SpoolError):
            raise
        except Exception as error:
            if not self._hopeless(sealed, type(error).__name__):
                raise
            self._refused(sealed, f"an unexpected {type(error).__name__} while it was written")
            return True
        self._fault, self._faults = "", 0
        lag = self._spool.age()
        self._spool.remove(sealed, receipt)
        metrics.DELIVERED.inc(sealed.records)
        metrics.DELIVERY_LAG.set(lag)
        metrics.DELIVERY_SECONDS.observe(time.monotonic() - started)
        return True

    def _write(self, sealed: Sealed) -> Receipt:
        batch = to_batch(sealed, self._source)
        prepared = self._prepare(batch)
        receipt = self._sink.write(prepared)
        rows = len(batch.predictions) + len(batch.labels)
        return Receipt(
            written=receipt.written
            + sealed.records
            - rows,  # what is neither came from another collector, to be added
            repeated=receipt.repeated,
            unkept=len(batch.predictions) - len(prepared.predictions),
        )

    def _hopeless(self, sealed: Sealed, fault: str) -> bool:
        """Whether a fault is the batch's own: it came so often in a row, or the batch is a piece of such a one."""
        self._faults = self._faults + 1 if fault == self._fault else 1
        self._fault = fault
        if sealed.first < self._suspect[1] and sealed.end > self._suspect[0] and fault == self._suspect[2]:
            return True
        if self._faults < _SAME_FAULTS:
            return False
        metrics.FAULTS.labels("batch").inc()
        log.error("batch_given_up", batch=sealed.id, fault=fault, what="halving it to find the record")
        self._suspect = sealed.first, sealed.end, fault
        return True

    def _refused(self, sealed: Sealed, reason: str) -> None:
        """Halve a refused batch until the bad record stands alone; only that one is set aside."""
        if sealed.records > 1:
            self._spool.split(sealed)
            return
        self._spool.set_aside(sealed, reason)
        metrics.SET_ASIDE.inc(sealed.records)
        log.error("record_set_aside", batch=sealed.id, reason=reason)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._attempt():
                continue
            if self._failures:
                self._stop.wait(max(self._asked_wait, backoff(self._failures, random.random())))  # noqa: S311
            else:
                self._wait_for_rows()

    def _wait_for_rows(self) -> None:
        """Let records gather, so that a quiet model does not cost a transaction per row."""
        deadline = time.monotonic() + self._pace.interval
        while not self._stop.wait(min(_POLL, self._pace.interval)):
            if time.monotonic() >= deadline or self._spool.pending >= self._pace.rows:
                return

    def _attempt(self) -> bool:
        """One edge for everything that delivering can meet; True when there may be more to do."""
        try:
            self._expire()
            if self._reporter is not None:
                self._reporter.note_losses()
            more = self.step()
            self._report()
            if not more:
                self._tidy()
        except (UnavailableError, SpoolError) as error:
            asked = error.seconds if isinstance(error, BusyError) else 0.0
            self._failed(str(error), min(asked, _LONGEST_ASKED))
            return False
        except Exception as error:
            metrics.FAULTS.labels("delivery").inc()
            log.exception("delivery_fault")
            self._failed(type(error).__name__)
            return False
        if self._failures:
            log.info("delivery_recovered", after_failures=self._failures)
        self._failures, self.last_error = 0, ""
        return more

    def _expire(self) -> None:
        """Drop what is too old, loudly; before the next attempt, so that an outage does not make it last for ever."""
        expired = self._spool.expire(self._pace.max_age)
        if expired:
            metrics.EXPIRED.inc(expired)
            log.error("records_expired", records=expired, older_than_seconds=self._pace.max_age)

    def _report(self, *, last: bool = False) -> None:
        """Say how this collector fares. What cannot be said now is said anew later: it is the state, not an event."""
        reports = self._reporter.due(last=last) if self._reporter is not None else []
        if reports:
            self._sink.report(reports)

    def _failed(self, reason: str, asked_wait: float = 0.0) -> None:
        self._failures += 1
        self._asked_wait = asked_wait
        metrics.DELIVERY_FAILURES.inc()
        if self._failures in {1, 10} or reason != self.last_error:
            log.warning("delivery_waits", reason=reason, pending=self._spool.pending, failures=self._failures)
        self.last_error = reason

    def _tidy(self) -> None:
        """Now and then; when that takes long, more seldom, so that it never takes over a twentieth of the time."""
        started = time.monotonic()
        if started < self._tidy_at:
            return
        self._sink.tidy()
        ended = time.monotonic()
        self._tidy_at = ended + max(_TIDY_SECONDS, 20 * (ended - started))

    def drain(self, seconds: float) -> bool:
        """Stop the thread, then deliver what is left for at most `seconds`; True when nothing is left."""
        deadline = time.monotonic() + seconds
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
            if self._thread.is_alive():
                return False
        while self._spool.pending and time.monotonic() < deadline:
            if not self._attempt() and self._failures:
                time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
        if not self._failures:
            with contextlib.suppress(UnavailableError):
                self._report(last=True)
        return self._spool.pending == 0
