"""The database: SQLite (WAL) embedded, PostgreSQL in production. No SQL dialect leaks out of here and `remora.bulk`.

A `Database` opens a transaction to read or one to write. Writers on SQLite take their lock at the start
(BEGIN IMMEDIATE), so that two processes wait for each other instead of failing half way.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from remora.bulk import insert_arrays, insert_rows, select_keys
from remora.errors import UnavailableError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Database",
    "connect",
    "insert_new",
    "serialize",
    "sqlite_path",
    "upsert",
]

_BUSY_SECONDS = 30
_WRITE = {"remora_write": True}
_READ_ONLY = {"remora_read_only": True}
_WRITERS = 0x72656D6F7261  # PostgreSQL's advisory lock that every writing transaction shares


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

    def settled(self, serial: sa.Column[int]) -> int:
        """The highest number of a serial column of which every lower one is committed or never will be; 0 if none.

        PostgreSQL hands numbers out before their rows are visible, so that a higher one may be seen before a lower
        one: this waits until no writing transaction is open, for at most 5 s, then raises `UnavailableError`.
        SQLite has one writer at a time.
        """
        highest = sa.select(sa.func.coalesce(sa.func.max(serial), 0))
        with _unavailable(self.engine), self.engine.connect() as connection, connection.begin():
            if self.dialect == "postgresql":
                connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
            return int(connection.execute(highest).scalar_one())

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
        raise _away(engine, error) from error
    except sa.exc.DatabaseError as error:
        if error.connection_invalidated:  # such as by PostgreSQL, of whoever stood still for too long
            raise _away(engine, error) from error
        if "file is not a database" not in str(error.orig):
            raise
        msg = f"{engine.url.database} is not an SQLite database: name another file, or a new one"
        raise UserError(msg) from None


def _away(engine: sa.Engine, error: Exception) -> UnavailableError:
    where = engine.url.render_as_string(hide_password=True)
    first_line = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
    return UnavailableError(f"database {where}: {first_line}")


def connect(url: str, *, pool_size: int = 5, page_cache: int = 64 << 20) -> Database:
    """Make a `Database` for a SQLAlchemy URL; nothing is opened yet.

    `page_cache` is how many bytes of an SQLite file each connection may keep in memory.
    """
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
            # A machine that vanished must not hold its locks, and everybody else up, for hours; nor may one wait so
            # long for a database that vanished.
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60s -c tcp_user_timeout=30s",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
    engine = sa.create_engine(parsed, **options)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", partial(_sqlite_pragmas, page_cache))
        sa.event.listen(engine, "begin", _sqlite_begin)
    else:
        sa.event.listen(engine, "begin", _postgresql_begin)
        sa.event.listen(engine, "do_executemany", _postgresql_many)
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


def _sqlite_pragmas(page_cache: int, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # this file says BEGIN itself
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # the spool forgets a batch once it is committed here
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size={-page_cache // 1024}")  # negative: in KiB
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA query_only={int(bool(options.get('remora_read_only')))}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("remora_write") else "BEGIN")


def _postgresql_begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("remora_read_only"):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    elif connection.get_execution_options().get("remora_write"):
        # Whoever takes over the work of a server that stands still half way waits for the rows that it has written.
        connection.exec_driver_sql(
            "SELECT set_config('idle_in_transaction_session_timeout', '20s', true),"
            f" pg_advisory_xact_lock_shared({_WRITERS})"
        )


def _postgresql_many(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
    """Many rows go one by one: psycopg would send them as a pipeline, which it ends with a flush.

    There PostgreSQL stops counting how long it is kept waiting: a server that stood still after it, in the middle of a
    transaction, held its locks for ever. What has many rows to write uses `remora.bulk`.
    """
    for one in parameters:
        cursor.execute(statement, one)
    return True


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def insert_new(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], key: Sequence[str],
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Insert the rows whose key is not there yet and return the keys that were inserted, in no order.

    Every row names the same columns. A key that stands twice in `rows` is inserted once: the first row wins.
    Rows go in by order of their keys, so that two writers wait for each other instead of locking each other out.
    """
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        first.setdefault(tuple(row[name] for name in key), row)
    if not first:
        return []
    if connection.dialect.name == "postgresql":
        names = ", ".join(f'"{name}"' for name in key)
        inserted = insert_arrays(
            connection,
            table,
            [first[found] for found in sorted(first)],
            f"ON CONFLICT ({names}) DO NOTHING RETURNING {names}",
        )
        return [tuple(row) for row in inserted]
    if not all(isinstance(table.c[name].type, sa.Text) for name in key):
        return _insert_one_by_one(connection, table, [first[found] for found in sorted(first)], key)
    # The transaction holds SQLite's only write lock: what is not there now stays so.
    query = sa.select(*(table.c[name] for name in key))
    there = {tuple(row) for row in select_keys(connection, query, key, list(first))}
    new = sorted(found for found in first if found not in there)
    insert_rows(connection, table, [first[found] for found in new])
    return new


def _insert_one_by_one(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], key: Sequence[str],
) -> list[tuple[Any, ...]]:  # fmt: skip
    columns = [table.c[name] for name in key]
    statement = sqlite.insert(table).on_conflict_do_nothing(index_elements=columns).returning(*columns)
    return [tuple(row) for one in rows for row in connection.execute(statement, one)]


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


def serialize(connection: sa.Connection, key: int) -> None:
    """Let one transaction at a time go on from here, in all processes; the others wait until it ends.

    SQLite has one writer anyway. Of a process that is cut off from PostgreSQL half way, the transaction ends after 20 s.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
