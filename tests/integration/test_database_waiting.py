"""Whoever stands still in the middle of a transaction loses it: else nobody could take over its work."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from remora import tables as t
from remora.errors import UnavailableError


def stand_still(database, count):
    values = [{"actor": "a", "what": f"w{number}", "subject": "s"} for number in range(count)]
    with database.write() as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '200ms'")
        connection.execute(sa.insert(t.audit).values(at=sa.func.now()), values)
        time.sleep(1)
        connection.execute(sa.select(1))


@pytest.mark.parametrize("count", [1, 3])
def test_a_writer_that_stands_still_loses_its_transaction_however_it_wrote(postgres_database, count):
    with pytest.raises(UnavailableError, match="idle-in-transaction"):
        stand_still(postgres_database, count)
    with postgres_database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(t.audit)).scalar_one() == 0


def test_a_writer_gets_less_time_than_its_work_may_wait(postgres_database):
    with postgres_database.write() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "20s"
    with postgres_database.read() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"
