"""What every receiver promises: limits kept, nothing secret shown, a verdict for every status, no firing without an end."""

from __future__ import annotations

import email.policy
import json
from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from alerts import outbox, secrets
from alerts.receivers import RECEIVERS
from alerts.receivers.base import Answer, Event, Mail, Outgoing, Request, Verdict
from alerts.sender import Sender
from remora import tables as t
from tests.example_alerts import SECRET, WALL, FakeReceiver, World
from tests.example_events import NAMES, NOW, alert, events, settings_of, target_of

FORMS = [*((name, "") for name in NAMES), ("webhook", "alertmanager.v4")]
every = pytest.mark.parametrize(("name", "form"), FORMS)
LIMITS = {"webhook": 20_000, "slack": 60_000, "teams": 28_000, "pagerduty": 512_000, "alertmanager": 8_000_000,
          "email": 200_000, "apprise": 30_000}  # fmt: skip


def made(name: str, form: str):
    """The kind, and the settings with which it speaks."""
    section = settings_of(name, **({"body": form} if form else {}))
    return RECEIVERS[section.kind], section


def asked(name: str, form: str, event: Event, reference: str = ""):
    """What leaves Remora for an event: a call, a mail, or a text for apprise."""
    kind, section = made(name, form)
    body = kind.body(event, section)
    url = (
        "https://slack.com/api/chat.postMessage"
        if name == "slack bot"
        else "http://hooks.example/T0/very-secret"
    )
    secret = SECRET if name == "webhook" else "hush-hush"
    outgoing = Outgoing("msg_1", body, int(WALL.timestamp()), event.type, reference)
    return kind.request(outgoing, target_of(section, url, secret))


def check_limits(name: str, form: str, event: Event) -> None:
    kind, section = made(name, form)
    assert len(kind.body(event, section)) < LIMITS[section.kind]
    request = asked(name, form, event)
    if isinstance(request, Mail):
        check_mail(request)
    elif isinstance(request, Request):
        assert all(value.isprintable() for value in request.headers.values())
        {"slack": check_slack, "teams": check_teams, "pagerduty": check_pagerduty}.get(
            section.kind, lambda _: None
        )(json.loads(request.body))
    else:
        assert len(request.title) <= 250
        assert len(request.text) <= 4000


def check_mail(mail: Mail) -> None:
    message = email.message_from_bytes(mail.message, policy=email.policy.default)
    assert len(message["subject"]) <= 250
    assert max(len(line) for line in mail.message.splitlines()) <= 998  # RFC 5322
    assert {part.get_content_type() for part in message.walk()} >= {"text/plain", "text/html"}


def check_slack(message) -> None:
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


def check_teams(message) -> None:
    (attachment,) = message["attachments"]
    card = attachment["content"]
    assert (message["type"], card["type"], card["version"]) == ("message", "AdaptiveCard", "1.2")
    assert {element["type"] for element in card["body"]} <= {"TextBlock", "FactSet"}
    assert len(card["actions"]) <= 6


def check_pagerduty(message) -> None:
    assert message["event_action"] in {"trigger", "acknowledge", "resolve"}
    assert len(message["dedup_key"]) <= 255
    if message["event_action"] == "trigger":
        assert len(message["payload"]["summary"]) <= 1024
        assert message["payload"]["severity"] in {"critical", "error", "warning", "info"}
        assert message["payload"]["source"]


TEXTS = ["x", "a" * 10_000, "é🐟\u202e\x00\n" * 2000, "<!channel> & <b>", '"}{\\', "\ud83d", ""]


@every
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("count", [1, 300])
def test_bodies_are_within_the_limits(name, form, text, count):
    for event in events(text, count):
        check_limits(name, form, event)


@every
@settings(max_examples=15, deadline=None)
@given(text=st.text(st.characters(codec=None), max_size=300))
def test_bodies_are_within_the_limits_whatever_the_text(name, form, text):
    for event in events(text)[:3]:
        check_limits(name, form, event)


@every
def test_the_same_event_has_the_same_body(name, form):
    kind, section = made(name, form)
    for one, two in zip(events(), events(), strict=True):
        assert kind.body(one, section) == kind.body(two, section)


def said(request) -> str:
    """Everything that a request says, as one text."""
    if isinstance(request, Request):
        return request.body.decode()
    if isinstance(request, Mail):
        message = email.message_from_bytes(request.message, policy=email.policy.default)
        return f"{message['subject']}\n{message.get_body(('plain',)).get_content()}"
    return f"{request.title}\n{request.mood}"


OVER = {  # what a reader, person or program, tells the end by
    "webhook": '"status":"resolved"', "slack": "Resolved: ", "teams": "Resolved: ", "pagerduty": '"event_action":"resolve"',
    "alertmanager": '"endsAt":"2013-03-01T01:00:00Z"', "email": "Resolved: ", "apprise": "Resolved: ",
}  # fmt: skip


