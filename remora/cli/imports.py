"""`remora import`."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from remora.cli.options import (
    Config,
    ForwardCa,
    ForwardCert,
    ForwardKey,
    ForwardToken,
    HashKey,
    check_destination,
    check_hash_key,
    check_names,
)
from remora.errors import UnavailableError, UserError
from remora.settings import Trust, parse_http_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.imports import Context
    from collector.imports.runner import Rejected, Report, Where
    from collector.privacy import Gate
    from collector.privacy.keeping import Keeper
    from collector.sinks import Sink
    from remora.config import Config as Settings

__all__ = ["import_files"]

_NAMES = ("sagemaker", "sagemaker_truth", "azure", "kserve", "databricks", "vertex", "bentoml", "table")
_SHOWN = 20  # reasons


def import_files(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of them.", metavar="FILE...")],
    model: Annotated[
        str, typer.Option("--model", envvar="REMORA_MODEL", help="Whose predictions these are.")
    ],
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
    forward_token: ForwardToken = None,
    forward_ca: ForwardCa = None,
    forward_cert: ForwardCert = None,
    forward_key: ForwardKey = None,
    version: Annotated[
        str, typer.Option("--version", envvar="REMORA_VERSION", help="Its version, where rows do not say.")
    ] = "",
    source: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help=f"One of {', '.join(_NAMES)}; recognised if not given."
        ),
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Rows are labels: id, label, timestamp.")] = False,
    timestamp: Annotated[
        str | None,
        typer.Option(
            "--timestamp", metavar="INSTANT", help="The time of rows that do not say: now, or RFC 3339."
        ),
    ] = None,
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Of times without one, as Europe/Berlin.")
    ] = "UTC",
    rejected: Annotated[
        Path | None,
        typer.Option("--rejected", metavar="FILE", help="Where rejected lines are listed, as JSON lines."),
    ] = None,
    config: Config = None,
    hash_key: HashKey = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Bring in predictions and labels that another system logged.

    SageMaker Data Capture and ground truth, Azure's Model Data Collector, Databricks inference tables, Vertex AI
    request-response logs, BentoML monitoring, KServe blobs; CSV, Parquet and JSON lines with models.NAME.table. Running
    it again changes nothing, and goes on where a run was stopped. Exit code 3 means that some lines were rejected.
    """
    from collector.imports.files import find_files
    from collector.imports.runner import Importer
    from remora.config import load

    if source is not None and source not in _NAMES:
        raise UserError(f"--format {source!r} is not known: choose among {', '.join(_NAMES)}")
    check_destination(database, forward)
    check_names(model, version)
    found = find_files(files)
    loaded = load(config)
    context = _context(loaded, model, version, _zone(timezone), timestamp, labels=labels)
    with ExitStack() as stack:
        sink = _sink(database, forward, forward_token, Trust(forward_ca, forward_cert, forward_key), loaded)
        stack.callback(sink.close)
        importer = Importer(context, sink, *_privacy(loaded, check_hash_key(hash_key)), source=source)
        tell = _rejections(rejected, stack)
        advance = _progress(sum(path.stat().st_size for path in found), stack, quiet=quiet)
        try:
            importer.run(found, advance, tell)
            sink.tidy()
        except (KeyboardInterrupt, UnavailableError):
            print(f"stopped after {importer.report.lines:,} lines: the same command goes on", file=sys.stderr)
            raise
    _say(importer.report, quiet=quiet)
    if importer.report.rejected:
        raise typer.Exit(3)


def _context(
    config: Settings, model: str, version: str, zone: ZoneInfo, timestamp: str | None, *, labels: bool
) -> Context:
    from collector.capture import Captures
    from collector.imports import Context

    return Context(
        capture=Captures(config).of(model, version),
        table=config.model(model).table,
        zone=zone,
        when=_instant(timestamp, zone),
        labels_only=labels,
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"--timezone {name!r} is not a time zone: write UTC or Europe/Berlin") from None


def _instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    from collector.imports.base import instant

    if text is None:
        return None
    found = datetime.now(UTC) if text == "now" else instant(text, zone)
    if found is None:
        raise UserError(f"--timestamp {text!r} is not a time: write now or 2026-01-01T00:00:00Z")
    return found


def _sink(
    database: str | None, forward: str | None, token: str | None, trust: Trust, config: Settings
) -> Sink:
    from collector.sinks import DatabaseSink, HttpSink
    from collector.store import shapes_of
    from collector.trust import context_of
    from remora.database import connect

    if forward is not None:
        return HttpSink(parse_http_url(forward, "--forward"), token, verify=context_of(trust))
    return DatabaseSink(connect(database or ""), shapes_of(config), lambda: datetime.now(UTC))


def _privacy(config: Settings, key: str | None) -> tuple[Gate, Keeper]:
    from collector.privacy import Gate
    from collector.privacy.keeping import Keeper
    from collector.store import shapes_of

    return Gate(config, key), Keeper(config, shapes_of(config), key)


def _rejections(path: Path | None, stack: ExitStack) -> Rejected:
    if path is None:
        return lambda _where, _reason: None
    try:
        out = stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--rejected {path} cannot be written: {error.strerror}") from None

    def tell(where: Where, reason: str) -> None:
        out.write(json.dumps({**where, "reason": reason}) + "\n")

    return tell


def _progress(total: int, stack: ExitStack, *, quiet: bool) -> Callable[[int], None]:
    """A bar on a terminal; in a log the report at the end says enough."""
    if quiet or not sys.stderr.isatty():
        return lambda _bytes: None
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task("", total=total)
    return lambda size: bar.advance(task, size)


def _say(report: Report, *, quiet: bool) -> None:
    rejected = report.rejected.total()
    if not quiet:
        sampled = f", {report.unkept:,} counted in summaries alone" if report.unkept else ""
        print(
            f"{report.lines:,} line{'s' * (report.lines != 1)} of {report.files:,} file{'s' * (report.files != 1)}: "
            f"{report.written:,} records written, {report.repeated:,} there already{sampled}, {rejected:,} rejected"
        )
    for reason, count in report.rejected.most_common(_SHOWN):
        print(f"  {count:>9,}  {reason} (first: {_place(report.first[reason])})", file=sys.stderr)
    if len(report.rejected) > _SHOWN:
        print(f"  and {len(report.rejected) - _SHOWN} other reasons: --rejected lists all", file=sys.stderr)


def _place(where: Where) -> str:
    return f"record {where['record']}" if "record" in where else f"{where['file']}, line {where['line']}"
