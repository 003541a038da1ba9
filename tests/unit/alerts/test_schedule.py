from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.breaker import Breaker
from alerts.schedule import DELAYS, next_attempt, retry_after

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_the_schedule():
    waits = [(next_attempt(n, NOW, None, lambda: 0.5) - NOW).total_seconds() for n in range(1, 11)]
    assert waits == [5, 30, 120, 600, 1800, 3600, 7200, 14400, 14400, 14400]


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_jitter_is_a_fifth_at_most(attempts, number):
    delay = DELAYS[min(attempts, len(DELAYS)) - 1]
    wait = next_attempt(attempts, NOW, None, lambda: number) - NOW
    assert 0.8 * delay - timedelta(milliseconds=1) <= wait <= 1.2 * delay + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("soon", None), ("-5", None), ("0", 0), ("90", 90), ("86400", 3600), ("9" * 400, 3600),
     ("Sun, 01 Nov 2026 12:01:30 GMT", 90), ("Sun, 01 Nov 2020 12:00:00 GMT", 0), ("Sun, 01 Nov 2099 12:00:00 GMT", 3600)],
)  # fmt: skip
def test_retry_after(header, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(header, NOW) == expected


def test_the_breaker_opens_after_five_and_probes_ever_more_rarely():
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.failed(NOW)
    assert breaker.allows(NOW)
    breaker = breaker.failed(NOW)
    pauses = []
    wall = NOW
    for _ in range(6):
        assert not breaker.allows(wall)
        pauses.append((breaker.probe_at - wall).total_seconds() / 60)
        wall = breaker.probe_at
        assert breaker.allows(wall)
        breaker = breaker.failed(wall)
    assert pauses == [1, 2, 4, 8, 15, 15]
    assert breaker.open_since == NOW
    assert not breaker.degraded(NOW + timedelta(hours=23))
    assert breaker.degraded(NOW + timedelta(hours=24))


def test_a_receiver_that_says_it_is_gone_is_left_alone_at_once():
    breaker = Breaker().failed(NOW, gone=True)
    assert breaker.is_open
    assert breaker.probe_at == NOW + timedelta(minutes=15)
