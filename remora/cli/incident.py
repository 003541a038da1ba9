"""`remora incident …`: what people do with an incident, from a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from remora.cli.calling import (
    HERE,
    AsJson,
    By,
    Server,
    ServerToken,
    Service,
    name_of,
    print_json,
    print_table,
    short,
)
from remora.errors import UserError

__all__ = ["app"]

app = typer.Typer(help="Look at incidents, take them, end them.", no_args_is_help=True, rich_markup_mode=None)
_Id = Annotated[str, typer.Argument(metavar="ID", help="The incident, inc_…")]
_NoteText = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What you want to add.")]


@app.callback()
def group() -> None:
    """Look at incidents, take them, end them."""


@app.command("list")
def list_incidents(
    state: Annotated[
        str,
        typer.Option("--state", metavar="STATES", help="open, acknowledged, resolved; with commas, or all."),
    ] = "open,acknowledged",
    model: Annotated[str | None, typer.Option("--model", help="Only of this model.")] = None,
    server: Server = HERE,
    token: ServerToken = None,
    as_json: AsJson = False,
) -> None:
    """Incidents: what is open first, then the newest."""
    found = Service(server, token).get("/v1/incidents", state=None if state == "all" else state, model=model)
    if as_json:
        print_json(found)
        return
    rows = [("ID", "STATE", "SEVERITY", "MODEL", "OPENED", "TITLE")]
    rows += [
        (one["id"], _state(one), one["severity"], one["model"], _at(one["opened_at"]), one["title"])
        for one in found
    ]
    print_table(rows, "no incident is open" if state == "open,acknowledged" else "there is no such incident")


@app.command("show")
def show(identity: _Id, server: Server = HERE, token: ServerToken = None, as_json: AsJson = False) -> None:
    """One incident: its alerts, what the plan did, and everything that happened."""
    one = Service(server, token).get(f"/v1/incidents/{short(identity)}")
    if as_json:
        print_json(one)
        return
    print(
        f"{one['title']}\n{one['id']}  {_state(one)}  {one['severity']}  {one['model']}  plan {one['plan']}\n"
    )
    actions = [("ACTION", "NAME", "STATE", "REQUESTED", "DETAIL")]
    actions += [
        (act["id"], act["name"], act["state"], _at(act["requested_at"]), act.get("detail") or "")
        for act in one["actions"]
    ]
    if len(actions) > 1:
        print_table(actions, "")
        print()
    rows = [("WHEN (UTC)", "WHO", "WHAT", "")]
    rows += [(_at(event["at"]), event["actor"], event["kind"], event["text"]) for event in one["timeline"]]
    print_table(rows, "nothing happened yet")


@app.command("acknowledge")
def acknowledge(
    identity: _Id, by: By = None, note: _NoteText = None, server: Server = HERE, token: ServerToken = None
) -> None:
    """Take it: escalation stops until it resolves or the acknowledgement expires. What repairs goes on."""
    done = _post(server, token, identity, "acknowledge", {"by": name_of(by), "note": note})
    print(f"{done['id']} is taken by {done['acknowledged_by']}")


@app.command("resolve")
def resolve(
    identity: _Id, by: By = None, note: _NoteText = None, server: Server = HERE, token: ServerToken = None
) -> None:
    """Say that it is over, whatever its alerts say."""
    done = _post(server, token, identity, "resolve", {"by": name_of(by), "note": note})
    print(f"{done['id']} is {done['state']}")


@app.command("note")
def note(
    identity: _Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The line to write; - reads standard input.")],
    by: By = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Write a line into its timeline; also when it is over."""
    words = sys.stdin.read().strip() if text == "-" else text
    if not words:
        raise UserError("there is nothing to note")
    _post(server, token, identity, "notes", {"by": name_of(by), "text": words})
    print(f"noted in {identity}")


@app.command("tick")
def tick(
    identity: _Id,
    step: Annotated[int, typer.Argument(metavar="STEP", help="The step of the plan, from 0.")],
    item: Annotated[int, typer.Argument(metavar="ITEM", help="The item of its checklist, from 0.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the tick back.")] = False,
    by: By = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Tick an item of a checklist."""
    body = {"by": name_of(by), "step": step, "item": item, "done": not undo}
    done = _post(server, token, identity, "checklist", body)
    print(f"[{'x' if done['done'] else ' '}] {done['text']}")


@app.command("silence")
def silence(
    identity: _Id,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long: 30m, 2h, 1d.")] = "2h",
    by: By = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Keep its alerts quiet for a while: a silence for each that fires."""
    done = _post(server, token, identity, "silence", {"by": name_of(by), "duration": duration})
    for one in done["silences"]:
        print(f"{one['id']} until {_at(one['endsAt'])}")
    if not done["silences"]:
        print("none of its alerts fires: there is nothing to silence")


@app.command("summary")
def summary(
    identity: _Id,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Write it there instead of printing it.")
    ] = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """The post-incident summary in Markdown: times, evidence, actions, checklist, timeline."""
    text = Service(server, token).text(f"/v1/incidents/{short(identity)}/summary")
    if file is None:
        print(text, end="")
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    print(f"wrote {file}")


def _post(server: str, token: str | None, identity: str, what: str, body: dict[str, Any]) -> Any:
    return Service(server, token).post(f"/v1/incidents/{short(identity)}/{what}", body)


def _state(one: dict[str, Any]) -> str:
    by = one.get("acknowledged_by")
    return f"acknowledged by {by}" if one["state"] == "acknowledged" and by else str(one["state"])


def _at(text: str) -> str:
    return text[:16].replace("T", " ")
