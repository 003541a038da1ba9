import base64
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ACTION = {
    "type": "action.requested",
    "timestamp": "2013-09-10T00:00:00Z",
    "data": {
        "action_id": "a1",
        "model": "flights",
        "reason": "auc low",
        "windows": {"from": "2013-08-31T00:00:00Z", "to": "2013-09-10T00:00:00Z"},
        "training": {"from": "2013-07-16T00:00:00Z", "to": "2013-09-10T00:00:00Z"},
        "callback": {"url": "http://127.0.0.1:1/v1/actions/a1"},
    },
}


@pytest.fixture
def started():
    return []


@pytest.fixture
def client(started, tmp_path):
    from channel import Channel
    from retrain import create_app
    from signing import key

    return create_app(key(SECRET), started.append, Channel(tmp_path / "log")).test_client()


def _signed(body, message_id="msg_1", at=None):
    at = at or datetime.now(UTC)
    signature = Webhook(SECRET).sign(message_id, at, body)
    stamp = str(int(at.timestamp()))
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}


def test_a_signed_action_starts_one_job(client, started):
    body = json.dumps(ACTION)
    assert client.post("/hooks/retrain", data=body, headers=_signed(body)).status_code == 202
    assert client.post("/hooks/retrain", data=body, headers=_signed(body)).status_code == 200
    assert [job.action_id for job in started] == ["a1"]
    assert started[0].known_by == datetime(2013, 9, 10, tzinfo=UTC)


def test_a_second_secret_may_be_wrong(client, started):
    body = json.dumps(ACTION)
    headers = _signed(body)
    headers["webhook-signature"] = "v1,bm90IGl0 " + headers["webhook-signature"]
    assert client.post("/hooks/retrain", data=body, headers=headers).status_code == 202
    assert len(started) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-signature": "v1,bm90IGl0"}, "does not match"),
        ({"webhook-signature": ""}, "are needed"),
        ({"webhook-id": "another"}, "does not match"),
        ({"webhook-timestamp": "soon"}, "unix seconds"),
        ({"webhook-timestamp": "1000000000"}, "away from now"),
    ],
)
def test_what_is_not_proven_is_refused(client, started, change, why):
    body = json.dumps(ACTION)
    answer = client.post("/hooks/retrain", data=body, headers=_signed(body) | change)
    assert answer.status_code == 401
    assert why in answer.json["error"]
    assert started == []


def test_a_changed_body_is_refused(client, started):
    answer = client.post("/hooks/retrain", data="{}", headers=_signed(json.dumps(ACTION)))
    assert answer.status_code == 401
    assert started == []


def test_a_signed_body_without_its_fields_is_a_bad_request(client, started):
    body = json.dumps({"type": "action.requested", "data": {}})
    assert client.post("/hooks/retrain", data=body, headers=_signed(body)).status_code == 400
    assert started == []


def test_our_signature_is_the_standard_one():
    from signing import key, sign

    body = json.dumps({"status": "succeeded"})
    headers = sign(key(SECRET), "msg_2", int(datetime.now(UTC).timestamp()), body.encode())
    assert Webhook(SECRET).verify(body, headers) == {"status": "succeeded"}


def test_slack_is_shown_and_escaped(client, tmp_path):
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "AUC <script>alert(1)</script>"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "*low* <https://example.org/a|the page> <javascript:x|no>"},
        },
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Model*\nflights &amp; co"}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": '"><img src=x>'}]},
        {
            "type": "actions",
            "elements": [{"type": "button", "text": {"text": "Open"}, "url": "javascript:alert(1)"}],
        },
        {"type": "actions", "elements": [{"type": "button", "text": {"text": "Look"}, "url": 'http://a/"x'}]},
    ]
    answer = client.post("/slack", json={"text": "fallback", "blocks": blocks})
    assert (answer.status_code, answer.text) == (200, "ok")
    page = client.get("/").text
    assert "<script>" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert '<b>low</b> <a href="https://example.org/a"' in page
    assert "flights &amp; co" in page
    assert 'href="http://a/&quot;x"' in page
    assert json.loads((tmp_path / "log").read_text())["body"]["text"] == "fallback"


def test_text_alone_and_a_page_are_shown(client):
    assert client.post("/slack", json={"text": "hello"}).status_code == 200
    assert client.post("/slack", json={"nothing": 1}).status_code == 400
    assert client.post("/pager", json={"incident": "<b>x</b>"}).status_code == 202
    page = client.get("/").text
    assert "hello" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_the_page_keeps_the_last_two_hundred(tmp_path):
    from channel import Channel

    channel = Channel()
    for n in range(250):
        channel.add("slack", {"text": str(n)}, datetime.now(UTC))
    kept = [message["body"]["text"] for message in channel.messages()]
    assert kept == [str(n) for n in range(249, 49, -1)]


@pytest.fixture
def callbacks():
    """A server that keeps what is posted to it, and its address."""
    got = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers), body.decode()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keep) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield got, f"http://127.0.0.1:{server.server_port}/v1/actions/a1"
        server.shutdown()
        thread.join()


def test_a_training_that_fails_is_told_with_a_signature(callbacks, tmp_path):
    from pipeline import Job, Pipeline, Settings
    from signing import key

    got, url = callbacks
    settings = Settings(tmp_path, "http://127.0.0.1:1/health", tmp_path / "pid")
    Pipeline(settings, key(SECRET)).run(Job("a1", datetime(2020, 1, 1, tzinfo=UTC), url))
    told = [Webhook(SECRET).verify(body, {k.lower(): v for k, v in headers.items()}) for headers, body in got]
    assert [message["status"] for message in told] == ["running", "failed"]
    assert told[1]["model_version"] == "2019-11-06..12-31"
    assert "too few to train on" in told[1]["detail"]
    assert not (tmp_path / "model.pkl").exists()
