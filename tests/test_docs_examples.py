"""The examples of the documentation do what they say: the SDK, the curl commands, the signatures, an action's body."""

from __future__ import annotations

import ast
import json
import re
import threading
import types
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from alerts import signing
from detectors.testing import contract
from remora import tables
from remora.config import parse
from tests.documents import CONFIGURATION, README, blocks, composed, text_of


@pytest.fixture
def application(sqlite_database, tmp_path):
    with composed(sqlite_database, tmp_path) as made:
        yield made


@contextmanager
def serving(application):
    server = uvicorn.Server(
        uvicorn.Config(application, port=0, log_config=None, access_log=False, lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def stored(database, kind):
    with database.read() as connection:
        return {row.id for row in connection.execute(kind.select())}


def test_the_readme_s_sdk_and_curl_reach_the_database(application, sqlite_database):
    (snippet,) = blocks(README, "python")
    with serving(application) as url:
        names = {}
        exec(snippet.replace("http://127.0.0.1:8080", url), names)
        assert names["remora"].flush(20)
        calls = re.findall(
            r"curl -s localhost:8080(\S+) -H '(\S+): (\S+)' -d '(.+?)'",
            "\n".join(blocks(README, "")),
            re.DOTALL,
        )
        assert [path for path, *_ in calls] == ["/v1/predictions", "/v1/labels"]
        for path, header, value, body in calls:
            answer = httpx.post(url + path, headers={header: value}, content=body)
            assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})
        names["remora"].close()
    wanted = {names["prediction_id"], "order-17"}
    waiting = threading.Event()
    for _ in range(400):
        if stored(sqlite_database, tables.predictions) == stored(sqlite_database, tables.labels) == wanted:
            break
        waiting.wait(0.05)
    assert stored(sqlite_database, tables.predictions) == stored(sqlite_database, tables.labels) == wanted


def test_the_signatures_of_the_documentation_are_remora_s(monkeypatch):
    verifying, reporting = blocks(CONFIGURATION, "python")
    names = {}
    exec(verifying + reporting, names)
    secret, body, now = "whsec_" + "QUJD" * 8, b'{"type":"action.requested"}', int(names["time"].time())
    headers = {
        "webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signing.sign(secret, "msg_1", now, body),
    }  # fmt: skip
    assert names["genuine"](secret, headers, body)
    assert not names["genuine"](secret, headers, body + b" ")
    assert not names["genuine"](secret, headers | {"webhook-timestamp": str(now - 400)}, body)
    sent = []
    urllib = types.SimpleNamespace(request=types.SimpleNamespace(
        Request=names["urllib"].request.Request, urlopen=lambda request, timeout: sent.append(request) or types.SimpleNamespace(close=lambda: None),
    ))  # fmt: skip
    monkeypatch.setitem(names, "urllib", urllib)
    names["report"](secret, "http://127.0.0.1/v1/actions/a/status", "succeeded", model_version="8")
    (request,) = sent
    given = {name.lower(): value for name, value in request.header_items()}
    assert signing.verify(secret, given, request.data, float(names["time"].time())) is None


def test_the_detector_of_the_documentation_keeps_the_contract():
    detector, _ = blocks("docs/detectors.md", "python")
    names = {}
    exec(detector, names)
    checks = contract(
        names["tail_share"], parameters={"beyond": 3.0}, shifted=lambda _kind, values, _random: values * 2
    )
    assert len(checks) == 9
    for check in checks:
        check()
    (configured,) = blocks("docs/detectors.md", "yaml")
    assert parse(configured).models["churn"].drift.own == {"tail_share": {"beyond": 3.0}}


def test_the_action_s_body_has_the_keys_that_are_shown():
    (shown,) = [json.loads(block) for block in blocks(CONFIGURATION, "json")]
    tree = ast.parse(text_of("alerts/actions.py"))
    made = {
        node.name: {key.value for key in found.value.keys}
        for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        for found in node.body if isinstance(found, ast.Return) and isinstance(found.value, ast.Dict)
    }  # fmt: skip
    assert set(shown["data"]) == made["_data"]
    assert set(shown["data"]["evidence"]["alerts"][0]) == made["_evidence"]
