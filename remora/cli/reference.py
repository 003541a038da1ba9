"""`remora reference build`, `list`, `show` and `activate`."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remora.cli.options import Archive, Config, DatabaseUrl, require_extra
from remora.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from detectors.references import ReferenceSet, Target
    from remora.database import Database

__all__ = ["app", "instant", "opened"]

app = typer.Typer(
    help="What the model's traffic is compared with.", no_args_is_help=True, rich_markup_mode=None
)
_OnlyModel = Annotated[str | None, typer.Option("--model", envvar="REMORA_MODEL", help="Only of this model.")]


class Engine(StrEnum):
    """Who profiles a file."""

    LOCAL = "local"
    SPARK = "spark"


@app.callback()
def group() -> None:
    """What the model's traffic is compared with."""


@app.command("build")
def build(
    model: Annotated[str, typer.Option("--model", envvar="REMORA_MODEL", help="The model's name.")],
    database: DatabaseUrl,
    file: Annotated[
        str | None,  # Spark knows addresses too, which a path would spoil
        typer.Option(
            "--file", envvar="REMORA_FILE", metavar="FILE", help="CSV or Parquet: a column per feature."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Instead of a file: the model's own traffic from then on."
        ),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="And to before then.")] = None,
    version: Annotated[
        str,
        typer.Option("--version", envvar="REMORA_VERSION", help="One version of it; without, every version."),
    ] = "",
    name: Annotated[str, typer.Option("--name", help="What to call it; its number counts up.")] = "default",
    engine: Annotated[
        Engine,
        typer.Option("--engine", help="Who reads the file: this process, or Spark, for Parquet of any size."),
    ] = Engine.LOCAL,
    master: Annotated[
        str,
        typer.Option("--spark-master", metavar="URL", help="local[*], spark://HOST:PORT, yarn, k8s://..."),
    ] = "local[*]",
    archive: Archive = Path("remora-archive"),
    config: Config = None,
) -> None:
    """Make a file of rows, such as the training data, or a stretch of the model's own traffic its reference.

    Columns named timestamp, id, score, prediction, label and version are read as such; all others are features.
    """
    try:
        from detectors import references
        from detectors.reference_rows import Stretch
    except ImportError as error:
        raise require_extra("reference", "server", error) from None
    if (file is None) == (start is None and end is None):
        raise UserError("give either --file, or --from and --to")
    if file is None and engine is Engine.SPARK:
        raise UserError("Spark reads files: give --file, such as a folder of the archive")
    from remora.config import load

    now, settings = datetime.now(UTC), load(config)
    if file is None:
        stretch = Stretch(model, version, instant(start, "--from"), instant(end, "--to"))
        if stretch.start >= stretch.end:
            raise UserError("--to must lie after --from")
    with opened(database) as connected:
        if engine is Engine.SPARK and file is not None:
            target = references.Target(model, version, name, {"kind": "file", "file": file})
            made = _with_spark(connected, settings, target, master, now)
        elif file is None:
            made = references.build_from_traffic(
                connected, settings, stretch, archive=archive, now=now, name=name
            )
        else:
            made = references.build(
                connected, settings, model=model, version=version, path=Path(file), now=now, name=name
            )
    of_version = f" {version}" if version else ""
    print(f"reference of {model}{of_version}: {made.rows:,} rows, {made.columns} columns from {made.source}")
    for line in _thresholds(made.calibration):
        print(line)


@app.command("list")
def list_references(database: DatabaseUrl, model: _OnlyModel = None) -> None:
    """Show every reference; `*` marks the active one of each model and version."""
    from detectors.reference_sets import listed

    with opened(database) as connected:
        rows = listed(connected, model)
    if not rows:
        print("there is no reference yet: `remora reference build` makes one")
    for row in rows:
        mark = "*" if row.active else " "
        whose = f"{row.model} {row.version}".strip()
        print(
            f"{mark} {row.id}  {row.built_at:%Y-%m-%d %H:%M}  {whose}  {row.name}@{row.number}  {row.rows:,} rows  {row.source}"
        )


