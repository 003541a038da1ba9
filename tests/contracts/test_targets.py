"""What every target promises: the call that its documents ask for, started once, nothing secret shown, doubt said as doubt."""

from __future__ import annotations

import json
import ssl
from collections import deque
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from alerts.calls import Meaning, build, meaning
from alerts.commands import Commands
from alerts.presets import PRESETS
from alerts.starter import Starter
from alerts.targets import startables
from alerts.transport import call
from remora import tables as t
from remora.config import parse
from remora.config.targets import NEEDS
from tests.example_alerts import WALL, FakeReceiver, World, due
from tests.example_targets import BY_KIND, DATA, EXAMPLES, MESSAGE_BYTES, SIGNING, TOKEN, target_of

every = pytest.mark.parametrize("example", EXAMPLES, ids=[example.kind for example in EXAMPLES])
HIDDEN = (TOKEN, SIGNING, "cmVtb3JhOnQwa2VuLXZlcnktc2VjcmV0")
WEBHOOK_TIME = datetime(2026, 1, 1, tzinfo=UTC)
GOLDEN_PATHS = {"sagemaker": "/fn", "vertex": "/fn"}
PLAN = """
version: 1
external_url: http://remora.example
models: {flights: {}}
groups:
- name: quality
  rules:
  - {alert: AccuracyLow, metric: accuracy, condition: "< 0.80", plan: retrain}
receivers:
  chat: {kind: slack, url: "http://127.0.0.1:9/slack"}
plans:
- name: retrain
  steps:
  - notify: chat
  - action: job
    timeout: 6h
"""


def base(receiver: FakeReceiver) -> str:
    return receiver.url.removesuffix("/hook/s3cret-path")


def config_of(example, url: str):
    target = target_of(example, url + GOLDEN_PATHS.get(example.kind, ""))
    return parse(PLAN + f"actions: {json.dumps({'targets': {'job': target}})}\n")


def wanted(example, url: str, message: bytes = MESSAGE_BYTES):
    target = startables(config_of(example, url), {})["job"]
    return target, build(target, message, message_id="msg_1", timestamp=int(WEBHOOK_TIME.timestamp()))


def answer_of(example) -> tuple[int, dict[str, str], bytes]:
    body = b"" if example.answer is None else json.dumps(example.answer).encode()
    return example.status, example.answer_headers, body


def test_every_kind_has_an_example():
    assert {example.kind for example in EXAMPLES} == set(NEEDS) - {"command"}
    assert set(PRESETS) == set(NEEDS) - {"http", "command"} | {"webhook"}


@every
def test_the_call_is_the_one_that_the_target_documents(example):
    with FakeReceiver() as receiver:
        receiver.answers = deque([answer_of(example)])
        _, request = wanted(example, base(receiver))
        answer = call(request, timeout=5, tls=ssl.create_default_context())
        (got,) = receiver.received
    assert answer.status == example.status
    assert (request.method, got.path) == ("POST", example.path)
    assert got.headers | example.headers == got.headers
    form = got.headers["content-type"] == "application/x-www-form-urlencoded"
    body = parse_qsl(got.body.decode(), keep_blank_values=True) if form else json.loads(got.body)
    assert body == example.body
    assert ("authorization" in got.headers) == ("authorization" in example.headers)
    if example.signed:
        standard = Webhook(SIGNING)
        assert standard.sign("msg_1", WEBHOOK_TIME, got.body.decode()) == got.headers["webhook-signature"]


@every
@pytest.mark.parametrize("text", ["a" * 10_000, "é🐟\n\"'{model}{token}" * 300, "\x00", "../../x?y#z"])
def test_no_text_breaks_the_call_or_names_a_secret(example, text):
    data = DATA | {"reason": text, "model": text[:200], "alert": text}
    _, request = wanted(example, "http://127.0.0.1:9", json.dumps({"type": "x", "data": data}).encode())
    assert all(value.isprintable() for value in request.headers.values())
    url = request.url.get_secret_value()
    assert url.isascii() and "\n" not in url and "/../" not in url  # noqa: PT018  # one thing: it is one address
    if example.kind != "gitlab":  # whose token stands in the body
        assert TOKEN.encode() not in request.body
    if "json" in request.headers["content-type"]:
        json.loads(request.body)


def opened(database, example, url: str) -> World:
    world = World(database, config_of(example, url))
    world.found(0, "label_coverage", 0.9, done=False)
    world.found(0, "accuracy", 0.7)
    world.run(due(0), sending=False)
    return world


