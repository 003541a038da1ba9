from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

AT = datetime(2013, 9, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "text"), [(0, "0 h"), (5, "5 h"), (24, "1 d"), (84, "4 d"), (21 * 24, "21 d")]
)
def test_lengths_are_days_or_hours(hours, text):
    from logbook import span

    assert span(timedelta(hours=hours)) == text


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("opened", "the model is worse than it should be", ("incident", "incident opened, plan retrain")),
        ("step_succeeded", "notify chat", None),
        ("step_succeeded", "checklist: compare", None),
        ("step_failed", "notify chat: no such hook", ("action", "notify chat: no such hook")),
        ("step_started", "start ci: requested as act_1", ("action", "start ci")),
        ("action_running", "training has started", None),
        ("step_succeeded", "ci succeeded, version 2", ("action", "ci succeeded, version 2")),
        ("quiet", "all alerts are resolved", None),
        ("resolved", "all alerts stayed resolved", ("incident", "incident over, after 2 d")),
    ],
)
def test_of_an_incident_only_what_its_alerts_do_not_say_has_a_line(kind, text, shown):
    from logbook import _of_incident

    event = _of_incident(AT, kind, text, "retrain", AT - timedelta(days=2))
    assert (None if event is None else (event.kind, event.text)) == shown
