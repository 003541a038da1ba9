"""False alarms on streams in which nothing changes: how many a month, beside the budget and what others would say.

    python benchmarks/false_alarms.py [--quick] [--features 20] [--rows 1000] [--months 12] [--seeds 3]    # about five minutes

A model of so many numeric features is watched in windows of a day; its reference is the 60 days before. The streams:

    independent   rows that depend on nothing
    one day's own every day shifts all features together by a draw of its own, a fifth of a standard deviation: weather
    wandering     that shift is an AR(1) of .9 from day to day
    weekly        Saturdays and Sundays are half a standard deviation away
    growing       independent rows, of which there are five times as many in the end

`Remora` is what `drift` decides with its defaults (a budget of one alarm in 30 days): alarms that begin, whatever feature, in 30 days.
`windows` is the share of windows in which a feature is beyond its threshold. `KS .05` and `Evidently` are the shares of the same windows
that the two-sample Kolmogorov-Smirnov test at p < .05 of any feature, and Evidently's own "dataset drift" with its defaults, would
call drifted, over some of them. A stream whose days wander for months is beyond what 60 days can teach: there the budget is
not kept, and the table says by how much.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from detectors.base import ALARM, Result
from detectors.baselines import Baselines
from detectors.history import History
from detectors.judges import Work
from detectors.judges.drift import judge
from detectors.loading import Loaded, Slice
from detectors.reference_file import Rows
from detectors.references import Target, store_rows
from detectors.windows import Window
from remora import schema
from remora.config import Config
from remora.database import connect
from remora.summaries import NumericSummary, TrafficSummary
from remora.summaries.profile import TRAFFIC

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
_REFERENCE_DAYS = 60
_ASKED = 20  # windows that the others are asked about

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stream:
    """Days of rows; `shifts` has each day's, in standard deviations, and `sizes` its number of rows."""

    shifts: Floats
    sizes: NDArray[np.int64]
    features: int
    seed: int

    def day(self, number: int) -> Floats:
        """Shape (rows, features)."""
        random = np.random.default_rng((self.seed, number))
        return random.normal(self.shifts[number], 1.0, (int(self.sizes[number]), self.features))


def streams(days: int, rows: int, features: int, seed: int) -> dict[str, Stream]:
    """One of each kind."""
    random = np.random.default_rng(seed)
    draws = random.normal(size=days)
    wandering = np.zeros(days)
    for number in range(1, days):
        wandering[number] = 0.9 * wandering[number - 1] + np.sqrt(1 - 0.81) * draws[number]
    weekend = np.array([(START + number * DAY).weekday() >= 5 for number in range(days)])
    usual, growing = np.full(days, rows), np.linspace(rows, 5 * rows, days).astype(np.int64)
    quiet = np.zeros(days)
    return {
        "independent": Stream(quiet, usual, features, seed),
        "one day's own": Stream(0.2 * draws, usual, features, seed),
        "wandering": Stream(0.2 * wandering, usual, features, seed),
        "weekly": Stream(0.5 * weekend, usual, features, seed),
        "growing": Stream(quiet, growing, features, seed),
    }


# --- Remora ----------------------------------------------------------------------------------------------------------


def verdicts(stream: Stream, days: int) -> Iterator[bool]:
    """Of each day after the reference's whether a feature is beyond its threshold."""
    with tempfile.TemporaryDirectory(prefix="remora-alarms-") as folder:
        database, config = connect(f"sqlite:///{folder}/r.db"), Config()
        schema.prepare(database)
        store_rows(database, config, Target("m"), reference_of(stream), START)
        baselines, before = Baselines(database, config), dict[Any, Mapping[str, Any]]()
        for number in range(_REFERENCE_DAYS, _REFERENCE_DAYS + days):
            work = work_of(stream.day(number), START + number * DAY, baselines, config, before)
            found = {tuple(one[:4]): one[4] for one in judge(work)}
            before = {key: result.details for key, result in found.items()}
            yield any(is_alarm(result) for result in found.values())
        database.dispose()


