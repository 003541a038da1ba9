"""How long judging a window takes: 30 columns, from summaries of 10 thousand and of a million and more rows.

    python benchmarks/judging.py

The cost follows from the number of summaries, not of predictions: each size is judged from the summaries of 24
hours, and the largest also from 1,440 minutes, which is what stands in the database before compaction. Every round
is whole: claim, read, merge, compare, store, commit (SQLite on this machine's disk). Peers' figures for computing
drift of 30 columns from a million rows on such a machine are in the last line.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from detectors.jobs import run_due
from detectors.reference_file import Rows
from detectors.references import Target, store_rows
from remora import schema
from remora.config import Config
from remora.database import Database, connect
from remora.summaries import CategoricalSummary, NumericSummary, Summary, TrafficSummary, encode
from remora.tables import models, summaries

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
NUMERIC, CATEGORICAL, REFERENCE_ROWS, ROUNDS = 25, 5, 100_000, 5


def columns(random: np.random.Generator, size: int) -> pd.DataFrame:
    """25 numbers, some heavy-tailed, and 5 categories of 3 to 300 values; 2 % missing in some."""
    made: dict[str, object] = {}
    for number in range(NUMERIC):
        values = random.normal(size=size) if number % 3 else random.lognormal(sigma=1.5, size=size)
        if number % 5 == 0:
            values[random.random(size) < 0.02] = np.nan
        made[f"n{number}"] = values
    for number, count in enumerate((3, 10, 30, 100, 300)):
        made[f"c{number}"] = (random.zipf(1.3, size) % count).astype(str)
    return pd.DataFrame(made)


def summarise(values: pd.Series) -> Summary:
    if values.dtype == float:
        numeric = NumericSummary()
        numeric.update(values.to_numpy())
        return numeric
    categorical = CategoricalSummary()
    categorical.update(values.tolist())
    return categorical


def write(database: Database, random: np.random.Generator, day: datetime, rows: int, parts: int) -> int:
    """The summaries of a day, as the collector writes them; how many there are."""
    stored = []
    base = {"model": "m", "version": "", "segment": "", "granularity": "minute", "batch_id": "b"}
    for part in range(parts):
        size = rows // parts
        traffic: dict[str, Summary] = {"$traffic": TrafficSummary({200: size})}
        frame = columns(random, size)
        for name, summary in (traffic | {str(name): summarise(frame[name]) for name in frame}).items():
            start = day + part * DAY / parts
            stored.append(
                {**base, "start": start, "column_name": name, "kind": summary.kind, "data": encode(summary)}
            )
    with database.write() as connection:
        connection.execute(sa.insert(summaries), stored)
    return len(stored)


def measure(rows: int, parts: int) -> None:
    """Judge a day `ROUNDS` times: the drift job, its two neighbours without labels and latency included."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="remora-judging-") as folder:
        database, config = connect(f"sqlite:///{folder}/judging.db"), Config()
        schema.prepare(database)
        reference = Rows(columns(random, REFERENCE_ROWS), None, None, None, None, "made")
        store_rows(database, config, Target("m"), reference, START)
        with database.write() as connection:
            connection.execute(sa.insert(models), [{"name": "m", "first_seen": START, "last_seen": START}])
        took, processor = [], []
        for number in range(ROUNDS):
            count = write(database, random, START + number * DAY, rows, parts)
            wall, cpu = time.perf_counter(), time.process_time()
            done = run_due(
                database, config, now=START + (number + 2) * DAY - timedelta(hours=1), wall=START, owner="b"
            )
            took.append(1e3 * (time.perf_counter() - wall))
            processor.append(1e3 * (time.process_time() - cpu))
            if not done:
                sys.exit("nothing was judged")
        size = Path(f"{folder}/judging.db").stat().st_size / 1e6 / ROUNDS
        database.dispose()
    print(
        f"{rows:>10,} {parts:>6,} {count:>10,} {statistics.median(took):>8.0f} {statistics.median(processor):>8.0f} {size:>9.1f}"
    )


def main() -> None:
    print(f"{'rows':>10} {'parts':>6} {'summaries':>10} {'ms':>8} {'CPU ms':>8} {'MB a day':>9}")
    for rows, parts in (
        (10_000, 1),
        (1_000_000, 1),
        (10_000, 24),
        (100_000, 24),
        (1_000_000, 24),
        (1_440_000, 1440),
    ):
        measure(rows, parts)
    print(
        "a million rows elsewhere: Evidently 76.5 s, whylogs 34 s, alibi-detect 13.5 s, NannyML 5.9 s, frouros PSI 1.6 s"
    )


if __name__ == "__main__":
    main()
