"""Spool to database, with the process dying at the worst places."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from collector.delivery import Delivery, Pace
from collector.errors import SpoolError
from collector.sinks import DatabaseSink
from collector.spool import Spool, encode_record
from remora import tables
from remora.database import connect
from remora.errors import UnavailableError
from remora.records import Batch, Label, Prediction
from remora.summaries import merge_encoded

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def entries(*numbers: int) -> list:
    predictions = [
        Prediction(model="m", id=f"p{n}", timestamp=NOON, features={"x": float(n)}, prediction=True)
        for n in numbers
    ]
    labels = [Label(model="m", id=f"p{n}", label=True, timestamp=NOON) for n in numbers]
    return [encode_record(record) for record in [*predictions, *labels]]


def counted(url: str) -> tuple[int, int, int]:
    """Predictions in the table, in the traffic summaries, and labelled ones in the performance summaries."""
    database = connect(url)
    with database.read() as connection:
        stored = connection.execute(sa.select(sa.func.count()).select_from(tables.predictions)).scalar_one()
        query = sa.select(tables.summaries.c.data).where(tables.summaries.c.segment == "")
        found = [
            merge_encoded(connection.execute(query.where(tables.summaries.c.column_name == column)).scalars())
            for column in ("$traffic", "$performance")
        ]
    database.dispose()
    return stored, found[0].count, found[1].labelled


def test_an_empty_database_is_made_and_filled(database_url, tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.put(entries(*range(30))).result(5)
    sink = DatabaseSink(connect(database_url), {}, lambda: NOON)
    assert Delivery(spool, sink, source="test", pace=Pace(rows=7)).drain(30)
    spool.close()
    sink.close()
    assert counted(database_url) == (30, 30, 30)


def test_dying_between_commit_and_removal_repeats_the_batch_without_effect(database_url, tmp_path):
    """The batch is committed, its removal from the spool is not: the next start sends the same batch again."""
    sink = DatabaseSink(connect(database_url), {}, lambda: NOON)
    for round_ in range(3):
        spool = Spool(tmp_path / "spool")
        spool.put(entries(*range(round_ * 10, round_ * 10 + 10))).result(5)
        delivery = Delivery(spool, sink, source="test", pace=Pace(rows=8))

        def die(_batch, _receipt):
            raise SpoolError("killed here")

        spool.remove = die
        with pytest.raises(SpoolError, match="killed"):
            delivery.step()
        spool.close()
    spool = Spool(tmp_path / "spool")
    assert Delivery(spool, sink, source="test", pace=Pace(rows=8)).drain(30)
    spool.close()
    sink.close()
    assert counted(database_url) == (30, 30, 30)


def test_a_record_that_the_database_refuses_is_set_aside_alone(database_url, tmp_path):
    """A status of another size than the column's: no check lets it in, so it is put into the spool by hand."""
    spool = Spool(tmp_path / "spool")
    bad = Prediction(model="m", id="bad", timestamp=NOON, status=2**62)
    spool.put([*entries(0, 1), encode_record(bad), *entries(2)]).result(5)
    sink = DatabaseSink(connect(database_url), {}, lambda: NOON)
    assert Delivery(spool, sink, source="test").drain(30)
    aside = spool.counters()["set_aside"]
    spool.close()
    sink.close()
    if database_url.startswith("postgresql"):
        assert aside == 1
        assert counted(database_url) == (3, 3, 3)
    else:
        assert aside == 0  # SQLite's integers have 64 bits


class _SaidError(Exception):
    """What a driver raises: with a state when the server said it, without when the driver did."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("no")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(("state", "error"), [("42501", UnavailableError), (None, sa.exc.ProgrammingError)])
def test_a_missing_privilege_is_no_fault_of_the_records(sqlite_url, state, error, monkeypatch):
    sink = DatabaseSink(connect(sqlite_url), {}, lambda: NOON)

    def refuse(*_):
        raise sa.exc.ProgrammingError("INSERT", {}, _SaidError(state))

    monkeypatch.setattr(sink.store, "write", refuse)
    with pytest.raises(error):
        sink.write(Batch(id="b", source="s"))
    sink.close()
