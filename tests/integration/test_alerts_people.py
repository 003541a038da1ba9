"""What people do about incidents and actions: by API, from a terminal, and by links that expire."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest
from fastapi import FastAPI

from alerts import api, incident_api
from dashboards import api as reading_api
from remora import cli
from remora import tables as t
from remora.refusals import install_error_answers
from remora.security import Guard
from tests.example_alerts import WALL, World, due
from tests.example_server import serving

TOKEN = "a-token-of-everything"
CONFIG = """
version: 1
external_url: https://remora.example
models: {flights: {}}
groups:
- name: quality
  rules:
  - {alert: AccuracyLow, metric: accuracy, condition: "< 0.80", plan: retrain, labels: {severity: page}}
receivers:
  chat: {kind: webhook, url: "http://127.0.0.1:9/chat"}
  job: {kind: webhook, url: "http://127.0.0.1:9/job"}
plans:
- name: retrain
  steps:
  - notify: chat
  - checklist: [Freeze the rollout, "Compare *both* versions"]
  - action: job
    guard: {approval: manual, approval_timeout: 12h}
  - wait: 15m
  - unless: acknowledged
    notify: chat
"""


class Clock:
    now = WALL


@pytest.fixture
def world(sqlite_database):
    one = World(sqlite_database, CONFIG)
    one.found(0, "accuracy", 0.7)
    one.run(due(0))
    return one


@pytest.fixture
def server(world):
    app, guard = FastAPI(), Guard(TOKEN, world.database)
    install_error_answers(app)
    for module in (api, incident_api):
        app.include_router(module.router(world.database, world.config, guard, lambda: Clock.now))
    app.include_router(reading_api.router(world.database, world.config, guard))
    Clock.now = WALL
    with serving(app) as url:
        yield url


@pytest.fixture
def remora(server, capsys):
    def run(*arguments: str, code: int = 0, token: str | None = TOKEN) -> str:
        shown = ["--token", token] if token else []
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--server", server, *shown])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        assert code == 0 or said.err.count("\n") == 1
        return said.out if code == 0 else said.err

    return run


def incident(world: World):
    return world.rows(t.incidents, "id")[-1]


def action(world: World):
    return world.rows(t.actions, "requested_at")[-1]


def requests_to_start(world: World) -> list:
    return [row for row in world.rows(t.deliveries, "id") if row.kind == "action.requested"]


def test_an_incident_from_the_terminal(world, remora):
    one = incident(world)
    listed = remora("incident", "list")
    assert re.search(rf"^{one.id}  open +page +flights ", listed, re.MULTILINE)
    assert (
        remora("incident", "acknowledge", one.id, "--by", "ann", "--note", "I look")
        == f"{one.id} is taken by ann\n"
    )
    assert incident(world).state == "acknowledged"
    assert "acknowledged by ann" in remora("incident", "list")
    remora("incident", "note", one.id, "the feed was late", "--by", "ann")
    assert remora("incident", "tick", one.id, "1", "1", "--by", "bob") == "[x] Compare *both* versions\n"
    silenced = remora("incident", "silence", one.id, "--for", "3h", "--by", "ann")
    assert re.fullmatch(r"sil_\w+ until \d{4}-\d\d-\d\d \d\d:\d\d\n", silenced)
    assert "the feed was late" in remora("incident", "show", one.id)
    assert json.loads(remora("incident", "show", one.id, "--json"))["state"] == "acknowledged"
    assert remora("incident", "resolve", one.id, "--by", "ann").endswith(f"{one.id} is resolved\n")
    assert remora("incident", "list") == "no incident is open\n"
    assert "resolved already" in remora("incident", "acknowledge", one.id, "--by", "bob", code=2)
    assert action(world).state == "rejected"  # nobody approves it any more
    assert requests_to_start(world) == []


def test_a_silence_from_the_terminal(world, remora):
    assert remora("silence", "list") == "nothing is silenced\n"
    made = remora(
        "silence", "add", "model=flights", "severity!=ticket", "feature!~a=b|c", "--for", "3h", "--by", "ann"
    )
    identity, until = re.fullmatch(r"(sil_\w+) until (\d{4}-\d\d-\d\d \d\d:\d\d)\n", made).groups()
    stored = world.rows(t.silences, "id")[-1]
    assert [(one["name"], one["value"], one["isRegex"], one["isEqual"]) for one in stored.matchers] == [
        ("model", "flights", False, True), ("severity", "ticket", False, False), ("feature", "a=b|c", True, False),
    ]  # fmt: skip
    assert stored.ends_at - stored.starts_at == timedelta(hours=3)
    listed = remora("silence", "list")
    assert f"{identity}  active  model=flights severity!=ticket feature!~a=b|c  " in listed
    assert f"  {until}  ann" in listed
    assert remora("silence", "expire", identity) == f"{identity} is over\n"
    assert remora("silence", "list") == "nothing is silenced\n"
    assert "  expired  " in remora("silence", "list", "--all")
    assert [one["id"] for one in json.loads(remora("silence", "list", "--all", "--json"))] == [identity]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "flights"], "LABEL=VALUE"),
        (["add", "model=~("], "the pattern cannot be read"),
        (["add", "model=x", "--for", "soon"], "is not a duration"),
        (["expire", "sil_none"], "there is no silence sil_none"),
    ],
)
def test_a_silence_that_makes_no_sense_is_one_line(world, remora, arguments, says):
    assert says in remora("silence", *arguments, code=2)
    assert world.rows(t.silences, "id") == []


def test_a_message_that_was_given_up_is_sent_again_from_the_terminal(world, remora):
    message = next(row for row in world.rows(t.deliveries, "id") if row.receiver == "chat")
    with world.database.write() as connection:
        connection.execute(
            t.deliveries.update().values(state="dead", last_error="status 500", last_status=500)
        )
    assert re.search(
        rf"^{message.id}  chat +\S+ +dead .* 500 +status 500$", remora("delivery", "list"), re.MULTILINE
    )
    assert remora("delivery", "retry", message.id, "--by", "ann") == f"{message.id} will be sent again\n"
    again = next(row for row in world.rows(t.deliveries, "id") if row.id == message.id)
    assert (again.state, again.manual, again.body) == ("pending", True, message.body)
    assert remora("delivery", "retry", message.id) == f"{message.id} waits already\n"
    assert ("delivery.redeliver", "ann") in [(row.what, row.actor) for row in world.rows(t.audit, "id")]
    assert "there is no delivery msg_none" in remora("delivery", "retry", "msg_none", code=2)
    assert "refuses" in remora("delivery", "retry", message.id, code=2, token=None)


def test_what_starts_an_action_is_not_sent_again_past_its_guards(world, remora):
    remora("action", "approve", action(world).id, "--by", "ann")
    [request] = requests_to_start(world)
    assert "remora action start-again" in remora("delivery", "retry", request.id, code=2)
    assert requests_to_start(world) == [request]


def test_the_summary_tells_the_whole_story_and_no_text_is_markup(world, remora, tmp_path):
    one = incident(world)
    remora("action", "approve", action(world).id, "--by", "ann")
    remora("incident", "acknowledge", one.id, "--by", "ann | bob")
    remora("incident", "tick", one.id, "1", "0", "--by", "bob")
    remora(
        "action",
        "report",
        action(world).id,
        "--status",
        "succeeded",
        "--model-version",
        "v2",
        "--detail",
        "<b>all</b> well",
    )
    remora("incident", "note", one.id, "[a](b) | c", "--by", "ann")
    remora("incident", "resolve", one.id, "--by", "ann", "--note", "v2 is better")
    file = tmp_path / "summary.md"
    assert remora("incident", "summary", one.id, "--file", str(file)) == f"wrote {file}\n"
    text = file.read_text()
    assert re.findall(r"^#+ .*$", text, re.MULTILINE)[1:] == [
        "## How long it took", "## Evidence", "## What was started", "## Checklist", "## Timeline", "## What we learn",
    ]  # fmt: skip
    assert "| to detect | 2d | bad since 2013-03-01 00:00:00, opened 2013-03-03 00:00:00 |" in text
    assert r"by ann \| bob |" in text
    assert re.search(r"\| job \| succeeded \| .* \| v2 \| ann \|  \\<b\\>all\\</b\\> well \|", text)
    assert "- [x] Freeze the rollout (bob)" in text
    assert r"- [ ] Compare \*both\* versions" in text
    assert r"\[a\](b) \| c" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in {4, 5, 8}


def test_an_approval_from_the_terminal_starts_it_once(world, remora):
    one = action(world)
    assert (one.state, requests_to_start(world)) == ("waiting", [])
    assert one.expires_at == due(0) + timedelta(hours=12)
    assert one.id in remora("action", "list", "--state", "waiting")
    assert remora("action", "approve", one.id, "--by", "ann") == f"{one.id} is requested\n"
    assert len(requests_to_start(world)) == 1
    assert "does not wait for an approval: it is requested" in remora(
        "action", "approve", one.id, "--by", "bob", code=2
    )
    assert "does not wait" in remora("action", "reject", one.id, "--by", "bob", code=2)
    assert len(requests_to_start(world)) == 1
    body = json.loads(requests_to_start(world)[0].body)["data"]
    reported = remora("action", "report", one.id, "--status", "running", token=body["callback"]["token"])
    assert reported == f"{one.id} is running\n"
    assert "not this action's" in remora(
        "action", "report", one.id, "--status", "failed", token="eyJ2.c1Zh", code=2
    )


def test_a_rejected_action_never_starts_and_the_plan_goes_on(world, remora):
    assert remora("action", "reject", action(world).id, "--by", "ann", "--note", "not now").endswith(
        "is rejected\n"
    )
    world.run(WALL + timedelta(minutes=16))
    assert requests_to_start(world) == []
    states = {(row.kind, row.state) for row in world.rows(t.plan_steps, "step")}
    assert ("action", "skipped") in states
    assert [row.step for row in world.rows(t.plan_steps, "step")][-1] == 4


def test_an_approval_that_nobody_gives_runs_out(world):
    world.run(due(0) + timedelta(hours=12))
    assert (action(world).state, action(world).detail) == ("rejected", "nobody approved it in time")
    assert requests_to_start(world) == []


@pytest.mark.parametrize("model", ["flights", None])
def test_while_paused_nothing_starts(world, remora, model):
    whom = ["--model", model] if model else []
    assert "nothing is started for" in remora("action", "pause", *whom, "--by", "ann", "--comment", "audit")
    refused = remora("action", "approve", action(world).id, "--by", "ann", code=2)
    assert ("model_paused" if model else "actions_disabled") in refused
    assert (model or "(all)") in remora("action", "pauses")
    remora("action", "resume", *whom)
    assert "nothing pauses" in remora("action", "resume", *whom, code=2)
    remora("action", "approve", action(world).id, "--by", "ann")
    assert len(requests_to_start(world)) == 1


def test_a_mistake_is_one_line(world, remora):
    assert "there is no incident inc_nope" in remora(
        "incident", "acknowledge", "inc_nope", "--by", "ann", code=2
    )
    assert "there is no action act_nope" in remora("action", "approve", "act_nope", "--by", "ann", code=2)
    assert "has no item 7 in its step 1" in remora(
        "incident", "tick", incident(world).id, "1", "7", "--by", "a", code=2
    )
    assert "give --token" in remora("incident", "list", token=None, code=2)
    assert "'soon' is not a duration" in remora(
        "incident", "silence", incident(world).id, "--for", "soon", "--by", "a", code=2
    )


def test_a_server_that_is_not_there_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["incident", "list", "--server", "http://127.0.0.1:9"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("remora: no server answers at http://127.0.0.1:9: ")


class Buttons(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in {"button", "script"}:
            self.found.append(tag)


def links_of(world: World) -> dict[str, str]:
    """The paths of the newest message's links."""
    bodies = [
        json.loads(row.body) for row in world.rows(t.deliveries, "created_at", "id") if row.receiver == "chat"
    ]
    links = bodies[-1]["data"]["incident"]["links"]
    return {verb: url.removeprefix("https://remora.example") for verb, url in links.items()}


