"""`remora migrate --database URL`."""

from __future__ import annotations

from typing import Annotated

import typer

from remora.cli.options import DatabaseUrl

__all__ = ["migrate"]


def migrate(
    database: DatabaseUrl,
    reader: Annotated[
        str | None,
        typer.Option(
            "--reader", envvar="REMORA_READER", metavar="ROLE",
            help="A PostgreSQL role, such as Grafana's, that may read the views for people and nothing else.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Create Remora's tables, or bring them to this version. Running it twice changes nothing."""
    from remora import schema
    from remora.database import connect

    opened = connect(database)
    before, after = schema.migrate(opened)
    if reader is not None:
        schema.grant_reading(opened, reader)
    opened.dispose()
    where = opened.engine.url.render_as_string(hide_password=True)
    print(f"{where}: was {before.value}, is {after.value}")
    if reader is not None:
        print(f"{reader} may read {', '.join(schema.VIEWS)}")
