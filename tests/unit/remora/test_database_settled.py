"""A settled serial: nothing lower is still to come, also where a later writer commits first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import sqlalchemy as sa

from remora.tables import summaries

DAY = datetime(2013, 3, 1, tzinfo=UTC)


def insert(connection):
    row = {"model": "m", "version": "", "segment": "", "granularity": "minute", "start": DAY, "column_name": "x",
           "kind": "traffic", "data": b"", "batch_id": "b"}  # fmt: skip
    connection.execute(sa.insert(summaries), [row])


def test_nothing_is_settled_in_an_empty_table(database):
    assert database.settled(summaries.c.seq) == 0


def test_a_writer_that_is_still_open_is_waited_for(database):
    inserted, go = Event(), Event()

    def slow():
        with database.write() as connection:
            insert(connection)
            inserted.set()
            assert go.wait(30)

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(slow)
        assert inserted.wait(30)
        asked = pool.submit(database.settled, summaries.c.seq)
        if database.dialect == "sqlite":  # one writer at a time: what is not committed has no number yet
            assert asked.result(timeout=30) == 0
        else:
            assert not asked.done()
        go.set()
        writing.result(timeout=30)
        assert asked.result(timeout=30) == (0 if database.dialect == "sqlite" else 1)
    assert database.settled(summaries.c.seq) == 1
