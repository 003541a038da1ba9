"""`remora delivery …`: which messages reached whom, and sending one again, from a terminal."""

from __future__ import annotations

from typing import Annotated

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

__all__ = ["app"]

app = typer.Typer(
    help="Messages to receivers: see them, send one again.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def group() -> None:
    """Messages to receivers: see them, send one again."""


@app.command("list")
def list_deliveries(
    state: Annotated[
        str, typer.Option("--state", metavar="STATES", help="pending, delivered, dead; with commas, or all.")
    ] = "pending,dead",
    server: Server = HERE,
    token: ServerToken = None,
    as_json: AsJson = False,
) -> None:
    """The newest 200 messages that did not arrive, and why; `--state dead` are those that were given up."""
    found = Service(server, token).get("/v1/deliveries", state=None if state == "all" else state)
    if as_json:
        print_json(found)
        return
    rows = [("ID", "RECEIVER", "WHAT", "STATE", "TRIED", "CREATED", "STATUS", "ERROR")]
    rows += [
        (one["id"], one["receiver"], one["kind"], one["state"], str(one["attempts"]), one["created_at"][:16].replace("T", " "),
         str(one["last_status"] or ""), one["last_error"] or "")
        for one in found
    ]  # fmt: skip
    print_table(rows, "everything arrived" if state == "pending,dead" else "there is no such message")


@app.command("retry")
def retry(
    identities: Annotated[list[str], typer.Argument(metavar="ID...", help="The messages, msg_…")],
    by: By = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Send messages again under the ids that they had, so that a receiver that has one already can tell."""
    service = Service(server, token)
    for identity in identities:
        done = service.post(f"/v1/deliveries/{short(identity)}/redeliver", {"by": name_of(by)})
        print(f"{done['id']} {'waits already' if done['before'] == 'pending' else 'will be sent again'}")
