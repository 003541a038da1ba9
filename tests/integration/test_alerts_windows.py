"""From findings in the tables to messages in the outbox, on both databases."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from alerts import jobs, pipeline
from remora import tables as t
from remora.database import insert_new
from remora.errors import UnavailableError
from tests.example_alerts import DAY, START, WALL, World, due

CONFIG = """
version: 1
groups:
- name: quality
  labels: {team: ml}
  rules:
  - alert: AccuracyLow
    metric: accuracy
    condition: "< 0.80"
    resolve_threshold: 0.82
    min_samples: 100
    for: 2d
    labels: {severity: page}
    annotations: {summary: "{{ labels.model }} is right in {{ value|pct }} only"}
  - alert: ErrorsHigh
    metric: error_rate
    condition: "> 0.05"
receivers:
  chat: {kind: slack, url: "http://127.0.0.1:9/slack"}
  hook: {kind: webhook, url: "http://127.0.0.1:9/hook", body: alertmanager.v4}
routes:
- match: {severity: page}
  receivers: [chat, hook]
  group_wait: 0s
  repeat_interval: 30d
- receivers: [hook]
  group_wait: 0s
  repeat_interval: 30d
"""


def test_a_rule_goes_through_its_states_at_the_windows_due_times(database):
    world = World(database, CONFIG)
    for day, value in enumerate([0.9, 0.78, 0.77, 0.76, 0.81, 0.83]):
        world.found(day, "accuracy", value)
    seen = []
    for day in range(6):
        world.run(due(day))
        rows = world.rows(t.alerts, "id")
        seen.append(rows[0].state if rows else "inactive")
    assert seen == ["inactive", "pending", "pending", "firing", "firing", "resolved"]
    row = world.rows(t.alerts, "id")[0]
    assert (row.active_at, row.fired_at, row.resolved_at) == (due(1), due(3), due(5))
    assert row.labels == {
        "alertname": "AccuracyLow", "model": "flights", "metric": "accuracy", "severity": "page", "team": "ml",
    }  # fmt: skip
    assert row.annotations["summary"] == "flights is right in 81.0 % only"
    kinds = [(receiver, kind) for receiver, kind, _ in world.sent()]
    assert sorted(kinds) == [
        ("chat", "alert.firing"), ("chat", "alert.resolved"), ("hook", "alert.firing"), ("hook", "alert.resolved"),
    ]  # fmt: skip


def test_replay_in_one_leap_gives_the_same_states_and_tells_the_end_only(database):
    world = World(database, CONFIG)
    for day, value in enumerate([0.9, 0.78, 0.77, 0.76, 0.81, 0.83]):
        world.found(day, "accuracy", value)
    world.run(due(5) + timedelta(minutes=1))
    row = world.rows(t.alerts, "id")[0]
    assert (row.state, row.active_at, row.fired_at, row.resolved_at) == ("resolved", due(1), due(3), due(5))
    assert world.sent() == []


def test_a_window_is_evaluated_once_also_by_a_second_owner(database):
    world = World(database, CONFIG)
    world.found(0, "error_rate", 0.2)
    assert world.run(due(0, "traffic"), owner="one") == 2  # the window and its message
    assert world.run(due(0, "traffic"), owner="two") == 0
    assert [row.job for row in world.rows(t.job_runs, "job")] == ["rules.traffic", "traffic"]
    assert len(world.sent()) == 1


def test_a_window_is_not_evaluated_before_it_is_due(database):
    world = World(database, CONFIG)
    world.found(0, "error_rate", 0.2)
    assert world.run(due(0, "traffic") - timedelta(seconds=1)) == 0
    assert world.rows(t.alerts, "id") == []


def test_killed_between_decision_and_commit_nothing_is_half_done(database, monkeypatch):
    world = World(database, CONFIG)
    world.found(0, "error_rate", 0.2)
    real = pipeline.evaluate_window

    def killed(turn, window):
        real(turn, window)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs.pipeline, "evaluate_window", killed)
    with pytest.raises(KeyboardInterrupt):
        world.run(due(0, "traffic"), owner="one")
    assert world.rows(t.alerts, "id") == []
    assert [row.job for row in world.rows(t.job_runs, "job")] == ["traffic"]
    monkeypatch.undo()
    world.run(due(0, "traffic"), owner="two")
    assert [row.state for row in world.rows(t.alerts, "id")] == ["firing"]
    assert len(world.sent()) == 1


def test_two_owners_at_once_do_everything_once(database):
    world = World(database, CONFIG)
    for day in range(12):
        world.found(day, "error_rate", 0.2 if day % 3 else 0.0)
    barrier, failures = threading.Barrier(2), []

    def owner(name: str) -> None:
        barrier.wait(10)
        for day in range(12):
            for _ in range(20):
                try:
                    world.run(due(day, "traffic") + timedelta(hours=1), owner=name)
                    break
                except UnavailableError as error:  # SQLite may be busy; the next tick comes
                    failures.append(error)

    threads = [threading.Thread(target=owner, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    rows = world.rows(t.alerts, "active_at")
    assert [(row.state, row.fired_at, row.resolved_at) for row in rows] == [
        ("resolved", due(1, "traffic"), due(3, "traffic")),
        ("resolved", due(4, "traffic"), due(6, "traffic")),
        ("resolved", due(7, "traffic"), due(9, "traffic")),
        ("firing", due(10, "traffic"), None),
    ]
    assert sum(row.job == "rules.traffic" for row in world.rows(t.job_runs, "job")) == 12
    told = [kind for _, kind, _ in world.sent()]
    assert len(told) == len({row.event_id for row in world.rows(t.deliveries, "id")})
    assert told.count("alert.firing") <= 4
    assert all(one != two for one, two in itertools.pairwise(told))


def test_a_window_that_cannot_be_evaluated_is_left_behind_after_three_attempts(database, monkeypatch):
    world = World(database, CONFIG)
    world.found(0, "error_rate", 0.2)
    world.found(1, "error_rate", 0.3)
    real = pipeline.evaluate_window

    def broken(turn, window):
        if window.start == START:
            raise ZeroDivisionError("what a day")
        real(turn, window)

    monkeypatch.setattr(jobs.pipeline, "evaluate_window", broken)
    for _ in range(3):
        assert world.rows(t.alerts, "id") == []
        world.run(due(1, "traffic"))
    world.run(due(1, "traffic"))
    assert [row.fired_at for row in world.rows(t.alerts, "id")] == [due(1, "traffic")]
    failed = next(row for row in world.rows(t.job_runs, "job") if row.state == "failed")
    assert (failed.attempts, failed.error) == (3, "ZeroDivisionError: what a day")


def test_a_revision_of_a_finding_opens_nothing_again(database):
    world = World(database, CONFIG)
    world.found(0, "error_rate", 0.2)
    world.run(due(0, "traffic"))
    with database.write() as connection:
        connection.execute(sa.update(t.findings).values(latest=False))
    world.found(0, "error_rate", 0.9, revision=1)
    assert world.run(due(0, "traffic") + timedelta(hours=1)) == 0
    assert len(world.sent()) == 1


def test_missing_data_keeps_the_state_and_no_data_is_an_alert_of_its_own_when_asked(database):
    world = World(
        database, CONFIG.replace('condition: "> 0.05"', 'condition: "> 0.05"\n    no_data: no_data')
    )
    world.found(0, "error_rate", 0.2)
    world.found(1, "error_rate", None, verdict="not_enough_data", size=0)
    world.found(2, "error_rate", 0.01)
    world.run(due(0, "traffic"))
    world.run(due(1, "traffic"))
    states = {row.labels["alertname"]: row.state for row in world.rows(t.alerts, "id")}
    assert states == {"ErrorsHigh": "firing", "NoData": "firing"}
    world.run(due(2, "traffic"))
    states = {row.labels["alertname"]: row.state for row in world.rows(t.alerts, "id")}
    assert states == {"ErrorsHigh": "resolved", "NoData": "resolved"}
    assert "alert.no_data" in [kind for _, kind, _ in world.sent()]


def test_an_alert_whose_rule_was_removed_ends(database):
    world = World(database, CONFIG)
    world.found(0, "error_rate", 0.2)
    world.run(due(0, "traffic"))
    without = World(
        database, CONFIG[: CONFIG.index("  - alert: ErrorsHigh")] + CONFIG[CONFIG.index("receivers:") :]
    )
    without.found(1, "error_rate", 0.2)
    without.run(due(1, "traffic"))
    assert [row.state for row in world.rows(t.alerts, "id")] == ["resolved"]
    assert [kind for _, kind, _ in world.sent()] == ["alert.firing", "alert.resolved"]


def test_group_wait_repeat_and_new_alerts_follow_business_time(database):
    config = CONFIG.replace("- receivers: [hook]\n  group_wait: 0s\n  repeat_interval: 30d", """- receivers: [hook]
  group_by: [model]
  group_wait: 30m
  group_interval: 1h
  repeat_interval: 3d""")  # fmt: skip
    more = """  - alert: SlowAnswers
    metric: latency_p95
    condition: "> 200"
