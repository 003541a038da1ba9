from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from alerts.receivers import slack
from alerts.receivers.base import Answer, Event, Outgoing, Verdict
from tests.example_events import NOW, alert, events, settings_of, target_of

SETTINGS = settings_of("slack")
POST, UPDATE = "https://slack.com/api/chat.postMessage", "https://slack.com/api/chat.update"


def test_slack_escapes_and_shows_what_matters():
    event = Event(
        "alert.firing", NOW, "chat", "a <b> & c", "http://remora.example", alerts=[alert("<!channel>")]
    )
    message = json.loads(slack.KIND.body(event, SETTINGS))
    assert message["text"] == "a &lt;b&gt; &amp; c"
    section = next(block for block in message["blocks"] if block["type"] == "section")["text"]["text"]
    assert "<!channel>" not in section
    assert "*Accuracy* 70.0 % (alarm at &lt; 80.0 %, reference" in section
    assert "*Since* <!date^1362096000^" in section
    assert "*Look first at:*" in section
    buttons = next(block for block in message["blocks"] if block["type"] == "actions")["elements"]
    assert {button["text"]["text"] for button in buttons} == {"Alert", "Runbook", "Model"}


def test_slack_says_a_thing_once():
    event = Event("alert.firing", NOW, "chat", "fell", "http://remora.example", alerts=[alert("fell")])
    message = json.loads(slack.KIND.body(event, SETTINGS))
    assert message["blocks"][0]["text"]["text"] == ":red_circle: fell"
    assert not message["blocks"][1]["text"]["text"].startswith(":red_circle:")
    several = replace(event, alerts=[alert("fell"), alert("rose | <b>", number=1)])
    sections = [
        block
        for block in json.loads(slack.KIND.body(several, SETTINGS))["blocks"]
        if block["type"] == "section"
    ]
    assert sections[1]["text"]["text"].startswith(
        ":red_circle: *<http://remora.example/alerts/1|rose ¦ &lt;b&gt;>*"
    )


def test_slack_says_of_what_resolved_how_long_it_lasted_and_what_is_measured_now():
    seen = replace(alert("x", "resolved"), now="85.0 %", ends_at=NOW + timedelta(days=3, hours=2))
    event = Event("alert.resolved", NOW, "chat", "fell", "http://remora.example", alerts=[seen])
    message = json.loads(slack.KIND.body(event, SETTINGS))
    text = message["blocks"][1]["text"]["text"]
    assert message["text"] == "Resolved: fell"
    assert text.startswith("*Accuracy* is 85.0 % now, was 70.0 % (alarm at &lt; 80.0 %")
    assert "*Lasted* 3 d 2 h, from <!date^1362096000^" in text


def test_slack_keeps_the_list_of_what_to_do_for_open_incidents():
    shown = {
        event.incident.state: slack.KIND.body(event, SETTINGS).decode()
        for event in (events("x")[2], replace(events("x")[6], incident=replace(events("x")[6].incident, state="resolved"),
                                              timestamp=NOW + timedelta(hours=5)))
    }  # fmt: skip
    assert "*To do*" in shown["open"]
    assert "*To do*" not in shown["resolved"]
    assert "resolved after 5 h by x" in shown["resolved"]


def asked_by_bot(kind: str, reference: str):
    outgoing = Outgoing("msg_1", b'{"text":"x","blocks":[]}', 0, kind, reference)
    return slack.KIND.request(outgoing, target_of(settings_of("slack bot"), POST, "xoxb-1"))


def test_a_bot_speaks_in_its_channel_and_shows_its_token():
    request = asked_by_bot("alert.firing", "")
    assert request.url.get_secret_value() == POST
    assert request.headers["authorization"] == "Bearer xoxb-1"
    assert json.loads(request.body)["channel"] == "C0123"


@pytest.mark.parametrize("kind", ["alert.resolved", "incident.resolved", "incident.acknowledged"])
def test_a_bot_changes_what_it_said_when_that_is_over(kind):
    request = asked_by_bot(kind, "C0999 1503435956.000247")
    assert request.url.get_secret_value() == UPDATE
    message = json.loads(request.body)
    assert (message["channel"], message["ts"]) == ("C0999", "1503435956.000247")


def test_news_is_a_message_of_its_own():
    assert asked_by_bot("alert.firing", "C0999 1503435956.000247").url.get_secret_value() == POST


ANSWER = b'{"ok":true,"channel":"C0999","ts":"1503435956.000247","message":{"ts":"1503435956.000247","text":"\\"error\\":\\"x\\""}}'


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ANSWER, Verdict.DELIVERED),
        (b"ok", Verdict.DELIVERED),
        (b'{"ok":false,"error":"ratelimited"}', Verdict.RETRY),
        (b'{"ok": false, "error": "channel_not_found"}', Verdict.FINAL),
    ],
)
def test_a_bot_is_told_of_failure_under_status_200(answer, expected):
    assert slack.KIND.verdict(Answer(200, None, answer)) is expected


def test_a_bots_message_is_named_by_channel_and_time():
    assert slack.KIND.reference(Answer(200, None, ANSWER)) == "C0999 1503435956.000247"
    assert slack.KIND.reference(Answer(200, None, b"ok")) == ""
