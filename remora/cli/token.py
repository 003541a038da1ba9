"""`remora token create`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from remora.cli.options import DatabaseUrl
from remora.errors import UserError

__all__ = ["app"]

app = typer.Typer(help="Who may use the server's API.", no_args_is_help=True, rich_markup_mode=None)
_SCOPES = ("ingest", "read", "write", "admin")


@app.callback()
def group() -> None:
    """Who may use the server's API."""


@app.command("create")
def create(
    name: Annotated[
        str, typer.Option("--name", envvar="REMORA_TOKEN_NAME", help="Who gets it, for the list of tokens.")
    ],
    database: DatabaseUrl,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            envvar="REMORA_TOKEN_SCOPE",
            help="ingest, read, write or admin; may be given several times.",
            metavar="SCOPE",
        ),
    ] = None,
) -> None:
    """Make a token and print it, once: only its digest is kept."""
    from remora import schema
    from remora.database import connect
    from remora.security import create_token

    scopes = scope or ["ingest"]
    for wanted in scopes:
        if wanted not in _SCOPES:
            msg = f"--scope {wanted!r} is not a scope: choose among {', '.join(_SCOPES)}"
            raise UserError(msg)
    opened = connect(database)
    schema.prepare(opened)
    print(create_token(opened, name=name, scopes=scopes, now=datetime.now(UTC), actor="command line"))
    opened.dispose()