receivers:"""
    world = World(database, config.replace("receivers:\n", more + "\n", 1))
    world.found(0, "error_rate", 0.2)
    world.found(0, "latency_p95", 100.0)
    at = due(0, "traffic")
    world.run(at)
    assert world.sent() == []
    world.run(at + timedelta(minutes=30))
    world.found(1, "error_rate", 0.2)
    world.found(1, "latency_p95", 900.0)
    world.run(at + DAY)
    world.run(at + DAY + timedelta(minutes=1))
    world.run(at + 4 * DAY)
    reasons = [body["notification_reason"] for _, _, body in world.sent()]
    assert reasons == ["first notification", "new alerts added", "repeat interval elapsed"]


def test_a_silence_and_a_page_keep_tickets_quiet(database):
    world = World(database, CONFIG.replace("for: 2d", "for: 0s"))
    world.found(0, "accuracy", 0.5)
    world.run(due(0))
    world.found(1, "error_rate", 0.2)
    world.run(due(1, "traffic"))
    assert {body["groupLabels"]["alertname"] for receiver, _, body in world.sent() if receiver == "hook"} == {
        "AccuracyLow"
    }
    world.found(1, "accuracy", 0.9)
    world.run(due(1))  # the page is over: now the ticket may speak
    told = [
        (body["groupLabels"]["alertname"], kind)
        for receiver, kind, body in world.sent()
        if receiver == "hook"
    ]
    assert told[0] == ("AccuracyLow", "alert.firing")
    assert sorted(told[1:]) == [("AccuracyLow", "alert.resolved"), ("ErrorsHigh", "alert.firing")]


def test_a_silenced_alert_is_told_when_the_silence_ends(database):
    world = World(database, CONFIG)
    at = due(0, "traffic")
    silence = {
        "id": "sil_1", "matchers": [{"name": "alertname", "value": "Errors.*", "isRegex": True, "isEqual": True}],
        "starts_at": at - DAY, "ends_at": at + DAY, "created_by": "me", "comment": "",
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(sa.insert(t.silences).values(silence))
    world.found(0, "error_rate", 0.2)
    world.run(at)
    assert world.sent() == []
    assert [row.state for row in world.rows(t.alerts, "id")] == ["firing"]
    world.run(at + DAY)
    assert [kind for _, kind, _ in world.sent()] == ["alert.firing"]
    assert world.rows(t.deliveries, "id")[0].expires_at == WALL + DAY


def test_a_message_names_what_moved_most_and_what_is_measured_after_the_alert(database):
    world = World(database, CONFIG.replace("for: 2d", "for: 0s"))
    moved = [("$score", 0.9, 0.3, "alarm"), ("fare", 4.8, 9.0, "ok"), ("age", 0.19, 0.2, "ok")]
    for name, value, threshold, verdict in moved:
        world.found(0, "psi", value, feature=name, threshold=threshold, verdict=verdict)
    for day, value in enumerate([0.7, 0.81, 0.95]):
        world.found(day, "accuracy", value)
        world.run(due(day))
    fired, resolved = (body for receiver, _, body in world.sent() if receiver == "chat")
    assert (
        "*Look first at:* $score drifted (PSI 0.900, threshold 0.300); age moved (PSI 0.190, threshold 0.200)"
        in str(fired)
    )
    assert "fare" not in str(fired)
    assert "is 95.0 % now, was 81.0 % (alarm at &lt; 80.0 %)" in str(resolved)
    assert "*Lasted* 2 d, from" in str(resolved)


def test_a_message_names_the_causes_and_the_segment_that_the_finding_ranks(database):
    world = World(database, CONFIG.replace("for: 2d", "for: 0s"))
    ranked = {
        "causes": [{"feature": "carrier_delay", "share": 0.62, "influence": 0.3}],
        "segments": [{"segment": "carrier=UA", "share": 0.4, "rows": 0.125}],
    }
    world.found(0, "psi", 0.9, feature="age", threshold=0.3, verdict="alarm")
    world.found(0, "accuracy", 0.7, details=ranked)
    world.run(due(0))
    told = {receiver: str(body) for receiver, _, body in world.sent()}
    assert (
        "*Look first at:* carrier_delay moved: likely 62 % of the score's movement; carrier=UA: 40 % of the loss from"
        " 12 % of the rows" in told["chat"].replace("\\'", "'")
    )
    assert "age drifted" not in told["chat"]


def test_a_group_whose_message_cannot_be_made_does_not_keep_the_others_silent(database, monkeypatch):
    real, broken = pipeline.title_of, [True]

    def title_of(rows):
        if broken and rows[0].labels["alertname"] == "AccuracyLow":
            raise ZeroDivisionError
        return real(rows)

    monkeypatch.setattr(pipeline, "title_of", title_of)
    world = World(database, CONFIG.replace("for: 2d", "for: 0s").replace("    min_samples: 100\n", ""))
    world.found(0, "accuracy", 0.5)
    world.found(0, "error_rate", 0.2, model="boats")
    with database.write() as connection:
        insert_new(
            connection, t.models, [{"name": "boats", "first_seen": START, "last_seen": START}], ["name"]
        )
    world.run(due(0))
    assert [receiver for receiver, _, _ in world.sent()] == ["hook"]
    broken.clear()
    world.run(due(0))
    assert [receiver for receiver, _, _ in world.sent()] == ["hook", "chat", "hook"]
