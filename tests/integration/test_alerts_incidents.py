"""Incidents and their plans: steps in the order of time, each once; actions, guards, callbacks."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from alerts import incidents, queries, timers
from alerts.actions import report
from alerts.ledger import action as action_row
from alerts.turn import Turn
from remora import tables as t
from tests.example_alerts import DAY, SECRET, START, WALL, World, due

CONFIG = f"""
version: 1
external_url: http://remora.example
models:
  flights: {{}}
groups:
- name: quality
  rules:
  - alert: AccuracyLow
    metric: accuracy
    condition: "< 0.80"
    labels: {{severity: page}}
    plan: retrain
  - alert: LogLossHigh
    metric: log_loss
    condition: "> 0.6"
    plan: retrain
  - alert: FeatureDrift
    metric: psi
    by: [model]
    plan: drift
receivers:
  chat: {{kind: slack, url: "http://127.0.0.1:9/slack"}}
  pager: {{kind: webhook, url: "http://127.0.0.1:9/pager"}}
  job: {{kind: webhook, url: "http://127.0.0.1:9/job", secret: {SECRET}}}
routes:
- receivers: [chat, pager]
  group_wait: 0s
  repeat_interval: 30d
plans:
- name: retrain
  stable_for: 30m
  steps:
  - notify: chat
  - action: job
    guard: {{cooldown: 24h, max_runs: 2, per: 7d, require_label_coverage: 0.5}}
    timeout: 6h
    on_failure: continue
  - wait: 15m
  - unless: acknowledged
    notify: pager
  - checklist: [Freeze the rollout, Compare the versions]
- name: drift
  steps:
  - action: job
