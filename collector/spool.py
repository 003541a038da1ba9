"""The spool: what was accepted and not delivered yet, on disk, through kill -9 and a database that is away.

One thread writes. Whatever waits when it looks goes into one transaction and one fsync (group commit): alone a
record is on disk at once, under load the fsync is shared. The future of `put` is resolved after the fsync.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector import metrics
from collector.errors import SpoolError, SpoolFullError
from collector.spool_file import Aside, Entry, Sealed, SpoolFile, open_file
from collector.spool_lock import lock_folder
from collector.spool_records import encode_record, encode_records
from collector.spool_records import to_batch as batch_of
from remora.errors import UserError
from remora.records import Batch
from remora.telemetry import get_logger

__all__ = ["Receipt", "Spool", "encode_record", "encode_records", "to_batch"]

log = get_logger("spool")

_SEALED_BYTES: Final = 8 * 1024 * 1024  # what another collector takes in one request
_CLOSED: Final = "the spool is closed"
_GROUP: Final = 256  # writes in one transaction at most
_SHOWN: Final = 20  # batches that were set aside


def to_batch(sealed: Sealed, source: str) -> Batch:
    """The records of a sealed batch. Raises msgspec.MsgspecError where they cannot be read."""
    return batch_of(sealed.id, sealed.entries, source)


@dataclass(frozen=True)
class Receipt:
    """What became of a delivered batch: records written, records that were there already, rows that only count.

    Of a batch that was `known` already they say what became of it then.
    """

    written: int = 0
    repeated: int = 0
    unkept: int = 0
    known: bool = False


class _Write:
    """One thing to be done inside the next transaction."""

    def __init__(self, action: Callable[[SpoolFile, dict[str, int]], Any]) -> None:
        self.action = action
        self.future: Future[Any] = Future()


def _nothing(_file: SpoolFile, _entries: Sequence[Entry], _at: float, _sign: int) -> Sequence[Entry]:
    return ()


class Spool:
    """`path` is the spool's folder; `limit` the bytes of records that may wait in it, `batch_bytes` those of a batch.

    The folder is locked: a second process waits until the first has let go, or raises UserError after `wait` seconds.
    `on_death` is called when the writing thread ends by a fault: from then on every write is refused.
    `clock` gives seconds since 1970. `tell` may be set: inside of a transaction in which records are set aside it is given
    the file, these records, when that was and 1, or -1 where they are tried again, and says what is to be delivered of it.
    """

    def __init__(
        self,
        path: Path,
        limit: int = 1 << 30,
        *,
        batch_bytes: int = _SEALED_BYTES,
        wait: float = 60.0,
        on_death: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self.limit = limit
        self._batch_bytes = batch_bytes
        self._clock = clock
        self._lock = lock_folder(path, wait)
        try:
            self._file = open_file(path / "spool.db")
        except (sqlite3.Error, OSError, UserError) as error:
            os.close(self._lock)
            raise UserError(f"the spool {path} cannot be opened: {error}") from None
        self.id = self._file.id
        self._counts = self._file.counters()
        self._ring = self._file.ring()
        self._oldest = self._file.oldest()
        self._aside = self._file.aside(_SHOWN)
        self._lost = self._file.lost()
        self.tell: Callable[[SpoolFile, Sequence[Entry], float, int], Sequence[Entry]] = _nothing
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._gate = threading.Lock()  # nothing is queued after the thread's last look
        self._ended = ""
        self._on_death = on_death or (lambda: None)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()
        metrics.SPOOL_AGE.set_function(self.age)
        self._show()

    # --- what anybody may ask ------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Records since the spool was made, by what became of them (see `collector.balance`); and bytes that wait."""
        counts = dict(self._counts)
        counts["pending"] = counts["accepted"] - counts["delivered"] - counts["set_aside"] - counts["expired"]
        return counts

    def age(self) -> float:
        """Seconds that the oldest record waits; 0 when none does."""
        oldest = self._oldest
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest)

    @property
    def pending(self) -> int:
        return self.counters()["pending"]

    @property
    def ring(self) -> tuple[bytes, int, int] | None:
        """Ring id, position and exchanges read that were committed last."""
        return self._ring

    @property
    def lost(self) -> tuple[str, int, int]:
        """What was told of losses: of which ring, how many there, and how many of the spool's own."""
        return self._lost

    def aside(self) -> list[Aside]:
        """The newest batches that were set aside, a few; oldest first."""
        return self._aside[::-1]

    def list_aside(self, limit: int, before: int) -> list[Aside]:
        """Batches that were set aside before the one of this number, the newest first. Raises SpoolError."""
        return self.transact(lambda file, _: file.aside(limit, before)).result()  # type: ignore[no-any-return]

    # --- writing -------------------------------------------------------------------------------------------------------

    def put(
        self,
        entries: Sequence[Entry],
        *,
        ring: tuple[bytes, int, int] | None = None,
        batch: str | None = None,
    ) -> Future[bool]:
        """Take records; the future is True after the fsync, False when `batch` had been received before.

        `ring` is remembered in the same transaction. Fails with SpoolFullError or SpoolError, and then nothing
        of this call is kept.
        """

        def action(file: SpoolFile, counts: dict[str, int]) -> bool:
            if batch is not None and not file.receive(batch):
                return False
            self.write(file, counts, entries)
            if ring is not None:
                file.set_meta(ring_id=ring[0], ring_position=ring[1], ring_read=ring[2])
            return True

        return self.transact(action)

    def write(self, file: SpoolFile, counts: dict[str, int], entries: Sequence[Entry]) -> None:
        """Take records inside of `transact`. Raises SpoolFullError."""
        self.take_room(counts, sum(entry.size for entry in entries))
        file.insert(entries, self._clock())
        counts["accepted"] += sum(entry.count for entry in entries)

    def take_room(self, counts: dict[str, int], size: int) -> None:
        """Count bytes that wait. Raises SpoolFullError."""
        if size and counts["bytes"] + size > self.limit:
            raise SpoolFullError(f"the spool holds {self.limit} bytes, as many as it may")
        counts["bytes"] += size

    def seal(self, rows: int) -> Sealed | None:
        """The next batch to deliver: the one sealed before, or at most `rows` new entries; None when nothing waits."""
        done = self.transact(lambda file, _: file.first_sealed() or file.seal(rows, self._batch_bytes))
        found: Sealed | None = done.result()
        return found

    def split(self, batch: Sealed) -> None:
        """Deliver the two halves of a refused batch apart."""
        self.transact(lambda file, _: file.split(batch)).result()

    def remove(self, batch: Sealed, receipt: Receipt) -> None:
        """The batch, the oldest one, is delivered."""

        def action(file: SpoolFile, counts: dict[str, int]) -> None:
            records, size = file.settle(batch.end)
            counts["delivered"] += records
            counts["bytes"] -= size
            for name in ("written", "repeated", "unkept"):
                counts[name] += getattr(receipt, name)

        self.transact(action).result()

    def set_aside(self, batch: Sealed, reason: str) -> None:
        """Nobody will ever take this batch, the oldest one: keep it apart, with the reason."""

        def action(file: SpoolFile, counts: dict[str, int]) -> list[Aside]:
            at = self._clock()
            file.set_aside(batch, reason, at, self.limit // 16)
            records, size = file.settle(batch.end)
            counts["set_aside"] += records
            counts["bytes"] -= size
            self._told(file, counts, self.tell(file, batch.entries, at, 1))
            return file.aside(_SHOWN)

        self._aside = self.transact(action).result()

    def retry_aside(self, batch: str) -> int:
        """Let a batch that was set aside wait for its delivery again, behind all others; how many records.

        That is 0 where no such batch lies there. Raises SpoolFullError, and then it stays where it is.
        """

        def action(file: SpoolFile, counts: dict[str, int]) -> tuple[int, list[Aside]]:
            entries, at = file.take_aside(batch)
            records = sum(entry.count for entry in entries)
            self.take_room(counts, sum(entry.size for entry in entries))
            file.insert(entries, self._clock())
            counts["set_aside"] -= records
            self._told(file, counts, self.tell(file, entries, at, -1))
            return records, file.aside(_SHOWN)

        records, self._aside = self.transact(action).result()
        return int(records)

    def _told(self, file: SpoolFile, counts: dict[str, int], entries: Sequence[Entry]) -> None:
        """However full it is: more was let go, or found room, in the same transaction."""
        file.insert(entries, self._clock())
        counts["accepted"] += sum(entry.count for entry in entries)
        counts["bytes"] += sum(entry.size for entry in entries)

    def discard_aside(self, batch: str) -> int:
        """Delete a batch that was set aside for good; it stays counted. How many records."""

        def action(file: SpoolFile, _counts: dict[str, int]) -> tuple[int, list[Aside]]:
            records = sum(entry.count for entry in file.take_aside(batch)[0])
            return records, file.aside(_SHOWN)

        records, self._aside = self.transact(action).result()
        return int(records)

    def expire(self, seconds: float) -> int:
        """Drop what has waited longer; how many records that were."""
        if self.age() <= seconds:
            return 0

        def action(file: SpoolFile, counts: dict[str, int]) -> int:
            records, size = file.settle(file.expired(self._clock() - seconds))
            counts["expired"] += records
            counts["bytes"] -= size
            return records

        return int(self.transact(action).result())

    def transact(self, action: Callable[[SpoolFile, dict[str, int]], Any]) -> Future[Any]:
        """Do something in the next transaction, which may be done anew after a failure; the future is its result.

        `action` is given the file and the counters, and may change both; a SpoolError that it raises undoes it alone.
        """
        write = _Write(action)
        with self._gate:
            if self._ended:
                write.future.set_exception(SpoolError(self._ended))
            else:
                self._queue.put(write)
        return write.future

    # --- the writing thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        taken: list[_Write] = []
        try:
            while not self._group(taken):
                taken.clear()
        except BaseException:
            log.critical("spool_writer_died", exc_info=True, what="every write is refused from now on")
            self._die(taken)

    def _group(self, taken: list[_Write]) -> bool:
        """Commit what waits, `taken` from the queue; True when that was the last."""
        last = False
        group = [self._queue.get()]
        while len(group) < _GROUP and not self._queue.empty():
            group.append(self._queue.get())
        for write in group:
            if write is None:
                last = True
            elif write.future.set_running_or_notify_cancel():  # from here on nobody can cancel it
                taken.append(write)
        if taken and not self._commit(taken) and len(taken) > 1:
            for write in taken:  # one may be too large for what is left, the others not
                if not write.future.done():
                    self._commit([write])
        return last

    def _die(self, taken: list[_Write]) -> None:
        """Leave nobody waiting for a thread that is gone."""
        metrics.FAULTS.labels("spool").inc()
        with self._gate:
            self._ended = "the spool's writer has ended by a fault"
            while not self._queue.empty():
                write = self._queue.get()
                if write is not None and write.future.set_running_or_notify_cancel():
                    taken.append(write)
        for write in taken:
            if not write.future.done():
                write.future.set_exception(SpoolError(self._ended))
        self._on_death()

    def _commit(self, writes: list[_Write]) -> bool:
        """One transaction. When it fails, nothing of it is kept; a single write is told why."""
        counts = dict(self._counts)
        results: list[Any] = []
        connection = self._file.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [_attempt(write, self._file, counts) for write in writes]
            changed = {key: value for key, value in counts.items() if value != self._counts[key]}
            if changed:
                self._file.set_meta(**changed)
            ring, oldest, lost = self._file.ring(), self._file.oldest(), self._file.lost()
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
            _rollback(connection)
            if len(writes) == 1:
                metrics.SPOOL_REFUSED.inc()
                writes[0].future.set_exception(_problem(error))
            return False
        self._counts, self._ring, self._oldest, self._lost = counts, ring, oldest, lost
        self._show()
        for write, result in zip(writes, results, strict=True):
            if isinstance(result, SpoolError):
                metrics.SPOOL_REFUSED.inc()
                write.future.set_exception(result)
            else:
                write.future.set_result(result)
        return True

    def _show(self) -> None:
        metrics.PENDING.set(self.pending)
        metrics.SPOOL_BYTES.set(self._counts["bytes"])

    def close(self) -> None:
        """Commit what waits, close the file, let the next process in."""
        with self._gate:
            if self._ended == _CLOSED:
                return
            self._ended = _CLOSED
            self._queue.put(None)
        self._thread.join()
        self._file.connection.close()
        os.close(self._lock)


def _attempt(write: _Write, file: SpoolFile, counts: dict[str, int]) -> Any:
    """Do one write of a group; a refusal undoes that write only."""
    before = dict(counts)
    file.connection.execute("SAVEPOINT one")
    try:
        result = write.action(file, counts)
    except SpoolError as error:
        file.connection.execute("ROLLBACK TO one")
        counts.update(before)
        result = error
    file.connection.execute("RELEASE one")
    return result


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite may have rolled back by itself, as on a full disk
        connection.execute("ROLLBACK")


def _problem(error: Exception) -> SpoolError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return SpoolFullError("the disk of the spool is full")
    return SpoolError(f"the spool cannot be written: {name or error}")
