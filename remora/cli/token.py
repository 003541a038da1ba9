"""`remora token …`: who may use the server's API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from remora.cli.calling import AsJson, print_json, print_table
from remora.cli.options import DatabaseUrl
from remora.cli.reference import opened
from remora.errors import UserError

__all__ = ["app"]

app = typer.Typer(help="Who may use the server's API.", no_args_is_help=True, rich_markup_mode=None)
_ACTOR = "command line"  # who did it, in the audit
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
    expires_in: Annotated[
        str | None,
        typer.Option(
            "--expires-in",
            envvar="REMORA_TOKEN_EXPIRES_IN",
            metavar="DURATION",
            help="It holds for so long: 12h, 90d. Without, until it is revoked.",
        ),
    ] = None,
) -> None:
    """Make a token and print it, once: only its digest is kept."""
    from remora.security import create_token

    scopes = scope or ["ingest"]
    for wanted in scopes:
        if wanted not in _SCOPES:
            msg = f"--scope {wanted!r} is not a scope: choose among {', '.join(_SCOPES)}"
            raise UserError(msg)
    life = None if expires_in is None else _life(expires_in)
    now = datetime.now(UTC)
    with opened(database) as connected:
        made = create_token(
            connected,
            name=name,
            scopes=scopes,
            now=now,
            actor=_ACTOR,
            expires_at=now + life if life else None,
        )
    print(made)


@app.command("list")
def list_all(database: DatabaseUrl, as_json: AsJson = False) -> None:
    """Every token that was made, the newest first: whose, for what, and whether it still holds. Never the token itself."""
    from remora.security import list_tokens

    now = datetime.now(UTC)
    with opened(database) as connected:
        known = list_tokens(connected)
    if as_json:
        print_json([
            {
                "id": one.id, "name": one.name, "scopes": list(one.scopes), "state": one.state(now),
                "created_at": _iso(one.created_at), "expires_at": _iso(one.expires_at), "revoked_at": _iso(one.revoked_at),
            }
            for one in known
        ])  # fmt: skip
        return
    rows = [("ID", "NAME", "SCOPES", "STATE", "CREATED", "EXPIRES")]
    rows += [
        (
            one.id,
            one.name,
            ",".join(one.scopes),
            one.state(now),
            _minute(one.created_at),
            _minute(one.expires_at),
        )
        for one in known
    ]
    print_table(rows, "no token was made yet: remora token create")


@app.command("revoke")
def revoke(
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="As `remora token list` shows it: the part between rmr_ and the next _."
        ),
    ],
    database: DatabaseUrl,
) -> None:
    """End a token: every server refuses it within half a minute."""
    from remora.security import id_of, revoke_token

    identity = id_of(identity) if identity.startswith("rmr_") else identity  # a secret is not said again
    with opened(database) as connected:
        revoked = revoke_token(connected, identity, now=datetime.now(UTC), actor=_ACTOR)
    if not revoked:
        msg = f"there is no valid token {identity!r}: see remora token list"
        raise UserError(msg)
    print(f"{identity} is revoked")


def _life(text: str) -> timedelta:
    from remora.config.base import parse_duration

    try:
        life = parse_duration(text)
    except ValueError as error:
        raise UserError(f"--expires-in: {error}") from None
    if life <= timedelta(0):
        raise UserError(f"--expires-in {text}: the token would never hold")
    return life


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _minute(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"
