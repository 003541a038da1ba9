from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.errors import BadRequestError
from dashboards.periods import PRESETS, Period, parse_instant, parse_period, sampled

NEWEST = datetime(2013, 12, 26, tzinfo=UTC)


def period(**query):
    return parse_period(query, newest=NEWEST, recent=timedelta(days=5))


def test_without_a_word_the_recent_stretch_is_shown():
    found = period()
    assert (found.start, found.end, found.query) == (NEWEST - timedelta(days=5), NEWEST, "")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_leads_back_to_itself(preset):
    found = period(range=preset)
    assert found.end == NEWEST
    assert found.query == f"range={preset}"


def test_from_and_to_go_before_a_preset_and_lead_back_to_themselves():
    found = period(**{"from": "2013-03-01", "to": "2013-03-02T12:00:00+02:00", "range": "7d"})
    assert found.start == datetime(2013, 3, 1, tzinfo=UTC)
    assert found.end == datetime(2013, 3, 2, 10, tzinfo=UTC)
    again = dict(pair.split("=") for pair in found.query.split("&"))
    assert period(**again) == found


@pytest.mark.parametrize(
    "query",
    [{"range": "2d"}, {"from": "soon"}, {"from": "2014-01-01"}, {"to": "0001-01-01"}, {"from": "9999-12-31"}],
)
def test_what_cannot_be_read_is_refused(query):
    with pytest.raises(BadRequestError):
        period(**query)


def test_an_instant_without_zone_is_utc():
    assert parse_instant("2013-03-01T10:00", "from") == datetime(2013, 3, 1, 10, tzinfo=UTC)


def test_a_long_period_is_sampled_at_instants_where_windows_of_any_size_end():
    hour, since = timedelta(hours=1), datetime(2013, 1, 1, tzinfo=UTC)
    year = Period(since, since + timedelta(days=365), "1y")
    sample = sampled(year, hour, 400, since)
    assert (sample.step, len(sample.ends)) == (24, 365)
    assert all(end.hour == 0 for end in sample.ends)
    assert sample.ends[-1] == year.end
    half = sampled(year, hour, 800, since)
    assert (half.step, len(half.ends)) == (12, 730)
    assert sampled(Period(since, since + 100 * hour, "custom"), hour, 400, since).ends == ()
    decade = sampled(
        Period(since - timedelta(days=3650), since, "custom"), hour, 100, since - timedelta(days=3650)
    )
    assert decade.step % 24 == 0
    assert len(decade.ends) <= 100


def test_a_sample_begins_where_the_data_does():
    start = datetime(2013, 1, 1, tzinfo=UTC)
    everything = Period(datetime(1901, 1, 1, tzinfo=UTC), start + timedelta(days=10), "all")
    assert sampled(everything, timedelta(days=1), 20, start).ends == ()
