from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from remora.config.maintenance import Maintenance


def made(**keys):
    return Maintenance.model_validate({"name": "m", **keys})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("keys", "instant", "expected"),
    [
        ({"from": "2026-03-01T20:00:00Z", "to": "2026-03-01T22:00:00Z"}, "2026-03-01T20:00", True),
        ({"from": "2026-03-01T20:00:00Z", "to": "2026-03-01T22:00:00Z"}, "2026-03-01T22:00", False),
        ({"at": "02:30", "for": "1h"}, "2026-03-01T03:29", True),
        ({"at": "02:30", "for": "1h"}, "2026-03-01T03:30", False),
        ({"at": "23:00", "for": "3h", "days": ["sat"]}, "2026-03-01T01:59", True),  # Sunday morning
        ({"at": "23:00", "for": "3h", "days": ["sun"]}, "2026-03-01T01:59", False),
        ({"at": "00:00", "for": "2d", "days": ["sat"]}, "2026-03-01T23:59", True),
        ({"at": "02:30", "for": "1h", "timezone": "Europe/Amsterdam"}, "2026-01-15T01:30", True),
        ({"at": "02:30", "for": "1h", "timezone": "Europe/Amsterdam"}, "2026-07-15T01:30", False),
        ({"at": "02:30", "for": "1h", "timezone": "Europe/Amsterdam"}, "2026-07-15T00:30", True),
    ],
)
def test_when_it_goes_on(keys, instant, expected):
    assert made(**keys).holds_at(at(instant)) is expected


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({}, "give either from and to, or at and for"),
        ({"from": "2026-03-01T20:00:00Z"}, "give either"),
        ({"from": "2026-03-01T20:00:00Z", "to": "2026-03-01T22:00:00Z", "at": "02:30"}, "give either"),
        ({"from": "2026-03-01T20:00:00Z", "to": "2026-03-01T20:00:00Z"}, "ends before it begins"),
        ({"at": 150, "for": "1h"}, "must stand in quotes"),
        ({"at": "02:30", "for": "8d"}, "at most 7d"),
        ({"at": "02:30", "for": "1h", "timezone": "Mars/Base"}, "there is no time zone"),
    ],
)
def test_what_is_wrong_is_said(keys, what):
    with pytest.raises(ValidationError, match=what):
        made(**keys)
