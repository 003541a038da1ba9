"""A ring of byte records in shared memory: one producer, one consumer, survives kill -9 of both.

The file is one header page and `capacity` bytes of records. A record is `u32 length, u32 crc32, payload`,
padded to 8 bytes; it may run over the end of the ring, its 8-byte header never does. `head` and `tail` count
bytes since the ring was made and never go back; a record becomes visible when `head` moves past it, so what a
killed producer had half written is never seen. Words are stored with one aligned 8-byte store each.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from remora.errors import UserError

__all__ = ["COUNTERS", "Ring"]

MIB: Final = 1024 * 1024
_MAGIC: Final = int.from_bytes(b"REMORING", "little")
_VERSION: Final = 1
_PAGE: Final = 4096
_RECORD: Final = struct.Struct("<II")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (no temporary name: see _open_private)

# Places of the header's words. Producer and consumer write on different cache lines.
_W_MAGIC, _W_VERSION, _W_CAPACITY, _W_ID = 0, 1, 2, 3
_W_HEAD, _W_TAIL, _W_RESYNCS, _W_COUNTERS = 8, 16, 17, 32

# The forwarder's counters, by place. Only append to this list, or raise _VERSION.
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

    def __init__(self, path: Path, memory: mmap.mmap, lock: int | None) -> None:
        self.path = path
        self._memory = memory
        self._view = memoryview(memory)
        self._words = self._view[:_PAGE].cast("Q")
        self._data = self._view[_PAGE:]
        self._lock = lock
        self.capacity = len(self._data)
        self.id = bytes(self._view[_W_ID * 8 : _W_ID * 8 + 16])
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
        lock = _lock(spool_dir)
        try:
            path, memory = _find(spool_dir, capacity) or _create(spool_dir, capacity)
        except BaseException:
            os.close(lock)
            raise
        for other in _places(spool_dir):
            if other != path:
                other.unlink(missing_ok=True)
        return cls(path, memory, lock)

    @classmethod
    def attach(cls, spool_dir: Path) -> Self:
        """The consumer's end of a ring that a forwarder has made. Raises UserError when there is none."""
        found = _find(spool_dir, None)
        if found is None:
            raise UserError(f"no ring for the spool {spool_dir}: start the forwarder first")
        return cls(*found, None)

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
        """Let go of the memory (and, as producer, of the spool); the file stays for the next start."""
        for view in (self.counts, self._words, self._data, self._view):
            view.release()
        self._memory.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def unlink(self) -> bool:
        """Remove the file when everything in it was released; False when it still holds records."""
        if self.tail != self.head:
            return False
        self.path.unlink(missing_ok=True)
        return True


def _places(spool_dir: Path) -> tuple[Path, Path]:
    key = hashlib.sha256(os.fsencode(spool_dir.resolve())).hexdigest()[:24]
    return _SHARED_MEMORY / f"remora-{key}.ring", spool_dir / "exchanges.ring"


def _lock(spool_dir: Path) -> int:
    path = spool_dir / "forwarder.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise UserError(
            f"another sidecar already uses the spool {spool_dir}; give each its own --spool"
        ) from None
    return fd


def _find(spool_dir: Path, capacity: int | None) -> tuple[Path, mmap.mmap] | None:
    for path in _places(spool_dir):
        memory = _open_private(path, capacity)
        if memory is not None:
            return path, memory
    return None


def _open_private(path: Path, capacity: int | None) -> mmap.mmap | None:
    """Map an existing ring; None when absent, a stranger's (the folder may be everybody's) or of another form."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stat = os.fstat(fd)
        if stat.st_uid != os.geteuid() or stat.st_size <= _PAGE or stat.st_size % _PAGE:
            return None
        memory = mmap.mmap(fd, stat.st_size)
    finally:
        os.close(fd)
    header = struct.unpack_from("=QQQ", memory)
    if header == (_MAGIC, _VERSION, len(memory) - _PAGE) and capacity in (None, header[2]):
        return memory
    memory.close()
    return None


def _create(spool_dir: Path, capacity: int) -> tuple[Path, mmap.mmap]:
    if capacity <= 0 or capacity % _PAGE:
        raise UserError(f"the ring's size must be a multiple of {_PAGE} bytes, not {capacity}")
    problem: OSError | None = None
    for path in _places(spool_dir):
        try:
            return path, _create_at(path, capacity)
        except OSError as error:
            problem = error
    reason = problem.strerror if problem else "no place"
    raise UserError(
        f"no room for a ring of {capacity // MIB} MiB in {_SHARED_MEMORY} or {spool_dir}: {reason}"
    )


def _create_at(path: Path, capacity: int) -> mmap.mmap:
    """Make the file whole under another name first: whoever attaches never sees half a header."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Take the room now: a sparse file on a full tmpfs would be a SIGBUS in the middle of traffic.
        os.posix_fallocate(fd, 0, _PAGE + capacity)
        memory = mmap.mmap(fd, _PAGE + capacity)
        struct.pack_into("=QQQ", memory, 0, _MAGIC, _VERSION, capacity)
        memory[_W_ID * 8 : _W_ID * 8 + 16] = os.urandom(16)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return memory
