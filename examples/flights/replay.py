"""Replay the flights in the order of their time as the requests that a client of the model would send.

    python replay.py --to http://127.0.0.1:8080 --from 2013-03-01 --until 2013-03-31

Each hour of scheduled departures is one request of several rows (an array) at the start of that hour; about one
flight in fifty, always the same ones, is asked for alone at its own time. ``x-request-id`` names a request: the rows of
an array become predictions ``<id>-0``, ``<id>-1``, ..., a single flight's prediction is ``<id>`` itself. The labels that
became known in an hour follow at its end, as NDJSON.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from data import DataError, feature_rows, flights
from sender import Options, Progress, ReplayError, send

__all__ = ["MODEL", "Hour", "Request", "answered_ids", "hours"]

MODEL = "flights"
SINGLE_PER_MILLE = 20


@dataclass(frozen=True)
class Request:
    """One request to ``POST /predict``: ``body`` is an array of rows or the features of one flight."""

    at: datetime
    id: str
    body: list[dict[str, Any]] | dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "x-request-id": self.id,
            "x-remora-timestamp": stamp(self.at),
        }

    @property
    def rows(self) -> int:
        return len(self.body) if isinstance(self.body, list) else 1


@dataclass(frozen=True)
class Hour:
    """One hour of UTC event time: what was asked in it, and the labels that became known in it."""

    start: datetime
    requests: list[Request]
    labels: list[dict[str, Any]]


def hours(
    frame: pd.DataFrame, first: date, until: date, *, resume_at: datetime | None = None
) -> Iterator[Hour]:
    """The hours from the UTC day ``first`` to the end of ``until``, and then the hours in which the last labels come.

    ``resume_at`` skips earlier hours; flights before it still send the labels that come after it.
    """
    begin, end = _midnight(first), _midnight(until) + timedelta(days=1)
    asked = frame[(frame["hour"] >= begin) & (frame["hour"] < end)].copy()
    if asked.empty:
        raise DataError(f"no flight departs from {first} to {until}; the data is of 2013")
    _name(asked)
    start = max(begin, resume_at) if resume_at else begin
    days = dict(iter(asked.groupby(asked["hour"].dt.floor("D"))))
    labels = asked[asked["late"].notna()].sort_values(["known_time", "prediction_id"])
    known = dict(iter(labels.groupby(labels["known_time"].dt.floor("D"))))
    day, final = _midnight(start.date()), max(*days, *known)
    while day <= final:
        # A day at a time: one conversion of a frame costs as much for a thousand rows as for one.
        requests, arrived = _requests(days.get(day)), _labels(known.get(day))
        for hour in (day + timedelta(hours=h) for h in range(24)):
            if hour >= start.replace(minute=0, second=0, microsecond=0):
                yield Hour(hour, requests.get(hour, []), arrived.get(hour, []))
        day += timedelta(days=1)


def answered_ids(record: Path) -> Iterator[str]:
    """The ids of all predictions that were answered with success, out of the file that ``send`` wrote."""
    for line in record.read_text().splitlines():
        request_id, _, rows = line.partition("\t")
        if rows:
            yield from (f"{request_id}-{i}" for i in range(int(rows)))
        else:
            yield request_id


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return at.isoformat()[:19] + "Z"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _instants(times: pd.Series) -> list[datetime]:
    return list(pd.DatetimeIndex(times).to_pydatetime())


def _array_id(hour: datetime) -> str:
    return f"flights-{hour:%Y-%m-%dT%H}"


def _name(asked: pd.DataFrame) -> None:
    """Add ``single`` and ``prediction_id``: the rule by which labels find their predictions."""
    asked["single"] = [zlib.crc32(i.encode()) % 1000 < SINGLE_PER_MILLE for i in asked["id"]]
    row = asked.groupby(["hour", "single"]).cumcount()
    names = {hour: _array_id(hour) for hour in asked["hour"].unique()}
    array = asked["hour"].map(names) + "-" + row.astype(str)
    asked["prediction_id"] = asked["id"].where(asked["single"], array)


def _requests(day: pd.DataFrame | None) -> dict[datetime, list[Request]]:
    """The requests of one day by their hour: the array first, then the single flights in the order of their time."""
    requests: dict[datetime, list[Request]] = {}
    together: dict[datetime, list[dict[str, Any]]] = {}
    if day is None:
        return requests
    columns = (_instants(day["hour"]), _instants(day["event_time"]), day["id"], day["single"])
    for hour, at, flight, single, row in zip(*columns, feature_rows(day), strict=True):
        if single:
            requests.setdefault(hour, []).append(Request(at, flight, row))
        else:
            together.setdefault(hour, []).append(row)
    for hour, rows in together.items():
        requests.setdefault(hour, []).insert(0, Request(hour, _array_id(hour), rows))
    return requests


def _labels(day: pd.DataFrame | None) -> dict[datetime, list[dict[str, Any]]]:
    """The labels of one day by the hour in which they became known."""
    labels: dict[datetime, list[dict[str, Any]]] = {}
    if day is None:
        return labels
    for prediction, late, at in zip(
        day["prediction_id"], day["late"], _instants(day["known_time"]), strict=True
    ):
        hour = at.replace(minute=0, second=0)
        labels.setdefault(hour, []).append(
            {"model": MODEL, "id": prediction, "label": bool(late), "timestamp": stamp(at)}
        )
    return labels


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--to", required=True, help="address of the proxy in front of the model, http://HOST:PORT"
    )
    parser.add_argument(
        "--from", dest="first", type=date.fromisoformat, default=date(2013, 3, 1), help="first UTC day"
    )
    parser.add_argument("--until", type=date.fromisoformat, default=date(2013, 12, 31), help="last UTC day")
    parser.add_argument(
        "--speed", type=float, help="simulated seconds per second; as fast as possible without it"
    )
    parser.add_argument("--record", type=Path, help="file for the ids of the answered requests")
    parser.add_argument(
        "--no-labels", action="store_true", help="send no labels, for a model server without Remora"
    )
    return parser.parse_args()


def _show(progress: Progress) -> None:
    if progress.simulated.hour == 23:
        print(
            f"{progress.simulated:%Y-%m-%d}  {progress.rows_ok:>7} rows  {progress.rows_failed} failed  "
            f"{progress.labels} labels",
            flush=True,
        )


def main() -> int:
    options = _arguments()
    base = options.to.rstrip("/")
    labels = None if options.no_labels else f"{base}/remora/v1/labels"
    how = Options(f"{base}/predict", labels, speed=options.speed, record=options.record)
    try:
        asyncio.run(send(hours(flights(), options.first, options.until), how, progress=_show))
    except (DataError, ReplayError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
