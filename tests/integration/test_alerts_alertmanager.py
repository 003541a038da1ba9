"""A real Alertmanager is told of what fires, told again, and told the end."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from alerts.sender import Sender
from remora import tables as t
from tests.example_alerts import WALL, FakeReceiver, World, due

CONFIG = """
version: 1
groups:
- name: service
  rules:
  - {alert: ErrorsHigh, metric: error_rate, condition: "> 0.05", labels: {severity: page, team: ml},
     annotations: {summary: "{{ value|pct }} of {{ labels.model }} fail"}}
  - {alert: LatencyHigh, metric: latency_p95, condition: "> 100"}
receivers:
  am: {kind: alertmanager, url: "URL"}
routes:
- receivers: [am]
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def alertmanager(tmp_path):
    """Debian's prometheus-alertmanager on the loopback address; its URL."""
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        ["prometheus-alertmanager", f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/data",
         f"--web.listen-address={url[7:]}", "--cluster.listen-address=", "--log.level=warn"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def known_to(url: str) -> dict[str, dict]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
        return {alert["labels"]["alertname"]: alert for alert in json.loads(answer.read())}


def send(world: World, wall: datetime) -> None:
    sender = Sender(world.database, world.config, "me")
    sender.run_once(wall, patience=20)
    sender.close()


def test_an_alertmanager_knows_what_fires_and_forgets_what_resolved(sqlite_database, alertmanager):
    world = World(sqlite_database, CONFIG.replace("URL", alertmanager))
    wall = datetime.now(UTC)
    world.found(0, "error_rate", 0.2)
    world.found(0, "latency_p95", 10, done=False)
    world.run(due(0, "traffic"), wall=wall, sending=False)
    send(world, wall)
    known = wait_for(lambda: known_to(alertmanager))["ErrorsHigh"]
    assert known["labels"] == {
        "alertname": "ErrorsHigh", "metric": "error_rate", "model": "flights", "severity": "page", "team": "ml",
    }  # fmt: skip
    assert known["annotations"]["summary"] == "20.0 % of flights fail"
    assert known["status"]["state"] == "active"
    ends = datetime.fromisoformat(known["endsAt"])
    assert timedelta(minutes=3) < ends - wall < timedelta(minutes=5)

    world.run(due(0, "traffic"), wall=wall + timedelta(seconds=59), sending=False)
    assert len(world.rows(t.deliveries)) == 1  # nothing new, and its minute is not over
    later = wall + timedelta(seconds=60)
    world.run(due(0, "traffic"), wall=later, sending=False)
    send(world, later)
    again = wait_for(
        lambda: (found := known_to(alertmanager)["ErrorsHigh"])["endsAt"] != known["endsAt"] and found
    )
    assert datetime.fromisoformat(again["endsAt"]) - ends >= timedelta(seconds=59)
    assert again["startsAt"] == known["startsAt"]

    world.found(1, "error_rate", 0.0)
    world.run(due(1, "traffic"), wall=later, sending=False)
    send(world, later)
    wait_for(lambda: "ErrorsHigh" not in known_to(alertmanager))
    assert {row.state for row in world.rows(t.deliveries)} == {"delivered"}


def relayed(world: World) -> list[tuple[str, list[str]]]:
    rows = world.rows(t.deliveries, "created_at", "id")
    return [(row.state, [one["labels"]["alertname"] for one in json.loads(row.body)]) for row in rows]


def test_a_newer_message_takes_the_place_of_one_that_waits(sqlite_database):
    world = World(sqlite_database, CONFIG.replace("URL", "http://127.0.0.1:1"))
    world.found(0, "error_rate", 0.2)
    world.found(0, "latency_p95", 500, done=False)
    for minute in range(3):
        world.run(due(0, "traffic"), wall=WALL + timedelta(minutes=minute), sending=False)
    assert [state for state, _ in relayed(world)] == ["collapsed", "collapsed", "pending"]
    assert relayed(world)[-1][1] == ["ErrorsHigh", "LatencyHigh"]


def test_what_resolved_is_told_for_a_quarter_of_an_hour(sqlite_database):
    world = World(sqlite_database, CONFIG.replace("URL", "http://127.0.0.1:1"))
    world.found(0, "error_rate", 0.2)
    world.found(1, "error_rate", 0.0)
    world.run(due(0, "traffic"))
    told = []
    for minute in range(20):
        now = due(1, "traffic") + timedelta(minutes=minute)
        world.run(now, wall=WALL + timedelta(days=1, minutes=minute))
        told.append(len(world.rows(t.deliveries)))
    assert told[-1] == told[15] == max(told)
    assert json.loads(world.rows(t.deliveries, "created_at")[-1].body)[0]["endsAt"] is not None


def test_what_is_silenced_is_not_begun_but_goes_on(sqlite_database):
    world = World(sqlite_database, CONFIG.replace("URL", "http://127.0.0.1:1"))
    silence = {
        "id": "sil_1", "matchers": [{"name": "model", "value": "flights"}], "starts_at": due(0, "traffic") + timedelta(minutes=1),
        "ends_at": due(9), "created_by": "me", "comment": "",
    }  # fmt: skip
    with sqlite_database.write() as connection:
        connection.execute(sa.insert(t.silences).values(silence))
    world.found(0, "error_rate", 0.2)
    world.run(due(0, "traffic"))
    world.found(1, "error_rate", 0.2)
    world.found(1, "latency_p95", 500, done=False)
    world.run(due(1, "traffic"), wall=WALL + timedelta(minutes=1))
    assert [names for _, names in relayed(world)] == [["ErrorsHigh"], ["ErrorsHigh"]]


def test_the_token_is_shown_and_nothing_is_signed(sqlite_database):
    with FakeReceiver() as receiver:
        text = CONFIG.replace('url: "URL"', f'url: "{receiver.url}", token: t0ken')
        world = World(sqlite_database, text)
        world.found(0, "error_rate", 0.2)
        world.run(due(0, "traffic"), sending=False)
        send(world, WALL)
    (got,) = receiver.received
    assert got.path == "/hook/s3cret-path/api/v2/alerts"
    assert got.headers["authorization"] == "Bearer t0ken"
