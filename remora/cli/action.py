"""`remora action …`: approve and reject, pause, and say what became of an action, from a terminal."""

from __future__ import annotations

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

app = typer.Typer(
    help="What Remora starts: approve it, reject it, pause it.", no_args_is_help=True, rich_markup_mode=None
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="The action, act_…")]
_NoteText = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What you want to add.")]
_Model = Annotated[str | None, typer.Option("--model", help="This model; without, every model.")]


@app.callback()
def group() -> None:
    """What Remora starts: approve it, reject it, pause it."""


@app.command("list")
def list_actions(
    state: Annotated[str | None, typer.Option("--state", help="Only in this state, such as waiting.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only of this model.")] = None,
    server: Server = HERE,
    token: ServerToken = None,
    as_json: AsJson = False,
) -> None:
    """The newest 200 actions; `--state waiting` are those that want an approval."""
    found = Service(server, token).get("/v1/actions", state=state, model=model)
    if as_json:
        print_json(found)
        return
    rows = [("ID", "NAME", "MODEL", "STATE", "REQUESTED", "WHY")]
    rows += [
        (one["id"], one["name"], one["model"], one["state"], one["requested_at"][:16].replace("T", " "), one["reason"])
        for one in found
    ]  # fmt: skip
    print_table(rows, "there is no such action")


@app.command("show")
def show(identity: _Id, server: Server = HERE, token: ServerToken = None) -> None:
    """One action as JSON, with what is sent to start it."""
    print_json(Service(server, token).get(f"/v1/actions/{short(identity)}"))


@app.command("approve")
def approve(
    identity: _Id, by: By = None, note: _NoteText = None, server: Server = HERE, token: ServerToken = None
) -> None:
    """Let an action start that waits for it."""
    _decide(server, token, identity, "approve", {"by": name_of(by), "note": note})


@app.command("reject")
def reject(
    identity: _Id, by: By = None, note: _NoteText = None, server: Server = HERE, token: ServerToken = None
) -> None:
    """Let it never start."""
    _decide(server, token, identity, "reject", {"by": name_of(by), "note": note})


@app.command("start-again")
def start_again(
    identity: _Id, by: By = None, note: _NoteText = None, server: Server = HERE, token: ServerToken = None
) -> None:
    """Ask once more for an action of which nobody knows whether it was started."""
    _decide(server, token, identity, "start-again", {"by": name_of(by), "note": note})


@app.command("report")
def report(
    identity: _Id,
    status: Annotated[str, typer.Option("--status", help="running, succeeded or failed.")],
    model_version: Annotated[
        str | None, typer.Option("--model-version", metavar="VERSION", help="What came out of it.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Where people look at the run.")] = None,
    detail: Annotated[str | None, typer.Option("--detail", metavar="TEXT", help="A sentence.")] = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Say what became of it: the callback, from a job or by hand. Also takes the token that the action was sent."""
    if status not in {"running", "succeeded", "failed"}:
        raise UserError(f"--status {status!r} is not running, succeeded or failed")
    body = {"status": status, "model_version": model_version, "url": url, "detail": detail}
    done = Service(server, token).post(f"/v1/actions/{short(identity)}/status", body)
    print(f"{done['id']} is {done['state']}")


@app.command("pause")
def pause(
    model: _Model = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long; without, until `resume`.")
    ] = None,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")] = "",
    by: By = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Start nothing for a model, or for none at all: the kill switch."""
    body = {"model": model, "by": name_of(by), "comment": comment, "duration": duration}
    made = Service(server, token).post("/v1/pauses", body)
    until = (
        f"until {made['endsAt'][:16].replace('T', ' ')}" if made["endsAt"] else "until somebody resumes it"
    )
    print(f"{made['id']}: nothing is started for {_whom(made['model'])} {until}")


@app.command("pauses")
def list_pauses(server: Server = HERE, token: ServerToken = None, as_json: AsJson = False) -> None:
    """Pauses with their state."""
    found = Service(server, token).get("/v1/pauses")["pauses"]
    if as_json:
        print_json(found)
        return
    rows = [("ID", "MODEL", "STATE", "UNTIL", "BY", "WHY")]
    rows += [
        (one["id"], one["model"] or "(all)", one["state"], (one["endsAt"] or "-")[:16].replace("T", " "),
         one["createdBy"], one["comment"]) for one in found
    ]  # fmt: skip
    print_table(rows, "nothing was ever paused")


@app.command("resume")
def resume(model: _Model = None, server: Server = HERE, token: ServerToken = None) -> None:
    """End every pause of a model; without --model those over all of them."""
    service = Service(server, token)
    held = [
        one for one in service.get("/v1/pauses")["pauses"] if one["state"] != "over" and one["model"] == model
    ]
    if not held:
        raise UserError(f"nothing pauses {_whom(model)}: see `remora action pauses`")
    for one in held:
        service.delete(f"/v1/pauses/{short(one['id'])}")
    print(f"actions may start again for {_whom(model)}")


def _decide(server: str, token: str | None, identity: str, verb: str, body: dict[str, Any]) -> None:
    done = Service(server, token).post(f"/v1/actions/{short(identity)}/{verb}", body)
    print(f"{done['id']} is {done['state']}")


def _whom(model: str | None) -> str:
    return model or "any model"
