"""The schema: from empty to head on both databases, equal to the tables, refused where it does not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from remora import schema, tables
from remora.database import connect, insert_new, upsert
from remora.errors import SchemaError, UnavailableError

ROOT = Path(__file__).parents[2]
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def test_an_empty_database_is_brought_to_the_tables_of_this_version(database_url):
    database = connect(database_url)
    assert schema.state(database) is schema.State.EMPTY
    assert schema.migrate(database) == (schema.State.EMPTY, schema.State.CURRENT)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    database.dispose()


def test_tables_are_made_in_a_process_of_its_own_where_memory_is_dear(database_url):
    code = (
        "import sys; from remora import schema; from remora.database import connect; "
        "database = connect(sys.argv[1]); schema.prepare(database, apart=True); "
        "print(schema.state(database).value, 'alembic' in sys.modules)"
    )
    environment = {
        **os.environ,
        "REMORA_READER": "nobody",
    }  # what the sidecar was told is not for `remora migrate`
    done = subprocess.run(
        [sys.executable, "-c", code, database_url], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "current False\n", done.stderr


def test_why_tables_could_not_be_made_is_said(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    database = connect(f"sqlite:///{folder}/remora.db")
    monkeypatch.setattr(schema, "state", lambda _: schema.State.EMPTY)
    folder.rmdir()
    with pytest.raises(
        UnavailableError, match=f"could not be made: the folder of the database {folder}/remora.db"
    ):
        schema.prepare(database, apart=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(UnavailableError, match="could not be made: FileNotFoundError"):
        schema.prepare(database, apart=True)


def test_migrating_twice_changes_nothing(database):
    assert schema.migrate(database) == (schema.State.CURRENT, schema.State.CURRENT)


def test_every_revision_can_be_taken_back(database):
    with database.write() as connection:
        command.downgrade(schema._config(connection), "base")
    assert schema.state(database) is schema.State.EMPTY


def test_a_database_of_an_unknown_revision_is_left_alone(database):
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="newer Remora"):
        schema.prepare(database)
    with pytest.raises(SchemaError, match="newer Remora"):
        schema.migrate(database)


def test_reading_cannot_write(database):
    row = {"name": "m", "first_seen": NOON, "last_seen": NOON}
    with pytest.raises(Exception, match=r"readonly|read-only"), database.read() as connection:
        connection.execute(tables.models.insert(), row)
    with database.write() as connection:
        assert connection.execute(tables.models.select()).all() == []


def test_insert_new_says_which_keys_were_new(database):
    rows = [{"name": name, "first_seen": NOON, "last_seen": NOON} for name in ("a", "b", "a")]
    with database.write() as connection:
        assert sorted(insert_new(connection, tables.models, rows, ["name"])) == [("a",), ("b",)]
        assert insert_new(connection, tables.models, rows[:1], ["name"]) == []


def test_upsert_replaces_the_row(database):
    row = {"name": "replay", "now": NOON, "settled": None}
    with database.write() as connection:
        upsert(connection, tables.clock, row)
        upsert(connection, tables.clock, row | {"settled": NOON})
    with database.read() as connection:
        assert connection.execute(tables.clock.select()).all() == [("replay", NOON, NOON)]


def test_a_writer_that_hangs_does_not_hold_up_the_judges_for_ever(postgres_database):
    with postgres_database.write(), pytest.raises(UnavailableError, match="lock timeout"):
        postgres_database.settled(tables.summaries.c.seq)


def test_a_naive_instant_is_refused(sqlite_database):
    with pytest.raises(Exception, match="naive"), sqlite_database.write() as connection:
        upsert(
            connection, tables.clock, {"name": "replay", "now": NOON.replace(tzinfo=None), "settled": None}
        )


def test_a_database_that_is_away_is_unavailable_and_its_password_stays_unsaid():
    database = connect("postgresql+psycopg://ann:hunter2@127.0.0.1:1/none")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as caught:
        schema.prepare(database)
    assert "hunter2" not in str(caught.value)
