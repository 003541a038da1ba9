"""Many rows in one statement, in the dialect of each database. Only for tables and columns of our own.

One statement matters twice: SQLite's driver lets go of Python's lock around every step of every statement, and beside a
busy thread waits 5 ms to have it again. Row by row 600 rows/s were measured so, and 47,000 with 512 rows a statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from remora.tables import Instant

__all__ = ["delete_keys", "insert_arrays", "insert_block", "insert_rows", "select_keys", "update_keys"]

_SIZES = (
    512,
    64,
    8,
    1,
)  # rows in one statement of SQLite: few texts, so that all of them stay prepared
_PARAMETERS = 32_766  # SQLite's usual limit
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIQUE_VIOLATION = "23505"


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert many rows; every row names the same columns."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        insert_arrays(connection, table, rows, "")
        return
    names = list(rows[0])
    columns = [_bound(connection, table.c[name], rows) for name in names]
    _insert_values(connection, table, names, list(zip(*columns, strict=True)), "")


def insert_block(
    connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]], key: Sequence[str],
) -> int:  # fmt: skip
    """Insert rows, given column by column, whose `key` is not there yet; how many these were.

    Values of JSON columns are encoded already (None is SQL's NULL), no key stands twice among the rows, and
    they are in the order of their keys, so that two writers wait for each other instead of locking each other out.
    """
    names = list(columns)
    quoted = ", ".join(f'"{name}"' for name in key)
    ignore = f"ON CONFLICT ({quoted}) DO NOTHING"
    if connection.dialect.name != "postgresql":
        values = [_for_sqlite(table.c[name], columns[name]) for name in names]
        return _insert_values(connection, table, names, list(zip(*values, strict=True)), ignore)
    copied = _copy_all(connection, table, columns)
    if copied is not None:
        return copied
    kinds = [table.c[name].type.compile(connection.dialect) for name in names]
    arrays = tuple(_as_text(table.c[name], columns[name]) for name in names)
    return int(_insert_unnested(connection, table, names, kinds, arrays, ignore).rowcount)


def insert_arrays(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], tail: str
) -> Any:
    """PostgreSQL: one statement with one array per column; psycopg sends it in one message, it is planned once."""
    names = list(rows[0])
    kinds = [table.c[name].type.compile(connection.dialect) for name in names]
    values = tuple(_bound(connection, table.c[name], rows) for name in names)
    return _insert_unnested(connection, table, names, kinds, values, tail)


def _insert_unnested(
    connection: sa.Connection, table: sa.Table, names: list[str], kinds: list[str], arrays: tuple[Any, ...],
    tail: str,
) -> Any:  # fmt: skip
    typed = ", ".join(f"%b::{kind}[]" for kind in kinds)  # binary: as text, every quote would be escaped
    return connection.exec_driver_sql(
        f"{_insert_into(table, names)} SELECT * FROM unnest({typed}) {tail}",  # noqa: S608  (our own names)
        arrays,
    )


def _insert_into(table: sa.Table, names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'INSERT INTO "{table.name}" ({quoted})'


def _insert_values(
    connection: sa.Connection, table: sa.Table, names: list[str], rows: Sequence[Sequence[Any]], tail: str
) -> int:
    """SQLite: statements of many rows each; how many rows were inserted."""
    head, marks = _insert_into(table, names), f"({', '.join('?' * len(names))})"
    start = inserted = 0
    for size in _SIZES:
        if size * len(names) > _PARAMETERS:
            continue
        statement = f"{head} VALUES {', '.join([marks] * size)} {tail}"
        while len(rows) - start >= size:
            values = tuple(chain.from_iterable(rows[start : start + size]))
            inserted += connection.exec_driver_sql(statement, values).rowcount
            start += size
    return inserted


def _copy_all(connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]) -> int | None:
    """PostgreSQL: how many rows were copied; None, and nothing is, where a key is there already."""
    errors: Any = connection.dialect.dbapi
    savepoint = connection.begin_nested()
    try:
        copied = _copy(connection, table, columns)
    except errors.Error as error:
        if getattr(error, "sqlstate", None) == _UNIQUE_VIOLATION:
            savepoint.rollback()
            return None
        # what SQLAlchemy makes of the driver's errors where the statement is its own
        raise sa.exc.DBAPIError.instance(
            "COPY", None, error, errors.Error, dialect=connection.dialect
        ) from error
    savepoint.commit()
    return copied


def _copy(connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]) -> int:
    """Binary, which takes the server and the client the least work."""
    values = [_for_copy(table.c[name], columns[name]) for name in columns]
    quoted = ", ".join(f'"{name}"' for name in columns)
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        with cursor.copy(f'COPY "{table.name}" ({quoted}) FROM STDIN (FORMAT BINARY)') as copy:
            copy.set_types([kind for kind, _ in values])
            for row in zip(*(found for _, found in values), strict=True):
                copy.write_row(row)
        return int(cursor.rowcount)


def _for_copy(column: sa.Column[Any], values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The type whose binary form is the one that the column reads, and the values in it."""
    if isinstance(column.type, sa.JSON):
        return "bytea", values  # the binary form of json is its text
    if isinstance(column.type, Instant):  # of an instant: microseconds since 2000
        return "int8", [(value - _POSTGRES_EPOCH) // _MICROSECOND for value in values]
    if isinstance(column.type, sa.Double):
        return "float8", values
    if isinstance(column.type, sa.Integer):
        if not -(1 << 31) <= min(values) <= max(values) < 1 << 31:  # the driver would cut them short
            raise OverflowError(f"{column.name} takes integers of 32 bits")
        return "int4", values
    return "text", values


def _for_sqlite(column: sa.Column[Any], values: Sequence[Any]) -> Sequence[Any]:
    if isinstance(column.type, Instant):  # as SQLAlchemy writes it
        utc = (value if value.tzinfo is UTC else value.astimezone(UTC) for value in values)
        return [value.isoformat(" ", "microseconds")[:26] for value in utc]
    return _as_text(column, values)


def _as_text(column: sa.Column[Any], values: Sequence[Any]) -> list[Any]:
    if isinstance(column.type, sa.JSON):
        return [None if value is None else value.decode() for value in values]
    return list(values)


def _bound(connection: sa.Connection, column: sa.Column[Any], rows: Sequence[dict[str, Any]]) -> list[Any]:
    """A column of rows as the driver wants its values."""
    process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    name = column.name
    return [row[name] for row in rows] if process is None else [process(row[name]) for row in rows]


def select_keys(
    connection: sa.Connection, query: sa.Select[Any], key: Sequence[str], keys: Sequence[tuple[Any, ...]],
) -> list[Any]:  # fmt: skip
    """The rows of `query` whose columns `key` of its first table are among `keys`, all in one statement.

    Only for keys of text.
    """
    if not keys:
        return []
    first = query.get_final_froms()[0]
    while isinstance(first, sa.sql.expression.Join):
        first = first.left
    wanted, found = _wanted(connection, len(key), keys)
    matches = [first.c[name] == value for name, value in zip(key, found, strict=True)]
    return list(connection.execute(query.join(wanted, sa.and_(*matches))))


def update_keys(
    connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], key: Sequence[str],
    keys: Sequence[tuple[Any, ...]],
) -> None:  # fmt: skip
    """Set the same values in all rows whose columns `key` (of text) are among `keys`, in one statement."""
    if not keys:
        return
    _, found = _wanted(connection, len(key), keys)
    matches = [table.c[name] == value for name, value in zip(key, found, strict=True)]
    connection.execute(sa.update(table).where(*matches).values(**values))


def delete_keys(
    connection: sa.Connection, table: sa.Table, key: Sequence[str], keys: Sequence[tuple[Any, ...]],
) -> None:  # fmt: skip
    """Delete all rows whose columns `key` (of text) are among `keys`, in one statement."""
    if not keys:
        return
    wanted, found = _wanted(connection, len(key), keys)
    these = sa.tuple_(*(table.c[name] for name in key)).in_(sa.select(*found).select_from(wanted))
    connection.execute(sa.delete(table).where(these))


def _wanted(
    connection: sa.Connection, width: int, keys: Sequence[tuple[Any, ...]]
) -> tuple[sa.FromClause, list[sa.ColumnElement[str]]]:
    """The keys as a table of their own, and its columns."""
    if connection.dialect.name == "postgresql":
        names = [f"k{n}" for n in range(width)]
        arrays = [sa.cast(list(values), postgresql.ARRAY(sa.Text)) for values in zip(*keys, strict=True)]
        unnested = sa.func.unnest(*arrays).table_valued(*names).render_derived()
        return unnested, [unnested.c[name] for name in names]
    packed = sa.func.json_each(msgspec.json.encode(keys).decode()).table_valued("value")
    return packed, [sa.func.json_extract(packed.c.value, f"$[{n}]") for n in range(width)]
