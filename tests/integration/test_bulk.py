"""Many rows in one statement, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from remora import tables
from remora.bulk import insert_block, insert_rows, update_keys
from remora.errors import UnavailableError

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
KEY = ("model", "id")


def block(*numbers: int, **more: object) -> dict[str, list[object]]:
    values = {
        "id": "", "model": "m", "version": "", "timestamp": NOON, "latency_ms": None, "status": 200,
        "features": b'{"x":1}', "prediction": None, "scores": b"0.5", "tags": b"{}", "batch_id": "b", "sample": 1.0,
    }  # fmt: skip
    columns = {name: [value] * len(numbers) for name, value in (values | more).items()}
    return columns | {"id": [f"p{number:04}" for number in numbers]}


def stored(database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(sa.select(tables.predictions.c.id)).scalars())


@pytest.mark.parametrize("count", [1, 3, 4, 2047, 2048, 2337])
def test_every_number_of_rows_goes_in(database, count):
    with database.write() as connection:
        assert insert_block(connection, tables.predictions, block(*range(count)), KEY) == count
    assert stored(database) == [f"p{number:04}" for number in range(count)]


def test_what_is_there_stays_and_is_not_counted(database):
    with database.write() as connection:
        insert_block(connection, tables.predictions, block(1, 3), KEY)
        assert insert_block(connection, tables.predictions, block(0, 1, 2, 3, batch_id="c"), KEY) == 2
        query = sa.select(tables.predictions.c.id).where(tables.predictions.c.batch_id == "c")
        assert sorted(connection.execute(query).scalars()) == ["p0000", "p0002"]
        row = connection.execute(sa.select(tables.predictions).limit(1)).one()
    assert (row.features, row.prediction, row.scores, row.timestamp) == ({"x": 1}, None, 0.5, NOON)


def test_keys_are_updated_together(database):
    labels = [
        {"id": str(n), "model": "m", "label": n, "timestamp": NOON, "joined": False, "batch_id": "b"}
        for n in range(5)
    ]
    with database.write() as connection:
        insert_rows(connection, tables.labels, labels)
        update_keys(
            connection, tables.labels, {"joined": True}, KEY, [("m", "1"), ("m", "3"), ("other", "4")]
        )
        query = sa.select(tables.labels.c.id).where(tables.labels.c.joined)
        assert sorted(connection.execute(query).scalars()) == ["1", "3"]


def test_an_integer_that_a_column_cannot_hold_is_never_cut_short(postgres_database):
    with pytest.raises(OverflowError, match="status"), postgres_database.write() as connection:
        insert_block(connection, tables.predictions, block(1, status=2**62), KEY)
    assert stored(postgres_database) == []


def test_a_database_that_goes_away_is_unavailable(postgres_database):
    """COPY goes past SQLAlchemy, which would have told what the driver's error means."""

    def write_after_a_kill() -> None:
        with postgres_database.write() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with postgres_database.engine.connect() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
            insert_block(connection, tables.predictions, block(1), KEY)

    with pytest.raises(UnavailableError):
        write_after_a_kill()
    assert stored(postgres_database) == []