def test_links_in_messages_do_what_they_say_once_somebody_says_who_they_are(world, server):
    links = links_of(world)
    assert set(links) == {"acknowledge", "silence", "approve", "reject"}
    for verb in links:
        page = httpx.get(server + links[verb])
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        buttons = Buttons()
        buttons.feed(page.text)
        assert buttons.found == ["button"]
    assert (incident(world).state, action(world).state) == ("open", "waiting")  # looking changed nothing
    assert httpx.post(server + links["acknowledge"], data={"by": " "}).status_code == 422
    assert "takes it" in httpx.post(server + links["acknowledge"], data={"by": "<i>ann</i>"}).text
    assert "<i>" not in httpx.post(server + links["acknowledge"], data={"by": "<i>ann</i>"}).text
    assert incident(world).acknowledged_by == "<i>ann</i> (link)"
    assert httpx.post(server + links["approve"], data={"by": "ann", "note": "go"}).status_code == 200
    assert (action(world).state, action(world).decided_by) == ("requested", "ann (link)")
    assert httpx.post(server + links["approve"], data={"by": "ann"}).status_code == 409
    assert httpx.post(server + links["reject"], data={"by": "ann"}).status_code == 409
    assert "1 alerts stay quiet" in httpx.post(server + links["silence"], data={"by": "ann"}).text
    assert len(requests_to_start(world)) == 1


def test_a_link_that_was_changed_or_has_expired_does_nothing(world, server):
    links = links_of(world)
    word = links["approve"]
    body, mac = word.removeprefix("/act/").split(".")
    other = links["acknowledge"].removeprefix("/act/").split(".")[0]
    for wrong in (
        f"{body}.{mac[:-2]}AA",
        f"{other}.{mac}",
        f"{body}.",
        body,
        "%C3%A9.x",
        "." * 400,
        "a" * 5000,
    ):
        assert httpx.get(f"{server}/act/{wrong}").status_code == 404
        assert httpx.post(f"{server}/act/{wrong}", data={"by": "eve"}).status_code == 404
    Clock.now = WALL + timedelta(hours=24)
    assert httpx.post(server + word, data={"by": "late"}).status_code == 404
    assert action(world).state == "waiting"
