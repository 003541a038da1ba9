"""Windows: aligned, complete, none twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.windows import Window, due_span, missing_windows, revision_pause, window_of

DAY = timedelta(days=1)
START = datetime(2013, 3, 1, tzinfo=UTC)
instants = st.datetimes(datetime(1901, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
sizes = st.sampled_from([timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1), DAY, 7 * DAY])


@given(instants, sizes)
def test_an_instant_lies_in_its_window_which_is_aligned(instant, size):
    window = window_of(instant, size)
    assert window.start <= instant < window.end == window.start + size
    if size <= DAY:
        assert (window.start - window.start.replace(hour=0, minute=0)) % size == timedelta(0)


@given(instants, sizes, st.timedeltas(timedelta(0), timedelta(days=3)), st.integers(0, 50))
def test_due_are_exactly_the_windows_that_ended_long_enough_ago(first, size, lateness, count):
    now = first + count * size
    span = due_span(first, now, size, lateness)
    windows = list(span.windows())
    assert len(windows) == span.count
    assert all(window.end + lateness <= now for window in windows)
    assert span.end + size + lateness > now
    assert [window.start for window in windows[1:]] == [window.end for window in windows[:-1]]


def test_a_window_is_due_when_its_lateness_is_over_and_not_before():
    lateness = timedelta(minutes=5)
    assert due_span(START, START + DAY + lateness - timedelta.resolution, DAY, lateness).count == 0
    assert due_span(START, START + DAY + lateness, DAY, lateness).count == 1
    assert due_span(START, START - 9 * DAY, DAY, lateness).count == 0


def test_gaps_are_found_oldest_first():
    span = due_span(START, START + 5 * DAY, DAY, timedelta(0))
    windows = list(span.windows())
    assert list(missing_windows(span, [])) == windows
    assert list(missing_windows(span, [windows[3], windows[0]])) == [windows[1], windows[2], windows[4]]
    assert list(missing_windows(span, windows)) == []


@pytest.mark.parametrize(("old", "new"), [(DAY, timedelta(hours=1)), (timedelta(hours=1), DAY)])
def test_after_a_change_of_size_nothing_is_judged_twice(old, new):
    judged = list(due_span(START, START + 2 * DAY, old, timedelta(0)).windows())
    left = list(missing_windows(due_span(START, START + 4 * DAY, new, timedelta(0)), judged))
    assert left == list(due_span(START + 2 * DAY, START + 4 * DAY, new, timedelta(0)).windows())


def test_a_window_that_overlaps_a_longer_one_is_taken():
    span = due_span(START, START + 3 * DAY, DAY, timedelta(0))
    taken = [Window(START - 7 * DAY, START + 2 * DAY), Window(START, START + timedelta(hours=1))]
    assert list(missing_windows(span, taken)) == [Window(START + 2 * DAY, START + 3 * DAY)]


def test_an_older_window_rests_longer():
    window = Window(START, START + DAY)
    assert revision_pause(window, window.end) == timedelta(minutes=1)
    assert revision_pause(window, window.end + 10 * DAY) == DAY
