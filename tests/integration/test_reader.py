"""Grafana's role reads the views and nothing that holds a value of a feature."""

from __future__ import annotations

import contextlib
import re
import uuid

import pytest
import sqlalchemy as sa

from remora import schema
from remora.database import connect
from remora.errors import UserError
from tests.documents import described
from tests.example_year import fill


@pytest.fixture
def reader(postgres_database):
    """A connection as a role of its own that was given the views."""
    fill(postgres_database, days=30)
    role = f"reader {uuid.uuid4().hex[:6]}"  # a name that needs quotes
    with postgres_database.write() as connection:
        connection.exec_driver_sql(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'secret'")
    schema.grant_reading(postgres_database, role)
    schema.grant_reading(postgres_database, role)
    engine = sa.create_engine(postgres_database.engine.url.set(username=role, password="secret"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()
    with postgres_database.write() as connection, contextlib.suppress(sa.exc.DBAPIError):
        connection.exec_driver_sql(f'DROP OWNED BY "{role}"')
        connection.exec_driver_sql(f'DROP ROLE "{role}"')


def test_a_reader_sees_every_view(reader, postgres_database):
    for view in schema.VIEWS:
        reader.exec_driver_sql(f"SELECT * FROM {view}").all()
    assert reader.exec_driver_sql("SELECT count(*) FROM finding_history").scalar_one() > 1000
    assert reader.exec_driver_sql("SELECT count(*) FROM alert_history WHERE metric = 'auc'").scalar_one() > 0
    with postgres_database.read() as connection:
        views = sa.inspect(connection).get_view_names()
    assert sorted(views) == sorted(schema.VIEWS), "a view that nobody may read"


def test_the_views_show_what_the_documentation_says(postgres_database):
    with postgres_database.read() as connection:
        found = {
            view: {column["name"] for column in sa.inspect(connection).get_columns(view)}
            for view in schema.VIEWS
        }
    said = described("docs/grafana.md", "History")
    assert {view: set(re.findall(r"`(\w+)`", cells[1])) for view, cells in said.items()} == found


@pytest.mark.parametrize(
    "table", ["predictions", "labels", "tokens", "summaries", "findings", "reference_sets"]
)
def test_a_reader_sees_no_table(reader, table):
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        reader.exec_driver_sql(f"SELECT * FROM {table}")


def test_a_reader_changes_nothing(reader):
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        reader.exec_driver_sql("UPDATE version_history SET version = 'x'")


def test_a_role_that_is_not_there_and_a_database_without_roles_are_said(postgres_database, tmp_path):
    with pytest.raises(UserError, match="there is no role 'nobody'"):
        schema.grant_reading(postgres_database, "nobody")
    file = connect(f"sqlite:///{tmp_path / 'remora.db'}")
    with pytest.raises(UserError, match="PostgreSQL's"):
        schema.grant_reading(file, "nobody")
    file.dispose()