def start(world: World, *walls) -> list[dict]:
    starter = Starter(world.database, world.config, "me", commands=Commands(()), patience=5)
    with capture_logs() as logs:
        for wall in walls:
            starter.run_once(wall)
    starter.close()
    return logs


def action(world: World):
    return world.rows(t.actions, "requested_at")[-1]


@every
def test_what_is_started_is_started_once_and_shows_no_secret(example, sqlite_database):
    with FakeReceiver() as receiver:
        status, headers, body = answer_of(example)
        receiver.answers = deque([(status, headers, body or TOKEN.encode())])
        world = opened(sqlite_database, example, base(receiver))
        logs = start(world, WALL, WALL + timedelta(seconds=1), WALL + timedelta(hours=2))
        assert len(receiver.received) == 1
        row = action(world)
        if example.run_id is not None and DATA["action_id"] not in example.run_id:
            assert (row.state, row.run_id) == ("running", example.run_id)
        if example.run_url and "act" not in example.run_url:
            assert row.url == example.run_url.replace("{url}", base(receiver))
    kept = repr(logs) + "".join(
        repr(world.rows(table)) for table in (t.actions, t.deliveries, t.delivery_attempts, t.incident_events)
    )
    assert not any(secret in kept for secret in HIDDEN)


@every
def test_a_refusal_is_final_and_named(example, sqlite_database):
    preset = startables(config_of(example, "http://127.0.0.1:9"), {})["job"].preset
    for status in {400, 401, 403, 404, 410, 422, 301, 302, 307} - {example.duplicate}:
        assert meaning(preset, status) is Meaning.REFUSED
    with FakeReceiver() as receiver:
        receiver.answers = deque([(302, {"location": f"{base(receiver)}/elsewhere"}, b"no")])
        world = opened(sqlite_database, example, base(receiver))
        start(world, WALL, WALL + timedelta(minutes=5))
        assert len(receiver.received) == 1
    world.run(due(0), sending=False)
    row = action(world)
    assert row.state == "failed"
    assert "status 302: it redirects, which is not followed" in row.detail


def drop(handler) -> None:
    handler.close_connection = True
    handler.connection.close()


@every
@pytest.mark.parametrize("broken", [(500, {}, b"oops"), drop], ids=["500", "no answer"])
def test_where_nobody_knows_a_person_is_asked_unless_the_target_recognises_a_repetition(
    example, broken, sqlite_database
):
    with FakeReceiver() as receiver:
        receiver.answers = deque([broken, answer_of(example)])
        world = opened(sqlite_database, example, base(receiver))
        start(world, WALL, WALL + timedelta(minutes=1), WALL + timedelta(minutes=10))
        assert len(receiver.received) == (2 if example.idempotent else 1)
        ids = {got.headers["webhook-id"] for got in receiver.received}
    assert len(ids) == 1
    state = action(world).state
    assert state == "unknown" if not example.idempotent else state in {"running", "requested"}
    asked = [row for row in world.rows(t.incident_events, "id") if row.kind == "action_unknown"]
    assert len(asked) == (0 if example.idempotent else 1)


@every
def test_one_that_is_busy_is_asked_again(example, sqlite_database):
    with FakeReceiver() as receiver:
        receiver.answers = deque([(429, {"retry-after": "30"}, b""), (503, {}, b""), answer_of(example)])
        world = opened(sqlite_database, example, base(receiver))
        start(world, WALL, WALL + timedelta(seconds=20))
        assert len(receiver.received) == 1
        start(world, WALL + timedelta(minutes=2), WALL + timedelta(minutes=5))
        assert len(receiver.received) == 3
    assert action(world).state in {"running", "requested"}


@every
def test_an_answer_that_says_it_was_started_before_is_a_start(example):
    preset = startables(config_of(example, "http://127.0.0.1:9"), {})["job"].preset
    assert meaning(preset, example.status) is Meaning.STARTED
    assert preset.idempotent is example.idempotent
    if example.duplicate is not None:
        assert meaning(preset, example.duplicate) is Meaning.STARTED
    else:
        assert meaning(preset, 409) is Meaning.REFUSED


def test_what_cannot_be_reached_is_tried_for_an_hour_and_then_failed(sqlite_database):
    world = opened(sqlite_database, BY_KIND["gitlab"], "http://127.0.0.1:9")
    start(world, *(WALL + timedelta(minutes=10 * number) for number in range(7)))
    (row,) = [row for row in world.rows(t.deliveries, "id") if row.kind == "action.requested"]
    assert row.state == "dead"
    world.run(due(0), sending=False)
    assert action(world).state == "failed"
    assert "could not be delivered" in action(world).detail
