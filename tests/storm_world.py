"""A storm of alerts, incidents and messages over a server, and the quiet run that says what must come of it.

The clock is a replayed one and moves by one window whenever everything before is done and sent: so all that is decided
depends on the data alone, and must be the same whoever was killed, stopped or cut off meanwhile.
"""

from __future__ import annotations

import functools
import random
import re
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from detectors.clock import clock_state, move_clock
from remora import tables as t
from remora.cli.jobs import Jobs
from remora.config import parse
from remora.database import Database
from remora.settings import ServerSettings, parse_address
from tests.server_world import Received, Receiver, Server, fill, prepared

__all__ = ["MODELS", "Storm"]

MODELS = 6
SIZE = timedelta(minutes=5)
START = datetime(2026, 1, 1, tzinfo=UTC)
RANDOM_ID = re.compile(r"\b(act|inc|alert|msg)_[0-9A-Z]{26}")

CONFIG = """
version: 1
schedule: {{clock: replay, tick: 1s}}
models:
{models}
receivers:
  ops: {{kind: webhook, url: "{url}/ops", timeout: 5s}}
  pager: {{kind: webhook, url: "{url}/pager", timeout: 5s}}
  ci: {{kind: webhook, url: "{url}/ci", timeout: 5s}}
actions:
  targets:
    once: {{kind: http, url: "{url}/once", timeout: 5s, call: {{}}}}
routes:
- {{receivers: [ops], group_wait: 0s, group_interval: 0s}}
plans:
- name: repair
  group_by: [model]
  stable_for: 5m
  reopen_within: 0s
  steps: &steps
  - {{notify: pager}}
  - {{action: ci, timeout: 5m, guard: {{cooldown: 0s, max_runs: 1000, concurrency: allow}}}}
  - {{wait: 5m}}
  - {{notify: pager}}
- name: careful
  group_by: [model]
  stable_for: 5m
  reopen_within: 0s
  steps:
  - {{action: once, timeout: 5m, guard: {{cooldown: 0s, max_runs: 1000, concurrency: allow}}}}
groups:
- name: g
  rules:
  - {{alert: Errors, metric: error_rate, condition: "> 0.5", plan: repair, labels: {{severity: page}}}}
  - {{alert: Slowly, metric: error_rate, condition: "> 0.5", for: 5m, keep_firing_for: 5m, labels: {{severity: info}}}}
  - {{alert: Once, metric: error_rate, condition: "> 0.5", plan: careful, labels: {{severity: info}}, select: {{model: m0}}}}
"""


def config_text(url: str) -> str:
    models = "\n".join(
        f"  m{number}: {{windows: {{size: 5m, lateness: 0s, label_lateness: 0s}}}}"
        for number in range(MODELS)
    )
    return CONFIG.format(models=models, url=url)


def weather(steps: int, seed: int) -> dict[str, list[bool]]:
    """Which windows of which model are bad: each turns with a chance of a half."""
    chance = random.Random(seed)
    bad = {f"m{number}": [chance.random() < 0.5 for _ in range(steps)] for number in range(MODELS)}
    bad["m0"][:3] = [True, False, True]
    return bad


# --- what was decided ------------------------------------------------------------------------------------------------


def decided(database: Database) -> dict[str, Counter[str]]:
    """Everything that must not depend on who was killed when, with ids that are drawn by lot taken out."""
    with database.read() as connection:

        def rows(*columns: Any, of: Any = None) -> Counter[str]:
            found = connection.execute(sa.select(*columns).where(sa.true() if of is None else of))
            return Counter(RANDOM_ID.sub(r"\1", repr(tuple(row))) for row in found)

        one, step, line, sent = t.incidents.c, t.plan_steps.c, t.incident_events.c, t.deliveries.c
        # Of a call that may have come through or not a person is asked: whether that happens is up to the kills.
        plans = {row.id: row.plan for row in connection.execute(sa.select(one.id, one.plan))}
        careful = [identity for identity, plan in plans.items() if plan == "careful"]
        return {
            "alerts": rows(t.alerts.c.rule, t.alerts.c.model, t.alerts.c.state, t.alerts.c.active_at, t.alerts.c.fired_at,
                           t.alerts.c.resolved_at, t.alerts.c.window_start),
            "told": rows(t.notifications.c.group_key, t.notifications.c.receiver, t.notifications.c.firing,
                         t.notifications.c.reason, t.notifications.c.sent_at),
            "incidents": rows(one.plan, one.model, one.state, one.opened_at, one.quiet_since, one.resolved_at),
            "steps": rows(step.step, step.iteration, step.kind, step.title, step.state, step.detail, step.started_at,
                          step.finished_at, of=step.incident_id.not_in(careful)),
            "begun": rows(step.step, step.iteration, step.kind, step.started_at),
            "timeline": rows(line.at, line.kind, line.text, of=line.incident_id.not_in(careful)),
            "actions": rows(t.actions.c.name, t.actions.c.model, t.actions.c.requested_at),
            "messages": rows(sent.receiver, sent.kind, sent.title),
        }  # fmt: skip


