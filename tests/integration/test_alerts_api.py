"""Callbacks, acknowledgements and silences over HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from alerts import api, incident_api
from alerts.signing import sign
from remora import tables as t
from remora.refusals import install_error_answers
from remora.security import Guard
from tests.example_alerts import SECRET, WALL, World, due

CONFIG = f"""
version: 1
schedule: {{clock: replay}}
groups:
- name: quality
  rules:
  - {{alert: AccuracyLow, metric: accuracy, condition: "< 0.80", plan: retrain}}
receivers:
  job: {{kind: webhook, url: "http://127.0.0.1:9/job", secret: {SECRET}}}
plans:
- name: retrain
  steps: [{{action: job}}, {{wait: 15m}}, {{notify: job}}]
"""


@pytest.fixture
def world(database):
    world = World(database, CONFIG)
    world.found(0, "accuracy", 0.7)
    world.run(due(0))
    with database.write() as connection:
        connection.execute(t.clock.insert().values(name="replay", now=due(0) + timedelta(minutes=7)))
    return world


class Client:
    """Calls the application directly, without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def request(self, method: str, path: str, **more) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://remora.example") as client:
                return await client.request(method, path, **more)

        return asyncio.run(call())

    def post(self, path: str, **more) -> httpx.Response:
        return self.request("POST", path, **more)

    def get(self, path: str, **more) -> httpx.Response:
        return self.request("GET", path, **more)

    def delete(self, path: str, **more) -> httpx.Response:
        return self.request("DELETE", path, **more)


def client_of(world: World, token: str | None = None) -> Client:
    app = FastAPI()
    install_error_answers(app)
    guard = Guard(token, world.database)
    for one in (api, incident_api):
        app.include_router(one.router(world.database, world.config, guard, lambda: WALL))
    return Client(app)


def signed(body: bytes, message: str = "msg_1", at=WALL) -> dict[str, str]:
    stamp = int(at.timestamp())
    return {
        "webhook-id": message, "webhook-timestamp": str(stamp), "webhook-signature": sign(SECRET, message, stamp, body),
    }  # fmt: skip


def post(client: Client, path: str, body: object, **headers: str):
    return client.post(path, content=json.dumps(body).encode(), headers=headers)


def test_a_signed_callback_ends_the_action(world):
    client, action = client_of(world, token="secret-token"), world.rows(t.actions, "id")[0]
    path = f"/v1/actions/{action.id}/status"
    running = b'{"status":"running","detail":"queued"}'
    answer = client.post(path, content=running, headers=signed(running))
    assert (answer.status_code, answer.json()) == (200, {"id": action.id, "state": "running"})
    good = b'{"status":"succeeded","model_version":"v2","url":"http://ci.example/7"}'
    assert client.post(path, content=good, headers=signed(good, "msg_2")).json()["state"] == "succeeded"
    row = world.rows(t.actions, "id")[0]
    assert (row.state, row.model_version, row.finished_at) == (
        "succeeded",
        "v2",
        due(0) + timedelta(minutes=7),
    )
    assert world.rows(t.plan_steps, "step")[0].state == "done"
    again = client.post(path, content=good, headers=signed(good, "msg_3"))
    assert again.status_code == 200
    late = b'{"status":"failed"}'
    assert client.post(path, content=late, headers=signed(late, "msg_4")).status_code == 409
    replayed = client.post(path, content=running, headers=signed(running))
    assert (replayed.status_code, replayed.json()["state"]) == (200, "succeeded")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: headers | {"webhook-signature": "v1,AAAA"},
        lambda headers: headers | {"webhook-id": "msg_other"},
        lambda headers: headers | {"webhook-timestamp": str(int(WALL.timestamp()) - 301)},
        lambda headers: {name: text for name, text in headers.items() if name != "webhook-id"},
        lambda _: {},
    ],
)
def test_a_callback_without_a_good_signature_is_refused(world, spoil):
    client, action = client_of(world, token="secret-token"), world.rows(t.actions, "id")[0]
    body = b'{"status":"succeeded"}'
    answer = client.post(f"/v1/actions/{action.id}/status", content=body, headers=spoil(signed(body)))
    assert answer.status_code == 401
    assert world.rows(t.actions, "id")[0].state == "requested"


def test_an_old_signature_is_refused_though_it_fits(world):
    client, action = client_of(world, token="secret-token"), world.rows(t.actions, "id")[0]
    body = b'{"status":"succeeded"}'
    old = signed(body, at=WALL - timedelta(seconds=301))
    answer = client.post(f"/v1/actions/{action.id}/status", content=body, headers=old)
    assert (answer.status_code, answer.json()["error"]) == (
        401, "webhook-timestamp is more than 5 minutes away from now",
    )  # fmt: skip


