"""`remora server`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remora.cli.options import (
    Archive,
    Config,
    DatabaseUrl,
    HashKey,
    TlsCert,
    TlsKey,
    Token,
    TokenRate,
    check_hash_key,
    require_extra,
)
from remora.settings import ServerSettings, Tls, parse_address, parse_http_url

__all__ = ["server"]


def server(
    database: DatabaseUrl,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", envvar="REMORA_LISTEN", metavar="HOST:PORT", help="Where pages and API are."
        ),
    ] = "127.0.0.1:8080",
    config: Config = None,
    spool: Annotated[
        Path,
        typer.Option("--spool", envvar="REMORA_SPOOL", metavar="DIR", help="Where ingested records wait."),
    ] = Path("remora-server-spool"),
    spool_bytes: Annotated[
        int,
        typer.Option(
            "--spool-bytes", envvar="REMORA_SPOOL_BYTES", min=1 << 20, help="The most that may wait there."
        ),
    ] = 1 << 30,
    reports: Annotated[
        Path,
        typer.Option(
            "--reports", envvar="REMORA_REPORTS", metavar="DIR", help="Where Evidently reports are kept."
        ),
    ] = Path("remora-reports"),
    archive: Archive = Path("remora-archive"),
    external_url: Annotated[
        str | None,
        typer.Option(
            "--external-url",
            envvar="REMORA_EXTERNAL_URL",
            metavar="URL",
            help="Where people reach the pages, for links in messages; wins over external_url in the config.",
        ),
    ] = None,
    allow_command: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-command",
            envvar="REMORA_ALLOW_COMMAND",
            metavar="PATH",
            help="A program that actions of the kind command may start; may be given several times.",
        ),
    ] = None,
    token: Token = None,
    token_rate: TokenRate = 1000.0,
    hash_key: HashKey = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Judge, alarm and show: scheduled jobs, alert rules, deliveries, web pages and the API, in one process."""
    from remora.ownership import check_owner

    check_owner()
    settings = ServerSettings(
        listen=parse_address(listen, "--listen"),
        database=database,
        spool=spool,
        spool_bytes=spool_bytes,
        config=config,
        reports=reports,
        archive=archive,
        token=token,
        token_rate=token_rate,
        external_url=parse_http_url(external_url, "--external-url") if external_url else None,
        hash_key=check_hash_key(hash_key),
        allow_commands=tuple(allow_command or ()),
        tls=Tls.of(tls_cert, tls_key),
    )
    try:
        from remora.cli.serving import serve
    except ImportError as error:
        raise require_extra("server", "server", error) from None
    serve(settings)
