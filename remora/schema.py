"""The database's schema: create it, say whether it fits, bring it up to date. Alembic does the work.

An empty database is created on first use, so that a first try needs no ceremony. A database of another version
is never changed behind its owner's back: `remora migrate` does that.

Alembic is loaded only where something is to be done: a sidecar that finds its database in order has no room for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum
from importlib import resources
from typing import TYPE_CHECKING

import sqlalchemy as sa

from remora.database import Database
from remora.errors import SchemaError, UnavailableError, UserError

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["VIEWS", "State", "grant_reading", "head", "migrate", "prepare", "state"]

# What people read with SQL, and what these views show: docs/grafana.md.
VIEWS = (
    "action_history", "alert_history", "collector_status", "delivery_history", "finding_history", "incident_history",
    "version_history",
)  # fmt: skip

_LOCK = 0x52454D4F  # "REMO": one migration at a time, whoever starts first
_SECONDS = 300


class State(Enum):
    """How the database's schema stands to this version's."""

    EMPTY = "empty"
    CURRENT = "current"
    BEHIND = "behind"
    UNKNOWN = "unknown"  # a revision that this version does not have, or tables of somebody else


def _config(connection: sa.Connection | None = None) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def state(database: Database) -> State:
    """Read the revision that the database is at."""
    with database.read() as connection:
        return _state(connection)


def head() -> str:
    """The newest revision of this version; revisions are files in one row, `0012_pre_segments.py`."""
    return _revisions()[-1]


def _revisions() -> list[str]:
    files = (one.name for one in resources.files("migrations.versions").iterdir())
    return sorted(name[:4] for name in files if name[:4].isdigit())


def _state(connection: sa.Connection) -> State:
    tables = sa.inspect(connection).get_table_names()
    current = (
        connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if "alembic_version" in tables
        else None
    )
    if current is None:
        return State.UNKNOWN if "predictions" in tables else State.EMPTY
    if current == head():
        return State.CURRENT
    return State.BEHIND if current in _revisions() else State.UNKNOWN


def migrate(database: Database) -> tuple[State, State]:
    """Bring the schema up to this version's and return the state before and after."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        before = _state(connection)
        if before is State.UNKNOWN:
            raise SchemaError(_unknown(database))
        if before is not State.CURRENT:
            from alembic import command  # noqa: PLC0415

            command.upgrade(_config(connection), "head")
        return before, _state(connection)


def grant_reading(database: Database, role: str) -> None:
    """Let a role of PostgreSQL read the views, and no table. Raises UserError."""
    if database.dialect != "postgresql":
        raise UserError("roles that only read are PostgreSQL's: SQLite lets in who can read its file")
    with database.write() as connection:
        known = connection.execute(
            sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}
        ).first()
        if known is None:
            raise UserError(f"there is no role {role!r}: create it first, with CREATE ROLE and a password")
        quoted = connection.dialect.identifier_preparer.quote(role)
        schema = connection.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
        connection.exec_driver_sql(f"GRANT SELECT ON {', '.join(VIEWS)} TO {quoted}")


def prepare(database: Database, *, apart: bool = False) -> None:
    """Create an empty database's tables; refuse a schema of another version and say what to do.

    `apart`: in a process of its own, which takes the memory along that Alembic needs. Raises SchemaError, UnavailableError.
    """
    found = state(database)
    if found is State.EMPTY:
        (_migrate_apart if apart else migrate)(database)
    elif found is State.BEHIND:
        url = database.engine.url.render_as_string(hide_password=True)
        msg = f"the tables of {url} belong to an older Remora: run `remora migrate --database URL` once"
        raise SchemaError(msg)
    elif found is State.UNKNOWN:
        raise SchemaError(_unknown(database))


def _migrate_apart(database: Database) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REMORA_")}
    environment["REMORA_DATABASE"] = database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-P", "-m", "remora", "migrate"]
    try:
        done = subprocess.run(  # noqa: S603  (this Python, our own command)
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("remora: ")
    except (OSError, subprocess.TimeoutExpired) as error:
        done, said = None, type(error).__name__
    if done is None or done.returncode:
        raise UnavailableError(f"the tables could not be made: {said}")


def _unknown(database: Database) -> str:
    url = database.engine.url.render_as_string(hide_password=True)
    return f"the tables of {url} were not made by this Remora or by an older one: use another database or a newer Remora"
