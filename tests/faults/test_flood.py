"""Ten thousand alerts at once, and clocks that jump: few messages, of bounded size, and nothing told twice."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from alerts.sender import Sender
from remora import tables as t
from remora.runs import RunKey, claim_run
from tests.example_alerts import DAY, START, WALL, FakeReceiver, World, due

MANY = 10_000
FLOOD = """
version: 1
receivers:
  ops: {{kind: webhook, url: "{url}"}}
  chat: {{kind: slack, url: "{url}"}}
  watcher: {{kind: alertmanager, url: "{url}"}}
routes:
- {{receivers: [ops, chat, watcher], group_by: [alertname], group_wait: 0s}}
plans:
- {{name: look, group_by: [model], steps: [{{notify: ops}}]}}
groups:
- name: g
  rules:
  - {{alert: Errors, metric: error_rate, by: [segment], condition: "> 0.5", plan: look}}
"""


def flood(world, day, value):
    start = START + day * DAY
    row = {
        "model": "flights", "version": "", "metric": "error_rate", "feature": "", "window_start": start,
        "window_end": start + DAY, "value": value, "size": 1000, "verdict": "ok", "reason": "as expected", "revision": 0,
        "latest": True, "computed_at": WALL, "coverage": 0.9,
    }  # fmt: skip
    with world.database.write() as connection:
        rows = [{**row, "segment": f"shop={number}"} for number in range(MANY)]
        connection.execute(sa.insert(t.findings), rows)
    world.done(day, "traffic")


@pytest.mark.timeout(300)
def test_ten_thousand_alerts_at_once_are_a_handful_of_messages(database):
    with FakeReceiver() as receiver:
        world = World(database, FLOOD.format(url=receiver.url))
        flood(world, 0, 0.9)
        began = time.monotonic()
        world.run(due(0, "traffic"), sending=False)
        seconds = time.monotonic() - began
        sys.stdout.write(f"{MANY:,} alerts fired and were told in {seconds:.1f} s ({database.dialect})\n")
        firing = sa.select(sa.func.count()).select_from(t.alerts).where(t.alerts.c.state == "firing")
        with database.read() as connection:
            assert connection.execute(firing).scalar_one() == MANY
        assert len(world.rows(t.incidents)) == 1
        sent = world.rows(t.deliveries)
        by_receiver = {
            name: [row for row in sent if row.receiver == name] for name in ("ops", "chat", "watcher")
        }
        assert len(by_receiver["ops"]) == 1  # the plan's; the route keeps still
        assert len(by_receiver["chat"]) == 1
        assert len(by_receiver["watcher"]) == MANY / 200  # 200 alerts a call: it groups by itself
        assert max(len(row.body) for row in by_receiver["ops"]) < 20_000
        assert max(len(row.body) for row in by_receiver["chat"]) < 60_000
        before = len(sent)
        assert world.run(due(0, "traffic") + timedelta(seconds=1), sending=False) == 0
        assert len(world.rows(t.deliveries)) == before
        flood(world, 1, 0.1)
        world.run(due(1, "traffic"), sending=False)
        assert {row.state for row in world.rows(t.alerts)} == {"resolved"}


CALM = """
version: 1
receivers:
  ops: {{kind: webhook, url: "{url}", timeout: 5s}}
routes:
- {{receivers: [ops], group_wait: 0s}}
groups:
- {{name: g, rules: [{{alert: Low, metric: accuracy, condition: "< 0.8"}}]}}
"""


@pytest.mark.parametrize(
    "jump", [timedelta(days=-1), timedelta(minutes=-5), timedelta(minutes=5), timedelta(hours=23)]
)
def test_a_clock_that_jumps_between_decision_and_delivery_loses_and_repeats_nothing(database, jump):
    with FakeReceiver() as receiver:
        world = World(database, CALM.format(url=receiver.url))
        for day, value in enumerate((0.5, 0.9, 0.5)):
            world.found(day, "accuracy", value)
            world.run(due(day), wall=WALL, sending=False)
            sender = Sender(database, world.config, "me")
            sender.run_once(WALL, patience=20)
            sender.close()
        wall = WALL + jump
        world.found(3, "accuracy", 0.9)
        world.run(due(3), wall=wall, sending=False)  # decided by a clock that has jumped
        sender = Sender(database, world.config, "me")
        sender.run_once(wall, patience=20)
        sender.run_once(wall + timedelta(seconds=1), patience=20)
        sender.close()
        rows = world.rows(t.deliveries)
        assert [row.state for row in rows] == ["delivered"] * 4
        assert [row.kind for row in sorted(rows, key=lambda row: row.id)].count("alert.firing") == 2
        assert len(receiver.received) == len({got.headers["webhook-id"] for got in receiver.received}) == 4


def test_a_lease_that_a_jump_forward_ends_early_is_fenced(database):
    """Two owners believe that the window is theirs; only the last one's row counts."""
    key = RunKey("traffic", "flights", START, START + DAY)
    World(database, CALM.format(url="http://127.0.0.1:9/"))
    first = claim_run(database, key, owner="one", wall=WALL)
    second = claim_run(database, key, owner="two", wall=WALL + timedelta(days=2))
    assert first is not None
    assert second is not None
    assert second.epoch > first.epoch
    back = claim_run(database, key, owner="three", wall=WALL - timedelta(days=2))
    assert back is None  # a clock that went back takes nothing from anybody
