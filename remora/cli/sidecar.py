"""`remora sidecar`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remora.cli.options import (
    Config,
    ForwardCa,
    ForwardCert,
    ForwardKey,
    ForwardToken,
    HashKey,
    TlsCert,
    TlsKey,
    Token,
    TokenRate,
    check_destination,
    check_hash_key,
    check_names,
)
from remora.errors import UserError
from remora.settings import (
    SidecarSettings,
    Tls,
    Trust,
    check_exposure,
    parse_address,
    parse_api_address,
    parse_http_url,
)

__all__ = ["sidecar"]


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
            "--upstream",
            envvar="REMORA_UPSTREAM",
            metavar="URL",
            help="Where the model server listens: http://HOST:PORT or unix:PATH.",
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
            metavar="ADDRESS",
            help="Where Remora's own API listens, HOST:PORT or unix:PATH; without it, under /remora/ on the callers' port.",
        ),
    ] = None,
    api_mode: Annotated[
        str,
        typer.Option(
            "--api-mode", envvar="REMORA_API_MODE", metavar="MODE", help="Who may open unix:PATH, in octal."
        ),
    ] = "600",
    connect_timeout: Annotated[
        float,
        typer.Option(
            "--connect-timeout",
            envvar="REMORA_CONNECT_TIMEOUT",
            metavar="SECONDS",
            min=0.01,
            help="How long a connection to the model may take; then 502.",
        ),
    ] = 5.0,
    response_timeout: Annotated[
        float,
        typer.Option(
            "--response-timeout",
            envvar="REMORA_RESPONSE_TIMEOUT",
            metavar="SECONDS",
            min=0.01,
            help="How long the model may be silent; then 504.",
        ),
    ] = 60.0,
    token: Token = None,
    token_rate: TokenRate = 1000.0,
    hash_key: HashKey = None,
    forward_token: ForwardToken = None,
    forward_ca: ForwardCa = None,
    forward_cert: ForwardCert = None,
    forward_key: ForwardKey = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Stand in front of a model server: pass every byte on, and record inputs, outputs, status and latency.

    The model server is not changed. Example:

    remora sidecar --listen 127.0.0.1:8000 --upstream http://127.0.0.1:5000 --model fraud --database sqlite:///remora.db
    """
    from remora.ownership import check_owner

    check_owner()
    check_destination(database, forward)
    check_names(model, version)
    settings = SidecarSettings(
        listen=parse_address(listen, "--listen"),
        upstream=upstream if upstream.startswith("unix:") else parse_http_url(upstream, "--upstream"),
        model=model,
        version=version,
        database=database,
        forward=parse_http_url(forward, "--forward") if forward else None,
        spool=spool,
        spool_bytes=spool_bytes,
        config=config,
        api=parse_api_address(api, "--api", api_mode) if api else None,
        token=token,
        token_rate=token_rate,
        forward_token=forward_token,
        hash_key=check_hash_key(hash_key),
        tls=_api_tls(tls_cert, tls_key, api),
        trust=Trust(forward_ca, forward_cert, forward_key),
        connect_timeout=connect_timeout,
        response_timeout=response_timeout,
    )
    check_exposure(settings.api or settings.listen, "Remora's API", protected=token is not None)
    from collector.sidecar import main

    main(settings)


def _api_tls(cert: Path | None, key: Path | None, api: str | None) -> Tls | None:
    tls = Tls.of(cert, key)
    if tls is not None and (api is None or api.startswith("unix:")):
        msg = "--tls-cert is for an --api HOST:PORT of its own: what the model says passes as the callers send it"
        raise UserError(msg)
    return tls
