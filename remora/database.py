"""The database: SQLite (WAL) embedded, PostgreSQL in production. No SQL dialect leaks out of this file.

A `Database` opens a transaction to read or one to write. Writers on SQLite take their lock at the start
(BEGIN IMMEDIATE), so that two processes wait for each other instead of failing half way.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from remora.errors import UnavailableError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Database", "connect", "insert_new", "sqlite_path", "upsert"]

_BUSY_SECONDS = 30
_WRITE = {"remora_write": True}
_READ_ONLY = {"remora_read_only": True}
_SQLITE_VARIABLES = 30_000  # SQLite's own limit is 32,766 in one statement


class Database:
    """An engine with two doors. Errors of the connection come out as `UnavailableError`."""

    def __init__(self, engine: sa.Engine, *, read_only: bool = False) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self.read_only = read_only

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view that cannot write: PostgreSQL and SQLite both refuse it."""
        with _unavailable(self.engine), self.engine.connect() as opened:
            connection = opened.execution_options(**_READ_ONLY)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: all of it is committed at the end, or nothing."""
        if self.read_only:
            msg = "a read-only database was asked to write"
            raise RuntimeError(msg)
        with _unavailable(self.engine), self.engine.connect() as opened:
            connection = opened.execution_options(**_WRITE)
            with connection.begin():
                yield connection

    def only_reading(self) -> Database:
        """The same database for a part that must never write."""
        return Database(self.engine, read_only=True)

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _unavailable(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        where = engine.url.render_as_string(hide_password=True)
        first_line = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
        msg = f"database {where}: {first_line}"
        raise UnavailableError(msg) from error


def connect(url: str, *, pool_size: int = 5) -> Database:
    """Make a `Database` for a SQLAlchemy URL; nothing is opened yet."""
    parsed = _parse(url)
    options: dict[str, Any] = {
        "json_serializer": _dumps,
        "json_deserializer": msgspec.json.decode,
        "pool_size": pool_size,
        "max_overflow": 5,
        "pool_pre_ping": parsed.get_backend_name() == "postgresql",
    }
    if parsed.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
        options["poolclass"] = sa.pool.QueuePool
    else:
        options["connect_args"] = {
            "connect_timeout": 5,
            "application_name": "remora",
            "options": "-c timezone=UTC",
        }
    engine = sa.create_engine(parsed, **options)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _sqlite_pragmas)
        sa.event.listen(engine, "begin", _sqlite_begin)
    else:
        sa.event.listen(engine, "begin", _postgresql_begin)
    return Database(engine)


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        msg = "the database URL cannot be read: write sqlite:///remora.db or postgresql+psycopg://user@host/name"
        raise UserError(msg) from None
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        msg = f"databases of the kind {parsed.drivername!r} are not supported: write sqlite:///… or postgresql+psycopg://…"
        raise UserError(msg)
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        msg = (
            "an in-memory SQLite cannot be shared between processes: name a file, such as sqlite:///remora.db"
        )
        raise UserError(msg)
    path = sqlite_path(parsed)
    if path is not None and not path.parent.is_dir():
        msg = f"the folder of the database {path} does not exist: create {path.parent} first"
        raise UserError(msg)
    return parsed


def sqlite_path(url: str | sa.URL) -> Path | None:
    """The file of an SQLite URL, or None for another database."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _dumps(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # this file says BEGIN itself
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # the spool is fsynced; a batch lost here is delivered again
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA query_only={int(bool(options.get('remora_read_only')))}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("remora_write") else "BEGIN")


def _postgresql_begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("remora_read_only"):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def insert_new(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], key: Sequence[str],
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Insert the rows whose key is not there yet and return the keys that were inserted, in no order.

    A key that stands twice in `rows` is inserted once: the first row wins.
    """
    inserted: list[tuple[Any, ...]] = []
    columns = [table.c[name] for name in key]
    size = max(1, _SQLITE_VARIABLES // max(1, len(table.c)))
    for start in range(0, len(rows), size):
        statement = (
            _insert(connection, table)
            .values(list(rows[start : start + size]))
            .on_conflict_do_nothing(index_elements=columns)
            .returning(*columns)
        )
        inserted.extend(tuple(row) for row in connection.execute(statement))
    return inserted


def upsert(
    connection: sa.Connection, table: sa.Table, row: dict[str, Any], update: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Insert a row, or update it where its primary key is there; `update` defaults to every other column.

    Values of `update` may be SQL expressions; the row that was to be inserted is `excluded` in both databases.
    """
    key = [column.name for column in table.primary_key]
    changes = {name: value for name, value in row.items() if name not in key} if update is None else update
    statement = _insert(connection, table).values(row).on_conflict_do_update(index_elements=key, set_=changes)
    connection.execute(statement)
