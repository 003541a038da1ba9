"""A ring of byte records in shared memory: one producer, one consumer, survives kill -9 of both.

The file is one header page and `capacity` bytes of records. A record is `u32 length, u32 crc32, payload`,
padded to 8 bytes; it may run over the end of the ring, its 8-byte header never does. `head` and `tail` count
bytes since the ring was made and never go back; a record becomes visible when `head` moves past it, so what a
killed producer had half written is never seen. Words are stored with one aligned 8-byte store each.
"""

import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from collector.ring_file import (
    HEAD,
    ID,
    MIB,
    PAGE,
    TAIL,
    RingFile,
    create_file,
    find_file,
    lock_spool,
    places,
)
from remora.errors import UserError

__all__ = ["COUNTERS", "Ring"]

_RECORD: Final = struct.Struct("<II")

# Places of the header's words; those before are in collector/ring_file.py. Producer and consumer write on different cache lines.
_W_HEAD, _W_TAIL, _W_RESYNCS, _W_COUNTERS = HEAD, TAIL, 17, 32

# The forwarder's counters, by place. Only append to this list, or raise the version in collector/ring_file.py.
COUNTERS: Final = (
    "connections",
    "received",
    "forwarded",
    "captured",
    "captured_bytes",
    "dropped_full",
    "dropped_oversize",
    "not_prediction",
    "upstream_errors",
    "timeouts",
    "client_gone",
    "bad_requests",
    "api_requests",
    "tunnels",
    "connections_closed",
)
(
    CONNECTIONS,
    RECEIVED,
    FORWARDED,
    CAPTURED,
    CAPTURED_BYTES,
    DROPPED_FULL,
    DROPPED_OVERSIZE,
    NOT_PREDICTION,
    UPSTREAM_ERRORS,
    TIMEOUTS,
    CLIENT_GONE,
    BAD_REQUESTS,
    API_REQUESTS,
    TUNNELS,
    CONNECTIONS_CLOSED,
) = range(len(COUNTERS))


class Ring:
    """Use `create_or_open` in the forwarder (producer) and `attach` in the recorder (consumer)."""

    def __init__(self, file: RingFile, lock: int | None = None) -> None:
        self.path = file.path
        self._held = [file.held] if lock is None else [file.held, lock]
        self._memory = file.memory
        self._view = memoryview(file.memory)
        self._words = self._view[:PAGE].cast("Q")
        self._data = self._view[PAGE:]
        self.capacity = len(self._data)
        self.id = bytes(self._view[ID * 8 : ID * 8 + 16])
        self.counts = self._words[_W_COUNTERS : _W_COUNTERS + len(COUNTERS)]
        self._head = self._words[_W_HEAD]
        self._skip: tuple[int, int] | None = None

    @classmethod
    def create_or_open(cls, spool_dir: Path, capacity: int = 32 * MIB) -> Self:
        """The producer's end: goes on with the ring of this spool, or makes a new one.

        `capacity` is in bytes and a multiple of 4096. A ring of another size or version is replaced.
        Raises UserError when another forwarder holds the spool or when there is no room for the ring.
        """
        spool_dir.mkdir(parents=True, exist_ok=True)
        lock = lock_spool(spool_dir)
        try:
            file = find_file(spool_dir, capacity) or create_file(spool_dir, capacity)
        except BaseException:
            os.close(lock)
            raise
        for other in places(spool_dir):
            if other != file.path:
                other.unlink(missing_ok=True)
        file.sign(spool_dir)
        return cls(file, lock)

    @classmethod
    def attach(cls, spool_dir: Path) -> Self:
        """The consumer's end of a ring that a forwarder has made. Raises UserError when there is none."""
        found = find_file(spool_dir, None)
        if found is None:
            raise UserError(f"no ring for the spool {spool_dir}: start the forwarder first")
        return cls(found)

    @property
    def head(self) -> int:
        return self._words[_W_HEAD]

    @property
    def tail(self) -> int:
        return self._words[_W_TAIL]

    def append(self, payload: bytes) -> bool:
        """False when the record was dropped (ring full, or record larger than a quarter of it); counted."""
        size = len(payload)
        need = (size + 15) & ~7
        head = self._head
        if need * 4 > self.capacity:
            self.counts[DROPPED_OVERSIZE] += 1
            return False
        if head + need - self._words[_W_TAIL] > self.capacity:
            self.counts[DROPPED_FULL] += 1
            return False
        start = head % self.capacity
        _RECORD.pack_into(self._data, start, size, zlib.crc32(payload))
        end = start + 8 + size
        if end <= self.capacity:
            self._data[start + 8 : end] = payload
        else:
            self._put_around((start + 8) % self.capacity, payload)
        self._head = head + need
        self._words[_W_HEAD] = self._head
        self.counts[CAPTURED] += 1
        self.counts[CAPTURED_BYTES] += size
        return True

    def _put_around(self, start: int, payload: bytes) -> None:
        """A payload that runs over the end of the ring, or begins there."""
        first = min(len(payload), self.capacity - start)
        self._data[start : start + first] = payload[:first]
        self._data[: len(payload) - first] = payload[first:]

    def read(self, position: int, limit: int) -> Iterator[tuple[bytes, int]]:
        """At most `limit` records from `position` on, each with the position that follows it.

        A position that was released already continues at the tail. A damaged record, or a position beyond
        the head, continues at the head; `resyncs()` counts that, what lay between is lost.
        """
        position = max(position, self.tail)
        for _ in range(limit):
            if self._skip is not None and position == self._skip[0]:
                position = self._skip[1]
            if position == self.head:
                return
            payload = self._record(position)
            if payload is None:
                self._skip = (position, self.head)
                self._words[_W_RESYNCS] += 1
                continue
            position += (len(payload) + 15) & ~7
            yield payload, position

    def _record(self, position: int) -> bytes | None:
        payload = self._try_record(position)
        if payload is None:  # a processor with weak ordering may show the head before the record: look again
            time.sleep(0.001)
            payload = self._try_record(position)
        return payload

    def _try_record(self, position: int) -> bytes | None:
        ahead = self.head - position
        start = position % self.capacity
        if ahead < 8 or start % 8:
            return None
        size, crc = _RECORD.unpack_from(self._data, start)
        if (size + 15) & ~7 > ahead:
            return None
        begin = (start + 8) % self.capacity
        payload = bytes(self._data[begin : begin + size])
        payload += bytes(self._data[: size - len(payload)])
        return payload if zlib.crc32(payload) == crc else None

    def release(self, position: int) -> None:
        """Give everything before `position` back to the producer. Never goes back, never passes the head."""
        self._words[_W_TAIL] = max(self.tail, min(position, self.head))

    def counters(self) -> dict[str, int]:
        return {**dict(zip(COUNTERS, self.counts, strict=True)), "resyncs": self.resyncs()}

    def resyncs(self) -> int:
        """How often the consumer met a damaged record and skipped to the head."""
        return self._words[_W_RESYNCS]

    def close(self) -> None:
        """Let go of the memory, of the file (and, as producer, of the spool); the file stays for the next start."""
        for view in (self.counts, self._words, self._data, self._view):
            view.release()
        self._memory.close()
        while self._held:
            os.close(self._held.pop())

    def unlink(self) -> bool:
        """Remove the file when everything in it was released; False when it still holds records."""
        if self.tail != self.head:
            return False
        self.path.unlink(missing_ok=True)
        return True
