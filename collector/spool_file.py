"""The spool's SQLite file: its tables and every statement on them. One thread writes; see `collector.spool`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remora.telemetry import get_logger

__all__ = ["ENTRY_OVERHEAD", "Entry", "Sealed", "SpoolFile", "open_file"]

log = get_logger("spool")

ENTRY_OVERHEAD = 24  # bytes of SQLite's own around an entry, about
_RECEIVED_KEPT = 10_000

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sealed (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, data BLOB NOT NULL, batch TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS received (n INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL UNIQUE);
"""
_COUNTERS = ("accepted", "delivered", "set_aside", "bytes")


@dataclass(frozen=True)
class Entry:
    """One record: its kind and its msgpack."""

    kind: int
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + ENTRY_OVERHEAD


@dataclass(frozen=True)
class Sealed:
    """Entries that are delivered together, under an id that never changes."""

    id: str
    first: int
    last: int
    entries: list[Entry]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


class SpoolFile:
    """Statements on one connection; the caller opens and ends the transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.id = str(self._meta("id"))

    def _meta(self, key: str, default: object = None) -> object:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else row[0]

    def set_meta(self, **values: object) -> None:
        """Write small facts down in the running transaction."""
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def counters(self) -> dict[str, int]:
        """accepted, delivered, set_aside in records, bytes of those that wait."""
        return {key: int(str(self._meta(key, 0))) for key in _COUNTERS}

    def ring(self) -> tuple[bytes, int, int] | None:
        """Id of the ring that was read last, the position reached, and exchanges read so far."""
        found = self._meta("ring_id")
        if not isinstance(found, bytes):
            return None
        return found, int(str(self._meta("ring_position", 0))), int(str(self._meta("ring_read", 0)))

    def insert(self, entries: Sequence[Entry]) -> None:
        self.connection.executemany(
            "INSERT INTO entries (kind, data) VALUES (?, ?)", [(entry.kind, entry.data) for entry in entries]
        )

    def receive(self, batch: str) -> bool:
        """Note the id of a batch from another collector; False when it was received before."""
        cursor = self.connection.execute("INSERT OR IGNORE INTO received (batch) VALUES (?)", (batch,))
        if cursor.rowcount == 1 and cursor.lastrowid:
            self.connection.execute("DELETE FROM received WHERE n <= ?", (cursor.lastrowid - _RECEIVED_KEPT,))
        return cursor.rowcount == 1

    def first_sealed(self) -> Sealed | None:
        """The oldest batch that is sealed and not delivered."""
        row = self.connection.execute("SELECT first, last FROM sealed ORDER BY first LIMIT 1").fetchone()
        return None if row is None else self.load(*row)

    def load(self, first: int, last: int) -> Sealed:
        rows = self.connection.execute(
            "SELECT kind, data FROM entries WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
        )
        return Sealed(f"{self.id}-{first}-{last}", first, last, [Entry(*row) for row in rows])

    def seal(self, rows: int, size: int) -> Sealed | None:
        """Seal the next entries: at most `rows` of them and, beyond the first, `size` bytes."""
        cursor = self.connection.execute(
            "SELECT seq, length(data) FROM entries ORDER BY seq LIMIT ?", (rows,)
        )
        first = last = total = 0
        for seq, length in cursor:
            total += length
            if first and total > size:
                break
            first, last = first or seq, seq
        if not first:
            return None
        self.connection.execute("INSERT INTO sealed VALUES (?, ?)", (first, last))
        return self.load(first, last)

    def split(self, batch: Sealed) -> None:
        """Two sealed halves instead of one batch."""
        middle = (batch.first + batch.last) // 2
        self.connection.execute("UPDATE sealed SET last = ? WHERE first = ?", (middle, batch.first))
        self.connection.execute("INSERT INTO sealed VALUES (?, ?)", (middle + 1, batch.last))

    def remove(self, batch: Sealed) -> None:
        self.connection.execute("DELETE FROM entries WHERE seq BETWEEN ? AND ?", (batch.first, batch.last))
        self.connection.execute("DELETE FROM sealed WHERE first = ?", (batch.first,))

    def set_aside(self, batch: Sealed, reason: str, keep: int) -> None:
        """Move a batch out of the way; the oldest ones go for good when more than `keep` bytes lie there."""
        self.connection.execute(
            "INSERT INTO set_aside SELECT seq, kind, data, ?, ? FROM entries WHERE seq BETWEEN ? AND ?",
            (batch.id, reason, batch.first, batch.last),
        )
        self.remove(batch)
        total = 0
        query = "SELECT seq, length(data) FROM set_aside ORDER BY seq DESC"
        for seq, length in self.connection.execute(query).fetchall():
            total += length
            if total > keep:
                self.connection.execute("DELETE FROM set_aside WHERE seq <= ?", (seq,))
                break

    def reasons(self) -> list[tuple[str, str]]:
        """Batch and reason of what was set aside."""
        query = "SELECT DISTINCT batch, reason FROM set_aside ORDER BY seq"
        return [(str(batch), str(reason)) for batch, reason in self.connection.execute(query)]


def open_file(path: Path) -> SpoolFile:
    """Open or make the file; one that SQLite cannot read is put beside and a new one begun, with a loud message."""
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        beside = path.with_name(f"{path.name}.damaged-{os.getpid()}")
        path.replace(beside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        log.error("spool_damaged", kept_as=str(beside), reason=str(error))  # noqa: TRY400  (one line says it)
        return _open(path)


def _open(path: Path) -> SpoolFile:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=16777216")
        connection.executescript(_TABLES)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?)", (os.urandom(8).hex(),))
        return SpoolFile(connection)
    except BaseException:
        connection.close()
        raise