@functools.cache
def undisturbed(steps: int, seed: int) -> dict[str, Counter[str]]:
    """The oracle: the same steps of the clock in this process, and everything delivered at once."""
    with tempfile.TemporaryDirectory(prefix="remora-quiet-") as name, Receiver(slowest=0) as receiver:
        folder, config = Path(name), parse(config_text(receiver.url))
        database = prepared(f"sqlite:///{folder / 'quiet.db'}")
        fill(database, config, weather(steps, seed), START)
        settings = ServerSettings(
            listen=parse_address("127.0.0.1:0", "--listen"), database="", spool=folder, spool_bytes=1 << 20,
            config=None, reports=folder / "reports", token=None, external_url=None,
        )  # fmt: skip
        jobs = Jobs(database, config, settings)
        try:
            for number in range(steps):
                _live(jobs, START + (number + 1) * SIZE)
            return decided(database)
        finally:
            for part in (jobs.sender, jobs.starter, jobs.reports):
                part.close()
            database.dispose()


def _live(jobs: Jobs, now: datetime) -> None:
    """Let everything happen that is due by then."""
    move_clock(jobs.database, jobs.config, now)
    while clock_state(jobs.database, jobs.config, now).settled != now:
        jobs.tick()
    while not quiet(jobs.database):
        jobs.send()
        jobs.begin()


def quiet(database: Database) -> bool:
    """Whether nothing waits to be sent or started."""
    waiting = sa.select(sa.func.count()).where(t.deliveries.c.state == "pending")
    with database.read() as connection:
        return connection.execute(waiting).scalar_one() == 0


# --- one that is disturbed -------------------------------------------------------------------------------------------


class Storm:
    """What servers over one database are put through: windows one by one, and what must have come of them at the end."""

    def __init__(self, url: str, receiver: Receiver, folder: Path, steps: int, seed: int) -> None:
        text = config_text(receiver.url)
        self.expected = undisturbed(steps, seed)
        assert self.expected["messages"].total() > 20  # else there was no storm
        self.receiver = receiver
        self.config = folder / "remora.yaml"
        self.config.write_text(text)
        self.database = prepared(url)
        fill(self.database, parse(text), weather(steps, seed), START)
        self.left = [START + (number + 1) * SIZE for number in range(steps)]
        self.now: datetime | None = None

    def is_done(self) -> bool:
        """Whether everything that the clock asked for so far is done and sent."""
        settled = self._settled() if self.now is not None else None
        return self.now is None or (settled is not None and settled >= self.now and quiet(self.database))

    def _settled(self) -> datetime | None:
        with self.database.read() as connection:
            return connection.execute(sa.select(t.clock.c.settled)).scalar()

    def go_on(self, server: Server) -> bool:
        """Move the clock once more, where nothing is left to do; whether it did."""
        if not self.left or not self.is_done():
            return False
        self.now = self.left.pop(0)
        server.move_clock(self.now)
        return True

    def check(self) -> None:
        """The database says what the quiet run's says, and the receiver heard all of it, each thing under one id."""
        found = decided(self.database)
        for what, wanted in self.expected.items():
            assert found[what] == wanted, (
                f"{what}: {wanted - found[what]} missing, {found[what] - wanted} too many"
            )
        check_calls(self.database, self.receiver.calls())


def check_calls(database: Database, calls: list[Received]) -> None:
    """What the receiver says: everything that was decided came, each thing under one id, what is not idempotent once."""
    with database.read() as connection:
        sent = connection.execute(
            sa.select(t.deliveries.c.id, t.deliveries.c.state, t.deliveries.c.receiver)
        ).all()
    came = {call.id for call in calls}
    for row in sent:
        # Of what is not idempotent, nobody knows whether it came when the server died on the way: a person is asked.
        asked = row.receiver == "once" and row.state == "dead"
        assert asked or row.state == "delivered", row
        assert asked or row.id in came, f"{row} never came"
    assert came <= {row.id for row in sent}
    by_event = defaultdict[str, set[str]](set)
    for call in calls:
        by_event[call.what].add(call.id)
    assert {what: ids for what, ids in by_event.items() if len(ids) > 1} == {}
    once = Counter(call.body["data"]["action_id"] for call in calls if call.path == "/once")
    assert once
    assert set(once.values()) == {1}
