from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from dashboards.views import alert as view
from dashboards.views.limits import limits_of
from dashboards.views.tiles import tiles
from remora.config.alerting import Rule

DAY = timedelta(days=1)
START = datetime(2013, 3, 1, tzinfo=UTC)
NOW = START + 60 * DAY
RULE = Rule.model_validate({"alert": "Low", "metric": "auc", "condition": "< 0.61", "windows": "2 of 3"})


def row(day, value, **over):
    fields = {
        "metric": "auc", "feature": "", "value": value, "threshold": None, "reference_value": 0.7, "verdict": "ok",
        "reason": "", "window_start": START + day * DAY, "window_end": START + (day + 1) * DAY,
    }  # fmt: skip
    return SimpleNamespace(**(fields | over))


def alert(**over):
    fields = {
        "labels": {"metric": "auc"}, "value": 0.58, "active_at": START + 12 * DAY, "fired_at": START + 12 * DAY,
        "resolved_at": START + 20 * DAY, "window_start": START + 15 * DAY, "window_end": START + 16 * DAY,
    }  # fmt: skip
    return SimpleNamespace(**(fields | over))


ROWS = [row(day, 0.58 if 10 <= day < 16 else 0.72) for day in range(30)]
ROWS[13].value = 0.51


def test_the_window_that_made_it_fire_is_the_one_that_was_judged_then():
    assert view.decisive(alert(), ROWS, DAY).window_start == START + 10 * DAY
    assert view.decisive(alert(fired_at=None), ROWS, DAY).window_start == START + 15 * DAY
    assert view.decisive(alert(), [], DAY) is None


def test_the_facts_say_how_bad_against_what_how_long_and_what_is_now():
    found = {tile.title: (tile.value, tile.note) for tile in view.facts(alert(), ROWS, ROWS[10], RULE, NOW)}
    assert found == {
        "When it fired": ("0.580", "window 2013-03-11"),
        "Worst": ("0.510", "2013-03-14"),
        "Alarms at": ("< 0.610", "in 2 of 3 windows; reference 0.700"),
        "Fired for": ("1w 1d", "2013-03-13 to 2013-03-21"),
        "Newest here": ("0.720", "window 2013-03-30"),
    }


def test_an_alert_without_rule_or_findings_still_has_its_facts():
    found = view.facts(alert(resolved_at=None), [], None, None, NOW)
    assert [(tile.title, tile.value) for tile in found] == [("Alarms at", "-"), ("Firing", "6w 6d")]


def test_the_stretch_around_an_alert_ends_with_the_present():
    period = view.around(alert(resolved_at=None), NOW)
    assert (period.start, period.end) == (START - 18 * DAY, NOW)
    assert view.around(alert(), NOW).end == START + 30 * DAY


def test_features_are_measured_by_their_own_thresholds():
    rows = [
        row(0, 4.8, feature="weekday", threshold=9.0),
        row(0, 0.9, feature="$score", threshold=0.3, verdict="alarm"),
        row(0, 0.19, feature="age", threshold=0.2),
        row(0, None, feature="gone"),
    ]
    assert [one.feature for one in view.moved(rows)] == ["$score", "age", "weekday"]


@pytest.mark.parametrize(("model", "limits"), [(None, ["auc"]), ("other", []), ("m", ["auc"])])
def test_limits_are_those_of_the_rules_about_the_model(model, limits):
    rule = RULE.model_copy(update={"select": RULE.select.model_copy(update={"model": model})})
    assert list(limits_of([rule], "m")) == limits


def test_a_tile_keeps_the_last_known_value_and_says_so():
    newest = [row(5, None, verdict="not_enough_data"), row(5, 14.0, metric="latency_p95", reference_value=None),
              row(5, 7.0, metric="latency_p50", reference_value=None)]  # fmt: skip
    shown = tiles(newest, ROWS[:5], limits_of([RULE], "m"))
    assert [(tile.title, tile.value, tile.note) for tile in shown] == [
        ("Latency p95", "14 ms", "p50 7.0 ms"),
        ("ROC AUC", "0.720", "of 2013-03-05; newest window: too little data"),
    ]