@app.command("show")
def show(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="An id or its beginning, a name, or name@number.")
    ],
    database: DatabaseUrl,
    model: _OnlyModel = None,
) -> None:
    """Show where a reference comes from, what its thresholds would have done in it, and what it holds."""
    from detectors.reference_sets import columns_shown, find

    with opened(database) as connected:
        found = find(connected, reference, model)
        columns = columns_shown(connected, found.id)
    print(f"{found.id}  {found.name}@{found.number}{'  active' if found.active else ''}")
    print(f"model {found.model}{f', version {found.version}' if found.version else ''}")
    print(f"{found.rows:,} rows, {found.source}, built {found.built_at:%Y-%m-%d %H:%M} UTC")
    for key, value in found.provenance.items():
        print(f"{key}: {value}")
    for line in _thresholds(found.calibration):
        print(line)
    for column in columns:
        print(f"  {column.column_name:<24} {column.kind:<12} {_what(column)}")


@app.command("activate")
def activate(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="An id or its beginning, a name, or name@number.")
    ],
    database: DatabaseUrl,
    model: _OnlyModel = None,
) -> None:
    """Compare with this reference from now on."""
    from detectors.reference_sets import activate as make_active
    from detectors.reference_sets import find

    with opened(database) as connected:
        found = find(connected, reference, model)
        make_active(connected, found)
    print(f"{found.name}@{found.number} is the reference of {found.model} {found.version}".rstrip())


def _what(column: Any) -> str:
    from remora.summaries import CategoricalSummary, NumericSummary, decode

    summary, influence = decode(column.data), column.calibration.get("influence")
    tells = "" if influence is None else f", explains {influence:.1%} of the score".replace("%", " %")
    if isinstance(summary, NumericSummary):
        return f"{summary.count:,} values, {summary.missing:,} missing{tells}"
    if isinstance(summary, CategoricalSummary):
        categories = f"about {summary.distinct:,.0f} categories"
        return f"{summary.count:,} values, {summary.missing:,} missing, {categories}{tells}"
    return f"{getattr(summary, 'rows', 0):,} labelled rows"


def _thresholds(calibration: Mapping[str, Any]) -> Iterator[str]:
    """What was learnt of thresholds, and the alarms that they would have raised in the reference's own time."""
    from detectors.calibration import MIN_WINDOWS
    from remora.config.base import format_duration

    size = format_duration(timedelta(seconds=calibration.get("window_seconds", 0)))
    windows, proof = calibration.get("windows", 0), calibration.get("proof")
    if proof is None:
        advice = "take rows of a longer time" if windows > 1 else "give its rows a column timestamp"
        yield (
            f"thresholds: the customary ones; to learn them {MIN_WINDOWS} windows of {size} with enough rows are needed, and"
            f" it has {windows}: {advice}"
        )
        return
    yield f"thresholds: learnt from its own {windows} windows of {size}, with {proof['budget']} allowed"
    raised = f"{proof['alarms']} {'alarm' if proof['alarms'] == 1 else 'alarms'}"
    yield f"  in its own {proof['days']:g} days they would have raised {raised}; {proof['allowed']:.1f} are allowed"
    for column in proof["columns"]:
        windows_of = "1 window" if column["windows"] == 1 else f"{column['windows']} windows"
        yield f"  {column['feature']}: beyond its threshold in {windows_of}"


def _with_spark(
    connected: Database, settings: Any, target: Target, master: str, now: datetime
) -> ReferenceSet:
    from dataclasses import replace

    from detectors.references import store_profile

    try:
        from detectors.spark import profile_with_spark, session

        spark = session(master)
    except ImportError as error:
        raise require_extra("reference build --engine spark", "spark", error) from None
    try:
        path = target.provenance["file"]
        profile = profile_with_spark(spark, path, settings.model(target.model), target.version)
        provenance = {**target.provenance, "engine": f"spark {spark.version}"}
    finally:
        spark.stop()
    return store_profile(connected, settings, replace(target, provenance=provenance), profile, now)


def instant(text: str | None, option: str) -> datetime:
    if text is None:
        raise UserError(f"{option} is missing: a stretch of traffic needs --from and --to")
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{option} {text!r} is no instant: write 2026-03-01 or 2026-03-01T10:00:00Z"
        ) from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    from remora import schema
    from remora.database import connect

    database = connect(url)
    try:
        schema.prepare(database)
        yield database
    finally:
        database.dispose()
