"""Options that several commands share, said once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Config",
    "DatabaseUrl",
    "ForwardCa",
    "ForwardCert",
    "ForwardKey",
    "ForwardToken",
    "HashKey",
    "TlsCert",
    "TlsKey",
    "Token",
    "TokenRate",
    "check_destination",
    "check_hash_key",
    "check_names",
    "require_extra",
]

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
Archive = Annotated[
    Path,
    typer.Option(
        "--archive",
        envvar="REMORA_ARCHIVE",
        metavar="DIR",
        help="Where rows that left the database are, as Parquet.",
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
TokenRate = Annotated[
    float,
    typer.Option(
        "--token-rate",
        envvar="REMORA_TOKEN_RATE",
        min=0,
        help="Requests a second that one token may make, twice as many at once; 0 is no limit.",
    ),
]


HashKey = Annotated[
    str | None,
    typer.Option(
        "--hash-key",
        envvar="REMORA_HASH_KEY",
        metavar="SECRET",
        help="The key of hashed values and of sampling. Better set as REMORA_HASH_KEY.",
    ),
]


ForwardToken = Annotated[
    str | None,
    typer.Option(
        "--forward-token",
        envvar="REMORA_FORWARD_TOKEN",
        metavar="SECRET",
        help="What --forward's server asks for. Better set as REMORA_FORWARD_TOKEN.",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert", envvar="REMORA_TLS_CERT", metavar="FILE", help="PEM certificate: the API speaks HTTPS."
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", envvar="REMORA_TLS_KEY", metavar="FILE", help="The certificate's key, PEM."),
]
ForwardCa = Annotated[
    Path | None,
    typer.Option(
        "--forward-ca",
        envvar="REMORA_FORWARD_CA",
        metavar="FILE",
        help="PEM certificates that sign that of --forward, instead of the system's.",
    ),
]
ForwardCert = Annotated[
    Path | None,
    typer.Option(
        "--forward-cert",
        envvar="REMORA_FORWARD_CERT",
        metavar="FILE",
        help="PEM certificate to show to --forward.",
    ),
]
ForwardKey = Annotated[
    Path | None,
    typer.Option(
        "--forward-key", envvar="REMORA_FORWARD_KEY", metavar="FILE", help="That certificate's key, PEM."
    ),
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # as in remora.yaml


def check_destination(database: str | None, forward: str | None) -> None:
    """Exactly one place to which records go."""
    if (database is None) == (forward is None):
        raise UserError("give either --database URL or --forward URL: where shall the records go?")


def check_names(model: str, version: str) -> None:
    """Names as remora.yaml has them; a version may be missing."""
    for option, text, empty in (("--model", model, False), ("--version", version, True)):
        if not (_NAME.fullmatch(text) or (empty and not text)):
            msg = f"{option} {text!r} is not a name: letters, digits, dots, dashes and underscores, at most 128 of them"
            raise UserError(msg)


def check_hash_key(key: str | None) -> str | None:
    """A key that nobody guesses, or none."""
    if key is not None and len(key) < 16:
        msg = "--hash-key has fewer than 16 characters: make one with `openssl rand -hex 32`"
        raise UserError(msg)
    return key


def require_extra(command: str, extra: str, error: ImportError) -> UserError:
    """The one line for a command that needs more than the base install."""
    return UserError(
        f"`remora {command}` needs the {extra} extra ({error.name} is missing): pip install 'remora[{extra}]'"
    )
