"""`remora silence …`: keep alerts quiet for a while, from a terminal."""

from __future__ import annotations

import re
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

app = typer.Typer(help="Keep alerts quiet for a while.", no_args_is_help=True, rich_markup_mode=None)
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)(.*)", re.DOTALL)  # as amtool reads one


@app.callback()
def group() -> None:
    """Keep alerts quiet for a while."""


@app.command("add")
def add(
    matchers: Annotated[
        list[str],
        typer.Argument(
            metavar="LABEL=VALUE...",
            help="What the alerts carry, all of it: model=fraud, severity!=page, alertname=~Drift.*, feature!~x|y.",
        ),
    ],
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long: 30m, 2h, 1d.")] = "2h",
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why, for whoever wonders.")] = "",
    by: By = None,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Silence what carries these labels, from now on. A resolution of what was told already is still told."""
    body = {
        "matchers": [_matcher(text) for text in matchers],
        "duration": duration,
        "comment": comment,
        "createdBy": name_of(by),
    }
    made = Service(server, token).post("/v1/silences", body)
    print(f"{made['id']} until {_minute(made['endsAt'])}")


@app.command("list")
def list_silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    server: Server = HERE,
    token: ServerToken = None,
    as_json: AsJson = False,
) -> None:
    """What is quiet, and what will be; the newest first."""
    found = [
        one
        for one in Service(server, token).get("/v1/silences")["silences"]
        if everything or one["status"]["state"] != "expired"
    ]
    if as_json:
        print_json(found)
        return
    rows = [("ID", "STATE", "MATCHES", "FROM", "UNTIL", "BY", "COMMENT")]
    rows += [
        (one["id"], one["status"]["state"], " ".join(_written(matcher) for matcher in one["matchers"]),
         _minute(one["startsAt"]), _minute(one["endsAt"]), one["createdBy"], one["comment"])
        for one in found
    ]  # fmt: skip
    print_table(rows, "no silence was ever made" if everything else "nothing is silenced")


@app.command("expire")
def expire(
    identities: Annotated[list[str], typer.Argument(metavar="ID...", help="The silences, sil_…")],
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """End silences now."""
    service = Service(server, token)
    for identity in identities:
        ended = service.delete(f"/v1/silences/{short(identity)}")
        print(f"{ended['id']} is over")


def _matcher(text: str) -> dict[str, Any]:
    found = _MATCHER.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no matcher: write LABEL=VALUE, LABEL!=VALUE, LABEL=~PATTERN or LABEL!~PATTERN"
        raise UserError(msg)
    name, operator, value = found.groups()
    return {"name": name, "value": value, "isRegex": "~" in operator, "isEqual": "!" not in operator}


def _written(matcher: dict[str, Any]) -> str:
    operator = ("=" if matcher["isEqual"] else "!") + (
        "~" if matcher["isRegex"] else "" if matcher["isEqual"] else "="
    )
    return f"{matcher['name']}{operator}{matcher['value']}"


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")