@every
def test_what_resolved_can_be_told_from_what_fires(name, form):
    firing, resolved = (said(asked(name, form, event)) for event in events()[:2])
    mark = OVER[settings_of(name).kind]
    assert mark in resolved
    assert mark not in firing


STATUSES = {
    Verdict.DELIVERED: set(range(200, 300)),
    Verdict.RETRY: {408, 425, 429, *range(300, 400), *range(500, 600)},
}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "email"])
def test_every_http_status_has_its_verdict(name):
    for status in range(200, 600):
        expected = next((verdict for verdict, which in STATUSES.items() if status in which), Verdict.FINAL)
        assert made(name, "")[0].verdict(Answer(status, None, b"")) is expected, status


def test_every_smtp_status_has_its_verdict():
    found = {status: made("email", "")[0].verdict(Answer(status, None, b"")) for status in range(200, 600)}
    assert {found[status] for status in range(200, 300)} == {Verdict.DELIVERED}
    assert {found[status] for status in range(300, 500)} == {Verdict.RETRY}
    assert {found[status] for status in range(500, 600)} == {Verdict.FINAL}


@every
def test_nothing_secret_prints_or_is_frozen(name, form):
    kind, section = made(name, form)
    event = events()[0]
    for shown in (repr(section), str(asked(name, form, event)), kind.body(event, section).decode()):
        for secret in ("very-secret", SECRET, "hush"):
            assert secret not in shown


LEAKY = {  # with the receiver's own address in the place of {url}
    "webhook": {"url": "{url}", "secret": SECRET},
    "slack": {"url": "{url}"},
    "teams": {"url": "{url}"},
    "pagerduty": {"api": "http://{host}", "routing_key": "s3cret-key-0123456789"},
    "alertmanager": {"url": "{url}", "token": "s3cret-token"},
    "email": {"host": "127.0.0.1", "port": 1, "tls": "starttls", "from": "a@b.example", "to": ["c@d.example"],
              "username": "me", "password": "s3cret-password"},
    "apprise": {"url": "json://{host}/hook/s3cret-path"},
}  # fmt: skip


@pytest.mark.parametrize("kind", RECEIVERS)
def test_nothing_secret_is_logged_or_stored(kind, sqlite_database, capfd):
    """The receiver answers with its own address and secret in the text; another one cannot be reached at all."""

    def leak(handler):
        shown = "; ".join(f"{name}: {value}" for name, value in handler.headers.items())
        body = receiver.received[-1].body.decode()
        text = f"no such hook {handler.path}, {shown}, with {SECRET}, {body}".encode()
        handler.send_response(500)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    with FakeReceiver(deque([leak])) as receiver, capture_logs() as logs:
        receivers = {}
        for name, url in (("one", receiver.url), ("two", "http://127.0.0.1:1/hook/s3cret-path")):
            host = url.split("/")[2]
            section = {
                key: value.format(url=url, host=host) if isinstance(value, str) else value
                for key, value in LEAKY[kind].items()
            }
            receivers[name] = {"kind": kind, "timeout": "5s", **section}
        world = World(sqlite_database, json.dumps({"version": 1, "receivers": receivers}))
        for name in receivers:
            event = Event("alert.firing", NOW, name, "title", "http://remora.example", alerts=[alert()])
            with sqlite_database.write() as connection:
                outbox.enqueue(
                    connection, world.config, event, event_id=f"evt_{name}", order_key="k", wall=WALL
                )
        sender = Sender(sqlite_database, world.config, "me")
        assert sender.run_once(WALL, patience=20) == 2
        sender.close()
    attempts = world.rows(t.delivery_attempts)
    assert len(attempts) == 2
    assert all(attempt.error for attempt in attempts)
    stored = [str(row) for table in (t.deliveries, t.delivery_attempts) for row in world.rows(table)]
    printed = capfd.readouterr()
    everything = "\n".join([*map(str, logs), *stored, repr(world.config), printed.out, printed.err])
    for secret in ("s3cret", SECRET.removeprefix("whsec_")):
        assert secret not in everything
    targets = secrets.resolve(world.config)
    assert all("s3cret" not in repr(target) for target in targets.values())


@every
def test_a_test_message_says_nothing_of_an_end(name, form):
    event = Event("test", NOW, "r", "a test of Remora", "http://remora.example")
    check_limits(name, form, event)
    if settings_of(name).kind not in {"webhook", "alertmanager"}:
        assert OVER[settings_of(name).kind] not in said(asked(name, form, event))


def test_a_mail_says_how_long_it_lasted():
    over = alert("fell", "resolved")
    event = Event(
        "alert.resolved", NOW + timedelta(hours=1), "r", "fell", "http://remora.example", alerts=[over]
    )
    assert "Lasted: 1 h, from 2013-03-01 00:00 UTC to 2013-03-01 01:00 UTC" in said(asked("email", "", event))
