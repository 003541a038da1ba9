"""The schema: from empty to head on both databases, equal to the tables, refused where it does not fit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from remora import schema, tables
from remora.database import connect, insert_new, upsert
from remora.errors import SchemaError, UnavailableError

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def test_an_empty_database_is_brought_to_the_tables_of_this_version(database_url):
    database = connect(database_url)
    assert schema.state(database) is schema.State.EMPTY
    assert schema.migrate(database) == (schema.State.EMPTY, schema.State.CURRENT)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    database.dispose()


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
