from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from dashboards import words

DAY = datetime(2013, 9, 3, tzinfo=UTC)


def test_times_are_utc_whatever_zone_they_come_in():
    assert (
        words.when(datetime(2013, 9, 3, 16, 5, tzinfo=timezone(timedelta(hours=2)))) == "2013-09-03 14:05 UTC"
    )
    assert words.when(None) == "-"


@pytest.mark.parametrize(
    ("hours", "length", "text"),
    [(0, 24, "2013-09-03"), (6, 1, "2013-09-03 06:00 to 07:00"), (0, 48, "2013-09-03 00:00 to 2013-09-05")],
)
def test_a_window_is_named_as_short_as_it_can_be(hours, length, text):
    start = DAY + timedelta(hours=hours)
    assert words.window(start, start + timedelta(hours=length)) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [(timedelta(seconds=42), "42s"), (timedelta(minutes=90), "1h 30m"), (timedelta(days=3, hours=4, minutes=9), "3d 4h"),
     (timedelta(seconds=-5), "0s")],
)  # fmt: skip
def test_durations_have_two_units(length, text):
    assert words.duration(length) == text


def test_links_quote_every_part():
    assert words.link("models", "a/b <c>", query="range=7d") == "/models/a%2Fb%20%3Cc%3E?range=7d"
