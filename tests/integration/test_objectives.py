"""Objectives over both databases: the budget burns, somebody is told, it is over, and Prometheus sees the same numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboards.prometheus import exposition
from remora import tables as t
from tests.example_alerts import DAY, World, due

CONFIG = """
version: 1
models: {flights: {windows: {size: 1d}}}
slos:
- {name: up, model: flights, objective: 95%, plan: fix, labels: {team: ml}}
- {name: right, model: flights, metric: accuracy, objective: 80%, period: 7d}
receivers:
  chat: {kind: webhook, url: "http://127.0.0.1:9/chat"}
routes: [{receivers: [chat], group_by: [alertname]}]
plans: [{name: fix, steps: [{checklist: [Roll back]}]}]
"""


@pytest.fixture
def world(database):
    return World(database, CONFIG)


def live(world, error_rates, job="traffic"):
    """The days one after the other, each judged and told before the next begins."""
    for day, rate in error_rates:
        world.found(day, "error_rate", rate)
        world.run(due(day, job))
        world.run(due(day, job) + timedelta(minutes=1))


def told(world):
    return [
        (kind, [(one["labels"]["alertname"], one["status"]) for one in body["data"]["alerts"]])
        for _, kind, body in world.sent()
    ]


def gauges(world):
    text = exposition(world.database, world.config).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("remora_slo_"):
            for sample in family.samples:
                found[family.name, sample.labels["slo"], sample.labels.get("window", "")] = sample.value
    return found


def test_a_budget_that_burns_is_told_until_it_is_over(world):
    live(world, [(0, 0.01), (1, 0.02)])
    assert told(world) == []
    live(world, [(2, 0.2)])  # 20 % of a day: four times the budget of 5 %, where three times alarm
    [alert] = world.rows(t.alerts, "id")
    assert (alert.rule, alert.severity, alert.state) == ("up-ticket", "ticket", "firing")
    assert alert.labels == {
        "alertname": "up-ticket", "metric": "error_rate", "model": "flights", "severity": "ticket", "slo": "up", "team": "ml",
    }  # fmt: skip
    assert (
        alert.annotations["summary"]
        == "flights spends its error budget too fast: error rate, objective 0.95, 20.0 % bad"
    )
    assert "20.0 % of 1,000 events of 1d were bad: that is 4.0 times" in alert.annotations["description"]
    assert told(world) == [("alert.firing", [("up-ticket", "firing")])]
    live(world, [(3, 0.0)])
    assert told(world)[1:] == [("alert.resolved", [("up-ticket", "resolved")])]


def test_prometheus_sees_how_fast_it_burns_and_what_is_left(world):
    assert gauges(world) == {}  # nothing is known yet, and that is not zero
    live(world, [(0, 0.01), (1, 0.02), (2, 0.2)])
    world.found(2, "accuracy", 0.9, size=500)
    world.found(1, "accuracy", None, verdict="labels_not_mature", size=0)
    seen = gauges(world)
    assert {window for name, _, window in seen if name == "remora_slo_burn_rate"} == {
        "1d",
        "3d",
    }  # no hours: windows are days
    assert seen["remora_slo_burn_rate", "up", "1d"] == pytest.approx(4.0)
    assert seen["remora_slo_burn_rate", "up", "3d"] == pytest.approx((0.01 + 0.02 + 0.2) / 3 / 0.05)
    assert seen["remora_slo_error_budget_remaining_ratio", "up", ""] == pytest.approx(1 - 0.23 / 3 / 0.05)
    assert seen["remora_slo_burn_rate", "right", "1d"] == pytest.approx(0.1 / 0.2)
    assert seen["remora_slo_error_budget_remaining_ratio", "right", ""] == pytest.approx(0.5)


def test_what_is_older_than_the_period_is_forgiven(world):
    live(world, [(0, 0.5), (31, 0.0)])
    assert gauges(world)["remora_slo_error_budget_remaining_ratio", "up", ""] == pytest.approx(1.0)
    assert due(31, "traffic") - due(0, "traffic") == 31 * DAY
