"""`remora sidecar`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from remora.cli.options import Config, Token
from remora.errors import UserError
from remora.settings import SidecarSettings, check_exposure, parse_address, parse_http_url

__all__ = ["sidecar"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # as in remora.yaml


def sidecar(
    listen: Annotated[
        str,
        typer.Option(
            "--listen", envvar="REMORA_LISTEN", metavar="HOST:PORT", help="Where callers reach the model."
        ),
    ],
    upstream: Annotated[
        str,
        typer.Option(
            "--upstream", envvar="REMORA_UPSTREAM", metavar="URL", help="Where the model server listens."
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", envvar="REMORA_MODEL", metavar="NAME", help="The model's name.")
    ],
    version: Annotated[
        str,
        typer.Option(
            "--version", envvar="REMORA_VERSION", metavar="V", help="Its version, if answers do not say."
        ),
    ] = "",
    database: Annotated[
        str | None,
        typer.Option("--database", envvar="REMORA_DATABASE", metavar="URL", help="The database to write to."),
    ] = None,
    forward: Annotated[
        str | None,
        typer.Option(
            "--forward", envvar="REMORA_FORWARD", metavar="URL", help="Or the Remora server to send to."
        ),
    ] = None,
    spool: Annotated[
        Path,
        typer.Option(
            "--spool",
            envvar="REMORA_SPOOL",
            metavar="DIR",
            help="Where records wait until they are delivered.",
        ),
    ] = Path("remora-spool"),
    spool_bytes: Annotated[
        int,
        typer.Option(
            "--spool-bytes", envvar="REMORA_SPOOL_BYTES", min=1 << 20, help="The most that may wait there."
        ),
    ] = 1 << 30,
    config: Config = None,
    api: Annotated[
        str | None,
        typer.Option(
            "--api",
            envvar="REMORA_API",
            metavar="HOST:PORT",
            help="Where Remora's own API listens; without it, under /remora/ on the callers' port.",
        ),
    ] = None,
    token: Token = None,
    forward_token: Annotated[
        str | None,
        typer.Option(
            "--forward-token",
            envvar="REMORA_FORWARD_TOKEN",
            metavar="SECRET",
            help="What --forward's server asks for.",
        ),
    ] = None,
) -> None:
    """Stand in front of a model server: pass every byte on, and record inputs, outputs, status and latency.

    The model server is not changed. Example:

    remora sidecar --listen 127.0.0.1:8000 --upstream http://127.0.0.1:5000 --model fraud --database sqlite:///remora.db
    """
    from remora.ownership import check_owner

    check_owner()
    if (database is None) == (forward is None):
        msg = "give either --database URL or --forward URL: where shall the records go?"
        raise UserError(msg)
    for option, text, empty in (("--model", model, False), ("--version", version, True)):
        if not (_NAME.fullmatch(text) or (empty and not text)):
            msg = f"{option} {text!r} is not a name: letters, digits, dots, dashes and underscores, at most 128 of them"
            raise UserError(msg)
    settings = SidecarSettings(
        listen=parse_address(listen, "--listen"),
        upstream=parse_http_url(upstream, "--upstream"),
        model=model,
        version=version,
        database=database,
        forward=parse_http_url(forward, "--forward") if forward else None,
        spool=spool,
        spool_bytes=spool_bytes,
        config=config,
        api=parse_address(api, "--api") if api else None,
        token=token,
        forward_token=forward_token,
    )
    check_exposure(settings.api or settings.listen, "Remora's API", protected=token is not None)
    from collector.sidecar import main

    main(settings)
