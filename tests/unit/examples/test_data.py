from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest


def test_every_flight_is_there_once(frame):
    assert len(frame) == 336_776
    assert frame["id"].is_unique
    assert frame["event_time"].is_monotonic_increasing
    assert "2013-03-01-EWR-UA1545-0515" not in set(frame["id"])
    assert "2013-01-01-EWR-UA1545-0515" in set(frame["id"])


def test_a_label_is_known_after_the_departure_or_never(frame):
    labelled = frame["late"].notna()
    assert labelled.sum() == 327_346
    assert (frame.loc[labelled, "known_time"] > frame.loc[labelled, "event_time"]).all()
    assert frame.loc[~labelled, "known_time"].isna().all()


def test_times_are_new_york_times(frame):
    new_york = frame["event_time"].dt.tz_convert(ZoneInfo("America/New_York"))
    assert (new_york.dt.strftime("%Y-%m-%d") == frame["id"].str[:10]).all()
    assert (new_york.dt.hour * 60 + new_york.dt.minute == frame["scheduled"]).all()
    one = frame[frame["id"] == "2013-01-01-EWR-UA1545-0515"].iloc[0]
    assert one["event_time"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert one["weekday"] == "Tue"


def test_missing_weather_is_none_in_a_row(frame):
    from data import FEATURES, feature_rows

    rows = feature_rows(frame[frame["wind_speed"].isna()].head(3))
    assert [set(row) for row in rows] == [set(FEATURES)] * 3
    assert all(row["wind_speed"] is None for row in rows)
    assert isinstance(rows[0]["distance"], int)


def test_a_missing_file_is_named(tmp_path):
    from data import DataError, raw_flights

    with pytest.raises(DataError, match=r"flights\.csv\.zip is missing.*pip install"):
        raw_flights(tmp_path)


def test_another_file_is_refused(tmp_path):
    from data import DataError, raw_weather

    (tmp_path / "weather.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"sha256 .* expected 5d1ea254") as refused:
        raw_weather(tmp_path)
    assert "\n" not in str(refused.value)
