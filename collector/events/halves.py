"""Sides of pairs that wait for the other one: a table in the spool's file, so they survive a kill.

Every function is called inside a transaction of the spool's writing thread.
"""

from __future__ import annotations

import sqlite3
from typing import Final

__all__ = ["Halves"]

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS halves (
    key TEXT NOT NULL, kind TEXT NOT NULL, since REAL NOT NULL, data BLOB NOT NULL, PRIMARY KEY (key, kind)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS halves_since ON halves (since);
CREATE TABLE IF NOT EXISTS paired (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE);
"""
_REMEMBERED: Final = 100_000  # pairs whose events may be sent again


class Halves:
    """Statements on the spool's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def prepare(self) -> None:
        """Make the tables."""
        for statement in _TABLES.split(";"):
            self._connection.execute(statement)

    def is_paired(self, key: str) -> bool:
        """Whether both sides came already."""
        return self._connection.execute("SELECT 1 FROM paired WHERE key = ?", (key,)).fetchone() is not None

    def get(self, key: str, kind: str) -> bytes | None:
        row = self._connection.execute(
            "SELECT data FROM halves WHERE key = ? AND kind = ?", (key, kind)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, key: str, kind: str, since: float, data: bytes) -> None:
        self._connection.execute("INSERT INTO halves VALUES (?, ?, ?, ?)", (key, kind, since, data))

    def settle(self, key: str) -> None:
        """Both sides came, or nobody waits any more: forget them, and know them when they come again."""
        self._connection.execute("DELETE FROM halves WHERE key = ?", (key,))
        cursor = self._connection.execute("INSERT OR IGNORE INTO paired (key) VALUES (?)", (key,))
        if cursor.lastrowid:
            self._connection.execute("DELETE FROM paired WHERE n <= ?", (cursor.lastrowid - _REMEMBERED,))

    def older(self, than: float, limit: int) -> list[tuple[str, str, bytes]]:
        """Key, kind and data of sides that came before an instant, oldest first."""
        rows = self._connection.execute(
            "SELECT key, kind, data FROM halves WHERE since < ? ORDER BY since LIMIT ?", (than, limit)
        )
        return [(str(key), str(kind), bytes(data)) for key, kind, data in rows]