def test_a_token_will_do_instead(world):
    client, action = client_of(world, token="secret-token"), world.rows(t.actions, "id")[0]
    answer = post(
        client, f"/v1/actions/{action.id}/status", {"status": "failed", "detail": "no data"},
        authorization="Bearer secret-token",
    )  # fmt: skip
    assert answer.json()["state"] == "failed"
    assert world.rows(t.plan_steps, "step")[0].state == "failed"


def test_unknown_actions_and_bad_bodies(world):
    client = client_of(world)
    assert post(client, "/v1/actions/act_none/status", {"status": "running"}).status_code == 404
    action = world.rows(t.actions, "id")[0].id
    for body in ({"status": "great"}, {"status": "running", "more": 1}, [], {}):
        assert post(client, f"/v1/actions/{action}/status", body).status_code == 422
    assert client.post(f"/v1/actions/{action}/status", content=b"x" * 70_000).status_code == 413
    assert (
        post(client, f"/v1/actions/{action}/status", {"status": "running", "detail": "a\x00b"}).status_code
        == 422
    )


def test_acknowledging(world):
    client, incident = client_of(world), world.rows(t.incidents, "id")[0]
    answer = post(client, f"/v1/incidents/{incident.id}/acknowledge", {"by": "ada", "note": "looking"})
    assert answer.json() == {"id": incident.id, "state": "acknowledged", "acknowledged_by": "ada"}
    row = world.rows(t.incidents, "id")[0]
    assert (row.acknowledged_by, row.acknowledged_at) == ("ada", due(0) + timedelta(minutes=7))
    assert post(client, "/v1/incidents/inc_none/acknowledge", {"by": "ada"}).status_code == 404
    assert [(row.what, row.actor) for row in world.rows(t.audit, "id")] == [("incident.acknowledge", "ada")]
    with world.database.write() as connection:
        connection.execute(t.incidents.update().values(state="resolved"))
    assert post(client, f"/v1/incidents/{incident.id}/acknowledge", {"by": "ada"}).status_code == 409


def test_a_silence_from_beginning_to_end(world):
    client = client_of(world)
    body = {
        "matchers": [{"name": "model", "value": "flights"}],
        "duration": "2h",
        "createdBy": "ada",
        "comment": "x",
    }
    made = post(client, "/v1/silences", body)
    assert made.status_code == 201
    silence = made.json()
    assert silence["status"] == {"state": "active"}
    assert silence["startsAt"] == "2013-03-03T00:07:00Z"
    assert silence["endsAt"] == "2013-03-03T02:07:00Z"
    assert [one["id"] for one in client.get("/v1/silences").json()["silences"]] == [silence["id"]]
    assert client.delete(f"/v1/silences/{silence['id']}").json()["status"] == {"state": "expired"}
    assert client.delete("/v1/silences/sil_none").status_code == 404
    assert [row.what for row in world.rows(t.audit, "id")] == ["silence.create", "silence.end"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"matchers": []},
        {"matchers": [{"name": "model", "value": ""}]},
        {"matchers": [{"name": "model", "value": ".*", "isRegex": True}]},
        {"matchers": [{"name": "model", "value": "(", "isRegex": True}]},
        {"matchers": [{"name": "9", "value": "x"}]},
        {"matchers": [{"name": "model", "value": "x"}], "endsAt": "2013-01-01T00:00:00Z"},
        {"matchers": [{"name": "model", "value": "x"}], "endsAt": "2013-01-01T00:00:00"},
        {"matchers": [{"name": "model", "value": "x"}], "endsAt": "2099-01-01T00:00:00Z", "duration": "1h"},
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(world, wrong):
    answer = post(client_of(world), "/v1/silences", wrong)
    assert answer.status_code == 422
    assert world.rows(t.silences, "id") == []


def test_reading_needs_read_and_writing_needs_write(world):
    client = client_of(world, token="secret-token")
    assert client.get("/v1/silences").status_code == 401
    assert post(client, "/v1/silences", {}).status_code == 401
    assert client.delete("/v1/silences/sil_1").status_code == 401
    assert post(client, "/v1/incidents/inc_1/acknowledge", {"by": "x"}).status_code == 401
    allowed = client.get("/v1/silences", headers={"authorization": "Bearer secret-token"})
    assert allowed.json() == {"silences": []}