def is_alarm(result: Result) -> bool:
    return result.verdict == ALARM


def reference_of(stream: Stream) -> Rows:
    parts = [stream.day(number) for number in range(_REFERENCE_DAYS)]
    frame = pd.DataFrame(np.concatenate(parts), columns=[f"f{n}" for n in range(stream.features)])
    days = np.repeat(np.arange(_REFERENCE_DAYS), [len(part) for part in parts])
    times = pd.Series(pd.to_datetime([START + int(number) * DAY for number in days], utc=True))
    return Rows(frame, times, None, None, None, "made")


def work_of(
    rows: Floats,
    start: datetime,
    baselines: Baselines,
    config: Config,
    before: Mapping[Any, Mapping[str, Any]],
) -> Work:
    """A day as the job sees it."""
    merged: dict[tuple[str, str], Any] = {(TRAFFIC, TrafficSummary.kind): TrafficSummary({200: len(rows)})}
    for number in range(rows.shape[1]):
        summary = NumericSummary()
        summary.update(rows[:, number])
        merged[f"f{number}", summary.kind] = summary
    loaded = Loaded({("", ""): Slice(merged)}, 0)
    return Work(
        loaded, config.model("m"), Window(start, start + DAY), start + 2 * DAY, lambda version: baselines.of("m", version),
        lambda _: ([], []), History, lambda _: before, dict,
    )  # fmt: skip


def begun(alarms: list[bool]) -> int:
    """Alarms that begin: one that lasts is one."""
    return sum(now and not was for was, now in zip([False, *alarms], alarms, strict=False))


# --- others ----------------------------------------------------------------------------------------------------------


def textbook(stream: Stream, asked: list[int]) -> float:
    reference = reference_of(stream).features.to_numpy()[:: max(1, _REFERENCE_DAYS // 6)]
    said = [
        any(ks_2samp(reference[:, n], stream.day(day)[:, n]).pvalue < 0.05 for n in range(stream.features))
        for day in asked
    ]
    return statistics.mean(said)


def evidently(stream: Stream, asked: list[int]) -> float:
    """The share of windows in which at least half of the columns are called drifted."""
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import Report  # noqa: PLC0415
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    reference = reference_of(stream).features.iloc[:: _REFERENCE_DAYS // 6]
    said = []
    for day in asked:
        current = pd.DataFrame(stream.day(day), columns=reference.columns)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"][0]["value"]
        said.append(found["share"] >= 0.5)
    return statistics.mean(said)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a little of it, to see that it works")
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1000, help="in a window")
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.quick:
        given.features, given.rows, given.months, given.seeds = 3, 300, 1, 1
    days, asked = 30 * given.months, 2 if given.quick else _ASKED
    print(
        f"{given.features} features, windows of a day with {given.rows:,} rows, {given.months} months x {given.seeds}"
    )
    print(f"{'':15}{'Remora':>8}{'ratio':>8}{'windows':>9}{'KS .05':>8}{'Evidently':>11}")
    for name in streams(1, 1, 1, 0):
        alarms, beyond, others = 0, 0, [0.0, 0.0]
        for seed in range(given.seeds):
            stream = streams(_REFERENCE_DAYS + days, given.rows, given.features, seed)[name]
            found = list(verdicts(stream, days))
            alarms, beyond = alarms + begun(found), beyond + sum(found)
            some = [int(day) for day in np.linspace(_REFERENCE_DAYS, _REFERENCE_DAYS + days - 1, asked)]
            others[0] += textbook(stream, some) / given.seeds
            others[1] += evidently(stream, some) / given.seeds
        months = given.months * given.seeds
        print(
            f"{name:15}{alarms / months:8.2f}{alarms / months:8.2f}{beyond / (30 * months):9.1%}{others[0]:8.0%}{others[1]:11.0%}",
            flush=True,
        )
    print("ratio: to the budget of 1 alarm in 30 days")


if __name__ == "__main__":
    main()
