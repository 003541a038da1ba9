"""`remora reference build`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from remora.cli.options import Config, DatabaseUrl, require_extra
from remora.config import load

__all__ = ["app"]

app = typer.Typer(
    help="What the model's traffic is compared with.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def group() -> None:
    """What the model's traffic is compared with."""


@app.command("build")
def build(
    model: Annotated[str, typer.Option("--model", envvar="REMORA_MODEL", help="The model's name.")],
    file: Annotated[
        Path,
        typer.Option(
            "--file", envvar="REMORA_FILE", metavar="FILE", help="CSV or Parquet: a column per feature."
        ),
    ],
    database: DatabaseUrl,
    version: Annotated[
        str,
        typer.Option("--version", envvar="REMORA_VERSION", help="One version of it; without, every version."),
    ] = "",
    config: Config = None,
) -> None:
    """Profile a file of rows, such as the training data, as the model's reference.

    Columns named timestamp, id, score, prediction, label and version are read as such; all others are features.
    """
    try:
        from detectors.references import build as build_reference
    except ImportError as error:
        raise require_extra("reference", "server", error) from None
    from remora import schema
    from remora.database import connect

    opened = connect(database)
    schema.prepare(opened)
    made = build_reference(
        opened, load(config), model=model, version=version, path=file, now=datetime.now(UTC)
    )
    opened.dispose()
    of_version = f" {version}" if version else ""
    print(f"reference of {model}{of_version}: {made.rows:,} rows, {made.columns} columns from {made.source}")
