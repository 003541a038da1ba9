"""Options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Config", "DatabaseUrl", "Token", "require_extra"]

from remora.errors import UserError

DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="REMORA_DATABASE",
        metavar="URL",
        help="Where Remora keeps everything: sqlite:///remora.db or postgresql+psycopg://user@host/name.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="REMORA_CONFIG", metavar="FILE", help="remora.yaml; without it, the defaults."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="REMORA_TOKEN",
        metavar="SECRET",
        help="What callers of the API must show. Better set as REMORA_TOKEN: a command line is public on its machine.",
    ),
]


def require_extra(command: str, extra: str, error: ImportError) -> UserError:
    """The one line for a command that needs more than the base install."""
    return UserError(
        f"`remora {command}` needs the {extra} extra ({error.name} is missing): pip install 'remora[{extra}]'"
    )
