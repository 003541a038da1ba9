from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.dedup import ALL_RESOLVED, FIRST, NEW_ALERTS, REPEAT, SOME_RESOLVED, Told, needs_message

NOW = datetime(2013, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def told(firing: str = "", resolved: str = "", ago=HOUR) -> Told:
    return Told(frozenset(firing), frozenset(resolved), NOW - ago)


@pytest.mark.parametrize(
    ("before", "firing", "resolved", "send_resolved", "expected"),
    [
        (None, "a", "", True, FIRST),
        (None, "", "a", True, None),
        (None, "", "", True, None),
        (told("a"), "ab", "", True, NEW_ALERTS),
        (told("", "a"), "a", "", True, FIRST),
        (told("a"), "", "a", True, ALL_RESOLVED),
        (told("a"), "", "a", False, ALL_RESOLVED),
        (told("", "a"), "", "a", True, None),
        (told("ab"), "a", "b", True, SOME_RESOLVED),
        (told("ab", "b"), "a", "b", True, None),
        (told("ab"), "a", "b", False, None),
        (told("a"), "a", "", True, None),
        (told("a", ago=4 * HOUR), "a", "", True, REPEAT),
        (told("a", ago=4 * HOUR - timedelta(seconds=1)), "a", "", True, None),
        (told("", "", ago=9 * HOUR), "", "", True, None),
    ],
)
def test_alertmanagers_truth_table(before, firing, resolved, send_resolved, expected):
    reason = needs_message(
        before, frozenset(firing), frozenset(resolved), send_resolved=send_resolved, repeat_interval=4 * HOUR, now=NOW,
    )  # fmt: skip
    assert reason == expected
