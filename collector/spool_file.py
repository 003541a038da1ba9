"""The spool's SQLite file: its tables and every statement on them. One thread writes; see `collector.spool`.

Records lie in blobs, as many in one as were written together. A place is a blob's number and how many of its records
come before; a batch is sealed from one place to another, and delivered from the oldest place on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from collector.spool_records import ENTRY_OVERHEAD, Entry, cut, joined
from remora.errors import UserError
from remora.telemetry import get_logger

__all__ = ["Aside", "Entry", "Place", "Sealed", "SpoolFile", "open_file"]

log = get_logger("spool")

_RECEIVED_KEPT = 10_000
_VERSION = 2
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, count INTEGER NOT NULL, at REAL NOT NULL,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    first INTEGER NOT NULL, skip INTEGER NOT NULL, last INTEGER NOT NULL, take INTEGER NOT NULL, batch TEXT NOT NULL,
    PRIMARY KEY (first, skip)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aside (
    n INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL, kind INTEGER NOT NULL, count INTEGER NOT NULL,
    at REAL NOT NULL, reason TEXT NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS received (n INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL UNIQUE);
"""
# Version 1 had a row per record, and batches of whole rows whose ids may be in the database already.
_FROM_VERSION_1 = """
INSERT INTO blobs (seq, kind, count, at, data)
    SELECT seq, kind, 1, CAST(strftime('%s', 'now') AS REAL), data FROM entries ORDER BY seq;
INSERT INTO batches SELECT first, 0, last, 1, (SELECT value FROM meta WHERE key = 'id') || '-' || first || '-' || last
    FROM sealed;
INSERT INTO aside (batch, kind, count, at, reason, data) SELECT batch, kind, 1, 0.0, reason, data FROM set_aside ORDER BY seq;
DROP TABLE entries; DROP TABLE sealed; DROP TABLE set_aside;
"""
_SIZE = f"length(data) + {ENTRY_OVERHEAD} * count"
_COUNTERS = (
    "accepted",
    "delivered",
    "set_aside",
    "expired",
    "written",
    "repeated",
    "unkept",
    "sides",
    "bytes",
)


class Place(NamedTuple):
    """Before the record `inside` of the blob `seq`."""

    seq: int
    inside: int


class Aside(NamedTuple):
    """A batch that was set aside at `at` (seconds since 1970); `number` grows with every one."""

    batch: str
    records: int
    at: float
    reason: str
    number: int


