"""The database's schema: create it, say whether it fits, bring it up to date. Alembic does the work.

An empty database is created on first use, so that a first try needs no ceremony. A database of another version
is never changed behind its owner's back: `remora migrate` does that.
"""

from __future__ import annotations

from enum import Enum

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from remora.database import Database
from remora.errors import SchemaError

__all__ = ["State", "migrate", "prepare", "state"]

_LOCK = 0x52454D4F  # "REMO": one migration at a time, whoever starts first


class State(Enum):
    """How the database's schema stands to this version's."""

    EMPTY = "empty"
    CURRENT = "current"
    BEHIND = "behind"
    UNKNOWN = "unknown"  # a revision that this version does not have, or tables of somebody else


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def state(database: Database) -> State:
    """Read the revision that the database is at."""
    with database.read() as connection:
        return _state(connection)


def _state(connection: sa.Connection) -> State:
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return State.UNKNOWN if "predictions" in sa.inspect(connection).get_table_names() else State.EMPTY
    if current == scripts.get_current_head():
        return State.CURRENT
    return (
        State.BEHIND if current in {script.revision for script in scripts.walk_revisions()} else State.UNKNOWN
    )


def migrate(database: Database) -> tuple[State, State]:
    """Bring the schema up to this version's and return the state before and after."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        before = _state(connection)
        if before is State.UNKNOWN:
            raise SchemaError(_unknown(database))
        if before is not State.CURRENT:
            command.upgrade(_config(connection), "head")
        return before, _state(connection)


def prepare(database: Database) -> None:
    """Create an empty database's tables; refuse a schema of another version and say what to do."""
    found = state(database)
    if found is State.EMPTY:
        migrate(database)
    elif found is State.BEHIND:
        url = database.engine.url.render_as_string(hide_password=True)
        msg = f"the tables of {url} belong to an older Remora: run `remora migrate --database URL` once"
        raise SchemaError(msg)
    elif found is State.UNKNOWN:
        raise SchemaError(_unknown(database))


def _unknown(database: Database) -> str:
    url = database.engine.url.render_as_string(hide_password=True)
    return f"the tables of {url} were not made by this Remora or by an older one: use another database or a newer Remora"
