"""What every receiver promises: limits kept, nothing secret shown, a verdict for every status."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from alerts import outbox
from alerts.receivers import RECEIVERS
from alerts.receivers.base import Alert, Event, Incident, Outgoing, Target, Verdict
from alerts.sender import Sender
from remora import tables as t
from tests.example_alerts import SECRET, WALL, FakeReceiver, World

NOW = datetime(2013, 3, 1, tzinfo=UTC)
FORMS = [("webhook", "remora.v1"), ("webhook", "alertmanager.v4"), ("slack", "remora.v1")]
every = pytest.mark.parametrize(("kind", "form"), FORMS)
LIMITS = {"webhook": 20_000, "slack": 60_000}


def alert(text: str = "x", status: str = "firing", number: int = 0) -> Alert:
    return Alert(
        fingerprint=f"{number:016x}", status=status, labels={"alertname": text, "model": text, "team": text},
        annotations={"summary": text, "description": text}, starts_at=NOW,
        ends_at=NOW + timedelta(hours=1) if status == "resolved" else None, window_start=NOW,
        window_end=NOW, url="http://remora.example/alerts/1", metric="Accuracy", value=0.7, shown="70.0 %",
        reference=f"reference {text}", threshold="alarm at < 80.0 %", evidence=[text] * 5, runbook_url="http://wiki.example/r",
    )  # fmt: skip


def events(text: str = "x", count: int = 1) -> list[Event]:
    alerts = [alert(text, number=number) for number in range(count)]
    incident = Incident("inc_1", "plan", text, text, "open", text, NOW, "http://remora.example/incidents/1",
                        acknowledged_by=text, runbook_url="http://wiki.example/r", checklist=[text] * 20)  # fmt: skip
    common = {"timestamp": NOW, "receiver": "r", "title": text, "external_url": "http://remora.example"}
    made = [
        Event("alert.firing", alerts=alerts, reason="first notification", group_key=text, group_labels={"a": text}, **common),
        Event("alert.resolved", alerts=[alert(text, "resolved")], reason="all alerts resolved", **common),
        *(Event(kind, alerts=alerts, incident=incident, reason=text, **common)
          for kind in ("incident.opened", "incident.updated", "incident.escalated", "incident.acknowledged",
                       "incident.resolved")),
    ]  # fmt: skip
    action = {"action_id": "act_1", "model": text, "evidence": {"alerts": [{"summary": text}] * count}}
    return [*made, Event("action.requested", action=action, **common)]


def check_limits(kind: str, body: bytes) -> None:
    assert len(body) < LIMITS[kind]
    message = json.loads(body)
    if kind != "slack":
        return
    assert len(message["text"]) <= 40_000
    assert 1 <= len(message["blocks"]) <= 50
    for block in message["blocks"]:
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            assert 1 <= len(block["text"]["text"]) <= 3000
        elif block["type"] == "actions":
            assert 1 <= len(block["elements"]) <= 25
            assert all(
                len(button["text"]["text"]) <= 75 and len(button["url"]) <= 3000
                for button in block["elements"]
            )
        else:
            assert block["type"] == "context"
            assert all(len(element["text"]) <= 2000 for element in block["elements"])


@every
@pytest.mark.parametrize("text", ["x", "a" * 10_000, "é🐟\u202e\x00\n" * 2000, "<!channel> & <b>", '"}{\\'])
@pytest.mark.parametrize("count", [1, 300])
def test_bodies_are_json_within_the_limits(kind, form, text, count):
    for event in events(text, count):
        check_limits(kind, RECEIVERS[kind].body(event, form))


@every
@settings(max_examples=30)
@given(text=st.text(max_size=500))
def test_bodies_are_json_whatever_the_text(kind, form, text):
    for event in events(text):
        check_limits(kind, RECEIVERS[kind].body(event, form))


@every
def test_the_same_event_has_the_same_body(kind, form):
    for one, two in zip(events(), events(), strict=True):
        assert RECEIVERS[kind].body(one, form) == RECEIVERS[kind].body(two, form)


@every
def test_resolved_can_be_told_from_firing(kind, form):
    firing, resolved = (RECEIVERS[kind].body(event, form).decode() for event in events()[:2])
    if kind == "slack":
        assert ":red_circle:" in firing
        assert ":red_circle:" not in resolved
        assert json.loads(resolved)["text"].startswith("Resolved: ")
    else:
        data = json.loads(resolved).get("data", json.loads(resolved))
        assert (data["status"], data["alerts"][0]["endsAt"]) == ("resolved", "2013-03-01T01:00:00Z")
        data = json.loads(firing).get("data", json.loads(firing))
        assert (data["status"], data["alerts"][0]["endsAt"]) == (
            "firing", "0001-01-01T00:00:00Z" if form == "alertmanager.v4" else None,
        )  # fmt: skip


@pytest.mark.parametrize("kind", RECEIVERS)
def test_every_status_has_its_verdict(kind):
    retried = {408, 425, 429, *range(300, 400), *range(500, 600)}
    for status in range(200, 600):
        expected = (
            Verdict.DELIVERED if status < 300 else Verdict.RETRY if status in retried else Verdict.FINAL
        )
        assert RECEIVERS[kind].verdict(status) is expected, status


@pytest.mark.parametrize("kind", RECEIVERS)
def test_nothing_secret_prints(kind):
    target = Target(SecretStr("http://hooks.example/T0/very-secret"), SecretStr(SECRET))
    request = RECEIVERS[kind].request(Outgoing("msg_1", b"{}", 1000), target)
    for shown in (repr(target), str(target), repr(request), str(request)):
        assert "very-secret" not in shown
        assert SECRET not in shown
    assert SECRET.encode() not in request.body
    assert all(SECRET not in value for value in request.headers.values())


@pytest.mark.parametrize("kind", RECEIVERS)
def test_nothing_secret_is_logged_or_stored(kind, sqlite_database):
    """The receiver answers with its own address and secret in the text; another one cannot be reached at all."""

    def leak(handler):
        text = f"no such hook {handler.path} of http://{handler.headers['host']}{handler.path} with {SECRET}".encode()
        handler.send_response(500)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    secret = f', secret: "{SECRET}"' if kind == "webhook" else ""
    with FakeReceiver(deque([leak])) as receiver, capture_logs() as logs:
        world = World(
            sqlite_database,
            f'version: 1\nreceivers:\n  one: {{kind: {kind}, url: "{receiver.url}"{secret}}}\n'
            f'  two: {{kind: {kind}, url: "http://127.0.0.1:1/hook/s3cret-path"{secret}}}\n',
        )
        for name in ("one", "two"):
            event = Event("alert.firing", NOW, name, "title", "http://remora.example", alerts=[alert()])
            with sqlite_database.write() as connection:
                outbox.enqueue(
                    connection, world.config, event, event_id=f"evt_{name}", order_key="k", wall=WALL
                )
        sender = Sender(sqlite_database, world.config, "me")
        assert sender.run_once(WALL, patience=20) == 2
        sender.close()
    stored = [str(row) for table in (t.deliveries, t.delivery_attempts) for row in world.rows(table)]
    everything = "\n".join([*map(str, logs), *stored, repr(world.config)])
    if kind == "webhook":
        secret_found = SECRET.removeprefix("whsec_") in everything
        assert not secret_found
    assert "s3cret-path" not in everything
    assert "status 500" in everything


def test_slack_escapes_and_shows_what_matters():
    event = Event(
        "alert.firing", NOW, "chat", "a <b> & c", "http://remora.example", alerts=[alert("<!channel>")]
    )
    message = json.loads(RECEIVERS["slack"].body(event, ""))
    assert message["text"] == "a &lt;b&gt; &amp; c"
    section = next(block for block in message["blocks"] if block["type"] == "section")["text"]["text"]
    assert "<!channel>" not in section
    assert "*Accuracy* 70.0 % (alarm at &lt; 80.0 %, reference" in section
    assert "*Since* <!date^1362096000^" in section
    assert "*Moved most:*" in section
    buttons = next(block for block in message["blocks"] if block["type"] == "actions")["elements"]
    assert {button["text"]["text"] for button in buttons} == {"Alert", "Runbook", "Model"}


def test_slack_says_a_thing_once():
    event = Event("alert.firing", NOW, "chat", "fell", "http://remora.example", alerts=[alert("fell")])
    message = json.loads(RECEIVERS["slack"].body(event, ""))
    assert message["blocks"][0]["text"]["text"] == ":red_circle: fell"
    assert not message["blocks"][1]["text"]["text"].startswith(":red_circle:")
    several = replace(event, alerts=[alert("fell"), alert("rose | <b>", number=1)])
    sections = [
        block
        for block in json.loads(RECEIVERS["slack"].body(several, ""))["blocks"]
        if block["type"] == "section"
    ]
    assert sections[1]["text"]["text"].startswith(
        ":red_circle: *<http://remora.example/alerts/1|rose ¦ &lt;b&gt;>*"
    )


def test_slack_says_of_what_resolved_how_long_it_lasted_and_what_is_measured_now():
    seen = replace(alert("x", "resolved"), now="85.0 %", ends_at=NOW + timedelta(days=3, hours=2))
    event = Event("alert.resolved", NOW, "chat", "fell", "http://remora.example", alerts=[seen])
    message = json.loads(RECEIVERS["slack"].body(event, ""))
    text = message["blocks"][1]["text"]["text"]
    assert message["text"] == "Resolved: fell"
    assert text.startswith("*Accuracy* is 85.0 % now, was 70.0 % (alarm at &lt; 80.0 %")
    assert "*Lasted* 3 d 2 h, from <!date^1362096000^" in text


def test_slack_keeps_the_list_of_what_to_do_for_open_incidents():
    shown = {
        event.incident.state: RECEIVERS["slack"].body(event, "").decode()
        for event in (events("x")[2], replace(events("x")[6], incident=replace(events("x")[6].incident, state="resolved"),
                                              timestamp=NOW + timedelta(hours=5)))
    }  # fmt: skip
    assert "*To do*" in shown["open"]
    assert "*To do*" not in shown["resolved"]
    assert "resolved after 5 h by x" in shown["resolved"]


def test_alertmanager_bodies_have_alertmanagers_fields():
    body = json.loads(RECEIVERS["webhook"].body(events()[0], "alertmanager.v4"))
    assert list(body) == [
        "receiver", "status", "alerts", "notification_reason", "groupLabels", "commonLabels", "commonAnnotations",
        "routeLabels", "externalURL", "version", "groupKey", "truncatedAlerts",
    ]  # fmt: skip
    assert body["version"] == "4"
    assert set(body["alerts"][0]) == {
        "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
    }  # fmt: skip