@dataclass(frozen=True)
class Sealed:
    """Records from one place to another that are delivered together, under an id that never changes.

    `at` is when the oldest of them was taken, in seconds since 1970.
    """

    id: str
    first: Place
    end: Place
    at: float
    entries: list[Entry]

    @property
    def records(self) -> int:
        return sum(entry.count for entry in self.entries)


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
        """Counts of records by what became of them, and bytes of those that wait."""
        return {key: int(str(self._meta(key, 0))) for key in _COUNTERS}

    def ring(self) -> tuple[bytes, int, int] | None:
        """Id of the ring that was read last, the position reached, and exchanges read so far."""
        found = self._meta("ring_id")
        if not isinstance(found, bytes):
            return None
        return found, int(str(self._meta("ring_position", 0))), int(str(self._meta("ring_read", 0)))

    def lost(self) -> tuple[str, int, int]:
        """What was told of losses: of which ring, how many there, and how many of the spool's own."""
        query = "SELECT key, value FROM meta WHERE key IN ('lost_ring', 'lost_in_ring', 'lost_in_spool')"
        found = dict(self.connection.execute(query).fetchall())
        return found.get("lost_ring", ""), found.get("lost_in_ring", 0), found.get("lost_in_spool", 0)

    def set_lost(self, ring: str, in_ring: int, in_spool: int) -> None:
        self.set_meta(lost_ring=ring, lost_in_ring=in_ring, lost_in_spool=in_spool)

    def insert(self, entries: Sequence[Entry], at: float) -> None:
        self.connection.executemany(
            "INSERT INTO blobs (kind, count, at, data) VALUES (?, ?, ?, ?)",
            [(entry.kind, entry.count, at, entry.data) for entry in joined(entries)],
        )

    def receive(self, batch: str) -> bool:
        """Note the id of a batch from another collector; False when it was received before."""
        cursor = self.connection.execute("INSERT OR IGNORE INTO received (batch) VALUES (?)", (batch,))
        if cursor.rowcount == 1 and cursor.lastrowid:
            self.connection.execute("DELETE FROM received WHERE n <= ?", (cursor.lastrowid - _RECEIVED_KEPT,))
        return cursor.rowcount == 1

    def oldest(self) -> float | None:
        """When the oldest record that waits was taken."""
        row = self.connection.execute("SELECT at FROM blobs ORDER BY seq LIMIT 1").fetchone()
        return None if row is None else float(row[0])

    # --- batches -------------------------------------------------------------------------------------------------------

    def first_sealed(self) -> Sealed | None:
        """The oldest batch that is sealed and not delivered."""
        query = "SELECT first, skip, last, take, batch FROM batches ORDER BY first, skip LIMIT 1"
        row = self.connection.execute(query).fetchone()
        return None if row is None else self._load(Place(*row[:2]), Place(*row[2:4]), row[4])

    def _load(self, first: Place, end: Place, batch: str) -> Sealed:
        rows = self.connection.execute(
            "SELECT seq, kind, data, count, at FROM blobs WHERE seq BETWEEN ? AND ? ORDER BY seq",
            (first.seq, end.seq),
        )
        entries, at = [], 0.0
        for seq, kind, data, count, taken in rows:
            start = first.inside if seq == first.seq else 0
            stop = end.inside if seq == end.seq else count
            if stop > start:
                entries.append(cut(Entry(kind, data, count), start, stop))
                at = at or taken
        return Sealed(batch, first, end, at, entries)

    def _head(self) -> int:
        """How many records of the oldest blob are settled already."""
        return int(str(self._meta("skip", 0)))

    def seal(self, rows: int, size: int) -> Sealed | None:
        """Seal the next records: at most `rows` of them and, beyond the first blob, `size` bytes."""
        skip = self._head()
        first: Place | None = None
        end = Place(0, 0)
        taken = total = 0
        for seq, count, length in self.connection.execute(
            "SELECT seq, count, length(data) FROM blobs ORDER BY seq"
        ):
            if first is None:
                first, end = Place(seq, skip), Place(seq, min(count, skip + rows))
                taken, total = count - skip, length
            elif taken + count <= rows and total + length <= size:
                end, taken, total = Place(seq, count), taken + count, total + length
            else:
                break
            if taken >= rows:
                break
        return None if first is None else self._seal(first, end)

    def _seal(self, first: Place, end: Place) -> Sealed:
        batch = f"{self.id}-{first.seq}.{first.inside}-{end.seq}.{end.inside}"
        self.connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", (*first, *end, batch))
        return self._load(first, end, batch)

    def split(self, batch: Sealed) -> None:
        """Two sealed halves instead of one batch."""
        self.connection.execute("DELETE FROM batches WHERE first = ? AND skip = ?", batch.first)
        middle = self._middle(batch)
        self._seal(batch.first, middle)
        self._seal(middle, batch.end)

    def _middle(self, batch: Sealed) -> Place:
        left = batch.records // 2
        for seq, count in self._counts(batch):
            start = batch.first.inside if seq == batch.first.seq else 0
            if start + left < count:
                return Place(seq, start + left)
            left -= count - start
        return batch.end

    def _counts(self, batch: Sealed) -> Iterator[Any]:
        query = "SELECT seq, count FROM blobs WHERE seq BETWEEN ? AND ? ORDER BY seq"
        return iter(self.connection.execute(query, (batch.first.seq, batch.end.seq)).fetchall())

    def settle(self, end: Place) -> tuple[int, int]:
        """Forget everything before a place; how many records and bytes that is."""
        row = self.connection.execute("SELECT count FROM blobs WHERE seq = ?", (end.seq,)).fetchone()
        if row is not None and end.inside >= row[0]:
            end = Place(end.seq + 1, 0)
        oldest = self.connection.execute("SELECT min(seq) FROM blobs").fetchone()[0]
        if oldest is None or end <= (oldest, self._head()):
            return 0, 0
        query = f"SELECT coalesce(sum(count), 0), coalesce(sum({_SIZE}), 0) FROM blobs WHERE seq < ?"  # noqa: S608
        records, size = self.connection.execute(query, (end.seq,)).fetchone()
        records += end.inside - self._head()
        self.connection.execute("DELETE FROM blobs WHERE seq < ?", (end.seq,))
        self.connection.execute(
            "DELETE FROM batches WHERE first < ? OR (first = ? AND skip < ?)", (end.seq, *end)
        )
        self.set_meta(skip=end.inside)
        return int(records), int(size)

    def expired(self, before: float) -> Place:
        """The place that ends what was taken before an instant. A sealed batch, which may be delivered, stays whole."""
        row = self.connection.execute("SELECT min(seq) FROM blobs WHERE at >= ?", (before,)).fetchone()
        seq = row[0]
        if seq is None:
            seq = self.connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM blobs").fetchone()[0]
        query = (
            "SELECT first, skip FROM batches WHERE first < ? AND (last > ? OR (last = ? AND take > 0))"
            " ORDER BY first, skip LIMIT 1"
        )
        across = self.connection.execute(query, (seq, seq, seq)).fetchone()
        return Place(*across) if across else Place(seq, 0)

    # --- what nobody takes -----------------------------------------------------------------------------------------------

    def set_aside(self, batch: Sealed, reason: str, at: float, keep: int) -> None:
        """Keep a copy out of the way; the oldest go for good when more than `keep` bytes lie there."""
        self.connection.executemany(
            "INSERT INTO aside (batch, kind, count, at, reason, data) VALUES (?, ?, ?, ?, ?, ?)",
            [(batch.id, entry.kind, entry.count, at, reason, entry.data) for entry in batch.entries],
        )
        total = 0
        for n, length in self.connection.execute(
            "SELECT n, length(data) FROM aside ORDER BY n DESC"
        ).fetchall():
            total += length
            if total > keep:
                self.connection.execute("DELETE FROM aside WHERE n <= ?", (n,))
                break

    def aside(self, limit: int, before: int = 1 << 62) -> list[Aside]:
        """The newest batches that were set aside, of those before the one with this number; the newest first."""
        query = (
            "SELECT batch, sum(count), max(at), max(reason), max(n) FROM aside GROUP BY batch HAVING max(n) < ?"
            " ORDER BY max(n) DESC LIMIT ?"
        )
        return [Aside(*row) for row in self.connection.execute(query, (before, limit))]

    def take_aside(self, batch: str) -> tuple[list[Entry], float]:
        """The entries of a batch that was set aside, which lie there no longer, and when that was."""
        query = "SELECT kind, data, count, at FROM aside WHERE batch = ? ORDER BY n"
        rows = self.connection.execute(query, (batch,)).fetchall()
        self.connection.execute("DELETE FROM aside WHERE batch = ?", (batch,))
        return [Entry(*row[:3]) for row in rows], rows[0][3] if rows else 0.0


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
        connection.execute("PRAGMA page_size=16384")  # for blobs; a file that is there keeps its own
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=16777216")
        connection.execute(
            "PRAGMA secure_delete=FAST"
        )  # zeros over each delivered blob would cost as much as writing it
        _prepare(connection)
        return SpoolFile(connection)
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection) -> None:
    """The tables of this version, with what an older one held. Raises UserError for a newer one."""
    connection.executescript(_TABLES)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?)", (os.urandom(8).hex(),))
    old = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone()
    if old:
        connection.executescript(f"BEGIN IMMEDIATE; {_FROM_VERSION_1} COMMIT;")
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (_VERSION,))
    version = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0]
    if version != _VERSION:
        raise UserError(
            f"the spool is of version {version}, this Remora reads {_VERSION}: run the newer Remora"
        )