"""


def opened(database, config: str = CONFIG) -> World:
    world = World(database, config)
    world.found(0, "label_coverage", 0.9, done=False)
    world.found(0, "accuracy", 0.7)
    world.run(due(0))
    return world


def call_back(world: World, state: str, at, **details) -> None:
    identity = world.rows(t.actions, "requested_at")[-1].id
    with world.database.write() as connection:
        report(Turn(connection, world.config, at, WALL), action_row(connection, identity), state, details)


def steps(world: World) -> list[tuple[int, int, str, str]]:
    return [
        (row.iteration, row.step, row.kind, row.state)
        for row in world.rows(t.plan_steps, "iteration", "step")
    ]


def test_an_alert_opens_an_incident_that_tells_and_starts_the_update(database):
    world = opened(database)
    incident = world.rows(t.incidents, "id")[0]
    assert (incident.state, incident.plan, incident.severity, incident.opened_at) == (
        "open", "retrain", "page", due(0),
    )  # fmt: skip
    assert steps(world) == [(0, 0, "notify", "done"), (0, 1, "action", "running")]
    sent = {(receiver, kind): body for receiver, kind, body in world.sent()}
    assert set(sent) == {("chat", "incident.opened"), ("job", "action.requested"), ("pager", "alert.firing")}
    body = sent["job", "action.requested"]
    action = world.rows(t.actions, "id")[0]
    assert body["type"] == "action.requested"
    assert body["data"]["action_id"] == action.id
    assert body["data"]["callback"]["url"] == f"http://remora.example/v1/actions/{action.id}/status"
    assert "token" not in action.request["callback"]
    assert body["data"]["windows"] == {"from": "2013-03-01T00:00:00Z", "to": "2013-03-02T00:00:00Z"}
    assert body["data"]["training"] == {
        "from": "2013-01-05T00:00:00Z", "to": "2013-03-02T00:00:00Z", "archive": [],
    }  # fmt: skip
    assert body["data"]["evidence"]["alerts"][0]["value"] == 0.7
    delivery = next(row for row in world.rows(t.deliveries, "id") if row.kind == "action.requested")
    assert delivery.expires_at - delivery.created_at == timedelta(hours=1)
    assert action.expires_at == due(0) + timedelta(hours=6)


def _moved(database, *files: tuple[str, str, timedelta]) -> None:
    """Rows of days, counted from START, that the archive has taken."""
    rows = [
        {"file": f"{folder}/part-{number}.parquet", "model": model, "day": START + after, "rows": 1, "bytes": 1,
         "first": START + after, "last": START + after + timedelta(hours=20), "made_at": WALL}
        for number, (folder, model, after) in enumerate(files)
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(t.archives.insert(), rows)


def test_what_starts_the_update_names_the_archived_days_to_train_on(database):
    day = "model=flights/day=2013-02"
    _moved(
        database,
        (f"{day}-26", "flights", -3 * DAY), (f"{day}-27", "flights", -2 * DAY), (f"{day}-27", "flights", -2 * DAY),
        ("model=other/day=2013-02-27", "other", -2 * DAY), ("model=flights/day=2012-11-01", "flights", -120 * DAY),
    )  # fmt: skip
    world = opened(database)
    body = next(body for _, kind, body in world.sent() if kind == "action.requested")
    assert body["data"]["training"]["archive"] == [f"{day}-26", f"{day}-27"]


def test_of_very_many_days_the_model_s_folder_is_named(database):
    _moved(database, *((f"model=flights/day={number}", "flights", -number * DAY) for number in range(1, 140)))
    world = opened(database, CONFIG.replace("- action: job", "- action: job\n    training_window: 26w"))
    body = next(body for _, kind, body in world.sent() if kind == "action.requested")
    assert body["data"]["training"]["archive"] == ["model=flights"]


def test_more_alerts_join_and_nobody_is_told_twice(database):
    world = opened(database)
    world.found(1, "accuracy", 0.7, done=False)
    world.found(1, "log_loss", 0.9)
    world.run(due(1))
    assert len(world.rows(t.incidents, "id")) == 1
    assert len(world.rows(t.incidents, "id")[0].alert_ids) == 2
    chat = [kind for receiver, kind, _ in world.sent() if receiver == "chat"]
    assert chat == ["incident.opened", "incident.updated"]


def test_the_plan_goes_on_when_the_update_succeeded(database):
    world = opened(database)
    call_back(world, "running", due(0) + timedelta(minutes=1), detail="queued")
    call_back(world, "succeeded", due(0) + timedelta(minutes=20), model_version="v2")
    world.run(due(0) + timedelta(minutes=34))
    assert steps(world)[1:] == [(0, 1, "action", "done"), (0, 2, "wait", "running")]
    world.run(due(0) + timedelta(minutes=35))
    assert [state for *_, state in steps(world)] == ["done"] * 5
    action = world.rows(t.actions, "id")[0]
    assert (action.state, action.model_version) == ("succeeded", "v2")
    told = [(receiver, kind) for receiver, kind, _ in world.sent()]
    assert ("pager", "incident.opened") in told
    by_kind = {kind: at for at, kind in world.timeline()}
    assert by_kind["action_running"] == due(0) + timedelta(minutes=1)


@pytest.mark.parametrize(("on_failure", "after"), [("continue", 5), ("stop", 2)])
def test_an_update_without_a_word_times_out(database, on_failure, after):
    world = opened(database, CONFIG.replace("on_failure: continue", f"on_failure: {on_failure}"))
    world.run(due(0) + timedelta(hours=12))
    assert world.rows(t.actions, "id")[0].state == "timed_out"
    assert world.rows(t.actions, "id")[0].finished_at == due(0) + timedelta(hours=6)
    assert len(steps(world)) == after
    assert steps(world)[1] == (0, 1, "action", "failed")


def test_an_update_that_cannot_be_delivered_fails_its_step(database):
    world = opened(database)
    with database.write() as connection:
        connection.execute(
            sa.update(t.deliveries).where(t.deliveries.c.kind == "action.requested")
            .values(state="dead", last_error="status 404")
        )  # fmt: skip
    world.run(due(0) + timedelta(minutes=3))
    action = world.rows(t.actions, "id")[0]
    assert (action.state, action.detail) == ("failed", "its request could not be delivered: status 404")


def test_acknowledging_stops_the_escalation_but_not_the_update(database):
    world = opened(database)
    identity = world.rows(t.incidents, "id")[0].id
    at = due(0) + timedelta(minutes=5)
    with database.write() as connection:
        incidents.acknowledge(Turn(connection, world.config, at, WALL), identity, by="ada", note="on it")
    call_back(world, "succeeded", due(0) + timedelta(minutes=20))
    world.run(due(0) + timedelta(minutes=40))
    assert steps(world)[3] == (0, 3, "notify", "skipped")
    told = [(receiver, kind) for receiver, kind, _ in world.sent() if kind.startswith("incident")]
    assert told == [("chat", "incident.opened"), ("chat", "incident.acknowledged")]
    world.run(due(0) + timedelta(hours=8, minutes=6))
    row = world.rows(t.incidents, "id")[0]
    assert (row.state, row.acknowledged_by) == ("open", None)
    assert ("ack_expired" in [kind for _, kind in world.timeline()]) is True


def test_it_resolves_after_the_alerts_stayed_resolved_and_reopens_when_they_return(database):
    world = opened(database)
    call_back(world, "succeeded", due(0) + timedelta(minutes=1))
    world.run(due(0) + timedelta(hours=2))
    world.found(1, "accuracy", 0.9)
    world.run(due(1) + timedelta(minutes=29))
    assert world.rows(t.incidents, "id")[0].state == "open"
    world.run(due(1) + timedelta(minutes=30))
    row = world.rows(t.incidents, "id")[0]
    assert (row.state, row.quiet_since, row.resolved_at) == (
        "resolved",
        due(1),
        due(1) + timedelta(minutes=30),
    )
    told = [(receiver, kind) for receiver, kind, _ in world.sent()]
    assert ("chat", "incident.resolved") in told
    assert ("pager", "incident.resolved") in told
    assert ("pager", "alert.resolved") not in told or ("pager", "alert.firing") in told


def test_flapping_reopens_the_same_incident_and_repeats_no_step(database):
    world = opened(database, CONFIG.replace("  stable_for: 30m", "  stable_for: 30m\n  reopen_within: 2d"))
    call_back(world, "succeeded", due(0) + timedelta(minutes=1))
    for day, value in ((1, 0.9), (2, 0.7)):
        world.found(day, "accuracy", value)
        world.run(due(day) + timedelta(hours=1))
    row = world.rows(t.incidents, "id")
    assert [one.state for one in row] == ["open"]
    assert len(row[0].alert_ids) == 2
    assert [kind for _, kind in world.timeline()].count("reopened") == 1
    assert len(world.rows(t.actions, "id")) == 1


def test_in_a_leap_a_step_that_was_due_first_happens_first(database):
    """Escalation was due before the window that ends the alert: it happens, at its time, before the resolution."""
    quick = CONFIG.replace("  - action: job\n    guard", "  - notify: chat\n    guard")
    leap, lived = World(database, quick), None
    leap.found(0, "accuracy", 0.7)
    leap.found(1, "accuracy", 0.9)
    leap.run(due(5))
    lived = leap.timeline()
    assert lived == [
        (due(0), "opened"),
        (due(0), "step_succeeded"),
        (due(0), "step_succeeded"),
        (due(0), "step_started"),
        (due(0) + timedelta(minutes=15), "step_succeeded"),
        (due(0) + timedelta(minutes=15), "step_succeeded"),
        (due(0) + timedelta(minutes=15), "step_succeeded"),
        (due(1), "quiet"),
        (due(1) + timedelta(minutes=30), "resolved"),
    ]
    told = [(row.kind, row.state) for row in leap.rows(t.deliveries, "id") if row.receiver == "pager"]
    assert told == [("incident.opened", "collapsed")]  # over before anybody was told: nobody is woken for it


def test_repeat_escalates_until_somebody_acknowledges(database):
    config = CONFIG.replace("- name: drift\n", "  repeat: {every: 4h, times: 2}\n- name: drift\n").replace(
        "  - action: job\n    guard: {cooldown: 24h, max_runs: 2, per: 7d, require_label_coverage: 0.5}\n"
        "    timeout: 6h\n    on_failure: continue\n", "",
    )  # fmt: skip
    world = opened(database, config)
    world.run(due(0) + timedelta(hours=23))
    times = [row.started_at for row in world.rows(t.plan_steps, "iteration", "step") if row.step == 0]
    assert times == [due(0), due(0) + timedelta(hours=4), due(0) + timedelta(hours=8)]
    pager = [
        kind for receiver, kind, _ in world.sent() if receiver == "pager" and kind.startswith("incident")
    ]
    assert pager == ["incident.opened", "incident.escalated", "incident.escalated"]


def test_drift_alone_starts_nothing_unless_told(database):
    for told, expected in ((False, "skipped"), (True, "running")):
        config = CONFIG.replace(
            "  - action: job\n", f"  - action: job\n    guard: {{drift_alone: {str(told).lower()}}}\n"
        )
        if told:
            config = config.replace("    guard: {drift_alone: true}\n    guard", "    guard", 1)
        else:
            config = config.replace("    guard: {drift_alone: false}\n    guard", "    guard", 1)
        world = World(database, config)
        day = 10 if told else 0
        world.found(day, "psi", 0.4, feature="distance", verdict="alarm", threshold=0.1)
        world.run(due(day, "drift"))
        mine = world.rows(t.incidents, "opened_at")[-1]
        row = next(row for row in world.rows(t.plan_steps, "incident_id") if row.incident_id == mine.id)
        assert row.state == expected
        if told:
            continue
        assert row.detail.startswith("drift_alone")
        world.found(1, "psi", 0.01, feature="distance")
        world.run(due(9, "drift"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("plans:\n", "actions: {enabled: false}\nplans:\n"), "actions_disabled"),
        (("plans:\n", "actions: {paused_models: [flights]}\nplans:\n"), "model_paused"),
        (("require_label_coverage: 0.5", "require_label_coverage: 0.95"), "label_coverage_too_low"),
    ],
)
def test_a_guard_skips_the_step_says_why_and_tells_once(database, change, reason):
    world = opened(database, CONFIG.replace(*change))
    row = world.rows(t.plan_steps, "step")[1]
    assert row.state == "skipped"
    assert row.detail.startswith(reason)
    assert world.rows(t.actions, "id") == []
    world.run(due(0) + timedelta(hours=1))
    updates = [
        body for receiver, kind, body in world.sent() if (receiver, kind) == ("chat", "incident.updated")
    ]
    assert len(updates) == 1
    assert reason in str(updates[0])


def test_the_budget_counts_over_all_plans_and_incidents(database):
    config = CONFIG.replace("cooldown: 24h", "cooldown: 1h").replace("reopen_within", "reopen_within")
    world = opened(database, config)
    for day in range(1, 6):
        call = world.rows(t.actions, "requested_at")[-1]
        if call.state == "requested":
            call_back(world, "succeeded", due(day - 1) + timedelta(minutes=1))
        world.found(day, "accuracy", 0.9 if day % 2 else 0.7)
        world.run(due(day) + timedelta(hours=12))
    assert len(world.rows(t.incidents, "id")) == 3
    assert len(world.rows(t.actions, "id")) == 2
    details = [row.detail for row in world.rows(t.plan_steps, "started_at") if row.state == "skipped"]
    assert any(detail.startswith("budget_used_up") for detail in details)


def test_a_storm_is_gathered_in_one_incident_more_and_starts_nothing_there(database):
    config = CONFIG.replace("models:\n  flights: {}", "models: {flights: {}}\nincidents: {max_open: 5}").replace(
        "    by: [model]\n    plan: drift", "    by: [model, feature]\n    plan: drift"
    ).replace("- name: drift\n  steps:\n", "- name: drift\n  group_by: [model, feature]\n  steps:\n  - notify: chat\n")  # fmt: skip
    head, plan, tail = config.rpartition("  - action: job\n")
    config = f"{head}{plan}    guard: {{drift_alone: true}}\n{tail}"
    world = World(database, config)
    for number in range(12):
        world.found(0, "psi", 0.4, feature=f"f{number:02}", verdict="alarm", done=number == 0)
    world.run(due(0, "drift"))
    rows = world.rows(t.incidents, "id")
    assert [row.group_key == incidents.STORM for row in rows] == [False] * 5 + [True]
    assert len(rows[-1].alert_ids) == 7
    assert rows[-1].title.startswith("Alert storm: 5 incidents are open already")
    lines = [row.text for row in world.rows(t.incident_events, "id") if row.incident_id == rows[-1].id]
    assert [line for line in lines if "storm goes on" in line] == [
        "the storm goes on: 2 alerts so far", "the storm goes on: 4 alerts so far",
    ]  # fmt: skip
    skipped = [row.detail for row in world.rows(t.plan_steps, "step") if row.incident_id == rows[-1].id]
    assert any(detail.startswith("alert_storm") for detail in skipped)


def test_a_running_action_is_not_started_again_by_a_second_owner(database):
    world = opened(database)
    world.run(due(0) + timedelta(minutes=1), owner="other")
    assert len(world.rows(t.actions, "id")) == 1
    with database.read() as connection:
        assert queries.coverage(connection, "flights", due(0)) == 0.9


def test_after_a_downtime_a_stale_update_waits_for_the_newest_windows(database):
    """The accuracy came back while the server was down: what would have been started then is not started now."""
    config = CONFIG.replace("  - notify: chat\n  - action: job", "  - wait: 2h\n  - action: job")
    world = opened(database, config)
    world.found(1, "accuracy", 0.9)
    world.run(due(3))
    assert world.rows(t.actions, "id") == []
    assert world.rows(t.incidents, "id")[0].state == "resolved"
    assert timedelta(days=1) == DAY


def test_an_incident_whose_step_fails_does_not_stop_the_others_nor_the_messages(database, monkeypatch):
    real, broken = timers.steps.take, [True]

    def take(turn, incident, due):
        real(turn, incident, due)
        if incident.plan == "drift" and broken:
            raise ZeroDivisionError

    monkeypatch.setattr(timers.steps, "take", take)
    world = World(database, CONFIG)
    world.found(0, "psi", 0.9, verdict="alarm", threshold=0.2)
    world.found(0, "label_coverage", 0.9, done=False)
    world.found(0, "accuracy", 0.7)
    world.run(due(0))
    assert [(row.plan, row.state) for row in world.rows(t.incidents, "opened_at")] == [
        ("drift", "open"), ("retrain", "open"),
    ]  # fmt: skip
    assert [(step, state) for _, step, _, state in steps(world)] == [(0, "done"), (1, "running")]
    assert ("pager", "alert.firing") in {(receiver, kind) for receiver, kind, _ in world.sent()}
    broken.clear()
    world.run(due(0))
    assert len(world.rows(t.plan_steps, "incident_id")) == 3
